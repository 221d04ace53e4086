/* tests/test_sequences.c - what holds for every cell, every wrapper, and every wrapper of a wrapper, bit for bit:
 * padding changes nothing, rows do not see each other, chunks continue, backwards is the reversed sequence, a loop in C
 * is the layer; and passes of the compiler change no bit. A new cell or wrapper is a line in a table here. */
#include "tests/support.h"

#include "graph/passes/passes.h"

#include "layers/layers.h"

enum {
    D = 3,
    UNITS = 3,
    MAX_STATES = 8,
    MAX_PARAMS = 128
}; /* equally wide, so that every cell can be residual and stacked */

/* ---- cells and wrappers ------------------------------------------------------------------------------------------- */

static tl_cell simple(tl_scope *s) { return tl_simple_rnn_cell(s); }
static tl_cell lstm(tl_scope *s) { return tl_lstm_cell(s); }
static tl_cell gru(tl_scope *s) { return tl_gru_cell(s); }
static tl_cell gru_before(tl_scope *s) { return tl_gru_cell(s, .reset_before = true); }
static tl_cell mgu(tl_scope *s) { return (void)s, tl_mgu_cell(); }
/* The first products with h are zeros: a smaller epsilon makes their norm too steep for second differences. */
static tl_cell lstm_full(tl_scope *s)
{
    return tl_lstm_cell(s, .peephole = true, .coupled = true, .layer_norm = true, .projection = UNITS, .epsilon = 0.1);
}
static tl_cell janet(tl_scope *s) { return tl_janet_cell(s); }
static tl_cell ugrnn(tl_scope *s) { return tl_ugrnn_cell(s); }
static tl_cell indrnn(tl_scope *s) { return tl_indrnn_cell(s); }
static tl_cell rhn(tl_scope *s) { return tl_rhn_cell(s, .depth = 2); }
static tl_cell mi_rnn(tl_scope *s) { return tl_mi_rnn_cell(s); }
static tl_cell jordan(tl_scope *s) { return tl_jordan_cell(s, .hidden = 4); }
static tl_cell esn(tl_scope *s) { return tl_esn_cell(s, .leak = 0.5, .trainable = true); }

/* A user's, with a state of rank 3, an initial state of its own, and an output that is no state. */
static tl_tensor outer_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    (void)ctx;
    const tl_tensor h = tl_tanh(tl_gate(s, "h", x, state[0]));
    const tl_tensor decay = tl_param(s, "decay", TL_DIMS(UNITS, 1), .init = tl_constant(0.7));
    state[1] = tl_add(tl_mul(state[1], decay), tl_outer(h, x));
    state[0] = h;
    return tl_tanh(tl_sum(state[1], TL_AXES(-1)));
}
static void outer_start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx)
{
    (void)ctx;
    state[0] = tl_full(s, TL_DIMS(tl_dim(x, 0), units), 0.25);
    state[1] = tl_full(s, TL_DIMS(tl_dim(x, 0), units, tl_dim(x, -1)), 0);
}
static tl_cell outer(tl_scope *s)
{
    (void)s;
    return (tl_cell){ .step = outer_step, .states = 2, .start = outer_start };
}

typedef tl_cell make(tl_scope *s);
static const struct {
    const char *name;
    make *cell;
} cells[] = {
    { "simple_rnn", simple },     { "lstm", lstm },   { "gru", gru },
    { "gru_before", gru_before }, { "mgu", mgu },     { "outer", outer },
    { "lstm_full", lstm_full },   { "janet", janet }, { "ugrnn", ugrnn },
    { "indrnn", indrnn },         { "rhn", rhn },     { "mi_rnn", mi_rnn },
    { "jordan", jordan },         { "esn", esn },
};

