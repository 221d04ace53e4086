/* tests/test_decode.c - beam search and sampling: against all sequences there are, against a plain search over the same
 * probabilities, and against the network's training path. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tapeloop.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))
#define GOOD(call)                                                                                                     \
    do {                                                                                                               \
        const tl_status status_ = (call);                                                                              \
        cr_assert(!status_, "%s: %s", #call, tl_message());                                                            \
    } while (0)

/* ---- networks: over sequences to train, and one step at a time to decode ------------------------------------------ */

enum { V = 3, L = 4, STRINGS = 81, H = 4 }; /* strings: all V^L */

typedef enum kind { RNN, LSTM, GRU, STACK, BY_HAND, KINDS } kind;
typedef struct net {
    kind kind;
    double scale; /* of the logits */
    int runs;
} net;

static void count_run(void *data, const char *path, const tl_array *value)
{
    (void)path, (void)value;
    ++*(int *)data;
}

static tl_tensor layer(tl_scope *s, tl_tensor x, tl_cell cell, const char *name)
{
    return tl_rnn(s, x, cell, .units = H, .name = name, .return_sequences = true, .stateful = true);
}

/* The loop of tl_rnn, written out. */
static tl_tensor by_hand(tl_scope *s, tl_tensor x)
{
    tl_scope *r = tl_in(s, "hand");
    const tl_tensor zero = tl_full(s, TL_DIMS(tl_dim(x, 1), H), 0);
    const tl_cell cell = tl_lstm_cell(s);
    tl_tensor state[2], y[16];
    state[0] = tl_state(r, "h", zero);
    state[1] = tl_state(r, "c", zero);
    for (int64_t t = 0; t < tl_dim(x, 0); t++) y[t] = tl_call(tl_step(r, t), cell, tl_at(x, t), state);
    tl_next(r, "h", state[0]);
    tl_next(r, "c", state[1]);
    return tl_stack((int)tl_dim(x, 0), y, 0);
}

/* in[0]: symbols [T, B]; in[1]: the ones that follow, may be absent. */
static tl_tensor network(tl_scope *s, const tl_tensor *in, void *user)
{
    net *n = user;
    tl_tensor h = tl_embedding(s, in[0], .vocab = V, .units = 3, .init = tl_normal(0, 1));
    if (n->kind == BY_HAND) h = by_hand(s, h);
    if (n->kind == RNN) h = layer(s, h, tl_simple_rnn_cell(s), "one");
    if (n->kind == LSTM || n->kind == STACK) h = layer(s, h, tl_lstm_cell(s), "one");
    if (n->kind == GRU || n->kind == STACK) h = layer(s, h, tl_gru_cell(s), "two");
    tl_tensor z = tl_dense(s, h, .units = V, .kernel_init = tl_normal(0, n->scale), .bias_init = tl_normal(0, 1));
    tl_output(s, "logits", tl_tap(s, z, count_run, &n->runs));
    return tl_cross_entropy(z, in[1]);
}

/* ---- the training path ------------------------------------------------------------------------------------------- */

static double at(const tl_array *a, int64_t i)
{
    return a->dtype == TL_F64 ? ((double *)a->data)[i] : ((float *)a->data)[i];
}

/* p[n][code][v] = ln of the probability of v after .start and the n symbols in `code` (base V, the first one leading), read off
 * one recording over all strings at once. */
typedef struct table {
    double p[L][STRINGS][V];
} table;

static int power(int n) { return n ? V * power(n - 1) : 1; }

static void read_table(tl_model *m, net *n, int32_t start, table *out)
{
    static int32_t ids[L * STRINGS];
    for (int t = 0; t < L; t++)
        for (int c = 0; c < STRINGS; c++) ids[t * STRINGS + c] = t ? c / power(L - t) % V : start;
    tl_array in = tl_array_of(TL_I32, TL_DIMS(L, STRINGS), ids), z;
    tl_tensor handle[1 + TL_SPARE_INPUTS] = { TL_NONE };
    tl_tape *tape = tl_tape_new(m);
    handle[0] = tl_input(tl_root(tape), "ids", in);
    network(tl_root(tape), handle, n);
    tl_plan *plan = tl_compile(tape);
    cr_assert(plan, "%s", tl_message());
    tl_session *session = tl_session_new(m);
    GOOD(tl_run(session, plan, &in, 1));
    GOOD(tl_get(session, "logits", &z));
    for (int t = 0; t < L; t++)
        for (int c = 0; c < STRINGS; c++) {
            const int64_t row = (t * STRINGS + c) * V;
            double sum = 0;
            for (int v = 0; v < V; v++) sum += exp(at(&z, row + v));
            for (int v = 0; v < V; v++) out->p[t][c / power(L - t)][v] = at(&z, row + v) - log(sum);
        }
    tl_session_free(session);
    tl_plan_free(plan);
    tl_tape_free(tape);
}

