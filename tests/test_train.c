/* tests/test_train.c - trainer, its plans and their proof; progress, summary, saving and loading. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tapeloop.h"

static void says(const char *words)
{
    cr_assert(strstr(tl_message(), words), "'%s' does not say '%s'", tl_message(), words);
}

#define GOOD(call)                                                                                                     \
    do {                                                                                                               \
        const tl_status status_ = (call);                                                                              \
        cr_assert(!status_, "%s: %s", #call, tl_message());                                                            \
    } while (0)

static double noise(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-52 - 1;
}

/* ---- a tiny task: the next symbol of 0 1 2 3 4 0 1 2 ... ------------------------------------------------------ */

enum { T = 5, B = 2, V = 5 };
static int32_t ids[T * B], next_ids[T * B];

static void fill(int32_t at)
{
    for (int t = 0; t < T; t++)
        for (int b = 0; b < B; b++) {
            ids[t * B + b] = (at + t + b) % V;
            next_ids[t * B + b] = (at + t + b + 1) % V;
        }
}

static tl_array sequence(int64_t steps, int32_t *data)
{
    return (tl_array){ .dtype = TL_I32, .rank = 2, .dim = { steps, B }, .data = data };
}

/* user: how often it was called, or NULL. */
static tl_tensor counting(tl_scope *s, const tl_tensor *in, void *user)
{
    if (user) ++*(int *)user;
    tl_tensor h = tl_embedding(s, in[0], .vocab = V, .units = 4);
    h = tl_lstm(s, h, .units = 6, .return_sequences = true, .stateful = true);
    tl_tensor z = tl_dense(s, tl_dropout(s, h, .rate = 0.1), .units = V);
    tl_output(s, "logits", z);
    return tl_cross_entropy(z, in[1]);
}

static double train(tl_trainer *t, int steps)
{
    const tl_array in[2] = { sequence(T, ids), sequence(T, next_ids) };
    double loss = NAN;
    for (int i = 0; i < steps; i++) {
        fill(5 * i);
        GOOD(tl_train_step(t, in, 2, &loss));
    }
    return loss;
}

Test(trainer, makes_the_loss_fall)
{
    for (tl_dtype d = TL_F32; d <= TL_F64; d++) {
        const tl_optimizer_desc rules[] = { tl_adam(.lr = 0.02), tl_rmsprop(.lr = 0.01),
                                            tl_sgd(.lr = 0.5, .momentum = 0.8) };
        for (int k = 0; k < 3; k++) {
            tl_model *m = tl_model_new(.dtype = d, .seed = 7);
            tl_trainer *t = tl_trainer_new(m, counting, .optimizer = rules[k], .clip_norm = 1, .clip_value = TL_ZERO);
            const double first = train(t, 1), last = train(t, 200);
            cr_assert(first > 1.4 && last < 0.3, "rule %d: %g, then %g", k, first, last);
            cr_assert(tl_optimizer_steps(tl_trainer_optimizer(t)) == 201);
            cr_assert(tl_trainer_norm(t) > 0);
            tl_trainer_free(t);
            tl_model_free(m);
        }
    }
    cr_assert(tl_live_bytes() == 0);
}

Test(trainer, gives_the_same_numbers_for_the_same_seed)
{
    double loss[2];
    for (int k = 0; k < 2; k++) {
        tl_model *m = tl_model_new(.seed = 3);
        tl_trainer *t = tl_trainer_new(m, counting);
        loss[k] = train(t, 30);
        tl_trainer_free(t);
        tl_model_free(m);
    }
    cr_assert(loss[0] == loss[1]);
}

/* ---- plans ---------------------------------------------------------------------------------------------------- */

Test(trainer, records_at_powers_of_two_and_replays_between)
{
    int calls = 0;
    tl_model *m = tl_model_new();
    tl_trainer *t = tl_trainer_new(m, counting, .user = &calls);
    const int want[] = { 1, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 6 }; /* after steps 1, 2, 3 ... */
    for (int i = 0; i < 17; i++) {
        train(t, 1);
        cr_assert(calls == want[i], "%d calls after %d steps", calls, i + 1);
    }
    cr_assert(tl_trainer_plans(t) == 1);
    tl_trainer_free(t);
    tl_model_free(m);
}

