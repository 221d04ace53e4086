/* tests/test_schedules.c - learning rates by the number of updates, from their formulas and by hand; plateaus. What Keras and
 * PyTorch compute is replayed by the conformance program. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tapeloop.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static void says(const char *words)
{
    cr_assert(strstr(tl_message(), words), "'%s' does not say '%s'", tl_message(), words);
}

/* The rates of updates 0, 1, 2 ... */
static void rates(tl_schedule s, int n, const double *want, const char *what)
{
    for (int k = 0; k < n; k++) {
        const double got = tl_schedule_at(s, k);
        cr_assert(fabs(got - want[k]) <= 1e-14 * fabs(want[k]), "%s at %d is %.17g, not %.17g", what, k, got, want[k]);
    }
}
#define RATES(s, ...) rates(s, COUNT(((double[]){ __VA_ARGS__ })), (double[]){ __VA_ARGS__ }, #s)

/* ---- by hand -------------------------------------------------------------------------------------------------- */

Test(schedule, gives_what_one_computes_by_hand)
{
    RATES(tl_exponential_decay(.lr = 8, .factor = 0.5), 8, 4, 2, 1, 0.5);
    RATES(tl_exponential_decay(.lr = 8, .factor = 0.25, .steps = 2), 8, 4, 2, 1);
    RATES(tl_exponential_decay(.lr = 8, .factor = 0.25, .steps = 2, .staircase = true), 8, 8, 2, 2, 0.5);
    RATES(tl_step_decay(.lr = 1, .steps = 3), 1, 1, 1, 0.1, 0.1, 0.1, 0.1 * 0.1);
    RATES(tl_inverse_time_decay(.lr = 6), 6, 3, 2, 1.5);
    RATES(tl_inverse_time_decay(.lr = 6, .factor = 2, .steps = 2), 6, 3, 2, 1.5);
    RATES(tl_inverse_time_decay(.lr = 6, .factor = 2, .steps = 2, .staircase = true), 6, 6, 2, 2);
    RATES(tl_polynomial_decay(.lr = 5, .end = 1, .steps = 4, .power = 2), 5, 3.25, 2, 1.25, 1, 1, 1);
    RATES(tl_polynomial_decay(.lr = 4, .steps = 2, .cycle = true), 4, 2, 0, 1, 0, 4. / 6, 0);
    RATES(tl_linear_decay(.lr = 1, .end = 3, .steps = 4), 1, 1.5, 2, 2.5, 3, 3);
    RATES(tl_multi_step_decay(.lr = 1, .factor = 0.5, .at = { 2, 3, 6 }), 1, 1, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125);
    RATES(tl_piecewise_constant(.at = { 2, 3 }, .values = { 5, 6, 0 }), 5, 5, 5, 6, 0, 0);
    RATES(tl_cosine_decay(.lr = 3, .end = 1, .steps = 2), 3, 2, 1, 1, 1);
    RATES(tl_cosine_decay(.lr = 3, .end = 1, .steps = 2, .cycle = true), 3, 2, 1, 2, 3, 2);
    RATES(tl_cosine_restarts(.lr = 4, .steps = 2), 4, 2, 4, 2 + sqrt(2), 2, 2 - sqrt(2), 4);
    RATES(tl_cosine_restarts(.lr = 5, .end = 1, .steps = 2, .growth = 1, .factor = 0.5), 5, 3, 3, 2, 2, 1.5);
    RATES(tl_one_cycle(.lr = 4, .steps = 8, .rise = 0.375, .start_divisor = 2, .end_divisor = 2, .linear = true), 2, 3,
          4, 3.4, 2.8, 2.2, 1.6, 1, 1);
    RATES(tl_one_cycle(.lr = 4, .steps = 7, .rise = 3. / 7, .start_divisor = 2, .end_divisor = 2), 2, 3, 4,
          2.5 + 1.5 * sqrt(0.5), 2.5, 2.5 - 1.5 * sqrt(0.5), 1);
    RATES(tl_triangular(.lr = 1, .end = 3, .steps = 2), 1, 2, 3, 2, 1, 2);
    RATES(tl_triangular(.lr = TL_ZERO, .end = 4, .steps = 4), 0, 1, 2, 3, 4, 3, 2);
}

