/* ops/kernels/random.h - numbers of several distributions from the words of a Philox block; the hash of a row's
 * indices. */
#ifndef TL_RANDOM_H
#define TL_RANDOM_H

#include "ops/kernels/philox.h"

/* splitmix64's finalizer (Steele, Lea, Flood, OOPSLA'14) */
static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t z = a + 0x9E3779B97F4A7C15u * (b + 1);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static real uniform_of(const uint32_t *w, int j, double p) { return (void)p, (real)(w[j] >> 8) * (real)0x1p-24; }

/* p 2^32 is exact, and w < 2^32: p = 1 always holds, p = 0 never. */
static real bernoulli_of(const uint32_t *w, int j, double p) { return w[j] < p * 0x1p32 ? 1 : 0; }

/* Words 0 and 1 make numbers 0 and 1, and so on; the first is never 0, so its logarithm is finite. */
static real normal_of(const uint32_t *w, int j, double p)
{
    (void)p;
    const int first = j & ~1;
    const double radius = sqrt(-2 * log((w[first] + 0.5) * 0x1p-32));
    const double angle = w[first + 1] * (0x1p-32 * 6.283185307179586);
    return (real)(radius * (j & 1 ? sin(angle) : cos(angle)));
}

static uint64_t row_hash(const tl_desc *d, int64_t row, int64_t first_row)
{
    int64_t index[TL_MAX_RANK] = { 0 };
    for (int a = d->rank - 2; a >= 0; row /= d->dim[a--]) index[a] = row % d->dim[a];
    if (d->rank >= 2) index[d->rank >= 3] += first_row;
    uint64_t h = 0;
    for (int a = 0; a < d->rank - 1; a++) h = h * 0x9E3779B97F4A7C15u + (uint64_t)index[a] + 1;
    return h;
}

#endif
