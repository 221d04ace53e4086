/* tests/test_optim.c - update rules against their formulas, options, groups, what must stay untouched, accumulation, averages,
 * resuming, clipping. What Keras and PyTorch compute is replayed by the conformance program. */
#include <criterion/criterion.h>

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tapeloop.h"
#include "valgrind.h"

static void says(const char *words)
{
    cr_assert(strstr(tl_message(), words), "'%s' does not say '%s'", tl_message(), words);
}

static void close_to(double got, double want, double rtol, const char *what, int i)
{
    cr_assert(fabs(got - want) <= rtol * (fabs(want) + 0.1), "%s %d is %.17g, not %.17g", what, i, got, want);
}

/* ---- a model whose gradients are what one says ------------------------------------------------------------------ */

/* loss = sum(w gw) + sum(b gb), w [3, 4] and b [4]: the gradients of w and b are the inputs gw and gb. */
enum { W = 12, B = 4, N = W + B };

typedef struct bench {
    tl_dtype dtype;
    tl_model *model;
    tl_plan *plan;
    tl_session *session;
    tl_optimizer *optimizer;
} bench;

static tl_array array_of(tl_dtype dtype, int rank, int64_t a, int64_t b, void *data)
{
    return (tl_array){ .dtype = dtype, .rank = rank, .dim = { a, b }, .data = data };
}

