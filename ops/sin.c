/* ops/sin.c - sin: y = sin x,  dx = g cos x;   cos: y = cos x,  dx = -g sin x */
#include "ops/define.h"
#ifdef TL_REAL

UNARY_KERNEL(sin, real_sin(x))
UNARY_KERNEL(cos, real_cos(x))

#else

static tl_tensor sin_vjp(const tl_vjp *v, int i) { return tl_mul(v->g, tl_cos(v->in[i])); }
static tl_tensor cos_vjp(const tl_vjp *v, int i) { return tl_neg(tl_mul(v->g, tl_sin(v->in[i]))); }

#define WAVE_CASES                                                                                                     \
    TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 3, 4) } }, { 1, { TL_CASE_SCALAR } },                \
             { 1, { TL_CASE_SHAPE(0) } }, { 1, { TL_CASE_SHAPE(40) }, .lo = -9, .hi = 9 })

TL_UNARY(sin, sin_vjp, WAVE_CASES)
TL_UNARY(cos, cos_vjp, WAVE_CASES)

#endif
