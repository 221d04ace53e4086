/* data/csv.c - reading csv row by row (RFC 4180). */
#include "data/csv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { END = -1, FAILED = -2, MOST_FIELDS = 1 << 20 };

typedef struct field {
    size_t at; /* in the row's text */
    int64_t line, column;
    bool quoted;
} field;

typedef struct row {
    tl_bytes text; /* the fields, each ended by 0 */
    field *field;
    int64_t n, room;
} row;

struct tl_csv {
    tl_reader in;
    row row, header;
    int *selected; /* field of column k */
    int n;         /* columns */
    bool waiting;  /* the row was read already, to know how many fields there are */
    int64_t line, column;
    int last; /* byte that was read */
    tl_csv_format format;
    const char *const *missing;
    int n_missing;
    bool plain_end[256], quoted_end[256]; /* what ends a run of ordinary bytes */
    tl_status status;
};

/* ---- characters --------------------------------------------------------------------------------------------- */

static int fail(tl_csv *c, tl_status status)
{
    c->status = status;
    return FAILED;
}

static int out_of_memory(tl_csv *c) { return fail(c, tl_report(TL_E_MEMORY, "%s: out of memory", c->in.path)); }

static int peek(tl_csv *c)
{
    if (c->in.at == c->in.end) {
        const tl_status status = tl_reader_more(&c->in);
        if (status) return fail(c, status);
        if (c->in.at == c->in.end) return END;
    }
    return (unsigned char)*c->in.at;
}

static int get(tl_csv *c)
{
    const int ch = peek(c);
    if (ch < 0) return ch;
    c->in.at++;
    if (ch == '\r' || (ch == '\n' && c->last != '\r')) c->line++;
    c->column = ch == '\r' || ch == '\n' ? 1 : c->column + 1;
    c->last = ch;
    if (!ch)
        return fail(c, tl_report(TL_E_FORMAT, "%s:%lld:%lld: a NUL byte", c->in.path, (long long)c->line,
                                 (long long)(c->column - 1)));
    return ch;
}

/* Takes ordinary bytes into the field, up to one that is not. */
static bool take(tl_csv *c, const bool end[256])
{
    while (peek(c) >= 0 && !end[(unsigned char)*c->in.at]) {
        const char *p = c->in.at;
        while (p < c->in.end && !end[(unsigned char)*p]) p++;
        const size_t n = (size_t)(p - c->in.at);
        if (!tl_bytes_add(&c->row.text, c->in.at, n)) return out_of_memory(c), false;
        c->column += (int64_t)n;
        c->last = 0;
        c->in.at = p;
    }
    return !c->status;
}

/* ---- fields and rows ---------------------------------------------------------------------------------------- */

static bool is_separator(const tl_csv *c, int ch)
{
    return ch == c->format.separator || (c->format.separator == ' ' && ch == '\t');
}

/* CR LF ends a line with its CR; the LF is then an empty line, which is no row. */
static int line_end(int ch) { return ch == '\r' ? '\n' : ch; }

static int read_quoted(tl_csv *c, const field *f)
{
    for (;;) {
        if (!take(c, c->quoted_end)) return FAILED;
        int ch = get(c);
        if (ch == '"') {
            if (peek(c) != '"') return c->status ? FAILED : get(c);
            get(c);
        }
        if (ch == FAILED) return FAILED;
        if (ch == END)
            return fail(c, tl_report(TL_E_FORMAT, "%s:%lld:%lld: this quote is never closed", c->in.path,
                                     (long long)f->line, (long long)f->column));
        const char byte = (char)ch;
        if (!tl_bytes_add(&c->row.text, &byte, 1)) return out_of_memory(c);
    }
}

/* Returns what ended the field: a separator, '\n', END or FAILED. */
static int read_field(tl_csv *c)
{
    row *r = &c->row;
    if (r->n == MOST_FIELDS)
        return fail(
            c, tl_report(TL_E_FORMAT, "%s:%lld: more than %d fields", c->in.path, (long long)c->line, MOST_FIELDS));
    if (!tl_make_room(&r->field, &r->room, r->n, 1, sizeof *r->field)) return out_of_memory(c);
    field *f = &r->field[r->n++];
    *f = (field){ .at = r->text.size, .line = c->line, .column = c->column };
    int ch = peek(c);
    if (ch == '"' && !c->format.no_quotes) {
        f->quoted = true;
        get(c);
        ch = read_quoted(c, f);
    } else ch = take(c, c->plain_end) ? get(c) : FAILED;
    if (ch == FAILED) return FAILED;
    if (!tl_bytes_add(&r->text, "", 1)) return out_of_memory(c);
    if (ch != END && ch != '\n' && ch != '\r' && !is_separator(c, ch))
        return fail(c, tl_report(TL_E_FORMAT, "%s:%lld:%lld: more text after a closing quote", c->in.path,
                                 (long long)c->line, (long long)(c->column - 1)));
    return line_end(ch);
}

