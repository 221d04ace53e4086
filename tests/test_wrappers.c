/* tests/test_wrappers.c - what cells around cells, both directions, masks and losses under masks compute. */
#include "tests/support.h"

#include "layers/layers.h"

typedef struct bench {
    tl_model *model;
    tl_tape *tape;
    tl_scope *s;
} bench;

static bench begin(bool training)
{
    bench b = { .model = tl_model_new(.dtype = TL_F64, .seed = 4) };
    b.tape = tl_tape_new(b.model, .training = training);
    b.s = tl_root(b.tape);
    return b;
}

static void end(bench b)
{
    cr_assert(tl_tape_status(b.tape) == TL_OK, "%s", tl_message());
    tl_tape_free(b.tape);
    tl_model_free(b.model);
    cr_assert(tl_live_bytes() == 0);
}

#define NOISE(s, ...) noise_of((s), TL_DIMS(__VA_ARGS__))
static tl_tensor noise_of(tl_scope *s, int rank, const int64_t *dim)
{
    double v[1024];
    uint64_t seed = 77;
    int64_t n = 1;
    for (int a = 0; a < rank; a++) n *= dim[a];
    for (int64_t i = 0; i < n; i++) v[i] = noise(&seed);
    return tl_const(s, rank, dim, v);
}

static void same(tl_tensor a, tl_tensor b)
{
    double *p = values_of(a), *q = values_of(b);
    cr_assert(tl_rank(a) == tl_rank(b) && tl_size(a) == tl_size(b));
    for (int64_t i = 0; i < tl_size(a); i++) cr_assert(p[i] == q[i], "[%d] is %.17g and %.17g", (int)i, p[i], q[i]);
    free(p);
    free(q);
}

static void values_are(tl_tensor x, const double *v)
{
    double *p = values_of(x);
    for (int64_t i = 0; i < tl_size(x); i++)
        cr_assert(fabs(p[i] - v[i]) <= 1e-12, "[%d] is %.17g, not %.17g", (int)i, p[i], v[i]);
    free(p);
}

/* y = h' = x + h: what happens is seen at once. */
static tl_tensor sum_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)s, (void)ctx;
    return *h = tl_add(x, *h);
}
static const tl_cell sums = { .step = sum_step };

/* y = x, h' = h + 1 */
static tl_tensor echo_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)s, (void)ctx;
    *h = tl_add_scalar(*h, 1);
    return x;
}
static const tl_cell echo = { .step = echo_step };

/* ---- cells around cells ------------------------------------------------------------------------------------------- */

Test(wrappers, residual_adds_the_input)
{
    const bench b = begin(false);
    const tl_tensor x = tl_const(b.s, TL_DIMS(3, 1, 1), (double[]){ 1, 10, 100 });
    values_are(tl_rnn(b.s, x, tl_residual_cell(b.s, sums), .units = 1, .return_sequences = true),
               (double[]){ 1 + 1, 10 + 11, 100 + 111 });
    end(b);
}

/* In training each number is the old one or the new one, in the share of the rate; else it is their mean. */
Test(wrappers, zoneout_keeps_its_share_of_the_old_state)
{
    for (int training = 0; training < 2; training++) {
        const bench b = begin(training);
        const tl_tensor x = tl_full(b.s, TL_DIMS(1, 100, 100), 1);
        tl_tensor final, zeros = tl_full(b.s, TL_DIMS(100, 100), 2);
        const tl_tensor y = tl_rnn(b.s, x, tl_zoneout_cell(b.s, sums, .rate = 0.3), .initial = &zeros, .final = &final);
        double *v = values_of(y), kept = 0;
        cr_assert(tl_is(y, final)); /* the output is the state, zoned out */
        for (int i = 0; i < 10000; i++) {
            cr_assert(training ? v[i] == 2 || v[i] == 3 : fabs(v[i] - 2.7) < 1e-12);
            kept += v[i] == 2;
        }
        if (training) cr_assert(fabs(kept / 10000 - 0.3) < 0.02); /* four deviations */
        free(v);
        end(b);
    }
}

Test(wrappers, zoneout_has_a_rate_for_each_state)
{
    const bench b = begin(false);
    const tl_tensor x = NOISE(b.s, 1, 2, 3);
    tl_tensor plain[2], zoned[2], initial[2] = { tl_full(b.s, TL_DIMS(2, 4), 0.5), tl_full(b.s, TL_DIMS(2, 4), -0.5) };
    const double rates[] = { 0, 0.25 };
    const tl_cell cell = tl_lstm_cell(b.s), around = tl_zoneout_cell(b.s, cell, .rates = rates);
    tl_rnn(b.s, x, cell, .initial = initial, .final = plain);
    tl_rnn(tl_again(b.s), x, around, .initial = initial, .final = zoned);
    same(zoned[0], plain[0]);
    same(zoned[1], tl_lerp(plain[1], initial[1], tl_full(b.s, TL_SCALAR, 0.25)));
    end(b);
}

