/* ops/scatter.c - scatter_rows: y = table with rows put at ids, the last of several at one id;
 *                     dtable = g with zeros put there,  drows = g's rows at ids, 0 where another row came later
 *                 last_ids: 1 for each id that does not come again, else 0 (i32) */
#include "ops/define.h"

#ifdef TL_REAL

#include "ops/kernels/ids.h"

KERNEL(scatter_rows)
{
    const int64_t n = tl_elements(&r->in_desc[1]), row = tl_span(r->out_desc, 1, r->out_desc->rank);
    const int32_t *id = r->in[1];
    const bits *x = r->in[2];
    bits *y = r->out;
    const tl_status bad = check_ids(r, id, n, r->out_desc->dim[0]);
    if (bad) return bad;
    memcpy(y, r->in[0], (size_t)tl_elements(r->out_desc) * sizeof *y);
    for (int64_t i = 0; row && i < n; i++) memcpy(y + id[i] * row, x + i * row, (size_t)row * sizeof *y);
    return TL_OK;
}

KERNEL(last_ids)
{
    const int64_t n = tl_elements(r->in_desc), rows = ((const tl_scatter_attr *)r->attr)->rows;
    const int32_t *id = r->in[0];
    int32_t *y = r->out;
    unsigned char *seen = r->work;
    const tl_status bad = check_ids(r, id, n, rows);
    if (bad) return bad;
    if (rows) memset(seen, 0, (size_t)rows);
    for (int64_t i = n - 1; i >= 0; i--) {
        y[i] = !seen[id[i]];
        seen[id[i]] = 1;
    }
    return TL_OK;
}

#else

static bool scatter_rows_shape(tl_shape_rule *r)
{
    const tl_shape *table = &r->in[0], *id = &r->in[1], *x = &r->in[2];
    if (!tl_needs_ids(r, 1)) return false;
    if (table->rank < 1) return tl_refuse(r, TL_E_SHAPE, "a scalar has no rows");
    if (x->dtype != table->dtype) return tl_refuse(r, TL_E_DTYPE, "rows and table are of different types");
    bool fits = x->rank == id->rank + table->rank - 1;
    for (int i = 0; fits && i < x->rank; i++)
        fits = x->dim[i] == (i < id->rank ? id->dim[i] : table->dim[i - id->rank + 1]);
    r->out = *table;
    return fits || tl_refuse(r, TL_E_SHAPE, "there is not one row of the table's for each id");
}

static bool last_ids_shape(tl_shape_rule *r)
{
    r->out = r->in[0];
    if (((const tl_scatter_attr *)r->attr)->rows < 0) return tl_refuse(r, TL_E_ARGUMENT, "a negative number of rows");
    return tl_needs_ids(r, 0);
}

static size_t last_ids_work(const tl_desc *out, const tl_desc *in, int n_in, const void *attr)
{
    (void)out, (void)in, (void)n_in;
    return (size_t)((const tl_scatter_attr *)attr)->rows;
}

#define ROWS(n)                                                                                                        \
    .attr = &(const tl_scatter_attr) { n }
TL_OP(last_ids, .min_in = 1, .max_in = 1, .takes_i32 = true, .attr_size = sizeof(tl_scatter_attr),
      .shape = last_ids_shape, .work = last_ids_work, .no_gradient = true,
      TL_CASES({ 1, { TL_CASE_IDS(7) }, ROWS(4), .ids = 4 }, { 1, { TL_CASE_IDS(2, 3) }, ROWS(3), .ids = 3 },
               { 1, { TL_CASE_IDS(0) }, ROWS(0), .ids = 1 },
               { 1, { TL_CASE_IDS(2) }, ROWS(-1), .ids = 1, .rejects = true },
               { 1, { TL_CASE_SHAPE(2) }, ROWS(2), .rejects = true }));

static tl_tensor scatter_rows_vjp(const tl_vjp *v, int i)
{
    const tl_tensor ids = v->in[1];
    tl_shape s = tl_shape_of(ids);
    if (i == 1) return TL_NONE;
    if (!i) return tl_scatter_rows(v->g, ids, tl_full_like(v->in[2], 0));
    const tl_tensor last = tl_apply(&tl_op_last_ids, &ids, 1, &(tl_scatter_attr){ tl_dim(v->g, 0) });
    while (s.rank < tl_rank(v->in[2])) s.dim[s.rank++] = 1;
    return tl_keep(tl_reshape(last, s.rank, s.dim), tl_gather(v->g, ids));
}

TL_OP(scatter_rows, .min_in = 3, .max_in = 3, .cls = TL_GATHER, .takes_i32 = true, .shape = scatter_rows_shape,
      .vjp = scatter_rows_vjp,
      TL_CASES({ 3, { TL_CASE_SHAPE(5, 3), TL_CASE_IDS(2), TL_CASE_SHAPE(2, 3) }, .ids = 5 },
               { 3, { TL_CASE_SHAPE(3, 2), TL_CASE_IDS(3, 2), TL_CASE_SHAPE(3, 2, 2) }, .ids = 3 },
               { 3, { TL_CASE_SHAPE(3), TL_CASE_IDS(4), TL_CASE_SHAPE(4) }, .ids = 3 },
               { 3, { TL_CASE_SHAPE(3, 2), TL_CASE_IDS(0), TL_CASE_SHAPE(0, 2) }, .ids = 3 },
               { 3, { TL_CASE_IDS(3), TL_CASE_IDS(2), TL_CASE_IDS(2) }, .ids = 3 },
               { 3, { TL_CASE_SHAPE(3, 2), TL_CASE_IDS(2), TL_CASE_SHAPE(3, 2) }, .ids = 3, .rejects = true },
               { 3, { TL_CASE_SHAPE(3), TL_CASE_IDS(2), TL_CASE_IDS(2) }, .ids = 3, .rejects = true },
               { 3, { TL_CASE_SCALAR, TL_CASE_IDS(2), TL_CASE_SHAPE(2) }, .ids = 1, .rejects = true }));

tl_tensor tl_scatter_rows_at(tl_place at, tl_tensor table, tl_tensor ids, tl_tensor rows)
{
    return tl_apply_at(at, &tl_op_scatter_rows, (tl_tensor[]){ table, ids, rows }, 3, NULL);
}
tl_tensor(tl_scatter_rows)(tl_tensor table, tl_tensor ids, tl_tensor rows)
{
    return tl_scatter_rows_at(TL_NOWHERE, table, ids, rows);
}

#endif
