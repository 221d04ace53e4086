/* graph/passes/batch.c - products that share their right operand become one product of stacked rows: the inputs of all time
 * steps, the layers of all steps, the same network on several things.
 *
 * Members of a group are products C0 + a b with one and the same b, no transposition of a, and C0 absent, the same for all and
 * broadcast over rows, or each member's own. A row of a product is a chain of fused multiply-adds of its own (contract 7), so
 * rows may be put together in any number: the same bits. No path may lead from a member to another (else one could not
 * be computed with the other), and putting several groups together may not make a circle: what is left over when nothing
 * is ready is taken apart again. Nothing here knows of time: steps are found because they share their weights. */
#include "graph/passes/passes.h"

#include <string.h>

/* Larger members gain nothing; of narrow ones copying eats the gain; larger groups keep too much waiting in memory. */
enum { MAX_MEMBER_ROWS = 256, MIN_COLUMNS = 16, MAX_ROWS = 2048 };

typedef struct batch {
    tl_rewrite *w;
    uint32_t n;
    uint32_t *group;   /* of each node; 0: alone */
    uint32_t *next;    /* member of the same group; 0: the last */
    uint32_t *first;   /* of each group, from 1 */
    uint32_t *waiting; /* of each node, operands (of a group's first member: of all members) that are not there yet */
    uint32_t groups, cap_groups;
    uint32_t *user, *first_user; /* users of node i: user[first_user[i] .. first_user[i + 1] - 1] */
    uint32_t *heap, n_heap;      /* ready units, by the number of their first node: the smallest on top */
} batch;

/* ---- groups ------------------------------------------------------------------------------------------------------- */

typedef enum start_kind { NO_START, SHARED_START, OWN_START, ODD_START } start_kind;

static start_kind start_of(const tl_tape *t, const tl_node *n)
{
    const uint32_t c = n->n_in > 2 ? tl_node_in(t, n, 2) : 0;
    if (!c) return NO_START;
    const tl_shape *s = &t->node[c].shape;
    if (tl_shape_equal(s, &n->shape) && n->shape.dim[0] > 1) return OWN_START;
    return TL_LEGAL(BATCH_COLUMN, s->rank < 2 || s->dim[0] == 1) ? SHARED_START : ODD_START;
}

/* What members have in common, as a key; 0: this is no product that could be batched. *why: it could be, but is not. */
static uint64_t signature(const tl_tape *t, const tl_node *n, const char **why)
{
    *why = NULL;
    if (n->op->role != TL_ROLE_PRODUCT) return 0;
    const tl_product_attr *a = n->attr;
    const tl_shape *x = &t->node[tl_node_in(t, n, 0)].shape, *y = &t->node[tl_node_in(t, n, 1)].shape;
    if (!TL_LEGAL(BATCH_ORIENTATION, !a->ta)) return 0;
    if (!TL_LEGAL(BATCH_RANK, x->rank == 2 && y->rank == 2 && n->shape.rank == 2)) return 0;
    if (x->dim[0] < 1) return 0;
    const start_kind kind = start_of(t, n);
    if (x->dim[0] > MAX_MEMBER_ROWS) *why = "# products, large enough each by itself";
    else if (n->shape.dim[1] < MIN_COLUMNS) *why = "# products of few columns: to copy them costs more";
    else if (kind == ODD_START) *why = "# products, each added to something else";
    const uint64_t b = TL_LEGAL(BATCH_RIGHT, false) ? 1 : tl_node_in(t, n, 1);
    const uint64_t tb = TL_LEGAL(BATCH_TRANSPOSED, false) ? 0 : (uint64_t)a->tb;
    const uint64_t c = TL_LEGAL(BATCH_START, kind != SHARED_START) ? 0 : tl_node_in(t, n, 2);
    return tl_mix(tl_mix(b, tb << 2 | (TL_LEGAL(BATCH_KIND, false) ? 0 : kind)), c) | 1;
}

/* The newest member of each signature, and how many rows its group has: two numbers in one. */
static uint64_t newest(uint32_t i, int64_t rows) { return (uint64_t)rows << 32 | i; }

static bool join(batch *g, uint32_t last, uint32_t i)
{
    if (!g->group[last]) {
        if (!TL_GROW(g->first, g->groups + 1, g->cap_groups)) return false;
        g->first[g->group[last] = ++g->groups] = last;
    }
    g->next[last] = i;
    g->group[i] = g->group[last];
    return true;
}

static const char *weight_of(const batch *g, uint32_t i)
{
    return tl_param_path(g->w->from, tl_node_in(g->w->from, &g->w->from->node[i], 1));
}

