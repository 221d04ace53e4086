/* train/trainer.c - steps over a cache of plans, with the proof that a model function records the same thing again. */
#include "train/buckets.h"
#include "train/fit.h"

#include <math.h>
#include <string.h>

#include "ops/ops.h"

enum { MODES = 4, PLANS = 64 };

/* A plan and what it is good for. */
typedef struct cached {
    tl_plan *plan;
    tl_trace *trace;
    tl_mode mode;
    uint64_t key, frozen;
    tl_array *inputs; /* as given, absent ones too; their data is not looked at */
    int n;
    uint64_t replays, used; /* runs after the first; when last used */
} cached;

struct tl_trainer {
    tl_model *model;
    tl_model_fn fn;
    tl_trainer_opts o;
    tl_optimizer *optimizer;
    tl_session *session[MODES];
    tl_tape *tape[MODES]; /* kept for the next recording: a tape belongs to one session */
    cached *plans;
    int n_plans;
    cached once;       /* of a function that looked at values: good for this step only */
    tl_array *present; /* the inputs that are there, in the form of tl_run() */
    tl_tensor *handles;
    tl_array *shaped; /* the inputs of the last step, n_shaped, with steps as many as their bucket has */
    int n_shaped;
    int room;       /* of the three above */
    tl_room longer; /* memory of those that became longer */
    int lengths;    /* the input that tells which steps are real; -1: none does */
    bool explained; /* a plan that is good for one step only */
    uint64_t clock;
};

/* ---- making and freeing ------------------------------------------------------------------------------------- */

static tl_trainer *fail_new(tl_trainer *t, tl_status status, const char *sentence)
{
    tl_trainer_free(t);
    if (sentence) tl_report(status, "tl_trainer_new: %s", sentence);
    return NULL;
}

/* Neither negative nor NaN. */
static bool clip_fits(double limit) { return tl_number(limit, 0) >= 0; }

/* The trainer's limits are handed on to its optimizer, and the norm is always measured. */
static bool make_optimizer(tl_trainer *t)
{
    tl_optimizer_desc d = t->o.optimizer.rule ? t->o.optimizer : tl_adam();
    const double value = tl_number(t->o.clip_value, 0), norm = tl_number(t->o.clip_norm, 0);
    if ((value > 0 && d.clip_value > 0) || (norm > 0 && d.clip_norm > 0)) {
        tl_report(TL_E_ARGUMENT, "tl_trainer_new: a limit for clipping is given to the trainer or to its optimizer");
        return false;
    }
    if (value > 0) d.clip_value = value;
    if (norm > 0) d.clip_norm = norm;
    if (d.clip_norm == 0 || d.clip_norm == TL_ZERO) d.clip_norm = INFINITY;
    t->optimizer = tl_optimizer_new(t->model, d);
    return t->optimizer;
}

tl_trainer *tl_trainer_new_opt(tl_model *model, tl_model_fn fn, const tl_trainer_opts *o)
{
    const tl_trainer_opts none = { .size = sizeof none };
    if (!model || !fn) return fail_new(NULL, TL_E_ARGUMENT, "a model and a model function are needed");
    if (!o) o = &none;
    if (!clip_fits(o->clip_norm) || !clip_fits(o->clip_value) || o->plans < 0 ||
        (o->lengths < 0 && o->lengths != TL_ZERO))
        return fail_new(NULL, TL_E_ARGUMENT, ".clip_norm, .clip_value, .plans and .lengths may not be negative");
    tl_trainer *t = tl_resize(NULL, 0, sizeof *t);
    if (!t) return fail_new(NULL, TL_E_MEMORY, "out of memory");
    *t = (tl_trainer){ .model = model, .fn = fn, .o = *o };
    t->lengths = o->lengths == TL_ZERO ? 0 : o->lengths ? o->lengths : -1;
    if (!t->o.plans) t->o.plans = PLANS;
    if (!make_optimizer(t)) return fail_new(t, TL_OK, NULL);
    t->plans = tl_resize(NULL, 0, (size_t)t->o.plans * sizeof *t->plans);
    bool good = t->plans;
    for (int m = TL_TRAIN; m <= TL_PREDICT; m++) good = (t->session[m] = tl_session_new(model)) && good;
    return good ? t : fail_new(t, TL_E_MEMORY, "out of memory");
}

