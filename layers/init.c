/* layers/init.c - initial values of parameters. */
#include "layers/common.h"

#include <math.h>

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

tl_init tl_uniform(double lo, double hi) { return (tl_init){ .fill = fill_uniform, .a = lo, .b = hi }; }

static void fill_normal(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    for (int64_t i = 0, n = tl_shape_size(shape); i < n; i++)
        out[i] = self->a + self->b * tl_random_next_normal(random);
}

tl_init tl_normal(double mean, double stddev) { return (tl_init){ .fill = fill_normal, .a = mean, .b = stddev }; }

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

/* b: how many matrices like this one stand side by side; 0 means one */
static double glorot_fan(const tl_init *self, const tl_shape *shape)
{
    const fans f = fans_of(shape);
    return f.in + f.out * (self->b > 0 ? self->b : 1);
}

static void fill_glorot_uniform(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    const double limit = sqrt(6 / glorot_fan(self, shape));
    const tl_init uniform = tl_uniform(-limit, limit);
    fill_uniform(&uniform, shape, out, random);
}

tl_init tl_glorot_uniform(void) { return (tl_init){ .fill = fill_glorot_uniform }; }

static void fill_glorot_normal(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    const double of_truncated = 0.87962566103423978; /* deviation of a standard normal that is cut off at -2 and 2 */
    const double stddev = sqrt(2 / glorot_fan(self, shape)) / of_truncated;
    for (int64_t i = 0, n = tl_shape_size(shape); i < n; i++) {
        double z;
        do z = tl_random_next_normal(random);
        while (fabs(z) > 2);
        out[i] = stddev * z;
    }
}

tl_init tl_glorot_normal(void) { return (tl_init){ .fill = fill_glorot_normal }; }

static void fill_he_uniform(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    (void)self;
    const double limit = sqrt(6 / fans_of(shape).in);
    const tl_init uniform = tl_uniform(-limit, limit);
    fill_uniform(&uniform, shape, out, random);
}

tl_init tl_he_uniform(void) { return (tl_init){ .fill = fill_he_uniform }; }

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
    if (init.fill == fill_glorot_uniform || init.fill == fill_glorot_normal) init.b = n;
    if (init.fill == fill_orthogonal) init.a /= sqrt(n); /* n orthogonal U / sqrt(n): the sum of U U^T is I */
    return init;
}
