/* layers/gate.c - y = x W + h U + b, what every gate of a cell starts with. */
#include "layers/common.h"

static bool same_rows(tl_tensor x, tl_tensor h)
{
    bool same = tl_rank(x) == tl_rank(h);
    for (int a = 0; a < tl_rank(x) - 1; a++) same &= tl_dim(x, a) == tl_dim(h, a);
    return same;
}

static bool accepts(tl_place at, tl_scope *s, tl_tensor x, tl_tensor h, int64_t units, const tl_gate_opts *o)
{
    if (tl_absent(x) && tl_absent(h)) {
        tl_error_at(at, s, TL_E_ABSENT, "gate: x and h are both absent (TL_NONE)");
        return false;
    }
    if (!tl_absent(x) && !tl__operand(at, s, "gate", "x", x, 1)) return false;
    if (!tl_absent(h) && !tl__operand(at, s, "gate", "h", h, 1)) return false;
    if (!tl_absent(x) && !tl_absent(h) && !same_rows(x, h)) {
        const bool flat = tl_rank(x) == 1 && tl_rank(h) == 2; /* what tl_rnn makes of x [B, D] */
        tl_error_at(at, s, TL_E_SHAPE, "gate: x %s and h %s differ before their last axis%s", tl__print_shape(x).s,
                    tl__print_shape(h).s,
                    flat ? ": x has no batch axis. Is the sequence not [T, B, ...], because the layer before it lacks "
                           ".return_sequences?"
                         : "");
        return false;
    }
    if (o->gates < 0)
        tl_error_at(at, s, TL_E_ARGUMENT, "gate: .gates = %d must be at least 1", (int)tl_whole(o->gates, 1));
    return tl__size(at, s, "gate", ".units", units) && tl__finite(at, s, "gate", ".bias", o->bias) && tl__well(s);
}

/* b, br or their sum; absent if there is neither */
static tl_tensor biases(tl_scope *s, int64_t units, const tl_gate_opts *o)
{
    tl_tensor b = TL_NONE, br = TL_NONE;
    if (!o->no_bias)
        b = tl_param(s, "b", TL_DIMS(units), .init = tl__init_or(o->bias_init, tl_constant(tl_number(o->bias, 0))),
                     .frozen = o->frozen);
    if (o->recurrent_bias) br = tl_param(s, "br", TL_DIMS(units), .init = o->bias_init, .frozen = o->frozen);
    return tl_absent(br) ? b : tl_absent(b) ? br : tl_add(b, br);
}

/* The order of the sum is kept by every rewrite: b, then x W (which can be computed for all steps at once), h U. */
static tl_tensor gate(tl_place at, tl_scope *s, tl_tensor x, tl_tensor h, const tl_gate_opts *o)
{
    const int64_t units = o->units || tl_absent(h) ? o->units : tl_dim(h, -1);
    if (!accepts(at, s, x, h, units, o)) return tl__failed(at, s);
    const int gates = o->gates ? o->gates : 1;
    const tl_init W_init = tl__side_by_side(tl__init_or(o->kernel_init, tl_glorot_uniform()), gates);
    const tl_init U_init = tl__side_by_side(tl__init_or(o->recurrent_init, tl_orthogonal(1)), gates);
    tl_tensor W = TL_NONE, U = TL_NONE;
    if (!tl_absent(x)) W = tl_param(s, "W", TL_DIMS(tl_dim(x, -1), units), .init = W_init, .frozen = o->frozen);
    if (!tl_absent(h)) U = tl_param(s, "U", TL_DIMS(tl_dim(h, -1), units), .init = U_init, .frozen = o->frozen);
    tl_tensor z = biases(s, units, o);
    if (!tl_absent(x)) z = tl_gemm(z, tl__rows(x), W, false, false);
    if (!tl_absent(h)) z = tl_gemm(z, tl__rows(h), U, false, false);
    return tl__unrows(z, tl_absent(x) ? h : x);
}

tl_tensor tl_gate_opt(tl_place at, tl_scope *s, const char *name, tl_tensor x, tl_tensor h, const tl_gate_opts *given)
{
    tl_gate_opts o;
    const tl_place_mark m = tl_enter(at, s);
    tl_tensor y;
    if (!tl__options(at, s, "gate", &o, sizeof o, given)) y = tl__failed(at, s);
    else y = gate(at, name ? tl__inside(at, s, name) : s, x, h, &o);
    tl_leave(s, m);
    return y;
}
