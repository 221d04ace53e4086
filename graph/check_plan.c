/* graph/check_plan.c - proves a plan: run with the names of numbers in place of numbers, every instruction reads what the
 * tape says, and what is asked for is there at the end.
 *
 * The name of a number is the node and the element of that node that first had it: moving it (views, slices, concat,
 * copies) gives no new name. Each 4 bytes of the arena and of the gradients hold a name, or none. Instructions are gone
 * through in order; of each, every element of every operand must be found under its name where the instruction says it lies,
 * the result must not lie on operands (an elementwise one may lie exactly on one), and then stands under its names. So two
 * values that are needed at once cannot overlap, nothing is read that this run has not written, and nothing outside of its
 * buffer is touched. Nothing here is known from the planner but which node an instruction computes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/build.h"

bool tl_checks_plans(void)
{
    const char *s = getenv("TL_CHECK");
    return s && *s && strcmp(s, "0") != 0;
}

enum { WORD = 4 };
#define ZERO ((uint64_t)UINT32_MAX << 32) /* the name of a number that is 0 */

/* Whose numbers a node has: list[offset], list[offset + 1], ... or, without a list, those of base from `offset` on. */
typedef struct names {
    const uint64_t *list;
    uint32_t base;
    int64_t offset;
} names;

/* What the words of a buffer hold. */
typedef struct buffer {
    uint64_t *name;
    uint64_t *written; /* by which instruction (from 1), and as which of its elements */
    int64_t words;
} buffer;

typedef struct checker {
    tl_build *b;
    names *names; /* of each node */
    tl_arena memory;
    buffer arena, gradients;
    uint64_t *kept; /* of each kept value: the node that it was found to be */
    uint32_t at;    /* the instruction */
    uint32_t calls; /* of kernels so far */
    uint32_t node;  /* that the last of them was about */
    bool failed;
} checker;

static const tl_node *node_at(const checker *c, uint32_t id) { return &c->b->tape->node[id]; }

static bool fail(checker *c, const char *format, ...) TL_PRINTF(2, 3);
static bool fail(checker *c, const char *format, ...)
{
    char what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    const tl_node *n = c->at < c->b->plan->n_instr ? node_at(c, c->node) : NULL;
    tl_tape_fail(c->b->tape, n ? n->at : TL_NOWHERE, TL_E_CHECK, "the plan is wrong: instruction %u (%s): %s", c->at,
                 n ? n->op->name : "the end", what);
    return !(c->failed = true);
}

/* ---- names -------------------------------------------------------------------------------------------------- */

static uint64_t name_of(const checker *c, uint32_t id, int64_t e)
{
    const names *n = &c->names[id];
    return n->list ? n->list[n->offset + e] : (uint64_t)n->base << 32 | (uint64_t)(n->offset + e);
}

/* Slices and concatenations: [outer, axis, inner], of which each part has some of the axis. */
static bool list_names(checker *c, uint32_t id, int64_t axis, int64_t begin)
{
    const tl_tape *t = c->b->tape;
    const tl_node *n = node_at(c, id);
    const bool slice = n->op->role == TL_ROLE_SLICE;
    int64_t outer = 1, inner = 1;
    for (int a = 0; a < n->shape.rank; a++) *(a < axis ? &outer : &inner) *= a == axis ? 1 : n->shape.dim[a];
    if (slice && outer == 1) {
        c->names[id] = c->names[tl_node_in(t, n, 0)];
        c->names[id].offset += begin * inner;
        return true;
    }
    uint64_t *list = tl_arena_alloc(&c->memory, (size_t)tl_shape_size(&n->shape) * sizeof *list + 1), *to = list;
    if (!list) return false;
    for (int64_t o = 0; o < outer; o++)
        for (uint32_t k = 0; k < n->n_in; k++) {
            const uint32_t from = tl_node_in(t, n, k);
            const int64_t row = node_at(c, from)->shape.dim[axis] * inner, first = o * row + begin * inner;
            const int64_t count = slice ? n->shape.dim[axis] * inner : row;
            for (int64_t e = 0; e < count; e++) *to++ = name_of(c, from, first + e);
        }
    c->names[id] = (names){ .list = list };
    return true;
}

