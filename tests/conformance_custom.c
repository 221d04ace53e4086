/* tests/conformance_custom.c - recurrent cells of the literature, which the fixtures give by their formulas. */
#include "conformance_cells.h"

/* W, U and b of a gate, called by one letter there. */
#define GATE(letter, ours)                                                                                             \
    { "W" letter, ours "W" }, { "U" letter, ours "U" }, { "b" letter, ours "b" }
#define CELL(name, how_many_states, ...)                                                                               \
    static const vendor_cell name = { make_##name, how_many_states, .pairs = (const pair[]){ __VA_ARGS__, { 0 } } }

static tl_cell make_peephole(replay *r) { return tl_lstm_cell(r->s, .peephole = true); }
CELL(peephole, 2, GATE("i", "i/"), GATE("f", "f/"), GATE("c", "c/"), GATE("o", "o/"), { "pi", "i/p" }, { "pf", "f/p" },
     { "po", "o/p" });

static tl_cell make_cifg(replay *r) { return tl_lstm_cell(r->s, .coupled = true); }
CELL(cifg, 2, GATE("f", "f/"), GATE("c", "c/"), GATE("o", "o/"));

static tl_cell make_mgu(replay *r) { return (void)r, tl_mgu_cell(); }
CELL(mgu, 1, GATE("f", "f/"), GATE("c", "c/"));

static tl_cell make_gru_before(replay *r) { return tl_gru_cell(r->s, .reset_before = true); }
CELL(gru_before, 1, GATE("z", "z/"), GATE("r", "r/"), GATE("c", "h/"));

/* The fixtures' JANET starts from an h and a c, which are one and the same from then on: the library's only state. */
static tl_tensor janet_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *janet)
{
    if (tl_is(state[0], state[1])) return state[1] = tl_call(s, *(const tl_cell *)janet, x, state);
    const tl_tensor f = tl_sigmoid(tl_gate(s, "f", x, state[0])), c = tl_tanh(tl_gate(s, "c", x, state[0]));
    return state[0] = state[1] = tl_lerp(c, state[1], f);
}
static tl_cell make_janet(replay *r)
{
    const tl_cell cell = tl_janet_cell(r->s);
    return (tl_cell){ janet_step, 2, NULL, tl_scope_copy(r->s, &cell, sizeof cell) };
}
CELL(janet, 2, GATE("f", "f/"), GATE("c", "c/"));

static tl_cell make_indrnn(replay *r) { return tl_indrnn_cell(r->s); }
CELL(indrnn, 1, GATE("c", ""), { "u", "u" });

static tl_cell make_rhn(replay *r) { return tl_rhn_cell(r->s, .depth = 1); }
CELL(rhn, 1, GATE("c", "0/c/"), GATE("z", "0/t/"));

static tl_cell make_ln_lstm(replay *r) { return tl_lstm_cell(r->s, .layer_norm = true, .recurrent_bias = true); }
#define NORM_GATE(k, ours)                                                                                             \
    { "W", ours "W", k, 4 }, { "U", ours "U", k, 4 }, { "g1", ours "gx", k, 4 }, { "g2", ours "gh", k, 4 },            \
        { "b1", ours "b", k, 4 },                                                                                      \
    {                                                                                                                  \
        "b2", ours "br", k, 4                                                                                          \
    }
CELL(ln_lstm, 2, NORM_GATE(0, "i/"), NORM_GATE(1, "f/"), NORM_GATE(2, "c/"), NORM_GATE(3, "o/"), { "g3", "norm/g" },
     { "b3", "norm/b" });

static tl_cell make_mi_rnn(replay *r) { return tl_mi_rnn_cell(r->s); }
CELL(mi_rnn, 1, GATE("c", ""), { "al", "alpha" }, { "b1", "beta_x" }, { "b2", "beta_h" });

static tl_cell make_jordan(replay *r) { return tl_jordan_cell(r->s, .hidden = dim_of(r, "par", "Wc", 1)); }
CELL(jordan, 1, GATE("c", "h/"), { "Vy", "y/W" }, { "by", "y/b" });

static tl_cell make_leaky_esn(replay *r) { return tl_esn_cell(r->s, .leak = fx_num(r->c, "a", 1), .trainable = true); }
CELL(leaky_esn, 1, GATE("c", ""));

static tl_cell make_ugrnn(replay *r) { return tl_ugrnn_cell(r->s); }
CELL(ugrnn, 1, GATE("z", "z/"), GATE("c", "c/"));

const op_row custom_rows[] = {
    { "custom_peephole_lstm", recurrent_module, .cell = &peephole },
    { "custom_cifg_lstm", recurrent_module, .cell = &cifg },
    { "custom_mgu", recurrent_module, .cell = &mgu },
    { "custom_gru_reset_before", recurrent_module, .cell = &gru_before },
    { "custom_janet", recurrent_module, .cell = &janet },
    { "custom_indrnn", recurrent_module, .cell = &indrnn },
    { "custom_rhn_depth1", recurrent_module, .cell = &rhn },
    { "custom_ln_lstm", recurrent_module, .cell = &ln_lstm },
    { "custom_mi_rnn", recurrent_module, .cell = &mi_rnn },
    { "custom_jordan", recurrent_module, .cell = &jordan },
    { "custom_leaky_esn", recurrent_module, .cell = &leaky_esn },
    { "custom_ugrnn", recurrent_module, .cell = &ugrnn },
    { 0 },
};
