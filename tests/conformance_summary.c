/* tests/conformance_summary.c - Keras' summaries: the parameters that its layers have, and its table, character by character. */
#include "conformance_json.h"

/* ---- layers of Keras' names --------------------------------------------------------------------------------------- */

enum { LAYERS = 16, STEPS = 4, ROWS = 2 };

typedef struct layer {
    char name[64], cls[64];
    int64_t params;
    int64_t in, units; /* columns; of an embedding `in` counts ids */
    bool no_bias, reset_before, bidirectional, sequences;
} layer;

typedef struct chain {
    layer layer[LAYERS];
    int n;
    int64_t steps;
} chain;

static tl_cell cell_of(tl_scope *s, const layer *l)
{
    if (!strcmp(l->cls, "LSTM")) return tl_lstm_cell(s, .no_bias = l->no_bias);
    if (strcmp(l->cls, "GRU")) return tl_simple_rnn_cell(s, .no_bias = l->no_bias);
    return tl_gru_cell(s, .no_bias = l->no_bias, .reset_before = l->reset_before);
}

static tl_tensor recurrent(tl_scope *s, tl_tensor x, const layer *l)
{
    if (l->bidirectional)
        return tl_bidirectional(s, x, cell_of(s, l), .units = l->units, .name = l->name,
                                .return_sequences = l->sequences);
    if (l->no_bias || l->reset_before)
        return tl_rnn(s, x, cell_of(s, l), .units = l->units, .name = l->name, .return_sequences = l->sequences);
    tl_tensor (*const layers[])(tl_place, tl_scope *, tl_tensor, const tl_rnn_opts *) = { tl_lstm_opt, tl_gru_opt,
                                                                                          tl_simple_rnn_opt };
    const int k = !strcmp(l->cls, "LSTM") ? 0 : !strcmp(l->cls, "GRU") ? 1 : 2;
    return layers[k](
        TL_HERE, s, x,
        &(tl_rnn_opts){
            .size = sizeof(tl_rnn_opts), .units = l->units, .name = l->name, .return_sequences = l->sequences });
}

static tl_tensor record(tl_scope *s, const tl_tensor *in, void *user)
{
    const chain *c = user;
    tl_tensor x = in[0];
    for (int i = 0; i < c->n; i++) {
        const layer *l = &c->layer[i];
        if (!strcmp(l->cls, "Embedding")) x = tl_embedding(s, x, .vocab = l->in, .units = l->units, .name = l->name);
        else if (!strcmp(l->cls, "Dense"))
            x = tl_dense(s, x, .units = l->units, .name = l->name, .no_bias = l->no_bias);
        else if (!strcmp(l->cls, "LayerNormalization")) x = tl_layer_normalization(s, x, .name = l->name);
        else if (l->params) x = recurrent(s, x, l);
    }
    return tl_sum(x, TL_ALL);
}

static tl_array input_of(const chain *c)
{
    const layer *l = c->layer;
    if (!strcmp(l->cls, "Embedding")) return tl_array_of(TL_I32, TL_DIMS(c->steps, ROWS), NULL);
    return tl_array_of(TL_F32, TL_DIMS(c->steps, ROWS, l->in), NULL);
}

/* ---- their sizes, which are not told ------------------------------------------------------------------------------ */

/* The columns of a layer's input when it has so many units; 0: they do not fit its parameters. */
static int64_t columns(const layer *l, int64_t units)
{
    const int64_t gates = !strcmp(l->cls, "LSTM") ? 4 : !strcmp(l->cls, "GRU") ? 3 : 1, p = l->params / units;
    if (l->params % (units * gates)) return 0;
    if (!strcmp(l->cls, "Embedding")) return p;
    if (!strcmp(l->cls, "Dense")) return p - 1;
    return p / gates - units - 1 - (gates == 3);
}

/* Sizes of the first n layers such that the last has `units` (0: any). Whichever are found, the formulas are Keras'. */
static bool solve(chain *c, int n, int64_t units)
{
    if (!n) return true;
    layer *l = &c->layer[n - 1];
    if (!l->params) return solve(c, n - 1, units);
    for (int64_t u = units ? units : 1; u <= (units ? units : l->params); u++) {
        const int64_t in = columns(l, u);
        if (in < 1) continue;
        l->units = u;
        l->in = in;
        if (solve(c, n - 1, strcmp(l->cls, "Embedding") ? in : -1)) return true;
    }
    return false;
}

/* ---- comparing ---------------------------------------------------------------------------------------------------- */

