/* train/metric.c - the object of a metric: batches of any shape are taken to rows of numbers, and these to its kind. */
#include "train/metric.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <string.h>

/* ---- arrays ----------------------------------------------------------------------------------------------------- */

static double number(const tl_array *a, int64_t i)
{
    return a->dtype == TL_F64   ? ((const double *)a->data)[i]
           : a->dtype == TL_F32 ? (double)((const float *)a->data)[i]
                                : (double)((const int32_t *)a->data)[i];
}

/* How many numbers there are; -1 if it is no array. */
static int64_t size_of(const tl_array *a)
{
    int64_t n = 1;
    if (a->dtype < TL_F32 || a->dtype > TL_I32 || a->rank < 0 || a->rank > TL_MAX_RANK) return -1;
    for (int k = 0; k < a->rank; k++)
        if (a->dim[k] < 0 || __builtin_mul_overflow(n, a->dim[k], &n)) return -1;
    return n && !a->data ? -1 : n;
}

/* "[3, 4]" */
static const char *words(const tl_array *a, char text[static 160])
{
    int at = snprintf(text, 160, "[");
    for (int k = 0; k < a->rank; k++)
        at += snprintf(text + at, 160 - (size_t)at, k ? ", %" PRId64 : "%" PRId64, a->dim[k]);
    snprintf(text + at, 160 - (size_t)at, "]");
    return text;
}

/* Do axes [from, n) have the same lengths? */
static bool same(const tl_array *a, const tl_array *b, int from, int n)
{
    for (int k = from; k < n; k++)
        if (a->dim[k] != b->dim[k]) return false;
    return true;
}

/* ---- how a batch is read ---------------------------------------------------------------------------------------- */

typedef struct view {
    const tl_array *target, *prediction, *weights, *lengths; /* NULL: not there */
    bool ids;                                                /* targets are */
    int axes;                                                /* of rows: the prediction's first ones */
    int64_t rows, cols;
    int64_t stride[TL_MAX_RANK]; /* of weights, along the axes of rows */
} view;

static tl_status misfit(const tl_metric *m, const char *what, const tl_array *a, const tl_array *p)
{
    char one[160], other[160];
    return tl_report(TL_E_SHAPE, "metric %s: %s of shape %s do not fit predictions of shape %s", m->o.name, what,
                     words(a, one), words(p, other));
}

static tl_status view_prediction(const tl_metric *m, view *v)
{
    const tl_array *p = v->prediction;
    if (p->dtype == TL_I32) return tl_report(TL_E_DTYPE, "metric %s: predictions are f32 or f64", m->o.name);
    v->axes = p->rank > 1 ? p->rank - 1 : p->rank;
    v->cols = p->rank > 1 ? p->dim[p->rank - 1] : 1;
    v->rows = 1;
    for (int k = 0; k < v->axes; k++) v->rows *= p->dim[k];
    if (!v->cols) return tl_report(TL_E_SHAPE, "metric %s: predictions have no columns", m->o.name);
    return TL_OK;
}

static bool are_lengths(const tl_array *w, const view *v)
{
    return w && w->dtype == TL_I32 && w->rank == 1 && v->axes == 2 && w->dim[0] == v->prediction->dim[1];
}

/* Weights that broadcast to the rows, or of each element. */
static tl_status view_weights(const tl_metric *m, view *v)
{
    const tl_array *w = v->weights, *p = v->prediction;
    if (!w) return TL_OK;
    if (p->rank > 1 && v->cols > 1 && w->rank == p->rank && same(w, p, 0, p->rank)) {
        if (!m->kind->elements || m->o.k || m->o.class_id >= 0 || m->o.average > TL_MICRO || v->ids)
            return tl_report(TL_E_SHAPE, "metric %s: there can be a weight for each row, not for each element",
                             m->o.name);
        v->axes = p->rank;
        v->rows *= v->cols;
        v->cols = 1;
    }
    const int rank = w->rank == v->axes + 1 && w->dim[w->rank - 1] == 1 ? w->rank - 1 : w->rank;
    if (rank > v->axes) return misfit(m, "weights", w, p);
    int64_t stride = 1;
    for (int k = rank - 1, a = v->axes - 1; k >= 0; k--, a--) {
        if (w->dim[k] != 1 && w->dim[k] != p->dim[a]) return misfit(m, "weights", w, p);
        v->stride[a] = w->dim[k] == 1 ? 0 : stride;
        stride *= w->dim[k];
    }
    return TL_OK;
}

