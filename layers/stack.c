/* layers/stack.c - one cell above the other: each step's output is the next one's input. */
#include "layers/wrap.h"

#include <stdio.h>

#include <limits.h>

typedef struct stack {
    const tl_cell *cell;
    const int64_t *units; /* NULL: the layer's, for all */
    int n;
} stack;

static tl_scope *floor_of(tl_scope *s, int i)
{
    char name[16];
    snprintf(name, sizeof name, "%d", i);
    return tl_in(s, name);
}

static tl_tensor step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    const stack *k = ctx;
    for (int i = 0; i < k->n; i++) {
        x = tl_call(floor_of(s, i), k->cell[i], x, state);
        state += tl__states(k->cell[i]);
    }
    return x;
}

/* A cell's input is the output below, of which the first state is the likeness. */
static void start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx)
{
    const stack *k = ctx;
    for (int i = 0; i < k->n; i++) {
        tl_start(floor_of(s, i), k->cell[i], x, k->units ? k->units[i] : units, state);
        x = state[0];
        state += tl__states(k->cell[i]);
    }
}

tl_cell tl_stack_cell_opt(tl_place at, tl_scope *s, int n, const tl_cell *cells, const tl_stack_cell_opts *given)
{
    tl_stack_cell_opts o;
    stack k = { .n = n };
    int64_t states = 0;
    if (!tl__options(at, s, "stack_cell", &o, sizeof o, given)) return (tl_cell){ 0 };
    if (n < 1 || n > INT_MAX / (int)sizeof *cells || !cells) {
        tl_error_at(at, s, TL_E_ARGUMENT, "stack_cell: %d cells; at least one is needed", cells ? n : 0);
        return (tl_cell){ 0 };
    }
    for (int i = 0; i < n; i++) {
        states += tl__states(cells[i]);
        if (o.units) tl__size(at, s, "stack_cell", ".units", o.units[i]);
        if (!cells[i].step) tl_error_at(at, s, TL_E_ARGUMENT, "stack_cell: cell %d has no .step", i);
    }
    if (states > INT_MAX / (int)sizeof(tl_tensor)) tl_error_at(at, s, TL_E_ARGUMENT, "stack_cell: too many states");
    k.cell = tl_scope_copy(s, cells, (size_t)n * sizeof *cells);
    if (o.units) k.units = tl_scope_copy(s, o.units, (size_t)n * sizeof *o.units);
    const void *copy = tl_scope_copy(s, &k, sizeof k);
    return (tl_cell){ copy ? step : NULL, (int)states, start, copy };
}
