/* tests/test_rnn.c - cells, unrolling over time, and what layers have in common: names, places, failures. */
#include "layers_support.h"

/* ---- cells against formulas in plain C -------------------------------------------------------------------------- */

enum { SIMPLE, SIMPLE_TORCH, LSTM, LSTM_TORCH, GRU, GRU_BEFORE, MGU, KINDS };

typedef struct kind {
    const char *name, *gates[5];
    int states;
} kind;

static const kind kinds[KINDS] = { [SIMPLE] = { "simple", { "" }, 1 },
                                   [SIMPLE_TORCH] = { "simple", { "" }, 1 },
                                   [LSTM] = { "lstm", { "i", "f", "c", "o" }, 2 },
                                   [LSTM_TORCH] = { "lstm", { "i", "f", "c", "o" }, 2 },
                                   [GRU] = { "gru", { "z", "r", "h" }, 1 },
                                   [GRU_BEFORE] = { "gru", { "z", "r", "h" }, 1 },
                                   [MGU] = { "mgu", { "f", "c" }, 1 } };

typedef struct rnn_case {
    int kind;
    int64_t units;
    bool no_bias, relu, sequences, backwards, initial, final;
} rnn_case;

static tl_cell cell_of(tl_scope *s, const rnn_case *c)
{
    const tl_activation act = c->relu ? tl_relu : NULL;
    switch (c->kind) {
    case SIMPLE:
    case SIMPLE_TORCH:
        return tl_simple_rnn_cell(s, .activation = act, .no_bias = c->no_bias,
                                  .recurrent_bias = c->kind == SIMPLE_TORCH && !c->no_bias);
    case LSTM:
    case LSTM_TORCH:
        return tl_lstm_cell(s, .activation = act, .no_bias = c->no_bias,
                            .recurrent_bias = c->kind == LSTM_TORCH && !c->no_bias);
    case GRU:
    case GRU_BEFORE:
        return tl_gru_cell(s, .activation = act, .no_bias = c->no_bias, .reset_before = c->kind == GRU_BEFORE);
    default: return tl_mgu_cell();
    }
}

/* All outputs (or the last), and the final states under them if asked for: one row of numbers per step and state. */
static tl_tensor rnn_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const rnn_case *c = user;
    tl_tensor final[2], part[3];
    const tl_tensor y = tl_rnn(s, in[0], cell_of(s, c), .units = c->units, .return_sequences = c->sequences,
                               .go_backwards = c->backwards, .initial = c->initial ? in + 1 : NULL, .final = final);
    if (!c->final) return y;
    const int64_t T = c->sequences ? tl_dim(in[0], 0) : 1, B = tl_dim(in[0], 1);
    part[0] = tl_reshape(y, TL_DIMS(T, B, c->units));
    for (int k = 0; k < kinds[c->kind].states; k++) part[k + 1] = tl_reshape(final[k], TL_DIMS(1, B, c->units));
    return tl_concat(1 + kinds[c->kind].states, part, 0);
}

/* One gate's sum for one row and unit, from the model's parameters under "rnn". what: 1 x W + b, 2 h U + br, 3 both */
static double sum_of(tl_model *model, const char *gate, int what, const double *x, int64_t D, const double *h,
                     int64_t H, int64_t j)
{
    char path[64];
    double z = 0;
    const double *W = paramf(model, "rnn", gate, "W"), *U = paramf(model, "rnn", gate, "U");
    for (int64_t k = 0; (what & 1) && k < D; k++) z += x[k] * W[k * H + j];
    for (int64_t k = 0; (what & 2) && k < H; k++) z += h[k] * U[k * H + j];
    snprintf(path, sizeof path, "rnn%s%s/b", *gate ? "/" : "", gate);
    if ((what & 1) && tl_model_find(model, path) >= 0) z += param(model, path)[j];
    strcat(path, "r");
    if ((what & 2) && tl_model_find(model, path) >= 0) z += param(model, path)[j];
    return z;
}

static double sigma(double z) { return 1 / (1 + exp(-z)); }

/* h and c of one row, one step on; straight from the formulas in layers.h */
static void reference_step(tl_model *model, const rnn_case *q, const double *x, int64_t D, double *h, double *c)
{
    const int64_t H = q->units;
    double next[16], z[16], r[16], rh[16];
    for (int64_t j = 0; j < H; j++) {
        const char *const *g = kinds[q->kind].gates;
        z[j] = sigma(sum_of(model, g[0], 3, x, D, h, H, j));           /* i, z or f */
        if (g[2]) r[j] = sigma(sum_of(model, g[1], 3, x, D, h, H, j)); /* f or r */
        rh[j] = (q->kind == MGU ? z[j] : r[j]) * h[j];
    }
    for (int64_t j = 0; j < H; j++) {
        double a;
        switch (q->kind) {
        case SIMPLE:
        case SIMPLE_TORCH: a = sum_of(model, "", 3, x, D, h, H, j); break;
        case GRU: a = sum_of(model, "h", 1, x, D, h, H, j) + r[j] * sum_of(model, "h", 2, x, D, h, H, j); break;
        case GRU_BEFORE: a = sum_of(model, "h", 3, x, D, rh, H, j); break;
        case MGU: a = sum_of(model, "c", 3, x, D, rh, H, j); break;
        default: a = sum_of(model, "c", 3, x, D, h, H, j); break;
        }
        a = q->relu ? fmax(a, 0) : tanh(a);
        if (q->kind == SIMPLE || q->kind == SIMPLE_TORCH) next[j] = a;
        else if (q->kind == GRU || q->kind == GRU_BEFORE) next[j] = z[j] * h[j] + (1 - z[j]) * a;
        else if (q->kind == MGU) next[j] = (1 - z[j]) * h[j] + z[j] * a;
        else {
            c[j] = r[j] * c[j] + z[j] * a;
            next[j] = sigma(sum_of(model, "o", 3, x, D, h, H, j)) * (q->relu ? fmax(c[j], 0) : tanh(c[j]));
        }
    }
    memcpy(h, next, (size_t)H * sizeof *h);
}

