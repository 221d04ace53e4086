/* tests/test_loss_options.c - what options of losses mean, how losses behave at the edges, and what they refuse. */
#include "layers_support.h"

/* ---- options ---------------------------------------------------------------------------------------------------- */

typedef struct bench {
    tl_model *model;
    tl_tape *tape;
    tl_scope *s;
} bench;

static bench begin(void)
{
    bench b = { .model = tl_model_new(.dtype = TL_F64) };
    b.tape = tl_tape_new(b.model);
    b.s = tl_root(b.tape);
    return b;
}

static void end(bench b)
{
    tl_tape_free(b.tape);
    tl_model_free(b.model);
    cr_assert(tl_live_bytes() == 0, "%zu bytes leak", tl_live_bytes());
}

static void is(tl_tensor x, double expected)
{
    cr_assert(!tl_absent(x) && tl_size(x) == 1);
    const double v = tl_eval(x);
    cr_assert(v == expected || fabs(v - expected) <= 1e-13 * fabs(expected), "%.17g, not %.17g: %s", v, expected,
              tl_message());
}

static double dot_grad(tl_tensor y, tl_tensor x, int k)
{
    tl_tensor d;
    tl_grad(y, &x, 1, &d);
    double v[8];
    cr_assert(tl_size(d) <= 8);
    tl_eval_values(d, v);
    return v[k];
}

/* p = 1/2, 1/4, 1/4 in each row: -ln p is ln 2 or ln 4 */
static tl_tensor quarters(const bench *b, int rows)
{
    double z[3 * 4];
    for (int i = 0; i < 3 * rows; i++) z[i] = i % 3 ? 0 : log(2);
    return tl_const(b->s, TL_DIMS(rows, 3), z);
}

Test(loss_options, classes_have_weights_and_one_may_be_ignored)
{
    const bench b = begin();
    const tl_tensor z = quarters(&b, 4), ids = tl_ids_const(b.s, TL_DIMS(4), (int32_t[]){ 0, 1, 2, 0 });
    const tl_tensor w = tl_const(b.s, TL_DIMS(3), (double[]){ 1, 3, 5 });
    is(tl_cross_entropy(z, ids), 1.5 * log(2));
    is(tl_cross_entropy(z, ids, .class_weights = w), (1 + 6 + 10 + 1) * log(2) / 4);
    is(tl_cross_entropy(z, ids, .class_weights = w, .reduction = TL_REDUCE_WEIGHTED_MEAN), 18 * log(2) / 10);
    is(tl_cross_entropy(z, ids, .ignore = 2), 4 * log(2) / 3);
    is(tl_cross_entropy(z, ids, .ignore = TL_ZERO), 2 * log(2));
    is(tl_cross_entropy(z, ids, .ignore = 1, .class_weights = w, .reduction = TL_REDUCE_WEIGHTED_MEAN),
       12 * log(2) / 7);
    const tl_tensor samples = tl_const(b.s, TL_DIMS(4), (double[]){ 2, 1, 1, 0 });
    is(tl_cross_entropy(z, ids, .class_weights = w, .weights = samples, .reduction = TL_REDUCE_WEIGHTED_MEAN),
       (2 + 6 + 10) * log(2) / (2 + 3 + 5));
    const tl_tensor odd = tl_ids_const(b.s, TL_DIMS(4), (int32_t[]){ 0, -100, 700, 0 });
    is(tl_cross_entropy(z, odd, .ignore = -100, .mask = tl_const(b.s, TL_DIMS(4), (double[]){ 1, 1, 0, 1 })), log(2));
    is(tl_cross_entropy(z, tl_one_hot(ids, 3), .class_weights = w, .reduction = TL_REDUCE_WEIGHTED_MEAN),
       18 * log(2) / 10);
    is(tl_cross_entropy(z, ids, .label_smoothing = 0.3), 1.5 * log(2) * 0.7 + 0.3 * 5 / 3 * log(2));
    is(tl_cross_entropy(z, ids, .class_weights = w, .label_smoothing = 0.3),
       18 * log(2) / 4 * 0.7 + 0.1 * (1 + 6 + 10) * log(2));
    is(tl_nll(tl_log_softmax(z), ids), 1.5 * log(2));
    is(tl_exp(tl_cross_entropy(z, ids)), pow(2, 1.5));
    end(b);
}

