/* tests/test_normalization.c - batch and layer normalisation against their formulas. */
#include "layers/layers.h"
#include "support.h"

enum { ROWS = 6, C = 3 };

typedef struct setting {
    bool layer, pytorch, plain;
    double epsilon, momentum;
    int axes;
} setting;

static tl_tensor record(tl_scope *s, const tl_tensor *in, void *user)
{
    const setting *q = user;
    tl_tensor y;
    if (q->layer)
        y = tl_layer_normalization(s, in[0], .epsilon = q->epsilon, .axes = q->axes, .no_gain = q->plain,
                                   .no_shift = q->plain, .name = "norm");
    else
        y = tl_batch_norm(s, in[0], .epsilon = q->epsilon, .momentum = q->momentum, .unbiased = q->pytorch,
                          .no_gain = q->plain, .no_shift = q->plain, .name = "norm");
    tl_output(s, "out", y);
    return tl_sum(tl_mul(y, in[1]), TL_ALL);
}

/* Runs it once; tells the session. */
static tl_session *run(tl_model *model, const setting *q, const tl_array in[2], bool training)
{
    tl_tensor x[2], g;
    tl_tape *tape = tl_tape_new(model, .training = training);
    tl_scope *root = tl_root(tape);
    for (int k = 0; k < 2; k++) x[k] = tl_input(root, "x", in[k]);
    const tl_tensor loss = record(root, x, (void *)(uintptr_t)q);
    tl_grad(loss, x, 1, &g);
    tl_output(root, "gx", g);
    tl_backward(loss);
    return run_once(tape, in, 2);
}

static void close_to(const char *what, const double *have, const double *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        cr_assert(fabs(have[i] - want[i]) <= 1e-9 * fabs(want[i]) + 1e-12, "%s, element %d: %.15g, not %.15g", what,
                  (int)i, have[i], want[i]);
}

static const double *got(const tl_session *s, const char *name, tl_array *a)
{
    cr_assert(tl_get(s, name, a) == TL_OK, "%s", tl_message());
    return a->data;
}

static const double *state_of(const tl_model *model, const char *name)
{
    for (int i = 0; i < tl_model_states(model); i++) {
        const char *path;
        tl_array a;
        cr_assert(!tl_model_state_value(model, i, &path, &a));
        if (!strcmp(path, name)) return a.data;
    }
    cr_assert(false, "there is no state %s", name);
    return NULL;
}

/* ---- running averages ---------------------------------------------------------------------------------------------- */

static double batch[ROWS * C], ones[ROWS * C];

static void fill(void)
{
    uint64_t noise_state = 11;
    for (int i = 0; i < ROWS * C; i++) batch[i] = 3 * noise(&noise_state) + i % C, ones[i] = 1;
}

/* Mean and variance (of count - correction) of the batch's channels. */
static void moments(double mean[C], double variance[C], double correction)
{
    for (int c = 0; c < C; c++) {
        mean[c] = variance[c] = 0;
        for (int r = 0; r < ROWS; r++) mean[c] += batch[r * C + c] / ROWS;
        for (int r = 0; r < ROWS; r++) variance[c] += pow(batch[r * C + c] - mean[c], 2) / (ROWS - correction);
    }
}

Test(batch_norm, keeps_running_averages_and_uses_them_afterwards)
{
    fill();
    for (int pytorch = 0; pytorch < 2; pytorch++) {
        const setting q = { .pytorch = pytorch, .epsilon = pytorch ? 1e-5 : 0, .momentum = pytorch ? 0.9 : 0 };
        const double kept = pytorch ? 0.9 : 0.99, epsilon = pytorch ? 1e-5 : 1e-3;
        const tl_array in[] = { DOUBLES(batch, 2, ROWS / 2, C), DOUBLES(ones, 2, ROWS / 2, C) };
        double mean[C], variance[C], want_mean[C] = { 0 }, want_variance[C] = { 1, 1, 1 }, y[ROWS * C];
        tl_array a;
        tl_model *model = tl_model_new(.dtype = TL_F64);
        moments(mean, variance, pytorch);
        for (int times = 0; times < 2; times++) {
            for (int c = 0; c < C; c++) {
                want_mean[c] = kept * want_mean[c] + (1 - kept) * mean[c];
                want_variance[c] = kept * want_variance[c] + (1 - kept) * variance[c];
            }
            tl_session_free(run(model, &q, in, true));
            close_to("mean", state_of(model, "norm/mean"), want_mean, C);
            close_to("variance", state_of(model, "norm/variance"), want_variance, C);
        }
        tl_session *s = run(model, &q, in, false);
        for (int i = 0; i < ROWS * C; i++) y[i] = (batch[i] - want_mean[i % C]) / sqrt(want_variance[i % C] + epsilon);
        close_to("y", got(s, "out", &a), y, ROWS * C);
        close_to("mean", state_of(model, "norm/mean"), want_mean, C); /* as it was */
        tl_session_free(s);
        tl_model_free(model);
    }
}