static tl_cell residual(tl_scope *s, tl_cell c) { return tl_residual_cell(s, c); }
static tl_cell zoneout(tl_scope *s, tl_cell c) { return tl_zoneout_cell(s, c, .rate = 0.4); }
static tl_cell dropout(tl_scope *s, tl_cell c)
{
    return tl_dropout_cell(s, c, .input = 0.3, .output = 0.2, .state = 0.4);
}
static tl_cell variational(tl_scope *s, tl_cell c)
{
    return tl_dropout_cell(s, c, .input = 0.3, .output = 0.2, .state = 0.4, .variational = true);
}
static tl_cell learned(tl_scope *s, tl_cell c) { return tl_learned_start_cell(s, c); }
static tl_cell twice(tl_scope *s, tl_cell c) { return tl_stack_cell(s, 2, ((tl_cell[]){ c, c })); }

/* Looks things up that are the same for all rows, so that rows may be cut and moved. */
static int64_t memory_rows;
static const char *memory_name; /* attention to a memory within attention to another: each by its name */
static tl_cell attention(tl_scope *s, tl_cell c)
{
    double v[4 * UNITS];
    uint64_t seed = 17;
    for (int i = 0; i < COUNT(v); i++) v[i] = noise(&seed);
    const tl_tensor value = tl_broadcast_to(tl_const(s, TL_DIMS(4, 1, UNITS), v), TL_DIMS(4, memory_rows, UNITS));
    return tl_attention_cell(s, c, tl_attention_memory(s, value, .score = TL_SCORE_GENERAL, .name = memory_name));
}

typedef tl_cell wrapper(tl_scope *s, tl_cell c);
static const struct {
    const char *name;
    wrapper *around;
} wrappers[] = {
    { "", NULL },           { "residual", residual },       { "zoneout", zoneout },
    { "dropout", dropout }, { "variational", variational }, { "learned", learned },
    { "twice", twice },     { "attention", attention },
};

typedef struct subject {
    int cell, inner, outer; /* in the tables */
} subject;

static tl_cell cell_of(tl_scope *s, const subject *q)
{
    tl_cell c = cells[q->cell].cell(s);
    memory_name = "near";
    if (wrappers[q->inner].around) c = wrappers[q->inner].around(s, c);
    memory_name = "far";
    if (wrappers[q->outer].around) c = wrappers[q->outer].around(s, c);
    return c;
}

static const char *name_of(const subject *q)
{
    static char text[96];
    snprintf(text, sizeof text, "%s %s %s", cells[q->cell].name, wrappers[q->inner].name, wrappers[q->outer].name);
    return text;
}

/* Initial states are learned once under their names; attention widens the input, to which its cell's output is added. */
static bool makes_sense(wrapper *inner, wrapper *around)
{
    return !(inner == learned && around == learned) && !(inner == residual && around == attention);
}

/* Every cell in every wrapper, and every ordered pair of wrappers on two cells. */
static void each_subject(void (*test)(const subject *q))
{
    for (int c = 0; c < COUNT(cells); c++)
        for (int w = 0; w < COUNT(wrappers); w++)
            for (int v = 0; v < (c < 2 && w ? COUNT(wrappers) : 1); v++)
                if (makes_sense(wrappers[w].around, wrappers[v].around)) test(&(subject){ c, w, v });
}

/* ---- one run ------------------------------------------------------------------------------------------------------ */

typedef enum padding { NO_PADDING, LENGTHS, MASK, CARRIED } padding;

typedef struct numbers {
    float *v;
    int64_t n, dim[TL_MAX_RANK];
    int rank;
} numbers;

/* What is run, on x [T, B, D] at the given positions of a fixed world of numbers. */
typedef struct job {
    subject q;
    int64_t T, B;
    padding padding;
    bool training, sequences, back, keep_order, both, loop, zero_output;
    const int32_t *lengths; /* NULL: all T */
    const int *rows;        /* row b is row rows[b] of the world; NULL: b */
    int64_t first;          /* step 0 is step `first` of the world */
    bool flipped;           /* time runs backwards, within the lengths if there are any */
    const numbers *initial; /* the states before; NULL: the cell's own */
    double garbage;         /* what stands in the padding */
} job;

