/* layers/sequence.c - layers over whole sequences, made of tl_rnn: both directions, and a layer at every step. */
#include "layers/wrap.h"

#include <limits.h>

/* ---- both directions --------------------------------------------------------------------------------------------- */

static tl_tensor concat(tl_place at, tl_tensor a, tl_tensor b)
{
    return tl_concat_at(at, 2, (tl_tensor[]){ a, b }, tl_rank(a) - 1);
}

static tl_tensor average(tl_place at, tl_tensor a, tl_tensor b) { return tl_scale_at(at, tl_add_at(at, a, b), 0.5); }

static tl_tensor neither(tl_place at, tl_tensor a, tl_tensor b)
{
    (void)at, (void)b;
    return a;
}

static tl_tensor (*const merges[])(tl_place at, tl_tensor a, tl_tensor b) = {
    [0] = concat,
    [TL_MERGE_CONCAT] = concat,
    [TL_MERGE_SUM] = tl_add_at,
    [TL_MERGE_AVERAGE] = average,
    [TL_MERGE_MULTIPLY] = tl_mul_at,
    [TL_MERGE_NONE] = neither,
};

/* One direction's share of the options. */
static tl_rnn_opts direction(const tl_bidirectional_opts *o, bool backward, int states)
{
    const bool zero = o->zero_output || o->return_sequences; /* as Keras does */
    return (tl_rnn_opts){
        .size = sizeof(tl_rnn_opts),
        .units = o->units,
        .name = backward ? "backward" : "forward",
        .return_sequences = o->return_sequences,
        .go_backwards = backward,
        .keep_order = true,
        .zero_output = zero, /* without a mask it is nothing */
        .stateful = o->stateful,
        .truncate = o->truncate,
        .initial = o->initial ? o->initial + (backward ? states : 0) : NULL,
        .final = o->final ? o->final + (backward ? states : 0) : NULL,
        .reset = o->reset,
        .mask = o->mask,
        .lengths = o->lengths,
    };
}

static tl_tensor bidirectional(tl_place at, tl_scope *s, tl_tensor x, tl_cell cell, const tl_bidirectional_opts *o)
{
    tl_cell other = o->backward ? *o->backward : cell;
    if (tl__states(other) != tl__states(cell)) {
        tl_error_at(at, s, TL_E_ARGUMENT, "bidirectional: .backward has %d states, and the cell %d", tl__states(other),
                    tl__states(cell));
        other.states = cell.states; /* as many as .initial and .final have room for */
    }
    const tl_rnn_opts fo = direction(o, false, tl__states(cell)), bo = direction(o, true, tl__states(cell));
    const tl_tensor f = tl_rnn_opt(at, s, x, cell, &fo), b = tl_rnn_opt(at, s, x, other, &bo);
    if (o->outputs) o->outputs[0] = f, o->outputs[1] = b;
    if (!tl__well(s)) return tl__failed(at, s);
    return tl__hand_on(merges[o->merge](at, f, b), f);
}

tl_tensor tl_bidirectional_opt(tl_place at, tl_scope *s, tl_tensor x, tl_cell cell, const tl_bidirectional_opts *given)
{
    tl_bidirectional_opts o;
    const tl_place_mark m = tl_enter(at, s);
    if (tl__options(at, s, "bidirectional", &o, sizeof o, given) && (o.merge < 0 || o.merge > TL_MERGE_NONE))
        tl_error_at(at, s, TL_E_ARGUMENT, "bidirectional: .merge = %d is no way to merge", (int)o.merge);
    if (!tl__well(s)) o.merge = TL_MERGE_NONE; /* go on for the error handles */
    tl_scope *inner = tl__inside(at, s, o.name ? o.name : "bidirectional");
    const tl_tensor y = tl_scope_layer(inner, "Bidirectional", bidirectional(at, inner, x, cell, &o));
    tl_leave(s, m);
    return y;
}

/* ---- a layer at every step --------------------------------------------------------------------------------------- */

static tl_tensor time_distributed(tl_place at, tl_scope *s, tl_tensor x, tl_layer_fn layer, const void *ctx)
{
    if (!layer) tl_error_at(at, s, TL_E_ARGUMENT, "time_distributed: no layer");
    if (!tl__operand(at, s, "time_distributed", "x", x, 1)) return tl__failed(at, s);
    const int64_t T = tl_dim(x, 0);
    if (T < 1 || T > INT_MAX)
        return tl_error_at(at, s, TL_E_SHAPE, "time_distributed: x %s has %s", tl__print_shape(x).s,
                           T < 1 ? "no time steps" : "too many time steps");
    tl_tensor *y = tl_scope_copy(s, NULL, (size_t)T * sizeof *y);
    for (int64_t t = 0; y && t < T && tl__well(s); t++) {
        const tl_place_mark m = tl_enter(at, s);
        y[t] = layer(tl_step(s, t), tl_at(x, t), ctx);
        tl_leave(s, m);
    }
    return tl__well(s) ? tl__hand_on(tl_stack((int)T, y, 0), x) : tl__failed(at, s);
}

tl_tensor tl_time_distributed_opt(tl_place at, tl_scope *s, tl_tensor x, tl_layer_fn layer, const void *ctx,
                                  const tl_time_distributed_opts *given)
{
    tl_time_distributed_opts o;
    const tl_place_mark m = tl_enter(at, s);
    tl_tensor y;
    if (!tl__options(at, s, "time_distributed", &o, sizeof o, given)) y = tl__failed(at, s);
    else {
        tl_scope *inner = tl__inside(at, s, o.name ? o.name : "time_distributed");
        y = tl_scope_layer(inner, "TimeDistributed", time_distributed(at, inner, x, layer, ctx));
    }
    tl_leave(s, m);
    return y;
}
