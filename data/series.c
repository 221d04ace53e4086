/* data/series.c - windows over a time series. */
#include "data/internal.h"

#include <math.h>
#include <string.h>

/* With all defaults filled in; D columns of `element` bytes. */
typedef struct windows {
    const tl_array *x;
    int64_t T, D, horizon, P, stride, target, K, n; /* n: windows, before any is left out */
    size_t element;
    bool skip;
} windows;

static bool has_nan(const windows *w, int64_t row, int64_t rows, int64_t column, int64_t columns)
{
    for (int64_t r = row; r < row + rows; r++)
        for (int64_t k = column; k < column + columns; k++)
            if (isnan(tl_array_at(w->x, r * w->D + k))) return true;
    return false;
}

/* The first row that window i predicts. */
static int64_t predicted(const windows *w, int64_t i) { return i * w->stride + w->T - 1 + w->horizon; }

static bool is_left_out(const windows *w, int64_t i)
{
    return w->skip && (has_nan(w, i * w->stride, w->T, 0, w->D) || has_nan(w, predicted(w, i), w->P, w->target, w->K));
}

static const char *row_of(const windows *w, int64_t row, int64_t column)
{
    return (const char *)w->x->data + (size_t)(row * w->D + column) * w->element;
}

static void fill(const windows *w, char *inputs, char *targets)
{
    if (!w->n) return; /* then T and K may be anything */
    const size_t in = (size_t)(w->T * w->D) * w->element, out = (size_t)w->K * w->element;
    for (int64_t i = 0; i < w->n; i++) {
        if (is_left_out(w, i)) continue;
        if (inputs) inputs = (char *)memcpy(inputs, row_of(w, i * w->stride, 0), in) + in;
        for (int64_t p = 0; p < w->P && targets; p++)
            targets = (char *)memcpy(targets, row_of(w, predicted(w, i) + p, w->target), out) + out;
    }
}

/* Fills the defaults in and counts the windows. */
static tl_status plan(windows *w, const tl_array *x, const tl_series_opts *o)
{
    if (!x || (x->dtype != TL_F32 && x->dtype != TL_F64))
        return tl_report(TL_E_DTYPE, "tl_series_windows: f32 or f64 is needed");
    if (x->rank != 2 || x->dim[0] < 0 || x->dim[1] < 1 || (!x->data && x->dim[0]))
        return tl_report(TL_E_SHAPE, "tl_series_windows: a series [rows, D] is needed");
    *w = (windows){
        .x = x, .T = o->steps, .D = x->dim[1], .element = tl_element_size(x->dtype), .skip = o->skip_missing
    };
    w->horizon = tl_whole(o->horizon, 1);
    w->P = tl_whole(o->predict, 1);
    w->stride = tl_whole(o->stride, 1);
    w->target = tl_whole(o->target, 0);
    w->K = tl_whole(o->n_targets, 1);
    if (w->T < 1 || w->horizon < 0 || w->P < 1 || w->stride < 1)
        return tl_report(TL_E_ARGUMENT, "tl_series_windows: .steps, .predict and .stride are at least 1, .horizon 0");
    if (w->target < 0 || w->K < 1 || w->K > w->D - w->target)
        return tl_report(TL_E_ARGUMENT, "tl_series_windows: %lld targets from column %lld on, of %lld", (long long)w->K,
                         (long long)w->target, (long long)w->D);
    const int64_t rows = x->dim[0];
    if (w->T > rows || w->horizon > rows - w->T || w->P > rows - w->T - w->horizon + 1) return TL_OK;
    w->n = (rows - w->T - w->horizon - w->P + 1) / w->stride + 1;
    return TL_OK;
}

tl_status tl_series_windows_opt(const tl_array *series, tl_array *inputs, tl_array *targets, const tl_series_opts *o)
{
    windows w;
    if (inputs) *inputs = (tl_array){ 0 };
    if (targets) *targets = (tl_array){ 0 };
    if (!o) return tl_report(TL_E_ARGUMENT, "tl_series_windows: .steps is needed");
    tl_status status = plan(&w, series, o);
    if (status) return status;
    int64_t n = 0;
    for (int64_t i = 0; i < w.n; i++) n += !is_left_out(&w, i);
    if (inputs) status = tl_array_new("tl_series_windows", series->dtype, 3, (int64_t[]){ n, w.T, w.D }, inputs);
    if (!status && targets)
        status = w.P > 1 ? tl_array_new("tl_series_windows", series->dtype, 3, (int64_t[]){ n, w.P, w.K }, targets)
                         : tl_array_new("tl_series_windows", series->dtype, 2, (int64_t[]){ n, w.K }, targets);
    if (status) {
        if (inputs) tl_array_free(inputs);
        return status;
    }
    fill(&w, inputs ? inputs->data : NULL, targets ? targets->data : NULL);
    return TL_OK;
}