/* Which of x's ones passed, as bits of each step. */
static void passed_of(tl_tensor y, unsigned passed[2])
{
    double *v = values_of(y);
    for (int t = 0; t < 2; t++) {
        passed[t] = 0;
        for (int i = 0; i < 24; i++) passed[t] |= (unsigned)(v[t * 24 + i] != 0) << i;
    }
    free(v);
}

Test(wrappers, dropout_masks_are_fresh_or_the_same_all_along)
{
    for (int variational = 0; variational < 2; variational++) {
        const bench b = begin(true);
        const tl_tensor x = tl_full(b.s, TL_DIMS(2, 2, 12), 1);
        unsigned in[2], out[2], state[2];
        passed_of(tl_rnn(b.s, x, tl_dropout_cell(b.s, echo, .input = 0.5, .variational = variational), .units = 1,
                         .return_sequences = true, .name = "in"),
                  in);
        passed_of(tl_rnn(b.s, x, tl_dropout_cell(b.s, echo, .output = 0.5, .variational = variational), .units = 1,
                         .return_sequences = true, .name = "out"),
                  out);
        cr_assert((in[0] == in[1]) == variational && (out[0] == out[1]) == variational);
        cr_assert(in[0] && in[0] != 0xffffff && in[0] != out[0]);
        const tl_tensor ones = tl_full(b.s, TL_DIMS(2, 12), 1);
        tl_tensor each[2];
        tl_rnn(b.s, tl_scale(x, 0), tl_dropout_cell(b.s, sums, .state = 0.5, .variational = variational),
               .initial = &ones, .each = each);
        passed_of(tl_stack(2, each, 0), state);
        cr_assert(variational ? state[0] == state[1] : (state[0] & state[1]) == state[1] && state[0] != state[1]);
        double *v = values_of(each[0]);
        for (int i = 0; i < 24; i++) cr_assert(v[i] == 0 || v[i] == 2);
        free(v);
        end(b);
    }
}

Test(wrappers, a_stack_is_layer_upon_layer)
{
    const bench b = begin(false);
    const tl_tensor x = NOISE(b.s, 3, 2, 4);
    const tl_cell cell[] = { tl_lstm_cell(b.s), tl_gru_cell(b.s) };
    tl_tensor final[3];
    const tl_tensor y = tl_rnn(b.s, x, tl_stack_cell(b.s, 2, cell, .units = (int64_t[]){ 5, 3 }), .final = final,
                               .return_sequences = true);
    tl_scope *again = tl_step(tl_in(b.s, "rnn"), 9); /* the same parameters, which belong to steps */
    tl_tensor h[3], out[3];
    tl_start(tl_in(again, "0"), cell[0], tl_at(x, 0), 5, h);
    tl_start(tl_in(again, "1"), cell[1], h[0], 3, h + 2);
    for (int t = 0; t < 3; t++) out[t] = tl_at(x, t);
    for (int i = 0; i < 2; i++)
        for (int t = 0; t < 3; t++)
            out[t] = tl_call(tl_in(tl_step(tl_in(b.s, "rnn"), 10 + t), i ? "1" : "0"), cell[i], out[t], h + 2 * i);
    same(y, tl_stack(3, out, 0));
    for (int k = 0; k < 3; k++) same(final[k], h[k]);
    cr_assert(tl_dim(final[0], 1) == 5 && tl_dim(final[2], 1) == 3);
    end(b);
}

static void wide_start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *h, const void *ctx)
{
    (void)units, (void)ctx;
    *h = tl_full(s, TL_DIMS(tl_dim(x, 0), tl_dim(x, 1)), 0);
}

/* What starts by the width of its input is told that of the cell below. */
Test(wrappers, a_cell_in_a_stack_starts_on_the_output_below)
{
    const bench b = begin(false);
    const tl_cell wide = { .step = sum_step, .start = wide_start };
    const tl_tensor x = NOISE(b.s, 3, 2, 4);
    const tl_cell cells[] = { tl_gru_cell(b.s), wide };
    const tl_tensor y = tl_rnn(b.s, x, tl_stack_cell(b.s, 2, cells), .units = 5);
    cr_assert(tl_dim(y, 1) == 5);
    end(b);
}

Test(wrappers, learned_initial_states_are_added_and_learned)
{
    const bench b = begin(false);
    const tl_tensor x = NOISE(b.s, 1, 2, 3);
    tl_rnn(b.s, x, tl_learned_start_cell(b.s, sums), .units = 3);
    tl_tensor p, d;
    cr_assert(tl_params(b.s, "rnn/initial0", &p, 1) == 1);
    cr_assert(tl_rank(p) == 2 && tl_dim(p, 0) == 1 && tl_dim(p, 1) == 3);
    tl_grad(tl_rnn(tl_again(b.s), x, tl_learned_start_cell(b.s, sums), .units = 3), &p, 1, &d);
    values_are(d, (double[]){ 2, 2, 2 });
    end(b);
}

