/* ops/sum.c - y = C0 + sum of x over axes begin..end-1;  dx = g, spread over them;  dC0 = g.
 *
 * Over leading axes rows are added to C0 (or 0) one after the other, so a sum may be cut into parts that carry C0
 * on. Over axes up to the last, 16 lanes (index mod 16) are added up and joined in a fixed tree, then C0 is added:
 * the same bits on every machine and for both types. */
#include "ops/define.h"
#ifdef TL_REAL

#include "ops/kernels/lanes.h"

/* y [outer, inner] = C0 + x [outer, n, inner], row by row; four at a time, to read and write y less often */
static void sum_rows(const real *x, real *y, int64_t outer, int64_t n, int64_t inner)
{
    for (int64_t o = 0; o < outer; o++, y += inner) {
        int64_t k = 0;
        for (; k + 4 <= n; k += 4, x += 4 * inner) {
            const real *a = x, *b = a + inner, *c = b + inner, *d = c + inner;
            TL_SIMD
            for (int64_t i = 0; i < inner; i++) y[i] = y[i] + a[i] + b[i] + c[i] + d[i];
        }
        for (; k < n; k++, x += inner) TL_SIMD
        for (int64_t i = 0; i < inner; i++) y[i] += x[i];
    }
}

KERNEL(sum)
{
    const tl_sum_attr *a = r->attr;
    const int64_t outer = tl_span(r->in_desc, 0, a->axis_begin), n = tl_span(r->in_desc, a->axis_begin, a->axis_end);
    const int64_t inner = tl_span(r->in_desc, a->axis_end, r->in_desc->rank);
    const real *x = r->in[0], *c = r->n_in > 1 ? r->in[1] : NULL;
    real *y = r->out;
    if (c == y) {
    } /* in its place */
    else if (c)
        memcpy(y, c, (size_t)(outer * inner) * sizeof(real));
    else memset(y, 0, (size_t)(outer * inner) * sizeof(real));
    if (a->axis_end < r->in_desc->rank) sum_rows(x, y, outer, n, inner);
    else
        for (int64_t o = 0; o < outer; o++) y[o] += lanes_sum(x + o * n, n);
    return TL_OK;
}

#else

static bool sum_shape(tl_shape_rule *r)
{
    const tl_sum_attr *a = r->attr;
    const tl_shape *x = r->in;
    if (!tl_axis_fits(r, a->axis_begin) || (a->axis_end != x->rank && !tl_axis_fits(r, a->axis_end))) return false;
    if (a->axis_end <= a->axis_begin) return tl_refuse(r, TL_E_ARGUMENT, "axis %d is named twice", (int)a->axis_begin);
    for (int i = 0; i < x->rank; i++) {
        const bool gone = i >= a->axis_begin && i < a->axis_end;
        if (!gone || a->keepdims) r->out.dim[r->out.rank++] = gone ? 1 : x->dim[i];
    }
    if (r->n_in < 2) return true;
    bool same = r->in[1].rank == r->out.rank && r->in[1].dtype == r->out.dtype;
    for (int i = 0; same && i < r->out.rank; i++) same = r->in[1].dim[i] == r->out.dim[i];
    return same || tl_refuse(r, TL_E_SHAPE, "the sum does not have the shape of what it starts from");
}

/* g with its reduced axes back, of size 1, then spread. */
static tl_tensor sum_vjp(const tl_vjp *v, int i)
{
    const tl_sum_attr *a = v->attr;
    tl_shape s = tl_shape_of(v->in[0]);
    if (i == 1) return v->g;
    int64_t full[TL_MAX_RANK];
    memcpy(full, s.dim, sizeof full);
    for (int64_t k = a->axis_begin; k < a->axis_end; k++) s.dim[k] = 1;
    return tl_broadcast_to(a->keepdims ? v->g : tl_reshape(v->g, s.rank, s.dim), s.rank, full);
}

