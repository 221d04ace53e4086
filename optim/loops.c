/* optim/loops.c - update rules, norms and clipping, as loops over spans of the flat arrays. Compiled for each
 * instruction set and element type, as kernels of operations are. Expressions are rounded in the order in which they are
 * written, so all widths of vectors give the same bits. */
#include "optim/loops.h"

#include <math.h>

#include "ops/kernels/kernels.h"

typedef TL_REAL real;

static inline real root(real x) { return sizeof x == sizeof(float) ? (real)sqrtf((float)x) : (real)sqrt((double)x); }
static inline real size_of(real x) { return x < 0 ? -x : x; }
static inline real larger(real a, real b) { return a > b ? a : b; }
static inline real sign_of(real x) { return (real)(x > 0) - (real)(x < 0); }

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
#define REAL_NUMBER(name) real name;
#define ROUNDED(name) .name = (real)u->name,
typedef struct numbers {
    TL_NUMBERS(REAL_NUMBER)
} numbers;
static numbers rounded(const tl_numbers *u) { return (numbers){ TL_NUMBERS(ROUNDED) }; }

/* A run of n elements; a, b, c are the rule's slots. */
typedef struct run {
    int64_t n;
    real *w;
    const real *g;
    real *a, *b, *c;
} run;
typedef void rule_loop(const numbers *o, run r);

static inline real *from(void *array, int64_t at) { return array ? (real *)array + at : NULL; }

/* Weight decay, into the gradient or from the parameter, goes ahead of the rule, in pieces that stay in the cache. */
static inline __attribute__((always_inline)) void decayed(const numbers *o, run r, rule_loop *rule)
{
    enum { PIECE = 256 };
    real g[PIECE];
    numbers plain = *o;
    plain.scale = 1;
    for (int64_t at = 0; at < r.n; at += PIECE) {
        const int64_t n = r.n - at < PIECE ? r.n - at : PIECE;
        real *restrict w = r.w + at;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            g[i] = o->scale * r.g[at + i] + o->l2 * w[i];
            w[i] -= w[i] * o->decay;
        }
        rule(&plain, (run){ n, w, g, from(r.a, at), from(r.b, at), from(r.c, at) });
    }
}

static inline __attribute__((always_inline)) void over_rows(const tl_update *u, const tl_span *s, rule_loop *rule)
{
    const numbers o = rounded(&u->number);
    for (int64_t k = 0; k < s->rows; k++) {
        const int64_t at = row_at(s, k);
        ask(s, k, u->w), ask(s, k, u->g);
        for (int j = 0; j < TL_RULE_SLOTS; j++) ask(s, k, u->slot[j]);
        const run r = { s->size,
                        from(u->w, at),
                        (const real *)u->g + at,
                        from(u->slot[0], at),
                        from(u->slot[1], at),
                        from(u->slot[2], at) };
        if (o.l2 != 0 || o.decay != 0) decayed(&o, r, rule);
        else rule(&o, r);
    }
}

