/* data/frame.c - a csv file as columns, and what is missing in it. */
#include "data/csv.h"

#include <math.h>
#include <string.h>

/* Where a column's values are kept; texts by their place in the pool until all is read, since the pool moves. */
typedef struct store {
    size_t name;
    int64_t *place; /* -1: missing */
    int64_t number_room, place_room;
    bool is_text;
} store;

struct tl_frame {
    tl_column *column;
    store *store;
    int n;
    int64_t rows;
    tl_bytes pool; /* names and texts, each ended by 0 */
};

static tl_status no_memory(const char *path) { return tl_report(TL_E_MEMORY, "%s: out of memory", path); }

/* ---- reading ------------------------------------------------------------------------------------------------ */

static bool keep(tl_bytes *pool, const char *text, size_t *at)
{
    *at = pool->size;
    return tl_bytes_add(pool, text, strlen(text) + 1);
}

static const char *name_of(const void *self, int k) { return ((const tl_frame *)self)->column[k].name; }

static int column_of(const tl_frame *t, const char *name) { return tl_find_column(t, name_of, t->n, name); }

static tl_status make_columns(tl_frame *t, const char *path, const tl_csv *csv, const tl_csv_opts *o)
{
    const int n = tl_csv_columns(csv);
    t->column = tl_resize(NULL, 0, (size_t)(n + 1) * sizeof *t->column);
    t->store = tl_resize(NULL, 0, (size_t)(n + 1) * sizeof *t->store);
    if (t->column) memset(t->column, 0, (size_t)(n + 1) * sizeof *t->column);
    if (t->store) memset(t->store, 0, (size_t)(n + 1) * sizeof *t->store);
    t->n = n;
    if (!t->column || !t->store) return no_memory(path);
    for (int k = 0; k < n; k++) {
        t->column[k].name = tl_csv_name(csv, k);
        if (!keep(&t->pool, t->column[k].name, &t->store[k].name)) return no_memory(path);
    }
    for (int i = 0; i < o->n_text; i++) {
        const int k = column_of(t, o->text[i]);
        if (k < 0) return tl_report(TL_E_NAME, "%s: there is no column %s", path, o->text[i]);
        t->store[k].is_text = true;
    }
    return TL_OK;
}

static tl_status take_row(tl_frame *t, const char *path, const tl_csv *csv)
{
    for (int k = 0; k < t->n; k++) {
        store *s = &t->store[k];
        tl_column *c = &t->column[k];
        if (s->is_text) {
            size_t at = 0;
            const bool missing = tl_csv_missing(csv, k);
            if (!tl_make_room(&s->place, &s->place_room, t->rows, 1, sizeof *s->place) ||
                (!missing && !keep(&t->pool, tl_csv_text(csv, k), &at)))
                return no_memory(path);
            s->place[t->rows] = missing ? -1 : (int64_t)at;
        } else {
            if (!tl_make_room(&c->numbers, &s->number_room, t->rows, 1, sizeof *c->numbers)) return no_memory(path);
            const tl_status status = tl_csv_number(csv, k, &c->numbers[t->rows]);
            if (status) return status;
        }
    }
    t->rows++;
    return TL_OK;
}

/* The pool moves no more: places become pointers. */
static tl_status finish(tl_frame *t, const char *path)
{
    for (int k = 0; k < t->n; k++) {
        store *s = &t->store[k];
        tl_column *c = &t->column[k];
        c->name = t->pool.data + s->name;
        if (s->is_text) c->texts = tl_resize(NULL, 0, (size_t)(t->rows + 1) * sizeof *c->texts);
        /* A column of numbers has some place to point to even without rows. */
        if (s->is_text ? !c->texts : !tl_make_room(&c->numbers, &s->number_room, t->rows, 1, sizeof *c->numbers))
            return no_memory(path);
        if (!s->is_text) continue;
        for (int64_t i = 0; i < t->rows; i++) c->texts[i] = s->place[i] < 0 ? NULL : t->pool.data + s->place[i];
        tl_resize(s->place, (size_t)s->place_room * sizeof *s->place, 0);
        s->place = NULL;
        s->place_room = t->rows + 1; /* of texts from here on */
    }
    return TL_OK;
}

static tl_status read_all(tl_frame *t, const char *path, tl_csv *csv, const tl_csv_opts *o)
{
    int n = 0;
    tl_status status = make_columns(t, path, csv, o);
    while (!status && !(status = tl_csv_next(csv, &n)) && n) status = take_row(t, path, csv);
    return status ? status : finish(t, path);
}

tl_status tl_frame_read_opt(const char *path, tl_frame **out, const tl_csv_opts *o)
{
    static const tl_csv_opts usual = { .size = sizeof usual };
    if (!o) o = &usual;
    if (!path || !out || o->n_text < 0 || (o->n_text && !o->text))
        return tl_report(TL_E_ARGUMENT, "tl_frame_read: a path is needed, and as many .text as .n_text says");
    *out = NULL;
    tl_csv *csv;
    tl_status status = tl_csv_open_opt(path, &csv, o);
    if (status) return status;
    tl_frame *t = tl_resize(NULL, 0, sizeof *t);
    if (t) *t = (tl_frame){ 0 };
    status = t ? read_all(t, path, csv, o) : no_memory(path);
    tl_csv_free(csv);
    if (status) tl_frame_free(t);
    else *out = t;
    return status;
}

