/* layers/attention_cell.c - a cell around a cell: its output asks a memory, and what it finds is fed back. */
#include "layers/wrap.h"

typedef struct attending {
    tl_cell inner;
    tl_memory memory;
    tl_attention_cell_opts o;
} attending;

static tl_tensor joined(tl_tensor a, tl_tensor b) { return tl_concat(2, (tl_tensor[]){ a, b }, -1); }

static tl_tensor step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    const attending *a = ctx;
    tl_tensor *fed = &state[tl__states(a->inner)], weights;
    const tl_tensor h = tl_call(s, a->inner, joined(x, *fed), state);
    const tl_tensor c = tl_attend(s, a->memory, h, .weights = &weights);
    if (!tl__well(s)) return c;
    if (a->o.emit_weights) tl_emit(s, "weights", weights);
    if (a->o.concat) return *fed = c, joined(h, c);
    const tl_place_mark m = tl_enter(TL_NOWHERE, s);
    *fed = tl_dense(tl_in(s, tl__memory_name(a->memory)), joined(c, h), .name = "combine", .units = tl_dim(*fed, -1),
                    .no_bias = true, .activation = a->o.activation ? a->o.activation : tl_tanh,
                    .kernel_init = a->o.kernel_init);
    tl_leave(s, m);
    return *fed;
}

static void start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx)
{
    const attending *a = ctx;
    const int64_t n = a->o.concat ? a->memory.units : a->o.units ? a->o.units : units;
    if (!tl__size(TL_NOWHERE, s, "attention_cell", ".units", n)) return;
    const tl_tensor fed = tl_full(s, TL_DIMS(tl_dim(x, 0), n), 0);
    tl_start(s, a->inner, joined(x, fed), units, state);
    state[tl__states(a->inner)] = fed;
}

tl_cell tl_attention_cell_opt(tl_place at, tl_scope *s, tl_cell cell, tl_memory memory,
                              const tl_attention_cell_opts *given)
{
    attending a = { .inner = cell, .memory = memory };
    if (!tl__options(at, s, "attention_cell", &a.o, sizeof a.o, given)) return (tl_cell){ 0 };
    tl__memory_lives(at, s, "attention_cell", memory);
    if (a.o.concat && a.o.units)
        tl_error_at(at, s, TL_E_ARGUMENT,
                    "attention_cell: with .concat the context is fed back, which has its own size");
    tl_cell outer = tl__wrap(s, step, &a, sizeof a);
    outer.states = tl__states(cell) + 1;
    outer.start = start;
    return outer;
}
