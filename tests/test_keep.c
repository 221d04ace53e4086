/* tests/test_keep.c - what depends on parameters alone is computed once per update, and never by a run. */
#include "tests/support.h"

#include <pthread.h>
#include <unistd.h>

#include "graph/passes/passes.h"
#include "layers/layers.h"
#include "optim/optim.h"
#include "train/train.h"

static void begin(void)
{
    unsetenv("TL_PASSES");
    tl_set_exact(true);
}
TestSuite(keep, .init = begin);
TestSuite(pack, .init = begin);

/* ---- an operation that counts its calls, and refuses numbers below its limit ------------------------------------ */

typedef struct scaled_attr {
    double factor, limit;
} scaled_attr;

static int calls;

static tl_status scaled_kernel(const tl_run_args *r)
{
    const scaled_attr *a = r->attr;
    calls++;
    for (int64_t i = 0; i < tl_desc_size(r->out_desc); i++) {
        const double x = tl_read(r->in[0], r->in_desc->dtype, i);
        if (x < a->limit) return tl_kernel_fail(r, TL_E_ARGUMENT, "%g is too small", x);
        tl_write(r->out, r->out_desc->dtype, i, a->factor * x);
    }
    return TL_OK;
}

static tl_tensor scaled_by(const struct tl_op *op, tl_tensor x, double factor, double limit)
{
    return tl_apply(op, &x, 1, &(scaled_attr){ factor, limit });
}

#define SCALED(op, ...)                                                                                                \
    static const struct tl_op op = { .size = sizeof op,                                                                \
                                     .name = #op,                                                                      \
                                     .min_in = 1,                                                                      \
                                     .max_in = 1,                                                                      \
                                     .attr_size = sizeof(scaled_attr),                                                 \
                                     .shape = tl_shape_same,                                                           \
                                     .f32 = scaled_kernel,                                                             \
                                     .f64 = scaled_kernel,                                                             \
                                     __VA_ARGS__ }

static tl_tensor scaled_vjp(const tl_vjp *v, int i);
SCALED(op_scaled, .cls = TL_ROWWISE, .vjp = scaled_vjp);
SCALED(op_opaque, .cls = TL_OPAQUE);
SCALED(op_random, .cls = TL_RANDOM);
SCALED(op_pointer, .cls = TL_ROWWISE, .attr_plain = sizeof(double));

static tl_tensor scaled(tl_tensor x, double factor) { return scaled_by(&op_scaled, x, factor, -1e9); }
static tl_tensor scaled_vjp(const tl_vjp *v, int i)
{
    return (void)i, scaled(v->g, ((const scaled_attr *)v->attr)->factor);
}

/* ---- one model, whose plans add `x` [2] to something made of W [2] ---------------------------------------------- */

typedef tl_tensor maker(tl_scope *s, tl_tensor W);

static tl_plan *plan_of(tl_model *m, maker *f)
{
    tl_tape *t = tl_tape_new(m);
    tl_scope *s = tl_root(t);
    const tl_tensor x = tl_input(s, "x", FLOATS(NULL, 2)), W = tl_param(s, "W", TL_DIMS(2), .init = normal);
    tl_output(s, "y", tl_add(x, f(s, W)));
    tl_plan *p = tl_compile(t);
    cr_assert(p, "%s", tl_message());
    tl_tape_free(t);
    return p;
}

static tl_status run(tl_session *s, const tl_plan *p, float y[2])
{
    float x[2] = { 0, 0 };
    const tl_array in = FLOATS(x, 2);
    const tl_status status = tl_run(s, p, &in, 1);
    tl_array a;
    if (!status) cr_assert(tl_get(s, "y", &a) == TL_OK && memcpy(y, a.data, 2 * sizeof *y));
    return status;
}

static void set_W(tl_model *m, float a, float b) { cr_assert(!set_param(m, "W", FLOATS(((float[]){ a, b }), 2))); }

static tl_tensor thrice(tl_scope *s, tl_tensor W) { return (void)s, scaled(W, 3); }

