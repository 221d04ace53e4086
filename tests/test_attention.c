/* tests/test_attention.c - attention against its formulas, its masks, memories, the cell around a cell. */
#include "layers/layers.h"
#include "support.h"

/* ---- running a model function ------------------------------------------------------------------------------------ */

enum { T = 5, S = 6, B = 3, D = 4, V = 5, SCORES = 6, MULTI_HEAD = SCORES, KINDS };

/* Queries [T, B, D], values [S, B, V], keys [S, B, D], lengths [B] */
enum { QUERY, VALUE, KEY, LENGTHS, INPUTS };

typedef struct inputs {
    double query[T * B * D], value[S * B * V], key[S * B * D];
    int32_t lengths[B];
    tl_array in[INPUTS];
} inputs;

static inputs *random_inputs(uint64_t seed)
{
    inputs *x = malloc(sizeof *x);
    for (int i = 0; i < T * B * D; i++) x->query[i] = noise(&seed);
    for (int i = 0; i < S * B * V; i++) x->value[i] = noise(&seed);
    for (int i = 0; i < S * B * D; i++) x->key[i] = noise(&seed);
    memcpy(x->lengths, (int32_t[]){ 4, 0, S }, sizeof x->lengths); /* row 1 has nothing to look at */
    x->in[QUERY] = DOUBLES(x->query, T, B, D);
    x->in[VALUE] = DOUBLES(x->value, S, B, V);
    x->in[KEY] = DOUBLES(x->key, S, B, D);
    x->in[LENGTHS] = IDS(x->lengths, B);
    return x;
}

/* The result of a model function, after every parameter was drawn anew (the same for the same paths). */
static double *run(tl_model *model, tl_model_fn fn, const tl_array *in, void *user, bool training)
{
    double *y = NULL;
    for (int pass = 0; pass < 2; pass++) {
        tl_tensor x[INPUTS];
        tl_tape *tape = tl_tape_new(model, .training = training);
        tl_scope *s = tl_root(tape);
        for (int k = 0; k < INPUTS; k++) x[k] = tl_input(s, "in", in[k]);
        const tl_tensor out = fn(s, x, user);
        if (pass) y = values_of(out);
        tl_output(s, "y", out);
        tl_plan *plan = tl_compile(tape); /* makes the parameters */
        cr_assert(plan, "%s", tl_message());
        tl_plan_free(plan);
        for (int k = 0; !pass && k < tl_model_count(model); k++) {
            const tl_param_info *p = tl_model_param(model, k);
            uint64_t seed = 77;
            for (const char *c = p->name; *c; c++) seed = seed * 31 + (uint64_t)*c;
            for (int64_t i = 0; i < p->size; i++) ((double *)tl_model_values(model))[p->offset + i] = noise(&seed);
        }
        tl_tape_free(tape);
    }
    return y;
}

static void same_bits(const double *a, const double *b, int64_t n, const char *what, int kind)
{
    for (int64_t i = 0; i < n; i++)
        cr_assert(a[i] == b[i], "%s, kind %d: element %d is %.17g and %.17g", what, kind, (int)i, a[i], b[i]);
}

/* One kind of attention: a score, or heads. */
typedef struct kind {
    int score;
    bool masked, causal, query_mask;
    tl_tensor *weights;
    double dropout;
} kind;

static tl_tensor kind_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const kind *k = user;
    const tl_tensor lengths = k->masked ? in[LENGTHS] : TL_NONE;
    if (k->score == MULTI_HEAD)
        return tl_multi_head_attention(s, in[QUERY], in[VALUE], .key = in[KEY], .heads = 2, .value_units = 3,
                                       .units = V, .key_lengths = lengths, .causal = k->causal, .weights = k->weights,
                                       .dropout = k->dropout);
    return tl_attention(s, in[QUERY], in[VALUE], .key = in[KEY], .score = (tl_score)k->score, .key_lengths = lengths,
                        .causal = k->causal, .weights = k->weights, .dropout = k->dropout,
                        .units = k->score == TL_SCORE_ADDITIVE ? 3 : 0,
                        .learned_scale = k->score != TL_SCORE_ADDITIVE && k->score != TL_SCORE_TANH);
}

