/* tests/test_explain.c - what the compiler tells: notes, census, profile, the plan as a graph. */
#include "tests/support.h"

#include "graph/look.h"
#include "layers/layers.h"

static tl_model *model;
static tl_tape *tape;
static tl_scope *root;

static void begin(const char *passes)
{
    setenv("TL_PASSES", passes, 1);
    tl_set_exact(true);
    model = tl_model_new(.seed = 1);
    tape = tl_tape_new(model, .training = true);
    root = tl_root(tape);
}

static tl_plan *compiled(void)
{
    tl_plan *p = tl_compile(tape);
    cr_assert(p, "%s", tl_message());
    tl_tape_free(tape);
    return p;
}

static void end(tl_plan *p, char *text)
{
    tl_free(text);
    tl_plan_free(p);
    tl_model_free(model);
    cr_assert_eq(tl_live_bytes(), 0);
}

enum { W = 16, B = 2 };
static tl_tensor weight(tl_scope *s, const char *name) { return tl_param(s, name, TL_DIMS(W, W), .init = normal); }
static tl_tensor rows(int64_t n) { return tl_random_normal(root, TL_DIMS(n, W)); } /* an instruction each */

/* h' = tanh(h U + x W) over T steps of B rows; the lines of the two products */
static int line_of_U, line_of_W;
static tl_tensor recurrence(int T)
{
    const tl_tensor x = tl_input(root, "x", FLOATS(NULL, T, B, W));
    tl_scope *s = tl_in(root, "net");
    tl_tensor h = tl_full(root, TL_DIMS(B, W), 0);
    for (int t = 0; t < T; t++) {
        tl_scope *at = tl_step(s, t);
        const tl_place_mark m = tl_enter(TL_HERE, at);
        tl_tensor y = tl_matmul(tl_at(x, t), weight(at, "W"));
        line_of_W = __LINE__ - 1;
        h = tl_tanh(tl_add(y, tl_matmul(h, weight(at, "U"))));
        line_of_U = __LINE__ - 1;
        tl_leave(at, m);
    }
    tl_output(root, "h", h);
    return tl_sum(h, TL_ALL);
}

static tl_session *run(const tl_plan *p, int times, int T)
{
    static float x[64 * B * W];
    tl_session *s = tl_session_new(model);
    for (int i = 0; i < times; i++)
        cr_assert(tl_run(s, p, (tl_array[]){ FLOATS(x, T, B, W) }, 1) == TL_OK, "%s", tl_message());
    return s;
}

static int lines_with(const char *text, const char *part)
{
    int n = 0;
    while ((text = strstr(text, part))) n++, text++;
    return n;
}

/* ---- notes -------------------------------------------------------------------------------------------------------- */

Test(explain, says_what_was_done_where_and_what_was_left_and_why)
{
    begin("");
    recurrence(6);
    tl_plan *p = compiled();
    char *text = tl_explain(p);
    HAS_LINE(text, "  batch     6 products of 12 rows in all became 1: net/W, ", AT_LINE(line_of_W), " in net");
    HAS_LINE(text, "  batch     6 products: one needs another (a recurrence): net/U, ", AT_LINE(line_of_U), " in net");
    cr_assert(strstr(text, "\ndone:\n") < strstr(text, "became 1"));
    cr_assert(strstr(text, "became 1") < strstr(text, "\nleft as it was:\n"));
    cr_assert(strstr(text, "\nleft as it was:\n") < strstr(text, "a recurrence"));
    cr_lacks(text, "step"); /* all steps are one line */
    end(p, text);
}

Test(explain, names_the_gradients_that_were_deferred)
{
    begin("");
    tl_backward(recurrence(6));
    tl_plan *p = compiled();
    char *text = tl_explain(p);
    HAS_LINE(text, "  defer     12 products added up one by one became 2 of 24 rows in all");
    HAS_LINE(text, "  6  net/W (gradient), ", AT_LINE(line_of_W));
    HAS_LINE(text, "  6  net/U (gradient), ", AT_LINE(line_of_U));
    end(p, text);
}

