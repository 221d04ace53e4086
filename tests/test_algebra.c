/* tests/test_algebra.c - what passes rewrite by algebra: how much is left, the same bits in exact mode, and that every condition
 * is needed. */
#include "tests/support.h"

#include "graph/passes/passes.h"
#include "layers/layers.h"

/* What depends on parameters alone stays in the plan here, where it is counted. */
static void passes(const char *words)
{
    char all[128];
    snprintf(all, sizeof all, "%s,-keep", words);
    setenv("TL_PASSES", all, 1);
}
static void exactly(void) { tl_set_exact(true); }
TestSuite(algebra, .init = exactly);

/* What rules turn on: zeros of both signs, denormals, what is not finite, and plain numbers. */
enum { ROWS = 6, COLUMNS = 4, SIZE = ROWS * COLUMNS };
static const float odd[SIZE] = { -0.0f, 0,  1e-41f, -1e-41f, INFINITY, -INFINITY, 3, -2, 0.5f, 7, -0.0f, 1,
                                 1,     -3, 0.25f,  -0.75f,  2,        -0.0f,     9, 0,  -4,   6, -5,    1e-40f };

typedef void graph(tl_scope *s, tl_tensor x); /* marks outputs "y" and whatever else */

static tl_plan *compiled(graph *f, const char *words, tl_model *model)
{
    passes(words);
    tl_tape *t = tl_tape_new(model, .training = true);
    f(tl_root(t), tl_input(tl_root(t), "x", FLOATS(NULL, ROWS, COLUMNS)));
    tl_plan *plan = tl_compile(t);
    cr_assert(plan, "%s", tl_message());
    tl_tape_free(t);
    return plan;
}

static int instructions(graph *f, const char *words)
{
    tl_model *model = tl_model_new();
    tl_plan *plan = compiled(f, words, model);
    const int n = tl_plan_instructions(plan);
    tl_plan_free(plan);
    tl_model_free(model);
    return n;
}

/* All bytes of output y. */
static float *y_of(graph *f, const char *words, size_t *bytes)
{
    static float storage[SIZE];
    tl_model *model = tl_model_new();
    tl_plan *plan = compiled(f, words, model);
    tl_session *session = tl_session_new(model);
    tl_array y;
    memcpy(storage, odd, sizeof storage);
    cr_assert(tl_run(session, plan, (tl_array[]){ FLOATS(storage, ROWS, COLUMNS) }, 1) == TL_OK, "%s", tl_message());
    cr_assert(tl_get(session, "y", &y) == TL_OK);
    *bytes = bytes_in(&y);
    float *copy = malloc(*bytes + 1);
    memcpy(copy, y.data, *bytes);
    tl_session_free(session);
    tl_plan_free(plan);
    tl_model_free(model);
    return copy;
}

static bool same_bits(graph *f, const char *words)
{
    size_t n, m;
    float *a = y_of(f, "-all", &n), *b = y_of(f, words, &m);
    const bool same = n == m && !memcmp(a, b, n);
    free(a);
    free(b);
    return same;
}

/* A graph's instructions with the passes that rewrite tapes, and without the one in question. Those that work on the plan would
 * hide what is left. */
#define ON_TAPES "-place,-fuse"

typedef struct census_row {
    const char *name;
    graph *f;
    int with, without;
} census_row;
#define ROW(f, ...)                                                                                                    \
    {                                                                                                                  \
#f, f, __VA_ARGS__                                                                                             \
    }

static void check(const census_row *row, int n, const char *without)
{
    for (int k = 0; k < n; k++) {
        const int a = instructions(row[k].f, ON_TAPES), b = instructions(row[k].f, without);
        cr_expect(a == row[k].with && b == row[k].without, "%s: %d instructions, %d without", row[k].name, a, b);
        cr_expect(same_bits(row[k].f, ""), "%s: other bits", row[k].name);
    }
}

/* ---- what is there already ---------------------------------------------------------------------------------------- */

#define FULL TL_DIMS(ROWS, COLUMNS)
#define LIST(...) (int)(sizeof((tl_tensor[]){ __VA_ARGS__ }) / sizeof(tl_tensor)), ((tl_tensor[]){ __VA_ARGS__ })
#define ORDER(...) ((int[]){ __VA_ARGS__ })

#define GRAPH(name, ...)                                                                                               \
    static void name(tl_scope *s, tl_tensor x)                                                                         \
    {                                                                                                                  \
        (void)x;                                                                                                       \
        tl_output(s, "y", __VA_ARGS__);                                                                                \
    }

static tl_tensor all(tl_tensor x, double v) { return tl_full(tl_root(x.tape), FULL, v); }
static tl_tensor row(tl_tensor x, int i) { return tl_at(x, i); }
static tl_tensor column(tl_tensor x, int j) { return tl_tanh(tl_slice(x, 1, j, j + 1)); }
static tl_tensor spread(tl_tensor x) { return tl_broadcast_to(x, FULL); }
static tl_tensor square(tl_tensor x) { return tl_tanh(tl_slice(x, 0, 0, COLUMNS)); }
static tl_tensor cube(tl_tensor x) { return tl_reshape(x, TL_DIMS(2, 3, 4)); }

/* Operands that are broadcast, under operations that do so themselves. */
GRAPH(spread_row, tl_add(x, spread(row(x, 2))))
GRAPH(spread_column, tl_sub(spread(column(x, 1)), x))
GRAPH(spread_two, tl_lerp(x, spread(row(x, 1)), spread(row(x, 2))))
GRAPH(spread_all, tl_add(spread(row(x, 1)), spread(column(x, 0))))
GRAPH(spread_alone, tl_tanh(spread(row(x, 1)))) /* tanh of fewer, then it is spread */
GRAPH(spread_twice, tl_broadcast_to(tl_broadcast_to(row(x, 1), TL_DIMS(1, COLUMNS)), FULL))
GRAPH(spread_start, tl_gemm(spread(row(x, 1)), tl_tanh(x), square(x), false, false))
GRAPH(spread_to_itself, spread(tl_tanh(x)))

/* Views and moves. */
GRAPH(turned_back, tl_tanh(tl_permute(tl_permute(cube(x), ORDER(1, 2, 0)), ORDER(2, 0, 1))))
GRAPH(turned_on, tl_tanh(tl_permute(tl_permute(cube(x), ORDER(1, 2, 0)), ORDER(0, 2, 1))))
GRAPH(moved_ones, tl_tanh(tl_permute(tl_reshape(x, TL_DIMS(ROWS, 1, COLUMNS)), ORDER(1, 0, 2))))
GRAPH(turned_left, tl_gemm(TL_NONE, tl_transpose(x), tl_tanh(x), false, false))
GRAPH(turned_right, tl_gemm(TL_NONE, x, tl_transpose(tl_tanh(x)), false, false))
GRAPH(turned_both, tl_gemm(TL_NONE, tl_transpose(x), tl_transpose(square(x)), true, true))
static tl_tensor two(tl_tensor x, int axis) { return tl_concat(LIST(tl_tanh(x), tl_sigmoid(x)), axis); }
GRAPH(a_member, tl_neg(tl_slice(two(x, 1), 1, COLUMNS, 2 * COLUMNS)))
GRAPH(within_a_member, tl_neg(tl_slice(two(x, 1), 1, COLUMNS + 1, 2 * COLUMNS - 1)))
GRAPH(part_of_part, tl_neg(tl_slice(tl_slice(tl_tanh(x), 1, 1, 4), 1, 1, 3)))
GRAPH(parts_joined, tl_neg(tl_concat(LIST(tl_slice(x, 1, 0, 1), tl_slice(x, 1, 1, 2), tl_slice(x, 1, 2, 4)), 1)))
GRAPH(some_joined, tl_neg(tl_concat(LIST(tl_slice(x, 1, 1, 2), tl_slice(x, 1, 2, 4)), 1)))
GRAPH(single, tl_tanh(tl_concat(1, &x, 0)))
GRAPH(copied, tl_tanh(tl_stop_gradient(tl_sum(tl_at(tl_at(x, 0), 0), TL_ALL))))

