/* data/scaler.c - columns of numbers brought to one scale, by what some of their rows say. */
#include "data/internal.h"

#include <math.h>
#include <string.h>

static tl_status check(const char *who, const tl_array *x)
{
    if (!x || (x->dtype != TL_F32 && x->dtype != TL_F64)) return tl_report(TL_E_DTYPE, "%s: f32 or f64 is needed", who);
    if (x->rank < 1 || !x->data) return tl_report(TL_E_SHAPE, "%s: an array with columns is needed", who);
    return TL_OK;
}

static tl_status make(const char *who, int64_t n, tl_scaler *out)
{
    const size_t bytes = (size_t)n * sizeof(double);
    *out = (tl_scaler){ n, tl_resize(NULL, 0, bytes), tl_resize(NULL, 0, bytes) };
    if (!n || (out->offset && out->scale)) return TL_OK;
    tl_scaler_free(out);
    return tl_report(TL_E_MEMORY, "%s: out of memory", who);
}

void tl_scaler_free(tl_scaler *s)
{
    if (!s) return;
    const size_t bytes = (size_t)s->n * sizeof(double);
    tl_resize(s->offset, bytes, 0);
    tl_resize(s->scale, bytes, 0);
    *s = (tl_scaler){ 0 };
}

/* ---- fitting ------------------------------------------------------------------------------------------------ */

/* Of one column; n: how many are not NaN. */
typedef struct figures {
    int64_t n;
    double low, high, mean, deviation;
} figures;

static tl_status look(const tl_array *x, int64_t from, int64_t to, int64_t column, figures *f)
{
    double sum = 0, squares = 0;
    *f = (figures){ .low = INFINITY, .high = -INFINITY };
    for (int64_t r = from; r < to; r++) {
        const double v = tl_array_at(x, r * x->dim[1] + column);
        if (isinf(v))
            return tl_report(TL_E_NONFINITE, "tl_scaler_fit: row %lld of column %lld is infinite", (long long)r,
                             (long long)column);
        if (isnan(v)) continue;
        f->n++;
        sum += v;
        f->low = fmin(f->low, v);
        f->high = fmax(f->high, v);
    }
    f->mean = f->n ? sum / (double)f->n : 0;
    for (int64_t r = from; r < to; r++) {
        const double d = tl_array_at(x, r * x->dim[1] + column) - f->mean;
        if (!isnan(d)) squares += d * d;
    }
    f->deviation = f->n ? sqrt(squares / (double)f->n) : 0;
    return TL_OK;
}

tl_status tl_scaler_fit_opt(tl_scaler *out, const tl_array *x, int64_t from, int64_t to, const tl_scaler_opts *o)
{
    static const tl_scaler_opts usual = { .size = sizeof usual };
    if (!out) return tl_report(TL_E_ARGUMENT, "tl_scaler_fit: a place for the scaler is needed");
    *out = (tl_scaler){ 0 };
    if (!o) o = &usual;
    tl_status status = check("tl_scaler_fit", x);
    if (status) return status;
    const double low = tl_number(o->low, 0), high = tl_number(o->high, 1);
    const bool standard = !o->kind || o->kind == TL_STANDARD;
    if (x->rank != 2) return tl_report(TL_E_SHAPE, "tl_scaler_fit: rank %d, not 2", x->rank);
    if (from < 0 || from > to || to > x->dim[0])
        return tl_report(TL_E_INDEX, "tl_scaler_fit: rows %lld to %lld of %lld", (long long)from, (long long)to,
                         (long long)x->dim[0]);
    if (!standard && (o->kind != TL_MINMAX || !(low < high)))
        return tl_report(TL_E_ARGUMENT, "tl_scaler_fit: no such .kind, or .low = %g is not below .high = %g", low,
                         high);
    if ((status = make("tl_scaler_fit", x->dim[1], out))) return status;
    for (int64_t k = 0; k < out->n && !status; k++) {
        figures f;
        status = look(x, from, to, k, &f);
        /* Where all are the same, rounding must not make a scale. */
        const bool varies = f.n && f.low < f.high;
        const double scale = standard ? f.deviation : (f.high - f.low) / (high - low);
        out->scale[k] = varies && scale > 0 ? scale : 1;
        out->offset[k] = !f.n ? 0 : standard ? (varies ? f.mean : f.low) : f.low - low * out->scale[k];
    }
    if (status) tl_scaler_free(out);
    return status;
}

