/* ops/activations.c - silu, gelu_tanh, mish, selu: made of other operations, derivatives too. */
#include "ops/define.h"

#define COMPOSITE(name)                                                                                                \
    tl_tensor(tl_##name)(tl_tensor x) { return tl_##name##_at(TL_NOWHERE, x); }

tl_tensor tl_silu_at(tl_place at, tl_tensor x) { return tl_mul_at(at, x, tl_sigmoid_at(at, x)); }
COMPOSITE(silu)

/* (1 + tanh u) / 2 = sigmoid(2 u), which keeps small values' relative accuracy; u = sqrt(2 / pi) (x + 0.044715 x^3) */
tl_tensor tl_gelu_tanh_at(tl_place at, tl_tensor x)
{
    const double twice = 2 * 0.79788456080286535588;
    const tl_tensor u = tl_add_scalar_at(at, tl_scale_at(at, tl_square_at(at, x), twice * 0.044715), twice);
    return tl_mul_at(at, x, tl_sigmoid_at(at, tl_mul_at(at, x, u)));
}
COMPOSITE(gelu_tanh)

tl_tensor tl_mish_at(tl_place at, tl_tensor x) { return tl_mul_at(at, x, tl_tanh_at(at, tl_softplus_at(at, x))); }
COMPOSITE(mish)

/* Klambauer et al.'s two numbers */
tl_tensor tl_selu_at(tl_place at, tl_tensor x)
{
    return tl_scale_at(at, tl_elu_at(at, x, 1.6732632423543772848170429916717), 1.0507009873554804934193349852946);
}
COMPOSITE(selu)
