/* data/text.c - text as it is found in files, and the numbering of its symbols. */
#include "data/internal.h"

#include <string.h>

/* ---- reading ------------------------------------------------------------------------------------------------ */

static void drop_carriage_returns(tl_bytes *b)
{
    size_t to = 0;
    for (size_t i = 0; i < b->size; i++)
        if (b->data[i] != '\r' || i + 1 == b->size || b->data[i + 1] != '\n') b->data[to++] = b->data[i];
    b->size = to;
    b->data[to] = 0;
}

tl_status tl_text_read(const char *path, tl_bytes *out)
{
    if (!path || !out) return tl_report(TL_E_ARGUMENT, "tl_text_read: a path and a place for the text are needed");
    const tl_status status = tl_reader_all(path, out);
    if (status) return status;
    if (out->size >= 3 && !memcmp(out->data, "\xEF\xBB\xBF", 3)) {
        out->size -= 3;
        memmove(out->data, out->data + 3, out->size + 1);
    }
    drop_carriage_returns(out);
    if (out->size) return TL_OK;
    tl_bytes_free(out);
    return tl_report(TL_E_FORMAT, "%s: there is no text in it", path);
}

/* ---- vocabulary --------------------------------------------------------------------------------------------- */

enum { CODES = 0x110000 };

struct tl_vocab {
    bool bytes;
    int n;
    uint32_t symbol[]; /* ascending */
};

/* The symbol at s, whose n bytes are valid for this kind of vocabulary; returns its length, 0 if they are not. */
static int next_symbol(bool bytes, const char *s, size_t n, uint32_t *code)
{
    if (!bytes) return tl_utf8_decode(s, n, code);
    *code = (unsigned char)*s;
    return 1;
}

static size_t vocab_size(int n) { return sizeof(tl_vocab) + (size_t)n * sizeof(uint32_t); }

static tl_vocab *vocab_alloc(bool bytes, int n)
{
    tl_vocab *v = tl_resize(NULL, 0, vocab_size(n));
    if (!v) return NULL;
    v->bytes = bytes;
    v->n = n;
    return v;
}

tl_status tl_vocab_new(const char *text, size_t size, tl_vocab **out)
{
    *out = NULL;
    if (!text || !size) return tl_report(TL_E_ARGUMENT, "tl_vocab_new: the text is empty");
    const bool bytes = !tl_utf8_valid(text, size);
    bool *seen = tl_resize(NULL, 0, CODES);
    if (!seen) return tl_report(TL_E_MEMORY, "tl_vocab_new: out of memory");
    memset(seen, 0, CODES);
    int n = 0;
    uint32_t code = 0;
    for (size_t i = 0; i < size; i += (size_t)next_symbol(bytes, text + i, size - i, &code)) {
        next_symbol(bytes, text + i, size - i, &code);
        n += !seen[code];
        seen[code] = true;
    }
    tl_vocab *v = *out = vocab_alloc(bytes, n);
    for (uint32_t c = 0, k = 0; v && c < CODES; c++)
        if (seen[c]) v->symbol[k++] = c;
    tl_resize(seen, CODES, 0);
    return v ? TL_OK : tl_report(TL_E_MEMORY, "tl_vocab_new: out of memory");
}

void tl_vocab_free(tl_vocab *v)
{
    if (v) tl_resize(v, vocab_size(v->n), 0);
}

int tl_vocab_size(const tl_vocab *v) { return v ? v->n : 0; }

bool tl_vocab_is_bytes(const tl_vocab *v) { return v && v->bytes; }

static int32_t find(const tl_vocab *v, uint32_t code)
{
    int low = 0, high = v->n;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (v->symbol[middle] < code) low = middle + 1;
        else high = middle;
    }
    return low < v->n && v->symbol[low] == code ? low : -1;
}

