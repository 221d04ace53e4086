/* examples/topology_tasks.h - the five tasks of topologies.c: samples made at random, and how they are shown. */
#ifndef TOPOLOGY_TASKS_H
#define TOPOLOGY_TASKS_H

#include "tapeloop.h"

enum { BATCH = 50, SEGMENTS = 7, DIGITS = 10, WORDS = 5, ROMANS = 1 + 5, LONGEST = 16 };
enum { END, START, SYMBOLS, LETTERS = SYMBOLS + 26, NUMERALS = SYMBOLS + 10 }; /* ids of what is spelled */

typedef struct task {
    const char *title;
    int n; /* inputs; the last are the targets: one class a row, or one a step and row */
    tl_array in[3];
    bool speaks;                                                          /* in[0] are the symbols before the targets */
    const char *symbols;                                                  /* how each target is printed */
    void (*sample)(const tl_array *in, int b, tl_random *r, bool unseen); /* writes row b of inputs and targets */
    void (*show)(const tl_array *in, int b);                              /* prints its inputs */
} task;

/* The digit that a noisy display shows; the name of a digit; is it praise?; a Roman number in digits; a sum of two numbers
 * in binary. */
extern task display, name_of_digit, review, roman, binary_sum;

/* Fills a batch, after making the arrays if there are none: of what to learn from, or of what was never learned from. */
void task_fill(task *t, tl_random *r, bool unseen);
void task_free(task *t);

/* The steps of the targets; 1 if they are classes. */
int task_steps(const task *t);

/* Prints row b and what was answered, [steps, B]. Is that right, from end to end? */
bool task_right(const task *t, const int32_t *answer, int b);
void task_show(const task *t, const int32_t *answer, int b);

#endif
