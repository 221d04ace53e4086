/* ops/max.c - y = the largest of x along axes begin..end-1; NaN if any is. Ties share the gradient evenly:
 *     dx = g e / sum(e),  e = (x == y) */
#include "ops/define.h"
#ifdef TL_REAL

#include "ops/kernels/lanes.h"

KERNEL(max)
{
    const tl_sum_attr *a = r->attr;
    const int64_t outer = tl_span(r->in_desc, 0, a->axis_begin), n = tl_span(r->in_desc, a->axis_begin, a->axis_end);
    const int64_t inner = tl_span(r->in_desc, a->axis_end, r->in_desc->rank);
    const real *x = r->in[0];
    real *y = r->out;
    if (inner == 1) {
        for (int64_t o = 0; o < outer; o++) y[o] = lanes_max(x + o * n, n);
        return TL_OK;
    }
    for (int64_t o = 0; o < outer; o++, y += inner)
        for (int64_t k = 0; k < n; k++, x += inner) TL_SIMD
    for (int64_t i = 0; i < inner; i++) y[i] = k ? larger(x[i], y[i]) : x[i];
    return TL_OK;
}

#else

static bool max_shape(tl_shape_rule *r)
{
    const tl_sum_attr *a = r->attr;
    const tl_shape *x = r->in;
    if (!tl_needs_float(r, 0) || !tl_axis_fits(r, a->axis_begin)) return false;
    if (a->axis_end <= a->axis_begin || a->axis_end > x->rank)
        return tl_refuse(r, TL_E_ARGUMENT, "axis %d is named twice", (int)a->axis_begin);
    for (int i = 0; i < x->rank; i++) {
        const bool gone = i >= a->axis_begin && i < a->axis_end;
        if (gone && !x->dim[i]) return tl_refuse(r, TL_E_SHAPE, "there is no largest of nothing (axis %d)", i);
        if (!gone || a->keepdims) r->out.dim[r->out.rank++] = gone ? 1 : x->dim[i];
    }
    return true;
}

static tl_tensor max_vjp(const tl_vjp *v, int i)
{
    const tl_sum_attr *a = v->attr;
    const tl_tensor x = v->in[i];
    tl_shape s = tl_shape_of(x);
    int axes[TL_MAX_RANK], n = 0;
    for (int k = (int)a->axis_begin; k < a->axis_end; k++) s.dim[k] = 1, axes[n++] = k;
    const tl_tensor ties = tl_equal(x, tl_reshape(v->y, s.rank, s.dim));
    return tl_mul(ties, tl_div(tl_reshape(v->g, s.rank, s.dim), tl_sum_keep(ties, n, axes)));
}

#define MAX(...)                                                                                                       \
    .attr = &(const tl_sum_attr) { __VA_ARGS__ }
TL_OP(max, .min_in = 1, .max_in = 1, .shape = max_shape, .attr_size = sizeof(tl_sum_attr), .vjp = max_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(5) }, MAX(0, 1, 0) }, { 1, { TL_CASE_SHAPE(2, 3, 4) }, MAX(0, 1, 0) },
               { 1, { TL_CASE_SHAPE(2, 3, 4) }, MAX(1, 2, 1) }, { 1, { TL_CASE_SHAPE(2, 3, 4) }, MAX(1, 3, 0) },
               { 1, { TL_CASE_SHAPE(3, 1) }, MAX(1, 2, 1) }, { 1, { TL_CASE_SHAPE(0, 3) }, MAX(1, 2, 0) },
               { 1, { TL_CASE_SHAPE(0, 3) }, MAX(0, 1, 0), .rejects = true },
               { 1, { TL_CASE_SHAPE(3) }, MAX(1, 2, 0), .rejects = true }));

static tl_tensor max_range(tl_place at, tl_tensor x, int64_t begin, int64_t end, bool keep)
{
    return tl_apply_at(at, &tl_op_max, &x, 1, &(tl_sum_attr){ begin, end, keep });
}

/* One op whatever the axes, so that ties share evenly: they are brought to the end first if they do not lie
 * together. */
static tl_tensor max_axes(tl_place at, tl_tensor x, int n, const int *axes, bool keep)
{
    const tl_shape s = tl_shape_of(x);
    unsigned set = n ? 0 : (1u << s.rank) - 1;
    for (int i = 0; i < n; i++) {
        const int64_t a = tl_axis(axes[i], s.rank);
        if (a < 0 || a >= s.rank) return max_range(at, x, a, a + 1, keep); /* is refused there */
        if (set >> a & 1) return max_range(at, x, a, a, keep);
        set |= 1u << a;
    }
    if (!set) return tl_apply_at(at, tl_op_of_role(TL_ROLE_COPY), &x, 1, NULL);
    int order[TL_MAX_RANK] = { 0 }, kept = 0, begin = 0, count = 0;
    int64_t left[TL_MAX_RANK] = { 0 };
    for (int a = 0; a < s.rank; a++)
        if (!(set >> a & 1)) order[kept++] = a;
    for (int a = 0, k = kept; a < s.rank; a++) {
        left[a] = set >> a & 1 ? 1 : s.dim[a];
        if (set >> a & 1) order[k++] = a, count++;
    }
    while (!(set >> begin & 1)) begin++;
    if (set == ((1u << count) - 1) << begin) return max_range(at, x, begin, begin + count, keep);
    x = max_range(at, tl_permute_at(at, x, order), kept, s.rank, false);
    return keep ? tl_reshape_at(at, x, s.rank, left) : x;
}

tl_tensor tl_max_at(tl_place at, tl_tensor x, int n, const int *axes) { return max_axes(at, x, n, axes, false); }
tl_tensor tl_max_keep_at(tl_place at, tl_tensor x, int n, const int *axes) { return max_axes(at, x, n, axes, true); }
tl_tensor(tl_max)(tl_tensor x, int n, const int *axes) { return tl_max_at(TL_NOWHERE, x, n, axes); }
tl_tensor(tl_max_keep)(tl_tensor x, int n, const int *axes) { return tl_max_keep_at(TL_NOWHERE, x, n, axes); }

#endif
