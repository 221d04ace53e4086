/* tests/test_values.c - what operations compute where it is delicate: NaN, infinities, signed zeros, nothing at all, ties,
 * the borders of domains; and the calls that are made of several operations. In both types, by tl_eval and by a plan. */
#include "support.h"

#include <float.h>

static tl_model *model;
static tl_tape *tape;
static tl_scope *root;
static int n_kept;
static double *kept[800];

static void begin(tl_dtype dtype)
{
    model = tl_model_new(.dtype = dtype, .seed = 5);
    tape = tl_tape_new(model);
    root = tl_root(tape);
    n_kept = 0;
}

/* Every value that was looked at comes out of a plan to the same bit. */
static void end(void)
{
    cr_assert(!tl_failed(tape), "%s", tl_tape_message(tape));
    tl_session *s = run_once(tape, NULL, 0);
    for (int i = 0; i < n_kept; i++) {
        char name[16];
        tl_array a;
        snprintf(name, sizeof name, "%d", i);
        cr_assert(tl_get(s, name, &a) == TL_OK, "%s", tl_message());
        for (int64_t k = 0; k < elements(&a); k++) {
            const double v = tl_read(a.data, a.dtype, k);
            cr_assert(!memcmp(&v, &kept[i][k], sizeof v) || (isnan(v) && isnan(kept[i][k])),
                      "value %d, element %d: tl_eval %g, plan %g", i, (int)k, kept[i][k], v);
        }
        free(kept[i]);
    }
    tl_session_free(s);
    tl_model_free(model);
    cr_assert(tl_live_bytes() == 0, "%zu bytes are still live", tl_live_bytes());
}

/* The same sign of zero, NaN for NaN, and all but the last bits. */
static bool alike(double have, double want)
{
    if (isnan(want) || isinf(want) || want == 0)
        return isnan(want) ? isnan(have) : have == want && signbit(have) == signbit(want);
    return fabs(have - want) <= 4 * (tl_model_dtype(model) == TL_F32 ? FLT_EPSILON : DBL_EPSILON) * fabs(want);
}

static void values_are(int line, const char *what, tl_tensor x, int n, const double *want)
{
    cr_assert(!tl_failed(tape), "line %d, %s: %s", line, what, tl_tape_message(tape));
    cr_assert(tl_size(x) == n, "line %d, %s: %d values, not %d", line, what, (int)tl_size(x), n);
    cr_assert(n_kept < COUNT(kept));
    char name[16];
    snprintf(name, sizeof name, "%d", n_kept);
    tl_output(root, name, x);
    const double *v = kept[n_kept++] = values_of(x);
    cr_assert(!tl_failed(tape), "line %d, %s: %s", line, what, tl_tape_message(tape));
    for (int i = 0; i < n; i++)
        cr_assert(alike(v[i], want[i]), "line %d, %s, element %d: %.9g, not %.9g", line, what, i, v[i], want[i]);
}
#define LIST(...)                                                                                                      \
    COUNT(((double[]){ __VA_ARGS__ })), (double[]) { __VA_ARGS__ }
#define ARE(x, ...) values_are(__LINE__, #x, (x), LIST(__VA_ARGS__))
#define IS_EMPTY(x) values_are(__LINE__, #x, (x), 0, NULL)

static void shape_is(int line, tl_tensor x, int rank, const int64_t *dim)
{
    cr_assert(!tl_failed(tape), "line %d: %s", line, tl_tape_message(tape));
    cr_assert(tl_rank(x) == rank, "line %d: rank %d, not %d", line, tl_rank(x), rank);
    for (int i = 0; i < rank; i++)
        cr_assert(tl_dim(x, i) == dim[i], "line %d: dimension %d is %d", line, i, (int)tl_dim(x, i));
}
#define SHAPE_IS(x, ...) shape_is(__LINE__, (x), TL_DIMS(__VA_ARGS__))

static tl_tensor row(int n, const double *v) { return tl_const(root, TL_DIMS(n), v); }
#define ROW(...) row(LIST(__VA_ARGS__))
#define NUMBERS(dims, ...) tl_const(root, dims, (double[]){ __VA_ARGS__ })
#define DIMS(...) TL_DIMS(__VA_ARGS__)
static tl_tensor ids_row(int n, const int32_t *v) { return tl_ids_const(root, TL_DIMS(n), v); }
#define IDS_ROW(...) ids_row(COUNT(((int32_t[]){ __VA_ARGS__ })), (int32_t[]){ __VA_ARGS__ })

static tl_tensor gradient_at(tl_place at, tl_tensor y, tl_tensor x)
{
    tl_tensor g;
    tl_grad_at(at, y, &x, 1, &g);
    return g;
}
#define gradient(y, x) gradient_at(TL_HERE, (y), (x))

/* 1, 2, 3, ... under a shape */
static tl_tensor counted(int rank, const int64_t *dim)
{
    double v[256];
    for (int i = 0; i < COUNT(v); i++) v[i] = i + 1;
    return tl_const(root, rank, dim, v);
}

/* ---- elementwise -------------------------------------------------------------------------------------------- */

enum { EDGES = 8 };
#define INF INFINITY
/* clang-format off */
static const struct {
    const char *name;
    tl_tensor (*f)(tl_tensor x);
    double x[EDGES], y[EDGES];
} unary[] = {
    { "neg", tl_neg, { 0, -0.0, 1, INF, -INF, NAN, -2, 3 }, { -0.0, 0, -1, -INF, INF, NAN, 2, -3 } },
    { "square", tl_square, { 0, -0.0, 3, INF, -INF, NAN, -2, 1e30 }, { 0, 0, 9, INF, INF, NAN, 4, 1e60 } },
    { "sqrt", tl_sqrt, { 0, -0.0, 4, INF, -INF, NAN, -1, 2.25 }, { 0, -0.0, 2, INF, NAN, NAN, NAN, 1.5 } },
    { "exp", tl_exp, { 0, -0.0, 1, INF, -INF, NAN, 1e4, -1e4 }, { 1, 1, M_E, INF, 0, NAN, INF, 0 } },
    { "log", tl_log, { 0, -0.0, 1, INF, -INF, NAN, -1, 0.5 }, { -INF, -INF, 0, INF, NAN, NAN, NAN, -M_LN2 } },
    { "tanh", tl_tanh, { 0, -0.0, 1e4, INF, -INF, NAN, -1e4, 0.5 }, { 0, -0.0, 1, 1, -1, NAN, -1, 0.46211715726000976 } },
    { "sigmoid", tl_sigmoid, { 0, -0.0, 1e4, INF, -INF, NAN, -1e4, 1 }, { 0.5, 0.5, 1, 1, 0, NAN, 0, 0.7310585786300049 } },
    { "relu", tl_relu, { 0, 2, 1e4, INF, -INF, NAN, -1e4, -1 }, { 0, 2, 1e4, INF, 0, NAN, 0, 0 } },
    { "abs", tl_abs, { 0, -0.0, 2, INF, -INF, NAN, -2, -1 }, { 0, 0, 2, INF, INF, NAN, 2, 1 } },
    { "sign", tl_sign, { 0, -1e-30, 2, INF, -INF, NAN, -2, 1e-30 }, { 0, -1, 1, 1, -1, NAN, -1, 1 } },
    { "stop_gradient", tl_stop_gradient, { 0, -0.0, 2, INF, -INF, NAN, -2, 1e-30 },
                                         { 0, -0.0, 2, INF, -INF, NAN, -2, 1e-30 } },
    { "expm1", tl_expm1, { 0, -0.0, 1, INF, -INF, NAN, 1e4, -1e-9 }, { 0, -0.0, M_E - 1, INF, -1, NAN, INF, -9.999999995e-10 } },
    { "log1p", tl_log1p, { 0, -0.0, -1, INF, -2, NAN, 1e-9, 3 }, { 0, -0.0, -INF, INF, NAN, NAN, 9.999999995e-10, 2 * M_LN2 } },
    { "reciprocal", tl_reciprocal, { 0, -0.0, 2, INF, -INF, NAN, -4, 0.5 }, { INF, -INF, 0.5, 0, -0.0, NAN, -0.25, 2 } },
    { "rsqrt", tl_rsqrt, { 0, -0.0, 4, INF, -INF, NAN, -1, 0.25 }, { INF, -INF, 0.5, 0, NAN, NAN, NAN, 2 } },
    { "sin", tl_sin, { 0, -0.0, 0x1p100, INF, -INF, NAN, -0.5, 3e6 },
                     { 0, -0.0, -0.8721836054182673, NAN, NAN, NAN, -0.479425538604203, -0.8784900581447479 } },
    { "cos", tl_cos, { 0, -0.0, 0x1p100, INF, -INF, NAN, -0.5, 3e6 },
                     { 1, 1, 0.48917865697472146, NAN, NAN, NAN, 0.8775825618903728, 0.4777606280773224 } },
    { "erf", tl_erf, { 0, -0.0, 10, INF, -INF, NAN, -10, 0.5 }, { 0, -0.0, 1, 1, -1, NAN, -1, 0.5204998778130465 } },
    { "floor", tl_floor, { 0, -0.0, 1.5, INF, -INF, NAN, -0.5, -2 }, { 0, -0.0, 1, INF, -INF, NAN, -1, -2 } },
    { "ceil", tl_ceil, { 0, -0.0, 1.5, INF, -INF, NAN, -0.5, -2 }, { 0, -0.0, 2, INF, -INF, NAN, -0.0, -2 } },
    { "round", tl_round, { 0.5, -0.5, 1.5, INF, -INF, NAN, 2.5, -3.5 }, { 0, -0.0, 2, INF, -INF, NAN, 2, -4 } },
    { "softplus", tl_softplus, { 0, -0.0, 1e4, INF, -INF, NAN, -1e4, 1 },
                               { M_LN2, M_LN2, 1e4, INF, 0, NAN, 0, 1.3132616875182228 } },
    { "log_sigmoid", tl_log_sigmoid, { 0, -0.0, 1e4, INF, -INF, NAN, -1e4, -1 },
                                     { -M_LN2, -M_LN2, 0, 0, -INF, NAN, -1e4, -1.3132616875182228 } },
    { "softsign", tl_softsign, { 0, -0.0, 1e30, INF, -INF, NAN, -1, 3 }, { 0, -0.0, 1, 1, -1, NAN, -0.5, 0.75 } },
    { "hard_sigmoid", tl_hard_sigmoid, { 0, -0.0, 3, INF, -INF, NAN, -3, 1.5 }, { 0.5, 0.5, 1, 1, 0, NAN, 0, 0.75 } },
    { "selu", tl_selu, { 0, -0.0, 1, INF, -INF, NAN, 1e4, -1 },
                       { 0, -0.0, 1.0507009873554805, INF, -1.7580993408473766, NAN, 10507.009873554805, -1.1113307378125625 } },
    { "silu", tl_silu, { 0, -0.0, 1e4, INF, 1, NAN, -1e4, -2 },
                       { 0, -0.0, 1e4, INF, 0.7310585786300049, NAN, -0.0, -0.23840584404423515 } },
    { "mish", tl_mish, { 0, -0.0, 1e4, INF, 1, NAN, -1e4, 1 },
                       { 0, -0.0, 1e4, INF, 0.8650983882673103, NAN, -0.0, 0.8650983882673103 } },
    { "relu6", tl_relu6, { 0, 1e-20, 6, INF, -INF, NAN, -1, 5.5 }, { 0, 1e-20, 6, 6, 0, NAN, 0, 5.5 } },
    { "hard_tanh", tl_hard_tanh, { 0, -0.0, 1, INF, -INF, NAN, -1.5, 0.5 }, { 0, -0.0, 1, 1, -1, NAN, -1, 0.5 } },
    { "hard_swish", tl_hard_swish, { 0, -0.0, 3, INF, -INF, NAN, -3, 1.5 }, { 0, -0.0, 3, INF, NAN, NAN, -0.0, 1.125 } },
    { "tanhshrink", tl_tanhshrink, { 0, 1e4, 3, INF, -INF, NAN, -1e4, 20 }, { 0, 9999, 2.0049452463132695, INF, -INF, NAN, -9999, 19 } },
    { "gelu", tl_gelu, { 0, -0.0, 1e4, INF, -INF, NAN, -1e4, -1 }, { 0, -0.0, 1e4, INF, -0.0, NAN, -0.0, -0.15865525393145707 } },
    { "gelu_tanh", tl_gelu_tanh, { 0, -0.0, 1e4, INF, 1, NAN, -1e4, 1 },
                                 { 0, -0.0, 1e4, INF, 0.8411919906082768, NAN, -0.0, 0.8411919906082768 } },
};
/* clang-format on */

