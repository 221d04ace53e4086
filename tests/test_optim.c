/* tests/test_optim.c - update rules against their formulas and against Keras, clipping, what must stay untouched. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tapeloop.h"

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

/* One element's path under a rule, in double, as Keras 3 has it. */
typedef struct element {
    double w, m, v;
} element;

static void reference(const tl_optimizer_desc *o, element *e, double g, int t)
{
    if (o->rule == TL_SGD) {
        e->m = o->momentum * e->m - o->lr * g;
        e->w += o->nesterov ? o->momentum * e->m - o->lr * g : e->m;
    } else if (o->rule == TL_RMSPROP) {
        e->v = o->rho * e->v + (1 - o->rho) * g * g;
        e->m = o->momentum * e->m + o->lr * g / sqrt(e->v + o->epsilon);
        e->w -= e->m;
    } else {
        e->m = o->beta1 * e->m + (1 - o->beta1) * g;
        e->v = o->beta2 * e->v + (1 - o->beta2) * g * g;
        const double rate = o->lr * sqrt(1 - pow(o->beta2, t)) / (1 - pow(o->beta1, t));
        e->w -= rate * e->m / (sqrt(e->v) + o->epsilon);
    }
}

static void follows(tl_dtype dtype, tl_optimizer_desc desc, tl_optimizer_desc full)
{
    double start[N], g[N];
    element e[N];
    for (int i = 0; i < N; i++) e[i] = (element){ .w = start[i] = some(1000 + i) };
    bench b = make(dtype, start, desc);
    for (int t = 1; t <= 12; t++) {
        for (int i = 0; i < N; i++) reference(&full, &e[i], g[i] = some(N * t + i), t);
        run(&b, g);
        cr_assert(!tl_optimizer_step(b.optimizer, b.session), "%s", tl_message());
        for (int i = 0; i < N; i++) close_to(weight(&b, i), e[i].w, dtype == TL_F64 ? 1e-13 : 3e-6, "weight", i);
    }
    cr_assert(tl_optimizer_steps(b.optimizer) == 12);
    drop(&b);
}

#define FULL(...) ((tl_optimizer_desc){ .size = sizeof(tl_optimizer_desc), __VA_ARGS__ })

Test(optimizer, follows_its_formula)
{
    for (tl_dtype d = TL_F32; d <= TL_F64; d++) {
        follows(d, tl_sgd(), FULL(.rule = TL_SGD, .lr = 0.01));
        follows(d, tl_sgd(.lr = 0.1, .momentum = 0.9), FULL(.rule = TL_SGD, .lr = 0.1, .momentum = 0.9));
        follows(d, tl_sgd(.lr = 0.1, .momentum = 0.9, .nesterov = true),
                FULL(.rule = TL_SGD, .lr = 0.1, .momentum = 0.9, .nesterov = true));
        follows(d, tl_rmsprop(), FULL(.rule = TL_RMSPROP, .lr = 0.001, .rho = 0.9, .epsilon = 1e-7));
        follows(d, tl_rmsprop(.lr = 0.02, .rho = 0.7, .epsilon = 1e-3, .momentum = 0.5),
                FULL(.rule = TL_RMSPROP, .lr = 0.02, .rho = 0.7, .epsilon = 1e-3, .momentum = 0.5));
        follows(d, tl_rmsprop(.rho = TL_ZERO), FULL(.rule = TL_RMSPROP, .lr = 0.001, .epsilon = 1e-7));
        follows(d, tl_adam(), FULL(.rule = TL_ADAM, .lr = 0.001, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-7));
        follows(d, tl_adam(.lr = 0.05, .beta1 = TL_ZERO, .beta2 = 0.9, .epsilon = 1e-2),
                FULL(.rule = TL_ADAM, .lr = 0.05, .beta1 = 0, .beta2 = 0.9, .epsilon = 1e-2));
    }
}

/* ---- Keras' own numbers ---------------------------------------------------------------------------------------- */

/* A case of fixtures/keras_oracle_open/cases.tsv: gradients [10, ...] and weights after each step [11, ...]. */
typedef struct fixture {
    char name[96];
    tl_optimizer_desc desc;
    double clip_value, clip_norm, *gw, *gb, *w, *b;
    bool known, scheduled;
} fixture;

