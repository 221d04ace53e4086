/* layers/lstm.c - c' = f c + i g,  h' = o tanh(c'),  four gates from x and h */
#include "layers/common.h"

/* bias: where b starts; 0: as .bias_init says */
static tl_tensor gate(tl_scope *s, const char *name, tl_tensor x, tl_tensor h, const tl_lstm_cell_opts *o, double bias)
{
    return tl_gate(s, name, x, h, .gates = 4, .no_bias = o->no_bias, .recurrent_bias = o->recurrent_bias, .bias = bias,
                   .kernel_init = o->kernel_init, .recurrent_init = o->recurrent_init,
                   .bias_init = bias == 0 ? o->bias_init : (tl_init){ 0 });
}

static tl_tensor step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    static const tl_lstm_cell_opts defaults;
    const tl_lstm_cell_opts *q = ctx ? ctx : &defaults;
    const tl_activation act = q->activation ? q->activation : tl_tanh;
    const tl_activation sigma = q->recurrent_activation ? q->recurrent_activation : tl_sigmoid;
    const tl_tensor h = state[0], c = state[1];
    const tl_tensor i = sigma(gate(s, "i", x, h, q, 0));
    const tl_tensor f = sigma(gate(s, "f", x, h, q, tl__number(q->bias_forget, 1)));
    const tl_tensor g = act(gate(s, "c", x, h, q, 0));
    const tl_tensor o = sigma(gate(s, "o", x, h, q, 0));
    state[1] = tl_add(tl_mul(f, c), tl_mul(i, g));
    return state[0] = tl_mul(o, act(state[1]));
}

tl_cell tl_lstm_cell_opt(tl_place at, tl_scope *s, const tl_lstm_cell_opts *given)
{
    const tl_cell lstm = { .step = step, .states = 2 };
    tl_lstm_cell_opts o;
    if (!tl__options(at, s, "lstm_cell", &o, sizeof o, given)) return lstm;
    if (!tl__finite(at, s, "lstm_cell", ".bias_forget", o.bias_forget)) return lstm;
    return (tl_cell){ .step = step, .states = 2, .ctx = tl_scope_copy(s, &o, sizeof o) };
}
