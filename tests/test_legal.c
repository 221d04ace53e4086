/* tests/test_legal.c - each condition on which the compiler rests (graph/legal.h) is needed, and its absence is noticed: by bits
 * that differ from those of the tape without passes, by the proof of the plan, or by an error. */
#include <sys/wait.h>
#include <unistd.h>

#include "tests/same_bits.h"

#include "layers/layers.h"

/* ---- graphs, each with what some conditions are about --------------------------------------------------------------- */

enum { W = 16 };
static tl_tensor square(tl_scope *s, const char *name) { return tl_param(s, name, TL_DIMS(W, W), .init = normal); }

static tl_tensor input(tl_scope *s, const char *name, uint64_t seed, int rank, const int64_t *dim)
{
    return random_input(s, name, 0, seed, rank, dim);
}

static void seen(void *data, const char *path, const tl_array *value)
{
    (void)data, (void)path, (void)value;
    seen_calls++;
}
static tl_status opaque_kernel(const tl_run_args *r)
{
    for (int64_t i = 0; i < tl_desc_size(r->out_desc); i++) ((float *)r->out)[i] = (float)(seen_calls % 7);
    seen_calls++;
    return TL_OK;
}
static const struct tl_op opaque = {
    .size = sizeof opaque, .name = "opaque", .min_in = 1, .max_in = 1, .shape = tl_shape_same, .f32 = opaque_kernel
};
static void calls(tl_scope *s, uint64_t seed)
{
    const tl_tensor x = input(s, "x", seed, TL_DIMS(3));
    tl_output(s, "taps", tl_add(tl_tap(s, x, seen, NULL), tl_tap(s, x, seen, NULL)));
    tl_output(s, "opaque", tl_sub(tl_apply(&opaque, &x, 1, NULL), tl_apply(&opaque, &x, 1, NULL)));
}

/* Constants of equal bytes: 1 as an id is 1.4e-45 as a float, of which the whole part is 0. */
static void lookalikes(tl_scope *s, uint64_t seed)
{
    const double v[4] = { 1, 2, 3, seed % 2 ? 4 : 5 }, tiny[2] = { 1.401298464324817e-45, 0 };
    const tl_tensor ids = tl_ids_const(s, TL_DIMS(2), (int32_t[]){ 1, 0 });
    tl_output(s, "square", tl_sum(tl_const(s, TL_DIMS(2, 2), v), TL_AXES(0)));
    tl_output(s, "line", tl_sum(tl_const(s, TL_DIMS(4), v), TL_AXES(0)));
    tl_output(s, "picked", tl_gather(tl_const(s, TL_DIMS(2, 2), v), ids));
    tl_output(s, "cast", tl_cast(ids, TL_F32));
    tl_output(s, "tiny", tl_cast(tl_const(s, TL_DIMS(2), tiny), TL_I32));
}

/* A weight in each way in which it may be used step by step, and what comes of its gradient. */
static void chains(tl_scope *s, uint64_t seed)
{
    enum { T = 3, B = 2 };
    const tl_tensor x = input(s, "x", seed, TL_DIMS(T, B, 1, 3)), V = tl_param(s, "V", TL_DIMS(3, 5), .init = normal);
    const tl_tensor M = tl_param(s, "M", TL_DIMS(B, 3, 2), .init = normal), b = tl_param(s, "b", TL_DIMS(3));
    const tl_tensor c = tl_param(s, "c", TL_SCALAR), table = tl_param(s, "E", TL_DIMS(4, 3), .init = normal);
    const tl_tensor column = tl_param(s, "column", TL_DIMS(B, 1));
    const tl_tensor wide = tl_param(s, "wide", TL_DIMS(3, 40), .init = normal);
    tl_tensor loss = tl_sum(tl_tanh(tl_add(tl_reshape(x, TL_DIMS(T, B, 3)), b)), TL_ALL), grown = TL_NONE;
    for (int t = 0; t < T; t++) {
        const tl_tensor xt = tl_at(x, T - 1 - t), flat = tl_reshape(xt, TL_DIMS(B, 3)); /* time runs backwards */
        tl_tensor y = tl_tanh(tl_add(tl_matmul(flat, V), column));
        y = tl_add(y, tl_sum_keep(tl_tanh(tl_matmul(xt, M)), TL_ALL));
        y = tl_mul(y, tl_tanh(tl_add(tl_sum_keep(tl_add(flat, b), TL_AXES(1)), c)));
        y = tl_add(y, tl_sum_keep(tl_gather(table, tl_ids_const(s, TL_SCALAR, (int32_t[]){ t + 1 })), TL_ALL));
        y = tl_add(y, tl_sum_keep(tl_tanh(tl_add(tl_matmul(flat, wide), c)), TL_AXES(1)));
        loss = tl_add(loss, tl_sum(tl_square(y), TL_ALL));
        grown = tl_gemm(grown, flat, tl_tanh(flat), true, false);
        if (t == 0) loss = tl_add(loss, tl_sum(tl_sin(grown), TL_ALL)); /* someone reads a link */
        if (t == 1) tl_output(s, "grown", grown);                       /* and the next is asked for */
    }
    tl_output(s, "whole", grown);
    tl_output(s, "loss", loss);
    tl_backward(loss);
}

