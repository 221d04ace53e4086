/* tests/conformance_text.c - Keras' text utilities: Tokenizer, text_to_word_sequence, pad_sequences, to_categorical, windows. */
#include "conformance_json.h"

/* Numbers are the same up to the last bits of a logarithm; in f32, up to rounding. */
static const double exact = 1e-12, single = 1e-6;

/* ---- JSON to arguments -------------------------------------------------------------------------------------------- */

typedef struct strings {
    const char **text;
    int64_t n;
} strings;

/* With the given string for each space, where one is given. */
static strings strings_of(const json_t *list, const char *space)
{
    strings s = { calloc(json_array_size(list) + 1, sizeof *s.text), (int64_t)json_array_size(list) };
    for (int64_t i = 0; i < s.n; i++) {
        const char *from = json_string_value(json_array_get(list, (size_t)i));
        char *to = from ? calloc(strlen(from) + 1, space ? strlen(space) + 1 : 1) : NULL;
        s.text[i] = to;
        for (; to && *from; from++)
            if (*from == ' ' && space) to = stpcpy(to, space);
            else *to++ = *from;
    }
    return s;
}

static void free_strings(strings s)
{
    for (int64_t i = 0; i < s.n; i++) free((char *)(uintptr_t)s.text[i]);
    free(s.text);
}

/* A tokenizer that splits elsewhere but whose words have no spaces was fitted on the texts with what it splits at for each
 * space; the file does not say so. */
static const char *space_of(const json_t *item)
{
    const char *word, *split = json_string_value(json_object_get(json_object_get(item, "args"), "split"));
    json_t *value;
    json_object_foreach(json_object_get(item, "word_index"), word, value) if (strchr(word, ' ')) return NULL;
    return split;
}

static bool differs(verdict *v, const char *what, tl_status status)
{
    if (status) refuse(v, "%s: %s", what, tl_message());
    return status;
}

/* All numbers of nested lists, in f64 unless all are whole. */
static tl_array array_of(const json_t *list)
{
    tl_array a = { .dtype = TL_F64 };
    int64_t n = 1;
    for (const json_t *j = list; json_is_array(j) && a.rank < TL_MAX_RANK; j = json_array_get(j, 0))
        n *= a.dim[a.rank++] = (int64_t)json_array_size(j);
    double *x = a.data = calloc((size_t)n + 1, sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        const json_t *j = list;
        for (int64_t k = 0, left = i, size = n; k < a.rank; k++) {
            size /= a.dim[k];
            j = json_array_get(j, (size_t)(left / size));
            left %= size;
        }
        x[i] = json_number_value(j);
    }
    return a;
}

static bool any_real(const json_t *j)
{
    if (!json_is_array(j)) return json_is_real(j);
    for (size_t i = 0; i < json_array_size(j); i++)
        if (any_real(json_array_get(j, i))) return true;
    return false;
}

static tl_side side_of(const json_t *args, const char *key)
{
    const char *side = json_string_value(json_object_get(args, key));
    return side && !strcmp(side, "post") ? TL_POST : TL_PRE;
}

static tl_dtype dtype_of(const json_t *args, tl_dtype otherwise)
{
    const char *name = json_string_value(json_object_get(args, "dtype"));
    if (!name) return otherwise;
    return !strcmp(name, "float64") ? TL_F64 : !strncmp(name, "float", 5) ? TL_F32 : TL_I32;
}

static int64_t whole(const json_t *args, const char *key) { return json_integer_value(json_object_get(args, key)); }

static tl_tokenizer_opts options_of(const json_t *args, verdict *v)
{
    const char *key;
    json_t *value;
    tl_tokenizer_opts o = { .size = sizeof o };
    json_object_foreach((json_t *)(uintptr_t)args, key, value)
    {
        if (!strcmp(key, "num_words")) o.num_words = json_integer_value(value);
        else if (!strcmp(key, "filters")) o.filters = json_is_null(value) ? "" : json_string_value(value);
        else if (!strcmp(key, "split")) o.split = json_string_value(value);
        else if (!strcmp(key, "oov_token")) o.oov_token = json_string_value(value);
        else if (!strcmp(key, "lower")) o.keep_case = !json_is_true(value);
        else if (!strcmp(key, "char_level")) o.char_level = json_is_true(value);
        else refuse(v, "an option that is not known here: %s", key);
    }
    return o;
}

