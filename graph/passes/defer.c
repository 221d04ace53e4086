/* graph/passes/defer.c - a sum that grows link by link is added up in larger pieces: the gradient of a weight over time, one
 * product of stacked rows in place of a product for each step.
 *
 * A chain is c_1 = f(a_1, b_1, c_0), c_2 = f(a_2, b_2, c_1), ..., where f is a product C0 + a^T b, a sum over leading axes or rows
 * added by index, and nothing else looks at c_1, c_2, ... but the last. Each f adds row after row of its operands to
 * its last operand, in order (graph/op.h, ops/sum.c, ops/gather.c), so f of the rows of several links, one below the
 * other, is the same chain of additions: the same bits. All operands of the links come before the last link, where
 * the one operation stands. Sums of rows that elementwise operations make and nothing but such reads stay where they are: they are
 * added up while they are in the cache (fuse.c), and need not lie in memory at all. */
#include "graph/passes/passes.h"

enum { MAX_ROWS = 512 }; /* of a piece: what has just been made is still in the cache, and need not be kept for long */

/* The operand that the sum starts from, and how many operands lie by rows. */
typedef struct link_kind {
    tl_op_role role;
    uint32_t start, by_rows;
    const char *done, *left; /* in words */
} link_kind;
static const link_kind kinds[] = {
    { TL_ROLE_PRODUCT, 2, 2, "# products added up one by one became # of # rows in all",
      "# products added up one by one: large enough each by itself" },
    { TL_ROLE_SUM, 1, 1, "# sums added up one by one became # of # rows in all",
      "# sums added up one by one: large enough each by itself" },
    { TL_ROLE_SCATTER_ADD, 2, 2, "# additions of rows by index became # of # rows in all",
      "# additions of rows by index: large enough each by itself" },
};

typedef struct deferral {
    tl_rewrite *w;
    const uint32_t *uses; /* how often a node's value is looked at */
    uint32_t *after;      /* the link that a link's value goes into; 0: no such */
    uint32_t *in_runs;    /* how often a node's value is looked at by what can be a member of a fused run */
} deferral;

static const tl_shape *shape_of(const tl_tape *t, const tl_node *n, uint32_t k)
{
    return &t->node[tl_node_in(t, n, k)].shape;
}

static const link_kind *kind_of(const tl_tape *t, const tl_node *n)
{
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        if (n->op->role != kinds[k].role || n->n_in < kinds[k].by_rows) continue;
        const tl_shape *x = shape_of(t, n, 0);
        if (n->op->role == TL_ROLE_PRODUCT) {
            const tl_product_attr *a = n->attr;
            if (!TL_LEGAL(DEFER_ORIENTATION, a->ta && !a->tb)) return NULL;
            if (!TL_LEGAL(DEFER_RANK, x->rank == 2 && shape_of(t, n, 1)->rank == 2)) return NULL;
        } else if (n->op->role == TL_ROLE_SUM) {
            const tl_sum_attr *a = n->attr;
            if (!TL_LEGAL(DEFER_LEADING, !a->axis_begin)) return NULL;
            if (!TL_LEGAL(DEFER_ALL_AXES, a->axis_end < x->rank)) return NULL;
        } else if (!TL_LEGAL(DEFER_IDS, shape_of(t, n, 1)->rank > 0)) {
            return NULL;
        }
        return &kinds[k];
    }
    return NULL;
}

static uint32_t start_of(const tl_tape *t, const tl_node *n, const link_kind *kind)
{
    return kind->start < n->n_in ? tl_node_in(t, n, kind->start) : 0;
}

static bool in_run(const tl_tape *t, uint32_t i) { return tl_by_rows(t, &t->node[i]) || tl_adds_rows(t, &t->node[i]); }

static void count_in_runs(deferral *d)
{
    const tl_tape *t = d->w->from;
    for (uint32_t i = 1; i < t->n; i++)
        for (uint32_t k = 0; d->w->live[i] && in_run(t, i) && k < t->node[i].n_in; k++)
            d->in_runs[tl_node_in(t, &t->node[i], k)]++;
}

/* Are the rows that node i adds up made and read in runs alone? */
static bool stays(const deferral *d, uint32_t i)
{
    const tl_tape *t = d->w->from;
    const uint32_t x = tl_node_in(t, &t->node[i], 0);
    return t->node[i].op->role == TL_ROLE_SUM && tl_by_rows(t, &t->node[x]) && d->in_runs[x] == d->uses[x];
}

/* All but the number of rows must agree (and then attributes and results do). */
static bool continues(const tl_tape *t, const tl_node *a, const tl_node *b, const link_kind *kind)
{
    if (!TL_LEGAL(DEFER_KIND, kind_of(t, a) == kind)) return false;
    for (uint32_t k = 0; k < kind->by_rows; k++) {
        tl_shape p = *shape_of(t, a, k), q = *shape_of(t, b, k);
        p.dim[0] = q.dim[0] = 0;
        if (!TL_LEGAL(DEFER_OPERANDS, tl_shape_equal(&p, &q))) return false;
    }
    return true;
}

