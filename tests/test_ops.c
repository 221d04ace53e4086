/* tests/test_ops.c - the op suite on every built-in operation and on a user's own; and the suite itself, with faults planted
 * that it must find. */
#include "support.h"

#include <criterion/parameterized.h>

/* ---- every built-in op -------------------------------------------------------------------------------------- */

ParameterizedTestParameters(ops, keeps_its_promises)
{
    static int index[256];
    for (int i = 0; i < tl_op_count(); i++) index[i] = i;
    return cr_make_param_array(int, index, (size_t)tl_op_count());
}

ParameterizedTest(int *index, ops, keeps_its_promises)
{
    const struct tl_op *op = tl_op_at(*index);
    const tl_check_op_result r = tl_check_op(op);
    cr_assert(r.passed, "%s: %d of %d checks failed, first: %s", op->name, r.failed, r.checks, r.first);
    cr_assert(r.checks > 0 && r.failed == 0 && !r.first[0]);
    cr_assert(tl_live_bytes() == 0, "%s: %zu bytes are still live", op->name, tl_live_bytes());
}

Test(ops, are_in_the_table_by_number)
{
    for (int i = 0; i < tl_op_count(); i++) {
        const struct tl_op *op = tl_op_at(i);
        cr_assert(op->id == i + 1 && op->size == sizeof(struct tl_op), "%s", op->name);
        for (int k = 0; k < i; k++) cr_assert(strcmp(op->name, tl_op_at(k)->name), "two ops are called %s", op->name);
        if (op->role) cr_assert(tl_op_of_role(op->role) == op, "%s shares its role", op->name);
    }
    cr_assert(!tl_op_at(-1) && !tl_op_at(tl_op_count()) && !tl_op_of_role(TL_ROLE_NONE));
}

/* What the engine builds with must be there. */
Test(ops, play_every_role)
{
    for (int role = TL_ROLE_ADD; role <= TL_ROLE_COPY; role++)
        cr_assert(tl_op_of_role((tl_op_role)role), "role %d", role);
}

Test(ops, have_a_case_without_elements_and_elementwise_ones_a_broadcast)
{
    for (int i = 0; i < tl_op_count(); i++) {
        const struct tl_op *op = tl_op_at(i);
        bool empty = false, spread = false;
        for (int k = 0; k < op->n_cases; k++) {
            const tl_case *c = &op->cases[k];
            empty |= !c->n_in;
            for (int j = 0; j < c->n_in && !c->rejects; j++) {
                empty |= !tl_shape_size(&c->in[j]);
                spread |= j && !tl_shape_equal(&c->in[0], &c->in[j]);
            }
        }
        cr_expect(empty, "%s has no case without elements", op->name);
        cr_expect(spread || op->cls != TL_ELEMENTWISE || op->max_in < 2, "%s has no case that broadcasts", op->name);
    }
}

/* ---- a user's op -------------------------------------------------------------------------------------------- */

static int64_t length(const tl_run_args *r)
{
    int64_t n = 1;
    for (int a = 0; a < r->out_desc->rank; a++) n *= r->out_desc->dim[a];
    return n;
}

/* Kernels of one operand, name_f32 and name_f64; the rest is what is done with x, y and n. */
#define KERNEL_OF(name, type, real, ...)                                                                               \
    static tl_status name##_##type(const tl_run_args *r)                                                               \
    {                                                                                                                  \
        const real *x = r->in[0];                                                                                      \
        real *y = r->out;                                                                                              \
        const int64_t n = length(r);                                                                                   \
        __VA_ARGS__                                                                                                    \
        return TL_OK;                                                                                                  \
    }
#define KERNELS(name, ...)                                                                                             \
    KERNEL_OF(name, f32, float, __VA_ARGS__)                                                                           \
    KERNEL_OF(name, f64, double, __VA_ARGS__)

/* y = x / (1 + |x|),  dx = g / (1 + |x|)^2 */
KERNELS(softsign, for (int64_t i = 0; i < n; i++) y[i] = x[i] / (1 + (x[i] < 0 ? -x[i] : x[i]));)

