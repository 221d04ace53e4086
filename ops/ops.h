/* ops/ops.h - the operations. y is the result; broadcasting is NumPy's; dtypes are the tape's unless said otherwise.
 * NaN and infinity propagate as in IEEE 754 unless an operation's comment says otherwise.
 *
 *     elementwise, one operand       arithmetic, rounding, activations
 *     elementwise, two or three      arithmetic, comparisons, where
 *     products                       matmul, gemm, dot, outer, einsum, bilinear
 *     reductions                     sum ... norm, argmax, cumulative ones, sorting, softmax, normalisation
 *     shape                          reshape ... triu; of any dtype
 *     windows                        convolution and pooling
 *     indexing                       gather ... iota; ids are i32
 *     random                         uniform, normal, bernoulli
 *
 * Errors go to the tape (graph/graph.h), and are the same everywhere: sizes and ranks that do not fit are TL_E_SHAPE;
 * i32 where numbers are computed, and anything else where ids belong, TL_E_DTYPE; an axis that is not there or is named
 * twice, or a number that makes no sense, TL_E_ARGUMENT; an operand TL_NONE, TL_E_ABSENT, unless it may be absent; an
 * id or a length out of range TL_E_INDEX, when the plan runs. TL_E_STALE and TL_E_TAPE are those of handles. Axes may
 * be negative, and then count from the end.
 *
 * Everything has derivatives of every order, made of the operations here, unless its comment says otherwise. */
#ifndef TL_OPS_H
#define TL_OPS_H

#include "../graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- elementwise, one operand ------------------------------------------------------------------------------- */

TL_PLACED(tl_tensor, tl_neg, tl_tensor x); /* y = -x */
#define tl_neg(...) tl_neg_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_square, tl_tensor x); /* y = x x */
#define tl_square(...) tl_square_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_sqrt, tl_tensor x); /* y = sqrt(x); NaN below 0; the derivative at 0 is +inf */
#define tl_sqrt(...) tl_sqrt_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_exp, tl_tensor x); /* y = e^x */
#define tl_exp(...) tl_exp_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_log, tl_tensor x); /* y = ln x; -inf at 0, NaN below */
#define tl_log(...) tl_log_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_expm1, tl_tensor x); /* y = e^x - 1, accurate near 0 */
#define tl_expm1(...) tl_expm1_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_log1p, tl_tensor x); /* y = ln(1 + x), accurate near 0; -inf at -1, NaN below */
#define tl_log1p(...) tl_log1p_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_reciprocal, tl_tensor x); /* y = 1 / x */
#define tl_reciprocal(...) tl_reciprocal_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_rsqrt, tl_tensor x); /* y = 1 / sqrt(x); inf at 0 (derivative -inf), NaN below */
#define tl_rsqrt(...) tl_rsqrt_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_sin, tl_tensor x); /* y = sin x, of any size; NaN at infinity */
#define tl_sin(...) tl_sin_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_cos, tl_tensor x); /* y = cos x, likewise */
#define tl_cos(...) tl_cos_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_erf, tl_tensor x); /* y = erf x */
#define tl_erf(...) tl_erf_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_floor, tl_tensor x); /* y = x rounded down; the derivative of the three is declared 0 */
#define tl_floor(...) tl_floor_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_ceil, tl_tensor x); /* y = x rounded up */
#define tl_ceil(...) tl_ceil_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_round, tl_tensor x); /* y = x rounded to the nearest whole number, halves to the even one */
#define tl_round(...) tl_round_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_tanh, tl_tensor x); /* y = tanh x */
#define tl_tanh(...) tl_tanh_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_sigmoid, tl_tensor x); /* y = 1 / (1 + e^-x) */
#define tl_sigmoid(...) tl_sigmoid_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_relu, tl_tensor x); /* y = max(x, 0); the derivative at 0 is 0; NaN stays NaN */
#define tl_relu(...) tl_relu_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_abs, tl_tensor x); /* y = |x|; the derivative at 0 is 0 */
#define tl_abs(...) tl_abs_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_sign, tl_tensor x); /* y = -1, 0 or 1; NaN stays NaN; the derivative is declared 0 */
#define tl_sign(...) tl_sign_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_stop_gradient, tl_tensor x); /* y = x; no gradient passes */
#define tl_stop_gradient(...) tl_stop_gradient_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_cast, tl_tensor x, tl_dtype dtype); /* x in another type: f32, f64 or i32 (towards zero, an
    error status at run time outside i32's range). Gradient: between float types only. */
#define tl_cast(...) tl_cast_at(TL_HERE, __VA_ARGS__)

/* Activations, after whom they are first known; inf and NaN as the formula has it, but where said. Derivatives at kinks
 * are PyTorch's. */
