/* ops/sigmoid.c - y = 1 / (1 + e^-x),  dx = g y (1 - y)
 * sigmoid_grad: y = g s (1 - s), the derivative as an op of its own: one node a step instead of three. */
#include "ops/define.h"
#ifdef TL_REAL

UNARY_KERNEL(sigmoid, real_sigmoid(x))
BINARY_KERNEL(sigmoid_grad, b *(a *(1 - a)))

#else

static tl_tensor sigmoid_vjp(const tl_vjp *v, int i) { return (void)i, tl_sigmoid_grad(v->y, v->g); }

/* ds = (1 - 2 s) g dy,  dg = dy s (1 - s) */
static tl_tensor sigmoid_grad_vjp(const tl_vjp *v, int i)
{
    const tl_tensor s = v->in[0], g = v->in[1];
    return tl_unbroadcast(i ? tl_sigmoid_grad(s, v->g) : tl_mul(tl_mul(v->g, g), tl_add_scalar(tl_scale(s, -2), 1)),
                          v->in[i]);
}

TL_UNARY(sigmoid, sigmoid_vjp,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 3, 4) } }, { 1, { TL_CASE_SCALAR } },
                  { 1, { TL_CASE_SHAPE(0, 3) } }, { 1, { TL_CASE_SHAPE(40) }, .lo = -30, .hi = 10 }))

TL_OP(sigmoid_grad, .min_in = 2, .max_in = 2, .cls = TL_ELEMENTWISE, .zeroes = 2, .shape = tl_shape_broadcast,
      .vjp = sigmoid_grad_vjp,
      TL_CASES({ 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3) } }, { 2, { TL_CASE_SHAPE(3), TL_CASE_SHAPE(2, 1) } },
               { 2, { TL_CASE_SHAPE(0), TL_CASE_SHAPE(1) } }));

tl_tensor tl_sigmoid_grad(tl_tensor s, tl_tensor g)
{
    return tl_apply(&tl_op_sigmoid_grad, (tl_tensor[]){ s, g }, 2, NULL);
}

#endif
