/* ops/log.c - y = ln x,  dx = g / x */
#include "ops/define.h"
#ifdef TL_REAL

UNARY_KERNEL(log, real_log(x))

#else

static tl_tensor log_vjp(const tl_vjp *v, int i) { return tl_div(v->g, v->in[i]); }

TL_UNARY(log, log_vjp,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) }, .lo = 0.5, .hi = 3 }, { 1, { TL_CASE_SHAPE(2, 3, 4) }, .lo = 2, .hi = 9 },
                  { 1, { TL_CASE_SCALAR }, .lo = 0.1, .hi = 0.9 }, { 1, { TL_CASE_SHAPE(0) } }))

#endif
