/* tests/test_rows.c - the gradient of an embedding touches the rows that were used, and no others. */
#include "tests/support.h"

#include "layers/layers.h"
#include "optim/optim.h"

enum { V = 7, U = 2, N = 4 };

static tl_tensor loss_of(tl_scope *s, tl_tensor ids, bool tied)
{
    const tl_tensor x = tl_embedding(s, ids, .vocab = V, .units = U);
    tl_tensor loss = tl_sum(tl_square(x), TL_ALL), W;
    if (!tied) return loss;
    cr_assert(tl_params(s, "*/W", &W, 1) == 1);
    return tl_add(loss, tl_sum(W, TL_ALL)); /* reaches every row */
}

typedef struct world {
    tl_model *model;
    tl_session *session;
    tl_plan *sparse, *dense;
    int32_t ids[N];
} world;

static tl_plan *plan_of(tl_model *model, bool tied)
{
    tl_tape *tape = tl_tape_new(model);
    const tl_tensor ids = tl_input(tl_root(tape), "ids", IDS(NULL, N));
    tl_backward(loss_of(tl_root(tape), ids, tied));
    tl_plan *plan = tl_compile(tape);
    cr_assert(plan, "%s", tl_message());
    tl_tape_free(tape);
    return plan;
}

static world begin(void)
{
    world w = { .model = tl_model_new(.seed = 3) };
    w.sparse = plan_of(w.model, false);
    w.dense = plan_of(w.model, true);
    w.session = tl_session_new(w.model);
    return w;
}

static void end(world *w)
{
    tl_session_free(w->session);
    tl_plan_free(w->sparse);
    tl_plan_free(w->dense);
    tl_model_free(w->model);
    cr_assert(tl_live_bytes() == 0);
}

static tl_status run(world *w, bool dense, const int32_t ids[N])
{
    memcpy(w->ids, ids, sizeof w->ids);
    const tl_array in = IDS(w->ids, N);
    return tl_run(w->session, dense ? w->dense : w->sparse, &in, 1);
}

/* The gradient of the last run is 2 W for each use of a row, plus one everywhere if the loss was the dense one. */
static void right(const world *w, bool dense)
{
    const float *g = tl_session_read_gradients(w->session, NULL, NULL), *W = tl_model_values(w->model);
    for (int v = 0; v < V; v++)
        for (int u = 0; u < U; u++) {
            float want = 0;
            for (int i = 0; i < N; i++) want += w->ids[i] == v ? 2 * W[v * U + u] : 0;
            cr_assert(fabsf(g[v * U + u] - want - (float)dense) < 1e-6f, "row %d", v);
        }
}

static void rows_are(const world *w, int n, const int32_t *row)
{
    int64_t count = -1;
    const int32_t *r = tl_session_rows(w->session, 0, &count);
    cr_assert(r && count == n && !memcmp(r, row, (size_t)n * sizeof *r));
}

Test(rows, are_those_of_the_last_run_whatever_ran_before)
{
    world w = begin();
    const int32_t a[] = { 3, 1, 3, 6 }, b[] = { 0, 0, 0, 0 }, bad[] = { 5, 2, V, 1 };
    cr_assert(!tl_session_rows(w.session, 0, NULL));
    for (int round = 0; round < 3; round++) {
        cr_assert(run(&w, false, a) == TL_OK);
        right(&w, false);
        rows_are(&w, 3, (int32_t[]){ 1, 3, 6 });
        cr_assert(run(&w, false, b) == TL_OK);
        right(&w, false);
        rows_are(&w, 1, (int32_t[]){ 0 });
        cr_assert(run(&w, true, a) == TL_OK); /* another plan fills every row */
        right(&w, true);
        cr_assert(!tl_session_rows(w.session, 0, NULL));
        cr_assert(run(&w, false, b) == TL_OK);
        right(&w, false);
        cr_assert(run(&w, false, bad) == TL_E_INDEX);
        cr_assert(!tl_session_rows(w.session, 0, NULL));
        cr_assert(run(&w, false, a) == TL_OK);
        right(&w, false);
        float *g = tl_session_gradients(w.session, NULL, NULL); /* the caller may write anywhere */
        for (int i = 0; i < V * U; i++) g[i] = 9;
        cr_assert(!tl_session_rows(w.session, 0, NULL));
        cr_assert(run(&w, false, b) == TL_OK);
        right(&w, false);
    }
    cr_assert(!tl_session_rows(w.session, 1, NULL) && !tl_session_rows(NULL, 0, NULL));
    end(&w);
}