typedef struct outcome {
    numbers y, state[2 * MAX_STATES], dx, dp[MAX_PARAMS];
    int states, params;
} outcome;

static int n_states(tl_cell c) { return c.states ? c.states : 1; }

static tl_tensor run_layer(tl_scope *s, const tl_tensor *in, const job *j, tl_tensor *final, int *states)
{
    const tl_cell cell = cell_of(s, &j->q);
    tl_tensor initial[MAX_STATES] = { 0 }, x = in[0];
    *states = n_states(cell) * (j->both ? 2 : 1);
    for (int k = 0; j->initial && k < n_states(cell); k++) initial[k] = in[3 + k];
    if (j->loop) {
        tl_scope *r = tl_in(s, "rnn");
        tl_tensor y[32] = { 0 };
        tl_start(r, cell, tl_at(x, 0), UNITS, final);
        for (int64_t t = 0; t < j->T; t++) y[t] = tl_call(tl_step(r, t), cell, tl_at(x, t), final);
        return j->sequences ? tl_stack((int)j->T, y, 0) : y[j->T - 1];
    }
    const tl_tensor mask = j->padding == MASK ? tl_length_mask(in[1], j->T) : TL_NONE;
    const tl_tensor lengths = j->padding == LENGTHS ? in[1] : TL_NONE;
    if (j->padding == CARRIED) x = tl_masked(x, in[1]);
    if (j->both)
        return tl_bidirectional(s, x, cell, .units = UNITS, .return_sequences = j->sequences, .final = final,
                                .mask = mask, .lengths = lengths);
    return tl_rnn(s, x, cell, .units = UNITS, .return_sequences = j->sequences, .final = final, .initial = initial,
                  .mask = mask, .lengths = lengths, .go_backwards = j->back, .keep_order = j->keep_order,
                  .zero_output = j->zero_output);
}

/* sum(y c), c a world of weights that has zeros in the padding, and the sum of the squares of the states */
static tl_tensor loss_of(tl_tensor y, tl_tensor c, const tl_tensor *state, int n)
{
    tl_tensor loss = tl_sum(tl_mul(y, tl_rank(c) > tl_rank(y) ? tl_at(c, 0) : c), TL_ALL);
    for (int k = 0; k < n; k++) loss = tl_add(loss, tl_sum(tl_square(state[k]), TL_ALL));
    return loss;
}

static numbers copied(tl_session *s, const char *name)
{
    tl_array a;
    cr_assert(tl_get(s, name, &a) == TL_OK, "%s", tl_message());
    numbers r = { malloc(bytes_in(&a) + 1), elements(&a), { 0 }, a.rank };
    memcpy(r.v, a.data, bytes_in(&a));
    memcpy(r.dim, a.dim, sizeof r.dim);
    return r;
}

static int64_t length_of(const job *j, int64_t b) { return j->lengths ? j->lengths[j->rows ? j->rows[b] : b] : j->T; }

/* Number [t, b, i] of a world of numbers of which steps, rows and lengths cut their part. */
static float number_at(const job *j, int64_t t, int64_t b, int64_t i, uint64_t world)
{
    const int64_t n = length_of(j, b);
    uint64_t seed = world;
    if (t >= n) return (float)j->garbage;
    seed += 1000003 * (uint64_t)((j->flipped ? n - 1 - t : t) + j->first);
    seed += 8191 * (uint64_t)(j->rows ? j->rows[b] : b) + 31 * (uint64_t)i;
    noise(&seed);
    return (float)noise(&seed);
}

static void fill(float *v, const job *j, int64_t width, uint64_t world)
{
    for (int64_t t = 0; t < j->T; t++)
        for (int64_t b = 0; b < j->B; b++)
            for (int64_t i = 0; i < width; i++) *v++ = number_at(j, t, b, i, world);
}