/* Blanks as separators: any number of them, and none at the ends of a line. Has the line ended? */
static bool skip_blanks(tl_csv *c)
{
    int ch;
    while ((ch = peek(c)) == ' ' || ch == '\t') get(c);
    return c->row.n && (ch < 0 || ch == '\n' || ch == '\r');
}

/* An empty line is no row. At the end of the file n is 0. */
static tl_status read_row(tl_csv *c)
{
    bool empty = true;
    for (int ch = '\n'; empty && ch == '\n';) {
        c->row.n = 0;
        c->row.text.size = 0;
        do {
            if (c->format.separator == ' ' && skip_blanks(c)) ch = line_end(get(c));
            else ch = read_field(c);
        } while (is_separator(c, ch));
        if (ch == FAILED) return c->status;
        empty = c->row.n == 1 && !c->row.field[0].quoted && !c->row.text.data[0];
    }
    if (empty) c->row.n = 0;
    return TL_OK;
}

tl_status tl_csv_next(tl_csv *c, int *n)
{
    if (!c || !n)
        return tl_report(TL_E_ARGUMENT, "tl_csv_next: a file and a place for the number of columns are needed");
    *n = 0;
    if (c->status) return tl_report(c->status, "%s: nothing can be read after a failure", c->in.path);
    if (!c->waiting && read_row(c)) return c->status;
    c->waiting = false;
    if (!c->row.n) return TL_OK;
    if (c->row.n != c->header.n)
        return c->status = tl_report(TL_E_FORMAT, "%s:%lld: the number of fields is %lld, not %lld", c->in.path,
                                     (long long)c->row.field[0].line, (long long)c->row.n, (long long)c->header.n);
    *n = c->n;
    return TL_OK;
}

/* ---- looking ------------------------------------------------------------------------------------------------ */

int tl_find_column(const void *self, const char *(*name_of)(const void *, int), int n, const char *name)
{
    char *end;
    for (int k = 0; k < n; k++)
        if (!strcmp(name_of(self, k), name)) return k;
    const long k = *name >= '0' && *name <= '9' ? strtol(name, &end, 10) : -1;
    return k >= 0 && k < n && !*end ? (int)k : -1;
}

static const char *header_name(const void *self, int k)
{
    const tl_csv *c = self;
    return c->header.text.data + c->header.field[k].at;
}

int tl_csv_columns(const tl_csv *c) { return c ? c->n : 0; }

const char *tl_csv_name(const tl_csv *c, int k)
{
    return c && k >= 0 && k < c->n ? header_name(c, c->selected[k]) : "";
}

static const field *field_of(const tl_csv *c, int k)
{
    return c && k >= 0 && k < c->n && c->row.n ? &c->row.field[c->selected[k]] : NULL;
}

int64_t tl_csv_line(const tl_csv *c) { return c && c->row.n ? c->row.field[0].line : 0; }

const char *tl_csv_text(const tl_csv *c, int k)
{
    const field *f = field_of(c, k);
    return f ? c->row.text.data + f->at : "";
}

static bool in_list(const tl_csv *c, const char *text)
{
    const size_t front = strspn(text, " \t");
    size_t n = strlen(text + front);
    while (n && (text[front + n - 1] == ' ' || text[front + n - 1] == '\t')) n--;
    for (int i = 0; i < c->n_missing; i++)
        if (strlen(c->missing[i]) == n && !memcmp(c->missing[i], text + front, n)) return true;
    return false;
}

bool tl_csv_missing(const tl_csv *c, int k)
{
    const field *f = field_of(c, k);
    return f && !f->quoted && in_list(c, tl_csv_text(c, k));
}

tl_status tl_csv_number(const tl_csv *c, int k, double *out)
{
    if (!c || !out) return tl_report(TL_E_ARGUMENT, "tl_csv_number: a file and a place for the number are needed");
    const field *f = field_of(c, k);
    const char *text = tl_csv_text(c, k);
    *out = NAN;
    if (!f) return tl_report(TL_E_INDEX, "%s: column %d of %d, or no row", c->in.path, k, c->n);
    if (in_list(c, text) || tl_number_parse(text, out)) return TL_OK;
    *out = NAN;
    return tl_report(TL_E_FORMAT, "%s:%lld:%lld: '%.60s' in column %.60s is no number", c->in.path, (long long)f->line,
                     (long long)f->column, text, tl_csv_name(c, k));
}

/* ---- opening ------------------------------------------------------------------------------------------------ */

