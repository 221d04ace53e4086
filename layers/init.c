/* layers/init.c - initial values of parameters. */
#include "layers/common.h"

#include <math.h>
#include <string.h>

static void fill_constant(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    (void)random;
    for (int64_t i = 0, n = tl_shape_size(shape); i < n; i++) out[i] = self->a;
}

tl_init tl_constant(double value) { return (tl_init){ .fill = fill_constant, .a = value }; }
tl_init tl_zeros(void) { return tl_constant(0); }
tl_init tl_ones(void) { return tl_constant(1); }

static void fill_uniform(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    for (int64_t i = 0, n = tl_shape_size(shape); i < n; i++)
        out[i] = self->a + (self->b - self->a) * tl_random_next(random);
}

/* What makes no sense starts as NaNs, which tl_compile() refuses. */
static tl_init sensible(bool is, tl_init init) { return is ? init : tl_constant(NAN); }

tl_init tl_uniform(double lo, double hi)
{
    return sensible(lo <= hi, (tl_init){ .fill = fill_uniform, .a = lo, .b = hi });
}

static void fill_normal(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    for (int64_t i = 0, n = tl_shape_size(shape); i < n; i++)
        out[i] = self->a + self->b * tl_random_next_normal(random);
}

tl_init tl_normal(double mean, double stddev)
{
    return sensible(stddev >= 0, (tl_init){ .fill = fill_normal, .a = mean, .b = stddev });
}

static void fill_values(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    (void)random;
    memcpy(out, self->data, (size_t)tl_shape_size(shape) * sizeof *out);
}

tl_init tl_values(const double *values)
{
    return values ? (tl_init){ .fill = fill_values, .data = values } : tl_constant(NAN);
}

/* ---- by the number of connections ----------------------------------------------------------------------------- */

typedef struct fans {
    double in, out;
} fans;

static fans fans_of(const tl_shape *shape)
{
    if (shape->rank == 0) return (fans){ 1, 1 };
    double others = 1;
    for (int a = 0; a < shape->rank - 2; a++) others *= (double)shape->dim[a];
    const double out = (double)shape->dim[shape->rank - 1];
    const double in = shape->rank == 1 ? out : (double)shape->dim[shape->rank - 2];
    return (fans){ others * in, others * out };
}

/* What a variance scaling is besides its scale. */
typedef struct scaling {
    tl_fan fan;
    tl_distribution distribution;
} scaling;

/* b: how many matrices like this one stand side by side; 0 means one */
static double fan_of(const tl_init *self, const tl_shape *shape)
{
    const fans f = fans_of(shape);
    const double out = f.out * (self->b > 0 ? self->b : 1);
    switch (((const scaling *)self->data)->fan) {
    case TL_FAN_IN: return f.in;
    case TL_FAN_OUT: return out;
    default: return (f.in + out) / 2;
    }
}

static void fill_truncated_normal(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    for (int64_t i = 0, n = tl_shape_size(shape); i < n; i++) {
        double z;
        do z = tl_random_next_normal(random);
        while (fabs(z) > 2);
        out[i] = self->a + self->b * z;
    }
}

tl_init tl_truncated_normal(double mean, double stddev)
{
    return sensible(stddev >= 0, (tl_init){ .fill = fill_truncated_normal, .a = mean, .b = stddev });
}

static void fill_variance_scaling(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    const double of_truncated = 0.87962566103423978; /* deviation of a standard normal that is cut off at -2 and 2 */
    const double n = fan_of(self, shape), stddev = sqrt(self->a / n), limit = sqrt(3 * self->a / n);
    const tl_init as[] = { [TL_TRUNCATED_NORMAL] = tl_truncated_normal(0, stddev / of_truncated),
                           [TL_UNTRUNCATED_NORMAL] = tl_normal(0, stddev),
                           [TL_UNIFORM] = tl_uniform(-limit, limit) };
    const tl_init *init = &as[((const scaling *)self->data)->distribution];
    init->fill(init, shape, out, random);
}

enum { FANS = TL_FAN_AVERAGE + 1, DISTRIBUTIONS = TL_UNIFORM + 1 };

#define SCALINGS(fan)                                                                                                  \
    {                                                                                                                  \
        { fan, TL_TRUNCATED_NORMAL }, { fan, TL_UNTRUNCATED_NORMAL }, { fan, TL_UNIFORM }                              \
    }
static const scaling scalings[FANS][DISTRIBUTIONS] = { SCALINGS(TL_FAN_IN), SCALINGS(TL_FAN_OUT),
                                                       SCALINGS(TL_FAN_AVERAGE) };

tl_init tl_variance_scaling(double scale, tl_fan fan, tl_distribution distribution)
{
    const bool known = (int)fan >= 0 && (int)fan < FANS && (int)distribution >= 0 && (int)distribution < DISTRIBUTIONS;
    if (!known) return tl_constant(NAN);
    return (tl_init){ .fill = fill_variance_scaling, .a = scale, .data = &scalings[fan][distribution] };
}

