/* graph/assign.c - arena offsets by lifetime: a block is taken where a value is made and given back after its last
 * use. */
#include <string.h>

#include "graph/build.h"
#include "graph/memory_plan.h"

static void used(const tl_build *b, uint32_t id, uint32_t k, uint32_t *last)
{
    if (!tl_in_arena(b, id)) return;
    const uint32_t root = b->home[id].root;
    if (tl_planted_fault == TL_FAULT_EARLY_RELEASE && last[root]) return;
    last[root] = k;
}

static void find_last_uses(const tl_build *b, uint32_t *last)
{
    const tl_tape *t = b->tape;
    for (uint32_t k = 0; k < b->n_instr; k++) {
        const uint32_t i = b->node_of[k];
        used(b, i, k, last); /* written, or (by a copy) read */
        if (b->instr_of[i] != k + 1) continue;
        for (uint32_t j = 0; j < t->node[i].n_in; j++) used(b, tl_node_in(t, &t->node[i], j), k, last);
    }
    for (uint32_t i = 0; i < t->n_output; i++)
        if (tl_in_arena(b, t->output[i].id)) last[b->home[t->output[i].id].root] = UINT32_MAX;
    for (uint32_t i = 0; i < t->n_next; i++)
        if (tl_in_arena(b, t->next[i].id)) last[b->home[t->next[i].id].root] = UINT32_MAX;
}

/* The operand whose block an elementwise result may take over: it dies here and lies exactly as the result does. */
static uint32_t dying_operand(const tl_build *b, uint32_t i, uint32_t k, const uint32_t *last, const uint32_t *block)
{
    const tl_tape *t = b->tape;
    const tl_node *node = &t->node[i];
    if (node->op->cls != TL_ELEMENTWISE) return 0;
    for (uint32_t j = 0; j < node->n_in; j++) {
        const uint32_t id = tl_node_in(t, node, j), root = id ? b->home[id].root : 0;
        if (!tl_in_arena(b, id) || last[root] != k || !block[root]) continue;
        bool safe = true;
        for (uint32_t m = 0; safe && m < node->n_in;
             m++) { /* all that shares the block must be read where it is written */
            const uint32_t other = tl_node_in(t, node, m);
            if (!other || b->home[other].root != root) continue;
            safe = b->home[other].ref.offset == 0 &&
                   tl_bytes_of(&t->node[other].shape) == tl_bytes_of(&t->node[root].shape) &&
                   tl_shape_size(&t->node[other].shape) == tl_shape_size(&node->shape) &&
                   tl_dtype_size(t->node[other].shape.dtype) == tl_dtype_size(node->shape.dtype);
        }
        if (safe && tl_bytes_of(&t->node[root].shape) == tl_bytes_of(&node->shape)) return root;
    }
    return 0;
}

static void release_dead(const tl_build *b, uint32_t k, const uint32_t *last, tl_memory_plan *m, uint32_t *block)
{
    const tl_tape *t = b->tape;
    const uint32_t i = b->node_of[k];
    const tl_node *node = &t->node[i];
    for (uint32_t j = 0; j <= node->n_in; j++) {
        const uint32_t id = j < node->n_in ? tl_node_in(t, node, j) : i;
        const uint32_t root = tl_in_arena(b, id) ? b->home[id].root : 0;
        if (!root || last[root] != k || !block[root]) continue;
        tl_memory_give(m, block[root] - 1);
        block[root] = 0;
    }
}

/* Walks the instructions, taking a block where a value is made and giving it back after its last use. */
static void walk(tl_build *b, uint32_t *last, uint32_t *block, int64_t *start)
{
    tl_tape *t = b->tape;
    tl_memory_plan m = { 0 };
    find_last_uses(b, last);
    for (uint32_t k = 0; k < b->n_instr && !b->failed; k++) {
        const uint32_t i = b->node_of[k];
        const tl_node *node = &t->node[i];
        tl_instr *in = &b->instr[k];
        if (b->instr_of[i] == k + 1 && tl_in_arena(b, i) && b->home[i].root == i) {
            const uint32_t from = dying_operand(b, i, k, last, block);
            block[i] = from ? block[from] : tl_memory_take(&m, tl_bytes_of(&node->shape)) + 1;
            if (from) block[from] = 0;
            if (block[i]) start[i] = tl_memory_offset(&m, block[i] - 1);
        }
        const size_t work = in->op->work && b->instr_of[i] == k + 1
                                ? in->op->work(in->desc, in->desc + 1, (int)in->n_in, in->attr)
                                : 0;
        if (work) {
            const uint32_t w = tl_memory_take(&m, work);
            if (!m.failed) in->work = tl_memory_offset(&m, w);
            tl_memory_give(&m, w);
        }
        release_dead(b, k, last, &m, block);
        b->failed |= m.failed;
    }
    b->plan->arena_bytes = m.size;
    tl_memory_plan_free(&m);
}

/* Turns "block of root + offset" into arena offsets. */
static void settle(const tl_build *b, const int64_t *start)
{
    const tl_tape *t = b->tape;
    for (uint32_t i = 1; i < b->n; i++)
        if (b->live[i] && tl_in_arena(b, i)) b->home[i].ref.offset += start[b->home[i].root];
    for (uint32_t k = 0; k < b->n_instr; k++) {
        const uint32_t i = b->node_of[k];
        tl_ref *ref = (tl_ref *)(uintptr_t)b->instr[k].ref;
        const bool own = b->instr_of[i] == k + 1;
        if (!own) ref[1] = b->home[i].ref;
        if (own) ref[0] = b->home[i].ref;
        for (uint32_t j = 0; own && j < t->node[i].n_in; j++) {
            const uint32_t id = tl_node_in(t, &t->node[i], j);
            if (id) ref[1 + j] = b->home[id].ref;
        }
    }
}

void tl_assign(tl_build *b)
{
    uint32_t *last = tl_resize(NULL, 0, b->n * sizeof *last), *block = tl_resize(NULL, 0, b->n * sizeof *block);
    int64_t *start = tl_resize(NULL, 0, b->n * sizeof *start);
    if (last && block && start) {
        memset(last, 0, b->n * sizeof *last);
        memset(block, 0, b->n * sizeof *block);
        memset(start, 0, b->n * sizeof *start);
        walk(b, last, block, start);
        settle(b, start);
    } else {
        b->failed = true;
    }
    tl_resize(last, b->n * sizeof *last, 0);
    tl_resize(block, b->n * sizeof *block, 0);
    tl_resize(start, b->n * sizeof *start, 0);
}
