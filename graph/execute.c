/* graph/execute.c - one node, one kernel call: how operands lie in memory, and tl_eval, which runs node by node. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/denormals.h"
#include "graph/tape.h"

static void dense(tl_desc *d, const tl_shape *s)
{
    *d = (tl_desc){ .dtype = s->dtype, .rank = s->rank };
    int64_t stride = 1;
    for (int a = s->rank - 1; a >= 0; a--) {
        d->dim[a] = s->dim[a];
        d->stride[a] = stride;
        stride *= s->dim[a];
    }
}

/* The axis from which on a shape's elements are one row of so many; -1: there is none. */
static int row_axis(const tl_shape *s, int64_t cols)
{
    int64_t n = 1;
    int a = s->rank;
    while (a > 0 && n < cols) n *= s->dim[--a];
    return n == cols ? a : -1;
}

bool tl_layout_fits(const tl_shape *s, tl_layout layout) { return !layout.cols || row_axis(s, layout.cols) >= 0; }

void tl_lay(tl_desc *d, const tl_shape *s, tl_layout layout)
{
    dense(d, s);
    if (!layout.cols) return;
    int64_t stride = layout.stride;
    for (int a = row_axis(s, layout.cols) - 1; a >= 0; a--) {
        d->stride[a] = stride;
        stride *= s->dim[a];
    }
}

/* An operand in out's rank: stride 0 along axes that it lacks or that are broadcast. */
static void broadcast(tl_desc *d, const tl_shape *s, tl_layout layout, const tl_shape *out)
{
    tl_desc own;
    tl_lay(&own, s, layout);
    *d = (tl_desc){ .dtype = s->dtype, .rank = out->rank };
    for (int a = 0; a < out->rank; a++) {
        const int b = a - (out->rank - s->rank);
        d->dim[a] = out->dim[a];
        d->stride[a] = b >= 0 && s->dim[b] != 1 ? own.stride[b] : 0;
    }
}

/* Joins axes a and a+1 wherever they are one run in every operand; drops axes of size 1. Kernels write elements of the
 * last axis one beside the other: where out's last axis is none, an axis of size 1 follows. */
void tl_merge_axes(tl_desc *d, int n)
{
    int rank = 0;
    for (int a = 0; a < d[0].rank; a++) {
        if (d[0].dim[a] == 1) continue;
        bool joins = rank > 0;
        for (int k = 0; joins && k < n; k++) joins = d[k].stride[rank - 1] == d[k].stride[a] * d[0].dim[a];
        const int to = joins ? rank - 1 : rank;
        const int64_t dim = (joins ? d[0].dim[to] : 1) * d[0].dim[a];
        for (int k = 0; k < n; k++) {
            d[k].stride[to] = d[k].stride[a];
            d[k].dim[to] = dim;
        }
        rank = to + 1;
    }
    const bool apart = rank && d[0].stride[rank - 1] != 1;
    for (int k = 0; k < n; k++) {
        d[k].rank = rank + apart;
        if (apart) d[k].dim[rank] = d[k].stride[rank] = 1;
        for (int a = rank + apart; a < TL_MAX_RANK; a++) d[k].dim[a] = d[k].stride[a] = 0;
    }
}

void tl_describe(const tl_tape *t, const tl_node *node, const tl_layout *layout, tl_desc *d)
{
    const int n = (int)node->n_in;
    static const tl_layout none;
    tl_lay(&d[0], &node->shape, layout ? layout[0] : none);
    for (int k = 0; k < n; k++) {
        const uint32_t id = tl_node_in(t, node, (uint32_t)k);
        const tl_layout l = layout ? layout[1 + k] : none;
        if (!id) d[1 + k] = (tl_desc){ .dtype = 0 };
        else if (node->op->cls == TL_ELEMENTWISE) broadcast(&d[1 + k], &t->node[id].shape, l, &node->shape);
        else tl_lay(&d[1 + k], &t->node[id].shape, l);
    }
    if (node->op->cls == TL_ELEMENTWISE) tl_merge_axes(d, n + 1);
}

