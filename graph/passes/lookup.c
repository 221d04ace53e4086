/* graph/passes/lookup.c - rows are looked up in a product, not multiplied after they were looked up: where a table E has fewer
 * rows than are gathered from it, E[ids] W + c is (E W + c)[ids]. A character model's input projection becomes a table of
 * as many rows as there are characters; so do its share of the weights' gradients and the table's own.
 *
 * Forward, each row is the same chain of fused multiply-adds wherever it stands, so this keeps every bit, and cost alone
 * decides: all products of rows of E with one W and c (of one row) count together, in whatever steps they are. Rows that
 * are looked up are seen through views.
 *
 * Backward, sums are added up in another order, so this is not done in exact mode:
 *     E[ids]^T G = E^T S, G^T E[ids] = S^T E, where S = G's rows added at ids         (of a chain over steps: one S)
 *     rows of G W^T added at ids = S W^T                          (summed over all such W: one product each)
 * The links of a chain that another node looks at stay. Likewise rows of the unit matrix (one-hot) times W are rows of W,
 * which holds for what is finite, and their gradient is G's rows added at ids. The list of a table's rows that were used
 * (graph/rows.c) is kept up: rows of S that no id names are 0. */
#include "graph/passes/passes.h"

#include <stdlib.h>
#include <string.h>

enum { WHOLE = 1 << 18 }; /* bytes that are looked up at once; more of them step by step, where they are used */

/* Rows first, first + 1, ... of those that a gather (or one_hot) makes. */
typedef struct rows {
    uint32_t maker; /* 0: these are no such rows */
    int64_t first, n;
    uint32_t side; /* as which operand of a product */
} rows;

/* Of a sum of rows added at ids: the rows of G W, or (W absent) of G itself. */
typedef struct term {
    uint32_t g, W, link; /* link: the operation that adds them */
    int64_t tb, first;   /* where its ids begin among the link's */
} term;

typedef struct lookup {
    tl_rewrite *w;
    const tl_tape *t; /* w->from */
    const uint32_t *uses;
    uint32_t *next; /* the link that a chain's link goes into; 0: the last */
    bool *absorbed; /* links that come with the last one */
    tl_table rows;  /* by E, W and c: how many rows are gathered in all */
    tl_table made;  /* by the same: the table E W + c; by that and the gather: its rows */
    term *term;
    uint32_t n_term, cap_term;
    bool failed;
} lookup;

static uint32_t in(const lookup *l, uint32_t id, uint32_t k)
{
    const tl_node *n = &l->t->node[id];
    return k < n->n_in ? tl_node_in(l->t, n, k) : 0;
}
static const tl_shape *shape(const lookup *l, uint32_t id) { return &l->t->node[id].shape; }
static tl_op_role role(const lookup *l, uint32_t id) { return l->t->node[id].op->role; }
static const tl_product_attr *flags(const lookup *l, uint32_t id) { return l->t->node[id].attr; }

/* ---- what is looked up -------------------------------------------------------------------------------------------- */

/* Which rows x [n, columns] is. */
static rows rows_of(const lookup *l, uint32_t x)
{
    const tl_shape *s = shape(l, x);
    rows r = { .n = s->rank == 2 ? s->dim[0] : 0 };
    int64_t begin = 0, offset;
    if (!r.n) return r;
    const int64_t columns = s->dim[1];
    while (role(l, x) != TL_ROLE_TAP && in(l, x, 0) && tl_is_view(l->t, &l->t->node[x], &offset)) {
        begin += offset;
        x = in(l, x, 0);
    }
    const bool gather = role(l, x) == TL_ROLE_GATHER && shape(l, in(l, x, 0))->rank == 2;
    if (!gather && role(l, x) != TL_ROLE_ONE_HOT) return r;
    if (!columns || !TL_LEGAL(LOOKUP_COLUMNS, shape(l, x)->dim[shape(l, x)->rank - 1] == columns)) return r;
    if (!TL_LEGAL(LOOKUP_BEGIN, begin % columns == 0)) return r;
    r.first = begin / columns;
    r.maker = x;
    return r;
}

static uint32_t ids_of(const lookup *l, uint32_t maker) { return in(l, maker, role(l, maker) == TL_ROLE_GATHER); }