static tl_memory memory_of(tl_scope *s, const tl_tensor *in, const kind *k)
{
    const tl_tensor lengths = k->masked ? in[LENGTHS] : TL_NONE;
    if (k->score == MULTI_HEAD)
        return tl_multi_head_memory(s, in[VALUE], .key = in[KEY], .heads = 2, .key_units = 2, .value_units = 3,
                                    .units = V, .key_lengths = lengths);
    return tl_attention_memory(s, in[VALUE], .key = in[KEY], .score = (tl_score)k->score, .key_lengths = lengths,
                               .units = k->score == TL_SCORE_ADDITIVE ? 3 : 0,
                               .learned_scale = k->score != TL_SCORE_ADDITIVE && k->score != TL_SCORE_TANH);
}

/* ---- formulas ---------------------------------------------------------------------------------------------------- */

/* Plain C for two scores that the fixtures do not have with keys of their own and lengths. */
Test(attention, is_the_sum_that_it_says)
{
    const inputs *x = random_inputs(1);
    for (int score = TL_SCORE_DOT; score <= TL_SCORE_SCALED_DOT; score++) {
        kind k = { .score = score, .masked = true };
        tl_model *model = tl_model_new(.dtype = TL_F64);
        const double *y = run(model, kind_fn, x->in, &k, false);
        const double scale = ((double *)tl_model_values(model))[0] * (score == TL_SCORE_DOT ? 1 : 0.5);
        for (int i = 0; i < T * B * V; i++) {
            const int b = i / V % B, t = i / V / B;
            double sum = 0, all = 0;
            for (int j = 0; j < x->lengths[b]; j++) {
                double q = 0;
                for (int d = 0; d < D; d++) q += x->query[(t * B + b) * D + d] * x->key[(j * B + b) * D + d];
                sum += exp(scale * q) * x->value[(j * B + b) * V + i % V], all += exp(scale * q);
            }
            const double want = all > 0 ? sum / all : 0;
            cr_assert(fabs(y[i] - want) <= 1e-13, "y[%d] = %.17g, not %.17g", i, y[i], want);
        }
        tl_model_free(model);
    }
}

/* ---- masks ------------------------------------------------------------------------------------------------------- */

Test(attention, padding_changes_no_bit_and_nothing_at_all_gives_zeros)
{
    for (int score = 0; score < KINDS; score++) {
        kind k = { .score = score, .masked = true };
        inputs *x = random_inputs(2), *z = random_inputs(2);
        for (int i = 0; i < S * B * V; i++) z->value[i] = i / V / B < z->lengths[i / V % B] ? z->value[i] : 1e3 + i;
        for (int i = 0; i < S * B * D; i++) z->key[i] = i / D / B < z->lengths[i / D % B] ? z->key[i] : -7 * i;
        tl_model *model = tl_model_new(.dtype = TL_F64);
        const double *a = run(model, kind_fn, x->in, &k, false), *b = run(model, kind_fn, z->in, &k, false);
        same_bits(a, b, T * B * V, "padding", score);
        const double *bias = NULL; /* what comes out of heads that see nothing */
        const int at = tl_model_find(model, "multi_head_attention/output/b");
        if (at >= 0) bias = (double *)tl_model_values(model) + tl_model_param(model, at)->offset;
        for (int i = 0; i < T * B * V; i++)
            cr_assert(i / V % B != 1 || a[i] == (bias ? bias[i % V] : 0), "kind %d: %g", score, a[i]);
        k.masked = false;
        const double *c = run(model, kind_fn, x->in, &k, false);
        int same = 0;
        for (int i = 0; i < T * B * V; i++) same += a[i] == c[i];
        cr_assert(same == T * V, "kind %d: the row without padding has its %d elements, but %d are the same", score,
                  T * V, same);
        tl_model_free(model);
    }
}

/* The result and its gradients by the three inputs and the parameters, in one row. */
static tl_tensor everything_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    kind k = *(const kind *)user;
    tl_tensor g[3], all[4], y;
    tl_tensor x[INPUTS];
    for (int i = 0; i < INPUTS; i++) x[i] = in[i];
    if (k.query_mask) x[QUERY] = tl_masked(in[QUERY], tl_slice(tl_length_mask(in[LENGTHS], S), 0, 0, T));
    y = kind_fn(s, x, &k);
    tl_tensor param[16], slope[16];
    const int n = tl_params(s, NULL, param, COUNT(param));
    const tl_tensor loss = tl_sum(tl_square(y), TL_ALL);
    tl_grad(loss, in, 3, g);
    tl_grad(loss, param, n, slope);
    all[0] = y, all[1] = g[0], all[2] = g[1], all[3] = g[2];
    for (int i = 0; i < COUNT(all); i++) all[i] = tl_reshape(all[i], TL_DIMS(-1));
    for (int i = 0; i < n; i++) slope[i] = tl_reshape(slope[i], TL_DIMS(-1));
    const tl_tensor results = tl_concat(COUNT(all), all, 0);
    return n ? tl_concat(2, (tl_tensor[]){ results, tl_concat(n, slope, 0) }, 0) : results;
}

