/* graph/check_op.c - the op suite: what an operation promises, checked on its own cases.
 *
 * Of every case: what is to be refused is, with a sentence; kernels keep their contract; plans give the bits of tl_eval;
 * gradients, and gradients of gradients, agree with differences in f64; f32 agrees with f64; memory may run out at any
 * point. All but the last two also with the same tensor as several operands, in every way that shapes allow.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/trial.h"

typedef struct tl_check {
    const struct tl_op *op;
    int number;                  /* of the case; -1: none */
    tl_trial trial;
    double *a, *b;               /* room for any vector of the trial */
    size_t room;                 /* bytes of each */
    tl_check_op_result *result;
} tl_check;

static const char *const level_name[] = { "the result", "the gradient", "the gradient of the gradient" };

static void say_where(const tl_check *c, char *out, size_t n)
{
    size_t at = (size_t)snprintf(out, n, "%.60s", c->op->name ? c->op->name : "an op without a name");
    if (c->number >= 0) at += (size_t)snprintf(out + at, n - at, " case %d", c->number);
    if (c->number < 0 || !c->trial.alias) return;
    at += (size_t)snprintf(out + at, n - at, " with the same tensor as operands");
    for (int k = 0; k < TRIAL_IN; k++)
        if (c->trial.alias >> k & 1) at += (size_t)snprintf(out + at, n - at, " %d", k);
}

/* Counts a check, and keeps the first that fails in words. Returns good. */
TL_PRINTF(3, 4) static bool verdict(tl_check *c, bool good, const char *format, ...)
{
    tl_check_op_result *r = c->result;
    r->checks++;
    if (good || r->failed++) return good;
    say_where(c, r->first, sizeof r->first);
    const size_t n = strlen(r->first);
    const size_t m = n + (size_t)snprintf(r->first + n, sizeof r->first - n, ": ");
    va_list args;
    va_start(args, format);
    vsnprintf(r->first + m, sizeof r->first - m, format, args);
    va_end(args);
    return false;
}

/* ---- the description ---------------------------------------------------------------------------------------- */

static bool check_description(tl_check *c)
{
    const struct tl_op *op = c->op;
    return verdict(c, op->size >= offsetof(struct tl_op, id), ".size is not sizeof(struct tl_op)") &&
           verdict(c, op->name && *op->name, ".name is missing") && verdict(c, op->shape, ".shape is missing") &&
           verdict(c, op->f32, "the kernel .f32 is missing") && verdict(c, op->f64, "the kernel .f64 is missing") &&
           verdict(c, op->id || !op->role, "a user's op has no .role: the engine would take it for its own") &&
           verdict(c, !op->vjp || !op->no_gradient, ".no_gradient is set, so its .vjp is never asked") &&
           verdict(c, op->n_cases > 0 && op->cases, "there are no cases, so nothing is known of it");
}

static bool check_case_itself(tl_check *c, const tl_case *k)
{
    bool ids = true;
    for (int i = 0; i < k->n_in && i < TRIAL_IN; i++)
        ids &= k->in[i].dtype != TL_I32 || k->ids > 0 || k->rejects || !tl_shape_size(&k->in[i]);
    return verdict(c, k->n_in >= 0 && k->n_in <= TRIAL_IN, ".n_in is %d; a case has at most %d operands", k->n_in, TRIAL_IN) &&
           verdict(c, !c->op->attr_size || k->attr, ".attr is missing") &&
           verdict(c, ids, ".ids does not say how many ids there are");
}

/* ---- refusals ----------------------------------------------------------------------------------------------- */

static void check_refused(tl_check *c, tl_status status)
{
    if (!verdict(c, status, "should be refused, and is accepted")) return;
    verdict(c, status == TL_E_SHAPE || status == TL_E_DTYPE || status == TL_E_ARGUMENT,
            "is refused with %s, which should be TL_E_SHAPE, TL_E_DTYPE or TL_E_ARGUMENT", tl_status_name(status));
    const char *sentence = strstr(tl_message(), c->op->name);
    verdict(c, sentence && strlen(sentence) > strlen(c->op->name) + 3, "is refused without a reason: %s", tl_message());
}

static void check_refusal(tl_check *c, const tl_case *k)
{
    check_refused(c, tl_trial_begin(&c->trial, c->op, k, 0, TL_F32));
    tl_trial_end(&c->trial);
    check_refused(c, tl_trial_begin(&c->trial, c->op, k, 0, TL_F64));
    tl_trial_end(&c->trial);
}