#define SUM_ATTR(...)                                                                                                  \
    .attr = &(const tl_sum_attr) { __VA_ARGS__ }
TL_OP(sum, .min_in = 1, .max_in = 2, .optional = 2, .cls = TL_REDUCE, .role = TL_ROLE_SUM, .shape = sum_shape,
      .attr_size = sizeof(tl_sum_attr), .vjp = sum_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(5) }, SUM_ATTR(0, 1, 0) }, { 1, { TL_CASE_SHAPE(2, 3, 4) }, SUM_ATTR(0, 1, 0) },
               { 1, { TL_CASE_SHAPE(2, 3, 4) }, SUM_ATTR(1, 2, 1) },
               { 1, { TL_CASE_SHAPE(2, 3, 40) }, SUM_ATTR(2, 3, 1) },
               { 1, { TL_CASE_SHAPE(2, 3, 7) }, SUM_ATTR(0, 3, 0) },
               { 1, { TL_CASE_SHAPE(2, 3, 4) }, SUM_ATTR(1, 3, 0) },
               { 2, { TL_CASE_SHAPE(3, 4), TL_CASE_SHAPE(4) }, SUM_ATTR(0, 1, 0) },
               { 2, { TL_CASE_SHAPE(3, 4), TL_CASE_SHAPE(3, 1) }, SUM_ATTR(1, 2, 1) },
               { 1, { TL_CASE_SHAPE(0, 3) }, SUM_ATTR(0, 1, 0) }, { 1, { TL_CASE_SHAPE(3, 0) }, SUM_ATTR(1, 2, 0) },
               { 2, { TL_CASE_SHAPE(3, 4), TL_CASE_SHAPE(3) }, SUM_ATTR(0, 1, 0), .rejects = true },
               { 1, { TL_CASE_SHAPE(3) }, SUM_ATTR(1, 2, 0), .rejects = true },
               { 1, { TL_CASE_SHAPE(3) }, SUM_ATTR(0, 0, 0), .rejects = true }));

static tl_tensor sum_range(tl_place at, tl_tensor x, int64_t begin, int64_t end, bool keep)
{
    return tl_apply_at(at, &tl_op_sum, &x, 1, &(tl_sum_attr){ begin, end, keep });
}

/* Reduced axes from the last group to the first, so that axis numbers stay right. */
static tl_tensor sum_axes(tl_place at, tl_tensor x, int n, const int *axes, bool keep)
{
    const int rank = tl_rank(x);
    unsigned set = n ? 0 : (1u << rank) - 1;
    for (int i = 0; i < n; i++) {
        const int64_t a = tl_axis(axes[i], rank);
        if (a < 0 || a >= rank) return sum_range(at, x, a, a + 1, keep); /* is refused there */
        if (set >> a & 1) return sum_range(at, x, a, a, keep);
        set |= 1u << a;
    }
    if (!set) return tl_apply_at(at, tl_op_of_role(TL_ROLE_COPY), &x, 1, NULL);
    for (int end = rank; end > 0; end--) {
        if (!(set >> (end - 1) & 1)) continue;
        int begin = end - 1;
        while (begin && set >> (begin - 1) & 1) begin--;
        x = sum_range(at, x, begin, end, keep);
        end = begin;
    }
    return x;
}

tl_tensor tl_sum_at(tl_place at, tl_tensor x, int n, const int *axes) { return sum_axes(at, x, n, axes, false); }
tl_tensor tl_sum_keep_at(tl_place at, tl_tensor x, int n, const int *axes) { return sum_axes(at, x, n, axes, true); }
tl_tensor(tl_sum)(tl_tensor x, int n, const int *axes) { return tl_sum_at(TL_NOWHERE, x, n, axes); }
tl_tensor(tl_sum_keep)(tl_tensor x, int n, const int *axes) { return tl_sum_keep_at(TL_NOWHERE, x, n, axes); }

#endif