Test(trainer, keeps_a_plan_for_each_shape_key_mode_and_frozen_set)
{
    int calls = 0;
    tl_model *m = tl_model_new();
    tl_trainer *t = tl_trainer_new(m, counting, .user = &calls);
    const tl_array in[2] = { sequence(T, ids), sequence(T, next_ids) };
    const tl_array brief[2] = { sequence(2, ids), sequence(2, next_ids) };
    const tl_array alone[2] = { sequence(T, ids), TL_ABSENT_ARRAY };
    GOOD(tl_train_step(t, in, 2, NULL));
    GOOD(tl_train_step(t, brief, 2, NULL));
    GOOD(tl_test_step(t, in, 2, NULL));
    GOOD(tl_predict_step(t, in, 2));
    GOOD(tl_predict_step(t, alone, 2));
    cr_assert(tl_trainer_plans(t) == 5 && calls == 5);
    tl_trainer_set_key(t, 9);
    GOOD(tl_train_step(t, in, 2, NULL));
    cr_assert(tl_trainer_plans(t) == 6 && calls == 6);
    tl_trainer_set_key(t, 0);
    tl_model_freeze(m, "dense/*", true);
    GOOD(tl_train_step(t, in, 2, NULL));
    cr_assert(tl_trainer_plans(t) == 7 && calls == 7);
    tl_model_freeze(m, "dense/*", false);
    GOOD(tl_train_step(t, in, 2, NULL)); /* the first plan again, and its proof */
    cr_assert(tl_trainer_plans(t) == 7 && calls == 8);
    tl_trainer_free(t);
    tl_model_free(m);
}

/* ---- ragged batches ---- */

enum { LONG = 24, ROWS = 3 };

/* in[0]: ids [T, B]; in[1]: the next ones; in[2]: lengths or mask; in[3]: numbers [T, B, 2]. */
static tl_tensor ragged(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor x = tl_embedding(s, in[0], .vocab = V, .units = 4);
    x = tl_masked(tl_concat(2, (tl_tensor[]){ x, in[3] }, 2), in[2]);
    x = tl_bidirectional(s, x, tl_lstm_cell(s), .units = 5, .return_sequences = true);
    x = tl_gru(s, tl_dropout(s, x, .rate = 0.2), .units = 5, .return_sequences = true);
    return tl_cross_entropy(tl_dense(s, x, .units = V), in[1]);
}

typedef struct batch {
    int32_t x[LONG * ROWS], y[LONG * ROWS], length[ROWS];
    float mask[LONG * ROWS], more[LONG * ROWS * 2];
    tl_array in[4];
} batch;

/* Of `steps` steps, the longest row having `longest`. What stands in the padding is no number. */
static void make_batch(batch *b, int steps, int longest, bool mask, uint64_t *state)
{
    for (int r = 0; r < ROWS; r++) b->length[r] = r == 1 ? longest : (int)(longest * fabs(noise(state)));
    for (int i = 0; i < steps * ROWS; i++) {
        const bool real = i / ROWS < b->length[i % ROWS];
        b->mask[i] = real;
        b->x[i] = real ? 1 + (int32_t)(fabs(noise(state)) * (V - 1)) : 1;
        b->y[i] = real ? (int32_t)(fabs(noise(state)) * V) : 0;
        for (int k = 0; k < 2; k++) b->more[2 * i + k] = real ? (float)noise(state) : NAN;
    }
    b->in[0] = tl_array_of(TL_I32, TL_DIMS(steps, ROWS), b->x);
    b->in[1] = tl_array_of(TL_I32, TL_DIMS(steps, ROWS), b->y);
    b->in[2] = mask ? tl_array_of(TL_F32, TL_DIMS(steps, ROWS), b->mask)
                    : tl_array_of(TL_I32, TL_DIMS(ROWS), b->length);
    b->in[3] = tl_array_of(TL_F32, TL_DIMS(steps, ROWS, 2), b->more);
}

/* Batches of 24 kinds share the plans of 4, 8, ... 24 steps, and nobody could tell from the numbers. */
Test(trainer, ragged_batches_share_plans_and_change_no_bit)
{
    tl_set_exact(true);
    for (int mask = 0; mask < 2; mask++) {
        tl_model *m[2];
        tl_trainer *t[2];
        for (int k = 0; k < 2; k++) {
            m[k] = tl_model_new(.seed = 5);
            t[k] = tl_trainer_new(m[k], ragged, .clip_norm = 1, .lengths = k ? 2 : 0);
        }
        uint64_t state = 3;
        for (int i = 0; i < 60; i++) {
            static batch b;
            const int steps = 1 + (7 * i) % LONG, longest = i % 3 ? steps : 1 + steps / 2;
            make_batch(&b, steps, longest, mask, &state);
            double loss[2], test[2];
            for (int k = 0; k < 2; k++) {
                GOOD(tl_train_step(t[k], b.in, 4, &loss[k]));
                GOOD(tl_test_step(t[k], b.in, 4, &test[k]));
            }
            cr_assert(loss[0] == loss[1] && test[0] == test[1], "step %d: %.9g and %.9g", i, loss[0], loss[1]);
            const void *g[2];
            for (int k = 0; k < 2; k++) g[k] = tl_session_gradients(tl_trainer_session(t[k], TL_TRAIN), NULL, NULL);
            const size_t bytes = (size_t)tl_model_size(m[0]) * sizeof(float);
            cr_assert(!memcmp(g[0], g[1], bytes), "gradients of step %d", i);
            cr_assert(!memcmp(tl_model_values(m[0]), tl_model_values(m[1]), bytes), "parameters after step %d", i);
        }
        cr_assert(tl_trainer_plans(t[0]) == 2 * LONG, "%d", tl_trainer_plans(t[0]));
        cr_assert(tl_trainer_plans(t[1]) == 2 * LONG / 4, "%d", tl_trainer_plans(t[1]));
        for (int k = 0; k < 2; k++) {
            tl_trainer_free(t[k]);
            tl_model_free(m[k]);
        }
    }
    tl_set_exact(false);
    cr_assert(tl_live_bytes() == 0);
}