static void find_chains(deferral *d)
{
    const tl_tape *t = d->w->from;
    for (uint32_t i = 1; i < t->n; i++) {
        const link_kind *kind = d->w->live[i] ? kind_of(t, &t->node[i]) : NULL;
        const uint32_t before = kind && !stays(d, i) ? start_of(t, &t->node[i], kind) : 0;
        if (before && !stays(d, before) && TL_LEGAL(DEFER_USES, d->uses[before] == 1) &&
            continues(t, &t->node[before], &t->node[i], kind))
            d->after[before] = i;
    }
}

/* Operand k of n links, one below the other. */
static uint32_t stacked(const deferral *d, const uint32_t *link, uint32_t n, uint32_t k)
{
    const tl_tape *t = d->w->from;
    uint32_t *in = tl_arena_alloc(&d->w->to->arena, n * sizeof *in);
    for (uint32_t j = 0; in && j < n; j++) in[j] = d->w->map[tl_node_in(t, &t->node[link[j]], k)];
    return in ? tl_rewrite_rows(d->w, in, n, &t->node[link[0]]) : 0;
}

/* n links as one operation that starts from c; 0: memory */
static uint32_t emit_piece(const deferral *d, const uint32_t *link, uint32_t n, uint32_t c)
{
    const tl_tape *t = d->w->from;
    const link_kind *kind = kind_of(t, &t->node[link[0]]);
    tl_node like = t->node[link[0]];
    uint32_t in[3] = { 0 };
    for (uint32_t k = 0; k < kind->by_rows; k++) {
        in[k] = n > 1 ? stacked(d, link, n, k) : d->w->map[tl_node_in(t, &like, k)];
        if (!in[k]) return 0;
    }
    in[kind->start] = c;
    like.n_in = c ? kind->start + 1 : kind->by_rows;
    return tl_rewrite_emit(d->w, &like, in);
}

/* Tells of a chain of n links that are `pieces` now. */
static void tell(const deferral *d, uint32_t last, uint32_t n, uint32_t pieces, int64_t rows)
{
    const tl_tape *t = d->w->from;
    const link_kind *kind = kind_of(t, &t->node[last]);
    const char *of = NULL;
    for (uint32_t k = 0; k < t->n_gradient && !of; k++)
        if (t->gradient[k].id == last) of = t->param[t->gradient[k].param].path;
    if (pieces < n) tl_rewrite_note_of(d->w, &t->node[last], of, kind->done, n, pieces, rows);
    else tl_rewrite_left_of(d->w, &t->node[last], of, kind->left, n);
}

/* The chain that ends in node `last`, in pieces. */
static uint32_t emit_chain(const deferral *d, uint32_t last)
{
    const tl_tape *t = d->w->from;
    const link_kind *kind = kind_of(t, &t->node[last]);
    uint32_t n = 1, first = last;
    for (uint32_t p; (p = start_of(t, &t->node[first], kind)) && d->after[p] == first; first = p) n++;
    uint32_t *link = tl_arena_alloc(&d->w->to->arena, n * sizeof *link);
    if (!link) return 0;
    for (uint32_t j = n, i = last; j--; i = start_of(t, &t->node[i], kind)) link[j] = i;
    uint32_t c = start_of(t, &t->node[first], kind), pieces = 0;
    int64_t all_rows = 0;
    c = c ? d->w->map[c] : 0;
    for (uint32_t begin = 0; begin < n; pieces++) {
        int64_t rows = 0;
        uint32_t end = begin;
        while (end < n) {
            const int64_t more = shape_of(t, &t->node[link[end]], 0)->dim[0];
            if (end > begin && rows + more > MAX_ROWS) break;
            rows += more;
            end++;
        }
        all_rows += rows;
        c = emit_piece(d, link + begin, end - begin, c);
        if (!c) return 0;
        begin = end;
    }
    tell(d, last, n, pieces, all_rows);
    return c;
}

static bool defer(tl_rewrite *w)
{
    const uint32_t n = w->from->n;
    tl_arena *a = &w->to->arena;
    deferral d = { .w = w, .uses = tl_rewrite_uses(w), .after = tl_arena_alloc(a, n * sizeof *d.after) };
    d.in_runs = tl_arena_alloc(a, n * sizeof *d.in_runs);
    bool well = d.uses && d.after && d.in_runs;
    if (well) count_in_runs(&d);
    if (well) find_chains(&d);
    for (uint32_t i = 1; i < n && well; i++) {
        if (d.after[i] || !w->live[i]) continue; /* comes with the last link */
        const link_kind *kind = kind_of(w->from, &w->from->node[i]);
        const uint32_t before = kind ? start_of(w->from, &w->from->node[i], kind) : 0;
        w->map[i] = before && d.after[before] == i ? emit_chain(&d, i) : tl_rewrite_node(w, i);
        well = w->map[i];
    }
    return well;
}

const tl_pass tl_pass_defer = { "defer", defer };
