/* tests/test_cells.c - the cells: formulas in plain C, PyTorch's and Keras' values, gradients, the loop in C, options. */
#include "support.h"

#include "layers/layers.h"

/* ---- the cells -------------------------------------------------------------------------------------------------- */

enum { PEEPHOLE = 1, COUPLED = 2, NORMALISED = 4, PROJECTED = 8, SECOND_BIAS = 16, NO_BIAS = 32, LSTMS = 64 };
enum { HIDDEN = 5, PROJECTION = 2 };
static const double leak = 0.3;

static tl_cell lstm(tl_scope *s, int variant)
{
    return tl_lstm_cell(s, .peephole = variant & PEEPHOLE, .coupled = variant & COUPLED,
                        .layer_norm = variant & NORMALISED, .projection = variant & PROJECTED ? PROJECTION : 0,
                        .recurrent_bias = variant & SECOND_BIAS, .no_bias = variant & NO_BIAS);
}
static tl_cell simple(tl_scope *s, int variant) { return tl_simple_rnn_cell(s, .no_bias = variant); }
static tl_cell gru(tl_scope *s, int variant) { return tl_gru_cell(s, .reset_before = variant); }
static tl_cell mgu(tl_scope *s, int variant) { return (void)s, (void)variant, tl_mgu_cell(); }
static tl_cell janet(tl_scope *s, int variant) { return tl_janet_cell(s, .no_bias = variant); }
static tl_cell ugrnn(tl_scope *s, int variant) { return tl_ugrnn_cell(s, .no_bias = variant); }
static tl_cell indrnn(tl_scope *s, int variant)
{
    return tl_indrnn_cell(s, .no_bias = variant & 1, .activation = variant & 2 ? tl_tanh : NULL);
}
static tl_cell rhn(tl_scope *s, int variant) { return tl_rhn_cell(s, .depth = variant); }
static tl_cell mi_rnn(tl_scope *s, int variant) { return tl_mi_rnn_cell(s, .no_bias = variant); }
static tl_cell jordan(tl_scope *s, int variant) { return tl_jordan_cell(s, .hidden = variant); }
static tl_cell esn(tl_scope *s, int variant) { return tl_esn_cell(s, .leak = leak, .trainable = variant); }

/* One row and one step, from the formulas in layers.h: the states are replaced. */
typedef void (*formula)(int variant, const double *x, int D, double *const state[2], int H);

/* ---- formulas in plain C ---------------------------------------------------------------------------------------- */

static tl_model *weights; /* f64: whose parameters the formulas read */

static const double *weight(const char *gate, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "rnn/%s%s%s", gate, *gate ? "/" : "", name);
    const int i = tl_model_find(weights, path);
    return i < 0 ? NULL : (const double *)tl_model_values(weights) + tl_model_param(weights, i)->offset;
}

static double column(const double *W, int columns, const double *x, int n, int j)
{
    double z = 0;
    for (int k = 0; W && k < n; k++) z += x[k] * W[k * columns + j];
    return z;
}

static double bias(const char *gate, int j)
{
    const double *b = weight(gate, "b"), *br = weight(gate, "br");
    return (b ? b[j] : 0) + (br ? br[j] : 0);
}

/* b + br + x W + h U, element j of `columns` */
static double gate_sum(const char *gate, const double *x, int D, const double *h, int H, int columns, int j)
{
    return bias(gate, j) + column(weight(gate, "W"), columns, x, D, j) + column(weight(gate, "U"), columns, h, H, j);
}

static double sigma(double z) { return 1 / (1 + exp(-z)); }

static void normalise(double *a, int n)
{
    double mean = 0, variance = 0;
    for (int i = 0; i < n; i++) mean += a[i] / n;
    for (int i = 0; i < n; i++) variance += (a[i] - mean) * (a[i] - mean) / n;
    for (int i = 0; i < n; i++) a[i] = (a[i] - mean) / sqrt(variance + 1e-5);
}

static const char *const lstm_gate[] = { "i", "f", "c", "o" };

/* z[gate][unit]: the sums before activation, without peepholes */
static void lstm_sums(int variant, const double *x, int D, const double *h, int P, int H, double z[4][16])
{
    const int first = variant & COUPLED ? 1 : 0, n = (4 - first) * H;
    double from_x[64], from_h[64];
    for (int k = 0; k < n; k++) {
        const char *g = lstm_gate[first + k / H];
        from_x[k] = column(weight(g, "W"), H, x, D, k % H);
        from_h[k] = column(weight(g, "U"), H, h, P, k % H);
    }
    if (variant & NORMALISED) normalise(from_x, n), normalise(from_h, n);
    for (int k = 0; k < n; k++) {
        const char *g = lstm_gate[first + k / H];
        const double gx = variant & NORMALISED ? weight(g, "gx")[k % H] : 1;
        const double gh = variant & NORMALISED ? weight(g, "gh")[k % H] : 1;
        z[first + k / H][k % H] = bias(g, k % H) + gx * from_x[k] + gh * from_h[k];
    }
}

