/* tests/conformance_losses.c - losses of PyTorch and Keras. Positions lie in the vendors' order, [B, T]: no loss minds
 * what their axes are. */
#include "conformance.h"

static tl_tensor flat(tl_tensor x) { return tl_reshape(x, TL_DIMS(-1)); }

/* An operand that is a prediction or a target under any of the vendors' names. */
static tl_tensor first_of(replay *r, const char *const *name)
{
    while (name[1] && !has(r, "in", *name)) name++;
    return input(r, *name);
}

static tl_tensor prediction(replay *r)
{
    return first_of(r, (const char *const[]){ "y_pred", "logits", "logp", "p", "z", "y", "a", "x", NULL });
}

static tl_tensor target(replay *r) { return first_of(r, (const char *const[]){ "y_true", "target", "b", NULL }); }

static void result(replay *r, tl_tensor loss)
{
    if (tl_rank(loss) || has(r, "out", "loss")) output(r, "loss", loss);
    else add_loss(r, loss);
}

/* An option that is a number: 0 is said aloud, and what the case does not say is the vendor's default. */
static double number(replay *r, const char *key, double otherwise)
{
    const double v = fx_num(r->c, key, otherwise);
    return v == 0 ? TL_ZERO : v;
}

static bool flag(replay *r, const char *key, bool otherwise) { return fx_num(r->c, key, otherwise) != 0; }

/* The number of an attribute that is an id; 0 (none) if there is none. */
static int64_t id(replay *r, const char *key)
{
    const char *text = fx_attr(r->c, key);
    return !text || !strcmp(text, "none") ? 0 : fx_int(r->c, key, 0) == 0 ? TL_ZERO : fx_int(r->c, key, 0);
}

static tl_reduction reduction(replay *r)
{
    static const struct {
        const char *name;
        tl_reduction how;
    } names[] = { { "mean", TL_REDUCE_MEAN },
                  { "batchmean", TL_REDUCE_MEAN },
                  { "sum_over_batch_size", TL_REDUCE_MEAN },
                  { "mean_with_sample_weight", TL_REDUCE_WEIGHTED_MEAN },
                  { "sum", TL_REDUCE_SUM },
                  { "none", TL_REDUCE_NONE } };
    const char *name = fx_attr(r->c, "reduction");
    for (int k = 0; name && k < COUNT(names); k++)
        if (!strcmp(name, names[k].name)) return names[k].how;
    if (name) fail(r, "reduction \"%s\" is not known here", name);
    return TL_REDUCE_MEAN;
}

/* The row's loss of prediction and target. */
static tl_tensor loss_of(replay *r, tl_tensor y, tl_tensor t, tl_loss_opts o)
{
    o.size = sizeof o;
    if (!o.reduction) o.reduction = reduction(r);
    return tl_loss_opt(TL_HERE, r->row->loss, (tl_tensor[]){ y, t }, &o);
}

/* ---- PyTorch ---------------------------------------------------------------------------------------------------- */

/* Each element is a position; its weights are elements too. */
static void elementwise(replay *r)
{
    const bool batch = fx_is(r->c, "reduction", "batchmean");
    const tl_loss_opts o = {
        .per_element = !batch,
        .weights = input(r, "weight"),
        .pos_weight = input(r, "pos_weight"),
        .reduction = batch ? TL_REDUCE_SUM : 0,
        .probabilities = !strcmp(r->c->op, "bce"),
        .epsilon = !strcmp(r->c->op, "bce")           ? TL_ZERO
                   : !strcmp(r->c->op, "poisson_nll") ? number(r, "eps", 1e-8)
                                                      : 0,
        .beta = r->row->loss == TL_LOSS_SMOOTH_L1 ? number(r, "beta", 1) : 0,
        .delta = r->row->loss == TL_LOSS_HUBER ? number(r, "delta", 1) : 0,
        .log_input = r->row->loss == TL_LOSS_KL_DIVERGENCE ||
                     (r->row->loss == TL_LOSS_POISSON && flag(r, "log_input", true)),
        .log_target = flag(r, "log_target", false),
        .full = flag(r, "full", false),
    };
    const tl_tensor y = prediction(r), loss = loss_of(r, y, target(r), o);
    result(r, batch ? tl_scale(loss, 1 / (double)tl_dim(y, 0)) : loss);
}

/* Classes on the last axis: cross_entropy, cross_entropy_seq, cross_entropy_prob, nll_loss. The mean of ids divides by
 * their weights. Losses of a sequence lie one after the other. */
static void classes(replay *r)
{
    const tl_tensor y = prediction(r), t = target(r);
    const bool ids = tl_dtype_of(t) == TL_I32;
    const tl_reduction how = reduction(r);
    const tl_tensor loss = loss_of(
        r, y, t,
        (tl_loss_opts){ .class_weights = input(r, "class_weight"),
                        .ignore = ids ? id(r, "ignore_index") : 0,
                        .label_smoothing = fx_num(r->c, "label_smoothing", 0),
                        .reduction = ids && how == TL_REDUCE_MEAN ? TL_REDUCE_WEIGHTED_MEAN : how });
    const fx_tensor *out = fx_get(r->c, "out", "loss");
    result(r, out && out->ndim == 1 ? flat(loss) : loss);
}

