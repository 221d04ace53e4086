/* tests/test_ctc.c - connectionist temporal classification: the loss against the sum over all alignments written out, against
 * PyTorch, and at its edges. */
#include "layers/layers.h"
#include "tests/support.h"
#include "train/train.h"

/* One batch, and what the loss is asked for. */
typedef struct batch {
    int64_t T, B, V, L;
    int32_t *targets, *steps, *labels; /* lengths NULL: absent */
    tl_ctc_opts o;
} batch;

/* in[0]: logits [T, B, V]; then targets and both lengths. */
static tl_tensor loss_of(tl_scope *s, const tl_tensor *in, void *user)
{
    const batch *b = user;
    const tl_tensor loss = tl_ctc_loss_opt(TL_HERE, s, tl_log_softmax(in[0]), in[1], b->steps ? in[2] : TL_NONE,
                                           b->labels ? in[b->steps ? 3 : 2] : TL_NONE, &b->o);
    if (!tl_absent(loss)) tl_output(s, "loss", loss);
    return loss;
}

static int inputs_of(const batch *b, double *logits, tl_array in[4])
{
    int n = 0;
    in[n++] = DOUBLES(logits, b->T, b->B, b->V);
    in[n++] = IDS(b->targets, b->B, b->L);
    if (b->steps) in[n++] = IDS(b->steps, b->B);
    if (b->labels) in[n++] = IDS(b->labels, b->B);
    return n;
}

/* A plan of loss and gradient for batches of these shapes, which any lengths can be fed to. */
typedef struct bench {
    tl_model *model;
    tl_plan *plan;
    tl_session *session;
} bench;

static bench bench_of(const batch *b)
{
    bench k = { .model = tl_model_new(.dtype = TL_F64) };
    tl_array shape[4];
    const int n = inputs_of(b, NULL, shape);
    tl_tensor in[4 + TL_SPARE_INPUTS] = { TL_NONE }, g;
    tl_tape *t = tl_tape_new(k.model);
    for (int i = 0; i < n; i++) in[i] = tl_input(tl_root(t), "in", shape[i]);
    const tl_tensor loss = loss_of(tl_root(t), in, (void *)(uintptr_t)b);
    tl_grad(loss, in, 1, &g);
    tl_output(tl_root(t), "gradient", g);
    k.plan = tl_compile(t);
    cr_assert(k.plan, "%s", tl_message());
    tl_tape_free(t);
    k.session = tl_session_new(k.model);
    return k;
}

static void bench_free(bench *k)
{
    tl_session_free(k->session);
    tl_plan_free(k->plan);
    tl_model_free(k->model);
}

static const double *output(const bench *k, const char *name)
{
    tl_array a;
    cr_assert(!tl_get(k->session, name, &a), "%s", tl_message());
    return a.data;
}

static void run_batch(const bench *k, const batch *b, double *logits)
{
    tl_array in[4];
    const int n = inputs_of(b, logits, in);
    cr_assert(!tl_run(k->session, k->plan, in, n), "%s", tl_message());
}

static double *noises(int64_t n, double scale, uint64_t seed)
{
    double *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = scale * noise(&seed);
    return x;
}

static void near(double got, double want, double tolerance, const char *what)
{
    cr_assert((got == want) || fabs(got - want) <= tolerance * (1 + fabs(want)), "%s: %.17g, not %.17g", what, got,
              want);
}

/* ---- every alignment, one by one -------------------------------------------------------------------------------- */

/* Does this path, with repeats merged and then blanks dropped, spell the target? */
static bool spells(const int *path, int64_t T, const int32_t *target, int64_t n, int64_t blank)
{
    int64_t at = 0;
    for (int64_t t = 0; t < T; t++) {
        if (path[t] == blank || (t && path[t] == path[t - 1])) continue;
        if (at == n || path[t] != target[at++]) return false;
    }
    return at == n;
}

