/* ops/softplus.c - softplus: y = ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|),  dx = g sigmoid(x)
 * log_sigmoid: y = ln sigmoid(x) = -softplus(-x),  dx = g sigmoid(-x) */
#include "ops/define.h"
#ifdef TL_REAL

UNARY_KERNEL(softplus, real_softplus(x))
UNARY_KERNEL(log_sigmoid, 0 - real_softplus(-x))

#else

static tl_tensor softplus_vjp(const tl_vjp *v, int i) { return tl_mul(v->g, tl_sigmoid(v->in[i])); }
static tl_tensor log_sigmoid_vjp(const tl_vjp *v, int i) { return tl_mul(v->g, tl_sigmoid(tl_neg(v->in[i]))); }

#define SOFT_CASES                                                                                                     \
    TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 3, 4) } }, { 1, { TL_CASE_SCALAR } },                \
             { 1, { TL_CASE_SHAPE(0) } }, { 1, { TL_CASE_SHAPE(40) }, .lo = -9, .hi = 9 })

TL_UNARY(softplus, softplus_vjp, SOFT_CASES)
TL_UNARY(log_sigmoid, log_sigmoid_vjp, SOFT_CASES)

#endif
