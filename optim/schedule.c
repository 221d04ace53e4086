/* optim/schedule.c - learning rates as functions of the number of updates, and the decision to lower one. */
#include "optim/optimizer.h"

#include <float.h>
#include <math.h>
#include <stddef.h>

static const double PI = 3.14159265358979323846;

/* ---- schedules ---------------------------------------------------------------------------------------------- */

/* A half wave of the cosine from `from` to `to`, at part x of it. */
static double wave(double from, double to, double x) { return to + (from - to) * 0.5 * (1 + cos(PI * x)); }
static double line(double from, double to, double x) { return from + (to - from) * x; }

static double stairs(const tl_schedule *s, double x) { return s->staircase ? floor(x) : x; }

static double exponential(const tl_schedule *s, double k)
{
    return s->lr * pow(s->factor, stairs(s, k / (double)s->steps));
}

static double inverse_time(const tl_schedule *s, double k)
{
    return s->lr / (1 + s->factor * stairs(s, k / (double)s->steps));
}

static double polynomial(const tl_schedule *s, double k)
{
    const double rounds = s->cycle ? fmax(1, ceil(k / (double)s->steps)) : 1;
    const double x = fmin(k / ((double)s->steps * rounds), 1);
    return (s->lr - s->end) * pow(1 - x, s->power) + s->end;
}

static double multi_step(const tl_schedule *s, double k)
{
    int passed = 0;
    while (passed < TL_SCHEDULE_POINTS && s->at[passed] && k >= (double)s->at[passed]) passed++;
    return s->lr * pow(s->factor, passed);
}

static double piecewise(const tl_schedule *s, double k)
{
    int passed = 0;
    while (passed < TL_SCHEDULE_POINTS && s->at[passed] && k > (double)s->at[passed]) passed++;
    return s->values[passed];
}

static double cosine(const tl_schedule *s, double k)
{
    const double x = k / (double)s->steps;
    return wave(s->lr, s->end, s->cycle ? x : fmin(x, 1));
}

/* Waves are 1, growth, growth^2 ... long: n of them (growth^n - 1) / (growth - 1). Rounding may not put off the next. */
static double cosine_restarts(const tl_schedule *s, double k)
{
    const double x = k / (double)s->steps, q = s->growth;
    const double n = floor(q > 1 ? log1p(x * (q - 1)) / log(q) + 1e-9 : x);
    const double length = pow(q, n), begin = q > 1 ? (length - 1) / (q - 1) : n;
    return s->end + (s->lr - s->end) * pow(s->factor, n) * wave(1, 0, (x - begin) / length);
}

static double one_cycle(const tl_schedule *s, double k)
{
    const double low = s->lr / s->start_divisor, last = (double)s->steps - 1, top = s->rise * (double)s->steps - 1;
    double (*const way)(double, double, double) = s->linear ? line : wave;
    if (k <= top) return way(low, s->lr, top > 0 ? k / top : 1);
    return way(s->lr, low / s->end_divisor, last > top ? fmin((k - top) / (last - top), 1) : 1);
}

static double triangular(const tl_schedule *s, double k)
{
    const double x = fmod(k / (double)s->steps, 2);
    return line(s->lr, s->end, x < 1 ? x : 2 - x);
}

static double function(const tl_schedule *s, double k) { return s->fn((int64_t)k, s->ctx); }

