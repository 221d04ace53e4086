/* examples/numpy_rnn.c - a recurrent network with NumPy's own random numbers: a forward pass, 201 epochs of training, an LSTM
 * cell. What is written by hand where there is only NumPy - the derivative of each line, backwards through time - falls out of
 * the tape here: nothing below is a gradient. Columns are vectors, as there: h = tanh(W_xh x + W_hh h + b_h). In double
 * precision, for from epoch 80 on this training is at the edge of stability, and single precision goes another way. */
#include <math.h>
#include <stdio.h>

#include "args.h"
#include "tapeloop.h"

enum { STEPS = 4, INPUTS = 3, UNITS = 5, OUTPUTS = 2 };

/* ---- numpy.random.seed(42), numpy.random.randn() ------------------------------------------------------------------ */

/* MT19937 (Matsumoto & Nishimura 1998), and normal numbers from it by the polar method (Marsaglia & Bray 1964): two at a time,
 * of which the second waits for the next call. */
static struct {
    uint32_t word[624];
    int at;
    bool waits;
    double next;
} generator;

static void numpy_seed(uint32_t seed)
{
    generator.word[0] = seed;
    for (uint32_t i = 1; i < 624; i++)
        generator.word[i] = 1812433253u * (generator.word[i - 1] ^ generator.word[i - 1] >> 30) + i;
    generator.at = 624;
    generator.waits = false;
}

