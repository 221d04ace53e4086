/* train/plot_svg.c - plots as SVG. Lengths are in pixels, tenths of them in lines. */
#include "train/plot.h"

#include <math.h>

enum {
    WIDTH = 520,
    LEFT = 66,
    RIGHT = 22,
    TOP = 34,
    HEIGHT = 240, /* of the axis */
    BOTTOM = 46,
    ROW = 18,         /* of the legend */
    LETTER = 7,       /* about */
    SAMPLE = 30,      /* of a line, in the legend */
    MOST_NAMES = 24,  /* there */
    MOST_LETTERS = 40 /* in one, and in twice as many of a title */
};

/* A text, so many characters of it, as XML. */
static void add_text(plot_text *t, const char *s, int most)
{
    static const struct {
        char c;
        const char *name;
    } entity[] = { { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" }, { '\'', "&apos;" } };
    char c[5];
    if (!s) return;
    const int length = plot_length(s);
    for (int i = 0; i < length && i < most; i++) {
        const char *name = NULL;
        plot_character(&s, c);
        for (size_t k = 0; k < sizeof entity / sizeof *entity; k++)
            if (*c == entity[k].c) name = entity[k].name;
        plot_add(t, "%s", i + 1 == most && length > most ? "\xE2\x80\xA6" : name ? name : c);
    }
}

static int letters(const char *s)
{
    const int n = plot_length(s);
    return n < MOST_LETTERS ? n : MOST_LETTERS;
}

/* ---- the legend ------------------------------------------------------------------------------------------------- */

static void add_style(plot_text *t, int k)
{
    const plot_style s = plot_style_of(k);
    plot_add(t, "stroke=\"%s\" stroke-width=\"1.8\"", s.colour);
    if (*s.dashes != 'n') plot_add(t, " stroke-dasharray=\"%s\"", s.dashes);
}

/* Writes the names (t NULL: none of them), row by row, from y on; returns how many rows there are. */
static int legend(plot_text *t, const tl_plot *p, int left, int y)
{
    int rows = 0, x = WIDTH, names = 0;
    for (int k = 0; k < p->n_series && names < MOST_NAMES; k++) {
        if (!p->series[k].name) continue;
        const int width = SAMPLE + 6 + LETTER * letters(p->series[k].name) + 14;
        if (x + width > WIDTH - RIGHT) x = LEFT, rows++;
        if (t) {
            const int at = left + x, middle = y + (rows - 1) * ROW + ROW / 2;
            plot_add(t, "<path d=\"M%d %dh%d\" ", at, middle, SAMPLE);
            add_style(t, k);
            plot_add(t, "/>\n<text x=\"%d\" y=\"%d\">", at + SAMPLE + 6, middle + 4);
            add_text(t, p->series[k].name, MOST_LETTERS);
            plot_add(t, "</text>\n");
        }
        x += width;
        names++;
    }
    return rows;
}

/* ---- lines ------------------------------------------------------------------------------------------------------ */

/* A line on its way: what falls into one column of pixels is drawn as where it begins, its ends and where it leaves. */
typedef struct pen {
    plot_text *t;
    int left, top; /* of the axes */
    bool down;
    int64_t x, y, low, high, last; /* in tenths: of the column's first point, and of what has followed in it */
    int64_t points;                /* since the pen was put down */
} pen;

static void add_point(pen *p, char command, int64_t x, int64_t y)
{
    plot_add(p->t, "%c%lld.%lld %lld.%lld", command, (long long)x / 10, (long long)x % 10, (long long)y / 10,
             (long long)y % 10);
}

static void finish_column(pen *p)
{
    if (p->low != p->y) add_point(p, 'L', p->x, p->low);
    if (p->high != p->low) add_point(p, 'L', p->x, p->high);
    if (p->last != p->high) add_point(p, 'L', p->x, p->last);
}

static void lift(pen *p)
{
    if (p->down) finish_column(p);
    if (p->down && p->points == 1) plot_add(p->t, "m-1.5 0h3");
    p->down = false;
}

static void draw_to(pen *p, double u, double v)
{
    const int64_t x = llround(10 * (p->left + u * (WIDTH - LEFT - RIGHT))),
                  y = llround(10 * (p->top + (1 - v) * HEIGHT));
    p->points = p->down ? p->points + 1 : 1;
    if (p->down && x / 10 == p->x / 10) {
        p->low = y < p->low ? y : p->low;
        p->high = y > p->high ? y : p->high;
        p->last = y;
        return;
    }
    if (p->down) finish_column(p);
    add_point(p, p->down ? 'L' : 'M', x, y);
    p->down = true;
    p->x = x;
    p->y = p->low = p->high = p->last = y;
}

static void line(plot_text *t, const tl_series *s, int k, const plot_axis *x, const plot_axis *y, int left, int top)
{
    pen p = { .t = t, .left = left, .top = top };
    double u, v;
    plot_add(t, "<path fill=\"none\" stroke-linejoin=\"round\" stroke-linecap=\"round\" ");
    add_style(t, k);
    plot_add(t, " d=\"");
    for (int64_t i = 0; i < s->n && !t->failed; i++) {
        if (plot_point(s, i, x, y, &u, &v)) draw_to(&p, u, v);
        else lift(&p);
    }
    lift(&p);
    plot_add(t, "\"/>\n");
}

/* ---- panels ----------------------------------------------------------------------------------------------------- */

static void add_axes(plot_text *t, const plot_axis *x, const plot_axis *y, int left, int top)
{
    const int width = WIDTH - LEFT - RIGHT;
    plot_add(t, "<g stroke=\"#ddd\">\n");
    for (int k = 0; k < y->ticks; k++)
        plot_add(t, "<path d=\"M%d %ldh%d\"/>\n", left, lround(top + (1 - y->tick[k]) * HEIGHT), width);
    for (int k = 0; k < x->ticks; k++)
        plot_add(t, "<path d=\"M%ld %dv%d\"/>\n", lround(left + x->tick[k] * width), top, HEIGHT);
    plot_add(t, "</g>\n<path d=\"M%d %dv%dh%d\" fill=\"none\" stroke=\"#444\"/>\n<g text-anchor=\"end\">\n", left, top,
             HEIGHT, width);
    for (int k = 0; k < y->ticks; k++)
        plot_add(t, "<text x=\"%d\" y=\"%ld\">%s</text>\n", left - 6, lround(top + (1 - y->tick[k]) * HEIGHT) + 4,
                 y->label[k]);
    plot_add(t, "</g>\n<g text-anchor=\"middle\">\n");
    for (int k = 0; k < x->ticks; k++)
        plot_add(t, "<text x=\"%ld\" y=\"%d\">%s</text>\n", lround(left + x->tick[k] * width), top + HEIGHT + 16,
                 x->label[k]);
    plot_add(t, "</g>\n");
}

static void add_label(plot_text *t, const char *s, int x, int y, const char *more)
{
    if (!s || !*s) return;
    plot_add(t, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\"%s>", x, y, more);
    add_text(t, s, 2 * MOST_LETTERS);
    plot_add(t, "</text>\n");
}

/* The height of a row of panels: that of the one with the longest legend. */
static int height_of(const tl_plot *row, int n)
{
    int most = 0;
    for (int k = 0; k < 2 && k < n; k++) {
        const int rows = legend(NULL, &row[k], 0, 0);
        most = rows > most ? rows : most;
    }
    return TOP + most * ROW + HEIGHT + BOTTOM;
}

static void add_panel(plot_text *t, const tl_plot *p, int x, int y, int height)
{
    const int left = x + LEFT, top = y + height - HEIGHT - BOTTOM, middle = left + (WIDTH - LEFT - RIGHT) / 2;
    char turned[64];
    plot_axis across, up;
    plot_axes(p, &across, &up, 5, 5);
    add_label(t, p->title, middle, y + 22, " font-size=\"14\" font-weight=\"bold\"");
    legend(t, p, x, y + TOP - 4);
    add_axes(t, &across, &up, left, top);
    add_label(t, p->x_label, middle, top + HEIGHT + 36, "");
    snprintf(turned, sizeof turned, " transform=\"rotate(-90 %d %d)\"", x + 14, top + HEIGHT / 2);
    add_label(t, p->y_label, x + 14, top + HEIGHT / 2, turned);
    for (int k = 0; k < p->n_series; k++) line(t, &p->series[k], k, &across, &up, left, top);
}

tl_status tl_plot_svg(const tl_plot *plots, int n, tl_bytes *out)
{
    if (!out) return tl_report(TL_E_ARGUMENT, "tl_plot_svg: a place for the picture is needed");
    *out = (tl_bytes){ 0 };
    const tl_status status = plot_check(plots, n);
    if (status) return status;
    plot_text t = { 0 };
    const int columns = n > 1 ? 2 : 1, width = columns * WIDTH;
    int all = 0;
    for (int k = 0; k < n; k += columns) all += height_of(plots + k, n - k);
    plot_add(
        &t,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
        "font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
        width, all, width, all, width, all);
    for (int k = 0, y = 0; k < n; k++) {
        const int first = k / columns * columns, height = height_of(plots + first, n - first);
        add_panel(&t, &plots[k], k % columns * WIDTH, y, height);
        if (k % columns == columns - 1) y += height;
    }
    plot_add(&t, "</svg>\n");
    *out = t.bytes;
    if (!t.failed) return TL_OK;
    tl_bytes_free(out);
    return tl_report(TL_E_MEMORY, "tl_plot_svg: out of memory");
}