static tl_tensor softsign_vjp(const tl_vjp *v, int i)
{
    return tl_div(v->g, tl_square(tl_add_scalar(tl_abs(v->in[i]), 1)));
}

#define CASE(n, ...)                                                                                                   \
    {                                                                                                                  \
        .n_in = (n), .in = { __VA_ARGS__ }                                                                             \
    }
static const tl_case softsign_cases[] = { CASE(1, TL_CASE_SHAPE(5)),
                                          CASE(1, TL_CASE_SHAPE(2, 3, 4)),
                                          CASE(1, TL_CASE_SCALAR),
                                          CASE(1, TL_CASE_SHAPE(0, 3)),
                                          { 1, { TL_CASE_IDS(3) }, .ids = 2, .rejects = true } };

static const struct tl_op softsign = { .size = sizeof(struct tl_op),
                                       .name = "softsign",
                                       .min_in = 1,
                                       .max_in = 1,
                                       .cls = TL_ELEMENTWISE,
                                       .shape = tl_shape_same,
                                       .f32 = softsign_f32,
                                       .f64 = softsign_f64,
                                       .vjp = softsign_vjp,
                                       .cases = softsign_cases,
                                       .n_cases = COUNT(softsign_cases) };

/* y[b] = p + sum_i a[b,i] b[b,i], opaque, with a number p as attribute and room to work in */
typedef struct rowdot_attr {
    double p;
} rowdot_attr;

#define ROWDOT(type, real)                                                                                             \
    static tl_status rowdot_##type(const tl_run_args *r)                                                               \
    {                                                                                                                  \
        const int64_t n = r->in_desc[0].dim[1];                                                                        \
        const real *a = r->in[0], *b = r->in[1];                                                                       \
        real *y = r->out, *term = r->work;                                                                             \
        for (int64_t k = 0; k < length(r); k++, a += n, b += n) {                                                      \
            for (int64_t i = 0; i < n; i++) term[i] = a[i] * b[i];                                                     \
            y[k] = (real)((const rowdot_attr *)r->attr)->p;                                                            \
            for (int64_t i = 0; i < n; i++) y[k] += term[i];                                                           \
        }                                                                                                              \
        return TL_OK;                                                                                                  \
    }
ROWDOT(f32, float)
ROWDOT(f64, double)

static bool rowdot_shape(tl_shape_rule *r)
{
    if (r->in[0].rank != 2 || r->in[1].rank != 2 || memcmp(r->in[0].dim, r->in[1].dim, 2 * sizeof r->in[0].dim[0]))
        return tl_refuse(r, TL_E_SHAPE, "two matrices of one shape are needed");
    r->out = r->in[0];
    r->out.rank = 1;
    return true;
}

static size_t rowdot_work(const tl_desc *out, const tl_desc *in, int n_in, const void *attr)
{
    (void)out, (void)n_in, (void)attr;
    return (size_t)in[0].dim[1] * 8;
}

static tl_tensor rowdot_vjp(const tl_vjp *v, int i)
{
    return tl_mul(tl_reshape(v->g, TL_DIMS(tl_dim(v->g, 0), 1)), v->in[!i]);
}

static const rowdot_attr half = { 0.5 };
static const tl_case rowdot_cases[] = {
    { 2, { TL_CASE_SHAPE(4, 3), TL_CASE_SHAPE(4, 3) }, .attr = &half },
    { 2, { TL_CASE_SHAPE(2, 0), TL_CASE_SHAPE(2, 0) }, .attr = &half },
    { 2, { TL_CASE_SHAPE(0, 2), TL_CASE_SHAPE(0, 2) }, .attr = &half },
    { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(3, 2) }, .attr = &half, .rejects = true },
};
static const struct tl_op rowdot = { .size = sizeof(struct tl_op),
                                     .name = "rowdot",
                                     .min_in = 2,
                                     .max_in = 2,
                                     .attr_size = sizeof(rowdot_attr),
                                     .shape = rowdot_shape,
                                     .f32 = rowdot_f32,
                                     .f64 = rowdot_f64,
                                     .vjp = rowdot_vjp,
                                     .work = rowdot_work,
                                     .cases = rowdot_cases,
                                     .n_cases = COUNT(rowdot_cases) };

