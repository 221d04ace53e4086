/* tests/conformance_optim.c - optimizers step by step, learning rates, and clipping.
 *
 * Gradients are given: the model's loss is the sum of w grad_w over its parameters, with the grad_w as inputs. */
#include <stddef.h>

#include "conformance.h"

enum { PARAMS = 8 };

/* ---- a model whose gradients are what one says -------------------------------------------------------------------- */

typedef struct bench {
    tl_model *model;
    tl_plan *plan;
    tl_session *session;
    tl_array grad[PARAMS]; /* its data is the first step's; [steps, ...] without the first axis where there are steps */
    int n;
} bench;

static int64_t size_of(const tl_array *a)
{
    int64_t n = 1;
    for (int k = 0; k < a->rank; k++) n *= a->dim[k];
    return n;
}

static size_t element_of(const tl_array *a) { return a->dtype == TL_F64 ? 8 : 4; }

static tl_array without_first(tl_array a)
{
    for (int k = 1; k < a.rank; k++) a.dim[k - 1] = a.dim[k];
    a.rank--;
    return a;
}

/* Parameters p0, p1 ... that start at start[] (NULL: 0). */
static bool make_bench(bench *b, tl_dtype dtype, const tl_array *start)
{
    tl_tensor loss = TL_NONE;
    b->model = tl_model_new(.dtype = dtype);
    for (int k = 0; k < b->n; k++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", k);
        if (start && tl_model_set(b->model, name, &start[k])) return false;
    }
    tl_tape *tape = tl_tape_new(b->model, .training = true);
    tl_scope *s = tl_root(tape);
    for (int k = 0; k < b->n; k++) {
        char name[16], grad[16];
        snprintf(name, sizeof name, "p%d", k), snprintf(grad, sizeof grad, "g%d", k);
        const tl_tensor w = tl_param(s, name, b->grad[k].rank, b->grad[k].dim);
        const tl_tensor term = tl_sum(tl_mul(w, tl_input(s, grad, b->grad[k])), TL_ALL);
        loss = tl_absent(loss) ? term : tl_add(loss, term);
    }
    tl_backward(loss);
    b->plan = tl_compile(tape);
    tl_tape_free(tape);
    b->session = tl_session_new(b->model);
    return b->plan && b->session;
}

static void free_bench(bench *b)
{
    tl_session_free(b->session);
    tl_plan_free(b->plan);
    tl_model_free(b->model);
}

/* Parameter k's numbers in a flat array of the model, after those that are there already. */
static void take(const bench *b, int k, const void *flat, double *to)
{
    const tl_param_info *p = tl_model_param(b->model, k);
    const bool wide = tl_model_dtype(b->model) == TL_F64;
    for (int64_t i = 0; i < p->size; i++)
        to[i] = wide ? ((const double *)flat)[p->offset + i] : (double)((const float *)flat)[p->offset + i];
}

/* ---- optimizers: descriptions from attributes --------------------------------------------------------------------- */

static const struct {
    const char *op;
    tl_rule rule;
} rules[] = {
    { "sgd", TL_SGD },           { "rmsprop", TL_RMSPROP }, { "adam", TL_ADAM },     { "adamw", TL_ADAMW },
    { "nadam", TL_NADAM },       { "radam", TL_RADAM },     { "adamax", TL_ADAMAX }, { "adagrad", TL_ADAGRAD },
    { "adadelta", TL_ADADELTA }, { "lion", TL_LION },       { "ftrl", TL_FTRL },     { "asgd", TL_ASGD },
    { "rprop", TL_RPROP },
};