static void forget(cached *c)
{
    tl_plan_free(c->plan);
    tl_trace_free(c->trace);
    tl_resize(c->inputs, (size_t)c->n * sizeof *c->inputs, 0);
    *c = (cached){ 0 };
}

void tl_trainer_free(tl_trainer *t)
{
    if (!t) return;
    for (int m = TL_TRAIN; m <= TL_PREDICT; m++) {
        tl_session_free(t->session[m]);
        tl_tape_free(t->tape[m]);
    }
    for (int i = 0; i < t->n_plans; i++) forget(&t->plans[i]);
    forget(&t->once);
    tl_resize(t->plans, (size_t)t->o.plans * sizeof *t->plans, 0);
    tl_resize(t->present, (size_t)t->room * sizeof *t->present, 0);
    tl_resize(t->handles, (size_t)t->room * sizeof *t->handles, 0);
    tl_resize(t->shaped, (size_t)t->room * sizeof *t->shaped, 0);
    tl_resize(t->longer.data, t->longer.bytes, 0);
    tl_optimizer_free(t->optimizer);
    tl_resize(t, sizeof *t, 0);
}

/* ---- inputs ------------------------------------------------------------------------------------------------- */

static bool absent(const tl_array *a) { return a->rank < 0; }

static bool same_kind(const tl_array *a, const tl_array *b)
{
    if (a->dtype != b->dtype || a->rank != b->rank || a->batch_axis != b->batch_axis) return absent(a) && absent(b);
    for (int k = 0; k < a->rank; k++)
        if (a->dim[k] != b->dim[k]) return false;
    return true;
}

/* Room for n inputs, and for the absent ones that a model function sees beyond them. */
static tl_status make_room(tl_trainer *t, int n)
{
    if (n + TL_SPARE_INPUTS <= t->room) return TL_OK;
    const int room = n + TL_SPARE_INPUTS;
    tl_array *present = tl_resize(NULL, 0, (size_t)room * sizeof *present);
    tl_array *shaped = tl_resize(NULL, 0, (size_t)room * sizeof *shaped);
    tl_tensor *handles = tl_resize(NULL, 0, (size_t)room * sizeof *handles);
    if (!present || !handles || !shaped) {
        tl_resize(present, (size_t)room * sizeof *present, 0);
        tl_resize(shaped, (size_t)room * sizeof *shaped, 0);
        tl_resize(handles, (size_t)room * sizeof *handles, 0);
        return tl_report(TL_E_MEMORY, "out of memory for %d inputs", n);
    }
    tl_resize(t->present, (size_t)t->room * sizeof *t->present, 0);
    tl_resize(t->handles, (size_t)t->room * sizeof *t->handles, 0);
    tl_resize(t->shaped, (size_t)t->room * sizeof *t->shaped, 0);
    t->present = present;
    t->shaped = shaped;
    t->handles = handles;
    t->room = room;
    return TL_OK;
}

static const char *type_name(tl_dtype dtype)
{
    return dtype == TL_F32 ? "f32" : dtype == TL_F64 ? "f64" : dtype == TL_I32 ? "i32" : "of no type";
}

static tl_status check_inputs(tl_trainer *t, const tl_array *inputs, int n)
{
    if (!t || n < 0 || (n && !inputs)) return tl_report(TL_E_ARGUMENT, "a trainer and its inputs are needed");
    for (int i = 0; i < n; i++)
        if (inputs[i].rank > TL_MAX_RANK)
            return tl_report(TL_E_INPUT, "in[%d] has rank %d; the most is %d", i, inputs[i].rank, TL_MAX_RANK);
    for (int i = 0; i < n; i++)
        if (!absent(&inputs[i]) && inputs[i].dtype != TL_I32 && inputs[i].dtype != tl_model_dtype(t->model))
            return tl_report(TL_E_DTYPE,
                             "in[%d] is %s, but the model computes in %s: give TL_%s numbers, or TL_I32 ids", i,
                             type_name(inputs[i].dtype), type_name(tl_model_dtype(t->model)),
                             tl_model_dtype(t->model) == TL_F64 ? "F64" : "F32");
    return make_room(t, n);
}

