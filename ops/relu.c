/* ops/relu.c - y = max(x, 0), NaN stays NaN;  dx = y > 0 ? g : 0 */
#include "ops/define.h"
#ifdef TL_REAL

UNARY_KERNEL(relu, x < 0 ? 0 : x)

#else

static tl_tensor relu_vjp(const tl_vjp *v, int i) { return (void)i, tl_keep(v->y, v->g); }

TL_UNARY(relu, relu_vjp,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 3, 4) } }, { 1, { TL_CASE_SCALAR } },
                  { 1, { TL_CASE_SHAPE(0) } }))

#endif
