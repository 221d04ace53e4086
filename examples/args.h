/* examples/args.h - what the example programs share: options of the command line, and a file of final figures. */
#ifndef ARGS_H
#define ARGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tapeloop.h"

/* One option, --name VALUE. value points to an int64_t, a double or a const char * that holds the default; of a flag, which
 * has no VALUE, to a bool. */
typedef struct arg {
    const char *name;
    enum { ARG_FLAG, ARG_INT, ARG_NUMBER, ARG_TEXT, ARG_FILE } kind;
    void *value;
    const char *help;
    double min, max;     /* of numbers; both 0: any */
    const char *choices; /* of texts: "rnn|lstm|gru"; NULL: any */
} arg;

/* Reads the command line into the table's values. Beside the table it knows --help (prints `about` and the options;
 * exit status 0), --seed N, --json FILE, --explain and --plan FILE. What does not fit ends the program with a sentence and
 * exit status 2. */
void args_read(int argc, char **argv, const char *about, const arg *table, int n);

/* From --seed (default 1). */
uint64_t args_seed(void);

/* For a trainer's .explain: stdout with --explain, else NULL. */
FILE *args_explain(void);

/* With --plan FILE, draws there the plan that the trainer ran last (of a training step, if there was one): as DOT, or as SVG,
 * by Graphviz, if the name ends in .svg. */
void args_plan(tl_trainer *trainer);

/* Ends the program with "program: sentence" on stderr. Exit status 2 for what the user gave, 1 for the rest. */
_Noreturn void args_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A final figure under a plain name; names and texts are not copied. The file of --json, if asked for, is opened when
 * the options are read, and written by figures_write(): {"loss": 1.23, "cell": "lstm"}; a NaN becomes null. */
void figure(const char *name, double value);
void figure_text(const char *name, const char *text);
void figures_write(void);

#endif
