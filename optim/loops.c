/* optim/loops.c - update rules, norms and clipping, as loops over spans of the flat arrays. Compiled for each
 * instruction set and element type, as kernels of operations are. Expressions are rounded in the order in which they are
 * written, so all widths of vectors give the same bits. */
#include "optim/loops.h"

#include <math.h>

#include "ops/kernels/kernels.h"

typedef TL_REAL real;

static inline real root(real x) { return sizeof x == sizeof(float) ? (real)sqrtf((float)x) : (real)sqrt((double)x); }

/* ---- rows --------------------------------------------------------------------------------------------------- */

static inline int64_t row_at(const tl_span *s, int64_t k) { return s->at + (s->row ? s->row[k] * s->size : 0); }

/* Rows of a table lie anywhere in memory: they are asked for early. */
enum { AHEAD = 12 };
static inline void ask(const tl_span *s, int64_t k, const void *array)
{
    if (array && k + AHEAD < s->rows)
        tl_prefetch((const real *)array + row_at(s, k + AHEAD), (size_t)s->size * sizeof(real));
}

/* ---- update rules ------------------------------------------------------------------------------------------- */

/* The numbers of an update in the model's type. */
typedef struct numbers {
    real lr, scale, momentum, rho, epsilon, rest_rho, rest1, rest2;
} numbers;

static numbers rounded(const tl_update *u)
{
    return (numbers){ (real)u->rate,    (real)u->scale,     (real)u->momentum,    (real)u->rho,
                      (real)u->epsilon, (real)(1 - u->rho), (real)(1 - u->beta1), (real)(1 - u->beta2) };
}

/* A run of n elements. */
typedef struct run {
    int64_t n;
    real *w;
    const real *g;
    real *m, *v;
} run;

static inline real *from(void *array, int64_t at) { return array ? (real *)array + at : NULL; }

/* RULE(name) { the update of the run r, with the numbers o } */
#define RULE(name)                                                                                                     \
    static inline void name##_run(const numbers *o, const run *r);                                                     \
    static void name(const tl_update *u, const tl_span *s)                                                             \
    {                                                                                                                  \
        const numbers o = rounded(u);                                                                                  \
        for (int64_t k = 0; k < s->rows; k++) {                                                                        \
            const int64_t at = row_at(s, k);                                                                           \
            ask(s, k, u->w), ask(s, k, u->g), ask(s, k, u->m), ask(s, k, u->v);                                        \
            name##_run(&o,                                                                                             \
                       &(run){ s->size, from(u->w, at), (const real *)u->g + at, from(u->m, at), from(u->v, at) });    \
        }                                                                                                              \
    }                                                                                                                  \
    static inline void name##_run(const numbers *o, const run *r)

RULE(sgd)
{
    real *restrict w = r->w;
#pragma omp simd
    for (int64_t i = 0; i < r->n; i++) w[i] -= o->lr * (o->scale * r->g[i]);
}

RULE(sgd_momentum)
{
    real *restrict w = r->w, *restrict m = r->m;
#pragma omp simd
    for (int64_t i = 0; i < r->n; i++) {
        m[i] = o->momentum * m[i] - o->lr * (o->scale * r->g[i]);
        w[i] += m[i];
    }
}

RULE(sgd_nesterov)
{
    real *restrict w = r->w, *restrict m = r->m;
#pragma omp simd
    for (int64_t i = 0; i < r->n; i++) {
        const real d = o->lr * (o->scale * r->g[i]);
        m[i] = o->momentum * m[i] - d;
        w[i] += o->momentum * m[i] - d;
    }
}

RULE(rmsprop)
{
    real *restrict w = r->w, *restrict v = r->m;
#pragma omp simd
    for (int64_t i = 0; i < r->n; i++) {
        const real g = o->scale * r->g[i];
        v[i] = o->rho * v[i] + o->rest_rho * (g * g);
        w[i] -= o->lr * g / root(v[i] + o->epsilon);
    }
}

RULE(rmsprop_momentum)
{
    real *restrict w = r->w, *restrict v = r->m, *restrict m = r->v;
#pragma omp simd
    for (int64_t i = 0; i < r->n; i++) {
        const real g = o->scale * r->g[i];
        v[i] = o->rho * v[i] + o->rest_rho * (g * g);
        m[i] = o->momentum * m[i] + o->lr * g / root(v[i] + o->epsilon);
        w[i] -= m[i];
    }
}

RULE(adam)
{
    real *restrict w = r->w, *restrict m = r->m, *restrict v = r->v;
#pragma omp simd
    for (int64_t i = 0; i < r->n; i++) {
        const real g = o->scale * r->g[i];
        m[i] += o->rest1 * (g - m[i]);
        v[i] += o->rest2 * (g * g - v[i]);
        w[i] -= o->lr * m[i] / (root(v[i]) + o->epsilon);
    }
}

/* ---- gradients ---------------------------------------------------------------------------------------------- */

static void scale(void *array, const tl_span *s, double factor)
{
    const real f = (real)factor;
    for (int64_t k = 0; k < s->rows; k++) {
        real *g = (real *)array + row_at(s, k);
        ask(s, k, array);
#pragma omp simd
        for (int64_t i = 0; i < s->size; i++) g[i] *= f;
    }
}

/* Written so that a NaN, which compares false, stays. */
static void clamp(void *array, const tl_span *s, double limit)
{
    const real most = (real)limit;
    for (int64_t k = 0; k < s->rows; k++) {
        real *g = (real *)array + row_at(s, k);
        ask(s, k, array);
#pragma omp simd
        for (int64_t i = 0; i < s->size; i++) {
            const real low = g[i] < -most ? -most : g[i];
            g[i] = low > most ? most : low;
        }
    }
}

/* The lanes go by the element's place in the flat array, so it does not matter how that is cut into spans, nor whether
 * zeros are left out. */
static void squares(double lane[TL_NORM_LANES], const void *array, const tl_span *s)
{
    enum { LANES = TL_NORM_LANES };
    double sum[LANES];
    for (int l = 0; l < LANES; l++) sum[l] = lane[l];
    for (int64_t k = 0; k < s->rows; k++) {
        const real *g = array;
        int64_t i = row_at(s, k);
        const int64_t end = i + s->size;
        ask(s, k, array);
        for (; i < end && i % LANES; i++) sum[i % LANES] += (double)g[i] * (double)g[i];
        for (; i + LANES <= end; i += LANES)
            for (int l = 0; l < LANES; l++) sum[l] += (double)g[i + l] * (double)g[i + l];
        for (; i < end; i++) sum[i % LANES] += (double)g[i] * (double)g[i];
    }
    for (int l = 0; l < LANES; l++) lane[l] = sum[l];
}

#define NAME_(isa, type) tl_loops_##isa##_##type
#define NAME(isa, type) NAME_(isa, type)
extern const tl_loops NAME(TL_ISA, TL_TYPE);
const tl_loops NAME(TL_ISA, TL_TYPE) = { sgd,  sgd_momentum, sgd_nesterov, rmsprop, rmsprop_momentum,
                                         adam, scale,        clamp,        squares };