#define EXPECT(session, plan, a, b)                                                                                    \
    do {                                                                                                               \
        float y_[2];                                                                                                   \
        cr_assert(run(session, plan, y_) == TL_OK, "%s", tl_message());                                                \
        cr_assert(y_[0] == (float)(a) && y_[1] == (float)(b), "%g, %g", y_[0], y_[1]);                                 \
    } while (0)

Test(keep, computed_once_per_update_and_never_in_a_run)
{
    tl_model *m = tl_model_new();
    set_W(m, 1, 2);
    calls = 0;
    tl_plan *p = plan_of(m, thrice);
    cr_assert(calls == 1 && tl_plan_instructions(p) == 1);
    tl_session *s = tl_session_new(m), *other = tl_session_new(m);
    for (int i = 0; i < 3; i++) EXPECT(s, p, 3, 6);
    EXPECT(other, p, 3, 6);
    cr_assert_eq(calls, 1);
    set_W(m, -1, 4);
    cr_assert_eq(calls, 2);
    EXPECT(s, p, -3, 12);
    EXPECT(other, p, -3, 12);
    ((float *)tl_model_values(m))[0] = 5;
    tl_model_touch(m);
    cr_assert_eq(calls, 3);
    EXPECT(s, p, 15, 12);
    cr_assert_eq(calls, 3);
    const tl_array state = FLOATS(((float[]){ 1 }), 1);
    cr_assert(tl_model_set_state(m, "average", &state) == TL_OK && calls == 3, "no parameter has changed");
    tl_session_free(s), tl_session_free(other), tl_plan_free(p), tl_model_free(m);
}

Test(keep, switched_off_it_is_computed_in_each_run)
{
    setenv("TL_PASSES", "-keep", 1);
    tl_model *m = tl_model_new();
    set_W(m, 1, 2);
    calls = 0;
    tl_plan *p = plan_of(m, thrice);
    cr_assert(calls == 0 && tl_plan_instructions(p) == 2);
    tl_session *s = tl_session_new(m);
    for (int i = 0; i < 3; i++) EXPECT(s, p, 3, 6);
    cr_assert_eq(calls, 3);
    tl_session_free(s), tl_plan_free(p), tl_model_free(m);
}

static tl_tensor chained(tl_scope *s, tl_tensor W)
{
    const tl_tensor c = tl_const(s, TL_DIMS(2), (double[]){ 10, 20 }), halves = tl_reshape(W, TL_DIMS(2, 1));
    const tl_tensor swapped = tl_concat(2, (tl_tensor[]){ tl_slice(halves, 0, 1, 2), tl_slice(halves, 0, 0, 1) }, 0);
    return tl_add(scaled(tl_reshape(scaled(swapped, 2), TL_DIMS(2)), 3), scaled(c, 1));
}

/* Views of parameters and of kept values, constants; what depends on constants alone is computed but once. */
Test(keep, expressions_of_any_depth)
{
    tl_model *m = tl_model_new();
    set_W(m, 1, 2);
    calls = 0;
    tl_plan *p = plan_of(m, chained);
    cr_assert(calls == 3 && tl_plan_instructions(p) == 1);
    tl_session *s = tl_session_new(m);
    EXPECT(s, p, 22, 26);
    set_W(m, 3, 4);
    cr_assert_eq(calls, 5);
    EXPECT(s, p, 34, 38);
    tl_session_free(s), tl_plan_free(p), tl_model_free(m);
}

Test(keep, fresh_after_the_model_has_grown)
{
    tl_model *m = tl_model_new();
    set_W(m, 1, 2);
    tl_plan *p = plan_of(m, thrice);
    static float large[100000];
    cr_assert(!set_param(m, "large", FLOATS(large, 100000))); /* parameters move */
    tl_session *s = tl_session_new(m);
    EXPECT(s, p, 3, 6);
    set_W(m, 2, 3);
    EXPECT(s, p, 6, 9);
    tl_session_free(s), tl_plan_free(p), tl_model_free(m);
}

