/* data/tokenizer_file.c - a tokenizer as JSON, in the form that Keras gives it: dictionaries are strings of JSON within. */
#include "data/internal.h"

#include <stddef.h>
#include <string.h>

/* ---- the members of "config" -------------------------------------------------------------------------------- */

typedef struct saved {
    int64_t num_words, document_count;
    char *filters, *split, *oov_token;
    bool lower, char_level;
    char *word_counts, *word_docs, *index_docs, *index_word, *word_index;
} saved;

typedef enum kind { WHOLE, STRING, FLAG } kind;

static const struct member {
    const char *name;
    kind kind;
    bool nullable;
    size_t at;
} members[] = {
    { "num_words", WHOLE, true, offsetof(saved, num_words) },
    { "filters", STRING, false, offsetof(saved, filters) },
    { "lower", FLAG, false, offsetof(saved, lower) },
    { "split", STRING, false, offsetof(saved, split) },
    { "char_level", FLAG, false, offsetof(saved, char_level) },
    { "oov_token", STRING, true, offsetof(saved, oov_token) },
    { "document_count", WHOLE, false, offsetof(saved, document_count) },
    { "word_counts", STRING, false, offsetof(saved, word_counts) },
    { "word_docs", STRING, false, offsetof(saved, word_docs) },
    { "index_docs", STRING, false, offsetof(saved, index_docs) },
    { "index_word", STRING, false, offsetof(saved, index_word) },
    { "word_index", STRING, false, offsetof(saved, word_index) },
};
enum { MEMBERS = sizeof members / sizeof *members };

/* Far from where counts overflow. */
static const int64_t MOST = INT64_C(1) << 53;

/* ---- printing ----------------------------------------------------------------------------------------------- */

/* Dictionaries: from words in the order in which they came, or by id. */
static bool word_counts(const tl_tokenizer *t, int64_t k, tl_bytes *b)
{
    const tl_word *w = &t->table.word[k];
    return tl_json_quote(b, w->text) && tl_bytes_print(b, ": %lld", (long long)w->count);
}

static bool word_docs(const tl_tokenizer *t, int64_t k, tl_bytes *b)
{
    const tl_word *w = &t->table.word[k];
    return tl_json_quote(b, w->text) && tl_bytes_print(b, ": %lld", (long long)w->texts);
}

static bool index_docs(const tl_tokenizer *t, int64_t k, tl_bytes *b)
{
    const tl_word *w = &t->table.word[k];
    return tl_bytes_print(b, "\"%d\": %lld", w->id, (long long)w->texts);
}

static bool index_word(const tl_tokenizer *t, int64_t id, tl_bytes *b)
{
    const char *word = tl_tokenizer_word(t, (int32_t)id);
    return !word || (tl_bytes_print(b, "\"%d\": ", (int)id) && tl_json_quote(b, word));
}

static bool word_index(const tl_tokenizer *t, int64_t id, tl_bytes *b)
{
    const char *word = tl_tokenizer_word(t, (int32_t)id);
    return !word || (tl_json_quote(b, word) && tl_bytes_print(b, ": %d", (int)id));
}

/* A member that is a string of a dictionary with entries begin ... end - 1. */
static bool add_dictionary(const tl_tokenizer *t, const char *name, int64_t begin, int64_t end,
                           bool (*entry)(const tl_tokenizer *, int64_t, tl_bytes *), tl_bytes *out)
{
    tl_bytes b = { 0 };
    bool good = tl_bytes_add(&b, "{", 1);
    for (int64_t k = begin; good && k < end; k++) {
        const size_t before = b.size;
        good = (before == 1 || tl_bytes_add(&b, ", ", 2));
        const size_t empty = b.size;
        good = good && entry(t, k, &b);
        if (good && b.size == empty) b.size = before; /* an id of no word */
    }
    good = good && tl_bytes_add(&b, "}", 1) && tl_bytes_print(out, ", \"%s\": ", name) && tl_json_quote(out, b.data);
    tl_bytes_free(&b);
    return good;
}

static bool add_options(const tl_tokenizer *t, tl_bytes *b)
{
    bool good = tl_bytes_print(b, "{\"class_name\": \"Tokenizer\", \"config\": {\"num_words\": ");
    good = good && (t->num_words ? tl_bytes_print(b, "%lld", (long long)t->num_words) : tl_bytes_print(b, "null"));
    good = good && tl_bytes_print(b, ", \"filters\": ") && tl_json_quote(b, t->filters) &&
           tl_bytes_print(b, ", \"lower\": %s, \"split\": ", t->rules.lower ? "true" : "false") &&
           tl_json_quote(b, t->split) &&
           tl_bytes_print(b, ", \"char_level\": %s, \"oov_token\": ", t->rules.characters ? "true" : "false");
    good = good && (t->oov ? tl_json_quote(b, t->oov) : tl_bytes_print(b, "null"));
    return good && tl_bytes_print(b, ", \"document_count\": %lld", (long long)t->texts);
}

