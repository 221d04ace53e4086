/* tests/conformance_functions.c - functions of one tensor and of two: elementwise operations, products, reductions, shapes. */
#include "conformance.h"

static void one(replay *r)
{
    tl_tensor x = input(r, "x");
    const tl_tensor m = input(r, "m"); /* softmax(x - 1e9 (1 - m)) */
    if (!tl_absent(m)) x = tl_add(x, tl_scale(tl_add_scalar(m, -1), 1e9));
    output(r, "y", r->row->f1(x));
    if (has(r, "out", "l")) output(r, "l", tl_log_softmax(x));
}

static void two(replay *r) { output(r, "y", r->row->f2(input(r, "a"), input(r, "b"))); }

/* The result's shape says how far. */
static void reshape(replay *r)
{
    const fx_tensor *y = fx_get(r->c, "out", "y");
    if (y) output(r, "y", tl_reshape(input(r, "x"), y->ndim, y->dim));
}

static void slice_t(replay *r) { output(r, "y", tl_slice(input(r, "x"), 1, 1, 1 + dim_of(r, "out", "y", 1))); }

static void expand(replay *r)
{
    const fx_tensor *y = fx_get(r->c, "out", "y");
    if (y) output(r, "y", tl_broadcast_to(tl_slice(input(r, "x"), 1, 0, 1), y->ndim, y->dim));
}

static void repeat(replay *r)
{
    const tl_tensor x = input(r, "x");
    output(r, "y", tl_tile(x, TL_DIMS(1, dim_of(r, "out", "y", 1) / tl_dim(x, 1), 1)));
}

static void pad_last(replay *r)
{
    const tl_tensor x = input(r, "x");
    output(r, "y", tl_pad(x, -1, 1, dim_of(r, "out", "y", -1) - tl_dim(x, -1) - 1));
}

static tl_tensor leaky_001(tl_tensor x) { return tl_leaky_relu(x, 0.01); }
static tl_tensor leaky_02(tl_tensor x) { return tl_leaky_relu(x, 0.2); }
static tl_tensor celu(tl_tensor x) { return tl_celu(x, 1); }
static tl_tensor elu(tl_tensor x) { return tl_elu(x, 1); }
static tl_tensor onnx_hard_sigmoid(tl_tensor x) { return tl_hard_sigmoid_with(x, 0.2, 0.5); }
static tl_tensor soft_shrink(tl_tensor x) { return tl_softshrink(x, 0.5); }
static tl_tensor cube(tl_tensor x) { return tl_pow_scalar(x, 3); }
static tl_tensor power_m05(tl_tensor x) { return tl_pow_scalar(x, -0.5); }
static tl_tensor clamp(tl_tensor x) { return tl_clip(x, -0.5, 0.7); }
static tl_tensor identity(tl_tensor x) { return tl_scale(x, 1); }

static tl_tensor sum_all(tl_tensor x) { return tl_sum(x, TL_ALL); }
static tl_tensor sum_0(tl_tensor x) { return tl_sum(x, TL_AXES(0)); }
static tl_tensor sum_1_keep(tl_tensor x) { return tl_sum_keep(x, TL_AXES(1)); }
static tl_tensor sum_02(tl_tensor x) { return tl_sum(x, TL_AXES(0, 2)); }
static tl_tensor mean_all(tl_tensor x) { return tl_mean(x, TL_ALL); }
static tl_tensor mean_last(tl_tensor x) { return tl_mean(x, TL_AXES(-1)); }
static tl_tensor var_last(tl_tensor x) { return tl_var(x, TL_AXES(-1), 0); }
static tl_tensor var_all(tl_tensor x) { return tl_var(x, TL_ALL, 1); }
static tl_tensor std_last(tl_tensor x) { return tl_std(x, TL_AXES(-1), 1); }
/* PyTorch's max and min of an axis give all of the gradient to one of ties; tl_max and tl_min share it. */
static tl_tensor max_last(tl_tensor x) { return tl_pick(x, tl_argmax(x, -1)); }
static tl_tensor min_0(tl_tensor x) { return tl_squeeze(tl_take_along(x, tl_expand_dims(tl_argmin(x, 0), 0), 0), 0); }
static tl_tensor prod_last(tl_tensor x) { return tl_prod(x, TL_AXES(-1)); }
static tl_tensor norm_all(tl_tensor x) { return tl_norm(x, TL_ALL); }
static tl_tensor norm_last(tl_tensor x) { return tl_norm(x, TL_AXES(-1)); }
static tl_tensor logsumexp_last(tl_tensor x) { return tl_logsumexp(x, TL_AXES(-1)); }
static tl_tensor cumsum_1(tl_tensor x) { return tl_cumsum(x, 1); }
static tl_tensor softmax_1(tl_tensor x) { return tl_softmax_axis(x, 1); }
static tl_tensor l2_normalize(tl_tensor x) { return tl_l2_normalize(x, TL_AXES(-1), 1e-12); }

static tl_tensor permute_201(tl_tensor x) { return tl_permute(x, (int[]){ 2, 0, 1 }); }
static tl_tensor last_step(tl_tensor x) { return tl_squeeze(tl_slice(x, 1, -1, TL_END), 1); }
static tl_tensor step_2(tl_tensor x) { return tl_slice_step(x, 1, 0, TL_END, 2); }
static tl_tensor flip_1(tl_tensor x) { return tl_flip(x, 1); }
static tl_tensor unsqueeze(tl_tensor x) { return tl_expand_dims(x, 2); }
static tl_tensor tril(tl_tensor x) { return tl_tril(x, 0); }

