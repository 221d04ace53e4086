/* ops/kernels/elementwise.h - the loop of every elementwise kernel. `real` is the element type.
 *
 * Operands come in out's rank with axes merged (graph/op.h), so the innermost axis is long; out's stride there is 1, the
 * operands' strides are 1 or 0 in all common cases, which get loops of their own that a compiler vectorises. An element's value depends on its operands
 * alone, never on its position.
 */
#ifndef TL_ELEMENTWISE_H
#define TL_ELEMENTWISE_H

/* Walks all axes but the last; offset[k] is the start of the present row in operand k (in elements). */
typedef struct tl_rows {
    int64_t index[TL_MAX_RANK], offset[TL_CASE_INPUTS], out, left;
} tl_rows;

static inline int64_t tl_row_length(const tl_run_args *r)
{
    return r->out_desc->rank ? r->out_desc->dim[r->out_desc->rank - 1] : 1;
}

static inline int64_t tl_row_step(const tl_run_args *r, int k)
{
    return r->out_desc->rank ? r->in_desc[k].stride[r->out_desc->rank - 1] : 0;
}

static inline tl_rows tl_rows_begin(const tl_run_args *r)
{
    tl_rows w = { .left = 1 };
    for (int a = 0; a < r->out_desc->rank; a++) {
        if (a + 1 < r->out_desc->rank) w.left *= r->out_desc->dim[a];
        if (!r->out_desc->dim[a]) w.left = 0;
    }
    return w;
}

static inline void tl_rows_next(tl_rows *w, const tl_run_args *r)
{
    w->left--;
    for (int a = r->out_desc->rank - 2; a >= 0; a--) {
        w->out += r->out_desc->stride[a];
        for (int k = 0; k < r->n_in; k++) w->offset[k] += r->in_desc[k].stride[a];
        if (++w->index[a] < r->out_desc->dim[a]) return;
        w->out -= r->out_desc->stride[a] * r->out_desc->dim[a];
        for (int k = 0; k < r->n_in; k++) w->offset[k] -= r->in_desc[k].stride[a] * r->out_desc->dim[a];
        w->index[a] = 0;
    }
}

/* y = EXPR of x: UNARY_KERNEL(square, x * x). With attributes: UNARY_KERNEL_ATTR(scale, declarations;, x * v). */
#define UNARY_KERNEL(op, ...) UNARY_KERNEL_ATTR(op, , __VA_ARGS__)
#define UNARY_KERNEL_ATTR(op, declare, ...)                                                                            \
    KERNEL(op)                                                                                                         \
    {                                                                                                                  \
        declare const int64_t n = tl_row_length(r), s = tl_row_step(r, 0);                                             \
        for (tl_rows w = tl_rows_begin(r); w.left > 0; tl_rows_next(&w, r)) {                                          \
            const real *px = (const real *)r->in[0] + w.offset[0];                                                     \
            real *y = (real *)r->out + w.out;                                                                          \
            if (s == 1) {                                                                                              \
                TL_SIMD                                                                                                \
                for (int64_t i = 0; i < n; i++) {                                                                      \
                    const real x = px[i];                                                                              \
                    y[i] = (__VA_ARGS__);                                                                              \
                }                                                                                                      \
            } else {                                                                                                   \
                for (int64_t i = 0; i < n; i++) {                                                                      \
                    const real x = px[i * s];                                                                          \
                    y[i] = (__VA_ARGS__);                                                                              \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        return TL_OK;                                                                                                  \
    }

/* Operands may be the output itself (in place), element by element, which `ivdep` allows. */
#if defined __clang__
#define TL_SIMD _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed" /* where calls to libm stand in the way */
#else
#define TL_SIMD _Pragma("GCC ivdep")
#endif

/* y = EXPR of a and b. */
#define BINARY_KERNEL(op, ...)                                                                                         \
    KERNEL(op)                                                                                                         \
    {                                                                                                                  \
        const int64_t n = tl_row_length(r), s = tl_row_step(r, 0), t = tl_row_step(r, 1);                              \
        for (tl_rows w = tl_rows_begin(r); w.left > 0; tl_rows_next(&w, r)) {                                          \
            const real *pa = (const real *)r->in[0] + w.offset[0], *pb = (const real *)r->in[1] + w.offset[1];         \
            real *y = (real *)r->out + w.out;                                                                          \
            if (s == 1 && t == 1) {                                                                                    \
                TL_SIMD                                                                                                \
                for (int64_t i = 0; i < n; i++) {                                                                      \
                    const real a = pa[i], b = pb[i];                                                                   \
                    y[i] = (__VA_ARGS__);                                                                              \
                }                                                                                                      \
            } else if (s == 1 && t == 0 && n) {                                                                        \
                const real b = *pb;                                                                                    \
                TL_SIMD                                                                                                \
                for (int64_t i = 0; i < n; i++) {                                                                      \
                    const real a = pa[i];                                                                              \
                    y[i] = (__VA_ARGS__);                                                                              \
                }                                                                                                      \
            } else if (s == 0 && t == 1 && n) {                                                                        \
                const real a = *pa;                                                                                    \
                TL_SIMD                                                                                                \
                for (int64_t i = 0; i < n; i++) {                                                                      \
                    const real b = pb[i];                                                                              \
                    y[i] = (__VA_ARGS__);                                                                              \
                }                                                                                                      \
            } else {                                                                                                   \
                for (int64_t i = 0; i < n; i++) {                                                                      \
                    const real a = pa[i * s], b = pb[i * t];                                                           \
                    y[i] = (__VA_ARGS__);                                                                              \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        return TL_OK;                                                                                                  \
    }

/* y = EXPR of a, b and c. */
#define TERNARY_KERNEL(op, ...)                                                                                        \
    KERNEL(op)                                                                                                         \
    {                                                                                                                  \
        const int64_t n = tl_row_length(r), s = tl_row_step(r, 0), t = tl_row_step(r, 1), u = tl_row_step(r, 2);       \
        for (tl_rows w = tl_rows_begin(r); w.left > 0; tl_rows_next(&w, r)) {                                          \
            const real *pa = (const real *)r->in[0] + w.offset[0], *pb = (const real *)r->in[1] + w.offset[1];         \
            const real *pc = (const real *)r->in[2] + w.offset[2];                                                     \
            real *y = (real *)r->out + w.out;                                                                          \
            if (s == 1 && t == 1 && u == 1) {                                                                          \
                TL_SIMD                                                                                                \
                for (int64_t i = 0; i < n; i++) {                                                                      \
                    const real a = pa[i], b = pb[i], c = pc[i];                                                        \
                    y[i] = (__VA_ARGS__);                                                                              \
                }                                                                                                      \
            } else {                                                                                                   \
                for (int64_t i = 0; i < n; i++) {                                                                      \
                    const real a = pa[i * s], b = pb[i * t], c = pc[i * u];                                            \
                    y[i] = (__VA_ARGS__);                                                                              \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        return TL_OK;                                                                                                  \
    }
#endif
