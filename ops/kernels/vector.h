/* ops/kernels/vector.h - a vector of W elements and its fused multiply-add, for each instruction set and type. */
#ifndef TL_VECTOR_H
#define TL_VECTOR_H

static inline float tl_fma_f32(float a, float b, float c) { return fmaf(a, b, c); }
static inline double tl_fma_f64(double a, double b, double c) { return fma(a, b, c); }
#define real_fma TL_JOIN2(tl_fma_, TL_TYPE)

/* How many rows of two vectors fit the registers, beside one row of b and one element of a. */
#if defined __AVX512F__
# include <immintrin.h>
# define VECTOR_BYTES 64
# define TILE_ROWS 12
# define TILES(T) T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8) T(9) T(10) T(11) T(12)
#elif defined __AVX2__ && defined __FMA__
# include <immintrin.h>
# define VECTOR_BYTES 32
# define TILE_ROWS 6
# define TILES(T) T(1) T(2) T(3) T(4) T(5) T(6)
#else
# define VECTOR_BYTES 16
# define TILE_ROWS 4
# define TILES(T) T(1) T(2) T(3) T(4)
#endif

enum { W = VECTOR_BYTES / sizeof(real) };

typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
typedef real vec_unaligned __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

static inline vec vload(const real *p) { return *(const vec_unaligned *)p; }
static inline void vstore(real *p, vec v) { *(vec_unaligned *)p = v; }
static inline vec vzero(void) { return (vec){ 0 }; }

#if VECTOR_BYTES > 16
# define VFMA_f32_64 _mm512_fmadd_ps
# define VFMA_f64_64 _mm512_fmadd_pd
# define VFMA_f32_32 _mm256_fmadd_ps
# define VFMA_f64_32 _mm256_fmadd_pd
# define VSPREAD_f32_64 _mm512_set1_ps
# define VSPREAD_f64_64 _mm512_set1_pd
# define VSPREAD_f32_32 _mm256_set1_ps
# define VSPREAD_f64_32 _mm256_set1_pd
static inline vec vfma(vec a, vec b, vec c) { return (vec)TL_JOIN3(VFMA, TL_TYPE, VECTOR_BYTES)(a, b, c); }
static inline vec vspread(const real *p) { return (vec)TL_JOIN3(VSPREAD, TL_TYPE, VECTOR_BYTES)(*p); }
#else
static inline vec vfma(vec a, vec b, vec c)
{
    for (int i = 0; i < W; i++) c[i] = real_fma(a[i], b[i], c[i]);
    return c;
}
static inline vec vspread(const real *p)
{
    vec v;
    for (int i = 0; i < W; i++) v[i] = *p;
    return v;
}
#endif

#endif
