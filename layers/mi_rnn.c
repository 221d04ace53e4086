/* layers/mi_rnn.c - input and state multiplied:  h' = tanh(alpha (x W)(h U) + beta_x (x W) + beta_h (h U) + b) */
#include "layers/common.h"

static tl_tensor step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    static const tl_mi_rnn_cell_opts defaults;
    const tl_mi_rnn_cell_opts *o = ctx ? ctx : &defaults;
    const tl_activation act = o->activation ? o->activation : tl_tanh;
    const int64_t units = tl_dim(*h, -1);
    const tl_init half = tl__init_or(o->beta_init, tl_constant(0.5));
    const tl_tensor from_x = tl_gate(s, NULL, x, TL_NONE, .units = units, .no_bias = true,
                                     .kernel_init = o->kernel_init);
    const tl_tensor from_h = tl_gate(s, NULL, TL_NONE, *h, .no_bias = true, .recurrent_init = o->recurrent_init);
    const tl_tensor alpha = tl_param(s, "alpha", TL_DIMS(units), .init = tl__init_or(o->alpha_init, tl_ones()));
    const tl_tensor beta_x = tl_param(s, "beta_x", TL_DIMS(units), .init = half);
    const tl_tensor beta_h = tl_param(s, "beta_h", TL_DIMS(units), .init = half);
    tl_tensor z = tl_mul(beta_h, from_h);
    if (!o->no_bias) z = tl_add(z, tl_param(s, "b", TL_DIMS(units), .init = o->bias_init));
    return *h = act(tl_fma(tl_fma(alpha, from_h, beta_x), from_x, z)); /* (alpha (h U) + beta_x)(x W) + ... */
}

tl_cell tl_mi_rnn_cell_opt(tl_place at, tl_scope *s, const tl_mi_rnn_cell_opts *given)
{
    tl_mi_rnn_cell_opts o;
    if (!tl__options(at, s, "mi_rnn_cell", &o, sizeof o, given)) return (tl_cell){ .step = step };
    return (tl_cell){ .step = step, .ctx = tl_scope_copy(s, &o, sizeof o) };
}
