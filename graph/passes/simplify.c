/* graph/passes/simplify.c - operations whose value is there already: rules that look at one operation and what its operands
 * are made of. The engine applies them to whatever any pass emits.
 *
 * Legal because each rule gives the numbers that the operation would, bit by bit: it only moves numbers in another way, or
 * leaves out what does not change a number. Elementwise operations broadcast their operands themselves, so they need no
 * operand that is broadcast beforehand; and f of what repeats repeats. That 1 x = x holds for what arithmetic has made:
 * other numbers may be denormal, which arithmetic takes for 0. x + 0 and a sum of one number turn -0 into 0, so they stay
 * in exact mode. Taps are calls, and are looked through by none of the rules. */
#include "graph/passes/passes.h"

#include <math.h>
#include <string.h>

/* A node with the value of n on the operands in; 0: the rule does not apply. */
typedef uint32_t rule(tl_rewrite *w, const tl_node *n, const uint32_t *in);

static const tl_node *node_at(const tl_rewrite *w, uint32_t id) { return &w->to->node[id]; }
static bool plays(const tl_rewrite *w, uint32_t id, tl_op_role role) { return node_at(w, id)->op->role == role; }
static uint32_t operand(const tl_rewrite *w, uint32_t id, uint32_t k) { return tl_node_in(w->to, node_at(w, id), k); }

static bool fits(const tl_rewrite *w, uint32_t id, const tl_node *n)
{
    return tl_shape_equal(&node_at(w, id)->shape, &n->shape);
}

/* ---- what rules give ---------------------------------------------------------------------------------------------- */

static uint32_t under_shape(tl_rewrite *w, const tl_node *n, uint32_t x, tl_op_role role, const tl_shape *shape)
{
    tl_reshape_attr attr = { .rank = shape->rank };
    memcpy(attr.dim, shape->dim, (size_t)shape->rank * sizeof attr.dim[0]);
    if (tl_shape_equal(&node_at(w, x)->shape, shape)) return x;
    return tl_rewrite_new(w, n, role, &attr, sizeof attr, shape, &x, 1);
}

static uint32_t reshaped(tl_rewrite *w, const tl_node *n, uint32_t x)
{
    return under_shape(w, n, x, TL_ROLE_RESHAPE, &n->shape);
}

static uint32_t broadcast(tl_rewrite *w, const tl_node *n, uint32_t x)
{
    return under_shape(w, n, x, TL_ROLE_BROADCAST, &n->shape);
}

static uint32_t filled(tl_rewrite *w, const tl_node *n, double value)
{
    tl_fill_attr attr = { .value = value, .rank = n->shape.rank };
    memcpy(attr.dim, n->shape.dim, (size_t)n->shape.rank * sizeof attr.dim[0]);
    return tl_rewrite_new(w, n, TL_ROLE_FILL, &attr, sizeof attr, &n->shape, NULL, 0);
}

/* n on fewer or other operands */
static uint32_t again(tl_rewrite *w, const tl_node *n, const uint32_t *in, uint32_t n_in)
{
    tl_node node = *n;
    node.n_in = n_in;
    return tl_rewrite_emit(w, &node, in);
}

static bool is_fill(const tl_rewrite *w, uint32_t id, double *value)
{
    if (!id || !plays(w, id, TL_ROLE_FILL)) return false;
    *value = ((const tl_fill_attr *)node_at(w, id)->attr)->value;
    return true;
}

static bool filled_with(const tl_rewrite *w, uint32_t id, double value)
{
    double v;
    return is_fill(w, id, &v) && v == value && TL_LEGAL(START_SIGN, !signbit(v));
}

/* ---- views and moves ---------------------------------------------------------------------------------------------- */

static uint32_t reshape(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    double v;
    if (fits(w, *in, n)) return *in;
    if (is_fill(w, *in, &v)) return filled(w, n, v);
    return plays(w, *in, TL_ROLE_RESHAPE) ? reshaped(w, n, operand(w, *in, 0)) : 0;
}

