/* tests/test_losses.c - every loss: its formula, weights, reductions, padding, gradients. PyTorch's and Keras' numbers:
 * conformance_losses.c. */
#include "layers_support.h"

/* ---- every loss ------------------------------------------------------------------------------------------------- */

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
FORMULA(of_smooth_soft, log_sum_exp(y, n) - 0.8 * product(y, t, n) - 0.2 * sum_of(y, n) / n)
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
    { "smoothed distribution",
      TL_LOSS_CROSS_ENTROPY,
      'r',
      of_smooth_soft,
      { REAL, DISTRIBUTION },
      { .label_smoothing = 0.2 } },
    { "shares", TL_LOSS_CROSS_ENTROPY, 'r', of_share, { POSITIVE, CLASS }, { .probabilities = true } },
    { "shares, bare",
      TL_LOSS_CROSS_ENTROPY,
      'r',
      of_share,
      { POSITIVE, CLASS },
      { .probabilities = true, .epsilon = TL_ZERO } },
    { "nll", TL_LOSS_NLL, 'r', of_log_share, { REAL, CLASS } },
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

/* ---- padding ---------------------------------------------------------------------------------------------------- */

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

/* NaNs and ids of no class in the padding change neither the loss nor a gradient: the numbers are those that weights of
 * 0 there give where all is sound. */
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

/* ---- gradients -------------------------------------------------------------------------------------------------- */

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
