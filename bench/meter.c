/* bench/meter.c */
#define _GNU_SOURCE
#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "meter.h"

static const double warm_seconds = 0.1, repetition_seconds = 0.05;
enum { WARM_STEPS = 3, MAX_THREADS = 1024, MAX_REPEAT = 100000 };

/* ---- command line ------------------------------------------------------------------------------------------- */

_Noreturn void meter_fail(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

static _Noreturn void usage(void)
{
    fprintf(stderr, "%s [WORKLOAD...] [--threads N] [--repeat R] [--json FILE] | --list | --check [WORKLOAD...]\n",
            program_invocation_short_name);
    exit(2);
}

static int whole_number(const char *text, int max)
{
    char *end;
    const long n = strtol(text ? text : "", &end, 10);
    if (!text || *end || n < 1 || n > max) usage();
    return (int)n;
}

meter_args meter_read(int argc, char **argv)
{
    meter_args a = { .pattern = argv + 1, .threads = 1, .repeat = 9 };
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (!strcmp(arg, "--threads")) a.threads = whole_number(argv[++i], MAX_THREADS);
        else if (!strcmp(arg, "--repeat")) a.repeat = whole_number(argv[++i], MAX_REPEAT);
        else if (!strcmp(arg, "--list")) a.list = true;
        else if (!strcmp(arg, "--check")) a.check = true;
        else if (!strcmp(arg, "--json") && argv[i + 1]) a.json = argv[++i];
        else if (*arg == '-') usage();
        else a.pattern[a.n_patterns++] = argv[i];
        if (i >= argc) usage();
    }
#ifdef _OPENMP
    omp_set_num_threads(a.threads);
#endif
    return a;
}

bool meter_wants(const meter_args *args, const char *workload)
{
    for (int i = 0; i < args->n_patterns; i++)
        if (!fnmatch(args->pattern[i], workload, 0)) return true;
    return !args->n_patterns;
}

/* ---- time and memory ---------------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Seconds of n steps; negative if one failed. */
static double time_steps(bool (*step)(void *data), void *data, int64_t n)
{
    const double start = now();
    for (int64_t i = 0; i < n; i++)
        if (!step(data)) return -1;
    return now() - start;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* getrusage() would count what the parent had before it started us. */
static size_t peak_memory(void)
{
    size_t kilobytes = 0;
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %zu", &kilobytes) == 1) break;
    if (f) fclose(f);
    return kilobytes * 1024;
}

bool meter_run(bool (*step)(void *data), void *data, int repeat, figures *out)
{
    const double start = now();
    double last = 0;
    for (int i = 0; i < WARM_STEPS || now() - start < warm_seconds; i++)
        if ((last = time_steps(step, data, 1)) < 0) return false;
    int64_t steps = last < repetition_seconds ? (int64_t)(repetition_seconds / (last > 1e-7 ? last : 1e-7)) : 1;
    double *seconds = calloc((size_t)repeat, sizeof *seconds);
    if (!seconds) meter_fail("out of memory");
    for (int r = 0; r < repeat; r++) {
        if ((seconds[r] = time_steps(step, data, steps)) < 0) return free(seconds), false;
        seconds[r] /= (double)steps;
    }
    qsort(seconds, (size_t)repeat, sizeof *seconds, ascending);
    out->ms_min = seconds[0] * 1e3;
    out->ms_median = (seconds[(repeat - 1) / 2] + seconds[repeat / 2]) / 2 * 1e3;
    out->rss_bytes = peak_memory();
    free(seconds);
    return true;
}

/* ---- the machine's peak ------------------------------------------------------------------------------------- */

#if defined __x86_64__
#include <immintrin.h>

/* Twelve chains hide the latency of two units. */
enum { CHAINS = 12 };
#define PEAK_LOOP(name, isa, vec, set1, fmadd)                                                                         \
    __attribute__((target(isa), noinline)) static float name(int64_t n)                                                \
    {                                                                                                                  \
        const vec x = set1(0.9f), y = set1(0.1f);                                                                      \
        vec a = y, b = y, c = y, d = y, e = y, f = y, g = y, h = y, i = y, j = y, k = y, l = y;                        \
        for (int64_t t = 0; t < n; t++) {                                                                              \
            a = fmadd(a, x, y), b = fmadd(b, x, y), c = fmadd(c, x, y), d = fmadd(d, x, y);                            \
            e = fmadd(e, x, y), f = fmadd(f, x, y), g = fmadd(g, x, y), h = fmadd(h, x, y);                            \
            i = fmadd(i, x, y), j = fmadd(j, x, y), k = fmadd(k, x, y), l = fmadd(l, x, y);                            \
            __asm__ volatile("" : "+x"(a), "+x"(b), "+x"(c), "+x"(d), "+x"(e), "+x"(f));                               \
            __asm__ volatile("" : "+x"(g), "+x"(h), "+x"(i), "+x"(j), "+x"(k), "+x"(l));                               \
        }                                                                                                              \
        const vec sum = a + b + c + d + e + f + g + h + i + j + k + l;                                                 \
        return sum[0];                                                                                                 \
    }
PEAK_LOOP(peak_512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps)
PEAK_LOOP(peak_256, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps)

static volatile float sink;

double meter_peak(int threads)
{
    enum { ROUNDS = 40, TURNS = 200000 };
    __builtin_cpu_init();
    const bool wide = __builtin_cpu_supports("avx512f");
    if (!wide && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))) return 0;
    float (*const loop)(int64_t) = wide ? peak_512 : peak_256;
    const double flops = 2.0 * CHAINS * (wide ? 16 : 8) * TURNS * threads;
    double best = 0;
    for (int r = 0; r < ROUNDS; r++) {
        const double start = now();
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1)
#endif
        for (int i = 0; i < threads; i++) sink = loop(TURNS);
        const double rate = flops / (now() - start) * 1e-9;
        if (rate > best) best = rate;
    }
    return best;
}
#else
double meter_peak(int threads) { return (void)threads, 0; }
#endif

