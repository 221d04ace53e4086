/* data/json.c - as much of JSON (RFC 8259) as headers of files need; recursion is left to the caller's grammar. */
#include "data/internal.h"

#include <string.h>

bool tl_json_fail(tl_json *j, const char *error)
{
    if (!j->error) {
        j->error = error;
        j->where = j->at;
    }
    return false;
}

static void skip_space(tl_json *j)
{
    while (j->at < j->size && j->text[j->at] && strchr(" \t\r\n", j->text[j->at])) j->at++;
}

bool tl_json_next(tl_json *j, char c)
{
    if (j->error) return false;
    skip_space(j);
    if (j->at >= j->size || j->text[j->at] != c) return false;
    j->at++;
    return true;
}

bool tl_json_expect(tl_json *j, char c)
{
    static const char *const missing[128] = {
        ['{'] = "'{' expected",        ['}'] = "'}' or ',' expected", ['['] = "'[' expected",
        [']'] = "']' or ',' expected", [':'] = "':' expected",        [','] = "',' expected",
    };
    return tl_json_next(j, c) || tl_json_fail(j, missing[(unsigned char)c & 127]);
}

bool tl_json_word(tl_json *j, const char *word)
{
    const size_t n = strlen(word);
    if (j->error) return false;
    skip_space(j);
    if (j->size - j->at < n || memcmp(j->text + j->at, word, n)) return false;
    j->at += n;
    return true;
}

bool tl_json_end(tl_json *j)
{
    if (j->error) return false;
    skip_space(j);
    return j->at == j->size || tl_json_fail(j, "nothing expected after the end");
}

/* ---- strings ------------------------------------------------------------------------------------------------ */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The four hexadecimal digits of \uXXXX; -1 if they are not there. */
static int32_t hex4(tl_json *j)
{
    int32_t value = 0;
    if (j->size - j->at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        const int digit = hex_digit(j->text[j->at++]);
        if (digit < 0) return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* A code point beyond U+FFFF takes two: a high surrogate and then a low one. */
static bool unicode_escape(tl_json *j, uint32_t *code)
{
    const int32_t high = hex4(j);
    if (high < 0) return tl_json_fail(j, "four hexadecimal digits expected after \\u");
    *code = (uint32_t)high;
    if (high < 0xD800 || high > 0xDFFF) return true;
    if (high > 0xDBFF || j->size - j->at < 6 || j->text[j->at] != '\\' || j->text[j->at + 1] != 'u')
        return tl_json_fail(j, "half of a surrogate pair");
    j->at += 2;
    const int32_t low = hex4(j);
    if (low < 0xDC00 || low > 0xDFFF) return tl_json_fail(j, "half of a surrogate pair");
    *code = 0x10000 + (((uint32_t)high - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
    return true;
}

/* j->at is behind the backslash. */
static bool escape(tl_json *j, uint32_t *code)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (j->at >= j->size) return tl_json_fail(j, "a string without an end");
    const char c = j->text[j->at++];
    if (c == 'u') return unicode_escape(j, code);
    const char *known = c ? strchr(from, c) : NULL;
    if (!known) return tl_json_fail(j, "an unknown escape");
    *code = (unsigned char)to[known - from];
    return true;
}

/* What is decoded is never longer than what it was decoded from, so it can be written over it. */
bool tl_json_string(tl_json *j, char **out)
{
    if (!tl_json_next(j, '"')) return tl_json_fail(j, "a string expected");
    char *to = j->text + j->at;
    *out = to;
    while (j->at < j->size) {
        uint32_t code = 0;
        const unsigned char c = (unsigned char)j->text[j->at];
        if (c == '"') {
            *to = 0;
            j->at++;
            return true;
        }
        if (c < 0x20) return tl_json_fail(j, "a control character inside a string");
        if (c == '\\') {
            j->at++;
            if (!escape(j, &code)) return false;
        } else {
            const int length = tl_utf8_decode(j->text + j->at, j->size - j->at, &code);
            if (!length) return tl_json_fail(j, "a string that is not UTF-8");
            j->at += (size_t)length;
        }
        if (!code) return tl_json_fail(j, "a zero character inside a string");
        char bytes[5];
        const int length = tl_utf8_encode(code, bytes);
        memcpy(to, bytes, (size_t)length);
        to += length;
    }
    return tl_json_fail(j, "a string without an end");
}

bool tl_json_quote(tl_bytes *b, const char *s)
{
    bool good = tl_bytes_add(b, "\"", 1);
    for (; good && *s; s++) {
        const unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') good = tl_bytes_print(b, "\\%c", c);
        else if (c < 0x20) good = tl_bytes_print(b, "\\u%04x", c);
        else good = tl_bytes_add(b, s, 1);
    }
    return good && tl_bytes_add(b, "\"", 1);
}

/* ---- numbers ------------------------------------------------------------------------------------------------ */

bool tl_json_integer(tl_json *j, int64_t *out)
{
    if (j->error) return false;
    skip_space(j);
    const size_t start = j->at;
    int64_t value = 0;
    for (; j->at < j->size && j->text[j->at] >= '0' && j->text[j->at] <= '9'; j->at++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, j->text[j->at] - '0', &value))
            return tl_json_fail(j, "a number that is too large");
    if (j->at == start) return tl_json_fail(j, "a whole number of at least 0 expected");
    if (j->text[start] == '0' && j->at - start > 1) return tl_json_fail(j, "a number with a leading zero");
    if (j->at < j->size && j->text[j->at] && strchr(".eE", j->text[j->at]))
        return tl_json_fail(j, "a whole number of at least 0 expected");
    *out = value;
    return true;
}
