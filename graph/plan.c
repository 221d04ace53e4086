/* graph/plan.c - from tape to plan: what is needed, where each value lies, which kernel makes it.
 *
 * Stages, each a function below over tl_build: live (which nodes anything asks for), place (leaves, views, results),
 * emit (an instruction for each result), assign (arena offsets by lifetime), then the plan's own lists.
 */
#include <stdio.h>
#include <string.h>

#include "graph/build.h"
#include "graph/look.h"
#include "graph/passes/passes.h"

void *tl_build_keep(tl_build *b, size_t n)
{
    void *p = tl_arena_alloc(&b->plan->memory, n ? n : 1);
    if (!p) b->failed = true;
    return p;
}

void *tl_build_scratch(tl_build *b, size_t n)
{
    void *p = tl_arena_alloc(&b->scratch, n ? n : 1);
    if (!p) b->failed = true;
    return p;
}

/* ---- live --------------------------------------------------------------------------------------------------- */

uint32_t tl_asked_for(const tl_tape *t, uint32_t k)
{
    if (k < t->n_output) return t->output[k].id;
    if ((k -= t->n_output) < t->n_next) return t->next[k].id;
    if ((k -= t->n_next) < t->n_gradient) return t->gradient[k].id;
    if ((k -= t->n_gradient) < t->n_tap) return t->tap[k];
    return (k -= t->n_tap) < t->n_used ? t->used[k].id : 0;
}

void tl_mark_live(const tl_tape *t, bool *live)
{
    for (uint32_t k = 0, id; (id = tl_asked_for(t, k)); k++) live[id] = true;
    for (uint32_t i = t->n - 1; i; i--)
        for (uint32_t k = 0; live[i] && k < t->node[i].n_in; k++) live[tl_node_in(t, &t->node[i], k)] = true;
    live[0] = false;
}

/* ---- emit --------------------------------------------------------------------------------------------------- */

/* Descriptions repeat at every time step: one copy of each serves all. */
const tl_desc *tl_build_descs(tl_build *b, const tl_desc *d, uint32_t n)
{
    const size_t bytes = n * sizeof *d;
    for (uint64_t salt = 0;; salt++) {
        uint64_t *slot = tl_table_put(&b->descs, tl_hash(salt, d, bytes), tl_mix(salt, n), 0);
        if (!slot) return b->failed = true, NULL;
        if (!*slot) {
            void *copy = tl_build_keep(b, bytes);
            if (!copy) return NULL;
            *slot = (uint64_t)(uintptr_t)memcpy(copy, d, bytes);
        }
        const tl_desc *found = (const tl_desc *)(uintptr_t)*slot;
        if (!memcmp(found, d, bytes)) return found;
    }
}

/* An instruction that is in.op on in.n_in operands: out and operands lie at `home`, described by d. */
static void push(tl_build *b, tl_instr in, const tl_home *home, const tl_desc *d, uint32_t node)
{
    tl_ref *ref = tl_build_keep(b, (in.n_in + 1) * sizeof *ref);
    uint32_t *root = tl_build_scratch(b, (in.n_in + 1) * sizeof *root);
    in.desc = tl_build_descs(b, d, in.n_in + 1);
    if (b->failed || !TL_GROW(b->draft, b->n_draft, b->cap_draft) ||
        !TL_GROW(b->place_node, b->n_place, b->cap_place_node)) {
        b->failed = true;
        return;
    }
    in.place = b->n_place;
    b->place_node[b->n_place++] = node;
    for (uint32_t k = 0; k <= in.n_in; k++) ref[k] = home[k].ref, root[k] = home[k].root;
    in.ref = ref;
    in.work = -1;
    if (in.n_in > b->plan->max_in) b->plan->max_in = in.n_in;
    const size_t work = in.op->work && in.kernel != tl_rows_kernel
                            ? in.op->work(in.desc, in.desc + 1, (int)in.n_in, in.attr)
                            : 0;
    b->draft[b->n_draft++] = (tl_draft){ in, node, root, work };
}

static tl_status fresh_kernel(const tl_run_args *r);
static tl_status state_kernel(const tl_run_args *r);
static tl_status tap_kernel(const tl_run_args *r);

