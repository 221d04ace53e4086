/* ops/tri.c - of the last two axes, tril: y_ij = x_ij where j - i <= diagonal, else 0;  triu: where j - i >= diagonal;
 *     dx = the same part of g. What is left out leaves no trace, not even a NaN. */
#include "ops/define.h"

typedef struct tri_attr {
    int64_t diagonal;
} tri_attr;

#ifdef TL_REAL

/* Columns begin..end-1 of each row are kept; `cut` is where row 0 is cut. */
static void keep_part(const tl_run_args *r, int64_t cut, bool lower)
{
    const int64_t rows = r->out_desc->dim[r->out_desc->rank - 2], n = r->out_desc->dim[r->out_desc->rank - 1];
    const bits *x = r->in[0];
    bits *y = r->out;
    for (int64_t left = tl_span(r->out_desc, 0, r->out_desc->rank - 2); n && left > 0; left--)
        for (int64_t i = 0; i < rows; i++, x += n, y += n) {
            const int64_t far = cut > n ? n : cut + i, at = far < 0 ? 0 : far > n ? n : far;
            const int64_t begin = lower ? 0 : at, end = lower ? at : n;
            memset(y, 0, (size_t)n * sizeof *y);
            memcpy(y + begin, x + begin, (size_t)(end - begin) * sizeof *y);
        }
}

KERNEL(tril)
{
    const int64_t d = ((const tri_attr *)r->attr)->diagonal;
    keep_part(r, d < INT64_MAX ? d + 1 : d, true);
    return TL_OK;
}

KERNEL(triu)
{
    keep_part(r, ((const tri_attr *)r->attr)->diagonal, false);
    return TL_OK;
}

#else

static bool tri_shape(tl_shape_rule *r)
{
    r->out = r->in[0];
    return r->out.rank >= 2 || tl_refuse(r, TL_E_SHAPE, "needs at least two axes");
}

static tl_tensor tril_vjp(const tl_vjp *v, int i)
{
    return (void)i, tl_tril(v->g, ((const tri_attr *)v->attr)->diagonal);
}
static tl_tensor triu_vjp(const tl_vjp *v, int i)
{
    return (void)i, tl_triu(v->g, ((const tri_attr *)v->attr)->diagonal);
}

#define DIAGONAL(k)                                                                                                    \
    .attr = &(const tri_attr) { k }
#define TRI_OP(op)                                                                                                     \
    TL_OP(op, .min_in = 1, .max_in = 1, .cls = TL_MOVE, .takes_i32 = true, .attr_size = sizeof(tri_attr),              \
          .shape = tri_shape, .vjp = op##_vjp,                                                                         \
          TL_CASES({ 1, { TL_CASE_SHAPE(3, 3) }, DIAGONAL(0) }, { 1, { TL_CASE_SHAPE(2, 3, 5) }, DIAGONAL(1) },        \
                   { 1, { TL_CASE_SHAPE(4, 3) }, DIAGONAL(-1) }, { 1, { TL_CASE_SHAPE(2, 2) }, DIAGONAL(9) },          \
                   { 1, { TL_CASE_SHAPE(2, 2) }, DIAGONAL(-9) }, { 1, { TL_CASE_SHAPE(2, 0) }, DIAGONAL(0) },          \
                   { 1, { TL_CASE_IDS(2, 2) }, DIAGONAL(0), .ids = 9 },                                                \
                   { 1, { TL_CASE_SHAPE(3) }, DIAGONAL(0), .rejects = true }));                                        \
    tl_tensor tl_##op##_at(tl_place at, tl_tensor x, int64_t diagonal)                                                 \
    {                                                                                                                  \
        return tl_apply_at(at, &tl_op_##op, &x, 1, &(tri_attr){ diagonal });                                           \
    }                                                                                                                  \
    tl_tensor(tl_##op)(tl_tensor x, int64_t diagonal) { return tl_##op##_at(TL_NOWHERE, x, diagonal); }

TRI_OP(tril)
TRI_OP(triu)

#endif
