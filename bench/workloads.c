/* bench/workloads.c - the models, written as a user of the library would, and the table of all workloads. */
#include "workloads.h"
#include "cells.h"

/* ---- models ------------------------------------------------------------------------------------------------- */

/* in[0]: ids [T, B]; in[1]: the next one [B]. */
static tl_tensor char_rnn(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor h = tl_simple_rnn(s, tl_one_hot(in[0], 60), .units = 128);
    return tl_cross_entropy(tl_dense(s, h, .units = 60), in[1]);
}

/* in[0]: ids [T, B]; in[1]: the next ones [T, B]; in[2], where given: lengths [B]. */
static tl_tensor char_lm(tl_scope *s, const tl_tensor *in, void *user)
{
    const workload *w = user;
    tl_tensor x = tl_masked(tl_embedding(s, in[0], .vocab = 100, .units = 64), in[2]);
    tl_tensor h = tl_rnn(s, x, w->cell(s), .units = 256, .return_sequences = true);
    return tl_cross_entropy(tl_dense(s, h, .units = 100), in[1]);
}

static tl_tensor char_lm_bidirectional(tl_scope *s, const tl_tensor *in, void *user)
{
    const workload *w = user;
    tl_tensor h = tl_embedding(s, in[0], .vocab = 100, .units = 64);
    h = tl_bidirectional(s, h, w->cell(s), .units = 256, .return_sequences = true, .name = "layer1");
    h = tl_bidirectional(s, h, w->cell(s), .units = 256, .return_sequences = true, .name = "layer2");
    return tl_cross_entropy(tl_dense(s, h, .units = 100), in[1]);
}

static tl_tensor word_lm(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor h = tl_embedding(s, in[0], .vocab = 10000, .units = 512);
    h = tl_lstm(s, h, .units = 512, .return_sequences = true, .name = "lstm1");
    h = tl_lstm(s, h, .units = 512, .return_sequences = true, .name = "lstm2");
    return tl_cross_entropy(tl_dense(s, h, .units = 10000), in[1]);
}

/* in[0]: [T, B, 64]; in[1]: classes [B]. */
static tl_tensor gru_classify(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    return tl_cross_entropy(tl_dense(s, tl_gru(s, in[0], .units = 256), .units = 10), in[1]);
}

/* in[0]: ids [T, B]; in[1]: 0 or 1, [B, 1]. The loss: -ln of the probability of the answer, from the logit z. */
static tl_tensor sentiment(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor x = tl_embedding(s, in[0], .vocab = 100000, .units = 32);
    tl_tensor z = tl_dense(s, tl_simple_rnn(s, x, .units = 64), .units = 1);
    return tl_mean(tl_sub(tl_softplus(z), tl_mul(z, in[1])), TL_ALL);
}

static tl_tensor hello(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor x = tl_embedding(s, in[0], .vocab = 8, .units = 8);
    return tl_cross_entropy(tl_dense(s, tl_simple_rnn(s, x, .units = 16), .units = 8), in[1]);
}

/* in[0]: x [T, B, D]; in[1]: the gradient of the layer's output. All gradients are results: "dx", and "d0", "d1", ...
 * of the parameters in the order of their requests. */
static tl_tensor layer(tl_scope *s, const tl_tensor *in, void *user)
{
    static const char *const name[] = {
        "dx", "d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8", "d9", "d10", "d11"
    };
    enum { MAX = sizeof name / sizeof *name };
    const workload *w = user;
    tl_tensor y = tl_rnn(s, in[0], w->cell(s), .units = 256, .return_sequences = true);
    tl_tensor wrt[MAX] = { in[0] }, d[MAX];
    const int found = tl_params(s, NULL, wrt + 1, MAX - 1), n = 1 + (found < MAX ? found : MAX - 1);
    tl_grad(tl_mul(y, in[1]), wrt, n, d);
    for (int i = 0; i < n; i++) tl_output(s, name[i], d[i]);
    tl_output(s, "y", y);
    return TL_NONE;
}

/* One step of inference, in[0]: x [1, 1, D]; the state stays in the session. */
static tl_tensor stream(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_output(s, "y", tl_lstm(s, in[0], .units = 256, .stateful = true, .return_sequences = true));
    return TL_NONE;
}

/* ---- inputs ------------------------------------------------------------------------------------------------- */

