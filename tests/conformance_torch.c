/* tests/conformance_torch.c - PyTorch's recurrent modules and cells. */
#include "conformance_cells.h"

enum { MOST = 16 }; /* layers x directions */

static const char *const state_in[] = { "h0", "c0" }, *const state_out[] = { "hn", "cn" };

/* Initial state k of layer-and-direction l: h0 is [layers x directions, B, units], or [B, units] alone. */
static tl_tensor initial_state(replay *r, int k, int l)
{
    const tl_tensor all = input(r, state_in[k]);
    return tl_rank(all) == 3 ? tl_at(all, l) : all;
}

/* States k after the last step, likewise. */
static void last_states(replay *r, int k, int n, const tl_tensor *x)
{
    const fx_tensor *out = fx_get(r->c, "out", state_out[k]);
    if (out) output(r, state_out[k], out->ndim == 3 ? tl_stack(n, x, 0) : x[0]);
}

typedef struct module_layer {
    const char *name;
    int64_t units;
    tl_tensor initial[4], final[4]; /* forward's states, then backward's */
} module_layer;

/* The parameters and initial states of layer l. */
static module_layer layer_of(replay *r, int l, int ways)
{
    const vendor_cell *v = r->row->cell;
    const char *suffix = has(r, "par", "weight_ih") ? "" : text(r, "_l%d", l);
    module_layer y = { .name = text(r, "l%d", l) };
    for (int d = 0; d < ways; d++) {
        const char *way = ways == 1 ? "" : d ? "backward/" : "forward/";
        y.units = cell_params(r, v, text(r, "%s/%s", y.name, way), text(r, "%s%s", suffix, d ? "_reverse" : ""));
        for (int k = 0; k < v->states; k++) y.initial[d * v->states + k] = initial_state(r, k, l * ways + d);
    }
    return y;
}

/* lstm, gru, rnn_tanh, rnn_relu; x [B, T, D] or [T, B, D], with a mask [B, T] or lengths [B] if there are. */
void recurrent_module(replay *r)
{
    const bool batch_first = fx_num(r->c, "batch_first", 1) != 0, packed = fx_num(r->c, "packed", 0) != 0;
    const int layers = (int)fx_int(r->c, "num_layers", 1), ways = fx_num(r->c, "bidirectional", 0) ? 2 : 1;
    const int states = r->row->cell->states;
    const tl_tensor lengths = input(r, "lengths"), mask = swapped(input(r, "mask"));
    const tl_cell cell = r->row->cell->make(r);
    tl_tensor x = batch_first ? swapped(input(r, "x")) : input(r, "x"), last[2][MOST] = { 0 };
    if (layers < 1 || layers > MOST / ways) {
        fail(r, "num_layers = %d", layers);
        return;
    }
    for (int l = 0; l < layers; l++) {
        module_layer y = layer_of(r, l, ways);
        x = ways == 2 ? tl_bidirectional(r->s, x, cell, .units = y.units, .name = y.name, .return_sequences = true,
                                         .initial = y.initial, .final = y.final, .mask = mask, .lengths = lengths)
                      : tl_rnn(r->s, x, cell, .units = y.units, .name = y.name, .return_sequences = true,
                               .initial = y.initial, .final = y.final, .mask = mask, .lengths = lengths,
                               .zero_output = packed);
        for (int i = 0; i < ways * states; i++) last[i % states][l * ways + i / states] = y.final[i];
    }
    output(r, "y", batch_first ? swapped(x) : x);
    for (int k = 0; k < states; k++) last_states(r, k, layers * ways, last[k]);
}

/* One step: h, c -> h1, c1. */
static void cell(replay *r)
{
    const vendor_cell *v = r->row->cell;
    tl_tensor state[] = { input(r, "h"), input(r, "c") };
    cell_params(r, v, "", "");
    tl_call(r->s, v->make(r), input(r, "x"), state);
    output(r, "h1", state[0]);
    if (v->states > 1) output(r, "c1", state[1]);
}

/* Chunks x0, x1, ... of a sequence, whose states go on; without gradient, if the case says `detach`. */
static void truncated(replay *r)
{
    const vendor_cell *v = r->row->cell;
    tl_tensor x[MOST], y[MOST], initial[2], final[2];
    int n = 0;
    for (; n < MOST && has(r, "in", text(r, "x%d", n)); n++) x[n] = swapped(input(r, text(r, "x%d", n)));
    for (int k = 0; k < v->states; k++) initial[k] = initial_state(r, k, 0);
    const int64_t units = cell_params(r, v, "rnn/", "_l0"), length = n ? tl_dim(x[0], 0) : 0;
    const tl_tensor all = tl_rnn(r->s, tl_concat(n, x, 0), v->make(r), .units = units, .return_sequences = true,
                                 .initial = initial, .final = final,
                                 .truncate = fx_num(r->c, "detach", 1) != 0 ? length : 0);
    tl_split(all, n, 0, y);
    for (int i = 0; i < n; i++) output(r, text(r, "y%d", i), swapped(y[i]));
    for (int k = 0; k < v->states; k++) last_states(r, k, 1, &final[k]);
}

const op_row torch_rows[] = {
    { "rnn_tanh", recurrent_module, .cell = &torch_tanh },
    { "rnn_relu", recurrent_module, .cell = &torch_relu },
    { "lstm", recurrent_module, .cell = &torch_lstm },
    { "gru", recurrent_module, .cell = &torch_gru },
    { "rnn_tanh_masked", recurrent_module, .cell = &torch_tanh },
    { "lstm_masked", recurrent_module, .cell = &torch_lstm },
    { "gru_masked", recurrent_module, .cell = &torch_gru },
    { "cell_rnn_tanh", cell, .cell = &torch_tanh },
    { "cell_rnn_relu", cell, .cell = &torch_relu },
    { "cell_lstm", cell, .cell = &torch_lstm },
    { "cell_gru", cell, .cell = &torch_gru },
    { "rnn_tanh_tbptt", truncated, .cell = &torch_tanh },
    { "lstm_tbptt", truncated, .cell = &torch_lstm },
    { "gru_tbptt", truncated, .cell = &torch_gru },
    { 0 },
};