/* Products that add up, untransposed: h' = h V + x U, layers of the same weights. */
static void products(tl_scope *s, uint64_t seed)
{
    const tl_tensor V = square(s, "V"), U = square(s, "U"), a = tl_param(s, "a", TL_DIMS(W));
    const tl_tensor b = tl_param(s, "b", TL_DIMS(W)), column = tl_param(s, "column", TL_DIMS(2, 1));
    const tl_tensor c = tl_param(s, "c", TL_DIMS(W));
    const tl_tensor all = input(s, "x", seed, TL_DIMS(16, W)), deep = input(s, "deep", seed + 1, TL_DIMS(2, W, W));
    const tl_tensor VV = tl_param(s, "VV", TL_DIMS(2, W, W), .init = normal);
    tl_tensor r[8], y[32], h = tl_tanh(tl_slice(all, 0, 5, 7));
    int n = 0;
    for (int k = 0; k < 8; k++) r[k] = tl_slice(all, 0, 2 * k, 2 * k + 2);
    for (int k = 0; k < 4; k++) h = tl_gemm(tl_gemm(TL_NONE, r[k], U, false, false), h, V, false, false);
    y[n++] = h;
    for (int k = 0; k < 8; k += 2) { /* siblings of which some differ in one thing */
        y[n++] = tl_gemm(a, r[k], V, false, k == 6);
        y[n++] = tl_gemm(k == 4 ? b : a, r[k + 1], V, false, false);
        y[n++] = tl_gemm(k == 2 ? r[0] : TL_NONE, tl_tanh(r[k]), U, false, false);
        y[n++] = tl_gemm(column, r[7 - k], U, false, false);
        y[n++] = tl_gemm(TL_NONE, r[k], r[(k + 3) % 8], true, false);
    }
    const tl_tensor other = tl_exp(all);
    y[n++] = tl_gemm(c, r[0], U, false, true); /* as if it went on where the other ends */
    y[n++] = tl_gemm(c, tl_slice(other, 0, 2, 4), U, false, true);
    y[n++] = tl_gemm(c, r[1], V, false, false);
    y[n++] = tl_gemm(c, r[2], U, false, false);
    y[n++] = tl_gemm(TL_NONE, tl_slice(all, 0, 0, W), V, true, false);
    y[n++] = tl_gemm(TL_NONE, tl_tanh(tl_slice(all, 0, 0, W)), V, true, false);
    y[n++] = tl_matmul(deep, VV);
    y[n++] = tl_matmul(tl_tanh(deep), VV);
    y[n++] = tl_matmul(tl_tanh(tl_matmul(tl_sin(r[0]), V)), U); /* each pair could be one product, but not both */
    y[n++] = tl_matmul(tl_tanh(tl_matmul(tl_sin(r[1]), U)), V);
    tl_tensor loss = tl_sum(tl_tanh(y[0]), TL_ALL);
    char name[8];
    for (int k = 0; k < n; k++) {
        snprintf(name, sizeof name, "y%d", k);
        tl_output(s, name, y[k]);
        loss = tl_add(loss, tl_sum(tl_sin(y[k]), TL_ALL));
    }
    tl_backward(loss);
}

