/* layers/gru.c - h' = z h + (1 - z) g, the reset gate r before or after the candidate g's recurrent product */
#include "layers/common.h"

/* The candidate before its activation. After: the recurrent product stands alone with a bias of its own, for r to
 * scale. */
static tl_tensor candidate(tl_scope *s, tl_tensor x, tl_tensor h, tl_tensor r, const tl_gru_cell_opts *o)
{
    if (o->reset_before) return tl_gate(s, "h", x, tl_mul(r, h), .gates = 3, TL__GATE(o, 0));
    const tl_tensor from_x = tl_gate(s, "h", x, TL_NONE, .units = tl_dim(h, -1), .gates = 3, TL__GATE(o, 0));
    const tl_tensor from_h = tl_gate(s, "h", TL_NONE, h, .gates = 3, .no_bias = true, .recurrent_bias = !o->no_bias,
                                     .recurrent_init = o->recurrent_init, .bias_init = o->bias_init);
    return tl_add(from_x, tl_mul(r, from_h));
}

static tl_tensor gate(tl_scope *s, const char *name, tl_tensor x, tl_tensor h, const tl_gru_cell_opts *o)
{
    return tl_gate(s, name, x, h, .gates = 3, .recurrent_bias = !o->no_bias && !o->reset_before, TL__GATE(o, 0));
}

static tl_tensor step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    static const tl_gru_cell_opts defaults;
    const tl_gru_cell_opts *o = ctx ? ctx : &defaults;
    const tl_activation act = o->activation ? o->activation : tl_tanh;
    const tl_activation sigma = o->recurrent_activation ? o->recurrent_activation : tl_sigmoid;
    const tl_tensor z = sigma(gate(s, "z", x, *h, o));
    const tl_tensor r = sigma(gate(s, "r", x, *h, o));
    const tl_tensor g = act(candidate(s, x, *h, r, o));
    return *h = tl_lerp(g, *h, z);
}

tl_cell tl_gru_cell_opt(tl_place at, tl_scope *s, const tl_gru_cell_opts *given)
{
    tl_gru_cell_opts o;
    if (!tl__options(at, s, "gru_cell", &o, sizeof o, given)) return (tl_cell){ .step = step };
    return (tl_cell){ .step = step, .ctx = tl_scope_copy(s, &o, sizeof o) };
}