typedef struct tl_slot_attr { /* of states: where the session finds them */
    int slot;
    bool in_model;
} tl_slot_attr;

static tl_kernel kernel_of(tl_build *b, const tl_node *node, const void **attr)
{
    if (node->op->role == TL_ROLE_STATE || node->op->role == TL_ROLE_FRESH) {
        const tl_tape_state *st = &b->tape->state[((const tl_index_attr *)node->attr)->index];
        tl_slot_attr *a = tl_build_keep(b, sizeof *a);
        if (!a) return NULL;
        *a = (tl_slot_attr){ tl_model_state_slot(b->tape->model, st->name, st->in_model), st->in_model };
        if (a->slot < 0) b->failed = true;
        *attr = a;
        return node->op->role == TL_ROLE_STATE ? state_kernel : fresh_kernel;
    }
    if (node->attr_size) {
        void *a = tl_build_keep(b, node->attr_size);
        if (!a) return NULL;
        *attr = memcpy(a, node->attr, node->attr_size);
    }
    if (node->op->role == TL_ROLE_TAP) {
        tl_tap_attr *a = (tl_tap_attr *)(uintptr_t)*attr;
        char *path = tl_build_keep(b, strlen(a->path) + 1);
        if (path) a->path = strcpy(path, a->path);
        return tap_kernel;
    }
    return tl_kernel_for(node->op, node->shape.dtype);
}

/* The parameter of which node i, rows added at ids to nothing, is the gradient; -1: of none. */
static int table_of(const tl_build *b, uint32_t i)
{
    const tl_tape *t = b->tape;
    const tl_node *node = &t->node[i];
    if (node->op->role != TL_ROLE_SCATTER_ADD) return -1;
    if (!TL_LEGAL(TABLE_START, node->n_in < 3 || !tl_node_in(t, node, 2))) return -1;
    for (uint32_t k = 0; k < t->n_gradient; k++)
        if (t->gradient[k].id == i) return t->param[t->gradient[k].param].index;
    return -1;
}

static const tl_home absent = { .ref = { TL_BASE_NONE, 0 } };

static tl_home gradient_home(const tl_build *b, int param)
{
    const tl_model *m = b->tape->model;
    return (tl_home){ .ref = { TL_BASE_GRADIENTS, m->param[param].offset * (int64_t)tl_dtype_size(m->dtype) } };
}

/* Before rows are added to a table's gradient, those that the last run used are cleared (rows.c); where all of them are
 * written, those that ids name are only listed. */
static void emit_clearing(tl_build *b, int param, uint32_t ids, bool all)
{
    const tl_shape *shape = &b->tape->model->param[param].shape;
    tl_desc d[2] = { { .dtype = shape->dtype, .rank = shape->rank }, { .dtype = TL_I32, .rank = 1, .stride = { 1 } } };
    for (int64_t a = shape->rank, stride = 1; a--; stride *= shape->dim[a]) {
        d[0].dim[a] = shape->dim[a];
        d[0].stride[a] = stride;
    }
    d[1].dim[0] = tl_shape_size(&b->tape->node[ids].shape);
    tl_plan_table *table = tl_build_keep(b, sizeof *table);
    if (!table) return;
    *table = (tl_plan_table){ param, shape->dim[0], d[1].dim[0], all };
    push(b, (tl_instr){ .op = tl_op_of_role(TL_ROLE_SCATTER_ADD), .attr = table, .n_in = 1, .kernel = tl_rows_kernel },
         (tl_home[]){ gradient_home(b, param), b->home[ids] }, d, ids);
}

