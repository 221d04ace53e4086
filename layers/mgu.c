/* layers/mgu.c - the minimal gated unit:  h' = (1 - f) h + f c */
#include "layers/common.h"

static tl_tensor step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    const tl_tensor f = tl_sigmoid(tl_gate(s, "f", x, *h, .bias = 1));
    const tl_tensor c = tl_tanh(tl_gate(s, "c", x, tl_mul(f, *h)));
    return *h = tl_lerp(*h, c, f);
}

tl_cell tl_mgu_cell(void) { return (tl_cell){ .step = step }; }
