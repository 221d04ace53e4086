/* examples/question_answer.c - five questions, four answers: words become numbers, and a network learns what is asked.
 *
 *     question_answer                                    the notebook's network on raw ids, then one with an embedding
 *     question_answer --question "Where do you live?" --save answers.safetensors
 *     question_answer --load answers.safetensors --question "What is your name?"
 *
 * An id is a poor number: "how" is not twice "your". With it the notebook's 20 epochs leave some questions wrong, and it
 * takes 100; with an embedding, which gives each word a row of numbers to learn, 20 will do. That one is saved, and once
 * loaded only answers: nothing is learned with --load. */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "tapeloop.h"

enum { N = 5, T = 5, CLASSES = 4, UNITS = 50 }; /* questions, words of the longest; as in the notebook */

static const char *const questions[N] = { "What is your name?", "How are you?", "What is your profession?",
                                          "Where do you live?", "What is your favorite color?" };
static int32_t answers[N] = { 0, 1, 0, 2, 3 };

static const char *question = "How are you?";
static int64_t epochs = 100, embedding_epochs = 20;
static double rate = 1e-3;

static const arg options[] = {
    { "question", ARG_TEXT, &question, "what to ask in the end", 0, 0, NULL },
    { "epochs", ARG_INT, &epochs, "of the network on raw ids", 1, 1e6, NULL },
    { "embedding-epochs", ARG_INT, &embedding_epochs, "of the one with an embedding", 1, 1e6, NULL },
    { "lr", ARG_NUMBER, &rate, "learning rate of Adam", 1e-9, 100, NULL },
    { ARGS_PLOT },
    { ARGS_SAVE("write the network with the embedding, and its words, to this file") },
    { ARGS_LOAD("only answer, with the network in this file") },
};

/* ---- the networks --------------------------------------------------------------------------------------------- */

/* x [T, B, features], y [B] -> the mean loss. Its gradient is simpler from logits than from the notebook's softmax. */
static tl_tensor classify(tl_scope *s, tl_tensor x, tl_tensor y)
{
    tl_tensor h = tl_simple_rnn(s, x, .units = UNITS);
    tl_tensor logits = tl_dense(s, h, .units = CLASSES);
    tl_output(s, "probabilities", tl_softmax(logits));
    return tl_absent(y) ? TL_NONE : tl_cross_entropy(logits, y);
}

/* in[0]: ids as numbers [T, B, 1]; in[1]: answers [B] */
static tl_tensor raw_ids(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    return classify(s, in[0], in[1]);
}

/* in[0]: ids [T, B]; in[1]: answers [B]; user: how many ids there are */
static tl_tensor embedded(tl_scope *s, const tl_tensor *in, void *user)
{
    return classify(s, tl_embedding(s, in[0], .vocab = *(const int64_t *)user, .units = UNITS), in[1]);
}

typedef struct network {
    const char *name;
    tl_model_fn fn;
    tl_dtype dtype; /* of in[0] */
    int rank;
    const int64_t *epochs;
    const char *right, *loss, *answer; /* names of its figures */
    tl_model *model;
    tl_trainer *trainer;
    tl_history *history;
} network;

enum { RAW, EMBEDDED, NETWORKS };
static network networks[NETWORKS] = {
    { .name = "raw ids", raw_ids, TL_F32, 3, &epochs, "raw_right", "raw_loss", "raw_answer" },
    { .name = "embedding",
      embedded,
      TL_I32,
      2,
      &embedding_epochs,
      "embedding_right",
      "embedding_loss",
      "embedding_answer" },
};

/* ---- words ---------------------------------------------------------------------------------------------------- */

static tl_tokenizer *tokenizer;
static int64_t ids; /* of words, and 0 for padding: what the embedding has rows for */

static void print_sequences(const tl_ragged *sequences)
{
    printf("Sequences: [");
    for (int64_t i = 0; i < sequences->n; i++) {
        const int64_t *row = sequences->offset + i;
        for (int64_t k = row[0]; k < row[1]; k++)
            printf("%s%d", k > row[0] ? ", " : i ? ", [" : "[", sequences->ids[k]);
        printf("]");
    }
    puts("]");
}