/* Steps are stacked, and taken out of the stack again; the rows are put together once for both shapes. */
static void steps(tl_scope *s, tl_tensor x)
{
    tl_tensor h[3], y[3];
    for (int t = 0; t < 3; t++) h[t] = tl_tanh(tl_slice(x, 0, 2 * t, 2 * t + 2));
    for (int t = 0; t < 3; t++) y[t] = tl_reshape(h[t], TL_DIMS(1, 2, COLUMNS));
    const tl_tensor stack = tl_concat(3, y, 0);
    for (int t = 0; t < 3; t++) y[t] = tl_mul(h[t], tl_at(stack, 2 - t));
    tl_output(s, "y", tl_concat(3, y, 0));
    tl_output(s, "stack", tl_neg(stack));
    tl_output(s, "rows", tl_square(tl_concat(3, h, 0)));
}

/* Numbers that are known. */
GRAPH(times_one, tl_mul(tl_add(x, x), all(x, 1)))
GRAPH(one_times_row, tl_mul(all(x, 1), tl_add(row(x, 0), row(x, 1))))
GRAPH(over_one, tl_div(tl_add(x, x), all(x, 1)))
GRAPH(neg_twice, tl_neg(tl_neg(x)))
GRAPH(always, tl_where(all(x, NAN), tl_tanh(row(x, 1)), tl_neg(x)))
GRAPH(never, tl_where(all(x, -0.0), tl_tanh(x), tl_neg(x)))
GRAPH(either, tl_where(tl_less(x, tl_neg(x)), x, x))
GRAPH(from_zero, tl_gemm(all(x, 0), tl_tanh(x), square(x), false, false))
GRAPH(views_of_fill, tl_mul(tl_add(x, x), tl_slice(tl_transpose(tl_reshape(all(x, 1), TL_DIMS(1, SIZE))), 0, 3, 4)))
static void chosen(tl_scope *s, tl_tensor x) /* the gradient of `where` keeps and drops */
{
    tl_tensor d;
    tl_grad(tl_mul(x, tl_where(all(x, 1), tl_tanh(x), tl_sigmoid(x))), &x, 1, &d);
    tl_output(s, "y", d);
}

Test(algebra, leaves_out_what_is_there_already)
{
    static const census_row rows[] = {
        ROW(spread_row, 1, 2),   ROW(spread_column, 3, 4), ROW(spread_two, 1, 3),    ROW(spread_all, 3, 5),
        ROW(spread_alone, 2, 2), ROW(spread_twice, 1, 2),  ROW(spread_start, 3, 4),  ROW(spread_to_itself, 1, 2),
        ROW(turned_back, 1, 3),  ROW(turned_on, 2, 3),     ROW(moved_ones, 1, 2),    ROW(turned_left, 2, 3),
        ROW(turned_right, 2, 3), ROW(turned_both, 2, 4),   ROW(a_member, 2, 5),      ROW(within_a_member, 3, 5),
        ROW(part_of_part, 3, 4), ROW(parts_joined, 1, 5),  ROW(some_joined, 2, 4),   ROW(single, 1, 2),
        ROW(copied, 1, 3),       ROW(steps, 10, 11),       ROW(times_one, 1, 2),     ROW(one_times_row, 2, 2),
        ROW(over_one, 1, 2),     ROW(neg_twice, 1, 2),     ROW(always, 2, 3),        ROW(never, 1, 3),
        ROW(either, 1, 3),       ROW(from_zero, 3, 3),     ROW(views_of_fill, 1, 2), ROW(chosen, 8, 11),
    };
    check(rows, COUNT(rows), ON_TAPES ",-simplify");
}

/* ---- and what is not ---------------------------------------------------------------------------------------------- */

static tl_tensor scattered(tl_tensor x, int a, int b, int c) /* three rows */
{
    return tl_concat(LIST(tl_slice(x, 0, a, a + 1), tl_slice(x, 0, b, b + 1), tl_slice(x, 0, c, c + 1)), 0);
}
GRAPH(across_members, tl_neg(tl_slice(two(x, 1), 1, 1, COLUMNS + 1)))
GRAPH(across_the_other_axis, tl_neg(tl_slice(two(x, 1), 0, 1, 3)))
GRAPH(parts_of_two_axes, tl_neg(tl_slice(tl_slice(tl_tanh(x), 1, 1, 3), 0, 1, 3)))
GRAPH(out_of_order, tl_neg(scattered(x, 2, 1, 0)))
GRAPH(with_a_gap, tl_neg(scattered(x, 0, 1, 3)))
GRAPH(one_twice, tl_neg(scattered(x, 1, 1, 2)))
GRAPH(of_two_things, tl_neg(tl_concat(LIST(tl_slice(tl_tanh(x), 0, 0, 1), tl_slice(x, 0, 1, 2)), 0)))
GRAPH(along_the_other_axis, tl_neg(tl_concat(LIST(tl_slice(tl_tanh(x), 1, 0, 2), tl_slice(tl_tanh(x), 1, 2, 4)), 0)))
GRAPH(turned, tl_tanh(tl_permute(cube(x), ORDER(1, 2, 0))))
GRAPH(turned_batch, tl_gemm(TL_NONE, tl_permute(cube(x), ORDER(2, 1, 0)), square(tl_slice(x, 1, 0, 2)), false, true))
GRAPH(times_two, tl_mul(tl_add(x, x), all(x, 2)))
GRAPH(one_over, tl_div(all(x, 1), tl_add(x, x)))
/* Rows of a stack under a shape in which they are cut through. */
static tl_tensor half_rows(tl_tensor x) { return tl_reshape(two(x, 0), TL_DIMS(2 * ROWS * 2, COLUMNS / 2)); }
GRAPH(cut_at_begin, tl_neg(tl_slice(half_rows(x), 0, 1, 4)))
GRAPH(cut_at_end, tl_neg(tl_slice(half_rows(x), 0, 2, 5)))
/* Rows that are no step each: more of them, and of another shape. */
GRAPH(two_and_one,
      tl_neg(tl_concat(LIST(tl_full(s, TL_DIMS(2, COLUMNS), 3), tl_reshape(tl_tanh(row(x, 1)), TL_DIMS(1, COLUMNS))),
                       0)))
/* In exact mode: x + 0 is not x for x = -0, nor is a sum of one number; and 1 x is not x where x is denormal. */
GRAPH(plus_zero, tl_add(x, all(x, 0)))
GRAPH(sum_of_one, tl_sum(tl_reshape(x, TL_DIMS(ROWS, 1, COLUMNS)), TL_AXES(1)))
GRAPH(one_times, tl_mul(x, all(x, 1)))
GRAPH(by_one, tl_div(x, all(x, 1)))
/* What starts from -0 does not start from 0: it stays -0 where nothing is added. */
GRAPH(from_minus_zero, tl_gemm(all(x, -0.0), tl_slice(x, 1, 0, 0), tl_slice(tl_transpose(x), 1, 0, 0), false, true))

/* A kernel of a user's that takes its operands for dense, where the shape rule does not say that they broadcast. */
static tl_status dense_kernel(const tl_run_args *r)
{
    const float *a = r->in[0], *b = r->in[1];
    for (int64_t i = 0; i < SIZE; i++) ((float *)r->out)[i] = a[i] - b[i];
    return TL_OK;
}
static const struct tl_op dense_op = { .size = sizeof dense_op,
                                       .name = "dense",
                                       .min_in = 2,
                                       .max_in = 2,
                                       .cls = TL_ELEMENTWISE,
                                       .shape = tl_shape_same,
                                       .f32 = dense_kernel,
                                       .f64 = dense_kernel };