Test(loss_options, answers_of_one_kind_may_weigh_more)
{
    const bench b = begin();
    const tl_tensor z = tl_const(b.s, TL_DIMS(2, 2), (double[]){ 0, log(3), 0, log(3) }); /* p = 1/2, 3/4 */
    const tl_tensor t = tl_const(b.s, TL_DIMS(2, 2), (double[]){ 1, 1, 0, 0 });
    const tl_tensor w = tl_const(b.s, TL_DIMS(2), (double[]){ 5, 7 });
    is(tl_binary_cross_entropy(z, t, .pos_weight = w), (5 * log(2) + 7 * log(4. / 3) + log(2) + log(4)) / 4);
    is(tl_binary_cross_entropy(tl_sigmoid(z), t, .probabilities = true, .pos_weight = w, .reduction = TL_REDUCE_SUM),
       (5 * log(2) + 7 * log(4. / 3) + log(2) + log(4)) / 2);
    end(b);
}

/* Where the last axis has positions too. */
Test(loss_options, positions_may_lie_on_the_last_axis)
{
    const bench b = begin();
    const tl_tensor y = tl_const(b.s, TL_DIMS(2, 2), (double[]){ 1, 2, 3, NAN }), zero = tl_full_like(y, 0);
    const tl_tensor m = tl_const(b.s, TL_DIMS(2, 2), (double[]){ 1, 1, 1, 0 });
    is(tl_mse(y, zero, .mask = m), 14 / 3.);
    is(tl_mse(y, zero, .mask = m, .reduction = TL_REDUCE_SUM), 14);
    is(tl_mse(tl_masked(y, m), zero, .weights = tl_add_scalar(m, 1)), 28 / 3.);
    is(tl_mse(y, zero, .mask = tl_const(b.s, TL_DIMS(2), (double[]){ 1, 0 })), 2.5);
    is(tl_mse(tl_masked(y, m), zero, .mask = tl_ids_const(b.s, TL_DIMS(2), (int32_t[]){ 0, 9 })), 9);
    const tl_tensor vector = tl_at(y, 0);
    is(tl_mse(vector, tl_at(zero, 0), .weights = vector, .reduction = TL_REDUCE_SUM), 1 + 8);
    const tl_tensor full = tl_where(m, y, zero), column = tl_const(b.s, TL_DIMS(2, 1), (double[]){ 1, 10 });
    is(tl_mse(full, zero, .weights = m, .reduction = TL_REDUCE_SUM), 14);
    is(tl_mse(full, zero, .weights = column, .per_element = true, .reduction = TL_REDUCE_SUM), 5 + 90);
    is(tl_mse(tl_stack(2, ((tl_tensor[]){ full, full }), 2), tl_full(b.s, TL_DIMS(2, 2, 2), 0), .weights = column),
       95. / 4);
    is(tl_mse(tl_sum(vector, TL_ALL), tl_full(b.s, TL_SCALAR, 1)), 4);
    is(tl_mse(y, zero, .mask = tl_full(b.s, TL_DIMS(2), 0)), 0);
    is(tl_mae(vector, tl_at(zero, 0), .weights = tl_full(b.s, TL_DIMS(2), 0), .reduction = TL_REDUCE_WEIGHTED_MEAN), 0);
    is(tl_hinge(y, m, .mask = m), (0 + 0 + 0) / 3.); /* all are 0 or 1: those of the padding do not count */
    is(tl_hinge(tl_scale(vector, -1), tl_at(tl_scale(m, 0), 0)), 0);
    end(b);
}

/* ---- edges ------------------------------------------------------------------------------------------------------ */

