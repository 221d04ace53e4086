/* tests/test_init.c - distributions of initial values: their moments, their bounds, which fan they go by. */
#include "layers/common.h"
#include "layers_support.h"

/* 100,000 draws: the mean is off by sd / 316, the deviation by about 0.3 %. */
enum { ROWS = 250, COLS = 400, N = ROWS * COLS };

static double *filled(tl_init init, uint64_t key, int rank, const int64_t *dim)
{
    tl_shape shape = { .dtype = TL_F64, .rank = rank };
    if (rank) memcpy(shape.dim, dim, (size_t)rank * sizeof *dim);
    tl_random random = { .key = key };
    double *out = malloc((size_t)(tl_shape_size(&shape) + 1) * sizeof *out);
    init.fill(&init, &shape, out, &random);
    return out;
}

/* kurtosis: of a uniform 1.8, of a normal 3, of one cut off at two deviations 2.3626 (an integral); their standard
 * errors are at most 0.016. cut: the bound in deviations, 0: there is none. */
static void has_moments(const char *name, tl_init init, double mean, double sd, double kurtosis, double cut)
{
    double *w = filled(init, 42, TL_DIMS(ROWS, COLS)), m = 0, v = 0, k = 0, most = 0;
    for (int i = 0; i < N; i++) m += w[i] / N;
    for (int i = 0; i < N; i++) v += (w[i] - m) * (w[i] - m) / N;
    for (int i = 0; i < N; i++) k += pow(w[i] - m, 4) / N, most = fmax(most, fabs(w[i] - mean));
    cr_expect(fabs(m - mean) < 5 * sd / 316, "%s: mean %g, not %g", name, m, mean);
    cr_expect(fabs(sqrt(v) / sd - 1) < 0.015, "%s: deviation %g, not %g", name, sqrt(v), sd);
    cr_expect(fabs(k / (v * v) - kurtosis) < 0.08, "%s: kurtosis %g, not %g", name, k / (v * v), kurtosis);
    if (cut > 0) cr_expect(most <= cut * sd * (1 + 1e-15) && most > 0.99 * cut * sd, "%s: up to %g", name, most);
    else cr_expect(most > 3.5 * sd, "%s: up to %g only", name, most);
    free(w);
}

static const double keep = 0.87962566103423978; /* deviation of a normal cut off at two deviations */

Test(init, variance_scaling)
{
    const double fan[] = { [TL_FAN_IN] = ROWS, [TL_FAN_OUT] = COLS, [TL_FAN_AVERAGE] = (ROWS + COLS) / 2.0 };
    for (int f = 0; f < 3; f++)
        for (int scale = 1; scale <= 3; scale += 2) {
            const double sd = sqrt(scale / fan[f]);
            has_moments("truncated", tl_variance_scaling(scale, (tl_fan)f, TL_TRUNCATED_NORMAL), 0, sd, 2.3626,
                        2 / keep);
            has_moments("untruncated", tl_variance_scaling(scale, (tl_fan)f, TL_UNTRUNCATED_NORMAL), 0, sd, 3, 0);
            has_moments("uniform", tl_variance_scaling(scale, (tl_fan)f, TL_UNIFORM), 0, sd, 1.8, sqrt(3));
        }
}

Test(init, the_named_ones)
{
    const double both = (ROWS + COLS) / 2.0;
    has_moments("glorot_uniform", tl_glorot_uniform(), 0, sqrt(1 / both), 1.8, sqrt(3));
    has_moments("glorot_normal", tl_glorot_normal(), 0, sqrt(1 / both), 2.3626, 2 / keep);
    has_moments("he_uniform", tl_he_uniform(), 0, sqrt(2.0 / ROWS), 1.8, sqrt(3));
    has_moments("he_normal", tl_he_normal(), 0, sqrt(2.0 / ROWS), 2.3626, 2 / keep);
    has_moments("lecun_uniform", tl_lecun_uniform(), 0, sqrt(1.0 / ROWS), 1.8, sqrt(3));
    has_moments("lecun_normal", tl_lecun_normal(), 0, sqrt(1.0 / ROWS), 2.3626, 2 / keep);
    has_moments("truncated_normal", tl_truncated_normal(3, 0.5), 3, 0.5 * keep, 2.3626, 2 / keep); /* not widened */
}

