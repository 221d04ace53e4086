/* tests/conformance_keras.c - Keras' recurrent layers: SimpleRNN, LSTM, GRU. */
#include "conformance_cells.h"

static const char *const state_in[] = { "h0", "c0" }, *const state_out[] = { "h", "c" };

/* The layer over input `x`, whose output is the case's `y`. */
static void recur(replay *r, const char *x, const char *y, tl_cell cell, const tl_rnn_opts *o)
{
    tl_rnn_opts all = *o;
    const fx_tensor *out = fx_get(r->c, "out", y);
    all.return_sequences = fx_num(r->c, "return_sequences", out && out->ndim > 2) != 0;
    all.go_backwards = fx_num(r->c, "go_backwards", 0) != 0;
    all.zero_output = fx_num(r->c, "zero_output_for_mask", 0) != 0;
    all.mask = swapped(input(r, "mask"));
    const tl_tensor result = tl_rnn_opt(TL_HERE, r->s, swapped(input(r, x)), cell, &all);
    output(r, y, all.return_sequences ? swapped(result) : result);
}

static void layer(replay *r)
{
    const vendor_cell *v = r->row->cell;
    tl_tensor initial[2], final[2];
    for (int k = 0; k < v->states; k++) initial[k] = input(r, state_in[k]);
    const int64_t units = cell_params(r, v, "rnn/", "");
    recur(r, "x", "y", v->make(r), &(tl_rnn_opts){ sizeof(tl_rnn_opts), units, .initial = initial, .final = final });
    for (int k = 0; k < v->states; k++)
        if (has(r, "out", state_out[k])) output(r, state_out[k], final[k]);
}

/* Batches x0, x1, ... one after the other, each run starting from the states of the one before. */
static void stateful(replay *r)
{
    const int64_t units = cell_params(r, r->row->cell, "rnn/", "");
    while (has(r, "in", text(r, "x%d", r->passes))) r->passes++;
    recur(r, text(r, "x%d", r->pass), text(r, "y%d", r->pass), r->row->cell->make(r),
          &(tl_rnn_opts){ sizeof(tl_rnn_opts), units, .stateful = true });
}

static tl_merge merge_of(replay *r)
{
    static const struct {
        const char *name;
        tl_merge merge;
    } modes[] = { { "concat", TL_MERGE_CONCAT },
                  { "sum", TL_MERGE_SUM },
                  { "ave", TL_MERGE_AVERAGE },
                  { "mul", TL_MERGE_MULTIPLY },
                  { "none", TL_MERGE_NONE } };
    const char *name = fx_attr(r->c, "merge_mode");
    for (int k = 0; name && k < COUNT(modes); k++)
        if (!strcmp(name, modes[k].name)) return modes[k].merge;
    if (name) fail(r, "merge_mode \"%s\" is not known here", name);
    return TL_MERGE_CONCAT;
}

static void bidirectional(replay *r)
{
    static const char *const names[] = { "fh0", "fc0", "bh0", "bc0" }, *const finals[] = { "fh", "fc", "bh", "bc" };
    const vendor_cell *v = r->row->cell;
    const bool sequences = fx_num(r->c, "return_sequences", 0) != 0;
    const tl_merge merge = merge_of(r);
    tl_tensor initial[4], final[4], both[2];
    cell_params(r, v, "bidirectional/forward/", "forward.");
    const int64_t units = cell_params(r, v, "bidirectional/backward/", "backward.");
    for (int k = 0; k < 2 * v->states; k++) initial[k] = input(r, names[k / v->states * 2 + k % v->states]);
    const tl_tensor y = tl_bidirectional(r->s, swapped(input(r, "x")), v->make(r), .units = units, .merge = merge,
                                         .return_sequences = sequences, .initial = initial, .final = final,
                                         .mask = swapped(input(r, "mask")), .outputs = both);
    if (merge != TL_MERGE_NONE) output(r, "y", sequences ? swapped(y) : y);
    for (int k = 0; merge == TL_MERGE_NONE && k < 2; k++) /* whatever they are called */
        output(r, name_of(r, "out", k), sequences ? swapped(both[k]) : both[k]);
    for (int k = 0; k < 2 * v->states; k++) {
        const char *name = finals[k / v->states * 2 + k % v->states];
        if (has(r, "out", name)) output(r, name, final[k]);
    }
}

/* ---- StackedRNNCells ----------------------------------------------------------------------------------------------- */

