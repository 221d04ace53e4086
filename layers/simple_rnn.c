/* layers/simple_rnn.c - Elman's network:  h' = tanh(x W + h U + b) */
#include "layers/common.h"

static tl_tensor step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    static const tl_simple_rnn_cell_opts defaults;
    const tl_simple_rnn_cell_opts *o = ctx ? ctx : &defaults;
    const tl_activation activation = o->activation ? o->activation : tl_tanh;
    return *h = activation(tl_gate(s, NULL, x, *h, .recurrent_bias = o->recurrent_bias, TL__GATE(o, 0)));
}

tl_cell tl_simple_rnn_cell_opt(tl_place at, tl_scope *s, const tl_simple_rnn_cell_opts *given)
{
    tl_simple_rnn_cell_opts o;
    if (!tl__options(at, s, "simple_rnn_cell", &o, sizeof o, given)) return (tl_cell){ .step = step };
    return (tl_cell){ .step = step, .ctx = tl_scope_copy(s, &o, sizeof o) };
}