static double by_hand(const batch *b, const double *logits, int64_t row)
{
    const int64_t T = b->steps ? b->steps[row] : b->T, n = b->labels ? b->labels[row] : b->L;
    double total = 0;
    int path[8] = { 0 };
    for (int64_t at = 0; at >= 0;) {
        double p = 1;
        for (int64_t t = 0; t < T; t++) {
            const double *z = logits + (t * b->B + row) * b->V;
            double sum = 0;
            for (int64_t v = 0; v < b->V; v++) sum += exp(z[v]);
            p *= exp(z[path[t]]) / sum;
        }
        if (spells(path, T, b->targets + row * b->L, n, b->o.blank)) total += p;
        for (at = T - 1; at >= 0 && ++path[at] == b->V; at--) path[at] = 0; /* the next path */
    }
    return -log(total);
}

/* Targets with repeats, of any length; what lies behind their ends is no symbol at all. */
static batch draw_batch(uint64_t seed, int32_t *storage, int64_t T, int64_t V, int64_t L, bool lengths)
{
    batch b = { .T = T, .B = 4, .V = V, .L = L, .targets = storage, .o = { .size = sizeof b.o } };
    b.o.blank = (int64_t)(seed % (uint64_t)V);
    b.o.reduction = TL_REDUCE_NONE;
    if (lengths) b.steps = storage + 20, b.labels = storage + 24;
    for (int64_t r = 0; r < b.B; r++) {
        if (lengths) b.steps[r] = (int32_t)(T * (1 + noise(&seed)) / 2 + 0.99);
        if (lengths) b.labels[r] = (int32_t)((L + 0.99) * (1 + noise(&seed)) / 2);
        for (int64_t l = 0; l < L; l++) {
            int32_t id = (int32_t)((double)(V - 1) * (1 + noise(&seed)) / 2);
            if (id >= b.o.blank) id++;
            b.targets[r * L + l] = lengths && l >= b.labels[r] ? -7 : id;
        }
    }
    return b;
}

Test(ctc, is_the_sum_over_all_alignments)
{
    int infinite = 0, empty = 0, short_of_steps = 0;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        int32_t storage[28];
        const int64_t T = 1 + (int64_t)(seed % 6), V = 2 + (int64_t)(seed % 2), L = (int64_t)(seed / 2 % 4);
        const batch b = draw_batch(seed, storage, T, V, L, seed % 4);
        double *logits = noises(T * b.B * V, 2, seed);
        bench k = bench_of(&b);
        run_batch(&k, &b, logits);
        for (int64_t r = 0; r < b.B; r++) {
            const double want = by_hand(&b, logits, r);
            near(output(&k, "loss")[r], want, 1e-12, "loss");
            infinite += isinf(want);
            empty += b.labels && !b.labels[r];
            short_of_steps += b.steps && b.steps[r] < T;
        }
        bench_free(&k);
        free(logits);
    }
    cr_assert(infinite > 20 && empty > 20 && short_of_steps > 20, "%d %d %d", infinite, empty, short_of_steps);
}

/* Of first and second order, against differences. */
Test(ctc, has_the_gradient_of_its_value)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        int32_t storage[28];
        batch b = draw_batch(seed, storage, 1 + (int64_t)(seed % 5), 3, (int64_t)(seed % 4), seed % 2);
        double *logits = noises(b.T * b.B * b.V, 2, seed);
        b.o.reduction = 1 + seed % 3;
        b.o.zero_infinity = true;
        tl_array in[4];
        const int n = inputs_of(&b, logits, in);
        tl_model *m = tl_model_new(.dtype = TL_F64);
        const tl_gradcheck_result r = tl_gradcheck(m, loss_of, in, n, &b, .inputs = true, .second_order = true);
        cr_assert(r.passed, "%s", tl_message());
        tl_model_free(m);
        free(logits);
    }
}

/* ---- PyTorch ---------------------------------------------------------------------------------------------------- */

/* torch.nn.functional.ctc_loss(x.log_softmax(2), targets, input_lengths, target_lengths, blank=2, zero_infinity=True) in f64;
 * of the gradient the sum of squares and sum_i (i + 1) g_i. A target of repeats, an empty one, one that does not fit. */
static const struct {
    tl_reduction reduction;
    double loss[5], squares, weighted;
} torch_says[] = {
    { 0, { 2.7001419314105974 }, 0.24977591584716674, -0.8692104454542839 },
    { TL_REDUCE_MEAN, { 2.7001419314105974 }, 0.24977591584716674, -0.8692104454542839 },
    { TL_REDUCE_SUM, { 21.675184035284488 }, 9.69535295505442, -3.5116990008205917 },
    { TL_REDUCE_NONE,
      { 5.959881163213992, 6.301830404133262, 0.9480533014399752, 8.465419166497261, 0 },
      9.69535295505442,
      -3.5116990008205917 },
};

