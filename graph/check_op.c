/* graph/check_op.c - the op suite: what an operation promises, checked on its own cases.
 *
 * Of every case: what is to be refused is, with a sentence; kernels keep their contract; plans give the bits of
 * tl_eval; gradients, and gradients of gradients, agree with differences in f64; f32 agrees with f64; memory may run
 * out at any point. All but the last two also with the same tensor as several operands, in every way that shapes allow.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/check.h"

const char *const tl_level_name[] = { "the result", "the gradient", "the gradient of the gradient" };

static void say_where(const tl_check *c, char *out, size_t n)
{
    size_t at = (size_t)snprintf(out, n, "%.60s", c->op->name ? c->op->name : "an op without a name");
    if (c->number >= 0) at += (size_t)snprintf(out + at, n - at, " case %d", c->number);
    if (c->number < 0 || !c->trial.alias) return;
    at += (size_t)snprintf(out + at, n - at, " with the same tensor as operands");
    for (int k = 0; k < TRIAL_IN; k++)
        if (c->trial.alias >> k & 1) at += (size_t)snprintf(out + at, n - at, " %d", k);
}

bool tl_verdict(tl_check *c, bool good, const char *format, ...)
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

int64_t tl_read_all(tl_array a, double *out)
{
    int64_t n = 1;
    for (int i = 0; i < a.rank; i++) n *= a.dim[i];
    for (int64_t i = 0; i < n; i++) out[i] = tl_read(a.data, a.dtype, i);
    return n;
}

double tl_largest(const double *v, int64_t n)
{
    double max = 0;
    for (int64_t i = 0; i < n; i++) max = fmax(max, fabs(v[i]));
    return max;
}

bool tl_opens(tl_check *c, tl_rig *r, tl_dtype dtype, int level)
{
    const tl_status status = tl_rig_open(r, &c->trial, dtype, level);
    return tl_verdict(c, !status, "%s in %s cannot be had: %s", tl_level_name[level], tl_dtype_name(dtype),
                      tl_message());
}

/* ---- the description ---------------------------------------------------------------------------------------- */

static bool check_description(tl_check *c)
{
    const struct tl_op *op = c->op;
    return tl_verdict(c, op->size >= offsetof(struct tl_op, id), ".size is not sizeof(struct tl_op)") &&
           tl_verdict(c, op->name && *op->name, ".name is missing") && tl_verdict(c, op->shape, ".shape is missing") &&
           tl_verdict(c, op->f32, "the kernel .f32 is missing") &&
           tl_verdict(c, op->f64, "the kernel .f64 is missing") &&
           tl_verdict(c, op->id || !op->role, "a user's op has no .role: the engine would take it for its own") &&
           tl_verdict(c, !op->vjp || !op->no_gradient, ".no_gradient is set, so its .vjp is never asked") &&
           tl_verdict(c, op->n_cases > 0 && op->cases, "there are no cases, so nothing is known of it");
}

static bool check_case_itself(tl_check *c, const tl_case *k)
{
    bool ids = true;
    for (int i = 0; i < k->n_in && i < TRIAL_IN; i++)
        ids &= k->in[i].dtype != TL_I32 || k->ids > 0 || k->rejects || !tl_shape_size(&k->in[i]);
    return tl_verdict(c, k->n_in >= 0 && k->n_in <= TRIAL_IN, ".n_in is %d; a case has at most %d operands", k->n_in,
                      TRIAL_IN) &&
           tl_verdict(c, !c->op->attr_size || k->attr, ".attr is missing") &&
           tl_verdict(c, ids, ".ids does not say how many ids there are");
}

/* ---- refusals ----------------------------------------------------------------------------------------------- */

static void check_refused(tl_check *c, tl_status status)
{
    if (!tl_verdict(c, status, "should be refused, and is accepted")) return;
    tl_verdict(c, status == TL_E_SHAPE || status == TL_E_DTYPE || status == TL_E_ARGUMENT,
               "is refused with %s, which should be TL_E_SHAPE, TL_E_DTYPE or TL_E_ARGUMENT", tl_status_name(status));
    const char *sentence = strstr(tl_message(), c->op->name);
    tl_verdict(c, sentence && strlen(sentence) > strlen(c->op->name) + 3, "is refused without a reason: %s",
               tl_message());
}

static void check_refusal(tl_check *c, const tl_case *k)
{
    check_refused(c, tl_trial_begin(&c->trial, c->op, k, 0, TL_F32));
    tl_trial_end(&c->trial);
    check_refused(c, tl_trial_begin(&c->trial, c->op, k, 0, TL_F64));
    tl_trial_end(&c->trial);
}

/* ---- plans and tl_eval -------------------------------------------------------------------------------------- */