int64_t input_size(const input *in)
{
    int64_t n = 1;
    for (int a = 0; a < in->rank; a++) n *= in->dim[a];
    return n;
}

/* Xorshift (Marsaglia 2003), in [0, 1). */
static double next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return (double)(*x >> 11) * 0x1p-53;
}

/* In [lo, hi). */
static void uniform(const input *in, uint64_t *random, void *data)
{
    float *x = data;
    for (int64_t i = 0; i < input_size(in); i++) x[i] = (float)(in->lo + (in->hi - in->lo) * next_random(random));
}

/* lo or hi. */
static void either(const input *in, uint64_t *random, void *data)
{
    float *x = data;
    for (int64_t i = 0; i < input_size(in); i++) x[i] = (float)(next_random(random) < 0.5 ? in->lo : in->hi);
}

/* Whole numbers from lo to hi - 1. */
static void ids(const input *in, uint64_t *random, void *data)
{
    int32_t *x = data;
    for (int64_t i = 0; i < input_size(in); i++) x[i] = (int32_t)(in->lo + (in->hi - in->lo) * next_random(random));
}

/* Whole numbers from lo at the first to hi at the last. */
static void ramp(const input *in, uint64_t *random, void *data)
{
    (void)random;
    int32_t *x = data;
    const int64_t n = input_size(in);
    for (int64_t i = 0; i < n; i++) x[i] = (int32_t)(in->lo + (in->hi - in->lo) * (double)i / (double)(n - 1));
}

#define IDS(vocab, ...)                                                                                                \
    {                                                                                                                  \
        TL_I32, sizeof((int[]){ __VA_ARGS__ }) / sizeof(int), { __VA_ARGS__ }, ids, 0, vocab                           \
    }
#define NUMBERS(...)                                                                                                   \
    {                                                                                                                  \
        TL_F32, sizeof((int[]){ __VA_ARGS__ }) / sizeof(int), { __VA_ARGS__ }, uniform, -1, 1                          \
    }

/* ---- the table ---------------------------------------------------------------------------------------------- */

#define OPTIMIZER(...)                                                                                                 \
    {                                                                                                                  \
        .size = sizeof(tl_optimizer_desc), __VA_ARGS__                                                                 \
    }

/* char_lm's, T 64 and B 32: 2048 tokens. */
#define CHAR_LM                                                                                                        \
    .optimizer = OPTIMIZER(.rule = TL_ADAM), .clip = 1, .tokens = 2048, .inputs = { IDS(100, 64, 32), IDS(100, 64, 32) }

/* Its model with a cell of `gates` gates, and `more` parameters beside embedding, gates and dense layer. */
#define CUSTOM(gates, more)                                                                                            \
    .model = char_lm, CHAR_LM, .parameters = 6400 + (gates) * (320 * 256 + 256) + 25700 + (more),                      \
    .products = { { 2048, 320, (gates)*256, 3 }, { 2048, 256, 100, 3 } }

#define COMPILED(T)                                                                                                    \
    .kind = COMPILE, .model = char_lm, .cell = library_lstm, .parameters = 360804,                                     \
    .inputs = { IDS(100, T, 32), IDS(100, T, 32) }

#define LAYER(gates, biases)                                                                                           \
    .kind = RUN, .model = layer, .tokens = 2048, .parameters = (gates)*512 * 256 + (biases)*256,                       \
    .inputs = { NUMBERS(64, 32, 256), NUMBERS(64, 32, 256) }, .products = { { 2048, 512, (gates)*256, 3 } }