/* ---- layers over sequences ---------------------------------------------------------------------------------------- */

Test(wrappers, both_directions_are_merged)
{
    const bench b = begin(false);
    const tl_tensor x = tl_const(b.s, TL_DIMS(3, 1, 1), (double[]){ 1, 10, 100 });
    const double merged[][6] = { { 1, 111, 11, 110, 111, 100 }, /* concat: the default */
                                 { 1, 111, 11, 110, 111, 100 }, { 112, 121, 211 }, { 56, 60.5, 105.5 },
                                 { 111, 1210, 11100 },          { 1, 11, 111 } };
    for (int merge = 0; merge <= TL_MERGE_NONE; merge++) {
        tl_tensor out[2], final[2];
        values_are(tl_bidirectional(b.s, x, sums, .units = 1, .merge = merge, .return_sequences = true, .outputs = out,
                                    .final = final),
                   merged[merge]);
        values_are(out[1], (double[]){ 111, 110, 100 });
        values_are(final[0], (double[]){ 111 });
        values_are(final[1], (double[]){ 111 });
    }
    values_are(tl_bidirectional(b.s, x, sums, .units = 1, .backward = &echo), (double[]){ 111, 1 });
    end(b);
}

/* All outputs are zero in the padding, a last one repeats what came before it unless zero is asked for. */
Test(wrappers, both_directions_put_out_zeros_in_the_padding)
{
    const bench b = begin(false);
    const tl_tensor x = tl_const(b.s, TL_DIMS(3, 1, 1), (double[]){ 1, 10, 100 });
    const tl_tensor n = tl_ids_const(b.s, TL_DIMS(1), (int32_t[]){ 2 });
    values_are(tl_bidirectional(b.s, x, sums, .units = 1, .lengths = n, .return_sequences = true),
               (double[]){ 1, 11, 11, 10, 0, 0 });
    values_are(tl_bidirectional(b.s, x, sums, .units = 1, .lengths = n), (double[]){ 11, 11 });
    values_are(tl_bidirectional(b.s, x, sums, .units = 1, .lengths = n, .zero_output = true), (double[]){ 0, 0 });
    const tl_tensor mask = tl_const(b.s, TL_DIMS(3, 1), (double[]){ 1, 1, 0 });
    values_are(tl_bidirectional(b.s, x, sums, .units = 1, .mask = mask, .return_sequences = true),
               (double[]){ 1, 11, 11, 10, 0, 0 });
    end(b);
}

static tl_tensor a_dense(tl_scope *s, tl_tensor x, const void *ctx)
{
    return tl_dense(s, x, .units = *(const int *)ctx);
}

Test(wrappers, time_distributed_is_the_layer_at_each_step)
{
    const bench b = begin(false);
    const int units = 5;
    const tl_tensor x = tl_masked(NOISE(b.s, 3, 2, 4), tl_ids_const(b.s, TL_DIMS(2), (int32_t[]){ 3, 1 }));
    const tl_tensor y = tl_time_distributed(b.s, x, a_dense, &units, .name = "td");
    tl_tensor W;
    cr_assert(tl_params(b.s, "td/dense/W", &W, 1) == 1);
    same(y, tl_matmul(x, W)); /* the bias is zero */
    cr_assert(tl_is(tl_mask_of(y), tl_mask_of(x)));
    end(b);
}

/* ---- padding ------------------------------------------------------------------------------------------------------ */

static const double ones_and_more[] = { 1, 1, 10, 10, 100, 100, 1000, 1000 }; /* [4, 2, 1] */

/* Left padding, right padding and a hole: the outputs of Keras on TensorFlow. */
Test(masks, states_stay_and_outputs_repeat)
{
    const bench b = begin(false);
    const tl_tensor x = tl_const(b.s, TL_DIMS(4, 2, 1), ones_and_more);
    const tl_tensor mask = tl_const(b.s, TL_DIMS(4, 2), (double[]){ 0, 1, 1, 0, 1, 1, 0, 0 });
    const tl_tensor h = tl_full(b.s, TL_DIMS(2, 1), 5);
    tl_tensor final, each[4];
    values_are(tl_rnn(b.s, x, sums, .mask = mask, .initial = &h, .return_sequences = true, .final = &final),
               (double[]){ 0, 6, 15, 6, 115, 106, 115, 106 }); /* zero, not 5, before the first real step */
    values_are(final, (double[]){ 115, 106 });
    values_are(tl_rnn(b.s, x, sums, .mask = mask, .initial = &h), (double[]){ 115, 106 });
    values_are(tl_rnn(b.s, x, sums, .mask = mask, .initial = &h, .zero_output = true, .each = each),
               (double[]){ 0, 0 });
    values_are(tl_stack(4, each, 0), (double[]){ 0, 6, 15, 0, 115, 106, 0, 0 });
    values_are(tl_rnn(b.s, x, sums, .mask = mask, .initial = &h, .go_backwards = true, .return_sequences = true),
               (double[]){ 0, 0, 105, 105, 115, 105, 115, 106 });
    end(b);
}

