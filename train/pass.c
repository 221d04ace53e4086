/* train/pass.c - loss and metrics over the batches of a pass over data. */
#include "train/fit.h"

#include <stdlib.h>
#include <string.h>

/* ---- the metrics -------------------------------------------------------------------------------------------- */

static const char *name_of(const tl_pass *p, int k) { return k < 0 ? "loss" : tl_metric_options(p->metric[k]).name; }

tl_status tl_pass_init(tl_pass *p, const tl_metric_desc *metrics, int n)
{
    *p = (tl_pass){ 0 };
    if (n < 0 || (n && !metrics)) return tl_report(TL_E_ARGUMENT, ".metrics: as many as .n_metrics are needed");
    p->metric = tl_resize(NULL, 0, ((size_t)n + 1) * sizeof *p->metric);
    if (p->metric) memset(p->metric, 0, ((size_t)n + 1) * sizeof *p->metric);
    p->results = tl_resize(NULL, 0, ((size_t)n + 1) * sizeof *p->results);
    p->n = n;
    if (!p->metric || !p->results) return tl_report(TL_E_MEMORY, "out of memory for the metrics");
    for (int k = 0; k < n; k++) {
        p->metric[k] = tl_metric_new(metrics[k]);
        if (!p->metric[k]) return tl_report(tl_message_status(), "metric %d: %s", k, tl_message());
        for (int i = -1; i < k; i++)
            if (!strcmp(name_of(p, i), name_of(p, k)))
                return tl_report(TL_E_NAME, "metric %d: '%s' is there already; give it another .name", k,
                                 name_of(p, k));
    }
    return TL_OK;
}

void tl_pass_free(tl_pass *p)
{
    for (int k = 0; p->metric && k < p->n; k++) tl_metric_free(p->metric[k]);
    tl_resize(p->metric, ((size_t)p->n + 1) * sizeof *p->metric, 0);
    tl_resize(p->results, ((size_t)p->n + 1) * sizeof *p->results, 0);
    *p = (tl_pass){ 0 };
}

void tl_pass_reset(tl_pass *p)
{
    p->loss_sum = 0;
    p->samples = 0;
    for (int k = 0; k < p->n; k++) tl_metric_reset(p->metric[k]);
}

/* ---- adding ------------------------------------------------------------------------------------------------- */

static const tl_array *input(const tl_array *in, int n, int k)
{
    return k >= 0 && k < n && in[k].rank >= 0 ? &in[k] : NULL;
}

static tl_status update(tl_metric *metric, tl_trainer *trainer, tl_mode mode)
{
    const tl_metric_desc o = tl_metric_options(metric);
    tl_array prediction;
    int n;
    const tl_array *in = tl_trainer_inputs(trainer, &n), *weights = input(in, n, o.weights);
    const tl_status status = tl_get(tl_trainer_session(trainer, mode), o.output, &prediction);
    if (status) return tl_report(status, "metric %s: %s", o.name, tl_message());
    if (o.weights >= 0 && !weights)
        return tl_report(TL_E_ABSENT, "metric %s: its weights, in[%d], are not there; batches have %d inputs", o.name,
                         o.weights, n);
    return tl_metric_update(metric, input(in, n, o.target), &prediction, weights);
}

tl_status tl_pass_add(tl_pass *p, tl_trainer *trainer, tl_mode mode, int64_t samples, double loss)
{
    tl_status status = TL_OK;
    for (int k = 0; !status && k < p->n; k++) status = update(p->metric[k], trainer, mode);
    if (status) return status;
    p->loss_sum += loss * (double)samples;
    p->samples += samples;
    return TL_OK;
}

tl_status tl_pass_run(tl_pass *p, tl_trainer *trainer, tl_loader *loader, tl_progress *line, int64_t *batch)
{
    tl_batch b;
    double loss;
    tl_pass_reset(p);
    *batch = 0;
    tl_session_reset(tl_trainer_session(trainer, TL_TEST));
    tl_status status = tl_loader_start(loader, 0, 0);
    while (!status) {
        status = tl_loader_next(loader, &b);
        if (status || !b.samples) break;
        status = tl_test_step(trainer, b.in, b.n, &loss);
        if (!status) status = tl_pass_add(p, trainer, TL_TEST, b.samples, loss);
        if (!status && line) tl_pass_show(p, line, *batch + 1);
        if (!status) ++*batch;
    }
    if (!status && !p->samples) status = tl_report(TL_E_ARGUMENT, "there are no samples");
    return status;
}