Test(user_op, passes_the_suite)
{
    const tl_check_op_result a = tl_check_op(&softsign), b = tl_check_op(&rowdot);
    cr_assert(a.passed && a.checks > 50, "%d checks, %s", a.checks, a.first);
    cr_assert(b.passed && b.checks > 50, "%d checks, %s", b.checks, b.first);
}

static tl_tensor user_loss(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor h = tl_apply(
        &softsign, (tl_tensor[]){ tl_matmul(in[0], tl_param(s, "W", TL_DIMS(3, 3), .init = normal)) }, 1, NULL);
    return tl_sum(tl_apply(&rowdot, (tl_tensor[]){ h, in[0] }, 2, &half), TL_ALL);
}

/* Recorded, differentiated, planned and run, in both types, like any other. */
Test(user_op, works_in_a_model)
{
    static const float x[6] = { 0.5F, -1, 0.25F, 1, 0.75F, -0.5F };
    tl_model *m = tl_model_new(.seed = 3);
    const tl_array in[1] = { FLOATS((void *)(uintptr_t)x, 2, 3) };
    tl_tape *t = tl_tape_new(m);
    tl_tensor h = tl_input(tl_root(t), "x", in[0]);
    const tl_tensor loss = user_loss(tl_root(t), &h, NULL);
    tl_output(tl_root(t), "loss", loss);
    tl_backward(loss);
    const double want = tl_eval(loss);
    tl_session *s = run_once(t, in, 1);
    cr_assert(isfinite(want) && tl_get_scalar(s, "loss") == want);
    float *W = tl_model_values(m), sum = 0;
    const float *dW = tl_session_gradients(s, NULL, NULL);
    double hand[9] = { 0 }, total = 1;
    for (int b = 0; b < 2; b++)
        for (int j = 0; j < 3; j++) {
            double z = 0;
            for (int k = 0; k < 3; k++) z += x[b * 3 + k] * W[k * 3 + j];
            total += z / (1 + fabs(z)) * x[b * 3 + j];
            for (int k = 0; k < 3; k++)
                hand[k * 3 + j] += x[b * 3 + j] / ((1 + fabs(z)) * (1 + fabs(z))) * x[b * 3 + k];
        }
    cr_assert(fabs(total - want) < 1e-5, "loss %g, by hand %g", want, total);
    for (int i = 0; i < 9; i++) {
        cr_assert(fabs(hand[i] - dW[i]) < 1e-5, "dW[%d] is %g, by hand %g", i, dW[i], hand[i]);
        sum += fabsf(dW[i]);
    }
    cr_assert(sum > 0);
    tl_session_free(s);
    const tl_gradcheck_result r = tl_gradcheck(m, user_loss, in, 1, NULL, .second_order = true, .inputs = true);
    cr_assert(r.passed, "%s: %s", r.where, tl_message());
    tl_model_free(m);
    cr_assert(tl_live_bytes() == 0);
}

static struct tl_op without_vjp(void)
{
    struct tl_op op = softsign;
    op.vjp = NULL;
    return op;
}

Test(user_op, without_a_vjp_cannot_be_differentiated)
{
    const struct tl_op op = without_vjp();
    tl_model *m = tl_model_new(.dtype = TL_F64);
    tl_tape *t = tl_tape_new(m);
    const tl_tensor x = tl_const(tl_root(t), TL_DIMS(2), (double[]){ 1, -3 }), y = tl_apply(&op, &x, 1, NULL);
    double v[2];
    tl_eval_values(y, v);
    cr_assert(v[0] == 0.5 && v[1] == -0.75);
    tl_tensor g;
    tl_grad(tl_tanh(y), &x, 1, &g);
    cr_assert(tl_tape_status(t) == TL_E_NOGRAD);
    cr_has(tl_message(), "softsign");
    cr_has(tl_message(), AT_LINE(__LINE__ - 8));
    tl_tape_free(t);
    tl_model_free(m);
    cr_assert(tl_check_op(&op).passed, "%s", tl_check_op(&op).first);
}