Test(values, of_one_operand_at_the_edges)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        for (int i = 0; i < COUNT(unary); i++) {
            double want[EDGES];
            for (int k = 0; k < EDGES; k++) want[k] = type == TL_F32 ? (float)unary[i].y[k] : unary[i].y[k];
            values_are(i, unary[i].name, unary[i].f(row(EDGES, unary[i].x)), EDGES, want);
            for (int k = 0; k < EDGES; k++) /* the same alone as among others */
                values_are(i, unary[i].name, unary[i].f(tl_const(root, TL_SCALAR, &unary[i].x[k])), 1, &want[k]);
            IS_EMPTY(unary[i].f(tl_const(root, TL_DIMS(3, 0), NULL)));
        }
        end();
    }
}

Test(gradients, of_one_operand_at_the_edges)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        tl_tensor x = ROW(0, -1, 2, INFINITY);
        ARE(gradient(tl_relu(x), x), 0, 0, 1, 1);
        ARE(gradient(tl_abs(x), x), 0, -1, 1, 1);
        ARE(gradient(tl_sign(x), x), 0, 0, 0, 0);
        ARE(gradient(tl_stop_gradient(x), x), 0, 0, 0, 0);
        ARE(gradient(tl_square(x), x), 0, -2, 4, INFINITY);
        x = ROW(0, 4, INFINITY);
        ARE(gradient(tl_sqrt(x), x), INFINITY, 0.25, 0);
        ARE(gradient(tl_log(x), x), INFINITY, 0.25, 0);
        x = ROW(INFINITY, -INFINITY, 0);
        ARE(gradient(tl_tanh(x), x), 0, 0, 1);
        ARE(gradient(tl_sigmoid(x), x), 0, 0, 0.25);
        x = ROW(-INFINITY, 0);
        ARE(gradient(tl_exp(x), x), 0, 1);
        ARE(gradient(tl_add_scalar(tl_scale(x, 0), 1), x), 0, 0);
        ARE(gradient(tl_expm1(x), x), 0, 1);
        ARE(gradient(tl_floor(x), x), 0, 0);
        ARE(gradient(tl_ceil(x), x), 0, 0);
        ARE(gradient(tl_round(x), x), 0, 0);
        x = ROW(0, 6, -1, 7, 3, NAN, 1e-20);
        ARE(gradient(tl_relu6(x), x), 0, 0, 0, 0, 1, 1, 1);
        ARE(gradient(tl_hard_tanh(tl_scale(x, 1 / 6.)), x), 1 / 6., 0, 1 / 6., 0, 1 / 6., 1 / 6., 1 / 6.);
        x = ROW(-INFINITY, -2, -0.5, 0.25, 0.5, 2, INFINITY, NAN);
        ARE(tl_softshrink(x, 0.5), -INFINITY, -1.5, 0, 0, 0, 1.5, INFINITY, NAN);
        ARE(gradient(tl_softshrink(x, 0.5), x), 1, 1, 0, 0, 0, 1, 1, 1);
        ARE(tl_celu(x, 2), -2, 2 * expm1(-1), 2 * expm1(-0.25), 0.25, 0.5, 2, INFINITY, NAN);
        ARE(gradient(tl_celu(x, 2), x), 0, exp(-1), exp(-0.25), 1, 1, 1, 1, 1);
        ARE(tl_hard_sigmoid_with(x, 0.2, 0.5), 0, 0.5 - 0.4, 0.4, 0.55, 0.6, 0.9, 1, NAN);
        x = ROW(-1, 0, INFINITY);
        ARE(gradient(tl_log1p(x), x), INFINITY, 1, 0);
        x = ROW(0, 4, INFINITY);
        ARE(gradient(tl_reciprocal(x), x), -INFINITY, -1 / 16., -0.0);
        ARE(gradient(tl_rsqrt(x), x), -INFINITY, -1 / 16., -0.0);
        end();
    }
}

/* At kinks as PyTorch has it; where a value is finite or its limit is, so is the gradient. */
Test(gradients, of_activations_at_the_edges)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        tl_tensor x = ROW(INFINITY, -INFINITY, 0, 1e4, -1e4);
        ARE(gradient(tl_softplus(x), x), 1, 0, 0.5, 1, 0);
        ARE(gradient(tl_log_sigmoid(x), x), 0, 1, 0.5, 0, 1);
        ARE(gradient(tl_gelu(x), x), 1, 0, 0.5, 1, 0);
        ARE(gradient(tl_erf(x), x), 0, 0, M_2_SQRTPI, 0, 0);
        ARE(gradient(tl_selu(x), x), 1.0507009873554805, 0, 1.7580993408473766, 1.0507009873554805, 0);
        x = ROW(INFINITY, 0, -1);
        ARE(gradient(tl_softsign(x), x), 0, 1, 0.25);
        x = ROW(0, 1e4, -1e4);
        ARE(gradient(tl_silu(x), x), 0.5, 1, 0);
        ARE(gradient(tl_mish(x), x), 0.6, 1, 0);
        ARE(gradient(tl_gelu_tanh(x), x), 0.5, 1, 0);
        x = ROW(-3, 3, 0, 2.9999998, -2.9999998, 4, -INFINITY);
        ARE(gradient(tl_hard_sigmoid(x), x), 0, 0, 1 / 6., 1 / 6., 1 / 6., 0, 0);
        x = ROW(0, -0.0, -1, 2, -INFINITY, INFINITY);
        ARE(tl_leaky_relu(x, 0.25), 0, -0.0, -0.25, 2, -INFINITY, INFINITY);
        ARE(gradient(tl_leaky_relu(x, 0.25), x), 0.25, 0.25, 0.25, 1, 0.25, 1);
        ARE(tl_elu(x, 1.5), 0, -0.0, 1.5 * (1 / M_E - 1), 2, -1.5, INFINITY);
        ARE(gradient(tl_elu(x, 1.5), x), 1.5, 1.5, 1.5 / M_E, 1, 0, 1);
        x = ROW(-1, 1, 0.5, 2, -INFINITY, NAN);
        ARE(tl_clip(x, -1, 1), -1, 1, 0.5, 1, -1, NAN);
        ARE(gradient(tl_clip(x, -1, 1), x), 1, 1, 1, 0, 0, 0);
        ARE(gradient(tl_clip(x, -INFINITY, 0.7), x), 1, 0, 1, 0, 1, 0);
        end();
    }
}

Test(values, of_powers)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        ARE(tl_pow(ROW(0, -2, -2, NAN, 1, 0, INFINITY), ROW(0, 3, 0.5, 0, NAN, -1, -1)), 1, -8, NAN, 1, 1, INFINITY, 0);
        const tl_tensor a = ROW(0, 0, 0, 2, -2, 3), b = ROW(0, 2, -1, 0, 3, 1), y = tl_pow(a, b);
        ARE(gradient(y, a), 0, 0, -INFINITY, 0, 12, 1);
        ARE(gradient(y, b), 0, 0, -INFINITY, M_LN2, NAN, 3 * log(3));
        const tl_tensor x = ROW(0, -2, NAN, 4);
        ARE(tl_pow_scalar(x, 0.5), 0, NAN, NAN, 2);
        ARE(gradient(tl_pow_scalar(x, 0.5), x), INFINITY, NAN, NAN, 0.25);
        ARE(tl_pow_scalar(x, 3), 0, -8, NAN, 64);
        ARE(gradient(tl_pow_scalar(x, 3), x), 0, 12, NAN, 48);
        ARE(tl_pow_scalar(x, 0), 1, 1, 1, 1);
        ARE(gradient(tl_pow_scalar(x, 0), x), 0, 0, 0, 0);
        ARE(gradient(tl_pow_scalar(x, 1), x), 1, 1, 1, 1);
        end();
    }
}

Test(values, of_sums_of_exponentials)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor a = ROW(-INFINITY, INFINITY, -INFINITY, 1000, NAN, 1, -1000, INFINITY);
        const tl_tensor b = ROW(-INFINITY, INFINITY, 2, 1000, 1, NAN, -1000, -INFINITY), y = tl_logaddexp(a, b);
        ARE(y, -INFINITY, INFINITY, 2, 1000 + M_LN2, NAN, NAN, -1000 + M_LN2, INFINITY);
        ARE(gradient(y, a), 0.5, 0.5, 0, 0.5, NAN, NAN, 0.5, 1);
        ARE(gradient(y, b), 0.5, 0.5, 1, 0.5, NAN, NAN, 0.5, 0);
        const tl_tensor c = ROW(-INFINITY, INFINITY, 0, 3), d = tl_logaddexp(c, tl_neg(tl_neg(c)));
        ARE(gradient(gradient(d, c), c), 0, 0, 0, 0);
        end();
    }
}

/* Rounded once: the product's last bit is all that is left. */
Test(values, of_fused_products)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const double e = type == TL_F32 ? 0x1p-13 : 0x1p-27;
        ARE(tl_fma(ROW(1 + e, INFINITY, INFINITY, NAN), ROW(1 - e, 0, 2, 1), ROW(-1, 1, -INFINITY, 1)), -e * e, NAN,
            NAN, NAN);
        const tl_tensor a = ROW(2, 3), b = ROW(5), c = ROW(7, 11);
        ARE(gradient(tl_fma(a, b, c), a), 5, 5);
        ARE(gradient(tl_fma(a, b, c), b), 5);
        ARE(gradient(tl_fma(a, b, c), c), 1, 1);
        end();
    }
}

Test(values, of_two_operands_at_the_edges)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor a = ROW(INFINITY, INFINITY, 0, NAN, 1, -0.0), b = ROW(-INFINITY, 0, -0.0, 1, NAN, -0.0);
        ARE(tl_add(a, b), NAN, INFINITY, 0, NAN, NAN, -0.0);
        ARE(tl_sub(a, b), INFINITY, INFINITY, 0, NAN, NAN, 0);
        ARE(tl_mul(a, b), -INFINITY, NAN, -0.0, NAN, NAN, 0);
        ARE(tl_div(ROW(1, -1, 0, 1, 5, INFINITY), ROW(0, 0, 0, -0.0, INFINITY, INFINITY)), INFINITY, -INFINITY, NAN,
            -INFINITY, 0, NAN);
        ARE(tl_maximum(ROW(NAN, 1, INFINITY, 2, -INFINITY), ROW(1, NAN, 3, 2, -1)), NAN, NAN, INFINITY, 2, -1);
        ARE(tl_minimum(ROW(NAN, 1, INFINITY, 2, -INFINITY), ROW(1, NAN, 3, 2, -1)), NAN, NAN, 3, 2, -INFINITY);
        ARE(tl_scale(ROW(INFINITY, 0, -1, NAN), 0), NAN, 0, -0.0, NAN);
        ARE(tl_scale(ROW(1, 0), INFINITY), INFINITY, NAN);
        ARE(tl_add_scalar(ROW(INFINITY, 1, -0.0), -INFINITY), NAN, -INFINITY, -INFINITY);
        ARE(tl_lerp(ROW(7, 7, 7, 1e30), ROW(9, 9, 9, 3), ROW(0, 1, 0.5, 1)), 7, 9, 8, 3);
        end();
    }
}

