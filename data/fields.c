/* data/fields.c - the fields of a dataset: added with their data or to follow from another, and grown sample by sample. */
#include "data/dataset.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* The error stays; none is looked for after it. */
TL_PRINTF(3, 4) static int refuse(tl_dataset *d, tl_status status, const char *format, ...)
{
    char text[sizeof d->message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    d->status = status;
    memcpy(d->message, text, sizeof text);
    tl_report(status, "%s", text);
    return -1;
}

/* ---- checks ------------------------------------------------------------------------------------------------- */

static bool multiply(int64_t *product, int64_t factor) { return !__builtin_mul_overflow(*product, factor, product); }

static bool is_dtype(tl_dtype t) { return t == TL_F32 || t == TL_F64 || t == TL_I32; }

/* May a field be added? Then *f is one with its options. */
static bool begin(tl_dataset *d, tl_field_kind kind, const tl_field_opts *o, tl_field *f, const char *who)
{
    static const tl_field_opts none;
    if (tl_dataset_check(d, who)) return false;
    if (!o) o = &none;
    if (d->is_source || d->of)
        return refuse(d, TL_E_ARGUMENT, "%s: %s", who,
                      d->of ? "a view has the fields of its dataset"
                            : "a dataset made of a source has the source's inputs"),
               false;
    *f = (tl_field){ .kind = kind,
                     .to = o->dtype,
                     .own = o->copy,
                     .maxlen = o->maxlen ? o->maxlen : INT64_MAX,
                     .full = o->full,
                     .padding = o->padding,
                     .truncating = o->truncating,
                     .value = tl_number(o->value, 0),
                     .of = d->n_fields,
                     .width = 1 };
    if (d->n_fields == TL_MAX_FIELDS)
        return refuse(d, TL_E_ARGUMENT, "%s: a dataset has %d fields at most", who, TL_MAX_FIELDS), false;
    if (o->dtype && !is_dtype(o->dtype)) return refuse(d, TL_E_DTYPE, "%s: .dtype is none", who), false;
    if (f->maxlen < 1) return refuse(d, TL_E_ARGUMENT, "%s: .maxlen is %lld", who, (long long)f->maxlen), false;
    if ((unsigned)o->padding > TL_POST || (unsigned)o->truncating > TL_POST)
        return refuse(d, TL_E_ARGUMENT, "%s: .padding and .truncating are TL_PRE or TL_POST", who), false;
    return true;
}

/* The number of samples is that of the fields before. */
static bool fits(tl_dataset *d, int64_t n, const char *who)
{
    if (d->n < 0 || d->n == n) return true;
    refuse(d, TL_E_SHAPE, "%s: in[%d] has %lld samples, the fields before it have %lld", who, d->n_fields, (long long)n,
           (long long)d->n);
    return false;
}

static int add(tl_dataset *d, const tl_field *f)
{
    d->field[d->n_fields] = *f;
    return d->n_fields++;
}

/* Reads an array's type and shape into f; the first `outer` axes are not part of a step. */
static bool read_shape(tl_dataset *d, tl_field *f, const tl_array *a, int outer, const char *who)
{
    const int k = d->n_fields, most = f->kind == TL_RAGGED ? TL_MAX_RANK - 1 : TL_MAX_RANK;
    if (!is_dtype(a->dtype)) return refuse(d, TL_E_DTYPE, "%s: in[%d] has no element type", who, k), false;
    if (a->rank < outer || a->rank > most)
        return refuse(d, TL_E_SHAPE, "%s: in[%d] has rank %d; it is %d to %d", who, k, a->rank, outer, most), false;
    f->from = a->dtype;
    if (!f->to) f->to = f->from;
    if (f->to == TL_I32 && f->from != TL_I32)
        return refuse(d, TL_E_DTYPE, "%s: in[%d]: floats do not become ids", who, k), false;
    if (f->to == TL_I32 && !(f->value == floor(f->value) && fabs(f->value) <= INT32_MAX))
        return refuse(d, TL_E_ARGUMENT, "%s: in[%d]: ids are not padded with %g", who, k, f->value), false;
    int64_t size = 8;
    bool good = multiply(&size, a->dim[0] > 0 ? a->dim[0] : 1) && a->dim[0] >= 0;
    for (int i = 1; i < a->rank; i++) good = good && a->dim[i] > 0 && multiply(&size, a->dim[i]);
    if (!good) return refuse(d, TL_E_SHAPE, "%s: in[%d] has a size that makes no sense", who, k), false;
    f->rank = a->rank - outer;
    for (int i = 0; i < f->rank; i++) f->width *= f->dim[i] = a->dim[outer + i];
    f->steps = f->kind == TL_SEQUENCES ? a->dim[1] : f->kind == TL_ROWS;
    if (a->data || !a->dim[0]) return true;
    return refuse(d, TL_E_ARGUMENT, "%s: in[%d] has no data", who, k), false;
}

/* ---- fields with data --------------------------------------------------------------------------------------- */

/* A copy of n elements into *p; nothing of nothing. */
static bool copy(void *p, int64_t *room, const void *data, int64_t n, size_t size)
{
    void *copied = n ? tl_resize(NULL, 0, (size_t)n * size) : NULL;
    if (n && !copied) return false;
    if (n) memcpy(copied, data, (size_t)n * size);
    memcpy(p, &copied, sizeof copied);
    *room = n;
    return true;
}

static bool own(tl_field *f, int64_t elements, int64_t n)
{
    if (!copy(&f->data, &f->room, f->data, elements, tl_element_size(f->from))) return false;
    if (!f->offsets || copy(&f->offsets, &f->offsets_room, f->offsets, n + 1, sizeof *f->offsets)) return true;
    tl_resize((void *)(uintptr_t)f->data, (size_t)f->room * tl_element_size(f->from), 0);
    return false;
}

/* Adds a field with `steps` steps in all. Without samples there is nothing of the caller's to refer to. */
static int add_data(tl_dataset *d, tl_field *f, const void *data, int64_t steps, const int64_t *offsets, int64_t n,
                    const char *who)
{
    if (!fits(d, n, who)) return -1;
    f->data = data;
    f->offsets = offsets;
    f->own |= !n;
    if (f->own && !own(f, n ? steps * f->width : 0, n))
        return refuse(d, TL_E_MEMORY, "%s: out of memory for in[%d]", who, d->n_fields);
    d->n = n;
    return add(d, f);
}

static int add_absent(tl_dataset *d, tl_field *f)
{
    f->kind = TL_NO_FIELD;
    return add(d, f);
}

int tl_dataset_rows_opt(tl_dataset *d, tl_array a, const tl_field_opts *o)
{
    static const char who[] = "tl_dataset_rows";
    tl_field f;
    if (!begin(d, TL_ROWS, o, &f, who)) return -1;
    if (a.rank < 0) return add_absent(d, &f);
    if (!read_shape(d, &f, &a, 1, who)) return -1;
    return add_data(d, &f, a.data, a.dim[0], NULL, a.dim[0], who);
}

int tl_dataset_sequences_opt(tl_dataset *d, tl_array a, const tl_field_opts *o)
{
    static const char who[] = "tl_dataset_sequences";
    tl_field f;
    if (!begin(d, TL_SEQUENCES, o, &f, who)) return -1;
    if (a.rank < 0) return add_absent(d, &f);
    if (!read_shape(d, &f, &a, 2, who)) return -1;
    return add_data(d, &f, a.data, a.dim[0] * a.dim[1], NULL, a.dim[0], who);
}

int tl_dataset_ids_opt(tl_dataset *d, const tl_ragged *r, const tl_field_opts *o)
{
    static const tl_ragged none;
    if (!r) r = &none;
    const int64_t total = r->n ? r->offset[r->n] : 0;
    return tl_dataset_ragged_opt(d, tl_array_of(TL_I32, TL_DIMS(total), r->ids), r->offset, r->n, o);
}

int tl_dataset_ragged_opt(tl_dataset *d, tl_array a, const int64_t *offsets, int64_t n, const tl_field_opts *o)
{
    static const char who[] = "tl_dataset_ragged";
    static const int64_t none;
    tl_field f;
    if (!begin(d, TL_RAGGED, o, &f, who)) return -1;
    if (a.rank < 0) return add_absent(d, &f);
    if (!read_shape(d, &f, &a, 1, who)) return -1;
    const int k = d->n_fields;
    if (n < 0 || n >= INT64_MAX / 8 || (n && !offsets))
        return refuse(d, TL_E_ARGUMENT, "%s: in[%d] needs the offsets of its rows", who, k);
    if (n && (offsets[0] < 0 || offsets[n] > a.dim[0]))
        return refuse(d, TL_E_SHAPE, "%s: in[%d]: offsets %lld ... %lld of %lld steps", who, k, (long long)offsets[0],
                      (long long)offsets[n], (long long)a.dim[0]);
    for (int64_t i = 0; i < n; i++)
        if (offsets[i] > offsets[i + 1] || offsets[i + 1] - offsets[i] > INT32_MAX)
            return refuse(d, TL_E_SHAPE, "%s: in[%d]: row %lld begins at step %lld and ends at %lld", who, k,
                          (long long)i, (long long)offsets[i], (long long)offsets[i + 1]);
    return add_data(d, &f, a.data, a.dim[0], n ? offsets : &none, n, who);
}

/* The first element that cannot be a weight, -1 if all can. */
static int64_t find_unfit(const void *data, tl_dtype dtype, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(tl_element(data, dtype, i) >= 0) || isinf(tl_element(data, dtype, i))) return i;
    return -1;
}

