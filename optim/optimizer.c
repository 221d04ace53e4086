/* optim/optimizer.c - descriptions, moments, and the one loop that applies a rule to what the loss has reached. */
#include "optim/optim.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- rules -------------------------------------------------------------------------------------------------- */

/* A range of elements to be updated. */
typedef struct update {
    const tl_optimizer_desc *o;
    uint64_t step;
    int64_t n;
    void *w;
    const void *g;
    void *m, *v;
} update;

#define REAL float
#define REAL_SQRT sqrtf
#define RULE(name) static void name##_f32(const update *u)
#include "optim/rules.h"
#undef REAL
#undef REAL_SQRT
#undef RULE
#define REAL double
#define REAL_SQRT sqrt
#define RULE(name) static void name##_f64(const update *u)
#include "optim/rules.h"
#undef REAL
#undef REAL_SQRT
#undef RULE

enum { SLOTS = 2 }; /* moments of an element, at most */

typedef struct rule {
    int slots;
    void (*f32)(const update *u);
    void (*f64)(const update *u);
} rule;

static const rule plain[] = {
    [TL_SGD] = { 0, sgd_f32, sgd_f64 },
    [TL_RMSPROP] = { 1, rmsprop_f32, rmsprop_f64 },
    [TL_ADAM] = { 2, adam_f32, adam_f64 },
};
static const rule with_momentum[] = {
    [TL_SGD] = { 1, sgd_momentum_f32, sgd_momentum_f64 },
    [TL_RMSPROP] = { 2, rmsprop_momentum_f32, rmsprop_momentum_f64 },
};
static const rule nesterov = { 1, sgd_nesterov_f32, sgd_nesterov_f64 };

/* ---- descriptions ------------------------------------------------------------------------------------------- */

/* A number of a description; below: the bound it may not reach (INFINITY: none but that). */
typedef struct option {
    const char *name;
    size_t offset;
    double below;
} option;

static const option options[] = {
    { ".lr", offsetof(tl_optimizer_desc, lr), INFINITY },
    { ".momentum", offsetof(tl_optimizer_desc, momentum), 1 },
    { ".rho", offsetof(tl_optimizer_desc, rho), 1 },
    { ".beta1", offsetof(tl_optimizer_desc, beta1), 1 },
    { ".beta2", offsetof(tl_optimizer_desc, beta2), 1 },
    { ".epsilon", offsetof(tl_optimizer_desc, epsilon), INFINITY },
};
enum { OPTIONS = sizeof options / sizeof *options };

/* In the order of options[]; NAN: the rule has no such option. */
static const struct {
    const char *name;
    double value[OPTIONS];
} defaults[] = {
    [TL_SGD] = { "tl_sgd", { 0.01, 0, NAN, NAN, NAN, NAN } },
    [TL_RMSPROP] = { "tl_rmsprop", { 0.001, 0, 0.9, NAN, NAN, 1e-7 } },
    [TL_ADAM] = { "tl_adam", { 0.001, NAN, NAN, 0.9, 0.999, 1e-7 } },
};

static double *number(tl_optimizer_desc *d, const option *o) { return (double *)(void *)((char *)d + o->offset); }

static bool known(tl_rule r) { return r >= TL_SGD && r <= TL_ADAM; }

tl_optimizer_desc tl_optimizer_defaults(tl_rule r)
{
    tl_optimizer_desc d = { 0 };
    if (!known(r)) return d;
    d.size = sizeof d;
    d.rule = r;
    for (int k = 0; k < OPTIONS; k++) {
        const double value = defaults[r].value[k];
        *number(&d, &options[k]) = isnan(value) ? 0 : value;
    }
    return d;
}

/* Puts the defaults into d's zeros, and checks the rest. */
static tl_status resolve(tl_optimizer_desc *d)
{
    if (d->size != sizeof *d || !known(d->rule))
        return tl_report(TL_E_ARGUMENT, "tl_optimizer_new: a description is made by tl_sgd(), tl_rmsprop(), tl_adam()");
    const char *name = defaults[d->rule].name;
    for (int k = 0; k < OPTIONS; k++) {
        const option *o = &options[k];
        double *value = number(d, o);
        const double standard = defaults[d->rule].value[k];
        if (isnan(standard)) {
            if (*value != 0) return tl_report(TL_E_ARGUMENT, "%s has no option %s", name, o->name);
            continue;
        }
        *value = tl_number(*value, standard);
        if (!(*value >= 0 && *value < o->below))
            return tl_report(TL_E_ARGUMENT, "%s: %s = %g; it must be at least 0 and %s", name, o->name, *value,
                             isinf(o->below) ? "finite" : "below 1");
    }
    if (d->nesterov && !(d->rule == TL_SGD && d->momentum > 0))
        return tl_report(TL_E_ARGUMENT, "%s: .nesterov is for tl_sgd with .momentum above 0", name);
    return TL_OK;
}

/* ---- the object --------------------------------------------------------------------------------------------- */

struct tl_optimizer {
    tl_model *model;
    tl_optimizer_desc desc;
    const rule *rule;
    char *moment[SLOTS]; /* at the model's offsets */
    int64_t size;        /* elements of each */
    uint64_t steps;
};

static size_t element(const tl_optimizer *o)
{
    return tl_model_dtype(o->model) == TL_F64 ? sizeof(double) : sizeof(float);
}

