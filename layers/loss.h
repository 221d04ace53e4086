/* layers/loss.h - what a loss is: a row of the table in loss_formulas.c. All else is the same for all: loss.c. Private
 * to layers/. */
#ifndef TL_LAYERS_LOSS_H
#define TL_LAYERS_LOSS_H

#include "layers/common.h"

/* What a formula gives: a number for each element, of which a row's loss is the mean or the sum; or one for each row of
 * the last axis. */
typedef enum tl__loss_form { TL__MEAN_OF_ELEMENTS, TL__SUM_OF_ELEMENTS, TL__OF_ROWS } tl__loss_form;

/* Options that are for some losses alone. */
enum {
    TL__PROBABILITIES = 1 << 0,
    TL__SMOOTHING = 1 << 1,
    TL__CLASSES = 1 << 2, /* class weights, a class that is ignored */
    TL__POS_WEIGHT = 1 << 3,
    TL__DELTA = 1 << 4,
    TL__BETA = 1 << 5,
    TL__MARGIN = 1 << 6,
    TL__EPSILON = 1 << 7,
    TL__LOG_INPUT = 1 << 8,
    TL__LOG_TARGET = 1 << 9,
    TL__FULL = 1 << 10,
};

enum { TL__MOST_OPERANDS = 3 };

typedef struct tl__loss {
    tl_loss_opts o;                 /* with numbers in place of defaults and TL_ZERO; .ignore INT64_MAX: none */
    tl_tensor x[TL__MOST_OPERANDS]; /* id 0 or the number 1 in the padding: all formulas are finite there, and so are
                                       their derivatives by weights */
    tl_tensor class_weights;        /* the formula's result: how much each row counts; may be absent */
} tl__loss;

typedef struct tl__loss_row {
    const char *name;
    tl_tensor (*formula)(tl__loss *l);
    tl__loss_form form;
    unsigned options;
    double epsilon, margin;                 /* defaults */
    const char *operand[TL__MOST_OPERANDS]; /* their names */
    int target;                             /* which of them is the target: the second (0), the third (2) */
    bool classes;                           /* the target may be ids */
    bool signs;                             /* the target has a number for each row */
    bool maximised;                         /* the loss is minus the formula */
} tl__loss_row;

/* NULL if there is none of that kind. */
const tl__loss_row *tl__loss_of(tl_loss kind);

#endif