TL_PLACED(tl_tensor, tl_softplus, tl_tensor x); /* y = ln(1 + e^x): x for large x, no overflow */
#define tl_softplus(...) tl_softplus_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_log_sigmoid, tl_tensor x); /* y = ln sigmoid(x) = -softplus(-x): x for x far below 0 */
#define tl_log_sigmoid(...) tl_log_sigmoid_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_softsign, tl_tensor x); /* y = x / (1 + |x|); 1 and -1 at infinity */
#define tl_softsign(...) tl_softsign_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_hard_sigmoid, tl_tensor x); /* y = min(max(x + 3, 0), 6) / 6; the derivative at -3 and 3 is 0 */
#define tl_hard_sigmoid(...) tl_hard_sigmoid_at(TL_HERE, __VA_ARGS__)
/* y = x > 0 ? x : slope x; the derivative at 0 is slope (Keras has 0.2, PyTorch 0.01). Maas et al. 2013. */
TL_PLACED(tl_tensor, tl_leaky_relu, tl_tensor x, double slope);
#define tl_leaky_relu(...) tl_leaky_relu_at(TL_HERE, __VA_ARGS__)
/* y = x > 0 ? x : alpha (e^x - 1); the derivative at 0 is alpha (usually 1). Clevert et al. 2016. */
TL_PLACED(tl_tensor, tl_elu, tl_tensor x, double alpha);
#define tl_elu(...) tl_elu_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_selu, tl_tensor x); /* y = 1.0507.. elu(x, 1.6732..). Klambauer et al. 2017 */
#define tl_selu(...) tl_selu_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_silu, tl_tensor x); /* y = x sigmoid(x). Elfwing et al. 2018 */
#define tl_silu(...) tl_silu_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_mish, tl_tensor x); /* y = x tanh(softplus(x)). Misra 2019 */
#define tl_mish(...) tl_mish_at(TL_HERE, __VA_ARGS__)
/* y = x P(x), P the normal distribution (by erf); 0 at -inf, where the derivative is 0 too. Hendrycks & Gimpel 2016. */
TL_PLACED(tl_tensor, tl_gelu, tl_tensor x);
#define tl_gelu(...) tl_gelu_at(TL_HERE, __VA_ARGS__)
/* y = x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), an approximation of gelu. */
TL_PLACED(tl_tensor, tl_gelu_tanh, tl_tensor x);
#define tl_gelu_tanh(...) tl_gelu_tanh_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_relu6, tl_tensor x); /* y = min(max(x, 0), 6); the derivative at 0 and 6 is 0 (clip's is 1) */
#define tl_relu6(...) tl_relu6_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_hard_tanh, tl_tensor x); /* y = min(max(x, -1), 1); the derivative at -1 and 1 is 0 */
#define tl_hard_tanh(...) tl_hard_tanh_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_hard_swish, tl_tensor x); /* y = x min(max(x + 3, 0), 6) / 6; NaN at -inf. Howard et al. 2019 */
#define tl_hard_swish(...) tl_hard_swish_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_tanhshrink, tl_tensor x); /* y = x - tanh x */
#define tl_tanhshrink(...) tl_tanhshrink_at(TL_HERE, __VA_ARGS__)
/* y = x - v above v, x + v below -v, else 0; v >= 0 (else TL_E_ARGUMENT; PyTorch's default is 0.5). */
TL_PLACED(tl_tensor, tl_softshrink, tl_tensor x, double v);
#define tl_softshrink(...) tl_softshrink_at(TL_HERE, __VA_ARGS__)
/* y = x > 0 ? x : alpha (e^(x / alpha) - 1), alpha > 0 and finite (else TL_E_ARGUMENT; usually 1). Barron 2017. */
TL_PLACED(tl_tensor, tl_celu, tl_tensor x, double alpha);
#define tl_celu(...) tl_celu_at(TL_HERE, __VA_ARGS__)
/* y = min(max(slope x + offset, 0), 1): ONNX's HardSigmoid and that of older Keras, 0.2 and 0.5. Gradient as clip's. */
TL_PLACED(tl_tensor, tl_hard_sigmoid_with, tl_tensor x, double slope, double offset);
#define tl_hard_sigmoid_with(...) tl_hard_sigmoid_with_at(TL_HERE, __VA_ARGS__)
/* y = min(max(x, lo), hi), lo <= hi (else TL_E_ARGUMENT; they may be infinite), both rounded to the element type. NaN
 * stays NaN. The gradient passes where lo <= x <= hi, borders included. */
TL_PLACED(tl_tensor, tl_clip, tl_tensor x, double lo, double hi);
#define tl_clip(...) tl_clip_at(TL_HERE, __VA_ARGS__)
/* y = x^p for a number p; NaN for x < 0 unless p is whole; x^0 = 1 even of NaN. dx = p x^(p-1), 0 for p = 0. */
TL_PLACED(tl_tensor, tl_pow_scalar, tl_tensor x, double p);
#define tl_pow_scalar(...) tl_pow_scalar_at(TL_HERE, __VA_ARGS__)

/* ---- elementwise, two or three operands --------------------------------------------------------------------- */

TL_PLACED(tl_tensor, tl_add, tl_tensor a, tl_tensor b); /* y = a + b */
#define tl_add(...) tl_add_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_sub, tl_tensor a, tl_tensor b); /* y = a - b */
#define tl_sub(...) tl_sub_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_mul, tl_tensor a, tl_tensor b); /* y = a b, element by element */
#define tl_mul(...) tl_mul_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_div, tl_tensor a, tl_tensor b); /* y = a / b */
#define tl_div(...) tl_div_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_maximum, tl_tensor a,
          tl_tensor b); /* y = max(a, b); NaN if either is; ties share the gradient */