enum { T = 4, B = 2, D = 3, H = 5 };

/* All kinds and switches; in f64 the two sums differ by rounding only (at most 12 products of numbers near 1, 4 steps:
 * 1e-13), in f32 likewise (1e-5). */
static void cell_values(tl_dtype dtype, rnn_case c, double rtol)
{
    tl_model *model = tl_model_new(.dtype = dtype);
    const tl_array in[] = { floats(dtype, TL_DIMS(T, B, D), 1), floats(dtype, TL_DIMS(B, H), 2),
                            floats(dtype, TL_DIMS(B, H), 3) };
    c.units = H, c.sequences = c.initial = c.final = true;
    must_run(model, rnn_fn, in, 3, &c, 0);
    stir(model, 6);
    const result r = must_run(model, rnn_fn, in, 3, &c, 0);
    const double *x = as_doubles(in[0].data, dtype, T * B * D);
    double *h = as_doubles(in[1].data, dtype, B * H), *cell = as_doubles(in[2].data, dtype, B * H);
    for (int t = 0; t < T; t++)
        for (int b = 0; b < B; b++) {
            reference_step(model, &c, x + (t * B + b) * D, D, h + b * H, cell + b * H);
            close_to(r.y + (t * B + b) * H, h + b * H, H, rtol, rtol, kinds[c.kind].name);
        }
    close_to(r.y + T * B * H, h, B * H, rtol, rtol, "final h");
    if (kinds[c.kind].states > 1) close_to(r.y + (T + 1) * B * H, cell, B * H, rtol, rtol, "final c");
    tl_model_free(model);
}

Test(cells, compute_their_formulas)
{
    for (int k = 0; k < KINDS; k++)
        for (int no_bias = 0; no_bias < 2; no_bias++)
            for (int relu = 0; relu < 2; relu++) {
                if (k == MGU && (no_bias || relu)) continue;
                cell_values(TL_F64, (rnn_case){ .kind = k, .no_bias = no_bias, .relu = relu }, 1e-13);
                cell_values(TL_F32, (rnn_case){ .kind = k, .no_bias = no_bias, .relu = relu }, 1e-5);
            }
}

/* DESIGN.md section 1, as written there. */
static tl_tensor mgu_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    tl_tensor f = tl_sigmoid(tl_gate(s, "f", x, *h, .bias = 1));
    tl_tensor c = tl_tanh(tl_gate(s, "c", x, tl_mul(f, *h)));
    return *h = tl_lerp(*h, c, f);
}
static const tl_cell mgu = { .step = mgu_step };

static tl_tensor own_mgu(tl_scope *s, const tl_tensor *in, void *user)
{
    return tl_sum(tl_rnn(s, in[0], user ? mgu : tl_mgu_cell(), .units = 6, .return_sequences = true), TL_ALL);
}

Test(cells, a_user_s_cell_is_the_library_s)
{
    tl_model *model = tl_model_new();
    const tl_array x = F32(1, 5, 3, 4);
    must_run(model, own_mgu, &x, 1, NULL, 0);
    cr_assert(param(model, "rnn/f/b")[3] == 1 && param(model, "rnn/c/b")[3] == 0);
    same_bits(must_run(model, own_mgu, &x, 1, NULL, GRADIENTS), must_run(model, own_mgu, &x, 1, model, GRADIENTS));
    tl_model_free(model);
}

static tl_tensor next_char(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor x = tl_embedding(s, in[0], .vocab = 96, .units = 64);
    tl_tensor h = tl_rnn(s, x, mgu, .units = 256, .return_sequences = true);
    tl_tensor z = tl_dense(s, h, .units = 96);
    tl_output(s, "logits", z);
    return tl_cross_entropy(z, in[1]);
}

/* At the start all letters are about equally likely: ln 96 = 4.564. */
Test(cells, the_example_of_the_design_runs)
{
    tl_model *model = tl_model_new();
    const int32_t ids[] = { 5, 9, 95, 0, 1, 2 };
    const tl_array in[] = { ids_of(TL_DIMS(3, 2), ids), ids_of(TL_DIMS(3, 2), ids) };
    const result r = must_run(model, next_char, in, 2, NULL, GRADIENTS);
    cr_assert(fabs(r.y[0] - log(96)) < 0.2, "%g", r.y[0]);
    tl_model_free(model);
}

/* A cell around a cell, as layers.h shows it. */
static tl_tensor residual_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *inner)
{
    return tl_add(x, tl_call(s, *(const tl_cell *)inner, x, state));
}

