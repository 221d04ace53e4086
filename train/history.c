/* train/history.c - a table of numbers by name and epoch. */
#include "train/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct tl_history {
    char (*name)[sizeof(((tl_named_number *)0)->name)]; /* sorted */
    int64_t *epoch;                                     /* ascending */
    double *value;                                      /* column after column, each with room for room_rows */
    int n, room_names;
    int64_t rows, room_rows;
};

tl_history *tl_history_new(void)
{
    tl_history *h = tl_resize(NULL, 0, sizeof *h);
    if (h) *h = (tl_history){ 0 };
    else tl_report(TL_E_MEMORY, "out of memory for a history");
    return h;
}

static void free_table(tl_history *h)
{
    tl_resize(h->name, (size_t)h->room_names * sizeof *h->name, 0);
    tl_resize(h->epoch, (size_t)h->room_rows * sizeof *h->epoch, 0);
    tl_resize(h->value, (size_t)h->room_names * (size_t)h->room_rows * sizeof *h->value, 0);
}

void tl_history_free(tl_history *h)
{
    if (!h) return;
    free_table(h);
    tl_resize(h, sizeof *h, 0);
}

/* ---- looking ------------------------------------------------------------------------------------------------ */

int64_t tl_history_epochs(const tl_history *h) { return h ? h->rows : 0; }

int64_t tl_history_epoch(const tl_history *h, int64_t row)
{
    return h && row >= 0 && row < h->rows ? h->epoch[row] : -1;
}

int tl_history_names(const tl_history *h) { return h ? h->n : 0; }

const char *tl_history_name(const tl_history *h, int k) { return h && k >= 0 && k < h->n ? h->name[k] : NULL; }

static double *column(const tl_history *h, int k) { return h->value + k * h->room_rows; }

const double *tl_history_values(const tl_history *h, const char *name)
{
    for (int k = 0; h && name && k < h->n; k++)
        if (!strcmp(h->name[k], name)) return column(h, k);
    return NULL;
}

double tl_history_value(const tl_history *h, const char *name, int64_t row)
{
    const double *values = tl_history_values(h, name);
    return values && row >= 0 && row < h->rows ? values[row] : NAN;
}

/* ---- adding ------------------------------------------------------------------------------------------------- */

/* Room for so many names and rows. Nothing has changed where memory is short. */
static tl_status reserve(tl_history *h, int names, int64_t rows)
{
    if (names <= h->room_names && rows <= h->room_rows) return TL_OK;
    tl_history more = *h;
    if (names >= h->room_names) more.room_names = names + 4; /* never none */
    if (rows > h->room_rows) more.room_rows = 2 * rows + 30;
    more.name = tl_resize(NULL, 0, (size_t)more.room_names * sizeof *more.name);
    more.epoch = tl_resize(NULL, 0, (size_t)more.room_rows * sizeof *more.epoch);
    more.value = tl_resize(NULL, 0, (size_t)more.room_names * (size_t)more.room_rows * sizeof *more.value);
    if (!more.name || !more.epoch || !more.value) {
        free_table(&more);
        return tl_report(TL_E_MEMORY, "out of memory for the history");
    }
    if (h->n) memcpy(more.name, h->name, (size_t)h->n * sizeof *h->name);
    if (h->rows) memcpy(more.epoch, h->epoch, (size_t)h->rows * sizeof *h->epoch);
    for (int k = 0; h->rows && k < h->n; k++) memcpy(column(&more, k), column(h, k), (size_t)h->rows * sizeof(double));
    free_table(h);
    *h = more;
    return TL_OK;
}

/* A column for a name, NaN so far, where there is none; there is room for it. */
static void add_name(tl_history *h, const char *name)
{
    int k = 0;
    while (k < h->n && strcmp(h->name[k], name) < 0) k++;
    if (k < h->n && !strcmp(h->name[k], name)) return;
    memmove(h->name + k + 1, h->name + k, (size_t)(h->n - k) * sizeof *h->name);
    memmove(column(h, k + 1), column(h, k), (size_t)(h->n - k) * (size_t)h->room_rows * sizeof(double));
    snprintf(h->name[k], sizeof h->name[k], "%s", name);
    for (int64_t i = 0; i < h->rows; i++) column(h, k)[i] = NAN;
    h->n++;
}

tl_status tl_history_add(tl_history *h, int64_t epoch, const tl_named_number *logs, int n)
{
    if (!h || epoch < 0 || n < 0 || (n && !logs))
        return tl_report(TL_E_ARGUMENT, "tl_history_add: a history, an epoch from 0 on, and as many numbers as told");
    const tl_status status = reserve(h, h->n + n, h->rows + 1);
    if (status) return status;
    while (h->rows && h->epoch[h->rows - 1] >= epoch) h->rows--;
    const int64_t row = h->rows++;
    h->epoch[row] = epoch;
    for (int i = 0; i < n; i++) add_name(h, logs[i].name);
    for (int k = 0; k < h->n; k++) column(h, k)[row] = NAN;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < h->n; k++)
            if (!strcmp(h->name[k], logs[i].name)) column(h, k)[row] = logs[i].value;
    return TL_OK;
}

/* ---- keeping ------------------------------------------------------------------------------------------------ */

