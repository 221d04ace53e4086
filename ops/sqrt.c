/* ops/sqrt.c - y = sqrt(x),  dx = g / (2 y) */
#include "ops/define.h"
#ifdef TL_REAL

UNARY_KERNEL(sqrt, real_sqrt(x))

#else

static tl_tensor sqrt_vjp(const tl_vjp *v, int i) { return (void)i, tl_div(tl_scale(v->g, 0.5), v->y); }

TL_UNARY(sqrt, sqrt_vjp,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) }, .lo = 0.5, .hi = 3 },
                  { 1, { TL_CASE_SHAPE(2, 3, 4) }, .lo = 0.5, .hi = 3 }, { 1, { TL_CASE_SCALAR }, .lo = 4, .hi = 9 },
                  { 1, { TL_CASE_SHAPE(3, 0) } }))

#endif