GRAPH(of_one_shape, tl_apply(&dense_op, (tl_tensor[]){ x, spread(row(x, 0)) }, 2, NULL))

static void seen(void *data, const char *path, const tl_array *value) { (void)data, (void)path, (void)value; }
GRAPH(a_tap, tl_tanh(tl_reshape(tl_tap(s, tl_reshape(x, TL_DIMS(SIZE)), seen, NULL), FULL)))

Test(algebra, leaves_alone_what_would_differ)
{
    static const census_row rows[] = {
        ROW(across_members, 5, 5),
        ROW(across_the_other_axis, 4, 4),
        ROW(parts_of_two_axes, 3, 3),
        ROW(two_and_one, 3, 3),
        ROW(out_of_order, 2, 2),
        ROW(with_a_gap, 2, 2),
        ROW(one_twice, 2, 2),
        ROW(of_two_things, 3, 3),
        ROW(along_the_other_axis, 5, 5),
        ROW(turned, 2, 2),
        ROW(turned_batch, 4, 4),
        ROW(times_two, 2, 2),
        ROW(one_over, 2, 2),
        ROW(cut_at_begin, 4, 4),
        ROW(cut_at_end, 4, 4),
        ROW(plus_zero, 1, 1),
        ROW(sum_of_one, 1, 1),
        ROW(one_times, 1, 1),
        ROW(by_one, 1, 1),
        ROW(from_minus_zero, 2, 2),
        ROW(of_one_shape, 2, 2),
        ROW(a_tap, 2, 2),
    };
    check(rows, COUNT(rows), ON_TAPES ",-simplify");
}

/* By default the sign of a zero and denormals do not count. */
Test(algebra, leaves_out_more_by_default)
{
    graph *const f[] = { plus_zero, sum_of_one, one_times, by_one };
    tl_set_exact(false);
    for (int k = 0; k < COUNT(f); k++) {
        cr_expect(instructions(f[k], "") == 1, "graph %d", k); /* a copy: the input may change */
        size_t n, m;
        float *a = y_of(f[k], "-all", &n), *b = y_of(f[k], "", &m);
        for (size_t i = 0; i < n / sizeof *a; i++)
            cr_expect(a[i] == b[i] || fabsf(a[i] - b[i]) < 1e-37f, "graph %d", k);
        free(a);
        free(b);
    }
}

/* ---- constants ---------------------------------------------------------------------------------------------------- */

static tl_tensor numbers(tl_scope *s) { return tl_const(s, TL_DIMS(COLUMNS), (double[]){ 1, -0.0, 1e-41, 5 }); }
GRAPH(of_constants, tl_mul(x, tl_tanh(tl_add(numbers(s), tl_full(s, TL_DIMS(COLUMNS), 1e-40)))))
GRAPH(of_ids, tl_add(x, tl_sum(tl_one_hot(tl_iota(s, COLUMNS), COLUMNS), TL_AXES(0))))
GRAPH(product_of_constants, tl_matmul(x, tl_matmul(tl_one_hot(tl_iota(s, 4), 4), tl_full(s, TL_DIMS(4, 4), 0.3))))

/* Random numbers, what is large, and a user's opaque operation. */
GRAPH(large, tl_sum(tl_tanh(tl_full(s, TL_DIMS((1 << 18) + 1), 0.5)), TL_AXES(0)))
GRAPH(from_large, tl_sum(tl_full(s, TL_DIMS((1 << 18) + 1), 0.5), TL_AXES(0)))
GRAPH(grown, tl_sum(tl_add(tl_full(s, TL_DIMS(600, 1), 0.5), tl_full(s, TL_DIMS(600), 0.5)), TL_AXES(0)))

/* Operations of a user's, of which nothing is assumed: they may give another number each time. */
static tl_status next_kernel(const tl_run_args *r)
{
    static float calls;
    *(float *)r->out = calls++;
    return TL_OK;
}
#define NEXT .size = sizeof(struct tl_op), .name = "next", .f32 = next_kernel, .f64 = next_kernel
static const struct tl_op next_op = { NEXT, .max_in = 1, .shape = tl_shape_same };
static const struct tl_op random_op = { NEXT, .max_in = 1, .shape = tl_shape_same, .cls = TL_RANDOM };
static bool scalar(tl_shape_rule *r) { return r->out.rank = 0, true; }
static const struct tl_op first_op = { NEXT, .shape = scalar, .cls = TL_LEAF };
static tl_tensor on_one(tl_scope *s, const struct tl_op *op)
{
    return tl_apply(op, (tl_tensor[]){ tl_full(s, TL_SCALAR, 1) }, 1, NULL);
}
GRAPH(opaque, tl_tanh(on_one(s, &next_op)))
GRAPH(random_of_one, tl_tanh(on_one(s, &random_op)))
GRAPH(opaque_leaf, tl_tanh(tl_apply_leaf_at(TL_HERE, s, &first_op, NULL)))
GRAPH(drawn, tl_tanh(tl_random_uniform(s, TL_DIMS(3))))

/* An id out of range: the run says so, not the compiler. */
GRAPH(failing, tl_gather(numbers(s), tl_ids_const(s, TL_DIMS(1), (int32_t[]){ COLUMNS })))

Test(algebra, computes_constants_once)
{
    static const census_row rows[] = {
        ROW(of_constants, 1, 3), ROW(of_ids, 1, 4),     ROW(product_of_constants, 1, 4),
        ROW(large, 3, 3),        ROW(from_large, 2, 2), ROW(grown, 2, 2),
        ROW(drawn, 2, 2),
    };
    check(rows, COUNT(rows), ON_TAPES ",-constants");
    cr_assert(instructions(opaque, "") == 2 && instructions(random_of_one, "") == 2 &&
              instructions(opaque_leaf, "") == 2);
    cr_assert(instructions(failing, "") == 1);
}

/* ---- rows looked up in a product ----------------------------------------------------------------------------------- */

enum { V = 6, D = 3, H = 4, STEPS = 6, BATCH = 4, TOKENS = STEPS * BATCH };
static const int32_t token[TOKENS] = {
    0, 1, 4, 1, 1, 3, 0, 0, 2, 4, 4, 1, 0, 3, 3, 3, 1, 0, 4, 0, 1, 0, 3, 1
}; /* never 5 */

/* What one run gives: the loss, then all gradients; "y" where it is marked; and what its plan does. */
typedef struct result {
    double loss;
    float g[400];
    int64_t n;
    int64_t multiplications; /* of all products */
    int products, instructions;
    int rows[2]; /* how many rows each of the first two parameters' gradients is known to have; -1: any */
} result;

typedef tl_tensor loss_graph(tl_scope *s, tl_tensor ids, tl_tensor x); /* ids [STEPS, BATCH], x [TOKENS, D] */

static int64_t multiplications(const tl_plan *p)
{
    int64_t n = 0;
    for (uint32_t k = 0; k < p->n_instr; k++) {
        const tl_instr *i = &p->instr[k];
        if (i->op->role != TL_ROLE_PRODUCT) continue;
        const tl_product_attr *a = i->attr;
        n += tl_desc_size(i->desc) * i->desc[1].dim[a->ta ? 0 : 1];
    }
    return n;
}

