/* graph/check.h - what the parts of the op suite share: check_op.c (cases, plans, types, memory), check_kernel.c and
 * check_gradient.c. Private to graph/. */
#ifndef TL_CHECK_H
#define TL_CHECK_H

#include "graph/trial.h"

typedef struct tl_check {
    const struct tl_op *op;
    int number; /* of the case; -1: none */
    tl_trial trial;
    double *a, *b; /* room for any vector of the trial */
    size_t room;   /* bytes of each */
    tl_check_op_result *result;
} tl_check;

extern const char *const tl_level_name[]; /* "the result", "the gradient", ... */

/* Counts a check, and keeps the first that fails in words. Returns good. */
bool tl_verdict(tl_check *c, bool good, const char *format, ...) TL_PRINTF(3, 4);
bool tl_opens(tl_check *c, tl_rig *r, tl_dtype dtype, int level); /* the verdict on tl_rig_open() */
int64_t tl_read_all(tl_array a, double *out);                     /* how many there are */
double tl_largest(const double *v, int64_t n);                    /* size of the largest */

/* Is the kernel's contract kept? */
bool tl_check_kernel(tl_check *c, tl_dtype dtype);
/* The gradient (levels 1), and the gradient of the gradient (levels 2). */
void tl_check_gradients(tl_check *c, int levels);
/* Declared to have none: then it is zero and no less. Neither declared nor given: then it is an error. */
void tl_check_no_gradient(tl_check *c);

#endif
