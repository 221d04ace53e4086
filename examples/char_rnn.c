/* examples/char_rnn.c - a recurrent network learns a text character by character, and writes more of it.
 *
 *     char_rnn --text book.txt --cell lstm --units 128 --dropout 0.3 --save book.safetensors
 *     char_rnn --load book.safetensors --epochs 0 --prompt "Alice " --length 500
 *
 * The last tenth of the text is held out and only ever measured. The rest is read as --batch streams side by side, in
 * windows of --window characters; states are carried from window to window (truncated backpropagation through time) and
 * start afresh each epoch. The model function below is all there is to say about the network. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "char_windows.h"
#include "tapeloop.h"

static const char *text_path = "build/alice/alice.txt", *prompt;
static double rate = 0.004, decay = 1, clip = 1, temperature = 0.7;
static int64_t window = 64, batch = 16, epochs = 20, length = 300;
static bool notebook;

/* What the network looks like; saved with it. */
typedef struct network {
    const char *cell;
    int64_t units, layers, embedding, vocab;
    double dropout;
} network;
static network net = { .cell = "lstm", .units = 128, .layers = 1, .embedding = 64 };

static const arg options[] = {
    { "text", ARG_FILE, &text_path, "the file to learn from", 0, 0, NULL },
    { "cell", ARG_TEXT, &net.cell, "kind of recurrent cell", 0, 0, "rnn|lstm|gru|mgu" },
    { "units", ARG_INT, &net.units, "size of each layer's state", 1, 65536, NULL },
    { "layers", ARG_INT, &net.layers, "recurrent layers", 1, 100, NULL },
    { "embedding", ARG_INT, &net.embedding, "numbers that stand for a character", 1, 65536, NULL },
    { "dropout", ARG_NUMBER, &net.dropout, "share of values left out while learning", 0, 0.99, NULL },
    { "window", ARG_INT, &window, "characters that gradients reach back", 1, 100000, NULL },
    { "batch", ARG_INT, &batch, "streams read side by side", 1, 100000, NULL },
    { "epochs", ARG_INT, &epochs, "times the text is read", 0, 1e6, NULL },
    { "lr", ARG_NUMBER, &rate, "learning rate of Adam", 1e-9, 100, NULL },
    { "decay", ARG_NUMBER, &decay, "factor on the learning rate after each epoch", 0, 1, NULL },
    { "clip", ARG_NUMBER, &clip, "largest global norm of the gradients; 0: any", 0, 1e9, NULL },
    { "temperature", ARG_NUMBER, &temperature, "of the writing: 0 takes the likeliest", 0, 100, NULL },
    { "prompt", ARG_TEXT, &prompt, "what to continue (default: the start of the text)", 0, 0, NULL },
    { "length", ARG_INT, &length, "characters to write after each epoch", 0, 1e9, NULL },
    { "notebook", ARG_FLAG, &notebook, "windows of ten characters instead; see --notebook --help", 0, 0, NULL },
    { ARGS_SAVE("write the network to this file after each epoch") },
    { ARGS_LOAD("go on with the network in this file") },
};

/* ---- the network -------------------------------------------------------------------------------------------- */

static tl_cell cell_of(tl_scope *s, const char *name)
{
    if (!strcmp(name, "rnn")) return tl_simple_rnn_cell(s);
    if (!strcmp(name, "gru")) return tl_gru_cell(s);
    return !strcmp(name, "mgu") ? tl_mgu_cell() : tl_lstm_cell(s);
}

/* in[0]: characters [T, B]; in[1]: the ones that follow [T, B] -> the mean loss in nats. */
static tl_tensor next_char(tl_scope *s, const tl_tensor *in, void *user)
{
    const network *n = user;
    /* The default start, twenty times smaller, leaves the first epoch to finding characters apart. */
    tl_tensor h = tl_embedding(s, in[0], .vocab = n->vocab, .units = n->embedding, .init = tl_normal(0, 1));
    for (int i = 0; i < n->layers; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s%d", n->cell, i);
        h = tl_dropout(s, h, .rate = n->dropout);
        h = tl_rnn(s, h, cell_of(s, n->cell), .units = n->units, .name = name, .return_sequences = true,
                   .stateful = true);
    }
    tl_tensor logits = tl_dense(s, tl_dropout(s, h, .rate = n->dropout), .units = n->vocab);
    tl_output(s, "logits", logits);
    return tl_cross_entropy(logits, in[1]);
}

/* ---- the text ----------------------------------------------------------------------------------------------- */

typedef struct corpus {
    tl_bytes text;
    tl_vocab *vocab;
    int32_t *ids;
    int64_t n, held_out; /* characters in all, and of them at the end held out */
} corpus;

static int32_t *encode(const tl_vocab *vocab, const char *text, size_t size, int64_t *n, const char *what)
{
    int32_t *ids = malloc((size + 1) * sizeof *ids);
    if (!ids) args_fail(1, "out of memory");
    if (tl_vocab_encode(vocab, text, size, -1, ids, n)) args_fail(2, "%s: %s", what, tl_message());
    return ids;
}