/* Rows of the table that they are from. */
static int64_t table_rows(const lookup *l, uint32_t maker)
{
    if (role(l, maker) == TL_ROLE_GATHER) return shape(l, in(l, maker, 0))->dim[0];
    return ((const tl_depth_attr *)l->t->node[maker].attr)->depth;
}

/* Part of the ids of x, which has them as operand k, one after the other. */
static uint32_t ids_part(lookup *l, uint32_t ids, int64_t first, int64_t n, uint32_t like)
{
    const tl_shape s = { .dtype = TL_I32, .rank = 1, .dim = { n } };
    return tl_rewrite_part(l->w, l->w->map[ids], first, &s, &l->t->node[like]);
}

/* ---- forward ------------------------------------------------------------------------------------------------------ */

/* A product of rows that were looked up with a matrix, from nothing or from one row. */
static rows looked_up(const lookup *l, uint32_t i)
{
    const rows none = { 0 };
    if (role(l, i) != TL_ROLE_PRODUCT || !TL_LEGAL(LOOKUP_ORIENTATION, !flags(l, i)->ta) || shape(l, i)->rank != 2)
        return none;
    const uint32_t c = in(l, i, 2);
    if (shape(l, in(l, i, 1))->rank != 2 || (c && shape(l, c)->rank > 2)) return none;
    if (!TL_LEGAL(LOOKUP_START, !c || shape(l, c)->rank < 2 || shape(l, c)->dim[0] == 1)) return none;
    const rows r = rows_of(l, in(l, i, 0));
    if (!r.maker || role(l, r.maker) == TL_ROLE_GATHER) return r;
    return TL_LEGAL(LOOKUP_ONE_HOT, !tl_exact()) && TL_LEGAL(LOOKUP_TRANSPOSED, !flags(l, i)->tb) ? r : none;
}

/* E, W and c of such a product, as two words. */
static uint64_t key(const lookup *l, uint32_t i, uint32_t maker, uint64_t *second)
{
    const uint32_t E = role(l, maker) == TL_ROLE_GATHER ? in(l, maker, 0) : 0;
    *second = (uint64_t)in(l, i, 2) << 32 | (uint64_t)flags(l, i)->tb;
    return (uint64_t)E << 32 | in(l, i, 1);
}

static bool count_rows(lookup *l)
{
    for (uint32_t i = 1; i < l->t->n; i++) {
        const rows r = l->w->live[i] ? looked_up(l, i) : (rows){ 0 };
        uint64_t b, a = r.maker ? key(l, i, r.maker, &b) : 0;
        if (!r.maker) continue;
        uint64_t *sum = tl_table_put(&l->rows, a, b, 0);
        if (!sum) return false;
        *sum += (uint64_t)r.n;
    }
    return true;
}

/* The table E W + c; of one_hot, where E is the unit matrix, W + c. */
static uint32_t table_for(lookup *l, uint32_t i, uint32_t maker)
{
    const tl_node *n = &l->t->node[i];
    const uint32_t *map = l->w->map, c = in(l, i, 2);
    tl_node all = *n;
    all.shape.dim[0] = table_rows(l, maker);
    if (role(l, maker) == TL_ROLE_GATHER)
        return tl_rewrite_emit(l->w, &all, (uint32_t[]){ map[in(l, maker, 0)], map[in(l, i, 1)], c ? map[c] : 0 });
    if (!c) return map[in(l, i, 1)];
    return tl_rewrite_new(l->w, n, TL_ROLE_ADD, NULL, 0, &all.shape, (uint32_t[]){ map[in(l, i, 1)], map[c] }, 2);
}

static uint32_t gathered(lookup *l, uint32_t table, uint32_t ids, const tl_shape *ids_shape, uint32_t like)
{
    tl_shape s = *ids_shape;
    s.dtype = l->w->to->node[table].shape.dtype;
    s.dim[s.rank++] = l->w->to->node[table].shape.dim[1];
    return tl_rewrite_new(l->w, &l->t->node[like], TL_ROLE_GATHER, NULL, 0, &s, (uint32_t[]){ table, ids }, 2);
}