static void many_lines(void)
{
    for (int i = 0; i < 10; i++) {
        char name[8];
        snprintf(name, sizeof name, "s%d", i);
        const tl_place_mark m = tl_enter(TL_HERE, tl_in(root, name));
        const tl_tensor x = rows(1);
        for (int k = 0; k < 1 + 2 * (i == 7); k++)
            tl_output(tl_in(root, name), (char[]){ (char)('a' + k), 0 }, tl_tanh(x));
        tl_output(tl_in(root, name), "y", tl_tanh(x));
        tl_leave(root, m);
    }
}

/* In each scope one line computes again what was there, in s7 another does so twice: that comes first. */
Test(explain, names_the_places_of_most_and_counts_the_rest)
{
    begin("");
    many_lines();
    tl_plan *p = compiled();
    char *text = tl_explain(p);
    HAS_LINE(text, "  cse       12 operations computed before");
    const char *first = strstr(text, "operations computed before\n");
    cr_assert(strstr(first, " 2  ") < strstr(first, " 1  ") && strstr(first, " in s7\n") < strstr(first, " in s0\n"));
    HAS_LINE(text, "  5  at 5 others");
    end(p, text);
}

static tl_tensor twice(tl_tensor x) { return tl_add(tl_tanh(x), tl_tanh(x)); }

Test(explain, one_is_no_plural)
{
    begin("");
    tl_output(root, "y", twice(rows(1)));
    tl_tanh(rows(1));
    tl_plan *p = compiled();
    char *text = tl_explain(p);
    HAS_LINE(text, "  cse       1 operation computed before: ", "test_explain.c:");
    HAS_LINE(text, "  cse       1 operation that nothing asks for left out: ");
    end(p, text);
}

Test(explain, says_what_is_switched_off)
{
    begin("-batch,-cse");
    recurrence(6);
    tl_plan *p = compiled();
    char *text = tl_explain(p);
    HAS_LINE(text, "  batch     everything: switched off by TL_PASSES");
    HAS_LINE(text, "  cse       everything: switched off by TL_PASSES");
    cr_lacks(text, "became");
    cr_lacks(text, "a recurrence");
    end(p, text);
}

/* Two products alike, of which one would have been enough to say nothing. */
Test(explain, tells_why_products_stay_alone)
{
    begin("");
    const tl_tensor V = weight(root, "V"), narrow = tl_param(root, "narrow", TL_DIMS(W, 3));
    for (int k = 0; k < 3; k++) {
        tl_output(root, (char[]){ 'a', (char)('0' + k), 0 }, tl_matmul(rows(257), V));
        if (k) tl_output(root, (char[]){ 'b', (char)('0' + k), 0 }, tl_matmul(rows(2), narrow));
    }
    tl_output(root, "alone", tl_matmul(rows(257), weight(root, "U")));
    tl_plan *p = compiled();
    char *text = tl_explain(p);
    HAS_LINE(text, "  batch     3 products, large enough each by itself: V, ");
    HAS_LINE(text, "  batch     2 products of few columns: to copy them costs more: narrow, ");
    cr_lacks(text, ": U, ");
    end(p, text);
}

/* ---- census ------------------------------------------------------------------------------------------------------- */

Test(census, counts_products_as_written_and_as_done)
{
    begin("");
    const tl_tensor x = rows(3), V = weight(root, "V");
    tl_matmul(x, V); /* nobody asks */
    tl_output(root, "y", tl_add(tl_matmul(x, V), tl_matmul(x, V)));
    tl_output(root, "z", tl_gemm(TL_NONE, x, rows(3), true, false)); /* [16,3] [3,16] */
    tl_output(root, "q", tl_matmul(tl_random_normal(root, TL_DIMS(5, 2, 7)), tl_random_normal(root, TL_DIMS(7, 4))));
    tl_plan *p = compiled();
    const double one = 2.0 * 3 * W * W, z = 2.0 * W * W * 3, q = 2.0 * 5 * 2 * 7 * 4;
    cr_assert_eq(tl_plan_flops_written(p), 2 * one + z + q);
    cr_assert_eq(tl_plan_flops(p), one + z + q);
    char *text = tl_explain(p);
    HAS_LINE(text, "plan: 8 instructions (8 kernels) for 9 operations as written, 3 matrix products for 4");
    end(p, text);
}

