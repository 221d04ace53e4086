/* ops/windows.c - windows: y[o, t, m, k, i] = x[o, t stride + k dilation - begin, m, i], `fill` outside of x
 *                 fold: y[o, p, m, i] = the sum of all x[o, t, m, k, i] with t stride + k dilation - begin = p
 * Each is the other's derivative: dx = fold(g), dx = windows(g).
 * Convolutions are products with windows, pooling reduces them: none has a derivative of its own. */
#include "ops/windows.h"

typedef struct window_attr {
    int64_t axis, to; /* of the windows; where their elements are in the result of windows, after axis */
    int64_t size, stride, dilation, begin;
    int64_t length, count; /* of x along the axis; number of windows */
    double fill;
} window_attr;

#ifdef TL_REAL

typedef struct extent {
    int64_t outer, middle, inner;
} extent;

/* d: the side that has the windows, [outer, count, middle, size, inner] */
static extent extent_of(const window_attr *a, const tl_desc *d)
{
    return (extent){ tl_span(d, 0, a->axis), tl_span(d, a->axis + 1, a->to), tl_span(d, a->to + 1, d->rank) };
}

KERNEL(windows)
{
    const window_attr *a = r->attr;
    const extent e = extent_of(a, r->out_desc);
    const int64_t n = e.inner, row = e.middle * n;
    const real *x = r->in[0], fill = (real)a->fill;
    real *y = r->out;
    for (int64_t o = 0; o < e.outer; o++, x += a->length * row)
        for (int64_t t = 0; t < a->count; t++)
            for (int64_t m = 0; m < e.middle; m++)
                for (int64_t k = 0; k < a->size; k++, y += n) {
                    const int64_t p = t * a->stride + k * a->dilation - a->begin;
                    if (p >= 0 && p < a->length) memcpy(y, x + p * row + m * n, (size_t)n * sizeof *y);
                    else
                        for (int64_t i = 0; i < n; i++) y[i] = fill;
                }
    return TL_OK;
}

KERNEL(fold)
{
    const window_attr *a = r->attr;
    const extent e = extent_of(a, r->in_desc);
    const int64_t n = e.inner, row = e.middle * n;
    const real *x = r->in[0];
    real *y = r->out;
    memset(y, 0, (size_t)(e.outer * a->length * row) * sizeof *y);
    for (int64_t o = 0; o < e.outer; o++, y += a->length * row)
        for (int64_t t = 0; t < a->count; t++)
            for (int64_t m = 0; m < e.middle; m++)
                for (int64_t k = 0; k < a->size; k++, x += n) {
                    const int64_t p = t * a->stride + k * a->dilation - a->begin;
                    real *to = y + p * row + m * n;
                    for (int64_t i = 0; p >= 0 && p < a->length && i < n; i++) to[i] += x[i];
                }
    return TL_OK;
}

#else

static bool sensible(tl_shape_rule *r)
{
    const window_attr *a = r->attr;
    const int64_t what[] = { a->size, a->stride, a->dilation, a->begin, a->length, a->count };
    static const char *const name[] = { "elements", "stride", "dilation", "padding", "length", "windows" };
    if (!tl_needs_float(r, 0) || !tl_axis_fits(r, a->axis)) return false;
    for (int i = 0; i < 6; i++)
        if (what[i] < (i < 3 ? 1 : 0))
            return tl_refuse(r, TL_E_ARGUMENT, "%s of %lld make no sense", name[i], (long long)what[i]);
    const double furthest = (double)a->count * (double)a->stride + (double)a->size * (double)a->dilation;
    return furthest < 0x1p62 || tl_refuse(r, TL_E_ARGUMENT, "too large");
}

static bool windows_shape(tl_shape_rule *r)
{
    const window_attr *a = r->attr;
    const tl_shape *x = r->in;
    if (!sensible(r)) return false;
    if (x->rank == TL_MAX_RANK) return tl_refuse(r, TL_E_SHAPE, "no room for another axis");
    if (a->to <= a->axis || a->to > x->rank) return tl_refuse(r, TL_E_ARGUMENT, "no new axis %d", (int)a->to);
    if (a->length != x->dim[a->axis]) return tl_refuse(r, TL_E_SHAPE, "not %lld elements", (long long)a->length);
    r->out.rank = x->rank + 1;
    for (int i = 0; i <= x->rank; i++)
        r->out.dim[i] = i == a->axis ? a->count : i == a->to ? a->size : x->dim[i - (i > a->to)];
    return true;
}

static bool fold_shape(tl_shape_rule *r)
{
    const window_attr *a = r->attr;
    const tl_shape *x = r->in;
    if (!sensible(r)) return false;
    if (a->to <= a->axis || a->to >= x->rank || x->dim[a->to] != a->size || x->dim[a->axis] != a->count)
        return tl_refuse(r, TL_E_SHAPE, "not %lld windows of %lld", (long long)a->count, (long long)a->size);
    r->out.rank = x->rank - 1;
    for (int i = 0; i < r->out.rank; i++) r->out.dim[i] = i == a->axis ? a->length : x->dim[i + (i >= a->to)];
    return true;
}

static tl_tensor windows_vjp(const tl_vjp *v, int i);
static tl_tensor fold_vjp(const tl_vjp *v, int i);

#define W(...)                                                                                                         \
    .attr = &(const window_attr) { __VA_ARGS__ }