/* ---- the kernel's contract ---------------------------------------------------------------------------------- */

enum { GUARD = 64 };   /* bytes before and after a result, which no kernel may touch */

/* The kernel of a rig's result, to be called outside any plan, with room for two results. */
typedef struct tl_call {
    const tl_rig *rig;
    tl_run_args args;
    tl_desc desc[TRIAL_IN + 1];
    const void *in[TRIAL_IN];
    tl_failure failure;
    size_t bytes, work, size;    /* of the result, of work, of the block */
    char *block, *out[2];
} tl_call;

static void reset_operands(tl_call *k)
{
    for (int i = 0; i < k->args.n_in; i++) k->in[i] = k->rig->data[tl_trial_first(k->rig->trial, i)];
}

static bool begin_call(tl_call *k, const tl_rig *r)
{
    const tl_node *node = tl_node_of(r->y);
    const int n = r->trial->c->n_in;
    *k = (tl_call){ .rig = r, .bytes = (size_t)tl_shape_size(&node->shape) * tl_dtype_size(node->shape.dtype) };
    tl_describe(r->tape, node, k->desc);
    if (node->op->work) k->work = node->op->work(k->desc, k->desc + 1, n, node->attr);
    const size_t one = (k->bytes + 2 * GUARD + 63) & ~(size_t)63;
    k->size = 64 + 2 * one + k->work;
    k->block = tl_resize(NULL, 0, k->size);
    if (!k->block) return false;
    char *start = (char *)(((uintptr_t)k->block + 63) & ~(uintptr_t)63);
    k->out[0] = start + GUARD;
    k->out[1] = start + one + GUARD;
    k->args = (tl_run_args){ .in = k->in, .n_in = n, .out_desc = k->desc, .in_desc = k->desc + 1, .attr = node->attr,
                             .work = k->work ? start + 2 * one : NULL, .seed = r->model->seed, .failure = &k->failure };
    reset_operands(k);
    return true;
}

/* Runs the kernel into out[i]; what it is not given a value for is all `fill`. over >= 0: in place of that operand. */
static bool run_call(tl_check *c, tl_call *k, int i, int fill, int over)
{
    const tl_rig *r = k->rig;
    unsigned char *out = (unsigned char *)k->out[i];
    memset(out - GUARD, fill, k->bytes + 2 * GUARD);
    if (k->work) memset(k->args.work, fill, k->work);
    if (over >= 0) memcpy(out, k->in[over], k->bytes);
    const void *old = over >= 0 ? k->in[over] : NULL;
    for (int j = 0; old && j < k->args.n_in; j++)
        if (k->in[j] == old) k->in[j] = out;
    k->args.out = out;
    const tl_status status = tl_kernel_for(c->op, tl_dtype_of(r->y))(&k->args);
    reset_operands(k);
    bool inside = true;
    for (size_t j = 0; j < GUARD; j++) inside &= out[k->bytes + j] == fill && *(out - 1 - j) == fill;
    return verdict(c, !status, "the %s kernel fails: %s", tl_dtype_name(r->dtype), k->failure.reason) &&
           verdict(c, inside, "the %s kernel writes outside its result", tl_dtype_name(r->dtype));
}

/* Are the operands still what the trial says? (All of its numbers are exact in both types.) */
static bool untouched(const tl_rig *r)
{
    bool same = true;
    for (int k = 0; k < r->trial->c->n_in; k++)
        for (int64_t i = 0; i < tl_trial_size(r->trial, k); i++)
            same &= tl_read(r->data[k], r->trial->shape[k].dtype == TL_I32 ? TL_I32 : r->dtype, i) == r->trial->value[k][i];
    return same;
}

/* The plan lets an elementwise result take over the memory of any operand of its size. */
static bool may_take_over(const tl_rig *r, int k)
{
    const tl_shape y = tl_shape_of(r->y);
    const tl_trial *t = r->trial;
    if (t->op->cls != TL_ELEMENTWISE || !t->value[k] || tl_trial_size(t, k) != tl_shape_size(&y)) return false;
    return tl_dtype_size(t->shape[k].dtype == TL_I32 ? TL_I32 : r->dtype) == tl_dtype_size(y.dtype);
}

