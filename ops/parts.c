/* ops/parts.c - at, split and stack, made of slice, concat and reshape. */
#include "ops/define.h"

static bool at_refused(tl_shape_rule *r)
{
    const tl_slice_attr *a = r->attr;
    if (!r->in->rank) return tl_refuse(r, TL_E_SHAPE, "a scalar has no elements to choose from");
    return tl_refuse(r, TL_E_SHAPE, "there is no element %lld", (long long)a->begin);
}
TL_REFUSAL(at, tl_slice_attr, at_refused);

tl_tensor tl_at_at(tl_place at, tl_tensor x, int64_t i)
{
    tl_shape s = tl_shape_of(x);
    const int64_t n = s.dim[0], k = i < 0 ? i + n : i;
    if (!s.rank || k < 0 || k >= n) return tl_apply_at(at, &refusal_at, &x, 1, &(tl_slice_attr){ 0, i, 0 });
    for (int a = 1; a < s.rank; a++) s.dim[a - 1] = s.dim[a];
    return tl_reshape_at(at, tl_slice_at(at, x, 0, k, k + 1), s.rank - 1, s.dim);
}
tl_tensor(tl_at)(tl_tensor x, int64_t i) { return tl_at_at(TL_NOWHERE, x, i); }

static bool split_refused(tl_shape_rule *r)
{
    const tl_slice_attr *a = r->attr;
    if (!tl_axis_fits(r, a->axis)) return false;
    return tl_refuse(r, TL_E_SHAPE, "axis %lld has %lld elements, which %lld does not divide", (long long)a->axis,
                     (long long)r->in->dim[a->axis], (long long)a->begin);
}
TL_REFUSAL(split, tl_slice_attr, split_refused);

void tl_split_at(tl_place at, tl_tensor x, int n, int axis, tl_tensor *out)
{
    const int rank = tl_rank(x);
    const int64_t a = tl_axis(axis, rank), d = tl_dim(x, axis);
    const bool fits = n > 0 && a >= 0 && a < rank && d % n == 0;
    const tl_tensor refused = fits ? TL_NONE : tl_apply_at(at, &refusal_split, &x, 1, &(tl_slice_attr){ a, n, 0 });
    for (int i = 0; i < n; i++) out[i] = fits ? tl_slice_at(at, x, (int)a, i * (d / n), (i + 1) * (d / n)) : refused;
}
void(tl_split)(tl_tensor x, int n, int axis, tl_tensor *out) { tl_split_at(TL_NOWHERE, x, n, axis, out); }

static bool stack_refused(tl_shape_rule *r)
{
    const int64_t k = ((const tl_concat_attr *)r->attr)->axis;
    if (k > 0) return tl_refuse(r, TL_E_SHAPE, "operands 0 and %lld are not of one shape", (long long)k);
    return tl_refuse(r, TL_E_ARGUMENT, "%s",
                     r->in->rank < TL_MAX_RANK ? "there is no such axis" : "no room for another axis");
}
TL_REFUSAL(stack, tl_concat_attr, stack_refused);

/* Joined under a new last axis: each operand gets it first. In parts, since no memory is at hand for many handles. */
static tl_tensor stack_last(tl_place at, int n, const tl_tensor *x)
{
    enum { PARTS = 64 };
    tl_tensor part[PARTS];
    tl_shape s = tl_shape_of(x[0]);
    s.dim[s.rank] = 1;
    int k = 0;
    for (int left = n; left > 0; k++) {
        const int here = n <= PARTS ? 1 : (left + PARTS - k - 1) / (PARTS - k);
        part[k] = here == 1 ? tl_reshape_at(at, *x, s.rank + 1, s.dim) : stack_last(at, here, x);
        x += here;
        left -= here;
    }
    return tl_concat_at(at, k, part, s.rank);
}

tl_tensor tl_stack_at(tl_place at, int n, const tl_tensor *x, int axis)
{
    if (n < 1) return tl_concat_at(at, n, x, 0);
    tl_shape s = tl_shape_of(x[0]);
    const int64_t a = tl_axis(axis, s.rank + 1);
    for (int k = 0; k < n; k++) {
        const tl_shape t = tl_shape_of(x[k]);
        if (tl_absent(x[k])) return tl_concat_at(at, n, x, 0); /* which says so */
        if (t.rank != s.rank || memcmp(t.dim, s.dim, (size_t)s.rank * sizeof *s.dim))
            return tl_apply_at(at, &refusal_stack, x, 1, &(tl_concat_attr){ k });
    }
    if (a < 0 || a > s.rank || s.rank == TL_MAX_RANK)
        return tl_apply_at(at, &refusal_stack, x, 1, &(tl_concat_attr){ 0 });
    if (a == s.rank) return stack_last(at, n, x);
    memmove(s.dim + a + 1, s.dim + a, (size_t)(s.rank - a) * sizeof *s.dim);
    s.dim[a] = n;
    return tl_reshape_at(at, tl_concat_at(at, n, x, (int)a), s.rank + 1, s.dim);
}
tl_tensor(tl_stack)(int n, const tl_tensor *x, int axis) { return tl_stack_at(TL_NOWHERE, n, x, axis); }
