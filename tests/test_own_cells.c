/* tests/test_own_cells.c - nothing is faster because of its name: a cell that a user writes as plain math, under names of their
 * own, has the plan that the library's has: as many instructions and calls of each kind, as much work, memory and traffic. */
#include "tests/support.h"

#include "graph/look.h"
#include "layers/layers.h"

/* ---- cells, as a user would write them ------------------------------------------------------------------------------ */

static tl_tensor by_gates(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    (void)ctx;
    const tl_tensor h = state[0], c = state[1], in = tl_gate(s, "write", x, h);
    const tl_tensor keep = tl_gate(s, "erase", x, h, .bias = 1), new = tl_gate(s, "what", x, h);
    const tl_tensor out = tl_gate(s, "read", x, h);
    state[1] = tl_add(tl_mul(tl_sigmoid(keep), c), tl_mul(tl_sigmoid(in), tl_tanh(new)));
    return state[0] = tl_mul(tl_sigmoid(out), tl_tanh(state[1]));
}

/* b + x W + h U, of parameters with names of this letter */
static tl_tensor sum(tl_scope *s, char letter, tl_tensor x, tl_tensor h)
{
    const char b[] = { 'b', letter, 0 }, W[] = { 'W', letter, 0 }, U[] = { 'U', letter, 0 };
    const int64_t units = tl_dim(h, 1);
    const tl_tensor Wx = tl_param(s, W, TL_DIMS(tl_dim(x, 1), units)), Uh = tl_param(s, U, TL_DIMS(units, units));
    return tl_gemm(tl_gemm(tl_param(s, b, TL_DIMS(units)), x, Wx, false, false), h, Uh, false, false);
}

static tl_tensor by_hand(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    (void)ctx;
    const tl_tensor h = state[0], c = state[1];
    const tl_tensor i = tl_sigmoid(sum(s, 'p', x, h)), f = tl_sigmoid(sum(s, 'q', x, h)),
                    g = tl_tanh(sum(s, 'r', x, h));
    const tl_tensor o = sum(s, 's', x, h);
    state[1] = tl_add(tl_mul(f, c), tl_mul(i, g));
    return state[0] = tl_mul(tl_sigmoid(o), tl_tanh(state[1]));
}

static tl_tensor own_gru(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    const tl_tensor z = tl_sigmoid(tl_gate(s, "mix", x, *h)), r = tl_sigmoid(tl_gate(s, "forget", x, *h));
    const tl_tensor c = tl_tanh(tl_gate(s, "candidate", x, tl_mul(r, *h)));
    return *h = tl_lerp(c, *h, z);
}

static tl_tensor own_mgu(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    const tl_tensor f = tl_sigmoid(sum(s, 'f', x, *h));
    return *h = tl_lerp(*h, tl_tanh(sum(s, 'c', x, tl_mul(f, *h))), f);
}

static tl_cell library_lstm(tl_scope *s) { return tl_lstm_cell(s); }
static tl_cell library_gru(tl_scope *s) { return tl_gru_cell(s, .reset_before = true); }
static tl_cell library_mgu(tl_scope *s) { return (void)s, tl_mgu_cell(); }

static const struct {
    const char *name;
    tl_cell (*library)(tl_scope *s);
    tl_cell own;
} pairs[] = {
    { "LSTM by gates", library_lstm, { .step = by_gates, .states = 2 } },
    { "LSTM by hand", library_lstm, { .step = by_hand, .states = 2 } },
    { "GRU", library_gru, { .step = own_gru } },
    { "MGU", library_mgu, { .step = own_mgu } },
};

/* ---- what a plan is -------------------------------------------------------------------------------------------------- */

enum { T = 12, B = 8, D = 40, UNITS = 48, KINDS = 100 };

/* What a plan has: instructions, calls of each kind, work, memory. */
typedef struct tally {
    int instructions, calls;
    struct {
        const struct tl_op *op;
        int calls;
        int64_t bytes;
        double flops;
    } of[KINDS];
    int kinds;
    double flops;
    size_t arena;
} tally;

