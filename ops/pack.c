/* ops/pack.c - a matrix [k, n] (transposed: [n, k]) as the panels [ceil(n / width), k, width] that a product reads as the
 * rows of its tiles; the last one is filled up with zeros. Only the compiler makes it, of what many products share, and
 * after differentiation: hence no public function and no vjp. */
#include "ops/define.h"
#include "ops/kernels/kernels.h"
#ifdef TL_REAL

#include "ops/kernels/panel.h"

KERNEL(pack)
{
    const tl_desc *x = r->in_desc, *y = r->out_desc;
    const bool t = ((const tl_pack_attr *)r->attr)->transposed;
    const product_matrix b = { r->in[0], t ? 1 : x->stride[0], t ? x->stride[0] : 1 };
    const int64_t n = x->dim[!t], k = y->dim[1], width = y->dim[2];
    real *to = r->out;
    for (int64_t j = 0; j < n; j += width, to += k * width) {
        const int columns = (int)(n - j < width ? n - j : width);
        pack_panel(to, &b, 0, k, j, columns, (int)width);
        for (int64_t p = 0; p < k && columns < width; p++)
            memset(to + p * width + columns, 0, (size_t)(width - columns) * sizeof *to);
    }
    return TL_OK;
}

#else

static bool pack_shape(tl_shape_rule *r)
{
    const tl_shape *x = &r->in[0];
    const bool t = ((const tl_pack_attr *)r->attr)->transposed;
    if (x->rank != 2) return tl_refuse(r, TL_E_SHAPE, "only a matrix can be packed");
    if (!tl_needs_float(r, 0)) return false;
    const int64_t n = x->dim[!t], width = tl_panel_width(x->dtype);
    r->out.rank = 3;
    r->out.dim[0] = (n + width - 1) / width;
    r->out.dim[1] = x->dim[t];
    r->out.dim[2] = width;
    return true;
}

#define PACK(t)                                                                                                        \
    .attr = &(const tl_pack_attr) { t }
TL_OP(pack, .min_in = 1, .max_in = 1, .cls = TL_MOVE, .role = TL_ROLE_PACK, .attr_size = sizeof(tl_pack_attr),
      .shape = pack_shape,
      TL_CASES({ 1, { TL_CASE_SHAPE(3, 4) }, PACK(0) }, { 1, { TL_CASE_SHAPE(3, 4) }, PACK(1) },
               { 1, { TL_CASE_SHAPE(19, 35) }, PACK(0) }, { 1, { TL_CASE_SHAPE(35, 19) }, PACK(1) },
               { 1, { TL_CASE_SHAPE(0, 4) }, PACK(0) }, { 1, { TL_CASE_SHAPE(4, 0) }, PACK(0) },
               { 1, { TL_CASE_SHAPE(4) }, PACK(0), .rejects = true },
               { 1, { TL_CASE_SHAPE(2, 3, 4) }, PACK(1), .rejects = true },
               { 1, { TL_CASE_IDS(2, 3) }, PACK(0), .ids = 9, .rejects = true }));

#endif
