/* data/texts.c - several texts: the lines of a file, words, and what stands before a tab. */
#include "data/internal.h"

#include <string.h>

/* ---- texts -------------------------------------------------------------------------------------------------- */

void tl_texts_free(tl_texts *t)
{
    if (!t) return;
    if (t->text) tl_resize(t->text, (size_t)t->n * sizeof *t->text, 0);
    tl_bytes_free(&t->bytes);
    *t = (tl_texts){ 0 };
}

bool tl_texts_add(tl_texts *t, const char *s, size_t n)
{
    if (!tl_bytes_add(&t->bytes, s, n) || !tl_bytes_add(&t->bytes, "", 1)) return false;
    t->n++;
    return true;
}

bool tl_texts_finish(tl_texts *t)
{
    const char *s = t->bytes.data;
    t->text = t->n ? tl_resize(NULL, 0, (size_t)t->n * sizeof *t->text) : NULL;
    for (int64_t i = 0; t->text && i < t->n; i++, s += strlen(s) + 1) t->text[i] = s;
    return t->text || !t->n;
}

/* ---- lines -------------------------------------------------------------------------------------------------- */

tl_status tl_text_lines(const char *name, tl_bytes *bytes, tl_texts *out)
{
    if (!bytes || !out) return tl_report(TL_E_ARGUMENT, "tl_text_lines: bytes and a place for the lines are needed");
    *out = (tl_texts){ .bytes = *bytes };
    *bytes = (tl_bytes){ 0 };
    char *end = out->bytes.size ? out->bytes.data + out->bytes.size : NULL;
    for (char *line = end ? out->bytes.data : NULL, *stop; line < end; line = stop < end ? stop + 1 : end) {
        out->n++;
        stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) stop = end;
        if (memchr(line, 0, (size_t)(stop - line))) {
            const long long n = out->n;
            tl_texts_free(out);
            return tl_report(TL_E_FORMAT, "%s:%lld: a zero byte in a text", name, n);
        }
        *stop = 0;
    }
    if (tl_texts_finish(out)) return TL_OK;
    tl_texts_free(out);
    return tl_report(TL_E_MEMORY, "%s: out of memory", name);
}

/* ---- label<TAB>text ----------------------------------------------------------------------------------------- */

void tl_labelled_free(tl_labelled *l)
{
    if (!l) return;
    if (l->label) tl_resize(l->label, (size_t)l->texts.n * sizeof *l->label, 0);
    tl_texts_free(&l->texts);
    *l = (tl_labelled){ 0 };
}

/* The label that a line begins with; returns what follows the tab, NULL if it is not so. */
static const char *read_label(const char *s, int32_t *label)
{
    int64_t value = 0;
    const bool negative = *s == '-';
    const char *digit = s += negative;
    for (; *s >= '0' && *s <= '9'; s++)
        if ((value = 10 * value + (*s - '0')) > INT32_MAX) return NULL;
    *label = (int32_t)(negative ? -value : value);
    return s > digit && *s == '\t' ? s + 1 : NULL;
}

tl_status tl_labelled_parse(const char *name, tl_bytes *bytes, tl_labelled *out)
{
    if (!out) return tl_report(TL_E_ARGUMENT, "tl_labelled_parse: a place for the texts is needed");
    *out = (tl_labelled){ 0 };
    const tl_status status = tl_text_lines(name, bytes, &out->texts);
    if (status || !out->texts.n) return status;
    out->label = tl_resize(NULL, 0, (size_t)out->texts.n * sizeof *out->label);
    if (!out->label) {
        tl_labelled_free(out);
        return tl_report(TL_E_MEMORY, "%s: out of memory", name);
    }
    for (int64_t i = 0; i < out->texts.n; i++) {
        out->texts.text[i] = read_label(out->texts.text[i], &out->label[i]);
        if (out->texts.text[i]) continue;
        tl_labelled_free(out);
        return tl_report(TL_E_FORMAT, "%s:%lld: a whole number and a tab expected before the text", name,
                         (long long)i + 1);
    }
    return TL_OK;
}

/* ---- one row of plain characters ---------------------------------------------------------------------------- */

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

tl_status tl_text_clean(const char *text, size_t size, tl_bytes *out)
{
    if (!out) return tl_report(TL_E_ARGUMENT, "tl_text_clean: a place for the text is needed");
    *out = (tl_bytes){ 0 };
    if (!text && size) return tl_report(TL_E_ARGUMENT, "tl_text_clean: there is no text");
    if (!tl_bytes_reserve(out, size)) return tl_report(TL_E_MEMORY, "tl_text_clean: out of memory");
    char *to = out->data;
    const char *end = size ? text + size : NULL;
    for (const char *line = end ? text : NULL, *stop; line < end; line = stop < end ? stop + 1 : end) {
        stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) stop = end;
        const char *from = line, *last = stop;
        while (from < last && is_space(*from)) from++;
        while (from < last && is_space(last[-1])) last--;
        char *start = to;
        if (to > out->data) *to++ = ' ';
        char *first = to;
        for (; from < last; from++)
            if (!(*from & 0x80)) *to++ = *from >= 'A' && *from <= 'Z' ? (char)(*from + 'a' - 'A') : *from;
        if (to == first) to = start;
    }
    out->size = (size_t)(to - out->data);
    out->data[out->size] = 0;
    return TL_OK;
}