tl_optimizer *tl_optimizer_new(tl_model *model, tl_optimizer_desc desc)
{
    if (!model) {
        tl_report(TL_E_ARGUMENT, "tl_optimizer_new: no model");
        return NULL;
    }
    if (resolve(&desc)) return NULL;
    tl_optimizer *o = tl_resize(NULL, 0, sizeof *o);
    if (!o) {
        tl_report(TL_E_MEMORY, "tl_optimizer_new: out of memory");
        return NULL;
    }
    *o = (tl_optimizer){ .model = model, .desc = desc };
    o->rule = desc.nesterov ? &nesterov : desc.momentum > 0 ? &with_momentum[desc.rule] : &plain[desc.rule];
    return o;
}

void tl_optimizer_free(tl_optimizer *o)
{
    if (!o) return;
    for (int k = 0; k < o->rule->slots; k++) tl_resize(o->moment[k], (size_t)o->size * element(o), 0);
    tl_resize(o, sizeof *o, 0);
}

/* Moments of parameters that joined the model since the last step start at zero. */
static tl_status grow(tl_optimizer *o)
{
    const int64_t size = tl_model_size(o->model);
    if (size <= o->size) return TL_OK;
    const size_t old = (size_t)o->size * element(o);
    const size_t new = (size_t)size *element(o);
    char *moment[SLOTS] = { 0 };
    for (int k = 0; k < o->rule->slots; k++) {
        moment[k] = tl_resize(NULL, 0, new);
        if (moment[k]) continue;
        while (k--) tl_resize(moment[k], new, 0);
        return tl_report(TL_E_MEMORY, "tl_optimizer_step: out of memory for moments");
    }
    for (int k = 0; k < o->rule->slots; k++) {
        if (old) memcpy(moment[k], o->moment[k], old);
        memset(moment[k] + old, 0, new - old);
        tl_resize(o->moment[k], old, 0);
        o->moment[k] = moment[k];
    }
    o->size = size;
    return TL_OK;
}

/* The first parameter that ends after an offset. Offsets ascend, for the model grows only at its end. */
static int first_after(const tl_model *model, int64_t offset)
{
    int low = 0, high = tl_model_count(model);
    while (low < high) {
        const int middle = low + (high - low) / 2;
        const tl_param_info *p = tl_model_param(model, middle);
        if (p->offset + p->size > offset) high = middle;
        else low = middle + 1;
    }
    return low;
}

static void apply(const tl_optimizer *o, const char *gradients, int64_t begin, int64_t end)
{
    const size_t e = element(o), at = (size_t)begin * e;
    const update u = {
        .o = &o->desc,
        .step = o->steps,
        .n = end - begin,
        .w = (char *)tl_model_values(o->model) + at,
        .g = gradients + at,
        .m = o->moment[0] ? o->moment[0] + at : NULL,
        .v = o->moment[1] ? o->moment[1] + at : NULL,
    };
    if (e == sizeof(double)) o->rule->f64(&u);
    else o->rule->f32(&u);
}

/* Parameter i, or the rows of it that were used, in the part begin..end of the flat array. */
static void apply_param(const tl_optimizer *o, const tl_session *s, const char *gradients, int i, int64_t begin,
                        int64_t end)
{
    const tl_param_info *p = tl_model_param(o->model, i);
    int64_t n = 0;
    const int32_t *row = o->desc.lazy ? tl_session_rows(s, i, &n) : NULL;
    if (!row) apply(o, gradients, begin, end);
    for (int64_t k = 0, size = row ? p->size / p->shape.dim[0] : 0; k < n; k++)
        apply(o, gradients, p->offset + row[k] * size, p->offset + (row[k] + 1) * size);
}

/* The parts of a range that belong to parameters which may change. */
static void apply_range(const tl_optimizer *o, const tl_session *s, const char *gradients, tl_range range)
{
    const tl_param_info *p;
    for (int i = first_after(o->model, range.begin); (p = tl_model_param(o->model, i)) && p->offset < range.end; i++) {
        const int64_t begin = p->offset > range.begin ? p->offset : range.begin;
        const int64_t end = p->offset + p->size < range.end ? p->offset + p->size : range.end;
        if (!p->frozen && begin < end) apply_param(o, s, gradients, i, begin, end);
    }
}

tl_status tl_optimizer_step(tl_optimizer *o, tl_session *session)
{
    if (!o || !session) return tl_report(TL_E_ARGUMENT, "tl_optimizer_step: an optimizer and a session are needed");
    if (tl_session_model(session) != o->model)
        return tl_report(TL_E_ARGUMENT, "tl_optimizer_step: the session is of another model");
    const tl_range *ranges = NULL;
    int n = 0;
    const char *gradients = tl_session_read_gradients(session, &ranges, &n);
    if (!n) return tl_report(TL_E_OUTPUT, "tl_optimizer_step: no gradients are there; record tl_backward(loss)");
    const tl_status status = grow(o);
    if (status) return status;
    o->steps++;
    for (int i = 0; i < n; i++) apply_range(o, session, gradients, ranges[i]);
    tl_model_touch(o->model);
    return TL_OK;
}

/* ---- looking and setting ------------------------------------------------------------------------------------ */

double tl_optimizer_lr(const tl_optimizer *o) { return o->desc.lr; }

tl_status tl_optimizer_set_lr(tl_optimizer *o, double lr)
{
    if (!o || !(lr >= 0) || isinf(lr))
        return tl_report(TL_E_ARGUMENT, "tl_optimizer_set_lr: %g; it must be at least 0 and finite", lr);
    o->desc.lr = lr;
    return TL_OK;
}

uint64_t tl_optimizer_steps(const tl_optimizer *o) { return o->steps; }

tl_optimizer_desc tl_optimizer_options(const tl_optimizer *o) { return o->desc; }