/* Product i by looking up; 0: memory */
static uint32_t emit_forward(lookup *l, uint32_t i, rows r)
{
    uint64_t b, a = key(l, i, r.maker, &b);
    uint64_t *table = tl_table_put(&l->made, a, b, 0);
    if (!table || (!*table && !(*table = table_for(l, i, r.maker)))) return 0;
    const tl_node *n = &l->t->node[i];
    const uint32_t ids = ids_of(l, r.maker);
    const tl_shape *s = shape(l, ids);
    const size_t bytes = (size_t)(tl_shape_size(s) * n->shape.dim[1]) * tl_dtype_size(n->shape.dtype);
    if (bytes > WHOLE || s->rank == TL_MAX_RANK) {
        const uint32_t part = ids_part(l, ids, r.first, r.n, r.maker);
        const tl_shape one = { .dtype = TL_I32, .rank = 1, .dim = { r.n } };
        return part ? gathered(l, (uint32_t)*table, part, &one, r.maker) : 0;
    }
    const uint32_t E_W = (uint32_t)*table;
    uint64_t *whole = tl_table_put(&l->made, (uint64_t)E_W << 32 | UINT32_MAX, r.maker, 0);
    if (!whole || (!*whole && !(*whole = gathered(l, E_W, l->w->map[ids], s, r.maker)))) return 0;
    return tl_rewrite_part(l->w, (uint32_t)*whole, r.first * n->shape.dim[1], &n->shape, n);
}

/* Is it worth it? One table against all the rows that are looked up in it. */
static bool pays(const lookup *l, uint32_t i, uint32_t maker)
{
    uint64_t b, a = key(l, i, maker, &b);
    const uint64_t *sum = tl_table_find(&l->rows, a, b);
    return sum && (*sum > (uint64_t)table_rows(l, maker) || (role(l, maker) == TL_ROLE_ONE_HOT && !in(l, i, 2)));
}

/* ---- chains ------------------------------------------------------------------------------------------------------- */

/* A link of a chain of E[ids]^T G, or of G^T E[ids], E one and the same; or of rows added at ids to a table. */
static rows link_of(const lookup *l, uint32_t i)
{
    const rows none = { 0 };
    if (role(l, i) == TL_ROLE_SCATTER_ADD)
        return shape(l, i)->rank == 2 ? (rows){ .maker = i, .n = tl_shape_size(shape(l, in(l, i, 1))) } : none;
    if (role(l, i) != TL_ROLE_PRODUCT || !TL_LEGAL(CHAIN_ORIENTATION, flags(l, i)->ta && !flags(l, i)->tb)) return none;
    const uint32_t c = in(l, i, 2);
    if (shape(l, i)->rank != 2) return none;
    rows r = rows_of(l, in(l, i, 0));
    const bool one_hot = r.maker && role(l, r.maker) == TL_ROLE_ONE_HOT; /* then rows are added to c itself */
    if (one_hot && !TL_LEGAL(CHAIN_ONE_HOT, !c || tl_shape_equal(shape(l, c), shape(l, i)))) return none;
    if (r.maker) return r;
    r = rows_of(l, in(l, i, 1));
    r.side = 1;
    return r.maker && role(l, r.maker) == TL_ROLE_GATHER ? r : none;
}

/* What tells one chain from another. */
static uint32_t table_of(const lookup *l, rows r)
{
    return role(l, r.maker) == TL_ROLE_GATHER        ? in(l, r.maker, 0)
           : role(l, r.maker) == TL_ROLE_SCATTER_ADD ? UINT32_MAX
                                                     : 0;
}

static uint32_t start_of(const lookup *l, uint32_t i) { return in(l, i, 2); }

/* The link before i in its chain; 0: i is the first. */
static uint32_t before(const lookup *l, uint32_t i)
{
    const uint32_t p = start_of(l, i);
    return p && l->next[p] == i ? p : 0;
}

static void find_chains(lookup *l)
{
    for (uint32_t i = 1; i < l->t->n; i++) {
        const rows r = l->w->live[i] ? link_of(l, i) : (rows){ 0 };
        const uint32_t p = r.maker ? start_of(l, i) : 0;
        if (!p || !TL_LEGAL(CHAIN_USES, l->uses[p] == 1)) continue;
        if (!TL_LEGAL(CHAIN_SHAPE, tl_shape_equal(shape(l, p), shape(l, i)))) continue;
        const rows q = link_of(l, p);
        if (q.maker && TL_LEGAL(CHAIN_TABLE, table_of(l, q) == table_of(l, r)) &&
            TL_LEGAL(CHAIN_SIDE, q.side == r.side) && role(l, r.maker) != TL_ROLE_ONE_HOT)
            l->next[p] = i;
    }
}

