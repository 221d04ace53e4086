/* tests/test_ops_calls.c - the calls that are made of several operations, and what they say when they cannot be. */
#include "support.h"
tl_tensor tl_keep(tl_tensor c, tl_tensor a);

static tl_model *model;
static tl_tape *tape;
static tl_scope *s;

static void setup(void)
{
    model = tl_model_new(.dtype = TL_F64);
    tape = tl_tape_new(model);
    s = tl_root(tape);
}

static void teardown(void)
{
    tl_tape_free(tape);
    tl_model_free(model);
}

TestSuite(calls, .init = setup, .fini = teardown);

/* 0, 1, 2, ... under a shape */
static tl_tensor counting(int rank, const int64_t *dim)
{
    double v[512];
    for (int i = 0; i < 512; i++) v[i] = i;
    return tl_const(s, rank, dim, v);
}

static void expect(tl_tensor y, int rank, const int64_t *dim, const double *want)
{
    double v[512];
    cr_assert_not(tl_failed(tape), "%s", tl_tape_message(tape));
    cr_assert_eq(tl_rank(y), rank, "rank %d", tl_rank(y));
    for (int a = 0; a < rank; a++) cr_assert_eq(tl_dim(y, a), dim[a], "dimension %d is %d", a, (int)tl_dim(y, a));
    tl_eval_values(y, v);
    for (int i = 0; i < tl_size(y); i++)
        cr_expect_float_eq(v[i], want[i], 1e-12, "element %d: %g, not %g", i, v[i], want[i]);
}
#define VALUES(...) ((double[]){ __VA_ARGS__ })

Test(calls, at_takes_an_element_of_axis_0)
{
    const tl_tensor x = counting(TL_DIMS(3, 2));
    expect(tl_at(x, 1), TL_DIMS(2), VALUES(2, 3));
    expect(tl_at(x, -1), TL_DIMS(2), VALUES(4, 5));
    expect(tl_at(tl_at(x, 0), 1), TL_SCALAR, VALUES(1));
    tl_at(x, 3);
    cr_has(tl_tape_message(tape), "no element 3");
}

Test(calls, split_and_stack_undo_each_other)
{
    const tl_tensor x = counting(TL_DIMS(2, 4));
    tl_tensor part[4];
    tl_split(x, 2, 1, part);
    expect(part[1], TL_DIMS(2, 2), VALUES(2, 3, 6, 7));
    expect(tl_concat(2, part, -1), TL_DIMS(2, 4), VALUES(0, 1, 2, 3, 4, 5, 6, 7));
    expect(tl_stack(2, part, 0), TL_DIMS(2, 2, 2), VALUES(0, 1, 4, 5, 2, 3, 6, 7));
    expect(tl_stack(2, part, 1), TL_DIMS(2, 2, 2), VALUES(0, 1, 2, 3, 4, 5, 6, 7));
    expect(tl_stack(2, part, -1), TL_DIMS(2, 2, 2), VALUES(0, 2, 1, 3, 4, 6, 5, 7));
    tl_split(x, 3, 1, part);
    cr_has(tl_tape_message(tape), "3 does not divide");
    cr_expect(!tl_absent(part[2]));
}

Test(calls, hundreds_of_scalars_can_be_stacked)
{
    static tl_tensor one[300];
    static double want[300];
    for (int i = 0; i < 300; i++) one[i] = tl_full(s, TL_SCALAR, want[i] = i);
    expect(tl_stack(300, one, 0), TL_DIMS(300), want);
    one[5] = tl_full(s, TL_DIMS(1), 5);
    tl_stack(300, one, 0);
    cr_has(tl_tape_message(tape), "operands 0 and 5");
}

Test(calls, transpose_changes_the_last_two_axes)
{
    expect(tl_transpose(counting(TL_DIMS(2, 2, 3))), TL_DIMS(2, 3, 2), VALUES(0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11));
    tl_transpose(counting(TL_DIMS(3)));
    cr_has(tl_tape_message(tape), "two axes");
}