static void refused_as_an_op(const struct tl_op *op, int n, const void *attr, const char *words)
{
    tl_model *m = tl_model_new();
    tl_tape *t = tl_tape_new(m);
    const tl_tensor x = tl_const(tl_root(t), TL_DIMS(1, 1), (double[]){ 1 }), in[3] = { x, x, x };
    if (n) tl_apply(op, in, n, attr);
    else tl_apply_leaf_at(TL_HERE, tl_root(t), op, attr);
    cr_assert(tl_tape_status(t) == TL_E_ARGUMENT, "%s", tl_message());
    cr_has(tl_message(), words);
    tl_tape_free(t);
    tl_model_free(m);
}

Test(user_op, that_is_none_is_refused)
{
    static const struct tl_op empty, named = { .size = sizeof named, .name = "named" };
    for (int n = 0; n < 2; n++) {
        refused_as_an_op(NULL, n, NULL, "no struct tl_op");
        refused_as_an_op(&empty, n, NULL, "no struct tl_op");
        refused_as_an_op(&named, n, NULL, "no struct tl_op");
    }
    refused_as_an_op(&rowdot, 2, NULL, "rowdot: its attributes are missing");
    refused_as_an_op(&rowdot, 1, &half, "rowdot: 1 operands are too few");
    refused_as_an_op(&rowdot, 3, &half, "rowdot: 3 operands are too many");
    refused_as_an_op(&softsign, 0, NULL, "softsign: it needs operands");
}

/* ---- the suite itself: planted faults ----------------------------------------------------------------------- */

/* A built-in op as if a user had written it. */
static struct tl_op copy_of(const char *name)
{
    int i = 0;
    while (tl_op_at(i) && strcmp(tl_op_at(i)->name, name)) i++;
    cr_assert(tl_op_at(i), "there is no op %s", name);
    struct tl_op op = *tl_op_at(i);
    op.id = 0;
    op.role = TL_ROLE_NONE;
    return op;
}

static void finds(const struct tl_op *op, const char *words)
{
    const tl_check_op_result r = tl_check_op(op);
    cr_assert(!r.passed && r.failed > 0 && r.failed <= r.checks, "passes although: %s", words);
    cr_assert(strstr(r.first, words), "says \"%s\" and not \"%s\"", r.first, words);
    cr_assert(!op || strstr(r.first, op->name), "\"%s\" does not name the op", r.first);
}

Test(op_suite, passes_copies_of_built_in_ops)
{
    const char *const names[] = { "tanh", "mul", "sum", "matmul", "softmax", "where", "gather", "concat", "max" };
    for (int i = 0; i < COUNT(names); i++) {
        const struct tl_op op = copy_of(names[i]);
        const tl_check_op_result r = tl_check_op(&op);
        cr_assert(r.passed, "%s", r.first);
    }
}

/* 1 - y^2 */
static tl_tensor slope_of(tl_tensor y) { return tl_add_scalar(tl_neg(tl_square(y)), 1); }

static tl_tensor flipped(const tl_vjp *v, int i) { return (void)i, tl_neg(tl_mul(v->g, slope_of(v->y))); }
static tl_tensor dropped(const tl_vjp *v, int i) { return (void)i, v->g; }
static tl_tensor scaled(const tl_vjp *v, int i) { return (void)i, tl_scale(tl_mul(v->g, slope_of(v->y)), 1.00001); }
static tl_tensor shifted(const tl_vjp *v, int i) { return (void)i, tl_add_scalar(tl_mul(v->g, slope_of(v->y)), 1e-5); }
static tl_tensor of_operand(const tl_vjp *v, int i) { return tl_mul(v->g, slope_of(v->in[i])); }
static tl_tensor absent(const tl_vjp *v, int i) { return (void)v, (void)i, TL_NONE; }
static tl_tensor undefined(const tl_vjp *v, int i) { return (void)i, tl_mul(v->g, tl_sqrt(tl_neg(tl_exp(v->y)))); }
static tl_tensor infinite(const tl_vjp *v, int i) { return (void)i, tl_div(v->g, tl_sub(v->y, v->y)); }

