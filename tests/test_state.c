/* tests/test_state.c - what lives from run to run: states, the number of the run and what hangs on it, taps. */
#include "support.h"

enum { B = 3, D = 2 };

static tl_model *model;
static tl_tape *tape;
static tl_scope *root;
static tl_session *session;

static void begin_with(tl_dtype dtype, uint64_t seed)
{
    model = tl_model_new(.dtype = dtype, .seed = seed);
    session = tl_session_new(model);
    tape = tl_tape_new(model);
    root = tl_root(tape);
}

static void begin(void) { begin_with(TL_F64, 3); }

static void end(void)
{
    tl_tape_free(tape);
    tl_session_free(session);
    tl_model_free(model);
    cr_assert(tl_live_bytes() == 0, "%zu bytes are still live", tl_live_bytes());
}

static tl_plan *compile(void)
{
    tl_plan *plan = tl_compile(tape);
    cr_assert(plan, "%s", tl_message());
    tl_tape_reset(tape);
    root = tl_root(tape);
    return plan;
}

static void run(tl_session *s, const tl_plan *plan, const tl_array *in, int n)
{
    cr_assert_eq(tl_run(s, plan, in, n), TL_OK, "%s", tl_message());
}

static void output_is(tl_session *s, const char *name, int n, const double *want)
{
    tl_array a;
    cr_assert_eq(tl_get(s, name, &a), TL_OK, "%s", tl_message());
    cr_assert_eq(elements(&a), n);
    for (int i = 0; i < n; i++)
        cr_assert(tl_read(a.data, a.dtype, i) == want[i], "%s[%d] is %g, not %g", name, i, tl_read(a.data, a.dtype, i),
                  want[i]);
}
#define OUTPUT_IS(s, name, ...) output_is((s), (name), COUNT(((double[]){ __VA_ARGS__ })), (double[]){ __VA_ARGS__ })

/* ---- states ------------------------------------------------------------------------------------------------- */

static double one_each[B * D] = { 1, 1, 1, 1, 1, 1 };

/* y = h + x, h' = y; h starts as the parameter h0, which is 10, 20. The loss is the sum of y. */
static tl_plan *adder(void)
{
    double start[D] = { 10, 20 };
    set_param(model, "h0", DOUBLES(start, D));
    const tl_tensor x = tl_input(root, "x", DOUBLES(NULL, B, D));
    const tl_tensor h0 = tl_broadcast_to(tl_param(root, "h0", TL_DIMS(D)), TL_DIMS(B, D));
    const tl_tensor y = tl_add(tl_state(tl_in(root, "rnn"), "h", h0), x);
    tl_next(tl_in(root, "rnn"), "h", y);
    tl_output(root, "y", y);
    tl_backward(tl_sum(y, TL_ALL));
    return compile();
}

static const tl_array *ones(void)
{
    static tl_array a;
    a = DOUBLES(one_each, B, D);
    return &a;
}

Test(states, are_carried_and_reset)
{
    begin();
    tl_plan *plan = adder();
    cr_assert_eq(tl_session_states(session), 0);
    run(session, plan, ones(), 1);
    OUTPUT_IS(session, "y", 11, 21, 11, 21, 11, 21);
    cr_assert_eq(tl_session_states(session), 1);
    run(session, plan, ones(), 1);
    OUTPUT_IS(session, "y", 12, 22, 12, 22, 12, 22);
    const bool rows[B] = { false, true, false };
    cr_assert_eq(tl_session_reset_rows(session, rows, B), TL_OK);
    run(session, plan, ones(), 1);
    OUTPUT_IS(session, "y", 13, 23, 11, 21, 13, 23);
    run(session, plan, ones(), 1);
    OUTPUT_IS(session, "y", 14, 24, 12, 22, 14, 24);
    tl_session_reset(session);
    cr_assert_eq(tl_session_states(session), 0);
    run(session, plan, ones(), 1);
    OUTPUT_IS(session, "y", 11, 21, 11, 21, 11, 21);
    tl_plan_free(plan);
    end();
}