/* Attributes, and what each of their numbers is called here. */
#define AT(field) (1 + offsetof(tl_optimizer_desc, field))
static const struct {
    const char *key;
    size_t to[2];
} numbers_of[] = {
    { "lr", { AT(lr) } },
    { "learning_rate", { AT(lr) } },
    { "momentum", { AT(momentum) } },
    { "dampening", { AT(dampening) } },
    { "rho", { AT(rho) } },
    { "alpha", { AT(rho) } }, /* but ASGD's */
    { "betas", { AT(beta1), AT(beta2) } },
    { "beta_1", { AT(beta1) } },
    { "beta_2", { AT(beta2) } },
    { "eps", { AT(epsilon) } },
    { "epsilon", { AT(epsilon) } },
    { "weight_decay", { AT(weight_decay) } },
    { "initial_accumulator_value", { AT(start) } },
    { "lr_decay", { AT(lr_decay) } },
    { "momentum_decay", { AT(momentum_decay) } },
    { "l1_regularization_strength", { AT(l1) } },
    { "l2_regularization_strength", { AT(l2) } },
    { "l2_shrinkage_regularization_strength", { AT(shrinkage) } },
    { "beta", { AT(beta) } },
    { "lambd", { AT(lambda) } },
    { "t0", { AT(t0) } },
    { "etas", { AT(shrink), AT(grow) } },
    { "step_sizes", { AT(step_min), AT(step_max) } },
    { "clipnorm", { AT(clip_each) } },
    { "global_clipnorm", { AT(clip_norm) } },
    { "clipvalue", { AT(clip_value) } },
};
static const struct {
    const char *key;
    size_t to;
} switches[] = {
    { "nesterov", AT(nesterov) },
    { "centered", AT(centered) },
    { "amsgrad", AT(amsgrad) },
    { "maximize", AT(maximize) },
};

static bool absent(const char *value) { return !strcmp(value, "none") || !strcmp(value, "None"); }

static bool set_numbers(tl_optimizer_desc *d, const char *key, const char *value)
{
    for (int k = 0; k < COUNT(numbers_of); k++) {
        if (strcmp(numbers_of[k].key, key)) continue;
        const char *at = value;
        for (int j = 0; j < 2 && numbers_of[k].to[j]; j++) {
            char *end;
            const double x = strtod(at, &end);
            const bool other = d->rule == TL_ASGD && !strcmp(key, "alpha");
            const size_t offset = other ? offsetof(tl_optimizer_desc, alpha) : numbers_of[k].to[j] - 1;
            if (end == at) return false;
            *(double *)(void *)((char *)d + offset) = x == 0 ? TL_ZERO : x;
            at = end + (*end == ',');
        }
        return !*at;
    }
    return false;
}

static bool set_switch(tl_optimizer_desc *d, const char *key, const char *value)
{
    for (int k = 0; k < COUNT(switches); k++)
        if (!strcmp(switches[k].key, key)) {
            *(bool *)((char *)d + switches[k].to - 1) = strcmp(value, "0") != 0;
            return true;
        }
    return false;
}

/* Those that are more than a number. *scale: what gradients are divided by. */
static bool set_other(const replay *r, tl_optimizer_desc *d, double *scale, const char *key, const char *value)
{
    double lr, steps, rate;
    if (!strcmp(key, "learning_rate_power")) d->power = -strtod(value, NULL);
    else if (!strcmp(key, "gradient_accumulation_steps")) d->accumulate = strtoll(value, NULL, 10);
    else if (!strcmp(key, "loss_scale_factor")) *scale = strtod(value, NULL);
    else if (!strcmp(key, "use_ema")) d->ema = strcmp(value, "0") ? fx_num(r->c, "ema_momentum", 0.99) : 0;
    else if (!strcmp(key, "ema_overwrite_frequency")) d->ema_overwrite = strtoll(value, NULL, 10);
    else if (!strcmp(key, "learning_rate_schedule") &&
             sscanf(value, "ExponentialDecay(%lf,%lf,%lf)", &lr, &steps, &rate) == 3)
        d->schedule = tl_exponential_decay(.lr = lr, .steps = (int64_t)steps, .factor = rate,
                                           .staircase = strstr(value, "staircase") != NULL);
    else return !strcmp(key, "ema_momentum");
    return true;
}

static tl_optimizer_desc described(replay *r, double *scale)
{
    const bool keras = !strncmp(r->c->op, "keras_", 6);
    const char *op = strstr(r->c->op, "optim_") + 6;
    tl_optimizer_desc d = { .size = sizeof d, .style = keras ? TL_KERAS : TL_TORCH };
    for (int k = 0; k < COUNT(rules); k++)
        if (!strcmp(rules[k].op, op)) d.rule = rules[k].rule;
    for (size_t k = 0; k < r->c->nattr; k++) {
        const char *key = r->c->attrs[k].key, *value = r->c->attrs[k].val;
        if (!absent(value) && !set_numbers(&d, key, value) && !set_switch(&d, key, value) &&
            !set_other(r, &d, scale, key, value))
            fail(r, "attribute %s %s is not known", key, value);
    }
    return d;
}

