/* graph/build.h - a plan while it is being built. Private to graph/: plan.c makes instructions, assign.c their
 * memory. */
#ifndef TL_BUILD_H
#define TL_BUILD_H

#include "graph/tape.h"

typedef struct tl_home { /* where a node's value lies */
    tl_ref ref;          /* for results: base ARENA, offset within its block */
    uint32_t root;       /* the node whose arena block it shares; 0: not in the arena */
    bool placed;
} tl_home;

typedef struct tl_build {
    tl_tape *tape;
    tl_plan *plan;
    uint32_t n; /* nodes */
    bool *live;
    tl_home *home;
    uint32_t *instr_of; /* node -> instruction + 1 */
    uint32_t *node_of;  /* instruction -> node (copies: the node copied) */
    tl_instr *instr;
    uint32_t n_instr, cap_instr, cap_node_of;
    tl_ref *output_ref; /* where each output is read */
    tl_table descs;
    bool failed;
} tl_build;

static inline size_t tl_bytes_of(const tl_shape *s) { return (size_t)tl_shape_size(s) * tl_dtype_size(s->dtype); }

/* Does node id's value lie in the arena (and not where a parameter, input or gradient lies)? */
static inline bool tl_in_arena(const tl_build *b, uint32_t id)
{
    return id && b->home[id].root && b->home[id].ref.base == TL_BASE_ARENA;
}

/* Gives every value its place in the arena, by lifetime, and writes the places into the instructions. b->failed:
 * memory. */
void tl_assign(tl_build *b);

#endif