Test(census, counts_bytes_and_copies)
{
    begin("");
    const tl_tensor x = tl_input(root, "x", FLOATS(NULL, 6, 2, 3)), b = tl_param(root, "b", TL_DIMS(3));
    tl_output(root, "y", tl_add(x, b));              /* 144 read, 12 read, 144 written */
    tl_output(root, "t", tl_transpose(tl_at(x, 1))); /* 24 read and written */
    tl_plan *p = compiled();
    char *text = tl_explain(p);
    cr_has(text, "348 B read and written, of them 48 B by 1 copies");
    HAS_LINE(text, "       1  permute                    48 B  (copies)");
    cr_has(text, "parameters 12 B (3 numbers)");
    end(p, text);
}

/* Rows that are picked count, not the table they are picked from. */
Test(census, of_a_look_up_only_what_is_picked)
{
    begin("");
    const int32_t ids[] = { 1, 900 };
    const tl_tensor E = tl_param(root, "E", TL_DIMS(1000, 8));
    tl_output(root, "y", tl_gather(E, tl_ids_const(root, TL_DIMS(2), ids)));
    tl_plan *p = compiled();
    tl_kernel_call c = { 0 };
    cr_assert(tl_next_call(p, &c) && tl_call_bytes(&c) == 64 + 64 + 8);
    cr_assert(!tl_next_call(p, &c));
    end(p, NULL);
}

static size_t most(const tl_desc *d, int64_t offset, int64_t *begin)
{
    size_t n = 0;
    for (tl_run_of_bytes r = { 0 }; tl_next_run(&r, (tl_ref){ 0, offset }, d); n++) {
        begin[2 * n] = r.begin;
        begin[2 * n + 1] = r.end;
    }
    return n;
}

Test(census, operands_are_runs_of_bytes)
{
    int64_t at[32];
    const tl_desc dense = { TL_F32, 3, { 2, 3, 4 }, { 12, 4, 1 } }, columns = { TL_F64, 2, { 2, 3 }, { 5, 1 } },
                  column = { TL_F32, 2, { 3, 1 }, { 7, 7 } }, same = { TL_F32, 2, { 9, 2 }, { 0, 1 } },
                  none = { TL_F32, 2, { 0, 3 }, { 3, 1 } }, one = { TL_F64, 0, { 0 }, { 0 } };
    cr_assert(most(&dense, 8, at) == 1 && at[0] == 8 && at[1] == 8 + 96);
    cr_assert(most(&columns, 0, at) == 2 && at[0] == 0 && at[1] == 24 && at[2] == 40 && at[3] == 64);
    cr_assert(most(&column, 4, at) == 3 && at[4] == 4 + 56 && at[5] == 4 + 60);
    cr_assert(most(&same, 0, at) == 1 && at[1] == 8);
    cr_assert(most(&none, 0, at) == 0);
    cr_assert(most(&one, 16, at) == 1 && at[1] == 24);
}

/* Three arrays of 100 numbers, of which the sum takes the place of one; then one is left. */
Test(census, knows_the_most_alive_at_once)
{
    begin("");
    tl_tensor r[3];
    for (int i = 0; i < 3; i++) r[i] = tl_random_normal(root, TL_DIMS(100));
    tl_output(root, "y", tl_sum(tl_tanh(tl_add(tl_add(r[0], r[1]), r[2])), TL_ALL));
    tl_plan *p = compiled();
    cr_assert_eq(tl_live_peak(p), 3 * 400);
    cr_assert(tl_live_peak(p) <= tl_plan_arena_bytes(p));
    end(p, NULL);
    begin("");
    recurrence(6);
    p = compiled();
    cr_assert(tl_live_peak(p) <= tl_plan_arena_bytes(p) && tl_live_peak(p) >= 6 * B * W * 4);
    end(p, NULL);
}