/* A mark in a row that no id names outlives a run: nothing has written there. */
Test(rows, no_other_row_is_written)
{
    world w = begin();
    const int32_t a[] = { 3, 1, 3, 6 };
    cr_assert(run(&w, false, a) == TL_OK);
    float *g = (float *)(uintptr_t)tl_session_read_gradients(w.session, NULL, NULL);
    g[4 * U] = 77;
    cr_assert(run(&w, false, a) == TL_OK && g[4 * U] == 77);
    g[4 * U] = 0;
    right(&w, false);
    end(&w);
}

Test(rows, a_run_allocates_nothing_after_the_first)
{
    world w = begin();
    const int32_t a[] = { 3, 1, 3, 6 }, b[] = { 0, 1, 2, 3 };
    cr_assert(run(&w, false, a) == TL_OK);
    const uint64_t allocations = tl_allocations();
    cr_assert(run(&w, false, b) == TL_OK && run(&w, false, a) == TL_OK);
    cr_assert(tl_allocations() == allocations);
    end(&w);
}

/* Adam moves a row that was used before by its momentum, a lazy one lets it wait. */
Test(rows, a_lazy_optimizer_leaves_unused_rows_and_their_moments)
{
    for (int lazy = 0; lazy < 2; lazy++) {
        world w = begin();
        const int32_t a[] = { 3, 1, 3, 6 }, b[] = { 0, 1, 2, 1 };
        float before[V * U];
        tl_optimizer *o = tl_optimizer_new(w.model, tl_adam(.lr = 0.1, .lazy = lazy));
        cr_assert(o && tl_optimizer_options(o).lazy == lazy);
        cr_assert(run(&w, false, a) == TL_OK && tl_optimizer_step(o, w.session) == TL_OK);
        memcpy(before, tl_model_values(w.model), sizeof before);
        cr_assert(run(&w, false, b) == TL_OK && tl_clip_global_norm(w.session, 0.01, NULL) == TL_OK);
        cr_assert(tl_optimizer_step(o, w.session) == TL_OK);
        const float *after = tl_model_values(w.model);
        for (int v = 0; v < V; v++) {
            const bool moved = v <= 2 || (!lazy && (v == 3 || v == 6));
            cr_assert((after[v * U] != before[v * U]) == moved, "row %d", v);
        }
        tl_optimizer_free(o);
        end(&w);
    }
}

/* Under any rule, a lazy optimizer gives rows that every run uses the bits that the plain one gives them, and leaves rows
 * that none uses as they were; so it does for gradients of several runs, where any of them may use a row. */
Test(rows, a_lazy_optimizer_is_the_plain_one_on_used_rows)
{
    const int32_t ids[2][N] = { { 3, 1, 3, 6 }, { 1, 0, 1, 1 } };
    for (int k = 0; k < 2 * TL_RPROP; k++) {
        float first[V * U], weights[2][V * U];
        const bool several = k & 1; /* rows 0, 1, 3 and 6 in each update; row 1 in each run */
        for (int lazy = 0; lazy < 2; lazy++) {
            world w = begin();
            tl_optimizer_desc d = tl_optimizer_defaults(1 + k / 2, TL_KERAS);
            d.lr = 0.1, d.lazy = lazy, d.weight_decay = 0.1, d.accumulate = several ? 2 : 1;
            tl_optimizer *o = tl_optimizer_new(w.model, d);
            cr_assert(o, "%s", tl_message());
            memcpy(first, tl_model_values(w.model), sizeof first);
            for (int t = 0; t < 6; t++)
                cr_assert(run(&w, false, ids[several && t % 2]) == TL_OK && tl_optimizer_step(o, w.session) == TL_OK);
            memcpy(weights[lazy], tl_model_values(w.model), sizeof *weights);
            tl_optimizer_free(o);
            end(&w);
        }
        for (int v = 0; v < V; v++) {
            const bool used = v == 1 || v == 3 || v == 6 || (several && v == 0);
            for (int u = v * U; u < v * U + U; u++)
                cr_assert(weights[1][u] == (used ? weights[0] : first)[u], "rule %d, row %d", 1 + k / 2, v);
            cr_assert(!used || weights[1][v * U] != first[v * U]);
        }
    }
}

