/* ops/elu.c - leaky_relu: y = x > 0 ? x : v x,  dx = x > 0 ? g : v g
 * elu: y = x > 0 ? x : v (e^x - 1),  dx = x > 0 ? g : g (y + v);   v is rounded to the element type */
#include "ops/define.h"

typedef struct slope_attr {
    double v;
} slope_attr;

#ifdef TL_REAL

/* Written so that loops become vector code: choices between numbers that are there, and -0 keeps its sign. */
UNARY_KERNEL_ATTR(leaky_relu, const real v = (real)((const slope_attr *)r->attr)->v;
                  , (x > 0 ? x : (real)-0.0) + v * (x > 0 ? 0 : x))
UNARY_KERNEL_ATTR(elu, const real v = (real)((const slope_attr *)r->attr)->v;
                  , (x > 0 ? x : (real)-0.0) + v * real_expm1(x > 0 ? 0 : x))

#else

static double slope_of(const tl_vjp *v) { return ((const slope_attr *)v->attr)->v; }

static tl_tensor leaky_relu_vjp(const tl_vjp *v, int i)
{
    return tl_where(tl_relu(v->in[i]), v->g, tl_scale(v->g, slope_of(v)));
}

static tl_tensor elu_vjp(const tl_vjp *v, int i)
{
    return tl_where(tl_relu(v->in[i]), v->g, tl_mul(v->g, tl_add_scalar(v->y, slope_of(v))));
}

#define SLOPE_OP(op)                                                                                                   \
    TL_OP(op, .min_in = 1, .max_in = 1, .cls = TL_ELEMENTWISE, .attr_size = sizeof(slope_attr),                        \
          .shape = tl_shape_same, .vjp = op##_vjp,                                                                     \
          TL_CASES({ 1, { TL_CASE_SHAPE(5) }, .attr = &(const slope_attr){ 0.2 } },                                    \
                   { 1, { TL_CASE_SHAPE(2, 3, 4) }, .attr = &(const slope_attr){ 1.7 } },                              \
                   { 1, { TL_CASE_SCALAR }, .attr = &(const slope_attr){ -0.5 } },                                     \
                   { 1, { TL_CASE_SHAPE(4) }, .attr = &(const slope_attr){ 0 } },                                      \
                   { 1, { TL_CASE_SHAPE(0) }, .attr = &(const slope_attr){ 1 } }));                                    \
    tl_tensor tl_##op##_at(tl_place at, tl_tensor x, double v)                                                         \
    {                                                                                                                  \
        return tl_apply_at(at, &tl_op_##op, &x, 1, &(slope_attr){ v });                                                \
    }                                                                                                                  \
    tl_tensor(tl_##op)(tl_tensor x, double v) { return tl_##op##_at(TL_NOWHERE, x, v); }

SLOPE_OP(leaky_relu)
SLOPE_OP(elu)

#endif
