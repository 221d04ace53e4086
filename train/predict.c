/* train/predict.c - passes over data that learn nothing: evaluating and predicting. */
#include "train/fit.h"

#include <string.h>

/* ---- what both do ------------------------------------------------------------------------------------------- */

typedef struct work {
    tl_trainer *trainer, *own;
    tl_loader *loader;
    tl_progress shown;
    int64_t batch; /* the one under way */
} work;

static tl_status begin(work *w, tl_model *model, tl_model_fn fn, tl_dataset *data, const tl_evaluate_opts *o)
{
    *w = (work){ 0 };
    if (!data) return tl_report(TL_E_ARGUMENT, "a dataset is needed");
    tl_status status = tl_trainer_for(
        model, fn, o->trainer,
        &(tl_trainer_opts){ .user = o->user, .lengths = o->lengths, .size = sizeof(tl_trainer_opts) }, &w->trainer,
        &w->own);
    if (!status) status = tl_loader_new(data, &w->loader, .batch = o->batch);
    if (!status)
        w->shown = tl_progress_steps(o->verbose == TL_ZERO ? NULL : o->out, tl_loader_batches(w->loader),
                                     o->verbose == 2);
    return status;
}

static tl_status end(work *w, tl_place at, const char *who, tl_status status)
{
    char line[160], batch[64] = "";
    tl_line_words(at, line, sizeof line);
    if (w->loader) snprintf(batch, sizeof batch, " in batch %lld", (long long)w->batch + 1);
    tl_loader_free(w->loader);
    tl_trainer_free(w->own);
    return status ? tl_report(status, "%s%s%s: %s", line, who, batch, tl_message()) : TL_OK;
}

/* ---- evaluating --------------------------------------------------------------------------------------------- */

static tl_status evaluate(work *w, tl_pass *p, double *results)
{
    char words[512];
    const tl_status status = tl_pass_run(p, w->trainer, w->loader, &w->shown, &w->batch);
    if (status) return status;
    results[0] = tl_pass_loss(p);
    for (int k = 0; k < p->n; k++) results[k + 1] = tl_metric_result(p->metric[k]);
    tl_pass_results(p, "");
    tl_log_words(p->results, p->n + 1, words, sizeof words);
    tl_progress_end(&w->shown, words);
    return TL_OK;
}

tl_status tl_evaluate_opt(tl_place at, tl_model *model, tl_model_fn fn, tl_dataset *data, double *results,
                          const tl_evaluate_opts *o)
{
    const tl_evaluate_opts none = { .size = sizeof none };
    work w = { 0 };
    tl_pass p = { 0 };
    if (!o) o = &none;
    tl_status status = results ? begin(&w, model, fn, data, o) : tl_report(TL_E_ARGUMENT, "nowhere to put the results");
    if (!status) status = tl_pass_init(&p, o->metrics, o->n_metrics);
    if (!status) status = evaluate(&w, &p, results);
    tl_pass_free(&p);
    return end(&w, at, "tl_evaluate", status);
}

/* ---- predicting --------------------------------------------------------------------------------------------- */

/* What has been predicted so far: n rows of T steps each (1 where the output has none), a step being `inner` bytes. */
typedef struct rows {
    tl_array one; /* the first batch's output: type and shape of all */
    int axis;     /* of the samples in an output; 1: it has steps */
    int64_t n, T, inner;
    int64_t room; /* rows that there is memory for */
    char *data;
} rows;

static size_t memory_of(const rows *r)
{
    const int64_t bytes = r->room * r->T * r->inner;
    return bytes ? (size_t)bytes : 1;
}

/* Memory for `room` rows of T steps; those that are there move to their new places, and what is new is zero. */
static tl_status resize(rows *r, int64_t room, int64_t T)
{
    rows to = *r;
    int64_t bytes;
    if (room == r->room && T == r->T && r->data) return TL_OK;
    if (__builtin_mul_overflow(T, r->inner, &bytes) || __builtin_mul_overflow(room, bytes, &bytes))
        return tl_report(TL_E_SHAPE, "the predictions would be too large");
    to.room = room;
    to.T = T;
    to.data = tl_resize(NULL, 0, memory_of(&to));
    if (!to.data) return tl_report(TL_E_MEMORY, "out of memory for %lld predictions", (long long)room);
    memset(to.data, 0, (size_t)bytes);
    for (int64_t i = 0; i < r->n; i++)
        memcpy(to.data + i * T * r->inner, r->data + i * r->T * r->inner, (size_t)(r->T * r->inner));
    if (r->data) tl_resize(r->data, memory_of(r), 0);
    *r = to;
    return TL_OK;
}