static double peep(int variant, const char *gate, const double *c, int j)
{
    return variant & PEEPHOLE ? weight(gate, "p")[j] * c[j] : 0;
}

static void lstm_formula(int variant, const double *x, int D, double *const state[2], int H)
{
    const int P = variant & PROJECTED ? PROJECTION : H;
    double *h = state[0], *c = state[1], z[4][16], y[16];
    lstm_sums(variant, x, D, h, P, H, z);
    for (int j = 0; j < H; j++) {
        const double f = sigma(z[1][j] + peep(variant, "f", c, j));
        const double i = variant & COUPLED ? 1 - f : sigma(z[0][j] + peep(variant, "i", c, j));
        c[j] = f * c[j] + i * tanh(z[2][j]);
        y[j] = c[j];
    }
    if (variant & NORMALISED) normalise(y, H);
    for (int j = 0; j < H; j++) {
        if (variant & NORMALISED) y[j] = weight("norm", "g")[j] * y[j] + weight("norm", "b")[j];
        y[j] = sigma(z[3][j] + peep(variant, "o", c, j)) * tanh(y[j]);
    }
    for (int j = 0; j < P; j++) h[j] = variant & PROJECTED ? column(weight("proj", "W"), P, y, H, j) : y[j];
}

static void janet_formula(int variant, const double *x, int D, double *const state[2], int H)
{
    double next[16];
    (void)variant;
    for (int j = 0; j < H; j++) {
        const double f = sigma(gate_sum("f", x, D, state[0], H, H, j));
        next[j] = f * state[0][j] + (1 - f) * tanh(gate_sum("c", x, D, state[0], H, H, j));
    }
    memcpy(state[0], next, (size_t)H * sizeof *next);
}

static void ugrnn_formula(int variant, const double *x, int D, double *const state[2], int H)
{
    double next[16];
    (void)variant;
    for (int j = 0; j < H; j++) {
        const double z = sigma(gate_sum("z", x, D, state[0], H, H, j));
        next[j] = z * state[0][j] + (1 - z) * tanh(gate_sum("c", x, D, state[0], H, H, j));
    }
    memcpy(state[0], next, (size_t)H * sizeof *next);
}

static void indrnn_formula(int variant, const double *x, int D, double *const state[2], int H)
{
    for (int j = 0; j < H; j++) {
        const double z = weight("", "u")[j] * state[0][j] + gate_sum("", x, D, NULL, 0, H, j);
        state[0][j] = variant & 2 ? tanh(z) : fmax(z, 0);
    }
}

static void rhn_formula(int variant, const double *x, int D, double *const state[2], int H)
{
    static const char *const c[] = { "0/c", "1/c", "2/c" }, *const t[] = { "0/t", "1/t", "2/t" };
    double next[16];
    for (int l = 0; l < variant; l++) {
        for (int j = 0; j < H; j++) {
            const double gate = sigma(gate_sum(t[l], x, l ? 0 : D, state[0], H, H, j));
            next[j] = gate * tanh(gate_sum(c[l], x, l ? 0 : D, state[0], H, H, j)) + (1 - gate) * state[0][j];
        }
        memcpy(state[0], next, (size_t)H * sizeof *next);
    }
}

static void mi_rnn_formula(int variant, const double *x, int D, double *const state[2], int H)
{
    double next[16];
    (void)variant;
    for (int j = 0; j < H; j++) {
        const double a = column(weight("", "W"), H, x, D, j), u = column(weight("", "U"), H, state[0], H, j);
        next[j] = tanh(weight("", "alpha")[j] * a * u + weight("", "beta_x")[j] * a + weight("", "beta_h")[j] * u +
                       bias("", j));
    }
    memcpy(state[0], next, (size_t)H * sizeof *next);
}

static void jordan_formula(int variant, const double *x, int D, double *const state[2], int H)
{
    double h[16];
    const int hidden = variant ? variant : H;
    for (int j = 0; j < hidden; j++) h[j] = tanh(gate_sum("h", x, D, state[0], H, hidden, j));
    for (int j = 0; j < H; j++) state[0][j] = tanh(gate_sum("y", h, hidden, NULL, 0, H, j));
}