/* c->vocab: the loaded network's, or NULL for the text's own. */
static void read_corpus(corpus *c)
{
    const tl_status status = tl_text_read(text_path, &c->text);
    if (status) args_fail(2, "%s%s", tl_message(), status == TL_E_FILE ? " (--text FILE names the text to learn)" : "");
    if (!c->vocab) must(tl_vocab_new(c->text.data, c->text.size, &c->vocab));
    c->ids = encode(c->vocab, c->text.data, c->text.size, &c->n, text_path);
    c->held_out = c->n / 10 ? c->n / 10 : 1;
    if (c->n < 3) args_fail(2, "%s: a text of %lld characters is too short to learn from", text_path, (long long)c->n);
    printf("%s: %lld characters, %lld of them held out; %d different ones%s\n", text_path, (long long)c->n,
           (long long)c->held_out, tl_vocab_size(c->vocab), tl_vocab_is_bytes(c->vocab) ? " (bytes: not UTF-8)" : "");
}

/* Streams at least a window long, as far as the text goes. */
static tl_stream *training_stream(const corpus *c)
{
    tl_stream *s;
    const int64_t steps = c->n - c->held_out - 1, most = steps / window ? steps / window : 1;
    if (batch > most) {
        fprintf(stderr, "note: the text is short: batch %lld instead of %lld\n", (long long)most, (long long)batch);
        batch = most;
    }
    must(tl_stream_new(c->ids, steps + 1, batch, window, &s));
    return s;
}

/* ---- learning and measuring ---------------------------------------------------------------------------------- */

static double train_epoch(tl_trainer *t, tl_stream *stream, tl_progress *line)
{
    tl_array in[2];
    double loss, sum = 0;
    int64_t steps = 0;
    char text[64];
    while (tl_stream_next(stream, in)) {
        must(tl_train_step(t, in, 2, &loss));
        sum += loss * (double)in[0].dim[0];
        steps += in[0].dim[0];
        snprintf(text, sizeof text, "loss %.3f", sum / (double)steps);
        tl_progress_show(line, steps * batch, text);
    }
    return sum / (double)steps;
}

