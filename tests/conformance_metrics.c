/* tests/conformance_metrics.c - Keras' streaming metrics: the result after each of several batches. */
#include "conformance.h"

/* Keras' classes and what they are here. */
static const struct {
    const char *theirs;
    tl_metric_kind ours;
} kinds[] = {
    { "accuracy", TL_METRIC_ACCURACY },
    { "binaryaccuracy", TL_METRIC_BINARY_ACCURACY },
    { "categoricalaccuracy", TL_METRIC_CATEGORICAL_ACCURACY },
    { "sparsecategoricalaccuracy", TL_METRIC_SPARSE_CATEGORICAL_ACCURACY },
    { "topkcategoricalaccuracy", TL_METRIC_TOP_K_ACCURACY },
    { "sparsetopkcategoricalaccuracy", TL_METRIC_TOP_K_ACCURACY },
    { "precision", TL_METRIC_PRECISION },
    { "recall", TL_METRIC_RECALL },
    { "f1score", TL_METRIC_F1 },
    { "fbetascore", TL_METRIC_F1 },
    { "auc", TL_METRIC_AUC },
    { "mean", TL_METRIC_MEAN },
    { "meansquarederror", TL_METRIC_MSE },
    { "meanabsoluteerror", TL_METRIC_MAE },
    { "rootmeansquarederror", TL_METRIC_RMSE },
    { "r2score", TL_METRIC_R2 },
    { "cosinesimilarity", TL_METRIC_COSINE },
    { "binarycrossentropy", TL_METRIC_BINARY_CROSS_ENTROPY },
    { "categoricalcrossentropy", TL_METRIC_CROSS_ENTROPY },
    { "sparsecategoricalcrossentropy", TL_METRIC_CROSS_ENTROPY },
    { "kldivergence", TL_METRIC_KL },
    { "poisson", TL_METRIC_POISSON },
};

/* The option of a word; 0, the default, if there is none or it is not known. */
static int choice(const replay *r, const char *key, int n, const char *const *word, const int *option)
{
    for (int k = 0; k < n; k++)
        if (fx_is(r->c, key, word[k])) return option[k];
    return 0;
}
#define CHOICE(r, key, words, ...) choice((r), (key), COUNT(words), (words), (const int[COUNT(words)]){ __VA_ARGS__ })

static const char *const averages[] = { "micro", "macro", "none", "weighted" };
static const char *const aggregations[] = { "uniform_average", "variance_weighted_average" };
static const char *const curves[] = { "ROC", "PR" }, *const summations[] = { "interpolation", "minoring", "majoring" };

/* A whole number that may be 0. */
static int index_of(const replay *r, const char *key)
{
    const int i = (int)fx_int(r->c, key, -1);
    return !fx_attr(r->c, key) || fx_is(r->c, key, "none") || i < 0 ? 0 : i ? i : TL_ZERO;
}

static double number_or_zero(const replay *r, const char *key)
{
    const double x = fx_num(r->c, key, NAN);
    return isnan(x) ? 0 : x == 0 ? TL_ZERO : x;
}

/* "0.2,0.5" */
static int list_of(replay *r, const char *key, double *out, int room)
{
    const char *at = fx_attr(r->c, key);
    int n = 0;
    for (char *end; at && *at && n < room; at = *end ? end + 1 : end) {
        out[n++] = strtod(at, &end);
        if (end == at) return 0;
    }
    return n;
}