/* Parameters that are not their initial values: biases count, too. */
static void stir(tl_scope *s)
{
    tl_model *m = tl_tape_model(tl_scope_tape(s));
    float *v = tl_model_values(m);
    for (int i = 0; i < tl_model_count(m); i++) {
        const tl_param_info *p = tl_model_param(m, i);
        uint64_t seed = tl_hash(11, p->name, strlen(p->name));
        for (int64_t k = 0; k < p->size; k++) v[p->offset + k] += 0.2f * (float)noise(&seed);
    }
    tl_model_touch(m);
}

static outcome run_job(const job *j)
{
    memory_rows = j->B;
    tl_model *model = tl_model_new(.seed = 5);
    tl_tape *tape = tl_tape_new(model, .training = j->training);
    tl_scope *s = tl_root(tape);
    const int64_t width = UNITS * (j->both ? 2 : 1);
    float *x = malloc(sizeof *x * (size_t)(j->T * j->B * D)), *c = malloc(sizeof *c * (size_t)(j->T * j->B * width));
    int32_t lengths[16];
    fill(x, j, D, 1);
    job weights = *j;
    weights.garbage = 0;
    fill(c, &weights, width, 99);
    for (int64_t b = 0; b < j->B; b++) lengths[b] = (int32_t)length_of(j, b);
    tl_array in[3 + MAX_STATES] = { FLOATS(x, j->T, j->B, D), IDS(lengths, j->B), FLOATS(c, j->T, j->B, width) };
    tl_tensor ti[3 + MAX_STATES] = { 0 }, final[2 * MAX_STATES], p[MAX_PARAMS], d[MAX_PARAMS];
    int n = 3;
    outcome r = { 0 };
    for (int k = 0; k < 3; k++) ti[k] = tl_input(s, "in", in[k]);
    for (int k = 0; j->initial && k < n_states(cell_of(s, &j->q)); k++, n++) {
        in[n] = array_over(j->initial[k].v, TL_F32, j->initial[k].rank, j->initial[k].dim);
        ti[n] = tl_input(s, "state", in[n]);
    }
    const tl_tensor y = run_layer(s, ti, j, final, &r.states);
    r.params = tl_params(s, NULL, p, COUNT(p));
    p[r.params] = ti[0];
    tl_grad(loss_of(y, ti[2], final, r.states), p, r.params + 1, d);
    char name[16];
    tl_output(s, "y", y);
    for (int k = 0; k < r.states; k++) snprintf(name, sizeof name, "s%d", k), tl_output(s, name, final[k]);
    for (int k = 0; k <= r.params; k++) snprintf(name, sizeof name, "d%d", k), tl_output(s, name, d[k]);
    tl_plan *plan = tl_compile(tape);
    cr_assert(plan, "%s: %s", name_of(&j->q), tl_message());
    stir(s);
    tl_tape_free(tape);
    tl_session *session = tl_session_new(model);
    cr_assert(tl_run(session, plan, in, n) == TL_OK, "%s: %s", name_of(&j->q), tl_message());
    r.y = copied(session, "y");
    for (int k = 0; k < r.states; k++) snprintf(name, sizeof name, "s%d", k), r.state[k] = copied(session, name);
    for (int k = 0; k < r.params; k++) snprintf(name, sizeof name, "d%d", k), r.dp[k] = copied(session, name);
    snprintf(name, sizeof name, "d%d", r.params);
    r.dx = copied(session, name);
    tl_plan_free(plan);
    tl_session_free(session);
    tl_model_free(model);
    free(x);
    free(c);
    return r;
}

static void release(outcome *r)
{
    free(r->y.v);
    free(r->dx.v);
    for (int k = 0; k < r->states; k++) free(r->state[k].v);
    for (int k = 0; k < r->params; k++) free(r->dp[k].v);
}

/* ---- comparisons -------------------------------------------------------------------------------------------------- */