/* Keras counts the columns of gates that stand side by side together; rows stay what they are. */
Test(init, matrices_side_by_side)
{
    const tl_fan fans[] = { TL_FAN_IN, TL_FAN_OUT, TL_FAN_AVERAGE };
    const double fan[] = { ROWS, 4 * COLS, (ROWS + 4 * COLS) / 2.0 };
    for (int f = 0; f < 3; f++)
        has_moments("side by side", tl__side_by_side(tl_variance_scaling(2, fans[f], TL_UNIFORM), 4), 0,
                    sqrt(2 / fan[f]), 1.8, sqrt(3));
}

Test(init, values_are_those_given)
{
    const double given[] = { 3, -1, 4, 1, -5, 9 }, *w = filled(tl_values(given), 1, TL_DIMS(2, 3));
    for (int i = 0; i < 6; i++) cr_assert(w[i] == given[i]);
}

static tl_status status_of(tl_init init)
{
    tl_model *model = tl_model_new();
    tl_tape *tape = tl_tape_new(model);
    tl_param(tl_root(tape), "W", TL_DIMS(2, 3), .init = init);
    tl_plan_free(tl_compile(tape));
    const tl_status status = tl_tape_status(tape);
    tl_tape_free(tape);
    tl_model_free(model);
    return status;
}

Test(init, what_makes_no_sense_is_a_status)
{
    cr_assert(status_of(tl_variance_scaling(-1, TL_FAN_IN, TL_UNIFORM)) == TL_E_NONFINITE);
    cr_assert(status_of(tl_variance_scaling(1, (tl_fan)3, TL_UNIFORM)) == TL_E_NONFINITE);
    cr_assert(status_of(tl_variance_scaling(1, TL_FAN_IN, (tl_distribution)-1)) == TL_E_NONFINITE);
    cr_assert(status_of(tl_values(NULL)) == TL_E_NONFINITE);
    cr_assert(status_of(tl_variance_scaling(0, TL_FAN_IN, TL_UNIFORM)) == TL_OK);
}

/* ---- initial values --------------------------------------------------------------------------------------------- */

/* Rows of a wide, columns of a tall matrix: dot products are gain^2 or 0. 1e-14: rounding of sums of at most 12
 * products. */
static void orthonormal(const double *q, int64_t rows, int64_t cols, double gain)
{
    const int64_t n = rows < cols ? rows : cols, len = rows < cols ? cols : rows;
    for (int64_t a = 0; a < n; a++)
        for (int64_t b = 0; b < n; b++) {
            double dot = 0;
            for (int64_t i = 0; i < len; i++)
                dot += rows < cols ? q[a * cols + i] * q[b * cols + i] : q[i * cols + a] * q[i * cols + b];
            cr_assert(fabs(dot - (a == b) * gain * gain) <= 1e-14 * gain * gain, "%lldx%lld: %lld . %lld = %.17g",
                      (long long)rows, (long long)cols, (long long)a, (long long)b, dot);
        }
}

Test(init, orthogonal_is_orthonormal_along_the_shorter_side)
{
    const int64_t shape[][2] = { { 5, 5 }, { 3, 8 }, { 8, 3 }, { 4, 3 }, { 1, 1 }, { 1, 6 }, { 6, 1 }, { 12, 12 } };
    for (int k = 0; k < COUNT(shape); k++)
        for (int gain = 1; gain <= 3; gain += 2)
            orthonormal(filled(tl_orthogonal(gain), 11, 2, shape[k]), shape[k][0], shape[k][1], gain);
    orthonormal(filled(tl_orthogonal(1), 5, TL_DIMS(2, 3, 4)), 6, 4, 1); /* the first two count the rows */
    orthonormal(filled(tl_orthogonal(1), 5, TL_DIMS(7)), 1, 7, 1);
    cr_assert(fabs(filled(tl_orthogonal(2), 5, TL_SCALAR)[0]) == 2);
}