static uint32_t broadcast_to(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    double v;
    if (fits(w, *in, n)) return *in;
    if (is_fill(w, *in, &v)) return filled(w, n, v);
    return plays(w, *in, TL_ROLE_BROADCAST) ? broadcast(w, n, operand(w, *in, 0)) : 0;
}

static uint32_t the_same(tl_rewrite *w, const tl_node *n, const uint32_t *in) { return (void)w, (void)n, *in; }

/* Elements begin..end-1 of an axis of x. */
static uint32_t part(tl_rewrite *w, const tl_node *n, uint32_t x, tl_slice_attr a)
{
    tl_shape shape = node_at(w, x)->shape;
    if (a.begin == 0 && a.end == shape.dim[a.axis]) return x;
    shape.dim[a.axis] = a.end - a.begin;
    return tl_rewrite_new(w, n, TL_ROLE_SLICE, &a, sizeof a, &shape, &x, 1);
}

/* Where each member of a concatenation begins, and the last one ends. */
static const int64_t *begins(tl_rewrite *w, uint32_t concat, int64_t axis)
{
    uint64_t *slot = tl_table_put(&w->begins, concat, 0, 0);
    if (!slot) return NULL;
    if (*slot) return (const int64_t *)(uintptr_t)*slot;
    const uint32_t n = node_at(w, concat)->n_in;
    int64_t *at = tl_arena_alloc(&w->to->arena, (n + 1) * sizeof *at);
    if (!at) return NULL;
    for (uint32_t k = 0; k < n; k++) at[k + 1] = at[k] + node_at(w, operand(w, concat, k))->shape.dim[axis];
    *slot = (uint64_t)(uintptr_t)at;
    return at;
}

/* A part of a concatenation that lies within one member. */
static uint32_t part_of_member(tl_rewrite *w, const tl_node *n, uint32_t concat, tl_slice_attr a)
{
    const int64_t *begin = begins(w, concat, a.axis);
    if (!begin || a.begin == a.end) return 0;
    uint32_t low = 0, high = node_at(w, concat)->n_in; /* the member that a.begin is in is among low..high-1 */
    while (high - low > 1) {
        const uint32_t mid = (low + high) / 2;
        if (begin[mid] <= a.begin) low = mid;
        else high = mid;
    }
    if (!TL_LEGAL(MEMBER_END, a.end <= begin[low + 1])) return 0;
    return part(w, n, operand(w, concat, low), (tl_slice_attr){ a.axis, a.begin - begin[low], a.end - begin[low] });
}

/* Rows of what is but another shape of a concatenation of rows: a part of that. */
static uint32_t part_of_reshaped(tl_rewrite *w, const tl_node *n, uint32_t x, const tl_slice_attr *a)
{
    const uint32_t base = operand(w, x, 0);
    if (!plays(w, base, TL_ROLE_CONCAT)) return 0;
    if (!TL_LEGAL(RESHAPED_AXIS, !a->axis && !((const tl_concat_attr *)node_at(w, base)->attr)->axis)) return 0;
    const int64_t rows = node_at(w, base)->shape.dim[0], size = tl_shape_size(&node_at(w, base)->shape);
    const int64_t now = node_at(w, x)->shape.dim[0];
    if (!size || !TL_LEGAL(RESHAPED_ROWS, (a->begin * rows) % now == 0 && (a->end * rows) % now == 0)) return 0;
    const uint32_t y = part_of_member(w, n, base, (tl_slice_attr){ 0, a->begin * rows / now, a->end * rows / now });
    return y ? reshaped(w, n, y) : 0;
}