Test(calls, sums_means_and_maxima_take_any_axes)
{
    const tl_tensor x = counting(TL_DIMS(2, 3, 2));
    expect(tl_sum(x, TL_ALL), TL_SCALAR, VALUES(66));
    expect(tl_sum(x, TL_AXES(0, 2)), TL_DIMS(3), VALUES(14, 22, 30));
    expect(tl_sum_keep(x, TL_AXES(-1, 0)), TL_DIMS(1, 3, 1), VALUES(14, 22, 30));
    expect(tl_mean(x, TL_AXES(1)), TL_DIMS(2, 2), VALUES(2, 3, 8, 9));
    expect(tl_max(x, TL_AXES(0, 2)), TL_DIMS(3), VALUES(7, 9, 11));
    expect(tl_max_keep(x, TL_AXES(2, 0)), TL_DIMS(1, 3, 1), VALUES(7, 9, 11));
    expect(tl_max(x, TL_ALL), TL_SCALAR, VALUES(11));
    expect(tl_sum(tl_full(s, TL_DIMS(0, 2), 1), TL_AXES(0)), TL_DIMS(2), VALUES(0, 0));
    cr_expect(isnan(tl_eval(tl_mean(tl_full(s, TL_DIMS(0), 1), TL_ALL))));
    tl_sum(x, TL_AXES(1, -2));
    cr_has(tl_tape_message(tape), "axis 1 is named twice");
}

Test(calls, ties_share_the_gradient_of_a_maximum_evenly_over_any_axes)
{
    const tl_tensor x = tl_const(s, TL_DIMS(2, 1, 2), VALUES(3, 3, 3, 1));
    tl_tensor g;
    tl_grad(tl_max(x, TL_AXES(0, 2)), &x, 1, &g);
    expect(g, TL_DIMS(2, 1, 2), VALUES(1. / 3, 1. / 3, 1. / 3, 0));
}

Test(calls, vectors_count_as_rows_on_the_left_and_columns_on_the_right)
{
    const tl_tensor v = counting(TL_DIMS(2)), m = counting(TL_DIMS(2, 2)), b = counting(TL_DIMS(2, 2, 2));
    expect(tl_matmul(v, v), TL_SCALAR, VALUES(1));
    expect(tl_matmul(v, m), TL_DIMS(2), VALUES(2, 3));
    expect(tl_matmul(m, v), TL_DIMS(2), VALUES(1, 3));
    expect(tl_matmul(b, v), TL_DIMS(2, 2), VALUES(1, 3, 5, 7));
    expect(tl_matmul(v, b), TL_DIMS(2, 2), VALUES(2, 3, 6, 7));
    expect(tl_gemm(v, m, m, true, false), TL_DIMS(2, 2), VALUES(4, 7, 6, 11));
    tl_matmul(m, counting(TL_DIMS(3, 2)));
    cr_has(tl_tape_message(tape), "inner dimensions 2 and 3 differ");
}

Test(calls, reshape_works_out_one_dimension)
{
    const tl_tensor x = counting(TL_DIMS(2, 3));
    cr_expect_eq(tl_dim(tl_reshape(x, TL_DIMS(-1, 2)), 0), 3);
    tl_reshape(x, TL_DIMS(4, -1));
    cr_has(tl_tape_message(tape), "6 numbers do not fill [4,-1]");
}

Test(calls, nan_and_infinity_pass_as_the_header_says)
{
    const tl_tensor x = tl_const(s, TL_DIMS(4), VALUES(NAN, -INFINITY, INFINITY, -0.0));
    double v[4];
    tl_eval_values(tl_relu(x), v);
    cr_expect(isnan(v[0]) && v[1] == 0 && v[2] == INFINITY && v[3] == 0);
    tl_eval_values(tl_maximum(tl_full_like(x, 1), x), v);
    cr_expect(isnan(v[0]) && v[1] == 1 && v[2] == INFINITY && v[3] == 1);
    tl_eval_values(tl_where(tl_const(s, TL_DIMS(4), VALUES(0, 1, 0, 1)), x, tl_full_like(x, 2)), v);
    cr_expect(v[0] == 2 && v[1] == -INFINITY && v[2] == 2 && v[3] == 0);
    tl_eval_values(tl_softmax(tl_full(s, TL_DIMS(4), -INFINITY)), v);
    cr_expect(v[0] == 0 && v[3] == 0);
    tl_eval_values(tl_sign(x), v);
    cr_expect(isnan(v[0]) && v[1] == -1 && v[2] == 1 && v[3] == 0);
    cr_expect(isnan(tl_eval(tl_max(x, TL_ALL))));
    cr_expect_eq(tl_eval(tl_cast(tl_argmax(x, 0), TL_F64)), 0);
}

Test(calls, masked_choices_leave_no_trace_in_the_gradient)
{
    const tl_tensor x = tl_const(s, TL_DIMS(2), VALUES(0, 4)), c = tl_ids_const(s, TL_DIMS(2), ((int32_t[]){ 0, 1 }));
    tl_tensor g;
    tl_grad(tl_where(c, tl_log(tl_relu(x)), tl_full_like(x, 0)), &x, 1, &g); /* ln 0 is not chosen */
    double v[2];
    tl_eval_values(tl_keep(c, tl_full_like(x, INFINITY)), v);
    cr_expect(v[0] == 0 && v[1] == INFINITY);
    tl_eval_values(g, v);
    cr_expect_float_eq(v[1], 0.25, 1e-12);
}