/* Numbers like the predictions, or ids. With lengths, the steps may differ in number. */
static tl_status view_target(const tl_metric *m, view *v)
{
    const tl_array *t = v->target, *p = v->prediction;
    const int from = v->lengths != NULL, axes = p->rank > 1 ? p->rank - 1 : p->rank;
    const bool numbers = t->rank == p->rank && same(t, p, from, p->rank);
    const bool one = (t->rank == axes || (t->rank == axes + 1 && t->dim[axes] == 1)) && same(t, p, from, axes);
    const metric_form form = m->kind->form;
    const int64_t cols = p->rank > 1 ? p->dim[p->rank - 1] : 1;
    v->ids = one && (form == FORM_IDS || (form == FORM_EITHER && cols > 1));
    if (!v->ids && (form == FORM_IDS || !(numbers || (one && cols == 1)))) return misfit(m, "targets", t, p);
    return TL_OK;
}

static tl_status view_lengths(const tl_metric *m, view *v)
{
    const int64_t T = v->prediction->dim[0], B = v->prediction->dim[1];
    const int64_t steps = v->target && v->target->dim[0] < T ? v->target->dim[0] : T;
    v->rows = steps * B;
    for (int64_t b = 0; b < B; b++) {
        const int32_t n = ((const int32_t *)v->lengths->data)[b];
        if (n < 0 || n > steps)
            return tl_report(TL_E_INDEX, "metric %s: row %" PRId64 " has length %d of %" PRId64 " steps", m->o.name, b,
                             (int)n, steps);
    }
    return TL_OK;
}

