/* ops/softmax.c - over the last axis, m = max x:
 *     softmax      y_i = e^(x_i - m) / sum_j e^(x_j - m),    dx = y (g - sum(g y))
 *     log_softmax  y_i = x_i - m - ln sum_j e^(x_j - m),     dx = g - e^y sum(g)
 * A row that is -inf throughout gives 0 (stays -inf). */
#include "ops/define.h"
#ifdef TL_REAL

#include "ops/kernels/lanes.h"

/* The sum of e^(x_i - m), in lanes_sum's order; `term` has room for the terms. */
static real sum_exp(const real *x, int64_t n, real m, real *term)
{
    TL_SIMD
    for (int64_t i = 0; i < n; i++) term[i] = real_exp(x[i] - m);
    return lanes_sum(term, n);
}

KERNEL(softmax)
{
    const int64_t n = r->out_desc->dim[r->out_desc->rank - 1], all = tl_elements(r->out_desc);
    const real *x = r->in[0];
    real *y = r->out;
    for (const real *end = x + all; x < end; x += n, y += n) {
        real m = lanes_max(x, n);
        m = m == -INFINITY ? 0 : m;
        const real z = sum_exp(x, n, m, y), d = z == 0 ? 1 : z;
        TL_SIMD
        for (int64_t i = 0; i < n; i++) y[i] /= d;
    }
    return TL_OK;
}

KERNEL(log_softmax)
{
    const int64_t n = r->out_desc->dim[r->out_desc->rank - 1], all = tl_elements(r->out_desc);
    const real *x = r->in[0];
    real *y = r->out;
    for (const real *end = x + all; x < end; x += n, y += n) {
        real m = lanes_max(x, n);
        m = m == -INFINITY ? 0 : m;
        const real z = sum_exp(x, n, m, y), l = z == 0 ? 0 : real_log(z);
        TL_SIMD
        for (int64_t i = 0; i < n; i++) y[i] = x[i] - m - l;
    }
    return TL_OK;
}

#else

static bool softmax_shape(tl_shape_rule *r)
{
    r->out = r->in[0];
    return r->out.rank >= 1 || tl_refuse(r, TL_E_SHAPE, "a scalar has no last axis");
}

static const int last[] = { -1 };

static tl_tensor softmax_vjp(const tl_vjp *v, int i)
{
    (void)i;
    return tl_mul(v->y, tl_sub(v->g, tl_sum_keep(tl_mul(v->g, v->y), 1, last)));
}

static tl_tensor log_softmax_vjp(const tl_vjp *v, int i)
{
    (void)i;
    return tl_sub(v->g, tl_mul(tl_exp(v->y), tl_sum_keep(v->g, 1, last)));
}

/* The fourth would overflow without m. */
#define SOFTMAX_OP(op)                                                                                                 \
    TL_OP(op, .min_in = 1, .max_in = 1, .cls = TL_ROWWISE, .shape = softmax_shape, .vjp = op##_vjp,                    \
          TL_CASES({ 1, { TL_CASE_SHAPE(5) } }, { 1, { TL_CASE_SHAPE(2, 3, 4) } }, { 1, { TL_CASE_SHAPE(3, 1) } },     \
                   { 1, { TL_CASE_SHAPE(2, 6) }, .lo = 700, .hi = 702 }, { 1, { TL_CASE_SHAPE(2, 37) } },              \
                   { 1, { TL_CASE_SHAPE(3, 0) } }, { 1, { TL_CASE_SHAPE(0, 3) } },                                     \
                   { 1, { TL_CASE_SCALAR }, .rejects = true }));                                                       \
    tl_tensor tl_##op##_at(tl_place at, tl_tensor x) { return tl_apply_at(at, &tl_op_##op, &x, 1, NULL); }             \
    tl_tensor(tl_##op)(tl_tensor x) { return tl_##op##_at(TL_NOWHERE, x); }

SOFTMAX_OP(softmax)
SOFTMAX_OP(log_softmax)

/* The axis changes places with the last one, there and back. */
static tl_tensor over_axis(tl_place at, tl_tensor x, int axis, const struct tl_op *refusal,
                           tl_tensor (*f)(tl_place at, tl_tensor x))
{
    if (tl_lacks_axis(x, axis)) return tl_apply_at(at, refusal, &x, 1, TL_AXIS(axis, x));
    const int rank = tl_rank(x), a = (int)tl_axis(axis, rank);
    int order[TL_MAX_RANK];
    for (int i = 0; i < rank; i++) order[i] = i == a ? rank - 1 : i == rank - 1 ? a : i;
    if (a == rank - 1) return f(at, x);
    return tl_permute_at(at, f(at, tl_permute_at(at, x, order)), order);
}
TL_AXIS_REFUSAL(softmax_axis);
TL_AXIS_REFUSAL(log_softmax_axis);
TL_COMPOSED_WITH(softmax_axis, int, axis, over_axis(at, x, axis, &refusal_softmax_axis, tl_softmax_at))
TL_COMPOSED_WITH(log_softmax_axis, int, axis, over_axis(at, x, axis, &refusal_log_softmax_axis, tl_log_softmax_at))

#endif
