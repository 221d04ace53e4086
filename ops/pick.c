/* ops/pick.c - pick: one element of each row of the last axis,  y_i = x[i, id_i];  dx = unpick(g)
 *              unpick: y[i, j] = (j = id_i) ? g_i : 0;  dg = pick(dy)
 *              one_hot: the same with 1 for g_i */
#include "ops/define.h"
#ifdef TL_REAL

#include "ops/kernels/ids.h"

KERNEL(pick)
{
    const int64_t n = tl_elements(r->out_desc), row = r->in_desc->dim[r->in_desc->rank - 1];
    const int32_t *id = r->in[1];
    const real *x = r->in[0];
    const tl_status bad = check_ids(r, id, n, row);
    for (int64_t i = 0; !bad && i < n; i++) ((real *)r->out)[i] = x[i * row + id[i]];
    return bad;
}

/* y [n, row] = 0 but for g (or 1) at the ids */
static tl_status place(const tl_run_args *r, const int32_t *id, const real *g)
{
    const int64_t row = r->out_desc->dim[r->out_desc->rank - 1], n = tl_span(r->out_desc, 0, r->out_desc->rank - 1);
    const tl_status bad = check_ids(r, id, n, row);
    if (!bad) memset(r->out, 0, (size_t)(n * row) * sizeof(real));
    for (int64_t i = 0; !bad && i < n; i++) ((real *)r->out)[i * row + id[i]] = g ? g[i] : 1;
    return bad;
}

KERNEL(unpick) { return place(r, r->in[1], r->in[0]); }
KERNEL(one_hot) { return place(r, r->in[0], NULL); }

#else

static bool pick_shape(tl_shape_rule *r)
{
    const tl_shape *x = &r->in[0], *id = &r->in[1];
    if (!tl_needs_float(r, 0) || !tl_needs_ids(r, 1)) return false;
    bool fits = id->rank == x->rank - 1;
    for (int i = 0; fits && i < id->rank; i++) fits = id->dim[i] == x->dim[i];
    r->out = *id;
    r->out.dtype = x->dtype;
    return fits || tl_refuse(r, TL_E_SHAPE, "there is not one id for each row of the last axis");
}

/* ids and a new last axis */
static bool depth_shape(tl_shape_rule *r, const tl_shape *id, tl_dtype dtype)
{
    const int64_t depth = ((const tl_depth_attr *)r->attr)->depth;
    if (depth < 0) return tl_refuse(r, TL_E_ARGUMENT, "a negative depth");
    if (id->rank == TL_MAX_RANK) return tl_refuse(r, TL_E_SHAPE, "no room for another axis");
    r->out = *id;
    r->out.dim[r->out.rank++] = depth;
    r->out.dtype = dtype;
    return true;
}

static bool one_hot_shape(tl_shape_rule *r) { return tl_needs_ids(r, 0) && depth_shape(r, r->in, r->dtype); }

static bool unpick_shape(tl_shape_rule *r)
{
    const tl_shape *g = &r->in[0], *id = &r->in[1];
    if (!tl_needs_float(r, 0) || !tl_needs_ids(r, 1)) return false;
    bool fits = id->rank == g->rank;
    for (int i = 0; fits && i < id->rank; i++) fits = id->dim[i] == g->dim[i];
    return fits ? depth_shape(r, id, g->dtype) : tl_refuse(r, TL_E_SHAPE, "there is not one id for each number");
}

static tl_tensor pick_vjp(const tl_vjp *v, int i)
{
    return i ? TL_NONE : tl_unpick(v->g, v->in[1], tl_dim(v->in[0], -1));
}

static tl_tensor unpick_vjp(const tl_vjp *v, int i) { return i ? TL_NONE : tl_pick(v->g, v->in[1]); }

#define DEPTH(n)                                                                                                       \
    .attr = &(const tl_depth_attr) { n }
TL_OP(pick, .min_in = 2, .max_in = 2, .cls = TL_GATHER, .takes_i32 = true, .shape = pick_shape, .vjp = pick_vjp,
      TL_CASES({ 2, { TL_CASE_SHAPE(5, 3), TL_CASE_IDS(5) }, .ids = 3 },
               { 2, { TL_CASE_SHAPE(2, 3, 4), TL_CASE_IDS(2, 3) }, .ids = 4 },
               { 2, { TL_CASE_SHAPE(3), { .dtype = TL_I32 } }, .ids = 3 },
               { 2, { TL_CASE_SHAPE(0, 3), TL_CASE_IDS(0) }, .ids = 3 },
               { 2, { TL_CASE_SHAPE(5, 3), TL_CASE_IDS(4) }, .ids = 3, .rejects = true },
               { 2, { TL_CASE_SHAPE(5, 3), TL_CASE_SHAPE(5) }, .rejects = true }));

TL_OP(unpick, .min_in = 2, .max_in = 2, .cls = TL_GATHER, .takes_i32 = true, .attr_size = sizeof(tl_depth_attr),
      .shape = unpick_shape, .vjp = unpick_vjp,
      TL_CASES({ 2, { TL_CASE_SHAPE(5), TL_CASE_IDS(5) }, DEPTH(3), .ids = 3 },
               { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_IDS(2, 3) }, DEPTH(4), .ids = 4 },
               { 2, { TL_CASE_SHAPE(0), TL_CASE_IDS(0) }, DEPTH(4), .ids = 4 },
               { 2, { TL_CASE_SHAPE(5), TL_CASE_IDS(4) }, DEPTH(3), .ids = 3, .rejects = true }));

TL_OP(one_hot, .min_in = 1, .max_in = 1, .cls = TL_GATHER, .role = TL_ROLE_ONE_HOT, .takes_i32 = true,
      .no_gradient = true, .attr_size = sizeof(tl_depth_attr), .shape = one_hot_shape,
      TL_CASES({ 1, { TL_CASE_IDS(5) }, DEPTH(3), .ids = 3 }, { 1, { TL_CASE_IDS(2, 3) }, DEPTH(4), .ids = 4 },
               { 1, { TL_CASE_IDS(0) }, DEPTH(4), .ids = 4 }, { 1, { { .dtype = TL_I32 } }, DEPTH(2), .ids = 2 },
               { 1, { TL_CASE_SHAPE(2) }, DEPTH(2), .rejects = true },
               { 1, { TL_CASE_IDS(2) }, DEPTH(-1), .ids = 2, .rejects = true }));

tl_tensor tl_pick_at(tl_place at, tl_tensor x, tl_tensor ids)
{
    return tl_apply_at(at, &tl_op_pick, (tl_tensor[]){ x, ids }, 2, NULL);
}
tl_tensor(tl_pick)(tl_tensor x, tl_tensor ids) { return tl_pick_at(TL_NOWHERE, x, ids); }

tl_tensor tl_unpick(tl_tensor g, tl_tensor ids, int64_t depth)
{
    return tl_apply(&tl_op_unpick, (tl_tensor[]){ g, ids }, 2, &(tl_depth_attr){ depth });
}

tl_tensor tl_one_hot_at(tl_place at, tl_tensor ids, int64_t depth)
{
    return tl_apply_at(at, &tl_op_one_hot, &ids, 1, &(tl_depth_attr){ depth });
}
tl_tensor(tl_one_hot)(tl_tensor ids, int64_t depth) { return tl_one_hot_at(TL_NOWHERE, ids, depth); }

#endif