/* RULE(name) { the update of the run r, with the numbers o } */
#define RULE(name)                                                                                                     \
    static inline void name##_run(const numbers *o, run r);                                                            \
    static void name(const tl_update *u, const tl_span *s) { over_rows(u, s, name##_run); }                            \
    static inline void name##_run(const numbers *o, run r)

/* FORM(name, loop, ...): a rule that is a loop with some of its choices made. */
#define FORM(name, loop, ...)                                                                                          \
    RULE(name) { loop(o, r, __VA_ARGS__); }
#define LOOP(name, ...) static inline __attribute__((always_inline)) void name(const numbers *o, run r, __VA_ARGS__)

RULE(sgd)
{
    real *restrict w = r.w;
#pragma omp simd
    for (int64_t i = 0; i < r.n; i++) w[i] -= o->rate * (o->scale * r.g[i]);
}

LOOP(momentum, bool nesterov)
{
    real *restrict w = r.w, *restrict m = r.a;
#pragma omp simd
    for (int64_t i = 0; i < r.n; i++) {
        const real g = o->scale * r.g[i];
        m[i] = o->momentum * m[i] - o->gain * g;
        w[i] += o->step * (nesterov ? o->momentum * m[i] - o->reach * g : m[i]);
    }
}
FORM(sgd_momentum, momentum, false)
FORM(sgd_nesterov, momentum, true)

/* The variance cannot be negative, but rounding may make it so. */
LOOP(root_mean_square, bool with_momentum, bool centered)
{
    real *restrict w = r.w, *restrict v = r.a, *restrict m = r.b, *restrict mean = r.c;
#pragma omp simd
    for (int64_t i = 0; i < r.n; i++) {
        const real g = o->scale * r.g[i];
        v[i] = o->rho * v[i] + o->rest_rho * (g * g);
        if (centered) mean[i] = o->rho * mean[i] + o->rest_rho * g;
        const real variance = centered ? v[i] - mean[i] * mean[i] : v[i];
        const real square = variance < 0 ? 0 : variance;
        const real d = root(square + o->inside) + o->outside;
        if (with_momentum) m[i] = o->momentum * m[i] + o->gain * g / d;
        w[i] -= with_momentum ? o->step * m[i] : o->rate * g / d;
    }
}
FORM(rmsprop, root_mean_square, false, false)
FORM(rmsprop_momentum, root_mean_square, true, false)
FORM(rmsprop_centered, root_mean_square, false, true)
FORM(rmsprop_centered_momentum, root_mean_square, true, true)

LOOP(moments, bool amsgrad, bool general)
{
    real *restrict w = r.w, *restrict m = r.a, *restrict v = r.b, *restrict most = r.c;
#pragma omp simd
    for (int64_t i = 0; i < r.n; i++) {
        const real g = o->scale * r.g[i];
        m[i] += o->rest1 * (g - m[i]);
        v[i] += o->rest2 * (g * g - v[i]);
        if (amsgrad) most[i] = larger(most[i], v[i]);
        const real d = root(amsgrad ? most[i] : v[i]);
        w[i] -= general ? (o->rate * m[i] + o->gain * g) / (o->adapt * d + o->outside)
                        : o->rate * m[i] / (d + o->outside);
    }
}
FORM(adam, moments, false, false)
FORM(adam_amsgrad, moments, true, false)
FORM(nadam, moments, false, true)

RULE(adamax)
{
    real *restrict w = r.w, *restrict m = r.a, *restrict most = r.b;
#pragma omp simd
    for (int64_t i = 0; i < r.n; i++) {
        const real g = o->scale * r.g[i];
        m[i] += o->rest1 * (g - m[i]);
        most[i] = larger(o->beta2 * most[i], size_of(g) + o->inside);
        w[i] -= o->rate * m[i] / (most[i] + o->outside);
    }
}

RULE(adagrad)
{
    real *restrict w = r.w, *restrict v = r.a;
#pragma omp simd
    for (int64_t i = 0; i < r.n; i++) {
        const real g = o->scale * r.g[i];
        v[i] += g * g;
        w[i] -= o->rate * g / (root(v[i] + o->inside) + o->outside);
    }
}

RULE(adadelta)
{
    real *restrict w = r.w, *restrict v = r.a, *restrict u = r.b;
#pragma omp simd
    for (int64_t i = 0; i < r.n; i++) {
        const real g = o->scale * r.g[i];
        v[i] = o->rho * v[i] + o->rest_rho * (g * g);
        const real d = root(u[i] + o->inside) / root(v[i] + o->inside) * g;
        u[i] = o->rho * u[i] + o->rest_rho * (d * d);
        w[i] -= o->rate * d;
    }
}

RULE(lion)
{
    real *restrict w = r.w, *restrict m = r.a;
#pragma omp simd
    for (int64_t i = 0; i < r.n; i++) {
        const real g = o->scale * r.g[i];
        w[i] -= o->rate * sign_of(o->beta1 * m[i] + o->rest1 * g);
        m[i] = o->beta2 * m[i] + o->rest2 * g;
    }
}

RULE(ftrl)
{
    real *restrict w = r.w, *restrict v = r.a, *restrict z = r.b;
    const bool square_root = o->power == (real)0.5;
    for (int64_t i = 0; i < r.n; i++) {
        const real g = o->scale * r.g[i], sum = v[i] + g * g;
        const real before = square_root ? root(v[i]) : (real)pow((double)v[i], (double)o->power);
        const real after = square_root ? root(sum) : (real)pow((double)sum, (double)o->power);
        z[i] += g + o->shrinkage * w[i] - (after - before) / o->rate * w[i];
        const real kept = z[i] > o->l1 ? o->l1 : z[i] < -o->l1 ? -o->l1 : z[i];
        w[i] = (kept - z[i]) / (after / o->rate + o->ridge);
        v[i] = sum;
    }
}

RULE(asgd)
{
    real *restrict w = r.w, *restrict mean = r.a;
#pragma omp simd
    for (int64_t i = 0; i < r.n; i++) {
        w[i] = o->keep * w[i] - o->rate * (o->scale * r.g[i]);
        mean[i] += (w[i] - mean[i]) * o->mix;
    }
}

RULE(rprop)
{
    real *restrict w = r.w, *restrict step = r.a, *restrict before = r.b;
#pragma omp simd
    for (int64_t i = 0; i < r.n; i++) {
        const real g = o->scale * r.g[i], turn = g * before[i];
        const real next = step[i] * (turn > 0 ? o->more : turn < 0 ? o->less : 1);
        step[i] = next < o->least ? o->least : next > o->most ? o->most : next;
        before[i] = turn < 0 ? 0 : g;
        w[i] -= sign_of(before[i]) * step[i];
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

static void add(void *sum, const void *array, const tl_span *s, double factor)
{
    const real f = (real)factor;
    for (int64_t k = 0; k < s->rows; k++) {
        real *restrict y = (real *)sum + row_at(s, k);
        const real *g = (const real *)array + row_at(s, k);
        ask(s, k, array), ask(s, k, sum);
#pragma omp simd
        for (int64_t i = 0; i < s->size; i++) y[i] += f * g[i];
    }
}

static void mix(void *mean, const void *array, const tl_span *s, double old)
{
    const real keep = (real)old, rest = (real)(1 - old);
    for (int64_t k = 0; k < s->rows; k++) {
        real *restrict y = (real *)mean + row_at(s, k);
        const real *w = (const real *)array + row_at(s, k);
#pragma omp simd
        for (int64_t i = 0; i < s->size; i++) y[i] = keep * y[i] + rest * w[i];
    }
}

/* The lanes go by the element's place in the flat array, so it does not matter how that is cut into spans, nor whether
 * zeros are left out. NORM(name) { joins x, an element, to its lane y } */
#define NORM(name)                                                                                                     \
    static inline double name##_of(double y, double x);                                                                \
    static void name(double lane[TL_NORM_LANES], const void *array, const tl_span *s)                                  \
    {                                                                                                                  \
        enum { LANES = TL_NORM_LANES };                                                                                \
        double y[LANES];                                                                                               \
        for (int l = 0; l < LANES; l++) y[l] = lane[l];                                                                \
        for (int64_t k = 0; k < s->rows; k++) {                                                                        \
            const real *g = array;                                                                                     \
            int64_t i = row_at(s, k);                                                                                  \
            const int64_t end = i + s->size;                                                                           \
            ask(s, k, array);                                                                                          \
            for (; i < end && i % LANES; i++) y[i % LANES] = name##_of(y[i % LANES], (double)g[i]);                    \
            for (; i + LANES <= end; i += LANES)                                                                       \
                for (int l = 0; l < LANES; l++) y[l] = name##_of(y[l], (double)g[i + l]);                              \
            for (; i < end; i++) y[i % LANES] = name##_of(y[i % LANES], (double)g[i]);                                 \
        }                                                                                                              \
        for (int l = 0; l < LANES; l++) lane[l] = y[l];                                                                \
    }                                                                                                                  \
    static inline double name##_of(double y, double x)

NORM(squares) { return y + x * x; }
NORM(absolutes) { return y + fabs(x); }
NORM(largest) { return fabs(x) > y || x != x ? fabs(x) : y; } /* a NaN stays */

#define NAME_(isa, type) tl_loops_##isa##_##type
#define NAME(isa, type) NAME_(isa, type)
extern const tl_loops NAME(TL_ISA, TL_TYPE);
const tl_loops NAME(TL_ISA, TL_TYPE) = {
    .rule = { [TL_LOOP_SGD] = sgd,
              sgd_momentum,
              sgd_nesterov,
              [TL_LOOP_RMSPROP] = rmsprop,
              rmsprop_momentum,
              rmsprop_centered,
              rmsprop_centered_momentum,
              [TL_LOOP_ADAM] = adam,
              adam_amsgrad,
              [TL_LOOP_NADAM] = nadam,
              [TL_LOOP_ADAMAX] = adamax,
              [TL_LOOP_ADAGRAD] = adagrad,
              [TL_LOOP_ADADELTA] = adadelta,
              [TL_LOOP_LION] = lion,
              [TL_LOOP_FTRL] = ftrl,
              [TL_LOOP_ASGD] = asgd,
              [TL_LOOP_RPROP] = rprop },
    .scale = scale,
    .clamp = clamp,
    .add = add,
    .mix = mix,
    .squares = squares,
    .absolutes = absolutes,
    .largest = largest,
};