/* Words step by step, whose table is also the output's weight; another table that is only looked up. */
static void words(tl_scope *s, uint64_t seed)
{
    enum { T = 4, B = 3, D = 17, V = 9 };
    const tl_tensor ids = random_input(s, "ids", V, seed, TL_DIMS(T, B));
    const tl_tensor E = tl_param(s, "E", TL_DIMS(V, D), .init = normal), F = tl_param(s, "F", TL_DIMS(V, D));
    const tl_tensor H = tl_param(s, "H", TL_DIMS(D, D), .init = normal);
    tl_tensor h = tl_state(s, "h", tl_full(s, TL_DIMS(B, D), 0)), loss = TL_NONE;
    for (int t = 0; t < T; t++) {
        h = tl_tanh(tl_add(tl_matmul(h, H), tl_add(tl_gather(E, tl_at(ids, t)), tl_gather(F, tl_at(ids, t)))));
        const tl_tensor y = tl_gemm(TL_NONE, h, E, false, true), l = tl_sum(tl_log_softmax(y), TL_ALL);
        loss = t ? tl_add(loss, l) : l;
    }
    tl_next(s, "h", h);
    tl_output(s, "loss", tl_tanh(loss));
    tl_output(s, "table", F);
    tl_output(s, "ids", ids);
    tl_backward(loss);
}

/* Results of another element size than their operands; operands that are parts of what dies. */
static void places(tl_scope *s, uint64_t seed)
{
    const tl_tensor x = input(s, "x", seed, TL_DIMS(4, 6));
    const tl_tensor a = tl_argmax(x, 0), b = tl_argmax(tl_tanh(x), 0);
    tl_output(s, "equal", tl_equal(a, b));
    const tl_tensor y = tl_exp(x);
    tl_output(s, "halves", tl_sub(tl_slice(y, 0, 2, 4), tl_slice(y, 0, 0, 2)));
    const tl_tensor row = tl_exp(tl_sum(x, TL_AXES(0)));
    tl_output(s, "spread", tl_mul(x, row));
    const tl_tensor V = tl_param(s, "V", TL_DIMS(6, 5), .init = normal), z = tl_matmul(x, V),
                    u = tl_matmul(x, tl_neg(V));
    tl_output(s, "first", tl_add(z, tl_slice(z, 0, 0, 1))); /* row 0 is read at every row */
    const tl_tensor part[2] = { tl_sum_keep(x, TL_AXES(0)), tl_tanh(tl_sigmoid(tl_slice(u, 0, 0, 3))) };
    tl_output(s, "shifted", tl_concat(2, (tl_tensor[]){ tl_slice(part[0], 1, 0, 5), part[1] }, 0));
    const tl_tensor p = tl_param(s, "p", TL_DIMS(6), .init = normal), q = tl_param(s, "q", TL_DIMS(6));
    tl_backward(tl_sum(tl_tanh(tl_add(p, q)), TL_ALL)); /* one gradient for both */
}

/* Operands that die, of which the result needs one number again and again: in an instruction of its own, and in a run, whose
 * first member reads the first row once more for each tile. */
static void again_and_again(tl_scope *s, uint64_t seed)
{
    const tl_tensor line = tl_exp(input(s, "line", seed, TL_DIMS(6))), x = input(s, "x", seed, TL_DIMS(9, 5));
    tl_output(s, "line", tl_add(line, tl_slice(line, 0, 0, 1)));
    const tl_tensor z = tl_matmul(x, tl_param(s, "V", TL_DIMS(5, 5), .init = normal));
    tl_output(s, "rows", tl_tanh(tl_add(x, tl_slice(z, 0, 0, 1))));
}

