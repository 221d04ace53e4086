/* train/summary.c - a model as a table: its layers as Keras prints them, or its parameters. */
#include "train/train.h"

#include <string.h>

#include "train/record.h"

/* ---- words -------------------------------------------------------------------------------------------------- */

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

static size_t element(const tl_model *model) { return tl_model_dtype(model) == TL_F64 ? 8 : 4; }

/* ---- parameters --------------------------------------------------------------------------------------------- */

static void row(FILE *out, int width, const char *name, const char *shape, const char *n, const char *bytes,
                const char *note)
{
    fprintf(out, "%-*s  %-16s %14s %14s%s\n", width, name, shape, n, bytes, note);
}

static void print_parameters(const tl_model *model, FILE *out)
{
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
            grouped(bytes, sizeof bytes, p->size * (int64_t)element(model)), p->frozen ? "  frozen" : "");
    const int64_t total = tl_model_size(model);
    grouped(bytes, sizeof bytes, total * (int64_t)element(model));
    row(out, width, "total", "", grouped(n, sizeof n, total), bytes, "");
    if (!frozen) return;
    row(out, width, "  trainable", "", grouped(n, sizeof n, total - frozen), "", "");
    row(out, width, "  frozen", "", grouped(n, sizeof n, frozen), "", "");
}

/* ---- recording ---------------------------------------------------------------------------------------------- */

/* The layers of the model function, on a batch of `more` rows more. */
static tl_status record(tl_model *model, const tl_summary_opts *o, int more, tl_tape **tape, tl_layer_info **layers,
                        int *n)
{
    const tl_status status = tl_record_function(model, o->fn, o->user, o->inputs, o->n, more, false, tape);
    if (status) return status;
    *layers = tl_tape_layers(*tape, n);
    return *layers ? TL_OK : TL_E_MEMORY;
}

/* ---- layers ------------------------------------------------------------------------------------------------- */

enum { NAME_WIDTH = 31, SHAPE_WIDTH = 22, COUNT_WIDTH = 13 }; /* at least; Keras' */

/* Keras' table has three columns; its lines, with what begins, divides and ends them. */
static void line(FILE *out, const int width[3], const char *begin, const char *dash, const char *divide,
                 const char *end)
{
    fputs(begin, out);
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < width[k] + 2; i++) fputs(dash, out);
        fputs(k < 2 ? divide : end, out);
    }
    fputc('\n', out);
}

static void cells(FILE *out, const int width[3], const char *bar, const char *const text[3])
{
    fprintf(out, "%s %-*s %s %-*s %s %*s %s\n", bar, width[0], text[0], bar, width[1], text[1], bar, width[2], text[2],
            bar);
}

/* "(None, 4, 8)": the axis that grew with the batch comes first. */
static void output_words(char *text, size_t size, const tl_layer_info *l, const tl_layer_info *wider)
{
    int batch = -1;
    size_t at = (size_t)snprintf(text, size, l->output.dtype ? "(" : "?");
    if (!l->output.dtype) return;
    for (int a = l->output.rank - 1; wider && wider->output.rank == l->output.rank && a >= 0; a--)
        if (wider->output.dim[a] != l->output.dim[a]) batch = a;
    if (batch >= 0) at += (size_t)snprintf(text + at, size - at, "None");
    for (int a = 0, first = batch < 0; a < l->output.rank; a++) {
        if (a == batch) continue;
        at += (size_t)snprintf(text + at, size - at, first ? "%lld" : ", %lld", (long long)l->output.dim[a]);
        first = 0;
    }
    snprintf(text + at, size - at, l->output.rank == 1 ? ",)" : ")");
}

static void layer_words(char name[static 256], char shape[static 160], char count[static 32], const tl_layer_info *l,
                        const tl_layer_info *wider)
{
    const char *path = *l->path ? l->path : "(no scope)";
    snprintf(name, 256, *l->kind ? "%s (%s)" : "%s", path, l->kind);
    output_words(shape, 160, l, wider);
    grouped(count, 32, l->trainable + l->frozen + l->states);
}