static const struct {
    double (*value)(const tl_schedule *s, double k);
    const char *name;
    double factor, least_factor;
    int64_t steps; /* by default; 0: it must be given */
} kinds[] = {
    [TL_EXPONENTIAL] = { exponential, "tl_exponential_decay", 0.1, 0, 1 },
    [TL_INVERSE_TIME] = { inverse_time, "tl_inverse_time_decay", 1, 0, 1 },
    [TL_POLYNOMIAL] = { polynomial, "tl_polynomial_decay", 1, 0, 0 },
    [TL_MULTI_STEP] = { multi_step, "tl_multi_step_decay", 0.1, 0, 1 },
    [TL_PIECEWISE] = { piecewise, "tl_piecewise_constant", 1, 0, 1 },
    [TL_COSINE] = { cosine, "tl_cosine_decay", 1, 0, 0 },
    [TL_COSINE_RESTARTS] = { cosine_restarts, "tl_cosine_restarts", 1, 0, 0 },
    [TL_ONE_CYCLE] = { one_cycle, "tl_one_cycle", 1, 0, 0 },
    [TL_TRIANGULAR] = { triangular, "tl_triangular", 1, 0, 0 },
    [TL_FUNCTION] = { function, "tl_schedule_function", 1, 0, 1 },
};

/* The numbers of a description: their defaults, and what they must lie between. */
static const struct {
    const char *name;
    size_t offset;
    double standard, least, most;
} numbers[] = {
    { ".end", offsetof(tl_schedule, end), 0, 0, DBL_MAX },
    { ".power", offsetof(tl_schedule, power), 1, 0, DBL_MAX },
    { ".growth", offsetof(tl_schedule, growth), 2, 1, 1e100 },
    { ".rise", offsetof(tl_schedule, rise), 0.3, 0, 1 },
    { ".start_divisor", offsetof(tl_schedule, start_divisor), 25, DBL_MIN, DBL_MAX },
    { ".end_divisor", offsetof(tl_schedule, end_divisor), 1e4, DBL_MIN, DBL_MAX },
    { ".warmup_from", offsetof(tl_schedule, warmup_from), 0, 0, DBL_MAX },
};

static bool within(double x, double least, double most) { return x >= least && x <= most; }

static tl_status check_points(const tl_schedule *s, const char *name)
{
    int n = 0;
    for (; n < TL_SCHEDULE_POINTS && s->at[n]; n++)
        if (s->at[n] <= (n ? s->at[n - 1] : 0))
            return tl_report(TL_E_ARGUMENT, "%s: the points in .at must ascend from 1", name);
    for (int k = 0; k <= n && s->kind == TL_PIECEWISE; k++)
        if (!within(s->values[k], 0, DBL_MAX))
            return tl_report(TL_E_ARGUMENT, "%s: .values[%d] = %g; it must be at least 0 and finite", name, k,
                             s->values[k]);
    return n || (s->kind != TL_PIECEWISE && s->kind != TL_MULTI_STEP)
               ? TL_OK
               : tl_report(TL_E_ARGUMENT, "%s: there are no points in .at", name);
}

tl_status tl_schedule_resolve(tl_schedule *s, double lr)
{
    if (s->size != sizeof *s || s->kind <= TL_NO_SCHEDULE || s->kind > TL_FUNCTION)
        return tl_report(TL_E_ARGUMENT, "a schedule is made by tl_cosine_decay(), tl_step_decay() ...");
    const char *name = kinds[s->kind].name;
    const bool starts = s->kind != TL_PIECEWISE && s->kind != TL_FUNCTION;
    s->lr = tl_number(s->lr, lr);
    if (starts && !within(s->lr, 0, DBL_MAX))
        return tl_report(TL_E_ARGUMENT, "%s: .lr = %g; it must be given, at least 0 and finite", name, s->lr);
    s->factor = tl_number(s->factor, kinds[s->kind].factor);
    if (!within(s->factor, 0, DBL_MAX))
        return tl_report(TL_E_ARGUMENT, "%s: .factor = %g; it must be at least 0 and finite", name, s->factor);
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
        double *x = (double *)(void *)((char *)s + numbers[k].offset);
        *x = tl_number(*x, numbers[k].standard);
        if (!within(*x, numbers[k].least, numbers[k].most))
            return tl_report(TL_E_ARGUMENT, "%s: %s = %g is out of its range", name, numbers[k].name, *x);
    }
    if (!s->steps) s->steps = kinds[s->kind].steps;
    if (s->steps <= 0) return tl_report(TL_E_ARGUMENT, "%s: .steps must be given, above 0", name);
    if (s->warmup == TL_ZERO) s->warmup = 0;
    if (s->warmup < 0) return tl_report(TL_E_ARGUMENT, "%s: .warmup is negative", name);
    if (s->kind == TL_FUNCTION && !s->fn) return tl_report(TL_E_ARGUMENT, "%s: .fn is missing", name);
    return check_points(s, name);
}

