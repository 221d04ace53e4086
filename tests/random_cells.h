/* tests/random_cells.h - networks of random cells: whatever a user might write, drawn choice by choice.
 *
 * A network is a list of choices, each a number below some n; 0 is always the simplest. Drawn from a seed it is random, and a
 * list that failed is made smaller by trying smaller numbers in it (random_graphs.c): missing ones are 0. */
#ifndef TESTS_RANDOM_CELLS_H
#define TESTS_RANDOM_CELLS_H

#include "tests/same_bits.h"

#include "layers/layers.h"

/* ---- choices ------------------------------------------------------------------------------------------------------ */

enum { MAX_CHOICES = 2000 };
SOME struct {
    uint64_t state;
    bool replayed; /* from the list, not from the state */
    int list[MAX_CHOICES], n, used;
} choices;

/* A number from 0 to n - 1. */
SOME int choose(int n)
{
    const int k = choices.used++;
    int v = 0;
    if (!choices.replayed) {
        choices.state = choices.state * 6364136223846793005u + 1442695040888963407u;
        v = (int)((choices.state >> 33) % (uint64_t)n);
        if (k < MAX_CHOICES) choices.list[choices.n = k] = v, choices.n++;
    } else if (k < choices.n) {
        v = choices.list[k] % n;
    }
    return v;
}
SOME bool chance(int one_in) { return choose(one_in) == one_in - 1; }

/* ---- a cell: a short program on [B, width] tensors ----------------------------------------------------------------- */

enum { CELL_OPS = 9, CELL_STATES = 3, CELL_VALUES = CELL_OPS + CELL_STATES + 1 };

typedef struct random_cell {
    int n, states, width[CELL_STATES], out;
    struct {
        int op, a, b, c, width;
    } op[CELL_OPS];
    int next[CELL_STATES];
    bool learned; /* initial states */
} random_cell;

SOME random_cell draw_cell(int units)
{
    random_cell c = { .n = 1 + choose(CELL_OPS), .states = 1 + choose(CELL_STATES) };
    for (int k = 0; k < c.states; k++) c.width[k] = k && chance(2) ? 1 + choose(40) : units;
    for (int k = 0; k < c.n; k++) {
        const int known = 1 + c.states + k;
        c.op[k].op = choose(30);
        c.op[k].a = known - 1 - choose(known); /* the newest first */
        c.op[k].b = choose(known);
        c.op[k].c = choose(known);
        c.op[k].width = chance(3) ? 1 + choose(40) : units;
    }
    for (int k = 0; k < c.states; k++) c.next[k] = choose(c.n + c.states);
    c.out = choose(c.n);
    c.learned = chance(4);
    return c;
}

typedef struct cell_run {
    tl_scope *s;
    tl_tensor v[CELL_VALUES], shared[CELL_VALUES * 2];
    int64_t shared_rows[CELL_VALUES * 2], shared_columns[CELL_VALUES * 2];
    int n, n_shared, n_names;
} cell_run;

SOME const char *fresh_name(cell_run *r, const char *stem)
{
    static char text[32];
    snprintf(text, sizeof text, "%s%d", stem, r->n_names++);
    return text;
}

/* A matrix of this size: one that the cell has used already, if there is one. */
SOME tl_tensor shared_matrix(cell_run *r, int64_t rows, int64_t columns)
{
    for (int k = 0; k < r->n_shared; k++)
        if (r->shared_rows[k] == rows && r->shared_columns[k] == columns) return r->shared[k];
    const int k = r->n_shared++;
    r->shared_rows[k] = rows;
    r->shared_columns[k] = columns;
    return r->shared[k] = tl_param(r->s, fresh_name(r, "shared"), TL_DIMS(rows, columns), .init = tl_glorot_normal());
}
SOME tl_tensor own_matrix(cell_run *r, int64_t rows, int64_t columns)
{
    return tl_param(r->s, fresh_name(r, "own"), TL_DIMS(rows, columns), .init = tl_glorot_normal());
}
SOME tl_tensor own_row(cell_run *r, int64_t columns) { return tl_param(r->s, fresh_name(r, "row"), TL_DIMS(columns)); }

SOME tl_tensor fit(cell_run *r, tl_tensor x, int64_t width)
{
    return tl_dim(x, 1) == width ? x : tl_matmul(x, shared_matrix(r, tl_dim(x, 1), width));
}

