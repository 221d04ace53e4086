/* bench/tl_bench.c - the library's own figures: each workload's steps, timed; with --check, proof that they do what
 * their names say. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meter.h"
#include "workloads.h"

/* ---- running a workload ------------------------------------------------------------------------------------- */

typedef struct runner {
    workload w;
    tl_model *model;
    tl_array in[MAX_INPUTS];
    int n;
    tl_plan *plan;       /* RUN; trainers have their own */
    tl_session *session; /* RUN */
    tl_trainer *trainer; /* TRAIN */
    double loss;         /* TRAIN: of the last step */
    size_t arena_bytes;
    double flops_done;
    int instructions;
} runner;

static void must(bool good)
{
    if (!good) meter_fail("%s", tl_message());
}

/* The workload's graph. The arrays are not bound: only their shapes are looked at. */
static tl_tape *record(runner *r)
{
    tl_tape *tape = tl_tape_new(r->model, .training = r->w.kind != RUN);
    must(tape);
    tl_scope *s = tl_root(tape);
    tl_tensor in[MAX_INPUTS + TL_SPARE_INPUTS] = { 0 };
    for (int i = 0; i < r->n; i++) {
        tl_array shape = r->in[i];
        shape.data = NULL;
        in[i] = tl_input(s, (char[]){ 'x', (char)('0' + i), 0 }, shape);
    }
    const tl_tensor loss = r->w.model(s, in, &r->w);
    if (r->w.kind != RUN) tl_backward(tl_total_loss(s, loss));
    return tape;
}

static tl_plan *compile(runner *r)
{
    tl_tape *tape = record(r);
    tl_plan *plan = tl_compile(tape);
    must(plan);
    tl_tape_free(tape);
    return plan;
}

static bool train_step(void *data)
{
    runner *r = data;
    return tl_train_step(r->trainer, r->in, r->n, &r->loss) == TL_OK;
}

static bool run_step(void *data)
{
    runner *r = data;
    return tl_run(r->session, r->plan, r->in, r->n) == TL_OK;
}

static bool compile_step(void *data)
{
    tl_plan_free(compile(data));
    return true;
}

static bool (*const step_of[])(void *data) = { [TRAIN] = train_step, [RUN] = run_step, [COMPILE] = compile_step };

static void open_runner(runner *r, const workload *w)
{
    uint64_t random = 0x9E3779B97F4A7C15u;
    *r = (runner){ .w = *w, .model = tl_model_new(.seed = 1), .loss = NAN };
    must(r->model);
    for (; r->n < MAX_INPUTS && w->inputs[r->n].fill; r->n++) {
        const input *in = &w->inputs[r->n];
        tl_array *a = &r->in[r->n];
        *a = tl_array_of(in->dtype, in->rank, in->dim, calloc((size_t)input_size(in), sizeof(float)));
        if (!a->data) meter_fail("out of memory");
        in->fill(in, &random, a->data);
    }
    tl_plan *plan = compile(r);
    r->arena_bytes = tl_plan_arena_bytes(plan);
    r->flops_done = w->kind == COMPILE ? 0 : tl_plan_flops(plan);
    r->instructions = tl_plan_instructions(plan);
    if (w->kind == RUN) {
        r->plan = plan;
        r->session = tl_session_new(r->model);
        must(r->session);
    } else {
        tl_plan_free(plan);
    }
    if (w->kind == TRAIN) {
        r->trainer = tl_trainer_new(r->model, w->model, .user = &r->w, .optimizer = w->optimizer, .clip_norm = w->clip);
        must(r->trainer);
    }
}

static void close_runner(runner *r)
{
    tl_trainer_free(r->trainer);
    tl_session_free(r->session);
    tl_plan_free(r->plan);
    tl_model_free(r->model);
    for (int i = 0; i < r->n; i++) free(r->in[i].data);
}

/* ---- checking ----------------------------------------------------------------------------------------------- */

static const char *failure; /* in words; NULL: none */

static void expect(bool good, const char *words)
{
    if (!good && !failure) failure = words;
}

static double squares(const tl_array *a)
{
    double sum = 0;
    int64_t n = 1;
    for (int i = 0; i < a->rank; i++) n *= a->dim[i];
    for (int64_t i = 0; i < n; i++) sum += (double)((float *)a->data)[i] * ((float *)a->data)[i];
    return sum;
}

/* Checks an output: finite, not all zeros, shaped as the first input but for its last axis, which is `last`. Returns
 * the sum of its squares. */
static double check_output(runner *r, const char *name, int64_t last)
{
    tl_array y;
    must(tl_get(r->session, name, &y) == TL_OK);
    bool same = y.rank == r->in[0].rank && y.dim[y.rank - 1] == last;
    for (int a = 0; a < y.rank - 1; a++) same &= y.dim[a] == r->in[0].dim[a];
    expect(same, "an output of another shape");
    const double sum = squares(&y);
    expect(isfinite(sum) && sum > 0, "an output that is not finite, or all zeros");
    return sum;
}

/* Where rows have lengths (the third input), they hold as many tokens as the table says, and what is behind them does
 * not matter. */