static double doubling(int64_t k, void *ctx) { return *(double *)ctx * (double)(1 << k); }

Test(schedule, calls_the_users_function)
{
    double base = 3;
    RATES(tl_schedule_function(.fn = doubling, .ctx = &base), 3, 6, 12, 24);
}

/* Restarts come where the lengths add up to them, whatever a logarithm makes of it. */
Test(schedule, restarts_at_the_very_update)
{
    for (int steps = 1; steps < 12; steps++)
        for (int growth = 1; growth < 5; growth++) {
            const tl_schedule s = tl_cosine_restarts(.lr = 1, .steps = steps, .growth = growth);
            for (int64_t k = 0, next = 0, length = steps; k < 3000; k++) {
                if (k == next) next += length, length *= growth;
                const bool first = k == 0 || k == next - length / growth;
                cr_assert((tl_schedule_at(s, k) == 1) == first, "%d steps, growth %d, at %lld", steps, growth,
                          (long long)k);
            }
        }
}

Test(schedule, restarts_where_lengths_are_no_integers)
{
    const tl_schedule s = tl_cosine_restarts(.lr = 1, .steps = 100, .growth = 1.1); /* 100, 110, 121, 133.1 ... long */
    for (int64_t k = 0; k < 465; k++)
        cr_assert((tl_schedule_at(s, k) > 0.999999) == (k == 0 || k == 100 || k == 210 || k == 331), "%lld",
                  (long long)k);
}

Test(schedule, warms_up_to_where_it_starts)
{
    RATES(tl_cosine_decay(.lr = 8, .steps = 2, .warmup = 4), 0, 2, 4, 6, 8, 4, 0, 0);
    RATES(tl_cosine_decay(.lr = 8, .steps = 2, .warmup = 2, .warmup_from = 4), 4, 6, 8, 4);
    RATES(tl_step_decay(.lr = 1, .steps = 2, .factor = 0.5, .warmup = 2), 0, 0.5, 1, 1, 0.5, 0.5, 0.25);
    RATES(tl_piecewise_constant(.at = { 1 }, .values = { 4, 1 }, .warmup = 2), 0, 2, 4, 4, 1);
}

/* ---- bad input ------------------------------------------------------------------------------------------------ */

static void refuses(tl_schedule s, const char *words)
{
    cr_assert(isnan(tl_schedule_at(s, 1)), "%s", words);
    says(words);
}

static double infinite(int64_t k, void *ctx) { return (void)ctx, k ? INFINITY : -1; }

