/* optim/optimizer.c - descriptions, moments, and the step that applies a rule to what the loss has reached. */
#include "optim/loops.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "graph/denormals.h"
#include "ops/kernels/kernels.h"

/* ---- rules -------------------------------------------------------------------------------------------------- */

enum { SLOTS = 2 }; /* moments of an element, at most */

typedef struct rule {
    int slots;
    size_t loop; /* of struct tl_loops */
    const char *slot[SLOTS];
} rule;

#define LOOP(name) offsetof(tl_loops, name)
static const rule plain[] = {
    [TL_SGD] = { 0, LOOP(sgd) },
    [TL_RMSPROP] = { 1, LOOP(rmsprop), { "v" } },
    [TL_ADAM] = { 2, LOOP(adam), { "m", "v" } },
};
static const rule with_momentum[] = {
    [TL_SGD] = { 1, LOOP(sgd_momentum), { "m" } },
    [TL_RMSPROP] = { 2, LOOP(rmsprop_momentum), { "v", "m" } },
};
static const rule nesterov = { 1, LOOP(sgd_nesterov), { "m" } };

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
    void *block; /* the moments' memory */
    size_t bytes;
    char *moment[SLOTS]; /* at the model's offsets, in lines of the cache as the gradients are */
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
    tl_resize(o->block, o->bytes, 0);
    tl_resize(o, sizeof *o, 0);
}

/* Moments of parameters that joined the model since the last step start at zero. */
static tl_status grow(tl_optimizer *o)
{
    enum { LINE = 64 };
    const int64_t size = tl_model_size(o->model);
    if (size <= o->size || !o->rule->slots) return TL_OK;
    const size_t old = (size_t)o->size * element(o), each = ((size_t)size * element(o) + LINE - 1) / LINE * LINE;
    const size_t bytes = (size_t)o->rule->slots * each + LINE;
    void *block = tl_resize(NULL, 0, bytes);
    if (!block) return tl_report(TL_E_MEMORY, "tl_optimizer_step: out of memory for moments");
    char *moment = (char *)(((uintptr_t)block + LINE - 1) / LINE * LINE);
    for (int k = 0; k < o->rule->slots; k++, moment += each) {
        if (old) memcpy(moment, o->moment[k], old);
        memset(moment + old, 0, each - old);
        o->moment[k] = moment;
    }
    tl_resize(o->block, o->bytes, 0);
    o->block = block;
    o->bytes = bytes;
    o->size = size;
    return TL_OK;
}

/* What corrects for the moments' start at zero depends on the step alone: one factor. It is 1 for the rules whose betas
 * are zero. */
static double rate(const tl_optimizer *o)
{
    const double t = (double)o->steps;
    return o->desc.lr * sqrt(1 - pow(o->desc.beta2, t)) / (1 - pow(o->desc.beta1, t));
}

static void update(const tl_optimizer *o, const void *gradients, double scale, tl_spans spans)
{
    const tl_optimizer_desc *d = &o->desc;
    const tl_loops *loops = tl_loops_for(tl_isa(), tl_model_dtype(o->model));
    const tl_update_loop loop = *(const tl_update_loop *)(const void *)((const char *)loops + o->rule->loop);
    const tl_update u = { .rate = rate(o),
                          .scale = scale,
                          .momentum = d->momentum,
                          .rho = d->rho,
                          .beta1 = d->beta1,
                          .beta2 = d->beta2,
                          .epsilon = d->epsilon,
                          .w = tl_model_values(o->model),
                          .g = gradients,
                          .m = o->moment[0],
                          .v = o->moment[1] };
    const tl_float_mode mode = tl_flush_denormals(); /* where gradients vanish, their squares are denormal */
    for (tl_span s; tl_next_span(&spans, &s);) loop(&u, &s);
    tl_restore_mode(mode);
}

tl_status tl_optimizer_step_scaled(tl_optimizer *o, tl_session *session, double scale)
{
    if (!o || !session) return tl_report(TL_E_ARGUMENT, "tl_optimizer_step: an optimizer and a session are needed");
    if (tl_session_model(session) != o->model)
        return tl_report(TL_E_ARGUMENT, "tl_optimizer_step: the session is of another model");
    if (!isfinite(scale)) return tl_report(TL_E_ARGUMENT, "tl_optimizer_step_scaled: scale %g is not finite", scale);
    const tl_range *ranges = NULL;
    int n = 0;
    const void *gradients = tl_session_read_gradients(session, &ranges, &n);
    if (!n) return tl_report(TL_E_OUTPUT, "tl_optimizer_step: no gradients are there; record tl_backward(loss)");
    const tl_status status = grow(o);
    if (status) return status;
    o->steps++;
    update(o, gradients, scale,
           (tl_spans){ session, o->model, ranges, ranges + n, .used_rows = o->desc.lazy, .no_frozen = true });
    tl_model_touch(o->model);
    return TL_OK;
}

tl_status tl_optimizer_step(tl_optimizer *o, tl_session *session) { return tl_optimizer_step_scaled(o, session, 1); }

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

int tl_optimizer_slots(const tl_optimizer *o) { return o->rule->slots; }

const char *tl_optimizer_slot_name(const tl_optimizer *o, int k)
{
    return k >= 0 && k < o->rule->slots ? o->rule->slot[k] : NULL;
}

tl_status tl_optimizer_slot(tl_optimizer *o, int k, const char *path, tl_array *out)
{
    if (!o || !path || !out || !tl_optimizer_slot_name(o, k))
        return tl_report(TL_E_ARGUMENT, "tl_optimizer_slot: there is no array %d", k);
    const tl_param_info *p;
    for (int i = 0; (p = tl_model_param(o->model, i)) && strcmp(p->name, path);) i++;
    if (!p) return tl_report(TL_E_NAME, "tl_optimizer_slot: no parameter \"%s\"", path);
    const tl_status status = grow(o);
    if (status) return status;
    *out = (tl_array){ .dtype = tl_model_dtype(o->model),
                       .rank = p->shape.rank,
                       .data = o->moment[k] + (size_t)p->offset * element(o) };
    for (int a = 0; a < p->shape.rank; a++) out->dim[a] = p->shape.dim[a];
    return TL_OK;
}

tl_optimizer_scalars tl_optimizer_get_scalars(const tl_optimizer *o)
{
    return (tl_optimizer_scalars){ .steps = o->steps, .lr = o->desc.lr, .product = 1 };
}

tl_status tl_optimizer_set_scalars(tl_optimizer *o, tl_optimizer_scalars s)
{
    if (!o || s.accumulated || s.product != 1)
        return tl_report(TL_E_ARGUMENT, "tl_optimizer_set_scalars: this optimizer has no such state");
    const tl_status status = tl_optimizer_set_lr(o, s.lr);
    if (!status) o->steps = s.steps;
    return status;
}
