/* ops/softsign.c - y = x / (1 + |x|), 1 at infinity;  dx = g / (1 + |x|)^2 */
#include "ops/define.h"
#ifdef TL_REAL

/* 1 / (1 + 1 / |x|) would be right at infinity too, but not near 0 */
UNARY_KERNEL(softsign, real_abs(x) == (real)INFINITY ? (x > 0 ? 1 : -1) : x / (1 + real_abs(x)))

#else

static tl_tensor softsign_vjp(const tl_vjp *v, int i)
{
    return tl_div(v->g, tl_square(tl_add_scalar(tl_abs(v->in[i]), 1)));
}

TL_UNARY(softsign, softsign_vjp,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 3, 4) } }, { 1, { TL_CASE_SCALAR } },
                  { 1, { TL_CASE_SHAPE(0) } }))

#endif
