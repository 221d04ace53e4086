/* ops/add.c - add: y = a + b,  da = g,  db = g;   sub: y = a - b,  da = g,  db = -g */
#include "ops/define.h"
#ifdef TL_REAL

BINARY_KERNEL(add, a + b)
BINARY_KERNEL(sub, a - b)

#else

static tl_tensor add_vjp(const tl_vjp *v, int i) { return tl_unbroadcast(v->g, v->in[i]); }
static tl_tensor sub_vjp(const tl_vjp *v, int i) { return tl_unbroadcast(i ? tl_neg(v->g) : v->g, v->in[i]); }

#define SUM_CASES                                                                                                      \
    TL_CASES({ 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3) } }, { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(3) } },    \
             { 2, { TL_CASE_SHAPE(2, 1, 4), TL_CASE_SHAPE(3, 1) } }, { 2, { TL_CASE_SCALAR, TL_CASE_SHAPE(2, 2) } },   \
             { 2, { TL_CASE_SCALAR, TL_CASE_SCALAR } }, { 2, { TL_CASE_SHAPE(0, 3), TL_CASE_SHAPE(3) } },              \
             { 2, { TL_CASE_SHAPE(0, 3), TL_CASE_SHAPE(1, 1) } },                                                      \
             { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2) }, .rejects = true },                                        \
             { 2, { TL_CASE_SHAPE(2), TL_CASE_IDS(2) }, .ids = 3, .rejects = true })

TL_BINARY(add, add_vjp, .role = TL_ROLE_ADD, SUM_CASES)
TL_BINARY(sub, sub_vjp, SUM_CASES)

#endif