static tl_status weight_status(double w) { return isfinite(w) ? TL_E_ARGUMENT : TL_E_NONFINITE; }

int tl_dataset_weights_opt(tl_dataset *d, tl_array a, const tl_field_opts *o)
{
    static const char who[] = "tl_dataset_weights";
    tl_field f;
    if (!begin(d, a.rank == 2 ? TL_SEQUENCES : TL_ROWS, o, &f, who)) return -1;
    if (a.rank < 0) return add_absent(d, &f);
    if (a.rank > 2) return refuse(d, TL_E_SHAPE, "%s: weights are of samples [N] or of steps [N, T]", who);
    if (!read_shape(d, &f, &a, a.rank == 2 ? 2 : 1, who)) return -1;
    if (a.dtype == TL_I32 && !(o && o->dtype)) f.to = TL_F32;
    f.weights = true;
    const int64_t steps = a.dim[0] * f.steps, bad = find_unfit(a.data, a.dtype, steps);
    if (bad >= 0) {
        const double w = tl_element(a.data, a.dtype, bad);
        return refuse(d, weight_status(w), "%s: weight %lld is %g", who, (long long)bad, w);
    }
    return add_data(d, &f, a.data, steps, NULL, a.dim[0], who);
}

/* ---- fields that follow from others ------------------------------------------------------------------------- */