/* ---- comparing ---------------------------------------------------------------------------------------------------- */

static void compare_ragged(verdict *v, const char *what, const tl_ragged *got, const json_t *expected)
{
    if (got->n != (int64_t)json_array_size(expected)) refuse(v, "%s: another number of sequences", what);
    for (int64_t i = 0; !*v->why && i < got->n; i++) {
        const tl_array row = tl_array_of(TL_I32, TL_DIMS(got->offset[i + 1] - got->offset[i]),
                                         got->ids + got->offset[i]);
        compare_array(v, what, &row, json_array_get(expected, (size_t)i), 0);
    }
}

static void compare_texts(verdict *v, const char *what, const tl_texts *got, const json_t *expected)
{
    if (got->n != (int64_t)json_array_size(expected)) refuse(v, "%s: another number of texts", what);
    for (int64_t i = 0; !*v->why && i < got->n; i++) {
        const char *should = json_string_value(json_array_get(expected, (size_t)i));
        if (!should || strcmp(got->text[i], should)) refuse(v, "%s: '%s', expected '%s'", what, got->text[i], should);
    }
}

/* ---- the tokenizer ------------------------------------------------------------------------------------------------ */

static const tl_word *word_of(const tl_tokenizer *t, const char *text)
{
    int64_t n;
    const tl_word *w = tl_tokenizer_words(t, &n);
    for (int64_t i = 0; i < n; i++)
        if (!strcmp(w[i].text, text)) return &w[i];
    return NULL;
}

enum { ID, COUNTED, DOCS };

static void compare_words(verdict *v, const tl_tokenizer *t, const char *what, int kind, const json_t *expected)
{
    const char *word;
    json_t *value;
    int64_t n;
    if (!expected) return;
    tl_tokenizer_words(t, &n);
    if ((int64_t)json_object_size(expected) != (kind == ID ? tl_tokenizer_size(t) : n))
        refuse(v, "%s: another number of words", what);
    json_object_foreach((json_t *)(uintptr_t)expected, word, value)
    {
        const tl_word *w = word_of(t, word);
        const int64_t got = kind == ID ? tl_tokenizer_id(t, word) : !w ? 0 : kind == COUNTED ? w->count : w->texts;
        if (got != json_integer_value(value))
            refuse(v, "%s of '%s' is %lld, expected %lld", what, word, (long long)got,
                   (long long)json_integer_value(value));
    }
}

static void compare_matrices(verdict *v, const tl_tokenizer *t, strings texts, const json_t *expected)
{
    static const char *const modes[] = { "binary", "count", "freq", "tfidf" };
    for (int m = 0; m < COUNT(modes); m++)
        for (int d = 0; d < 2 && json_object_get(expected, modes[m]); d++) {
            tl_array x;
            if (differs(v, modes[m],
                        tl_texts_to_matrix(t, texts.text, texts.n, (tl_matrix_mode)m, d ? TL_F32 : TL_F64, &x)))
                continue;
            compare_array(v, modes[m], &x, json_object_get(expected, modes[m]), d ? single : exact);
            tl_array_free(&x);
        }
}

/* "padded_post_maxlen4": added and dropped at that end. */
static void compare_padded(verdict *v, const tl_ragged *sequences, const json_t *item)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)item, key, value)
    {
        if (strncmp(key, "padded_", 7)) continue;
        const tl_side side = strncmp(key + 7, "post", 4) ? TL_PRE : TL_POST;
        const char *maxlen = strstr(key, "maxlen");
        tl_array x;
        if (differs(v, key,
                    tl_pad_sequences(sequences, &x, .padding = side, .truncating = side,
                                     .maxlen = maxlen ? atoi(maxlen + 6) : 0)))
            continue;
        compare_array(v, key, &x, value, 0);
        tl_array_free(&x);
    }
}