Test(schedule, refuses_descriptions_that_make_no_sense)
{
    refuses((tl_schedule){ 0 }, "a schedule is made by");
    refuses((tl_schedule){ .size = sizeof(tl_schedule), .kind = 99, .lr = 1 }, "a schedule is made by");
    refuses((tl_schedule){ .size = sizeof(tl_schedule), .kind = -1, .lr = 1 }, "a schedule is made by");
    refuses(tl_exponential_decay(.factor = 0.5), "tl_exponential_decay: .lr = nan");
    refuses(tl_exponential_decay(.lr = -1), ".lr = -1");
    refuses(tl_exponential_decay(.lr = INFINITY), ".lr = inf");
    refuses(tl_exponential_decay(.lr = 1, .factor = -0.5), ".factor = -0.5");
    refuses(tl_exponential_decay(.lr = 1, .factor = NAN), ".factor = nan");
    refuses(tl_exponential_decay(.lr = 1, .steps = -3), ".steps must be given, above 0");
    refuses(tl_cosine_decay(.lr = 1), ".steps must be given, above 0");
    refuses(tl_cosine_decay(.lr = 1, .steps = TL_ZERO), ".steps must be given, above 0");
    refuses(tl_cosine_decay(.lr = 1, .steps = 4, .end = NAN), ".end = nan is out of its range");
    refuses(tl_cosine_decay(.lr = 1, .steps = 4, .warmup = -1), ".warmup is negative");
    refuses(tl_cosine_decay(.lr = 1, .steps = 4, .warmup_from = -1), ".warmup_from = -1");
    refuses(tl_cosine_restarts(.lr = 1, .steps = 4, .growth = 0.5), ".growth = 0.5 is out of its range");
    refuses(tl_cosine_restarts(.lr = 1, .steps = 4, .growth = 1e300), ".growth = 1e+300");
    refuses(tl_one_cycle(.lr = 1, .steps = 4, .rise = 1.5), ".rise = 1.5");
    refuses(tl_one_cycle(.lr = 1, .steps = 4, .start_divisor = TL_ZERO), ".start_divisor = 0");
    refuses(tl_polynomial_decay(.lr = 1, .steps = 4, .power = -1), ".power = -1");
    refuses(tl_multi_step_decay(.lr = 1), "there are no points");
    refuses(tl_multi_step_decay(.lr = 1, .at = { 3, 3 }), "must ascend");
    refuses(tl_multi_step_decay(.lr = 1, .at = { -3 }), "must ascend");
    refuses(tl_piecewise_constant(.at = { 3 }, .values = { 1, -1 }), ".values[1] = -1");
    refuses(tl_schedule_function(.lr = 1), ".fn is missing");
    refuses(tl_schedule_function(.fn = infinite), "the learning rate at 1 is inf");
    refuses(tl_exponential_decay(.lr = 1, .factor = 1e300, .steps = 1, .warmup = TL_ZERO, .end = -1), ".end = -1");
    cr_assert(isnan(tl_schedule_at(tl_schedule_function(.fn = infinite), 0)));
    cr_assert(isnan(tl_schedule_at(tl_step_decay(.lr = 1), -1)));
    says("at update -1");
    cr_assert(isnan(tl_schedule_at(tl_exponential_decay(.lr = 1, .factor = 10), 400)), "overflow is no rate");
}

/* Each kind, at the largest numbers there are. */
Test(schedule, is_a_rate_at_the_end_of_time)
{
    const tl_schedule all[] = { tl_exponential_decay(.lr = 1, .steps = INT64_MAX),
                                tl_step_decay(.lr = 1),
                                tl_inverse_time_decay(.lr = 1),
                                tl_polynomial_decay(.lr = 1, .steps = 1, .cycle = true),
                                tl_linear_decay(.lr = 1, .steps = INT64_MAX),
                                tl_multi_step_decay(.lr = 1, .at = { INT64_MAX }),
                                tl_piecewise_constant(.at = { 1, INT64_MAX }, .values = { 1, 1, 1 }),
                                tl_cosine_decay(.lr = 1, .steps = 3, .cycle = true),
                                tl_cosine_restarts(.lr = 1, .steps = 1, .growth = 1 + 1e-15),
                                tl_cosine_restarts(.lr = 1, .steps = 1, .growth = 1e100),
                                tl_cosine_restarts(.lr = 1, .steps = 1, .growth = 1),
                                tl_one_cycle(.lr = 1, .steps = 1),
                                tl_one_cycle(.lr = 1, .steps = INT64_MAX, .rise = 1),
                                tl_triangular(.lr = 1, .end = 2, .steps = 1),
                                tl_cosine_decay(.lr = 1, .steps = 1, .warmup = INT64_MAX) };
    const int64_t at[] = { 0, 1, 1000, (int64_t)1 << 53, INT64_MAX };
    for (int k = 0; k < COUNT(all); k++)
        for (int i = 0; i < COUNT(at); i++) {
            const double lr = tl_schedule_at(all[k], at[i]);
            cr_assert(lr >= 0 && lr <= 2, "schedule %d at %lld: %g", k, (long long)at[i], lr);
        }
}

/* ---- plateaus ------------------------------------------------------------------------------------------------- */