static bool push(lookup *l, term t)
{
    if (!TL_GROW(l->term, l->n_term, l->cap_term)) return !(l->failed = true);
    l->term[l->n_term++] = t;
    return true;
}

/* The products that end in p, one starting from the other: a term each. What is left: the first one's start, 0 if it has none. */
static uint32_t push_products(lookup *l, uint32_t p, uint32_t link, int64_t first)
{
    while (p && role(l, p) == TL_ROLE_PRODUCT && l->uses[p] == 1 && TL_LEGAL(TERM_ORIENTATION, !flags(l, p)->ta) &&
           shape(l, p)->rank == 2 && shape(l, in(l, p, 1))->rank == 2) {
        const uint32_t c = in(l, p, 2);
        if (!TL_LEGAL(TERM_START, !c || tl_shape_equal(shape(l, c), shape(l, p)))) break;
        if (!push(l, (term){ in(l, p, 0), in(l, p, 1), link, flags(l, p)->tb, first })) return 0;
        p = c;
    }
    return p;
}

/* x, rows that a link adds from its id number `first` on, as terms: what lies one below the other each alone, and addends
 * each alone. */
static void flatten(lookup *l, uint32_t x, uint32_t link, int64_t first, int depth)
{
    enum { DEEP = 64 };
    const int64_t columns = shape(l, link)->dim[1];
    const tl_shape *s = shape(l, x);
    const bool by_rows = s->rank >= 2 && s->dim[s->rank - 1] == columns && l->uses[x] == 1 && depth < DEEP;
    if (by_rows && role(l, x) == TL_ROLE_RESHAPE && shape(l, in(l, x, 0))->rank >= 2 &&
        shape(l, in(l, x, 0))->dim[shape(l, in(l, x, 0))->rank - 1] == columns) {
        flatten(l, in(l, x, 0), link, first, depth + 1);
    } else if (by_rows && role(l, x) == TL_ROLE_CONCAT && !((const tl_concat_attr *)l->t->node[x].attr)->axis) {
        for (uint32_t k = 0; k < l->t->node[x].n_in && !l->failed; k++) {
            flatten(l, in(l, x, k), link, first, depth + 1);
            first += tl_shape_size(shape(l, in(l, x, k))) / columns;
        }
    } else if (by_rows && role(l, x) == TL_ROLE_ADD && tl_shape_equal(shape(l, in(l, x, 0)), s) &&
               tl_shape_equal(shape(l, in(l, x, 1)), s)) {
        flatten(l, in(l, x, 0), link, first, depth + 1);
        flatten(l, in(l, x, 1), link, first, depth + 1);
    } else {
        const uint32_t left = by_rows ? push_products(l, x, link, first) : x;
        if (left == x) push(l, (term){ x, 0, link, 0, first });
        else if (left) flatten(l, left, link, first, depth + 1);
    }
}

/* By W, then in the order of recording, in which the gradients of weights add up as well. */
static int by_weight(const void *p, const void *q)
{
    const term *a = p, *b = q;
    if (a->W != b->W) return a->W < b->W ? -1 : 1;
    if (a->tb != b->tb) return a->tb < b->tb ? -1 : 1;
    return a->g == b->g ? (a->first > b->first) - (a->first < b->first) : a->g < b->g ? -1 : 1;
}
static bool same_weight(const term *a, const term *b) { return a->W == b->W && a->tb == b->tb; }

static int64_t rows_in(const lookup *l, const term *t)
{
    const int64_t columns = shape(l, t->g)->dim[shape(l, t->g)->rank - 1];
    return columns ? tl_shape_size(shape(l, t->g)) / columns : 0;
}

/* The terms of the chain that ends in `last`. */
static void find_terms(lookup *l, uint32_t last)
{
    l->n_term = 0;
    for (uint32_t i = last; i && !l->failed; i = before(l, i)) {
        if (role(l, i) == TL_ROLE_SCATTER_ADD) {
            if (shape(l, i)->dim[1]) flatten(l, in(l, i, 0), i, 0, 0);
        } else {
            const rows r = link_of(l, i);
            push(l, (term){ in(l, i, !r.side), 0, i, 0, r.first });
        }
    }
    if (l->n_term && !l->failed) qsort(l->term, l->n_term, sizeof *l->term, by_weight);
}

