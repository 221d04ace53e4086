/* ops/kernels/lanes.h - sum and maximum over a row: lane i mod 16 takes its elements in order, then a fixed tree. */
#ifndef TL_LANES_H
#define TL_LANES_H

#include "ops/kernels/vector.h"

enum { LANES = 16, PARTS = LANES / W }; /* the lanes are held in as many vectors as it takes */

static inline real lanes_sum(const real *x, int64_t n)
{
    vec sum[PARTS];
    real lane[LANES];
    int64_t i = 0;
    for (int p = 0; p < PARTS; p++) sum[p] = vzero();
    for (; i + LANES <= n; i += LANES)
        for (int p = 0; p < PARTS; p++) sum[p] += vload(x + i + p * W);
    for (int p = 0; p < PARTS; p++) vstore(lane + p * W, sum[p]);
    for (int j = 0; i + j < n; j++) lane[j] += x[i + j];
    for (int half = LANES / 2; half; half /= 2)
        for (int j = 0; j < half; j++) lane[j] += lane[j + half];
    return lane[0];
}

/* A NaN stays. */
static inline real larger(real x, real m) { return ((x > m) | (x != x)) ? x : m; }

static inline vec vlarger(vec x, vec m)
{
    typedef __typeof__(x > m) choice;
    const choice c = (x > m) | (x != x);
    return (vec)(((choice)x & c) | ((choice)m & ~c));
}

static inline real lanes_max(const real *x, int64_t n)
{
    vec max[PARTS];
    real lane[LANES];
    int64_t i = 0;
    for (int p = 0; p < PARTS; p++) max[p] = vzero() - INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (int p = 0; p < PARTS; p++) max[p] = vlarger(vload(x + i + p * W), max[p]);
    for (int p = 0; p < PARTS; p++) vstore(lane + p * W, max[p]);
    for (int j = 0; i + j < n; j++) lane[j] = larger(x[i + j], lane[j]);
    for (int j = 1; j < LANES; j++) lane[0] = larger(lane[j], lane[0]);
    return lane[0];
}

#endif
