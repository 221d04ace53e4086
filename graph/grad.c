/* graph/grad.c - the gradient as more tape: adjoints in reverse order of recording (Speelpenning 1980). */
#include <string.h>

#include "graph/tape.h"

tl_fault tl_planted_fault;

/* The adjoint g of a slice of some node. */
typedef struct tl_piece {
    struct tl_piece *next; /* of another slice of the same node */
    const tl_slice_attr *slice;
    uint32_t g;
} tl_piece;

typedef struct tl_adjoints {
    tl_tape *tape;
    uint32_t n;        /* nodes 0..n-1 were there when this began */
    bool *need;        /* does some wrt lie under this node? */
    uint32_t *adjoint; /* 0: none yet */
    tl_piece **pieces; /* of each node, until its turn comes */
} tl_adjoints;

/* In the tape's arena: a recording that is made again needs no new memory. */
static bool prepare(tl_adjoints *g)
{
    g->need = tl_arena_alloc(&g->tape->arena, g->n * sizeof *g->need);
    g->adjoint = tl_arena_alloc(&g->tape->arena, g->n * sizeof *g->adjoint);
    g->pieces = tl_arena_alloc(&g->tape->arena, g->n * sizeof *g->pieces);
    if (!g->need || !g->adjoint || !g->pieces) tl_no_memory(g->tape);
    return g->need && g->adjoint && g->pieces;
}

/* Marks every node on a way from some wrt: no adjoint is made anywhere else. */
static void mark_needed(tl_adjoints *g, const uint32_t *wrt, int n)
{
    for (int i = 0; i < n; i++)
        if (wrt[i] && wrt[i] < g->n) g->need[wrt[i]] = true;
    for (uint32_t i = 1; i < g->n; i++) {
        const tl_node *node = &g->tape->node[i];
        if (node->op->no_gradient || node->shape.dtype == TL_I32) continue;
        for (uint32_t k = 0; k < node->n_in && !g->need[i]; k++) g->need[i] = g->need[tl_node_in(g->tape, node, k)];
    }
}

/* Lets the newest node start from the sum so far, if it is of a kind that can: then the sum over time steps of a
 * weight's gradient is one chain of products. */
static bool start_from(tl_tape *t, uint32_t id, uint32_t sum)
{
    tl_node *node = &t->node[id];
    const tl_op_role role = node->op->role;
    if (id + 1 != t->n || (role != TL_ROLE_PRODUCT && role != TL_ROLE_SUM && role != TL_ROLE_SCATTER_ADD)) return false;
    if (!tl_shape_equal(&node->shape, &t->node[sum].shape)) return false;
    const uint32_t last = (uint32_t)node->op->max_in - 1;
    if (node->n_in > last) {
        if (t->in[node->first_in + last]) return false;
    } else {
        if (!TL_GROW(t->in, t->n_in, t->cap_in)) return tl_no_memory(t), false;
        t->n_in++;
        node->n_in++;
    }
    t->in[node->first_in + last] = sum;
    return true;
}

static void contribute(tl_adjoints *g, uint32_t to, tl_tensor c, uint32_t before)
{
    tl_tape *t = g->tape;
    const uint32_t sum = g->adjoint[to];
    if (!sum || tl_planted_fault == TL_FAULT_NO_ACCUMULATION) g->adjoint[to] = c.id;
    else if (c.id >= before && start_from(t, c.id, sum)) g->adjoint[to] = c.id;
    else
        g->adjoint[to] =
            tl_apply_at(TL_NOWHERE, tl_op_of_role(TL_ROLE_ADD), (tl_tensor[]){ tl_handle(t, sum), c }, 2, NULL).id;
}

/* Adds what node i passes on to its operand k. */
static void pass_on(tl_adjoints *g, uint32_t i, uint32_t k, const tl_vjp *v)
{
    tl_tape *t = g->tape;
    const struct tl_op *op = t->node[i].op;
    const uint32_t to = tl_node_in(t, &t->node[i], k), before = t->n;
    const tl_tensor c = op->vjp(v, (int)k);
    if (t->status || tl_absent(c)) return;
    if (!tl_operand(t, TL_NOWHERE, c, op->name)) return;
    if (!tl_shape_equal(&t->node[c.id].shape, &t->node[to].shape)) {
        char has[128], want[128];
        tl_shape_print(has, sizeof has, &t->node[c.id].shape);
        tl_shape_print(want, sizeof want, &t->node[to].shape);
        tl_tape_fail(t, TL_NOWHERE, TL_E_SHAPE, "the vjp rule of %s gives %s for operand %u, which is %s", op->name,
                     has, (unsigned)k, want);
        return;
    }
    contribute(g, to, c, before);
}

/* ---- slices: what they pass on is put together once, not padded to full size and added up one by one -------------- */