/* Without the correction of signs, a QR of normal numbers gives a first element that is always of one sign. Its mean
 * over 2,000 uniform 2 x 2 matrices has deviation sqrt(1/2) / sqrt(2000) = 0.016. */
Test(init, orthogonal_prefers_no_sign)
{
    double first = 0, det = 0;
    for (uint64_t key = 0; key < 2000; key++) {
        const double *q = filled(tl_orthogonal(1), key * 977 + 1, TL_DIMS(2, 2));
        first += q[0] / 2000;
        det += (q[0] * q[3] - q[1] * q[2]) / 2000;
    }
    cr_assert(fabs(first) < 0.08, "mean of q00 %g", first);
    cr_assert(fabs(det) < 0.12, "mean of det %g", det); /* +1 or -1: deviation 0.022 */
}

/* Draws and compares mean, deviation and range; 100,000 draws: the mean is off by sd / 316 (here 5 of those are
 * allowed), the deviation by about 0.3 % (2 % allowed). lo and hi are bounds that are also nearly reached. */
static void distribution(tl_init init, int rank, const int64_t *dim, double mean, double sd, double lo, double hi)
{
    tl_shape shape = { .rank = rank };
    memcpy(shape.dim, dim, (size_t)rank * sizeof *dim);
    const int64_t n = tl_shape_size(&shape);
    const double *w = filled(init, 42, rank, dim);
    double m = 0, v = 0, least = INFINITY, most = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        m += w[i] / (double)n;
        least = fmin(least, w[i]);
        most = fmax(most, w[i]);
    }
    for (int64_t i = 0; i < n; i++) v += (w[i] - m) * (w[i] - m) / (double)n;
    cr_assert(fabs(m - mean) < 5 * sd / sqrt((double)n), "mean %g, expected %g", m, mean);
    cr_assert(fabs(sqrt(v) / sd - 1) < 0.02, "deviation %g, expected %g", sqrt(v), sd);
    cr_assert(least >= lo && least < lo + 0.1 * sd && most <= hi && most > hi - 0.1 * sd,
              "%g ... %g, expected %g ... %g", least, most, lo, hi);
}

Test(init, distributions)
{
    const double g = sqrt(6.0 / (250 + 400)), h = sqrt(6.0 / 250), n = sqrt(2.0 / (250 + 400));
    const double cut = 2 * n / 0.87962566103423978; /* Keras: deviation n / 0.8796, truncated at twice that */
    distribution(tl_uniform(-1, 3), TL_DIMS(250, 400), 1, 4 / sqrt(12), -1, 3);
    distribution(tl_glorot_uniform(), TL_DIMS(250, 400), 0, g / sqrt(3), -g, g);
    distribution(tl_glorot_normal(), TL_DIMS(250, 400), 0, n, -cut, cut);
    distribution(tl_he_uniform(), TL_DIMS(250, 400), 0, h / sqrt(3), -h, h);
    const double g3 = sqrt(6.0 / (5 * 200 + 5 * 100)), h1 = sqrt(6.0 / 100000);
    distribution(tl_glorot_uniform(), TL_DIMS(5, 200, 100), 0, g3 / sqrt(3), -g3, g3); /* a kernel of 5 taps */
    distribution(tl_he_uniform(), TL_DIMS(100000), 0, h1 / sqrt(3), -h1, h1);
}

Test(init, normal_has_its_mean_and_deviation_and_no_bounds)
{
    const double *w = filled(tl_normal(3, 0.5), 9, TL_DIMS(100000));
    double m = 0, v = 0, beyond = 0;
    for (int i = 0; i < 100000; i++) m += w[i] / 100000;
    for (int i = 0; i < 100000; i++) v += (w[i] - m) * (w[i] - m) / 100000;
    for (int i = 0; i < 100000; i++) beyond += fabs(w[i] - 3) > 1.5; /* 3 deviations: 270 expected, deviation 16 */
    cr_assert(fabs(m - 3) < 5 * 0.5 / 316 && fabs(sqrt(v) / 0.5 - 1) < 0.02, "mean %g, deviation %g", m, sqrt(v));
    cr_assert(fabs(beyond - 270) < 80, "%g beyond three deviations", beyond);
}

