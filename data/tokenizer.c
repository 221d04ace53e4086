/* data/tokenizer.c - Keras' Tokenizer: counting words, numbering them, texts to ids and back. */
#include "data/internal.h"

#include <stdlib.h>
#include <string.h>

static char *copy(const char *s)
{
    const size_t n = strlen(s) + 1;
    char *c = tl_resize(NULL, 0, n);
    return c ? memcpy(c, s, n) : NULL;
}

static void release(const char *s)
{
    if (s) tl_resize((void *)(uintptr_t)s, strlen(s) + 1, 0);
}

tl_status tl_tokenizer_new_opt(tl_tokenizer **out, const tl_tokenizer_opts *o)
{
    static const char who[] = "tl_tokenizer_new";
    static const tl_tokenizer_opts usual = { .size = sizeof usual };
    tl_word_rules rules;
    if (!out) return tl_report(TL_E_ARGUMENT, "%s: a place for the tokenizer is needed", who);
    if (!o) o = &usual;
    *out = NULL;
    if (o->num_words < 0) return tl_report(TL_E_ARGUMENT, "%s: .num_words is negative", who);
    if (o->oov_token && !tl_utf8_valid(o->oov_token, strlen(o->oov_token)))
        return tl_report(TL_E_ARGUMENT, "%s: .oov_token is not UTF-8", who);
    const tl_status status = tl_word_rules_set(&rules, who, o);
    if (status) return status;
    tl_tokenizer *t = tl_resize(NULL, 0, sizeof *t);
    if (!t) return tl_report(TL_E_MEMORY, "%s: out of memory", who);
    *t = (tl_tokenizer){ .num_words = o->num_words };
    t->filters = copy(o->filters ? o->filters : TL_USUAL_FILTERS);
    t->split = copy(rules.split);
    t->oov = o->oov_token ? copy(o->oov_token) : NULL;
    if (!t->filters || !t->split || (o->oov_token && !t->oov)) {
        tl_tokenizer_free(t);
        return tl_report(TL_E_MEMORY, "%s: out of memory", who);
    }
    tl_word_rules_set(
        &t->rules, who,
        &(tl_tokenizer_opts){
            .filters = t->filters, .split = t->split, .keep_case = o->keep_case, .char_level = o->char_level });
    *out = t;
    return TL_OK;
}

void tl_tokenizer_free(tl_tokenizer *t)
{
    if (!t) return;
    tl_word_table_free(&t->table);
    tl_resize(t->last, (size_t)t->last_room * sizeof *t->last, 0);
    tl_resize(t->by_count, (size_t)t->ranks * sizeof *t->by_count, 0);
    release(t->filters);
    release(t->split);
    release(t->oov);
    tl_resize(t, sizeof *t, 0);
}

tl_status tl_texts_given(const char *who, const tl_tokenizer *t, const char *const *texts, int64_t n)
{
    if (!t || n < 0 || (n && !texts)) return tl_report(TL_E_ARGUMENT, "%s: a tokenizer and n texts are needed", who);
    for (int64_t i = 0; i < n; i++)
        if (!texts[i]) return tl_report(TL_E_ARGUMENT, "%s: text %lld is NULL", who, (long long)i);
    return TL_OK;
}

/* ---- fitting ------------------------------------------------------------------------------------------------ */

static bool count_word(tl_tokenizer *t, const tl_token *word)
{
    const int64_t before = t->table.n, k = tl_word_add(&t->table, word->text, word->size);
    if (k < 0 || (k == before && !tl_make_room(&t->last, &t->last_room, k, 1, sizeof *t->last))) return false;
    if (k == before) t->last[k] = 0;
    tl_word *w = &t->table.word[k];
    w->count++;
    w->texts += t->last[k] != t->texts;
    t->last[k] = t->texts;
    return true;
}

typedef struct ranked {
    int64_t count, word;
} ranked;

static int more_often_or_earlier(const void *a, const void *b)
{
    const ranked *p = a, *q = b;
    if (p->count != q->count) return p->count > q->count ? -1 : 1;
    return p->word < q->word ? -1 : 1;
}

bool tl_tokenizer_number(tl_tokenizer *t)
{
    const int64_t n = t->table.n;
    if (!n) return true;
    ranked *r = tl_resize(NULL, 0, (size_t)n * sizeof *r);
    int32_t *by_count = r ? tl_resize(t->by_count, (size_t)t->ranks * sizeof *by_count, (size_t)n * sizeof *by_count)
                          : NULL;
    if (by_count) {
        t->by_count = by_count;
        t->ranks = n;
        for (int64_t k = 0; k < n; k++) r[k] = (ranked){ t->table.word[k].count, k };
        qsort(r, (size_t)n, sizeof *r, more_often_or_earlier);
        for (int64_t k = 0; k < n; k++) {
            by_count[k] = (int32_t)r[k].word;
            t->table.word[r[k].word].id = (int32_t)(k + 1 + (t->oov != NULL));
        }
    }
    tl_resize(r, (size_t)n * sizeof *r, 0);
    return by_count;
}