bool tl_part_of(const tl_tape *t, const tl_node *node, tl_part *p)
{
    const int64_t n = tl_shape_size(&node->shape);
    *p = (tl_part){ 0, 1, n, n };
    if (node->op->role == TL_ROLE_RESHAPE || node->op->role == TL_ROLE_TAP) return true;
    if (node->op->role != TL_ROLE_SLICE) return false;
    const tl_slice_attr *a = node->attr;
    const tl_shape *x = &t->node[tl_node_in(t, node, 0)].shape;
    int64_t inner = 1, outer = 1;
    for (int i = 0; i < x->rank; i++) {
        if (i < a->axis) outer *= x->dim[i];
        if (i > a->axis) inner *= x->dim[i];
    }
    *p = (tl_part){ a->begin * inner, outer, (a->end - a->begin) * inner, x->dim[a->axis] * inner };
    if (p->width == p->pitch || outer == 1) *p = (tl_part){ p->begin, 1, n, n };
    return true;
}

bool tl_is_view(const tl_tape *t, const tl_node *node, int64_t *offset)
{
    tl_part p;
    const bool part = tl_part_of(t, node, &p);
    *offset = part ? p.begin : 0;
    return part && p.rows == 1;
}

tl_status tl_kernel_fail(const tl_run_args *r, tl_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->failure->reason, sizeof r->failure->reason, format, args);
    va_end(args);
    return status;
}

/* ---- tl_eval: the recorded nodes one by one, each into memory of its own; the reference for every plan ----------- */

static void *new_value(tl_tape *t, const tl_shape *shape)
{
    void *v = tl_arena_alloc(&t->arena, (size_t)tl_shape_size(shape) * tl_dtype_size(shape->dtype) + 1);
    if (!v) tl_no_memory(t);
    return v;
}

/* A staged parameter has its initial values before it joins the model. */
static void *param_value(tl_tape *t, tl_tape_param *p)
{
    tl_model *m = t->model;
    if (p->index >= 0) return m->values + (size_t)m->param[p->index].offset * tl_dtype_size(m->dtype);
    if (p->value) return p->value;
    void *v = new_value(t, &p->shape);
    double *scratch = v ? tl_arena_alloc(&t->arena, (size_t)tl_shape_size(&p->shape) * sizeof *scratch + 1) : NULL;
    if (!scratch) return v ? (tl_no_memory(t), NULL) : NULL;
    if (!tl_init_fill(m, p->path, &p->shape, &p->init, v, scratch))
        return tl_tape_fail(t, p->first, TL_E_NONFINITE, "initial values of parameter %s are not finite", p->path),
               NULL;
    return p->value = v;
}

static void *state_value(tl_tape *t, const tl_node *node, bool fresh)
{
    const tl_tape_state *st = &t->state[((const tl_index_attr *)node->attr)->index];
    const int slot = tl_model_state_slot(t->model, st->name, st->in_model);
    const tl_state_value *v = slot < 0       ? NULL
                              : st->in_model ? &t->model->state_value[slot]
                              : t->session   ? tl_session_slot(t->session, slot, false)
                                             : NULL;
    void *out = new_value(t, &node->shape);
    if (!out) return NULL;
    const int64_t n = tl_shape_size(&node->shape);
    const bool set = v && v->set && tl_shape_equal(&v->shape, &st->shape);
    for (int64_t i = 0; i < n; i++)
        tl_write(out, node->shape.dtype, i,
                 fresh ? (set ? (double)v->fresh[i] : 1) : (set ? tl_read(v->data, v->shape.dtype, i) : 0));
    return out;
}

static void *input_value(tl_tape *t, const tl_node *node)
{
    const int64_t i = ((const tl_index_attr *)node->attr)->index;
    if (t->input[i].data || !tl_shape_size(&node->shape)) return t->input[i].data ? t->input[i].data : t;
    tl_tape_fail(t, node->at, TL_E_INPUT, "tl_eval: input %s has no numbers bound to it (tl_input with .data)",
                 t->input_name[i]);
    return NULL;
}

