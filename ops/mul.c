/* ops/mul.c - y = a b, element by element;  da = g b,  db = g a */
#include "ops/define.h"
#ifdef TL_REAL

BINARY_KERNEL(mul, a *b)

#else

static tl_tensor mul_vjp(const tl_vjp *v, int i) { return tl_unbroadcast(tl_mul(v->g, v->in[!i]), v->in[i]); }

TL_BINARY(mul, mul_vjp, .role = TL_ROLE_MUL, .zeroes = 3,
          TL_CASES({ 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3) } },
                   { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(3) } },
                   { 2, { TL_CASE_SHAPE(2, 1, 4), TL_CASE_SHAPE(3, 1) } },
                   { 2, { TL_CASE_SCALAR, TL_CASE_SHAPE(2, 2) } }, { 2, { TL_CASE_SCALAR, TL_CASE_SCALAR } },
                   { 2, { TL_CASE_SHAPE(3, 0), TL_CASE_SHAPE(3, 1) } },
                   { 2, { TL_CASE_SHAPE(4), TL_CASE_SHAPE(5) }, .rejects = true }))

#endif
