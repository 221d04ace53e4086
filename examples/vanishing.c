/* examples/vanishing.c - how far back the loss is felt: the norm of dL/dh_t through time.
 *
 * A network reads T numbers and is then asked for the first. On its way back from the answer the gradient is multiplied by
 * a Jacobian at each step, and after hundreds of them it has vanished or exploded (Bengio et al. 1994; Pascanu et al. 2013).
 * Four cells, a panel each, and in it:
 *     plain        recurrent weights from a normal distribution of deviation gain / sqrt(units)
 *     clipped      the same, scaled as it is where the norm of all gradients is clipped to --clip
 *     L2           plain, after --updates updates with an L2 penalty (for gradient descent the same as decay of weights)
 *     orthogonal   orthogonal recurrent weights, Keras' default
 * Clipping ends an explosion and brings back nothing that has vanished; L2 and orthogonal weights turn the one into the
 * other; a gate that is open lets a gradient through. What an explosion does to learning is seen in the end: the plain networks
 * are trained without clipping and with it. All in double precision: the numbers of single precision end at 1e-38. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "tapeloop.h"

enum { LONGEST = 500, BATCH = 16, UNITS = 32, CELLS = 4 };
enum { PLAIN, CLIPPED, L2, ORTHOGONAL, CURVES };

typedef struct network {
    const char *name, *key;
    tl_cell (*cell)(tl_scope *s, tl_init recurrent);
    tl_init recurrent;
} network;

/* u: how the recurrent weights are drawn, of all gates */
static tl_cell tanh_cell(tl_scope *s, tl_init u) { return tl_simple_rnn_cell(s, .recurrent_init = u); }
static tl_cell relu_cell(tl_scope *s, tl_init u)
{
    return tl_simple_rnn_cell(s, .recurrent_init = u, .activation = tl_relu);
}
static tl_cell lstm_cell(tl_scope *s, tl_init u) { return tl_lstm_cell(s, .recurrent_init = u); }
static tl_cell gru_cell(tl_scope *s, tl_init u) { return tl_gru_cell(s, .recurrent_init = u); }

/* in[0]: numbers [T, B, 1]; in[1]: the first ones [B, 1] -> the mean squared error, and |dL/dh_t| for each t as "norms" */
static tl_tensor recall(tl_scope *s, const tl_tensor *in, void *user)
{
    const network *n = user;
    const int T = (int)tl_dim(in[0], 0);
    tl_tensor h[LONGEST], g[LONGEST];
    tl_tensor last = tl_rnn(s, in[0], n->cell(s, n->recurrent), .units = UNITS, .each = h);
    tl_tensor loss = tl_mse(tl_dense(s, last, .units = 1), in[1]);
    tl_grad(loss, h, T, g);
    for (int t = 0; t < T; t++) g[t] = tl_sqrt(tl_sum(tl_square(g[t]), TL_ALL));
    tl_output(s, "norms", tl_stack(T, g, 0));
    return loss;
}

/* ---- measuring -------------------------------------------------------------------------------------------------- */

static int64_t length = LONGEST, updates = 50;
static double gain = 1.7, limit = 1, l2 = 0.05, rate = 0.1;
static const arg options[] = {
    { "length", ARG_INT, &length, "T, how many numbers", 2, LONGEST, NULL },
    { "gain", ARG_NUMBER, &gain, "of plain recurrent weights", 0, 100, NULL },
    { "clip", ARG_NUMBER, &limit, "largest norm of all gradients together", 1e-9, 1e9, NULL },
    { "l2", ARG_NUMBER, &l2, "factor of the penalty", 0, 100, NULL },
    { "updates", ARG_INT, &updates, "of stochastic gradient descent", 1, 1e6, NULL },
    { "lr", ARG_NUMBER, &rate, "its learning rate", 1e-9, 100, NULL },
    { ARGS_PLOT },
};

static double numbers[LONGEST * BATCH];
static tl_array inputs[2];

static void fill(void)
{
    tl_random random = { .key = args_seed() };
    for (int64_t i = 0; i < length * BATCH; i++) numbers[i] = tl_random_next(&random) - 0.5;
    inputs[0] = tl_array_of(TL_F64, TL_DIMS(length, BATCH, 1), numbers);
    inputs[1] = tl_array_of(TL_F64, TL_DIMS(BATCH, 1), numbers);
    inputs[1].batch_axis = TL_ZERO;
}

