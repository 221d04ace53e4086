/* examples/char_windows.c - char_rnn --notebook: the character that follows ten characters, as one learns it with Keras.
 *
 *     char_rnn --notebook --text wonderland.txt
 *
 * The text is cleaned, every ten characters in a row are a sample, in each of which the network starts from nothing, and
 * after each time through them it writes: from ten characters somewhere in the text, always the likeliest next one. (What is
 * gained by reading on, with states that are kept, shows char_rnn without --notebook.)
 *
 * The notebook holds all windows as one-hot vectors, N x 10 x V numbers. Here they are ids, of which the model function makes
 * one-hot vectors a batch at a time. */
#include "char_windows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "tapeloop.h"

enum { WINDOW = 10, LENGTH = 100, MOST_FIGURES = 30 };

static const char *text_path = "build/alice/alice.txt";
static int64_t iterations = 25, units = 128, batch = 128;
static bool notebook;
static const arg options[] = {
    { "notebook", ARG_FLAG, &notebook, "this program; without it another, see char_rnn --help", 0, 0, NULL },
    { "text", ARG_FILE, &text_path, "the file to learn from", 0, 0, NULL },
    { "epochs", ARG_INT, &iterations, "iterations: times through all windows", 0, 1e6, NULL },
    { "units", ARG_INT, &units, "size of the state", 1, 65536, NULL },
    { "batch", ARG_INT, &batch, "windows in a batch", 1, 100000, NULL },
    { ARGS_PLOT },
    { ARGS_SAVE("write the network to this file after each iteration") },
    { ARGS_LOAD("go on with the network in this file") },
};

/* in[0]: characters [10, B]; in[1]: the ones that follow [B] -> the mean loss in nats */
static tl_tensor next_of_ten(tl_scope *s, const tl_tensor *in, void *user)
{
    const int64_t vocab = tl_vocab_size(user);
    tl_tensor h = tl_simple_rnn(s, tl_one_hot(in[0], vocab), .units = units);
    tl_tensor logits = tl_dense(s, h, .units = vocab);
    tl_output(s, "next", tl_argmax(logits, -1));
    return tl_cross_entropy(logits, in[1]);
}

/* ---- the windows ------------------------------------------------------------------------------------------------ */

typedef struct windows {
    tl_vocab *vocab;
    int32_t *ids; /* of the cleaned text */
    int64_t n;
    tl_array rows[2]; /* ten ids each, and the one that follows each */
    tl_dataset *data;
    tl_random random; /* where the network begins to write */
} windows;

/* w->vocab: the loaded network's, or NULL for the text's own: its characters in ascending order. */
static void read_windows(windows *w)
{
    tl_bytes raw, text;
    if (tl_text_read(text_path, &raw)) args_fail(2, "%s (--text FILE names the text to learn)", tl_message());
    must(tl_text_clean(raw.data, raw.size, &text));
    if (text.size <= WINDOW) args_fail(2, "%s: nothing follows ten characters in it", text_path);
    if (!w->vocab) must(tl_vocab_new(text.data, text.size, &w->vocab));
    w->ids = malloc(text.size * sizeof *w->ids);
    if (!w->ids) args_fail(1, "out of memory");
    if (tl_vocab_encode(w->vocab, text.data, text.size, -1, w->ids, &w->n))
        args_fail(2, "%s: %s", text_path, tl_message());
    const tl_array series = tl_array_of(TL_I32, TL_DIMS(w->n), w->ids);
    must(tl_sliding_windows(&series, WINDOW, w->rows));
    w->data = tl_dataset_new();
    tl_dataset_sequences(w->data, w->rows[0]);
    tl_dataset_rows(w->data, w->rows[1]);
    printf("%s: %lld characters, %d different ones; %lld windows\n", text_path, (long long)w->n,
           tl_vocab_size(w->vocab), (long long)tl_dataset_samples(w->data));
    tl_bytes_free(&raw);
    tl_bytes_free(&text);
}

static void free_windows(windows *w)
{
    tl_dataset_free(w->data);
    for (int i = 0; i < 2; i++) tl_array_free(&w->rows[i]);
    tl_vocab_free(w->vocab);
    free(w->ids);
}

/* ---- learning and writing --------------------------------------------------------------------------------------- */

static void print_ids(const tl_vocab *vocab, const int32_t *ids, int n)
{
    char symbol[5];
    for (int i = 0; i < n && tl_vocab_symbol(vocab, ids[i], symbol); i++) fputs(symbol, stdout);
}