/* ---- results ------------------------------------------------------------------------------------------------ */

double tl_pass_loss(const tl_pass *p) { return p->samples ? p->loss_sum / (double)p->samples : 0; }

static int by_name(const void *a, const void *b)
{
    return strcmp(((const tl_named_number *)a)->name, ((const tl_named_number *)b)->name);
}

void tl_pass_results(tl_pass *p, const char *prefix)
{
    for (int k = -1; k < p->n; k++) {
        tl_named_number *x = &p->results[k + 1];
        snprintf(x->name, sizeof x->name, "%s%s", prefix, name_of(p, k));
        x->value = k < 0 ? tl_pass_loss(p) : tl_metric_result(p->metric[k]);
    }
    qsort(p->results, (size_t)p->n + 1, sizeof *p->results, by_name);
}

void tl_pass_show(tl_pass *p, tl_progress *line, int64_t done)
{
    char words[512];
    if (!tl_progress_due(line, done)) return;
    tl_pass_results(p, "");
    tl_log_words(p->results, p->n + 1, words, sizeof words);
    tl_progress_show(line, done, words);
}

tl_status tl_pass_keep(tl_pass *p, tl_store *store)
{
    tl_store_number(store, "loss", &p->loss_sum);
    tl_store_whole(store, "samples", &p->samples);
    tl_store_enter(store, "metric");
    for (int k = 0; k < p->n && !tl_store_status(store); k++) {
        tl_array sums = tl_metric_sums(p->metric[k]);
        tl_store_array(store, name_of(p, k), &sums);
        if (!tl_store_status(store) && tl_store_loading(store))
            tl_store_fail(store, tl_metric_set_sums(p->metric[k], &sums));
    }
    tl_store_leave(store);
    return tl_store_status(store);
}

/* ---- words -------------------------------------------------------------------------------------------------- */

void tl_log_words(const tl_named_number *logs, int n, char *text, size_t size)
{
    size_t at = 0;
    *text = 0;
    for (int k = 0; k < n && at < size; k++) {
        const double x = logs[k].value;
        at += (size_t)snprintf(text + at, size - at, x > 1e-3 || x == 0 ? " - %s: %.4f" : " - %s: %.4e", logs[k].name,
                               x);
    }
}

void tl_line_words(tl_place at, char *text, size_t size)
{
    const char *slash = at.file ? strrchr(at.file, '/') : NULL;
    if (at.file) snprintf(text, size, "%s:%d: ", slash ? slash + 1 : at.file, abs(at.line));
    else *text = 0;
}

void tl_exact_number(char *text, size_t size, double x)
{
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, x);
        if (strtod(text, NULL) == x) return;
    }
}

/* ---- the trainer -------------------------------------------------------------------------------------------- */

tl_status tl_trainer_for(tl_model *model, tl_model_fn fn, tl_trainer *given, const tl_trainer_opts *o, tl_trainer **out,
                         tl_trainer **own)
{
    tl_model *its_model;
    void *user;
    *own = NULL;
    *out = given;
    if (!model || !fn) return tl_report(TL_E_ARGUMENT, "a model and a model function are needed");
    if (!given) {
        *out = *own = tl_trainer_new_opt(model, fn, o);
        return *own ? TL_OK : tl_message_status();
    }
    if (tl_trainer_function(given, &its_model, &user) != fn || its_model != model)
        return tl_report(TL_E_ARGUMENT, ".trainer is one of another model or model function");
    if ((o->user && o->user != user) || o->optimizer.rule || o->clip_value != 0 || o->clip_norm != 0 || o->lengths ||
        o->explain)
        return tl_report(TL_E_ARGUMENT, ".trainer brings .user, .optimizer, .clip_..., .lengths and .explain with it");
    return TL_OK;
}
