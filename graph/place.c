/* graph/place.c - where each value lies. Leaves have their own places; views lie in what they are views of, be it columns
 * of it; gradients of parameters lie in the session's flat array; and what is joined to something larger is made there
 * at once, so that a concatenation costs nothing: the steps of a sequence, the gates of a cell side by side.
 *
 * A value p is made in its place in a concatenation c if p is an instruction's result that has no other place yet,
 * whatever makes it can write rows that lie apart (if they do there), and so can whatever reads it read them. The
 * block of c is then taken at the first instruction that writes into it, and kept up to the last that reads c or any
 * of its parts; nothing else may be put into it (assign.c looks at blocks as a whole). Each value is placed once: what
 * is wanted in two concatenations is copied into the second, unless all parts of that lie together in the first already,
 * in its order. Larger concatenations come first, and so do the outer ones of nested ones. */
#include <stdlib.h>
#include <string.h>

#include "graph/build.h"
#include "graph/passes/passes.h"

enum { SMALL_CONST = 1 << 16 }; /* a fill of up to so many bytes is made once, at compile time */

/* ---- parts of parts ------------------------------------------------------------------------------------------------- */

/* Where a part lies of a value that lies so: its first element, and its layout. False: its rows do not lie evenly. */
static bool compose(tl_layout in, const tl_part *p, int64_t *begin, tl_layout *out)
{
    const int64_t C = in.cols, n = p->rows * p->width;
    const bool run = p->rows == 1 || p->width == p->pitch;
    *begin = p->begin;
    *out = (tl_layout){ 0, 0 };
    if (!C) {
        if (!run) *out = (tl_layout){ p->width, p->pitch };
        return true;
    }
    const int64_t row = p->begin / C, col = p->begin % C;
    *begin = row * in.stride + col;
    if (run) {
        if (TL_LEGAL(PART_WITHIN, col + n <= C)) return true; /* within a row */
        if (!TL_LEGAL(PART_ROWS, !col && n % C == 0)) return false;
        *out = in;
        return true;
    }
    if (!TL_LEGAL(PART_PITCH, p->pitch % C == 0) || !TL_LEGAL(PART_WIDTH, col + p->width <= C)) return false;
    *out = (tl_layout){ p->width, p->pitch / C * in.stride };
    return true;
}

static bool lies_in(const tl_home *whole, const tl_part *p, size_t element, tl_home *out)
{
    int64_t begin;
    tl_layout layout;
    if (!compose(whole->layout, p, &begin, &layout)) return false;
    *out = *whole;
    out->layout = layout;
    out->ref.offset += begin * (int64_t)element;
    return true;
}

/* ---- parts of concatenations ----------------------------------------------------------------------------------------- */

/* Operand k of concatenation c, whose first element along the axis is `begin`, as a part of c. */
static tl_part part_in(const tl_tape *t, uint32_t c, uint32_t k, int64_t begin)
{
    const tl_node *n = &t->node[c];
    const int64_t axis = ((const tl_concat_attr *)n->attr)->axis;
    const tl_shape *s = &t->node[tl_node_in(t, n, k)].shape;
    int64_t outer = 1, inner = 1;
    for (int a = 0; a < n->shape.rank; a++) {
        if (a < axis) outer *= n->shape.dim[a];
        if (a > axis) inner *= n->shape.dim[a];
    }
    return (tl_part){ begin * inner, outer, s->dim[axis] * inner, n->shape.dim[axis] * inner };
}

static int64_t length_along(const tl_tape *t, uint32_t c, uint32_t k)
{
    const tl_node *n = &t->node[c];
    return t->node[tl_node_in(t, n, k)].shape.dim[((const tl_concat_attr *)n->attr)->axis];
}

/* Can every operand of concatenation c, which lies so, be copied to where it belongs? */
static bool has_even_parts(const tl_tape *t, uint32_t c, tl_layout l)
{
    tl_layout layout;
    for (int64_t k = 0, at, begin = 0; k < t->node[c].n_in; begin += length_along(t, c, (uint32_t)k), k++) {
        const tl_part p = part_in(t, c, (uint32_t)k, begin);
        if (!compose(l, &p, &at, &layout)) return false;
        if (!tl_layout_fits(&t->node[tl_node_in(t, &t->node[c], (uint32_t)k)].shape, layout)) return false;
    }
    return true;
}

