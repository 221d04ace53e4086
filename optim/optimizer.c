/* optim/optimizer.c - the object: what it keeps for every parameter, and the step that applies its rule to what the loss
 * has reached. */
#include "optim/optimizer.h"

#include <float.h>
#include <fnmatch.h>
#include <math.h>
#include <string.h>

#include "graph/denormals.h"
#include "ops/kernels/kernels.h"

/* ---- making and freeing ------------------------------------------------------------------------------------- */

static size_t element(const tl_optimizer *o) { return tl_element_of(o->model); }

static const tl_loops *loops_of(const tl_optimizer *o) { return tl_loops_for(tl_isa(), tl_model_dtype(o->model)); }

static int groups_of(const tl_optimizer *o)
{
    int n = 0;
    while (n < TL_PARAM_GROUPS && o->desc.groups[n].pattern) n++;
    return n;
}

/* The texts of the groups are the caller's, and may be gone soon. */
static tl_status copy_patterns(tl_optimizer *o)
{
    const int n = groups_of(o);
    for (int k = 0; k < n; k++) o->pattern_bytes += strlen(o->desc.groups[k].pattern) + 1;
    if (!n) return TL_OK;
    o->patterns = tl_resize(NULL, 0, o->pattern_bytes);
    if (!o->patterns) return tl_report(TL_E_MEMORY, "tl_optimizer_new: out of memory");
    char *to = o->patterns;
    for (int k = 0; k < n; k++) {
        const size_t bytes = strlen(o->desc.groups[k].pattern) + 1;
        o->desc.groups[k].pattern = memcpy(to, o->desc.groups[k].pattern, bytes);
        to += bytes;
    }
    return TL_OK;
}

tl_optimizer *tl_optimizer_new(tl_model *model, tl_optimizer_desc desc)
{
    if (!model) {
        tl_report(TL_E_ARGUMENT, "tl_optimizer_new: no model");
        return NULL;
    }
    if (tl_optimizer_resolve(&desc)) return NULL;
    tl_optimizer *o = tl_resize(NULL, 0, sizeof *o);
    if (!o) {
        tl_report(TL_E_MEMORY, "tl_optimizer_new: out of memory");
        return NULL;
    }
    *o = (tl_optimizer){ .model = model, .desc = desc, .sums = { .model = model }, .product = 1, .norm = NAN };
    if (!copy_patterns(o)) return o;
    o->pattern_bytes = 0;
    tl_optimizer_free(o);
    return NULL;
}

void tl_optimizer_free(tl_optimizer *o)
{
    if (!o) return;
    tl_sums_free(&o->sums);
    tl_resize(o->group, (size_t)o->params, 0);
    tl_resize(o->block, o->bytes, 0);
    tl_resize(o->patterns, o->pattern_bytes, 0);
    tl_resize(o, sizeof *o, 0);
}

/* ---- slots -------------------------------------------------------------------------------------------------- */

static bool averages(const tl_optimizer *o) { return o->desc.ema > 0 || o->desc.swa_every; }
static bool accumulates(const tl_optimizer *o) { return o->desc.accumulate > 1; }

bool tl_optimizer_keeps(const tl_optimizer *o, int k)
{
    if (k == TL_AVERAGE_SLOT) return averages(o);
    if (k == TL_SUM_SLOT) return accumulates(o);
    const tl_rule_slot *slot = &tl_rule_of(&o->desc)->slot[k];
    return slot->name && (!slot->kept || slot->kept(&o->desc));
}

/* Elements old..size of slot k start as its rule says, the averages as the parameters. */
static void start(const tl_optimizer *o, int k, char *slot, int64_t old, int64_t size)
{
    const size_t from = (size_t)old * element(o), bytes = (size_t)(size - old) * element(o);
    const tl_rule_slot *s = k < TL_RULE_SLOTS ? &tl_rule_of(&o->desc)->slot[k] : NULL;
    const double x = s && s->start ? s->start(&o->desc) : 0;
    if (k == TL_AVERAGE_SLOT) memcpy(slot + from, (const char *)tl_model_values(o->model) + from, bytes);
    else if (x == 0) memset(slot + from, 0, bytes);
    else if (tl_model_dtype(o->model) == TL_F64)
        for (int64_t i = old; i < size; i++) ((double *)(void *)slot)[i] = x;
    else
        for (int64_t i = old; i < size; i++) ((float *)(void *)slot)[i] = (float)x;
}