Test(keep, fresh_after_a_step_of_an_optimizer)
{
    tl_model *m = tl_model_new();
    set_W(m, 1, 2);
    tl_tape *t = tl_tape_new(m);
    const tl_tensor x = tl_input(tl_root(t), "x", FLOATS(NULL, 2)), W = tl_param(tl_root(t), "W", TL_DIMS(2));
    const tl_tensor y = tl_mul(x, scaled(W, 3));
    tl_output(tl_root(t), "y", y);
    tl_backward(tl_sum(y, TL_ALL));
    tl_plan *p = tl_compile(t), *q = plan_of(m, thrice);
    tl_tape_free(t);
    tl_session *s = tl_session_new(m);
    tl_optimizer *o = tl_optimizer_new(m, tl_sgd(.lr = 1));
    const tl_array in = FLOATS(((float[]){ 1, 2 }), 2);
    EXPECT(s, q, 3, 6);
    cr_assert(tl_run(s, p, &in, 1) == TL_OK && tl_optimizer_step(o, s) == TL_OK, "%s", tl_message());
    EXPECT(s, q, 3 * (1 - 3), 3 * (2 - 6));
    cr_assert(tl_run(s, p, &in, 1) == TL_OK && tl_optimizer_step(o, s) == TL_OK);
    EXPECT(s, q, 3 * (1 - 6), 3 * (2 - 12));
    cr_assert(tl_model_max_norm(m, NULL, 1, 0) == TL_OK);
    float *w = tl_model_values(m);
    EXPECT(s, q, 3 * w[0], 3 * w[1]);
    cr_assert(fabsf(w[0]) < 1);
    tl_optimizer_free(o), tl_session_free(s), tl_plan_free(p), tl_plan_free(q), tl_model_free(m);
}

Test(keep, fresh_after_loading)
{
    tl_model *m = tl_model_new();
    set_W(m, 1, 2);
    char path[] = "/tmp/tapeloop_keep_XXXXXX";
    const int file = mkstemp(path);
    cr_assert(file >= 0 && !close(file) && tl_model_save(m, path) == TL_OK);
    set_W(m, 0, 0);
    tl_plan *p = plan_of(m, thrice);
    tl_session *s = tl_session_new(m);
    EXPECT(s, p, 0, 0);
    cr_assert(tl_model_load(m, path) == TL_OK);
    EXPECT(s, p, 3, 6);
    unlink(path);
    tl_session_free(s), tl_plan_free(p), tl_model_free(m);
}

static tl_tensor exponential_loss(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor W = tl_param(s, "W", TL_DIMS(3, 4), .init = normal), E = tl_exp(W);
    const tl_tensor norm = tl_sqrt(tl_sum_keep(tl_square(W), TL_AXES(0)));
    return tl_sum(tl_tanh(tl_matmul(in[0], tl_div(E, norm))), TL_ALL);
}

/* The check moves parameters, and expects the loss of the moved ones. */
Test(keep, fresh_in_the_gradient_check)
{
    double x[6] = { 0.3, -0.1, 0.7, 0.2, 0.5, -0.6 };
    const tl_array in = DOUBLES(x, 2, 3);
    tl_model *m = tl_model_new(.dtype = TL_F64);
    const tl_gradcheck_result r = tl_gradcheck(m, exponential_loss, &in, 1, NULL, .full = true);
    cr_assert(r.passed && r.probes >= 12, "%s", tl_message());
    tl_model_free(m);
}

/* ---- shared between plans --------------------------------------------------------------------------------------- */

