/* tests/test_layers.c - initial values, layers, cells, unrolling, losses. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers/layers.h"
#include "ops/ops.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

/* ---- running a model function ----------------------------------------------------------------------------------- */

/* Numbers in [-1, 1) that are the same in every run of the suite. */
static double noise(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-52 - 1;
}

static tl_array floats(tl_dtype dtype, int rank, const int64_t *dim, uint64_t seed)
{
    tl_array a = { .dtype = dtype, .rank = rank };
    int64_t n = 1;
    for (int k = 0; k < rank; k++) n *= a.dim[k] = dim[k];
    a.data = malloc((size_t)(n ? n : 1) * sizeof(double));
    for (int64_t i = 0; i < n; i++) {
        if (dtype == TL_F64) ((double *)a.data)[i] = noise(&seed);
        else ((float *)a.data)[i] = (float)noise(&seed);
    }
    return a;
}
#define F32(seed, ...) floats(TL_F32, TL_DIMS(__VA_ARGS__), seed)
#define F64(seed, ...) floats(TL_F64, TL_DIMS(__VA_ARGS__), seed)

static tl_array ids_of(int rank, const int64_t *dim, const int32_t *ids)
{
    tl_array a = { .dtype = TL_I32, .rank = rank };
    size_t n = 1;
    for (int k = 0; k < rank; k++) n *= (size_t)(a.dim[k] = dim[k]);
    a.data = memcpy(malloc(n * sizeof *ids), ids, n * sizeof *ids);
    return a;
}

/* What a model function computed: its result, and the gradients of all parameters if asked for. */
typedef struct result {
    tl_status status;
    char message[1024];
    tl_shape shape;
    double *y;
    int64_t n;
    double *grad;
    int64_t n_grad;
} result;

enum { TRAINING = 1, GRADIENTS = 2 };

static double *as_doubles(const void *data, tl_dtype dtype, int64_t n)
{
    double *v = malloc((size_t)(n ? n : 1) * sizeof *v);
    for (int64_t i = 0; i < n; i++)
        v[i] = dtype == TL_F64 ? ((const double *)data)[i] : (double)((const float *)data)[i];
    return v;
}

typedef struct running {
    tl_model *model;
    tl_plan *plan;
    tl_session *session;
    tl_status status; /* of the recording */
} running;

static running start_running(tl_model *model, tl_model_fn fn, const tl_array *in, int n, void *user, int flags)
{
    running r = { .model = model };
    tl_tensor handle[8];
    tl_tape *tape = tl_tape_new(model, .training = flags & TRAINING);
    for (int i = 0; i < n; i++) handle[i] = tl_input(tl_root(tape), "in", in[i]);
    const tl_tensor y = fn(tl_root(tape), handle, user);
    tl_output(tl_root(tape), "y", y);
    if (flags & GRADIENTS) tl_backward(y);
    r.plan = tl_compile(tape);
    r.session = r.plan ? tl_session_new(model) : NULL;
    r.status = tl_tape_status(tape);
    tl_tape_free(tape);
    return r;
}

static void end_running(running r)
{
    tl_session_free(r.session);
    tl_plan_free(r.plan);
}

static void read_result(result *r, tl_session *session, tl_model *model, int flags)
{
    tl_array y;
    if ((r->status = tl_get(session, "y", &y))) return;
    r->shape = (tl_shape){ .dtype = y.dtype, .rank = y.rank };
    memcpy(r->shape.dim, y.dim, sizeof y.dim);
    r->n = tl_shape_size(&r->shape);
    r->y = as_doubles(y.data, y.dtype, r->n);
    if (!(flags & GRADIENTS)) return;
    r->n_grad = tl_model_size(model);
    r->grad = as_doubles(tl_session_gradients(session, NULL, NULL), tl_model_dtype(model), r->n_grad);
}

static result run(tl_model *model, tl_model_fn fn, const tl_array *in, int n, void *user, int flags)
{
    result r = { 0 };
    const running p = start_running(model, fn, in, n, user, flags);
    r.status = p.plan ? tl_run(p.session, p.plan, in, n) : p.status;
    if (!r.status) read_result(&r, p.session, model, flags);
    if (r.status) snprintf(r.message, sizeof r.message, "%s", tl_message());
    end_running(p);
    return r;
}

static result must_run(tl_model *model, tl_model_fn fn, const tl_array *in, int n, void *user, int flags)
{
    const result r = run(model, fn, in, n, user, flags);
    cr_assert(r.status == TL_OK, "%s: %s", tl_status_name(r.status), r.message);
    return r;
}

static void same_bits(result a, result b)
{
    cr_assert(a.n == b.n && a.n_grad == b.n_grad, "%lld and %lld results, %lld and %lld gradients", (long long)a.n,
              (long long)b.n, (long long)a.n_grad, (long long)b.n_grad);
    for (int64_t i = 0; i < a.n; i++)
        cr_assert(!memcmp(&a.y[i], &b.y[i], sizeof *a.y), "y[%lld]: %.17g and %.17g", (long long)i, a.y[i], b.y[i]);
    for (int64_t i = 0; i < a.n_grad; i++)
        cr_assert(!memcmp(&a.grad[i], &b.grad[i], sizeof *a.y), "grad[%lld]: %.17g and %.17g", (long long)i, a.grad[i],
                  b.grad[i]);
}

static void close_to(const double *a, const double *b, int64_t n, double rtol, double atol, const char *what)
{
    for (int64_t i = 0; i < n; i++)
        cr_assert(fabs(a[i] - b[i]) <= atol + rtol * fabs(b[i]), "%s[%lld]: %.17g, expected %.17g", what, (long long)i,
                  a[i], b[i]);
}

/* Every parameter away from its initial value, so that a bias in the wrong place shows. */
static void stir(tl_model *model, uint64_t seed)
{
    void *values = tl_model_values(model);
    for (int64_t i = 0; i < tl_model_size(model); i++) {
        const double v = 0.8 * noise(&seed);
        if (tl_model_dtype(model) == TL_F64) ((double *)values)[i] = v;
        else ((float *)values)[i] = (float)v;
    }
    tl_model_touch(model);
}

static double *param(tl_model *model, const char *name)
{
    tl_array a = { .dtype = TL_F64 };
    cr_assert(tl_model_get(model, name, &a) == TL_OK, "%s: %s", name, tl_message());
    tl_shape shape = { .rank = a.rank };
    memcpy(shape.dim, a.dim, sizeof a.dim);
    a.data = malloc((size_t)tl_shape_size(&shape) * sizeof(double));
    cr_assert(tl_model_get(model, name, &a) == TL_OK);
    return a.data;
}

static double *paramf(tl_model *model, const char *scope, const char *gate, const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s%s%s/%s", scope, *gate ? "/" : "", gate, name);
    return param(model, path);
}

/* ---- recording only: errors ------------------------------------------------------------------------------------- */

typedef struct recording {
    tl_model *model;
    tl_tape *tape;
    tl_scope *s;
    tl_tensor x, ids; /* f32 [3, 2, 4], i32 [3, 2] */
} recording;

static recording start_recording(bool training)
{
    recording r = { .model = tl_model_new(.seed = 7) };
    r.tape = tl_tape_new(r.model, .training = training);
    r.s = tl_root(r.tape);
    r.x = tl_input(r.s, "x", (tl_array){ .dtype = TL_F32, .rank = 3, .dim = { 3, 2, 4 } });
    r.ids = tl_input(r.s, "ids", (tl_array){ .dtype = TL_I32, .rank = 2, .dim = { 3, 2 } });
    return r;
}

static void end_recording(recording r)
{
    tl_tape_free(r.tape);
    tl_model_free(r.model);
}

/* The tape must have failed with this status, with all the given words in its sentence. */
static void fails(recording r, tl_status status, const char *word, const char *word2)
{
    cr_assert(tl_tape_status(r.tape) == status, "status %s, expected %s: %s", tl_status_name(tl_tape_status(r.tape)),
              tl_status_name(status), tl_tape_message(r.tape));
    cr_assert(strstr(tl_tape_message(r.tape), word), "no \"%s\" in: %s", word, tl_tape_message(r.tape));
    cr_assert(strstr(tl_tape_message(r.tape), word2), "no \"%s\" in: %s", word2, tl_tape_message(r.tape));
    cr_assert(!tl_compile(r.tape));
    cr_assert(tl_model_count(r.model) == 0);
    end_recording(r);
    cr_assert(tl_live_bytes() == 0, "%zu bytes leak", tl_live_bytes());
}

#define FAILS(status, word, ...)                                                                                       \
    do {                                                                                                               \
        recording r = start_recording(true);                                                                           \
        __VA_ARGS__;                                                                                                   \
        fails(r, status, word, "test_layers.c:");                                                                      \
    } while (0)

static bool is_error(tl_tensor t) { return !tl_absent(t) && tl_rank(t) == 0 && tl_dim(t, 0) == 1; }

/* ---- initial values --------------------------------------------------------------------------------------------- */

static double *filled(tl_init init, uint64_t key, int rank, const int64_t *dim)
{
    tl_shape shape = { .dtype = TL_F64, .rank = rank };
    if (rank) memcpy(shape.dim, dim, (size_t)rank * sizeof *dim);
    tl_random random = { .key = key };
    double *out = malloc((size_t)(tl_shape_size(&shape) + 1) * sizeof *out);
    init.fill(&init, &shape, out, &random);
    return out;
}

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

/* ---- dense ------------------------------------------------------------------------------------------------------ */

typedef struct dense_case {
    int64_t units;
    bool no_bias;
    tl_activation activation;
} dense_case;

static tl_tensor dense_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const dense_case *c = user;
    return tl_dense(s, in[0], .units = c->units, .no_bias = c->no_bias, .activation = c->activation);
}

static void dense_values(int rank, const int64_t *dim, bool no_bias)
{
    dense_case c = { 3, no_bias, NULL };
    tl_model *model = tl_model_new(.dtype = TL_F64);
    const tl_array x = floats(TL_F64, rank, dim, 5);
    const int64_t D = dim[rank - 1];
    must_run(model, dense_fn, &x, 1, &c, 0);
    stir(model, 8);
    const result r = must_run(model, dense_fn, &x, 1, &c, 0);
    cr_assert(tl_model_count(model) == 2 - no_bias && r.shape.rank == rank && r.shape.dim[rank - 1] == 3);
    for (int a = 0; a < rank - 1; a++) cr_assert(r.shape.dim[a] == dim[a]);
    const double *W = param(model, "dense/W"), *b = no_bias ? NULL : param(model, "dense/b"), *xv = x.data;
    for (int64_t i = 0; i < r.n; i++) {
        double y = b ? b[i % 3] : 0;
        for (int64_t k = 0; k < D; k++) y += xv[i / 3 * D + k] * W[k * 3 + i % 3];
        close_to(&r.y[i], &y, 1, 1e-14, 1e-14, "y"); /* rounding of a sum of 5 products */
    }
    tl_model_free(model);
}

Test(dense, acts_on_the_last_axis_of_any_rank)
{
    for (int no_bias = 0; no_bias < 2; no_bias++) {
        dense_values(TL_DIMS(4), no_bias);
        dense_values(TL_DIMS(2, 4), no_bias);
        dense_values(TL_DIMS(2, 3, 4), no_bias);
        dense_values(TL_DIMS(2, 1, 3, 4), no_bias);
        dense_values(TL_DIMS(2, 0, 4), no_bias);
    }
}

Test(dense, applies_its_activation)
{
    dense_case plain = { 3, false, NULL }, with = { 3, false, tl_relu };
    tl_model *model = tl_model_new(.dtype = TL_F64);
    const tl_array x = F64(5, 4, 2);
    const result a = must_run(model, dense_fn, &x, 1, &plain, 0), b = must_run(model, dense_fn, &x, 1, &with, 0);
    int below = 0;
    for (int i = 0; i < 12; i++) {
        below += a.y[i] < 0;
        cr_assert(b.y[i] == fmax(a.y[i], 0));
    }
    cr_assert(below > 0);
    tl_model_free(model);
}