tl_status tl_csv_format_of(const char *who, const char *path, const tl_csv_opts *o, tl_csv_format *out)
{
    const size_t n = strlen(path), packed = n > 3 && !strcmp(path + n - 3, ".gz") ? 3 : 0;
    const bool tabs = n >= 4 + packed && !strncmp(path + n - packed - 4, ".tsv", 4);
    *out = (tl_csv_format){ .separator = o->separator ? o->separator : tabs ? '\t' : ',', .no_quotes = o->no_quotes };
    if (strchr("\r\n\"", out->separator)) return tl_report(TL_E_ARGUMENT, "%s: .separator is no separator", who);
    return TL_OK;
}

const char *const *tl_csv_missing_list(const tl_csv_opts *o, int *n)
{
    static const char *const usual[] = { "", "NA", "NaN", "nan" };
    *n = o->missing                ? (int)tl_whole(o->n_missing, 0)
         : o->n_missing == TL_ZERO ? 0
                                   : (int)(sizeof usual / sizeof *usual);
    return o->missing ? o->missing : usual;
}

static tl_status select_columns(tl_csv *c, const tl_csv_opts *o)
{
    c->n = o->columns ? o->n_columns : (int)c->header.n;
    c->selected = tl_resize(NULL, 0, (size_t)(c->n + 1) * sizeof *c->selected);
    if (!c->selected) return tl_report(TL_E_MEMORY, "%s: out of memory", c->in.path);
    for (int k = 0; k < c->n; k++) {
        c->selected[k] = o->columns ? tl_find_column(c, header_name, (int)c->header.n, o->columns[k]) : k;
        if (c->selected[k] < 0) return tl_report(TL_E_NAME, "%s: there is no column %s", c->in.path, o->columns[k]);
    }
    return TL_OK;
}

/* Without a header, columns are called by their numbers. */
static tl_status number_columns(tl_csv *c)
{
    row *h = &c->header;
    char name[16];
    for (int k = 0; k < c->row.n; k++) {
        const size_t at = h->text.size;
        snprintf(name, sizeof name, "%d", k);
        if (!tl_make_room(&h->field, &h->room, h->n, 1, sizeof *h->field) ||
            !tl_bytes_add(&h->text, name, strlen(name) + 1))
            return tl_report(TL_E_MEMORY, "%s: out of memory", c->in.path);
        h->field[h->n++] = (field){ .at = at };
    }
    return TL_OK;
}

static tl_status read_header(tl_csv *c, const tl_csv_opts *o)
{
    tl_reader_skip_mark(&c->in);
    tl_status status = read_row(c);
    if (status) return status;
    if (!o->no_header) {
        if (!c->row.n) return tl_report(TL_E_FORMAT, "%s: there is no header", c->in.path);
        c->header = c->row;
        c->row = (row){ 0 };
    } else {
        c->waiting = true;
        status = number_columns(c);
    }
    return status ? status : select_columns(c, o);
}

tl_status tl_csv_open_opt(const char *path, tl_csv **out, const tl_csv_opts *o)
{
    static const tl_csv_opts usual = { .size = sizeof usual };
    tl_csv_format format;
    if (!o) o = &usual;
    if (!path || !out || o->n_columns < 0 || (o->n_columns && !o->columns))
        return tl_report(TL_E_ARGUMENT, "tl_csv_open: a path is needed, and as many .columns as .n_columns says");
    *out = NULL;
    tl_status status = tl_csv_format_of("tl_csv_open", path, o, &format);
    if (status) return status;
    tl_csv *c = tl_resize(NULL, 0, sizeof *c);
    if (!c) return tl_report(TL_E_MEMORY, "%s: out of memory", path);
    *c = (tl_csv){ .format = format, .line = 1, .column = 1 };
    c->missing = tl_csv_missing_list(o, &c->n_missing);
    c->plain_end[(unsigned char)format.separator] = true;
    if (format.separator == ' ') c->plain_end['\t'] = true;
    c->quoted_end['"'] = true;
    for (int i = 0; i < 3; i++) c->plain_end[(unsigned char)"\r\n"[i]] = c->quoted_end[(unsigned char)"\r\n"[i]] = true;
    status = tl_reader_open(&c->in, path);
    if (!status) status = read_header(c, o);
    if (status) tl_csv_free(c);
    else *out = c;
    return status;
}

static void free_row(row *r)
{
    tl_bytes_free(&r->text);
    tl_resize(r->field, (size_t)r->room * sizeof *r->field, 0);
}

void tl_csv_free(tl_csv *c)
{
    if (!c) return;
    tl_reader_close(&c->in);
    free_row(&c->row);
    free_row(&c->header);
    tl_resize(c->selected, (size_t)(c->n + 1) * sizeof *c->selected, 0);
    tl_resize(c, sizeof *c, 0);
}