/* 100 numbers die before 200 are made, which do not fit in their place: the arena has room for both. */
Test(census, knows_that_what_is_dead_takes_no_part)
{
    begin("-schedule");
    const tl_tensor a = tl_sum(tl_random_normal(root, TL_DIMS(100)), TL_ALL);
    tl_output(root, "y", tl_add(a, tl_sum(tl_random_normal(root, TL_DIMS(200)), TL_ALL)));
    tl_plan *p = compiled();
    cr_assert(tl_plan_arena_bytes(p) >= 1200);
    cr_assert(tl_live_peak(p) >= 804 && tl_live_peak(p) < 900, "%d", (int)tl_live_peak(p));
    end(p, NULL);
}

/* The bias gradient of a small classifier: a sum over rows, from nothing, among what has room within a run. */
Test(census, a_sum_within_a_run_may_start_from_nothing)
{
    begin("");
    const tl_tensor x = tl_input(root, "x", FLOATS(NULL, B, W));
    const tl_tensor b = tl_param(root, "b", TL_DIMS(W));
    const tl_tensor y = tl_log_softmax(tl_tanh(tl_add(x, b)));
    tl_tensor g;
    tl_grad(tl_mean(tl_mul(y, y), TL_ALL), &b, 1, &g);
    tl_output(root, "g", g);
    tl_plan *p = compiled();
    cr_assert(tl_live_peak(p) >= W * sizeof(float) && tl_live_peak(p) < 100 * B * W * sizeof(float));
    end(p, NULL);
}

Test(census, a_plan_of_nothing)
{
    begin("");
    tl_tanh(rows(1));
    tl_plan *p = compiled();
    char *text = tl_explain(p);
    cr_has(text, "plan: 0 instructions (0 kernels) for 0 operations");
    cr_assert(tl_plan_flops(p) == 0 && tl_live_peak(p) == 0);
    tl_free(text);
    text = tl_plan_dot(p);
    parse_dot(text, "n0", (char[1024]){ 0 });
    end(p, text);
}

/* ---- profile ------------------------------------------------------------------------------------------------------ */

Test(profile, groups_what_is_alike)
{
    begin("-batch,-fuse,-keep");
    recurrence(6);
    tl_plan *p = compiled();
    tl_session *s = run(p, 1, 6);
    cr_assert(!tl_profile(s));
    cr_has(tl_message(), "nothing was timed");
    cr_assert(tl_session_profile(s, true) == TL_OK && !tl_profile(s));
    static float x[6 * B * W];
    for (int i = 0; i < 3; i++) cr_assert(tl_run(s, p, (tl_array[]){ FLOATS(x, 6, B, W) }, 1) == TL_OK);
    char *text = tl_profile(s);
    cr_has(text, "3 runs, ");
    HAS_LINE(text, "     6.0 ", " GFLOP/s matmul [2,16] <- [2,16] [16,16]  ", AT_LINE(line_of_W), " in net");
    HAS_LINE(text, "     6.0 ", " GFLOP/s matmul [2,16] <- [2,16] [16,16]  ", AT_LINE(line_of_U), " in net");
    HAS_LINE(text, "     6.0 ", " GB/s    tanh [32] <- [32]  ", AT_LINE(line_of_U));
    double before = INFINITY, share = 0, sum = 0;
    int n = 0;
    for (const char *line = strchr(strchr(text, '\n') + 1, '\n') + 1; *line; line = strchr(line, '\n') + 1, n++) {
        double calls, ms, percent;
        cr_assert(sscanf(line, "%lf %lf %lf", &calls, &ms, &percent) == 3 && ms <= before);
        before = ms;
        share += percent;
        sum += ms;
    }
    cr_assert(n == 4 && fabs(share - 100) < 0.5 && sum > 0); /* two products, the sum, tanh */
    tl_free(text);
    cr_assert(tl_session_profile(s, false) == TL_OK && !tl_profile(s));
    cr_assert(tl_session_profile(NULL, true) == TL_E_ARGUMENT);
    tl_session_free(s);
    end(p, NULL);
}

