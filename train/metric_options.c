/* train/metric_options.c - descriptions of metrics: defaults and ranges. */
#include "train/metric.h"

#include <float.h>
#include <math.h>

enum { MOST_THRESHOLDS = 1000000 };

static bool thresholds_fit(const metric_kind *k, const tl_metric_desc *d)
{
    const bool curve = k->options & HAS_SPREAD;
    const double low = curve ? 0 : -DBL_MAX, high = curve ? 1 : DBL_MAX;
    if (d->n_thresholds > MOST_THRESHOLDS) return false;
    for (int i = 0; i < d->n_thresholds; i++)
        if (!(d->thresholds[i] >= low && d->thresholds[i] <= high) || (i && !(d->thresholds[i] > d->thresholds[i - 1])))
            return false;
    return d->n_thresholds > 0;
}

static bool average_fits(const metric_kind *k, tl_average a)
{
    if (k == &metric_kinds[TL_METRIC_AUC]) return a == TL_MICRO || a == TL_MACRO;
    if (k == &metric_kinds[TL_METRIC_R2]) return a == TL_MACRO || a == TL_WEIGHTED;
    return a >= TL_MICRO && a <= TL_WEIGHTED;
}

/* d with its defaults filled in, of which `given` are options that were there before. */
static tl_status check(const tl_metric_desc *d, const metric_kind *k, unsigned given)
{
    const struct {
        unsigned bit;
        const char *name, *range;
        bool good;
    } option[] = {
        { HAS_LOGITS, ".from_logits", "", true },
        { HAS_THRESHOLD, ".threshold", "finite", isfinite(d->threshold) },
        { HAS_THRESHOLDS, ".thresholds",
          "at most 1000000 (.n_thresholds), finite, ascending, of a curve in [0, 1], and without .threshold",
          !d->thresholds || (!(given & HAS_THRESHOLD) && thresholds_fit(k, d)) },
        { HAS_SPREAD, ".n_thresholds", "in 2..1000000",
          d->thresholds || !(k->options & HAS_SPREAD) || (d->n_thresholds >= 2 && d->n_thresholds <= MOST_THRESHOLDS) },
        { HAS_K, ".k", "at least 1", !(given & HAS_K) || d->k >= 1 },
        { HAS_CLASS, ".class_id", "at least 0", !(given & HAS_CLASS) || d->class_id >= 0 },
        { HAS_IGNORE, ".ignore", "", true },
        { HAS_AVERAGE, ".average", "one that the kind can have", !k->average || average_fits(k, d->average) },
        { HAS_BETA, ".beta", "above 0 and finite", d->beta > 0 && isfinite(d->beta) },
        { HAS_SMOOTHING, ".smoothing", "in [0, 1)", d->smoothing >= 0 && d->smoothing < 1 },
        { HAS_REGRESSORS, ".regressors", "at least 0", d->regressors >= 0 },
        { HAS_CURVE, ".curve, .summation", "one of their names",
          d->curve >= TL_ROC && d->curve <= TL_PR && d->summation >= TL_INTERPOLATION && d->summation <= TL_MAJORING },
    };
    for (size_t i = 0; i < sizeof option / sizeof *option; i++) {
        if (given & option[i].bit & ~k->options)
            return tl_report(TL_E_ARGUMENT, "metric %s has no option %s", k->name, option[i].name);
        if (!option[i].good)
            return tl_report(TL_E_ARGUMENT, "metric %s: %s must be %s", k->name, option[i].name, option[i].range);
    }
    return TL_OK;
}

/* The options of those that not every kind has that d gives. */
static unsigned given_in(const tl_metric_desc *d)
{
    return (d->from_logits ? HAS_LOGITS : 0u) | (d->threshold != 0 ? HAS_THRESHOLD : 0u) |
           (d->thresholds     ? HAS_THRESHOLDS
            : d->n_thresholds ? HAS_SPREAD
                              : 0u) |
           (d->k ? HAS_K : 0u) | (d->class_id ? HAS_CLASS : 0u) | (d->ignore ? HAS_IGNORE : 0u) |
           (d->average ? HAS_AVERAGE : 0u) | (d->beta != 0 ? HAS_BETA : 0u) | (d->smoothing != 0 ? HAS_SMOOTHING : 0u) |
           (d->regressors ? HAS_REGRESSORS : 0u) | (d->curve || d->summation ? HAS_CURVE : 0u);
}

tl_status metric_resolve(tl_metric_desc *d)
{
    if (d->size != sizeof *d || d->kind < TL_METRIC_ACCURACY || d->kind >= TL_METRIC_KINDS)
        return tl_report(TL_E_ARGUMENT, "a metric's description is made by tl_accuracy() and the macros beside it");
    const metric_kind *k = &metric_kinds[d->kind];
    const unsigned given = given_in(d);
    if (!d->name) d->name = k->name;
    if (!d->output) d->output = "logits";
    d->target = (int)tl_whole(d->target, 1);
    d->weights = (int)tl_whole(d->weights, -1);
    d->threshold = tl_number(d->threshold, 0.5);
    if (k->options & HAS_SPREAD && !d->thresholds && !d->n_thresholds) d->n_thresholds = 200;
    /* By rank unless there is a threshold, where this is what the kind does. */
    if (!(given & (HAS_THRESHOLD | HAS_THRESHOLDS))) d->k = d->k ? d->k : k->k;
    d->class_id = (int)tl_whole(d->class_id, -1);
    d->ignore = (int)tl_whole(d->ignore, INT32_MIN);
    d->average = d->average ? d->average : k->average;
    d->beta = tl_number(d->beta, 1);
    d->smoothing = tl_number(d->smoothing, 0);
    d->regressors = (int)tl_whole(d->regressors, 0);
    d->curve = d->curve ? d->curve : TL_ROC;
    d->summation = d->summation ? d->summation : TL_INTERPOLATION;
    if (d->target < 0 || (d->weights < 0 && d->weights != -1))
        return tl_report(TL_E_ARGUMENT, "metric %s: .target and .weights number inputs, from 0", k->name);
    return check(d, k, given);
}
