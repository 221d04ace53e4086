/* data/line_source.c - samples from the lines of a file: a dataset is filled with a window of them, read by a loader, and
 * filled again with what follows. */
#include "data/dataset.h"

#include <stdio.h>

enum { WINDOW = 8192 };

typedef struct line_source {
    char *path;
    tl_line_fn read;
    tl_lines_opts o;
    tl_dataset *window;
    tl_loader *loader;
    int64_t used;            /* samples of the window that are in batches; they go when it is filled again */
    int64_t before, windows; /* samples, and windows, of this epoch that came before */
    int64_t served, batches; /* of this epoch so far; of a whole one, -1 until there was one */
    uint64_t epoch;
    bool broken;     /* the rest of the epoch could not be read */
    tl_lines *lines; /* NULL: at their end */
} line_source;

/* ---- windows ------------------------------------------------------------------------------------------------ */

static void close_lines(line_source *s)
{
    tl_lines_free(s->lines);
    s->lines = NULL;
}

/* What the caller's function said, with the place in front. */
static tl_status explain(const line_source *s, tl_status status)
{
    char why[512];
    snprintf(why, sizeof why, "%s", tl_message());
    return tl_report(status, "%s:%lld: %s", s->path, (long long)tl_lines_number(s->lines), why);
}

static tl_status fill(line_source *s)
{
    while (s->lines && s->window->n < s->o.window) {
        const char *line;
        size_t size;
        tl_status status = tl_lines_next(s->lines, &line, &size);
        if (!status && line && (status = s->read(s->o.user, s->window, line, size))) status = explain(s, status);
        if (status || !line) close_lines(s);
        if (status) return status;
    }
    return TL_OK;
}

/* Replaces the samples that were used by what follows, and has the loader take whole batches of them; at the end all. */
static tl_status next_window(line_source *s, int64_t skip)
{
    tl_dataset *w = s->window;
    tl_dataset_drop(w, s->used);
    s->before += s->used;
    s->used = 0;
    tl_status status = fill(s);
    if (!status) {
        s->used = s->lines ? w->n / s->o.batch * s->o.batch : w->n;
        tl_loader_window(s->loader, s->used, s->o.seed + (uint64_t)s->windows++ * 0x9E3779B97F4A7C15u);
        status = tl_loader_start(s->loader, s->epoch, skip);
    }
    s->broken = status;
    return status;
}

/* ---- the source --------------------------------------------------------------------------------------------- */

static tl_status start(void *self, uint64_t epoch, int64_t skip)
{
    line_source *s = self;
    close_lines(s);
    tl_dataset_drop(s->window, s->window->n);
    s->used = s->before = s->windows = 0;
    s->epoch = epoch;
    s->served = skip;
    tl_status status = tl_lines_open(s->path, &s->lines);
    s->broken = status;
    for (;;) {
        if (!status) status = next_window(s, skip);
        const int64_t batches = tl_loader_batches(s->loader);
        if (status || skip < batches) return status;
        skip -= batches;
        if (!s->used) return s->served -= skip, TL_OK;
    }
}

static tl_status next(void *self, tl_batch *out)
{
    line_source *s = self;
    if (s->broken) return TL_OK;
    tl_status status = tl_loader_next(s->loader, out);
    while (!status && !out->samples && s->used) {
        status = next_window(s, 0);
        if (!status) status = tl_loader_next(s->loader, out);
    }
    if (status) return status;
    if (out->samples) s->served++;
    else s->batches = s->served;
    for (int64_t b = 0; b < out->samples; b++) ((int64_t *)(uintptr_t)out->index)[b] += s->before;
    return TL_OK;
}

static int64_t batches(void *self) { return ((line_source *)self)->batches; }

static void free_source(void *self)
{
    line_source *s = self;
    close_lines(s);
    tl_loader_free(s->loader);
    tl_dataset_free(s->window);
    if (s->path) tl_resize(s->path, strlen(s->path) + 1, 0);
    tl_resize(s, sizeof *s, 0);
}

/* ---- making ------------------------------------------------------------------------------------------------- */

static tl_status check(const char *path, const tl_dataset *w, tl_line_fn read, const tl_lines_opts *o)
{
    static const char who[] = "tl_dataset_lines";
    const tl_status status = tl_dataset_check(w, who);
    if (status) return status;
    if (!path || !read) return tl_report(TL_E_ARGUMENT, "%s: a path and a function that reads lines are needed", who);
    if (w->is_source || w->of || w->n)
        return tl_report(TL_E_ARGUMENT, "%s: a dataset with fields, but without samples, is needed", who);
    return o->window < 0 ? tl_report(TL_E_ARGUMENT, "%s: .window is %lld", who, (long long)o->window) : TL_OK;
}

/* As many samples as were asked for, or some more: whole batches. */
static int64_t window_size(const tl_lines_opts *o)
{
    const int64_t batch = o->batch ? o->batch : TL_BATCH_ROWS, rest = tl_whole(o->window, WINDOW) % batch;
    int64_t n = tl_whole(o->window, WINDOW);
    return rest && __builtin_add_overflow(n, batch - rest, &n) ? INT64_MAX / batch * batch : n;
}

static tl_status make(line_source *s, const char *path)
{
    const size_t n = strlen(path) + 1;
    if (!(s->path = tl_resize(NULL, 0, n))) return tl_report(TL_E_MEMORY, "tl_dataset_lines: out of memory");
    memcpy(s->path, path, n);
    return tl_loader_new(s->window, &s->loader, .batch = s->o.batch, .drop_last = s->o.drop_last,
                         .shuffle = s->o.shuffle, .buckets = s->o.buckets, .sort_rows = s->o.sort_rows, .by = s->o.by);
}

tl_status tl_dataset_lines_opt(const char *path, tl_dataset *window, tl_line_fn read, tl_dataset **out,
                               const tl_lines_opts *o)
{
    static const tl_lines_opts none;
    if (!o) o = &none;
    if (!out) return tl_report(TL_E_ARGUMENT, "tl_dataset_lines: a place for the dataset is needed");
    *out = NULL;
    tl_status status = check(path, window, read, o);
    if (status) return status;
    line_source *s = tl_resize(NULL, 0, sizeof *s);
    if (!s) return tl_report(TL_E_MEMORY, "tl_dataset_lines: out of memory");
    *s = (line_source){ .read = read, .o = *o, .window = tl_dataset_retain(window), .batches = -1 };
    status = make(s, path);
    if (status) return free_source(s), status;
    s->o.window = window_size(o);
    if (!s->o.batch) s->o.batch = TL_BATCH_ROWS;
    *out = tl_dataset_of((tl_source){ s, start, next, batches, free_source });
    return *out ? TL_OK : TL_E_MEMORY;
}
