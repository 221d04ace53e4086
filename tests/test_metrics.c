/* tests/test_metrics.c - metrics: values by hand, shapes, weights, NaN, what is refused, memory that fails. */
#include "support.h"

#include "train/train.h"

#define GOOD(call) cr_assert_eq((call), TL_OK, "%s", tl_message())
#define BAD(call, status, says)                                                                                        \
    do {                                                                                                               \
        const tl_status got_ = (call);                                                                                 \
        cr_assert(got_ == (status), "%s is %s (%s)", #call, tl_status_name(got_), tl_message());                       \
        cr_has(tl_message(), says);                                                                                    \
    } while (0)

/* Sums of a few numbers in double: a relative error of 1e-12 is thousands of roundings. */
static void near(double got, double want, int line)
{
    cr_assert(fabs(got - want) <= 1e-12 * fmax(1, fabs(want)), "line %d: %.17g, not %.17g", line, got, want);
}
#define NEAR(got, want) near((got), (want), __LINE__)

static tl_metric *made(tl_metric_desc d)
{
    tl_metric *m = tl_metric_new(d);
    cr_assert(m, "%s", tl_message());
    return m;
}

/* The result of one batch. */
static double one(tl_metric_desc d, tl_array target, tl_array prediction, const tl_array *weights)
{
    tl_metric *m = made(d);
    GOOD(tl_metric_update(m, &target, &prediction, weights));
    const double result = tl_metric_result(m);
    tl_metric_free(m);
    cr_assert(tl_live_bytes() == 0);
    return result;
}

static double scores[4][3] = { { 0.1, 0.7, 0.2 }, { 0.5, 0.3, 0.2 }, { 0.2, 0.2, 0.6 }, { 0.3, 0.4, 0.3 } };
static int32_t ids[4] = { 1, 2, 2, 0 }; /* the first and third are right */
#define SCORES DOUBLES(scores, 4, 3)

/* ---- accuracies ------------------------------------------------------------------------------------------------- */

Test(accuracy, chooses_by_shapes)
{
    double hot[4][3] = { { 0, 1, 0 }, { 0, 0, 1 }, { 0, 0, 1 }, { 1, 0, 0 } };
    double half[4] = { 0.5, 0.51, 0.1, 0.9 },
           bits[4] = { 0, 1, 1, 1 }; /* 0.5 is not above 0.5: all right but the third */
    float f[4] = { 0.5f, 0.51f, 0.1f, 0.9f };
    NEAR(one(tl_accuracy(), IDS(ids, 4), SCORES, NULL), 0.5);
    NEAR(one(tl_accuracy(), IDS(ids, 4, 1), SCORES, NULL), 0.5);
    NEAR(one(tl_accuracy(), DOUBLES(hot, 4, 3), SCORES, NULL), 0.5);
    NEAR(one(tl_accuracy(), DOUBLES(bits, 4), DOUBLES(half, 4, 1), NULL), 0.75);
    NEAR(one(tl_accuracy(), DOUBLES(bits, 4, 1), FLOATS(f, 4), NULL), 0.75);
    NEAR(one(tl_accuracy(.threshold = 0.05), DOUBLES(bits, 4), DOUBLES(half, 4), NULL), 0.75);
    NEAR(one(tl_accuracy(.threshold = TL_ZERO, .from_logits = true), DOUBLES(bits, 4), DOUBLES(half, 4), NULL), 0.75);
    NEAR(one(tl_binary_accuracy(), DOUBLES(hot, 4, 3), SCORES, NULL), (3 + 2 + 3 + 2) / 12.0);
    NEAR(one(tl_categorical_accuracy(), DOUBLES(hot, 4, 3), SCORES, NULL), 0.5);
    NEAR(one(tl_sparse_categorical_accuracy(), IDS(ids, 2, 2), DOUBLES(scores, 2, 2, 3), NULL), 0.5);
}

Test(accuracy, takes_the_first_of_equals_and_logits_as_they_are)
{
    double ties[2][3] = { { 2, 5, 5 }, { -1, -1, -1 } }, logit[2] = { 0.2, -0.2 };
    int32_t first[2] = { 1, 0 }, later[2] = { 2, 1 };
    int32_t up[2] = { 1, 0 };
    NEAR(one(tl_accuracy(), IDS(first, 2), DOUBLES(ties, 2, 3), NULL), 1);
    NEAR(one(tl_accuracy(), IDS(later, 2), DOUBLES(ties, 2, 3), NULL), 0);
    NEAR(one(tl_accuracy(.from_logits = true), IDS(up, 2), DOUBLES(logit, 2), NULL), 1);
    NEAR(one(tl_accuracy(), IDS(up, 2), DOUBLES(logit, 2), NULL), 0.5);
}

Test(accuracy, of_the_k_largest_counts_what_is_larger)
{
    NEAR(one(tl_top_k_accuracy(.k = 1), IDS(ids, 4), SCORES, NULL), 0.5);
    NEAR(one(tl_top_k_accuracy(.k = 2), IDS(ids, 4), SCORES, NULL), 0.75); /* the last one's class ties for second */
    NEAR(one(tl_top_k_accuracy(), IDS(ids, 4), SCORES, NULL), 1);
}

Test(accuracy, goes_on_over_batches_until_it_is_reset)
{
    tl_metric *m = made(tl_accuracy());
    const tl_array two = IDS(ids, 2), first = DOUBLES(scores, 2, 3), four = IDS(ids, 4), all = SCORES;
    NEAR(tl_metric_result(m), 0);
    GOOD(tl_metric_update(m, &two, &first, NULL));
    NEAR(tl_metric_result(m), 0.5);
    ids[1] = 0;
    GOOD(tl_metric_update(m, &four, &all, NULL));
    NEAR(tl_metric_result(m), 4.0 / 6);
    tl_metric_reset(m);
    NEAR(tl_metric_result(m), 0);
    GOOD(tl_metric_update(m, &four, &all, NULL));
    NEAR(tl_metric_result(m), 0.75);
    tl_metric_free(m);
}

/* ---- weights ---------------------------------------------------------------------------------------------------- */

Test(weights, broadcast_to_rows)
{
    double w[4] = { 1, 2, 3, 4 }, two[2] = { 1, 3 }, scalar = 2.5;
    tl_array weights = DOUBLES(w, 4);
    NEAR(one(tl_accuracy(), IDS(ids, 4), SCORES, &weights), 0.4);
    weights = DOUBLES(w, 4, 1);
    NEAR(one(tl_accuracy(), IDS(ids, 4), SCORES, &weights), 0.4);
    weights = DOUBLES(w, 2, 2); /* [T, B] of [T, B, C] */
    NEAR(one(tl_accuracy(), IDS(ids, 2, 2), DOUBLES(scores, 2, 2, 3), &weights), 0.4);
    weights = DOUBLES(two, 2); /* [B]: rows 0 and 2 are sample 0 */
    NEAR(one(tl_accuracy(), IDS(ids, 2, 2), DOUBLES(scores, 2, 2, 3), &weights), 0.25);
    weights = DOUBLES(two, 2, 1); /* [T, 1]: rows 0 and 1 are step 0 */
    int32_t three_right[4] = { 1, 0, 2, 0 };
    NEAR(one(tl_accuracy(), IDS(three_right, 2, 2), DOUBLES(scores, 2, 2, 3), &weights), 5 / 8.0);
    weights = tl_array_of(TL_F64, TL_SCALAR, &scalar);
    NEAR(one(tl_accuracy(), IDS(ids, 4), SCORES, &weights), 0.5);
    weights = TL_ABSENT_ARRAY;
    NEAR(one(tl_accuracy(), IDS(ids, 4), SCORES, &weights), 0.5);
}

Test(weights, of_elements_go_where_elements_count)
{
    double t[2][2] = { { 1, 2 }, { 3, 4 } }, p[2][2] = { { 2, 4 }, { 6, 8 } }, w[2][2] = { { 1, 0 }, { 0, 3 } };
    const tl_array weights = DOUBLES(w, 2, 2);
    NEAR(one(tl_mse_metric(), DOUBLES(t, 2, 2), DOUBLES(p, 2, 2), &weights), (1 + 3 * 16) / 4.0);
    NEAR(one(tl_mae_metric(), DOUBLES(t, 2, 2), DOUBLES(p, 2, 2), NULL), 10 / 4.0);
    tl_metric *m = made(tl_cosine_metric());
    const tl_array target = DOUBLES(t, 2, 2), prediction = DOUBLES(p, 2, 2), sparse = IDS(ids, 2);
    BAD(tl_metric_update(m, &target, &prediction, &weights), TL_E_SHAPE, "each row");
    tl_metric_free(m);
    m = made(tl_precision());
    GOOD(tl_metric_update(m, &target, &prediction, &weights));
    tl_metric_reset(m);
    ids[1] = 0;
    BAD(tl_metric_update(m, &sparse, &prediction, &weights), TL_E_SHAPE, "each row");
    tl_metric_free(m);
}

/* Padding may hold anything: NaN, ids that are none. */
Test(weights, that_are_zero_hide_what_is_there)
{
    double p[3][2][2] = { { { 1, 0 }, { 1, 0 } }, { { 0, 1 }, { NAN, INFINITY } }, { { NAN, 0 }, { 7, NAN } } };
    int32_t t[3][2] = { { 0, 1 }, { 1, -5 }, { 99, -1 } }, lengths[2] = { 2, 1 }, mask[3][2] = { { 1, 1 }, { 1, 0 } };
    tl_array w = IDS(lengths, 2);
    NEAR(one(tl_accuracy(), IDS(t, 3, 2), DOUBLES(p, 3, 2, 2), &w), 2.0 / 3);
    NEAR(one(tl_cross_entropy_metric(), IDS(t, 3, 2), DOUBLES(p, 3, 2, 2), &w), (-2 * log(1 - 1e-7) - log(1e-7)) / 3);
    w = IDS(mask, 3, 2);
    NEAR(one(tl_accuracy(), IDS(t, 3, 2), DOUBLES(p, 3, 2, 2), &w), 2.0 / 3);
    NEAR(one(tl_top_k_accuracy(.k = 1, .ignore = 99), IDS(t, 3, 2), DOUBLES(p, 3, 2, 2), &w), 2.0 / 3);
}

Test(weights, that_are_lengths_allow_for_other_paddings)
{
    double p[2][2][2] = { { { 1, 0 }, { 1, 0 } }, { { 0, 1 }, { 0, 0 } } };
    int32_t t[3][2] = { { 0, 1 }, { 1, -5 }, { 99, -1 } }, lengths[2] = { 2, 1 };
    tl_array w = IDS(lengths, 2), target = IDS(t, 3, 2), prediction = DOUBLES(p, 2, 2, 2);
    NEAR(one(tl_accuracy(), target, prediction, &w), 2.0 / 3);
    tl_metric *m = made(tl_accuracy());
    lengths[1] = 3; /* of which the third is not predicted */
    BAD(tl_metric_update(m, &target, &prediction, &w), TL_E_INDEX, "row 1 has length 3 of 2");
    lengths[1] = -1;
    BAD(tl_metric_update(m, &target, &prediction, &w), TL_E_INDEX, "length -1");
    tl_metric_free(m);
}

Test(ignore, leaves_out_rows_of_a_class)
{
    int32_t t[4] = { 1, -100, 2, 0 };
    NEAR(one(tl_accuracy(.ignore = -100), IDS(t, 4), SCORES, NULL), 2.0 / 3);
    t[1] = 1;
    NEAR(one(tl_accuracy(.ignore = TL_ZERO), IDS(t, 4), SCORES, NULL), 2.0 / 3);
    NEAR(one(tl_accuracy(), IDS(t, 4), SCORES, NULL), 0.5);
}

/* ---- counts ----------------------------------------------------------------------------------------------------- */

Test(counts, of_one_column)
{
    double p[6] = { 0.9, 0.8, 0.4, 0.6, 0.2, 0.5 }, t[6] = { 1, 0, 1, 1, 0, 1 }; /* tp 2, fp 1, fn 2 */
    NEAR(one(tl_precision(), DOUBLES(t, 6), DOUBLES(p, 6), NULL), 2 / 3.0);
    NEAR(one(tl_recall(), DOUBLES(t, 6), DOUBLES(p, 6), NULL), 0.5);
    NEAR(one(tl_recall(.threshold = TL_ZERO), DOUBLES(t, 6), DOUBLES(p, 6), NULL), 1);
    /* Keras' formula with its 1e-7 in each divisor, in other words than the library's */
    const double P = 2 / (3 + 1e-7), R = 2 / (4 + 1e-7);
    NEAR(one(tl_f1(), DOUBLES(t, 6), DOUBLES(p, 6), NULL), 2 * P * R / (P + R + 1e-7));
    NEAR(one(tl_f1(.beta = 3), DOUBLES(t, 6), DOUBLES(p, 6), NULL), 10 * P * R / (9 * P + R + 1e-7));
    const double levels[] = { 0.1, 0.5, 0.85 };
    double each[4] = { 0, 0, 0, -1 };
    tl_metric *m = made(tl_precision(.thresholds = levels, .n_thresholds = 3));
    const tl_array target = DOUBLES(t, 6), prediction = DOUBLES(p, 6);
    cr_assert_eq(tl_metric_results(m, each, 4), 0);
    GOOD(tl_metric_update(m, &target, &prediction, NULL));
    cr_assert_eq(tl_metric_results(m, each, 4), 3);
    NEAR(each[0], 4 / 6.0);
    NEAR(each[1], 2 / 3.0);
    NEAR(each[2], 1);
    NEAR(each[3], -1);
    NEAR(tl_metric_result(m), each[0]);
    tl_metric_free(m);
}

Test(counts, of_classes)
{
    /* Taken: 1, 0, 2, 1; true: 1, 2, 2, 0. Of class 0: fp 1, fn 1; of 1: tp 1, fp 1; of 2: tp 1, fn 1. */
    double each[3];
    NEAR(one(tl_precision(.k = 1), IDS(ids, 4), SCORES, NULL), 0.5);
    NEAR(one(tl_precision(.k = 1, .average = TL_MACRO), IDS(ids, 4), SCORES, NULL), (0 + 0.5 + 1) / 3);
    NEAR(one(tl_recall(.k = 1, .average = TL_WEIGHTED), IDS(ids, 4), SCORES, NULL), (1 * 0 + 1 * 1 + 2 * 0.5) / 4);
    NEAR(one(tl_recall(.k = 1, .class_id = 2), IDS(ids, 4), SCORES, NULL), 0.5);
    NEAR(one(tl_recall(.k = 1, .class_id = TL_ZERO), IDS(ids, 4), SCORES, NULL), 0);
    NEAR(one(tl_precision(.k = 3), IDS(ids, 4), SCORES, NULL), 1 / 3.0);
    NEAR(one(tl_precision(.threshold = 0.65), IDS(ids, 4), SCORES, NULL), 1);
    tl_metric *m = made(tl_f1());
    const tl_array target = IDS(ids, 4), prediction = SCORES;
    GOOD(tl_metric_update(m, &target, &prediction, NULL));
    cr_assert_eq(tl_metric_results(m, each, 3), 3);
    const double half = 1 / (2 + 1e-7), whole = 1 / (1 + 1e-7), f = 2 * half * whole / (half + whole + 1e-7);
    NEAR(each[0], 0);
    NEAR(each[1], f);
    NEAR(each[2], f);
    NEAR(tl_metric_result(m), 2 * f / 3);
    tl_metric_free(m);
}

/* Areas under the few points that four predictions make, by hand. */
Test(auc, of_four_predictions)
{
    double p[4] = { 0.1, 0.4, 0.35, 0.8 }, t[4] = { 0, 0, 1, 1 }, w[4] = { 1, 2, 3, 4 };
    /* ROC: (0,0) (0,.5) (.5,.5) (.5,1) (1,1) */
    NEAR(one(tl_auc(), DOUBLES(t, 4), DOUBLES(p, 4), NULL), 0.75);
    const tl_array weights = DOUBLES(w, 4); /* (0,0) (0,4/7) (2/3,4/7) (2/3,1) (1,1) */
    NEAR(one(tl_auc(), DOUBLES(t, 4), DOUBLES(p, 4), &weights), 2 / 3.0 * 4 / 7 + 1 / 3.0);
    /* Thresholds below 0, 0.5 and above 1: (1,1) (0,.5) (0,0) */
    const double level[] = { 0.5 };
    NEAR(one(tl_auc(.thresholds = level, .n_thresholds = 1), DOUBLES(t, 4), DOUBLES(p, 4), NULL), 0.75);
    p[3] = 0.5; /* is not above: (1,1) (0,0) */
    NEAR(one(tl_auc(.thresholds = level, .n_thresholds = 1), DOUBLES(t, 4), DOUBLES(p, 4), NULL), 0.5);
    p[3] = 0.8;
    NEAR(one(tl_auc(.n_thresholds = 3, .summation = TL_MINORING), DOUBLES(t, 4), DOUBLES(p, 4), NULL), 0.5);
    NEAR(one(tl_auc(.n_thresholds = 3, .summation = TL_MAJORING), DOUBLES(t, 4), DOUBLES(p, 4), NULL), 1);
    NEAR(one(tl_auc(.n_thresholds = 2), DOUBLES(t, 4), DOUBLES(p, 4), NULL), 0.5);
    /* Precision is 1 with one taken, 1/2 with two, 2/3 with three, 1/2 with four; recall 1/2, 1/2, 1, 1. */
    NEAR(one(tl_auc(.curve = TL_PR, .summation = TL_MAJORING), DOUBLES(t, 4), DOUBLES(p, 4), NULL),
         0.5 * 1 + 0.5 * 2 / 3.0);
    NEAR(one(tl_auc(.curve = TL_PR, .summation = TL_MINORING), DOUBLES(t, 4), DOUBLES(p, 4), NULL), 0 + 0.5 * 0.5);
    /* Between two and three taken, x of tp among 1 + x taken of the new one: the integral of (1 + x) / (2 + x) is 1 - ln 3/2;
     * between none and one precision stays 1. */
    NEAR(one(tl_auc(.curve = TL_PR), DOUBLES(t, 4), DOUBLES(p, 4), NULL), 0.5 + 0.5 * (1 - log(1.5)));
}

Test(auc, takes_logits_and_classes)
{
    double p[3][2] = { { -2, 3 }, { 0.5, 0.2 }, { 1, -1 } }, each[2];
    int32_t t[3][2] = { { 0, 1 }, { 1, 0 }, { 1, 1 } };
    const tl_array target = IDS(t, 3, 2), prediction = DOUBLES(p, 3, 2);
    NEAR(one(tl_auc(.from_logits = true, .average = TL_MACRO), target, prediction, NULL), 0.75);
    NEAR(one(tl_auc(.from_logits = true, .class_id = 1), target, prediction, NULL), 0.5);
    tl_metric *m = made(tl_auc(.from_logits = true, .average = TL_MACRO));
    GOOD(tl_metric_update(m, &target, &prediction, NULL));
    cr_assert_eq(tl_metric_results(m, each, 2), 2);
    NEAR(each[0], 1);
    NEAR(each[1], 0.5);
    tl_metric_free(m);
    m = made(tl_auc());
    BAD(tl_metric_update(m, &target, &prediction, NULL), TL_E_ARGUMENT, "from_logits");
    tl_metric_free(m);
}

static void printed(const tl_metric *m, const char *const *names, char *text, size_t size)
{
    FILE *f = fmemopen(text, size, "w");
    GOOD(tl_confusion_print(m, names, f));
    fclose(f);
}

Test(confusion, counts_and_prints)
{
    double cell[9];
    char text[2000];
    tl_metric *m = made(tl_confusion());
    const tl_array target = IDS(ids, 4), prediction = SCORES;
    BAD(tl_confusion_print(m, NULL, stdout), TL_E_ARGUMENT, "seen");
    GOOD(tl_metric_update(m, &target, &prediction, NULL));
    cr_assert_eq(tl_metric_results(m, cell, 9), 9);
    const double want[9] = { 0, 1, 0, 0, 1, 0, 1, 0, 1 };
    for (int i = 0; i < 9; i++) NEAR(cell[i], want[i]);
    NEAR(tl_metric_result(m), 0.5);
    printed(m,
            (const char *const[]){ "cat",
                                   "gr\xC3\xBC\xC3\x9F"
                                   "e",
                                   "a very long name" },
            text, sizeof text);
    cr_assert_str_eq(text, "true\\taken       cat     gr\xC3\xBC\xC3\x9F"
                           "e a very lo    recall\n"
                           "       cat         0         1         0    0.0000\n"
                           "     gr\xC3\xBC\xC3\x9F"
                           "e         0         1         0    1.0000\n"
                           " a very lo         1         0         1    0.5000\n"
                           " precision    0.0000    0.5000    1.0000    0.5000\n");
    tl_metric_free(m);
    m = made(tl_confusion(.from_logits = true));
    double logit[3] = { 2, -1, 3 }, truth[3] = { 1, 0, 0 };
    const tl_array bits = DOUBLES(truth, 3), logits = DOUBLES(logit, 3);
    GOOD(tl_metric_update(m, &bits, &logits, NULL));
    cr_assert_eq(tl_metric_results(m, cell, 4), 4);
    const double two[4] = { 1, 1, 0, 1 };
    for (int i = 0; i < 4; i++) NEAR(cell[i], two[i]);
    tl_metric_free(m);
}

/* ---- means ------------------------------------------------------------------------------------------------------ */

Test(mean, of_losses_by_the_size_of_their_batches)
{
    tl_metric *m = made(tl_mean_metric());
    double loss = 2, size = 32;
    const tl_array l = tl_array_of(TL_F64, TL_SCALAR, &loss), n = tl_array_of(TL_F64, TL_SCALAR, &size);
    GOOD(tl_metric_update(m, NULL, &l, &n));
    loss = 8, size = 16;
    GOOD(tl_metric_update(m, NULL, &l, &n));
    NEAR(tl_metric_result(m), 4);
    tl_metric_free(m);
}

Test(errors, of_columns)
{
    double t[3][2] = { { 1, 10 }, { 2, 20 }, { 3, 60 } }, p[3][2] = { { 1, 20 }, { 3, 20 }, { 3, 40 } };
    NEAR(one(tl_mse_metric(), DOUBLES(t, 3, 2), DOUBLES(p, 3, 2), NULL), 501 / 6.0);
    NEAR(one(tl_rmse_metric(), DOUBLES(t, 3, 2), DOUBLES(p, 3, 2), NULL), sqrt(501 / 6.0));
    NEAR(one(tl_mae_metric(), DOUBLES(t, 3, 2), DOUBLES(p, 3, 2), NULL), 31 / 6.0);
    const double a = 1 - 1 / 2.0, b = 1 - 500 / 1400.0; /* variations 2 and 1400 */
    NEAR(one(tl_r2_metric(), DOUBLES(t, 3, 2), DOUBLES(p, 3, 2), NULL), (a + b) / 2);
    NEAR(one(tl_r2_metric(.average = TL_WEIGHTED), DOUBLES(t, 3, 2), DOUBLES(p, 3, 2), NULL), 1 - 501 / 1402.0);
    NEAR(one(tl_r2_metric(.regressors = 2), DOUBLES(t, 3, 2), DOUBLES(p, 3, 2), NULL), 1 - (1 - (a + b) / 2) * 5 / 3);
    NEAR(one(tl_r2_metric(.regressors = 5), DOUBLES(t, 3, 2), DOUBLES(p, 3, 2), NULL), (a + b) / 2);
    NEAR(one(tl_cosine_metric(), DOUBLES(t, 3, 2), DOUBLES(p, 3, 2), NULL),
         (201 / sqrt(101 * 401) + 406 / sqrt(404 * 409) + 2409 / sqrt(3609 * 1609)) / 3);
    for (int i = 0; i < 3; i++) t[i][0] += 1e9, p[i][0] += 1e9; /* squares of 1e9 would leave nothing of 2 */
    NEAR(one(tl_r2_metric(), DOUBLES(t, 3, 2), DOUBLES(p, 3, 2), NULL), (a + b) / 2);
    for (int i = 0; i < 3; i++) t[i][0] = p[i][0] = 7; /* 0 / 0 */
    NEAR(one(tl_r2_metric(), DOUBLES(t, 3, 2), DOUBLES(p, 3, 2), NULL), (1 + b) / 2);
}

Test(entropies, of_probabilities_and_logits)
{
    double logit[2][3] = { { 1000, 0, -1000 }, { log(1), log(2), log(5) } }, p[2][3] = { { 1, 0, 0 }, { 2, 4, 10 } };
    int32_t t[2] = { 1, 2 };
    double soft[2][3] = { { 0, 1, 0 }, { 0.5, 0, 0.5 } };
    const double far = -log(1e-7);
    NEAR(one(tl_cross_entropy_metric(), IDS(t, 2), DOUBLES(p, 2, 3), NULL), (far + log(1.6)) / 2);
    NEAR(one(tl_cross_entropy_metric(.from_logits = true), IDS(t, 2), DOUBLES(logit, 2, 3), NULL),
         (1000 + log(1.6)) / 2);
    NEAR(one(tl_cross_entropy_metric(), DOUBLES(soft, 2, 3), DOUBLES(p, 2, 3), NULL),
         (far + 0.5 * log(8) + 0.5 * log(1.6)) / 2);
    NEAR(one(tl_cross_entropy_metric(.smoothing = 0.3, .from_logits = true), IDS(&t[1], 1), DOUBLES(logit[1], 1, 3),
             NULL),
         0.1 * log(8) + 0.1 * log(4) + 0.8 * log(1.6));
    NEAR(one(tl_perplexity(.from_logits = true), IDS(&t[1], 1), DOUBLES(logit[1], 1, 3), NULL), 1.6);
    NEAR(one(tl_bits_per_character(), IDS(&t[1], 1), DOUBLES(p[1], 1, 3), NULL), log2(1.6));
    NEAR(one(tl_kl_metric(), DOUBLES(soft[1], 1, 3), DOUBLES(((double[]){ 0.25, 0.5, 0.25 }), 1, 3), NULL),
         log(2) + 1e-7 * log(2e-7));
    NEAR(one(tl_kl_metric(.from_logits = true), DOUBLES(soft[1], 1, 3), DOUBLES(logit[1], 1, 3), NULL),
         0.5 * log(4) + 0.5 * log(0.8) + 1e-7 * log(4e-7));
    NEAR(one(tl_poisson_metric(), DOUBLES(((double[]){ 2, 0 }), 2), DOUBLES(((double[]){ 3, 4 }), 2), NULL),
         (3 - 2 * log(3 + 1e-7) + 4) / 2);
    NEAR(one(tl_poisson_metric(.from_logits = true), DOUBLES(((double[]){ 2 }), 1), DOUBLES(((double[]){ log(3) }), 1),
             NULL),
         3 - 2 * log(3 + 1e-7));
    tl_metric *m = made(tl_perplexity()); /* of nothing: certain */
    NEAR(tl_metric_result(m), 1);
    tl_metric_free(m);
}

Test(entropies, of_two_classes)
{
    double logit[2] = { 800, -2 }, p[2] = { 1, 0.25 }, t[2] = { 0, 1 };
    const double near_one = 1 - 1e-7;
    NEAR(one(tl_binary_cross_entropy_metric(), DOUBLES(t, 2), DOUBLES(p, 2), NULL), (-log(1 - near_one) + log(4)) / 2);
    NEAR(one(tl_binary_cross_entropy_metric(.from_logits = true), DOUBLES(t, 2), DOUBLES(logit, 2), NULL),
         (800 + log(1 + exp(2))) / 2);
    NEAR(one(tl_binary_cross_entropy_metric(.smoothing = 0.2), DOUBLES(&t[1], 1), DOUBLES(&p[1], 1), NULL),
         0.9 * log(4) - 0.1 * log(0.75));
}

/* ---- NaN -------------------------------------------------------------------------------------------------------- */

Test(nan, stays_until_the_reset_in_every_kind)
{
    double p[2][2] = { { 0.3, 0.6 }, { 0.2, 0.4 } }, t[2][2] = { { 0, 1 }, { 1, 0 } }, w[2] = { 1, 1 }, each[8];
    const tl_array prediction = DOUBLES(p, 2, 2), target = DOUBLES(t, 2, 2), weights = DOUBLES(w, 2);
    int32_t id[2] = { 1, 0 };
    const tl_array sparse = IDS(id, 2);
    for (int kind = 1; kind < TL_METRIC_KINDS; kind++) {
        tl_metric *m = made((tl_metric_desc){ .size = sizeof(tl_metric_desc), .kind = (tl_metric_kind)kind });
        const tl_array *y = kind == TL_METRIC_SPARSE_CATEGORICAL_ACCURACY ? &sparse : &target;
        GOOD(tl_metric_update(m, y, &prediction, &weights));
        cr_assert(isfinite(tl_metric_result(m)), "%s", tl_metric_options(m).name);
        double *const spoilt[] = { &p[0][1], &t[1][1], &w[0] };
        for (int k = 0; k < 3; k++) {
            const double before = *spoilt[k];
            *spoilt[k] = NAN;
            GOOD(tl_metric_update(m, y, &prediction, &weights));
            *spoilt[k] = before;
            GOOD(tl_metric_update(m, y, &prediction, &weights));
            const bool seen = !(k == 1 && (kind == TL_METRIC_MEAN || y == &sparse));
            cr_assert(isnan(tl_metric_result(m)) == seen, "%s, %d", tl_metric_options(m).name, k);
            if (seen) tl_metric_results(m, each, 8);
            if (seen) cr_assert(isnan(each[0]), "%s, %d", tl_metric_options(m).name, k);
            tl_metric_reset(m);
            GOOD(tl_metric_update(m, y, &prediction, &weights));
            cr_assert(isfinite(tl_metric_result(m)));
        }
        tl_metric_free(m);
    }
}

/* ---- what is refused -------------------------------------------------------------------------------------------- */

static void no_metric(tl_metric_desc d, const char *says)
{
    cr_assert(!tl_metric_new(d));
    cr_has(tl_message(), says);
    cr_assert(tl_live_bytes() == 0);
}

Test(options, that_make_no_sense_are_refused)
{
    const double falling[] = { 0.5, 0.2 }, wild[] = { 0.1, 1.5 }, holes[] = { 0.1, NAN };
    no_metric((tl_metric_desc){ 0 }, "tl_accuracy()");
    no_metric((tl_metric_desc){ .size = sizeof(tl_metric_desc), .kind = TL_METRIC_KINDS }, "tl_accuracy()");
    no_metric((tl_metric_desc){ .size = sizeof(tl_metric_desc), .kind = (tl_metric_kind)-1 }, "tl_accuracy()");
    no_metric(tl_accuracy(.k = 3), "accuracy has no option .k");
    no_metric(tl_accuracy(.threshold = NAN), ".threshold");
    no_metric(tl_accuracy(.target = -1), ".target");
    no_metric(tl_accuracy(.weights = -2), ".target and .weights");
    no_metric(tl_top_k_accuracy(.k = -1), ".k must be at least 1");
    no_metric(tl_top_k_accuracy(.k = TL_ZERO), ".k must be at least 1");
    no_metric(tl_mse_metric(.from_logits = true), "no option .from_logits");
    no_metric(tl_precision(.beta = 2), "no option .beta");
    no_metric(tl_precision(.n_thresholds = 5), "no option .n_thresholds");
    no_metric(tl_precision(.thresholds = falling, .n_thresholds = 2), "ascending");
    no_metric(tl_precision(.thresholds = holes, .n_thresholds = 2), "finite");
    no_metric(tl_precision(.thresholds = wild), ".n_thresholds");
    no_metric(tl_precision(.thresholds = wild, .n_thresholds = 2, .threshold = 0.2), "without .threshold");
    no_metric(tl_precision(.class_id = -1), ".class_id");
    no_metric(tl_precision(.average = (tl_average)9), ".average");
    no_metric(tl_auc(.thresholds = wild, .n_thresholds = 2), "[0, 1]");
    no_metric(tl_auc(.n_thresholds = 1), "2..1000000");
    no_metric(tl_auc(.n_thresholds = -4), "2..1000000");
    no_metric(tl_auc(.average = TL_WEIGHTED), ".average");
    no_metric(tl_auc(.curve = (tl_curve)7), ".curve");
    no_metric(tl_f1(.beta = -1), ".beta");
    no_metric(tl_f1(.beta = INFINITY), ".beta");
    no_metric(tl_r2_metric(.regressors = -1), ".regressors");
    no_metric(tl_r2_metric(.average = TL_MICRO), ".average");
    no_metric(tl_cross_entropy_metric(.smoothing = 1), ".smoothing");
    no_metric(tl_cross_entropy_metric(.smoothing = NAN), ".smoothing");
}

Test(options, have_the_defaults_of_their_kind)
{
    tl_metric *m = made(tl_f1(.target = TL_ZERO, .weights = 3));
    const tl_metric_desc o = tl_metric_options(m);
    cr_assert_str_eq(o.name, "f1");
    cr_assert_str_eq(o.output, "logits");
    cr_assert(o.target == 0 && o.weights == 3 && o.average == TL_MACRO && o.k == 1 && o.beta == 1 && o.class_id == -1);
    tl_metric_free(m);
    m = made(tl_auc(.name = "area", .output = "p"));
    cr_assert_str_eq(tl_metric_options(m).name, "area");
    cr_assert_str_eq(tl_metric_options(m).output, "p");
    cr_assert(tl_metric_options(m).target == 1 && tl_metric_options(m).weights == -1);
    cr_assert_eq(tl_metric_options(m).n_thresholds, 200);
    tl_metric_free(m);
    tl_metric_free(NULL);
    tl_metric_reset(NULL);
    cr_assert(isnan(tl_metric_result(NULL)));
    cr_assert_eq(tl_metric_results(NULL, NULL, 0), 0);
    BAD(tl_metric_update(NULL, NULL, NULL, NULL), TL_E_ARGUMENT, "no metric");
}

/* Refused, and nothing has changed. */
static void refused(tl_metric *m, const tl_array *t, const tl_array *p, const tl_array *w, tl_status status,
                    const char *says)
{
    const double before = tl_metric_result(m);
    BAD(tl_metric_update(m, t, p, w), status, says);
    cr_assert(tl_metric_result(m) == before);
}

Test(update, refuses_what_does_not_fit)
{
    tl_metric *m = made(tl_confusion());
    int32_t bad_id[4] = { 1, 2, 3, 0 }, minus[4] = { 1, -1, 0, 0 };
    double part[4] = { 0, 1, 1.5, 0 }, w[4] = { 1, 1, 1, 1 };
    const tl_array good = IDS(ids, 4), p = SCORES;
    GOOD(tl_metric_update(m, &good, &p, NULL));
#define REFUSED(t, p, w, status, says) refused(m, &(t), &(p), (w), (status), (says))
    tl_array t = IDS(bad_id, 4);
    REFUSED(t, p, NULL, TL_E_INDEX, "row 2 has target 3, which is no class of 3");
    t = IDS(minus, 4);
    REFUSED(t, p, NULL, TL_E_INDEX, "target -1");
    t = DOUBLES(part, 4);
    REFUSED(t, p, NULL, TL_E_INDEX, "target 1.5");
    t = IDS(ids, 3);
    REFUSED(t, p, NULL, TL_E_SHAPE, "targets of shape [3] do not fit predictions of shape [4, 3]");
    t = IDS(ids, 2, 2);
    REFUSED(t, p, NULL, TL_E_SHAPE, "[2, 2]");
    REFUSED(good, t, NULL, TL_E_DTYPE, "f32 or f64");
    t = DOUBLES(scores, 6, 2);
    REFUSED(good, t, NULL, TL_E_SHAPE, "do not fit");
    t = DOUBLES(scores, 4, 2);
    REFUSED(good, t, NULL, TL_E_SHAPE, "2 columns, and had 3");
    t = DOUBLES(scores, 4, 0);
    REFUSED(good, t, NULL, TL_E_SHAPE, "no columns");
    t = DOUBLES(NULL, 4, 3);
    REFUSED(good, t, NULL, TL_E_ARGUMENT, "predictions without data");
    t = DOUBLES(scores, 4, -3);
    REFUSED(good, t, NULL, TL_E_ARGUMENT, "no array");
    t = DOUBLES(scores, INT64_MAX, 4, 3);
    REFUSED(good, t, NULL, TL_E_ARGUMENT, "no array");
    t.rank = 99;
    REFUSED(good, t, NULL, TL_E_ARGUMENT, "no array");
    t.rank = -7;
    REFUSED(good, t, NULL, TL_E_ARGUMENT, "no array");
    t = SCORES;
    t.dtype = (tl_dtype)17;
    REFUSED(good, t, NULL, TL_E_ARGUMENT, "no array");
    t = TL_ABSENT_ARRAY;
    REFUSED(t, p, NULL, TL_E_ABSENT, "no targets");
    REFUSED(good, t, NULL, TL_E_ABSENT, "no predictions");
    t = DOUBLES(w, 3);
    REFUSED(good, p, &t, TL_E_SHAPE, "weights of shape [3]");
    t = DOUBLES(w, 1, 1, 4);
    REFUSED(good, p, &t, TL_E_SHAPE, "weights");
    t = DOUBLES(scores, 4, 3);
    REFUSED(good, p, &t, TL_E_SHAPE, "each row");
#undef REFUSED
    const tl_array empty_ids = IDS(ids, 0), empty = DOUBLES(scores, 0, 3); /* a batch of nothing is no error */
    const double before = tl_metric_result(m);
    GOOD(tl_metric_update(m, &empty_ids, &empty, NULL));
    cr_assert(tl_metric_result(m) == before);
    tl_metric_free(m);
    cr_assert(tl_live_bytes() == 0);
}

Test(update, that_fails_first_leaves_a_new_metric)
{
    tl_metric *m = made(tl_r2_metric());
    double t[2][3] = { { 1, 2, 3 }, { 4, 5, 7 } };
    const tl_array wrong = DOUBLES(t, 3, 2), three = DOUBLES(t, 2, 3), two = DOUBLES(t, 3, 2);
    BAD(tl_metric_update(m, &wrong, &three, NULL), TL_E_SHAPE, "");
    GOOD(tl_metric_update(m, &two, &two, NULL));
    tl_metric_free(m);
    int32_t none[2] = { 0, 8 };
    const tl_array bad = IDS(none, 2);
    m = made(tl_f1());
    BAD(tl_metric_update(m, &bad, &three, NULL), TL_E_INDEX, "");
    cr_assert_eq(tl_metric_results(m, NULL, 0), 0);
    GOOD(tl_metric_update(m, &two, &two, NULL));
    tl_metric_free(m);
    m = made(tl_recall(.class_id = 3));
    BAD(tl_metric_update(m, &three, &three, NULL), TL_E_SHAPE, "no column 3 of 3");
    tl_metric_free(m);
    m = made(tl_kl_metric());
    t[1][2] = -1e-9;
    BAD(tl_metric_update(m, &three, &three, NULL), TL_E_ARGUMENT, "row 1 is negative");
    tl_metric_free(m);
}

Test(update, survives_any_allocation_that_fails)
{
    double few[4][2] = { { 0.2, 0.8 }, { 0.4, 0.6 }, { 0.1, 0.9 }, { 1, 0 } };
    const tl_array narrow = DOUBLES(few, 4, 2), wide = SCORES, target = IDS(ids, 4);
    for (int32_t *i = ids; i < ids + 4; i++) *i %= 2;
    const tl_metric_desc d[] = { tl_auc(.n_thresholds = 7), tl_confusion(), tl_cross_entropy_metric(), tl_f1() };
    for (int k = 0; k < COUNT(d); k++) {
        uint64_t n = 1;
        for (bool done = false; !done; n++) {
            tl_fail_allocation(n);
            tl_metric *m = tl_metric_new(d[k]);
            tl_status status = m ? tl_metric_update(m, &target, &narrow, NULL) : TL_E_MEMORY;
            if (m) tl_metric_reset(m);
            if (!status) status = tl_metric_update(m, &target, &wide, NULL);
            tl_fail_allocation(0);
            done = !status;
            cr_assert(!status || status == TL_E_MEMORY, "allocation %d: %s", (int)n, tl_message());
            if (m && status) GOOD(tl_metric_update(m, &target, &wide, NULL));
            tl_metric_free(m);
            cr_assert(tl_live_bytes() == 0);
        }
        cr_assert(n > 5);
    }
}

/* ---- sums ------------------------------------------------------------------------------------------------------- */

Test(sums, go_on_in_another_metric_with_the_same_bits)
{
    const tl_array first = SCORES, target = IDS(ids, 4), second = DOUBLES(scores[1], 3, 3), rest = IDS(ids + 1, 3);
    double hot[4][3] = { { 0, 1, 0 }, { 0, 0, 1 }, { 0, 0, 1 }, { 1, 0, 0 } };
    const tl_array numbers = DOUBLES(hot, 4, 3), numbers_rest = DOUBLES(hot[1], 3, 3);
    for (int kind = 1; kind < TL_METRIC_KINDS; kind++) {
        const tl_metric_desc d = { .size = sizeof d, .kind = (tl_metric_kind)kind };
        const bool sparse = kind == TL_METRIC_SPARSE_CATEGORICAL_ACCURACY;
        tl_metric *whole = made(d), *a = made(d), *b = made(d);
        tl_array sums = tl_metric_sums(a);
        cr_assert(sums.rank == 1 && sums.dim[0] == 0);
        GOOD(tl_metric_set_sums(b, &sums));
        GOOD(tl_metric_update(whole, sparse ? &target : &numbers, &first, NULL));
        GOOD(tl_metric_update(a, sparse ? &target : &numbers, &first, NULL));
        sums = tl_metric_sums(a);
        GOOD(tl_metric_set_sums(b, &sums));
        GOOD(tl_metric_update(whole, sparse ? &rest : &numbers_rest, &second, NULL));
        GOOD(tl_metric_update(b, sparse ? &rest : &numbers_rest, &second, NULL));
        cr_assert(tl_metric_result(whole) == tl_metric_result(b), "%s", tl_metric_options(b).name);
        sums = tl_metric_sums(b);
        if (kind != TL_METRIC_CONFUSION && sums.dim[0]--) BAD(tl_metric_set_sums(a, &sums), TL_E_SHAPE, "sums");
        sums.dtype = TL_F32;
        BAD(tl_metric_set_sums(a, &sums), TL_E_DTYPE, "f64");
        BAD(tl_metric_set_sums(NULL, &sums), TL_E_ARGUMENT, "");
        tl_metric_free(whole), tl_metric_free(a), tl_metric_free(b);
    }
    cr_assert(tl_live_bytes() == 0);
}