/* The rates after each of n epochs, from 1. */
static void plateau(tl_plateau p, int n, const double *measure, const double *want, const char *what)
{
    tl_plateau_state s = { 0 };
    double lr = 1;
    for (int k = 0; k < n; k++) {
        lr = tl_plateau_next(&p, &s, measure[k], lr);
        cr_assert(fabs(lr - want[k]) < 1e-15, "%s: after epoch %d it is %g, not %g", what, k, lr, want[k]);
    }
}
#define PLATEAU(p, n, ...)                                                                                             \
    plateau((tl_plateau){ .size = sizeof(tl_plateau), .factor = 0.5, p }, n, measure, (double[]){ __VA_ARGS__ }, #p)
#define AND ,

Test(plateau, waits_as_keras_and_as_pytorch_do)
{
    static const double measure[] = { 5, 4, 4, 4, 4, 4, 4, 4, 4 };
    PLATEAU(.patience = 2, 9, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125);
    PLATEAU(.patience = 2 AND.style = TL_TORCH, 9, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25);
    PLATEAU(.patience = TL_ZERO, 5, 1, 1, 0.5, 0.25, 0.125);
    PLATEAU(.patience = TL_ZERO AND.style = TL_TORCH, 5, 1, 1, 0.5, 0.25, 0.125);
    PLATEAU(.patience = 1 AND.cooldown = 2, 9, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625);
    PLATEAU(.patience = 1 AND.cooldown = 2 AND.style = TL_TORCH, 9, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25);
    PLATEAU(.patience = 2 AND.min_lr = 0.4, 9, 1, 1, 1, 0.5, 0.5, 0.4, 0.4, 0.4, 0.4);
    tl_plateau_state s = { 0 }; /* below .min_lr already: it is not raised */
    for (int k = 0; k < 8; k++)
        cr_assert(tl_plateau_next(&(tl_plateau){ .patience = 1, .min_lr = 0.4, .style = k / 4 }, &s, 1, 0.1) == 0.1);
    PLATEAU(.highest = false, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1); /* patience is 10 */
}

Test(plateau, takes_a_little_better_for_no_better)
{
    static const double measure[] = { 10, 9.95, 9.9, 9.8, 9.75 };
    PLATEAU(.patience = 1 AND.min_delta = 0.1, 5, 1, 0.5, 0.25, 0.25, 0.125); /* 9.9 is no better than 10 - 0.1 */
    PLATEAU(.patience = TL_ZERO AND.min_delta = 0.01 AND.style = TL_TORCH, 5, 1, 0.5, 0.25, 0.25, 0.125);
    PLATEAU(.patience = TL_ZERO AND.min_delta = 0.01 AND.style = TL_TORCH AND.absolute = true, 5, 1, 1, 1, 1, 1);
    PLATEAU(.patience = 1 AND.highest = true, 5, 1, 0.5, 0.25, 0.125, 0.0625);
}

Test(plateau, takes_what_is_no_number_for_no_better)
{
    static const double measure[] = { NAN, 3, NAN, INFINITY, 2 };
    PLATEAU(.patience = 1, 5, 0.5, 0.5, 0.25, 0.125, 0.125);
    tl_plateau_state s = { 0 }, before = s;
    const tl_plateau bad[] = { { .factor = 1 },      { .factor = -1 },      { .factor = NAN },  { .min_delta = -1 },
                               { .min_delta = NAN }, { .min_lr = -1 },      { .patience = -1 }, { .cooldown = -1 },
                               { .size = 3 },        { .min_lr = INFINITY } };
    for (int k = 0; k < COUNT(bad); k++) {
        cr_assert(isnan(tl_plateau_next(&bad[k], &s, 1, 1)), "%d", k);
        says("tl_plateau_next: ");
    }
    cr_assert(isnan(tl_plateau_next(&(tl_plateau){ 0 }, &s, 1, NAN)) && isnan(tl_plateau_next(NULL, &s, 1, 1)));
    cr_assert(isnan(tl_plateau_next(&(tl_plateau){ 0 }, NULL, 1, 1)) && s.started == before.started && !s.waited);
}