Test(loss_options, neither_overflow_nor_cancel)
{
    const bench b = begin();
    const tl_tensor zero = tl_full(b.s, TL_DIMS(1), 0), one = tl_full(b.s, TL_DIMS(1), 1);
    const tl_tensor big = tl_full(b.s, TL_DIMS(1), 800), small = tl_neg(big),
                    endless = tl_full(b.s, TL_DIMS(1), INFINITY);
    is(tl_binary_cross_entropy(big, zero), 800);
    is(tl_binary_cross_entropy(big, one), 0);
    is(tl_binary_cross_entropy(small, zero), 0);
    is(tl_binary_cross_entropy(small, one), 800);
    is(tl_binary_cross_entropy(tl_full_like(one, 40), one), log1p(exp(-40)));
    is(tl_binary_cross_entropy(tl_full_like(one, -40), zero), log1p(exp(-40)));
    cr_assert_eq(dot_grad(tl_binary_cross_entropy(zero, one), zero, 0), -0.5);
    is(tl_binary_cross_entropy(zero, one, .probabilities = true), -log(1e-7));
    is(tl_binary_cross_entropy(one, zero, .probabilities = true), -log(1e-7));
    is(tl_binary_cross_entropy(one, one, .probabilities = true), -log(1 - 1e-7));
    is(tl_binary_cross_entropy(zero, one, .probabilities = true, .epsilon = TL_ZERO), 100);
    is(tl_binary_cross_entropy(one, zero, .probabilities = true, .epsilon = TL_ZERO), 100);
    is(tl_binary_cross_entropy(one, one, .probabilities = true, .epsilon = TL_ZERO), 0);
    is(tl_binary_cross_entropy(tl_full_like(one, 1e-300), one, .probabilities = true, .epsilon = TL_ZERO), 100);
    for (int k = 0; k < 4; k++) {
        const tl_tensor p = k & 1 ? zero : one;
        const tl_tensor loss = tl_binary_cross_entropy(p, k & 2 ? zero : one, .probabilities = true,
                                                       .epsilon = TL_ZERO);
        cr_assert(isfinite(dot_grad(loss, p, 0)), "%d", k);
    }
    is(tl_log_cosh(big, zero), 800 - log(2));
    is(tl_log_cosh(small, zero), 800 - log(2));
    is(tl_log_cosh(endless, zero), INFINITY);
    is(tl_huber(endless, zero, .delta = 2), INFINITY);
    is(tl_huber(big, zero, .delta = INFINITY), 320000);
    is(tl_mape(one, zero), 100 / 1e-7);
    is(tl_kl_divergence(one, zero), 1e-7 * log(1e-7));
    is(tl_gaussian_nll(one, zero, zero), (log(1e-6) + 1e6) / 2);
    is(tl_cosine_loss(tl_full(b.s, TL_DIMS(1, 2), 0), tl_full(b.s, TL_DIMS(1, 2), 1)), 0);
    const tl_tensor nowhere = tl_full(b.s, TL_DIMS(1, 2), 0), somewhere = tl_full(b.s, TL_DIMS(1, 2), 1);
    is(tl_cosine_embedding(nowhere, somewhere, one), 1);
    is(tl_triplet(nowhere, nowhere, nowhere, .epsilon = TL_ZERO), 1);
    end(b);
}

/* A class that cannot be, and is not meant to be, costs nothing; one that is meant to be costs all there is. */
Test(loss_options, impossible_classes_are_no_obstacle)
{
    const bench b = begin();
    const tl_tensor z = tl_const(b.s, TL_DIMS(1, 3), (double[]){ 0, -INFINITY, 0 });
    const tl_tensor t = tl_const(b.s, TL_DIMS(1, 3), (double[]){ 0.5, 0, 0.5 });
    const tl_tensor sharp = tl_cross_entropy(z, tl_ids_const(b.s, TL_DIMS(1), (int32_t[]){ 0 }));
    is(sharp, log(2));
    is(tl_cross_entropy(z, t), log(2));
    is(tl_kl_divergence(tl_log_softmax(z), t, .log_input = true), 0);
    is(tl_cross_entropy(z, tl_ids_const(b.s, TL_DIMS(1), (int32_t[]){ 1 })), INFINITY);
    for (int k = 0; k < 3; k++) {
        cr_assert_eq(dot_grad(sharp, z, k), (k - 1) * 0.5);
        cr_assert_eq(dot_grad(tl_cross_entropy(z, t), z, k), 0);
    }
    const tl_tensor p = tl_const(b.s, TL_DIMS(1, 3), (double[]){ 2, 0, 2 });
    is(tl_cross_entropy(p, tl_ids_const(b.s, TL_DIMS(1), (int32_t[]){ 1 }), .probabilities = true), -log(1e-7));
    is(tl_cross_entropy(p, tl_ids_const(b.s, TL_DIMS(1), (int32_t[]){ 0 }), .probabilities = true), log(2));
    end(b);
}

/* ---- errors ----------------------------------------------------------------------------------------------------- */

#define REFUSED(status, word, ...) FAILS(status, word, cr_assert(is_error(__VA_ARGS__)))
#define FULL(...) tl_full(r.s, TL_DIMS(__VA_ARGS__), 1)