/* ---- who reads and writes rows that lie apart ------------------------------------------------------------------------- */

static bool fits_product(const tl_shape *s, tl_layout l) { return s->rank == 2 && s->dim[1] == l.cols; }

static bool can_write(const tl_tape *t, uint32_t i, tl_layout l)
{
    const tl_node *n = &t->node[i];
    if (!l.cols) return true;
    if (!TL_LEGAL(WRITE_USERS, n->op->id) || !TL_LEGAL(WRITE_FITS, tl_layout_fits(&n->shape, l))) return false;
    if (n->op->role == TL_ROLE_PRODUCT) return fits_product(&n->shape, l);
    if (n->op->role == TL_ROLE_CONCAT) return TL_LEGAL(WRITE_PARTS, has_even_parts(t, i, l));
    return TL_LEGAL(WRITE_CLASS, n->op->cls == TL_ELEMENTWISE || n->op->role == TL_ROLE_SLICE);
}

static bool readable(const tl_build *b, uint32_t i, tl_layout l);

/* Can node u take its operand k = i, which lies so? */
static bool can_read(const tl_build *b, uint32_t u, uint32_t k, uint32_t i, tl_layout l)
{
    const tl_node *n = &b->tape->node[u];
    const tl_shape *s = &b->tape->node[i].shape;
    tl_part p;
    tl_layout inner;
    int64_t begin;
    if (!(n->op->role != TL_ROLE_TAP)) return false;
    if (tl_part_of(b->tape, n, &p)) {
        if (!compose(l, &p, &begin, &inner)) return false;
        return !inner.cols || p.rows > 1 ||
               TL_LEGAL(READ_VIEW, readable(b, u, inner)); /* columns can be copied out, if need be */
    }
    if (!TL_LEGAL(READ_FITS, tl_layout_fits(s, l))) return false;
    if (n->op->role == TL_ROLE_PRODUCT)
        return n->shape.rank == 2 && fits_product(s, l) && !(k == 1 && ((const tl_product_attr *)n->attr)->packed);
    return TL_LEGAL(READ_CLASS, n->op->cls == TL_ELEMENTWISE || n->op->role == TL_ROLE_CONCAT);
}

/* Can all that looks at node i's value take it if it lies so? */
static bool readable(const tl_build *b, uint32_t i, tl_layout l)
{
    if (!l.cols) return true;
    if (!TL_LEGAL(READ_WHOLE, !b->whole[i])) return false;
    for (uint32_t j = b->first_user[i]; j < b->first_user[i + 1]; j++)
        if (!can_read(b, b->user[2 * j], b->user[2 * j + 1], i, l)) return false;
    return true;
}

static bool find_users(tl_build *b)
{
    const tl_tape *t = b->tape;
    b->first_user = tl_build_scratch(b, (b->n + 2) * sizeof *b->first_user);
    b->user = tl_build_scratch(b, (t->n_in + 1) * 2 * sizeof *b->user);
    b->whole = tl_build_scratch(b, b->n * sizeof *b->whole);
    if (b->failed) return false;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = b->n - 1; i; i--)
            for (uint32_t k = t->node[i].n_in; b->live[i] && k--;) {
                const uint32_t id = tl_node_in(t, &t->node[i], k);
                if (!pass) {
                    b->first_user[id]++;
                } else {
                    const uint32_t j = --b->first_user[id];
                    b->user[2 * j] = i, b->user[2 * j + 1] = k;
                }
            }
        for (uint32_t i = 1; !pass && i <= b->n; i++) b->first_user[i] += b->first_user[i - 1];
    }
    for (uint32_t k = 0; k < t->n_output; k++) b->whole[t->output[k].id] = true;
    for (uint32_t k = 0; k < t->n_next; k++) b->whole[t->next[k].id] = true;
    for (uint32_t k = 0; k < t->n_tap; k++) b->whole[tl_node_in(t, &t->node[t->tap[k]], 0)] = true;
    return true;
}

/* ---- leaves ----------------------------------------------------------------------------------------------------------- */

static tl_ref const_ref(tl_build *b, const void *data, size_t bytes)
{
    char *p = tl_build_keep(b, bytes);
    if (p && bytes && data) memcpy(p, data, bytes);
    return (tl_ref){ TL_BASE_CONSTS, p ? p - b->plan->consts : 0 };
}