static void cosine_similarity(replay *r)
{
    result(r, tl_neg(loss_of(r, prediction(r), target(r), (tl_loss_opts){ 0 })));
}

static void margin_ranking(replay *r)
{
    result(r, tl_margin_ranking(input(r, "a"), input(r, "b"), input(r, "target"), .margin = number(r, "margin", 0),
                                .per_element = true, .reduction = reduction(r)));
}

static void hinge_embedding(replay *r)
{
    result(r, loss_of(r, input(r, "y"), input(r, "target"),
                      (tl_loss_opts){ .per_element = true, .margin = number(r, "margin", 1) }));
}

static void gaussian_nll(replay *r)
{
    result(r, tl_gaussian_nll(input(r, "y"), input(r, "target"), input(r, "var"), .full = flag(r, "full", false),
                              .per_element = true, .reduction = reduction(r)));
}

static void cosine_embedding(replay *r)
{
    result(r, tl_cosine_embedding(input(r, "a"), input(r, "b"), input(r, "target"), .margin = number(r, "margin", 0),
                                  .reduction = reduction(r)));
}

static void triplet(replay *r)
{
    result(r, tl_triplet(input(r, "a"), input(r, "p"), input(r, "n"), .margin = number(r, "margin", 1),
                         .reduction = reduction(r)));
}

static void perplexity(replay *r)
{
    const tl_tensor ce = loss_of(r, prediction(r), target(r), (tl_loss_opts){ .ignore = id(r, "ignore_index") });
    output(r, "ce", ce);
    output(r, "perplexity", tl_exp(ce));
}

/* ---- Keras ------------------------------------------------------------------------------------------------------ */

/* Weights of samples [B] or of steps [B, T], for rows of which each is a position. */
static void keras(replay *r)
{
    const tl_loss kind = r->row->loss;
    const bool entropy = kind == TL_LOSS_CROSS_ENTROPY || kind == TL_LOSS_BINARY_CROSS_ENTROPY;
    const tl_tensor w = input(r, "sample_weight"), y = prediction(r);
    const tl_loss_opts o = {
        .weights = tl_rank(w) == 1 && tl_rank(y) == 3 ? tl_expand_dims(w, 1) : w, /* of [B, T] */
        .probabilities = entropy && !flag(r, "from_logits", false),
        .label_smoothing = fx_num(r->c, "label_smoothing", 0),
        .ignore = id(r, "ignore_class"),
        .delta = kind == TL_LOSS_HUBER ? number(r, "delta", 1) : 0,
    };
    result(r, loss_of(r, y, target(r), o));
}

#define KERAS(name, kind)                                                                                              \
    {                                                                                                                  \
        "keras_loss_" name, keras, .loss = kind                                                                        \
    }

const op_row loss_rows[] = {
    { "cross_entropy*", classes, .loss = TL_LOSS_CROSS_ENTROPY },
    { "nll_loss", classes, .loss = TL_LOSS_NLL },
    { "bce", elementwise, .loss = TL_LOSS_BINARY_CROSS_ENTROPY },
    { "bce_logits", elementwise, .loss = TL_LOSS_BINARY_CROSS_ENTROPY },
    { "mse", elementwise, .loss = TL_LOSS_MSE },
    { "l1", elementwise, .loss = TL_LOSS_MAE },
    { "smooth_l1", elementwise, .loss = TL_LOSS_SMOOTH_L1 },
    { "huber", elementwise, .loss = TL_LOSS_HUBER },
    { "poisson_nll", elementwise, .loss = TL_LOSS_POISSON },
    { "kl_div", elementwise, .loss = TL_LOSS_KL_DIVERGENCE },
    { "cosine_similarity", cosine_similarity, .loss = TL_LOSS_COSINE },
    { "margin_ranking", margin_ranking },
    { "hinge_embedding", hinge_embedding, .loss = TL_LOSS_HINGE_EMBEDDING },
    { "gaussian_nll", gaussian_nll },
    { "cosine_embedding", cosine_embedding },
    { "triplet", triplet },
    { "perplexity", perplexity, .loss = TL_LOSS_CROSS_ENTROPY },
    KERAS("sparsecategoricalcrossentropy", TL_LOSS_CROSS_ENTROPY),
    KERAS("categoricalcrossentropy", TL_LOSS_CROSS_ENTROPY),
    KERAS("binarycrossentropy", TL_LOSS_BINARY_CROSS_ENTROPY),
    KERAS("meansquarederror", TL_LOSS_MSE),
    KERAS("meanabsoluteerror", TL_LOSS_MAE),
    KERAS("meanabsolutepercentageerror", TL_LOSS_MAPE),
    KERAS("meansquaredlogarithmicerror", TL_LOSS_MSLE),
    KERAS("huber", TL_LOSS_HUBER),
    KERAS("logcosh", TL_LOSS_LOG_COSH),
    KERAS("kldivergence", TL_LOSS_KL_DIVERGENCE),
    KERAS("poisson", TL_LOSS_POISSON),
    KERAS("cosinesimilarity", TL_LOSS_COSINE),
    KERAS("hinge", TL_LOSS_HINGE),
    KERAS("squaredhinge", TL_LOSS_SQUARED_HINGE),
    KERAS("categoricalhinge", TL_LOSS_CATEGORICAL_HINGE),
    { 0 },
};