/* ---- a plain search over the table ------------------------------------------------------------------------------- */

typedef struct string {
    int code, n, order;
    double p, score;
    bool ended;
} string;

static int by_score(const void *a, const void *b)
{
    const string *x = a, *y = b;
    return x->score != y->score ? (x->score < y->score) - (x->score > y->score) : x->order - y->order;
}

/* Beam search with no early stop; everything found, best first. With width STRINGS that is all there is. */
static int plain_search(const table *t, int width, int end, double alpha, string *found)
{
    static string live[STRINGS], next[STRINGS * V];
    int n_live = 1, n_found = 0;
    live[0] = (string){ 0 };
    for (int n = 0; n < L; n++) {
        int m = 0;
        for (int i = 0; i < n_live; i++)
            for (int v = 0; v < V; v++) {
                next[m] = (string){ .code = live[i].code * V + v, .n = n + 1, .order = m, .ended = v == end };
                next[m].score = next[m].p = live[i].p + t->p[n][live[i].code][v];
                m++;
            }
        qsort(next, (size_t)m, sizeof *next, by_score);
        n_live = 0;
        for (int i = 0; i < m && i < width; i++) {
            next[i].score = next[i].p / pow((5.0 + n + 1) / 6, alpha);
            if (next[i].ended || n + 1 == L) found[n_found++] = next[i];
            else live[n_live++] = next[i];
        }
    }
    for (int i = 0; i < n_found; i++) found[i].order = i;
    qsort(found, (size_t)n_found, sizeof *found, by_score);
    return n_found;
}

static void same_sequence(const tl_sequence *got, const string *want, double tolerance)
{
    cr_assert(got->n == want->n && got->ended == want->ended, "%d symbols, not %d", (int)got->n, want->n);
    for (int i = 0; i < want->n; i++)
        cr_assert(got->ids[i] == want->code / power(want->n - 1 - i) % V, "symbol %d is %d", i, got->ids[i]);
    cr_assert(fabs(got->log_prob - want->p) <= tolerance * fabs(want->p), "%.17g, not %.17g", got->log_prob, want->p);
    cr_assert(fabs(got->score - want->score) <= tolerance * fabs(want->score), "%.17g, not %.17g", got->score,
              want->score);
}

/* A search of every width, end and length penalty finds what the plain one finds, with the probabilities of the training path. */
static void search_agrees(tl_model *m, net *n, double tolerance)
{
    static const double alphas[] = { 0, 0.8, -0.6, 3 };
    static const int ends[] = { -1, 0, 2 };
    static table t;
    read_table(m, n, 1, &t);
    for (int c = 0; c < COUNT(alphas) * COUNT(ends); c++)
        for (int width = 1; width <= STRINGS; width = width < 5 ? width + 1 : width == 5 ? STRINGS : width + 1) {
            static string want[STRINGS * L];
            const int end = ends[c % COUNT(ends)];
            const int n_want = plain_search(&t, width, end, alphas[c / COUNT(ends)], want);
            tl_sequences found;
            GOOD(tl_beam_search(m, network, NULL, 0, n, &found, .beam = width, .max_length = L, .start = 1,
                                .end = end < 0 ? 0
                                       : end   ? end
                                               : TL_ZERO,
                                .length_penalty = alphas[c / COUNT(ends)] == 0 ? TL_ZERO : alphas[c / COUNT(ends)]));
            cr_assert(found.sources == 1 && found.beam == width);
            for (int k = 0; k < width && k < n_want; k++) same_sequence(&found.sequence[k], &want[k], tolerance);
            for (int k = n_want; k < width; k++)
                cr_assert(!found.sequence[k].n && !found.sequence[k].ids && found.sequence[k].score == -INFINITY);
            tl_sequences_free(&found);
        }
}

