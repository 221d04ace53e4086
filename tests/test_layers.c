/* tests/test_layers.c - layers of a step or of a whole sequence: dense, dropout, gate. */
#include "layers_support.h"

/* ---- dense ------------------------------------------------------------------------------------------------------ */

typedef struct dense_case {
    int64_t units;
    bool no_bias;
    tl_activation activation;
} dense_case;

static tl_tensor dense_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const dense_case *c = user;
    return tl_dense(s, in[0], .units = c->units, .no_bias = c->no_bias, .activation = c->activation);
}

static void dense_values(int rank, const int64_t *dim, bool no_bias)
{
    dense_case c = { 3, no_bias, NULL };
    tl_model *model = tl_model_new(.dtype = TL_F64);
    const tl_array x = floats(TL_F64, rank, dim, 5);
    const int64_t D = dim[rank - 1];
    must_run(model, dense_fn, &x, 1, &c, 0);
    stir(model, 8);
    const result r = must_run(model, dense_fn, &x, 1, &c, 0);
    cr_assert(tl_model_count(model) == 2 - no_bias && r.shape.rank == rank && r.shape.dim[rank - 1] == 3);
    for (int a = 0; a < rank - 1; a++) cr_assert(r.shape.dim[a] == dim[a]);
    const double *W = param(model, "dense/W"), *b = no_bias ? NULL : param(model, "dense/b"), *xv = x.data;
    for (int64_t i = 0; i < r.n; i++) {
        double y = b ? b[i % 3] : 0;
        for (int64_t k = 0; k < D; k++) y += xv[i / 3 * D + k] * W[k * 3 + i % 3];
        close_to(&r.y[i], &y, 1, 1e-14, 1e-14, "y"); /* rounding of a sum of 5 products */
    }
    tl_model_free(model);
}

Test(dense, acts_on_the_last_axis_of_any_rank)
{
    for (int no_bias = 0; no_bias < 2; no_bias++) {
        dense_values(TL_DIMS(4), no_bias);
        dense_values(TL_DIMS(2, 4), no_bias);
        dense_values(TL_DIMS(2, 3, 4), no_bias);
        dense_values(TL_DIMS(2, 1, 3, 4), no_bias);
        dense_values(TL_DIMS(2, 0, 4), no_bias);
    }
}

Test(dense, applies_its_activation)
{
    dense_case plain = { 3, false, NULL }, with = { 3, false, tl_relu };
    tl_model *model = tl_model_new(.dtype = TL_F64);
    const tl_array x = F64(5, 4, 2);
    const result a = must_run(model, dense_fn, &x, 1, &plain, 0), b = must_run(model, dense_fn, &x, 1, &with, 0);
    int below = 0;
    for (int i = 0; i < 12; i++) {
        below += a.y[i] < 0;
        cr_assert(b.y[i] == fmax(a.y[i], 0));
    }
    cr_assert(below > 0);
    tl_model_free(model);
}

Test(dense, refuses_what_makes_no_sense)
{
    FAILS(TL_E_ARGUMENT, ".units is missing", tl_dense(r.s, r.x));
    FAILS(TL_E_ARGUMENT, ".units = -2", tl_dense(r.s, r.x, .units = -2));
    FAILS(TL_E_ARGUMENT, "dense: .units = 0 must be at least 1", tl_dense(r.s, r.x, .units = TL_ZERO));
    FAILS(TL_E_ABSENT, "dense: x is absent", tl_dense(r.s, TL_NONE, .units = 2));
    FAILS(TL_E_SHAPE, "rank 0", tl_dense(r.s, tl_full(r.s, TL_SCALAR, 1), .units = 2));
    FAILS(TL_E_DTYPE, "i32", tl_dense(r.s, r.ids, .units = 2));
    FAILS(TL_E_ARGUMENT, ".size", tl_dense_opt(TL_HERE, r.s, r.x, &(tl_dense_opts){ .units = 2 }));
    FAILS(TL_E_ABSENT, "absent", tl_dense(r.s, tl_relu(TL_NONE), .units = 2));
}

/* A program built when the struct ended earlier: what it does not know keeps its default. */
Test(dense, takes_shorter_options_of_older_programs)
{
    recording r = start_recording(false);
    tl_dense_opts o = { .size = offsetof(tl_dense_opts, no_bias), .units = 2, .no_bias = true, .activation = tl_relu };
    tl_dense_opt(TL_HERE, r.s, r.x, &o);
    tl_plan *plan = tl_compile(r.tape);
    cr_assert(tl_failed(r.tape) == false, "%s", tl_tape_message(r.tape));
    cr_assert(tl_tape_nodes(r.tape) > 0 && tl_model_find(tl_tape_model(r.tape), "dense/b") >= 0);
    tl_plan_free(plan);
    end_recording(r);
}

