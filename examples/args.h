/* examples/args.h - what the example programs share: options of the command line, and a file of final figures. */
#ifndef ARGS_H
#define ARGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tapeloop.h"

/* One option, --name VALUE. value points to an int64_t, a double or a const char * that holds the default; of a flag, which
 * has no VALUE, to a bool. An ARG_OUTPUT is a file that can be written, or made where it is to be. */
typedef struct arg {
    const char *name;
    enum { ARG_FLAG, ARG_INT, ARG_NUMBER, ARG_TEXT, ARG_FILE, ARG_OUTPUT } kind;
    void *value;
    const char *help;
    double min, max;     /* of numbers; both 0: any */
    const char *choices; /* of texts: "rnn|lstm|gru"; NULL: any */
} arg;

/* Reads the command line into the table's values. Beside the table it knows --help (prints `about` and the options;
 * exit status 0), --seed N, --json FILE, --explain and --plan FILE. What does not fit ends the program with a sentence and
 * exit status 2. */
void args_read(int argc, char **argv, const char *about, const arg *table, int n);

/* Rows for the tables of programs that draw curves, save their network and load it: { ARGS_SAVE("write ...") }. help says
 * what this program does: whether it goes on with a loaded network, or only uses it. */
#define ARGS_PLOT "plot", ARG_OUTPUT, &args_plot, "draw the curves there, as .svg or (with gnuplot) .png", 0, 0, NULL
#define ARGS_SAVE(help) "save", ARG_OUTPUT, &args_save, help, 0, 0, NULL
#define ARGS_LOAD(help) "load", ARG_FILE, &args_load, help, 0, 0, NULL
extern const char *args_plot, *args_save, *args_load; /* NULL unless given */

/* From --seed (default 1). */
uint64_t args_seed(void);

/* For a trainer's .explain: stdout with --explain, else NULL. */
FILE *args_explain(void);

/* With --plan FILE, draws there the plan that the trainer ran last (of a training step, if there was one): as DOT, or as SVG,
 * by Graphviz, if the name ends in .svg. */
void args_plan(tl_trainer *trainer);

/* With --plot FILE, draws there how n fits went: a panel for each number that the first one's history tells of, with a line
 * for each. names NULL: a single fit, beside its validation. */
void args_draw(int n, const char *const *names, tl_history *const *runs);

/* Prints ids as NumPy prints a matrix: each row begins `stride` ids after the one before. */
void print_rows(const char *title, const int32_t *ids, int64_t rows, int64_t stride, int64_t columns);

/* Ends the program with "program: sentence" on stderr. Exit status 2 for what the user gave, 1 for the rest. */
_Noreturn void args_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Nothing if all went well; else args_fail() with tl_message(): status 2 for files, 1 for the rest. */
void must(tl_status status);

/* A final figure under a plain name; names and texts are not copied. The file of --json, if asked for, is opened when
 * the options are read, and written by figures_write(): {"loss": 1.23, "cell": "lstm"}; a NaN becomes null. */
void figure(const char *name, double value);
void figure_text(const char *name, const char *text);
void figures_write(void);

#endif
