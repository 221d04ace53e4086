/* tests/test_summary.c - the layers of a tape, and the table that Keras would print. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tapeloop.h"

#define GOOD(call) cr_assert(!(call), "%s: %s", #call, tl_message())
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

/* What tl_summary() prints; to be freed. */
static char *printed(tl_model *m, tl_model_fn fn, const tl_array *in, int n, const char *title)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    GOOD(tl_summary(m, out, .fn = fn, .inputs = in, .n = n, .title = title));
    fclose(out);
    return text;
}

static void has(const char *text, const char *words) { cr_assert(strstr(text, words), "no '%s' in\n%s", words, text); }

/* ---- as Keras prints it ----------------------------------------------------------------------------------------- */

static tl_tensor letters(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor x = tl_embedding(s, in[0], .vocab = 8, .units = 8);
    x = tl_simple_rnn(s, x, .units = 16);
    x = tl_dense(s, x, .units = 8);
    tl_output(s, "logits", x);
    return tl_absent(in[1]) ? TL_NONE : tl_cross_entropy(x, in[1]);
}

/* Keras 3's own print of this model, with names as they are in a new session. */
static const char keras[] = "Model: \"sequential\"\n"
                            "┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓\n"
                            "┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃\n"
                            "┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩\n"
                            "│ embedding (Embedding)           │ (None, 4, 8)           │            64 │\n"
                            "├─────────────────────────────────┼────────────────────────┼───────────────┤\n"
                            "│ simple_rnn (SimpleRNN)          │ (None, 16)             │           400 │\n"
                            "├─────────────────────────────────┼────────────────────────┼───────────────┤\n"
                            "│ dense (Dense)                   │ (None, 8)              │           136 │\n"
                            "└─────────────────────────────────┴────────────────────────┴───────────────┘\n"
                            " Total params: 600 (2.34 KB)\n"
                            " Trainable params: 600 (2.34 KB)\n"
                            " Non-trainable params: 0 (0.00 B)\n";

