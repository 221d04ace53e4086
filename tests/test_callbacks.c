/* tests/test_callbacks.c - callbacks of a run, and what is kept for a resume. */
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

/* ---- runs whose losses are given: the only parameter, w, counts the updates downwards -------------------------------- */

enum { MOST = 32 };

typedef struct script {
    const double *loss; /* batches of each epoch, one after the other */
    int per_epoch;
    uint64_t epoch;
    int at;
} script;

static tl_status start(void *self, uint64_t epoch, int64_t skip)
{
    script *f = self;
    f->epoch = epoch;
    f->at = (int)skip;
    return TL_OK;
}

static tl_status next(void *self, tl_batch *b)
{
    script *f = self;
    const double *value = f->loss + f->epoch * (uint64_t)f->per_epoch + (uint64_t)f->at;
    *b = (tl_batch){ .n = 1, .samples = f->at < f->per_epoch };
    b->in[0] = DOUBLES((double *)(uintptr_t)value, 1);
    f->at++;
    return TL_OK;
}

static int64_t batches(void *self) { return ((script *)self)->per_epoch; }

static tl_tensor given_loss(tl_scope *s, const tl_tensor *in, void *user)
{
    const tl_tensor w = tl_param(s, "w", TL_SCALAR), counted = tl_model_state(s, "n", tl_full(s, TL_SCALAR, 0));
    (void)user;
    if (tl_training(s)) tl_next(s, "n", tl_add_scalar(counted, 1));
    return tl_add(tl_mean(in[0], TL_ALL), tl_sub(w, tl_stop_gradient(w)));
}

typedef struct stage {
    script f;
    tl_dataset *data;
    tl_model *model;
    tl_history *history;
} stage;

static void set_up(stage *a, const double *loss, int per_epoch)
{
    *a = (stage){ .f = { .loss = loss, .per_epoch = per_epoch } };
    a->data = tl_dataset_of((tl_source){ &a->f, start, next, batches, NULL });
    a->model = tl_model_new(.dtype = TL_F64);
}

static void tear_down(stage *a)
{
    tl_history_free(a->history);
    tl_dataset_free(a->data);
    tl_model_free(a->model);
    cr_assert_eq(tl_live_bytes(), 0);
}

/* How many updates made the model what it is. */
static int updates_in(const tl_model *m)
{
    double w = 0;
    tl_array a = { .dtype = TL_F64, .data = &w };
    if (tl_model_get(m, "w", &a)) return 0;
    return (int)-w;
}

static double state_of(const tl_model *m)
{
    const char *name;
    tl_array a;
    GOOD(tl_model_state_value(m, 0, &name, &a));
    return *(double *)a.data;
}

#define RUN(a, n_epochs, ...)                                                                                          \
    tl_fit((a)->model, given_loss, (a)->data, .optimizer = tl_sgd(.lr = 1), .epochs = (n_epochs),                      \
           .history = &(a)->history, __VA_ARGS__)
#define CALLBACKS(...)                                                                                                 \
    .callbacks = (tl_callback[]){ __VA_ARGS__ }, .n_callbacks = COUNT(((tl_callback[]){ __VA_ARGS__ }))

/* ---- a callback that writes down what happens ------------------------------------------------------------------------ */

typedef struct diary {
    char text[2048];
    const char *name, *fail_at, *stop_at; /* "e1": the second epoch's beginning */
    int freed;
} diary;

static tl_status note(diary *d, tl_fit_state *s, const char *what)
{
    char line[64];
    const bool train = *what == '<' || *what == '>';
    if (train) snprintf(line, sizeof line, "%s%s", what, d->name);
    else if (*what == 'b') snprintf(line, sizeof line, "b%d.%d%s", (int)s->epoch, (int)s->batch, d->name);
    else snprintf(line, sizeof line, "%s%d%s", what, (int)s->epoch, d->name);
    snprintf(d->text + strlen(d->text), sizeof d->text - strlen(d->text), "%s ", line);
    if (d->stop_at && !strncmp(line, d->stop_at, strlen(d->stop_at))) s->stop = true;
    return d->fail_at && !strncmp(line, d->fail_at, strlen(d->fail_at)) ? tl_report(TL_E_FILE, "the disk is full")
                                                                        : TL_OK;
}

static tl_status on_train_begin(tl_fit_state *s, void *ctx) { return note(ctx, s, "<"); }
static tl_status on_epoch_begin(tl_fit_state *s, void *ctx) { return note(ctx, s, "e"); }
static tl_status on_batch_end(tl_fit_state *s, void *ctx) { return note(ctx, s, "b"); }
static tl_status on_epoch_end(tl_fit_state *s, void *ctx) { return note(ctx, s, "E"); }
static tl_status on_train_end(tl_fit_state *s, void *ctx) { return note(ctx, s, ">"); }
static void on_free(void *ctx) { ((diary *)ctx)->freed++; }

