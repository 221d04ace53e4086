/* ops/kernels/product.h - the library's own matrix product: c = from + a b, each element one chain
 * of fused multiply-adds,
 *
 *     c_ij = from_ij (or 0);  for k ascending: c_ij = fma(a_ik, b_kj, c_ij)
 *
 * so that neither tiling nor packing, splitting or transposing changes a bit. A tile of up to TILE_ROWS x 2 vectors
 * of c is kept in registers while k runs. b comes in panels as wide as a tile, at most TL_PANEL_DEPTH deep: packed
 * into `work`, where they stay in the L1 cache while all rows pass, or from where they are, if b was packed before or
 * there are few rows.
 */
#ifndef TL_PRODUCT_H
#define TL_PRODUCT_H

#include "ops/kernels/panel.h"

#define TL_PANEL_DEPTH 256
#define TL_BLOCK_ROWS 240              /* of a, read from the L2 cache once for each panel */
#define TL_DIRECT_ROWS (3 * TILE_ROWS) /* up to so many rows b is not worth packing */
#define TL_NARROW 4096                 /* elements of a from which a narrow product is transposed */

typedef struct product {
    int64_t m, n, k;
    product_matrix a, b, from; /* from.p NULL: 0 */
    int64_t panel;             /* b was packed before: how far its panels are apart; 0: it was not */
    real *c;
    int64_t row, col; /* strides of c */
    real *work;       /* for one panel */
} product;

/* A tile of c, `columns` wide, against a panel of b with rows ldb apart. */
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
    int columns;
} tile_args;

#if defined __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

static inline __attribute__((always_inline)) void tile(const tile_args *t, const int rows, const int vectors,
                                                       const bool part)
{
    vec sum[TILE_ROWS][2];
    const int last = vectors - 1;
    const vmask mask = vfirst(part ? t->columns - last * W : 0);
    const real *a = t->a, *b = t->b; /* NULL where k is 0, and then not looked at */
    const int64_t a_row = t->a_row, a_col = t->a_col, ldb = t->ldb;
#define AT(v) (part && (v) == last)
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < vectors; v++)
    {
        const real *f = t->from ? t->from + i * t->ldf + v * W : NULL;
        sum[i][v] = !f ? vzero() : AT(v) ? vload_part(f, mask) : vload(f);
    }
    for (int64_t k = t->k; k > 0; k--, a += a_col, b += ldb) {
        vec y[2];
        UNROLL for (int v = 0; v < vectors; v++) y[v] = AT(v) ? vload_part(b + v * W, mask) : vload(b + v * W);
        UNROLL for (int i = 0; i < rows; i++)
        {
            const vec x = vspread(a + i * a_row);
            UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = vfma(x, y[v], sum[i][v]);
        }
    }
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < vectors; v++)
    {
        real *c = t->c + i * t->ldc + v * W;
        if (AT(v)) vstore_part(c, mask, sum[i][v]);
        else vstore(c, sum[i][v]);
    }
#undef AT
}

#define TILE(rows)                                                                                                     \
    static void tile_##rows##_1(const tile_args *t) { tile(t, rows, 1, false); }                                       \
    static void tile_##rows##_1_part(const tile_args *t) { tile(t, rows, 1, true); }                                   \
    static void tile_##rows##_2(const tile_args *t) { tile(t, rows, 2, false); }                                       \
    static void tile_##rows##_2_part(const tile_args *t) { tile(t, rows, 2, true); }
TILES(TILE)
#undef TILE
#define TILE(rows) { { tile_##rows##_1, tile_##rows##_1_part }, { tile_##rows##_2, tile_##rows##_2_part } },
static void (*const tiles[TILE_ROWS][2][2])(const tile_args *) = { TILES(TILE) };
#undef TILE

/* Does not lie by rows: computed in a buffer. */
static void odd_tile(const tile_args *odd, int rows, int64_t col, int64_t from_col)
{
    real buffer[TILE_ROWS * TILE_WIDTH];
    tile_args t = *odd;
    for (int i = 0; t.from && i < rows; i++)
        for (int j = 0; j < t.columns; j++) buffer[i * TILE_WIDTH + j] = t.from[i * t.ldf + j * from_col];
    if (t.from) t.from = buffer;
    t.c = buffer;
    t.ldf = t.ldc = TILE_WIDTH;
    tiles[rows - 1][t.columns > W][t.columns % W != 0](&t);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < t.columns; j++) odd->c[i * odd->ldc + j * col] = buffer[i * TILE_WIDTH + j];
}