/* The gradient reaches the initial value through those rows alone that start from it. */
Test(states, gradient_reaches_initial_through_fresh_rows)
{
    begin();
    tl_plan *plan = adder();
    const bool rows[B] = { true, false, true };
    for (int k = 0; k < 3; k++) {
        if (k == 2) tl_session_reset_rows(session, rows, B);
        run(session, plan, ones(), 1);
        const double *g = tl_session_gradients(session, NULL, NULL), want = k == 0 ? 3 : k == 1 ? 0 : 2;
        cr_assert(g[0] == want && g[1] == want, "at run %d: %g, not %g", k, g[0], want);
    }
    tl_plan_free(plan);
    end();
}

Test(states, rows_are_gathered)
{
    begin();
    tl_plan *plan = adder();
    double x[B * D] = { 5, 5, 1, 1, 2, 2 };
    const tl_array in = DOUBLES(x, B, D);
    run(session, plan, &in, 1);
    tl_session_reset_rows(session, (const bool[]){ true, false, false }, B);
    cr_assert_eq(tl_session_gather_rows(session, (int32_t[]){ 2, 0, 2 }, B), TL_OK);
    run(session, plan, ones(), 1);
    OUTPUT_IS(session, "y", 13, 23, 11, 21, 13, 23); /* row 1 is the reset one */
    cr_assert_eq(tl_session_gather_rows(session, (int32_t[]){ 1, 1 }, 2), TL_OK);
    const char *name;
    tl_array h;
    cr_assert_eq(tl_session_state(session, 0, &name, &h), TL_OK);
    cr_assert(!strcmp(name, "rnn/h") && h.rank == 2 && h.dim[0] == 2 && ((double *)h.data)[3] == 21);
    tl_plan_free(plan);
    end();
}

/* Out of memory at the second of two states: neither has changed. */
Test(states, are_gathered_all_or_none)
{
    begin();
    double a[4] = { 1, 2, 3, 4 }, b[2] = { 5, 6 };
    const tl_array va = DOUBLES(a, 2, 2), vb = DOUBLES(b, 2);
    tl_session_set_state(session, "a", &va);
    tl_session_set_state(session, "b", &vb);
    uint64_t n = 1;
    for (tl_status status = TL_E_MEMORY; status; n++) {
        const char *name;
        tl_array got[2];
        tl_fail_allocation(n);
        status = tl_session_gather_rows(session, (int32_t[]){ 1, 0 }, 2);
        tl_fail_allocation(0);
        for (int i = 0; i < 2; i++) cr_assert_eq(tl_session_state(session, i, &name, &got[i]), TL_OK);
        const double *p = got[0].data, *q = got[1].data;
        if (status) cr_assert(status == TL_E_MEMORY && p[0] == 1 && p[3] == 4 && q[0] == 5 && q[1] == 6);
        else cr_assert(p[0] == 3 && p[3] == 2 && q[0] == 6 && q[1] == 5);
    }
    cr_assert_gt(n, 4);
    end();
}

Test(states, a_clone_goes_its_own_way)
{
    begin();
    tl_plan *plan = adder();
    run(session, plan, ones(), 1);
    tl_session_reset_rows(session, (const bool[]){ false, false, true }, B);
    tl_session *c = tl_session_clone(session);
    cr_assert(tl_session_model(c) == model && tl_session_runs(c) == 1 && tl_session_states(c) == 1);
    run(c, plan, ones(), 1);
    run(c, plan, ones(), 1);
    OUTPUT_IS(c, "y", 13, 23, 13, 23, 12, 22);
    run(session, plan, ones(), 1);
    OUTPUT_IS(session, "y", 12, 22, 12, 22, 11, 21);
    cr_assert(tl_session_runs(c) == 3 && tl_session_runs(session) == 2);
    tl_session_free(c);
    tl_plan_free(plan);
    end();
}

Test(states, are_set_and_read)
{
    begin();
    tl_plan *plan = adder();
    float h[B * D] = { 1, 2, 3, 4, 5, 6 };
    tl_array value = FLOATS(h, B, D); /* converted to the model's type */
    cr_assert_eq(tl_session_set_state(session, "rnn/h", &value), TL_OK, "%s", tl_message());
    run(session, plan, ones(), 1);
    OUTPUT_IS(session, "y", 2, 3, 4, 5, 6, 7);
    const char *name;
    cr_assert_eq(tl_session_state(session, 0, &name, &value), TL_OK);
    cr_assert(value.dtype == TL_F64 && value.dim[0] == B && ((double *)value.data)[5] == 7);
    cr_assert_eq(tl_session_set_state(session, name, &value), TL_OK, "from itself");
    run(session, plan, ones(), 1);
    OUTPUT_IS(session, "y", 3, 4, 5, 6, 7, 8);
    tl_plan_free(plan);
    end();
}