SOME tl_tensor gated(cell_run *r, tl_tensor a, tl_tensor b, int64_t width)
{
    tl_tensor z[3];
    const tl_tensor start = tl_gemm(own_row(r, 3 * width), a, own_matrix(r, tl_dim(a, 1), 3 * width), false, false);
    tl_split(tl_gemm(start, b, own_matrix(r, tl_dim(b, 1), 3 * width), false, false), 3, 1, z);
    return tl_add(tl_mul(tl_sigmoid(z[0]), tl_tanh(z[1])), tl_mul(tl_sigmoid(z[2]), fit(r, b, width)));
}

/* Row numbers by size of the first column. */
SOME tl_tensor order_of(tl_tensor x) { return tl_argsort(tl_reshape(tl_slice(x, 1, 0, 1), TL_DIMS(tl_dim(x, 0))), 0); }

SOME tl_tensor run_op(cell_run *r, const random_cell *c, int k)
{
    const tl_tensor a = r->v[c->op[k].a], b = r->v[c->op[k].b], d = r->v[c->op[k].c];
    const int64_t wa = tl_dim(a, 1), width = c->op[k].width, B = tl_dim(a, 0), half = (wa + 1) / 2;
    char name[16];
    snprintf(name, sizeof name, "op%d", k);
    switch (c->op[k].op) {
    case 0: return tl_tanh(a);
    case 1: return tl_tanh(tl_gate(r->s, name, a, b, .units = width));
    case 2: return tl_sigmoid(tl_matmul(a, own_matrix(r, wa, width)));
    case 3: return tl_tanh(tl_matmul(a, shared_matrix(r, wa, width)));
    case 4: return tl_add(a, tl_tanh(fit(r, b, wa)));
    case 5: return tl_mul(tl_tanh(a), tl_sigmoid(fit(r, b, wa)));
    case 6: return tl_concat(2, (tl_tensor[]){ a, b }, 1);
    case 7: return tl_slice(a, 1, wa / 3, wa / 3 + half);
    case 8: return tl_lerp(a, tl_tanh(fit(r, b, wa)), tl_sigmoid(fit(r, d, wa)));
    case 9: return tl_add(a, own_row(r, wa));
    case 10: return tl_dropout(tl_in(r->s, name), a, .rate = 0.3);
    case 11: return tl_softmax(a);
    case 12: return tl_where(tl_less(a, fit(r, b, wa)), a, tl_neg(a));
    case 13: return tl_layer_norm(a, own_row(r, wa), own_row(r, wa), 0.1);
    case 14: return gated(r, a, b, width);
    case 15: return tl_matmul(tl_softmax(tl_scale(tl_gemm(TL_NONE, a, fit(r, b, wa), false, true), 0.3)), d);
    case 16: return tl_mul(a, tl_mean_keep(b, TL_AXES(1)));
    case 17: return tl_add(a, tl_scale(tl_sum_keep(tl_tanh(fit(r, b, wa)), TL_AXES(0)), 0.1));
    case 18: return tl_relu(tl_sub(a, fit(r, b, wa)));
    case 19: return tl_gather(a, order_of(b));
    case 20: return tl_matmul(tl_one_hot(tl_argmax(a, 1), wa), own_matrix(r, wa, width));
    case 21: return tl_gather(shared_matrix(r, wa, width), tl_argmax(a, 1));
    case 22: return tl_tanh(tl_gemm(TL_NONE, a, shared_matrix(r, width, wa), false, true)); /* transposed */
    case 23: {
        tl_tensor part[2] = { tl_slice(a, 1, 0, half), tl_slice(a, 1, half, wa) };
        return half == wa ? a : tl_concat(2, (tl_tensor[]){ part[1], tl_tanh(part[0]) }, 1);
    }
    case 24:
        return tl_tanh(tl_matmul(tl_concat(3, (tl_tensor[]){ a, b, d }, 1),
                                 own_matrix(r, wa + tl_dim(b, 1) + tl_dim(d, 1), width)));
    case 25: return tl_scatter_add(tl_tanh(a), tl_scale(a, 0.5), order_of(b), B);
    case 26: return tl_max_keep(tl_concat(2, (tl_tensor[]){ a, tl_tanh(a) }, 1), TL_AXES(1));
    case 27: return tl_mul(a, tl_reshape(tl_pick(tl_tanh(a), tl_argmax(a, 1)), TL_DIMS(B, 1)));
    case 28: return tl_transpose(tl_tanh(tl_transpose(a)));
    default: return tl_mul(a, tl_tanh(own_row(r, 1)));
    }
}

