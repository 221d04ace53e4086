/* train/callbacks.c - ready-made callbacks that watch a number. */
#include "train/fit.h"

#include <math.h>
#include <string.h>

/* ---- making ------------------------------------------------------------------------------------------------- */

void *tl_callback_new(tl_callback *c, const char *name, size_t size, const void *ctx)
{
    *c = (tl_callback){ .name = name, .ctx = tl_resize(NULL, 0, size) };
    if (c->ctx) memcpy(c->ctx, ctx, size);
    else c->status = tl_report(TL_E_MEMORY, "out of memory for the callback %s", name);
    return c->ctx;
}

static tl_callback refused(const char *name, const char *sentence)
{
    return (tl_callback){ .name = name, .status = tl_report(TL_E_ARGUMENT, "%s: %s", name, sentence) };
}

/* ---- a monitor ---------------------------------------------------------------------------------------------- */

/* Of metrics whose smaller results are the better; of all others larger ones are. */
static bool falls(tl_metric_kind kind)
{
    static const bool table[TL_METRIC_KINDS] = {
        [TL_METRIC_MEAN] = true,
        [TL_METRIC_MSE] = true,
        [TL_METRIC_RMSE] = true,
        [TL_METRIC_MAE] = true,
        [TL_METRIC_CROSS_ENTROPY] = true,
        [TL_METRIC_BINARY_CROSS_ENTROPY] = true,
        [TL_METRIC_PERPLEXITY] = true,
        [TL_METRIC_BITS_PER_CHARACTER] = true,
        [TL_METRIC_KL] = true,
        [TL_METRIC_POISSON] = true,
    };
    return table[kind];
}

tl_status tl_monitor_mode(const tl_fit_state *state, const char *name, tl_better *mode)
{
    if (*mode != TL_AUTO) return TL_OK;
    if (!strncmp(name, "val_", 4)) name += 4;
    const tl_metric *metric = tl_fit_metric(state, name);
    if (!strcmp(name, "loss")) *mode = TL_SMALLER;
    else if (metric) *mode = falls(tl_metric_options(metric).kind) ? TL_SMALLER : TL_LARGER;
    else
        return tl_report(TL_E_ARGUMENT,
                         "'%s' is no metric of this run; of another log, .mode says if the smaller or the larger "
                         "is the better",
                         name);
    return TL_OK;
}

tl_status tl_monitor_look(const tl_fit_state *state, const char *name, double *value, bool *there)
{
    *there = false;
    for (int k = 0; !*there && k < state->n_logs; k++)
        if ((*there = !strcmp(state->logs[k].name, name))) *value = state->logs[k].value;
    if (*there || (state->validation && !strncmp(name, "val_", 4))) return TL_OK;
    char words[256];
    tl_log_words(state->logs, state->n_logs, words, sizeof words);
    return tl_report(TL_E_NAME, "there is no '%s' to be monitored; there are%s", name, words);
}

bool tl_monitor_better(tl_better mode, double min_delta, double value, double than)
{
    return mode == TL_LARGER ? value - min_delta > than : value + min_delta < than;
}

/* ---- early stopping ----------------------------------------------------------------------------------------- */

typedef struct early {
    tl_early_stopping_opts o;
    tl_better mode;
    double best;
    int64_t wait, best_epoch, stopped_epoch;
    bool started;    /* there is a best */
    tl_model *saved; /* the model as it was in the best epoch */
} early;

static tl_status early_begin(tl_fit_state *state, void *ctx)
{
    early *e = ctx;
    tl_model_free(e->saved);
    *e = (early){ .o = e->o, .mode = e->o.mode };
    return tl_monitor_mode(state, e->o.monitor, &e->mode);
}

/* Where the run that is resumed had stopped already. */
static tl_status early_epoch_begin(tl_fit_state *state, void *ctx)
{
    const early *e = ctx;
    if (e->stopped_epoch) state->stop = true;
    return TL_OK;
}

static tl_status take(early *e, tl_fit_state *state)
{
    tl_model *copy = tl_model_copy(state->model, 0);
    if (!copy) return TL_E_MEMORY;
    tl_model_free(e->saved);
    e->saved = copy;
    return TL_OK;
}