static result run_loss(loss_graph *f, const char *passes_on)
{
    static float x[TOKENS * D];
    int32_t ids[TOKENS];
    uint64_t seed = 3;
    for (int i = 0; i < COUNT(x); i++) x[i] = (float)noise(&seed);
    memcpy(ids, token, sizeof ids);
    passes(passes_on);
    tl_model *model = tl_model_new(.seed = 7);
    tl_tape *t = tl_tape_new(model, .training = true);
    tl_scope *s = tl_root(t);
    const tl_array in[] = { IDS(ids, STEPS, BATCH), FLOATS(x, TOKENS, D) };
    const tl_tensor a = tl_input(s, "ids", in[0]), b = tl_input(s, "x", in[1]), loss = f(s, a, b);
    tl_output(s, "loss", loss);
    tl_backward(loss);
    tl_plan *plan = tl_compile(t);
    cr_assert(plan, "%s", tl_message());
    tl_tape_free(t);
    tl_session *session = tl_session_new(model);
    for (int k = 0; k < 2; k++) cr_assert(tl_run(session, plan, in, 2) == TL_OK, "%s", tl_message());
    result r = { .loss = tl_get_scalar(session, "loss"),
                 .n = tl_model_size(model),
                 .multiplications = multiplications(plan),
                 .instructions = tl_plan_instructions(plan) };
    for (uint32_t k = 0; k < plan->n_instr; k++) r.products += plan->instr[k].op->role == TL_ROLE_PRODUCT;
    cr_assert(r.n <= COUNT(r.g));
    memcpy(r.g, tl_session_read_gradients(session, NULL, NULL), (size_t)r.n * sizeof *r.g);
    for (int k = 0; k < 2; k++) {
        int64_t n = -1;
        if (k < tl_model_count(model) && !tl_session_rows(session, k, &n)) n = -1;
        r.rows[k] = (int)n;
    }
    tl_session_free(session);
    tl_plan_free(plan);
    tl_model_free(model);
    return r;
}

/* Sums of some ten numbers of size 1, added up in another order. */
static bool close(const result *a, const result *b)
{
    bool same = fabs(a->loss - b->loss) < 1e-5 * (1 + fabs(a->loss));
    for (int64_t i = 0; i < a->n; i++) same &= fabsf(a->g[i] - b->g[i]) < 1e-5f * (1 + fabsf(a->g[i]));
    return same;
}

static tl_tensor table(tl_scope *s, const char *name) { return tl_param(s, name, TL_DIMS(V, D), .init = normal); }
static tl_tensor matrix(tl_scope *s, const char *name) { return tl_param(s, name, TL_DIMS(D, H), .init = normal); }
static tl_tensor bias(tl_scope *s, const char *name) { return tl_param(s, name, TL_DIMS(H), .init = normal); }
static tl_tensor energy(tl_tensor z) { return tl_sum(tl_mul(tl_tanh(z), tl_tanh(z)), TL_ALL); }
static tl_tensor flat(tl_tensor x) { return tl_reshape(x, TL_DIMS(tl_size(x) / tl_dim(x, -1), tl_dim(x, -1))); }
static tl_tensor times(tl_tensor c, tl_tensor x, tl_tensor W) { return tl_gemm(c, x, W, false, false); }

/* All rows at once; step by step; one look-up a step; two matrices and a sum; and as a network has it. */
static tl_tensor at_once(tl_scope *s, tl_tensor ids, tl_tensor x)
{
    (void)x;
    return energy(times(bias(s, "b"), flat(tl_gather(table(s, "E"), ids)), matrix(s, "W")));
}
static tl_tensor by_steps(tl_scope *s, tl_tensor ids, tl_tensor x)
{
    (void)x;
    tl_tensor all = tl_gather(table(s, "E"), ids), loss = TL_NONE;
    for (int t = 0; t < STEPS; t++) {
        tl_scope *at = tl_step(s, t);
        const tl_tensor e = energy(times(bias(at, "b"), tl_at(all, t), matrix(at, "W")));
        loss = t ? tl_add(loss, e) : e;
    }
    return loss;
}
static tl_tensor in_each_step(tl_scope *s, tl_tensor ids, tl_tensor x)
{
    (void)x;
    tl_tensor h = tl_full(s, TL_DIMS(BATCH, H), 0.5);
    for (int t = 0; t < STEPS; t++) {
        tl_scope *at = tl_step(s, t);
        const tl_tensor e = tl_gather(table(at, "E"), tl_at(ids, t));
        h = tl_mul(tl_tanh(times(TL_NONE, e, matrix(at, "W"))), tl_add(h, times(bias(at, "c"), e, matrix(at, "U"))));
    }
    return energy(h);
}
static tl_tensor both_directions(tl_scope *s, tl_tensor ids, tl_tensor x)
{
    (void)x;
    return energy(tl_bidirectional(s, tl_gather(table(s, "E"), ids), tl_mgu_cell(), .units = H));
}

/* V D H multiplications for TOKENS D H: in the product, in W's gradient and in E's. */
Test(algebra, rows_are_looked_up_in_a_product)
{
    const int64_t few = V * D * H, many = TOKENS * D * H;
    tl_set_exact(false);
    result a = run_loss(at_once, "-all"), b = run_loss(at_once, "");
    cr_assert(a.multiplications == 3 * many && b.multiplications == 3 * few && close(&a, &b));
    a = run_loss(by_steps, "-all"), b = run_loss(by_steps, "");
    cr_assert(a.multiplications == 3 * many && b.multiplications == 3 * few && close(&a, &b));
    a = run_loss(in_each_step, "-all"), b = run_loss(in_each_step, "");
    cr_assert(a.multiplications == 6 * many && b.multiplications == 6 * few && close(&a, &b));
    a = run_loss(both_directions, "-lookup"), b = run_loss(both_directions, "");
    cr_assert(a.multiplications - b.multiplications == 4 * 3 * (many - few) && close(&a, &b));
    const char *const others[] = { "-cse", "-simplify", "-defer", "-batch", "-all,+lookup" };
    a = run_loss(by_steps, "-all");
    for (int k = 0; k < COUNT(others); k++) {
        b = run_loss(by_steps, others[k]);
        cr_expect(b.multiplications == 3 * few && close(&a, &b), "%s", others[k]);
    }
}

/* In exact mode, what is added up in order stays so: only the forward product changes, and no bit. */
Test(algebra, looking_up_changes_no_bit_in_exact_mode)
{
    loss_graph *const f[] = { at_once, by_steps, in_each_step, both_directions };
    for (int k = 0; k < COUNT(f); k++) {
        const result a = run_loss(f[k], "-all"), b = run_loss(f[k], "");
        cr_expect(a.loss == b.loss && !memcmp(a.g, b.g, (size_t)a.n * sizeof *a.g), "graph %d", k);
        cr_expect(b.multiplications < a.multiplications, "graph %d", k);
    }
}

/* ---- and where they are not ---------------------------------------------------------------------------------------- */

#define LOSS(name, ...)                                                                                                \
    static tl_tensor name(tl_scope *s, tl_tensor ids, tl_tensor x)                                                     \
    {                                                                                                                  \
        (void)s, (void)ids, (void)x;                                                                                   \
        __VA_ARGS__                                                                                                    \
    }
static tl_tensor rows(tl_scope *s, tl_tensor ids) { return flat(tl_gather(table(s, "E"), ids)); }