/* ---- dropout ---------------------------------------------------------------------------------------------------- */

static tl_tensor dropout_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const tl_dropout_opts *o = user;
    return tl_dropout(s, in[0], .rate = o->rate, .shared = o->shared, .name = o->name);
}

Test(dropout, is_x_itself_outside_training_and_at_rate_zero)
{
    recording e = start_recording(false), t = start_recording(true);
    cr_assert(tl_is(tl_dropout(e.s, e.x, .rate = 0.5), e.x));
    cr_assert(tl_is(tl_dropout(t.s, t.x), t.x));
    cr_assert(tl_is(tl_dropout(t.s, t.x, .rate = TL_ZERO), t.x));
    cr_assert(!tl_is(tl_dropout(t.s, t.x, .rate = 0.5), t.x));
    cr_assert(!tl_failed(t.tape) && !tl_failed(e.tape));
    end_recording(e);
    end_recording(t);
}

/* 10,000 elements: the share that is dropped has deviation 0.0046. */
Test(dropout, drops_its_share_and_scales_the_rest)
{
    tl_model *model = tl_model_new(.dtype = TL_F64);
    tl_dropout_opts o = { .rate = 0.3 };
    const tl_array x = F64(3, 100, 100);
    const result r = must_run(model, dropout_fn, &x, 1, &o, TRAINING);
    double dropped = 0;
    for (int i = 0; i < 10000; i++) {
        dropped += r.y[i] == 0;
        const double kept = ((double *)x.data)[i] * (1 / 0.7);
        cr_assert(r.y[i] == 0 || fabs(r.y[i] - kept) <= 4e-16 * fabs(kept), "%d: %.17g", i, r.y[i]); /* 2 roundings */
    }
    cr_assert(fabs(dropped / 10000 - 0.3) < 0.023, "%g dropped", dropped);
    tl_model_free(model);
}

Test(dropout, one_mask_for_a_shared_axis)
{
    tl_model *model = tl_model_new();
    tl_dropout_opts over_time = { .rate = 0.5, .shared = 1u << 0 }, over_features = { .rate = 0.5, .shared = 1u << 2 };
    tl_array x = F32(3, 6, 5, 8);
    for (int i = 0; i < 240; i++) ((float *)x.data)[i] = 1;
    const result a = must_run(model, dropout_fn, &x, 1, &over_time, TRAINING);
    const result b = must_run(model, dropout_fn, &x, 1, &over_features, TRAINING);
    int differ_a = 0, differ_b = 0;
    for (int i = 0; i < 240; i++) {
        cr_assert(a.y[i] == a.y[i % 40]);
        cr_assert(b.y[i] == b.y[i / 8 * 8]);
        differ_a += a.y[i % 40] != a.y[0];
        differ_b += b.y[i / 8 * 8] != b.y[0];
    }
    cr_assert(differ_a && differ_b);
    tl_model_free(model);
}

static tl_tensor two_dropouts(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor y[] = { tl_dropout(s, in[0], .rate = 0.5), tl_dropout(s, in[0], .rate = 0.5) };
    return tl_stack(2, y, 0);
}

Test(dropout, each_call_and_each_run_has_its_own_mask)
{
    tl_model *model = tl_model_new();
    const tl_array x = F32(3, 10, 10);
    tl_tape *tape = tl_tape_new(model, .training = true);
    const tl_tensor in = tl_input(tl_root(tape), "x", x);
    tl_output(tl_root(tape), "y", two_dropouts(tl_root(tape), &in, NULL));
    tl_plan *plan = tl_compile(tape);
    tl_session *session = tl_session_new(model);
    float first[200];
    tl_array y;
    cr_assert(!tl_run(session, plan, &x, 1) && !tl_get(session, "y", &y), "%s", tl_message());
    memcpy(first, y.data, sizeof first);
    cr_assert(memcmp(first, first + 100, sizeof first / 2), "two calls share a mask");
    cr_assert(!tl_run(session, plan, &x, 1) && !tl_get(session, "y", &y));
    cr_assert(memcmp(first, y.data, sizeof first), "two runs share a mask");
    tl_session_set_runs(session, 0);
    cr_assert(!tl_run(session, plan, &x, 1) && !tl_get(session, "y", &y));
    cr_assert(!memcmp(first, y.data, sizeof first), "the same run has another mask");
    tl_session_free(session);
    tl_plan_free(plan);
    tl_tape_free(tape);
    tl_model_free(model);
}