/* Does it take fewer rows to multiply when they are added up first? */
static bool chain_pays(const lookup *l, uint32_t last)
{
    const bool scatters = role(l, last) == TL_ROLE_SCATTER_ADD;
    const int64_t one = scatters ? shape(l, last)->dim[0] : table_rows(l, link_of(l, last).maker);
    int64_t had = 0, has = 0;
    for (uint32_t k = 0; k < l->n_term; k++) {
        const term *t = &l->term[k];
        if (scatters && !t->W) continue;
        had += rows_in(l, t);
        if (!k || !same_weight(t, t - 1)) has += one;
    }
    return had > has;
}

/* Terms k.. of one weight, added up at their ids, from c on. */
static uint32_t added_up(lookup *l, uint32_t k, uint32_t end, int64_t table, uint32_t c)
{
    for (; k < end; k++) {
        const term *t = &l->term[k];
        const tl_node *link = &l->t->node[t->link];
        const bool scatters = link->op->role == TL_ROLE_SCATTER_ADD;
        const uint32_t ids = scatters ? in(l, t->link, 1) : ids_of(l, link_of(l, t->link).maker);
        const tl_shape *g = shape(l, t->g);
        const int64_t columns = g->dim[g->rank - 1], n = rows_in(l, t);
        const tl_shape flat = { .dtype = g->dtype, .rank = 2, .dim = { n, columns } };
        const tl_shape s = { .dtype = g->dtype, .rank = 2, .dim = { table, columns } };
        const tl_reshape_attr view = { .rank = 2, .dim = { n, columns } };
        const tl_scatter_attr attr = { table };
        uint32_t to[3] = { l->w->map[t->g], ids_part(l, ids, t->first, n, t->link), c };
        if (g->rank != 2) to[0] = tl_rewrite_new(l->w, link, TL_ROLE_RESHAPE, &view, sizeof view, &flat, to, 1);
        if (!to[0] || !to[1]) return 0;
        c = tl_rewrite_new(l->w, link, TL_ROLE_SCATTER_ADD, &attr, sizeof attr, &s, to, c ? 3 : 2);
        if (!c) return 0;
    }
    return c;
}

/* A table's gradient, none of which lies in other rows than the ids of its links name: they are listed. */
static bool list_rows(lookup *l, uint32_t last)
{
    uint32_t n = 0, first = last;
    for (uint32_t i = last; i; i = before(l, i)) first = i, n++;
    if (!TL_LEGAL(CHAIN_START, !start_of(l, first))) return true;
    for (uint32_t k = 0; k < l->t->n_gradient; k++) {
        if (l->t->gradient[k].id != last) continue;
        uint32_t *part = tl_arena_alloc(&l->w->to->arena, n * sizeof *part);
        for (uint32_t i = last, j = 0; part && i; i = before(l, i))
            if (!(part[j++] = ids_part(l, in(l, i, 1), 0, link_of(l, i).n, i))) return false;
        const uint32_t ids = part ? tl_rewrite_rows(l->w, part, n, &l->t->node[last]) : 0;
        tl_tape *t = l->w->to;
        if (!ids || !TL_GROW(t->used, t->n_used, t->cap_used)) return false;
        t->used[t->n_used++] = (tl_tape_gradient){ l->t->gradient[k].param, ids };
        return true;
    }
    return true;
}

/* The whole chain; 0: memory */
static uint32_t emit_chain(lookup *l, uint32_t last)
{
    const bool scatters = role(l, last) == TL_ROLE_SCATTER_ADD;
    const int64_t table = scatters ? shape(l, last)->dim[0] : table_rows(l, link_of(l, last).maker);
    uint32_t first = last;
    find_terms(l, last);
    for (uint32_t p; (p = before(l, first)); first = p) {}
    uint32_t c = start_of(l, first);
    c = c ? l->w->map[c] : 0;
    if (l->failed || (scatters && !list_rows(l, last))) return 0;
    for (uint32_t k = 0, end; k < l->n_term; k = end) {
        const term t = l->term[k];
        for (end = k + 1; end < l->n_term && same_weight(&l->term[k], &l->term[end]);) end++;
        const bool plain = scatters && !t.W; /* rows that no product has made */
        const uint32_t S = added_up(l, k, end, table, plain ? c : 0);
        if (plain) c = S;
        if (!S) return 0;
        if (plain) continue;
        const rows r = link_of(l, last);
        const uint32_t with = l->w->map[scatters ? t.W : in(l, r.maker, 0)];
        const tl_product_attr attr = { .ta = !scatters, .tb = scatters && t.tb };
        const bool leads = scatters || r.side; /* is S the left operand? */
        const uint32_t to[3] = { leads ? S : with, leads ? with : S, c };
        c = tl_rewrite_new(l->w, &l->t->node[last], TL_ROLE_PRODUCT, &attr, sizeof attr, shape(l, last), to, c ? 3 : 2);
        if (!c) return 0;
    }
    return c;
}