Test(trainer, a_bucket_uses_no_other_ids_and_allocates_nothing_more)
{
    tl_model *m = tl_model_new();
    tl_trainer *t = tl_trainer_new(m, ragged, .lengths = 2);
    static batch b;
    uint64_t state = 3, allocations = 0;
    for (int i = 0; i < 4; i++) {
        make_batch(&b, 24 - i % 2, 21 + i % 2, false, &state);
        GOOD(tl_train_step(t, b.in, 4, NULL));
        int64_t n;
        const int32_t *row = tl_session_rows(tl_trainer_session(t, TL_TRAIN), 0, &n);
        cr_assert(row && n && row[0] != 0); /* no id of these batches is 0 */
        cr_assert(i < 2 || tl_allocations() == allocations);
        allocations = tl_allocations();
    }
    GOOD(tl_predict_step(t, b.in, 4));
    b.length[0] = 25;
    cr_assert(tl_train_step(t, b.in, 4, NULL) == TL_E_INDEX);
    says("length 25");
    b.in[0].data = NULL;
    cr_assert(tl_train_step(t, b.in, 4, NULL) == TL_E_INPUT);
    says("in[0] has no numbers");
    b.in[2] = tl_array_of(TL_F32, TL_DIMS(ROWS), b.mask);
    cr_assert(tl_train_step(t, b.in, 4, NULL) == TL_E_INPUT);
    says("in[2] should tell which steps are real");
    cr_assert(!tl_trainer_new(m, ragged, .lengths = -1));
    says(".lengths may not be negative");
    tl_trainer_free(t);
    tl_model_free(m);
    cr_assert(tl_live_bytes() == 0);
}

Test(trainer, drops_the_plan_not_used_for_longest)
{
    int calls = 0;
    tl_model *m = tl_model_new();
    tl_trainer *t = tl_trainer_new(m, counting, .user = &calls, .plans = 2);
    const tl_array a[2] = { sequence(1, ids), sequence(1, next_ids) },
                   b[2] = { sequence(2, ids), sequence(2, next_ids) };
    const tl_array c[2] = { sequence(3, ids), sequence(3, next_ids) };
    fill(0);
    GOOD(tl_test_step(t, a, 2, NULL));
    GOOD(tl_test_step(t, b, 2, NULL));
    GOOD(tl_test_step(t, a, 2, NULL)); /* and a proof */
    GOOD(tl_test_step(t, c, 2, NULL)); /* b goes */
    cr_assert(tl_trainer_plans(t) == 2 && calls == 4);
    GOOD(tl_test_step(t, a, 2, NULL)); /* and a proof */
    cr_assert(calls == 5);
    GOOD(tl_test_step(t, b, 2, NULL)); /* c goes */
    cr_assert(tl_trainer_plans(t) == 2 && calls == 6);
    tl_trainer_free(t);
    tl_model_free(m);
    cr_assert(tl_live_bytes() == 0);
}

/* ---- the proof ------------------------------------------------------------------------------------------------- */

/* Teacher forcing with coins, one a time step, tossed while recording. */
static tl_tensor coin_toss(tl_scope *s, const tl_tensor *in, void *user)
{
    uint64_t *coins = user;
    tl_tensor h = tl_full(s, TL_DIMS(B, 3), 0);
    for (int64_t t = 0; t < 8; t++) {
        tl_scope *step = tl_step(tl_in(s, "cell"), t);
        tl_tensor x = noise(coins) < 0 ? tl_at(in[0], t) : h;
        h = tl_tanh(tl_gate(step, "g", x, h));
    }
    return tl_mse(h, in[1]);
}

