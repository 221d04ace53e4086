/* tests/test_nonfinite.c - where a loss or a gradient begins not to be finite; a step that fails so leaves nothing behind. */
#include "support.h"
#include "tapeloop.h"

static void says(const char *words) { cr_has(tl_message(), words); }

#define GOOD(call) cr_assert_eq((call), TL_OK, "%s", tl_message())

/* h' = h + log(x a) */
enum { LOG_LINE = __LINE__ + 4 };
static tl_tensor adding_logs(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    const tl_tensor y = tl_log(tl_mul(x, tl_param(s, "a", TL_DIMS(2), .init = tl_constant(1))));
    return *h = tl_add(*h, y);
}

/* x [T, B, 2]; user: is it stateful? */
static tl_tensor model(tl_scope *s, const tl_tensor *in, void *user)
{
    tl_tensor y = tl_rnn(s, in[0], ((tl_cell){ .step = adding_logs }), .units = 2, .name = "logs",
                         .return_sequences = true, .stateful = user != NULL);
    return tl_mean(tl_dropout(s, y, .rate = 0.25), TL_ALL);
}

enum { T = 4, B = 3, N = T * B * 2 };
static double x[N];

static tl_array good(void)
{
    for (int i = 0; i < N; i++) x[i] = 1 + i % 3;
    return tl_array_of(TL_F64, TL_DIMS(T, B, 2), x);
}

typedef struct stage {
    tl_model *model;
    tl_trainer *trainer;
} stage;

static stage set_up(tl_model_fn fn, void *user)
{
    stage a = { tl_model_new(.seed = 3, .dtype = TL_F64), NULL };
    a.trainer = tl_trainer_new(a.model, fn, .user = user, .optimizer = tl_sgd(.lr = 1e-3));
    return a;
}

static void tear_down(stage *a)
{
    tl_trainer_free(a->trainer);
    tl_model_free(a->model);
    cr_assert_eq(tl_live_bytes(), 0);
}

Test(nonfinite, a_loss_begins_at_a_line_a_scope_and_a_step)
{
    for (int stateful = 0; stateful < 2; stateful++) {
        stage a = set_up(model, stateful ? &a : NULL);
        tl_array in = good();
        double loss;
        for (int i = 0; i < 3; i++) GOOD(tl_train_step(a.trainer, &in, 1, NULL));
        x[2 * B * 2 + 1] = 0;  /* step 2 */
        x[3 * B * 2 + 1] = -1; /* step 3 */
        cr_assert_eq(tl_train_step(a.trainer, &in, 1, &loss), TL_E_NONFINITE);
        says("the loss of run 3 is nan; no parameter was changed; first NaN in log at ");
        says(AT_LINE(LOG_LINE));
        says(" in logs at step 3"); /* the infinity of step 2 did not make the NaN */
        in = good();
        x[2 * B * 2] = 0;
        cr_assert_eq(tl_train_step(a.trainer, &in, 1, &loss), TL_E_NONFINITE);
        says("; no parameter was changed; first infinity in log at "); /* which dropout has made a NaN */
        says(" in logs at step 2");
        cr_assert_eq(tl_test_step(a.trainer, &in, 1, &loss), TL_E_NONFINITE);
        says("first infinity in log at ");
        in = good();
        x[0] = NAN;
        cr_assert_eq(tl_train_step(a.trainer, &in, 1, &loss), TL_E_NONFINITE);
        says("there is NaN in input in[0]");
        tear_down(&a);
    }
}

Test(nonfinite, a_parameter_is_told)
{
    stage a = set_up(model, NULL);
    tl_array in = good();
    GOOD(tl_train_step(a.trainer, &in, 1, NULL));
    const tl_array value = DOUBLES(((double[]){ 1, INFINITY }), 2);
    GOOD(tl_model_set(a.model, "logs/a", &value));
    cr_assert_eq(tl_train_step(a.trainer, &in, 1, NULL), TL_E_NONFINITE);
    says("there is infinity in parameter logs/a");
    tear_down(&a);
}

