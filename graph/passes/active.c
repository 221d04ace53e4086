/* graph/passes/active.c - products leave out rows of padding: those of a step's result that nobody looks at, and those that
 * are zeros. How many there are is known when the plan runs, from the mask.
 *
 * A row mask is an operand c [R, 1, ...] of an operation on R rows (their first axis). Rows where c is 0 are
 *   unseen in x    if all that looks at x does so row by row, and each row ends where(c, x, y) or keep(c, x) at c's row; so what
 *                  is computed there changes no bit. A product may leave out what lies behind the last row where c is not 0
 *                  (of a batch sorted by length that is all of them), and then makes there what it starts from;
 *   zeros in x     if x is keep(c, y), where(c, y, 0), or made row by row of such so that zeros stay zeros (struct tl_op's
 *                  zeroes). A product a b leaves out such rows of a; a^T b those of a or b wherever they are, of any number of steps
 *                  one below the other. That can turn -0 into 0, or the NaN that 0 times infinity would be, so it is not done in
 *                  exact mode. */
#include "graph/passes/passes.h"

int64_t tl_active_work = 1 << 14; /* multiply-adds of a product that is worth a look at the mask */

#define NOBODY 0u /* instead of the node of a mask */
#define ALL UINT32_MAX

typedef struct active {
    tl_rewrite *w;
    const tl_tape *t;
    uint32_t *seen;  /* of each node: rows that are looked at, by the node of their mask; NOBODY, or ALL */
    uint32_t *zeros; /* the mask where its rows are not zeros; 0: unknown */
} active;

static const tl_shape *shape(const active *p, uint32_t id) { return &p->t->node[id].shape; }
static uint32_t in(const active *p, uint32_t id, uint32_t k)
{
    const tl_node *n = &p->t->node[id];
    return k < n->n_in ? tl_node_in(p->t, n, k) : 0;
}
static tl_op_role role(const active *p, uint32_t id) { return p->t->node[id].op->role; }

/* ---- rows --------------------------------------------------------------------------------------------------------- */

/* Does c choose among the rows of i, each as a whole? */
static bool is_row_mask(const active *p, uint32_t c, uint32_t i)
{
    const tl_shape *s = shape(p, c), *y = shape(p, i);
    bool rows = s->rank == y->rank && s->rank > 1 && s->dim[0] == y->dim[0];
    for (int a = 1; a < s->rank; a++) rows = rows && TL_LEGAL(ACTIVE_WHOLE, s->dim[a] == 1);
    return rows;
}

/* Is each row of i made of the same row of its operand k, and (where others matter) of what all rows share? */
static bool by_rows(const active *p, uint32_t i, uint32_t k)
{
    const tl_node *n = &p->t->node[i];
    const tl_shape *x = shape(p, in(p, i, k)), *y = &n->shape;
    if (!n->op->id || !x->rank || !y->rank || !TL_LEGAL(ACTIVE_COUNT, x->dim[0] == y->dim[0])) return false;
    switch (n->op->role) {
    case TL_ROLE_PRODUCT: {
        const tl_product_attr *a = n->attr;
        return x->rank == 2 && y->rank == 2 && TL_LEGAL(ACTIVE_ORIENTATION, !a->ta) && TL_LEGAL(ACTIVE_RIGHT, k != 1);
    }
    case TL_ROLE_SUM: return k == 0 && n->n_in < 2 && TL_LEGAL(ACTIVE_SUM, ((const tl_sum_attr *)n->attr)->axis_begin);
    case TL_ROLE_CONCAT: /* as many rows on both sides: nothing was put below them, */
    case TL_ROLE_SLICE:  /* or left out, */
    case TL_ROLE_RESHAPE: return true;
    default: break;
    }
    if (n->op->cls == TL_ROWWISE) return x->rank > 1 && x->rank == y->rank;
    return n->op->cls == TL_ELEMENTWISE && x->rank == y->rank;
}

/* ---- which rows are zeros ------------------------------------------------------------------------------------------- */

static bool is_zero(const active *p, uint32_t id)
{
    return role(p, id) == TL_ROLE_FILL && ((const tl_fill_attr *)p->t->node[id].attr)->value == 0;
}