static tl_callback writing(diary *d, bool last)
{
    return (tl_callback){ .name = "diary",
                          .ctx = d,
                          .train_begin = on_train_begin,
                          .epoch_begin = on_epoch_begin,
                          .batch_end = on_batch_end,
                          .epoch_end = on_epoch_end,
                          .train_end = on_train_end,
                          .free = on_free,
                          .last = last };
}

static const double flat[MOST] = { 8, 7, 6, 5, 4, 3, 2, 1 };

Test(callbacks, are_called_in_their_order_and_the_last_ones_last)
{
    stage a;
    diary d = { .name = "" };
    set_up(&a, flat, 2);
    GOOD(RUN(&a, 2, CALLBACKS(writing(&d, false))));
    cr_assert_str_eq(d.text, "< e0 b0.0 b0.1 E0 e1 b1.0 b1.1 E1 > ");
    cr_assert_eq(d.freed, 1);
    tear_down(&a);

    diary one = { .name = "x" }, two = { .name = "y" };
    char both[2048] = "";
    set_up(&a, flat, 1);
    (void)both;
    tl_callback c[] = { writing(&two, true), writing(&one, false) };
    two.stop_at = "E0";
    GOOD(RUN(&a, 3, .callbacks = c, .n_callbacks = 2));
    cr_assert_str_eq(one.text, "<x e0x b0.0x E0x >x ");
    cr_assert_str_eq(two.text, "<y e0y b0.0y E0y >y ");
    tear_down(&a);
}

static int64_t epochs_seen;
static tl_status look_at_history(tl_fit_state *s, void *ctx)
{
    (void)ctx;
    epochs_seen = tl_history_epochs(s->history);
    return TL_OK;
}

Test(callbacks, that_are_last_see_the_epoch_in_the_history_and_others_can_add_to_it)
{
    for (int last = 0; last < 2; last++) {
        stage a;
        set_up(&a, flat, 1);
        GOOD(RUN(&a, 3, CALLBACKS({ .name = "look", .epoch_end = look_at_history, .last = last }, { 0 })));
        cr_assert_eq(epochs_seen, 2 + last);
        tear_down(&a);
    }
}

Test(callbacks, may_stop_before_an_epoch_after_a_batch_and_after_an_epoch)
{
    static const struct {
        const char *at, *want;
        int rows, updates;
    } cases[] = { { "<", "< > ", 0, 0 },
                  { "e1", "< e0 b0.0 b0.1 E0 e1 > ", 1, 2 },
                  { "b1.0", "< e0 b0.0 b0.1 E0 e1 b1.0 > ", 1, 3 }, /* an epoch that is not whole is none */
                  { "b1.1", "< e0 b0.0 b0.1 E0 e1 b1.0 b1.1 > ", 1, 4 },
                  { "E1", "< e0 b0.0 b0.1 E0 e1 b1.0 b1.1 E1 > ", 2, 4 } };
    for (int k = 0; k < COUNT(cases); k++) {
        stage a;
        diary d = { .name = "", .stop_at = cases[k].at };
        set_up(&a, flat, 2);
        GOOD(RUN(&a, 4, CALLBACKS(writing(&d, false))));
        cr_assert_str_eq(d.text, cases[k].want, "%s: %s", cases[k].at, d.text);
        cr_assert_eq(tl_history_epochs(a.history), cases[k].rows);
        cr_assert_eq(updates_in(a.model), cases[k].updates);
        tear_down(&a);
    }
}

Test(callbacks, that_fail_stop_the_run_and_are_named)
{
    static const struct {
        const char *at, *want, *says;
        int rows;
    } cases[] = { { "<", "< ", "callback 1 (diary), before training: the disk", 0 },
                  { "e1", "< e0 b0.0 E0 e1 > ", "callback 1 (diary), at the beginning of epoch 2/3: the disk", 1 },
                  { "b1", "< e0 b0.0 E0 e1 b1.0 > ", "callback 1 (diary), after a batch of epoch 2/3: the disk", 1 },
                  { "E1", "< e0 b0.0 E0 e1 b1.0 E1 > ", "callback 1 (diary), at the end of epoch 2/3: the disk", 2 },
                  { ">", "< e0 b0.0 E0 e1 b1.0 E1 e2 b2.0 E2 > ", "callback 1 (diary), after training: the disk", 3 } };
    for (int k = 0; k < COUNT(cases); k++) {
        stage a;
        diary quiet = { .name = "" }, d = { .name = "", .fail_at = cases[k].at };
        set_up(&a, flat, 1);
        BAD(TL_E_FILE, cases[k].says, RUN(&a, 3, CALLBACKS(writing(&quiet, false), writing(&d, false))));
        cr_assert_str_eq(d.text, cases[k].want, "%s: %s", cases[k].at, d.text);
        cr_assert_eq(tl_history_epochs(a.history), cases[k].rows);
        cr_assert(quiet.freed == 1 && d.freed == 1);
        tear_down(&a);
    }
}

