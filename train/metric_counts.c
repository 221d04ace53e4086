/* train/metric_counts.c - metrics that count: true and false positives at thresholds, curves of them, confusions. */
#include "train/metric.h"

#include <math.h>
#include <string.h>

/* ---- precision, recall, F: tp, fp, fn of each threshold and column ---------------------------------------------- */

enum { TP, FP, FN, COUNTS };

double metric_precision(const double *count, double beta)
{
    (void)beta;
    return metric_ratio(count[TP], count[TP] + count[FP]);
}

double metric_recall(const double *count, double beta)
{
    (void)beta;
    return metric_ratio(count[TP], count[TP] + count[FN]);
}

#define F_EPSILON 1e-7 /* Keras' */

double metric_f(const double *count, double beta)
{
    const double epsilon = F_EPSILON;
    const double precision = count[TP] / (count[TP] + count[FP] + epsilon);
    const double recall = count[TP] / (count[TP] + count[FN] + epsilon);
    return (1 + beta * beta) * precision * recall / (beta * beta * precision + recall + epsilon);
}

void metric_add_counts(tl_metric *m, const metric_row *r)
{
    for (int64_t q = 0; q < m->thresholds; q++)
        for (int64_t c = 0; c < r->n; c++) {
            double *count = m->sum + (q * m->cols + c) * COUNTS;
            const bool positive = ((r->ranked && m->by_rank) || r->p[c] > m->threshold[q]) &&
                                  (!r->ranked || r->p[c] >= r->cut);
            const bool truth = metric_target(r, c) != 0;
            if (positive) count[truth ? TP : FP] += r->w;
            else if (truth) count[FN] += r->w;
        }
}

int64_t metric_counts(const tl_metric *m, int64_t cols) { return COUNTS * m->thresholds * cols; }

/* One number of a threshold's columns. */
static double averaged(const tl_metric *m, const double *count)
{
    double all[COUNTS] = { 0 }, sum = 0, weights = 0;
    for (int64_t c = 0; c < m->cols; c++, count += COUNTS) {
        const double w = m->o.average == TL_WEIGHTED ? count[TP] + count[FN] : 1;
        for (int i = 0; i < COUNTS; i++) all[i] += count[i];
        sum += w * m->kind->rate(count, m->o.beta);
        weights += w;
    }
    if (m->o.average == TL_MICRO) return m->kind->rate(all, m->o.beta);
    if (m->o.average == TL_WEIGHTED && m->kind->rate == metric_f) weights += F_EPSILON;
    return metric_ratio(sum, weights);
}

double metric_rate(const tl_metric *m) { return averaged(m, m->sum); }

int64_t metric_rates(const tl_metric *m, double *out, int64_t room)
{
    const bool micro = m->o.average == TL_MICRO;
    const int64_t n = micro ? m->thresholds : m->thresholds * m->cols;
    for (int64_t i = 0; m->cols && i < n && i < room; i++)
        out[i] = micro ? averaged(m, m->sum + i * m->cols * COUNTS) : m->kind->rate(m->sum + i * COUNTS, m->o.beta);
    return m->cols ? n : 0;
}

/* ---- areas under curves: of each column, how many negatives and positives lie between two thresholds ------------ */

/* Between threshold[i] and the next one. */
static int64_t bucket_of(const tl_metric *m, double p)
{
    int64_t low = 0, high = m->thresholds - 1; /* threshold[low] < p <= threshold[high] */
    while (high - low > 1) {
        const int64_t mid = low + (high - low) / 2;
        if (p > m->threshold[mid]) low = mid;
        else high = mid;
    }
    return low;
}

void metric_add_bucket(tl_metric *m, const metric_row *r)
{
    for (int64_t c = 0; c < r->n; c++)
        m->sum[2 * (c * m->thresholds + bucket_of(m, r->p[c])) + (metric_target(r, c) != 0)] += r->w;
}

int64_t metric_buckets(const tl_metric *m, int64_t cols) { return 2 * m->thresholds * cols; }

/* What is above a threshold. */
typedef struct above {
    double fp, tp;
} above;

/* The area between two neighbouring thresholds, the lower of which lets more through; `all` is what there is. */
static double strip(const tl_metric *m, above low, above high, above all)
{
    const bool roc = m->o.curve == TL_ROC;
    const double y0 = roc ? metric_ratio(low.tp, all.tp) : metric_ratio(low.tp, low.tp + low.fp);
    const double y1 = roc ? metric_ratio(high.tp, all.tp) : metric_ratio(high.tp, high.tp + high.fp);
    const double width = roc ? metric_ratio(low.fp - high.fp, all.fp) : metric_ratio(low.tp - high.tp, all.tp);
    if (m->o.summation == TL_MINORING) return width * fmin(y0, y1);
    if (m->o.summation == TL_MAJORING) return width * fmax(y0, y1);
    if (roc) return width * (y0 + y1) / 2;
    /* tp is linear in what is let through, so precision is not (Davis & Goadrich 2006, section 4). */
    const double n0 = low.tp + low.fp, n1 = high.tp + high.fp;
    const double slope = metric_ratio(low.tp - high.tp, fmax(n0 - n1, 0));
    const double rest = high.tp - slope * n1;
    return metric_ratio(slope * (low.tp - high.tp + rest * (n0 > 0 && n1 > 0 ? log(n0 / n1) : 0)), fmax(all.tp, 0));
}

