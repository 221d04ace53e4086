/* optim/rules.h - the update rules, as plain loops over a range of elements; included once for each element type, with
 * REAL, REAL_SQRT and RULE(name) defined. w: parameters, g: their gradients, m and v: their moments.
 * Expressions are rounded in the order in which they are written, so all widths of vectors give the same bits. */

RULE(sgd)
{
    const REAL lr = (REAL)u->o->lr, *g = u->g;
    REAL *restrict w = u->w;
#pragma omp simd
    for (int64_t i = 0; i < u->n; i++) w[i] -= lr * g[i];
}

RULE(sgd_momentum)
{
    const REAL lr = (REAL)u->o->lr, momentum = (REAL)u->o->momentum, *g = u->g;
    REAL *restrict w = u->w, *restrict m = u->m;
#pragma omp simd
    for (int64_t i = 0; i < u->n; i++) {
        m[i] = momentum * m[i] - lr * g[i];
        w[i] += m[i];
    }
}

RULE(sgd_nesterov)
{
    const REAL lr = (REAL)u->o->lr, momentum = (REAL)u->o->momentum, *g = u->g;
    REAL *restrict w = u->w, *restrict m = u->m;
#pragma omp simd
    for (int64_t i = 0; i < u->n; i++) {
        const REAL d = lr * g[i];
        m[i] = momentum * m[i] - d;
        w[i] += momentum * m[i] - d;
    }
}

RULE(rmsprop)
{
    const REAL lr = (REAL)u->o->lr, rho = (REAL)u->o->rho, rest = (REAL)(1 - u->o->rho);
    const REAL epsilon = (REAL)u->o->epsilon, *g = u->g;
    REAL *restrict w = u->w, *restrict v = u->m;
#pragma omp simd
    for (int64_t i = 0; i < u->n; i++) {
        v[i] = rho * v[i] + rest * (g[i] * g[i]);
        w[i] -= lr * g[i] / REAL_SQRT(v[i] + epsilon);
    }
}

RULE(rmsprop_momentum)
{
    const REAL lr = (REAL)u->o->lr, rho = (REAL)u->o->rho, rest = (REAL)(1 - u->o->rho);
    const REAL epsilon = (REAL)u->o->epsilon, momentum = (REAL)u->o->momentum, *g = u->g;
    REAL *restrict w = u->w, *restrict v = u->m, *restrict m = u->v;
#pragma omp simd
    for (int64_t i = 0; i < u->n; i++) {
        v[i] = rho * v[i] + rest * (g[i] * g[i]);
        m[i] = momentum * m[i] + lr * g[i] / REAL_SQRT(v[i] + epsilon);
        w[i] -= m[i];
    }
}

/* What corrects for the moments' start at zero depends on the step alone: one factor, worked out in double. */
RULE(adam)
{
    const double t = (double)u->step;
    const REAL rate = (REAL)(u->o->lr * sqrt(1 - pow(u->o->beta2, t)) / (1 - pow(u->o->beta1, t)));
    const REAL rest1 = (REAL)(1 - u->o->beta1), rest2 = (REAL)(1 - u->o->beta2);
    const REAL epsilon = (REAL)u->o->epsilon, *g = u->g;
    REAL *restrict w = u->w, *restrict m = u->m, *restrict v = u->v;
#pragma omp simd
    for (int64_t i = 0; i < u->n; i++) {
        m[i] += rest1 * (g[i] - m[i]);
        v[i] += rest2 * (g[i] * g[i] - v[i]);
        w[i] -= rate * m[i] / (REAL_SQRT(v[i]) + epsilon);
    }
}