static void inner_start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *inner)
{
    tl_start(s, *(const tl_cell *)inner, x, units, state);
}

static tl_cell residual_cell(tl_scope *s, tl_cell inner)
{
    return (tl_cell){ residual_step, inner.states, inner_start, tl_scope_copy(s, &inner, sizeof inner) };
}

static tl_tensor wrapped(tl_scope *s, const tl_tensor *in, void *user)
{
    const tl_cell lstm = tl_lstm_cell(s);
    const tl_cell cell = user ? residual_cell(s, residual_cell(s, lstm)) : lstm;
    return tl_rnn(s, in[0], cell, .units = 4, .return_sequences = true);
}

/* Adding x twice: exact up to the rounding of two additions. */
Test(cells, a_wrapper_adds_no_path_and_changes_only_what_it_says)
{
    tl_model *model = tl_model_new(.dtype = TL_F64);
    const tl_array x = F64(1, 5, 3, 4);
    const result plain = must_run(model, wrapped, &x, 1, NULL, 0), twice = must_run(model, wrapped, &x, 1, model, 0);
    cr_assert(tl_model_count(model) == 12);
    for (int i = 0; i < 60; i++) {
        const double expected = plain.y[i] + 2 * ((double *)x.data)[i];
        cr_assert(fabs(twice.y[i] - expected) < 1e-15);
    }
    tl_model_free(model);
}

/* ---- unrolling -------------------------------------------------------------------------------------------------- */

/* The loop that tl_rnn's comment shows. */
static tl_tensor loop_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const rnn_case *c = user;
    const tl_cell cell = cell_of(s, c);
    tl_tensor state[2], y[T];
    tl_scope *r = tl_in(s, "rnn");
    tl_start(r, cell, tl_at(in[0], 0), c->units, state);
    for (int64_t t = 0; t < T; t++) y[t] = tl_call(tl_step(r, t), cell, tl_at(in[0], t), state);
    return tl_sum(tl_square(c->sequences ? tl_stack(T, y, 0) : y[T - 1]), TL_ALL);
}

static tl_tensor loss_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    return tl_sum(tl_square(rnn_fn(s, in, user)), TL_ALL);
}

Test(rnn, a_loop_in_c_gives_the_same_bits)
{
    for (int k = 0; k < 2 * KINDS; k++) {
        rnn_case c = { .kind = k / 2, .units = H, .sequences = k % 2 };
        tl_model *model = tl_model_new();
        const tl_array x = F32(1, T, B, D);
        must_run(model, loss_fn, &x, 1, &c, 0);
        stir(model, 3);
        const result a = must_run(model, loss_fn, &x, 1, &c, GRADIENTS);
        same_bits(a, must_run(model, loop_fn, &x, 1, &c, GRADIENTS));
        for (int64_t i = 0; i < a.n_grad; i++) cr_assert(isfinite(a.grad[i]));
        cr_assert(a.y[0] > 0 && a.n_grad == tl_model_size(model));
        tl_model_free(model);
    }
}

Test(rnn, the_last_of_all_outputs_is_the_output)
{
    for (int k = 0; k < KINDS; k++) {
        rnn_case all = { .kind = k, .units = H, .sequences = true }, last = { .kind = k, .units = H };
        tl_model *model = tl_model_new();
        const tl_array x = F32(1, T, B, D);
        const result a = must_run(model, rnn_fn, &x, 1, &all, 0), b = must_run(model, rnn_fn, &x, 1, &last, 0);
        cr_assert(a.shape.rank == 3 && a.shape.dim[0] == T && a.shape.dim[1] == B && a.shape.dim[2] == H);
        cr_assert(b.shape.rank == 2 && b.shape.dim[0] == B && b.shape.dim[1] == H);
        cr_assert(!memcmp(a.y + (T - 1) * B * H, b.y, B * H * sizeof *b.y));
        cr_assert(memcmp(a.y, b.y, B * H * sizeof *b.y));
        tl_model_free(model);
    }
}

static tl_array part_of(tl_array x, int64_t begin, int64_t end)
{
    x.data = (float *)x.data + begin * x.dim[1] * x.dim[2];
    x.dim[0] = end - begin;
    return x;
}

Test(rnn, chunks_with_the_states_handed_on_give_the_same_bits)
{
    for (int k = 0; k < KINDS; k++) {
        rnn_case whole = { .kind = k, .units = H, .sequences = true, .final = true }, rest = whole;
        tl_model *model = tl_model_new();
        const tl_array x = F32(1, T, B, D);
        const result all = must_run(model, rnn_fn, &x, 1, &whole, 0);
        const tl_array first = part_of(x, 0, 1);
        const result a = must_run(model, rnn_fn, &first, 1, &whole, 0);
        tl_array in[3] = { part_of(x, 1, T) };
        for (int i = 0; i < kinds[k].states; i++) {
            in[1 + i] = F32(0, B, H);
            for (int j = 0; j < B * H; j++) ((float *)in[1 + i].data)[j] = (float)a.y[(1 + i) * B * H + j];
        }
        rest.initial = true;
        const result b = must_run(model, rnn_fn, in, 1 + kinds[k].states, &rest, 0);
        cr_assert(!memcmp(all.y, a.y, B * H * sizeof *a.y));
        cr_assert(!memcmp(all.y + B * H, b.y, (size_t)b.n * sizeof *b.y), "%s", kinds[k].name);
        cr_assert(b.n == (T - 1 + kinds[k].states) * B * H);
        tl_model_free(model);
    }
}

