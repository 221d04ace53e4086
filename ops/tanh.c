/* ops/tanh.c - y = tanh x,  dx = g (1 - y^2)
 * tanh_grad: y = g (1 - t^2), the derivative as an op of its own: one node a step instead of three. */
#include "ops/define.h"
#ifdef TL_REAL

UNARY_KERNEL(tanh, real_tanh(x))
BINARY_KERNEL(tanh_grad, b *((1 - a) * (1 + a)))

#else

static tl_tensor tanh_vjp(const tl_vjp *v, int i) { return (void)i, tl_tanh_grad(v->y, v->g); }

/* dt = -2 t g dy,  dg = dy (1 - t^2) */
static tl_tensor tanh_grad_vjp(const tl_vjp *v, int i)
{
    const tl_tensor t = v->in[0], g = v->in[1];
    return tl_unbroadcast(i ? tl_tanh_grad(t, v->g) : tl_scale(tl_mul(tl_mul(v->g, g), t), -2), v->in[i]);
}

TL_UNARY(tanh, tanh_vjp,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 3, 4) } }, { 1, { TL_CASE_SCALAR } },
                  { 1, { TL_CASE_SHAPE(0, 3) } }, { 1, { TL_CASE_SHAPE(40) }, .lo = -6, .hi = 6 }))

TL_OP(tanh_grad, .min_in = 2, .max_in = 2, .cls = TL_ELEMENTWISE, .zeroes = 2, .shape = tl_shape_broadcast,
      .vjp = tanh_grad_vjp,
      TL_CASES({ 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3) } }, { 2, { TL_CASE_SHAPE(3), TL_CASE_SHAPE(2, 1) } },
               { 2, { TL_CASE_SHAPE(0), TL_CASE_SHAPE(1) } }));

tl_tensor tl_tanh_grad(tl_tensor t, tl_tensor g) { return tl_apply(&tl_op_tanh_grad, (tl_tensor[]){ t, g }, 2, NULL); }

#endif
