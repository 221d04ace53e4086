/* layers/ugrnn.c - one gate between the old state and the new:  h' = z h + (1 - z) c; JANET is the same under LSTM's names. */
#include "layers/common.h"

static tl_tensor update(tl_scope *s, const char *gate, tl_tensor x, tl_tensor *h, const tl_ugrnn_cell_opts *o)
{
    static const tl_ugrnn_cell_opts defaults;
    if (!o) o = &defaults;
    const tl_activation act = o->activation ? o->activation : tl_tanh;
    const tl_tensor z = tl_sigmoid(tl_gate(s, gate, x, *h, .gates = 2, TL__GATE(o, tl_number(o->bias_update, 1))));
    const tl_tensor c = act(tl_gate(s, "c", x, *h, .gates = 2, TL__GATE(o, 0)));
    return *h = tl_lerp(c, *h, z);
}

static tl_tensor ugrnn_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    return update(s, "z", x, h, ctx);
}

static tl_tensor janet_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    return update(s, "f", x, h, ctx);
}

tl_cell tl_ugrnn_cell_opt(tl_place at, tl_scope *s, const tl_ugrnn_cell_opts *given)
{
    const tl_cell ugrnn = { .step = ugrnn_step };
    tl_ugrnn_cell_opts o;
    if (!tl__options(at, s, "ugrnn_cell", &o, sizeof o, given)) return ugrnn;
    if (!tl__finite(at, s, "ugrnn_cell", ".bias_update", o.bias_update)) return ugrnn;
    return (tl_cell){ .step = ugrnn_step, .ctx = tl_scope_copy(s, &o, sizeof o) };
}

tl_cell tl_janet_cell_opt(tl_place at, tl_scope *s, const tl_janet_cell_opts *given)
{
    const tl_cell janet = { .step = janet_step };
    tl_janet_cell_opts o;
    if (!tl__options(at, s, "janet_cell", &o, sizeof o, given)) return janet;
    if (!tl__finite(at, s, "janet_cell", ".bias_forget", o.bias_forget)) return janet;
    const tl_ugrnn_cell_opts same = { .size = sizeof same,
                                      .activation = o.activation,
                                      .bias_update = o.bias_forget,
                                      .no_bias = o.no_bias,
                                      .kernel_init = o.kernel_init,
                                      .recurrent_init = o.recurrent_init,
                                      .bias_init = o.bias_init };
    return (tl_cell){ .step = janet_step, .ctx = tl_scope_copy(s, &same, sizeof same) };
}
