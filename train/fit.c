/* train/fit.c - training over epochs, with validation, metrics, callbacks and a history. */
#include "train/checkpoint.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

enum { SILENT, MOVING, BRIEF };

typedef struct tl_fit_inner {
    tl_fit_state state;
    const tl_fit_opts *o;
    tl_trainer *own;      /* the trainer, where none was given */
    tl_dataset *split[2]; /* for training and validation, if they are views of the data */
    tl_loader *loader, *validation;
    tl_pass pass, validated; /* over the one and the other */
    tl_history *history;     /* where the caller wants none */
    tl_named_number *logs;
    int room;
    int64_t next_epoch, next_batch; /* where a run that is saved now goes on */
    char line[160];                 /* the caller's */
    tl_progress shown;
} run;

/* ---- words -------------------------------------------------------------------------------------------------- */

/* "prog.c:12: in epoch 3/25, batch 17/782: " and what was wrong. */
static tl_status in_batch(const run *r, tl_status status)
{
    const tl_fit_state *s = &r->state;
    char of[32] = "";
    if (!status) return TL_OK;
    if (s->batches > 0) snprintf(of, sizeof of, "/%lld", (long long)s->batches);
    return tl_report(status, "%sin epoch %lld/%lld, batch %lld%s: %s", r->line, (long long)s->epoch + 1,
                     (long long)s->epochs, (long long)s->batch + 1, of, tl_message());
}

static tl_status in_validation(const run *r, tl_status status, int64_t batch)
{
    if (!status) return TL_OK;
    return tl_report(status, "%sin the validation of epoch %lld/%lld, batch %lld: %s", r->line,
                     (long long)r->state.epoch + 1, (long long)r->state.epochs, (long long)batch + 1, tl_message());
}

static tl_status in_call(const run *r, tl_status status)
{
    return status ? tl_report(status, "%stl_fit: %s", r->line, tl_message()) : TL_OK;
}

/* ---- callbacks ---------------------------------------------------------------------------------------------- */

typedef enum moment { TRAIN_BEGIN, EPOCH_BEGIN, BATCH_END, EPOCH_END, TRAIN_END } moment;
typedef tl_status (*hook)(tl_fit_state *state, void *ctx);

static hook hook_of(const tl_callback *c, moment when)
{
    const hook all[] = { c->train_begin, c->epoch_begin, c->batch_end, c->epoch_end, c->train_end };
    return all[when];
}

static tl_status callback_failed(const run *r, int i, moment when, tl_status status)
{
    static const char *const words[] = { "before training", "at the beginning of epoch", "after a batch of epoch",
                                         "at the end of epoch", "after training" };
    const char *name = r->state.callbacks[i].name, *said = tl_message();
    char epoch[48] = "";
    if (when != TRAIN_BEGIN && when != TRAIN_END)
        snprintf(epoch, sizeof epoch, " %lld/%lld", (long long)r->state.epoch + 1, (long long)r->state.epochs);
    return tl_report(status, "%scallback %d (%s), %s%s: %s", r->line, i, name ? name : "without a name", words[when],
                     epoch, *said ? said : tl_status_string(status));
}

/* Those that are `last`, or those that are not. After training all are called, whatever happens; the first failure is
 * returned. */
static tl_status call(run *r, moment when, bool last)
{
    tl_status first = TL_OK;
    for (int i = 0; i < r->state.n_callbacks && (!first || when == TRAIN_END); i++) {
        const tl_callback *c = &r->state.callbacks[i];
        const hook f = hook_of(c, when);
        if (!f || c->last != last) continue;
        tl_report(TL_OK, "%s", "");
        const tl_status status = f(&r->state, c->ctx);
        if (status && !first) first = callback_failed(r, i, when, status);
    }
    return first;
}

static tl_status call_all(run *r, moment when)
{
    const tl_status first = call(r, when, false);
    const tl_status second = first && when != TRAIN_END ? TL_OK : call(r, when, true);
    return first ? first : second;
}

