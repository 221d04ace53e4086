/* optim/rules.c - the rules: their options and defaults in both styles, the arrays that they keep, and the numbers that
 * their loops (loops.c) need. docs/optimizers.md has the formulas side by side. */
#include "optim/optimizer.h"

#include <float.h>
#include <math.h>
#include <stddef.h>

/* ---- options ------------------------------------------------------------------------------------------------ */

enum option_id {
    NO_OPTION,
    LR,
    MOMENTUM,
    DAMPENING,
    RHO,
    BETA1,
    BETA2,
    EPSILON,
    START,
    LR_DECAY,
    MOMENTUM_DECAY,
    POWER,
    L1,
    L2,
    SHRINKAGE,
    BETA,
    LAMBDA,
    ALPHA,
    T0,
    SHRINK,
    GROW,
    STEP_MIN,
    STEP_MAX,
    WEIGHT_DECAY,
    NESTEROV,
    CENTERED,
    AMSGRAD,
    OPTIONS
};

/* Numbers, and switches (most < 0). What a number may be: from 0 to `most`, which it may not reach where that is 1. */
static const struct {
    const char *name;
    size_t offset;
    double most;
} options[OPTIONS] = {
#define NUMBER(id, field, most) [id] = { "." #field, offsetof(tl_optimizer_desc, field), most }
    NUMBER(LR, lr, DBL_MAX),
    NUMBER(MOMENTUM, momentum, 1),
    NUMBER(DAMPENING, dampening, 2),
    NUMBER(RHO, rho, 1),
    NUMBER(BETA1, beta1, 1),
    NUMBER(BETA2, beta2, 1),
    NUMBER(EPSILON, epsilon, DBL_MAX),
    NUMBER(START, start, DBL_MAX),
    NUMBER(LR_DECAY, lr_decay, DBL_MAX),
    NUMBER(MOMENTUM_DECAY, momentum_decay, DBL_MAX),
    NUMBER(POWER, power, DBL_MAX),
    NUMBER(L1, l1, DBL_MAX),
    NUMBER(L2, l2, DBL_MAX),
    NUMBER(SHRINKAGE, shrinkage, DBL_MAX),
    NUMBER(BETA, beta, DBL_MAX),
    NUMBER(LAMBDA, lambda, DBL_MAX),
    NUMBER(ALPHA, alpha, DBL_MAX),
    NUMBER(T0, t0, DBL_MAX),
    NUMBER(SHRINK, shrink, 1),
    NUMBER(GROW, grow, DBL_MAX),
    NUMBER(STEP_MIN, step_min, DBL_MAX),
    NUMBER(STEP_MAX, step_max, DBL_MAX),
    NUMBER(WEIGHT_DECAY, weight_decay, DBL_MAX),
    NUMBER(NESTEROV, nesterov, -1),
    NUMBER(CENTERED, centered, -1),
    NUMBER(AMSGRAD, amsgrad, -1),
};

/* An option that a rule has, and its default in both styles; NAN: not in that style. */
typedef struct setting {
    enum option_id option;
    double standard[2];
} setting;

#define SETTINGS(name, ...) static const setting name##_settings[] = { __VA_ARGS__, { 0 } }
#define SAME(x)                                                                                                        \
    {                                                                                                                  \
        x, x                                                                                                           \
    }

SETTINGS(sgd, { LR, { 0.01, 0.001 } }, { MOMENTUM }, { DAMPENING, { NAN, 0 } }, { NESTEROV });
SETTINGS(rmsprop, { LR, { 0.001, 0.01 } }, { RHO, { 0.9, 0.99 } }, { EPSILON, { 1e-7, 1e-8 } }, { MOMENTUM },
         { CENTERED });
SETTINGS(adam, { LR, SAME(0.001) }, { BETA1, SAME(0.9) }, { BETA2, SAME(0.999) }, { EPSILON, { 1e-7, 1e-8 } },
         { AMSGRAD });
SETTINGS(adamw, { LR, SAME(0.001) }, { BETA1, SAME(0.9) }, { BETA2, SAME(0.999) }, { EPSILON, { 1e-7, 1e-8 } },
         { WEIGHT_DECAY, { 0.004, 0.01 } }, { AMSGRAD });