/* A number given as double is rounded once. */
Test(values, of_scalars_are_rounded_to_the_type)
{
    begin(TL_F32);
    ARE(tl_add_scalar(ROW(0), 0.1), (float)0.1);
    ARE(tl_scale(ROW(3), 0.1), (float)(3 * (float)0.1));
    ARE(tl_full(root, TL_DIMS(2), 1e300), INFINITY, INFINITY);
    end();
}

Test(values, of_comparisons)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor a = ROW(1, 2, 3, NAN, 0, INFINITY), b = ROW(2, 2, 2, NAN, -0.0, INFINITY);
        ARE(tl_equal(a, b), 0, 1, 0, 0, 1, 1);
        ARE(tl_not_equal(a, b), 1, 0, 1, 1, 0, 0);
        ARE(tl_less(a, b), 1, 0, 0, 0, 0, 0);
        ARE(tl_less_equal(a, b), 1, 1, 0, 0, 1, 1);
        ARE(tl_greater(a, b), 0, 0, 1, 0, 0, 0);
        ARE(tl_greater_equal(a, b), 0, 1, 1, 0, 1, 1);
        const tl_tensor i = IDS_ROW(INT32_MIN, 16777217, -1), j = IDS_ROW(INT32_MAX, 16777216, -1);
        ARE(tl_less(i, j), 1, 0, 0); /* 16777217 is no f32 */
        ARE(tl_equal(i, j), 0, 0, 1);
        cr_assert(tl_dtype_of(tl_equal(i, j)) == type);
        ARE(gradient(tl_mul(tl_less(a, b), a), a), 1, 0, 0, 0, 0, 0);
        end();
    }
}

Test(values, of_what_is_not_chosen_leave_no_trace)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor c = ROW(1, 0, NAN, -0.0), a = ROW(1, NAN, 3, INFINITY), b = ROW(NAN, 6, -INFINITY, 8);
        ARE(tl_where(c, a, b), 1, 6, 3, 8);
        ARE(tl_where(IDS_ROW(-1, 0, 5, 0), a, b), 1, 6, 3, 8);
        ARE(tl_where(tl_cast(c, type == TL_F32 ? TL_F64 : TL_F32), a, b), 1, 6, 3, 8);
        const tl_tensor x = ROW(4, -4, INFINITY), y = tl_where(ROW(1, 0, 0), tl_log(x), tl_scale(x, 2));
        ARE(gradient(y, x), 0.25, 2, 2);
        ARE(gradient(tl_where(c, a, b), c), 0, 0, 0, 0);
        const tl_tensor picked = tl_where(c, IDS_ROW(1, 2, 3, 4), IDS_ROW(5, 6, 7, 8));
        cr_assert(tl_dtype_of(picked) == TL_I32);
        ARE(picked, 1, 6, 3, 8);
        end();
    }
}

Test(gradients, are_shared_by_ties)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor a = ROW(1, 2, 3), b = ROW(2, 2, 2);
        ARE(gradient(tl_maximum(a, b), a), 0, 0.5, 1);
        ARE(gradient(tl_maximum(a, b), b), 1, 0.5, 0);
        ARE(gradient(tl_minimum(a, b), a), 1, 0.5, 0);
        ARE(gradient(tl_minimum(a, b), b), 0, 0.5, 1);
        ARE(gradient(tl_maximum(a, a), a), 1, 1, 1);
        const tl_tensor x = NUMBERS(DIMS(2, 4), 5, 1, 5, 5, 0, 0, -1, -2);
        ARE(gradient(tl_max(x, TL_AXES(1)), x), 1 / 3., 0, 1 / 3., 1 / 3., 0.5, 0.5, 0, 0);
        ARE(gradient(tl_max(x, TL_ALL), x), 1 / 3., 0, 1 / 3., 1 / 3., 0, 0, 0, 0);
        const tl_tensor ones = tl_full(root, TL_DIMS(2, 3, 2), 1);
        const double twelfth = 1 / 4.; /* over axes 0 and 2, which do not lie together */
        ARE(gradient(tl_max(ones, TL_AXES(0, 2)), ones), twelfth, twelfth, twelfth, twelfth, twelfth, twelfth, twelfth,
            twelfth, twelfth, twelfth, twelfth, twelfth);
        end();
    }
}

Test(values, of_casts)
{
    begin(TL_F64);
    const tl_tensor whole = tl_cast(ROW(1.9, -1.9, 0, -0.5, 2147483647.9, -2147483648.9), TL_I32);
    cr_assert(tl_dtype_of(whole) == TL_I32);
    ARE(whole, 1, -1, 0, 0, INT32_MAX, INT32_MIN);
    ARE(tl_cast(tl_cast(ROW(0.1, 1e300, NAN, -0.0), TL_F32), TL_F64), (float)0.1, INFINITY, NAN, -0.0);
    ARE(tl_cast(IDS_ROW(INT32_MIN, 16777217), TL_F64), INT32_MIN, 16777217);
    ARE(tl_cast(IDS_ROW(16777217), TL_F32), 16777216);
    const tl_tensor x = ROW(1, 2);
    ARE(gradient(tl_cast(tl_cast(x, TL_F32), TL_F64), x), 1, 1);
    const tl_tensor narrow = tl_cast(x, TL_F32);
    ARE(gradient(tl_mul(narrow, narrow), x), 2, 4); /* differentiated in f32, handed on in f64 */
    ARE(gradient(tl_cast(tl_cast(x, TL_I32), TL_F64), x), 0, 0);
    end();
}

/* ---- products ----------------------------------------------------------------------------------------------- */

Test(values, of_products)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor a = counted(TL_DIMS(2, 3)), b = counted(TL_DIMS(3, 2)), v = ROW(1, 0, -1);
        ARE(tl_matmul(a, b), 22, 28, 49, 64);
        ARE(tl_matmul(v, b), -4, -4);
        ARE(tl_matmul(a, v), -2, -2);
        ARE(tl_matmul(v, v), 2);
        cr_assert(tl_rank(tl_matmul(v, v)) == 0);
        ARE(tl_gemm(TL_NONE, a, a, false, true), 14, 32, 32, 77);
        ARE(tl_gemm(TL_NONE, b, b, true, false), 35, 44, 44, 56);
        ARE(tl_gemm(TL_NONE, a, b, true, true), 9, 19, 29, 12, 26, 40, 15, 33, 51);
        ARE(tl_gemm(ROW(100, 200), a, b, false, false), 122, 228, 149, 264);
        ARE(tl_gemm(tl_const(root, TL_SCALAR, (double[]){ 0.5 }), a, b, false, false), 22.5, 28.5, 49.5, 64.5);
        SHAPE_IS(tl_matmul(counted(TL_DIMS(2, 1, 3)), b), 2, 1, 2);
        end();
    }
}

Test(values, of_products_of_a_batch)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor x = counted(TL_DIMS(2, 1, 2)), w = NUMBERS(DIMS(2, 2), 1, 10, 100, 1000);
        ARE(tl_matmul(x, w), 201, 2010, 403, 4030);
        ARE(tl_matmul(w, tl_transpose(x)), 21, 2100, 43, 4300);
        ARE(tl_matmul(x, ROW(1, -1)), -1, -1);
        SHAPE_IS(tl_matmul(x, ROW(1, -1)), 2, 1);
        SHAPE_IS(tl_matmul(counted(TL_DIMS(4, 1, 2, 3)), counted(TL_DIMS(5, 3, 2))), 4, 5, 2, 2);
        ARE(gradient(tl_matmul(x, w), w), 4, 4, 6, 6);
        end();
    }
}

Test(values, of_products_with_nothing_and_with_nan)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor none = tl_const(root, TL_DIMS(2, 0), NULL), wide = tl_const(root, TL_DIMS(0, 3), NULL);
        ARE(tl_matmul(none, wide), 0, 0, 0, 0, 0, 0);
        ARE(tl_gemm(ROW(1, 2, NAN), none, wide, false, false), 1, 2, NAN, 1, 2, NAN);
        IS_EMPTY(tl_matmul(wide, counted(TL_DIMS(3, 2))));
        const tl_tensor a = NUMBERS(DIMS(2, 2), 0, 1, NAN, 0), b = NUMBERS(DIMS(2, 2), INFINITY, 1, 2, 3);
        ARE(tl_matmul(a, b), NAN, 3, NAN, NAN);
        end();
    }
}

/* In exact mode each element is one chain of fused multiply-adds, from C0, whatever the size and the transposes. */
Test(values, of_products_are_chains)
{
    enum { M = 37, K = 29, N = 41 };
    static float a[M * K], b[K * N], c[N];
    uint64_t state = 1;
    for (int i = 0; i < M * K; i++) a[i] = (float)noise(&state);
    for (int i = 0; i < K * N; i++) b[i] = (float)noise(&state);
    for (int i = 0; i < N; i++) c[i] = (float)noise(&state);
    tl_set_exact(true);
    begin(TL_F32);
    const tl_tensor A = tl_input(root, "a", FLOATS(a, M, K)), B = tl_input(root, "b", FLOATS(b, K, N)),
                    C = tl_input(root, "c", FLOATS(c, N));
    tl_tensor y[4] = { tl_gemm(C, A, B, false, false), tl_gemm(C, tl_transpose(A), B, true, false),
                       tl_gemm(C, A, tl_transpose(B), false, true),
                       tl_gemm(C, tl_transpose(A), tl_transpose(B), true, true) };
    for (int k = 0; k < 4; k++) {
        double *v = values_of(y[k]);
        for (int i = 0; i < M; i++)
            for (int j = 0; j < N; j++) {
                float want = c[j];
                for (int p = 0; p < K; p++) want = fmaf(a[i * K + p], b[p * N + j], want);
                cr_assert(v[i * N + j] == want, "transposes %d, element %d,%d: %.9g, not %.9g", k, i, j, v[i * N + j],
                          want);
            }
        free(v);
    }
    tl_tape_free(tape);
    tl_model_free(model);
}

/* ---- reductions --------------------------------------------------------------------------------------------- */

Test(values, of_sums)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor x = counted(TL_DIMS(2, 3, 2));
        ARE(tl_sum(x, TL_ALL), 78);
        ARE(tl_sum(x, TL_AXES(0)), 8, 10, 12, 14, 16, 18);
        ARE(tl_sum(x, TL_AXES(-1)), 3, 7, 11, 15, 19, 23);
        ARE(tl_sum(x, TL_AXES(1)), 9, 12, 27, 30);
        ARE(tl_sum(x, TL_AXES(2, 0)), 18, 26, 34);
        ARE(tl_sum(x, TL_AXES(0, 1)), 36, 42);
        SHAPE_IS(tl_sum_keep(x, TL_AXES(0, 2)), 1, 3, 1);
        SHAPE_IS(tl_sum_keep(x, TL_ALL), 1, 1, 1);
        ARE(tl_mean(x, TL_AXES(0, 2)), 4.5, 6.5, 8.5);
        ARE(tl_mean(x, TL_ALL), 6.5);
        ARE(tl_mean_keep(x, TL_AXES(1)), 3, 4, 9, 10);
        SHAPE_IS(tl_mean_keep(x, TL_AXES(1)), 2, 1, 2);
        ARE(tl_sum(ROW(1, NAN, 2), TL_ALL), NAN);
        ARE(tl_sum(ROW(INFINITY, 1), TL_ALL), INFINITY);
        ARE(tl_sum(ROW(INFINITY, -INFINITY), TL_ALL), NAN);
        ARE(tl_sum(tl_full(root, TL_SCALAR, 3), TL_ALL), 3);
        end();
    }
}