static tl_array floats(int rank, int64_t a, int64_t b, int64_t c, float *data)
{
    return (tl_array){ .dtype = TL_F32, .rank = rank, .dim = { a, b, c }, .data = data };
}

Test(trainer, refuses_a_function_that_tosses_coins)
{
    static float x[8 * B * 3], y[B * 3];
    uint64_t coins = 1;
    tl_model *m = tl_model_new();
    tl_trainer *t = tl_trainer_new(m, coin_toss, .user = &coins);
    const tl_array in[2] = { floats(3, 8, B, 3, x), floats(2, B, 3, 0, y) };
    GOOD(tl_train_step(t, in, 2, NULL));
    const float before = *(float *)tl_model_values(m);
    double loss;
    cr_assert(tl_train_step(t, in, 2, &loss) == TL_E_REPLAY, "%s", tl_message());
    says("test_train.c");
    cr_assert(isnan(loss) && *(float *)tl_model_values(m) == before &&
              tl_optimizer_steps(tl_trainer_optimizer(t)) == 1);
    cr_assert(tl_train_step(t, in, 2, &loss) == TL_E_REPLAY, "and goes on refusing it");
    tl_trainer_free(t);
    tl_model_free(m);
    cr_assert(tl_live_bytes() == 0);
}

/* A number that changes from run to run, frozen into the plan as an attribute. */
static tl_tensor scheduled(tl_scope *s, const tl_tensor *in, void *user)
{
    double *rate = user;
    *rate *= 0.5;
    return tl_mean(tl_square(tl_scale(tl_mul(in[0], tl_param(s, "w", TL_DIMS(3))), *rate)), TL_ALL);
}

Test(trainer, refuses_a_number_that_changes)
{
    float x[3] = { 1, 2, 3 };
    double rate = 1;
    tl_model *m = tl_model_new();
    tl_trainer *t = tl_trainer_new(m, scheduled, .user = &rate);
    const tl_array in = floats(1, 3, 0, 0, x);
    GOOD(tl_train_step(t, &in, 1, NULL));
    cr_assert(tl_train_step(t, &in, 1, NULL) == TL_E_REPLAY);
    tl_trainer_free(t);
    tl_model_free(m);
}

/* Doubles its input until the sum exceeds 10: another number of steps for other numbers. */
static tl_tensor looking(tl_scope *s, const tl_tensor *in, void *user)
{
    ++*(int *)user;
    tl_tensor x = tl_mul(in[0], tl_param(s, "w", TL_DIMS(3), .init = tl_ones()));
    while (tl_eval(tl_sum(x, TL_ALL)) < 10 && !tl_failed(tl_scope_tape(s))) x = tl_scale(x, 2);
    tl_output(s, "x", x);
    return tl_mean(x, TL_ALL);
}

