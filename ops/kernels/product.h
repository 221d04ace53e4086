/* ops/kernels/product.h - the library's own matrix product: c = from + a b, each element one chain of fused multiply-adds,
 *
 *     c_ij = from_ij (or 0);  for k ascending: c_ij = fma(a_ik, b_kj, c_ij)
 *
 * so that neither tiling nor packing, splitting or transposing changes a bit. A tile of up to TILE_ROWS x 2 vectors of c is
 * kept in registers while k runs; b comes in panels as wide as a tile, packed into `work` (they then stay in the L1 cache
 * while all rows pass), at most TL_PANEL_DEPTH deep. The last columns go through a small buffer.
 */
#ifndef TL_PRODUCT_H
#define TL_PRODUCT_H

#include "ops/kernels/vector.h"

#define TL_PANEL_DEPTH 256
#define TL_TILE_BYTES 128                                  /* of the widest tile's row */
#define TL_BLOCK_ROWS 240                                  /* of a, read from the L2 cache once for each panel */
enum { TILE_WIDTH = 2 * W };

/* A matrix in memory: element (i, j) stands at p[i * row + j * col]. */
typedef struct product_matrix {
    const real *p;
    int64_t row, col;
} product_matrix;

typedef struct product {
    int64_t m, n, k;
    product_matrix a, b, from;                             /* from.p NULL: 0 */
    real *c;
    int64_t row, col;                                      /* strides of c */
    real *work;
} product;

/* rows x (vectors * W) elements of c; b is a panel with rows ldb apart */
typedef struct tile_args {
    int64_t k;
    const real *a;
    int64_t a_row, a_col;
    const real *b;
    int64_t ldb;
    const real *from;
    int64_t ldf;
    real *c;
    int64_t ldc;
} tile_args;

static inline __attribute__((always_inline)) void tile(const tile_args *t, const int rows, const int vectors)
{
    vec sum[TILE_ROWS][2];
    const real *a = t->a, *b = t->b;
    const int64_t a_row = t->a_row, a_col = t->a_col, ldb = t->ldb;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) sum[i][v] = t->from ? vload(t->from + i * t->ldf + v * W) : vzero();
    for (int64_t k = t->k; k > 0; k--, a += a_col, b += ldb) {
        vec y[2];
        for (int v = 0; v < vectors; v++) y[v] = vload(b + v * W);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            const vec x = vspread(a + i * a_row);
            for (int v = 0; v < vectors; v++) sum[i][v] = vfma(x, y[v], sum[i][v]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) vstore(t->c + i * t->ldc + v * W, sum[i][v]);
}

#define TILE(rows)                                                                                                    \
    static void tile_##rows##_1(const tile_args *t) { tile(t, rows, 1); }                                              \
    static void tile_##rows##_2(const tile_args *t) { tile(t, rows, 2); }
TILES(TILE)
#undef TILE
#define TILE(rows) { tile_##rows##_1, tile_##rows##_2 },
static void (*const tiles[TILE_ROWS][2])(const tile_args *) = { TILES(TILE) };
#undef TILE

/* A tile that is not all there, or does not lie by rows, is computed in a buffer. */
static void partial_tile(const tile_args *whole, int rows, int columns, int64_t col, int64_t from_col)
{
    real buffer[TILE_ROWS * TILE_WIDTH];
    tile_args t = *whole;
    memset(buffer, 0, sizeof buffer);
    for (int i = 0; t.from && i < rows; i++)
        for (int j = 0; j < columns; j++) buffer[i * TILE_WIDTH + j] = t.from[i * t.ldf + j * from_col];
    t.from = t.c = buffer;
    t.ldf = t.ldc = TILE_WIDTH;
    tiles[rows - 1][columns > W](&t);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) whole->c[i * whole->ldc + j * col] = buffer[i * TILE_WIDTH + j];
}

