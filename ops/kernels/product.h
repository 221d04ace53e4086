/* ops/kernels/product.h - the library's own matrix product: c = from + a b, each element one chain
 * of fused multiply-adds,
 *
 *     c_ij = from_ij (or 0);  for k ascending: c_ij = fma(a_ik, b_kj, c_ij)
 *
 * so that neither tiling nor packing, splitting or transposing changes a bit. A tile of up to TILE_ROWS x 2 vectors
 * of c is kept in registers while k runs. b comes in panels as wide as a tile, at most TL_PANEL_DEPTH deep: packed
 * into `work`, where they stay in the L1 cache while a block of rows passes, or from where they are, if b was packed
 * before or there are few rows. While a tile is computed, the next tile's part of c and a piece of the next panel are
 * fetched.
 */
#ifndef TL_PRODUCT_H
#define TL_PRODUCT_H

#include "ops/kernels/blocks.h"
#include "ops/kernels/panel.h"

#define TL_BLOCK_ROWS (TL_BLOCK_BYTES / (int)sizeof(real)) /* of a, read from the L2 cache once for each panel */
#define TL_DIRECT_ROWS (3 * TILE_ROWS)                     /* up to so many rows b is not worth packing */
#define TL_AHEAD_ROWS (8 * TILE_ROWS) /* from so many rows on the next panel is fetched meanwhile */
#define TL_NARROW 4096                /* elements of a from which a narrow product is transposed */
/* A single row of tiles takes several panels at once if it is low: sums enough to hide what an addition takes. */
enum { WIDE_ROWS = TILE_ROWS / 4, WIDE = 4 };

typedef struct product {
    int64_t m, n, k;
    product_matrix a, b, from; /* from.p NULL: 0 */
    int64_t panel;             /* b was packed before: how far its panels are apart; 0: it was not */
    real *c;
    int64_t row, col;    /* strides of c */
    real *work;          /* for one panel, and for a block of a that is copied */
    const int32_t *rows; /* k of them: the rows of a^T and b that count; NULL: the first k */
} product;

#if defined __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#define NO_UNROLL _Pragma("clang loop unroll(disable)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#define NO_UNROLL _Pragma("GCC unroll 1")
#endif

/* Where a tile finds what comes after it: every FETCH_STEPS steps of k it asks for the lines there, as wide as a tile, and
 * goes on by `step` bytes. Asked for all at once they would hold up the loads of the tile itself. */
enum { FETCH_STEPS = 16, TILE_BYTES = 2 * VECTOR_BYTES };
typedef struct fetch_list {
    const char *p;
    int64_t step;
} fetch_list;

static inline __attribute__((always_inline)) void fetch(const fetch_list *s, int64_t i)
{
    const char *const p = s->p + i * s->step;
    UNROLL for (int at = 0; at < TILE_BYTES; at += TL_LINE) __builtin_prefetch(p + at);
    __builtin_prefetch(p + TILE_BYTES - 1); /* rows need not begin on a line */
}

/* A tile of c, `columns` wide, against a panel of b with rows ldb apart, or several panels. */
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
    int64_t panel;
    fetch_list next_c, next_b;
} tile_args;

/* x + n bytes */
static inline const real *after(const real *x, int64_t n) { return (const real *)(const void *)((const char *)x + n); }