static bool kernel_is_good(tl_check *c, const tl_rig *r)
{
    tl_call k;
    const char *type = tl_dtype_name(r->dtype);
    if (!verdict(c, begin_call(&k, r), "out of memory")) return false;
    bool good = run_call(c, &k, 0, 0xA5, -1) && run_call(c, &k, 1, 0x5A, -1);
    good = good && verdict(c, !memcmp(k.out[0], k.out[1], k.bytes), "the %s kernel does not write every element from its "
                           "operands alone: two calls differ by what was there before", type);
    good = good && verdict(c, untouched(r), "the %s kernel writes to an operand", type);
    for (int i = 0; good && i < r->trial->c->n_in; i++)
        good = !may_take_over(r, i) ||
               (run_call(c, &k, 1, 0x5A, i) && verdict(c, !memcmp(k.out[0], k.out[1], k.bytes),
                                                       "the %s kernel gives another result in place of operand %d", type, i));
    tl_resize(k.block, k.size, 0);
    return good;
}

/* Before anything else: a kernel that writes elsewhere would spoil what the rest of the suite stands on. */
static bool check_kernel(tl_check *c, tl_dtype dtype)
{
    tl_rig r;
    const tl_status status = tl_rig_record(&r, &c->trial, dtype, 0);
    const bool good = verdict(c, !status, "cannot be recorded: %s", tl_message()) && kernel_is_good(c, &r);
    tl_rig_close(&r);
    return good;
}

/* ---- plans and tl_eval -------------------------------------------------------------------------------------- */

static int64_t read_all(tl_array a, double *out)
{
    int64_t n = 1;
    for (int i = 0; i < a.rank; i++) n *= a.dim[i];
    for (int64_t i = 0; i < n; i++) out[i] = tl_read(a.data, a.dtype, i);
    return n;
}

static double largest(const double *v, int64_t n)
{
    double max = 0;
    for (int64_t i = 0; i < n; i++) max = fmax(max, fabs(v[i]));
    return max;
}

static bool opens(tl_check *c, tl_rig *r, tl_dtype dtype, int level)
{
    const tl_status status = tl_rig_open(r, &c->trial, dtype, level);
    return verdict(c, !status, "%s in %s cannot be had: %s", level_name[level], tl_dtype_name(dtype), tl_message());
}

/* The recorded nodes one by one are the reference of every plan, to the bit. */
static void check_plan(tl_check *c, const tl_rig *r)
{
    for (int k = 0; k <= TRIAL_IN; k++) {
        tl_array a;
        if (tl_absent(r->out[k]) || tl_rig_get(r, k, &a)) continue;
        const int64_t n = read_all(a, c->a);
        tl_eval_values(r->out[k], c->b);
        int64_t i = 0;
        while (i < n && !memcmp(&c->a[i], &c->b[i], sizeof *c->a)) i++;
        verdict(c, i == n && !tl_failed(r->tape), "%s (%d) in %s, element %lld: the plan gives %.17g, tl_eval %.17g",
                level_name[r->level], k, tl_dtype_name(r->dtype), (long long)i, i < n ? c->a[i] : 0, i < n ? c->b[i] : 0);
    }
}

/* Are there real numbers on both sides, to be differentiated in a model of this type? */
static bool is_real(const tl_check *c, tl_dtype dtype)
{
    bool real = false;
    for (int k = 0; k < TRIAL_IN; k++) real |= tl_trial_real(&c->trial, k);
    return real && c->trial.result[dtype == TL_F64].dtype == dtype;
}

/* How often can the result be differentiated? */
static int depth(const tl_check *c, tl_dtype dtype)
{
    if (!is_real(c, dtype) || (!c->op->vjp && !c->op->no_gradient)) return 0;
    return c->op->no_gradient || c->trial.c->no_second ? 1 : 2;
}

static void check_runs(tl_check *c, tl_dtype dtype)
{
    for (int level = 0; level <= depth(c, dtype); level++) {
        tl_rig r;
        if (opens(c, &r, dtype, level)) check_plan(c, &r);
        tl_rig_close(&r);
    }
}

/* ---- f32 against f64 ---------------------------------------------------------------------------------------- */

/* Both types see the same numbers, so what differs is rounding: of an element itself, of the larger ones that it was made
 * from (hence the part that is relative to the largest), and in a gradient of the result that it was made from (`floor`). */