static inputs *padded_with(double v)
{
    inputs *z = random_inputs(2);
    for (int i = 0; i < S * B * V; i++) z->value[i] = i / V / B < z->lengths[i / V % B] ? z->value[i] : v;
    for (int i = 0; i < S * B * D; i++) z->key[i] = i / D / B < z->lengths[i / D % B] ? z->key[i] : v;
    for (int i = 0; i < T * B * D; i++) z->query[i] = i / D / B < z->lengths[i / D % B] ? z->query[i] : v;
    return z;
}

Test(attention, nan_in_the_padding_reaches_no_result_and_no_gradient)
{
    for (int score = 0; score < KINDS; score++) {
        kind k = { .score = score, .masked = true, .query_mask = true };
        tl_model *model = tl_model_new(.dtype = TL_F64);
        inputs *garbage = padded_with(1e3), *nans = padded_with(NAN);
        const double *a = run(model, everything_fn, garbage->in, &k, false),
                     *b = run(model, everything_fn, nans->in, &k, false);
        const int64_t n = T * B * V + T * B * D + S * B * V + S * B * D + tl_model_size(model);
        for (int64_t i = 0; i < n; i++) cr_assert(isfinite(b[i]), "kind %d: element %d of %d", score, (int)i, (int)n);
        same_bits(a, b, n, "garbage and NaN", score);
        tl_model_free(model);
    }
}

static tl_tensor mask_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const int way = *(const int *)user;
    const tl_tensor mask = tl_length_mask(in[LENGTHS], S);
    const tl_tensor value = way == 2   ? tl_masked(in[VALUE], in[LENGTHS])
                            : way == 3 ? tl_masked(in[VALUE], mask)
                                       : in[VALUE];
    return tl_attention(s, in[QUERY], value, .key = in[KEY], .key_mask = way == 0 ? mask : TL_NONE,
                        .key_lengths = way == 1 ? in[LENGTHS] : TL_NONE);
}

Test(attention, a_mask_may_be_given_in_four_ways)
{
    const inputs *x = random_inputs(3);
    int way = 0;
    tl_model *model = tl_model_new(.dtype = TL_F64);
    const double *first = run(model, mask_fn, x->in, &way, false);
    for (way = 1; way < 4; way++) same_bits(first, run(model, mask_fn, x->in, &way, false), T * B * V, "way", way);
    tl_model_free(model);
}

static tl_tensor query_mask_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const bool carried = *(const bool *)user;
    const tl_tensor m = tl_slice(tl_length_mask(in[LENGTHS], S), 0, 0, T); /* [T, B] */
    const tl_tensor q = carried ? tl_masked(in[QUERY], m) : in[QUERY];
    const tl_tensor y = tl_attention(s, q, in[VALUE], .key = in[KEY], .query_mask = carried ? TL_NONE : m);
    cr_assert(tl_absent(tl_mask_of(y)) == !carried, "the result carries the mask of the queries");
    return y;
}

Test(attention, masked_queries_have_zeros_and_the_mask_is_handed_on)
{
    const inputs *x = random_inputs(3);
    for (int carried = 0; carried < 2; carried++) {
        tl_model *model = tl_model_new(.dtype = TL_F64);
        bool way = carried;
        const double *y = run(model, query_mask_fn, x->in, &way, false);
        for (int i = 0; i < T * B * V; i++) cr_assert((y[i] != 0) == (i / V / B < x->lengths[i / V % B]), "%d", i);
        tl_model_free(model);
    }
}

Test(attention, causal_queries_do_not_see_what_comes_later)
{
    for (int score = 0; score < KINDS; score++) {
        kind k = { .score = score, .causal = true };
        inputs *x = random_inputs(4), *z = random_inputs(4);
        const int from = 2;
        for (int i = from * B * V; i < S * B * V; i++) z->value[i] += 10;
        for (int i = from * B * D; i < S * B * D; i++) z->key[i] -= 5;
        tl_model *model = tl_model_new(.dtype = TL_F64);
        const double *a = run(model, kind_fn, x->in, &k, false), *b = run(model, kind_fn, z->in, &k, false);
        same_bits(a, b, from * B * V, "causal", score);
        for (int i = from * B * V; i < T * B * V; i++) cr_assert(a[i] != b[i], "kind %d: %d", score, i);
        tl_model_free(model);
    }
}