Test(dense, refuses_what_makes_no_sense)
{
    FAILS(TL_E_ARGUMENT, ".units is missing", tl_dense(r.s, r.x));
    FAILS(TL_E_ARGUMENT, ".units = -2", tl_dense(r.s, r.x, .units = -2));
    FAILS(TL_E_ARGUMENT, ".units = -2147483647", tl_dense(r.s, r.x, .units = TL_ZERO));
    FAILS(TL_E_ABSENT, "dense: x is absent", tl_dense(r.s, TL_NONE, .units = 2));
    FAILS(TL_E_SHAPE, "rank 0", tl_dense(r.s, tl_full(r.s, TL_SCALAR, 1), .units = 2));
    FAILS(TL_E_DTYPE, "i32", tl_dense(r.s, r.ids, .units = 2));
    FAILS(TL_E_ARGUMENT, ".size", tl_dense_opt(TL_HERE, r.s, r.x, &(tl_dense_opts){ .units = 2 }));
    FAILS(TL_E_ABSENT, "absent", tl_dense(r.s, tl_relu(TL_NONE), .units = 2));
}

/* A program built when the struct ended earlier: what it does not know keeps its default. */
Test(dense, takes_shorter_options_of_older_programs)
{
    recording r = start_recording(false);
    tl_dense_opts o = { .size = offsetof(tl_dense_opts, no_bias), .units = 2, .no_bias = true, .activation = tl_relu };
    tl_dense_opt(TL_HERE, r.s, r.x, &o);
    tl_plan *plan = tl_compile(r.tape);
    cr_assert(tl_failed(r.tape) == false, "%s", tl_tape_message(r.tape));
    cr_assert(tl_tape_nodes(r.tape) > 0 && tl_model_find(tl_tape_model(r.tape), "dense/b") >= 0);
    tl_plan_free(plan);
    end_recording(r);
}

/* ---- embedding -------------------------------------------------------------------------------------------------- */

static tl_tensor embedding_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    return tl_embedding(s, in[0], .vocab = 5, .units = 3);
}

Test(embedding, picks_rows)
{
    const int32_t ids[] = { 4, 0, 2, 2, 1, 4 };
    tl_model *model = tl_model_new();
    const tl_array in = ids_of(TL_DIMS(3, 2), ids);
    const result r = must_run(model, embedding_fn, &in, 1, NULL, 0);
    cr_assert(r.shape.rank == 3 && r.shape.dim[0] == 3 && r.shape.dim[1] == 2 && r.shape.dim[2] == 3);
    const double *W = param(model, "embedding/W");
    for (int i = 0; i < 18; i++) cr_assert(r.y[i] == W[ids[i / 3] * 3 + i % 3]);
    tl_model_free(model);
}

static tl_tensor embedding_sum(tl_scope *s, const tl_tensor *in, void *user)
{
    return tl_sum(embedding_fn(s, in, user), TL_ALL);
}

Test(embedding, gradients_of_an_id_that_repeats_add_up)
{
    tl_model *model = tl_model_new();
    const tl_array in = ids_of(TL_DIMS(3, 2), (int32_t[]){ 4, 0, 2, 2, 2, 4 });
    must_run(model, embedding_sum, &in, 1, NULL, 0);
    const result r = must_run(model, embedding_sum, &in, 1, NULL, GRADIENTS);
    const double times[] = { 1, 0, 3, 0, 2 };
    for (int i = 0; i < 15; i++) cr_assert(r.grad[i] == times[i / 3], "row %d: %g", i / 3, r.grad[i]);
    tl_model_free(model);
}

Test(embedding, an_id_out_of_range_is_a_status)
{
    tl_model *model = tl_model_new();
    const tl_array in = ids_of(TL_DIMS(2), (int32_t[]){ 4, 5 });
    const result r = run(model, embedding_fn, &in, 1, NULL, 0);
    cr_assert(r.status == TL_E_INDEX, "%s", tl_status_name(r.status));
    cr_assert(strstr(r.message, "test_layers.c:") && strstr(r.message, "embedding"), "%s", r.message);
    tl_model_free(model);
}

Test(embedding, refuses_what_makes_no_sense)
{
    FAILS(TL_E_ARGUMENT, ".vocab is missing", tl_embedding(r.s, r.ids, .units = 3));
    FAILS(TL_E_ARGUMENT, ".units is missing", tl_embedding(r.s, r.ids, .vocab = 3));
    FAILS(TL_E_ARGUMENT, ".vocab = -1", tl_embedding(r.s, r.ids, .units = 3, .vocab = -1));
    FAILS(TL_E_ABSENT, "ids is absent", tl_embedding(r.s, TL_NONE, .units = 3, .vocab = 2));
    FAILS(TL_E_DTYPE, "", tl_embedding(r.s, r.x, .units = 3, .vocab = 2));
}

/* ---- dropout ---------------------------------------------------------------------------------------------------- */

static tl_tensor dropout_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const tl_dropout_opts *o = user;
    return tl_dropout(s, in[0], .rate = o->rate, .shared = o->shared, .name = o->name);
}

Test(dropout, is_x_itself_outside_training_and_at_rate_zero)
{
    recording e = start_recording(false), t = start_recording(true);
    cr_assert(tl_is(tl_dropout(e.s, e.x, .rate = 0.5), e.x));
    cr_assert(tl_is(tl_dropout(t.s, t.x), t.x));
    cr_assert(tl_is(tl_dropout(t.s, t.x, .rate = TL_ZERO), t.x));
    cr_assert(!tl_is(tl_dropout(t.s, t.x, .rate = 0.5), t.x));
    cr_assert(!tl_failed(t.tape) && !tl_failed(e.tape));
    end_recording(e);
    end_recording(t);
}

/* 10,000 elements: the share that is dropped has deviation 0.0046. */
Test(dropout, drops_its_share_and_scales_the_rest)
{
    tl_model *model = tl_model_new(.dtype = TL_F64);
    tl_dropout_opts o = { .rate = 0.3 };
    const tl_array x = F64(3, 100, 100);
    const result r = must_run(model, dropout_fn, &x, 1, &o, TRAINING);
    double dropped = 0;
    for (int i = 0; i < 10000; i++) {
        dropped += r.y[i] == 0;
        const double kept = ((double *)x.data)[i] * (1 / 0.7);
        cr_assert(r.y[i] == 0 || fabs(r.y[i] - kept) <= 4e-16 * fabs(kept), "%d: %.17g", i, r.y[i]); /* 2 roundings */
    }
    cr_assert(fabs(dropped / 10000 - 0.3) < 0.023, "%g dropped", dropped);
    tl_model_free(model);
}

Test(dropout, one_mask_for_a_shared_axis)
{
    tl_model *model = tl_model_new();
    tl_dropout_opts over_time = { .rate = 0.5, .shared = 1u << 0 }, over_features = { .rate = 0.5, .shared = 1u << 2 };
    tl_array x = F32(3, 6, 5, 8);
    for (int i = 0; i < 240; i++) ((float *)x.data)[i] = 1;
    const result a = must_run(model, dropout_fn, &x, 1, &over_time, TRAINING);
    const result b = must_run(model, dropout_fn, &x, 1, &over_features, TRAINING);
    int differ_a = 0, differ_b = 0;
    for (int i = 0; i < 240; i++) {
        cr_assert(a.y[i] == a.y[i % 40]);
        cr_assert(b.y[i] == b.y[i / 8 * 8]);
        differ_a += a.y[i % 40] != a.y[0];
        differ_b += b.y[i / 8 * 8] != b.y[0];
    }
    cr_assert(differ_a && differ_b);
    tl_model_free(model);
}

static tl_tensor two_dropouts(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor y[] = { tl_dropout(s, in[0], .rate = 0.5), tl_dropout(s, in[0], .rate = 0.5) };
    return tl_stack(2, y, 0);
}

Test(dropout, each_call_and_each_run_has_its_own_mask)
{
    tl_model *model = tl_model_new();
    const tl_array x = F32(3, 10, 10);
    tl_tape *tape = tl_tape_new(model, .training = true);
    const tl_tensor in = tl_input(tl_root(tape), "x", x);
    tl_output(tl_root(tape), "y", two_dropouts(tl_root(tape), &in, NULL));
    tl_plan *plan = tl_compile(tape);
    tl_session *session = tl_session_new(model);
    float first[200];
    tl_array y;
    cr_assert(!tl_run(session, plan, &x, 1) && !tl_get(session, "y", &y), "%s", tl_message());
    memcpy(first, y.data, sizeof first);
    cr_assert(memcmp(first, first + 100, sizeof first / 2), "two calls share a mask");
    cr_assert(!tl_run(session, plan, &x, 1) && !tl_get(session, "y", &y));
    cr_assert(memcmp(first, y.data, sizeof first), "two runs share a mask");
    tl_session_set_runs(session, 0);
    cr_assert(!tl_run(session, plan, &x, 1) && !tl_get(session, "y", &y));
    cr_assert(!memcmp(first, y.data, sizeof first), "the same run has another mask");
    tl_session_free(session);
    tl_plan_free(plan);
    tl_tape_free(tape);
    tl_model_free(model);
}

static tl_tensor dropout_after_another(tl_scope *s, const tl_tensor *in, void *user)
{
    tl_dropout(s, in[0], .rate = 0.5);
    return dropout_fn(s, in, user);
}

Test(dropout, a_name_keeps_the_mask_when_others_come_and_go)
{
    tl_model *model = tl_model_new();
    tl_dropout_opts named = { .rate = 0.5, .name = "drop" }, unnamed = { .rate = 0.5 };
    const tl_array x = F32(3, 10, 10);
    same_bits(must_run(model, dropout_fn, &x, 1, &named, TRAINING),
              must_run(model, dropout_after_another, &x, 1, &named, TRAINING));
    const result a = must_run(model, dropout_fn, &x, 1, &unnamed, TRAINING);
    const result b = must_run(model, dropout_after_another, &x, 1, &unnamed, TRAINING);
    cr_assert(memcmp(a.y, b.y, 100 * sizeof *a.y));
    tl_model_free(model);
}

Test(dropout, refuses_what_makes_no_sense)
{
    FAILS(TL_E_ARGUMENT, ".rate = -0.1", tl_dropout(r.s, r.x, .rate = -0.1));
    FAILS(TL_E_ARGUMENT, ".rate = 1", tl_dropout(r.s, r.x, .rate = 1));
    FAILS(TL_E_ARGUMENT, "nan", tl_dropout(r.s, r.x, .rate = NAN));
    FAILS(TL_E_ARGUMENT, ".shared = 0x8", tl_dropout(r.s, r.x, .rate = 0.5, .shared = 1u << 3));
    FAILS(TL_E_ABSENT, "x is absent", tl_dropout(r.s, TL_NONE, .rate = 0.5));
}

/* ---- gate ------------------------------------------------------------------------------------------------------- */

typedef struct gate_case {
    bool x, h, no_bias, recurrent_bias;
} gate_case;

static tl_tensor gate_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const gate_case *c = user;
    return tl_gate(s, "g", c->x ? in[0] : TL_NONE, c->h ? in[1] : TL_NONE, .units = 3, .no_bias = c->no_bias,
                   .recurrent_bias = c->recurrent_bias);
}

/* The documented chain: b + br, then x W, then h U, each product added by one fused multiply-add. */
static float gate_chain(tl_model *model, const gate_case *c, const float *x, const float *h, int i)
{
    const double *W = c->x ? param(model, "g/W") : NULL, *U = c->h ? param(model, "g/U") : NULL;
    const float b = c->no_bias ? 0 : (float)param(model, "g/b")[i % 3];
    float z = c->recurrent_bias ? b + (float)param(model, "g/br")[i % 3] : b;
    for (int k = 0; c->x && k < 4; k++) z = fmaf(x[i / 3 * 4 + k], (float)W[k * 3 + i % 3], z);
    for (int k = 0; c->h && k < 5; k++) z = fmaf(h[i / 3 * 5 + k], (float)U[k * 3 + i % 3], z);
    return z;
}