static bool name_node(checker *c, uint32_t id)
{
    const tl_node *n = node_at(c, id);
    switch (n->op->role) {
    case TL_ROLE_RESHAPE:
    case TL_ROLE_COPY:
    case TL_ROLE_TAP: c->names[id] = c->names[tl_node_in(c->b->tape, n, 0)]; return true;
    case TL_ROLE_SLICE: {
        const tl_slice_attr *a = n->attr;
        return list_names(c, id, a->axis, a->begin);
    }
    case TL_ROLE_CONCAT: return list_names(c, id, ((const tl_concat_attr *)n->attr)->axis, 0);
    default: c->names[id] = (names){ .base = id }; return true;
    }
}

/* ---- places ------------------------------------------------------------------------------------------------- */

static buffer *buffer_of(checker *c, uint32_t base)
{
    return base == TL_BASE_ARENA ? &c->arena : base == TL_BASE_GRADIENTS ? &c->gradients : NULL;
}

/* The first word of `bytes` bytes at a place of a buffer that is written; NULL: outside. */
static int64_t word_at(const buffer *f, int64_t place, int64_t bytes)
{
    return place < 0 || place % WORD || place + bytes > f->words * WORD ? -1 : place / WORD;
}

/* Does a leaf's element lie there, in memory that no instruction writes? */
static bool is_leaf_at(const checker *c, uint64_t name, tl_ref ref, int64_t place)
{
    const tl_node *n = node_at(c, (uint32_t)(name >> 32));
    const int64_t size = (int64_t)tl_dtype_size(n->shape.dtype), e = (int64_t)(uint32_t)name;
    const tl_index_attr *a = n->attr;
    double value;
    switch (n->op->role) {
    case TL_ROLE_PARAM: {
        const tl_model *m = c->b->tape->model;
        return ref.base == TL_BASE_VALUES && place == (m->param[c->b->tape->param[a->index].index].offset + e) * size;
    }
    case TL_ROLE_INPUT: return ref.base == TL_BASE_INPUTS + (uint32_t)a->index && place == e * size;
    case TL_ROLE_CONST:
        return ref.base == TL_BASE_CONSTS &&
               !memcmp(c->b->plan->consts + place, (char *)n->attr + e * size, (size_t)size);
    case TL_ROLE_FILL:
        tl_write(&value, n->shape.dtype, 0, ((const tl_fill_attr *)n->attr)->value);
        return ref.base == TL_BASE_CONSTS && !memcmp(c->b->plan->consts + place, &value, (size_t)size);
    default: return false;
    }
}

static bool holds(checker *c, uint64_t name, tl_ref ref, int64_t place, int64_t size);

/* Where an element of a kept value comes from that only moves numbers: operand and element of that. */
static bool moved_from(const tl_kept *v, int64_t e, uint32_t *operand, int64_t *from)
{
    if (v->op->role != TL_ROLE_CONCAT && v->op->role != TL_ROLE_SLICE) return false;
    const bool slice = v->op->role == TL_ROLE_SLICE;
    const int64_t axis = slice ? ((const tl_slice_attr *)v->attr)->axis : ((const tl_concat_attr *)v->attr)->axis;
    const tl_desc *d = v->desc;
    int64_t inner = 1;
    for (int a = (int)axis + 1; a < d->rank; a++) inner *= d->dim[a];
    const int64_t outer = e / (d->dim[axis] * inner), i = e % inner;
    int64_t k = e / inner % d->dim[axis];
    *operand = 0;
    if (slice) k += ((const tl_slice_attr *)v->attr)->begin;
    else
        for (; k >= d[1 + *operand].dim[axis]; ++*operand) k -= d[1 + *operand].dim[axis];
    *from = (outer * d[1 + *operand].dim[axis] + k) * inner + i;
    return true;
}