typedef struct stateful_case {
    int kind;
    bool reset, initial;
} stateful_case;

static tl_tensor stateful_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const stateful_case *c = user;
    const rnn_case q = { .kind = c->kind };
    const tl_tensor *initial = c->initial ? in + 1 + c->reset : NULL;
    return tl_rnn(s, in[0], cell_of(s, &q), .units = H, .return_sequences = true, .stateful = true, .initial = initial,
                  .reset = c->reset ? in[1] : TL_NONE);
}

static double *next_run(running r, const tl_array *in, int n)
{
    tl_array y;
    cr_assert(!tl_run(r.session, r.plan, in, n) && !tl_get(r.session, "y", &y), "%s", tl_message());
    return as_doubles(y.data, TL_F32, y.dim[0] * y.dim[1] * y.dim[2]);
}

Test(rnn, stateful_goes_on_where_the_last_run_ended)
{
    for (int k = 0; k < KINDS; k++) {
        rnn_case whole = { .kind = k, .units = H, .sequences = true };
        stateful_case c = { k, false, false };
        tl_model *model = tl_model_new();
        const tl_array x = F32(1, T, B, D), half[] = { part_of(x, 0, T / 2), part_of(x, T / 2, T) };
        const result all = must_run(model, rnn_fn, &x, 1, &whole, 0);
        const running r = start_running(model, stateful_fn, half, 1, &c, 0);
        const size_t bytes = T / 2 * B * H * sizeof(double);
        cr_assert(!memcmp(next_run(r, &half[0], 1), all.y, bytes));
        cr_assert(!memcmp(next_run(r, &half[1], 1), all.y + T / 2 * B * H, bytes), "%s", kinds[k].name);
        tl_session_reset(r.session);
        cr_assert(!memcmp(next_run(r, &half[0], 1), all.y, bytes));
        cr_assert(tl_session_states(r.session) == kinds[k].states);
        end_running(r);
        tl_model_free(model);
    }
    cr_assert(tl_live_bytes() == 0);
}

/* Row 0 restarts before step 1: from there it is what it would be in a sequence of its own; row 1 is not touched. A
 * run later, with states carried over, the same. */
Test(rnn, reset_starts_a_row_afresh)
{
    for (int k = 0; k < KINDS; k++) {
        rnn_case whole = { .kind = k, .units = H, .sequences = true, .initial = true };
        stateful_case c = { k, true, true };
        tl_model *model = tl_model_new();
        const int32_t at[T][B] = { { 0, 0 }, { 1, 0 } };
        const tl_array x = F32(1, T, B, D), h = F32(2, B, H), cell = F32(3, B, H);
        const tl_array in[] = { x, ids_of(TL_DIMS(T, B), &at[0][0]), h, cell };
        const tl_array plain[] = { x, h, cell }, late[] = { part_of(x, 1, T), h, cell };
        const result all = must_run(model, rnn_fn, plain, 3, &whole, 0);
        const result cut = must_run(model, rnn_fn, late, 3, &whole, 0);
        const running r = start_running(model, stateful_fn, in, 4, &c, 0);
        for (int time = 0; time < 2; time++) {
            const double *y = next_run(r, in, 4);
            for (int t = 1; t < T; t++) {
                cr_assert(!memcmp(y + (t * B) * H, cut.y + (t - 1) * B * H, H * sizeof *y), "%s step %d", kinds[k].name,
                          t);
                const int same = !memcmp(y + (t * B + 1) * H, all.y + (t * B + 1) * H, H * sizeof *y);
                cr_assert(same == !time, "%s: row 1 at step %d of run %d", kinds[k].name, t, time);
            }
            cr_assert(!memcmp(y, all.y, H * sizeof *y) == !time);
        }
        end_running(r);
        tl_model_free(model);
    }
}

/* The reversed sequence forwards is the sequence backwards: outputs in the order they are made (Keras), and final
 * states. */
Test(rnn, go_backwards_is_the_reversed_sequence)
{
    for (int k = 0; k < KINDS; k++) {
        rnn_case forward = { .kind = k, .units = H, .sequences = true, .final = true }, backward = forward;
        backward.backwards = true;
        tl_model *model = tl_model_new();
        const tl_array x = F32(1, T, B, D), reversed = F32(1, T, B, D);
        for (int t = 0; t < T; t++)
            memcpy((float *)reversed.data + t * B * D, (float *)x.data + (T - 1 - t) * B * D, B * D * sizeof(float));
        const result a = must_run(model, rnn_fn, &reversed, 1, &forward, 0);
        same_bits(a, must_run(model, rnn_fn, &x, 1, &backward, 0));
        cr_assert(memcmp(a.y, must_run(model, rnn_fn, &x, 1, &forward, 0).y, (size_t)a.n * sizeof *a.y));
        tl_model_free(model);
    }
}

/* Forgets its state and answers with x, dropped by half. */
static tl_tensor noisy_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    *h = tl_add_scalar(*h, 1);
    return tl_dropout(s, x, .rate = 0.5);
}