Test(init, constants)
{
    const double *c = filled(tl_constant(-2.5), 1, TL_DIMS(2, 2)), *o = filled(tl_ones(), 1, TL_DIMS(3));
    const double *z = filled(tl_zeros(), 1, TL_DIMS(3)), *i = filled(tl_identity(3), 1, TL_DIMS(2, 3, 4));
    for (int k = 0; k < 4; k++) cr_assert(c[k] == -2.5);
    for (int k = 0; k < 3; k++) cr_assert(o[k] == 1 && z[k] == 0);
    for (int k = 0; k < 24; k++) cr_assert(i[k] == (k % 12 / 4 == k % 4 ? 3 : 0), "%d: %g", k, i[k]);
    cr_assert(filled(tl_identity(3), 1, TL_SCALAR)[0] == 3);
}

/* ---- default initial values of layers (parity.md A1, A3: Keras') ------------------------------------------------ */

static tl_tensor all_layers(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor x = tl_embedding(s, in[0], .vocab = 50, .units = 6);
    tl_tensor y = tl_lstm(s, x, .units = 5, .return_sequences = true);
    y = tl_gru(s, y, .units = 7, .return_sequences = true);
    y = tl_simple_rnn(s, y, .units = 4);
    return tl_dense(s, y, .units = 3);
}

static tl_model *all_layers_model(void)
{
    tl_model *model = tl_model_new(.dtype = TL_F64, .seed = 3);
    const tl_array in = ids_of(TL_DIMS(3, 2), (int32_t[]){ 1, 2, 3, 4, 5, 6 });
    must_run(model, all_layers, &in, 1, NULL, 0);
    return model;
}

Test(defaults, parameters_have_their_names_and_shapes)
{
    tl_model *model = all_layers_model();
    static const struct {
        const char *name;
        int rank;
        int64_t dim[2];
    } expected[] = { { "embedding/W", 2, { 50, 6 } }, { "lstm/i/W", 2, { 6, 5 } },     { "lstm/f/U", 2, { 5, 5 } },
                     { "lstm/c/b", 1, { 5 } },        { "lstm/o/W", 2, { 6, 5 } },     { "gru/z/W", 2, { 5, 7 } },
                     { "gru/r/br", 1, { 7 } },        { "gru/h/U", 2, { 7, 7 } },      { "gru/h/br", 1, { 7 } },
                     { "simple_rnn/W", 2, { 7, 4 } }, { "simple_rnn/U", 2, { 4, 4 } }, { "simple_rnn/b", 1, { 4 } },
                     { "dense/W", 2, { 4, 3 } },      { "dense/b", 1, { 3 } } };
    for (int k = 0; k < COUNT(expected); k++) {
        const tl_param_info *p = tl_model_param(model, tl_model_find(model, expected[k].name));
        cr_assert(p, "no %s", expected[k].name);
        cr_assert(p->shape.rank == expected[k].rank && p->shape.dim[0] == expected[k].dim[0] &&
                      (p->shape.rank < 2 || p->shape.dim[1] == expected[k].dim[1]),
                  "%s", expected[k].name);
    }
    cr_assert(tl_model_count(model) == 1 + 4 * 3 + 3 * 4 + 3 + 2, "%d parameters", tl_model_count(model));
    /* Keras' counts: V D, 4 (D + H + 1) H, 3 (D + H + 2) H, (D + H + 1) H, (D + 1) H */
    cr_assert(tl_model_size(model) >= 50 * 6 + 4 * 12 * 5 + 3 * 14 * 7 + 12 * 4 + 15);
    int64_t n = 0;
    for (int k = 0; k < tl_model_count(model); k++) n += tl_model_param(model, k)->size;
    cr_assert(n == 50 * 6 + 4 * 12 * 5 + 3 * 14 * 7 + 12 * 4 + 15, "%lld elements", (long long)n);
}

