/* ops/maximum.c - maximum: y = max(a, b);   minimum: y = min(a, b);   NaN if either is.
 * Ties share the gradient: da = g ((a > b) + (a >= b)) / 2, with < for the minimum. */
#include "ops/define.h"
#ifdef TL_REAL

BINARY_KERNEL(maximum, ((a > b) | (a != a)) ? a : b)
BINARY_KERNEL(minimum, ((a < b) | (a != a)) ? a : b)

#else

static tl_tensor shared(const tl_vjp *v, int i, tl_tensor first, tl_tensor other)
{
    const tl_tensor share = tl_scale(tl_add(tl_greater(first, other), tl_greater_equal(first, other)), 0.5);
    return tl_unbroadcast(tl_mul(v->g, share), v->in[i]);
}

static tl_tensor maximum_vjp(const tl_vjp *v, int i) { return shared(v, i, v->in[i], v->in[!i]); }
static tl_tensor minimum_vjp(const tl_vjp *v, int i) { return shared(v, i, v->in[!i], v->in[i]); }

#define EXTREME_CASES                                                                                                  \
    TL_CASES({ 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3) } }, { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(3) } },    \
             { 2, { TL_CASE_SHAPE(2, 1, 4), TL_CASE_SHAPE(3, 1) } }, { 2, { TL_CASE_SCALAR, TL_CASE_SHAPE(2, 2) } },   \
             { 2, { TL_CASE_SHAPE(0), TL_CASE_SHAPE(1) } },                                                            \
             { 2, { TL_CASE_SHAPE(4), TL_CASE_SHAPE(5) }, .rejects = true })

TL_BINARY(maximum, maximum_vjp, EXTREME_CASES)
TL_BINARY(minimum, minimum_vjp, EXTREME_CASES)

#endif
