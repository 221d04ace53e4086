/* tests/conformance_layers.c - layers that are not recurrent, and short networks of several. */
#include "conformance_cells.h"

/* ---- dense, embedding, dropout --------------------------------------------------------------------------------- */

/* A dense layer in our scope `path` from Keras' kernel and bias after `prefix`; how many units. */
static int64_t dense_params(replay *r, const char *path, const char *prefix)
{
    const char *kernel = text(r, "%skernel", prefix);
    param(r, text(r, "%s/W", path), kernel, (part){ 0 });
    param(r, text(r, "%s/b", path), text(r, "%sbias", prefix), (part){ 0 });
    return dim_of(r, "par", kernel, 1);
}

static void keras_dense(replay *r)
{
    const int64_t units = dense_params(r, "dense", "");
    output(r, "y",
           tl_dense(r->s, input(r, "x"), .units = units, .activation = activation_of(r, "activation"),
                    .no_bias = !has(r, "par", "bias")));
}

static void linear(replay *r)
{
    param(r, "dense/W", "weight", (part){ .transposed = true });
    param(r, "dense/b", "bias", (part){ 0 });
    output(r, "y",
           tl_dense(r->s, input(r, "x"), .units = dim_of(r, "par", "weight", 0), .no_bias = !has(r, "par", "bias")));
}

typedef struct dense_of {
    int64_t units;
    tl_activation activation;
    bool no_bias;
} dense_of;

static tl_tensor dense_step(tl_scope *s, tl_tensor x, const void *ctx)
{
    const dense_of *d = ctx;
    return tl_dense(s, x, .units = d->units, .activation = d->activation, .no_bias = d->no_bias);
}

static void time_distributed(replay *r)
{
    const dense_of d = { dense_params(r, "time_distributed/dense", "dense."), activation_of(r, "activation"),
                         !has(r, "par", "dense.bias") };
    output(r, "y", swapped(tl_time_distributed(r->s, swapped(input(r, "x")), dense_step, &d)));
}

static void keras_embedding(replay *r)
{
    param(r, "embedding/W", "embeddings", (part){ 0 });
    output(r, "y",
           tl_embedding(r->s, input(r, "ids"), .vocab = dim_of(r, "par", "embeddings", 0),
                        .units = dim_of(r, "par", "embeddings", 1)));
}

/* The gradient of a row is divided by how often its id comes: y = row / count, its value without gradient put right. */
static tl_tensor by_frequency(tl_tensor y, tl_tensor ids, int64_t vocab)
{
    const tl_tensor count = tl_sum(tl_one_hot(tl_reshape(ids, TL_DIMS(-1)), vocab), TL_AXES(0));
    const tl_tensor share = tl_div(y, tl_expand_dims(tl_gather(count, ids), -1));
    return tl_add(share, tl_stop_gradient(tl_sub(y, share)));
}

static void torch_embedding(replay *r)
{
    const int64_t vocab = dim_of(r, "par", "weight", 0), padding = fx_int(r->c, "padding_idx", -1);
    const tl_tensor ids = input(r, "ids");
    param(r, "embedding/W", "weight", (part){ 0 });
    const tl_tensor y = tl_embedding(r->s, ids, .vocab = vocab, .units = dim_of(r, "par", "weight", 1),
                                     .padding_id = padding < 0 ? 0
                                                   : padding   ? padding
                                                               : TL_ZERO);
    output(r, "y", fx_num(r->c, "scale_grad_by_freq", 0) ? by_frequency(y, ids, vocab) : y);
}

static void bilinear(replay *r)
{
    const tl_tensor y = tl_bilinear(input(r, "x1"), weight(r, "weight"), input(r, "x2")), b = weight(r, "bias");
    output(r, "y", tl_absent(b) ? y : tl_add(y, b));
}

static void dropout_given(replay *r)
{
    output(r, "y", tl_scale(tl_mul(input(r, "x"), input(r, "keep")), 1 / (1 - fx_num(r->c, "p", 0))));
}

/* ---- normalisation -------------------------------------------------------------------------------------------- */

/* The axes that the attribute lists, as bits; `otherwise` is the axis where there is none. */
static unsigned axes_of(const replay *r, int rank, long otherwise)
{
    const char *s = fx_attr(r->c, "axis");
    unsigned axes = s || !rank ? 0 : 1u << (otherwise + rank) % rank;
    for (char *end; s && *s; s = *end ? end + 1 : end) {
        const long axis = strtol(s, &end, 10);
        if (end != s && axis >= -rank && axis < rank) axes |= 1u << (axis + rank) % rank;
    }
    return axes;
}

/* These axes come last; back: they come where they were. */
static tl_tensor last(tl_tensor x, unsigned axes, bool back)
{
    int order[TL_MAX_RANK] = { 0 }, undo[TL_MAX_RANK] = { 0 }, n = 0;
    for (unsigned listed = 0; listed < 2; listed++)
        for (int a = 0; a < tl_rank(x); a++)
            if ((axes >> a & 1) == listed) undo[a] = n, order[n++] = a;
    return tl_permute(x, back ? undo : order);
}

static void layer_norm(replay *r, unsigned axes, const char *gain, const char *shift, double epsilon)
{
    param(r, "layer_normalization/gain", gain, (part){ 0 });
    param(r, "layer_normalization/shift", shift, (part){ 0 });
    const tl_tensor x = last(input(r, "x"), axes, false);
    const tl_tensor y = tl_layer_normalization(r->s, x, .axes = __builtin_popcount(axes), .epsilon = epsilon,
                                               .no_gain = !has(r, "par", gain), .no_shift = !has(r, "par", shift));
    output(r, "y", last(y, axes, true));
}

