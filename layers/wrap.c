/* layers/wrap.c - cells around a cell, which know nothing of the one inside. */
#include "layers/wrap.h"

#include <stdio.h>

void tl__start_inner(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx)
{
    tl_start(s, ((const tl__wrapped *)ctx)->inner, x, units, state);
}

tl_cell tl__wrap(tl_scope *s, tl_tensor (*step)(tl_scope *, tl_tensor, tl_tensor *, const void *), const void *ctx,
                 size_t n)
{
    const tl_cell inner = ((const tl__wrapped *)ctx)->inner;
    const void *copy = tl_scope_copy(s, ctx, n);
    return (tl_cell){ copy ? step : NULL, inner.states, tl__start_inner, copy }; /* without memory or scope: no cell */
}

/* ---- residual ---------------------------------------------------------------------------------------------------- */

static tl_tensor residual_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    const tl_tensor y = tl_call(s, ((const tl__wrapped *)ctx)->inner, x, state);
    if (tl__well(s) && !tl__same_shape(x, y))
        return tl_error(s, TL_E_SHAPE, "residual_cell: x %s and the cell's output %s differ", tl__print_shape(x).s,
                        tl__print_shape(y).s);
    return tl_add(x, y);
}

tl_cell tl_residual_cell(tl_scope *s, tl_cell cell)
{
    return tl__wrap(s, residual_step, &(tl__wrapped){ cell }, sizeof(tl__wrapped));
}

/* ---- zoneout ----------------------------------------------------------------------------------------------------- */

typedef struct zoneout {
    tl_cell inner;
    tl_zoneout_cell_opts o;
} zoneout;

/* Each number of a state keeps its old value with probability rate; without training, the expected value is taken. */
static tl_tensor zoned_out(tl_scope *s, tl_tensor old, tl_tensor new, double rate)
{
    const tl_shape shape = tl_shape_of(new);
    if (!tl_training(s)) return tl_lerp(new, old, tl_full(s, TL_SCALAR, rate));
    return tl_where(tl_random_bernoulli(tl_in(s, "zoneout"), shape.rank, shape.dim, rate), old, new);
}

static tl_tensor zoneout_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    const zoneout *z = ctx;
    const int n = tl__states(z->inner);
    const tl_tensor *old = tl_scope_copy(s, state, (size_t)n * sizeof *state);
    tl_tensor y = tl_call(s, z->inner, x, state);
    for (int k = 0; old && k < n; k++) {
        const double rate = tl_number(z->o.rates ? z->o.rates[k] : z->o.rate, 0);
        if (rate > 0) y = tl__replace_state(y, state, k, zoned_out(s, old[k], state[k], rate));
    }
    return y;
}

tl_cell tl_zoneout_cell_opt(tl_place at, tl_scope *s, tl_cell cell, const tl_zoneout_cell_opts *given)
{
    zoneout z = { .inner = cell };
    const int n = tl__states(cell);
    if (!tl__options(at, s, "zoneout_cell", &z.o, sizeof z.o, given)) return (tl_cell){ 0 };
    tl__rate(at, s, "zoneout_cell", ".rate", z.o.rate);
    for (int k = 0; z.o.rates && k < n; k++) tl__rate(at, s, "zoneout_cell", ".rates", z.o.rates[k]);
    if (z.o.rates) z.o.rates = tl_scope_copy(s, z.o.rates, (size_t)n * sizeof *z.o.rates);
    return tl__wrap(s, zoneout_step, &z, sizeof z);
}

/* ---- dropout ----------------------------------------------------------------------------------------------------- */

typedef struct dropout {
    tl_cell inner;
    tl_dropout_cell_opts o;
} dropout;

static tl_tensor drop(tl_scope *s, const dropout *d, const char *name, tl_tensor x, double rate)
{
    if (rate == 0) return x;
    return tl_dropout(d->o.variational ? tl_steady(s) : s, x, .rate = rate, .name = name);
}

static tl_tensor dropout_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    const dropout *d = ctx;
    state[0] = drop(s, d, "dropout_state", state[0], d->o.state);
    return drop(s, d, "dropout_output", tl_call(s, d->inner, drop(s, d, "dropout_input", x, d->o.input), state),
                d->o.output);
}

tl_cell tl_dropout_cell_opt(tl_place at, tl_scope *s, tl_cell cell, const tl_dropout_cell_opts *given)
{
    dropout d = { .inner = cell };
    if (!tl__options(at, s, "dropout_cell", &d.o, sizeof d.o, given)) return (tl_cell){ 0 };
    tl__rate(at, s, "dropout_cell", ".input", d.o.input);
    tl__rate(at, s, "dropout_cell", ".output", d.o.output);
    tl__rate(at, s, "dropout_cell", ".state", d.o.state);
    return tl__wrap(s, dropout_step, &d, sizeof d);
}

/* ---- learned initial states -------------------------------------------------------------------------------------- */

/* The inner cell's initial states, plus parameters "initial0", ... of one row each, which start as zeros. */
static void learned_start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx)
{
    const tl_cell inner = ((const tl__wrapped *)ctx)->inner;
    tl_start(s, inner, x, units, state);
    for (int k = 0; k < tl__states(inner); k++) {
        char name[24];
        tl_shape row = tl_shape_of(state[k]);
        row.dim[0] = 1;
        snprintf(name, sizeof name, "initial%d", k);
        state[k] = tl_add(state[k], tl_param(s, name, row.rank, row.dim));
    }
}

static tl_tensor plain_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    return tl_call(s, ((const tl__wrapped *)ctx)->inner, x, state);
}

tl_cell tl_learned_start_cell(tl_scope *s, tl_cell cell)
{
    tl_cell learned = tl__wrap(s, plain_step, &(tl__wrapped){ cell }, sizeof(tl__wrapped));
    learned.start = learned_start;
    return learned;
}
