/* train/callback_csv.c - a file with a row for each epoch. */
#include "train/fit.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef char column[sizeof(((tl_named_number *)0)->name)];

typedef struct csv {
    const char *path;
    char separator;
    bool append;
    FILE *file; /* open from the first epoch on */
    column *name;
    int n, room;
} csv;

static tl_status cannot(const csv *c, const char *what)
{
    return tl_report(TL_E_FILE, "%s: cannot %s it: %s", c->path, what, strerror(errno));
}

/* ---- columns ------------------------------------------------------------------------------------------------ */

static tl_status add_column(csv *c, const char *prefix, const char *name, size_t length)
{
    if (c->n == c->room) {
        const int more = c->room + 16;
        column *to = tl_resize(c->name, (size_t)c->room * sizeof *to, (size_t)more * sizeof *to);
        if (!to) return tl_report(TL_E_MEMORY, "out of memory for the columns of %s", c->path);
        c->name = to;
        c->room = more;
    }
    snprintf(c->name[c->n++], sizeof *c->name, "%s%.*s", prefix, (int)length, name);
    return TL_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

/* The logs of an epoch, and what validation will bring if it has not yet. */
static tl_status columns_of(csv *c, const tl_fit_state *s)
{
    bool validated = false;
    tl_status status = TL_OK;
    for (int k = 0; k < s->n_logs; k++) validated |= !strncmp(s->logs[k].name, "val_", 4);
    for (int twice = 0; twice <= (s->validation && !validated); twice++)
        for (int k = 0; !status && k < s->n_logs; k++)
            status = add_column(c, twice ? "val_" : "", s->logs[k].name, strlen(s->logs[k].name));
    if (!status) qsort(c->name, (size_t)c->n, sizeof *c->name, by_name);
    return status;
}

/* The columns that a header names. */
static tl_status columns_in(csv *c, const char *line, size_t length)
{
    const char *end = line + length;
    tl_status status = TL_OK;
    for (int k = 0; !status && line <= end; k++) {
        const char *stop = memchr(line, c->separator, (size_t)(end - line));
        if (!stop) stop = end;
        if (k) status = add_column(c, "", line, (size_t)(stop - line));
        else if (strncmp(line, "epoch", (size_t)(stop - line)))
            status = tl_report(TL_E_FORMAT, "%s is no log that could go on: its first column is not 'epoch'", c->path);
        line = stop + 1;
    }
    return status;
}

/* ---- the file ----------------------------------------------------------------------------------------------- */

/* What a file has before this epoch: its header gives the columns; later rows are cut off. */
static tl_status go_on(csv *c, const tl_fit_state *s, tl_bytes *old)
{
    size_t at = strcspn(old->data, "\r\n"), size = old->size;
    const tl_status status = columns_in(c, old->data, at);
    if (status) return status;
    for (at += strspn(old->data + at, "\r\n"); at < size; at += strcspn(old->data + at, "\n") + 1)
        if (strtoll(old->data + at, NULL, 10) >= s->epoch) size = at;
    return size < old->size ? tl_file_write(c->path, old->data, size) : TL_OK;
}

static tl_status open_file(csv *c, const tl_fit_state *s)
{
    tl_bytes old = { 0 };
    tl_status status = TL_OK;
    FILE *there = c->append ? fopen(c->path, "r") : NULL;
    if (there) {
        fclose(there);
        status = tl_file_read(c->path, &old);
    }
    const bool fresh = !old.size;
    if (!status) status = fresh ? columns_of(c, s) : go_on(c, s, &old);
    tl_bytes_free(&old);
    if (status) return status;
    c->file = fopen(c->path, fresh ? "w" : "a");
    if (!c->file) return cannot(c, "open");
    if (fresh) fputs("epoch", c->file);
    for (int k = 0; fresh && k < c->n; k++) fprintf(c->file, "%c%s", c->separator, c->name[k]);
    if (fresh) fputc('\n', c->file);
    return TL_OK;
}

static tl_status csv_epoch_end(tl_fit_state *s, void *ctx)
{
    csv *c = ctx;
    const tl_status status = c->file ? TL_OK : open_file(c, s);
    if (status) return status;
    fprintf(c->file, "%lld", (long long)s->epoch);
    for (int k = 0; k < c->n; k++) {
        char number[32];
        const double x = tl_fit_log(s, c->name[k]);
        tl_exact_number(number, sizeof number, x);
        fprintf(c->file, "%c%s", c->separator, isnan(x) ? "NA" : number);
    }
    fputc('\n', c->file);
    return fflush(c->file) || ferror(c->file) ? cannot(c, "write") : TL_OK;
}

static tl_status csv_train_end(tl_fit_state *s, void *ctx)
{
    csv *c = ctx;
    (void)s;
    const bool bad = c->file && fclose(c->file);
    c->file = NULL;
    return bad ? cannot(c, "close") : TL_OK;
}

static void csv_free(void *ctx)
{
    csv *c = ctx;
    if (c->file) fclose(c->file);
    tl_resize(c->name, (size_t)c->room * sizeof *c->name, 0);
    tl_resize(c, sizeof *c, 0);
}

tl_callback tl_csv_log_opt(const char *path, const tl_csv_log_opts *o)
{
    const csv made = { .path = path, .separator = o && o->separator ? o->separator : ',', .append = o && o->append };
    tl_callback c = { .name = "csv_log", .status = TL_E_ARGUMENT };
    if (!path) tl_report(TL_E_ARGUMENT, "csv_log: a path is needed");
    if (!path || !tl_callback_new(&c, "csv_log", sizeof made, &made)) return c;
    c.epoch_end = csv_epoch_end;
    c.train_end = csv_train_end;
    c.free = csv_free;
    return c;
}