/* in.grad_w [n, ...] are the gradients of w, traj.w [n + 1, ...] w's values, the first at the start. */
static void optimizer(replay *r)
{
    bench b = { .n = 0 };
    tl_array start[PARAMS] = { { 0 } };
    double scale = 1, *path[PARAMS] = { 0 };
    int64_t steps = 0;
    const char *name;
    for (; b.n < PARAMS && *(name = name_of(r, "traj", b.n)); b.n++) {
        const tl_array w = numbers(r, "traj", name), g = numbers(r, "in", text(r, "grad_%s", name));
        if (w.rank < 1 || g.rank != w.rank || w.dim[0] != g.dim[0] + 1 || (b.n && steps != g.dim[0])) {
            fail(r, "traj.%s does not have a step more than its gradients", name);
            break;
        }
        steps = g.dim[0];
        start[b.n] = without_first(w), b.grad[b.n] = without_first(g);
        path[b.n] = malloc((size_t)size_of(&w) * sizeof(double) + 1);
    }
    tl_optimizer *o = NULL;
    if (!b.n || !make_bench(&b, start[0].dtype, start)) fail(r, "%s", b.n ? tl_message() : "no parameters");
    else if (!(o = tl_optimizer_new(b.model, described(r, &scale)))) fail(r, "%s", tl_message());
    for (int64_t t = 0; o && t <= steps; t++) {
        for (int k = 0; k < b.n; k++) take(&b, k, tl_model_values(b.model), path[k] + t * size_of(&start[k]));
        if (t == steps) break;
        if (tl_run(b.session, b.plan, b.grad, b.n) || tl_optimizer_step_scaled(o, b.session, 1 / scale)) {
            fail(r, "step %lld: %s", (long long)t, tl_message());
            break;
        }
        for (int k = 0; k < b.n; k++)
            b.grad[k].data = (char *)b.grad[k].data + (size_t)size_of(&b.grad[k]) * element_of(&b.grad[k]);
    }
    for (int k = 0; k < b.n; k++) {
        if (o) expect(r, "traj", name_of(r, "traj", k), path[k], (steps + 1) * size_of(&start[k]));
        free(path[k]);
    }
    tl_optimizer_free(o);
    free_bench(&b);
}

/* ---- learning rates ----------------------------------------------------------------------------------------------- */

static void compare_rates(replay *r, tl_schedule s)
{
    const int64_t n = dim_of(r, "traj", "lr", 0);
    double *lr = malloc((size_t)n * sizeof *lr);
    for (int64_t k = 0; k < n; k++) lr[k] = tl_schedule_at(s, k);
    if (isnan(lr[n - 1])) fail(r, "%s", tl_message());
    expect(r, "traj", "lr", lr, n);
    free(lr);
}

/* The numbers of a list; how many. */
static int list(const char *text, double *to, int most)
{
    int n = 0;
    for (char *end; text && n < most; text = *end == ',' ? end + 1 : NULL) {
        to[n] = strtod(text, &end);
        if (end == text) break;
        n++;
    }
    return n;
}

static double zero_is_given(double x) { return x == 0 ? TL_ZERO : x; }