/* What tl_tape_layers() says of the chain. */
static void compare_layers(const chain *c, const char *what, int64_t total, verdict *v)
{
    tl_model *m = tl_model_new();
    tl_tape *t = tl_tape_new(m);
    const tl_tensor in = tl_input(tl_root(t), "x", input_of(c));
    record(tl_root(t), &in, (void *)(uintptr_t)c);
    int n = 0, k = 0;
    tl_layer_info *l = tl_failed(t) ? NULL : tl_tape_layers(t, &n);
    if (!l) refuse(v, "%s: %s", what, tl_tape_message(t));
    for (int i = 0; l && i < c->n; i++) {
        const layer *want = &c->layer[i];
        if (!want->params) continue; /* an activation is no layer here */
        if (k < n && l[k].trainable == want->params) total -= want->params;
        else
            refuse(v, "%s: %s has %lld parameters, expected %lld", what, want->name,
                   k < n ? (long long)l[k].trainable : 0, (long long)want->params);
        k++;
    }
    if (l && (k != n || total))
        refuse(v, "%s: %d layers, expected %d; total off by %lld", what, n, k, (long long)total);
    tl_free(l);
    tl_tape_free(t);
    tl_model_free(m);
}

static void check_model(const char *name, const json_t *item, verdict *v)
{
    chain c = { .steps = STEPS };
    size_t i;
    json_t *j;
    json_array_foreach(json_object_get(item, "layers"), i, j)
    {
        if (c.n == LAYERS) {
            refuse(v, "%s: more than %d layers", name, LAYERS);
            return;
        }
        layer *l = &c.layer[c.n++];
        snprintf(l->name, sizeof l->name, "%s", json_string_value(json_object_get(j, "name")));
        snprintf(l->cls, sizeof l->cls, "%s", json_string_value(json_object_get(j, "cls")));
        l->params = json_integer_value(json_object_get(j, "params"));
    }
    if (!solve(&c, c.n, 0)) refuse(v, "%s: layers whose sizes are not known", name);
    else compare_layers(&c, name, json_integer_value(json_object_get(item, "total")), v);
}

/* "Bidirectional LSTM(16) on 8 inputs", "GRU(16) on 8 inputs reset_after=False" */
static void check_other(const json_t *item, verdict *v)
{
    const char *words = json_string_value(json_object_get(item, "layer"));
    long long units, in;
    chain c = { .n = 1, .steps = STEPS };
    layer *l = c.layer;
    l->params = json_integer_value(json_object_get(item, "params"));
    l->bidirectional = strstr(words, "Bidirectional");
    l->no_bias = strstr(words, "no bias");
    l->reset_before = strstr(words, "reset_after=False");
    const char *bare = words;
    for (const char *space; (space = strchr(bare, ' ')) && space < strchr(words, '(');) bare = space + 1;
    if (sscanf(bare, "%63[^(](%lld) on %lld", l->cls, &units, &in) != 3) {
        refuse(v, "%s: not understood", words);
        return;
    }
    l->units = units;
    l->in = in;
    snprintf(l->name, sizeof l->name, "layer");
    compare_layers(&c, words, l->params, v);
}

static void check_summaries(const json_t *file, const json_t *item, verdict *v)
{
    (void)file;
    const char *name;
    json_t *j;
    json_object_foreach((json_t *)(uintptr_t)item, name, j)
    {
        size_t i;
        json_t *other;
        if (json_is_object(j)) check_model(name, j, v);
        else json_array_foreach(j, i, other) check_other(other, v);
    }
}

/* ---- the table ---------------------------------------------------------------------------------------------------- */

/* "│ embedding_2 (Embedding)         │ (None, 4, 8)           │            64 │" */
static bool read_row(const char *line, chain *c)
{
    layer *l = &c->layer[c->n];
    char shape[64], params[32];
    long long a, b;
    if (c->n == LAYERS ||
        sscanf(line, "│ %63s (%63[^)]) │ (None, %63[^)]) │ %31s", l->name, l->cls, shape, params) != 4)
        return false;
    const int dims = sscanf(shape, "%lld, %lld", &a, &b);
    if (dims == 2) c->steps = a;
    l->units = dims == 2 ? b : a;
    l->sequences = dims == 2;
    for (const char *p = params; *p; p++)
        if (*p != ',') l->params = 10 * l->params + (*p - '0');
    if (l->params) l->in = columns(l, l->units);
    c->n++;
    return true;
}

static void check_text(const json_t *file, const json_t *item, verdict *v)
{
    (void)file;
    const char *text = json_string_value(item);
    char title[64] = "";
    chain c = { .steps = STEPS };
    sscanf(text, "Model: \"%63[^\"]", title);
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) read_row(line, &c);
    char *got = NULL;
    size_t size;
    FILE *out = open_memstream(&got, &size);
    tl_model *m = tl_model_new();
    const tl_array in = input_of(&c);
    if (tl_summary(m, out, .fn = record, .user = &c, .inputs = &in, .n = 1, .title = title))
        refuse(v, "%s", tl_message());
    fclose(out);
    const size_t length = strlen(text);
    if (strncmp(got, text, length > size ? length : size)) refuse(v, "printed\n%s, expected\n%s", got, text);
    free(got);
    tl_model_free(m);
}

const json_row summary_rows[] = {
    { "summaries", check_summaries },
    { "summary_text*", check_text },
    { NULL, NULL },
};
