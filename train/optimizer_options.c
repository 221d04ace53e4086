/* train/optimizer_options.c - the description of an optimizer: saved, and compared with the one that is to go on. */
#include <stddef.h>
#include <string.h>

#include "train/checkpoint.h"

/* An option, or an array of n. */
typedef struct option {
    const char *name;
    size_t offset;
    enum { REAL, WHOLE, KIND, FLAG } type;
    int n;
} option;

/* All but the learning rate, which changes along the way, and what is no number. */
#define OPTION(field, type, n)                                                                                         \
    {                                                                                                                  \
#field, offsetof(tl_optimizer_desc, field), type, n                                                            \
    }
static const option options[] = {
    OPTION(rule, KIND, 1),
    OPTION(style, KIND, 1),
    OPTION(momentum, REAL, 1),
    OPTION(dampening, REAL, 1),
    OPTION(rho, REAL, 1),
    OPTION(beta1, REAL, 1),
    OPTION(beta2, REAL, 1),
    OPTION(epsilon, REAL, 1),
    OPTION(start, REAL, 1),
    OPTION(lr_decay, REAL, 1),
    OPTION(momentum_decay, REAL, 1),
    OPTION(power, REAL, 1),
    OPTION(l1, REAL, 1),
    OPTION(l2, REAL, 1),
    OPTION(shrinkage, REAL, 1),
    OPTION(beta, REAL, 1),
    OPTION(lambda, REAL, 1),
    OPTION(alpha, REAL, 1),
    OPTION(t0, REAL, 1),
    OPTION(shrink, REAL, 1),
    OPTION(grow, REAL, 1),
    OPTION(step_min, REAL, 1),
    OPTION(step_max, REAL, 1),
    OPTION(nesterov, FLAG, 1),
    OPTION(centered, FLAG, 1),
    OPTION(amsgrad, FLAG, 1),
    OPTION(weight_decay, REAL, 1),
    OPTION(maximize, FLAG, 1),
    OPTION(lazy, FLAG, 1),
    OPTION(clip_value, REAL, 1),
    OPTION(clip_each, REAL, 1),
    OPTION(clip_norm, REAL, 1),
    OPTION(accumulate, WHOLE, 1),
    OPTION(accumulate_sum, FLAG, 1),
    OPTION(ema, REAL, 1),
    OPTION(ema_overwrite, WHOLE, 1),
    OPTION(swa_every, WHOLE, 1),
    OPTION(swa_start, WHOLE, 1),
    OPTION(schedule.kind, KIND, 1),
    OPTION(schedule.lr, REAL, 1),
    OPTION(schedule.factor, REAL, 1),
    OPTION(schedule.end, REAL, 1),
    OPTION(schedule.power, REAL, 1),
    OPTION(schedule.growth, REAL, 1),
    OPTION(schedule.rise, REAL, 1),
    OPTION(schedule.start_divisor, REAL, 1),
    OPTION(schedule.end_divisor, REAL, 1),
    OPTION(schedule.warmup_from, REAL, 1),
    OPTION(schedule.steps, WHOLE, 1),
    OPTION(schedule.warmup, WHOLE, 1),
    OPTION(schedule.at, WHOLE, TL_SCHEDULE_POINTS),
    OPTION(schedule.values, REAL, TL_SCHEDULE_POINTS + 1),
    OPTION(schedule.staircase, FLAG, 1),
    OPTION(schedule.cycle, FLAG, 1),
    OPTION(schedule.linear, FLAG, 1),
};
enum { OPTIONS = sizeof options / sizeof *options, MOST = TL_SCHEDULE_POINTS + 1 };

static double number(const tl_optimizer_desc *d, const option *o, int k)
{
    const void *p = (const char *)d + o->offset;
    if (o->type == REAL) return ((const double *)p)[k];
    if (o->type == WHOLE) return (double)((const int64_t *)p)[k];
    return o->type == FLAG ? ((const bool *)p)[k] : (double)((const int *)p)[k];
}

/* Saves an option, or compares it. */
static void keep_option(tl_store *s, const tl_optimizer_desc *d, const option *o)
{
    double now[MOST], saved[MOST];
    for (int k = 0; k < o->n; k++) saved[k] = now[k] = number(d, o, k);
    if (tl_store_numbers(s, o->name, saved, o->n)) return;
    for (int k = 0; k < o->n; k++)
        if (saved[k] != now[k] && !tl_store_status(s))
            tl_store_fail(s, tl_report(TL_E_ARGUMENT, "the checkpoint is of an optimizer with another .%s: %g, not %g",
                                       o->name, saved[k], now[k]));
}

static void keep_group(tl_store *s, const tl_param_group *g)
{
    const char *pattern = g->pattern ? g->pattern : "";
    double numbers[] = { g->lr_factor, g->weight_decay, g->frozen };
    tl_store_text(s, "pattern", &pattern);
    tl_store_numbers(s, "numbers", numbers, 3);
    if (tl_store_status(s)) return;
    if (pattern && !strcmp(pattern, g->pattern ? g->pattern : "") && numbers[0] == g->lr_factor &&
        numbers[1] == g->weight_decay && (numbers[2] != 0) == g->frozen)
        return;
    tl_store_fail(s, tl_report(TL_E_ARGUMENT,
                               "the checkpoint is of an optimizer with another group of parameters: \"%s\", "
                               "not \"%s\"",
                               pattern ? pattern : "", g->pattern ? g->pattern : ""));
}

tl_status tl_optimizer_options_keep(tl_store *s, const tl_optimizer_desc *d)
{
    for (int i = 0; i < OPTIONS; i++) keep_option(s, d, &options[i]);
    for (int k = 0; k < TL_PARAM_GROUPS; k++) {
        char name[16];
        snprintf(name, sizeof name, "group%d", k);
        tl_store_enter(s, name);
        keep_group(s, &d->groups[k]);
        tl_store_leave(s);
    }
    return tl_store_status(s);
}