static double value(const void *p, tl_dtype dtype, int i)
{
    return dtype == TL_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

static bench make(tl_dtype dtype, const double *start, tl_optimizer_desc desc)
{
    bench b = { .dtype = dtype, .model = tl_model_new(.dtype = dtype) };
    const tl_array w = array_of(TL_F64, 2, 3, 4, (double[W]){ 0 }), v = array_of(TL_F64, 1, 4, 0, (double[B]){ 0 });
    memcpy(w.data, start, W * sizeof *start);
    memcpy(v.data, start + W, B * sizeof *start);
    cr_assert(!tl_model_set(b.model, "w", &w) && !tl_model_set(b.model, "b", &v));
    tl_tape *tape = tl_tape_new(b.model, .training = true);
    tl_scope *s = tl_root(tape);
    tl_tensor gw = tl_input(s, "gw", array_of(dtype, 2, 3, 4, NULL)),
              gb = tl_input(s, "gb", array_of(dtype, 1, 4, 0, NULL));
    tl_tensor loss = tl_add(tl_sum(tl_mul(tl_param(s, "w", TL_DIMS(3, 4)), gw), TL_ALL),
                            tl_sum(tl_mul(tl_param(s, "b", TL_DIMS(4)), gb), TL_ALL));
    tl_backward(loss);
    b.plan = tl_compile(tape);
    cr_assert(b.plan, "%s", tl_message());
    tl_tape_free(tape);
    b.session = tl_session_new(b.model);
    b.optimizer = tl_optimizer_new(b.model, desc);
    cr_assert(b.session && b.optimizer, "%s", tl_message());
    return b;
}

static void drop(bench *b)
{
    tl_optimizer_free(b->optimizer);
    tl_session_free(b->session);
    tl_plan_free(b->plan);
    tl_model_free(b->model);
    cr_assert(tl_live_bytes() == 0);
}

/* Runs, so that these are the gradients. */
static void run(bench *b, const double *g)
{
    double wide[N];
    float narrow[N];
    for (int i = 0; i < N; i++) narrow[i] = (float)(wide[i] = g[i]);
    char *p = b->dtype == TL_F64 ? (char *)wide : (char *)narrow;
    const size_t element = b->dtype == TL_F64 ? 8 : 4;
    const tl_array in[2] = { array_of(b->dtype, 2, 3, 4, p), array_of(b->dtype, 1, 4, 0, p + W * element) };
    cr_assert(!tl_run(b->session, b->plan, in, 2), "%s", tl_message());
}

static double weight(const bench *b, int i) { return value(tl_model_values(b->model), b->dtype, i); }

/* Gradients and weights of a made-up training; f32 holds them exactly. */
static double some(int i) { return (double)((i * 2654435761u >> 8) % 2001) / 512.0 - 1.953125; }

/* ---- formulas ------------------------------------------------------------------------------------------------- */

/* One element's path under a rule, in double, as docs/optimizers.md has it. */
typedef struct element {
    double w, a, b, c, product;
} element;

/* Where epsilon stands. */
static double rooted(const tl_optimizer_desc *o, double v)
{
    return o->style == TL_TORCH ? sqrt(v) + o->epsilon : sqrt(v + o->epsilon);
}

static double sgd(const tl_optimizer_desc *o, element *e, double g, int t)
{
    if (o->style == TL_KERAS) {
        e->a = o->momentum * e->a - o->lr * g;
        return o->nesterov ? o->momentum * e->a - o->lr * g : e->a;
    }
    e->a = t == 1 ? g : o->momentum * e->a + (1 - o->dampening) * g;
    return -o->lr * (o->nesterov ? g + o->momentum * e->a : e->a);
}

static double rmsprop(const tl_optimizer_desc *o, element *e, double g, int t)
{
    (void)t;
    e->a = o->rho * e->a + (1 - o->rho) * g * g;
    e->b = o->rho * e->b + (1 - o->rho) * g;
    const double d = g / rooted(o, o->centered ? e->a - e->b * e->b : e->a);
    e->c = o->momentum * e->c + (o->style == TL_KERAS ? o->lr * d : d);
    return o->style == TL_KERAS ? -e->c : -o->lr * e->c;
}

static void moments(const tl_optimizer_desc *o, element *e, double g)
{
    e->a = o->beta1 * e->a + (1 - o->beta1) * g;
    e->b = o->beta2 * e->b + (1 - o->beta2) * g * g;
}

static double adam(const tl_optimizer_desc *o, element *e, double g, int t)
{
    moments(o, e, g);
    e->c = fmax(e->c, e->b);
    const double v = o->amsgrad ? e->c : e->b, first = 1 - pow(o->beta1, t), second = 1 - pow(o->beta2, t);
    if (o->style == TL_KERAS) return -o->lr * sqrt(second) / first * e->a / (sqrt(v) + o->epsilon);
    return -o->lr * (e->a / first) / (sqrt(v / second) + o->epsilon);
}

static double nadam(const tl_optimizer_desc *o, element *e, double g, int t)
{
    const double psi = o->style == TL_TORCH ? o->momentum_decay : 1;
    const double u = o->beta1 * (1 - 0.5 * pow(0.96, t * psi)), next = o->beta1 * (1 - 0.5 * pow(0.96, (t + 1) * psi));
    moments(o, e, g);
    e->product = (t == 1 ? 1 : e->product) * u;
    const double m = next * e->a / (1 - e->product * next) + (1 - u) * g / (1 - e->product);
    return -o->lr * m / (sqrt(e->b / (1 - pow(o->beta2, t))) + o->epsilon);
}

static double radam(const tl_optimizer_desc *o, element *e, double g, int t)
{
    moments(o, e, g);
    const double m = e->a / (1 - pow(o->beta1, t)), q = pow(o->beta2, t), R = 2 / (1 - o->beta2) - 1;
    const double r = R - 2 * t * q / (1 - q);
    if (r <= 5) return -o->lr * m;
    return -o->lr * m * sqrt((r - 4) * (r - 2) * R / ((R - 4) * (R - 2) * r)) * sqrt(1 - q) / (sqrt(e->b) + o->epsilon);
}

static double adamax(const tl_optimizer_desc *o, element *e, double g, int t)
{
    const bool torch = o->style == TL_TORCH;
    e->a = o->beta1 * e->a + (1 - o->beta1) * g;
    e->b = fmax(o->beta2 * e->b, fabs(g) + (torch ? o->epsilon : 0));
    return -o->lr / (1 - pow(o->beta1, t)) * e->a / (e->b + (torch ? 0 : o->epsilon));
}

static double adagrad(const tl_optimizer_desc *o, element *e, double g, int t)
{
    e->a = (t == 1 ? o->start : e->a) + g * g;
    return -o->lr / (1 + (t - 1) * o->lr_decay) * g / rooted(o, e->a);
}

static double adadelta(const tl_optimizer_desc *o, element *e, double g, int t)
{
    (void)t;
    e->a = o->rho * e->a + (1 - o->rho) * g * g;
    const double d = sqrt(e->b + o->epsilon) / sqrt(e->a + o->epsilon) * g;
    e->b = o->rho * e->b + (1 - o->rho) * d * d;
    return -o->lr * d;
}

static double lion(const tl_optimizer_desc *o, element *e, double g, int t)
{
    (void)t;
    const double c = o->beta1 * e->a + (1 - o->beta1) * g;
    e->a = o->beta2 * e->a + (1 - o->beta2) * g;
    return c > 0 ? -o->lr : c < 0 ? o->lr : 0;
}

static double ftrl(const tl_optimizer_desc *o, element *e, double g, int t)
{
    const double v = t == 1 ? o->start : e->a, V = v + g * g;
    e->a = V;
    e->b += g + 2 * o->shrinkage * e->w - (pow(V, o->power) - pow(v, o->power)) / o->lr * e->w;
    const double inner = fmin(fmax(e->b, -o->l1), o->l1);
    return (inner - e->b) / (pow(V, o->power) / o->lr + 2 * o->l2 + o->beta / o->lr) - e->w;
}

static double asgd(const tl_optimizer_desc *o, element *e, double g, int t)
{
    const double eta = o->lr / pow(1 + o->lambda * o->lr * (t - 1), o->alpha);
    return -o->lambda * eta * e->w - eta * g;
}

static double rprop(const tl_optimizer_desc *o, element *e, double g, int t)
{
    const double step = t == 1 ? o->lr : e->b, turn = g * e->a;
    e->b = fmin(fmax(step * (turn > 0 ? o->grow : turn < 0 ? o->shrink : 1), o->step_min), o->step_max);
    e->a = turn < 0 ? 0 : g;
    return e->a > 0 ? -e->b : e->a < 0 ? e->b : 0;
}

static double (*const formula[])(const tl_optimizer_desc *o, element *e, double g, int t) = {
    [TL_SGD] = sgd,     [TL_RMSPROP] = rmsprop, [TL_ADAM] = adam,       [TL_ADAMW] = adam,        [TL_NADAM] = nadam,
    [TL_RADAM] = radam, [TL_ADAMAX] = adamax,   [TL_ADAGRAD] = adagrad, [TL_ADADELTA] = adadelta, [TL_LION] = lion,
    [TL_FTRL] = ftrl,   [TL_ASGD] = asgd,       [TL_RPROP] = rprop,
};

/* Weight decay and the direction are the same for all. */
static void reference(const tl_optimizer_desc *o, element *e, double g, int t)
{
    const bool decoupled = o->style == TL_KERAS || o->rule == TL_ADAMW || o->rule == TL_LION;
    g = (o->maximize ? -g : g) + (decoupled ? 0 : o->weight_decay * e->w);
    if (decoupled) e->w -= o->lr * o->weight_decay * e->w;
    e->w += formula[o->rule](o, e, g, t);
}

static void follows(tl_dtype dtype, tl_optimizer_desc desc)
{
    double start[N], g[N];
    element e[N];
    for (int i = 0; i < N; i++) e[i] = (element){ .w = start[i] = some(1000 + i) };
    bench b = make(dtype, start, desc);
    const tl_optimizer_desc full = tl_optimizer_options(b.optimizer);
    for (int t = 1; t <= 12; t++) {
        for (int i = 0; i < N; i++) reference(&full, &e[i], g[i] = some(N * t + i), t);
        run(&b, g);
        cr_assert(!tl_optimizer_step(b.optimizer, b.session), "%s", tl_message());
        for (int i = 0; i < N; i++)
            close_to(weight(&b, i), e[i].w, dtype == TL_F64 ? 1e-12 : 2e-5, "weight", i); /* f32: 12 steps' roundings */
    }
    cr_assert(tl_optimizer_steps(b.optimizer) == 12);
    drop(&b);
}

/* Every rule with its defaults, and with all its options at other numbers. */
#define D(...)                                                                                                         \
    {                                                                                                                  \
        __VA_ARGS__, .size = sizeof(tl_optimizer_desc)                                                                 \
    }
static const tl_optimizer_desc descs[] = {
    D(.rule = TL_SGD),
    D(.rule = TL_SGD, .lr = 0.1, .momentum = 0.9),
    D(.rule = TL_SGD, .lr = 0.1, .momentum = 0.9, .nesterov = true),
    D(.rule = TL_RMSPROP),
    D(.rule = TL_RMSPROP, .lr = 0.02, .rho = 0.7, .epsilon = 1e-3, .momentum = 0.5),
    D(.rule = TL_RMSPROP, .rho = TL_ZERO),
    D(.rule = TL_RMSPROP, .lr = 0.02, .rho = 0.7, .centered = true),
    D(.rule = TL_RMSPROP, .lr = 0.02, .momentum = 0.5, .centered = true),
    D(.rule = TL_ADAM),
    D(.rule = TL_ADAM, .lr = 0.05, .beta1 = TL_ZERO, .beta2 = 0.9, .epsilon = 1e-2),
    D(.rule = TL_ADAM, .lr = 0.05, .beta2 = 0.6, .amsgrad = true),
    D(.rule = TL_ADAMW, .lr = 0.05),
    D(.rule = TL_NADAM, .lr = 0.05, .beta1 = 0.8),
    D(.rule = TL_RADAM, .lr = 0.05),
    D(.rule = TL_ADAMAX, .lr = 0.05, .beta2 = 0.7, .epsilon = 1e-2),
    D(.rule = TL_ADAGRAD, .lr = 0.05),
    D(.rule = TL_ADAGRAD, .start = 0.7, .epsilon = 1e-2),
    D(.rule = TL_ADADELTA, .lr = 0.5),
    D(.rule = TL_LION, .lr = 0.05),
    D(.rule = TL_FTRL, .lr = 0.05),
    D(.rule = TL_FTRL, .lr = 0.5, .power = 0.7, .start = 0.3, .l1 = 0.2, .l2 = 0.1, .shrinkage = 0.05, .beta = 0.3),
    D(.rule = TL_ASGD, .lambda = 0.1, .t0 = 4),
    D(.rule = TL_RPROP, .step_max = 0.1, .shrink = 0.4, .grow = 1.3),
};
enum { DESCS = sizeof descs / sizeof *descs };

Test(optimizer, follows_its_formula)
{
    for (int k = 0; k < 16 * DESCS; k++) {
        tl_optimizer_desc d = descs[k / 16];
        d.style = k & 1 ? TL_TORCH : TL_KERAS;
        d.weight_decay = k & 2 ? 0.1 : d.rule == TL_ADAMW ? TL_ZERO : 0;
        d.maximize = k & 4;
        follows(k & 8 ? TL_F64 : TL_F32, d);
    }
    follows(TL_F64, tl_sgd(.momentum = 0.9, .dampening = 0.3, .style = TL_TORCH));
    follows(TL_F64, tl_adagrad(.lr_decay = 0.2, .style = TL_TORCH));
    follows(TL_F64, tl_nadam(.momentum_decay = 0.5, .style = TL_TORCH));
    follows(TL_F64, tl_adamw());
}

/* All numbers of the two are the same. */
static bool alike(const tl_optimizer_desc *a, const tl_optimizer_desc *b)
{
    const size_t from = offsetof(tl_optimizer_desc, lr), to = offsetof(tl_optimizer_desc, nesterov);
    return !memcmp((const char *)a + from, (const char *)b + from, to - from) && a->weight_decay == b->weight_decay;
}

/* The defaults of both, as their pages give them. */
/* v - a a is 0 but for rounding where the gradient stays the same. */
Test(optimizer, takes_no_root_of_a_negative_variance)
{
    double start[N] = { 0 }, g[N];
    for (int i = 0; i < N; i++) g[i] = 100 * some(i);
    bench b = make(TL_F32, start, tl_rmsprop(.rho = 0.5, .centered = true));
    run(&b, g);
    for (int t = 0; t < 100; t++) cr_assert(!tl_optimizer_step(b.optimizer, b.session));
    for (int i = 0; i < N; i++) cr_assert(isfinite(weight(&b, i)), "%g", g[i]);
    drop(&b);
}

Test(optimizer, has_the_defaults_of_its_style)
{
    static const tl_optimizer_desc want[] = {
        D(.rule = TL_SGD, .lr = 0.01),
        D(.rule = TL_RMSPROP, .lr = 0.001, .rho = 0.9, .epsilon = 1e-7),
        D(.rule = TL_ADAM, .lr = 0.001, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-7),
        D(.rule = TL_ADAMW, .lr = 0.001, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-7, .weight_decay = 0.004),
        D(.rule = TL_NADAM, .lr = 0.001, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-7),
        D(.rule = TL_ADAMAX, .lr = 0.001, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-7),
        D(.rule = TL_ADAGRAD, .lr = 0.001, .start = 0.1, .epsilon = 1e-7),
        D(.rule = TL_ADADELTA, .lr = 0.001, .rho = 0.95, .epsilon = 1e-7),
        D(.rule = TL_LION, .lr = 0.001, .beta1 = 0.9, .beta2 = 0.99),
        D(.rule = TL_FTRL, .lr = 0.001, .power = 0.5, .start = 0.1),
        D(.rule = TL_SGD, .style = TL_TORCH, .lr = 0.001),
        D(.rule = TL_RMSPROP, .style = TL_TORCH, .lr = 0.01, .rho = 0.99, .epsilon = 1e-8),
        D(.rule = TL_ADAM, .style = TL_TORCH, .lr = 0.001, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8),
        D(.rule = TL_ADAMW, .style = TL_TORCH, .lr = 0.001, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8,
          .weight_decay = 0.01),
        D(.rule = TL_NADAM, .style = TL_TORCH, .lr = 0.002, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8,
          .momentum_decay = 0.004),
        D(.rule = TL_RADAM, .style = TL_TORCH, .lr = 0.001, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8),
        D(.rule = TL_ADAMAX, .style = TL_TORCH, .lr = 0.002, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8),
        D(.rule = TL_ADAGRAD, .style = TL_TORCH, .lr = 0.01, .epsilon = 1e-10),
        D(.rule = TL_ADADELTA, .style = TL_TORCH, .lr = 1, .rho = 0.9, .epsilon = 1e-6),
        D(.rule = TL_ASGD, .style = TL_TORCH, .lr = 0.01, .lambda = 1e-4, .alpha = 0.75, .t0 = 1e6),
        D(.rule = TL_RPROP, .style = TL_TORCH, .lr = 0.01, .shrink = 0.5, .grow = 1.2, .step_min = 1e-6,
          .step_max = 50),
    };
    tl_model *m = tl_model_new();
    for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
        const tl_optimizer_desc d = tl_optimizer_defaults(want[k].rule, want[k].style);
        cr_assert(alike(&d, &want[k]), "%zu", k);
        tl_optimizer *o = tl_optimizer_new(
            m, (tl_optimizer_desc){ .size = sizeof d, .rule = want[k].rule, .style = want[k].style });
        const tl_optimizer_desc made = tl_optimizer_options(o);
        cr_assert(alike(&made, &want[k]), "%zu", k);
        tl_optimizer_free(o);
    }
    tl_model_free(m);
}

