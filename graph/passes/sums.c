/* graph/passes/sums.c - a sum of products and other things, in whatever order it was written, becomes one chain: each product
 * starts from what came before.
 *
 *     h U + (x W + b)  =  (b + x W) + h U      two products, of which the first starts from b, the second from the first
 *
 * Legal because addition is commutative and associative but for rounding: not made in exact mode. A sum inside a sum
 * belongs to it if nothing else looks at it and it has its shape; of products, the start is one more addend. Each addend is
 * then added once.
 *
 * What comes first: rows that depend on parameters alone (a bias); what else was no product; products; and last those by
 * a matrix that a recurrence goes through, that is, one product by it leads to another. So the others wait for nothing
 * and can be made, or looked up, for all steps at once: which is why they do not start from what differs from step to step
 * either. That is added at the end. */
#include "graph/passes/passes.h"

#include <stdlib.h>

typedef enum addend_kind { BIAS, FIRST, FREE, BOUND, LAST } addend_kind; /* in their order */

typedef struct addend {
    uint32_t id; /* a product counts without its start */
    bool is_product, is_start;
    addend_kind kind;
} addend;

typedef struct summing {
    tl_rewrite *w;
    const tl_tape *t;
    const uint32_t *uses;
    bool *inner;     /* is this node part of the sum that it is an operand of? */
    bool *fixed;     /* does it depend on parameters and constants alone? */
    bool *gone;      /* its sum is a chain now */
    uint32_t *group; /* of a product: those by the same matrix, if there are several; 0: alone */
    uint32_t n_group;
    bool *recurrent; /* of each group: one leads to another */
    addend *a;       /* of the sum at hand */
    uint32_t n, cap, adds;
} summing;

static uint32_t in(const summing *s, uint32_t id, uint32_t k)
{
    const tl_node *n = &s->t->node[id];
    return k < n->n_in ? tl_node_in(s->t, n, k) : 0;
}
static const tl_shape *shape(const summing *s, uint32_t id) { return &s->t->node[id].shape; }
static bool is(const summing *s, uint32_t id, tl_op_role role) { return s->t->node[id].op->role == role; }

/* ---- products by one matrix --------------------------------------------------------------------------------------- */

static bool find_groups(summing *s)
{
    tl_table first = { 0 }; /* product by a matrix */
    bool well = true;
    for (uint32_t i = 1; i < s->t->n && well; i++) {
        const tl_product_attr *a = s->t->node[i].attr;
        if (!s->w->live[i] || !is(s, i, TL_ROLE_PRODUCT) || a->ta) continue;
        uint64_t *slot = tl_table_put(&first, in(s, i, 1), (uint64_t)a->tb, i);
        if (!(well = slot) || *slot == i) continue;
        if (!s->group[*slot]) s->group[*slot] = ++s->n_group;
        s->group[i] = s->group[*slot];
    }
    tl_table_free(&first);
    return well;
}

/* What a product starts from does not count: that may change. */
static bool find_recurrent(summing *s)
{
    uint64_t *below = tl_resize(NULL, 0, s->t->n * sizeof *below);
    s->recurrent = tl_arena_alloc(&s->w->to->arena, s->n_group + 1);
    for (uint32_t base = 1; below && s->recurrent && base <= s->n_group; base += 64) {
        tl_groups_below(s->t, s->group, base, below);
        for (uint32_t i = 1; i < s->t->n; i++) {
            const uint32_t at = s->group[i] - base; /* wraps where there is none */
            if (s->group[i] && at < 64 && (below[in(s, i, 0)] | below[in(s, i, 1)]) >> at & 1)
                s->recurrent[s->group[i]] = true;
        }
    }
    const bool well = below && s->recurrent;
    if (below) tl_resize(below, s->t->n * sizeof *below, 0);
    return well;
}

/* ---- sums --------------------------------------------------------------------------------------------------------- */

static void find_sums(summing *s)
{
    for (uint32_t i = 1; i < s->t->n; i++) {
        const tl_node *n = &s->t->node[i];
        const bool add = is(s, i, TL_ROLE_ADD), product = is(s, i, TL_ROLE_PRODUCT);
        s->fixed[i] = is(s, i, TL_ROLE_PARAM) || is(s, i, TL_ROLE_CONST) || is(s, i, TL_ROLE_FILL) ||
                      (n->n_in && tl_is_pure(n) && n->op->cls != TL_RANDOM);
        for (uint32_t k = 0; k < n->n_in; k++) s->fixed[i] &= !in(s, i, k) || s->fixed[in(s, i, k)];
        for (uint32_t k = add ? 0 : 2; s->w->live[i] && (add || product) && k < n->n_in; k++) {
            const uint32_t x = in(s, i, k);
            s->inner[x] = x && (is(s, x, TL_ROLE_ADD) || is(s, x, TL_ROLE_PRODUCT)) &&
                          TL_LEGAL(SUMS_USES, s->uses[x] == 1) &&
                          TL_LEGAL(SUMS_SHAPE, tl_shape_equal(shape(s, x), shape(s, i)));
        }
    }
}

static bool take(summing *s, uint32_t id, bool is_product, bool is_start)
{
    if (!TL_GROW(s->a, s->n, s->cap)) return false;
    s->a[s->n++] = (addend){ .id = id, .is_product = is_product, .is_start = is_start };
    return true;
}

