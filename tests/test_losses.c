/* tests/test_losses.c - losses against their formulas, PyTorch and Keras. */
#include "fixtures.h"
#include "layers_support.h"

/* ---- every loss -------------------------------------------------------------------------------------------------- */

enum { T = 3, B = 2, D = 4, P = T * B, MOST = 3 };

typedef enum domain { REAL = 1, POSITIVE, PROBABILITY, DISTRIBUTION, LOGS, SIGN, SIGNS_OF_ROWS, CLASS } domain;

typedef double (*formula)(const double *y, const double *t, const double *v, int n);

typedef struct subject {
    const char *name;
    tl_loss kind;
    char form; /* of a row: 'm'ean, 's'um of its elements, or 'r': the formula is of the row */
    formula f;
    domain x[MOST];
    tl_loss_opts o;
    bool weighted, masked; /* in: weights come after the operands; lengths 2 and 1 are carried */
} subject;

#define FORMULA(name, ...)                                                                                             \
    static double name(const double *y, const double *t, const double *v, int n)                                       \
    {                                                                                                                  \
        const double d = *y - *t;                                                                                      \
        (void)d, (void)v, (void)n;                                                                                     \
        return __VA_ARGS__;                                                                                            \
    }

static double log_sum_exp(const double *y, int n)
{
    double sum = 0;
    for (int k = 0; k < n; k++) sum += exp(y[k]);
    return log(sum);
}

static double product(const double *a, const double *b, int n)
{
    double sum = 0;
    for (int k = 0; k < n; k++) sum += a[k] * b[k];
    return sum;
}

static double sum_of(const double *a, int n) { return product(a, (double[]){ 1, 1, 1, 1 }, n); }

static double away(const double *a, const double *b, int n)
{
    double sum = 0;
    for (int k = 0; k < n; k++) sum += pow(a[k] - b[k] + 1e-6, 2);
    return sqrt(sum);
}

static double cosine_of(const double *a, const double *b, int n)
{
    return product(a, b, n) / sqrt(product(a, a, n) * product(b, b, n));
}

static double largest_wrong(const double *y, const double *t, int n)
{
    double most = -INFINITY;
    for (int k = 0; k < n; k++) most = fmax(most, (1 - t[k]) * y[k]);
    return most;
}

FORMULA(of_mse, d *d)
FORMULA(of_mae, fabs(d))
FORMULA(of_mape, 100 * fabs(d / *t))
FORMULA(of_msle, pow(log((1 + *y) / (1 + *t)), 2))
FORMULA(of_huber, fabs(d) < 0.7 ? d * d / 2 : 0.7 * fabs(d) - 0.245)
FORMULA(of_smooth_l1, fabs(d) < 0.4 ? d * d / 0.8 : fabs(d) - 0.2)
FORMULA(of_log_cosh, log(cosh(d)))
FORMULA(of_ids, log_sum_exp(y, n) - y[(int)*t])
FORMULA(of_smooth_ids, log_sum_exp(y, n) - 0.8 * y[(int)*t] - 0.2 * sum_of(y, n) / n)
FORMULA(of_soft, log_sum_exp(y, n) - product(y, t, n))
FORMULA(of_share, log(sum_of(y, n) / y[(int)*t]))
FORMULA(of_log_share, -y[(int)*t])
FORMULA(of_logit, log1p(exp(*y)) - *y * *t)
FORMULA(of_smooth_logit, log1p(exp(*y)) - *y * (*t * 0.8 + 0.1))
FORMULA(of_probability, -*t *log(*y) - (1 - *t) * log(1 - *y))
FORMULA(of_kl, *t *log(*t / *y))
FORMULA(of_kl_logs, exp(*t) * d * -1)
FORMULA(of_poisson, *y - *t * log(*y + 1e-7))
FORMULA(of_log_poisson, exp(*y) - *t * *y + (*t > 1 ? *t * log(*t) - *t + log(2 * M_PI * *t) / 2 : 0))
FORMULA(of_gauss, (log(*v) + d * d / *v + log(2 * M_PI)) / 2)
FORMULA(of_hinge, fmax(1 - *y * *t, 0))
FORMULA(of_squared_hinge, pow(fmax(1.5 - *y * *t, 0), 2))
FORMULA(of_categorical, fmax(largest_wrong(y, t, n) - product(y, t, n) + 1, 0))
FORMULA(of_embedding, *t > 0 ? *y : fmax(1 - *y, 0))
FORMULA(of_ranking, fmax(0.3 - *v * (*y - *t), 0))
FORMULA(of_triplet, fmax(away(y, t, n) - away(y, v, n) + 1, 0))
FORMULA(of_cosine, -cosine_of(y, t, n))
FORMULA(of_angle, *v > 0 ? 1 - cosine_of(y, t, n) : fmax(cosine_of(y, t, n) - 0.2, 0))

