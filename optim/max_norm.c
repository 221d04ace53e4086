/* optim/max_norm.c - a constraint on parameters, put into force after an update. */
#include "optim/optim.h"

#include <fnmatch.h>
#include <math.h>

/* Vectors that stand side by side are measured together, so memory is read in order. */
enum { SIDE = 16 };

#define MAX_NORM(REAL)                                                                                                 \
    static void max_norm_##REAL(REAL *w, int64_t n, int64_t stride, double limit)                                      \
    {                                                                                                                  \
        for (int64_t j = 0; j < stride; j += SIDE) {                                                                   \
            const int64_t m = stride - j < SIDE ? stride - j : SIDE;                                                   \
            double square[SIDE] = { 0 };                                                                               \
            for (int64_t i = 0; i < n; i++)                                                                            \
                for (int64_t k = 0; k < m; k++)                                                                        \
                    square[k] += (double)w[i * stride + j + k] * (double)w[i * stride + j + k];                        \
            for (int64_t k = 0; k < m; k++) {                                                                          \
                const double norm = sqrt(square[k]);                                                                   \
                if (norm <= limit) continue;                                                                           \
                for (int64_t i = 0; i < n; i++) w[i * stride + j + k] *= (REAL)(limit / norm);                         \
            }                                                                                                          \
        }                                                                                                              \
    }
MAX_NORM(float)
MAX_NORM(double)

static void constrain(tl_model *model, const tl_param_info *p, int axis, double limit)
{
    int64_t n = 1, stride = 1, outer = 1;
    for (int a = 0; a < p->shape.rank; a++) *(a < axis ? &outer : a == axis ? &n : &stride) *= p->shape.dim[a];
    for (int64_t i = 0; i < outer; i++) {
        const int64_t at = p->offset + i * n * stride;
        if (tl_model_dtype(model) == TL_F64) max_norm_double((double *)tl_model_values(model) + at, n, stride, limit);
        else max_norm_float((float *)tl_model_values(model) + at, n, stride, limit);
    }
}

tl_status tl_model_max_norm(tl_model *model, const char *pattern, double limit, int axis)
{
    if (!model) return tl_report(TL_E_ARGUMENT, "tl_model_max_norm: no model");
    if (!(limit > 0)) return tl_report(TL_E_ARGUMENT, "tl_model_max_norm: limit %g; it must be above 0", limit);
    if (axis < 0) return tl_report(TL_E_ARGUMENT, "tl_model_max_norm: axis %d is negative", axis);
    int matches = 0, constrained = 0;
    const tl_param_info *p;
    for (int i = 0; (p = tl_model_param(model, i)); i++) {
        if (pattern && fnmatch(pattern, p->name, 0)) continue;
        matches++;
        if (p->frozen || p->shape.rank <= axis) continue;
        constrain(model, p, axis, limit);
        constrained++;
    }
    if (constrained) tl_model_touch(model);
    if (matches) return TL_OK;
    return tl_report(TL_E_NAME, "tl_model_max_norm: no parameter matches \"%s\"", pattern ? pattern : "*");
}