Test(values, of_reductions_of_nothing)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor x = tl_const(root, TL_DIMS(0, 3), NULL), y = tl_const(root, TL_DIMS(3, 0), NULL);
        ARE(tl_sum(x, TL_ALL), 0);
        ARE(tl_sum(x, TL_AXES(0)), 0, 0, 0);
        IS_EMPTY(tl_sum(x, TL_AXES(1)));
        ARE(tl_sum(y, TL_AXES(-1)), 0, 0, 0);
        ARE(tl_mean(x, TL_ALL), NAN);
        ARE(tl_mean(y, TL_AXES(1)), NAN, NAN, NAN);
        IS_EMPTY(tl_mean(x, TL_AXES(1)));
        IS_EMPTY(tl_max(x, TL_AXES(1)));
        IS_EMPTY(tl_softmax(y));
        IS_EMPTY(tl_log_softmax(x));
        IS_EMPTY(tl_argmax(x, 1));
        end();
    }
}

/* The order of sums is part of the contract, so that results are the same bits everywhere. */
Test(values, of_sums_are_taken_in_the_fixed_order)
{
    enum { R = 7, N = 53 };
    static float x[R * N];
    uint64_t state = 3;
    for (int i = 0; i < R * N; i++) x[i] = (float)noise(&state) * (i % 5 ? 1 : 1e4F);
    begin(TL_F32);
    const tl_tensor t = tl_input(root, "x", FLOATS(x, R, N));
    double *last = values_of(tl_sum(t, TL_AXES(1))), *leading = values_of(tl_sum(t, TL_AXES(0))),
           *all = values_of(tl_sum(t, TL_ALL));
    for (int r = 0; r <= R; r++) {
        float lane[16] = { 0 };
        const float *row = r < R ? x + r * N : x;
        for (int i = 0; i < (r < R ? N : R * N); i++) lane[i % 16] += row[i];
        for (int half = 8; half; half /= 2)
            for (int j = 0; j < half; j++) lane[j] += lane[j + half];
        cr_assert((r < R ? last[r] : *all) == lane[0], "row %d", r);
    }
    for (int i = 0; i < N; i++) {
        float sum = 0;
        for (int r = 0; r < R; r++) sum += x[r * N + i];
        cr_assert(leading[i] == sum, "column %d", i);
    }
    free(last), free(leading), free(all);
    tl_tape_free(tape);
    tl_model_free(model);
}

Test(values, of_largest_numbers)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor x = NUMBERS(DIMS(2, 3), 1, 7, -INFINITY, -1, -2, -3);
        ARE(tl_max(x, TL_AXES(1)), 7, -1);
        ARE(tl_max(x, TL_AXES(0)), 1, 7, -3);
        ARE(tl_max(x, TL_ALL), 7);
        SHAPE_IS(tl_max_keep(x, TL_AXES(0)), 1, 3);
        ARE(tl_max(ROW(1, NAN, 2), TL_ALL), NAN);
        ARE(tl_max(ROW(NAN, 1), TL_ALL), NAN);
        ARE(tl_max(ROW(1, NAN), TL_ALL), NAN);
        ARE(tl_max(ROW(-INFINITY, -INFINITY), TL_ALL), -INFINITY);
        ARE(tl_max(counted(TL_DIMS(2, 3, 2)), TL_AXES(0, 2)), 8, 10, 12);
        SHAPE_IS(tl_max_keep(counted(TL_DIMS(2, 3, 2)), TL_AXES(0, -1)), 1, 3, 1);
        ARE(tl_argmax(x, 1), 1, 0);
        ARE(tl_argmax(x, -2), 0, 0, 1);
        ARE(tl_argmax(ROW(3, 5, 5, 1), 0), 1);
        ARE(tl_argmax(ROW(3, NAN, 5, NAN), 0), 1);
        ARE(tl_argmax(ROW(-INFINITY, -INFINITY), 0), 0);
        cr_assert(tl_dtype_of(tl_argmax(x, 1)) == TL_I32);
        end();
    }
}

Test(values, of_softmax)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor masked = tl_full(root, TL_DIMS(2, 3), -INFINITY);
        ARE(tl_softmax(masked), 0, 0, 0, 0, 0, 0);
        ARE(gradient(tl_square(tl_softmax(masked)), masked), 0, 0, 0, 0, 0, 0);
        ARE(tl_softmax(ROW(1e30, 1e30, -1e30)), 0.5, 0.5, 0);
        ARE(tl_softmax(ROW(-INFINITY, 3, -INFINITY)), 0, 1, 0);
        ARE(tl_softmax(ROW(0, log(3))), 0.25, 0.75);
        ARE(tl_softmax(ROW(1, NAN)), NAN, NAN);
        ARE(tl_softmax(ROW(1, INFINITY)), NAN, NAN);
        ARE(tl_softmax(NUMBERS(DIMS(3, 1), -5, 700, 1e30)), 1, 1, 1);
        ARE(tl_log_softmax(ROW(1e30, 1e30)), -M_LN2, -M_LN2);
        ARE(tl_log_softmax(ROW(-INFINITY, 3)), -INFINITY, 0);
        ARE(tl_log_softmax(ROW(5, NAN)), NAN, NAN);
        ARE(tl_log_softmax(ROW(-1000, 0)), -1000, 0);
        const tl_tensor x = ROW(-INFINITY, 0, 0), y = tl_softmax(x);
        ARE(gradient(tl_mul(y, ROW(7, 1, 2)), x), 0, -0.25, 0.25);
        end();
    }
}

Test(values, of_smallest_numbers_and_products)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor x = NUMBERS(DIMS(2, 3), 1, 7, INFINITY, -1, -2, -3), none = tl_const(root, TL_DIMS(3, 0), NULL);
        ARE(tl_min(x, TL_AXES(1)), 1, -3);
        ARE(tl_min(x, TL_ALL), -3);
        SHAPE_IS(tl_min_keep(x, TL_AXES(0)), 1, 3);
        ARE(tl_min(ROW(1, NAN, 2), TL_ALL), NAN);
        const tl_tensor ties = ROW(2, 1, 1);
        ARE(gradient(tl_min(ties, TL_ALL), ties), 0, 0.5, 0.5);
        ARE(tl_argmin(ROW(3, 1, 1, 2), 0), 1);
        ARE(tl_argmin(ROW(3, NAN, -5, NAN), 0), 1);
        ARE(tl_prod(counted(TL_DIMS(2, 3)), TL_AXES(1)), 6, 120);
        ARE(tl_prod(counted(TL_DIMS(2, 3)), TL_AXES(0)), 4, 10, 18);
        ARE(tl_prod(counted(TL_DIMS(2, 3)), TL_ALL), 720);
        ARE(tl_prod(counted(TL_DIMS(2, 3, 2)), TL_AXES(2, 0)), 1 * 2 * 7 * 8, 3 * 4 * 9 * 10, 5 * 6 * 11 * 12);
        SHAPE_IS(tl_prod_keep(counted(TL_DIMS(2, 3, 2)), TL_AXES(2, 0)), 1, 3, 1);
        ARE(tl_prod(none, TL_AXES(1)), 1, 1, 1);
        ARE(tl_prod(none, TL_ALL), 1);
        IS_EMPTY(tl_prod(none, TL_AXES(0)));
        ARE(tl_prod(tl_full(root, TL_SCALAR, 5), TL_ALL), 5);
        ARE(tl_prod(ROW(0, INFINITY), TL_ALL), NAN);
        end();
    }
}

/* Where a quotient y / x would be NaN. */
Test(gradients, of_products_with_zeros)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        tl_tensor x = NUMBERS(DIMS(3, 3), 2, 3, 4, 2, 0, 4, 0, 5, 0);
        ARE(gradient(tl_prod(x, TL_AXES(1)), x), 12, 8, 6, 0, 8, 0, 0, 0, 0);
        x = NUMBERS(DIMS(2, 2), 0, 3, 5, 7); /* over both axes */
        ARE(gradient(tl_prod(x, TL_ALL), x), 105, 0, 0, 0);
        x = ROW(2, 0, 3, 0, 5);
        ARE(gradient(tl_mul(tl_cumprod(x, 0), ROW(1, 10, 100, 1000, 1e4)), x), 1, 20 + 600, 0, 0, 0);
        x = ROW(3, 0);
        ARE(gradient(tl_square(gradient(tl_prod(x, TL_ALL), x)), x), 6, 0); /* (0, 3): squares 0 and x_0^2 */
        end();
    }
}

Test(values, of_variances_and_norms)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor x = NUMBERS(DIMS(2, 4), 1, 2, 3, 4, 5, 5, 5, 5), none = tl_const(root, TL_DIMS(2, 0), NULL);
        ARE(tl_var(x, TL_AXES(1), 0), 1.25, 0);
        ARE(tl_var(x, TL_AXES(1), 1), 5 / 3., 0);
        ARE(tl_std(x, TL_AXES(-1), 0), sqrt(1.25), 0);
        ARE(tl_var(x, TL_ALL, 1), 17.5 / 7);
        ARE(tl_var(x, TL_AXES(0), 1), 8, 4.5, 2, 0.5);
        SHAPE_IS(tl_var_keep(x, TL_AXES(1), 0), 2, 1);
        SHAPE_IS(tl_std_keep(x, TL_ALL, 0), 1, 1);
        ARE(tl_var(ROW(3), TL_ALL, 1), NAN);
        ARE(tl_std(ROW(3), TL_ALL, 1), NAN);
        ARE(tl_var(ROW(1, 2), TL_ALL, 3), INFINITY);
        ARE(tl_var(none, TL_AXES(1), 0), NAN, NAN);
        ARE(tl_var(ROW(4194304, 4194305, 4194306), TL_ALL, 1), 1); /* one pass would lose this in f32 */
        ARE(tl_norm(NUMBERS(DIMS(2, 2), 3, 4, 0, 0), TL_AXES(1)), 5, 0);
        SHAPE_IS(tl_norm_keep(x, TL_AXES(0)), 1, 4);
        ARE(tl_norm(none, TL_AXES(1)), 0, 0);
        ARE(tl_norm(ROW(1, NAN), TL_ALL), NAN);
        ARE(tl_norm(ROW(1, -INFINITY), TL_ALL), INFINITY);
        const tl_tensor y = NUMBERS(DIMS(2, 2), 3, 4, 0, 0);
        ARE(gradient(tl_norm(y, TL_AXES(1)), y), 0.6, 0.8, 0, 0);
        const tl_tensor same = ROW(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1); /* whose sum / 7 need not be 0.1 */
        ARE(tl_std(same, TL_ALL, 1), 0);
        ARE(gradient(tl_std(same, TL_ALL, 1), same), 0, 0, 0, 0, 0, 0, 0);
        const tl_tensor z = NUMBERS(DIMS(2, 2), 1, 3, 5, 5);
        ARE(gradient(tl_std(z, TL_AXES(1), 0), z), -0.5, 0.5, 0, 0);
        end();
    }
}