static tl_tensor noisy_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    return tl_rnn(s, in[0], (tl_cell){ .step = noisy_step }, .units = 1, .return_sequences = true,
                  .go_backwards = user);
}

/* A step keeps its number whichever way time runs, and with it its random numbers. */
Test(rnn, go_backwards_keeps_each_step_s_random_numbers)
{
    tl_model *model = tl_model_new();
    const tl_array x = F32(1, T, 4, 8);
    const result a = must_run(model, noisy_fn, &x, 1, NULL, TRAINING);
    const result b = must_run(model, noisy_fn, &x, 1, model, TRAINING);
    for (int t = 0; t < T; t++) {
        cr_assert(!memcmp(a.y + t * 32, b.y + (T - 1 - t) * 32, 32 * sizeof *a.y), "step %d", t);
        cr_assert(!t || memcmp(a.y, a.y + t * 32, 32 * sizeof *a.y));
    }
    tl_model_free(model);
}

static tl_tensor backward_reset_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    return tl_gru(s, in[0], .units = H, .return_sequences = true, .go_backwards = true, .reset = in[1]);
}

/* reset[t] belongs to x[t]: going backwards, a reset at 1 starts row 0 afresh just before step 1 (after 3 and 2). */
Test(rnn, reset_follows_x_backwards)
{
    tl_model *model = tl_model_new();
    const int32_t none[T][B] = { { 0 } }, one[T][B] = { { 0, 0 }, { 1, 0 }, { 0, 0 }, { 0, 0 } };
    const tl_array x = F32(1, T, B, D), head = part_of(x, 0, 2);
    const tl_array all[] = { x, ids_of(TL_DIMS(T, B), &none[0][0]) }, cut[] = { x, ids_of(TL_DIMS(T, B), &one[0][0]) };
    const tl_array late[] = { head, ids_of(TL_DIMS(2, B), &none[0][0]) };
    const result a = must_run(model, backward_reset_fn, all, 2, NULL, 0);
    const result b = must_run(model, backward_reset_fn, cut, 2, NULL, 0);
    const result c = must_run(model, backward_reset_fn, late, 2, NULL, 0);
    for (int k = 0; k < T; k++) { /* k = 0 is step 3 */
        cr_assert(!memcmp(b.y + (k * B + 1) * H, a.y + (k * B + 1) * H, H * sizeof *a.y), "row 1 at %d", k);
        const double *expected = k < 2 ? a.y + k * B * H : c.y + (k - 2) * B * H;
        cr_assert(!memcmp(b.y + k * B * H, expected, H * sizeof *a.y), "row 0 at %d", k);
    }
    tl_model_free(model);
}

static tl_tensor each_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    tl_tensor each[T];
    const tl_tensor y = tl_gru(s, in[0], .units = H, .each = each, .return_sequences = true, .go_backwards = true);
    return user ? tl_stack(T, each, 0) : y;
}

Test(rnn, each_receives_every_output)
{
    tl_model *model = tl_model_new();
    const tl_array x = F32(1, T, B, D);
    same_bits(must_run(model, each_fn, &x, 1, NULL, 0), must_run(model, each_fn, &x, 1, model, 0));
    tl_model_free(model);
}

/* A cell whose two states have shapes of their own: a learned vector, and a count of steps [B]. */
static tl_tensor counting_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    (void)ctx;
    state[1] = tl_add_scalar(state[1], 1);
    return state[0] = tl_tanh(tl_gate(s, NULL, x, state[0]));
}

static void counting_start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx)
{
    (void)ctx;
    const tl_tensor h = tl_param(s, "h0", TL_DIMS(units), .init = tl_constant(0.5));
    state[0] = tl_broadcast_to(h, TL_DIMS(tl_dim(x, 0), units));
    state[1] = tl_full(s, TL_DIMS(tl_dim(x, 0)), 0);
}

static tl_tensor counting_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const tl_cell cell = { counting_step, 2, counting_start, NULL };
    const tl_tensor given[] = { TL_NONE, in[1] };
    tl_tensor final[2];
    const tl_tensor y = tl_rnn(s, in[0], cell, .units = H, .final = final, .initial = user ? given : NULL,
                               .reset = user ? in[2] : TL_NONE);
    return tl_add(tl_sum(tl_square(y), TL_ALL), tl_sum(tl_scale(final[1], 100), TL_ALL));
}

Test(rnn, a_cell_records_initial_states_of_its_own)
{
    tl_model *model = tl_model_new();
    tl_array in[] = { F32(1, T, B, D), F32(2, B), F32(0, T, B) };
    memset(in[2].data, 0, T * B * sizeof(float));
    memcpy(in[1].data, (float[]){ 10, 20 }, 2 * sizeof(float));
    must_run(model, counting_fn, in, 3, NULL, 0);
    const result a = must_run(model, counting_fn, in, 3, NULL, GRADIENTS);
    const int64_t offset = tl_model_param(model, tl_model_find(model, "rnn/h0"))->offset;
    cr_assert(param(model, "rnn/h0")[2] == 0.5 && a.grad[offset] != 0);
    cr_assert(a.y[0] > 100 * T * B && a.y[0] <= 100 * T * B + B * H, "%g", a.y[0]);
    const result b = must_run(model, counting_fn, in, 3, model, 0); /* one state given, the other the cell's own */
    cr_assert(fabs(b.y[0] - a.y[0] - 100 * 30) < 1e-3, "%g, %g", a.y[0], b.y[0]); /* f32 at 4000: 2e-4 */
    ((float *)in[2].data)[2 * B + 1] = -3; /* row 1 starts afresh before step 2: it counts 20 + 2 instead of 20 + 4 */
    const result c = must_run(model, counting_fn, in, 3, model, 0);
    cr_assert(c.y[0] < b.y[0] - 100 * 2 + B * H && c.y[0] > b.y[0] - 100 * 2 - B * H, "%g, %g", b.y[0], c.y[0]);
    tl_model_free(model);
}