static void attribute(fixture *f, const char *key, const char *text)
{
    const double x = atof(text);
    if (!strcmp(key, "learning_rate")) f->desc.lr = x;
    else if (!strcmp(key, "momentum")) f->desc.momentum = x;
    else if (!strcmp(key, "nesterov")) f->desc.nesterov = x != 0;
    else if (!strcmp(key, "rho")) f->desc.rho = x;
    else if (!strcmp(key, "epsilon")) f->desc.epsilon = x;
    else if (!strcmp(key, "beta_1")) f->desc.beta1 = x;
    else if (!strcmp(key, "beta_2")) f->desc.beta2 = x;
    else if (!strcmp(key, "clipvalue")) f->clip_value = x;
    else if (!strcmp(key, "global_clipnorm")) f->clip_norm = x;
    else if (!strcmp(key, "learning_rate_schedule")) f->scheduled = true, f->desc.lr = 0.05;
    else if (strcmp(key, "ema_momentum") && x != 0) f->known = false; /* an option that we lack, and switched on */
}

static void replay(fixture *f)
{
    double start[N], g[N];
    memcpy(start, f->w, W * sizeof *start);
    memcpy(start + W, f->b, B * sizeof *start);
    bench b = make(TL_F64, start, f->desc);
    for (int t = 0; t < 10; t++) {
        memcpy(g, f->gw + W * t, W * sizeof *g);
        memcpy(g + W, f->gb + B * t, B * sizeof *g);
        run(&b, g);
        if (f->scheduled) cr_assert(!tl_optimizer_set_lr(b.optimizer, 0.05 * pow(0.7, t / 3.0)));
        if (f->clip_value > 0) cr_assert(!tl_clip_value(b.session, f->clip_value));
        if (f->clip_norm > 0) cr_assert(!tl_clip_global_norm(b.session, f->clip_norm, NULL));
        cr_assert(!tl_optimizer_step(b.optimizer, b.session));
        for (int i = 0; i < W; i++) close_to(weight(&b, i), f->w[W * (t + 1) + i], 1e-9, f->name, i);
        for (int i = 0; i < B; i++) close_to(weight(&b, W + i), f->b[B * (t + 1) + i], 1e-9, f->name, W + i);
    }
    drop(&b);
}

static double *tensor(FILE *data, const char *offset, const char *count)
{
    const size_t n = (size_t)atoll(count);
    double *p = malloc(n * sizeof *p);
    cr_assert(p && !fseek(data, atol(offset), SEEK_SET) && fread(p, sizeof *p, n, data) == n);
    return p;
}

/* Handles one line; returns 1 when a case has been replayed. */
static int line_of(fixture *f, FILE *data, char *line)
{
    char *p[9] = { 0 };
    int n = 0;
    line[strcspn(line, "\n")] = 0;
    for (char *q = line; q && n < 9; n++) {
        p[n] = q;
        q = strchr(q, '\t');
        if (q) *q++ = 0;
    }
    if (!strcmp(p[0], "case")) {
        *f = (fixture){ .known = true, .desc = tl_sgd() };
        snprintf(f->name, sizeof f->name, "%s", p[1]);
        if (!strcmp(p[2], "keras_optim_adam")) f->desc = tl_adam();
        else if (!strcmp(p[2], "keras_optim_rmsprop")) f->desc = tl_rmsprop();
        else if (strcmp(p[2], "keras_optim_sgd")) f->known = false;
    } else if (!strcmp(p[0], "attr") && f->known) {
        attribute(f, p[1], n > 2 ? p[2] : "");
    } else if (!strcmp(p[0], "tensor") && f->known) {
        double **to = !strcmp(p[2], "grad_w")   ? &f->gw
                      : !strcmp(p[2], "grad_b") ? &f->gb
                      : *p[2] == 'w'            ? &f->w
                                                : &f->b;
        *to = tensor(data, p[6], p[7]);
    } else if (!strcmp(p[0], "end") && f->known) {
        if (f->gw && f->gb && f->w && f->b) replay(f);
        free(f->gw), free(f->gb), free(f->w), free(f->b);
        return 1;
    }
    return 0;
}