/* Any rule of any op, for any operand, with its sign flipped. */
static const struct tl_op *flipped_op;
static int flipped_operand, flips;

static tl_tensor flipped_rule(const tl_vjp *v, int i)
{
    const tl_tensor d = flipped_op->vjp(v, i);
    if (i != flipped_operand || tl_absent(d)) return d;
    flips++;
    return tl_neg(d);
}

Test(op_suite, finds_a_flipped_sign_in_any_rule)
{
    int rules = 0;
    for (int k = 0; k < tl_op_count(); k++) {
        flipped_op = tl_op_at(k);
        if (!flipped_op->vjp) continue;
        for (flipped_operand = 0; flipped_operand < TL_CASE_INPUTS; flipped_operand++) {
            struct tl_op op = *flipped_op;
            op.vjp = flipped_rule;
            flips = 0;
            const tl_check_op_result r = tl_check_op(&op);
            cr_assert(r.passed == !flips, "%s, operand %d: %d flips", op.name, flipped_operand, flips);
            rules += flips > 0;
        }
    }
    cr_assert(rules > tl_op_count() / 2, "%d rules", rules);
}

Test(op_suite, finds_wrong_gradients_of_tanh)
{
    static const tl_vjp_fn faults[] = { flipped, dropped, scaled, shifted, of_operand, absent };
    for (int i = 0; i < COUNT(faults); i++) {
        struct tl_op op = copy_of("tanh");
        op.vjp = faults[i];
        finds(&op, "tanh case 0: the gradient by operand 0: numeric ");
    }
    struct tl_op op = copy_of("tanh");
    op.vjp = undefined;
    finds(&op, "the gradient by operand 0 is not finite");
    op.vjp = infinite;
    finds(&op, "the gradient by operand 0 is not finite");
}

/* Right once, but what it is made of does not know that y depends on x. */
static tl_tensor right_once(const tl_vjp *v, int i) { return (void)i, tl_mul(v->g, slope_of(tl_stop_gradient(v->y))); }
/* Right by x, but its own derivative by g is lost. */
static tl_tensor loses_g(const tl_vjp *v, int i) { return (void)i, tl_mul(tl_stop_gradient(v->g), slope_of(v->y)); }
static tl_tensor once_only(const tl_vjp *v, int i)
{
    static const struct tl_op last = { .size = sizeof last,
                                       .name = "last",
                                       .min_in = 1,
                                       .max_in = 1,
                                       .cls = TL_ELEMENTWISE,
                                       .shape = tl_shape_same,
                                       .f32 = softsign_f32,
                                       .f64 = softsign_f64 };
    return (void)i, tl_add(tl_mul(v->g, slope_of(v->y)), tl_scale(tl_apply(&last, &v->y, 1, NULL), 0));
}

Test(op_suite, finds_wrong_second_derivatives)
{
    struct tl_op op = copy_of("tanh");
    op.vjp = right_once;
    finds(&op, "tanh case 0: the gradient of the gradient by operand 0: numeric ");
    op.vjp = loses_g;
    finds(&op, "tanh case 0: the gradient of the gradient by the result's weights: numeric ");
    op.vjp = once_only;
    finds(&op, "last has no vjp rule");
    static const tl_case once[] = { { 1, { TL_CASE_SHAPE(5) }, .no_second = true } };
    op.cases = once;
    op.n_cases = 1;
    cr_assert(tl_check_op(&op).passed);
}

