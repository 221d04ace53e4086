/* ops/kernels/blas.c - OpenBLAS: the repair of its choice of kernels, and the calls.
 *
 * OpenBLAS before 0.3.25 does not know CPUs newer than itself and takes some for a Prescott, at a fifth of their speed.
 * It is set right by initialising it again with the right name in OPENBLAS_CORETYPE. The two functions for that are
 * internal to it, hence the weak references. A preset OPENBLAS_CORETYPE is never overridden: some systems set it for
 * correctness. TL_BLAS_KEEP=1 forbids the repair.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cblas.h>
#undef I

#include "ops/kernels/kernels.h"

extern void gotoblas_dynamic_init(void) __attribute__((weak));
extern void gotoblas_dynamic_quit(void) __attribute__((weak));

/* What this CPU should use; NULL: whatever OpenBLAS thinks. */
static const char *right_core(void)
{
#if defined __x86_64__
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return NULL;
    const bool wide = __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl");
    return wide ? "SkylakeX" : "Haswell";
#else
    return NULL;
#endif
}

static void repair(void)
{
    const char *keep = getenv("TL_BLAS_KEEP"), *core = right_core();
    if ((keep && strcmp(keep, "0")) || getenv("OPENBLAS_CORETYPE")) return;
    if (!core || strcasecmp(openblas_get_corename(), "Prescott")) return;
    if (!gotoblas_dynamic_init || !gotoblas_dynamic_quit) return;
    if (setenv("OPENBLAS_CORETYPE", core, 1)) return;
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
    unsetenv("OPENBLAS_CORETYPE");
}

static void init(void)
{
    repair();
    openblas_set_num_threads(1);
}

void tl_blas_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init);
}

const char *tl_blas_core(void)
{
    tl_blas_init();
    return openblas_get_corename();
}

#define TL_BLAS(type, real, gemm)                                                                                      \
    void tl_blas_##type(const tl_blas_product *p, const real *a, const real *b, real *c)                               \
    {                                                                                                                  \
        tl_blas_init();                                                                                                \
        gemm(CblasRowMajor, p->ta ? CblasTrans : CblasNoTrans, p->tb ? CblasTrans : CblasNoTrans, (blasint)p->m,       \
             (blasint)p->n, (blasint)p->k, 1, a, (blasint)p->lda, b, (blasint)p->ldb, p->add, c, (blasint)p->ldc);     \
    }
TL_BLAS(f32, float, cblas_sgemm)
TL_BLAS(f64, double, cblas_dgemm)
