/* ops/reciprocal.c - reciprocal: y = 1 / x,  dx = -g y^2;   rsqrt: y = 1 / sqrt(x),  dx = -g y^3 / 2 */
#include "ops/define.h"
#ifdef TL_REAL

UNARY_KERNEL(reciprocal, 1 / x)
UNARY_KERNEL(rsqrt, 1 / real_sqrt(x))

#else

static tl_tensor reciprocal_vjp(const tl_vjp *v, int i) { return (void)i, tl_neg(tl_mul(v->g, tl_square(v->y))); }

static tl_tensor rsqrt_vjp(const tl_vjp *v, int i)
{
    return (void)i, tl_mul(v->g, tl_scale(tl_mul(tl_square(v->y), v->y), -0.5));
}

TL_UNARY(reciprocal, reciprocal_vjp,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) }, .lo = 0.5, .hi = 3 },
                  { 1, { TL_CASE_SHAPE(2, 3, 4) }, .lo = -9, .hi = -2 },
                  { 1, { TL_CASE_SCALAR }, .lo = 0.3, .hi = 0.9 }, { 1, { TL_CASE_SHAPE(0) } }))

TL_UNARY(rsqrt, rsqrt_vjp,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) }, .lo = 0.5, .hi = 3 }, { 1, { TL_CASE_SHAPE(2, 3, 4) }, .lo = 2, .hi = 9 },
                  { 1, { TL_CASE_SCALAR }, .lo = 0.3, .hi = 0.9 }, { 1, { TL_CASE_SHAPE(0) } }))

#endif