static tl_tensor mul_flipped(const tl_vjp *v, int i)
{
    const tl_tensor d = tl_unbroadcast(tl_mul(v->g, v->in[!i]), v->in[i]);
    return i ? tl_neg(d) : d;
}
static tl_tensor mul_one_sided(const tl_vjp *v, int i)
{
    return i ? TL_NONE : tl_unbroadcast(tl_mul(v->g, v->in[1]), v->in[0]);
}
static tl_tensor mul_swapped(const tl_vjp *v, int i) { return tl_unbroadcast(tl_mul(v->g, v->in[i]), v->in[i]); }
static tl_tensor mul_spread(const tl_vjp *v, int i) { return tl_mul(v->g, v->in[!i]); }
/* Takes the first of the broadcast gradients instead of their sum. */
static tl_tensor mul_first(const tl_vjp *v, int i)
{
    tl_tensor d = tl_mul(v->g, v->in[!i]);
    while (tl_rank(d) > tl_rank(v->in[i])) d = tl_at(d, 0);
    for (int a = 0; a < tl_rank(d); a++)
        if (tl_dim(v->in[i], a) == 1 && tl_dim(d, a) > 1) d = tl_slice(d, a, 0, 1);
    return d;
}
/* Believes that a square needs only one of its operands' gradients. */
static tl_tensor mul_square(const tl_vjp *v, int i)
{
    if (i && tl_is(v->in[0], v->in[1])) return TL_NONE;
    return tl_unbroadcast(tl_mul(v->g, v->in[!i]), v->in[i]);
}

Test(op_suite, finds_wrong_gradients_of_mul)
{
    struct tl_op op = copy_of("mul");
    op.vjp = mul_flipped;
    finds(&op, "mul case 0: the gradient by operand 1: numeric ");
    op.vjp = mul_one_sided;
    finds(&op, "mul case 0: the gradient by operand 1: numeric ");
    op.vjp = mul_swapped;
    finds(&op, "mul case 0: the gradient by operand 0: numeric ");
    op.vjp = mul_spread;
    finds(&op, "the vjp rule of mul gives [2,3] for operand 1, which is [3]");
    op.vjp = mul_first;
    finds(&op, "mul case 1: the gradient by operand 1: numeric ");
    op.vjp = mul_square;
    finds(&op, "mul case 0 with the same tensor as operands 0 1: the gradient by operand 0: numeric ");
}

static tl_vjp_fn real_sum_vjp;
static tl_tensor sum_flipped(const tl_vjp *v, int i) { return tl_neg(real_sum_vjp(v, i)); }
static tl_tensor sum_scaled(const tl_vjp *v, int i)
{
    return tl_scale(real_sum_vjp(v, i), (double)tl_size(v->y) / (double)tl_size(v->in[0]));
}
static tl_tensor sum_dropped(const tl_vjp *v, int i) { return i ? TL_NONE : real_sum_vjp(v, i); }

Test(op_suite, finds_wrong_gradients_of_sum)
{
    struct tl_op op = copy_of("sum");
    real_sum_vjp = op.vjp;
    op.vjp = sum_flipped;
    finds(&op, "sum case 0: the gradient by operand 0: numeric ");
    op.vjp = sum_scaled;
    finds(&op, "sum case 0: the gradient by operand 0: numeric ");
    op.vjp = sum_dropped;
    finds(&op, "the gradient by operand 1: numeric ");
}

/* ---- kernels with faults ------------------------------------------------------------------------------------ */

KERNELS(imprecise, for (int64_t i = 0; i < n; i++) y[i] = x[i] * x[i] * (sizeof y[i] == 4 ? 1.0001F : 1);)
KERNELS(twice, for (int64_t i = 0; i < n; i++) y[i] = 0; for (int64_t i = 0; i < n; i++) y[i] += x[i] * x[i];)
KERNELS(short_, for (int64_t i = 0; i < n - 1; i++) y[i] = x[i] * x[i];)
KERNELS(adding, for (int64_t i = 0; i < n; i++) y[i] += x[i] * x[i];)
KERNELS(long_, for (int64_t i = 0; i < n; i++) y[i] = x[i] * x[i]; y[n] = 0;)
KERNELS(early, for (int64_t i = 0; i < n; i++) y[i] = x[i] * x[i]; y[-1] = 0;)
KERNELS(marking, for (int64_t i = 0; i < n; i++) y[i] = x[i] * x[i]; if (n) memset((void *)(uintptr_t)x, 0, sizeof *x);)
KERNELS(dirty, for (int64_t i = 0; i < n; i++) y[i] = x[i] * x[i] + (*(const char *)r->work & 1);)
KERNELS(moody, static int calls; calls++; for (int64_t i = 0; i < n; i++) y[i] = x[i] * x[i] + calls;)
KERNELS(rough, for (int64_t i = 0; i < n; i++) y[i] = x[i] * x[i] + (sizeof y[i] == 8 ? 1e-3 * sin(1e9 * x[i]) : 0);)
KERNELS(poor, if (n) return tl_kernel_fail(r, TL_E_INDEX, "no mood for %d numbers", (int)n); (void)x, (void)y;)
KERNELS(unreal, for (int64_t i = 0; i < n; i++) y[i] = x[i] * x[i] / (x[i] - x[i]);)