tl_status tl_tokenizer_print(const tl_tokenizer *t, tl_bytes *out)
{
    if (!t || !out) return tl_report(TL_E_ARGUMENT, "tl_tokenizer_print: a tokenizer and a place are needed");
    *out = (tl_bytes){ 0 };
    const int64_t n = t->table.n, ids = n ? n + 2 : 0; /* as Keras', it has no index before it is fitted */
    if (add_options(t, out) && add_dictionary(t, "word_counts", 0, n, word_counts, out) &&
        add_dictionary(t, "word_docs", 0, n, word_docs, out) &&
        add_dictionary(t, "index_docs", 0, n, index_docs, out) &&
        add_dictionary(t, "index_word", 1, ids, index_word, out) &&
        add_dictionary(t, "word_index", 1, ids, word_index, out) && tl_bytes_add(out, "}}", 2))
        return TL_OK;
    tl_bytes_free(out);
    return tl_report(TL_E_MEMORY, "tl_tokenizer_print: out of memory");
}

tl_status tl_tokenizer_save(const tl_tokenizer *t, const char *path)
{
    tl_bytes b;
    if (!path) return tl_report(TL_E_ARGUMENT, "tl_tokenizer_save: a path is needed");
    tl_status status = tl_tokenizer_print(t, &b);
    if (status) return status;
    status = tl_file_write(path, b.data, b.size);
    tl_bytes_free(&b);
    return status;
}

/* ---- parsing ------------------------------------------------------------------------------------------------ */

static bool read_member(tl_json *j, saved *s, unsigned *seen)
{
    char *name;
    if (!tl_json_string(j, &name)) return false;
    int k = 0;
    while (k < MEMBERS && strcmp(name, members[k].name)) k++;
    if (k == MEMBERS) return tl_json_fail(j, "a member that no tokenizer has");
    if (*seen & 1u << k) return tl_json_fail(j, "a member that was there before");
    *seen |= 1u << k;
    if (!tl_json_expect(j, ':')) return false;
    if (members[k].nullable && tl_json_word(j, "null")) return true;
    void *at = (char *)s + members[k].at;
    if (members[k].kind == STRING) return tl_json_string(j, at);
    if (members[k].kind == WHOLE) return tl_json_integer(j, at);
    if (tl_json_word(j, "true")) return *(bool *)at = true;
    return tl_json_word(j, "false") || tl_json_fail(j, "true or false expected");
}

static bool read_config(tl_json *j, saved *s)
{
    unsigned seen = 0;
    if (!tl_json_expect(j, '{')) return false;
    do
        if (!read_member(j, s, &seen)) return false;
    while (tl_json_next(j, ','));
    return tl_json_expect(j, '}') && (seen == (1u << MEMBERS) - 1 || tl_json_fail(j, "a member of config is missing"));
}

static bool read_file(tl_json *j, saved *s)
{
    bool config = false;
    if (!tl_json_expect(j, '{')) return false;
    do {
        char *name, *class;
        if (!tl_json_string(j, &name) || !tl_json_expect(j, ':')) return false;
        if (!strcmp(name, "config") && !config) config = read_config(j, s);
        else if (strcmp(name, "class_name")) return tl_json_fail(j, "\"class_name\" or one \"config\" expected");
        else if (tl_json_string(j, &class) && strcmp(class, "Tokenizer")) tl_json_fail(j, "not a Tokenizer");
        if (j->error) return false;
    } while (tl_json_next(j, ','));
    return tl_json_expect(j, '}') && tl_json_end(j) && (config || tl_json_fail(j, "\"config\" is missing"));
}

/* What each entry of a dictionary must be; NULL if it is, or else what is wrong. */
typedef const char *entry_check(tl_tokenizer *t, const char *word, int64_t value, bool *memory);

static const char *add_count(tl_tokenizer *t, const char *word, int64_t value, bool *memory)
{
    const int64_t before = t->table.n, k = tl_word_add(&t->table, word, strlen(word));
    if (k < 0 || !tl_make_room(&t->last, &t->last_room, k, 1, sizeof *t->last)) return *memory = true, "out of memory";
    if (k < before) return "a word that was there before";
    if (value < 1 || value > MOST) return "a count that cannot be";
    t->table.word[k].count = value;
    t->last[k] = 0;
    return NULL;
}

