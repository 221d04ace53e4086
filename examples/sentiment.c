/* examples/sentiment.c - is a review of a film for it or against it?
 *
 *     sentiment --train imdb_train.tsv.gz --test imdb_test.tsv.gz --save imdb.safetensors
 *     sentiment --load imdb.safetensors --text "not bad at all"
 *     sentiment --train imdb_train.tsv.gz --test imdb_test.tsv.gz --model notebook
 *
 * Files hold a line for each review, label<TAB>text, the label being 0 or 1, plain or packed with gzip. Without --train the
 * program makes its own: sentences like "the plot was not bad".
 *
 * The notebook's model hardly learns: of the test reviews it judges 0.5 to 0.6 right. It is not told of the padding, and reads
 * it: of a review of 100 words, its last state is what is left after 100 zeros. The mask is what it lacks (tl_masked below);
 * the rest makes a good model of it, 0.87 right, and 0.88 with --bidirectional. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "tapeloop.h"

/* What the network looks like; saved with it. */
typedef struct network {
    const char *cell, *pool;
    int64_t units, embedding, words, maxlen;
    double dropout;
    bool bidirectional, notebook;
} network;
static const network notebook = { "rnn", "last", 64, 32, 100000, 200, .notebook = true };
static network net = { "gru", "mean", 64, 64, 20000, 400, .dropout = 0.5 };

static const char *train_path, *test_path, *sentence, *kind = "masked";
static int64_t epochs = 5, batch = 32, patience = 1;
static double rate = 1e-3, decay = 0.5;

static const arg options[] = {
    { "train", ARG_FILE, &train_path, "reviews to learn from", 0, 0, NULL },
    { "test", ARG_FILE, &test_path, "reviews to be tested on", 0, 0, NULL },
    { "text", ARG_TEXT, &sentence, "a sentence to be judged in the end", 0, 0, NULL },
    { "model", ARG_TEXT, &kind, "the notebook's as it stands has no more options but epochs", 0, 0, "masked|notebook" },
    { "cell", ARG_TEXT, &net.cell, "kind of recurrent cell", 0, 0, "rnn|lstm|gru" },
    { "bidirectional", ARG_FLAG, &net.bidirectional, "read backwards, too", 0, 0, NULL },
    { "pool", ARG_TEXT, &net.pool, "judge by the mean of all states, or the last", 0, 0, "mean|last" },
    { "units", ARG_INT, &net.units, "size of the state", 1, 65536, NULL },
    { "embedding", ARG_INT, &net.embedding, "numbers that stand for a word", 1, 65536, NULL },
    { "words", ARG_INT, &net.words, "the most frequent ones; others are unknown", 4, 1e7, NULL },
    { "maxlen", ARG_INT, &net.maxlen, "words of a review that are read: the last ones", 1, 1e6, NULL },
    { "dropout", ARG_NUMBER, &net.dropout, "share of words and states left out while learning", 0, 0.99, NULL },
    { "lr", ARG_NUMBER, &rate, "learning rate of Adam", 1e-9, 100, NULL },
    { "decay", ARG_NUMBER, &decay, "factor on the learning rate after each epoch", 0, 1, NULL },
    { "batch", ARG_INT, &batch, "reviews in a batch", 1, 100000, NULL },
    { "epochs", ARG_INT, &epochs, "times that all are read, at most", 1, 1e6, NULL },
    { "patience", ARG_INT, &patience, "epochs without a lower val_loss before it stops", 0, 1e6, NULL },
    { ARGS_PLOT },
    { ARGS_SAVE("write the network and its words to this file") },
    { ARGS_LOAD("learn nothing: the network is in this file") },
};

/* ---- the network -------------------------------------------------------------------------------------------- */

static tl_tensor recurrent(tl_scope *s, tl_tensor x, const network *n, bool all)
{
    const bool lstm = !strcmp(n->cell, "lstm"), gru = !strcmp(n->cell, "gru");
    const tl_cell cell = lstm ? tl_lstm_cell(s) : gru ? tl_gru_cell(s) : tl_simple_rnn_cell(s);
    if (n->bidirectional) return tl_bidirectional(s, x, cell, .units = n->units, .return_sequences = all);
    if (lstm) return tl_lstm(s, x, .units = n->units, .return_sequences = all, .zero_output = all);
    if (gru) return tl_gru(s, x, .units = n->units, .return_sequences = all, .zero_output = all);
    return tl_simple_rnn(s, x, .units = n->units, .return_sequences = all, .zero_output = all);
}