static tl_tensor four_times(tl_scope *s, tl_tensor W) { return (void)s, scaled(W, 4); }
static tl_tensor thrice_reversed(tl_scope *s, tl_tensor W)
{
    (void)s;
    return scaled(tl_concat(2, (tl_tensor[]){ tl_slice(W, 0, 1, 2), tl_slice(W, 0, 0, 1) }, 0), 3);
}
static tl_tensor thrice_other(tl_scope *s, tl_tensor W)
{
    return (void)W, scaled(tl_param(s, "V", TL_DIMS(2), .init = normal), 3);
}
static tl_tensor thrice_constant(tl_scope *s, tl_tensor W)
{
    return (void)W, scaled(tl_const(s, TL_DIMS(2), (double[]){ 7, 8 }), 3);
}
static tl_tensor thrice_other_constant(tl_scope *s, tl_tensor W)
{
    return (void)W, scaled(tl_const(s, TL_DIMS(2), (double[]){ 7, 9 }), 3);
}

Test(keep, found_again_by_content)
{
    setenv("TL_PASSES", "-constants", 1); /* of what they compute nothing would be left to keep */
    tl_model *m = tl_model_new();
    set_W(m, 1, 2);
    calls = 0;
    tl_plan *p[8] = { plan_of(m, thrice), plan_of(m, thrice) };
    cr_assert(calls == 1 && m->n_kept == 1);
    p[2] = plan_of(m, four_times);
    p[3] = plan_of(m, thrice_reversed);
    p[4] = plan_of(m, thrice_other);
    cr_assert(calls == 4 && m->n_kept == 5, "unlike in attribute, operand, parameter");
    p[5] = plan_of(m, thrice_constant);
    p[6] = plan_of(m, thrice_other_constant);
    p[7] = plan_of(m, thrice_constant);
    cr_assert(calls == 6 && m->n_kept == 9);
    tl_session *s = tl_session_new(m);
    EXPECT(s, p[1], 3, 6);
    EXPECT(s, p[2], 4, 8);
    EXPECT(s, p[3], 6, 3);
    EXPECT(s, p[6], 21, 27);
    EXPECT(s, p[7], 21, 24);
    tl_session_free(s);
    for (int i = 0; i < 8; i++) tl_plan_free(p[i]);
    tl_model_free(m);
}

Test(keep, freed_when_no_plan_needs_it)
{
    tl_model *m = tl_model_new();
    set_W(m, 1, 2);
    tl_plan_free(plan_of(m, chained));
    tl_model_touch(m);
    cr_assert_eq(m->n_kept, 0);
    const size_t before = tl_live_bytes();
    tl_plan *p = plan_of(m, thrice), *q = plan_of(m, thrice);
    tl_plan_free(p);
    calls = 0;
    tl_model_touch(m);
    cr_assert(calls == 1 && m->n_kept == 1, "one plan is left");
    tl_plan_free(q);
    tl_model_touch(m);
    cr_assert(calls == 1 && m->n_kept == 0 && tl_live_bytes() == before);
    for (int i = 0; i < 100; i++) { /* without updates, compiling takes care of it */
        tl_plan_free(plan_of(m, i % 2 ? chained : four_times));
        cr_assert(m->n_kept <= 7);
    }
    p = plan_of(m, thrice);
    tl_model_free(m); /* in whatever order */
    tl_plan_free(p);
    cr_assert_eq(tl_live_bytes(), 0);
}

/* ---- what is not kept ------------------------------------------------------------------------------------------- */

static void seen(void *data, const char *path, const tl_array *value) { (void)data, (void)path, (void)value; }

static tl_tensor opaque(tl_scope *s, tl_tensor W) { return (void)s, scaled_by(&op_opaque, W, 3, -1e9); }
static tl_tensor pointed(tl_scope *s, tl_tensor W) { return (void)s, scaled_by(&op_pointer, W, 3, -1e9); }
static tl_tensor drawn(tl_scope *s, tl_tensor W) { return (void)s, scaled_by(&op_random, W, 3, -1e9); }
static tl_tensor tapped(tl_scope *s, tl_tensor W) { return scaled(tl_tap(s, W, seen, NULL), 3); }
static tl_tensor asked_for(tl_scope *s, tl_tensor W)
{
    const tl_tensor y = scaled(W, 3);
    tl_output(s, "asked for", y);
    return y;
}
static tl_tensor large(tl_scope *s, tl_tensor W)
{
    const int64_t n = TL_KEEP_BYTES / 4 + 1;
    return tl_add(W, tl_slice(scaled(tl_param(s, "large", TL_DIMS(n)), 3), 0, 0, 2));
}