static void emit(tl_build *b, uint32_t i)
{
    tl_tape *t = b->tape;
    const tl_node *node = &t->node[i];
    const int table = table_of(b, i);
    const uint32_t n = table < 0 ? node->n_in : 3;
    if (table >= 0) emit_clearing(b, table, tl_node_in(t, node, 1), false);
    tl_desc *d = tl_build_scratch(b, (n + 1) * sizeof *d);
    tl_home *home = tl_build_scratch(b, (n + 1) * sizeof *home);
    tl_layout *layout = tl_build_scratch(b, (n + 1) * sizeof *layout);
    if (b->failed) return;
    for (uint32_t k = 0; k <= n; k++) {
        const uint32_t id = !k ? i : k <= node->n_in ? tl_node_in(t, node, k - 1) : 0;
        home[k] = id ? b->home[id] : absent;
        layout[k] = home[k].layout;
    }
    tl_describe(t, node, layout, d);
    if (table >= 0) d[3] = d[0], home[3] = gradient_home(b, table); /* the sum starts from what is there */
    tl_instr in = { .op = node->op, .n_in = n };
    in.kernel = kernel_of(b, node, &in.attr);
    if (!in.kernel && !b->failed)
        tl_tape_fail(t, node->at, TL_E_DTYPE, "%s has no kernel for %s", node->op->name,
                     tl_dtype_name(node->shape.dtype));
    if (!in.kernel) b->failed = true;
    if (!b->failed) push(b, in, home, d, i);
}

/* Copies node i's value, which lies at `from`, to another place. */
static void emit_copy(tl_build *b, uint32_t i, tl_home from, tl_home to)
{
    const tl_shape *shape = &b->tape->node[i].shape;
    const struct tl_op *op = tl_op_of_role(TL_ROLE_COPY);
    tl_desc d[2];
    tl_lay(&d[0], shape, to.layout);
    tl_lay(&d[1], shape, from.layout);
    tl_merge_axes(d, 2);
    push(b, (tl_instr){ .op = op, .n_in = 1, .kernel = tl_kernel_for(op, shape->dtype) }, (tl_home[]){ to, from }, d,
         i);
}

/* A part that cannot be read where it lies is copied out. */
static void emit_part(tl_build *b, uint32_t i)
{
    tl_home from;
    if (tl_place_part(b, i, &from)) emit_copy(b, i, from, b->home[i]);
    else b->failed = true;
    tl_build_note(b, "place", i, true, "# parts of a value copied: they cannot be read where they lie", 1);
}

/* Copies into a concatenation what was not made there. */
static void emit_stack(tl_build *b, uint32_t c)
{
    const tl_tape *t = b->tape;
    const tl_node *n = &t->node[c];
    const int64_t axis = ((const tl_concat_attr *)n->attr)->axis;
    bool plain = !b->home[c].layout.cols;
    for (uint32_t k = 0; k < n->n_in; k++)
        plain &= !tl_made_there(b, c, k) && !b->home[tl_node_in(t, n, k)].layout.cols;
    if (plain) {
        emit(b, c);
        tl_build_note(b, "place", c, true, "# parts copied into a stack", n->n_in);
        return;
    }
    for (int64_t k = 0, begin = 0; k < n->n_in && !b->failed; k++) {
        const uint32_t id = tl_node_in(t, n, (uint32_t)k);
        tl_home to;
        if (tl_made_there(b, c, (uint32_t)k)) {
            tl_build_note(b, "place", c, false, "# parts made in their place in a stack", 1);
        } else if (tl_shape_size(&t->node[id].shape)) {
            tl_build_note(b, "place", c, true, "# parts copied into a stack", 1);
            if (tl_place_in_stack(b, c, (uint32_t)k, begin, &to)) emit_copy(b, id, b->home[id], to);
            else b->failed = true;
        }
        begin += t->node[id].shape.dim[axis];
    }
}

static void emit_node(tl_build *b, uint32_t i)
{
    const tl_node *node = &b->tape->node[i];
    const bool part = node->op->role == TL_ROLE_SLICE || node->op->role == TL_ROLE_RESHAPE;
    if (node->op->role == TL_ROLE_TAP) emit(b, i);
    else if (!tl_is_result(b, i) && !b->stack[i]) return;
    else if (node->op->role == TL_ROLE_CONCAT) emit_stack(b, i);
    else if (part) emit_part(b, i);
    else emit(b, i);
}

/* The rows in which a gradient can be other than 0, where a pass has said so and the sum itself does not. */
static void emit_lists(tl_build *b)
{
    const tl_tape *t = b->tape;
    for (uint32_t u = 0; u < t->n_used && !b->failed; u++) {
        uint32_t id = 0;
        for (uint32_t k = 0; k < t->n_gradient && !id; k++)
            if (t->gradient[k].param == t->used[u].param) id = t->gradient[k].id;
        if (table_of(b, id) < 0) emit_clearing(b, t->param[t->used[u].param].index, t->used[u].id, true);
    }
}

