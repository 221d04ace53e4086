/* ops/kernels/lanes.h - sum and maximum over a row: lane i mod 16 takes its elements in order, then a fixed tree. */
#ifndef TL_LANES_H
#define TL_LANES_H

#include "ops/kernels/vector.h"

enum { LANES = 16, PARTS = LANES / W }; /* the lanes are held in as many vectors as it takes */

/* Lane j takes lane j + 8 with JOIN(x, m), then lane j + 4, 2 and 1: the result is lane 0. */
#define LANES_JOINED(lane, JOIN)                                                                                       \
    for (int half = PARTS / 2; half; half /= 2)                                                                        \
        for (int p = 0; p < half; p++) lane[p] = JOIN(lane[p + half], lane[p]);                                        \
    if (W > 8) lane[0] = JOIN(VOP(DOWN)(lane[0], 8 % W), lane[0]);                                                     \
    if (W > 4) lane[0] = JOIN(VOP(DOWN)(lane[0], 4 % W), lane[0]);                                                     \
    if (W > 2) lane[0] = JOIN(VOP(DOWN)(lane[0], 2 % W), lane[0]);                                                     \
    lane[0] = JOIN(VOP(DOWN)(lane[0], 1), lane[0])

/* The first k elements of part p, where k is counted from the lanes' beginning. */
static inline vmask lanes_first(int64_t k, int p)
{
    const int64_t left = k - p * W;
    return vfirst(left < 0 ? 0 : left > W ? W : (int)left);
}

typedef __typeof__(vzero() > vzero()) lanes_choice;
static inline vec lanes_choose(lanes_choice c, vec a, vec b)
{
    return (vec)(((lanes_choice)a & c) | ((lanes_choice)b & ~c));
}

/* Part p of x's last n elements, fewer than there are lanes: `none` where there is no element. */
static inline vec lanes_rest(const real *x, int64_t n, int p, vec none)
{
    static const real ones[LANES] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    const vmask m = lanes_first(n, p);
    return lanes_choose(vload_part(ones, m) > vzero(), vload_part(x + p * W, m), none);
}

static inline vec vadd(vec x, vec m) { return m + x; }

static inline real lanes_sum(const real *x, int64_t n)
{
    vec sum[PARTS];
    int64_t i = 0;
    for (int p = 0; p < PARTS; p++) sum[p] = vzero();
    for (; i + LANES <= n; i += LANES)
        for (int p = 0; p < PARTS; p++) sum[p] += vload(x + i + p * W);
    for (int p = 0; i < n && p < PARTS; p++) sum[p] += lanes_rest(x + i, n - i, p, vzero()); /* no lane is -0 */
    LANES_JOINED(sum, vadd);
    return sum[0][0];
}

/* A NaN stays. */
static inline real larger(real x, real m) { return ((x > m) | (x != x)) ? x : m; }

static inline vec vmax(vec x, vec m) { return lanes_choose(x > m, x, m); }

/* NaNs are looked for apart, which is quicker than carrying them along. */
static inline real lanes_max(const real *x, int64_t n)
{
    const vec none = vzero() - INFINITY;
    vec max[PARTS], odd[PARTS];
    int64_t i = 0;
    for (int p = 0; p < PARTS; p++) max[p] = none, odd[p] = vzero();
    for (; i + LANES <= n; i += LANES)
        for (int p = 0; p < PARTS; p++) {
            const vec v = vload(x + i + p * W);
            max[p] = vmax(v, max[p]);
            odd[p] = (vec)((lanes_choice)odd[p] | (v != v)); /* all bits set is a NaN */
        }
    for (int p = 0; i < n && p < PARTS; p++) {
        const vec v = lanes_rest(x + i, n - i, p, none);
        max[p] = vmax(v, max[p]);
        odd[p] = (vec)((lanes_choice)odd[p] | (v != v));
    }
    LANES_JOINED(max, vmax);
    LANES_JOINED(odd, vadd);
    return odd[0][0] != odd[0][0] ? odd[0][0] : max[0][0];
}

#endif