/* ---- weights, dropout -------------------------------------------------------------------------------------------- */

static tl_tensor weights_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    kind k = *(const kind *)user;
    tl_tensor w;
    k.weights = &w;
    kind_fn(s, in, &k);
    cr_assert(tl_dim(w, 0) == T && tl_dim(w, 1) == B && tl_dim(w, -1) == S);
    return w;
}

Test(attention, weights_sum_to_one_and_dropout_acts_behind_them)
{
    for (int score = 0; score < KINDS; score++) {
        const inputs *x = random_inputs(5);
        kind k = { .score = score, .masked = true }, dropping = { .score = score, .masked = true, .dropout = 0.5 };
        tl_model *model = tl_model_new(.dtype = TL_F64);
        const int heads = score == MULTI_HEAD ? 2 : 1;
        const double *w = run(model, weights_fn, x->in, &k, true),
                     *dropped = run(model, weights_fn, x->in, &dropping, true);
        for (int row = 0; row < T * B * heads; row++) {
            double sum = 0;
            for (int j = 0; j < S; j++) sum += w[row * S + j];
            const double want = row / heads % B == 1 ? 0 : 1;
            cr_assert(fabs(sum - want) < 1e-14, "kind %d: row %d sums to %g", score, row, sum);
        }
        same_bits(w, dropped, T * B * heads * S, "weights", score);
        const double *a = run(model, kind_fn, x->in, &k, true), *b = run(model, kind_fn, x->in, &dropping, true);
        const double *c = run(model, kind_fn, x->in, &dropping, false);
        int same = 0;
        for (int i = 0; i < T * B * V; i++) same += a[i] == b[i];
        cr_assert(same < T * B * V / 2 + 1, "kind %d: dropout changes %d", score, T * B * V - same);
        same_bits(a, c, T * B * V, "not training", score);
        tl_model_free(model);
    }
}

/* ---- a memory, one query after the other ------------------------------------------------------------------------- */

static tl_tensor step_by_step(tl_scope *s, const tl_tensor *in, void *user)
{
    const kind *k = user;
    tl_tensor y[T], w[T];
    const tl_memory m = memory_of(s, in, k);
    for (int t = 0; t < T; t++) y[t] = tl_attend(tl_step(s, t), m, tl_at(in[QUERY], t), .weights = &w[t]);
    cr_assert(tl_rank(y[0]) == 2 && tl_rank(w[0]) == (k->score == MULTI_HEAD ? 3 : 2));
    if (k->weights) return tl_stack(T, w, 0);
    return tl_stack(T, y, 0);
}

Test(memory, attended_to_step_by_step_gives_the_same)
{
    const bool exact = tl_exact();
    tl_set_exact(true);
    for (int score = 0; score < KINDS; score++)
        for (int masked = 0; masked < 2; masked++) {
            const inputs *x = random_inputs(6);
            tl_tensor w;
            kind k = { .score = score, .masked = masked }, kw = { .score = score, .masked = masked, .weights = &w };
            tl_model *model = tl_model_new(.dtype = TL_F64), *other = tl_model_new(.dtype = TL_F64);
            same_bits(run(model, kind_fn, x->in, &k, false), run(other, step_by_step, x->in, &k, false), T * B * V,
                      "steps", score);
            same_bits(run(model, weights_fn, x->in, &k, false), run(other, step_by_step, x->in, &kw, false),
                      T * B * S * (score == MULTI_HEAD ? 2 : 1), "weights", score);
            cr_assert(tl_model_count(model) == tl_model_count(other));
            tl_model_free(model);
            tl_model_free(other);
        }
    tl_set_exact(exact);
}

/* Products in one step: scores, sum, and the projections of the query and of the result, but none of the memory. */
Test(memory, a_step_projects_no_key)
{
    static const int products[KINDS] = {
        [TL_SCORE_DOT] = 2,  [TL_SCORE_SCALED_DOT] = 2, [TL_SCORE_GENERAL] = 3, [TL_SCORE_ADDITIVE] = 3,
        [TL_SCORE_TANH] = 2, [TL_SCORE_CONCAT] = 1,     [MULTI_HEAD] = 4
    };
    for (int score = 0; score < KINDS; score++) {
        const kind k = { .score = score };
        const inputs *x = random_inputs(6);
        tl_model *model = tl_model_new(.dtype = TL_F64);
        tl_tape *tape = tl_tape_new(model);
        tl_scope *s = tl_root(tape);
        tl_tensor in[INPUTS];
        for (int i = 0; i < INPUTS; i++) in[i] = tl_input(s, "in", x->in[i]);
        const tl_memory m = memory_of(s, in, &k);
        const uint32_t from = tape->n;
        tl_attend(tl_step(s, 0), m, tl_at(in[QUERY], 0));
        cr_assert(!tl_failed(tape), "%s", tl_tape_message(tape));
        cr_assert(census(tape, from, "matmul") == products[score], "kind %d: %d", score, census(tape, from, "matmul"));
        tl_tape_free(tape);
        tl_model_free(model);
    }
}

