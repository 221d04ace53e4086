/* ops/log1p.c - y = ln(1 + x), accurate near 0;  dx = g / (1 + x) */
#include "ops/define.h"
#ifdef TL_REAL

UNARY_KERNEL(log1p, real_log1p(x))

#else

static tl_tensor log1p_vjp(const tl_vjp *v, int i) { return tl_div(v->g, tl_add_scalar(v->in[i], 1)); }

TL_UNARY(log1p, log1p_vjp,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) }, .lo = -0.5, .hi = 0.5 },
                  { 1, { TL_CASE_SHAPE(2, 3, 4) }, .lo = 1, .hi = 9 }, { 1, { TL_CASE_SCALAR }, .lo = 0.1, .hi = 0.9 },
                  { 1, { TL_CASE_SHAPE(0) } }))

#endif