SETTINGS(nadam, { LR, { 0.001, 0.002 } }, { BETA1, SAME(0.9) }, { BETA2, SAME(0.999) }, { EPSILON, { 1e-7, 1e-8 } },
         { MOMENTUM_DECAY, { NAN, 0.004 } });
SETTINGS(radam, { LR, SAME(0.001) }, { BETA1, SAME(0.9) }, { BETA2, SAME(0.999) }, { EPSILON, { 1e-7, 1e-8 } });
SETTINGS(adamax, { LR, { 0.001, 0.002 } }, { BETA1, SAME(0.9) }, { BETA2, SAME(0.999) }, { EPSILON, { 1e-7, 1e-8 } });
SETTINGS(adagrad, { LR, { 0.001, 0.01 } }, { START, { 0.1, 0 } }, { EPSILON, { 1e-7, 1e-10 } },
         { LR_DECAY, { NAN, 0 } });
SETTINGS(adadelta, { LR, { 0.001, 1 } }, { RHO, { 0.95, 0.9 } }, { EPSILON, { 1e-7, 1e-6 } });
SETTINGS(lion, { LR, SAME(0.001) }, { BETA1, SAME(0.9) }, { BETA2, SAME(0.99) });
SETTINGS(ftrl, { LR, SAME(0.001) }, { POWER, SAME(0.5) }, { START, SAME(0.1) }, { L1 }, { L2 }, { SHRINKAGE },
         { BETA });
SETTINGS(asgd, { LR, SAME(0.01) }, { LAMBDA, SAME(1e-4) }, { ALPHA, SAME(0.75) }, { T0, SAME(1e6) });
SETTINGS(rprop, { LR, SAME(0.01) }, { SHRINK, SAME(0.5) }, { GROW, SAME(1.2) }, { STEP_MIN, SAME(1e-6) },
         { STEP_MAX, SAME(50) });

/* ---- what their loops need: n has lr as rate, and momentum, rho and the betas ------------------------------------- */

/* Keras' moments hold the learning rates of their time, PyTorch's do not. */
static void sgd(const tl_optimizer_desc *d, double t, double product, tl_numbers *n)
{
    (void)product;
    if (d->style == TL_TORCH) {
        n->gain = t > 1 ? d->dampening - 1 : -1;
        n->step = -n->rate;
        n->reach = -1;
    } else {
        n->gain = n->reach = n->rate;
        n->step = 1;
    }
}

static void place_epsilon(const tl_optimizer_desc *d, tl_numbers *n)
{
    *(d->style == TL_TORCH ? &n->outside : &n->inside) = d->epsilon;
}

static void rmsprop(const tl_optimizer_desc *d, double t, double product, tl_numbers *n)
{
    (void)t, (void)product;
    place_epsilon(d, n);
    n->gain = d->style == TL_TORCH ? 1 : n->rate;
    n->step = d->style == TL_TORCH ? n->rate : 1;
}

/* What corrects for the moments' start at zero depends on the update's number alone. */
static void adam(const tl_optimizer_desc *d, double t, double product, tl_numbers *n)
{
    (void)product;
    const double v = sqrt(1 - pow(d->beta2, t));
    n->rate = n->rate * v / (1 - pow(d->beta1, t));
    n->outside = d->style == TL_TORCH ? d->epsilon * v : d->epsilon;
}

static double nadam_momentum(const tl_optimizer_desc *d, double t)
{
    return d->beta1 * (1 - 0.5 * pow(0.96, d->style == TL_TORCH ? t * d->momentum_decay : t));
}

static void nadam(const tl_optimizer_desc *d, double t, double product, tl_numbers *n)
{
    const double now = nadam_momentum(d, t), next = nadam_momentum(d, t + 1);
    n->gain = n->rate * (1 - now) / (1 - product);
    n->rate = n->rate * next / (1 - product * next);
    n->adapt = 1 / sqrt(1 - pow(d->beta2, t));
    n->outside = d->epsilon;
}

