/* tests/fuzz/fuzz_csv.c - any bytes as csv, packed with gzip or not: no crash, no leak, and what is accepted survives
 * being written and read again. The first byte chooses the options. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void demand(int truth, const char *what)
{
    if (truth) return;
    fprintf(stderr, "%s (%s)\n", what, tl_message());
    abort();
}

static char path[64];

/* Files in memory, where there is such a place. */
static void put(const uint8_t *bytes, size_t size)
{
    if (!*path)
        snprintf(path, sizeof path, "%s/fuzz_csv.%ld", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm", (long)getpid());
    FILE *f = fopen(path, "wb");
    demand(f && fwrite(bytes, 1, size, f) == size && !fclose(f), "a file cannot be written");
}

static int is_expected(tl_status s) { return s == TL_OK || s == TL_E_FORMAT || s == TL_E_NAME; }

/* Lines hold all bytes but their ends. */
static void lines(void)
{
    tl_lines *l;
    const char *line = "";
    size_t size;
    tl_status status = tl_lines_open(path, &l);
    demand(is_expected(status), "an unexpected status of lines");
    while (!status && line) {
        status = tl_lines_next(l, &line, &size);
        demand(is_expected(status), "an unexpected status of a line");
        if (line) demand(!memchr(line, '\n', size) && !memchr(line, '\r', size) && !line[size], "a line that is none");
    }
    tl_lines_free(l);
}

static void compare(const tl_column *a, const tl_column *b, int64_t rows)
{
    demand(!strcmp(a->name, b->name), "a name has changed");
    for (int64_t r = 0; r < rows; r++) {
        if (a->texts)
            demand(!a->texts[r] == !b->texts[r] && (!a->texts[r] || !strcmp(a->texts[r], b->texts[r])),
                   "a text has changed");
        else
            demand(a->numbers[r] == b->numbers[r] || (isnan(a->numbers[r]) && isnan(b->numbers[r])),
                   "a number has changed");
    }
}

static void again(const tl_frame *t, const char *const *text, int n_text)
{
    int n, m;
    tl_frame *u;
    const tl_column *c = tl_frame_columns(t, &n);
    demand(!tl_csv_write(path, c, n, tl_frame_rows(t)), "what was read cannot be written");
    demand(!tl_frame_read(path, &u, .text = text, .n_text = n_text), "what was written cannot be read");
    const tl_column *d = tl_frame_columns(u, &m);
    demand(n == m && tl_frame_rows(t) == tl_frame_rows(u), "rows or columns are lost");
    for (int k = 0; k < n; k++) compare(&c[k], &d[k], tl_frame_rows(t));
    tl_frame_free(u);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char separators[] = { ',', '\t', ' ', ';' };
    static const char *const text[] = { "0", "2" };
    if (!size) return 0;
    const unsigned way = *bytes;
    put(bytes + 1, size - 1);
    lines();
    tl_frame *t;
    const int n_text = way >> 4 & 3 ? (way >> 4 & 1) + 1 : 0;
    const tl_status status = tl_frame_read(path, &t, .separator = separators[way & 3], .no_header = way >> 2 & 1,
                                           .no_quotes = way >> 3 & 1, .text = n_text ? text : NULL, .n_text = n_text);
    demand(is_expected(status), "an unexpected status");
    if (!status) {
        int n;
        tl_frame_columns(t, &n);
        /* The header of a file that is written is read by the rule of numbers, too. */
        if (n && (way >> 2 & 1)) again(t, n_text ? text : NULL, n_text);
        tl_frame_fill_forward(t, NULL);
        tl_frame_drop_missing(t, NULL);
        demand(!tl_frame_missing(t, NULL), "something is missing");
    }
    tl_frame_free(status ? NULL : t);
    demand(tl_live_bytes() == 0, "memory was kept");
    return 0;
}