static void keep_piece(tl_adjoints *g, uint32_t i)
{
    const uint32_t to = tl_node_in(g->tape, &g->tape->node[i], 0);
    tl_piece *p = tl_arena_alloc(&g->tape->arena, sizeof *p);
    if (!p) {
        tl_no_memory(g->tape);
        return;
    }
    *p = (tl_piece){ g->pieces[to], g->tape->node[i].attr, g->adjoint[i] };
    g->pieces[to] = p;
}

/* By where they begin; equal ones in the order of the list. Steps in order, either way, are found in place. */
static tl_piece *sorted(tl_piece *list)
{
    tl_piece *first = NULL, *last = NULL;
    for (tl_piece *p = list, *next; p; p = next) {
        tl_piece **at = last && last->slice->begin <= p->slice->begin ? &last->next : &first;
        next = p->next;
        while (*at && (*at)->slice->begin <= p->slice->begin) at = &(*at)->next;
        p->next = *at;
        *at = last = p;
    }
    return first;
}

static bool same_part(const tl_piece *a, const tl_piece *b)
{
    return b && a->slice->begin == b->slice->begin && a->slice->end == b->slice->end;
}

/* Are they of one axis, and each two of them the same part or apart? */
static bool apart(const tl_piece *p)
{
    for (; p->next; p = p->next)
        if (p->slice->axis != p->next->slice->axis || (!same_part(p, p->next) && p->slice->end > p->next->slice->begin))
            return false;
    return true;
}

static tl_tensor zeros(tl_tape *t, uint32_t like, int64_t axis, int64_t size)
{
    const tl_node *n = &t->node[like];
    tl_fill_attr attr = { .rank = n->shape.rank };
    memcpy(attr.dim, n->shape.dim, sizeof attr.dim);
    attr.dim[axis] = size;
    return tl_apply_leaf_at(TL_NOWHERE, (tl_scope *)(uintptr_t)n->scope, tl_op_of_role(TL_ROLE_FILL), &attr);
}

/* Pieces that are apart, and zeros between them, one after the other. */
static tl_tensor put_together(tl_tape *t, uint32_t i, const tl_piece *p)
{
    const int64_t axis = p->slice->axis, size = t->node[i].shape.dim[axis];
    uint32_t most = 1;
    for (const tl_piece *q = p; q; q = q->next) most += 2;
    tl_tensor *part = tl_arena_alloc(&t->arena, most * sizeof *part);
    if (!part) return tl_no_memory(t);
    int n = 0;
    int64_t at = 0;
    for (; p; p = p->next) {
        if (p->slice->begin > at) part[n++] = zeros(t, i, axis, p->slice->begin - at);
        part[n] = tl_handle(t, p->g);
        at = p->slice->end;
        for (; same_part(p, p->next); p = p->next)
            part[n] = tl_apply_at(TL_NOWHERE, tl_op_of_role(TL_ROLE_ADD),
                                  (tl_tensor[]){ part[n], tl_handle(t, p->next->g) }, 2, NULL);
        n++;
    }
    if (at < size) part[n++] = zeros(t, i, axis, size - at);
    return tl_apply_at(TL_NOWHERE, tl_op_of_role(TL_ROLE_CONCAT), part, n, &(tl_concat_attr){ axis });
}

/* Node i's turn has come: what its slices have passed on joins its adjoint. */
static void settle(tl_adjoints *g, uint32_t i)
{
    tl_tape *t = g->tape;
    tl_piece *p = g->pieces[i];
    if (!p || t->status) return;
    const tl_tensor x = tl_handle(t, i);
    g->pieces[i] = NULL;
    t->place_node = i;
    p = sorted(p);
    if (p->next && apart(p)) {
        const tl_tensor c = put_together(t, i, p);
        if (!t->status) contribute(g, i, c, t->n);
    } else {
        for (; p && !t->status; p = p->next) {
            const tl_vjp v = { x, tl_handle(t, p->g), &x, 1, p->slice };
            const tl_tensor c = tl_op_of_role(TL_ROLE_SLICE)->vjp(&v, 0);
            if (!t->status) contribute(g, i, c, t->n);
        }
    }
    t->place_node = 0;
}

/* ---- the way back ------------------------------------------------------------------------------------------------- */