static bool has_hook(const run *r, moment when)
{
    for (int i = 0; i < r->state.n_callbacks; i++)
        if (hook_of(&r->state.callbacks[i], when)) return true;
    return false;
}

void tl_callback_free(tl_callback *c)
{
    if (!c) return;
    if (c->free) c->free(c->ctx);
    *c = (tl_callback){ 0 };
}

/* ---- logs --------------------------------------------------------------------------------------------------- */

double tl_fit_log(const tl_fit_state *s, const char *name)
{
    for (int k = 0; k < s->n_logs; k++)
        if (!strcmp(s->logs[k].name, name)) return s->logs[k].value;
    return NAN;
}

const tl_metric *tl_fit_metric(const tl_fit_state *s, const char *name)
{
    const tl_pass *p = s->inner ? &s->inner->pass : NULL;
    for (int k = 0; p && k < p->n; k++)
        if (!strcmp(tl_metric_options(p->metric[k]).name, name)) return p->metric[k];
    return NULL;
}

static tl_status reserve_logs(run *r, int n)
{
    if (n <= r->room) return TL_OK;
    tl_named_number *logs = tl_resize(r->logs, (size_t)r->room * sizeof *logs, ((size_t)n + 8) * sizeof *logs);
    if (!logs) return tl_report(TL_E_MEMORY, "out of memory for the logs of an epoch");
    r->state.logs = r->logs = logs;
    r->room = n + 8;
    return TL_OK;
}

tl_status tl_fit_set_log(tl_fit_state *s, const char *name, double value)
{
    run *r = s->inner;
    if (strlen(name) >= sizeof r->logs->name) return tl_report(TL_E_NAME, "the name '%s' is too long for a log", name);
    const tl_status status = reserve_logs(r, s->n_logs + 1);
    if (status) return status;
    int k = 0;
    while (k < s->n_logs && strcmp(r->logs[k].name, name) < 0) k++;
    if (k == s->n_logs || strcmp(r->logs[k].name, name)) {
        memmove(r->logs + k + 1, r->logs + k, (size_t)(s->n_logs++ - k) * sizeof *r->logs);
        snprintf(r->logs[k].name, sizeof r->logs[k].name, "%s", name);
    }
    r->logs[k].value = value;
    return TL_OK;
}

static tl_status log_pass(run *r, tl_pass *p, const char *prefix)
{
    tl_status status = TL_OK;
    tl_pass_results(p, prefix);
    for (int k = 0; !status && k <= p->n; k++)
        status = tl_fit_set_log(&r->state, p->results[k].name, p->results[k].value);
    return status;
}

/* ---- an epoch ----------------------------------------------------------------------------------------------- */

/* A batch whose loss is not finite: a callback may say that the run is to end well. */
static tl_status not_finite(run *r, tl_status status)
{
    r->state.status = in_batch(r, status);
    char said[1024];
    snprintf(said, sizeof said, "%s", tl_message());
    const tl_status called = call_all(r, BATCH_END);
    r->state.status = TL_OK;
    if (called || r->state.stop) return called;
    return tl_report(status, "%s", said);
}

static tl_status one_batch(run *r, const tl_batch *b)
{
    tl_fit_state *s = &r->state;
    double loss;
    tl_status status = tl_train_step(s->trainer, b->in, b->n, &loss);
    if (status == TL_E_NONFINITE) return not_finite(r, status);
    if (!status) status = tl_pass_add(&r->pass, s->trainer, TL_TRAIN, b->samples, loss);
    if (status) return in_batch(r, status);
    s->samples = r->pass.samples;
    r->next_batch = s->batch + 1;
    tl_pass_show(&r->pass, &r->shown, r->next_batch);
    if (!has_hook(r, BATCH_END)) return TL_OK;
    s->n_logs = 0;
    status = log_pass(r, &r->pass, "");
    return status ? in_batch(r, status) : call_all(r, BATCH_END);
}

