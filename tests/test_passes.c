/* tests/test_passes.c - what passes make of a tape: the same bits by fewer operations. */
#include "tests/support.h"

#include "graph/passes/passes.h"
#include "layers/layers.h"

static void passes(const char *words) { setenv("TL_PASSES", words, 1); }
static void exactly(void) { tl_set_exact(true); }
TestSuite(passes, .init = exactly);

/* The loss, all gradients and an inner value of a random graph that computes many things twice. */
static tl_session *run_graph(uint64_t seed, const tl_array in[GRAPH_INPUTS], tl_model *model, int *instructions)
{
    tl_tape *t = tl_tape_new(model);
    tl_scope *s = tl_root(t);
    tl_tensor x[GRAPH_INPUTS], d[GRAPH_INPUTS];
    random_graph g, h;
    for (int i = 0; i < GRAPH_INPUTS; i++) x[i] = tl_input(s, "in", in[i]);
    tl_tensor loss = record_random(&g, s, x, seed);
    loss = tl_add(loss, record_random(&h, tl_again(s), x, seed)); /* all of it once more */
    tl_grad(loss, x, GRAPH_INPUTS, d);
    tl_output(s, "loss", loss);
    tl_output(s, "inner", g.node[g.n / 2]);
    tl_output(s, "twin", h.node[h.n / 2]);
    for (int i = 0; i < GRAPH_INPUTS; i++) tl_output(s, (const char *[]){ "d0", "d1", "d2" }[i], d[i]);
    tl_backward(loss);
    tl_plan *plan = tl_compile(t);
    cr_assert(plan, "%s", tl_message());
    *instructions = tl_plan_instructions(plan);
    tl_tape_free(t);
    tl_session *session = tl_session_new(model);
    cr_assert(tl_run(session, plan, in, GRAPH_INPUTS) == TL_OK, "%s", tl_message());
    tl_plan_free(plan);
    return session;
}

static void same_output(const tl_session *a, const tl_session *b, const char *name, uint64_t seed)
{
    tl_array p, q;
    cr_assert(tl_get(a, name, &p) == TL_OK && tl_get(b, name, &q) == TL_OK);
    cr_assert(!memcmp(p.data, q.data, bytes_in(&p)), "%s of graph %d", name, (int)seed);
}

Test(passes, change_no_bit_of_random_graphs)
{
    int before = 0, after = 0;
    for (uint64_t seed = 0; seed < 500; seed++) {
        const tl_dtype dtype = seed % 2 ? TL_F64 : TL_F32;
        double storage[GRAPH_INPUTS][8];
        tl_array in[GRAPH_INPUTS];
        fill_inputs(in, storage, dtype, seed);
        tl_model *model = tl_model_new(.dtype = dtype, .seed = seed);
        int with, without;
        passes("-all");
        tl_session *a = run_graph(seed, in, model, &without);
        passes("");
        tl_tile_bytes = seed % 3 ? 1 : 150; /* a row at a time; some, and a rest */
        tl_session *b = run_graph(seed, in, model, &with);
        for (int k = 0; k < 6; k++)
            same_output(a, b, (const char *[]){ "loss", "inner", "twin", "d0", "d1", "d2" }[k], seed);
        int n, m;
        const tl_range *r, *q;
        const char *g = tl_session_gradients(a, &r, &n), *h = tl_session_gradients(b, &q, &m);
        cr_assert(n == m);
        for (int k = 0; k < n; k++) {
            const size_t e = tl_dtype_size(dtype), at = (size_t)r[k].begin * e;
            cr_assert(r[k].begin == q[k].begin && r[k].end == q[k].end);
            cr_assert(!memcmp(g + at, h + at, (size_t)(r[k].end - r[k].begin) * e), "gradient of graph %d", (int)seed);
        }
        before += without;
        after += with;
        tl_session_free(a);
        tl_session_free(b);
        tl_model_free(model);
    }
    cr_assert(after < before * 3 / 4, "%d of %d instructions are left", after, before);
}

/* ---- recurrent networks ------------------------------------------------------------------------------------------- */

typedef tl_tensor network(tl_scope *s, tl_tensor x, tl_tensor ids);

static tl_tensor two_lstms(tl_scope *s, tl_tensor x, tl_tensor ids)
{
    (void)ids;
    const tl_cell c[] = { tl_lstm_cell(s), tl_residual_cell(s, tl_gru_cell(s)) };
    return tl_rnn(s, x, tl_stack_cell(s, 2, c), .units = 17, .return_sequences = true);
}
static tl_tensor both_ways(tl_scope *s, tl_tensor x, tl_tensor ids)
{
    return tl_bidirectional(s, x, tl_gru_cell(s), .units = 17, .lengths = tl_at(ids, 0), .return_sequences = true);
}
static tl_tensor words(tl_scope *s, tl_tensor x, tl_tensor ids)
{
    (void)x;
    return tl_dense(s, tl_lstm(s, tl_embedding(s, ids, .vocab = 9, .units = 18), .units = 17), .units = 3);
}

