/* layers/loss_formulas.c - the formula of each loss, and the table of them all. y, t: prediction, target. */
#include "layers/loss.h"

#include <float.h>
#include <math.h>

/* ---- of the difference ------------------------------------------------------------------------------------------ */

static tl_tensor difference(const tl__loss *l) { return tl_sub(l->x[0], l->x[1]); }

static tl_tensor mse(tl__loss *l) { return tl_square(difference(l)); }

static tl_tensor mae(tl__loss *l) { return tl_abs(difference(l)); }

/* d^2 / 2 up to |d| = limit, then limit (|d| - limit / 2): c (d - c / 2) with c = clip(d) */
static tl_tensor huber_within(tl_tensor d, double limit)
{
    const tl_tensor c = tl_clip(d, -limit, limit);
    return tl_mul(c, tl_sub(d, tl_scale(c, 0.5)));
}

static tl_tensor huber(tl__loss *l) { return huber_within(difference(l), l->o.delta); }

static tl_tensor smooth_l1(tl__loss *l)
{
    return l->o.beta > 0 ? tl_scale(huber_within(difference(l), l->o.beta), 1 / l->o.beta) : mae(l);
}

/* ln((e^d + e^-d) / 2) */
static tl_tensor log_cosh(tl__loss *l)
{
    const tl_tensor d = difference(l);
    return tl_add_scalar(tl_logaddexp(d, tl_neg(d)), -log(2));
}

static tl_tensor mape(tl__loss *l)
{
    return tl_scale(tl_div(mae(l), tl_clip(tl_abs(l->x[1]), l->o.epsilon, INFINITY)), 100);
}

static tl_tensor msle(tl__loss *l)
{
    const tl_tensor y = tl_clip(l->x[0], l->o.epsilon, INFINITY), t = tl_clip(l->x[1], l->o.epsilon, INFINITY);
    return tl_square(tl_sub(tl_log1p(y), tl_log1p(t)));
}

/* ---- of probabilities ------------------------------------------------------------------------------------------- */

/* ln p as Keras has it, p within epsilon of neither 0 nor 1; with epsilon 0 as PyTorch has it, no less than -100. There
 * p = 0 has no gradient. */
static tl_tensor bounded_log(const tl__loss *l, tl_tensor p)
{
    if (l->o.epsilon > 0) return tl_log(tl_clip(p, l->o.epsilon, 1 - l->o.epsilon));
    const tl_tensor ln = tl_log(tl_where(p, p, tl_full_like(p, 1)));
    return tl_where(p, tl_clip(ln, -100, INFINITY), tl_full_like(p, -100));
}

/* t x, and 0 where t is, even if x is infinite there: a class that cannot be, and is not meant to. Elsewhere an
 * infinite x counts as the largest of floats. */
static tl_tensor weighted(tl_tensor t, tl_tensor x) { return tl_mul(t, tl_clip(x, -FLT_MAX, FLT_MAX)); }

static tl_tensor log_probabilities(tl__loss *l)
{
    const tl_tensor y = l->x[0];
    if (l->o.log_input) return y;
    return l->o.probabilities ? bounded_log(l, tl_div(y, tl_sum_keep(y, TL_AXES(-1)))) : tl_log_softmax(y);
}

/* sum_c w_c t_c ln p_c of targets t that are a distribution */
static tl_tensor of_distribution(tl__loss *l, tl_tensor ln_p)
{
    const double share = l->o.label_smoothing;
    tl_tensor t = l->x[1];
    if (share > 0) t = tl_add_scalar(tl_scale(t, 1 - share), share / (double)tl_dim(t, -1));
    if (!tl_absent(l->o.class_weights)) {
        t = tl_mul(t, l->o.class_weights);
        l->class_weights = tl_sum(tl_mul(l->x[1], l->o.class_weights), TL_AXES(-1));
    }
    return tl_sum(weighted(t, ln_p), TL_AXES(-1));
}

/* The same of ids: w_id ln p_id, of which smoothing gives a share to all classes */
static tl_tensor cross_entropy(tl__loss *l)
{
    const tl_tensor ln_p = log_probabilities(l), w = l->o.class_weights, ids = l->x[1];
    if (tl_dtype_of(ids) != TL_I32) return of_distribution(l, ln_p);
    const double share = l->o.label_smoothing;
    tl_tensor y = tl_pick(ln_p, ids);
    if (!tl_absent(w)) y = tl_mul(y, l->class_weights = tl_gather(w, ids));
    if (share == 0) return y;
    const tl_tensor all = tl_sum(tl_absent(w) ? ln_p : tl_mul(ln_p, w), TL_AXES(-1));
    return tl_add(tl_scale(y, 1 - share), tl_scale(all, share / (double)tl_dim(ln_p, -1)));
}

static tl_tensor nll(tl__loss *l)
{
    l->o.log_input = true;
    return cross_entropy(l);
}

