/* ops/shapes.c - squeeze, expand_dims, tile and roll, made of reshape, broadcast_to, slice and concat. */
#include "ops/define.h"

static bool squeeze_refused(tl_shape_rule *r)
{
    const int64_t axis = ((const tl_concat_attr *)r->attr)->axis;
    return tl_axis_fits(r, axis) && tl_refuse(r, TL_E_SHAPE, "axis %lld has %lld elements, not one", (long long)axis,
                                              (long long)r->in->dim[axis]);
}
TL_REFUSAL(squeeze, tl_concat_attr, squeeze_refused);

tl_tensor tl_squeeze_at(tl_place at, tl_tensor x, int axis)
{
    tl_shape s = tl_shape_of(x);
    const int64_t a = tl_axis(axis, s.rank);
    if (a < 0 || a >= s.rank || s.dim[a] != 1) return tl_apply_at(at, &refusal_squeeze, &x, 1, &(tl_concat_attr){ a });
    memmove(s.dim + a, s.dim + a + 1, (size_t)(s.rank - a - 1) * sizeof *s.dim);
    return tl_reshape_at(at, x, s.rank - 1, s.dim);
}
tl_tensor(tl_squeeze)(tl_tensor x, int axis) { return tl_squeeze_at(TL_NOWHERE, x, axis); }

static bool expand_dims_refused(tl_shape_rule *r)
{
    return tl_refuse(r, TL_E_ARGUMENT, "%s",
                     r->in->rank < TL_MAX_RANK ? "there is no such axis" : "no room for another axis");
}
TL_REFUSAL(expand_dims, tl_concat_attr, expand_dims_refused);

tl_tensor tl_expand_dims_at(tl_place at, tl_tensor x, int axis)
{
    tl_shape s = tl_shape_of(x);
    const int64_t a = tl_axis(axis, s.rank + 1);
    if (a < 0 || a > s.rank || s.rank == TL_MAX_RANK)
        return tl_apply_at(at, &refusal_expand_dims, &x, 1, &(tl_concat_attr){ a });
    memmove(s.dim + a + 1, s.dim + a, (size_t)(s.rank - a) * sizeof *s.dim);
    s.dim[a] = 1;
    return tl_reshape_at(at, x, s.rank + 1, s.dim);
}
tl_tensor(tl_expand_dims)(tl_tensor x, int axis) { return tl_expand_dims_at(TL_NOWHERE, x, axis); }

static bool tile_refused(tl_shape_rule *r)
{
    const long long n = ((const tl_concat_attr *)r->attr)->axis;
    if (n < 0) return tl_refuse(r, TL_E_ARGUMENT, "%lld repeats", n);
    return tl_refuse(r, TL_E_SHAPE, "too large, or more than %d axes", TL_MAX_RANK);
}
TL_REFUSAL(tile, tl_concat_attr, tile_refused);

/* Axis by axis, each under [before, repeats, axis and after]. */
tl_tensor tl_tile_at(tl_place at, tl_tensor x, int n, const int64_t *repeats)
{
    tl_shape s = tl_shape_of(x);
    const int rank = n > s.rank ? n : s.rank, extra = rank - s.rank;
    if (n < 0 || rank > TL_MAX_RANK) return tl_apply_at(at, &refusal_tile, &x, 1, &(tl_concat_attr){ n });
    memmove(s.dim + extra, s.dim, (size_t)s.rank * sizeof *s.dim);
    for (int a = 0; a < extra; a++) s.dim[a] = 1;
    x = tl_reshape_at(at, x, rank, s.dim);
    for (int i = 0; i < n; i++) {
        const int a = rank - n + i;
        int64_t before = 1, after = 1, d;
        for (int k = 0; k < rank; k++) *(k < a ? &before : &after) *= s.dim[k];
        if (repeats[i] < 0 || __builtin_mul_overflow(s.dim[a], repeats[i], &d))
            return tl_apply_at(at, &refusal_tile, &x, 1, &(tl_concat_attr){ repeats[i] });
        if (repeats[i] == 1) continue;
        s.dim[a] = d;
        x = tl_reshape_at(at, x, 3, (int64_t[]){ before, 1, after });
        x = tl_broadcast_to_at(at, x, 3, (int64_t[]){ before, repeats[i], after });
        x = tl_reshape_at(at, x, rank, s.dim);
    }
    return x;
}
tl_tensor(tl_tile)(tl_tensor x, int n, const int64_t *repeats) { return tl_tile_at(TL_NOWHERE, x, n, repeats); }

TL_AXIS_REFUSAL(roll);
tl_tensor tl_roll_at(tl_place at, tl_tensor x, int64_t shift, int axis)
{
    if (tl_lacks_axis(x, axis)) return tl_apply_at(at, &refusal_roll, &x, 1, TL_AXIS(axis, x));
    const int64_t n = tl_dim(x, axis), by = n ? (shift % n + n) % n : 0;
    const tl_tensor end = tl_slice_at(at, x, axis, n - by, n), begin = tl_slice_at(at, x, axis, 0, n - by);
    return tl_concat_at(at, 2, (tl_tensor[]){ end, begin }, axis);
}
tl_tensor(tl_roll)(tl_tensor x, int64_t shift, int axis) { return tl_roll_at(TL_NOWHERE, x, shift, axis); }