const op_row function_rows[] = {
    { "ew_exp", one, tl_exp },
    { "ew_log", one, tl_log },
    { "ew_log1p", one, tl_log1p },
    { "ew_expm1", one, tl_expm1 },
    { "ew_sqrt", one, tl_sqrt },
    { "ew_rsqrt", one, tl_rsqrt },
    { "ew_square", one, tl_square },
    { "ew_neg", one, tl_neg },
    { "ew_reciprocal", one, tl_reciprocal },
    { "ew_abs", one, tl_abs },
    { "ew_sin", one, tl_sin },
    { "ew_cos", one, tl_cos },
    { "ew_tanh", one, tl_tanh },
    { "ew_sigmoid", one, tl_sigmoid },
    { "ew_relu", one, tl_relu },
    { "ew_relu6", one, tl_relu6 },
    { "ew_leaky_relu_001", one, leaky_001 },
    { "ew_leaky_relu_02", one, leaky_02 },
    { "ew_elu", one, elu },
    { "ew_selu", one, tl_selu },
    { "ew_celu", one, celu },
    { "ew_gelu_erf", one, tl_gelu },
    { "ew_gelu_tanh", one, tl_gelu_tanh },
    { "ew_softplus", one, tl_softplus },
    { "ew_softsign", one, tl_softsign },
    { "ew_silu", one, tl_silu },
    { "ew_mish", one, tl_mish },
    { "ew_logsigmoid", one, tl_log_sigmoid },
    { "ew_hardsigmoid_torch", one, tl_hard_sigmoid },
    { "ew_hardsigmoid_onnx_02_05", one, onnx_hard_sigmoid },
    { "ew_hardswish", one, tl_hard_swish },
    { "ew_hardtanh", one, tl_hard_tanh },
    { "ew_tanhshrink", one, tl_tanhshrink },
    { "ew_softshrink", one, soft_shrink },
    { "ew_erf", one, tl_erf },
    { "ew_pow3", one, cube },
    { "ew_pow_m05", one, power_m05 },
    { "ew_clamp", one, clamp },
    { "keras_act_relu", one, tl_relu },
    { "keras_act_leaky_relu", one, leaky_02 },
    { "keras_act_elu", one, elu },
    { "keras_act_selu", one, tl_selu },
    { "keras_act_gelu", one, tl_gelu },
    { "keras_act_softplus", one, tl_softplus },
    { "keras_act_softsign", one, tl_softsign },
    { "keras_act_tanh", one, tl_tanh },
    { "keras_act_sigmoid", one, tl_sigmoid },
    { "keras_act_hard_sigmoid", one, tl_hard_sigmoid },
    { "keras_act_silu", one, tl_silu },
    { "keras_act_hard_silu", one, tl_hard_swish },
    { "keras_act_exponential", one, tl_exp },
    { "keras_act_linear", one, identity },
    { "keras_act_softmax", one, tl_softmax },
    { "keras_act_log_softmax", one, tl_log_softmax },
    { "keras_act_mish", one, tl_mish },
    { "keras_act_relu6", one, tl_relu6 },
    { "bin_add", two, .f2 = tl_add },
    { "bin_sub", two, .f2 = tl_sub },
    { "bin_mul", two, .f2 = tl_mul },
    { "bin_div", two, .f2 = tl_div },
    { "bin_maximum", two, .f2 = tl_maximum },
    { "bin_minimum", two, .f2 = tl_minimum },
    { "bin_pow", two, .f2 = tl_pow },
    { "matmul", two, .f2 = tl_matmul },
    { "outer", two, .f2 = tl_outer },
    { "red_sum_all", one, sum_all },
    { "red_sum_0", one, sum_0 },
    { "red_sum_1_keep", one, sum_1_keep },
    { "red_sum_02", one, sum_02 },
    { "red_mean_all", one, mean_all },
    { "red_mean_last", one, mean_last },
    { "red_var_biased_last", one, var_last },
    { "red_var_unbiased_all", one, var_all },
    { "red_std_unbiased_last", one, std_last },
    { "red_max_last", one, max_last },
    { "red_min_0", one, min_0 },
    { "red_prod_last", one, prod_last },
    { "red_norm_all", one, norm_all },
    { "red_norm_last", one, norm_last },
    { "red_logsumexp_last", one, logsumexp_last },
    { "red_cumsum_1", one, cumsum_1 },
    { "red_softmax_last", one, tl_softmax },
    { "red_softmax_1", one, softmax_1 },
    { "red_log_softmax_last", one, tl_log_softmax },
    { "red_l2normalize", one, l2_normalize },
    { "shape_transpose_01", one, swapped },
    { "shape_permute_201", one, permute_201 },
    { "shape_reshape", reshape },
    { "shape_slice_t", slice_t },
    { "shape_slice_last_step", one, last_step },
    { "shape_slice_step2", one, step_2 },
    { "shape_flip_1", one, flip_1 },
    { "shape_expand", expand },
    { "shape_repeat", repeat },
    { "shape_pad_last", pad_last },
    { "shape_squeeze_unsq", one, unsqueeze },
    { "shape_tril", one, tril },
    { 0 },
};