/* w t ln p + (1 - t) ln(1 - p). Of a logit z, -ln p is softplus(-z) and -ln(1 - p) softplus(z): neither cancels. */
static tl_tensor binary_cross_entropy(tl__loss *l)
{
    const tl_tensor y = l->x[0];
    tl_tensor t = l->x[1], one = tl_full_like(y, 1);
    const double share = l->o.label_smoothing;
    if (share > 0) t = tl_add_scalar(tl_scale(t, 1 - share), share / 2);
    const tl_tensor ln_p = l->o.probabilities ? bounded_log(l, y) : tl_log_sigmoid(y);
    const tl_tensor ln_q = l->o.probabilities ? bounded_log(l, tl_sub(one, y)) : tl_log_sigmoid(tl_neg(y));
    const tl_tensor w = tl_absent(l->o.pos_weight) ? t : tl_mul(t, l->o.pos_weight);
    return tl_add(tl_mul(w, ln_p), tl_mul(tl_sub(one, t), ln_q));
}

/* t (ln t - ln y). Keras clips both, to epsilon ... 1; of logarithms nothing is clipped. */
static tl_tensor kl_divergence(tl__loss *l)
{
    tl_tensor y = l->x[0], t = l->x[1], ln_t = t;
    if (!l->o.log_input) y = tl_log(tl_clip(y, l->o.epsilon, 1));
    if (l->o.log_target) t = tl_exp(t);
    else {
        if (!l->o.log_input) t = tl_clip(t, l->o.epsilon, 1);
        ln_t = tl_log(tl_where(t, t, tl_full_like(t, 1)));
    }
    return weighted(t, tl_sub(ln_t, y));
}

/* ---- of counts and of numbers with a spread --------------------------------------------------------------------- */

/* What -ln p(t) has besides: ln t! by Stirling, t ln t - t + ln(2 pi t) / 2, for t > 1 */
static tl_tensor stirling(tl_tensor t)
{
    const tl_tensor one = tl_full_like(t, 1), large = tl_greater(t, one), n = tl_where(large, t, one);
    const tl_tensor ln = tl_log(n), y = tl_add(tl_mul(n, tl_add_scalar(ln, -1)), tl_scale(ln, 0.5));
    return tl_where(large, tl_add_scalar(y, 0.5 * log(2 * M_PI)), tl_full_like(t, 0));
}

static tl_tensor poisson(tl__loss *l)
{
    const tl_tensor y = l->x[0], t = l->x[1];
    const tl_tensor ln_y = l->o.log_input ? y : tl_log(tl_add_scalar(y, l->o.epsilon));
    const tl_tensor loss = tl_sub(l->o.log_input ? tl_exp(y) : y, tl_mul(t, ln_y));
    return l->o.full ? tl_add(loss, stirling(t)) : loss;
}

/* (ln v + (y - t)^2 / v) / 2 */
static tl_tensor gaussian_nll(tl__loss *l)
{
    const tl_tensor v = tl_clip(l->x[2], l->o.epsilon, INFINITY), d = tl_square(difference(l));
    const tl_tensor loss = tl_scale(tl_add(tl_log(v), tl_div(d, v)), 0.5);
    return l->o.full ? tl_add_scalar(loss, 0.5 * log(2 * M_PI)) : loss;
}

/* ---- of margins and angles -------------------------------------------------------------------------------------- */

static tl_tensor beyond(const tl__loss *l, tl_tensor x) { return tl_relu(tl_add_scalar(x, l->o.margin)); }

/* t as -1 or 1: where all of it is 0 or 1, these stand for -1 and 1 (Keras). */
static tl_tensor signs(tl_tensor t)
{
    const tl_tensor one = tl_full_like(t, 1);
    const tl_tensor binary = tl_min(tl_equal(t, tl_square(t)), TL_ALL);
    return tl_where(binary, tl_sub(tl_scale(t, 2), one), t);
}

static tl_tensor hinge(tl__loss *l) { return beyond(l, tl_neg(tl_mul(signs(l->x[1]), l->x[0]))); }

static tl_tensor squared_hinge(tl__loss *l) { return tl_square(hinge(l)); }

/* max_c (1 - t_c) y_c - sum_c t_c y_c + margin */
static tl_tensor categorical_hinge(tl__loss *l)
{
    const tl_tensor right = tl_mul(l->x[1], l->x[0]);
    return beyond(l, tl_sub(tl_max(tl_sub(l->x[0], right), TL_AXES(-1)), tl_sum(right, TL_AXES(-1))));
}

static tl_tensor is_positive(tl_tensor t) { return tl_greater(t, tl_full_like(t, 0)); }

static tl_tensor hinge_embedding(tl__loss *l)
{
    return tl_where(is_positive(l->x[1]), l->x[0], beyond(l, tl_neg(l->x[0])));
}

static tl_tensor margin_ranking(tl__loss *l) { return beyond(l, tl_mul(l->x[2], tl_sub(l->x[1], l->x[0]))); }

static tl_tensor distance(const tl__loss *l, tl_tensor a, tl_tensor b)
{
    return tl_norm(tl_add_scalar(tl_sub(a, b), l->o.epsilon), TL_AXES(-1));
}

static tl_tensor triplet(tl__loss *l)
{
    return beyond(l, tl_sub(distance(l, l->x[0], l->x[1]), distance(l, l->x[0], l->x[2])));
}