/* As "names", a line each, and "table" [rows, 1 + names], the epochs being its first column. */
static void save(const tl_history *h, tl_store *store)
{
    const size_t size = (size_t)h->n * sizeof *h->name + 1;
    const int64_t width = h->n + 1;
    char *names = tl_resize(NULL, 0, size), *end = names;
    double *table = tl_resize(NULL, 0, (size_t)(h->rows * width + 1) * sizeof *table);
    if (names && table) {
        *names = 0;
        for (int k = 0; k < h->n; k++) end = stpcpy(stpcpy(end, h->name[k]), "\n");
        for (int64_t i = 0; i < h->rows; i++) {
            table[i * width] = (double)h->epoch[i];
            for (int k = 0; k < h->n; k++) table[i * width + k + 1] = column(h, k)[i];
        }
        tl_array a = tl_array_of(TL_F64, TL_DIMS(h->rows, width), table);
        tl_store_text(store, "names", &(const char *){ names });
        tl_store_array(store, "table", &a);
    } else {
        tl_store_fail(store, tl_report(TL_E_MEMORY, "out of memory to keep the history"));
    }
    tl_resize(names, size, 0);
    tl_resize(table, (size_t)(h->rows * width + 1) * sizeof *table, 0);
}

/* The names into logs, as many as there is room for; returns how many there are. */
static int read_names(const char *names, tl_named_number *logs, int room)
{
    int n = 0;
    for (; *names; n++) {
        const size_t length = strcspn(names, "\n");
        if (n < room) snprintf(logs[n].name, sizeof logs[n].name, "%.*s", (int)length, names);
        names += length + (names[length] == '\n');
    }
    return n;
}

/* In place of what there is. */
static void load(tl_history *h, tl_store *store)
{
    const char *names = NULL;
    tl_array a = { 0 };
    tl_store_array(store, "table", &a);
    if (tl_store_text(store, "names", &names)) return;
    const int n = read_names(names ? names : "", NULL, 0);
    if (a.dtype != TL_F64 || a.rank != 2 || a.dim[1] != n + 1) {
        tl_store_fail(store, tl_report(TL_E_FORMAT, "the history that was saved is no table of %d columns", n + 1));
        return;
    }
    tl_named_number *logs = tl_resize(NULL, 0, ((size_t)n + 1) * sizeof *logs);
    if (!logs) tl_store_fail(store, tl_report(TL_E_MEMORY, "out of memory for the history"));
    else read_names(names ? names : "", logs, n);
    h->rows = h->n = 0;
    for (int64_t i = 0; !tl_store_status(store) && i < a.dim[0]; i++) {
        const double *row = (const double *)a.data + i * a.dim[1];
        for (int k = 0; k < n; k++) logs[k].value = row[k + 1];
        tl_store_fail(store, tl_history_add(h, row[0] >= 0 && row[0] < 0x1p53 ? (int64_t)row[0] : -1, logs, n));
    }
    tl_resize(logs, ((size_t)n + 1) * sizeof *logs, 0);
}

tl_status tl_history_keep(tl_history *h, tl_store *store)
{
    if (tl_store_loading(store)) load(h, store);
    else save(h, store);
    return tl_store_status(store);
}

/* ---- showing ------------------------------------------------------------------------------------------------ */

static int width_of(const tl_history *h, int k) { return strlen(h->name[k]) < 10 ? 10 : (int)strlen(h->name[k]); }

void tl_history_print(const tl_history *h, FILE *out)
{
    if (!h || !out) return;
    fprintf(out, "%5s", "epoch");
    for (int k = 0; k < h->n; k++) fprintf(out, "  %*s", width_of(h, k), h->name[k]);
    fputc('\n', out);
    for (int64_t i = 0; i < h->rows; i++) {
        fprintf(out, "%5lld", (long long)h->epoch[i] + 1);
        for (int k = 0; k < h->n; k++) {
            const double x = column(h, k)[i];
            if (isnan(x)) fprintf(out, "  %*s", width_of(h, k), "-");
            else fprintf(out, fabs(x) >= 1e-3 || x == 0 ? "  %*.4f" : "  %*.3e", width_of(h, k), x);
        }
        fputc('\n', out);
    }
}

tl_status tl_history_write_csv(const tl_history *h, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    if (!h || !path) return tl_report(TL_E_ARGUMENT, "tl_history_write_csv: a history and a path are needed");
    FILE *f = open_memstream(&text, &size);
    if (!f) return tl_report(TL_E_MEMORY, "out of memory for %s", path);
    for (int64_t i = -1; i < h->rows; i++) {
        char number[32];
        if (i < 0) fputs("epoch", f);
        else fprintf(f, "%lld", (long long)h->epoch[i]);
        for (int k = 0; k < h->n; k++) {
            tl_exact_number(number, sizeof number, i < 0 ? 0 : column(h, k)[i]);
            fprintf(f, ",%s", i < 0 ? h->name[k] : isnan(column(h, k)[i]) ? "NA" : number);
        }
        fputc('\n', f);
    }
    const bool good = !fclose(f);
    const tl_status status = good ? tl_file_write(path, text, size)
                                  : tl_report(TL_E_MEMORY, "out of memory for %s", path);
    free(text);
    return status;
}