Test(calls, of_two_operands_say_that_one_is_absent)
{
    static tl_tensor (*const all[])(tl_tensor, tl_tensor) = { tl_dot, tl_outer, tl_reverse_sequence };
    for (int i = 0; i < COUNT(all); i++)
        for (int k = 0; k < 2; k++) {
            const tl_tensor x = counting(TL_DIMS(2, 2));
            const tl_tensor y = all[i](k ? x : TL_NONE, k ? TL_NONE : x);
            cr_expect(!tl_absent(y) && tl_tape_status(tape) == TL_E_ABSENT, "%d, operand %d", i, k);
            cr_has(tl_tape_message(tape), "is absent");
            tl_tape_reset(tape);
        }
}

/* ---- gradients of what is made of several operations (tl_gradcheck's own tolerances) ---------------------------- */

typedef tl_tensor (*made)(tl_tensor x, tl_tensor y);

static tl_tensor of_prod(tl_tensor x, tl_tensor y) { return tl_mul(tl_prod_keep(x, TL_AXES(0, 2)), y); }
static tl_tensor of_var(tl_tensor x, tl_tensor y) { return tl_mul(tl_var_keep(x, TL_AXES(0, 2), 1), y); }
static tl_tensor of_std(tl_tensor x, tl_tensor y) { return tl_mul(tl_std_keep(x, TL_AXES(1), 0), y); }
static tl_tensor of_norm(tl_tensor x, tl_tensor y) { return tl_mul(tl_norm_keep(x, TL_AXES(2)), y); }
static tl_tensor of_logsumexp(tl_tensor x, tl_tensor y) { return tl_mul(tl_logsumexp_keep(x, TL_AXES(0, 2)), y); }
static tl_tensor of_min(tl_tensor x, tl_tensor y) { return tl_mul(tl_min_keep(x, TL_AXES(0, 2)), y); }
static tl_tensor of_sort(tl_tensor x, tl_tensor y) { return tl_mul(tl_sort(x, 1), tl_topk(y, 3, 1, NULL)); }
static tl_tensor of_roll(tl_tensor x, tl_tensor y) { return tl_mul(tl_roll(x, 2, 1), tl_flip(y, 2)); }
static tl_tensor of_tile(tl_tensor x, tl_tensor y)
{
    return tl_mul(tl_tile(x, TL_DIMS(2, 1, 2)), tl_tile(y, TL_DIMS(2, 1, 2)));
}
static tl_tensor of_dot(tl_tensor x, tl_tensor y) { return tl_square(tl_dot(x, tl_at(y, 0))); }
static tl_tensor of_outer(tl_tensor x, tl_tensor y) { return tl_square(tl_outer(x, y)); }
static tl_tensor of_layer_norm(tl_tensor x, tl_tensor y)
{
    return tl_square(tl_layer_norm(x, tl_at(tl_at(y, 0), 0), tl_at(tl_at(y, 1), 1), 1e-3));
}
static tl_tensor of_rms_norm(tl_tensor x, tl_tensor y)
{
    return tl_square(tl_rms_norm(x, tl_at(tl_at(y, 0), 0), 1e-3));
}

static tl_tensor to_loss(tl_scope *root, const tl_tensor *in, void *user)
{
    (void)root;
    return tl_sum(tl_square((*(made *)user)(in[0], in[1])), TL_ALL);
}

Test(calls, have_the_gradients_that_differences_give)
{
    static const made all[] = { of_prod, of_var,  of_std, of_norm,  of_logsumexp,  of_min,     of_sort,
                                of_roll, of_tile, of_dot, of_outer, of_layer_norm, of_rms_norm };
    float x[24], y[24];
    uint64_t state = 11;
    for (int i = 0; i < 24; i++) x[i] = 2 * (float)noise(&state), y[i] = 2 * (float)noise(&state);
    const tl_array in[] = { FLOATS(x, 2, 3, 4), FLOATS(y, 2, 3, 4) };
    for (int i = 0; i < COUNT(all); i++) {
        made f = all[i];
        const tl_gradcheck_result g = tl_gradcheck(model, to_loss, in, 2, &f, .inputs = true, .full = true,
                                                   .second_order = true);
        cr_expect(g.passed && g.probes > 0, "%d: %s: %s (%.17g, differences %.17g)", i, tl_message(), g.where,
                  g.analytic, g.numeric);
    }
}
