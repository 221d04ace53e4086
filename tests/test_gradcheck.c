/* tests/test_gradcheck.c - the gradient check is itself checked: right gradients pass, planted faults are caught. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "graph/op.h"
#include "graph/tape.h"
#include "tapeloop.h"

enum { T = 4, B = 3, D = 5, H = 4 };

/* ---- operations whose f32 and f64 kernels are right and whose gradients need not be ---------------------------------- */

#define PLAIN(name, real, ...)                                                                                         \
    static tl_status name(const tl_run_args *r)                                                                        \
    {                                                                                                                  \
        const real *x = r->in[0];                                                                                      \
        real *y = r->out;                                                                                              \
        int64_t n = 1;                                                                                                 \
        for (int a = 0; a < r->out_desc->rank; a++) n *= r->out_desc->dim[a];                                          \
        for (int64_t i = 0; i < n; i++) y[i] = (real)(__VA_ARGS__);                                                    \
        return TL_OK;                                                                                                  \
    }
PLAIN(cube_f32, float, x[i] * x[i] * x[i])
PLAIN(cube_f64, double, x[i] * x[i] * x[i])

static tl_tensor cube_right(const tl_vjp *v, int i)
{
    (void)i;
    return tl_mul(v->g, tl_scale(tl_square(v->in[0]), 3));
}
static tl_tensor cube_flipped(const tl_vjp *v, int i) { return tl_neg(cube_right(v, i)); }
static tl_tensor cube_scaled(const tl_vjp *v, int i) { return tl_scale(cube_right(v, i), 1.001); }
static tl_tensor cube_dropped(const tl_vjp *v, int i)
{
    (void)i;
    return tl_mul(v->g, tl_scale(tl_square(v->in[0]), 2));
}
static tl_tensor cube_lost(const tl_vjp *v, int i) { return (void)v, (void)i, TL_NONE; }
static tl_tensor cube_nan(const tl_vjp *v, int i) { return tl_scale(cube_right(v, i), NAN); }
/* right but for the last element of all */
static tl_tensor cube_one_element(const tl_vjp *v, int i)
{
    const tl_tensor g = cube_right(v, i);
    double keep[B * H];
    for (int k = 0; k < B * H; k++) keep[k] = 1;
    keep[B * H - 1] = 0.999;
    return tl_mul(g, tl_reshape(tl_const(tl_root(g.tape), TL_DIMS(B * H), keep), TL_DIMS(B, H)));
}

#define CUBE(rule)                                                                                                     \
    {                                                                                                                  \
        .size = sizeof(struct tl_op), .name = "cube", .min_in = 1, .max_in = 1, .shape = tl_shape_same,                \
        .f32 = cube_f32, .f64 = cube_f64, .vjp = rule                                                                  \
    }
static const struct tl_op cubes[] = { CUBE(cube_right), CUBE(cube_flipped), CUBE(cube_scaled),     CUBE(cube_dropped),
                                      CUBE(cube_lost),  CUBE(cube_nan),     CUBE(cube_one_element) };

/* Row t of a sequence [T, B, D]; a wrong vjp gives the gradient to the step before. */
typedef struct take_attr {
    int64_t t;
} take_attr;
static bool take_shape(tl_shape_rule *r)
{
    r->out = (tl_shape){ r->in[0].dtype, 2, { r->in[0].dim[1], r->in[0].dim[2] } };
    return true;
}
static tl_status take_any(const tl_run_args *r, size_t size)
{
    const size_t n = (size_t)(r->out_desc->dim[0] * r->out_desc->dim[1]) * size;
    memcpy(r->out, (const char *)r->in[0] + (size_t)((const take_attr *)r->attr)->t * n, n);
    return TL_OK;
}
static tl_status take_f32(const tl_run_args *r) { return take_any(r, 4); }
static tl_status take_f64(const tl_run_args *r) { return take_any(r, 8); }
static tl_tensor take_rule(const tl_vjp *v, int64_t shift)
{
    const int64_t t = (((const take_attr *)v->attr)->t + shift) % T, n = tl_dim(v->in[0], 0);
    const tl_tensor row = tl_reshape(v->g, TL_DIMS(1, tl_dim(v->g, 0), tl_dim(v->g, 1)));
    return tl_pad(row, 0, t, n - 1 - t);
}
static tl_tensor take_right(const tl_vjp *v, int i) { return (void)i, take_rule(v, 0); }
static tl_tensor take_off_by_one(const tl_vjp *v, int i) { return (void)i, take_rule(v, T - 1); }
#define TAKE(rule)                                                                                                     \
    {                                                                                                                  \
        .size = sizeof(struct tl_op), .name = "take", .min_in = 1, .max_in = 1, .shape = take_shape, .f32 = take_f32,  \
        .f64 = take_f64, .vjp = rule, .attr_size = sizeof(take_attr)                                                   \
    }