#define tl_maximum(...) tl_maximum_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_minimum, tl_tensor a, tl_tensor b); /* y = min(a, b); likewise */
#define tl_minimum(...) tl_minimum_at(TL_HERE, __VA_ARGS__)

/* y = a^b; NaN for a < 0 unless b is whole; a^0 = 1 and 1^b = 1 even of NaN. da = b a^(b-1), 0 where b = 0; db = y ln
 * a, 0 where a = 0 and b >= 0, NaN where a < 0. */
TL_PLACED(tl_tensor, tl_pow, tl_tensor a, tl_tensor b);
#define tl_pow(...) tl_pow_at(TL_HERE, __VA_ARGS__)
/* y = ln(e^a + e^b) without overflow; -inf where both are. da = e^(a-y), db = e^(b-y), halves where a = b, even
 * infinite ones. */
TL_PLACED(tl_tensor, tl_logaddexp, tl_tensor a, tl_tensor b);
#define tl_logaddexp(...) tl_logaddexp_at(TL_HERE, __VA_ARGS__)
/* y = a b + c, rounded once. */
TL_PLACED(tl_tensor, tl_fma, tl_tensor a, tl_tensor b, tl_tensor c);
#define tl_fma(...) tl_fma_at(TL_HERE, __VA_ARGS__)

/* y = x + v, y = x v for a number v, rounded once to the tape's dtype. */
TL_PLACED(tl_tensor, tl_add_scalar, tl_tensor x, double v);
#define tl_add_scalar(...) tl_add_scalar_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_scale, tl_tensor x, double v);
#define tl_scale(...) tl_scale_at(TL_HERE, __VA_ARGS__)

/* y = a + w (b - a), computed as (1 - w) a + w b: b where w = 1, a where w = 0, if both are
 * finite (0 times an infinity is NaN). */
TL_PLACED(tl_tensor, tl_lerp, tl_tensor a, tl_tensor b, tl_tensor w);
#define tl_lerp(...) tl_lerp_at(TL_HERE, __VA_ARGS__)

/* y = c ? a : b. c is of any dtype, true where not zero. What is not chosen leaves no
 * trace in y, not even a NaN; its gradient is 0, which a pole further back (ln 0) still turns into a NaN, as in
 * PyTorch. */
TL_PLACED(tl_tensor, tl_where, tl_tensor c, tl_tensor a, tl_tensor b);
#define tl_where(...) tl_where_at(TL_HERE, __VA_ARGS__)

/* Comparisons: 1 or 0 in the tape's float type; operands both float or both i32; 0 where either is NaN (not_equal: 1).
 * The derivative is declared 0. */
TL_PLACED(tl_tensor, tl_equal, tl_tensor a, tl_tensor b);
#define tl_equal(...) tl_equal_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_not_equal, tl_tensor a, tl_tensor b);
#define tl_not_equal(...) tl_not_equal_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_less, tl_tensor a, tl_tensor b);
#define tl_less(...) tl_less_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_less_equal, tl_tensor a, tl_tensor b);
#define tl_less_equal(...) tl_less_equal_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_greater, tl_tensor a, tl_tensor b);
#define tl_greater(...) tl_greater_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_greater_equal, tl_tensor a, tl_tensor b);
#define tl_greater_equal(...) tl_greater_equal_at(TL_HERE, __VA_ARGS__)

/* ---- products ----------------------------------------------------------------------------------------------- */

/* y = a b, [..., m, k] x [..., k, n] -> [..., m, n]; batch axes broadcast; a vector counts as a row on the left, a
 * column on the right, as in NumPy. Each element is one chain of fused multiply-adds over k (large products may go to
 * OpenBLAS, unless tl_exact()). */
TL_PLACED(tl_tensor, tl_matmul, tl_tensor a, tl_tensor b);
#define tl_matmul(...) tl_matmul_at(TL_HERE, __VA_ARGS__)

/* y = c + op(a) op(b), the chain starting from c, where op transposes the last two axes if asked to. c may be absent
 * (zero); otherwise it has y's shape or broadcasts to it. Ranks at least 2. */
TL_PLACED(tl_tensor, tl_gemm, tl_tensor c, tl_tensor a, tl_tensor b, bool transpose_a, bool transpose_b);
#define tl_gemm(...) tl_gemm_at(TL_HERE, __VA_ARGS__)

/* y = sum_i a_i b_i over the last axes, which are equally long: [..., D] and [..., D] -> [...]; the others
 * broadcast. */
TL_PLACED(tl_tensor, tl_dot, tl_tensor a, tl_tensor b);
#define tl_dot(...) tl_dot_at(TL_HERE, __VA_ARGS__)
/* y_ij = a_i b_j of the last axes: [..., m] and [..., n] -> [..., m, n]; the others broadcast. */
TL_PLACED(tl_tensor, tl_outer, tl_tensor a, tl_tensor b);
#define tl_outer(...) tl_outer_at(TL_HERE, __VA_ARGS__)

