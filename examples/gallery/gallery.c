/* examples/gallery/gallery.c - check, train, judge. */
#include "gallery.h"

#include "../args.h"

#include <math.h>
#include <stdlib.h>

typedef struct run {
    gallery g;
    int n; /* inputs */
    tl_model *model;
    tl_trainer *trainer;
    tl_random random; /* of the training data */
    double mean, before;
} run;

void gallery_read(int argc, char **argv)
{
    args_read(argc, argv, "an architecture of the gallery learns its task", NULL, 0);
}

int gallery_pick(tl_random *random, int n) { return (int)(tl_random_next(random) * n); }

tl_tensor gallery_accuracy(tl_tensor logits, tl_tensor ids)
{
    return tl_mean(tl_equal(tl_argmax(logits, -1), ids), TL_ALL);
}

/* Status and memory are looked at here, once; everything before it may fail as it likes. */
static void ensure(bool well, const char *what)
{
    if (well) return;
    fprintf(stderr, "%s: %s\n", what, tl_message());
    exit(1);
}

static void check(const run *r)
{
    tl_gradcheck_opts o = r->g.check;
    o.size = sizeof o;
    o.second_order = !r->g.first_order;
    const tl_gradcheck_result c = tl_gradcheck_opt(r->model, r->g.model, r->g.in, r->n, r->g.user, &o);
    ensure(c.passed, "gradient check");
    printf("gradients agree with differences (%s): %d probes, worst relative error %.1e",
           o.second_order ? "first and second order" : "first order", c.probes, c.worst);
    if (c.kinks) printf(", %d left out at kinks", c.kinks);
    printf("\n");
}

/* The mean loss on eight batches, the same at every call. */
static double held_out(const run *r, const char *when)
{
    enum { BATCHES = 8 };
    tl_random random = { .key = 1 };
    const char *const shown[] = { "accuracy", r->g.show };
    double loss = 0, mean = 0, value[2] = { 0 };
    for (int b = 0; b < BATCHES; b++) {
        r->g.fill(r->g.in, &random);
        ensure(!tl_test_step(r->trainer, r->g.in, r->n, &loss), "test");
        mean += loss / BATCHES;
        for (int k = 0; k < 2 && shown[k]; k++)
            value[k] += tl_get_scalar(tl_trainer_session(r->trainer, TL_TEST), shown[k]) / BATCHES;
    }
    printf("%s training: loss %.4f", when, mean);
    for (int k = 0; k < 2 && shown[k]; k++)
        if (!isnan(value[k])) printf(", %s %.3f", shown[k], value[k]);
    printf("\n");
    return mean;
}

static void step(run *r)
{
    double loss;
    r->g.fill(r->g.in, &r->random);
    ensure(!tl_train_step(r->trainer, r->g.in, r->n, &loss), "training");
    r->mean = isnan(r->mean) ? loss : r->mean + 0.05 * (loss - r->mean);
}

/* A step of each task in turn. */
static void train(run *r, int n)
{
    tl_progress p = tl_progress_begin(stdout, "training", r->g.steps, "steps");
    char text[32 * GALLERY_TASKS] = "";
    for (int i = 1; i <= r->g.steps; i++) {
        int used = 0;
        for (int k = 0; k < n; k++) {
            step(&r[k]);
            used += snprintf(text + used, sizeof text - (size_t)used, "%sloss %.4f", k ? "  " : "", r[k].mean);
        }
        tl_progress_show(&p, i, text);
    }
    tl_progress_end(&p, text);
}

/* Inputs are f32 or i32, both of four bytes. */
static void make_inputs(run *r)
{
    for (; r->n < GALLERY_INPUTS && r->g.in[r->n].dtype; r->n++) {
        tl_array *a = &r->g.in[r->n];
        size_t size = 4;
        for (int i = 0; i < a->rank; i++) size *= (size_t)a->dim[i];
        a->data = calloc(1, size);
        ensure(a->data, "out of memory");
    }
}

static void begin(run *r, const gallery *g, tl_model *model)
{
    *r = (run){ .g = *g, .model = model, .random = { .key = 2 }, .mean = NAN };
    printf("%s\n", g->title);
    make_inputs(r);
    const tl_optimizer_desc optimizer = g->optimizer.size ? g->optimizer : tl_adam(.lr = 0.01);
    r->trainer = tl_trainer_new(model, g->model, .user = g->user, .optimizer = optimizer, .clip_norm = 1,
                                .explain = args_explain());
    ensure(r->trainer, "trainer");
    g->fill(r->g.in, &(tl_random){ .key = 3 });
    check(r);
    r->before = held_out(r, "before");
}

/* Has it learned, and is what it has to show so? */
static bool end(run *r)
{
    const double after = held_out(r, "after");
    const bool learned = after <= r->g.factor * r->before;
    const bool proved = !r->g.prove || r->g.prove(r->model, r->g.in, &(tl_random){ .key = 4 });
    printf("%s: loss %.4f -> %.4f, to be at most %g of what it was\n",
           !proved    ? "NOT PROVED"
           : !learned ? "NOT LEARNED"
                      : "ok",
           r->before, after, r->g.factor);
    figure("loss_before", r->before);
    figure("loss", after);
    tl_trainer_free(r->trainer);
    for (int i = 0; i < r->n; i++) free(r->g.in[i].data);
    return learned && proved;
}

int gallery_run_tasks(const gallery *tasks, int n)
{
    run r[GALLERY_TASKS];
    bool well = true;
    ensure(n <= GALLERY_TASKS, "too many tasks");
    tl_model *model = tl_model_new(.seed = args_seed());
    ensure(model, "model");
    for (int i = 0; i < n; i++) begin(&r[i], &tasks[i], model);
    train(r, n);
    args_plan(r[0].trainer);
    for (int i = 0; i < n; i++) well = end(&r[i]) && well;
    tl_model_free(model);
    figures_write();
    return !well;
}

int gallery_run(const gallery *g) { return gallery_run_tasks(g, 1); }