/* One product is left alone without a word: there is nothing to batch it with. */
static void leave(batch *g, uint32_t i, const char *why, uint64_t *known)
{
    if (*known) tl_rewrite_left_of(g->w, &g->w->from->node[i], weight_of(g, i), why, *known == 1 ? 2 : 1);
    ++*known;
}

static bool find_groups(batch *g)
{
    const tl_tape *t = g->w->from;
    tl_table known = { 0 };
    bool well = true;
    for (uint32_t i = 1; i < g->n && well; i++) {
        const char *why;
        const uint64_t key = g->w->live[i] ? signature(t, &t->node[i], &why) : 0;
        if (!key) continue;
        uint64_t *slot = tl_table_put(&known, key, (uint64_t)(uintptr_t)why, 0);
        if (!(well = slot)) break;
        if (why) {
            leave(g, i, why, slot);
            continue;
        }
        const uint32_t last = (uint32_t)*slot;
        const int64_t own = t->node[i].shape.dim[0], rows = own + (int64_t)(*slot >> 32);
        const bool joins = last && rows <= MAX_ROWS;
        if (joins) well = join(g, last, i);
        *slot = newest(i, joins ? rows : own);
    }
    tl_table_free(&known);
    return well;
}

static void dissolve(batch *g, uint32_t k)
{
    for (uint32_t i = g->first[k], next; i; i = next) {
        next = g->next[i];
        g->group[i] = g->next[i] = 0;
        tl_rewrite_left_of(g->w, &g->w->from->node[i], weight_of(g, i), "# products: one needs another (a recurrence)",
                           1);
    }
    g->first[k] = 0;
}

/* Takes apart each group that has a path between two members; 64 groups at a time. */
static bool keep_independent(batch *g)
{
    const tl_tape *t = g->w->from;
    uint64_t *below = tl_resize(NULL, 0, g->n * sizeof *below); /* groups of which a member leads here */
    if (!below) return false;
    for (uint32_t base = 1; base <= g->groups; base += 64) {
        uint64_t bad = 0;
        tl_groups_below(t, g->group, base, below);
        for (uint32_t i = 1; i < g->n; i++) {
            const uint32_t at = g->group[i] - base; /* wraps where there is none, or another range */
            for (uint32_t k = 0; g->group[i] && at < 64 && k < t->node[i].n_in; k++)
                bad |= below[tl_node_in(t, &t->node[i], k)] & (uint64_t)1 << at;
        }
        for (uint32_t k = 0; k < 64; k++)
            if (bad >> k & 1) dissolve(g, base + k);
    }
    tl_resize(below, g->n * sizeof *below, 0);
    return true;
}

/* ---- order -------------------------------------------------------------------------------------------------------- */

static uint32_t unit_of(const batch *g, uint32_t i) { return g->group[i] ? g->first[g->group[i]] : i; }

static void push(batch *g, uint32_t unit)
{
    uint32_t i = g->n_heap++;
    for (; i && g->heap[(i - 1) / 2] > unit; i = (i - 1) / 2) g->heap[i] = g->heap[(i - 1) / 2];
    g->heap[i] = unit;
}

static uint32_t pop(batch *g)
{
    const uint32_t top = g->heap[0], unit = g->heap[--g->n_heap];
    uint32_t i = 0;
    for (uint32_t c; (c = 2 * i + 1) < g->n_heap; i = c) {
        if (c + 1 < g->n_heap && g->heap[c + 1] < g->heap[c]) c++;
        if (g->heap[c] >= unit) break;
        g->heap[i] = g->heap[c];
    }
    g->heap[i] = unit;
    return top;
}

static void count_users(batch *g)
{
    const tl_tape *t = g->w->from;
    for (uint32_t i = 1; i < g->n; i++)
        for (uint32_t k = 0; g->w->live[i] && k < t->node[i].n_in; k++) g->first_user[tl_node_in(t, &t->node[i], k)]++;
    for (uint32_t i = 1; i <= g->n; i++) g->first_user[i] += g->first_user[i - 1]; /* where each one's end ... */
    for (uint32_t i = g->n - 1; i; i--)
        for (uint32_t k = g->w->live[i] ? t->node[i].n_in : 0; k--;)
            g->user[--g->first_user[tl_node_in(t, &t->node[i], k)]] = i;
} /* ... and now each one's begin */

/* ---- emission ----------------------------------------------------------------------------------------------------- */

