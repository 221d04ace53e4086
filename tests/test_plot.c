/* tests/test_plot.c - plots: axes, SVG, text, PNG by way of gnuplot, what is refused, memory that fails. */
#include "support.h"

#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>

#include "train/plot.h"

#define GOOD(call) cr_assert_eq((call), TL_OK, "%s", tl_message())
#define BAD(call, status, says)                                                                                        \
    do {                                                                                                               \
        const tl_status got_ = (call);                                                                                 \
        cr_assert(got_ == (status), "%s is %s (%s)", #call, tl_status_name(got_), tl_message());                       \
        cr_has(tl_message(), says);                                                                                    \
    } while (0)

#define SERIES(...) ((tl_series){ NULL, NULL, (double[]){ __VA_ARGS__ }, COUNT(((double[]){ __VA_ARGS__ })) })

static tl_plot plot_of(const tl_series *s, int n) { return (tl_plot){ .series = s, .n_series = n }; }

/* ---- axes ------------------------------------------------------------------------------------------------------- */

/* All labels of an axis in a row. */
static const char *labels(const plot_axis *a)
{
    static char text[512];
    *text = 0;
    for (int k = 0; k < a->ticks; k++) snprintf(text + strlen(text), sizeof text - strlen(text), "%s ", a->label[k]);
    return text;
}

static const char *ticks_of(double low, double high, bool log)
{
    static plot_axis x, y;
    const tl_series s = { NULL, NULL, (double[]){ low, high }, 2 };
    const tl_plot p = { .series = &s, .n_series = 1, .log_y = log };
    plot_axes(&p, &x, &y, 5, 5);
    for (int k = 0; k < y.ticks; k++) {
        const double at = log ? y.low * pow(y.high / y.low, y.tick[k]) : y.low + y.tick[k] * (y.high - y.low);
        const double said = strtod(y.label[k], NULL), span = y.high - y.low;
        cr_assert(fabs(at - said) <= 1e-9 * fmax(span, log ? said : 0) && (!k || y.tick[k] > y.tick[k - 1]), "%s at %g",
                  y.label[k], at);
    }
    return labels(&y);
}

Test(axes, have_round_numbers)
{
    static const struct {
        double low, high;
        bool log;
        const char *labels;
    } want[] = {
        { 0, 1, false, "0.0 0.2 0.4 0.6 0.8 1.0 " },
        { 0.1, 2.4, false, "0.0 0.5 1.0 1.5 2.0 2.5 " },
        { -3, 3, false, "-3 -2 -1 0 1 2 3 " },
        { 0.0123, 0.0127, false, "0.0123 0.0124 0.0125 0.0126 0.0127 " },
        { 120, 47e3, false, "0 10000 20000 30000 40000 " },
        { -4e6, 8e6, false, "-4e6 -2e6 0 2e6 4e6 6e6 8e6 " },
        { 3e-7, 5e-7, false, "3.0e-7 3.5e-7 4.0e-7 4.5e-7 5.0e-7 " },
        { 7, 7, false, "6.4 6.6 6.8 7.0 7.2 7.4 7.6 " },
        { 0, 0, false, "-0.4 -0.2 0.0 0.2 0.4 " },
        { 1e9, 1e9 + 1e-3, false, "9.00e8 9.50e8 1.00e9 1.05e9 1.10e9 " },
        { -1e300, 1e300, false, "-1.0e300 -5.0e299 0 5.0e299 1.0e300 " },
        { 1, 1000, true, "1 10 100 1000 " },
        { 1e-30, 1, true, "1e-30 1e-20 1e-10 1 " },
        { 0.3, 4, true, "0.5 1 2 " },
        { 3.1, 3.3, true, "3.10 3.15 3.20 3.25 3.30 " },
        { 5, 5, true, "5 10 " },
        { NAN, NAN, false, "0.0 0.2 0.4 0.6 0.8 1.0 " },
        { -1, 0, true, "1 2 5 10 " },
    };
    for (int k = 0; k < COUNT(want); k++)
        cr_expect_str_eq(ticks_of(want[k].low, want[k].high, want[k].log), want[k].labels, "%g to %g: %s", want[k].low,
                         want[k].high, ticks_of(want[k].low, want[k].high, want[k].log));
}

Test(axes, count_whole_numbers_in_whole_steps)
{
    plot_axis x, y;
    const tl_series s = SERIES(1, 2, 3);
    const tl_plot p = plot_of(&s, 1);
    plot_axes(&p, &x, &y, 5, 5);
    cr_assert_str_eq(labels(&x), "1 2 3 ");
}

/* Whatever the numbers: few ticks, in order, all on the axis. */
Test(axes, are_sound_for_any_numbers)
{
    uint64_t state = 7;
    for (int k = 0; k < 20000; k++) {
        plot_axis x, y;
        const double low = noise(&state) * pow(10, 300 * noise(&state)), high = low + pow(10, 300 * noise(&state));
        const tl_series s = { NULL, (double[]){ low, high }, (double[]){ high, low }, 2 };
        tl_plot p = plot_of(&s, 1);
        p.log_x = k % 2;
        plot_axes(&p, &x, &y, 5, 5);
        const plot_axis *both[] = { &x, &y };
        for (int a = 0; a < 2; a++) {
            cr_assert(both[a]->ticks >= 1 && both[a]->high > both[a]->low, "%g %g", low, high);
            for (int i = 0; i < both[a]->ticks; i++)
                cr_assert(both[a]->tick[i] >= -1e-9 && both[a]->tick[i] <= 1 + 1e-9 &&
                              (!i || both[a]->tick[i] > both[a]->tick[i - 1]) && strlen(both[a]->label[i]) < 15,
                          "%s of %g to %g", both[a]->label[i], low, high);
        }
    }
}

/* ---- SVG -------------------------------------------------------------------------------------------------------- */

/* Well-formed as far as it is used here: elements nest, attributes are quoted, entities are the five of XML. */
static void well_formed(const char *s)
{
    char open[32][16];
    int depth = 0;
    for (; *s; s++) {
        if (*s == '&')
            cr_assert(!strncmp(s, "&amp;", 5) || !strncmp(s, "&lt;", 4) || !strncmp(s, "&gt;", 4) ||
                          !strncmp(s, "&quot;", 6) || !strncmp(s, "&apos;", 6),
                      "%.20s", s);
        cr_assert(*s != '>' && ((unsigned char)*s >= ' ' || *s == '\n'));
        if (*s != '<') continue;
        const bool closes = s[1] == '/';
        const size_t n = strspn(s += 1 + closes, "abcdefghijklmnopqrstuvwxyz");
        cr_assert(n && n < sizeof open[0]);
        if (closes) cr_assert(depth && !strncmp(open[--depth], s, n) && s[n] == '>', "%.20s", s);
        else snprintf(open[depth++], sizeof open[0], "%.*s", (int)n, s);
        bool quoted = false;
        for (; quoted || *s != '>'; s++) {
            cr_assert(*s && !(quoted && *s == '<'));
            quoted ^= *s == '"';
        }
        if (s[-1] == '/') depth--;
    }
    cr_assert_eq(depth, 0);
}

static tl_bytes svg_of(const tl_plot *p, int n)
{
    tl_bytes b;
    GOOD(tl_plot_svg(p, n, &b));
    cr_assert(strlen(b.data) == b.size && b.size < b.room);
    well_formed(b.data);
    return b;
}

/* The path of series k of the first panel, those of the legend left out. */
static const char *path_of(const tl_bytes *b, int k)
{
    const char *at = b->data;
    for (int i = 0; i <= k; i++) {
        at = strstr(at, "stroke-linecap");
        cr_assert(at);
        at = strstr(at, " d=\"") + 4;
    }
    return at;
}

static int count(const char *path, char c)
{
    int n = 0;
    for (; *path != '"'; path++) n += *path == c;
    return n;
}

Test(svg, goes_through_its_points)
{
    const tl_series s = SERIES(0, 1, 0.5);
    const tl_plot p = plot_of(&s, 1);
    tl_bytes b = svg_of(&p, 1);
    /* x from 0.96 to 3.04 over 432 pixels from 66 on, y from -0.05 to 1.05 over 240 from 34 on */
    cr_assert(!strncmp(path_of(&b, 0), "M74.3 263.1L282.0 44.9L489.7 154.0\"", 35), "%.60s", path_of(&b, 0));
    tl_bytes_free(&b);
}

Test(svg, has_gaps_and_dots)
{
    const tl_series s[] = { SERIES(1, 2, NAN, 4, 5, 6), SERIES(NAN, 3, INFINITY, 4, NAN),
                            SERIES(NAN, NAN),           SERIES(1, 1e301, 3),
                            SERIES(1, -1, 2),           { 0 } };
    tl_plot p = plot_of(s, 6);
    tl_bytes b = svg_of(&p, 1);
    static const int moves[] = { 2, 2, 0, 2, 1, 0 }, lines[] = { 3, 0, 0, 0, 2, 0 }, dots[] = { 0, 2, 0, 2, 0, 0 };
    for (int k = 0; k < 6; k++) {
        const char *d = path_of(&b, k);
        cr_assert(count(d, 'M') == moves[k] && count(d, 'L') == lines[k] && count(d, 'h') == dots[k],
                  "series %d: %.80s", k, d);
    }
    tl_bytes_free(&b);
    p.log_y = true;
    b = svg_of(&p, 1);
    cr_assert_eq(count(path_of(&b, 4), 'M'), 2); /* -1 has no logarithm */
    tl_bytes_free(&b);
}

/* Of a column of pixels all that is seen is where it begins, the lowest, the highest and the last point. */
Test(svg, of_many_points_is_small_and_keeps_the_extremes)
{
    enum { N = 300000 };
    double *y = malloc(N * sizeof *y);
    for (int i = 0; i < N; i++) y[i] = sin(i * 0.001);
    y[123456] = 5, y[200000] = -5; /* seen in spite of their 600 neighbours in the column */
    const tl_series s = { "y", NULL, y, N };
    const tl_plot p = plot_of(&s, 1);
    tl_bytes b = svg_of(&p, 1);
    cr_assert(b.size < 60000);
    const char *path = path_of(&b, 0);
    double highest = 1000, lowest = 0;
    for (const char *at = path; *at != '"'; at++)
        if (*at == 'L') {
            const double v = strtod(strchr(at, ' '), NULL);
            highest = fmin(highest, v), lowest = fmax(lowest, v);
        }
    const double edge = 240 * 0.05 / 1.1; /* of the axis, which begins at 52, below a legend */
    cr_assert(fabs(highest - (52 + edge)) < 0.2 && fabs(lowest - (52 + 240 - edge)) < 0.2, "%g, %g", highest, lowest);
    tl_bytes_free(&b);
    free(y);
}

Test(svg, escapes_and_mends_texts)
{
    const tl_series s = { "<a> & \"b\" 'c'", NULL, (double[]){ 1, 2 }, 2 };
    const tl_plot p = {
        .title = "\xFF\x01 \xC3\xA9\n\xED\xA0\x80 \xC0\xAF \xEF\xBF\xBF \xF4\x90\x80\x80 \xE2\x82 \xE0\x83\xA9",
        .x_label = "",
        .series = &s,
        .n_series = 1
    };
    tl_bytes b = svg_of(&p, 1);
#define LOST "\xEF\xBF\xBD"
    cr_has(b.data, ">&lt;a&gt; &amp; &quot;b&quot; &apos;c&apos;</text>");
    cr_has(b.data, ">" LOST LOST " \xC3\xA9" LOST LOST LOST LOST " " LOST LOST " " LOST LOST LOST
                   " " LOST LOST LOST LOST " " LOST LOST " " LOST LOST LOST "</text>");
    tl_bytes_free(&b);
    char name[200];
    memset(name, 'n', sizeof name);
    name[199] = 0;
    const tl_series long_one = { name, NULL, (double[]){ 1, 2 }, 2 };
    const tl_plot q = plot_of(&long_one, 1);
    b = svg_of(&q, 1);
    cr_has(b.data, "nnn\xE2\x80\xA6</text>");
    cr_lacks(b.data, "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn");
    tl_bytes_free(&b);
}

Test(svg, has_panels_and_styles)
{
    const double y[] = { 1, 2 };
    tl_series s[30];
    for (int k = 0; k < 30; k++) s[k] = (tl_series){ "a series", NULL, y, 2 };
    const tl_plot p[3] = { { .title = "one", .series = s, .n_series = 30 }, { .title = "two" }, { .title = "three" } };
    tl_bytes b = svg_of(p, 3);
    cr_has(b.data, "width=\"1040\"");
    cr_has(b.data, ">three</text>");
    char seen[8][128];
    for (int k = 0; k < 8; k++) { /* eight series: eight pairs of colour and dashes */
        const char *at = path_of(&b, k), *from = at;
        while (strncmp(from, "stroke=", 7)) from--;
        snprintf(seen[k], sizeof seen[k], "%.*s", (int)(at - from), from);
        for (int i = 0; i < k; i++) cr_assert_str_neq(seen[i], seen[k]);
    }
    tl_bytes_free(&b);
    if (system("command -v xmllint >/dev/null")) return;
    GOOD(tl_plot_write(p, 3, "/tmp/test_plot.svg"));
    cr_assert_eq(system("xmllint --noout /tmp/test_plot.svg"), 0);
    unlink("/tmp/test_plot.svg");
}

/* Where decimals have a comma, pictures still have points. */
Test(svg, is_the_same_in_every_locale)
{
    const tl_series s = SERIES(0.25, 0.5, 0.125);
    const tl_plot p = plot_of(&s, 1);
    tl_bytes a = svg_of(&p, 1);
    static const char *const comma[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE" };
    bool found = false;
    for (int k = 0; k < COUNT(comma) && !found; k++) found = setlocale(LC_ALL, comma[k]);
    if (!found) puts("# not tested: no locale with a decimal comma is installed");
    tl_bytes b = svg_of(&p, 1);
    cr_assert_str_eq(a.data, b.data);
    tl_bytes_free(&a);
    tl_bytes_free(&b);
    char text[32];
    plot_format(text, sizeof text, "%s", "1,5"); /* what printf gives there */
    cr_assert_str_eq(text, "1.5");
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

static char *printed(const tl_plot *p, int n, tl_plot_print_opts o)
{
    static char text[1 << 16];
    FILE *f = fmemopen(text, sizeof text, "w");
    GOOD(tl_plot_print_opt(p, n, f, &o));
    fclose(f);
    return text;
}

Test(print, draws_lines)
{
    const tl_series s[] = { { "up", NULL, (double[]){ 0, 1, 2 }, 3 }, { "gap", NULL, (double[]){ 2, NAN, 2 }, 3 } };
    tl_plot p = { .title = "title", .x_label = "x", .y_label = "y", .series = s, .n_series = 2 };
    cr_assert_str_eq(printed(&p, 1, (tl_plot_print_opts){ .width = 30, .height = 6, .ascii = true }),
                     "            title\n"
                     "y\n"
                     "2.0+o                      ***\n"
                     "1.5+                   ****\n"
                     "1.0+               ****\n"
                     "   |          *****\n"
                     "0.5+    ******\n"
                     "0.0+****\n"
                     "   ++------------+-----------+\n"
                     "    1            2           3\n"
                     "              x\n"
                     "    * up  o gap\n");
}

static int characters(const char *line)
{
    int n = 0;
    for (; *line && *line != '\n'; line++) n += (*line & 0xC0) != 0x80;
    return n;
}

Test(print, keeps_to_its_width)
{
    static const char title[] =
        "A-title-that-is-longer-than-any-line-may-be:-\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9";
    double y[100];
    for (int i = 0; i < 100; i++) y[i] = 1e7 * sin(i);
    const tl_series s[] = { { "first series", NULL, y, 100 },
                            { "second series", NULL, y + 1, 99 },
                            { title, y, y, 100 } };
    for (int n = 0; n <= 3; n++)
        for (int width = 30; width < 200; width += 7)
            for (int ascii = 0; ascii < 2; ascii++) {
                const tl_plot p = { .title = title, .x_label = title, .y_label = title, .series = s, .n_series = n };
                const char *text = printed(&p, 1, (tl_plot_print_opts){ .width = width, .height = 9, .ascii = ascii });
                int rows = 0;
                for (const char *line = text; *line; line = strchr(line, '\n') + 1, rows++) {
                    cr_assert(characters(line) <= width, "%d of %d: %s", characters(line), width, line);
                    const char *end = strchr(line, '\n');
                    cr_assert(end && (end == line || end[-1] != ' '), "%s", line);
                }
                cr_assert(rows >= 9 + 5);
                for (const char *c = text; ascii && *c; c++) cr_assert((unsigned char)*c < 128);
            }
}

/* Numbers that have no room are left out, not cut. */
Test(print, has_whole_numbers_below)
{
    const tl_series s = { NULL, (double[]){ -1.23451e-300, -1.23459e-300 }, (double[]){ 1, 2 }, 2 };
    const tl_plot p = plot_of(&s, 1);
    char *last = strrchr(strtok(printed(&p, 1, (tl_plot_print_opts){ .width = 42, .height = 3 }), ""), '-'), *end;
    while (last[-1] != '\n') last--;
    int n = 0;
    for (char *label = strtok(last, " \n"); label; label = strtok(NULL, " \n"), n++) {
        const double v = strtod(label, &end);
        cr_assert(!*end && v < -1.2345e-300 && v > -1.2346e-300, "%s", label);
    }
    cr_assert(n);
}

Test(print, takes_braille_where_it_can_be_read)
{
    const tl_series s = SERIES(0, 1, 2, 3);
    const tl_plot p = plot_of(&s, 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    const char *text = printed(&p, 1, (tl_plot_print_opts){ .width = 34, .height = 3 });
    cr_assert_str_eq(text, " │                      ⢀⣀⣀⠤⠤⠔⠒⠒⠉⠁\n"
                           "2┤         ⢀⣀⣀⡠⠤⠤⠤⠒⠒⠒⠊⠉⠉⠁\n"
                           "0┤⢀⣀⠤⠤⠔⠒⠒⠉⠉⠁\n"
                           " └───────────┬──────────────────┬─\n"
                           "             2                  4\n");
    setenv("LC_ALL", "C", 1);
    cr_has(printed(&p, 1, (tl_plot_print_opts){ .width = 30, .height = 3 }), "*");
    setenv("LC_ALL", "", 1), setenv("LC_CTYPE", "", 1), setenv("LANG", "en_GB.utf8", 1);
    cr_lacks(printed(&p, 1, (tl_plot_print_opts){ .width = 30, .height = 3 }), "*");
}

/* ---- files and gnuplot ------------------------------------------------------------------------------------------ */

static char dir[64];

static void enter(const char *gnuplot)
{
    char path[256];
    strcpy(dir, "/tmp/test_plot.XXXXXX");
    cr_assert(mkdtemp(dir) && !chdir(dir) && !mkdir("bin", 0777) && !mkdir("tmp", 0777));
    snprintf(path, sizeof path, "%s/tmp", dir);
    setenv("TMPDIR", path, 1);
    if (gnuplot) {
        FILE *f = fopen("bin/gnuplot", "w");
        fprintf(f, "#!/bin/sh\nPATH=/usr/bin:/bin\n%s\n", gnuplot);
        cr_assert(!fclose(f) && !chmod("bin/gnuplot", 0755));
    }
    snprintf(path, sizeof path, "%s/bin", dir);
    setenv("PATH", path, 1);
}

/* Nothing of the work is left. */
static void leave(void)
{
    char command[128];
    cr_assert_eq(rmdir("tmp"), 0);
    unsetenv("TMPDIR");
    setenv("PATH", "/usr/bin:/bin", 1);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert(!chdir("/") && !system(command));
    cr_assert(tl_live_bytes() == 0);
}

static const tl_series few = { "it's", NULL, (double[]){ 1, NAN, 3, 4 }, 4 };
static const tl_plot simple = { .title = "it's", .series = &few, .n_series = 1 };

Test(write, goes_by_the_ending)
{
    enter(NULL);
    tl_bytes b, text = svg_of(&simple, 1);
    GOOD(tl_plot_write(&simple, 1, "a.svg"));
    GOOD(tl_file_read("a.svg", &b));
    cr_assert_str_eq(b.data, text.data);
    tl_bytes_free(&b);
    tl_bytes_free(&text);
    BAD(tl_plot_write(&simple, 1, "a.pdf"), TL_E_ARGUMENT, "a.pdf");
    BAD(tl_plot_write(&simple, 1, ".svg"), TL_E_ARGUMENT, ".svg or .png");
    BAD(tl_plot_write(&simple, 1, NULL), TL_E_ARGUMENT, ".svg or .png");
    BAD(tl_plot_write(&simple, 1, "no/where.svg"), TL_E_FILE, "no/");
    BAD(tl_plot_write(&simple, 1, "a.png"), TL_E_FILE, "gnuplot is not installed");
    cr_assert(access("a.png", F_OK));
    leave();
}

/* A gnuplot that keeps its script, and draws the beginning of a PNG. */
#define DRAWS                                                                                                          \
    "cp \"$1\" script; to=$(sed -n \"s/^set output '\\(.*\\)'/\\1/p\" \"$1\")\n"                                       \
    "printf '\\211PNG\\r\\n\\032\\nrest' >\"$to\""

Test(write, lets_gnuplot_draw)
{
    enter(DRAWS);
    tl_bytes b;
    GOOD(tl_plot_write(&simple, 1, "a.png"));
    GOOD(tl_file_read("a.png", &b));
    cr_assert(b.size == 12 && !memcmp(b.data + 8, "rest", 4));
    tl_bytes_free(&b);
    GOOD(tl_file_read("script", &b));
    cr_has(b.data, "set title 'it''s' noenhanced\n");
    cr_has(b.data, "title 'it''s' noenhanced");
    cr_has(b.data, "\n1 1\n"); /* alone, so a short line */
    cr_has(b.data, "\n\n3 3\n4 4\nEOD\n");
    tl_bytes_free(&b);
    leave();
}

Test(write, tells_what_gnuplot_does_not_do)
{
    enter("exit 3");
    BAD(tl_plot_write(&simple, 1, "a.png"), TL_E_FILE, "failed");
    leave();
    enter("exit 0");
    BAD(tl_plot_write(&simple, 1, "a.png"), TL_E_FILE, "picture");
    leave();
    enter("to=$(sed -n \"s/^set output '\\(.*\\)'/\\1/p\" \"$1\"); echo no picture >\"$to\"");
    BAD(tl_plot_write(&simple, 1, "a.png"), TL_E_FILE, "drawn nothing");
    cr_assert(access("a.png", F_OK));
    leave();
    enter("exit 127"); /* as a system says it that has started a process before it looked for the program */
    BAD(tl_plot_write(&simple, 1, "a.png"), TL_E_FILE, "not installed");
    leave();
    enter("kill -9 $$");
    BAD(tl_plot_write(&simple, 1, "a.png"), TL_E_FILE, "failed");
    leave();
    enter(DRAWS);
    setenv("TMPDIR", "/no/such/place", 1);
    BAD(tl_plot_write(&simple, 1, "a.png"), TL_E_FILE, "/no/such/place");
    leave();
}

/* ---- what is refused -------------------------------------------------------------------------------------------- */

Test(plots, that_are_none_are_refused)
{
    tl_bytes b;
    tl_plot p = simple;
    BAD(tl_plot_svg(NULL, 1, &b), TL_E_ARGUMENT, "1 to 64");
    BAD(tl_plot_svg(&p, 0, &b), TL_E_ARGUMENT, "1 to 64");
    BAD(tl_plot_svg(&p, -1, &b), TL_E_ARGUMENT, "1 to 64");
    BAD(tl_plot_svg(&p, 1, NULL), TL_E_ARGUMENT, "a place");
    BAD(tl_plot_print(&p, 1, NULL), TL_E_ARGUMENT, "a file");
    BAD(tl_plot_print(&p, 1, stdout, .width = 29), TL_E_ARGUMENT, "30..500");
    BAD(tl_plot_print(&p, 1, stdout, .width = -1), TL_E_ARGUMENT, "30..500");
    BAD(tl_plot_print(&p, 1, stdout, .height = 501), TL_E_ARGUMENT, "3..500");
    p.n_series = -1;
    BAD(tl_plot_svg(&p, 1, &b), TL_E_ARGUMENT, "plot 0 has no series");
    p = (tl_plot){ .n_series = 1 };
    BAD(tl_plot_write(&p, 1, "a.png"), TL_E_ARGUMENT, "plot 0 has no series");
    tl_series s = { .n = 3 };
    p.series = &s;
    BAD(tl_plot_print(&p, 1, stdout), TL_E_ARGUMENT, "series 0 of plot 0 has no numbers");
    s = (tl_series){ .n = -1, .y = (double[]){ 1 } };
    BAD(tl_plot_print(&p, 1, stdout), TL_E_ARGUMENT, "no numbers");
    FILE *full = fopen("/dev/full", "w");
    if (full) BAD(tl_plot_print(&simple, 1, full, .width = 40), TL_E_FILE, "written");
    if (full) fclose(full);
}

Test(plots, survive_any_allocation_that_fails)
{
    enter(DRAWS);
    uint64_t n = 1;
    for (bool done = false; !done; n++) {
        FILE *null = fopen("/dev/null", "w");
        tl_bytes b = { 0 };
        tl_fail_allocation(n);
        tl_status status = tl_plot_svg(&simple, 1, &b);
        if (!status) status = tl_plot_print(&simple, 1, null, .width = 40);
        if (!status) status = tl_plot_write(&simple, 1, "a.svg");
        if (!status) status = tl_plot_write(&simple, 1, "a.png");
        tl_fail_allocation(0);
        done = !status;
        cr_assert(!status || status == TL_E_MEMORY, "allocation %d: %s", (int)n, tl_message());
        cr_assert(!status || b.data || !b.size);
        tl_bytes_free(&b);
        fclose(null);
        cr_assert(tl_live_bytes() == 0, "allocation %d", (int)n);
    }
    cr_assert(n > 10);
    leave();
}