static uint32_t numpy_bits(void)
{
    uint32_t *w = generator.word;
    if (generator.at == 624) {
        for (int i = 0; i < 624; i++) {
            const uint32_t y = (w[i] & 0x80000000u) | (w[(i + 1) % 624] & 0x7fffffffu);
            w[i] = w[(i + 397) % 624] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
        }
        generator.at = 0;
    }
    uint32_t y = w[generator.at++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

static double numpy_uniform(void)
{
    const uint32_t high = numpy_bits() >> 5, low = numpy_bits() >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
}

static double numpy_normal(void)
{
    if (generator.waits) return generator.waits = false, generator.next;
    double x, y, r;
    do {
        x = 2 * numpy_uniform() - 1;
        y = 2 * numpy_uniform() - 1;
        r = x * x + y * y;
    } while (r >= 1 || r == 0);
    const double f = sqrt(-2 * log(r) / r);
    generator.waits = true;
    generator.next = f * x;
    return f * y;
}

static void randn(double *out, int n)
{
    for (int i = 0; i < n; i++) out[i] = numpy_normal();
}

/* ---- the networks ------------------------------------------------------------------------------------------------- */

/* In the order in which they are drawn. */
static struct {
    double W_xh[UNITS * INPUTS], W_hh[UNITS * UNITS], W_hy[OUTPUTS * UNITS], b_h[UNITS], b_y[OUTPUTS];
    double X[STEPS * INPUTS], Y[STEPS * OUTPUTS];
    double W_f[UNITS * (UNITS + INPUTS)], W_i[UNITS * (UNITS + INPUTS)];
    double W_C[UNITS * (UNITS + INPUTS)], W_o[UNITS * (UNITS + INPUTS)], x_t[INPUTS];
} drawn;

/* in[0]: X [T, 3, 1]; in[1]: Y [T, 2, 1] -> sum (o - Y)^2 / 2, whose gradient is the o - Y that the hand-written pass begins with */
static tl_tensor rnn(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor W_xh = tl_param(s, "W_xh", TL_DIMS(UNITS, INPUTS), .init = tl_values(drawn.W_xh));
    tl_tensor W_hh = tl_param(s, "W_hh", TL_DIMS(UNITS, UNITS), .init = tl_values(drawn.W_hh));
    tl_tensor W_hy = tl_param(s, "W_hy", TL_DIMS(OUTPUTS, UNITS), .init = tl_values(drawn.W_hy));
    tl_tensor b_h = tl_param(s, "b_h", TL_DIMS(UNITS, 1), .init = tl_values(drawn.b_h));
    tl_tensor b_y = tl_param(s, "b_y", TL_DIMS(OUTPUTS, 1), .init = tl_values(drawn.b_y));
    tl_tensor h = tl_full(s, TL_DIMS(UNITS, 1), 0), y[STEPS];
    for (int t = 0; t < STEPS; t++) {
        h = tl_tanh(tl_add(tl_add(tl_matmul(W_xh, tl_at(in[0], t)), tl_matmul(W_hh, h)), b_h));
        y[t] = tl_add(tl_matmul(W_hy, h), b_y);
    }
    tl_tensor outputs = tl_stack(STEPS, y, 0);
    tl_output(s, "outputs", outputs);
    tl_output(s, "hidden", h);
    return tl_absent(in[1]) ? TL_NONE : tl_scale(tl_sum(tl_square(tl_sub(outputs, in[1])), TL_ALL), 0.5);
}

/* One step of an LSTM from zeros, a matrix a gate over [h; x]. in[0]: x [3, 1] */
static tl_tensor lstm(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor zero = tl_full(s, TL_DIMS(UNITS, 1), 0), gate[4];
    tl_tensor hx = tl_concat(2, ((tl_tensor[]){ zero, in[0] }), 0);
    const double *const W[] = { drawn.W_f, drawn.W_i, drawn.W_C, drawn.W_o };
    for (int k = 0; k < 4; k++) {
        const char *name = (const char *[]){ "W_f", "W_i", "W_C", "W_o" }[k];
        gate[k] = tl_matmul(tl_param(s, name, TL_DIMS(UNITS, UNITS + INPUTS), .init = tl_values(W[k])), hx);
    }
    tl_tensor C = tl_add(tl_mul(tl_sigmoid(gate[0]), zero), tl_mul(tl_sigmoid(gate[1]), tl_tanh(gate[2])));
    tl_output(s, "cell", C);
    tl_output(s, "hidden", tl_mul(tl_sigmoid(gate[3]), tl_tanh(C)));
    return TL_NONE;
}

/* ---- the program -------------------------------------------------------------------------------------------------- */

static int64_t epochs = 201;
static double rate = 0.01;
static const arg options[] = {
    { "epochs", ARG_INT, &epochs, "of training", 1, 1e9, NULL },
    { "lr", ARG_NUMBER, &rate, "learning rate", 1e-9, 100, NULL },
};

static tl_array column(double *data, int rank, int64_t steps, int64_t rows)
{
    tl_array a = { .dtype = TL_F64, .rank = rank, .batch_axis = rank - 1, .data = data };
    if (rank == 3) a.dim[0] = steps;
    a.dim[rank - 2] = rows;
    a.dim[rank - 1] = 1;
    return a;
}

/* An output of the last step, as a row of numbers for each time step. */
static void print(tl_trainer *trainer, const char *name, const char *title, int rows)
{
    tl_array a;
    must(tl_get(tl_trainer_session(trainer, TL_PREDICT), name, &a));
    printf("%s\n", title);
    const int64_t n = a.rank == 3 ? a.dim[0] * a.dim[1] : a.dim[0];
    for (int64_t i = 0; i < n; i++) printf("%14.8f%s", ((const double *)a.data)[i], (i + 1) % rows ? "" : "\n");
}

static tl_trainer *trainer_of(tl_model_fn fn, tl_model **model)
{
    *model = tl_model_new(.dtype = TL_F64);
    tl_trainer *t = *model ? tl_trainer_new(*model, fn, .optimizer = tl_sgd(.lr = rate), .explain = args_explain())
                           : NULL;
    if (!t) args_fail(1, "%s", tl_message());
    return t;
}

/* The mean squared error of every tenth epoch, before its update. */
static double train(tl_trainer *trainer, const tl_array *in)
{
    static char names[24][24];
    double loss = NAN;
    for (int64_t epoch = 0; epoch < epochs; epoch++) {
        must(tl_train_step(trainer, in, 2, &loss));
        const double mean = 2 * loss / (STEPS * OUTPUTS);
        if (epoch % 10 == 0) printf("Epoch %lld, Loss: %.4f\n", (long long)epoch, mean);
        if (epoch % 10 || epoch / 10 >= 24) continue;
        snprintf(names[epoch / 10], sizeof *names, "loss_%lld", (long long)epoch);
        figure(names[epoch / 10], mean);
    }
    must(tl_test_step(trainer, in, 2, &loss));
    return 2 * loss / (STEPS * OUTPUTS);
}

int main(int argc, char **argv)
{
    tl_model *model, *cell;
    args_read(argc, argv, "a recurrent network and an LSTM cell, number by number as NumPy has them", options,
              sizeof options / sizeof *options);
    numpy_seed(42);
    randn((double *)&drawn, sizeof drawn / sizeof(double));
    tl_trainer *trainer = trainer_of(rnn, &model), *lstm_trainer = trainer_of(lstm, &cell);
    const tl_array in[] = { column(drawn.X, 3, STEPS, INPUTS), column(drawn.Y, 3, STEPS, OUTPUTS) };
    const tl_array x_t = column(drawn.x_t, 2, 1, INPUTS);

    must(tl_predict_step(trainer, (tl_array[]){ in[0], TL_ABSENT_ARRAY }, 2));
    print(trainer, "hidden", "Final hidden state:", UNITS);
    print(trainer, "outputs", "Outputs, a row for each time step:", OUTPUTS);

    const tl_gradcheck_result check = tl_gradcheck(model, rnn, in, 2, NULL);
    if (!check.passed) args_fail(1, "%s", tl_message());
    printf("\nThe gradient through time, checked against differences: worst relative error %.0e\n", check.worst);
    figure("gradient_error", check.worst);
    figure("final_mse", train(trainer, in));
    must(tl_predict_step(trainer, (tl_array[]){ in[0], TL_ABSENT_ARRAY }, 2));
    print(trainer, "outputs", "Outputs after training:", OUTPUTS);

    must(tl_predict_step(lstm_trainer, &x_t, 1));
    print(lstm_trainer, "hidden", "\nLSTM cell, new hidden state:", UNITS);
    print(lstm_trainer, "cell", "LSTM cell, new cell state:", UNITS);
    figures_write();
    args_plan(trainer);
    tl_trainer_free(trainer);
    tl_trainer_free(lstm_trainer);
    tl_model_free(model);
    tl_model_free(cell);
    return 0;
}
