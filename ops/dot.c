/* ops/dot.c - dot: y = sum_i a_i b_i over the last axes;  outer: y_ij = a_i b_j of the last axes. Made of mul and sum.
 *             bilinear: y_o = a W_o b. */
#include "ops/define.h"

static bool dot_refused(tl_shape_rule *r)
{
    const int64_t n = ((const tl_concat_attr *)r->attr)->axis;
    if (!r->in->rank || n < 0) return tl_refuse(r, TL_E_SHAPE, "a scalar has no last axis");
    return tl_refuse(r, TL_E_SHAPE, "last axes of %lld and %lld elements", (long long)r->in->dim[r->in->rank - 1],
                     (long long)n);
}
TL_REFUSAL(dot, tl_concat_attr, dot_refused);

static bool outer_refused(tl_shape_rule *r)
{
    if (r->in->rank == TL_MAX_RANK) return tl_refuse(r, TL_E_SHAPE, "no room for another axis");
    return tl_refuse(r, TL_E_SHAPE, "a scalar has no last axis");
}
TL_REFUSAL(outer, tl_concat_attr, outer_refused);

tl_tensor tl_dot_at(tl_place at, tl_tensor a, tl_tensor b)
{
    const int64_t n = tl_rank(b) ? tl_dim(b, -1) : -1;
    const bool whole = !tl_absent(a) && !tl_absent(b); /* mul says so if not */
    if (whole && (!tl_rank(a) || tl_dim(a, -1) != n))
        return tl_apply_at(at, &refusal_dot, &a, 1, &(tl_concat_attr){ n });
    return tl_sum_at(at, tl_mul_at(at, a, b), 1, (int[]){ -1 });
}
tl_tensor(tl_dot)(tl_tensor a, tl_tensor b) { return tl_dot_at(TL_NOWHERE, a, b); }

tl_tensor tl_outer_at(tl_place at, tl_tensor a, tl_tensor b)
{
    const tl_tensor x[] = { a, b };
    for (int k = 0; k < 2 && !tl_absent(a) && !tl_absent(b); k++)
        if (!tl_rank(x[k]) || tl_rank(x[k]) == TL_MAX_RANK)
            return tl_apply_at(at, &refusal_outer, &x[k], 1, &(tl_concat_attr){ 0 });
    if (tl_absent(a) || tl_absent(b)) return tl_mul_at(at, a, b);
    return tl_mul_at(at, tl_expand_dims_at(at, a, -1), tl_expand_dims_at(at, b, -2));
}
tl_tensor(tl_outer)(tl_tensor a, tl_tensor b) { return tl_outer_at(TL_NOWHERE, a, b); }

static bool bilinear_refused(tl_shape_rule *r)
{
    return tl_refuse(r, TL_E_SHAPE, "they should be [...,I], [O,I,J] and [...,J]");
}
TL_REFUSAL(bilinear, tl_concat_attr, bilinear_refused);

tl_tensor tl_bilinear_at(tl_place at, tl_tensor a, tl_tensor W, tl_tensor b)
{
    const int64_t O = tl_dim(W, 0), I = tl_dim(W, 1), J = tl_dim(W, 2);
    bool fits = tl_rank(W) == 3 && tl_rank(a) && tl_rank(a) == tl_rank(b) && tl_dim(a, -1) == I && tl_dim(b, -1) == J;
    for (int k = 0; k < tl_rank(a) - 1; k++) fits &= tl_dim(a, k) == tl_dim(b, k);
    if (!fits) return tl_apply_at(at, &refusal_bilinear, (tl_tensor[]){ a, W, b }, 3, &(tl_concat_attr){ 0 });
    tl_shape s = tl_shape_of(a);
    s.dim[s.rank - 1] = O;
    /* [rows, 1, I] times W as [I, O J], then summed with b */
    const tl_tensor left = tl_reshape_at(at, tl_permute_at(at, W, (int[]){ 1, 0, 2 }), TL_DIMS(I, O * J));
    int64_t rows = 1;
    for (int k = 0; k < s.rank - 1; k++) rows *= s.dim[k];
    const tl_tensor aW = tl_gemm_at(at, TL_NONE, tl_reshape_at(at, a, TL_DIMS(rows, I)), left, false, false);
    const tl_tensor bs = tl_reshape_at(at, b, TL_DIMS(rows, 1, J));
    return tl_reshape_at(at, tl_dot_at(at, tl_reshape_at(at, aW, TL_DIMS(rows, O, J)), bs), s.rank, s.dim);
}
tl_tensor(tl_bilinear)(tl_tensor a, tl_tensor W, tl_tensor b) { return tl_bilinear_at(TL_NOWHERE, a, W, b); }
