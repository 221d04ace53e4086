/* ops/abs.c - abs: y = |x|,  dx = g sign(x);   sign: y = -1, 0 or 1, NaN stays NaN,  dx = 0 */
#include "ops/define.h"
#ifdef TL_REAL

UNARY_KERNEL(abs, real_abs(x))
UNARY_KERNEL(sign, x > 0 ? 1 : x < 0 ? -1 : x)

#else

static tl_tensor abs_vjp(const tl_vjp *v, int i) { return tl_mul(v->g, tl_sign(v->in[i])); }

TL_UNARY(abs, abs_vjp,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 3, 4) } }, { 1, { TL_CASE_SCALAR } },
                  { 1, { TL_CASE_SHAPE(0) } }))

TL_UNARY(sign, NULL, .no_gradient = true, TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 0) } }))

#endif
