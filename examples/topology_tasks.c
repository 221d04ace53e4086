/* examples/topology_tasks.c - see topology_tasks.h. */
#include "topology_tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"

enum { SPELLED = 6, SENTENCE = 6, ROMAN = 12, NUMERAL = 4, BITS = LONGEST };

static int pick(tl_random *r, int n) { return (int)(tl_random_next(r) * n); }

/* ---- one to one ------------------------------------------------------------------------------------------------------- */

/* Segments of a display, brighter and darker than they should be: top, two, middle, two, bottom. */
static void sample_display(const tl_array *in, int b, tl_random *r, bool unseen)
{
    static const char *const lit[DIGITS] = { "1110111", "0010010", "1011101", "1011011", "0111010",
                                             "1101011", "1101111", "1010010", "1111111", "1111011" };
    (void)unseen;
    const int digit = ((int32_t *)in[1].data)[b] = pick(r, DIGITS);
    for (int k = 0; k < SEGMENTS; k++)
        ((float *)in[0].data)[b * SEGMENTS + k] = (float)(lit[digit][k] - '0' + 0.15 * tl_random_next_normal(r));
}

static void show_display(const tl_array *in, int b)
{
    for (int k = 0; k < SEGMENTS; k++) printf("%5.1f", ((const float *)in[0].data)[b * SEGMENTS + k]);
}

task display = {
    .title = "the digit that a noisy display shows",
    .n = 2,
    .in = { { TL_F32, 2, { BATCH, SEGMENTS }, TL_ZERO, NULL }, { TL_I32, 1, { BATCH }, 0, NULL } },
    .symbols = "0123456789",
    .sample = sample_display,
    .show = show_display,
};

/* ---- one to many ------------------------------------------------------------------------------------------------------ */

/* A word, or a number, as symbols with END behind it. */
static void write_symbols(int32_t *out, int b, int steps, const char *text, char first)
{
    for (int t = 0; t < steps; t++, text += *text != 0) out[t * BATCH + b] = *text ? SYMBOLS + *text - first : END;
}

static void sample_name(const tl_array *in, int b, tl_random *r, bool unseen)
{
    static const char *const name[DIGITS] = { "zero", "one", "two",   "three", "four",
                                              "five", "six", "seven", "eight", "nine" };
    const int digit = ((int32_t *)in[1].data)[b] = unseen ? b % DIGITS : pick(r, DIGITS);
    write_symbols(in[2].data, b, SPELLED, name[digit], 'a');
}

static void show_digit(const tl_array *in, int b) { printf("%d", ((const int32_t *)in[1].data)[b]); }

task name_of_digit = {
    .title = "the name of a digit, letter by letter",
    .n = 3,
    .in = { { TL_I32, 2, { SPELLED, BATCH }, 0, NULL },
            { TL_I32, 1, { BATCH }, 0, NULL },
            { TL_I32, 2, { SPELLED, BATCH }, 0, NULL } },
    .speaks = true,
    .symbols = "  abcdefghijklmnopqrstuvwxyz",
    .sample = sample_name,
    .show = show_digit,
};

/* ---- many to one ------------------------------------------------------------------------------------------------------ */

/* good and bad count 1 and -1, "not" turns the next word over; only what comes to a verdict is asked. */
static const char *const words[WORDS] = { "good", "bad", "not", "a", "film" };

static void sample_review(const tl_array *in, int b, tl_random *r, bool unseen)
{
    int32_t *x = in[0].data;
    int sum = 0;
    (void)unseen;
    while (!sum)
        for (int t = 0, sign = 1; t < SENTENCE; t++) {
            const int word = x[t * BATCH + b] = pick(r, WORDS);
            sum = (t ? sum : 0) + (word == 0 ? sign : word == 1 ? -sign : 0);
            sign = word == 2 ? -1 : 1;
        }
    ((int32_t *)in[1].data)[b] = sum > 0;
}

static void show_review(const tl_array *in, int b)
{
    for (int t = 0; t < SENTENCE; t++) printf("%s ", words[((const int32_t *)in[0].data)[t * BATCH + b]]);
}

task review = {
    .title = "is it praise (+) or blame (-)?",
    .n = 2,
    .in = { { TL_I32, 2, { SENTENCE, BATCH }, 0, NULL }, { TL_I32, 1, { BATCH }, 0, NULL } },
    .symbols = "-+",
    .sample = sample_review,
    .show = show_review,
};

/* ---- many to many ----------------------------------------------------------------------------------------------------- */

static const char letters[ROMANS + 1] = " IVXLC";

