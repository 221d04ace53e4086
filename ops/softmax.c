/* ops/softmax.c - over the last axis, m = max x:
 *     softmax      y_i = e^(x_i - m) / sum_j e^(x_j - m),    dx = y (g - sum(g y))
 *     log_softmax  y_i = x_i - m - ln sum_j e^(x_j - m),     dx = g - e^y sum(g)
 * A row that is -inf throughout gives 0 (stays -inf). */
#include "ops/define.h"
#ifdef TL_REAL

#include "ops/kernels/lanes.h"

/* Short rows go through each stage together: one row's stages wait for each other, several rows' do not. */
enum { TOGETHER = 16, SHORT = 512 };

/* The terms e^(x_i - m); those of a row's last few elements by full vectors too. */
static void terms(const real *x, int64_t n, real m, real *term)
{
    const int64_t whole = n - n % LANES;
    real rest[LANES];
    TL_SIMD
    for (int64_t i = 0; i < whole; i++) term[i] = real_exp(x[i] - m);
    if (whole == n) return;
    for (int p = 0; p < PARTS; p++) vstore(rest + p * W, lanes_rest(x + whole, n - whole, p, vspread(&m)));
    TL_SIMD
    for (int l = 0; l < LANES; l++) rest[l] = real_exp(rest[l] - m);
    for (int p = 0; p < PARTS; p++) vstore_part(term + whole + p * W, lanes_first(n - whole, p), vload(rest + p * W));
}

/* Of the next rows, `left` at most: each one's m, its terms into y, and their sum z. Returns how many rows. */
static int64_t sums(const real *x, int64_t left, int64_t n, real *y, real m[TOGETHER], real z[TOGETHER])
{
    const int64_t rows = n > SHORT ? 1 : left < TOGETHER ? left : TOGETHER;
    for (int k = 0; k < rows; k++) m[k] = lanes_max(x + k * n, n);
    for (int k = 0; k < rows; k++) m[k] = m[k] == -INFINITY ? 0 : m[k];
    for (int k = 0; k < rows; k++) terms(x + k * n, n, m[k], y + k * n);
    for (int k = 0; k < rows; k++) z[k] = lanes_sum(y + k * n, n);
    for (int64_t k = rows; k < TOGETHER; k++) z[k] = 0;
    return rows;
}

/* A row's sum z becomes PART, or EMPTY if it is 0; element i of the row becomes EXPR. */
#define SOFTMAX_KERNEL(op, EMPTY, PART, EXPR)                                                                          \
    KERNEL(op)                                                                                                         \
    {                                                                                                                  \
        const int rank = r->out_desc->rank;                                                                            \
        const int64_t n = r->out_desc->dim[rank - 1];                                                                  \
        const real *x = r->in[0];                                                                                      \
        real *y = r->out, m[TOGETHER], z[TOGETHER];                                                                    \
        for (int64_t left = n ? tl_span(r->out_desc, 0, rank - 1) : 0, rows; left > 0; left -= rows) {                 \
            rows = sums(x, left, n, y, m, z);                                                                          \
            TL_SIMD                                                                                                    \
            for (int k = 0; k < TOGETHER; k++) z[k] = z[k] == 0 ? EMPTY : PART;                                        \
            for (int k = 0; k < rows; k++, x += n, y += n) {                                                           \
                TL_SIMD                                                                                                \
                for (int64_t i = 0; i < n; i++) y[i] = EXPR;                                                           \
            }                                                                                                          \
        }                                                                                                              \
        return TL_OK;                                                                                                  \
    }

SOFTMAX_KERNEL(softmax, 1, z[k], y[i] / z[k])
SOFTMAX_KERNEL(log_softmax, 0, real_log(z[k]), x[i] - m[k] - z[k])

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