static void equal(const float *a, const float *b, int64_t n, const char *what, const subject *q, int line)
{
    for (int64_t i = 0; i < n; i++) {
        const float p = a[i] + 0.0f, r = b[i] + 0.0f; /* the sign of a zero may change: 0 + -0 is 0 */
        cr_assert(!memcmp(&p, &r, sizeof p), "line %d, %s: %s[%d] is %.9g and %.9g", line, name_of(q), what, (int)i,
                  (double)a[i], (double)b[i]);
    }
}

/* Row `to` of a [T, B, ...] and row `from` of b, for n steps. */
static void equal_rows(numbers a, int64_t to, numbers b, int64_t from, int64_t n, const char *what, const subject *q,
                       int line)
{
    const int64_t row = a.n / (a.dim[0] * a.dim[1]);
    for (int64_t t = 0; t < n; t++)
        equal(a.v + (t * a.dim[1] + to) * row, b.v + (t * b.dim[1] + from) * row, row, what, q, line);
}

static void equal_states(const outcome *a, int64_t to, const outcome *b, int64_t from, const subject *q, int line)
{
    for (int k = 0; k < a->states; k++) {
        const int64_t row = a->state[k].n / a->state[k].dim[0];
        equal(a->state[k].v + to * row, b->state[k].v + from * row, row, "state", q, line);
    }
}

static void equal_params(const outcome *a, const outcome *b, const subject *q, int line)
{
    cr_assert_eq(a->params, b->params);
    for (int k = 0; k < a->params; k++) equal(a->dp[k].v, b->dp[k].v, a->dp[k].n, "a parameter's gradient", q, line);
}

/* ---- properties --------------------------------------------------------------------------------------------------- */

static const int32_t ragged[] = { 4, 1, 5, 3, 0 };
enum { T = 5, B = 5 };

static void exactly(void)
{
    tl_set_exact(true);
    tl_active_work = 0; /* however small, products leave out rows of padding */
}
TestSuite(sequences, .init = exactly);

static void padding_changes_nothing(const subject *q)
{
    for (int way = 0; way < 12; way++) {
        job j = { .q = *q, .T = T, .B = B, .lengths = ragged, .sequences = true, .training = true, .garbage = 0.5 };
        j.padding = (padding[]){ LENGTHS, MASK, CARRIED }[way % 3];
        j.both = way / 3 == 1;
        j.back = way / 3 == 2;
        j.sequences = way / 3 != 3;
        outcome a = run_job(&j);
        j.T += 3;
        j.garbage = way % 2 ? NAN : INFINITY;
        outcome b = run_job(&j);
        const bool shifted = j.back && j.padding == MASK; /* a mask is read from its end */
        for (int64_t r = 0; j.sequences && !shifted && r < B; r++) {
            equal_rows(a.y, r, b.y, r, j.both ? T : ragged[r], "y", q, __LINE__);
            equal_rows(a.dx, r, b.dx, r, T, "dx", q, __LINE__);
        }
        if (!j.sequences) equal(a.y.v, b.y.v, a.y.n, "the last y", q, __LINE__);
        for (int64_t r = 0; r < B; r++) equal_states(&a, r, &b, r, q, __LINE__);
        if (!shifted) equal_params(&a, &b, q, __LINE__);
        release(&a);
        release(&b);
    }
}
Test(sequences, padding_changes_nothing) { each_subject(padding_changes_nothing); }

static void a_ragged_row_is_as_if_alone(const subject *q)
{
    for (int both = 0; both < 2; both++) {
        outcome all = run_job(&(job){ .q = *q,
                                      .T = T,
                                      .B = B,
                                      .lengths = ragged,
                                      .padding = LENGTHS,
                                      .sequences = true,
                                      .both = both,
                                      .garbage = NAN });
        for (int r = 0; r < B; r++) {
            if (!ragged[r]) continue;
            outcome one = run_job(
                &(job){ .q = *q, .T = ragged[r], .B = 1, .rows = &r, .sequences = true, .both = both });
            equal_rows(all.y, r, one.y, 0, ragged[r], "y", q, __LINE__);
            equal_rows(all.dx, r, one.dx, 0, ragged[r], "dx", q, __LINE__);
            equal_states(&all, r, &one, 0, q, __LINE__);
            release(&one);
        }
        release(&all);
    }
}
Test(sequences, a_ragged_row_is_as_if_alone) { each_subject(a_ragged_row_is_as_if_alone); }