/* A look-up in each step, whose table is shared with the output. */
static tl_tensor word_step(tl_scope *s, tl_tensor id, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    tl_tensor W;
    const tl_tensor x = tl_embedding(s, id, .vocab = 9, .units = 19, .table = &W);
    *h = tl_tanh(tl_gate(s, "h", x, *h));
    return tl_gemm(TL_NONE, *h, W, false, true);
}
static tl_tensor steps_of_words(tl_scope *s, tl_tensor x, tl_tensor ids)
{
    (void)x;
    return tl_rnn(s, ids, ((tl_cell){ .step = word_step }), .units = 19, .return_sequences = true);
}
static tl_tensor attends(tl_scope *s, tl_tensor x, tl_tensor ids)
{
    (void)ids;
    const tl_memory m = tl_attention_memory(s, x, .score = TL_SCORE_ADDITIVE, .units = 4);
    return tl_rnn(s, x, tl_zoneout_cell(s, tl_attention_cell(s, tl_mgu_cell(), m), .rate = 0.3), .units = 17);
}

static network *const networks[] = { two_lstms, both_ways, words, steps_of_words, attends };

/* The gradients of a network's parameters, and its loss behind them. */
static float *gradients_of(network *f, const char *words, int64_t *n, int *instructions)
{
    enum { T = 40, B = 16, D = 5 }; /* more rows than a piece has */
    static float x[T * B * D];
    static int32_t ids[T * B];
    uint64_t seed = 5;
    for (int i = 0; i < COUNT(x); i++) x[i] = (float)noise(&seed);
    for (int i = 0; i < COUNT(ids); i++) ids[i] = (int32_t)(4.5 + 4.4 * noise(&seed));
    const tl_array in[] = { FLOATS(x, T, B, D), IDS(ids, T, B) };
    passes(words);
    tl_model *model = tl_model_new(.seed = 2);
    tl_tape *t = tl_tape_new(model, .training = true);
    const tl_tensor a = tl_input(tl_root(t), "x", in[0]);
    const tl_tensor b = tl_input(tl_root(t), "ids", in[1]);
    const tl_tensor loss = tl_mean(tl_square(f(tl_root(t), a, b)), TL_ALL);
    tl_output(tl_root(t), "loss", loss);
    tl_backward(loss);
    tl_plan *plan = tl_compile(t);
    cr_assert(plan, "%s", tl_message());
    *instructions = tl_plan_instructions(plan);
    tl_tape_free(t);
    tl_session *s = tl_session_new(model);
    cr_assert(tl_run(s, plan, in, 2) == TL_OK && tl_run(s, plan, in, 2) == TL_OK, "%s", tl_message());
    *n = tl_model_size(model) + 1;
    float *g = malloc((size_t)*n * sizeof *g);
    memcpy(g, tl_session_gradients(s, NULL, NULL), (size_t)(*n - 1) * sizeof *g);
    g[*n - 1] = (float)tl_get_scalar(s, "loss");
    tl_session_free(s);
    tl_plan_free(plan);
    tl_model_free(model);
    return g;
}

Test(passes, change_no_bit_of_networks)
{
    for (int k = 0; k < COUNT(networks); k++) {
        int64_t n, m;
        int all, none, one;
        float *g = gradients_of(networks[k], "-all", &n, &none);
        float *h = gradients_of(networks[k], "", &m, &all);
        cr_assert(n == m && !memcmp(g, h, (size_t)n * sizeof *g), "network %d", k);
        cr_assert(all < none, "network %d: %d instructions of %d", k, all, none);
        tl_tile_bytes = 3000;
        float *few = gradients_of(networks[k], "", &m, &all);
        tl_tile_bytes = 40 << 10;
        cr_assert(!memcmp(g, few, (size_t)n * sizeof *g), "network %d, rows in tiles", k);
        free(few);
        for (int p = 0; tl_pass_at(p); p++) {
            char only[32];
            snprintf(only, sizeof only, "-all,+%s", tl_pass_at(p)->name);
            float *q = gradients_of(networks[k], only, &m, &one);
            cr_assert(!memcmp(g, q, (size_t)n * sizeof *g), "network %d, %s", k, only);
            snprintf(only, sizeof only, "-%s", tl_pass_at(p)->name);
            free(q);
            q = gradients_of(networks[k], only, &m, &one);
            cr_assert(!memcmp(g, q, (size_t)n * sizeof *g), "network %d, %s", k, only);
            free(q);
        }
        free(g);
        free(h);
    }
}