Test(beam, finds_what_the_training_path_says)
{
    for (int k = 0; k < KINDS; k++)
        for (uint64_t seed = 1; seed <= 4; seed++) {
            net n = { .kind = k, .scale = 2 };
            tl_model *m = tl_model_new(.dtype = TL_F64, .seed = seed);
            search_agrees(m, &n, 1e-12); /* sums of exponentials in another order */
            tl_model_free(m);
        }
    net n = { .kind = STACK, .scale = 2 };
    tl_model *m = tl_model_new(.seed = 3);
    search_agrees(m, &n, 1e-5); /* f32 */
    tl_model_free(m);
    cr_assert(tl_live_bytes() == 0);
}

/* All that can be written, and nothing twice: their probabilities add up to 1. */
Test(beam, of_full_width_finds_every_sequence)
{
    net n = { .kind = LSTM, .scale = 1 };
    tl_model *m = tl_model_new(.dtype = TL_F64, .seed = 2);
    for (int end = 0; end < 3; end++) {
        tl_sequences found;
        double sum = 0;
        int count = 0;
        GOOD(tl_beam_search(m, network, NULL, 0, &n, &found, .beam = STRINGS, .max_length = L, .end = end));
        for (int k = 0; k < STRINGS && found.sequence[k].n; k++, count++) {
            sum += exp(found.sequence[k].log_prob);
            cr_assert(!k || found.sequence[k].score <= found.sequence[k - 1].score);
        }
        cr_assert(count == (end ? 1 + 2 + 4 + 8 + 16 : STRINGS), "%d sequences", count); /* 0 is the default: no end */
        cr_assert(fabs(sum - 1) < 1e-12, "%.17g", sum);
        tl_sequences_free(&found);
    }
    tl_model_free(m);
}

/* It stops when nothing can change any more, and not before. */
Test(beam, stops_early)
{
    int stopped = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        net n = { .kind = GRU, .scale = 3 };
        tl_model *m = tl_model_new(.dtype = TL_F64, .seed = seed);
        tl_sequences found;
        GOOD(tl_beam_search(m, network, NULL, 0, &n, &found, .beam = 2, .max_length = 200, .end = 2));
        if (n.runs < 200) cr_assert(found.sequence[0].ended && found.sequence[1].ended);
        cr_assert(n.runs >= found.sequence[0].n && n.runs >= found.sequence[1].n);
        stopped += n.runs < 200;
        tl_sequences_free(&found);
        n.runs = 0;
        GOOD(tl_beam_search(m, network, NULL, 0, &n, &found, .max_length = 200, .end = 2));
        cr_assert(n.runs == found.sequence[0].n); /* the greedy search goes no further than its only hypothesis */
        tl_sequences_free(&found);
        tl_model_free(m);
    }
    cr_assert(stopped > 5, "%d", stopped);
}

/* ---- ties -------------------------------------------------------------------------------------------------------- */

static tl_tensor flat(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_output(s, "logits", tl_full(s, TL_DIMS(1, tl_dim(in[0], 1), V), 0));
    return TL_NONE;
}

Test(beam, of_equals_the_lower_ids_come_first)
{
    tl_model *m = tl_model_new();
    tl_sequences found;
    GOOD(tl_beam_search(m, flat, NULL, 0, NULL, &found, .beam = 5, .max_length = 3));
    for (int k = 0; k < 5; k++)
        for (int i = 0; i < 3; i++) cr_assert(found.sequence[k].ids[i] == k / power(2 - i) % V, "sequence %d", k);
    tl_sequences_free(&found);
    tl_model_free(m);
}

/* ---- sources ----------------------------------------------------------------------------------------------------- */

/* A decoder that looks at an encoder: in[0] symbols, in[1] the states that it starts from [B, H], in[2] absent, in[3] a memory
 * [2, B, 3], in[4] a temperature. */
static tl_tensor decoder(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    cr_assert(tl_absent(in[2]) && tl_absent(in[5]));
    tl_scope *r = tl_in(s, "decoder");
    tl_tensor h = tl_state(r, "h", in[1]);
    tl_tensor x = tl_embedding(s, tl_at(in[0], 0), .vocab = 5, .units = 3, .init = tl_normal(0, 1));
    const tl_tensor look = tl_sum(tl_mul(in[3], x), TL_AXES(0));
    tl_call(r, tl_gru_cell(s), tl_concat(2, (tl_tensor[]){ x, look }, 1), &h);
    tl_next(r, "h", h);
    tl_output(s, "logits", tl_mul(tl_dense(s, h, .units = 5, .kernel_init = tl_normal(0, 2)), in[4]));
    return TL_NONE;
}