Test(keep, leaves_alone_what_is_not_the_same_in_every_run)
{
    maker *const f[] = { opaque, pointed, drawn, tapped, asked_for };
    for (int i = 0; i < COUNT(f); i++) {
        tl_model *m = tl_model_new();
        set_W(m, 1, 2);
        calls = 0;
        tl_plan *p = plan_of(m, f[i]);
        tl_session *s = tl_session_new(m);
        EXPECT(s, p, 3, 6);
        EXPECT(s, p, 3, 6);
        cr_assert(calls == 2 && m->n_kept == 0, "%d: %d calls", i, calls);
        tl_session_free(s), tl_plan_free(p), tl_model_free(m);
    }
}

Test(keep, leaves_alone_what_is_large)
{
    tl_model *m = tl_model_new();
    tl_plan *p = plan_of(m, large);
    cr_assert(m->n_kept == 0 && tl_plan_instructions(p) == 3);
    tl_plan_free(p), tl_model_free(m);
}

static tl_tensor of_positive(tl_scope *s, tl_tensor W) { return (void)s, scaled(scaled_by(&op_scaled, W, 3, 0), 2); }

/* What cannot be computed at first is computed, and refused, by the run, which knows the place. */
Test(keep, a_kernel_that_refuses_fails_the_run)
{
    tl_model *m = tl_model_new();
    set_W(m, 1, -2);
    float y[2];
    tl_plan *p = plan_of(m, of_positive);
    tl_session *s = tl_session_new(m);
    cr_assert(p->n_kept == 0 && run(s, p, y) == TL_E_ARGUMENT);
    cr_has(tl_message(), "test_keep.c");
    cr_has(tl_message(), "-2 is too small");
    set_W(m, 1, 2);
    EXPECT(s, p, 6, 12);
    tl_plan *q = plan_of(m, of_positive), *other = plan_of(m, thrice);
    cr_assert_eq(tl_plan_instructions(q), 1);
    EXPECT(s, q, 6, 12);
    set_W(m, -3, 2);
    cr_assert_eq(run(s, q, y), TL_E_ARGUMENT);
    cr_has(tl_message(), "op_scaled: -3 is too small");
    EXPECT(s, other, -9, 6);
    set_W(m, 3, 2);
    EXPECT(s, q, 18, 12);
    set_W(m, -3, 2);
    tl_session_free(s), tl_plan_free(p), tl_plan_free(q);
    tl_model_touch(m);
    cr_assert_eq(m->n_kept_failed, 0, "it went with its plan");
    tl_plan_free(other), tl_model_free(m);
}

/* ---- packed weights --------------------------------------------------------------------------------------------- */

enum { T = 6, B = 5, D = 33, H = 40 };

static tl_tensor network(tl_scope *s, tl_tensor x)
{
    return tl_dense(s, tl_lstm(s, x, .units = H, .stateful = true, .return_sequences = true), .units = H);
}

static tl_plan *network_plan(tl_model *m, int steps, bool gradient)
{
    tl_tape *t = tl_tape_new(m);
    const tl_tensor y = network(tl_root(t), tl_input(tl_root(t), "x", FLOATS(NULL, steps, B, D)));
    tl_output(tl_root(t), "y", y);
    if (gradient) tl_backward(tl_sum(tl_square(y), TL_ALL));
    tl_plan *p = tl_compile(t);
    cr_assert(p, "%s", tl_message());
    tl_tape_free(t);
    return p;
}

typedef struct products {
    int packed, others, packs;
} products;

