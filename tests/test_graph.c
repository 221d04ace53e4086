/* tests/test_graph.c - scopes and their visits, parameters, gradients, emissions, dumps. */
#include "support.h"

#include <ctype.h>

static tl_model *model;
static tl_tape *tape;
static tl_scope *root;

static void begin(void)
{
    model = tl_model_new(.dtype = TL_F64, .seed = 7);
    tape = tl_tape_new(model);
    root = tl_root(tape);
}

static void end(void)
{
    tl_tape_free(tape);
    tl_model_free(model);
    cr_assert(tl_live_bytes() == 0, "%zu bytes are still live", tl_live_bytes());
}

static void ok(void) { cr_assert(!tl_failed(tape), "%s", tl_tape_message(tape)); }

static tl_tensor weight(tl_scope *s, const char *name) { return tl_param(s, name, TL_DIMS(2, 3), .init = normal); }

/* A new tape of the same model. */
static void again(void)
{
    tl_tape_free(tape);
    tape = tl_tape_new(model);
    root = tl_root(tape);
}

static bool same_values(tl_tensor a, tl_tensor b)
{
    double *p = values_of(a), *q = values_of(b);
    const bool same = tl_size(a) == tl_size(b) && !memcmp(p, q, (size_t)tl_size(a) * sizeof *p);
    free(p), free(q);
    return same;
}

static void values_are(tl_tensor x, int n, const double *want)
{
    cr_assert(tl_size(x) == n, "%lld values, not %d", (long long)tl_size(x), n);
    double *v = values_of(x);
    ok();
    for (int i = 0; i < n; i++)
        cr_assert(fabs(v[i] - want[i]) <= 1e-12 * (1 + fabs(want[i])), "value %d is %.17g, not %.17g", i, v[i],
                  want[i]);
    free(v);
}
#define VALUES_ARE(x, ...) values_are((x), COUNT(((double[]){ __VA_ARGS__ })), (double[]){ __VA_ARGS__ })

/* ---- scopes and visits -------------------------------------------------------------------------------------- */

Test(visits, steps_share_their_parameters)
{
    begin();
    tl_scope *cell = tl_in(root, "cell");
    const tl_tensor W0 = weight(tl_step(cell, 0), "W"), W7 = weight(tl_step(cell, 7), "W");
    const tl_tensor U0 = weight(tl_in(tl_step(cell, 0), "gate"), "W"),
                    U7 = weight(tl_in(tl_step(cell, 7), "gate"), "W");
    ok();
    cr_assert(tl_is(W0, W7) && tl_is(U0, U7) && !tl_is(W0, U0));
    cr_assert_str_eq(tl_scope_path(tl_in(tl_step(cell, 2), "gate")), "cell/gate");
    weight(tl_step(cell, 7), "W"); /* the same visit, through another tl_step */
    cr_assert_eq(tl_tape_status(tape), TL_E_NAME);
    end();
}

Test(visits, a_step_of_a_step)
{
    begin();
    tl_scope *tree = tl_in(root, "tree");
    const tl_tensor a = weight(tl_step(tl_step(tree, 0), 1), "W"), b = weight(tl_step(tl_step(tree, 1), 1), "W");
    ok();
    cr_assert(tl_is(a, b));
    weight(tl_step(tree, 5), "W"); /* one step deep instead of two: not the same use */
    cr_assert_eq(tl_tape_status(tape), TL_E_NAME);
    end();
}

Test(visits, know_their_step)
{
    begin();
    tl_scope *outer = tl_step(tl_in(root, "outer"), 3), *inner = tl_step(tl_in(outer, "inner"), 0);
    cr_assert_eq(tl_step_number(root), -1);
    cr_assert_eq(tl_step_number(tl_in(root, "outer")), -1);
    cr_assert_eq(tl_step_number(outer), 3);
    cr_assert_eq(tl_step_number(inner), 0); /* the innermost one */
    cr_assert_eq(tl_step_number(tl_again(tl_in(outer, "gate"))), 3);
    cr_assert_eq(tl_step_number(tl_overlay(tl_steady(outer), 0, NULL, NULL)), 3);
    cr_assert_eq(tl_step_number(NULL), -1);
    ok();
    end();
}

Test(visits, again_is_a_fresh_visit_at_each_call)
{
    begin();
    tl_scope *s = tl_in(root, "shared");
    const tl_tensor a = weight(s, "W"), b = weight(tl_again(s), "W"), c = weight(tl_again(s), "W");
    ok();
    cr_assert(tl_is(a, b) && tl_is(b, c));
    tl_scope *once = tl_again(s);
    weight(once, "W");
    weight(tl_in(once, "x"), "W");
    ok();
    weight(once, "W");
    cr_assert_eq(tl_tape_status(tape), TL_E_NAME);
    end();
}

Test(visits, again_inside_a_step)
{
    begin();
    tl_scope *s = tl_in(root, "cell");
    const tl_tensor a = weight(tl_step(s, 0), "W"), b = weight(tl_again(tl_step(s, 0)), "W");
    ok();
    cr_assert(tl_is(a, b));
    end();
}

static const char *path_of(tl_tensor x) { return tape->node[x.id].scope->path; }

