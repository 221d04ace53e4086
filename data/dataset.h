/* data/dataset.h - datasets as they are kept. Private to data/. */
#ifndef TL_DATASET_H
#define TL_DATASET_H

#include <stdatomic.h>
#include <string.h>

#include "data/internal.h"

typedef enum tl_field_kind {
    TL_ROWS,
    TL_SEQUENCES,
    TL_RAGGED,
    TL_LENGTHS,
    TL_MASK,
    TL_CLASS_WEIGHTS,
    TL_NO_FIELD
} tl_field_kind;

/* All data are sequences of steps: a row is a sequence of one, and only ragged ones differ in length. */
typedef struct tl_field {
    tl_field_kind kind;
    tl_dtype from, to; /* types of the data, of the batches */
    int rank;          /* of a step, and its shape */
    int64_t dim[TL_MAX_RANK];
    int64_t width, steps; /* elements of a step; steps of a sequence (rows: 1; ragged: 0) */
    const void *data;
    const int64_t *offsets;     /* of ragged rows */
    int64_t room, offsets_room; /* elements, where data and offsets are the dataset's own */
    bool own, weights;          /* are they? Are they weights? */
    int64_t maxlen;             /* INT64_MAX: none */
    bool full;
    tl_side padding, truncating;
    double value;
    int of;         /* the field that this one follows from; its own number if it has data */
    double *weight; /* of the classes */
    int classes;
} tl_field;

struct tl_dataset {
    _Atomic int users;     /* whoever made it, its views, its loaders */
    tl_dataset *of, *root; /* what a view is taken of, and where that ends: there the fields are */
    int64_t n, from;       /* sample i has number index[i] in the data; without index, from + i. n -1: not known yet */
    const int64_t *index;
    int64_t *own_index;
    tl_field field[TL_MAX_FIELDS];
    int n_fields;
    tl_status status;
    char message[256];
    bool is_source;
    tl_source source;
};

tl_dataset *tl_dataset_retain(tl_dataset *d);

/* The first samples go. */
void tl_dataset_drop(tl_dataset *d, int64_t n);

/* Reports why nothing can be made of a dataset: none, or one with an error. */
tl_status tl_dataset_check(const tl_dataset *d, const char *who);

static inline int64_t tl_dataset_number(const tl_dataset *d, int64_t i) { return d->index ? d->index[i] : d->from + i; }

/* ---- batch.c: samples to batches ---------------------------------------------------------------------------- */

/* Where a sample's steps lie in a field's data, and how many steps of padding come before them among T. */
typedef struct tl_span {
    int64_t begin, length, before;
} tl_span;
tl_span tl_field_span(const tl_field *f, int64_t sample, int64_t T);

/* The weight of the class of step `step` (counted through all the data) of the labels f. TL_E_INDEX: not in the table. */
tl_status tl_class_weight(const tl_field *table, const tl_field *labels, int64_t step, double *out);

/* Memory that batches are put together in. */
typedef struct tl_batch_room {
    struct {
        char *data;
        int64_t bytes;
    } field[TL_MAX_FIELDS];
    int64_t longest[TL_MAX_FIELDS]; /* most steps of a field's samples */
    int n;
} tl_batch_room;

/* Makes room for any batch of up to B samples of d. */
tl_status tl_batch_reserve(tl_batch_room *room, const tl_dataset *d, int64_t B);
tl_status tl_batch_fill(const tl_batch_room *room, const tl_dataset *d, const int64_t *samples, int64_t B,
                        tl_batch *out);
void tl_batch_room_free(tl_batch_room *room);

/* ---- loader.c ----------------------------------------------------------------------------------------------- */

enum { TL_BATCH_ROWS = 32 }; /* the default */

/* For a reader of windows: the loader uses the first `limit` samples alone, in an order of its own for each seed. */
void tl_loader_window(tl_loader *l, int64_t limit, uint64_t seed);

#endif
