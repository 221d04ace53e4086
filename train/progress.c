/* train/progress.c - one line that shows how far an epoch has come. */
#include "train/terminal.h"
#include "train/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { BAR = 20, REDRAW_MS = 100, PLAIN_SECONDS = 10 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

tl_progress tl_progress_begin(FILE *out, const char *label, int64_t total, const char *unit)
{
    tl_progress p = { .out = out, .total = total > 0 ? total : 1, .start = now() };
    snprintf(p.label, sizeof p.label, "%s", label ? label : "");
    snprintf(p.unit, sizeof p.unit, "%s", unit ? unit : "");
    p.terminal = out && isatty(fileno(out));
    p.shown = p.start;
    return p;
}

int tl_terminal_columns(FILE *out)
{
    struct winsize size;
    const char *told = getenv("COLUMNS");
    const int n = told ? atoi(told) : 0;
    if (n > 0) return n;
    return !ioctl(fileno(out), TIOCGWINSZ, &size) && size.ws_col > 0 ? size.ws_col : 80;
}

/* "532", "1.24k", "38.1M" */
static void print_amount(char *text, size_t size, double x)
{
    static const char *const suffix[] = { "", "k", "M", "G" };
    int k = 0;
    for (; k < 3 && x >= 999.5; k++) x /= 1000;
    snprintf(text, size, "%.*f%s", k && x < 99.95 ? (x < 9.995 ? 2 : 1) : 0, x, suffix[k]);
}