static void keras_schedule(replay *r)
{
    const char *kind = r->c->op + strlen("keras_schedule_");
    const double lr = fx_num(r->c, "initial_learning_rate", 0), alpha = fx_num(r->c, "alpha", 0);
    double at[TL_SCHEDULE_POINTS];
    tl_schedule s = { .size = sizeof s,
                      .lr = lr,
                      .steps = fx_int(r->c, "decay_steps", fx_int(r->c, "first_decay_steps", 0)),
                      .factor = zero_is_given(fx_num(r->c, "decay_rate", fx_num(r->c, "m_mul", 1))),
                      .end = fx_num(r->c, "end_learning_rate", alpha * lr),
                      .power = zero_is_given(fx_num(r->c, "power", 1)),
                      .growth = fx_num(r->c, "t_mul", 2),
                      .staircase = fx_int(r->c, "staircase", 0),
                      .cycle = fx_int(r->c, "cycle", 0) };
    if (!strncmp(kind, "exponential", 11)) s.kind = TL_EXPONENTIAL;
    else if (!strncmp(kind, "inverse_time", 12)) s.kind = TL_INVERSE_TIME;
    else if (!strncmp(kind, "polynomial", 10)) s.kind = TL_POLYNOMIAL;
    else if (!strncmp(kind, "cosine_restarts", 15)) s.kind = TL_COSINE_RESTARTS;
    else if (!strncmp(kind, "cosine", 6)) s.kind = TL_COSINE;
    else if (!strncmp(kind, "piecewise", 9)) s.kind = TL_PIECEWISE;
    const char *target = fx_attr(r->c, "warmup_target");
    if (s.kind == TL_COSINE && target && !absent(target) && fx_int(r->c, "warmup_steps", 0) > 0) {
        s.warmup = fx_int(r->c, "warmup_steps", 0);
        s.warmup_from = lr;
        s.lr = strtod(target, NULL);
        s.end = alpha * s.lr;
    }
    if (s.kind == TL_PIECEWISE) {
        const int n = list(fx_attr(r->c, "boundaries"), at, TL_SCHEDULE_POINTS);
        for (int k = 0; k < n; k++) s.at[k] = (int64_t)at[k];
        if (list(fx_attr(r->c, "values"), s.values, TL_SCHEDULE_POINTS + 1) != n + 1) fail(r, "values: not %d", n + 1);
    }
    compare_rates(r, s);
}

/* The number that follows these words in the attribute "args". */
static double after(const replay *r, const char *words, double otherwise)
{
    const char *args = fx_attr(r->c, "args"), *at = args ? strstr(args, words) : NULL;
    return at ? strtod(at + strlen(words), NULL) : otherwise;
}

static double inverse_root(int64_t k, void *lr) { return *(double *)lr / sqrt((double)k + 1); }

static void torch_schedule(replay *r)
{
    const char *kind = r->c->op + strlen("scheduler_");
    double lr = fx_num(r->c, "base_lr", 0), at[TL_SCHEDULE_POINTS];
    const double gamma = after(r, "gamma ", 0.1), floor = after(r, "eta_min ", 0);
    tl_schedule s = { 0 };
    if (!strcmp(kind, "step")) s = tl_step_decay(.steps = (int64_t)after(r, "step_size ", 1), .factor = gamma);
    else if (!strcmp(kind, "exponential")) s = tl_exponential_decay(.factor = gamma);
    else if (!strcmp(kind, "cosine"))
        s = tl_cosine_decay(.steps = (int64_t)after(r, "T_max ", 1), .end = floor, .cycle = true);
    else if (!strcmp(kind, "cosine_restarts"))
        s = tl_cosine_restarts(.steps = (int64_t)after(r, "T_0 ", 1), .growth = after(r, "T_mult ", 1), .end = floor);
    else if (!strcmp(kind, "onecycle"))
        s = tl_one_cycle(.lr = after(r, "max_lr ", 0), .steps = (int64_t)after(r, "total_steps ", 1),
                         .rise = after(r, "pct_start ", 0.3), .start_divisor = after(r, "div_factor ", 25),
                         .end_divisor = after(r, "final_div ", 1e4));
    else if (!strcmp(kind, "cyclic_tri"))
        s = tl_triangular(.lr = zero_is_given(after(r, "base ", 0)), .end = after(r, "max ", 0),
                          .steps = (int64_t)after(r, "step_size_up ", 1));
    else if (!strcmp(kind, "polynomial_like"))
        s = tl_polynomial_decay(.steps = (int64_t)after(r, "1-i/", 1), .power = after(r, ")^", 1));
    else if (!strcmp(kind, "linear"))
        s = tl_linear_decay(.lr = lr * after(r, "start_factor ", 1), .end = lr * after(r, "-> ", 1),
                            .steps = (int64_t)after(r, "over ", 1));
    else if (!strcmp(kind, "constant_factor")) /* k <= 4 is k < 5 */
        s = tl_piecewise_constant(.at = { (int64_t)after(r, "for ", 1) - 1 },
                                  .values = { lr * after(r, "factor ", 1), lr });
    else if (!strcmp(kind, "multistep")) {
        s = tl_multi_step_decay(.factor = gamma);
        const char *points = strstr(fx_attr(r->c, "args"), "milestones ");
        const int n = points ? list(points + strlen("milestones "), at, TL_SCHEDULE_POINTS) : 0;
        for (int k = 0; k < n; k++) s.at[k] = (int64_t)at[k];
    } else if (!strcmp(kind, "lambda_invsqrt")) s = tl_schedule_function(.fn = inverse_root, .ctx = &lr);
    if (s.lr == 0) s.lr = lr;
    compare_rates(r, s);
}

