/* ops/logaddexp.c - y = ln(e^a + e^b) = max(a, b) + ln(1 + e^-|a - b|);  da = g share(a, b),  db = g share(b, a)
 * share: y = e^a / (e^a + e^b) = sigmoid(a - b), 1/2 where a = b, infinities too;  da = g y (1 - y) = -db */
#include "ops/define.h"
#ifdef TL_REAL

/* a - b, but 0 of equal infinities; by a mask, which leaves loops without branches */
static inline real apart(real a, real b)
{
    real d = a - b;
    bits u;
    memcpy(&u, &d, sizeof u);
    u &= -(bits)(a != b);
    memcpy(&d, &u, sizeof d);
    return d;
}

BINARY_KERNEL(logaddexp, (((a > b) | (a != a)) ? a : b) + real_log1p(real_exp(-real_abs(apart(a, b)))))
BINARY_KERNEL(share, real_sigmoid(apart(a, b)))

#else

extern const struct tl_op tl_op_share;

static tl_tensor share(tl_tensor a, tl_tensor b) { return tl_apply(&tl_op_share, (tl_tensor[]){ a, b }, 2, NULL); }

static tl_tensor logaddexp_vjp(const tl_vjp *v, int i)
{
    return tl_unbroadcast(tl_mul(v->g, share(v->in[i], v->in[!i])), v->in[i]);
}

static tl_tensor share_vjp(const tl_vjp *v, int i)
{
    const tl_tensor d = tl_sigmoid_grad(v->y, v->g);
    return tl_unbroadcast(i ? tl_neg(d) : d, v->in[i]);
}

#define PAIR_CASES                                                                                                     \
    TL_CASES({ 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3) } }, { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(3) } },    \
             { 2, { TL_CASE_SHAPE(2, 1, 4), TL_CASE_SHAPE(3, 1) } }, { 2, { TL_CASE_SCALAR, TL_CASE_SHAPE(2, 2) } },   \
             { 2, { TL_CASE_SHAPE(0), TL_CASE_SHAPE(1) } },                                                            \
             { 2, { TL_CASE_SHAPE(4), TL_CASE_SHAPE(5) }, .rejects = true })

TL_BINARY(logaddexp, logaddexp_vjp, PAIR_CASES)

TL_OP(share, .min_in = 2, .max_in = 2, .cls = TL_ELEMENTWISE, .shape = tl_shape_broadcast, .vjp = share_vjp,
      PAIR_CASES);

#endif