static tl_ref param_ref(const tl_build *b, const tl_node *node)
{
    const tl_tape_param *p = &b->tape->param[((const tl_index_attr *)node->attr)->index];
    const tl_model *m = b->tape->model;
    return (tl_ref){ TL_BASE_VALUES, m->param[p->index].offset * (int64_t)tl_dtype_size(m->dtype) };
}

bool tl_is_small_fill(const tl_node *node)
{
    return node->op->role == TL_ROLE_FILL && tl_bytes_of(&node->shape) <= SMALL_CONST;
}

static tl_ref fill_ref(tl_build *b, const tl_node *node)
{
    const tl_ref ref = const_ref(b, NULL, tl_bytes_of(&node->shape));
    const double v = ((const tl_fill_attr *)node->attr)->value;
    char *p = b->plan->consts + ref.offset;
    for (int64_t i = 0; !b->failed && i < tl_shape_size(&node->shape); i++) tl_write(p, node->shape.dtype, i, v);
    return ref;
}

/* Leaves, and results as if each had a block of its own; views follow later. */
static void place(tl_build *b, uint32_t i)
{
    const tl_node *node = &b->tape->node[i];
    tl_home *h = &b->home[i];
    tl_part part;
    switch (node->op->role) {
    case TL_ROLE_PARAM: h->ref = param_ref(b, node); return;
    case TL_ROLE_INPUT:
        h->ref = (tl_ref){ TL_BASE_INPUTS + (uint32_t)((const tl_index_attr *)node->attr)->index, 0 };
        return;
    case TL_ROLE_CONST: h->ref = const_ref(b, node->attr, node->attr_size); return;
    default: break;
    }
    if (tl_is_small_fill(node)) h->ref = fill_ref(b, node);
    else if (!tl_part_of(b->tape, node, &part)) *h = (tl_home){ .ref = { TL_BASE_ARENA, 0 }, .root = i };
}

/* A gradient is made where the optimizer reads it (the first parameter's, where several have the same). */
static void place_gradients(tl_build *b)
{
    const tl_tape *t = b->tape;
    const tl_model *m = t->model;
    for (uint32_t k = 0; k < t->n_gradient; k++) {
        tl_home *h = &b->home[t->gradient[k].id];
        const int param = t->param[t->gradient[k].param].index;
        if (tl_is_result(b, t->gradient[k].id) && h->ref.base == TL_BASE_ARENA)
            h->ref = (tl_ref){ TL_BASE_GRADIENTS, m->param[param].offset * (int64_t)tl_dtype_size(m->dtype) };
    }
}

/* ---- concatenations ------------------------------------------------------------------------------------------------- */

/* The result that node i is, under another shape. */
static uint32_t made_as(const tl_tape *t, uint32_t i)
{
    while (t->node[i].op->role == TL_ROLE_RESHAPE) i = tl_node_in(t, &t->node[i], 0);
    return i;
}

bool tl_made_there(const tl_build *b, uint32_t c, uint32_t k)
{
    const uint32_t p = made_as(b->tape, tl_node_in(b->tape, &b->tape->node[c], k));
    return b->stack[p] == c && b->slot[p] == k;
}

bool tl_place_in_stack(const tl_build *b, uint32_t c, uint32_t k, int64_t begin, tl_home *out)
{
    const tl_part p = part_in(b->tape, c, k, begin);
    return lies_in(&b->home[c], &p, tl_dtype_size(b->tape->node[c].shape.dtype), out);
}

/* Do all parts of c lie one after the other in one block already? Then c is there. */
static bool lie_together(tl_build *b, uint32_t c)
{
    const tl_tape *t = b->tape;
    const tl_node *n = &t->node[c];
    const size_t element = tl_dtype_size(n->shape.dtype);
    tl_home first = { .root = 0 };
    int64_t next = 0;
    for (uint32_t k = 0; k < n->n_in; k++) {
        const uint32_t id = tl_node_in(t, n, k), p = made_as(t, id);
        const tl_home *h = &b->home[p];
        if (!b->stack[p] || h->layout.cols || h->ref.base != TL_BASE_ARENA) return false;
        if (!TL_LEGAL(TOGETHER_ROWS, part_in(t, c, k, 0).rows == 1)) return false;
        if (!k) first = *h, next = h->ref.offset;
        if (!TL_LEGAL(TOGETHER_ONE, h->root == first.root) || !TL_LEGAL(TOGETHER_NEXT, h->ref.offset == next))
            return false;
        next += tl_shape_size(&t->node[id].shape) * (int64_t)element;
    }
    if (!first.root || b->home[first.root].ref.base != TL_BASE_ARENA) return false;
    b->home[c] = first;
    return true;
}

