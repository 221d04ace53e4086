/* ops/keep.c - keep: y = c ? a : 0;  drop: y = c ? 0 : a;  where c is of any dtype. What is not chosen leaves no trace,
 * which a product with a mask cannot promise (0 times infinity). For the adjoints of where, relu and the like. */
#include "ops/define.h"
#ifdef TL_REAL

#define MASK_KERNEL(op, type, ...)                                                                                     \
    static void op##_##type(const tl_run_args *r)                                                                      \
    {                                                                                                                  \
        const int64_t n = tl_row_length(r), s = tl_row_step(r, 0), t = tl_row_step(r, 1);                              \
        for (tl_rows w = tl_rows_begin(r); w.left > 0; tl_rows_next(&w, r)) {                                          \
            const type *pc = (const type *)r->in[0] + w.offset[0];                                                     \
            const real *pa = (const real *)r->in[1] + w.offset[1];                                                     \
            real *y = (real *)r->out + w.out;                                                                          \
            if (s == 1 && t == 1) {                                                                                    \
                TL_SIMD                                                                                                \
                for (int64_t i = 0; i < n; i++) {                                                                      \
                    const real a = pa[i];                                                                              \
                    y[i] = pc[i] __VA_ARGS__;                                                                          \
                }                                                                                                      \
            } else {                                                                                                   \
                for (int64_t i = 0; i < n; i++) {                                                                      \
                    const real a = pa[i * t];                                                                          \
                    y[i] = pc[i * s] __VA_ARGS__;                                                                      \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

#define MASK_KERNELS(op, ...)                                                                                          \
    MASK_KERNEL(op, float, __VA_ARGS__)                                                                                \
    MASK_KERNEL(op, double, __VA_ARGS__)                                                                               \
    MASK_KERNEL(op, int32_t, __VA_ARGS__)                                                                              \
    KERNEL(op)                                                                                                         \
    {                                                                                                                  \
        const tl_dtype c = r->in_desc->dtype;                                                                          \
        (c == TL_I32 ? op##_int32_t : c == TL_F64 ? op##_double : op##_float)(r);                                      \
        return TL_OK;                                                                                                  \
    }
MASK_KERNELS(keep, != 0 ? a : 0)
MASK_KERNELS(drop, != 0 ? 0 : a)

#else

static bool mask_shape(tl_shape_rule *r)
{
    if (!tl_shape_broadcast(r) || !tl_needs_float(r, 1)) return false;
    r->out.dtype = r->in[1].dtype;
    return true;
}

static tl_tensor keep_vjp(const tl_vjp *v, int i)
{
    return i ? tl_unbroadcast(tl_keep(v->in[0], v->g), v->in[1]) : TL_NONE;
}

static tl_tensor drop_vjp(const tl_vjp *v, int i)
{
    return i ? tl_unbroadcast(tl_drop(v->in[0], v->g), v->in[1]) : TL_NONE;
}

#define MASK_CASES                                                                                                     \
    TL_CASES({ 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(2, 3) } },                                                      \
             { 2, { TL_CASE_IDS(2, 3), TL_CASE_SHAPE(2, 3) }, .ids = 2 },                                              \
             { 2, { TL_CASE_IDS(2, 1), TL_CASE_SHAPE(4, 1, 3) }, .ids = 2 },                                           \
             { 2, { TL_CASE_IDS(0), TL_CASE_SHAPE(0) }, .ids = 2 })

TL_OP(keep, .min_in = 2, .max_in = 2, .cls = TL_ELEMENTWISE, .role = TL_ROLE_KEEP, .zeroes = 2, .takes_i32 = true,
      .shape = mask_shape, .vjp = keep_vjp, MASK_CASES);
TL_OP(drop, .min_in = 2, .max_in = 2, .cls = TL_ELEMENTWISE, .role = TL_ROLE_DROP, .zeroes = 2, .takes_i32 = true,
      .shape = mask_shape, .vjp = drop_vjp, MASK_CASES);

tl_tensor tl_keep(tl_tensor c, tl_tensor a) { return tl_apply(&tl_op_keep, (tl_tensor[]){ c, a }, 2, NULL); }
tl_tensor tl_drop(tl_tensor c, tl_tensor a) { return tl_apply(&tl_op_drop, (tl_tensor[]){ c, a }, 2, NULL); }

#endif
