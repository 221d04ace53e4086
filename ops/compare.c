/* ops/compare.c - y = 1 where a ? b holds, else 0, in the tape's float type; a and b both float or both i32. IEEE:
 * with a NaN only not_equal holds. The derivative is declared 0. */
#include "ops/define.h"
#ifdef TL_REAL

#define COMPARE_LOOP(op, type, operator)                                                                               \
    static void op##_##type(const tl_run_args *r)                                                                      \
    {                                                                                                                  \
        const int64_t n = tl_row_length(r), s = tl_row_step(r, 0), t = tl_row_step(r, 1);                              \
        for (tl_rows w = tl_rows_begin(r); w.left > 0; tl_rows_next(&w, r)) {                                          \
            const type *a = (const type *)r->in[0] + w.offset[0], *b = (const type *)r->in[1] + w.offset[1];           \
            real *y = (real *)r->out + w.out;                                                                          \
            if (s == 1 && t == 1) {                                                                                    \
                TL_SIMD                                                                                                \
                for (int64_t i = 0; i < n; i++) y[i] = a[i] operator b[i] ? 1 : 0;                                     \
            } else {                                                                                                   \
                for (int64_t i = 0; i < n; i++) y[i] = a[i * s] operator b[i * t] ? 1 : 0;                             \
            }                                                                                                          \
        }                                                                                                              \
    }

#define COMPARE_KERNEL(op, operator)                                                                                   \
    COMPARE_LOOP(op, real, operator)                                                                                   \
    COMPARE_LOOP(op, int32_t, operator)                                                                                \
    KERNEL(op) { return (r->in_desc->dtype == TL_I32 ? op##_int32_t : op##_real)(r), TL_OK; }

COMPARE_KERNEL(equal, ==)
COMPARE_KERNEL(not_equal, !=)
COMPARE_KERNEL(less, <)
COMPARE_KERNEL(less_equal, <=)
COMPARE_KERNEL(greater, >)
COMPARE_KERNEL(greater_equal, >=)

#else

static bool compare_shape(tl_shape_rule *r)
{
    if (!tl_shape_broadcast(r)) return false;
    if (r->in[0].dtype != r->in[1].dtype) return tl_refuse(r, TL_E_DTYPE, "operands of different types");
    r->out.dtype = r->in[0].dtype == TL_I32 ? r->dtype : r->in[0].dtype;
    return true;
}

#define COMPARE_OP(op)                                                                                                 \
    TL_OP(op, .min_in = 2, .max_in = 2, .cls = TL_ELEMENTWISE, .shape = compare_shape, .takes_i32 = true,              \
          .no_gradient = true,                                                                                         \
          TL_CASES({ 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3) } },                                                \
                   { 2, { TL_CASE_IDS(4, 1), TL_CASE_IDS(3) }, .ids = 3 },                                             \
                   { 2, { TL_CASE_SHAPE(0), TL_CASE_SCALAR } },                                                        \
                   { 2, { TL_CASE_IDS(2), TL_CASE_SHAPE(2) }, .ids = 3, .rejects = true },                             \
                   { 2, { TL_CASE_SHAPE(2), TL_CASE_SHAPE(3) }, .rejects = true }));                                   \
    tl_tensor tl_##op##_at(tl_place at, tl_tensor a, tl_tensor b)                                                      \
    {                                                                                                                  \
        return tl_apply_at(at, &tl_op_##op, (tl_tensor[]){ a, b }, 2, NULL);                                           \
    }                                                                                                                  \
    tl_tensor(tl_##op)(tl_tensor a, tl_tensor b) { return tl_##op##_at(TL_NOWHERE, a, b); }

COMPARE_OP(equal)
COMPARE_OP(not_equal)
COMPARE_OP(less)
COMPARE_OP(less_equal)
COMPARE_OP(greater)
COMPARE_OP(greater_equal)

#endif
