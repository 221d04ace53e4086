/* train/metric_kinds.c - the table of kinds, and those that are means of a value of each row, as Keras 3 defines them. */
#include "train/metric.h"

#include <math.h>

#define EPSILON 1e-7 /* keras.backend.epsilon() */

static double clip(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

int64_t metric_largest(const double *p, int64_t n)
{
    int64_t best = 0;
    for (int64_t c = 1; c < n; c++)
        if (p[c] > p[best]) best = c;
    return best;
}

/* ---- what predictions are before they are looked at ------------------------------------------------------------- */

static const char *prepare_scores(bool logits, double *p, int64_t n)
{
    for (int64_t c = 0; logits && c < n; c++) p[c] = 1 / (1 + exp(-p[c]));
    return NULL;
}

static const char *prepare_probabilities(bool logits, double *p, int64_t n)
{
    prepare_scores(logits, p, n);
    for (int64_t c = 0; c < n; c++)
        if (p[c] < 0 || p[c] > 1) return "is not in [0, 1], so no probability: are these logits (.from_logits)?";
    return NULL;
}

/* Binary cross-entropy is exact on the logits themselves. */
static const char *prepare_binary(bool logits, double *p, int64_t n)
{
    return logits ? NULL : prepare_probabilities(false, p, n);
}

static const char *prepare_positive(double *p, int64_t n)
{
    for (int64_t c = 0; c < n; c++)
        if (p[c] < 0) return "is negative, so no probability or rate: are these logits (.from_logits)?";
    return NULL;
}

static const char *prepare_rates(bool logits, double *p, int64_t n)
{
    if (!logits) return prepare_positive(p, n);
    for (int64_t c = 0; c < n; c++) p[c] = exp(p[c]);
    return NULL;
}

/* ln softmax, or ln of what probabilities are of their sum. */
static const char *prepare_log_distribution(bool logits, double *p, int64_t n)
{
    const double largest = logits ? p[metric_largest(p, n)] : 0;
    double sum = 0;
    for (int64_t c = 0; c < n; c++) sum += logits ? exp(p[c] - largest) : p[c];
    if (logits) {
        for (int64_t c = 0; c < n; c++) p[c] -= largest + log(sum);
        return NULL;
    }
    const char *wrong = prepare_positive(p, n);
    for (int64_t c = 0; !wrong && c < n; c++) p[c] = log(clip(metric_ratio(p[c], sum), EPSILON, 1 - EPSILON));
    return wrong;
}

static const char *prepare_distribution(bool logits, double *p, int64_t n)
{
    if (!logits) return prepare_positive(p, n);
    prepare_log_distribution(true, p, n);
    for (int64_t c = 0; c < n; c++) p[c] = exp(p[c]);
    return NULL;
}

/* ---- the value of a row ----------------------------------------------------------------------------------------- */

/* The mean over columns of f(target, prediction, metric). */
typedef double column_value(double t, double p, const tl_metric *m);

static double mean_of(const tl_metric *m, const metric_row *r, column_value *f)
{
    double sum = 0;
    for (int64_t c = 0; c < r->n; c++) sum += f(metric_target(r, c), r->p[c], m);
    return sum / (double)r->n;
}
#define MEAN_OVER_COLUMNS(name, f)                                                                                     \
    static double name(const tl_metric *m, const metric_row *r) { return mean_of(m, r, f); }

static double equal(double t, double p, const tl_metric *m) { return t == (p > m->o.threshold); }
static double itself(double t, double p, const tl_metric *m) { return (void)t, (void)m, p; }
static double squared(double t, double p, const tl_metric *m) { return (void)m, (t - p) * (t - p); }
static double absolute(double t, double p, const tl_metric *m) { return (void)m, fabs(t - p); }
static double poisson_of(double t, double p, const tl_metric *m) { return (void)m, p - t * log(p + EPSILON); }

static double binary_of(double t, double p, const tl_metric *m)
{
    t = t * (1 - m->o.smoothing) + 0.5 * m->o.smoothing;
    if (m->o.from_logits) return fmax(p, 0) - p * t + log1p(exp(-fabs(p)));
    p = clip(p, EPSILON, 1 - EPSILON);
    return -(t * log(p) + (1 - t) * log(1 - p));
}

MEAN_OVER_COLUMNS(binary_accuracy, equal)
MEAN_OVER_COLUMNS(mean_value, itself)
MEAN_OVER_COLUMNS(squared_error, squared)
MEAN_OVER_COLUMNS(absolute_error, absolute)
MEAN_OVER_COLUMNS(poisson, poisson_of)
MEAN_OVER_COLUMNS(binary_cross_entropy, binary_of)

static int64_t true_class(const metric_row *r) { return r->t ? metric_largest(r->t, r->n) : r->id; }

static double class_accuracy(const tl_metric *m, const metric_row *r)
{
    (void)m;
    return metric_largest(r->p, r->n) == true_class(r);
}

static double accuracy(const tl_metric *m, const metric_row *r)
{
    return r->n == 1 ? binary_accuracy(m, r) : class_accuracy(m, r);
}

static double top_k(const tl_metric *m, const metric_row *r)
{
    const double own = r->p[true_class(r)];
    int64_t larger = 0;
    for (int64_t c = 0; c < r->n; c++) larger += r->p[c] > own;
    return larger < m->o.k;
}

static double cross_entropy(const tl_metric *m, const metric_row *r)
{
    const double s = m->o.smoothing;
    if (!r->t && s == 0) return -r->p[r->id];
    double sum = 0;
    for (int64_t c = 0; c < r->n; c++) {
        const double t = metric_target(r, c) * (1 - s) + s / (double)r->n;
        if (t != 0) sum -= t * r->p[c]; /* 0 ln 0 is 0 */
    }
    return sum;
}

static double divergence(const tl_metric *m, const metric_row *r)
{
    (void)m;
    double sum = 0;
    for (int64_t c = 0; c < r->n; c++) {
        const double t = clip(r->t[c], EPSILON, 1);
        sum += t * log(t / clip(r->p[c], EPSILON, 1));
    }
    return sum;
}

static double cosine(const tl_metric *m, const metric_row *r)
{
    (void)m;
    double tt = 0, pp = 0, tp = 0;
    for (int64_t c = 0; c < r->n; c++) {
        tt += r->t[c] * r->t[c];
        pp += r->p[c] * r->p[c];
        tp += r->t[c] * r->p[c];
    }
    return tp / fmax(sqrt(tt), EPSILON) / fmax(sqrt(pp), EPSILON);
}

static void add_value(tl_metric *m, const metric_row *r)
{
    m->sum[0] += r->w * m->kind->value(m, r);
    m->sum[1] += r->w;
}

static int64_t total_and_weight(const tl_metric *m, int64_t cols)
{
    (void)m, (void)cols;
    return 2;
}

static double mean(const tl_metric *m) { return metric_ratio(m->sum[0], m->sum[1]); }
static double root_mean(const tl_metric *m) { return sqrt(mean(m)); }
static double exp_mean(const tl_metric *m) { return exp(mean(m)); }
static double bits(const tl_metric *m) { return mean(m) / log(2); }

/* ---- R2: of each column, with targets counted from the first one, so that large ones do not cancel ---------------- */

enum { R2_FIRST, R2_ROWS, R2_WEIGHT, R2_SUM, R2_SQUARES, R2_ERRORS, R2_SUMS };

static void add_squares(tl_metric *m, const metric_row *r)
{
    for (int64_t c = 0; c < r->n; c++) {
        double *s = m->sum + c * R2_SUMS;
        if (!s[R2_ROWS]++) s[R2_FIRST] = r->t[c];
        const double t = r->t[c] - s[R2_FIRST], e = r->t[c] - r->p[c];
        s[R2_WEIGHT] += r->w;
        s[R2_SUM] += r->w * t;
        s[R2_SQUARES] += r->w * t * t;
        s[R2_ERRORS] += r->w * e * e;
    }
}

static int64_t r2_sums(const tl_metric *m, int64_t cols)
{
    (void)m;
    return R2_SUMS * cols;
}

static double variation(const double *s) { return s[R2_SQUARES] - s[R2_SUM] * metric_ratio(s[R2_SUM], s[R2_WEIGHT]); }

static double r2_of(const double *s) { return 1 - metric_ratio(s[R2_ERRORS], variation(s)); }

static int64_t r2_each(const tl_metric *m, double *out, int64_t room)
{
    for (int64_t c = 0; c < m->cols && c < room; c++) out[c] = r2_of(m->sum + c * R2_SUMS);
    return m->cols;
}

static double r2(const tl_metric *m)
{
    double sum = 0, weights = 0;
    for (int64_t c = 0; c < m->cols; c++) {
        const double *s = m->sum + c * R2_SUMS, w = m->o.average == TL_WEIGHTED ? variation(s) : 1;
        sum += w * r2_of(s);
        weights += w;
    }
    const double all = metric_ratio(sum, weights), n = m->cols ? m->sum[R2_ROWS] * (double)m->cols : 0;
    if (!m->o.regressors || !(n - m->o.regressors - 1 > 0)) return all;
    return 1 - (1 - all) * (n - 1) / (n - m->o.regressors - 1);
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

#define MEAN(v) .value = (v), .add = add_value, .sums = total_and_weight, .result = mean
#define MEAN_THEN(v, then) .value = (v), .add = add_value, .sums = total_and_weight, .result = (then)
#define COUNTS(r, more)                                                                                                \
    .form = FORM_EITHER,                                                                                               \
    .options = HAS_LOGITS | HAS_THRESHOLD | HAS_THRESHOLDS | HAS_K | HAS_CLASS | HAS_IGNORE | HAS_AVERAGE | (more),    \
    .prepare = prepare_scores, .rate = (r), .add = metric_add_counts, .sums = metric_counts, .result = metric_rate,    \
    .each = metric_rates

const metric_kind metric_kinds[TL_METRIC_KINDS] = {
    [TL_METRIC_ACCURACY] = { "accuracy", FORM_EITHER, HAS_LOGITS | HAS_THRESHOLD | HAS_IGNORE,
                             .prepare = prepare_scores, MEAN(accuracy) },
    [TL_METRIC_BINARY_ACCURACY] = { "binary_accuracy", FORM_NUMBERS, HAS_LOGITS | HAS_THRESHOLD, .elements = true,
                                    .prepare = prepare_scores, MEAN(binary_accuracy) },
    [TL_METRIC_CATEGORICAL_ACCURACY] = { "categorical_accuracy", FORM_NUMBERS, HAS_LOGITS, MEAN(class_accuracy) },
    [TL_METRIC_SPARSE_CATEGORICAL_ACCURACY] = { "sparse_categorical_accuracy", FORM_IDS, HAS_LOGITS | HAS_IGNORE,
                                                MEAN(class_accuracy) },
    [TL_METRIC_TOP_K_ACCURACY] = { "top_k_accuracy", FORM_EITHER, HAS_LOGITS | HAS_K | HAS_IGNORE, .k = 5,
                                   MEAN(top_k) },
    [TL_METRIC_PRECISION] = { "precision", .elements = true, .average = TL_MICRO, COUNTS(metric_precision, 0) },
    [TL_METRIC_RECALL] = { "recall", .elements = true, .average = TL_MICRO, COUNTS(metric_recall, 0) },
    [TL_METRIC_F1] = { "f1", .k = 1, .average = TL_MACRO, COUNTS(metric_f, HAS_BETA) },
    [TL_METRIC_AUC] = { "auc", FORM_EITHER,
                        HAS_LOGITS | HAS_THRESHOLDS | HAS_SPREAD | HAS_CLASS | HAS_IGNORE | HAS_AVERAGE | HAS_CURVE,
                        .elements = true, .average = TL_MICRO, .prepare = prepare_probabilities,
                        .add = metric_add_bucket, .sums = metric_buckets, .result = metric_area, .each = metric_areas },
    [TL_METRIC_CONFUSION] = { "confusion", FORM_EITHER, HAS_LOGITS | HAS_THRESHOLD | HAS_IGNORE,
                              .prepare = prepare_scores, .add = metric_add_confusion, .sums = metric_cells,
                              .result = metric_diagonal, .each = metric_each_cell },
    [TL_METRIC_MEAN] = { "mean", FORM_NONE, .elements = true, MEAN(mean_value) },
    [TL_METRIC_MSE] = { "mse", FORM_NUMBERS, .elements = true, MEAN(squared_error) },
    [TL_METRIC_RMSE] = { "rmse", FORM_NUMBERS, .elements = true, MEAN_THEN(squared_error, root_mean) },
    [TL_METRIC_MAE] = { "mae", FORM_NUMBERS, .elements = true, MEAN(absolute_error) },
    [TL_METRIC_R2] = { "r2", FORM_NUMBERS, HAS_AVERAGE | HAS_REGRESSORS, .average = TL_MACRO, .add = add_squares,
                       .sums = r2_sums, .result = r2, .each = r2_each },
    [TL_METRIC_COSINE] = { "cosine", FORM_NUMBERS, MEAN(cosine) },
    [TL_METRIC_CROSS_ENTROPY] = { "cross_entropy", FORM_EITHER, HAS_LOGITS | HAS_SMOOTHING | HAS_IGNORE,
                                  .prepare = prepare_log_distribution, MEAN(cross_entropy) },
    [TL_METRIC_BINARY_CROSS_ENTROPY] = { "binary_cross_entropy", FORM_NUMBERS, HAS_LOGITS | HAS_SMOOTHING,
                                         .elements = true, .prepare = prepare_binary, MEAN(binary_cross_entropy) },
    [TL_METRIC_PERPLEXITY] = { "perplexity", FORM_EITHER, HAS_LOGITS | HAS_SMOOTHING | HAS_IGNORE,
                               .prepare = prepare_log_distribution, MEAN_THEN(cross_entropy, exp_mean) },
    [TL_METRIC_BITS_PER_CHARACTER] = { "bits_per_character", FORM_EITHER, HAS_LOGITS | HAS_IGNORE,
                                       .prepare = prepare_log_distribution, MEAN_THEN(cross_entropy, bits) },
    [TL_METRIC_KL] = { "kl", FORM_NUMBERS, HAS_LOGITS, .prepare = prepare_distribution, MEAN(divergence) },
    [TL_METRIC_POISSON] = { "poisson", FORM_NUMBERS, HAS_LOGITS, .elements = true, .prepare = prepare_rates,
                            MEAN(poisson) },
};