/* The area of columns [first, last) counted together. */
static double area(const tl_metric *m, int64_t first, int64_t last)
{
    above all = { 0 }, low = { 0 };
    double sum = 0;
    for (int64_t i = first * m->thresholds; i < last * m->thresholds; i++)
        all.fp += m->sum[2 * i], all.tp += m->sum[2 * i + 1];
    for (int64_t q = m->thresholds - 1; q-- > 0;) {
        const above high = low;
        for (int64_t c = first; c < last; c++) {
            const double *s = m->sum + 2 * (c * m->thresholds + q);
            low.fp += s[0], low.tp += s[1];
        }
        sum += strip(m, low, high, all);
    }
    return sum;
}

double metric_area(const tl_metric *m)
{
    double sum = 0;
    if (m->o.average == TL_MICRO) return area(m, 0, m->cols);
    for (int64_t c = 0; c < m->cols; c++) sum += area(m, c, c + 1);
    return metric_ratio(sum, (double)m->cols);
}

int64_t metric_areas(const tl_metric *m, double *out, int64_t room)
{
    if (m->o.average == TL_MICRO && m->cols && room > 0) out[0] = metric_area(m);
    if (m->o.average == TL_MICRO) return m->cols > 0;
    for (int64_t c = 0; c < m->cols && c < room; c++) out[c] = area(m, c, c + 1);
    return m->cols;
}

/* ---- confusions: [classes, classes], the true class first; one column is two classes ---------------------------- */

static int64_t classes(int64_t cols) { return cols == 1 ? 2 : cols; }

void metric_add_confusion(tl_metric *m, const metric_row *r)
{
    const bool binary = r->n == 1;
    const int64_t truth = binary ? metric_target(r, 0) != 0 : r->t ? metric_largest(r->t, r->n) : r->id;
    const int64_t taken = binary ? r->p[0] > m->o.threshold : metric_largest(r->p, r->n);
    m->sum[truth * classes(m->cols) + taken] += r->w;
}

int64_t metric_cells(const tl_metric *m, int64_t cols)
{
    (void)m;
    return classes(cols) * classes(cols);
}

double metric_diagonal(const tl_metric *m)
{
    double right = 0, all = 0;
    const int64_t n = m->cols ? classes(m->cols) : 0;
    for (int64_t i = 0; i < n * n; i++) {
        all += m->sum[i];
        if (i % (n + 1) == 0) right += m->sum[i];
    }
    return metric_ratio(right, all);
}

int64_t metric_each_cell(const tl_metric *m, double *out, int64_t room)
{
    const int64_t n = m->cols ? metric_cells(m, m->cols) : 0;
    for (int64_t i = 0; i < n && i < room; i++) out[i] = m->sum[i];
    return n;
}

/* A number in 10 columns; counts are whole unless weights were not. */
static void print_count(FILE *out, double x) { fprintf(out, x == rint(x) && fabs(x) < 1e9 ? " %9.0f" : " %9.4g", x); }

static void print_name(FILE *out, const char *const *names, int64_t c)
{
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)c);
    const char *name = names ? names[c] : number;
    /* Columns are as wide as they look only in ASCII; the cut is made between characters in any case. */
    int bytes = 0, shown = 0;
    for (; name[bytes] && shown < 9; shown++) do
            bytes++;
        while ((name[bytes] & 0xC0) == 0x80);
    fprintf(out, " %*s%.*s", 9 - shown, "", bytes, name);
}

tl_status tl_confusion_print(const tl_metric *m, const char *const *names, FILE *out)
{
    if (!m || !out || m->o.kind != TL_METRIC_CONFUSION || !m->cols)
        return tl_report(TL_E_ARGUMENT,
                         "tl_confusion_print: a file and a confusion matrix that has seen something are needed");
    const int64_t n = classes(m->cols);
    for (int64_t i = 0; names && i < n; i++)
        if (!names[i]) return tl_report(TL_E_ARGUMENT, "tl_confusion_print: class %lld has no name", (long long)i);
    fprintf(out, "%10s", "true\\taken");
    for (int64_t j = 0; j < n; j++) print_name(out, names, j);
    fprintf(out, " %9s\n", "recall");
    for (int64_t i = 0; i < n; i++) {
        double row = 0;
        print_name(out, names, i);
        for (int64_t j = 0; j < n; j++) {
            row += m->sum[i * n + j];
            print_count(out, m->sum[i * n + j]);
        }
        fprintf(out, " %9.4f\n", metric_ratio(m->sum[i * n + i], row));
    }
    fprintf(out, "%10s", "precision");
    for (int64_t j = 0; j < n; j++) {
        double column = 0;
        for (int64_t i = 0; i < n; i++) column += m->sum[i * n + j];
        fprintf(out, " %9.4f", metric_ratio(m->sum[j * n + j], column));
    }
    fprintf(out, " %9.4f\n", metric_diagonal(m));
    return TL_OK;
}