static tl_status grow_slots(tl_optimizer *o)
{
    enum { LINE = 64 };
    const int64_t size = tl_model_size(o->model);
    int n = 0;
    for (int k = 0; k < TL_SLOTS; k++) n += tl_optimizer_keeps(o, k);
    if (size <= o->size || !n) return TL_OK;
    const size_t old = (size_t)o->size * element(o), each = ((size_t)size * element(o) + LINE - 1) / LINE * LINE;
    const size_t bytes = (size_t)n * each + LINE;
    void *block = tl_resize(NULL, 0, bytes);
    if (!block) return tl_report(TL_E_MEMORY, "tl_optimizer_step: out of memory for moments");
    char *slot = (char *)(((uintptr_t)block + LINE - 1) / LINE * LINE);
    for (int k = 0; k < TL_SLOTS; k++) {
        if (!tl_optimizer_keeps(o, k)) continue;
        if (old) memcpy(slot, o->slot[k], old);
        start(o, k, slot, o->size, size);
        o->slot[k] = slot;
        slot += each;
    }
    tl_resize(o->block, o->bytes, 0);
    o->block = block;
    o->bytes = bytes;
    o->size = size;
    return TL_OK;
}

/* ---- groups ------------------------------------------------------------------------------------------------- */

static int group_of(const tl_optimizer *o, const char *name)
{
    for (int k = 0; k < groups_of(o); k++)
        if (!fnmatch(o->desc.groups[k].pattern, name, 0)) return o->desc.groups[k].frozen ? TL_FROZEN_GROUP : k + 1;
    return 0;
}

static tl_status grow_groups(tl_optimizer *o)
{
    const int params = tl_model_count(o->model);
    if (!groups_of(o) || params <= o->params) return TL_OK;
    for (int k = 0, i; k < groups_of(o); k++) {
        const char *pattern = o->desc.groups[k].pattern;
        for (i = 0; i < params && fnmatch(pattern, tl_model_param(o->model, i)->name, 0);) i++;
        if (i == params) return tl_report(TL_E_NAME, "the optimizer's group \"%s\" fits no parameter", pattern);
    }
    unsigned char *group = tl_resize(NULL, 0, (size_t)params);
    if (!group) return tl_report(TL_E_MEMORY, "tl_optimizer_step: out of memory for groups");
    for (int i = 0; i < params; i++) group[i] = (unsigned char)group_of(o, tl_model_param(o->model, i)->name);
    tl_resize(o->group, (size_t)o->params, 0);
    o->group = group;
    o->params = params;
    return TL_OK;
}

/* For what has joined the model since the last step. */
tl_status tl_optimizer_grow(tl_optimizer *o)
{
    tl_status status = grow_groups(o);
    if (!status && accumulates(o)) status = tl_sums_grow(&o->sums);
    return status ? status : grow_slots(o);
}

/* ---- the step ----------------------------------------------------------------------------------------------- */

/* What the session's last run has left, without what is frozen. */
static tl_status find(const tl_optimizer *o, tl_session *session, tl_gradients *out)
{
    const tl_range *range = NULL;
    int n = 0;
    const void *g = tl_session_read_gradients(session, &range, &n);
    if (!n) return tl_report(TL_E_OUTPUT, "tl_optimizer_step: no gradients are there; record tl_backward(loss)");
    *out = (tl_gradients){ .g = (void *)(uintptr_t)g, /* clipped, but zeros stay zeros */
                           .loops = loops_of(o),
                           .spans = { session, o->model, range, range + n, .used_rows = true, .no_frozen = true,
                                      .group = o->group } };
    return TL_OK;
}

