/* tests/test_kernels.c - kernels of every instruction set against each other and against their definitions, bit for bit. */
#include "support.h"

#include "ops/kernels/kernels.h"
#include "ops/kernels/special.h"
#include "optim/loops.h"

/* ---- kernels by instruction set --------------------------------------------------------------------------------- */

enum { BASE, V3, V4, N_ISA };

#define OP(name, file)                                                                                                 \
    tl_status tl_k_##name##_base_f32(const tl_run_args *r);                                                            \
    tl_status tl_k_##name##_base_f64(const tl_run_args *r);                                                            \
    tl_status tl_k_##name##_v3_f32(const tl_run_args *r) __attribute__((weak));                                        \
    tl_status tl_k_##name##_v3_f64(const tl_run_args *r) __attribute__((weak));                                        \
    tl_status tl_k_##name##_v4_f32(const tl_run_args *r) __attribute__((weak));                                        \
    tl_status tl_k_##name##_v4_f64(const tl_run_args *r) __attribute__((weak));
#include "ops/ops.def"
#undef OP

static const struct {
    const char *name;
    tl_kernel kernel[2][N_ISA];
} kernels[] = {
#define OP(name, file)                                                                                                 \
    { #name,                                                                                                           \
      { { tl_k_##name##_base_f32, tl_k_##name##_v3_f32, tl_k_##name##_v4_f32 },                                        \
        { tl_k_##name##_base_f64, tl_k_##name##_v3_f64, tl_k_##name##_v4_f64 } } },
#include "ops/ops.def"
#undef OP
};

/* Those that this machine (and TL_ISA) can run. */
static int isas(void)
{
    for (int i = 0; i < N_ISA; i++)
        if (!strcmp(tl_isa_name(), (const char *[]){ "base", "v3", "v4" }[i])) return i + 1;
    return 1;
}

static int number_of(const char *name)
{
    for (int i = 0; i < COUNT(kernels); i++)
        if (!strcmp(kernels[i].name, name)) return i;
    cr_assert(false, "there is no op %s", name);
    return 0;
}

static tl_desc dense(const tl_shape *s)
{
    tl_desc d = { .dtype = s->dtype, .rank = s->rank };
    int64_t stride = 1;
    for (int a = s->rank - 1; a >= 0; stride *= s->dim[a--]) d.dim[a] = s->dim[a], d.stride[a] = stride;
    return d;
}

/* Runs a kernel: d is the result's layout, then the operands'. */
static tl_status run_laid_out(tl_kernel k, const tl_desc *d, void *out, int n, const void *const *in, const void *attr,
                              void *work)
{
    tl_failure failure = { "" };
    return k(&(tl_run_args){ .out = out,
                             .in = in,
                             .n_in = n,
                             .out_desc = d,
                             .in_desc = d + 1,
                             .attr = attr,
                             .work = work,
                             .seed = 11,
                             .run = 3,
                             .failure = &failure });
}

/* Runs a kernel on dense operands. */
static tl_status run(tl_kernel k, tl_shape y, void *out, int n, const tl_shape *x, const void *const *in,
                     const void *attr, void *work)
{
    tl_desc d[TL_CASE_INPUTS + 1] = { dense(&y) };
    for (int i = 0; i < n; i++) d[i + 1] = dense(&x[i]);
    return run_laid_out(k, d, out, n, in, attr, work);
}

static void scatter(void *p, bool f64, int64_t n, uint64_t *state, double size)
{
    for (int64_t i = 0; i < n; i++) {
        const double v = noise(state) * size;
        if (f64) ((double *)p)[i] = v;
        else ((float *)p)[i] = (float)v;
    }
}

/* ---- products --------------------------------------------------------------------------------------------------- */

static double memory[5][80000]; /* a, b, c0, result, chain */
static _Alignas(64) char work[1 << 20];

static void chain(bool f64, int m, int n, int k, bool ta, bool tb, bool c0)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            float *f = (float *)memory[4] + i * n + j;
            double *d = memory[4] + i * n + j;
            if (f64) *d = c0 ? memory[2][i * n + j] : 0;
            else *f = c0 ? ((float *)memory[2])[i * n + j] : 0;
            for (int p = 0; p < k; p++) {
                const int a = ta ? p * m + i : i * k + p, b = tb ? j * k + p : p * n + j;
                if (f64) *d = fma(memory[0][a], memory[1][b], *d);
                else *f = fmaf(((float *)memory[0])[a], ((float *)memory[1])[b], *f);
            }
        }
}

/* x's rows, moved to be `row` elements apart; what lies between them is to be neither read nor written. */
static void space_rows(void *out, const void *x, int rows, int columns, int row, bool f64)
{
    const size_t size = f64 ? 8 : 4;
    memset(out, 0xff, (size_t)(rows * row) * size);
    for (int i = 0; i < rows; i++)
        memcpy((char *)out + (size_t)(i * row) * size, (const char *)x + (size_t)(i * columns) * size,
               (size_t)columns * size);
}

/* The same with all four matrices as columns of wider ones; a's rows may be a page apart. */
static void check_spaced(bool f64, int isa, int n_in, const tl_shape *x, const tl_product_attr *attr, bool page)
{
    static double spaced[4][160000], want[160000];
    tl_desc d[4];
    for (int i = 0; i < 4; i++) {
        const tl_shape *s = &x[i == 3 ? 2 : i];
        const int rows = (int)s->dim[0], columns = (int)s->dim[1];
        const int row = page && i == 0 ? 4096 / (f64 ? 8 : 4) : columns + 3 + 2 * i;
        tl_desc *to = &d[(i + 1) % 4];
        *to = dense(s);
        to->stride[0] = row;
        space_rows(i == 3 ? want : spaced[i], memory[i == 3 ? 4 : i], rows, columns, row, f64);
        if (i == 3) memset(spaced[3], 0xff, (size_t)(rows * row) * (f64 ? 8 : 4));
    }
    run_laid_out(kernels[number_of("matmul")].kernel[f64][isa], d, spaced[3], n_in,
                 (const void *[]){ spaced[0], spaced[1], spaced[2] }, attr, work);
    cr_assert_not(memcmp(spaced[3], want, (size_t)(d[0].dim[0] * d[0].stride[0]) * (f64 ? 8 : 4)),
                  "%dx%d with rows apart, f%d isa %d", (int)x[2].dim[0], (int)x[2].dim[1], f64 ? 64 : 32, isa);
}

/* The same on panels, which are what a plain loop says, and have the width that is announced. */
static void check_packed(bool f64, int isa, int n_in, const tl_shape *x, const tl_product_attr *attr)
{
    static double panels[80000];
    const int64_t n = x[2].dim[1], k = x[1].dim[attr->tb], width = (f64 ? 4 : 8) << isa;
    const tl_pack_attr how = { attr->tb };
    const tl_shape p = { x->dtype, 3, { (n + width - 1) / width, k, width } };
    cr_assert(isa < isas() - 1 || tl_panel_width(p.dtype) == width);
    memset(panels, 0x7f, sizeof panels);
    run(kernels[number_of("pack")].kernel[f64][isa], p, panels, 1, &x[1], (const void *[]){ memory[1] }, &how, NULL);
    for (int64_t i = 0; i < p.dim[0] * k * width; i++) {
        const int64_t j = i / (k * width) * width + i % width, row = i / width % k;
        const int64_t from = attr->tb ? j * k + row : row * n + j;
        const double want = j >= n ? 0 : f64 ? memory[1][from] : (double)((float *)memory[1])[from];
        cr_assert_eq(f64 ? panels[i] : (double)((float *)panels)[i], want);
    }
    memset(memory[3], 0x7f, sizeof memory[3]);
    const tl_shape packed[] = { x[0], p, x[2] };
    run(kernels[number_of("matmul")].kernel[f64][isa], x[2], memory[3], n_in, packed,
        (const void *[]){ memory[0], panels, memory[2] }, &(tl_product_attr){ attr->ta, 0, n }, work);
    cr_assert_not(memcmp(memory[3], memory[4], (size_t)(x[2].dim[0] * n) * (f64 ? 8 : 4)),
                  "%dx%dx%d packed, f%d isa %d", (int)x[2].dim[0], (int)n, (int)k, f64 ? 64 : 32, isa);
}

static void check_product(bool f64, int m, int n, int k, bool ta, bool tb, bool c0, uint64_t *state)
{
    scatter(memory[0], f64, m * k, state, 1);
    scatter(memory[1], f64, k * n, state, 1);
    scatter(memory[2], f64, m * n, state, 1);
    chain(f64, m, n, k, ta, tb, c0);
    const tl_dtype t = f64 ? TL_F64 : TL_F32;
    const tl_shape x[] = { { t, 2, { ta ? k : m, ta ? m : k } },
                           { t, 2, { tb ? n : k, tb ? k : n } },
                           { t, 2, { m, n } } };
    const int op = number_of("matmul");
    const tl_product_attr attr = { ta, tb, 0 };
    for (int i = 0; i < isas(); i++) {
        memset(memory[3], 0x7f, sizeof memory[3]);
        run(kernels[op].kernel[f64][i], x[2], memory[3], c0 ? 3 : 2, x,
            (const void *[]){ memory[0], memory[1], memory[2] }, &attr, work);
        cr_assert_not(memcmp(memory[3], memory[4], (size_t)(m * n) * (f64 ? 8 : 4)), "%dx%dx%d %d%d%d f%d isa %d", m, n,
                      k, ta, tb, c0, f64 ? 64 : 32, i);
        check_spaced(f64, i, c0 ? 3 : 2, x, &attr, m > 120);
        check_packed(f64, i, c0 ? 3 : 2, x, &attr);
    }
}

Test(kernels, a_product_is_one_chain_of_fused_multiply_adds)
{
    uint64_t state = 1;
    tl_set_exact(true);
    for (int i = 0; i < 3000; i++) {
        const int limit = i % 3 == 0 ? 8 : i % 3 == 1 ? 40 : 120;
        const int m = 1 + (int)((noise(&state) + 1) / 2 * limit), n = 1 + (int)((noise(&state) + 1) / 2 * limit);
        const int k = (int)((noise(&state) + 1) / 2 * limit * 1.5);
        if (limit < 100 || i % 30 == 2) check_product(i & 1, m, n, k, i & 2, i & 4, i & 8, &state);
    }
    check_product(false, 60, 100, 300, false, true, true, &state); /* deeper than a panel */
    for (int m = 1; m <= 70; m++) check_product(m & 1, m, 37, m % 7 ? 41 : 270, m & 2, m & 4, m & 8, &state);
    check_product(true, 100, 3, 300, false, false, true, &state); /* narrow: transposed inside */
    for (int f64 = 0; f64 < 2; f64++) { /* a is copied: in two pieces of k, in two blocks of rows */
        check_product(f64, 130, 133, 260, true, false, true, &state);
        check_product(f64, 490, 133, 60, true, false, false, &state);
    }
}

static void put(int matrix, bool f64, int64_t i, double v)
{
    if (f64) memory[matrix][i] = v;
    else ((float *)memory[matrix])[i] = (float)v;
}

/* Rows of a (of ta: of b, too) that a list of active rows leaves out are as zeros, and are not read: here they are NaNs. With
 * a transposed any rows may be left out, else those at both ends. The product may start in its place. */
static void check_active(bool f64, int m, int n, int k, bool ta, bool tb, bool c0, uint64_t *state)
{
    const int rows = ta ? k : m, columns = ta ? m : k, first = (int)((noise(state) + 1) / 2 * rows);
    const tl_dtype t = f64 ? TL_F64 : TL_F32;
    static double mask[1000];
    static int32_t list[1002];
    const tl_shape r = { t, 1, { rows } }, ids = { TL_I32, 1, { rows + 2 } };
    const tl_shape x[] = { { t, 2, { rows, columns } }, { t, 2, { tb ? n : k, tb ? k : n } }, { t, 2, { m, n } }, ids };
    for (int i = 0; i < 3; i++) scatter(memory[i], f64, x[i].dim[0] * x[i].dim[1], state, 1);
    for (int i = 0; i < rows; i++) {
        const bool on = ta ? noise(state) > 0 : i >= first && i < first + rows / 2;
        if (f64) mask[i] = on;
        else ((float *)mask)[i] = on;
        for (int j = 0; !on && j < columns; j++) put(0, f64, i * columns + j, 0);
        for (int j = 0; !on && ta && j < n; j++) put(1, f64, i * n + j, 0);
    }
    chain(f64, m, n, k, ta, tb, c0);
    for (int isa = 0; isa < isas(); isa++) {
        run(kernels[number_of("active")].kernel[f64][isa], ids, list, 1, &r, (const void *[]){ mask }, NULL, NULL);
        for (int i = 0; i < rows; i++) {
            const bool on = f64 ? mask[i] != 0 : ((float *)mask)[i] != 0;
            for (int j = 0; !on && j < columns; j++) put(0, f64, i * columns + j, NAN);
            for (int j = 0; !on && ta && j < n; j++) put(1, f64, i * n + j, NAN);
        }
        for (int there = 0; there <= c0; there++) {
            if (there) memcpy(memory[3], memory[2], (size_t)(m * n) * (f64 ? 8 : 4));
            else memset(memory[3], 0x7f, sizeof memory[3]);
            const void *in[] = { memory[0], memory[1], !c0 ? NULL : memory[there ? 3 : 2], list };
            run(kernels[number_of("matmul")].kernel[f64][isa], x[2], memory[3], 4, x, in,
                &(tl_product_attr){ ta, tb, 0 }, work);
            cr_assert_not(memcmp(memory[3], memory[4], (size_t)(m * n) * (f64 ? 8 : 4)), "%dx%dx%d %d%d%d f%d isa %d",
                          m, n, k, ta, tb, c0, f64 ? 64 : 32, isa);
        }
    }
}

Test(kernels, a_product_leaves_out_rows_that_are_not_active)
{
    uint64_t state = 7;
    tl_set_exact(true);
    for (int i = 0; i < 400; i++) {
        const int m = 1 + (int)((noise(&state) + 1) / 2 * 70), n = 1 + (int)((noise(&state) + 1) / 2 * 70);
        const int k = 1 + (int)((noise(&state) + 1) / 2 * 90);
        check_active(i & 1, m, n, k, i & 2, !(i & 2) && i & 4, i & 8, &state);
    }
    check_active(false, 130, 133, 700, true, false, true, &state); /* deeper than a panel */
    check_active(true, 490, 133, 60, true, false, false, &state);  /* two blocks of rows */
}

/* By default OpenBLAS may make large products, in an order of its own; with AVX-512 the library makes all of them. */
Test(kernels, large_products_may_go_to_blas_and_agree_within_rounding)
{
    enum { M = 128, N = 1536, K = 1536 };
    float *a = malloc(sizeof(float) * M * K), *b = malloc(sizeof(float) * K * N),
          *y = malloc(sizeof(float) * 2 * M * N);
    uint64_t state = 5;
    scatter(a, false, M * K, &state, 1);
    scatter(b, false, K * N, &state, 1);
    const tl_shape x[] = { { TL_F32, 2, { M, K } }, { TL_F32, 2, { K, N } }, { TL_F32, 2, { M, N } } };
    for (int isa = isas() > 1 ? V3 : BASE; isa < isas(); isa++) {
        for (int exact = 0; exact < 2; exact++) {
            tl_set_exact(exact);
            run(kernels[number_of("matmul")].kernel[0][isa], x[2], y + exact * M * N, 2, x, (const void *[]){ a, b },
                &(tl_product_attr){ 0, 0, 0 }, work);
        }
        double worst = 0;
        for (int i = 0; i < M * N; i++) worst = fmax(worst, fabs((double)y[i] - (double)y[M * N + i]));
        cr_expect_leq(worst, isa == V4 ? 0 : 2 * K * 0x1p-24 * 20, "isa %d", isa);
    }
    free(a);
    free(b);
    free(y);
}

/* ---- elementwise ------------------------------------------------------------------------------------------------ */

static bool same(const void *a, const void *b, int n, bool f64)
{
    for (int i = 0; i < n; i++) {
        const double x = f64 ? ((const double *)a)[i] : (double)((const float *)a)[i];
        const double y = f64 ? ((const double *)b)[i] : (double)((const float *)b)[i];
        if (memcmp((const char *)a + i * (f64 ? 8 : 4), (const char *)b + i * (f64 ? 8 : 4), f64 ? 8 : 4) &&
            !(isnan(x) && isnan(y)))
            return false;
    }
    return true;
}

static const float odd_floats[] = { NAN,  INFINITY, -INFINITY, 0,  -0.0f, 1e-40f, -1e-40f, 89,
                                    -104, 88.7f,    -87.5f,    20, 1,     -1,     2e6f,    -3e30f };

Test(kernels, elementwise_results_do_not_depend_on_instruction_set_or_position)
{
    enum { N = 203 };
    static double in[3][N + 1], out[N], moved[N];
    uint64_t state = 2;
    double attr[16] = { 0.3 };
    for (int op = 0; op < COUNT(kernels); op++) {
        const struct tl_op *o = tl_op_at(op);
        if ((o->cls != TL_ELEMENTWISE && o->cls != TL_ROWWISE) || !strcmp(o->name, "broadcast_to")) continue;
        for (int f64 = 0; f64 < 2; f64++) {
            const tl_shape s = { f64 ? TL_F64 : TL_F32, 1, { N } }, all[] = { s, s, s },
                           one[] = { { s.dtype, 1, { 1 } }, { s.dtype, 1, { 1 } }, { s.dtype, 1, { 1 } } };
            for (int k = 0; k < 3; k++) scatter(in[k], f64, N, &state, k ? 5 : 30);
            for (int k = 0; k < COUNT(odd_floats) && o->cls == TL_ELEMENTWISE; k++)
                if (f64) in[0][k * 7] = (double)odd_floats[k];
                else ((float *)in[0])[k * 7] = odd_floats[k];
            const void *const p[] = { in[0], in[1], in[2] };
            run(kernels[op].kernel[f64][0], s, out, o->min_in, all, p, attr, NULL);
            for (int i = 1; i < isas(); i++) {
                run(kernels[op].kernel[f64][i], s, moved, o->min_in, all, p, attr, NULL);
                cr_expect(same(out, moved, N, f64), "%s f%d: isa %d differs from base", o->name, f64 ? 64 : 32, i);
            }
            for (int j = 0; j < N && o->cls == TL_ELEMENTWISE; j++) {
                const size_t at = (size_t)j * (f64 ? 8 : 4);
                const void *const q[] = { (char *)in[0] + at, (char *)in[1] + at, (char *)in[2] + at };
                run(kernels[op].kernel[f64][isas() - 1], one[0], (char *)moved + at, o->min_in, one, q, attr, NULL);
            }
            cr_expect(o->cls != TL_ELEMENTWISE || same(out, moved, N, f64), "%s f%d depends on position", o->name,
                      f64 ? 64 : 32);
        }
    }
}

/* Whatever a row's length and however many rows there are, one with a NaN and one of -inf among them: each has the bits
 * that it has alone, on every instruction set. */
Test(kernels, rows_do_not_depend_on_instruction_set_or_on_each_other)
{
    enum { ROWS = 35, LONG = 40 };
    static double x[ROWS * LONG], out[ROWS * LONG], other[ROWS * LONG];
    uint64_t state = 11;
    for (int op = 0; op < COUNT(kernels); op++) {
        const struct tl_op *o = tl_op_at(op);
        if (o->cls != TL_ROWWISE || o->min_in != 1) continue;
        for (int k = 0; k < 2 * LONG; k++) {
            const int f64 = k % 2, n = k / 2 + 1, e = f64 ? 8 : 4;
            const tl_shape all = { f64 ? TL_F64 : TL_F32, 2, { ROWS, n } }, one = { all.dtype, 2, { 1, n } };
            const double attr[16] = { 0.3 };
            scatter(x, f64, ROWS * n, &state, 30);
            for (int i = 0; i < n; i++)
                if (f64) x[3 * n + i] = i == n / 2 ? NAN : 1, x[20 * n + i] = -INFINITY;
                else ((float *)x)[3 * n + i] = i == n / 2 ? NAN : 1, ((float *)x)[20 * n + i] = -INFINITY;
            run(kernels[op].kernel[f64][0], all, out, 1, &all, (const void *[]){ x }, attr, NULL);
            for (int i = 1; i < isas(); i++) {
                run(kernels[op].kernel[f64][i], all, other, 1, &all, (const void *[]){ x }, attr, NULL);
                cr_expect(same(out, other, ROWS * n, f64), "%s f%d [%d]: isa %d", o->name, e * 8, n, i);
            }
            for (int i = 0; i < ROWS; i++) {
                const void *row = (const char *)x + i * n * e;
                run(kernels[op].kernel[f64][isas() - 1], one, other, 1, &one, &row, attr, NULL);
                cr_expect(same((const char *)out + i * n * e, other, n, f64), "%s f%d [%d]: row %d", o->name, e * 8, n,
                          i);
                const double first = f64 ? other[0] : ((float *)other)[0];
                cr_expect(!isnan(first) == (i != 3), "%s f%d [%d]: row %d begins with %g", o->name, e * 8, n, i, first);
            }
        }
    }
}

/* ---- loops of optimizers ------------------------------------------------------------------------------------------- */

/* All that the loops write, from the same numbers: parameters, gradients and slots after each rule, without and with
 * weight decay, gradients scaled, clamped, added and mixed, lanes of norms. */
enum { LOOPED = 640, ARRAYS = 2 + TL_RULE_SLOTS };
typedef struct looped {
    uint64_t rule[TL_LOOPS][2], gradients;
    double lane[3][TL_NORM_LANES];
} looped;

/* Slots hold sums of squares, or do not mind. */
static void fill(double array[ARRAYS][LOOPED], bool f64)
{
    uint64_t state = 5;
    for (int a = 0; a < ARRAYS; a++) {
        scatter(array[a], f64, LOOPED, &state, 2);
        for (int i = 0; i < LOOPED && a > 1; i++)
            if (f64) array[a][i] = fabs(array[a][i]);
            else ((float *)array[a])[i] = fabsf(((float *)array[a])[i]);
    }
}

static uint64_t mixed(double array[ARRAYS][LOOPED])
{
    uint64_t h = 0;
    const unsigned char *p = (const unsigned char *)array;
    for (size_t i = 0; i < ARRAYS * LOOPED * sizeof **array; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static looped loop_all(int isa, bool f64, const tl_span *s, int n)
{
    const tl_loops *l = tl_loops_for(isa, f64 ? TL_F64 : TL_F32);
    const tl_norm_loop norm[] = { l->squares, l->absolutes, l->largest };
    looped r = { .lane = { { 0 } } };
    static double array[ARRAYS][LOOPED];
    for (int k = 0; k < 2 * TL_LOOPS; k++) {
        fill(array, f64);
        tl_update u = { .w = array[0], .g = array[1], .slot = { array[2], array[3], array[4] } };
        double *number = (double *)&u.number;
        for (size_t i = 0; i < sizeof u.number / sizeof *number; i++) number[i] = 0.9 - 0.013 * (double)i;
        u.number.power = k & 1 ? 0.5 : 0.7;
        if (k & 1) u.number.l2 = u.number.decay = 0;
        for (int i = 0; i < n; i++) l->rule[k / 2](&u, &s[i]);
        r.rule[k / 2][k & 1] = mixed(array);
    }
    for (int i = 0; i < n; i++) {
        l->scale(array[1], &s[i], 1.7);
        l->clamp(array[1], &s[i], 2);
        l->add(array[2], array[1], &s[i], 0.3);
        l->mix(array[3], array[1], &s[i], 0.3);
        for (int k = 0; k < COUNT(norm); k++) norm[k](r.lane[k], array[1], &s[i]);
    }
    r.gradients = mixed(array);
    return r;
}

Test(kernels, updates_do_not_depend_on_instruction_set_or_on_how_spans_are_cut)
{
    const int32_t row[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
    const tl_span whole[] = { { 3, 609, 1, NULL } };
    const tl_span parts[] = { { 3, 1, 1, NULL }, { 4, 37, 1, NULL }, { 41, 15, 11, row }, { 206, 406, 1, NULL } };
    for (int f64 = 0; f64 < 2; f64++) {
        const looped want = loop_all(BASE, f64, whole, 1);
        for (int i = 0; i < isas(); i++) {
            const looped a = loop_all(i, f64, whole, 1), b = loop_all(i, f64, parts, 4);
            cr_expect(!memcmp(&a, &want, sizeof a), "f%d: isa %d differs from base", f64 ? 64 : 32, i);
            cr_expect(!memcmp(&b, &want, sizeof b), "f%d: isa %d depends on the spans", f64 ? 64 : 32, i);
        }
    }
}

/* ---- vector math ------------------------------------------------------------------------------------------------ */

static double ulps(float got, long double want)
{
    const float w = (float)want;
    if (isnan(w) || isnan(got)) return isnan(w) && isnan(got) ? 0 : 1e9;
    if (isinf(w) || isinf(got)) return w == got ? 0 : 1e9;
    int e;
    frexpl(want, &e);
    return (double)(fabsl((long double)got - want) / ldexpl(1, (e < -125 ? -125 : e) - 24));
}

static long double sigmoidl(long double x) { return x < 0 ? expl(x) / (1 + expl(x)) : 1 / (1 + expl(-x)); }
static long double softplusl(long double x) { return (x > 0 ? x : 0) + log1pl(expl(-fabsl(x))); }

Test(kernels, vector_math_is_right_to_a_few_ulps_for_every_kind_of_float)
{
    static const struct {
        const char *name;
        float (*f)(float);
        long double (*exact)(long double);
        double limit;
    } f[] = { { "exp", tl_exp_f32, expl, 1.5 },
              { "tanh", tl_tanh_f32, tanhl, 2.5 },
              { "sigmoid", tl_sigmoid_f32, sigmoidl, 2.5 },
              { "log", tl_log_f32, logl, 1.5 },
              { "expm1", tl_expm1_f32, expm1l, 1.5 },
              { "log1p", tl_log1p_f32, log1pl, 1.6 },
              { "softplus", tl_softplus_f32, softplusl, 2 },
              { "erf", tl_erf_f32, erfl, 1.1 },
              { "sin", tl_sin_f32, sinl, 0.51 },
              { "cos", tl_cos_f32, cosl, 0.51 } };
    for (int k = 0; k < COUNT(f); k++) {
        double worst = 0;
        float at = 0;
        for (uint64_t u = 0; u < 1ull << 32; u += 9973) {
            const float x = tl_float_of((uint32_t)u);
            const double e = ulps(f[k].f(x), f[k].exact(x));
            if (e > worst) worst = e, at = x;
        }
        cr_expect_leq(worst, f[k].limit, "%s: %g ulp at %.9g", f[k].name, worst, (double)at);
    }
    cr_expect(isinf(tl_exp_f32(89)) && tl_exp_f32(-104) == 0 && tl_exp_f32(0) == 1);
    cr_expect(signbit(tl_tanh_f32(-0.0f)) && tl_tanh_f32(1e-40f) == 1e-40f && tl_tanh_f32(-INFINITY) == -1);
    cr_expect(tl_sigmoid_f32(-INFINITY) == 0 && tl_sigmoid_f32(INFINITY) == 1 && tl_sigmoid_f32(0) == 0.5f);
    cr_expect(tl_log_f32(0) == -INFINITY && isnan(tl_log_f32(-1)) && tl_log_f32(1) == 0);
    cr_expect(signbit(tl_expm1_f32(-0.0f)) && tl_expm1_f32(1e-40f) == 1e-40f && isinf(tl_expm1_f32(89)));
    cr_expect(signbit(tl_log1p_f32(-0.0f)) && tl_log1p_f32(1e-40f) == 1e-40f && tl_log1p_f32(-1) == -INFINITY);
    cr_expect(signbit(tl_erf_f32(-0.0f)) && signbit(tl_sin_f32(-0.0f)) && tl_cos_f32(0) == 1 && tl_erf_f32(4) == 1);
}

/* What goes through doubles is rounded once. */
Test(kernels, powers_and_gelu_are_right_to_the_last_bit_but_one)
{
    enum { N = 4096 };
    static float x[N], b[N], y[4][N];
    uint64_t state = 8;
    const double cube = 3;
    scatter(x, false, N, &state, 9);
    scatter(b, false, N, &state, 9);
    for (int i = 0; i < N; i++) b[i] = i % 2 ? b[i] : roundf(b[i]), x[i] = i % 2 ? fabsf(x[i]) : x[i];
    const tl_shape s = { TL_F32, 1, { N } }, all[] = { s, s };
    const void *const in[] = { x, b };
    run(kernels[number_of("pow")].kernel[0][isas() - 1], s, y[0], 2, all, in, NULL, NULL);
    run(kernels[number_of("pow_scalar")].kernel[0][isas() - 1], s, y[1], 1, all, in, &cube, NULL);
    run(kernels[number_of("gelu")].kernel[0][isas() - 1], s, y[2], 1, all, in, NULL, NULL);
    run(kernels[number_of("gelu_grad")].kernel[0][isas() - 1], s, y[3], 2, all, in, NULL, NULL);
    for (int i = 0; i < N; i++) {
        const long double v = x[i], below = erfcl(-v / sqrtl(2)) / 2;
        const long double slope = below + v * expl(-v * v / 2) / sqrtl(2 * (long double)M_PI);
        cr_expect_leq(ulps(y[0][i], powl(v, b[i])), 0.51, "%g^%g", (double)x[i], (double)b[i]);
        cr_expect_leq(ulps(y[1][i], v * v * v), 0.51, "%g^3", (double)x[i]);
        cr_expect_leq(ulps(y[2][i], v * below), 0.51, "gelu(%g)", (double)x[i]);
        cr_expect_leq(ulps(y[3][i], b[i] * slope), 0.51, "the slope of gelu at %g", (double)x[i]);
    }
}

/* Where the argument's remainder is smallest: floats next to multiples of pi / 2, and the one that is nearest of all. */
Test(kernels, sines_are_right_next_to_multiples_of_half_pi)
{
    double worst = 0;
    for (int n = 1; n < 2000000; n += n < 5000 ? 1 : 97) {
        const float near = (float)(n * (double)M_PI_2);
        for (float x = nextafterf(near, 0), end = nextafterf(near, INFINITY); x <= end; x = nextafterf(x, INFINITY)) {
            worst = fmax(worst, ulps(tl_sin_f32(x), sinl((long double)x)));
            worst = fmax(worst, ulps(tl_cos_f32(-x), cosl((long double)x)));
        }
    }
    worst = fmax(worst, ulps(tl_cos_f32(0x1.f3704ep+109f), cosl(0x1.f3704ep+109L)));
    worst = fmax(worst, ulps(tl_sin_f32(0x1p20f), sinl(0x1p20L)));
    cr_expect_leq(worst, 0.51);
}

/* ---- sums ------------------------------------------------------------------------------------------------------- */

Test(kernels, sums_over_rows_can_be_cut_anywhere)
{
    enum { ROWS = 37, N = 29 };
    static float x[ROWS * N], whole[N], part[N], rest[N];
    uint64_t state = 4;
    scatter(x, false, ROWS * N, &state, 1);
    const tl_sum_attr a = { 0, 1, 0 };
    const tl_shape y = { TL_F32, 1, { N } };
    for (int i = 0; i < isas(); i++) {
        const tl_kernel k = kernels[number_of("sum")].kernel[0][i];
        run(k, y, whole, 1, &(tl_shape){ TL_F32, 2, { ROWS, N } }, (const void *[]){ x }, &a, NULL);
        for (int cut = 0; cut <= ROWS; cut++) {
            run(k, y, part, 1, &(tl_shape){ TL_F32, 2, { cut, N } }, (const void *[]){ x }, &a, NULL);
            run(k, y, rest, 2, (const tl_shape[]){ { TL_F32, 2, { ROWS - cut, N } }, y },
                (const void *[]){ x + cut * N, part }, &a, NULL);
            cr_assert_arr_eq(whole, rest, sizeof whole);
        }
    }
}

Test(kernels, sums_over_the_last_axis_have_sixteen_lanes_and_a_fixed_tree)
{
    enum { N = 1000 };
    static float x[N];
    uint64_t state = 9;
    scatter(x, false, N, &state, 1);
    for (int n = 0; n <= N; n += n < 40 ? 1 : 97) {
        float lane[16] = { 0 }, y;
        for (int i = 0; i < n; i++) lane[i % 16] += x[i];
        for (int half = 8; half; half /= 2)
            for (int j = 0; j < half; j++) lane[j] += lane[j + half];
        for (int i = 0; i < isas(); i++) {
            run(kernels[number_of("sum")].kernel[0][i], (tl_shape){ TL_F32, 0, { 0 } }, &y, 1,
                &(tl_shape){ TL_F32, 1, { n } }, (const void *[]){ x }, &(tl_sum_attr){ 0, 1, 0 }, NULL);
            cr_assert_eq(y, lane[0], "%d numbers, isa %d", n, i);
        }
    }
}

/* ---- ids -------------------------------------------------------------------------------------------------------- */

Test(kernels, an_id_out_of_range_is_refused_before_anything_is_written)
{
    static const char *const ops[] = { "gather", "scatter_add", "pick", "one_hot", "unpick" };
    const float x[12] = { 0 };
    const int32_t good[] = { 0, 2, 1 }, bad[] = { 0, 2, 3 }, negative[] = { -1, 0, 0 };
    const tl_shape ids = { TL_I32, 1, { 3 } }, table = { TL_F32, 2, { 3, 3 } }, row = { TL_F32, 1, { 3 } };
    const int64_t attr[] = { 3 };
    for (int k = 0; k < COUNT(ops); k++)
        for (int w = 0; w < 3; w++) {
            const int32_t *id = w == 0 ? good : w == 1 ? bad : negative;
            const bool hot = k == 3, flat = k == 4;
            float y[9];
            for (int i = 0; i < 9; i++) y[i] = 77;
            const tl_status s = run(kernels[number_of(ops[k])].kernel[0][isas() - 1], k == 2 ? row : table, y,
                                    hot ? 1 : 2,
                                    (const tl_shape[]){ hot    ? ids
                                                        : flat ? row
                                                               : table,
                                                        ids },
                                    (const void *[]){ hot ? (const void *)id : x, id }, attr, NULL);
            cr_expect_eq(s, w ? TL_E_INDEX : TL_OK, "%s", ops[k]);
            for (int i = 0; i < (k == 2 ? 3 : 9) && w; i++) cr_expect_eq(y[i], 77, "%s wrote", ops[k]);
        }
}

/* ---- random numbers --------------------------------------------------------------------------------------------- */

Test(kernels, philox_gives_the_published_numbers)
{
    static const struct { /* Random123, kat_vectors: philox4x32 10 */
        uint32_t counter[4], key[2], want[4];
    } v[] = { { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
              { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
                { 0xffffffff, 0xffffffff },
                { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
              { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
                { 0xa4093822, 0x299f31d0 },
                { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } } };
    for (int i = 0; i < COUNT(v); i++) {
        uint32_t out[4];
        tl_philox(v[i].counter, v[i].key, out);
        cr_expect_arr_eq(out, v[i].want, sizeof out);
    }
}

typedef struct random_attr { /* as in ops/random.c */
    uint64_t key;
    double p;
    int64_t rank, dim[TL_MAX_RANK];
} random_attr;

static void draw_numbers(const char *op, bool f64, double p, int64_t t, int64_t b, int64_t n, int64_t first_row,
                         void *out)
{
    const random_attr a = { 42, p, 3, { t, b, n } };
    const tl_desc d = { f64 ? TL_F64 : TL_F32, 3, { t, b, n }, { b * n, n, 1 } };
    kernels[number_of(op)].kernel[f64][isas() - 1](
        &(tl_run_args){ .out = out, .out_desc = &d, .attr = &a, .seed = 7, .run = 1, .first_row = first_row });
}

Test(kernels, a_random_element_depends_on_its_own_indices_alone)
{
    static float small[3 * 2 * 5], large[4 * 6 * 9], part[4 * 2 * 9];
    static double wide[3 * 2 * 5];
    draw_numbers("random_uniform", false, 0, 3, 2, 5, 0, small);
    draw_numbers("random_uniform", false, 0, 4, 6, 9, 0, large);
    draw_numbers("random_uniform", false, 0, 4, 2, 9, 3, part);
    draw_numbers("random_uniform", true, 0, 3, 2, 5, 0, wide);
    for (int t = 0; t < 3; t++)
        for (int b = 0; b < 2; b++)
            for (int i = 0; i < 5; i++) {
                const float x = small[(t * 2 + b) * 5 + i];
                cr_expect_eq(x, large[(t * 6 + b) * 9 + i]);
                cr_expect_eq((double)x, wide[(t * 2 + b) * 5 + i]);
                cr_expect_eq(part[(t * 2 + b) * 9 + i], large[(t * 6 + b + 3) * 9 + i], "a worker's rows");
            }
}

Test(kernels, random_numbers_have_their_moments)
{
    enum { N = 1 << 16 };
    static double x[N];
    double mean = 0, square = 0;
    draw_numbers("random_normal", true, 0, 1, 1, N, 0, x);
    for (int i = 0; i < N; i++) mean += x[i] / N, square += x[i] * x[i] / N;
    cr_expect_leq(fabs(mean), 0.02);
    cr_expect_leq(fabs(square - 1), 0.03);
    for (int k = 0; k < 4; k++) {
        const double p = (const double[]){ 0, 0.3, 0.99, 1 }[k];
        draw_numbers("random_bernoulli", true, p, 4, 8, N / 32, 0, x);
        mean = 0;
        for (int i = 0; i < N; i++) mean += x[i] / N;
        cr_expect_leq(fabs(mean - p), p > 0 && p < 1 ? 0.01 : 0);
    }
    draw_numbers("random_uniform", true, 0, 1, 1, N, 0, x);
    for (int i = 0; i < N; i++) cr_expect(x[i] >= 0 && x[i] < 1 && x[i] * 0x1p24 == floor(x[i] * 0x1p24));
}