/* From state.batch to the end of the epoch, or until somebody says stop. */
static tl_status all_batches(run *r)
{
    tl_fit_state *s = &r->state;
    tl_status status = in_batch(r, tl_loader_start(r->loader, (uint64_t)s->epoch, s->batch));
    while (!status && !s->stop) {
        tl_batch b;
        status = in_batch(r, tl_loader_next(r->loader, &b));
        if (status || !b.samples) break;
        status = one_batch(r, &b);
        s->batch = r->next_batch;
    }
    if (!status && !s->stop && !r->pass.samples)
        status = tl_report(TL_E_ARGUMENT, "%sin epoch %lld: there are no samples", r->line, (long long)s->epoch + 1);
    return status;
}

static tl_status validate(run *r)
{
    const int64_t every = tl_whole(r->o->validation_every, 1);
    if (!r->validation || (r->state.epoch + 1) % every) return TL_OK;
    int64_t batch = 0;
    tl_status status = tl_pass_run(&r->validated, r->state.trainer, r->validation, NULL, &batch);
    if (!status) status = log_pass(r, &r->validated, "val_");
    return in_validation(r, status, batch);
}

/* Everything that comes before the first batch of an epoch; not when a run goes on in its midst. */
static tl_status begin_epoch(run *r)
{
    tl_pass_reset(&r->pass);
    r->state.samples = 0;
    r->state.n_logs = 0;
    r->next_epoch = r->state.epoch;
    r->next_batch = 0;
    if (!r->o->keep_states) tl_session_reset(tl_trainer_session(r->state.trainer, TL_TRAIN));
    return call_all(r, EPOCH_BEGIN);
}

/* Logs and validation, the line, callbacks and history. */
static tl_status end_epoch(run *r)
{
    tl_fit_state *s = &r->state;
    char words[512];
    s->n_logs = 0;
    tl_status status = in_call(r, log_pass(r, &r->pass, ""));
    if (!status) status = validate(r);
    if (status) return status;
    tl_log_words(s->logs, s->n_logs, words, sizeof words);
    tl_progress_end(&r->shown, words);
    r->next_epoch = s->epoch + 1;
    r->next_batch = 0;
    status = call(r, EPOCH_END, false);
    const tl_status told = in_call(r, tl_history_add(s->history, s->epoch, s->logs, s->n_logs));
    if (!status) status = told;
    if (!status) status = call(r, EPOCH_END, true);
    s->epoch++;
    s->batch = 0;
    return status;
}

static tl_status one_epoch(run *r)
{
    tl_fit_state *s = &r->state;
    FILE *out = r->o->verbose == TL_ZERO ? NULL : s->out;
    tl_status status = s->batch > 0 ? TL_OK : begin_epoch(r);
    if (status || s->stop) return status;
    if (out) fprintf(out, "Epoch %lld/%lld\n", (long long)s->epoch + 1, (long long)s->epochs);
    r->shown = tl_progress_steps(out, s->batches, s->verbose == BRIEF);
    status = all_batches(r);
    if (status || s->stop) {
        if (out && r->shown.terminal) fputc('\n', out);
        return status;
    }
    return end_epoch(r);
}

/* ---- a run -------------------------------------------------------------------------------------------------- */

/* From the caller's checkpoint, if that file is there. */
static tl_status resume(run *r)
{
    tl_batch first;
    if (!r->o->resume || (access(r->o->resume, F_OK) && errno == ENOENT)) return TL_OK;
    tl_status status = tl_loader_start(r->loader, (uint64_t)r->state.epoch, 0);
    if (!status) status = tl_loader_next(r->loader, &first);
    if (!status) status = tl_fit_resume(&r->state, r->o->resume, &first);
    return in_call(r, status);
}