static inline __attribute__((always_inline)) void tile(const tile_args *t, const int rows, const int vectors,
                                                       const bool part)
{
    vec sum[TILE_ROWS][2 * WIDE];
    const int last = vectors - 1;
    const vmask mask = vfirst(part ? t->columns - last * W : 0);
    const real *b = t->b, *from = t->from; /* a and b NULL where k is 0, and then not looked at */
    real *c = t->c;
    const int64_t size = sizeof(real), a_row = t->a_row * size, b_row = t->ldb * size;
    int64_t a_col = t->a_col * size;
    __asm__("" : "+r"(a_col)); /* lest it makes one loop for a_col 1 and one for others */
    const int64_t panel = t->panel, ldf = t->ldf, ldc = t->ldc;
    const real *a[(TILE_ROWS + 3) / 4]; /* of every fourth row: few enough for registers */
    UNROLL for (int i = 0; i < rows; i += 4)
    {
        a[i / 4] = after(t->a, i * a_row);
        __asm__("" : "+r"(a[i / 4])); /* lest the compiler keeps an offset for each row instead */
    }
#define AT(v) (part && (v) == last)
    UNROLL for (int i = 0; i < rows; i++)
    {
        UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = !from   ? vzero()
                                                             : AT(v) ? vload_part(from + v * W, mask)
                                                                     : vload(from + v * W);
        if (from) from += ldf;
    }
    int64_t fetched = 0;
    for (int64_t left = t->k; left > 0; left -= FETCH_STEPS) {
        if (left > FETCH_STEPS) {
            fetch(&t->next_c, fetched);
            fetch(&t->next_b, fetched++);
        }
        NO_UNROLL for (int k = left < FETCH_STEPS ? (int)left : FETCH_STEPS; k > 0; k--)
        {
            vec y[2 * WIDE];
            UNROLL for (int v = 0; v < vectors; v++)
            {
                const real *p = b + v / 2 * panel + v % 2 * W;
                y[v] = AT(v) ? vload_part(p, mask) : vload(p);
            }
            UNROLL for (int i = 0; i < rows; i++)
            {
                const vec x = vspread(after(a[i / 4], i % 4 * a_row));
                UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = vfma(x, y[v], sum[i][v]);
            }
            UNROLL for (int i = 0; i < rows; i += 4) a[i / 4] = after(a[i / 4], a_col);
            b = after(b, b_row);
        }
    }
    UNROLL for (int i = 0; i < rows; i++, c += ldc) UNROLL for (int v = 0; v < vectors; v++)
    {
        if (AT(v)) vstore_part(c + v * W, mask, sum[i][v]);
        else vstore(c + v * W, sum[i][v]);
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
#define TILE(rows)                                                                                                     \
    static void wide_tile_##rows(const tile_args *t) { tile(t, rows, 2 * WIDE, false); }
WIDE_TILES(TILE)
#undef TILE
#define TILE(rows) wide_tile_##rows,
static void (*const wide_tiles[WIDE_ROWS])(const tile_args *) = { WIDE_TILES(TILE) };
#undef TILE

static inline void run_tile(const tile_args *t, int rows)
{
    if (t->columns > TILE_WIDTH) wide_tiles[rows - 1](t);
    else tiles[rows - 1][t->columns > W][t->columns % W != 0](t);
}

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
    run_tile(&t, rows);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < t.columns; j++) odd->c[i * odd->ldc + j * col] = buffer[i * TILE_WIDTH + j];
}

/* A piece of the panel at (k, j) of b for each tile of a pass over the panel before it: `tile` elements from one to the next. */
typedef struct panel_ahead {
    const real *p;
    int64_t tile, step;
} panel_ahead;

static panel_ahead next_panel(const product *s, int64_t k, int64_t j)
{
    if (k >= s->k) return (panel_ahead){ s->c, 0, 0 };
    const real *p = s->b.p + (s->rows ? s->rows[k] : k) * s->b.row;
    if (s->panel) p += j / TILE_WIDTH * s->panel;
    else p += j * s->b.col;
    if (s->panel || s->b.col == 1) return (panel_ahead){ p, TL_PANEL_DEPTH / FETCH_STEPS * s->b.row, s->b.row };
    return (panel_ahead){ p, s->b.col, FETCH_STEPS };
}

/* Rows i..i+rows-1 against one panel, dealt out evenly to tiles. t->a points at row i. */
static void pass_rows(const product *s, tile_args *t, int64_t i, int64_t rows, int64_t j, product_matrix from,
                      panel_ahead next)
{
    const bool odd = s->col != 1 || (from.p && from.col != 1);
    const int64_t n = (rows + TILE_ROWS - 1) / TILE_ROWS, low = rows / n, high = rows % n;
    const product_matrix start = from.p && from.row ? from : (product_matrix){ s->c, s->row, s->col };
    const real *const a = t->a;
    t->c = s->c + i * s->row + j * s->col;
    t->from = from.p ? from.p + i * from.row + j * from.col : NULL;
    t->ldf = from.row;
    t->next_c.step = start.row * (int64_t)sizeof(real);
    t->next_b.step = next.step * (int64_t)sizeof(real);
    const real *ahead = start.p + i * start.row + j * start.col, *const top = ahead + t->columns * start.col;
    for (int64_t p = 0; p < n; p++) {
        const int height = (int)(low + (p < high));
        ahead = p + 1 < n ? ahead + height * start.row : top;
        t->next_c.p = (const char *)ahead;
        t->next_b.p = (const char *)(next.p + p * next.tile);
        if (odd) odd_tile(t, height, s->col, from.col);
        else run_tile(t, height);
        t->a += height * s->a.row;
        t->c += height * s->row;
        if (t->from) t->from += height * from.row;
    }
    t->a = a;
}

/* The k-th elements of a's rows lie together, and those of all k in the same few places of the cache: a block of them is
 * copied to rows of its own, of an odd number of lines. */
static const real *copy_block(const product *s, tile_args *t, int64_t k, int64_t i, int64_t rows)
{
    const int64_t line = TL_LINE / sizeof(real), row = ((rows / line + 1) | 1) * line;
    real *to = s->work + TL_PANEL_DEPTH * TILE_WIDTH;
    for (int64_t p = 0; p < t->k; p++) {
        const int64_t from = s->rows ? s->rows[k + p] : k + p;
        memcpy(to + p * row, s->a.p + from * s->a.col + i, (size_t)rows * sizeof *to);
    }
    t->a_col = row;
    return to;
}