static void check_sequences(verdict *v, const tl_tokenizer *t, strings texts, strings others, const json_t *item)
{
    tl_ragged s = { 0 }, o = { 0 };
    tl_texts back = { 0 };
    if (!differs(v, "sequences", tl_texts_to_sequences(t, texts.text, texts.n, &s)))
        compare_ragged(v, "sequences", &s, json_object_get(item, "sequences"));
    compare_padded(v, &s, item);
    if (!differs(v, "new_sequences", tl_texts_to_sequences(t, others.text, others.n, &o)))
        compare_ragged(v, "new_sequences", &o, json_object_get(item, "new_sequences"));
    if (!differs(v, "back_to_text", tl_sequences_to_texts(t, &o, &back)))
        compare_texts(v, "back_to_text", &back, json_object_get(item, "back_to_text"));
    tl_ragged_free(&s);
    tl_ragged_free(&o);
    tl_texts_free(&back);
}

static void check_all(verdict *v, const tl_tokenizer *t, strings texts, strings others, const json_t *item)
{
    compare_words(v, t, "word_index", ID, json_object_get(item, "word_index"));
    compare_words(v, t, "word_counts", COUNTED, json_object_get(item, "word_counts"));
    compare_words(v, t, "word_docs", DOCS, json_object_get(item, "word_docs"));
    if (tl_tokenizer_texts(t) != whole(item, "document_count")) refuse(v, "document_count");
    check_sequences(v, t, texts, others, item);
    compare_matrices(v, t, texts, json_object_get(item, "matrix"));
}

/* Fitted, and the same once more after it was printed and read again. */
static void check_tokenizer(const json_t *file, const json_t *item, verdict *v)
{
    const char *space = space_of(item);
    const strings texts = strings_of(json_object_get(file, "texts"), space);
    const strings others = strings_of(json_object_get(file, "new_texts"), space);
    const tl_tokenizer_opts o = options_of(json_object_get(item, "args"), v);
    tl_tokenizer *t = NULL, *again = NULL;
    tl_bytes printed = { 0 };
    if (!differs(v, "new", tl_tokenizer_new_opt(&t, &o)) &&
        !differs(v, "fit", tl_tokenizer_fit(t, texts.text, texts.n)))
        check_all(v, t, texts, others, item);
    if (t && !differs(v, "print", tl_tokenizer_print(t, &printed)) &&
        !differs(v, "parse", tl_tokenizer_parse("printed", printed.data, printed.size, &again)))
        check_all(v, again, texts, others, item);
    tl_bytes_free(&printed);
    tl_tokenizer_free(again);
    tl_tokenizer_free(t);
    free_strings(texts);
    free_strings(others);
}

static void check_words(const json_t *file, const json_t *item, verdict *v)
{
    (void)file;
    tl_texts words = { 0 };
    const tl_tokenizer_opts o = options_of(json_object_get(item, "args"), v);
    if (!differs(v, "words",
                 tl_text_to_word_sequence_opt(json_string_value(json_object_get(item, "text")), &words, &o)))
        compare_texts(v, "words", &words, json_object_get(item, "out"));
    tl_texts_free(&words);
}

/* ---- sequences ---------------------------------------------------------------------------------------------------- */

