/* bench/meter.h - what all measuring programs share: command line, timing, memory, the figures as JSON.
 *
 *     PROGRAM [WORKLOAD...] [--threads N] [--repeat R] [--json FILE]
 *     PROGRAM --list                                       one line for each workload: its name, then what it is
 *
 * Workloads may be shell patterns; none means all. peer_torch.py takes the same and writes the same JSON. */
#ifndef METER_H
#define METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct meter_args {
    char **pattern;
    int n_patterns;
    int threads;
    int repeat;
    const char *json; /* NULL: none */
    bool list, check;
} meter_args;

/* Ends the program with exit status 2 if the command line does not fit. */
meter_args meter_read(int argc, char **argv);
bool meter_wants(const meter_args *args, const char *workload);

/* "program: sentence" on stderr; exit status 1. */
_Noreturn void meter_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One workload's figures. What is 0 is not known, and null in JSON. */
typedef struct figures {
    const char *workload, *variant;
    int threads;
    double ms_median, ms_min; /* of a step */
    double tokens, flops;     /* of a step; flops of the products as the model is written */
    double flops_done;        /* of those that a step really computes */
    double peak_gflops;       /* of all threads */
    int64_t parameters;
    size_t arena_bytes, rss_bytes;
    char blas_core[32];
} figures;

/* Takes the time of steps: warms up, then `repeat` times so many steps that they take a twentieth of a second. Fills in
 * the times, and the most memory that the process has ever had: for that of one workload, measure no other beside it.
 * false as soon as a step returns false. */
bool meter_run(bool (*step)(void *data), void *data, int repeat, figures *out);

/* FLOPs of multiply-adds in registers alone, in 10^9 a second: what `threads` cores can do at best. 0 where unknown. */
double meter_peak(int threads);

/* A line for people on stdout, and all to a file as a list of objects. */
void meter_print(const figures *f);
void meter_write(const char *path, const figures *f, int n);

#endif