/* As long as the variance of 1 / sqrt(v) is not known, without it. */
static void radam(const tl_optimizer_desc *d, double t, double product, tl_numbers *n)
{
    (void)product;
    const double decayed = pow(d->beta2, t), most = 2 / (1 - d->beta2) - 1, r = most - 2 * t * decayed / (1 - decayed);
    n->rate /= 1 - pow(d->beta1, t);
    n->adapt = r > 5;
    n->outside = r > 5 ? d->epsilon : 1;
    if (r > 5) n->rate *= sqrt((r - 4) * (r - 2) * most / ((most - 4) * (most - 2) * r)) * sqrt(1 - decayed);
}

static void adamax(const tl_optimizer_desc *d, double t, double product, tl_numbers *n)
{
    (void)product;
    n->rate /= 1 - pow(d->beta1, t);
    *(d->style == TL_TORCH ? &n->inside : &n->outside) = d->epsilon;
}

static void adagrad(const tl_optimizer_desc *d, double t, double product, tl_numbers *n)
{
    (void)product;
    place_epsilon(d, n);
    n->rate /= 1 + (t - 1) * d->lr_decay;
}

static void adadelta(const tl_optimizer_desc *d, double t, double product, tl_numbers *n)
{
    (void)t, (void)product;
    n->inside = d->epsilon;
}

static void ftrl(const tl_optimizer_desc *d, double t, double product, tl_numbers *n)
{
    (void)t, (void)product;
    n->l1 = d->l1;
    n->ridge = 2 * d->l2 + d->beta / n->rate;
    n->shrinkage = 2 * d->shrinkage;
    n->power = d->power;
}

static void asgd(const tl_optimizer_desc *d, double t, double product, tl_numbers *n)
{
    (void)product;
    n->rate /= pow(1 + d->lambda * n->rate * (t - 1), d->alpha);
    n->keep = 1 - d->lambda * n->rate;
    n->mix = 1 / fmax(1, t - 1 - d->t0);
}

static void rprop(const tl_optimizer_desc *d, double t, double product, tl_numbers *n)
{
    (void)t, (void)product;
    n->less = d->shrink;
    n->more = d->grow;
    n->least = d->step_min;
    n->most = d->step_max;
}

/* ---- the table ---------------------------------------------------------------------------------------------- */

static bool with_momentum(const tl_optimizer_desc *d) { return d->momentum > 0; }
static bool centered(const tl_optimizer_desc *d) { return d->centered; }
static bool amsgrad(const tl_optimizer_desc *d) { return d->amsgrad; }
static double given_start(const tl_optimizer_desc *d) { return d->start; }
static double learning_rate(const tl_optimizer_desc *d) { return d->lr; }

#define M                                                                                                              \
    {                                                                                                                  \
        "m"                                                                                                            \
    }
#define V                                                                                                              \
    {                                                                                                                  \
        "v"                                                                                                            \
    }
static const tl_rule_row rules[] = {
    [TL_SGD] = { "tl_sgd", sgd_settings, { { "m", with_momentum } }, TL_LOOP_SGD, .numbers = sgd },
    [TL_RMSPROP] = { "tl_rmsprop",
                     rmsprop_settings,
                     { V, { "m", with_momentum }, { "mean", centered } },
                     TL_LOOP_RMSPROP,
                     .numbers = rmsprop },
    [TL_ADAM] = { "tl_adam", adam_settings, { M, V, { "v_max", amsgrad } }, TL_LOOP_ADAM, .numbers = adam },
    [TL_ADAMW] = { "tl_adamw", adamw_settings, { M, V, { "v_max", amsgrad } }, TL_LOOP_ADAM, true, adam },
    [TL_NADAM] = { "tl_nadam", nadam_settings, { M, V }, TL_LOOP_NADAM, .numbers = nadam, .momentum = nadam_momentum },
    [TL_RADAM] = { "tl_radam", radam_settings, { M, V }, TL_LOOP_NADAM, .numbers = radam },
    [TL_ADAMAX] = { "tl_adamax", adamax_settings, { M, V }, TL_LOOP_ADAMAX, .numbers = adamax },
    [TL_ADAGRAD] = { "tl_adagrad",
                     adagrad_settings,
                     { { "v", NULL, given_start } },
                     TL_LOOP_ADAGRAD,
                     .numbers = adagrad },
    [TL_ADADELTA] = { "tl_adadelta", adadelta_settings, { V, { "u" } }, TL_LOOP_ADADELTA, .numbers = adadelta },
    [TL_LION] = { "tl_lion", lion_settings, { M }, TL_LOOP_LION, true },
    [TL_FTRL] = { "tl_ftrl", ftrl_settings, { { "v", NULL, given_start }, { "z" } }, TL_LOOP_FTRL, .numbers = ftrl },
    [TL_ASGD] = { "tl_asgd", asgd_settings, { { "average" } }, TL_LOOP_ASGD, .numbers = asgd },
    [TL_RPROP] = { "tl_rprop",
                   rprop_settings,
                   { { "step", NULL, learning_rate }, { "before" } },
                   TL_LOOP_RPROP,
                   .numbers = rprop },
};
static bool known(tl_rule r) { return r >= TL_SGD && r <= TL_RPROP; }