/* A function called in the middle of a scope gives the place back, so that what follows is named rightly. */
Test(visits, leaving_restores_the_place)
{
    begin();
    tl_scope *outer = tl_in(root, "outer"), *inner = tl_in(outer, "inner");
    const tl_tensor x = weight(inner, "W");
    cr_assert_str_eq(path_of(x), "outer/inner");
    const tl_place_mark m = tl_enter(TL_HERE, outer);
    cr_assert_str_eq(path_of(tl_tanh(x)), "outer");
    const tl_place_mark n = tl_enter(TL_HERE, inner);
    tl_scope *gate = tl_in(inner, "gate"); /* moves the place there, until it is left */
    weight(gate, "W");
    cr_assert_str_eq(path_of(tl_tanh(x)), "outer/inner/gate");
    tl_leave(inner, n);
    cr_assert_str_eq(path_of(tl_tanh(x)), "outer");
    weight(inner, "V"), tl_output(inner, "y", x), tl_emit(inner, "y", x), tl_tap(inner, x, (tl_tap_fn)abort, NULL);
    tl_state(inner, "h", x), tl_next(inner, "h", x), tl_full(inner, TL_SCALAR, 1), tl_collect(inner, "y");
    cr_assert_str_eq(path_of(tl_tanh(x)), "outer");
    tl_leave(outer, m);
    ok();
    end();
}

/* ---- overlay ------------------------------------------------------------------------------------------------ */

Test(overlay, replaces_by_path_and_only_there)
{
    begin();
    tl_scope *s = tl_in(root, "net");
    const tl_tensor W = weight(s, "W"), b = weight(s, "b"), twice = tl_scale(W, 2);
    tl_scope *o = tl_overlay(s, 1, &W, &twice);
    cr_assert(tl_is(weight(o, "W"), twice));
    cr_assert(tl_is(weight(o, "b"), b), "what is not overlaid is the parameter itself");
    cr_assert(tl_is(weight(tl_again(s), "W"), W), "the overlay ends with its scope");
    cr_assert(tl_is(weight(tl_overlay(s, 0, NULL, NULL), "W"), W));
    const tl_tensor thrice = tl_scale(W, 3);
    tl_scope *inner = tl_overlay(o, 1, &W, &thrice);
    cr_assert(tl_is(weight(inner, "W"), thrice), "the innermost overlay wins");
    cr_assert(tl_is(weight(inner, "b"), b));
    tl_scope *second = tl_overlay(o, 1, &b, &thrice);
    cr_assert(tl_is(weight(second, "W"), twice) && tl_is(weight(second, "b"), thrice), "both overlays count");
    ok();
    end();
}

Test(overlay, reaches_scopes_inside)
{
    begin();
    tl_scope *s = tl_in(root, "net");
    const tl_tensor W = weight(tl_in(s, "layer"), "W"), zero = tl_full_like(W, 0);
    tl_scope *o = tl_overlay(s, 1, &W, &zero);
    cr_assert(tl_is(weight(tl_in(o, "layer"), "W"), zero));
    cr_assert(tl_is(weight(tl_again(tl_in(o, "layer")), "W"), zero));
    ok();
    end();
}

/* One step of gradient descent inside the model (MAML): f(w) = sum w^2, w' = w - a f'(w) = (1 - 2a) w, and
 * d f(w') / dw = 2 (1 - 2a)^2 w. */
Test(overlay, gradient_flows_to_the_replacement)
{
    begin();
    const double w[3] = { 1, -2, 0.5 }, a = 0.1;
    double values[3] = { 1, -2, 0.5 };
    cr_assert_eq(set_param(model, "net/w", DOUBLES(values, 3)), TL_OK);
    tl_scope *s = tl_in(root, "net");
    const tl_tensor W = tl_param(s, "w", TL_DIMS(3));
    tl_tensor g, step, through;
    tl_grad(tl_square(W), &W, 1, &g);
    step = tl_sub(W, tl_scale(g, a));
    const tl_tensor inner = tl_param(tl_overlay(s, 1, &W, &step), "w", TL_DIMS(3));
    const tl_tensor loss = tl_sum(tl_square(inner), TL_ALL);
    tl_grad(loss, &W, 1, &through);
    VALUES_ARE(through, 2 * 0.64 * w[0], 2 * 0.64 * w[1], 2 * 0.64 * w[2]);
    tl_grad(loss, &step, 1, &through);
    VALUES_ARE(through, 2 * 0.8 * w[0], 2 * 0.8 * w[1], 2 * 0.8 * w[2]);
    end();
}

/* tl_param() in a scope, and its normalised form in its place: knows of no overlay around it. */
static tl_tensor normalised(tl_scope *s)
{
    const tl_tensor w = tl_param(s, "w", TL_DIMS(3)), v = tl_l2_normalize(w, TL_ALL, 1e-12);
    return tl_param(tl_overlay(s, 1, &w, &v), "w", TL_DIMS(3));
}

Test(overlay, within_an_overlay_takes_what_stands_for_a_parameter)
{
    begin();
    double values[3] = { 3, 0, 0 };
    cr_assert_eq(set_param(model, "net/w", DOUBLES(values, 3)), TL_OK);
    tl_scope *s = tl_in(root, "net");
    VALUES_ARE(normalised(s), 1, 0, 0);
    const tl_tensor W = tl_param(tl_again(s), "w", TL_DIMS(3)),
                    step = tl_add(W, tl_const(s, TL_DIMS(3), (double[]){ 0, 4, 0 }));
    VALUES_ARE(normalised(tl_overlay(s, 1, &W, &step)), 0.6, 0.8, 0);
    VALUES_ARE(tl_param(tl_overlay(tl_overlay(s, 1, &W, &step), 1, &W, &W), "w", TL_DIMS(3)), 3, 0, 0);
    ok();
    tl_overlay(s, 1, &step, &W); /* outside it stands for nothing */
    cr_assert_eq(tl_tape_status(tape), TL_E_ARGUMENT);
    end();
}

