/* examples/hello_rnn.c - the smallest notebook: from four characters of "hello world" a network learns the fifth.
 *
 *     hello_rnn                                      embedding(8), simple RNN(16), dense(8); 100 epochs of Adam
 *     hello_rnn --epochs 200                         by when all six windows are right
 *     hello_rnn --cell gru --bidirectional --attention --dropout 0.2 --clip 1 --perplexity
 *     hello_rnn --save hello.safetensors; hello_rnn --load hello.safetensors --prompt "low"
 *
 * An LSTM learns slower: give it 400. A loaded network only writes: nothing is learned with --load. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "tapeloop.h"

static const char text[] = "hello world";
enum { WINDOW = 5, N = sizeof text - 1 - WINDOW, EMBEDDING = 8, UNITS = 16 }; /* N windows; all as in the notebook */

/* What the network looks like; its description is saved with it. */
typedef struct network {
    const char *cell;
    bool bidirectional, attention;
    double dropout;
    int64_t vocab;
} network;
static network net = { .cell = "rnn" };

static const char *prompt = "hello";
static double rate = 1e-3, clip;
static int64_t epochs = 100, length = 10;
static bool perplexity;

static const arg options[] = {
    { "epochs", ARG_INT, &epochs, "times that all windows are read", 1, 1e6, NULL },
    { "lr", ARG_NUMBER, &rate, "learning rate of Adam", 1e-9, 100, NULL },
    { "cell", ARG_TEXT, &net.cell, "kind of recurrent cell", 0, 0, "rnn|lstm|gru" },
    { "bidirectional", ARG_FLAG, &net.bidirectional, "read backwards, too", 0, 0, NULL },
    { "attention", ARG_FLAG, &net.attention, "look back at all characters", 0, 0, NULL },
    { "dropout", ARG_NUMBER, &net.dropout, "share of values left out while learning", 0, 0.99, NULL },
    { "clip", ARG_NUMBER, &clip, "largest global norm of the gradients; 0: any", 0, 1e9, NULL },
    { "perplexity", ARG_FLAG, &perplexity, "measure it, beside accuracy", 0, 0, NULL },
    { "prompt", ARG_TEXT, &prompt, "what to continue", 0, 0, NULL },
    { "length", ARG_INT, &length, "characters to write", 0, 1e6, NULL },
    { ARGS_PLOT },
    { ARGS_SAVE("write the network and its characters to this file") },
    { ARGS_LOAD("only write, with the network in this file") },
};

/* ---- the network -------------------------------------------------------------------------------------------- */

static tl_tensor recurrent(tl_scope *s, tl_tensor x, const network *n)
{
    const bool lstm = !strcmp(n->cell, "lstm"), gru = !strcmp(n->cell, "gru"), all = n->attention;
    const tl_cell cell = lstm ? tl_lstm_cell(s) : gru ? tl_gru_cell(s) : tl_simple_rnn_cell(s);
    if (n->bidirectional) return tl_bidirectional(s, x, cell, .units = UNITS, .return_sequences = all);
    if (lstm) return tl_lstm(s, x, .units = UNITS, .return_sequences = all);
    if (gru) return tl_gru(s, x, .units = UNITS, .return_sequences = all);
    return tl_simple_rnn(s, x, .units = UNITS, .return_sequences = all);
}

/* in[0]: characters [T, B]; in[1]: the one that follows, [B] -> the mean loss. Its gradient is simpler from logits than
 * from the notebook's softmax. */
static tl_tensor next_char(tl_scope *s, const tl_tensor *in, void *user)
{
    const network *n = user;
    tl_tensor h = tl_embedding(s, in[0], .vocab = n->vocab, .units = EMBEDDING);
    if (n->dropout > 0) h = tl_dropout(s, h, .rate = n->dropout, .name = "dropout");
    h = recurrent(s, h, n);
    if (n->attention) { /* the last state asks which of all states matter (Luong et al. 2015) */
        tl_tensor last = tl_at(h, tl_dim(h, 0) - 1);
        h = tl_concat(2, ((tl_tensor[]){ last, tl_attention(s, last, h) }), -1);
    }
    tl_tensor logits = tl_dense(s, h, .units = n->vocab);
    tl_output(s, "logits", logits);
    tl_output(s, "next", tl_argmax(logits, -1));
    return tl_absent(in[1]) ? TL_NONE : tl_cross_entropy(logits, in[1]);
}

