/* bench/peer_onednn.c - oneDNN's RNN primitives on the workloads that are a layer alone. A training step is what one
 * costs in a program that changes its weights: they lie in plain format, and are brought into the primitives' own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>

#include "meter.h"

enum { MAX_ARGS = 24, MAX_CALLS = 16 };

typedef struct job {
    const char *name;
    bool lstm, training;
    dnnl_dim_t T, B, D, H;
} job;
static const job jobs[] = {
    { "layer", true, true, 64, 32, 256, 256 },
    { "layer_gru", false, true, 64, 32, 256, 256 },
    { "stream", true, false, 1, 1, 64, 256 },
};

/* One execution of a primitive: of an RNN, or of a change of format. */
typedef struct call {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[MAX_ARGS];
    int n;
} call;

/* Everything by the number of its argument: the numbers lie in plain format. */
typedef struct tensor {
    int arg;
    dnnl_memory_desc_t md; /* plain, or with the format left to the primitive */
    dnnl_memory_t memory;  /* plain */
} tensor;

typedef struct runner {
    const job *j;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    tensor tensors[MAX_ARGS];
    int n_tensors;
    call calls[MAX_CALLS];
    int n_calls;
} runner;

static void must(dnnl_status_t status)
{
    if (status != dnnl_success) meter_fail("oneDNN: %s", dnnl_status2str(status));
}

/* ---- tensors ------------------------------------------------------------------------------------------------ */

static tensor *find(runner *r, int arg)
{
    for (int i = 0; i < r->n_tensors; i++)
        if (r->tensors[i].arg == arg) return &r->tensors[i];
    return NULL;
}

static float *numbers(runner *r, int arg, size_t *bytes)
{
    void *data;
    must(dnnl_memory_get_data_handle(find(r, arg)->memory, &data));
    if (bytes) *bytes = dnnl_memory_desc_get_size(&find(r, arg)->md);
    return data;
}

/* Numbers in [-scale, scale), the same in every run. */
static void add(runner *r, int arg, int rank, const dnnl_dim_t *dims, dnnl_format_tag_t tag, float scale)
{
    tensor *t = &r->tensors[r->n_tensors++];
    t->arg = arg;
    must(dnnl_memory_desc_init_by_tag(&t->md, rank, dims, dnnl_f32, tag));
    must(dnnl_memory_create(&t->memory, &t->md, r->engine, DNNL_MEMORY_ALLOCATE));
    size_t bytes;
    uint64_t random = (uint64_t)arg * 0x9E3779B97F4A7C15u;
    float *x = numbers(r, arg, &bytes);
    for (size_t i = 0; i < bytes / sizeof *x; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        x[i] = scale * (float)((double)(random >> 11) * 0x1p-52 - 1);
    }
}

static void add_all(runner *r)
{
    const job *j = r->j;
    const dnnl_dim_t gates = j->lstm ? 4 : 3;
    const dnnl_dim_t x[] = { j->T, j->B, j->D }, y[] = { j->T, j->B, j->H }, state[] = { 1, 1, j->B, j->H };
    const dnnl_dim_t W[] = { 1, 1, j->D, gates, j->H }, U[] = { 1, 1, j->H, gates, j->H }, b[] = { 1, 1, 4, j->H };
    add(r, DNNL_ARG_SRC_LAYER, 3, x, dnnl_tnc, 1);
    add(r, DNNL_ARG_WEIGHTS_LAYER, 5, W, dnnl_ldigo, 0.06f);
    add(r, DNNL_ARG_WEIGHTS_ITER, 5, U, dnnl_ldigo, 0.06f);
    add(r, DNNL_ARG_BIAS, 4, b, dnnl_ldgo, 0.06f);
    add(r, DNNL_ARG_DST_LAYER, 3, y, dnnl_tnc, 0);
    if (j->training) {
        add(r, DNNL_ARG_DIFF_SRC_LAYER, 3, x, dnnl_tnc, 0);
        add(r, DNNL_ARG_DIFF_WEIGHTS_LAYER, 5, W, dnnl_ldigo, 0);
        add(r, DNNL_ARG_DIFF_WEIGHTS_ITER, 5, U, dnnl_ldigo, 0);
        add(r, DNNL_ARG_DIFF_BIAS, 4, b, dnnl_ldgo, 0);
        add(r, DNNL_ARG_DIFF_DST_LAYER, 3, y, dnnl_tnc, 1);
    } else {
        add(r, DNNL_ARG_SRC_ITER, 4, state, dnnl_ldnc, 0);
        add(r, DNNL_ARG_SRC_ITER_C, 4, state, dnnl_ldnc, 0);
        add(r, DNNL_ARG_DST_ITER, 4, state, dnnl_ldnc, 0);
        add(r, DNNL_ARG_DST_ITER_C, 4, state, dnnl_ldnc, 0);
    }
}