TL_OP(windows, .min_in = 1, .max_in = 1, .cls = TL_MOVE, .attr_size = sizeof(window_attr), .shape = windows_shape,
      .vjp = windows_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(7) }, W(0, 1, 3, 1, 1, 0, 7, 5, 0) },
               { 1, { TL_CASE_SHAPE(2, 7, 3) }, W(1, 2, 3, 2, 2, 1, 7, 3, 0.5) },
               { 1, { TL_CASE_SHAPE(5, 2, 3) }, W(0, 2, 2, 1, 1, 3, 5, 9, 0) },
               { 1, { TL_CASE_SHAPE(2, 4, 3, 2) }, W(1, 3, 2, 2, 1, 0, 4, 2, 0) },
               { 1, { TL_CASE_SHAPE(6) }, W(0, 1, 2, 3, 1, 0, 6, 2, 0) },
               { 1, { TL_CASE_SHAPE(0, 3) }, W(0, 1, 2, 1, 1, 1, 0, 1, 0) },
               { 1, { TL_CASE_SHAPE(3, 0) }, W(0, 2, 2, 1, 1, 0, 3, 2, 0) },
               { 1, { TL_CASE_SHAPE(3) }, W(0, 1, 0, 1, 1, 0, 3, 3, 0), .rejects = true },
               { 1, { TL_CASE_SHAPE(3) }, W(0, 1, 1, 0, 1, 0, 3, 3, 0), .rejects = true },
               { 1, { TL_CASE_SHAPE(3) }, W(0, 0, 1, 1, 1, 0, 3, 3, 0), .rejects = true },
               { 1, { TL_CASE_SHAPE(3) }, W(0, 1, 1, INT64_MAX, 1, 0, 3, 3, 0), .rejects = true },
               { 1, { TL_CASE_IDS(3) }, W(0, 1, 1, 1, 1, 0, 3, 3, 0), .ids = 3, .rejects = true },
               { 1, { TL_CASE_SHAPE(3) }, W(1, 2, 1, 1, 1, 0, 3, 3, 0), .rejects = true }));
TL_OP(fold, .min_in = 1, .max_in = 1, .attr_size = sizeof(window_attr), .shape = fold_shape, .vjp = fold_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(5, 3) }, W(0, 1, 3, 1, 1, 0, 7, 5, 0) },
               { 1, { TL_CASE_SHAPE(2, 3, 3, 3) }, W(1, 2, 3, 2, 2, 1, 7, 3, 0) },
               { 1, { TL_CASE_SHAPE(9, 2, 2, 3) }, W(0, 2, 2, 1, 1, 3, 5, 9, 0) },
               { 1, { TL_CASE_SHAPE(0, 2) }, W(0, 1, 2, 1, 1, 0, 1, 0, 0) },
               { 1, { TL_CASE_SHAPE(1, 2) }, W(0, 1, 2, 1, 1, 1, 0, 1, 0) },
               { 1, { TL_CASE_SHAPE(5, 2) }, W(0, 1, 3, 1, 1, 0, 7, 5, 0), .rejects = true },
               { 1, { TL_CASE_SHAPE(5, 3) }, W(0, 1, 3, 1, 1, -1, 7, 5, 0), .rejects = true }));

static tl_tensor windows_vjp(const tl_vjp *v, int i) { return (void)i, tl_apply(&tl_op_fold, &v->g, 1, v->attr); }

static tl_tensor fold_vjp(const tl_vjp *v, int i)
{
    window_attr a = *(const window_attr *)v->attr;
    a.fill = 0;
    return (void)i, tl_apply(&tl_op_windows, &v->g, 1, &a);
}

static bool windows_refused(tl_shape_rule *r)
{
    const window_attr *a = r->attr;
    if (!tl_axis_fits(r, a->axis)) return false;
    if (a->begin < 0)
        return tl_refuse(r, TL_E_ARGUMENT, "padding that is negative or too large, or both .same and numbers of it");
    return tl_refuse(r, TL_E_SHAPE, "a window of %lld does not fit into axis %d, which has %lld with its padding",
                     (long long)a->size, (int)a->axis, (long long)a->length);
}
TL_REFUSAL(windows, window_attr, windows_refused);

tl_tensor tl_windows_to(tl_place at, tl_tensor x, int axis, int64_t to, int64_t size, const tl_window_opts *o)
{
    window_attr a = { .axis = axis, .to = to, .size = size, .begin = o->begin, .fill = o->fill };
    int64_t span, end = o->end, padded = 0;
    a.stride = tl_whole(o->stride, 1);
    a.dilation = tl_whole(o->dilation, 1);
    a.length = tl_dim(x, axis);
    if (size < 1 || a.stride < 1 || a.dilation < 1 || __builtin_mul_overflow(size - 1, a.dilation, &span))
        return tl_apply_at(at, &tl_op_windows, &x, 1, &a); /* which refuses it */
    if (o->same && !o->begin && !o->end) { /* what cannot be halved comes at the end, as in Keras and PyTorch */
        const int64_t rest = a.length - 1 - (a.length - 1) / a.stride * a.stride,
                      need = a.length && span > rest ? span - rest : 0;
        a.begin = need / 2;
        end = need - a.begin;
    } else if (o->same) a.begin = -1;
    if (end < 0 || __builtin_add_overflow(a.length, a.begin, &padded) || __builtin_add_overflow(padded, end, &padded))
        a.begin = -1;
    if (a.begin < 0 || padded <= span) {
        a.length = padded;
        a.size = span + 1;
        return tl_apply_at(at, &refusal_windows, &x, 1, &a);
    }
    a.count = (padded - span - 1) / a.stride + 1;
    return tl_apply_at(at, &tl_op_windows, &x, 1, &a);
}

tl_tensor tl_windows_opt(tl_place at, tl_tensor x, int axis, int64_t size, const tl_window_opts *given)
{
    tl_grid g;
    const int a = (int)tl_axis(axis, tl_rank(x));
    if (!tl_grid_1d(&g, size, given)) return tl_without_size(at, x);
    return tl_windows_to(at, x, a, (int64_t)a + 1, size, &g.along[0]);
}

#endif