/* Sums of products as Einstein wrote them: tl_einsum("bij,bjk->bik", 2, x) has a letter for each axis of each of the n
 * >= 1 operands; letters that the output lacks are summed over. Without "->" the output has, in alphabetical order, the
 * letters that come once. A letter that an operand has twice takes its diagonal. Spaces do not count; there is no
 * ellipsis, and nothing is broadcast. Operands are joined from the left, each time by one batched product (a product
 * element by element where nothing is summed), in the output's order of axes. Bad equations are TL_E_ARGUMENT; ranks
 * and sizes that do not fit, TL_E_SHAPE. */
TL_PLACED(tl_tensor, tl_einsum, const char *equation, int n, const tl_tensor *x);
#define tl_einsum(...) tl_einsum_at(TL_HERE, __VA_ARGS__)
/* y_o = a W_o b over the last axes, [..., I], [O, I, J] and [..., J] -> [..., O]: PyTorch's, without a bias. */
TL_PLACED(tl_tensor, tl_bilinear, tl_tensor a, tl_tensor W, tl_tensor b);
#define tl_bilinear(...) tl_bilinear_at(TL_HERE, __VA_ARGS__)

/* ---- reductions --------------------------------------------------------------------------------------------- */

/* All axes for n = 0 (TL_ALL); else the n given ones: tl_sum(x, TL_AXES(0, 1)). Reduced axes are dropped; the functions
 * ending in _keep keep them, of size 1. */
#ifdef __cplusplus
#define TL_AXES(...)                                                                                                   \
    static_cast<int>(std::initializer_list<int>{ __VA_ARGS__ }.size()),                                                \
        std::initializer_list<int>{ __VA_ARGS__ }.begin()
#else
#define TL_AXES(...) ((int)(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int))), ((int[]){ __VA_ARGS__ })
#endif
#define TL_ALL 0, NULL

/* Sums: over leading axes row by row; over the last axis in 16 lanes (index mod 16) joined by a fixed tree: the same
 * bits on every machine. The sum of nothing is 0. */
TL_PLACED(tl_tensor, tl_sum, tl_tensor x, int n, const int *axes);
#define tl_sum(...) tl_sum_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_mean, tl_tensor x, int n, const int *axes); /* sum / count; NaN of nothing */
#define tl_mean(...) tl_mean_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_max, tl_tensor x, int n, const int *axes); /* NaN if any is; ties share the gradient evenly; an
    axis of size 0 is TL_E_SHAPE */
#define tl_max(...) tl_max_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_sum_keep, tl_tensor x, int n, const int *axes); /* as tl_sum; reduced axes stay, of size 1 */
#define tl_sum_keep(...) tl_sum_keep_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_mean_keep, tl_tensor x, int n, const int *axes);
#define tl_mean_keep(...) tl_mean_keep_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_max_keep, tl_tensor x, int n, const int *axes);
#define tl_max_keep(...) tl_max_keep_at(TL_HERE, __VA_ARGS__)

TL_PLACED(tl_tensor, tl_min, tl_tensor x, int n, const int *axes); /* as tl_max */
#define tl_min(...) tl_min_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_min_keep, tl_tensor x, int n, const int *axes);
#define tl_min_keep(...) tl_min_keep_at(TL_HERE, __VA_ARGS__)
/* The product, axis by axis in order; that of nothing is 1. The gradient is made without dividing: zeros and infinities
 * are no exception. */
TL_PLACED(tl_tensor, tl_prod, tl_tensor x, int n, const int *axes);
#define tl_prod(...) tl_prod_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_prod_keep, tl_tensor x, int n, const int *axes);
#define tl_prod_keep(...) tl_prod_keep_at(TL_HERE, __VA_ARGS__)
/* sum (x - mean)^2 / max(count - correction, 0), in two passes: correction 0 is the biased variance, 1 the unbiased
 * one, negative ones TL_E_ARGUMENT. NaN where that is 0 / 0 (nothing; one number, unbiased). tl_std is its root, whose derivative at 0 is 0. */
TL_PLACED(tl_tensor, tl_var, tl_tensor x, int n, const int *axes, double correction);
#define tl_var(...) tl_var_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_var_keep, tl_tensor x, int n, const int *axes, double correction);
#define tl_var_keep(...) tl_var_keep_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_std, tl_tensor x, int n, const int *axes, double correction);
#define tl_std(...) tl_std_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_std_keep, tl_tensor x, int n, const int *axes, double correction);
#define tl_std_keep(...) tl_std_keep_at(TL_HERE, __VA_ARGS__)
/* sqrt(sum x^2); the derivative at 0 is 0. Squares are not scaled: they overflow where x^2 does. */
TL_PLACED(tl_tensor, tl_norm, tl_tensor x, int n, const int *axes);
#define tl_norm(...) tl_norm_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_norm_keep, tl_tensor x, int n, const int *axes);
#define tl_norm_keep(...) tl_norm_keep_at(TL_HERE, __VA_ARGS__)
/* ln sum e^x, computed with the largest taken out. Numbers that are all -inf give -inf and have the gradient 0; so does
 * nothing at all. +inf gives inf, and has the gradient NaN. */