/* ---- options -------------------------------------------------------------------------------------------------- */

static void refuses(tl_model *model, tl_optimizer_desc desc, const char *words)
{
    cr_assert(!tl_optimizer_new(model, desc), "%s", words);
    says(words);
}

Test(optimizer, refuses_options_that_make_no_sense)
{
    tl_model *m = tl_model_new();
    refuses(m, tl_sgd(.beta1 = 0.9), "tl_sgd has no option .beta1");
    refuses(m, tl_adam(.momentum = 0.9), "tl_adam has no option .momentum");
    refuses(m, tl_adam(.lr = -1), "tl_adam: .lr = -1");
    refuses(m, tl_adam(.lr = NAN), ".lr = nan");
    refuses(m, tl_adam(.lr = INFINITY), ".lr = inf");
    refuses(m, tl_adam(.beta2 = 1), ".beta2 = 1; it must be at least 0 and below 1");
    refuses(m, tl_rmsprop(.rho = -0.1), "tl_rmsprop: .rho");
    refuses(m, tl_sgd(.nesterov = true), ".nesterov is for tl_sgd with .momentum");
    refuses(m, tl_sgd(.nesterov = true, .momentum = 0.9, .dampening = 0.1, .style = TL_TORCH), "no .dampening");
    refuses(m, tl_sgd(.dampening = 0.1), "tl_sgd has no option .dampening in this style");
    refuses(m, tl_adagrad(.lr_decay = 0.1), "tl_adagrad has no option .lr_decay in this style");
    refuses(m, tl_adam(.nesterov = true), "tl_adam has no option .nesterov");
    refuses(m, tl_adam(.centered = true), "tl_adam has no option .centered");
    refuses(m, tl_lion(.amsgrad = true), "tl_lion has no option .amsgrad");
    refuses(m, tl_lion(.epsilon = 1e-7), "tl_lion has no option .epsilon");
    refuses(m, tl_adam(.weight_decay = -1), "tl_adam: .weight_decay = -1");
    refuses(m, tl_adam(.weight_decay = INFINITY), "tl_adam: .weight_decay = inf");
    refuses(m, tl_ftrl(.power = NAN), "tl_ftrl: .power = nan");
    refuses(m, tl_ftrl(.lr = TL_ZERO), "tl_ftrl: .lr must be above 0");
    refuses(m, tl_adam(.clip_norm = -1), ".clip_norm = -1 is negative");
    refuses(m, tl_adam(.clip_each = NAN), ".clip_each = nan");
    refuses(m, tl_adam(.accumulate = -2), ".accumulate is negative");
    refuses(m, tl_adam(.ema = 1), ".ema = 1; it must be below 1");
    refuses(m, tl_adam(.ema = 0.9, .swa_every = 2), "exclude each other");
    refuses(m, tl_adam(.ema_overwrite = 2), ".ema_overwrite needs .ema");
    refuses(m, tl_adam(.swa_start = 2), ".swa_start needs .swa_every");
    refuses(m, tl_adam(.style = 7), "a description is made by");
    refuses(m, tl_adam(.groups = { { "*", .lr_factor = -1 } }), "group \"*\": .lr_factor -1");
    refuses(m, tl_adam(.groups = { { "*", .weight_decay = NAN } }), ".weight_decay nan");
    refuses(m, tl_adam(.schedule = tl_cosine_decay()), "tl_cosine_decay: .steps must be given");
    refuses(m, tl_adam(.schedule = { .kind = TL_COSINE }), "a schedule is made by");
    refuses(m, (tl_optimizer_desc){ .rule = TL_ADAM }, "a description is made by");
    refuses(m, (tl_optimizer_desc){ .size = sizeof(tl_optimizer_desc), .rule = 77 }, "a description is made by");
    refuses(NULL, tl_adam(), "no model");
    tl_optimizer *o = tl_optimizer_new(m, tl_adam(.lr = 0.5, .epsilon = TL_ZERO));
    const tl_optimizer_desc d = tl_optimizer_options(o);
    cr_assert(d.lr == 0.5 && d.beta1 == 0.9 && d.beta2 == 0.999 && d.epsilon == 0);
    cr_assert(tl_optimizer_defaults(TL_RMSPROP, TL_KERAS).rho == 0.9 && tl_optimizer_defaults(0, TL_KERAS).size == 0);
    cr_assert(tl_optimizer_set_lr(o, -1) == TL_E_ARGUMENT && tl_optimizer_set_lr(o, NAN) == TL_E_ARGUMENT);
    cr_assert(!tl_optimizer_set_lr(o, 0) && tl_optimizer_lr(o) == 0);
    tl_optimizer_free(o);
    tl_optimizer_free(NULL);
    tl_model_free(m);
    cr_assert(tl_live_bytes() == 0);
}