tl_status tl_vocab_encode(const tl_vocab *v, const char *text, size_t size, int32_t unknown, int32_t *ids, int64_t *n)
{
    if (!v || !ids || !n || (!text && size))
        return tl_report(TL_E_ARGUMENT, "tl_vocab_encode: a vocabulary, a text and a place for the ids are needed");
    *n = 0;
    for (size_t i = 0; i < size;) {
        uint32_t code = 0;
        const int length = next_symbol(v->bytes, text + i, size - i, &code);
        int32_t id = length ? find(v, code) : -1;
        if (id < 0 && unknown >= 0) id = unknown;
        if (id < 0 && !length)
            return tl_report(TL_E_INDEX, "byte 0x%02x at %zu is not UTF-8, as the vocabulary is",
                             (unsigned char)text[i], i);
        if (id < 0)
            return tl_report(TL_E_INDEX, "the vocabulary has no '%.*s' (%s%X), met at byte %zu",
                             code < 0x20 || (v->bytes && code >= 0x7F) ? 0 : length, text + i, v->bytes ? "0x" : "U+",
                             code, i);
        ids[(*n)++] = id;
        i += length ? (size_t)length : 1;
    }
    return TL_OK;
}

int tl_vocab_symbol(const tl_vocab *v, int32_t id, char out[5])
{
    out[0] = 0;
    if (!v || id < 0 || id >= v->n) return 0;
    if (!v->bytes) return tl_utf8_encode(v->symbol[id], out);
    out[0] = (char)v->symbol[id];
    out[1] = 0;
    return 1;
}

/* ---- vocabulary as a line ----------------------------------------------------------------------------------- */

tl_status tl_vocab_print(const tl_vocab *v, tl_bytes *out)
{
    if (!v || !out) return tl_report(TL_E_ARGUMENT, "tl_vocab_print: a vocabulary and a place are needed");
    *out = (tl_bytes){ 0 };
    bool good = tl_bytes_print(out, "%s", v->bytes ? "bytes" : "utf-8");
    for (int i = 0; good && i < v->n; i++) good = tl_bytes_print(out, " %u", v->symbol[i]);
    if (good) return TL_OK;
    tl_bytes_free(out);
    return tl_report(TL_E_MEMORY, "tl_vocab_print: out of memory");
}

static int count_spaces(const char *s)
{
    int n = 0;
    for (; *s; s++) n += *s == ' ' && n < CODES;
    return n;
}

/* One " 123" of a line; moves *s behind it. -1 if it is not there. */
static int64_t next_number(const char **s)
{
    int64_t value = 0;
    const char *p = *s;
    if (*p++ != ' ' || *p < '0' || *p > '9') return -1;
    for (; *p >= '0' && *p <= '9'; p++)
        if ((value = 10 * value + (*p - '0')) >= CODES) return -1;
    *s = p;
    return value;
}

tl_status tl_vocab_parse(const char *line, tl_vocab **out)
{
    if (!out) return tl_report(TL_E_ARGUMENT, "tl_vocab_parse: a place for the vocabulary is needed");
    *out = NULL;
    const bool bytes = line && !strncmp(line, "bytes ", 6);
    if (!line || (!bytes && strncmp(line, "utf-8 ", 6)))
        return tl_report(TL_E_FORMAT, "a vocabulary starts with 'utf-8 ' or 'bytes '");
    const char *s = line + 5;
    const int n = count_spaces(s);
    tl_vocab *v = vocab_alloc(bytes, n);
    if (!v) return tl_report(TL_E_MEMORY, "tl_vocab_parse: out of memory");
    int64_t last = -1;
    int k = 0;
    for (; k < n; k++) {
        const int64_t code = next_number(&s);
        if (code <= last || code >= (bytes ? 256 : CODES)) break;
        v->symbol[k] = (uint32_t)code;
        last = code;
    }
    if (k == n && !*s) return *out = v, TL_OK;
    tl_vocab_free(v);
    return tl_report(TL_E_FORMAT, "a vocabulary's numbers ascend, a space before each; number %d does not", k + 1);
}