TL_PLACED(tl_tensor, tl_logsumexp, tl_tensor x, int n, const int *axes);
#define tl_logsumexp(...) tl_logsumexp_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_logsumexp_keep, tl_tensor x, int n, const int *axes);
#define tl_logsumexp_keep(...) tl_logsumexp_keep_at(TL_HERE, __VA_ARGS__)

/* i32 index of the largest along an axis, which is dropped; the first of ties; a NaN is the largest. No derivative. */
TL_PLACED(tl_tensor, tl_argmax, tl_tensor x, int axis);
#define tl_argmax(...) tl_argmax_at(TL_HERE, __VA_ARGS__)

TL_PLACED(tl_tensor, tl_argmin, tl_tensor x, int axis); /* of the smallest; a NaN counts as smallest */
#define tl_argmin(...) tl_argmin_at(TL_HERE, __VA_ARGS__)

/* y_k = x_0 + ... + x_k (x_0 ... x_k) along an axis, one after the other; the gradient is right at zeros too. */
TL_PLACED(tl_tensor, tl_cumsum, tl_tensor x, int axis);
#define tl_cumsum(...) tl_cumsum_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_cumprod, tl_tensor x, int axis);
#define tl_cumprod(...) tl_cumprod_at(TL_HERE, __VA_ARGS__)

/* An axis in ascending order, and the i32 indices that do it (no derivative). Equal numbers keep their order; a NaN is
 * the largest. The gradient goes to where a number came from. */
TL_PLACED(tl_tensor, tl_sort, tl_tensor x, int axis);
#define tl_sort(...) tl_sort_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_argsort, tl_tensor x, int axis);
#define tl_argsort(...) tl_argsort_at(TL_HERE, __VA_ARGS__)
/* The k largest along an axis, largest first, and in *ids (may be NULL) their i32 indices; the first of ties first, a
 * NaN is the largest. More than the axis has is TL_E_SHAPE. */
TL_PLACED(tl_tensor, tl_topk, tl_tensor x, int64_t k, int axis, tl_tensor *ids);
#define tl_topk(...) tl_topk_at(TL_HERE, __VA_ARGS__)

/* Over the last axis: y_i = e^(x_i - m) / sum_j e^(x_j - m), m = max x. A row that is -inf throughout (fully masked)
 * gives zeros and has the gradient 0; one with a +inf gives NaN, and so has its gradient. Rank at least 1. */
TL_PLACED(tl_tensor, tl_softmax, tl_tensor x);
#define tl_softmax(...) tl_softmax_at(TL_HERE, __VA_ARGS__)
/* Over the last axis: y_i = x_i - m - ln sum_j e^(x_j - m). A row that is -inf throughout gives -inf and passes its
 * gradient on as it is; one with a +inf gives NaN, and so has its gradient. */
TL_PLACED(tl_tensor, tl_log_softmax, tl_tensor x);
#define tl_log_softmax(...) tl_log_softmax_at(TL_HERE, __VA_ARGS__)
/* The same over any one axis; negative ones count from the end. */
TL_PLACED(tl_tensor, tl_softmax_axis, tl_tensor x, int axis);
#define tl_softmax_axis(...) tl_softmax_axis_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_log_softmax_axis, tl_tensor x, int axis);
#define tl_log_softmax_axis(...) tl_log_softmax_axis_at(TL_HERE, __VA_ARGS__)

/* Over the last axis: y = gain (x - mean) / sqrt(var + epsilon) + shift, with the biased variance; gain and shift
 * broadcast to x and may be absent (1 and 0). Keras' epsilon is 1e-3, PyTorch's 1e-5. Rank at least 1. Ba et al.
 * 2016. */
TL_PLACED(tl_tensor, tl_layer_norm, tl_tensor x, tl_tensor gain, tl_tensor shift, double epsilon);
#define tl_layer_norm(...) tl_layer_norm_at(TL_HERE, __VA_ARGS__)
/* y = gain x / sqrt(mean x^2 + epsilon), likewise. Zhang & Sennrich 2019. */
TL_PLACED(tl_tensor, tl_rms_norm, tl_tensor x, tl_tensor gain, double epsilon);
#define tl_rms_norm(...) tl_rms_norm_at(TL_HERE, __VA_ARGS__)
/* y = x / max(sqrt(sum x^2 over the axes), epsilon), PyTorch's normalize (epsilon 1e-12): zeros stay zeros, where the
 * gradient is g / epsilon. TL_E_ARGUMENT unless epsilon >= 0, as of the two above. */
TL_PLACED(tl_tensor, tl_l2_normalize, tl_tensor x, int n, const int *axes, double epsilon);
#define tl_l2_normalize(...) tl_l2_normalize_at(TL_HERE, __VA_ARGS__)

/* ---- shape (dtype i32 allowed) ------------------------------------------------------------------------------ */