/* ---- what must stay as it is ------------------------------------------------------------------------------------- */

Test(optimizer, leaves_frozen_parameters_and_their_moments_alone)
{
    double start[N] = { 0 }, g[N];
    for (int i = 0; i < N; i++) g[i] = 1;
    bench b = make(TL_F64, start, tl_sgd(.lr = 1, .momentum = 0.5));
    run(&b, g);
    cr_assert(tl_model_freeze(b.model, "w", true) == 1);
    cr_assert(!tl_optimizer_step(b.optimizer, b.session));
    cr_assert(weight(&b, 0) == 0 && weight(&b, W - 1) == 0 && weight(&b, W) == -1 && weight(&b, N - 1) == -1);
    tl_model_freeze(b.model, "*", false);
    run(&b, g);
    cr_assert(!tl_optimizer_step(b.optimizer, b.session));
    cr_assert(weight(&b, 0) == -1, "no momentum had gathered");
    cr_assert(weight(&b, W) == -2.5);
    drop(&b);
}

Test(optimizer, leaves_parameters_that_the_loss_does_not_reach_alone)
{
    double start[N] = { 0 }, g[N];
    for (int i = 0; i < N; i++) g[i] = 1;
    bench b = make(TL_F64, start, tl_adam(.lr = 1));
    tl_tape *tape = tl_tape_new(b.model, .training = true); /* a second loss, of b alone */
    tl_scope *s = tl_root(tape);
    tl_tensor w = tl_param(s, "w", TL_DIMS(3, 4)), v = tl_param(s, "b", TL_DIMS(4));
    tl_output(s, "w", w);
    tl_backward(tl_sum(tl_square(tl_add_scalar(v, 3)), TL_ALL));
    tl_plan *plan = tl_compile(tape);
    tl_tape_free(tape);
    run(&b, g); /* leaves gradients of w in the session, which are not to be used again */
    cr_assert(!tl_run(b.session, plan, NULL, 0), "%s", tl_message());
    cr_assert(!tl_optimizer_step(b.optimizer, b.session));
    for (int i = 0; i < W; i++) cr_assert(weight(&b, i) == 0);
    cr_assert(fabs(weight(&b, W) + 1) < 1e-6);
    tl_plan_free(plan);
    drop(&b);
}

Test(optimizer, grows_with_the_model)
{
    double start[N] = { 0 }, g[N];
    for (int i = 0; i < N; i++) g[i] = 1;
    bench b = make(TL_F32, start, tl_sgd(.lr = 1, .momentum = 0.5));
    run(&b, g);
    cr_assert(!tl_optimizer_step(b.optimizer, b.session));
    tl_tape *tape = tl_tape_new(b.model, .training = true);
    tl_scope *s = tl_root(tape);
    tl_backward(tl_sum(tl_add(tl_param(s, "late", TL_DIMS(4)), tl_param(s, "b", TL_DIMS(4))), TL_ALL));
    tl_plan *plan = tl_compile(tape);
    cr_assert(plan, "%s", tl_message());
    tl_tape_free(tape);
    cr_assert(!tl_run(b.session, plan, NULL, 0));
    cr_assert(!tl_optimizer_step(b.optimizer, b.session));
    cr_assert(weight(&b, W) == -2.5 && weight(&b, N) == -1 && weight(&b, N + 3) == -1);
    tl_plan_free(plan);
    drop(&b);
}

Test(optimizer, needs_gradients_of_its_own_model)
{
    double start[N] = { 0 };
    bench b = make(TL_F32, start, tl_adam()), c = make(TL_F32, start, tl_adam());
    cr_assert(tl_optimizer_step(b.optimizer, b.session) == TL_E_OUTPUT);
    says("tl_backward");
    cr_assert(tl_clip_value(b.session, 1) == TL_E_OUTPUT && tl_clip_global_norm(b.session, 1, NULL) == TL_E_OUTPUT);
    cr_assert(tl_optimizer_step(b.optimizer, c.session) == TL_E_ARGUMENT);
    says("another model");
    cr_assert(tl_optimizer_step(NULL, b.session) == TL_E_ARGUMENT &&
              tl_optimizer_step(b.optimizer, NULL) == TL_E_ARGUMENT);
    cr_assert(tl_optimizer_steps(b.optimizer) == 0);
    run(&b, start);
    for (uint64_t n = 1;; n++) { /* moments that cannot be had */
        tl_fail_allocation(n);
        const tl_status status = tl_optimizer_step(b.optimizer, b.session);
        tl_fail_allocation(0);
        if (!status) break;
        cr_assert(status == TL_E_MEMORY && tl_optimizer_steps(b.optimizer) == 0);
    }
    tl_optimizer_free(c.optimizer);
    tl_session_free(c.session);
    tl_plan_free(c.plan);
    tl_model_free(c.model);
    drop(&b);
}

