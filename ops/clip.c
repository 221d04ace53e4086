/* ops/clip.c - clip: y = min(max(x, lo), hi), lo and hi rounded to the element type;  dx = y = x ? g : 0
 * hard_sigmoid: y = min(max(x + 3, 0), 6) / 6,  dx = |x| < 3 ? g / 6 : 0 */
#include "ops/define.h"

typedef struct clip_attr {
    double lo, hi;
} clip_attr;

#ifdef TL_REAL

static inline real into(real x, real lo, real hi) /* a NaN stays */
{
    x = x < lo ? lo : x;
    return x > hi ? hi : x;
}

UNARY_KERNEL_ATTR(clip, const clip_attr *c = r->attr; const real lo = (real)c->lo; const real hi = (real)c->hi;
                  , into(x, lo, hi))
UNARY_KERNEL(hard_sigmoid, into(x + 3, 0, 6) / 6)

#else

static bool clip_shape(tl_shape_rule *r)
{
    const clip_attr *a = r->attr;
    if (!(a->lo <= a->hi)) return tl_refuse(r, TL_E_ARGUMENT, "the borders are %g and %g", a->lo, a->hi);
    return tl_shape_same(r);
}

static tl_tensor clip_vjp(const tl_vjp *v, int i) { return tl_keep(tl_equal(v->y, v->in[i]), v->g); }

/* 3 - |x| is exact near 3 */
static tl_tensor hard_sigmoid_vjp(const tl_vjp *v, int i)
{
    return tl_keep(tl_relu(tl_add_scalar(tl_neg(tl_abs(v->in[i])), 3)), tl_scale(v->g, 1 / 6.));
}

TL_OP(clip, .min_in = 1, .max_in = 1, .cls = TL_ELEMENTWISE, .attr_size = sizeof(clip_attr), .shape = clip_shape,
      .vjp = clip_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(15) }, .attr = &(const clip_attr){ -1.2, 1.1 } },
               { 1, { TL_CASE_SHAPE(2, 3, 4) }, .attr = &(const clip_attr){ -INFINITY, 0.05 } },
               { 1, { TL_CASE_SCALAR }, .attr = &(const clip_attr){ -3, INFINITY } },
               { 1, { TL_CASE_SHAPE(0) }, .attr = &(const clip_attr){ 1, 1 } },
               { 1, { TL_CASE_SHAPE(2) }, .attr = &(const clip_attr){ 1, 0 }, .rejects = true },
               { 1, { TL_CASE_SHAPE(2) }, .attr = &(const clip_attr){ NAN, 0 }, .rejects = true }));

tl_tensor tl_clip_at(tl_place at, tl_tensor x, double lo, double hi)
{
    return tl_apply_at(at, &tl_op_clip, &x, 1, &(clip_attr){ lo, hi });
}
tl_tensor(tl_clip)(tl_tensor x, double lo, double hi) { return tl_clip_at(TL_NOWHERE, x, lo, hi); }

TL_UNARY(hard_sigmoid, hard_sigmoid_vjp,
         TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 3, 4) }, .lo = 3.1, .hi = 9 },
                  { 1, { TL_CASE_SHAPE(3) }, .lo = -9, .hi = -3.1 }, { 1, { TL_CASE_SCALAR } },
                  { 1, { TL_CASE_SHAPE(0) } }))

#endif
