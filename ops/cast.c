/* ops/cast.c - y = x in another type;  dx = g in x's type, between float types. To i32: towards zero, and TL_E_INDEX
 * at run time for what i32 cannot hold. */
#include "ops/define.h"

typedef struct cast_attr {
    int64_t dtype;
} cast_attr;

#ifdef TL_REAL

#define CAST_LOOP(from, to)                                                                                            \
    static void cast_##from##_##to(const void *in, void *out, int64_t n)                                               \
    {                                                                                                                  \
        const from *x = in;                                                                                            \
        to *y = out;                                                                                                   \
        for (int64_t i = 0; i < n; i++) y[i] = (to)x[i];                                                               \
    }
CAST_LOOP(float, real)
CAST_LOOP(double, real)
CAST_LOOP(int32_t, real)

#define CAST_TO_I32(from)                                                                                              \
    static tl_status from##_to_i32(const tl_run_args *r, int64_t n)                                                    \
    {                                                                                                                  \
        const from *x = r->in[0];                                                                                      \
        for (int64_t i = 0; i < n; i++)                                                                                \
            if (!((double)x[i] > -2147483649.0 && (double)x[i] < 2147483648.0))                                        \
                return tl_kernel_fail(r, TL_E_INDEX, "%g at position %lld does not fit i32", (double)x[i],             \
                                      (long long)i);                                                                   \
        for (int64_t i = 0; i < n; i++) ((int32_t *)r->out)[i] = (int32_t)x[i];                                        \
        return TL_OK;                                                                                                  \
    }
CAST_TO_I32(float)
CAST_TO_I32(double)

KERNEL(cast)
{
    const int64_t n = tl_elements(r->out_desc);
    const tl_dtype from = r->in_desc->dtype, to = r->out_desc->dtype;
    if (to == TL_I32) {
        if (from == TL_F32) return float_to_i32(r, n);
        if (from == TL_F64) return double_to_i32(r, n);
        memcpy(r->out, r->in[0], (size_t)n * sizeof(int32_t));
        return TL_OK;
    }
    if (from == TL_F32) cast_float_real(r->in[0], r->out, n);
    else if (from == TL_F64) cast_double_real(r->in[0], r->out, n);
    else cast_int32_t_real(r->in[0], r->out, n);
    return TL_OK;
}

#else

static bool cast_shape(tl_shape_rule *r)
{
    const int64_t to = ((const cast_attr *)r->attr)->dtype;
    if (to != TL_F32 && to != TL_F64 && to != TL_I32) return tl_refuse(r, TL_E_ARGUMENT, "%d is no type", (int)to);
    r->out = r->in[0];
    r->out.dtype = (tl_dtype)to;
    return true;
}

static tl_tensor cast_vjp(const tl_vjp *v, int i)
{
    const tl_dtype from = tl_dtype_of(v->in[i]);
    return from == TL_I32 || tl_dtype_of(v->y) == TL_I32 ? TL_NONE : tl_cast(v->g, from);
}

TL_OP(cast, .min_in = 1, .max_in = 1, .attr_size = sizeof(cast_attr), .takes_i32 = true, .shape = cast_shape,
      .vjp = cast_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(2, 3) }, .attr = &(const cast_attr){ TL_F64 } },
               { 1, { TL_CASE_IDS(5) }, .attr = &(const cast_attr){ TL_F64 }, .ids = 100 },
               { 1, { TL_CASE_SHAPE(4) }, .attr = &(const cast_attr){ TL_I32 }, .no_second = true },
               { 1, { TL_CASE_SHAPE(0) }, .attr = &(const cast_attr){ TL_F64 } },
               { 1, { TL_CASE_SHAPE(2) }, .attr = &(const cast_attr){ 9 }, .rejects = true }));

tl_tensor tl_cast_at(tl_place at, tl_tensor x, tl_dtype dtype)
{
    return tl_apply_at(at, &tl_op_cast, &x, 1, &(cast_attr){ dtype });
}
tl_tensor(tl_cast)(tl_tensor x, tl_dtype dtype) { return tl_cast_at(TL_NOWHERE, x, dtype); }

#endif
