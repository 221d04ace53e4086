/* train/restore.c - all that a trainer is, into a store and back: to the bit, or not at all. */
#include <inttypes.h>
#include <string.h>

#include "train/checkpoint.h"

/* Names of what a store holds, beside parameters under theirs. */
static const char states[] = "";         /* "/path": of the model */
static const char models[] = "//model";  /* type, seed */
static const char frozen[] = "//frozen"; /* of each parameter: is it? */
static const char optimizers[] = "//optimizer";
static const char *const sessions[] = { [TL_TRAIN] = "//train", [TL_TEST] = "//test", [TL_PREDICT] = "//predict" };

static tl_model *model_of(tl_trainer *t) { return tl_session_model(tl_trainer_session(t, TL_TRAIN)); }

/* ---- what is the same both ways ----------------------------------------------------------------------------- */

static void keep_scalars(tl_store *s, tl_optimizer_scalars *x)
{
    int64_t steps = (int64_t)x->steps, accumulated = (int64_t)x->accumulated;
    tl_store_whole(s, "steps", &steps);
    tl_store_whole(s, "accumulated", &accumulated);
    tl_store_number(s, "lr", &x->lr);
    tl_store_number(s, "product", &x->product);
    x->steps = (uint64_t)steps;
    x->accumulated = (uint64_t)accumulated;
}

static uint64_t keep_unsigned(tl_store *s, const char *name, uint64_t x)
{
    int64_t n = (int64_t)x;
    tl_store_whole(s, name, &n);
    return (uint64_t)n;
}

/* ---- saving ------------------------------------------------------------------------------------------------- */

static tl_array values_of(tl_model *model, const tl_param_info *p)
{
    const size_t element = tl_model_dtype(model) == TL_F64 ? 8 : 4;
    return tl_array_of(p->shape.dtype, p->shape.rank, p->shape.dim,
                       (char *)tl_model_values(model) + (size_t)p->offset * element);
}

static void save_model(tl_store *s, tl_model *model)
{
    const tl_param_info *p;
    const char *name;
    tl_array a;
    for (int i = 0; (p = tl_model_param(model, i)); i++) {
        a = values_of(model, p);
        tl_store_array(s, p->name, &a);
    }
    tl_store_enter(s, states);
    for (int i = 0; i < tl_model_states(model); i++)
        if (!tl_model_state_value(model, i, &name, &a)) tl_store_array(s, name, &a);
    tl_store_leave(s);
    tl_store_enter(s, frozen);
    for (int i = 0; (p = tl_model_param(model, i)); i++) {
        bool yes = p->frozen;
        tl_store_flag(s, p->name, &yes);
    }
    tl_store_leave(s);
    tl_store_enter(s, models);
    keep_unsigned(s, "type", tl_model_dtype(model));
    keep_unsigned(s, "seed", tl_model_seed(model));
    tl_store_leave(s);
}

static void save_optimizer(tl_store *s, tl_optimizer *o, const tl_model *model)
{
    const tl_param_info *p;
    const tl_optimizer_desc options = tl_optimizer_options(o);
    tl_optimizer_scalars scalars = tl_optimizer_get_scalars(o);
    tl_store_enter(s, optimizers);
    tl_optimizer_options_keep(s, &options);
    keep_scalars(s, &scalars);
    for (int k = 0; k < tl_optimizer_slots(o); k++) {
        tl_store_enter(s, tl_optimizer_slot_name(o, k));
        for (int i = 0; !tl_store_status(s) && (p = tl_model_param(model, i)); i++) {
            tl_array a;
            const tl_status status = tl_optimizer_slot(o, k, p->name, &a);
            if (status) tl_store_fail(s, status);
            else tl_store_array(s, p->name, &a);
        }
        tl_store_leave(s);
    }
    tl_store_leave(s);
}