static void check_padding(runner *r)
{
    if (r->n < 3) return;
    const int64_t T = r->in[0].dim[0], B = r->in[0].dim[1];
    const int32_t *length = r->in[2].data;
    int64_t tokens = 0;
    double loss, other;
    must(tl_test_step(r->trainer, r->in, r->n, &loss) == TL_OK);
    for (int64_t b = 0; b < B; b++) {
        tokens += length[b];
        for (int64_t t = length[b]; t < T; t++)
            ((int32_t *)r->in[0].data)[t * B + b] = ((int32_t *)r->in[1].data)[t * B + b] = 0;
    }
    must(tl_test_step(r->trainer, r->in, r->n, &other) == TL_OK);
    expect(tokens == r->w.tokens, "other tokens than the table says");
    expect(loss == other, "a loss that depends on padding");
}

static void check_train(runner *r)
{
    enum { STEPS = 3 };
    must(train_step(r));
    const double first = r->loss;
    expect(isfinite(first) && first > 0, "a loss that is not finite, or not above zero");
    for (int i = 1; i < STEPS; i++) must(train_step(r));
    expect(r->loss < first, "a loss that does not fall");
    check_padding(r);
    printf("loss %.4f -> %.4f", first, r->loss);
}

/* Of a stateful layer, the second run with the same input has other outputs; of the others, the same. */
static void check_run(runner *r)
{
    must(run_step(r));
    const double first = check_output(r, "y", 256);
    must(run_step(r));
    const double second = check_output(r, "y", 256);
    expect((first == second) == !tl_session_states(r->session), "a state that is not kept, or kept in vain");
    if (!tl_session_states(r->session)) check_output(r, "dx", r->in[0].dim[2]);
    printf("output %.4f", sqrt(second));
}

static void check_compile(runner *r)
{
    expect(r->instructions > 0, "a plan without instructions");
    printf("%d instructions", r->instructions);
}

static void (*const check_of[])(runner *r) = { [TRAIN] = check_train, [RUN] = check_run, [COMPILE] = check_compile };

/* FLOPs of all matrix products that the tape is asked for, before any pass. */
static double flops_on_tape(runner *r)
{
    tl_plan *plan = compile(r);
    const double flops = tl_plan_flops_written(plan);
    tl_plan_free(plan);
    return flops;
}

/* The table's FLOPs are those of the tape, but that nobody asks for the gradient of the first state: a third of one
 * step's products with the state. Where only real tokens count, the tape computes all. */
static void check_flops(runner *r)
{
    const int64_t T = r->in[0].dim[0], B = r->in[0].dim[1];
    if (!r->w.tokens) return;
    const double said = workload_flops(&r->w) * (double)(T * B) / (double)r->w.tokens, found = flops_on_tape(r);
    expect(found <= said * (1 + 1e-12) && found >= said * (1 - 1.0 / (3.0 * (double)T)),
           "other FLOPs than the table says");
}

static bool check(const workload *w)
{
    runner r;
    failure = NULL;
    open_runner(&r, w);
    printf("%-20s ", w->name);
    expect(tl_model_size(r.model) == w->parameters, "another number of parameters than the table says");
    check_flops(&r);
    check_of[w->kind](&r);
    printf("%s%s\n", failure ? ": FAILED: " : "", failure ? failure : "");
    close_runner(&r);
    return !failure;
}

/* ---- measuring ---------------------------------------------------------------------------------------------- */

/* The last word of "..., OpenBLAS kernels SkylakeX". */
static const char *blas_core(void)
{
    const char *space = strrchr(tl_build_info(), ' ');
    return space ? space + 1 : "";
}

static figures measure(const workload *w, const meter_args *args, double peak)
{
    runner r;
    open_runner(&r, w);
    figures f = { .workload = w->name,
                  .variant = "tapeloop",
                  .threads = args->threads,
                  .peak_gflops = peak,
                  .tokens = (double)w->tokens,
                  .flops = workload_flops(w),
                  .flops_done = r.flops_done,
                  .parameters = tl_model_size(r.model),
                  .arena_bytes = r.arena_bytes };
    snprintf(f.blas_core, sizeof f.blas_core, "%s", blas_core());
    must(meter_run(step_of[w->kind], &r, args->repeat, &f));
    meter_print(&f);
    close_runner(&r);
    return f;
}

int main(int argc, char **argv)
{
    const meter_args args = meter_read(argc, argv);
    figures *all = calloc((size_t)n_workloads, sizeof *all);
    int n = 0, failures = 0, wanted = 0;
    if (!all) meter_fail("out of memory");
    const double peak = args.list || args.check ? 0 : meter_peak(args.threads);
    if (peak > 0) printf("%s; threads: %d; peak %.1f GFLOP/s\n", tl_build_info(), args.threads, peak);
    for (const workload *w = workloads; w < workloads + n_workloads; w++) {
        if (!meter_wants(&args, w->name)) continue;
        wanted++;
        if (args.list) printf("%s %s\n", w->name, w->about);
        else if (args.check) failures += !check(w);
        else all[n++] = measure(w, &args, peak);
    }
    if (!wanted) meter_fail("no workload of that name; --list names them");
    meter_write(args.json, all, n);
    free(all);
    return failures > 0;
}
