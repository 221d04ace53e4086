/* ops/kernels/kernels.h - what ops/ offers the engine: kernels by instruction set, BLAS. Private to the library. */
#ifndef TL_KERNELS_H
#define TL_KERNELS_H

#include "graph/op.h"

/* The kernel that computes op's result of this dtype on this machine: the best instruction set's for built-in ops (or
 * what environment TL_ISA=base|v3|v4 allows), op->f32 or op->f64 for a user's. i32 results use the f32 kernel. */
tl_kernel tl_kernel_for(const struct tl_op *op, tl_dtype dtype);

/* "base", "v3" (x86-64-v3: AVX2, FMA) or "v4" (x86-64-v4: AVX-512); and its number: 0, 1, 2. */
const char *tl_isa_name(void);
int tl_isa(void);

/* Asks for memory that will be needed soon: the beginning of it, for the processor goes on by itself. */
static inline void tl_prefetch(const void *p, size_t bytes)
{
    for (size_t i = 0; i < bytes && i < 256; i += 64) __builtin_prefetch((const char *)p + i);
}

/* Columns of one panel of a packed matrix: those of a tile of the product's kernel in use. */
int64_t tl_panel_width(tl_dtype dtype);

/* Repairs OpenBLAS's choice of kernels where it is wrong and sets it to one thread; once. Any thread may call it. */
void tl_blas_init(void);

/* The kernels that OpenBLAS uses, "SkylakeX"; "none" in a build without it. */
const char *tl_blas_core(void);

/* c = op(a) op(b) (+ c, if add), row-major with leading dimensions, one thread. */
typedef struct tl_blas_product {
    int64_t m, n, k, lda, ldb, ldc;
    bool ta, tb, add;
} tl_blas_product;
void tl_blas_f32(const tl_blas_product *p, const float *a, const float *b, float *c);
void tl_blas_f64(const tl_blas_product *p, const double *a, const double *b, double *c);

#endif