static void visit(tl_adjoints *g, uint32_t i)
{
    tl_tape *t = g->tape;
    const struct tl_op *op = t->node[i].op;
    const uint32_t n_in = t->node[i].n_in;
    bool any = false;
    for (uint32_t k = 0; k < n_in; k++) any |= g->need[tl_node_in(t, &t->node[i], k)];
    if (!any || op->no_gradient) return;
    if (op->role == TL_ROLE_SLICE) {
        keep_piece(g, i);
        return;
    }
    t->place_node = i;
    tl_tensor few[4], *in = n_in <= 4 ? few : tl_arena_alloc(&t->arena, n_in * sizeof *in);
    if (!in) tl_no_memory(t);
    else if (!op->vjp)
        tl_tape_fail(t, TL_NOWHERE, TL_E_NOGRAD, "%s has no vjp rule, and a gradient passes through it", op->name);
    for (uint32_t k = 0; !t->status && k < n_in; k++) {
        const uint32_t id = tl_node_in(t, &t->node[i], k);
        in[k] = id ? tl_handle(t, id) : TL_NONE;
    }
    const tl_vjp v = { tl_handle(t, i), tl_handle(t, g->adjoint[i]), in, (int)n_in, t->node[i].attr };
    for (uint32_t k = 0; !t->status && k < n_in; k++)
        if (in[k].tape && g->need[in[k].id]) pass_on(g, i, k, &v);
    t->place_node = 0;
}

/* out[i]: node of d sum(y) / d wrt[i], 0 where y does not depend on it. */
static void differentiate(tl_tape *t, tl_place at, uint32_t y, const uint32_t *wrt, int n, uint32_t *out)
{
    tl_adjoints g = { .tape = t, .n = t->n };
    memset(out, 0, (size_t)n * sizeof *out);
    if (!prepare(&g)) return;
    mark_needed(&g, wrt, n);
    if (g.need[y]) g.adjoint[y] = tl_full_like_at(at, tl_handle(t, y), 1).id;
    for (uint32_t i = y; i && !t->status; i--) {
        settle(&g, i);
        if (g.need[i] && g.adjoint[i]) visit(&g, i);
    }
    for (int i = 0; i < n && !t->status; i++) out[i] = g.adjoint[wrt[i]];
}

static uint32_t real_operand(tl_tape *t, tl_place at, tl_tensor x)
{
    const uint32_t id = tl_operand(t, at, x, "tl_grad");
    if (!id || t->node[id].shape.dtype != TL_I32) return id;
    tl_tape_fail(t, at, TL_E_DTYPE, "tl_grad: ids (i32) have no gradient");
    return 0;
}

void tl_grad_at(tl_place at, tl_tensor y, const tl_tensor *wrt, int n, tl_tensor *out)
{
    if (n > 0 && (!wrt || !out)) {
        tl_report(TL_E_ARGUMENT, "tl_grad: wrt and out are needed for %d gradients", n);
        return;
    }
    tl_tape *t = tl_tape_of(&y, 1);
    if (!t) t = tl_tape_of(wrt, n);
    for (int i = 0; i < n && !t; i++) out[i] = tl_without_tape(at, &y, 1);
    if (!t || n <= 0) return;
    const uint32_t id = real_operand(t, at, y);
    uint32_t *w = tl_arena_alloc(&t->arena, 2 * (size_t)n * sizeof *w);
    if (!w) tl_no_memory(t);
    for (int i = 0; i < n && !t->status; i++) w[i] = real_operand(t, at, wrt[i]);
    if (!t->status) differentiate(t, at, id, w, n, w + n);
    for (int i = 0; i < n && !t->status; i++) /* out may be wrt */
        out[i] = w[n + i] ? tl_handle(t, w[n + i]) : tl_full_like_at(at, wrt[i], 0);
    for (int i = 0; i < n && t->status; i++) out[i] = tl_error_handle(t);
}

void tl_backward_at(tl_place at, tl_tensor loss)
{
    tl_tape *t = tl_tape_of(&loss, 1);
    if (!t) return;
    const uint32_t id = real_operand(t, at, loss);
    if (t->n_gradient)
        tl_tape_fail(t, at, TL_E_ARGUMENT,
                     "tl_backward: once for each recording. Add the losses; a trainer calls it itself");
    uint32_t *w = tl_arena_alloc(&t->arena, 2 * ((size_t)t->n_param + 1) * sizeof *w);
    if (!w) tl_no_memory(t);
    if (t->status) return;
    const int n = (int)t->n_param;
    for (int i = 0; i < n; i++) w[i] = t->param[i].frozen ? 0 : t->param[i].id;
    differentiate(t, at, id, w, n, w + n);
    for (int i = 0; i < n && !t->status; i++) {
        if (!w[i] || !w[n + i]) continue;
        if (!TL_GROW(t->gradient, t->n_gradient, t->cap_gradient)) {
            tl_no_memory(t);
            return;
        }
        t->gradient[t->n_gradient++] = (tl_tape_gradient){ (uint32_t)i, w[n + i] };
    }
}

void(tl_grad)(tl_tensor y, const tl_tensor *wrt, int n, tl_tensor *out) { tl_grad_at(TL_NOWHERE, y, wrt, n, out); }
void(tl_backward)(tl_tensor loss) { tl_backward_at(TL_NOWHERE, loss); }