static tl_status fail_silently(tl_fit_state *s, void *ctx)
{
    (void)s, (void)ctx;
    return TL_E_STATE;
}

Test(callbacks, that_fail_without_a_word_get_the_words_of_their_status)
{
    stage a;
    set_up(&a, flat, 1);
    tl_report(TL_E_FILE, "an old sentence");
    BAD(TL_E_STATE, tl_status_string(TL_E_STATE), RUN(&a, 1, CALLBACKS({ .epoch_end = fail_silently }, { 0 })));
    cr_lacks(tl_message(), "old");
    tear_down(&a);
}

Test(callbacks, that_could_not_be_made_fail_the_run_and_all_are_freed)
{
    stage a;
    diary d = { .name = "" };
    set_up(&a, flat, 1);
    BAD(TL_E_ARGUMENT, "patience", RUN(&a, 1, CALLBACKS(writing(&d, false), tl_early_stopping(.patience = -1))));
    cr_assert_eq(d.freed, 1);
    BAD(TL_E_ARGUMENT, "path", RUN(&a, 1, CALLBACKS(tl_csv_log(NULL), { 0 })));
    BAD(TL_E_ARGUMENT, "vocabulary", RUN(&a, 1, CALLBACKS(tl_text_sample(NULL), { 0 })));
    BAD(TL_E_ARGUMENT, "factor", RUN(&a, 1, CALLBACKS(tl_reduce_lr(.plateau = { .factor = 2 }), { 0 })));
    BAD(TL_E_ARGUMENT, "either", RUN(&a, 1, CALLBACKS(tl_learning_rate(), { 0 })));
    tl_callback unused = tl_early_stopping(.patience = 2);
    tl_callback_free(&unused);
    tear_down(&a);
}

/* ---- losses that are not finite -------------------------------------------------------------------------------------- */

static const double broken[MOST] = { 5, 4, 4, 3, 3, 0.0 / 0.0, 2, 1 };

Test(nan, fails_and_names_line_epoch_and_batch)
{
    stage a;
    tl_early_stopping_result r;
    set_up(&a, broken, 2);
    BAD(TL_E_NONFINITE, "in epoch 3/4, batch 2/2: the loss of run 5 is nan",
        RUN(&a, 4, CALLBACKS(tl_early_stopping(.monitor = "loss", .restore_best = true, .result = &r), { 0 })));
    cr_has(tl_message(), AT_LINE(__LINE__ - 1));
    cr_assert_eq(tl_history_epochs(a.history), 2, "what was finished is there");
    cr_assert_eq(tl_history_value(a.history, "loss", 1), 3.5);
    cr_assert(r.best == 3.5 && r.best_epoch == 1);
    cr_assert_eq(updates_in(a.model), 4, "and so are the best weights");
    cr_assert_eq(state_of(a.model), 4, "and states");
    tear_down(&a);
}

Test(nan, ends_well_where_a_callback_says_so)
{
    stage a;
    diary d = { .name = "" };
    set_up(&a, broken, 2);
    GOOD(RUN(&a, 4, CALLBACKS(tl_nan_stop(), writing(&d, false))));
    cr_assert_eq(tl_history_epochs(a.history), 2);
    cr_assert_eq(updates_in(a.model), 5, "the step that failed changed nothing");
    cr_has(d.text, "b2.0 b2.1 > ");
    tear_down(&a);
}

/* ---- early stopping: decisions by hand (Keras' own are in the conformance suite) --------------------------------------- */

static int stops_after(const double *loss, int n, const tl_early_stopping_opts *o, int *kept)
{
    stage a;
    set_up(&a, loss, 1);
    GOOD(RUN(&a, n, CALLBACKS(tl_early_stopping_opt(o), { 0 })));
    const int epochs = (int)tl_history_epochs(a.history);
    *kept = updates_in(a.model);
    tear_down(&a);
    return epochs;
}
#define STOPS(loss, kept, ...)                                                                                         \
    stops_after(loss, COUNT(loss),                                                                                     \
                &(tl_early_stopping_opts){ .size = sizeof(tl_early_stopping_opts), .monitor = "loss", __VA_ARGS__ },   \
                kept)

