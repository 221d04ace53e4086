/* ops/copy.c - copy: y = x;   stop_gradient: y = x, dx = 0 */
#include "ops/define.h"
#ifdef TL_REAL

KERNEL(copy)
{
    const int64_t n = tl_row_length(r), s = tl_row_step(r, 0);
    for (tl_rows w = tl_rows_begin(r); w.left > 0; tl_rows_next(&w, r)) {
        const bits *x = (const bits *)r->in[0] + w.offset[0];
        bits *y = (bits *)r->out + w.out;
        if (s == 1 && x != y) memcpy(y, x, (size_t)n * sizeof *y);
        for (int64_t i = 0; s != 1 && i < n; i++) y[i] = x[i * s];
    }
    return TL_OK;
}

KERNEL(stop_gradient)
{
    memcpy(r->out, r->in[0], (size_t)tl_elements(r->out_desc) * sizeof(bits));
    return TL_OK;
}

#else

static tl_tensor copy_vjp(const tl_vjp *v, int i) { return (void)i, v->g; }

TL_OP(copy, .min_in = 1, .max_in = 1, .cls = TL_ELEMENTWISE, .role = TL_ROLE_COPY, .takes_i32 = true,
      .shape = tl_shape_same, .vjp = copy_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(2, 3) } }, { 1, { TL_CASE_IDS(4) }, .ids = 9 }, { 1, { TL_CASE_SCALAR } },
               { 1, { TL_CASE_SHAPE(0) } }));

TL_OP(stop_gradient, .min_in = 1, .max_in = 1, .cls = TL_VIEW, .role = TL_ROLE_STOP, .takes_i32 = true,
      .shape = tl_shape_same, .no_gradient = true,
      TL_CASES({ 1, { TL_CASE_SHAPE(2, 3) } }, { 1, { TL_CASE_IDS(4) }, .ids = 9 }, { 1, { TL_CASE_SHAPE(0) } }));

tl_tensor tl_stop_gradient_at(tl_place at, tl_tensor x) { return tl_apply_at(at, &tl_op_stop_gradient, &x, 1, NULL); }
tl_tensor(tl_stop_gradient)(tl_tensor x) { return tl_stop_gradient_at(TL_NOWHERE, x); }

#endif