/* ---- what is merged and what is not ------------------------------------------------------------------------------- */

/* How many instructions a plan of f's outputs has before any are fused. */
static int instructions(void (*f)(tl_scope *s, tl_tensor x), const char *words)
{
    char all[64];
    snprintf(all, sizeof all, "%s,-fuse", words);
    passes(all);
    tl_model *model = tl_model_new();
    tl_tape *t = tl_tape_new(model, .training = true);
    f(tl_root(t), tl_input(tl_root(t), "x", FLOATS(NULL, 6, 2, 3)));
    tl_plan *plan = tl_compile(t);
    cr_assert(plan, "%s", tl_message());
    const int n = tl_plan_instructions(plan);
    tl_plan_free(plan);
    tl_tape_free(t);
    tl_model_free(model);
    return n;
}

static void one_mask(tl_scope *s, tl_tensor x)
{
    tl_tensor y[6];
    for (int t = 0; t < 6; t++)
        y[t] = tl_mul(tl_at(x, t), tl_random_bernoulli(tl_steady(tl_step(tl_in(s, "r"), t)), TL_DIMS(2, 3), 0.5));
    tl_output(s, "y", tl_stack(6, y, 0));
}

/* A mask that is the same at all steps is drawn once. */
Test(passes, what_steps_have_in_common_is_computed_once)
{
    cr_assert(instructions(one_mask, "") == 1 + 6);
    cr_assert(instructions(one_mask, "-all") == 6 + 6 + 1);
}

static void switched(tl_scope *s, tl_tensor x) { tl_output(s, "y", tl_add(tl_tanh(x), tl_tanh(x))); }

Test(passes, are_switched_by_name)
{
    cr_assert(instructions(switched, "") == 2);
    cr_assert(instructions(switched, "-cse") == 3 && instructions(switched, "-all") == 3);
    cr_assert(instructions(switched, "-all,+cse") == 2 && instructions(switched, "-cse,+all") == 2);
    cr_assert(instructions(switched, "-other") == 2 && instructions(switched, "-cs,-csee,,") == 2);
}

static int calls;
static void seen(void *data, const char *path, const tl_array *value)
{
    (void)data, (void)path, (void)value;
    calls++;
}
static void taps(tl_scope *s, tl_tensor x)
{
    tl_output(s, "y", tl_add(tl_tap(s, x, seen, NULL), tl_tap(s, x, seen, NULL)));
}

static tl_status twice_kernel(const tl_run_args *r)
{
    for (int64_t i = 0; i < tl_desc_size(r->out_desc); i++) ((float *)r->out)[i] = 2 * ((const float *)r->in[0])[i];
    return TL_OK;
}
static const struct tl_op own = { .size = sizeof own,
                                  .name = "own",
                                  .min_in = 1,
                                  .max_in = 1,
                                  .shape = tl_shape_same,
                                  .f32 = twice_kernel,
                                  .f64 = twice_kernel };
static const struct tl_op own_pure = { .size = sizeof own,
                                       .name = "own",
                                       .min_in = 1,
                                       .max_in = 1,
                                       .cls = TL_ROWWISE,
                                       .shape = tl_shape_same,
                                       .f32 = twice_kernel,
                                       .f64 = twice_kernel };
static void opaque(tl_scope *s, tl_tensor x)
{
    tl_output(s, "y", tl_add(tl_apply(&own, &x, 1, NULL), tl_apply(&own, &x, 1, NULL)));
}
static void declared(tl_scope *s, tl_tensor x)
{
    tl_output(s, "y", tl_add(tl_apply(&own_pure, &x, 1, NULL), tl_apply(&own_pure, &x, 1, NULL)));
}

Test(passes, merge_neither_calls_nor_what_they_know_nothing_of)
{
    cr_assert(instructions(taps, "") == 3);
    cr_assert(instructions(opaque, "") == 3);
    cr_assert(instructions(declared, "") == 2);
}

static void differing(tl_scope *s, tl_tensor x)
{
    tl_tensor y = tl_add(tl_slice(x, 0, 0, 3), tl_slice(x, 0, 3, 6));                          /* views */
    y = tl_add(y, tl_add(tl_random_uniform(s, TL_DIMS(3)), tl_random_uniform(s, TL_DIMS(3)))); /* two draws */
    y = tl_add(y, tl_sub(tl_scale(y, 2), tl_scale(y, 3)));
    y = tl_add(y, tl_sub(tl_sum_keep(y, TL_AXES(1)), tl_sum(y, TL_AXES(1, 2)) /* axes differ */));
    tl_output(s, "y", y);
}

