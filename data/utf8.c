/* data/utf8.c - UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#include "data/internal.h"

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
