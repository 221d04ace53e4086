/* train/plot_print.c - plots as text. */
#include "train/plot.h"
#include "train/terminal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What frames are made of: with Unicode, in ASCII. */
typedef struct frame {
    const char *up, *up_tick, *corner, *across, *across_tick;
} frame;
static const frame frames[] = { { "\xE2\x94\x82", "\xE2\x94\xA4", "\xE2\x94\x94", "\xE2\x94\x80", "\xE2\x94\xAC" },
                                { "|", "+", "+", "-", "+" } };

static const char marks[] = "*o+x#@%&=~";

/* The dots of a panel: cells of one character, each of which has dx * dy dots. */
typedef struct canvas {
    int cols, rows, dx, dy;
    unsigned char *cell; /* bits of Braille's dots; or the character */
} canvas;

static void dot(canvas *c, int x, int y, char mark)
{
    static const unsigned char bit[4][2] = { { 1, 8 }, { 2, 16 }, { 4, 32 }, { 64, 128 } };
    unsigned char *cell = c->cell + (size_t)(y / c->dy) * (size_t)c->cols + x / c->dx;
    if (c->dx == 1) *cell = (unsigned char)mark;
    else *cell |= bit[y % 4][x % 2];
}

static void draw_series(canvas *c, const tl_series *s, char mark, const plot_axis *x, const plot_axis *y)
{
    const int width = c->cols * c->dx - 1, height = c->rows * c->dy - 1;
    bool down = false;
    int x0 = 0, y0 = 0;
    double u, v;
    for (int64_t i = 0; i < s->n; i++) {
        const bool there = plot_point(s, i, x, y, &u, &v);
        if (there) {
            const int x1 = (int)lround(u * width), y1 = (int)lround((1 - v) * height);
            const int n = down ? abs(x1 - x0) > abs(y1 - y0) ? abs(x1 - x0) : abs(y1 - y0) : 0;
            dot(c, x1, y1, mark);
            for (int k = 1; k < n; k++)
                dot(c, x0 + (int)lround((double)(x1 - x0) * k / n), y0 + (int)lround((double)(y1 - y0) * k / n), mark);
            x0 = x1, y0 = y1;
        }
        down = there;
    }
}

/* ---- texts ------------------------------------------------------------------------------------------------------ */

/* At most so many characters of s; returns how many there were. */
static int print_text(FILE *out, const char *s, int most, bool ascii)
{
    char c[5];
    int n = 0;
    for (; s && n < most && plot_character(&s, c); n++) fputs(ascii && c[1] ? "?" : c, out);
    return n;
}

static void print_title(FILE *out, const char *s, int width, bool ascii)
{
    if (!s || !*s) return;
    const int n = plot_length(s);
    fprintf(out, "%*s", n < width ? (width - n) / 2 : 0, "");
    print_text(out, s, width, ascii);
    putc('\n', out);
}

static void print_cell(FILE *out, const canvas *c, int col, int row)
{
    const unsigned char cell = c->cell[(size_t)row * (size_t)c->cols + (size_t)col];
    if (!cell) putc(' ', out);
    else if (c->dx == 1) putc(cell, out);
    else fprintf(out, "%c%c%c", 0xE2, 0xA0 | cell >> 6, 0x80 | (cell & 0x3F)); /* U+2800 and the dots */
}

/* The tick of an axis that is n cells long at cell i (upwards), or -1. */
static int tick_at(const plot_axis *a, int i, int n)
{
    for (int k = 0; k < a->ticks; k++)
        if ((int)lround(a->tick[k] * (n - 1)) == i) return k;
    return -1;
}

static void print_x_labels(FILE *out, const plot_axis *x, int margin, int cols)
{
    char line[512];
    int free = 0; /* from here on */
    memset(line, ' ', sizeof line);
    const int room = margin + cols + 1 < (int)sizeof line ? margin + cols + 1 : (int)sizeof line - 1;
    for (int k = 0; k < x->ticks; k++) {
        const int n = (int)strlen(x->label[k]), middle = margin + 1 + (int)lround(x->tick[k] * (cols - 1));
        int at = middle - n / 2 + (n % 2 == 0);
        if (at + n > room) at = room - n;
        if (at < free || at < 0) continue;
        memcpy(line + at, x->label[k], (size_t)n);
        free = at + n + 1;
    }
    fprintf(out, "%.*s\n", free ? free - 1 : 0, line);
}

