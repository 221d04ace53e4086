/* data/utf8.c - UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF; and lower case. */
#include "data/internal.h"

#include <utf8proc.h>

int tl_utf8_decode(const char *text, size_t n, uint32_t *code)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const unsigned char *s = (const unsigned char *)text;
    if (!n) return 0;
    if (s[0] < 0x80) return *code = s[0], 1;
    const int length = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || n < (size_t)length) return 0;
    uint32_t c = s[0] & (0x7Fu >> length);
    for (int i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80) return 0;
        c = c << 6 | (s[i] & 0x3F);
    }
    if (c < least[length] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return 0;
    *code = c;
    return length;
}

int tl_utf8_encode(uint32_t c, char out[5])
{
    const int length = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    for (int i = length - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(lead[length] | c);
    out[length] = 0;
    return length;
}

bool tl_utf8_valid(const char *s, size_t n)
{
    uint32_t code;
    for (size_t i = 0; i < n;) {
        const int length = tl_utf8_decode(s + i, n - i, &code);
        if (!length) return false;
        i += (size_t)length;
    }
    return true;
}

/* ---- lower case --------------------------------------------------------------------------------------------- */

/* Unicode's Cased: letters with a case, and what only looks so (Other_Lowercase, Other_Uppercase) but is not ignored. */
static bool is_cased(uint32_t c)
{
    const utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT || c == 0xAA ||
           c == 0xBA || (c >= 0x2160 && c <= 0x217F) || (c >= 0x24B6 && c <= 0x24E9) ||
           (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

/* Unicode's Case_Ignorable: marks, and punctuation that stands within words. */
static bool is_ignored(uint32_t c)
{
    static const uint16_t within[] = { 0x27,   0x2E,   0x3A,   0xB7,   0x387,  0x55F,  0x5F4,  0x2018, 0x2019,
                                       0x2024, 0x2027, 0xFE13, 0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A };
    for (size_t k = 0; k < sizeof within / sizeof *within; k++)
        if (c == within[k]) return true;
    const utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_ME || k == UTF8PROC_CATEGORY_CF ||
           k == UTF8PROC_CATEGORY_LM || k == UTF8PROC_CATEGORY_SK;
}

/* Where the code point begins that ends before byte `at`; a byte that is not UTF-8 is one by itself. */
static size_t before(const char *text, size_t at, uint32_t *code)
{
    for (size_t back = 1; back <= 4 && back <= at; back++)
        if (tl_utf8_decode(text + at - back, back, code) == (int)back) return at - back;
    *code = 0xFFFD;
    return at - 1;
}

/* A sigma that ends a word: a letter before it and none after it, with nothing between but what is ignored. */
static bool ends_word(const char *text, size_t n, size_t at)
{
    uint32_t code = 0;
    size_t i = at;
    while (i > 0) {
        i = before(text, i, &code);
        if (!is_ignored(code)) break;
        code = 0;
    }
    if (!code || !is_cased(code)) return false;
    for (i = at + 2; i < n;) {
        const int length = tl_utf8_decode(text + i, n - i, &code);
        if (!length) return true;
        if (!is_ignored(code)) return !is_cased(code);
        i += (size_t)length;
    }
    return true;
}

/* Two exceptions of Unicode's SpecialCasing depend on no language. */
int tl_utf8_lower(const char *text, size_t n, size_t at, uint32_t code, uint32_t out[2])
{
    out[0] = code == 0x130                             ? 'i'
             : code == 0x3A3 && ends_word(text, n, at) ? 0x3C2
                                                       : (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
    out[1] = 0x307;
    return code == 0x130 ? 2 : 1;
}
