/* data/loader.c - epochs of batches: the order of samples, and where an epoch stands. */
#include "data/dataset.h"

#include <stdlib.h>

struct tl_loader {
    tl_dataset *data;
    tl_loader_opts o;
    int64_t limit;          /* only the first samples of the data */
    int64_t n, at, largest; /* samples of this epoch; the next one; rows of its batches */
    bool started;
    int64_t *order; /* of the epoch's samples; without order they come as they are */
    int64_t *index; /* of the rows of the batch, and their numbers in the data */
    int64_t *number;
    uint64_t *keys; /* to be sorted */
    int64_t order_room, index_room, number_room, keys_room;
    tl_batch_room room;
};

/* ---- making and freeing ------------------------------------------------------------------------------------- */

static tl_status check_options(const tl_dataset *d, tl_loader_opts *o)
{
    if (d->is_source) {
        if (o->batch || o->drop_last || o->shuffle || o->buckets || o->sort_rows || o->by)
            return tl_report(TL_E_ARGUMENT,
                             "tl_loader_new: a dataset made of a source has its batches and its order; they "
                             "cannot be shuffled, sorted or resized");
        return TL_OK;
    }
    if (!o->batch) o->batch = TL_BATCH_ROWS;
    if (o->batch < 1 || o->buckets < 0)
        return tl_report(TL_E_ARGUMENT, "tl_loader_new: batches of %lld rows, in windows of %lld", (long long)o->batch,
                         (long long)o->buckets);
    if (d->n < 0) return tl_report(TL_E_ARGUMENT, "tl_loader_new: the dataset has no field with data");
    const tl_field *f = d->root->field;
    const bool chosen = o->by != 0;
    if (chosen) o->by = o->by == TL_ZERO ? 0 : o->by;
    while (!chosen && o->by + 1 < d->root->n_fields && f[o->by].kind != TL_RAGGED) o->by++;
    if ((o->buckets || o->sort_rows || chosen) &&
        (o->by < 0 || o->by >= d->root->n_fields || f[o->by].kind != TL_RAGGED))
        return tl_report(TL_E_ARGUMENT, "tl_loader_new: %s",
                         chosen ? "field .by has no rows of different lengths"
                                : "no field has rows of different lengths to sort by");
    return TL_OK;
}

tl_status tl_loader_new_opt(tl_dataset *d, tl_loader **out, const tl_loader_opts *o)
{
    static const tl_loader_opts none;
    tl_loader_opts opts = o ? *o : none;
    if (!out) return tl_report(TL_E_ARGUMENT, "tl_loader_new: a place for the loader is needed");
    *out = NULL;
    tl_status status = tl_dataset_check(d, "tl_loader_new");
    if (!status) status = check_options(d, &opts);
    if (status) return status;
    tl_loader *l = tl_resize(NULL, 0, sizeof *l);
    if (!l) return tl_report(TL_E_MEMORY, "tl_loader_new: out of memory");
    *l = (tl_loader){ .data = tl_dataset_retain(d), .o = opts, .limit = INT64_MAX };
    if (!d->is_source) status = tl_loader_start(l, 0, 0);
    if (!status) return *out = l, TL_OK;
    tl_loader_free(l);
    return status;
}

void tl_loader_free(tl_loader *l)
{
    if (!l) return;
    tl_dataset_free(l->data);
    tl_resize(l->order, (size_t)l->order_room * sizeof *l->order, 0);
    tl_resize(l->index, (size_t)l->index_room * sizeof *l->index, 0);
    tl_resize(l->number, (size_t)l->number_room * sizeof *l->number, 0);
    tl_resize(l->keys, (size_t)l->keys_room * sizeof *l->keys, 0);
    tl_batch_room_free(&l->room);
    tl_resize(l, sizeof *l, 0);
}

void tl_loader_window(tl_loader *l, int64_t limit, uint64_t seed)
{
    l->limit = limit;
    l->o.seed = seed;
}

/* ---- order -------------------------------------------------------------------------------------------------- */

static int64_t draw(tl_random *r, int64_t n) { return (int64_t)(tl_random_next(r) * (double)n); }

static void swap(int64_t *a, int64_t *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const int64_t x = a[i];
        a[i] = b[i];
        b[i] = x;
    }
}

/* Fisher and Yates, of the first n blocks of `size`. */
static void shuffle(tl_random *r, int64_t *order, int64_t n, int64_t size)
{
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = draw(r, i + 1);
        if (i != j) swap(order + i * size, order + j * size, size);
    }
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int64_t length_of(const tl_loader *l, int64_t i)
{
    return tl_field_span(&l->data->root->field[l->o.by], tl_dataset_number(l->data, i), 0).length;
}

/* Sorts n samples by their length; equal ones keep their order. A key is a length (or how much less than the most it is),
 * then the place; the samples wait behind the keys. */
static void sort(tl_loader *l, int64_t *sample, int64_t n, bool longest_first)
{
    uint64_t *key = l->keys, *old = key + n;
    for (int64_t i = 0; i < n; i++) {
        const uint64_t length = (uint64_t)length_of(l, sample[i]);
        key[i] = (longest_first ? INT32_MAX - length : length) << 32 | (uint64_t)i;
        old[i] = (uint64_t)sample[i];
    }
    qsort(key, (size_t)n, sizeof *key, compare);
    for (int64_t i = 0; i < n; i++) sample[i] = (int64_t)old[key[i] & UINT32_MAX];
}