SOME tl_tensor random_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    const random_cell *c = ctx;
    cell_run r = { .s = s };
    tl_tensor next[CELL_STATES];
    r.v[r.n++] = x;
    for (int k = 0; k < c->states; k++) r.v[r.n++] = state[k];
    for (int k = 0; k < c->n; k++) r.v[r.n++] = run_op(&r, c, k);
    for (int k = 0; k < c->states; k++) next[k] = fit(&r, r.v[1 + c->next[k]], c->width[k]);
    for (int k = 0; k < c->states; k++) state[k] = tl_tanh(next[k]);
    return tl_tanh(fit(&r, r.v[r.n - 1 - c->out], c->width[0]));
}

SOME void random_start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx)
{
    (void)units;
    const random_cell *c = ctx;
    for (int k = 0; k < c->states; k++) {
        char name[16];
        snprintf(name, sizeof name, "start%d", k);
        const int64_t B = tl_dim(x, 0), width = c->width[k];
        state[k] = c->learned ? tl_broadcast_to(tl_param(s, name, TL_DIMS(width), .init = normal), TL_DIMS(B, width))
                              : tl_full(s, TL_DIMS(B, width), 0);
    }
}

/* ---- layers --------------------------------------------------------------------------------------------------------- */

/* A random cell, or one that comes with the library, in a wrapper or none. */
SOME tl_cell any_cell(tl_scope *s, int units, int64_t columns)
{
    tl_cell c;
    switch (choose(8)) {
    case 1: c = tl_lstm_cell(s); break;
    case 2: c = tl_gru_cell(s); break;
    case 3: c = tl_gru_cell(s, .reset_before = true); break;
    case 4: c = tl_lstm_cell(s, .peephole = true, .layer_norm = true); break;
    default: {
        const random_cell drawn = draw_cell(units);
        const void *ctx = tl_scope_copy(s, &drawn, sizeof drawn);
        c = (tl_cell){ .step = random_step, .states = drawn.states, .start = random_start, .ctx = ctx };
    }
    }
    switch (choose(8)) {
    case 1: return tl_zoneout_cell(s, c, .rate = 0.3);
    case 2: return tl_dropout_cell(s, c, .input = 0.2, .state = 0.3);
    case 3: return tl_dropout_cell(s, c, .output = 0.2, .state = 0.3, .variational = true);
    case 4: return columns == units ? tl_residual_cell(s, c) : c;
    default: return c;
    }
}

typedef struct drawn_net {
    tl_scope *s;
    int T, B, units;
    tl_tensor lengths;
    tl_tensor kept[4]; /* values from within */
    int n_kept;
} drawn_net;

/* The same cell step by step: outputs fed back, or fewer rows with every step. */
SOME tl_tensor own_loop(drawn_net *g, tl_scope *s, tl_tensor x, bool feeds_back, bool back, bool thins_out)
{
    tl_scope *r = tl_in(s, "loop");
    tl_tensor state[8], y[16], out = tl_full(s, TL_DIMS(g->B, g->units), 0);
    const int64_t columns = tl_dim(x, 2) + (feeds_back ? g->units : 0);
    const tl_cell c = any_cell(s, g->units, columns);
    int64_t rows = g->B;
    for (int k = 0; k < g->T; k++) {
        const int t = back ? g->T - 1 - k : k;
        tl_tensor in = tl_slice(tl_at(x, t), 0, 0, rows);
        if (feeds_back) in = tl_concat(2, (tl_tensor[]){ in, tl_slice(out, 0, 0, rows) }, 1);
        if (!k) tl_start(r, c, in, g->units, state);
        out = tl_call(tl_step(r, t), c, in, state);
        y[t] = rows < g->B ? tl_pad(out, 0, 0, g->B - rows) : out;
        if (!thins_out || rows < 2) continue;
        rows = (rows + 1) / 2;
        for (int q = 0; q < (c.states ? c.states : 1); q++) state[q] = tl_slice(state[q], 0, 0, rows);
    }
    g->kept[g->n_kept++ % 4] = state[0];
    return tl_stack(g->T, y, 0);
}