Test(values, of_logsumexp)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor none = tl_const(root, TL_DIMS(2, 0), NULL);
        ARE(tl_logsumexp(NUMBERS(DIMS(2, 2), 0, log(3), 1e4, 1e4), TL_AXES(1)), log(4), 1e4 + M_LN2);
        ARE(tl_logsumexp(ROW(-1e4, -1e4), TL_ALL), -1e4 + M_LN2);
        ARE(tl_logsumexp(ROW(1, INFINITY), TL_ALL), INFINITY);
        ARE(tl_logsumexp(ROW(1, NAN), TL_ALL), NAN);
        ARE(tl_logsumexp(none, TL_AXES(1)), -INFINITY, -INFINITY);
        IS_EMPTY(tl_logsumexp(none, TL_AXES(0)));
        SHAPE_IS(tl_logsumexp_keep(counted(TL_DIMS(2, 3, 2)), TL_AXES(0, 2)), 1, 3, 1);
        const tl_tensor x = NUMBERS(DIMS(3, 2), -INFINITY, -INFINITY, -INFINITY, 2, log(3), 0);
        ARE(tl_logsumexp(x, TL_AXES(1)), -INFINITY, 2, log(4));
        ARE(gradient(tl_logsumexp(x, TL_AXES(1)), x), 0, 0, 0, 1, 0.75, 0.25);
        end();
    }
}

Test(values, of_running_sums_and_products)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor x = counted(TL_DIMS(2, 3)), none = tl_const(root, TL_DIMS(2, 0), NULL);
        ARE(tl_cumsum(x, 1), 1, 3, 6, 4, 9, 15);
        ARE(tl_cumsum(x, -2), 1, 2, 3, 5, 7, 9);
        ARE(tl_cumprod(x, 1), 1, 2, 6, 4, 20, 120);
        ARE(tl_cumprod(x, 0), 1, 2, 3, 4, 10, 18);
        ARE(tl_cumsum(ROW(1, NAN, 2), 0), 1, NAN, NAN);
        ARE(tl_cumprod(ROW(-0.0, 5), 0), -0.0, -0.0);
        ARE(gradient(tl_mul(tl_cumsum(x, 1), x), x), 1 + 6, 3 + 5, 6 + 3, 19, 20, 21);
        IS_EMPTY(tl_cumsum(none, 1));
        IS_EMPTY(gradient(tl_cumprod(none, 1), none));
        end();
    }
}

Test(values, in_order)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor x = ROW(3, NAN, -INFINITY, 3, INFINITY, 1);
        tl_tensor ids;
        ARE(tl_sort(x, 0), -INFINITY, 1, 3, 3, INFINITY, NAN);
        ARE(tl_argsort(x, 0), 2, 5, 0, 3, 4, 1);
        cr_assert(tl_dtype_of(tl_argsort(x, 0)) == TL_I32);
        ARE(tl_topk(x, 4, -1, &ids), NAN, INFINITY, 3, 3);
        ARE(ids, 1, 4, 0, 3);
        IS_EMPTY(tl_topk(x, 0, 0, NULL));
        const tl_tensor m = NUMBERS(DIMS(3, 2), 5, 1, 4, 9, 6, 2);
        ARE(tl_sort(m, 0), 4, 1, 5, 2, 6, 9);
        ARE(tl_sort(m, 1), 1, 5, 4, 9, 2, 6);
        ARE(tl_argsort(m, 0), 1, 0, 0, 2, 2, 1);
        ARE(tl_topk(m, 2, 0, NULL), 6, 9, 5, 2);
        ARE(gradient(tl_mul(tl_sort(m, 0), counted(TL_DIMS(3, 2))), m), 3, 2, 1, 6, 5, 4);
        ARE(gradient(tl_topk(m, 1, 1, NULL), m), 1, 0, 0, 1, 1, 0);
        double v[100], want[100]; /* many runs to merge, with many ties, whose order is kept */
        for (int i = 0; i < 100; i++) v[i] = i * 37 % 10;
        for (int i = 0, k = 0; k < 10; k++)
            for (int j = 0; j < 100; j++)
                if (v[j] == k) want[i++] = j;
        values_are(__LINE__, "argsort", tl_argsort(row(100, v), 0), 100, want);
        IS_EMPTY(tl_sort(tl_const(root, TL_DIMS(2, 0), NULL), 1));
        end();
    }
}

Test(values, of_norms_of_layers)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor x = NUMBERS(DIMS(2, 2), 1, 3, 5, 5), gain = ROW(2, 4), shift = ROW(10, 20);
        ARE(tl_layer_norm(x, TL_NONE, TL_NONE, 3), -0.5, 0.5, 0, 0); /* variance 1, and 1 + 3 = 2^2 */
        ARE(tl_layer_norm(x, gain, shift, 3), 9, 22, 10, 20);
        ARE(tl_layer_norm(x, gain, TL_NONE, 3), -1, 2, 0, 0);
        ARE(tl_layer_norm(x, TL_NONE, shift, 3), 9.5, 20.5, 10, 20);
        ARE(tl_rms_norm(x, TL_NONE, 20), 0.2, 0.6, 5 / sqrt(45), 5 / sqrt(45)); /* mean square 5, and 25 */
        ARE(tl_rms_norm(x, gain, 20), 0.4, 2.4, 10 / sqrt(45), 20 / sqrt(45));
        ARE(tl_layer_norm(tl_add_scalar(x, 4194304), TL_NONE, TL_NONE, 3), -0.5, 0.5, 0, 0);
        IS_EMPTY(tl_layer_norm(tl_const(root, TL_DIMS(2, 0), NULL), TL_NONE, TL_NONE, 1e-5));
        ARE(gradient(tl_layer_norm(x, gain, shift, 3), gain), -0.5, 0.5);
        ARE(gradient(tl_layer_norm(x, gain, shift, 3), shift), 2, 2);
        end();
    }
}

Test(values, of_dots_and_outer_products)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor x = counted(TL_DIMS(2, 3));
        ARE(tl_dot(x, x), 14, 77);
        ARE(tl_dot(x, ROW(1, 0, -1)), -2, -2);
        cr_assert(tl_rank(tl_dot(ROW(1, 2), ROW(3, 4))) == 0);
        ARE(tl_dot(tl_const(root, TL_DIMS(0), NULL), tl_const(root, TL_DIMS(0), NULL)), 0);
        ARE(tl_outer(ROW(1, 2), ROW(3, 4, 5)), 3, 4, 5, 6, 8, 10);
        SHAPE_IS(tl_outer(x, counted(TL_DIMS(2, 4))), 2, 3, 4);
        ARE(tl_outer(NUMBERS(DIMS(2, 1), 2, 3), NUMBERS(DIMS(2, 2), 1, 2, 3, 4)), 2, 4, 9, 12);
        end();
    }
}

/* ---- shapes ------------------------------------------------------------------------------------------------- */

Test(values, of_reshaped_and_permuted_tensors)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor x = counted(TL_DIMS(2, 3));
        SHAPE_IS(tl_reshape(x, TL_DIMS(3, -1)), 3, 2);
        SHAPE_IS(tl_reshape(x, TL_DIMS(-1)), 6);
        cr_assert(tl_rank(tl_reshape(tl_sum_keep(x, TL_ALL), TL_SCALAR)) == 0);
        ARE(tl_transpose(x), 1, 4, 2, 5, 3, 6);
        ARE(tl_permute(counted(TL_DIMS(2, 1, 3)), (int[]){ 2, 0, -2 }), 1, 4, 2, 5, 3, 6);
        SHAPE_IS(tl_permute(counted(TL_DIMS(2, 1, 3)), (int[]){ 2, 0, 1 }), 3, 2, 1);
        ARE(tl_permute(IDS_ROW(4, 5), (int[]){ 0 }), 4, 5);
        SHAPE_IS(tl_reshape(tl_const(root, TL_DIMS(0, 3), NULL), TL_DIMS(5, 0)), 5, 0);
        ARE(tl_broadcast_to(ROW(1, 2), TL_DIMS(2, 2)), 1, 2, 1, 2);
        ARE(tl_broadcast_to(NUMBERS(DIMS(2, 1), 1, 2), TL_DIMS(2, 2)), 1, 1, 2, 2);
        IS_EMPTY(tl_broadcast_to(ROW(1), TL_DIMS(0)));
        ARE(tl_broadcast_to(tl_reshape(IDS_ROW(3), TL_SCALAR), TL_DIMS(3)), 3, 3, 3);
        end();
    }
}

Test(values, of_parts)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor x = counted(TL_DIMS(3, 2));
        ARE(tl_slice(x, 0, 1, 2), 3, 4);
        ARE(tl_slice(x, 1, 0, 1), 1, 3, 5);
        ARE(tl_slice(x, 0, -2, TL_END), 3, 4, 5, 6);
        ARE(tl_slice(x, -1, -1, TL_END), 2, 4, 6);
        ARE(tl_slice(x, 0, 0, -1), 1, 2, 3, 4);
        IS_EMPTY(tl_slice(x, 0, 2, 2));
        SHAPE_IS(tl_slice(x, 0, 2, 2), 0, 2);
        ARE(tl_at(x, 1), 3, 4);
        ARE(tl_at(x, -1), 5, 6);
        ARE(tl_at(tl_at(x, 2), 0), 5);
        tl_tensor part[3];
        tl_split(x, 3, 0, part);
        ARE(part[2], 5, 6);
        SHAPE_IS(part[2], 1, 2);
        tl_split(x, 2, -1, part);
        ARE(part[1], 2, 4, 6);
        ARE(tl_pad(ROW(1, 2), 0, 1, 2), 0, 1, 2, 0, 0);
        ARE(tl_pad(x, 1, 1, 0), 0, 1, 2, 0, 3, 4, 0, 5, 6);
        ARE(tl_pad(IDS_ROW(7), -1, 1, 0), 0, 7);
        ARE(gradient(tl_square(tl_at(x, 1)), x), 0, 0, 6, 8, 0, 0);
        end();
    }
}

Test(values, of_joined_tensors)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor a = ROW(1, 2), b = ROW(3, 4), x = counted(TL_DIMS(2, 2));
        ARE(tl_concat(2, ((tl_tensor[]){ a, ROW(9) }), 0), 1, 2, 9);
        ARE(tl_concat(2, ((tl_tensor[]){ x, NUMBERS(DIMS(2, 1), 8, 9) }), -1), 1, 2, 8, 3, 4, 9);
        ARE(tl_concat(1, &a, 0), 1, 2);
        ARE(tl_concat(2, ((tl_tensor[]){ a, tl_const(root, TL_DIMS(0), NULL) }), 0), 1, 2);
        ARE(tl_concat(2, ((tl_tensor[]){ a, a }), 0), 1, 2, 1, 2);
        ARE(tl_stack(2, ((tl_tensor[]){ a, b }), 0), 1, 2, 3, 4);
        ARE(tl_stack(2, ((tl_tensor[]){ a, b }), 1), 1, 3, 2, 4);
        ARE(tl_stack(2, ((tl_tensor[]){ a, b }), -1), 1, 3, 2, 4);
        SHAPE_IS(tl_stack(3, ((tl_tensor[]){ x, x, x }), 1), 2, 3, 2);
        ARE(tl_stack(2, ((tl_tensor[]){ tl_at(a, 0), tl_at(a, 1) }), 0), 1, 2);
        ARE(tl_concat(2, ((tl_tensor[]){ IDS_ROW(1), IDS_ROW(-2) }), 0), 1, -2);
        tl_tensor many[150];
        for (int i = 0; i < COUNT(many); i++) many[i] = tl_full(root, TL_DIMS(1), i);
        const tl_tensor all = tl_stack(COUNT(many), many, 1);
        SHAPE_IS(all, 1, 150);
        ARE(tl_slice(all, 1, 147, 150), 147, 148, 149);
        const tl_tensor twice = tl_concat(2, ((tl_tensor[]){ a, a }), 0);
        ARE(gradient(tl_mul(twice, ROW(1, 2, 3, 4)), a), 4, 6);
        end();
    }
}

