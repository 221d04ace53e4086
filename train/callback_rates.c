/* train/callback_rates.c - callbacks that set the learning rate. */
#include "train/fit.h"

#include <math.h>
#include <string.h>

/* Said before the first epoch, not after the last that is better. */
static tl_status rate_is_free(const tl_fit_state *state)
{
    tl_optimizer *o = tl_trainer_optimizer(state->trainer);
    return tl_optimizer_set_lr(o, tl_optimizer_lr(o));
}

/* ---- where the monitor gets no better ----------------------------------------------------------------------- */

typedef struct reduce {
    tl_reduce_lr_opts o;
    tl_plateau_state seen;
} reduce;

static tl_status reduce_begin(tl_fit_state *state, void *ctx)
{
    reduce *r = ctx;
    tl_better mode = r->o.mode;
    r->seen = (tl_plateau_state){ 0 };
    tl_status status = rate_is_free(state);
    if (!status) status = tl_monitor_mode(state, r->o.monitor, &mode);
    r->o.plateau.highest = mode == TL_LARGER;
    return status;
}

static tl_status reduce_epoch_end(tl_fit_state *state, void *ctx)
{
    reduce *r = ctx;
    tl_optimizer *optimizer = tl_trainer_optimizer(state->trainer);
    const double lr = tl_optimizer_lr(optimizer);
    double value;
    bool there;
    tl_status status = tl_monitor_look(state, r->o.monitor, &value, &there);
    if (!status) status = tl_fit_set_log(state, "learning_rate", lr);
    if (status || !there) return status;
    const double next = tl_plateau_next(&r->o.plateau, &r->seen, value, lr);
    if (isnan(next)) return TL_E_ARGUMENT;
    if (next == lr) return TL_OK;
    if (r->o.out)
        fprintf(r->o.out, "epoch %lld: the learning rate is lowered to %g\n", (long long)state->epoch + 1, next);
    return tl_optimizer_set_lr(optimizer, next);
}

static tl_status reduce_keep(tl_store *store, void *ctx)
{
    reduce *r = ctx;
    tl_store_number(store, "best", &r->seen.best);
    tl_store_whole(store, "waited", &r->seen.waited);
    tl_store_whole(store, "cooling", &r->seen.cooling);
    return tl_store_flag(store, "started", &r->seen.started);
}

static void reduce_free(void *ctx) { tl_resize(ctx, sizeof(reduce), 0); }

tl_callback tl_reduce_lr_opt(const tl_reduce_lr_opts *o)
{
    const tl_reduce_lr_opts none = { .size = sizeof none };
    reduce made = { .o = o ? *o : none };
    tl_plateau_state probe = { 0 };
    tl_callback c = { .name = "reduce_lr", .status = TL_E_ARGUMENT };
    if (!made.o.monitor) made.o.monitor = "val_loss";
    if (isnan(tl_plateau_next(&made.o.plateau, &probe, 1, 1))) return c;
    if (!tl_callback_new(&c, "reduce_lr", sizeof made, &made)) return c;
    c.train_begin = reduce_begin;
    c.epoch_end = reduce_epoch_end;
    c.keep = reduce_keep;
    c.free = reduce_free;
    return c;
}

/* ---- by the number of the epoch ----------------------------------------------------------------------------- */

typedef struct rate {
    tl_learning_rate_opts o;
    double start; /* the optimizer's rate as training began */
} rate;

static tl_status rate_begin(tl_fit_state *state, void *ctx)
{
    rate *r = ctx;
    r->start = tl_optimizer_lr(tl_trainer_optimizer(state->trainer));
    return rate_is_free(state);
}

static tl_status rate_epoch_begin(tl_fit_state *state, void *ctx)
{
    rate *r = ctx;
    tl_optimizer *optimizer = tl_trainer_optimizer(state->trainer);
    tl_schedule schedule = r->o.schedule;
    if (schedule.lr == 0) schedule.lr = r->start;
    const double lr = r->o.fn ? r->o.fn(state->epoch, tl_optimizer_lr(optimizer), r->o.user)
                              : tl_schedule_at(schedule, state->epoch);
    if (!r->o.fn && isnan(lr)) return TL_E_ARGUMENT;
    return tl_optimizer_set_lr(optimizer, lr);
}

static tl_status rate_epoch_end(tl_fit_state *state, void *ctx)
{
    (void)ctx;
    return tl_fit_set_log(state, "learning_rate", tl_optimizer_lr(tl_trainer_optimizer(state->trainer)));
}

static tl_status rate_keep(tl_store *store, void *ctx)
{
    return tl_store_number(store, "start", &((rate *)ctx)->start);
}

static void rate_free(void *ctx) { tl_resize(ctx, sizeof(rate), 0); }

tl_callback tl_learning_rate_opt(const tl_learning_rate_opts *o)
{
    const tl_learning_rate_opts none = { .size = sizeof none };
    const rate made = { .o = o ? *o : none };
    tl_callback c = { .name = "learning_rate", .status = TL_E_ARGUMENT };
    if (!made.o.fn == !made.o.schedule.kind) {
        tl_report(TL_E_ARGUMENT, "learning_rate: either .fn or .schedule is needed");
        return c;
    }
    if (!tl_callback_new(&c, "learning_rate", sizeof made, &made)) return c;
    c.train_begin = rate_begin;
    c.epoch_begin = rate_epoch_begin;
    c.epoch_end = rate_epoch_end;
    c.keep = rate_keep;
    c.free = rate_free;
    return c;
}