static const subject subjects[] = {
    { "mse", TL_LOSS_MSE, 'm', of_mse, { REAL, REAL } },
    { "mae", TL_LOSS_MAE, 'm', of_mae, { REAL, REAL } },
    { "mape", TL_LOSS_MAPE, 'm', of_mape, { REAL, REAL } },
    { "msle", TL_LOSS_MSLE, 'm', of_msle, { POSITIVE, POSITIVE } },
    { "huber", TL_LOSS_HUBER, 'm', of_huber, { REAL, REAL }, { .delta = 0.7 } },
    { "smooth_l1", TL_LOSS_SMOOTH_L1, 'm', of_smooth_l1, { REAL, REAL }, { .beta = 0.4 } },
    { "smooth_l1, 0", TL_LOSS_SMOOTH_L1, 'm', of_mae, { REAL, REAL }, { .beta = TL_ZERO } },
    { "log_cosh", TL_LOSS_LOG_COSH, 'm', of_log_cosh, { REAL, REAL } },
    { "ids", TL_LOSS_CROSS_ENTROPY, 'r', of_ids, { REAL, CLASS } },
    { "smoothed ids", TL_LOSS_CROSS_ENTROPY, 'r', of_smooth_ids, { REAL, CLASS }, { .label_smoothing = 0.2 } },
    { "distribution", TL_LOSS_CROSS_ENTROPY, 'r', of_soft, { REAL, DISTRIBUTION } },
    { "shares", TL_LOSS_CROSS_ENTROPY, 'r', of_share, { POSITIVE, CLASS }, { .probabilities = true } },
    { "shares, bare",
      TL_LOSS_CROSS_ENTROPY,
      'r',
      of_share,
      { POSITIVE, CLASS },
      { .probabilities = true, .epsilon = TL_ZERO } },
    { "nll", TL_LOSS_NLL, 'r', of_log_share, { LOGS, CLASS } },
    { "logit", TL_LOSS_BINARY_CROSS_ENTROPY, 'm', of_logit, { REAL, PROBABILITY } },
    { "smoothed logit",
      TL_LOSS_BINARY_CROSS_ENTROPY,
      'm',
      of_smooth_logit,
      { REAL, PROBABILITY },
      { .label_smoothing = 0.2 } },
    { "probability",
      TL_LOSS_BINARY_CROSS_ENTROPY,
      'm',
      of_probability,
      { PROBABILITY, PROBABILITY },
      { .probabilities = true } },
    { "kl", TL_LOSS_KL_DIVERGENCE, 's', of_kl, { PROBABILITY, PROBABILITY } },
    { "kl of logs", TL_LOSS_KL_DIVERGENCE, 's', of_kl_logs, { LOGS, LOGS }, { .log_input = true, .log_target = true } },
    { "poisson", TL_LOSS_POISSON, 'm', of_poisson, { POSITIVE, POSITIVE } },
    { "log poisson", TL_LOSS_POISSON, 'm', of_log_poisson, { REAL, POSITIVE }, { .log_input = true, .full = true } },
    { "gauss", TL_LOSS_GAUSSIAN_NLL, 'm', of_gauss, { REAL, REAL, POSITIVE }, { .full = true } },
    { "hinge", TL_LOSS_HINGE, 'm', of_hinge, { REAL, SIGN } },
    { "squared_hinge", TL_LOSS_SQUARED_HINGE, 'm', of_squared_hinge, { REAL, SIGN }, { .margin = 1.5 } },
    { "categorical_hinge", TL_LOSS_CATEGORICAL_HINGE, 'r', of_categorical, { REAL, DISTRIBUTION } },
    { "hinge_embedding", TL_LOSS_HINGE_EMBEDDING, 'm', of_embedding, { REAL, SIGN } },
    { "margin_ranking", TL_LOSS_MARGIN_RANKING, 'm', of_ranking, { REAL, REAL, SIGN }, { .margin = 0.3 } },
    { "triplet", TL_LOSS_TRIPLET, 'r', of_triplet, { REAL, REAL, REAL } },
    { "cosine", TL_LOSS_COSINE, 'r', of_cosine, { REAL, REAL } },
    { "cosine_embedding", TL_LOSS_COSINE_EMBEDDING, 'r', of_angle, { REAL, REAL, SIGNS_OF_ROWS }, { .margin = 0.2 } },
};