static const struct tl_op takes[] = { TAKE(take_right), TAKE(take_off_by_one) };

/* ---- a recurrent model that uses them ---------------------------------------------------------------------------- */

typedef struct setting {
    const struct tl_op *cube, *take;
    int64_t faulty_step; /* cube is used in this step only, the right one in the others; -1: in all */
} setting;

static void normal(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    for (int64_t i = 0; i < tl_shape_size(shape); i++) out[i] = self->a * tl_random_next_normal(random);
}

static tl_tensor model_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const setting *set = user;
    const tl_init small = { .fill = normal, .a = 0.4 };
    tl_tensor E = tl_param(tl_in(s, "input"), "E", TL_DIMS(D, D), .init = small);
    tl_tensor x = tl_matmul(in[0], E), h = tl_full(s, TL_DIMS(B, H), 0.1), loss = TL_NONE;
    tl_scope *rnn = tl_in(s, "rnn");
    for (int64_t t = 0; t < T; t++) {
        tl_scope *st = tl_step(rnn, t);
        tl_tensor W = tl_param(st, "W", TL_DIMS(D, H), .init = small),
                  U = tl_param(st, "U", TL_DIMS(H, H), .init = small);
        tl_tensor xt = tl_apply(set->take, &x, 1, &(take_attr){ t });
        tl_tensor z = tl_add(tl_matmul(xt, W), tl_matmul(h, U));
        const bool faulty = set->faulty_step < 0 || set->faulty_step == t;
        h = tl_tanh(tl_add(z, tl_apply(faulty ? set->cube : &cubes[0], &h, 1, NULL)));
        tl_tensor l = tl_mean(tl_square(h), TL_ALL);
        loss = tl_absent(loss) ? l : tl_add(loss, l);
    }
    return loss;
}

static double numbers[T * B * D];

static tl_gradcheck_result check(setting set, const tl_gradcheck_opts *o, uint64_t seed)
{
    tl_model *model = tl_model_new(.seed = seed);
    tl_random r = { .key = seed };
    for (int i = 0; i < T * B * D; i++) numbers[i] = tl_random_next_normal(&r);
    const tl_array x = { .dtype = TL_F64, .rank = 3, .dim = { T, B, D }, .data = numbers };
    tl_gradcheck_opts opts = *o;
    opts.size = sizeof opts;
    opts.seed = seed;
    const tl_gradcheck_result result = tl_gradcheck_opt(model, model_fn, &x, 1, &set, &opts);
    tl_model_free(model);
    return result;
}

static const setting right = { &cubes[0], &takes[0], -1 };

Test(gradcheck, passes_a_right_gradient_in_every_mode)
{
    const tl_gradcheck_opts modes[] = { { .directions = 3 },
                                        { .full = true },
                                        { .inputs = true, .second_order = true },
                                        { .full = true, .inputs = true, .no_steps = true } };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        const tl_gradcheck_result r = check(right, &modes[i], 7);
        cr_assert(r.passed, "mode %zu: %s", i, tl_message());
        cr_assert(r.probes > 0 && r.kinks == 0 && r.worst < 1e-6, "mode %zu: %d probes, worst %g", i, r.probes,
                  r.worst);
    }
}

Test(gradcheck, passes_a_right_gradient_with_a_thousand_seeds)
{
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        const tl_gradcheck_result r = check(right, &(tl_gradcheck_opts){ .directions = 1 }, seed);
        cr_assert(r.passed, "seed %llu: %s", (unsigned long long)seed, tl_message());
    }
}

Test(gradcheck, leaves_nothing_behind)
{
    const size_t before = tl_live_bytes();
    check(right, &(tl_gradcheck_opts){ .second_order = true, .inputs = true }, 3);
    cr_assert_eq(tl_live_bytes(), before);
}

/* Every wrong rule, in all steps and in one alone, in both modes, with ten seeds. */
Test(gradcheck, catches_wrong_rules)
{
    for (size_t fault = 1; fault < sizeof cubes / sizeof *cubes; fault++)
        for (int64_t step = -1; step < T; step += 2)
            for (int full = 0; full < 2; full++)
                for (uint64_t seed = 1; seed <= 10; seed++) {
                    const setting set = { &cubes[fault], &takes[0], step };
                    const tl_gradcheck_result r = check(set, &(tl_gradcheck_opts){ .full = full }, seed);
                    cr_assert(!r.passed, "fault %zu in step %lld, full %d, seed %llu", fault, (long long)step, full,
                              (unsigned long long)seed);
                    cr_assert_eq(r.status, TL_E_CHECK);
                }
}

Test(gradcheck, catches_an_off_by_one_step)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        const tl_gradcheck_result r = check((setting){ &cubes[0], &takes[1], -1 }, &(tl_gradcheck_opts){ 0 }, seed);
        cr_assert(!r.passed && strstr(r.parameter, "input/E"), "%s: %s", r.parameter, tl_message());
    }
}