static tl_tensor self_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    return tl_multi_head_attention(s, in[QUERY], *(bool *)user ? in[QUERY] : TL_NONE, .heads = 2);
}

Test(attention, heads_attend_to_the_query_itself_by_default)
{
    const inputs *x = random_inputs(7);
    bool given = false;
    tl_model *model = tl_model_new(.dtype = TL_F64);
    const double *a = run(model, self_fn, x->in, &given, false);
    given = true;
    same_bits(a, run(model, self_fn, x->in, &given, false), T * B * D, "self", 0);
    const tl_param_info *p = tl_model_param(model, tl_model_find(model, "multi_head_attention/query/W"));
    cr_assert(tl_model_count(model) == 8 && p->shape.dim[0] == D && p->shape.dim[1] == D);
    tl_model_free(model);
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

static tl_tensor loss_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    kind k = *(const kind *)user;
    tl_tensor w;
    k.weights = &w;
    const tl_tensor y = kind_fn(s, in, &k);
    return tl_add(tl_sum(tl_square(y), TL_ALL), tl_sum(tl_square(w), TL_ALL));
}

static void gradients_are_right(tl_model *model, tl_model_fn fn, const tl_array *in, int n, void *user)
{
    const tl_gradcheck_result g = tl_gradcheck(model, fn, in, n, user, .inputs = true, .second_order = true);
    cr_assert(g.passed && g.probes > 0 && g.kinks == 0, "%s: %s", tl_message(), g.where);
    tl_model_free(model);
}

Test(gradients, of_every_kind_masked_and_causal)
{
    for (int score = 0; score < KINDS; score++) {
        const inputs *x = random_inputs(8);
        kind k = { .score = score, .masked = true, .causal = score % 2 };
        tl_model *model = tl_model_new(.dtype = TL_F64);
        run(model, kind_fn, x->in, &k, false); /* stirs the parameters */
        gradients_are_right(model, loss_fn, x->in, INPUTS, &k);
    }
}

/* ---- a cell around a cell ---------------------------------------------------------------------------------------- */

enum { H = 4, A = 3 };

typedef struct around {
    int cell;
    bool concat, loop, loss;
    int score;
} around;

static tl_cell inner_cell(tl_scope *s, int k)
{
    return k == 0   ? tl_simple_rnn_cell(s, .no_bias = false)
           : k == 1 ? tl_lstm_cell(s, .no_bias = false)
           : k == 2 ? tl_gru_cell(s, .no_bias = false)
                    : tl_attention_cell(s, tl_mgu_cell(),
                                        tl_attention_memory(s, tl_full(s, TL_DIMS(2, B, 2), 1), .name = "inner",
                                                            .score = TL_SCORE_GENERAL),
                                        .concat = true); /* itself one */
}

/* The formulas, written out. */
static tl_tensor loop_fn(tl_scope *s, const tl_tensor *x, const around *a, tl_cell inner, tl_memory m)
{
    const int states = inner.states ? inner.states : 1;
    tl_tensor y[T], state[4], fed = tl_full(s, TL_DIMS(B, a->concat ? V : A), 0);
    tl_scope *r = tl_in(s, "rnn");
    tl_start(r, inner, tl_concat(2, (tl_tensor[]){ tl_at(x[QUERY], 0), fed }, 1), H, state);
    for (int t = 0; t < T; t++) {
        tl_scope *step = tl_step(r, t);
        const tl_tensor h = tl_call(step, inner, tl_concat(2, (tl_tensor[]){ tl_at(x[QUERY], t), fed }, 1), state);
        const tl_tensor c = tl_attend(step, m, h);
        if (a->concat) {
            y[t] = tl_concat(2, (tl_tensor[]){ h, c }, 1);
            fed = c;
        } else {
            const tl_tensor W = tl_param(tl_in(tl_in(step, "attention"), "combine"), "W", TL_DIMS(V + tl_dim(h, 1), A));
            y[t] = fed = tl_tanh(tl_matmul(tl_concat(2, (tl_tensor[]){ c, h }, 1), W));
        }
    }
    cr_assert(states <= 3);
    const tl_tensor last[] = { tl_stack(T, y, 0), fed };
    return tl_concat(2, (tl_tensor[]){ tl_reshape(last[0], TL_DIMS(-1)), tl_reshape(fed, TL_DIMS(-1)) }, 0);
}