static void rows_in_another_order(const subject *q)
{
    static const int order[B] = { 3, 0, 4, 2, 1 };
    for (int both = 0; both < 2; both++) {
        job j = { .q = *q, .T = T, .B = B, .lengths = ragged, .padding = LENGTHS, .sequences = true, .both = both };
        outcome a = run_job(&j);
        j.rows = order;
        outcome b = run_job(&j);
        for (int r = 0; r < B; r++) {
            equal_rows(b.y, r, a.y, order[r], T, "y", q, __LINE__);
            equal_rows(b.dx, r, a.dx, order[r], T, "dx", q, __LINE__);
            equal_states(&b, r, &a, order[r], q, __LINE__);
        }
        release(&a);
        release(&b);
    }
}
Test(sequences, rows_in_another_order_give_the_same_rows) { each_subject(rows_in_another_order); }

static void chunks(const subject *q)
{
    job j = { .q = *q, .T = T, .B = 2, .sequences = true };
    outcome all = run_job(&j);
    j.T = 2;
    outcome one = run_job(&j);
    j.initial = one.state;
    j.first = j.T;
    j.T = T - j.T;
    outcome two = run_job(&j);
    const int64_t row = all.y.n / T;
    equal(all.y.v, one.y.v, one.y.n, "y", q, __LINE__);
    equal(all.y.v + 2 * row, two.y.v, two.y.n, "y of the second chunk", q, __LINE__);
    for (int64_t r = 0; r < j.B; r++) equal_states(&all, r, &two, r, q, __LINE__);
    release(&all);
    release(&one);
    release(&two);
}
Test(sequences, chunks_continue_each_other) { each_subject(chunks); }

/* With the same numbers from the end, both ways of going backwards give what going forwards gives. */
static void backwards(const subject *q)
{
    for (int lengths = 0; lengths < 2; lengths++) {
        job j = { .q = *q, .T = T, .B = B, .sequences = true, .padding = lengths ? LENGTHS : NO_PADDING };
        j.lengths = lengths ? ragged : NULL;
        outcome a = run_job(&j);
        j.flipped = j.back = true;
        outcome b = run_job(&j);
        j.keep_order = true;
        outcome c = run_job(&j);
        const int64_t row = a.y.n / (T * B);
        for (int64_t r = 0; r < B; r++) {
            const int64_t n = length_of(&j, r);
            equal_rows(a.y, r, b.y, r, n, "y", q, __LINE__);
            equal_states(&a, r, &b, r, q, __LINE__);
            equal_states(&a, r, &c, r, q, __LINE__);
            for (int64_t t = 0; t < n; t++)
                equal(a.y.v + (t * B + r) * row, c.y.v + ((n - 1 - t) * B + r) * row, row, "y in order", q, __LINE__);
        }
        release(&a);
        release(&b);
        release(&c);
    }
}
Test(sequences, backwards_is_the_reversed_sequence) { each_subject(backwards); }

static void loop(const subject *q)
{
    for (int training = 0; training < 2; training++) {
        job j = { .q = *q, .T = T, .B = 2, .sequences = true, .training = training };
        outcome a = run_job(&j);
        j.loop = true;
        outcome b = run_job(&j);
        equal(a.y.v, b.y.v, a.y.n, "y", q, __LINE__);
        equal(a.dx.v, b.dx.v, a.dx.n, "dx", q, __LINE__);
        equal_params(&a, &b, q, __LINE__);
        for (int64_t r = 0; r < j.B; r++) equal_states(&a, r, &b, r, q, __LINE__);
        release(&a);
        release(&b);
    }
}
Test(sequences, a_loop_in_c_is_the_layer) { each_subject(loop); }

