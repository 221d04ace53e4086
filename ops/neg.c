/* ops/neg.c - y = -x */
#include "ops/define.h"
#ifdef TL_REAL

UNARY_KERNEL(neg, -x)

#else

static tl_tensor neg_vjp(const tl_vjp *v, int i) { return (void)i, tl_neg(v->g); }

TL_UNARY(neg, neg_vjp, .role = TL_ROLE_NEG, .zeroes = 1,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 3, 4) } }, { 1, { TL_CASE_SCALAR } },
                  { 1, { TL_CASE_SHAPE(0, 3) } }))

#endif
