/* ops/scale.c - scale: y = v x,  dx = v g;   add_scalar: y = x + v,  dx = g;   v is rounded to the element type */
#include "ops/define.h"

typedef struct scalar_attr {
    double v;
} scalar_attr;

#ifdef TL_REAL

UNARY_KERNEL_ATTR(scale, const real v = (real)((const scalar_attr *)r->attr)->v;, x *v)
UNARY_KERNEL_ATTR(add_scalar, const real v = (real)((const scalar_attr *)r->attr)->v;, x + v)

#else

static tl_tensor scale_vjp(const tl_vjp *v, int i)
{
    return (void)i, tl_scale(v->g, ((const scalar_attr *)v->attr)->v);
}

static tl_tensor add_scalar_vjp(const tl_vjp *v, int i) { return (void)i, v->g; }

#define SCALAR_CASES                                                                                                   \
    TL_CASES({ 1, { TL_CASE_SHAPE(5) }, .attr = &(const scalar_attr){ 0.3 } },                                         \
             { 1, { TL_CASE_SHAPE(2, 3, 4) }, .attr = &(const scalar_attr){ -7 } },                                    \
             { 1, { TL_CASE_SCALAR }, .attr = &(const scalar_attr){ 0 } },                                             \
             { 1, { TL_CASE_SHAPE(0) }, .attr = &(const scalar_attr){ 1 } })

#define SCALAR_OP(op, ...)                                                                                             \
    TL_OP(op, .min_in = 1, .max_in = 1, .cls = TL_ELEMENTWISE, .attr_size = sizeof(scalar_attr),                       \
          .shape = tl_shape_same, .vjp = op##_vjp, __VA_ARGS__ SCALAR_CASES);                                          \
    tl_tensor tl_##op##_at(tl_place at, tl_tensor x, double v)                                                         \
    {                                                                                                                  \
        return tl_apply_at(at, &tl_op_##op, &x, 1, &(scalar_attr){ v });                                               \
    }                                                                                                                  \
    tl_tensor(tl_##op)(tl_tensor x, double v) { return tl_##op##_at(TL_NOWHERE, x, v); }

SCALAR_OP(scale, .zeroes = 1, )
SCALAR_OP(add_scalar, )

#endif
