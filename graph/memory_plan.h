/* graph/memory_plan.h - offsets in one arena for values that come and go. Private to graph/. */
#ifndef TL_MEMORY_PLAN_H
#define TL_MEMORY_PLAN_H

#include "graph/tape.h"

#define TL_NO_PIECE UINT32_MAX

/* A piece of the arena. Pieces are chained in order of offset and cover it without gaps; two free ones never touch. */
typedef struct tl_piece {
    int64_t offset, size;
    uint32_t next, prev; /* neighbours, TL_NO_PIECE at the ends; next also chains numbers that are not in use */
    uint32_t at;         /* its place in the list of free pieces; TL_NO_PIECE: it is taken */
} tl_piece;

/* All zero is an empty arena. */
typedef struct tl_memory_plan {
    tl_piece *piece;
    uint32_t n, cap;
    uint32_t *free; /* the free pieces, in no order */
    uint32_t n_free, cap_free;
    uint32_t spare; /* first number that is not in use, + 1 */
    uint32_t last;  /* piece at the end, + 1 */
    size_t size;    /* of the arena so far: the most that was ever needed */
    bool failed;    /* memory was short */
} tl_memory_plan;

/* Takes at least `bytes` at a multiple of 64, the best fit; returns the piece's number (any, if m->failed). */
uint32_t tl_memory_take(tl_memory_plan *m, size_t bytes);
void tl_memory_give(tl_memory_plan *m, uint32_t piece);
int64_t tl_memory_offset(const tl_memory_plan *m, uint32_t piece);
void tl_memory_plan_free(tl_memory_plan *m);

#endif
