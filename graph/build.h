/* graph/build.h - a plan while it is being built. Private to graph/: place.c says where each value lies, plan.c makes
 * instructions, fuse.c puts runs of them together, assign.c gives them memory. */
#ifndef TL_BUILD_H
#define TL_BUILD_H

#include "graph/tape.h"

typedef struct tl_home { /* where a node's value lies */
    tl_ref ref;          /* for results: base ARENA, offset within its root's block */
    uint32_t root;       /* the node whose arena block it shares; 0: not in the arena */
    tl_layout layout;
    const tl_kept *kept; /* the kept value that it is, or lies in */
} tl_home;

typedef struct tl_draft { /* an instruction, before its operands have addresses */
    tl_instr in;
    uint32_t node;  /* whose value it makes (copies) */
    uint32_t *root; /* of out and operands: offsets are relative to its block; 0: the reference is final */
    size_t work;    /* bytes */
} tl_draft;

typedef struct tl_build {
    tl_tape *tape;
    tl_plan *plan;
    tl_arena scratch; /* gone when the plan is built */
    uint32_t n;       /* nodes */
    bool *live;
    tl_home *home;
    uint32_t *user, *first_user; /* users of node i, with their operand's number: user[2 j], user[2 j + 1] */
    bool *whole;                 /* is node i's value read outside of kernels, where it must be dense? */
    uint32_t *stack, *slot;      /* of a value that is made in its place in a concatenation: which one, which operand */
    tl_draft *draft;
    uint32_t n_draft, cap_draft;
    uint32_t *place_node; /* of each place that an instruction may name: the node */
    uint32_t n_place, cap_place_node;
    tl_ref *output_ref; /* where each output is read */
    tl_table descs;
    tl_notes notes;
    bool *lasting; /* keep.c, as are the next two: nodes that can live with the model; NULL: none do */
    tl_table kept; /* the model's values by content */
    bool adds;     /* has this compile added one? */
    bool failed;
} tl_build;

/* Does node id's value lie in the arena (and not where a parameter, input or gradient lies)? */
static inline bool tl_in_arena(const tl_build *b, uint32_t id)
{
    return id && b->home[id].root && b->home[id].ref.base == TL_BASE_ARENA;
}

void *tl_build_scratch(tl_build *b, size_t n); /* zeroed; NULL (and b->failed) if memory is short */
void *tl_build_keep(tl_build *b, size_t n);    /* the same, in the plan's memory */

/* What was done at node i, or left as it was: see tl_rewrite_note() in passes.h. */
#define tl_build_note(b, pass, i, left, text, ...)                                                                     \
    tl_note_node(&(b)->notes, pass, &(b)->tape->node[i], left, NULL, text, (int64_t[TL_NOTE_NUMBERS]){ __VA_ARGS__ })

/* Descriptions repeat at every time step: one copy of each serves all. */
const tl_desc *tl_build_descs(tl_build *b, const tl_desc *d, uint32_t n);

/* Says where every live value lies. */
void tl_place_all(tl_build *b);
/* Where operand k of concatenation c lies in it; begin: its first element along the axis. False: not in even rows. */
bool tl_place_in_stack(const tl_build *b, uint32_t c, uint32_t k, int64_t begin, tl_home *out);

/* Where node i, a part of its operand, lies in that. */
bool tl_place_part(const tl_build *b, uint32_t i, tl_home *out);
/* Is operand k of concatenation c made in its place there? */
bool tl_made_there(const tl_build *b, uint32_t c, uint32_t k);

/* Is node i an instruction's result (and no leaf or view)? */
static inline bool tl_is_result(const tl_build *b, uint32_t i) { return b->home[i].root == i; }

/* What lives with the model (keep.c). First: which nodes can; then, for each in order: does it, or lie in what lasts?
 * Then its home is set. */
void tl_find_lasting(tl_build *b);
bool tl_place_kept(tl_build *b, uint32_t i);

/* Puts runs of elementwise and row-wise instructions together. */
void tl_fuse(tl_build *b);

/* Gives every value its place in the arena, by lifetime, and writes the places into the instructions. b->failed:
 * memory. */
void tl_assign(tl_build *b);

/* check_plan.c: proves the finished plan right; else b->failed, and the tape says which instruction is wrong. Asked for by
 * the environment: TL_CHECK=1. */
bool tl_checks_plans(void);
void tl_check_plan(tl_build *b);

#endif