static int operands_of(const subject *u) { return u->x[2] ? 3 : 2; }

static tl_array operand(domain of, uint64_t seed)
{
    static const int32_t classes[P] = { 3, 0, 1, 2, 2, 3 };
    if (of == CLASS) return ids_of(TL_DIMS(T, B), classes);
    tl_array a = of == SIGNS_OF_ROWS ? F64(seed, T, B) : F64(seed, T, B, D);
    double *v = a.data;
    for (int64_t i = 0; i < elements(&a); i++)
        v[i] = of == REAL          ? 2 * v[i]
               : of == PROBABILITY ? 1 / (1 + exp(2 * v[i]))
               : of < LOGS         ? exp(v[i])
               : of == LOGS        ? v[i]
                                   : copysign(1, v[i]);
    for (int r = 0; (of == DISTRIBUTION || of == LOGS) && r < P; r++) {
        const double sum = of == LOGS ? log_sum_exp(v + r * D, D) : sum_of(v + r * D, D);
        for (int k = 0; k < D; k++) v[r * D + k] = of == LOGS ? v[r * D + k] - sum : v[r * D + k] / sum;
    }
    return a;
}

/* The operands, then weights [T, B] of which one is 0. */
static int operands(const subject *u, tl_array *in)
{
    const int n = operands_of(u);
    for (int k = 0; k < n; k++) in[k] = operand(u->x[k], 20 + (uint64_t)k);
    in[n] = operand(PROBABILITY, 40);
    in[n].rank = 2;
    ((double *)in[n].data)[1] = 0;
    return n + u->weighted;
}

static tl_tensor loss_of(tl_scope *s, const tl_tensor *in, void *user)
{
    const subject *u = user;
    tl_loss_opts o = u->o;
    tl_tensor x[MOST] = { in[0], in[1] };
    o.size = sizeof o;
    if (u->x[2]) x[2] = in[2];
    if (u->weighted) o.weights = in[operands_of(u)];
    if (u->masked) x[0] = tl_masked(x[0], tl_ids_const(s, TL_DIMS(B), (int32_t[]){ 2, 1 }));
    return tl_loss_opt(TL_HERE, u->kind, x, &o);
}

/* The subject's losses, so reduced. */
static double *losses_of(subject u, tl_reduction how, const tl_array *in, int n)
{
    tl_model *model = tl_model_new(.dtype = TL_F64);
    u.o.reduction = how;
    const result r = must_run(model, loss_of, in, n, &u, 0);
    const bool all = how == TL_REDUCE_NONE;
    cr_assert(r.shape.rank == (all ? 2 + u.o.per_element : 0) && r.n == (all ? (u.o.per_element ? P * D : P) : 1), "%s",
              u.name);
    tl_model_free(model);
    return r.y;
}