double tl_schedule_value(const tl_schedule *s, int64_t k)
{
    static const int64_t exact = (int64_t)1 << 53; /* as doubles, and so in fn's argument */
    if (k < 0) {
        tl_report(TL_E_ARGUMENT, "a schedule at update %lld", (long long)k);
        return NAN;
    }
    const double after = (double)((k < exact ? k : exact) - s->warmup);
    double (*const value)(const tl_schedule *, double) = kinds[s->kind].value;
    const double lr = after >= 0 ? value(s, after) : line(s->warmup_from, value(s, 0), (double)k / (double)s->warmup);
    if (within(lr, 0, DBL_MAX)) return lr;
    tl_report(TL_E_ARGUMENT, "%s: the learning rate at %lld is %g; it must be at least 0 and finite",
              kinds[s->kind].name, (long long)k, lr);
    return NAN;
}

double tl_schedule_at(tl_schedule s, int64_t k)
{
    return tl_schedule_resolve(&s, NAN) ? NAN : tl_schedule_value(&s, k);
}

/* ---- plateau ------------------------------------------------------------------------------------------------ */

static double bad_plateau(const char *what)
{
    tl_report(TL_E_ARGUMENT, "tl_plateau_next: %s", what);
    return NAN;
}

static bool better(const tl_plateau *p, double min_delta, double now, double best)
{
    const double delta = p->highest ? min_delta : -min_delta;
    const double limit = p->style == TL_TORCH && !p->absolute ? best * (1 + delta) : best + delta;
    return p->highest ? now > limit : now < limit;
}

double tl_plateau_next(const tl_plateau *p, tl_plateau_state *s, double measure, double lr)
{
    if (!p || !s || (p->size && p->size != sizeof *p)) return bad_plateau("a description and its state are needed");
    const double factor = tl_number(p->factor, 0.1), min_delta = tl_number(p->min_delta, 1e-4);
    const double min_lr = tl_number(p->min_lr, 0);
    const int64_t patience = p->patience == TL_ZERO ? 0 : p->patience ? p->patience : 10;
    const int64_t cooldown = p->cooldown == TL_ZERO ? 0 : p->cooldown;
    if (!(factor >= 0 && factor < 1)) return bad_plateau(".factor must be at least 0 and below 1");
    if (!within(min_delta, 0, DBL_MAX)) return bad_plateau(".min_delta must be at least 0 and finite");
    if (!within(min_lr, 0, DBL_MAX)) return bad_plateau(".min_lr must be at least 0 and finite");
    if (patience < 0 || cooldown < 0) return bad_plateau(".patience and .cooldown may not be negative");
    if (!within(lr, 0, DBL_MAX)) return bad_plateau("the learning rate must be at least 0 and finite");
    const bool cooling = s->cooling > 0, torch = p->style == TL_TORCH;
    const bool still = torch ? cooling : s->cooling > 1; /* Keras counts the last epoch of the pause */
    const bool good = s->started ? better(p, min_delta, measure, s->best)
                                 : (p->highest ? -measure : measure) < INFINITY;
    s->cooling -= cooling;
    if (good) s->best = measure, s->started = true;
    s->waited = good || still ? 0 : (cooling ? 0 : s->waited) + 1;
    if (s->waited < (torch ? patience + 1 : patience) || good || still || !(lr > min_lr)) return lr;
    s->waited = 0;
    s->cooling = cooldown;
    const double lower = fmax(lr * factor, min_lr);
    return torch && lr - lower <= 1e-8 ? lr : lower; /* PyTorch's eps */
}