static void emit_all(tl_build *b)
{
    for (uint32_t i = 1; i < b->n && !b->failed; i++)
        if (b->live[i]) emit_node(b, i);
    emit_lists(b);
}

/* ---- gradients and outputs ---------------------------------------------------------------------------------- */

/* Gradients that are no results of their own are copied to where the optimizer reads them. */
static void copy_gradients(tl_build *b)
{
    const tl_tape *t = b->tape;
    for (uint32_t i = 0; i < t->n_gradient && !b->failed; i++) {
        const uint32_t id = t->gradient[i].id;
        const tl_home to = gradient_home(b, t->param[t->gradient[i].param].index), *from = &b->home[id];
        const bool there = from->ref.base == to.ref.base && from->ref.offset == to.ref.offset;
        if (!TL_LEGAL(GRADIENT_THERE, there)) emit_copy(b, id, *from, to);
    }
}

/* What is read after a run must not change with the caller's input, with a parameter or with clipped gradients: an
 * output that lies elsewhere is copied to the arena's end. */
static void copy_outputs(tl_build *b)
{
    const tl_tape *t = b->tape;
    b->output_ref = tl_build_keep(b, t->n_output * sizeof *b->output_ref);
    for (uint32_t i = 0; !b->failed && i < t->n_output; i++) {
        const uint32_t id = t->output[i].id;
        b->output_ref[i] = b->home[id].ref;
        if (TL_LEGAL(OUTPUT_OWN, tl_in_arena(b, id))) continue;
        b->output_ref[i] = (tl_ref){ TL_BASE_ARENA, (int64_t)b->plan->arena_bytes };
        b->plan->arena_bytes += (tl_bytes_of(&t->node[id].shape) + 63) & ~(size_t)63;
        emit_copy(b, id, b->home[id], (tl_home){ .ref = b->output_ref[i] });
    }
}

/* ---- the plan's own lists ----------------------------------------------------------------------------------- */

static const char *keep_text(tl_build *b, const char *s)
{
    char *p = tl_build_keep(b, strlen(s) + 1);
    return p ? strcpy(p, s) : "";
}

static const tl_visit *keep_visit(tl_build *b, const tl_visit *v, tl_table *seen)
{
    if (!v) return NULL;
    uint64_t *slot = tl_table_put(seen, (uint64_t)(uintptr_t)v, 1, 0);
    if (slot && *slot) return (const tl_visit *)(uintptr_t)*slot;
    tl_visit *copy = tl_build_keep(b, sizeof *copy);
    if (!copy || !slot) return b->failed = true, NULL;
    *copy = (tl_visit){ .kind = v->kind, .index = v->index, .path = "" };
    *slot = (uint64_t)(uintptr_t)copy;
    copy->parent = keep_visit(b, v->parent, seen);
    return copy;
}

static void keep_places(tl_build *b)
{
    const tl_tape *t = b->tape;
    tl_table seen = { 0 };
    tl_plan_place *p = b->plan->place = tl_build_keep(b, b->n_place * sizeof *p);
    for (uint32_t k = 0; k < b->n_place && !b->failed; k++) {
        const tl_node *node = &t->node[b->place_node[k]];
        uint64_t *slot = tl_table_put(&seen, (uint64_t)(uintptr_t)node->scope->path, 2, 0);
        if (slot && !*slot) *slot = (uint64_t)(uintptr_t)keep_text(b, node->scope->path);
        if (!slot) b->failed = true;
        else
            p[k] = (tl_plan_place){ node->at, node->caller, (const char *)(uintptr_t)*slot, NULL,
                                    node->differentiates };
        if (!b->failed) p[k].visit = keep_visit(b, node->scope->visit, &seen);
    }
    tl_table_free(&seen);
}