static void save_session(tl_store *s, const tl_session *session, const char *where)
{
    const char *name;
    tl_array a;
    tl_store_enter(s, where);
    keep_unsigned(s, "runs", tl_session_runs(session));
    tl_store_enter(s, "state");
    for (int i = 0; i < tl_session_states(session); i++)
        if (!tl_session_state(session, i, &name, &a)) tl_store_array(s, name, &a);
    tl_store_leave(s);
    tl_store_enter(s, "fresh");
    for (int i = 0; i < tl_session_states(session); i++)
        if (!tl_session_state(session, i, &name, &a) && !tl_session_state_fresh(session, i, &a))
            tl_store_array(s, name, &a);
    tl_store_leave(s);
    tl_store_leave(s);
}

tl_status tl_trainer_save(tl_trainer *t, tl_store *s)
{
    save_model(s, model_of(t));
    save_optimizer(s, tl_trainer_optimizer(t), model_of(t));
    for (int m = TL_TRAIN; m <= TL_PREDICT; m++) save_session(s, tl_trainer_session(t, m), sessions[m]);
    return tl_store_status(s);
}

/* ---- loading: the model ------------------------------------------------------------------------------------- */

static const char *shape_words(char out[static 160], const tl_array *a)
{
    size_t n = (size_t)snprintf(out, 160, "[");
    for (int k = 0; k < a->rank; k++)
        n += (size_t)snprintf(out + n, 160 - n, k ? ",%lld" : "%lld", (long long)a->dim[k]);
    snprintf(out + n, 160 - n, "]");
    return out;
}

static bool same_shape(const tl_array *a, const tl_array *b)
{
    return a->dtype == b->dtype && a->rank == b->rank && !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]);
}

static tl_status differ(const char *what, const char *name, const tl_array *saved, const tl_array *has)
{
    char a[160], b[160];
    if (saved->dtype != has->dtype)
        return tl_report(TL_E_DTYPE, "%s %s is of another type in the checkpoint", what, name);
    return tl_report(TL_E_SHAPE, "%s %s is %s in the checkpoint, but %s here", what, name, shape_words(a, saved),
                     shape_words(b, has));
}

static int64_t elements(const tl_array *a)
{
    int64_t n = 1;
    for (int k = 0; k < a->rank; k++) n *= a->dim[k];
    return n;
}

/* The array called prefix + name; NULL if there is none. Its elements follow *before others with that prefix. */
static const tl_array *find(const tl_store *s, const char *prefix, const char *name)
{
    int n;
    const tl_named_array *e = tl_store_arrays(s, &n);
    const size_t length = strlen(prefix);
    for (int i = 0; i < n; i++)
        if (!strncmp(e[i].name, prefix, length) && !strcmp(e[i].name + length, name)) return &e[i].array;
    return NULL;
}

/* Where a parameter's elements begin when those of the checkpoint are lined up. */
static int64_t place_of(const tl_store *s, const tl_array *a)
{
    int n;
    int64_t at = 0;
    const tl_named_array *e = tl_store_arrays(s, &n);
    for (int i = 0; i < n && &e[i].array != a; i++)
        if (tl_names_param(e[i].name)) at += elements(&e[i].array);
    return at;
}

static tl_status check_params(tl_model *model, const tl_store *s)
{
    int n;
    const tl_named_array *e = tl_store_arrays(s, &n);
    const tl_param_info *p;
    for (int i = 0; (p = tl_model_param(model, i)); i++) {
        const tl_array has = values_of(model, p), *saved = find(s, "", p->name);
        if (!saved) return tl_report(TL_E_NAME, "the checkpoint has no parameter %s", p->name);
        if (!same_shape(saved, &has)) return differ("parameter", p->name, saved, &has);
        if (p->size && place_of(s, saved) != p->offset) /* norms are added up in their order */
            return tl_report(TL_E_NAME,
                             "parameter %s has another place in the checkpoint: its parameters came in another "
                             "order",
                             p->name);
    }
    for (int i = 0; tl_model_count(model) && i < n; i++)
        if (tl_names_param(e[i].name) && tl_model_find(model, e[i].name) < 0)
            return tl_report(TL_E_NAME, "the checkpoint has a parameter %s, and the model has none", e[i].name);
    for (int i = 0; i < tl_model_states(model); i++) {
        const char *name;
        tl_array has;
        const tl_status status = tl_model_state_value(model, i, &name, &has);
        if (status) return status;
        const tl_array *saved = find(s, "/", name);
        if (!saved) return tl_report(TL_E_NAME, "the checkpoint has no state %s", name);
        if (!same_shape(saved, &has)) return differ("state", name, saved, &has);
    }
    return TL_OK;
}