static double at(const tl_array *a, int64_t i)
{
    return a->dtype == TL_I32 ? ((const int32_t *)a->data)[i] : ((const double *)a->data)[i];
}

/* What the formula says of row r (element k of it, if not negative). */
static double expected_of(const subject *u, const tl_array *in, int r, int k)
{
    double row[MOST][D] = { { 0 } };
    for (int i = 0; i < operands_of(u); i++)
        for (int j = 0; j < D; j++) row[i][j] = at(&in[i], in[i].rank == 2 ? r : r * D + j);
    if (u->form == 'r') return u->f(row[0], row[1], row[2], D);
    if (k >= 0) return u->f(&row[0][k], &row[1][k], &row[2][k], 1);
    double sum = 0;
    for (int j = 0; j < D; j++) sum += u->f(&row[0][j], &row[1][j], &row[2][j], 1);
    return u->form == 's' ? sum : sum / D;
}

/* 1e-7 is what epsilons do to probabilities and rates that are far from them; the rest is rounding. */
Test(losses, are_their_formulas)
{
    for (int i = 0; i < COUNT(subjects); i++) {
        subject u = subjects[i];
        tl_array in[MOST + 1];
        const int n = operands(&u, in);
        double *rows = losses_of(u, TL_REDUCE_NONE, in, n), expected;
        for (int r = 0; r < P; r++) {
            expected = expected_of(&u, in, r, -1);
            close_to(&rows[r], &expected, 1, u.kind == TL_LOSS_MSLE || u.form == 'r' ? 1e-10 : 1e-12, 1e-12, u.name);
        }
        if (u.form == 'r') continue;
        u.o.per_element = true;
        double *each = losses_of(u, TL_REDUCE_NONE, in, n);
        for (int k = 0; k < P * D; k++) {
            expected = expected_of(&u, in, k / D, k % D);
            close_to(&each[k], &expected, 1, 1e-12, 1e-12, u.name);
        }
    }
}

/* Sums and means of rows, with weights in the divisor and without. Tolerances are of rounding. */
Test(losses, are_weighted_and_reduced)
{
    for (int i = 0; i < COUNT(subjects); i++) {
        subject u = subjects[i];
        tl_array in[MOST + 1];
        const int n = operands(&u, in);
        const double *l = losses_of(u, TL_REDUCE_NONE, in, n), *w = in[n].data;
        const double sum = sum_of(l, 4) + l[4] + l[5], weights = sum_of(w, 4) + w[4] + w[5];
        const double weighted = product(l, w, P);
        close_to(losses_of(u, TL_REDUCE_SUM, in, n), &sum, 1, 1e-13, 1e-13, u.name);
        close_to(losses_of(u, TL_REDUCE_MEAN, in, n), &(double){ sum / P }, 1, 1e-13, 1e-13, u.name);
        close_to(losses_of(u, TL_REDUCE_WEIGHTED_MEAN, in, n), &(double){ sum / P }, 1, 1e-13, 1e-13, u.name);
        u.weighted = true;
        close_to(losses_of(u, 0, in, n + 1), &(double){ weighted / P }, 1, 1e-13, 1e-13, u.name);
        close_to(losses_of(u, TL_REDUCE_SUM, in, n + 1), &weighted, 1, 1e-13, 1e-13, u.name);
        close_to(losses_of(u, TL_REDUCE_WEIGHTED_MEAN, in, n + 1), &(double){ weighted / weights }, 1, 1e-13, 1e-13,
                 u.name);
        const double *each = losses_of(u, TL_REDUCE_NONE, in, n + 1);
        for (int r = 0; r < P; r++) close_to(&each[r], &(double){ l[r] * w[r] }, 1, 1e-13, 0, u.name);
    }
}

/* ---- padding -------------------------------------------------------------------------------------------------------- */