static void agrees(const batch *b, double *logits, const double *loss, double squares, double weighted)
{
    bench k = bench_of(b);
    run_batch(&k, b, logits);
    for (int64_t r = 0; r < (b->o.reduction == TL_REDUCE_NONE ? b->B : 1); r++)
        near(output(&k, "loss")[r], loss[r], 1e-12, "loss");
    const double *g = output(&k, "gradient");
    for (int64_t i = 0; i < b->T * b->B * b->V; i++) squares -= g[i] * g[i], weighted -= (double)(i + 1) * g[i];
    cr_assert(fabs(squares) < 1e-9 && fabs(weighted) < 1e-9, "the gradient is off by %g and %g", squares, weighted);
    bench_free(&k);
}

Test(ctc, agrees_with_pytorch)
{
    int32_t targets[] = { 0, 0, 3, 1, 3, 1, 3, 0, 0, 0, 0, 0, 1, 1, 1 }, steps[] = { 7, 5, 1, 6, 4 };
    int32_t labels[] = { 3, 3, 1, 0, 3 };
    double *logits = noises(7 * 5 * 4, 2, 12345);
    for (int c = 0; c < COUNT(torch_says); c++) {
        batch b = { .T = 7, .B = 5, .V = 4, .L = 3, .targets = targets, .steps = steps, .labels = labels };
        b.o = (tl_ctc_opts){ sizeof b.o, .blank = 2, .reduction = torch_says[c].reduction, .zero_infinity = true };
        agrees(&b, logits, torch_says[c].loss, torch_says[c].squares, torch_says[c].weighted);
    }
    free(logits);
}

/* Probabilities as small as e^-110, which only logarithms hold on to. */
Test(ctc, agrees_with_pytorch_on_long_sequences)
{
    static const double loss[] = { 96.67096052187713, 73.57546332448796, 109.7052397678514 };
    int32_t targets[3 * 20], steps[] = { 60, 45, 59 }, labels[] = { 20, 17, 9 };
    for (int i = 0; i < 60; i++) targets[i] = (i % 20 * (i % 20) + i / 20 * (i % 20)) / 2 % 7;
    double *logits = noises(60 * 3 * 8, 3, 777);
    batch b = { .T = 60, .B = 3, .V = 8, .L = 20, .targets = targets, .steps = steps, .labels = labels };
    b.o = (tl_ctc_opts){ sizeof b.o, .blank = 7, .reduction = TL_REDUCE_NONE };
    agrees(&b, logits, loss, 92.51940833913827, -61.53691630622052);
    free(logits);
}

/* ---- edges ------------------------------------------------------------------------------------------------------ */

Test(ctc, what_does_not_fit_has_no_gradient_and_spoils_no_other_row)
{
    int32_t targets[] = { 1, 1, 1, 2 }, steps[] = { 2, 2 }, labels[] = { 2, 2 };
    double *logits = noises(2 * 2 * 3, 2, 5);
    for (int zero = 0; zero < 2; zero++) {
        const batch b = { 2,       2,     3,      2,
                          targets, steps, labels, { sizeof b.o, .reduction = TL_REDUCE_NONE, .zero_infinity = zero } };
        bench k = bench_of(&b);
        run_batch(&k, &b, logits);
        cr_assert(output(&k, "loss")[0] == (zero ? 0 : INFINITY));
        near(output(&k, "loss")[1], by_hand(&b, logits, 1), 1e-12, "the row beside it");
        const double *g = output(&k, "gradient");
        double other = 0;
        for (int i = 0; i < 12; i++) {
            if (i / 3 % 2) other += fabs(g[i]);
            else cr_assert(g[i] == 0, "gradient %d is %g", i, g[i]);
        }
        cr_assert(isfinite(other) && other > 0.1);
        bench_free(&k);
    }
    free(logits);
}