Test(rnn, refuses_what_makes_no_sense)
{
    const tl_cell cell = tl_mgu_cell(), empty = { 0 }, negative = { .step = mgu_step, .states = -1 };
    FAILS(TL_E_SHAPE, "no time steps", tl_rnn(r.s, tl_full(r.s, TL_DIMS(0, 2, 4), 1), cell, .units = 3));
    FAILS(TL_E_SHAPE, "rank 1", tl_rnn(r.s, tl_full(r.s, TL_DIMS(3), 1), cell, .units = 3));
    FAILS(TL_E_ABSENT, "x is absent", tl_rnn(r.s, TL_NONE, cell, .units = 3));
    FAILS(TL_E_ABSENT, "all operands were absent", tl_rnn(r.s, tl_tanh(TL_NONE), cell, .units = 3));
    FAILS(TL_E_ARGUMENT, ".units is missing", tl_rnn(r.s, r.x, cell));
    FAILS(TL_E_ARGUMENT, ".units = -3", tl_lstm(r.s, r.x, .units = -3));
    FAILS(TL_E_ARGUMENT, "no .step", tl_rnn(r.s, r.x, empty, .units = 3));
    FAILS(TL_E_ARGUMENT, ".states is negative", tl_rnn(r.s, r.x, negative, .units = 3));
    FAILS(TL_E_SHAPE, ".reset [2,3]", tl_gru(r.s, r.x, .units = 3, .reset = tl_full(r.s, TL_DIMS(2, 3), 0)));
    FAILS(TL_E_SHAPE, ".reset [3,2,4]", tl_gru(r.s, r.x, .units = 3, .reset = r.x));
    FAILS(TL_E_ARGUMENT, ".size", tl_rnn_opt(TL_HERE, r.s, r.x, cell, &(tl_rnn_opts){ .units = 3 }));
    FAILS(TL_E_ARGUMENT, ".bias_forget = nan", tl_lstm_cell(r.s, .bias_forget = NAN));
    FAILS(TL_E_ARGUMENT, "no array of states", tl_call(r.s, cell, r.x, NULL));
    tl_tensor h;
    FAILS(TL_E_SHAPE, "initial state 0 is [3,5]", h = tl_full(r.s, TL_DIMS(3, 5), 0);
          tl_rnn(r.s, r.x, cell, .initial = &h));
    FAILS(TL_E_ABSENT, "all operands were absent", h = tl_tanh(TL_NONE); tl_rnn(r.s, r.x, cell, .initial = &h));
}

static tl_tensor lazy_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    (void)s, (void)state, (void)ctx;
    return x;
}

static void lazy_start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx)
{
    (void)s, (void)x, (void)units, (void)state, (void)ctx;
}

static void half_start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx)
{
    (void)s, (void)units, (void)ctx;
    state[0] = x;
}

Test(rnn, a_start_that_forgets_a_state_is_told)
{
    const tl_cell lazy = { lazy_step, 2, lazy_start, NULL }, lazier = { lazy_step, 2, half_start, NULL };
    FAILS(TL_E_ABSENT, "state 0", tl_rnn(r.s, r.x, lazy, .units = 3));
    FAILS(TL_E_ABSENT, "state 1", tl_tensor state[] = { r.x, r.x }; tl_start(r.s, lazier, r.x, 3, state));
}

static tl_tensor reading_step(tl_scope *s, tl_tensor ids, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    return *h = tl_tanh(tl_gate(s, NULL, tl_embedding(s, ids, .vocab = 9, .units = 4), *h));
}

static tl_tensor reading_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    if (!user) return tl_rnn(s, in[0], (tl_cell){ .step = reading_step }, .units = 3, .name = "simple_rnn");
    const tl_tensor x = tl_embedding(tl_in(s, "simple_rnn"), in[0], .vocab = 9, .units = 4);
    return tl_simple_rnn(s, x, .units = 3);
}

/* Inside the cell or before it: the same numbers from the same parameters. */
Test(rnn, a_cell_may_take_ids)
{
    const tl_array ids = ids_of(TL_DIMS(3, 2), (int32_t[]){ 1, 8, 3, 3, 0, 6 });
    tl_model *model = tl_model_new();
    same_bits(must_run(model, reading_fn, &ids, 1, NULL, 0), must_run(model, reading_fn, &ids, 1, model, 0));
    cr_assert(tl_model_count(model) == 4);
    tl_model_free(model);
}

static tl_tensor failing_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    (void)state, (void)ctx;
    tl_error(s, TL_E_CHECK, "on purpose");
    return x;
}