static tl_tensor normalised_weights(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)in, (void)user;
    tl_tensor y = tl_full(s, TL_DIMS(2, 3), 0.5);
    for (int t = 0; t < 3; t++) {
        tl_scope *at = tl_step(tl_in(s, "cell"), t);
        const tl_tensor W = weight(at, "W"), V = tl_tanh(W);
        y = tl_mul(weight(tl_overlay(at, 1, &W, &V), "W"), tl_add(y, W));
    }
    return tl_sum(y, TL_ALL);
}

/* The check sees each step's use of W through a sum of its own; that is still what tl_overlay calls a parameter. */
Test(overlay, in_steps_passes_the_gradient_check)
{
    begin();
    const tl_gradcheck_result r = tl_gradcheck(model, normalised_weights, NULL, 0, NULL, .full = true);
    cr_assert(r.passed, "%s", tl_message());
    cr_assert_eq(r.probes, 4 * 6);
    end();
}

/* ---- parameters --------------------------------------------------------------------------------------------- */

Test(parameters, join_when_the_tape_is_compiled)
{
    begin();
    const tl_tensor W = weight(root, "W");
    double *staged = values_of(W);
    cr_assert_eq(tl_model_count(model), 0);
    tl_output(root, "y", tl_scale(W, 1));
    tl_plan *plan = tl_compile(tape);
    cr_assert(plan, "%s", tl_message());
    cr_assert_eq(tl_model_count(model), 1);
    cr_assert_str_eq(tl_model_param(model, 0)->name, "W");
    cr_assert_eq(tl_model_size(model), 6);
    cr_assert(!memcmp(staged, tl_model_values(model), 6 * sizeof *staged), "what tl_eval saw is what the model gets");
    cr_assert(!tl_model_param(model, 1) && !tl_model_param(model, -1));
    cr_assert_eq(tl_model_find(model, "W"), 0);
    cr_assert_eq(tl_model_find(model, "w"), -1);
    free(staged);
    tl_plan_free(plan);
    end();
}

Test(parameters, a_failed_recording_leaves_the_model_alone)
{
    begin();
    tl_output(root, "y", weight(root, "W"));
    tl_plan_free(tl_compile(tape));
    double before[6];
    memcpy(before, tl_model_values(model), sizeof before);
    again();
    tl_output(root, "y", tl_add(weight(root, "W"), weight(root, "new")));
    tl_matmul(weight(root, "W2"), weight(root, "W3")); /* [2,3] x [2,3] */
    cr_assert(!tl_compile(tape));
    cr_assert_eq(tl_tape_status(tape), TL_E_SHAPE);
    cr_assert_eq(tl_model_count(model), 1);
    cr_assert_eq(tl_model_size(model), 6);
    cr_assert(!memcmp(before, tl_model_values(model), sizeof before));
    end();
}

/* Values by seed and path: whatever else is made, in whatever order, on whatever tape. */
Test(parameters, initial_values_depend_on_seed_and_path_alone)
{
    begin();
    double *W = values_of(weight(tl_in(root, "a"), "W")), *V = values_of(weight(tl_in(root, "b"), "W"));
    cr_assert(memcmp(W, V, 6 * sizeof *W), "another path has other values");
    again();
    weight(root, "first");
    double *V2 = values_of(weight(tl_in(root, "b"), "W")), *W2 = values_of(weight(tl_step(tl_in(root, "a"), 3), "W"));
    cr_assert(!memcmp(W, W2, 6 * sizeof *W) && !memcmp(V, V2, 6 * sizeof *V));
    free(W2), free(V2);
    end();
    model = tl_model_new(.seed = 7); /* f32 */
    tape = tl_tape_new(model);
    double *W3 = values_of(weight(tl_in(tl_root(tape), "a"), "W"));
    for (int i = 0; i < 6; i++) cr_assert(W3[i] == (float)W[i], "another type gets the same values, rounded");
    free(W3);
    end();
    model = tl_model_new(.dtype = TL_F64, .seed = 8);
    tape = tl_tape_new(model);
    double *W4 = values_of(weight(tl_in(tl_root(tape), "a"), "W"));
    cr_assert(memcmp(W, W4, 6 * sizeof *W), "another seed has other values");
    free(W4), free(W), free(V);
    end();
}

Test(parameters, two_tapes_may_bring_the_same_one)
{
    begin();
    tl_tape *other = tl_tape_new(model);
    tl_output(root, "y", weight(root, "W"));
    tl_output(tl_root(other), "y", weight(tl_root(other), "W"));
    tl_plan *p = tl_compile(tape), *q = tl_compile(other);
    cr_assert(p && q);
    cr_assert_eq(tl_model_count(model), 1);
    tl_plan_free(p), tl_plan_free(q), tl_tape_free(other);
    end();
}

