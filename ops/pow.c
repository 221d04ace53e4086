/* ops/pow.c - pow: y = a^b,  da = g b a^(b-1), 0 where b = 0;  db = g y ln a, 0 where a = 0 and b >= 0
 * pow_scalar: y = x^p for a number p,  dx = g p x^(p-1), 0 for p = 0. f32 is computed in double and rounded. */
#include "ops/define.h"

typedef struct power_attr {
    double p;
} power_attr;

#ifdef TL_REAL

BINARY_KERNEL(pow, (real)pow((double)a, (double)b))
UNARY_KERNEL_ATTR(pow_scalar, const double p = ((const power_attr *)r->attr)->p;, (real)pow((double)x, p))

#else

static tl_tensor pow_vjp(const tl_vjp *v, int i)
{
    const tl_tensor a = v->in[0], b = v->in[1];
    tl_tensor d;
    if (i) d = tl_keep(tl_maximum(tl_abs(a), tl_relu(tl_neg(b))), tl_mul(v->y, tl_log(a)));
    else d = tl_keep(b, tl_mul(b, tl_pow(a, tl_add_scalar(b, -1))));
    return tl_unbroadcast(tl_mul(v->g, d), v->in[i]);
}

static tl_tensor pow_scalar_vjp(const tl_vjp *v, int i)
{
    const double p = ((const power_attr *)v->attr)->p;
    return p == 0 ? TL_NONE : tl_mul(v->g, tl_scale(tl_pow_scalar(v->in[i], p - 1), p));
}

TL_BINARY(pow, pow_vjp,
          TL_CASES({ 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3) }, .lo = 0.5, .hi = 2 },
                   { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(3) }, .lo = 0.5, .hi = 3 },
                   { 2, { TL_CASE_SHAPE(2, 1), TL_CASE_SHAPE(3, 1, 4) }, .lo = 0.5, .hi = 2 },
                   { 2, { TL_CASE_SCALAR, TL_CASE_SHAPE(2, 2) }, .lo = 0.5, .hi = 2 },
                   { 2, { TL_CASE_SHAPE(0), TL_CASE_SHAPE(1) } },
                   { 2, { TL_CASE_SHAPE(4), TL_CASE_SHAPE(5) }, .rejects = true }))

TL_OP(pow_scalar, .min_in = 1, .max_in = 1, .cls = TL_ELEMENTWISE, .attr_size = sizeof(power_attr),
      .shape = tl_shape_same, .vjp = pow_scalar_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(5) }, .attr = &(const power_attr){ 3 } },
               { 1, { TL_CASE_SHAPE(2, 3, 4) }, .attr = &(const power_attr){ -1.5 }, .lo = 0.5, .hi = 2 },
               { 1, { TL_CASE_SCALAR }, .attr = &(const power_attr){ -2 } },
               { 1, { TL_CASE_SHAPE(4) }, .attr = &(const power_attr){ 0 } },
               { 1, { TL_CASE_SHAPE(4) }, .attr = &(const power_attr){ 1 } },
               { 1, { TL_CASE_SHAPE(0) }, .attr = &(const power_attr){ 0.5 } }));

tl_tensor tl_pow_scalar_at(tl_place at, tl_tensor x, double p)
{
    return tl_apply_at(at, &tl_op_pow_scalar, &x, 1, &(power_attr){ p });
}
tl_tensor(tl_pow_scalar)(tl_tensor x, double p) { return tl_pow_scalar_at(TL_NOWHERE, x, p); }

#endif