/* The same numbers under another shape; one dimension may be -1 and is worked out. */
TL_PLACED(tl_tensor, tl_reshape, tl_tensor x, int rank, const int64_t *dim);
#define tl_reshape(...) tl_reshape_at(TL_HERE, __VA_ARGS__)
/* y's axis i is x's axis order[i]; rank entries. */
TL_PLACED(tl_tensor, tl_permute, tl_tensor x, const int *order);
#define tl_permute(...) tl_permute_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_transpose, tl_tensor x); /* the last two axes change places */
#define tl_transpose(...) tl_transpose_at(TL_HERE, __VA_ARGS__)
/* Elements begin..end-1 of an axis (negative ones count from the end; end may be TL_END). */
#define TL_END INT64_MAX
TL_PLACED(tl_tensor, tl_slice, tl_tensor x, int axis, int64_t begin, int64_t end);
#define tl_slice(...) tl_slice_at(TL_HERE, __VA_ARGS__)
/* Element i of axis 0, which is dropped: x_t of a sequence [T, B, D] is tl_at(x, t), the last one tl_at(x, -1):
 * negative ones count from the end. TL_E_SHAPE if there is no such element. */
TL_PLACED(tl_tensor, tl_at, tl_tensor x, int64_t i);
#define tl_at(...) tl_at_at(TL_HERE, __VA_ARGS__)
/* n tensors joined along an axis, n >= 1; all other dimensions equal. */
TL_PLACED(tl_tensor, tl_concat, int n, const tl_tensor *x, int axis);
#define tl_concat(...) tl_concat_at(TL_HERE, __VA_ARGS__)
/* n tensors of one shape under a new axis (0..rank): n >= 1. */
TL_PLACED(tl_tensor, tl_stack, int n, const tl_tensor *x, int axis);
#define tl_stack(...) tl_stack_at(TL_HERE, __VA_ARGS__)
/* out[0..n-1] = n equal parts of an axis, whose size n must divide. */
TL_API void tl_split_at(tl_place at, tl_tensor x, int n, int axis, tl_tensor *out);
TL_API void tl_split(tl_tensor x, int n, int axis, tl_tensor *out);
#define tl_split(...) tl_split_at(TL_HERE, __VA_ARGS__)
/* x under the larger shape, by NumPy's broadcasting. */
TL_PLACED(tl_tensor, tl_broadcast_to, tl_tensor x, int rank, const int64_t *dim);
#define tl_broadcast_to(...) tl_broadcast_to_at(TL_HERE, __VA_ARGS__)
/* begin and end zeros put before and after along an axis. */
TL_PLACED(tl_tensor, tl_pad, tl_tensor x, int axis, int64_t begin, int64_t end);
#define tl_pad(...) tl_pad_at(TL_HERE, __VA_ARGS__)
/* x without an axis of size 1 (of another size: TL_E_SHAPE); x with a new one, before which `axis` others come
 * (0..rank; negative ones count from the end of the result). */
TL_PLACED(tl_tensor, tl_squeeze, tl_tensor x, int axis);
#define tl_squeeze(...) tl_squeeze_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_expand_dims, tl_tensor x, int axis);
#define tl_expand_dims(...) tl_expand_dims_at(TL_HERE, __VA_ARGS__)
/* Elements begin, begin + step ... before end of an axis; step may be negative, then TL_END means down to element 0
 * (negative begin and end count from the end of the axis). All of them must be there; none is fine. */
TL_PLACED(tl_tensor, tl_slice_step, tl_tensor x, int axis, int64_t begin, int64_t end, int64_t step);
#define tl_slice_step(...) tl_slice_step_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_flip, tl_tensor x, int axis); /* an axis backwards */
#define tl_flip(...) tl_flip_at(TL_HERE, __VA_ARGS__)
/* x [T, B, ...] with the first lengths[b] (i32 [B]) steps of row b backwards, the rest where they are. A length outside
 * 0..T is TL_E_INDEX at run time. */
TL_PLACED(tl_tensor, tl_reverse_sequence, tl_tensor x, tl_tensor lengths);
#define tl_reverse_sequence(...) tl_reverse_sequence_at(TL_HERE, __VA_ARGS__)
/* x repeated along its last n axes: tl_tile(x, TL_DIMS(2, 3)). Axes that x lacks are put in front, as in NumPy. */
TL_PLACED(tl_tensor, tl_tile, tl_tensor x, int n, const int64_t *repeats);
#define tl_tile(...) tl_tile_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_roll, tl_tensor x, int64_t shift, int axis); /* element i moves to (i + shift) mod size */
#define tl_roll(...) tl_roll_at(TL_HERE, __VA_ARGS__)
/* Of the last two axes, what is on or below (tril), on or above (triu) a diagonal, 0 elsewhere. Diagonal 0 is the main
 * one, larger ones lie above it. */
TL_PLACED(tl_tensor, tl_tril, tl_tensor x, int64_t diagonal);
#define tl_tril(...) tl_tril_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_triu, tl_tensor x, int64_t diagonal);
#define tl_triu(...) tl_triu_at(TL_HERE, __VA_ARGS__)

/* ---- windows: convolution and pooling ----------------------------------------------------------------------- */

