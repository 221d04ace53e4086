/* graph/check_gradient.c - the op suite: gradients, and gradients of gradients, against differences along random
 * directions. */
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "graph/check.h"

/* A slope by two fourth-order differences, with steps h and h/2, and what rounding may do to them. */
typedef struct tl_slope {
    double wide, narrow, noise;
} tl_slope;

/* The outputs weighed and summed, with vector v at its numbers + t direction; adds the terms' sizes to *size. */
static double value_at(const tl_check *c, tl_rig *r, int v, double t, double *size)
{
    const tl_trial *x = &c->trial;
    for (int64_t i = 0; r->data[v] && i < tl_trial_size(x, v); i++)
        tl_write(r->data[v], TL_F64, i, x->value[v][i] + t * c->a[i]);
    if (tl_rig_run(r)) return NAN;
    double sum = 0;
    for (int k = 0; k <= TRIAL_IN; k++) {
        tl_array y;
        if (tl_absent(r->out[k])) continue;
        if (tl_rig_get(r, k, &y)) return NAN;
        const int vector = r->level ? TRIAL_U + k : TRIAL_W;
        for (int64_t i = 0; i < tl_trial_size(x, vector); i++) {
            const double term = x->value[vector][i] * tl_read(y.data, y.dtype, i);
            sum += term;
            *size += fabs(term);
        }
    }
    return sum;
}

/* Each value is taken to be off by at most 64 units in the last place of its terms, and of the terms of the result,
 * which a gradient may be made from (1 - y^2, where y is all but 1). */
static tl_slope slope_along(const tl_check *c, tl_rig *result, tl_rig *r, int v, double h)
{
    static const double times[3] = { 0.5, 1, 2 };
    double d[3], size = 0;
    for (int i = 0; i < 6; i++) value_at(c, result, v, 0, &size);
    for (int i = 0; i < 3; i++) d[i] = value_at(c, r, v, times[i] * h, &size) - value_at(c, r, v, -times[i] * h, &size);
    return (tl_slope){ (8 * d[1] - d[2]) / (12 * h), (8 * d[0] - d[1]) / (6 * h), 64 * DBL_EPSILON * size / 6 / h };
}

/* A random direction into c->a, no longer than the numbers themselves: the domain may begin close by. */
static void draw_direction(const tl_check *c, int v, uint64_t seed)
{
    tl_random r = { .key = tl_mix(seed, 11) };
    const int64_t n = tl_trial_size(&c->trial, v);
    const double size = fmin(1, tl_largest(c->trial.value[v], n));
    for (int64_t i = 0; i < n; i++)
        c->a[i] = (tl_random_next(&r) < 0.5 ? -1 : 1) * (0.5 + tl_random_next(&r) / 2) * size;
}

/* <gradient by v, direction>, and the sum of its terms' sizes. */
static double analytic_along(const tl_check *c, const tl_rig *r, int v, double *size)
{
    tl_array g;
    double sum = 0;
    if (tl_rig_get(r, v, &g)) return *size = NAN;
    for (int64_t i = 0; i < tl_trial_size(&c->trial, v); i++) {
        const double term = tl_read(g.data, g.dtype, i) * c->a[i];
        sum += term;
        *size += fabs(term);
    }
    return sum;
}

enum { DIRECTIONS = 3, TRIES = 8 };

/* Two differences that disagree lie across a kink or a pole, or have too coarse a step: then other numbers and half the
 * step are tried. Where they agree within the tolerance, the narrow one is off by a fifteenth of it. The tolerance is
 * 1e-7 of the terms, not of their sum, which may cancel, and the noise of rounding. */
static void check_slope(tl_check *c, tl_rig rig[3], int level, int v, uint64_t seed)
{
    tl_rig *above = &rig[level];
    char whose[40];
    snprintf(whose, sizeof whose, v == TRIAL_W ? "the result's weights" : "operand %d", v);
    for (int try = 0; try < TRIES; try++, seed++) {
        double terms = 0;
        tl_trial_draw(&c->trial, seed);
        for (int i = 0; i <= level; i++) tl_rig_feed(&rig[i]);
        draw_direction(c, v, seed);
        if (!tl_verdict(c, !tl_rig_run(above), "%s", tl_message())) return;
        const double analytic = analytic_along(c, above, v, &terms);
        if (!tl_verdict(c, isfinite(terms), "%s by %s is not finite", tl_level_name[level], whose)) return;
        const tl_slope s = slope_along(c, &rig[0], &rig[level - 1], v, 1e-3 / (1 << try));
        const double tolerance = 1e-7 * fmax(terms, fabs(s.narrow)) + s.noise;
        if (!(fabs(s.wide - s.narrow) <= tolerance)) continue;
        tl_verdict(c, fabs(s.narrow - analytic) <= tolerance,
                   "%s by %s: numeric %.12g, analytic %.12g (tolerance %.2g)", tl_level_name[level], whose, s.narrow,
                   analytic, tolerance);
        return;
    }
    tl_verdict(c, false,
               "%s by %s cannot be checked: differences do not settle. Choose .lo and .hi off kinks and poles",
               tl_level_name[level], whose);
}

void tl_check_gradients(tl_check *c, int levels)
{
    tl_rig rig[3] = { { 0 } };
    bool open = true;
    for (int level = 0; level <= levels && open; level++) open = tl_opens(c, &rig[level], TL_F64, level);
    for (int level = 1; level <= levels && open; level++)
        for (int v = 0; v <= TRIAL_IN; v++)
            for (uint64_t i = 0; i < DIRECTIONS && !tl_absent(rig[level].out[v]); i++)
                check_slope(c, rig, level, v, tl_mix((uint64_t)(c->number << 8 | level << 4 | v), i));
    for (int level = 0; level < 3; level++) tl_rig_close(&rig[level]);
}

void tl_check_no_gradient(tl_check *c)
{
    tl_rig r;
    const tl_status status = tl_rig_open(&r, &c->trial, TL_F64, 1);
    if (!c->op->no_gradient)
        tl_verdict(c, status == TL_E_NOGRAD, "has no vjp rule, and differentiating it gives %s",
                   tl_status_name(status));
    for (int k = 0; !status && c->op->no_gradient && k < TRIAL_IN; k++) {
        tl_array g;
        if (tl_absent(r.out[k]) || tl_rig_get(&r, k, &g)) continue;
        bool zero = true;
        for (int64_t i = tl_read_all(g, c->a); i > 0; i--) zero &= c->a[i - 1] == 0;
        tl_verdict(c, zero, "is declared to have no gradient, but operand %d gets one", k);
    }
    tl_rig_close(&r);
}