/* Is a number in a kept value, which is an operation on others, this one? Of operands the first and the last are looked at. */
static bool is_kept_at(checker *c, uint64_t name, int64_t place, int64_t size)
{
    const uint32_t at = tl_kept_at(c->b->plan, (tl_ref){ TL_BASE_KEPT, place });
    if (at == c->b->plan->n_kept || name == ZERO) return false;
    const tl_kept *v = c->b->plan->kept[at];
    const tl_node *n = node_at(c, (uint32_t)(name >> 32));
    const int64_t e = (place - (v->data - (char *)c->b->tape->model)) / size;
    uint32_t k;
    int64_t from;
    if (!v->op) {
        double value = 0;
        if (n->op->role == TL_ROLE_CONST)
            return !memcmp(v->data + e * size, (char *)n->attr + (int64_t)(uint32_t)name * size, (size_t)size);
        if (n->op->role == TL_ROLE_FILL) tl_write(&value, n->shape.dtype, 0, ((const tl_fill_attr *)n->attr)->value);
        return n->op->role == TL_ROLE_FILL && !memcmp(v->data + e * size, &value, (size_t)size);
    }
    if (moved_from(v, e, &k, &from)) return holds(c, name, v->ref[k], v->ref[k].offset + from * size, size);
    if (v->op->role == TL_ROLE_COPY) return holds(c, name, v->ref[0], v->ref[0].offset + e * size, size);
    if (e != (int64_t)(uint32_t)name) return false;
    if (c->kept[at] == name >> 32) return true;
    bool same = v->op == n->op && v->n_in == n->n_in && v->attr_size == n->attr_size &&
                (!n->attr_size || !memcmp(v->attr, n->attr, n->attr_size));
    for (k = 0; same && k < n->n_in; k++) {
        const uint32_t id = tl_node_in(c->b->tape, n, k);
        const int64_t count = id ? tl_shape_size(&node_at(c, id)->shape) : 0;
        const int64_t bytes = id ? (int64_t)tl_dtype_size(node_at(c, id)->shape.dtype) : 0;
        same = !count ||
               (holds(c, name_of(c, id, 0), v->ref[k], v->ref[k].offset, bytes) &&
                holds(c, name_of(c, id, count - 1), v->ref[k], v->ref[k].offset + (count - 1) * bytes, bytes));
    }
    if (same) c->kept[at] = name >> 32;
    return same;
}

static bool holds(checker *c, uint64_t name, tl_ref ref, int64_t place, int64_t size)
{
    const buffer *f = buffer_of(c, ref.base);
    if (ref.base == TL_BASE_KEPT) return is_kept_at(c, name, place, size);
    if (!f) return name != ZERO && is_leaf_at(c, name, ref, place);
    const int64_t w = word_at(f, place, size);
    return w >= 0 && f->name[w] == name && f->name[w + size / WORD - 1] == name;
}

static bool not_found(checker *c, uint32_t k, int64_t e, uint64_t want, tl_ref ref, int64_t place)
{
    const buffer *f = buffer_of(c, ref.base);
    const int64_t w = f ? word_at(f, place, WORD) : -1;
    const uint64_t has = w < 0 ? 0 : f->name[w];
    const uint32_t id = (uint32_t)(want >> 32), other = (uint32_t)(has >> 32);
    return fail(
        c,
        "operand %u, element %lld should be number %u of node %u (%s), but at byte %lld of base %u lies %s %u of "
        "node %u (%s)",
        k, (long long)e, (uint32_t)want, id, want == ZERO ? "zero" : node_at(c, id)->op->name, (long long)place,
        ref.base, has ? "number" : "nothing:", (uint32_t)has, other,
        !has          ? "none"
        : has == ZERO ? "zero"
                      : node_at(c, other)->op->name);
}

/* ---- going through elements --------------------------------------------------------------------------------- */

/* Elements in row-major order, and where each lies. */
typedef struct walk {
    const tl_desc *d;
    int64_t at[TL_MAX_RANK], offset;
} walk;

