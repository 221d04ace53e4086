/* examples/args.c - see args.h. */
#include "args.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_ARGS = 40, MAX_FIGURES = 40 };

static const char *program = "example", *json_path, *plan_path;
static FILE *json;
static int64_t seed = 1;
static bool explain;
const char *args_plot, *args_save, *args_load;

static const arg common[] = {
    { "seed", ARG_INT, &seed, "of initial values and of all that is random", 0, 1e15, NULL },
    { "json", ARG_FILE, &json_path, "write the final figures to this file", 0, 0, NULL },
    { "explain", ARG_FLAG, &explain, "say what the compiler made of the model", 0, 0, NULL },
    { "plan", ARG_OUTPUT, &plan_path, "draw the plan there, as .dot or (with Graphviz) .svg", 0, 0, NULL },
};
enum { COMMON = sizeof common / sizeof *common };

void args_fail(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", program);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(status);
}

void must(tl_status status)
{
    if (status) args_fail(status == TL_E_FILE || status == TL_E_FORMAT ? 2 : 1, "%s", tl_message());
}

uint64_t args_seed(void) { return (uint64_t)seed; }
FILE *args_explain(void) { return explain ? stdout : NULL; }

/* ---- the plan ----------------------------------------------------------------------------------------------- */

static bool ends_in(const char *path, const char *ending)
{
    const size_t n = strlen(path), m = strlen(ending);
    return n >= m && !strcmp(path + n - m, ending);
}

/* Before hours of learning: can the pictures be drawn? */
static void check_pictures(void)
{
    if (plan_path && ends_in(plan_path, ".svg") && system("command -v dot >/dev/null 2>&1"))
        args_fail(2, "--plan %s: Graphviz (its program dot) is not installed; a name that ends in .dot needs none",
                  plan_path);
    if (args_plot && !ends_in(args_plot, ".svg") && !ends_in(args_plot, ".png"))
        args_fail(2, "--plot takes a name that ends in .svg or .png, not '%s'", args_plot);
    if (args_plot && ends_in(args_plot, ".png") && system("command -v gnuplot >/dev/null 2>&1"))
        args_fail(2, "--plot %s: gnuplot is not installed; a name that ends in .svg needs none", args_plot);
}

void args_plan(tl_trainer *trainer)
{
    const tl_plan *plan = NULL;
    if (!plan_path) return;
    for (tl_mode m = TL_TRAIN; m <= TL_PREDICT && !plan; m++) plan = tl_session_plan(tl_trainer_session(trainer, m));
    if (!plan) args_fail(2, "--plan: nothing was run");
    char *text = tl_plan_dot(plan);
    if (!text) args_fail(1, "%s", tl_message());
    const bool svg = ends_in(plan_path, ".svg");
    if (svg) setenv("PLAN_FILE", plan_path, 1); /* where no quotes are needed */
    if (svg) signal(SIGPIPE, SIG_IGN);          /* its end shows in pclose() */
    FILE *f = svg ? popen("dot -Tsvg -o \"$PLAN_FILE\"", "w") : fopen(plan_path, "w");
    if (!f) args_fail(2, "%s: %s", plan_path, strerror(errno));
    bool failed = fputs(text, f) < 0;
    failed |= svg ? pclose(f) != 0 : fclose(f) != 0;
    if (failed) args_fail(1, "%s: %s", plan_path, svg ? "Graphviz failed" : strerror(errno));
    tl_free(text);
}

/* ---- curves and matrices --------------------------------------------------------------------------------------- */

void args_draw(int n, const char *const *names, tl_history *const *runs)
{
    enum { MAX_PANELS = 8, MAX_LINES = 8 };
    tl_plot panels[MAX_PANELS];
    tl_series lines[MAX_PANELS][MAX_LINES];
    int drawn = 0;
    if (!args_plot) return;
    for (int k = 0; k < tl_history_names(runs[0]) && drawn < MAX_PANELS; k++) {
        const char *number = tl_history_name(runs[0], k);
        char validation[80];
        int m = 0;
        if (!strncmp(number, "val_", 4)) continue;
        for (int i = 0; i < n && m < MAX_LINES - 1; i++)
            lines[drawn][m++] = (tl_series){ .name = names ? names[i] : "training",
                                             .y = tl_history_values(runs[i], number),
                                             .n = tl_history_epochs(runs[i]) };
        snprintf(validation, sizeof validation, "val_%s", number);
        const double *y = names ? NULL : tl_history_values(runs[0], validation);
        if (y) lines[drawn][m++] = (tl_series){ .name = "validation", .y = y, .n = tl_history_epochs(runs[0]) };
        panels[drawn] = (tl_plot){ .title = number, .x_label = "epoch", .series = lines[drawn], .n_series = m };
        drawn++;
    }
    must(tl_plot_write(panels, drawn, args_plot));
    printf("%s: the curves\n", args_plot);
}

void print_rows(const char *title, const int32_t *ids, int64_t rows, int64_t stride, int64_t columns)
{
    int width = 1;
    for (int64_t i = 0; i < (rows - 1) * stride + columns; i++) {
        const int digits = snprintf(NULL, 0, "%d", ids[i]);
        if (digits > width) width = digits;
    }
    for (int64_t r = 0; r < rows; r++) {
        printf("%s", r ? " [" : title);
        if (!r) printf("[[");
        for (int64_t c = 0; c < columns; c++) printf("%s%*d", c ? " " : "", width, ids[r * stride + c]);
        printf(r + 1 < rows ? "]\n" : "]]\n");
    }
}

/* ---- options ------------------------------------------------------------------------------------------------ */