Test(values, in_another_order_or_number)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor x = counted(TL_DIMS(2, 3)), v = ROW(0, 1, 2, 3, 4), none = tl_const(root, TL_DIMS(0), NULL);
        SHAPE_IS(tl_squeeze(counted(TL_DIMS(2, 1, 3)), 1), 2, 3);
        SHAPE_IS(tl_squeeze(counted(TL_DIMS(2, 1)), -1), 2);
        SHAPE_IS(tl_expand_dims(x, 0), 1, 2, 3);
        SHAPE_IS(tl_expand_dims(x, -1), 2, 3, 1);
        SHAPE_IS(tl_expand_dims(x, -2), 2, 1, 3);
        ARE(tl_slice_step(v, 0, 0, TL_END, 2), 0, 2, 4);
        ARE(tl_slice_step(v, 0, 1, 4, 2), 1, 3);
        ARE(tl_slice_step(v, 0, 1, -1, 2), 1, 3);
        ARE(tl_slice_step(v, 0, -1, TL_END, -2), 4, 2, 0);
        ARE(tl_slice_step(v, 0, 3, 0, -1), 3, 2, 1);
        ARE(tl_slice_step(v, 0, 4, -5, -3), 4, 1);
        ARE(tl_slice_step(v, 0, 2, TL_END, INT64_MAX), 2);
        ARE(tl_slice_step(v, 0, 2, TL_END, INT64_MIN), 2);
        IS_EMPTY(tl_slice_step(v, 0, 3, 3, 2));
        IS_EMPTY(tl_slice_step(v, 0, 1, 3, -1));
        ARE(tl_slice_step(x, 1, -1, TL_END, -2), 3, 1, 6, 4);
        ARE(gradient(tl_square(tl_slice_step(v, 0, 3, TL_END, -2)), v), 0, 2, 0, 6, 0);
        ARE(tl_flip(x, 0), 4, 5, 6, 1, 2, 3);
        ARE(tl_flip(x, -1), 3, 2, 1, 6, 5, 4);
        ARE(tl_flip(IDS_ROW(1, 2), 0), 2, 1);
        IS_EMPTY(tl_flip(none, 0));
        ARE(tl_tile(ROW(1, 2), TL_DIMS(3)), 1, 2, 1, 2, 1, 2);
        ARE(tl_tile(x, TL_DIMS(2)), 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6);
        ARE(tl_tile(ROW(1, 2), TL_DIMS(2, 2)), 1, 2, 1, 2, 1, 2, 1, 2);
        SHAPE_IS(tl_tile(x, TL_DIMS(2, 1, 2)), 2, 2, 6);
        SHAPE_IS(tl_tile(x, TL_DIMS(1, 0)), 2, 0);
        IS_EMPTY(tl_tile(none, TL_DIMS(4)));
        ARE(tl_tile(IDS_ROW(7), TL_DIMS(2)), 7, 7);
        const tl_tensor tiled = tl_tile(x, TL_DIMS(2, 1));
        ARE(gradient(tl_mul(tiled, counted(TL_DIMS(4, 3))), x), 8, 10, 12, 14, 16, 18);
        ARE(tl_roll(v, 2, 0), 3, 4, 0, 1, 2);
        ARE(tl_roll(v, -1, 0), 1, 2, 3, 4, 0);
        ARE(tl_roll(v, 12, 0), 3, 4, 0, 1, 2);
        ARE(tl_roll(v, 0, 0), 0, 1, 2, 3, 4);
        ARE(tl_roll(x, 1, 1), 3, 1, 2, 6, 4, 5);
        IS_EMPTY(tl_roll(none, 3, 0));
        end();
    }
}

Test(values, of_triangles)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor x = counted(TL_DIMS(3, 3)), hole = NUMBERS(DIMS(2, 2), 1, NAN, 3, 4);
        ARE(tl_tril(x, 0), 1, 0, 0, 4, 5, 0, 7, 8, 9);
        ARE(tl_triu(x, 0), 1, 2, 3, 0, 5, 6, 0, 0, 9);
        ARE(tl_tril(x, -1), 0, 0, 0, 4, 0, 0, 7, 8, 0);
        ARE(tl_triu(x, 1), 0, 2, 3, 0, 0, 6, 0, 0, 0);
        ARE(tl_tril(hole, INT64_MAX), 1, NAN, 3, 4);
        ARE(tl_triu(hole, INT64_MAX), 0, 0, 0, 0);
        ARE(tl_tril(hole, INT64_MIN), 0, 0, 0, 0);
        ARE(tl_tril(hole, 0), 1, 0, 3, 4);
        ARE(gradient(tl_square(tl_tril(hole, 0)), hole), 2, 0, 6, 8);
        ARE(tl_tril(counted(TL_DIMS(2, 1, 2)), 0), 1, 0, 3, 0);
        end();
    }
}

Test(values, of_sequences_of_different_lengths)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor x = counted(TL_DIMS(3, 4)), lengths = IDS_ROW(3, 2, 1, 0);
        ARE(tl_reverse_sequence(x, lengths), 9, 6, 3, 4, 5, 2, 7, 8, 1, 10, 11, 12);
        ARE(tl_reverse_sequence(counted(TL_DIMS(2, 2, 2)), IDS_ROW(2, 1)), 5, 6, 3, 4, 1, 2, 7, 8);
        ARE(gradient(tl_mul(tl_reverse_sequence(x, lengths), x), x), 18, 12, 6, 8, 10, 4, 14, 16, 2, 20, 22, 24);
        ARE(tl_length_mask(lengths, 3), 1, 1, 1, 0, 1, 1, 0, 0, 1, 0, 0, 0);
        cr_assert(tl_dtype_of(tl_length_mask(lengths, 3)) == type);
        SHAPE_IS(tl_length_mask(IDS_ROW(0, 0), 0), 0, 2);
        end();
    }
}

/* ---- indexing ----------------------------------------------------------------------------------------------- */

Test(values, by_index)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor table = counted(TL_DIMS(3, 2)), ids = IDS_ROW(2, 0, 2);
        ARE(tl_gather(table, ids), 5, 6, 1, 2, 5, 6);
        ARE(gradient(tl_mul(tl_gather(table, ids), counted(TL_DIMS(3, 2))), table), 3, 4, 0, 0, 6, 8);
        SHAPE_IS(tl_gather(table, tl_ids_const(root, TL_DIMS(2, 0), NULL)), 2, 0, 2);
        ARE(gradient(tl_gather(table, tl_ids_const(root, TL_DIMS(0), NULL)), table), 0, 0, 0, 0, 0, 0);
        ARE(tl_gather(IDS_ROW(7, 8, 9), ids), 9, 7, 9);
        ARE(tl_scatter_add(TL_NONE, counted(TL_DIMS(3, 2)), ids, 4), 3, 4, 0, 0, 6, 8, 0, 0);
        ARE(tl_scatter_add(table, counted(TL_DIMS(3, 2)), ids, 3), 4, 6, 3, 4, 11, 14);
        ARE(tl_pick(table, IDS_ROW(0, 1, 0)), 1, 4, 5);
        ARE(gradient(tl_pick(table, IDS_ROW(0, 1, 0)), table), 1, 0, 0, 1, 1, 0);
        ARE(tl_one_hot(ids, 3), 0, 0, 1, 1, 0, 0, 0, 0, 1);
        cr_assert(tl_dtype_of(tl_one_hot(ids, 3)) == type);
        ARE(tl_iota(root, 3), 0, 1, 2);
        IS_EMPTY(tl_iota(root, 0));
        end();
    }
}

/* One NaN row stays one row: what is not picked is not touched. */
Test(values, by_index_leave_other_rows_alone)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor table = NUMBERS(DIMS(2, 2), NAN, INFINITY, 3, 4);
        ARE(tl_gather(table, IDS_ROW(1)), 3, 4);
        ARE(gradient(tl_square(tl_gather(table, IDS_ROW(1))), table), 0, 0, 6, 8);
        ARE(tl_pick(NUMBERS(DIMS(2, 2), NAN, 1, 2, NAN), IDS_ROW(1, 0)), 1, 2);
        const tl_tensor x = NUMBERS(DIMS(2, 2), NAN, 1, 2, NAN);
        ARE(gradient(tl_square(tl_pick(x, IDS_ROW(1, 0))), x), 0, 2, 4, 0);
        end();
    }
}

Test(values, by_index_along_an_axis_and_into_rows)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        const tl_tensor x = counted(TL_DIMS(2, 3)), ids = tl_ids_const(root, TL_DIMS(2, 2), (int32_t[]){ 2, 2, 0, 1 });
        ARE(tl_take_along(x, ids, 1), 3, 3, 4, 5);
        ARE(tl_take_along(x, tl_ids_const(root, TL_DIMS(1, 3), (int32_t[]){ 1, 0, 1 }), 0), 4, 2, 6);
        ARE(gradient(tl_mul(tl_take_along(x, ids, -1), counted(TL_DIMS(2, 2))), x), 0, 0, 3, 3, 4, 0);
        const tl_tensor table = counted(TL_DIMS(3, 2)), at = IDS_ROW(2, 0, 2),
                        rows = NUMBERS(DIMS(3, 2), -1, -2, -3, -4, -5, -6);
        const tl_tensor y = tl_scatter_rows(table, at, rows), w = tl_mul(y, counted(TL_DIMS(3, 2)));
        ARE(y, -3, -4, 3, 4, -5, -6);
        ARE(gradient(w, table), 0, 0, 3, 4, 0, 0);
        ARE(gradient(w, rows), 0, 0, 1, 2, 5, 6);
        ARE(tl_scatter_rows(table, tl_ids_const(root, TL_DIMS(0), NULL), tl_const(root, TL_DIMS(0, 2), NULL)), 1, 2, 3,
            4, 5, 6);
        ARE(tl_scatter_rows(IDS_ROW(1, 2), IDS_ROW(1), IDS_ROW(9)), 1, 9);
        end();
    }
}

/* Does the message name this line, or, of a call that spans lines, the one that clang takes for it? */
static bool names_line(int line)
{
    for (int k = 0; k < 3; k++)
        if (strstr(tl_message(), AT_LINE(line - k))) return true;
    return false;
}

/* Numbers that are wrong only at run time are a status with the op's place, and write nothing that can be read. */
static void fails_at_run_time(int line, tl_tensor y, const char *words)
{
    cr_assert(!tl_failed(tape), "line %d: %s", line, tl_tape_message(tape));
    tl_output(root, "y", y);
    tl_plan *plan = tl_compile(tape);
    tl_session *s = tl_session_new(model);
    tl_array a;
    cr_assert(tl_run(s, plan, NULL, 0) == TL_E_INDEX, "line %d", line);
    cr_has(tl_message(), words);
    cr_assert(names_line(line), "line %d: \"%s\"", line, tl_message());
    cr_assert(tl_get(s, "y", &a) == TL_E_OUTPUT);
    tl_session_free(s);
    tl_plan_free(plan);
    double *v = values_of(y);
    cr_assert(isnan(v[0]) && tl_tape_status(tape) == TL_E_INDEX);
    cr_has(tl_tape_message(tape), words);
    free(v);
    tl_tape_free(tape);
    tl_model_free(model);
    cr_assert(tl_live_bytes() == 0);
}
#define FAILS_AT_RUN_TIME(y, words)                                                                                    \
    do {                                                                                                               \
        begin(TL_F32);                                                                                                 \
        fails_at_run_time(__LINE__, (y), (words));                                                                     \
    } while (0)

