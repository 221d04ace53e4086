/* ops/active.c - which rows of a mask are not 0, as a product takes it (graph/op.h): y = [rows from the first
 * of them to the last, number of them, their numbers ascending, then zeros], i32, for a mask of any shape and dtype whose elements count the rows.
 * Only the compiler makes it, after differentiation: hence no public function and no vjp. */
#include "ops/define.h"
#ifdef TL_REAL

static bool is_active(const void *mask, tl_dtype dtype, int64_t i)
{
    if (dtype == TL_I32) return ((const int32_t *)mask)[i] != 0;
    return dtype == TL_F64 ? ((const double *)mask)[i] != 0 : ((const float *)mask)[i] != 0;
}

KERNEL(active)
{
    const int64_t rows = tl_desc_size(r->in_desc);
    int32_t *y = r->out, n = 0;
    for (int64_t i = 0; i < rows; i++)
        if (is_active(r->in[0], r->in_desc->dtype, i)) y[2 + n++] = (int32_t)i;
    y[0] = n ? y[1 + n] - y[2] + 1 : 0;
    y[1] = n;
    memset(y + 2 + n, 0, (size_t)(rows - n) * sizeof *y);
    return TL_OK;
}

#else

static bool active_shape(tl_shape_rule *r)
{
    const int64_t rows = tl_shape_size(r->in);
    if (rows > INT32_MAX) return tl_refuse(r, TL_E_SHAPE, "too many rows to be numbered");
    r->out = (tl_shape){ TL_I32, 1, { rows + 2 } };
    return true;
}

TL_OP(active, .min_in = 1, .max_in = 1, .takes_i32 = true, .role = TL_ROLE_ACTIVE, .shape = active_shape,
      TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 3) } }, { 1, { TL_CASE_IDS(7) }, .ids = 2 },
               { 1, { TL_CASE_IDS(0) }, .ids = 2 }));

#endif
