/* graph/mask.c - word of which steps of a sequence are real, carried from layer to layer. The tape's table `masks` holds
 * (node, 0) -> mask, and (visit, 1) -> rows that are real in that step. */
#include "graph/tape.h"

static bool is_lengths(const tl_shape *m) { return m->rank == 1 && m->dtype == TL_I32; }

/* [T, B] of x, or i32 [B]? */
static bool fits(const tl_shape *x, const tl_shape *m)
{
    if (x->rank < 2) return false;
    if (is_lengths(m)) return m->dim[0] == x->dim[1];
    return m->rank == 2 && m->dim[0] == x->dim[0] && m->dim[1] == x->dim[1];
}

tl_tensor tl_masked_at(tl_place at, tl_tensor x, tl_tensor mask)
{
    tl_tape *t = tl_tape_of(&x, 1);
    if (!t) return tl_without_tape(at, &x, 1);
    const uint32_t id = tl_operand(t, at, x, "tl_masked");
    const uint32_t m = id && !tl_absent(mask) ? tl_operand(t, at, mask, "tl_masked") : 0;
    if (t->status) return tl_error_handle(t);
    const tl_shape *shape = &t->node[id].shape;
    tl_reshape_attr attr = { .rank = shape->rank };
    for (int a = 0; a < shape->rank; a++) attr.dim[a] = shape->dim[a];
    if (m && !fits(shape, &t->node[m].shape)) {
        char xs[128], ms[128];
        tl_shape_print(xs, sizeof xs, shape);
        tl_shape_print(ms, sizeof ms, &t->node[m].shape);
        return tl_tape_fail(t, at, TL_E_SHAPE, "tl_masked: the mask %s is neither [T, B] of x %s nor i32 lengths [B]",
                            ms, xs);
    }
    const tl_tensor y = tl_apply_at(at, tl_op_of_role(TL_ROLE_RESHAPE), &x, 1, &attr);
    if (m && !t->status && !tl_table_put(&t->masks, y.id, 0, m)) return tl_no_memory(t);
    return y;
}

enum { DEPTH = 1000 }; /* so far back a chain of elementwise operations is followed */

/* Does operand x of y lie along y's steps and rows? */
static bool along(const tl_shape *x, const tl_shape *y)
{
    return x->rank == y->rank && x->rank >= 2 && x->dim[0] == y->dim[0] && x->dim[1] == y->dim[1];
}

/* Does each number of the result depend on its own step and row alone? */
static bool by_step(const tl_node *n)
{
    if (n->op->cls == TL_ELEMENTWISE) return true;
    if (n->op->cls == TL_ROWWISE) return n->shape.rank > 2;
    return n->op->role == TL_ROLE_CONCAT; /* of features; of steps or rows the sizes differ */
}

/* The mask of node id; 0: none. Either is remembered: ways through a recurrence double with each step. */
static uint32_t find(tl_tape *t, uint32_t id, int depth)
{
    const uint64_t *known = tl_table_find(&t->masks, id, 0);
    const tl_node *n = &t->node[id];
    uint32_t mask = 0;
    if (known || !by_step(n) || !depth) return known ? (uint32_t)*known : 0;
    for (uint32_t k = 0; k < n->n_in; k++) {
        const uint32_t x = tl_node_in(t, n, k),
                       m = x && along(&t->node[x].shape, &n->shape) ? find(t, x, depth - 1) : 0;
        const bool differ = m && mask && m != mask;
        if (m) mask = differ ? 0 : m;
        if (differ) break;
    }
    if (!tl_table_put(&t->masks, id, 0, mask)) tl_no_memory(t);
    return mask;
}

tl_tensor tl_mask_of(tl_tensor x)
{
    tl_tape *t = tl_tape_of(&x, 1);
    const uint32_t m = t && !t->status && x.id ? find(t, x.id, DEPTH) : 0;
    return m && !t->status ? tl_handle(t, m) : TL_NONE;
}

/* ---- what a padded step emits ------------------------------------------------------------------------------------- */

void tl_step_mask_at(tl_place at, tl_scope *s, tl_tensor rows)
{
    if (!tl_alive(s)) return;
    const uint32_t id = tl_operand(s->tape, at, rows, "tl_step_mask");
    if (!id) return;
    if (s->tape->node[id].shape.rank != 1) {
        tl_error_at(at, s, TL_E_SHAPE, "tl_step_mask: one number for each row [B] is needed");
        return;
    }
    uint64_t *slot = tl_table_put(&s->tape->masks, (uint64_t)(uintptr_t)s->visit, 1, 0);
    if (slot) *slot = id;
    else tl_no_memory(s->tape);
}

tl_tensor tl_unpadded(tl_place at, tl_scope *s, const char *name, tl_tensor x)
{
    tl_tape *t = s->tape;
    for (const tl_visit *v = s->visit; v && !t->status; v = v->parent) {
        const uint64_t *mask = tl_table_find(&t->masks, (uint64_t)(uintptr_t)v, 1);
        if (!mask) continue;
        const tl_shape *shape = &t->node[x.id].shape, *rows = &t->node[*mask].shape;
        if (shape->rank < 1 || shape->dim[0] != rows->dim[0]) {
            char text[128];
            tl_shape_print(text, sizeof text, shape);
            return tl_error_at(
                at, s, TL_E_SHAPE,
                "tl_emit: %s %s has not one row for each of the batch's %lld, of which some may be padding "
                "in this step: emit [B, ...], so that these can be left out",
                name, text, (long long)rows->dim[0]);
        }
        tl_reshape_attr attr = { .rank = shape->rank, .dim = { rows->dim[0], 1, 1, 1, 1, 1 } };
        for (int a = shape->rank; a < TL_MAX_RANK; a++) attr.dim[a] = 0;
        const tl_tensor zero = tl_full_at(at, s, TL_SCALAR, 0);
        const tl_tensor m = tl_apply_at(at, tl_op_of_role(TL_ROLE_RESHAPE),
                                        (tl_tensor[]){ tl_handle(t, (uint32_t)*mask) }, 1, &attr);
        x = tl_apply_at(at, tl_op_of_role(TL_ROLE_WHERE), (tl_tensor[]){ m, x, zero }, 3, NULL);
    }
    return x;
}

tl_tensor(tl_masked)(tl_tensor x, tl_tensor mask) { return tl_masked_at(TL_NOWHERE, x, mask); }
void(tl_step_mask)(tl_scope *s, tl_tensor rows) { tl_step_mask_at(TL_NOWHERE, s, rows); }