static tl_metric_desc described(replay *r, double *thresholds, int room)
{
    const char *name = r->c->op + strlen("keras_metric_");
    tl_metric_desc d = { .size = sizeof d, .name = r->c->op };
    for (int k = 0; k < COUNT(kinds); k++)
        if (!strcmp(kinds[k].theirs, name)) d.kind = kinds[k].ours;
    d.from_logits = fx_int(r->c, "from_logits", 0);
    d.threshold = number_or_zero(r, "threshold");
    const int n = list_of(r, "thresholds", thresholds, room);
    if (n == 1 && d.kind != TL_METRIC_AUC) d.threshold = thresholds[0] == 0 ? TL_ZERO : thresholds[0];
    else if (n) d.thresholds = thresholds, d.n_thresholds = n;
    else d.n_thresholds = (int)fx_int(r->c, "num_thresholds", 0);
    d.k = (int)fx_int(r->c, "k", fx_int(r->c, "top_k", 0));
    d.class_id = index_of(r, "class_id");
    d.ignore = index_of(r, "ignore_class");
    d.average = CHOICE(r, "average", averages, TL_MICRO, TL_MACRO, TL_MACRO, TL_WEIGHTED);
    if (!d.average) d.average = CHOICE(r, "class_aggregation", aggregations, TL_MACRO, TL_WEIGHTED);
    if (fx_int(r->c, "multi_label", 0)) d.average = TL_MACRO;
    d.beta = number_or_zero(r, "beta");
    d.smoothing = number_or_zero(r, "label_smoothing");
    d.regressors = (int)fx_int(r->c, "num_regressors", 0);
    d.curve = CHOICE(r, "curve", curves, TL_ROC, TL_PR);
    d.summation = CHOICE(r, "summation_method", summations, TL_INTERPOLATION, TL_MINORING, TL_MAJORING);
    return d;
}

/* The case's sequences are [B, T, ...]. */
static void to_time_major(tl_array *a, double *room)
{
    if (a->rank < 2) return;
    const size_t element = a->dtype == TL_F64 ? 8 : 4;
    const int64_t B = a->dim[0], T = a->dim[1];
    size_t inner = element;
    for (int k = 2; k < a->rank; k++) inner *= (size_t)a->dim[k];
    memcpy(room, a->data, (size_t)(B * T) * inner);
    for (int64_t t = 0; t < T; t++)
        for (int64_t b = 0; b < B; b++)
            memcpy((char *)a->data + (size_t)(t * B + b) * inner, (char *)room + (size_t)(b * T + t) * inner, inner);
    a->dim[0] = T;
    a->dim[1] = B;
}

static void sequences(tl_array *array, int n)
{
    for (int k = 0; k < n; k++) {
        size_t size = 1;
        for (int i = 0; i < array[k].rank; i++) size *= (size_t)array[k].dim[i];
        double *room = malloc((size + 1) * sizeof *room);
        to_time_major(&array[k], room);
        free(room);
    }
}

/* y_true<k>, y_pred<k> and, where there are weights, sw<k> are batch k; traj.result holds the result after each. */
static void metric(replay *r)
{
    double thresholds[64], got[4096];
    int64_t n = 0, batch = 0;
    const int axes = rank_of(r, "traj", "result");
    tl_metric *m = tl_metric_new(described(r, thresholds, COUNT(thresholds)));
    for (; m && has(r, "in", text(r, "y_pred%lld", (long long)batch)); batch++) {
        const long long k = batch;
        tl_array batch_of[] = { numbers(r, "in", text(r, "y_true%lld", k)), numbers(r, "in", text(r, "y_pred%lld", k)),
                                numbers(r, "in", text(r, "sw%lld", k)) };
        if (batch_of[1].rank > 2) sequences(batch_of, COUNT(batch_of));
        if (tl_metric_update(m, &batch_of[0], &batch_of[1], &batch_of[2])) break;
        if (axes > 1) n += tl_metric_results(m, got + n, COUNT(got) - n);
        else got[n++] = tl_metric_result(m);
        if (n > COUNT(got) - 1) break;
    }
    if (!m || !batch || has(r, "in", text(r, "y_pred%lld", (long long)batch))) fail(r, "%s", tl_message());
    else expect(r, "traj", "result", got, n);
    tl_metric_free(m);
}

const op_row metric_rows[] = {
    { "keras_metric_*", metric },
    { 0 },
};