static tl_status take_norm(tl_optimizer *o, double norm)
{
    o->norm = norm;
    if (isfinite(norm)) return TL_OK;
    return tl_report(TL_E_NONFINITE, "the norm of the gradients is %g; no parameter was changed", norm);
}

/* Adds the run's gradients to the sums, and puts these in their place when there are enough. */
static tl_status accumulate(tl_optimizer *o, tl_gradients *a, double *scale, bool *enough)
{
    void *sum = o->slot[TL_SUM_SLOT];
    if (o->resumed) tl_sums_find(&o->sums, sum);
    o->resumed = false;
    const tl_status status = o->desc.clip_norm > 0 || o->desc.clip_each > 0 ? take_norm(o, tl_gradients_norm(*a))
                                                                            : TL_OK;
    if (status) return status; /* one batch does not spoil those before it */
    tl_sums_add(&o->sums, *a, sum, *scale);
    *enough = ++o->accumulated >= (uint64_t)o->desc.accumulate;
    *scale = o->desc.accumulate_sum ? 1 : 1 / (double)o->desc.accumulate;
    if (!*enough) return TL_OK;
    tl_sums_list(&o->sums);
    a->g = sum;
    a->spans.sums = &o->sums;
    a->spans.range = o->sums.range;
    a->spans.end = o->sums.range + o->sums.ranges;
    return TL_OK;
}

/* By value and by each norm in place, by the global norm within the update: into *scale. */
static tl_status clip(tl_optimizer *o, tl_gradients a, double *scale)
{
    const tl_optimizer_desc *d = &o->desc;
    const double size = fabs(*scale);
    if (size == 0) return TL_OK;
    if (d->clip_value > 0 && d->clip_value < INFINITY) tl_gradients_clamp(a, d->clip_value / size);
    tl_status status = d->clip_each > 0 ? tl_gradients_clip_each(a, d->clip_each / size) : TL_OK;
    if (status) o->norm = NAN;
    if (status || !(d->clip_norm > 0)) return status;
    status = take_norm(o, tl_gradients_norm(a) * size);
    *scale *= tl_clip_factor(d->style, o->norm, d->clip_norm);
    return status;
}

static void update(const tl_optimizer *o, tl_gradients a, double scale, double lr)
{
    const tl_rule_row *rule = tl_rule_of(&o->desc);
    const tl_update_loop loop = a.loops->rule[rule->loop + tl_rule_variant(&o->desc)];
    tl_update u = { .w = tl_model_values(o->model), .g = a.g };
    for (int k = 0; k < TL_RULE_SLOTS; k++) u.slot[k] = o->slot[k];
    a.spans.used_rows = o->desc.lazy;
    for (tl_span s; tl_next_span(&a.spans, &s);) {
        const tl_param_group *group = s.group ? &o->desc.groups[s.group - 1] : NULL;
        u.number = tl_rule_numbers(&o->desc, (double)o->steps, o->product, group ? lr * group->lr_factor : lr,
                                   group ? group->weight_decay : o->desc.weight_decay);
        u.number.scale = o->desc.maximize ? -scale : scale;
        loop(&u, &s);
    }
}

/* All parameters but the frozen ones, whether an update reaches them or not. */
static tl_spans everything(const tl_optimizer *o, const tl_range *all)
{
    return (tl_spans){ NULL, o->model, all, all + 1, .no_frozen = true, .group = o->group };
}

