/* graph/passes/passes.c - the list of passes, and the engine that rewrites one tape into another. */
#include "graph/passes/passes.h"

#include <stdlib.h>
#include <string.h>

extern const tl_pass tl_pass_active, tl_pass_batch, tl_pass_constants, tl_pass_cse, tl_pass_defer, tl_pass_lookup,
    tl_pass_pack, tl_pass_schedule, tl_pass_simplify, tl_pass_split, tl_pass_sums;

/* Those without a function work on the plan itself (keep.c, place.c, fuse.c). */
static const tl_pass keep = { "keep", NULL }, place = { "place", NULL }, fuse = { "fuse", NULL };

/* Sums become chains before products of them are split or looked up. Look-ups come before sums over time are put together: what
 * they make of weights' gradients are such sums. */
static const tl_pass *const passes[] = {
    &tl_pass_cse,
    &tl_pass_simplify,
    &tl_pass_constants,
    &tl_pass_sums,
    &tl_pass_split,
    &tl_pass_lookup,
    &tl_pass_defer,
    &tl_pass_batch,
    &tl_pass_active,
    &tl_pass_pack,
    &tl_pass_schedule,
    &keep,
    &place,
    &fuse,
};
enum { PASSES = sizeof passes / sizeof *passes };

const tl_pass *tl_pass_at(int i) { return i >= 0 && i < PASSES ? passes[i] : NULL; }

/* The last word of TL_PASSES that is about this pass. */
bool tl_pass_on(const char *name)
{
    const char *s = getenv("TL_PASSES");
    bool on = true;
    while (s && *s) {
        const size_t n = strcspn(s, ",");
        const bool all = n == 4 && !strncmp(s + 1, "all", 3);
        const bool mine = n == strlen(name) + 1 && !strncmp(s + 1, name, n - 1);
        if (all || mine) on = *s != '-';
        s += n + (s[n] == ',');
    }
    return on;
}

/* ---- one rewriting ------------------------------------------------------------------------------------------------ */

bool tl_is_pure(const tl_node *n)
{
    return TL_LEGAL(SAME_CALLS, n->op->role != TL_ROLE_TAP) &&
           TL_LEGAL(SAME_OPAQUE, n->op->id || n->op->cls != TL_OPAQUE);
}

static bool same(const tl_tape *t, const tl_node *a, const tl_node *b, const uint32_t *in)
{
    return TL_LEGAL(SAME_OP, a->op == b->op) && a->n_in == b->n_in && a->attr_size == b->attr_size &&
           TL_LEGAL(SAME_SHAPE, tl_shape_equal(&a->shape, &b->shape)) &&
           TL_LEGAL(SAME_OPERANDS, !a->n_in || !memcmp(t->in + a->first_in, in, a->n_in * sizeof *in)) &&
           TL_LEGAL(SAME_ATTRIBUTES, !a->attr_size || !memcmp(a->attr, b->attr, a->attr_size));
}

static uint64_t key_of(const tl_node *n, const uint32_t *in)
{
    if (tl_planted_fault >= TL_FAULT_SAME_KEYS) return 0; /* what same() does not look at must show */
    uint64_t h = tl_mix((uint64_t)(uintptr_t)n->op, n->n_in);
    if (n->n_in) h = tl_hash(h, in, n->n_in * sizeof *in);
    if (n->attr_size) h = tl_hash(h, n->attr, n->attr_size);
    return tl_hash(h, n->shape.dim, (size_t)n->shape.rank * sizeof *n->shape.dim);
}

/* A node like n, where it was recorded, on these operands. */
static uint32_t copy(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    tl_tape *t = w->to;
    const uint32_t id = tl_record(t, n->at, n->scope, n->op, in, n->n_in, n->attr, n->attr_size, &n->shape);
    if (id) t->node[id].caller = n->caller;
    if (id) t->node[id].differentiates = n->differentiates;
    return id;
}

uint32_t tl_rewrite_emit(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    const uint32_t there = w->simplify ? tl_simplified(w, n, in) : 0;
    if (there) return there;
    if (!w->share || !tl_is_pure(n)) return copy(w, n, in);
    for (uint64_t key = key_of(n, in), salt = 0;; salt++) {
        uint64_t *slot = tl_table_put(&w->known, key, salt, 0);
        if (!slot) return tl_no_memory(w->to), 0;
        if (!*slot) return (uint32_t)(*slot = copy(w, n, in));
        if (same(w->to, &w->to->node[*slot], n, in)) return (uint32_t)*slot;
    }
}

