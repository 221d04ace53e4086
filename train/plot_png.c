/* train/plot_png.c - plots as PNG, which the program gnuplot draws, where it is installed. */
#include "train/plot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- what gnuplot is told --------------------------------------------------------------------------------------- */

/* In single quotes, within which only these mean anything. */
static void add_quoted(plot_text *t, const char *s)
{
    char c[5];
    plot_add(t, "'");
    while (s && plot_character(&s, c)) plot_add(t, "%s%s", c, *c == '\'' ? "'" : "");
    plot_add(t, "'");
}

static void add_number(plot_text *t, double v, const char *more)
{
    char number[40];
    plot_format(number, sizeof number, "%.9g", v);
    plot_add(t, "%s%s", number, more);
}

static void add_setting(plot_text *t, const char *what, const char *s)
{
    plot_add(t, "set %s ", what);
    add_quoted(t, s);
    plot_add(t, " noenhanced\n");
}

static double value_at(const plot_axis *a, double u)
{
    return a->log ? exp(log(a->low) + u * (log(a->high) - log(a->low))) : a->low + u * (a->high - a->low);
}

static void add_axis(plot_text *t, char name, const plot_axis *a)
{
    plot_add(t, "%s logscale %c\nset %crange [", a->log ? "set" : "unset", name, name);
    add_number(t, a->low, ":");
    add_number(t, a->high, "]\nset ");
    plot_add(t, "%ctics (", name);
    for (int k = 0; k < a->ticks; k++) {
        plot_add(t, "%s'%s' ", k ? ", " : "", a->label[k]);
        add_number(t, value_at(a, a->tick[k]), "");
    }
    plot_add(t, ")\n");
}

/* Two columns; a gap is an empty line. A point between two gaps is a line as long as it is thick. */
static void add_series(plot_text *t, const tl_series *s, int k, const plot_axis *x, const plot_axis *y)
{
    double u, v;
    bool before = false, there = s->n && plot_point(s, 0, x, y, &u, &v);
    plot_add(t, "$s%d << EOD\n", k);
    for (int64_t i = 0; i < s->n && !t->failed; i++) {
        const double at = u, height = v;
        const bool after = i + 1 < s->n && plot_point(s, i + 1, x, y, &u, &v);
        for (int copy = 0; there && copy < (before || after ? 1 : 2); copy++) {
            add_number(t, value_at(x, at + 0.005 * copy), " ");
            add_number(t, value_at(y, height), "\n");
        }
        if (!there) plot_add(t, "\n");
        before = there;
        there = after;
    }
    plot_add(t, "EOD\n");
}

static void add_plot(plot_text *t, const tl_plot *p)
{
    plot_axis x, y;
    plot_axes(p, &x, &y, 5, 5);
    add_setting(t, "title", p->title);
    add_setting(t, "xlabel", p->x_label);
    add_setting(t, "ylabel", p->y_label);
    add_axis(t, 'x', &x);
    add_axis(t, 'y', &y);
    for (int k = 0; k < p->n_series; k++) add_series(t, &p->series[k], k, &x, &y);
    plot_add(t, "plot NaN notitle");
    for (int k = 0; k < p->n_series; k++) {
        const plot_style style = plot_style_of(k);
        plot_add(t, ", $s%d using 1:2 with lines lw 2 dt %s lc rgb '%s' ", k, style.dash_type, style.colour);
        if (!p->series[k].name) plot_add(t, "notitle");
        else plot_add(t, "title "), add_quoted(t, p->series[k].name), plot_add(t, " noenhanced");
    }
    plot_add(t, "\n");
}

static plot_text script_for(const tl_plot *plots, int n, const char *picture)
{
    plot_text t = { 0 };
    const int columns = n > 1 ? 2 : 1, rows = (n + columns - 1) / columns;
    plot_add(&t,
             "set encoding utf8\npng = strstrt(GPVAL_TERMINALS, 'pngcairo') ? 'pngcairo' : 'png'\n"
             "set terminal @png size %d,%d\nset output ",
             520 * columns, 360 * rows);
    add_quoted(&t, picture);
    plot_add(&t, "\nset grid\nset key tmargin center horizontal\nset multiplot layout %d,%d\n", rows, columns);
    for (int k = 0; k < n; k++) add_plot(&t, &plots[k]);
    plot_add(&t, "unset multiplot\n");
    return t;
}

/* ---- running it ------------------------------------------------------------------------------------------------- */

/* Runs gnuplot on a script, silently. */
static tl_status run_gnuplot(char *script)
{
    static char name[] = "gnuplot";
    char *const argv[] = { name, script, NULL };
    posix_spawn_file_actions_t silent;
    pid_t child;
    int state = 0;
    if (posix_spawn_file_actions_init(&silent)) return tl_report(TL_E_MEMORY, "gnuplot: out of memory");
    int error = posix_spawn_file_actions_addopen(&silent, 0, "/dev/null", O_RDONLY, 0);
    if (!error) error = posix_spawn_file_actions_addopen(&silent, 1, "/dev/null", O_WRONLY, 0);
    if (!error) error = posix_spawn_file_actions_addopen(&silent, 2, "/dev/null", O_WRONLY, 0);
    if (!error) error = posix_spawnp(&child, name, &silent, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&silent);
    if (error && error != ENOENT) return tl_report(TL_E_FILE, "gnuplot: %s", strerror(error));
    while (!error && waitpid(child, &state, 0) < 0 && errno == EINTR) continue;
    /* POSIX lets posix_spawnp() say so by either way. */
    if (error || (WIFEXITED(state) && WEXITSTATUS(state) == 127))
        return tl_report(TL_E_FILE, "gnuplot is not installed, and draws pictures that are no .svg");
    return state ? tl_report(TL_E_FILE, "gnuplot has failed") : TL_OK;
}

static tl_status copy_picture(const char *from, const char *path)
{
    tl_bytes b;
    tl_status status = tl_file_read(from, &b);
    if (status) return status;
    if (b.size < 8 || memcmp(b.data, "\x89PNG\r\n\x1A\n", 8))
        status = tl_report(TL_E_FILE, "gnuplot has drawn nothing");
    else status = tl_file_write(path, b.data, b.size);
    tl_bytes_free(&b);
    return status;
}

tl_status plot_png(const tl_plot *plots, int n, const char *path)
{
    const char *tmp = getenv("TMPDIR");
    char dir[PATH_MAX / 2], script[PATH_MAX], picture[PATH_MAX];
    const int length = snprintf(dir, sizeof dir, "%s/tapeloop.XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (length < 0 || (size_t)length >= sizeof dir || !mkdtemp(dir))
        return tl_report(TL_E_FILE, "%s: %s", dir, strerror(errno));
    snprintf(script, sizeof script, "%s/script", dir);
    snprintf(picture, sizeof picture, "%s/picture", dir);
    plot_text t = script_for(plots, n, picture);
    tl_status status = t.failed ? tl_report(TL_E_MEMORY, "%s: out of memory", path) : TL_OK;
    if (!status) status = tl_file_write(script, t.bytes.data, t.bytes.size);
    if (!status) status = run_gnuplot(script);
    if (!status) status = copy_picture(picture, path);
    tl_bytes_free(&t.bytes);
    unlink(script);
    unlink(picture);
    rmdir(dir);
    return status;
}
