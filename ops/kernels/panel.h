/* ops/kernels/panel.h - columns of a matrix laid out as the product reads them: row after row, as wide as a tile. */
#ifndef TL_PANEL_H
#define TL_PANEL_H

#include "ops/kernels/vector.h"

enum { TILE_WIDTH = 2 * W };

/* A matrix in memory: element (i, j) stands at p[i * row + j * col]. */
typedef struct product_matrix {
    const real *p;
    int64_t row, col;
} product_matrix;

/* Columns j..j+columns-1 of b, rows k..k+depth-1, as rows of `width`. */
static void pack_panel(real *restrict to, const product_matrix *b, int64_t k, int64_t depth, int64_t j, int columns,
                       int width)
{
    const real *from = b->p + k * b->row + j * b->col;
    const int64_t row = b->row, col = b->col;
    if (col == 1 && columns == TILE_WIDTH) {
        for (int64_t p = 0; p < depth; p++)
            for (int i = 0; i < TILE_WIDTH; i += W) vstore(to + p * width + i, vload(from + p * row + i));
        return;
    }
    if (col == 1) {
        for (int64_t p = 0; p < depth; p++)
            for (int i = 0; i < columns; i++) to[p * width + i] = from[p * row + i];
        return;
    }
    const int blocks = row == 1 ? columns / W * W : 0;
    const int64_t whole = depth / W * W;
    for (int64_t p = 0; p < whole; p += W)
        for (int i = 0; i < blocks; i += W) vtranspose(from + i * col + p, col, to + p * width + i, width);
    for (int64_t p = 0; p < depth; p++)
        for (int i = p < whole ? blocks : 0; i < columns; i++) to[p * width + i] = from[p * row + i * col];
}

#endif