Test(optimizer, flushes_denormals_and_gives_the_mode_back)
{
    if (on_valgrind()) return;
    double start[N] = { 1e-40 }, g[N] = { 0 };
    bench b = make(TL_F32, start, tl_sgd());
    run(&b, g);
    cr_assert(weight(&b, 0) > 0 && !tl_optimizer_step(b.optimizer, b.session) && weight(&b, 0) == 0);
    volatile float tiny = 1e-38f;
    tiny *= 0.01f;
    cr_assert(tiny > 0);
    drop(&b);
}

/* ---- groups --------------------------------------------------------------------------------------------------- */

Test(optimizer, groups_have_their_own_rates_decay_and_frost)
{
    double start[N], g[N];
    for (int i = 0; i < N; i++) start[i] = 2, g[i] = 1;
    char pattern[8] = "b*"; /* gone after tl_optimizer_new() */
    tl_optimizer_desc d = tl_sgd(.lr = 0.5, .weight_decay = 0.1);
    d.groups[0] = (tl_param_group){ pattern, .weight_decay = TL_ZERO, .lr_factor = 0.5 };
    d.groups[1] = (tl_param_group){ "*" }; /* comes too late for b */
    bench b = make(TL_F64, start, d);
    strcpy(pattern, "gone");
    run(&b, g);
    cr_assert(!tl_optimizer_step(b.optimizer, b.session), "%s", tl_message());
    for (int i = 0; i < N; i++) cr_assert(weight(&b, i) == (i < W ? 2 - 0.5 * 0.1 * 2 - 0.5 : 2 - 0.25), "%d", i);
    drop(&b);
    b = make(TL_F64, start, tl_sgd(.lr = 1, .clip_norm = 1, .groups = { { "w", .frozen = true } }));
    run(&b, g);
    cr_assert(!tl_optimizer_step(b.optimizer, b.session));
    cr_assert(tl_optimizer_norm(b.optimizer) == 2, "what is frozen has no part in the norm");
    for (int i = 0; i < N; i++) cr_assert(weight(&b, i) == (i < W ? 2 : 1.5), "%d", i);
    drop(&b);
    b = make(TL_F64, start, tl_sgd(.groups = { { "*" }, { "W" } }));
    run(&b, g);
    cr_assert(tl_optimizer_step(b.optimizer, b.session) == TL_E_NAME && tl_optimizer_steps(b.optimizer) == 0);
    says("group \"W\" fits no parameter");
    drop(&b);
}

/* ---- learning rates ------------------------------------------------------------------------------------------- */

static double broken(int64_t k, void *ctx) { return (void)ctx, k < 2 ? 1 : NAN; }

Test(optimizer, follows_a_schedule_from_update_0)
{
    double start[N] = { 0 }, g[N], want = 0;
    for (int i = 0; i < N; i++) g[i] = 1;
    bench b = make(TL_F64, start, tl_sgd(.lr = 0.5, .schedule = tl_step_decay(.steps = 2, .factor = 0.25)));
    for (int t = 0; t < 5; t++) {
        const double lr = t < 2 ? 0.5 : t < 4 ? 0.125 : 0.03125;
        cr_assert(tl_optimizer_lr(b.optimizer) == lr);
        run(&b, g);
        cr_assert(!tl_optimizer_step(b.optimizer, b.session));
        cr_assert(weight(&b, 0) == (want -= lr));
    }
    cr_assert(tl_optimizer_set_lr(b.optimizer, 1) == TL_E_ARGUMENT);
    says("follows the optimizer's .schedule");
    drop(&b);
    b = make(TL_F64, start, tl_adam(.schedule = tl_schedule_function(.fn = broken)));
    run(&b, g);
    for (int t = 0; t < 2; t++) cr_assert(!tl_optimizer_step(b.optimizer, b.session));
    const double before = weight(&b, 0);
    cr_assert(tl_optimizer_step(b.optimizer, b.session) == TL_E_ARGUMENT && weight(&b, 0) == before);
    cr_assert(tl_optimizer_steps(b.optimizer) == 2);
    says("the learning rate at 2 is nan");
    drop(&b);
    b = make(TL_F64, start, tl_ftrl());
    run(&b, g);
    cr_assert(!tl_optimizer_set_lr(b.optimizer, 0) && tl_optimizer_step(b.optimizer, b.session) == TL_E_ARGUMENT);
    drop(&b);
}

/* Everything of one optimizer into another one. */
static void hand_over(const bench *b, tl_optimizer *from, tl_optimizer *to)
{
    static const char *const path[] = { "w", "b" };
    cr_assert(tl_optimizer_slots(to) == tl_optimizer_slots(from));
    for (int s = 0; s < tl_optimizer_slots(from); s++)
        for (int p = 0; p < 2; p++) {
            tl_array x, y;
            cr_assert(!tl_optimizer_slot(from, s, path[p], &x) && !tl_optimizer_slot(to, s, path[p], &y));
            cr_assert(x.dtype == b->dtype && x.rank == 2 - p && x.dim[0] == 3 + p && (p || x.dim[1] == 4));
            cr_assert(tl_optimizer_slot_name(to, s));
            memcpy(y.data, x.data, (size_t)(p ? B : W) * (b->dtype == TL_F64 ? 8 : 4));
        }
    cr_assert(!tl_optimizer_set_scalars(to, tl_optimizer_get_scalars(from)), "%s", tl_message());
}

/* ---- gradients of several runs ---------------------------------------------------------------------------------- */