Test(states, hold_changes_nothing)
{
    begin();
    tl_plan *plan = adder();
    run(session, plan, ones(), 1);
    tl_session_hold(session, true);
    for (int k = 0; k < 2; k++) {
        run(session, plan, ones(), 1);
        OUTPUT_IS(session, "y", 12, 22, 12, 22, 12, 22);
        cr_assert_eq(tl_session_runs(session), 1);
    }
    tl_session_hold(session, false);
    run(session, plan, ones(), 1);
    OUTPUT_IS(session, "y", 12, 22, 12, 22, 12, 22);
    cr_assert_eq(tl_session_runs(session), 2);
    tl_plan_free(plan);
    end();
}

/* Each state's new value is made of the old values: they can be exchanged. */
Test(states, are_set_at_once_after_the_run)
{
    begin();
    const tl_tensor a = tl_state(root, "a", tl_full(root, TL_DIMS(2), 1)),
                    b = tl_state(root, "b", tl_full(root, TL_DIMS(2), 2));
    tl_next(root, "a", b);
    tl_next(root, "b", a);
    tl_output(root, "a", a);
    tl_output(root, "b", b);
    tl_plan *plan = compile();
    for (int k = 0; k < 4; k++) {
        run(session, plan, NULL, 0);
        OUTPUT_IS(session, "a", 1 + k % 2, 1 + k % 2);
        OUTPUT_IS(session, "b", 2 - k % 2, 2 - k % 2);
    }
    tl_plan_free(plan);
    end();
}

/* What is carried may be anything: an input, a parameter, a constant, a view of something. */
Test(states, are_set_from_what_is_no_result)
{
    begin();
    double x[4] = { 1, 2, 3, 4 }, w[2] = { 5, 6 };
    set_param(model, "w", DOUBLES(w, 2));
    const tl_tensor in = tl_input(root, "x", DOUBLES(NULL, 2, 2)), zero = tl_full(root, TL_DIMS(2), 0);
    const tl_tensor source[] = { tl_at(in, 1), tl_param(root, "w", TL_DIMS(2)), tl_const(root, TL_DIMS(2), x),
                                 tl_at(tl_tanh(in), 0) };
    static const char *const name[] = { "a", "b", "c", "d" };
    for (int i = 0; i < 4; i++) {
        tl_output(root, name[i], tl_scale(tl_state(root, name[i], zero), 1));
        tl_next(root, name[i], source[i]);
    }
    tl_plan *plan = compile();
    const tl_array a = DOUBLES(x, 2, 2);
    run(session, plan, &a, 1);
    for (int i = 0; i < 4; i++) OUTPUT_IS(session, name[i], 0, 0);
    memset(x, 0, sizeof x); /* the caller's memory is the caller's again */
    run(session, plan, &a, 1);
    OUTPUT_IS(session, "a", 3, 4);
    OUTPUT_IS(session, "b", 5, 6);
    OUTPUT_IS(session, "c", 1, 2);
    OUTPUT_IS(session, "d", tanh(1), tanh(2));
    tl_plan_free(plan);
    end();
}

static tl_tensor averaged(tl_scope *s)
{
    const tl_tensor mean = tl_model_state(s, "mean", tl_full(s, TL_DIMS(1), 100));
    const tl_tensor x = tl_input(root, "x", DOUBLES(NULL, 1));
    tl_next(s, "mean", tl_add(mean, x));
    return mean;
}

Test(states, in_the_model_are_shared_and_copied)
{
    begin();
    tl_output(root, "y", averaged(tl_in(root, "norm")));
    tl_plan *plan = compile();
    tl_session *other = tl_session_new(model);
    const tl_array one = DOUBLES(one_each, 1);
    run(session, plan, &one, 1);
    run(other, plan, &one, 1);
    OUTPUT_IS(other, "y", 101);
    tl_session_reset(session); /* of the session's states, not the model's */
    run(session, plan, &one, 1);
    OUTPUT_IS(session, "y", 102);
    tl_session_hold(session, true);
    run(session, plan, &one, 1);
    run(session, plan, &one, 1);
    OUTPUT_IS(session, "y", 103);
    cr_assert_eq(tl_session_states(session), 0);
    tl_model *copy = tl_model_copy(model, 0);
    tl_tape *t = tl_tape_new(copy);
    tl_scope *keep = root;
    root = tl_root(t);
    cr_assert_eq(tl_eval(averaged(tl_in(root, "norm"))), 103);
    root = keep;
    tl_tape_free(t), tl_model_free(copy), tl_session_free(other), tl_plan_free(plan);
    end();
}