static tally tally_of(const tl_plan *p)
{
    tally r = { .instructions = tl_plan_instructions(p), .flops = tl_plan_flops(p), .arena = tl_plan_arena_bytes(p) };
    for (tl_kernel_call c = { 0 }; tl_next_call(p, &c); r.calls++) {
        int k = 0;
        while (k < r.kinds && r.of[k].op != c.op) k++;
        cr_assert(k < KINDS);
        if (k == r.kinds) r.of[r.kinds++].op = c.op;
        r.of[k].calls++;
        r.of[k].bytes += tl_call_bytes(&c);
        r.of[k].flops += tl_call_flops(&c);
    }
    return r;
}

/* A model with this cell, in tl_rnn or in a loop of the user's. */
static tally compile(tl_cell (*library)(tl_scope *s), tl_cell own, bool loop, bool training)
{
    tl_model *m = tl_model_new(.seed = 1);
    tl_tape *t = tl_tape_new(m, .training = training);
    tl_scope *s = tl_root(t), *r = tl_in(s, "mine");
    const tl_tensor x = tl_input(s, "x", FLOATS(NULL, T, B, D));
    const tl_cell cell = library ? library(s) : own;
    tl_tensor state[2], y[T], all;
    if (loop) {
        tl_start(r, cell, tl_at(x, 0), UNITS, state);
        for (int k = 0; k < T; k++) y[k] = tl_call(tl_step(r, k), cell, tl_at(x, k), state);
        all = tl_stack(T, y, 0);
    } else {
        all = tl_rnn(s, x, cell, .units = UNITS, .return_sequences = true);
    }
    const tl_tensor loss = tl_mean(tl_square(tl_dense(s, all, .units = 20)), TL_ALL);
    tl_output(s, "loss", loss);
    if (training) tl_backward(loss);
    tl_plan *p = tl_compile(t);
    cr_assert(p, "%s", tl_message());
    const tally found = tally_of(p);
    tl_plan_free(p);
    tl_tape_free(t);
    tl_model_free(m);
    return found;
}

static void same(const tally *a, const tally *b, const char *what)
{
    cr_expect(a->instructions == b->instructions && a->calls == b->calls, "%s: %d instructions (%d calls), not %d (%d)",
              what, b->instructions, b->calls, a->instructions, a->calls);
    cr_expect(a->flops == b->flops, "%s: %g FLOP, not %g", what, b->flops, a->flops);
    cr_expect(a->arena == b->arena, "%s: an arena of %zu bytes, not %zu", what, b->arena, a->arena);
    cr_expect_eq(a->kinds, b->kinds, "%s", what);
    for (int k = 0; k < a->kinds; k++) {
        int j = 0;
        while (j < b->kinds && b->of[j].op != a->of[k].op) j++;
        cr_expect(j < b->kinds && a->of[k].calls == b->of[j].calls && a->of[k].bytes == b->of[j].bytes &&
                      a->of[k].flops == b->of[j].flops,
                  "%s: %d calls of %s, not %d", what, j < b->kinds ? b->of[j].calls : 0, a->of[k].op->name,
                  a->of[k].calls);
    }
}

Test(own_cells, have_the_plan_of_the_librarys)
{
    for (int way = 0; way < 8; way++)
        for (int k = 0; k < COUNT(pairs); k++) {
            const bool loop = way & 1, training = way & 2, exact = way & 4;
            char what[96];
            snprintf(what, sizeof what, "%s%s%s%s", pairs[k].name, loop ? ", a loop" : "", training ? ", training" : "",
                     exact ? ", exact" : "");
            tl_set_exact(exact);
            const tally library = compile(pairs[k].library, pairs[k].own, false, training);
            const tally own = compile(NULL, pairs[k].own, loop, training);
            same(&library, &own, what);
            if (getenv("TL_VERBOSE"))
                fprintf(stderr, "# %s: %d instructions, %d calls, %.3g MFLOP\n", what, own.instructions, own.calls,
                        own.flops / 1e6);
        }
}