Test(masks, lengths_run_backwards_within_the_row)
{
    const bench b = begin(false);
    const tl_tensor x = tl_const(b.s, TL_DIMS(4, 2, 1), ones_and_more);
    const tl_tensor n = tl_ids_const(b.s, TL_DIMS(2), (int32_t[]){ 2, 3 });
    tl_tensor y = tl_rnn(b.s, x, sums, .units = 1, .lengths = n, .go_backwards = true, .return_sequences = true);
    values_are(y, (double[]){ 10, 100, 11, 110, 11, 111, 11, 111 });
    y = tl_rnn(b.s, x, sums, .units = 1, .lengths = n, .go_backwards = true, .return_sequences = true,
               .keep_order = true, .zero_output = true);
    values_are(y, (double[]){ 11, 111, 10, 110, 0, 100, 0, 0 });
    cr_assert(tl_is(tl_mask_of(y), n));
    end(b);
}

Test(masks, are_handed_from_layer_to_layer)
{
    const bench b = begin(true);
    const tl_tensor n = tl_ids_const(b.s, TL_DIMS(2), (int32_t[]){ 2, 3 });
    const tl_tensor mask = tl_const(b.s, TL_DIMS(3, 2), (double[]){ 1, 1, 1, 1, 0, 1 });
    const tl_tensor x = tl_masked(NOISE(b.s, 3, 2, 4), n);
    cr_assert(tl_is(tl_mask_of(x), n));
    cr_assert(tl_absent(tl_mask_of(tl_masked(x, TL_NONE))));
    tl_tensor y = tl_dropout(b.s, tl_dense(b.s, x, .units = 4, .activation = tl_tanh), .rate = 0.5);
    cr_assert(tl_is(tl_mask_of(y), n));
    y = tl_bidirectional(b.s, y, tl_gru_cell(b.s), .units = 3, .return_sequences = true);
    cr_assert(tl_is(tl_mask_of(y), n));
    cr_assert(tl_absent(tl_mask_of(tl_gru(b.s, y, .units = 3))));
    y = tl_rnn(b.s, tl_masked(x, mask), sums, .units = 4, .return_sequences = true);
    cr_assert(tl_is(tl_mask_of(y), mask));
    y = tl_rnn(b.s, tl_masked(x, mask), sums, .units = 4, .return_sequences = true, .go_backwards = true);
    values_are(tl_mask_of(y), (double[]){ 0, 1, 1, 1, 1, 1 });                    /* in the order of the outputs */
    y = tl_rnn(b.s, x, sums, .units = 4, .return_sequences = true, .mask = mask); /* what is said goes before */
    cr_assert(tl_is(tl_mask_of(y), mask));
    end(b);
}

/* Through what acts on each step and row alone, and through nothing else. */
Test(masks, pass_through_elementwise_operations)
{
    const bench b = begin(true);
    const tl_tensor n = tl_ids_const(b.s, TL_DIMS(2), (int32_t[]){ 2, 3 }),
                    other = tl_ids_const(b.s, TL_DIMS(2), (int32_t[]){ 1, 1 });
    const tl_tensor plain = NOISE(b.s, 3, 2, 4), x = tl_masked(plain, n), row = NOISE(b.s, 4);
    const tl_tensor carry[] = {
        tl_tanh(x),
        tl_add(plain, tl_mul(x, row)), /* a residual */
        tl_softmax(x),
        tl_layer_norm(x, row, row, 1e-3),
        tl_concat(2, (tl_tensor[]){ plain, x }, -1),
        tl_where(tl_greater(x, plain), plain, plain),
    };
    for (int k = 0; k < COUNT(carry); k++) cr_assert(tl_is(tl_mask_of(carry[k]), n), "%d", k);
    const tl_tensor drop[] = {
        tl_add(x, tl_masked(plain, other)), /* whose? */
        tl_flip(x, 0),
        tl_slice(x, 0, 0, 2),
        tl_permute(x, (int[]){ 1, 0, 2 }),
        tl_concat(2, (tl_tensor[]){ x, x }, 0),
        tl_sum(x, TL_AXES(-1)),
        tl_add(plain, tl_sum_keep(x, TL_AXES(0))),
        tl_tanh(plain),
        tl_add(plain, tl_masked(tl_slice(plain, 0, 0, 1), n)), /* one step for all */
    };
    for (int k = 0; k < COUNT(drop); k++) cr_assert(tl_absent(tl_mask_of(drop[k])), "%d", k);
    tl_tensor far = x;
    for (int k = 0; k < 1000; k++) far = tl_neg(far), k % 50 || (tl_mask_of(far), 0);
    cr_assert(tl_is(tl_mask_of(far), n));
    tl_tensor twice[] = { x, plain }; /* 2^100 ways back: this does not end if they are gone one by one */
    for (int k = 0; k < 100; k++) twice[0] = tl_add(twice[0], twice[0]), twice[1] = tl_add(twice[1], twice[1]);
    cr_assert(tl_is(tl_mask_of(twice[0]), n));
    cr_assert(tl_absent(tl_mask_of(twice[1])));
    end(b);
}

