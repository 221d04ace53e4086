/* ops/activations.c - small activations made of other operations, derivatives too. */
#include "ops/define.h"

TL_COMPOSED(silu, tl_mul_at(at, x, tl_sigmoid_at(at, x)))
TL_COMPOSED(mish, tl_mul_at(at, x, tl_tanh_at(at, tl_softplus_at(at, x))))
TL_COMPOSED(tanhshrink, tl_sub_at(at, x, tl_tanh_at(at, x)))

/* (1 + tanh u) / 2 = sigmoid(2 u), which keeps small values' relative accuracy; u = sqrt(2 / pi) (x + 0.044715 x^3) */
static tl_tensor twice_u(tl_place at, tl_tensor x)
{
    const double twice = 2 * 0.79788456080286535588;
    return tl_mul_at(at, x, tl_add_scalar_at(at, tl_scale_at(at, tl_square_at(at, x), twice * 0.044715), twice));
}
TL_COMPOSED(gelu_tanh, tl_mul_at(at, x, tl_sigmoid_at(at, twice_u(at, x))))

/* min(max(x, lo), hi) whose derivative at the borders is 0, as that of PyTorch's hardtanh, while clip's is 1 */
static tl_tensor between(tl_place at, tl_tensor x, double lo, double hi)
{
    const tl_tensor above = tl_add_scalar_at(at, x, -lo), below = tl_add_scalar_at(at, tl_neg_at(at, x), hi);
    const tl_tensor inside = tl_relu_at(at, tl_minimum_at(at, above, below)); /* not 0, or NaN where x is */
    return tl_where_at(at, inside, x, tl_stop_gradient_at(at, tl_clip_at(at, x, lo, hi)));
}
TL_COMPOSED(relu6, between(at, x, 0, 6))
TL_COMPOSED(hard_tanh, between(at, x, -1, 1))

/* clip's derivative at the borders makes that of PyTorch's hardswish: -1/2 at -3, 3/2 at 3 */
TL_COMPOSED(hard_swish, tl_mul_at(at, x, tl_scale_at(at, tl_clip_at(at, tl_add_scalar_at(at, x, 3), 0, 6), 1 / 6.)))
TL_COMPOSED_WITH(softshrink, double, v, tl_sub_at(at, x, tl_clip_at(at, x, -v, v)))

typedef struct celu_attr {
    double alpha;
} celu_attr;
static bool celu_refused(tl_shape_rule *r)
{
    return tl_refuse(r, TL_E_ARGUMENT, "alpha = %g should be above 0 and finite", ((const celu_attr *)r->attr)->alpha);
}
TL_REFUSAL(celu, celu_attr, celu_refused);

static tl_tensor celu(tl_place at, tl_tensor x, double alpha)
{
    if (!(alpha > 0 && alpha < INFINITY)) return tl_apply_at(at, &refusal_celu, &x, 1, &(celu_attr){ alpha });
    const tl_tensor negative = tl_clip_at(at, x, -INFINITY, 0);
    const tl_tensor e = tl_scale_at(at, tl_expm1_at(at, tl_scale_at(at, negative, 1 / alpha)), alpha);
    return tl_where_at(at, tl_relu_at(at, x), x, e);
}
TL_COMPOSED_WITH(celu, double, alpha, celu(at, x, alpha))

tl_tensor tl_hard_sigmoid_with_at(tl_place at, tl_tensor x, double slope, double offset)
{
    return tl_clip_at(at, tl_add_scalar_at(at, tl_scale_at(at, x, slope), offset), 0, 1);
}
tl_tensor(tl_hard_sigmoid_with)(tl_tensor x, double slope, double offset)
{
    return tl_hard_sigmoid_with_at(TL_NOWHERE, x, slope, offset);
}