static uint32_t slice(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    const tl_slice_attr a = *(const tl_slice_attr *)n->attr;
    const tl_node x = *node_at(w, *in);
    double v;
    if (fits(w, *in, n)) return *in;
    if (is_fill(w, *in, &v)) return filled(w, n, v);
    if (x.op->role == TL_ROLE_RESHAPE) return part_of_reshaped(w, n, *in, &a);
    if (x.op->role == TL_ROLE_SLICE) {
        const tl_slice_attr *b = x.attr;
        if (!TL_LEGAL(SLICE_AXIS, b->axis == a.axis)) return 0;
        return part(w, n, operand(w, *in, 0), (tl_slice_attr){ a.axis, b->begin + a.begin, b->begin + a.end });
    }
    if (x.op->role == TL_ROLE_CONCAT && TL_LEGAL(MEMBER_AXIS, ((const tl_concat_attr *)x.attr)->axis == a.axis))
        return part_of_member(w, n, *in, a);
    return 0;
}

/* Slices of one thing that follow upon each other. */
static uint32_t joined_slices(tl_rewrite *w, const tl_node *n, const uint32_t *in, int64_t axis)
{
    tl_slice_attr all = { axis, 0, 0 };
    uint32_t base = 0;
    for (uint32_t k = 0; k < n->n_in; k++) {
        if (!plays(w, in[k], TL_ROLE_SLICE)) return 0;
        const tl_slice_attr *a = node_at(w, in[k])->attr;
        if (!k) base = operand(w, in[k], 0), all.begin = all.end = a->begin;
        if (!TL_LEGAL(JOINED_AXIS, a->axis == axis)) return 0;
        if (!TL_LEGAL(JOINED_ONE, operand(w, in[k], 0) == base) || !TL_LEGAL(JOINED_NEXT, a->begin == all.end))
            return 0;
        all.end = a->end;
    }
    return part(w, n, base, all);
}

/* [1, ...] each, one below the other: rows [...] one below the other, under that shape. So that the steps of a sequence are
 * put together in one way, whatever shape is wanted. */
static uint32_t joined_steps(tl_rewrite *w, const tl_node *n, const uint32_t *in, int64_t axis)
{
    if (axis || n->shape.rank < 2) return 0;
    uint32_t *step = tl_arena_alloc(&w->to->arena, n->n_in * sizeof *step);
    tl_shape shape = { .dtype = n->shape.dtype, .rank = n->shape.rank - 1 };
    memcpy(shape.dim, n->shape.dim + 1, (size_t)shape.rank * sizeof shape.dim[0]);
    for (uint32_t k = 0; step && k < n->n_in; k++) {
        const bool fill = plays(w, in[k], TL_ROLE_FILL);
        if (!TL_LEGAL(STEPS_OF_ONE, node_at(w, in[k])->shape.dim[0] == 1)) return 0;
        if (!fill && !plays(w, in[k], TL_ROLE_RESHAPE)) return 0;
        step[k] = fill ? under_shape(w, n, in[k], TL_ROLE_RESHAPE, &shape) : operand(w, in[k], 0);
        if (!step[k] || !TL_LEGAL(STEPS_SHAPE, tl_shape_equal(&node_at(w, step[k])->shape, &shape))) return 0;
    }
    shape.dim[0] *= n->n_in;
    const tl_concat_attr attr = { 0 };
    const uint32_t rows = step ? tl_rewrite_new(w, n, TL_ROLE_CONCAT, &attr, sizeof attr, &shape, step, n->n_in) : 0;
    return rows ? reshaped(w, n, rows) : 0;
}

static uint32_t concat(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    const int64_t axis = ((const tl_concat_attr *)n->attr)->axis;
    if (n->n_in == 1) return *in;
    const uint32_t y = joined_slices(w, n, in, axis);
    return y ? y : joined_steps(w, n, in, axis);
}

/* Is the order of all axes that are longer than 1 kept? */
static bool keeps_order(const tl_permute_attr *a, const tl_shape *y)
{
    int64_t last = -1;
    for (int i = 0; i < y->rank; i++) {
        if (y->dim[i] == 1) continue;
        if (a->order[i] < last) return false;
        last = a->order[i];
    }
    return true;
}