/* Of products on what a run does not change. */
static products census_of(const tl_plan *p)
{
    products n = { 0 };
    for (uint32_t k = 0; k < p->n_instr; k++) {
        const tl_instr *in = &p->instr[k];
        n.packs += in->op->role == TL_ROLE_PACK;
        if (in->op->role != TL_ROLE_PRODUCT) continue;
        n.packed += ((const tl_product_attr *)in->attr)->packed != 0;
        n.others += in->ref[2].base == TL_BASE_VALUES;
    }
    return n;
}

#define CENSUS(plan, ...)                                                                                              \
    do {                                                                                                               \
        const products n_ = census_of(plan), want_ = { __VA_ARGS__ };                                                  \
        cr_assert(n_.packed == want_.packed && n_.others == want_.others && n_.packs == want_.packs, "%d, %d, %d",     \
                  n_.packed, n_.others, n_.packs);                                                                     \
    } while (0)

Test(pack, weights_that_several_products_share)
{
    tl_model *m = tl_model_new();
    tl_plan *p = network_plan(m, T, true);
    CENSUS(p, 4 * T + 4 * (T - 1), 4 + 1 + 1,
           0); /* U forth and back; once: the inputs, the last layer forth and back */
    tl_plan *q = network_plan(m, T, false);
    CENSUS(q, 4 * T + 4 + 1, 0, 0);
    tl_plan *one = network_plan(m, 1, false);
    CENSUS(one, 4 + 4 + 1, 0, 0);
    setenv("TL_PASSES", "-keep", 1);
    tl_plan *r = network_plan(m, T, false);
    CENSUS(r, 4 * T + 4 + 1, 0, 4 + 4 + 1); /* each once in each run */
    cr_assert(r->n_kept == 0 && one->n_kept == 4 + 4 + 1 && q->n_kept == 4 + 4 + 1);
    cr_assert_eq(m->n_kept, p->n_kept + 4 + 1, "the same panels serve all plans");
    tl_plan_free(p), tl_plan_free(q), tl_plan_free(one), tl_plan_free(r), tl_model_free(m);
}

static void products_of(tl_scope *s, int rows, int k, int n)
{
    tl_tensor h = tl_input(s, "x", FLOATS(NULL, rows, k));
    const tl_tensor W = tl_param(s, "W", TL_DIMS(k, n));
    for (int i = 0; i < 2; i++) h = tl_tanh(tl_matmul(h, W));
    tl_output(s, "y", h);
}

Test(pack, not_tiny_ones_not_for_many_rows)
{
    static const int shape[][3] = { { 4, 40, 2 }, { 4, 16, 0 }, { 256, 40, 2 }, { 257, 40, 0 } };
    for (int i = 0; i < COUNT(shape); i++) {
        tl_model *m = tl_model_new();
        tl_tape *t = tl_tape_new(m);
        products_of(tl_root(t), shape[i][0], shape[i][1], shape[i][1]);
        tl_plan *p = tl_compile(t);
        cr_assert(p, "%s", tl_message());
        CENSUS(p, shape[i][2], 2 - shape[i][2], 0);
        tl_plan_free(p), tl_tape_free(t), tl_model_free(m);
    }
}

/* Outputs and gradients of two runs, with an update in between. */
static float *numbers(const char *passes, int64_t *n)
{
    setenv("TL_PASSES", passes, 1);
    static float x[T * B * D];
    uint64_t seed = 3;
    for (int i = 0; i < COUNT(x); i++) x[i] = (float)noise(&seed);
    const tl_array in = FLOATS(x, T, B, D);
    tl_model *m = tl_model_new(.seed = 4);
    tl_plan *p = network_plan(m, T, true), *q = network_plan(m, 1, false);
    tl_session *s = tl_session_new(m), *r = tl_session_new(m);
    tl_optimizer *o = tl_optimizer_new(m, tl_adam(.lr = 0.01));
    const int64_t size = tl_model_size(m);
    float *all = malloc((size_t)(*n = size + (T + 2) * B * H) * sizeof *all);
    for (int k = 0; k < 2; k++) {
        const tl_array one = FLOATS(x + k * B * D, 1, B, D);
        tl_array y;
        cr_assert(tl_run(s, p, &in, 1) == TL_OK && tl_get(s, "y", &y) == TL_OK, "%s", tl_message());
        memcpy(all + size, y.data, bytes_in(&y));
        memcpy(all, tl_session_gradients(s, NULL, NULL), (size_t)size * sizeof *all);
        cr_assert(tl_optimizer_step(o, s) == TL_OK);
        cr_assert(tl_run(r, q, &one, 1) == TL_OK && tl_get(r, "y", &y) == TL_OK, "%s", tl_message());
        memcpy(all + size + (T + k) * B * H, y.data, bytes_in(&y));
    }
    tl_optimizer_free(o), tl_session_free(s), tl_session_free(r), tl_plan_free(p), tl_plan_free(q), tl_model_free(m);
    return all;
}