/* What is fused is one line, timed together, of which memory sees the beginning and the end. */
Test(profile, of_what_is_fused_only_the_whole)
{
    begin("");
    const tl_tensor x = tl_input(root, "x", FLOATS(NULL, 6, B, W));
    const tl_tensor e = tl_exp(x);
    tl_output(root, "y", tl_sum(tl_mul(e, tl_tanh(x)), TL_AXES(2)));
    const int64_t tile = tl_tile_bytes;
    tl_tile_bytes = 800; /* some rows at a time, and some are left */
    tl_plan *p = compiled();
    tl_tile_bytes = tile;
    int64_t bytes = 0;
    for (tl_kernel_call c = { 0 }; tl_next_call(p, &c);) bytes += tl_call_bytes(&c);
    cr_assert(p->instr[0].fused->tile > 1 && p->instr[0].fused->tile < 6 * B);
    cr_assert_eq(bytes, (6 * B * W + 6 * B) * 4); /* x once, though two read it, and y */
    cr_assert_eq(tl_plan_instructions(p), 1);
    tl_session *s = tl_session_new(model);
    static float v[6 * B * W];
    tl_session_profile(s, true);
    cr_assert(tl_run(s, p, (tl_array[]){ FLOATS(v, 6, B, W) }, 1) == TL_OK);
    char *text = tl_profile(s);
    HAS_LINE(text, "     1.0 ", " GB/s    4 fused, 12 rows: exp tanh mul sum  ", "test_explain.c:");
    tl_free(text);
    text = tl_explain(p);
    cr_has(text, "plan: 1 instructions (4 kernels) for 4 operations");
    HAS_LINE(text, "       1  mul ", " 0 B  (1 fused)");
    HAS_LINE(text, "       1  exp ", " 768 B  (1 fused)");
    tl_session_free(s);
    end(p, text);
}

/* The same numbers; two plans in one session; plans that are freed before they are looked at. */
Test(profile, changes_nothing)
{
    static float x[6 * B * W];
    for (int i = 0; i < COUNT(x); i++) x[i] = (float)sin(i);
    begin("");
    tl_backward(recurrence(6));
    tl_plan *p = compiled();
    tape = tl_tape_new(model);
    root = tl_root(tape);
    tl_output(root, "h", rows(2));
    tl_plan *q = compiled();
    tl_session *a = tl_session_new(model), *b = tl_session_new(model);
    cr_assert(tl_session_profile(b, true) == TL_OK && tl_session_profile(b, true) == TL_OK);
    cr_assert(tl_run(a, p, (tl_array[]){ FLOATS(x, 6, B, W) }, 1) == TL_OK &&
              tl_run(b, p, (tl_array[]){ FLOATS(x, 6, B, W) }, 1) == TL_OK);
    const size_t size = (size_t)tl_model_size(model) * sizeof(float);
    cr_assert(!memcmp(tl_session_gradients(a, NULL, NULL), tl_session_gradients(b, NULL, NULL), size));
    cr_assert(tl_session_plan(b) == p);
    for (int i = 0; i < 3; i++) cr_assert(tl_run(b, q, NULL, 0) == TL_OK);
    cr_assert(tl_session_plan(b) == q && tl_session_runs(b) == 4);
    tl_plan_free(p);
    char *text = tl_profile(b);
    cr_has(text, "4 runs, ");
    cr_has(text, "random_normal [2,16]");
    cr_has(text, "(gradient)");
    tl_session_free(a);
    tl_session_free(b);
    end(q, text);
}

static tl_status fails(const tl_run_args *r) { return tl_kernel_fail(r, TL_E_INDEX, "no"); }
static const struct tl_op failing = { .size = sizeof failing,
                                      .name = "failing",
                                      .min_in = 1,
                                      .max_in = 1,
                                      .shape = tl_shape_same,
                                      .f32 = fails,
                                      .f64 = fails };