Test(early_stopping, waits_as_long_as_it_is_told)
{
    const double loss[] = { 5, 4, 4.1, 3.95, 4.2, 4.3, 4.4, 1 };
    int kept;
    cr_assert_eq(STOPS(loss, &kept, .patience = 0), 3);
    cr_assert_eq(kept, 3);
    cr_assert_eq(STOPS(loss, &kept, .patience = 2), 6);
    cr_assert_eq(STOPS(loss, &kept, .patience = 2, .min_delta = 0.1), 4, "3.95 is not better by 0.1");
    cr_assert_eq(STOPS(loss, &kept, .patience = 2, .min_delta = -0.1), 4, "the sign does not matter");
    cr_assert_eq(STOPS(loss, &kept, .patience = 2, .restore_best = true), 6);
    cr_assert_eq(kept, 4, "the weights of epoch 3");
    cr_assert_eq(STOPS(loss, &kept, .patience = 4), 8);
    cr_assert_eq(STOPS(loss, &kept, .mode = TL_LARGER), 2);
    cr_assert_eq(STOPS(loss, &kept, .start_from_epoch = 4), 6);
}

Test(early_stopping, gives_back_the_best_weights_of_a_run_that_did_not_stop)
{
    const double loss[] = { 5, 2, 4 };
    int kept;
    cr_assert_eq(STOPS(loss, &kept, .patience = 5, .restore_best = true), 3);
    cr_assert_eq(kept, 2);
}

Test(early_stopping, runs_out_of_patience_as_long_as_the_baseline_is_not_beaten)
{
    const double loss[] = { 5, 4, 3.9, 3.8, 3.81, 3.82 };
    int kept;
    cr_assert_eq(STOPS(loss, &kept, .patience = 3), 6);
    cr_assert_eq(STOPS(loss, &kept, .patience = 3, .baseline = 1), 5, "as soon as it gets no better");
    cr_assert_eq(STOPS(loss, &kept, .patience = 3, .baseline = 4.5), 6);
}

Test(early_stopping, wants_a_monitor_that_is_there_and_has_a_direction)
{
    stage a;
    set_up(&a, flat, 1);
    BAD(TL_E_NAME, "no 'val_loss' to be monitored; there are - loss: 8.0000",
        RUN(&a, 2, CALLBACKS(tl_early_stopping(), { 0 })));
    BAD(TL_E_ARGUMENT, ".mode", RUN(&a, 2, CALLBACKS(tl_early_stopping(.monitor = "speed"), { 0 })));
    tear_down(&a);
}

/* ---- learning rates -------------------------------------------------------------------------------------------------- */

static double half(int64_t epoch, double lr, void *user) { return epoch ? lr / 2 : *(double *)user; }

Test(learning_rate, is_set_before_each_epoch_and_is_in_the_history)
{
    stage a;
    double first = 4;
    set_up(&a, flat, 1);
    GOOD(RUN(&a, 3, CALLBACKS(tl_learning_rate(.fn = half, .user = &first), { 0 })));
    const double *lr = tl_history_values(a.history, "learning_rate");
    cr_assert(lr && lr[0] == 4 && lr[1] == 2 && lr[2] == 1);
    cr_assert_eq(updates_in(a.model), 7);
    tear_down(&a);

    set_up(&a, flat, 1);
    GOOD(RUN(&a, 3, CALLBACKS(tl_learning_rate(.schedule = tl_exponential_decay(.factor = 0.5)), { 0 })));
    lr = tl_history_values(a.history, "learning_rate");
    cr_assert(lr && lr[0] == 1 && lr[1] == 0.5 && lr[2] == 0.25, "it starts from the optimizer's");
    tear_down(&a);

    first = -1;
    set_up(&a, flat, 1);
    BAD(TL_E_ARGUMENT, "callback 0 (learning_rate)",
        RUN(&a, 3, CALLBACKS(tl_learning_rate(.fn = half, .user = &first), { 0 })));
    tear_down(&a);
}

/* Where the rate follows a schedule already, before the first epoch. */
Test(callbacks, that_set_the_rate_cannot_where_it_follows_a_schedule)
{
    stage a;
    set_up(&a, flat, 1);
    for (int k = 0; k < 2; k++) {
        tl_callback one[] = { k ? tl_learning_rate(.schedule = tl_step_decay(.lr = 1))
                                : tl_reduce_lr(.monitor = "loss", .plateau = { .patience = 5 }) };
        BAD(TL_E_ARGUMENT, "before training: ",
            tl_fit(a.model, given_loss, a.data, .optimizer = tl_sgd(.lr = 1, .schedule = tl_step_decay()), .epochs = 1,
                   .callbacks = one, .n_callbacks = 1));
        cr_has(tl_message(), ".schedule");
    }
    BAD(TL_E_ARGUMENT, "'acuracy' is no metric of this run",
        RUN(&a, 1, CALLBACKS(tl_early_stopping(.monitor = "acuracy"), { 0 })));
    tear_down(&a);
}