/* ---- passes ------------------------------------------------------------------------------------------------------- */

static void same(numbers a, numbers b, const char *what, const char *words, const subject *q)
{
    cr_assert(a.n == b.n && !memcmp(a.v, b.v, (size_t)a.n * sizeof *a.v), "%s: %s differs with TL_PASSES=%s",
              name_of(q), what, words);
}

/* Outputs, states and all gradients, to the last bit, be passes on or off: all of them, each alone, all but one. A wrapper in
 * a wrapper has its turn with a quarter of these, the next with another. */
static void passes(const subject *q)
{
    for (int way = 0; way < 2; way++) {
        job j = { .q = *q, .T = T, .B = B, .lengths = ragged, .sequences = true, .training = way, .both = way };
        j.padding = way ? LENGTHS : NO_PADDING;
        setenv("TL_PASSES", "-all", 1);
        outcome plain = run_job(&j);
        char words[64] = "";
        for (int k = -1, i; k < 0 || tl_pass_at(k / 2); k++) {
            if (k >= 0 && q->outer && (k + q->inner + q->outer) % 4) continue;
            if (k >= 0) snprintf(words, sizeof words, k % 2 ? "-%s" : "-all,+%s", tl_pass_at(k / 2)->name);
            setenv("TL_PASSES", words, 1);
            outcome o = run_job(&j);
            same(plain.y, o.y, "y", words, q);
            same(plain.dx, o.dx, "dx", words, q);
            for (i = 0; i < o.states; i++) same(plain.state[i], o.state[i], "a state", words, q);
            for (i = 0; i < o.params; i++) same(plain.dp[i], o.dp[i], "a parameter's gradient", words, q);
            release(&o);
        }
        release(&plain);
        unsetenv("TL_PASSES");
    }
}
Test(sequences, passes_change_no_bit) { each_subject(passes); }

/* ---- gradients ---------------------------------------------------------------------------------------------------- */

static tl_tensor checked_loss(tl_scope *s, const tl_tensor *in, void *user)
{
    const job *j = user;
    memory_rows = j->B;
    tl_tensor final[2 * MAX_STATES];
    int n;
    const tl_tensor y = run_layer(s, in, j, final, &n);
    return loss_of(y, in[2], final, n);
}

/* Of a wrapper in a wrapper one way in three. */
static void gradients(const subject *q)
{
    for (int way = 0; way < 3; way++) {
        if (q->outer && (way + q->inner + q->outer) % 3) continue;
        job j = { .q = *q, .T = 3, .B = 2, .sequences = true, .training = way == 1, .both = way == 2 };
        const int32_t lengths[] = { 3, 2 };
        double x[3 * 2 * D], c[3 * 2 * 2 * UNITS];
        uint64_t seed = 3;
        const int64_t width = UNITS * (j.both ? 2 : 1);
        j.padding = LENGTHS;
        for (int i = 0; i < COUNT(x); i++) x[i] = noise(&seed);
        for (int i = 0; i < COUNT(c); i++) c[i] = noise(&seed);
        tl_model *model = tl_model_new(.dtype = TL_F64, .seed = 2);
        const tl_array in[] = { DOUBLES(x, 3, 2, D), IDS((int32_t *)(uintptr_t)lengths, 2), DOUBLES(c, 3, 2, width) };
        const tl_gradcheck_result r = tl_gradcheck(model, checked_loss, in, 3, &j, .second_order = true, .inputs = true,
                                                   .training = j.training, .directions = 1);
        cr_assert(r.passed, "%s: %s", name_of(q), tl_message());
        cr_assert(r.probes > 0);
        tl_model_free(model);
    }
}
Test(sequences, gradients_to_the_second_order) { each_subject(gradients); }