/* The loss, and its gradient by the prediction. */
static double *with_gradient(subject u, const tl_array *in, int n, double *loss)
{
    tl_model *model = tl_model_new(.dtype = TL_F64);
    tl_tape *tape = tl_tape_new(model);
    tl_tensor x[MOST + 1], d;
    tl_array a;
    for (int k = 0; k < n; k++) x[k] = tl_input(tl_root(tape), "x", in[k]);
    const tl_tensor y = loss_of(tl_root(tape), x, &u);
    tl_grad(y, x, 1, &d);
    tl_output(tl_root(tape), "loss", y);
    tl_output(tl_root(tape), "d", d);
    tl_plan *plan = tl_compile(tape);
    tl_session *session = tl_session_new(model);
    cr_assert(plan && !tl_run(session, plan, in, n) && !tl_get(session, "d", &a), "%s: %s", u.name, tl_message());
    double *copy = as_doubles(a.data, TL_F64, P * D);
    *loss = tl_get_scalar(session, "loss");
    tl_session_free(session);
    tl_plan_free(plan);
    tl_tape_free(tape);
    tl_model_free(model);
    return copy;
}

static const bool real[P] = { true, true, true, false, false, false }; /* lengths 2 and 1 */

static void spoil(tl_array *a)
{
    const int64_t width = elements(a) / P;
    for (int64_t i = 0; i < elements(a); i++) {
        if (real[i / width]) continue;
        if (a->dtype == TL_I32) ((int32_t *)a->data)[i] = -100;
        else ((double *)a->data)[i] = NAN;
    }
}

static double mean_of_real(const double *l)
{
    double sum = 0, n = 0;
    for (int r = 0; r < P; r++) sum += real[r] ? l[r] : 0, n += real[r];
    return sum / n;
}

/* NaNs and ids of no class in the padding change neither the loss nor a gradient: weights of 0 there would give the same of
 * what is sound. */
Test(losses, padding_changes_nothing)
{
    for (int i = 0; i < COUNT(subjects) * 2; i++) {
        subject u = subjects[i / 2];
        tl_array in[MOST + 1];
        double loss, reference;
        u.weighted = i % 2;
        const int n = operands(&u, in), at_weights = operands_of(&u);
        const double *l = losses_of(u, TL_REDUCE_NONE, in, n);
        const double expected = mean_of_real(l);
        subject v = u;
        tl_array zeroed[MOST + 1];
        operands(&v, zeroed);
        for (int r = 0; r < P; r++) ((double *)zeroed[at_weights].data)[r] *= real[r];
        if (!u.weighted)
            for (int r = 0; r < P; r++) ((double *)zeroed[at_weights].data)[r] = real[r];
        v.weighted = true, v.o.reduction = TL_REDUCE_SUM;
        const double *want = with_gradient(v, zeroed, at_weights + 1, &reference);
        u.masked = true;
        for (int k = 0; k < n; k++) spoil(&in[k]);
        const double *d = with_gradient(u, in, n, &loss);
        close_to(&loss, &expected, 1, 1e-13, 1e-14, u.name);
        for (int k = 0; k < P * D; k++) close_to(&d[k], &(double){ want[k] / 3 }, 1, 1e-12, 1e-15, u.name);
        for (int k = 0; k < P * D; k++) cr_assert(real[k / D] || d[k] == 0, "%s: %g", u.name, d[k]);
        double *each = losses_of(u, TL_REDUCE_NONE, in, n);
        for (int r = 0; r < P; r++) cr_assert(each[r] == (real[r] ? l[r] : 0), "%s: %g", u.name, each[r]);
    }
}

/* ---- gradients ------------------------------------------------------------------------------------------------------ */