Test(loss_options, refuse_operands_that_do_not_fit)
{
    REFUSED(TL_E_SHAPE, "mse: y [3,2,4] and target [3,2] differ", tl_mse(r.x, FULL(3, 2)));
    REFUSED(TL_E_SHAPE, "mse: y [3,2,4] and target [3,2,1]", tl_mse(r.x, FULL(3, 2, 1)));
    REFUSED(TL_E_SHAPE, "gaussian_nll: y [3,2,4] and variance [4]", tl_gaussian_nll(r.x, r.x, FULL(4)));
    REFUSED(TL_E_SHAPE, "cross_entropy: ids [3,2] do not name one class for each of logits [2,4]",
            tl_cross_entropy(tl_at(r.x, 0), r.ids));
    REFUSED(TL_E_DTYPE, "cross_entropy: ids [3,2], which are not i32,", tl_cross_entropy(r.x, FULL(3, 2)));
    REFUSED(TL_E_SHAPE, "cross_entropy: logits [3,2,4] and target [3,2,5]", tl_cross_entropy(r.x, FULL(3, 2, 5)));
    REFUSED(TL_E_SHAPE, "nll: log_probs has rank 0", tl_nll(tl_sum(r.x, TL_ALL), r.ids));
    REFUSED(TL_E_SHAPE, "target [3] has not one number for each row of a [3,2,4]",
            tl_cosine_embedding(r.x, r.x, FULL(3)));
    REFUSED(TL_E_DTYPE, "", tl_mse(r.ids, r.ids));
    REFUSED(TL_E_ABSENT, "mse: y is absent", tl_mse(TL_NONE, r.x));
    REFUSED(TL_E_ABSENT, "triplet: negative is absent", tl_triplet(r.x, r.x, TL_NONE));
    REFUSED(TL_E_ABSENT, "", tl_add(r.x, tl_cross_entropy(TL_NONE, TL_NONE)));
    REFUSED(TL_E_ABSENT, "all operands were absent", tl_mse(tl_relu(TL_NONE), r.x));
    REFUSED(TL_E_ABSENT, "all operands were absent", tl_mse(r.x, tl_relu(TL_NONE)));
    REFUSED(TL_E_ARGUMENT, "0 is none of tl_loss", tl_loss_opt(TL_HERE, 0, (tl_tensor[]){ r.x, r.x }, NULL));
    REFUSED(TL_E_ARGUMENT, "99 is none of tl_loss", tl_loss_opt(TL_HERE, 99, (tl_tensor[]){ r.x, r.x }, NULL));
    REFUSED(TL_E_ARGUMENT, ".size", tl_loss_opt(TL_HERE, TL_LOSS_MSE, (tl_tensor[]){ r.x, r.x }, &(tl_loss_opts){ 0 }));
}

Test(loss_options, refuse_options_that_do_not_fit)
{
    REFUSED(TL_E_SHAPE, ".weights [4] cannot be broadcast to the positions of y [3,2,4]",
            tl_mse(r.x, r.x, .weights = FULL(4)));
    REFUSED(TL_E_SHAPE, ".weights [3] cannot", tl_cross_entropy(r.x, r.ids, .weights = FULL(3)));
    REFUSED(TL_E_SHAPE, ".weights [3,2,4] cannot", tl_cross_entropy(r.x, r.ids, .weights = r.x));
    REFUSED(TL_E_SHAPE, ".weights [2] cannot", tl_mse(r.x, r.x, .weights = FULL(2), .per_element = true));
    REFUSED(TL_E_SHAPE, ".mask [2] does not have the leading axes of y [3,2,4]", tl_mse(r.x, r.x, .mask = FULL(2)));
    REFUSED(TL_E_SHAPE, ".mask [3,2,4] does not", tl_cosine_loss(r.x, r.x, .mask = r.x));
    REFUSED(TL_E_SHAPE, ".mask [3,2] does not have the leading axes of y [3,2]",
            tl_cosine_loss(tl_masked(FULL(3, 2), FULL(3, 2)), FULL(3, 2)));
    REFUSED(TL_E_SHAPE, ".class_weights [3] has not one number for each class of logits [3,2,4]",
            tl_cross_entropy(r.x, r.ids, .class_weights = FULL(3)));
    REFUSED(TL_E_SHAPE, ".pos_weight [3] cannot", tl_binary_cross_entropy(r.x, r.x, .pos_weight = FULL(3)));
    REFUSED(TL_E_ABSENT, "all operands were absent", tl_mse(r.x, r.x, .weights = tl_relu(TL_NONE)));
    REFUSED(TL_E_ABSENT, "all operands were absent", tl_mse(r.x, r.x, .mask = tl_relu(TL_NONE)));
    REFUSED(TL_E_ARGUMENT, "mse: .margin is no option of this loss", tl_mse(r.x, r.x, .margin = 1));
    REFUSED(TL_E_ARGUMENT, "mse: .ignore is no option", tl_mse(r.x, r.x, .ignore = TL_ZERO));
    REFUSED(TL_E_ARGUMENT, "hinge: .probabilities is no option", tl_hinge(r.x, r.x, .probabilities = true));
    REFUSED(TL_E_ARGUMENT, ".reduction = 5 is not", tl_mse(r.x, r.x, .reduction = 5));
    REFUSED(TL_E_ARGUMENT, ".delta = -1", tl_huber(r.x, r.x, .delta = -1));
    REFUSED(TL_E_ARGUMENT, ".delta = 0", tl_huber(r.x, r.x, .delta = TL_ZERO));
    REFUSED(TL_E_ARGUMENT, ".delta = nan", tl_huber(r.x, r.x, .delta = NAN));
    REFUSED(TL_E_ARGUMENT, ".beta = -1", tl_smooth_l1(r.x, r.x, .beta = -1));
    REFUSED(TL_E_ARGUMENT, ".epsilon = -1", tl_poisson(r.x, r.x, .epsilon = -1));
    REFUSED(TL_E_ARGUMENT, ".epsilon = 0.7", tl_binary_cross_entropy(r.x, r.x, .probabilities = true, .epsilon = 0.7));
    REFUSED(TL_E_ARGUMENT, ".margin = inf", tl_triplet(r.x, r.x, r.x, .margin = INFINITY));
    REFUSED(TL_E_ARGUMENT, ".label_smoothing = 1.5", tl_cross_entropy(r.x, r.ids, .label_smoothing = 1.5));
    REFUSED(TL_E_ARGUMENT, ".label_smoothing = nan", tl_cross_entropy(r.x, r.ids, .label_smoothing = NAN));
    REFUSED(TL_E_ARGUMENT, ".ignore = 4.29497e+09", tl_cross_entropy(r.x, r.ids, .ignore = INT64_C(1) << 32));
}

