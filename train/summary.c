/* train/summary.c - the parameters of a model as a table. */
#include "train/train.h"

#include <string.h>

/* 1234567 as "1,234,567". */
static const char *grouped(char *text, size_t size, int64_t n)
{
    char digits[32];
    const int length = snprintf(digits, sizeof digits, "%lld", (long long)n);
    size_t at = 0;
    for (int i = 0; i < length && at + 2 < size; i++) {
        if (i && (length - i) % 3 == 0) text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = 0;
    return text;
}

static const char *shape_words(char *text, size_t size, const tl_shape *s)
{
    size_t at = 0;
    for (int a = 0; a < s->rank && at < size; a++)
        at += (size_t)snprintf(text + at, size - at, a ? " x %lld" : "%lld", (long long)s->dim[a]);
    if (!s->rank) snprintf(text, size, "scalar");
    return text;
}

static void row(FILE *out, int width, const char *name, const char *shape, const char *n, const char *bytes,
                const char *note)
{
    fprintf(out, "%-*s  %-16s %14s %14s%s\n", width, name, shape, n, bytes, note);
}

void tl_summary(const tl_model *model, FILE *out)
{
    if (!model || !out) return;
    const size_t element = tl_model_dtype(model) == TL_F64 ? 8 : 4;
    char shape[128], n[32], bytes[32];
    const tl_param_info *p;
    int64_t frozen = 0;
    int width = 16;
    for (int i = 0; (p = tl_model_param(model, i)); i++) {
        const int length = (int)strlen(p->name);
        if (length > width) width = length;
        if (p->frozen) frozen += p->size;
    }
    row(out, width, "parameter", "shape", "elements", "bytes", "");
    for (int i = 0; (p = tl_model_param(model, i)); i++)
        row(out, width, p->name, shape_words(shape, sizeof shape, &p->shape), grouped(n, sizeof n, p->size),
            grouped(bytes, sizeof bytes, p->size * (int64_t)element), p->frozen ? "  frozen" : "");
    const int64_t total = tl_model_size(model);
    grouped(bytes, sizeof bytes, total * (int64_t)element);
    row(out, width, "total", "", grouped(n, sizeof n, total), bytes, "");
    if (!frozen) return;
    row(out, width, "  trainable", "", grouped(n, sizeof n, total - frozen), "", "");
    row(out, width, "  frozen", "", grouped(n, sizeof n, frozen), "", "");
}
