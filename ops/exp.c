/* ops/exp.c - y = e^x,  dx = g y */
#include "ops/define.h"
#ifdef TL_REAL

UNARY_KERNEL(exp, real_exp(x))

#else

static tl_tensor exp_vjp(const tl_vjp *v, int i) { return (void)i, tl_mul(v->g, v->y); }

TL_UNARY(exp, exp_vjp,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 3, 4) } }, { 1, { TL_CASE_SCALAR } },
                  { 1, { TL_CASE_SHAPE(0) } }, { 1, { TL_CASE_SHAPE(40) }, .lo = -80, .hi = -70 }))

#endif
