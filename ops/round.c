/* ops/round.c - floor: down, ceil: up, round: to the nearest whole number, halves to the even one;  dx = 0 */
#include "ops/define.h"
#ifdef TL_REAL

#define real_floor(x) (sizeof(real) == 4 ? (real)floorf((float)(x)) : (real)floor((double)(x)))
#define real_ceil(x) (sizeof(real) == 4 ? (real)ceilf((float)(x)) : (real)ceil((double)(x)))
#define real_rint(x) (sizeof(real) == 4 ? (real)rintf((float)(x)) : (real)rint((double)(x)))

UNARY_KERNEL(floor, real_floor(x))
UNARY_KERNEL(ceil, real_ceil(x))
UNARY_KERNEL(round, real_rint(x))

#else

#define WHOLE_CASES                                                                                                    \
    .no_gradient = true,                                                                                               \
    TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SCALAR } }, { 1, { TL_CASE_SHAPE(2, 0) } })

TL_UNARY(floor, NULL, WHOLE_CASES)
TL_UNARY(ceil, NULL, WHOLE_CASES)
TL_UNARY(round, NULL, WHOLE_CASES)

#endif