Test(gate, is_one_chain_of_multiply_adds_in_the_documented_order)
{
    tl_set_exact(true);
    for (int k = 0; k < 16; k++) {
        gate_case c = { k & 1, k & 2, k & 4, k & 8 };
        if (!c.x && !c.h) continue;
        tl_model *model = tl_model_new();
        const tl_array in[] = { F32(1, 2, 4), F32(2, 2, 5) };
        must_run(model, gate_fn, in, 2, &c, 0);
        cr_assert(tl_model_count(model) == c.x + c.h + !c.no_bias + c.recurrent_bias);
        stir(model, 4);
        const result r = must_run(model, gate_fn, in, 2, &c, 0);
        cr_assert(r.shape.rank == 2 && r.shape.dim[0] == 2 && r.shape.dim[1] == 3);
        for (int i = 0; i < 6; i++) {
            const double z = gate_chain(model, &c, in[0].data, in[1].data, i);
            cr_assert(r.y[i] == z, "case %d: y[%d] = %.9g, expected %.9g", k, i, r.y[i], z);
        }
        tl_model_free(model);
    }
}

Test(gate, rows_may_stand_under_any_axes)
{
    gate_case c = { true, true, false, false };
    tl_model *model = tl_model_new();
    tl_array in[] = { F32(1, 2, 3, 4), F32(2, 2, 3, 5) };
    result deep = must_run(model, gate_fn, in, 2, &c, 0);
    cr_assert(deep.shape.rank == 3 && deep.shape.dim[0] == 2 && deep.shape.dim[1] == 3 && deep.shape.dim[2] == 3);
    for (int k = 0; k < 2; k++) in[k] = (tl_array){ in[k].dtype, 2, { 6, 4 + k }, 0, in[k].data };
    same_bits(deep, must_run(model, gate_fn, in, 2, &c, 0));
    tl_model_free(model);
}

static tl_tensor gate_in_place(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    return tl_gate(s, NULL, in[0], in[1], .bias = -0.5, .kernel_init = tl_constant(2),
                   .recurrent_init = tl_constant(3));
}

Test(gate, without_a_name_and_with_chosen_initial_values)
{
    tl_model *model = tl_model_new();
    const tl_array in[] = { F32(1, 2, 4), F32(2, 2, 5) };
    const result r = must_run(model, gate_in_place, in, 2, NULL, 0);
    cr_assert(r.shape.dim[1] == 5, "units are h's");
    cr_assert(param(model, "b")[4] == -0.5 && param(model, "W")[19] == 2 && param(model, "U")[24] == 3);
    tl_model_free(model);
}

Test(gate, refuses_what_makes_no_sense)
{
    FAILS(TL_E_ABSENT, "both absent", tl_gate(r.s, "g", TL_NONE, TL_NONE, .units = 3));
    FAILS(TL_E_ARGUMENT, ".units is missing", tl_gate(r.s, "g", r.x, TL_NONE));
    FAILS(TL_E_ARGUMENT, ".units = -1", tl_gate(r.s, "g", r.x, TL_NONE, .units = -1));
    FAILS(TL_E_ARGUMENT, ".bias = nan", tl_gate(r.s, "g", r.x, r.x, .bias = NAN));
    FAILS(TL_E_ARGUMENT, ".gates = -4", tl_gate(r.s, "g", r.x, r.x, .gates = -4));
    FAILS(TL_E_SHAPE, "x [3,2,4] and h [2,3,4]",
          tl_gate(r.s, "g", r.x, tl_full(r.s, TL_DIMS(2, 3, 4), 1))); /* as many rows, but others */
    FAILS(TL_E_SHAPE, "x [3,2,4] and h [2,4]", tl_gate(r.s, "g", r.x, tl_full(r.s, TL_DIMS(2, 4), 1)));
    FAILS(TL_E_ABSENT, "absent", tl_gate(r.s, "g", tl_relu(TL_NONE), r.x));
    FAILS(TL_E_DTYPE, " in g: ", tl_gate(r.s, "g", r.ids, TL_NONE, .units = 2));
}

/* ---- cells against formulas in plain C -------------------------------------------------------------------------- */

enum { SIMPLE, SIMPLE_TORCH, LSTM, LSTM_TORCH, GRU, GRU_BEFORE, MGU, KINDS };

typedef struct kind {
    const char *name, *gates[5];
    int states;
} kind;

static const kind kinds[KINDS] = { [SIMPLE] = { "simple", { "" }, 1 },
                                   [SIMPLE_TORCH] = { "simple", { "" }, 1 },
                                   [LSTM] = { "lstm", { "i", "f", "c", "o" }, 2 },
                                   [LSTM_TORCH] = { "lstm", { "i", "f", "c", "o" }, 2 },
                                   [GRU] = { "gru", { "z", "r", "h" }, 1 },
                                   [GRU_BEFORE] = { "gru", { "z", "r", "h" }, 1 },
                                   [MGU] = { "mgu", { "f", "c" }, 1 } };

typedef struct rnn_case {
    int kind;
    int64_t units;
    bool no_bias, relu, hard_sigmoid, sequences, backwards, initial, final;
} rnn_case;

static tl_tensor relu6_by(tl_tensor x, double sixth)
{
    return tl_minimum(tl_scale(tl_relu(tl_add_scalar(x, 3)), sixth), tl_full_like(x, 1));
}

/* Keras': relu6(x + 3) / 6. Its gradient is PyTorch's 1.13.1 (Keras' backend in the fixtures), which takes 1/6 in
 * float even for doubles: 3e-8 away from the truth. */
static tl_tensor hard_sigmoid(tl_tensor x)
{
    const tl_tensor y = relu6_by(x, 1.0 / 6), theirs = relu6_by(x, (double)(1.0f / 6.0f));
    return tl_add(theirs, tl_stop_gradient(tl_sub(y, theirs)));
}

static tl_cell cell_of(tl_scope *s, const rnn_case *c)
{
    const tl_activation act = c->relu ? tl_relu : NULL, sig = c->hard_sigmoid ? hard_sigmoid : NULL;
    switch (c->kind) {
    case SIMPLE:
    case SIMPLE_TORCH:
        return tl_simple_rnn_cell(s, .activation = act, .no_bias = c->no_bias,
                                  .recurrent_bias = c->kind == SIMPLE_TORCH && !c->no_bias);
    case LSTM:
    case LSTM_TORCH:
        return tl_lstm_cell(s, .activation = act, .recurrent_activation = sig, .no_bias = c->no_bias,
                            .recurrent_bias = c->kind == LSTM_TORCH && !c->no_bias);
    case GRU:
    case GRU_BEFORE:
        return tl_gru_cell(s, .activation = act, .recurrent_activation = sig, .no_bias = c->no_bias,
                           .reset_before = c->kind == GRU_BEFORE);
    default: return tl_mgu_cell();
    }
}

/* All outputs (or the last), and the final states under them if asked for: one row of numbers per step and state. */
static tl_tensor rnn_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const rnn_case *c = user;
    tl_tensor final[2], part[3];
    const tl_tensor y = tl_rnn(s, in[0], cell_of(s, c), .units = c->units, .return_sequences = c->sequences,
                               .go_backwards = c->backwards, .initial = c->initial ? in + 1 : NULL, .final = final);
    if (!c->final) return y;
    const int64_t T = c->sequences ? tl_dim(in[0], 0) : 1, B = tl_dim(in[0], 1);
    part[0] = tl_reshape(y, TL_DIMS(T, B, c->units));
    for (int k = 0; k < kinds[c->kind].states; k++) part[k + 1] = tl_reshape(final[k], TL_DIMS(1, B, c->units));
    return tl_concat(1 + kinds[c->kind].states, part, 0);
}

/* One gate's sum for one row and unit, from the model's parameters under "rnn". what: 1 x W + b, 2 h U + br, 3 both */
static double sum_of(tl_model *model, const char *gate, int what, const double *x, int64_t D, const double *h,
                     int64_t H, int64_t j)
{
    char path[64];
    double z = 0;
    const double *W = paramf(model, "rnn", gate, "W"), *U = paramf(model, "rnn", gate, "U");
    for (int64_t k = 0; (what & 1) && k < D; k++) z += x[k] * W[k * H + j];
    for (int64_t k = 0; (what & 2) && k < H; k++) z += h[k] * U[k * H + j];
    snprintf(path, sizeof path, "rnn%s%s/b", *gate ? "/" : "", gate);
    if ((what & 1) && tl_model_find(model, path) >= 0) z += param(model, path)[j];
    strcat(path, "r");
    if ((what & 2) && tl_model_find(model, path) >= 0) z += param(model, path)[j];
    return z;
}

static double sigma(double z) { return 1 / (1 + exp(-z)); }

/* h and c of one row, one step on; straight from the formulas in layers.h */
static void reference_step(tl_model *model, const rnn_case *q, const double *x, int64_t D, double *h, double *c)
{
    const int64_t H = q->units;
    double next[16], z[16], r[16], rh[16];
    for (int64_t j = 0; j < H; j++) {
        const char *const *g = kinds[q->kind].gates;
        z[j] = sigma(sum_of(model, g[0], 3, x, D, h, H, j));           /* i, z or f */
        if (g[2]) r[j] = sigma(sum_of(model, g[1], 3, x, D, h, H, j)); /* f or r */
        rh[j] = (q->kind == MGU ? z[j] : r[j]) * h[j];
    }
    for (int64_t j = 0; j < H; j++) {
        double a;
        switch (q->kind) {
        case SIMPLE:
        case SIMPLE_TORCH: a = sum_of(model, "", 3, x, D, h, H, j); break;
        case GRU: a = sum_of(model, "h", 1, x, D, h, H, j) + r[j] * sum_of(model, "h", 2, x, D, h, H, j); break;
        case GRU_BEFORE: a = sum_of(model, "h", 3, x, D, rh, H, j); break;
        case MGU: a = sum_of(model, "c", 3, x, D, rh, H, j); break;
        default: a = sum_of(model, "c", 3, x, D, h, H, j); break;
        }
        a = q->relu ? fmax(a, 0) : tanh(a);
        if (q->kind == SIMPLE || q->kind == SIMPLE_TORCH) next[j] = a;
        else if (q->kind == GRU || q->kind == GRU_BEFORE) next[j] = z[j] * h[j] + (1 - z[j]) * a;
        else if (q->kind == MGU) next[j] = (1 - z[j]) * h[j] + z[j] * a;
        else {
            c[j] = r[j] * c[j] + z[j] * a;
            next[j] = sigma(sum_of(model, "o", 3, x, D, h, H, j)) * (q->relu ? fmax(c[j], 0) : tanh(c[j]));
        }
    }
    memcpy(h, next, (size_t)H * sizeof *h);
}

enum { T = 4, B = 2, D = 3, H = 5 };

/* All kinds and switches; in f64 the two sums differ by rounding only (at most 12 products of numbers near 1, 4 steps:
 * 1e-13), in f32 likewise (1e-5). */