/* Every held-out character once, in one stream, each predicted from all that came before it there. */
static double held_out_loss(tl_trainer *t, const corpus *c)
{
    tl_stream *stream;
    tl_array in[2];
    double loss, sum = 0;
    must(tl_stream_new(c->ids + c->n - c->held_out - 1, c->held_out + 1, 1, window, &stream));
    tl_session_reset(tl_trainer_session(t, TL_TEST));
    while (tl_stream_next(stream, in)) {
        must(tl_test_step(t, in, 2, &loss));
        sum += loss * (double)in[0].dim[0];
    }
    tl_stream_free(stream);
    return sum / (double)c->held_out;
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

typedef struct beginning { /* what to continue */
    int32_t *ids;
    int64_t n;
} beginning;

static void write_ids(const tl_vocab *vocab, const int32_t *ids, int64_t n)
{
    char symbol[5];
    for (int64_t i = 0; i < n; i++) fwrite(symbol, 1, (size_t)tl_vocab_symbol(vocab, ids[i], symbol), stdout);
}

static void write_text(tl_model *model, const tl_vocab *vocab, beginning start, uint64_t seed)
{
    tl_sequences text;
    if (!length) return;
    must(tl_sample(model, next_char, NULL, 0, &net, &text, .prompt = start.ids, .n_prompt = start.n,
                   .max_length = length, .temperature = temperature > 0 ? temperature : TL_ZERO, .seed = seed));
    write_ids(vocab, start.ids, start.n);
    write_ids(vocab, text.ids, text.n_ids);
    puts("\n");
    fflush(stdout);
    tl_sequences_free(&text);
}

/* ---- saving and loading --------------------------------------------------------------------------------------- */

/* The network's numbers as text, in this order. */
static const char *const keys[] = { "units", "layers", "embedding", "vocab" };
static int64_t *const values[] = { &net.units, &net.layers, &net.embedding, &net.vocab };

static void save(const tl_model *model, const tl_vocab *vocab)
{
    char number[4][24];
    tl_named_text texts[6] = { { "cell", net.cell } };
    tl_bytes line;
    if (!args_save) return;
    must(tl_vocab_print(vocab, &line));
    texts[1] = (tl_named_text){ "symbols", line.data };
    for (int i = 0; i < 4; i++) {
        snprintf(number[i], sizeof number[i], "%lld", (long long)*values[i]);
        texts[2 + i] = (tl_named_text){ keys[i], number[i] };
    }
    must(tl_model_save(model, args_save, .texts = texts, .n_texts = 6));
    tl_bytes_free(&line);
}

/* Reads parameters into the model and the rest into net. Returns the vocabulary. */
static tl_vocab *load(tl_model *model)
{
    static const char *const cells[] = { "rnn", "lstm", "gru", "mgu" };
    tl_safetensors *file;
    tl_vocab *vocab;
    must(tl_safetensors_read(args_load, &file));
    const char *cell = tl_safetensors_text(file, "cell"), *symbols = tl_safetensors_text(file, "symbols");
    net.cell = NULL;
    for (int i = 0; cell && i < 4; i++)
        if (!strcmp(cell, cells[i])) net.cell = cells[i];
    for (int i = 0; i < 4; i++) {
        const char *number = tl_safetensors_text(file, keys[i]);
        *values[i] = number ? atoll(number) : 0;
        if (*values[i] < 1 || *values[i] > 1 << 20) net.cell = NULL;
    }
    if (!net.cell || !symbols) args_fail(2, "%s: not a network of this program", args_load);
    if (tl_vocab_parse(symbols, &vocab) || tl_model_take(model, file)) args_fail(2, "%s: %s", args_load, tl_message());
    tl_safetensors_free(file);
    return vocab;
}

/* ---- the program -------------------------------------------------------------------------------------------- */

static void learn(tl_model *model, tl_trainer *t, const corpus *c, beginning start)
{
    tl_stream *stream = training_stream(c);
    const int64_t tokens = tl_stream_steps(stream) * batch;
    double loss = NAN, held_out = NAN, seconds = 0;
    for (int64_t epoch = 1; epoch <= epochs; epoch++) {
        char label[48], text[160];
        snprintf(label, sizeof label, "epoch %lld/%lld", (long long)epoch, (long long)epochs);
        tl_trainer_reset_states(t);
        must(tl_optimizer_set_lr(tl_trainer_optimizer(t), rate * pow(decay, (double)(epoch - 1))));
        tl_progress line = tl_progress_begin(stdout, label, tokens, "chars");
        loss = train_epoch(t, stream, &line);
        held_out = held_out_loss(t, c);
        snprintf(text, sizeof text, "loss %.4f  heldout_loss %.4f  perplexity %.3f", loss, held_out, exp(held_out));
        seconds += tl_progress_end(&line, text);
        save(model, c->vocab);
        write_text(model, c->vocab, start, args_seed() + (uint64_t)epoch);
    }
    figure("heldout_loss", held_out);
    figure("perplexity", exp(held_out));
    figure("loss", loss);
    figure("seconds", seconds);
    figure("tokens_per_s", (double)(tokens * epochs) / seconds);
    tl_stream_free(stream);
}

static void measure(tl_trainer *t, const corpus *c)
{
    const double held_out = held_out_loss(t, c);
    printf("heldout_loss %.4f  perplexity %.3f\n", held_out, exp(held_out));
    figure("heldout_loss", held_out);
    figure("perplexity", exp(held_out));
}

static void run(tl_model *model, const corpus *c)
{
    tl_trainer *t = tl_trainer_new(model, next_char, .user = &net, .optimizer = tl_adam(.lr = rate), .clip_norm = clip,
                                   .explain = args_explain());
    if (!t) args_fail(2, "%s", tl_message());
    beginning start = { c->ids, c->n < 20 ? c->n : 20 };
    if (prompt) start.ids = encode(c->vocab, prompt, strlen(prompt), &start.n, "--prompt");
    if (!start.n) args_fail(2, "--prompt: at least one character is needed");
    if (epochs) learn(model, t, c, start);
    else if (c->n) measure(t, c);
    if (!epochs) write_text(model, c->vocab, start, args_seed());
    if (prompt) free(start.ids);
    args_plan(t);
    tl_trainer_free(t);
}

static void report(tl_model *model, const corpus *c)
{
    tl_summary(model, stdout);
    figure("parameters", (double)tl_model_size(model));
    figure("epochs", (double)epochs);
    figure_text("cell", net.cell);
    figure("units", (double)net.units);
    figure("layers", (double)net.layers);
    figure("characters", (double)c->n);
    figure("vocab", (double)net.vocab);
    figure("seed", (double)args_seed());
    figure_text("text", text_path);
    figures_write();
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--notebook")) return char_windows(argc, argv);
    args_read(argc, argv, "a recurrent network learns a text and writes more of it", options,
              sizeof options / sizeof *options);
    if (notebook) args_fail(2, "--notebook is to be written out");
    tl_model *model = tl_model_new(.seed = args_seed());
    if (!model) args_fail(1, "%s", tl_message());
    corpus c = { .vocab = args_load ? load(model) : NULL };
    if (!args_load || epochs || !prompt) read_corpus(&c); /* else the network only writes */
    net.vocab = tl_vocab_size(c.vocab);
    run(model, &c);
    report(model, &c);
    free(c.ids);
    tl_vocab_free(c.vocab);
    tl_bytes_free(&c.text);
    tl_model_free(model);
    return 0;
}