Test(profile, a_run_that_fails_says_so_and_does_not_count)
{
    begin("");
    const tl_tensor x = rows(1);
    tl_output(root, "y", tl_apply(&failing, &x, 1, NULL));
    tl_plan *p = compiled();
    tl_session *s = tl_session_new(model);
    tl_session_profile(s, true);
    cr_assert(tl_run(s, p, NULL, 0) == TL_E_INDEX && !tl_profile(s));
    cr_has(tl_message(), "nothing was timed");
    tl_session_free(s);
    end(p, NULL);
}

/* ---- the plan as a graph ------------------------------------------------------------------------------------------- */

/* The number of the node whose label starts so; -1: there is none. */
static int node_of(const char *dot, const char *label)
{
    char start[128];
    snprintf(start, sizeof start, " [label=\"%s", label);
    const char *p = strstr(dot, start);
    if (!p) return -1;
    while (p[-1] != 'n') p--;
    return atoi(p);
}

static bool has_edge(const char *dot, const char *from, const char *to)
{
    char edge[64];
    const int a = node_of(dot, from), b = node_of(dot, to);
    snprintf(edge, sizeof edge, "  n%d -> n%d", a, b);
    return a >= 0 && b >= 0 && strstr(dot, edge);
}

Test(plan_dot, has_an_edge_from_who_writes_to_who_reads)
{
    begin("-place,-fuse");
    const tl_tensor x = tl_input(root, "x", FLOATS(NULL, 3, W)), V = weight(root, "V");
    const tl_tensor y = tl_exp(tl_tanh(tl_matmul(x, V))); /* each takes the place of the one before */
    tl_output(root, "y", y);
    tl_output(root, "halves", tl_concat(2, (tl_tensor[]){ tl_slice(y, 0, 1, 3), tl_sigmoid(tl_slice(y, 0, 0, 1)) }, 0));
    tl_backward(tl_sum(tl_matmul(x, V), TL_ALL));
    tl_plan *p = compiled();
    char *dot = tl_plan_dot(p), path[1024];
    parse_dot(dot, "n0", path);
    graphviz_reads(dot);
    cr_assert(has_edge(dot, "x\"", "matmul [3,16]") && has_edge(dot, "V\"", "matmul [3,16]"));
    cr_assert(has_edge(dot, "matmul [3,16]", "tanh") && has_edge(dot, "tanh", "exp") && has_edge(dot, "exp", "y\""));
    cr_assert(!has_edge(dot, "matmul [3,16]", "exp") && !has_edge(dot, "tanh", "y\""));
    cr_assert(has_edge(dot, "exp", "sigmoid") && has_edge(dot, "exp", "concat") && has_edge(dot, "sigmoid", "concat"));
    cr_assert(has_edge(dot, "concat", "halves\"") && has_edge(dot, "matmul [16,16]", "gradient of V\""));
    end(p, dot);
}

/* What is fused is a cluster, and within it, too, values go from who writes to who reads. */
Test(plan_dot, has_a_cluster_for_what_is_fused)
{
    begin("");
    const tl_tensor x = tl_input(root, "x", FLOATS(NULL, 3, W)), V = weight(root, "V");
    const tl_tensor y = tl_exp(tl_tanh(tl_matmul(x, V)));
    tl_output(root, "s", tl_sum(tl_mul(y, tl_sigmoid(y)), TL_AXES(1)));
    tl_plan *p = compiled();
    char *dot = tl_plan_dot(p), path[1024], node[16];
    static const char *const fused[] = { "tanh", "exp", "sigmoid", "mul", "sum" };
    for (int i = 0; i < COUNT(fused); i++) {
        snprintf(node, sizeof node, "n%d", node_of(dot, fused[i]));
        parse_dot(dot, node, path);
        cr_assert_str_eq(path, "fused>");
    }
    graphviz_reads(dot);
    snprintf(node, sizeof node, "n%d", node_of(dot, "matmul ["));
    parse_dot(dot, node, path);
    cr_assert_str_eq(path, "");
    cr_assert(has_edge(dot, "matmul [", "tanh") && has_edge(dot, "tanh", "exp") && has_edge(dot, "exp", "sigmoid"));
    cr_assert(has_edge(dot, "exp", "mul") && has_edge(dot, "sigmoid", "mul") && has_edge(dot, "mul", "sum"));
    cr_assert(has_edge(dot, "sum", "s\"") && !has_edge(dot, "tanh", "sigmoid") && !has_edge(dot, "matmul [", "exp"));
    end(p, dot);
}