static void step(walk *w)
{
    for (int a = w->d->rank; a--;) {
        w->offset += w->d->stride[a];
        if (++w->at[a] < w->d->dim[a]) return;
        w->offset -= w->at[a] * w->d->stride[a];
        w->at[a] = 0;
    }
}

static void seek(walk *w, int64_t element)
{
    w->offset = 0;
    for (int a = w->d->rank; a--; element /= w->d->dim[a]) {
        w->at[a] = element % w->d->dim[a];
        w->offset += w->at[a] * w->d->stride[a];
    }
}

/* Which element of an operand of this shape is read for each element of the result. */
static tl_desc elements_of(const tl_shape *s, const tl_shape *out)
{
    tl_desc d = { .rank = out->rank };
    int64_t stride = 1;
    for (int a = out->rank; a--;) {
        const int own = a - (out->rank - s->rank);
        d.dim[a] = out->dim[a];
        if (own < 0) continue;
        d.stride[a] = s->dim[own] == 1 ? 0 : stride;
        stride *= s->dim[own];
    }
    return d;
}

/* ---- one kernel call ----------------------------------------------------------------------------------------- */

/* A kernel's call: all of an instruction, or a member of a fused one on some of its rows. */
typedef struct call {
    uint32_t node;
    const struct tl_op *op;
    const tl_desc *desc; /* out, operands */
    const tl_ref *ref;
    uint32_t n_in;
    int64_t row, rows; /* the first of the rows that it works on, of how many in all */
    bool adds, last;   /* are rows added to the result, and is this the last tile of them? */
    enum { COMPUTES, COPIES, CLEARS, LISTS } does;
    int64_t room; /* in the arena, of `work` bytes */
    size_t work;
} call;

/* The node that operand k is; 0: zeros, or none. */
static uint32_t operand(const checker *c, const call *q, uint32_t k)
{
    const tl_node *n = node_at(c, q->node);
    if (q->does != COMPUTES) return q->node;
    return k < n->n_in ? tl_node_in(c->b->tape, n, k) : 0;
}

/* The first of the elements that row q->row has, of `size` elements in all. */
static int64_t first_of(const call *q, int64_t size) { return q->row ? q->row * (size / q->rows) : 0; }

/* Does operand k hold node id (0: zeros), where d and ref say? */
static bool check_operand(checker *c, const call *q, uint32_t k, uint32_t id)
{
    const tl_desc *d = &q->desc[1 + k];
    const tl_ref ref = q->ref[1 + k];
    const tl_shape *out = &node_at(c, q->node)->shape, *shape = id ? &node_at(c, id)->shape : out;
    const bool broadcasts = q->does == COMPUTES && q->op->cls == TL_ELEMENTWISE;
    const tl_desc which = elements_of(shape, broadcasts ? out : shape);
    const int64_t n = tl_desc_size(d), all = tl_desc_size(&which), size = (int64_t)tl_dtype_size(d->dtype);
    if (d->dtype != shape->dtype || (q->rows == 1 && n != all))
        return fail(c, "operand %u: %lld elements are described, of %lld", k, (long long)n, (long long)all);
    walk e = { .d = &which }, m = { .d = d };
    if (n < all) seek(&e, first_of(q, all));
    for (int64_t i = 0; i < n; i++, step(&e), step(&m)) {
        const uint64_t want = id ? name_of(c, id, e.offset) : ZERO;
        const int64_t place = ref.offset + m.offset * size;
        if (!holds(c, want, ref, place, size)) return not_found(c, k, i, want, ref, place);
    }
    return true;
}

