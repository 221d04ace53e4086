/* train/plot.c - plots: what axes reach, where their numbers stand, texts; files by their ending. */
#include "train/plot.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

/* ---- texts ------------------------------------------------------------------------------------------------------ */

/* The code point at s and its bytes; 0 bytes if there is none that UTF-8 and XML allow. */
static int decode(const unsigned char *s, uint32_t *code)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const int n = *s < 0x80 ? 1 : *s >> 5 == 6 ? 2 : *s >> 4 == 14 ? 3 : *s >> 3 == 30 ? 4 : 0;
    if (n < 2) return *code = *s, n && *s >= ' ' && *s != 0x7F;
    *code = *s & (0x7Fu >> n);
    for (int k = 1; k < n; k++) {
        if (s[k] >> 6 != 2) return 0;
        *code = *code << 6 | (s[k] & 0x3F);
    }
    const bool surrogate = *code >= 0xD800 && *code < 0xE000, control = *code < 0xA0;
    return *code < least[n] || *code > 0x10FFFF || surrogate || control || (*code & 0xFFFE) == 0xFFFE ? 0 : n;
}

int plot_character(const char **s, char out[5])
{
    uint32_t code;
    if (!**s) return 0;
    int n = decode((const unsigned char *)*s, &code);
    memcpy(out, n ? *s : "\xEF\xBF\xBD", n ? (size_t)n : 3);
    *s += n ? n : 1;
    n = n ? n : 3;
    out[n] = 0;
    return n;
}

int plot_length(const char *s)
{
    char c[5];
    int n = 0;
    while (s && n < INT_MAX && plot_character(&s, c)) n++;
    return n;
}

void plot_format(char *out, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(out, size, format, args);
    va_end(args);
    for (char *c = out; *c; c++)
        if (*c == ',') *c = '.';
}

void plot_add(plot_text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    tl_bytes *b = &t->bytes;
    if (t->failed || n < 0) return;
    if (b->size + (size_t)n + 1 > b->room) {
        const size_t room = 2 * (b->size + (size_t)n + 512);
        char *data = tl_resize(b->data, b->room, room);
        if ((t->failed = !data)) return;
        b->data = data;
        b->room = room;
    }
    va_start(args, format);
    vsnprintf(b->data + b->size, (size_t)n + 1, format, args);
    va_end(args);
    b->size += (size_t)n;
}

/* ---- styles ----------------------------------------------------------------------------------------------------- */

/* Colours that the colour-blind can tell apart (Okabe & Ito 2008), dark ones first. */
plot_style plot_style_of(int k)
{
    static const char *const colour[] = { "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9" };
    static const char *const dashes[] = { "none", "7 3", "2 3", "9 3 2 3" };
    static const char *const type[] = { "1", "(6,3)", "(2,3)", "(9,3,2,3)" };
    return (plot_style){ colour[k % 7], dashes[k % 4], type[k % 4] };
}

/* ---- axes ------------------------------------------------------------------------------------------------------- */

static double x_of(const tl_series *s, int64_t i) { return s->x ? s->x[i] : (double)(i + 1); }

static bool can_show(double v, bool log) { return fabs(v) <= 1e300 && (!log || v >= 1e-300); }

static double place(const plot_axis *a, double v)
{
    return a->log ? (log(v) - log(a->low)) / (log(a->high) - log(a->low)) : (v - a->low) / (a->high - a->low);
}

bool plot_point(const tl_series *s, int64_t i, const plot_axis *x, const plot_axis *y, double *u, double *v)
{
    const double at = x_of(s, i);
    if (!can_show(at, x->log) || !can_show(s->y[i], y->log)) return false;
    *u = fmin(fmax(place(x, at), 0), 1);
    *v = fmin(fmax(place(y, s->y[i]), 0), 1);
    return true;
}

/* A range that is wide enough to be divided, and a bit wider than what it holds. */
static void widen(plot_axis *a, double margin)
{
    if (a->low > a->high) { /* nothing to show */
        a->low = a->log;
        a->high = a->log ? 10 : 1;
    } else if (a->log) {
        const double span = log(a->high) - log(a->low), more = span > 1e-3 ? margin * span : log(2);
        a->low = fmax(a->low * exp(-more), 1e-307);
        a->high = fmin(a->high * exp(more), 1e307);
    } else {
        const double size = fmax(fabs(a->low), fabs(a->high)), span = a->high - a->low;
        const double more = span > 1e-6 * size ? margin * span : size > 0 ? 0.1 * size : 0.5;
        a->low -= more;
        a->high += more;
    }
}

/* 1.50e+06 as 1.50e6, 3e-07 as 3e-7. */
static void shorten_exponent(char *label)
{
    char *from = strchr(label, 'e'), *to = from;
    if (!from) return;
    *to++ = *from++;
    if (*from == '-') *to++ = '-';
    from += strspn(from, "+-0");
    memmove(to, *from ? from : "0", strlen(from) + 1 + !*from);
}

