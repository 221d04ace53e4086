/* ops/gather.c - gather: rows of a table by ids,  y[i, :] = t[id_i, :],  dt = rows of g added at ids
 *                scatter_add: y = C0 with rows of x added at ids, in order;  dx = gather(g),  dC0 = g */
#include "ops/define.h"
#ifdef TL_REAL

#include "ops/kernels/ids.h"
#include "ops/kernels/kernels.h"

/* Rows lie anywhere in a table: they are asked for early. */
enum { AHEAD = 8 };
static inline void ask(const void *table, const int32_t *id, int64_t i, int64_t n, size_t row_bytes)
{
    if (i + AHEAD < n) tl_prefetch((const char *)table + (size_t)id[i + AHEAD] * row_bytes, row_bytes);
}

KERNEL(gather)
{
    const int64_t n = tl_elements(&r->in_desc[1]), row = tl_span(r->in_desc, 1, r->in_desc->rank);
    const int32_t *id = r->in[1];
    const bits *table = r->in[0];
    bits *y = r->out;
    const tl_status bad = check_ids(r, id, n, r->in_desc->dim[0]);
    if (bad) return bad;
    for (int64_t i = 0; row && i < n; i++, y += row) {
        const bits *from = table + id[i] * row;
        ask(table, id, i, n, (size_t)row * sizeof *y);
        TL_SIMD
        for (int64_t j = 0; j < row; j++) y[j] = from[j];
    }
    return TL_OK;
}

KERNEL(scatter_add)
{
    const int64_t n = tl_elements(&r->in_desc[1]), row = tl_span(r->out_desc, 1, r->out_desc->rank);
    const size_t bytes = (size_t)tl_elements(r->out_desc) * sizeof(real);
    const int32_t *id = r->in[1];
    const real *x = r->in[0];
    real *y = r->out;
    const tl_status bad = check_ids(r, id, n, r->out_desc->dim[0]);
    if (bad) return bad;
    if (r->n_in < 3 || !r->in[2]) memset(y, 0, bytes);
    else if (r->in[2] != y) memcpy(y, r->in[2], bytes); /* a plan may let it start from what is there */
    for (int64_t i = 0; i < n; i++, x += row) {
        real *to = y + id[i] * row;
        ask(y, id, i, n, (size_t)row * sizeof *y);
        TL_SIMD
        for (int64_t j = 0; j < row; j++) to[j] += x[j];
    }
    return TL_OK;
}

#else

static bool gather_shape(tl_shape_rule *r)
{
    const tl_shape *t = &r->in[0], *id = &r->in[1];
    if (!tl_needs_ids(r, 1)) return false;
    if (t->rank < 1) return tl_refuse(r, TL_E_SHAPE, "a scalar has no rows");
    if (id->rank + t->rank - 1 > TL_MAX_RANK) return tl_refuse(r, TL_E_SHAPE, "more than %d axes", TL_MAX_RANK);
    for (int i = 0; i < id->rank; i++) r->out.dim[r->out.rank++] = id->dim[i];
    for (int i = 1; i < t->rank; i++) r->out.dim[r->out.rank++] = t->dim[i];
    return true;
}

static bool scatter_shape(tl_shape_rule *r)
{
    const tl_shape *x = &r->in[0], *id = &r->in[1];
    const int64_t rows = ((const tl_scatter_attr *)r->attr)->rows;
    if (!tl_needs_float(r, 0) || !tl_needs_ids(r, 1)) return false;
    bool fits = id->rank <= x->rank;
    for (int i = 0; fits && i < id->rank; i++) fits = id->dim[i] == x->dim[i];
    if (!fits) return tl_refuse(r, TL_E_SHAPE, "there is not one row for each id");
    if (rows < 0) return tl_refuse(r, TL_E_ARGUMENT, "a negative number of rows");
    if (x->rank - id->rank + 1 > TL_MAX_RANK) return tl_refuse(r, TL_E_SHAPE, "more than %d axes", TL_MAX_RANK);
    r->out.dim[r->out.rank++] = rows;
    for (int i = id->rank; i < x->rank; i++) r->out.dim[r->out.rank++] = x->dim[i];
    if (r->n_in < 3) return true;
    fits = r->in[2].rank == r->out.rank && r->in[2].dtype == x->dtype;
    for (int i = 0; fits && i < r->out.rank; i++) fits = r->in[2].dim[i] == r->out.dim[i];
    return fits || tl_refuse(r, TL_E_SHAPE, "the result does not have the shape of what it starts from");
}