/* The result, and the room to work in, go where nothing else is written by the same call. */
static bool mark_written(checker *c, const tl_desc *d, tl_ref ref, bool room)
{
    buffer *f = buffer_of(c, ref.base);
    if (!f) return fail(c, "it writes to base %u", ref.base);
    const int64_t n = tl_desc_size(d), size = (int64_t)tl_dtype_size(d->dtype);
    walk m = { .d = d };
    for (int64_t i = 0; i < n; i++, step(&m)) {
        const int64_t w = word_at(f, ref.offset + m.offset * size, size);
        if (w < 0) return fail(c, "it writes outside of base %u", ref.base);
        for (int64_t j = 0; j < size / WORD; j++) {
            if (f->written[w + j] >> 32 == c->calls) return fail(c, "it writes twice to word %lld", (long long)(w + j));
            f->written[w + j] = (uint64_t)c->calls << 32 | (room ? UINT32_MAX : (uint32_t)i);
        }
    }
    return true;
}

/* May operand k share memory with the result, element on element? What a product or an addition of rows starts from may. */
static bool may_share(const checker *c, const call *q, uint32_t k)
{
    const bool start = q->op->role == TL_ROLE_PRODUCT && k == 2;
    return start || q->op->cls == TL_ELEMENTWISE || (q->does == COMPUTES && !operand(c, q, k));
}

static bool check_overlap(checker *c, const call *q, uint32_t k)
{
    const buffer *f = buffer_of(c, q->ref[1 + k].base);
    const tl_desc *d = &q->desc[1 + k];
    const int64_t n = f ? tl_desc_size(d) : 0, size = (int64_t)tl_dtype_size(d->dtype);
    const bool share = may_share(c, q, k) && size == (int64_t)tl_dtype_size(q->desc[0].dtype);
    walk m = { .d = d };
    for (int64_t i = 0; i < n; i++, step(&m)) {
        const int64_t w = word_at(f, q->ref[1 + k].offset + m.offset * size, size);
        for (int64_t j = 0; j < size / WORD; j++) {
            const uint64_t by = f->written[w + j];
            if (by >> 32 == c->calls && !(share && (uint32_t)by == (uint32_t)i))
                return fail(c, "element %lld of operand %u is written over by element %u of the result", (long long)i,
                            k, (uint32_t)by);
        }
    }
    return true;
}

/* The name of element i of the result; while rows are still to be added to it, another. */
static uint64_t name_of_result(const checker *c, const call *q, int64_t i)
{
    const int64_t all = tl_shape_size(&node_at(c, q->node)->shape);
    return q->adds && !q->last ? (uint64_t)q->node << 32 | (uint64_t)(all + i) : name_of(c, q->node, i);
}

/* Is what the tiles before have added up still there? */
static bool check_part(checker *c, const call *q)
{
    const int64_t all = tl_shape_size(&node_at(c, q->node)->shape), size = (int64_t)tl_dtype_size(q->desc->dtype);
    for (int64_t i = 0; i < all; i++)
        if (!holds(c, (uint64_t)q->node << 32 | (uint64_t)(all + i), q->ref[0], q->ref[0].offset + i * size, size))
            return fail(c, "what was added up so far is not there: element %lld", (long long)i);
    return true;
}

/* What is written stands under its names. */
static bool write_names(checker *c, const call *q)
{
    const tl_desc *d = q->desc;
    const tl_ref ref = q->ref[0];
    buffer *f = buffer_of(c, ref.base);
    const int64_t n = tl_desc_size(d), size = (int64_t)tl_dtype_size(d->dtype);
    const int64_t all = tl_shape_size(&node_at(c, q->node)->shape), first = q->adds ? 0 : first_of(q, all);
    if (q->does != CLEARS && (q->rows == 1 || q->adds ? n != all : first + n > all))
        return fail(c, "%lld elements are described, of %lld", (long long)n, (long long)all);
    walk m = { .d = d };
    for (int64_t i = 0; i < n; i++, step(&m))
        for (int64_t j = 0; j < size / WORD; j++)
            f->name[(ref.offset + m.offset * size) / WORD + j] = q->does == CLEARS ? ZERO
                                                                                   : name_of_result(c, q, first + i);
    return true;
}

