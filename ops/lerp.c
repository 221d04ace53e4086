/* ops/lerp.c - y = (1 - w) a + w b;  da = g (1 - w),  db = g w,  dw = g (b - a) */
#include "ops/define.h"
#ifdef TL_REAL

TERNARY_KERNEL(lerp, (1 - c) * a + c * b)

#else

static tl_tensor lerp_vjp(const tl_vjp *v, int i)
{
    const tl_tensor a = v->in[0], b = v->in[1], w = v->in[2];
    const tl_tensor factor = i == 0 ? tl_add_scalar(tl_neg(w), 1) : i == 1 ? w : tl_sub(b, a);
    return tl_unbroadcast(tl_mul(v->g, factor), v->in[i]);
}

TL_OP(lerp, .min_in = 3, .max_in = 3, .cls = TL_ELEMENTWISE, .shape = tl_shape_broadcast, .vjp = lerp_vjp,
      TL_CASES({ 3, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3) }, .lo = 0.1, .hi = 0.9 },
               { 3, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(3), TL_CASE_SHAPE(2, 1) } },
               { 3, { TL_CASE_SCALAR, TL_CASE_SHAPE(2, 3), TL_CASE_SCALAR } },
               { 3, { TL_CASE_SHAPE(0), TL_CASE_SHAPE(0), TL_CASE_SHAPE(1) } },
               { 3, { TL_CASE_SHAPE(2), TL_CASE_SHAPE(2), TL_CASE_SHAPE(3) }, .rejects = true }));

tl_tensor tl_lerp_at(tl_place at, tl_tensor a, tl_tensor b, tl_tensor w)
{
    return tl_apply_at(at, &tl_op_lerp, (tl_tensor[]){ a, b, w }, 3, NULL);
}
tl_tensor(tl_lerp)(tl_tensor a, tl_tensor b, tl_tensor w) { return tl_lerp_at(TL_NOWHERE, a, b, w); }

#endif