enum { SOURCES = 3 };

static void fill(double *x, int n, int seed)
{
    for (int i = 0; i < n; i++) x[i] = 2 * sin(17.3 * i + seed);
}

static tl_array states_array(double *x, int64_t rows)
{
    tl_array a = tl_array_of(TL_F64, TL_DIMS(rows, H), x);
    a.batch_axis = TL_ZERO;
    return a;
}

static void same_results(const tl_sequence *a, const tl_sequence *b)
{
    cr_assert(a->n == b->n && a->ended == b->ended && !memcmp(a->ids, b->ids, (size_t)a->n * sizeof *a->ids));
    cr_assert(a->log_prob == b->log_prob && a->score == b->score);
}

Test(beam, each_source_gets_what_it_gets_alone)
{
    double h[SOURCES * H], memory[2 * SOURCES * 3], scale = 1.5;
    tl_model *m = tl_model_new(.dtype = TL_F64, .seed = 4);
    tl_set_exact(true); /* the same bits for any number of rows */
    fill(h, COUNT(h), 1);
    fill(memory, COUNT(memory), 2);
    const tl_array scalar = tl_array_of(TL_F64, TL_SCALAR, &scale);
    const tl_array in[] = { states_array(h, SOURCES), TL_ABSENT_ARRAY,
                            tl_array_of(TL_F64, TL_DIMS(2, SOURCES, 3), memory), scalar };
    for (int beam = 1; beam <= 4; beam++) {
        tl_sequences all, one;
        int different = 0;
        GOOD(tl_beam_search(m, decoder, in, 4, NULL, &all, .beam = beam, .max_length = 7, .end = 4,
                            .length_penalty = 0.5));
        cr_assert(all.sources == SOURCES);
        for (int b = 0; b < SOURCES; b++) {
            double own[2 * 3];
            for (int i = 0; i < 6; i++) own[i] = memory[(i / 3 * SOURCES + b) * 3 + i % 3];
            const tl_array alone[] = { states_array(h + b * H, 1), TL_ABSENT_ARRAY,
                                       tl_array_of(TL_F64, TL_DIMS(2, 1, 3), own), scalar };
            GOOD(tl_beam_search(m, decoder, alone, 4, NULL, &one, .beam = beam, .max_length = 7, .end = 4,
                                .length_penalty = 0.5));
            for (int k = 0; k < beam; k++) same_results(&all.sequence[b * beam + k], &one.sequence[k]);
            different += one.sequence[0].score != all.sequence[0].score;
            tl_sequences_free(&one);
        }
        cr_assert(different == SOURCES - 1);
        tl_sequences_free(&all);
    }
    tl_set_exact(false);
    tl_model_free(m);
    cr_assert(tl_live_bytes() == 0);
}

/* A prompt is what the session would have seen; states may also be given by name. */
Test(beam, goes_on_from_a_prompt_or_a_session)
{
    int32_t prompt[] = { 2, 0, 1 };
    net n = { .kind = LSTM, .scale = 2 };
    tl_model *m = tl_model_new(.dtype = TL_F64, .seed = 6);
    tl_sequences found[3], fresh;
    GOOD(tl_beam_search(m, network, NULL, 0, &n, &found[0], .beam = 3, .max_length = 5, .prompt = prompt,
                        .n_prompt = 3));
    GOOD(tl_beam_search(m, network, NULL, 0, &n, &fresh, .beam = 3, .max_length = 5, .start = 1));
    cr_assert(fresh.sequence[0].score != found[0].sequence[0].score);

    tl_trainer *t = tl_trainer_new(m, network, .user = &n);
    const tl_array in[] = { tl_array_of(TL_I32, TL_DIMS(2, 1), prompt), TL_ABSENT_ARRAY };
    GOOD(tl_predict_step(t, in, 2));
    tl_session *by_name = tl_session_new(m), *session = tl_trainer_session(t, TL_PREDICT);
    cr_assert(tl_session_states(session) == 2);
    for (int i = 0; i < 2; i++) {
        const char *name;
        tl_array value;
        GOOD(tl_session_state(session, i, &name, &value));
        GOOD(tl_session_set_state(by_name, name, &value));
    }
    tl_session_hold(by_name, true); /* the search is not held by that */
    const tl_session *from[] = { session, by_name };
    for (int k = 0; k < 2; k++) {
        GOOD(tl_beam_search(m, network, NULL, 0, &n, &found[1 + k], .beam = 3, .max_length = 5, .start = 1,
                            .session = from[k]));
        for (int i = 0; i < 3; i++) same_results(&found[0].sequence[i], &found[1 + k].sequence[i]);
    }
    for (int k = 0; k < 3; k++) tl_sequences_free(&found[k]);
    tl_sequences_free(&fresh);
    tl_session_free(by_name);
    tl_trainer_free(t);
    tl_model_free(m);
}