/* Whatever was in the room is gone. */
static bool clear_room(checker *c, int64_t begin, size_t bytes)
{
    const int64_t n = (int64_t)(bytes + WORD - 1) / WORD;
    const tl_desc room = { .dtype = TL_F32, .rank = 1, .dim = { n }, .stride = { 1 } };
    if (!bytes) return true;
    if (begin < 0) return fail(c, "it has no room to work in");
    if (!mark_written(c, &room, (tl_ref){ TL_BASE_ARENA, begin }, true)) return false;
    memset(c->arena.name + begin / WORD, 0, (size_t)n * sizeof *c->arena.name);
    return true;
}

static bool check_call(checker *c, const call *q)
{
    const tl_node *node = node_at(c, q->node);
    c->calls++;
    c->node = q->node;
    for (uint32_t k = 0; k < q->n_in; k++) {
        const uint32_t id = operand(c, q, k);
        const bool there = q->ref[1 + k].base != TL_BASE_NONE;
        if (k == 1 && q->adds && q->row) {
            if (!check_part(c, q)) return false;
            continue;
        }
        if (!there && id) return fail(c, "operand %u is missing", k);
        if (there && !check_operand(c, q, k, id)) return false;
    }
    if (q->does == LISTS || (q->does == COMPUTES && node->op->role == TL_ROLE_TAP)) return true; /* writes nothing */
    if (!mark_written(c, q->desc, q->ref[0], false) || !clear_room(c, q->room, q->work)) return false;
    for (uint32_t k = 0; k < q->n_in; k++)
        if (q->ref[1 + k].base != TL_BASE_NONE && !check_overlap(c, q, k)) return false;
    return write_names(c, q);
}

/* ---- one instruction ----------------------------------------------------------------------------------------- */

static call call_of(const checker *c, tl_kernel kernel, const struct tl_op *op, const void *attr, uint32_t place,
                    const tl_desc *desc, const tl_ref *ref, uint32_t n_in)
{
    call q = { .node = c->b->place_node[place], .op = op, .desc = desc, .ref = ref, .n_in = n_in, .rows = 1 };
    if (kernel == tl_rows_kernel) q.does = ((const tl_plan_table *)attr)->all ? LISTS : CLEARS;
    else if (op != node_at(c, q.node)->op) q.does = COPIES;
    return q;
}

/* Do all operands that live in tiles lie in the room that the instruction was given for them? */
static bool check_tiles(checker *c, const tl_instr *in, const tl_member *m, const call *q)
{
    const int64_t end = in->work + (int64_t)c->b->draft[c->at].work;
    for (uint32_t k = 0; k <= m->n_in; k++) {
        const tl_desc *d = &q->desc[k];
        int64_t last = 0;
        for (int a = 0; a < d->rank; a++) last += (d->dim[a] - 1) * d->stride[a];
        const bool tiled = m->at[k] != UINT16_MAX && m->at[k] >= in->fused->n_memory;
        if (tiled && q->ref[k].offset + (last + 1) * (int64_t)tl_dtype_size(d->dtype) > end)
            return fail(c, "operand %u of a member goes on behind its room", k);
    }
    return true;
}

/* As the executor does: each member on some rows, then each on the next rows. */
static bool check_fused(checker *c, const tl_instr *in)
{
    const tl_fused *f = in->fused;
    tl_ref *at = tl_arena_alloc(&c->memory, (f->n_streams + 1) * sizeof *at);
    if (!at) return false;
    for (int64_t row = 0, tile = 0; row < f->rows; row += f->tile, tile++) {
        for (uint32_t k = 0; k < f->n_streams; k++)
            at[k] = k < f->n_memory ? (tl_ref){ in->ref[1 + k].base, in->ref[1 + k].offset + tile * f->step[k] }
                                    : (tl_ref){ TL_BASE_ARENA, in->work + f->offset[k] };
        for (const tl_member *m = f->member; m < f->member + f->n_members; m++) {
            tl_ref ref[8];
            if (m->n_in >= sizeof ref / sizeof *ref) return fail(c, "a member has %u operands", m->n_in);
            for (uint32_t k = 0; k <= m->n_in; k++)
                ref[k] = m->at[k] == UINT16_MAX ? (tl_ref){ TL_BASE_NONE, 0 } : at[m->at[k]];
            call q = call_of(c, m->kernel, m->op, m->attr, m->place, m->desc[row + f->tile > f->rows], ref, m->n_in);
            q.row = row;
            q.rows = f->rows;
            q.adds = m->adds;
            q.last = row + f->tile >= f->rows;
            if (!check_tiles(c, in, m, &q) || !check_call(c, &q)) return false;
        }
    }
    return true;
}