Test(parameters, loading_comes_first_and_is_checked)
{
    begin();
    float six[6] = { 1, 2, 3, 4, 5, 6 };
    cr_assert_eq(set_param(model, "W", FLOATS(six, 2, 3)), TL_OK);
    VALUES_ARE(weight(root, "W"), 1, 2, 3, 4, 5, 6);
    cr_assert_eq(set_param(model, "W", FLOATS(six, 3, 2)), TL_E_SHAPE);
    cr_has(tl_message(), "W is [2,3], not [3,2]");
    double got[6] = { 0 };
    tl_array a = { .dtype = TL_F64, .data = got };
    cr_assert_eq(tl_model_get(model, "W", &a), TL_OK);
    cr_assert(a.rank == 2 && a.dim[0] == 2 && a.dim[1] == 3 && got[5] == 6);
    a.data = NULL;
    cr_assert_eq(tl_model_get(model, "W", &a), TL_OK);
    cr_assert_eq(tl_model_get(model, "V", &a), TL_E_NAME);
    cr_has(tl_message(), "V");
    int32_t ids[6] = { 0 };
    cr_assert_eq(set_param(model, "V", IDS(ids, 2, 3)), TL_E_DTYPE);
    cr_assert_eq(tl_model_set(model, "V", &(tl_array){ .rank = 1, .dim = { 2 }, .data = six }), TL_E_DTYPE);
    cr_assert_eq(tl_model_count(model), 1);
    end();
}

Test(parameters, frozen_ones_get_no_gradient)
{
    begin();
    const tl_tensor W = weight(tl_in(root, "a"), "W"), V = weight(tl_in(root, "b"), "W");
    const tl_tensor F = tl_param(root, "F", TL_DIMS(2, 3), .frozen = true);
    const tl_tensor loss = tl_sum(tl_mul(tl_mul(W, V), F), TL_ALL);
    tl_backward(loss);
    tl_plan *plan = tl_compile(tape);
    tl_session *s = tl_session_new(model);
    cr_assert_eq(tl_run(s, plan, NULL, 0), TL_OK);
    const tl_range *r;
    int n;
    tl_session_gradients(s, &r, &n);
    cr_assert(n == 1 && r[0].begin == 0 && r[0].end == 12, "W and V, which touch");
    cr_assert(tl_model_param(model, 2)->frozen);
    tl_plan_free(plan);
    cr_assert_eq(tl_model_freeze(model, "a/?*", true), 1);
    cr_assert_eq(tl_model_freeze(model, "F", false), 1);
    cr_assert_eq(tl_model_freeze(model, "c*", true), 0);
    tl_tape_reset(tape);
    root = tl_root(tape);
    tl_backward(tl_sum(tl_mul(tl_mul(weight(tl_in(root, "a"), "W"), weight(tl_in(root, "b"), "W")),
                              tl_param(root, "F", TL_DIMS(2, 3))),
                       TL_ALL));
    plan = tl_compile(tape);
    cr_assert_eq(tl_run(s, plan, NULL, 0), TL_OK);
    tl_session_gradients(s, &r, &n);
    cr_assert(n == 1 && r[0].begin == 6 && r[0].end == 18, "V and F now");
    tl_plan_free(plan);
    tl_session_free(s);
    end();
}

Test(parameters, a_model_is_copied_with_all_it_holds)
{
    begin();
    tl_output(root, "y", weight(tl_in(root, "a"), "W"));
    tl_plan_free(tl_compile(tape));
    tl_model_freeze(model, "a/W", true);
    tl_model *half = tl_model_copy(model, TL_F32), *same = tl_model_copy(model, 0);
    cr_assert(tl_model_dtype(half) == TL_F32 && tl_model_dtype(same) == TL_F64);
    cr_assert(tl_model_seed(half) == 7 && tl_model_param(half, 0)->frozen);
    cr_assert(!memcmp(tl_model_values(same), tl_model_values(model), 6 * sizeof(double)));
    for (int i = 0; i < 6; i++)
        cr_assert(((float *)tl_model_values(half))[i] == (float)((double *)tl_model_values(model))[i]);
    tl_model_free(half), tl_model_free(same);
    end();
}

/* ---- gradients ---------------------------------------------------------------------------------------------- */

static tl_tensor input(const char *name, tl_array a) { return tl_input(root, name, a); }

/* y = sum x^3: 3 x^2, 6 x, 6, 0, each the gradient of the one before. */
Test(gradient, of_gradients_of_a_polynomial)
{
    begin();
    double v[3] = { 1, -2, 0.5 };
    const tl_tensor x = input("x", DOUBLES(v, 3));
    tl_tensor g[4];
    tl_grad(tl_sum(tl_mul(x, tl_square(x)), TL_ALL), &x, 1, &g[0]);
    for (int k = 1; k < 4; k++) tl_grad(g[k - 1], &x, 1, &g[k]);
    VALUES_ARE(g[0], 3, 12, 0.75);
    VALUES_ARE(g[1], 6, -12, 3);
    VALUES_ARE(g[2], 6, 6, 6);
    VALUES_ARE(g[3], 0, 0, 0);
    end();
}

/* f = sum_ij a_ij b_j + p b_j^2, with respect to inputs, an interior value and a parameter. */
Test(gradient, of_inputs_interior_values_and_parameters)
{
    begin();
    double va[6] = { 1, 2, 3, 4, 5, 6 }, vb[3] = { 7, 8, 9 }, vp = 10;
    tl_model_set(model, "p", &(tl_array){ .dtype = TL_F64, .data = &vp });
    const tl_tensor a = input("a", DOUBLES(va, 2, 3)), b = input("b", DOUBLES(vb, 3)),
                    p = tl_param(root, "p", TL_SCALAR);
    const tl_tensor square = tl_square(b), f = tl_add(tl_mul(a, b), tl_mul(p, square)); /* [2,3]: counts as its sum */
    const tl_tensor wrt[] = { a, b, p, square, f, b };
    tl_tensor g[COUNT(wrt)];
    tl_grad(f, wrt, COUNT(wrt), g);
    VALUES_ARE(g[0], 7, 8, 9, 7, 8, 9);
    VALUES_ARE(g[1], 5 + 280, 7 + 320, 9 + 360);
    VALUES_ARE(g[2], 2 * (49 + 64 + 81));
    VALUES_ARE(g[3], 20, 20, 20);
    VALUES_ARE(g[4], 1, 1, 1, 1, 1, 1);
    cr_assert(same_values(g[1], g[5]), "a tensor may be asked for twice");
    for (int i = 0; i < COUNT(wrt); i++) cr_assert(tl_rank(g[i]) == tl_rank(wrt[i]));
    end();
}

