/* ops/kernels/vmath.h - exp, log, tanh and sigmoid of one float, without branches and with every fused multiply-add
 * spelled out: compilers turn loops over them into vector code, and the bits are the same on every instruction set and
 * at every position. Errors are below 2 ulp (tests/test_kernels.c measures them). Doubles go to libm.
 *
 * Methods: exp by n = round(x / ln 2) and a polynomial on the rest (Cephes' coefficients); tanh from expm1(2 |x|);
 * log on [sqrt(1/2), sqrt 2) (Cephes). Comparisons are written so that a NaN passes through them.
 */
#ifndef TL_VMATH_H
#define TL_VMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t tl_bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}

static inline float tl_float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, 4);
    return x;
}

#define TL_ROUNDER 0x1.8p23f /* adding it leaves a float rounded to an integer, which stands in its lowest bits */

/* expm1(r) on |r| <= ln2 / 2 */
static inline float tl_expm1_near(float r)
{
    float p = 1.9875691500e-4f;
    p = fmaf(p, r, 1.3981999507e-3f);
    p = fmaf(p, r, 8.3334519073e-3f);
    p = fmaf(p, r, 4.1665795894e-2f);
    p = fmaf(p, r, 1.6666665459e-1f);
    p = fmaf(p, r, 5.0000001201e-1f);
    return fmaf(p, r * r, r);
}

/* x - n ln 2, in two steps: the first product is exact enough to cancel */
static inline float tl_less_ln2(float x, float n) { return fmaf(n, -1.42860677e-6f, fmaf(n, -0.693145752f, x)); }

static inline float tl_exp_f32(float x)
{
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    const float t = fmaf(x, 1.44269504f, TL_ROUNDER);
    const float p = tl_expm1_near(tl_less_ln2(x, t - TL_ROUNDER)) + 1.0f;
    const int32_t n = (int32_t)(tl_bits_of(t) - tl_bits_of(TL_ROUNDER)), half = n >> 1; /* 2^n may be no float */
    return p * tl_float_of((uint32_t)(half + 127) << 23) * tl_float_of((uint32_t)(n - half + 127) << 23);
}

static inline float tl_tanh_f32(float x)
{
    const uint32_t sign = tl_bits_of(x) & 0x80000000u;
    float a = 2.0f * tl_float_of(tl_bits_of(x) & 0x7fffffffu);
    a = a > 20.0f ? 20.0f : a;
    const float t = fmaf(a, 1.44269504f, TL_ROUNDER);
    const float q = tl_expm1_near(tl_less_ln2(a, t - TL_ROUNDER));
    const float s = tl_float_of((tl_bits_of(t) - tl_bits_of(TL_ROUNDER) + 127) << 23);
    const float e = fmaf(s, q, s - 1.0f); /* expm1(2 |x|) */
    return tl_float_of(tl_bits_of(e / (e + 2.0f)) | sign);
}

/* From e^-|x|, so that small values keep their relative accuracy. */
static inline float tl_sigmoid_f32(float x)
{
    float a = tl_float_of(tl_bits_of(x) | 0x80000000u);
    a = a < -104.0f ? -104.0f : a;
    const float t = fmaf(a, 1.44269504f, TL_ROUNDER);
    const float p = tl_expm1_near(tl_less_ln2(a, t - TL_ROUNDER)) + 1.0f;
    const uint32_t n = tl_bits_of(t) - tl_bits_of(TL_ROUNDER); /* of 2^n, which may be no float, 2^(n + 64) is one */
    const float e = p * tl_float_of((n + 64 + 127) << 23) * 0x1p-64f;
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

static inline uint32_t tl_choose(uint32_t c, uint32_t a, uint32_t b) { return (-c & a) | ((c - 1) & b); }

static inline float tl_log_f32(float x)
{
    const uint32_t tiny = tl_choose(tl_bits_of(x) < 0x00800000u, 25, 0); /* denormals are scaled by 2^25 first */
    const float y = x * tl_float_of((127 + tiny) << 23);
    const uint32_t u = tl_bits_of(y) - 0x3f3504f3u; /* relative to sqrt(1/2) */
    const float e = (float)(((int32_t)u >> 23) - (int32_t)tiny);
    const float f = tl_float_of((u & 0x7fffffu) + 0x3f3504f3u) - 1.0f, z = f * f;
    float p = 7.0376836292e-2f;
    p = fmaf(p, f, -1.1514610310e-1f);
    p = fmaf(p, f, 1.1676998740e-1f);
    p = fmaf(p, f, -1.2420140846e-1f);
    p = fmaf(p, f, 1.4249322787e-1f);
    p = fmaf(p, f, -1.6668057665e-1f);
    p = fmaf(p, f, 2.0000714765e-1f);
    p = fmaf(p, f, -2.4999993993e-1f);
    p = fmaf(p, f, 3.3333331174e-1f);
    const float low = fmaf(e, -2.12194440e-4f, p * f * z);
    const float r = fmaf(e, 0.693359375f, fmaf(-0.5f, z, low) + f);
    const uint32_t v = tl_bits_of(y); /* choices are masks, since gcc does not vectorise the ?: of floats here */
    uint32_t w = tl_bits_of(r);
    w = tl_choose(v >= 0x7f800000u, v, w); /* infinity and NaN are their own logarithms */
    w = tl_choose(v - 0x80000001u < 0x7f800000u, 0x7fc00000u, w);
    w = tl_choose(!(v << 1), 0xff800000u, w);
    return tl_float_of(w);
}

static inline float tl_sqrt_f32(float x) { return sqrtf(x); }
static inline float tl_abs_f32(float x) { return fabsf(x); }

static inline double tl_sqrt_f64(double x) { return sqrt(x); }
static inline double tl_abs_f64(double x) { return fabs(x); }
static inline double tl_exp_f64(double x) { return exp(x); }
static inline double tl_log_f64(double x) { return log(x); }
static inline double tl_tanh_f64(double x) { return tanh(x); }
static inline double tl_sigmoid_f64(double x)
{
    const double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

#endif
