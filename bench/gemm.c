/* bench/gemm.c - single matrix products of the sizes that networks have: the library's own kernel, the same on a right
 * operand packed beforehand, and OpenBLAS, in 10^9 FLOPs a second and of what the core's units can do. One thread, f32.
 *
 *     gemm [MxNxK:AB...] [--repeat R]        AB: NN, TN (a is transposed) or NT; shell patterns, "32x*:NN"
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "meter.h"
#include "ops/kernels/kernels.h"

/* c [m, n] += op(a) op(b), as in each step, over all steps, and in the layers around */
static const struct {
    int64_t m, n, k, ta, tb;
} shapes[] = {
    { 1, 1024, 256, 0, 0 },    { 1, 256, 1024, 0, 1 },     { 8, 1024, 256, 0, 0 },     { 6, 16, 16, 0, 0 },
    { 20, 2048, 512, 0, 0 },   { 20, 512, 2048, 0, 1 },    { 32, 1024, 256, 0, 0 },    { 32, 256, 1024, 0, 1 },
    { 64, 768, 256, 0, 0 },    { 64, 256, 768, 0, 1 },     { 64, 64, 64, 0, 0 },       { 64, 64, 64, 0, 1 },
    { 128, 128, 128, 0, 0 },   { 128, 128, 128, 0, 1 },    { 2048, 1024, 256, 0, 0 },  { 2048, 256, 1024, 0, 1 },
    { 256, 1024, 2048, 1, 0 }, { 64, 1024, 2048, 1, 0 },   { 2048, 100, 256, 0, 0 },   { 256, 100, 2048, 1, 0 },
    { 700, 10000, 512, 0, 0 }, { 700, 512, 10000, 0, 1 },  { 512, 10000, 700, 1, 0 },  { 12800, 64, 32, 0, 0 },
    { 64, 64, 12800, 1, 0 },   { 1000, 1000, 1000, 0, 0 }, { 1024, 1024, 1024, 1, 0 }, { 2048, 2048, 2048, 0, 0 },
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

typedef struct trial {
    tl_product_attr attr;
    tl_desc desc[4];
    const void *in[3];
    void *out, *work;
    tl_blas_product blas;
} trial;

static bool own(const trial *t)
{
    return !tl_kernel_for(tl_op_of_role(TL_ROLE_PRODUCT), TL_F32)(&(tl_run_args){ .out = t->out,
                                                                                  .in = t->in,
                                                                                  .n_in = 3,
                                                                                  .out_desc = t->desc,
                                                                                  .in_desc = t->desc + 1,
                                                                                  .attr = &t->attr,
                                                                                  .work = t->work });
}

static bool openblas(const trial *t)
{
    tl_blas_f32(&t->blas, t->in[0], t->in[1], t->out);
    return true;
}

static tl_desc matrix(int64_t rows, int64_t columns)
{
    return (tl_desc){ .dtype = TL_F32, .rank = 2, .dim = { rows, columns }, .stride = { columns, 1 } };
}

static float *numbers(int64_t n)
{
    float *x = aligned_alloc(64, ((size_t)n * sizeof *x + 64) / 64 * 64);
    if (!x) meter_fail("out of memory");
    for (int64_t i = 0; i < n; i++) x[i] = (float)((uint32_t)i * 2654435761u >> 16) * 0x1p-16F - 0.5F;
    return x;
}

/* Seconds of this thread, others' load apart. */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Seconds of a step: the least of several runs, in rounds in which all take part. */
static void least(const trial *t, bool (*const step[])(const trial *), double *seconds, int n, int rounds)
{
    const int steps = 1 + (int)(2e7 / ((double)t->blas.m * (double)t->blas.n * (double)t->blas.k));
    for (int i = 0; i < n * rounds; i++) {
        const double start = now();
        for (int k = 0; k < steps; k++)
            if (!step[i % n](&t[i % n])) meter_fail("the kernel fails");
        const double each = (now() - start) / steps;
        if (i < n || each < seconds[i % n]) seconds[i % n] = each;
    }
}

/* The same product on b as panels, which the caller frees. */
static trial packed_trial(const trial *t, float **panels)
{
    const tl_blas_product *q = &t->blas;
    const tl_pack_attr how = { q->tb };
    const int64_t width = tl_panel_width(TL_F32), n = (q->n + width - 1) / width;
    trial u = *t;
    u.desc[2] = (tl_desc){ TL_F32, 3, { n, q->k, width }, { q->k * width, width, 1 } };
    u.in[1] = *panels = numbers(n * q->k * width);
    u.attr = (tl_product_attr){ q->ta, 0, q->n };
    const tl_run_args r = {
        .out = *panels, .in = &t->in[1], .n_in = 1, .out_desc = &u.desc[2], .in_desc = &t->desc[2], .attr = &how
    };
    if (tl_kernel_for(tl_op_of_role(TL_ROLE_PACK), TL_F32)(&r)) meter_fail("packing fails");
    return u;
}

static void measure(const char *name, const tl_blas_product *q, int rounds, double peak)
{
    const struct tl_op *op = tl_op_of_role(TL_ROLE_PRODUCT);
    float *a = numbers(q->m * q->k), *b = numbers(q->k * q->n), *c = numbers(q->m * q->n), *panels;
    trial t[3] = { { .attr = { q->ta, q->tb, 0 }, .in = { a, b, c }, .out = c, .blas = *q } };
    t->desc[0] = t->desc[3] = matrix(q->m, q->n);
    t->desc[1] = q->ta ? matrix(q->k, q->m) : matrix(q->m, q->k);
    t->desc[2] = q->tb ? matrix(q->n, q->k) : matrix(q->k, q->n);
    t->work = numbers((int64_t)op->work(t->desc, t->desc + 1, 3, &t->attr) / 4 + 1);
    t[1] = packed_trial(t, &panels);
    t[2] = *t;
    double seconds[3];
    least(t, (bool (*const[])(const trial *)){ own, own, openblas }, seconds, 3, rounds);
    printf("%-20s", name);
    for (int i = 0; i < 3; i++) seconds[i] = 2e-9 * (double)q->m * (double)q->n * (double)q->k / seconds[i];
    for (int i = 0; i < 3; i++) printf(" %8.1f", seconds[i]);
    for (int i = 0; i < 3 && peak > 0; i++) printf(" %7.0f%%", seconds[i] / peak * 100);
    printf("\n");
    fflush(stdout);
    free(a), free(b), free(c), free(t->work), free(panels);
}

int main(int argc, char **argv)
{
    const meter_args args = meter_read(argc, argv);
    const double peak = args.list ? 0 : meter_peak(1);
    tl_set_exact(true); /* the library's own, whatever the size */
    if (!args.list)
        printf("%s kernels, OpenBLAS %s, peak %.0f GFLOP/s\n%-20s %8s %8s %8s %8s %8s %8s\n", tl_isa_name(),
               tl_blas_core(), peak, "", "own", "packed", "OpenBLAS", "own", "packed", "OpenBLAS");
    for (int i = 0; i < N_SHAPES; i++) {
        const int64_t m = shapes[i].m, n = shapes[i].n, k = shapes[i].k;
        const bool ta = shapes[i].ta, tb = shapes[i].tb;
        const tl_blas_product q = { m, n, k, ta ? m : k, tb ? k : n, n, ta, tb, true };
        char name[64];
        snprintf(name, sizeof name, "%lldx%lldx%lld:%c%c", (long long)m, (long long)n, (long long)k, ta ? 'T' : 'N',
                 tb ? 'T' : 'N');
        if (!meter_wants(&args, name)) continue;
        if (args.list) puts(name);
        else measure(name, &q, 4 * args.repeat, peak);
    }
}
