/* ops/along.c - take_along: y[o, j, i] = x[o, id[o, j, i], i] along an axis;  dx = add_along(g)
 *               add_along: y[o, id[o, j, i], i] = the sum of such x[o, j, i], in order;  dx = take_along(g) */
#include "ops/define.h"

typedef struct along_attr {
    int64_t axis, size; /* of the result along the axis (add_along) */
} along_attr;

#ifdef TL_REAL

#include "ops/kernels/ids.h"

KERNEL(take_along)
{
    const int64_t axis = ((const along_attr *)r->attr)->axis, n = r->in_desc->dim[axis], m = r->out_desc->dim[axis];
    const int64_t outer = tl_span(r->out_desc, 0, axis), inner = tl_span(r->out_desc, axis + 1, r->out_desc->rank);
    const int32_t *id = r->in[1];
    const bits *x = r->in[0];
    bits *y = r->out;
    const tl_status bad = check_ids(r, id, outer * m * inner, n);
    for (int64_t o = 0; !bad && o < outer; o++, x += n * inner)
        for (int64_t j = 0; j < m; j++)
            for (int64_t i = 0; i < inner; i++) *y++ = x[*id++ * inner + i];
    return bad;
}

KERNEL(add_along)
{
    const int64_t axis = ((const along_attr *)r->attr)->axis, n = r->out_desc->dim[axis], m = r->in_desc->dim[axis];
    const int64_t outer = tl_span(r->out_desc, 0, axis), inner = tl_span(r->out_desc, axis + 1, r->out_desc->rank);
    const int32_t *id = r->in[1];
    const real *x = r->in[0];
    real *y = r->out;
    const tl_status bad = check_ids(r, id, outer * m * inner, n);
    if (!bad) memset(y, 0, (size_t)(outer * n * inner) * sizeof *y);
    for (int64_t o = 0; !bad && o < outer; o++, y += n * inner)
        for (int64_t j = 0; j < m; j++)
            for (int64_t i = 0; i < inner; i++) y[*id++ * inner + i] += *x++;
    return bad;
}

#else

static bool take_along_shape(tl_shape_rule *r)
{
    const int64_t axis = ((const along_attr *)r->attr)->axis;
    const tl_shape *x = &r->in[0], *id = &r->in[1];
    if (!tl_needs_ids(r, 1) || !tl_axis_fits(r, axis)) return false;
    bool fits = id->rank == x->rank;
    for (int a = 0; fits && a < x->rank; a++) fits = a == axis || id->dim[a] == x->dim[a];
    r->out = *id;
    r->out.dtype = x->dtype;
    return fits || tl_refuse(r, TL_E_SHAPE, "numbers and ids differ in more than axis %d", (int)axis);
}

static bool add_along_shape(tl_shape_rule *r)
{
    const along_attr *a = r->attr;
    if (!tl_needs_float(r, 0) || !tl_needs_ids(r, 1) || !tl_axis_fits(r, a->axis)) return false;
    if (!tl_same_dims(&r->in[0], &r->in[1])) return tl_refuse(r, TL_E_SHAPE, "there is not one id for each number");
    if (a->size < 0) return tl_refuse(r, TL_E_ARGUMENT, "a negative size");
    r->out = r->in[0];
    r->out.dim[a->axis] = a->size;
    return true;
}

static tl_tensor take_along_vjp(const tl_vjp *v, int i);
static tl_tensor add_along_vjp(const tl_vjp *v, int i)
{
    return i ? TL_NONE : tl_take_along(v->g, v->in[1], (int)((const along_attr *)v->attr)->axis);
}

#define ALONG(...)                                                                                                     \
    .attr = &(const along_attr) { __VA_ARGS__ }
TL_OP(take_along, .min_in = 2, .max_in = 2, .cls = TL_GATHER, .takes_i32 = true, .attr_size = sizeof(along_attr),
      .shape = take_along_shape, .vjp = take_along_vjp,
      TL_CASES({ 2, { TL_CASE_SHAPE(4), TL_CASE_IDS(6) }, ALONG(0, 0), .ids = 4 },
               { 2, { TL_CASE_SHAPE(2, 3, 4), TL_CASE_IDS(2, 5, 4) }, ALONG(1, 0), .ids = 3 },
               { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_IDS(2, 2) }, ALONG(1, 0), .ids = 3 },
               { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_IDS(2, 0) }, ALONG(1, 0), .ids = 3 },
               { 2, { TL_CASE_IDS(2, 3), TL_CASE_IDS(4, 3) }, ALONG(0, 0), .ids = 2 },
               { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_IDS(3, 2) }, ALONG(1, 0), .ids = 2, .rejects = true },
               { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_IDS(2) }, ALONG(0, 0), .ids = 2, .rejects = true },
               { 2, { TL_CASE_SHAPE(2), TL_CASE_SHAPE(2) }, ALONG(0, 0), .rejects = true },
               { 2, { TL_CASE_SHAPE(2), TL_CASE_IDS(2) }, ALONG(1, 0), .ids = 2, .rejects = true }));
TL_OP(add_along, .min_in = 2, .max_in = 2, .cls = TL_GATHER, .takes_i32 = true, .attr_size = sizeof(along_attr),
      .shape = add_along_shape, .vjp = add_along_vjp,
      TL_CASES({ 2, { TL_CASE_SHAPE(6), TL_CASE_IDS(6) }, ALONG(0, 4), .ids = 4 },
               { 2, { TL_CASE_SHAPE(2, 5, 2), TL_CASE_IDS(2, 5, 2) }, ALONG(1, 3), .ids = 3 },
               { 2, { TL_CASE_SHAPE(2, 0), TL_CASE_IDS(2, 0) }, ALONG(1, 3), .ids = 3 },
               { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_IDS(2, 2) }, ALONG(1, 3), .ids = 3, .rejects = true },
               { 2, { TL_CASE_SHAPE(2), TL_CASE_IDS(2) }, ALONG(0, -1), .ids = 3, .rejects = true }));

static tl_tensor take_along_vjp(const tl_vjp *v, int i)
{
    const int64_t axis = ((const along_attr *)v->attr)->axis;
    return i ? TL_NONE
             : tl_apply(&tl_op_add_along, (tl_tensor[]){ v->g, v->in[1] }, 2,
                        &(along_attr){ axis, tl_dim(v->in[0], (int)axis) });
}

tl_tensor tl_take_along_at(tl_place at, tl_tensor x, tl_tensor ids, int axis)
{
    return tl_apply_at(at, &tl_op_take_along, (tl_tensor[]){ x, ids }, 2,
                       &(along_attr){ tl_axis(axis, tl_rank(x)), 0 });
}
tl_tensor(tl_take_along)(tl_tensor x, tl_tensor ids, int axis) { return tl_take_along_at(TL_NOWHERE, x, ids, axis); }

#endif