static void cell_values(tl_dtype dtype, rnn_case c, double rtol)
{
    tl_model *model = tl_model_new(.dtype = dtype);
    const tl_array in[] = { floats(dtype, TL_DIMS(T, B, D), 1), floats(dtype, TL_DIMS(B, H), 2),
                            floats(dtype, TL_DIMS(B, H), 3) };
    c.units = H, c.sequences = c.initial = c.final = true;
    must_run(model, rnn_fn, in, 3, &c, 0);
    stir(model, 6);
    const result r = must_run(model, rnn_fn, in, 3, &c, 0);
    const double *x = as_doubles(in[0].data, dtype, T * B * D);
    double *h = as_doubles(in[1].data, dtype, B * H), *cell = as_doubles(in[2].data, dtype, B * H);
    for (int t = 0; t < T; t++)
        for (int b = 0; b < B; b++) {
            reference_step(model, &c, x + (t * B + b) * D, D, h + b * H, cell + b * H);
            close_to(r.y + (t * B + b) * H, h + b * H, H, rtol, rtol, kinds[c.kind].name);
        }
    close_to(r.y + T * B * H, h, B * H, rtol, rtol, "final h");
    if (kinds[c.kind].states > 1) close_to(r.y + (T + 1) * B * H, cell, B * H, rtol, rtol, "final c");
    tl_model_free(model);
}

Test(cells, compute_their_formulas)
{
    for (int k = 0; k < KINDS; k++)
        for (int no_bias = 0; no_bias < 2; no_bias++)
            for (int relu = 0; relu < 2; relu++) {
                if (k == MGU && (no_bias || relu)) continue;
                cell_values(TL_F64, (rnn_case){ .kind = k, .no_bias = no_bias, .relu = relu }, 1e-13);
                cell_values(TL_F32, (rnn_case){ .kind = k, .no_bias = no_bias, .relu = relu }, 1e-5);
            }
}

/* DESIGN.md section 1, as written there. */
static tl_tensor mgu_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    tl_tensor f = tl_sigmoid(tl_gate(s, "f", x, *h, .bias = 1));
    tl_tensor c = tl_tanh(tl_gate(s, "c", x, tl_mul(f, *h)));
    return *h = tl_lerp(*h, c, f);
}
static const tl_cell mgu = { .step = mgu_step };

static tl_tensor own_mgu(tl_scope *s, const tl_tensor *in, void *user)
{
    return tl_sum(tl_rnn(s, in[0], user ? mgu : tl_mgu_cell(), .units = 6, .return_sequences = true), TL_ALL);
}

Test(cells, a_user_s_cell_is_the_library_s)
{
    tl_model *model = tl_model_new();
    const tl_array x = F32(1, 5, 3, 4);
    must_run(model, own_mgu, &x, 1, NULL, 0);
    cr_assert(param(model, "rnn/f/b")[3] == 1 && param(model, "rnn/c/b")[3] == 0);
    same_bits(must_run(model, own_mgu, &x, 1, NULL, GRADIENTS), must_run(model, own_mgu, &x, 1, model, GRADIENTS));
    tl_model_free(model);
}

static tl_tensor next_char(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor x = tl_embedding(s, in[0], .vocab = 96, .units = 64);
    tl_tensor h = tl_rnn(s, x, mgu, .units = 256, .return_sequences = true);
    tl_tensor z = tl_dense(s, h, .units = 96);
    tl_output(s, "logits", z);
    return tl_cross_entropy(z, in[1]);
}

/* At the start all letters are about equally likely: ln 96 = 4.564. */
Test(cells, the_example_of_the_design_runs)
{
    tl_model *model = tl_model_new();
    const int32_t ids[] = { 5, 9, 95, 0, 1, 2 };
    const tl_array in[] = { ids_of(TL_DIMS(3, 2), ids), ids_of(TL_DIMS(3, 2), ids) };
    const result r = must_run(model, next_char, in, 2, NULL, GRADIENTS);
    cr_assert(fabs(r.y[0] - log(96)) < 0.2, "%g", r.y[0]);
    tl_model_free(model);
}

/* A cell around a cell, as layers.h shows it. */
static tl_tensor residual_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *inner)
{
    return tl_add(x, tl_call(s, *(const tl_cell *)inner, x, state));
}

static void inner_start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *inner)
{
    tl_start(s, *(const tl_cell *)inner, x, units, state);
}

static tl_cell residual_cell(tl_scope *s, tl_cell inner)
{
    return (tl_cell){ residual_step, inner.states, inner_start, tl_scope_copy(s, &inner, sizeof inner) };
}

static tl_tensor wrapped(tl_scope *s, const tl_tensor *in, void *user)
{
    const tl_cell lstm = tl_lstm_cell(s);
    const tl_cell cell = user ? residual_cell(s, residual_cell(s, lstm)) : lstm;
    return tl_rnn(s, in[0], cell, .units = 4, .return_sequences = true);
}

/* Adding x twice: exact up to the rounding of two additions. */
Test(cells, a_wrapper_adds_no_path_and_changes_only_what_it_says)
{
    tl_model *model = tl_model_new(.dtype = TL_F64);
    const tl_array x = F64(1, 5, 3, 4);
    const result plain = must_run(model, wrapped, &x, 1, NULL, 0), twice = must_run(model, wrapped, &x, 1, model, 0);
    cr_assert(tl_model_count(model) == 12);
    for (int i = 0; i < 60; i++) {
        const double expected = plain.y[i] + 2 * ((double *)x.data)[i];
        cr_assert(fabs(twice.y[i] - expected) < 1e-15);
    }
    tl_model_free(model);
}

/* ---- unrolling -------------------------------------------------------------------------------------------------- */

/* The loop that tl_rnn's comment shows. */
static tl_tensor loop_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const rnn_case *c = user;
    const tl_cell cell = cell_of(s, c);
    tl_tensor state[2], y[T];
    tl_scope *r = tl_in(s, "rnn");
    tl_start(r, cell, tl_at(in[0], 0), c->units, state);
    for (int64_t t = 0; t < T; t++) y[t] = tl_call(tl_step(r, t), cell, tl_at(in[0], t), state);
    return tl_sum(tl_square(c->sequences ? tl_stack(T, y, 0) : y[T - 1]), TL_ALL);
}

static tl_tensor loss_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    return tl_sum(tl_square(rnn_fn(s, in, user)), TL_ALL);
}

Test(rnn, a_loop_in_c_gives_the_same_bits)
{
    for (int k = 0; k < 2 * KINDS; k++) {
        rnn_case c = { .kind = k / 2, .units = H, .sequences = k % 2 };
        tl_model *model = tl_model_new();
        const tl_array x = F32(1, T, B, D);
        must_run(model, loss_fn, &x, 1, &c, 0);
        stir(model, 3);
        const result a = must_run(model, loss_fn, &x, 1, &c, GRADIENTS);
        same_bits(a, must_run(model, loop_fn, &x, 1, &c, GRADIENTS));
        for (int64_t i = 0; i < a.n_grad; i++) cr_assert(isfinite(a.grad[i]));
        cr_assert(a.y[0] > 0 && a.n_grad == tl_model_size(model));
        tl_model_free(model);
    }
}

Test(rnn, the_last_of_all_outputs_is_the_output)
{
    for (int k = 0; k < KINDS; k++) {
        rnn_case all = { .kind = k, .units = H, .sequences = true }, last = { .kind = k, .units = H };
        tl_model *model = tl_model_new();
        const tl_array x = F32(1, T, B, D);
        const result a = must_run(model, rnn_fn, &x, 1, &all, 0), b = must_run(model, rnn_fn, &x, 1, &last, 0);
        cr_assert(a.shape.rank == 3 && a.shape.dim[0] == T && a.shape.dim[1] == B && a.shape.dim[2] == H);
        cr_assert(b.shape.rank == 2 && b.shape.dim[0] == B && b.shape.dim[1] == H);
        cr_assert(!memcmp(a.y + (T - 1) * B * H, b.y, B * H * sizeof *b.y));
        cr_assert(memcmp(a.y, b.y, B * H * sizeof *b.y));
        tl_model_free(model);
    }
}

static tl_array part_of(tl_array x, int64_t begin, int64_t end)
{
    x.data = (float *)x.data + begin * x.dim[1] * x.dim[2];
    x.dim[0] = end - begin;
    return x;
}

Test(rnn, chunks_with_the_states_handed_on_give_the_same_bits)
{
    for (int k = 0; k < KINDS; k++) {
        rnn_case whole = { .kind = k, .units = H, .sequences = true, .final = true }, rest = whole;
        tl_model *model = tl_model_new();
        const tl_array x = F32(1, T, B, D);
        const result all = must_run(model, rnn_fn, &x, 1, &whole, 0);
        const tl_array first = part_of(x, 0, 1);
        const result a = must_run(model, rnn_fn, &first, 1, &whole, 0);
        tl_array in[3] = { part_of(x, 1, T) };
        for (int i = 0; i < kinds[k].states; i++) {
            in[1 + i] = F32(0, B, H);
            for (int j = 0; j < B * H; j++) ((float *)in[1 + i].data)[j] = (float)a.y[(1 + i) * B * H + j];
        }
        rest.initial = true;
        const result b = must_run(model, rnn_fn, in, 1 + kinds[k].states, &rest, 0);
        cr_assert(!memcmp(all.y, a.y, B * H * sizeof *a.y));
        cr_assert(!memcmp(all.y + B * H, b.y, (size_t)b.n * sizeof *b.y), "%s", kinds[k].name);
        cr_assert(b.n == (T - 1 + kinds[k].states) * B * H);
        tl_model_free(model);
    }
}

typedef struct stateful_case {
    int kind;
    bool reset, initial;
} stateful_case;

static tl_tensor stateful_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const stateful_case *c = user;
    const rnn_case q = { .kind = c->kind };
    const tl_tensor *initial = c->initial ? in + 1 + c->reset : NULL;
    return tl_rnn(s, in[0], cell_of(s, &q), .units = H, .return_sequences = true, .stateful = true, .initial = initial,
                  .reset = c->reset ? in[1] : TL_NONE);
}

static double *next_run(running r, const tl_array *in, int n)
{
    tl_array y;
    cr_assert(!tl_run(r.session, r.plan, in, n) && !tl_get(r.session, "y", &y), "%s", tl_message());
    return as_doubles(y.data, TL_F32, y.dim[0] * y.dim[1] * y.dim[2]);
}

Test(rnn, stateful_goes_on_where_the_last_run_ended)
{
    for (int k = 0; k < KINDS; k++) {
        rnn_case whole = { .kind = k, .units = H, .sequences = true };
        stateful_case c = { k, false, false };
        tl_model *model = tl_model_new();
        const tl_array x = F32(1, T, B, D), half[] = { part_of(x, 0, T / 2), part_of(x, T / 2, T) };
        const result all = must_run(model, rnn_fn, &x, 1, &whole, 0);
        const running r = start_running(model, stateful_fn, half, 1, &c, 0);
        const size_t bytes = T / 2 * B * H * sizeof(double);
        cr_assert(!memcmp(next_run(r, &half[0], 1), all.y, bytes));
        cr_assert(!memcmp(next_run(r, &half[1], 1), all.y + T / 2 * B * H, bytes), "%s", kinds[k].name);
        tl_session_reset(r.session);
        cr_assert(!memcmp(next_run(r, &half[0], 1), all.y, bytes));
        cr_assert(tl_session_states(r.session) == kinds[k].states);
        end_running(r);
        tl_model_free(model);
    }
    cr_assert(tl_live_bytes() == 0);
}

/* Row 0 restarts before step 1: from there it is what it would be in a sequence of its own; row 1 is not touched. A
 * run later, with states carried over, the same. */