/* By every operand and by the weights. */
Test(losses, gradients_of_first_and_second_order_agree_with_differences)
{
    for (int i = 0; i < COUNT(subjects) * 2; i++) {
        subject u = subjects[i / 2];
        tl_array in[MOST + 1];
        u.weighted = u.masked = i % 2;
        if (u.weighted) u.o.reduction = TL_REDUCE_WEIGHTED_MEAN;
        const int n = operands(&u, in);
        tl_model *model = tl_model_new();
        const tl_gradcheck_result g = tl_gradcheck(model, loss_of, in, n, &u, .inputs = true, .second_order = true);
        cr_assert(g.passed && g.probes > 0 && g.kinks == 0, "%s: %s: %s (%.17g, differences %.17g)", u.name,
                  tl_message(), g.where, g.analytic, g.numeric);
        tl_model_free(model);
    }
}

/* ---- options -------------------------------------------------------------------------------------------------------- */

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

Test(losses, classes_have_weights_and_one_may_be_ignored)
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

Test(losses, answers_of_one_kind_may_weigh_more)
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
Test(losses, positions_may_lie_on_the_last_axis)
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
    is(tl_mse(tl_sum(vector, TL_ALL), tl_full(b.s, TL_SCALAR, 1)), 4);
    is(tl_mse(y, zero, .mask = tl_full(b.s, TL_DIMS(2), 0)), 0);
    is(tl_mae(vector, tl_at(zero, 0), .weights = tl_full(b.s, TL_DIMS(2), 0), .reduction = TL_REDUCE_WEIGHTED_MEAN), 0);
    is(tl_hinge(y, m, .mask = m), (0 + 0 + 0) / 3.); /* all are 0 or 1: those of the padding do not count */
    is(tl_hinge(tl_scale(vector, -1), tl_at(tl_scale(m, 0), 0)), 0);
    end(b);
}

/* ---- edges ---------------------------------------------------------------------------------------------------------- */

Test(losses, neither_overflow_nor_cancel)
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
    is(tl_cosine_loss(tl_full(b.s, TL_DIMS(1, 2), 0), tl_full(b.s, TL_DIMS(1, 2), 1)), 0);
    end(b);
}

/* A class that cannot be, and is not meant to be, costs nothing; one that is meant to be costs all there is. */
Test(losses, impossible_classes_are_no_obstacle)
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

/* ---- errors --------------------------------------------------------------------------------------------------------- */

Test(losses, an_absent_target_gives_an_absent_loss)
{
    recording r = start_recording(false);
    for (int i = 0; i < COUNT(subjects); i++) {
        const bool third = subjects[i].kind == TL_LOSS_MARGIN_RANKING || subjects[i].kind == TL_LOSS_COSINE_EMBEDDING;
        const tl_tensor x[MOST] = { r.x, third ? r.x : TL_NONE, third ? TL_NONE : r.x };
        cr_assert(tl_absent(tl_loss_opt(TL_HERE, subjects[i].kind, x, NULL)), "%s", subjects[i].name);
    }
    cr_assert(!tl_failed(r.tape));
    end_recording(r);
}

#define REFUSED(status, word, ...) FAILS(status, word, cr_assert(is_error(__VA_ARGS__)))
#define FULL(...) tl_full(r.s, TL_DIMS(__VA_ARGS__), 1)

Test(losses, refuse_operands_that_do_not_fit)
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

Test(losses, refuse_options_that_do_not_fit)
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
    REFUSED(TL_E_ARGUMENT, ".reduction = 5 is none", tl_mse(r.x, r.x, .reduction = 5));
    REFUSED(TL_E_ARGUMENT, ".delta = -1", tl_huber(r.x, r.x, .delta = -1));
    REFUSED(TL_E_ARGUMENT, ".delta = 0", tl_huber(r.x, r.x, .delta = TL_ZERO));
    REFUSED(TL_E_ARGUMENT, ".delta = nan", tl_huber(r.x, r.x, .delta = NAN));
    REFUSED(TL_E_ARGUMENT, ".beta = -1", tl_smooth_l1(r.x, r.x, .beta = -1));
    REFUSED(TL_E_ARGUMENT, ".epsilon = -1", tl_poisson(r.x, r.x, .epsilon = -1));
    REFUSED(TL_E_ARGUMENT, ".epsilon = 0.7", tl_binary_cross_entropy(r.x, r.x, .probabilities = true, .epsilon = 0.7));
    REFUSED(TL_E_ARGUMENT, ".margin = inf", tl_triplet(r.x, r.x, r.x, .margin = INFINITY));
    REFUSED(TL_E_ARGUMENT, ".label_smoothing = 1.5", tl_cross_entropy(r.x, r.ids, .label_smoothing = 1.5));
    REFUSED(TL_E_ARGUMENT, ".label_smoothing = nan", tl_cross_entropy(r.x, r.ids, .label_smoothing = NAN));
    REFUSED(TL_E_ARGUMENT, ".ignore = 4294967296", tl_cross_entropy(r.x, r.ids, .ignore = INT64_C(1) << 32));
}