/* A fault in step 2 reaches W and U of steps 0 and 1 only: the report names one of them, and an element. */
Test(gradcheck, names_parameter_element_and_step)
{
    const tl_gradcheck_result r = check((setting){ &cubes[1], &takes[0], 2 }, &(tl_gradcheck_opts){ 0 }, 5);
    cr_assert(!r.passed);
    cr_assert(!strncmp(r.parameter, "rnn/", 4) && r.step >= 0 && r.step < 2 && r.element >= 0,
              "%s step %lld element %lld", r.parameter, (long long)r.step, (long long)r.element);
    cr_assert(strstr(tl_message(), r.parameter) && strstr(tl_message(), "at step"), "%s", tl_message());
}

static void catches_engine_fault(tl_fault fault)
{
    setenv("TL_CHECK", "0", 1); /* the proof of the plan would see it first */
    for (uint64_t seed = 1; seed <= 10; seed++) {
        tl_planted_fault = fault;
        const tl_gradcheck_result r = check(right, &(tl_gradcheck_opts){ 0 }, seed);
        tl_planted_fault = TL_FAULT_NONE;
        cr_assert(!r.passed, "seed %llu", (unsigned long long)seed);
    }
}

Test(gradcheck, catches_a_missing_accumulation) { catches_engine_fault(TL_FAULT_NO_ACCUMULATION); }
Test(gradcheck, catches_a_buffer_released_too_early) { catches_engine_fault(TL_WITHOUT_ALIVE_USES); }
Test(gradcheck, catches_a_stale_buffer) { catches_engine_fault(TL_FAULT_STALE_RUN); }

/* ---- kinks, NaN, and what is no gradient's fault ------------------------------------------------------------------- */

static tl_tensor kinked(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)in, (void)user;
    return tl_sum(tl_relu(tl_param(s, "w", TL_DIMS(3))), TL_ALL); /* zeros: the very kink */
}

Test(gradcheck, counts_a_kink_and_does_not_blame_it)
{
    tl_model *model = tl_model_new(.seed = 1);
    const tl_gradcheck_result r = tl_gradcheck(model, kinked, NULL, 0, NULL, .full = true);
    cr_assert(r.passed, "%s", tl_message());
    cr_assert_eq(r.kinks, 3);
    tl_model_free(model);
}

static tl_tensor near_kink(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)in, (void)user;
    const double shift[3] = { 1e-6, -1e-6, 2e-5 };
    return tl_sum(
        tl_square(tl_add_scalar(tl_relu(tl_add(tl_param(s, "w", TL_DIMS(3)), tl_const(s, TL_DIMS(3), shift))), 1)),
        TL_ALL);
}

/* A kink within the step of the difference, but not at the point: a smaller step finds the gradient right. */
Test(gradcheck, looks_closer_near_a_kink)
{
    tl_model *model = tl_model_new(.seed = 1);
    const tl_gradcheck_result r = tl_gradcheck(model, near_kink, NULL, 0, NULL, .full = true);
    cr_assert(r.passed, "%s", tl_message());
    tl_model_free(model);
}

static tl_tensor stepping(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)in, (void)user;
    tl_tensor w = tl_param(s, "w", TL_DIMS(3));
    return tl_sum(tl_less(w, tl_full_like(w, 0)), TL_ALL); /* 0 at 0, 1 just below */
}

/* A jump at the very point is none of the gradient's doing either. */
Test(gradcheck, counts_a_jump_as_a_kink)
{
    tl_model *model = tl_model_new(.seed = 1);
    const tl_gradcheck_result r = tl_gradcheck(model, stepping, NULL, 0, NULL, .full = true);
    cr_assert(r.passed && r.kinks == 3, "%d kinks: %s", r.kinks, tl_message());
    tl_model_free(model);
}

static tl_tensor nan_loss(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)in, (void)user;
    return tl_sum(tl_log(tl_add_scalar(tl_param(s, "w", TL_DIMS(3)), -1)), TL_ALL);
}

Test(gradcheck, a_loss_that_is_nan_fails)
{
    tl_model *model = tl_model_new(.seed = 1);
    const tl_gradcheck_result r = tl_gradcheck(model, nan_loss, NULL, 0, NULL);
    cr_assert(!r.passed);
    cr_assert_eq(r.status, TL_E_NONFINITE);
    tl_model_free(model);
}

static tl_tensor no_parameters(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)in, (void)user;
    return tl_full(s, TL_SCALAR, 1);
}

/* A check that compared nothing must not pass. */
Test(gradcheck, nothing_to_check_fails)
{
    tl_model *model = tl_model_new(.seed = 1);
    cr_assert(!tl_gradcheck(model, no_parameters, NULL, 0, NULL).passed);
    cr_assert(!tl_gradcheck_opt(NULL, NULL, NULL, 0, NULL, NULL).passed);
    tl_model_free(model);
}
