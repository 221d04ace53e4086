/* graph/trial.c - the cases of an op as numbers, tapes and plans, for check_op.c. Made of public calls. */
#include <math.h>
#include <string.h>

#include "graph/trial.h"

/* ---- numbers ------------------------------------------------------------------------------------------------ */

int64_t tl_trial_size(const tl_trial *t, int vector) { return t->value[vector] ? tl_shape_size(&t->shape[vector]) : 0; }

bool tl_trial_real(const tl_trial *t, int k)
{
    if (k == TRIAL_W) return t->value[k];
    return k < t->c->n_in && tl_trial_first(t, k) == k && !(t->c->absent >> k & 1) && t->c->in[k].dtype != TL_I32;
}

static double draw_operand(const tl_case *c, tl_random *r)
{
    if (c->lo != 0 || c->hi != 0) return c->lo + (c->hi - c->lo) * tl_random_next(r);
    const double x = 0.1 + 1.9 * tl_random_next(r);
    return tl_random_next(r) < 0.5 ? -x : x;
}

void tl_trial_draw(tl_trial *t, uint64_t seed)
{
    tl_random r = { .key = tl_hash(seed, t->op->name, strlen(t->op->name)) };
    for (int v = 0; v < TRIAL_VECTORS; v++)
        for (int64_t i = 0, n = tl_trial_size(t, v); i < n; i++) {
            if (v >= TRIAL_W) t->value[v][i] = (tl_random_next(&r) < 0.5 ? -1 : 1) * (0.5 + tl_random_next(&r));
            else if (t->shape[v].dtype == TL_I32) t->value[v][i] = floor(t->c->ids * tl_random_next(&r));
            else t->value[v][i] = draw_operand(t->c, &r);
            t->value[v][i] = (float)t->value[v][i];
        }
}

static tl_status make_room(tl_trial *t, int vector, tl_shape shape)
{
    t->shape[vector] = shape;
    t->value[vector] = tl_resize(NULL, 0, (size_t)(tl_shape_size(&shape) + 1) * sizeof(double));
    return t->value[vector] ? TL_OK : tl_report(TL_E_MEMORY, "tl_check_op: out of memory");
}

/* ---- recording ---------------------------------------------------------------------------------------------- */

static tl_tensor leaf(tl_rig *r, int vector)
{
    if (!tl_absent(r->leaf[vector])) return r->leaf[vector];
    const tl_trial *t = r->trial;
    const tl_shape *s = &t->shape[vector];
    tl_array a = { .dtype = s->dtype == TL_I32 ? TL_I32 : r->dtype, .rank = s->rank };
    memcpy(a.dim, s->dim, sizeof a.dim);
    if (t->value[vector]) a.data = r->data[vector] = tl_resize(NULL, 0, (size_t)(tl_trial_size(t, vector) + 1) * 8);
    if (t->value[vector] && !a.data) return tl_no_memory(r->tape);
    r->fed[r->n_fed++] = a;
    return r->leaf[vector] = tl_input(tl_root(r->tape), NULL, a);
}

/* total + <a, b> */
static tl_tensor weigh(tl_tensor total, tl_tensor a, tl_tensor b)
{
    tl_tensor p = tl_apply(tl_op_of_role(TL_ROLE_MUL), (tl_tensor[]){ a, b }, 2, NULL);
    if (tl_rank(p)) p = tl_apply(tl_op_of_role(TL_ROLE_SUM), &p, 1, &(tl_sum_attr){ 0, tl_rank(p), 0 });
    return tl_absent(total) ? p : tl_apply(tl_op_of_role(TL_ROLE_ADD), (tl_tensor[]){ total, p }, 2, NULL);
}

/* out[k] = the gradient by real leaf k < n. */
static void differentiate(tl_rig *r, tl_tensor total, int n)
{
    tl_tensor wrt[TRIAL_IN + 1], g[TRIAL_IN + 1];
    int m = 0;
    for (int k = 0; k < n; k++)
        if (tl_trial_real(r->trial, k)) wrt[m++] = r->leaf[k];
    tl_grad(total, wrt, m, g);
    for (int k = n - 1; k >= 0; k--) r->out[k] = tl_trial_real(r->trial, k) ? g[--m] : TL_NONE;
}

