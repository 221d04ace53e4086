/* train/metric.h - what the files of the metrics share. Private to train/. */
#ifndef TL_TRAIN_METRIC_H
#define TL_TRAIN_METRIC_H

#include "train/train.h"

/* One row of a batch, in double. */
typedef struct metric_row {
    const double *p; /* n predictions, prepared */
    const double *t; /* n targets; NULL: the target is `id` */
    int64_t n, id;
    double w;
    bool ranked; /* by .k: predictions below `cut`, the k-th largest, are not positive */
    double cut;
} metric_row;

static inline double metric_target(const metric_row *r, int64_t c) { return r->t ? r->t[c] : c == r->id; }

/* What a kind takes for targets: none; as many numbers as predictions; ids; numbers or ids. */
typedef enum metric_form { FORM_NONE, FORM_NUMBERS, FORM_IDS, FORM_EITHER } metric_form;

/* The options that not every kind has. */
enum {
    HAS_LOGITS = 1,
    HAS_THRESHOLD = 2,
    HAS_THRESHOLDS = 4,
    HAS_SPREAD = 8,
    HAS_K = 16,
    HAS_CLASS = 32,
    HAS_IGNORE = 64,
    HAS_AVERAGE = 128,
    HAS_BETA = 256,
    HAS_SMOOTHING = 512,
    HAS_REGRESSORS = 1024,
    HAS_CURVE = 2048,
};

/* A kind of metric: what a row adds to the sums, and what they mean. */
typedef struct metric_kind {
    const char *name;
    metric_form form;
    unsigned options;
    bool elements; /* may go by elements, each with a weight of its own */
    int k;         /* defaults */
    tl_average average;
    const char *(*prepare)(bool logits, double *p, int64_t n); /* predictions in place; a sentence if they cannot be */
    double (*value)(const tl_metric *m, const metric_row *r);  /* of a row, where its mean is added up */
    double (*rate)(const double *count, double beta);          /* of tp, fp, fn, where these are added up */
    void (*add)(tl_metric *m, const metric_row *r);
    int64_t (*sums)(const tl_metric *m, int64_t cols); /* how many there are */
    double (*result)(const tl_metric *m);
    int64_t (*each)(const tl_metric *m, double *out, int64_t room); /* NULL: there is the result alone */
} metric_kind;

struct tl_metric {
    tl_metric_desc o; /* with defaults */
    const metric_kind *kind;
    double *threshold; /* ascending, `thresholds` of them */
    int64_t thresholds;
    bool by_rank;          /* .k alone decides what is positive */
    double *sum;           /* n of them, cols, and n to go back to after an error */
    int64_t n, cols, room; /* cols, of the sums: 0 if nothing was added yet */
    double *row;           /* predictions and targets of a row */
    int64_t row_room;
};

extern const metric_kind metric_kinds[TL_METRIC_KINDS];

/* Puts defaults in the place of d's zeros, and checks the rest (metric_options.c). */
tl_status metric_resolve(tl_metric_desc *d);

static inline double metric_ratio(double a, double b) { return b == 0 ? 0 : a / b; }
int64_t metric_largest(const double *p, int64_t n); /* the first of equals */

/* ---- metric_counts.c: true and false positives, curves, confusions ---------------------------------------------- */

double metric_precision(const double *count, double beta);
double metric_recall(const double *count, double beta);
double metric_f(const double *count, double beta);
void metric_add_counts(tl_metric *m, const metric_row *r);
int64_t metric_counts(const tl_metric *m, int64_t cols);
double metric_rate(const tl_metric *m);
int64_t metric_rates(const tl_metric *m, double *out, int64_t room);

void metric_add_bucket(tl_metric *m, const metric_row *r);
int64_t metric_buckets(const tl_metric *m, int64_t cols);
double metric_area(const tl_metric *m);
int64_t metric_areas(const tl_metric *m, double *out, int64_t room);

void metric_add_confusion(tl_metric *m, const metric_row *r);
int64_t metric_cells(const tl_metric *m, int64_t cols);
double metric_diagonal(const tl_metric *m);
int64_t metric_each_cell(const tl_metric *m, double *out, int64_t room);

#endif