/* Each pair of desc and gradients gives the weights that one update from their mean or sum would. */
Test(optimizer, accumulates_what_one_large_batch_would_give)
{
    double start[N], part[3][N], whole[N];
    for (int k = 0; k < 4 * DESCS; k++) {
        tl_optimizer_desc d = descs[k / 4], big = d;
        d.accumulate = 3, d.accumulate_sum = k & 1;
        d.clip_norm = big.clip_norm = 2, d.clip_value = big.clip_value = 1.5;
        for (int i = 0; i < N; i++) start[i] = some(50 + i);
        bench a = make(k & 2 ? TL_F64 : TL_F32, start, d), b = make(k & 2 ? TL_F64 : TL_F32, start, big);
        for (int t = 0; t < 3; t++) {
            for (int i = 0; i < N; i++) {
                whole[i] = 0;
                for (int j = 0; j < 3; j++) whole[i] += part[j][i] = some(3 * N * t + N * j + i);
                if (!d.accumulate_sum) whole[i] /= 3;
            }
            for (int j = 0; j < 3; j++) {
                const double before = weight(&a, 0);
                run(&a, part[j]);
                cr_assert(!tl_optimizer_step(a.optimizer, a.session), "%s", tl_message());
                cr_assert(tl_optimizer_steps(a.optimizer) == (uint64_t)(t + (j == 2)));
                cr_assert(j == 2 || weight(&a, 0) == before, "only the last run updates");
            }
            run(&b, whole);
            cr_assert(!tl_optimizer_step(b.optimizer, b.session));
            for (int i = 0; i < N; i++) /* sums are rounded in another order */
                close_to(weight(&a, i), weight(&b, i), k & 2 ? 1e-12 : 3e-5, "weight", i);
        }
        tl_optimizer_free(b.optimizer), tl_session_free(b.session), tl_plan_free(b.plan), tl_model_free(b.model);
        drop(&a);
    }
}

/* A run that reaches b alone, whose gradients are 2 (b + 3). */
static tl_plan *of_b_alone(const bench *b)
{
    tl_tape *tape = tl_tape_new(b->model, .training = true);
    tl_scope *s = tl_root(tape);
    tl_output(s, "w", tl_param(s, "w", TL_DIMS(3, 4)));
    tl_backward(tl_sum(tl_square(tl_add_scalar(tl_param(s, "b", TL_DIMS(4)), 3)), TL_ALL));
    tl_plan *plan = tl_compile(tape);
    cr_assert(plan, "%s", tl_message());
    tl_tape_free(tape);
    return plan;
}

Test(optimizer, accumulates_what_any_of_the_runs_has_reached)
{
    double start[N] = { 0 }, g[N], bad[N];
    for (int i = 0; i < N; i++) g[i] = bad[i] = 1;
    bad[5] = NAN;
    bench b = make(TL_F64, start, tl_sgd(.lr = 1, .momentum = 0.5, .accumulate = 2, .clip_norm = INFINITY));
    tl_plan *alone = of_b_alone(&b);
    for (int round = 0; round < 2; round++) { /* both orders: w is reached by one of the two runs */
        for (int j = 0; j < 2; j++) {
            if (j == round) run(&b, g);
            else cr_assert(!tl_run(b.session, alone, NULL, 0));
            cr_assert(!tl_optimizer_step(b.optimizer, b.session), "%s", tl_message());
        }
        cr_assert(weight(&b, 0) == (round ? -1.25 : -0.5), "%g", weight(&b, 0));
    }
    for (int j = 0; j < 2; j++) {
        cr_assert(!tl_run(b.session, alone, NULL, 0) && !tl_optimizer_step(b.optimizer, b.session));
    }
    cr_assert(weight(&b, 0) == -1.25, "not reached: not even by its momentum");
    run(&b, g);
    cr_assert(!tl_optimizer_step(b.optimizer, b.session));
    run(&b, bad);
    cr_assert(tl_optimizer_step(b.optimizer, b.session) == TL_E_NONFINITE);
    cr_assert(tl_optimizer_get_scalars(b.optimizer).accumulated == 1, "the bad run is left out");
    run(&b, g);
    cr_assert(!tl_optimizer_step(b.optimizer, b.session) && isfinite(weight(&b, 5)));
    run(&b, g); /* w is reached by the first of two runs, and another optimizer takes over between them */
    cr_assert(!tl_optimizer_step(b.optimizer, b.session));
    tl_optimizer *other = tl_optimizer_new(b.model, tl_optimizer_options(b.optimizer));
    hand_over(&b, b.optimizer, other);
    tl_optimizer_free(b.optimizer);
    b.optimizer = other;
    const double before = weight(&b, 0);
    cr_assert(!tl_run(b.session, alone, NULL, 0) && !tl_optimizer_step(other, b.session));
    cr_assert(weight(&b, 0) < before);
    tl_plan_free(alone);
    drop(&b);
}

/* ---- averages ------------------------------------------------------------------------------------------------- */

Test(optimizer, keeps_exponential_averages_and_puts_them_in_place)
{
    double start[N], g[N], w[N], mean[N];
    for (int i = 0; i < N; i++) w[i] = start[i] = some(i);
    bench b = make(TL_F64, start, tl_sgd(.lr = 0.5, .ema = 0.75, .ema_overwrite = 3));
    cr_assert(!tl_optimizer_swap_averages(b.optimizer)); /* before any update they are the parameters */
    for (int i = 0; i < N; i++) cr_assert(weight(&b, i) == w[i]);
    for (int t = 1; t <= 7; t++) {
        for (int i = 0; i < N; i++) g[i] = some(N * t + i);
        run(&b, g);
        cr_assert(!tl_optimizer_step(b.optimizer, b.session));
        for (int i = 0; i < N; i++) {
            w[i] -= 0.5 * g[i];
            mean[i] = t == 1 ? w[i] : 0.75 * mean[i] + 0.25 * w[i];
            if (t % 3 == 0) w[i] = mean[i];
            cr_assert(weight(&b, i) == w[i], "update %d", t);
        }
    }
    tl_array a;
    cr_assert(tl_optimizer_slots(b.optimizer) == 1 && !strcmp(tl_optimizer_slot_name(b.optimizer, 0), "average"));
    cr_assert(!tl_optimizer_slot(b.optimizer, 0, "b", &a) && ((const double *)a.data)[0] == mean[W]);
    tl_model_freeze(b.model, "b", true);
    cr_assert(!tl_optimizer_swap_averages(b.optimizer));
    for (int i = 0; i < N; i++) cr_assert(weight(&b, i) == (i < W ? mean[i] : w[i]), "frozen parameters stay");
    cr_assert(!tl_optimizer_swap_averages(b.optimizer));
    for (int i = 0; i < N; i++) cr_assert(weight(&b, i) == w[i]);
    drop(&b);
    b = make(TL_F64, start, tl_sgd());
    cr_assert(tl_optimizer_swap_averages(b.optimizer) == TL_E_ARGUMENT);
    says("none are kept");
    drop(&b);
}

Test(optimizer, keeps_the_mean_of_every_kth_update)
{
    double start[N] = { 0 }, g[N], w = 0, sum = 0;
    int n = 0;
    bench b = make(TL_F64, start, tl_sgd(.lr = 1, .swa_every = 2, .swa_start = 3));
    for (int t = 1; t <= 8; t++) {
        for (int i = 0; i < N; i++) g[i] = t;
        run(&b, g);
        cr_assert(!tl_optimizer_step(b.optimizer, b.session));
        w -= t;
        if (t == 3 || t == 5 || t == 7) sum += w, n++;
    }
    cr_assert(weight(&b, 0) == w && !tl_optimizer_swap_averages(b.optimizer));
    close_to(weight(&b, 0), sum / n, 1e-15, "mean", 0);
    drop(&b);
}

/* ---- saving and resuming --------------------------------------------------------------------------------------- */