/* Each source from its own row of the session. */
Test(beam, goes_on_from_as_many_rows_as_the_session_has)
{
    int32_t prompts[] = { 2, 0, 0, 0, 2, 1, 1, 1, 1 }; /* [3, 3]: 2 0 1, 0 2 1 and 0 1 1 */
    net n = { .kind = STACK, .scale = 2 };
    tl_model *m = tl_model_new(.dtype = TL_F64, .seed = 8);
    tl_sequences all, one;
    tl_trainer *t = tl_trainer_new(m, network, .user = &n);
    const tl_array in[] = { tl_array_of(TL_I32, TL_DIMS(2, 3), prompts), TL_ABSENT_ARRAY };
    tl_set_exact(true);
    GOOD(tl_predict_step(t, in, 2));
    GOOD(tl_beam_search(m, network, NULL, 0, &n, &all, .beam = 2, .max_length = 5, .start = 1,
                        .session = tl_trainer_session(t, TL_PREDICT)));
    cr_assert(all.sources == 3);
    for (int b = 0; b < 3; b++) {
        const int32_t own[] = { prompts[b], prompts[3 + b], prompts[6 + b] };
        GOOD(tl_beam_search(m, network, NULL, 0, &n, &one, .beam = 2, .max_length = 5, .prompt = own, .n_prompt = 3));
        for (int k = 0; k < 2; k++) same_results(&all.sequence[2 * b + k], &one.sequence[k]);
        cr_assert(!b || one.sequence[0].score != all.sequence[0].score);
        tl_sequences_free(&one);
    }
    tl_set_exact(false);
    tl_sequences_free(&all);
    tl_trainer_free(t);
    tl_model_free(m);
}

/* ---- sampling ---------------------------------------------------------------------------------------------------- */

static const double odds[] = { 1, -0.5, 2, 0.3 };

static tl_tensor fixed(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor z = tl_const(s, TL_DIMS(1, 4), odds);
    tl_output(s, "logits", tl_broadcast_to(z, TL_DIMS(tl_dim(in[0], 1), 4)));
    return TL_NONE;
}

/* Frequencies of 20,000 draws are within five of their deviations. */
static void frequencies_are(tl_model *m, const double p[4], double temperature, int top_k)
{
    enum { DRAWS = 5000, LENGTH = 4 };
    tl_sequences drawn;
    int count[4] = { 0 };
    GOOD(tl_sample(m, fixed, NULL, 0, NULL, &drawn, .beam = DRAWS, .max_length = LENGTH, .temperature = temperature,
                   .top_k = top_k, .seed = 11));
    for (int k = 0; k < DRAWS; k++) {
        double log_prob = 0, sum = 0;
        for (int v = 0; v < 4; v++) sum += exp(odds[v]);
        cr_assert(drawn.sequence[k].n == LENGTH && !drawn.sequence[k].ended);
        for (int i = 0; i < LENGTH; i++) {
            count[drawn.sequence[k].ids[i]]++;
            log_prob += odds[drawn.sequence[k].ids[i]] - log(sum);
        }
        cr_assert(fabs(drawn.sequence[k].log_prob - log_prob) < 1e-12);
        cr_assert(!k || drawn.sequence[k].score <= drawn.sequence[k - 1].score);
    }
    for (int v = 0; v < 4; v++) {
        const double n = DRAWS * LENGTH, deviation = sqrt(n * p[v] * (1 - p[v]));
        cr_assert(fabs(count[v] - n * p[v]) <= 5 * deviation, "%d of symbol %d, not %g", count[v], v, n * p[v]);
    }
    tl_sequences_free(&drawn);
}