/* How windows lie along an axis of n elements: window t has the elements t stride + k dilation - begin, k = 0 .. its
 * size - 1, and there are (n + begin + end - dilation (size - 1) - 1) / stride + 1 of them, rounded down; TL_E_SHAPE if
 * there is none. Padding is given in elements, so .begin = dilation (size - 1) is causal: output t sees no input after
 * t stride. */
typedef struct tl_window_opts {
    size_t size;
    int64_t stride;     /* default 1; of pooling: the size of its window */
    int64_t dilation;   /* default 1 */
    int64_t begin, end; /* so many elements of padding before and after */
    bool same;          /* padding for n / stride windows, rounded up: padding="same" of Keras and PyTorch */
    bool count_padding; /* of average pooling: divide by the window's size, padding included, as PyTorch does */
    double fill;        /* of tl_windows and tl_conv1d: the value of padding */
} tl_window_opts;
typedef struct tl_window2d_opts {
    size_t size;
    int64_t stride[2], dilation[2], begin[2], end[2]; /* of height and of width; padding is 0 */
    bool same, count_padding;
} tl_window2d_opts;

/* Sliding windows: [..., n, ...] -> [..., windows, size, ...]. With .stride = size it cuts into pieces. The gradient of
 * an element is the sum over all windows that have it. */
TL_API tl_tensor tl_windows_opt(tl_place at, tl_tensor x, int axis, int64_t size, const tl_window_opts *o);

/* y[t, b, o] = bias[o] + sum over k, c of w[k, c, o] x[t stride + k dilation - begin, b, c]: a sequence [T, B, C], a
 * kernel [K, C, O] and a bias [O] (may be absent) -> [T', B, O]. As everywhere in these libraries nothing is flipped.
 * The kernel is Keras' Conv1D kernel as it is, and PyTorch's Conv1d weight [O, C, K] with its axes reversed; their
 * inputs are [B, T, C] and [B, C, T]. */
TL_API tl_tensor tl_conv1d_opt(tl_place at, tl_tensor x, tl_tensor w, tl_tensor bias, const tl_window_opts *o);
/* The same over height and width: [B, H, W, C], [KH, KW, C, O] -> [B, H', W', O], Keras' Conv2D as it is; PyTorch's has
 * [B, C, H, W] and [O, C, KH, KW]. */
TL_API tl_tensor tl_conv2d_opt(tl_place at, tl_tensor x, tl_tensor w, tl_tensor bias, const tl_window2d_opts *o);

/* The largest of each window of each channel, [T, B, C] -> [T', B, C] and [B, H, W, C] -> [B, H', W', C]; NaN if there
 * is one. The gradient goes to the first of equals, as in PyTorch (tl_max shares it). Padding is never chosen; .begin or .end as large as the window is TL_E_ARGUMENT. */
TL_API tl_tensor tl_max_pool1d_opt(tl_place at, tl_tensor x, int64_t size, const tl_window_opts *o);
TL_API tl_tensor tl_max_pool2d_opt(tl_place at, tl_tensor x, int64_t height, int64_t width, const tl_window2d_opts *o);
/* The average of each window, padding not counted (as in Keras; see .count_padding). */
TL_API tl_tensor tl_average_pool1d_opt(tl_place at, tl_tensor x, int64_t size, const tl_window_opts *o);
TL_API tl_tensor tl_average_pool2d_opt(tl_place at, tl_tensor x, int64_t height, int64_t width,
                                       const tl_window2d_opts *o);

#ifndef __cplusplus
#define tl_windows(x, axis, ...) TL_WINDOWS_(x, axis, __VA_ARGS__, .size = sizeof(tl_window_opts))
#define TL_WINDOWS_(x, axis, n, ...) tl_windows_opt(TL_HERE, (x), (axis), (n), &(tl_window_opts){ __VA_ARGS__ })

#define tl_conv1d(x, w, ...) TL_CONV1D_(x, w, __VA_ARGS__, .size = sizeof(tl_window_opts))
#define TL_CONV1D_(x, w, b, ...) tl_conv1d_opt(TL_HERE, (x), (w), (b), &(tl_window_opts){ __VA_ARGS__ })

#define tl_conv2d(x, w, ...) TL_CONV2D_(x, w, __VA_ARGS__, .size = sizeof(tl_window2d_opts))
#define TL_CONV2D_(x, w, b, ...) tl_conv2d_opt(TL_HERE, (x), (w), (b), &(tl_window2d_opts){ __VA_ARGS__ })

#define tl_max_pool1d(x, ...) TL_MAX_POOL1D_(x, __VA_ARGS__, .size = sizeof(tl_window_opts))
#define TL_MAX_POOL1D_(x, n, ...) tl_max_pool1d_opt(TL_HERE, (x), (n), &(tl_window_opts){ __VA_ARGS__ })

#define tl_max_pool2d(x, h, ...) TL_MAX_POOL2D_(x, h, __VA_ARGS__, .size = sizeof(tl_window2d_opts))
#define TL_MAX_POOL2D_(x, h, w, ...) tl_max_pool2d_opt(TL_HERE, (x), (h), (w), &(tl_window2d_opts){ __VA_ARGS__ })