/* in[0]: words [T, B]; in[1]: how many of them are real, [B]; in[2]: 0 or 1, [B, 1] -> the mean loss. */
static tl_tensor review(tl_scope *s, const tl_tensor *in, void *user)
{
    const network *n = user;
    const bool mean = !strcmp(n->pool, "mean");
    tl_tensor x = tl_embedding(s, in[0], .vocab = n->words, .units = n->embedding);
    if (!n->notebook) x = tl_masked(x, in[1]);
    /* One mask for all numbers of a word: whole words are left out (Iyyer et al. 2015). */
    if (n->dropout > 0) x = tl_dropout(s, x, .rate = n->dropout, .shared = 1 << 2, .name = "words");
    tl_tensor h = recurrent(s, x, n, mean);
    if (mean) h = tl_div(tl_sum(h, TL_AXES(0)), tl_cast(tl_expand_dims(in[1], 1), TL_F32)); /* 0 in the padding */
    if (n->dropout > 0) h = tl_dropout(s, h, .rate = n->dropout, .name = "state");
    tl_tensor logits = tl_dense(s, h, .units = 1);
    tl_output(s, "logits", logits); /* the notebook's sigmoid is in the loss */
    return tl_binary_cross_entropy(logits, in[2]);
}

/* ---- reviews ------------------------------------------------------------------------------------------------ */

/* The words that there are, if they are not known yet. */
static tl_tokenizer *learn_words(const char *const *texts, int64_t n)
{
    tl_tokenizer *words;
    must(tl_tokenizer_new(&words));
    must(tl_tokenizer_fit(words, texts, n));
    const int64_t ids = tl_tokenizer_size(words) + 4;
    if (!net.notebook && ids < net.words) net.words = ids; /* no rows that nothing uses */
    return words;
}

/* Texts numbered as Keras' imdb.load_data() has them: 1 begins a review, 2 is an unknown word, words follow by frequency
 * from 4. Labels may be NULL: not known. */
static tl_dataset *number(const tl_tokenizer *words, const char *const *texts, int64_t n, int32_t *labels)
{
    tl_ragged ids = { 0 };
    tl_dataset *data = tl_dataset_new();
    must(tl_imdb_sequences(words, texts, n, NULL, &ids, .num_words = net.words));
    tl_dataset_ids(data, &ids, .maxlen = net.maxlen, .padding = TL_POST, .full = net.notebook, .copy = true);
    tl_dataset_lengths(data, 0);
    tl_dataset_rows(data, labels ? tl_array_of(TL_I32, TL_DIMS(n, 1), labels) : TL_ABSENT_ARRAY, .dtype = TL_F32,
                    .copy = true);
    must(tl_dataset_status(data));
    tl_ragged_free(&ids);
    return data;
}

static tl_dataset *read_reviews(const char *path, tl_tokenizer **words)
{
    tl_bytes text;
    tl_labelled reviews;
    int64_t likes = 0;
    must(tl_text_read(path, &text));
    must(tl_labelled_parse(path, &text, &reviews));
    for (int64_t i = 0; i < reviews.texts.n; likes += reviews.label[i++])
        if (reviews.label[i] & ~1) args_fail(2, "%s: line %lld: the label is neither 0 nor 1", path, (long long)i + 1);
    printf("%s: %lld reviews, %lld of them for the film\n", path, (long long)reviews.texts.n, (long long)likes);
    if (!*words && reviews.texts.n < 2) args_fail(2, "%s: one review is too little to learn from", path);
    if (!*words) *words = learn_words(reviews.texts.text, reviews.texts.n);
    tl_dataset *data = number(*words, reviews.texts.text, reviews.texts.n, reviews.label);
    tl_labelled_free(&reviews);
    return data;
}

static const char *pick(tl_random *r, const char *const words[8]) { return words[(int)(8 * tl_random_next(r))]; }

/* Whether a word is praise depends on the word before it: "the plot was not bad and the cast was lovely". */
static bool make_review(tl_random *r, char *out, size_t size)
{
    static const char *const what[] = { "film", "plot", "cast", "music", "ending", "script", "movie", "acting" };
    static const char *const good[] = { "good", "great", "lovely", "funny", "clever", "touching", "superb", "fine" };
    static const char *const bad[] = { "bad", "awful", "boring", "silly", "dull", "weak", "terrible", "poor" };
    const bool likes = tl_random_next(r) < 0.5;
    size_t used = 0;
    do {
        const bool negated = tl_random_next(r) < 0.3;
        const char *subject = pick(r, what), *word = pick(r, likes != negated ? good : bad);
        used += (size_t)snprintf(out + used, size - used, "%sthe %s was %s%s", used ? " and " : "", subject,
                                 negated ? "not " : "", word);
    } while (used < size - 40 && tl_random_next(r) < 0.5);
    return likes;
}