static void average(const tl_optimizer *o)
{
    const tl_optimizer_desc *d = &o->desc;
    const uint64_t t = o->steps, every = (uint64_t)d->swa_every, first = (uint64_t)d->swa_start;
    if (every && (t < first || (t - first) % every)) return;
    const double n = every ? (double)((t - first) / every) : 0;
    const double old = every ? n / (n + 1) : t > 1 ? d->ema : 0;
    const bool overwrite = d->ema_overwrite && t % (uint64_t)d->ema_overwrite == 0;
    const tl_range all = { 0, o->size };
    tl_spans spans = everything(o, &all);
    char *w = tl_model_values(o->model), *mean = o->slot[TL_AVERAGE_SLOT];
    for (tl_span s; tl_next_span(&spans, &s);) {
        loops_of(o)->mix(mean, w, &s, old);
        const size_t at = (size_t)s.at * element(o);
        if (overwrite) memcpy(w + at, mean + at, (size_t)s.size * element(o));
    }
}

tl_status tl_optimizer_swap_averages(tl_optimizer *o)
{
    if (!o || !averages(o))
        return tl_report(TL_E_ARGUMENT, "tl_optimizer_swap_averages: none are kept; give .ema or .swa_every");
    const tl_status status = tl_optimizer_grow(o);
    if (status) return status;
    const tl_range all = { 0, o->size };
    tl_spans spans = everything(o, &all);
    for (tl_span s; tl_next_span(&spans, &s);) {
        const size_t at = (size_t)s.at * element(o), bytes = (size_t)s.size * element(o);
        char *w = (char *)tl_model_values(o->model) + at, *mean = o->slot[TL_AVERAGE_SLOT] + at, piece[256];
        for (size_t b = 0, n; b < bytes; b += n) {
            n = bytes - b < sizeof piece ? bytes - b : sizeof piece;
            memcpy(piece, w + b, n), memcpy(w + b, mean + b, n), memcpy(mean + b, piece, n);
        }
    }
    tl_model_touch(o->model);
    return TL_OK;
}

static tl_status check_lr(const tl_optimizer *o, double lr)
{
    if (isnan(lr)) return TL_E_ARGUMENT; /* the schedule has said why */
    if (o->desc.rule == TL_FTRL && !(lr > 0))
        return tl_report(TL_E_ARGUMENT, "tl_ftrl divides by the learning rate, which is %g", lr);
    return TL_OK;
}

/* What is to be done with these gradients, up to the update. */
static tl_status apply(tl_optimizer *o, tl_gradients a, double scale)
{
    const double lr = tl_optimizer_lr(o);
    tl_status status = check_lr(o, lr);
    if (!status) status = clip(o, a, &scale);
    if (status) return status;
    const tl_rule_row *rule = tl_rule_of(&o->desc);
    o->steps++;
    if (rule->momentum) o->product *= rule->momentum(&o->desc, (double)o->steps);
    update(o, a, scale, lr);
    if (averages(o)) average(o);
    tl_model_touch(o->model);
    return TL_OK;
}

tl_status tl_optimizer_step_scaled(tl_optimizer *o, tl_session *session, double scale)
{
    if (!o || !session) return tl_report(TL_E_ARGUMENT, "tl_optimizer_step: an optimizer and a session are needed");
    if (tl_session_model(session) != o->model)
        return tl_report(TL_E_ARGUMENT, "tl_optimizer_step: the session is of another model");
    if (!isfinite(scale)) return tl_report(TL_E_ARGUMENT, "tl_optimizer_step_scaled: scale %g is not finite", scale);
    tl_gradients a;
    tl_status status = tl_optimizer_grow(o);
    if (!status) status = find(o, session, &a);
    if (status) return status;
    const tl_float_mode mode = tl_flush_denormals(); /* where gradients vanish, their squares are denormal */
    bool enough = true;
    if (accumulates(o)) status = accumulate(o, &a, &scale, &enough);
    if (!status && enough) status = apply(o, a, scale);
    if (accumulates(o) && o->accumulated >= (uint64_t)o->desc.accumulate) { /* whatever became of them */
        tl_sums_clear(&o->sums, o->slot[TL_SUM_SLOT]);
        o->accumulated = 0;
    }
    tl_restore_mode(mode);
    return status;
}

tl_status tl_optimizer_step(tl_optimizer *o, tl_session *session) { return tl_optimizer_step_scaled(o, session, 1); }