static tl_tensor around_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const around *a = user;
    const tl_cell inner = inner_cell(s, a->cell);
    const tl_memory m = tl_attention_memory(s, in[VALUE], .key = in[KEY], .score = (tl_score)a->score,
                                            .key_lengths = in[LENGTHS]);
    if (a->loop) return loop_fn(s, in, a, inner, m);
    tl_tensor final[4];
    const tl_cell cell = tl_attention_cell(s, inner, m, .units = a->concat ? 0 : A, .concat = a->concat);
    const tl_tensor y = tl_rnn(s, in[QUERY], cell, .units = H, .return_sequences = true, .final = final);
    if (a->loss) return tl_sum(tl_square(y), TL_ALL);
    const tl_tensor fed = tl_failed(tl_scope_tape(s)) ? y : final[cell.states - 1];
    if (tl_failed(tl_scope_tape(s))) return fed;
    cr_assert(cell.states == (inner.states ? inner.states : 1) + 1);
    return tl_concat(2, (tl_tensor[]){ tl_reshape(y, TL_DIMS(-1)), tl_reshape(fed, TL_DIMS(-1)) }, 0);
}

Test(attention_cell, is_the_loop_that_it_says_around_any_cell)
{
    for (int cell = 0; cell < 4; cell++)
        for (int concat = 0; concat < 2; concat++) {
            const inputs *x = random_inputs(9);
            around a = { .cell = cell, .concat = concat, .score = cell == 3 ? TL_SCORE_GENERAL : TL_SCORE_ADDITIVE };
            tl_model *model = tl_model_new(.dtype = TL_F64);
            const double *y = run(model, around_fn, x->in, &a, false);
            const int params = tl_model_count(model), width = (concat ? H + V + (cell == 3) * 2 : A);
            a.loop = true;
            same_bits(y, run(model, around_fn, x->in, &a, false), T * B * width + B * (concat ? V : A), "loop", cell);
            cr_assert(tl_model_count(model) == params, "cell %d: other parameters", cell);
            tl_model_free(model);
        }
}

Test(attention_cell, gradients)
{
    for (int cell = 0; cell < 4; cell++)
        for (int concat = 0; concat < 2; concat++) {
            const inputs *x = random_inputs(10);
            around a = { .cell = cell, .concat = concat, .loss = true, .score = TL_SCORE_ADDITIVE };
            tl_model *model = tl_model_new(.dtype = TL_F64);
            run(model, around_fn, x->in, &a, false);
            gradients_are_right(model, around_fn, x->in, INPUTS, &a);
        }
}

static tl_tensor map_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_memory m = tl_attention_memory(s, in[VALUE], .score = TL_SCORE_GENERAL, .key_lengths = in[LENGTHS]);
    tl_rnn(s, in[QUERY], tl_attention_cell(s, tl_gru_cell(s, .no_bias = true), m, .emit_weights = true), .units = H);
    return tl_collect(tl_in(s, "rnn"), "weights");
}

Test(attention_cell, emits_its_weights)
{
    const inputs *x = random_inputs(11);
    tl_model *model = tl_model_new(.dtype = TL_F64);
    const double *w = run(model, map_fn, x->in, NULL, false); /* [T, B, S] */
    for (int row = 0; row < T * B; row++) {
        double sum = 0;
        for (int j = 0; j < S; j++) sum += w[row * S + j];
        cr_assert(fabs(sum - (row % B != 1)) < 1e-14, "row %d sums to %g", row, sum);
    }
    tl_model_free(model);
}

/* ---- what makes no sense ----------------------------------------------------------------------------------------- */

typedef struct recording {
    tl_model *model;
    tl_tape *tape;
    tl_scope *s;
    tl_tensor q, v, one; /* [T, B, D], [S, B, D], [B, D] */
} recording;

static recording start_recording(void)
{
    recording r = { .model = tl_model_new() };
    r.tape = tl_tape_new(r.model);
    r.s = tl_root(r.tape);
    r.q = tl_full(r.s, TL_DIMS(T, B, D), 1);
    r.v = tl_full(r.s, TL_DIMS(S, B, D), 1);
    r.one = tl_full(r.s, TL_DIMS(B, D), 1);
    return r;
}

