/* data/series.c - windows over a series: of numbers with missing ones, and of anything. */
#include "data/internal.h"

#include <math.h>
#include <string.h>

/* ---- what both do ------------------------------------------------------------------------------------------- */

/* Of window i of a series [steps, ...] the steps from + i stride + k every, k < length. */
typedef struct cut {
    const tl_array *x;
    int64_t from, stride, every, length;
    int64_t column, columns; /* of a series [rows, D] only these; columns 0: whole steps */
    bool single;             /* one step, without an axis of its own */
} cut;

/* The index of the first element of step k of window i. */
static int64_t element_of(const cut *c, int64_t i, int64_t k)
{
    return (c->from + i * c->stride + k * c->every) * tl_step_size(c->x) + c->column;
}

static int64_t elements(const cut *c) { return c->columns ? c->columns : tl_step_size(c->x); }

static bool has_nan(const cut *c, int64_t i)
{
    for (int64_t k = 0; k < c->length; k++)
        for (int64_t j = 0; j < elements(c); j++)
            if (isnan(tl_array_at(c->x, element_of(c, i, k) + j))) return true;
    return false;
}

static bool skipped(const cut both[2], int64_t i) { return has_nan(&both[0], i) || has_nan(&both[1], i); }

/* Room for n windows. */
static tl_status make(const char *who, const cut *c, int64_t n, tl_array *out)
{
    int64_t dim[TL_MAX_RANK] = { n, c->length };
    const int lead = c->single ? 1 : 2, rank = lead + c->x->rank - 1;
    memcpy(dim + lead, c->x->dim + 1, (size_t)(c->x->rank - 1) * sizeof *dim);
    if (c->columns) dim[rank - 1] = c->columns;
    return tl_array_new(who, c->x->dtype, rank, dim, out);
}

static char *take(const cut *c, int64_t i, char *out)
{
    const size_t element = tl_element_size(c->x->dtype), bytes = (size_t)elements(c) * element;
    for (int64_t k = 0; k < c->length; k++, out += bytes)
        memcpy(out, (const char *)c->x->data + (size_t)element_of(c, i, k) * element, bytes);
    return out;
}

/* Both cuts of n windows into new arrays (NULL: not wanted); with `skip` without the windows that hold a NaN. */
static tl_status cut_windows(const char *who, const cut both[2], int64_t n, bool skip, tl_array *const out[2])
{
    tl_status status = TL_OK;
    int64_t left = 0;
    char *at[2] = { NULL, NULL };
    for (int64_t i = 0; i < n; i++) left += !(skip && skipped(both, i));
    for (int a = 0; a < 2 && !status; a++) {
        if (!out[a]) continue;
        status = make(who, &both[a], left, out[a]);
        at[a] = out[a]->data;
    }
    if (status && out[0]) tl_array_free(out[0]);
    for (int64_t i = 0; i < n && !status; i++) {
        if (skip && skipped(both, i)) continue;
        for (int a = 0; a < 2; a++)
            if (at[a]) at[a] = take(&both[a], i, at[a]);
    }
    return status;
}

/* ---- time series ------------------------------------------------------------------------------------------------ */

tl_status tl_series_windows_opt(const tl_array *series, tl_array *inputs, tl_array *targets, const tl_series_opts *o)
{
    static const char who[] = "tl_series_windows";
    if (inputs) *inputs = (tl_array){ 0 };
    if (targets) *targets = (tl_array){ 0 };
    if (!o) return tl_report(TL_E_ARGUMENT, "%s: .steps is needed", who);
    if (!series || (series->dtype != TL_F32 && series->dtype != TL_F64))
        return tl_report(TL_E_DTYPE, "%s: f32 or f64 is needed", who);
    if (series->rank != 2 || series->dim[0] < 0 || series->dim[1] < 1 || (!series->data && series->dim[0]))
        return tl_report(TL_E_SHAPE, "%s: a series [rows, D] is needed", who);
    const int64_t T = o->steps, horizon = tl_whole(o->horizon, 1), P = tl_whole(o->predict, 1);
    const int64_t stride = tl_whole(o->stride, 1), target = tl_whole(o->target, 0), K = tl_whole(o->n_targets, 1);
    const int64_t rows = series->dim[0], D = series->dim[1];
    if (T < 1 || horizon < 0 || P < 1 || stride < 1)
        return tl_report(TL_E_ARGUMENT, "%s: .steps, .predict and .stride are at least 1, .horizon 0", who);
    if (target < 0 || K < 1 || K > D - target)
        return tl_report(TL_E_ARGUMENT, "%s: %lld targets from column %lld on, of %lld", who, (long long)K,
                         (long long)target, (long long)D);
    const bool fits = T <= rows && horizon <= rows - T && P <= rows - T - horizon + 1;
    const cut both[] = {
        { .x = series, .stride = stride, .every = 1, .length = T },
        { series, fits ? T - 1 + horizon : 0, stride, 1, P, target, K, P == 1 },
    };
    return cut_windows(who, both, fits ? (rows - T - horizon - P + 1) / stride + 1 : 0, o->skip_missing,
                       (tl_array *[]){ inputs, targets });
}

/* ---- ids, or vectors -------------------------------------------------------------------------------------------- */

tl_status tl_sliding_windows_opt(const tl_array *series, int64_t window, tl_array out[2], const tl_sliding_opts *o)
{
    static const char who[] = "tl_sliding_windows";
    static const tl_sliding_opts usual = { .size = sizeof usual };
    if (!o) o = &usual;
    const tl_array *targets = o->targets ? o->targets : series;
    const int64_t stride = o->stride ? o->stride : 1, every = o->sampling_rate ? o->sampling_rate : 1;
    if (!series || !out || !tl_array_valid(series) || !tl_array_valid(targets) || window < 1 || stride < 1 || every < 1)
        return tl_report(TL_E_ARGUMENT, "%s: a series, and window, .stride and .sampling_rate of at least 1 are needed",
                         who);
    out[0] = out[1] = (tl_array){ 0 };
    if (series->rank < 1 || series->rank >= TL_MAX_RANK || targets->rank < 1 || targets->dim[0] != series->dim[0])
        return tl_report(TL_E_SHAPE, "%s: a series is [steps, ...], and .targets has as many steps", who);
    const int64_t steps = series->dim[0];
    if (steps <= window)
        return tl_report(TL_E_SHAPE, "%s: %lld steps are too few for a window of %lld and what follows it", who,
                         (long long)steps, (long long)window);
    const cut both[] = {
        { .x = series, .stride = stride, .every = every, .length = (window - 1) / every + 1 },
        { .x = targets, .from = window, .stride = stride, .every = every, .length = 1, .single = true },
    };
    return cut_windows(who, both, (steps - window - 1) / stride + 1, false, (tl_array *[]){ &out[0], &out[1] });
}
