/* ops/normalize.c - over the last axis, made of other operations:
 *     layer_norm = gain (x - mean) / sqrt(var + epsilon) + shift, with the biased variance in two passes
 *     rms_norm = gain x / sqrt(mean x^2 + epsilon)
 * and over any axes, l2_normalize = x / max(norm x, epsilon) */
#include "ops/define.h"

static const int last[] = { -1 };

typedef struct epsilon_attr {
    double epsilon;
} epsilon_attr;

static bool normalize_refused(tl_shape_rule *r)
{
    const double epsilon = ((const epsilon_attr *)r->attr)->epsilon;
    if (!(epsilon >= 0)) return tl_refuse(r, TL_E_ARGUMENT, "epsilon = %g should be 0 or more", epsilon);
    return tl_refuse(r, TL_E_ARGUMENT, "there is no axis -1 in a scalar");
}
TL_REFUSAL(layer_norm, epsilon_attr, normalize_refused);
TL_REFUSAL(rms_norm, epsilon_attr, normalize_refused);
TL_REFUSAL(l2_normalize, epsilon_attr, normalize_refused);

/* gain d / sqrt(mean d^2 + epsilon) + shift */
static tl_tensor scaled(tl_place at, tl_tensor d, tl_tensor gain, tl_tensor shift, double epsilon)
{
    const tl_tensor variance = tl_mean_keep_at(at, tl_square_at(at, d), 1, last);
    tl_tensor y = tl_div_at(at, d, tl_sqrt_at(at, tl_add_scalar_at(at, variance, epsilon)));
    if (!tl_absent(gain)) y = tl_mul_at(at, y, gain);
    return tl_absent(shift) ? y : tl_add_at(at, y, shift);
}

tl_tensor tl_layer_norm_at(tl_place at, tl_tensor x, tl_tensor gain, tl_tensor shift, double epsilon)
{
    if (!(epsilon >= 0) || !tl_rank(x)) return tl_apply_at(at, &refusal_layer_norm, &x, 1, &(epsilon_attr){ epsilon });
    return scaled(at, tl_sub_at(at, x, tl_mean_keep_at(at, x, 1, last)), gain, shift, epsilon);
}
tl_tensor tl_rms_norm_at(tl_place at, tl_tensor x, tl_tensor gain, double epsilon)
{
    if (!(epsilon >= 0) || !tl_rank(x)) return tl_apply_at(at, &refusal_rms_norm, &x, 1, &(epsilon_attr){ epsilon });
    return scaled(at, x, gain, TL_NONE, epsilon);
}
tl_tensor(tl_layer_norm)(tl_tensor x, tl_tensor gain, tl_tensor shift, double epsilon)
{
    return tl_layer_norm_at(TL_NOWHERE, x, gain, shift, epsilon);
}
tl_tensor(tl_rms_norm)(tl_tensor x, tl_tensor gain, double epsilon)
{
    return tl_rms_norm_at(TL_NOWHERE, x, gain, epsilon);
}

tl_tensor tl_l2_normalize_at(tl_place at, tl_tensor x, int n, const int *axes, double epsilon)
{
    if (!(epsilon >= 0)) return tl_apply_at(at, &refusal_l2_normalize, &x, 1, &(epsilon_attr){ epsilon });
    return tl_div_at(at, x, tl_clip_at(at, tl_norm_keep_at(at, x, n, axes), epsilon, INFINITY));
}
tl_tensor(tl_l2_normalize)(tl_tensor x, int n, const int *axes, double epsilon)
{
    return tl_l2_normalize_at(TL_NOWHERE, x, n, axes, epsilon);
}