static uint32_t emit_group(batch *g, uint32_t first)
{
    tl_tape *t = g->w->from;
    uint32_t count = 0, id[2] = { 0 };
    int64_t rows = 0;
    for (uint32_t i = first; i; i = g->next[i]) count++;
    uint32_t *part = tl_arena_alloc(&g->w->to->arena, count * sizeof *part);
    if (!part) return 0;
    tl_node like = t->node[first];
    const start_kind kind = start_of(t, &like);
    uint32_t in[3] = { 0, g->w->map[tl_node_in(t, &like, 1)], 0 };
    for (int k = 0; k < (kind == OWN_START ? 2 : 1); k++) {
        uint32_t j = 0;
        for (uint32_t i = first; i; i = g->next[i]) part[j++] = g->w->map[tl_node_in(t, &t->node[i], k ? 2 : 0)];
        if (!(id[k] = tl_rewrite_rows(g->w, part, count, &like))) return 0;
    }
    for (uint32_t i = first; i; i = g->next[i]) rows += t->node[i].shape.dim[0];
    in[0] = id[0];
    in[2] = kind == OWN_START ? id[1] : kind == SHARED_START ? g->w->map[tl_node_in(t, &like, 2)] : 0;
    like.n_in = in[2] ? 3 : 2;
    like.shape.dim[0] = rows;
    tl_rewrite_note_of(g->w, &like, weight_of(g, first), "# products of # rows in all became #", count, rows, 1);
    const uint32_t all = tl_rewrite_emit(g->w, &like, in);
    int64_t begin = 0;
    for (uint32_t i = first; all && i; i = g->next[i]) {
        const tl_slice_attr attr = { 0, begin, begin + t->node[i].shape.dim[0] };
        tl_node slice = t->node[i];
        slice.op = tl_op_of_role(TL_ROLE_SLICE);
        slice.attr = (void *)(uintptr_t)&attr;
        slice.attr_size = sizeof attr;
        slice.n_in = 1;
        if (!(g->w->map[i] = tl_rewrite_emit(g->w, &slice, &all))) return 0;
        begin = attr.end;
    }
    return all;
}

/* Node i is there: units that waited for nothing else are ready. */
static void release(batch *g, uint32_t i)
{
    for (uint32_t k = g->first_user[i]; k < g->first_user[i + 1]; k++) {
        const uint32_t unit = unit_of(g, g->user[k]);
        if (!--g->waiting[unit]) push(g, unit);
    }
}

/* Emits all that is ready, and what becomes so. */
static bool drain(batch *g)
{
    while (g->n_heap) {
        const uint32_t i = pop(g);
        if (!g->group[i]) {
            if (!(g->w->map[i] = tl_rewrite_node(g->w, i))) return false;
            release(g, i);
            continue;
        }
        if (!emit_group(g, i)) return false;
        for (uint32_t k = i; k; k = g->next[k]) release(g, k);
    }
    return true;
}

static uint32_t missing(const batch *g, uint32_t i)
{
    const tl_tape *t = g->w->from;
    uint32_t n = 0;
    for (uint32_t k = 0; k < t->node[i].n_in; k++) {
        const uint32_t id = tl_node_in(t, &t->node[i], k);
        n += id && !g->w->map[id];
    }
    return n;
}

static bool emit_all(batch *g)
{
    for (uint32_t i = 1; i < g->n; i++) g->waiting[unit_of(g, i)] += missing(g, i);
    for (uint32_t i = 1; i < g->n; i++)
        if (g->w->live[i] && unit_of(g, i) == i && !g->waiting[i]) push(g, i);
    if (!drain(g)) return false;
    for (uint32_t k = 1; k <= g->groups; k++) { /* what is left waits for itself */
        const uint32_t first = g->first[k];
        if (TL_LEGAL(BATCH_CIRCLE, !first || g->w->map[first])) continue;
        for (uint32_t i = first, next; i; i = next) {
            next = g->next[i];
            g->group[i] = g->next[i] = 0;
            tl_rewrite_left_of(g->w, &g->w->from->node[i], weight_of(g, i),
                               "# products: together they would need themselves, through others that were put together",
                               1);
            if (!(g->waiting[i] = missing(g, i))) push(g, i);
        }
        if (!drain(g)) return false;
    }
    return true;
}

static bool run(tl_rewrite *w)
{
    const uint32_t n = w->from->n, edges = w->from->n_in;
    batch g = { .w = w, .n = n };
    uint32_t *room = tl_resize(NULL, 0, (5 * (size_t)n + edges + 2) * sizeof *room);
    bool well = room != NULL;
    if (well) {
        memset(room, 0, (5 * (size_t)n + edges + 2) * sizeof *room);
        g.group = room, g.next = room + n, g.waiting = room + 2 * (size_t)n, g.heap = room + 3 * (size_t)n;
        g.first_user = room + 4 * (size_t)n, g.user = room + 5 * (size_t)n + 2;
        well = find_groups(&g) && keep_independent(&g);
    }
    if (well) count_users(&g);
    well = well && emit_all(&g);
    tl_resize(room, (5 * (size_t)n + edges + 2) * sizeof *room, 0);
    TL_RELEASE(g.first, g.cap_groups);
    return well;
}

const tl_pass tl_pass_batch = { "batch", run };