static tl_plan_value *keep_values(tl_build *b, const tl_tape_mark *mark, uint32_t n)
{
    const tl_tape *t = b->tape;
    tl_plan_value *v = tl_build_keep(b, n * sizeof *v);
    for (uint32_t i = 0; v && i < n; i++)
        v[i] = (tl_plan_value){ keep_text(b, mark[i].name), t->node[mark[i].id].shape, b->home[mark[i].id].ref, -1,
                                false };
    return v;
}

static void keep_states(tl_build *b)
{
    const tl_tape *t = b->tape;
    tl_plan *p = b->plan;
    p->next = keep_values(b, t->next, p->n_next = t->n_next);
    p->state = tl_build_keep(b, t->n_state * sizeof *p->state);
    p->n_state = t->n_state;
    for (uint32_t i = 0; i < t->n_state && !b->failed; i++) {
        const tl_tape_state *st = &t->state[i];
        const int slot = tl_model_state_slot(t->model, st->name, st->in_model);
        if (slot < 0) b->failed = true;
        p->state[i] = (tl_plan_value){ keep_text(b, st->name), st->shape, { 0, 0 }, slot, st->in_model };
    }
    for (uint32_t i = 0; i < t->n_next && !b->failed; i++) {
        p->next[i].slot = p->state[t->next[i].state].slot;
        p->next[i].in_model = p->state[t->next[i].state].in_model;
    }
}

/* Ranges of the flat gradient that this plan writes, joined where they touch. */
static void keep_ranges(tl_build *b)
{
    const tl_tape *t = b->tape;
    tl_range *r = b->plan->range = tl_build_keep(b, t->n_gradient * sizeof *r);
    uint32_t n = 0;
    for (uint32_t i = 0; r && i < t->n_gradient; i++) {
        const tl_param_info *p = &t->model->param[t->param[t->gradient[i].param].index];
        uint32_t at = n++;
        for (; at && r[at - 1].begin > p->offset; at--) r[at] = r[at - 1];
        r[at] = (tl_range){ p->offset, p->offset + p->size };
    }
    uint32_t m = 0;
    for (uint32_t i = 0; r && i < n; i++) {
        if (m && r[m - 1].end == r[i].begin) r[m - 1].end = r[i].end;
        else r[m++] = r[i];
    }
    b->plan->n_range = m;
}

static void keep_tables(tl_build *b)
{
    b->plan->table = tl_build_keep(b, b->tape->n_gradient * sizeof *b->plan->table);
    for (uint32_t k = 0; k < b->n_draft && !b->failed; k++)
        if (b->draft[k].in.kernel == tl_rows_kernel)
            b->plan->table[b->plan->n_table++] = *(const tl_plan_table *)b->draft[k].in.attr;
}

static void keep_inputs(tl_build *b)
{
    const tl_tape *t = b->tape;
    tl_plan *p = b->plan;
    p->input = tl_build_keep(b, t->n_input * sizeof *p->input);
    p->input_name = tl_build_keep(b, t->n_input * sizeof *p->input_name);
    p->n_input = t->n_input;
    for (uint32_t i = 0; i < t->n_input && !b->failed; i++) {
        p->input[i] = t->input[i];
        p->input[i].data = NULL;
        p->input_name[i] = keep_text(b, t->input_name[i]);
    }
}

static void finish(tl_build *b)
{
    tl_plan *p = b->plan;
    p->output = keep_values(b, b->tape->output, p->n_output = b->tape->n_output);
    for (uint32_t i = 0; !b->failed && i < p->n_output; i++) p->output[i].ref = b->output_ref[i];
    keep_states(b);
    keep_inputs(b);
    keep_ranges(b);
    keep_tables(b);
    keep_places(b);
    if (!tl_notes_keep(&b->notes, p)) b->failed = true;
    p->instr = tl_build_keep(b, b->n_draft * sizeof *p->instr);
    if (b->failed) return;
    for (uint32_t k = 0; k < b->n_draft; k++) p->instr[k] = b->draft[k].in;
    p->n_instr = b->n_draft;
    p->n_param = b->tape->model->n_param;
}

/* ---- compile ------------------------------------------------------------------------------------------------ */

