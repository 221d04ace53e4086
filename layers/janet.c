/* layers/janet.c - an LSTM with its forget gate alone:  h' = f h + (1 - f) c */
#include "layers/common.h"

static tl_tensor step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    static const tl_janet_cell_opts defaults;
    const tl_janet_cell_opts *o = ctx ? ctx : &defaults;
    const tl_activation act = o->activation ? o->activation : tl_tanh;
    const tl_tensor f = tl_sigmoid(tl_gate(s, "f", x, *h, .gates = 2, TL__GATE(o, tl_number(o->bias_forget, 1))));
    const tl_tensor c = act(tl_gate(s, "c", x, *h, .gates = 2, TL__GATE(o, 0)));
    return *h = tl_lerp(c, *h, f);
}

tl_cell tl_janet_cell_opt(tl_place at, tl_scope *s, const tl_janet_cell_opts *given)
{
    tl_janet_cell_opts o;
    if (!tl__options(at, s, "janet_cell", &o, sizeof o, given)) return (tl_cell){ .step = step };
    if (!tl__finite(at, s, "janet_cell", ".bias_forget", o.bias_forget)) return (tl_cell){ .step = step };
    return (tl_cell){ .step = step, .ctx = tl_scope_copy(s, &o, sizeof o) };
}
