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

/* Blocks counter[0], counter[0] + 1, ...: side by side, which compilers turn into vector code. */
enum { PHILOX_BLOCKS = 16 };
static inline void tl_philox_blocks(const uint32_t counter[4], const uint32_t key[2], uint32_t *out)
{
    uint32_t a[PHILOX_BLOCKS], b[PHILOX_BLOCKS], c[PHILOX_BLOCKS], d[PHILOX_BLOCKS], k = key[0], l = key[1];
    for (int i = 0; i < PHILOX_BLOCKS; i++) {
        a[i] = counter[0] + (uint32_t)i;
        b[i] = counter[1], c[i] = counter[2], d[i] = counter[3];
    }
    for (int round = 0; round < 10; round++, k += 0x9E3779B9u, l += 0xBB67AE85u)
        _Pragma("omp simd") for (int i = 0; i < PHILOX_BLOCKS; i++)
        {
            const uint64_t p = (uint64_t)0xD2511F53u * a[i], q = (uint64_t)0xCD9E8D57u * c[i];
            a[i] = (uint32_t)(q >> 32) ^ b[i] ^ k;
            b[i] = (uint32_t)q;
            c[i] = (uint32_t)(p >> 32) ^ d[i] ^ l;
            d[i] = (uint32_t)p;
        }
    for (int i = 0; i < PHILOX_BLOCKS; i++, out += 4) out[0] = a[i], out[1] = b[i], out[2] = c[i], out[3] = d[i];
}

#endif