Test(normalization, gradients_agree_with_differences)
{
    fill();
    const tl_array in[] = { DOUBLES(batch, 2, ROWS / 2, C), DOUBLES(ones, 2, ROWS / 2, C) };
    for (int i = 0; i < ROWS * C; i++) ones[i] = cos(i);
    for (int k = 0; k < 4; k++) {
        setting q = { .layer = k / 2, .axes = k % 2 ? 2 : 0 };
        tl_model *model = tl_model_new(.dtype = TL_F64);
        tl_session_free(run(model, &q, in, false));
        double *v = tl_model_values(model);
        for (int64_t i = 0; i < tl_model_size(model); i++) v[i] += 0.3 * sin((double)i);
        tl_model_touch(model);
        const tl_gradcheck_result g = tl_gradcheck(model, record, in, 2, &q, .inputs = true, .second_order = true,
                                                   .training = k == 1);
        cr_assert(g.passed && g.probes > 0, "setting %d: %s (%g at %s)", k, tl_message(), g.worst, g.where);
        tl_model_free(model);
    }
}

Test(normalization, hands_on_the_mask)
{
    tl_model *model = tl_model_new(.dtype = TL_F64);
    tl_tape *tape = tl_tape_new(model);
    tl_scope *s = tl_root(tape);
    const tl_tensor mask = tl_full(s, TL_DIMS(2, 3), 1), x = tl_masked(tl_full(s, TL_DIMS(2, 3, 4), 1), mask);
    cr_expect(tl_is(tl_mask_of(tl_batch_norm(s, x)), mask));
    cr_expect(tl_is(tl_mask_of(tl_layer_normalization(s, x)), mask));
    cr_expect(!tl_failed(tape), "%s", tl_tape_message(tape));
    tl_tape_free(tape);
    tl_model_free(model);
}

/* ---- what is refused ----------------------------------------------------------------------------------------------- */

static void refused(int line, tl_model *model, tl_tape *tape, tl_tensor y, tl_status status, const char *words)
{
    cr_assert(tl_tape_status(tape) == status, "line %d: %s", line, tl_tape_message(tape));
    cr_has(tl_tape_message(tape), words);
    cr_assert(NAMES_LINE(tl_tape_message(tape), line), "line %d: %s", line, tl_tape_message(tape));
    cr_assert(!tl_absent(y));
    cr_assert(tl_model_count(model) == 0);
    tl_tape_free(tape);
    tl_model_free(model);
}
#define REFUSED(y, status, words)                                                                                      \
    do {                                                                                                               \
        tl_model *model = tl_model_new(.dtype = TL_F64);                                                               \
        tl_tape *tape = tl_tape_new(model, .training = true);                                                          \
        tl_scope *s = tl_root(tape);                                                                                   \
        refused(__LINE__, model, tape, (y), TL_E_##status, (words));                                                   \
    } while (0)

Test(normalization, refuses_what_makes_no_sense)
{
    REFUSED(tl_batch_norm(s, tl_full(s, TL_DIMS(3), 1)), SHAPE, "batch_norm: x has rank 1");
    REFUSED(tl_batch_norm(s, TL_NONE), ABSENT, "batch_norm: x is absent");
    REFUSED(tl_batch_norm(s, tl_full(s, TL_DIMS(2, 3), 1), .momentum = 1.5), ARGUMENT, ".momentum = 1.5");
    REFUSED(tl_batch_norm(s, tl_full(s, TL_DIMS(2, 3), 1), .epsilon = -1), ARGUMENT, ".epsilon = -1");
    REFUSED(tl_batch_norm(s, tl_full(s, TL_DIMS(1, 3), 1), .unbiased = true), SHAPE, "1 rows, and training needs 2");
    REFUSED(tl_batch_norm(s, tl_full(s, TL_DIMS(0, 3), 1)), SHAPE, "0 rows, and training needs 1");
    REFUSED(tl_batch_norm_opt(TL_HERE, s, tl_full(s, TL_DIMS(2, 3), 1), &(tl_batch_norm_opts){ .momentum = 1 }),
            ARGUMENT, ".size is not set");
    REFUSED(tl_layer_normalization(s, tl_full(s, TL_DIMS(3), 1), .axes = 2), SHAPE, "x has rank 1");
    REFUSED(tl_layer_normalization(s, tl_full(s, TL_DIMS(3), 1), .axes = -1), ARGUMENT, ".axes = -1");
    REFUSED(tl_layer_normalization(s, tl_full(s, TL_DIMS(3), 1), .epsilon = NAN), ARGUMENT, ".epsilon");
}
