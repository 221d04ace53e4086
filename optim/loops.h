/* optim/loops.h - the loops over the flat arrays, compiled for each instruction set and element type, and where they
 * go. Private to optim/. */
#ifndef TL_LOOPS_H
#define TL_LOOPS_H

#include "optim/optim.h"

/* Rows of `size` elements of the flat arrays, row k from element at + row[k] size on; ascending. row NULL: the one row
 * at `at`. */
typedef struct tl_span {
    int64_t at, size, rows;
    const int32_t *row;
} tl_span;

/* What the last run has left gradients in, span by span; zeros may be left out. */
typedef struct tl_spans {
    const tl_session *session;
    const tl_model *model;
    const tl_range *range, *end;
    int param;
    bool used_rows; /* of tables, only the rows that were used: the others' gradients are zero */
    bool no_frozen;
} tl_spans;
bool tl_next_span(tl_spans *w, tl_span *out); /* false: there are no more */

/* Numbers of an update, and its flat arrays: parameters, gradients, moments. */
typedef struct tl_update {
    double rate, scale; /* learning rate with Adam's correction; the gradients are multiplied by scale first */
    double momentum, rho, beta1, beta2, epsilon;
    void *w;
    const void *g;
    void *m, *v;
} tl_update;
typedef void (*tl_update_loop)(const tl_update *u, const tl_span *s);

enum { TL_NORM_LANES = 16 };

typedef struct tl_loops {
    tl_update_loop sgd, sgd_momentum, sgd_nesterov, rmsprop, rmsprop_momentum, adam;
    void (*scale)(void *g, const tl_span *s, double factor);
    void (*clamp)(void *g, const tl_span *s, double limit);
    void (*squares)(double lane[TL_NORM_LANES], const void *g,
                    const tl_span *s); /* adds element i's to lane i mod 16 */
} tl_loops;
const tl_loops *tl_loops_for(int isa, tl_dtype dtype); /* isa: tl_isa(), or one below */

#endif
