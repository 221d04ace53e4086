/* graph/look.h - what all that looks at plans shares: the walk over kernels' calls, their work, words. Private to graph/:
 * census.c counts, explain.c tells, profile.c measures, dump.c and plan_dot.c draw. */
#ifndef TL_LOOK_H
#define TL_LOOK_H

#include "graph/tape.h"

/* ---- census.c: the calls of kernels that a run of a plan makes -------------------------------------------------------- */

/* One call: an instruction, or a member of a fused one (which makes it for each tile; all tiles count as one call). */
typedef struct tl_kernel_call {
    const tl_instr *in;
    const tl_member *member; /* NULL: not fused */
    uint32_t instr, next;    /* number of the instruction; of the member that comes next, 0 at the end */
    const struct tl_op *op;
    const void *attr;
    uint32_t n_in;
    const tl_plan_place *place;
} tl_kernel_call;

/* All calls in order: for (tl_kernel_call c = { 0 }; tl_next_call(plan, &c);) */
bool tl_next_call(const tl_plan *p, tl_kernel_call *c);
/* The same, begun at instruction k. */
tl_kernel_call tl_calls_of(const tl_plan *p, uint32_t k);

/* Out (k = 0) or an operand, all rows of it: how it lies, and where. Base TL_BASE_NONE: it is absent (dtype 0), or lives in
 * tiles. */
tl_ref tl_call_operand(const tl_kernel_call *c, uint32_t k, tl_desc *desc);

double tl_call_flops(const tl_kernel_call *c); /* of a matrix product, 2 m n k; else 0 */
/* Read and written; of rows picked by index those that are picked; of what a fused instruction uses several times, or makes in
 * tiles only, no more than memory sees. */
int64_t tl_call_bytes(const tl_kernel_call *c);
bool tl_call_is_copy(const tl_kernel_call *c);                 /* does it merely move numbers? */
bool tl_call_transposes(const tl_kernel_call *c, int operand); /* a product its operand 0 or 1 */

/* What a call does and where, as a number: op, shapes, line of source, scope. The same of all calls of instruction k. */
uint64_t tl_call_key(const tl_kernel_call *c);
uint64_t tl_instr_key(const tl_plan *p, uint32_t k);

/* The bytes of an operand, run after run of what lies together: for (tl_run_of_bytes r = { 0 }; tl_next_run(&r, ref, d);) */
typedef struct tl_run_of_bytes {
    int64_t begin, end; /* from the base */
    int64_t together, at[TL_MAX_RANK];
    int outer;
    bool begun;
} tl_run_of_bytes;
bool tl_next_run(tl_run_of_bytes *r, tl_ref ref, const tl_desc *d);

/* Counts what t was asked for before any pass saw it; false: memory. */
bool tl_count_written(const tl_tape *t, tl_plan *p);

/* The most bytes of the arena that hold a value still needed, over all instructions: no order of theirs being changed, an arena
 * cannot be smaller. SIZE_MAX: memory is short. */
size_t tl_live_peak(const tl_plan *p);

/* ---- explain.c ------------------------------------------------------------------------------------------------------- */

/* 1234567 of "B" is "1.23 MB". */
const char *tl_amount(char out[static 32], double x, const char *unit);

/* ---- dump.c ---------------------------------------------------------------------------------------------------------- */

void tl_dims_text(tl_text *out, const tl_desc *d);              /* "[32,64]" */
void tl_instr_text(tl_text *out, const tl_plan *p, uint32_t k); /* "matmul [32,256] <- [32,64] [64,256]T" */
const tl_param_info *tl_param_at(const tl_plan *p, tl_ref ref); /* whose value or gradient lies there; NULL: nobody's */

/* s inside the double quotes of DOT. */
void tl_dot_escape(char *out, size_t size, const char *s, size_t n);

#endif
