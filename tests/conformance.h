/* tests/conformance.h - replaying a case of reference values with the library.
 *
 * Each op of the fixtures has a row in the table of its family: the function that records it. That function asks for the case's
 * inputs, says which part of which of the vendor's parameters each of ours is, calls the library and hands over the results by
 * name. The loss, gradients, running and comparing are the same for all: conformance_replay.c. */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

#include <tapeloop.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture_reader.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

typedef struct replay replay;
struct vendor_cell; /* conformance_cells.h */

typedef struct op_row {
    const char *op; /* a shell pattern: "ew_exp", "keras_act_*" */
    void (*record)(replay *r);
    tl_activation f1;                          /* what the families of functions of one tensor call */
    tl_tensor (*f2)(tl_tensor a, tl_tensor b); /* of two */
    const struct vendor_cell *cell;            /* of recurrent layers */
    tl_loss loss;
} op_row;

/* The families, each ended by a row of zeros. */
extern const op_row function_rows[], tensor_rows[], layer_rows[], attention_rows[], torch_rows[], keras_rows[],
    custom_rows[], metric_rows[], loss_rows[], optim_rows[], fit_rows[], e2e_rows[];

struct replay {
    const fx_case *c;
    const op_row *row;
    tl_scope *s;      /* the root */
    int pass, passes; /* of several runs with one session's states; record() may set passes (1) in the first */
    struct run *run;  /* conformance_replay.c's own */
};

/* ---- what record functions call ----------------------------------------------------------------------------------- */

bool has(const replay *r, const char *role, const char *name);
const char *name_of(const replay *r, const char *role, int k); /* tensor k of that role, from 0; "" if there is none */
int64_t dim_of(const replay *r, const char *role, const char *name,
               int axis); /* 1 where there is none; -1 is the last */

/* The case's input of that name (whole numbers as i32); TL_NONE if there is none. Gradients are compared with "gin". */
tl_tensor input(replay *r, const char *name);

/* A result: compared with "out" or "exp" of that name. Where it has a cotangent, sum(y cot) joins the loss. */
void output(replay *r, const char *name, tl_tensor y);
void add_loss(replay *r, tl_tensor loss); /* for losses that are no such sum */

/* For what is no operation of the tape: the case's tensor as an array (whole numbers as i32; rank -1 if there is none), which
 * lives as long as the replay; and n numbers that are compared with the case's tensor at once. */
tl_array numbers(replay *r, const char *role, const char *name);
void expect(replay *r, const char *role, const char *name, const double *got, int64_t n);
int rank_of(const replay *r, const char *role, const char *name); /* -1 if there is none */

/* For whole trainings: a copy of the model with the parameters that param() has set so far, to be freed with
 * tl_model_free(); and the same parameters of a trained one, which are compared with "exp". */
tl_model *start_model(replay *r);
void expect_params(replay *r, const tl_model *model);
tl_dtype replay_type(const replay *r);

/* Part k of n of a vendor's tensor along an axis (n = 0: the whole), or its transpose, or its numbers in the shape given. */
enum { FLAT = -1, LAST = -2 }; /* as an axis: all numbers in a row; the last axis */
typedef struct part {
    int k, n, axis;
    bool transposed;
    int rank;
    int64_t dim[TL_MAX_RANK];
} part;

/* The model's parameter `path` starts as that part of the vendor's parameter, and so its gradient is compared with that part of
 * "gpar". Nothing is done where the case has no parameter of that name. To be called before the path is asked for. */
void param(replay *r, const char *path, const char *name, part p);

/* State `path` of the model (tl_model_state) starts as the case's tensor. */
void model_state(replay *r, const char *path, const char *role, const char *name);

/* The whole parameter `name` as a tensor of the root, for formulas that are no layer's; TL_NONE if there is none. */
tl_tensor weight(replay *r, const char *name);

/* An error of the case, shown with it. */
void fail(replay *r, const char *format, ...) TL_PRINTF(2, 3);

/* As printf; lives as long as the replay. */
const char *text(replay *r, const char *format, ...) TL_PRINTF(2, 3);

tl_tensor swapped(tl_tensor x); /* [B, T, ...] <-> [T, B, ...]; TL_NONE stays so */

/* An activation that an attribute names as Keras does; NULL if there is no such attribute. */
tl_activation activation_of(replay *r, const char *key);

/* ---- what the program calls ---------------------------------------------------------------------------------------- */

typedef struct tolerance {
    double rtol, atol;
    bool
        of_largest; /* for gradients, rtol is of the tensor's largest expected number, not of each, and atol of the case's
                        largest gradient, if that is above 1 */
} tolerance;

typedef struct verdict {
    double worst;   /* error, in units of what is allowed */
    char why[2000]; /* "" if the case has passed */
} verdict;

verdict replay_case(const fx_case *c, const op_row *row, tl_dtype dtype, tolerance allowed);

#endif