/* h' = tanh(h + x), which emits its square: of real steps alone. */
static tl_tensor telling_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    *h = tl_tanh(tl_add(*h, x));
    if (ctx) tl_emit(s, "loss", tl_sum(tl_square(*h), TL_ALL));
    else tl_emit(s, "loss", tl_sum(tl_square(*h), TL_AXES(-1)));
    return *h;
}

Test(masks, padded_steps_emit_nothing)
{
    double loss[3];
    for (int T = 3; T < 6; T++) {
        const bench b = begin(false);
        const tl_tensor n = tl_ids_const(b.s, TL_DIMS(2), (int32_t[]){ 3, 1 });
        const tl_tensor x = tl_slice(NOISE(b.s, 5, 2, 3), 0, 0, T);
        tl_rnn(b.s, x, ((tl_cell){ .step = telling_step }), .units = 3, .lengths = n);
        values_are(tl_slice(tl_at(tl_collect(tl_in(b.s, "rnn"), "loss"), 1), 0, 1, 2), (double[]){ 0 });
        loss[T - 3] = tl_eval(tl_total_loss(b.s, TL_NONE));
        end(b);
    }
    cr_assert(loss[0] > 0 && loss[0] == loss[1] && loss[0] == loss[2]);
}

/* Neither a NaN nor an id of no word in the padding matters, to the loss or to a gradient. */
Test(masks, a_loss_is_the_mean_over_what_is_real)
{
    const bench b = begin(false);
    const tl_tensor z = tl_masked(NOISE(b.s, 2, 2, 3), tl_ids_const(b.s, TL_DIMS(2), (int32_t[]){ 2, 1 }));
    const tl_tensor ids = tl_ids_const(b.s, TL_DIMS(2, 2), (int32_t[]){ 0, 2, 1, -100 });
    const tl_tensor real = tl_slice(tl_reshape(z, TL_DIMS(4, 3)), 0, 0, 3);
    const tl_tensor loss = tl_cross_entropy(z, ids);
    values_are(tl_sub(loss, tl_cross_entropy(real, tl_ids_const(b.s, TL_DIMS(3), (int32_t[]){ 0, 2, 1 }))),
               (double[]){ 0 });
    const tl_tensor target = tl_const(b.s, TL_DIMS(2, 2, 3), (double[]){ 1, 2, 3, 4, 5, 6, 7, 8, 9, NAN, NAN, NAN });
    const tl_tensor mse = tl_mse(z, target);
    values_are(tl_sub(mse, tl_mse(real, tl_slice(tl_reshape(target, TL_DIMS(4, 3)), 0, 0, 3))), (double[]){ 0 });
    tl_tensor d;
    tl_grad(tl_add(mse, loss), &z, 1, &d);
    double *v = values_of(d);
    for (int i = 0; i < 12; i++) cr_assert(i < 9 ? isfinite(v[i]) && v[i] != 0 : v[i] == 0);
    free(v);
    const tl_tensor nan = tl_where(tl_const(b.s, TL_DIMS(2, 2, 1), (double[]){ 1, 1, 1, 0 }), z, tl_full_like(z, NAN));
    tl_grad(tl_cross_entropy(tl_masked(nan, tl_mask_of(z)), ids), &z, 1, &d);
    v = values_of(d);
    for (int i = 0; i < 12; i++) cr_assert(i < 9 ? isfinite(v[i]) : v[i] == 0);
    free(v);
    const tl_tensor nothing = tl_masked(z, tl_ids_const(b.s, TL_DIMS(2), (int32_t[]){ 0, 0 }));
    values_are(tl_cross_entropy(nothing, ids), (double[]){ 0 });
    end(b);
}

