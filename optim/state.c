/* optim/state.c - looking at an optimizer, and setting what it remembers. */
#include "optim/optimizer.h"

#include <math.h>

double tl_optimizer_lr(const tl_optimizer *o)
{
    if (!o) return NAN;
    return o->desc.schedule.kind ? tl_schedule_value(&o->desc.schedule, (int64_t)(o->steps & INT64_MAX)) : o->desc.lr;
}

tl_status tl_optimizer_set_lr(tl_optimizer *o, double lr)
{
    if (!o || !(lr >= 0) || isinf(lr))
        return tl_report(TL_E_ARGUMENT, "tl_optimizer_set_lr: %g; it must be at least 0 and finite", lr);
    if (o->desc.schedule.kind)
        return tl_report(TL_E_ARGUMENT, "tl_optimizer_set_lr: the learning rate follows the optimizer's .schedule");
    o->desc.lr = lr;
    return TL_OK;
}

uint64_t tl_optimizer_steps(const tl_optimizer *o) { return o ? o->steps : 0; }

double tl_optimizer_norm(const tl_optimizer *o) { return o ? o->norm : NAN; }

tl_optimizer_desc tl_optimizer_options(const tl_optimizer *o) { return o ? o->desc : (tl_optimizer_desc){ 0 }; }

/* The place of array k of those that are kept; TL_SLOTS if there is none. */
static int place_of(const tl_optimizer *o, int k)
{
    int place = 0;
    for (; place < TL_SLOTS; place++)
        if (tl_optimizer_keeps(o, place) && k-- == 0) break;
    return place;
}

int tl_optimizer_slots(const tl_optimizer *o)
{
    int n = 0;
    for (int k = 0; o && k < TL_SLOTS; k++) n += tl_optimizer_keeps(o, k);
    return n;
}

const char *tl_optimizer_slot_name(const tl_optimizer *o, int k)
{
    const int place = !o || k < 0 ? TL_SLOTS : place_of(o, k);
    if (place < TL_RULE_SLOTS) return tl_rule_of(&o->desc)->slot[place].name;
    return place == TL_AVERAGE_SLOT ? "average" : place == TL_SUM_SLOT ? "sum" : NULL;
}

tl_status tl_optimizer_slot(tl_optimizer *o, int k, const char *path, tl_array *out)
{
    if (!o || !path || !out || !tl_optimizer_slot_name(o, k))
        return tl_report(TL_E_ARGUMENT, "tl_optimizer_slot: there is no array %d", k);
    const tl_param_info *p = tl_model_param(o->model, tl_model_find(o->model, path));
    if (!p) return tl_report(TL_E_NAME, "tl_optimizer_slot: no parameter \"%s\"", path);
    const tl_status status = tl_optimizer_grow(o);
    if (status) return status;
    *out = (tl_array){ .dtype = tl_model_dtype(o->model),
                       .rank = p->shape.rank,
                       .data = o->slot[place_of(o, k)] + (size_t)p->offset * tl_element_of(o->model) };
    for (int a = 0; a < p->shape.rank; a++) out->dim[a] = p->shape.dim[a];
    return TL_OK;
}

tl_optimizer_scalars tl_optimizer_get_scalars(const tl_optimizer *o)
{
    if (!o) return (tl_optimizer_scalars){ 0 };
    return (tl_optimizer_scalars){
        .steps = o->steps, .accumulated = o->accumulated, .lr = o->desc.lr, .product = o->product
    };
}

tl_status tl_optimizer_set_scalars(tl_optimizer *o, tl_optimizer_scalars s)
{
    if (!o) return tl_report(TL_E_ARGUMENT, "tl_optimizer_set_scalars: no optimizer");
    if (s.accumulated >= (uint64_t)o->desc.accumulate)
        return tl_report(TL_E_ARGUMENT,
                         "tl_optimizer_set_scalars: %llu runs accumulated, but an update is made of %lld",
                         (unsigned long long)s.accumulated, (long long)o->desc.accumulate);
    const bool multiplies = tl_rule_of(&o->desc)->momentum;
    if (!(multiplies ? s.product >= 0 && s.product <= 1 : s.product == 1))
        return tl_report(TL_E_ARGUMENT, "tl_optimizer_set_scalars: the product of momenta is %g", s.product);
    if (!(s.lr >= 0) || isinf(s.lr))
        return tl_report(TL_E_ARGUMENT, "tl_optimizer_set_scalars: the learning rate is %g", s.lr);
    o->steps = s.steps;
    o->accumulated = s.accumulated;
    o->resumed = s.accumulated > 0;
    o->desc.lr = s.lr;
    o->product = s.product;
    return TL_OK;
}
