/* graph/passes/split.c - a product of columns side by side is split where a recurrence goes through some of them only: in
 * concat(x, h) W, what becomes of x does not wait for h, and so is looked up, or one product for all steps.
 *
 *     C0 + concat(a, b) W         =  (C0 + a W_a) + b W_b, where W_a and W_b are rows of W (columns, if W is transposed)
 *     C0 + concat(a, b)^T G       =  C0_a + a^T G, and below it C0_b + b^T G
 *     C0 + G^T concat(a, b)       =  C0_a + G^T a, and beside it C0_b + G^T b
 *     C0 + G W^T                  =  C0_a + G W_a^T, and beside it C0_b + G W_b^T
 *
 * Legal because each number of a product is a chain of fused multiply-adds over the inner axis, in order, which starts from
 * C0: of the first, the second part goes on where the first ends; of the others, no chain is touched. So the parts keep their
 * order in exact mode, where it is only split if the columns that need no other product come first. Elsewhere they are
 * put first.
 *
 * Products of concatenations of the same widths with one weight are a group. A column is free if none of the group leads to
 * it, and a group is split if some columns are free and others are not. The other forms follow that: they are what
 * gradients are made of. Their parts are put together again, and slices of that are found by the rules for slices
 * (simplify.c), so that chains of them become chains of parts, and parts that nobody wants go. */
#include "graph/passes/passes.h"

/* Members first..end-1 of a concatenation, and the columns that they are. */
typedef struct part {
    uint32_t first, end;
    int64_t begin, stop;
    bool free;
} part;

typedef struct group {
    uint32_t concat, weight; /* of one of them */
    int64_t transposed;      /* is the weight? */
    bool *bound;             /* of each member: a product of the group leads to it */
    part *part;              /* in the order of the columns */
    uint32_t n_part;         /* 0: they stay whole */
} group;

typedef struct splitting {
    tl_rewrite *w;
    const tl_tape *t;
    const uint32_t *uses;
    uint32_t *sliced;   /* of each node: how often it is cut by columns */
    uint32_t *of;       /* the group of a product; 0: none */
    uint32_t *concat;   /* the group by which a concatenation is cut */
    tl_table by_weight; /* a group of weight and transposition */
    group *group;       /* from 1 */
    uint32_t n_group, cap_group;
} splitting;

static uint32_t in(const splitting *s, uint32_t id, uint32_t k)
{
    const tl_node *n = &s->t->node[id];
    return k < n->n_in ? tl_node_in(s->t, n, k) : 0;
}
static const tl_shape *shape(const splitting *s, uint32_t id) { return &s->t->node[id].shape; }
static const tl_product_attr *flags(const splitting *s, uint32_t id) { return s->t->node[id].attr; }

/* ---- groups ------------------------------------------------------------------------------------------------------- */

static bool of_matrices(const splitting *s, uint32_t i)
{
    return s->t->node[i].op->role == TL_ROLE_PRODUCT && TL_LEGAL(SPLIT_RANK, shape(s, in(s, i, 0))->rank == 2) &&
           shape(s, in(s, i, 1))->rank == 2 && !flags(s, i)->packed;
}

/* Columns side by side? */
static bool is_concat(const splitting *s, uint32_t x)
{
    const tl_node *n = &s->t->node[x];
    return n->op->role == TL_ROLE_CONCAT && n->shape.rank == 2 && n->n_in > 1 &&
           TL_LEGAL(SPLIT_AXIS, ((const tl_concat_attr *)n->attr)->axis == 1);
}

static bool same_widths(const splitting *s, uint32_t x, uint32_t y)
{
    bool same = s->t->node[x].n_in == s->t->node[y].n_in;
    for (uint32_t k = 0; same && k < s->t->node[x].n_in; k++)
        same = shape(s, in(s, x, k))->dim[1] == shape(s, in(s, y, k))->dim[1];
    return same;
}

/* Product i joins the group of its weight, or is the first of one. */
static bool join(splitting *s, uint32_t i)
{
    const uint32_t x = in(s, i, 0), weight = in(s, i, 1);
    uint64_t *slot = tl_table_put(&s->by_weight, weight, (uint64_t)flags(s, i)->tb, 0);
    if (!slot) return false;
    if (*slot && !same_widths(s, x, s->group[*slot].concat)) return true;
    if (!*slot) {
        if (!TL_GROW(s->group, s->n_group + 1, s->cap_group)) return false;
        bool *bound = tl_arena_alloc(&s->w->to->arena, s->t->node[x].n_in);
        if (!bound) return false;
        *slot = ++s->n_group;
        s->group[*slot] = (group){ .concat = x, .weight = weight, .transposed = flags(s, i)->tb, .bound = bound };
    }
    s->of[i] = (uint32_t)*slot;
    return true;
}