static bool check_instruction(checker *c)
{
    const tl_instr *in = &c->b->plan->instr[c->at];
    c->calls++;
    if (in->fused) return clear_room(c, in->work, c->b->draft[c->at].work) && check_fused(c, in);
    call q = call_of(c, in->kernel, in->op, in->attr, in->place, in->desc, in->ref, in->n_in);
    q.room = in->work;
    if (q.does == COMPUTES && in->op->work) q.work = in->op->work(in->desc, in->desc + 1, (int)in->n_in, in->attr);
    return check_call(c, &q);
}

/* ---- the end ------------------------------------------------------------------------------------------------ */

static bool check_result(checker *c, const char *what, uint32_t id, tl_ref ref)
{
    const tl_shape *s = &node_at(c, id)->shape;
    const int64_t size = (int64_t)tl_dtype_size(s->dtype);
    for (int64_t e = 0; e < tl_shape_size(s); e++)
        if (!holds(c, name_of(c, id, e), ref, ref.offset + e * size, size))
            return fail(c, "%s (node %u, %s) is not there: element %lld", what, id, node_at(c, id)->op->name,
                        (long long)e);
    return true;
}

static bool check_results(checker *c)
{
    const tl_tape *t = c->b->tape;
    const tl_plan *p = c->b->plan;
    for (uint32_t k = 0; k < t->n_output; k++)
        if (!check_result(c, t->output[k].name, t->output[k].id, p->output[k].ref)) return false;
    for (uint32_t k = 0; k < t->n_next; k++)
        if (!check_result(c, t->next[k].name, t->next[k].id, p->next[k].ref)) return false;
    for (uint32_t k = 0; k < t->n_gradient; k++) {
        const tl_tape_param *q = &t->param[t->gradient[k].param];
        const int64_t offset = t->model->param[q->index].offset * (int64_t)tl_dtype_size(t->model->dtype);
        if (!check_result(c, q->path, t->gradient[k].id, (tl_ref){ TL_BASE_GRADIENTS, offset })) return false;
    }
    return true;
}

/* ---- the whole ---------------------------------------------------------------------------------------------- */

static bool open_buffer(checker *c, buffer *f, size_t bytes)
{
    f->words = (int64_t)(bytes / WORD);
    f->name = tl_arena_alloc(&c->memory, (size_t)f->words * sizeof *f->name + 1);
    f->written = tl_arena_alloc(&c->memory, (size_t)f->words * sizeof *f->written + 1);
    return f->name && f->written;
}

void tl_check_plan(tl_build *b)
{
    checker c = { .b = b };
    const tl_model *m = b->tape->model;
    bool well = (c.names = tl_arena_alloc(&c.memory, b->n * sizeof *c.names)) &&
                (c.kept = tl_arena_alloc(&c.memory, b->plan->n_kept * sizeof *c.kept + 1)) &&
                open_buffer(&c, &c.arena, b->plan->arena_bytes) &&
                open_buffer(&c, &c.gradients, (size_t)m->size * tl_dtype_size(m->dtype));
    for (uint32_t i = 1; well && i < b->n; i++) well = !b->live[i] || name_node(&c, i);
    for (; well && c.at < b->plan->n_instr; c.at++)
        if (!(well = check_instruction(&c))) break;
    well = well && check_results(&c);
    tl_arena_free(&c.memory);
    b->failed |= !well;
}