Test(rnn, reset_starts_a_row_afresh)
{
    for (int k = 0; k < KINDS; k++) {
        rnn_case whole = { .kind = k, .units = H, .sequences = true, .initial = true };
        stateful_case c = { k, true, true };
        tl_model *model = tl_model_new();
        const int32_t at[T][B] = { { 0, 0 }, { 1, 0 } };
        const tl_array x = F32(1, T, B, D), h = F32(2, B, H), cell = F32(3, B, H);
        const tl_array in[] = { x, ids_of(TL_DIMS(T, B), &at[0][0]), h, cell };
        const tl_array plain[] = { x, h, cell }, late[] = { part_of(x, 1, T), h, cell };
        const result all = must_run(model, rnn_fn, plain, 3, &whole, 0);
        const result cut = must_run(model, rnn_fn, late, 3, &whole, 0);
        const running r = start_running(model, stateful_fn, in, 4, &c, 0);
        for (int time = 0; time < 2; time++) {
            const double *y = next_run(r, in, 4);
            for (int t = 1; t < T; t++) {
                cr_assert(!memcmp(y + (t * B) * H, cut.y + (t - 1) * B * H, H * sizeof *y), "%s step %d", kinds[k].name,
                          t);
                const int same = !memcmp(y + (t * B + 1) * H, all.y + (t * B + 1) * H, H * sizeof *y);
                cr_assert(same == !time, "%s: row 1 at step %d of run %d", kinds[k].name, t, time);
            }
            cr_assert(!memcmp(y, all.y, H * sizeof *y) == !time);
        }
        end_running(r);
        tl_model_free(model);
    }
}

/* The reversed sequence forwards is the sequence backwards: outputs in the order they are made (Keras), and final
 * states. */
Test(rnn, go_backwards_is_the_reversed_sequence)
{
    for (int k = 0; k < KINDS; k++) {
        rnn_case forward = { .kind = k, .units = H, .sequences = true, .final = true }, backward = forward;
        backward.backwards = true;
        tl_model *model = tl_model_new();
        const tl_array x = F32(1, T, B, D), reversed = F32(1, T, B, D);
        for (int t = 0; t < T; t++)
            memcpy((float *)reversed.data + t * B * D, (float *)x.data + (T - 1 - t) * B * D, B * D * sizeof(float));
        const result a = must_run(model, rnn_fn, &reversed, 1, &forward, 0);
        same_bits(a, must_run(model, rnn_fn, &x, 1, &backward, 0));
        cr_assert(memcmp(a.y, must_run(model, rnn_fn, &x, 1, &forward, 0).y, (size_t)a.n * sizeof *a.y));
        tl_model_free(model);
    }
}

/* Forgets its state and answers with x, dropped by half. */
static tl_tensor noisy_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    *h = tl_add_scalar(*h, 1);
    return tl_dropout(s, x, .rate = 0.5);
}

static tl_tensor noisy_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    return tl_rnn(s, in[0], (tl_cell){ .step = noisy_step }, .units = 1, .return_sequences = true,
                  .go_backwards = user);
}

/* A step keeps its number whichever way time runs, and with it its random numbers. */
Test(rnn, go_backwards_keeps_each_step_s_random_numbers)
{
    tl_model *model = tl_model_new();
    const tl_array x = F32(1, T, 4, 8);
    const result a = must_run(model, noisy_fn, &x, 1, NULL, TRAINING);
    const result b = must_run(model, noisy_fn, &x, 1, model, TRAINING);
    for (int t = 0; t < T; t++) {
        cr_assert(!memcmp(a.y + t * 32, b.y + (T - 1 - t) * 32, 32 * sizeof *a.y), "step %d", t);
        cr_assert(!t || memcmp(a.y, a.y + t * 32, 32 * sizeof *a.y));
    }
    tl_model_free(model);
}

static tl_tensor backward_reset_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    return tl_gru(s, in[0], .units = H, .return_sequences = true, .go_backwards = true, .reset = in[1]);
}

/* reset[t] belongs to x[t]: going backwards, a reset at 1 starts row 0 afresh just before step 1 (after 3 and 2). */
Test(rnn, reset_follows_x_backwards)
{
    tl_model *model = tl_model_new();
    const int32_t none[T][B] = { { 0 } }, one[T][B] = { { 0, 0 }, { 1, 0 }, { 0, 0 }, { 0, 0 } };
    const tl_array x = F32(1, T, B, D), head = part_of(x, 0, 2);
    const tl_array all[] = { x, ids_of(TL_DIMS(T, B), &none[0][0]) }, cut[] = { x, ids_of(TL_DIMS(T, B), &one[0][0]) };
    const tl_array late[] = { head, ids_of(TL_DIMS(2, B), &none[0][0]) };
    const result a = must_run(model, backward_reset_fn, all, 2, NULL, 0);
    const result b = must_run(model, backward_reset_fn, cut, 2, NULL, 0);
    const result c = must_run(model, backward_reset_fn, late, 2, NULL, 0);
    for (int k = 0; k < T; k++) { /* k = 0 is step 3 */
        cr_assert(!memcmp(b.y + (k * B + 1) * H, a.y + (k * B + 1) * H, H * sizeof *a.y), "row 1 at %d", k);
        const double *expected = k < 2 ? a.y + k * B * H : c.y + (k - 2) * B * H;
        cr_assert(!memcmp(b.y + k * B * H, expected, H * sizeof *a.y), "row 0 at %d", k);
    }
    tl_model_free(model);
}

static tl_tensor each_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    tl_tensor each[T];
    const tl_tensor y = tl_gru(s, in[0], .units = H, .each = each, .return_sequences = true, .go_backwards = true);
    return user ? tl_stack(T, each, 0) : y;
}

Test(rnn, each_receives_every_output)
{
    tl_model *model = tl_model_new();
    const tl_array x = F32(1, T, B, D);
    same_bits(must_run(model, each_fn, &x, 1, NULL, 0), must_run(model, each_fn, &x, 1, model, 0));
    tl_model_free(model);
}

/* A cell whose two states have shapes of their own: a learned vector, and a count of steps [B]. */
static tl_tensor counting_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    (void)ctx;
    state[1] = tl_add_scalar(state[1], 1);
    return state[0] = tl_tanh(tl_gate(s, NULL, x, state[0]));
}

static void counting_start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx)
{
    (void)ctx;
    const tl_tensor h = tl_param(s, "h0", TL_DIMS(units), .init = tl_constant(0.5));
    state[0] = tl_broadcast_to(h, TL_DIMS(tl_dim(x, 0), units));
    state[1] = tl_full(s, TL_DIMS(tl_dim(x, 0)), 0);
}

static tl_tensor counting_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const tl_cell cell = { counting_step, 2, counting_start, NULL };
    const tl_tensor given[] = { TL_NONE, in[1] };
    tl_tensor final[2];
    const tl_tensor y = tl_rnn(s, in[0], cell, .units = H, .final = final, .initial = user ? given : NULL,
                               .reset = user ? in[2] : TL_NONE);
    return tl_add(tl_sum(tl_square(y), TL_ALL), tl_sum(tl_scale(final[1], 100), TL_ALL));
}

Test(rnn, a_cell_records_initial_states_of_its_own)
{
    tl_model *model = tl_model_new();
    tl_array in[] = { F32(1, T, B, D), F32(2, B), F32(0, T, B) };
    memset(in[2].data, 0, T * B * sizeof(float));
    memcpy(in[1].data, (float[]){ 10, 20 }, 2 * sizeof(float));
    must_run(model, counting_fn, in, 3, NULL, 0);
    const result a = must_run(model, counting_fn, in, 3, NULL, GRADIENTS);
    const int64_t offset = tl_model_param(model, tl_model_find(model, "rnn/h0"))->offset;
    cr_assert(param(model, "rnn/h0")[2] == 0.5 && a.grad[offset] != 0);
    cr_assert(a.y[0] > 100 * T * B && a.y[0] <= 100 * T * B + B * H, "%g", a.y[0]);
    const result b = must_run(model, counting_fn, in, 3, model, 0); /* one state given, the other the cell's own */
    cr_assert(fabs(b.y[0] - a.y[0] - 100 * 30) < 1e-3, "%g, %g", a.y[0], b.y[0]); /* f32 at 4000: 2e-4 */
    ((float *)in[2].data)[2 * B + 1] = -3; /* row 1 starts afresh before step 2: it counts 20 + 2 instead of 20 + 4 */
    const result c = must_run(model, counting_fn, in, 3, model, 0);
    cr_assert(c.y[0] < b.y[0] - 100 * 2 + B * H && c.y[0] > b.y[0] - 100 * 2 - B * H, "%g, %g", b.y[0], c.y[0]);
    tl_model_free(model);
}

Test(rnn, refuses_what_makes_no_sense)
{
    const tl_cell cell = tl_mgu_cell(), empty = { 0 }, negative = { .step = mgu_step, .states = -1 };
    FAILS(TL_E_SHAPE, "no time steps", tl_rnn(r.s, tl_full(r.s, TL_DIMS(0, 2, 4), 1), cell, .units = 3));
    FAILS(TL_E_SHAPE, "rank 1", tl_rnn(r.s, tl_full(r.s, TL_DIMS(3), 1), cell, .units = 3));
    FAILS(TL_E_ABSENT, "x is absent", tl_rnn(r.s, TL_NONE, cell, .units = 3));
    FAILS(TL_E_ABSENT, "all operands were absent", tl_rnn(r.s, tl_tanh(TL_NONE), cell, .units = 3));
    FAILS(TL_E_ARGUMENT, ".units is missing", tl_rnn(r.s, r.x, cell));
    FAILS(TL_E_ARGUMENT, ".units = -3", tl_lstm(r.s, r.x, .units = -3));
    FAILS(TL_E_ARGUMENT, "no .step", tl_rnn(r.s, r.x, empty, .units = 3));
    FAILS(TL_E_ARGUMENT, ".states is negative", tl_rnn(r.s, r.x, negative, .units = 3));
    FAILS(TL_E_SHAPE, ".reset [2,3]", tl_gru(r.s, r.x, .units = 3, .reset = tl_full(r.s, TL_DIMS(2, 3), 0)));
    FAILS(TL_E_SHAPE, ".reset [3,2,4]", tl_gru(r.s, r.x, .units = 3, .reset = r.x));
    FAILS(TL_E_ARGUMENT, ".size", tl_rnn_opt(TL_HERE, r.s, r.x, cell, &(tl_rnn_opts){ .units = 3 }));
    FAILS(TL_E_ARGUMENT, ".bias_forget = nan", tl_lstm_cell(r.s, .bias_forget = NAN));
    FAILS(TL_E_ARGUMENT, "no array of states", tl_call(r.s, cell, r.x, NULL));
    tl_tensor h;
    FAILS(TL_E_SHAPE, "initial state 0 is [3,5]", h = tl_full(r.s, TL_DIMS(3, 5), 0);
          tl_rnn(r.s, r.x, cell, .initial = &h));
    FAILS(TL_E_ABSENT, "all operands were absent", h = tl_tanh(TL_NONE); tl_rnn(r.s, r.x, cell, .initial = &h));
}

static tl_tensor lazy_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    (void)s, (void)state, (void)ctx;
    return x;
}

static void lazy_start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx)
{
    (void)s, (void)x, (void)units, (void)state, (void)ctx;
}

static void half_start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx)
{
    (void)s, (void)units, (void)ctx;
    state[0] = x;
}

Test(rnn, a_start_that_forgets_a_state_is_told)
{
    const tl_cell lazy = { lazy_step, 2, lazy_start, NULL }, lazier = { lazy_step, 2, half_start, NULL };
    FAILS(TL_E_ABSENT, "state 0", tl_rnn(r.s, r.x, lazy, .units = 3));
    FAILS(TL_E_ABSENT, "state 1", tl_tensor state[] = { r.x, r.x }; tl_start(r.s, lazier, r.x, 3, state));
}

static tl_tensor reading_step(tl_scope *s, tl_tensor ids, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    return *h = tl_tanh(tl_gate(s, NULL, tl_embedding(s, ids, .vocab = 9, .units = 4), *h));
}

static tl_tensor reading_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    if (!user) return tl_rnn(s, in[0], (tl_cell){ .step = reading_step }, .units = 3, .name = "simple_rnn");
    const tl_tensor x = tl_embedding(tl_in(s, "simple_rnn"), in[0], .vocab = 9, .units = 4);
    return tl_simple_rnn(s, x, .units = 3);
}