tl_init tl_glorot_uniform(void) { return tl_variance_scaling(1, TL_FAN_AVERAGE, TL_UNIFORM); }
tl_init tl_glorot_normal(void) { return tl_variance_scaling(1, TL_FAN_AVERAGE, TL_TRUNCATED_NORMAL); }
tl_init tl_he_uniform(void) { return tl_variance_scaling(2, TL_FAN_IN, TL_UNIFORM); }
tl_init tl_he_normal(void) { return tl_variance_scaling(2, TL_FAN_IN, TL_TRUNCATED_NORMAL); }
tl_init tl_lecun_uniform(void) { return tl_variance_scaling(1, TL_FAN_IN, TL_UNIFORM); }
tl_init tl_lecun_normal(void) { return tl_variance_scaling(1, TL_FAN_IN, TL_TRUNCATED_NORMAL); }

/* ---- matrices --------------------------------------------------------------------------------------------------- */

/* A tall matrix q [rows, cols], rows >= cols; a wide one is looked at from its other side, where `row` is 1. */
typedef struct tall {
    double *q;
    int64_t rows, cols, row, col; /* sizes and strides */
} tall;

/* Draws a normal vector x into column k from its diagonal down, and turns it into the v of Householder's reflection
 * H = I - tau v v^T, H x = (beta, 0, ...); v's first element is 1 and is left out. */
static double draw_reflection(const tall *m, int64_t k, tl_random *random, double *tau)
{
    double *column = m->q + k * m->col, first, square, beta;
    do {
        square = 0;
        first = tl_random_next_normal(random);
        for (int64_t i = k + 1; i < m->rows; i++) {
            column[i * m->row] = tl_random_next_normal(random);
            square += column[i * m->row] * column[i * m->row];
        }
        beta = -copysign(sqrt(first * first + square), first);
    } while (beta == 0); /* has probability zero */
    for (int64_t i = k + 1; i < m->rows; i++) column[i * m->row] /= first - beta;
    *tau = (beta - first) / beta;
    return beta;
}

/* What lies right of column k becomes H times it; it is zero in row k before. Two ways, for two orders in memory. */
static void reflect_rows(const tall *m, int64_t k, double tau)
{
    double *top = m->q + k * m->row;
    const double *v = m->q + k * m->col;
    for (int64_t j = k + 1; j < m->cols; j++) top[j] = 0;
    for (int64_t i = k + 1; i < m->rows; i++) {
        const double *q = m->q + i * m->row;
#pragma omp simd
        for (int64_t j = k + 1; j < m->cols; j++) top[j] += v[i * m->row] * q[j];
    }
    for (int64_t i = k + 1; i < m->rows; i++) {
        double *q = m->q + i * m->row;
#pragma omp simd
        for (int64_t j = k + 1; j < m->cols; j++) q[j] -= tau * v[i * m->row] * top[j];
    }
    for (int64_t j = k + 1; j < m->cols; j++) top[j] *= -tau;
}

static void reflect_columns(const tall *m, int64_t k, double tau)
{
    const double *v = m->q + k * m->col;
    for (int64_t j = k + 1; j < m->cols; j++) {
        double *q = m->q + j * m->col, dot = 0;
        for (int64_t i = k + 1; i < m->rows; i++) dot += v[i] * q[i];
        q[k] = -tau * dot;
#pragma omp simd
        for (int64_t i = k + 1; i < m->rows; i++) q[i] -= tau * dot * v[i];
    }
}

/* Stewart 1980: the Q of a QR of a normal matrix is H_0 H_1 ..., each H made from a fresh normal vector; so Q can be
 * put together without that matrix, from the last reflection to the first. Column k starts as e_k times the sign of
 * R's diagonal, without which Q would not be uniform (Mezzadri 2007). */
static void orthogonal(const tall *m, tl_random *random)
{
    for (int64_t k = m->cols - 1; k >= 0; k--) {
        double tau, *column = m->q + k * m->col;
        const double sign = draw_reflection(m, k, random, &tau) < 0 ? -1 : 1;
        if (m->row == 1) reflect_columns(m, k, tau);
        else reflect_rows(m, k, tau);
        for (int64_t i = k + 1; i < m->rows; i++) column[i * m->row] *= -tau * sign;
        column[k * m->row] = sign * (1 - tau);
    }
}

static void fill_orthogonal(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    const int64_t n = tl_shape_size(shape), cols = shape->rank ? shape->dim[shape->rank - 1] : 1;
    if (!n) return;
    const int64_t rows = n / cols;
    const tall m = rows >= cols ? (tall){ out, rows, cols, cols, 1 } : (tall){ out, cols, rows, 1, cols };
    orthogonal(&m, random);
    for (int64_t i = 0; i < n; i++) out[i] *= self->a;
}

tl_init tl_orthogonal(double gain) { return (tl_init){ .fill = fill_orthogonal, .a = gain }; }

static void fill_identity(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    (void)random;
    const int64_t n = tl_shape_size(shape), cols = shape->rank ? shape->dim[shape->rank - 1] : 1;
    const int64_t rows = shape->rank > 1 ? shape->dim[shape->rank - 2] : 1;
    for (int64_t i = 0; i < n; i++) out[i] = i / cols % rows == i % cols ? self->a : 0;
}

tl_init tl_identity(double gain) { return (tl_init){ .fill = fill_identity, .a = gain }; }

tl_init tl__side_by_side(tl_init init, int n)
{
    if (init.fill == fill_variance_scaling) init.b = n;
    if (init.fill == fill_orthogonal) init.a /= sqrt(n); /* n orthogonal U / sqrt(n): the sum of U U^T is I */
    return init;
}