/* ---- primitives --------------------------------------------------------------------------------------------- */

/* What a primitive's description wants: NULL where the job has no such tensor; the format of matrices is left open. */
static const dnnl_memory_desc_t *wanted(runner *r, int arg)
{
    static dnnl_memory_desc_t open[4];
    static int next;
    tensor *t = find(r, arg);
    if (!t || t->md.ndims != 5) return t ? &t->md : NULL;
    dnnl_memory_desc_t *md = &open[next++ % 4];
    must(dnnl_memory_desc_init_by_tag(md, 5, t->md.dims, dnnl_f32, dnnl_format_tag_any));
    return md;
}

static dnnl_primitive_desc_t describe(runner *r, bool forward, dnnl_primitive_desc_t hint)
{
    const dnnl_prop_kind_t kind = !forward         ? dnnl_backward
                                  : r->j->training ? dnnl_forward_training
                                                   : dnnl_forward_inference;
    const dnnl_rnn_direction_t direction = dnnl_unidirectional_left2right;
    dnnl_rnn_desc_t d;
#define AT(name) wanted(r, DNNL_ARG_##name)
    const dnnl_memory_desc_t *W = AT(WEIGHTS_LAYER), *U = AT(WEIGHTS_ITER);
    if (forward && r->j->lstm)
        must(dnnl_lstm_forward_desc_init(&d, kind, direction, AT(SRC_LAYER), AT(SRC_ITER), AT(SRC_ITER_C), W, U,
                                         AT(BIAS), AT(DST_LAYER), AT(DST_ITER), AT(DST_ITER_C), 0));
    else if (forward)
        must(dnnl_lbr_gru_forward_desc_init(&d, kind, direction, AT(SRC_LAYER), AT(SRC_ITER), W, U, AT(BIAS),
                                            AT(DST_LAYER), AT(DST_ITER), 0));
    else if (r->j->lstm)
        must(dnnl_lstm_backward_desc_init(&d, kind, direction, AT(SRC_LAYER), NULL, NULL, W, U, AT(BIAS), AT(DST_LAYER),
                                          NULL, NULL, AT(DIFF_SRC_LAYER), NULL, NULL, AT(DIFF_WEIGHTS_LAYER),
                                          AT(DIFF_WEIGHTS_ITER), AT(DIFF_BIAS), AT(DIFF_DST_LAYER), NULL, NULL, 0));
    else
        must(dnnl_lbr_gru_backward_desc_init(&d, kind, direction, AT(SRC_LAYER), NULL, W, U, AT(BIAS), AT(DST_LAYER),
                                             NULL, AT(DIFF_SRC_LAYER), NULL, AT(DIFF_WEIGHTS_LAYER),
                                             AT(DIFF_WEIGHTS_ITER), AT(DIFF_BIAS), AT(DIFF_DST_LAYER), NULL, 0));
#undef AT
    dnnl_primitive_desc_t pd;
    must(dnnl_primitive_desc_create(&pd, &d, NULL, r->engine, hint));
    return pd;
}

static dnnl_memory_t make_memory(runner *r, const dnnl_memory_desc_t *md)
{
    dnnl_memory_t memory;
    must(dnnl_memory_create(&memory, md, r->engine, DNNL_MEMORY_ALLOCATE));
    void *data;
    must(dnnl_memory_get_data_handle(memory, &data));
    memset(data, 0, dnnl_memory_desc_get_size(md));
    return memory;
}

static void add_reorder(runner *r, const dnnl_memory_desc_t *from_md, dnnl_memory_t from,
                        const dnnl_memory_desc_t *to_md, dnnl_memory_t to)
{
    call *c = &r->calls[r->n_calls++];
    dnnl_primitive_desc_t pd;
    must(dnnl_reorder_primitive_desc_create(&pd, from_md, r->engine, to_md, r->engine, NULL));
    must(dnnl_primitive_create(&c->primitive, pd));
    must(dnnl_primitive_desc_destroy(pd));
    c->args[c->n++] = (dnnl_exec_arg_t){ DNNL_ARG_FROM, from };
    c->args[c->n++] = (dnnl_exec_arg_t){ DNNL_ARG_TO, to };
}

static bool is_diff(int arg) { return arg >= DNNL_ARG_DIFF_SRC_0; }

/* Adds the primitive to the step, after the changes of format that it needs. Matrices' gradients are left in its own
 * format, which is to its favour. */
