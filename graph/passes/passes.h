/* graph/passes/passes.h - from the tape that was recorded to one that computes the same bits with less. Private to graph/.
 *
 * A pass reads one tape and records another: the same outputs, states, gradients and taps, made by other nodes. It looks at
 * operations' classes and roles, at operands and shapes, and at nothing else. Its legality argument stands at the top of
 * its file. */
#ifndef TL_PASSES_H
#define TL_PASSES_H

#include "graph/tape.h"

/* A tape being rewritten into another. */
typedef struct tl_rewrite {
    tl_tape *from, *to;
    uint32_t *map;  /* node of from -> node of to that has its value; 0: none yet */
    bool share;     /* is "cse" on: may nodes be merged? */
    tl_table known; /* nodes of to by what they compute */
} tl_rewrite;

typedef struct tl_pass {
    const char *name;
    bool (*run)(tl_rewrite *w); /* fills `to` and `map`; false: memory is short. NULL: it works on the plan */
} tl_pass;

/* Is a pass switched on? */
bool tl_pass_on(const char *name);

/* What is recorded in t, after all passes that are switched on: another tape, to be freed with tl_tape_free(), or t itself.
 * NULL: memory was short (t's error). Environment TL_PASSES: "-all" switches all of them off, "-cse" that one; "+cse" on again,
 * in order, with commas between. */
tl_tape *tl_optimised(tl_tape *t);

/* The passes, in order; NULL after the last. */
const tl_pass *tl_pass_at(int i);

/* A node like n (its op, attributes, shape, place and number of operands) on these operands of `to`, or one that computes the
 * same; 0: memory is short. */
uint32_t tl_rewrite_emit(tl_rewrite *w, const tl_node *n, const uint32_t *in);

/* n nodes of `to`, whose shapes differ in their first dimension at most, one below the other: a view where they lie so already,
 * else a copy. like: for place and scope. */
uint32_t tl_rewrite_rows(tl_rewrite *w, const uint32_t *id, uint32_t n, const tl_node *like);

/* Copies node i of from, with its operands mapped, unless `to` has a node that computes the same (and may be shared). */
uint32_t tl_rewrite_node(tl_rewrite *w, uint32_t i);

#endif
