/* ops/expm1.c - y = e^x - 1, accurate near 0;  dx = g (y + 1) */
#include "ops/define.h"
#ifdef TL_REAL

UNARY_KERNEL(expm1, real_expm1(x))

#else

static tl_tensor expm1_vjp(const tl_vjp *v, int i) { return (void)i, tl_mul(v->g, tl_add_scalar(v->y, 1)); }

TL_UNARY(expm1, expm1_vjp,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 3, 4) } }, { 1, { TL_CASE_SCALAR } },
                  { 1, { TL_CASE_SHAPE(0) } }, { 1, { TL_CASE_SHAPE(40) }, .lo = -9, .hi = 9 }))

#endif