Test(sample, draws_from_the_distribution)
{
    tl_model *m = tl_model_new(.dtype = TL_F64);
    static const struct {
        double temperature;
        int top_k;
    } cases[] = { { 0, 0 }, { 1, 4 }, { 0.3, 0 }, { 2.5, 0 }, { 0, 1 }, { 0, 3 }, { 0.5, 2 }, { 1e-9, 0 } };
    for (int c = 0; c < COUNT(cases); c++) {
        double p[4], sum = 0, temperature = cases[c].temperature ? cases[c].temperature : 1;
        for (int v = 0; v < 4; v++) {
            int before = 0;
            for (int u = 0; u < 4; u++) before += odds[u] > odds[v];
            p[v] = cases[c].top_k && before >= cases[c].top_k ? 0 : exp((odds[v] - odds[2]) / temperature);
            sum += p[v];
        }
        for (int v = 0; v < 4; v++) p[v] /= sum;
        frequencies_are(m, p, cases[c].temperature, cases[c].top_k);
    }
    frequencies_are(m, (double[]){ 0, 0, 1, 0 }, TL_ZERO, 0);
    tl_model_free(m);
}

Test(sample, repeats_itself_for_the_same_seed_only)
{
    net n = { .kind = GRU, .scale = 1 };
    tl_model *m = tl_model_new(.dtype = TL_F64, .seed = 2);
    tl_sequences drawn[4];
    const uint64_t seed[] = { 5, 5, 6 };
    for (int k = 0; k < 3; k++)
        GOOD(tl_sample(m, network, NULL, 0, &n, &drawn[k], .beam = 3, .max_length = 30, .end = 2, .seed = seed[k],
                       .sources = 2));
    int same = 0;
    for (int k = 0; k < 6; k++) {
        const tl_sequence *s = &drawn[0].sequence[k];
        same_results(s, &drawn[1].sequence[k]);
        same += s->score == drawn[2].sequence[k].score;
        for (int j = 0; j < k; j++) same += s->score == drawn[0].sequence[j].score && s->n > 2;
        for (int i = 0; i < s->n; i++) cr_assert((s->ids[i] == 2) == (s->ended && i == s->n - 1));
    }
    cr_assert(same < 3, "%d", same);
    GOOD(tl_sample(m, network, NULL, 0, &n, &drawn[3], .max_length = 9, .temperature = TL_ZERO, .start = 1,
                   .top_k = TL_ZERO));
    tl_sequences best;
    GOOD(tl_beam_search(m, network, NULL, 0, &n, &best, .max_length = 9, .start = 1));
    same_results(&drawn[3].sequence[0], &best.sequence[0]);
    tl_sequences_free(&best);
    for (int k = 0; k < 4; k++) tl_sequences_free(&drawn[k]);
    tl_model_free(m);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static tl_tensor mute(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user, (void)in;
    tl_output(s, "probabilities", tl_full(s, TL_DIMS(1, 3), 0));
    return TL_NONE;
}

static tl_tensor narrow(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user, (void)in;
    tl_output(s, "logits", tl_full(s, TL_DIMS(1, 3), 0)); /* whatever the rows */
    return TL_NONE;
}

static tl_tensor constant(tl_scope *s, const tl_tensor *in, void *user)
{
    const double z[] = { 0, *(double *)user };
    tl_output(s, "logits", tl_broadcast_to(tl_const(s, TL_DIMS(2), z), TL_DIMS(tl_dim(in[0], 1), 2)));
    return TL_NONE;
}

static tl_tensor looking(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)tl_eval(tl_full(s, TL_SCALAR, 1));
    return flat(s, in, user);
}