static void record(tl_rig *r)
{
    const tl_trial *t = r->trial;
    const tl_case *c = t->c;
    tl_tensor in[TRIAL_IN];
    for (int k = 0; k < c->n_in; k++) in[k] = c->absent >> k & 1 ? TL_NONE : leaf(r, tl_trial_first(t, k));
    if (c->n_in) r->y = tl_apply(t->op, in, c->n_in, c->attr);
    else r->y = tl_apply_leaf_at(TL_HERE, tl_root(r->tape), t->op, c->attr);
    r->out[0] = r->y;
    if (r->level) differentiate(r, weigh(TL_NONE, r->y, leaf(r, TRIAL_W)), TRIAL_IN);
    if (r->level < 2) return;
    tl_tensor total = TL_NONE;
    for (int k = 0; k < TRIAL_IN; k++)
        if (!tl_absent(r->out[k])) total = weigh(total, r->out[k], leaf(r, TRIAL_U + k));
    differentiate(r, total, TRIAL_IN + 1);
}

tl_status tl_rig_record(tl_rig *r, const tl_trial *t, tl_dtype dtype, int level)
{
    *r = (tl_rig){ .trial = t, .dtype = dtype, .level = level, .model = tl_model_new(.dtype = dtype, .seed = 7) };
    r->tape = r->model ? tl_tape_new(r->model) : NULL;
    if (!r->tape) return strstr(tl_message(), "memory") ? TL_E_MEMORY : TL_E_ARGUMENT;
    record(r);
    tl_rig_feed(r);
    return tl_tape_status(r->tape);
}

static tl_status learn_result(tl_trial *t, tl_dtype dtype)
{
    tl_rig r;
    const tl_status status = tl_rig_record(&r, t, dtype, 0);
    t->result[dtype == TL_F64] = tl_shape_of(r.y);
    tl_rig_close(&r);
    return status;
}

tl_status tl_trial_begin(tl_trial *t, const struct tl_op *op, const tl_case *c, unsigned alias, tl_dtype dtype)
{
    *t = (tl_trial){ .op = op, .c = c, .alias = alias };
    for (int k = 0; k < c->n_in; k++) t->shape[k] = c->in[k];
    tl_status status = learn_result(t, dtype);
    if (!status) status = learn_result(t, dtype == TL_F64 ? TL_F32 : TL_F64);
    for (int k = 0; k < c->n_in && !status; k++) {
        if (c->absent >> k & 1 || tl_trial_first(t, k) != k) continue;
        status = make_room(t, k, c->in[k]);
        if (!status && tl_trial_real(t, k)) status = make_room(t, TRIAL_U + k, c->in[k]);
    }
    return status ? status : make_room(t, TRIAL_W, t->result[1]);
}

void tl_trial_end(tl_trial *t)
{
    for (int v = 0; v < TRIAL_VECTORS; v++)
        if (t->value[v]) tl_resize(t->value[v], (size_t)(tl_trial_size(t, v) + 1) * sizeof(double), 0);
}

/* ---- running ------------------------------------------------------------------------------------------------ */

void tl_rig_feed(tl_rig *r)
{
    for (int v = 0; v < TRIAL_VECTORS; v++)
        for (int64_t i = 0; r->data[v] && i < tl_trial_size(r->trial, v); i++)
            tl_write(r->data[v], r->trial->shape[v].dtype == TL_I32 ? TL_I32 : r->dtype, i, r->trial->value[v][i]);
}

static const char *const name[TRIAL_IN + 1] = { "0", "1", "2", "3", "4" };

tl_status tl_rig_run(tl_rig *r) { return tl_run(r->session, r->plan, r->fed, r->n_fed); }
tl_status tl_rig_get(const tl_rig *r, int k, tl_array *out) { return tl_get(r->session, name[k], out); }

tl_status tl_rig_open(tl_rig *r, const tl_trial *t, tl_dtype dtype, int level)
{
    const tl_status status = tl_rig_record(r, t, dtype, level);
    if (status) return status;
    for (int k = 0; k <= TRIAL_IN; k++)
        if (!tl_absent(r->out[k])) tl_output(tl_root(r->tape), name[k], r->out[k]);
    r->plan = tl_compile(r->tape);
    if (!r->plan) return tl_tape_status(r->tape);
    r->session = tl_session_new(r->model);
    if (!r->session) return TL_E_MEMORY;
    tl_session_hold(r->session, true); /* random ops give the same numbers at every run */
    return tl_rig_run(r);
}

void tl_rig_close(tl_rig *r)
{
    tl_session_free(r->session);
    tl_plan_free(r->plan);
    for (int v = 0; v < TRIAL_VECTORS; v++)
        if (r->data[v]) tl_resize(r->data[v], (size_t)(tl_trial_size(r->trial, v) + 1) * 8, 0);
    tl_tape_free(r->tape);
    tl_model_free(r->model);
}