/* A table of as many rows as are gathered. */
LOSS(large_table, {
    const tl_tensor E = tl_param(s, "E", TL_DIMS(TOKENS, D), .init = normal);
    return energy(times(bias(s, "b"), flat(tl_gather(E, ids)), matrix(s, "W")));
})
/* Each step has a weight, or a start, of its own. */
LOSS(own_weights, {
    tl_tensor all = tl_gather(table(s, "E"), ids), y[STEPS];
    for (int t = 0; t < STEPS; t++)
        y[t] = times(TL_NONE, tl_at(all, t), matrix(s, (const char *[]){ "a", "b", "c", "d", "e", "f" }[t]));
    return energy(tl_concat(STEPS, y, 0));
})
LOSS(own_starts, {
    const tl_tensor W = tl_stop_gradient(matrix(s, "W")), all = tl_stop_gradient(tl_gather(table(s, "E"), ids));
    tl_tensor y[STEPS];
    for (int t = 0; t < STEPS; t++)
        y[t] = times(bias(s, (const char *[]){ "a", "b", "c", "d", "e", "f" }[t]), tl_at(all, t), W);
    return energy(tl_concat(STEPS, y, 0));
})
/* Each row starts from its own. */
LOSS(start_of_rows, {
    const tl_tensor start = tl_param(s, "start", TL_DIMS(TOKENS, H), .init = normal);
    return energy(times(start, tl_stop_gradient(rows(s, ids)), tl_stop_gradient(matrix(s, "W"))));
})
LOSS(start_of_columns, {
    const tl_tensor start = tl_param(s, "start", TL_DIMS(TOKENS, 1), .init = normal);
    return energy(times(start, tl_stop_gradient(rows(s, ids)), tl_stop_gradient(matrix(s, "W"))));
})
/* Something lies between. */
LOSS(masked_rows, {
    const tl_tensor e = tl_where(tl_less(x, tl_neg(x)), rows(s, ids), tl_full(s, TL_SCALAR, 0));
    return energy(times(bias(s, "b"), e, matrix(s, "W")));
})
LOSS(tapped_rows,
     return energy(times(bias(s, "b"), tl_tap(s, tl_stop_gradient(rows(s, ids)), seen, NULL), matrix(s, "W")));)
/* Two rows as one; rows cut through. */
LOSS(pairs_of_rows, {
    const tl_tensor W = tl_param(s, "W", TL_DIMS(2 * D, H), .init = normal);
    return energy(times(bias(s, "b"), tl_reshape(rows(s, ids), TL_DIMS(TOKENS / 2, 2 * D)), W));
})
LOSS(shifted_rows, {
    const tl_tensor line = tl_reshape(rows(s, ids), TL_DIMS(TOKENS * D));
    const tl_tensor e = tl_reshape(tl_slice(line, 0, 1, 1 + D * (TOKENS - 1)), TL_DIMS(TOKENS - 1, D));
    return energy(times(bias(s, "b"), e, matrix(s, "W")));
})
LOSS(columns_of_rows, {
    const tl_tensor W = tl_param(s, "W", TL_DIMS(D - 1, H), .init = normal);
    return energy(times(bias(s, "b"), tl_slice(rows(s, ids), 1, 0, D - 1), W));
})
/* Two tables in turn: no run of links has more rows than the table. */
LOSS(tables_in_turn, {
    tl_tensor loss = TL_NONE;
    for (int t = 0; t < STEPS; t++) {
        tl_scope *at = tl_step(s, t);
        const tl_tensor E = tl_stop_gradient(table(at, t % 2 ? "E" : "F"));
        const tl_tensor e = energy(
            times(bias(at, t % 2 ? "b" : "c"), tl_gather(tl_scale(E, t), tl_at(ids, t)), matrix(at, "W")));
        loss = t ? tl_add(loss, e) : e;
    }
    return loss;
})

static tl_tensor step_rows(tl_tensor x, int t) { return tl_slice(x, 0, BATCH * t, BATCH * (t + 1)); }
/* Rows on the left and on the right in turn. */
LOSS(sides_in_turn, {
    tl_tensor all = tl_gather(table(s, "E"), ids), c = TL_NONE;
    for (int t = 0; t < STEPS; t++) {
        const tl_tensor e = tl_stop_gradient(tl_at(all, t));
        c = tl_gemm(c, t % 2 ? e : step_rows(x, t), t % 2 ? step_rows(x, t) : e, true, false);
    }
    return tl_sum(tl_mul(tl_tanh(c), tl_slice(table(s, "F"), 0, 0, D)), TL_ALL);
})
/* A column that each column starts from is no link. */
LOSS(column_before, {
    tl_tensor all = tl_stop_gradient(tl_gather(table(s, "E"), ids)), c = TL_NONE;
    for (int t = 0; t < STEPS; t++)
        c = tl_gemm(c, tl_at(all, t), t ? step_rows(x, t) : tl_slice(step_rows(x, t), 1, 0, 1), true, false);
    return tl_sum(tl_mul(tl_tanh(c), tl_slice(table(s, "F"), 0, 0, D)), TL_ALL);
})
/* Rows that are added at ids are looked at before: as they are, under another shape, within their own sum. */
static tl_tensor square_of(tl_scope *s, const char *name)
{
    return tl_stop_gradient(tl_param(s, name, TL_DIMS(D, D), .init = normal));
}
static tl_tensor added(tl_scope *s, tl_tensor rows, tl_tensor ids, tl_tensor seen)
{
    const tl_tensor c = tl_scatter_add(TL_NONE, rows, ids, V);
    return tl_mul(tl_sum(table(s, "F"), TL_ALL), tl_add(tl_sum(tl_tanh(c), TL_ALL), tl_sum(tl_tanh(seen), TL_ALL)));
}
LOSS(seen_before, {
    const tl_tensor g = times(TL_NONE, x, square_of(s, "a"));
    return added(s, g, tl_reshape(ids, TL_DIMS(TOKENS)), g);
})
LOSS(seen_reshaped, {
    const tl_tensor g = tl_reshape(times(TL_NONE, x, square_of(s, "a")), TL_DIMS(STEPS, BATCH, D));
    return added(s, g, ids, g);
})
LOSS(seen_within, {
    const tl_tensor g = times(TL_NONE, x, square_of(s, "a"));
    return added(s, times(g, x, square_of(s, "b")), tl_reshape(ids, TL_DIMS(TOKENS)), g);
})

Test(algebra, rows_are_multiplied_where_looking_up_is_wrong_or_does_not_pay)
{
    static const struct {
        const char *name;
        loss_graph *f;
    } row[] = {
#define SAME(f) { #f, f }
        SAME(large_table),    SAME(own_weights),   SAME(own_starts),    SAME(start_of_rows), SAME(start_of_columns),
        SAME(masked_rows),    SAME(tapped_rows),   SAME(pairs_of_rows), SAME(shifted_rows),  SAME(columns_of_rows),
        SAME(tables_in_turn), SAME(sides_in_turn), SAME(seen_before),   SAME(seen_reshaped),
    };
    tl_set_exact(false);
    for (int k = 0; k < COUNT(row); k++) {
        const result a = run_loss(row[k].f, "-all"), b = run_loss(row[k].f, "");
        cr_expect(a.multiplications == b.multiplications, "%s: %d multiplications of %d", row[k].name,
                  (int)b.multiplications, (int)a.multiplications);
        cr_expect(close(&a, &b), "%s", row[k].name);
    }
}

/* ---- and where in part --------------------------------------------------------------------------------------------- */

/* The gradient with respect to the rows is a result: it needs its product. */
LOSS(rows_asked_for, {
    const tl_tensor e = rows(s, ids), loss = energy(times(bias(s, "b"), e, matrix(s, "W")));
    tl_tensor d;
    tl_grad(loss, &e, 1, &d);
    return tl_add(loss, tl_sum(tl_stop_gradient(d), TL_ALL));
})
/* The rows are used as they are, besides; in the product's own sum; with two matrices. */
LOSS(rows_used_besides, {
    const tl_tensor e = rows(s, ids);
    return tl_add(energy(times(bias(s, "b"), e, matrix(s, "W"))), energy(e));
})
/* The table is an operand of the output's product: its gradient starts from that one. */
LOSS(tied_table, {
    const tl_tensor E = table(s, "E"), z = times(bias(s, "b"), flat(tl_gather(E, ids)), matrix(s, "W"));
    return energy(tl_gemm(TL_NONE, tl_matmul(z, tl_full(s, TL_DIMS(H, D), 0.3)), E, false, true));
})
LOSS(weight_turned, {
    const tl_tensor W = tl_param(s, "W", TL_DIMS(H, D), .init = normal);
    return energy(tl_gemm(bias(s, "b"), rows(s, ids), W, false, true));
})
/* A sum of products by hand, looked at half way. */
LOSS(seen_half_way, {
    tl_tensor all = tl_stop_gradient(tl_gather(table(s, "E"), ids)), c = TL_NONE, half = TL_NONE;
    for (int t = 0; t < STEPS; t++) {
        c = tl_gemm(c, tl_at(all, t), tl_slice(x, 0, BATCH * t, BATCH * (t + 1)), true, false);
        if (t == 2) half = c;
    }
    return tl_sum(
        tl_mul(matrix(s, "W"), tl_slice(tl_matmul(tl_add(tl_tanh(c), tl_sigmoid(half)), matrix(s, "U")), 0, 0, D)),
        TL_ALL);
})
LOSS(added_half_way, {
    tl_tensor c = TL_NONE, half = TL_NONE;
    for (int t = 0; t < STEPS; t++) {
        tl_scope *at = tl_step(s, t);
        c = tl_scatter_add(
            c, times(TL_NONE, tl_slice(x, 0, BATCH * t, BATCH * (t + 1)), tl_stop_gradient(matrix(at, "W"))),
            tl_at(ids, t), V);
        if (t == 2) half = c;
    }
    return tl_sum(tl_mul(bias(s, "b"), tl_add(tl_tanh(c), tl_sigmoid(half))), TL_ALL);
})