static int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

/* Samples that are sorted together. */
static int64_t window_of(const tl_loader *l)
{
    int64_t window;
    if (__builtin_mul_overflow(l->o.buckets, l->o.batch, &window)) window = INT64_MAX;
    return at_most(at_most(window, l->n), UINT32_MAX);
}

static bool room_for(void *p, int64_t *room, int64_t n) { return tl_make_room(p, room, 0, n, sizeof(int64_t)); }

static tl_status reserve(tl_loader *l)
{
    const bool ordered = l->o.shuffle || l->o.buckets;
    const int64_t B = l->largest, window = l->o.buckets ? window_of(l) : 0, sorted = window > B ? window : B;
    bool good = room_for(&l->index, &l->index_room, B) && room_for(&l->number, &l->number_room, B);
    if (ordered) good = good && room_for(&l->order, &l->order_room, l->n);
    if (l->o.buckets || l->o.sort_rows)
        good = good && sorted <= UINT32_MAX && room_for(&l->keys, &l->keys_room, 2 * sorted);
    if (!good)
        return tl_report(TL_E_MEMORY, "tl_loader_start: out of memory for the order of %lld samples", (long long)l->n);
    return tl_batch_reserve(&l->room, l->data, B);
}

/* The order of an epoch. Each epoch has 2^34 numbers of the stream that belongs to the seed. */
static void arrange(tl_loader *l, uint64_t epoch)
{
    if (!l->o.shuffle && !l->o.buckets) return;
    tl_random r = { .key = l->o.seed, .counter = epoch << 34 };
    for (int64_t i = 0; i < l->n; i++) l->order[i] = i;
    if (l->o.shuffle) shuffle(&r, l->order, l->n, 1);
    if (!l->o.buckets) return;
    const int64_t window = window_of(l);
    for (int64_t i = 0; i < l->n; i += window) sort(l, l->order + i, at_most(window, l->n - i), false);
    if (l->o.shuffle) shuffle(&r, l->order, l->n / l->o.batch, l->o.batch);
}

/* ---- epochs ------------------------------------------------------------------------------------------------- */

tl_status tl_loader_start(tl_loader *l, uint64_t epoch, int64_t skip)
{
    if (!l || skip < 0)
        return tl_report(TL_E_ARGUMENT, "tl_loader_start: a loader is needed, and no less than 0 batches to skip");
    l->started = true;
    if (l->data->is_source) return l->data->source.start(l->data->source.self, epoch, skip);
    l->n = at_most(l->data->n, l->limit);
    l->largest = at_most(l->o.batch, l->n);
    const tl_status status = reserve(l);
    if (status) {
        l->at = l->n = 0;
        return status;
    }
    arrange(l, epoch);
    if (__builtin_mul_overflow(skip, l->o.batch, &l->at)) l->at = l->n;
    l->at = at_most(l->at, l->n);
    return TL_OK;
}

static tl_status next_of_source(tl_loader *l, tl_batch *out)
{
    const tl_source *s = &l->data->source;
    tl_status status = l->started ? TL_OK : tl_loader_start(l, 0, 0);
    if (!status) status = s->next(s->self, out);
    if (!status && (out->n < 0 || out->n > TL_MAX_FIELDS || out->samples < 0))
        status = tl_report(TL_E_ARGUMENT, "a source gave %d inputs of %lld rows", out->n, (long long)out->samples);
    return status;
}

static tl_status next(tl_loader *l, tl_batch *out)
{
    const int64_t B = at_most(l->o.batch, l->n - l->at);
    if (B < (l->o.drop_last ? l->o.batch : 1)) return TL_OK;
    for (int64_t b = 0; b < B; b++) l->index[b] = l->order ? l->order[l->at + b] : l->at + b;
    if (l->o.sort_rows) sort(l, l->index, B, true);
    for (int64_t b = 0; b < B; b++) l->number[b] = tl_dataset_number(l->data, l->index[b]);
    const tl_status status = tl_batch_fill(&l->room, l->data, l->number, B, out);
    out->index = l->index;
    l->at += B;
    return status;
}

tl_status tl_loader_next(tl_loader *l, tl_batch *out)
{
    if (!out) return tl_report(TL_E_ARGUMENT, "tl_loader_next: a place for the batch is needed");
    *out = (tl_batch){ 0 };
    if (!l) return tl_report(TL_E_ARGUMENT, "tl_loader_next: there is no loader");
    const tl_status status = l->data->is_source ? next_of_source(l, out) : next(l, out);
    if (status) *out = (tl_batch){ 0 };
    return status;
}

int64_t tl_loader_batches(const tl_loader *l)
{
    if (!l) return -1;
    const tl_source *s = &l->data->source;
    if (l->data->is_source) return s->batches ? s->batches(s->self) : -1;
    const int64_t n = at_most(l->data->n, l->limit);
    return n / l->o.batch + (!l->o.drop_last && n % l->o.batch);
}