/* Inside the cell or before it: the same numbers from the same parameters. */
Test(rnn, a_cell_may_take_ids)
{
    const tl_array ids = ids_of(TL_DIMS(3, 2), (int32_t[]){ 1, 8, 3, 3, 0, 6 });
    tl_model *model = tl_model_new();
    same_bits(must_run(model, reading_fn, &ids, 1, NULL, 0), must_run(model, reading_fn, &ids, 1, model, 0));
    cr_assert(tl_model_count(model) == 4);
    tl_model_free(model);
}

static tl_tensor failing_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    (void)state, (void)ctx;
    tl_error(s, TL_E_CHECK, "on purpose");
    return x;
}

Test(rnn, a_step_that_fails_leaves_error_handles_in_the_states)
{
    recording r = start_recording(false);
    tl_tensor state[2] = { r.x, r.x };
    cr_assert(is_error(tl_call(r.s, (tl_cell){ failing_step, 2, NULL, NULL }, r.x, state)));
    cr_assert(is_error(state[0]) && is_error(state[1]));
    fails(r, TL_E_CHECK, "on purpose", "test_layers.c:");
}

/* ---- places and names ------------------------------------------------------------------------------------------- */

static void both_lines(recording r, int first, int second)
{
    char a[40], b[40];
    snprintf(a, sizeof a, "test_layers.c:%d", first);
    snprintf(b, sizeof b, "test_layers.c:%d", second);
    cr_assert(strstr(tl_tape_message(r.tape), "given") == NULL);
    fails(r, TL_E_NAME, a, b);
}

Test(names, two_unnamed_layers_of_a_kind_never_share_weights_in_silence)
{
    recording r = start_recording(false);
    const int line = __LINE__;
    const tl_tensor y = tl_dense(r.s, r.x, .units = 4);
    tl_dense(r.s, y, .units = 4);
    both_lines(r, line + 1, line + 2);

    r = start_recording(false);
    tl_lstm(r.s, tl_lstm(r.s, r.x, .units = 4, .return_sequences = true), .units = 4);
    both_lines(r, line + 6, line + 6);

    r = start_recording(false);
    tl_embedding(r.s, r.ids, .vocab = 4, .units = 4);
    tl_embedding(r.s, r.ids, .vocab = 4, .units = 4);
    both_lines(r, line + 10, line + 11);
}

Test(names, a_dense_in_a_plain_loop_is_an_error)
{
    recording r = start_recording(false);
    const int line = __LINE__ + 1;
    for (int t = 0; t < 3; t++) tl_dense(r.s, tl_at(r.x, t), .units = 4);
    both_lines(r, line, line);
}

Test(names, in_steps_under_again_and_with_names_layers_may_be_repeated)
{
    recording r = start_recording(false);
    for (int t = 0; t < 3; t++) tl_dense(tl_step(tl_in(r.s, "steps"), t), tl_at(r.x, t), .units = 4);
    tl_dense(r.s, r.x, .units = 4);
    tl_dense(tl_again(r.s), r.x, .units = 4);
    tl_dense(r.s, r.x, .units = 4, .name = "other");
    tl_gru(r.s, r.x, .units = 4);
    tl_gru(r.s, r.x, .units = 4, .name = "second");
    cr_assert(!tl_failed(r.tape), "%s", tl_tape_message(r.tape));
    tl_plan_free(tl_compile(r.tape));
    cr_assert(tl_model_find(r.model, "steps/dense/W") >= 0 && tl_model_find(r.model, "other/W") >= 0);
    cr_assert(tl_model_count(r.model) == 3 * 2 + 2 * 12, "%d parameters", tl_model_count(r.model));
    end_recording(r);
}

/* Every library function puts the caller's place back: what follows is recorded in `enc`, not in `enc/dense`. */
Test(places, a_layer_puts_the_caller_s_place_back)
{
    for (int k = 0; k < 6; k++) {
        recording r = start_recording(true);
        tl_scope *enc = tl_in(r.s, "enc"), *cell = tl_in(enc, "cell");
        tl_tensor state = tl_full(enc, TL_DIMS(2, 4), 0);
        tl_enter(TL_HERE, enc);
        switch (k) {
        case 0: tl_dense(enc, r.x, .units = 4); break;
        case 1: tl_embedding(enc, r.ids, .vocab = 4, .units = 4); break;
        case 2: tl_dropout(enc, r.x, .rate = 0.5, .name = "drop"); break;
        case 3: tl_lstm(enc, r.x, .units = 4); break;
        case 4: tl_gate(enc, "g", r.x, TL_NONE, .units = 4); break;
        default: tl_call(cell, mgu, tl_at(r.x, 0), &state); break;
        }
        tl_matmul(r.x, r.x);
        cr_assert(strstr(tl_tape_message(r.tape), " in enc:"), "%d: %s", k, tl_tape_message(r.tape));
        fails(r, TL_E_SHAPE, "matmul", "test_layers.c:");
    }
}

static tl_tensor wrong_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    return *h = tl_tanh(tl_gate(s, "g", x, tl_slice(*h, 0, 0, 1)));
}

Test(places, an_error_in_a_cell_names_line_scope_and_step)
{
    const tl_cell cell = { .step = wrong_step };
    FAILS(TL_E_SHAPE, " in rnn/g at step 0", tl_rnn(r.s, r.x, cell, .units = 3));
}

static tl_tensor narrow_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)s, (void)ctx;
    return *h = tl_add(x, *h);
}

Test(places, an_error_in_the_middle_of_the_library_names_the_user_s_line)
{
    recording r = start_recording(false);
    const tl_cell cell = { .step = narrow_step };
    tl_tensor final, each[3];
    const tl_tensor y = tl_rnn(r.s, r.x, cell, .units = 3, .final = &final, .each = each);
    cr_assert(is_error(y) && is_error(final) && is_error(each[0]) && is_error(each[2]));
    fails(r, TL_E_SHAPE, "at step 0", "test_layers.c:");
}

/* ---- nothing crashes -------------------------------------------------------------------------------------------- */

static void call_all(tl_scope *s, tl_tensor x, tl_tensor ids)
{
    tl_tensor final[2] = { { 0 }, { 0 } }, each[8] = { { 0 } };
    const tl_cell cell = residual_cell(s, tl_lstm_cell(s));
    const tl_tensor y = tl_rnn(s, x, cell, .units = 4, .final = final, .each = each, .stateful = true, .name = "a");
    cr_assert(is_error(y) && is_error(final[0]) && is_error(final[1]) && is_error(each[0]));
    tl_start(s, cell, x, 4, final);
    cr_assert(is_error(final[0]) && is_error(final[1]));
    final[0] = TL_NONE;
    cr_assert(is_error(tl_call(s, cell, x, final)) && is_error(final[0]));
    cr_assert(is_error(tl_lstm(s, x, .units = 4)) && is_error(tl_gru(s, x)));
    cr_assert(is_error(tl_simple_rnn(s, x, .units = 2)));
    cr_assert(is_error(tl_dense(s, x, .units = 4)) && is_error(tl_embedding(s, ids, .vocab = 4, .units = 4)));
    cr_assert(is_error(tl_gate(s, "g", x, x, .units = 4)) && is_error(tl_dropout(s, x, .rate = 0.5)));
    if (!tl_absent(ids)) cr_assert(is_error(tl_cross_entropy(x, ids)) && is_error(tl_mse(x, y)));
}

Test(robust, a_failed_tape_gives_error_handles)
{
    recording r = start_recording(true);
    tl_error(r.s, TL_E_CHECK, "on purpose");
    call_all(r.s, r.x, r.ids);
    call_all(r.s, TL_NONE, TL_NONE);
    fails(r, TL_E_CHECK, "on purpose", "");
}

Test(robust, without_a_scope_layers_give_error_handles)
{
    recording r = start_recording(true);
    const tl_tensor x = tl_dense(NULL, r.x, .units = 4);
    cr_assert(is_error(x));
    cr_assert(is_error(tl_rnn(NULL, r.x, mgu, .units = 4)));
    cr_assert(is_error(tl_embedding(NULL, r.ids, .vocab = 4, .units = 4)));
    cr_assert(is_error(tl_dropout(NULL, r.x, .rate = 0.5)) && is_error(tl_gate(NULL, "g", r.x, r.x)));
    tl_tensor state[2];
    tl_start(NULL, tl_lstm_cell(NULL), r.x, 4, state);
    cr_assert(is_error(state[0]) && is_error(state[1]) && is_error(tl_call(NULL, mgu, r.x, state)));
    tl_add(x, r.x); /* the first op that has a tape reports it */
    fails(r, TL_E_ABSENT, "test_layers.c:", "");
}

static tl_tensor everything(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor x = tl_dropout(s, tl_embedding(s, in[0], .vocab = 9, .units = 3), .rate = 0.5);
    const tl_cell cell = residual_cell(s, tl_gru_cell(s));
    tl_tensor y = tl_rnn(s, x, cell, .units = 3, .return_sequences = true, .stateful = true, .reset = in[0]);
    y = tl_lstm(s, y, .units = 3, .return_sequences = true);
    return tl_cross_entropy(tl_dense(s, y, .units = 9), in[0]);
}

/* Each allocation fails in turn: a status, no crash, nothing lost. */
Test(robust, every_allocation_may_fail)
{
    const tl_array in = ids_of(TL_DIMS(3, 2), (int32_t[]){ 1, 2, 3, 4, 5, 6 });
    bool passed = false;
    for (uint64_t k = 1; !passed && k < 4000; k++) {
        tl_model *model = tl_model_new();
        tl_fail_allocation(k);
        tl_tape *tape = tl_tape_new(model, .training = true);
        if (tape) {
            const tl_tensor ids = tl_input(tl_root(tape), "in", in);
            const tl_tensor loss = everything(tl_root(tape), &ids, NULL);
            tl_backward(loss);
            const tl_status status = tl_tape_status(tape);
            cr_assert(status == TL_OK || status == TL_E_MEMORY, "allocation %d: %s", (int)k, tl_tape_message(tape));
            passed = status == TL_OK;
            cr_assert(passed || is_error(loss));
        }
        tl_fail_allocation(0);
        tl_tape_free(tape);
        tl_model_free(model);
        cr_assert(tl_live_bytes() == 0, "allocation %d: %zu bytes leak", (int)k, tl_live_bytes());
    }
    cr_assert(passed);
}

/* ---- losses ----------------------------------------------------------------------------------------------------- */

static tl_tensor cross_entropy_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)s, (void)user;
    return tl_cross_entropy(in[0], in[1]);
}

static tl_tensor mse_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)s, (void)user;
    return tl_mse(in[0], in[1]);
}

Test(losses, cross_entropy_is_the_mean_of_minus_ln_p)
{
    tl_model *model = tl_model_new(.dtype = TL_F64);
    const int32_t ids[] = { 3, 0, 1, 2, 2, 3 };
    const tl_array in[] = { F64(4, 3, 2, 4), ids_of(TL_DIMS(3, 2), ids) };
    const double *z = in[0].data;
    double expected = 0;
    for (int i = 0; i < 6; i++) {
        double sum = 0;
        for (int j = 0; j < 4; j++) sum += exp(z[i * 4 + j]);
        expected += log(sum) - z[i * 4 + ids[i]];
    }
    expected /= 6;
    const result r = must_run(model, cross_entropy_fn, in, 2, NULL, 0);
    cr_assert(r.shape.rank == 0);
    close_to(r.y, &expected, 1, 1e-14, 0, "loss");                      /* rounding of a dozen operations */
    memcpy(in[0].data, (double[]){ 1e4, 0, 0, 0 }, 4 * sizeof(double)); /* the first position costs 10,000 */
    const result big = must_run(model, cross_entropy_fn, in, 2, NULL, 0);
    cr_assert(isfinite(big.y[0]) && big.y[0] > 1e4 / 6);
    tl_model_free(model);
}

