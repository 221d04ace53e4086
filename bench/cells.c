/* bench/cells.c */
#include "cells.h"

tl_cell library_lstm(tl_scope *s) { return tl_lstm_cell(s); }
tl_cell library_gru(tl_scope *s) { return tl_gru_cell(s); }

/* c' = f c + i g, h' = o tanh(c') of the gates' sums before their activations. */
static tl_tensor lstm_update(tl_tensor i, tl_tensor f, tl_tensor g, tl_tensor o, tl_tensor *state)
{
    state[1] = tl_add(tl_mul(tl_sigmoid(f), state[1]), tl_mul(tl_sigmoid(i), tl_tanh(g)));
    return state[0] = tl_mul(tl_sigmoid(o), tl_tanh(state[1]));
}

static tl_tensor lstm_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    (void)ctx;
    tl_tensor h = state[0];
    tl_tensor i = tl_gate(s, "i", x, h);
    tl_tensor f = tl_gate(s, "f", x, h, .bias = 1);
    tl_tensor g = tl_gate(s, "g", x, h);
    tl_tensor o = tl_gate(s, "o", x, h);
    return lstm_update(i, f, g, o, state);
}

static tl_tensor lstm_concat_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    (void)ctx;
    tl_tensor xh = tl_concat(2, ((tl_tensor[]){ x, state[0] }), -1), z[4];
    tl_split(tl_dense(s, xh, .units = 4 * tl_dim(state[1], -1), .name = "gates"), 4, -1, z);
    return lstm_update(z[0], z[1], z[2], z[3], state);
}

/* A gate's sum with one weight for each unit's cell. */
static tl_tensor peep(tl_scope *s, const char *name, tl_tensor sum, tl_tensor c)
{
    tl_tensor p = tl_param(s, name, TL_DIMS(tl_dim(c, -1)), .init = tl_uniform(-0.1, 0.1));
    return tl_add(sum, tl_mul(p, c));
}

static tl_tensor lstm_peephole_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    (void)ctx;
    tl_tensor h = state[0], c = state[1];
    tl_tensor i = tl_sigmoid(peep(s, "pi", tl_gate(s, "i", x, h), c));
    tl_tensor f = tl_sigmoid(peep(s, "pf", tl_gate(s, "f", x, h, .bias = 1), c));
    tl_tensor g = tl_tanh(tl_gate(s, "g", x, h));
    state[1] = tl_add(tl_mul(f, c), tl_mul(i, g));
    tl_tensor o = tl_sigmoid(peep(s, "po", tl_gate(s, "o", x, h), state[1]));
    return state[0] = tl_mul(o, tl_tanh(state[1]));
}

static tl_tensor vector(tl_scope *s, const char *name, int64_t n, double value)
{
    return tl_param(s, name, TL_DIMS(n), .init = tl_constant(value));
}

/* The sums of all gates are gx N(x W) + gh N(h U) + b. */
static tl_tensor lstm_normed_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    (void)ctx;
    const int64_t H = tl_dim(state[1], -1);
    tl_tensor xW = tl_dense(s, x, .units = 4 * H, .name = "W", .no_bias = true);
    tl_tensor hU = tl_dense(s, state[0], .units = 4 * H, .name = "U", .no_bias = true);
    xW = tl_layer_norm(xW, vector(s, "gx", 4 * H, 1), vector(s, "b", 4 * H, 0), 1e-5);
    hU = tl_layer_norm(hU, vector(s, "gh", 4 * H, 1), TL_NONE, 1e-5);
    tl_tensor z[4];
    tl_split(tl_add(xW, hU), 4, -1, z);
    state[1] = tl_add(tl_mul(tl_sigmoid(z[1]), state[1]), tl_mul(tl_sigmoid(z[0]), tl_tanh(z[2])));
    tl_tensor c = tl_layer_norm(state[1], vector(s, "gc", H, 1), vector(s, "bc", H, 0), 1e-5);
    return state[0] = tl_mul(tl_sigmoid(z[3]), tl_tanh(c));
}

static tl_tensor mgu_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    tl_tensor f = tl_sigmoid(tl_gate(s, "f", x, *h, .bias = 1));
    tl_tensor c = tl_tanh(tl_gate(s, "c", x, tl_mul(f, *h)));
    return *h = tl_lerp(*h, c, f);
}

static tl_tensor gru_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    tl_tensor z = tl_sigmoid(tl_gate(s, "z", x, *h));
    tl_tensor r = tl_sigmoid(tl_gate(s, "r", x, *h));
    tl_tensor c = tl_tanh(tl_gate(s, "c", x, tl_mul(r, *h)));
    return *h = tl_lerp(c, *h, z);
}

#define CELL(name, n)                                                                                                  \
    tl_cell name(tl_scope *s)                                                                                          \
    {                                                                                                                  \
        (void)s;                                                                                                       \
        return (tl_cell){ .step = name##_step, .states = n };                                                          \
    }
CELL(lstm, 2)
CELL(lstm_concat, 2)
CELL(lstm_peephole, 2)
CELL(lstm_normed, 2)
CELL(mgu, 1)
CELL(gru, 1)