static void compare(tl_check *c, const tl_rig *f32, const tl_rig *f64, int k, double floor)
{
    tl_array x, y;
    if (tl_rig_get(f32, k, &x) || tl_rig_get(f64, k, &y)) return;
    const int64_t n = read_all(x, c->a);
    const double rtol = c->op->f32_rtol > 0 ? c->op->f32_rtol : 1e-5, max = largest(c->b, read_all(y, c->b));
    int64_t i = 0;
    while (i < n && isfinite(c->b[i]) && fabs(c->a[i] - c->b[i]) <= rtol * (fabs(c->b[i]) + max / 16 + floor)) i++;
    verdict(c, i == n, "%s (%d), element %lld: %.9g in f32, %.9g in f64", level_name[f64->level], k, (long long)i,
            i < n ? c->a[i] : 0, i < n ? c->b[i] : 0);
}

static void check_types(tl_check *c)
{
    double floor = 0;
    for (int level = 0; level <= 1 && level <= depth(c, TL_F64) && level <= depth(c, TL_F32); level++) {
        tl_rig f32, f64;
        tl_array y;
        const tl_status status = tl_rig_open(&f32, &c->trial, TL_F32, level);
        if (!tl_rig_open(&f64, &c->trial, TL_F64, level) && !status) {
            for (int k = 0; k <= TRIAL_IN; k++)
                if (!tl_absent(f32.out[k])) compare(c, &f32, &f64, k, floor);
            if (!level && !tl_rig_get(&f64, 0, &y)) floor = largest(c->b, read_all(y, c->b)) / 16;
        }
        tl_rig_close(&f32);
        tl_rig_close(&f64);
    }
}

/* ---- gradients ---------------------------------------------------------------------------------------------- */

/* A slope by two fourth-order differences, with steps h and h/2, and what rounding may do to them. */
typedef struct tl_slope {
    double wide, narrow, noise;
} tl_slope;

/* The outputs weighed and summed, with vector v at its numbers + t direction; adds the terms' sizes to *size. */
static double value_at(const tl_check *c, tl_rig *r, int v, double t, double *size)
{
    const tl_trial *x = &c->trial;
    for (int64_t i = 0; r->data[v] && i < tl_trial_size(x, v); i++)
        tl_write(r->data[v], TL_F64, i, x->value[v][i] + t * c->a[i]);
    if (tl_rig_run(r)) return NAN;
    double sum = 0;
    for (int k = 0; k <= TRIAL_IN; k++) {
        tl_array y;
        if (tl_absent(r->out[k])) continue;
        if (tl_rig_get(r, k, &y)) return NAN;
        const int vector = r->level ? TRIAL_U + k : TRIAL_W;
        for (int64_t i = 0; i < tl_trial_size(x, vector); i++) {
            const double term = x->value[vector][i] * tl_read(y.data, y.dtype, i);
            sum += term;
            *size += fabs(term);
        }
    }
    return sum;
}

/* Each value is taken to be off by at most 64 units in the last place of its terms, and of the terms of the result, which a
 * gradient may be made from (1 - y^2, where y is all but 1). */
static tl_slope slope_along(const tl_check *c, tl_rig *result, tl_rig *r, int v, double h)
{
    static const double times[3] = { 0.5, 1, 2 };
    double d[3], size = 0;
    for (int i = 0; i < 6; i++) value_at(c, result, v, 0, &size);
    for (int i = 0; i < 3; i++)
        d[i] = value_at(c, r, v, times[i] * h, &size) - value_at(c, r, v, -times[i] * h, &size);
    return (tl_slope){ (8 * d[1] - d[2]) / (12 * h), (8 * d[0] - d[1]) / (6 * h), 64 * DBL_EPSILON * size / 6 / h };
}

/* A random direction into c->a, no longer than the numbers themselves: the domain may begin close by. */
static void draw_direction(const tl_check *c, int v, uint64_t seed)
{
    tl_random r = { .key = tl_mix(seed, 11) };
    const int64_t n = tl_trial_size(&c->trial, v);
    const double size = fmin(1, largest(c->trial.value[v], n));
    for (int64_t i = 0; i < n; i++)
        c->a[i] = (tl_random_next(&r) < 0.5 ? -1 : 1) * (0.5 + tl_random_next(&r) / 2) * size;
}