/* One matrix, turned every other time: rows that it multiplies are added up apart from those that it multiplies turned. */
LOSS(turned_in_turn, {
    const tl_tensor W = square_of(s, "a");
    tl_tensor c = TL_NONE;
    for (int t = 0; t < STEPS; t++)
        c = tl_scatter_add(c, tl_gemm(TL_NONE, step_rows(x, t), W, false, t % 2), tl_at(ids, t), V);
    return tl_sum(tl_mul(tl_tanh(c), table(s, "F")), TL_ALL);
})

Test(algebra, what_can_be_looked_up_is_where_something_else_looks_on)
{
    const int64_t few = V * D * H, many = TOKENS * D * H;
    const struct {
        const char *name;
        loss_graph *f;
        int64_t without, with;
    } row[] = {
        { "rows_asked_for", rows_asked_for, 3 * many, 2 * few + many },
        { "rows_used_besides", rows_used_besides, 3 * many, 3 * few },
        { "tied_table", tied_table, 0, 0 },
        { "weight_turned", weight_turned, 3 * many, 3 * few },
        { "seen_half_way", seen_half_way, TOKENS * D * D + 2 * D * D * H, 2 * V * D * D + 2 * D * D * H },
        { "column_before", column_before, ((STEPS - 1) * D + 1) * D * BATCH, V * D * D + D * BATCH },
        { "seen_within", seen_within, 2 * TOKENS * D * D, (TOKENS + V) * D * D },
        { "turned_in_turn", turned_in_turn, TOKENS * D * D, 2 * V * D * D },
        { "added_half_way", added_half_way, many, 2 * few },
    };
    tl_set_exact(false);
    for (int k = 0; k < COUNT(row); k++) {
        const result a = run_loss(row[k].f, "-lookup"), b = run_loss(row[k].f, "");
        cr_expect(!row[k].without || (a.multiplications == row[k].without && b.multiplications == row[k].with),
                  "%s: %d multiplications, %d without", row[k].name, (int)b.multiplications, (int)a.multiplications);
        cr_expect(close(&a, &b), "%s", row[k].name);
    }
}

/* ---- one-hot ------------------------------------------------------------------------------------------------------- */

LOSS(one_hot, {
    const tl_tensor W = tl_param(s, "W", TL_DIMS(V, H), .init = normal);
    return energy(times(bias(s, "b"), flat(tl_one_hot(ids, V)), W));
})
LOSS(one_hot_steps, {
    const tl_tensor W = tl_param(s, "W", TL_DIMS(V, H), .init = normal);
    tl_tensor loss = TL_NONE;
    for (int t = 0; t < STEPS; t++) {
        const tl_tensor e = energy(times(TL_NONE, tl_one_hot(tl_at(ids, t), V), W));
        loss = t ? tl_add(loss, e) : e;
    }
    return loss;
})
LOSS(one_hot_turned, {
    const tl_tensor W = tl_param(s, "W", TL_DIMS(H, V), .init = normal);
    return energy(tl_gemm(bias(s, "b"), flat(tl_one_hot(ids, V)), W, false, true));
})

/* Added to one row, that is, to each: there is no such sum of rows at ids. */
LOSS(one_hot_on_row, {
    const tl_tensor c = tl_gemm(bias(s, "b"), flat(tl_one_hot(ids, V)), tl_concat(LIST(x, tl_slice(x, 1, 0, 1)), 1),
                                true, false);
    return energy(c);
})

Test(algebra, one_hot_rows_pick_rows_of_the_matrix)
{
    const int64_t many = TOKENS * V * H;
    tl_set_exact(false);
    result a = run_loss(one_hot, "-all"), b = run_loss(one_hot, "");
    cr_assert(a.multiplications == 2 * many && b.multiplications == 0 && close(&a, &b));
    a = run_loss(one_hot_steps, "-all"), b = run_loss(one_hot_steps, "");
    cr_assert(a.multiplications == 2 * many && b.multiplications == 0 && close(&a, &b));
    a = run_loss(one_hot_turned, "-all"), b = run_loss(one_hot_turned, "");
    cr_assert(b.multiplications == a.multiplications && close(&a, &b));
    a = run_loss(one_hot_on_row, "-all"), b = run_loss(one_hot_on_row, "");
    cr_assert(b.multiplications == a.multiplications && close(&a, &b));
    tl_set_exact(true); /* 0 times what is infinite is no 0, and a sum that begins with -0 is no -0 */
    a = run_loss(one_hot, "-all"), b = run_loss(one_hot, "");
    cr_assert(b.multiplications == a.multiplications);
}

/* ---- which rows a gradient has ------------------------------------------------------------------------------------- */

/* Five of the table's rows are used, whatever way the gradient is made; of other parameters nothing is known. */
Test(algebra, the_rows_that_were_used_stay_known)
{
    for (int exact = 0; exact < 2; exact++) {
        tl_set_exact(exact);
        result r = run_loss(at_once, "");
        cr_expect(r.rows[0] == -1 && r.rows[1] == 5, "%d %d", r.rows[0], r.rows[1]);
        r = run_loss(by_steps, "");
        cr_expect(r.rows[0] == 5 && r.rows[1] == -1, "%d %d", r.rows[0], r.rows[1]);
        r = run_loss(in_each_step, "");
        cr_expect(r.rows[0] == 5 && r.rows[1] == -1, "%d %d", r.rows[0], r.rows[1]);
        r = run_loss(tied_table, "");
        cr_expect(r.rows[0] == -1 && r.rows[1] == -1);
        r = run_loss(one_hot, "");
        cr_expect(r.rows[0] == -1 && r.rows[1] == -1);
    }
}

/* An id out of range is an error of the run's, at the line of the look-up. */
Test(algebra, ids_are_checked_where_they_are_looked_up)
{
    tl_set_exact(false);
    passes("");
    tl_model *model = tl_model_new();
    tl_tape *t = tl_tape_new(model);
    int32_t ids[TOKENS] = { V };
    const tl_array in = IDS(ids, STEPS, BATCH);
    const tl_tensor x = tl_input(tl_root(t), "ids", in), E = table(tl_root(t), "E");
    const int line = __LINE__ + 1;
    const tl_tensor e = tl_gather(E, x);
    tl_output(tl_root(t), "y", times(TL_NONE, flat(e), matrix(tl_root(t), "W")));
    tl_plan *plan = tl_compile(t);
    cr_assert(plan && multiplications(plan) == V * D * H);
    tl_tape_free(t);
    tl_session *session = tl_session_new(model);
    cr_assert(tl_run(session, plan, &in, 1) == TL_E_INDEX);
    cr_has(tl_message(), AT_LINE(line));
    tl_session_free(session);
    tl_plan_free(plan);
    tl_model_free(model);
}