Test(gradient, of_what_is_not_reached_is_zero)
{
    begin();
    double v[2] = { 1, 2 };
    const tl_tensor x = input("x", DOUBLES(v, 2)), y = input("y", DOUBLES(v, 2)), W = weight(root, "W");
    const tl_tensor f = tl_sum(tl_square(x), TL_ALL), later = tl_tanh(f);
    tl_tensor g[4];
    tl_grad(f, (tl_tensor[]){ y, W, later, tl_stop_gradient(x) }, 4, g);
    VALUES_ARE(g[0], 0, 0);
    VALUES_ARE(g[1], 0, 0, 0, 0, 0, 0);
    VALUES_ARE(g[2], 0);
    tl_grad(tl_mul(tl_stop_gradient(x), x), &x, 1, g);
    VALUES_ARE(g[0], 1, 2);
    tl_grad(tl_square(tl_stop_gradient(x)), &x, 1, g);
    VALUES_ARE(g[0], 0, 0);
    end();
}

Test(gradient, may_lie_in_the_array_it_was_asked_with)
{
    begin();
    double v[2] = { 3, 4 };
    tl_tensor both[2] = { input("x", DOUBLES(v, 2)), input("y", DOUBLES(v, 2)) };
    const tl_tensor f = tl_mul(both[0], tl_square(both[1]));
    tl_grad(f, both, 2, both);
    VALUES_ARE(both[0], 9, 16);
    VALUES_ARE(both[1], 18, 32);
    end();
}

static tl_tensor random_loss(tl_scope *s, const tl_tensor *in, void *user)
{
    random_graph g;
    return record_random(&g, s, in, *(uint64_t *)user);
}

/* Graphs of every kind of operation: what is recorded agrees with differences, every third to second order. */
/* d sum(w . parts of x) / dx, where part k is x[begin[k]..end[k]) of an axis and w are the numbers 1, 2, ... */
static void slices(int n, int64_t (*part)[3], const double *want, int adds, int concats)
{
    tl_model *m = tl_model_new(.dtype = TL_F64);
    tl_tape *t = tl_tape_new(m);
    tl_scope *s = tl_root(t);
    const tl_tensor x = tl_full(s, TL_DIMS(4, 2), 1);
    tl_tensor y = tl_full(s, TL_SCALAR, 0), d;
    for (int k = 0; k < n; k++) {
        const tl_tensor q = tl_slice(x, (int)part[k][0], part[k][1], part[k][2]);
        y = tl_add(y, tl_sum(tl_scale(q, k + 1), TL_ALL));
    }
    const uint32_t before = t->n;
    tl_grad(y, &x, 1, &d);
    cr_assert(census(t, before, "add") == adds && census(t, before, "concat") == concats, "%d adds, %d concats",
              census(t, before, "add"), census(t, before, "concat"));
    double *v = values_of(d);
    for (int i = 0; i < 8; i++) cr_assert(v[i] == want[i], "[%d] is %g, not %g", i, v[i], want[i]);
    free(v);
    tl_tape_free(t);
    tl_model_free(m);
}

/* Steps that a recurrence has cut out make one gradient of the whole sequence, in time linear in their number. */
Test(gradient, of_slices_is_put_together_once)
{
    slices(4, (int64_t[][3]){ { 0, 0, 1 }, { 0, 1, 2 }, { 0, 2, 3 }, { 0, 3, 4 } },
           (double[]){ 1, 1, 2, 2, 3, 3, 4, 4 }, 0, 1);
    slices(4, (int64_t[][3]){ { 0, 3, 4 }, { 0, 2, 3 }, { 0, 1, 2 }, { 0, 0, 1 } },
           (double[]){ 4, 4, 3, 3, 2, 2, 1, 1 }, 0, 1);
    slices(2, (int64_t[][3]){ { 0, 1, 2 }, { 0, 3, 4 } }, (double[]){ 0, 0, 1, 1, 0, 0, 2, 2 }, 0, 1); /* gaps */
    slices(3, (int64_t[][3]){ { 0, 1, 2 }, { 0, 0, 1 }, { 0, 1, 2 } }, (double[]){ 2, 2, 4, 4, 0, 0, 0, 0 }, 1, 1);
    slices(2, (int64_t[][3]){ { 1, 1, 2 }, { 1, 0, 1 } }, (double[]){ 2, 1, 2, 1, 2, 1, 2, 1 }, 0, 1);
    slices(2, (int64_t[][3]){ { 0, 0, 2 }, { 0, 1, 4 } }, (double[]){ 1, 1, 3, 3, 2, 2, 2, 2 }, 1,
           0); /* they overlap */
    slices(2, (int64_t[][3]){ { 0, 0, 2 }, { 1, 1, 2 } }, (double[]){ 1, 3, 1, 3, 0, 2, 0, 2 }, 1, 0); /* they cross */
    slices(1, (int64_t[][3]){ { 0, 1, 3 } }, (double[]){ 0, 0, 1, 1, 1, 1, 0, 0 }, 0, 0);
}