static tl_status view_batch(const tl_metric *m, view *v)
{
    const struct {
        const char *name;
        const tl_array **a;
        bool needed;
    } part[] = { { "predictions", &v->prediction, true },
                 { "targets", &v->target, m->kind->form != FORM_NONE },
                 { "weights", &v->weights, false } };
    for (int k = 0; k < 3; k++) {
        if (*part[k].a && (*part[k].a)->rank == -1) *part[k].a = NULL; /* TL_ABSENT_ARRAY */
        if (!*part[k].a && part[k].needed)
            return tl_report(TL_E_ABSENT, "metric %s: there are no %s", m->o.name, part[k].name);
        if (*part[k].a && size_of(*part[k].a) < 0)
            return tl_report(TL_E_ARGUMENT, "metric %s: %s without data, or that are no array", m->o.name,
                             part[k].name);
    }
    if (m->kind->form == FORM_NONE) v->target = NULL;
    tl_status status = view_prediction(m, v);
    if (!status && are_lengths(v->weights, v)) v->lengths = v->weights;
    if (!status && v->target) status = view_target(m, v);
    if (!status) status = v->lengths ? view_lengths(m, v) : view_weights(m, v);
    if (!status && m->o.class_id >= v->cols)
        status = tl_report(TL_E_SHAPE, "metric %s: there is no column %d of %" PRId64, m->o.name, m->o.class_id,
                           v->cols);
    return status;
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static double weight_of(const view *v, int64_t row)
{
    if (v->lengths) {
        const int64_t B = v->prediction->dim[1];
        return row / B < ((const int32_t *)v->lengths->data)[row % B];
    }
    if (!v->weights) return 1;
    int64_t at = 0;
    for (int a = v->axes - 1; a >= 0; a--) {
        const int64_t dim = v->prediction->dim[a];
        at += row % dim * v->stride[a];
        row /= dim;
    }
    return number(v->weights, at);
}

/* The k-th largest; -INFINITY where there are fewer. */
static double kth_largest(const double *p, int64_t n, int64_t k)
{
    double cut = INFINITY;
    for (int64_t found = 0; found < k;) {
        double next = -INFINITY;
        int64_t equals = 0;
        for (int64_t c = 0; c < n; c++) {
            if (p[c] >= cut && found) continue;
            equals = p[c] > next ? 1 : equals + (p[c] == next);
            next = fmax(next, p[c]);
        }
        found += equals;
        cut = next;
        if (next == -INFINITY) break;
    }
    return cut;
}

static tl_status bad_id(const tl_metric *m, double id, int64_t row, int64_t cols)
{
    return tl_report(TL_E_INDEX, "metric %s: row %" PRId64 " has target %g, which is no class of %" PRId64, m->o.name,
                     row, id, cols);
}

/* Reads a row and adds it. *nan is set if there is one in it, and then nothing is added. */
static tl_status take_row(tl_metric *m, const view *v, int64_t row, bool *nan)
{
    double *p = m->row, *t = p + v->cols;
    metric_row r = { .p = p, .n = v->cols, .w = weight_of(v, row) };
    bool bad = isnan(r.w);
    if (r.w == 0) return TL_OK;
    if (v->ids) {
        const double id = number(v->target, row);
        bad |= isnan(id);
        if (id == m->o.ignore) return TL_OK;
        if (!isnan(id) && !(id >= 0 && id < (double)v->cols && id == floor(id))) return bad_id(m, id, row, v->cols);
        if (!isnan(id)) r.id = (int64_t)id;
    } else if (v->target) r.t = t;
    for (int64_t c = 0; c < v->cols; c++) {
        p[c] = number(v->prediction, row * v->cols + c);
        if (r.t) t[c] = number(v->target, row * v->cols + c);
        bad |= isnan(p[c]) || (r.t && isnan(t[c]));
    }
    *nan |= bad;
    if (bad) return TL_OK;
    const char *wrong = m->kind->prepare ? m->kind->prepare(m->o.from_logits, p, v->cols) : NULL;
    if (wrong) return tl_report(TL_E_ARGUMENT, "metric %s: a prediction in row %" PRId64 " %s", m->o.name, row, wrong);
    r.ranked = m->kind->rate && m->o.k && v->cols > 1;
    if (r.ranked) r.cut = kth_largest(p, v->cols, m->o.k);
    if (m->o.class_id >= 0) {
        r.p += m->o.class_id;
        if (r.t) r.t += m->o.class_id;
        else r.id -= m->o.class_id; /* 0 if it is this class, and no column otherwise */
        r.n = 1;
    }
    m->kind->add(m, &r);
    return TL_OK;
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static tl_status grow(const tl_metric *m, double **block, int64_t *room, int64_t need)
{
    if (need <= *room) return TL_OK;
    double *more = need < (int64_t)(SIZE_MAX / 16)
                       ? tl_resize(*block, (size_t)*room * sizeof **block, (size_t)need * sizeof **block)
                       : NULL;
    if (!more) return tl_report(TL_E_MEMORY, "metric %s: out of memory", m->o.name);
    *block = more;
    *room = need;
    return TL_OK;
}

/* Sums for so many columns, all 0 where there were none. */
static tl_status make_sums(tl_metric *m, int64_t cols)
{
    if (m->cols) return TL_OK;
    if (cols > INT_MAX) return tl_report(TL_E_SHAPE, "metric %s: too many columns", m->o.name);
    const int64_t n = m->kind->sums(m, cols);
    tl_status status = n < 0 || n > INT64_MAX / 32 ? tl_report(TL_E_MEMORY, "metric %s: out of memory", m->o.name)
                                                   : TL_OK;
    if (!status) status = grow(m, &m->sum, &m->room, 2 * n + 1);
    if (status) return status;
    m->n = n;
    m->cols = cols;
    memset(m->sum, 0, (size_t)n * sizeof *m->sum);
    m->sum[n] = (double)cols;
    return TL_OK;
}

/* ---- the calls -------------------------------------------------------------------------------------------------- */

static tl_status take_rows(tl_metric *m, const view *v)
{
    tl_status status = TL_OK;
    bool nan = false;
    for (int64_t row = 0; row < v->rows && !status; row++) status = take_row(m, v, row, &nan);
    if (nan) m->sum[0] = NAN; /* and stays so, whatever is added: see tl_metric_result */
    return status;
}

tl_status tl_metric_update(tl_metric *m, const tl_array *target, const tl_array *prediction, const tl_array *weights)
{
    if (!m) return tl_report(TL_E_ARGUMENT, "tl_metric_update: no metric");
    view v = { .target = target, .prediction = prediction, .weights = weights };
    tl_status status = view_batch(m, &v);
    const bool began = !m->cols;
    const int64_t cols = m->o.class_id >= 0 ? 1 : v.cols;
    if (!status && m->kind->each && m->cols && m->cols != cols)
        status = tl_report(TL_E_SHAPE, "metric %s: predictions have %" PRId64 " columns, and had %" PRId64 " before",
                           m->o.name, cols, m->cols);
    if (!status) status = grow(m, &m->row, &m->row_room, 2 * v.cols);
    if (!status) status = make_sums(m, cols);
    if (status) return status;
    memcpy(m->sum + m->n + 1, m->sum, (size_t)m->n * sizeof *m->sum);
    status = take_rows(m, &v);
    if (!status) return TL_OK;
    memcpy(m->sum, m->sum + m->n + 1, (size_t)m->n * sizeof *m->sum);
    if (began) m->cols = 0;
    return status;
}

double tl_metric_result(const tl_metric *m)
{
    if (!m) return NAN;
    if (!m->cols) return m->o.kind == TL_METRIC_PERPLEXITY;
    return isnan(m->sum[0]) ? NAN : m->kind->result(m);
}

int64_t tl_metric_results(const tl_metric *m, double *out, int64_t room)
{
    if (!m) return 0;
    if (!out || room < 0) room = 0;
    const int64_t n = m->kind->each ? m->kind->each(m, out, room) : 1;
    if (!m->kind->each && room) out[0] = tl_metric_result(m);
    for (int64_t i = 0; m->cols && isnan(m->sum[0]) && i < n && i < room; i++) out[i] = NAN;
    return n;
}

void tl_metric_reset(tl_metric *m)
{
    if (m) m->cols = m->n = 0;
}

tl_metric_desc tl_metric_options(const tl_metric *m) { return m ? m->o : (tl_metric_desc){ 0 }; }

/* ---- making and freeing ----------------------------------------------------------------------------------------- */

/* The thresholds that are asked for; those of a curve are spread evenly, as Keras', and have one more at either end. */
static tl_status make_thresholds(tl_metric *m)
{
    const tl_metric_desc *o = &m->o;
    const bool curve = m->kind->options & HAS_SPREAD, told = o->thresholds;
    const int64_t inner = told ? o->n_thresholds : curve ? o->n_thresholds - 2 : 1, edge = curve;
    int64_t room = 0;
    const tl_status status = grow(m, &m->threshold, &room, inner + 2 * edge);
    if (status) return status;
    for (int64_t i = 0; i < inner; i++)
        m->threshold[edge + i] = told ? o->thresholds[i] : curve ? (double)(i + 1) / (double)(inner + 1) : o->threshold;
    m->thresholds = inner + 2 * edge;
    if (curve) m->threshold[0] = -1e-7, m->threshold[m->thresholds - 1] = 1 + 1e-7;
    if (told) m->o.thresholds = m->threshold + edge;
    return TL_OK;
}

tl_metric *tl_metric_new(tl_metric_desc desc)
{
    const bool by_rank = desc.threshold == 0 && !desc.thresholds;
    if (metric_resolve(&desc)) return NULL;
    tl_metric *m = tl_resize(NULL, 0, sizeof *m);
    if (!m) {
        tl_report(TL_E_MEMORY, "tl_metric_new: out of memory");
        return NULL;
    }
    *m = (tl_metric){ .o = desc, .kind = &metric_kinds[desc.kind], .by_rank = by_rank && desc.k };
    if (!make_thresholds(m)) return m;
    tl_metric_free(m);
    return NULL;
}

void tl_metric_free(tl_metric *m)
{
    if (!m) return;
    tl_resize(m->threshold, (size_t)m->thresholds * sizeof *m->threshold, 0);
    tl_resize(m->sum, (size_t)m->room * sizeof *m->sum, 0);
    tl_resize(m->row, (size_t)m->row_room * sizeof *m->row, 0);
    tl_resize(m, sizeof *m, 0);
}

/* ---- saving and resuming ---------------------------------------------------------------------------------------- */

tl_array tl_metric_sums(const tl_metric *m)
{
    const int64_t n = m && m->cols ? m->n + 1 : 0;
    return tl_array_of(TL_F64, TL_DIMS(n), n ? m->sum : NULL);
}

tl_status tl_metric_set_sums(tl_metric *m, const tl_array *sums)
{
    if (!m || !sums || size_of(sums) < 0)
        return tl_report(TL_E_ARGUMENT, "tl_metric_set_sums: a metric and its sums are needed");
    if (sums->dtype != TL_F64) return tl_report(TL_E_DTYPE, "metric %s: sums are f64", m->o.name);
    const int64_t n = size_of(sums);
    tl_metric_reset(m);
    if (!n) return TL_OK;
    const double cols = number(sums, n - 1);
    const bool whole = cols >= 1 && cols <= INT_MAX && cols == floor(cols);
    if (!whole || m->kind->sums(m, (int64_t)cols) != n - 1)
        return tl_report(TL_E_SHAPE, "metric %s: %" PRId64 " sums are not those of such a metric", m->o.name, n);
    const tl_status status = make_sums(m, (int64_t)cols);
    if (!status) memcpy(m->sum, sums->data, (size_t)n * sizeof *m->sum);
    return status;
}