/* one_hot(ids)^T G + C0: G's rows added at ids. From 0, not from nothing, which would make it the gradient of a table that
 * rows are gathered from. */
static uint32_t emit_one_hot(lookup *l, uint32_t i, rows r)
{
    const tl_node *n = &l->t->node[i];
    const tl_scatter_attr attr = { n->shape.dim[0] };
    const tl_fill_attr zeros = { .rank = 2, .dim = { n->shape.dim[0], n->shape.dim[1] } };
    uint32_t c = start_of(l, i);
    c = c ? l->w->map[c] : tl_rewrite_new(l->w, n, TL_ROLE_FILL, &zeros, sizeof zeros, &n->shape, NULL, 0);
    const uint32_t to[3] = { l->w->map[in(l, i, 1)], ids_part(l, ids_of(l, r.maker), r.first, r.n, r.maker), c };
    if (!to[1] || !to[2]) return 0;
    return tl_rewrite_new(l->w, n, TL_ROLE_SCATTER_ADD, &attr, sizeof attr, &n->shape, to, 3);
}

/* Marks the links of chains that pay: they come with the last one. */
static void choose_chains(lookup *l, bool *ends)
{
    for (uint32_t i = 1; i < l->t->n && !l->failed; i++) {
        const rows r = l->w->live[i] && !l->next[i] ? link_of(l, i) : (rows){ 0 };
        if (!r.maker || role(l, r.maker) == TL_ROLE_ONE_HOT) continue;
        find_terms(l, i);
        if (l->failed || !chain_pays(l, i)) continue;
        ends[i] = true;
        for (uint32_t p = before(l, i); p; p = before(l, p)) l->absorbed[p] = true;
    }
}

static uint32_t emit(lookup *l, uint32_t i, bool end)
{
    const rows r = looked_up(l, i), q = tl_exact() ? (rows){ 0 } : link_of(l, i);
    const tl_node *n = &l->t->node[i];
    const char *W = r.maker ? tl_param_path(l->t, in(l, i, 1)) : NULL;
    if (r.maker && pays(l, i, r.maker)) {
        tl_rewrite_note_of(l->w, n, W, "# products became look-ups in a table that is multiplied before", 1);
        return emit_forward(l, i, r);
    }
    if (r.maker)
        tl_rewrite_left_of(l->w, n, W, "# products of rows of a table: it has more rows than are looked up", 1);
    if (end) {
        uint32_t links = 1;
        for (uint32_t p = before(l, i); p; p = before(l, p)) links++;
        tl_rewrite_note(l->w, n, "# sums of products: rows are added up at their ids before they are multiplied",
                        links);
        return emit_chain(l, i);
    }
    if (q.maker && role(l, q.maker) == TL_ROLE_ONE_HOT) return emit_one_hot(l, i, q);
    return tl_rewrite_node(l->w, i);
}

static bool run(tl_rewrite *w)
{
    const uint32_t n = w->from->n;
    tl_arena *a = &w->to->arena;
    lookup l = { .w = w, .t = w->from, .uses = tl_rewrite_uses(w) };
    bool *ends = tl_arena_alloc(a, n);
    l.next = tl_arena_alloc(a, n * sizeof *l.next);
    l.absorbed = tl_arena_alloc(a, n);
    bool well = l.uses && ends && l.next && l.absorbed && count_rows(&l);
    if (well && TL_LEGAL(CHAIN_ROUNDS, !tl_exact())) {
        find_chains(&l);
        choose_chains(&l, ends);
    }
    for (uint32_t i = 1; i < n && well && !l.failed; i++)
        if (w->live[i] && !l.absorbed[i]) well = (w->map[i] = emit(&l, i, ends[i])) != 0;
    tl_table_free(&l.rows);
    tl_table_free(&l.made);
    TL_RELEASE(l.term, l.cap_term);
    return well && !l.failed;
}

const tl_pass tl_pass_lookup = { "lookup", run };