Test(reduce_lr, lowers_the_rate_of_the_next_epoch)
{
    const double loss[] = { 5, 5, 5, 5 };
    stage a;
    set_up(&a, loss, 1);
    GOOD(RUN(&a, 4, CALLBACKS(tl_reduce_lr(.monitor = "loss", .plateau = { .patience = 1, .factor = 0.5 }), { 0 })));
    const double *lr = tl_history_values(a.history, "learning_rate");
    cr_assert(lr[0] == 1 && lr[1] == 1 && lr[2] == 0.5 && lr[3] == 0.25, "%g %g %g %g", lr[0], lr[1], lr[2], lr[3]);
    tear_down(&a);

    set_up(&a, loss, 1);
    GOOD(RUN(&a, 4,
             CALLBACKS(tl_reduce_lr(.monitor = "loss", .plateau = { .patience = 1, .factor = 0.5, .style = TL_TORCH }),
                       { 0 })));
    lr = tl_history_values(a.history, "learning_rate");
    cr_assert(lr[2] == 1 && lr[3] == 0.5, "PyTorch waits one epoch longer");
    tear_down(&a);
}

/* ---- csv ------------------------------------------------------------------------------------------------------------- */

static char path[64];

static void fresh_path(void)
{
    snprintf(path, sizeof path, "/tmp/tl_csv_%d", (int)getpid());
    unlink(path);
}

static void file_is(const char *want)
{
    tl_bytes b;
    GOOD(tl_file_read(path, &b));
    cr_assert_str_eq(b.data, want);
    tl_bytes_free(&b);
}

Test(csv_log, has_a_row_for_each_epoch_with_numbers_that_read_back)
{
    const double loss[] = { 1.0 / 3, 0.1, 1e-300, 12345678 };
    stage a;
    fresh_path();
    set_up(&a, loss, 1);
    GOOD(RUN(&a, 4, CALLBACKS(tl_csv_log(path, .separator = ';'), { 0 })));
    file_is("epoch;loss\n0;0.3333333333333333\n1;0.1\n2;1e-300\n3;12345678\n");
    GOOD(tl_history_write_csv(a.history, path));
    file_is("epoch,loss\n0,0.3333333333333333\n1,0.1\n2,1e-300\n3,12345678\n");
    unlink(path);
    tear_down(&a);
}

/* A log that comes in one epoch alone. */
static tl_status sometimes(tl_fit_state *s, void *ctx)
{
    const int64_t *when = ctx;
    return s->epoch == *when ? tl_fit_set_log(s, "extra", 1) : TL_OK;
}

Test(csv_log, has_the_columns_of_the_first_epoch)
{
    for (int64_t when = 0; when < 2; when++) {
        stage a;
        fresh_path();
        set_up(&a, flat, 1);
        GOOD(RUN(&a, 2, CALLBACKS({ .ctx = &when, .epoch_end = sometimes }, tl_csv_log(path))));
        file_is(when ? "epoch,loss\n0,8\n1,7\n" : "epoch,extra,loss\n0,1,8\n1,NA,7\n");
        GOOD(tl_history_write_csv(a.history, path));
        file_is(when ? "epoch,extra,loss\n0,NA,8\n1,1,7\n" : "epoch,extra,loss\n0,1,8\n1,NA,7\n");
        tear_down(&a);
    }
    unlink(path);
}

Test(csv_log, goes_on_where_a_file_was_left)
{
    stage a;
    fresh_path();
    set_up(&a, flat, 1);
    GOOD(RUN(&a, 3, CALLBACKS(tl_csv_log(path, .append = true), { 0 })));
    file_is("epoch,loss\n0,8\n1,7\n2,6\n");
    GOOD(RUN(&a, 4, .initial_epoch = 1, CALLBACKS(tl_csv_log(path, .append = true), { 0 })));
    file_is("epoch,loss\n0,8\n1,7\n2,6\n3,5\n");
    GOOD(RUN(&a, 2, .initial_epoch = 1, CALLBACKS(tl_csv_log(path, .append = true), { 0 })));
    file_is("epoch,loss\n0,8\n1,7\n");
    GOOD(RUN(&a, 1, CALLBACKS(tl_csv_log(path), { 0 })));
    file_is("epoch,loss\n0,8\n");
    GOOD(tl_file_write(path, "a,b\n1,2\n", 8));
    BAD(TL_E_FORMAT, path, RUN(&a, 1, CALLBACKS(tl_csv_log(path, .append = true), { 0 })));
    file_is("a,b\n1,2\n");
    unlink(path);
    BAD(TL_E_FILE, "/nowhere/log", RUN(&a, 1, CALLBACKS(tl_csv_log("/nowhere/log"), { 0 })));
    BAD(TL_E_FILE, "/dev/full", RUN(&a, 1, CALLBACKS(tl_csv_log("/dev/full"), { 0 })));
    tear_down(&a);
}

