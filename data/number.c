/* data/number.c - numbers in text, the same in every locale. */
#include "data/csv.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The locale in force until *old is given back. */
static void plain(locale_t *old)
{
    static _Atomic locale_t c; /* the system's own object, which is not allocated */
    if (!c) c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    *old = uselocale(c);
}

static const char *skip_blanks(const char *s) { return s + strspn(s, " \t"); }

bool tl_number_parse(const char *s, double *out)
{
    locale_t old;
    char *end;
    s = skip_blanks(s);
    if (!*s || strspn(s, "0123456789+-.eEinfINFtyTY") < strcspn(s, " \t")) return false; /* neither 0x10 nor nan(7) */
    plain(&old);
    *out = strtod(s, &end);
    uselocale(old);
    return end > s && !*skip_blanks(end);
}

bool tl_number_print(tl_bytes *b, double x)
{
    locale_t old;
    char text[40];
    plain(&old);
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    uselocale(old);
    return tl_bytes_add(b, text, strlen(text));
}