static uint32_t transpose(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    tl_permute_attr a = *(const tl_permute_attr *)n->attr;
    double v;
    if (is_fill(w, *in, &v)) return filled(w, n, v);
    if (TL_LEGAL(TRANSPOSE_ORDER, keeps_order(&a, &n->shape))) return reshaped(w, n, *in);
    if (!plays(w, *in, TL_ROLE_TRANSPOSE)) return 0;
    const tl_permute_attr *b = node_at(w, *in)->attr;
    for (int i = 0; i < n->shape.rank; i++) a.order[i] = b->order[a.order[i]];
    return tl_rewrite_new(w, n, TL_ROLE_TRANSPOSE, &a, sizeof a, &n->shape, (uint32_t[]){ operand(w, *in, 0) }, 1);
}

/* ---- sums and products -------------------------------------------------------------------------------------------- */

/* Does x only swap the last two axes? */
static bool swaps(const tl_rewrite *w, uint32_t x)
{
    if (!plays(w, x, TL_ROLE_TRANSPOSE)) return false;
    const tl_permute_attr *a = node_at(w, x)->attr;
    const int rank = node_at(w, x)->shape.rank;
    for (int i = 0; i < rank; i++)
        if (!TL_LEGAL(SWAPS_LAST, a->order[i] == (i < rank - 2 ? i : 2 * rank - 3 - i))) return false;
    return rank >= 2;
}

/* Products read their operands transposed, and broadcast what they start from. */
static uint32_t product(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    if (n->n_in > 3) return 0; /* made by the compiler: nothing is left to be simplified */
    uint32_t to[3] = { in[0], in[1], n->n_in > 2 ? in[2] : 0 };
    tl_product_attr a = *(const tl_product_attr *)n->attr;
    if (swaps(w, to[0])) to[0] = operand(w, to[0], 0), a.ta = !a.ta;
    if (swaps(w, to[1])) to[1] = operand(w, to[1], 0), a.tb = !a.tb;
    if (to[2] && plays(w, to[2], TL_ROLE_BROADCAST)) to[2] = operand(w, to[2], 0);
    if (filled_with(w, to[2], 0)) to[2] = 0;
    if (to[0] == in[0] && to[1] == in[1] && (n->n_in < 3 || to[2] == in[2])) return 0;
    return tl_rewrite_new(w, n, TL_ROLE_PRODUCT, &a, sizeof a, &n->shape, to, to[2] ? 3 : 2);
}

static uint32_t sum(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    const tl_sum_attr *a = n->attr;
    const tl_shape *x = &node_at(w, *in)->shape;
    int64_t count = 1;
    if (n->n_in > 1 && filled_with(w, in[1], 0)) return again(w, n, in, 1);
    for (int64_t i = a->axis_begin; i < a->axis_end; i++) count *= x->dim[i];
    return count == 1 && (n->n_in < 2 || !in[1]) && TL_LEGAL(SUM_SIGN, !tl_exact()) ? reshaped(w, n, *in) : 0;
}

/* ---- elementwise -------------------------------------------------------------------------------------------------- */

static uint32_t add(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    for (int k = 0; k < 2 && TL_LEGAL(ZERO_SIGN, !tl_exact()); k++)
        if (filled_with(w, in[k], 0)) return broadcast(w, n, in[!k]);
    return 0;
}

/* Has arithmetic made x? Then 1 x = x even where denormals count as 0. */
static bool is_normal(const tl_rewrite *w, uint32_t x)
{
    const struct tl_op *op = node_at(w, x)->op;
    return TL_LEGAL(ONE_NORMAL, !tl_exact() || op->cls == TL_MATMUL || op->role == TL_ROLE_SUM ||
                                    op->role == TL_ROLE_ADD || op->role == TL_ROLE_MUL || op->role == TL_ROLE_DIV);
}

static uint32_t mul(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    for (int k = 0; k < 2; k++)
        if (filled_with(w, in[k], 1) && is_normal(w, in[!k])) return broadcast(w, n, in[!k]);
    return 0;
}

static uint32_t div(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    return filled_with(w, in[1], 1) && is_normal(w, in[0]) ? broadcast(w, n, in[0]) : 0;
}