/* The inputs into t->shaped; where one of them tells which steps are real, as their bucket has them. What is predicted keeps
 * its length. */
static tl_status shape_inputs(tl_trainer *t, tl_mode mode, const tl_array *inputs, int n)
{
    if (n) memcpy(t->shaped, inputs, (size_t)n * sizeof *t->shaped);
    t->n_shaped = n;
    if (mode != TL_PREDICT && t->lengths >= n)
        return tl_report(TL_E_ARGUMENT, "there is no in[%d], which should tell which steps are real (.lengths)",
                         t->lengths);
    if (mode == TL_PREDICT || t->lengths < 0 || absent(&t->shaped[t->lengths])) return TL_OK;
    return tl_bucket_inputs(t->shaped, n, t->lengths, &t->longer);
}

/* The inputs that are there, into t->present; returns how many. */
static int gather_present(tl_trainer *t, const tl_array *inputs, int n)
{
    int k = 0;
    for (int i = 0; i < n; i++)
        if (!absent(&inputs[i])) t->present[k++] = inputs[i];
    return k;
}

/* ---- recording ---------------------------------------------------------------------------------------------- */

/* The model function on this mode's tape, up to the loss, which is absent or a scalar. The caller looks at the tape's
 * status. NULL if there is no tape. */
static tl_tape *record(tl_trainer *t, tl_mode mode, const tl_array *inputs, int n, tl_tensor *loss)
{
    tl_tape **tape = &t->tape[mode];
    if (*tape) tl_tape_reset(*tape);
    else *tape = tl_tape_new(t->model, .training = mode == TL_TRAIN, .session = t->session[mode]);
    if (!*tape) return NULL;
    tl_scope *root = tl_root(*tape);
    for (int i = n; i < t->room; i++) t->handles[i] = TL_NONE;
    for (int i = 0; i < n; i++) {
        char name[24];
        snprintf(name, sizeof name, "in[%d]", i);
        t->handles[i] = absent(&inputs[i]) ? TL_NONE : tl_input(root, name, inputs[i]);
    }
    *loss = tl_total_loss(root, t->fn(root, t->handles, t->o.user));
    if (!tl_absent(*loss) && tl_rank(*loss)) *loss = tl_sum(*loss, TL_ALL);
    if (!tl_absent(*loss)) tl_output(root, "loss", *loss);
    return *tape;
}

/* Which parameters are frozen, as a number. */
static uint64_t frozen_set(const tl_model *model)
{
    uint64_t h = 0;
    const tl_param_info *p;
    for (int i = 0; (p = tl_model_param(model, i)); i++)
        if (p->frozen) h = (h ^ (h >> 29) ^ ((uint64_t)i + 1)) * 0x9E3779B97F4A7C15u;
    return h;
}

/* Records and compiles for these inputs, into *c. */
static tl_status compile(tl_trainer *t, tl_mode mode, const tl_array *inputs, int n, cached *c)
{
    tl_tensor loss;
    tl_tape *tape = record(t, mode, inputs, n, &loss);
    if (!tape) return TL_E_MEMORY;
    if (tl_failed(tape)) return tl_tape_status(tape);
    if (tl_absent(loss) && mode != TL_PREDICT)
        return tl_report(TL_E_ABSENT, "the model function returned no loss (were the targets given?)");
    *c = (cached){ .mode = mode, .key = t->o.key, .n = n, .trace = tl_trace_new(tape) };
    if (mode == TL_TRAIN) tl_backward(loss);
    c->plan = tl_compile(tape);
    c->inputs = tl_resize(NULL, 0, (size_t)n * sizeof *c->inputs);
    if (!c->plan || !c->trace || (n && !c->inputs)) {
        forget(c);
        return tl_failed(tape) ? tl_tape_status(tape) : tl_report(TL_E_MEMORY, "out of memory for a plan");
    }
    if (n) memcpy(c->inputs, inputs, (size_t)n * sizeof *inputs);
    c->frozen = frozen_set(t->model); /* only now: parameters that were made frozen have just joined */
    return TL_OK;
}

