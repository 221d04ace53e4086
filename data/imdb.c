/* data/imdb.c - reviews as Keras' imdb.load_data() numbers them. */
#include "data/internal.h"

#include <string.h>

typedef struct numbering {
    int32_t start, unknown, from; /* below 0: none */
    int64_t num_words, skip_top, maxlen;
} numbering;

/* An option of Keras that may be None. */
static int32_t mark(int64_t given, int32_t usual)
{
    const int64_t value = tl_whole(given, usual);
    return value < 0 ? -1 : (int32_t)value;
}

static tl_status read_options(const tl_imdb_opts *o, numbering *r)
{
    *r = (numbering){ mark(o->start_char, 1), mark(o->oov_char, 2), mark(o->index_from, 3),
                      o->num_words,           o->skip_top,          o->maxlen };
    const int64_t most = INT32_MAX / 2;
    if (r->num_words < 0 || r->skip_top < 0 || r->maxlen < 0 || r->from < 0 || o->start_char > most ||
        o->oov_char > most || o->index_from > most)
        return tl_report(TL_E_ARGUMENT, "tl_imdb_sequences: an option is negative or too large");
    return TL_OK;
}

/* An id as it is, or the unknown word's, or none: only those from skip_top on and below num_words are used. */
static bool push(tl_ragged *out, const numbering *r, int64_t id)
{
    const bool used = id >= r->skip_top && (!r->num_words || id < r->num_words) && id <= INT32_MAX;
    if (!used) id = r->unknown;
    return id < 0 || tl_ragged_push(out, (int32_t)id);
}

/* *length is what the sequence has before anything is left out. */
static bool number(const tl_tokenizer *t, const char *text, const numbering *r, tl_bytes *scratch, tl_ragged *out,
                   int64_t *length)
{
    tl_token word;
    const int shift = t->oov != NULL; /* ranks are from 1, whether there is an oov_token or not */
    bool good = tl_ragged_open(out) && tl_word_rules_apply(&t->rules, text, strlen(text), scratch);
    *length = r->start >= 0;
    if (good && r->start >= 0) good = push(out, r, r->start);
    for (size_t at = 0; good && tl_word_next(&t->rules, scratch, &at, &word); ++*length) {
        const int64_t k = tl_word_find(&t->table, word.text, word.size);
        good = push(out, r, k < 0 ? -1 : (int64_t)t->table.word[k].id - shift + r->from);
    }
    return good;
}

tl_status tl_imdb_sequences_opt(const tl_tokenizer *words, const char *const *texts, int64_t n, int32_t *labels,
                                tl_ragged *out, const tl_imdb_opts *o)
{
    static const char who[] = "tl_imdb_sequences";
    static const tl_imdb_opts usual = { .size = sizeof usual };
    numbering r;
    tl_bytes scratch = { 0 };
    if (!out) return tl_report(TL_E_ARGUMENT, "%s: a place for the sequences is needed", who);
    *out = (tl_ragged){ 0 };
    tl_status status = tl_texts_given(who, words, texts, n);
    if (!status) status = read_options(o ? o : &usual, &r);
    if (status) return status;
    bool good = true;
    for (int64_t i = 0, length; good && i < n; i++) {
        good = number(words, texts[i], &r, &scratch, out, &length);
        if (good && r.maxlen && length >= r.maxlen) tl_ragged_drop(out);
        else if (good && labels) labels[out->n - 1] = labels[i];
    }
    tl_bytes_free(&scratch);
    if (good) return TL_OK;
    tl_ragged_free(out);
    return tl_report(TL_E_MEMORY, "%s: out of memory", who);
}