/* Is i zero where its operand k alone is? */
static bool one_is_enough(const active *p, uint32_t i, uint32_t k)
{
    switch (role(p, i)) {
    case TL_ROLE_PRODUCT: return k == 0 && !in(p, i, 2);
    case TL_ROLE_SUM:
    case TL_ROLE_SLICE:
    case TL_ROLE_RESHAPE: return true;
    default: return TL_LEGAL(ACTIVE_ZERO, k < 31 && p->t->node[i].op->zeroes >> k & 1);
    }
}

/* Where all operands have to be, are they? */
static uint32_t zeros_of_all(const active *p, uint32_t i)
{
    const tl_op_role r = role(p, i);
    if (r != TL_ROLE_ADD && r != TL_ROLE_CONCAT) return 0;
    for (uint32_t k = 0; k < p->t->node[i].n_in; k++)
        if (!by_rows(p, i, k) || p->zeros[in(p, i, k)] != p->zeros[in(p, i, 0)]) return 0;
    return p->zeros[in(p, i, 0)];
}

static uint32_t zeros_of(const active *p, uint32_t i)
{
    const tl_op_role r = role(p, i);
    const bool chosen = r == TL_ROLE_KEEP || (r == TL_ROLE_WHERE && is_zero(p, in(p, i, 2)));
    if (chosen && is_row_mask(p, in(p, i, 0), i)) return in(p, i, 0);
    for (uint32_t k = 0; k < p->t->node[i].n_in; k++) {
        const uint32_t x = in(p, i, k);
        if (x && p->zeros[x] && one_is_enough(p, i, k) && by_rows(p, i, k)) return p->zeros[x];
    }
    return zeros_of_all(p, i);
}

/* ---- who looks at which rows -------------------------------------------------------------------------------------- */

/* The mask of another operand than k, whose zeros make zeros of i's rows whatever operand k is; 0: none */
static uint32_t zeros_beside(const active *p, uint32_t i, uint32_t k)
{
    for (uint32_t j = 0; j < p->t->node[i].n_in; j++) {
        const uint32_t x = in(p, i, j);
        if (j != k && x && p->zeros[x] && one_is_enough(p, i, j) && by_rows(p, i, j)) return p->zeros[x];
    }
    return 0;
}

/* Rows of operand k that i looks at, if some of its own are. */
static uint32_t looks_at(const active *p, uint32_t i, uint32_t k)
{
    const tl_op_role r = role(p, i);
    const bool chooses = r == TL_ROLE_WHERE || r == TL_ROLE_KEEP;
    if (!by_rows(p, i, k)) return ALL;
    if (chooses && TL_LEGAL(ACTIVE_CHOSEN, k == 1) && is_row_mask(p, in(p, i, 0), i)) return in(p, i, 0);
    const uint32_t beside = TL_LEGAL(ACTIVE_FINITE, !tl_exact()) ? zeros_beside(p, i, k) : 0;
    return beside ? beside : p->seen[i];
}

static void find_seen(active *p)
{
    for (uint32_t k = 0, id; (id = tl_asked_for(p->t, k)); k++) p->seen[id] = ALL;
    for (uint32_t i = p->t->n - 1; i; i--)
        for (uint32_t k = 0, x; p->w->live[i] && k < p->t->node[i].n_in; k++) {
            if (!(x = in(p, i, k))) continue;
            const uint32_t rows = looks_at(p, i, k);
            if (p->seen[x] == NOBODY) p->seen[x] = rows;
            else if (!TL_LEGAL(ACTIVE_ONE, p->seen[x] == rows)) p->seen[x] = ALL;
        }
}

/* ---- products ------------------------------------------------------------------------------------------------------- */

/* Node id in `to`, even if it comes later: views of what is there already are made at once. 0: that is not all it is. */
static uint32_t early(active *p, uint32_t id)
{
    const tl_op_role r = role(p, id);
    if (p->w->map[id]) return p->w->map[id];
    if ((r != TL_ROLE_RESHAPE && r != TL_ROLE_SLICE) || !early(p, in(p, id, 0))) return 0;
    return p->w->map[id] = tl_rewrite_node(p->w, id);
}

