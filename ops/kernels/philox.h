/* ops/kernels/philox.h - Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC'11): four numbers from a counter and a key. */
#ifndef TL_PHILOX_H
#define TL_PHILOX_H

#include <stdint.h>

static inline void tl_philox_block(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t a = counter[0], b = counter[1], c = counter[2], d = counter[3], k = key[0], l = key[1];
    for (int round = 0; round < 10; round++, k += 0x9E3779B9u, l += 0xBB67AE85u) {
        const uint64_t p = (uint64_t)0xD2511F53u * a, q = (uint64_t)0xCD9E8D57u * c;
        a = (uint32_t)(q >> 32) ^ b ^ k;
        b = (uint32_t)q;
        c = (uint32_t)(p >> 32) ^ d ^ l;
        d = (uint32_t)p;
    }
    out[0] = a, out[1] = b, out[2] = c, out[3] = d;
}

#endif