Test(passes, what_differs_in_an_attribute_or_operand_stays)
{
    cr_assert(instructions(differing, "") == instructions(differing, "-all"));
}

/* A gradient that is the start of another chain stays a gradient. */
Test(passes, a_gradient_within_a_chain_is_kept)
{
    passes("");
    tl_model *model = tl_model_new();
    tl_tape *t = tl_tape_new(model);
    tl_scope *s = tl_root(t);
    float v[6] = { 1, 2, 3, 4, 5, 6 };
    const tl_array in = FLOATS(v, 3, 2);
    const tl_tensor x = tl_input(s, "x", in), W = tl_param(s, "W", TL_DIMS(2, 2), .init = normal);
    const tl_tensor loss = tl_sum(tl_matmul(x, W), TL_ALL);
    tl_tensor d;
    tl_backward(loss);
    tl_grad(loss, &W, 1, &d);
    tl_output(s, "y", tl_gemm(d, x, x, true, false));
    tl_session *session = run_once(t, &in, 1);
    const float *g = tl_session_gradients(session, NULL, NULL);
    cr_assert(g[0] == 9 && g[1] == 9 && g[2] == 12 && g[3] == 12);
    tl_array y;
    cr_assert(tl_get(session, "y", &y) == TL_OK && ((float *)y.data)[0] == 9 + 35);
    tl_session_free(session);
    tl_model_free(model);
}

/* ---- products batched by rows ------------------------------------------------------------------------------------- */

enum { W = 16 };
static tl_tensor weight(tl_scope *s, const char *name) { return tl_param(s, name, TL_DIMS(W, W), .init = normal); }
static tl_tensor rows_of(tl_scope *s, int64_t rows)
{
    return tl_random_normal(s, TL_DIMS(rows, W)); /* an instruction each, unlike any other */
}

static void siamese(tl_scope *s, tl_tensor x)
{
    (void)x;
    const tl_tensor V = weight(s, "V"), b = tl_param(s, "b", TL_DIMS(W));
    tl_tensor y[3];
    for (int k = 0; k < 3; k++) y[k] = tl_gemm(b, rows_of(s, k + 1), V, false, false);
    for (int k = 0; k < 3; k++) tl_output(s, (const char *[]){ "a", "b", "c" }[k], y[k]);
}

/* h' = h V + x W: x W for all steps at once, h V step by step */
static void recurrence(tl_scope *s, tl_tensor x)
{
    (void)x;
    const tl_tensor V = weight(s, "V"), U = weight(s, "U");
    tl_tensor h = rows_of(s, 2), all = rows_of(s, 8);
    for (int k = 0; k < 4; k++)
        h = tl_gemm(tl_gemm(TL_NONE, tl_slice(all, 0, 2 * k, 2 * k + 2), U, false, false), h, V, false, false);
    tl_output(s, "y", h);
}

/* Outputs of all steps and two things more are one product, though it waits for a recurrence that cannot be one. */
static void outputs(tl_scope *s, tl_tensor x)
{
    (void)x;
    const tl_tensor V = weight(s, "V"), U = weight(s, "U");
    tl_tensor y[5] = { tl_matmul(rows_of(s, 2), U), tl_matmul(rows_of(s, 2), U) }, h = rows_of(s, 2);
    for (int k = 2; k < 5; k++) y[k] = tl_matmul(h = tl_matmul(h, V), U);
    tl_output(s, "y", tl_concat(5, y, 0));
}

/* Each pair could be one product, but not both pairs: the first of the one needs the second of the other, and vice versa. */
static void circle(tl_scope *s, tl_tensor x)
{
    (void)x;
    const tl_tensor V = weight(s, "V"), U = weight(s, "U");
    tl_output(s, "p", tl_matmul(tl_matmul(rows_of(s, 2), V), U));
    tl_output(s, "q", tl_matmul(tl_matmul(rows_of(s, 2), U), V));
}