Test(losses, mse_is_the_mean_of_squares)
{
    tl_model *model = tl_model_new(.dtype = TL_F64);
    const tl_array in[] = { F64(4, 3, 2), F64(5, 3, 2) };
    double expected = 0;
    for (int i = 0; i < 6; i++) expected += pow(((double *)in[0].data)[i] - ((double *)in[1].data)[i], 2) / 6;
    close_to(must_run(model, mse_fn, in, 2, NULL, 0).y, &expected, 1, 1e-14, 0, "loss");
    tl_model_free(model);
}

Test(losses, an_absent_target_gives_an_absent_loss)
{
    recording r = start_recording(false);
    cr_assert(tl_absent(tl_cross_entropy(r.x, TL_NONE)) && tl_absent(tl_mse(r.x, TL_NONE)));
    cr_assert(!tl_failed(r.tape));
    end_recording(r);
}

Test(losses, refuse_what_does_not_fit)
{
    FAILS(TL_E_SHAPE, "y [3,2,4] and target [3,2]", tl_mse(r.x, tl_full(r.s, TL_DIMS(3, 2), 0)));
    FAILS(TL_E_SHAPE, "mse: y [3,2,4] and target [3,2,1]", tl_mse(r.x, tl_full(r.s, TL_DIMS(3, 2, 1), 0)));
    FAILS(TL_E_SHAPE, "pick", tl_cross_entropy(tl_at(r.x, 0), r.ids));
    FAILS(TL_E_DTYPE, "pick", tl_cross_entropy(r.x, tl_full(r.s, TL_DIMS(3, 2), 0)));
    FAILS(TL_E_ABSENT, "", tl_dense(r.s, r.x, .units = tl_rank(tl_mse(TL_NONE, r.x)) + 1));
    FAILS(TL_E_ABSENT, "", tl_add(r.x, tl_cross_entropy(TL_NONE, TL_NONE)));
    FAILS(TL_E_ABSENT, "all operands were absent", tl_mse(tl_relu(TL_NONE), r.x));
}

/* ---- gradients against differences (tl_gradcheck's own tolerances) ---------------------------------------------- */

static tl_tensor smooth_dense(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor y = tl_dense(s, in[0], .units = 3, .activation = tl_tanh);
    return tl_mse(tl_dense(s, y, .units = 2, .name = "out", .no_bias = true), in[1]);
}

static tl_tensor embed_and_classify(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    return tl_cross_entropy(tl_embedding(s, in[0], .vocab = 5, .units = 5), in[0]);
}

static tl_tensor dropped(tl_scope *s, const tl_tensor *in, void *user)
{
    const tl_tensor x = tl_dropout(s, in[0], .rate = 0.4);
    const tl_tensor y = tl_dense(s, x, .units = 3, .activation = tl_sigmoid);
    return tl_sum(tl_square(tl_dropout(s, y, .rate = 0.4, .shared = *(unsigned *)user)), TL_ALL);
}

/* Frees the model. */
static void checked(tl_model *model, tl_model_fn fn, const tl_array *in, int n, void *user, bool training)
{
    const tl_gradcheck_result g = tl_gradcheck(model, fn, in, n, user, .inputs = true, .training = training);
    cr_assert(g.passed, "%s: %s (%.17g, differences %.17g)", tl_message(), g.where, g.analytic, g.numeric);
    cr_assert(g.probes > 0 && g.kinks == 0);
    tl_model_free(model);
}

Test(gradients, of_dense_embedding_dropout_and_losses)
{
    unsigned shared = 1;
    const tl_array x[] = { F32(1, 3, 2, 4), F32(2, 3, 2, 2) };
    const tl_array ids = ids_of(TL_DIMS(3, 2), (int32_t[]){ 4, 0, 2, 2, 1, 4 });
    checked(tl_model_new(), smooth_dense, x, 2, NULL, false);
    checked(tl_model_new(), embed_and_classify, &ids, 1, NULL, false);
    checked(tl_model_new(), dropped, x, 1, &shared, true);
}

Test(gradients, of_every_cell)
{
    for (int k = 0; k < 2 * KINDS; k++) {
        rnn_case c = { .kind = k / 2, .units = H, .sequences = true, .initial = true, .final = true };
        c.backwards = k % 2;
        tl_model *model = tl_model_new();
        const tl_array in[] = { F32(1, T, B, D), F32(2, B, H), F32(3, B, H) };
        must_run(model, loss_fn, in, 3, &c, 0);
        stir(model, 9);
        checked(model, loss_fn, in, 1 + kinds[c.kind].states, &c, false);
    }
}

/* ---- values of Keras and PyTorch (f64: rtol 1e-9, atol 1e-12, as the fixtures' README says) --------------------- */

#include "fixtures.h"

#ifndef HAVE_FIXTURES
Test(fixtures, values_of_keras_and_pytorch) { cr_skip_test("no fixture.h"); }
#else

enum { TORCH, KERAS, CUSTOM };

typedef struct fixture {
    fx_case *c;
    int layout;
    rnn_case q;
    bool time_major, stateful;
    int n_initial, n_cot;
    const char *out[3], *cot[3]; /* names of y, h, c */
} fixture;

/* W, U, b or br (what = 0 .. 3) of gate g, cut out of the fixture's fused matrices; NULL if there is none. */
static double *piece(const fixture *f, const char *role, int g, int what, tl_array *a)
{
    static const char *const names[2][4] = { { "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0" },
                                             { "kernel", "recurrent_kernel", "bias", "bias" } };
    char own[3] = { "WUb"[what % 3], f -> q.kind == MGU ? "fc"[g % 2] : "zrc"[g], 0 };
    const fx_tensor *t = fx_get(f->c, role, f->layout == CUSTOM ? own : names[f->layout][what]);
    if (!t || (what == 3 && f->layout == CUSTOM) || (what == 3 && f->layout == KERAS && t->ndim < 2)) return NULL;
    int G = 0;
    while (kinds[f->q.kind].gates[G]) G++;
    if (f->layout == TORCH && f->q.kind == GRU && g < 2) g = 1 - g; /* r, z, n */
    if (f->layout == CUSTOM) g = 0, G = 1;
    const int64_t n = f->q.units, rows = what > 1 ? 1 : t->count / (G * n);
    *a = (tl_array){ .dtype = TL_F64, .rank = what > 1 ? 1 : 2, .dim = { what > 1 ? n : rows, n } };
    double *v = a->data = malloc((size_t)(rows * n) * sizeof *v);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++) {
            const int64_t row = what == 3 && f->layout == KERAS ? 1 : i;
            v[i * n + j] = t->f[f->layout == TORCH ? (g * n + j) * rows + i : row * G * n + g * n + j];
        }
    return v;
}

static const char *piece_path(char out[static 64], const fixture *f, int g, int what)
{
    static const char *const names[] = { "W", "U", "b", "br" };
    const char *gate = kinds[f->q.kind].gates[g];
    snprintf(out, 64, "rnn/%s%s%s", gate, *gate ? "/" : "", names[what]);
    return out;
}

static void put_params(tl_model *model, const fixture *f)
{
    char path[64];
    tl_array a;
    for (int g = 0; kinds[f->q.kind].gates[g]; g++)
        for (int what = 0; what < 4; what++)
            if (piece(f, "par", g, what, &a))
                cr_assert(!tl_model_set(model, piece_path(path, f, g, what), &a), "%s: %s", f->c->name, tl_message());
}

static void check_grads(tl_model *model, const fixture *f, const double *grad)
{
    char path[64], what_is[300];
    tl_array a;
    int n = 0;
    for (int g = 0; kinds[f->q.kind].gates[g]; g++)
        for (int what = 0; what < 4; what++) {
            const double *expected = piece(f, "gpar", g, what, &a);
            if (!expected) continue;
            const tl_param_info *p = tl_model_param(model, tl_model_find(model, piece_path(path, f, g, what)));
            cr_assert(p && p->size == a.dim[0] * (a.rank > 1 ? a.dim[1] : 1), "%s: %s", f->c->name, path);
            snprintf(what_is, sizeof what_is, "%s: gradient of %s", f->c->name, path);
            close_to(grad + p->offset, expected, p->size, 1e-9, 1e-12, what_is);
            n++;
        }
    cr_assert(n == tl_model_count(model), "%s: %d parameters of %d", f->c->name, n, tl_model_count(model));
}

/* Inputs in the fixture's own layout: x, initial states, cotangents of y, h, c; loss = sum of all sum(out cot). */
static tl_tensor fixture_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    static const int swap[] = { 1, 0, 2 };
    const fixture *f = user;
    const tl_tensor x = f->time_major ? in[0] : tl_permute(in[0], swap);
    tl_tensor initial[2], out[3], g[3], loss = TL_NONE;
    for (int k = 0; k < f->n_initial; k++) initial[k] = tl_reshape(in[1 + k], TL_DIMS(tl_dim(x, 1), f->q.units));
    out[0] = tl_rnn(s, x, cell_of(s, &f->q), .units = f->q.units, .return_sequences = f->q.sequences, .final = out + 1,
                    .go_backwards = f->q.backwards, .initial = f->n_initial ? initial : NULL, .stateful = f->stateful);
    if (f->q.sequences && !f->time_major) out[0] = tl_permute(out[0], swap);
    for (int k = 0; k < f->n_cot; k++) {
        const tl_tensor cot = in[1 + f->n_initial + k];
        const tl_shape shape = tl_shape_of(cot);
        const tl_tensor part = tl_sum(tl_mul(tl_reshape(out[k], shape.rank, shape.dim), cot), TL_ALL);
        loss = tl_absent(loss) ? part : tl_add(loss, part);
        tl_output(s, f->out[k], out[k]);
    }
    tl_grad(loss, in, 1 + f->n_initial, g);
    for (int k = 0; k < 1 + f->n_initial; k++) tl_output(s, (const char *[]){ "gx", "gh0", "gc0" }[k], g[k]);
    return loss;
}

static tl_array array_of(const fx_tensor *t)
{
    tl_array a = { .dtype = t->isint ? TL_I32 : TL_F64, .rank = t->ndim };
    for (int k = 0; k < t->ndim; k++) a.dim[k] = t->dim[k];
    a.data = memcpy(malloc((size_t)t->count * 8), t->isint ? (const void *)t->i : t->f, (size_t)t->count * 8);
    for (int64_t k = 0; t->isint && k < t->count; k++) ((int32_t *)a.data)[k] = (int32_t)t->i[k];
    return a;
}

static void compare(running r, const fixture *f, const char *name, const char *role, const char *theirs)
{
    const fx_tensor *t = fx_get(f->c, role, theirs);
    if (!t) return;
    char what[300];
    tl_array a;
    cr_assert(!tl_get(r.session, name, &a), "%s: %s", f->c->name, tl_message());
    snprintf(what, sizeof what, "%s: %s %s", f->c->name, role, theirs);
    close_to(a.data, t->f, t->count, 1e-9, 1e-12, what);
}

/* The x and cotangents of chunk "0" or "1" of a case, or of the only one, "". */
static int fixture_inputs(fixture *f, const char *chunk, tl_array *in)
{
    static const char *const names[][3] = { { "y", "h", "c" }, { "y", "hn", "cn" } };
    static const char *const out[] = { "out_y", "out_h", "out_c" };
    char name[16];
    int n = 0;
    snprintf(name, sizeof name, "x%s", chunk);
    in[n++] = array_of(fx_get(f->c, "in", name));
    f->n_initial = f->n_cot = 0;
    for (int k = 0; k < 2; k++) {
        const fx_tensor *t = fx_get(f->c, "in", (const char *[]){ "h0", "c0" }[k]);
        if (t) in[n++] = array_of(t), f->n_initial++;
    }
    for (int k = 0; k < 3; k++)
        for (int spelling = 0; spelling < 2; spelling++) {
            snprintf(name, sizeof name, "%s%s", names[spelling][k], chunk);
            const fx_tensor *t = fx_get(f->c, "cot", name);
            if (!t || f->n_cot > k) continue;
            f->out[k] = out[k], f->cot[k] = t->name;
            in[n++] = array_of(t), f->n_cot++;
        }
    return n;
}