static tl_dataset *make_reviews(int64_t n, uint64_t key, tl_tokenizer **words)
{
    static char room[16000][120];
    static const char *texts[16000];
    static int32_t labels[16000];
    tl_random random = { .key = key };
    for (int64_t i = 0; i < n; i++) {
        labels[i] = make_review(&random, room[i], sizeof room[i]);
        texts[i] = room[i];
    }
    printf("%lld sentences, such as \"%s\"\n", (long long)n, texts[0]);
    if (!*words) *words = learn_words(texts, n);
    return number(*words, texts, n, labels);
}

/* ---- learning, testing, judging ------------------------------------------------------------------------------- */

static const tl_metric_desc accuracy = {
    .size = sizeof accuracy, .kind = TL_METRIC_ACCURACY, .target = 2, .from_logits = true
};

/* Neighbours in the files are reviews of one film, so those held out are one block, the last ones, as Keras does it. */
static void learn(tl_model *model, tl_trainer *trainer, tl_dataset *train)
{
    tl_history *history = NULL;
    tl_callback callbacks[] = { tl_learning_rate(.schedule = tl_exponential_decay(.factor = decay)),
                                tl_early_stopping(.patience = patience, .restore_best = !net.notebook) };
    const tl_array inputs[] = { tl_array_of(TL_I32, TL_DIMS(net.maxlen, 1), NULL),
                                tl_array_of(TL_I32, TL_DIMS(1), NULL), TL_ABSENT_ARRAY };
    must(tl_summary(model, stdout, .fn = review, .user = &net, .inputs = inputs, .n = 3, .title = "sequential"));
    must(tl_fit(model, review, train, .trainer = trainer, .epochs = epochs, .batch = batch,
                .buckets = net.notebook ? 0 : 50, .validation_split = net.notebook ? 0.2 : 0.1, .metrics = &accuracy,
                .n_metrics = 1, .callbacks = callbacks, .n_callbacks = 2, .history = &history, .out = stdout));
    args_draw(1, NULL, &history);
    figure("epochs", (double)tl_history_epochs(history));
    tl_history_free(history);
}

/* Why the notebook's model hardly learns: how often it is right, by how many zeros it has read after a review. */
static void show_padding(tl_trainer *trainer, tl_dataset *test)
{
    static const int64_t most[] = { 0, 10, 30, 100, INT64_MAX };
    int64_t right[5] = { 0 }, all[5] = { 0 };
    tl_loader *loader;
    tl_batch b;
    tl_array logits;
    must(tl_loader_new(test, &loader, .batch = 100));
    for (must(tl_loader_next(loader, &b)); b.samples; must(tl_loader_next(loader, &b))) {
        must(tl_predict_step(trainer, b.in, b.n));
        must(tl_get(tl_trainer_session(trainer, TL_PREDICT), "logits", &logits));
        for (int64_t i = 0, k = 0; i < b.samples; i++, k = 0) {
            while (net.maxlen - ((const int32_t *)b.in[1].data)[i] > most[k]) k++;
            right[k] += (((const float *)logits.data)[i] > 0) == (((const float *)b.in[2].data)[i] > 0);
            all[k]++;
        }
    }
    puts("zeros read after a review  reviews  accuracy");
    for (int k = 0; k < 5; k++)
        if (all[k])
            printf("  %s%-18lld %12lld %9.4f\n", k == 4 ? "above " : "up to ", (long long)most[k - k / 4],
                   (long long)all[k], (double)right[k] / (double)all[k]);
    tl_loader_free(loader);
}

static void measure(tl_model *model, tl_trainer *trainer, tl_dataset *test)
{
    double results[2];
    must(tl_evaluate(model, review, test, results, .trainer = trainer, .batch = 100, .metrics = &accuracy,
                     .n_metrics = 1));
    printf("test_loss %.4f  test_accuracy %.4f\n", results[0], results[1]);
    figure("test_loss", results[0]);
    figure("test_accuracy", results[1]);
    if (net.notebook) show_padding(trainer, test);
}