/* An id of no class is found when the plan runs, and blamed on the caller. */
Test(loss_options, name_the_line_of_a_wrong_id)
{
    tl_model *model = tl_model_new();
    tl_tape *tape = tl_tape_new(model);
    const tl_array in[] = { F32(1, 2, 3), ids_of(TL_DIMS(2), (int32_t[]){ 0, -1 }) };
    const tl_tensor x = tl_input(tl_root(tape), "x", in[0]), ids = tl_input(tl_root(tape), "ids", in[1]);
    tl_scope *inner = tl_in(tl_root(tape), "head");
    const int line = __LINE__ + 1;
    tl_output(inner, "loss", tl_cross_entropy(tl_relu(x), ids));
    tl_plan *plan = tl_compile(tape);
    tl_session *session = tl_session_new(model);
    cr_assert_eq(tl_run(session, plan, in, 2), TL_E_INDEX);
    cr_has(tl_message(), AT_LINE(line));
    cr_has(tl_message(), "head");
    tl_session_free(session);
    tl_plan_free(plan);
    tl_tape_free(tape);
    tl_model_free(model);
}

Test(loss_options, every_allocation_may_fail)
{
    uint64_t k = 1;
    for (bool done = false; !done; k++) {
        tl_model *model = tl_model_new();
        tl_fail_allocation(k);
        tl_tape *tape = tl_tape_new(model);
        if (tape) {
            tl_scope *s = tl_root(tape);
            const tl_tensor x = tl_full(s, TL_DIMS(3, 2, 4), 0.5), w = tl_full(s, TL_DIMS(2), 1);
            const tl_tensor ids = tl_ids_const(s, TL_DIMS(3, 2), (int32_t[6]){ 0 });
            tl_output(s, "a", tl_cross_entropy(x, ids, .weights = w, .ignore = 1, .label_smoothing = 0.1));
            tl_output(s, "b", tl_hinge(x, x, .mask = tl_full(s, TL_DIMS(3, 2), 1)));
            tl_plan *plan = tl_compile(tape);
            done = plan;
            cr_assert(plan || tl_tape_status(tape) == TL_E_MEMORY, "allocation %d: %s", (int)k, tl_tape_message(tape));
            tl_plan_free(plan);
        }
        tl_fail_allocation(0);
        tl_tape_free(tape);
        tl_model_free(model);
        cr_assert(tl_live_bytes() == 0, "allocation %d: %zu bytes leak", (int)k, tl_live_bytes());
    }
    cr_assert(k > 3, "%d allocations", (int)k);
}
