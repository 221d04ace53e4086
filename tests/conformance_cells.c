/* tests/conformance_cells.c - the cells of PyTorch and Keras: which of ours they are, and where their parameters lie. */
#include "conformance_cells.h"

static const vendor torch_layout = { "weight_ih%s", "weight_hh%s", "bias_ih%s", "bias_hh%s", "weight_hr%s", 0, true };
static const vendor keras_layout = { "%skernel", "%srecurrent_kernel", "%sbias", NULL, NULL, 1, false };

static tl_cell make_tanh(replay *r)
{
    const bool no_bias = !fx_num(r->c, "bias", 1);
    return tl_simple_rnn_cell(r->s, .no_bias = no_bias, .recurrent_bias = !no_bias);
}

static tl_cell make_relu(replay *r)
{
    const bool no_bias = !fx_num(r->c, "bias", 1);
    return tl_simple_rnn_cell(r->s, .activation = tl_relu, .no_bias = no_bias, .recurrent_bias = !no_bias);
}

static tl_cell make_lstm(replay *r)
{
    const bool no_bias = !fx_num(r->c, "bias", 1);
    return tl_lstm_cell(r->s, .no_bias = no_bias, .recurrent_bias = !no_bias,
                        .projection = fx_int(r->c, "proj_size", 0));
}

static tl_cell make_gru(replay *r) { return tl_gru_cell(r->s, .no_bias = !fx_num(r->c, "bias", 1)); }

static tl_cell make_keras_simple_rnn(replay *r)
{
    return tl_simple_rnn_cell(r->s, .no_bias = !fx_num(r->c, "use_bias", 1),
                              .activation = activation_of(r, "activation"));
}

static tl_cell make_keras_lstm(replay *r)
{
    return tl_lstm_cell(r->s, .no_bias = !fx_num(r->c, "use_bias", 1), .activation = activation_of(r, "activation"),
                        .recurrent_activation = activation_of(r, "recurrent_activation"));
}

static tl_cell make_keras_gru(replay *r)
{
    return tl_gru_cell(r->s, .no_bias = !fx_num(r->c, "use_bias", 1), .activation = activation_of(r, "activation"),
                       .recurrent_activation = activation_of(r, "recurrent_activation"),
                       .reset_before = !fx_num(r->c, "reset_after", 1));
}

const vendor_cell torch_tanh = { make_tanh, 1, &torch_layout, { "" } };
const vendor_cell torch_relu = { make_relu, 1, &torch_layout, { "" } };
const vendor_cell torch_lstm = { make_lstm, 2, &torch_layout, { "i/", "f/", "c/", "o/" } };
const vendor_cell torch_gru = { make_gru, 1, &torch_layout, { "r/", "z/", "h/" } };
const vendor_cell keras_simple_rnn = { make_keras_simple_rnn, 1, &keras_layout, { "" } };
const vendor_cell keras_lstm = { make_keras_lstm, 2, &keras_layout, { "i/", "f/", "c/", "o/" } };
const vendor_cell keras_gru = { make_keras_gru, 1, &keras_layout, { "z/", "r/", "h/" } };

int64_t cell_params(replay *r, const vendor_cell *cell, const char *path, const char *affix)
{
    const vendor *v = cell->layout;
    for (const pair *p = cell->pairs; p && p->ours; p++)
        param(r, text(r, "%s%s", path, p->ours), p->theirs, (part){ p->k, p->n, LAST });
    if (!v) return 0;
    const char *W = text(r, v->W, affix), *U = text(r, v->U, affix), *b = text(r, v->b, affix);
    const int rows = !v->br && fx_get(r->c, "par", b) && fx_get(r->c, "par", b)->ndim == 2 ? 2 : 1; /* of b */
    int n = 0;
    while (cell->gates[n]) n++;
    for (int g = 0; g < n; g++) {
        const char *gate = text(r, "%s%s", path, cell->gates[g]);
        const part matrix = { g, n, v->axis, v->transposed };
        param(r, text(r, "%sW", gate), W, matrix);
        param(r, text(r, "%sU", gate), U, matrix);
        param(r, text(r, "%sb", gate), b, (part){ g, n * rows, FLAT });
        if (v->br) param(r, text(r, "%sbr", gate), text(r, v->br, affix), (part){ g, n, FLAT });
        else if (rows == 2) param(r, text(r, "%sbr", gate), b, (part){ n + g, 2 * n, FLAT });
    }
    if (v->projection) param(r, text(r, "%sproj/W", path), text(r, v->projection, affix), (part){ .transposed = true });
    return dim_of(r, "par", W, v->axis) / n;
}