/* Of random numbers and arithmetic, for the same bits. */
static tl_status check_kind(const tl_model *model, tl_store *s)
{
    tl_store_enter(s, models);
    const uint64_t type = keep_unsigned(s, "type", 0), seed = keep_unsigned(s, "seed", 0);
    tl_store_leave(s);
    if (tl_store_status(s)) return tl_store_status(s);
    if (type != tl_model_dtype(model))
        return tl_report(TL_E_DTYPE, "the checkpoint is of a model that computes in %s",
                         type == TL_F64 ? "f64" : "f32");
    if (seed != tl_model_seed(model))
        return tl_report(TL_E_ARGUMENT, "the checkpoint is of a model with seed %" PRIu64 ", not %" PRIu64, seed,
                         tl_model_seed(model));
    return TL_OK;
}

/* The pattern that matches this name alone. */
static bool freeze(tl_model *model, const char *name, bool yes)
{
    char pattern[1024];
    size_t n = 0;
    for (; *name && n + 2 < sizeof pattern; name++) {
        if (strchr("\\*?[", *name)) pattern[n++] = '\\';
        pattern[n++] = *name;
    }
    pattern[n] = 0;
    return !*name && tl_model_freeze(model, pattern, yes) == 1;
}

static tl_status fill_model(tl_model *model, tl_store *s)
{
    int n;
    const tl_param_info *p;
    const tl_named_array *e = tl_store_arrays(s, &n);
    tl_status status = tl_fill_model(model, e, n);
    tl_store_enter(s, frozen);
    for (int i = 0; !status && (p = tl_model_param(model, i)); i++) {
        bool yes = false;
        status = tl_store_flag(s, p->name, &yes);
        if (!status && yes != p->frozen && !freeze(model, p->name, yes))
            status = tl_report(TL_E_NAME, "parameter %s cannot be frozen", p->name);
    }
    tl_store_leave(s);
    return status;
}

/* ---- loading: sessions -------------------------------------------------------------------------------------- */

static tl_status fill_states(tl_session *session, const tl_store *s, const char *where)
{
    char prefix[32];
    const size_t length = (size_t)snprintf(prefix, sizeof prefix, "%s/state/", where);
    int n;
    tl_status status = TL_OK;
    const tl_named_array *e = tl_store_arrays(s, &n);
    for (int i = 0; !status && i < n; i++)
        if (!strncmp(e[i].name, prefix, length))
            status = tl_session_set_state(session, e[i].name + length, &e[i].array);
    snprintf(prefix, sizeof prefix, "%s/fresh/", where);
    for (int i = 0; !status && i < tl_session_states(session); i++) {
        const char *name;
        tl_array value, fresh;
        status = tl_session_state(session, i, &name, &value);
        if (!status) status = tl_session_state_fresh(session, i, &fresh);
        if (status) break;
        const tl_array *saved = find(s, prefix, name);
        if (!saved || !same_shape(saved, &fresh))
            status = tl_report(TL_E_FORMAT, "the rows of state %s are not in the checkpoint", name);
        else memcpy(fresh.data, saved->data, (size_t)elements(&fresh) * sizeof(float));
    }
    return status;
}

static tl_status make_sessions(tl_restored *r, tl_store *s)
{
    tl_status status = TL_OK;
    for (int m = TL_TRAIN; !status && m <= TL_PREDICT; m++) {
        r->session[m] = tl_session_new(r->model);
        if (!r->session[m]) return TL_E_MEMORY;
        tl_store_enter(s, sessions[m]);
        tl_session_set_runs(r->session[m], keep_unsigned(s, "runs", 0));
        tl_store_leave(s);
        status = tl_store_status(s);
        if (!status) status = fill_states(r->session[m], s, sessions[m]);
    }
    return status;
}