static tl_status train(run *r)
{
    tl_fit_state *s = &r->state;
    tl_status status = call_all(r, TRAIN_BEGIN);
    if (!status) status = resume(r);
    if (status) return status;
    while (!status && !s->stop && s->epoch < s->epochs) status = one_epoch(r);
    s->status = status;
    char said[1024];
    snprintf(said, sizeof said, "%s", tl_message());
    const tl_status last = call_all(r, TRAIN_END);
    return status ? tl_report(status, "%s", said) : last;
}

/* Options that make no sense, but for those that loader and trainer check. */
static tl_status check(const tl_fit_opts *o)
{
    if (tl_whole(o->epochs, 1) < 0 || tl_whole(o->initial_epoch, 0) < 0 || tl_whole(o->validation_every, 1) < 1)
        return tl_report(TL_E_ARGUMENT, ".epochs and .initial_epoch are at least 0, .validation_every 1");
    if (o->validation && o->validation_split != 0)
        return tl_report(TL_E_ARGUMENT, "either .validation or .validation_split, not both");
    if (o->n_callbacks < 0 || (o->n_callbacks && !o->callbacks))
        return tl_report(TL_E_ARGUMENT, ".callbacks: as many as .n_callbacks are needed");
    if (o->verbose != TL_ZERO && (o->verbose < SILENT || o->verbose > BRIEF))
        return tl_report(TL_E_ARGUMENT, ".verbose is 1, 2 or TL_ZERO");
    for (int i = 0; i < o->n_callbacks; i++)
        if (o->callbacks[i].status)
            return tl_report(o->callbacks[i].status, "callback %d (%s) could not be made: %s", i, o->callbacks[i].name,
                             tl_message());
    return TL_OK;
}

static tl_status make_loaders(run *r, tl_dataset *data)
{
    const tl_fit_opts *o = r->o;
    tl_dataset *validation = (tl_dataset *)(uintptr_t)o->validation; /* only read */
    tl_status status = TL_OK;
    if (o->validation_split != 0) {
        status = tl_dataset_split(data, o->validation_split, &r->split[0], &r->split[1]);
        data = r->split[0];
        validation = r->split[1];
    }
    if (!status)
        status = tl_loader_new(data, &r->loader, .batch = o->batch, .drop_last = o->drop_last,
                               .shuffle = !o->no_shuffle && !tl_dataset_is_source(data), .seed = r->state.seed,
                               .buckets = o->buckets, .by = o->by);
    if (!status && validation)
        status = tl_loader_new(validation, &r->validation, .batch = tl_dataset_is_source(validation) ? 0 : o->batch);
    r->state.validation = validation;
    if (!status) r->state.batches = tl_loader_batches(r->loader);
    return status;
}

static tl_status prepare(run *r, tl_model *model, tl_model_fn fn, tl_dataset *data)
{
    const tl_fit_opts *o = r->o;
    tl_fit_state *s = &r->state;
    tl_status status = check(o);
    if (!status && (!model || !fn || !data))
        status = tl_report(TL_E_ARGUMENT, "a model, a model function and a dataset are needed");
    if (status) return status;
    s->seed = o->seed ? o->seed : tl_model_seed(model);
    status = tl_trainer_for(model, fn, o->trainer,
                            &(tl_trainer_opts){ .user = o->user,
                                                .optimizer = o->optimizer,
                                                .clip_value = o->clip_value,
                                                .clip_norm = o->clip_norm,
                                                .lengths = o->lengths,
                                                .explain = o->explain,
                                                .size = sizeof(tl_trainer_opts) },
                            &s->trainer, &r->own);
    if (!status) status = make_loaders(r, data);
    if (!status) status = tl_pass_init(&r->pass, o->metrics, o->n_metrics);
    if (!status && r->validation) status = tl_pass_init(&r->validated, o->metrics, o->n_metrics);
    if (!status) status = reserve_logs(r, 2 * (o->n_metrics + 1));
    if (!status && !s->history && !(r->history = s->history = tl_history_new())) status = TL_E_MEMORY;
    return status;
}