const workload workloads[] = {
    { "char_rnn", "one-hot 60, SimpleRNN(128), Dense(60) on the last step, T 10, B 128, RMSprop", .model = char_rnn,
      .optimizer = OPTIMIZER(.rule = TL_RMSPROP), .tokens = 1280, .parameters = 31932,
      .inputs = { IDS(60, 10, 128), IDS(60, 128) },
      .products = { { 1280, 60, 128, 2 }, { 1280, 128, 128, 3 }, { 128, 128, 60, 3 } } },
    { "char_lm", "Embedding(100, 64), LSTM(256), Dense(100) on every step, T 64, B 32, Adam, clip 1",
      .cell = library_lstm, CUSTOM(4, 0) },
    { "word_lm", "Embedding(10000, 512), 2 LSTM(512), Dense(10000) on every step, T 35, B 20, SGD, clip 5",
      .model = word_lm, .optimizer = OPTIMIZER(.rule = TL_SGD, .lr = 1), .clip = 5, .tokens = 700,
      .parameters = 14448400, .inputs = { IDS(10000, 35, 20), IDS(10000, 35, 20) },
      .products = { { 700, 1024, 2048, 3 }, { 700, 1024, 2048, 3 }, { 700, 512, 10000, 3 } } },
    { "gru_classify", "input 64, GRU(256), Dense(10) on the last step, T 64, B 64, Adam", .model = gru_classify,
      .optimizer = OPTIMIZER(.rule = TL_ADAM), .tokens = 4096, .parameters = 249866,
      .inputs = { NUMBERS(64, 64, 64), IDS(10, 64) },
      .products = { { 4096, 64, 768, 2 }, { 4096, 256, 768, 3 }, { 64, 256, 10, 3 } } },
    { "sentiment", "Embedding(100000, 32), SimpleRNN(64), Dense(1) on the last step, T 200, B 64, Adam on used rows",
      .model = sentiment, .optimizer = OPTIMIZER(.rule = TL_ADAM, .lazy = true), .tokens = 12800, .parameters = 3206273,
      .inputs = { IDS(100000, 200, 64), { TL_F32, 2, { 64, 1 }, either, 0, 1 } },
      .products = { { 12800, 96, 64, 3 }, { 64, 64, 1, 3 } } },
    { "hello", "Embedding(8, 8), SimpleRNN(16), Dense(8) on the last step, T 4, B 6, Adam", .model = hello,
      .optimizer = OPTIMIZER(.rule = TL_ADAM), .tokens = 24, .parameters = 600, .inputs = { IDS(8, 4, 6), IDS(8, 6) },
      .products = { { 24, 24, 16, 3 }, { 6, 16, 8, 3 } } },
    { "layer", "LSTM(256) alone, input 256, T 64, B 32, forward and backward with the input's gradient",
      .cell = library_lstm, LAYER(4, 4) },
    { "layer_gru", "GRU(256) alone, likewise", .cell = library_gru, LAYER(3, 6) },
    { "custom_lstm", "char_lm with an LSTM as user code, a product for each gate", .cell = lstm, CUSTOM(4, 0) },
    { "custom_lstm_concat", "the same with one product for all gates, of input and state side by side",
      .cell = lstm_concat, CUSTOM(4, 0) },
    { "custom_peephole", "the same with peepholes", .cell = lstm_peephole, CUSTOM(4, 3 * 256) },
    { "custom_mgu", "the same with a minimal gated unit", .cell = mgu, CUSTOM(2, 0) },
    { "custom_lnlstm", "the same with a layer-normalised LSTM", .cell = lstm_normed, CUSTOM(4, 10 * 256) },
    { "custom_bigru", "the same with two layers of a bidirectional GRU", .cell = gru, .model = char_lm_bidirectional,
      CHAR_LM, .parameters = 6400 + 2 * 768 * (320 + 1) + 2 * 768 * (768 + 1) + 51300,
      .products = { { 2048, 320, 1536, 3 }, { 2048, 768, 1536, 3 }, { 2048, 512, 100, 3 } } },
    { "stream", "LSTM(256), input 64, one row, one step of inference at a time", .kind = RUN, .model = stream,
      .tokens = 1, .parameters = 328704, .inputs = { NUMBERS(1, 1, 64) }, .products = { { 1, 320, 1024, 1 } } },
    { "ragged", "char_lm on rows of 8 to 64 steps, the rest masked; real tokens and their products count",
      .cell = library_lstm, .model = char_lm, .optimizer = OPTIMIZER(.rule = TL_ADAM), .clip = 1, .tokens = 1137,
      .parameters = 360804, .inputs = { IDS(100, 64, 32), IDS(100, 64, 32), { TL_I32, 1, { 32 }, ramp, 8, 64 } },
      .products = { { 1137, 320, 1024, 3 }, { 1137, 256, 100, 3 } } },
    { "compile", "recording, gradient and compilation of char_lm, T 64", COMPILED(64) },
    { "compile_2000", "the same, T 2000", COMPILED(2000) },
};
const int n_workloads = sizeof workloads / sizeof *workloads;

double workload_flops(const workload *w)
{
    double flops = 0;
    for (const product *p = w->products; p < w->products + MAX_PRODUCTS; p++)
        flops += 2.0 * (double)p->rows * (double)p->in * (double)p->out * p->passes;
    return flops;
}