Test(masks, lengths_are_run_time_inputs)
{
    const bench b = begin(false);
    float x[] = { 1, 1, 10, 10, 100, 100 };
    int32_t n[] = { 1, 2 };
    tl_model *model = tl_model_new();
    tl_tape *tape = tl_tape_new(model);
    const tl_array in[] = { FLOATS(x, 3, 2, 1), IDS(n, 2) };
    const tl_tensor tx = tl_input(tl_root(tape), "x", in[0]);
    const tl_tensor tn = tl_input(tl_root(tape), "n", in[1]);
    tl_output(tl_root(tape), "y", tl_rnn(tl_root(tape), tx, sums, .units = 1, .lengths = tn));
    tl_plan *plan = tl_compile(tape);
    tl_session *s = tl_session_new(model);
    tl_array y;
    for (int k = 0; k < 4; k++) {
        n[0] = k, n[1] = 3 - k;
        cr_assert(tl_run(s, plan, in, 2) == TL_OK && tl_get(s, "y", &y) == TL_OK);
        const float sum[] = { 0, 1, 11, 111 };
        cr_assert(((float *)y.data)[0] == sum[k] && ((float *)y.data)[1] == sum[3 - k]);
    }
    n[0] = 4;
    cr_assert(tl_run(s, plan, in, 2) == TL_E_INDEX);
    tl_session_free(s);
    tl_plan_free(plan);
    tl_tape_free(tape);
    tl_model_free(model);
    end(b);
}

/* ---- truncated BPTT ----------------------------------------------------------------------------------------------- */

Test(truncate, gradients_end_at_the_border_of_chunks)
{
    const bench b = begin(false);
    const tl_tensor x = tl_const(b.s, TL_DIMS(5, 1, 1), (double[]){ 1, 2, 3, 4, 5 });
    tl_tensor d;
    const tl_tensor y = tl_rnn(b.s, x, sums, .units = 1, .return_sequences = true, .truncate = 2);
    values_are(y, (double[]){ 1, 3, 6, 10, 15 });
    tl_grad(y, &x, 1, &d);
    values_are(d, (double[]){ 2, 1, 2, 1, 1 });
    tl_grad(tl_rnn(tl_again(b.s), x, sums, .units = 1, .return_sequences = true, .truncate = TL_ZERO), &x, 1, &d);
    values_are(d, (double[]){ 5, 4, 3, 2, 1 });
    end(b);
}

/* ---- what the engine lends for this ------------------------------------------------------------------------------- */

Test(engine, parameters_are_listed_by_pattern_below_a_scope)
{
    const bench b = begin(false);
    const tl_tensor x = NOISE(b.s, 3, 2, 4);
    tl_scope *enc = tl_in(b.s, "enc");
    tl_lstm(enc, x, .units = 3);
    tl_dense(b.s, x, .units = 3, .name = "encoder");
    tl_tensor p[20];
    cr_assert(tl_params(b.s, NULL, p, 20) == 14 && tl_params(b.s, NULL, NULL, 0) == 14);
    cr_assert(tl_params(enc, NULL, p, 20) == 12 && tl_params(enc, "lstm/?/W", p, 20) == 4);
    cr_assert(tl_params(b.s, "*/W", p, 2) == 5 && tl_params(b.s, "none", p, 20) == 0);
    cr_assert(tl_dim(p[0], 0) == 4 && tl_dim(p[0], 1) == 3);
    end(b);
}

Test(engine, steady_numbers_are_the_same_at_each_step_and_differ_otherwise)
{
    const bench b = begin(true);
    double v[8];
    for (int k = 0; k < 8; k++) {
        tl_scope *q = tl_step(tl_in(b.s, k < 4 ? "a" : "b"), k % 2);
        q = k / 2 % 2 ? tl_in(tl_steady(q), "m") : tl_steady(q);
        v[k] = tl_eval(tl_random_uniform(q, TL_SCALAR));
    }
    cr_assert(v[0] == v[1] && v[2] == v[3] && v[4] == v[5]);
    cr_assert(v[0] != v[2] && v[0] != v[4]);
    tl_scope *q = tl_step(tl_in(b.s, "a"), 0);
    const double second = tl_eval(tl_random_uniform(tl_steady(q), TL_SCALAR));
    cr_assert(second != v[0] && second != tl_eval(tl_random_uniform(q, TL_SCALAR)));
    tl_scope *inner = tl_step(tl_in(tl_steady(q), "inner"), 0), *other = tl_step(tl_in(tl_steady(q), "inner"), 1);
    cr_assert(tl_eval(tl_random_uniform(inner, TL_SCALAR)) != tl_eval(tl_random_uniform(other, TL_SCALAR)));
    end(b);
}

/* ---- bad input ---------------------------------------------------------------------------------------------------- */

typedef void misuse(tl_scope *s, tl_tensor x, tl_tensor mask, tl_tensor lengths);

static void refused(misuse *call, tl_status status, const char *words)
{
    const bench b = begin(true);
    const tl_tensor x = NOISE(b.s, 3, 2, 4), mask = tl_full(b.s, TL_DIMS(3, 2), 1);
    call(b.s, x, mask, tl_ids_const(b.s, TL_DIMS(2), (int32_t[]){ 2, 1 }));
    cr_assert(tl_tape_status(b.tape) == status, "%s: %s", tl_status_name(tl_tape_status(b.tape)), tl_message());
    cr_has(tl_message(), words);
    cr_has(tl_message(), "test_wrappers.c:");
    tl_tape_free(b.tape);
    tl_model_free(b.model);
    cr_assert(tl_live_bytes() == 0);
}