#define REFUSED(status, word, ...)                                                                                     \
    do {                                                                                                               \
        recording r = start_recording();                                                                               \
        __VA_ARGS__;                                                                                                   \
        cr_expect(tl_tape_status(r.tape) == (status), "%s: %s", tl_status_name(tl_tape_status(r.tape)),                \
                  tl_tape_message(r.tape));                                                                            \
        cr_has(tl_tape_message(r.tape), (word));                                                                       \
        cr_has(tl_tape_message(r.tape), "test_attention.c:");                                                          \
        tl_tape_free(r.tape);                                                                                          \
        tl_model_free(r.model);                                                                                        \
    } while (0)

#define FULL(...) tl_full(r.s, TL_DIMS(__VA_ARGS__), 1)

Test(errors, of_operands)
{
    REFUSED(TL_E_ABSENT, "attention: query is absent", tl_attention(r.s, TL_NONE, r.v));
    REFUSED(TL_E_ABSENT, "attention: value is absent", tl_attention(r.s, r.q, TL_NONE));
    REFUSED(TL_E_SHAPE, "value [1,6,3,4] is not", tl_attention(r.s, r.q, FULL(1, S, B, D)));
}

Test(errors, of_shapes)
{
    REFUSED(TL_E_SHAPE, "value has rank 2", tl_attention(r.s, r.q, r.one));
    REFUSED(TL_E_SHAPE, "query [5,2,4] is neither", tl_attention(r.s, FULL(T, 2, D), r.v));
    REFUSED(TL_E_SHAPE, "query [1,4] is neither", tl_attention(r.s, FULL(1, D), r.v));
    REFUSED(TL_E_SHAPE, ".key [6,2,4] and value [6,3,4]", tl_attention(r.s, r.q, r.v, .key = FULL(S, 2, D)));
    REFUSED(TL_E_SHAPE, "mask of keys [3,6] is not", tl_attention(r.s, r.q, r.v, .key_mask = FULL(B, S)));
    REFUSED(TL_E_SHAPE, "",
            tl_attention(r.s, r.q, r.v, .key_lengths = tl_ids_const(r.s, TL_DIMS(2), (int32_t[]){ 1, 1 })));
    REFUSED(TL_E_SHAPE, ".query_mask [3,5] is not", tl_attention(r.s, r.q, r.v, .query_mask = FULL(B, T)));
    REFUSED(TL_E_SHAPE, ".query_mask [5,3] is not", tl_attention(r.s, r.one, r.v, .query_mask = FULL(T, B)));
    REFUSED(TL_E_SHAPE, "matmul", tl_attention(r.s, FULL(T, B, 3), r.v));
}

Test(errors, of_options)
{
    REFUSED(TL_E_ARGUMENT, ".score = 6", tl_attention(r.s, r.q, r.v, .score = (tl_score)6));
    REFUSED(TL_E_ARGUMENT, "no option .units", tl_attention(r.s, r.q, r.v, .units = 3));
    REFUSED(TL_E_ARGUMENT, "no option .no_scale", tl_attention(r.s, r.q, r.v, .no_scale = true));
    REFUSED(TL_E_ARGUMENT, "no option .learned_scale",
            tl_attention(r.s, r.q, r.v, .score = TL_SCORE_ADDITIVE, .learned_scale = true));
    REFUSED(TL_E_ARGUMENT, ".units = -1", tl_attention(r.s, r.q, r.v, .score = TL_SCORE_ADDITIVE, .units = -1));
    REFUSED(TL_E_ARGUMENT, ".dropout = 1", tl_attention(r.s, r.q, r.v, .dropout = 1));
    REFUSED(TL_E_ARGUMENT, "both given",
            tl_attention(r.s, r.q, r.v, .key_mask = FULL(S, B),
                         .key_lengths = tl_ids_const(r.s, TL_DIMS(B), (int32_t[]){ 1, 1, 1 })));
    REFUSED(TL_E_ARGUMENT, ".causal needs", tl_attention(r.s, r.one, r.v, .causal = true));
    REFUSED(TL_E_ARGUMENT, ".size", tl_attention_opt(TL_HERE, r.s, r.q, r.v, &(tl_attention_opts){ .units = 2 }));
    REFUSED(TL_E_ARGUMENT, ".heads = 3 does not divide 4", tl_multi_head_attention(r.s, r.q, r.v, .heads = 3));
    REFUSED(TL_E_ARGUMENT, ".heads = -1", tl_multi_head_attention(r.s, r.q, r.v, .heads = -1));
    REFUSED(TL_E_ARGUMENT, ".key_units = -1", tl_multi_head_attention(r.s, r.q, r.v, .key_units = -1));
    REFUSED(TL_E_ARGUMENT, "options of tl_attend", tl_attention_memory(r.s, r.v, .causal = true));
    REFUSED(TL_E_ARGUMENT, "the memory was not made", tl_attend(r.s, (tl_memory){ 0 }, r.q));
    REFUSED(TL_E_ARGUMENT, "the memory was not made", tl_attention_cell(r.s, tl_mgu_cell(), (tl_memory){ 0 }));
    REFUSED(TL_E_ARGUMENT, "with .concat",
            tl_attention_cell(r.s, tl_mgu_cell(), tl_attention_memory(r.s, r.v), .concat = true, .units = 2));
    REFUSED(TL_E_NAME, "attention/query/W", const tl_tensor y = tl_attention(r.s, r.q, r.v, .score = TL_SCORE_GENERAL);
            tl_attention(r.s, y, r.v, .score = TL_SCORE_GENERAL));
}