/* ---- figures ------------------------------------------------------------------------------------------------ */

void meter_print(const figures *f)
{
    printf("%-20s %10.4g ms (min %.4g)", f->workload, f->ms_median, f->ms_min);
    if (f->tokens > 0) printf(", %.4g tokens/s", f->tokens / f->ms_median * 1e3);
    if (f->flops > 0) printf(", %.4g GFLOP/s", f->flops / f->ms_median * 1e-6);
    if (f->flops > 0 && f->peak_gflops > 0)
        printf(" (%.0f %% of the peak)", f->flops / f->ms_median * 1e-4 / f->peak_gflops);
    if (f->flops_done > 0) printf("; done: %.4g GFLOP/s", f->flops_done / f->ms_median * 1e-6);
    putchar('\n');
    fflush(stdout);
}

static void number(FILE *out, const char *key, double value)
{
    if (value > 0) fprintf(out, ", \"%s\": %.9g", key, value);
    else fprintf(out, ", \"%s\": null", key);
}

void meter_write(const char *path, const figures *f, int n)
{
    FILE *out = path ? fopen(path, "w") : NULL;
    if (!path) return;
    if (!out) meter_fail("%s: %s", path, strerror(errno));
    fputs("[", out);
    for (int i = 0; i < n; i++, f++) {
        const double rate = f->ms_median > 0 ? 1e3 / f->ms_median : 0, gflops = f->flops * rate * 1e-9;
        fprintf(out, "%s\n {\"workload\": \"%s\", \"variant\": \"%s\", \"threads\": %d, \"blas_core\": \"%s\"",
                i ? "," : "", f->workload, f->variant, f->threads, f->blas_core);
        number(out, "ms_median", f->ms_median);
        number(out, "ms_min", f->ms_min);
        number(out, "tokens_per_s", f->tokens * rate);
        number(out, "gflops", gflops);
        number(out, "gflops_done", f->flops_done * rate * 1e-9);
        number(out, "peak_gflops", f->peak_gflops);
        number(out, "peak_fraction", f->peak_gflops > 0 ? gflops / f->peak_gflops : 0);
        number(out, "flops", f->flops);
        number(out, "flops_done", f->flops_done);
        number(out, "tokens", f->tokens);
        number(out, "parameters", (double)f->parameters);
        number(out, "arena_bytes", (double)f->arena_bytes);
        number(out, "rss_bytes", (double)f->rss_bytes);
        fputs("}", out);
    }
    fputs("\n]\n", out);
    if (fclose(out)) meter_fail("%s: %s", path, strerror(errno));
}