static tl_tensor cosine(tl__loss *l)
{
    const double least = l->o.epsilon;
    return tl_dot(tl_l2_normalize(l->x[0], TL_AXES(-1), least), tl_l2_normalize(l->x[1], TL_AXES(-1), least));
}

/* |x|^2 + epsilon of rows */
static tl_tensor squares(const tl__loss *l, tl_tensor x)
{
    return tl_add_scalar(tl_sum(tl_square(x), TL_AXES(-1)), l->o.epsilon);
}

static tl_tensor cosine_embedding(tl__loss *l)
{
    const tl_tensor a = l->x[0], b = l->x[1];
    const tl_tensor cos = tl_mul(tl_dot(a, b), tl_rsqrt(tl_mul(squares(l, a), squares(l, b))));
    return tl_where(is_positive(l->x[2]), tl_sub(tl_full_like(cos, 1), cos), tl_relu(tl_add_scalar(cos, -l->o.margin)));
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

#define CLASSIFIES TL__SMOOTHING | TL__CLASSES
#define TWO .operand = { "y", "target" }

static const tl__loss_row rows[] = {
    [TL_LOSS_MSE] = { "mse", mse, TWO },
    [TL_LOSS_MAE] = { "mae", mae, TWO },
    [TL_LOSS_MAPE] = { "mape", mape, .options = TL__EPSILON, .epsilon = 1e-7, TWO },
    [TL_LOSS_MSLE] = { "msle", msle, .options = TL__EPSILON, .epsilon = 1e-7, TWO },
    [TL_LOSS_HUBER] = { "huber", huber, .options = TL__DELTA, TWO },
    [TL_LOSS_SMOOTH_L1] = { "smooth_l1", smooth_l1, .options = TL__BETA, TWO },
    [TL_LOSS_LOG_COSH] = { "log_cosh", log_cosh, TWO },
    [TL_LOSS_CROSS_ENTROPY] = { "cross_entropy", cross_entropy, TL__OF_ROWS,
                                CLASSIFIES | TL__PROBABILITIES | TL__EPSILON, .epsilon = 1e-7,
                                .operand = { "logits", "target" }, .classes = true, .maximised = true },
    [TL_LOSS_NLL] = { "nll", nll, TL__OF_ROWS, CLASSIFIES, .operand = { "log_probs", "target" }, .classes = true,
                      .maximised = true },
    [TL_LOSS_BINARY_CROSS_ENTROPY] = { "binary_cross_entropy", binary_cross_entropy,
                                       .options = TL__PROBABILITIES | TL__SMOOTHING | TL__POS_WEIGHT | TL__EPSILON,
                                       .epsilon = 1e-7, .operand = { "logits", "target" }, .maximised = true },
    [TL_LOSS_KL_DIVERGENCE] = { "kl_divergence", kl_divergence, TL__SUM_OF_ELEMENTS,
                                TL__LOG_INPUT | TL__LOG_TARGET | TL__EPSILON, .epsilon = 1e-7, TWO },
    [TL_LOSS_POISSON] = { "poisson", poisson, .options = TL__LOG_INPUT | TL__FULL | TL__EPSILON, .epsilon = 1e-7, TWO },
    [TL_LOSS_GAUSSIAN_NLL] = { "gaussian_nll", gaussian_nll, .options = TL__FULL | TL__EPSILON, .epsilon = 1e-6,
                               .operand = { "y", "target", "variance" } },
    [TL_LOSS_HINGE] = { "hinge", hinge, .options = TL__MARGIN, .margin = 1, TWO },
    [TL_LOSS_SQUARED_HINGE] = { "squared_hinge", squared_hinge, .options = TL__MARGIN, .margin = 1, TWO },
    [TL_LOSS_CATEGORICAL_HINGE] = { "categorical_hinge", categorical_hinge, TL__OF_ROWS, TL__MARGIN, .margin = 1, TWO },
    [TL_LOSS_HINGE_EMBEDDING] = { "hinge_embedding", hinge_embedding, .options = TL__MARGIN, .margin = 1, TWO },
    [TL_LOSS_MARGIN_RANKING] = { "margin_ranking", margin_ranking, .options = TL__MARGIN,
                                 .operand = { "a", "b", "target" }, .target = 2 },
    [TL_LOSS_TRIPLET] = { "triplet", triplet, TL__OF_ROWS, TL__MARGIN | TL__EPSILON, 1e-6, 1,
                          .operand = { "anchor", "positive", "negative" } },
    [TL_LOSS_COSINE] = { "cosine_loss", cosine, TL__OF_ROWS, TL__EPSILON, .epsilon = 1e-12, TWO, .maximised = true },
    [TL_LOSS_COSINE_EMBEDDING] = { "cosine_embedding", cosine_embedding, TL__OF_ROWS, TL__MARGIN | TL__EPSILON, 1e-12,
                                   .operand = { "a", "b", "target" }, .target = 2, .signs = true },
};

const tl__loss_row *tl__loss_of(tl_loss kind)
{
    const unsigned k = (unsigned)kind;
    return k < sizeof rows / sizeof *rows && rows[k].name ? &rows[k] : NULL;
}
