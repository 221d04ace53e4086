/* ops/kernels/batch.h - the kernel of matmul: batches of products, and which of them go to OpenBLAS. */
#ifndef TL_BATCH_H
#define TL_BATCH_H

#include "ops/kernels/kernels.h"
#include "ops/kernels/product.h"

#define tl_blas TL_JOIN2(tl_blas_, TL_TYPE)

/* Multiply-adds and rows from which OpenBLAS is used, but in exact mode never; as measured (bench/gemm). With AVX-512 the
 * tiles of product.h are as fast or faster at all sizes. With AVX2 they are on the one machine measured, which is newer
 * than those that have nothing better. Without a fused multiply-add in hardware each is a call. */
#if VECTOR_BYTES == 64
#define TL_BLAS_MIN_WORK HUGE_VAL
#define TL_BLAS_MIN_ROWS 1
#elif defined __FP_FAST_FMAF || defined __FMA__
#define TL_BLAS_MIN_WORK 2.5e8
#define TL_BLAS_MIN_ROWS 64
#else
#define TL_BLAS_MIN_WORK 64
#define TL_BLAS_MIN_ROWS 1
#endif

/* One product of the batch, and how far the next one is along each batch axis. */
typedef struct batch_product {
    product one;
    bool ta, tb;
    int axes;
    int64_t left, dim[TL_MAX_RANK], index[TL_MAX_RANK];
    int64_t a[TL_MAX_RANK], b[TL_MAX_RANK], from[TL_MAX_RANK], c[TL_MAX_RANK];
} batch_product;

/* Strides of x along the last n axes of an array it is broadcast to. */
static void spread_strides(int64_t *stride, const tl_desc *x, int n)
{
    for (int i = 0; i < n - x->rank; i++) stride[i] = 0;
    for (int i = 0; i < x->rank; i++) stride[i + n - x->rank] = x->dim[i] == 1 ? 0 : x->stride[i];
}

/* Batch axes become rows where b is the same throughout and everything else lies row after row. */
static void join_rows(batch_product *s, bool has_from)
{
    while (s->axes > 0 && !s->ta && !s->b[s->axes - 1] && s->one.m > 0) {
        const int i = s->axes - 1;
        if (s->dim[i] != 1 && s->a[i] != s->one.m * s->one.a.row) return;
        if (s->dim[i] != 1 && s->c[i] != s->one.m * s->one.row) return;
        if (s->one.m == 1 && has_from) s->one.from.row = s->from[i];
        if (s->dim[i] != 1 && has_from && s->from[i] != s->one.m * s->one.from.row) return;
        s->one.m *= s->dim[i];
        s->left = s->dim[i] ? s->left / s->dim[i] : 0;
        s->axes--;
    }
}

/* C0's strides in the last two axes of a result that is n wide */
static product_matrix start_of(const real *p, const tl_desc *d, int64_t n)
{
    const int64_t columns = d->rank ? d->dim[d->rank - 1] : 1, rows = d->rank > 1 ? d->dim[d->rank - 2] : 1;
    return (product_matrix){ p, rows == 1 ? 0 : d->stride[d->rank - 2], columns == n };
}

/* How far the rows of a matrix are apart. */
static int64_t row_of(const tl_desc *d) { return d->stride[d->rank - 2]; }

/* Rows of the result that are what they start from: their rows of a are zeros. */
static void start_only(const product *s, int64_t first, int64_t end)
{
    for (int64_t i = first; i < end && s->from.p != s->c; i++)
        for (int64_t j = 0; j < s->n; j++)
            s->c[i * s->row + j] = s->from.p ? s->from.p[i * s->from.row + j * s->from.col] : 0;
}