/* Weights after 9 runs, with another optimizer taking over after each of `stop` (0: never). */
static void trained(tl_dtype dtype, tl_optimizer_desc desc, int stop, double *out)
{
    double start[N], g[N];
    for (int i = 0; i < N; i++) start[i] = some(50 + i);
    bench b = make(dtype, start, desc);
    for (int t = 1; t <= 9; t++) {
        for (int i = 0; i < N; i++) g[i] = some(N * t + i);
        run(&b, g);
        cr_assert(!tl_optimizer_step(b.optimizer, b.session), "%s", tl_message());
        if (t != stop) continue;
        tl_optimizer *old = b.optimizer;
        b.optimizer = tl_optimizer_new(b.model, desc);
        hand_over(&b, old, b.optimizer);
        tl_optimizer_free(old);
    }
    for (int i = 0; i < N; i++) out[i] = weight(&b, i);
    drop(&b);
}

/* A second optimizer, given the arrays and scalars of the first one, goes on with the same bits. */
Test(optimizer, goes_on_from_what_another_remembered)
{
    double want[N], got[N];
    for (int k = 0; k < 4 * DESCS; k++) {
        tl_optimizer_desc d = descs[k / 4];
        if (k & 1) d.accumulate = 4, d.ema = 0.5, d.ema_overwrite = 2;
        if (k & 2) d.schedule = tl_exponential_decay(.factor = 0.9);
        trained(TL_F32 + k % 2, d, 0, want);
        for (int stop = 1; stop < 9; stop += 2) {
            trained(TL_F32 + k % 2, d, stop, got);
            cr_assert(!memcmp(want, got, sizeof got), "desc %d, after %d", k / 4, stop);
        }
    }
}