/* Two parts of a concatenation, made in their places there: what reads it has an edge from either. */
Test(plan_dot, joins_what_is_written_by_several)
{
    begin("-fuse");
    const tl_tensor x = tl_input(root, "x", FLOATS(NULL, 3, W)), V = weight(root, "V");
    tl_output(root, "y", tl_concat(2, (tl_tensor[]){ tl_tanh(x), tl_matmul(x, V) }, 1));
    tl_plan *p = compiled();
    char *dot = tl_plan_dot(p);
    parse_dot(dot, "n0", (char[1024]){ 0 });
    cr_assert(has_edge(dot, "tanh", "y\"") && has_edge(dot, "matmul [", "y\"") && node_of(dot, "concat") < 0);
    end(p, dot);
}

Test(plan_dot, states_and_steps)
{
    begin("");
    const tl_tensor h = tl_state(root, "h", tl_full(root, TL_DIMS(2), 0));
    tl_next(root, "h", tl_tanh(h));
    tl_plan *p = compiled();
    char *dot = tl_plan_dot(p), path[1024];
    parse_dot(dot, "n0", path);
    cr_assert(has_edge(dot, "where", "tanh") && has_edge(dot, "tanh", "next h\""));
    end(p, dot);
}

static int nodes_of_steps(int T)
{
    begin("-keep");
    tl_backward(recurrence(T));
    tl_plan *p = compiled();
    char *dot = tl_plan_dot(p), path[1024];
    parse_dot(dot, "n0", path);
    graphviz_reads(dot);
    const int n = lines_with(dot, " [label=\"");
    if (T == 60) cr_has(dot, "matmul [2,16]\\nnet\\n60 times");
    if (T == 60) cr_assert(has_edge(dot, "tanh [32]", "matmul [2,16]"));
    end(p, dot);
    return n;
}

Test(plan_dot, steps_alike_are_drawn_as_one)
{
    const int n = nodes_of_steps(60);
    cr_assert(n < 80, "%d nodes", n);
    cr_assert(abs(nodes_of_steps(50) - n) <= 2);
    cr_assert(nodes_of_steps(4) > 12);
}

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

static char *(*const texts[])(const tl_plan *p) = { tl_explain, tl_plan_dot };

Test(explain, without_memory_is_an_error)
{
    begin("");
    tl_backward(recurrence(60));
    tl_plan *p = compiled();
    tl_session *s = run(p, 1, 60);
    const size_t live = tl_live_bytes();
    for (int kind = 0; kind <= COUNT(texts); kind++) {
        if (kind == COUNT(texts)) {
            static float x[60 * B * W];
            tl_status status = TL_E_MEMORY;
            for (uint64_t n = 1; status; n++) {
                tl_fail_allocation(n);
                status = tl_session_profile(s, true);
                if (!status) status = tl_run(s, p, (tl_array[]){ FLOATS(x, 60, B, W) }, 1);
                tl_fail_allocation(0);
                cr_assert(!status || status == TL_E_MEMORY);
                cr_assert(n < 10 && (status || n > 2));
            }
        }
        const size_t now = kind == COUNT(texts) ? tl_live_bytes() : live;
        char *text = NULL;
        uint64_t n = 1;
        for (; !text && n < 100; n++) {
            tl_fail_allocation(n);
            text = kind < COUNT(texts) ? texts[kind](p) : tl_profile(s);
            tl_fail_allocation(0);
            if (!text) cr_has(tl_message(), "out of memory");
            if (!text) cr_assert_eq(tl_live_bytes(), now);
        }
        cr_assert(text && n > 2);
        tl_free(text);
    }
    tl_session_free(s);
    end(p, NULL);
}