/* The questions, [N, T]: zeros in front of short ones. */
static tl_array read_questions(void)
{
    tl_ragged sequences;
    tl_array X;
    must(tl_tokenizer_new(&tokenizer));
    must(tl_tokenizer_fit(tokenizer, questions, N));
    must(tl_texts_to_sequences(tokenizer, questions, N, &sequences));
    must(tl_pad_sequences(&sequences, &X));
    ids = tl_tokenizer_size(tokenizer) + 1;
    for (int32_t id = 1; id < ids; id++)
        printf("%s'%s': %d", id > 1 ? ", " : "Word Index: {", tl_tokenizer_word(tokenizer, id), id);
    puts("}");
    print_sequences(&sequences);
    print_rows("Padded Sequences:\n ", X.data, N, T, T);
    printf("Labels:\n ");
    for (int i = 0; i < N; i++) printf("%s%d%s", i ? " " : "[", answers[i], i + 1 < N ? "" : "]\n\n");
    tl_ragged_free(&sequences);
    return X;
}

/* ---- learning and answering ----------------------------------------------------------------------------------- */

/* X [n, T]; y [n] or absent. Raw ids are one feature at each time step: [n, T, 1]. */
static tl_dataset *dataset_of(const network *net, tl_array X, tl_array y)
{
    tl_dataset *data = tl_dataset_new();
    tl_dataset_sequences(data, tl_array_of(TL_I32, net->rank, (int64_t[]){ X.dim[0], X.dim[1], 1 }, X.data),
                         .dtype = net->dtype);
    tl_dataset_rows(data, y);
    return data;
}

static void learn(network *net, tl_array X)
{
    const tl_metric_desc accuracy = tl_accuracy(.output = "probabilities");
    const tl_array batch = tl_array_of(net->dtype, net->rank, (int64_t[]){ T, N, 1 }, NULL);
    tl_dataset *data = dataset_of(net, X, tl_array_of(TL_I32, TL_DIMS(N), answers));
    double results[2];
    must(tl_summary(net->model, stdout, .fn = net->fn, .user = &ids, .title = net->name,
                    .inputs = (tl_array[]){ batch, TL_ABSENT_ARRAY }, .n = 2));
    must(tl_fit(net->model, net->fn, data, .trainer = net->trainer, .epochs = *net->epochs, .metrics = &accuracy,
                .n_metrics = 1, .history = &net->history, .out = stdout));
    must(
        tl_evaluate(net->model, net->fn, data, results, .trainer = net->trainer, .metrics = &accuracy, .n_metrics = 1));
    printf("Model Accuracy, %s, %lld epochs: %.4f\n\n", net->name, (long long)*net->epochs, results[1]);
    figure(net->loss, results[0]);
    figure(net->right, results[1] * N);
    tl_dataset_free(data);
}

static void ask(const network *net)
{
    tl_ragged sequence;
    tl_array p, X;
    must(tl_texts_to_sequences(tokenizer, &question, 1, &sequence));
    must(tl_pad_sequences(&sequence, &X, .maxlen = T));
    if (!sequence.offset[1]) args_fail(2, "--question: none of its words has been learned");
    tl_dataset *data = dataset_of(net, X, TL_ABSENT_ARRAY);
    must(tl_predict(net->model, net->fn, data, "probabilities", &p, .trainer = net->trainer));
    const float *row = p.data;
    int best = 0;
    for (int k = 0; k < CLASSES; k++) best = row[k] > row[best] ? k : best;
    printf("%s Predicted Answer, %s: %d (probability %.2f)\n", question, net->name, best, row[best]);
    figure(net->answer, best);
    tl_dataset_free(data);
    tl_ragged_free(&sequence);
    tl_array_free(&p);
    tl_array_free(&X);
}

/* ---- what an embedding is ------------------------------------------------------------------------------------- */

static tl_tensor rows_of_ids(tl_scope *s, const tl_tensor *in, void *user)
{
    tl_output(s, "rows", tl_embedding(s, in[0], .vocab = 6, .units = *(const int64_t *)user));
    return TL_NONE;
}

