/* ops/define.h - how an op file is laid out. Private to ops/.
 *
 * Each ops/<file>.c is compiled several times. With TL_REAL defined (as float, then double; for each instruction set)
 * only its kernels count; without, its rules: attribute, shape, vjp, cases and the public function.
 *
 *     #include "ops/define.h"
 *     #ifdef TL_REAL
 *     UNARY_KERNEL(square, x * x)
 *     #else
 *     static tl_tensor square_vjp(const tl_vjp *v, int i) { ... }
 *     TL_UNARY(square, square_vjp, ...cases)
 *     #endif
 */
#ifndef TL_OPS_DEFINE_H
#define TL_OPS_DEFINE_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/op.h"
#include "ops/ops.h"

#define TL_JOIN3_(a, b, c) a##_##b##_##c
#define TL_JOIN3(a, b, c) TL_JOIN3_(a, b, c)

/* Kernels are called tl_k_<op>_<isa>_<type>; TL_ISA and TL_TYPE come from the build: base, v3, v4; f32, f64. */
#define TL_KERNEL_NAME(op) TL_JOIN3(tl_k_##op, TL_ISA, TL_TYPE)

#ifdef TL_REAL

typedef TL_REAL real;

/* A number's bits: ops that move numbers move these, so that nothing (a NaN's payload, an i32) is touched. */
#define TL_BITS_f32 uint32_t
#define TL_BITS_f64 uint64_t
#define TL_JOIN2_(a, b) a##b
#define TL_JOIN2(a, b) TL_JOIN2_(a, b)
typedef TL_JOIN2(TL_BITS_, TL_TYPE) bits;

#include "ops/kernels/special.h"
#include "ops/kernels/vmath.h"
#define real_exp TL_JOIN2(tl_exp_, TL_TYPE)
#define real_log TL_JOIN2(tl_log_, TL_TYPE)
#define real_sqrt TL_JOIN2(tl_sqrt_, TL_TYPE)
#define real_abs TL_JOIN2(tl_abs_, TL_TYPE)
#define real_tanh TL_JOIN2(tl_tanh_, TL_TYPE)
#define real_sigmoid TL_JOIN2(tl_sigmoid_, TL_TYPE)
#define real_expm1 TL_JOIN2(tl_expm1_, TL_TYPE)
#define real_log1p TL_JOIN2(tl_log1p_, TL_TYPE)
#define real_softplus TL_JOIN2(tl_softplus_, TL_TYPE)
#define real_erf TL_JOIN2(tl_erf_, TL_TYPE)
#define real_sin TL_JOIN2(tl_sin_, TL_TYPE)
#define real_cos TL_JOIN2(tl_cos_, TL_TYPE)

/* Elements of a shape's axes begin..end-1. */
static inline int64_t tl_span(const tl_desc *d, int64_t begin, int64_t end)
{
    int64_t n = 1;
    for (int64_t a = begin; a < end; a++) n *= d->dim[a];
    return n;
}
static inline int64_t tl_elements(const tl_desc *d) { return tl_span(d, 0, d->rank); }

#define KERNEL(op)                                                                                                     \
    tl_status TL_KERNEL_NAME(op)(const tl_run_args *r);                                                                \
    tl_status TL_KERNEL_NAME(op)(const tl_run_args *r)

#include "ops/kernels/elementwise.h"

#else

#define TL_BASE_KERNEL(op, type) tl_status tl_k_##op##_base_##type(const tl_run_args *r)

/* Defines tl_op_<name>; the rest are struct tl_op's fields. */
#define TL_OP(op_name, ...)                                                                                            \
    TL_BASE_KERNEL(op_name, f32);                                                                                      \
    TL_BASE_KERNEL(op_name, f64);                                                                                      \
    extern const struct tl_op tl_op_##op_name;                                                                         \
    const struct tl_op tl_op_##op_name = { .size = sizeof(struct tl_op),                                               \
                                           .name = #op_name,                                                           \
                                           .id = TL_OP_##op_name + 1,                                                  \
                                           .f32 = tl_k_##op_name##_base_f32,                                           \
                                           .f64 = tl_k_##op_name##_base_f64,                                           \
                                           __VA_ARGS__ }