/* traj.lr[i]: the rate after measure i. */
static void torch_plateau(replay *r)
{
    const tl_array measure = numbers(r, "in", "metric");
    const tl_plateau p = { .style = TL_TORCH,
                           .factor = zero_is_given(fx_num(r->c, "factor", 0.1)),
                           .patience = (int64_t)zero_is_given(fx_num(r->c, "patience", 10)),
                           .min_delta = zero_is_given(fx_num(r->c, "threshold", 1e-4)),
                           .absolute = fx_is(r->c, "threshold_mode", "abs"),
                           .cooldown = fx_int(r->c, "cooldown", 0),
                           .min_lr = fx_num(r->c, "min_lr", 0),
                           .highest = fx_is(r->c, "mode", "max") };
    tl_plateau_state state = { 0 };
    double lr = fx_num(r->c, "base_lr", 0), got[1024];
    const int64_t n = measure.rank == 1 && measure.dim[0] <= COUNT(got) ? measure.dim[0] : 0;
    for (int64_t i = 0; i < n; i++) {
        const double m = measure.dtype == TL_F64 ? ((const double *)measure.data)[i]
                                                 : (double)((const float *)measure.data)[i];
        got[i] = lr = tl_plateau_next(&p, &state, m, lr);
    }
    expect(r, "traj", "lr", got, n);
}

/* ---- clipping ----------------------------------------------------------------------------------------------------- */

/* in.g0, g1 ... are gradients, exp.clipped0 ... what becomes of them, exp.total_norm their norm before. */
static void clipping(replay *r)
{
    bench b = { .n = 0 };
    const char *kind = r->c->op + strlen("clip_");
    const double max = fx_num(r->c, "max", 1);
    const bool by_norm = !strncmp(kind, "norm", 4), one = !strncmp(kind, "norm1", 5);
    double norm = NAN, *got = NULL;
    for (; b.n < PARAMS && has(r, "in", text(r, "g%d", b.n)); b.n++)
        b.grad[b.n] = numbers(r, "in", text(r, "g%d", b.n));
    if (!b.n || !make_bench(&b, b.grad[0].dtype, NULL) || tl_run(b.session, b.plan, b.grad, b.n)) {
        fail(r, "%s", tl_message());
    } else {
        const tl_status status = !strcmp(kind, "value") ? tl_clip_value(b.session, max)
                                 : by_norm              ? tl_clip_norm(b.session, max,
                                                                       .order = !strncmp(kind, "norminf", 7) ? INFINITY
                                                                                : one                        ? 1
                                                                                                             : 2,
                                                                       .style = TL_TORCH, .norm = &norm)
                                                        : tl_clip_norm(b.session, max, .norm = &norm);
        if (status) fail(r, "%s", tl_message());
        for (int k = 0; k < b.n; k++) {
            got = realloc(got, (size_t)size_of(&b.grad[k]) * sizeof *got + 1);
            take(&b, k, tl_session_gradients(b.session, NULL, NULL), got);
            expect(r, "exp", text(r, "clipped%d", k), got, size_of(&b.grad[k]));
        }
        if (has(r, "exp", "total_norm")) expect(r, "exp", "total_norm", &norm, 1);
    }
    free(got);
    free_bench(&b);
}

const op_row optim_rows[] = {
    { "keras_optim_*", optimizer },
    { "optim_*", optimizer },
    { "keras_schedule_*", keras_schedule },
    { "scheduler_plateau", torch_plateau },
    { "scheduler_*", torch_schedule },
    { "clip_*", clipping },
    { 0 },
};