Test(gradient, of_random_graphs_agrees_with_differences)
{
    begin();
    for (uint64_t seed = 0; seed < 150; seed++) {
        double storage[GRAPH_INPUTS][8];
        tl_array in[GRAPH_INPUTS];
        fill_inputs(in, storage, TL_F64, seed);
        const tl_gradcheck_result r = tl_gradcheck(model, random_loss, in, GRAPH_INPUTS, &seed, .inputs = true,
                                                   .second_order = seed % 3 == 0, .seed = seed);
        cr_assert(r.passed, "graph %d: %s", (int)seed, tl_message());
    }
    end();
}

/* Asked for W alone, nothing is recorded for the branch that W is not in, nor for x. */
Test(gradient, dead_adjoints_are_never_made)
{
    begin();
    double v[4] = { 1, 2, 3, 4 };
    const tl_tensor x = input("x", DOUBLES(v, 2, 2)), W = weight(root, "W"), V = weight(root, "V");
    const tl_tensor left = tl_tanh(tl_matmul(x, W));
    const uint32_t from = tape->n;
    const tl_tensor right = tl_sigmoid(tl_exp(tl_matmul(tl_square(x), V)));
    const uint32_t to = tape->n;
    const tl_tensor loss = tl_sum(tl_mul(left, right), TL_ALL);
    const uint32_t before = tape->n;
    tl_tensor g;
    tl_grad(loss, &W, 1, &g);
    ok();
    for (uint32_t i = before; i < tape->n; i++) {
        const uint32_t of = tape->node[i].differentiates;
        cr_assert(of < from || of >= to, "%s is recorded for %s", tape->node[i].op->name, tape->node[of].op->name);
    }
    cr_assert_eq(census(tape, before, "matmul"), 1, "x^T g, and no g W^T");
    const tl_tensor stopped = tl_exp(tl_stop_gradient(W)), both = tl_mul(left, tl_matmul(x, stopped));
    const uint32_t third = tape->n;
    tl_grad(both, &W, 1, &g);
    for (uint32_t i = third; i < tape->n; i++) cr_assert(tape->node[i].differentiates != stopped.id);
    cr_assert_eq(census(tape, third, "matmul"), 1, "nothing before tl_stop_gradient");
    end();
}

/* The same weight in T products: its gradient is one chain of products, each starting from the one before. */
Test(gradient, over_time_is_one_chain)
{
    enum { T = 5 };
    begin();
    double v[T * 4];
    uint64_t state = 1;
    for (int i = 0; i < T * 4; i++) v[i] = noise(&state);
    int32_t ids[2] = { 0, 2 };
    const tl_tensor x = input("x", DOUBLES(v, T, 2, 2));
    tl_scope *s = tl_in(root, "cell");
    tl_tensor h = tl_full(root, TL_DIMS(2, 3), 0), wrt[4], g[4];
    for (int t = 0; t < T; t++) {
        tl_scope *at = tl_step(s, t);
        wrt[0] = weight(at, "W");
        wrt[1] = tl_param(at, "U", TL_DIMS(3, 3), .init = normal);
        wrt[2] = tl_param(at, "b", TL_DIMS(3), .init = normal);
        wrt[3] = tl_param(at, "E", TL_DIMS(4, 3), .init = normal);
        const tl_tensor e = tl_gather(wrt[3], tl_ids_const(at, TL_DIMS(2), ids));
        h = tl_tanh(tl_add(tl_add(tl_add(tl_matmul(tl_at(x, t), wrt[0]), tl_matmul(h, wrt[1])), wrt[2]), e));
    }
    const uint32_t before = tape->n;
    tl_grad(tl_sum(h, TL_ALL), wrt, 4, g);
    ok();
    cr_assert_eq(census(tape, before, "add"), 0, "%d sums of contributions", census(tape, before, "add"));
    cr_assert_eq(census(tape, before, "matmul"), 3 * T - 1); /* dW, dU and dh, but for the first h */
    cr_assert_eq(census(tape, before, "scatter_add"), T);
    int starts = 0;
    for (uint32_t i = before; i < tape->n; i++)
        starts += !strcmp(tape->node[i].op->name, "matmul") && tape->node[i].n_in == 3 &&
                  tl_node_in(tape, &tape->node[i], 2);
    cr_assert_eq(starts, 2 * (T - 1));
    end();
}

/* Every kind of place a gradient can have in the plan: a result, a constant, a view, one node for two parameters. */
Test(gradient, lands_in_the_flat_array)
{
    begin();
    double w[6] = { 1, 2, 3, 4, 5, 6 };
    static const char *const name[] = { "a", "b", "c", "d", "e", "f" };
    tl_tensor p[6];
    for (int i = 0; i < 6; i++) {
        set_param(model, name[i], DOUBLES(w, 2, 3));
        p[i] = weight(root, name[i]);
    }
    tl_tensor loss = tl_sum(tl_square(tl_add(p[0], p[1])), TL_ALL);                      /* one adjoint for both: 4w */
    loss = tl_add(loss, tl_sum(p[2], TL_ALL));                                           /* a constant: 1 */
    loss = tl_add(loss, tl_sum(tl_square(tl_reshape(p[3], TL_DIMS(3, 2))), TL_ALL));     /* a view: 2w */
    loss = tl_add(loss, tl_sum(tl_mul(p[4], tl_const(root, TL_DIMS(2, 3), w)), TL_ALL)); /* w */
    tl_backward(loss);
    tl_tensor g;
    tl_grad(loss, &p[0], 1, &g);
    tl_output(root, "g", g); /* read as well */
    tl_session *s = run_once(tape, NULL, 0);
    tape = NULL;
    const tl_range *r;
    int n;
    const double *flat = tl_session_gradients(s, &r, &n);
    cr_assert(n == 1 && r[0].begin == 0 && r[0].end == 30, "f is not reached");
    for (int i = 0; i < 6; i++) {
        const double want[] = { 4 * w[i], 4 * w[i], 1, 2 * w[i], w[i] };
        for (int k = 0; k < 5; k++)
            cr_assert(flat[6 * k + i] == want[k], "d%s[%d] is %g, not %g", name[k], i, flat[6 * k + i], want[k]);
    }
    tl_array a;
    cr_assert_eq(tl_get(s, "g", &a), TL_OK);
    cr_assert(!memcmp(a.data, flat, 6 * sizeof(double)));
    tl_session_free(s);
    end();
}