/* ---- using -------------------------------------------------------------------------------------------------- */

static tl_status change(const char *who, const tl_scaler *s, tl_array *x, int64_t first, bool invert)
{
    const tl_status status = check(who, x);
    if (status) return status;
    const int64_t m = x->dim[x->rank - 1];
    int64_t n = 1;
    for (int k = 0; k < x->rank; k++) n *= x->dim[k];
    if (first < 0 || m > s->n - first)
        return tl_report(TL_E_SHAPE, "%s: columns %lld to %lld of a scaler of %lld", who, (long long)first,
                         (long long)(first + m), (long long)s->n);
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = first + i % m;
        const double v = tl_array_at(x, i),
                     y = invert ? v * s->scale[k] + s->offset[k] : (v - s->offset[k]) / s->scale[k];
        tl_array_put(x, i, y);
    }
    return TL_OK;
}

tl_status tl_scaler_apply(const tl_scaler *s, tl_array *x, int64_t first)
{
    return change("tl_scaler_apply", s, x, first, false);
}

tl_status tl_scaler_invert(const tl_scaler *s, tl_array *x, int64_t first)
{
    return change("tl_scaler_invert", s, x, first, true);
}

/* ---- keeping ------------------------------------------------------------------------------------------------ */

tl_status tl_scaler_save(const tl_scaler *s, const char *path)
{
    if (!s) return tl_report(TL_E_ARGUMENT, "tl_scaler_save: a scaler is needed");
    const tl_named_array e[] = { { "offset", tl_array_of(TL_F64, TL_DIMS(s->n), s->offset) },
                                 { "scale", tl_array_of(TL_F64, TL_DIMS(s->n), s->scale) } };
    return tl_safetensors_write(path, e, 2, NULL, 0);
}

static tl_status take(const char *path, const tl_safetensors *f, tl_scaler *out)
{
    const tl_array *offset = tl_safetensors_array(f, "offset"), *scale = tl_safetensors_array(f, "scale");
    if (!offset || !scale || offset->rank != 1 || scale->rank != 1 || offset->dim[0] != scale->dim[0] ||
        offset->dtype != TL_F64 || scale->dtype != TL_F64)
        return tl_report(TL_E_FORMAT, "%s: offset and scale of a scaler are not there", path);
    const int64_t n = offset->dim[0];
    for (int64_t k = 0; k < n; k++)
        if (!isfinite(tl_array_at(offset, k)) || !isfinite(tl_array_at(scale, k)) || !(tl_array_at(scale, k) > 0))
            return tl_report(TL_E_FORMAT, "%s: offset and scale of column %lld make no sense", path, (long long)k);
    const tl_status status = make(path, n, out);
    if (status || !n) return status;
    memcpy(out->offset, offset->data, (size_t)n * sizeof(double));
    memcpy(out->scale, scale->data, (size_t)n * sizeof(double));
    return TL_OK;
}

tl_status tl_scaler_load(const char *path, tl_scaler *out)
{
    if (!out) return tl_report(TL_E_ARGUMENT, "tl_scaler_load: a place for the scaler is needed");
    tl_safetensors *f;
    *out = (tl_scaler){ 0 };
    tl_status status = tl_safetensors_read(path, &f);
    if (status) return status;
    status = take(path, f, out);
    tl_safetensors_free(f);
    return status;
}