/* An update goes by the rows of its own runs. */
Test(rows, a_lazy_optimizer_forgets_the_rows_of_the_update_before)
{
    const int32_t a[] = { 3, 1, 3, 6 }, b[] = { 1, 1, 1, 1 };
    float before[V * U];
    world w = begin();
    tl_optimizer *o = tl_optimizer_new(w.model, tl_sgd(.momentum = 0.9, .lazy = true, .accumulate = 2));
    for (int t = 0; t < 4; t++) {
        if (t == 2) memcpy(before, tl_model_values(w.model), sizeof before);
        cr_assert(run(&w, false, t < 2 ? a : b) == TL_OK && tl_optimizer_step(o, w.session) == TL_OK);
    }
    const float *after = tl_model_values(w.model);
    for (int v = 0; v < V; v++) cr_assert((after[v * U] != before[v * U]) == (v == 1), "row %d", v);
    tl_optimizer_free(o);
    end(&w);
}

/* Norm, clipping and a plain update go by the used rows as far as the others are zero: the same bits as by all. */
Test(rows, leaving_out_zeros_changes_no_bit)
{
    float weights[2][V * U];
    double norm[2];
    for (int all = 0; all < 2; all++) {
        world w = begin();
        const int32_t a[] = { 3, 1, 3, 6 };
        tl_optimizer *o = tl_optimizer_new(w.model, tl_adam(.lr = 0.1));
        for (int t = 0; t < 3; t++) {
            cr_assert(run(&w, false, a) == TL_OK);
            if (all) tl_session_gradients(w.session, NULL, NULL);
            cr_assert((tl_session_rows(w.session, 0, NULL) == NULL) == all);
            cr_assert(tl_clip_value(w.session, 0.9) == TL_OK);
            cr_assert(tl_clip_global_norm(w.session, 0.01, &norm[all]) == TL_OK);
            cr_assert(tl_optimizer_step(o, w.session) == TL_OK);
        }
        memcpy(weights[all], tl_model_values(w.model), sizeof *weights);
        tl_optimizer_free(o);
        end(&w);
    }
    cr_assert(norm[0] == norm[1] && !memcmp(weights[0], weights[1], sizeof *weights));
}