static const char *add_docs(tl_tokenizer *t, const char *word, int64_t value, bool *memory)
{
    (void)memory;
    const int64_t k = tl_word_find(&t->table, word, strlen(word));
    if (k < 0) return "a word that word_counts lacks";
    tl_word *w = &t->table.word[k];
    if (w->texts) return "a word that was there before";
    if (value < 1 || value > w->count || value > t->texts) return "a number of texts that cannot be";
    w->texts = value;
    return NULL;
}

static const char *check_id(tl_tokenizer *t, const char *word, int64_t value, bool *memory)
{
    (void)memory;
    return tl_tokenizer_id(t, word) == value && value ? NULL : "an id that is not what word_counts makes it";
}

static tl_status read_dictionary(tl_tokenizer *t, const char *file, const char *name, char *text, entry_check *check,
                                 int64_t entries)
{
    tl_json j = { .text = text, .size = strlen(text) };
    bool memory = false;
    int64_t n = 0;
    bool more = tl_json_expect(&j, '{') && !tl_json_next(&j, '}');
    while (more && !j.error) {
        char *word;
        int64_t value;
        if (!tl_json_string(&j, &word) || !tl_json_expect(&j, ':') || !tl_json_integer(&j, &value)) break;
        const char *wrong = check(t, word, value, &memory);
        if (wrong) tl_json_fail(&j, wrong);
        n++;
        more = tl_json_next(&j, ',');
        if (!more) tl_json_expect(&j, '}');
    }
    tl_json_end(&j);
    if (!j.error && entries >= 0 && n != entries) tl_json_fail(&j, "words are missing, or too many");
    if (memory) return tl_report(TL_E_MEMORY, "%s: out of memory", file);
    if (!j.error) return TL_OK;
    return tl_report(TL_E_FORMAT, "%s: %s, at byte %zu of %s", file, j.error, j.where, name);
}

static tl_status build(const char *name, const saved *s, tl_tokenizer **out)
{
    const tl_tokenizer_opts o = {
        sizeof o, s->num_words, s->filters, s->split, s->oov_token, !s->lower, s->char_level
    };
    tl_status status = tl_tokenizer_new_opt(out, &o);
    if (status == TL_E_ARGUMENT) return tl_report(TL_E_FORMAT, "%s: .split is empty", name);
    if (status) return status;
    tl_tokenizer *t = *out;
    t->texts = s->document_count;
    status = read_dictionary(t, name, "word_counts", s->word_counts, add_count, -1);
    if (!status) status = read_dictionary(t, name, "word_docs", s->word_docs, add_docs, t->table.n);
    if (!status && !tl_tokenizer_number(t)) status = tl_report(TL_E_MEMORY, "%s: out of memory", name);
    const int64_t ids = t->table.n ? tl_tokenizer_size(t) : -1;
    if (!status) status = read_dictionary(t, name, "word_index", s->word_index, check_id, ids);
    if (status) tl_tokenizer_free(t), *out = NULL;
    return status;
}

tl_status tl_tokenizer_parse(const char *name, const char *json, size_t size, tl_tokenizer **out)
{
    tl_bytes b = { 0 };
    saved s = { 0 };
    if (!out || (size && !json)) return tl_report(TL_E_ARGUMENT, "tl_tokenizer_parse: JSON and a place are needed");
    *out = NULL;
    if (!tl_bytes_add(&b, json, size)) return tl_report(TL_E_MEMORY, "%s: out of memory", name);
    tl_json j = { .text = b.data, .size = b.size };
    tl_status status = TL_OK;
    if (!read_file(&j, &s)) status = tl_report(TL_E_FORMAT, "%s: %s, at byte %zu", name, j.error, j.where);
    else if (s.num_words > MOST || s.document_count > MOST)
        status = tl_report(TL_E_FORMAT, "%s: num_words or document_count is too large", name);
    else status = build(name, &s, out);
    tl_bytes_free(&b);
    return status;
}

tl_status tl_tokenizer_load(const char *path, tl_tokenizer **out)
{
    tl_bytes b;
    if (!out) return tl_report(TL_E_ARGUMENT, "tl_tokenizer_load: a place for the tokenizer is needed");
    *out = NULL;
    tl_status status = tl_file_read(path, &b);
    if (status) return status;
    status = tl_tokenizer_parse(path, b.data, b.size, out);
    tl_bytes_free(&b);
    return status;
}
