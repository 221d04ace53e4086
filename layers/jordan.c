/* layers/jordan.c - the state is the output:  h = tanh(x W + y U + b),  y' = tanh(h V + c) */
#include "layers/common.h"

static tl_tensor step(tl_scope *s, tl_tensor x, tl_tensor *y, const void *ctx)
{
    static const tl_jordan_cell_opts defaults;
    const tl_jordan_cell_opts *o = ctx ? ctx : &defaults;
    const tl_activation act = o->activation ? o->activation : tl_tanh;
    const tl_activation output_act = o->output_activation ? o->output_activation : tl_tanh;
    const int64_t units = tl_dim(*y, -1);
    const tl_tensor h = act(tl_gate(s, "h", x, *y, .units = o->hidden ? o->hidden : units, TL__GATE(o, 0)));
    return *y = output_act(tl_gate(s, "y", h, TL_NONE, .units = units, TL__GATE(o, 0)));
}

tl_cell tl_jordan_cell_opt(tl_place at, tl_scope *s, const tl_jordan_cell_opts *given)
{
    tl_jordan_cell_opts o;
    if (!tl__options(at, s, "jordan_cell", &o, sizeof o, given)) return (tl_cell){ .step = step };
    if (o.hidden && !tl__size(at, s, "jordan_cell", ".hidden", o.hidden)) return (tl_cell){ .step = step };
    return (tl_cell){ .step = step, .ctx = tl_scope_copy(s, &o, sizeof o) };
}
