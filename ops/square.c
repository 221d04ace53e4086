/* ops/square.c - y = x x,  dx = 2 x g */
#include "ops/define.h"
#ifdef TL_REAL

UNARY_KERNEL(square, x *x)

#else

static tl_tensor square_vjp(const tl_vjp *v, int i) { return tl_mul(v->g, tl_scale(v->in[i], 2)); }

TL_UNARY(square, square_vjp,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 3, 4) } }, { 1, { TL_CASE_SCALAR } },
                  { 1, { TL_CASE_SHAPE(0) } }))

#endif