/* What starts each sum differs, or the weights do, or are transposed once. The rows lie one below the other. */
static void unlike(tl_scope *s, tl_tensor x)
{
    (void)x;
    const tl_tensor V = weight(s, "V"), a = tl_param(s, "a", TL_DIMS(W)), b = tl_param(s, "b", TL_DIMS(W));
    const tl_tensor all = rows_of(s, 16), column = tl_param(s, "column", TL_DIMS(2, 1));
    tl_tensor r[8];
    for (int k = 0; k < 8; k++) r[k] = tl_slice(all, 0, 2 * k, 2 * k + 2);
    tl_output(s, "r", tl_gemm(a, r[0], V, false, true));
    tl_output(s, "p", tl_gemm(a, r[1], V, false, false));
    tl_output(s, "q", tl_gemm(b, r[2], V, false, false));
    tl_output(s, "o", tl_gemm(a, r[0], weight(s, "U"), false, false));
    tl_output(s, "n", tl_gemm(TL_NONE, r[4], V, false, false));
    tl_output(s, "m", tl_gemm(r[0], r[5], V, false, false));
    tl_output(s, "l", tl_gemm(column, r[6], V, false, false));
    tl_output(s, "k", tl_gemm(column, r[7], V, false, false));
}

Test(passes, products_of_one_weight_are_batched_where_none_needs_another)
{
    cr_assert(instructions(siamese, "-batch") == 3 + 3);
    cr_assert(instructions(siamese, "") == 3 + 1);
    cr_assert(instructions(recurrence, "-batch") == 2 + 4 + 4);
    cr_assert(instructions(recurrence, "") == 2 + 1 + 4);
    cr_assert(instructions(outputs, "-batch") == 3 + 3 + 5);
    cr_assert(instructions(outputs, "") == 3 + 3 + 1); /* a product in place of five, which is y */
    cr_assert(instructions(circle, "-batch") == 2 + 4);
    cr_assert(instructions(circle, "") == 2 + 1 + 2); /* a product of both, two alone */
    cr_assert(instructions(unlike, "") == instructions(unlike, "-batch"));
}

/* Parameters whose gradients are one and the same node each get theirs. */
/* Four steps of products: one chain is one product; a chain that is looked at in between is two. */
static void chain(tl_scope *s, tl_tensor x, bool look)
{
    tl_tensor c = TL_NONE;
    for (int t = 0; t < 4; t++) {
        c = tl_gemm(c, tl_at(x, t), tl_tanh(tl_at(x, t)), true, false);
        if (look && t == 1) tl_output(s, "look", c);
    }
    tl_output(s, "y", c);
}
static void unseen_chain(tl_scope *s, tl_tensor x) { chain(s, x, false); }
static void seen_chain(tl_scope *s, tl_tensor x) { chain(s, x, true); }

Test(passes, a_chain_is_deferred_unless_someone_looks)
{
    cr_assert(instructions(unseen_chain, "-defer") == 4 + 4);
    cr_assert(instructions(unseen_chain, "") == 4 + 1); /* x and the stack lie one below the other; a product */
    cr_assert(instructions(seen_chain, "") == 4 + 2);
}

Test(passes, equal_gradients_reach_every_parameter)
{
    passes("");
    tl_model *model = tl_model_new();
    tl_tape *t = tl_tape_new(model);
    tl_scope *s = tl_root(t);
    const tl_tensor a = tl_param(s, "a", TL_DIMS(3), .init = normal), b = tl_param(s, "b", TL_DIMS(3), .init = normal);
    tl_backward(tl_sum(tl_tanh(tl_add(a, b)), TL_ALL));
    tl_session *session = run_once(t, NULL, 0);
    const float *g = tl_session_gradients(session, NULL, NULL);
    for (int i = 0; i < 3; i++) cr_assert(g[i] != 0 && g[i] == g[3 + i]);
    tl_session_free(session);
    tl_model_free(model);
}

Test(passes, every_allocation_may_fail)
{
    passes("");
    bool passed = false;
    for (uint64_t k = 1; !passed && k < 4000; k++) {
        tl_model *model = tl_model_new();
        tl_tape *t = tl_tape_new(model);
        const tl_tensor x = tl_input(tl_root(t), "x", FLOATS(NULL, 6, 2, 3));
        tl_backward(tl_sum(tl_lstm(tl_root(t), x, .units = 17), TL_ALL)); /* wide enough for every pass */
        tl_fail_allocation(k);
        tl_plan *plan = tl_compile(t);
        tl_fail_allocation(0);
        passed = plan != NULL;
        cr_assert(passed || tl_tape_status(t) == TL_E_MEMORY, "%s", tl_message());
        cr_assert(tl_model_count(model) == (passed ? 12 : 0));
        tl_plan_free(plan);
        tl_tape_free(t);
        tl_model_free(model);
        cr_assert(tl_live_bytes() == 0, "allocation %d", (int)k);
    }
    cr_assert(passed);
}