tl_status tl_tokenizer_fit(tl_tokenizer *t, const char *const *texts, int64_t n)
{
    static const char who[] = "tl_tokenizer_fit";
    tl_bytes scratch = { 0 };
    tl_token word;
    const tl_status status = tl_texts_given(who, t, texts, n);
    if (status) return status;
    bool good = true;
    for (int64_t i = 0; good && i < n; i++) {
        t->texts++;
        good = tl_word_rules_apply(&t->rules, texts[i], strlen(texts[i]), &scratch);
        for (size_t at = 0; good && tl_word_next(&t->rules, &scratch, &at, &word);) good = count_word(t, &word);
    }
    tl_bytes_free(&scratch);
    return good && tl_tokenizer_number(t) ? TL_OK : tl_report(TL_E_MEMORY, "%s: out of memory", who);
}

/* ---- words and ids ------------------------------------------------------------------------------------------ */

const tl_word *tl_tokenizer_words(const tl_tokenizer *t, int64_t *n)
{
    if (n) *n = t ? t->table.n : 0;
    return t ? t->table.word : NULL;
}

int64_t tl_tokenizer_texts(const tl_tokenizer *t) { return t ? t->texts : 0; }

/* Keras' word_index is a dictionary made from [oov_token, word, word, ...], so an oov_token that is also met as a word has
 * that word's id, and id 1 is nobody's. */
int32_t tl_tokenizer_id(const tl_tokenizer *t, const char *word)
{
    if (!t || !word) return 0;
    const int64_t k = tl_word_find(&t->table, word, strlen(word));
    return k >= 0 ? t->table.word[k].id : t->oov && !strcmp(word, t->oov) ? 1 : 0;
}

const tl_word *tl_tokenizer_entry(const tl_tokenizer *t, int32_t id)
{
    const int64_t rank = (int64_t)id - 1 - (t->oov != NULL);
    return rank >= 0 && rank < t->ranks ? &t->table.word[t->by_count[rank]] : NULL;
}

const char *tl_tokenizer_word(const tl_tokenizer *t, int32_t id)
{
    if (!t) return NULL;
    const tl_word *word = tl_tokenizer_entry(t, id);
    return word ? word->text : id == 1 && t->oov && tl_tokenizer_id(t, t->oov) == 1 ? t->oov : NULL;
}

int64_t tl_tokenizer_size(const tl_tokenizer *t)
{
    return t ? t->table.n + (t->oov && tl_tokenizer_id(t, t->oov) == 1) : 0;
}

/* ---- texts to ids and back ---------------------------------------------------------------------------------- */

/* What becomes of an id: itself, or, beyond .num_words or of nothing (0), the unknown word's or none (0). */
static int32_t allowed(const tl_tokenizer *t, int32_t id, int32_t unknown)
{
    return id && (!t->num_words || id < t->num_words) ? id : unknown;
}

tl_status tl_texts_to_sequences(const tl_tokenizer *t, const char *const *texts, int64_t n, tl_ragged *out)
{
    static const char who[] = "tl_texts_to_sequences";
    tl_bytes scratch = { 0 };
    tl_token word;
    if (!out) return tl_report(TL_E_ARGUMENT, "%s: a place for the sequences is needed", who);
    *out = (tl_ragged){ 0 };
    const tl_status status = tl_texts_given(who, t, texts, n);
    if (status) return status;
    const int32_t unknown = t->oov ? tl_tokenizer_id(t, t->oov) : 0;
    bool good = true;
    for (int64_t i = 0; good && i < n; i++) {
        good = tl_ragged_open(out) && tl_word_rules_apply(&t->rules, texts[i], strlen(texts[i]), &scratch);
        for (size_t at = 0; good && tl_word_next(&t->rules, &scratch, &at, &word);) {
            const int64_t k = tl_word_find(&t->table, word.text, word.size);
            const int32_t id = allowed(t, k >= 0 ? t->table.word[k].id : 0, unknown);
            good = !id || tl_ragged_push(out, id);
        }
    }
    tl_bytes_free(&scratch);
    if (good) return TL_OK;
    tl_ragged_free(out);
    return tl_report(TL_E_MEMORY, "%s: out of memory", who);
}

tl_status tl_sequences_to_texts(const tl_tokenizer *t, const tl_ragged *sequences, tl_texts *out)
{
    static const char who[] = "tl_sequences_to_texts";
    if (!t || !sequences || !out)
        return tl_report(TL_E_ARGUMENT, "%s: a tokenizer, sequences and a place for the texts are needed", who);
    *out = (tl_texts){ 0 };
    const int32_t unknown = t->oov ? tl_tokenizer_id(t, t->oov) : 0;
    bool good = true;
    for (int64_t i = 0; good && i < sequences->n; i++) {
        const char *space = "";
        for (int64_t k = sequences->offset[i]; good && k < sequences->offset[i + 1]; k++) {
            const int32_t id = sequences->ids[k];
            const char *word = tl_tokenizer_word(t, allowed(t, tl_tokenizer_word(t, id) ? id : 0, unknown));
            if (!word) continue;
            good = tl_bytes_add(&out->bytes, space, strlen(space)) && tl_bytes_add(&out->bytes, word, strlen(word));
            space = " ";
        }
        good = good && tl_texts_add(out, "", 0);
    }
    if (good && tl_texts_finish(out)) return TL_OK;
    tl_texts_free(out);
    return tl_report(TL_E_MEMORY, "%s: out of memory", who);
}