/* <gradient by v, direction>, and the sum of its terms' sizes. */
static double analytic_along(const tl_check *c, const tl_rig *r, int v, double *size)
{
    tl_array g;
    double sum = 0;
    if (tl_rig_get(r, v, &g)) return *size = NAN;
    for (int64_t i = 0; i < tl_trial_size(&c->trial, v); i++) {
        const double term = tl_read(g.data, g.dtype, i) * c->a[i];
        sum += term;
        *size += fabs(term);
    }
    return sum;
}

enum { DIRECTIONS = 3, TRIES = 8 };

/* Two differences that disagree lie across a kink or a pole, or have too coarse a step: then other numbers and half the
 * step are tried. Where they agree within the tolerance, the narrow one is off by a fifteenth of it. The tolerance is 1e-7
 * of the terms, not of their sum, which may cancel, and the noise of rounding. */
static void check_slope(tl_check *c, tl_rig rig[3], int level, int v, uint64_t seed)
{
    tl_rig *above = &rig[level];
    char whose[40];
    snprintf(whose, sizeof whose, v == TRIAL_W ? "the result's weights" : "operand %d", v);
    for (int try = 0; try < TRIES; try++, seed++) {
        double terms = 0;
        tl_trial_draw(&c->trial, seed);
        for (int i = 0; i <= level; i++) tl_rig_feed(&rig[i]);
        draw_direction(c, v, seed);
        if (!verdict(c, !tl_rig_run(above), "%s", tl_message())) return;
        const double analytic = analytic_along(c, above, v, &terms);
        if (!verdict(c, isfinite(terms), "%s by %s is not finite", level_name[level], whose)) return;
        const tl_slope s = slope_along(c, &rig[0], &rig[level - 1], v, 1e-3 / (1 << try));
        const double tolerance = 1e-7 * fmax(terms, fabs(s.narrow)) + s.noise;
        if (!(fabs(s.wide - s.narrow) <= tolerance)) continue;
        verdict(c, fabs(s.narrow - analytic) <= tolerance, "%s by %s: numeric %.12g, analytic %.12g (tolerance %.2g)",
                level_name[level], whose, s.narrow, analytic, tolerance);
        return;
    }
    verdict(c, false, "%s by %s cannot be checked: differences do not settle. Choose .lo and .hi away from kinks and poles",
            level_name[level], whose);
}

static void check_gradients(tl_check *c, int levels)
{
    tl_rig rig[3] = { { 0 } };
    bool open = true;
    for (int level = 0; level <= levels && open; level++) open = opens(c, &rig[level], TL_F64, level);
    for (int level = 1; level <= levels && open; level++)
        for (int v = 0; v <= TRIAL_IN; v++)
            for (uint64_t i = 0; i < DIRECTIONS && !tl_absent(rig[level].out[v]); i++)
                check_slope(c, rig, level, v, tl_mix((uint64_t)c->number << 8 | (uint64_t)level << 4 | (uint64_t)v, i));
    for (int level = 0; level < 3; level++) tl_rig_close(&rig[level]);
}

/* Declared to have none: then it is zero and no less. Neither declared nor given: then it is an error. */
static void check_no_gradient(tl_check *c)
{
    tl_rig r;
    const tl_status status = tl_rig_open(&r, &c->trial, TL_F64, 1);
    if (!c->op->no_gradient)
        verdict(c, status == TL_E_NOGRAD, "has no vjp rule, and differentiating it gives %s", tl_status_name(status));
    for (int k = 0; !status && c->op->no_gradient && k < TRIAL_IN; k++) {
        tl_array g;
        if (tl_absent(r.out[k]) || tl_rig_get(&r, k, &g)) continue;
        bool zero = true;
        for (int64_t i = read_all(g, c->a); i > 0; i--) zero &= c->a[i - 1] == 0;
        verdict(c, zero, "is declared to have no gradient, but operand %d gets one", k);
    }
    tl_rig_close(&r);
}

/* ---- memory ------------------------------------------------------------------------------------------------- */

static tl_status whole_life(const tl_check *c, int level)
{
    tl_rig r;
    const tl_status status = tl_rig_open(&r, &c->trial, TL_F64, level);
    tl_rig_close(&r);
    return status;
}