static void *run_node(tl_tape *t, const tl_node *node)
{
    const size_t n = node->n_in;
    tl_desc *d = tl_arena_alloc(&t->arena, (n + 1) * sizeof *d);
    const void **in = tl_arena_alloc(&t->arena, (n + 1) * sizeof *in);
    void *out = new_value(t, &node->shape);
    if (!d || !in || !out) return tl_no_memory(t), NULL;
    tl_describe(t, node, NULL, d);
    for (size_t k = 0; k < n; k++) in[k] = t->value[tl_node_in(t, node, (uint32_t)k)];
    tl_failure failure = { "" };
    tl_run_args r = { .out = out,
                      .in = in,
                      .n_in = (int)n,
                      .out_desc = d,
                      .in_desc = d + 1,
                      .attr = node->attr,
                      .seed = t->model->seed,
                      .run = t->session ? t->session->runs : 0,
                      .failure = &failure };
    const size_t work = node->op->work ? node->op->work(d, d + 1, (int)n, node->attr) : 0;
    if (work && !(r.work = tl_arena_alloc(&t->arena, work))) return tl_no_memory(t), NULL;
    const tl_kernel kernel = tl_kernel_for(node->op, node->shape.dtype);
    const tl_status status = kernel ? kernel(&r) : tl_kernel_fail(&r, TL_E_DTYPE, "no kernel for this element type");
    if (!status) return out;
    const tl_place_mark now = t->place; /* the blame is on the place of the recording */
    t->place = (tl_place_mark){ (tl_scope *)(uintptr_t)node->scope, node->caller };
    tl_tape_fail(t, node->at, status, "%s: %s", node->op->name, failure.reason);
    t->place = now;
    return NULL;
}

static void *compute(tl_tape *t, uint32_t id)
{
    const tl_node *node = &t->node[id];
    int64_t offset;
    switch (node->op->role) {
    case TL_ROLE_PARAM: return param_value(t, &t->param[((const tl_index_attr *)node->attr)->index]);
    case TL_ROLE_INPUT: return input_value(t, node);
    case TL_ROLE_CONST: return node->attr_size ? node->attr : t;
    case TL_ROLE_STATE: return state_value(t, node, false);
    case TL_ROLE_FRESH: return state_value(t, node, true);
    default: break;
    }
    if (tl_is_view(t, node, &offset))
        return (char *)t->value[tl_node_in(t, node, 0)] + (size_t)offset * tl_dtype_size(node->shape.dtype);
    return run_node(t, node);
}

const void *tl_node_value(tl_tape *t, uint32_t id)
{
    while (t->cap_value < t->n) {
        const uint32_t old = t->cap_value;
        if (!tl_grow((void **)&t->value, old, &t->cap_value, sizeof *t->value)) return tl_no_memory(t), NULL;
        memset(t->value + old, 0, (t->cap_value - old) * sizeof *t->value);
    }
    if (t->value[id]) return t->value[id];
    bool *need = tl_resize(NULL, 0, id + 1);
    if (!need) return tl_no_memory(t), NULL;
    memset(need, 0, id + 1);
    need[id] = true;
    for (uint32_t i = id; i; i--) {
        const tl_node *node = &t->node[i];
        if (!need[i] || t->value[i]) continue;
        for (uint32_t k = 0; k < node->n_in; k++) need[tl_node_in(t, node, k)] = true;
    }
    const tl_float_mode mode = tl_flush_denormals(); /* as in a run */
    for (uint32_t i = 1; i <= id && !t->status; i++)
        if (need[i] && !t->value[i]) t->value[i] = compute(t, i);
    tl_restore_mode(mode);
    tl_resize(need, id + 1, 0);
    return t->status ? NULL : t->value[id];
}

void tl_eval_values_at(tl_place at, tl_tensor x, double *out)
{
    const int64_t n = tl_size(x);
    for (int64_t i = 0; i < n; i++) out[i] = NAN;
    tl_tape *t = tl_tape_of(&x, 1);
    if (!t) {
        char why[512];
        const tl_status status = tl_why_dead(why, x);
        tl_report(status, "tl_eval: the tensor %s", why);
        return;
    }
    const uint32_t id = tl_operand(t, at, x, "tl_eval");
    if (!id) return;
    t->evaluated = true;
    const void *v = tl_node_value(t, id);
    for (int64_t i = 0; v && i < n; i++) out[i] = tl_read(v, t->node[id].shape.dtype, i);
}

double tl_eval_at(tl_place at, tl_tensor x)
{
    double v = NAN;
    tl_tape *t = tl_tape_of(&x, 1);
    if (t && tl_size(x) != 1)
        tl_tape_fail(t, at, TL_E_SHAPE, "tl_eval: the tensor is no scalar (tl_eval_values reads any shape)");
    else tl_eval_values_at(at, x, &v);
    return v;
}

void(tl_eval_values)(tl_tensor t, double *out) { tl_eval_values_at(TL_NOWHERE, t, out); }
double(tl_eval)(tl_tensor t) { return tl_eval_at(TL_NOWHERE, t); }
