/* ops/kernels/special.h - expm1, log1p, softplus, erf, sin and cos of one float, in the manner of vmath.h: no branches,
 * every fused multiply-add spelled out, so the same bits everywhere. sin and cos go through doubles, with plain
 * products and sums only. Errors (tests/test_kernels.c measures them): sin and cos 0.51 ulp, the others at most 2.
 * Where there is no good short formula (pow, gelu) a float is computed by libm in double and rounded: at most 0.51 ulp,
 * and slow.
 */
#ifndef TL_SPECIAL_H
#define TL_SPECIAL_H

#include "ops/kernels/vmath.h"

static inline float tl_sign_from(float y, float x)
{
    return tl_float_of(tl_bits_of(y) | (tl_bits_of(x) & 0x80000000u));
}

/* 2^n (1 + q) - 1; n is split, since 2^128 is no float */
static inline float tl_expm1_f32(float x)
{
    float a = x > 89.0f ? 89.0f : x;
    a = a < -20.0f ? -20.0f : a;
    const float t = fmaf(a, 1.44269504f, TL_ROUNDER);
    const float q = tl_expm1_near(tl_less_ln2(a, t - TL_ROUNDER));
    const int32_t n = (int32_t)(tl_bits_of(t) - tl_bits_of(TL_ROUNDER)), over = n > 127;
    const float s = tl_float_of((uint32_t)(n - over + 127) << 23);
    return tl_sign_from(fmaf(s, q, s - 1.0f) * tl_float_of((uint32_t)(over + 127) << 23), x);
}

/* ln u and what was lost in u = 1 + x */
static inline float tl_log1p_f32(float x)
{
    const float u = 1.0f + x, lost = (x - (u - 1.0f)) / u;
    const uint32_t exact = !(tl_bits_of(u) - 1 < 0x7f7fffffu); /* 0, infinity, what is below 0, NaN */
    return tl_sign_from(tl_log_f32(u) + tl_float_of(tl_choose(exact, 0, tl_bits_of(lost))), x);
}

static inline float tl_softplus_f32(float x)
{
    return (x > 0.0f ? x : 0.0f) + tl_log1p_f32(tl_exp_f32(tl_float_of(tl_bits_of(x) | 0x80000000u)));
}

/* A polynomial up to 0.93, 1 - e^polynomial beyond (after N. Juffa). */
static inline float tl_erf_f32(float x)
{
    const float t = tl_float_of(tl_bits_of(x) & 0x7fffffffu);
    const float s = t * t;
    float p = -5.96761703e-4f;
    p = fmaf(p, s, 4.99119423e-3f);
    p = fmaf(p, s, -2.67681349e-2f);
    p = fmaf(p, s, 1.12819925e-1f);
    p = fmaf(p, s, -3.76125336e-1f);
    p = fmaf(p, s, 1.28379166e-1f);
    p = fmaf(p, t, t);
    float q = fmaf(fmaf(-1.72853470e-5f, t, 3.83197126e-4f), s, fmaf(-3.88396438e-3f, t, 2.42546219e-2f));
    q = fmaf(q, t, -1.06777877e-1f);
    q = fmaf(q, t, -6.34846687e-1f);
    q = fmaf(q, t, -1.28717512e-1f);
    q = 1.0f - tl_exp_f32(fmaf(q, t, -t));
    return tl_sign_from(tl_float_of(tl_choose(tl_bits_of(t) > 0x3f6d8000u, tl_bits_of(q), tl_bits_of(p))), x);
}

/* sin (odd: cos) of |x|, by r = |x| - n pi/2. For |x| >= 2^20 the bits of 2/pi that matter are multiplied in
 * integers. */
static inline double tl_sine_of(float x, uint32_t odd)
{
    static const uint32_t two_over_pi[24] = { 0xa2,       0xa2f9,     0xa2f983,   0xa2f9836e, 0xf9836e4e, 0x836e4e44,
                                              0x6e4e4415, 0x4e441529, 0x441529fc, 0x1529fc27, 0x29fc2757, 0xfc2757d1,
                                              0x2757d1f5, 0x57d1f534, 0xd1f534dd, 0xf534ddc0, 0x34ddc0db, 0xddc0db62,
                                              0xc0db6295, 0xdb629599, 0x6295993c, 0x95993c43, 0x993c4390, 0x3c439041 };
    const uint32_t u = tl_bits_of(x) & 0x7fffffffu;
    const double a = (double)tl_float_of(u), rounder = 0x1.8p52;
    const double k = (a < 0x1p20 ? a : 0) * 0x1.45f306dc9c883p-1 + rounder - rounder;
    const double near = (a - k * 0x1.921fb54400000p0) - k * 0x1.0b4611a626331p-34;

    const uint32_t *const w = two_over_pi + ((u >> 26) & 15), m = ((u & 0x7fffffu) | 0x800000u) << ((u >> 23) & 7);
    uint64_t f = ((uint64_t)(m * w[0]) << 32 | (uint64_t)m * w[8] >> 32) + (uint64_t)m * w[4];
    const uint64_t quarter = (f + (1ull << 61)) >> 62;
    f -= quarter << 62;
    const double far = (double)(int64_t)f * 0x1.921fb54442d18p-62;

    const uint32_t large = a >= 0x1p20, q = tl_choose(large, (uint32_t)quarter, (uint32_t)(int32_t)k) + odd;
    const double r = large ? far : near, z = r * r;
    const double s = r +
                     r * z *
                         (-0x1.5555555555555p-3 +
                          z * (0x1.1111111110bb3p-7 + z * (-0x1.a01a019e83e5cp-13 +
                                                           z * (0x1.71de3796cde01p-19 + z * -0x1.ae600b42fdfa7p-26))));
    const double c = 1 - z / 2 +
                     z * z *
                         (0x1.5555555555554p-5 +
                          z * (-0x1.6c16c16c15177p-10 + z * (0x1.a01a019cb159p-16 + z * -0x1.27e4f809c52adp-22)));
    const double y = q & 1 ? c : s;
    return (u >= 0x7f800000u ? NAN : 1) * (q & 2 ? -y : y);
}

static inline float tl_sin_f32(float x)
{
    return tl_float_of(tl_bits_of((float)tl_sine_of(x, 0)) ^ (tl_bits_of(x) & 0x80000000u));
}
static inline float tl_cos_f32(float x) { return (float)tl_sine_of(x, 1); }

static inline double tl_expm1_f64(double x) { return expm1(x); }
static inline double tl_log1p_f64(double x) { return log1p(x); }
static inline double tl_softplus_f64(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }
static inline double tl_erf_f64(double x) { return erf(x); }
static inline double tl_sin_f64(double x) { return sin(x); }
static inline double tl_cos_f64(double x) { return cos(x); }

#endif
