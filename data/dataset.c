/* data/dataset.c - datasets: their lives, and views that share the data. */
#include "data/dataset.h"

#include <math.h>

static tl_dataset *dataset_alloc(void)
{
    tl_dataset *d = tl_resize(NULL, 0, sizeof *d);
    if (!d) return tl_report(TL_E_MEMORY, "out of memory for a dataset"), NULL;
    *d = (tl_dataset){ .users = 1, .root = d, .n = -1 };
    return d;
}

tl_dataset *tl_dataset_new(void) { return dataset_alloc(); }

tl_dataset *tl_dataset_of(tl_source source)
{
    tl_dataset *d = NULL;
    if (source.start && source.next) d = dataset_alloc();
    else tl_report(TL_E_ARGUMENT, "tl_dataset_of: a source has functions to start and for the next batch");
    if (d) {
        d->is_source = true;
        d->source = source;
    } else if (source.free) {
        source.free(source.self);
    }
    return d;
}

tl_dataset *tl_dataset_retain(tl_dataset *d)
{
    d->users++;
    return d;
}

static void field_free(tl_field *f)
{
    if (f->own) tl_resize((void *)(uintptr_t)f->data, (size_t)f->room * tl_element_size(f->from), 0);
    if (f->own) tl_resize((void *)(uintptr_t)f->offsets, (size_t)f->offsets_room * sizeof *f->offsets, 0);
    tl_resize(f->weight, (size_t)f->classes * sizeof *f->weight, 0);
}

void tl_dataset_free(tl_dataset *d)
{
    while (d && --d->users == 0) {
        tl_dataset *of = d->of;
        for (int k = 0; k < d->n_fields; k++) field_free(&d->field[k]);
        if (d->is_source && d->source.free) d->source.free(d->source.self);
        if (d->own_index) tl_resize(d->own_index, (size_t)d->n * sizeof *d->own_index, 0);
        tl_resize(d, sizeof *d, 0);
        d = of;
    }
}

/* ---- looking ------------------------------------------------------------------------------------------------ */

tl_status tl_dataset_check(const tl_dataset *d, const char *who)
{
    if (!d) return tl_report(TL_E_ARGUMENT, "%s: there is no dataset", who);
    if (!d->status) d = d->root;
    return d->status ? tl_report(d->status, "%s", d->message) : TL_OK;
}

tl_status tl_dataset_status(const tl_dataset *d) { return tl_dataset_check(d, "tl_dataset_status"); }

int64_t tl_dataset_samples(const tl_dataset *d) { return !d || d->is_source ? -1 : d->n < 0 ? 0 : d->n; }

int tl_dataset_fields(const tl_dataset *d) { return !d || d->is_source ? -1 : d->root->n_fields; }

bool tl_dataset_is_source(const tl_dataset *d) { return d && d->is_source; }

int64_t tl_dataset_sample(const tl_dataset *d, int64_t i)
{
    return i >= 0 && i < tl_dataset_samples(d) ? tl_dataset_number(d, i) : -1;
}

/* ---- views -------------------------------------------------------------------------------------------------- */

static tl_status check_viewed(const tl_dataset *d, const char *who)
{
    const tl_status status = tl_dataset_check(d, who);
    if (status) return status;
    if (d->is_source)
        return tl_report(TL_E_ARGUMENT, "%s: a dataset made of a source is read in its order, and has no parts", who);
    return d->n < 0 ? tl_report(TL_E_ARGUMENT, "%s: the dataset has no fields yet", who) : TL_OK;
}

static tl_dataset *view(tl_dataset *d, int64_t n)
{
    tl_dataset *v = dataset_alloc();
    if (!v) return NULL;
    v->of = tl_dataset_retain(d);
    v->root = d->root;
    v->n = n;
    return v;
}

static tl_status no_place(const char *who)
{
    return tl_report(TL_E_ARGUMENT, "%s: a place for the dataset is needed", who);
}

tl_status tl_dataset_slice(tl_dataset *d, int64_t from, int64_t to, tl_dataset **out)
{
    if (!out) return no_place("tl_dataset_slice");
    *out = NULL;
    const tl_status status = check_viewed(d, "tl_dataset_slice");
    if (status) return status;
    if (from < 0 || from > to || to > d->n)
        return tl_report(TL_E_INDEX, "tl_dataset_slice: %lld ... %lld is no part of %lld samples", (long long)from,
                         (long long)to, (long long)d->n);
    tl_dataset *v = *out = view(d, to - from);
    if (!v) return TL_E_MEMORY;
    v->from = d->from + from;
    v->index = d->index ? d->index + from : NULL;
    return TL_OK;
}

tl_status tl_dataset_take(tl_dataset *d, const int64_t *samples, int64_t n, tl_dataset **out)
{
    if (!out) return no_place("tl_dataset_take");
    *out = NULL;
    const tl_status status = check_viewed(d, "tl_dataset_take");
    if (status) return status;
    size_t bytes;
    if (n < 0 || (n && !samples) || __builtin_mul_overflow((size_t)n, sizeof *samples, &bytes))
        return tl_report(TL_E_ARGUMENT, "tl_dataset_take: numbers of samples are needed");
    for (int64_t i = 0; i < n; i++)
        if (samples[i] < 0 || samples[i] >= d->n)
            return tl_report(TL_E_INDEX, "tl_dataset_take: number %lld is %lld; there are %lld samples", (long long)i,
                             (long long)samples[i], (long long)d->n);
    int64_t *index = n ? tl_resize(NULL, 0, bytes) : NULL;
    tl_dataset *v = index || !n ? view(d, n) : NULL;
    if (!v) {
        tl_resize(index, bytes, 0);
        return tl_report(TL_E_MEMORY, "tl_dataset_take: out of memory");
    }
    for (int64_t i = 0; i < n; i++) index[i] = tl_dataset_number(d, samples[i]);
    v->index = v->own_index = index;
    *out = v;
    return TL_OK;
}

tl_status tl_dataset_split(tl_dataset *d, double share, tl_dataset **training, tl_dataset **validation)
{
    if (!training || !validation) return no_place("tl_dataset_split");
    *training = *validation = NULL;
    tl_status status = check_viewed(d, "tl_dataset_split");
    if (status) return status;
    const double first = share > 0 && share < 1 ? floor((double)d->n * (1 - share)) : 0;
    if (first < 1 || first >= (double)d->n)
        return tl_report(TL_E_ARGUMENT, "tl_dataset_split: a share of %g leaves one part of %lld samples empty", share,
                         (long long)d->n);
    status = tl_dataset_slice(d, 0, (int64_t)first, training);
    if (!status) status = tl_dataset_slice(d, (int64_t)first, d->n, validation);
    if (!status) return TL_OK;
    tl_dataset_free(*training);
    *training = NULL;
    return status;
}