void tl_frame_free(tl_frame *t)
{
    if (!t) return;
    for (int k = 0; k < t->n && t->column && t->store; k++) {
        const store *s = &t->store[k];
        tl_resize(t->column[k].numbers, (size_t)s->number_room * sizeof(double), 0);
        tl_resize(s->place, (size_t)s->place_room * sizeof *s->place, 0);
        tl_resize(t->column[k].texts, (size_t)s->place_room * sizeof(char *), 0);
    }
    tl_resize(t->column, (size_t)(t->n + 1) * sizeof *t->column, 0);
    tl_resize(t->store, (size_t)(t->n + 1) * sizeof *t->store, 0);
    tl_bytes_free(&t->pool);
    tl_resize(t, sizeof *t, 0);
}

/* ---- looking ------------------------------------------------------------------------------------------------ */

int64_t tl_frame_rows(const tl_frame *t) { return t ? t->rows : 0; }

const tl_column *tl_frame_columns(const tl_frame *t, int *n)
{
    if (n) *n = t ? t->n : 0;
    return t ? t->column : NULL;
}

const tl_column *tl_frame_column(const tl_frame *t, const char *name)
{
    const int k = t && name ? column_of(t, name) : -1;
    return k < 0 ? NULL : &t->column[k];
}

tl_status tl_frame_array(const tl_frame *t, const char *const *columns, int n, tl_dtype dtype, tl_array *out)
{
    int64_t width = columns ? n : 0, at = 0;
    if (out) *out = (tl_array){ 0 };
    if (!t || !out || n < 0 || (dtype != TL_F32 && dtype != TL_F64))
        return tl_report(TL_E_ARGUMENT,
                         "tl_frame_array: a frame, a place for the array, and TL_F32 or TL_F64 are needed");
    for (int k = 0; k < t->n && !columns; k++) width += !!t->column[k].numbers;
    const tl_status status = tl_array_new("tl_frame_array", dtype, 2, (int64_t[]){ t->rows, width }, out);
    if (status) return status;
    for (int i = 0; i < (columns ? n : t->n); i++) {
        const tl_column *c = columns ? tl_frame_column(t, columns[i]) : &t->column[i];
        if (columns && (!c || !c->numbers)) {
            tl_array_free(out);
            return c ? tl_report(TL_E_DTYPE, "tl_frame_array: column %s holds text", c->name)
                     : tl_report(TL_E_NAME, "tl_frame_array: there is no column %s", columns[i]);
        }
        if (!c->numbers) continue;
        for (int64_t r = 0; r < t->rows; r++) tl_array_put(out, r * width + at, c->numbers[r]);
        at++;
    }
    return TL_OK;
}

/* ---- what is missing ---------------------------------------------------------------------------------------- */

static bool is_missing(const tl_column *c, int64_t r) { return c->texts ? !c->texts[r] : isnan(c->numbers[r]); }

/* The columns that are meant: from ... to - 1. */
static tl_status meant(const tl_frame *t, const char *name, int *from, int *to)
{
    *from = *to = -1;
    if (!t) return tl_report(TL_E_ARGUMENT, "there is no frame");
    *from = name ? column_of(t, name) : 0;
    *to = name ? *from + 1 : t->n;
    if (*from >= 0) return TL_OK;
    *to = *from;
    return tl_report(TL_E_NAME, "there is no column %s", name);
}

int64_t tl_frame_missing(const tl_frame *t, const char *column)
{
    int k, to;
    int64_t n = 0;
    if (meant(t, column, &k, &to)) return -1;
    for (; k < to; k++)
        for (int64_t r = 0; r < t->rows; r++) n += is_missing(&t->column[k], r);
    return n;
}

tl_status tl_frame_fill(tl_frame *t, const char *column, double value)
{
    int k, to;
    const tl_status status = meant(t, column, &k, &to);
    if (!status && column && !t->column[k].numbers) return tl_report(TL_E_DTYPE, "column %s holds text", column);
    for (; k < to; k++)
        for (int64_t r = 0; r < t->rows && t->column[k].numbers; r++)
            if (is_missing(&t->column[k], r)) t->column[k].numbers[r] = value;
    return status;
}

tl_status tl_frame_fill_forward(tl_frame *t, const char *column)
{
    int k, to;
    const tl_status status = meant(t, column, &k, &to);
    for (; k < to; k++) {
        const tl_column *c = &t->column[k];
        for (int64_t r = 1; r < t->rows; r++) {
            if (!is_missing(c, r)) continue;
            if (c->texts) c->texts[r] = c->texts[r - 1];
            else c->numbers[r] = c->numbers[r - 1];
        }
    }
    return status;
}

int64_t tl_frame_drop_missing(tl_frame *t, const char *column)
{
    int from, to;
    int64_t kept = 0;
    if (meant(t, column, &from, &to)) return -1;
    for (int64_t r = 0; r < t->rows; r++) {
        bool drop = false;
        for (int k = from; k < to && !drop; k++) drop = is_missing(&t->column[k], r);
        for (int k = 0; k < t->n && !drop; k++) {
            const tl_column *c = &t->column[k];
            if (c->texts) c->texts[kept] = c->texts[r];
            else c->numbers[kept] = c->numbers[r];
        }
        kept += !drop;
    }
    const int64_t dropped = t->rows - kept;
    t->rows = kept;
    return dropped;
}