enum { MOST = 8 };

/* The cell whose kernel has that name; its prefix is what comes before "kernel". */
static const vendor_cell *cell_named(const char *kernel)
{
    return strstr(kernel, "lstm_cell") ? &keras_lstm : strstr(kernel, "gru_cell") ? &keras_gru : &keras_simple_rnn;
}

/* The cells are those whose kernels the case has, the states its results after y, both in their order. */
static void stacked(replay *r)
{
    tl_cell cells[MOST] = { 0 };
    tl_tensor final[2 * MOST];
    int64_t units[MOST] = { 0 };
    int n = 0, states = 0;
    for (size_t k = 0; k < r->c->nt && n < MOST; k++) {
        const fx_tensor *t = &r->c->t[k];
        const char *end = strstr(t->name, ".kernel");
        if (strcmp(t->role, "par") || !end) continue;
        const vendor_cell *v = cell_named(t->name);
        units[n] = cell_params(r, v, text(r, "rnn/%d/", n), text(r, "%.*s.", (int)(end - t->name), t->name));
        states += v->states;
        cells[n++] = v->make(r);
    }
    recur(r, "x", "y", tl_stack_cell(r->s, n, cells, .units = units),
          &(tl_rnn_opts){ sizeof(tl_rnn_opts), units[0], .final = final });
    for (size_t k = 0, i = 0; k < r->c->nt && (int)i < states; k++)
        if (!strcmp(r->c->t[k].role, "out") && strcmp(r->c->t[k].name, "y")) output(r, r->c->t[k].name, final[i++]);
}

/* ---- a cell of the user's own --------------------------------------------------------------------------------------- */

/* h = tanh(x k + h u)    q = q / 2 + h p    y = h v + sum q; states h and q, which is as wide as p */
static tl_tensor own_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    const int64_t *width = ctx, H = width[0], D = tl_dim(x, -1);
    const tl_tensor k = tl_param(s, "k", TL_DIMS(D, H)), u = tl_param(s, "u", TL_DIMS(H, H));
    const tl_tensor p = tl_param(s, "p", TL_DIMS(H, width[1])), v = tl_param(s, "v", TL_DIMS(H, width[2]));
    state[0] = tl_tanh(tl_add(tl_matmul(x, k), tl_matmul(state[0], u)));
    state[1] = tl_add(tl_scale(state[1], 0.5), tl_matmul(state[0], p));
    return tl_add(tl_matmul(state[0], v), tl_sum_keep(state[1], TL_AXES(-1)));
}

static void own_start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx)
{
    const int64_t *width = ctx;
    state[0] = tl_full(s, TL_DIMS(tl_dim(x, 0), units), 0);
    state[1] = tl_full(s, TL_DIMS(tl_dim(x, 0), width[1]), 0);
}

static void own_cell(replay *r)
{
    static const char *const names[] = { "k", "u", "v", "p" };
    const int64_t width[] = { dim_of(r, "par", "u", 0), dim_of(r, "par", "p", 1), dim_of(r, "par", "v", 1) };
    tl_tensor final[2];
    for (int i = 0; i < COUNT(names); i++) param(r, text(r, "rnn/%s", names[i]), names[i], (part){ 0 });
    const tl_cell cell = { own_step, 2, own_start, tl_scope_copy(r->s, width, sizeof width) };
    recur(r, "x", "y", cell, &(tl_rnn_opts){ sizeof(tl_rnn_opts), width[0], .final = final });
    output(r, "h", final[0]);
    output(r, "q", final[1]);
}

const op_row keras_rows[] = {
    { "keras_simplernn", layer, .cell = &keras_simple_rnn },
    { "keras_lstm", layer, .cell = &keras_lstm },
    { "keras_gru", layer, .cell = &keras_gru },
    { "keras_simplernn_stateful", stateful, .cell = &keras_simple_rnn },
    { "keras_lstm_stateful", stateful, .cell = &keras_lstm },
    { "keras_gru_stateful", stateful, .cell = &keras_gru },
    { "keras_bidirectional_simplernn", bidirectional, .cell = &keras_simple_rnn },
    { "keras_bidirectional_lstm", bidirectional, .cell = &keras_lstm },
    { "keras_bidirectional_gru", bidirectional, .cell = &keras_gru },
    { "keras_stacked_cells", stacked },
    { "keras_custom_cell", own_cell },
    { 0 },
};
