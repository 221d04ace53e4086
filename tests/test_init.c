/* tests/test_init.c - distributions of initial values: their moments, their bounds, which fan they go by. */
#include "layers/common.h"
#include "support.h"

/* 100,000 draws: the mean is off by sd / 316, the deviation by about 0.3 %. */
enum { ROWS = 250, COLS = 400, N = ROWS * COLS };

static double *filled(tl_init init, uint64_t key, int rank, const int64_t *dim)
{
    tl_shape shape = { .dtype = TL_F64, .rank = rank };
    memcpy(shape.dim, dim, (size_t)rank * sizeof *dim);
    tl_random random = { .key = key };
    double *out = malloc((size_t)tl_shape_size(&shape) * sizeof *out);
    init.fill(&init, &shape, out, &random);
    return out;
}

/* kurtosis: of a uniform 1.8, of a normal 3, of one cut off at two deviations 2.3626 (an integral); their standard
 * errors are at most 0.016. cut: the bound in deviations, 0: there is none. */
static void has_moments(const char *name, tl_init init, double mean, double sd, double kurtosis, double cut)
{
    double *w = filled(init, 42, TL_DIMS(ROWS, COLS)), m = 0, v = 0, k = 0, most = 0;
    for (int i = 0; i < N; i++) m += w[i] / N;
    for (int i = 0; i < N; i++) v += (w[i] - m) * (w[i] - m) / N;
    for (int i = 0; i < N; i++) k += pow(w[i] - m, 4) / N, most = fmax(most, fabs(w[i] - mean));
    cr_expect(fabs(m - mean) < 5 * sd / 316, "%s: mean %g, not %g", name, m, mean);
    cr_expect(fabs(sqrt(v) / sd - 1) < 0.015, "%s: deviation %g, not %g", name, sqrt(v), sd);
    cr_expect(fabs(k / (v * v) - kurtosis) < 0.08, "%s: kurtosis %g, not %g", name, k / (v * v), kurtosis);
    if (cut > 0) cr_expect(most <= cut * sd * (1 + 1e-15) && most > 0.99 * cut * sd, "%s: up to %g", name, most);
    else cr_expect(most > 3.5 * sd, "%s: up to %g only", name, most);
    free(w);
}

static const double keep = 0.87962566103423978; /* deviation of a normal cut off at two deviations */

Test(init, variance_scaling)
{
    const double fan[] = { [TL_FAN_IN] = ROWS, [TL_FAN_OUT] = COLS, [TL_FAN_AVERAGE] = (ROWS + COLS) / 2.0 };
    for (int f = 0; f < 3; f++)
        for (int scale = 1; scale <= 3; scale += 2) {
            const double sd = sqrt(scale / fan[f]);
            has_moments("truncated", tl_variance_scaling(scale, (tl_fan)f, TL_TRUNCATED_NORMAL), 0, sd, 2.3626,
                        2 / keep);
            has_moments("untruncated", tl_variance_scaling(scale, (tl_fan)f, TL_UNTRUNCATED_NORMAL), 0, sd, 3, 0);
            has_moments("uniform", tl_variance_scaling(scale, (tl_fan)f, TL_UNIFORM), 0, sd, 1.8, sqrt(3));
        }
}

Test(init, the_named_ones)
{
    const double both = (ROWS + COLS) / 2.0;
    has_moments("glorot_uniform", tl_glorot_uniform(), 0, sqrt(1 / both), 1.8, sqrt(3));
    has_moments("glorot_normal", tl_glorot_normal(), 0, sqrt(1 / both), 2.3626, 2 / keep);
    has_moments("he_uniform", tl_he_uniform(), 0, sqrt(2.0 / ROWS), 1.8, sqrt(3));
    has_moments("he_normal", tl_he_normal(), 0, sqrt(2.0 / ROWS), 2.3626, 2 / keep);
    has_moments("lecun_uniform", tl_lecun_uniform(), 0, sqrt(1.0 / ROWS), 1.8, sqrt(3));
    has_moments("lecun_normal", tl_lecun_normal(), 0, sqrt(1.0 / ROWS), 2.3626, 2 / keep);
    has_moments("truncated_normal", tl_truncated_normal(3, 0.5), 3, 0.5 * keep, 2.3626, 2 / keep); /* not widened */
}

/* Keras counts the columns of gates that stand side by side together; rows stay what they are. */
Test(init, matrices_side_by_side)
{
    const tl_fan fans[] = { TL_FAN_IN, TL_FAN_OUT, TL_FAN_AVERAGE };
    const double fan[] = { ROWS, 4 * COLS, (ROWS + 4 * COLS) / 2.0 };
    for (int f = 0; f < 3; f++)
        has_moments("side by side", tl__side_by_side(tl_variance_scaling(2, fans[f], TL_UNIFORM), 4), 0,
                    sqrt(2 / fan[f]), 1.8, sqrt(3));
}

Test(init, values_are_those_given)
{
    const double given[] = { 3, -1, 4, 1, -5, 9 }, *w = filled(tl_values(given), 1, TL_DIMS(2, 3));
    for (int i = 0; i < 6; i++) cr_assert(w[i] == given[i]);
}

static tl_status status_of(tl_init init)
{
    tl_model *model = tl_model_new();
    tl_tape *tape = tl_tape_new(model);
    tl_param(tl_root(tape), "W", TL_DIMS(2, 3), .init = init);
    tl_plan_free(tl_compile(tape));
    const tl_status status = tl_tape_status(tape);
    tl_tape_free(tape);
    tl_model_free(model);
    return status;
}

Test(init, what_makes_no_sense_is_a_status)
{
    cr_assert(status_of(tl_variance_scaling(-1, TL_FAN_IN, TL_UNIFORM)) == TL_E_NONFINITE);
    cr_assert(status_of(tl_variance_scaling(1, (tl_fan)3, TL_UNIFORM)) == TL_E_NONFINITE);
    cr_assert(status_of(tl_variance_scaling(1, TL_FAN_IN, (tl_distribution)-1)) == TL_E_NONFINITE);
    cr_assert(status_of(tl_values(NULL)) == TL_E_NONFINITE);
    cr_assert(status_of(tl_variance_scaling(0, TL_FAN_IN, TL_UNIFORM)) == TL_OK);
}