/* Prints ten characters of the text and what the network thinks of as the next hundred. */
static void write_on(tl_trainer *trainer, windows *w)
{
    int32_t text[WINDOW + LENGTH];
    const int64_t at = (int64_t)(tl_random_next(&w->random) * (double)(w->n - WINDOW));
    memcpy(text, w->ids + at, WINDOW * sizeof *text);
    printf("Generating from seed: ");
    print_ids(w->vocab, text, WINDOW);
    putchar('\n');
    for (int i = 0; i < LENGTH; i++) {
        tl_array next;
        const tl_array in[] = { tl_array_of(TL_I32, TL_DIMS(WINDOW, 1), text + i), TL_ABSENT_ARRAY };
        must(tl_predict_step(trainer, in, 2));
        must(tl_get(tl_trainer_session(trainer, TL_PREDICT), "next", &next));
        text[WINDOW + i] = *(int32_t *)next.data;
    }
    print_ids(w->vocab, text, WINDOW + LENGTH);
    putchar('\n');
    fflush(stdout);
}

static void save(const tl_model *model, const tl_vocab *vocab)
{
    tl_bytes symbols;
    if (!args_save) return;
    must(tl_vocab_print(vocab, &symbols));
    must(tl_model_save(model, args_save, .texts = &(tl_named_text){ "windows_of", symbols.data }, .n_texts = 1));
    tl_bytes_free(&symbols);
}

static tl_vocab *load(tl_model *model)
{
    tl_safetensors *file;
    tl_vocab *vocab;
    must(tl_safetensors_read(args_load, &file));
    const char *symbols = tl_safetensors_text(file, "windows_of");
    if (!symbols) args_fail(2, "%s: not a network of this program", args_load);
    if (tl_vocab_parse(symbols, &vocab) || tl_model_take(model, file)) args_fail(2, "%s: %s", args_load, tl_message());
    const tl_array *W = tl_safetensors_array(file, "simple_rnn/W");
    if (W && W->rank == 2) units = W->dim[1];
    tl_safetensors_free(file);
    return vocab;
}

/* After each iteration. */
static tl_status show(tl_fit_state *state, void *ctx)
{
    static char name[MOST_FIGURES][32];
    windows *w = ctx;
    if (state->epoch < MOST_FIGURES) {
        snprintf(name[state->epoch], sizeof *name, "loss_%lld", (long long)state->epoch);
        figure(name[state->epoch], tl_fit_log(state, "loss"));
    }
    write_on(state->trainer, w);
    save(state->model, w->vocab);
    return TL_OK;
}

static void learn(tl_model *model, tl_trainer *trainer, windows *w)
{
    tl_history *history = NULL;
    tl_callback shown = { .name = "show", .ctx = w, .epoch_end = show };
    must(tl_fit(model, next_of_ten, w->data, .trainer = trainer, .epochs = iterations, .batch = batch,
                .callbacks = &shown, .n_callbacks = 1, .history = &history, .out = stdout));
    const tl_series loss = { "loss", NULL, tl_history_values(history, "loss"), iterations };
    const tl_plot plot = { "windows of ten characters", "iteration", "loss", .series = &loss, .n_series = 1 };
    if (args_plot) must(tl_plot_write(&plot, 1, args_plot));
    tl_history_free(history);
}

int char_windows(int argc, char **argv)
{
    args_read(argc, argv, "the character that follows ten characters, as in the notebook", options,
              sizeof options / sizeof *options);
    tl_model *model = tl_model_new(.seed = args_seed());
    if (!model) args_fail(1, "%s", tl_message());
    windows w = { .vocab = args_load ? load(model) : NULL, .random = { .key = args_seed() } };
    read_windows(&w);
    tl_trainer *trainer = tl_trainer_new(model, next_of_ten, .user = w.vocab, .optimizer = tl_rmsprop(),
                                         .explain = args_explain());
    if (!trainer) args_fail(1, "%s", tl_message());
    const tl_array shapes[] = { tl_array_of(TL_I32, TL_DIMS(WINDOW, batch), NULL),
                                tl_array_of(TL_I32, TL_DIMS(batch), NULL) };
    must(tl_summary(model, stdout, .fn = next_of_ten, .user = w.vocab, .inputs = shapes, .n = 2));
    if (iterations) learn(model, trainer, &w);
    else write_on(trainer, &w);
    figure("parameters", (double)tl_model_size(model));
    figure("vocab", tl_vocab_size(w.vocab));
    figure("characters", (double)w.n);
    figures_write();
    args_plan(trainer);
    tl_trainer_free(trainer);
    free_windows(&w);
    tl_model_free(model);
    return 0;
}
