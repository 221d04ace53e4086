/* bench/workloads.h - what is measured: one table of models with their inputs, sizes and floating-point work. */
#ifndef WORKLOADS_H
#define WORKLOADS_H

#include "tapeloop.h"

enum { MAX_INPUTS = 4, MAX_PRODUCTS = 6 };

/* TRAIN: forward, backward, clipping, update by a trainer. RUN: a plan of the outputs that the model function marks.
 * COMPILE: recording, gradient and compilation, with nothing run. */
typedef enum kind { TRAIN, RUN, COMPILE } kind;

/* One input: its shape, and how random numbers (or others) between lo and hi come into it. */
typedef struct input {
    tl_dtype dtype;
    int rank;
    int64_t dim[TL_MAX_RANK];
    void (*fill)(const struct input *in, uint64_t *random, void *data);
    double lo, hi;
} input;

/* Matrix products of the model as it is written: `rows` rows in all, [rows, in] x [in, out]. passes: 1 forward only, 2
 * forward and the weights' gradient (inputs that are data), 3 the inputs' gradient too. */
typedef struct product {
    int64_t rows, in, out;
    int passes;
} product;

typedef struct workload {
    const char *name, *about;
    kind kind;
    tl_model_fn model; /* its user pointer is this struct */
    tl_cell (*cell)(tl_scope *s);
    tl_optimizer_desc optimizer;
    double clip;        /* 0: none */
    int64_t tokens;     /* of a step; 0: none to speak of */
    int64_t parameters; /* how many numbers the model learns */
    input inputs[MAX_INPUTS];
    product products[MAX_PRODUCTS];
} workload;

extern const workload workloads[];
extern const int n_workloads;

int64_t input_size(const input *in);      /* elements */
double workload_flops(const workload *w); /* of the products of a step */

#endif