Test(states, of_the_model_are_set_and_read)
{
    begin();
    float v = 50;
    tl_array value = FLOATS(&v, 1);
    const char *name;
    cr_assert_eq(tl_model_states(model), 0);
    cr_assert_eq(tl_model_set_state(model, "norm/mean", &value), TL_OK, "%s", tl_message()); /* as loading does */
    cr_assert_eq(tl_model_states(model), 1);
    tl_output(root, "y", averaged(tl_in(root, "norm")));
    tl_plan *plan = compile();
    const tl_array one = DOUBLES(one_each, 1);
    run(session, plan, &one, 1);
    OUTPUT_IS(session, "y", 50);
    cr_assert_eq(tl_model_state_value(model, 0, &name, &value), TL_OK);
    cr_assert(!strcmp(name, "norm/mean") && value.dtype == TL_F64 && *(double *)value.data == 51);
    cr_assert_eq(tl_model_set_state(model, name, &value), TL_OK, "from itself");
    run(session, plan, &one, 1);
    OUTPUT_IS(session, "y", 51);
    float wide[2] = { 1, 2 };
    value = FLOATS(wide, 2);
    cr_assert_eq(tl_model_set_state(model, "norm/mean", &value), TL_OK);
    cr_assert_eq(tl_run(session, plan, &one, 1), TL_E_STATE, "the plan carries [1]");
    tl_plan_free(plan);
    end();
}

/* A session's state and the model's of one name are two things. */
Test(states, of_session_and_model_do_not_mix)
{
    begin();
    tl_output(root, "y", averaged(tl_in(root, "norm")));
    tl_plan *plan = compile();
    const tl_array one = DOUBLES(one_each, 1);
    double v = 7;
    const tl_array value = DOUBLES(&v, 1);
    run(session, plan, &one, 1);
    cr_assert_eq(tl_session_set_state(session, "norm/mean", &value), TL_OK);
    run(session, plan, &one, 1);
    OUTPUT_IS(session, "y", 101);
    tl_plan_free(plan);
    end();
}

Test(states, survive_a_change_of_plan_and_are_seen_by_eval)
{
    begin();
    tl_plan *plan = adder();
    run(session, plan, ones(), 1);
    tl_plan_free(plan);
    const tl_tensor h = tl_state(tl_in(root, "rnn"), "h", tl_full(root, TL_DIMS(B, D), -1));
    tl_next(tl_in(root, "rnn"), "h", tl_scale(h, 2));
    tl_output(root, "h", h);
    cr_assert_eq(tl_eval(tl_sum(h, TL_ALL)), -6, "a tape without a session sees initial values");
    plan = compile();
    run(session, plan, NULL, 0);
    OUTPUT_IS(session, "h", 11, 21, 11, 21, 11, 21);
    tl_plan_free(plan);
    tl_tape *t = tl_tape_new(model, .session = session);
    cr_assert_eq(
        tl_eval(tl_sum(tl_state(tl_in(tl_root(t), "rnn"), "h", tl_full(tl_root(t), TL_DIMS(B, D), -1)), TL_ALL)), 192);
    tl_session_reset_rows(session, (const bool[]){ true, false, false }, B);
    tl_tape_reset(t);
    cr_assert_eq(
        tl_eval(tl_sum(tl_state(tl_in(tl_root(t), "rnn"), "h", tl_full(tl_root(t), TL_DIMS(B, D), -1)), TL_ALL)), 126);
    tl_tape_free(t);
    end();
}

/* ---- random numbers ----------------------------------------------------------------------------------------- */

