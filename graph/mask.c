/* graph/mask.c - word of which steps of a sequence are real, carried from layer to layer. */
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

tl_tensor tl_mask_of(tl_tensor x)
{
    tl_tape *t = tl_tape_of(&x, 1);
    const uint64_t *m = t && !t->status ? tl_table_find(&t->masks, x.id, 0) : NULL;
    return m ? tl_handle(t, (uint32_t)*m) : TL_NONE;
}

tl_tensor(tl_masked)(tl_tensor x, tl_tensor mask) { return tl_masked_at(TL_NOWHERE, x, mask); }
