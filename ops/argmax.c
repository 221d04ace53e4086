/* ops/argmax.c - y = i32 index of the largest along an axis, which is dropped; first of ties; a NaN is the largest. */
#include "ops/define.h"

typedef struct argmax_attr {
    int64_t axis;
} argmax_attr;

#ifdef TL_REAL

/* The result is i32 and so comes from the f32 kernel, whatever x is. */
#define FIND(type)                                                                                                     \
    static int32_t find_##type(const type *x, int64_t n, int64_t step)                                                 \
    {                                                                                                                  \
        int64_t best = 0;                                                                                              \
        for (int64_t i = 1; i < n && x[best * step] == x[best * step]; i++)                                            \
            if (x[i * step] > x[best * step] || x[i * step] != x[i * step]) best = i;                                  \
        return (int32_t)best;                                                                                          \
    }
FIND(float)
FIND(double)

KERNEL(argmax)
{
    const tl_desc *d = r->in_desc;
    const int64_t axis = ((const argmax_attr *)r->attr)->axis, n = d->dim[axis];
    const int64_t outer = tl_span(d, 0, axis), inner = tl_span(d, axis + 1, d->rank);
    int32_t *y = r->out;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            const int64_t at = o * n * inner + i;
            *y++ = d->dtype == TL_F64 ? find_double((const double *)r->in[0] + at, n, inner)
                                      : find_float((const float *)r->in[0] + at, n, inner);
        }
    return TL_OK;
}

#else

static bool argmax_shape(tl_shape_rule *r)
{
    const int64_t axis = ((const argmax_attr *)r->attr)->axis;
    if (!tl_needs_float(r, 0) || !tl_axis_fits(r, axis)) return false;
    if (!r->in->dim[axis]) return tl_refuse(r, TL_E_SHAPE, "there is no largest of nothing (axis %d)", (int)axis);
    if (r->in->dim[axis] > INT32_MAX) return tl_refuse(r, TL_E_SHAPE, "axis %d is too long for i32", (int)axis);
    for (int a = 0; a < r->in->rank; a++)
        if (a != axis) r->out.dim[r->out.rank++] = r->in->dim[a];
    r->out.dtype = TL_I32;
    return true;
}

#define AXIS(a)                                                                                                        \
    .attr = &(const argmax_attr) { a }
TL_OP(argmax, .min_in = 1, .max_in = 1, .attr_size = sizeof(argmax_attr), .shape = argmax_shape, .no_gradient = true,
      TL_CASES({ 1, { TL_CASE_SHAPE(5) }, AXIS(0) }, { 1, { TL_CASE_SHAPE(2, 3, 4) }, AXIS(1) },
               { 1, { TL_CASE_SHAPE(2, 3) }, AXIS(1) }, { 1, { TL_CASE_SHAPE(0, 3) }, AXIS(1) },
               { 1, { TL_CASE_SHAPE(0, 3) }, AXIS(0), .rejects = true },
               { 1, { TL_CASE_SCALAR }, AXIS(0), .rejects = true },
               { 1, { TL_CASE_IDS(3) }, AXIS(0), .ids = 3, .rejects = true }));

tl_tensor tl_argmax_at(tl_place at, tl_tensor x, int axis)
{
    return tl_apply_at(at, &tl_op_argmax, &x, 1, &(argmax_attr){ tl_axis(axis, tl_rank(x)) });
}
tl_tensor(tl_argmax)(tl_tensor x, int axis) { return tl_argmax_at(TL_NOWHERE, x, axis); }

/* A NaN stays one under the sign. */
tl_tensor tl_argmin_at(tl_place at, tl_tensor x, int axis) { return tl_argmax_at(at, tl_neg_at(at, x), axis); }
tl_tensor(tl_argmin)(tl_tensor x, int axis) { return tl_argmin_at(TL_NOWHERE, x, axis); }

#endif