/* Its options are gone with the tape; what lies there now must not be looked at. */
Test(errors, of_a_memory_whose_tape_was_reset_or_is_another)
{
    for (int k = 0; k < 4; k++) {
        recording r = start_recording(), other = start_recording();
        const tl_memory m = tl_attention_memory(r.s, r.v, .score = TL_SCORE_ADDITIVE);
        if (k < 2) tl_tape_reset(r.tape);
        tl_tape *tape = k < 2 ? r.tape : other.tape;
        tl_scope *s = tl_root(tape);
        const tl_tensor x = tl_full(s, TL_DIMS(T, B, D), 1);
        if (k % 2) tl_rnn(s, x, tl_attention_cell(s, tl_mgu_cell(), m), .units = 3);
        else tl_attend(s, m, x);
        cr_expect(tl_failed(tape));
        cr_has(tl_tape_message(tape), k < 2 ? "is stale" : "belongs to another tape");
        tl_tape_free(r.tape), tl_model_free(r.model);
        tl_tape_free(other.tape), tl_model_free(other.model);
    }
}

Test(errors, leave_error_handles)
{
    recording r = start_recording();
    tl_tensor w = TL_NONE;
    const tl_tensor y = tl_attention(r.s, r.q, r.one, .weights = &w);
    const tl_memory m = tl_attention_memory(r.s, r.v);
    const tl_tensor z = tl_attend(r.s, m, r.q);
    const tl_cell cell = tl_attention_cell(r.s, tl_mgu_cell(), m);
    cr_assert(!tl_absent(y) && !tl_absent(w) && !tl_absent(m.keys) && !tl_absent(z) && !cell.step);
    tl_rnn(r.s, r.q, cell, .units = 3);
    cr_has(tl_tape_message(r.tape), "value has rank 2");
    tl_tape_free(r.tape);
    tl_model_free(r.model);
}

Test(errors, without_a_scope_or_memory)
{
    tl_attention_opts o = { .size = sizeof o };
    const tl_tensor y = tl_attention_opt(TL_HERE, NULL, TL_NONE, TL_NONE, &o);
    const tl_memory m = tl_attention_memory_opt(TL_HERE, NULL, TL_NONE, &o);
    cr_assert(!tl_absent(y) && !tl_absent(m.keys) && !tl_attention_cell(NULL, tl_mgu_cell(), m).step);
    const around a = { .cell = 1, .score = TL_SCORE_ADDITIVE };
    const inputs *x = random_inputs(12);
    uint64_t n = 1;
    for (bool done = false; !done; n++) {
        tl_model *model = tl_model_new(.dtype = TL_F64);
        tl_tape *tape = tl_tape_new(model);
        tl_tensor in[INPUTS];
        for (int k = 0; k < INPUTS; k++) in[k] = tl_input(tl_root(tape), "in", x->in[k]);
        tl_fail_allocation(n);
        around copy = a;
        const tl_tensor out = around_fn(tl_root(tape), in, &copy);
        tl_fail_allocation(0);
        done = !tl_failed(tape);
        cr_assert(done || tl_tape_status(tape) == TL_E_MEMORY, "%s", tl_tape_message(tape));
        cr_assert(done || tl_rank(out) == 0);
        tl_tape_free(tape);
        tl_model_free(model);
        cr_assert(tl_live_bytes() == 0);
    }
    cr_assert(n > 3, "%d allocations", (int)n);
}
