/* ops/dot.c - dot: y = sum_i a_i b_i over the last axes;  outer: y_ij = a_i b_j of the last axes. Made of mul and sum. */
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
