/* layers/rhn.c - several highway layers within one step:  h_l = t_l c_l + (1 - t_l) h_(l-1) */
#include "layers/common.h"

#include <stdio.h>

/* Layer l of the step; only the first sees x. */
static tl_tensor highway(tl_scope *s, int l, tl_tensor x, tl_tensor h, const tl_rhn_cell_opts *o)
{
    char name[16];
    snprintf(name, sizeof name, "%d", l);
    const tl_place_mark m = tl_enter(TL_HERE, s);
    tl_scope *layer = tl__inside(TL_HERE, s, name);
    const tl_activation act = o->activation ? o->activation : tl_tanh;
    const tl_tensor from = l ? TL_NONE : x;
    const tl_tensor c = act(tl_gate(layer, "c", from, h, .gates = 2, TL__GATE(o, 0)));
    const tl_tensor t = tl_sigmoid(
        tl_gate(layer, "t", from, h, .gates = 2, TL__GATE(o, tl_number(o->bias_transform, -2))));
    const tl_tensor next = tl_lerp(h, c, t);
    tl_leave(s, m);
    return next;
}

static tl_tensor step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    static const tl_rhn_cell_opts defaults;
    const tl_rhn_cell_opts *o = ctx ? ctx : &defaults;
    for (int l = 0; l < (o->depth ? o->depth : 1); l++) *h = highway(s, l, x, *h, o);
    return *h;
}

tl_cell tl_rhn_cell_opt(tl_place at, tl_scope *s, const tl_rhn_cell_opts *given)
{
    tl_rhn_cell_opts o;
    if (!tl__options(at, s, "rhn_cell", &o, sizeof o, given)) return (tl_cell){ .step = step };
    if (o.depth && !tl__size(at, s, "rhn_cell", ".depth", o.depth)) return (tl_cell){ .step = step };
    if (!tl__finite(at, s, "rhn_cell", ".bias_transform", o.bias_transform)) return (tl_cell){ .step = step };
    return (tl_cell){ .step = step, .ctx = tl_scope_copy(s, &o, sizeof o) };
}