#define tl_average_pool1d(x, ...) TL_AVERAGE_POOL1D_(x, __VA_ARGS__, .size = sizeof(tl_window_opts))
#define TL_AVERAGE_POOL1D_(x, n, ...) tl_average_pool1d_opt(TL_HERE, (x), (n), &(tl_window_opts){ __VA_ARGS__ })

#define tl_average_pool2d(x, h, ...) TL_AVERAGE_POOL2D_(x, h, __VA_ARGS__, .size = sizeof(tl_window2d_opts))
#define TL_AVERAGE_POOL2D_(x, h, w, ...)                                                                               \
    tl_average_pool2d_opt(TL_HERE, (x), (h), (w), &(tl_window2d_opts){ __VA_ARGS__ })
#endif

/* ---- indexing ----------------------------------------------------------------------------------------------- */

/* Rows of a table by i32 ids: [V, D...] and [any...] -> [any..., D...]. An id outside 0..V-1 is TL_E_INDEX at run time.
 * The gradient of a table that is gathered from once touches the rows in use alone (tl_session_rows); gathering in each
 * step of a loop makes one of the whole table, so gather before the loop where the ids are known. */
TL_PLACED(tl_tensor, tl_gather, tl_tensor table, tl_tensor ids);
#define tl_gather(...) tl_gather_at(TL_HERE, __VA_ARGS__)
/* y = c (may be absent: zeros), of `rows` rows, with g's rows added at ids, in order: [any..., D...], [any...] ->
 * [rows, D...]. TL_E_INDEX at run time outside 0..rows-1. Rows are those of axis 0, the same for a whole batch: what
 * differs from row to row (a pointer's copy distribution) is a product with tl_one_hot(). */
TL_PLACED(tl_tensor, tl_scatter_add, tl_tensor c, tl_tensor g, tl_tensor ids, int64_t rows);
#define tl_scatter_add(...) tl_scatter_add_at(TL_HERE, __VA_ARGS__)
/* One element of each row of the last axis: [..., V], i32 [...] -> [...]; the gradient is zero elsewhere. TL_E_INDEX at
 * run time outside 0..V-1. */
TL_PLACED(tl_tensor, tl_pick, tl_tensor x, tl_tensor ids);
#define tl_pick(...) tl_pick_at(TL_HERE, __VA_ARGS__)
/* y[..., j, ...] = x[..., ids[..., j, ...], ...] along an axis; all other dimensions of x and ids are equal. The
 * gradient is added up by id. TL_E_INDEX at run time outside the axis. */
TL_PLACED(tl_tensor, tl_take_along, tl_tensor x, tl_tensor ids, int axis);
#define tl_take_along(...) tl_take_along_at(TL_HERE, __VA_ARGS__)
/* table [V, D...] with its rows at ids [any...] replaced by rows [any..., D...]; of several at one id the last stays,
 * and it alone has a gradient, while the table has none there. TL_E_INDEX at run time outside 0..V-1. */
TL_PLACED(tl_tensor, tl_scatter_rows, tl_tensor table, tl_tensor ids, tl_tensor rows);
#define tl_scatter_rows(...) tl_scatter_rows_at(TL_HERE, __VA_ARGS__)
/* lengths i32 [B] -> [T, B] of the tape's dtype: 1 where t < length, else 0. TL_E_INDEX at run time outside 0..T. */
TL_PLACED(tl_tensor, tl_length_mask, tl_tensor lengths, int64_t T);
#define tl_length_mask(...) tl_length_mask_at(TL_HERE, __VA_ARGS__)
/* ids [...] -> [..., depth] of the tape's dtype: 1 at the id, else 0. TL_E_INDEX at run time outside 0..depth-1. */
TL_PLACED(tl_tensor, tl_one_hot, tl_tensor ids, int64_t depth);
#define tl_one_hot(...) tl_one_hot_at(TL_HERE, __VA_ARGS__)
/* 0, 1, ..., n-1 as i32 [n]. */
TL_PLACED(tl_tensor, tl_iota, tl_scope *s, int64_t n);
#define tl_iota(...) tl_iota_at(TL_HERE, __VA_ARGS__)

/* ---- random ------------------------------------------------------------------------------------------------- */

/* Counter-based (Philox): an element depends on the model's seed, the scope's path and visit, the number of the random
 * op within it, the run number and the element's own indices; not on T, B, dtype or threads. No gradient. */
TL_PLACED(tl_tensor, tl_random_uniform, tl_scope *s, int rank, const int64_t *dim); /* in [0, 1), multiples of 2^-24 */
#define tl_random_uniform(...) tl_random_uniform_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_random_normal, tl_scope *s, int rank, const int64_t *dim); /* mean 0, variance 1 */
#define tl_random_normal(...) tl_random_normal_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_random_bernoulli, tl_scope *s, int rank, const int64_t *dim,
          double p); /* 1 with probability p, else 0 */
#define tl_random_bernoulli(...) tl_random_bernoulli_at(TL_HERE, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