const tl_rule_row *tl_rule_of(const tl_optimizer_desc *d) { return &rules[d->rule]; }

int tl_rule_variant(const tl_optimizer_desc *d)
{
    return (d->momentum > 0) + d->nesterov + 2 * d->centered + d->amsgrad; /* no rule has all of these */
}

tl_numbers tl_rule_numbers(const tl_optimizer_desc *d, double t, double product, double lr, double weight_decay)
{
    const tl_rule_row *rule = tl_rule_of(d);
    const bool decoupled = rule->decoupled || d->style == TL_KERAS;
    tl_numbers n = { .l2 = decoupled ? 0 : weight_decay,
                     .decay = decoupled ? lr * weight_decay : 0,
                     .rate = lr,
                     .momentum = d->momentum,
                     .rho = d->rho,
                     .rest_rho = 1 - d->rho,
                     .beta1 = d->beta1,
                     .rest1 = 1 - d->beta1,
                     .beta2 = d->beta2,
                     .rest2 = 1 - d->beta2 };
    if (rule->numbers) rule->numbers(d, t, product, &n);
    return n;
}

/* ---- descriptions ------------------------------------------------------------------------------------------- */

static void *field(tl_optimizer_desc *d, int option) { return (char *)d + options[option].offset; }

static const setting *setting_of(const tl_rule_row *rule, enum option_id option, tl_style style)
{
    static const setting weight_decay = { WEIGHT_DECAY, { 0, 0 } }; /* any rule has it */
    for (const setting *s = rule->settings; s->option; s++)
        if (s->option == option) return isnan(s->standard[style]) ? NULL : s;
    return option == WEIGHT_DECAY ? &weight_decay : NULL;
}

tl_optimizer_desc tl_optimizer_defaults(tl_rule r, tl_style style)
{
    tl_optimizer_desc d = { .size = 0 };
    if (!known(r) || style < TL_KERAS || style > TL_TORCH) return d;
    d = (tl_optimizer_desc){ .size = sizeof d, .rule = r, .style = style };
    for (int k = LR; k < OPTIONS; k++) {
        const setting *s = setting_of(&rules[r], k, style);
        if (s && options[k].most > 0) *(double *)field(&d, k) = s->standard[style];
    }
    return d;
}

/* One option. */
static tl_status settle(tl_optimizer_desc *d, int k)
{
    const tl_rule_row *rule = &rules[d->rule];
    const setting *s = setting_of(rule, k, d->style);
    const bool is_switch = options[k].most < 0;
    if (!s && (is_switch ? *(bool *)field(d, k) : *(double *)field(d, k) != 0))
        return tl_report(TL_E_ARGUMENT, "%s has no option %s%s", rule->name, options[k].name,
                         setting_of(rule, k, !d->style) ? " in this style" : "");
    if (!s || is_switch) return TL_OK;
    double *value = field(d, k);
    *value = tl_number(*value, s->standard[d->style]);
    if (*value >= 0 && *value <= options[k].most && !(*value == 1 && options[k].most == 1)) return TL_OK;
    return tl_report(TL_E_ARGUMENT, "%s: %s = %g; it must be at least 0 and %s", rule->name, options[k].name, *value,
                     options[k].most == DBL_MAX ? "finite"
                     : options[k].most == 1     ? "below 1"
                                                : "at most 2");
}