/* Columns, or rows, of which a recurrence goes through some; what else may be made of them, and of their weights. */
static void side_by_side(tl_scope *s, uint64_t seed)
{
    enum { T = 3, B = 2, D = 5 };
    const tl_tensor x = input(s, "x", seed, TL_DIMS(T, B, D)), V = tl_param(s, "V", TL_DIMS(D + W, W), .init = normal);
    const tl_tensor U = tl_param(s, "U", TL_DIMS(D + W, W), .init = normal), S = square(s, "S");
    const tl_tensor deep = input(s, "deep", seed + 1, TL_DIMS(2, D + W, W));
    const tl_tensor rows = input(s, "rows", seed + 2, TL_DIMS(B, W)), turned = tl_matmul(deep, tl_transpose(V));
    tl_tensor h = tl_full(s, TL_DIMS(B, W), 0.5), g = h, r = h;
    tl_tensor loss = tl_sum(tl_sin(tl_slice(turned, 1, D, D + W)), TL_ALL);
    for (int t = 0; t < T; t++) {
        const tl_tensor xt = tl_at(x, t), xh = tl_concat(2, (tl_tensor[]){ xt, h }, 1);
        const tl_tensor gx = tl_concat(2, (tl_tensor[]){ g, xt }, 1);
        loss = tl_add(loss, tl_sum(tl_tanh(tl_matmul(xh, tl_sin(U))), TL_ALL)); /* leads nowhere */
        loss = tl_add(loss, tl_sum(tl_tanh(tl_gemm(TL_NONE, xh, tl_sin(xh), false, true)), TL_ALL));
        loss = tl_add(loss, tl_sum(tl_tanh(tl_gemm(TL_NONE, tl_sin(xh), xh, false, true)), TL_ALL));
        h = tl_tanh(tl_matmul(xh, V));
        g = tl_tanh(tl_matmul(gx, U));
        r = tl_slice(tl_tanh(tl_matmul(tl_concat(2, (tl_tensor[]){ rows, r }, 0), S)), 0, 1, 1 + B);
    }
    loss = tl_add(loss, tl_sum(tl_add(tl_add(h, g), r), TL_ALL));
    tl_output(s, "h", h);
    tl_output(s, "g", g);
    tl_output(s, "r", r);
    tl_output(s, "loss", loss);
    tl_backward(loss);
}

static void graph(tl_scope *s, uint64_t seed)
{
    tl_tensor x[GRAPH_INPUTS], d[GRAPH_INPUTS];
    random_graph g, h;
    x[0] = input(s, "in", seed, TL_DIMS(2, 3));
    x[1] = input(s, "in", seed, TL_DIMS(3));
    x[2] = input(s, "in", seed, TL_DIMS(4, 1));
    tl_tensor loss = record_random(&g, s, x, seed);
    loss = tl_add(loss, record_random(&h, tl_again(s), x, seed)); /* all of it once more */
    tl_grad(loss, x, GRAPH_INPUTS, d);
    tl_output(s, "loss", loss);
    tl_output(s, "inner", g.node[g.n / 2]);
    tl_output(s, "twin", h.node[h.n / 2]);
    for (int i = 0; i < GRAPH_INPUTS; i++) tl_output(s, (const char *[]){ "d0", "d1", "d2" }[i], d[i]);
    tl_backward(loss);
}

enum { RANDOM = 60 };
static const specimen fixed[] = {
    { "calls", calls, 1, TL_F32 },
    { "lookalikes", lookalikes, 1, TL_F32 },
    { "chains", chains, 1, TL_F32 },
    { "products", products, 1, TL_F32 },
    { "words", words, 1, TL_F32 },
    { "places", places, 1, TL_F32 },
    { "chains", chains, 2, TL_F64 },
    { "products", products, 2, TL_F64 },
    { "places", places, 2, TL_F64 },
    { "again and again", again_and_again, 3, TL_F32 },
    { "side by side", side_by_side, 1, TL_F32 },
};

static specimen specimen_at(int k)
{
    if (k < COUNT(fixed)) return fixed[k];
    const uint64_t seed = (uint64_t)(k - COUNT(fixed));
    return (specimen){ "random graph", graph, seed, seed % 2 ? TL_F64 : TL_F32 };
}