/* Padding of both kinds, one plan for all lengths: bit for bit what the batch gives without it. */
Test(ctc, padding_changes_nothing)
{
    int32_t wide[] = { 1, 2, 9, 9, 2, 2, 1, -3 }, narrow[3], steps[2], labels[2], steps1[1], labels1[1];
    double *logits = noises(6 * 2 * 3, 2, 9), alone[6 * 3];
    const batch b = { 6, 2, 3, 4, wide, steps, labels, { sizeof b.o, .reduction = TL_REDUCE_NONE } };
    bench k = bench_of(&b);
    for (int32_t T = 4; T <= 6; T++) {
        steps[0] = T, steps[1] = 6 - (T == 4), labels[0] = 2, labels[1] = 3;
        run_batch(&k, &b, logits);
        for (int r = 0; r < 2; r++) {
            const batch one = { steps[r], 1,      3,       labels[r],
                                narrow,   steps1, labels1, { sizeof b.o, .reduction = TL_REDUCE_NONE } };
            for (int l = 0; l < labels[r]; l++) narrow[l] = wide[r * 4 + l];
            for (int i = 0; i < steps[r] * 3; i++) alone[i] = logits[(i / 3 * 2 + r) * 3 + i % 3];
            steps1[0] = steps[r], labels1[0] = labels[r];
            bench short_one = bench_of(&one);
            run_batch(&short_one, &one, alone);
            cr_assert(output(&short_one, "loss")[0] == output(&k, "loss")[r], "%.17g and %.17g",
                      output(&short_one, "loss")[0], output(&k, "loss")[r]);
            for (int t = 0; t < 6; t++)
                for (int v = 0; v < 3; v++)
                    cr_assert(output(&k, "gradient")[(t * 2 + r) * 3 + v] ==
                              (t < steps[r] ? output(&short_one, "gradient")[t * 3 + v] : 0));
            bench_free(&short_one);
        }
    }
    bench_free(&k);
    free(logits);
}

/* What lies in the padding of the steps is never looked at. */
Test(ctc, padding_may_hold_anything)
{
    const int32_t targets[] = { 1, 2, 2, 1 }, steps[] = { 3, 4 };
    double values[2][24], probs[5 * 2 * 3];
    for (int round = 0; round < 2; round++) {
        tl_model *m = tl_model_new(.dtype = TL_F64);
        tl_tape *t = tl_tape_new(m);
        uint64_t seed = 3;
        for (int i = 0; i < 30; i++) {
            probs[i] = noise(&seed) - 2;
            if (i / 6 >= steps[i / 3 % 2]) probs[i] = round ? NAN : 0;
        }
        const tl_tensor x = tl_const(tl_root(t), TL_DIMS(5, 2, 3), probs);
        const tl_tensor y = tl_ids_const(tl_root(t), TL_DIMS(2, 2), targets);
        const tl_tensor lengths = tl_ids_const(tl_root(t), TL_DIMS(2), steps);
        const tl_tensor loss = tl_ctc_loss(tl_root(t), x, y, lengths, TL_NONE);
        tl_tensor g;
        tl_grad(loss, &x, 1, &g);
        values[round][0] = tl_eval(loss);
        cr_assert(isfinite(values[round][0]), "%s", tl_tape_message(t));
        double *d = values_of(g);
        memcpy(values[round] + 1, d, 21 * sizeof *d);
        for (int i = 0; i < 30; i++) cr_assert(isfinite(d[i]) && (i / 6 < steps[i / 3 % 2] || d[i] == 0), "%d", i);
        free(d);
        tl_tape_free(t);
        tl_model_free(m);
    }
    cr_assert(!memcmp(values[0], values[1], 22 * sizeof(double)));
}

/* Probabilities that are zero are no NaN, forward or backward. */
Test(ctc, impossible_symbols)
{
    int32_t targets[] = { 1, 2 };
    double logits[] = { 0, -INFINITY, 1, 1, 2, -INFINITY, 0, 1, 3 };
    const batch b = { 3, 1, 3, 2, targets, NULL, NULL, { sizeof b.o, .reduction = TL_REDUCE_SUM } };
    bench k = bench_of(&b);
    run_batch(&k, &b, logits);
    near(output(&k, "loss")[0], by_hand(&b, logits, 0), 1e-12, "loss");
    for (int i = 0; i < 9; i++) cr_assert(isfinite(output(&k, "gradient")[i]), "gradient %d", i);
    bench_free(&k);
}