Test(rnn, a_step_that_fails_leaves_error_handles_in_the_states)
{
    recording r = start_recording(false);
    tl_tensor state[2] = { r.x, r.x };
    cr_assert(is_error(tl_call(r.s, (tl_cell){ failing_step, 2, NULL, NULL }, r.x, state)));
    cr_assert(is_error(state[0]) && is_error(state[1]));
    fails(r, TL_E_CHECK, "on purpose", "test_rnn.c:");
}

/* ---- places and names ------------------------------------------------------------------------------------------- */

static void both_lines(recording r, int first, int second)
{
    char a[40], b[40];
    snprintf(a, sizeof a, "test_rnn.c:%d", first);
    snprintf(b, sizeof b, "test_rnn.c:%d", second);
    cr_assert(strstr(tl_tape_message(r.tape), "given") == NULL);
    fails(r, TL_E_NAME, a, b);
}

Test(names, two_unnamed_layers_of_a_kind_never_share_weights_in_silence)
{
    recording r = start_recording(false);
    const int line = __LINE__;
    const tl_tensor y = tl_dense(r.s, r.x, .units = 4);
    tl_dense(r.s, y, .units = 4);
    both_lines(r, line + 1, line + 2);

    r = start_recording(false);
    tl_lstm(r.s, tl_lstm(r.s, r.x, .units = 4, .return_sequences = true), .units = 4);
    both_lines(r, line + 6, line + 6);

    r = start_recording(false);
    tl_embedding(r.s, r.ids, .vocab = 4, .units = 4);
    tl_embedding(r.s, r.ids, .vocab = 4, .units = 4);
    both_lines(r, line + 10, line + 11);
}

Test(names, a_dense_in_a_plain_loop_is_an_error)
{
    recording r = start_recording(false);
    const int line = __LINE__ + 1;
    for (int t = 0; t < 3; t++) tl_dense(r.s, tl_at(r.x, t), .units = 4);
    both_lines(r, line, line);
}

Test(names, in_steps_under_again_and_with_names_layers_may_be_repeated)
{
    recording r = start_recording(false);
    for (int t = 0; t < 3; t++) tl_dense(tl_step(tl_in(r.s, "steps"), t), tl_at(r.x, t), .units = 4);
    tl_dense(r.s, r.x, .units = 4);
    tl_dense(tl_again(r.s), r.x, .units = 4);
    tl_dense(r.s, r.x, .units = 4, .name = "other");
    tl_gru(r.s, r.x, .units = 4);
    tl_gru(r.s, r.x, .units = 4, .name = "second");
    cr_assert(!tl_failed(r.tape), "%s", tl_tape_message(r.tape));
    tl_plan_free(tl_compile(r.tape));
    cr_assert(tl_model_find(r.model, "steps/dense/W") >= 0 && tl_model_find(r.model, "other/W") >= 0);
    cr_assert(tl_model_count(r.model) == 3 * 2 + 2 * 12, "%d parameters", tl_model_count(r.model));
    end_recording(r);
}

/* Every library function puts the caller's place back: what follows is recorded in `enc`, not in `enc/dense`. */
Test(places, a_layer_puts_the_caller_s_place_back)
{
    for (int k = 0; k < 6; k++) {
        recording r = start_recording(true);
        tl_scope *enc = tl_in(r.s, "enc"), *cell = tl_in(enc, "cell");
        tl_tensor state = tl_full(enc, TL_DIMS(2, 4), 0);
        tl_enter(TL_HERE, enc);
        switch (k) {
        case 0: tl_dense(enc, r.x, .units = 4); break;
        case 1: tl_embedding(enc, r.ids, .vocab = 4, .units = 4); break;
        case 2: tl_dropout(enc, r.x, .rate = 0.5, .name = "drop"); break;
        case 3: tl_lstm(enc, r.x, .units = 4); break;
        case 4: tl_gate(enc, "g", r.x, TL_NONE, .units = 4); break;
        default: tl_call(cell, mgu, tl_at(r.x, 0), &state); break;
        }
        tl_matmul(r.x, r.x);
        cr_assert(strstr(tl_tape_message(r.tape), " in enc:"), "%d: %s", k, tl_tape_message(r.tape));
        fails(r, TL_E_SHAPE, "matmul", "test_rnn.c:");
    }
}

static tl_tensor wrong_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    return *h = tl_tanh(tl_gate(s, "g", x, tl_slice(*h, 0, 0, 1)));
}

Test(places, an_error_in_a_cell_names_line_scope_and_step)
{
    const tl_cell cell = { .step = wrong_step };
    FAILS(TL_E_SHAPE, " in rnn/g at step 0", tl_rnn(r.s, r.x, cell, .units = 3));
}

static tl_tensor narrow_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)s, (void)ctx;
    return *h = tl_add(x, *h);
}

Test(places, an_error_in_the_middle_of_the_library_names_the_user_s_line)
{
    recording r = start_recording(false);
    const tl_cell cell = { .step = narrow_step };
    tl_tensor final, each[3];
    const tl_tensor y = tl_rnn(r.s, r.x, cell, .units = 3, .final = &final, .each = each);
    cr_assert(is_error(y) && is_error(final) && is_error(each[0]) && is_error(each[2]));
    fails(r, TL_E_SHAPE, "at step 0", "test_rnn.c:");
}