/* ---- learning ------------------------------------------------------------------------------------------------- */

static void print_vocab(const tl_vocab *vocab)
{
    char c[5];
    printf("Vocabulary: [");
    for (int i = 0; tl_vocab_symbol(vocab, i, c); i++) printf("%s'%s'", i ? ", " : "", c);
    printf("]\nCharacter to Index Mapping: {");
    for (int i = 0; tl_vocab_symbol(vocab, i, c); i++) printf("%s'%s': %d", i ? ", " : "", c, i);
    puts("}");
}

/* Each window and what the network says that follows. */
static void show_windows(tl_model *model, tl_trainer *trainer, tl_dataset *data, const tl_vocab *vocab)
{
    tl_array next;
    int right = 0;
    must(tl_predict(model, next_char, data, "next", &next, .trainer = trainer));
    for (int i = 0; i < N; i++) {
        char symbol[5];
        tl_vocab_symbol(vocab, ((const int32_t *)next.data)[i], symbol);
        const bool well = *symbol == text[i + WINDOW - 1];
        printf("'%.4s' -> '%s'%s\n", text + i, symbol, well ? "" : " (wrong)");
        right += well;
    }
    printf("%d of %d windows right\n", right, N);
    figure("windows", N);
    figure("right", right);
    tl_array_free(&next);
}

