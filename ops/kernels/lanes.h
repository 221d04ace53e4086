/* ops/kernels/lanes.h - the sum over a row: lane i mod 16 adds up its elements in order; then a tree of fixed shape. */
#ifndef TL_LANES_H
#define TL_LANES_H

static inline real lanes_join(real lane[16])
{
    for (int half = 8; half; half /= 2)
        for (int j = 0; j < half; j++) lane[j] += lane[j + half];
    return lane[0];
}

static inline real lanes_sum(const real *x, int64_t n)
{
    real lane[16] = { 0 };
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; j++) lane[j] += x[i + j];
    for (int j = 0; i + j < n; j++) lane[j] += x[i + j];
    return lanes_join(lane);
}

#endif