Test(summary, is_keras_table)
{
    tl_model *m = tl_model_new();
    const tl_array in[2] = { tl_array_of(TL_I32, TL_DIMS(4, 6), NULL), tl_array_of(TL_I32, TL_DIMS(6), NULL) };
    for (int n = 1; n <= 2; n++) { /* without targets, too */
        char *text = printed(m, letters, in, n, "sequential");
        cr_assert(!strcmp(text, keras), "\n%s", text);
        free(text);
    }
    const tl_array absent[2] = { in[0], TL_ABSENT_ARRAY };
    char *text = printed(m, letters, absent, 2, "sequential");
    cr_assert(!strcmp(text, keras), "\n%s", text);
    free(text);
    cr_assert(!tl_model_count(m)); /* recorded, not made */
    tl_model_free(m);
    cr_assert(!tl_live_bytes());
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static tl_tensor gates(tl_scope *s, tl_tensor x)
{
    const tl_tensor g = tl_gate(s, "g", x, TL_NONE, .units = 3);
    return tl_mul(g, tl_gate(s, "h", x, TL_NONE, .units = 3, .frozen = true));
}

/* Layers in a scope of the user's, in each other, of the user's own, with states of the model, and at the root. */
static tl_tensor mixed(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_scope *e = tl_in(s, "encoder");
    tl_tensor x = tl_dropout(s, in[0], .rate = 0.5, .name = "drop");
    x = tl_bidirectional(e, x, tl_lstm_cell(s), .units = 4, .return_sequences = true);
    x = tl_batch_norm(e, x);
    const tl_tensor query = tl_add(x, tl_param(e, "shift", TL_DIMS(8)));
    x = tl_multi_head_attention(s, query, x, .heads = 2, .units = 4);
    x = gates(tl_in(s, "own"), tl_mean(x, TL_AXES(0)));
    return tl_sum(tl_mul(x, tl_param(s, "w", TL_DIMS(3))), TL_ALL);
}

static const struct {
    const char *path, *kind;
    int rank;
    int64_t dim[3], trainable, frozen, states;
} want[] = {
    { "drop", "Dropout", 3, { 5, 2, 6 }, 0, 0, 0 },
    { "encoder/bidirectional", "Bidirectional", 3, { 5, 2, 8 }, 2 * 4 * (6 * 4 + 4 * 4 + 4), 0, 0 },
    { "encoder/batch_norm", "BatchNormalization", 3, { 5, 2, 8 }, 16, 0, 16 },
    { "encoder", "", -1, { 0 }, 8, 0, 0 },
    { "multi_head_attention", "MultiHeadAttention", 3, { 5, 2, 4 }, 3 * (8 * 8 + 8) + 8 * 4 + 4, 0, 0 },
    { "own", "", -1, { 0 }, 4 * 3 + 3, 4 * 3 + 3, 0 },
    { "", "", -1, { 0 }, 3, 0, 0 },
};

static void compare(const tl_layer_info *l, int n)
{
    cr_assert(n == COUNT(want), "%d layers", n);
    for (int i = 0; i < n; i++) {
        cr_assert(!strcmp(l[i].path, want[i].path) && !strcmp(l[i].kind, want[i].kind), "row %d is %s (%s)", i,
                  l[i].path, l[i].kind);
        cr_assert(l[i].output.dtype == (want[i].rank < 0 ? 0 : TL_F32));
        cr_assert(want[i].rank < 0 || l[i].output.rank == want[i].rank);
        cr_assert(want[i].rank < 0 || !memcmp(l[i].output.dim, want[i].dim, (size_t)want[i].rank * sizeof(int64_t)),
                  "output of %s: rank %d, %lld, %lld, %lld", l[i].path, l[i].output.rank, (long long)l[i].output.dim[0],
                  (long long)l[i].output.dim[1], (long long)l[i].output.dim[2]);
        cr_assert(l[i].trainable == want[i].trainable && l[i].frozen == want[i].frozen && l[i].states == want[i].states,
                  "%s has %lld, %lld, %lld", l[i].path, (long long)l[i].trainable, (long long)l[i].frozen,
                  (long long)l[i].states);
    }
}

Test(layers, are_found_by_scope)
{
    tl_model *m = tl_model_new();
    tl_tape *t = tl_tape_new(m, .training = true);
    const tl_tensor x = tl_input(tl_root(t), "x", tl_array_of(TL_F32, TL_DIMS(5, 2, 6), NULL));
    mixed(tl_root(t), &x, NULL);
    cr_assert(!tl_failed(t), "%s", tl_tape_message(t));
    int n;
    tl_layer_info *l = tl_tape_layers(t, &n);
    compare(l, n);
    tl_free(l);
    tl_tape_reset(t); /* forgets them */
    l = tl_tape_layers(t, &n);
    cr_assert(l && n == 0);
    tl_free(l);
    cr_assert(!tl_tape_layers(NULL, &n) && !tl_tape_layers(t, NULL));
    tl_tape_free(t);
    tl_model_free(m);
    cr_assert(!tl_live_bytes());
}

Test(summary, counts_what_cannot_be_trained)
{
    tl_model *m = tl_model_new(.dtype = TL_F64);
    const tl_array in = tl_array_of(TL_F64, TL_DIMS(5, 2, 6), NULL);
    char *text = printed(m, mixed, &in, 1, NULL);
    has(text, "Model: \"model\"\n");
    has(text, "│ encoder/bidirectional (Bidirectional)     │ (None, 5, 8)");
    has(text, "│ encoder/batch_norm (BatchNormalization)   │ (None, 5, 8)           │            32 │");
    has(text, "│ own                                       │ ?                      │            30 │");
    has(text, "│ (no scope)                                │ ?                      │             3 │");
    has(text, " Total params: 677 (5.29 KB)\n Trainable params: 646 (5.05 KB)\n Non-trainable params: 31 (248.00 B)\n");
    free(text);
    tl_model_free(m);
}

/* ---- which axis is the batch's ---------------------------------------------------------------------------------- */

/* A user's layer that says its kind. Works on 3 rows only. */
static tl_tensor stubborn(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_scope *mine = tl_in(s, "mine");
    const tl_tensor y = tl_scope_layer(mine, "Gate", gates(mine, in[0]));
    tl_scope_layer(mine, "Other", tl_neg(y)); /* has been said */
    return tl_sum(tl_mul(y, tl_full(s, TL_DIMS(3, 1), 2)), TL_ALL);
}

static tl_tensor looking(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor x = tl_dense(s, in[0], .units = 2);
    return tl_eval(tl_sum(in[0], TL_ALL)) > 0 ? tl_sum(x, TL_ALL)
                                              : tl_sum(tl_dense(s, x, .units = 1, .name = "b"), TL_ALL);
}

Test(summary, prints_shapes_as_they_are_where_the_batch_cannot_grow)
{
    tl_model *m = tl_model_new();
    tl_array in = tl_array_of(TL_F32, TL_DIMS(3, 7), NULL);
    in.batch_axis = TL_ZERO;
    char *text = printed(m, stubborn, &in, 1, NULL);
    has(text, "│ mine (Gate)                     │ (3, 3)                 │            48 │");
    free(text);
    float x[21] = { 1 };
    in.data = x; /* the second recording sees no numbers and takes the other way */
    text = printed(m, looking, &in, 1, NULL);
    has(text, "│ dense (Dense)                   │ (3, 2)                 │            16 │");
    cr_assert(!strstr(text, " b (Dense)"), "%s", text);
    free(text);
    tl_model_free(m);
}

Test(summary, of_long_names_and_large_numbers_grows)
{
    tl_model *m = tl_model_new();
    const tl_array in[1] = { tl_array_of(TL_I32, TL_DIMS(500, 2), NULL) };
    char *text = printed(m, letters, in, 1, "a");
    has(text, "(None, 500, 8)");
    free(text);
    tl_model_free(m);
}

/* ---- failures --------------------------------------------------------------------------------------------------- */

Test(summary, of_what_cannot_be_recorded_prints_nothing)
{
    tl_model *m = tl_model_new();
    const tl_array in = tl_array_of(TL_F32, TL_DIMS(4, 6), NULL); /* ids are wanted */
    char text[8] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    cr_assert(tl_summary(m, out, .fn = letters, .inputs = &in, .n = 1) == TL_E_DTYPE);
    cr_assert(strstr(tl_message(), "test_summary.c"), "%s", tl_message());
    cr_assert(tl_summary(m, out, .fn = letters, .n = 1) == TL_E_ARGUMENT);
    cr_assert(tl_summary(NULL, out) == TL_E_ARGUMENT);
    GOOD(tl_summary(m, NULL, .fn = letters));
    fclose(out);
    cr_assert(!*text && !tl_model_count(m));
    tl_model_free(m);
}

Test(summary, survives_any_allocation_that_fails)
{
    tl_model *m = tl_model_new();
    const tl_array in = tl_array_of(TL_F32, TL_DIMS(2, 2, 6), NULL);
    FILE *out = fopen("/dev/null", "w");
    const size_t live = tl_live_bytes();
    int failures = 0;
    for (uint64_t n = 1;; n += n < 200 ? 1 : 37) { /* the first recording is most of it */
        const uint64_t before = tl_allocations();
        tl_fail_allocation(n);
        const tl_status status = tl_summary(m, out, .fn = mixed, .inputs = &in, .n = 1);
        tl_fail_allocation(0);
        cr_assert(tl_live_bytes() == live && !tl_model_count(m));
        if (!status && tl_allocations() - before < n) break;
        cr_assert(!status || status == TL_E_MEMORY, "allocation %d: %s", (int)n, tl_message());
        failures += status != TL_OK;
    }
    cr_assert(failures > 20, "%d", failures);
    fclose(out);
    tl_model_free(m);
}