static void esn_formula(int variant, const double *x, int D, double *const state[2], int H)
{
    double next[16];
    (void)variant;
    for (int j = 0; j < H; j++) next[j] = (1 - leak) * state[0][j] + leak * tanh(gate_sum("", x, D, state[0], H, H, j));
    memcpy(state[0], next, (size_t)H * sizeof *next);
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

typedef struct kind {
    const char *name;
    tl_cell (*make)(tl_scope *s, int variant);
    int variants[4], n; /* n of them; the LSTM has all numbers below LSTMS */
    formula formula;    /* NULL: tests/test_layers.c has it */
} kind;

static const kind kinds[] = {
    { "lstm", lstm, { 0 }, LSTMS, lstm_formula },
    { "simple", simple, { 0, 1 }, 2, NULL },
    { "gru", gru, { 0, 1 }, 2, NULL },
    { "mgu", mgu, { 0 }, 1, NULL },
    { "janet", janet, { 0, 1 }, 2, janet_formula },
    { "ugrnn", ugrnn, { 0, 1 }, 2, ugrnn_formula },
    { "indrnn", indrnn, { 0, 1, 2 }, 3, indrnn_formula },
    { "rhn", rhn, { 1, 2, 3 }, 3, rhn_formula },
    { "mi_rnn", mi_rnn, { 0, 1 }, 2, mi_rnn_formula },
    { "jordan", jordan, { 0, HIDDEN }, 2, jordan_formula },
    { "esn", esn, { 1 }, 1, esn_formula },
};

/* A cell over x [T, B, D] from given states. */
typedef struct setting {
    const kind *kind;
    int variant, T, B, D, H;
    bool loop, zero_states;
    char name[64];
} setting;

static int states_of(const setting *q) { return q->kind->make == lstm ? 2 : 1; }

static int width(const setting *q, int k)
{
    return k == 0 && q->kind->make == lstm && q->variant & PROJECTED ? PROJECTION : q->H;
}

/* Calls check for every kind and variant, in these sizes. */
static void for_all(void (*check)(setting *q), int T, int B, int D, int H, bool all_lstms)
{
    for (int k = 0; k < COUNT(kinds); k++)
        for (int v = 0; v < kinds[k].n; v++) {
            const bool is_lstm = kinds[k].make == lstm;
            if (is_lstm && !all_lstms && v >= SECOND_BIAS) break;
            setting q = { &kinds[k], is_lstm ? v : kinds[k].variants[v], T, B, D, H, false, false, "" };
            snprintf(q.name, sizeof q.name, "%s %d, T=%d B=%d H=%d", q.kind->name, q.variant, T, B, H);
            check(&q);
        }
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

static tl_tensor unrolled(tl_scope *s, tl_tensor x, const setting *q, const tl_tensor *initial, tl_tensor *final)
{
    const tl_cell cell = q->kind->make(s, q->variant);
    if (!q->loop)
        return tl_rnn(s, x, cell, .units = q->H, .return_sequences = true, .initial = initial, .final = final);
    tl_tensor y[8];
    tl_scope *r = tl_in(s, "rnn");
    if (initial) memcpy(final, initial, (size_t)states_of(q) * sizeof *final);
    else tl_start(r, cell, tl_at(x, 0), q->H, final);
    for (int t = 0; t < q->T; t++) y[t] = tl_call(tl_step(r, t), cell, tl_at(x, t), final);
    return tl_stack(q->T, y, 0);
}

/* in: x, then the initial states. The sum of the squares of all outputs and final states. */
static tl_tensor loss_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const setting *q = user;
    tl_tensor final[2];
    const tl_tensor y = unrolled(s, in[0], q, q->zero_states ? NULL : in + 1, final);
    tl_tensor loss = tl_sum(tl_square(y), TL_ALL);
    for (int k = 0; k < states_of(q); k++) loss = tl_add(loss, tl_sum(tl_square(final[k]), TL_ALL));
    return loss;
}

typedef struct inputs {
    tl_array a[3];
    double *v[3];
    int n;
} inputs;

static inputs inputs_of(const setting *q)
{
    inputs in = { .n = 1 + states_of(q) };
    uint64_t seed = 5;
    for (int k = 0; k < in.n; k++) {
        const int64_t size = k ? (int64_t)q->B * width(q, k - 1) : (int64_t)q->T * q->B * q->D;
        in.v[k] = malloc((size_t)size * sizeof *in.v[k]);
        for (int64_t i = 0; i < size; i++) in.v[k][i] = noise(&seed);
        in.a[k] = k ? DOUBLES(in.v[k], q->B, width(q, k - 1)) : DOUBLES(in.v[k], q->T, q->B, q->D);
    }
    return in;
}

static void free_inputs(inputs in)
{
    for (int k = 0; k < in.n; k++) free(in.v[k]);
}

/* A model in which every parameter is away from its initial value. */
static tl_model *stirred(const setting *q, uint64_t seed)
{
    tl_model *model = tl_model_new(.dtype = TL_F64);
    tl_tape *tape = tl_tape_new(model);
    const int64_t dim[] = { q->T, q->B, q->D };
    setting zero = *q;
    zero.zero_states = true;
    const tl_tensor x = tl_full(tl_root(tape), 3, dim, 0);
    tl_output(tl_root(tape), "loss", loss_fn(tl_root(tape), &x, &zero));
    tl_session_free(run_once(tape, NULL, 0));
    double *v = tl_model_values(model);
    for (int64_t i = 0; i < tl_model_size(model); i++) v[i] = 0.8 * noise(&seed);
    tl_model_touch(model);
    return model;
}

static void close_to(const double *a, const double *b, int64_t n, double tolerance, const char *name, const char *what)
{
    for (int64_t i = 0; i < n; i++)
        cr_assert(fabs(a[i] - b[i]) <= tolerance * (1 + fabs(b[i])), "%s: %s[%d] is %.17g, not %.17g", name, what,
                  (int)i, a[i], b[i]);
}

/* ---- tests over all cells --------------------------------------------------------------------------------------- */

/* Two sums of at most 20 products in different orders, three steps: 1e-12, times what a normalisation widens. */
static void computes_its_formula(setting *q)
{
    if (!q->kind->formula) return;
    weights = stirred(q, 11);
    const inputs in = inputs_of(q);
    tl_tape *tape = tl_tape_new(weights);
    tl_scope *s = tl_root(tape);
    tl_tensor x[3], final[2];
    for (int k = 0; k < in.n; k++) x[k] = tl_input(s, "in", in.a[k]);
    const tl_tensor y = unrolled(s, x[0], q, x + 1, final);
    double *have = values_of(y), *end[2] = { values_of(final[0]), states_of(q) > 1 ? values_of(final[1]) : NULL };
    cr_assert(!tl_failed(tape), "%s: %s", q->name, tl_tape_message(tape));
    const int P = width(q, 0);
    for (int b = 0; b < q->B; b++) {
        double *state[2] = { in.v[1] + b * P, in.n > 2 ? in.v[2] + b * q->H : NULL };
        for (int t = 0; t < q->T; t++) {
            q->kind->formula(q->variant, in.v[0] + (t * q->B + b) * q->D, q->D, state, q->H);
            close_to(have + (t * q->B + b) * P, state[0], P, 1e-11, q->name, "y");
        }
        for (int k = 0; k < states_of(q); k++)
            close_to(end[k] + b * width(q, k), state[k], width(q, k), 1e-11, q->name, "final");
    }
    free(have), free(end[0]), free(end[1]);
    free_inputs(in);
    tl_tape_free(tape);
    tl_model_free(weights);
}

Test(cells, compute_their_formulas)
{
    for_all(computes_its_formula, 3, 2, 3, 4, true);
    for_all(computes_its_formula, 1, 1, 1, 1, true);
    for_all(computes_its_formula, 3, 1, 2, 1, true);
}

static void gradients_agree(setting *q)
{
    tl_model *model = stirred(q, 3);
    const inputs in = inputs_of(q);
    const tl_gradcheck_result g = tl_gradcheck(model, loss_fn, in.a, in.n, q, .inputs = true, .second_order = true,
                                               .directions = 1);
    cr_assert(g.passed, "%s: %s: %s (%.17g, differences %.17g)", q->name, tl_message(), g.where, g.analytic, g.numeric);
    cr_assert(g.probes > 0 && g.kinks == 0, "%s: %d kinks", q->name, g.kinks);
    free_inputs(in);
    tl_model_free(model);
}

Test(cells, gradients_of_first_and_second_order_agree_with_differences)
{
    for_all(gradients_agree, 2, 2, 3, 4, false);
    for_all(gradients_agree, 1, 2, 3, 3, false);
    for_all(gradients_agree, 2, 1, 3, 3, false);
    for_all(gradients_agree, 2, 2, 1, 1, false);
    for_all(gradients_agree, 1, 1, 1, 1, false);
}

/* The loss and the gradients of everything, from zero states. */
static double *numbers_of(tl_model *model, setting *q, const inputs *in)
{
    tl_tape *tape = tl_tape_new(model);
    tl_scope *s = tl_root(tape);
    const tl_tensor x = tl_input(s, "x", in->a[0]), loss = loss_fn(s, &x, q);
    tl_tensor gx;
    tl_output(s, "loss", loss);
    tl_backward(loss);
    tl_grad(loss, &x, 1, &gx);
    tl_output(s, "gx", gx);
    tl_session *session = run_once(tape, in->a, 1);
    const int64_t n = tl_model_size(model), nx = elements(&in->a[0]);
    double *v = malloc((size_t)(n + nx + 1) * sizeof *v);
    tl_array a;
    v[0] = tl_get_scalar(session, "loss");
    memcpy(v + 1, tl_session_gradients(session, NULL, NULL), (size_t)n * sizeof *v);
    cr_assert(!tl_get(session, "gx", &a));
    memcpy(v + 1 + n, a.data, (size_t)nx * sizeof *v);
    tl_session_free(session);
    return v;
}

static void loops(setting *q)
{
    tl_model *model = stirred(q, 7);
    const inputs in = inputs_of(q);
    q->zero_states = true;
    double *by_rnn = numbers_of(model, q, &in);
    q->loop = true;
    double *by_hand = numbers_of(model, q, &in);
    cr_assert(by_rnn[0] > 0 && isfinite(by_rnn[0]), "%s", q->name);
    const size_t n = (size_t)(1 + tl_model_size(model) + elements(&in.a[0]));
    for (size_t i = 0; i < n; i++) cr_assert(isfinite(by_rnn[i]), "%s: %d", q->name, (int)i);
    cr_assert(!memcmp(by_rnn, by_hand, n * sizeof *by_rnn), "%s", q->name);
    free(by_rnn), free(by_hand);
    free_inputs(in);
    tl_model_free(model);
}

Test(cells, a_loop_in_c_gives_the_bits_of_tl_rnn)
{
    for_all(loops, 3, 2, 3, 4, true);
    for_all(loops, 1, 1, 1, 1, false);
}

/* ---- options ---------------------------------------------------------------------------------------------------- */

typedef struct recording {
    tl_model *model;
    tl_tape *tape;
    tl_scope *s;
    tl_tensor x; /* [3, 2, 4] */
} recording;

static recording start_recording(void)
{
    recording r = { .model = tl_model_new(.dtype = TL_F64, .seed = 7) };
    r.tape = tl_tape_new(r.model);
    r.s = tl_root(r.tape);
    r.x = tl_full(r.s, TL_DIMS(3, 2, 4), 0.5);
    return r;
}

static void fails(recording r, tl_status status, const char *words)
{
    cr_assert(tl_tape_status(r.tape) == status, "%s: %s", words, tl_tape_message(r.tape));
    cr_has(tl_tape_message(r.tape), words);
    cr_has(tl_tape_message(r.tape), "test_cells.c:");
    tl_tape_free(r.tape);
    tl_model_free(r.model);
}

#define FAILS(status, words, call)                                                                                     \
    do {                                                                                                               \
        recording r = start_recording();                                                                               \
        (void)(call);                                                                                                  \
        fails(r, status, words);                                                                                       \
    } while (0)

Test(options, that_make_no_sense_are_named)
{
    FAILS(TL_E_ARGUMENT, "lstm_cell: .projection = -2", tl_lstm_cell(r.s, .projection = -2));
    FAILS(TL_E_ARGUMENT, "lstm_cell: .epsilon = -1", tl_lstm_cell(r.s, .layer_norm = true, .epsilon = -1));
    FAILS(TL_E_ARGUMENT, "lstm_cell: .epsilon = nan", tl_lstm_cell(r.s, .epsilon = NAN));
    FAILS(TL_E_ARGUMENT, "lstm_cell: .bias_forget = inf", tl_lstm_cell(r.s, .bias_forget = INFINITY));
    FAILS(TL_E_ARGUMENT, "lstm_cell: .units is missing", tl_rnn(r.s, r.x, tl_lstm_cell(r.s, .projection = 2)));
    FAILS(TL_E_ARGUMENT, "janet_cell: .bias_forget = nan", tl_janet_cell(r.s, .bias_forget = NAN));
    FAILS(TL_E_ARGUMENT, "ugrnn_cell: .bias_update = nan", tl_ugrnn_cell(r.s, .bias_update = NAN));
    FAILS(TL_E_ARGUMENT, "rhn_cell: .depth = -1", tl_rhn_cell(r.s, .depth = -1));
    FAILS(TL_E_ARGUMENT, "rhn_cell: .bias_transform = nan", tl_rhn_cell(r.s, .bias_transform = NAN));
    FAILS(TL_E_ARGUMENT, "jordan_cell: .hidden = -3", tl_jordan_cell(r.s, .hidden = -3));
    FAILS(TL_E_ARGUMENT, "esn_cell: .leak = 1.5", tl_esn_cell(r.s, .leak = 1.5));
    FAILS(TL_E_ARGUMENT, "esn_cell: .leak = 0 ", tl_esn_cell(r.s, .leak = TL_ZERO));
    FAILS(TL_E_ARGUMENT, "esn_cell: .leak = nan", tl_esn_cell(r.s, .leak = NAN));
    FAILS(TL_E_ARGUMENT, "esn_cell: .spectral_radius = -1", tl_esn_cell(r.s, .spectral_radius = -1));
    FAILS(TL_E_ARGUMENT, "esn_cell: .spectral_radius = inf", tl_esn_cell(r.s, .spectral_radius = INFINITY));
}

/* Zero columns are what 0 says: none, and no matrix. */
Test(options, tl_zero_is_no_projection)
{
    const recording r = start_recording();
    const tl_tensor y = tl_rnn(r.s, r.x, tl_lstm_cell(r.s, .projection = TL_ZERO), .units = 5);
    cr_assert(!tl_failed(r.tape) && tl_dim(y, -1) == 5, "%s", tl_tape_message(r.tape));
    cr_assert(tl_params(r.s, "*proj*", NULL, 0) == 0);
    tl_tape_free(r.tape);
    tl_model_free(r.model);
}

Test(cells, hint_at_the_sequence_that_lacks_its_time)
{
    FAILS(TL_E_SHAPE, ".return_sequences", tl_lstm(r.s, tl_lstm(r.s, r.x, .units = 3, .name = "below"), .units = 3));
}

static tl_tensor from_states(recording r, tl_cell cell, int64_t h, int64_t c)
{
    const tl_tensor initial[] = { tl_full(r.s, TL_DIMS(2, h), 0), tl_full(r.s, TL_DIMS(2, c), 0) };
    return tl_rnn(r.s, r.x, cell, .units = 5, .initial = initial);
}

Test(options, states_that_do_not_fit_are_refused)
{
    FAILS(TL_E_SHAPE, "h [2,5] must have 2 columns, as .projection",
          from_states(r, tl_lstm_cell(r.s, .projection = 2), 5, 5));
    FAILS(TL_E_SHAPE, "h [2,4] must have 5 columns, as c", from_states(r, tl_lstm_cell(r.s), 4, 5));
    tl_tensor state[2] = { TL_NONE, TL_NONE };
    FAILS(TL_E_ABSENT, "lstm_cell: h is absent", tl_call(r.s, tl_lstm_cell(r.s), tl_at(r.x, 0), state));
}

/* Every parameter of cells with their default options over x [3, 2, 4], units 3: its path, its size, and what all of its
 * values are at first (NAN: they are drawn). */
static tl_tensor defaults(tl_scope *s, tl_tensor x)
{
    tl_tensor y = TL_NONE;
    const tl_cell cells[] = {
        tl_lstm_cell(s, .peephole = true, .coupled = true, .layer_norm = true, .projection = 2),
        tl_janet_cell(s),
        tl_ugrnn_cell(s),
        tl_indrnn_cell(s),
        tl_rhn_cell(s, .depth = 2),
        tl_mi_rnn_cell(s),
        tl_jordan_cell(s, .hidden = 5),
        tl_esn_cell(s),
    };
    static const char *const names[] = { "lstm", "janet", "ugrnn", "indrnn", "rhn", "mi", "jordan", "esn" };
    for (int k = 0; k < COUNT(cells); k++) {
        const tl_tensor last = tl_sum(tl_rnn(s, x, cells[k], .units = 3, .name = names[k]), TL_ALL);
        y = k ? tl_add(y, last) : last;
    }
    return y;
}

static const struct {
    const char *name;
    int size;
    double value;
} made[] = {
    { "lstm/f/W", 12, NAN },   { "lstm/f/U", 6, NAN },   { "lstm/f/gx", 3, 1 },     { "lstm/f/gh", 3, 1 },
    { "lstm/f/b", 3, 1 },      { "lstm/f/p", 3, 0 },     { "lstm/c/W", 12, NAN },   { "lstm/c/U", 6, NAN },
    { "lstm/c/gx", 3, 1 },     { "lstm/c/gh", 3, 1 },    { "lstm/c/b", 3, 0 },      { "lstm/o/W", 12, NAN },
    { "lstm/o/U", 6, NAN },    { "lstm/o/gx", 3, 1 },    { "lstm/o/gh", 3, 1 },     { "lstm/o/b", 3, 0 },
    { "lstm/o/p", 3, 0 },      { "lstm/norm/g", 3, 1 },  { "lstm/norm/b", 3, 0 },   { "lstm/proj/W", 6, NAN },
    { "janet/f/W", 12, NAN },  { "janet/f/U", 9, NAN },  { "janet/f/b", 3, 1 },     { "janet/c/W", 12, NAN },
    { "janet/c/U", 9, NAN },   { "janet/c/b", 3, 0 },    { "ugrnn/z/W", 12, NAN },  { "ugrnn/z/U", 9, NAN },
    { "ugrnn/z/b", 3, 1 },     { "ugrnn/c/W", 12, NAN }, { "ugrnn/c/U", 9, NAN },   { "ugrnn/c/b", 3, 0 },
    { "indrnn/W", 12, NAN },   { "indrnn/u", 3, NAN },   { "indrnn/b", 3, 0 },      { "rhn/0/c/W", 12, NAN },
    { "rhn/0/c/U", 9, NAN },   { "rhn/0/c/b", 3, 0 },    { "rhn/0/t/W", 12, NAN },  { "rhn/0/t/U", 9, NAN },
    { "rhn/0/t/b", 3, -2 },    { "rhn/1/c/U", 9, NAN },  { "rhn/1/c/b", 3, 0 },     { "rhn/1/t/U", 9, NAN },
    { "rhn/1/t/b", 3, -2 },    { "mi/W", 12, NAN },      { "mi/U", 9, NAN },        { "mi/b", 3, 0 },
    { "mi/alpha", 3, 1 },      { "mi/beta_x", 3, 0.5 },  { "mi/beta_h", 3, 0.5 },   { "jordan/h/W", 20, NAN },
    { "jordan/h/U", 15, NAN }, { "jordan/h/b", 5, 0 },   { "jordan/y/W", 15, NAN }, { "jordan/y/b", 3, 0 },
    { "esn/W", 12, NAN },      { "esn/U", 9, NAN },      { "esn/b", 3, 0 },
};

static tl_model *model_of(tl_tensor (*fn)(tl_scope *s, tl_tensor x))
{
    recording r = start_recording();
    tl_output(r.s, "y", fn(r.s, r.x));
    tl_session_free(run_once(r.tape, NULL, 0));
    return r.model;
}

Test(options, defaults_make_these_parameters)
{
    tl_model *model = model_of(defaults);
    for (int k = 0; k < COUNT(made); k++) {
        const tl_param_info *p = tl_model_param(model, tl_model_find(model, made[k].name));
        cr_assert(p && p->size == made[k].size, "%s", made[k].name);
        const double *v = (double *)tl_model_values(model) + p->offset;
        for (int i = 0; i < p->size; i++)
            cr_assert(isnan(made[k].value) ? v[i] != 0 && v[i] != v[(i + 1) % p->size] : v[i] == made[k].value,
                      "%s[%d] is %g", made[k].name, i, v[i]);
        cr_assert(p->frozen == !strncmp(made[k].name, "esn", 3), "%s", made[k].name);
    }
    cr_assert(tl_model_count(model) == COUNT(made), "%d", tl_model_count(model));
    tl_model_free(model);
}

static tl_tensor chosen(tl_scope *s, tl_tensor x)
{
    const tl_init third = tl_constant(0.25);
    tl_rnn(s, x, tl_lstm_cell(s, .peephole = true, .peephole_init = third), .units = 3, .name = "lstm");
    for (int norm = 0; norm < 2; norm++)
        tl_rnn(s, x, tl_lstm_cell(s, .recurrent_bias = true, .bias_init = third, .layer_norm = norm), .units = 3,
               .name = norm ? "normed" : "second");
    tl_rnn(s, x, tl_janet_cell(s, .bias_forget = TL_ZERO, .bias_init = third), .units = 3, .name = "janet");
    tl_rnn(s, x, tl_ugrnn_cell(s, .bias_update = 3, .bias_init = third), .units = 3, .name = "ugrnn");
    tl_rnn(s, x, tl_rhn_cell(s, .bias_transform = TL_ZERO), .units = 3, .name = "rhn");
    tl_rnn(s, x, tl_indrnn_cell(s, .recurrent_init = third), .units = 3, .name = "indrnn");
    tl_rnn(s, x, tl_mi_rnn_cell(s, .alpha_init = third, .beta_init = tl_zeros()), .units = 3, .name = "mi");
    return tl_rnn(s, x, tl_esn_cell(s, .spectral_radius = 1.5, .trainable = true), .units = 3, .name = "esn");
}

static double first_value(tl_model *model, const char *name)
{
    const int i = tl_model_find(model, name);
    cr_assert(i >= 0, "%s", name);
    return ((double *)tl_model_values(model))[tl_model_param(model, i)->offset];
}

Test(options, initial_values_can_be_chosen)
{
    tl_model *model = model_of(chosen);
    cr_expect(first_value(model, "lstm/i/p") == 0.25 && first_value(model, "lstm/o/p") == 0.25);
    cr_expect(first_value(model, "second/f/b") == 1 && first_value(model, "second/f/br") == 0);
    cr_expect(first_value(model, "normed/f/b") == 1 && first_value(model, "normed/f/br") == 0);
    cr_expect(first_value(model, "second/i/br") == 0.25 && first_value(model, "normed/i/br") == 0.25);
    cr_expect(first_value(model, "janet/f/b") == 0.25 && first_value(model, "janet/c/b") == 0.25);
    cr_expect(first_value(model, "ugrnn/z/b") == 3 && first_value(model, "ugrnn/c/b") == 0.25);
    cr_expect(first_value(model, "rhn/0/t/b") == 0 && first_value(model, "indrnn/u") == 0.25);
    cr_expect(first_value(model, "mi/alpha") == 0.25 && first_value(model, "mi/beta_h") == 0);
    const tl_param_info *p = tl_model_param(model, tl_model_find(model, "esn/U"));
    const double *U = (double *)tl_model_values(model) + p->offset;
    for (int i = 0; i < 3; i++) /* U U^T = 1.5^2 I, so all its eigenvalues are of size 1.5 */
        for (int j = 0; j < 3; j++) {
            double dot = 0;
            for (int k = 0; k < 3; k++) dot += U[i * 3 + k] * U[j * 3 + k];
            cr_expect(fabs(dot - (i == j ? 2.25 : 0)) < 1e-14, "%g", dot);
        }
    cr_expect(!p->frozen);
    tl_model_free(model);
}

/* A reservoir is not trained: gradients reach what reads it, and what lies before it. */
Test(options, a_reservoir_keeps_its_values)
{
    recording r = start_recording();
    const tl_tensor x = tl_dense(r.s, r.x, .units = 3, .name = "in");
    const tl_tensor h = tl_rnn(r.s, x, tl_esn_cell(r.s), .units = 3, .name = "esn");
    tl_backward(tl_sum(tl_square(tl_dense(r.s, h, .units = 2)), TL_ALL));
    tl_session *session = run_once(r.tape, NULL, 0);
    const tl_range *range;
    int n;
    tl_session_gradients(session, &range, &n);
    for (int k = 0; k < tl_model_count(r.model); k++) {
        const tl_param_info *p = tl_model_param(r.model, k);
        bool reached = false;
        for (int i = 0; i < n; i++) reached |= range[i].begin <= p->offset && p->offset < range[i].end;
        cr_assert(reached == !strstr(p->name, "esn"), "%s", p->name);
    }
    tl_session_free(session);
    tl_model_free(r.model);
}

/* Carried states have widths of their own: a second run goes on where the first ended. */
Test(options, a_projected_lstm_is_carried_from_run_to_run)
{
    double twice[2][2], once[6][2][2];
    for (int whole = 0; whole < 2; whole++) {
        recording r = start_recording();
        const tl_tensor x = whole ? tl_concat(2, (tl_tensor[]){ r.x, r.x }, 0) : r.x;
        const tl_cell cell = tl_lstm_cell(r.s, .projection = 2);
        tl_output(r.s, "y", tl_rnn(r.s, x, cell, .units = 3, .stateful = !whole, .return_sequences = whole));
        tl_plan *plan = tl_compile(r.tape);
        tl_session *session = tl_session_new(r.model);
        tl_array y;
        for (int k = 0; k < 2 - whole; k++) cr_assert(!tl_run(session, plan, NULL, 0), "%s", tl_message());
        cr_assert(!tl_get(session, "y", &y));
        memcpy(whole ? (void *)once : twice, y.data, bytes_in(&y));
        tl_session_free(session);
        tl_plan_free(plan);
        tl_tape_free(r.tape);
        tl_model_free(r.model);
    }
    cr_assert(!memcmp(twice, once[5], sizeof twice));
}
