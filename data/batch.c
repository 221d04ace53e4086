/* data/batch.c - samples put together as a batch: time-major, padded, with what follows from them. */
#include "data/dataset.h"

#include <math.h>

tl_span tl_field_span(const tl_field *f, int64_t sample, int64_t T)
{
    if (f->kind != TL_RAGGED) return (tl_span){ sample * f->steps, f->steps, 0 };
    tl_span s = { f->offsets[sample], f->offsets[sample + 1] - f->offsets[sample], 0 };
    if (s.length > f->maxlen) {
        if (f->truncating == TL_PRE) s.begin += s.length - f->maxlen;
        s.length = f->maxlen;
    }
    if (f->padding == TL_PRE) s.before = T - s.length;
    return s;
}

tl_status tl_class_weight(const tl_field *table, const tl_field *labels, int64_t step, double *out)
{
    const int64_t at = step * labels->width;
    double label = tl_element(labels->data, labels->from, at);
    if (labels->width > 1) {
        double most = label;
        label = 0;
        for (int64_t i = 1; i < labels->width; i++) {
            const double v = tl_element(labels->data, labels->from, at + i);
            if (v > most) most = v, label = (double)i;
        }
    }
    if (!(label >= 0 && label < table->classes && label == floor(label)))
        return tl_report(TL_E_INDEX,
                         "tl_dataset_class_weights: label %lld of field %d is %g; there are weights for %d classes",
                         (long long)step, table->of, label, table->classes);
    *out = table->weight[(int)label];
    return TL_OK;
}

/* ---- room --------------------------------------------------------------------------------------------------- */

/* The most steps that a sample of d has, at least 1. */
static int64_t longest(const tl_dataset *d, const tl_field *f)
{
    if (f->full && f->maxlen < INT64_MAX) return f->maxlen;
    int64_t most = 1;
    if (f->full) d = d->root;
    for (int64_t i = 0; f->kind == TL_RAGGED && i < d->n; i++) {
        const int64_t n = tl_field_span(f, tl_dataset_number(d, i), 0).length;
        if (n > most) most = n;
    }
    return f->kind == TL_RAGGED ? most : f->steps;
}

tl_status tl_batch_reserve(tl_batch_room *room, const tl_dataset *d, int64_t B)
{
    room->n = d->root->n_fields;
    for (int k = 0; k < room->n; k++) {
        const tl_field *f = &d->root->field[k];
        if (f->kind == TL_NO_FIELD) continue;
        room->longest[k] = f->of == k ? longest(d, f) : room->longest[f->of];
        int64_t size = (int64_t)tl_element_size(f->to);
        bool good = !__builtin_mul_overflow(size, B, &size) && !__builtin_mul_overflow(size, f->width, &size);
        if (f->kind != TL_LENGTHS) good = good && !__builtin_mul_overflow(size, room->longest[k], &size);
        if (!good || !tl_make_room(&room->field[k].data, &room->field[k].bytes, 0, size, 1))
            return tl_report(TL_E_MEMORY, "out of memory for in[%d]: batches of %lld rows, %lld steps", k, (long long)B,
                             (long long)room->longest[k]);
    }
    return TL_OK;
}

void tl_batch_room_free(tl_batch_room *room)
{
    for (int k = 0; k < TL_MAX_FIELDS; k++) tl_resize(room->field[k].data, (size_t)room->field[k].bytes, 0);
}

/* ---- one field ---------------------------------------------------------------------------------------------- */

/* Step `step` of the data of f as element or vector number `to` of out. */
static void copy_step(const tl_field *f, int64_t step, char *out, int64_t to)
{
    const int64_t n = f->width;
    const size_t size = tl_element_size(f->from);
    const char *data = f->data;
    if (f->from != f->to)
        for (int64_t i = 0; i < n; i++) tl_set_element(out, f->to, to * n + i, tl_element(data, f->from, step * n + i));
    else if (n == 1 && size == sizeof(int32_t)) memcpy(out + 4 * to, data + 4 * step, 4);
    else memcpy(out + (size_t)(to * n) * size, data + (size_t)(step * n) * size, (size_t)n * size);
}

static void fill(const tl_field *f, double value, char *out, int64_t to)
{
    for (int64_t i = 0; i < f->width; i++) tl_set_element(out, f->to, to * f->width + i, value);
}

/* Row b of T steps of B rows: what the field has for the steps of its sample, and padding. */
static tl_status lay_row(const tl_field *f, const tl_field *base, tl_span s, int64_t b, int64_t B, int64_t T, char *out)
{
    const double padding = f == base ? f->value : 0;
    double w;
    tl_status status = TL_OK;
    for (int64_t t = 0; t < s.before; t++) fill(f, padding, out, t * B + b);
    for (int64_t t = s.before + s.length; t < T; t++) fill(f, padding, out, t * B + b);
    for (int64_t i = 0; i < s.length; i++) {
        const int64_t to = (s.before + i) * B + b;
        if (f == base) {
            copy_step(f, s.begin + i, out, to);
        } else if (f->kind == TL_MASK) {
            fill(f, 1, out, to);
        } else {
            if (!status) status = tl_class_weight(f, base, s.begin + i, &w);
            if (!status) fill(f, w, out, to);
        }
    }
    return status;
}

static tl_array describe(const tl_field *f, const tl_field *base, int64_t B, int64_t T, void *data)
{
    tl_array a = { .dtype = f->to, .data = data };
    const bool steps = f->kind != TL_LENGTHS && base->kind != TL_ROWS;
    a.batch_axis = steps ? 1 : TL_ZERO;
    if (steps) a.dim[a.rank++] = T;
    a.dim[a.rank++] = B;
    for (int i = 0; i < f->rank; i++) a.dim[a.rank++] = f->dim[i];
    return a;
}

/* The steps of a batch of a field. */
static int64_t steps_of(const tl_field *f, int64_t longest, const int64_t *samples, int64_t B)
{
    if (f->kind != TL_RAGGED || f->full) return longest;
    int64_t T = 1;
    for (int64_t b = 0; b < B; b++) {
        const int64_t n = tl_field_span(f, samples[b], 0).length;
        if (n > T) T = n;
    }
    return T;
}

tl_status tl_batch_fill(const tl_batch_room *room, const tl_dataset *d, const int64_t *samples, int64_t B,
                        tl_batch *out)
{
    const tl_dataset *root = d->root;
    tl_status status = TL_OK;
    for (int64_t b = 0; b < B; b++)
        if (samples[b] >= root->n)
            return tl_report(TL_E_INDEX, "sample %lld is no longer there", (long long)samples[b]);
    for (int k = 0; !status && k < room->n; k++) {
        const tl_field *f = &root->field[k], *base = &root->field[f->of];
        char *data = room->field[k].data;
        out->in[k] = TL_ABSENT_ARRAY;
        if (f->kind == TL_NO_FIELD) continue;
        const int64_t T = steps_of(base, room->longest[k], samples, B);
        out->in[k] = describe(f, base, B, T, data);
        for (int64_t b = 0; !status && b < B; b++) {
            const tl_span s = tl_field_span(base, samples[b], T);
            if (f->kind == TL_LENGTHS) tl_set_element(data, f->to, b, (double)s.length);
            else status = lay_row(f, base, s, b, B, T, data);
        }
    }
    out->n = room->n;
    out->samples = B;
    return status;
}