/* The recorded nodes one by one are the reference of every plan, to the bit. */
static void check_plan(tl_check *c, const tl_rig *r)
{
    for (int k = 0; k <= TRIAL_IN; k++) {
        tl_array a;
        if (tl_absent(r->out[k]) || tl_rig_get(r, k, &a)) continue;
        const int64_t n = tl_read_all(a, c->a);
        tl_eval_values(r->out[k], c->b);
        int64_t i = 0;
        while (i < n && !memcmp(&c->a[i], &c->b[i], sizeof *c->a)) i++;
        tl_verdict(c, i == n && !tl_failed(r->tape), "%s (%d) in %s, element %lld: the plan gives %.17g, tl_eval %.17g",
                   tl_level_name[r->level], k, tl_dtype_name(r->dtype), (long long)i, i < n ? c->a[i] : 0,
                   i < n ? c->b[i] : 0);
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
        if (tl_opens(c, &r, dtype, level)) check_plan(c, &r);
        tl_rig_close(&r);
    }
}

/* ---- f32 against f64 ---------------------------------------------------------------------------------------- */

/* Both types see the same numbers, so what differs is rounding: of an element itself, of the larger ones that it was
 * made from (hence the part that is relative to the largest), and in a gradient of the result that it was made from
 * (`floor`). Below FLT_MIN runs flush to zero. */
static void compare(tl_check *c, const tl_rig *f32, const tl_rig *f64, int k, double floor)
{
    tl_array x, y;
    if (tl_rig_get(f32, k, &x) || tl_rig_get(f64, k, &y) || memcmp(x.dim, y.dim, sizeof x.dim)) return;
    const int64_t n = tl_read_all(x, c->a);
    const double rtol = c->op->f32_rtol > 0 ? c->op->f32_rtol : 1e-5, max = tl_largest(c->b, tl_read_all(y, c->b));
    int64_t i = 0;
    while (i < n && isfinite(c->b[i]) && fabs(c->a[i] - c->b[i]) <= rtol * (fabs(c->b[i]) + max / 16 + floor) + FLT_MIN)
        i++;
    tl_verdict(c, i == n, "%s (%d), element %lld: %.9g in f32, %.9g in f64", tl_level_name[f64->level], k, (long long)i,
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
            if (!level && !tl_rig_get(&f64, 0, &y)) floor = tl_largest(c->b, tl_read_all(y, c->b)) / 16;
        }
        tl_rig_close(&f32);
        tl_rig_close(&f64);
    }
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
    bool good = tl_verdict(c, tl_live_bytes() == live, "memory is lost");
    for (uint64_t i = 1; good && i <= n; i++) {
        tl_fail_allocation(i);
        const tl_status status = whole_life(c, level);
        tl_fail_allocation(0);
        good = tl_verdict(c, status == TL_E_MEMORY, "allocation %d of %d fails, and the status is %s (%s)", (int)i,
                          (int)n, tl_status_name(status), tl_message()) &&
               tl_verdict(c, tl_live_bytes() == live, "allocation %d of %d fails, and %lld bytes are lost", (int)i,
                          (int)n, (long long)tl_live_bytes() - (long long)live);
    }
}

/* ---- a case, an op ------------------------------------------------------------------------------------------ */

static bool make_room(tl_check *c)
{
    int64_t n = 1;
    for (int v = 0; v < TRIAL_VECTORS; v++)
        if (tl_trial_size(&c->trial, v) > n) n = tl_trial_size(&c->trial, v);
    for (int f64 = 0; f64 < 2; f64++) /* the element type may decide the shape: panels are as wide as vectors */
        if (tl_shape_size(&c->trial.result[f64]) > n) n = tl_shape_size(&c->trial.result[f64]);
    c->room = (size_t)n * sizeof *c->a;
    c->a = tl_resize(NULL, 0, c->room);
    c->b = tl_resize(NULL, 0, c->room);
    return tl_verdict(c, c->a && c->b, "out of memory");
}

static void check_numbers(tl_check *c)
{
    if (!tl_check_kernel(c, TL_F64) || !tl_check_kernel(c, TL_F32)) return;
    check_runs(c, TL_F64);
    check_runs(c, TL_F32);
    const int levels = c->op->no_gradient ? 0 : depth(c, TL_F64);
    if (levels) tl_check_gradients(c, levels);
    else if (is_real(c, TL_F64)) tl_check_no_gradient(c);
    if (c->trial.alias) return;
    check_types(c);
    check_memory(c);
}

static void check_alias(tl_check *c, const tl_case *k, unsigned alias)
{
    const tl_status status = tl_trial_begin(&c->trial, c->op, k, alias, TL_F64);
    if (tl_verdict(c, !status, "cannot be recorded: %s", tl_message()) && make_room(c)) {
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
    tl_verdict(&c, tl_live_bytes() == live, "memory is lost");
    tl_set_exact(exact);
    tl_report_text(TL_OK, said);
    result.passed = !result.failed;
    return result;
}
