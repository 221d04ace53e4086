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
    int param; /* the first one in it */
    int group; /* of all in it; 0: none */
} tl_span;

struct tl_sums; /* optim/optimizer.h */

/* What the last run has left gradients in, span by span; zeros may be left out. */
typedef struct tl_spans {
    const tl_session *session;
    const tl_model *model;
    const tl_range *range, *end;
    int param;
    bool used_rows; /* of tables, only the rows that were used: the others' gradients are zero */
    bool no_frozen;
    bool each;                  /* every parameter is a span of its own */
    const unsigned char *group; /* of every parameter, or NULL */
    const struct tl_sums *sums; /* who knows which rows were used, if it is not the session */
} tl_spans;
enum { TL_FROZEN_GROUP = 255 };
bool tl_next_span(tl_spans *w, tl_span *out); /* false: there are no more */

/* Numbers of an update, which the loops round to the model's type: what a rule's loop makes of them stands there. */
#define TL_NUMBERS(X)                                                                                                  \
    X(scale)                                                                                                           \
    X(l2)                                                                                                              \
    X(decay) /* g = scale gradient + l2 w;  w -= decay w */                                                            \
    X(rate)                                                                                                            \
    X(momentum)                                                                                                        \
    X(gain)                                                                                                            \
    X(step)                                                                                                            \
    X(reach)                                                                                                           \
    X(rho)                                                                                                             \
    X(rest_rho)                                                                                                        \
    X(beta1)                                                                                                           \
    X(rest1)                                                                                                           \
    X(beta2)                                                                                                           \
    X(rest2)                                                                                                           \
    X(inside) /* epsilon in the root, and outside of it */                                                             \
    X(outside)                                                                                                         \
    X(adapt)                                                                                                           \
    X(keep)                                                                                                            \
    X(mix)                                                                                                             \
    X(l1)                                                                                                              \
    X(ridge)                                                                                                           \
    X(shrinkage)                                                                                                       \
    X(power)                                                                                                           \
    X(less)                                                                                                            \
    X(more)                                                                                                            \
    X(least)                                                                                                           \
    X(most)

#define TL_NUMBER(name) double name;
typedef struct tl_numbers {
    TL_NUMBERS(TL_NUMBER)
} tl_numbers;

enum { TL_RULE_SLOTS = 3 }; /* arrays that a rule keeps, at most */

/* An update, with its flat arrays: parameters, gradients, the rule's own. */
typedef struct tl_update {
    tl_numbers number;
    void *w;
    const void *g;
    void *slot[TL_RULE_SLOTS];
} tl_update;
typedef void (*tl_update_loop)(const tl_update *u, const tl_span *s);

/* One loop a rule; where a rule has variants they stand in the order none, 1, 2, 3. */
typedef enum tl_loop {
    TL_LOOP_SGD,                        /* 1: momentum, 2: Nesterov's */
    TL_LOOP_RMSPROP = TL_LOOP_SGD + 3,  /* + 1: momentum, + 2: centered */
    TL_LOOP_ADAM = TL_LOOP_RMSPROP + 4, /* 1: AMSGrad */
    TL_LOOP_NADAM = TL_LOOP_ADAM + 2,   /* RAdam too */
    TL_LOOP_ADAMAX,
    TL_LOOP_ADAGRAD,
    TL_LOOP_ADADELTA,
    TL_LOOP_LION,
    TL_LOOP_FTRL,
    TL_LOOP_ASGD,
    TL_LOOP_RPROP,
    TL_LOOPS
} tl_loop;

enum { TL_NORM_LANES = 16 };

/* A norm's sums, or its largest; element i is in lane i mod 16. */
typedef void (*tl_norm_loop)(double lane[TL_NORM_LANES], const void *g, const tl_span *s);

typedef struct tl_loops {
    tl_update_loop rule[TL_LOOPS];
    void (*scale)(void *g, const tl_span *s, double factor);
    void (*clamp)(void *g, const tl_span *s, double limit);
    void (*add)(void *sum, const void *g, const tl_span *s, double factor); /* sum += factor g */
    void (*mix)(void *a, const void *w, const tl_span *s, double old);      /* a = old a + (1 - old) w */
    tl_norm_loop squares, absolutes, largest;
} tl_loops;
const tl_loops *tl_loops_for(int isa, tl_dtype dtype); /* isa: tl_isa(), or one below */

/* Gradients, and all the spans that they are in. */
typedef struct tl_gradients {
    void *g;
    const tl_loops *loops;
    tl_spans spans;
} tl_gradients;

void tl_gradients_clamp(tl_gradients a, double limit);
void tl_gradients_scale(tl_gradients a, double factor);
double tl_gradients_norm(tl_gradients a);
double tl_clip_factor(tl_style style, double norm, double max); /* 1 where nothing is to be done */
tl_status tl_gradients_clip_each(tl_gradients a, double max);

#endif