/* "12:03", "2:05:30" */
static void print_time(char *text, size_t size, double seconds)
{
    const long s = seconds < 3.6e8 ? (long)(seconds + 0.5) : 360000000;
    if (s < 3600) snprintf(text, size, "%ld:%02ld", s / 60, s % 60);
    else snprintf(text, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
}

static void print_rate(const tl_progress *p, double seconds, char *text, size_t size)
{
    char amount[32];
    print_amount(amount, sizeof amount, seconds > 0 ? (double)p->done / seconds : 0);
    snprintf(text, size, "%s %s/s", amount, p->unit);
}

/* "epoch 3/20 [=====>      ]  34 %  12.3k chars/s  0:12 left  loss 1.234", cut to the terminal's width. */
static void draw(tl_progress *p, double time, const char *text)
{
    char bar[BAR + 1], rate[64], left[32], line[512];
    const double part = (double)p->done / (double)p->total, seconds = time - p->start;
    const int full = (int)(part * BAR);
    for (int i = 0; i < BAR; i++) bar[i] = i < full ? '=' : i == full ? '>' : ' ';
    bar[BAR] = 0;
    print_rate(p, seconds, rate, sizeof rate);
    print_time(left, sizeof left, part > 0 ? seconds / part - seconds : 0);
    snprintf(line, sizeof line, "%s [%s] %3.0f %%  %s  %s left  %s", p->label, bar, 100 * part, rate, left, text);
    const int width = tl_terminal_columns(p->out) - 1;
    fprintf(p->out, "\r%-*.*s", p->width < width ? p->width : width, width, line);
    p->width = (int)strlen(line);
    fflush(p->out);
}

/* ---- steps of an epoch, as Keras shows them ----------------------------------------------------------------- */

tl_progress tl_progress_steps(FILE *out, int64_t total, bool brief)
{
    tl_progress p = tl_progress_begin(out, "", total, "step");
    p.steps = true;
    if (total < 1) p.total = 0;
    if (brief) p.terminal = false, p.shown = INFINITY;
    return p;
}

/* "3s", "1:05", "1:02:05" */
static void print_left(char *text, size_t size, double seconds)
{
    if (seconds > 60) print_time(text, size, seconds);
    else snprintf(text, size, "%.0fs", seconds);
}

/* "50ms/step": of all steps but the first, in which a plan is made. */
static double print_step_time(const tl_progress *p, double time, char *text, size_t size)
{
    static const struct {
        double scale;
        const char *unit;
    } units[] = { { 1, "s" }, { 1e3, "ms" }, { 1e6, "us" } };
    const double seconds = p->done > 1 ? (time - p->first) / (double)(p->done - 1) : p->done == 1 ? time - p->start : 0;
    const int k = seconds >= 1 || seconds == 0 ? 0 : seconds >= 1e-3 ? 1 : 2;
    snprintf(text, size, "%.0f%s/%s", seconds * units[k].scale, units[k].unit, p->unit);
    return seconds;
}

/* "12/782", "12/Unknown" */
static int print_count(const tl_progress *p, char *text, size_t size)
{
    const int width = snprintf(NULL, 0, "%lld", (long long)p->total);
    return p->total ? snprintf(text, size, "%*lld/%lld", width, (long long)p->done, (long long)p->total)
                    : snprintf(text, size, "%lld/Unknown", (long long)p->done);
}

/* "12/782 ━━━━━━━━━━━━━━━━━━━━ 3s 50ms/step - accuracy: 0.33 - loss: 2.06": the part that is done in green, as much of it as
 * fits the terminal. */
static void draw_steps(tl_progress *p, double time, const char *text, bool end)
{
    char count[48], each[32], left[32], rest[512];
    const int room = tl_terminal_columns(p->out) - 1;
    int width = print_count(p, count, sizeof count);
    const double step = print_step_time(p, time, each, sizeof each);
    print_left(left, sizeof left, end || !p->total ? time - p->start : step * (double)(p->total - p->done));
    snprintf(rest, sizeof rest, " %s %s%s", left, each, text);
    fprintf(p->out, "\r%s ", count);
    width++;
    if (p->total && width + BAR < room) {
        const int full = (int)(BAR * p->done / p->total);
        for (int i = 0; i < BAR; i++) fputs(i == 0 && full ? "\033[32m━" : i == full ? "\033[0m━" : "━", p->out);
        fputs("\033[0m", p->out);
        width += BAR;
    }
    width += fprintf(p->out, "%.*s", room > width ? room - width : 0, rest);
    fprintf(p->out, "%*s%s", p->width > width ? p->width - width : 0, "", end ? "\n" : "");
    p->width = width;
    fflush(p->out);
}

/* "782/782 - 38s - 50ms/step - accuracy: 0.33 - loss: 2.06" */
static void print_steps(tl_progress *p, double time, const char *text)
{
    char count[48], each[32], passed[32];
    print_count(p, count, sizeof count);
    print_step_time(p, time, each, sizeof each);
    print_left(passed, sizeof passed, time - p->start);
    fprintf(p->out, "%s - %s - %s%s\n", count, passed, each, text);
    fflush(p->out);
}

/* ---- both ---------------------------------------------------------------------------------------------------- */

static int tenths_of(const tl_progress *p) { return p->total ? (int)(10 * p->done / p->total) : 0; }

static bool due(const tl_progress *p, double time)
{
    if (p->terminal) return 1000 * (time - p->shown) >= REDRAW_MS;
    const int tenths = tenths_of(p);
    return tenths != p->tenths && tenths != 10 && time - p->shown >= PLAIN_SECONDS;
}

bool tl_progress_due(tl_progress *p, int64_t done)
{
    if (!p->out) return false;
    const double time = now();
    p->done = done < p->total || !p->total ? done : p->total;
    if (!p->first && done) p->first = time;
    return due(p, time);
}

void tl_progress_show(tl_progress *p, int64_t done, const char *text)
{
    if (!tl_progress_due(p, done)) return;
    const double time = now();
    if (!text) text = "";
    if (p->steps && p->terminal) {
        draw_steps(p, time, text, false);
    } else if (p->steps) {
        print_steps(p, time, text);
    } else if (p->terminal) {
        draw(p, time, text);
    } else {
        char rate[64];
        print_rate(p, time - p->start, rate, sizeof rate);
        fprintf(p->out, "%s  %3d %%  %s  %s\n", p->label, 10 * tenths_of(p), rate, text);
        fflush(p->out);
    }
    p->tenths = tenths_of(p);
    p->shown = time;
}

double tl_progress_end(tl_progress *p, const char *text)
{
    const double seconds = now() - p->start;
    if (!p->out) return seconds;
    if (p->steps) {
        if (p->terminal) draw_steps(p, p->start + seconds, text ? text : "", true);
        else print_steps(p, p->start + seconds, text ? text : "");
        return seconds;
    }
    char rate[64], line[512];
    print_rate(p, seconds, rate, sizeof rate);
    const int n = snprintf(line, sizeof line, "%s  %.1f s  %s  %s", p->label, seconds, rate, text ? text : "");
    if (p->terminal) fprintf(p->out, "\r%-*s\n", p->width > n ? p->width : n, line);
    else fprintf(p->out, "%s\n", line);
    fflush(p->out);
    return seconds;
}