/* Makes n updates, clipped to `clip` (INFINITY: not clipped), and one step more. Tells of that its |dL/dh_t| (norms NULL: not
 * wanted) and what share of the gradient clipping to `limit` leaves (share likewise). Returns the loss there; NaN if it, or a
 * norm, was no longer finite before. */
static double train(network *net, int64_t n, double clip, double decay, double *norms, double *share)
{
    double loss = 0;
    tl_array a;
    const tl_optimizer_desc sgd = tl_sgd(.lr = rate, .weight_decay = decay);
    tl_model *model = tl_model_new(.seed = args_seed(), .dtype = TL_F64);
    if (!model) args_fail(1, "%s", tl_message());
    tl_trainer *t = tl_trainer_new(model, recall, .user = net, .optimizer = sgd, .clip_norm = clip,
                                   .explain = args_explain());
    if (!t) args_fail(1, "%s", tl_message());
    for (int64_t i = 0; i <= n && !isnan(loss); i++) {
        const tl_status status = tl_train_step(t, inputs, 2, &loss);
        if (status == TL_E_NONFINITE) loss = NAN;
        else must(status);
    }
    must(tl_get(tl_trainer_session(t, TL_TRAIN), "norms", &a));
    if (norms) memcpy(norms, a.data, (size_t)length * sizeof *norms);
    if (share) *share = fmin(1, limit / tl_trainer_norm(t));
    args_plan(t);
    tl_trainer_free(t);
    tl_model_free(model);
    return loss;
}

static void measure(network *net, double norms[CURVES][LONGEST])
{
    double share;
    train(net, 0, limit, 0, norms[PLAIN], &share);
    for (int64_t t = 0; t < length; t++) norms[CLIPPED][t] = norms[PLAIN][t] * share;
    train(net, updates, limit, 2 * l2, norms[L2], NULL);
    network other = *net;
    other.recurrent = tl_orthogonal(1);
    train(&other, 0, limit, 0, norms[ORTHOGONAL], NULL);
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

static const char *const columns[CURVES + 2] = { "plain",      "clipped",        "L2",
                                                 "orthogonal", "unclipped_loss", "clipped_loss" };

/* A row of the table, and its figures. */
static void report(network *net, double norms[CURVES][LONGEST], char names[CURVES + 2][32])
{
    const double loss[] = { train(net, updates, INFINITY, 0, NULL, NULL), train(net, updates, limit, 0, NULL, NULL) };
    printf("%-16s", net->name);
    for (int c = 0; c < CURVES + 2; c++) {
        const double value = c < CURVES ? norms[c][0] : loss[c - CURVES];
        snprintf(names[c], sizeof *names, "%s_%s", net->key, columns[c]);
        figure(names[c], value);
        printf(c == CURVES ? "   %9.2g" : " %9.2g", fabs(value)); /* of a NaN the sign, too */
    }
    putchar('\n');
}

int main(int argc, char **argv)
{
    static double norms[CELLS][CURVES][LONGEST];
    static char names[CELLS][CURVES + 2][32];
    tl_series series[CELLS][CURVES];
    tl_plot panels[CELLS];
    args_read(argc, argv, "the gradient on its way back through time", options, sizeof options / sizeof *options);
    fill();
    const tl_init plain = tl_normal(0, gain / sqrt(UNITS));
    network networks[CELLS] = { { "SimpleRNN, tanh", "tanh", tanh_cell, plain },
                                { "SimpleRNN, relu", "relu", relu_cell, plain },
                                { "LSTM", "lstm", lstm_cell, plain },
                                { "GRU", "gru", gru_cell, plain } };
    for (int k = 0; k < CELLS; k++) {
        measure(&networks[k], norms[k]);
        for (int c = 0; c < CURVES; c++) series[k][c] = (tl_series){ columns[c], NULL, norms[k][c], length };
        panels[k] = (tl_plot){ networks[k].name, "t", "|dL/dh_t|", .log_y = true };
        panels[k].series = series[k];
        panels[k].n_series = CURVES;
    }
    must(tl_plot_print(panels, CELLS, stdout));
    if (args_plot) must(tl_plot_write(panels, CELLS, args_plot));
    printf("\n%-16s %39s  %20s\n%-16s", "", "|dL/dh_1|", "loss after training", "");
    for (int c = 0; c < CURVES; c++) printf(" %9s", columns[c]);
    printf("   %9s %9s\n", "unclipped", "clipped");
    for (int k = 0; k < CELLS; k++) report(&networks[k], norms[k], names[k]);
    figures_write();
    return 0;
}