static tl_tensor gather_vjp(const tl_vjp *v, int i)
{
    return i ? TL_NONE : tl_scatter_add(TL_NONE, v->g, v->in[1], tl_dim(v->in[0], 0));
}

static tl_tensor scatter_add_vjp(const tl_vjp *v, int i)
{
    return i == 0 ? tl_gather(v->g, v->in[1]) : i == 2 ? v->g : TL_NONE;
}

TL_OP(gather, .min_in = 2, .max_in = 2, .cls = TL_GATHER, .role = TL_ROLE_GATHER, .takes_i32 = true,
      .shape = gather_shape, .vjp = gather_vjp,
      TL_CASES({ 2, { TL_CASE_SHAPE(4, 3), TL_CASE_IDS(5) }, .ids = 4 },
               { 2, { TL_CASE_SHAPE(4), TL_CASE_IDS(2, 3) }, .ids = 4 },
               { 2, { TL_CASE_SHAPE(4, 2, 3), TL_CASE_IDS(2, 2) }, .ids = 4 },
               { 2, { TL_CASE_SHAPE(4, 3), TL_CASE_IDS(0) }, .ids = 4 },
               { 2, { TL_CASE_SHAPE(4, 3), { .dtype = TL_I32 } }, .ids = 4 },
               { 2, { TL_CASE_IDS(4), TL_CASE_IDS(3) }, .ids = 4 },
               { 2, { TL_CASE_SHAPE(4, 3), TL_CASE_SHAPE(2) }, .rejects = true },
               { 2, { TL_CASE_SCALAR, TL_CASE_IDS(2) }, .ids = 1, .rejects = true }));

#define ROWS(n)                                                                                                        \
    .attr = &(const tl_scatter_attr) { n }
TL_OP(
    scatter_add, .min_in = 2, .max_in = 3, .optional = 4, .cls = TL_GATHER, .role = TL_ROLE_SCATTER_ADD,
    .takes_i32 = true, .attr_size = sizeof(tl_scatter_attr), .shape = scatter_shape, .vjp = scatter_add_vjp,
    TL_CASES({ 2, { TL_CASE_SHAPE(5, 3), TL_CASE_IDS(5) }, ROWS(4), .ids = 4 },
             { 3, { TL_CASE_SHAPE(2, 2, 3), TL_CASE_IDS(2, 2), TL_CASE_SHAPE(4, 3) }, ROWS(4), .ids = 4 },
             { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_IDS(2, 3) }, ROWS(5), .ids = 5 },
             { 2, { TL_CASE_SHAPE(0, 3), TL_CASE_IDS(0) }, ROWS(2), .ids = 2 },
             { 2, { TL_CASE_SHAPE(4, 3), TL_CASE_IDS(5) }, ROWS(4), .ids = 4, .rejects = true },
             { 3, { TL_CASE_SHAPE(4, 3), TL_CASE_IDS(4), TL_CASE_SHAPE(3, 3) }, ROWS(4), .ids = 4, .rejects = true }));

tl_tensor tl_gather_at(tl_place at, tl_tensor table, tl_tensor ids)
{
    return tl_apply_at(at, &tl_op_gather, (tl_tensor[]){ table, ids }, 2, NULL);
}
tl_tensor(tl_gather)(tl_tensor table, tl_tensor ids) { return tl_gather_at(TL_NOWHERE, table, ids); }

tl_tensor tl_scatter_add_at(tl_place at, tl_tensor c, tl_tensor g, tl_tensor ids, int64_t rows)
{
    return tl_apply_at(at, &tl_op_scatter_add, (tl_tensor[]){ g, ids, c }, tl_absent(c) ? 2 : 3,
                       &(tl_scatter_attr){ rows });
}
tl_tensor(tl_scatter_add)(tl_tensor c, tl_tensor g, tl_tensor ids, int64_t rows)
{
    return tl_scatter_add_at(TL_NOWHERE, c, g, ids, rows);
}

#endif