/* An id of no class is found when the plan runs, and blamed on the caller. */
Test(losses, name_the_line_of_a_wrong_id)
{
    tl_model *model = tl_model_new();
    tl_tape *tape = tl_tape_new(model);
    const tl_array in[] = { F32(1, 2, 3), ids_of(TL_DIMS(2), (int32_t[]){ 0, 3 }) };
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

Test(losses, every_allocation_may_fail)
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

/* ---- values of PyTorch and Keras, which the conformance runner has not got --------------------------------------- */

static tl_tensor fixture_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const tl_tensor loss = user ? tl_cross_entropy(in[0], in[1]) : tl_mse(in[0], in[1]);
    tl_tensor g;
    tl_grad(loss, in, 1, &g);
    tl_output(s, "gradient", g);
    return loss;
}

static tl_array array_of(const fx_tensor *t)
{
    tl_array a = array_over((void *)(uintptr_t)t->f, TL_F64, t->ndim, t->dim);
    if (!t->isint) return a;
    a.dtype = TL_I32;
    int32_t *ids = a.data = malloc((size_t)t->count * sizeof *ids);
    for (int64_t k = 0; k < t->count; k++) ids[k] = (int32_t)t->i[k];
    return a;
}

static void same(tl_session *session, const char *output, const fx_case *c, const char *role, const char *name)
{
    const fx_tensor *t = fx_get(c, role, name);
    tl_array a;
    cr_assert(t && !tl_get(session, output, &a), "%s: %s", c->name, tl_message());
    close_to(a.data, t->f, t->count, 1e-9, 1e-12, c->name);
}

Test(losses, are_those_of_pytorch_and_keras)
{
    static const struct {
        const char *suite, *name, *y, *target;
    } cases[] = { { "torch_open", "loss_ce_mean", "logits", "target" },
                  { "torch_open", "edge_ce_big", "logits", "target" },
                  { "torch_open", "loss_mse_mean", "y", "target" },
                  { "keras_oracle_open", "sparse_ce_logits_sum_over_batch_size", "y_pred", "y_true" },
                  { "keras_oracle_open", "mse_sum_over_batch_size", "y_pred", "y_true" } };
    for (int k = 0; k < COUNT(cases); k++) {
        fx_suite *suite = suite_of(cases[k].suite);
        const fx_case *c = NULL;
        for (size_t i = 0; i < suite->n; i++)
            if (!strcmp(suite->cases[i].name, cases[k].name)) c = &suite->cases[i];
        cr_assert(c, "%s", cases[k].name);
        const tl_array in[] = { array_of(fx_get(c, "in", cases[k].y)), array_of(fx_get(c, "in", cases[k].target)) };
        tl_model *model = tl_model_new(.dtype = TL_F64);
        const running r = start_running(model, fixture_fn, in, 2, in[1].dtype == TL_I32 ? suite : NULL, 0);
        cr_assert(r.plan && !tl_run(r.session, r.plan, in, 2), "%s: %s", c->name, tl_message());
        same(r.session, "y", c, "loss", "loss");
        same(r.session, "gradient", c, "gin", cases[k].y);
        end_running(r);
        tl_model_free(model);
    }
}
