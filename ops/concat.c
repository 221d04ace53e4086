/* ops/concat.c - y = x_0, x_1, ... joined along an axis;  dx_i = its part of g */
#include "ops/define.h"
#ifdef TL_REAL

KERNEL(concat)
{
    const int64_t axis = ((const tl_concat_attr *)r->attr)->axis;
    const int64_t outer = tl_span(r->out_desc, 0, axis), row = tl_span(r->out_desc, axis, r->out_desc->rank);
    bits *y = r->out;
    for (int k = 0; k < r->n_in; k++) {
        const int64_t n = tl_span(&r->in_desc[k], axis, r->in_desc[k].rank);
        const bits *x = r->in[k];
        for (int64_t o = 0; n && o < outer; o++) memcpy(y + o * row, x + o * n, (size_t)n * sizeof *y);
        y += n;
    }
    return TL_OK;
}

#else

static bool concat_shape(tl_shape_rule *r)
{
    const int64_t axis = ((const tl_concat_attr *)r->attr)->axis;
    if (!tl_axis_fits(r, axis)) return false;
    r->out = r->in[0];
    for (int k = 1; k < r->n_in; k++) {
        const tl_shape *x = &r->in[k];
        bool fits = x->rank == r->out.rank;
        for (int i = 0; fits && i < x->rank; i++) fits = i == axis || x->dim[i] == r->out.dim[i];
        if (!fits) return tl_refuse(r, TL_E_SHAPE, "operands 0 and %d differ in more than axis %d", k, (int)axis);
        if (x->dtype != r->out.dtype) return tl_refuse(r, TL_E_DTYPE, "operands 0 and %d are of different types", k);
        if (__builtin_add_overflow(r->out.dim[axis], x->dim[axis], &r->out.dim[axis]))
            return tl_refuse(r, TL_E_SHAPE, "too large");
    }
    return true;
}

static tl_tensor concat_vjp(const tl_vjp *v, int i)
{
    const int axis = (int)((const tl_concat_attr *)v->attr)->axis;
    int64_t begin = 0;
    for (int k = 0; k < i; k++) begin += tl_dim(v->in[k], axis);
    return tl_slice(v->g, axis, begin, begin + tl_dim(v->in[i], axis));
}

#define AXIS(a)                                                                                                        \
    .attr = &(const tl_concat_attr) { a }
TL_OP(concat, .min_in = 1, .max_in = -1, .cls = TL_MOVE, .role = TL_ROLE_CONCAT, .takes_i32 = true,
      .attr_size = sizeof(tl_concat_attr), .shape = concat_shape, .vjp = concat_vjp,
      TL_CASES({ 2, { TL_CASE_SHAPE(2), TL_CASE_SHAPE(3) }, AXIS(0) },
               { 3, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 1), TL_CASE_SHAPE(2, 4) }, AXIS(1) },
               { 2, { TL_CASE_SHAPE(2, 3, 2), TL_CASE_SHAPE(2, 1, 2) }, AXIS(1) },
               { 1, { TL_CASE_SHAPE(2, 3) }, AXIS(0) },
               { 3, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(0, 3), TL_CASE_SHAPE(1, 3) }, AXIS(0) },
               { 2, { TL_CASE_IDS(2), TL_CASE_IDS(3) }, AXIS(0), .ids = 9 },
               { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(3, 3) }, AXIS(1), .rejects = true },
               { 2, { TL_CASE_SCALAR, TL_CASE_SCALAR }, AXIS(0), .rejects = true },
               { 2, { TL_CASE_SHAPE(2), TL_CASE_IDS(2) }, AXIS(0), .ids = 9, .rejects = true }));

tl_tensor tl_concat_at(tl_place at, int n, const tl_tensor *x, int axis)
{
    int rank = 0;
    for (int k = 0; k < n && !rank; k++) rank = tl_rank(x[k]);
    return tl_apply_at(at, &tl_op_concat, x, n, &(tl_concat_attr){ tl_axis(axis, rank) });
}
tl_tensor(tl_concat)(int n, const tl_tensor *x, int axis) { return tl_concat_at(TL_NOWHERE, n, x, axis); }

#endif