Test(pack, changes_no_bit)
{
    static const char *const passes[] = {
        "", "-pack", "-keep", "-pack,-keep", "-all,+pack", "-all,+keep", "-all,+pack,+keep", "-cse"
    };
    int64_t n, k;
    float *want = numbers("-all", &n);
    for (int i = 0; i < COUNT(passes); i++) {
        float *is = numbers(passes[i], &k);
        cr_assert(k == n && !memcmp(is, want, (size_t)n * sizeof *is), "TL_PASSES=%s", passes[i]);
        free(is);
    }
    free(want);
}

/* ---- memory and threads ----------------------------------------------------------------------------------------- */

/* A plan that cannot be compiled leaves nothing with the model, and its parameters leave it again. */
Test(keep, every_allocation_may_fail)
{
    bool passed = false;
    tl_model *m = tl_model_new();
    for (uint64_t k = 1; !passed && k < 4000; k++) {
        tl_tape *t = tl_tape_new(m);
        const tl_tensor W = tl_param(tl_root(t), "W", TL_DIMS(2), .init = normal);
        const tl_tensor y = network(tl_root(t), tl_input(tl_root(t), "x", FLOATS(NULL, 2, B, D)));
        tl_output(tl_root(t), "y", tl_sum(y, TL_ALL));
        tl_output(tl_root(t), "c", tl_exp(chained(tl_root(t), W)));
        tl_fail_allocation(k);
        tl_plan *p = tl_compile(t);
        tl_fail_allocation(0);
        passed = p != NULL;
        cr_assert(passed || tl_tape_status(t) == TL_E_MEMORY, "%s", tl_message());
        cr_assert(passed ? m->n_kept > 10 : !m->n_kept && !tl_model_count(m), "allocation %d", (int)k);
        tl_plan_free(p);
        tl_tape_free(t);
        tl_model_touch(m);
        cr_assert_eq(m->n_kept, 0);
    }
    cr_assert(passed);
    tl_model_free(m);
    cr_assert_eq(tl_live_bytes(), 0);
}

typedef struct worker {
    tl_model *model;
    const tl_plan *plan;
    bool right;
} worker;

static void *work(void *data)
{
    worker *w = data;
    w->right = true;
    tl_session *s = tl_session_new(w->model);
    for (int i = 0; i < 300; i++) {
        float y[2] = { 0 };
        w->right &= run(s, w->plan, y) == TL_OK && y[0] == 22 && y[1] == 26;
    }
    tl_session_free(s);
    return NULL;
}

/* Two threads run a plan while a third compiles and frees plans that need nothing new. */
Test(keep, read_by_several_threads)
{
    tl_model *m = tl_model_new();
    set_W(m, 1, 2);
    tl_plan *p = plan_of(m, chained);
    worker w[2] = { { m, p, false }, { m, p, false } };
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) cr_assert(!pthread_create(&thread[i], NULL, work, &w[i]));
    for (int i = 0; i < 50; i++) tl_plan_free(plan_of(m, chained));
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    cr_assert(w[0].right && w[1].right);
    tl_plan_free(p), tl_model_free(m);
}