static void add_primitive(runner *r, dnnl_primitive_desc_t pd, bool forward, dnnl_memory_t workspace)
{
    call c = { 0 };
    for (tensor *t = r->tensors; t < r->tensors + r->n_tensors; t++) {
        if (forward && is_diff(t->arg)) continue;
        const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, dnnl_query_exec_arg_md, t->arg);
        dnnl_memory_t memory = t->memory;
        if (!dnnl_memory_desc_equal(md, &t->md)) {
            memory = make_memory(r, md);
            if (is_diff(t->arg)) {
                must(dnnl_memory_destroy(t->memory));
                t->memory = memory;
                t->md = *md;
            } else {
                add_reorder(r, &t->md, t->memory, md, memory);
            }
        }
        c.args[c.n++] = (dnnl_exec_arg_t){ t->arg, memory };
    }
    if (workspace) c.args[c.n++] = (dnnl_exec_arg_t){ DNNL_ARG_WORKSPACE, workspace };
    must(dnnl_primitive_create(&c.primitive, pd));
    r->calls[r->n_calls++] = c;
}

static void open_runner(runner *r, const job *j)
{
    *r = (runner){ .j = j };
    must(dnnl_engine_create(&r->engine, dnnl_cpu, 0));
    must(dnnl_stream_create(&r->stream, r->engine, dnnl_stream_default_flags));
    add_all(r);
    dnnl_primitive_desc_t forward = describe(r, true, NULL);
    if (j->training) {
        dnnl_primitive_desc_t backward = describe(r, false, forward);
        dnnl_memory_t workspace = make_memory(r, dnnl_primitive_desc_query_md(forward, dnnl_query_workspace_md, 0));
        add_primitive(r, forward, true, workspace);
        add_primitive(r, backward, false, workspace);
        must(dnnl_primitive_desc_destroy(backward));
    } else {
        /* Weights that stay are brought into their format once. */
        add_primitive(r, forward, true, NULL);
        for (int i = 0; i < r->n_calls - 1; i++)
            must(dnnl_primitive_execute(r->calls[i].primitive, r->stream, r->calls[i].n, r->calls[i].args));
        must(dnnl_stream_wait(r->stream));
        r->calls[0] = r->calls[r->n_calls - 1];
        r->n_calls = 1;
    }
    must(dnnl_primitive_desc_destroy(forward));
}

/* ---- a step ------------------------------------------------------------------------------------------------- */

static void clear(runner *r, int arg)
{
    size_t bytes;
    float *x = numbers(r, arg, &bytes);
    memset(x, 0, bytes);
}

static void carry(runner *r, int from, int to)
{
    size_t bytes;
    const float *x = numbers(r, from, &bytes);
    memcpy(numbers(r, to, NULL), x, bytes);
}

static bool step(void *data)
{
    runner *r = data;
    if (r->j->training) { /* the primitives add to these */
        clear(r, DNNL_ARG_DIFF_WEIGHTS_LAYER);
        clear(r, DNNL_ARG_DIFF_WEIGHTS_ITER);
        clear(r, DNNL_ARG_DIFF_BIAS);
    }
    for (const call *c = r->calls; c < r->calls + r->n_calls; c++)
        must(dnnl_primitive_execute(c->primitive, r->stream, c->n, c->args));
    must(dnnl_stream_wait(r->stream));
    if (!r->j->training) {
        carry(r, DNNL_ARG_DST_ITER, DNNL_ARG_SRC_ITER);
        carry(r, DNNL_ARG_DST_ITER_C, DNNL_ARG_SRC_ITER_C);
    }
    return true;
}

/* The last result is made of numbers, and not of zeros. */
static bool plausible(runner *r)
{
    size_t bytes;
    const float *x = numbers(r, r->j->training ? DNNL_ARG_DIFF_SRC_LAYER : DNNL_ARG_DST_LAYER, &bytes);
    double sum = 0;
    for (size_t i = 0; i < bytes / sizeof *x; i++) sum += (double)x[i] * x[i];
    return sum > 0 && sum < 1e30;
}

static figures measure(const job *j, const meter_args *args)
{
    runner r;
    open_runner(&r, j);
    const dnnl_dim_t gates = j->lstm ? 4 : 3;
    figures f = { .workload = j->name,
                  .variant = "primitive",
                  .threads = args->threads,
                  .tokens = (double)(j->T * j->B),
                  .parameters = gates * (j->D + j->H) * j->H + 4 * j->H,
                  .blas_core = "its own" };
    f.flops = 2.0 * f.tokens * (double)((j->D + j->H) * gates * j->H) * (j->training ? 3 : 1);
    meter_run(step, &r, args->repeat, &f);
    if (!plausible(&r)) meter_fail("%s: the results are not numbers, or all zeros", j->name);
    meter_print(&f);
    return f; /* the process ends soon: what oneDNN holds is left to it */
}

int main(int argc, char **argv)
{
    enum { JOBS = sizeof jobs / sizeof *jobs };
    const meter_args args = meter_read(argc, argv);
    figures all[JOBS];
    int n = 0;
    for (const job *j = jobs; j < jobs + JOBS; j++) {
        if (!meter_wants(&args, j->name)) continue;
        if (args.list) printf("%s primitive\n", j->name);
        else all[n++] = measure(j, &args);
    }
    meter_write(args.json, all, n);
    return 0;
}
