/* optim/clip.c - clipping of a session's gradients, by value and by the norm of all of them together. */
#include "optim/loops.h"

#include <math.h>

#include "ops/kernels/kernels.h"

/* The gradients of the session's last run, and all the spans that they are in. */
typedef struct gradients {
    void *g;
    const tl_loops *loops;
    tl_spans spans;
} gradients;

static tl_status find(const char *who, tl_session *session, gradients *out)
{
    if (!session) return tl_report(TL_E_ARGUMENT, "%s: no session", who);
    const tl_model *model = tl_session_model(session);
    const tl_range *range;
    int n;
    const void *g = tl_session_read_gradients(session, &range, &n); /* changed, but zeros stay zeros */
    if (!n) return tl_report(TL_E_OUTPUT, "%s: the last run left no gradients; record tl_backward(loss)", who);
    *out = (gradients){ .g = (void *)(uintptr_t)g,
                        .loops = tl_loops_for(tl_isa(), tl_model_dtype(model)),
                        .spans = { session, model, range, range + n, .used_rows = true } };
    return TL_OK;
}

tl_status tl_clip_value(tl_session *session, double limit)
{
    gradients a;
    if (!(limit > 0)) return tl_report(TL_E_ARGUMENT, "tl_clip_value: limit %g; it must be above 0", limit);
    const tl_status status = find("tl_clip_value", session, &a);
    for (tl_span s; !status && tl_next_span(&a.spans, &s);) a.loops->clamp(a.g, &s, limit);
    return status;
}

/* The lanes are joined by a fixed tree. */
static double norm_of(gradients a)
{
    double lane[TL_NORM_LANES] = { 0 };
    for (tl_span s; tl_next_span(&a.spans, &s);) a.loops->squares(lane, a.g, &s);
    for (int half = TL_NORM_LANES / 2; half; half /= 2)
        for (int l = 0; l < half; l++) lane[l] += lane[l + half];
    return sqrt(lane[0]);
}

tl_status tl_clip_global_norm(tl_session *session, double max, double *norm_out)
{
    gradients a;
    if (!(max > 0)) return tl_report(TL_E_ARGUMENT, "tl_clip_global_norm: max %g; it must be above 0", max);
    const tl_status status = find("tl_clip_global_norm", session, &a);
    if (status) return status;
    const double norm = norm_of(a);
    if (norm_out) *norm_out = norm;
    if (!isfinite(norm)) return tl_report(TL_E_NONFINITE, "the norm of the gradients is %g; nothing was scaled", norm);
    for (tl_span s; norm > max && tl_next_span(&a.spans, &s);) a.loops->scale(a.g, &s, max / norm);
    return TL_OK;
}