#define MISUSE(name, ...)                                                                                              \
    static void name(tl_scope *s, tl_tensor x, tl_tensor mask, tl_tensor lengths)                                      \
    {                                                                                                                  \
        (void)s, (void)x, (void)mask, (void)lengths;                                                                   \
        __VA_ARGS__;                                                                                                   \
    }
MISUSE(both_given, tl_lstm(s, x, .units = 3, .mask = mask, .lengths = lengths))
MISUSE(mask_of_rows, tl_lstm(s, x, .units = 3, .mask = lengths))
MISUSE(mask_too_long, tl_lstm(s, x, .units = 3, .mask = tl_pad(mask, 0, 0, 1)))
MISUSE(float_lengths, tl_lstm(s, x, .units = 3, .lengths = tl_at(mask, 0)))
MISUSE(carried_mask, tl_masked(x, tl_at(mask, 0)))
MISUSE(mask_of_a_vector, tl_masked(tl_at(tl_at(x, 0), 0), lengths))
MISUSE(absent_masked, tl_add(tl_masked(TL_NONE, lengths), x))
MISUSE(bad_truncate, tl_lstm(s, x, .units = 3, .truncate = -1))
MISUSE(rate_of_one, tl_zoneout_cell(s, sums, .rate = 1))
MISUSE(rate_of_a_state, tl_zoneout_cell(s, sums, .rates = (double[]){ -0.5 }))
MISUSE(rate_of_nan, tl_dropout_cell(s, sums, .state = NAN))
MISUSE(no_cells, tl_rnn(s, x, tl_stack_cell(s, 0, &sums), .units = 3))
MISUSE(null_cells, tl_rnn(s, x, tl_stack_cell(s, 2, NULL), .units = 3))
MISUSE(no_step_inside, tl_rnn(s, x, tl_stack_cell(s, 1, &(tl_cell){ 0 }), .units = 3))
MISUSE(no_units_above, tl_rnn(s, x, tl_stack_cell(s, 2, ((tl_cell[]){ sums, sums }), .units = (int64_t[]){ 4, 0 })))
MISUSE(no_cell_inside, tl_rnn(s, x, tl_residual_cell(s, (tl_cell){ 0 }), .units = 3))
MISUSE(residual_of_one_column, tl_rnn(s, x, tl_residual_cell(s, tl_mgu_cell()), .units = 1))
MISUSE(residual_too_narrow, tl_rnn(s, x, tl_residual_cell(s, tl_mgu_cell()), .units = 3))
MISUSE(no_such_merge, tl_bidirectional(s, x, sums, .units = 3, .merge = (tl_merge)6))
MISUSE(widths_to_sum, tl_bidirectional(s, x, tl_mgu_cell(), .units = 3, .backward = &echo, .merge = TL_MERGE_SUM))
MISUSE(no_layer, tl_time_distributed(s, x, NULL, NULL))
static const tl_cell telling = { .step = telling_step, .ctx = "one number for all rows" };
MISUSE(scalar_emission, tl_rnn(s, x, telling, .units = 4, .lengths = lengths))
static tl_tensor shrinking_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)s, (void)ctx;
    return *h = tl_add(tl_mean_keep(*h, TL_AXES(-1)), tl_mean_keep(x, TL_AXES(-1)));
}
static const tl_cell shrinking = { .step = shrinking_step };
MISUSE(shrinking_state, tl_rnn(s, x, shrinking, .units = 4, .lengths = lengths))
static tl_tensor scalar_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)s, (void)ctx, (void)h;
    return tl_sum(x, TL_ALL);
}
static const tl_cell scalar = { .step = scalar_step };
MISUSE(scalar_output, tl_rnn(s, x, scalar, .units = 4, .mask = mask))
static tl_tensor silent_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)s, (void)ctx, (void)h;
    if (!ctx) *h = TL_NONE;
    return ctx ? TL_NONE : x;
}
static const tl_cell silent = { .step = silent_step, .ctx = "no output" }, forgetful = { .step = silent_step };
MISUSE(no_output, tl_rnn(s, x, silent, .units = 4))
MISUSE(no_state, tl_rnn(s, x, forgetful, .units = 4))
MISUSE(mask_of_a_step, tl_step_mask(tl_step(s, 0), mask))
MISUSE(no_scope_for_a_cell, tl_rnn(s, x, tl_residual_cell(NULL, sums), .units = 3))