static bool build(tl_build *b)
{
    tl_mark_live(b->tape, b->live);
    tl_place_all(b);
    if (!b->failed) emit_all(b);
    if (!b->failed) copy_gradients(b);
    if (!b->failed) tl_fuse(b);
    if (!b->failed) tl_assign(b);
    if (!b->failed) copy_outputs(b);
    if (!b->failed) finish(b);
    if (!b->failed && (b->plan->checked = tl_checks_plans())) tl_check_plan(b);
    return !b->failed;
}

tl_plan *tl_compile(tl_tape *t)
{
    if (!t) return tl_report(TL_E_ARGUMENT, "tl_compile: no tape"), NULL;
    if (t->status) return tl_tape_status(t), NULL;
    tl_joined before;
    if (!tl_join(t, &before)) return tl_tape_status(t), NULL;
    tl_build b = { 0 };
    tl_tape *optimised = b.tape = tl_optimised(t, &b.notes);
    tl_plan *p = b.plan = optimised ? tl_resize(NULL, 0, sizeof *p) : NULL;
    b.n = optimised ? optimised->n : 0;
    b.live = tl_build_scratch(&b, b.n * sizeof *b.live);
    b.home = tl_build_scratch(&b, b.n * sizeof *b.home);
    bool ok = p && optimised && !b.failed;
    if (p) {
        *p = (tl_plan){ .users = 1, .model = t->model };
        p->consts = (char *)p; /* constants are addressed relative to the plan itself */
    }
    if (ok) ok = build(&b) && tl_count_written(t, p);
    tl_table_free(&b.descs);
    tl_table_free(&b.kept);
    TL_RELEASE(b.draft, b.cap_draft);
    TL_RELEASE(b.place_node, b.cap_place_node);
    tl_arena_free(&b.scratch);
    tl_notes_free(&b.notes);
    if (optimised && optimised != t && optimised->status && !t->status) {
        t->status = optimised->status;
        memcpy(t->message, optimised->message, sizeof t->message);
    }
    if (optimised != t) tl_tape_free(optimised);
    if (ok) return p;
    if (!t->status) tl_no_memory(t);
    tl_plan_free(p);
    if (b.adds) tl_kept_sweep(t->model); /* what it has added may depend on parameters that it takes back */
    tl_unjoin(t, before);
    return tl_tape_status(t), NULL;
}

void tl_plan_free(tl_plan *p)
{
    if (!p || atomic_fetch_sub(&p->users, 1) != 1) return;
    tl_kept_release(p);
    tl_arena_free(&p->memory);
    tl_resize(p, sizeof *p, 0);
}

size_t tl_plan_arena_bytes(const tl_plan *p) { return p->arena_bytes; }
int tl_plan_instructions(const tl_plan *p) { return (int)p->n_instr; }

/* ---- the engine's own kernels: r->context is the session --------------------------------------------------------- */

static tl_status state_kernel(const tl_run_args *r)
{
    const tl_slot_attr *a = r->attr;
    const tl_state_value *v = tl_session_slot(r->context, a->slot, a->in_model);
    size_t bytes = tl_dtype_size(r->out_desc->dtype);
    for (int i = 0; i < r->out_desc->rank; i++) bytes *= (size_t)r->out_desc->dim[i];
    if (v && v->set) memcpy(r->out, v->data, bytes);
    else memset(r->out, 0, bytes);
    return TL_OK;
}

static tl_status fresh_kernel(const tl_run_args *r)
{
    const tl_slot_attr *a = r->attr;
    const tl_state_value *v = tl_session_slot(r->context, a->slot, a->in_model);
    int64_t n = 1;
    for (int i = 0; i < r->out_desc->rank; i++) n *= r->out_desc->dim[i];
    for (int64_t i = 0; i < n; i++) tl_write(r->out, r->out_desc->dtype, i, v && v->set ? (double)v->fresh[i] : 1);
    return TL_OK;
}

static tl_status tap_kernel(const tl_run_args *r)
{
    const tl_tap_attr *a = r->attr;
    tl_array value = { .dtype = r->in_desc[0].dtype, .rank = r->in_desc[0].rank, .data = (void *)(uintptr_t)r->in[0] };
    memcpy(value.dim, r->in_desc[0].dim, sizeof value.dim);
    a->see(a->data, a->path, &value);
    return TL_OK;
}
