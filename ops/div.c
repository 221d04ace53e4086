/* ops/div.c - y = a / b;  da = g / b,  db = -g y / b */
#include "ops/define.h"
#ifdef TL_REAL

BINARY_KERNEL(div, a / b)

#else

static tl_tensor div_vjp(const tl_vjp *v, int i)
{
    const tl_tensor da = tl_div(v->g, v->in[1]);
    return tl_unbroadcast(i ? tl_neg(tl_mul(da, v->y)) : da, v->in[i]);
}

TL_BINARY(div, div_vjp, .role = TL_ROLE_DIV, .zeroes = 1,
          TL_CASES({ 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3) }, .lo = 0.5, .hi = 2 },
                   { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(3) }, .lo = 0.5, .hi = 2 },
                   { 2, { TL_CASE_SHAPE(2, 1, 4), TL_CASE_SHAPE(3, 1) }, .lo = -2, .hi = -0.5 },
                   { 2, { TL_CASE_SCALAR, TL_CASE_SHAPE(2, 2) }, .lo = 0.5, .hi = 2 },
                   { 2, { TL_CASE_SHAPE(0), TL_CASE_SHAPE(1) } },
                   { 2, { TL_CASE_SHAPE(4), TL_CASE_SHAPE(5) }, .rejects = true }))

#endif