/* ---- the cache ---------------------------------------------------------------------------------------------- */

static cached *find(tl_trainer *t, tl_mode mode, const tl_array *inputs, int n)
{
    const uint64_t frozen = frozen_set(t->model);
    for (int i = 0; i < t->n_plans; i++) {
        cached *c = &t->plans[i];
        if (c->mode != mode || c->key != t->o.key || c->frozen != frozen || c->n != n) continue;
        int k = 0;
        while (k < n && same_kind(&c->inputs[k], &inputs[k])) k++;
        if (k == n) return c;
    }
    return NULL;
}

/* A place for one more plan: the least recently used one's, if there are enough. */
static cached *place(tl_trainer *t)
{
    if (t->n_plans < t->o.plans) return &t->plans[t->n_plans++];
    cached *oldest = t->plans;
    for (int i = 1; i < t->n_plans; i++)
        if (t->plans[i].used < oldest->used) oldest = &t->plans[i];
    forget(oldest);
    return oldest;
}

/* Says what the compiler made of the model, for which inputs. */
static tl_status explain(const cached *c, FILE *out)
{
    static const char *const name[] = { [TL_TRAIN] = "training", [TL_TEST] = "testing", [TL_PREDICT] = "predicting" };
    char *text = tl_explain(c->plan);
    if (!text) return TL_E_MEMORY;
    fprintf(out, "\n%s", name[c->mode]);
    for (int i = 0; i < c->n; i++) {
        const tl_array *a = &c->inputs[i];
        if (absent(a)) continue;
        fprintf(out, ", in[%d] %s [", i, type_name(a->dtype));
        for (int k = 0; k < a->rank; k++) fprintf(out, k ? ",%lld" : "%lld", (long long)a->dim[k]);
        fprintf(out, "]");
    }
    fprintf(out, "\n%s\n", text);
    tl_free(text);
    return TL_OK;
}

static tl_status make(tl_trainer *t, tl_mode mode, const tl_array *inputs, int n, cached **out)
{
    cached c;
    forget(&t->once);
    tl_status status = compile(t, mode, inputs, n, &c);
    if (status) return status;
    const bool once = tl_tape_evaluated(t->tape[mode]);
    if (t->o.explain && !(once && t->explained)) status = explain(&c, t->o.explain);
    if (status) {
        forget(&c);
        return status;
    }
    t->explained |= once;
    *out = once ? &t->once : place(t);
    **out = c;
    return TL_OK;
}

/* Before replays 1, 2, 4, 8, ...: does the model function still record what it recorded when the plan was made? */
static tl_status prove(tl_trainer *t, const cached *c, const tl_array *inputs, int n)
{
    const uint64_t replay = c->replays + 1;
    if (replay & (replay - 1)) return TL_OK;
    tl_tensor loss;
    tl_tape *tape = record(t, c->mode, inputs, n, &loss);
    if (!tape) return TL_E_MEMORY;
    if (tl_failed(tape)) return tl_tape_status(tape);
    if (tl_tape_evaluated(tape))
        return tl_report(TL_E_REPLAY, "the model function calls tl_eval() on some runs but not on others");
    return tl_trace_compare(c->trace, tape);
}

/* ---- steps -------------------------------------------------------------------------------------------------- */

static tl_status run(tl_trainer *t, tl_mode mode, const tl_array *inputs, int n)
{
    tl_status status = check_inputs(t, inputs, n);
    if (!status) status = shape_inputs(t, mode, inputs, n);
    if (status) return status;
    inputs = t->shaped;
    cached *c = find(t, mode, inputs, n);
    if (c) {
        status = prove(t, c, inputs, n);
        c->replays += !status;
    } else {
        status = make(t, mode, inputs, n, &c);
    }
    if (status) return status;
    c->used = ++t->clock;
    return tl_run_ahead(t->session[mode], c->plan, t->present, gather_present(t, inputs, n));
}