SOME tl_tensor any_layer(drawn_net *g, tl_scope *s, tl_tensor x)
{
    const int64_t columns = tl_dim(x, 2);
    const tl_tensor lengths = chance(3) ? g->lengths : TL_NONE;
    switch (choose(6)) {
    case 1: {
        const tl_merge merge = (tl_merge[]){ TL_MERGE_SUM, TL_MERGE_CONCAT, TL_MERGE_MULTIPLY }[choose(3)];
        return tl_bidirectional(s, x, any_cell(s, g->units, columns), .units = g->units, .merge = merge,
                                .lengths = lengths, .return_sequences = true);
    }
    case 2: {
        const tl_cell below = any_cell(s, g->units, columns), above = any_cell(s, g->units, g->units);
        return tl_rnn(s, x, tl_stack_cell(s, 2, ((tl_cell[]){ below, above })), .units = g->units, .lengths = lengths,
                      .return_sequences = true);
    }
    case 3: {
        const bool feeds_back = chance(2), back = chance(2), thins_out = chance(2);
        return own_loop(g, s, x, feeds_back, back, thins_out);
    }
    default: {
        const bool back = chance(3), keep_order = chance(2), stateful = chance(4);
        return tl_rnn(s, x, any_cell(s, g->units, columns), .units = g->units, .go_backwards = back,
                      .keep_order = keep_order, .stateful = stateful && !lengths.tape, .lengths = lengths,
                      .return_sequences = true);
    }
    }
}

/* ---- networks ------------------------------------------------------------------------------------------------------- */

SOME tl_tensor any_sequence(drawn_net *g, uint64_t seed, tl_tensor *table, tl_tensor *input)
{
    const int columns = chance(2) ? g->units : 1 + choose(40), vocab = 2 + choose(12);
    const int kind = choose(4);
    *table = *input = TL_NONE;
    if (kind < 2) return *input = random_input(g->s, "x", 0, seed, TL_DIMS(g->T, g->B, columns));
    const tl_tensor ids = random_input(g->s, "ids", vocab, seed, TL_DIMS(g->T, g->B));
    return kind == 2 ? tl_embedding(g->s, ids, .vocab = vocab, .units = columns, .table = table)
                     : tl_one_hot(ids, vocab);
}

SOME tl_tensor any_loss(drawn_net *g, tl_tensor y, tl_tensor table)
{
    if (!table.tape && chance(2)) y = tl_dense(g->s, y, .units = 1 + choose(20), .name = "head");
    if (table.tape && tl_dim(table, 1) == tl_dim(y, 2)) y = tl_dense(g->s, y, .tied = table, .name = "head");
    switch (choose(4)) {
    case 1: return tl_neg(tl_sum(tl_slice(tl_log_softmax(y), 2, 0, 1), TL_ALL));
    case 2: return tl_sum(tl_tanh(tl_at(y, g->T - 1)), TL_ALL);
    case 3: {
        tl_tensor loss = tl_sum(tl_square(tl_at(y, 0)), TL_ALL); /* step by step */
        for (int t = 1; t < g->T; t++) loss = tl_add(loss, tl_sum(tl_square(tl_at(y, t)), TL_ALL));
        return loss;
    }
    default: return tl_mean(tl_square(y), TL_ALL);
    }
}

/* Records the network of these choices: outputs, loss, gradients, and sometimes the gradient of a gradient. */
SOME void record_network(tl_scope *s, uint64_t seed)
{
    choices.used = 0;
    drawn_net g = { .s = s };
    const bool large = chance(10);
    g.T = 1 + choose(large ? 3 : 7);
    g.B = 1 + choose(large ? 5 : 20);
    g.units = 1 + choose(large ? 300 : 40);
    g.lengths = random_input(s, "lengths", g.T + 1, seed + 1, TL_DIMS(g.B));
    tl_tensor table, input, y = any_sequence(&g, seed, &table, &input), d[8];
    const int layers = 1 + choose(large ? 1 : 3);
    for (int k = 0; k < layers; k++) {
        char name[16];
        snprintf(name, sizeof name, "layer%d", k);
        y = any_layer(&g, tl_in(s, name), y);
        if (k && chance(3) && g.n_kept) y = tl_add(y, tl_scale(tl_sum(g.kept[0], TL_ALL), 0.01));
    }
    tl_tensor loss = any_loss(&g, y, table), wrt[8];
    int n = tl_params(s, NULL, wrt, 7);
    if (n > 7) n = 7;
    if (input.tape) wrt[n++] = input;
    const int looked_at = choose(3);
    if (n && looked_at) {
        tl_grad(loss, wrt, n, d);
        if (looked_at == 2 && !large) loss = tl_add(loss, tl_scale(tl_sum(tl_square(d[choose(n)]), TL_ALL), 0.1));
        tl_output(s, "d", d[n - 1]);
    }
    tl_output(s, "y", y);
    tl_output(s, "loss", loss);
    if (g.n_kept) tl_output(s, "inner", g.kept[0]);
    tl_backward(loss);
}

#endif