static void recurrent_fixture(fixture f)
{
    tl_array in[8];
    tl_model *model = tl_model_new(.dtype = TL_F64);
    put_params(model, &f);
    const int n = fixture_inputs(&f, "", in);
    const running r = start_running(model, fixture_fn, in, n, &f, GRADIENTS);
    cr_assert(r.plan && !tl_run(r.session, r.plan, in, n), "%s: %s", f.c->name, tl_message());
    compare(r, &f, "y", "loss", "loss");
    for (int k = 0; k < f.n_cot; k++) compare(r, &f, f.out[k], "out", f.cot[k]);
    compare(r, &f, "gx", "gin", "x");
    if (f.n_initial > 0) compare(r, &f, "gh0", "gin", "h0");
    if (f.n_initial > 1) compare(r, &f, "gc0", "gin", "c0");
    check_grads(model, &f, tl_session_gradients(r.session, NULL, NULL));
    end_running(r);
    tl_model_free(model);
}

static int kind_of(const fx_case *c)
{
    if (strstr(c->op, "lstm")) return strstr(c->op, "keras") ? LSTM : LSTM_TORCH;
    if (strstr(c->op, "gru")) return fx_num(c, "reset_after", 1) == 0 ? GRU_BEFORE : GRU;
    return strstr(c->op, "keras") ? SIMPLE : SIMPLE_TORCH;
}

static bool any_of(const char *s, const char *const *list, int n)
{
    for (int k = 0; k < n; k++)
        if (!strcmp(s, list[k])) return true;
    return false;
}

Test(fixtures, recurrent_layers_are_pytorch_s)
{
    static const char *const ops[] = { "rnn_tanh", "rnn_relu", "lstm", "gru" };
    fx_suite *suite = suite_of("torch_open");
    int n = 0;
    for (size_t i = 0; i < suite->n; i++) {
        fx_case *c = &suite->cases[i];
        if (!any_of(c->op, ops, 4) || fx_num(c, "num_layers", 1) > 1 || fx_num(c, "bidirectional", 0) > 0 ||
            fx_num(c, "proj_size", 0) > 0 || fx_num(c, "packed", 0) > 0)
            continue;
        recurrent_fixture((fixture){ .c = c,
                                     .layout = TORCH,
                                     .time_major = fx_num(c, "batch_first", 1) == 0,
                                     .q = { .kind = kind_of(c),
                                            .units = (int64_t)fx_num(c, "hidden_size", 0),
                                            .no_bias = fx_num(c, "bias", 1) == 0,
                                            .relu = !strcmp(c->op, "rnn_relu"),
                                            .sequences = true } });
        n++;
    }
    cr_assert(n >= 28, "%d cases", n);
}

Test(fixtures, recurrent_layers_are_keras)
{
    static const char *const ops[] = { "keras_simplernn", "keras_lstm", "keras_gru" };
    fx_suite *suite = suite_of("keras_oracle_open");
    int n = 0;
    for (size_t i = 0; i < suite->n; i++) {
        fx_case *c = &suite->cases[i];
        if (!any_of(c->op, ops, 3) || fx_get(c, "in", "mask")) continue;
        const char *act = fx_attr(c, "activation"), *sig = fx_attr(c, "recurrent_activation");
        recurrent_fixture((fixture){ .c = c,
                                     .layout = KERAS,
                                     .q = { .kind = kind_of(c),
                                            .units = (int64_t)fx_num(c, "units", 0),
                                            .no_bias = fx_num(c, "use_bias", 1) == 0,
                                            .relu = act && !strcmp(act, "relu"),
                                            .hard_sigmoid = sig && !strcmp(sig, "hard_sigmoid"),
                                            .sequences = fx_num(c, "return_sequences", 0) > 0,
                                            .backwards = fx_num(c, "go_backwards", 0) > 0 } });
        n++;
    }
    cr_assert(n >= 30, "%d cases", n);
}

Test(fixtures, gated_units_are_the_papers)
{
    fx_suite *suite = suite_of("torch_open");
    int n = 0;
    for (size_t i = 0; i < suite->n; i++) {
        fx_case *c = &suite->cases[i];
        const bool before = !strcmp(c->op, "custom_gru_reset_before");
        if (!before && strcmp(c->op, "custom_mgu")) continue;
        recurrent_fixture((fixture){ .c = c,
                                     .layout = CUSTOM,
                                     .q = { .kind = before ? GRU_BEFORE : MGU,
                                            .units = (int64_t)fx_num(c, "hidden_size", 0),
                                            .sequences = true } });
        n++;
    }
    cr_assert(n == 2);
}

/* Two chunks, the second from the first's last state, no gradient through the border: gradients are the sum of both. */
static void chunked_fixture(fixture f)
{
    tl_array in[2][8];
    tl_model *model = tl_model_new(.dtype = TL_F64);
    put_params(model, &f);
    const bool both = fx_get(f.c, "cot", "y0");
    fixture_inputs(&f, "1", in[1]);
    in[0][0] = array_of(fx_get(f.c, "in", "x0"));
    in[0][1] = both ? array_of(fx_get(f.c, "cot", "y0")) : in[1][1];
    const running r = start_running(model, fixture_fn, in[0], 2, &f, GRADIENTS);
    double *sum = calloc((size_t)tl_model_size(model), sizeof *sum), loss = 0;
    for (int k = 0; k < 2; k++) {
        cr_assert(r.plan && !tl_run(r.session, r.plan, in[k], 2), "%s: %s", f.c->name, tl_message());
        compare(r, &f, f.out[0], "out", k ? "y1" : "y0");
        if (!k && !both) continue;
        compare(r, &f, "gx", "gin", k ? "x1" : "x0");
        const double *grad = tl_session_gradients(r.session, NULL, NULL);
        for (int64_t i = 0; i < tl_model_size(model); i++) sum[i] += grad[i];
        loss += tl_get_scalar(r.session, "y");
    }
    close_to(&loss, fx_get(f.c, "loss", "loss")->f, 1, 1e-9, 1e-12, f.c->name);
    check_grads(model, &f, sum);
    end_running(r);
    tl_model_free(model);
}

Test(fixtures, chunks_are_keras_stateful_and_pytorch_s_detached_states)
{
    int n = 0;
    for (int layout = TORCH; layout <= KERAS; layout++) {
        fx_suite *suite = suite_of(layout == TORCH ? "torch_open" : "keras_oracle_open");
        for (size_t i = 0; i < suite->n; i++) {
            fx_case *c = &suite->cases[i];
            if (!strstr(c->op, layout == TORCH ? "_tbptt" : "_stateful") || strstr(c->op, "e2e")) continue;
            const fx_tensor *y = fx_get(c, "out", "y0");
            chunked_fixture((fixture){ .c = c,
                                       .layout = layout,
                                       .stateful = true,
                                       .q = { .kind = kind_of(c), .units = y->dim[2], .sequences = true } });
            n++;
        }
    }
    cr_assert(n == 6, "%d cases", n);
}

/* ---- dense, embedding, losses */

static tl_tensor dense_fixture(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor y = tl_dense(s, in[0], .units = tl_dim(in[1], -1), .activation = tl_softmax);
    const tl_tensor loss = tl_sum(tl_mul(y, in[1]), TL_ALL);
    tl_tensor g;
    tl_grad(loss, in, 1, &g);
    tl_output(s, "out", y);
    tl_output(s, "gx", g);
    return loss;
}

static tl_tensor embedding_fixture(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor y = tl_embedding(s, in[0], .vocab = 9, .units = tl_dim(in[1], -1));
    tl_output(s, "out", y);
    return tl_sum(tl_mul(y, in[1]), TL_ALL);
}

static void layer_fixture(const char *name, tl_model_fn fn, const char *input, const char *const (*params)[2], int n)
{
    fx_suite *suite = suite_of("keras_oracle_open");
    fixture f = { 0 };
    for (size_t i = 0; i < suite->n; i++)
        if (!strcmp(suite->cases[i].name, name)) f.c = &suite->cases[i];
    cr_assert(f.c);
    tl_model *model = tl_model_new(.dtype = TL_F64);
    for (int k = 0; k < n; k++) {
        const tl_array a = array_of(fx_get(f.c, "par", params[k][0]));
        cr_assert(!tl_model_set(model, params[k][1], &a));
    }
    const tl_array in[] = { array_of(fx_get(f.c, "in", input)), array_of(fx_get(f.c, "cot", "y")) };
    const running r = start_running(model, fn, in, 2, NULL, GRADIENTS);
    cr_assert(r.plan && !tl_run(r.session, r.plan, in, 2), "%s", tl_message());
    compare(r, &f, "out", "out", "y");
    compare(r, &f, "y", "loss", "loss");
    compare(r, &f, "gx", "gin", "x");
    const double *grad = tl_session_gradients(r.session, NULL, NULL);
    for (int k = 0; k < n; k++) {
        const fx_tensor *t = fx_get(f.c, "gpar", params[k][0]);
        const tl_param_info *p = tl_model_param(model, tl_model_find(model, params[k][1]));
        close_to(grad + p->offset, t->f, t->count, 1e-9, 1e-12, params[k][1]);
    }
    end_running(r);
    tl_model_free(model);
}

Test(fixtures, dense_and_embedding_are_keras)
{
    static const char *const dense[][2] = { { "kernel", "dense/W" }, { "bias", "dense/b" } };
    static const char *const table[][2] = { { "embeddings", "embedding/W" } };
    layer_fixture("dense", dense_fixture, "x", dense, 2);
    layer_fixture("embedding", embedding_fixture, "ids", table, 1);
}

static tl_tensor loss_fixture(tl_scope *s, const tl_tensor *in, void *user)
{
    const tl_tensor loss = user ? tl_cross_entropy(in[0], in[1]) : tl_mse(in[0], in[1]);
    tl_tensor g;
    tl_grad(loss, in, 1, &g);
    tl_output(s, "gx", g);
    return loss;
}

Test(fixtures, losses_are_keras_and_pytorch_s)
{
    static const struct {
        const char *suite, *name, *y, *target;
    } cases[] = { { "torch_open", "loss_ce_mean", "logits", "target" },
                  { "torch_open", "edge_ce_big", "logits", "target" },
                  { "torch_open", "loss_mse_mean", "y", "target" },
                  { "keras_oracle_open", "sparse_ce_logits_sum_over_batch_size", "y_pred", "y_true" },
                  { "keras_oracle_open", "mse_sum_over_batch_size", "y_pred", "y_true" } };
    for (int k = 0; k < COUNT(cases); k++) {
        fx_suite *suite = suite_of(cases[k].suite);
        fixture f = { 0 };
        for (size_t i = 0; i < suite->n; i++)
            if (!strcmp(suite->cases[i].name, cases[k].name)) f.c = &suite->cases[i];
        cr_assert(f.c, "%s", cases[k].name);
        const tl_array in[] = { array_of(fx_get(f.c, "in", cases[k].y)), array_of(fx_get(f.c, "in", cases[k].target)) };
        const running r = start_running(tl_model_new(.dtype = TL_F64), loss_fixture, in, 2,
                                        in[1].dtype == TL_I32 ? suite : NULL, 0);
        cr_assert(r.plan && !tl_run(r.session, r.plan, in, 2), "%s: %s", cases[k].name, tl_message());
        compare(r, &f, "y", "loss", "loss");
        compare(r, &f, "gx", "gin", cases[k].y);
        tl_model *model = r.model;
        end_running(r);
        tl_model_free(model);
    }
}
#endif