/* ---- emissions ---------------------------------------------------------------------------------------------- */

Test(emission, is_collected_in_order_of_steps)
{
    begin();
    tl_scope *s = tl_in(root, "decoder");
    static const int order[] = { 2, 0, 3, 1 };
    for (int k = 0; k < 4; k++) tl_emit(tl_step(s, order[k]), "y", tl_full(root, TL_DIMS(2), order[k]));
    tl_emit(tl_in(tl_step(s, 0), "inner"), "y", tl_full(root, TL_DIMS(2), 9)); /* another path */
    const tl_tensor y = tl_collect(s, "y");
    ok();
    cr_assert(tl_rank(y) == 2 && tl_dim(y, 0) == 4);
    VALUES_ARE(y, 0, 0, 1, 1, 2, 2, 3, 3);
    VALUES_ARE(tl_collect(tl_in(s, "inner"), "y"), 9, 9);
    end();
}

Test(emission, of_steps_within_steps)
{
    begin();
    tl_scope *s = tl_in(root, "tree");
    for (int i = 1; i >= 0; i--)
        for (int k = 2; k >= 0; k--) tl_emit(tl_step(tl_step(s, i), k), "y", tl_full(root, TL_SCALAR, 10 * i + k));
    VALUES_ARE(tl_collect(s, "y"), 0, 1, 2, 10, 11, 12);
    VALUES_ARE(tl_collect(tl_step(s, 1), "y"), 10, 11, 12); /* of that step alone */
    end();
}

Test(emission, called_loss_is_summed)
{
    begin();
    double v[2] = { 3, 4 };
    const tl_tensor x = input("x", DOUBLES(v, 2));
    cr_assert(tl_absent(tl_total_loss(root, TL_NONE)));
    cr_assert(tl_is(tl_total_loss(root, x), x) || tl_eval(tl_total_loss(root, x)) == 7);
    tl_scope *s = tl_in(root, "decoder");
    tl_emit(tl_step(s, 0), "loss", tl_full(root, TL_SCALAR, 10));
    tl_emit(tl_step(s, 1), "loss", tl_scale(x, 100)); /* two numbers: they count as their sum */
    tl_emit(tl_step(s, 1), "gloss", tl_full(root, TL_SCALAR, 1e6));
    const tl_tensor loss = tl_total_loss(root, tl_mul(x, x));
    ok();
    cr_assert_eq(tl_rank(loss), 0);
    VALUES_ARE(loss, 25 + 10 + 700);
    tl_tensor g;
    tl_grad(loss, &x, 1, &g);
    VALUES_ARE(g, 106, 108);
    VALUES_ARE(tl_total_loss(root, TL_NONE), 710);
    end();
}

/* ---- tl_eval ------------------------------------------------------------------------------------------------ */

Test(eval, steers_control_flow)
{
    begin();
    double v = 20;
    tl_tensor x = input("x", (tl_array){ .dtype = TL_F64, .data = &v });
    cr_assert(!tl_tape_evaluated(tape));
    int n = 0;
    while (!tl_failed(tape) && tl_eval(x) > 1) x = tl_scale(x, 0.5), n++;
    cr_assert(n == 5 && tl_tape_evaluated(tape));
    int32_t ids[2] = { 4, 5 };
    double read[2];
    tl_eval_values(tl_ids_const(root, TL_DIMS(2), ids), read);
    cr_assert(read[0] == 4 && read[1] == 5);
    tl_tape_reset(tape);
    cr_assert(!tl_tape_evaluated(tape));
    end();
}

/* ---- dumps -------------------------------------------------------------------------------------------------- */

static tl_tensor record_cell(void)
{
    double *v = tl_scope_copy(root, NULL, 8 * sizeof *v);
    const tl_tensor x = input("chars", DOUBLES(v, 2, 2, 2));
    tl_scope *s = tl_in(tl_in(root, "enc"), "cell");
    tl_tensor h = tl_full(root, TL_DIMS(2, 3), 0.25);
    for (int t = 0; t < 2; t++) {
        tl_scope *at = tl_step(s, t);
        tl_scope *gate = tl_in(at, "gate");
        const tl_tensor W = weight(gate, "W");
        const tl_place_mark m = tl_enter(TL_HERE, gate);
        h = tl_add(h, tl_matmul(tl_at(x, t), W));
        tl_leave(gate, m);
    }
    tl_output(tl_in(root, "enc"), "last", h);
    return tl_sum(h, TL_ALL);
}

