/* optim/clip.c - clipping of a session's gradients, by value and by the norm of all of them together. */
#include "optim/optim.h"

#include <math.h>

/* The gradients of the session's last run. */
typedef struct gradients {
    void *g;
    bool f64;
    const tl_range *range;
    int n;
} gradients;

static tl_status find(const char *who, tl_session *session, gradients *out)
{
    if (!session) return tl_report(TL_E_ARGUMENT, "%s: no session", who);
    *out = (gradients){ .f64 = tl_model_dtype(tl_session_model(session)) == TL_F64 };
    out->g = (void *)(uintptr_t)tl_session_read_gradients(session, &out->range, &out->n); /* zeros stay zeros */
    if (!out->n) return tl_report(TL_E_OUTPUT, "%s: the last run left no gradients; record tl_backward(loss)", who);
    return TL_OK;
}

/* ---- by value ----------------------------------------------------------------------------------------------- */

/* Written so that a NaN, which compares false, stays. */
#define CLAMP(REAL)                                                                                                    \
    static void clamp_##REAL(REAL *g, int64_t begin, int64_t end, REAL limit)                                          \
    {                                                                                                                  \
        _Pragma("omp simd") for (int64_t i = begin; i < end; i++)                                                      \
        {                                                                                                              \
            const REAL low = g[i] < -limit ? -limit : g[i];                                                            \
            g[i] = low > limit ? limit : low;                                                                          \
        }                                                                                                              \
    }
CLAMP(float)
CLAMP(double)

tl_status tl_clip_value(tl_session *session, double limit)
{
    gradients a;
    if (!(limit > 0)) return tl_report(TL_E_ARGUMENT, "tl_clip_value: limit %g; it must be above 0", limit);
    const tl_status status = find("tl_clip_value", session, &a);
    for (int k = 0; !status && k < a.n; k++) {
        if (a.f64) clamp_double(a.g, a.range[k].begin, a.range[k].end, limit);
        else clamp_float(a.g, a.range[k].begin, a.range[k].end, (float)limit);
    }
    return status;
}

/* ---- by the norm -------------------------------------------------------------------------------------------- */

/* The sum of squares has one lane for each offset modulo 16, joined by a fixed tree: how the ranges are cut does not
 * matter, and the loop over lanes is vectors of any width. */
enum { LANES = 16 };

#define SQUARES(REAL)                                                                                                  \
    static void squares_##REAL(double *restrict lane, const REAL *restrict g, int64_t i, int64_t end)                  \
    {                                                                                                                  \
        for (; i < end && i % LANES; i++) lane[i % LANES] += (double)g[i] * (double)g[i];                              \
        for (; i + LANES <= end; i += LANES)                                                                           \
            for (int l = 0; l < LANES; l++) lane[l] += (double)g[i + l] * (double)g[i + l];                            \
        for (; i < end; i++) lane[i % LANES] += (double)g[i] * (double)g[i];                                           \
    }                                                                                                                  \
    static void scale_##REAL(REAL *g, int64_t i, int64_t end, REAL factor)                                             \
    {                                                                                                                  \
        _Pragma("omp simd") for (int64_t k = i; k < end; k++) g[k] *= factor;                                          \
    }
SQUARES(float)
SQUARES(double)

static double norm_of(const gradients *a)
{
    double lane[LANES] = { 0 };
    for (int k = 0; k < a->n; k++) {
        if (a->f64) squares_double(lane, a->g, a->range[k].begin, a->range[k].end);
        else squares_float(lane, a->g, a->range[k].begin, a->range[k].end);
    }
    for (int half = LANES / 2; half; half /= 2)
        for (int l = 0; l < half; l++) lane[l] += lane[l + half];
    return sqrt(lane[0]);
}

tl_status tl_clip_global_norm(tl_session *session, double max, double *norm_out)
{
    gradients a;
    if (!(max > 0)) return tl_report(TL_E_ARGUMENT, "tl_clip_global_norm: max %g; it must be above 0", max);
    const tl_status status = find("tl_clip_global_norm", session, &a);
    if (status) return status;
    const double norm = norm_of(&a);
    if (norm_out) *norm_out = norm;
    if (!isfinite(norm)) return tl_report(TL_E_NONFINITE, "the norm of the gradients is %g; nothing was scaled", norm);
    for (int k = 0; norm > max && k < a.n; k++) {
        if (a.f64) scale_double(a.g, a.range[k].begin, a.range[k].end, max / norm);
        else scale_float(a.g, a.range[k].begin, a.range[k].end, (float)(max / norm));
    }
    return TL_OK;
}