static void print_default(const arg *a)
{
    const char *text = a->kind >= ARG_TEXT ? *(const char **)a->value : NULL;
    if (a->kind == ARG_INT) printf(" (default %lld)", (long long)*(int64_t *)a->value);
    if (a->kind == ARG_NUMBER) printf(" (default %g)", *(double *)a->value);
    if (text) printf(" (default %s)", text);
    putchar('\n');
}

static void print_help(const char *about, const arg *const *all, int n)
{
    static const char *const form[] = {
        [ARG_FLAG] = "",     [ARG_INT] = "N",     [ARG_NUMBER] = "X",
        [ARG_TEXT] = "TEXT", [ARG_FILE] = "FILE", [ARG_OUTPUT] = "FILE",
    };
    printf("%s: %s\n\n", program, about);
    for (int i = 0; i < n; i++) {
        const char *value = all[i]->choices ? all[i]->choices : form[all[i]->kind];
        const int width = printf("  --%s %s", all[i]->name, value);
        printf("%*s%s", width < 28 ? 28 - width : 2, "", all[i]->help);
        print_default(all[i]);
    }
    exit(0);
}

static double read_number(const arg *a, const char *text)
{
    char *end;
    errno = 0;
    const double value = a->kind == ARG_INT ? (double)strtoll(text, &end, 10) : strtod(text, &end);
    if (end == text || *end || errno || !isfinite(value))
        args_fail(2, "--%s takes a %s, not '%s'", a->name, a->kind == ARG_INT ? "whole number" : "number", text);
    if ((a->min != 0 || a->max != 0) && !(value >= a->min && value <= a->max))
        args_fail(2, "--%s takes a number from %g to %g, not %s", a->name, a->min, a->max, text);
    return value;
}

static bool is_choice(const char *choices, const char *text)
{
    const size_t n = strlen(text);
    for (const char *c = choices; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL)
        if (n && !strncmp(c, text, n) && (c[n] == '|' || !c[n])) return true;
    return false;
}

/* Before hours of learning: what is no file yet needs a directory to come into; what is saved is renamed to there, so a
 * file that cannot be written to is no obstacle if its directory can. */
static void check_output(const char *path)
{
    char directory[4096];
    struct stat at;
    snprintf(directory, sizeof directory, "%s", path);
    char *slash = strrchr(directory, '/');
    if (slash) slash[slash == directory] = 0;
    if (!stat(path, &at) && S_ISDIR(at.st_mode)) args_fail(2, "%s: %s", path, strerror(EISDIR));
    if (access(path, W_OK) && access(slash ? directory : ".", W_OK)) args_fail(2, "%s: %s", path, strerror(errno));
}

static void set(const arg *a, const char *text)
{
    if (a->kind == ARG_FLAG) {
        *(bool *)a->value = true;
    } else if (a->kind >= ARG_TEXT) {
        if (a->choices && !is_choice(a->choices, text))
            args_fail(2, "--%s is one of %s, not '%s'", a->name, a->choices, text);
        if (a->kind == ARG_OUTPUT) check_output(text);
        *(const char **)a->value = text;
    } else if (a->kind == ARG_NUMBER) {
        *(double *)a->value = read_number(a, text);
    } else {
        *(int64_t *)a->value = (int64_t)read_number(a, text);
    }
}

void args_read(int argc, char **argv, const char *about, const arg *table, int n)
{
    const arg *all[MAX_ARGS];
    struct option options[MAX_ARGS + 2] = { { "help", no_argument, NULL, 'h' } };
    if (n + COMMON > MAX_ARGS) args_fail(1, "too many options");
    for (int i = 0; i < n + COMMON; i++) {
        all[i] = i < n ? &table[i] : &common[i - n];
        options[i + 1] = (struct option){ all[i]->name, all[i]->kind == ARG_FLAG ? no_argument : required_argument,
                                          NULL, 0 };
    }
    program = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    for (int which, c; (c = getopt_long(argc, argv, "h", options, &which)) >= 0;) {
        if (c == 'h') print_help(about, all, n + COMMON);
        if (c) args_fail(2, "try --help");
        set(all[which - 1], optarg);
    }
    if (optind < argc) args_fail(2, "'%s' is not an option; try --help", argv[optind]);
    check_pictures();
    json = json_path ? fopen(json_path, "w") : NULL;
    if (json_path && !json) args_fail(2, "%s: %s", json_path, strerror(errno));
}

/* ---- figures ------------------------------------------------------------------------------------------------ */

static struct {
    const char *name, *text;
    double value;
} figures[MAX_FIGURES];
static int n_figures;

void figure(const char *name, double value)
{
    if (n_figures == MAX_FIGURES) args_fail(1, "too many figures");
    figures[n_figures].name = name;
    figures[n_figures].text = NULL;
    figures[n_figures++].value = value;
}

void figure_text(const char *name, const char *text)
{
    figure(name, 0);
    figures[n_figures - 1].text = text;
}

static void write_text(const char *s)
{
    fputc('"', json);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') fprintf(json, "\\%c", *s);
        else if ((unsigned char)*s < 0x20) fprintf(json, "\\u%04x", (unsigned)*s);
        else fputc(*s, json);
    }
    fputc('"', json);
}

void figures_write(void)
{
    if (!json) return;
    for (int i = 0; i < n_figures; i++) {
        fprintf(json, i ? ",\n  \"%s\": " : "{\n  \"%s\": ", figures[i].name);
        if (figures[i].text) write_text(figures[i].text);
        else if (isfinite(figures[i].value)) fprintf(json, "%.10g", figures[i].value);
        else fprintf(json, "null");
    }
    const bool failed = fprintf(json, n_figures ? "\n}\n" : "{}\n") < 0 || ferror(json);
    if (fclose(json) || failed) args_fail(1, "%s: %s", json_path, strerror(errno));
    json = NULL;
}