static tl_tensor dropout_after_another(tl_scope *s, const tl_tensor *in, void *user)
{
    tl_dropout(s, in[0], .rate = 0.5);
    return dropout_fn(s, in, user);
}

Test(dropout, a_name_keeps_the_mask_when_others_come_and_go)
{
    tl_model *model = tl_model_new();
    tl_dropout_opts named = { .rate = 0.5, .name = "drop" }, unnamed = { .rate = 0.5 };
    const tl_array x = F32(3, 10, 10);
    same_bits(must_run(model, dropout_fn, &x, 1, &named, TRAINING),
              must_run(model, dropout_after_another, &x, 1, &named, TRAINING));
    const result a = must_run(model, dropout_fn, &x, 1, &unnamed, TRAINING);
    const result b = must_run(model, dropout_after_another, &x, 1, &unnamed, TRAINING);
    cr_assert(memcmp(a.y, b.y, 100 * sizeof *a.y));
    tl_model_free(model);
}

Test(dropout, refuses_what_makes_no_sense)
{
    FAILS(TL_E_ARGUMENT, ".rate = -0.1", tl_dropout(r.s, r.x, .rate = -0.1));
    FAILS(TL_E_ARGUMENT, ".rate = 1", tl_dropout(r.s, r.x, .rate = 1));
    FAILS(TL_E_ARGUMENT, "nan", tl_dropout(r.s, r.x, .rate = NAN));
    FAILS(TL_E_ARGUMENT, ".shared = 0x8", tl_dropout(r.s, r.x, .rate = 0.5, .shared = 1u << 3));
    FAILS(TL_E_ABSENT, "x is absent", tl_dropout(r.s, TL_NONE, .rate = 0.5));
}

/* ---- gate ------------------------------------------------------------------------------------------------------- */

typedef struct gate_case {
    bool x, h, no_bias, recurrent_bias;
} gate_case;

static tl_tensor gate_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const gate_case *c = user;
    return tl_gate(s, "g", c->x ? in[0] : TL_NONE, c->h ? in[1] : TL_NONE, .units = 3, .no_bias = c->no_bias,
                   .recurrent_bias = c->recurrent_bias);
}

/* The documented chain: b + br, then x W, then h U, each product added by one fused multiply-add. */
static float gate_chain(tl_model *model, const gate_case *c, const float *x, const float *h, int i)
{
    const double *W = c->x ? param(model, "g/W") : NULL, *U = c->h ? param(model, "g/U") : NULL;
    const float b = c->no_bias ? 0 : (float)param(model, "g/b")[i % 3];
    float z = c->recurrent_bias ? b + (float)param(model, "g/br")[i % 3] : b;
    for (int k = 0; c->x && k < 4; k++) z = fmaf(x[i / 3 * 4 + k], (float)W[k * 3 + i % 3], z);
    for (int k = 0; c->h && k < 5; k++) z = fmaf(h[i / 3 * 5 + k], (float)U[k * 3 + i % 3], z);
    return z;
}

Test(gate, is_one_chain_of_multiply_adds_in_the_documented_order)
{
    tl_set_exact(true);
    for (int k = 0; k < 16; k++) {
        gate_case c = { k & 1, k & 2, k & 4, k & 8 };
        if (!c.x && !c.h) continue;
        tl_model *model = tl_model_new();
        const tl_array in[] = { F32(1, 2, 4), F32(2, 2, 5) };
        must_run(model, gate_fn, in, 2, &c, 0);
        cr_assert(tl_model_count(model) == c.x + c.h + !c.no_bias + c.recurrent_bias);
        stir(model, 4);
        const result r = must_run(model, gate_fn, in, 2, &c, 0);
        cr_assert(r.shape.rank == 2 && r.shape.dim[0] == 2 && r.shape.dim[1] == 3);
        for (int i = 0; i < 6; i++) {
            const double z = gate_chain(model, &c, in[0].data, in[1].data, i);
            cr_assert(r.y[i] == z, "case %d: y[%d] = %.9g, expected %.9g", k, i, r.y[i], z);
        }
        tl_model_free(model);
    }
}

