/* ops/gelu.c - y = x P(x), P(x) = erfc(-x / sqrt 2) / 2 (the normal distribution);  dx = gelu_grad(x, g)
 * gelu_grad: y = g (P(x) + x p(x)), p(x) = e^(-x^2 / 2) / sqrt(2 pi), the derivative as an op of its own.
 * P by erfc keeps small values' relative accuracy; f32 is computed in double and rounded. */
#include "ops/define.h"
#ifdef TL_REAL

static inline double below(double x) { return 0.5 * erfc(-M_SQRT1_2 * x); }

/* p(40) is 0 in either type: so nothing is 0 times infinity */
static inline double slope(double x)
{
    x = x > 40 ? 40 : x < -40 ? -40 : x;
    return below(x) + x * exp(-0.5 * x * x) * (0.5 * M_2_SQRTPI * M_SQRT1_2);
}

UNARY_KERNEL(gelu, (real)((double)(x < -40 ? -40 : x) * below((double)x)))
BINARY_KERNEL(gelu_grad, (real)((double)b *slope((double)a)))

#else

extern const struct tl_op tl_op_gelu_grad;

static tl_tensor gelu_grad(tl_tensor x, tl_tensor g)
{
    return tl_apply(&tl_op_gelu_grad, (tl_tensor[]){ x, g }, 2, NULL);
}

static tl_tensor gelu_vjp(const tl_vjp *v, int i) { return gelu_grad(v->in[i], v->g); }

/* dx = dy g p(x) (2 - x^2),  dg = dy (P(x) + x p(x)) */
static tl_tensor gelu_grad_vjp(const tl_vjp *v, int i)
{
    const tl_tensor x = v->in[0], z = tl_square(x);
    if (i) return tl_unbroadcast(gelu_grad(x, v->g), v->in[i]);
    const tl_tensor p = tl_scale(tl_exp(tl_scale(z, -0.5)), 0.5 * M_2_SQRTPI * M_SQRT1_2);
    return tl_unbroadcast(tl_mul(tl_mul(v->g, v->in[1]), tl_mul(p, tl_add_scalar(tl_neg(z), 2))), v->in[i]);
}

TL_UNARY(gelu, gelu_vjp,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 3, 4) } }, { 1, { TL_CASE_SCALAR } },
                  { 1, { TL_CASE_SHAPE(0) } }, { 1, { TL_CASE_SHAPE(40) }, .lo = -6, .hi = 6 }))

TL_OP(gelu_grad, .min_in = 2, .max_in = 2, .cls = TL_ELEMENTWISE, .shape = tl_shape_broadcast, .vjp = gelu_grad_vjp,
      TL_CASES({ 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3) } }, { 2, { TL_CASE_SHAPE(3), TL_CASE_SHAPE(2, 1) } },
               { 2, { TL_CASE_SHAPE(0), TL_CASE_SHAPE(1) } }));

#endif
