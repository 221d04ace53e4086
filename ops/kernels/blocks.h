/* ops/kernels/blocks.h - sizes of the blocks of a product that its memory for work depends on. */
#ifndef TL_BLOCKS_H
#define TL_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TL_PANEL_DEPTH = 256, TL_BLOCK_BYTES = 1920, TL_LINE = 64 };

/* Is a copied block by block? Where it is transposed and its rows, `row_bytes` apart, all fall on the same few lines of a
 * cache; if enough panels make up for it. */
static inline bool tl_product_copies(int64_t m, int64_t n, bool transposed, int64_t row_bytes)
{
    return transposed && m >= 96 && n >= 128 && row_bytes % 4096 == 0;
}

/* Bytes for a panel of b, as wide as two of the widest vectors, and for a block of a that is copied. */
static inline size_t tl_product_work(int64_t k, bool copies)
{
    const int64_t depth = k < TL_PANEL_DEPTH ? k : TL_PANEL_DEPTH;
    return (size_t)(copies ? TL_PANEL_DEPTH * 128 + depth * (TL_BLOCK_BYTES + 2 * TL_LINE) : depth * 128);
}

#endif
