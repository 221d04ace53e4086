/* graph/assign.c - arena offsets by lifetime: a block is taken where the first of its values is made and given back after
 * the last use of any. */
#include <string.h>

#include "graph/build.h"
#include "graph/memory_plan.h"

typedef struct blocks {
    tl_build *b;
    tl_memory_plan m;
    uint32_t *last;  /* instruction that uses a root's block last */
    uint32_t *block; /* taken for a root: its number + 1; 0: not yet, or no more */
    int64_t *start;  /* its offset in the arena */
} blocks;

static uint32_t root_of(const tl_draft *d, uint32_t k) { return d->in.ref[k].base == TL_BASE_ARENA ? d->root[k] : 0; }

static void find_last_uses(blocks *w)
{
    const tl_build *b = w->b;
    const tl_tape *t = b->tape;
    for (uint32_t k = 0; k < b->n_draft; k++)
        for (uint32_t j = 0; j <= b->draft[k].in.n_in; j++) {
            const uint32_t root = root_of(&b->draft[k], j);
            if (TL_LEGAL(ALIVE_USES, false) && w->last[root] && j) continue;
            w->last[root] = k;
        }
    for (uint32_t i = 0; i < t->n_output; i++)
        if (!TL_LEGAL(ALIVE_OUTPUT, !tl_in_arena(b, t->output[i].id)))
            w->last[b->home[t->output[i].id].root] = UINT32_MAX;
    for (uint32_t i = 0; i < t->n_next; i++)
        if (!TL_LEGAL(ALIVE_STATE, !tl_in_arena(b, t->next[i].id))) w->last[b->home[t->next[i].id].root] = UINT32_MAX;
}

/* Do two arrays of an instruction take up the same elements, each at the same index? */
static bool same_elements(const tl_draft *d, uint32_t j, uint32_t k)
{
    const tl_desc *p = &d->in.desc[j], *q = &d->in.desc[k];
    bool same = d->in.ref[j].offset == d->in.ref[k].offset && p->rank == q->rank &&
                tl_dtype_size(p->dtype) == tl_dtype_size(q->dtype);
    for (int a = 0; same && a < p->rank; a++) same = p->dim[a] == q->dim[a] && p->stride[a] == q->stride[a];
    return same;
}

static bool writes(const tl_draft *d, uint32_t k) { return d->in.fused ? k && d->in.fused->use[k - 1].written : !k; }

/* Does this kernel read element i of operand j last when it writes element i? An elementwise one does; a product starts
 * each element from C0, and reads that before it writes. */
static bool reads_first(const struct tl_op *op, uint32_t j)
{
    return op->cls == TL_ELEMENTWISE || (op->role == TL_ROLE_PRODUCT && j == 3);
}

/* May what stands at k be written over operand j, which lies in a block that dies here, when k takes over the block? */
static bool may_overwrite(const tl_draft *d, uint32_t k, uint32_t j)
{
    const tl_fused *f = d->in.fused;
    if (!f) return TL_LEGAL(OVER_CLASS, reads_first(d->in.op, j)) && TL_LEGAL(OVER_SAME, same_elements(d, k, j));
    const tl_use *out = &f->use[k - 1], *in = &f->use[j - 1];
    const bool last = in->last == out->first && f->member[in->last].op->cls == TL_ELEMENTWISE && same_elements(d, k, j);
    return !in->written && TL_LEGAL(OVER_STEP, in->step == out->step) && TL_LEGAL(OVER_ROWS, out->step) &&
           d->in.ref[k].offset == d->in.ref[j].offset && TL_LEGAL(OVER_LATER, in->last < out->first || last);
}

/* The root whose block what stands at k may take over: it dies here, and all that is read of it is read row by row
 * before it is written over; or 0. */
static uint32_t dying_operand(const blocks *w, uint32_t n, uint32_t k)
{
    const tl_draft *d = &w->b->draft[n];
    const tl_node *node = w->b->tape->node;
    for (uint32_t j = 0; j <= d->in.n_in; j++)
        if (j != k && root_of(d, j) == d->root[k] && writes(d, j)) return 0; /* written to piece by piece */
    for (uint32_t j = 1; j <= d->in.n_in; j++) {
        const uint32_t root = root_of(d, j);
        if (!root || !TL_LEGAL(OVER_DIES, w->last[root] == n) || !w->block[root] || root == d->root[k]) continue;
        if (!TL_LEGAL(OVER_SIZE, tl_bytes_of(&node[root].shape) == tl_bytes_of(&node[d->root[k]].shape))) continue;
        bool safe = true;
        for (uint32_t m = 1; safe && m <= d->in.n_in; m++) safe = root_of(d, m) != root || may_overwrite(d, k, m);
        if (safe) return root;
    }
    return 0;
}

static void take(blocks *w, uint32_t n)
{
    const tl_draft *d = &w->b->draft[n];
    for (uint32_t k = 0; k <= d->in.n_in; k++) {
        const uint32_t root = root_of(d, k);
        if (!root || w->block[root] || !writes(d, k)) continue;
        const uint32_t from = dying_operand(w, n, k);
        w->block[root] = from ? w->block[from] : tl_memory_take(&w->m, tl_bytes_of(&w->b->tape->node[root].shape)) + 1;
        if (from) w->block[from] = 0;
        w->start[root] = tl_memory_offset(&w->m, w->block[root] - 1);
    }
}

static void give_back(blocks *w, uint32_t k)
{
    const tl_draft *d = &w->b->draft[k];
    for (uint32_t j = 0; j <= d->in.n_in; j++) {
        const uint32_t root = root_of(d, j);
        if (!root || w->last[root] != k || !w->block[root]) continue;
        tl_memory_give(&w->m, w->block[root] - 1);
        w->block[root] = 0;
    }
}

/* Walks the instructions, taking a block where it is first written to and giving it back after its last use. */
static void walk(blocks *w)
{
    tl_build *b = w->b;
    find_last_uses(w);
    for (uint32_t k = 0; k < b->n_draft && !b->failed; k++) {
        take(w, k);
        if (b->draft[k].work) {
            const uint32_t room = tl_memory_take(&w->m, b->draft[k].work);
            if (!w->m.failed) b->draft[k].in.work = tl_memory_offset(&w->m, room);
            tl_memory_give(&w->m, room);
        }
        give_back(w, k);
        b->failed |= w->m.failed;
    }
    b->plan->arena_bytes = w->m.size;
}

/* Turns "block of root + offset" into arena offsets. */
static void settle(const blocks *w)
{
    const tl_build *b = w->b;
    for (uint32_t i = 1; i < b->n; i++)
        if (b->live[i] && tl_in_arena(b, i)) b->home[i].ref.offset += w->start[b->home[i].root];
    for (uint32_t k = 0; k < b->n_draft; k++) {
        tl_ref *ref = (tl_ref *)(uintptr_t)b->draft[k].in.ref;
        for (uint32_t j = 0; j <= b->draft[k].in.n_in; j++) ref[j].offset += w->start[root_of(&b->draft[k], j)];
    }
}

void tl_assign(tl_build *b)
{
    blocks w = { .b = b };
    w.last = tl_build_scratch(b, b->n * sizeof *w.last);
    w.block = tl_build_scratch(b, b->n * sizeof *w.block);
    w.start = tl_build_scratch(b, b->n * sizeof *w.start);
    if (!b->failed) walk(&w);
    if (!b->failed) settle(&w);
    tl_memory_plan_free(&w.m);
}
