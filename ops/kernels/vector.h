/* ops/kernels/vector.h - a vector of W elements for each instruction set and type: loads, stores, fused multiply-add,
 * transposing. A `vmask` chooses the first few elements; the others are neither read nor written. */
#ifndef TL_VECTOR_H
#define TL_VECTOR_H

static inline float tl_fma_f32(float a, float b, float c) { return fmaf(a, b, c); }
static inline double tl_fma_f64(double a, double b, double c) { return fma(a, b, c); }
#define real_fma TL_JOIN2(tl_fma_, TL_TYPE)

/* TILE_ROWS: how many rows of two vectors fit the registers, beside one row of b and one element of a. */
#if defined __AVX512F__ && defined __AVX512VL__
#include <immintrin.h>
#define VECTOR_BYTES 64
#define TILE_ROWS 12
#define TILES(T) T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8) T(9) T(10) T(11) T(12)
#define WIDE_TILES(T) T(1) T(2) T(3)
#elif defined __AVX2__ && defined __FMA__
#include <immintrin.h>
#define VECTOR_BYTES 32
#define TILE_ROWS 6
#define TILES(T) T(1) T(2) T(3) T(4) T(5) T(6)
#define WIDE_TILES(T) T(1)
#else
#define VECTOR_BYTES 16
#define TILE_ROWS 4
#define TILES(T) T(1) T(2) T(3) T(4)
#define WIDE_TILES(T) T(1)
#endif

enum { W = VECTOR_BYTES / sizeof(real) };

typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
typedef real vec_unaligned __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

static inline vec vload(const real *p) { return *(const vec_unaligned *)p; }
static inline void vstore(real *p, vec v) { *(vec_unaligned *)p = v; }
static inline vec vzero(void) { return (vec){ 0 }; }

/* An intrinsic by type and width: VOP(FMA) is VFMA_f32_64. */
#define VOP(name) TL_JOIN3(V##name, TL_TYPE, VECTOR_BYTES)

#if VECTOR_BYTES == 64
#define VFMA_f32_64 _mm512_fmadd_ps
#define VFMA_f64_64 _mm512_fmadd_pd
#define VSPREAD_f32_64 _mm512_set1_ps
#define VSPREAD_f64_64 _mm512_set1_pd
#define VLOAD_f32_64 _mm512_maskz_loadu_ps
#define VLOAD_f64_64 _mm512_maskz_loadu_pd
#define VSTORE_f32_64 _mm512_mask_storeu_ps
#define VSTORE_f64_64 _mm512_mask_storeu_pd
#define VMASK_f32_64 __mmask16
#define VMASK_f64_64 __mmask8
typedef VOP(MASK) vmask;
static inline vmask vfirst(int n) { return (vmask)((1u << n) - 1); }
static inline vec vload_part(const real *p, vmask m) { return (vec)VOP(LOAD)(m, p); }
static inline void vstore_part(real *p, vmask m, vec v) { VOP(STORE)(p, m, v); }
#elif VECTOR_BYTES == 32
#define VFMA_f32_32 _mm256_fmadd_ps
#define VFMA_f64_32 _mm256_fmadd_pd
#define VSPREAD_f32_32 _mm256_set1_ps
#define VSPREAD_f64_32 _mm256_set1_pd
#define VLOAD_f32_32 _mm256_maskload_ps
#define VLOAD_f64_32 _mm256_maskload_pd
#define VSTORE_f32_32 _mm256_maskstore_ps
#define VSTORE_f64_32 _mm256_maskstore_pd
typedef __m256i vmask;
static inline vmask vfirst(int n)
{
    static const int32_t ones[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    return _mm256_loadu_si256((const __m256i *)(const void *)(ones + 8 - n * (int)(sizeof(real) / 4)));
}
static inline vec vload_part(const real *p, vmask m) { return (vec)VOP(LOAD)(p, m); }
static inline void vstore_part(real *p, vmask m, vec v) { VOP(STORE)(p, m, v); }
#else
typedef int vmask;
static inline vmask vfirst(int n) { return n; }
static inline vec vload_part(const real *p, vmask m)
{
    vec v = vzero();
    for (int i = 0; i < m; i++) v[i] = p[i];
    return v;
}
static inline void vstore_part(real *p, vmask m, vec v)
{
    for (int i = 0; i < m; i++) p[i] = v[i];
}
#endif

#if VECTOR_BYTES > 16
static inline vec vfma(vec a, vec b, vec c) { return (vec)VOP(FMA)(a, b, c); }
static inline vec vspread(const real *p) { return (vec)VOP(SPREAD)(*p); }
#else
static inline vec vfma(vec a, vec b, vec c)
{
    for (int i = 0; i < W; i++) c[i] = real_fma(a[i], b[i], c[i]);
    return c;
}
static inline vec vspread(const real *p)
{
    vec v = vzero();
    for (int i = 0; i < W; i++) v[i] = *p;
    return v;
}
#endif

/* a0 b0 a1 b1 ..., from the lower and the upper halves of a and b */
#define VLOW_f64_16(a, b) __builtin_shufflevector(a, b, 0, 2)
#define VHIGH_f64_16(a, b) __builtin_shufflevector(a, b, 1, 3)
#define VLOW_f32_16(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define VHIGH_f32_16(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define VLOW_f64_32 VLOW_f32_16
#define VHIGH_f64_32 VHIGH_f32_16
#define VLOW_f32_32(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define VHIGH_f32_32(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define VLOW_f64_64 VLOW_f32_32
#define VHIGH_f64_64 VHIGH_f32_32
#define VLOW_f32_64(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define VHIGH_f32_64(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)

/* Elements k, k + 1, ... of v come first; what follows them is of no meaning. */
#define VDOWN_f64_16(v, k) __builtin_shufflevector(v, v, k, (k) + 1)
#define VDOWN_f32_16(v, k) __builtin_shufflevector(v, v, k, (k) + 1, (k) + 2, (k) + 3)
#define VDOWN_f64_32 VDOWN_f32_16
#define VDOWN_f32_32(v, k)                                                                                             \
    __builtin_shufflevector(v, v, k, (k) + 1, (k) + 2, (k) + 3, (k) + 4, (k) + 5, (k) + 6, (k) + 7)
#define VDOWN_f64_64 VDOWN_f32_32
#define VDOWN_f32_64(v, k)                                                                                             \
    __builtin_shufflevector(v, v, k, (k) + 1, (k) + 2, (k) + 3, (k) + 4, (k) + 5, (k) + 6, (k) + 7, (k) + 8, (k) + 9,  \
                            (k) + 10, (k) + 11, (k) + 12, (k) + 13, (k) + 14, (k) + 15)

/* W rows from x, `from` elements apart, become W columns in y, rows `to` apart: log2 W rounds of interleaving. */
static inline void vtranspose(const real *x, int64_t from, real *y, int64_t to)
{
    vec a[W], b[W];
    for (int i = 0; i < W; i++) a[i] = vload(x + i * from);
    for (int round = 1; round < W; round *= 2) {
        for (int i = 0; i < W / 2; i++) {
            b[2 * i] = VOP(LOW)(a[i], a[i + W / 2]);
            b[2 * i + 1] = VOP(HIGH)(a[i], a[i + W / 2]);
        }
        for (int i = 0; i < W; i++) a[i] = b[i];
    }
    for (int i = 0; i < W; i++) vstore(y + i * to, a[i]);
}

#endif
