/* tests/fuzz/fuzz_tape.c - bytes become a model function: any operations on any operands, fitting or not.
 *
 * Whatever comes, nothing crashes and nothing leaks. What records is compiled and run: the plan gives the same bits as
 * the nodes computed one by one, and the gradient agrees with differences.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tapeloop.h"

typedef struct program {
    const uint8_t *byte;
    size_t n, at;
} program;

static unsigned next(program *p) { return p->at < p->n ? p->byte[p->at++] : 0; }

enum { MOST = 40 };

typedef struct nodes {
    tl_tensor x[MOST + 8];
    unsigned n;
} nodes;

/* Mostly a node that is there; now and then none at all. */
static tl_tensor pick(program *p, const nodes *g)
{
    const unsigned b = next(p);
    return b == 255 ? TL_NONE : g->x[b % g->n];
}

static int axis(program *p) { return (int)(next(p) % 7) - 3; }

static void some_normal(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    (void)self;
    for (int64_t i = 0; i < tl_shape_size(shape); i++) out[i] = tl_random_next_normal(random);
}

static tl_tensor moved(program *p, const nodes *g, tl_tensor a)
{
    const int64_t d[] = { 1 + next(p) % 4, 1 + next(p) % 4, 1 + next(p) % 4 };
    tl_tensor out[2] = { a, pick(p, g) };
    switch (next(p) % 9) {
    case 0: return tl_reshape(a, 2, d);
    case 1: return tl_reshape(a, TL_DIMS(d[0], -1));
    case 2: return tl_slice(a, axis(p), (int64_t)(next(p) % 5) - 2, next(p) % 2 ? TL_END : d[1]);
    case 3: return tl_concat(2, out, axis(p));
    case 4: return tl_stack(2, out, axis(p));
    case 5: return tl_transpose(a);
    case 6: return tl_broadcast_to(a, 3, d);
    case 7: return tl_split(a, 2, axis(p), out), out[1];
    default: return tl_pad(a, axis(p), next(p) % 2, next(p) % 2);
    }
}

static tl_tensor reduced(program *p, tl_tensor a)
{
    const int axes[2] = { axis(p), axis(p) };
    const int n = (int)(next(p) % 3);
    switch (next(p) % 5) {
    case 0: return tl_sum(a, n, axes);
    case 1: return tl_mean(a, n, axes);
    case 2: return tl_max_keep(a, n, axes);
    case 3: return tl_softmax(a);
    default: return tl_log_softmax(a);
    }
}

static tl_tensor combined(program *p, const nodes *g, tl_tensor a)
{
    const tl_tensor b = pick(p, g), c = pick(p, g);
    switch (next(p) % 10) {
    case 0: return tl_add(a, b);
    case 1: return tl_mul(a, b);
    case 2: return tl_sub(a, b);
    case 3: return tl_div(a, tl_add_scalar(tl_square(b), 1));
    case 4: return tl_maximum(a, b);
    case 5: return tl_where(tl_less(a, tl_add_scalar(b, 0.07)), b, c); /* no jump where a is b */
    case 6: return tl_lerp(a, b, tl_sigmoid(c));
    case 7: return tl_matmul(a, b);
    case 8: return tl_gemm(next(p) % 2 ? c : TL_NONE, a, b, next(p) % 2, next(p) % 2);
    default: return tl_minimum(a, b);
    }
}

static tl_tensor indexed(program *p, tl_scope *s, tl_tensor a)
{
    int32_t ids[4];
    for (int i = 0; i < 4; i++) ids[i] = next(p) % 3;
    const tl_tensor i = tl_ids_const(s, TL_DIMS(2, 2), ids);
    switch (next(p) % 4) {
    case 0: return tl_gather(a, i);
    case 1: return tl_pick(a, tl_reshape(i, TL_DIMS(4)));
    case 2: return tl_one_hot(i, 3);
    default: return tl_scatter_add(TL_NONE, a, i, 3);
    }
}

static tl_tensor windowed(program *p, tl_tensor a)
{
    const int where = axis(p);
    const int64_t size = next(p) % 4;
    return tl_windows(a, where, size, .stride = next(p) % 3, .dilation = next(p) % 3, .begin = next(p) % 3,
                      .end = next(p) % 3, .same = next(p) % 4 == 0, .fill = next(p) % 3);
}

static tl_tensor contracted(program *p, const nodes *g, tl_tensor a)
{
    static const char *const equation[] = { "ij->ji",      "ij->i",    "ij,kj->ik", "ij,j",  "ij,ij->",
                                            "ijk,kj->ik",  "ii->i",    "i,j->ij",   "ii",    "bij,bjk->bik",
                                            "ij,jk,k->ik", "i,ij,j->", "ij,->",     "ij,ik", "abc->b" };
    const char *e = equation[next(p) % (sizeof equation / sizeof *equation)];
    tl_tensor x[3] = { a, pick(p, g), pick(p, g) };
    int n = 1;
    for (const char *c = e; *c; c++) n += *c == ',';
    return tl_einsum(e, n, x);
}