/* A frozen parameter between others, a table between others, and a batch without ids. */
Test(rows, spans_pass_over_tables_and_frozen_parameters)
{
    enum { SIZE = 2 + 3 + 1 + V * U + 1 };
    tl_model *model = tl_model_new();
    tl_plan *plan[2];
    for (int k = 0; k < 2; k++) {
        tl_tape *tape = tl_tape_new(model);
        tl_scope *s = tl_root(tape);
        tl_tensor loss = tl_sum(tl_param(s, "a", TL_DIMS(2)), TL_ALL);
        loss = tl_add(loss, tl_sum(tl_param(s, "b", TL_DIMS(3)), TL_ALL));
        loss = tl_add(loss, tl_sum(tl_param(s, "c", TL_DIMS(1)), TL_ALL));
        loss = tl_add(loss, loss_of(s, tl_input(s, "ids", IDS(NULL, k ? 0 : N)), false));
        loss = tl_add(loss, tl_sum(tl_param(s, "d", TL_DIMS(1)), TL_ALL));
        tl_backward(loss);
        plan[k] = tl_compile(tape);
        cr_assert(plan[k] && tl_model_size(model) == SIZE, "%s", tl_message());
        tl_tape_free(tape);
    }
    tl_session *session = tl_session_new(model);
    tl_optimizer *o = tl_optimizer_new(model, tl_sgd(.lr = 1, .lazy = true));
    float before[SIZE];
    tl_model_freeze(model, "b", true);
    for (int k = 0; k < 2; k++) {
        const tl_array in = IDS(((int32_t[]){ 1, 5, 5, 2 }), k ? 0 : N);
        memcpy(before, tl_model_values(model), sizeof before);
        cr_assert(tl_run(session, plan[k], &in, 1) == TL_OK, "%s", tl_message());
        double norm;
        cr_assert(tl_clip_global_norm(session, INFINITY, &norm) == TL_OK && tl_optimizer_step(o, session) == TL_OK);
        const float *after = tl_model_values(model), *g = tl_session_read_gradients(session, NULL, NULL);
        double square = 0;
        for (int i = 0; i < SIZE; i++) {
            const bool frozen = i >= 2 && i < 5;
            square += (double)g[i] * g[i];
            cr_assert(after[i] == (frozen ? before[i] : before[i] - g[i]), "element %d", i);
        }
        cr_assert(fabs(norm - sqrt(square)) < 1e-12 && square >= 6);
    }
    tl_optimizer_free(o);
    tl_session_free(session);
    for (int k = 0; k < 2; k++) tl_plan_free(plan[k]);
    tl_model_free(model);
    cr_assert(tl_live_bytes() == 0);
}

/* What a caller writes into the gradients is learned, in whichever row. */
Test(rows, are_not_known_once_the_gradients_may_have_been_written)
{
    world w = begin();
    const int32_t a[] = { 3, 1, 3, 6 };
    const float before = ((const float *)tl_model_values(w.model))[0];
    tl_optimizer *o = tl_optimizer_new(w.model, tl_adam(.lr = 0.1, .lazy = true));
    cr_assert(run(&w, false, a) == TL_OK && tl_session_rows(w.session, 0, NULL));
    ((float *)tl_session_gradients(w.session, NULL, NULL))[0] = 1;
    cr_assert(!tl_session_rows(w.session, 0, NULL));
    cr_assert(tl_optimizer_step(o, w.session) == TL_OK && ((const float *)tl_model_values(w.model))[0] < before);
    tl_optimizer_free(o);
    end(&w);
}

/* Two gathers of one table add up, in one go where passes may. */
Test(rows, a_table_gathered_twice_adds_up)
{
    tl_model *model = tl_model_new();
    tl_tape *tape = tl_tape_new(model);
    tl_scope *s = tl_root(tape);
    const tl_tensor ids = tl_input(s, "ids", IDS(NULL, N));
    tl_tensor loss = loss_of(s, ids, false);
    loss = tl_add(loss, loss_of(tl_again(s), tl_flip(ids, 0), false));
    tl_backward(loss);
    tl_plan *plan = tl_compile(tape);
    tl_tape_free(tape);
    tl_session *session = tl_session_new(model);
    const tl_array in = IDS(((int32_t[]){ 1, 5, 5, 2 }), N);
    cr_assert(tl_run(session, plan, &in, 1) == TL_OK && tl_run(session, plan, &in, 1) == TL_OK);
    const float *g = tl_session_read_gradients(session, NULL, NULL), *W = tl_model_values(model);
    for (int i = 0; i < V * U; i++) {
        const float uses = i / U == 5 ? 4 : i / U == 1 || i / U == 2 ? 2 : 0;
        cr_assert(fabsf(g[i] - 2 * uses * W[i]) < 1e-6f);
    }
    int64_t n = 0;
    const int32_t *rows = tl_session_rows(session, 0, &n);
    cr_assert(rows && n == 3);
    tl_session_free(session);
    tl_plan_free(plan);
    tl_model_free(model);
}
