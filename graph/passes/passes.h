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
    uint32_t *map;   /* node of from -> node of to that has its value; 0: none yet */
    bool *live;      /* of each node of from: does anything that is asked for need it? A pass leaves the others out */
    bool share;      /* is "cse" on: may nodes be merged? */
    bool simplify;   /* is "simplify" on? */
    tl_table known;  /* nodes of to by what they compute */
    tl_table begins; /* simplify.c's: where the members of concatenations begin */
    const struct tl_pass *pass;
    tl_notes *notes;
} tl_rewrite;

typedef struct tl_pass {
    const char *name;
    bool (*run)(tl_rewrite *w); /* fills `to` and `map`; false: memory is short. NULL: it works on the plan */
} tl_pass;

/* Is a pass switched on? */
bool tl_pass_on(const char *name);

/* Tells the user what the pass did at node n of from (NULL: to the whole tape), and tl_rewrite_left what it left there as it
 * was, and why. text: a literal, in which each # stands for one of one to three whole numbers and the word after it is in the
 * plural ("# products of # rows in all became #"). What is said again of the same line of source adds up, so say it of each
 * group or node; it costs a look into a table. The _of forms name what it was done to: the path of a parameter, or NULL. */
#define tl_rewrite_note(w, n, text, ...) TL_REWRITE_TELL(w, n, false, NULL, text, __VA_ARGS__)
#define tl_rewrite_left(w, n, text, ...) TL_REWRITE_TELL(w, n, true, NULL, text, __VA_ARGS__)
#define tl_rewrite_note_of(w, n, subject, text, ...) TL_REWRITE_TELL(w, n, false, subject, text, __VA_ARGS__)
#define tl_rewrite_left_of(w, n, subject, text, ...) TL_REWRITE_TELL(w, n, true, subject, text, __VA_ARGS__)
#define TL_REWRITE_TELL(w, n, left, subject, text, ...)                                                                \
    tl_note_node((w)->notes, (w)->pass->name, n, left, subject, text, (int64_t[TL_NOTE_NUMBERS]){ __VA_ARGS__ })

/* The path of the parameter that node id is; NULL: it is another thing. */
const char *tl_param_path(const tl_tape *t, uint32_t id);
/* Is its value a function of operation, attributes, operands (and the run's number) alone? Not so: taps, which are
 * calls, and a user's opaque operations, of which nothing is assumed. */
bool tl_is_pure(const tl_node *n);

/* What is recorded in t, after all passes that are switched on: another tape, to be freed with tl_tape_free(), or t itself.
 * NULL: memory was short (t's error). notes: what passes tell goes there. Environment TL_PASSES: "-all" switches all of them
 * off, "-cse" that one; "+cse" on again, in order, with commas between. */
tl_tape *tl_optimised(tl_tape *t, tl_notes *notes);

/* The passes, in order; NULL after the last. */
const tl_pass *tl_pass_at(int i);

/* A node like n (its op, attributes, shape, place and number of operands) on these operands of `to`, or one that computes the
 * same; 0: memory is short. */
uint32_t tl_rewrite_emit(tl_rewrite *w, const tl_node *n, const uint32_t *in);

/* A node of `to` of the op of this role, likewise; like: for place and scope. */
uint32_t tl_rewrite_new(tl_rewrite *w, const tl_node *like, tl_op_role role, const void *attr, size_t attr_size,
                        const tl_shape *shape, const uint32_t *in, uint32_t n);

/* simplify.c: a node of `to` with the value of n on the operands in, made of simpler ones; 0: there is none. */
uint32_t tl_simplified(tl_rewrite *w, const tl_node *n, const uint32_t *in);

/* n nodes of `to`, whose shapes differ in their first dimension at most, one below the other: a view where they lie so already,
 * else a copy. like: for place and scope. */
uint32_t tl_rewrite_rows(tl_rewrite *w, const uint32_t *id, uint32_t n, const tl_node *like);

/* Copies node i of from, with its operands mapped, unless `to` has a node that computes the same (and may be shared). */
uint32_t tl_rewrite_node(tl_rewrite *w, uint32_t i);

/* How often each node of from is an operand; 2 more if it is asked for, so that 1 means: nothing else looks at it. NULL: memory. */
uint32_t *tl_rewrite_uses(tl_rewrite *w);

/* below[i]: which of groups base..base + 63 lead to node i of t, as bits; a member of one leads to itself. group[i]: of node i;
 * 0: none. below has room for all nodes. */
void tl_groups_below(const tl_tape *t, const uint32_t *group, uint32_t base, uint64_t *below);

/* The numbers of base (a node of `to`) from number `begin` on, as many as the shape has: a view. like: for place and scope. */
uint32_t tl_rewrite_part(tl_rewrite *w, uint32_t base, int64_t begin, const tl_shape *shape, const tl_node *like);

/* Copies all that is live. */
bool tl_rewrite_all(tl_rewrite *w);

#endif