/* A cell over a as a sequence, its rows of any lengths that its steps allow. */
static tl_tensor unrolled(program *p, tl_scope *s, tl_tensor a)
{
    int32_t length[8] = { 0 };
    while (tl_rank(a) && tl_rank(a) < 3) a = tl_expand_dims(a, -1);
    if (tl_rank(a) != 3 || tl_dim(a, 0) > 6 || tl_dim(a, 1) > 8) return a;
    for (int b = 0; b < tl_dim(a, 1); b++) length[b] = (int32_t)(next(p) % (unsigned)(tl_dim(a, 0) + 1));
    const tl_tensor lengths = tl_ids_const(s, TL_DIMS(tl_dim(a, 1)), length);
    const unsigned how = next(p);
    const tl_cell cell = how & 1 ? tl_residual_cell(s, tl_mgu_cell()) : tl_gru_cell(s);
    return tl_rnn(s, how & 2 ? tl_masked(a, lengths) : a, cell, .units = how & 1 ? tl_dim(a, 2) : 3,
                  .lengths = how & 4 ? lengths : TL_NONE, .go_backwards = how & 8, .keep_order = how & 16,
                  .zero_output = how & 32, .return_sequences = how & 64);
}

static tl_tensor operation(program *p, tl_scope *s, const nodes *g)
{
    const tl_tensor a = pick(p, g);
    switch (next(p) % 11) {
    case 0: return moved(p, g, a);
    case 1: return reduced(p, a);
    case 2:
    case 3: return combined(p, g, a);
    case 4: return indexed(p, s, a);
    case 5: return tl_sigmoid(a);
    case 6: return next(p) % 2 ? tl_exp(tl_neg(tl_square(a))) : tl_relu(a);
    case 7: return windowed(p, a);
    case 8: return contracted(p, g, a);
    case 9: return unrolled(p, s, a);
    default: return tl_scale(a, next(p) / 64.0 - 2);
    }
}

/* The model function. Every value is squashed, so that no difference drowns in rounding. */
static tl_tensor record(tl_scope *s, const tl_tensor *in, void *user)
{
    program p = *(const program *)user;
    const tl_init init = { .fill = some_normal };
    nodes g = { .x = { in[0], in[1], tl_param(s, "A", TL_DIMS(2, 3), .init = init),
                       tl_param(s, "v", TL_DIMS(3), .init = init) },
                .n = 4 };
    tl_scope *loop = tl_in(s, "loop");
    for (int64_t t = 0; p.at < p.n && g.n < MOST; t++) {
        tl_scope *here = tl_step(loop, t);
        if (next(&p) % 8 == 0) g.x[g.n++] = tl_param(here, "W", TL_DIMS(3, 3), .init = init);
        const tl_tensor y = operation(&p, here, &g);
        if (tl_failed(tl_scope_tape(s))) return y;
        g.x[g.n++] = tl_dtype_of(y) == TL_I32 ? tl_tanh(tl_cast(y, tl_model_dtype(tl_tape_model(tl_scope_tape(s)))))
                                              : tl_tanh(y);
    }
    tl_tensor loss = TL_NONE;
    for (unsigned i = g.n - (g.n > 8 ? 5 : 1); i < g.n; i++) {
        const tl_tensor l = tl_sum(g.x[i], TL_ALL);
        loss = tl_absent(loss) ? l : tl_add(loss, l);
    }
    return loss;
}

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    abort();
}

/* The plan against the nodes one by one. */
static void compare(tl_model *model, program *p, const tl_array *in)
{
    tl_tape *tape = tl_tape_new(model);
    tl_scope *root = tl_root(tape);
    const tl_tensor x[2] = { tl_input(root, "x", in[0]), tl_input(root, "y", in[1]) };
    const tl_tensor loss = record(root, x, p);
    tl_output(root, "loss", loss);
    tl_backward(loss);
    if (!tl_failed(tape)) {
        tl_plan *plan = tl_compile(tape);
        tl_session *session = tl_session_new(model);
        const tl_status run = plan ? tl_run(session, plan, in, 2) : tl_tape_status(tape);
        const double direct = tl_eval(loss), planned = run ? NAN : tl_get_scalar(session, "loss");
        if (run != tl_tape_status(tape)) fail("plan and nodes end differently", tl_message());
        if (run && run != TL_E_INDEX) fail("a recording that does not run", tl_message()); /* ids may be out of range */
        if (memcmp(&direct, &planned, sizeof direct) && !(isnan(direct) && isnan(planned)))
            fail("plan and nodes differ", "");
        tl_session_free(session);
        tl_plan_free(plan);
    } else if (!*tl_tape_message(tape)) {
        fail("an error without words", tl_status_name(tl_tape_status(tape)));
    }
    tl_tape_free(tape);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    program p = { data, size < 400 ? size : 400, 0 };
    double x[6] = { 0.5, -1, 0.25, 2, -0.75, 1.5 }, y[3] = { 1, -0.5, 0.3 };
    const tl_array in[2] = { { .dtype = TL_F64, .rank = 2, .dim = { 2, 3 }, .data = x },
                             { .dtype = TL_F64, .rank = 1, .dim = { 3 }, .data = y } };
    tl_set_exact(true);
    const size_t before = tl_live_bytes();
    tl_model *model = tl_model_new_opt(&(tl_model_opts){ sizeof(tl_model_opts), TL_F64, 1 });
    compare(model, &p, in);
    const tl_gradcheck_result r = tl_gradcheck(model, record, in, 2, &p, .inputs = true, .directions = 1, .rtol = 1e-5);
    if (r.status == TL_E_CHECK && r.probes) fail("a wrong gradient", tl_message());
    tl_model_free(model);
    if (tl_live_bytes() != before) fail("memory", "is left");
    return 0;
}
