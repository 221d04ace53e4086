/* examples/custom_cell.c - a recurrent cell of one's own: written, gradient-checked, and trained beside the LSTM.
 *
 * The adding problem (Hochreiter & Schmidhuber 1997): a sequence of random numbers, two of which are marked; the answer
 * is the sum of those two. Always answering 1 has a mean squared error of 1/6; anything better needs memory. */
#include <stdio.h>
#include <stdlib.h>

#include "args.h"
#include "tapeloop.h"

/* A cell that no library ships: it guesses its input from its state, and writes where the guess was wrong.
 *     e = (x - (h P + p))^2    w = sigmoid(e We + h Ue + be)    c = tanh(x Wc + h Uc + bc)    h' = (1 - w) h + w c */
static tl_tensor surprise_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    tl_tensor guess = tl_dense(s, *h, .units = tl_dim(x, -1), .name = "guess");
    tl_tensor error = tl_square(tl_sub(x, guess));
    tl_tensor write = tl_sigmoid(tl_gate(s, "write", error, *h, .bias = -2));
    tl_tensor fresh = tl_tanh(tl_gate(s, "fresh", x, *h));
    return *h = tl_lerp(*h, fresh, write);
}
static const tl_cell surprise = { .step = surprise_step };

static int64_t length = 40, batch = 32, units = 32, steps = 1500;
static double rate = 0.003;

static const arg options[] = {
    { "length", ARG_INT, &length, "numbers in a sequence", 2, 100000, NULL },
    { "batch", ARG_INT, &batch, "sequences in a step", 1, 100000, NULL },
    { "units", ARG_INT, &units, "size of the state", 1, 65536, NULL },
    { "steps", ARG_INT, &steps, "of training", 1, 1e9, NULL },
    { "lr", ARG_NUMBER, &rate, "learning rate of Adam", 1e-9, 100, NULL },
};

/* in[0]: numbers and marks [T, B, 2]; in[1]: sums [B, 1] -> the mean squared error. user: is it our cell? */
static tl_tensor adding(tl_scope *s, const tl_tensor *in, void *user)
{
    tl_cell cell = *(const bool *)user ? surprise : tl_lstm_cell(s);
    tl_tensor h = tl_rnn(s, in[0], cell, .units = units);
    return tl_mse(tl_dense(s, h, .units = 1), in[1]);
}

/* ---- data --------------------------------------------------------------------------------------------------- */

/* Xorshift (Marsaglia 2003), in [0, 1). */
static double next_random(uint64_t *x)
{
    if (!*x) *x = 1;
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return (double)(*x >> 11) * 0x1p-53;
}

/* One mark in each half. in: [T, B, 2], sums: [B, 1] */
static void fill(uint64_t *random, float *in, float *sums)
{
    for (int64_t i = 0; i < length * batch; i++) {
        in[2 * i] = (float)next_random(random);
        in[2 * i + 1] = 0;
    }
    for (int64_t b = 0; b < batch; b++) {
        const int64_t half = length / 2;
        const int64_t one = (int64_t)(next_random(random) * (double)half);
        const int64_t two = half + (int64_t)(next_random(random) * (double)(length - half));
        sums[b] = in[2 * (one * batch + b)] + in[2 * (two * batch + b)];
        in[2 * (one * batch + b) + 1] = in[2 * (two * batch + b) + 1] = 1;
    }
}

/* ---- the check and the race --------------------------------------------------------------------------------- */

typedef struct runner {
    const char *name;
    bool ours;
    tl_model *model;
    tl_trainer *trainer;
    double sum, loss; /* since the last line, and as printed there */
} runner;
static runner runners[2] = { { .name = "surprise", .ours = true }, { .name = "lstm" } };

static void check(runner *r, const tl_array *in)
{
    const tl_gradcheck_result g = tl_gradcheck(r->model, adding, in, 2, &r->ours);
    if (!g.passed) args_fail(1, "%s", tl_message());
    printf("gradient check of %s: passed, %d probes, ", r->name, g.probes);
    if (g.worst > 0) printf("worst relative error %.1e (%s)\n", g.worst, g.where);
    else printf("no error beyond rounding\n");
    figure("gradient_error", g.worst);
}

static void race(const tl_array *in)
{
    uint64_t random = args_seed() * 0x9E3779B97F4A7C15u + 1;
    const int64_t every = steps < 10 ? 1 : steps / 10;
    printf("%8s %12s %12s   mean squared error (0.1667: no memory)\n", "step", runners[0].name, runners[1].name);
    for (int64_t step = 1; step <= steps; step++) {
        fill(&random, in[0].data, in[1].data);
        for (runner *r = runners; r < runners + 2; r++) {
            double loss;
            must(tl_train_step(r->trainer, in, 2, &loss));
            r->sum += loss;
            if (step % every == 0) r->loss = r->sum / (double)every, r->sum = 0;
        }
        if (step % every == 0) printf("%8lld %12.5f %12.5f\n", (long long)step, runners[0].loss, runners[1].loss);
        if (step % every == 0) fflush(stdout);
    }
    printf("%8s %12lld %12lld   parameters\n", "", (long long)tl_model_size(runners[0].model),
           (long long)tl_model_size(runners[1].model));
}

int main(int argc, char **argv)
{
    args_read(argc, argv, "a cell of one's own beside the LSTM, on the adding problem", options,
              sizeof options / sizeof *options);
    float *x = calloc((size_t)(length * batch * 2), sizeof *x), *y = calloc((size_t)batch, sizeof *y);
    if (!x || !y) args_fail(1, "out of memory");
    const tl_array in[2] = { { .dtype = TL_F32, .rank = 3, .dim = { length, batch, 2 }, .data = x },
                             { .dtype = TL_F32, .rank = 2, .dim = { batch, 1 }, .batch_axis = TL_ZERO, .data = y } };
    for (runner *r = runners; r < runners + 2; r++) {
        r->model = tl_model_new(.seed = args_seed());
        if (!r->model) args_fail(1, "%s", tl_message());
        r->trainer = tl_trainer_new(r->model, adding, .user = &r->ours, .clip_norm = 1,
                                    .optimizer = tl_adam(.lr = rate), .explain = args_explain());
        if (!r->trainer) args_fail(1, "%s", tl_message());
    }
    uint64_t random = args_seed();
    fill(&random, x, y);
    check(&runners[0], in);
    race(in);
    figure("surprise_loss", runners[0].loss);
    figure("lstm_loss", runners[1].loss);
    figure("surprise_parameters", (double)tl_model_size(runners[0].model));
    figure("lstm_parameters", (double)tl_model_size(runners[1].model));
    figure("steps", (double)steps);
    figures_write();
    args_plan(runners[0].trainer);
    for (runner *r = runners; r < runners + 2; r++) {
        tl_trainer_free(r->trainer);
        tl_model_free(r->model);
    }
    free(x);
    free(y);
    return 0;
}