static bool better(const early *e, double value, double than)
{
    return tl_monitor_better(e->mode, e->o.min_delta, value, than);
}

static tl_status early_epoch_end(tl_fit_state *state, void *ctx)
{
    early *e = ctx;
    double value;
    bool there;
    tl_status status = tl_monitor_look(state, e->o.monitor, &value, &there);
    if (status || !there || state->epoch < e->o.start_from_epoch) return status;
    const bool improved = !e->started || better(e, value, e->best);
    if (e->o.restore_best && (improved || !e->saved)) status = take(e, state);
    if (status) return status;
    e->wait++;
    if (improved) {
        e->started = true;
        e->best = value;
        e->best_epoch = state->epoch;
        if (e->o.baseline == 0 || better(e, value, tl_number(e->o.baseline, 0))) e->wait = 0;
    } else if (e->wait >= e->o.patience && state->epoch > 0) {
        e->stopped_epoch = state->epoch;
        state->stop = true;
    }
    return TL_OK;
}

/* Everything that the saved model has, into the model. */
static tl_status give_back(const tl_model *saved, tl_model *model)
{
    tl_status status = TL_OK;
    const tl_param_info *p;
    const char *name;
    tl_array value;
    const size_t element = tl_model_dtype(saved) == TL_F64 ? 8 : 4;
    const char *values = tl_model_values((tl_model *)(uintptr_t)saved); /* only read */
    for (int i = 0; !status && (p = tl_model_param(saved, i)); i++) {
        value = tl_array_of(p->shape.dtype, p->shape.rank, p->shape.dim,
                            (void *)(uintptr_t)(values + (size_t)p->offset * element));
        status = tl_model_set(model, p->name, &value);
    }
    for (int i = 0; !status && i < tl_model_states(saved); i++) {
        status = tl_model_state_value(saved, i, &name, &value);
        if (!status) status = tl_model_set_state(model, name, &value);
    }
    return status;
}

static tl_status early_train_end(tl_fit_state *state, void *ctx)
{
    early *e = ctx;
    if (e->o.result)
        *e->o.result = (tl_early_stopping_result){ e->started ? e->best : NAN, e->best_epoch, e->stopped_epoch };
    return e->saved ? give_back(e->saved, state->model) : TL_OK;
}

static tl_status early_keep(tl_store *store, void *ctx)
{
    early *e = ctx;
    tl_store_number(store, "best", &e->best);
    tl_store_whole(store, "wait", &e->wait);
    tl_store_whole(store, "best_epoch", &e->best_epoch);
    tl_store_whole(store, "stopped_epoch", &e->stopped_epoch);
    tl_store_flag(store, "started", &e->started);
    return tl_store_model(store, "saved", &e->saved);
}

static void early_free(void *ctx)
{
    early *e = ctx;
    if (!e) return;
    tl_model_free(e->saved);
    tl_resize(e, sizeof *e, 0);
}

tl_callback tl_early_stopping_opt(const tl_early_stopping_opts *o)
{
    const tl_early_stopping_opts none = { .size = sizeof none };
    if (!o) o = &none;
    early e = { .o = *o };
    tl_callback c;
    if (!o->monitor) e.o.monitor = "val_loss";
    if (o->patience < 0 || o->start_from_epoch < 0 || !isfinite(o->min_delta))
        return refused("early_stopping", ".patience, .start_from_epoch and .min_delta may not be negative");
    e.o.min_delta = fabs(o->min_delta);
    if (!tl_callback_new(&c, "early_stopping", sizeof e, &e)) return c;
    c.train_begin = early_begin;
    c.epoch_begin = early_epoch_begin;
    c.epoch_end = early_epoch_end;
    c.train_end = early_train_end;
    c.keep = early_keep;
    c.free = early_free;
    return c;
}

/* ---- a loss that is not finite ------------------------------------------------------------------------------ */

static tl_status stop_at_nan(tl_fit_state *state, void *ctx)
{
    (void)ctx;
    state->stop |= state->status == TL_E_NONFINITE;
    return TL_OK;
}

tl_callback tl_nan_stop(void) { return (tl_callback){ .name = "nan_stop", .batch_end = stop_at_nan }; }