/* ---- nothing crashes -------------------------------------------------------------------------------------------- */

static void call_all(tl_scope *s, tl_tensor x, tl_tensor ids)
{
    tl_tensor final[2] = { { 0 }, { 0 } }, each[8] = { { 0 } };
    const tl_cell cell = residual_cell(s, tl_lstm_cell(s));
    const tl_tensor y = tl_rnn(s, x, cell, .units = 4, .final = final, .each = each, .stateful = true, .name = "a");
    cr_assert(is_error(y) && is_error(final[0]) && is_error(final[1]) && is_error(each[0]));
    tl_start(s, cell, x, 4, final);
    cr_assert(is_error(final[0]) && is_error(final[1]));
    final[0] = TL_NONE;
    cr_assert(is_error(tl_call(s, cell, x, final)) && is_error(final[0]));
    cr_assert(is_error(tl_lstm(s, x, .units = 4)) && is_error(tl_gru(s, x)));
    cr_assert(is_error(tl_simple_rnn(s, x, .units = 2)));
    cr_assert(is_error(tl_dense(s, x, .units = 4)) && is_error(tl_embedding(s, ids, .vocab = 4, .units = 4)));
    cr_assert(is_error(tl_gate(s, "g", x, x, .units = 4)) && is_error(tl_dropout(s, x, .rate = 0.5)));
    if (!tl_absent(ids)) cr_assert(is_error(tl_cross_entropy(x, ids)) && is_error(tl_mse(x, y)));
}

Test(robust, a_failed_tape_gives_error_handles)
{
    recording r = start_recording(true);
    tl_error(r.s, TL_E_CHECK, "on purpose");
    call_all(r.s, r.x, r.ids);
    call_all(r.s, TL_NONE, TL_NONE);
    fails(r, TL_E_CHECK, "on purpose", "");
}

Test(robust, without_a_scope_layers_give_error_handles)
{
    recording r = start_recording(true);
    const tl_tensor x = tl_dense(NULL, r.x, .units = 4);
    cr_assert(is_error(x));
    cr_assert(is_error(tl_rnn(NULL, r.x, mgu, .units = 4)));
    cr_assert(is_error(tl_embedding(NULL, r.ids, .vocab = 4, .units = 4)));
    cr_assert(is_error(tl_dropout(NULL, r.x, .rate = 0.5)) && is_error(tl_gate(NULL, "g", r.x, r.x)));
    tl_tensor state[2];
    tl_start(NULL, tl_lstm_cell(NULL), r.x, 4, state);
    cr_assert(is_error(state[0]) && is_error(state[1]) && is_error(tl_call(NULL, mgu, r.x, state)));
    tl_add(x, r.x); /* the first op that has a tape reports it */
    fails(r, TL_E_ABSENT, "test_rnn.c:", "");
}

static tl_tensor everything(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor x = tl_dropout(s, tl_embedding(s, in[0], .vocab = 9, .units = 3), .rate = 0.5);
    const tl_cell cell = residual_cell(s, tl_gru_cell(s));
    tl_tensor y = tl_rnn(s, x, cell, .units = 3, .return_sequences = true, .stateful = true, .reset = in[0]);
    y = tl_lstm(s, y, .units = 3, .return_sequences = true);
    return tl_cross_entropy(tl_dense(s, y, .units = 9), in[0]);
}

/* Each allocation fails in turn: a status, no crash, nothing lost. */
Test(robust, every_allocation_may_fail)
{
    const tl_array in = ids_of(TL_DIMS(3, 2), (int32_t[]){ 1, 2, 3, 4, 5, 6 });
    bool passed = false;
    for (uint64_t k = 1; !passed && k < 4000; k++) {
        tl_model *model = tl_model_new();
        tl_fail_allocation(k);
        tl_tape *tape = tl_tape_new(model, .training = true);
        if (tape) {
            const tl_tensor ids = tl_input(tl_root(tape), "in", in);
            const tl_tensor loss = everything(tl_root(tape), &ids, NULL);
            tl_backward(loss);
            const tl_status status = tl_tape_status(tape);
            cr_assert(status == TL_OK || status == TL_E_MEMORY, "allocation %d: %s", (int)k, tl_tape_message(tape));
            passed = status == TL_OK;
            cr_assert(passed || is_error(loss));
        }
        tl_fail_allocation(0);
        tl_tape_free(tape);
        tl_model_free(model);
        cr_assert(tl_live_bytes() == 0, "allocation %d: %zu bytes leak", (int)k, tl_live_bytes());
    }
    cr_assert(passed);
}

/* ---- gradients ----------------------------------------------------------------------------------------------------- */

Test(gradients, of_every_cell)
{
    for (int k = 0; k < 2 * KINDS; k++) {
        rnn_case c = { .kind = k / 2, .units = H, .sequences = true, .initial = true, .final = true };
        c.backwards = k % 2;
        tl_model *model = tl_model_new();
        const tl_array in[] = { F32(1, T, B, D), F32(2, B, H), F32(3, B, H) };
        must_run(model, loss_fn, in, 3, &c, 0);
        stir(model, 9);
        checked(model, loss_fn, in, 1 + kinds[c.kind].states, &c, false);
    }
}