/* Of ids as ids; otherwise as arrays, which a sequence of numbers is as well. */
static tl_status pad(const json_t *list, const tl_pad_opts *o, bool ids, tl_array *out)
{
    const size_t n = json_array_size(list);
    tl_array *each = calloc(n + 1, sizeof *each);
    tl_ragged ragged = { 0 };
    tl_status status = TL_OK;
    for (size_t i = 0; i < n; i++) {
        each[i] = array_of(json_array_get(list, i));
        int32_t *id = calloc((size_t)each[i].dim[0] + 1, sizeof *id);
        for (int64_t k = 0; ids && k < each[i].dim[0]; k++) id[k] = (int32_t)((double *)each[i].data)[k];
        if (ids && !status) status = tl_ragged_add(&ragged, id, each[i].dim[0]);
        free(id);
    }
    if (!status) status = ids ? tl_pad_sequences_opt(&ragged, out, o) : tl_pad_arrays_opt(each, (int64_t)n, out, o);
    tl_ragged_free(&ragged);
    for (size_t i = 0; i < n; i++) free(each[i].data);
    free(each);
    return status;
}

static void check_padding(const json_t *file, const json_t *item, verdict *v)
{
    (void)file;
    const json_t *args = json_object_get(item, "args") ? json_object_get(item, "args") : item;
    const json_t *list = json_object_get(item, "sequences"), *expected = json_object_get(item, "out");
    bool ids = !any_real(list);
    for (size_t i = 0; i < json_array_size(list); i++)
        ids &= !json_is_array(json_array_get(json_array_get(list, i), 0));
    /* Keras' default is int32; one file leaves the type of vectors out. */
    const tl_pad_opts o = { sizeof o,
                            whole(args, "maxlen"),
                            side_of(args, "padding"),
                            side_of(args, "truncating"),
                            json_number_value(json_object_get(args, "value")),
                            dtype_of(args, any_real(expected) ? TL_F64 : TL_I32) };
    tl_array x = { 0 };
    if (!differs(v, "padded", pad(list, &o, ids, &x)))
        compare_array(v, "padded", &x, expected, o.dtype == TL_F32 ? single : 0);
    tl_array_free(&x);
}

static void check_categorical(const json_t *file, const json_t *item, verdict *v)
{
    (void)file;
    const tl_array y = array_of(json_object_get(item, "y"));
    tl_array x = { 0 };
    if (!differs(v, "to_categorical", tl_to_categorical(&y, &x, .num_classes = whole(item, "num_classes"))))
        compare_array(v, "to_categorical", &x, json_object_get(item, "out"), 0);
    tl_array_free(&x);
    free(y.data);
}

/* 0, 1, 2 ... with targets 0, 10, 20 ...; the expected batches are rows of the result, one after the other. */
static void check_windows(const json_t *file, const json_t *item, verdict *v)
{
    (void)file;
    const int64_t n = whole(item, "n");
    double *x = calloc(2 * (size_t)n + 1, sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = (double)i, x[n + i] = 10.0 * (double)i;
    const tl_array series = tl_array_of(TL_F64, TL_DIMS(n), x), targets = tl_array_of(TL_F64, TL_DIMS(n), x + n);
    tl_array out[2] = { 0 };
    json_t *all[2] = { json_array(), json_array() };
    const json_t *batches = json_object_get(item, "batches");
    for (size_t b = 0; b < json_array_size(batches); b++)
        for (size_t k = 0; k < 2; k++) json_array_extend(all[k], json_array_get(json_array_get(batches, b), k));
    if (!differs(v, "windows",
                 tl_sliding_windows(&series, whole(item, "length"), out, .stride = whole(item, "stride"),
                                    .sampling_rate = whole(item, "sampling_rate"), .targets = &targets)))
        for (int k = 0; k < 2; k++) compare_array(v, k ? "targets" : "windows", &out[k], all[k], 0);
    for (int k = 0; k < 2; k++) {
        tl_array_free(&out[k]);
        json_decref(all[k]);
    }
    free(x);
}

const json_row text_rows[] = {
    { "tokenizer", check_tokenizer },
    { "word_sequence", check_words },
    { "pad_sequences*", check_padding },
    { "to_categorical", check_categorical },
    { "timeseries_generator", check_windows },
    { "hashing_trick*", NULL }, /* not called by anything here: ids by a hash of the word */
    { "make_sampling_table*", NULL },
    { NULL, NULL },
};