/* As begin, for a field that follows from field k. */
static bool begin_derived(tl_dataset *d, tl_field_kind kind, int k, const tl_field_opts *o, tl_field *f,
                          const char *who)
{
    if (!begin(d, kind, o, f, who)) return false;
    if (k < 0 || k >= d->n_fields) return refuse(d, TL_E_ARGUMENT, "%s: there is no field %d", who, k), false;
    f->of = k;
    const tl_field *base = &d->field[k];
    if (kind == TL_CLASS_WEIGHTS ? base->kind > TL_RAGGED : base->kind != TL_RAGGED)
        return refuse(d, TL_E_ARGUMENT, "%s: field %d has no %s", who, k,
                      kind == TL_CLASS_WEIGHTS ? "data" : "rows of different lengths"),
               false;
    return true;
}

int tl_dataset_lengths_opt(tl_dataset *d, int k, const tl_field_opts *o)
{
    static const char who[] = "tl_dataset_lengths";
    tl_field f;
    if (!begin_derived(d, TL_LENGTHS, k, o, &f, who)) return -1;
    if (d->field[k].padding == TL_PRE)
        return refuse(d, TL_E_ARGUMENT, "%s: field %d is padded in front; .padding = TL_POST, or a mask, is needed",
                      who, k);
    if (!f.to) f.to = TL_I32;
    return add(d, &f);
}

