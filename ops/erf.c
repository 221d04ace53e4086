/* ops/erf.c - y = erf x = 2 / sqrt(pi) (integral of e^-t^2 from 0 to x),  dx = g 2 / sqrt(pi) e^-x^2 */
#include "ops/define.h"
#ifdef TL_REAL

UNARY_KERNEL(erf, real_erf(x))

#else

static tl_tensor erf_vjp(const tl_vjp *v, int i)
{
    return tl_mul(v->g, tl_scale(tl_exp(tl_neg(tl_square(v->in[i]))), M_2_SQRTPI));
}

TL_UNARY(erf, erf_vjp,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 3, 4) } }, { 1, { TL_CASE_SCALAR } },
                  { 1, { TL_CASE_SHAPE(0) } }))

#endif