Test(optimizer, agrees_with_keras)
{
    const char *folder = TL_SOURCE "/../shared/fixtures/keras_oracle_open";
    char path[1024], line[4096];
    snprintf(path, sizeof path, "%s/cases.tsv", folder);
    FILE *index = fopen(path, "r");
    snprintf(path, sizeof path, "%s/fixtures.safetensors", folder);
    FILE *data = fopen(path, "rb");
    if (!index || !data) {
        fprintf(stderr, "skipped: %s is not there\n", folder);
        return;
    }
    fixture f = { .known = false };
    int replayed = 0;
    while (fgets(line, sizeof line, index)) replayed += line_of(&f, data, line);
    cr_assert(replayed >= 11, "%d cases replayed", replayed);
    fclose(index);
    fclose(data);
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
    double start[N] = { 1e-40 }, g[N] = { 0 };
    bench b = make(TL_F32, start, tl_sgd());
    run(&b, g);
    cr_assert(weight(&b, 0) > 0 && !tl_optimizer_step(b.optimizer, b.session) && weight(&b, 0) == 0);
    volatile float tiny = 1e-38f;
    tiny *= 0.01f;
    cr_assert(tiny > 0);
    drop(&b);
}

/* ---- saving and resuming --------------------------------------------------------------------------------------- */

/* A second optimizer, given the arrays and scalars of the first one, goes on with the same bits. */
Test(optimizer, goes_on_from_what_another_remembered)
{
    const tl_optimizer_desc descs[] = { tl_sgd(.momentum = 0.9), tl_rmsprop(.momentum = 0.9), tl_adam() };
    double start[N], g[N];
    for (int k = 0; k < 6; k++) {
        for (int i = 0; i < N; i++) start[i] = some(50 + i);
        bench b = make(TL_F32 + k % 2, start, descs[k / 2]);
        double want[N];
        for (int t = 1; t < 6; t++) {
            if (t == 3) { /* what follows is made by another, which has not seen what was before */
                tl_optimizer *old = b.optimizer;
                b.optimizer = tl_optimizer_new(b.model, descs[k / 2]);
                cr_assert(b.optimizer && tl_optimizer_slots(old) >= 1);
                for (int s = 0; s < tl_optimizer_slots(old); s++) {
                    tl_array from, to;
                    cr_assert(!tl_optimizer_slot(old, s, "w", &from) && !tl_optimizer_slot(b.optimizer, s, "w", &to));
                    cr_assert(to.rank == 2 && to.dim[0] == 3 && to.dim[1] == 4 && to.dtype == b.dtype);
                    memcpy(to.data, from.data, W * (b.dtype == TL_F64 ? 8 : 4));
                    cr_assert(!tl_optimizer_slot(old, s, "b", &from) && !tl_optimizer_slot(b.optimizer, s, "b", &to));
                    memcpy(to.data, from.data, B * (b.dtype == TL_F64 ? 8 : 4));
                }
                cr_assert(!tl_optimizer_set_scalars(b.optimizer, tl_optimizer_get_scalars(old)));
                tl_optimizer_free(old);
            }
            for (int i = 0; i < N; i++) g[i] = some(N * t + i);
            run(&b, g);
            cr_assert(!tl_optimizer_step(b.optimizer, b.session));
        }
        for (int i = 0; i < N; i++) want[i] = weight(&b, i);
        drop(&b);
        b = make(TL_F32 + k % 2, start, descs[k / 2]);
        for (int t = 1; t < 6; t++) {
            for (int i = 0; i < N; i++) g[i] = some(N * t + i);
            run(&b, g);
            cr_assert(!tl_optimizer_step(b.optimizer, b.session));
        }
        for (int i = 0; i < N; i++) cr_assert(weight(&b, i) == want[i], "rule %d, weight %d", k / 2, i);
        tl_array a;
        cr_assert(tl_optimizer_slot(b.optimizer, 0, "nowhere", &a) == TL_E_NAME);
        cr_assert(tl_optimizer_slot(b.optimizer, 9, "w", &a) == TL_E_ARGUMENT &&
                  !tl_optimizer_slot_name(b.optimizer, -1));
        tl_optimizer_scalars s = tl_optimizer_get_scalars(b.optimizer);
        s.lr = NAN;
        cr_assert(tl_optimizer_set_scalars(b.optimizer, s) == TL_E_ARGUMENT && s.steps == 5);
        drop(&b);
    }
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
    const tl_optimizer_desc descs[] = {
        tl_sgd(),     tl_sgd(.momentum = 0.9),     tl_sgd(.momentum = 0.9, .nesterov = true),
        tl_rmsprop(), tl_rmsprop(.momentum = 0.9), tl_adam()
    };
    double start[N], g[N], norm;
    for (int k = 0; k < 12; k++) {
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