Test(trainer, records_anew_for_a_function_that_looks_at_values)
{
    int calls = 0;
    float x[3] = { 1, 1, 1 };
    tl_model *m = tl_model_new();
    tl_trainer *t = tl_trainer_new(m, looking, .user = &calls);
    const tl_array in = floats(1, 3, 0, 0, x);
    double loss;
    GOOD(tl_test_step(t, &in, 1, &loss));
    cr_assert(loss == 4);
    x[0] = 100;
    GOOD(tl_test_step(t, &in, 1, &loss));
    cr_assert(loss == 34 && calls == 2 && tl_trainer_plans(t) == 0);
    GOOD(tl_train_step(t, &in, 1, &loss));
    cr_assert(loss == 34 && calls == 3);
    tl_trainer_free(t);
    tl_model_free(m);
    cr_assert(tl_live_bytes() == 0);
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

Test(trainer, allocates_nothing_after_the_second_step)
{
    const tl_array in[2] = { sequence(T, ids), sequence(T, next_ids) },
                   alone[2] = { sequence(T, ids), TL_ABSENT_ARRAY };
    tl_model *m = tl_model_new();
    tl_trainer *t = tl_trainer_new(m, counting, .clip_value = 1, .clip_norm = 1);
    double loss;
    for (int i = 0; i < 2; i++) {
        GOOD(tl_train_step(t, in, 2, &loss));
        GOOD(tl_test_step(t, in, 2, &loss));
        GOOD(tl_predict_step(t, alone, 2));
    }
    const uint64_t made = tl_allocations();
    const size_t live = tl_live_bytes();
    for (int i = 0; i < 2000; i++) {
        fill(5 * i);
        GOOD(tl_train_step(t, in, 2, &loss));
        if (i % 10) continue;
        GOOD(tl_test_step(t, in, 2, &loss));
        GOOD(tl_predict_step(t, alone, 2));
    }
    cr_assert(tl_allocations() == made, "%llu allocations", (unsigned long long)(tl_allocations() - made));
    cr_assert(tl_live_bytes() == live);
    tl_trainer_free(t);
    tl_model_free(m);
    cr_assert(tl_live_bytes() == 0);
}

Test(trainer, survives_any_allocation_that_fails)
{
    const tl_array in[2] = { sequence(T, ids), sequence(T, next_ids) };
    fill(0);
    uint64_t n = 1;
    for (bool done = false; !done; n++) {
        tl_model *m = tl_model_new();
        tl_fail_allocation(n);
        tl_trainer *t = tl_trainer_new(m, counting, .clip_norm = 1);
        tl_status status = t ? tl_train_step(t, in, 2, NULL) : TL_E_MEMORY;
        if (!status) status = tl_train_step(t, in, 2, NULL);
        done = !status;
        tl_fail_allocation(0);
        cr_assert(!status || status == TL_E_MEMORY, "allocation %d: %s", (int)n, tl_message());
        if (t && status) GOOD(tl_train_step(t, in, 2, NULL)); /* and goes on as if nothing had happened */
        tl_trainer_free(t);
        tl_model_free(m);
        cr_assert(tl_live_bytes() == 0, "allocation %d", (int)n);
    }
    cr_assert(n > 20);
}

/* ---- what is updated --------------------------------------------------------------------------------------------- */

static tl_tensor partly(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor used = tl_param(s, "used", TL_DIMS(3), .init = tl_ones());
    tl_tensor still = tl_param(s, "still", TL_DIMS(3), .init = tl_ones(), .frozen = true);
    tl_tensor aside = tl_param(s, "aside", TL_DIMS(3), .init = tl_ones());
    tl_output(s, "aside", tl_scale(aside, 2));
    return tl_sum(tl_mul(in[0], tl_mul(used, still)), TL_ALL);
}

static void values_are(tl_model *m, const char *name, float want)
{
    float v[3];
    tl_array a = { .dtype = TL_F32, .data = v };
    GOOD(tl_model_get(m, name, &a));
    for (int i = 0; i < 3; i++) cr_assert(v[i] == want, "%s[%d] is %g, not %g", name, i, v[i], want);
}

Test(trainer, leaves_alone_what_is_frozen_or_not_reached)
{
    float x[3] = { 1, 1, 1 };
    tl_model *m = tl_model_new();
    tl_trainer *t = tl_trainer_new(m, partly, .optimizer = tl_sgd(.lr = 0.25));
    const tl_array in = floats(1, 3, 0, 0, x);
    for (int i = 0; i < 2; i++) GOOD(tl_train_step(t, &in, 1, NULL));
    cr_assert(tl_trainer_plans(t) == 1, "a parameter made frozen does not make the first plan another's");
    values_are(m, "used", 0.5f);
    values_are(m, "still", 1);
    values_are(m, "aside", 1);
    tl_model_freeze(m, "still", false);
    tl_model_freeze(m, "used", true);
    GOOD(tl_train_step(t, &in, 1, NULL));
    values_are(m, "used", 0.5f);
    values_are(m, "still", 0.875f);
    tl_model_freeze(m, "*", true);
    cr_assert(tl_train_step(t, &in, 1, NULL) == TL_E_OUTPUT, "there is nothing to train");
    tl_trainer_free(t);
    tl_model_free(m);
}

Test(trainer, does_not_update_from_what_is_not_finite)
{
    float x[3] = { 1, 1, 1 };
    tl_model *m = tl_model_new();
    tl_trainer *t = tl_trainer_new(m, partly, .optimizer = tl_sgd(.lr = 0.25));
    const tl_array in = floats(1, 3, 0, 0, x);
    double loss;
    GOOD(tl_train_step(t, &in, 1, &loss));
    x[1] = NAN;
    cr_assert(tl_train_step(t, &in, 1, &loss) == TL_E_NONFINITE && isnan(loss));
    says("the loss of run 1 is nan");
    cr_assert(tl_test_step(t, &in, 1, &loss) == TL_E_NONFINITE);
    values_are(m, "used", 0.75f);
    x[1] = 1;
    GOOD(tl_train_step(t, &in, 1, &loss));
    values_are(m, "used", 0.5f);
    tl_trainer_free(t);
    tl_model_free(m);
}

/* A finite loss whose gradient is not: sqrt at 0. */
static tl_tensor steep(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    return tl_sum(tl_mul(in[0], tl_sqrt(tl_param(s, "w", TL_DIMS(3)))), TL_ALL);
}

Test(trainer, does_not_update_from_a_gradient_that_is_not_finite)
{
    float x[3] = { 1, 1, 1 };
    tl_model *m = tl_model_new();
    tl_trainer *t = tl_trainer_new(m, steep);
    const tl_array in = floats(1, 3, 0, 0, x);
    double loss;
    cr_assert(tl_train_step(t, &in, 1, &loss) == TL_E_NONFINITE && loss == 0);
    says("the norm of the gradients of run 0 is inf");
    values_are(m, "w", 0);
    tl_trainer_free(t);
    tl_model_free(m);
}

Test(trainer, clips)
{
    float x[3] = { 3, 4, 12 };
    const tl_array in = floats(1, 3, 0, 0, x);
    const double want[][3] = { { 1 - 3 / 13., 1 - 4 / 13., 1 - 12 / 13. }, { -1, -1, -1 } };
    for (int k = 0; k < 2; k++) {
        tl_model *m = tl_model_new(.seed = 1);
        tl_trainer *t = tl_trainer_new(m, partly, .optimizer = tl_sgd(.lr = 1), .clip_norm = k ? 0 : 1,
                                       .clip_value = k ? 2 : 0);
        GOOD(tl_train_step(t, &in, 1, NULL));
        float v[3];
        tl_array a = { .dtype = TL_F32, .data = v };
        GOOD(tl_model_get(m, "used", &a));
        for (int i = 0; i < 3; i++) cr_assert(fabs(v[i] - want[k][i]) < 1e-6);
        cr_assert(fabs(tl_trainer_norm(t) - (k ? sqrt(12) : 13)) < 1e-5);
        tl_trainer_free(t);
        tl_model_free(m);
    }
}

/* ---- losses and modes ------------------------------------------------------------------------------------------- */

static tl_tensor many_losses(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor w = tl_param(s, "w", TL_DIMS(3), .init = tl_ones());
    for (int64_t t = 0; t < 2; t++) tl_emit(tl_step(tl_in(s, "loop"), t), "loss", tl_sum(tl_mul(in[0], w), TL_ALL));
    return tl_training(s) ? tl_scale(w, 10) : TL_NONE;
}

Test(trainer, sums_losses_of_any_shape_and_emissions)
{
    float x[3] = { 1, 2, 3 };
    tl_model *m = tl_model_new();
    tl_trainer *t = tl_trainer_new(m, many_losses);
    const tl_array in = floats(1, 3, 0, 0, x);
    double loss;
    GOOD(tl_test_step(t, &in, 1, &loss));
    cr_assert(loss == 12, "%g", loss);
    GOOD(tl_train_step(t, &in, 1, &loss));
    cr_assert(isfinite(loss));
    tl_trainer_free(t);
    tl_model_free(m);
}

static tl_tensor refused(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    return tl_matmul(in[0], tl_param(s, "w", TL_DIMS(7, 7)));
}

Test(trainer, passes_errors_on_and_leaves_the_model_as_it_was)
{
    float x[3] = { 1, 2, 3 };
    tl_model *m = tl_model_new();
    tl_trainer *t = tl_trainer_new(m, refused);
    tl_array in = floats(1, 3, 0, 0, x);
    cr_assert(tl_train_step(t, &in, 1, NULL) == TL_E_SHAPE);
    says("test_train.c");
    cr_assert(tl_model_count(m) == 0 && tl_trainer_plans(t) == 0);
    in.rank = 7;
    cr_assert(tl_train_step(t, &in, 1, NULL) == TL_E_INPUT);
    cr_assert(tl_train_step(t, &in, -1, NULL) == TL_E_ARGUMENT && tl_train_step(t, NULL, 1, NULL) == TL_E_ARGUMENT);
    cr_assert(tl_train_step(NULL, &in, 1, NULL) == TL_E_ARGUMENT);
    tl_trainer_free(t);
    cr_assert(!tl_trainer_new(NULL, refused) && !tl_trainer_new(m, NULL) &&
              !tl_trainer_new(m, refused, .clip_norm = -1));
    says("may not be negative");
    cr_assert(!tl_trainer_new(m, refused, .optimizer = tl_adam(.rho = 1)));
    says("tl_adam has no option .rho");
    t = tl_trainer_new(m, counting);
    const tl_array alone[2] = { sequence(T, ids), TL_ABSENT_ARRAY };
    cr_assert(tl_test_step(t, alone, 2, NULL) == TL_E_ABSENT);
    says("no loss");
    cr_assert(!tl_trainer_session(t, 0) && tl_trainer_session(t, TL_PREDICT));
    tl_trainer_free(t);
    tl_trainer_free(NULL);
    tl_model_free(m);
    cr_assert(tl_live_bytes() == 0);
}

/* The logits of the last prediction, [n]. */
static void logits_of(tl_trainer *t, float *out, int64_t n)
{
    tl_array a;
    GOOD(tl_get(tl_trainer_session(t, TL_PREDICT), "logits", &a));
    cr_assert(a.dim[0] * a.dim[1] * a.dim[2] == n);
    memcpy(out, a.data, (size_t)n * sizeof *out);
}

Test(trainer, predicts_one_step_at_a_time_as_it_does_a_whole_sequence)
{
    float whole[T * B * V], parts[T * B * V];
    tl_model *m = tl_model_new(.seed = 5);
    tl_trainer *t = tl_trainer_new(m, counting);
    tl_set_exact(true);
    train(t, 50);
    fill(2);
    tl_array in[2] = { sequence(T, ids), TL_ABSENT_ARRAY };
    GOOD(tl_predict_step(t, in, 2));
    logits_of(t, whole, T * B * V);
    for (int again = 0; again < 3; again++) {
        tl_trainer_reset_states(t);
        for (int i = 0; i < T; i++) {
            in[0] = sequence(1, ids + i * B);
            GOOD(tl_predict_step(t, in, 2));
            logits_of(t, parts + i * B * V, B * V);
        }
        cr_assert(!memcmp(whole, parts, sizeof whole));
    }
    tl_trainer_free(t);
    tl_model_free(m);
}

/* ---- saving and loading ------------------------------------------------------------------------------------------ */

static char path[64];

static void new_path(void)
{
    strcpy(path, "/tmp/test_train.XXXXXX");
    const int f = mkstemp(path);
    cr_assert(f >= 0);
    close(f);
}

Test(model_file, gives_the_same_predictions)
{
    float before[T * B * V], after[T * B * V];
    const tl_array in[2] = { sequence(T, ids), TL_ABSENT_ARRAY };
    const tl_named_text texts[] = { { "cell", "lstm" }, { "note", "for a test" } };
    new_path();
    tl_model *m = tl_model_new(.seed = 5);
    tl_trainer *t = tl_trainer_new(m, counting);
    train(t, 20);
    fill(1);
    GOOD(tl_predict_step(t, in, 2));
    logits_of(t, before, T * B * V);
    GOOD(tl_model_save(m, path, .texts = texts, .n_texts = 2));
    const int count = tl_model_count(m);
    tl_trainer_free(t);
    tl_model_free(m);

    m = tl_model_new(.seed = 99);
    GOOD(tl_model_load(m, path));
    cr_assert(tl_model_count(m) == count);
    t = tl_trainer_new(m, counting);
    GOOD(tl_predict_step(t, in, 2));
    logits_of(t, after, T * B * V);
    cr_assert(!memcmp(before, after, sizeof before));
    cr_assert(tl_model_count(m) == count, "nothing was made anew");
    train(t, 3);
    GOOD(tl_model_load(m, path)); /* over the parameters that are there; plans and sessions stay good */
    tl_trainer_reset_states(t);
    GOOD(tl_predict_step(t, in, 2));
    fill(1);
    GOOD(tl_predict_step(t, in, 2));
    tl_trainer_reset_states(t);
    GOOD(tl_predict_step(t, in, 2));
    logits_of(t, after, T * B * V);
    cr_assert(!memcmp(before, after, sizeof before));
    tl_trainer_free(t);
    tl_model_free(m);

    tl_safetensors *f;
    GOOD(tl_safetensors_read(path, &f));
    cr_assert_str_eq(tl_safetensors_text(f, "cell"), "lstm");
    cr_assert_str_eq(tl_safetensors_text(f, "tapeloop_format"), "1");
    tl_model *wide = tl_model_new(.dtype = TL_F64);
    GOOD(tl_model_take(wide, f));
    cr_assert(tl_model_count(wide) == count);
    tl_model_free(wide);
    tl_safetensors_free(f);
    unlink(path);
    cr_assert(tl_live_bytes() == 0);
}

/* A running average of the input lives in the model. */
static tl_tensor averaging(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor mean = tl_model_state(s, "mean", tl_full_like(in[0], 0));
    tl_next(s, "mean", tl_lerp(mean, in[0], tl_full_like(in[0], 0.5)));
    return tl_sum(tl_mul(mean, tl_param(s, "w", TL_DIMS(3), .init = tl_ones())), TL_ALL);
}

Test(model_file, holds_the_states_of_the_model)
{
    float x[3] = { 1, 2, 4 };
    double loss[2];
    new_path();
    const tl_array in = floats(1, 3, 0, 0, x);
    tl_model *m = tl_model_new(), *n = tl_model_new();
    tl_trainer *t = tl_trainer_new(m, averaging);
    for (int i = 0; i < 3; i++) GOOD(tl_test_step(t, &in, 1, &loss[0]));
    GOOD(tl_model_save(m, path));
    GOOD(tl_test_step(t, &in, 1, &loss[0]));
    cr_assert(loss[0] == 7 * 0.875);
    tl_trainer_free(t);

    GOOD(tl_model_load(n, path));
    cr_assert(tl_model_count(n) == 1 && tl_model_states(n) == 1);
    t = tl_trainer_new(n, averaging);
    GOOD(tl_test_step(t, &in, 1, &loss[1]));
    cr_assert(loss[1] == loss[0], "%g", loss[1]);
    tl_trainer_free(t);
    tl_model_free(n);
    tl_model_free(m);
    unlink(path);
    cr_assert(tl_live_bytes() == 0);
}

static void write_one(const char *name, tl_dtype dtype, int64_t n, const char *format)
{
    static double zeros[16];
    const tl_named_array e = { name, { .dtype = dtype, .rank = 1, .dim = { n }, .data = zeros } };
    const tl_named_text text = { "tapeloop_format", format };
    GOOD(tl_safetensors_write(path, &e, 1, &text, format ? 1 : 0));
}

Test(model_file, that_does_not_fit_changes_nothing)
{
    float x[3] = { 1, 2, 3 };
    new_path();
    tl_model *m = tl_model_new();
    const tl_array w = floats(1, 3, 0, 0, x);
    GOOD(tl_model_set(m, "w", &w));
    write_one("w", TL_F32, 4, NULL);
    cr_assert(tl_model_load(m, path) == TL_E_SHAPE);
    says("parameter w");
    write_one("v", TL_F32, 3, NULL);
    cr_assert(tl_model_load(m, path) == TL_E_NAME);
    says("no parameter w");
    write_one("w", TL_I32, 3, NULL);
    cr_assert(tl_model_load(m, path) == TL_E_DTYPE);
    write_one("w", TL_F32, 3, "2");
    cr_assert(tl_model_load(m, path) == TL_E_FORMAT);
    says("format 2");
    cr_assert(tl_model_load(m, "/no/such/file") == TL_E_FILE);
    cr_assert(tl_model_count(m) == 1 && ((float *)tl_model_values(m))[2] == 3);
    write_one("w", TL_F64, 3, "1");
    GOOD(tl_model_load(m, path));
    cr_assert(((float *)tl_model_values(m))[2] == 0);
    cr_assert(tl_model_save(m, "/no/such/file") == TL_E_FILE);
    cr_assert(tl_model_save(NULL, path) == TL_E_ARGUMENT && tl_model_load(NULL, path) == TL_E_ARGUMENT);
    tl_model_free(m);
    unlink(path);
    cr_assert(tl_live_bytes() == 0);
}

/* ---- printing -------------------------------------------------------------------------------------------------- */

Test(summary, lists_parameters_and_totals)
{
    char *text;
    size_t size;
    float x[3] = { 1, 2, 3 };
    tl_model *m = tl_model_new();
    static float big[1234567];
    tl_array a = floats(1, 3, 0, 0, x), b = floats(1, 1234567, 0, 0, big), c = floats(0, 0, 0, 0, x);
    cr_assert(!tl_model_set(m, "layer/b", &a) && !tl_model_set(m, "big", &b) && !tl_model_set(m, "one", &c));
    tl_model_freeze(m, "big", true);
    FILE *out = open_memstream(&text, &size);
    tl_summary(m, out);
    fclose(out);
    cr_assert(strstr(text, "layer/b") && strstr(text, "1,234,567") && strstr(text, "4,938,268") &&
              strstr(text, "frozen"));
    cr_assert(strstr(text, "1,234,571") && strstr(text, "scalar"), "%s", text);
    free(text);
    tl_summary(m, NULL);
    tl_model_free(m);
}

Test(progress, is_one_plain_line_in_a_file)
{
    char *text;
    size_t size;
    FILE *out = tmpfile();
    tl_progress p = tl_progress_begin(out, "epoch 1/2", 1000, "chars");
    for (int i = 0; i <= 1000; i += 10) tl_progress_show(&p, i, "loss 1");
    cr_assert(tl_progress_end(&p, "loss 0.5") >= 0);
    rewind(out);
    text = NULL;
    cr_assert(getline(&text, &size, out) > 0);
    cr_assert(strstr(text, "epoch 1/2") && strstr(text, "chars/s") && strstr(text, "loss 0.5\n"), "%s", text);
    cr_assert(getline(&text, &size, out) < 0, "there is one line only");
    free(text);
    fclose(out);
    p = tl_progress_begin(NULL, NULL, 0, NULL);
    tl_progress_show(&p, 5, NULL);
    tl_progress_end(&p, NULL);
}