/* A run that failed so and one that was never made are the same: states, random numbers, parameters. */
Test(nonfinite, leaves_nothing_behind)
{
    double loss[2];
    for (int fails = 0; fails < 2; fails++) {
        stage a = set_up(model, &a);
        for (int i = 0; i < 5; i++) {
            tl_array in = good();
            if (fails && i > 1) {
                x[5] = -1;
                cr_assert_eq(tl_train_step(a.trainer, &in, 1, NULL), TL_E_NONFINITE);
                cr_assert_eq(tl_test_step(a.trainer, &in, 1, NULL), TL_E_NONFINITE);
                in = good();
            }
            GOOD(tl_train_step(a.trainer, &in, 1, &loss[fails]));
            GOOD(tl_test_step(a.trainer, &in, 1, NULL));
        }
        cr_assert_eq(tl_session_runs(tl_trainer_session(a.trainer, TL_TRAIN)), 5);
        tear_down(&a);
    }
    cr_assert_eq(loss[0], loss[1]);
}

/* A finite loss whose gradient is not: the root's, at 0. */
enum { ROOT_LINE = __LINE__ + 5 };
static tl_tensor steep(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor b = tl_param(s, "b", TL_DIMS(2)), w = tl_param(s, "w", TL_DIMS(2));
    return tl_sum(tl_add(b, tl_mul(in[0], tl_sqrt(w))), TL_ALL);
}

Test(nonfinite, a_gradient_begins_in_the_rule_of_an_operation)
{
    stage a = set_up(steep, NULL);
    const tl_array in = good();
    double loss;
    cr_assert(tl_train_step(a.trainer, &in, 1, &loss) == TL_E_NONFINITE && loss == 0);
    says("the norm of the gradients of run 0 is ");
    says("of the gradient of sqrt at ");
    says(AT_LINE(ROOT_LINE));
    tear_down(&a);
}

/* What is written down as infinite is so on purpose: to blame is who lets it through. */
enum { WHERE_LINE = __LINE__ + 4 };
static tl_tensor masked(tl_scope *s, const tl_tensor *in, void *user)
{
    const tl_tensor w = tl_param(s, "w", TL_DIMS(2), .init = tl_constant(1)), low = tl_full(s, TL_DIMS(2), -INFINITY);
    const tl_tensor hidden = tl_where(tl_const(s, TL_DIMS(2), (double[]){ 1, 0 }), w, low);
    const tl_tensor first = tl_at(tl_at(in[0], 0), 0);
    return tl_sum(user ? tl_mul(hidden, first) : tl_div(tl_softmax(hidden), first), TL_ALL);
}

Test(nonfinite, constants_are_not_to_blame)
{
    for (int kind = 0; kind < 2; kind++) {
        stage a = set_up(masked, kind ? &a : NULL);
        const tl_array in = good();
        if (!kind) GOOD(tl_train_step(a.trainer, &in, 1, NULL));
        x[0] = x[1] = 0;
        cr_assert_eq(tl_train_step(a.trainer, &in, 1, NULL), TL_E_NONFINITE);
        says(kind ? "first infinity in where at " : "first NaN in div at ");
        if (kind) says(AT_LINE(WHERE_LINE));
        tear_down(&a);
    }
}

Test(nonfinite, survives_any_allocation_that_fails)
{
    for (uint64_t n = 1;; n++) {
        stage a = set_up(model, NULL);
        tl_array in = good();
        GOOD(tl_train_step(a.trainer, &in, 1, NULL));
        GOOD(tl_train_step(a.trainer, &in, 1, NULL));
        x[5] = -1;
        tl_fail_allocation(n);
        const tl_status status = tl_test_step(a.trainer, &in, 1, NULL);
        tl_fail_allocation(0);
        const bool told = strstr(tl_message(), "first NaN in log");
        cr_assert(status == TL_E_NONFINITE || status == TL_E_MEMORY, "allocation %d: %s", (int)n, tl_message());
        tear_down(&a);
        if (told) break;
        cr_assert(n < 500);
    }
}
