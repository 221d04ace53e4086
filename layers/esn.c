/* layers/esn.c - a reservoir of leaky neurons, not trained:  h' = (1 - a) h + a tanh(x W + h U + b) */
#include "layers/common.h"

static tl_tensor step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    static const tl_esn_cell_opts defaults;
    const tl_esn_cell_opts *o = ctx ? ctx : &defaults;
    const tl_activation act = o->activation ? o->activation : tl_tanh;
    const double leak = tl_number(o->leak, 1);
    const tl_init W_init = tl_uniform(-1, 1), U_init = tl_orthogonal(tl_number(o->spectral_radius, 0.9));
    const tl_tensor g = act(tl_gate(s, NULL, x, *h, .no_bias = o->no_bias, .frozen = !o->trainable,
                                    .kernel_init = tl__init_or(o->kernel_init, W_init),
                                    .recurrent_init = tl__init_or(o->recurrent_init, U_init),
                                    .bias_init = o->bias_init));
    return *h = tl_add(tl_scale(*h, 1 - leak), tl_scale(g, leak));
}

tl_cell tl_esn_cell_opt(tl_place at, tl_scope *s, const tl_esn_cell_opts *given)
{
    const tl_cell esn = { .step = step };
    tl_esn_cell_opts o;
    if (!tl__options(at, s, "esn_cell", &o, sizeof o, given)) return esn;
    if (!tl__at_least_0(at, s, "esn_cell", ".spectral_radius", o.spectral_radius)) return esn;
    const double leak = tl_number(o.leak, 1);
    if (!(leak > 0 && leak <= 1))
        tl_error_at(at, s, TL_E_ARGUMENT, "esn_cell: .leak = %g must be above 0 and at most 1", leak);
    return (tl_cell){ .step = step, .ctx = tl_scope_copy(s, &o, sizeof o) };
}