Test(dump, a_tape_as_text)
{
    begin();
    tl_backward(record_cell());
    char *text = tl_tape_text(tape);
    cr_assert(text);
    HAS_LINE(text, "= input \"chars\"", "f64 [2,2,2]", "test_graph.c:");
    HAS_LINE(text, "= param \"enc/cell/gate/W\"", "f64 [2,3]", "in enc/cell/gate at step 0");
    HAS_LINE(text, "= matmul %", "f64 [2,3]", "in enc/cell/gate at step 1");
    HAS_LINE(text, "= slice axis 0 from 1 to 2", "at step 1");
    HAS_LINE(text, "= matmul ta", "(gradient of %", "at step 1");
    HAS_LINE(text, "= fill 0.25 : f64 [2,3]");
    HAS_LINE(text, "output \"enc/last\" = %");
    HAS_LINE(text, "gradient \"enc/cell/gate/W\" = %");
    cr_lacks(text, "error:");
    int lines = 0;
    for (const char *p = text; *p; p++) lines += *p == '\n';
    cr_assert_eq(lines, tl_tape_nodes(tape) + 3); /* a head, an output, a gradient */
    tl_free(text);
    tl_matmul(weight(root, "A"), weight(root, "B"));
    text = tl_tape_text(tape);
    HAS_LINE(text, "error: ", "inner dimensions 3 and 2 differ");
    tl_free(text);
    end();
}

Test(dump, a_tape_as_graph)
{
    begin();
    tl_backward(record_cell());
    char *dot = tl_tape_dot(tape), path[1024], name[32];
    cr_assert(dot);
    int found = 0, adjoints = 0;
    for (uint32_t i = 1; i < tape->n; i++) {
        snprintf(name, sizeof name, "n%u", i);
        parse_dot(dot, name, path);
        if (strcmp(tape->node[i].op->name, "matmul")) continue;
        const bool step1 = tape->node[i].scope->visit->index == 1;
        cr_assert_str_eq(path, step1 ? "enc>cell>step 1>gate>" : "enc>cell>step 0>gate>");
        found++;
        adjoints += tape->node[i].differentiates != 0;
    }
    cr_assert(found == 4 && adjoints == 2);
    for (uint32_t i = 1; i < tape->n; i++)
        for (uint32_t k = 0; k < tape->node[i].n_in; k++) {
            snprintf(path, sizeof path, "n%u -> n%u;", tl_node_in(tape, &tape->node[i], k), i);
            if (tl_node_in(tape, &tape->node[i], k)) cr_has(dot, path);
        }
    cr_assert(strstr(dot, "step 0") < strstr(dot, "step 1"), "in order of recording");
    HAS_LINE(dot, "label=\"matmul ta", "dashed"); /* adjoints are told apart */
    HAS_LINE(dot, "peripheries=2");
    graphviz_reads(dot);
    tl_free(dot);
    end();
}

Test(dump, names_are_escaped)
{
    begin();
    tl_scope *s = tl_step(tl_in(root, "say \"x\\y\"\n}"), 0);
    tl_output(s, "o\"\\", tl_tanh(tl_param(s, "W\"]\\", TL_DIMS(2))));
    char *dot = tl_tape_dot(tape), path[1024];
    parse_dot(dot, "n1", path);
    cr_assert_str_eq(path, "say \\\"x\\\\y\\\"?}>step 0>");
    tl_free(dot);
    tl_tape_reset(tape);
    dot = tl_tape_dot(tape);
    parse_dot(dot, "n1", path);
    tl_free(dot);
    char *text = tl_tape_text(tape);
    cr_has(text, "tape of 0 operations");
    tl_free(text);
    end();
}

Test(dump, a_plan_as_text)
{
    begin();
    tl_backward(record_cell());
    tl_plan *plan = tl_compile(tape);
    tl_tape_free(tape);
    tape = NULL;
    char *text = tl_plan_text(plan), head[96];
    snprintf(head, sizeof head, "plan of %d instructions, %zu bytes of arena, 1 inputs, 1 outputs, 6 gradients",
             tl_plan_instructions(plan), tl_plan_arena_bytes(plan));
    cr_has(text, head);
    HAS_LINE(text, "input 0 \"chars\" : f64 [2,2,2]");
    HAS_LINE(text, "matmul f64 arena+", "[2,3] <- input 0+32 [2,2], values+0(enc/cell/gate/W) [2,3]", "at step 1",
             "test_graph.c:");
    HAS_LINE(text, "matmul f64 gradients+0(enc/cell/gate/W) [2,3]");
    HAS_LINE(text, "consts(0.25...)");
    HAS_LINE(text, "output \"enc/last\" : f64 [2,3]  arena+");
    tl_free(text);
    tl_plan_free(plan);
    end();
}

Test(dump, without_memory_is_an_error)
{
    begin();
    record_cell();
    tl_plan *plan = tl_compile(tape);
    const size_t live = tl_live_bytes();
    for (int kind = 0; kind < 3; kind++) {
        char *text = NULL;
        uint64_t n = 1;
        for (; !text && n < 100; n++) {
            tl_fail_allocation(n);
            text = kind == 0 ? tl_tape_text(tape) : kind == 1 ? tl_tape_dot(tape) : tl_plan_text(plan);
            tl_fail_allocation(0);
            if (!text) cr_has(tl_message(), "out of memory");
            if (!text) cr_assert_eq(tl_live_bytes(), live);
        }
        cr_assert(text && n > 2);
        tl_free(text);
    }
    tl_plan_free(plan);
    end();
}