/* 2400 bytes are "2.34 KB". */
static void total(FILE *out, const char *name, int64_t n, size_t element)
{
    static const char *const unit[] = { "B", "KB", "MB", "GB", "TB", "PB" };
    char count[32];
    double bytes = (double)n * (double)element;
    int k = 0;
    for (; bytes >= 1024 && k < 5; k++) bytes /= 1024;
    fprintf(out, " %s params: %s (%.2f %s)\n", name, grouped(count, sizeof count, n), bytes, unit[k]);
}

static void print_totals(FILE *out, const tl_layer_info *l, int n, size_t element)
{
    int64_t trainable = 0, fixed = 0;
    for (int i = 0; i < n; i++) {
        trainable += l[i].trainable;
        fixed += l[i].frozen + l[i].states;
    }
    total(out, "Total", trainable + fixed, element);
    total(out, "Trainable", trainable, element);
    total(out, "Non-trainable", fixed, element);
}

/* wider (NULL: not known): the same layers with more rows in the batch. */
static void print_layers(FILE *out, const char *title, const tl_layer_info *l, const tl_layer_info *wider, int n,
                         size_t element)
{
    int width[3] = { NAME_WIDTH, SHAPE_WIDTH, COUNT_WIDTH };
    char name[256], shape[160], count[32];
    const char *const text[3] = { name, shape, count };
    for (int i = 0; i < n; i++) {
        layer_words(name, shape, count, &l[i], wider ? &wider[i] : NULL);
        for (int k = 0; k < 3; k++)
            if ((int)strlen(text[k]) > width[k]) width[k] = (int)strlen(text[k]);
    }
    fprintf(out, "Model: \"%s\"\n", title);
    line(out, width, "┏", "━", "┳", "┓");
    cells(out, width, "┃", (const char *const[]){ "Layer (type)", "Output Shape", "Param #" });
    line(out, width, "┡", "━", "╇", "┩");
    for (int i = 0; i < n; i++) {
        if (i) line(out, width, "├", "─", "┼", "┤");
        layer_words(name, shape, count, &l[i], wider ? &wider[i] : NULL);
        cells(out, width, "│", text);
    }
    line(out, width, "└", "─", "┴", "┘");
    print_totals(out, l, n, element);
}

static bool same_layers(const tl_layer_info *a, int n, const tl_layer_info *b, int m)
{
    bool same = n == m;
    for (int i = 0; same && i < n; i++) same = !strcmp(a[i].path, b[i].path);
    return same;
}

/* Which axis counts the batch's rows is seen by recording a second time, with one row more. A function that cannot be
 * recorded so has its shapes printed as they are. */
static tl_status print_function(tl_model *model, FILE *out, const tl_summary_opts *o)
{
    tl_tape *tape[2] = { NULL };
    tl_layer_info *l[2] = { NULL };
    int n[2] = { 0 };
    const tl_status status = record(model, o, 0, &tape[0], &l[0], &n[0]);
    if (!status) {
        const bool wider = !record(model, o, 1, &tape[1], &l[1], &n[1]) && same_layers(l[0], n[0], l[1], n[1]);
        print_layers(out, o->title ? o->title : "model", l[0], wider ? l[1] : NULL, n[0], element(model));
    }
    for (int k = 0; k < 2; k++) {
        tl_free(l[k]);
        tl_tape_free(tape[k]);
    }
    return status;
}

tl_status tl_summary_opt(tl_model *model, FILE *out, const tl_summary_opts *o)
{
    if (!model || (o && o->fn && (o->n < 0 || (o->n && !o->inputs))))
        return tl_report(TL_E_ARGUMENT, "tl_summary: a model, and as many inputs as told, are needed");
    if (!out) return TL_OK;
    if (o && o->fn) return print_function(model, out, o);
    print_parameters(model, out);
    return TL_OK;
}