/* The addends of node i: what is still to be taken apart among them is taken apart in its turn. */
static bool find_addends(summing *s, uint32_t i)
{
    s->n = s->adds = 0;
    if (!take(s, i, false, false)) return false;
    for (uint32_t k = 0; k < s->n;) {
        const uint32_t id = s->a[k].id;
        const bool add = is(s, id, TL_ROLE_ADD), open = id == i || s->inner[id];
        if (!open || s->a[k].is_product) {
            k++;
        } else if (add) {
            s->adds++;
            s->a[k] = (addend){ .id = in(s, id, 0) };
            if (!take(s, in(s, id, 1), false, false)) return false;
        } else {
            s->a[k].is_product = true;
            if (in(s, id, 2) && !take(s, in(s, id, 2), false, true)) return false;
        }
    }
    return true;
}

static int by_kind(const void *x, const void *y)
{
    const addend *a = x, *b = y;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* Puts the addends of i in order. false: nothing is won. */
static bool arrange(summing *s, uint32_t i)
{
    bool free = false, moved = false;
    uint32_t products = 0, first = 0, last = 0;
    for (addend *a = s->a; a < s->a + s->n; a++) {
        if (!a->is_product) continue;
        a->kind = s->recurrent[s->group[a->id]] ? BOUND : FREE;
        free |= a->kind == FREE && s->group[a->id];
        products++;
    }
    for (addend *a = s->a; a < s->a + s->n; a++) {
        if (a->is_product) continue;
        const bool rows = is(s, a->id, TL_ROLE_PARAM) || !tl_shape_equal(shape(s, a->id), shape(s, i));
        a->kind = s->fixed[a->id] && rows ? BIAS : free && !a->is_start ? LAST : FIRST;
        first += a->kind != LAST;
        last += a->kind == LAST;
    }
    qsort(s->a, s->n, sizeof *s->a, by_kind);
    for (uint32_t k = 1; k < s->n; k++)
        moved |= s->a[k].is_product && s->a[k - 1].is_product && s->a[k].id < s->a[k - 1].id;
    return products && (moved || (first > 1 ? first - 1 : 0) + last < s->adds);
}

/* ---- emission ----------------------------------------------------------------------------------------------------- */

/* b + a, nodes of `to`, one of which may be broadcast along axes of the other. */
static uint32_t emit_add(summing *s, uint32_t a, uint32_t b, const tl_node *like)
{
    const tl_shape *x = &s->w->to->node[a].shape, *y = &s->w->to->node[b].shape;
    tl_shape z = x->rank < y->rank ? *y : *x;
    const tl_shape *less = x->rank < y->rank ? x : y;
    for (int k = 0; k < less->rank; k++) {
        int64_t *d = &z.dim[z.rank - less->rank + k];
        if (*d == 1) *d = less->dim[k];
    }
    return tl_rewrite_new(s->w, like, TL_ROLE_ADD, NULL, 0, &z, (uint32_t[]){ a, b }, 2);
}

/* The sum that ends in node i; 0: memory */
static uint32_t emit_sum(summing *s, uint32_t i)
{
    uint32_t c = 0, products = 0;
    for (const addend *a = s->a; a < s->a + s->n; a++) {
        tl_node n = s->t->node[a->id];
        if (a->is_product) {
            n.n_in = c ? 3 : 2;
            c = tl_rewrite_emit(s->w, &n, (uint32_t[]){ s->w->map[in(s, a->id, 0)], s->w->map[in(s, a->id, 1)], c });
            products++;
        } else {
            c = c ? emit_add(s, c, s->w->map[a->id], &s->t->node[i]) : s->w->map[a->id];
        }
        if (!c) return 0;
    }
    tl_rewrite_note(s->w, &s->t->node[i],
                    "sums of # addends in all became # products, each of which starts from another", s->n, products);
    return c;
}

/* Sums go from their last node back, so that all parts of one are known before they would be copied. */
static bool find_chains(summing *s)
{
    for (uint32_t i = s->t->n; --i;) {
        if (!s->w->live[i] || s->inner[i] || !(is(s, i, TL_ROLE_ADD) || is(s, i, TL_ROLE_PRODUCT))) continue;
        if (!find_addends(s, i)) return false;
        s->gone[i] = s->n > 1 && arrange(s, i);
    }
    for (uint32_t i = s->t->n; --i;) {
        const bool add = is(s, i, TL_ROLE_ADD);
        for (uint32_t k = add ? 0 : 2; s->gone[i] && k < s->t->node[i].n_in; k++)
            s->gone[in(s, i, k)] |= s->inner[in(s, i, k)];
    }
    return true;
}

static bool emit(summing *s, uint32_t i)
{
    if (s->gone[i] && s->inner[i]) return true; /* comes with the last */
    if (!s->gone[i]) return (s->w->map[i] = tl_rewrite_node(s->w, i)) != 0;
    if (!find_addends(s, i)) return false;
    arrange(s, i);
    return (s->w->map[i] = emit_sum(s, i)) != 0;
}

static bool run(tl_rewrite *w)
{
    const uint32_t n = w->from->n;
    tl_arena *room = &w->to->arena;
    summing s = { .w = w, .t = w->from };
    if (!TL_LEGAL(SUMS_ORDER, !tl_exact())) return tl_rewrite_all(w);
    s.uses = tl_rewrite_uses(w);
    s.inner = tl_arena_alloc(room, n);
    s.fixed = tl_arena_alloc(room, n);
    s.gone = tl_arena_alloc(room, n);
    s.group = tl_arena_alloc(room, n * sizeof *s.group);
    bool well = s.uses && s.inner && s.fixed && s.gone && s.group && find_groups(&s) && find_recurrent(&s);
    if (well) find_sums(&s);
    well = well && find_chains(&s);
    for (uint32_t i = 1; i < n && well; i++)
        if (w->live[i]) well = emit(&s, i);
    TL_RELEASE(s.a, s.cap);
    return well;
}

const tl_pass tl_pass_sums = { "sums", run };