static size_t work_of_64(const tl_desc *out, const tl_desc *in, int n_in, const void *attr)
{
    (void)out, (void)in, (void)n_in, (void)attr;
    return 64;
}

Test(op_suite, finds_faults_in_kernels)
{
    static const struct {
        tl_kernel f32, f64;
        const char *words;
    } faults[] = {
        { imprecise_f32, imprecise_f64, "square case 0: the result (0), element 0: " },
        { twice_f32, twice_f64, "square case 0: the f64 kernel gives another result in place of operand 0" },
        { short__f32, short__f64, "square case 0: the f64 kernel does not write every element" },
        { adding_f32, adding_f64,
          "square case 0: the f64 kernel does not write every element from its operands alone" },
        { long__f32, long__f64, "square case 0: the f64 kernel writes outside its result" },
        { early_f32, early_f64, "square case 0: the f64 kernel writes outside its result" },
        { marking_f32, marking_f64, "square case 0: the f64 kernel " },
        { dirty_f32, dirty_f64, "square case 0: the f64 kernel does not write every element from its operands alone" },
        { moody_f32, moody_f64, "square case 0: the f64 kernel does not write every element from its operands alone" },
        { rough_f32, rough_f64, "differences do not settle" },
        { poor_f32, poor_f64, "no mood for " },
        { unreal_f32, unreal_f64, "differences do not settle" },
        { long__f32, imprecise_f64, "square case 0: the f32 kernel writes outside its result" },
    };
    for (int i = 0; i < COUNT(faults); i++) {
        struct tl_op op = copy_of("square");
        op.f32 = faults[i].f32;
        op.f64 = faults[i].f64;
        if (op.f32 == dirty_f32) op.work = work_of_64;
        if (op.f32 == rough_f32) op.f32_rtol = 0.1;
        finds(&op, faults[i].words);
    }
}

/* The tolerance between types is the op's own to set. */
Test(op_suite, takes_the_tolerance_of_the_op)
{
    struct tl_op op = copy_of("square");
    op.f32 = imprecise_f32;
    op.f32_rtol = 1e-3;
    const tl_check_op_result r = tl_check_op(&op);
    cr_assert(r.passed, "%s", r.first);
}

/* A derivative lost in rounding cannot be told from 0, and is not held against the op. */
Test(op_suite, passes_saturated_numbers)
{
    static const tl_case far[] = { { 1, { TL_CASE_SHAPE(6) }, .lo = 34, .hi = 40 },
                                   { 1, { TL_CASE_SHAPE(6) }, .lo = -9, .hi = 40 } };
    struct tl_op op = copy_of("sigmoid");
    op.cases = far;
    op.n_cases = COUNT(far);
    const tl_check_op_result r = tl_check_op(&op);
    cr_assert(r.passed, "%s", r.first);
}

/* ---- memory ------------------------------------------------------------------------------------------------- */

static void *lost[100000];
static int n_lost;
static tl_tensor leaking(const tl_vjp *v, int i)
{
    if (n_lost < COUNT(lost)) lost[n_lost++] = tl_resize(NULL, 0, 16);
    return (void)i, tl_mul(v->g, slope_of(v->y));
}
static tl_tensor careless(const tl_vjp *v, int i)
{
    void *p = tl_resize(NULL, 0, 16);
    if (!p) return TL_NONE;
    tl_resize(p, 16, 0);
    return (void)i, tl_mul(v->g, slope_of(v->y));
}