int tl_dataset_mask_opt(tl_dataset *d, int k, const tl_field_opts *o)
{
    tl_field f;
    if (!begin_derived(d, TL_MASK, k, o, &f, "tl_dataset_mask")) return -1;
    if (!f.to) f.to = TL_F32;
    return add(d, &f);
}

/* All labels are looked up once, from sample `from` on. */
static tl_status check_labels(const tl_dataset *d, const tl_field *f, int64_t from, int64_t to)
{
    const tl_field *labels = &d->field[f->of];
    double w;
    for (int64_t i = from; i < to; i++) {
        const tl_span s = tl_field_span(labels, i, INT64_MAX);
        for (int64_t j = 0; j < s.length; j++) {
            const tl_status status = tl_class_weight(f, labels, s.begin + j, &w);
            if (status) return status;
        }
    }
    return TL_OK;
}

int tl_dataset_class_weights_opt(tl_dataset *d, int k, const double *weight, int n, const tl_field_opts *o)
{
    static const char who[] = "tl_dataset_class_weights";
    tl_field f;
    if (!begin_derived(d, TL_CLASS_WEIGHTS, k, o, &f, who)) return -1;
    if (!weight || n < 1) return refuse(d, TL_E_ARGUMENT, "%s: a weight for each class is needed", who);
    const tl_field *labels = &d->field[k];
    if (labels->rank > 1 || (labels->width > 1 && labels->width != n))
        return refuse(d, TL_E_SHAPE, "%s: the labels of field %d are neither ids nor rows of %d", who, k, n);
    const int64_t bad = find_unfit(weight, TL_F64, n);
    if (bad >= 0)
        return refuse(d, weight_status(weight[bad]), "%s: that of class %lld is %g", who, (long long)bad, weight[bad]);
    if (!f.to) f.to = TL_F32;
    if (f.to == TL_I32) return refuse(d, TL_E_DTYPE, "%s: weights are floats", who);
    int64_t room;
    if (!copy(&f.weight, &room, weight, n, sizeof *weight)) return refuse(d, TL_E_MEMORY, "%s: out of memory", who);
    f.classes = n;
    const tl_status status = check_labels(d, &f, 0, d->n);
    if (!status) return add(d, &f);
    tl_resize(f.weight, (size_t)room * sizeof *weight, 0);
    return refuse(d, status, "%s", tl_message());
}

/* ---- sample by sample --------------------------------------------------------------------------------------- */

static int64_t steps_in(const tl_field *f, int64_t n) { return f->offsets ? f->offsets[n] : n * f->steps; }

static size_t step_bytes(const tl_field *f) { return (size_t)f->width * tl_element_size(f->from); }