/* .initial and .final are one short of what that would need. */
static void another_number_of_states(tl_scope *s, tl_tensor x, tl_tensor mask, tl_tensor lengths)
{
    (void)mask, (void)lengths;
    tl_tensor *state = malloc(2 * sizeof *state);
    state[0] = state[1] = tl_full(s, TL_DIMS(2, 4), 0);
    tl_bidirectional(s, x, tl_gru_cell(s), .units = 4,
                     .backward = &(tl_cell){ .step = tl_lstm_cell(s).step, .states = 2 }, .initial = state,
                     .final = state);
    free(state);
}

/* A mask must not stretch them over all steps. */
MISUSE(ids_of_a_step, tl_cross_entropy(tl_masked(x, lengths), lengths))

Test(wrappers, refuse_what_makes_no_sense)
{
    refused(both_given, TL_E_ARGUMENT, ".mask and .lengths");
    refused(mask_of_rows, TL_E_SHAPE, ".mask");
    refused(mask_too_long, TL_E_SHAPE, "[4,2] is not [T, B]");
    refused(float_lengths, TL_E_SHAPE, ".lengths");
    refused(carried_mask, TL_E_SHAPE, "[2] is neither");
    refused(mask_of_a_vector, TL_E_SHAPE, "neither");
    refused(absent_masked, TL_E_ABSENT, "absent");
    refused(bad_truncate, TL_E_ARGUMENT, ".truncate = -1");
    refused(rate_of_one, TL_E_ARGUMENT, ".rate = 1");
    refused(rate_of_a_state, TL_E_ARGUMENT, ".rates = -0.5");
    refused(rate_of_nan, TL_E_ARGUMENT, ".state = nan");
    refused(no_cells, TL_E_ARGUMENT, "at least one");
    refused(null_cells, TL_E_ARGUMENT, "at least one");
    refused(no_step_inside, TL_E_ARGUMENT, "cell 0 has no .step");
    refused(no_units_above, TL_E_ARGUMENT, ".units");
    refused(no_cell_inside, TL_E_ARGUMENT, "no .step");
    refused(residual_of_one_column, TL_E_SHAPE, "residual_cell: x [2,4] and the cell's output [2,1] differ");
    refused(residual_too_narrow, TL_E_SHAPE, "[2,4]");
    refused(no_such_merge, TL_E_ARGUMENT, ".merge = 6");
    refused(another_number_of_states, TL_E_ARGUMENT, ".backward has 2 states, and the cell 1");
    refused(ids_of_a_step, TL_E_SHAPE, "cross_entropy: ids [2] do not name one class for each of logits [3,2,4]");
    refused(widths_to_sum, TL_E_SHAPE, "add");
    refused(no_layer, TL_E_ARGUMENT, "no layer");
    refused(scalar_emission, TL_E_SHAPE, "rnn/loss [] has not one row");
    refused(shrinking_state, TL_E_SHAPE, "state 0 [2,1] of [2,4]");
    refused(scalar_output, TL_E_SHAPE, "output");
    refused(no_output, TL_E_ABSENT, "no output");
    refused(no_state, TL_E_ABSENT, "state 0 absent");
    refused(mask_of_a_step, TL_E_SHAPE, "tl_step_mask");
    refused(no_scope_for_a_cell, TL_E_ARGUMENT, "no .step");
}

static tl_tensor everything(tl_scope *s, tl_tensor x, tl_tensor n)
{
    tl_cell c = tl_zoneout_cell(s, tl_dropout_cell(s, tl_lstm_cell(s), .state = 0.5, .variational = true), .rate = 0.5);
    c = tl_residual_cell(s, tl_learned_start_cell(s, tl_stack_cell(s, 2, ((tl_cell[]){ c, tl_gru_cell(s) }))));
    const tl_tensor y = tl_bidirectional(s, tl_masked(x, n), c, .units = 4, .return_sequences = true, .truncate = 2);
    return tl_mse(tl_time_distributed(s, y, a_dense, &(int){ 8 }), tl_full_like(y, 0.5));
}

Test(wrappers, every_allocation_may_fail)
{
    bool passed = false;
    for (uint64_t k = 1; !passed && k < 4000; k++) {
        tl_model *model = tl_model_new();
        tl_fail_allocation(k);
        tl_tape *tape = tl_tape_new(model, .training = true);
        if (tape) {
            tl_scope *s = tl_root(tape);
            const tl_tensor x = tl_input(s, "x", (tl_array){ .dtype = TL_F32, .rank = 3, .dim = { 3, 2, 4 } });
            const tl_tensor n = tl_input(s, "n", (tl_array){ .dtype = TL_I32, .rank = 1, .dim = { 2 } });
            tl_backward(everything(s, x, n));
            passed = tl_tape_status(tape) == TL_OK;
            cr_assert(passed || tl_tape_status(tape) == TL_E_MEMORY, "%s", tl_message());
        }
        tl_fail_allocation(0);
        tl_tape_free(tape);
        tl_model_free(model);
        cr_assert(tl_live_bytes() == 0, "allocation %d", (int)k);
    }
    cr_assert(passed);
}