static void within(const double *w, int64_t n, double limit, const char *what)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(w[i]));
    cr_assert(most <= limit && most > 0.6 * limit, "%s: up to %g, expected %g", what, most, limit);
}

Test(defaults, kernels_are_glorot_over_all_gates_together)
{
    tl_model *model = all_layers_model();
    static const char *const lstm[] = { "i", "f", "c", "o" }, *const gru[] = { "z", "r", "h" };
    for (int g = 0; g < 4; g++) within(paramf(model, "lstm", lstm[g], "W"), 30, sqrt(6.0 / (6 + 4 * 5)), lstm[g]);
    for (int g = 0; g < 3; g++) within(paramf(model, "gru", gru[g], "W"), 35, sqrt(6.0 / (5 + 3 * 7)), gru[g]);
    within(param(model, "simple_rnn/W"), 28, sqrt(6.0 / (7 + 4)), "simple_rnn");
    within(param(model, "dense/W"), 12, sqrt(6.0 / (4 + 3)), "dense");
    within(param(model, "embedding/W"), 300, 0.05, "embedding");
}

/* [U1 .. Un] [U1 .. Un]^T = I. 1e-14: rounding of sums of at most 28 products of numbers below 1. */
static void together_orthogonal(tl_model *model, const char *layer, const char *const *gate, int n, int64_t H)
{
    for (int64_t a = 0; a < H; a++)
        for (int64_t b = 0; b < H; b++) {
            double dot = 0;
            for (int g = 0; g < n; g++) {
                const double *U = paramf(model, layer, gate[g], "U");
                for (int64_t j = 0; j < H; j++) dot += U[a * H + j] * U[b * H + j];
            }
            cr_assert(fabs(dot - (a == b)) < 1e-14, "%s: (U U^T)[%d][%d] = %.17g", layer, (int)a, (int)b, dot);
        }
}

Test(defaults, recurrent_kernels_are_orthogonal_over_all_gates_together)
{
    tl_model *model = all_layers_model();
    together_orthogonal(model, "lstm", (const char *const[]){ "i", "f", "c", "o" }, 4, 5);
    together_orthogonal(model, "gru", (const char *const[]){ "z", "r", "h" }, 3, 7);
    together_orthogonal(model, "simple_rnn", (const char *const[]){ "" }, 1, 4);
}

Test(defaults, biases_are_zero_but_the_forget_gate_s)
{
    tl_model *model = all_layers_model();
    static const char *const zero[] = { "lstm/i/b", "lstm/c/b", "lstm/o/b", "gru/z/b",      "gru/z/br",
                                        "gru/r/br", "gru/h/b",  "gru/h/br", "simple_rnn/b", "dense/b" };
    for (int k = 0; k < COUNT(zero); k++)
        for (int i = 0; i < 3; i++) cr_assert(param(model, zero[k])[i] == 0, "%s", zero[k]);
    for (int i = 0; i < 5; i++) cr_assert(param(model, "lstm/f/b")[i] == 1);
}

static tl_tensor biased_lstms(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_cell zero = tl_lstm_cell(s, .bias_forget = TL_ZERO, .bias_init = tl_constant(0.25));
    const tl_cell two = tl_lstm_cell(s, .bias_forget = 2, .bias_init = tl_constant(0.25), .recurrent_bias = true);
    const tl_tensor y = tl_rnn(s, in[0], zero, .units = 2, .name = "zero");
    return tl_add(y, tl_rnn(s, in[0], two, .units = 2, .name = "two"));
}

Test(defaults, the_forget_bias_can_be_chosen)
{
    tl_model *model = tl_model_new(.dtype = TL_F64);
    const tl_array x = F64(1, 2, 3, 4);
    must_run(model, biased_lstms, &x, 1, NULL, 0);
    cr_assert(param(model, "zero/f/b")[1] == 0.25 && param(model, "zero/i/b")[1] == 0.25);
    cr_assert(param(model, "two/f/b")[1] == 2 && param(model, "two/i/b")[1] == 0.25);
    cr_assert(param(model, "two/o/br")[1] == 0.25);
    cr_assert(tl_model_find(model, "zero/f/br") < 0);
    tl_model_free(model);
}