static void learn(tl_model *model, tl_trainer *trainer, const tl_vocab *vocab)
{
    const tl_metric_desc metrics[] = { tl_accuracy(), tl_perplexity(.from_logits = true) };
    const int n_metrics = perplexity ? 2 : 1;
    int32_t ids[N + WINDOW];
    int64_t n;
    tl_array Xy[2]; /* [N, 4] and what follows, [N] */
    double results[3];
    tl_history *history = NULL;
    must(tl_vocab_encode(vocab, text, sizeof text - 1, -1, ids, &n));
    /* The notebook's range() ends a window too soon, so "worl" is never read, nor "d" learned: all but the last here. */
    const tl_array series = tl_array_of(TL_I32, TL_DIMS(n - 1), ids);
    must(tl_sliding_windows(&series, WINDOW - 1, Xy));
    print_rows("Sequences: ", ids, N, 1, WINDOW);
    tl_dataset *data = tl_dataset_new();
    tl_dataset_sequences(data, Xy[0]);
    tl_dataset_rows(data, Xy[1]);
    const tl_array batch[2] = { tl_array_of(TL_I32, TL_DIMS(WINDOW - 1, N), NULL), TL_ABSENT_ARRAY };
    must(tl_summary(model, stdout, .fn = next_char, .user = &net, .inputs = batch, .n = 2, .title = "sequential"));
    must(tl_fit(model, next_char, data, .trainer = trainer, .epochs = epochs, .metrics = metrics,
                .n_metrics = n_metrics, .history = &history, .out = stdout));
    must(tl_evaluate(model, next_char, data, results, .trainer = trainer, .metrics = metrics, .n_metrics = n_metrics));
    args_draw(1, NULL, &history);
    show_windows(model, trainer, data, vocab);
    figure("loss", results[0]);
    figure("accuracy", results[1]);
    if (perplexity) figure("perplexity", results[2]);
    tl_history_free(history);
    tl_dataset_free(data);
    tl_array_free(&Xy[0]);
    tl_array_free(&Xy[1]);
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

/* As the notebook does: the prompt is read at once, and then only the last character each time, by a network that has
 * forgotten all before. So what follows a character is always the same, and the text runs in a circle. */
static char *write_text(tl_trainer *trainer, const tl_vocab *vocab)
{
    const size_t size = strlen(prompt);
    int64_t n;
    int32_t *ids = malloc((size + 1) * sizeof *ids);
    char *out = malloc(size + 4 * (size_t)length + 1), *end = out ? stpcpy(out, prompt) : NULL;
    if (!ids || !out) args_fail(1, "out of memory");
    if (!size) args_fail(2, "--prompt: at least one character is needed");
    if (tl_vocab_encode(vocab, prompt, size, -1, ids, &n)) args_fail(2, "--prompt: %s", tl_message());
    for (int64_t i = 0; i < length; i++, n = 1) {
        tl_array next;
        must(tl_predict_step(trainer, (tl_array[]){ tl_array_of(TL_I32, TL_DIMS(n, 1), ids), TL_ABSENT_ARRAY }, 2));
        must(tl_get(tl_trainer_session(trainer, TL_PREDICT), "next", &next));
        ids[0] = *(const int32_t *)next.data;
        end += tl_vocab_symbol(vocab, ids[0], end);
    }
    free(ids);
    printf("Generated Text: %s\n", out);
    figure_text("generated", out);
    return out;
}

/* ---- saving and loading --------------------------------------------------------------------------------------- */

static const char *describe(const network *n)
{
    static char out[64];
    snprintf(out, 64, "%s%s%s", n->cell, n->bidirectional ? ", bidirectional" : "", n->attention ? ", attention" : "");
    return out;
}

static void save(const tl_model *model, const tl_vocab *vocab)
{
    tl_bytes symbols;
    must(tl_vocab_print(vocab, &symbols));
    const tl_named_text texts[] = { { "symbols", symbols.data }, { "hello_rnn", describe(&net) } };
    must(tl_model_save(model, args_save, .texts = texts, .n_texts = 2));
    tl_bytes_free(&symbols);
}

/* Parameters into the model, and what the network looks like into net. */
static tl_vocab *load(tl_model *model)
{
    static const char *const cells[] = { "rnn", "lstm", "gru" };
    bool found = false;
    tl_safetensors *file;
    tl_vocab *vocab;
    must(tl_safetensors_read(args_load, &file));
    const char *saved = tl_safetensors_text(file, "hello_rnn"), *symbols = tl_safetensors_text(file, "symbols");
    for (int i = 0; i < 12 && saved && !found; i++) {
        net = (network){ .cell = cells[i % 3], .bidirectional = i / 3 % 2, .attention = i / 6 };
        found = !strcmp(saved, describe(&net));
    }
    if (!found || !symbols) args_fail(2, "%s: not a network of this program", args_load);
    if (tl_vocab_parse(symbols, &vocab) || tl_model_take(model, file)) args_fail(2, "%s: %s", args_load, tl_message());
    tl_safetensors_free(file);
    return vocab;
}

int main(int argc, char **argv)
{
    tl_vocab *vocab;
    args_read(argc, argv, "a recurrent network learns \"hello world\"", options, sizeof options / sizeof *options);
    if (args_load && (args_save || args_plot))
        args_fail(2, "--load learns nothing that --save or --plot could tell of");
    tl_model *model = tl_model_new(.seed = args_seed());
    if (!model) args_fail(1, "%s", tl_message());
    if (args_load) vocab = load(model);
    else must(tl_vocab_new(text, sizeof text - 1, &vocab));
    print_vocab(vocab);
    net.vocab = tl_vocab_size(vocab);
    tl_trainer *trainer = tl_trainer_new(model, next_char, .user = &net, .optimizer = tl_adam(.lr = rate),
                                         .clip_norm = clip, .explain = args_explain());
    if (!trainer) args_fail(2, "%s", tl_message());
    if (!args_load) learn(model, trainer, vocab);
    char *out = write_text(trainer, vocab);
    if (args_save) save(model, vocab);
    args_plan(trainer);
    figure_text("network", describe(&net));
    figure("parameters", (double)tl_model_size(model));
    figure("seed", (double)args_seed());
    figures_write();
    free(out);
    tl_vocab_free(vocab);
    tl_trainer_free(trainer);
    tl_model_free(model);
    return 0;
}
