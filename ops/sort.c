/* ops/sort.c - argsort: i32 indices that put an axis in order, the first `count` of them; stable; a NaN is the largest.
 *     sort, topk: the numbers taken by these indices, which also take the gradient back. */
#include "ops/define.h"

typedef struct sort_attr {
    int64_t axis, count, largest; /* ascending, or the largest first? */
} sort_attr;

#ifdef TL_REAL

/* The result is i32 and so comes from the f32 kernel, whatever x is. Runs of 1, 2, 4 ... are merged: the left one goes
 * first unless the right one must. */
#define SORT(type)                                                                                                     \
    static bool before_##type(type a, type b, bool largest)                                                            \
    {                                                                                                                  \
        return largest ? a > b || (a != a && b == b) : a < b || (a == a && b != b);                                    \
    }                                                                                                                  \
    static const int32_t *sort_##type(const type *x, int64_t step, int64_t n, bool largest, int32_t *id, int32_t *to)  \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++) id[i] = (int32_t)i;                                                            \
        for (int64_t run = 1; run < n; run *= 2) {                                                                     \
            for (int64_t k = 0; k < n;) {                                                                              \
                int64_t p = k, mid = k + run < n ? k + run : n, q = mid, end = mid + run < n ? mid + run : n;          \
                for (; k < end; k++) {                                                                                 \
                    const bool right = p == mid ||                                                                     \
                                       (q < end && before_##type(x[id[q] * step], x[id[p] * step], largest));          \
                    to[k] = right ? id[q++] : id[p++];                                                                 \
                }                                                                                                      \
            }                                                                                                          \
            int32_t *const swap = id;                                                                                  \
            id = to;                                                                                                   \
            to = swap;                                                                                                 \
        }                                                                                                              \
        return id;                                                                                                     \
    }
SORT(float)
SORT(double)

KERNEL(argsort)
{
    const sort_attr *a = r->attr;
    const tl_desc *d = r->in_desc;
    const int64_t outer = tl_span(d, 0, a->axis), n = d->dim[a->axis], inner = tl_span(d, a->axis + 1, d->rank);
    int32_t *y = r->out, *id = r->work;
    for (int64_t o = 0; n && o < outer; o++, y += a->count * inner)
        for (int64_t i = 0; i < inner; i++) {
            const int64_t at = o * n * inner + i;
            const int32_t *by = d->dtype == TL_F64
                                    ? sort_double((const double *)r->in[0] + at, inner, n, a->largest, id, id + n)
                                    : sort_float((const float *)r->in[0] + at, inner, n, a->largest, id, id + n);
            for (int64_t k = 0; k < a->count; k++) y[k * inner + i] = by[k];
        }
    return TL_OK;
}

#else

static bool argsort_shape(tl_shape_rule *r)
{
    const sort_attr *a = r->attr;
    if (!tl_needs_float(r, 0) || !tl_axis_fits(r, a->axis)) return false;
    const int64_t n = r->in->dim[a->axis];
    if (n > INT32_MAX) return tl_refuse(r, TL_E_SHAPE, "axis %d is too long for i32", (int)a->axis);
    if (a->count < 0 || a->count > n)
        return tl_refuse(r, TL_E_SHAPE, "there are not %lld of %lld elements (axis %d)", (long long)a->count,
                         (long long)n, (int)a->axis);
    r->out = r->in[0];
    r->out.dim[a->axis] = a->count;
    r->out.dtype = TL_I32;
    return true;
}

static size_t argsort_work(const tl_desc *out, const tl_desc *in, int n_in, const void *attr)
{
    (void)out, (void)n_in;
    return (size_t)in->dim[((const sort_attr *)attr)->axis] * 2 * sizeof(int32_t);
}

#define ORDER(...)                                                                                                     \
    .attr = &(const sort_attr) { __VA_ARGS__ }
TL_OP(argsort, .min_in = 1, .max_in = 1, .attr_size = sizeof(sort_attr), .shape = argsort_shape, .work = argsort_work,
      .no_gradient = true,
      TL_CASES({ 1, { TL_CASE_SHAPE(5) }, ORDER(0, 5, 0) }, { 1, { TL_CASE_SHAPE(2, 7, 3) }, ORDER(1, 7, 0) },
               { 1, { TL_CASE_SHAPE(2, 9) }, ORDER(1, 4, 1) }, { 1, { TL_CASE_SHAPE(3, 1) }, ORDER(1, 1, 1) },
               { 1, { TL_CASE_SHAPE(3, 0) }, ORDER(1, 0, 0) }, { 1, { TL_CASE_SHAPE(0, 3) }, ORDER(1, 3, 0) },
               { 1, { TL_CASE_SHAPE(3) }, ORDER(0, 0, 1) },
               { 1, { TL_CASE_SHAPE(3) }, ORDER(0, 4, 1), .rejects = true },
               { 1, { TL_CASE_SHAPE(3) }, ORDER(0, -1, 1), .rejects = true },
               { 1, { TL_CASE_SCALAR }, ORDER(0, 1, 0), .rejects = true },
               { 1, { TL_CASE_IDS(3) }, ORDER(0, 3, 0), .ids = 3, .rejects = true }));

tl_tensor tl_argsort_at(tl_place at, tl_tensor x, int axis)
{
    return tl_apply_at(at, &tl_op_argsort, &x, 1, &(sort_attr){ tl_axis(axis, tl_rank(x)), tl_dim(x, axis), 0 });
}
TL_REFUSAL(sort, sort_attr, argsort_shape);
TL_REFUSAL(topk, sort_attr, argsort_shape);

/* The first k in order and their ids; `refusal` says what argsort would, under another name. */
static tl_tensor sorted(tl_place at, const struct tl_op *refusal, tl_tensor x, const sort_attr *a, tl_tensor *ids)
{
    const bool fits = !tl_lacks_axis(x, a->axis) && a->count >= 0 && a->count <= tl_dim(x, (int)a->axis) &&
                      tl_dtype_of(x) != TL_I32;
    *ids = tl_apply_at(at, fits ? &tl_op_argsort : refusal, &x, 1, a);
    return fits ? tl_take_along_at(at, x, *ids, (int)a->axis) : *ids;
}

tl_tensor tl_sort_at(tl_place at, tl_tensor x, int axis)
{
    tl_tensor ids;
    return sorted(at, &refusal_sort, x, &(sort_attr){ tl_axis(axis, tl_rank(x)), tl_dim(x, axis), 0 }, &ids);
}
tl_tensor tl_topk_at(tl_place at, tl_tensor x, int64_t k, int axis, tl_tensor *ids)
{
    tl_tensor unwanted;
    return sorted(at, &refusal_topk, x, &(sort_attr){ tl_axis(axis, tl_rank(x)), k, 1 }, ids ? ids : &unwanted);
}
tl_tensor(tl_argsort)(tl_tensor x, int axis) { return tl_argsort_at(TL_NOWHERE, x, axis); }
tl_tensor(tl_sort)(tl_tensor x, int axis) { return tl_sort_at(TL_NOWHERE, x, axis); }
tl_tensor(tl_topk)(tl_tensor x, int64_t k, int axis, tl_tensor *ids) { return tl_topk_at(TL_NOWHERE, x, k, axis, ids); }

#endif