Test(beam, says_what_is_wrong)
{
    double h[2 * H] = { 0 };
    const tl_array two[] = { states_array(h, 2), states_array(h, 1) };
    const tl_array sideways[] = { tl_array_of(TL_F64, TL_DIMS(3, H), h) };
    tl_array nothing = states_array(NULL, 2), beyond = states_array(h, 2);
    tl_array huge = beyond;
    beyond.batch_axis = 2;
    huge.dim[1] = INT64_MAX;
    tl_model *m = tl_model_new(.dtype = TL_F64), *other = tl_model_new();
    tl_session *strange = tl_session_new(other), *held = tl_session_new(m);
    GOOD(tl_session_set_state(held, "x", &two[0]));
    const struct {
        tl_model_fn fn;
        const tl_array *in;
        int n;
        tl_decode_opts o;
        tl_status status;
        const char *words;
    } cases[] = {
#define WITH(...) { .size = sizeof(tl_decode_opts), __VA_ARGS__ }
        { flat, NULL, 0, { 0 }, TL_E_ARGUMENT, "the options' .size is not set" },
        { NULL, NULL, 0, WITH(.max_length = 2), TL_E_ARGUMENT, "a step function" },
        { flat, NULL, 1, WITH(.max_length = 2), TL_E_ARGUMENT, "its inputs" },
        { flat, NULL, 0, WITH(.beam = 2), TL_E_ARGUMENT, ".max_length must be at least 1" },
        { flat, NULL, 0, WITH(.max_length = 2, .beam = -1), TL_E_ARGUMENT, ".beam is negative" },
        { flat, NULL, 0, WITH(.max_length = 2, .sources = -1), TL_E_ARGUMENT, ".sources is negative" },
        { flat, NULL, 0, WITH(.max_length = 2, .end = -1), TL_E_ARGUMENT, ".end is negative" },
        { flat, NULL, 0, WITH(.max_length = 2, .end = 3), TL_E_ARGUMENT, ".end = 3 is not one of 3 symbols" },
        { flat, NULL, 0, WITH(.max_length = 2, .length_penalty = NAN), TL_E_ARGUMENT, ".length_penalty is not finite" },
        { flat, NULL, 0, WITH(.max_length = 2, .temperature = -1), TL_E_ARGUMENT, ".temperature is negative" },
        { flat, NULL, 0, WITH(.max_length = 2, .temperature = NAN), TL_E_ARGUMENT, ".temperature is negative or NaN" },
        { flat, NULL, 0, WITH(.max_length = 2, .top_k = -1), TL_E_ARGUMENT, ".top_k is negative" },
        { flat, NULL, 0, WITH(.max_length = 2, .prompt = (int32_t[]){ 1 }), TL_E_ARGUMENT, ".prompt holds no symbol" },
        { flat, NULL, 0, WITH(.max_length = 2, .session = strange), TL_E_ARGUMENT, ".session is another model's" },
        { flat, NULL, 0, WITH(.max_length = 2, .session = held, .sources = 3), TL_E_SHAPE,
          "state 0 has 2 rows, not 3" },
        { flat, NULL, 0, WITH(.max_length = 2, .sources = 1 << 20, .beam = 1 << 12), TL_E_ARGUMENT, "too many rows" },
        { flat, two, 2, WITH(.max_length = 2), TL_E_SHAPE, "input 1 has 1 rows, not 2" },
        { flat, sideways, 1, WITH(.max_length = 2, .sources = 3), TL_E_SHAPE, ".batch_axis" },
        { flat, &beyond, 1, WITH(.max_length = 2), TL_E_INPUT, "input 0 has rank 2 and .batch_axis 2" },
        { flat, &huge, 1, WITH(.max_length = 2, .beam = 2), TL_E_INPUT, "input 0's sizes make no sense" },
        { flat, &nothing, 1, WITH(.max_length = 2, .beam = 2), TL_E_INPUT, "its .data is NULL" },
        { mute, NULL, 0, WITH(.max_length = 2), TL_E_OUTPUT, "marks no tl_output(s, \"logits\", ...)" },
        { narrow, NULL, 0, WITH(.max_length = 2, .beam = 2), TL_E_SHAPE, "\"logits\" are not [2, V] or [1, 2, V]" },
        { looking, NULL, 0, WITH(.max_length = 2), TL_E_REPLAY, "tl_eval()" },
        { network, NULL, 0, WITH(.max_length = 2, .start = V), TL_E_INDEX, "embedding" },
    };
    for (int c = 0; c < COUNT(cases); c++)
        for (int sampled = 0; sampled < 2; sampled++) {
            net n = { .kind = LSTM, .scale = 1 };
            tl_sequences out = { .beam = 99 };
            const tl_status status = (sampled ? tl_sample_opt : tl_beam_search_opt)(m, cases[c].fn, cases[c].in,
                                                                                    cases[c].n, &n, &out, &cases[c].o);
            cr_assert(status == cases[c].status, "case %d: %s: %s", c, tl_status_name(status), tl_message());
            cr_assert(strstr(tl_message(), cases[c].words), "case %d: %s", c, tl_message());
            cr_assert(!out.sequence && !out.beam);
        }
    cr_assert(tl_beam_search(m, flat, NULL, 0, NULL, NULL, .max_length = 2) == TL_E_ARGUMENT);
    tl_session_free(strange);
    tl_session_free(held);
    tl_model_free(m);
    tl_model_free(other);
}