static void fill_stack(tl_build *b, uint32_t c)
{
    const tl_tape *t = b->tape;
    const tl_node *n = &t->node[c];
    const bool is_gradient = b->home[c].ref.base == TL_BASE_GRADIENTS;
    if ((b->home[c].ref.base != TL_BASE_ARENA && !is_gradient) || !tl_shape_size(&n->shape)) return;
    if (!is_gradient && !b->stack[c] && lie_together(b, c)) return;
    for (int64_t k = 0, begin = 0; k < n->n_in; begin += length_along(t, c, (uint32_t)k), k++) {
        const uint32_t p = made_as(t, tl_node_in(t, n, (uint32_t)k));
        tl_home h;
        if (!p || !TL_LEGAL(PLACE_ONCE, tl_is_result(b, p)) || b->home[p].ref.base != TL_BASE_ARENA) continue;
        if (!tl_shape_size(&t->node[p].shape) || !tl_place_in_stack(b, c, (uint32_t)k, begin, &h)) continue;
        if (!can_write(t, p, h.layout) || !readable(b, p, h.layout)) continue;
        b->home[p] = h;
        b->stack[p] = c;
        b->slot[p] = (uint32_t)k;
    }
}

typedef struct sized {
    int64_t bytes;
    uint32_t id;
} sized;

static int larger_first(const void *a, const void *b)
{
    const sized *p = a, *q = b;
    if (p->bytes != q->bytes) return p->bytes < q->bytes ? 1 : -1;
    return p->id < q->id ? 1 : p->id > q->id ? -1 : 0;
}

static void fill_stacks(tl_build *b)
{
    const tl_tape *t = b->tape;
    uint32_t n = 0;
    for (uint32_t i = 1; i < b->n; i++) n += b->live[i] && t->node[i].op->role == TL_ROLE_CONCAT;
    sized *c = tl_build_scratch(b, n * sizeof *c);
    b->stack = tl_build_scratch(b, b->n * sizeof *b->stack);
    b->slot = tl_build_scratch(b, b->n * sizeof *b->slot);
    if (b->failed || !tl_pass_on("place")) return;
    n = 0;
    for (uint32_t i = 1; i < b->n; i++)
        if (b->live[i] && t->node[i].op->role == TL_ROLE_CONCAT)
            c[n++] = (sized){ (int64_t)tl_bytes_of(&t->node[i].shape), i };
    qsort(c, n, sizeof *c, larger_first);
    for (uint32_t k = 0; k < n; k++) fill_stack(b, c[k].id);
}

/* ---- views ------------------------------------------------------------------------------------------------------------ */

bool tl_place_part(const tl_build *b, uint32_t i, tl_home *out)
{
    const tl_node *node = &b->tape->node[i];
    tl_part part;
    return tl_part_of(b->tape, node, &part) &&
           lies_in(&b->home[tl_node_in(b->tape, node, 0)], &part, tl_dtype_size(node->shape.dtype), out);
}

/* Part of what lies wherever it lies; or, if not all that read it can read it there, a copy. */
static void place_view(tl_build *b, uint32_t i)
{
    tl_part part;
    if (b->home[i].kept || !tl_part_of(b->tape, &b->tape->node[i], &part)) return;
    if (tl_place_part(b, i, &b->home[i]) && readable(b, i, b->home[i].layout) &&
        (!b->home[i].layout.cols || tl_pass_on("place")))
        return;
    b->home[i] = (tl_home){ .ref = { TL_BASE_ARENA, 0 }, .root = i };
}

void tl_place_all(tl_build *b)
{
    if (!find_users(b)) return;
    tl_find_lasting(b);
    for (uint32_t i = 1; i < b->n && !b->failed; i++)
        if (b->live[i] && !tl_place_kept(b, i)) place(b, i);
    place_gradients(b);
    fill_stacks(b);
    for (uint32_t i = 1; i < b->n && !b->failed; i++)
        if (b->live[i]) place_view(b, i);
}
