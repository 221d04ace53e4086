/* ops/cumsum.c - y_k = x_0 + ... + x_k along an axis, one after the other (reverse: from the end, x_k + ... + x_n-1);
 *     dx = the sums of g, the other way round */
#include "ops/define.h"

typedef struct cumsum_attr {
    int64_t axis, reverse;
} cumsum_attr;

#ifdef TL_REAL

KERNEL(cumsum)
{
    const cumsum_attr *a = r->attr;
    const int64_t outer = tl_span(r->in_desc, 0, a->axis), n = r->in_desc->dim[a->axis];
    const int64_t inner = tl_span(r->in_desc, a->axis + 1, r->in_desc->rank), step = a->reverse ? -inner : inner;
    for (int64_t o = 0; n && o < outer; o++) {
        const int64_t first = (o * n + (a->reverse ? n - 1 : 0)) * inner;
        const real *x = (const real *)r->in[0] + first;
        real *y = (real *)r->out + first;
        memcpy(y, x, (size_t)inner * sizeof *y);
        for (int64_t k = 1; k < n; k++) {
            const real *before = y;
            x += step;
            y += step;
            TL_SIMD
            for (int64_t i = 0; i < inner; i++) y[i] = before[i] + x[i];
        }
    }
    return TL_OK;
}

#else

static bool cumsum_shape(tl_shape_rule *r)
{
    r->out = r->in[0];
    return tl_needs_float(r, 0) && tl_axis_fits(r, ((const cumsum_attr *)r->attr)->axis);
}

static tl_tensor cumsum_vjp(const tl_vjp *v, int i);

#define ALONG(...)                                                                                                     \
    .attr = &(const cumsum_attr) { __VA_ARGS__ }
TL_OP(cumsum, .min_in = 1, .max_in = 1, .attr_size = sizeof(cumsum_attr), .shape = cumsum_shape, .vjp = cumsum_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(5) }, ALONG(0, 0) }, { 1, { TL_CASE_SHAPE(2, 3, 4) }, ALONG(1, 0) },
               { 1, { TL_CASE_SHAPE(2, 3, 4) }, ALONG(2, 1) }, { 1, { TL_CASE_SHAPE(3, 2) }, ALONG(0, 1) },
               { 1, { TL_CASE_SHAPE(2, 0) }, ALONG(1, 0) }, { 1, { TL_CASE_SHAPE(0, 2) }, ALONG(1, 1) },
               { 1, { TL_CASE_SHAPE(3) }, ALONG(1, 0), .rejects = true },
               { 1, { TL_CASE_SCALAR }, ALONG(0, 0), .rejects = true },
               { 1, { TL_CASE_IDS(3) }, ALONG(0, 0), .ids = 3, .rejects = true }));

static tl_tensor cumsum_vjp(const tl_vjp *v, int i)
{
    const cumsum_attr *a = v->attr;
    (void)i;
    return tl_apply(&tl_op_cumsum, &v->g, 1, &(cumsum_attr){ a->axis, !a->reverse });
}

tl_tensor tl_cumsum_at(tl_place at, tl_tensor x, int axis)
{
    return tl_apply_at(at, &tl_op_cumsum, &x, 1, &(cumsum_attr){ tl_axis(axis, tl_rank(x)), 0 });
}
tl_tensor(tl_cumsum)(tl_tensor x, int axis) { return tl_cumsum_at(TL_NOWHERE, x, axis); }

#endif
