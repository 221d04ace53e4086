/* train/progress.c - one line that shows how far an epoch has come. */
#include "train/terminal.h"
#include "train/train.h"

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

void tl_progress_show(tl_progress *p, int64_t done, const char *text)
{
    p->done = done < p->total ? done : p->total;
    if (!p->out) return;
    const double time = now();
    if (p->terminal) {
        if (1000 * (time - p->shown) < REDRAW_MS) return;
        draw(p, time, text ? text : "");
    } else {
        const int tenths = (int)(10 * p->done / p->total);
        if (tenths == p->tenths || tenths == 10 || time - p->shown < PLAIN_SECONDS) return;
        char rate[64];
        print_rate(p, time - p->start, rate, sizeof rate);
        fprintf(p->out, "%s  %3d %%  %s  %s\n", p->label, 10 * tenths, rate, text ? text : "");
        fflush(p->out);
        p->tenths = tenths;
    }
    p->shown = time;
}

double tl_progress_end(tl_progress *p, const char *text)
{
    const double seconds = now() - p->start;
    if (!p->out) return seconds;
    char rate[64], line[512];
    print_rate(p, seconds, rate, sizeof rate);
    const int n = snprintf(line, sizeof line, "%s  %.1f s  %s  %s", p->label, seconds, rate, text ? text : "");
    if (p->terminal) fprintf(p->out, "\r%-*s\n", p->width > n ? p->width : n, line);
    else fprintf(p->out, "%s\n", line);
    fflush(p->out);
    return seconds;
}