Test(values, out_of_range_are_refused_at_run_time)
{
    FAILS_AT_RUN_TIME(tl_gather(counted(TL_DIMS(3, 2)), IDS_ROW(0, 3)), "id 3 at position 1 is outside 0..2");
    FAILS_AT_RUN_TIME(tl_gather(counted(TL_DIMS(3, 2)), IDS_ROW(-1)), "id -1 at position 0 is outside 0..2");
    FAILS_AT_RUN_TIME(tl_gather(tl_const(root, TL_DIMS(0, 2), NULL), IDS_ROW(0)), "id 0 at position 0");
    FAILS_AT_RUN_TIME(tl_scatter_add(TL_NONE, counted(TL_DIMS(2, 2)), IDS_ROW(0, 9), 3), "id 9 at position 1");
    FAILS_AT_RUN_TIME(tl_pick(counted(TL_DIMS(2, 2)), IDS_ROW(INT32_MIN, 0)), "id -2147483648 at position 0");
    FAILS_AT_RUN_TIME(tl_one_hot(IDS_ROW(0, 1, 4), 4), "id 4 at position 2");
    FAILS_AT_RUN_TIME(tl_take_along(ROW(1, 2), IDS_ROW(1, 2), 0), "id 2 at position 1 is outside 0..1");
    FAILS_AT_RUN_TIME(tl_scatter_rows(ROW(1, 2), IDS_ROW(-1), ROW(0)), "id -1 at position 0 is outside 0..1");
    FAILS_AT_RUN_TIME(tl_length_mask(IDS_ROW(2, 4), 3), "length 4 at position 1 is outside 0..3");
    FAILS_AT_RUN_TIME(tl_reverse_sequence(counted(TL_DIMS(2, 1)), IDS_ROW(-1)), "length -1 at position 0");
    FAILS_AT_RUN_TIME(tl_cast(ROW(1, 2147483648.), TL_I32), "2.14748e+09 at position 1");
    FAILS_AT_RUN_TIME(tl_cast(ROW(NAN), TL_I32), "nan at position 0");
    FAILS_AT_RUN_TIME(tl_cast(ROW(-INFINITY), TL_I32), "-inf at position 0");
}

/* ---- random ------------------------------------------------------------------------------------------------- */

/* What random op number 0 of the root scope gives at a run. */
static double *random_run(tl_dtype dtype, uint64_t run, int kind, int rank, const int64_t *dim)
{
    model = tl_model_new(.dtype = dtype, .seed = 5);
    tape = tl_tape_new(model);
    tl_scope *s = tl_root(tape);
    const tl_tensor y = kind == 0   ? tl_random_uniform(s, rank, dim)
                        : kind == 1 ? tl_random_normal(s, rank, dim)
                                    : tl_random_bernoulli(s, rank, dim, 0.3);
    tl_output(s, "y", y);
    tl_plan *plan = tl_compile(tape);
    tl_session *session = tl_session_new(model);
    tl_session_set_runs(session, run);
    cr_assert(tl_run(session, plan, NULL, 0) == TL_OK);
    tl_array a;
    tl_get(session, "y", &a);
    double *v = malloc(((size_t)elements(&a) + 1) * sizeof *v);
    for (int64_t i = 0; i < elements(&a); i++) v[i] = tl_read(a.data, a.dtype, i);
    tl_session_free(session);
    tl_plan_free(plan);
    tl_tape_free(tape);
    tl_model_free(model);
    return v;
}

Test(random, depends_on_index_and_run_alone)
{
    for (int kind = 0; kind < 3; kind++) {
        double *a = random_run(TL_F64, 3, kind, TL_DIMS(6, 4, 7)), *b = random_run(TL_F64, 3, kind, TL_DIMS(9, 5, 8));
        double *f = random_run(TL_F32, 3, kind, TL_DIMS(6, 4, 7)),
               *next = random_run(TL_F64, 4, kind, TL_DIMS(6, 4, 7));
        int same = 0;
        for (int t = 0; t < 6; t++)
            for (int r = 0; r < 4; r++)
                for (int i = 0; i < 7; i++) {
                    const int k = (t * 4 + r) * 7 + i;
                    cr_assert(a[k] == b[(t * 5 + r) * 8 + i], "kind %d depends on sizes", kind);
                    cr_assert(f[k] == (float)a[k], "kind %d depends on the type", kind);
                    same += a[k] == next[k];
                }
        cr_assert(same < (kind < 2 ? 5 : 140), "kind %d: %d of 168 are the same in the next run", kind, same);
        free(a), free(b), free(f), free(next);
    }
}

Test(random, has_the_moments_it_should)
{
    enum { N = 40000 };
    for (int kind = 0; kind < 3; kind++) {
        double *v = random_run(TL_F32, 0, kind, TL_DIMS(200, 200)), sum = 0, squares = 0, neighbours = 0;
        const double mean = kind == 0   ? 0.5
                            : kind == 1 ? 0
                                        : 0.3,
                     variance = kind == 0   ? 1 / 12.
                                : kind == 1 ? 1
                                            : 0.21;
        for (int i = 0; i < N; i++) {
            sum += v[i] - mean;
            squares += (v[i] - mean) * (v[i] - mean);
            neighbours += (v[i] - mean) * (v[(i + 1) % N] - mean);
            if (kind == 0) cr_assert(v[i] >= 0 && v[i] < 1 && v[i] * 0x1p24 == floor(v[i] * 0x1p24));
            if (kind == 2) cr_assert(v[i] == 0 || v[i] == 1);
        }
        const double sigma = sqrt(variance / N); /* of the mean: five of it, as for what follows */
        cr_assert(fabs(sum / N) < 5 * sigma, "kind %d: mean off by %g", kind, sum / N);
        cr_assert(fabs(squares / N - variance) < 5 * variance * sqrt(2. / N) + 5 * sigma, "kind %d: variance %g", kind,
                  squares / N);
        cr_assert(fabs(neighbours / N) < 5 * variance / sqrt(N), "kind %d: covariance %g", kind, neighbours / N);
        free(v);
    }
}

Test(random, ops_of_a_scope_differ_from_each_other)
{
    begin(TL_F64);
    tl_scope *cell = tl_in(root, "cell");
    const tl_tensor draw[5] = { tl_random_uniform(root, TL_DIMS(4)), tl_random_uniform(root, TL_DIMS(4)),
                                tl_random_uniform(cell, TL_DIMS(4)), tl_random_uniform(tl_step(cell, 0), TL_DIMS(4)),
                                tl_random_uniform(tl_step(cell, 1), TL_DIMS(4)) };
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < i; k++) ARE(tl_sum(tl_equal(draw[i], draw[k]), TL_ALL), 0);
    ARE(tl_random_bernoulli(root, TL_DIMS(3), 0), 0, 0, 0);
    ARE(tl_random_bernoulli(root, TL_DIMS(3), 1), 1, 1, 1);
    IS_EMPTY(tl_random_normal(root, TL_DIMS(0, 2)));
    cr_assert(tl_size(tl_random_normal(root, TL_SCALAR)) == 1);
    end();
}

/* ---- calls that must be refused ----------------------------------------------------------------------------- */

