/* data/csv_write.c - writing csv. */
#include "data/csv.h"

#include <math.h>
#include <string.h>

typedef struct writer {
    const char *path;
    tl_replacement file;
    tl_bytes text; /* not yet written */
    tl_csv_format format;
} writer;

static tl_status no_memory(const writer *w) { return tl_report(TL_E_MEMORY, "%s: out of memory", w->path); }

/* Would it be read as something else without quotes? */
static bool needs_quotes(const writer *w, const char *s)
{
    const char separator = w->format.separator;
    const char ends[] = {
        '\r', '\n', separator, w->format.no_quotes ? separator : '"', separator == ' ' ? '\t' : separator, 0
    };
    int n;
    const char *const *missing = tl_csv_missing_list(&(tl_csv_opts){ 0 }, &n);
    if (s[strcspn(s, ends)] || *s == ' ' || *s == '\t' || *s == '\xEF') return true; /* a byte order mark */
    for (int i = 0; i < n; i++)
        if (!strncmp(s, missing[i], strlen(missing[i])) &&
            !s[strlen(missing[i]) + strspn(s + strlen(missing[i]), " \t")])
            return true;
    return false;
}

static tl_status add_text(writer *w, const char *s)
{
    if (!s) return tl_bytes_add(&w->text, "NA", 2) ? TL_OK : no_memory(w);
    if (!needs_quotes(w, s)) return tl_bytes_add(&w->text, s, strlen(s)) ? TL_OK : no_memory(w);
    if (w->format.no_quotes)
        return tl_report(TL_E_ARGUMENT, "%s: the text '%.60s' cannot be written without quotes", w->path, s);
    bool good = tl_bytes_add(&w->text, "\"", 1);
    while (good && *s) {
        const size_t n = strcspn(s, "\"");
        good = tl_bytes_add(&w->text, s, n) && (!s[n] || tl_bytes_add(&w->text, "\"\"", 2));
        s += n + !!s[n];
    }
    return good && tl_bytes_add(&w->text, "\"", 1) ? TL_OK : no_memory(w);
}

static tl_status add_value(writer *w, const tl_column *c, int64_t row)
{
    if (row < 0) return add_text(w, c->name);
    if (c->texts) return add_text(w, c->texts[row]);
    if (isnan(c->numbers[row])) return add_text(w, NULL);
    return tl_number_print(&w->text, c->numbers[row]) ? TL_OK : no_memory(w);
}

/* Row -1 is the header. */
static tl_status add_row(writer *w, const tl_column *columns, int n, int64_t row)
{
    tl_status status = TL_OK;
    for (int k = 0; k < n && !status; k++) {
        if (k && !tl_bytes_add(&w->text, &w->format.separator, 1)) return no_memory(w);
        status = add_value(w, &columns[k], row);
    }
    if (!status && !tl_bytes_add(&w->text, "\n", 1)) status = no_memory(w);
    return status;
}

static tl_status flush(writer *w, size_t limit)
{
    if (w->text.size <= limit) return TL_OK;
    const tl_status status = tl_replace_write(&w->file, w->text.data, w->text.size);
    w->text.size = 0;
    return status;
}

static tl_status check(const tl_column *columns, int n, int64_t rows, bool header)
{
    for (int k = 0; k < n; k++) {
        const tl_column *c = &columns[k];
        if (header && !c->name) return tl_report(TL_E_NAME, "tl_csv_write: column %d has no name", k);
        if (rows && !c->numbers == !c->texts)
            return tl_report(TL_E_ARGUMENT, "tl_csv_write: column %d holds either numbers or texts", k);
    }
    return TL_OK;
}

tl_status tl_csv_write_opt(const char *path, const tl_column *columns, int n, int64_t rows, const tl_csv_opts *o)
{
    static const tl_csv_opts usual = { .size = sizeof usual };
    writer w = { .path = path };
    if (!o) o = &usual;
    if (!path || !columns || n < 1 || rows < 0)
        return tl_report(TL_E_ARGUMENT, "tl_csv_write: a path and at least one column are needed");
    tl_status status = check(columns, n, rows, !o->no_header);
    if (!status) status = tl_csv_format_of("tl_csv_write", path, o, &w.format);
    if (!status) status = tl_replace_begin(&w.file, path);
    if (status) return status;
    for (int64_t row = o->no_header ? 0 : -1; row < rows && !status; row++) {
        status = add_row(&w, columns, n, row);
        if (!status) status = flush(&w, 1 << 16);
    }
    if (!status) status = flush(&w, 0);
    if (!status) status = tl_replace_commit(&w.file);
    if (status) tl_replace_cancel(&w.file);
    tl_bytes_free(&w.text);
    return status;
}