/* The error of the run that was made and is not to count, whose result `what` is x: with the line where that begins, if it
 * can be found. */
static tl_status not_finite(tl_trainer *t, tl_mode mode, const char *what, double x, bool gradients)
{
    tl_tensor loss;
    char origin[1024] = "";
    tl_tape *tape = record(t, mode, t->shaped, t->n_shaped, &loss);
    if (tape && gradients && !tl_failed(tape)) tl_backward(loss);
    const bool found = tape && tl_find_nonfinite(tape, gradients ? TL_NONE : loss, origin, sizeof origin);
    return tl_report(TL_E_NONFINITE, "%s of run %llu is %g; no parameter was changed%s%s", what,
                     (unsigned long long)tl_session_runs(t->session[mode]), isnan(x) ? fabs(x) : x, found ? "; " : "",
                     found ? origin : "");
}

/* The loss of the run that has just been made. */
static tl_status read_loss(tl_trainer *t, tl_mode mode, double *out)
{
    const double loss = tl_get_scalar(t->session[mode], "loss");
    if (out) *out = loss;
    return isfinite(loss) ? TL_OK : not_finite(t, mode, "the loss", loss, false);
}

static tl_status update(tl_trainer *t)
{
    tl_session *session = t->session[TL_TRAIN];
    int reached;
    tl_session_read_gradients(session, NULL, &reached);
    if (!reached)
        return tl_report(TL_E_OUTPUT, "the loss depends on no parameter that is not frozen: nothing can be learned");
    const tl_status status = tl_optimizer_step(t->optimizer, session);
    return status != TL_E_NONFINITE
               ? status
               : not_finite(t, TL_TRAIN, "the norm of the gradients", tl_optimizer_norm(t->optimizer), true);
}

tl_status tl_train_step(tl_trainer *t, const tl_array *inputs, int n, double *loss)
{
    if (loss) *loss = NAN;
    tl_status status = run(t, TL_TRAIN, inputs, n);
    if (!status) status = read_loss(t, TL_TRAIN, loss);
    if (!status) status = update(t);
    if (!status) tl_session_advance(t->session[TL_TRAIN]);
    return status;
}

tl_status tl_test_step(tl_trainer *t, const tl_array *inputs, int n, double *loss)
{
    if (loss) *loss = NAN;
    tl_status status = run(t, TL_TEST, inputs, n);
    if (!status) status = read_loss(t, TL_TEST, loss);
    if (!status) tl_session_advance(t->session[TL_TEST]);
    return status;
}

tl_status tl_predict_step(tl_trainer *t, const tl_array *inputs, int n)
{
    const tl_status status = run(t, TL_PREDICT, inputs, n);
    if (!status) tl_session_advance(t->session[TL_PREDICT]);
    return status;
}

/* ---- looking ------------------------------------------------------------------------------------------------ */

tl_session *tl_trainer_session(tl_trainer *t, tl_mode mode)
{
    return t && mode >= TL_TRAIN && mode <= TL_PREDICT ? t->session[mode] : NULL;
}

tl_optimizer *tl_trainer_optimizer(tl_trainer *t) { return t ? t->optimizer : NULL; }

const tl_array *tl_trainer_inputs(const tl_trainer *t, int *n)
{
    const int shaped = t ? t->n_shaped : 0;
    if (n) *n = shaped;
    return shaped ? t->shaped : NULL;
}

tl_model_fn tl_trainer_function(const tl_trainer *t, tl_model **model, void **user)
{
    *model = t->model;
    *user = t->o.user;
    return t->fn;
}

void tl_trainer_reset_states(tl_trainer *t)
{
    for (int m = TL_TRAIN; t && m <= TL_PREDICT; m++) tl_session_reset(t->session[m]);
}

double tl_trainer_norm(const tl_trainer *t) { return t ? tl_optimizer_norm(t->optimizer) : NAN; }

int tl_trainer_plans(const tl_trainer *t) { return t ? t->n_plans : 0; }

void tl_trainer_set_key(tl_trainer *t, uint64_t key)
{
    if (t) t->o.key = key;
}