Test(op_suite, finds_lost_memory_and_hidden_failures)
{
    struct tl_op op = copy_of("tanh");
    op.vjp = leaking;
    finds(&op, "memory is lost");
    while (n_lost) tl_resize(lost[--n_lost], 16, 0);
    op.vjp = careless;
    finds(&op, "fails, and the status is TL_OK");
    cr_assert(tl_live_bytes() == 0);
}

/* ---- descriptions and cases --------------------------------------------------------------------------------- */

Test(op_suite, finds_what_is_missing_in_a_description)
{
    finds(NULL, "tl_check_op(NULL)");
    struct tl_op op = copy_of("tanh");
    op.n_cases = 0;
    finds(&op, "there are no cases");
    op = copy_of("tanh");
    op.cases = NULL;
    finds(&op, "there are no cases");
    op = copy_of("tanh");
    op.f32 = NULL;
    finds(&op, "the kernel .f32 is missing");
    op = copy_of("tanh");
    op.f64 = NULL;
    finds(&op, "the kernel .f64 is missing");
    op = copy_of("tanh");
    op.shape = NULL;
    finds(&op, ".shape is missing");
    op = copy_of("tanh");
    op.size = 8;
    finds(&op, ".size");
    op = copy_of("add");
    op.role = TL_ROLE_ADD;
    finds(&op, ".role");
    op = copy_of("tanh");
    op.no_gradient = true;
    finds(&op, ".no_gradient");
    op.name = "";
    op.no_gradient = false;
    finds(&op, ".name is missing");
}

static bool refuses_all(tl_shape_rule *r) { return tl_refuse(r, TL_E_SHAPE, "not today"); }
static bool refuses_oddly(tl_shape_rule *r) { return tl_refuse(r, TL_E_STATE, "not today"); }

Test(op_suite, finds_faults_in_cases)
{
    static const tl_case accepted[] = { { 1, { TL_CASE_SHAPE(3) }, .rejects = true } };
    static const tl_case refused[] = { { 1, { TL_CASE_IDS(3) }, .ids = 4 } };
    static const tl_case many[] = { CASE(5, TL_CASE_SHAPE(3)) };
    static const tl_case no_ids[] = { CASE(2, TL_CASE_SHAPE(3), TL_CASE_IDS(3)) };
    static const tl_case no_attr[] = { CASE(1, TL_CASE_SHAPE(3)) };
    const struct {
        const char *name;
        const tl_case *c;
        bool (*shape)(tl_shape_rule *);
        const char *words;
    } faults[] = {
        { "tanh", accepted, tl_shape_same, "should be refused, and is accepted" },
        { "tanh", refused, tl_shape_same, "cannot be recorded" },
        { "tanh", no_attr, refuses_all, "not today" },
        { "tanh", accepted, refuses_oddly, "TL_E_STATE" },
        { "concat", many, refuses_all, ".n_in is 5" },
        { "gather", no_ids, refuses_all, ".ids" },
        { "sum", no_attr, refuses_all, ".attr is missing" },
    };
    for (int i = 0; i < COUNT(faults); i++) {
        struct tl_op op = copy_of(faults[i].name);
        op.cases = faults[i].c;
        op.n_cases = 1;
        op.shape = faults[i].shape;
        finds(&op, faults[i].words);
    }
}

/* Not having a gradient can be declared; then none is what there must be. */
Test(op_suite, takes_a_declared_absence_of_gradients)
{
    struct tl_op op = copy_of("square");
    op.vjp = NULL;
    op.no_gradient = true;
    cr_assert(tl_check_op(&op).passed, "%s", tl_check_op(&op).first);
}

/* ---- manners ------------------------------------------------------------------------------------------------ */

Test(op_suite, leaves_everything_as_it_was)
{
    tl_report(TL_E_FILE, "said before");
    for (int on = 0; on < 2; on++) {
        tl_set_exact(on);
        struct tl_op op = copy_of("tanh");
        cr_assert(tl_check_op(&op).passed);
        op.vjp = flipped;
        cr_assert(!tl_check_op(&op).passed);
        cr_assert(tl_exact() == on);
    }
    cr_assert(!strcmp(tl_message(), "said before"), "%s", tl_message());
    cr_assert(tl_live_bytes() == 0);
}