/* Columns j..j+columns-1 of these rows of b as rows of `width`: as pack_panel, where columns lie side by side. */
static void pack_rows(real *restrict to, const product_matrix *b, const int32_t *rows, int64_t depth, int64_t j,
                      int columns, int width)
{
    for (int64_t p = 0; p < depth; p++, to += width) {
        const real *from = b->p + rows[p] * b->row + j;
        if (columns == TILE_WIDTH)
            for (int i = 0; i < TILE_WIDTH; i += W) vstore(to + i, vload(from + i));
        else
            for (int i = 0; i < columns; i++) to[i] = from[i];
    }
}

/* n in pieces of the same size, a multiple of what a tile fetches at a time: a shallow one at the end would be little but
 * reading and writing c. */
static int64_t even_piece(int64_t n, int64_t most)
{
    if (n <= most) return n;
    const int64_t pieces = (n + most - 1) / most, piece = (n + pieces - 1) / pieces;
    return (piece + FETCH_STEPS - 1) / FETCH_STEPS * FETCH_STEPS;
}

static void product_rows(const product *s, int64_t i, int64_t rows)
{
    const bool copies = s->rows ||
                        tl_product_copies(s->m, s->n, s->a.row == 1 && s->a.col != 1, s->a.col * (int64_t)sizeof(real));
    const bool direct = s->panel || (!s->rows && s->b.col == 1 && rows <= TL_DIRECT_ROWS);
    const bool wide = direct && rows <= WIDE_ROWS && s->col == 1 && (!s->from.p || s->from.col == 1);
    const int64_t panel = s->panel ? s->panel : TILE_WIDTH, most = even_piece(s->k, TL_PANEL_DEPTH);
    const bool ahead = rows >= TL_AHEAD_ROWS; /* few are done too soon for it to help */
    panel_ahead next = { s->c, 0, 0 };
    product_matrix from = s->from;
    int64_t k = 0;
    do {
        const int64_t depth = s->k - k < most ? s->k - k : most;
        tile_args t = { .k = depth, .a_row = s->a.row, .a_col = s->a.col, .ldc = s->row, .panel = panel };
        t.a = copies ? copy_block(s, &t, k, i, rows) : s->a.p + k * s->a.col + i * s->a.row;
        for (int64_t j = 0; j < s->n; j += t.columns) {
            const int64_t left = s->n - j, width = wide && left >= WIDE * TILE_WIDTH ? WIDE * TILE_WIDTH : TILE_WIDTH;
            t.columns = (int)(left < width ? left : width);
            t.b = direct ? s->b.p + k * s->b.row + j / TILE_WIDTH * panel : s->work;
            t.ldb = direct ? s->b.row : t.columns > W ? TILE_WIDTH : W;
            if (ahead) next = left > width ? next_panel(s, k, j + width) : next_panel(s, k + depth, 0);
            if (s->rows) pack_rows(s->work, &s->b, s->rows + k, depth, j, t.columns, (int)t.ldb);
            else if (!direct) pack_panel(s->work, &s->b, k, depth, j, t.columns, (int)t.ldb);
            pass_rows(s, &t, i, rows, j, from, next);
        }
        from = (product_matrix){ s->c, s->row, s->col };
        k += depth;
    } while (k < s->k);
}

/* Most products of small networks are one tile. */
static bool is_one_tile(const product *s)
{
    return s->m <= TILE_ROWS && s->n <= TILE_WIDTH && s->k <= TL_PANEL_DEPTH && s->col == 1 &&
           (!s->from.p || s->from.col == 1);
}

static void product_tile(const product *s)
{
    const bool direct = s->b.col == 1;
    const fetch_list nothing = { (const char *)s->c, 0 };
    const tile_args t = { .k = s->k,
                          .a = s->a.p,
                          .a_row = s->a.row,
                          .a_col = s->a.col,
                          .b = direct ? s->b.p : s->work,
                          .ldb = direct     ? s->b.row
                                 : s->n > W ? TILE_WIDTH
                                            : W,
                          .from = s->from.p,
                          .ldf = s->from.row,
                          .c = s->c,
                          .ldc = s->row,
                          .columns = (int)s->n,
                          .next_c = nothing,
                          .next_b = nothing };
    if (!direct) pack_panel(s->work, &s->b, 0, s->k, 0, t.columns, (int)t.ldb);
    run_tile(&t, (int)s->m);
}

static void product_blocks(const product *s)
{
    for (int64_t i = 0, left = (s->m + TL_BLOCK_ROWS - 1) / TL_BLOCK_ROWS; left > 0; left--) {
        const int64_t rows = left == 1 ? s->m - i : (s->m - i + left - 1) / left;
        product_rows(s, i, rows);
        i += rows;
    }
}

static void product_run(const product *s)
{
    if (s->rows) {
        product_blocks(s);
    } else if (is_one_tile(s)) {
        product_tile(s);
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