/* ---- the property ------------------------------------------------------------------------------------------------- */

/* Does all hold while this fault is planted? If not, says where. */
static bool holds(tl_fault fault, char *why)
{
    bool same = true;
    for (int k = 0; same && k < COUNT(fixed) + RANDOM; k++) {
        const specimen q = specimen_at(k);
        setenv("TL_CHECK", "0", 1);
        outcome a = outcome_of(&q, "-all", TL_FAULT_NONE);
        setenv("TL_CHECK", "1", 1);
        outcome b = outcome_of(&q, "", fault);
        cr_assert(!*a.error, "%s: %s", q.name, a.error);
        char what[600];
        same = same_bits(&a, &b, what);
        if (!same) snprintf(why, 700, "%s %d: %s", q.name, (int)q.seed, what);
        free_outcome(&a);
        free_outcome(&b);
    }
    return same;
}

/* The same in a process of its own: a fault may write anywhere. */
static bool survives(tl_fault fault, char *why)
{
    int ends[2];
    cr_assert(pipe(ends) == 0);
    const pid_t child = fork();
    cr_assert(child >= 0);
    if (!child) {
        alarm(60);
        const bool good = holds(fault, why);
        if (!good && write(ends[1], why, strlen(why) + 1) < 0) _exit(2);
        _exit(good ? 0 : 1);
    }
    close(ends[1]);
    int status;
    if (read(ends[0], why, 700) <= 0) snprintf(why, 700, "it crashes");
    close(ends[0]);
    cr_assert(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && !WEXITSTATUS(status);
}

static void exactly(void) { tl_set_exact(true); }
TestSuite(legal, .init = exactly, .timeout = 600);

#define CONDITION(name, words) { TL_WITHOUT_##name, #name, words },
static const struct {
    tl_fault fault;
    const char *name, *words;
} conditions[] = { TL_CONDITIONS(CONDITION) };

Test(legal, all_holds_with_all_conditions)
{
    char why[700] = "";
    cr_assert(holds(TL_FAULT_NONE, why), "%s", why);
}

/* What nodes compute is compared in full: keys only find candidates. */
Test(legal, equal_keys_do_no_harm)
{
    char why[700] = "";
    cr_assert(holds(TL_FAULT_SAME_KEYS, why), "%s", why);
}

/* Without running anything: the numbers might happen to be right. */
Test(legal, the_proof_of_a_plan_sees_wrong_memory)
{
    static const tl_fault faults[] = { TL_WITHOUT_GRADIENT_THERE, TL_WITHOUT_ALIVE_USES, TL_WITHOUT_ALIVE_OUTPUT,
                                       TL_WITHOUT_ALIVE_STATE,    TL_WITHOUT_OVER_CLASS, TL_WITHOUT_OVER_SAME,
                                       TL_WITHOUT_OVER_DIES,      TL_WITHOUT_OVER_SIZE };
    setenv("TL_CHECK", "1", 1);
    for (int f = 0; f < COUNT(faults); f++) {
        bool seen_wrong = false;
        for (int k = 0; !seen_wrong && k < COUNT(fixed) + RANDOM; k++) {
            const specimen q = specimen_at(k);
            outcome o = outcome_of(&q, "", faults[f]);
            seen_wrong = strstr(o.error, "the plan is wrong") != NULL;
            cr_assert(seen_wrong || !*o.error, "%s", o.error);
            free_outcome(&o);
        }
        cr_assert(seen_wrong, "fault %d", f);
    }
}

Test(legal, each_condition_is_needed)
{
    for (int k = 0; k < COUNT(conditions); k++) {
        char why[700] = "";
        const bool unseen = survives(conditions[k].fault, why);
        if (getenv("TL_VERBOSE")) fprintf(stderr, "# %s: %s\n", conditions[k].name, unseen ? "UNSEEN" : why);
        cr_expect(!unseen, "without %s nothing is seen when %s", conditions[k].name, conditions[k].words);
    }
}