/* A row of ten numbers for each of six words. As in the notebook they are numbered from 0 on, so padding is "hello". */
static void demonstrate(void)
{
    int32_t padded[2][4] = { { 0, 0, 0, 1 }, { 2, 3, 4, 5 } };
    int64_t units = 10;
    tl_array rows;
    tl_model *model = tl_model_new(.seed = args_seed());
    tl_dataset *data = tl_dataset_new();
    tl_dataset_sequences(data, tl_array_of(TL_I32, TL_DIMS(2, 4), padded));
    must(tl_predict(model, rows_of_ids, data, "rows", &rows, .user = &units));
    print_rows("\n\"hello world\", \"this is a sentence\":\n ", padded[0], 2, 4, 4);
    printf("Embedded: shape (%lld, %lld, %lld)\n", (long long)rows.dim[0], (long long)rows.dim[1],
           (long long)rows.dim[2]);
    const float *row = rows.data;
    for (int64_t i = 0; i < 8; i++) {
        printf("%s[", i % 4 ? "  " : " [");
        for (int64_t k = 0; k < units; k++) printf("%s%11.8f", k ? " " : "", row[i * units + k]);
        puts(i % 4 == 3 ? "]]" : "]");
    }
    int equal = 1;
    while (equal < 8 && !memcmp(row, row + equal * units, (size_t)units * sizeof *row)) equal++;
    printf("The first %d rows are equal: the same id, the same numbers.\n", equal);
    figure("equal_rows", equal);
    tl_model_free(model);
    tl_dataset_free(data);
    tl_array_free(&rows);
}

/* ---- saving and loading --------------------------------------------------------------------------------------- */

static void save(void)
{
    tl_bytes json;
    must(tl_tokenizer_print(tokenizer, &json));
    must(tl_model_save(networks[EMBEDDED].model, args_save, .texts = &(tl_named_text){ "question_answer", json.data },
                       .n_texts = 1));
    tl_bytes_free(&json);
}

static void load(void)
{
    tl_safetensors *file;
    must(tl_safetensors_read(args_load, &file));
    const char *json = tl_safetensors_text(file, "question_answer");
    if (!json) args_fail(2, "%s: not a network of this program", args_load);
    must(tl_tokenizer_parse(args_load, json, strlen(json), &tokenizer));
    if (tl_model_take(networks[EMBEDDED].model, file)) args_fail(2, "%s: %s", args_load, tl_message());
    ids = tl_tokenizer_size(tokenizer) + 1;
    tl_safetensors_free(file);
}

static void learn_all(void)
{
    tl_array X = read_questions();
    for (int i = 0; i < NETWORKS; i++) learn(&networks[i], X);
    args_draw(NETWORKS, (const char *[]){ networks[RAW].name, networks[EMBEDDED].name },
              (tl_history *[]){ networks[RAW].history, networks[EMBEDDED].history });
    tl_array_free(&X);
}

int main(int argc, char **argv)
{
    args_read(argc, argv, "networks that know what is asked", options, sizeof options / sizeof *options);
    if (args_load && (args_save || args_plot))
        args_fail(2, "--load learns nothing that --save or --plot could tell of");
    for (network *net = networks; net < networks + NETWORKS; net++) {
        net->model = tl_model_new(.seed = args_seed());
        net->trainer = tl_trainer_new(net->model, net->fn, .user = &ids, .optimizer = tl_adam(.lr = rate),
                                      .explain = args_explain());
        if (!net->trainer) args_fail(2, "%s", tl_message());
    }
    if (args_load) load();
    else learn_all();
    for (int i = args_load ? EMBEDDED : RAW; i < NETWORKS; i++) ask(&networks[i]);
    if (!args_load) demonstrate();
    if (args_save) save();
    args_plan(networks[EMBEDDED].trainer);
    figure("seed", (double)args_seed());
    figures_write();
    for (network *net = networks; net < networks + NETWORKS; net++) {
        tl_history_free(net->history);
        tl_trainer_free(net->trainer);
        tl_model_free(net->model);
    }
    tl_tokenizer_free(tokenizer);
    return 0;
}