uint32_t tl_rewrite_node(tl_rewrite *w, uint32_t i)
{
    const tl_node *n = &w->from->node[i];
    uint32_t few[8], *in = n->n_in <= 8 ? few : tl_arena_alloc(&w->to->arena, n->n_in * sizeof *in);
    if (!in) return 0;
    for (uint32_t k = 0; k < n->n_in; k++) in[k] = w->map[tl_node_in(w->from, n, k)];
    return tl_rewrite_emit(w, n, in);
}

const char *tl_param_path(const tl_tape *t, uint32_t id)
{
    const tl_node *n = &t->node[id];
    return n->op->role == TL_ROLE_PARAM ? t->param[((const tl_index_attr *)n->attr)->index].path : NULL;
}

uint32_t *tl_rewrite_uses(tl_rewrite *w)
{
    const tl_tape *t = w->from;
    uint32_t *uses = tl_arena_alloc(&w->to->arena, t->n * sizeof *uses);
    for (uint32_t i = 1; uses && i < t->n; i++)
        for (uint32_t k = 0; w->live[i] && k < t->node[i].n_in; k++) uses[tl_node_in(t, &t->node[i], k)]++;
    for (uint32_t k = 0, id; uses && (id = tl_asked_for(t, k)) && !TL_LEGAL(DEFER_ASKED, false); k++) uses[id] += 2;
    return uses;
}

void tl_groups_below(const tl_tape *t, const uint32_t *group, uint32_t base, uint64_t *below)
{
    for (uint32_t i = 0; i < t->n; i++) {
        const uint32_t at = group[i] - base; /* wraps where there is none */
        below[i] = group[i] && at < 64 ? (uint64_t)1 << at : 0;
        for (uint32_t k = 0; k < t->node[i].n_in; k++) below[i] |= below[tl_node_in(t, &t->node[i], k)];
    }
}

bool tl_rewrite_all(tl_rewrite *w)
{
    for (uint32_t i = 1; i < w->from->n; i++)
        if (w->live[i] && !(w->map[i] = tl_rewrite_node(w, i))) return false;
    return true;
}

uint32_t tl_rewrite_new(tl_rewrite *w, const tl_node *like, tl_op_role role, const void *attr, size_t attr_size,
                        const tl_shape *shape, const uint32_t *in, uint32_t n)
{
    tl_node node = *like;
    node.op = tl_op_of_role(role);
    node.attr = (void *)(uintptr_t)attr;
    node.attr_size = attr_size;
    node.n_in = n;
    node.shape = *shape;
    return tl_rewrite_emit(w, &node, in);
}

/* ---- rows one below the other --------------------------------------------------------------------------------------- */

/* Of which node these numbers are a part that lies together, and where it begins. */
static uint32_t base_of(const tl_tape *t, uint32_t id, int64_t *begin)
{
    int64_t offset;
    *begin = 0;
    while (t->node[id].op->role != TL_ROLE_TAP && t->node[id].n_in && tl_is_view(t, &t->node[id], &offset)) {
        *begin += offset;
        id = tl_node_in(t, &t->node[id], 0);
    }
    return id;
}

uint32_t tl_rewrite_part(tl_rewrite *w, uint32_t base, int64_t begin, const tl_shape *shape, const tl_node *like)
{
    const int64_t size = tl_shape_size(&w->to->node[base].shape);
    tl_shape flat = { .dtype = shape->dtype, .rank = 1, .dim = { size } }, part = flat;
    tl_reshape_attr line = { .rank = 1, .dim = { size } }, full = { .rank = shape->rank };
    const tl_slice_attr cut = { 0, begin, begin + tl_shape_size(shape) };
    part.dim[0] = cut.end - cut.begin;
    for (int a = 0; a < shape->rank; a++) full.dim[a] = shape->dim[a];
    uint32_t id = tl_rewrite_new(w, like, TL_ROLE_RESHAPE, &line, sizeof line, &flat, &base, 1);
    if (id) id = tl_rewrite_new(w, like, TL_ROLE_SLICE, &cut, sizeof cut, &part, &id, 1);
    return id ? tl_rewrite_new(w, like, TL_ROLE_RESHAPE, &full, sizeof full, shape, &id, 1) : 0;
}