/* ---- learning ---------------------------------------------------------------------------------------------------- */

/* in[0]: features [T, B, 2]; in[1]: labels [B, L]; in[2], in[3]: lengths of both. */
static tl_tensor speller(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor h = tl_lstm(s, in[0], .units = 12, .return_sequences = true);
    const tl_tensor p = tl_log_softmax(tl_dense(s, h, .units = 4));
    tl_output(s, "log_probs", p);
    return tl_ctc_loss(s, p, in[1], in[2], in[3]);
}

/* One plan learns batches of different lengths to the letter. */
Test(ctc, trains_a_network_that_spells)
{
    enum { T = 9, B = 2, L = 3 };
    static const int32_t targets[2][B * L] = { { 1, 2, 2, 3, 0, 0 }, { 2, 0, 0, 3, 1, 3 } };
    static const int32_t steps[2][B] = { { 9, 5 }, { 6, 9 } }, labels[2][B] = { { 3, 1 }, { 1, 3 } };
    float x[2][T * B * 2];
    tl_array in[2][4];
    uint64_t seed = 1;
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < T * B * 2; i++) x[k][i] = (float)noise(&seed);
        in[k][0] = FLOATS(x[k], T, B, 2);
        in[k][1] = IDS((void *)(uintptr_t)targets[k], B, L);
        in[k][2] = IDS((void *)(uintptr_t)steps[k], B);
        in[k][3] = IDS((void *)(uintptr_t)labels[k], B);
    }
    tl_model *m = tl_model_new(.seed = 1);
    tl_trainer *t = tl_trainer_new(m, speller, .optimizer = tl_adam(.lr = 0.03));
    double loss = NAN;
    for (int i = 0; i < 300; i++) cr_assert(!tl_train_step(t, in[i % 2], 4, &loss), "%s", tl_message());
    cr_assert(loss < 0.1 && tl_trainer_plans(t) == 1, "%g after %d plans", loss, tl_trainer_plans(t));
    for (int k = 0; k < 2; k++) {
        tl_array p;
        int32_t ids[B * T], counts[B];
        cr_assert(!tl_predict_step(t, (tl_array[]){ in[k][0], TL_ABSENT_ARRAY }, 2), "%s", tl_message());
        cr_assert(!tl_get(tl_trainer_session(t, TL_PREDICT), "log_probs", &p) &&
                  !tl_ctc_greedy(&p, steps[k], 0, ids, counts));
        for (int b = 0; b < B; b++)
            cr_assert(counts[b] == labels[k][b] && !memcmp(ids + b * T, targets[k] + b * L, (size_t)counts[b] * 4));
    }
    tl_trainer_free(t);
    tl_model_free(m);
}

/* ---- errors ----------------------------------------------------------------------------------------------------- */

