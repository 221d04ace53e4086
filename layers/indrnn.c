/* layers/indrnn.c - neurons that see only themselves:  h' = relu(x W + u h + b) */
#include "layers/common.h"

static tl_tensor step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    static const tl_indrnn_cell_opts defaults;
    const tl_indrnn_cell_opts *o = ctx ? ctx : &defaults;
    const tl_activation act = o->activation ? o->activation : tl_relu;
    const int64_t units = tl_dim(*h, -1);
    const tl_tensor u = tl_param(s, "u", TL_DIMS(units), .init = tl__init_or(o->recurrent_init, tl_uniform(0, 1)));
    return *h = act(tl_fma(u, *h, tl_gate(s, NULL, x, TL_NONE, .units = units, TL__GATE(o, 0))));
}

tl_cell tl_indrnn_cell_opt(tl_place at, tl_scope *s, const tl_indrnn_cell_opts *given)
{
    tl_indrnn_cell_opts o;
    if (!tl__options(at, s, "indrnn_cell", &o, sizeof o, given)) return (tl_cell){ .step = step };
    return (tl_cell){ .step = step, .ctx = tl_scope_copy(s, &o, sizeof o) };
}