static tl_status bad_shape(const tl_array *y, int axis, int64_t samples)
{
    return tl_report(
        TL_E_SHAPE,
        "the output has rank %d [%lld, %lld, ...]: its axis %d (.batch_axis) does not have the batch's %lld "
        "samples, or it differs from the batch before",
        y->rank, (long long)y->dim[0], (long long)y->dim[1], axis, (long long)samples);
}

/* Of a batch's output, may only the samples and the steps differ from the first one? */
static bool fits(const rows *r, const tl_array *y, int64_t samples)
{
    bool same = y->rank == r->one.rank && y->dtype == r->one.dtype && y->rank > r->axis && y->dim[r->axis] == samples;
    for (int k = r->axis + 1; same && k < y->rank; k++) same = y->dim[k] == r->one.dim[k];
    return same;
}

static tl_status add_rows(rows *r, const tl_array *y, int64_t samples, int64_t expected)
{
    if (!r->data) {
        r->one = *y;
        r->inner = y->dtype == TL_F64 ? 8 : 4;
        for (int k = r->axis + 1; k < y->rank; k++) r->inner *= y->dim[k];
    }
    if (!fits(r, y, samples)) return bad_shape(y, r->axis, samples);
    const int64_t T = r->axis ? y->dim[0] : 1, n = r->n + samples;
    int64_t room = r->room;
    if (n > room) room = n > expected ? 2 * n : expected;
    const tl_status status = resize(r, room, T > r->T ? T : r->T);
    if (status) return status;
    for (int64_t t = 0; t < T; t++)
        for (int64_t b = 0; b < samples; b++)
            memcpy(r->data + ((r->n + b) * r->T + t) * r->inner, (const char *)y->data + (t * samples + b) * r->inner,
                   (size_t)r->inner);
    r->n = n;
    return TL_OK;
}

/* The rows as an array, which then owns them. */
static tl_status hand_over(rows *r, tl_array *out)
{
    if (!r->n) return tl_report(TL_E_ARGUMENT, "there are no samples");
    const tl_status status = resize(r, r->n, r->T);
    if (status) return status;
    *out = r->one;
    out->dim[0] = r->n;
    if (r->axis) out->dim[1] = r->T;
    out->batch_axis = TL_ZERO;
    out->data = r->data;
    r->data = NULL;
    return TL_OK;
}

static tl_status predict(work *w, rows *r, const char *output, int batch_axis, int64_t expected)
{
    tl_batch b;
    tl_session *session = tl_trainer_session(w->trainer, TL_PREDICT);
    tl_session_reset(session);
    tl_status status = tl_loader_start(w->loader, 0, 0);
    while (!status) {
        tl_array y;
        status = tl_loader_next(w->loader, &b);
        if (status || !b.samples) break;
        status = tl_predict_step(w->trainer, b.in, b.n);
        if (!status) status = tl_get(session, output, &y);
        if (status) break;
        if (!r->data) r->axis = batch_axis == TL_ZERO ? 0 : batch_axis ? batch_axis : y.rank > 2;
        status = add_rows(r, &y, b.samples, expected);
        if (status) break;
        w->batch++;
        if (tl_progress_due(&w->shown, w->batch)) tl_progress_show(&w->shown, w->batch, NULL);
    }
    return status;
}

tl_status tl_predict_opt(tl_place at, tl_model *model, tl_model_fn fn, tl_dataset *data, const char *output,
                         tl_array *out, const tl_evaluate_opts *o)
{
    const tl_evaluate_opts none = { .size = sizeof none };
    work w = { 0 };
    rows r = { 0 };
    tl_status status = TL_OK;
    if (!o) o = &none;
    if (out) *out = (tl_array){ 0 };
    if (!out || !output || (o->batch_axis != TL_ZERO && o->batch_axis != 0 && o->batch_axis != 1))
        status = tl_report(TL_E_ARGUMENT,
                           "the name of an output, a place for it, and .batch_axis 1 or TL_ZERO are needed");
    if (!status) status = begin(&w, model, fn, data, o);
    if (!status) status = predict(&w, &r, output, o->batch_axis, tl_dataset_samples(data));
    if (!status) status = hand_over(&r, out);
    if (!status) tl_progress_end(&w.shown, NULL);
    if (r.data) tl_resize(r.data, memory_of(&r), 0);
    return end(&w, at, "tl_predict", status);
}