static void finish(run *r)
{
    for (int i = 0; i < r->o->n_callbacks && r->o->callbacks; i++) tl_callback_free(&r->o->callbacks[i]);
    if (r->o->history) *r->o->history = r->state.history;
    else tl_history_free(r->history);
    tl_pass_free(&r->pass);
    tl_pass_free(&r->validated);
    tl_loader_free(r->loader);
    tl_loader_free(r->validation);
    tl_dataset_free(r->split[0]);
    tl_dataset_free(r->split[1]);
    tl_trainer_free(r->own);
    tl_resize(r->logs, (size_t)r->room * sizeof *r->logs, 0);
}

tl_status tl_fit_opt(tl_place at, tl_model *model, tl_model_fn fn, tl_dataset *data, const tl_fit_opts *o)
{
    const tl_fit_opts none = { .size = sizeof none };
    run r = { .o = o ? o : &none };
    o = r.o;
    r.state = (tl_fit_state){ .size = sizeof r.state,
                              .model = model,
                              .fn = fn,
                              .user = o->user,
                              .epoch = tl_whole(o->initial_epoch, 0),
                              .epochs = tl_whole(o->epochs, 1),
                              .history = o->history ? *o->history : NULL,
                              .callbacks = o->callbacks,
                              .n_callbacks = o->n_callbacks,
                              .out = o->out,
                              .verbose = o->verbose == TL_ZERO ? SILENT
                                         : o->verbose          ? o->verbose
                                                               : MOVING,
                              .inner = &r };
    tl_line_words(at, r.line, sizeof r.line);
    tl_status status = in_call(&r, prepare(&r, model, fn, data));
    if (!status) status = train(&r);
    finish(&r);
    return status;
}

/* ---- saving and resuming ------------------------------------------------------------------------------------ */

/* In the midst of an epoch the order of what is left of it must be the one that was begun. */
static void keep_order(run *r, tl_store *store)
{
    tl_fit_state *s = &r->state;
    int64_t seed = (int64_t)s->seed, batches = s->batches;
    tl_store_whole(store, "seed", &seed);
    tl_store_whole(store, "batches", &batches);
    if (tl_store_status(store) || !tl_store_loading(store) || !r->next_batch) return;
    if (seed != (int64_t)s->seed || batches != s->batches)
        tl_store_fail(store, tl_report(TL_E_FORMAT, "the run was saved in an epoch of %lld batches with seed %lld",
                                       (long long)batches, (long long)seed));
}

static void keep_callbacks(run *r, tl_store *store)
{
    tl_store_enter(store, "callback");
    for (int i = 0; i < r->state.n_callbacks; i++) {
        const tl_callback *c = &r->state.callbacks[i];
        char name[80];
        if (!c->keep) continue;
        snprintf(name, sizeof name, "%d %s", i, c->name ? c->name : "");
        tl_store_enter(store, name);
        tl_store_fail(store, c->keep(store, c->ctx));
        tl_store_leave(store);
    }
    tl_store_leave(store);
}

tl_status tl_fit_keep(tl_fit_state *s, tl_store *store)
{
    run *r = s->inner;
    tl_store_enter(store, "fit");
    tl_store_whole(store, "epoch", &r->next_epoch);
    tl_store_whole(store, "batch", &r->next_batch);
    keep_order(r, store);
    tl_pass_keep(&r->pass, store);
    tl_store_enter(store, "history");
    tl_history_keep(s->history, store);
    tl_store_leave(store);
    keep_callbacks(r, store);
    tl_store_leave(store);
    if (tl_store_loading(store) && !tl_store_status(store)) {
        s->epoch = r->next_epoch;
        s->batch = r->next_batch;
        s->samples = r->pass.samples;
    }
    return tl_store_status(store);
}