static uint32_t neg(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    (void)n;
    return plays(w, *in, TL_ROLE_NEG) ? operand(w, *in, 0) : 0;
}

static uint32_t where(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    double c;
    if (in[1] == in[2]) return broadcast(w, n, in[1]);
    return is_fill(w, in[0], &c) ? broadcast(w, n, in[c != 0 ? 1 : 2]) : 0;
}

static uint32_t chosen(tl_rewrite *w, const tl_node *n, const uint32_t *in, bool drop)
{
    double c;
    if (!is_fill(w, in[0], &c)) return 0;
    return (c != 0) != drop ? broadcast(w, n, in[1]) : filled(w, n, 0);
}
static uint32_t keep(tl_rewrite *w, const tl_node *n, const uint32_t *in) { return chosen(w, n, in, false); }
static uint32_t drop(tl_rewrite *w, const tl_node *n, const uint32_t *in) { return chosen(w, n, in, true); }

/* To what NumPy's rule broadcasts the operands. */
static tl_shape joint_shape(const tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    tl_shape y = { .dtype = n->shape.dtype };
    for (uint32_t k = 0; k < n->n_in; k++)
        if (in[k] && node_at(w, in[k])->shape.rank > y.rank) y.rank = node_at(w, in[k])->shape.rank;
    for (int a = 0; a < y.rank; a++) y.dim[a] = 1;
    for (uint32_t k = 0; k < n->n_in; k++) {
        const tl_shape *x = &node_at(w, in[k])->shape;
        for (int a = 0; in[k] && a < x->rank; a++)
            if (x->dim[a] != 1) y.dim[a + y.rank - x->rank] = x->dim[a];
    }
    return y;
}

/* Operands as they were before they were broadcast; the result is broadcast instead, where that is needed at all. Kernels
 * of a user's that take one shape only are left alone. */
static uint32_t unbroadcast(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    enum { MOST = 4 };
    uint32_t to[MOST];
    bool any = false;
    if (n->n_in > MOST || n->op->role == TL_ROLE_BROADCAST) return 0;
    if (!TL_LEGAL(BROADCAST_USERS, n->op->id || n->op->shape == tl_shape_broadcast)) return 0;
    for (uint32_t k = 0; k < n->n_in; k++) {
        const bool found = in[k] && plays(w, in[k], TL_ROLE_BROADCAST);
        to[k] = found ? operand(w, in[k], 0) : in[k];
        any |= found;
    }
    if (!any) return 0;
    tl_node small = *n;
    small.shape = joint_shape(w, n, to);
    const uint32_t y = tl_rewrite_emit(w, &small, to);
    return y ? broadcast(w, n, y) : 0;
}

/* ---- all of them -------------------------------------------------------------------------------------------------- */

static rule *const rules[TL_ROLE_COUNT] = {
    [TL_ROLE_ADD] = add,         [TL_ROLE_MUL] = mul,     [TL_ROLE_DIV] = div,       [TL_ROLE_NEG] = neg,
    [TL_ROLE_WHERE] = where,     [TL_ROLE_KEEP] = keep,   [TL_ROLE_DROP] = drop,     [TL_ROLE_BROADCAST] = broadcast_to,
    [TL_ROLE_RESHAPE] = reshape, [TL_ROLE_SLICE] = slice, [TL_ROLE_CONCAT] = concat, [TL_ROLE_TRANSPOSE] = transpose,
    [TL_ROLE_PRODUCT] = product, [TL_ROLE_SUM] = sum,     [TL_ROLE_COPY] = the_same, [TL_ROLE_STOP] = the_same,
};

const tl_pass tl_pass_simplify = { "simplify", tl_rewrite_all };

uint32_t tl_simplified(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    uint32_t y = n->op->cls == TL_ELEMENTWISE ? unbroadcast(w, n, in) : 0;
    if (!y && rules[n->op->role]) y = rules[n->op->role](w, n, in);
    if (y && w->pass == &tl_pass_simplify) tl_rewrite_note(w, n, "# operations whose result is there already", 1);
    return y;
}
