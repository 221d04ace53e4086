/* tests/test_resume.c - tl_checkpoint() and tl_fit(.resume): which files there are when, under which names, and runs that go
 * on from them. */
#include "data_support.h"

#include <errno.h>
#include <math.h>

#include "tapeloop.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))
#define GOOD(call)                                                                                                     \
    do {                                                                                                               \
        const tl_status status_ = (call);                                                                              \
        cr_assert(!status_, "%s: %s", #call, tl_message());                                                            \
    } while (0)

/* ---- a run with everything in it -------------------------------------------------------------------------------- */

enum { N = 22, T = 3, V = 5, BATCH = 4, EPOCHS = 5, BATCHES = 5 }; /* 17 samples to train on, 5 to validate */

static tl_tensor network(tl_scope *s, const tl_tensor *in, void *user)
{
    tl_tensor x = tl_embedding(s, in[0], .vocab = V, .units = 3);
    x = tl_gru(s, tl_dropout(s, x, .rate = 0.4), .units = user ? *(int *)user : 4);
    x = tl_batch_norm(s, x);
    const tl_tensor z = tl_dense(s, x, .units = V);
    tl_output(s, "logits", z);
    return tl_cross_entropy(z, in[1]);
}

static tl_dataset *samples(void)
{
    static int32_t x[N * T], y[N];
    for (int i = 0; i < N * T; i++) x[i] = (i * i + i / 7) % V;
    for (int i = 0; i < N; i++) y[i] = (x[i * T] + x[i * T + 2]) % V;
    tl_dataset *d = tl_dataset_new();
    tl_dataset_sequences(d, tl_array_of(TL_I32, TL_DIMS(N, T), x));
    tl_dataset_rows(d, tl_array_of(TL_I32, TL_DIMS(N), y));
    return d;
}

/* Ends a run after so many batches of it, as a kill would: an error, of which the last file knows nothing. */
typedef struct killer {
    int batches;
    bool at_epoch_end; /* after the epoch's callbacks in which they are over, before that */
} killer;

static tl_status kill_in_batch(tl_fit_state *s, void *ctx)
{
    killer *k = ctx;
    (void)s;
    return --k->batches == 0 && !k->at_epoch_end ? tl_report(TL_E_CHECK, "killed") : TL_OK;
}

static tl_status kill_in_epoch(tl_fit_state *s, void *ctx)
{
    killer *k = ctx;
    (void)s;
    return k->batches <= 0 ? tl_report(TL_E_CHECK, "killed") : TL_OK;
}

typedef struct outcome {
    tl_status status;
    tl_model *model;
    tl_history *history;
    tl_early_stopping_result stopped;
} outcome;

static void drop(outcome *o)
{
    tl_model_free(o->model);
    tl_history_free(o->history);
    *o = (outcome){ 0 };
}

/* The call that is interrupted, and made again. savers: callbacks to put before the one that kills. */
static outcome fit(tl_callback *saver, int n_savers, killer kill, const char *resume)
{
    outcome o = { .model = tl_model_new(.seed = 3) };
    tl_dataset *data = samples();
    tl_callback callbacks[6] = {
        tl_early_stopping(.monitor = "val_accuracy", .patience = 2, .restore_best = true, .result = &o.stopped),
        tl_reduce_lr(.monitor = "loss", .plateau = { .patience = 1, .min_delta = 0.05, .factor = 0.5 }),
    };
    int n = 2;
    for (int i = 0; i < n_savers; i++) callbacks[n++] = saver[i];
    callbacks[n++] = (tl_callback){
        .name = "killer", .ctx = &kill, .batch_end = kill_in_batch, .epoch_end = kill_in_epoch, .last = true
    };
    o.status = tl_fit(o.model, network, data, .optimizer = tl_adam(.lr = 0.05), .epochs = EPOCHS, .batch = BATCH,
                      .clip_norm = 1, .validation_split = 0.2, .metrics = (tl_metric_desc[]){ tl_accuracy() },
                      .n_metrics = 1, .callbacks = callbacks, .n_callbacks = n, .history = &o.history,
                      .resume = resume);
    tl_dataset_free(data);
    return o;
}

static const killer never = { .batches = 1 << 30 };

static void same(const outcome *a, const outcome *b, const char *when)
{
    cr_assert(!a->status && !b->status, "%s: %s", when, tl_message());
    EQUAL(tl_model_size(a->model), tl_model_size(b->model));
    cr_assert(!memcmp(tl_model_values(a->model), tl_model_values(b->model), (size_t)tl_model_size(a->model) * 4),
              "%s: parameters", when);
    EQUAL(tl_model_states(a->model), tl_model_states(b->model));
    for (int i = 0; i < tl_model_states(a->model); i++) {
        const char *name;
        tl_array p, q;
        GOOD(tl_model_state_value(a->model, i, &name, &p));
        GOOD(tl_model_state_value(b->model, i, &name, &q));
        cr_assert(!memcmp(p.data, q.data, (size_t)p.dim[0] * 4), "%s: state %s", when, name);
    }
    EQUAL(tl_history_names(a->history), tl_history_names(b->history));
    EQUAL(tl_history_epochs(a->history), tl_history_epochs(b->history));
    for (int k = 0; k < tl_history_names(a->history); k++) {
        const char *name = tl_history_name(a->history, k);
        const double *p = tl_history_values(a->history, name), *q = tl_history_values(b->history, name);
        cr_assert(q && !memcmp(p, q, (size_t)tl_history_epochs(a->history) * sizeof *p), "%s: %s", when, name);
    }
    cr_assert(a->stopped.best == b->stopped.best && a->stopped.best_epoch == b->stopped.best_epoch &&
                  a->stopped.stopped_epoch == b->stopped.stopped_epoch,
              "%s: early stopping", when);
}

/* ---- resuming --------------------------------------------------------------------------------------------------- */

/* Killed after any batch, then after any batch of what is left, with files of every kind of age. */
Test(resume, ends_with_the_bits_of_a_run_that_was_never_stopped)
{
    enter();
    outcome whole = fit(NULL, 0, never, NULL);
    GOOD(whole.status);
    const int64_t epochs = tl_history_epochs(whole.history);
    cr_assert(epochs > 2, "%d epochs", (int)epochs);
    for (int age = 1; age <= 3; age++)
        for (int k = 1; k <= epochs * BATCHES; k += age == 1 ? 1 : 4)
            for (int end = k % 2; end < 2; end += 2) {
                tl_callback saver[] = { tl_checkpoint("f", .every_batches = age),
                                        tl_checkpoint("f", .every_batches = age),
                                        tl_checkpoint("f", .every_batches = age) };
                unlink("f");
                outcome first = fit(&saver[0], 1, (killer){ k, end }, "f");
                EQUAL(first.status, TL_E_CHECK);
                outcome second = fit(&saver[1], 1, (killer){ 1 + k % 3, !end }, "f");
                outcome third = fit(&saver[2], 1, never, "f");
                char when[64];
                snprintf(when, sizeof when, "killed after %d batches, files every %d", k, age);
                same(&whole, &third, when);
                drop(&first);
                drop(&second);
                drop(&third);
            }
    EQUAL(files_here(), 1);
    drop(&whole);
    leave();
}

Test(resume, from_files_of_epochs_too)
{
    enter();
    outcome whole = fit(NULL, 0, never, NULL);
    for (int k = 1; k <= tl_history_epochs(whole.history) * BATCHES; k += 2)
        for (int every = 1; every < 3; every++) {
            tl_callback saver[] = { tl_checkpoint("f", .every = every), tl_checkpoint("f", .every = every) };
            unlink("f");
            outcome first = fit(&saver[0], 1, (killer){ k, false }, "f");
            EQUAL(first.status, TL_E_CHECK);
            EQUAL(!access("f", F_OK), k > every * BATCHES);
            outcome second = fit(&saver[1], 1, never, "f");
            same(&whole, &second, "resumed from an epoch's file");
            drop(&first);
            drop(&second);
        }
    drop(&whole);
    leave();
}

/* A run that is over stays over: its file holds the end. */
Test(resume, of_a_run_that_is_over_changes_nothing)
{
    enter();
    outcome whole = fit(NULL, 0, never, NULL);
    for (int i = 0; i < 3; i++) {
        tl_callback saver = tl_checkpoint("f");
        outcome again = fit(&saver, 1, never, "f");
        same(&whole, &again, "over");
        drop(&again);
    }
    drop(&whole);
    leave();
}

/* ---- refused ---------------------------------------------------------------------------------------------------- */

static tl_status fit_other(tl_model *m, int units, tl_callback *callbacks, int n, const tl_metric_desc *metrics,
                           double lr_beta)
{
    tl_dataset *data = samples();
    const tl_status status = tl_fit(m, network, data, .user = &units, .optimizer = tl_adam(.beta1 = lr_beta),
                                    .batch = BATCH, .epochs = 2, .callbacks = callbacks, .n_callbacks = n,
                                    .metrics = metrics, .n_metrics = metrics != NULL, .resume = "f");
    tl_dataset_free(data);
    return status;
}

Test(resume, of_another_model_optimizer_or_run_is_refused)
{
    enter();
    for (int i = 0; i < 5; i++) {
        tl_callback saver = tl_checkpoint("f");
        tl_model *m = tl_model_new(.seed = 3);
        if (!i) GOOD(fit_other(m, 4, &saver, 1, NULL, 0.9));
        if (i == 1) {
            EQUAL(fit_other(m, 6, &saver, 1, NULL, 0.9), TL_E_SHAPE);
            says("test_resume.c");
            says("f: parameter gru/z/W is [3,4] in the checkpoint, but [3,6] here");
        }
        if (i == 2) {
            EQUAL(fit_other(m, 4, &saver, 1, NULL, 0.8), TL_E_ARGUMENT);
            says("another .beta1: 0.9, not 0.8");
        }
        if (i == 3) {
            EQUAL(fit_other(m, 4, &saver, 1, (tl_metric_desc[]){ tl_accuracy() }, 0.9), TL_E_NAME);
            says("metric/accuracy");
        }
        if (i == 4) { /* of one callback more: it has learned nothing */
            tl_callback two[] = { tl_early_stopping(.monitor = "loss"), saver };
            cr_assert(fit_other(m, 4, two, 2, NULL, 0.9));
            says("callback");
        }
        tl_model_free(m);
    }
    leave();
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

/* What Python makes of the same formats for epoch 3 (from 1), batch 5 and these logs. */
Test(checkpoint_callback, names_files_as_python_formats_do)
{
    enter();
    tl_dataset *data = samples();
    tl_model *m = tl_model_new(.seed = 3);
    tl_history *h = NULL;
    static const char *const pattern[] = { "a{epoch:02d}",  "b{epoch}-{batch:4d}", "c{{{epoch:d}}}",
                                           "d{epoch:.1f}",  "e{loss:.3f}",         "f{loss}",
                                           "g{loss:09.2e}", "h{loss:.3g}" };
    tl_callback c[COUNT(pattern)];
    for (int i = 0; i < COUNT(pattern); i++) c[i] = tl_checkpoint(pattern[i], .weights_only = true, .every = 3);
    GOOD(tl_fit(m, network, data, .batch = BATCH, .epochs = 3, .callbacks = c, .n_callbacks = COUNT(pattern),
                .history = &h));
    const double loss = tl_history_value(h, "loss", 2);
    char want[COUNT(pattern)][64] = { "a03", "b3-   6", "c{3}", "d3.0" };
    snprintf(want[4], 64, "e%.3f", loss);
    snprintf(want[6], 64, "g%09.2e", loss);
    snprintf(want[7], 64, "h%.3g", loss);
    for (int digits = 1; digits < 18; digits++) { /* as few as tell the number */
        snprintf(want[5], 64, "f%.*g", digits, loss);
        if (strtod(want[5] + 1, NULL) == loss) break;
    }
    for (int i = 0; i < COUNT(pattern); i++) cr_assert(!access(want[i], R_OK), "no %s", want[i]);
    EQUAL(files_here(), COUNT(pattern));
    tl_model *loaded = tl_model_new();
    GOOD(tl_model_load(loaded, "a03"));
    EQUAL(tl_model_size(loaded), tl_model_size(m));
    tl_model_free(loaded);
    tl_model_free(m);
    tl_history_free(h);
    tl_dataset_free(data);
    leave();
}

static void refuses(const char *path, const char *words)
{
    tl_callback c = tl_checkpoint(path);
    EQUAL(c.status, TL_E_ARGUMENT);
    says(words);
    tl_callback_free(&c);
}

Test(checkpoint_callback, refuses_what_makes_no_sense)
{
    enter();
    refuses("", "no path");
    refuses(NULL, "no path");
    refuses("a{epoch", "without a partner");
    refuses("a{}", "without a partner");
    refuses("a}", "without its {");
    refuses("a{epoch:s}", "{epoch:s}");
    refuses("a{epoch:02.3d}", "{epoch:02.3d}");
    refuses("a{loss:d}", "{loss:d}");
    refuses("a{loss:1000f}", "{loss:1000f}");
    refuses("a{loss:*f}", "{loss:*f}");
    refuses("a{loss:%n}", "{loss:%n}");
    refuses("a{loss:.f}", "{loss:.f}");
    tl_callback c = tl_checkpoint("a", .every = 1, .every_batches = 1);
    EQUAL(c.status, TL_E_ARGUMENT);
    c = tl_checkpoint("a", .every_batches = 1, .best_only = true);
    EQUAL(c.status, TL_E_ARGUMENT);
    c = tl_checkpoint("a", .keep = -1);
    EQUAL(c.status, TL_E_ARGUMENT);
    c = tl_checkpoint("a{val_loss:.2f}"); /* there is no validation */
    tl_dataset *data = samples();
    tl_model *m = tl_model_new();
    EQUAL(tl_fit(m, network, data, .callbacks = &c, .n_callbacks = 1), TL_E_NAME);
    says("there is no 'val_loss' for the name of the file; there are - loss: ");
    c = tl_checkpoint("a", .best_only = true);
    EQUAL(tl_fit(m, network, data, .callbacks = &c, .n_callbacks = 1), TL_E_NAME);
    says("val_loss");
    EQUAL(files_here(), 0);
    tl_dataset_free(data);
    tl_model_free(m);
    leave();
}

/* ---- which files ------------------------------------------------------------------------------------------------ */

/* A log of the test's own making, before the savers look. */
static tl_status set_score(tl_fit_state *s, void *ctx)
{
    return tl_fit_set_log(s, "score", ((const double *)ctx)[s->epoch]);
}

static void run_with_scores(const double *score, int epochs, tl_callback saver, killer kill, const char *resume)
{
    tl_dataset *data = samples();
    tl_model *m = tl_model_new();
    tl_callback c[] = {
        { .name = "score", .ctx = (void *)(uintptr_t)score, .epoch_end = set_score },
        saver,
        { .name = "killer", .ctx = &kill, .epoch_end = kill_in_epoch, .batch_end = kill_in_batch, .last = true }
    };
    const tl_status status = tl_fit(m, network, data, .batch = 11, .epochs = epochs, .callbacks = c, .n_callbacks = 3,
                                    .resume = resume);
    cr_assert(!status || kill.batches < 1000, "%s", tl_message());
    tl_dataset_free(data);
    tl_model_free(m);
}

/* The names of all files, sorted, each followed by a blank. */
static const char *listing(void)
{
    static char text[512];
    FILE *p = popen("ls | tr '\\n' ' '", "r");
    text[fread(text, 1, sizeof text - 1, p)] = 0;
    pclose(p);
    (void)!system("rm -f *");
    return text;
}

static void lists(const char *want)
{
    const char *got = listing();
    cr_assert(!strcmp(got, want), "'%s', not '%s'", got, want);
}

/* By Keras' rule: better than ever before, strictly. */
Test(checkpoint_callback, keeps_the_best)
{
    static const double score[] = { 3, 4, 4, NAN, 2, 5 };
    enter();
    run_with_scores(score, 6, tl_checkpoint("{epoch}", .best_only = true, .monitor = "score", .mode = TL_LARGER), never,
                    NULL);
    lists("1 2 6 ");
    run_with_scores(score, 6, tl_checkpoint("{epoch}", .best_only = true, .monitor = "score", .mode = TL_SMALLER),
                    never, NULL);
    lists("1 5 ");
    run_with_scores(score, 6,
                    tl_checkpoint("{epoch}", .best_only = true, .monitor = "score", .mode = TL_SMALLER, .threshold = 3),
                    never, NULL);
    lists("5 ");
    run_with_scores(score, 6,
                    tl_checkpoint("{epoch}", .best_only = true, .monitor = "score", .mode = TL_LARGER, .keep = 1),
                    never, NULL);
    lists("6 ");
    run_with_scores(score, 6,
                    tl_checkpoint("{epoch}", .best_only = true, .monitor = "score", .mode = TL_LARGER, .every = 2),
                    never, NULL);
    lists("2 6 ");
    run_with_scores(score, 6, tl_checkpoint("best", .best_only = true, .monitor = "score", .mode = TL_LARGER), never,
                    NULL);
    lists("best ");
    leave();
}

Test(checkpoint_callback, keeps_the_last_few)
{
    static const double none[9];
    enter();
    run_with_scores(none, 5, tl_checkpoint("{epoch}"), never, NULL);
    lists("1 2 3 4 5 ");
    run_with_scores(none, 5, tl_checkpoint("{epoch}", .every = 2), never, NULL);
    lists("2 4 ");
    run_with_scores(none, 5, tl_checkpoint("{epoch}", .keep = 2), never, NULL);
    lists("4 5 ");
    run_with_scores(none, 3, tl_checkpoint("{epoch}-{batch}", .every_batches = 3), never, NULL); /* 2 in an epoch */
    lists("2-1 3-2 ");
    leave();
}

/* What was counted before the run was killed is known after it. */
Test(checkpoint_callback, goes_on_where_it_was)
{
    static const double score[] = { 3, 9, 4, 2, 5, 6, 7 };
    enter();
    run_with_scores(score, 7, tl_checkpoint("{epoch}", .keep = 2), (killer){ 8, true }, NULL); /* after 4 epochs */
    run_with_scores(score, 7, tl_checkpoint("{epoch}", .keep = 2), never, "4");
    lists("6 7 ");
    tl_callback saver[2];
    for (int i = 0; i < 2; i++)
        saver[i] = tl_checkpoint("{epoch}", .best_only = true, .monitor = "score", .mode = TL_LARGER);
    run_with_scores(score, 7, saver[0], (killer){ 6, true }, NULL); /* after 3 */
    run_with_scores(score, 7, saver[1], never, "2");
    lists("1 2 ");
    leave();
}

/* Two savers: each one's file knows what the other has just decided. */
Test(checkpoint_callback, two_know_of_each_other)
{
    static const double score[] = { 3, 9, 4, 2, 5, 6, 7 };
    enter();
    for (int i = 0; i < 2; i++) {
        tl_dataset *data = samples();
        tl_model *m = tl_model_new();
        killer kill = { 4, true }; /* after 2 epochs */
        tl_callback c[] = {
            { .name = "score", .ctx = (void *)(uintptr_t)score, .epoch_end = set_score },
            tl_checkpoint("last"),
            tl_checkpoint("best{epoch}", .best_only = true, .monitor = "score", .mode = TL_LARGER, .keep = 1),
            { .name = "killer", .ctx = &kill, .epoch_end = kill_in_epoch, .batch_end = kill_in_batch, .last = true }
        };
        if (i) kill = never;
        tl_fit(m, network, data, .batch = 11, .epochs = 7, .callbacks = c, .n_callbacks = 4, .resume = "last");
        tl_dataset_free(data);
        tl_model_free(m);
    }
    lists("best2 last ");
    leave();
}

/* ---- failures --------------------------------------------------------------------------------------------------- */

static int writes_left;
static int disk_full(tl_file_op op, const char *path)
{
    (void)path;
    return op == TL_FILE_WRITE && writes_left-- <= 0 ? ENOSPC : 0;
}

/* A full disk ends the run, with the model as it is; and the run goes on from the old file when there is room. */
Test(checkpoint_callback, that_cannot_write_fails_the_run_and_loses_nothing)
{
    enter();
    outcome whole = fit(NULL, 0, never, NULL);
    tl_callback saver[] = { tl_checkpoint("f", .every_batches = 1), tl_checkpoint("f", .every_batches = 1) };
    writes_left = 400;
    tl_file_hook = disk_full;
    outcome first = fit(&saver[0], 1, never, "f");
    tl_file_hook = NULL;
    EQUAL(first.status, TL_E_FILE);
    says("test_resume.c");
    says("callback 2 (checkpoint), after a batch of epoch ");
    says("f: write: No space left on device");
    cr_assert(tl_model_count(first.model) && files_here() == 1);
    outcome second = fit(&saver[1], 1, never, "f");
    same(&whole, &second, "after a full disk");
    drop(&first);
    drop(&second);
    drop(&whole);
    leave();
}
