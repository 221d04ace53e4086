/* ops/fill.c - fill: every element the same;   iota: 0, 1, ..., n-1 as i32 */
#include "ops/define.h"

typedef struct iota_attr {
    int64_t n;
} iota_attr;

#ifdef TL_REAL

KERNEL(fill)
{
    const real v = (real)((const tl_fill_attr *)r->attr)->value;
    const int64_t n = tl_elements(r->out_desc);
    real *y = r->out;
    for (int64_t i = 0; i < n; i++) y[i] = v;
    return TL_OK;
}

KERNEL(iota)
{
    int32_t *y = r->out;
    for (int64_t i = 0; i < ((const iota_attr *)r->attr)->n; i++) y[i] = (int32_t)i;
    return TL_OK;
}

#else

static bool fill_shape(tl_shape_rule *r)
{
    const tl_fill_attr *a = r->attr;
    r->out.rank = (int)a->rank;
    memcpy(r->out.dim, a->dim, sizeof r->out.dim);
    return true;
}

static bool iota_shape(tl_shape_rule *r)
{
    const int64_t n = ((const iota_attr *)r->attr)->n;
    if (n < 0 || n > INT32_MAX) return tl_refuse(r, TL_E_ARGUMENT, "%lld is no number of ids", (long long)n);
    r->out.rank = 1;
    r->out.dim[0] = n;
    r->out.dtype = TL_I32;
    return true;
}

TL_OP(fill, .cls = TL_LEAF, .role = TL_ROLE_FILL, .attr_size = sizeof(tl_fill_attr), .shape = fill_shape,
      .no_gradient = true,
      TL_CASES({ 0, .attr = &(const tl_fill_attr){ 3, 2, { 2, 3 } } },
               { 0, .attr = &(const tl_fill_attr){ 0.1, 0, { 0 } } },
               { 0, .attr = &(const tl_fill_attr){ 1, 1, { 0 } } }));

TL_OP(iota, .cls = TL_LEAF, .attr_size = sizeof(iota_attr), .shape = iota_shape, .no_gradient = true,
      TL_CASES({ 0, .attr = &(const iota_attr){ 5 } }, { 0, .attr = &(const iota_attr){ 0 } },
               { 0, .attr = &(const iota_attr){ -1 }, .rejects = true }));

tl_tensor tl_iota_at(tl_place at, tl_scope *s, int64_t n)
{
    return tl_apply_leaf_at(at, s, &tl_op_iota, &(iota_attr){ n });
}
tl_tensor(tl_iota)(tl_scope *s, int64_t n) { return tl_iota_at(TL_NOWHERE, s, n); }

#endif