/* Leaves out what a list of active rows leaves out. */
static void restrict_rows(product *s, const int32_t *active, bool ta)
{
    const int64_t rows = active[0], count = active[1], first = active[2];
    if (ta) {
        s->k = count;
        s->rows = active + 2;
        return;
    }
    start_only(s, 0, first);
    start_only(s, first + rows, s->m);
    s->m = rows;
    s->a.p += first * s->a.row;
    s->c += first * s->row;
    if (s->from.p) s->from.p += first * s->from.row;
}

/* Field by field: clearing the whole would cost as much as a small product. */
static void batch_begin(batch_product *s, const tl_run_args *r)
{
    const tl_product_attr *p = r->attr;
    const tl_desc *y = r->out_desc, *a = &r->in_desc[0], *b = &r->in_desc[1];
    const bool has_from = r->n_in > 2 && r->in[2];
    const int64_t lda = row_of(a), ldb = row_of(b);
    s->one = (product){ .m = y->dim[y->rank - 2],
                        .n = y->dim[y->rank - 1],
                        .k = a->dim[a->rank - (p->ta ? 2 : 1)],
                        .a = { r->in[0], p->ta ? 1 : lda, p->ta ? lda : 1 },
                        .b = { r->in[1], p->tb ? 1 : ldb, p->tb ? ldb : 1 },
                        .panel = p->packed ? b->stride[0] : 0,
                        .c = r->out,
                        .row = row_of(y),
                        .col = 1,
                        .work = r->work };
    if (has_from) s->one.from = start_of(r->in[2], &r->in_desc[2], s->one.n);
    s->ta = p->ta;
    s->tb = p->tb;
    s->left = 1;
    s->axes = y->rank - 2;
    if (r->n_in > 3 && r->in[3]) restrict_rows(&s->one, r->in[3], p->ta);
    if (!s->axes) return;
    for (int i = 0; i < s->axes; i++) {
        s->left *= s->dim[i] = y->dim[i];
        s->index[i] = 0;
    }
    spread_strides(s->a, a, y->rank);
    spread_strides(s->b, b, y->rank);
    spread_strides(s->c, y, y->rank);
    if (has_from) spread_strides(s->from, &r->in_desc[2], y->rank);
    join_rows(s, has_from);
}

static void batch_next(batch_product *s)
{
    s->left--;
    for (int i = s->axes - 1; i >= 0; i--) {
        s->one.a.p += s->a[i];
        s->one.b.p += s->b[i];
        s->one.c += s->c[i];
        if (s->one.from.p) s->one.from.p += s->from[i];
        if (++s->index[i] < s->dim[i]) return;
        s->one.a.p -= s->a[i] * s->dim[i];
        s->one.b.p -= s->b[i] * s->dim[i];
        s->one.c -= s->c[i] * s->dim[i];
        if (s->one.from.p) s->one.from.p -= s->from[i] * s->dim[i];
        s->index[i] = 0;
    }
}

static void run_blas(const batch_product *s)
{
    const product *p = &s->one;
    for (int64_t i = 0; p->from.p && p->from.p != p->c && i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) p->c[i * p->row + j] = p->from.p[i * p->from.row + j * p->from.col];
    const tl_blas_product q = { .m = p->m,
                                .n = p->n,
                                .k = p->k,
                                .lda = s->ta ? p->a.col : p->a.row,
                                .ldb = s->tb ? p->b.col : p->b.row,
                                .ldc = p->row,
                                .ta = s->ta,
                                .tb = s->tb,
                                .add = p->from.p != NULL };
    tl_blas(&q, p->a.p, p->b.p, p->c);
}

static void batch_run(const batch_product *s)
{
    const product *p = &s->one;
    const bool large = !p->panel && !p->rows && p->m >= TL_BLAS_MIN_ROWS &&
                       (double)p->m * (double)p->n * (double)p->k > TL_BLAS_MIN_WORK;
    if (large && p->m < INT32_MAX && p->n < INT32_MAX && p->k < INT32_MAX && !tl_exact()) run_blas(s);
    else product_run(p);
}

#endif