/* Columns j..j+columns-1 of b, rows k..k+depth-1, as rows of `width`, padded with zeros. */
static void pack_panel(real *restrict to, const product_matrix *b, int64_t k, int64_t depth, int64_t j, int columns,
                       int width)
{
    const real *from = b->p + k * b->row + j * b->col;
    const int64_t row = b->row, col = b->col;
    for (int64_t p = 0; p < depth; p++, from += row, to += width) {
        if (col == 1) for (int i = 0; i < columns; i++) to[i] = from[i];
        else for (int i = 0; i < columns; i++) to[i] = from[i * col];
        for (int i = columns; i < width; i++) to[i] = 0;
    }
}

/* All rows i..i+rows-1 against one panel; rows are dealt out evenly to tiles. */
static void pass_rows(const product *s, tile_args *t, int64_t i, int64_t rows, int64_t j, int columns)
{
    const product_matrix from = s->from;
    const bool whole = (columns == W || columns == TILE_WIDTH) && s->col == 1 && (!from.p || from.col == 1);
    const real *a = t->a;
    for (int64_t left = (rows + TILE_ROWS - 1) / TILE_ROWS, end = i + rows; left > 0; left--) {
        const int height = (int)((end - i + left - 1) / left);
        t->a = a + i * s->a.row;
        t->from = from.p ? from.p + i * from.row + j * from.col : NULL;
        t->ldf = from.row;
        t->c = s->c + i * s->row + j * s->col;
        if (whole) tiles[height - 1][columns > W](t);
        else partial_tile(t, height, columns, s->col, from.col);
        i += height;
    }
    t->a = a;
}

static void product_rows(const product *s, int64_t i, int64_t rows)
{
    const bool direct = s->b.col == 1 && rows <= 2 * TILE_ROWS;     /* too few rows to be worth packing b */
    int64_t k = 0;
    do {
        const int64_t depth = s->k - k < TL_PANEL_DEPTH ? s->k - k : TL_PANEL_DEPTH;
        for (int64_t j = 0; j < s->n; j += TILE_WIDTH) {
            const int columns = s->n - j < TILE_WIDTH ? (int)(s->n - j) : TILE_WIDTH, width = columns > W ? TILE_WIDTH : W;
            tile_args t = { .k = depth, .a = s->a.p + k * s->a.col, .a_row = s->a.row, .a_col = s->a.col, .ldc = s->row };
            if (direct && columns == width) {
                t.b = s->b.p + k * s->b.row + j;
                t.ldb = s->b.row;
            } else {
                pack_panel(s->work, &s->b, k, depth, j, columns, width);
                t.b = s->work;
                t.ldb = width;
            }
            product now = *s;
            if (k) now.from = (product_matrix){ s->c, s->row, s->col };
            pass_rows(&now, &t, i, rows, j, columns);
        }
        k += depth;
    } while (k < s->k);
}

/* The chain as it is defined. */
static void product_simply(const product *s)
{
    for (int64_t i = 0; i < s->m; i++)
        for (int64_t j = 0; j < s->n; j++) {
            const real *a = s->a.p + i * s->a.row, *b = s->b.p + j * s->b.col;
            real sum = s->from.p ? s->from.p[i * s->from.row + j * s->from.col] : 0;
            for (int64_t k = 0; k < s->k; k++) sum = real_fma(a[k * s->a.col], b[k * s->b.row], sum);
            s->c[i * s->row + j * s->col] = sum;
        }
}

/* work: TL_PANEL_DEPTH rows of TL_TILE_BYTES; not needed up to TL_SIMPLE multiply-adds. */
#define TL_SIMPLE 4096
static void product_run(product s)
{
    if (s.m * s.n * s.k <= TL_SIMPLE) {
        product_simply(&s);
        return;
    }
    if (s.n < W / 2 && s.m > s.n) {                                 /* narrow: the transposed product fills vectors */
        s = (product){ s.n, s.m, s.k, { s.b.p, s.b.col, s.b.row }, { s.a.p, s.a.col, s.a.row },
                       { s.from.p, s.from.col, s.from.row }, s.c, s.col, s.row, s.work };
    }
    for (int64_t i = 0, left = (s.m + TL_BLOCK_ROWS - 1) / TL_BLOCK_ROWS; left > 0; left--) {
        const int64_t rows = (s.m - i + left - 1) / left;
        product_rows(&s, i, rows);
        i += rows;
    }
}

#endif