static void refused(int line, tl_tensor y, tl_status status, const char *words)
{
    cr_assert(tl_tape_status(tape) == status, "line %d: %s (%s)", line, tl_status_name(tl_tape_status(tape)),
              tl_message());
    cr_has(tl_message(), words);
    cr_assert(names_line(line), "line %d: \"%s\"", line, tl_message());
    cr_assert(!tl_absent(y) && tl_rank(y) == 0);
    tl_tape_free(tape);
    tl_model_free(model);
    cr_assert(tl_live_bytes() == 0);
}
#define REFUSED(y, status, words)                                                                                      \
    do {                                                                                                               \
        begin(TL_F32);                                                                                                 \
        refused(__LINE__, (y), TL_E_##status, (words));                                                                \
    } while (0)

static tl_tensor first_part(tl_place at, tl_tensor x, int n, int axis)
{
    tl_tensor part[8];
    tl_split_at(at, x, n, axis, part);
    for (int i = 1; i < n; i++) cr_assert(tl_is(part[0], part[i]));
    return part[0];
}

/* PyTorch 1.13.1 has the same, but for NaN gradients where ours have a limit. */
Test(values, of_infinities_and_of_nothing_in_reductions)
{
    for (tl_dtype type = TL_F32; type <= TL_F64; type++) {
        begin(type);
        tl_tensor x = ROW(-INFINITY, -INFINITY, -INFINITY);
        ARE(tl_prod(x, TL_ALL), -INFINITY);
        ARE(gradient(tl_prod(x, TL_ALL), x), INFINITY, INFINITY, INFINITY); /* no 0 / 0 and no inf / inf */
        ARE(gradient(tl_max(x, TL_ALL), x), 1 / 3., 1 / 3., 1 / 3.);
        ARE(tl_l2_normalize(x, TL_ALL, 1e-12), NAN, NAN, NAN);
        x = ROW(INFINITY, 1, INFINITY);
        ARE(tl_var(x, TL_ALL, 0), NAN);
        ARE(gradient(tl_max(x, TL_ALL), x), 0.5, 0, 0.5);
        ARE(gradient(tl_topk(x, 1, 0, NULL), x), 1, 0, 0);
        ARE(tl_l2_normalize(x, TL_ALL, 1e-12), NAN, 0, NAN);
        x = ROW(0, -0.0, 0);
        ARE(tl_l2_normalize(x, TL_ALL, 1), 0, -0.0, 0);
        ARE(gradient(tl_l2_normalize(x, TL_ALL, 0.5), x), 2, 2, 2);
        x = NUMBERS(DIMS(2, 3), -INFINITY, 0, 1, -INFINITY, 0, -INFINITY);
        ARE(tl_softmax_axis(x, 0), 0, 0.5, 1, 0, 0.5, 0);
        ARE(tl_log_softmax_axis(x, 0), -INFINITY, -M_LN2, 0, -INFINITY, -M_LN2, -INFINITY);
        const tl_tensor none = NUMBERS(DIMS(3, 0), 0);
        IS_EMPTY(tl_softmax_axis(none, 0));
        IS_EMPTY(tl_softmax_axis(none, 1));
        IS_EMPTY(tl_l2_normalize(none, TL_AXES(1), 1));
        ARE(tl_prod(none, TL_AXES(1)), 1, 1, 1);
        IS_EMPTY(tl_var(none, TL_AXES(0), 1));
        IS_EMPTY(tl_topk(none, 2, 0, NULL));
        SHAPE_IS(tl_topk(none, 2, 0, NULL), 2, 0);
        end();
    }
}

Test(refused, are_shapes_that_do_not_fit)
{
    REFUSED(tl_add(ROW(1, 2), ROW(1, 2, 3)), SHAPE, "add [2] x [3]: dimensions 2 and 3 do not broadcast");
    REFUSED(tl_matmul(counted(TL_DIMS(2, 3)), counted(TL_DIMS(2, 3))), SHAPE,
            "matmul [2,3] x [2,3]: inner dimensions 3 and 2");
    REFUSED(tl_matmul(tl_full(root, TL_SCALAR, 1), ROW(1)), SHAPE, "matmul");
    REFUSED(tl_gemm(TL_NONE, ROW(1), ROW(1), false, false), SHAPE, "a product needs matrices");
    REFUSED(tl_gemm(counted(TL_DIMS(3, 3)), counted(TL_DIMS(2, 2)), counted(TL_DIMS(2, 2)), false, false), SHAPE,
            "added to");
    REFUSED(tl_max(tl_const(root, TL_DIMS(0), NULL), TL_ALL), SHAPE, "no largest of nothing");
    REFUSED(tl_argmax(tl_const(root, TL_DIMS(0), NULL), 0), SHAPE, "no largest of nothing");
    REFUSED(tl_softmax(tl_full(root, TL_SCALAR, 1)), SHAPE, "scalar");
    REFUSED(tl_reshape(ROW(1, 2, 3), TL_DIMS(2, -1)), SHAPE, "3 numbers do not fill [2,-1]");
    REFUSED(tl_reshape(ROW(1, 2), TL_DIMS(-1, -1)), SHAPE, "do not fill");
    REFUSED(tl_reshape(tl_const(root, TL_DIMS(0), NULL), TL_DIMS(-1, 0)), SHAPE, "do not fill");
    REFUSED(tl_transpose(ROW(1)), SHAPE, "transpose");
    REFUSED(tl_slice(ROW(1, 2), 0, 1, 3), SHAPE, "elements 1 to 3");
    REFUSED(tl_slice(ROW(1, 2), 0, -3, 1), SHAPE, "elements -1 to 1");
    REFUSED(tl_slice(ROW(1, 2), 0, INT64_MIN, TL_END), SHAPE, "slice");
    REFUSED(tl_at(ROW(1, 2), 2), SHAPE, "at [2]: there is no element 2");
    REFUSED(tl_at(tl_full(root, TL_SCALAR, 1), 0), SHAPE, "scalar");
    REFUSED(tl_concat(2, ((tl_tensor[]){ ROW(1), counted(TL_DIMS(1, 1)) }), 0), SHAPE, "operands 0 and 1");
    REFUSED(tl_stack(2, ((tl_tensor[]){ ROW(1), ROW(1, 2) }), 0), SHAPE, "not of one shape");
    REFUSED(first_part(TL_HERE, ROW(1, 2, 3), 2, 0), SHAPE,
            "split [3]: axis 0 has 3 elements, which 2 does not divide");
    REFUSED(tl_broadcast_to(ROW(1, 2), TL_DIMS(3)), SHAPE, "does not broadcast");
    REFUSED(tl_gather(tl_full(root, TL_SCALAR, 1), IDS_ROW(0)), SHAPE, "no rows");
    REFUSED(tl_scatter_add(TL_NONE, ROW(1, 2), IDS_ROW(0), 3), SHAPE, "row for each id");
    REFUSED(tl_pick(counted(TL_DIMS(2, 2)), IDS_ROW(0)), SHAPE, "one id for each row");
    REFUSED(tl_min(tl_const(root, TL_DIMS(0), NULL), TL_ALL), SHAPE, "no largest of nothing");
    REFUSED(tl_squeeze(ROW(1, 2), 0), SHAPE, "squeeze [2]: axis 0 has 2 elements, not one");
    REFUSED(tl_topk(ROW(1, 2), 3, 0, NULL), SHAPE, "there are not 3 of 2 elements");
    REFUSED(tl_slice_step(ROW(1, 2), 0, 0, 5, 2), SHAPE, "3 elements from 0 in steps of 2");
    REFUSED(tl_slice_step(ROW(1, 2), 0, 5, TL_END, -1), SHAPE, "6 elements from 5");
    REFUSED(tl_tile(ROW(1, 2), TL_DIMS(1, 1, 1, 1, 1, 1, 1)), SHAPE, "more than 6 axes");
    REFUSED(tl_tile(ROW(1, 2), TL_DIMS(INT64_MAX)), SHAPE, "too large");
    REFUSED(tl_tril(ROW(1), 0), SHAPE, "two axes");
    REFUSED(tl_dot(ROW(1, 2), ROW(1)), SHAPE, "dot [2]: last axes of 2 and 1 elements");
    REFUSED(tl_dot(ROW(1), tl_full(root, TL_SCALAR, 1)), SHAPE, "scalar");
    REFUSED(tl_outer(ROW(1), tl_full(root, TL_SCALAR, 1)), SHAPE, "scalar");
    REFUSED(tl_take_along(counted(TL_DIMS(2, 2)), IDS_ROW(0), 0), SHAPE, "differ in more than axis 0");
    REFUSED(tl_scatter_rows(counted(TL_DIMS(2, 2)), IDS_ROW(0), ROW(1)), SHAPE, "one row of the table's");
    REFUSED(tl_reverse_sequence(counted(TL_DIMS(2, 2)), IDS_ROW(0)), SHAPE, "one length for each row");
    REFUSED(tl_broadcast_to(ROW(1), TL_DIMS(1 << 30, 1 << 30, 1 << 30)), SHAPE, "too large");
    REFUSED(tl_pad(ROW(1), 0, INT64_MAX, INT64_MAX), SHAPE, "too large");
}

Test(refused, are_arguments_that_make_no_sense)
{
    REFUSED(tl_sum(ROW(1), TL_AXES(1)), ARGUMENT, "there is no axis 1 in rank 1");
    REFUSED(tl_sum(ROW(1), TL_AXES(-2)), ARGUMENT, "there is no axis -2 in rank 1");
    REFUSED(tl_sum(counted(TL_DIMS(2, 2)), TL_AXES(0, -2)), ARGUMENT, "axis 0 is named twice");
    REFUSED(tl_max(counted(TL_DIMS(2, 2)), TL_AXES(1, 1)), ARGUMENT, "axis 1 is named twice");
    REFUSED(tl_argmax(ROW(1), 1), ARGUMENT, "there is no axis 1");
    REFUSED(tl_concat(1, ((tl_tensor[]){ ROW(1) }), 1), ARGUMENT, "there is no axis 1");
    REFUSED(tl_stack(1, ((tl_tensor[]){ ROW(1) }), 2), ARGUMENT, "there is no such axis");
    REFUSED(tl_stack(1, ((tl_tensor[]){ counted(TL_DIMS(1, 1, 1, 1, 1, 1)) }), 0), ARGUMENT, "no room");
    REFUSED(first_part(TL_HERE, ROW(1, 2), 2, 1), ARGUMENT, "there is no axis 1");
    REFUSED(tl_slice(ROW(1), 7, 0, 1), ARGUMENT, "there is no axis 7");
    REFUSED(tl_pad(ROW(1), -5, 0, 1), ARGUMENT, "there is no axis -5");
    REFUSED(tl_pad(ROW(1), 0, -1, 0), ARGUMENT, "negative padding");
    REFUSED(tl_permute(counted(TL_DIMS(2, 2)), ((int[]){ 0, 0 })), ARGUMENT, "named twice");
    REFUSED(tl_permute(counted(TL_DIMS(2, 2)), ((int[]){ 0, 2 })), ARGUMENT, "axis 2");
    REFUSED(tl_one_hot(IDS_ROW(1), -1), ARGUMENT, "negative depth");
    REFUSED(tl_scatter_add(TL_NONE, ROW(1), IDS_ROW(0), -1), ARGUMENT, "negative number of rows");
    REFUSED(tl_prod(ROW(1), TL_AXES(1)), ARGUMENT, "there is no axis 1");
    REFUSED(tl_prod(counted(TL_DIMS(2, 2)), TL_AXES(0, -2)), ARGUMENT, "axis 0 is named twice");
    REFUSED(tl_var(ROW(1), TL_AXES(1), 0), ARGUMENT, "there is no axis 1");
    REFUSED(tl_logsumexp(ROW(1), TL_AXES(-3)), ARGUMENT, "there is no axis -3");
    REFUSED(tl_cumsum(ROW(1), 1), ARGUMENT, "there is no axis 1");
    REFUSED(tl_cumprod(ROW(1), -2), ARGUMENT, "there is no axis -2");
    REFUSED(tl_sort(ROW(1), 1), ARGUMENT, "there is no axis 1");
    REFUSED(tl_squeeze(ROW(1), 1), ARGUMENT, "there is no axis 1");
    REFUSED(tl_expand_dims(ROW(1), 2), ARGUMENT, "there is no such axis");
    REFUSED(tl_expand_dims(counted(TL_DIMS(1, 1, 1, 1, 1, 1)), 0), ARGUMENT, "no room");
    REFUSED(tl_slice_step(ROW(1), 0, 0, 1, 0), ARGUMENT, "a step of 0");
    REFUSED(tl_flip(ROW(1), 1), ARGUMENT, "there is no axis 1");
    REFUSED(tl_roll(ROW(1), 1, 1), ARGUMENT, "there is no axis 1");
    REFUSED(tl_tile(ROW(1), TL_DIMS(-1)), ARGUMENT, "-1 repeats");
    REFUSED(tl_length_mask(IDS_ROW(1), -1), ARGUMENT, "negative number of steps");
    REFUSED(tl_layer_norm(tl_full(root, TL_SCALAR, 1), TL_NONE, TL_NONE, 1), ARGUMENT, "there is no axis -1");
    REFUSED(tl_celu(ROW(1), 0), ARGUMENT, "celu [1]: alpha = 0 should be above 0");
    REFUSED(tl_softshrink(ROW(1), -1), ARGUMENT, "borders are 1 and -1");
    REFUSED(tl_softmax_axis(counted(TL_DIMS(2, 2)), 2), ARGUMENT, "there is no axis 2");
    REFUSED(tl_log_softmax_axis(tl_full(root, TL_SCALAR, 1), 0), ARGUMENT, "there is no axis 0");
    REFUSED(tl_l2_normalize(ROW(1), TL_AXES(1), 1e-12), ARGUMENT, "there is no axis 1");
    REFUSED(tl_cast(ROW(1), (tl_dtype)7), ARGUMENT, "7 is no type");
    REFUSED(tl_iota(root, -1), ARGUMENT, "-1");
    REFUSED(tl_random_bernoulli(root, TL_DIMS(1), 1.5), ARGUMENT, "1.5 is no probability");
    REFUSED(tl_random_bernoulli(root, TL_DIMS(1), NAN), ARGUMENT, "no probability");
    REFUSED(tl_random_normal(root, 7, ((int64_t[7]){ 1 })), ARGUMENT, "rank 7");
}

Test(refused, are_types_that_do_not_fit)
{
    REFUSED(tl_add(ROW(1), IDS_ROW(1)), DTYPE, "add: an operand is i32");
    REFUSED(tl_tanh(IDS_ROW(1)), DTYPE, "tanh: an operand is i32");
    REFUSED(tl_sum(IDS_ROW(1), TL_ALL), DTYPE, "sum: an operand is i32");
    REFUSED(tl_softmax(IDS_ROW(1)), DTYPE, "softmax: an operand is i32");
    REFUSED(tl_max(IDS_ROW(1), TL_ALL), DTYPE, "real numbers");
    REFUSED(tl_argmax(IDS_ROW(1), 0), DTYPE, "real numbers");
    REFUSED(tl_less(IDS_ROW(1), ROW(1)), DTYPE, "different types");
    REFUSED(tl_where(ROW(1), IDS_ROW(1), ROW(1)), DTYPE, "different types");
    REFUSED(tl_concat(2, ((tl_tensor[]){ ROW(1), IDS_ROW(1) }), 0), DTYPE, "different types");
    REFUSED(tl_gather(ROW(1), ROW(0)), DTYPE, "should be ids (i32)");
    REFUSED(tl_pick(ROW(1), tl_full(root, TL_SCALAR, 0)), DTYPE, "should be ids (i32)");
    REFUSED(tl_one_hot(ROW(1), 2), DTYPE, "should be ids (i32)");
    REFUSED(tl_scatter_add(TL_NONE, IDS_ROW(1), IDS_ROW(0), 1), DTYPE, "real numbers");
    REFUSED(tl_add(ROW(1), tl_cast(ROW(1), TL_F64)), DTYPE, "add: operands of f32 and of f64");
    REFUSED(tl_mul(tl_cast(ROW(1), TL_F64), ROW(1)), DTYPE, "mul: operands of f32 and of f64");
    REFUSED(tl_matmul(counted(TL_DIMS(1, 1)), tl_cast(counted(TL_DIMS(1, 1)), TL_F64)), DTYPE,
            "matmul: operands of f32");
    REFUSED(tl_concat(2, ((tl_tensor[]){ ROW(1), tl_cast(ROW(1), TL_F64) }), 0), DTYPE, "different types");
    REFUSED(tl_less(ROW(1), tl_cast(ROW(1), TL_F64)), DTYPE, "different types");
    REFUSED(gradient(ROW(1), IDS_ROW(1)), DTYPE, "no gradient");
}