/* The notebook's own attempt fits a tokenizer on the letters of its sentence, and so judges a review of zeros. */
static void judge(tl_model *model, tl_trainer *trainer, const tl_tokenizer *words)
{
    tl_array logit;
    tl_dataset *data = number(words, &sentence, 1, NULL);
    must(tl_predict(model, review, data, "logits", &logit, .trainer = trainer));
    const double positive = 1 / (1 + exp(-(double)*(const float *)logit.data));
    printf("%s (%.4f): %s\n", positive > 0.5 ? "Positive sentiment" : "Negative sentiment", positive, sentence);
    figure("positive", positive);
    tl_array_free(&logit);
    tl_dataset_free(data);
}

/* ---- saving and loading --------------------------------------------------------------------------------------- */

#define NETWORK "%7s %7s %lld %lld %lld %lld %d %d" /* to write and to read: as struct network, without dropout */

static void save(const tl_model *model, const tl_tokenizer *words)
{
    char line[160];
    tl_bytes json;
    must(tl_tokenizer_print(words, &json));
    snprintf(line, sizeof line, NETWORK, net.cell, net.pool, (long long)net.units, (long long)net.embedding,
             (long long)net.words, (long long)net.maxlen, net.bidirectional, net.notebook);
    const tl_named_text texts[] = { { "sentiment", line }, { "words", json.data } };
    must(tl_model_save(model, args_save, .texts = texts, .n_texts = 2));
    tl_bytes_free(&json);
}

static tl_tokenizer *load(tl_model *model)
{
    static char cell[8], pool[8];
    long long n[4];
    int bidirectional, unmasked;
    tl_safetensors *file;
    tl_tokenizer *words;
    must(tl_safetensors_read(args_load, &file));
    const char *line = tl_safetensors_text(file, "sentiment"), *json = tl_safetensors_text(file, "words");
    if (!line || !json || sscanf(line, NETWORK, cell, pool, &n[0], &n[1], &n[2], &n[3], &bidirectional, &unmasked) != 8)
        args_fail(2, "%s: not a network of this program", args_load);
    net = (network){ cell, pool, n[0], n[1], n[2], n[3], 0, bidirectional, unmasked };
    if (tl_tokenizer_parse(args_load, json, strlen(json), &words) || tl_model_take(model, file))
        args_fail(2, "%s: %s", args_load, tl_message());
    tl_safetensors_free(file);
    return words;
}

int main(int argc, char **argv)
{
    tl_tokenizer *words = NULL;
    tl_dataset *train = NULL, *test = NULL;
    args_read(argc, argv, "is a review of a film for it or against it?", options, sizeof options / sizeof *options);
    if (args_load && (train_path || args_save || args_plot))
        args_fail(2, "with --load nothing is learned, drawn or saved");
    if (args_load && !test_path && !sentence) args_fail(2, "--load: what for? --test FILE or --text \"a sentence\"");
    if (!train_path && !args_load && test_path) args_fail(2, "--test needs --train FILE or --load FILE");
    tl_model *model = tl_model_new(.seed = args_seed());
    if (!model) args_fail(1, "%s", tl_message());
    if (!strcmp(kind, "notebook")) {
        net = notebook;
        batch = 64;
        rate = 1e-3;
        decay = 1;
        patience = epochs; /* it does not stop */
    }
    if (args_load) words = load(model);
    else train = train_path ? read_reviews(train_path, &words) : make_reviews(16000, args_seed(), &words);
    if (test_path) test = read_reviews(test_path, &words);
    else if (train && !train_path) test = make_reviews(500, args_seed() + 1, &words);
    tl_trainer *trainer = tl_trainer_new(model, review, .user = &net, .lengths = net.notebook ? 0 : 1,
                                         .explain = args_explain(),
                                         .optimizer = tl_adam(.lr = rate, .lazy = !net.notebook));
    if (!trainer) args_fail(2, "%s", tl_message());
    if (train) learn(model, trainer, train);
    if (test) measure(model, trainer, test);
    if (sentence) judge(model, trainer, words);
    if (args_save) save(model, words);
    args_plan(trainer);
    figure_text("model", net.notebook ? "notebook" : "masked");
    figure_text("cell", net.cell);
    figure("parameters", (double)tl_model_size(model));
    figure("seed", (double)args_seed());
    figures_write();
    tl_dataset_free(train);
    tl_dataset_free(test);
    tl_trainer_free(trainer);
    tl_tokenizer_free(words);
    tl_model_free(model);
    return 0;
}