/* Cases leave out what is zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#define TL_CASES(...)                                                                                                  \
    .cases = (const tl_case[]){ __VA_ARGS__ }, .n_cases = (int)(sizeof((tl_case[]){ __VA_ARGS__ }) / sizeof(tl_case))

/* An elementwise op of one (two) operands and its public function; the rest are cases. */
#define TL_UNARY(op, vjp_rule, ...)                                                                                    \
    TL_OP(op, .min_in = 1, .max_in = 1, .cls = TL_ELEMENTWISE, .shape = tl_shape_same, .vjp = vjp_rule, __VA_ARGS__);  \
    tl_tensor tl_##op##_at(tl_place at, tl_tensor x) { return tl_apply_at(at, &tl_op_##op, &x, 1, NULL); }             \
    tl_tensor(tl_##op)(tl_tensor x) { return tl_##op##_at(TL_NOWHERE, x); }
#define TL_BINARY(op, vjp_rule, ...)                                                                                   \
    TL_OP(op, .min_in = 2, .max_in = 2, .cls = TL_ELEMENTWISE, .shape = tl_shape_broadcast, .vjp = vjp_rule,           \
          __VA_ARGS__);                                                                                                \
    tl_tensor tl_##op##_at(tl_place at, tl_tensor a, tl_tensor b)                                                      \
    {                                                                                                                  \
        return tl_apply_at(at, &tl_op_##op, (tl_tensor[]){ a, b }, 2, NULL);                                           \
    }                                                                                                                  \
    tl_tensor(tl_##op)(tl_tensor a, tl_tensor b) { return tl_##op##_at(TL_NOWHERE, a, b); }

/* A call of one operand x that is made of other operations, recorded at the place `at`; and one that has a number v
 * besides. */
#define TL_COMPOSED(name, ...)                                                                                         \
    tl_tensor tl_##name##_at(tl_place at, tl_tensor x) { return __VA_ARGS__; }                                         \
    tl_tensor(tl_##name)(tl_tensor x) { return tl_##name##_at(TL_NOWHERE, x); }
#define TL_COMPOSED_WITH(name, type, v, ...)                                                                           \
    tl_tensor tl_##name##_at(tl_place at, tl_tensor x, type v) { return __VA_ARGS__; }                                 \
    tl_tensor(tl_##name)(tl_tensor x, type v) { return tl_##name##_at(TL_NOWHERE, x, v); }

/* An op that is never recorded: its shape rule only says what is wrong with a call that is made of other ops. */
#define TL_REFUSAL(op_name, attr_type, rule)                                                                           \
    static const struct tl_op refusal_##op_name = { .size = sizeof(struct tl_op),                                      \
                                                    .name = #op_name,                                                  \
                                                    .min_in = 1,                                                       \
                                                    .max_in = -1,                                                      \
                                                    .attr_size = sizeof(attr_type),                                    \
                                                    .takes_i32 = true,                                                 \
                                                    .shape = rule }

/* Ops for vjp rules, not public: y = c ? a : 0, y = c ? 0 : a, y = g (1 - t^2), y = g s (1 - s), and pick's adjoint. */
tl_tensor tl_keep(tl_tensor c, tl_tensor a);
tl_tensor tl_drop(tl_tensor c, tl_tensor a);
tl_tensor tl_tanh_grad(tl_tensor t, tl_tensor g);
tl_tensor tl_sigmoid_grad(tl_tensor s, tl_tensor g);
tl_tensor tl_unpick(tl_tensor g, tl_tensor ids, int64_t depth);

/* Is operand k of a float type (of i32)? Refuses it if not. The engine itself checks elementwise, row-wise and
 * matrix ops. */
static inline bool tl_needs_float(tl_shape_rule *r, int k)
{
    return r->in[k].dtype != TL_I32 || tl_refuse(r, TL_E_DTYPE, "operand %d is i32 and should be real numbers", k);
}
static inline bool tl_needs_ids(tl_shape_rule *r, int k)
{
    return r->in[k].dtype == TL_I32 || tl_refuse(r, TL_E_DTYPE, "operand %d should be ids (i32)", k);
}

/* An axis as users count it, negative ones from the end, as 0..rank-1; left alone, for a shape rule to refuse, where
 * there is no such axis. */
static inline int64_t tl_axis(int64_t axis, int64_t rank) { return axis < 0 && axis >= -rank ? axis + rank : axis; }

static inline bool tl_axis_fits(tl_shape_rule *r, int64_t axis)
{
    return (axis >= 0 && axis < r->in[0].rank) ||
           tl_refuse(r, TL_E_ARGUMENT, "there is no axis %lld in rank %d", (long long)axis, r->in[0].rank);
}

/* The same for calls that are made of other ops: TL_AXIS_REFUSAL(flip), and where tl_lacks_axis(x, axis),
 * tl_apply_at(at, &refusal_flip, &x, 1, TL_AXIS(axis, x)). */
static inline bool tl_lacks_axis(tl_tensor x, int64_t axis)
{
    const int64_t a = tl_axis(axis, tl_rank(x));
    return a < 0 || a >= tl_rank(x);
}
static inline bool tl_axis_refused(tl_shape_rule *r)
{
    return tl_axis_fits(r, ((const tl_concat_attr *)r->attr)->axis);
}
#define TL_AXIS_REFUSAL(name) TL_REFUSAL(name, tl_concat_attr, tl_axis_refused)
#define TL_AXIS(axis, x) (&(const tl_concat_attr){ tl_axis(axis, tl_rank(x)) })

/* Have a and b the same dimensions? */
static inline bool tl_same_dims(const tl_shape *a, const tl_shape *b)
{
    bool same = a->rank == b->rank;
    for (int i = 0; same && i < a->rank; i++) same = a->dim[i] == b->dim[i];
    return same;
}

enum tl_op_number {
#define OP(name, file) TL_OP_##name,
#include "ops/ops.def"
#undef OP
    TL_OP_COUNT
};

#endif
#endif