static void print_legend(FILE *out, const tl_plot *p, int margin, int width, bool one, bool ascii)
{
    int used = 0;
    for (int k = 0; k < p->n_series; k++) {
        const char *name = p->series[k].name;
        if (!name) continue;
        const int mark = one ? 0 : 2, need = mark + plot_length(name);
        const bool begins = !used || used + 2 + need > width;
        if (used && begins) putc('\n', out);
        used = begins ? margin + 1 : used + 2;
        fprintf(out, "%*s", begins ? margin + 1 : 2, "");
        if (mark) fprintf(out, "%c ", marks[k % (int)(sizeof marks - 1)]);
        used += mark + print_text(out, name, width - used - mark, ascii);
    }
    if (used) putc('\n', out);
}

/* ---- panels ----------------------------------------------------------------------------------------------------- */

static void print_panel(FILE *out, const tl_plot *p, const canvas *c, const plot_axis *x, const plot_axis *y,
                        int margin, bool ascii)
{
    const frame *f = &frames[ascii];
    const int width = margin + 1 + c->cols;
    print_title(out, p->title, width, ascii);
    if (p->y_label && *p->y_label) print_text(out, p->y_label, width, ascii), putc('\n', out);
    for (int row = 0; row < c->rows; row++) {
        const int tick = tick_at(y, c->rows - 1 - row, c->rows);
        fprintf(out, "%*s%s", margin, tick < 0 ? "" : y->label[tick], tick < 0 ? f->up : f->up_tick);
        int last = c->cols - 1; /* no blanks at the end of lines */
        while (last >= 0 && !c->cell[(size_t)row * (size_t)c->cols + (size_t)last]) last--;
        for (int col = 0; col <= last; col++) print_cell(out, c, col, row);
        putc('\n', out);
    }
    fprintf(out, "%*s%s", margin, "", f->corner);
    for (int col = 0; col < c->cols; col++) fputs(tick_at(x, col, c->cols) < 0 ? f->across : f->across_tick, out);
    putc('\n', out);
    print_x_labels(out, x, margin, c->cols);
    print_title(out, p->x_label, width, ascii);
    print_legend(out, p, margin, width, c->dx > 1 || p->n_series == 1, ascii);
}

static tl_status make_panel(FILE *out, const tl_plot *p, int width, int height, bool ascii)
{
    plot_axis x, y;
    int margin = 0;
    plot_axes(p, &x, &y, width / 12 < 8 ? width / 12 : 8, height / 3 < 6 ? height / 3 + 1 : 6);
    for (int k = 0; k < y.ticks; k++) {
        const int n = (int)strlen(y.label[k]);
        margin = n > margin ? n : margin;
    }
    const bool braille = !ascii && p->n_series == 1;
    canvas c = { .cols = width - margin - 1, .rows = height, .dx = braille ? 2 : 1, .dy = braille ? 4 : 1 };
    const size_t size = (size_t)c.cols * (size_t)c.rows;
    c.cell = tl_resize(NULL, 0, size);
    if (!c.cell) return tl_report(TL_E_MEMORY, "tl_plot_print: out of memory");
    memset(c.cell, 0, size);
    for (int k = p->n_series; k-- > 0;) /* the first on top */
        draw_series(&c, &p->series[k], marks[k % (int)(sizeof marks - 1)], &x, &y);
    print_panel(out, p, &c, &x, &y, margin, ascii);
    tl_resize(c.cell, size, 0);
    return TL_OK;
}

static bool has_unicode(void)
{
    static const char *const variable[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    static const char *const spelling[] = { "UTF-8", "utf8", "utf-8", "UTF8" };
    const char *value = NULL;
    bool said = false;
    for (int k = 0; k < 3 && !(value && *value); k++) value = getenv(variable[k]);
    for (int k = 0; value && k < 4; k++) said |= strstr(value, spelling[k]) != NULL;
    return said;
}

tl_status tl_plot_print_opt(const tl_plot *plots, int n, FILE *out, const tl_plot_print_opts *o)
{
    if (!out || !o) return tl_report(TL_E_ARGUMENT, "tl_plot_print: a file is needed");
    tl_status status = plot_check(plots, n);
    if (status) return status;
    const int told = tl_terminal_columns(out), width = o->width ? o->width : told < 30 ? 30 : told > 160 ? 160 : told;
    const int height = o->height ? o->height : 12;
    if (width < 30 || width > 500 || height < 3 || height > 500)
        return tl_report(TL_E_ARGUMENT, "tl_plot_print: .width is in 30..500 and .height in 3..500");
    for (int k = 0; k < n && !status; k++) {
        if (k) putc('\n', out);
        status = make_panel(out, &plots[k], width, height, o->ascii || !has_unicode());
    }
    if (!status && (fflush(out) || ferror(out)))
        status = tl_report(TL_E_FILE, "tl_plot_print: the file cannot be written");
    return status;
}