Test(optimizer, refuses_what_it_cannot_have_remembered)
{
    double start[N] = { 0 };
    bench b = make(TL_F64, start, tl_nadam(.accumulate = 3));
    tl_array a;
    cr_assert(tl_optimizer_slots(b.optimizer) == 3 && !strcmp(tl_optimizer_slot_name(b.optimizer, 2), "sum"));
    cr_assert(tl_optimizer_slot(b.optimizer, 0, "nowhere", &a) == TL_E_NAME);
    cr_assert(tl_optimizer_slot(b.optimizer, 3, "w", &a) == TL_E_ARGUMENT);
    cr_assert(!tl_optimizer_slot_name(b.optimizer, -1) && !tl_optimizer_slot_name(b.optimizer, 3));
    const tl_optimizer_scalars good = tl_optimizer_get_scalars(b.optimizer);
    tl_optimizer_scalars s[] = { good, good, good, good, good };
    s[0].lr = NAN, s[1].lr = -1, s[2].accumulated = 3, s[3].product = 1.5, s[4].product = NAN;
    for (int k = 0; k < 5; k++) cr_assert(tl_optimizer_set_scalars(b.optimizer, s[k]) == TL_E_ARGUMENT, "%d", k);
    cr_assert(tl_optimizer_set_scalars(NULL, good) == TL_E_ARGUMENT);
    s[0] = good;
    s[0].steps = 77, s[0].accumulated = 2, s[0].product = 0.5;
    cr_assert(!tl_optimizer_set_scalars(b.optimizer, s[0]) && tl_optimizer_steps(b.optimizer) == 77);
    drop(&b);
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

Test(optimizer, survives_every_allocation_failing)
{
    double start[N] = { 0 }, g[N];
    for (int i = 0; i < N; i++) g[i] = 1;
    const tl_optimizer_desc desc = tl_rmsprop(.lr = 1, .centered = true, .momentum = 0.5, .accumulate = 2, .ema = 0.5,
                                              .groups = { { "w", .lr_factor = 2 }, { "b*" } });
    bench b = make(TL_F64, start, tl_sgd());
    run(&b, g);
    tl_optimizer_free(b.optimizer);
    for (uint64_t n = 1;; n++) {
        tl_fail_allocation(n);
        b.optimizer = tl_optimizer_new(b.model, desc);
        tl_fail_allocation(0);
        if (b.optimizer) break;
        cr_assert(n < 10);
        says("out of memory");
    }
    for (uint64_t n = 1;; n++) {
        tl_fail_allocation(n);
        const tl_status status = tl_optimizer_step(b.optimizer, b.session);
        tl_fail_allocation(0);
        if (!status) break;
        cr_assert(n < 10 && status == TL_E_MEMORY && tl_optimizer_get_scalars(b.optimizer).accumulated == 0);
    }
    const uint64_t before = tl_allocations();
    for (int t = 0; t < 5; t++) cr_assert(!tl_optimizer_step(b.optimizer, b.session));
    cr_assert(tl_allocations() == before, "a step allocates once");
    cr_assert(tl_optimizer_steps(b.optimizer) == 3 && weight(&b, 0) < weight(&b, W) && weight(&b, W) < 0);
    drop(&b);
}

/* ---- clipping ------------------------------------------------------------------------------------------------- */

static double gradient(const bench *b, int i)
{
    return value(tl_session_gradients(b->session, NULL, NULL), b->dtype, i);
}

Test(clipping, by_value_keeps_what_is_inside)
{
    double start[N] = { 0 }, g[N];
    for (tl_dtype d = TL_F32; d <= TL_F64; d++) {
        bench b = make(d, start, tl_sgd());
        for (int i = 0; i < N; i++) g[i] = some(i);
        g[3] = NAN;
        g[4] = INFINITY;
        run(&b, g);
        cr_assert(!tl_clip_value(b.session, 0.5));
        for (int i = 0; i < N; i++)
            if (i != 3) cr_assert(gradient(&b, i) == fmin(fmax(g[i], -0.5), 0.5));
        cr_assert(isnan(gradient(&b, 3)), "a NaN stays");
        cr_assert(tl_clip_value(b.session, 0) == TL_E_ARGUMENT && tl_clip_value(b.session, NAN) == TL_E_ARGUMENT);
        cr_assert(tl_clip_value(NULL, 1) == TL_E_ARGUMENT);
        drop(&b);
    }
}

Test(clipping, by_norm_scales_all_together)
{
    double start[N] = { 0 }, g[N], square = 0, norm;
    for (int i = 0; i < N; i++) {
        g[i] = some(i);
        square += g[i] * g[i];
    }
    for (tl_dtype d = TL_F32; d <= TL_F64; d++) {
        bench b = make(d, start, tl_sgd());
        run(&b, g);
        cr_assert(!tl_clip_global_norm(b.session, INFINITY, &norm));
        close_to(norm, sqrt(square), 1e-14, "norm", 0);
        cr_assert(!tl_clip_global_norm(b.session, norm, NULL));
        for (int i = 0; i < N; i++) cr_assert(gradient(&b, i) == g[i], "small enough: no bit changes");
        cr_assert(!tl_clip_global_norm(b.session, 0.25, &norm));
        close_to(norm, sqrt(square), 1e-14, "norm before", 0);
        for (int i = 0; i < N; i++) close_to(gradient(&b, i), g[i] * 0.25 / norm, d == TL_F64 ? 1e-14 : 1e-6, "g", i);
        cr_assert(tl_clip_global_norm(b.session, 0, NULL) == TL_E_ARGUMENT);
        cr_assert(tl_clip_global_norm(b.session, NAN, NULL) == TL_E_ARGUMENT);
        drop(&b);
    }
}

/* Scaling within the update has the bits of scaling before it, and leaves the gradients alone. */
Test(clipping, within_the_update_is_the_same)
{
    double start[N], g[N], norm;
    for (int k = 0; k < 2 * DESCS; k++) {
        for (int i = 0; i < N; i++) start[i] = some(50 + i);
        bench a = make(TL_F32 + k % 2, start, descs[k / 2]), b = make(TL_F32 + k % 2, start, descs[k / 2]);
        for (int t = 1; t < 4; t++) {
            for (int i = 0; i < N; i++) g[i] = some(N * t + i);
            run(&a, g);
            run(&b, g);
            cr_assert(!tl_clip_global_norm(b.session, INFINITY, &norm));
            cr_assert(!tl_clip_global_norm(a.session, 0.3, NULL) && !tl_optimizer_step(a.optimizer, a.session));
            cr_assert(!tl_optimizer_step_scaled(b.optimizer, b.session, 0.3 / norm));
            for (int i = 0; i < N; i++) cr_assert(weight(&a, i) == weight(&b, i) && gradient(&b, i) == g[i], "%d", i);
        }
        cr_assert(tl_optimizer_step_scaled(b.optimizer, b.session, NAN) == TL_E_ARGUMENT);
        says("scale nan");
        tl_optimizer_free(a.optimizer);
        tl_session_free(a.session);
        tl_plan_free(a.plan);
        tl_model_free(a.model);
        drop(&b);
    }
}

Test(clipping, by_norm_does_not_spread_what_is_not_finite)
{
    double start[N] = { 0 }, g[N], norm;
    const double bad[] = { NAN, INFINITY, -INFINITY };
    for (int k = 0; k < 3; k++) {
        bench b = make(TL_F32, start, tl_sgd());
        for (int i = 0; i < N; i++) g[i] = i;
        g[7] = bad[k];
        run(&b, g);
        cr_assert(tl_clip_global_norm(b.session, 1, &norm) == TL_E_NONFINITE && !isfinite(norm));
        says("nothing was scaled");
        for (int i = 0; i < N; i++)
            if (i != 7) cr_assert(gradient(&b, i) == g[i]);
        drop(&b);
    }
}

/* Every form, from its formula; w has 12 elements, b has 4. */
Test(clipping, by_norm_in_its_other_forms)
{
    double start[N] = { 0 }, g[N], one = 0, most = 0, square[2] = { 0 }, norm;
    for (int i = 0; i < N; i++) {
        g[i] = some(i);
        one += fabs(g[i]), most = fmax(most, fabs(g[i])), square[i >= W] += g[i] * g[i];
    }
    const double two = sqrt(square[0] + square[1]);
    bench b = make(TL_F64, start, tl_sgd());
    const struct {
        double order, norm;
    } form[] = { { 1, one }, { 2, two }, { INFINITY, most } };
    for (int k = 0; k < 6; k++) {
        const double size = form[k / 2].norm, factor = k & 1 ? 0.7 / (size + 1e-6) : 0.7 / size;
        run(&b, g);
        cr_assert(!tl_clip_norm(b.session, 0.7, .order = form[k / 2].order, .style = k & 1, .norm = &norm));
        close_to(norm, size, 1e-14, "norm", k);
        for (int i = 0; i < N; i++) close_to(gradient(&b, i), g[i] * factor, 1e-14, "element", i);
    }
    run(&b, g);
    cr_assert(!tl_clip_norm(b.session, two + 1e-7, .style = TL_TORCH) && gradient(&b, 0) != g[0], "1e-6 counts");
    run(&b, g);
    cr_assert(!tl_clip_norm(b.session, two + 2e-6, .style = TL_TORCH) && gradient(&b, 0) == g[0]);
    run(&b, g);
    cr_assert(!tl_clip_norm(b.session, 2.5, .each = true));
    cr_assert(sqrt(square[0]) > 2.5 && sqrt(square[1]) < 2.5);
    for (int i = 0; i < N; i++) close_to(gradient(&b, i), i < W ? g[i] * 2.5 / sqrt(square[0]) : g[i], 1e-14, "g", i);
    cr_assert(tl_clip_norm(b.session, 1, .order = 3) == TL_E_ARGUMENT && tl_clip_norm(b.session, 0) == TL_E_ARGUMENT);
    cr_assert(tl_clip_norm(b.session, 1, .order = NAN) == TL_E_ARGUMENT);
    cr_assert(tl_clip_norm(b.session, 1, .each = true, .norm = &norm) == TL_E_ARGUMENT);
    g[W] = NAN;
    run(&b, g);
    cr_assert(tl_clip_norm(b.session, 1, .each = true) == TL_E_NONFINITE && gradient(&b, 0) == g[0]);
    says("the gradient of b");
    cr_assert(tl_clip_norm(b.session, 1, .order = INFINITY, .norm = &norm) == TL_E_NONFINITE && isnan(norm));
    drop(&b);
}

/* By the optimizer itself: what it does to the gradients comes before weight decay, in both styles. */
Test(clipping, by_the_optimizer_comes_before_weight_decay)
{
    double start[N], g[N], square[2] = { 0 };
    for (int i = 0; i < N; i++) start[i] = 4, g[i] = some(i), square[i >= W] += g[i] * g[i];
    for (int k = 0; k < 8; k++) {
        const bool torch = k & 4;
        tl_optimizer_desc d = tl_sgd(.lr = 0.5, .weight_decay = 0.1, .style = torch ? TL_TORCH : TL_KERAS);
        if ((k & 3) == 1) d.clip_value = 0.5;
        if ((k & 3) == 2) d.clip_each = 0.7;
        if ((k & 3) == 3) d.clip_norm = 0.7;
        bench b = make(TL_F64, start, d);
        run(&b, g);
        cr_assert(!tl_optimizer_step(b.optimizer, b.session));
        const double all = sqrt(square[0] + square[1]);
        cr_assert((k & 3) == 3 ? fabs(tl_optimizer_norm(b.optimizer) - all) < 1e-14
                               : isnan(tl_optimizer_norm(b.optimizer)));
        for (int i = 0; i < N; i++) {
            const double c = (k & 3) == 0   ? g[i]
                             : (k & 3) == 1 ? fmin(fmax(g[i], -0.5), 0.5)
                             : (k & 3) == 2 ? g[i] * 0.7 / fmax(0.7, sqrt(square[i >= W]))
                                            : g[i] * 0.7 / (all + (torch ? 1e-6 : 0));
            close_to(weight(&b, i), 4 - 0.5 * 0.1 * 4 - 0.5 * c, 1e-14, "weight", i);
        }
        g[3] = NAN;
        run(&b, g);
        const double before = weight(&b, 0);
        if ((k & 3) >= 2)
            cr_assert(tl_optimizer_step(b.optimizer, b.session) == TL_E_NONFINITE && weight(&b, 0) == before);
        g[3] = some(3);
        drop(&b);
    }
}