/* ---- text ------------------------------------------------------------------------------------------------------------ */

static tl_tensor next_symbol(tl_scope *s, const tl_tensor *in, void *user)
{
    const int64_t V = *(const int *)user;
    const tl_tensor x = tl_embedding(s, in[0], .vocab = V, .units = 8);
    const tl_tensor y = tl_dense(s, tl_lstm(s, x, .units = 16, .return_sequences = true, .stateful = true), .units = V);
    tl_output(s, "logits", y);
    return tl_cross_entropy(y, in[1]);
}

Test(text_sample, writes_what_the_model_has_learned)
{
    static const char text[] = "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc";
    int32_t ids[sizeof text];
    int64_t n;
    char *said = NULL;
    size_t size = 0;
    tl_vocab *v;
    tl_stream *stream;
    GOOD(tl_vocab_new(text, sizeof text - 1, &v));
    GOOD(tl_vocab_encode(v, text, sizeof text - 1, -1, ids, &n));
    GOOD(tl_stream_new(ids, n, 2, 8, &stream));
    int V = tl_vocab_size(v);
    tl_dataset *d = tl_dataset_of(tl_stream_source(stream));
    tl_model *m = tl_model_new(.seed = 1);
    FILE *out = open_memstream(&said, &size);
    GOOD(tl_fit(
        m, next_symbol, d, .user = &V, .epochs = 30, .optimizer = tl_adam(.lr = 0.03),
        CALLBACKS(tl_text_sample(v, .prompt = "ab", .length = 7, .every = 10, .temperature = TL_ZERO, .out = out),
                  { 0 })));
    fclose(out);
    int lines = 0;
    for (const char *p = said; *p; p++) lines += *p == '\n';
    cr_assert_eq(lines, 3);
    cr_assert_str_eq(said + size - 10, "abcabcabc\n");
    BAD(TL_E_INDEX, "text_sample",
        tl_fit(m, next_symbol, d, .user = &V, CALLBACKS(tl_text_sample(v, .prompt = "xyz"), { 0 })));
    free(said);
    tl_model_free(m);
    tl_dataset_free(d);
    tl_stream_free(stream);
    tl_vocab_free(v);
    cr_assert_eq(tl_live_bytes(), 0);
}

/* ---- the store ------------------------------------------------------------------------------------------------------- */

static tl_store *reopened(tl_store *from)
{
    int n, n_texts;
    const tl_named_array *arrays = tl_store_arrays(from, &n);
    const tl_named_text *texts = tl_store_texts(from, &n_texts);
    tl_store *to = tl_store_load(arrays, n, texts, n_texts);
    tl_store_free(from);
    return to;
}

typedef struct thing {
    double x, list[3];
    int64_t big, small;
    bool yes;
    const char *text, *none;
    tl_array a;
} thing;

static tl_status keep_thing(tl_store *s, thing *t)
{
    tl_store_enter(s, "a");
    tl_store_enter(s, "b");
    tl_store_number(s, "x", &t->x);
    tl_store_numbers(s, "list", t->list, 3);
    tl_store_leave(s);
    tl_store_whole(s, "x", &t->big);
    tl_store_leave(s);
    tl_store_enter(s, "c");
    tl_store_whole(s, "x", &t->small);
    tl_store_leave(s);
    tl_store_flag(s, "yes", &t->yes);
    tl_store_text(s, "text", &t->text);
    tl_store_text(s, "none", &t->none);
    return tl_store_array(s, "array", &t->a);
}

Test(store, gives_back_what_was_saved_to_the_bit)
{
    int32_t ids[6] = { 1, -2, 3, INT32_MAX, INT32_MIN, 0 };
    thing in = { .x = -0.0 / 0.0,
                 .list = { INFINITY, -0.0, 5e-324 },
                 .big = INT64_MIN,
                 .small = INT64_MAX,
                 .yes = true,
                 .text = "words\n\"é\"",
                 .a = IDS(ids, 2, 3) };
    thing out = { .none = "something" };
    tl_store *s = tl_store_new();
    cr_assert(!tl_store_loading(s));
    GOOD(keep_thing(s, &in));
    s = reopened(s);
    cr_assert(tl_store_loading(s));
    GOOD(keep_thing(s, &out));
    cr_assert(!memcmp(&in.x, &out.x, 8) && !memcmp(in.list, out.list, 24));
    cr_assert(out.big == INT64_MIN && out.small == INT64_MAX && out.yes);
    cr_assert_str_eq(out.text, in.text);
    cr_assert_null(out.none);
    cr_assert(out.a.rank == 2 && out.a.dim[1] == 3 && out.a.dtype == TL_I32 && !memcmp(out.a.data, ids, sizeof ids));
    tl_store_free(s);
    cr_assert_eq(tl_live_bytes(), 0);
}

