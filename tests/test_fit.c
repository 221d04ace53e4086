/* tests/test_fit.c - fit, evaluate, predict; callbacks, history, and what is kept for a resume. */
#include <pty.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"
#include "tapeloop.h"
#include "train/fit.h"

#define GOOD(call)                                                                                                     \
    do {                                                                                                               \
        const tl_status status_ = (call);                                                                              \
        cr_assert(!status_, "%s: %s", #call, tl_message());                                                            \
    } while (0)

#define BAD(code, words, call)                                                                                         \
    do {                                                                                                               \
        const tl_status status_ = (call);                                                                              \
        cr_assert_eq(status_, code, "%s: %s, %s", #call, tl_status_name(status_), status_ ? tl_message() : "");        \
        cr_has(tl_message(), words);                                                                                   \
    } while (0)

/* Sums are made in another order here than in the library's kernels: some roundings of doubles. */
static void near(double got, double want)
{
    cr_assert(fabs(got - want) <= 1e-12 * (1 + fabs(want)), "%.17g, not %.17g", got, want);
}

/* ---- a line through points: y = w x, mean squares, plain descent; everything can be computed by hand ----------------- */

enum { N = 7 };
static double xs[N] = { 1, -2, 0.5, 3, -1, 2, 0.25 }, ys[N] = { 2, -3, 2, 5, -3, 5, 0 };

enum { MODEL_LINE = __LINE__ };
static tl_tensor line(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor w = tl_param(s, "w", TL_SCALAR), y = tl_mul(in[0], w);
    tl_output(s, "logits", y);
    return tl_mse(y, in[1]);
}

static tl_dataset *points(int from, int to)
{
    tl_dataset *d = tl_dataset_new();
    tl_dataset_rows(d, DOUBLES(xs + from, to - from, 1));
    tl_dataset_rows(d, DOUBLES(ys + from, to - from, 1));
    return d;
}

static double weight_of(const tl_model *m)
{
    double w = NAN;
    tl_array a = { .dtype = TL_F64, .data = &w };
    cr_assert(!tl_model_get(m, "w", &a));
    return w;
}

/* The loss of samples `from` to `to` - 1 in this order (NULL: their own), and its slope. */
static double loss_of(double w, const int *order, int from, int to, double *slope)
{
    double loss = 0, g = 0;
    for (int i = from; i < to; i++) {
        const double x = xs[order ? order[i] : i], d = w * x - ys[order ? order[i] : i];
        loss += d * d / (to - from);
        g += 2 * d * x / (to - from);
    }
    if (slope) *slope = g;
    return loss;
}

/* One epoch over the first n samples: the loss that fit is to report; w goes on. */
static double epoch_by_hand(double *w, int n, int batch, double lr)
{
    double sum = 0, slope;
    for (int i = 0; i < n; i += batch) {
        const int end = i + batch < n ? i + batch : n;
        sum += loss_of(*w, NULL, i, end, &slope) * (end - i);
        *w -= lr * slope;
    }
    return sum / n;
}

Test(fit, weighs_batch_losses_by_their_samples_and_measures_them_before_updates)
{
    tl_model *m = tl_model_new(.dtype = TL_F64);
    tl_dataset *d = points(0, N);
    tl_history *h = NULL;
    double w = 0;
    GOOD(tl_fit(m, line, d, .optimizer = tl_sgd(.lr = 0.05), .epochs = 4, .batch = 3, .no_shuffle = true,
                .history = &h));
    cr_assert_eq(tl_history_epochs(h), 4);
    cr_assert_eq(tl_history_names(h), 1);
    for (int e = 0; e < 4; e++) {
        near(tl_history_value(h, "loss", e), epoch_by_hand(&w, N, 3, 0.05));
        cr_assert_eq(tl_history_epoch(h, e), e);
    }
    near(weight_of(m), w);
    tl_history_free(h);
    tl_dataset_free(d);
    tl_model_free(m);
    cr_assert_eq(tl_live_bytes(), 0);
}

Test(fit, batches_have_32_samples_and_there_is_one_epoch_unless_options_say_more)
{
    double x[70], y[70], w = 0;
    tl_model *m = tl_model_new(.dtype = TL_F64);
    tl_dataset *d = tl_dataset_new();
    for (int i = 0; i < 70; i++) x[i] = y[i] = i % 3;
    tl_dataset_rows(d, DOUBLES(x, 70, 1));
    tl_dataset_rows(d, DOUBLES(y, 70, 1));
    for (int i = 0; i < 70; i += 32) {
        const int end = i + 32 < 70 ? i + 32 : 70;
        double g = 0;
        for (int k = i; k < end; k++) g += 2 * (w - 1) * x[k] * x[k] / (end - i);
        w -= 0.1 * g;
    }
    GOOD(tl_fit(m, line, d, .optimizer = tl_sgd(.lr = 0.1), .no_shuffle = true));
    near(weight_of(m), w);
    tl_dataset_free(d);
    tl_model_free(m);
}

Test(fit, of_no_epochs_trains_nothing)
{
    tl_model *m = tl_model_new(.dtype = TL_F64);
    tl_dataset *d = points(0, N);
    tl_history *h = NULL;
    cr_assert_eq(tl_fit(m, line, d, .epochs = TL_ZERO, .initial_epoch = TL_ZERO, .history = &h), TL_OK, "%s",
                 tl_message());
    cr_assert_eq(tl_history_epochs(h), 0);
    cr_assert_eq(tl_model_count(m), 0, "nothing was recorded");
    tl_history_free(h);
    tl_dataset_free(d);
    tl_model_free(m);
    cr_assert_eq(tl_live_bytes(), 0);
}

Test(fit, validates_on_the_last_part_after_the_epoch)
{
    for (int way = 0; way < 2; way++) { /* a split, and a dataset of its own */
        tl_model *m = tl_model_new(.dtype = TL_F64);
        tl_dataset *d = points(0, way ? 4 : N), *last = points(4, N);
        tl_history *h = NULL;
        double w = 0;
        GOOD(tl_fit(m, line, d, .optimizer = tl_sgd(.lr = 0.05), .epochs = 4, .batch = 3, .no_shuffle = true,
                    .validation_split = way ? 0 : 0.4, .validation = way ? last : NULL, .validation_every = 2,
                    .metrics = (tl_metric_desc[]){ tl_mae_metric() }, .n_metrics = 1, .history = &h));
        for (int e = 0; e < 4; e++) {
            near(tl_history_value(h, "loss", e), epoch_by_hand(&w, 4, 3, 0.05));
            if (e % 2 == 0) cr_assert(isnan(tl_history_value(h, "val_loss", e)));
            else near(tl_history_value(h, "val_loss", e), loss_of(w, NULL, 4, N, NULL));
        }
        cr_assert_eq(tl_history_names(h), 4);
        cr_assert_str_eq(tl_history_name(h, 1), "mae");
        cr_assert_str_eq(tl_history_name(h, 3), "val_mae");
        tl_history_free(h);
        tl_dataset_free(d);
        tl_dataset_free(last);
        tl_model_free(m);
    }
    cr_assert_eq(tl_live_bytes(), 0);
}

/* Dropout is on in training alone. */
static tl_tensor dropping(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor w = tl_param(s, "w", TL_SCALAR);
    return tl_mse(tl_mul(tl_dropout(s, in[0], .rate = 0.5), w), in[1]);
}

Test(fit, validates_in_test_mode)
{
    tl_model *m = tl_model_new(.dtype = TL_F64);
    tl_dataset *d = points(0, N);
    tl_history *h = NULL;
    GOOD(tl_fit(m, dropping, d, .epochs = 3, .validation = d, .history = &h));
    near(tl_history_value(h, "val_loss", 2), loss_of(weight_of(m), NULL, 0, N, NULL));
    tl_history_free(h);
    tl_dataset_free(d);
    tl_model_free(m);
}

static double trained(bool no_shuffle, uint64_t seed, int64_t from)
{
    tl_model *m = tl_model_new(.dtype = TL_F64, .seed = 5);
    tl_dataset *d = points(0, N);
    GOOD(tl_fit(m, line, d, .optimizer = tl_sgd(.lr = 0.05), .epochs = 3, .initial_epoch = from, .batch = 2,
                .no_shuffle = no_shuffle, .seed = seed));
    const double w = weight_of(m);
    tl_dataset_free(d);
    tl_model_free(m);
    return w;
}

Test(fit, shuffles_by_seed_and_epoch)
{
    const double plain = trained(true, 0, 0), one = trained(false, 1, 0);
    cr_assert_neq(plain, one);
    cr_assert_eq(one, trained(false, 1, 0));
    cr_assert_neq(one, trained(false, 2, 0));
    cr_assert_eq(trained(false, 0, 0), trained(false, 5, 0), "the default is the model's seed");
}

/* A run in pieces is the whole run: the order of an epoch depends on its number, and the trainer has the moments. */
Test(fit, goes_on_with_a_trainer_from_an_initial_epoch)
{
    double w[2];
    for (int pieces = 1; pieces <= 2; pieces++) {
        tl_model *m = tl_model_new(.dtype = TL_F64);
        tl_dataset *d = points(0, N);
        tl_trainer *t = tl_trainer_new(m, line, .optimizer = tl_adam(.lr = 0.1));
        tl_history *h = NULL;
        if (pieces == 2) GOOD(tl_fit(m, line, d, .trainer = t, .epochs = 2, .batch = 2, .history = &h));
        GOOD(tl_fit(m, line, d, .trainer = t, .initial_epoch = pieces == 2 ? 2 : 0, .epochs = 5, .batch = 2,
                    .history = &h));
        cr_assert_eq(tl_history_epochs(h), 5);
        cr_assert_eq(tl_history_epoch(h, 4), 4);
        w[pieces - 1] = weight_of(m);
        tl_history_free(h);
        tl_trainer_free(t);
        tl_dataset_free(d);
        tl_model_free(m);
    }
    cr_assert_eq(w[0], w[1]);
}

Test(fit, refuses_options_that_make_no_sense)
{
    tl_model *m = tl_model_new(.dtype = TL_F64), *other = tl_model_new(.dtype = TL_F64);
    tl_dataset *d = points(0, N);
    tl_trainer *t = tl_trainer_new(other, line);
    tl_trainer *mine = tl_trainer_new(m, dropping);
    tl_metric_desc twice[] = { tl_mae_metric(), tl_mae_metric() }, named[] = { tl_mae_metric(.name = "loss") };
    BAD(TL_E_ARGUMENT, AT_LINE(__LINE__), tl_fit(m, line, NULL));
    BAD(TL_E_ARGUMENT, "model", tl_fit(NULL, line, d));
    BAD(TL_E_ARGUMENT, "model", tl_fit(m, NULL, d));
    BAD(TL_E_ARGUMENT, ".epochs", tl_fit(m, line, d, .epochs = -1));
    BAD(TL_E_ARGUMENT, ".initial_epoch", tl_fit(m, line, d, .initial_epoch = -1));
    BAD(TL_E_ARGUMENT, ".validation_every", tl_fit(m, line, d, .validation_every = TL_ZERO));
    BAD(TL_E_ARGUMENT, "no in[7]", tl_fit(m, line, d, .lengths = 7));
    BAD(TL_E_ARGUMENT, "atch", tl_fit(m, line, d, .batch = -1));
    BAD(TL_E_ARGUMENT, "not both", tl_fit(m, line, d, .validation = d, .validation_split = 0.2));
    BAD(TL_E_ARGUMENT, "split", tl_fit(m, line, d, .validation_split = 1.5));
    BAD(TL_E_ARGUMENT, ".metrics", tl_fit(m, line, d, .n_metrics = 1));
    BAD(TL_E_ARGUMENT, ".callbacks", tl_fit(m, line, d, .n_callbacks = 1));
    BAD(TL_E_ARGUMENT, ".verbose", tl_fit(m, line, d, .verbose = 3));
    BAD(TL_E_ARGUMENT, "another model", tl_fit(m, line, d, .trainer = t));
    BAD(TL_E_ARGUMENT, "model function", tl_fit(m, line, d, .trainer = mine));
    BAD(TL_E_ARGUMENT, ".optimizer", tl_fit(m, dropping, d, .trainer = mine, .optimizer = tl_sgd()));
    BAD(TL_E_NAME, "'mae'", tl_fit(m, line, d, .metrics = twice, .n_metrics = 2));
    BAD(TL_E_NAME, "'loss'", tl_fit(m, line, d, .metrics = named, .n_metrics = 1));
    BAD(TL_E_ARGUMENT, "lr", tl_fit(m, line, d, .optimizer = tl_sgd(.lr = -1)));
    BAD(TL_E_ARGUMENT, "results", tl_evaluate(m, line, d, NULL));
    BAD(TL_E_ARGUMENT, AT_LINE(__LINE__), tl_predict(m, line, d, "logits", NULL));
    tl_trainer_free(t);
    tl_trainer_free(mine);
    tl_dataset_free(d);
    tl_model_free(m);
    tl_model_free(other);
    cr_assert_eq(tl_live_bytes(), 0);
}

Test(fit, says_which_field_is_missing_or_has_another_shape)
{
    tl_model *m = tl_model_new(.dtype = TL_F64);
    tl_dataset *few = tl_dataset_new(), *wide = points(0, N), *none = tl_dataset_new();
    double more[N * 2] = { 0 };
    tl_dataset_rows(few, DOUBLES(xs, N, 1));
    BAD(TL_E_ABSENT, "epoch 1/1, batch 1/1", tl_fit(m, line, few));
    tl_dataset_free(wide);
    wide = tl_dataset_new();
    tl_dataset_rows(wide, DOUBLES(xs, N, 1));
    tl_dataset_rows(wide, DOUBLES(more, N, 2));
    BAD(TL_E_SHAPE, AT_LINE(MODEL_LINE + 6), tl_fit(m, line, wide));
    tl_dataset_rows(none, DOUBLES(xs, 0, 1));
    BAD(TL_E_ARGUMENT, "no samples", tl_fit(m, line, none));
    double loss;
    BAD(TL_E_ARGUMENT, "no samples", tl_evaluate(m, line, none, &loss));
    tl_dataset_free(few);
    tl_dataset_free(wide);
    tl_dataset_free(none);
    tl_model_free(m);
}

/* ---- evaluate and predict -------------------------------------------------------------------------------------------- */

static tl_model *model_with(double w)
{
    tl_model *m = tl_model_new(.dtype = TL_F64);
    GOOD(tl_model_set(m, "w", &(tl_array){ .dtype = TL_F64, .data = &w }));
    return m;
}

Test(evaluate, weighs_by_samples_and_streams_metrics)
{
    tl_model *m = model_with(1.5);
    tl_dataset *d = points(0, N);
    double got[3], mae = 0;
    for (int i = 0; i < N; i++) mae += fabs(1.5 * xs[i] - ys[i]) / N;
    GOOD(tl_evaluate(m, line, d, got, .batch = 3, .n_metrics = 2,
                     .metrics = (tl_metric_desc[]){ tl_mse_metric(), tl_mae_metric() }));
    near(got[0], loss_of(1.5, NULL, 0, N, NULL));
    near(got[1], got[0]);
    near(got[2], mae);
    BAD(TL_E_OUTPUT, "in batch 1: metric mae",
        tl_evaluate(m, line, d, got, .n_metrics = 1, .metrics = (tl_metric_desc[]){ tl_mae_metric(.output = "y") }));
    BAD(TL_E_ABSENT, "in[4]",
        tl_evaluate(m, line, d, got, .n_metrics = 1, .metrics = (tl_metric_desc[]){ tl_mae_metric(.weights = 4) }));
    tl_dataset_free(d);
    tl_model_free(m);
    cr_assert_eq(tl_live_bytes(), 0);
}

Test(predict, gives_a_row_for_every_sample_in_order)
{
    tl_model *m = model_with(-2);
    tl_dataset *d = points(0, N);
    for (int64_t batch = 1; batch <= 8; batch++) {
        tl_array y;
        GOOD(tl_predict(m, line, d, "logits", &y, .batch = batch));
        cr_assert(y.rank == 2 && y.dim[0] == N && y.dim[1] == 1 && y.dtype == TL_F64 && y.batch_axis == TL_ZERO);
        for (int i = 0; i < N; i++) cr_assert_eq(((double *)y.data)[i], -2 * xs[i]);
        tl_array_free(&y);
    }
    tl_array y;
    BAD(TL_E_OUTPUT, "tl_predict in batch 1", tl_predict(m, line, d, "probabilities", &y));
    cr_assert_null(y.data);
    BAD(TL_E_SHAPE, ".batch_axis", tl_predict(m, line, d, "logits", &y, .batch_axis = 1));
    tl_dataset_free(d);
    tl_model_free(m);
    cr_assert_eq(tl_live_bytes(), 0);
}

/* Ids to numbers: twice the id, and once more in each column. No parameters but w = 1. */
static tl_tensor doubling(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor w = tl_param(s, "w", TL_SCALAR, .init = tl_ones());
    const tl_tensor x = tl_mul(tl_scale(tl_sum(tl_one_hot(in[0], 10), TL_AXES(-1)), 0), w);
    tl_output(s, "flat", x);
    const tl_tensor table = tl_const(
        s, TL_DIMS(10, 2), (double[]){ 0, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19 });
    tl_output(s, "y", tl_gather(table, in[0]));
    return TL_NONE;
}

Test(predict, takes_data_that_come_as_a_stream)
{
    int32_t words[21];
    tl_stream *stream;
    tl_array y;
    tl_model *m = tl_model_new(.dtype = TL_F64);
    for (int i = 0; i < 21; i++) words[i] = i % 10;
    GOOD(tl_stream_new(words, 21, 2, 4, &stream));
    tl_dataset *d = tl_dataset_of(tl_stream_source(stream));
    GOOD(tl_predict(m, doubling, d, "y", &y)); /* windows of 4, 4 and 2 steps, 2 rows each */
    cr_assert(y.dim[0] == 6 && y.dim[1] == 4 && y.dim[2] == 2);
    for (int i = 0; i < 6; i++)
        for (int t = 0; t < 4; t++) {
            const int at = i % 2 * 10 + i / 2 * 4 + t;
            cr_assert_eq(((double *)y.data)[(i * 4 + t) * 2], t < (i < 4 ? 4 : 2) ? 2 * (at % 10) : 0);
        }
    tl_array_free(&y);
    tl_dataset_free(d);
    tl_stream_free(stream);
    tl_model_free(m);
    cr_assert_eq(tl_live_bytes(), 0);
}

Test(predict, makes_sequences_sample_first_and_pads_the_short_ones_with_zeros)
{
    int32_t words[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
    const int64_t offsets[] = { 0, 1, 3, 6, 9 }; /* rows of 1, 2, 3, 3 steps */
    tl_model *m = tl_model_new(.dtype = TL_F64);
    tl_dataset *d = tl_dataset_new();
    tl_array y;
    tl_dataset_ragged(d, IDS(words, 9), offsets, 4, .padding = TL_POST);
    for (int64_t batch = 1; batch <= 4; batch++) {
        GOOD(tl_predict(m, doubling, d, "y", &y, .batch = batch));
        cr_assert(y.rank == 3 && y.dim[0] == 4 && y.dim[1] == 3 && y.dim[2] == 2);
        for (int i = 0; i < 4; i++)
            for (int t = 0; t < 3; t++) {
                const double *row = (double *)y.data + (i * 3 + t) * 2;
                const bool real = t < offsets[i + 1] - offsets[i];
                const int id = real ? words[offsets[i] + t] : 0;
                cr_assert(row[0] == 2 * id && row[1] == (id ? 2 * id + 1 : 0), "batch %d, row %d, step %d", (int)batch,
                          i, t);
            }
        tl_array_free(&y);
        GOOD(tl_predict(m, doubling, d, "flat", &y, .batch = batch, .batch_axis = 1)); /* [T, B] */
        cr_assert(y.rank == 2 && y.dim[0] == 4 && y.dim[1] == 3);
        tl_array_free(&y);
    }
    tl_dataset_free(d);
    tl_model_free(m);
    cr_assert_eq(tl_live_bytes(), 0);
}

/* Buckets give the model other steps than the batch has: metrics look at what it saw. */
static tl_tensor tagger(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor x = tl_embedding(s, tl_masked(in[0], in[2]), .vocab = 10, .units = 3);
    const tl_tensor y = tl_dense(s, tl_lstm(s, tl_masked(x, in[2]), .units = 4, .return_sequences = true), .units = 4);
    tl_output(s, "logits", y);
    return tl_cross_entropy(y, in[1]);
}

Test(fit, takes_ragged_sequences_in_buckets)
{
    enum { ROWS = 12, LONGEST = 9 };
    int32_t words[ROWS * LONGEST], tags[ROWS * LONGEST];
    int64_t offsets[ROWS + 1] = { 0 };
    for (int i = 0; i < ROWS; i++) offsets[i + 1] = offsets[i] + 1 + i * 5 % LONGEST;
    for (int k = 0; k < offsets[ROWS]; k++) words[k] = k * 7 % 10, tags[k] = words[k] % 4;
    double results[2][2];
    for (int buckets = 0; buckets < 2; buckets++) {
        tl_model *m = tl_model_new(.dtype = TL_F64);
        tl_dataset *d = tl_dataset_new();
        tl_history *h = NULL;
        const int text = tl_dataset_ragged(d, IDS(words, offsets[ROWS]), offsets, ROWS, .padding = TL_POST);
        tl_dataset_ragged(d, IDS(tags, offsets[ROWS]), offsets, ROWS, .padding = TL_POST);
        tl_dataset_lengths(d, text);
        tl_dataset_mask(d, text, .dtype = TL_F64);
        GOOD(tl_fit(m, tagger, d, .epochs = 20, .batch = 5, .optimizer = tl_adam(.lr = 0.1), .history = &h,
                    .lengths = buckets ? 2 : 0, .validation = d, .n_metrics = 1,
                    .metrics = (tl_metric_desc[]){ tl_accuracy(.weights = 3) }));
        cr_assert(tl_history_value(h, "val_accuracy", 19) > 0.9, "%g", tl_history_value(h, "val_accuracy", 19));
        results[buckets][0] = tl_history_value(h, "loss", 19);
        results[buckets][1] = tl_history_value(h, "accuracy", 19);
        tl_history_free(h);
        tl_dataset_free(d);
        tl_model_free(m);
    }
    /* other T, other order of sums in products of matrices: rounding, grown over 60 steps */
    cr_assert(fabs(results[0][0] - results[1][0]) < 1e-9 && results[0][1] == results[1][1]);
}

/* ---- states ---------------------------------------------------------------------------------------------------------- */

/* A state that counts its runs, in training and in testing apart; the loss is what it was before. */
static tl_tensor counting(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor w = tl_param(s, "w", TL_SCALAR), n = tl_state(s, "n", tl_scale(in[0], 0));
    tl_next(s, "n", tl_add_scalar(n, 1));
    tl_output(s, "logits", n);
    return tl_add(tl_mean(n, TL_ALL), tl_sub(w, tl_stop_gradient(w)));
}

Test(fit, epochs_and_passes_start_from_initial_states_unless_told_otherwise)
{
    for (int keep = 0; keep < 2; keep++) {
        tl_model *m = tl_model_new(.dtype = TL_F64);
        tl_dataset *d = points(0, 6);
        tl_trainer *t = tl_trainer_new(m, counting);
        tl_history *h = NULL;
        double loss;
        tl_array y;
        GOOD(tl_fit(m, counting, d, .trainer = t, .epochs = 2, .batch = 2, .validation = d, .history = &h,
                    .keep_states = keep));
        cr_assert_eq(tl_history_value(h, "loss", 0), 1); /* 0, 1, 2 */
        cr_assert_eq(tl_history_value(h, "loss", 1), keep ? 4 : 1);
        cr_assert_eq(tl_history_value(h, "val_loss", 1), 1);
        for (int twice = 0; twice < 2; twice++) {
            GOOD(tl_evaluate(m, counting, d, &loss, .trainer = t, .batch = 2));
            cr_assert_eq(loss, 1);
            GOOD(tl_predict(m, counting, d, "logits", &y, .trainer = t, .batch = 2));
            cr_assert(((double *)y.data)[0] == 0 && ((double *)y.data)[5] == 2);
            tl_array_free(&y);
        }
        tl_history_free(h);
        tl_trainer_free(t);
        tl_dataset_free(d);
        tl_model_free(m);
    }
}

/* ---- progress -------------------------------------------------------------------------------------------------------- */

/* What a run of two epochs prints, without the times, which come by the clock. */
static char *printed(int verbose)
{
    char *said = NULL, *to;
    size_t size;
    FILE *out = open_memstream(&said, &size);
    tl_model *m = tl_model_new(.dtype = TL_F64);
    tl_dataset *d = points(0, N);
    double results[2];
    GOOD(tl_fit(m, line, d, .optimizer = tl_sgd(.lr = 0.05), .epochs = 2, .batch = 3, .no_shuffle = true, .out = out,
                .verbose = verbose, .validation = d, .metrics = (tl_metric_desc[]){ tl_mae_metric(.name = "error") },
                .n_metrics = 1));
    GOOD(tl_evaluate(m, line, d, results, .out = out, .verbose = verbose, .batch = 3, .n_metrics = 1,
                     .metrics = (tl_metric_desc[]){ tl_mae_metric(.name = "error") }));
    fclose(out);
    tl_dataset_free(d);
    tl_model_free(m);
    to = said;
    for (const char *from = said; (*to = *from); from++) {
        const bool time = from > said && from[-1] == ' ' && isdigit(*from) && strchr("smu0123456789", from[1]);
        if (!time) to++;
        else from += strcspn(from, " \n") - 1;
    }
    return said;
}

Test(progress, plain_lines_name_the_logs_in_their_order)
{
    static const char *const order[] = { " - error: ", " - loss: ", " - val_error: ", " - val_loss: " };
    for (int verbose = 0; verbose <= 2; verbose++) { /* no terminal: all the same */
        char *said = printed(verbose);
        cr_assert_eq(strncmp(said, "Epoch 1/2\n3/3 -  -  - error: ", 29), 0, "%s", said);
        for (int k = 0; k + 1 < COUNT(order); k++)
            cr_assert(strstr(said, order[k]) < strstr(said, order[k + 1]), "%s", said);
        const char *evaluated = strstr(strstr(said, "Epoch 2/2\n") + 10, "\n") + 1;
        cr_assert_eq(strncmp(evaluated, "3/3 -  -  - error: ", 19), 0, "%s", evaluated);
        cr_has(evaluated, " - loss: ");
        cr_has(said, "\nEpoch 2/2\n3/3 - ");
        free(said);
    }
    char *said = printed(TL_ZERO);
    cr_assert_str_eq(said, "");
    free(said);
}

Test(progress, on_a_terminal_the_line_is_drawn_again_in_place)
{
    int master, slave;
    char text[4096];
    cr_assert(!openpty(&master, &slave, NULL, NULL, &(struct winsize){ .ws_col = 60, .ws_row = 5 }));
    unsetenv("COLUMNS");
    FILE *out = fdopen(slave, "w");
    tl_progress p = tl_progress_steps(out, 20, false);
    p.shown -= 10; /* the clock does not matter here */
    cr_assert(tl_progress_due(&p, 5));
    tl_progress_show(&p, 5, " - accuracy: 0.3333 - loss: 2.0617 - and much more than fits");
    tl_progress_end(&p, " - loss: 1.0000");
    p = tl_progress_steps(out, -1, false);
    tl_progress_due(&p, 3);
    tl_progress_end(&p, NULL);
    fflush(out);
    size_t n = 0;
    for (*text = 0; !strstr(text, "/Unknown") && n < sizeof text - 1; text[n] = 0) {
        const ssize_t more = read(master, text + n, sizeof text - 1 - n);
        cr_assert(more > 0);
        n += (size_t)more;
    }
    cr_has(text, "\r 5/20 \033[32m━━━━━\033[0m━━━━━━━━━━━━━━━\033[0m ");
    cr_has(text, "/step - accuracy: 0.33"); /* cut: 59 columns */
    cr_lacks(text, "much");
    cr_has(text, "\r 5/20 "); /* never shown as done that is not */
    cr_has(text, "/step - loss: 1.0000");
    cr_has(text, "3/Unknown ");
    fclose(out);
    close(master);
}

/* ---- memory that is short at any moment ------------------------------------------------------------------------------ */

static tl_status everything(tl_model *m, tl_dataset *d, tl_history **h, const char *csv)
{
    double results[2];
    tl_array y = { 0 };
    tl_callback c[] = { tl_early_stopping(.patience = 1, .restore_best = true), tl_reduce_lr(),
                        tl_csv_log(csv, .append = true), tl_learning_rate(.schedule = tl_exponential_decay()) };
    tl_status status = tl_fit(m, line, d, .epochs = 2, .batch = 3, .validation_split = 0.3, .history = h,
                              .callbacks = c, .n_callbacks = COUNT(c), .metrics = (tl_metric_desc[]){ tl_mae_metric() },
                              .n_metrics = 1);
    if (!status)
        status = tl_evaluate(m, line, d, results, .metrics = (tl_metric_desc[]){ tl_accuracy() }, .n_metrics = 1);
    if (!status) status = tl_predict(m, line, d, "logits", &y, .batch = 2);
    tl_array_free(&y);
    return status;
}

Test(memory, that_is_short_at_any_allocation_is_an_error_and_nothing_is_lost)
{
    char csv[64];
    uint64_t n = 1;
    snprintf(csv, sizeof csv, "/tmp/tl_fit_%d.csv", (int)getpid());
    for (bool done = false; !done; n++) {
        tl_model *m = tl_model_new(.dtype = TL_F64);
        tl_dataset *d = points(0, N);
        tl_history *h = NULL;
        unlink(csv);
        tl_fail_allocation(n);
        const tl_status status = everything(m, d, &h, csv);
        done = !status;
        tl_fail_allocation(0);
        cr_assert(!status || status == TL_E_MEMORY, "allocation %d: %s: %s", (int)n, tl_status_name(status),
                  tl_message());
        if (status) GOOD(everything(m, d, &h, csv)); /* and all can be done after that */
        tl_history_free(h);
        tl_dataset_free(d);
        tl_model_free(m);
        cr_assert_eq(tl_live_bytes(), 0, "allocation %d", (int)n);
    }
    unlink(csv);
    cr_assert(n > 100, "%d", (int)n);
}