/* ---- loading: the optimizer --------------------------------------------------------------------------------- */

/* Slot k of a parameter, as it was saved; NULL after saying why not. */
static const tl_array *saved_slot(const tl_store *s, const char *slot, const tl_model *model, const tl_param_info *p,
                                  tl_status *status)
{
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%s/%.32s/", optimizers, slot);
    const tl_array *a = find(s, prefix, p->name);
    tl_array like = tl_array_of(tl_model_dtype(model), p->shape.rank, p->shape.dim, NULL);
    if (!a) *status = tl_report(TL_E_FORMAT, "the checkpoint has no %s of parameter %s", slot, p->name);
    else if (!same_shape(a, &like)) *status = differ(slot, p->name, a, &like);
    return *status ? NULL : a;
}

/* Every slot is there; with `write`, they are set. The optimizer's model has the saved parameters. */
static tl_status go_through_slots(tl_optimizer *o, tl_model *model, const tl_store *s, bool write)
{
    tl_status status = TL_OK;
    const tl_param_info *p;
    for (int k = 0; k < tl_optimizer_slots(o); k++)
        for (int i = 0; !status && (p = tl_model_param(model, i)); i++) {
            tl_array to;
            const tl_array *from = saved_slot(s, tl_optimizer_slot_name(o, k), model, p, &status);
            if (from) status = tl_optimizer_slot(o, k, p->name, &to);
            if (from && !status && write) memcpy(to.data, from->data, (size_t)p->size * (to.dtype == TL_F64 ? 8 : 4));
        }
    return status;
}

static tl_optimizer_scalars saved_scalars(tl_store *s)
{
    tl_optimizer_scalars x = { 0 };
    tl_store_enter(s, optimizers);
    keep_scalars(s, &x);
    tl_store_leave(s);
    return x;
}

/* Nothing that is done here makes a difference: the slots get their memory, and the scalars are tried. */
static tl_status try_optimizer(tl_restored *r, tl_store *s)
{
    tl_optimizer *o = tl_trainer_optimizer(r->trainer);
    tl_model *model = model_of(r->trainer);
    const tl_optimizer_desc has = tl_optimizer_options(o);
    tl_store_enter(s, optimizers);
    tl_optimizer_options_keep(s, &has);
    tl_store_leave(s);
    const tl_optimizer_scalars old = tl_optimizer_get_scalars(o), new = saved_scalars(s);
    tl_status status = tl_store_status(s);
    if (!status) status = tl_optimizer_set_scalars(o, new);
    if (!status) status = tl_optimizer_set_scalars(o, old);
    if (status) return status;
    tl_model_swap(model, r->model);
    status = go_through_slots(o, model, s, false);
    tl_model_swap(model, r->model);
    return status;
}

/* ---- the steps ---------------------------------------------------------------------------------------------- */

tl_status tl_restore_begin(tl_restored *r, tl_trainer *t, tl_store *s)
{
    *r = (tl_restored){ .trainer = t };
    tl_model *model = model_of(t);
    tl_status status = check_kind(model, s);
    if (!status) status = check_params(model, s);
    if (!status && !(r->model = tl_model_copy(model, 0))) status = TL_E_MEMORY;
    if (!status) status = fill_model(r->model, s);
    if (!status) status = make_sessions(r, s);
    return status ? status : try_optimizer(r, s);
}

tl_status tl_restore_commit(tl_restored *r, tl_store *s)
{
    tl_optimizer *o = tl_trainer_optimizer(r->trainer);
    tl_status status = tl_model_swap(model_of(r->trainer), r->model);
    if (!status) status = go_through_slots(o, model_of(r->trainer), s, true);
    if (!status) status = tl_optimizer_set_scalars(o, saved_scalars(s));
    for (int m = TL_TRAIN; m <= TL_PREDICT; m++) tl_session_swap(tl_trainer_session(r->trainer, m), r->session[m]);
    return status;
}

void tl_restore_end(tl_restored *r)
{
    for (int m = TL_TRAIN; m <= TL_PREDICT; m++) tl_session_free(r->session[m]);
    tl_model_free(r->model);
}
