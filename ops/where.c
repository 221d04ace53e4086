/* ops/where.c - y = c ? a : b;  c of any dtype, true where not zero (a NaN is);  da = c ? g : 0,  db = c ? 0 : g */
#include "ops/define.h"
#ifdef TL_REAL

/* a and b are moved as bits: they may be i32. */
#define WHERE_LOOP(name, type)                                                                                         \
    static void name(const tl_run_args *r)                                                                             \
    {                                                                                                                  \
        const int64_t n = tl_row_length(r), s = tl_row_step(r, 0), t = tl_row_step(r, 1), u = tl_row_step(r, 2);       \
        for (tl_rows w = tl_rows_begin(r); w.left > 0; tl_rows_next(&w, r)) {                                          \
            const type *c = (const type *)r->in[0] + w.offset[0];                                                      \
            const bits *a = (const bits *)r->in[1] + w.offset[1], *b = (const bits *)r->in[2] + w.offset[2];           \
            bits *y = (bits *)r->out + w.out;                                                                          \
            if (s == 1 && t == 1 && u == 1) {                                                                          \
                TL_SIMD                                                                                                \
                for (int64_t i = 0; i < n; i++) {                                                                      \
                    const bits p = a[i], q = b[i];                                                                     \
                    y[i] = c[i] != 0 ? p : q;                                                                          \
                }                                                                                                      \
            } else {                                                                                                   \
                for (int64_t i = 0; i < n; i++) y[i] = c[i * s] != 0 ? a[i * t] : b[i * u];                            \
            }                                                                                                          \
        }                                                                                                              \
    }
WHERE_LOOP(where_float, float) /* c's type need not be the result's */
WHERE_LOOP(where_double, double)
WHERE_LOOP(where_int, int32_t)

KERNEL(where)
{
    const tl_dtype c = r->in_desc->dtype;
    (c == TL_I32 ? where_int : c == TL_F64 ? where_double : where_float)(r);
    return TL_OK;
}

#else

static bool where_shape(tl_shape_rule *r)
{
    if (!tl_shape_broadcast(r)) return false;
    if (r->in[1].dtype != r->in[2].dtype) return tl_refuse(r, TL_E_DTYPE, "the two choices are of different types");
    r->out.dtype = r->in[1].dtype;
    return true;
}

static tl_tensor where_vjp(const tl_vjp *v, int i)
{
    const tl_tensor c = v->in[0];
    return i ? tl_unbroadcast(i == 1 ? tl_keep(c, v->g) : tl_drop(c, v->g), v->in[i]) : TL_NONE;
}

TL_OP(where, .min_in = 3, .max_in = 3, .cls = TL_ELEMENTWISE, .role = TL_ROLE_WHERE, .takes_i32 = true,
      .shape = where_shape, .vjp = where_vjp,
      TL_CASES({ 3, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3) } },
               { 3, { TL_CASE_IDS(2, 3), TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3) }, .ids = 2 },
               { 3, { TL_CASE_IDS(4, 1), TL_CASE_SHAPE(3), TL_CASE_SCALAR }, .ids = 2 },
               { 3, { TL_CASE_IDS(0), TL_CASE_SHAPE(0), TL_CASE_SHAPE(1) }, .ids = 2 },
               { 3, { TL_CASE_SHAPE(2), TL_CASE_IDS(2), TL_CASE_IDS(2) }, .ids = 9 },
               { 3, { TL_CASE_SHAPE(2), TL_CASE_IDS(2), TL_CASE_SHAPE(2) }, .ids = 9, .rejects = true },
               { 3, { TL_CASE_SHAPE(2), TL_CASE_SHAPE(3), TL_CASE_SHAPE(3) }, .rejects = true }));

tl_tensor tl_where_at(tl_place at, tl_tensor c, tl_tensor a, tl_tensor b)
{
    return tl_apply_at(at, &tl_op_where, (tl_tensor[]){ c, a, b }, 3, NULL);
}
tl_tensor(tl_where)(tl_tensor c, tl_tensor a, tl_tensor b) { return tl_where_at(TL_NOWHERE, c, a, b); }

#endif