/* The list of the rows of a mask of `to`; 0: memory. */
static uint32_t list_of(active *p, uint32_t mask, const tl_node *like)
{
    const int64_t rows = tl_shape_size(&p->w->to->node[mask].shape);
    const tl_shape list = { .dtype = TL_I32, .rank = 1, .dim = { rows + 2 } };
    return tl_rewrite_new(p->w, like, TL_ROLE_ACTIVE, NULL, 0, &list, &mask, 1);
}

/* The masks of x's rows, one below the other; 0: some are of no mask (or memory is short: the tape says so). */
static uint32_t stacked_mask(active *p, uint32_t x)
{
    const tl_node *n = &p->t->node[x];
    const bool stack = n->op->role == TL_ROLE_CONCAT && !((const tl_concat_attr *)n->attr)->axis;
    const uint32_t parts = stack ? n->n_in : 1;
    uint32_t *mask = tl_arena_alloc(&p->w->to->arena, parts * sizeof *mask);
    for (uint32_t k = 0; mask && k < parts; k++) {
        const uint32_t c = p->zeros[stack ? in(p, x, k) : x];
        if (!c || shape(p, c)->rank != 2 || !(mask[k] = early(p, c))) return 0;
        if (!TL_LEGAL(ACTIVE_PARTS, p->w->to->node[mask[k]].shape.dtype == p->w->to->node[*mask].shape.dtype)) return 0;
    }
    return mask ? tl_rewrite_rows(p->w, mask, parts, n) : 0;
}

/* The mask whose rows alone product i needs, as a node of `to`; 0: it needs all. */
static uint32_t mask_of(active *p, uint32_t i)
{
    const tl_node *n = &p->t->node[i];
    const tl_product_attr *a = n->attr;
    const uint32_t x = in(p, i, 0), y = in(p, i, 1), seen = p->seen[i];
    if (n->shape.rank != 2 || shape(p, x)->rank != 2 || !tl_shape_size(shape(p, x))) return 0;
    if (tl_shape_size(shape(p, x)) * n->shape.dim[1] < tl_active_work) return 0;
    if (a->ta) {
        if (a->tb || tl_exact()) return 0;
        const uint32_t m = stacked_mask(p, y);
        return m ? m : stacked_mask(p, x);
    }
    if (seen != NOBODY && seen != ALL && is_row_mask(p, seen, i)) return early(p, seen);
    return TL_LEGAL(ACTIVE_SIGN, !tl_exact()) && p->zeros[x] ? early(p, p->zeros[x]) : 0;
}

static uint32_t emit(active *p, uint32_t i)
{
    const tl_node *n = &p->t->node[i];
    const uint32_t mask = n->op->role == TL_ROLE_PRODUCT ? mask_of(p, i) : 0;
    if (!mask) return tl_rewrite_node(p->w, i);
    const uint32_t list = list_of(p, mask, n), c = in(p, i, 2);
    tl_rewrite_note_of(p->w, n, tl_param_path(p->t, in(p, i, 1)), "# products leave out rows of padding", 1);
    tl_node limited = *n;
    limited.n_in = 4;
    const uint32_t to[4] = { p->w->map[in(p, i, 0)], p->w->map[in(p, i, 1)], c ? p->w->map[c] : 0, list };
    return list ? tl_rewrite_emit(p->w, &limited, to) : 0;
}

static bool run(tl_rewrite *w)
{
    const tl_tape *t = w->from;
    active p = { .w = w, .t = t };
    p.seen = tl_arena_alloc(&w->to->arena, t->n * sizeof *p.seen);
    p.zeros = tl_arena_alloc(&w->to->arena, t->n * sizeof *p.zeros);
    bool well = p.seen && p.zeros;
    for (uint32_t i = 1; i < t->n && well; i++)
        if (w->live[i]) p.zeros[i] = zeros_of(&p, i);
    if (well) find_seen(&p);
    for (uint32_t i = 1; i < t->n && well; i++)
        if (w->live[i] && !w->map[i]) well = (w->map[i] = emit(&p, i)) != 0;
    return well;
}

const tl_pass tl_pass_active = { "active", run };
