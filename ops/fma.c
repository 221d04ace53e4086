/* ops/fma.c - y = a b + c, rounded once;  da = g b,  db = g a,  dc = g */
#include "ops/define.h"
#ifdef TL_REAL

#define real_fma(a, b, c)                                                                                              \
    (sizeof(real) == 4 ? (real)fmaf((float)(a), (float)(b), (float)(c))                                                \
                       : (real)fma((double)(a), (double)(b), (double)(c)))

TERNARY_KERNEL(fma, real_fma(a, b, c))

#else

static tl_tensor fma_vjp(const tl_vjp *v, int i)
{
    return tl_unbroadcast(i == 2 ? v->g : tl_mul(v->g, v->in[!i]), v->in[i]);
}

TL_OP(fma, .min_in = 3, .max_in = 3, .cls = TL_ELEMENTWISE, .shape = tl_shape_broadcast, .vjp = fma_vjp,
      TL_CASES({ 3, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3) } },
               { 3, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(3), TL_CASE_SHAPE(2, 1) } },
               { 3, { TL_CASE_SCALAR, TL_CASE_SHAPE(2, 3), TL_CASE_SCALAR } },
               { 3, { TL_CASE_SHAPE(0), TL_CASE_SHAPE(0), TL_CASE_SHAPE(1) } },
               { 3, { TL_CASE_SHAPE(2), TL_CASE_SHAPE(2), TL_CASE_SHAPE(3) }, .rejects = true }));

tl_tensor tl_fma_at(tl_place at, tl_tensor a, tl_tensor b, tl_tensor c)
{
    return tl_apply_at(at, &tl_op_fma, (tl_tensor[]){ a, b, c }, 3, NULL);
}
tl_tensor(tl_fma)(tl_tensor a, tl_tensor b, tl_tensor c) { return tl_fma_at(TL_NOWHERE, a, b, c); }

#endif