/* Rows i..i+rows-1 against one panel, dealt out evenly to tiles. t->a points at row 0. */
static void pass_rows(const product *s, tile_args *t, int64_t i, int64_t rows, int64_t j, product_matrix from)
{
    const bool odd = s->col != 1 || (from.p && from.col != 1);
    const real *a = t->a;
    for (int64_t left = (rows + TILE_ROWS - 1) / TILE_ROWS, end = i + rows; left > 0; left--) {
        const int height = (int)((end - i + left - 1) / left);
        t->a = a + i * s->a.row;
        t->from = from.p ? from.p + i * from.row + j * from.col : NULL;
        t->ldf = from.row;
        t->c = s->c + i * s->row + j * s->col;
        if (odd) odd_tile(t, height, s->col, from.col);
        else tiles[height - 1][t->columns > W][t->columns % W != 0](t);
        i += height;
    }
    t->a = a;
}

static void product_rows(const product *s, int64_t i, int64_t rows)
{
    const bool direct = s->panel || (s->b.col == 1 && rows <= TL_DIRECT_ROWS);
    const int64_t panel = s->panel ? s->panel : TILE_WIDTH;
    product_matrix from = s->from;
    int64_t k = 0;
    do {
        const int64_t depth = s->k - k < TL_PANEL_DEPTH ? s->k - k : TL_PANEL_DEPTH;
        tile_args t = { .k = depth, .a = s->a.p + k * s->a.col, .a_row = s->a.row, .a_col = s->a.col, .ldc = s->row };
        for (int64_t j = 0; j < s->n; j += TILE_WIDTH) {
            t.columns = s->n - j < TILE_WIDTH ? (int)(s->n - j) : TILE_WIDTH;
            t.b = direct ? s->b.p + k * s->b.row + j / TILE_WIDTH * panel : s->work;
            t.ldb = direct ? s->b.row : t.columns > W ? TILE_WIDTH : W;
            if (!direct) pack_panel(s->work, &s->b, k, depth, j, t.columns, (int)t.ldb);
            pass_rows(s, &t, i, rows, j, from);
        }
        from = (product_matrix){ s->c, s->row, s->col };
        k += depth;
    } while (k < s->k);
}

/* Most products of small networks are one tile. */
static bool is_one_tile(const product *s)
{
    return s->m <= TILE_ROWS && s->n <= TILE_WIDTH && s->k <= TL_PANEL_DEPTH && s->b.col == 1 && s->col == 1 &&
           (!s->from.p || s->from.col == 1);
}

static void product_blocks(const product *s)
{
    for (int64_t i = 0, left = (s->m + TL_BLOCK_ROWS - 1) / TL_BLOCK_ROWS; left > 0; left--) {
        const int64_t rows = (s->m - i + left - 1) / left;
        product_rows(s, i, rows);
        i += rows;
    }
}

static void product_run(const product *s)
{
    if (is_one_tile(s)) {
        const tile_args t = { s->k,      s->a.p,      s->a.row, s->a.col, s->b.p,   s->b.row,
                              s->from.p, s->from.row, s->c,     s->row,   (int)s->n };
        tiles[s->m - 1][s->n > W][s->n % W != 0](&t);
    } else if (s->n < W / 2 && !s->panel && s->m > s->n && s->m * s->k > TL_NARROW) { /* transposed, it fills vectors */
        product_blocks(&(product){ .m = s->n,
                                   .n = s->m,
                                   .k = s->k,
                                   .a = { s->b.p, s->b.col, s->b.row },
                                   .b = { s->a.p, s->a.col, s->a.row },
                                   .from = { s->from.p, s->from.col, s->from.row },
                                   .c = s->c,
                                   .row = s->col,
                                   .col = s->row,
                                   .work = s->work });
    } else {
        product_blocks(s);
    }
}

#endif