/* Known answers published with Philox (Random123, kat_vectors). */
Test(randomness, philox_is_the_published_one)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        { { 0 }, { 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { ~0u, ~0u, ~0u, ~0u }, { ~0u, ~0u }, { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (int i = 0; i < COUNT(known); i++) {
        uint32_t out[4];
        tl_philox(known[i].counter, known[i].key, out);
        cr_assert(!memcmp(out, known[i].out, sizeof out), "answer %d", i);
    }
}

enum kind { UNIFORM, NORMAL, BERNOULLI };

static tl_tensor numbers(tl_scope *s, enum kind kind, int rank, const int64_t *dim)
{
    if (kind == UNIFORM) return tl_random_uniform(s, rank, dim);
    if (kind == NORMAL) return tl_random_normal(s, rank, dim);
    return tl_random_bernoulli(s, rank, dim, 0.3);
}

/* Records tensor "y" at each of `steps` steps of "drop" and leaves the numbers of step `t` at run `run_number`, as doubles. */
typedef struct draw_spec {
    tl_dtype dtype;
    uint64_t seed, run;
    enum kind kind;
    int64_t steps, t, rows, columns;
    bool other_path, second, again, clutter;
} draw_spec;

static double *draw_numbers(draw_spec d)
{
    begin_with(d.dtype, d.seed);
    if (d.clutter) tl_tanh(tl_random_normal(tl_in(root, "else"), TL_DIMS(5)));
    tl_scope *s = tl_in(root, d.other_path ? "pord" : "drop");
    for (int64_t t = 0; t < d.steps; t++) {
        tl_scope *at = tl_step(s, t);
        if (d.second) numbers(at, d.kind, TL_DIMS(1));
        if (d.again) at = tl_again(at);
        const tl_tensor y = numbers(at, d.kind, TL_DIMS(d.rows, d.columns));
        if (t == d.t) tl_output(root, "y", y);
    }
    tl_plan *plan = compile();
    tl_session_set_runs(session, d.run);
    run(session, plan, NULL, 0);
    tl_array a;
    tl_get(session, "y", &a);
    double *v = malloc((size_t)elements(&a) * sizeof *v);
    for (int64_t i = 0; i < elements(&a); i++) v[i] = tl_read(a.data, a.dtype, i);
    tl_plan_free(plan);
    end();
    return v;
}

static bool same_draw(draw_spec p, draw_spec q)
{
    double *a = draw_numbers(p), *b = draw_numbers(q);
    bool same = true;
    for (int64_t i = 0; i < p.rows && i < q.rows; i++)
        for (int64_t j = 0; j < p.columns && j < q.columns; j++) same &= a[i * p.columns + j] == b[i * q.columns + j];
    free(a), free(b);
    return same;
}

Test(randomness, depends_on_seed_path_visit_ordinal_and_run_alone)
{
    for (enum kind kind = UNIFORM; kind <= BERNOULLI; kind++) {
        const draw_spec base = { TL_F32, 5, 2, kind, 4, 2, 6, 9, false, false, false, false };
        draw_spec d = base;
        cr_assert(same_draw(base, base));
        d.clutter = true;
        cr_assert(same_draw(base, d), "other nodes make no difference");
        d = base, d.steps = 9;
        cr_assert(same_draw(base, d), "nor does T");
        d = base, d.rows = 11;
        cr_assert(same_draw(base, d), "nor does B");
        d = base, d.columns = 14;
        cr_assert(same_draw(base, d), "nor does D");
        d = base, d.dtype = TL_F64;
        if (kind != NORMAL) cr_assert(same_draw(base, d), "nor does the type");
        d = base, d.seed = 6;
        cr_assert(!same_draw(base, d), "another seed");
        d = base, d.run = 3;
        cr_assert(!same_draw(base, d), "another run");
        d = base, d.run += (uint64_t)1 << 32;
        cr_assert(!same_draw(base, d), "a run very much later");
        d = base, d.t = 3;
        cr_assert(!same_draw(base, d), "another step");
        d = base, d.second = true;
        cr_assert(!same_draw(base, d), "the second random operation of the visit");
        d = base, d.again = true;
        cr_assert(!same_draw(base, d), "another visit");
        d = base, d.other_path = true;
        cr_assert(!same_draw(base, d), "another path");
    }
}

/* Each of these draws its own numbers. */
Test(randomness, of_scopes_and_visits_differs)
{
    begin();
    tl_scope *s = tl_in(root, "s"), *step = tl_step(s, 0);
    tl_scope *scope[] = { root,
                          s,
                          tl_in(root, "t"),
                          tl_in(s, "t"),
                          step,
                          tl_step(s, 1),
                          tl_in(step, "a"),
                          tl_in(step, "b"),
                          tl_again(s),
                          tl_again(s),
                          tl_again(step),
                          tl_step(tl_again(s), 0),
                          tl_step(step, 0),
                          tl_step(root, 0),
                          tl_overlay(s, 0, NULL, NULL) };
    double v[COUNT(scope)][4];
    for (int i = 0; i < COUNT(scope); i++) {
        tl_eval_values(tl_random_normal(scope[i], TL_DIMS(4)), v[i]);
        for (int k = 0; k < i; k++)
            cr_assert(memcmp(v[i], v[k], sizeof v[i]), "scopes %d and %d draw the same numbers", k, i);
    }
    cr_assert(!tl_failed(tape));
    end();
}

/* A sequence of time steps and a loop over them are different recordings, but a longer one begins like a shorter one. */
Test(randomness, of_a_longer_sequence_begins_alike)
{
    for (int rank3 = 0; rank3 < 2; rank3++) {
        double *v[2];
        for (int k = 0; k < 2; k++) {
            begin();
            const int64_t T = k ? 7 : 3, rows = k ? 5 : 2;
            tl_output(root, "y",
                      tl_random_normal(root, rank3 ? 3 : 2, rank3 ? (int64_t[]){ T, rows, 4 } : (int64_t[]){ T, 4 }));
            tl_plan *plan = compile();
            run(session, plan, NULL, 0);
            tl_array a;
            tl_get(session, "y", &a);
            v[k] = memcpy(malloc(bytes_in(&a)), a.data, bytes_in(&a));
            tl_plan_free(plan);
            end();
        }
        for (int t = 0; t < 3; t++)
            for (int b = 0; b < (rank3 ? 2 : 1); b++)
                cr_assert(
                    !memcmp(v[0] + (rank3 ? t * 2 + b : t) * 4, v[1] + (rank3 ? t * 5 + b : t) * 4, 4 * sizeof *v[0]));
        free(v[0]), free(v[1]);
    }
}

Test(randomness, a_held_session_repeats_itself)
{
    begin_with(TL_F32, 11);
    const tl_tensor y = tl_random_uniform(root, TL_DIMS(8));
    tl_output(root, "y", y);
    double *recorded = values_of(y);
    tl_plan *plan = compile();
    float first[8], now[8];
    tl_array a;
    for (int k = 0; k < 6; k++) {
        tl_session_hold(session, k < 3);
        run(session, plan, NULL, 0);
        tl_get(session, "y", &a);
        memcpy(now, a.data, sizeof now);
        if (!k) memcpy(first, now, sizeof first);
        cr_assert((k <= 3) == !memcmp(first, now, sizeof now), "run %d", k);
        for (int i = 0; i < 8 && !k; i++) cr_assert(recorded[i] == now[i], "tl_eval draws as the first run does");
    }
    cr_assert_eq(tl_session_runs(session), 3);
    tl_session_set_runs(session, 0);
    run(session, plan, NULL, 0);
    tl_get(session, "y", &a);
    cr_assert(!memcmp(first, a.data, sizeof first));
    free(recorded);
    tl_plan_free(plan);
    end();
}

Test(randomness, has_the_promised_distributions)
{
    enum { N = 40000 };
    for (enum kind kind = UNIFORM; kind <= BERNOULLI; kind++) {
        double *v = draw_numbers((draw_spec){ TL_F64, 1, 0, kind, 1, 0, 200, 200, false, false, false, false });
        double mean = 0, square = 0;
        for (int i = 0; i < N; i++) {
            mean += v[i] / N;
            square += v[i] * v[i] / N;
            if (kind == UNIFORM) cr_assert(v[i] >= 0 && v[i] < 1 && v[i] * 0x1p24 == floor(v[i] * 0x1p24));
            if (kind == BERNOULLI) cr_assert(v[i] == 0 || v[i] == 1);
        }
        const double want = kind == UNIFORM ? 0.5 : kind == NORMAL ? 0 : 0.3;
        const double variance = kind == UNIFORM ? 1.0 / 12 : kind == NORMAL ? 1 : 0.21;
        cr_assert(fabs(mean - want) < 5 * sqrt(variance / N), "mean %g", mean);
        cr_assert(fabs(square - mean * mean - variance) < 0.03 * variance, "variance %g", square - mean * mean);
        free(v);
    }
}

/* ---- taps --------------------------------------------------------------------------------------------------- */

typedef struct seen {
    int calls;
    char path[64];
    tl_array value;
    double first;
} seen;

static void look(void *data, const char *path, const tl_array *value)
{
    seen *s = data;
    s->calls++;
    s->value = *value;
    s->first = tl_read(value->data, value->dtype, 0);
    snprintf(s->path, sizeof s->path, "%s", path);
}

static tl_tensor maybe_tap(bool tap, tl_scope *s, tl_tensor x, seen *to) { return tap ? tl_tap(s, x, look, to) : x; }

/* tanh chains whose buffers could be reused; taps on a result, an input, a parameter, a constant and a view. */
static tl_plan *tapped(bool tap, seen to[5])
{
    tl_scope *s = tl_step(tl_in(root, "net"), 4);
    const tl_tensor x = maybe_tap(tap, s, tl_input(root, "x", DOUBLES(NULL, 4, 4)), &to[0]);
    const tl_tensor w = maybe_tap(tap, s, tl_param(root, "w", TL_DIMS(4, 4), .init = normal), &to[1]);
    const tl_tensor c = maybe_tap(tap, s, tl_full(root, TL_DIMS(4), 0.5), &to[2]);
    tl_tensor y = tl_tanh(tl_matmul(x, w));
    y = maybe_tap(tap, s, tl_mul(y, c), &to[3]);
    y = tl_tanh(tl_sigmoid(y));
    y = tl_add(y, maybe_tap(tap, s, tl_slice(y, 0, 1, 2), &to[4]));
    const tl_tensor loss = tl_sum(tl_square(y), TL_ALL);
    tl_output(root, "loss", loss);
    tl_backward(loss);
    return compile();
}

Test(taps, see_every_run_and_change_no_bit)
{
    begin();
    seen to[5];
    memset(to, 0, sizeof to);
    tl_plan *plain = tapped(false, to), *plan = tapped(true, to);
    for (int k = 0; k < 5; k++) cr_assert_eq(to[k].calls, 0, "recording calls no tap");
    double x[16], g[16], loss;
    uint64_t state = 9;
    for (int r = 1; r <= 3; r++) {
        for (int i = 0; i < 16; i++) x[i] = noise(&state);
        const tl_array in = DOUBLES(x, 4, 4);
        run(session, plain, &in, 1);
        loss = tl_get_scalar(session, "loss");
        memcpy(g, tl_session_gradients(session, NULL, NULL), sizeof g);
        run(session, plan, &in, 1);
        cr_assert(loss == tl_get_scalar(session, "loss"));
        cr_assert(!memcmp(g, tl_session_gradients(session, NULL, NULL), sizeof g));
        for (int k = 0; k < 5; k++) cr_assert(to[k].calls == r && !strcmp(to[k].path, "net"), "tap %d", k);
        cr_assert(to[0].first == x[0] && to[1].first == *(double *)tl_model_values(model) && to[2].first == 0.5);
        cr_assert(to[4].value.rank == 2 && to[4].value.dim[0] == 1 && to[4].value.dim[1] == 4);
        double z = 0;
        for (int i = 0; i < 4; i++) z += x[i] * ((double *)tl_model_values(model))[4 * i];
        cr_assert(fabs(to[3].first - 0.5 * tanh(z)) < 1e-14);
    }
    tl_plan_free(plain), tl_plan_free(plan);
    end();
}

/* A tap keeps what it shows alive, even if nothing else asks for it. */
Test(taps, alone_make_a_plan)
{
    begin();
    seen to = { 0 };
    tl_tap(root, tl_ids_const(root, TL_DIMS(2), ((int32_t[]){ 7, 8 })), look, &to);
    tl_tap(root, tl_scale(tl_full(root, TL_DIMS(2), 3), 2), look, &to);
    tl_plan *plan = compile();
    run(session, plan, NULL, 0);
    cr_assert(to.calls == 2 && to.first == 6);
    tl_plan_free(plan);
    end();
}