/* Is this a sample of field k? */
static tl_status check_sample(const tl_field *f, int k, const tl_array *a)
{
    static const char who[] = "tl_dataset_append";
    if (!f->own) return tl_report(TL_E_ARGUMENT, "%s: the data of in[%d] are the caller's (no .copy)", who, k);
    if (a->dtype != f->from) return tl_report(TL_E_DTYPE, "%s: in[%d] has another element type", who, k);
    const int outer = f->kind == TL_ROWS ? 0 : 1;
    bool good = a->rank == f->rank + outer && (!outer || (a->dim[0] >= 0 && a->dim[0] <= INT32_MAX));
    good = good && (f->kind != TL_SEQUENCES || a->dim[0] == f->steps);
    for (int i = 0; good && i < f->rank; i++) good = a->dim[outer + i] == f->dim[i];
    if (!good) return tl_report(TL_E_SHAPE, "%s: in[%d] has another shape", who, k);
    const int64_t steps = outer ? a->dim[0] : 1;
    if (steps && !a->data) return tl_report(TL_E_ARGUMENT, "%s: in[%d] has no data", who, k);
    if (f->weights && find_unfit(a->data, a->dtype, steps) >= 0)
        return tl_report(TL_E_NONFINITE, "%s: in[%d] is no weight", who, k);
    return TL_OK;
}

/* Writes the sample behind the n that are there. */
static bool put_sample(tl_field *f, int64_t n, const tl_array *a)
{
    const int64_t steps = f->kind == TL_ROWS ? 1 : a->dim[0], before = steps_in(f, n) * f->width;
    int64_t more;
    const size_t size = tl_element_size(f->from);
    if (__builtin_mul_overflow(steps, f->width, &more) || !tl_make_room(&f->data, &f->room, before, more, size))
        return false;
    if (f->offsets && !tl_make_room(&f->offsets, &f->offsets_room, n + 1, 1, sizeof *f->offsets)) return false;
    if (more) memcpy((char *)(uintptr_t)f->data + (size_t)before * size, a->data, (size_t)more * size);
    if (f->offsets) ((int64_t *)(uintptr_t)f->offsets)[n + 1] = steps_in(f, n) + steps;
    return true;
}

tl_status tl_dataset_append(tl_dataset *d, const tl_array *sample, int n)
{
    static const char who[] = "tl_dataset_append";
    tl_status status = tl_dataset_check(d, who);
    if (status) return status;
    if (d->is_source || d->of || d->n < 0 || n < 0 || !sample)
        return tl_report(TL_E_ARGUMENT, "%s: a sample, and a dataset with fields of its own are needed", who);
    int at = 0;
    for (int k = 0; !status && k < d->n_fields; k++) {
        if (d->field[k].kind > TL_RAGGED) continue;
        status = at < n ? check_sample(&d->field[k], k, &sample[at])
                        : tl_report(TL_E_ARGUMENT, "%s: only %d arrays", who, n);
        at++;
    }
    if (!status && at < n) status = tl_report(TL_E_ARGUMENT, "%s: %d arrays for %d fields with data", who, n, at);
    at = 0;
    for (int k = 0; !status && k < d->n_fields; k++)
        if (d->field[k].kind <= TL_RAGGED && !put_sample(&d->field[k], d->n, &sample[at++]))
            status = tl_report(TL_E_MEMORY, "%s: out of memory", who);
    for (int k = 0; !status && k < d->n_fields; k++)
        if (d->field[k].kind == TL_CLASS_WEIGHTS) status = check_labels(d, &d->field[k], d->n, d->n + 1);
    if (!status) d->n++;
    return status;
}

void tl_dataset_drop(tl_dataset *d, int64_t n)
{
    for (int k = 0; k < d->n_fields; k++) {
        tl_field *f = &d->field[k];
        if (f->kind > TL_RAGGED || !n) continue;
        const int64_t from = steps_in(f, n), to = steps_in(f, d->n);
        char *data = (char *)(uintptr_t)f->data;
        if (to > from) memmove(data, data + (size_t)from * step_bytes(f), (size_t)(to - from) * step_bytes(f));
        int64_t *offsets = (int64_t *)(uintptr_t)f->offsets;
        for (int64_t i = 0; offsets && i <= d->n - n; i++) offsets[i] = offsets[i + n] - from;
    }
    d->n -= n;
}