Test(gate, rows_may_stand_under_any_axes)
{
    gate_case c = { true, true, false, false };
    tl_model *model = tl_model_new();
    tl_array in[] = { F32(1, 2, 3, 4), F32(2, 2, 3, 5) };
    result deep = must_run(model, gate_fn, in, 2, &c, 0);
    cr_assert(deep.shape.rank == 3 && deep.shape.dim[0] == 2 && deep.shape.dim[1] == 3 && deep.shape.dim[2] == 3);
    for (int k = 0; k < 2; k++) in[k] = (tl_array){ in[k].dtype, 2, { 6, 4 + k }, 0, in[k].data };
    same_bits(deep, must_run(model, gate_fn, in, 2, &c, 0));
    tl_model_free(model);
}

static tl_tensor gate_in_place(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    return tl_gate(s, NULL, in[0], in[1], .bias = -0.5, .kernel_init = tl_constant(2),
                   .recurrent_init = tl_constant(3));
}

Test(gate, without_a_name_and_with_chosen_initial_values)
{
    tl_model *model = tl_model_new();
    const tl_array in[] = { F32(1, 2, 4), F32(2, 2, 5) };
    const result r = must_run(model, gate_in_place, in, 2, NULL, 0);
    cr_assert(r.shape.dim[1] == 5, "units are h's");
    cr_assert(param(model, "b")[4] == -0.5 && param(model, "W")[19] == 2 && param(model, "U")[24] == 3);
    tl_model_free(model);
}

Test(gate, refuses_what_makes_no_sense)
{
    FAILS(TL_E_ABSENT, "both absent", tl_gate(r.s, "g", TL_NONE, TL_NONE, .units = 3));
    FAILS(TL_E_ARGUMENT, ".units is missing", tl_gate(r.s, "g", r.x, TL_NONE));
    FAILS(TL_E_ARGUMENT, ".units = -1", tl_gate(r.s, "g", r.x, TL_NONE, .units = -1));
    FAILS(TL_E_ARGUMENT, ".bias = nan", tl_gate(r.s, "g", r.x, r.x, .bias = NAN));
    FAILS(TL_E_ARGUMENT, ".gates = -4", tl_gate(r.s, "g", r.x, r.x, .gates = -4));
    FAILS(TL_E_SHAPE, "x [3,2,4] and h [2,3,4]",
          tl_gate(r.s, "g", r.x, tl_full(r.s, TL_DIMS(2, 3, 4), 1))); /* as many rows, but others */
    FAILS(TL_E_SHAPE, "x [3,2,4] and h [2,4]", tl_gate(r.s, "g", r.x, tl_full(r.s, TL_DIMS(2, 4), 1)));
    FAILS(TL_E_ABSENT, "absent", tl_gate(r.s, "g", tl_relu(TL_NONE), r.x));
    FAILS(TL_E_DTYPE, " in g: ", tl_gate(r.s, "g", r.ids, TL_NONE, .units = 2));
}

/* ---- gradients ----------------------------------------------------------------------------------------------------- */

static tl_tensor smooth_dense(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor y = tl_dense(s, in[0], .units = 3, .activation = tl_tanh);
    return tl_mse(tl_dense(s, y, .units = 2, .name = "out", .no_bias = true), in[1]);
}

static tl_tensor embed_and_classify(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    return tl_cross_entropy(tl_embedding(s, in[0], .vocab = 5, .units = 5), in[0]);
}

static tl_tensor dropped(tl_scope *s, const tl_tensor *in, void *user)
{
    const tl_tensor x = tl_dropout(s, in[0], .rate = 0.4);
    const tl_tensor y = tl_dense(s, x, .units = 3, .activation = tl_sigmoid);
    return tl_sum(tl_square(tl_dropout(s, y, .rate = 0.4, .shared = *(unsigned *)user)), TL_ALL);
}

Test(gradients, of_dense_embedding_dropout_and_losses)
{
    unsigned shared = 1;
    const tl_array x[] = { F32(1, 3, 2, 4), F32(2, 3, 2, 2) };
    const tl_array ids = ids_of(TL_DIMS(3, 2), (int32_t[]){ 4, 0, 2, 2, 1, 4 });
    checked(tl_model_new(), smooth_dense, x, 2, NULL, false);
    checked(tl_model_new(), embed_and_classify, &ids, 1, NULL, false);
    checked(tl_model_new(), dropped, x, 1, &shared, true);
}