Test(beam, takes_no_logits_that_are_not_numbers)
{
    static const struct {
        double z;
        tl_status status;
    } cases[] = { { 1, TL_OK }, { NAN, TL_E_NONFINITE }, { INFINITY, TL_E_NONFINITE }, { -INFINITY, TL_OK } };
    for (int c = 0; c < COUNT(cases); c++) {
        double z = cases[c].z;
        tl_model *m = tl_model_new(.dtype = TL_F64);
        tl_sequences out;
        const tl_status status = tl_beam_search(m, constant, NULL, 0, &z, &out, .beam = 4, .max_length = 3);
        cr_assert(status == cases[c].status, "case %d: %s", c, tl_message());
        if (z == -INFINITY) { /* the only one there is: symbol 0, three times */
            cr_assert(out.sequence[0].n == 3 && out.sequence[0].log_prob == 0 && !out.sequence[1].n);
            for (int i = 0; i < 3; i++) cr_assert(!out.sequence[0].ids[i]);
        }
        tl_sequences_free(&out);
        tl_model_free(m);
    }
}

Test(beam, survives_every_failed_allocation)
{
    double h[2 * H], memory[2 * 2 * 3], scale = 1.5;
    fill(h, COUNT(h), 1);
    fill(memory, COUNT(memory), 2);
    const tl_array in[] = { states_array(h, 2), TL_ABSENT_ARRAY, tl_array_of(TL_F64, TL_DIMS(2, 2, 3), memory),
                            tl_array_of(TL_F64, TL_SCALAR, &scale) };
    for (int sampled = 0; sampled < 2; sampled++) {
        uint64_t n = 1;
        for (bool done = false; !done; n++) {
            tl_model *m = tl_model_new(.dtype = TL_F64);
            tl_session *session = tl_session_new(m);
            tl_sequences out;
            const tl_array state = states_array(h, 2);
            GOOD(tl_session_set_state(session, "decoder/h", &state));
            tl_fail_allocation(n);
            const tl_decode_opts o = { .size = sizeof o, .beam = 3, .max_length = 4, .end = 4, .session = session };
            const tl_status status = (sampled ? tl_sample_opt : tl_beam_search_opt)(m, decoder, in, 4, NULL, &out, &o);
            done = !status;
            tl_fail_allocation(0);
            cr_assert(!status || status == TL_E_MEMORY, "allocation %d: %s", (int)n, tl_message());
            cr_assert(done == (out.sequence != NULL));
            tl_sequences_free(&out);
            tl_session_free(session);
            tl_model_free(m);
            cr_assert(tl_live_bytes() == 0, "allocation %d", (int)n);
        }
        cr_assert(n > 30);
    }
}

/* ---- CTC --------------------------------------------------------------------------------------------------------- */

Test(ctc_greedy, merges_repeats_and_drops_blanks)
{
    static const int path[3][6] = { { 1, 1, 0, 1, 2, 2 }, { 0, 0, 0, 0, 0, 0 }, { 2, 1, 1, 0, 0, 1 } };
    float x[6 * 3 * 3] = { 0 };
    int32_t ids[3 * 6], counts[3], lengths[] = { 6, 3, 5 };
    for (int b = 0; b < 3; b++)
        for (int t = 0; t < 6; t++) x[(t * 3 + b) * 3 + path[b][t]] = 1;
    const tl_array a = tl_array_of(TL_F32, TL_DIMS(6, 3, 3), x);
    GOOD(tl_ctc_greedy(&a, NULL, 0, ids, counts));
    cr_assert(counts[0] == 3 && ids[0] == 1 && ids[1] == 1 && ids[2] == 2);
    cr_assert(counts[1] == 0);
    cr_assert(counts[2] == 3 && ids[12] == 2 && ids[13] == 1 && ids[14] == 1);
    GOOD(tl_ctc_greedy(&a, lengths, 1, ids, counts)); /* another blank, other lengths */
    cr_assert(counts[0] == 2 && ids[0] == 0 && ids[1] == 2);
    cr_assert(counts[1] == 1 && ids[6] == 0);
    cr_assert(counts[2] == 2 && ids[12] == 2 && ids[13] == 0);
    lengths[1] = 7;
    cr_assert(tl_ctc_greedy(&a, lengths, 1, ids, counts) == TL_E_INDEX);
    cr_assert(tl_ctc_greedy(NULL, lengths, 1, ids, counts) == TL_E_ARGUMENT);
}