uint32_t tl_rewrite_rows(tl_rewrite *w, const uint32_t *id, uint32_t n, const tl_node *like)
{
    const tl_tape *t = w->to;
    tl_shape shape = t->node[id[0]].shape;
    int64_t begin, end, next;
    const uint32_t base = base_of(t, id[0], &begin);
    bool together = true;
    end = begin;
    shape.dim[0] = 0;
    for (uint32_t k = 0; k < n; k++) {
        const bool one = base_of(t, id[k], &next) == base;
        together = together && TL_LEGAL(ROWS_OF_ONE, one) && TL_LEGAL(ROWS_IN_ORDER, next == end);
        end += tl_shape_size(&t->node[id[k]].shape);
        shape.dim[0] += t->node[id[k]].shape.dim[0];
    }
    if (together) return tl_rewrite_part(w, base, begin, &shape, like);
    return tl_rewrite_new(w, like, TL_ROLE_CONCAT, &(tl_concat_attr){ 0 }, sizeof(tl_concat_attr), &shape, id, n);
}

/* ---- what a tape is asked for ------------------------------------------------------------------------------------- */

#define COPY_LIST(list)                                                                                                \
    for (uint32_t k = 0; k < w->from->n_##list; k++) {                                                                 \
        if (!TL_GROW(w->to->list, w->to->n_##list, w->to->cap_##list)) return false;                                   \
        w->to->list[w->to->n_##list++] = w->from->list[k];                                                             \
    }

static bool copy_lists(tl_rewrite *w)
{
    COPY_LIST(param)
    COPY_LIST(state)
    COPY_LIST(output)
    COPY_LIST(next)
    COPY_LIST(tap)
    COPY_LIST(gradient)
    COPY_LIST(used)
    for (uint32_t k = 0; k < w->from->n_input; k++) {
        tl_tape *t = w->to;
        if (!TL_GROW(t->input, k, t->cap_input) || !TL_GROW(t->input_name, k, t->cap_input_name) ||
            !TL_GROW(t->input_id, k, t->cap_input_id))
            return false;
        t->input[k] = w->from->input[k];
        t->input_name[k] = w->from->input_name[k];
        t->input_id[k] = 0;
        t->n_input = k + 1;
    }
    return true;
}

static void map_lists(tl_rewrite *w)
{
    tl_tape *t = w->to;
    for (uint32_t k = 0; k < t->n_output; k++) t->output[k].id = w->map[t->output[k].id];
    for (uint32_t k = 0; k < t->n_next; k++) t->next[k].id = w->map[t->next[k].id];
    for (uint32_t k = 0; k < t->n_tap; k++) t->tap[k] = w->map[t->tap[k]];
    for (uint32_t k = 0; k < t->n_gradient; k++) t->gradient[k].id = w->map[t->gradient[k].id];
    for (uint32_t k = 0; k < w->from->n_used; k++) t->used[k].id = w->map[t->used[k].id];
}

/* from -> another tape; NULL if memory is short. */
static tl_tape *rewrite(tl_tape *from, const tl_pass *pass, tl_notes *notes)
{
    tl_rewrite w = { .from = from, .to = tl_tape_new(from->model), .pass = pass, .notes = notes };
    w.share = tl_pass_on("cse");
    w.simplify = tl_pass_on("simplify");
    const size_t bytes = from->n * sizeof *w.map;
    w.map = w.to ? tl_resize(NULL, 0, bytes) : NULL;
    w.live = w.to ? tl_resize(NULL, 0, from->n) : NULL;
    bool well = w.map && w.live && copy_lists(&w);
    if (well) {
        memset(w.map, 0, bytes);
        memset(w.live, 0, from->n);
        tl_mark_live(from, w.live);
        well = pass->run(&w) && !w.to->status && !notes->failed;
    }
    if (well) map_lists(&w);
    if (w.map) tl_resize(w.map, bytes, 0);
    if (w.live) tl_resize(w.live, from->n, 0);
    tl_table_free(&w.known);
    tl_table_free(&w.begins);
    if (well) return w.to;
    tl_tape_free(w.to);
    return NULL;
}

tl_tape *tl_optimised(tl_tape *t, tl_notes *notes)
{
    tl_tape *now = t;
    for (int i = 0; i < PASSES && now; i++) {
        if (!tl_pass_on(passes[i]->name)) {
            tl_note_node(notes, passes[i]->name, NULL, true, NULL, "everything: switched off by TL_PASSES",
                         (int64_t[TL_NOTE_NUMBERS]){ 0 });
            continue;
        }
        if (!passes[i]->run) continue;
        tl_tape *next = rewrite(now, passes[i], notes);
        if (now != t) tl_tape_free(now);
        now = next;
    }
    if (now && notes->failed) { /* no pass was on to see it */
        if (now != t) tl_tape_free(now);
        now = NULL;
    }
    if (!now) tl_no_memory(t);
    return now;
}
