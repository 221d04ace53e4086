/* optim/clip.c - clipping of gradients: by value, by the norm of all of them together, and by that of each parameter. */
#include "optim/loops.h"

#include <math.h>

#include "ops/kernels/kernels.h"

/* ---- on any gradients --------------------------------------------------------------------------------------- */

void tl_gradients_clamp(tl_gradients a, double limit)
{
    for (tl_span s; tl_next_span(&a.spans, &s);) a.loops->clamp(a.g, &s, limit);
}

void tl_gradients_scale(tl_gradients a, double factor)
{
    for (tl_span s; tl_next_span(&a.spans, &s);) a.loops->scale(a.g, &s, factor);
}

/* The lanes are joined by a fixed tree. */
static double joined(double lane[TL_NORM_LANES], bool largest)
{
    for (int half = TL_NORM_LANES / 2; half; half /= 2)
        for (int l = 0; l < half; l++) {
            const double other = lane[l + half];
            if (!largest) lane[l] += other;
            else if (other > lane[l] || isnan(other)) lane[l] = other;
        }
    return lane[0];
}

static double norm_of(tl_gradients a, tl_norm_loop loop)
{
    double lane[TL_NORM_LANES] = { 0 };
    for (tl_span s; tl_next_span(&a.spans, &s);) loop(lane, a.g, &s);
    const double sum = joined(lane, loop == a.loops->largest);
    return loop == a.loops->squares ? sqrt(sum) : sum;
}

double tl_gradients_norm(tl_gradients a) { return norm_of(a, a.loops->squares); }

double tl_clip_factor(tl_style style, double norm, double max)
{
    if (style == TL_TORCH) return isinf(max) ? 1 : fmin(1, max / (norm + 1e-6));
    return norm > max ? max / norm : 1;
}

tl_status tl_gradients_clip_each(tl_gradients a, double max)
{
    a.spans.each = true;
    tl_spans ahead = a.spans; /* nothing is scaled if one of them cannot be */
    for (tl_span s; tl_next_span(&ahead, &s);) {
        double lane[TL_NORM_LANES] = { 0 };
        a.loops->squares(lane, a.g, &s);
        const double square = joined(lane, false);
        if (!isfinite(square))
            return tl_report(TL_E_NONFINITE, "the norm of the gradient of %s is %g; nothing was scaled",
                             tl_model_param(ahead.model, s.param)->name, sqrt(square));
    }
    for (tl_span s; tl_next_span(&a.spans, &s);) {
        double lane[TL_NORM_LANES] = { 0 };
        a.loops->squares(lane, a.g, &s);
        const double factor = tl_clip_factor(TL_KERAS, sqrt(joined(lane, false)), max);
        if (factor < 1) a.loops->scale(a.g, &s, factor);
    }
    return TL_OK;
}

/* ---- on those of a session's last run ----------------------------------------------------------------------- */

static tl_status find(const char *who, tl_session *session, double limit, tl_gradients *out)
{
    if (!(limit > 0)) return tl_report(TL_E_ARGUMENT, "%s: limit %g; it must be above 0", who, limit);
    if (!session) return tl_report(TL_E_ARGUMENT, "%s: no session", who);
    const tl_model *model = tl_session_model(session);
    const tl_range *range;
    int n;
    const void *g = tl_session_read_gradients(session, &range, &n); /* changed, but zeros stay zeros */
    if (!n) return tl_report(TL_E_OUTPUT, "%s: the last run left no gradients; record tl_backward(loss)", who);
    *out = (tl_gradients){ .g = (void *)(uintptr_t)g,
                           .loops = tl_loops_for(tl_isa(), tl_model_dtype(model)),
                           .spans = { session, model, range, range + n, .used_rows = true } };
    return TL_OK;
}

tl_status tl_clip_value(tl_session *session, double limit)
{
    tl_gradients a;
    const tl_status status = find("tl_clip_value", session, limit, &a);
    if (!status) tl_gradients_clamp(a, limit);
    return status;
}

tl_status tl_clip_norm_opt(tl_session *session, double max, const tl_clip_opts *o)
{
    const tl_clip_opts none = { .size = sizeof none };
    tl_gradients a;
    if (!o) o = &none;
    const double order = tl_number(o->order, 2);
    if (order != 2 && order != 1 && order != INFINITY)
        return tl_report(TL_E_ARGUMENT, "tl_clip_norm: .order = %g; it must be 1, 2 or INFINITY", order);
    if (o->each && (order != 2 || o->norm))
        return tl_report(TL_E_ARGUMENT, "tl_clip_norm: with .each there is neither .order nor .norm");
    const tl_status status = find("tl_clip_norm", session, max, &a);
    if (status) return status;
    if (o->each) return tl_gradients_clip_each(a, max);
    const double norm = norm_of(a, order == 2 ? a.loops->squares : order == 1 ? a.loops->absolutes : a.loops->largest);
    if (o->norm) *o->norm = norm;
    if (!isfinite(norm)) return tl_report(TL_E_NONFINITE, "the norm of the gradients is %g; nothing was scaled", norm);
    const double factor = tl_clip_factor(o->style, norm, max);
    if (factor != 1) tl_gradients_scale(a, factor);
    return TL_OK;
}

tl_status tl_clip_global_norm(tl_session *session, double max, double *norm)
{
    return tl_clip_norm_opt(session, max, &(tl_clip_opts){ .size = sizeof(tl_clip_opts), .norm = norm });
}
