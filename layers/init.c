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
    const double of_truncated = 0.87962566103423978;   /* deviation of a standard normal that is cut off at -2 and 2 */
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

/* n vectors of `size` elements in one array: rows of a wide matrix, columns of a tall one */
typedef struct vectors {
    double *v;
    int64_t n, size, stride, step;   /* between vectors; between elements */
} vectors;

static void remove_part(const vectors *m, int64_t k, int64_t along)
{
    double *x = m->v + k * m->stride, dot = 0;
    const double *q = m->v + along * m->stride;
    for (int64_t i = 0; i < m->size; i++) dot += x[i * m->step] * q[i * m->step];
    for (int64_t i = 0; i < m->size; i++) x[i * m->step] -= dot * q[i * m->step];
}

/* Gram and Schmidt's step for vector k, twice, which leaves it orthogonal to rounding (Giraud et al. 2005); the length
 * that was left, which is R's diagonal, and positive: so Q is uniform over all orthogonal matrices (Mezzadri 2007). */
static double orthonormalise(const vectors *m, int64_t k)
{
    for (int pass = 0; pass < 2; pass++)
        for (int64_t j = 0; j < k; j++) remove_part(m, k, j);
    double *x = m->v + k * m->stride, square = 0;
    for (int64_t i = 0; i < m->size; i++) square += x[i * m->step] * x[i * m->step];
    const double length = sqrt(square);
    for (int64_t i = 0; length > 0 && i < m->size; i++) x[i * m->step] /= length;
    return length;
}

static void fill_orthogonal(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    const int64_t n = tl_shape_size(shape), cols = shape->rank ? shape->dim[shape->rank - 1] : 1;
    if (!n) return;
    const int64_t rows = n / cols;
    const bool wide = rows <= cols;
    const vectors m = wide ? (vectors){ out, rows, cols, cols, 1 } : (vectors){ out, cols, rows, 1, cols };
    const tl_init normal = tl_normal(0, 1);
    fill_normal(&normal, shape, out, random);
    for (int64_t k = 0; k < m.n; k++)
        while (!(orthonormalise(&m, k) > 0))   /* in the others' span, which has probability zero: draw it again */
            for (int64_t i = 0; i < m.size; i++) out[k * m.stride + i * m.step] = tl_random_next_normal(random);
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
    if (init.fill == fill_orthogonal) init.a /= sqrt(n);   /* n orthogonal U / sqrt(n): the sum of U U^T is I */
    return init;
}