/* `axes` is how many of the last. */
static void torch_layer_norm(replay *r)
{
    const int rank = tl_rank(input(r, "x")), n = (int)fx_int(r->c, "axes", 1);
    if (n < 1 || n > rank) fail(r, "axes = %d", n);
    else layer_norm(r, ((1u << n) - 1) << (rank - n), "weight", "bias", fx_num(r->c, "eps", 1e-5));
}

static void keras_layer_norm(replay *r)
{
    const unsigned axes = axes_of(r, tl_rank(input(r, "x")), -1);
    layer_norm(r, axes, "gamma", "beta", fx_num(r->c, "epsilon", 1e-3));
}

/* `training` is an attribute of the case. */
static void batch_norm(replay *r, long channels, const char *gain, const char *shift, double momentum, double epsilon,
                       bool unbiased)
{
    param(r, "batch_norm/gain", gain, (part){ 0 });
    param(r, "batch_norm/shift", shift, (part){ 0 });
    const tl_tensor x = input(r, "x");
    const unsigned axis = axes_of(r, tl_rank(x), channels);
    const tl_tensor y = tl_batch_norm(r->s, last(x, axis, false), .momentum = momentum, .epsilon = epsilon,
                                      .unbiased = unbiased, .no_gain = !has(r, "par", gain),
                                      .no_shift = !has(r, "par", shift));
    output(r, "y", last(y, axis, true));
}

static void torch_batch_norm(replay *r)
{
    model_state(r, "batch_norm/mean", "in", "running_mean");
    model_state(r, "batch_norm/variance", "in", "running_var");
    batch_norm(r, 1, "weight", "bias", 1 - fx_num(r->c, "momentum", 0.1), fx_num(r->c, "eps", 1e-5), true);
}

static void keras_batch_norm(replay *r)
{
    model_state(r, "batch_norm/mean", "par", "moving_mean");
    model_state(r, "batch_norm/variance", "par", "moving_variance");
    batch_norm(r, -1, "gamma", "beta", fx_num(r->c, "momentum", 0.99), fx_num(r->c, "epsilon", 1e-3), false);
}

/* ---- losses over alignments ------------------------------------------------------------------------------------- */

static void ctc(replay *r)
{
    const bool none = fx_is(r->c, "reduction", "none"), sum = fx_is(r->c, "reduction", "sum");
    const tl_tensor loss = tl_ctc_loss(r->s, tl_log_softmax(input(r, "logits")), input(r, "target"), input(r, "in_len"),
                                       input(r, "tg_len"), .blank = fx_int(r->c, "blank", 0),
                                       .reduction = none  ? TL_REDUCE_NONE
                                                    : sum ? TL_REDUCE_SUM
                                                          : TL_REDUCE_MEAN,
                                       .zero_infinity = fx_num(r->c, "zero_infinity", 0) != 0);
    if (none) output(r, name_of(r, "out", 0), loss);
    else add_loss(r, loss);
}

/* ---- networks -------------------------------------------------------------------------------------------------- */

/* Embedding(mask_zero) -> LSTM(sequences) -> GRU -> Dense(sigmoid); the mask reaches the GRU, or is dropped before it. */
static void embedding_pipeline(replay *r)
{
    param(r, "embedding/W", "L0.embeddings", (part){ 0 });
    const int64_t lstm = cell_params(r, &keras_lstm, "lstm/", "L1."), gru = cell_params(r, &keras_gru, "gru/", "L2.");
    const int64_t units = dense_params(r, "dense", "L3."), vocab = dim_of(r, "par", "L0.embeddings", 0);
    const tl_tensor ids = swapped(input(r, "ids"));
    tl_tensor x = tl_embedding(r->s, ids, .vocab = vocab, .units = dim_of(r, "par", "L0.embeddings", 1),
                               .mask_zero = true);
    x = tl_lstm(r->s, x, .units = lstm, .return_sequences = true);
    if (!fx_num(r->c, "mask_propagates", 1)) x = tl_masked(x, TL_NONE);
    x = tl_gru(r->s, x, .units = gru);
    output(r, "y", tl_dense(r->s, x, .units = units, .activation = tl_sigmoid));
}

/* Masking(v) -> SimpleRNN(sequences) -> TimeDistributed(Dense): steps all of whose features are v are padding. */
static void masking_pipeline(replay *r)
{
    const char *masking = fx_attr(r->c, "layers") ? strstr(fx_attr(r->c, "layers"), "Masking(") : NULL;
    const double value = masking ? strtod(masking + strlen("Masking("), NULL) : 0;
    const int64_t rnn = cell_params(r, &keras_simple_rnn, "simple_rnn/", "L1.");
    const dense_of d = { .units = dense_params(r, "time_distributed/dense", "L2.dense.") };
    tl_tensor x = swapped(input(r, "x"));
    x = tl_masked(x, tl_max(tl_not_equal(x, tl_full_like(x, value)), TL_AXES(-1)));
    x = tl_simple_rnn(r->s, x, .units = rnn, .return_sequences = true);
    output(r, "y", swapped(tl_time_distributed(r->s, x, dense_step, &d)));
}

const op_row layer_rows[] = {
    { "keras_dense", keras_dense },
    { "linear", linear },
    { "keras_timedistributed_dense", time_distributed },
    { "keras_embedding", keras_embedding },
    { "embedding", torch_embedding },
    { "bilinear", bilinear },
    { "dropout", dropout_given },
    { "layernorm", torch_layer_norm },
    { "keras_layernorm", keras_layer_norm },
    { "batchnorm1d", torch_batch_norm },
    { "keras_batchnorm", keras_batch_norm },
    { "ctc", ctc },
    { "keras_pipeline_mask", embedding_pipeline },
    { "keras_pipeline_masking", masking_pipeline },
    { 0 },
};