/* 1 to 399; every ninth number is never learned from. */
static void sample_roman(const tl_array *in, int b, tl_random *r, bool unseen)
{
    static const char *const ones[] = { "", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX" };
    static const char *const tens[] = { "", "X", "XX", "XXX", "XL", "L", "LX", "LXX", "LXXX", "XC" };
    static const char *const hundreds[] = { "", "C", "CC", "CCC" };
    char text[ROMAN + 1], digits[16];
    int number;
    do number = 1 + pick(r, 399);
    while ((number % 9 == 4) != unseen);
    snprintf(text, sizeof text, "%s%s%s", hundreds[number / 100], tens[number / 10 % 10], ones[number % 10]);
    snprintf(digits, sizeof digits, "%d", number);
    for (int t = 0, n = (int)strlen(text); t < ROMAN; t++)
        ((int32_t *)in[1].data)[t * BATCH + b] = t < n ? (int32_t)(strchr(letters, text[t]) - letters) : 0;
    write_symbols(in[2].data, b, NUMERAL, digits, '0');
}

static void show_roman(const tl_array *in, int b)
{
    for (int t = 0; t < ROMAN; t++) printf("%c", letters[((const int32_t *)in[1].data)[t * BATCH + b]]);
}

task roman = {
    .title = "Roman numbers in digits; none of these was ever learned from",
    .n = 3,
    .in = { { TL_I32, 2, { NUMERAL, BATCH }, 0, NULL },
            { TL_I32, 2, { ROMAN, BATCH }, 0, NULL },
            { TL_I32, 2, { NUMERAL, BATCH }, 0, NULL } },
    .speaks = true,
    .symbols = "  0123456789",
    .sample = sample_roman,
    .show = show_roman,
};

/* ---- synced ----------------------------------------------------------------------------------------------------------- */

static void sample_sum(const tl_array *in, int b, tl_random *r, bool unseen)
{
    const int number[] = { pick(r, 1 << (BITS - 1)), pick(r, 1 << (BITS - 1)) };
    (void)unseen;
    for (int t = 0; t < BITS; t++) {
        for (int k = 0; k < 2; k++) ((float *)in[0].data)[(t * BATCH + b) * 2 + k] = (float)(number[k] >> t & 1);
        ((int32_t *)in[1].data)[t * BATCH + b] = (number[0] + number[1]) >> t & 1;
    }
}

static void show_sum(const tl_array *in, int b)
{
    for (int k = 0; k < 2; k++) {
        for (int t = 0; t < BITS; t++) printf("%.0f", ((const float *)in[0].data)[(t * BATCH + b) * 2 + k]);
        if (!k) printf(" + ");
    }
}

task binary_sum = {
    .title = "sums of binary numbers, the lowest bit first",
    .n = 2,
    .in = { { TL_F32, 3, { BITS, BATCH, 2 }, 0, NULL }, { TL_I32, 2, { BITS, BATCH }, 0, NULL } },
    .symbols = "01",
    .sample = sample_sum,
    .show = show_sum,
};

/* ---- all of them ------------------------------------------------------------------------------------------------------ */

void task_fill(task *t, tl_random *r, bool unseen)
{
    for (int i = 0; i < t->n && !t->in[i].data; i++) {
        int64_t numbers = 1;
        for (int k = 0; k < t->in[i].rank; k++) numbers *= t->in[i].dim[k];
        t->in[i].data = calloc((size_t)numbers, 4);
        if (!t->in[i].data) args_fail(1, "out of memory");
    }
    for (int b = 0; b < BATCH; b++) t->sample(t->in, b, r, unseen);
    if (!t->speaks) return;
    int32_t *before = t->in[0].data;
    const int32_t *targets = t->in[t->n - 1].data;
    for (int i = 0; i < task_steps(t) * BATCH; i++) before[i] = i < BATCH ? START : targets[i - BATCH];
}

void task_free(task *t)
{
    for (int i = 0; i < t->n; i++) free(t->in[i].data);
}

int task_steps(const task *t) { return t->in[t->n - 1].rank == 2 ? (int)t->in[t->n - 1].dim[0] : 1; }

bool task_right(const task *t, const int32_t *answer, int b)
{
    const int32_t *targets = t->in[t->n - 1].data;
    bool right = true;
    for (int i = b; i < task_steps(t) * BATCH; i += BATCH) right = right && answer[i] == targets[i];
    return right;
}

void task_show(const task *t, const int32_t *answer, int b)
{
    printf("    ");
    t->show(t->in, b);
    printf(" -> ");
    for (int i = b; i < task_steps(t) * BATCH; i += BATCH) putchar(t->symbols[answer[i]]);
    puts(task_right(t, answer, b) ? "" : "   (wrong)");
}