Test(store, keeps_the_first_error)
{
    double x[2] = { 1, 2 };
    int64_t n = 7;
    tl_store *s = tl_store_new();
    GOOD(tl_store_numbers(s, "x", x, 2));
    GOOD(tl_store_text(s, "n", &(const char *){ "12x" }));
    s = reopened(s);
    BAD(TL_E_FORMAT, "x is not 1 numbers", tl_store_number(s, "x", x));
    cr_assert_eq(tl_store_numbers(s, "x", x, 2), TL_E_FORMAT);
    cr_assert_eq(tl_store_fail(s, TL_OK), TL_E_FORMAT);
    cr_assert_eq(tl_store_status(s), TL_E_FORMAT);
    int dummy, texts;
    const tl_named_array *arrays = tl_store_arrays(s, &dummy);
    tl_store *t = tl_store_load(arrays, dummy, tl_store_texts(s, &texts), 1);
    BAD(TL_E_FORMAT, "'12x'", tl_store_whole(t, "n", &n));
    cr_assert_eq(n, 7);
    tl_store *u = tl_store_load(arrays, dummy, NULL, 0);
    tl_store_enter(u, "deep");
    BAD(TL_E_NAME, "deep/x", tl_store_number(u, "x", x));
    tl_store_free(s);
    tl_store_free(t);
    tl_store_free(u);
    s = tl_store_new();
    for (int i = 0; i < 9; i++) tl_store_enter(s, "deep");
    cr_assert_eq(tl_store_status(s), TL_E_NAME);
    for (int i = 0; i < 12; i++) tl_store_leave(s);
    tl_store_free(s);
    cr_assert_eq(tl_live_bytes(), 0);
}

Test(store, keeps_models)
{
    stage a;
    set_up(&a, flat, 1);
    GOOD(RUN(&a, 3, .verbose = 1));
    tl_store *s = tl_store_new();
    tl_model *none = NULL, *made = NULL, *there = tl_model_new(.dtype = TL_F64);
    GOOD(tl_store_model(s, "m", &a.model));
    GOOD(tl_store_model(s, "none", &none));
    s = reopened(s);
    GOOD(tl_store_model(s, "m", &made));
    GOOD(tl_store_model(s, "m", &there));
    GOOD(tl_store_model(s, "none", &none));
    cr_assert(tl_model_dtype(made) == TL_F64 && updates_in(made) == 3 && state_of(made) == 3);
    cr_assert(updates_in(there) == 3 && state_of(there) == 3 && !none);
    tl_store_free(s);
    tl_model_free(made);
    tl_model_free(there);
    tear_down(&a);
}

Test(store, short_memory_is_an_error)
{
    stage a;
    set_up(&a, flat, 1);
    GOOD(RUN(&a, 3, .verbose = 1));
    for (uint64_t n = 1, done = 0; !done; n++) {
        thing t = { .text = "words", .list = { 1, 2, 3 } };
        double four[4] = { 0 };
        t.a = DOUBLES(four, 2, 2);
        tl_fail_allocation(n);
        tl_store *s = tl_store_new(), *back = NULL;
        tl_model *m = NULL;
        tl_status status = s ? keep_thing(s, &t) : TL_E_MEMORY;
        if (!status) status = tl_store_model(s, "m", &a.model);
        if (!status) status = tl_history_keep(a.history, s);
        if (!status) status = (back = reopened(s)) ? TL_OK : TL_E_MEMORY;
        else tl_store_free(s);
        if (!status) status = tl_store_model(back, "m", &m);
        if (!status) status = tl_history_keep(a.history, back);
        done = !status;
        tl_fail_allocation(0);
        cr_assert(!status || status == TL_E_MEMORY, "allocation %d: %s", (int)n, tl_message());
        tl_store_free(back);
        tl_model_free(m);
    }
    tear_down(&a);
}

/* ---- stopping and going on ------------------------------------------------------------------------------------------- */

/* Saves a run at one moment and stops it; or goes on from there. */
typedef struct saver {
    int64_t epoch, batch; /* -1: at the end of the epoch */
    tl_store *saved;
    bool loads;
} saver;

