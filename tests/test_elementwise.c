/* tests/test_elementwise.c - elementwise operations and activations against PyTorch's values and gradients. */
#include "fixtures.h"
#include "support.h"

#ifndef HAVE_FIXTURES
Test(elementwise, values_of_pytorch) { cr_skip_test("no fixture.h"); }
#else

static tl_tensor leaky_001(tl_tensor x) { return tl_leaky_relu(x, 0.01); }
static tl_tensor leaky_02(tl_tensor x) { return tl_leaky_relu(x, 0.2); }
static tl_tensor elu_1(tl_tensor x) { return tl_elu(x, 1); }
static tl_tensor cube(tl_tensor x) { return tl_pow_scalar(x, 3); }
static tl_tensor power_m05(tl_tensor x) { return tl_pow_scalar(x, -0.5); }
static tl_tensor celu_1(tl_tensor x) { return tl_celu(x, 1); }
static tl_tensor softshrink_05(tl_tensor x) { return tl_softshrink(x, 0.5); }
static tl_tensor onnx_s(tl_tensor x) { return tl_hard_sigmoid_with(x, 0.2, 0.5); }
static tl_tensor softmax_1(tl_tensor x) { return tl_softmax_axis(x, 1); }
static tl_tensor log_softmax_last(tl_tensor x) { return tl_log_softmax_axis(x, -1); }
static tl_tensor normalized(tl_tensor x) { return tl_l2_normalize(x, TL_AXES(-1), 1e-12); }

/* rtol: hard_sigmoid's 1/6 is a float's in PyTorch 1.13.1 */
static const struct {
    const char *name;
    tl_tensor (*f)(tl_tensor x);
    double rtol;
} ops[] = {
    { "ew_expm1", tl_expm1, 0 },
    { "ew_log1p", tl_log1p, 0 },
    { "ew_rsqrt", tl_rsqrt, 0 },
    { "ew_reciprocal", tl_reciprocal, 0 },
    { "ew_sin", tl_sin, 0 },
    { "ew_cos", tl_cos, 0 },
    { "ew_erf", tl_erf, 0 },
    { "ew_relu6", tl_relu6, 0 },
    { "ew_hardtanh", tl_hard_tanh, 0 },
    { "ew_leaky_relu_001", leaky_001, 0 },
    { "ew_leaky_relu_02", leaky_02, 0 },
    { "ew_elu", elu_1, 0 },
    { "ew_selu", tl_selu, 0 },
    { "ew_gelu_erf", tl_gelu, 0 },
    { "ew_gelu_tanh", tl_gelu_tanh, 0 },
    { "ew_softplus", tl_softplus, 0 },
    { "edge_softplus_big", tl_softplus, 3e-9 /* PyTorch leaves out what is below e^-20 */ },
    { "ew_softsign", tl_softsign, 0 },
    { "ew_silu", tl_silu, 0 },
    { "ew_mish", tl_mish, 0 },
    { "ew_logsigmoid", tl_log_sigmoid, 0 },
    { "ew_hardsigmoid_torch", tl_hard_sigmoid, 4e-8 },
    { "ew_celu", celu_1, 0 },
    { "ew_hardswish", tl_hard_swish, 0 },
    { "ew_tanhshrink", tl_tanhshrink, 0 },
    { "ew_softshrink", softshrink_05, 0 },
    { "ew_hardsigmoid_onnx_02_05", onnx_s, 0 },
    { "red_softmax_1", softmax_1, 0 },
    { "red_log_softmax_last", log_softmax_last, 0 },
    { "red_l2normalize", normalized, 0 },
    { "ew_pow3", cube, 0 },
    { "ew_pow_m05", power_m05, 0 },
};

static tl_tensor tensor_of(tl_scope *s, const fx_tensor *t) { return tl_const(s, t->ndim, t->dim, t->f); }

static void same_values(const char *name, const char *what, tl_tensor have, const fx_tensor *want, double rtol)
{
    double *v = values_of(have);
    cr_assert(v && tl_size(have) == want->count, "%s: %s", name, what);
    for (int64_t i = 0; i < want->count; i++)
        cr_expect_leq(fabs(v[i] - want->f[i]), (rtol ? rtol : 1e-9) * fabs(want->f[i]) + 1e-12,
                      "%s: %s, element %d: %.12g, not %.12g", name, what, (int)i, v[i], want->f[i]);
    free(v);
}

/* f of the case's operands ("x", or "a" and "b"): values, and the gradients of sum(y cot). */
static void check(const fx_case *c, tl_tensor (*f)(tl_tensor x), double rtol)
{
    tl_model *model = tl_model_new(.dtype = TL_F64);
    tl_tape *tape = tl_tape_new(model);
    tl_scope *s = tl_root(tape);
    const char *names[] = { f ? "x" : "a", "b" };
    const int n = f ? 1 : 2;
    tl_tensor in[2], d[2];
    for (int k = 0; k < n; k++) in[k] = tensor_of(s, fx_get(c, "in", names[k]));
    const tl_tensor y = f ? f(in[0]) : tl_pow(in[0], in[1]), cot = tensor_of(s, fx_get(c, "cot", "y"));
    tl_grad(tl_sum(tl_mul(y, cot), TL_ALL), in, n, d);
    cr_assert(!tl_failed(tape), "%s: %s", c->name, tl_tape_message(tape));
    same_values(c->name, "y", y, fx_get(c, "out", "y"), rtol);
    for (int k = 0; k < n; k++) same_values(c->name, names[k], d[k], fx_get(c, "gin", names[k]), rtol);
    tl_tape_free(tape);
    tl_model_free(model);
}

Test(elementwise, values_of_pytorch)
{
    const fx_suite *suite = suite_of("torch_open");
    int found = 0;
    for (size_t i = 0; i < suite->n; i++) {
        const fx_case *c = &suite->cases[i];
        for (int k = 0; k < COUNT(ops); k++)
            if (!strcmp(c->name, ops[k].name)) check(c, ops[k].f, ops[k].rtol), found++;
        if (!strcmp(c->op, "bin_pow")) check(c, NULL, 0), found++;
    }
    cr_expect(found >= COUNT(ops) + 2, "%d cases", found);
}
#endif