/* The limits of clipping, and the counts. */
static tl_status settle_common(tl_optimizer_desc *d, const char *name)
{
    double *const limit[] = { &d->clip_value, &d->clip_each, &d->clip_norm, &d->ema };
    static const char *const limit_name[] = { ".clip_value", ".clip_each", ".clip_norm", ".ema" };
    for (int k = 0; k < 4; k++) {
        *limit[k] = tl_number(*limit[k], 0);
        if (!(*limit[k] >= 0))
            return tl_report(TL_E_ARGUMENT, "%s: %s = %g is negative", name, limit_name[k], *limit[k]);
    }
    if (!(d->ema < 1)) return tl_report(TL_E_ARGUMENT, "%s: .ema = %g; it must be below 1", name, d->ema);
    int64_t *const count[] = { &d->accumulate, &d->ema_overwrite, &d->swa_every, &d->swa_start };
    static const char *const count_name[] = { ".accumulate", ".ema_overwrite", ".swa_every", ".swa_start" };
    for (int k = 0; k < 4; k++) {
        if (*count[k] == TL_ZERO) *count[k] = 0;
        if (*count[k] < 0) return tl_report(TL_E_ARGUMENT, "%s: %s is negative", name, count_name[k]);
    }
    if (!d->accumulate) d->accumulate = 1;
    if (!d->swa_start) d->swa_start = d->swa_every;
    if (d->ema > 0 && d->swa_every) return tl_report(TL_E_ARGUMENT, "%s: .ema and .swa_every exclude each other", name);
    if (d->ema_overwrite && !(d->ema > 0)) return tl_report(TL_E_ARGUMENT, "%s: .ema_overwrite needs .ema", name);
    return d->swa_start && !d->swa_every ? tl_report(TL_E_ARGUMENT, "%s: .swa_start needs .swa_every", name) : TL_OK;
}

static tl_status settle_groups(tl_optimizer_desc *d, const char *name)
{
    for (int k = 0; k < TL_PARAM_GROUPS && d->groups[k].pattern; k++) {
        tl_param_group *g = &d->groups[k];
        g->lr_factor = tl_number(g->lr_factor, 1);
        g->weight_decay = tl_number(g->weight_decay, d->weight_decay);
        if (!(g->lr_factor >= 0 && g->lr_factor <= DBL_MAX && g->weight_decay >= 0 && g->weight_decay <= DBL_MAX))
            return tl_report(TL_E_ARGUMENT,
                             "%s: group \"%s\": .lr_factor %g and .weight_decay %g must be at least 0 and finite", name,
                             g->pattern, g->lr_factor, g->weight_decay);
    }
    return TL_OK;
}

tl_status tl_optimizer_resolve(tl_optimizer_desc *d)
{
    if (d->size != sizeof *d || !known(d->rule) || d->style < TL_KERAS || d->style > TL_TORCH)
        return tl_report(TL_E_ARGUMENT,
                         "tl_optimizer_new: a description is made by tl_sgd(), tl_rmsprop(), tl_adam() ...");
    const char *name = rules[d->rule].name;
    tl_status status = TL_OK;
    for (int k = LR; k < OPTIONS && !status; k++) status = settle(d, k);
    if (!status) status = settle_common(d, name);
    if (!status) status = settle_groups(d, name);
    if (!status && d->schedule.kind) status = tl_schedule_resolve(&d->schedule, d->lr);
    if (status) return status;
    if (d->nesterov && !(d->momentum > 0 && d->dampening == 0))
        return tl_report(TL_E_ARGUMENT, "%s: .nesterov is for tl_sgd with .momentum above 0 and no .dampening", name);
    if (d->rule == TL_FTRL && !(d->lr > 0)) return tl_report(TL_E_ARGUMENT, "%s: .lr must be above 0", name);
    return TL_OK;
}