static tl_status keep_all(tl_fit_state *s, tl_store *store)
{
    tl_session *session = tl_trainer_session(s->trainer, TL_TRAIN);
    tl_optimizer *optimizer = tl_trainer_optimizer(s->trainer);
    int64_t runs = (int64_t)tl_session_runs(session);
    double lr = tl_optimizer_lr(optimizer);
    tl_store_whole(store, "runs", &runs);
    tl_store_number(store, "lr", &lr);
    tl_store_model(store, "model", &s->model);
    tl_session_set_runs(session, (uint64_t)runs);
    const tl_status status = tl_optimizer_set_lr(optimizer, lr);
    return status ? status : tl_fit_keep(s, store);
}

static tl_status save_here(tl_fit_state *s, saver *a, int64_t batch)
{
    if (a->loads || s->epoch != a->epoch || batch != a->batch) return TL_OK;
    a->saved = tl_store_new();
    s->stop = true;
    return keep_all(s, a->saved);
}

static tl_status save_batch(tl_fit_state *s, void *ctx) { return save_here(s, ctx, s->batch); }
static tl_status save_epoch(tl_fit_state *s, void *ctx) { return save_here(s, ctx, -1); }
static tl_status load_all(tl_fit_state *s, void *ctx)
{
    saver *a = ctx;
    return a->loads ? keep_all(s, a->saved) : TL_OK;
}

enum { ROWS = 10, EPOCHS = 8 };

static tl_tensor noisy(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor w = tl_param(s, "w", TL_SCALAR);
    const tl_tensor y = tl_mul(tl_dropout(s, in[0], .rate = 0.3), w);
    tl_output(s, "logits", y);
    return tl_mse(y, in[1]);
}

/* Ends with the model's only parameter; the store has the history, as it came to be. */
static double run_with(saver *a, tl_history **h)
{
    double x[ROWS], y[ROWS], w = NAN;
    for (int i = 0; i < ROWS; i++) x[i] = i % 4 - 1, y[i] = 1.5 * x[i] + i % 3;
    tl_model *m = tl_model_new(.dtype = TL_F64, .seed = 3);
    tl_dataset *d = tl_dataset_new();
    tl_dataset_rows(d, DOUBLES(x, ROWS, 1));
    tl_dataset_rows(d, DOUBLES(y, ROWS, 1));
    GOOD(tl_fit(m, noisy, d, .optimizer = tl_sgd(.lr = 0.1), .epochs = EPOCHS, .batch = 3, .validation_split = 0.2,
                .history = h, .metrics = (tl_metric_desc[]){ tl_mae_metric(), tl_r2_metric() }, .n_metrics = 2,
                CALLBACKS({ .name = "saver",
                            .ctx = a,
                            .train_begin = load_all,
                            .batch_end = save_batch,
                            .epoch_end = save_epoch,
                            .last = true },
                          tl_early_stopping(.patience = 3, .restore_best = true),
                          tl_reduce_lr(.monitor = "loss", .plateau = { .patience = 1, .factor = 0.5 }))));
    tl_array v = { .dtype = TL_F64, .data = &w };
    GOOD(tl_model_get(m, "w", &v));
    tl_dataset_free(d);
    tl_model_free(m);
    return w;
}

Test(keep, a_run_that_was_stopped_anywhere_ends_with_the_same_bits)
{
    saver never = { .epoch = -1 };
    tl_history *whole = NULL;
    const double w = run_with(&never, &whole);
    const int64_t epochs = tl_history_epochs(whole);
    cr_assert(epochs > 3 && epochs < EPOCHS, "it is to stop early: %d", (int)epochs);
    for (int64_t epoch = 0; epoch < epochs; epoch++)
        for (int64_t batch = -1; batch < 3; batch++) {
            saver a = { .epoch = epoch, .batch = batch };
            tl_history *h = NULL;
            run_with(&a, &h);
            tl_history_free(h);
            h = NULL;
            cr_assert(a.saved);
            a.saved = reopened(a.saved);
            a.loads = true;
            cr_assert_eq(run_with(&a, &h), w, "stopped in epoch %d, batch %d", (int)epoch, (int)batch);
            cr_assert_eq(tl_history_epochs(h), epochs);
            cr_assert_eq(tl_history_names(h), tl_history_names(whole));
            for (int k = 0; k < tl_history_names(h); k++) {
                const char *name = tl_history_name(h, k);
                cr_assert(!memcmp(tl_history_values(h, name), tl_history_values(whole, name), (size_t)epochs * 8), "%s",
                          name);
            }
            tl_history_free(h);
            tl_store_free(a.saved);
        }
    tl_history_free(whole);
    cr_assert_eq(tl_live_bytes(), 0);
}
