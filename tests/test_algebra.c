/* tests/test_algebra.c - what passes rewrite by algebra: how much is left, the same bits in exact mode, and that every condition
 * is needed. */
#include "tests/support.h"

#include "graph/passes/passes.h"
#include "layers/layers.h"

static void passes(const char *words) { setenv("TL_PASSES", words, 1); }
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