static void add_tick(plot_axis *a, double v, const char *format, int digits)
{
    const double at = place(a, v);
    if (a->ticks == PLOT_TICKS || !(at >= -1e-9 && at <= 1 + 1e-9)) return;
    plot_format(a->label[a->ticks], PLOT_LABEL, format, digits, v == 0 ? 0.0 : v); /* never "-0" */
    shorten_exponent(a->label[a->ticks]);
    if (v == 0 && strchr(a->label[a->ticks], 'e')) strcpy(a->label[a->ticks], "0");
    a->tick[a->ticks++] = at;
}

/* Multiples of 1, 2 or 5 times a power of ten, whatever is nearest to so many. */
static void linear_ticks(plot_axis *a, int wanted, bool whole)
{
    const double raw = (a->high - a->low) / wanted, unit = pow(10, floor(log10(raw)));
    const double times = raw / unit;
    double step = unit * (times < 1.5 ? 1 : times < 3.5 ? 2 : times < 7.5 ? 5 : 10);
    if (whole && step < 1) step = 1;
    const double largest = fmax(fabs(a->low), fabs(a->high));
    const bool plain = largest < 999999.5 && step >= 0.99e-4;
    const int digits = plain ? (int)fmax(0, ceil(-log10(step) - 1e-6))
                             : (int)(floor(log10(largest) + 1e-6) - floor(log10(step) + 1e-6));
    for (double k = ceil(a->low / step - 1e-9); k * step <= a->high + 1e-9 * step; k++)
        add_tick(a, k * step, plain ? "%.*f" : "%.*e", digits);
}

/* Powers of ten, not too many; of a short range 1, 2 and 5 times these. */
static void log_ticks(plot_axis *a, int wanted)
{
    const int first = (int)floor(log10(a->low)), last = (int)ceil(log10(a->high));
    static const int strides[] = { 1, 2, 5, 10, 20, 50, 100, 200 };
    int k = 0;
    while ((last - first) / strides[k] > wanted) k++;
    if (last - first > 2) {
        for (int e = first; e <= last; e++)
            if (e % strides[k] == 0) add_tick(a, pow(10, e), "%.*g", 6);
        return;
    }
    for (int e = first; e <= last; e++)
        for (int times = 1; times <= 5; times += times == 1 ? 1 : 3) add_tick(a, times * pow(10, e), "%.*g", 6);
    if (a->ticks >= 2) return;
    a->ticks = 0;
    linear_ticks(a, wanted, false);
}

void plot_axes(const tl_plot *p, plot_axis *x, plot_axis *y, int x_ticks, int y_ticks)
{
    bool whole = true;
    *x = (plot_axis){ .low = INFINITY, .high = -INFINITY, .log = p->log_x };
    *y = (plot_axis){ .low = INFINITY, .high = -INFINITY, .log = p->log_y };
    for (int k = 0; k < p->n_series; k++)
        for (int64_t i = 0; i < p->series[k].n; i++) {
            const double at = x_of(&p->series[k], i), v = p->series[k].y[i];
            if (!can_show(at, x->log) || !can_show(v, y->log)) continue;
            whole &= at == floor(at);
            x->low = fmin(x->low, at), x->high = fmax(x->high, at);
            y->low = fmin(y->low, v), y->high = fmax(y->high, v);
        }
    widen(x, 0.02);
    widen(y, 0.05);
    if (x->log) log_ticks(x, x_ticks);
    else linear_ticks(x, x_ticks, whole);
    if (y->log) log_ticks(y, y_ticks);
    else linear_ticks(y, y_ticks, false);
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

tl_status plot_check(const tl_plot *plots, int n)
{
    if (n < 1 || n > 64 || !plots) return tl_report(TL_E_ARGUMENT, "a picture has 1 to 64 plots");
    for (int k = 0; k < n; k++) {
        const tl_plot *p = &plots[k];
        if (p->n_series < 0 || (p->n_series && !p->series)) return tl_report(TL_E_ARGUMENT, "plot %d has no series", k);
        for (int i = 0; i < p->n_series; i++)
            if (p->series[i].n < 0 || (p->series[i].n && !p->series[i].y))
                return tl_report(TL_E_ARGUMENT, "series %d of plot %d has no numbers", i, k);
    }
    return TL_OK;
}

static bool ends_in(const char *path, const char *tail)
{
    const size_t n = strlen(path), m = strlen(tail);
    return n > m && !strcmp(path + n - m, tail);
}

tl_status tl_plot_write(const tl_plot *plots, int n, const char *path)
{
    tl_status status = plot_check(plots, n);
    if (status) return status;
    if (path && ends_in(path, ".png")) return plot_png(plots, n, path);
    if (!path || !ends_in(path, ".svg"))
        return tl_report(TL_E_ARGUMENT, "%s: a picture is written to a file that ends in .svg or .png",
                         path ? path : "NULL");
    tl_bytes svg;
    status = tl_plot_svg(plots, n, &svg);
    if (!status) status = tl_file_write(path, svg.data, svg.size);
    tl_bytes_free(&svg);
    return status;
}
