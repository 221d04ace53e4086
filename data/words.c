/* data/words.c - cutting a text into words as Python and Keras do: lower case, filters, split. */
#include "data/internal.h"

#include <string.h>

/* Any split would do for characters, which are neither filtered nor split. */
tl_status tl_word_rules_set(tl_word_rules *r, const char *who, const tl_tokenizer_opts *o)
{
    *r = (tl_word_rules){ .characters = o->char_level, .lower = !o->keep_case };
    r->filters = o->char_level ? "" : o->filters ? o->filters : TL_USUAL_FILTERS;
    r->split = o->split ? o->split : " ";
    r->split_size = strlen(r->split);
    if (!r->split_size) return tl_report(TL_E_ARGUMENT, "%s: .split is empty", who);
    if (!tl_utf8_valid(r->split, r->split_size) || !tl_utf8_valid(r->filters, strlen(r->filters)))
        return tl_report(TL_E_ARGUMENT, "%s: .filters or .split is not UTF-8", who);
    for (int c = 1; c < 128; c++) r->ascii[c] = strchr(r->filters, c) ? 0 : (char)c;
    return TL_OK;
}

/* ---- lower case and filters --------------------------------------------------------------------------------- */

static char *put(char *to, const char *s, size_t n)
{
    memcpy(to, s, n);
    return to + n;
}

/* One character of the text in lower case, or what stands for it where it is filtered. */
static char *put_code(const tl_word_rules *r, char *to, uint32_t code)
{
    char s[5];
    const int n = tl_utf8_encode(code, s);
    const bool filtered = code < 128 ? !r->ascii[code] : *r->filters && strstr(r->filters, s);
    return filtered ? put(to, r->split, r->split_size) : put(to, s, (size_t)n);
}

bool tl_word_rules_apply(const tl_word_rules *r, const char *text, size_t n, tl_bytes *out)
{
    /* No character has more bytes in lower case than 3 for each of its own; a byte that is not UTF-8 gets 3. */
    const size_t most = r->split_size > 3 ? r->split_size : 3;
    size_t room;
    out->size = 0;
    if (__builtin_mul_overflow(n, most, &room) || !tl_bytes_reserve(out, room)) return false;
    char *to = out->data;
    for (size_t i = 0; i < n;) {
        uint32_t code = (unsigned char)text[i], lower[2];
        if (code < 128) {
            if (r->lower && code - 'A' < 26) code += 'a' - 'A';
            if (r->ascii[code]) *to++ = r->ascii[code];
            else to = put(to, r->split, r->split_size);
            i++;
            continue;
        }
        int length = tl_utf8_decode(text + i, n - i, &code), codes = 1;
        if (!length) length = 1, code = 0xFFFD;
        lower[0] = code;
        if (r->lower) codes = tl_utf8_lower(text, n, i, code, lower);
        for (int k = 0; k < codes; k++) to = put_code(r, to, lower[k]);
        i += (size_t)length;
    }
    out->size = (size_t)(to - out->data);
    out->data[out->size] = 0;
    return true;
}

/* ---- split -------------------------------------------------------------------------------------------------- */

bool tl_word_next(const tl_word_rules *r, const tl_bytes *text, size_t *at, tl_token *out)
{
    const char *s = text->data + *at, *end = text->data + text->size;
    uint32_t code;
    if (r->characters) {
        *out = (tl_token){ s, (size_t)tl_utf8_decode(s, (size_t)(end - s), &code) };
        *at += out->size;
        return out->size;
    }
    const size_t n = r->split_size;
    while (s < end) {
        const char *word = s;
        while (s < end && (*s != *r->split || strncmp(s, r->split, n))) s++;
        *out = (tl_token){ word, (size_t)(s - word) };
        s = s < end ? s + n : end;
        *at = (size_t)(s - text->data);
        if (out->size) return true;
    }
    return false;
}

tl_status tl_text_to_word_sequence_opt(const char *text, tl_texts *out, const tl_tokenizer_opts *o)
{
    static const char who[] = "tl_text_to_word_sequence";
    static const tl_tokenizer_opts usual = { .size = sizeof usual };
    tl_word_rules rules;
    tl_bytes scratch = { 0 };
    tl_token word;
    if (!text || !out) return tl_report(TL_E_ARGUMENT, "%s: a text and a place for the words are needed", who);
    *out = (tl_texts){ 0 };
    const tl_status status = tl_word_rules_set(&rules, who, o ? o : &usual);
    if (status) return status;
    bool good = tl_word_rules_apply(&rules, text, strlen(text), &scratch);
    for (size_t at = 0; good && tl_word_next(&rules, &scratch, &at, &word);)
        good = tl_texts_add(out, word.text, word.size);
    good = good && tl_texts_finish(out);
    tl_bytes_free(&scratch);
    if (good) return TL_OK;
    tl_texts_free(out);
    return tl_report(TL_E_MEMORY, "%s: out of memory", who);
}