static bool find_groups(splitting *s)
{
    for (uint32_t i = 1; i < s->t->n; i++) {
        const tl_node *n = &s->t->node[i];
        if (!s->w->live[i]) continue;
        if (n->op->role == TL_ROLE_SLICE) s->sliced[in(s, i, 0)] += ((const tl_slice_attr *)n->attr)->axis == 1;
        if (!of_matrices(s, i) || flags(s, i)->ta || !is_concat(s, in(s, i, 0))) continue;
        if (!join(s, i)) return false;
    }
    return true;
}

/* Marks the members that a product of their group leads to; 64 groups at a time. */
static bool find_bound(splitting *s)
{
    uint64_t *below = tl_resize(NULL, 0, s->t->n * sizeof *below); /* groups of which a product leads here */
    if (!below) return false;
    for (uint32_t base = 1; base <= s->n_group; base += 64) {
        tl_groups_below(s->t, s->of, base, below);
        for (uint32_t i = 1; i < s->t->n; i++) {
            const uint32_t at = s->of[i] - base, x = s->of[i] && at < 64 ? in(s, i, 0) : 0;
            for (uint32_t k = 0; x && k < s->t->node[x].n_in; k++)
                if (below[in(s, x, k)] >> at & 1) s->group[s->of[i]].bound[k] = true;
        }
    }
    tl_resize(below, s->t->n * sizeof *below, 0);
    return true;
}

/* ---- parts -------------------------------------------------------------------------------------------------------- */

/* Where a group is cut: between free columns and others. */
static bool cut(splitting *s, group *g)
{
    const uint32_t n = s->t->node[g->concat].n_in;
    const bool any_order = TL_LEGAL(SPLIT_ORDER, !tl_exact());
    g->part = tl_arena_alloc(&s->w->to->arena, n * sizeof *g->part);
    if (!g->part) return false;
    int64_t at = 0;
    for (uint32_t k = 0; k < n; k++) {
        const part *last = g->n_part ? &g->part[g->n_part - 1] : NULL;
        const bool starts = !last || (last->free != !g->bound[k] && (any_order || (g->n_part == 1 && last->free)));
        if (starts) g->part[g->n_part++] = (part){ .first = k, .begin = at, .free = !g->bound[k] };
        at += shape(s, in(s, g->concat, k))->dim[1];
        g->part[g->n_part - 1].end = k + 1;
        g->part[g->n_part - 1].stop = at;
    }
    for (uint32_t k = 0; k < g->n_part; k++)
        if (g->part[k].begin == g->part[k].stop) g->n_part = 0;
    if (g->n_part == 1) g->n_part = 0;
    return true;
}

/* Products whose free columns come after others. */
static void leave(splitting *s, uint32_t i, const group *g)
{
    bool free = false, bound = false;
    for (uint32_t k = 0; k < s->t->node[g->concat].n_in; k++) free |= !g->bound[k], bound |= g->bound[k];
    if (free && bound && !g->n_part)
        tl_rewrite_left_of(s->w, &s->t->node[i], tl_param_path(s->t, g->weight),
                           "# products: the columns that need none of the others are not the first (exact mode)", 1);
}

static bool cut_all(splitting *s)
{
    for (uint32_t k = 1; k <= s->n_group; k++)
        if (!cut(s, &s->group[k])) return false;
    for (uint32_t i = 1; i < s->t->n; i++) {
        if (s->of[i]) leave(s, i, &s->group[s->of[i]]);
        if (s->of[i] && s->group[s->of[i]].n_part && !s->concat[in(s, i, 0)]) s->concat[in(s, i, 0)] = s->of[i];
    }
    return true;
}

/* Elements begin..stop-1 of an axis of x, a node of `to`; all of x, where it is broadcast along that axis. */
static uint32_t elements(splitting *s, uint32_t x, int back, const part *p, const tl_node *like)
{
    tl_shape y = s->w->to->node[x].shape;
    const tl_slice_attr attr = { y.rank - back, p->begin, p->stop };
    if (y.rank < back || y.dim[attr.axis] == 1) return x;
    y.dim[attr.axis] = p->stop - p->begin;
    return tl_rewrite_new(s->w, like, TL_ROLE_SLICE, &attr, sizeof attr, &y, &x, 1);
}

/* Part p of concatenation x. */
static uint32_t members(splitting *s, uint32_t x, const part *p, const tl_node *like)
{
    const uint32_t n = p->end - p->first;
    uint32_t *of = tl_arena_alloc(&s->w->to->arena, n * sizeof *of);
    tl_shape y = *shape(s, x);
    if (!of) return 0;
    for (uint32_t k = 0; k < n; k++) of[k] = s->w->map[in(s, x, p->first + k)];
    if (n == 1) return of[0];
    y.dim[1] = p->stop - p->begin;
    return tl_rewrite_new(s->w, like, TL_ROLE_CONCAT, &(tl_concat_attr){ 1 }, sizeof(tl_concat_attr), &y, of, n);
}

/* ---- products ----------------------------------------------------------------------------------------------------- */