/* ---- columns that no recurrence goes through ----------------------------------------------------------------------- */

enum { WIDE = 17 };
static tl_tensor beside(tl_tensor a, tl_tensor b) { return tl_concat(LIST(a, b), 1); }
static tl_tensor weight(tl_scope *s, int64_t rows, int64_t columns)
{
    return tl_param(s, "W", TL_DIMS(rows, columns), .init = tl_uniform(-0.3, 0.3));
}
static tl_tensor wide_bias(tl_scope *s) { return tl_param(s, "b", TL_DIMS(WIDE), .init = tl_uniform(-0.3, 0.3)); }

/* h' = tanh(expression of x, h): x of each step, and h, which begins with a half everywhere */
#define RECURRENCE(name, ...)                                                                                          \
    static tl_tensor name##_step(tl_scope *s, tl_tensor x, tl_tensor h)                                                \
    {                                                                                                                  \
        (void)x;                                                                                                       \
        return tl_tanh(__VA_ARGS__);                                                                                   \
    }                                                                                                                  \
    LOSS(name, return recurrence(s, x, name##_step);)
static tl_tensor recurrence(tl_scope *s, tl_tensor x, tl_tensor step(tl_scope *s, tl_tensor x, tl_tensor h))
{
    tl_tensor h = tl_full(s, TL_DIMS(BATCH, WIDE), 0.5), loss = TL_NONE;
    for (int t = 0; t < STEPS; t++) {
        h = step(tl_step(s, t), step_rows(x, t), h);
        loss = t ? tl_add(loss, energy(h)) : energy(h);
    }
    return loss;
}
/* The same with a weight each for x and h */
static tl_tensor in_two(tl_scope *s, tl_tensor x, tl_tensor h, bool turned)
{
    const tl_tensor A = tl_param(s, "A", TL_DIMS(turned ? WIDE : D, turned ? D : WIDE), .init = tl_uniform(-0.3, 0.3));
    const tl_tensor B = tl_param(s, "B", TL_DIMS(WIDE, WIDE), .init = tl_uniform(-0.3, 0.3));
    return tl_gemm(tl_gemm(wide_bias(s), x, A, false, turned), h, B, false, turned);
}
RECURRENCE(as_one, times(wide_bias(s), beside(x, h), weight(s, D + WIDE, WIDE)))
RECURRENCE(as_two, in_two(s, x, h, false))
RECURRENCE(turned_as_one, tl_gemm(wide_bias(s), beside(x, h), weight(s, WIDE, D + WIDE), false, true))
RECURRENCE(turned_as_two, in_two(s, x, h, true))
RECURRENCE(state_first, times(wide_bias(s), beside(h, x), weight(s, D + WIDE, WIDE)))
/* Members on one side of a cut stay together. */
static tl_tensor halves(tl_tensor h) { return beside(tl_slice(h, 1, 0, 7), tl_neg(tl_slice(h, 1, 7, WIDE))); }
RECURRENCE(of_four, times(wide_bias(s),
                          tl_concat(LIST(tl_slice(x, 1, 0, 1), tl_slice(x, 1, 1, D), tl_slice(h, 1, 0, 7),
                                         tl_neg(tl_slice(h, 1, 7, WIDE))),
                                    1),
                          weight(s, D + WIDE, WIDE)))
RECURRENCE(of_two, in_two(s, x, halves(h), false))

/* Two ways to write one cell are one plan, but that the parts of W's gradient are put together at the end. */
Test(algebra, columns_that_need_no_recurrence_are_split_off)
{
    static const struct {
        const char *name;
        loss_graph *as_one, *as_two;
        bool in_order;
    } row[] = {
        { "x beside h", as_one, as_two, true },
        { "W turned", turned_as_one, turned_as_two, true },
        { "h beside x", state_first, as_two, false },
        { "four members", of_four, of_two, true },
    };
    for (int exact = 0; exact < 2; exact++)
        for (int k = 0; k < COUNT(row); k++) {
            tl_set_exact(exact);
            const result a = run_loss(row[k].as_one, "-all"), b = run_loss(row[k].as_one, "");
            const result without = run_loss(row[k].as_one, "-split"), two = run_loss(row[k].as_two, "");
            const bool same = a.loss == b.loss && !memcmp(a.g, b.g, (size_t)a.n * sizeof *a.g);
            cr_expect(exact ? same : close(&a, &b), "%s: other numbers", row[k].name);
            if (exact && !row[k].in_order) {
                cr_expect(b.products == without.products && b.instructions == without.instructions);
                continue;
            }
            cr_expect(b.products == two.products && b.products < without.products + 3 &&
                          b.multiplications == two.multiplications && b.multiplications < without.multiplications,
                      "%s: %d products, %d written in two, %d without", row[k].name, b.products, two.products,
                      without.products);
            cr_expect(abs(b.instructions - two.instructions) < 3, "%s: %d instructions, %d written in two", row[k].name,
                      b.instructions, two.instructions);
        }
}

/* Cells side by side, each of one unit */
static tl_tensor cells(tl_scope *s, tl_tensor x, int n)
{
    tl_tensor loss = tl_full(s, TL_SCALAR, 0);
    for (int k = 0; k < n; k++) {
        char name[8];
        snprintf(name, sizeof name, "c%d", k);
        tl_tensor h = tl_full(s, TL_DIMS(BATCH, 1), 0.5);
        for (int t = 0; t < 2; t++)
            h = tl_tanh(times(TL_NONE, beside(step_rows(x, t), h), weight(tl_step(tl_in(s, name), t), D + 1, 1)));
        loss = tl_add(loss, energy(h));
    }
    return loss;
}
LOSS(one_cell, return cells(s, x, 1);)
LOSS(many_cells, return cells(s, x, 99);)

/* The gradient of x goes, whatever the number of weights. */
Test(algebra, columns_are_split_off_from_any_number_of_weights)
{
    const int64_t one = run_loss(one_cell, "-split").multiplications - run_loss(one_cell, "").multiplications;
    const int64_t all = run_loss(many_cells, "-split").multiplications - run_loss(many_cells, "").multiplications;
    cr_assert(one > 0 && all == 99 * one, "%d, %d", (int)one, (int)all);
}

/* No recurrence; one through all columns; columns in one array that something else makes. */
LOSS(no_recurrence, {
    tl_tensor loss = TL_NONE;
    for (int t = 1; t < STEPS; t++) {
        const tl_tensor z = beside(step_rows(x, t), tl_tanh(step_rows(x, t - 1)));
        const tl_tensor e = energy(times(wide_bias(tl_step(s, t)), z, weight(tl_step(s, t), 2 * D, WIDE)));
        loss = t > 1 ? tl_add(loss, e) : e;
    }
    return loss;
})
RECURRENCE(through_all, times(wide_bias(s), beside(tl_tanh(tl_slice(h, 1, 0, D)), h), weight(s, D + WIDE, WIDE)))
RECURRENCE(masked_columns, times(wide_bias(s), tl_sin(beside(x, h)), weight(s, D + WIDE, WIDE)))

Test(algebra, columns_stay_together_where_nothing_is_won)
{
    loss_graph *const f[] = { no_recurrence, through_all, masked_columns };
    for (int k = 0; k < COUNT(f); k++) {
        const result a = run_loss(f[k], "-split"), b = run_loss(f[k], "");
        cr_expect(a.products == b.products && a.instructions == b.instructions, "%d: %d products of %d", k, b.products,
                  a.products);
        cr_expect(a.loss == b.loss && !memcmp(a.g, b.g, (size_t)a.n * sizeof *a.g));
    }
}

/* ---- sums of products ---------------------------------------------------------------------------------------------- */

static tl_tensor state_weight(tl_scope *s)
{
    return tl_param(s, "U", TL_DIMS(WIDE, WIDE), .init = tl_uniform(-0.3, 0.3));
}
static tl_tensor input_part(tl_scope *s, tl_tensor x) { return tl_matmul(x, weight(s, D, WIDE)); }
static tl_tensor state_part(tl_scope *s, tl_tensor h) { return tl_matmul(h, state_weight(s)); }

RECURRENCE(by_gate, tl_gate(s, NULL, x, h))
RECURRENCE(bias_last, tl_add(tl_add(input_part(s, x), state_part(s, h)), wide_bias(s)))
RECURRENCE(bias_first, tl_add(tl_add(wide_bias(s), input_part(s, x)), state_part(s, h)))
RECURRENCE(bias_between, tl_add(state_part(s, h), tl_add(wide_bias(s), input_part(s, x))))
RECURRENCE(input_last, tl_add(tl_add(state_part(s, h), wide_bias(s)), input_part(s, x)))
RECURRENCE(bias_at_state, tl_add(times(wide_bias(s), h, state_weight(s)), input_part(s, x)))
RECURRENCE(input_from_state, times(times(wide_bias(s), h, state_weight(s)), x, weight(s, D, WIDE)))

/* However a cell is written, it is the same plan; in exact mode the order is the user's. */
Test(algebra, sums_of_products_are_one_chain)
{
    static const struct {
        const char *name;
        loss_graph *f;
    } row[] = { SAME(bias_last),  SAME(bias_first),    SAME(bias_between),
                SAME(input_last), SAME(bias_at_state), SAME(input_from_state) };
    tl_set_exact(false);
    const result gate = run_loss(by_gate, "");
    for (int k = 0; k < COUNT(row); k++) {
        tl_set_exact(false);
        const result a = run_loss(row[k].f, "-all"), b = run_loss(row[k].f, "");
        const result with = run_loss(row[k].f, ON_TAPES), without = run_loss(row[k].f, ON_TAPES ",-sums");
        cr_expect(close(&a, &b), "%s: other numbers", row[k].name);
        cr_expect(b.products == gate.products && b.instructions == gate.instructions &&
                      b.multiplications == gate.multiplications,
                  "%s: %d products of %d instructions, %d of %d by a gate", row[k].name, b.products, b.instructions,
                  gate.products, gate.instructions);
        cr_expect(with.instructions < without.instructions && with.products <= without.products, "%s: %d of %d left",
                  row[k].name, with.instructions, without.instructions);
        tl_set_exact(true);
        const result c = run_loss(row[k].f, "-all"), d = run_loss(row[k].f, "");
        cr_expect(c.loss == d.loss && !memcmp(c.g, d.g, (size_t)c.n * sizeof *c.g), "%s: other bits", row[k].name);
    }
}

/* What is read elsewhere; what would make products wait for a recurrence that they have no part in; sums of fewer numbers. */
static tl_tensor read_twice(tl_tensor z, tl_tensor y) { return tl_mul(tl_add(z, y), tl_sigmoid(z)); }
RECURRENCE(sum_read_twice, read_twice(tl_add(state_part(s, h), tl_sin(h)), h))
RECURRENCE(product_read_twice, read_twice(state_part(s, h), tl_sin(h)))
static tl_tensor decayed(tl_scope *s, tl_tensor h)
{
    return tl_mul(h, tl_param(s, "u", TL_DIMS(WIDE), .init = normal));
}
RECURRENCE(own_recurrence, tl_add(times(wide_bias(s), x, weight(s, D, WIDE)), decayed(s, h)))
RECURRENCE(own_by_adds, tl_add(tl_add(input_part(s, x), decayed(s, h)), wide_bias(s)))
RECURRENCE(first_row, tl_add(h, tl_matmul(tl_slice(h, 0, 0, 1), state_weight(s))))

Test(algebra, sums_stay_where_something_else_needs_them)
{
    static const struct {
        const char *name;
        loss_graph *f;
    } row[] = { SAME(product_read_twice), SAME(own_recurrence), SAME(first_row) };
    tl_set_exact(false);
    for (int k = 0; k < COUNT(row); k++) {
        const result a = run_loss(row[k].f, "-all"), b = run_loss(row[k].f, "-sums"), c = run_loss(row[k].f, "");
        cr_expect(close(&a, &c), "%s: other numbers", row[k].name);
        cr_expect(b.products == c.products && b.instructions == c.instructions,
                  "%s: %d products of %d instructions, %d of %d without", row[k].name, c.products, c.instructions,
                  b.products, b.instructions);
    }
    const result a = run_loss(sum_read_twice, "-all"), b = run_loss(sum_read_twice, "");
    cr_assert(close(&a, &b));
    const result c = run_loss(own_by_adds, "-all"), d = run_loss(own_by_adds, ""), e = run_loss(own_recurrence, "");
    cr_assert(close(&c, &d));
    cr_assert(d.products == e.products && d.instructions == e.instructions, "%d products of %d, %d of %d", d.products,
              d.instructions, e.products, e.instructions);
}

/* What is asked for is there, though it is part of a larger sum. */
static void asked_within(tl_scope *s, tl_tensor x)
{
    const tl_tensor z = tl_add(tl_matmul(tl_tanh(x), square(x)), x);
    tl_output(s, "z", z);
    tl_output(s, "y", tl_add(tl_matmul(tl_sin(x), tl_slice(x, 0, 2, ROWS)), z));
}
static void within(tl_scope *s, tl_tensor x)
{
    const tl_tensor z = tl_add(tl_matmul(tl_tanh(x), square(x)), tl_exp(x));
    tl_output(s, "y", tl_add(tl_matmul(tl_sin(x), tl_slice(x, 0, 2, ROWS)), z));
}
Test(algebra, sums_that_are_asked_for_stay)
{
    tl_set_exact(false);
    cr_assert(instructions(asked_within, ON_TAPES) == instructions(asked_within, ON_TAPES ",-sums") - 2);
    cr_assert(instructions(within, ON_TAPES) == instructions(within, ON_TAPES ",-sums") - 2);
    tl_set_exact(true);
    cr_assert(same_bits(asked_within, "") && same_bits(within, ""));
}

/* ---- memory --------------------------------------------------------------------------------------------------------- */

Test(algebra, every_allocation_may_fail)
{
    passes("");
    tl_set_exact(false);
    bool passed = false;
    for (uint64_t k = 1; !passed && k < 9000; k++) {
        tl_model *model = tl_model_new();
        tl_tape *t = tl_tape_new(model);
        tl_scope *s = tl_root(t);
        const tl_tensor ids = tl_input(s, "ids", IDS(NULL, STEPS, BATCH));
        const tl_tensor h = tl_lstm(s, tl_embedding(s, ids, .vocab = V, .units = 3), .units = 17);
        const tl_tensor o = tl_simple_rnn(s, tl_one_hot(ids, V), .units = 17, .name = "other");
        const tl_tensor e = of_four(tl_in(s, "four"), ids, tl_input(s, "x", FLOATS(NULL, TOKENS, D)));
        const tl_tensor z = bias_last(tl_in(s, "sums"), ids, tl_input(s, "z", FLOATS(NULL, TOKENS, D)));
        tl_backward(tl_sum(
            tl_mul(tl_mul(tl_mul(h, o), tl_mul(e, z)), tl_tanh(tl_const(s, TL_DIMS(1), (double[]){ 2 }))), TL_ALL));
        tl_fail_allocation(k);
        tl_plan *plan = tl_compile(t);
        tl_fail_allocation(0);
        passed = plan != NULL;
        cr_assert(passed || tl_tape_status(t) == TL_E_MEMORY, "%s", tl_message());
        tl_plan_free(plan);
        tl_tape_free(t);
        tl_model_free(model);
        cr_assert(tl_live_bytes() == 0, "allocation %d", (int)k);
    }
    cr_assert(passed);
}