/* Recording, differentiating, planning and running, with each allocation made to fail in turn. */
static void check_memory(tl_check *c)
{
    const int level = depth(c, TL_F64);
    const size_t live = tl_live_bytes();
    const uint64_t before = tl_allocations();
    if (whole_life(c, level)) return;
    const uint64_t n = tl_allocations() - before;
    bool good = verdict(c, tl_live_bytes() == live, "memory is lost");
    for (uint64_t i = 1; good && i <= n; i++) {
        tl_fail_allocation(i);
        const tl_status status = whole_life(c, level);
        tl_fail_allocation(0);
        good = verdict(c, status == TL_E_MEMORY, "allocation %d of %d fails, and the status is %s (%s)", (int)i, (int)n,
                       tl_status_name(status), tl_message()) &&
               verdict(c, tl_live_bytes() == live, "allocation %d of %d fails, and %lld bytes are lost", (int)i, (int)n,
                       (long long)tl_live_bytes() - (long long)live);
    }
}

/* ---- a case, an op ------------------------------------------------------------------------------------------ */

static bool make_room(tl_check *c)
{
    int64_t n = 1;
    for (int v = 0; v < TRIAL_VECTORS; v++)
        if (tl_trial_size(&c->trial, v) > n) n = tl_trial_size(&c->trial, v);
    c->room = (size_t)n * sizeof *c->a;
    c->a = tl_resize(NULL, 0, c->room);
    c->b = tl_resize(NULL, 0, c->room);
    return verdict(c, c->a && c->b, "out of memory");
}

static void check_numbers(tl_check *c)
{
    if (!check_kernel(c, TL_F64) || !check_kernel(c, TL_F32)) return;
    check_runs(c, TL_F64);
    check_runs(c, TL_F32);
    const int levels = c->op->no_gradient ? 0 : depth(c, TL_F64);
    if (levels) check_gradients(c, levels);
    else if (is_real(c, TL_F64)) check_no_gradient(c);
    if (c->trial.alias) return;
    check_types(c);
    check_memory(c);
}

static void check_alias(tl_check *c, const tl_case *k, unsigned alias)
{
    const tl_status status = tl_trial_begin(&c->trial, c->op, k, alias, TL_F64);
    if (verdict(c, !status, "cannot be recorded: %s", tl_message()) && make_room(c)) {
        tl_trial_draw(&c->trial, tl_mix((uint64_t)c->number, alias));
        check_numbers(c);
    }
    c->a = tl_resize(c->a, c->room, 0);
    c->b = tl_resize(c->b, c->room, 0);
    tl_trial_end(&c->trial);
}

/* May these operands be one tensor? */
static bool alike(const tl_case *k, unsigned alias)
{
    int first = -1;
    for (int i = 0; i < TRIAL_IN; i++) {
        if (!(alias >> i & 1)) continue;
        if (i >= k->n_in || k->absent >> i & 1) return false;
        if (first < 0) first = i;
        if (!tl_shape_equal(&k->in[first], &k->in[i])) return false;
    }
    return true;
}

static void check_case(tl_check *c, const tl_case *k)
{
    c->trial = (tl_trial){ 0 };
    if (!check_case_itself(c, k)) return;
    if (k->rejects) {
        check_refusal(c, k);
        return;
    }
    for (unsigned alias = 0; alias < 1u << TRIAL_IN; alias++)
        if (__builtin_popcount(alias) != 1 && alike(k, alias)) check_alias(c, k, alias);
}

/* Plans are compared to the bit, so products are exact for as long as this lasts; and what is provoked here on purpose
 * leaves no message. */
tl_check_op_result tl_check_op(const struct tl_op *op)
{
    static const struct tl_op none = { .name = "tl_check_op(NULL)" };
    tl_check_op_result result = { .checks = 0 };
    tl_check c = { .op = op ? op : &none, .number = -1, .result = &result };
    char said[1024];
    snprintf(said, sizeof said, "%s", tl_message());
    const bool exact = tl_exact();
    const size_t live = tl_live_bytes();
    tl_set_exact(true);
    if (check_description(&c))
        for (c.number = 0; c.number < op->n_cases; c.number++) check_case(&c, &op->cases[c.number]);
    c.number = -1;
    verdict(&c, tl_live_bytes() == live, "memory is lost");
    tl_set_exact(exact);
    tl_report_text(TL_OK, said);
    result.passed = !result.failed;
    return result;
}