/* C0 + concat(a, b) W: part after part, the free ones first. */
static uint32_t emit_chain(splitting *s, uint32_t i, const group *g)
{
    tl_node n = s->t->node[i];
    uint32_t c = in(s, i, 2) ? s->w->map[in(s, i, 2)] : 0;
    int64_t free = 0, all = 0;
    for (int bound = 0; bound < 2; bound++)
        for (const part *p = g->part; p < g->part + g->n_part; p++) {
            if (p->free == bound) continue;
            const uint32_t a = members(s, in(s, i, 0), p, &n);
            const uint32_t b = elements(s, s->w->map[g->weight], g->transposed ? 1 : 2, p, &n);
            if (!a || !b) return 0;
            n.n_in = c ? 3 : 2;
            if (!(c = tl_rewrite_emit(s->w, &n, (uint32_t[]){ a, b, c }))) return 0;
            all += p->stop - p->begin;
            free += p->free ? p->stop - p->begin : 0;
        }
    tl_rewrite_note_of(s->w, &s->t->node[i], tl_param_path(s->t, g->weight),
                       "# products split: # of # columns in all need none of the others", 1, free, all);
    return c;
}

/* A product of which operand `side` is cut along an axis of the result: parts one below, or beside, the other. */
static uint32_t emit_parts(splitting *s, uint32_t i, const group *g, uint32_t side, bool is_weight)
{
    tl_node n = s->t->node[i];
    const int axis = side ? 1 : 0;
    uint32_t *y = tl_arena_alloc(&s->w->to->arena, g->n_part * sizeof *y);
    for (uint32_t k = 0; y && k < g->n_part; k++) {
        const part *p = &g->part[k];
        uint32_t to[3] = { s->w->map[in(s, i, 0)], s->w->map[in(s, i, 1)], in(s, i, 2) ? s->w->map[in(s, i, 2)] : 0 };
        to[side] = is_weight ? elements(s, to[1], g->transposed ? 1 : 2, p, &n) : members(s, in(s, i, side), p, &n);
        if (to[2]) to[2] = elements(s, to[2], 2 - axis, p, &n);
        if (!to[side] || (in(s, i, 2) && !to[2])) return 0;
        n.shape.dim[axis] = p->stop - p->begin;
        if (!(y[k] = tl_rewrite_emit(s->w, &n, to))) return 0;
    }
    const tl_concat_attr attr = { axis };
    return y ? tl_rewrite_new(s->w, &n, TL_ROLE_CONCAT, &attr, sizeof attr, shape(s, i), y, g->n_part) : 0;
}

static const group *group_of(const splitting *s, uint32_t k) { return k && s->group[k].n_part ? &s->group[k] : NULL; }

/* The group by which the columns of G W^T are cut: nothing but slices looks at them. */
static const group *group_of_weight(const splitting *s, uint32_t i)
{
    const uint64_t *k = tl_table_find(&s->by_weight, in(s, i, 1), (uint64_t)!flags(s, i)->tb);
    return k && s->sliced[i] == s->uses[i] ? group_of(s, (uint32_t)*k) : NULL;
}

static uint32_t emit(splitting *s, uint32_t i)
{
    const group *g;
    if (!of_matrices(s, i)) return tl_rewrite_node(s->w, i);
    const tl_product_attr *a = flags(s, i);
    if ((g = group_of(s, s->of[i]))) return emit_chain(s, i, g);
    if (TL_LEGAL(SPLIT_ROWS, a->ta) && (g = group_of(s, s->concat[in(s, i, 0)]))) return emit_parts(s, i, g, 0, false);
    if (TL_LEGAL(SPLIT_COLUMNS, !a->tb) && (g = group_of(s, s->concat[in(s, i, 1)])))
        return emit_parts(s, i, g, 1, false);
    if ((g = group_of_weight(s, i))) return emit_parts(s, i, g, 1, true);
    return tl_rewrite_node(s->w, i);
}

/* What is split is found again by simplify's rules: without them, it would be copied. */
static bool run(tl_rewrite *w)
{
    const uint32_t n = w->from->n;
    tl_arena *a = &w->to->arena;
    splitting s = { .w = w, .t = w->from };
    s.uses = tl_rewrite_uses(w);
    s.sliced = tl_arena_alloc(a, n * sizeof *s.sliced);
    s.of = tl_arena_alloc(a, n * sizeof *s.of);
    s.concat = tl_arena_alloc(a, n * sizeof *s.concat);
    bool well = s.uses && s.sliced && s.of && s.concat;
    if (well && w->simplify) well = find_groups(&s) && find_bound(&s) && cut_all(&s);
    for (uint32_t i = 1; i < n && well; i++)
        if (w->live[i]) well = (w->map[i] = emit(&s, i)) != 0;
    tl_table_free(&s.by_weight);
    TL_RELEASE(s.group, s.cap_group);
    return well;
}

const tl_pass tl_pass_split = { "split", run };