Test(ctc, says_what_is_wrong)
{
    static const struct {
        tl_array probs, targets, steps, labels;
        tl_ctc_opts o;
        tl_status status;
        const char *words;
    } cases[] = {
#define SHAPE(t, r, ...) { .dtype = (t), .rank = (r), .dim = { __VA_ARGS__ } }
#define NO_ARRAY                                                                                                       \
    {                                                                                                                  \
        .rank = -1                                                                                                     \
    }
#define PROBS SHAPE(TL_F64, 3, 5, 2, 3)
#define TARGETS SHAPE(TL_I32, 2, 2, 4)
#define OPTIONS(...)                                                                                                   \
    {                                                                                                                  \
        sizeof(tl_ctc_opts), __VA_ARGS__                                                                               \
    }
        { NO_ARRAY, TARGETS, NO_ARRAY, NO_ARRAY, OPTIONS(0), TL_E_ABSENT, "log_probs is absent" },
        { SHAPE(TL_F64, 2, 5, 3), TARGETS, NO_ARRAY, NO_ARRAY, OPTIONS(0), TL_E_SHAPE, "log_probs has rank 2" },
        { PROBS, SHAPE(TL_I32, 2, 3, 4), NO_ARRAY, NO_ARRAY, OPTIONS(0), TL_E_SHAPE,
          "targets [3,4] is not [B, L] of log_probs [5,2,3]" },
        { PROBS, SHAPE(TL_F64, 2, 2, 4), NO_ARRAY, NO_ARRAY, OPTIONS(0), TL_E_DTYPE, "where" },
        { PROBS, TARGETS, SHAPE(TL_I32, 1, 3), NO_ARRAY, OPTIONS(0), TL_E_SHAPE, "input_lengths [3] is not [B]" },
        { PROBS, TARGETS, SHAPE(TL_F64, 1, 2), NO_ARRAY, OPTIONS(0), TL_E_DTYPE, "length_mask" },
        { PROBS, TARGETS, NO_ARRAY, SHAPE(TL_I32, 2, 2, 1), OPTIONS(0), TL_E_SHAPE, "target_lengths [2,1] is not [B]" },
        { PROBS, TARGETS, NO_ARRAY, NO_ARRAY, OPTIONS(3), TL_E_ARGUMENT, ".blank = 3 is not one of 3 symbols" },
        { PROBS, TARGETS, NO_ARRAY, NO_ARRAY, OPTIONS(TL_ZERO, (tl_reduction)9), TL_E_ARGUMENT, ".reduction = 9" },
        { PROBS, TARGETS, NO_ARRAY, NO_ARRAY, OPTIONS(-1), TL_E_ARGUMENT, ".blank = -1" },
        { PROBS, TARGETS, NO_ARRAY, NO_ARRAY, OPTIONS(0, (tl_reduction)9), TL_E_ARGUMENT, ".reduction = 9" },
        { PROBS, TARGETS, NO_ARRAY, NO_ARRAY, { 0 }, TL_E_ARGUMENT, "the options' .size is not set" },
    };
    for (int c = 0; c < COUNT(cases); c++) {
        tl_model *m = tl_model_new(.dtype = TL_F64);
        tl_tape *t = tl_tape_new(m);
        const tl_array *a[] = { &cases[c].probs, &cases[c].targets, &cases[c].steps, &cases[c].labels };
        tl_tensor in[4] = { TL_NONE };
        for (int i = 0; i < 4; i++)
            if (a[i]->rank >= 0) in[i] = tl_input(tl_root(t), "x", *a[i]);
        const int line = __LINE__ + 1;
        const tl_tensor y = tl_ctc_loss_opt(TL_HERE, tl_root(t), in[0], in[1], in[2], in[3], &cases[c].o);
        cr_assert(!tl_absent(y) && tl_tape_status(t) == cases[c].status, "case %d: %s", c, tl_tape_message(t));
        cr_has(tl_tape_message(t), cases[c].words);
        cr_has(tl_tape_message(t), AT_LINE(line));
        tl_tape_free(t);
        tl_model_free(m);
    }
}

Test(ctc, lengths_and_labels_out_of_range_are_errors_of_the_run)
{
    for (int c = 0; c < 5; c++) {
        int32_t targets[] = { 1, 2 }, steps[] = { 3 }, labels[] = { 2 };
        const batch b = { 3, 1, 3, 2, targets, steps, labels, { sizeof b.o } };
        bench k = bench_of(&b);
        double *logits = noises(9, 1, 1);
        tl_array in[4];
        const int n = inputs_of(&b, logits, in);
        if (c == 0) steps[0] = 4;
        if (c == 1) labels[0] = 3;
        if (c == 2) labels[0] = -1;
        if (c == 3) targets[1] = 3;
        cr_assert(tl_run(k.session, k.plan, in, n) == (c < 4 ? TL_E_INDEX : TL_OK), "case %d: %s", c, tl_message());
        bench_free(&k);
        free(logits);
    }
}

Test(ctc, absent_targets_give_an_absent_loss)
{
    tl_model *m = tl_model_new();
    tl_tape *t = tl_tape_new(m);
    const tl_tensor x = tl_full(tl_root(t), TL_DIMS(3, 2, 4), 0);
    cr_assert(tl_absent(tl_ctc_loss(tl_root(t), x, TL_NONE, TL_NONE, TL_NONE)));
    cr_assert(tl_absent(tl_ctc_loss(tl_root(t), x, TL_NONE, TL_NONE, TL_NONE, .blank = 3)));
    cr_assert(!tl_failed(t));
    tl_tape_free(t);
    tl_model_free(m);
}
