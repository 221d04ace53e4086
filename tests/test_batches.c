/* tests/test_batches.c - datasets, their views, loaders, and sources of batches: streams, and files larger than memory. */
#include "tests/data_support.h"

#include <math.h>

#include "data/dataset.h"

/* ---- random samples -------------------------------------------------------------------------------------------- */

static uint64_t state = 1;

static int64_t draw(int64_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((state >> 33) % (uint64_t)n);
}

/* N samples of each kind. Rows of words have 0 to 9 steps; those of vectors, of tags and of one-hot tags are as long. */
enum { MOST = 60, LONG = 9, D = 3, STEPS = 5, CLASSES = 4 };
static const double class_weight[CLASSES] = { 0.5, 2, 0, 1.25 };

typedef struct samples {
    int64_t n, offsets[MOST + 1];
    int32_t words[MOST * LONG], tags[MOST * LONG], label[MOST];
    float vectors[MOST * LONG][D], one_hot[MOST][CLASSES], weight[MOST], row[MOST][2][D];
    double sequence[MOST][STEPS][D], step_weight[MOST][STEPS];
} samples;

static void make_samples(samples *s, int64_t n)
{
    *s = (samples){ .n = n };
    int64_t at = s->offsets[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        s->offsets[i + 1] = at += draw(4) ? draw(LONG + 1) : 0;
        s->label[i] = (int32_t)draw(CLASSES);
        for (int c = 0; c < CLASSES; c++) s->one_hot[i][c] = c == s->label[i] ? 0.75f : 0.25f * (float)draw(3);
        s->weight[i] = (float)draw(8) / 4;
        for (int j = 0; j < 2 * D; j++) s->row[i][j / D][j % D] = (float)(i * 10 + j);
        for (int j = 0; j < STEPS * D; j++) s->sequence[i][j / D][j % D] = (double)i * 100 + j;
        for (int j = 0; j < STEPS; j++) s->step_weight[i][j] = (double)draw(9) / 8;
    }
    for (int64_t i = 0; i < at; i++) {
        s->words[i] = (int32_t)(1000 + i);
        s->tags[i] = (int32_t)draw(CLASSES);
        for (int j = 0; j < D; j++) s->vectors[i][j] = (float)(i * 10 + j + 1);
    }
}

static tl_array ids(const int32_t *data, int64_t n) { return tl_array_of(TL_I32, TL_DIMS(n), (void *)(uintptr_t)data); }

/* How ragged rows are laid out, drawn anew. */
static tl_field_opts layout(void)
{
    return (tl_field_opts){ .maxlen = draw(2) ? 1 + draw(LONG + 2) : 0,
                            .full = draw(2),
                            .padding = (tl_side)draw(2),
                            .truncating = (tl_side)draw(2),
                            .value = draw(2) ? -7 : 0 };
}

/* All fields there are, in this order. */
enum {
    WORDS,
    MASK,
    VECTORS,
    TAGS,
    TAG_WEIGHTS,
    LABEL,
    LABEL_WEIGHTS,
    ONE_HOT,
    ONE_HOT_WEIGHTS,
    ROW,
    SEQUENCE,
    WEIGHT,
    STEP_WEIGHT,
    NONE,
    LENGTHS,
    FIELDS
};

static tl_dataset *dataset_of(samples *s, const tl_field_opts *o)
{
    tl_dataset *d = tl_dataset_new();
    const int64_t n = s->n, total = s->offsets[n];
    EQUAL(tl_dataset_ragged_opt(d, ids(s->words, total), s->offsets, n, o), WORDS);
    EQUAL(tl_dataset_mask(d, WORDS), MASK);
    EQUAL(tl_dataset_ragged_opt(d, tl_array_of(TL_F32, TL_DIMS(total, D), s->vectors), s->offsets, n, o), VECTORS);
    EQUAL(tl_dataset_ragged_opt(d, ids(s->tags, total), s->offsets, n, o), TAGS);
    EQUAL(tl_dataset_class_weights(d, TAGS, class_weight, CLASSES, .dtype = TL_F64), TAG_WEIGHTS);
    EQUAL(tl_dataset_rows(d, ids(s->label, n), .dtype = TL_F32), LABEL);
    EQUAL(tl_dataset_class_weights(d, LABEL, class_weight, CLASSES), LABEL_WEIGHTS);
    EQUAL(tl_dataset_rows(d, tl_array_of(TL_F32, TL_DIMS(n, CLASSES), s->one_hot), .copy = true), ONE_HOT);
    EQUAL(tl_dataset_class_weights(d, ONE_HOT, class_weight, CLASSES), ONE_HOT_WEIGHTS);
    EQUAL(tl_dataset_rows(d, tl_array_of(TL_F32, TL_DIMS(n, 2, D), s->row)), ROW);
    EQUAL(tl_dataset_sequences(d, tl_array_of(TL_F64, TL_DIMS(n, STEPS, D), s->sequence), .dtype = TL_F32), SEQUENCE);
    EQUAL(tl_dataset_weights(d, tl_array_of(TL_F32, TL_DIMS(n), s->weight)), WEIGHT);
    EQUAL(tl_dataset_weights(d, tl_array_of(TL_F64, TL_DIMS(n, STEPS), s->step_weight)), STEP_WEIGHT);
    EQUAL(tl_dataset_rows(d, TL_ABSENT_ARRAY), NONE);
    if (o->padding == TL_POST) EQUAL(tl_dataset_lengths(d, WORDS), LENGTHS);
    EQUAL(tl_dataset_status(d), TL_OK);
    EQUAL(tl_dataset_samples(d), n);
    EQUAL(tl_dataset_fields(d), o->padding == TL_PRE ? LENGTHS : FIELDS);
    return d;
}

/* ---- what a batch must hold, from the samples and the options, element by element ------------------------------------- */

static int64_t kept(const samples *s, const tl_field_opts *o, int64_t i)
{
    const int64_t n = s->offsets[i + 1] - s->offsets[i];
    return o->maxlen && n > o->maxlen ? o->maxlen : n;
}

static int64_t steps_wanted(const samples *s, const tl_field_opts *o, const tl_batch *batch)
{
    int64_t most = 1;
    if (o->full && o->maxlen) return o->maxlen;
    for (int64_t j = 0; j < (o->full ? s->n : batch->samples); j++) {
        const int64_t n = kept(s, o, o->full ? j : batch->index[j]);
        if (n > most) most = n;
    }
    return most;
}

/* The place of step t of sample i among all steps; -1: padding. */
static int64_t place(const samples *s, const tl_field_opts *o, int64_t i, int64_t t, int64_t T)
{
    const int64_t n = kept(s, o, i), whole = s->offsets[i + 1] - s->offsets[i];
    const int64_t step = o->padding == TL_PRE ? t - (T - n) : t;
    if (step < 0 || step >= n) return -1;
    return s->offsets[i] + step + (o->truncating == TL_PRE ? whole - n : 0);
}

static double wanted(const samples *s, const tl_field_opts *o, int k, int64_t i, int64_t t, int64_t T, int64_t j)
{
    const int64_t at = place(s, o, i, t, T);
    switch (k) {
    case WORDS: return at < 0 ? o->value : s->words[at];
    case MASK: return at >= 0;
    case VECTORS: return at < 0 ? o->value : s->vectors[at][j];
    case TAGS: return at < 0 ? o->value : s->tags[at];
    case TAG_WEIGHTS: return at < 0 ? 0 : class_weight[s->tags[at]];
    case LABEL: return s->label[i];
    case LABEL_WEIGHTS:
    case ONE_HOT_WEIGHTS: return class_weight[s->label[i]];
    case ONE_HOT: return s->one_hot[i][j];
    case ROW: return s->row[i][j / D][j % D];
    case SEQUENCE: return s->sequence[i][t][j];
    case WEIGHT: return s->weight[i];
    case STEP_WEIGHT: return s->step_weight[i][t];
    default: return (double)kept(s, o, i);
    }
}

/* Type, steps (-1: of ragged rows; 0: none) and shape of each field. */
static const struct {
    tl_dtype dtype;
    int steps, rank;
    int64_t dim[2];
} form[FIELDS] = {
    [WORDS] = { TL_I32, -1 },
    [MASK] = { TL_F32, -1 },
    [VECTORS] = { TL_F32, -1, 1, { D } },
    [TAGS] = { TL_I32, -1 },
    [TAG_WEIGHTS] = { TL_F64, -1 },
    [LABEL] = { TL_F32, 0 },
    [LABEL_WEIGHTS] = { TL_F32, 0 },
    [ONE_HOT] = { TL_F32, 0, 1, { CLASSES } },
    [ONE_HOT_WEIGHTS] = { TL_F32, 0 },
    [ROW] = { TL_F32, 0, 2, { 2, D } },
    [SEQUENCE] = { TL_F32, STEPS, 1, { D } },
    [WEIGHT] = { TL_F32, 0 },
    [STEP_WEIGHT] = { TL_F64, STEPS },
    [LENGTHS] = { TL_I32, 0 },
};

static void field_is_right(const samples *s, const tl_field_opts *o, int k, const tl_batch *batch)
{
    const tl_array *a = &batch->in[k];
    const int64_t B = batch->samples;
    const int64_t T = form[k].steps < 0 ? steps_wanted(s, o, batch) : form[k].steps ? form[k].steps : 1;
    int rank = 0;
    int64_t width = 1;
    EQUAL(a->dtype, form[k].dtype);
    EQUAL(a->rank, !!form[k].steps + 1 + form[k].rank);
    if (form[k].steps) EQUAL(a->dim[rank++], T);
    EQUAL(a->dim[rank++], B);
    EQUAL(a->batch_axis, form[k].steps ? 1 : TL_ZERO);
    for (int i = 0; i < form[k].rank; i++) {
        EQUAL(a->dim[rank++], form[k].dim[i]);
        width *= form[k].dim[i];
    }
    for (int64_t i = 0; i < T * B * width; i++) {
        const int64_t t = i / width / B, b = i / width % B;
        const double got = tl_element(a->data, a->dtype, i), want = wanted(s, o, k, batch->index[b], t, T, i % width);
        cr_assert(got == want, "in[%d] at step %d of row %d: %g, not %g", k, (int)t, (int)b, got, want);
    }
}

static void batch_is_right(const samples *s, const tl_field_opts *o, const tl_batch *batch)
{
    EQUAL(batch->n, o->padding == TL_PRE ? LENGTHS : FIELDS);
    for (int k = 0; k < batch->n; k++)
        if (k != NONE) field_is_right(s, o, k, batch);
    EQUAL(batch->in[NONE].rank, -1);
}

/* ---- contents ------------------------------------------------------------------------------------------------------- */

static tl_batch next(tl_loader *l)
{
    tl_batch b;
    EQUAL(tl_loader_next(l, &b), TL_OK);
    return b;
}

Test(batch, has_every_element_where_the_formula_says)
{
    static samples s;
    for (int trial = 0; trial < 200; trial++) {
        make_samples(&s, 1 + draw(MOST));
        const tl_field_opts o = layout();
        tl_dataset *d = dataset_of(&s, &o);
        tl_loader *l;
        EQUAL(tl_loader_new(d, &l, .batch = 1 + draw(12), .shuffle = draw(2), .seed = (uint64_t)trial,
                            .buckets = draw(3), .sort_rows = draw(2)),
              TL_OK);
        int64_t rows = 0;
        for (int epoch = 0; epoch < 2; epoch++) {
            tl_batch b;
            EQUAL(tl_loader_start(l, (uint64_t)epoch, 0), TL_OK);
            for (b = next(l); b.samples; b = next(l)) {
                batch_is_right(&s, &o, &b);
                rows += b.samples;
            }
        }
        EQUAL(rows, 2 * s.n);
        tl_loader_free(l);
        tl_dataset_free(d);
        EQUAL(tl_live_bytes(), 0);
    }
}

/* The padded matrix of ids of one batch of all rows, time-major, as a text. */
static const char *padded(tl_field_opts o)
{
    static const int32_t words[] = { 1, 2, 3, 4, 5, 6 };
    static const int64_t offsets[] = { 0, 4, 4, 6 };
    static char text[256];
    tl_dataset *d = tl_dataset_new();
    tl_loader *l;
    EQUAL(tl_dataset_ragged_opt(d, ids(words, 6), offsets, 3, &o), 0);
    EQUAL(tl_loader_new(d, &l), TL_OK);
    const tl_batch b = next(l);
    int at = 0;
    for (int64_t t = 0; t < b.in[0].dim[0]; t++, at += snprintf(text + at, sizeof text - (size_t)at, "/"))
        for (int i = 0; i < 3; i++)
            at += snprintf(text + at, sizeof text - (size_t)at, "%d ", ((int32_t *)b.in[0].data)[3 * t + i]);
    tl_loader_free(l);
    tl_dataset_free(d);
    return text;
}

Test(batch, of_ragged_rows_is_padded_by_hand)
{
    cr_assert_str_eq(padded((tl_field_opts){ 0 }), "1 0 0 /2 0 0 /3 0 5 /4 0 6 /");
    cr_assert_str_eq(padded((tl_field_opts){ .padding = TL_POST }), "1 0 5 /2 0 6 /3 0 0 /4 0 0 /");
    cr_assert_str_eq(padded((tl_field_opts){ .maxlen = 3 }), "2 0 0 /3 0 5 /4 0 6 /");
    cr_assert_str_eq(padded((tl_field_opts){ .maxlen = 3, .truncating = TL_POST, .padding = TL_POST, .value = 9 }),
                     "1 9 5 /2 9 6 /3 9 9 /");
    cr_assert_str_eq(padded((tl_field_opts){ .maxlen = 5 }), "1 0 0 /2 0 0 /3 0 5 /4 0 6 /");
    cr_assert_str_eq(padded((tl_field_opts){ .maxlen = 5, .full = true }), "0 0 0 /1 0 0 /2 0 0 /3 0 5 /4 0 6 /");
}

Test(batch, takes_ids_as_the_tokenizer_gives_them)
{
    tl_ragged r = { 0 };
    EQUAL(tl_ragged_add(&r, (int32_t[]){ 4, 5 }, 2), TL_OK);
    EQUAL(tl_ragged_add(&r, NULL, 0), TL_OK);
    EQUAL(tl_ragged_add(&r, (int32_t[]){ 6 }, 1), TL_OK);
    tl_dataset *d = tl_dataset_new();
    tl_loader *l;
    EQUAL(tl_dataset_ids(d, &r, .padding = TL_POST, .value = -1), 0);
    EQUAL(tl_dataset_lengths(d, 0, .dtype = TL_F64), 1);
    EQUAL(tl_loader_new(d, &l), TL_OK);
    const tl_batch b = next(l);
    cr_assert_arr_eq(b.in[0].data, ((int32_t[]){ 4, -1, 6, 5, -1, -1 }), 24);
    cr_assert_arr_eq(b.in[1].data, ((double[]){ 2, 0, 1 }), 24);
    tl_loader_free(l);
    tl_dataset_free(d);
    tl_ragged_free(&r);
    d = tl_dataset_new();
    EQUAL(tl_dataset_ids(d, &r), 0); /* none */
    EQUAL(tl_dataset_samples(d), 0);
    tl_dataset_free(d);
    EQUAL(tl_live_bytes(), 0);
}

/* `.full` means the longest row of all, in views too; what follows from a field is padded with zeros, not with its .value. */
Test(batch, of_a_view_is_as_long_as_the_whole_if_that_is_asked_for)
{
    static const int64_t offsets[] = { 0, 1, 4, 5 };
    tl_dataset *d = tl_dataset_new(), *v;
    tl_loader *l;
    tl_dataset_ragged(d, ids((int32_t[]){ 1, 1, 1, 1, 2 }, 5), offsets, 3, .full = true, .padding = TL_POST, .value = 9,
                      .copy = true);
    tl_dataset_mask(d, 0, .value = 5);
    tl_dataset_class_weights(d, 0, ((double[]){ 1, 2, 3 }), 3, .value = 5);
    EQUAL(tl_dataset_slice(d, 2, 3, &v), TL_OK);
    EQUAL(tl_loader_new(v, &l), TL_OK);
    const tl_batch b = next(l);
    EQUAL(b.in[0].dim[0], 3);
    cr_assert_arr_eq(b.in[0].data, ((int32_t[]){ 2, 9, 9 }), 12);
    cr_assert_arr_eq(b.in[1].data, ((float[]){ 1, 0, 0 }), 12);
    cr_assert_arr_eq(b.in[2].data, ((float[]){ 3, 0, 0 }), 12);
    tl_loader_free(l);
    tl_dataset_free(v);
    tl_dataset_free(d);
}

/* As argmax has it. */
Test(batch, weighs_a_tie_of_classes_as_the_first)
{
    tl_dataset *d = tl_dataset_new();
    tl_loader *l;
    tl_dataset_rows(d, tl_array_of(TL_F32, TL_DIMS(2, 3), ((float[]){ 0, 1, 1, 2, 2, 2 })), .copy = true);
    tl_dataset_class_weights(d, 0, ((double[]){ 1, 2, 3 }), 3);
    EQUAL(tl_loader_new(d, &l), TL_OK);
    const tl_batch b = next(l);
    cr_assert_arr_eq(b.in[1].data, ((float[]){ 2, 1 }), 8);
    tl_loader_free(l);
    tl_dataset_free(d);
}

/* With .full a batch of all rows is what pad_sequences makes, which conformance compares with Keras' own, time-major. */
Test(batch, is_the_transpose_of_pad_sequences)
{
    for (int trial = 0; trial < 50; trial++) {
        const tl_side padding = (tl_side)draw(2), truncating = (tl_side)draw(2);
        const int64_t n = 1 + draw(20), maxlen = draw(2) ? 1 + draw(8) : 0;
        tl_ragged r = { 0 };
        tl_array matrix;
        tl_loader *l;
        for (int64_t i = 0; i < n; i++) EQUAL(tl_ragged_add(&r, (int32_t[]){ 3, 1, 4, 1, 5, 9, 2, 6 }, draw(8)), TL_OK);
        EQUAL(tl_ragged_add(&r, (int32_t[]){ 8 }, 1), TL_OK);
        tl_dataset *d = tl_dataset_new();
        tl_dataset_ids(d, &r, .maxlen = maxlen, .padding = padding, .truncating = truncating, .value = 7, .full = true);
        EQUAL(tl_loader_new(d, &l, .batch = n + 1), TL_OK);
        const tl_batch b = next(l);
        EQUAL(tl_pad_sequences(&r, &matrix, .maxlen = maxlen, .padding = padding, .truncating = truncating, .value = 7),
              TL_OK);
        EQUAL(b.in[0].dim[0], matrix.dim[1]);
        for (int64_t t = 0; t < matrix.dim[1]; t++)
            for (int64_t i = 0; i <= n; i++)
                EQUAL(((int32_t *)b.in[0].data)[t * (n + 1) + i], ((int32_t *)matrix.data)[i * matrix.dim[1] + t]);
        tl_array_free(&matrix);
        tl_loader_free(l);
        tl_dataset_free(d);
        tl_ragged_free(&r);
    }
    EQUAL(tl_live_bytes(), 0);
}

Test(batch, of_rows_that_are_all_empty_has_one_step_of_padding)
{
    const int64_t offsets[] = { 3, 3, 3 };
    tl_dataset *d = tl_dataset_new();
    tl_loader *l;
    tl_dataset_ragged(d, ids((int32_t[]){ 1, 2, 3 }, 3), offsets, 2, .padding = TL_POST, .value = 5);
    tl_dataset_mask(d, 0);
    tl_dataset_lengths(d, 0);
    EQUAL(tl_loader_new(d, &l), TL_OK);
    const tl_batch b = next(l);
    EQUAL(b.in[0].dim[0], 1);
    cr_assert_arr_eq(b.in[0].data, ((int32_t[]){ 5, 5 }), 8);
    cr_assert_arr_eq(b.in[1].data, ((float[]){ 0, 0 }), 8);
    cr_assert_arr_eq(b.in[2].data, ((int32_t[]){ 0, 0 }), 8);
    tl_loader_free(l);
    tl_dataset_free(d);
}

Test(dataset, that_copies_does_not_see_later_changes)
{
    int32_t words[] = { 1, 2 };
    int64_t offsets[] = { 0, 1, 2 };
    tl_dataset *d = tl_dataset_new();
    tl_loader *l;
    tl_dataset_ragged(d, ids(words, 2), offsets, 2, .copy = true);
    tl_dataset_rows(d, ids(words, 2));
    words[0] = 7;
    offsets[1] = offsets[2] = 99;
    EQUAL(tl_loader_new(d, &l), TL_OK);
    const tl_batch b = next(l);
    EQUAL(((int32_t *)b.in[0].data)[0], 1);
    EQUAL(((int32_t *)b.in[1].data)[0], 7);
    tl_loader_free(l);
    tl_dataset_free(d);
    EQUAL(tl_live_bytes(), 0);
}

/* ---- order -------------------------------------------------------------------------------------------------------- */

/* A dataset whose sample i is the row i, and which has ragged rows of the given lengths (NULL: none). */
static int32_t numbers[20000];
static int64_t row_offsets[5001];

static tl_dataset *numbered(int64_t n, const int64_t *lengths)
{
    tl_dataset *d = tl_dataset_new();
    for (int32_t i = 0; i < 20000; i++) numbers[i] = i;
    EQUAL(tl_dataset_rows(d, ids(numbers, n), .copy = true), 0);
    for (int64_t i = 0; i < n && lengths; i++) row_offsets[i + 1] = row_offsets[i] + lengths[i];
    if (lengths)
        EQUAL(tl_dataset_ragged(d, ids(numbers, row_offsets[n]), row_offsets, n, .padding = TL_POST, .copy = true), 1);
    return d;
}

static tl_loader *loader_of(tl_dataset *d, tl_loader_opts o)
{
    tl_loader *l;
    EQUAL(tl_loader_new_opt(d, &l, &o), TL_OK);
    return l;
}

static int32_t value_of(const tl_batch *b, int64_t row) { return ((int32_t *)b->in[0].data)[row]; }

/* The samples of an epoch after `skip` batches, as they come, -1 behind each batch; returns how many numbers. */
static int64_t read_epoch(tl_loader *l, uint64_t epoch, int64_t skip, int32_t *out)
{
    int64_t n = 0;
    EQUAL(tl_loader_start(l, epoch, skip), TL_OK);
    for (tl_batch b = next(l); b.samples; b = next(l)) {
        for (int64_t i = 0; i < b.samples; i++) {
            if (b.index) EQUAL(b.index[i], value_of(&b, i));
            out[n++] = value_of(&b, i);
        }
        out[n++] = -1;
    }
    EQUAL(next(l).samples, 0); /* and so it stays */
    return n;
}

static bool same_epochs(const int32_t *a, int64_t n, const int32_t *b, int64_t m)
{
    return n == m && !memcmp(a, b, (size_t)n * sizeof *a);
}

static const tl_loader_opts orders[] = { { 0 },
                                         { .shuffle = true },
                                         { .buckets = 3 },
                                         { .shuffle = true, .buckets = 3 },
                                         { .shuffle = true, .buckets = INT64_MAX },
                                         { .shuffle = true, .sort_rows = true },
                                         { .shuffle = true, .buckets = 2, .sort_rows = true, .by = 1 },
                                         { .shuffle = true, .drop_last = true } };
enum { ORDERS = sizeof orders / sizeof *orders };

Test(loader, gives_every_sample_once_an_epoch)
{
    int32_t epoch[200];
    int64_t lengths[64];
    for (int64_t n = 0; n <= 40; n++)
        for (int64_t batch = 1; batch <= n + 2; batch++)
            for (int k = 0; k < ORDERS; k++) {
                for (int i = 0; i < 40; i++) lengths[i] = draw(20);
                tl_dataset *d = numbered(n, lengths);
                tl_loader_opts o = orders[k];
                o.batch = batch;
                o.seed = (uint64_t)n;
                tl_loader *l = loader_of(d, o);
                const int64_t got = read_epoch(l, 1, 0, epoch),
                              batches = o.drop_last ? n / batch : (n + batch - 1) / batch;
                int seen[64] = { 0 }, rows = 0, separators = 0;
                for (int64_t i = 0; i < got; i++) {
                    if (epoch[i] >= 0) seen[epoch[i]]++, rows++;
                    else separators++;
                    if (epoch[i] < 0 && separators < batches)
                        EQUAL(rows, separators * batch); /* the short one is last */
                }
                EQUAL(rows, o.drop_last ? n / batch * batch : n);
                for (int i = 0; i < n; i++)
                    cr_assert(seen[i] == 1 || (o.drop_last && !seen[i]), "sample %d: %d times", i, seen[i]);
                EQUAL(separators, batches);
                EQUAL(tl_loader_batches(l), batches);
                tl_loader_free(l);
                tl_dataset_free(d);
            }
    EQUAL(tl_live_bytes(), 0);
}

Test(loader, has_an_order_that_seed_and_epoch_alone_decide)
{
    int32_t a[2000], b[2000];
    int64_t lengths[1000];
    for (int i = 0; i < 1000; i++) lengths[i] = draw(5);
    tl_dataset *d = numbered(1000, lengths);
    for (int k = 0; k < ORDERS; k++) {
        tl_loader_opts o = orders[k];
        o.seed = 5;
        tl_loader *l = loader_of(d, o), *m = loader_of(d, o);
        o.seed = 6;
        tl_loader *other = loader_of(d, o);
        const int64_t n = read_epoch(l, 3, 0, a);
        read_epoch(m, 8, 0, b);
        cr_assert(same_epochs(a, n, b, read_epoch(m, 3, 0, b)), "whatever was read before");
        cr_assert(same_epochs(a, n, b, read_epoch(l, 4, 0, b)) == !o.shuffle, "another epoch");
        cr_assert(same_epochs(a, n, b, read_epoch(other, 3, 0, b)) == !o.shuffle, "another seed");
        read_epoch(l, 0, 0, a);
        tl_loader *fresh = loader_of(d, o);
        const tl_batch first = next(fresh); /* epoch 0 without a start */
        read_epoch(other, 0, 0, b);
        EQUAL(value_of(&first, 0), b[0]);
        tl_loader_free(fresh);
        tl_loader_free(l);
        tl_loader_free(m);
        tl_loader_free(other);
    }
    tl_dataset_free(d);
}

Test(loader, started_after_some_batches_goes_on_as_the_whole_epoch)
{
    int32_t whole[300], rest[300];
    int64_t lengths[100];
    for (int i = 0; i < 100; i++) lengths[i] = draw(30);
    tl_dataset *d = numbered(100, lengths);
    for (int k = 0; k < ORDERS; k++) {
        tl_loader_opts o = orders[k];
        o.batch = 7;
        tl_loader *l = loader_of(d, o), *m = loader_of(d, o);
        const int64_t n = read_epoch(l, 2, 0, whole);
        for (int64_t skip = 0, at = 0; skip <= tl_loader_batches(l) + 2; skip++) {
            cr_assert(same_epochs(whole + at, n - at, rest, read_epoch(m, 2, skip, rest)), "after %d", (int)skip);
            while (at < n && whole[at] >= 0) at++;
            if (at < n) at++;
        }
        EQUAL(read_epoch(m, 2, INT64_MAX, rest), 0);
        tl_loader_free(l);
        tl_loader_free(m);
    }
    tl_dataset_free(d);
}

/* All 24 orders of four samples come about equally often: of 24,000 epochs about 1,000 each. Deviations are binomial with
 * a standard deviation of 31; 6 of them are 186. */
Test(loader, shuffles_evenly)
{
    int count[256] = { 0 }, different = 0;
    tl_dataset *d = numbered(4, NULL);
    tl_loader *l = loader_of(d, (tl_loader_opts){ .batch = 4, .shuffle = true, .seed = 3 });
    for (uint64_t epoch = 0; epoch < 24000; epoch++) {
        int32_t a[8];
        read_epoch(l, epoch, 0, a);
        count[a[0] << 6 | a[1] << 4 | a[2] << 2 | a[3]]++;
    }
    for (int i = 0; i < 256; i++) {
        different += count[i] > 0;
        cr_assert(!count[i] || (count[i] > 814 && count[i] < 1186), "%d times", count[i]);
    }
    EQUAL(different, 24);
    tl_loader_free(l);
    tl_dataset_free(d);
}

/* Steps of padding in an epoch: each batch is as long as its longest row. */
static int64_t padding_of(tl_loader *l, const int64_t *lengths)
{
    int64_t padding = 0;
    for (tl_batch b = next(l); b.samples; b = next(l))
        for (int64_t i = 0; i < b.samples; i++) padding += b.in[1].dim[0] - lengths[b.index[i]];
    return padding;
}

Test(buckets, bring_like_lengths_together_and_stay_random)
{
    enum { N = 640, BATCH = 8, WINDOW = 10 };
    int64_t lengths[N];
    int32_t a[N + 200], b[N + 200];
    for (int i = 0; i < N; i++) lengths[i] = 1 + draw(30) / (1 + draw(4));
    tl_dataset *d = numbered(N, lengths);
    tl_loader *plain = loader_of(d, (tl_loader_opts){ .batch = BATCH, .shuffle = true });
    tl_loader *l = loader_of(d, (tl_loader_opts){ .batch = BATCH, .shuffle = true, .buckets = WINDOW });
    tl_loader *sorted = loader_of(d, (tl_loader_opts){ .batch = BATCH, .buckets = WINDOW });
    cr_assert(4 * padding_of(l, lengths) < padding_of(plain, lengths));

    /* Batches come from all windows mixed, and different ones in each epoch. */
    const int64_t n = read_epoch(l, 0, 0, a);
    int ascending = 0, descending = 0, stay = 0;
    for (int64_t i = BATCH + 1; i < n; i += BATCH + 1)
        if (lengths[a[i]] > lengths[a[i - BATCH - 1]]) ascending++;
        else descending++;
    cr_assert(ascending > 20 && descending > 20, "%d and %d", ascending, descending);
    read_epoch(l, 1, 0, b);
    for (int i = 0; i < BATCH; i++)
        for (int j = 0; j < BATCH; j++) stay += a[i] == b[j];
    cr_assert(stay < BATCH / 2);

    /* Without shuffling, each window of the dataset is sorted, and equal lengths keep their order. */
    read_epoch(sorted, 0, 0, a);
    for (int64_t i = 0, at = 0; i < N; i++, at++) {
        if (a[at] < 0) at++;
        const int64_t window = BATCH * WINDOW;
        EQUAL(a[at] / window, i / window);
        const int32_t before = i % window ? a[at - 1] >= 0 ? a[at - 1] : a[at - 2] : 0;
        if (i % window)
            cr_assert(lengths[before] < lengths[a[at]] || (lengths[before] == lengths[a[at]] && before < a[at]));
    }
    tl_loader_free(plain);
    tl_loader_free(l);
    tl_loader_free(sorted);
    tl_dataset_free(d);
}

Test(loader, sorts_the_rows_of_a_batch_longest_first)
{
    const int64_t lengths[] = { 2, 5, 2, 0, 5, 1, 9, 9 };
    int32_t a[16];
    tl_dataset *d = numbered(8, lengths);
    tl_loader *l = loader_of(d, (tl_loader_opts){ .batch = 6, .sort_rows = true });
    EQUAL(read_epoch(l, 0, 0, a), 10);
    cr_assert_arr_eq(a, ((int32_t[]){ 1, 4, 0, 2, 5, 3, -1, 6, 7, -1 }), 40);
    tl_loader_free(l);
    tl_dataset *v; /* of rows 4 ... 7 */
    EQUAL(tl_dataset_slice(d, 4, 8, &v), TL_OK);
    l = loader_of(v, (tl_loader_opts){ .sort_rows = true });
    const tl_batch b = next(l);
    for (int i = 0; i < 4; i++) EQUAL(value_of(&b, i), ((int[]){ 6, 7, 4, 5 })[i]);
    tl_loader_free(l);
    tl_dataset_free(v);
    tl_dataset_free(d);
}

/* After .maxlen, rows of 5 and of 9 are equally long. */
Test(loader, sorts_by_the_lengths_that_are_left)
{
    static const int64_t offsets[] = { 0, 9, 14, 16 };
    tl_dataset *d = tl_dataset_new();
    tl_dataset_rows(d, ids((int32_t[]){ 0, 1, 2 }, 3), .copy = true);
    tl_dataset_ragged(d, ids((int32_t[16]){ 0 }, 16), offsets, 3, .maxlen = 4, .copy = true);
    static const int64_t other[] = { 0, 1, 2, 9 };
    tl_dataset_ragged(d, ids((int32_t[16]){ 0 }, 16), other, 3, .copy = true);
    int32_t a[4];
    tl_loader *l = loader_of(d, (tl_loader_opts){ .sort_rows = true });
    read_epoch(l, 0, 0, a);
    cr_assert_arr_eq(a, ((int32_t[]){ 0, 1, 2, -1 }), 16);
    tl_loader_free(l);
    l = loader_of(d, (tl_loader_opts){ .sort_rows = true, .by = 2 });
    read_epoch(l, 0, 0, a);
    cr_assert_arr_eq(a, ((int32_t[]){ 2, 0, 1, -1 }), 16);
    tl_loader_free(l);
    tl_dataset_free(d);
}

Test(loader, allocates_nothing_after_the_first_epoch)
{
    static samples s;
    const tl_field_opts none = { .padding = TL_POST };
    for (int trial = 0; trial < 20; trial++) {
        make_samples(&s, 1 + draw(MOST));
        tl_dataset *d = dataset_of(&s, &none);
        for (int k = 0; k < ORDERS; k++) {
            tl_loader_opts o = orders[k];
            o.batch = 1 + draw(9);
            if (o.by) o.by = TL_ZERO; /* field 0 */
            tl_loader *l = loader_of(d, o);
            while (next(l).samples) {}
            const uint64_t made = tl_allocations();
            for (uint64_t epoch = 1; epoch < 6; epoch++) {
                EQUAL(tl_loader_start(l, epoch, 0), TL_OK);
                while (next(l).samples) {}
            }
            EQUAL(tl_allocations(), made);
            tl_loader_free(l);
        }
        tl_dataset_free(d);
    }
}

/* ---- views -------------------------------------------------------------------------------------------------------- */

Test(view, shares_the_data_and_keeps_them_alive)
{
    tl_dataset *d = numbered(20, NULL), *slice, *taken, *part;
    EQUAL(tl_dataset_slice(d, 5, 15, &slice), TL_OK);
    EQUAL(tl_dataset_take(slice, (int64_t[]){ 9, 0, 4, 4 }, 4, &taken), TL_OK);
    EQUAL(tl_dataset_slice(taken, 1, 4, &part), TL_OK);
    const int64_t want[] = { 5, 9, 9 };
    EQUAL(tl_dataset_samples(slice), 10);
    tl_dataset *inner;
    EQUAL(tl_dataset_slice(slice, 2, 4, &inner), TL_OK);
    EQUAL(tl_dataset_sample(inner, 1), 8);
    tl_dataset_free(inner);
    EQUAL(tl_dataset_samples(part), 3);
    EQUAL(tl_dataset_fields(part), 1);
    for (int i = 0; i < 3; i++) EQUAL(tl_dataset_sample(part, i), want[i]);
    EQUAL(tl_dataset_sample(part, 3), -1);
    EQUAL(tl_dataset_sample(part, -1), -1);
    tl_loader *l;
    EQUAL(tl_loader_new(part, &l, .batch = 2), TL_OK);
    tl_dataset_free(d);
    tl_dataset_free(slice);
    tl_dataset_free(part);
    tl_dataset_free(taken);
    tl_batch b = next(l);
    EQUAL(value_of(&b, 0), 5);
    EQUAL(value_of(&b, 1), 9);
    EQUAL(b.index[1], 1); /* of the view */
    b = next(l);
    EQUAL(value_of(&b, 0), 9);
    EQUAL(next(l).samples, 0);
    tl_loader_free(l);
    EQUAL(tl_live_bytes(), 0);
}

/* Keras: int(floor(n * (1 - share))) of the first samples are for training. */
Test(split, is_keras_and_never_mixes)
{
    static const struct {
        int64_t n;
        double share;
        int64_t training;
    } known[] = {
        { 25000, 0.2, 20000 }, { 10, 0.25, 7 }, { 3, 0.5, 1 }, { 10, 0.1, 9 }, { 7, 0.3, 4 }, { 2, 0.01, 1 }
    };
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        tl_dataset *d = tl_dataset_new(), *training, *validation;
        int8_t seen[25000] = { 0 };
        int32_t *rows = calloc((size_t)known[k].n, sizeof *rows);
        for (int32_t i = 0; i < known[k].n; i++) rows[i] = i;
        tl_dataset_rows(d, ids(rows, known[k].n));
        EQUAL(tl_dataset_split(d, known[k].share, &training, &validation), TL_OK);
        EQUAL(tl_dataset_samples(training), known[k].training);
        EQUAL(tl_dataset_samples(validation), known[k].n - known[k].training);
        tl_loader *l = loader_of(training, (tl_loader_opts){ .shuffle = true, .seed = 9 });
        tl_loader *m = loader_of(validation, (tl_loader_opts){ .shuffle = true, .seed = 9 });
        for (tl_batch b = next(l); b.samples; b = next(l))
            for (int64_t i = 0; i < b.samples; i++) {
                cr_assert(value_of(&b, i) < known[k].training);
                seen[value_of(&b, i)]++;
            }
        for (tl_batch b = next(m); b.samples; b = next(m))
            for (int64_t i = 0; i < b.samples; i++) {
                cr_assert(value_of(&b, i) >= known[k].training);
                seen[value_of(&b, i)]++;
            }
        for (int64_t i = 0; i < known[k].n; i++) EQUAL(seen[i], 1);
        tl_loader_free(l);
        tl_loader_free(m);
        tl_dataset_free(training);
        tl_dataset_free(d);
        tl_dataset_free(validation);
        free(rows);
    }
    EQUAL(tl_live_bytes(), 0);
}

Test(view, of_what_is_not_there_is_refused)
{
    tl_dataset *d = numbered(4, NULL), *v, *w;
    EQUAL(tl_dataset_slice(d, -1, 2, &v), TL_E_INDEX);
    cr_assert_null(v);
    EQUAL(tl_dataset_slice(d, 3, 2, &v), TL_E_INDEX);
    EQUAL(tl_dataset_slice(d, 0, 5, &v), TL_E_INDEX);
    says("0 ... 5 is no part of 4 samples");
    EQUAL(tl_dataset_take(d, (int64_t[]){ 0, 4 }, 2, &v), TL_E_INDEX);
    says("number 1 is 4");
    EQUAL(tl_dataset_take(d, (int64_t[]){ -1 }, 1, &v), TL_E_INDEX);
    EQUAL(tl_dataset_take(d, NULL, 1, &v), TL_E_ARGUMENT);
    EQUAL(tl_dataset_take(d, NULL, -1, &v), TL_E_ARGUMENT);
    EQUAL(tl_dataset_slice(NULL, 0, 0, &v), TL_E_ARGUMENT);
    const double shares[] = { 0, 1, -1, 2, NAN, 1e-300, 0.99 };
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        v = w = d;
        EQUAL(tl_dataset_split(d, shares[i], &v, &w), TL_E_ARGUMENT);
        cr_assert(!v && !w);
    }
    EQUAL(tl_dataset_slice(d, 2, 2, &v), TL_OK); /* nothing is a part */
    EQUAL(tl_dataset_samples(v), 0);
    EQUAL(tl_dataset_take(v, NULL, 0, &w), TL_OK);
    EQUAL(tl_dataset_rows(v, ids(numbers, 0)), -1);
    says("a view has the fields of its dataset");
    tl_dataset_free(w);
    EQUAL(tl_dataset_slice(v, 0, 0, &w), TL_E_ARGUMENT); /* that error stays with the view */
    EQUAL(tl_dataset_status(d), TL_OK);
    tl_dataset_free(v);
    tl_dataset_free(d);
    d = tl_dataset_new();
    EQUAL(tl_dataset_slice(d, 0, 0, &v), TL_E_ARGUMENT);
    tl_dataset_free(d);
    EQUAL(tl_live_bytes(), 0);
}

/* ---- what makes no sense -------------------------------------------------------------------------------------------- */

typedef struct refusal {
    tl_status status;
    const char *words;
} refusal;

/* The dataset has an error that stays, whatever is added; and so has what would be made of it. */
static void refused(tl_dataset *d, int k, tl_status status, const char *words)
{
    tl_loader *l;
    tl_dataset *v;
    EQUAL(k, -1);
    says(words);
    EQUAL(tl_dataset_rows(d, ids(numbers, 3)), -1);
    EQUAL(tl_dataset_status(d), status);
    says(words);
    EQUAL(tl_loader_new(d, &l), status);
    says(words);
    cr_assert_null(l);
    EQUAL(tl_dataset_slice(d, 0, 0, &v), status);
    EQUAL(tl_dataset_append(d, &(tl_array){ .rank = 0 }, 1), status);
    tl_dataset_free(d);
    EQUAL(tl_live_bytes(), 0);
}

/* Three samples with a ragged field, a row of labels, and a one-hot one. */
static tl_dataset *three(void)
{
    static const int64_t offsets[] = { 0, 1, 1, 3 };
    tl_dataset *d = tl_dataset_new();
    EQUAL(tl_dataset_ragged(d, ids(numbers, 3), offsets, 3, .copy = true), 0);
    EQUAL(tl_dataset_rows(d, ids((int32_t[]){ 0, 1, 2 }, 3), .copy = true), 1);
    EQUAL(tl_dataset_rows(d, tl_array_of(TL_F32, TL_DIMS(3, 2, 2), numbers), .copy = true), 2);
    return d;
}

#define REFUSED(call, status, words)                                                                                   \
    do {                                                                                                               \
        tl_dataset *d = three();                                                                                       \
        refused(d, call, status, words);                                                                               \
    } while (0)

Test(dataset, refuses_arrays_that_make_no_sense)
{
    float *x = (float *)numbers;
    REFUSED(tl_dataset_rows(d, ids(numbers, 4)), TL_E_SHAPE, "in[3] has 4 samples, the fields before it have 3");
    REFUSED(tl_dataset_rows(d, tl_array_of(TL_F32, TL_SCALAR, x)), TL_E_SHAPE, "rank 0; it is 1 to 6");
    REFUSED(tl_dataset_rows(d, ((tl_array){ .dtype = TL_F32, .rank = 7, .data = x })), TL_E_SHAPE, "rank 7");
    REFUSED(tl_dataset_sequences(d, tl_array_of(TL_F32, TL_DIMS(3), x)), TL_E_SHAPE, "rank 1; it is 2 to 6");
    REFUSED(tl_dataset_rows(d, tl_array_of(TL_F32, TL_DIMS(3, 0), x)), TL_E_SHAPE, "a size that makes no sense");
    REFUSED(tl_dataset_rows(d, tl_array_of(TL_F32, TL_DIMS(-3), x)), TL_E_SHAPE, "a size that makes no sense");
    REFUSED(tl_dataset_sequences(d, tl_array_of(TL_F32, TL_DIMS(3, 0), x)), TL_E_SHAPE, "a size that makes no sense");
    REFUSED(tl_dataset_rows(d, tl_array_of(TL_F32, TL_DIMS(3, INT64_MAX / 4), x)), TL_E_SHAPE, "makes no sense");
    REFUSED(tl_dataset_rows(d, tl_array_of((tl_dtype)9, TL_DIMS(3), x)), TL_E_DTYPE, "no element type");
    REFUSED(tl_dataset_rows(d, tl_array_of(TL_F32, TL_DIMS(3), x), .dtype = (tl_dtype)-1), TL_E_DTYPE, ".dtype");
    REFUSED(tl_dataset_rows(d, tl_array_of(TL_F32, TL_DIMS(3), x), .dtype = TL_I32), TL_E_DTYPE, "do not become ids");
    REFUSED(tl_dataset_rows(d, tl_array_of(TL_F32, TL_DIMS(3), NULL)), TL_E_ARGUMENT, "in[3] has no data");
}

Test(dataset, refuses_ragged_rows_that_make_no_sense)
{
    const int64_t down[] = { 0, 2, 1, 3 }, beyond[] = { 0, 1, 2, 4 }, negative[] = { -1, 1, 2, 3 };
    const int64_t wide[] = { 0, 0, 0, INT64_MAX }, good[] = { 0, 1, 2, 3 };
    tl_array deep = { .dtype = TL_F32, .rank = 6, .dim = { 3, 1, 1, 1, 1, 1 }, .data = numbers };
    REFUSED(tl_dataset_ragged(d, ids(numbers, 3), down, 3), TL_E_SHAPE, "row 1 begins at step 2 and ends at 1");
    REFUSED(tl_dataset_ragged(d, ids(numbers, 3), beyond, 3), TL_E_SHAPE, "offsets 0 ... 4 of 3 steps");
    REFUSED(tl_dataset_ragged(d, ids(numbers, 3), negative, 3), TL_E_SHAPE, "offsets -1");
    REFUSED(tl_dataset_ragged(d, ids(numbers, 3), wide, 3), TL_E_SHAPE, "of 3 steps");
    REFUSED(tl_dataset_ragged(d, ids(numbers, 3), NULL, 3), TL_E_ARGUMENT, "needs the offsets");
    REFUSED(tl_dataset_ragged(d, ids(numbers, 3), good, -1), TL_E_ARGUMENT, "needs the offsets");
    REFUSED(tl_dataset_ragged(d, ids(numbers, 3), good, 2), TL_E_SHAPE, "in[3] has 2 samples");
    REFUSED(tl_dataset_ragged(d, deep, good, 3), TL_E_SHAPE, "rank 6; it is 1 to 5");
    REFUSED(tl_dataset_ragged(d, ids(numbers, 3), good, 3, .maxlen = -1), TL_E_ARGUMENT, ".maxlen is -1");
    REFUSED(tl_dataset_ragged(d, ids(numbers, 3), good, 3, .padding = (tl_side)2), TL_E_ARGUMENT, "TL_PRE or TL_POST");
    REFUSED(tl_dataset_ragged(d, ids(numbers, 3), good, 3, .truncating = (tl_side)-1), TL_E_ARGUMENT, "TL_PRE or");
    REFUSED(tl_dataset_ragged(d, ids(numbers, 3), good, 3, .value = 0.5), TL_E_ARGUMENT, "not padded with 0.5");
    REFUSED(tl_dataset_ragged(d, ids(numbers, 3), good, 3, .value = NAN), TL_E_ARGUMENT, "not padded with");
    REFUSED(tl_dataset_ragged(d, ids(numbers, 3), good, 3, .value = 3e9), TL_E_ARGUMENT, "not padded with");
}

Test(dataset, refuses_fields_that_follow_from_nothing)
{
    const double weights[] = { 1, 2, 3 };
    REFUSED(tl_dataset_lengths(d, 3), TL_E_ARGUMENT, "there is no field 3");
    REFUSED(tl_dataset_lengths(d, -1), TL_E_ARGUMENT, "there is no field -1");
    REFUSED(tl_dataset_lengths(d, 1), TL_E_ARGUMENT, "field 1 has no rows of different lengths");
    REFUSED(tl_dataset_mask(d, 1), TL_E_ARGUMENT, "field 1 has no rows of different lengths");
    REFUSED(tl_dataset_class_weights(d, 9, weights, 3), TL_E_ARGUMENT, "there is no field 9");
    REFUSED(tl_dataset_class_weights(d, 2, weights, 3), TL_E_SHAPE, "the labels of field 2 are neither");
    REFUSED(tl_dataset_class_weights(d, 1, NULL, 3), TL_E_ARGUMENT, "a weight for each class");
    REFUSED(tl_dataset_class_weights(d, 1, weights, 0), TL_E_ARGUMENT, "a weight for each class");
    REFUSED(tl_dataset_class_weights(d, 1, weights, 3, .dtype = TL_I32), TL_E_DTYPE, "weights are floats");
    REFUSED(tl_dataset_class_weights(d, 1, weights, 2), TL_E_INDEX, "label 2 of field 1 is 2; there are weights for 2");
    REFUSED(tl_dataset_class_weights(d, 1, ((double[]){ 1, NAN, 1 }), 3), TL_E_NONFINITE, "that of class 1 is");
    REFUSED(tl_dataset_class_weights(d, 1, ((double[]){ 1, 1, -1 }), 3), TL_E_ARGUMENT, "that of class 2 is -1");
    tl_dataset *d = three();
    EQUAL(tl_dataset_mask(d, 0), 3);
    refused(d, tl_dataset_class_weights(d, 3, weights, 3), TL_E_ARGUMENT, "field 3 has no data");
    d = tl_dataset_new();
    tl_dataset_ragged(d, ids(numbers, 3), ((int64_t[]){ 0, 3 }), 1, .copy = true);
    refused(d, tl_dataset_lengths(d, 0), TL_E_ARGUMENT, "field 0 is padded in front");
    d = tl_dataset_new();
    tl_dataset_rows(d, tl_array_of(TL_F32, TL_DIMS(3), ((float[]){ 0, 0.5f, 1 })), .copy = true);
    refused(d, tl_dataset_class_weights(d, 0, weights, 3), TL_E_INDEX, "label 1 of field 0 is 0.5");
    d = tl_dataset_new();
    tl_dataset_rows(d, tl_array_of(TL_F32, TL_DIMS(1), ((float[]){ NAN })), .copy = true);
    refused(d, tl_dataset_class_weights(d, 0, weights, 3), TL_E_INDEX, "label 0 of field 0");
    d = tl_dataset_new();
    tl_dataset_rows(d, ids((int32_t[]){ 0, -1 }, 2), .copy = true);
    refused(d, tl_dataset_class_weights(d, 0, weights, 3), TL_E_INDEX, "label 1 of field 0 is -1");
}

Test(dataset, refuses_weights_that_are_none)
{
    float w[] = { 1, 0, 2 };
    const float bad[] = { NAN, INFINITY, -INFINITY, -1e-30f };
    for (int i = 0; i < 4; i++) {
        w[1] = bad[i];
        REFUSED(tl_dataset_weights(d, tl_array_of(TL_F32, TL_DIMS(3), w)), i < 3 ? TL_E_NONFINITE : TL_E_ARGUMENT,
                "weight 1 is");
        REFUSED(tl_dataset_weights(d, tl_array_of(TL_F32, TL_DIMS(3, 1), w)), i < 3 ? TL_E_NONFINITE : TL_E_ARGUMENT,
                "weight 1 is");
    }
    REFUSED(tl_dataset_weights(d, tl_array_of(TL_F32, TL_DIMS(3, 1, 1), w)), TL_E_SHAPE, "[N] or of steps [N, T]");
    tl_dataset *d = three();
    EQUAL(tl_dataset_weights(d, ids((int32_t[]){ 1, 0, 2 }, 3), .copy = true), 3); /* whole numbers will do */
    tl_loader *l = loader_of(d, (tl_loader_opts){ 0 });
    const tl_batch b = next(l);
    EQUAL(b.in[3].dtype, TL_F32);
    EQUAL(((float *)b.in[3].data)[2], 2);
    tl_loader_free(l);
    tl_dataset_free(d);
}

Test(dataset, has_so_many_fields_and_no_more)
{
    tl_dataset *d = tl_dataset_new();
    EQUAL(tl_dataset_fields(d), 0);
    for (int k = 0; k < TL_MAX_FIELDS; k++) EQUAL(tl_dataset_rows(d, ids(numbers, 2)), k);
    refused(d, tl_dataset_rows(d, ids(numbers, 2)), TL_E_ARGUMENT, "16 fields at most");
}

Test(dataset, that_is_none_is_refused)
{
    tl_loader *l;
    EQUAL(tl_dataset_rows(NULL, ids(numbers, 2)), -1);
    says("there is no dataset");
    EQUAL(tl_dataset_lengths(NULL, 0), -1);
    EQUAL(tl_dataset_status(NULL), TL_E_ARGUMENT);
    EQUAL(tl_dataset_append(NULL, NULL, 0), TL_E_ARGUMENT);
    EQUAL(tl_loader_new(NULL, &l), TL_E_ARGUMENT);
    EQUAL(tl_dataset_samples(NULL), -1);
    EQUAL(tl_dataset_fields(NULL), -1);
    cr_assert(!tl_dataset_is_source(NULL));
    tl_dataset_free(NULL);
    tl_loader_free(NULL);
}

Test(loader, refuses_options_that_make_no_sense)
{
    static const struct {
        tl_loader_opts o;
        const char *words;
    } bad[] = {
        { { .batch = -1 }, "batches of -1 rows" }, { { .batch = TL_ZERO }, "batches of -2147483647 rows" },
        { { .buckets = -1 }, "in windows of -1" }, { { .by = 1 }, "field .by has no rows of different lengths" },
        { { .by = 3 }, "field .by has no rows" },  { { .by = -5 }, "field .by has no rows" }
    };
    tl_dataset *d = three();
    tl_loader *l;
    tl_batch b;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        EQUAL(tl_loader_new_opt(d, &l, &bad[i].o), TL_E_ARGUMENT);
        says(bad[i].words);
        cr_assert_null(l);
    }
    EQUAL(tl_loader_new(d, &l, .batch = INT64_MAX, .buckets = INT64_MAX, .sort_rows = true), TL_OK);
    EQUAL(next(l).samples, 3);
    EQUAL(tl_loader_start(l, UINT64_MAX, -1), TL_E_ARGUMENT);
    EQUAL(tl_loader_start(NULL, 0, 0), TL_E_ARGUMENT);
    EQUAL(tl_loader_next(l, NULL), TL_E_ARGUMENT);
    EQUAL(tl_loader_next(NULL, &b), TL_E_ARGUMENT);
    EQUAL(tl_loader_batches(NULL), -1);
    tl_loader_free(l);
    tl_dataset_free(d);
    d = numbered(3, NULL);
    EQUAL(tl_loader_new(d, &l, .buckets = 2), TL_E_ARGUMENT);
    says("no field has rows of different lengths to sort by");
    EQUAL(tl_loader_new(d, &l, .sort_rows = true), TL_E_ARGUMENT);
    tl_dataset_free(d);
    d = tl_dataset_new();
    EQUAL(tl_loader_new(d, &l), TL_E_ARGUMENT);
    says("no field with data");
    EQUAL(tl_dataset_rows(d, TL_ABSENT_ARRAY), 0);
    EQUAL(tl_loader_new(d, &l), TL_E_ARGUMENT);
    EQUAL(tl_dataset_ragged(d, ids(numbers, 0), NULL, 0, .maxlen = 1000, .full = true), 1);
    EQUAL(tl_loader_new(d, &l, .shuffle = true), TL_OK); /* empty, but sound */
    EQUAL(tl_loader_batches(l), 0);
    EQUAL(next(l).samples, 0);
    tl_loader_free(l);
    tl_dataset_free(d);
    EQUAL(tl_live_bytes(), 0);
}

/* One row that would not fit into any memory beside others. */
Test(loader, of_batches_that_are_too_large_says_so)
{
    tl_dataset *d = numbered(3, (int64_t[]){ 1, 1, 1 });
    tl_loader *l;
    EQUAL(tl_dataset_ragged(d, ids(numbers, 3), row_offsets, 3, .maxlen = INT64_MAX / 4, .full = true), 2);
    EQUAL(tl_loader_new(d, &l), TL_E_MEMORY);
    says("out of memory for in[2]");
    cr_assert_null(l);
    tl_dataset_free(d);
}

/* ---- sample by sample ----------------------------------------------------------------------------------------------- */

/* A dataset without samples that holds what dataset_of() has of them: words, their mask, vectors, rows, weights. */
static tl_dataset *growing(void)
{
    tl_dataset *d = tl_dataset_new();
    EQUAL(tl_dataset_ragged(d, ids(NULL, 0), NULL, 0), 0);
    EQUAL(tl_dataset_mask(d, 0), 1);
    EQUAL(tl_dataset_ragged(d, tl_array_of(TL_F32, TL_DIMS(0, D), NULL), NULL, 0), 2);
    EQUAL(tl_dataset_rows(d, tl_array_of(TL_I32, TL_DIMS(0), NULL)), 3);
    EQUAL(tl_dataset_class_weights(d, 3, class_weight, CLASSES), 4);
    EQUAL(tl_dataset_sequences(d, tl_array_of(TL_F64, TL_DIMS(0, STEPS, D), NULL)), 5);
    EQUAL(tl_dataset_weights(d, tl_array_of(TL_F32, TL_DIMS(0), NULL)), 6);
    return d;
}

static void sample_of(samples *s, int64_t i, tl_array out[5])
{
    const int64_t at = s->offsets[i], n = s->offsets[i + 1] - at;
    out[0] = ids(s->words + at, n);
    out[1] = tl_array_of(TL_F32, TL_DIMS(n, D), s->vectors + at);
    out[2] = tl_array_of(TL_I32, TL_SCALAR, s->label + i);
    out[3] = tl_array_of(TL_F64, TL_DIMS(STEPS, D), s->sequence[i]);
    out[4] = tl_array_of(TL_F32, TL_SCALAR, s->weight + i);
}

static void same_arrays(const tl_array *a, const tl_array *b)
{
    size_t bytes = tl_element_size(a->dtype);
    EQUAL(a->dtype, b->dtype);
    EQUAL(a->rank, b->rank);
    for (int i = 0; i < a->rank; i++) {
        EQUAL(a->dim[i], b->dim[i]);
        bytes *= (size_t)a->dim[i];
    }
    cr_assert(!memcmp(a->data, b->data, bytes));
}

static void same_batches(tl_loader *l, tl_loader *m)
{
    for (;;) {
        const tl_batch a = next(l), b = next(m);
        EQUAL(a.samples, b.samples);
        EQUAL(a.n, b.n);
        for (int k = 0; k < a.n; k++) same_arrays(&a.in[k], &b.in[k]);
        if (!a.samples) return;
    }
}

Test(append, sample_by_sample_makes_what_arrays_make)
{
    static samples s;
    tl_array sample[5];
    for (int trial = 0; trial < 30; trial++) {
        make_samples(&s, 1 + draw(MOST));
        tl_dataset *d = growing(), *whole = tl_dataset_new();
        const int64_t n = s.n, total = s.offsets[n];
        tl_dataset_ragged(whole, ids(s.words, total), s.offsets, n);
        tl_dataset_mask(whole, 0);
        tl_dataset_ragged(whole, tl_array_of(TL_F32, TL_DIMS(total, D), s.vectors), s.offsets, n);
        tl_dataset_rows(whole, ids(s.label, n));
        tl_dataset_class_weights(whole, 3, class_weight, CLASSES);
        tl_dataset_sequences(whole, tl_array_of(TL_F64, TL_DIMS(n, STEPS, D), s.sequence));
        tl_dataset_weights(whole, tl_array_of(TL_F32, TL_DIMS(n), s.weight));
        tl_loader *early = loader_of(d, (tl_loader_opts){ .batch = 4, .shuffle = true });
        for (int64_t i = 0; i < n; i++) {
            sample_of(&s, i, sample);
            EQUAL(tl_dataset_append(d, sample, 5), TL_OK);
        }
        EQUAL(next(early).samples, 0); /* that epoch had none */
        tl_loader *l = loader_of(whole, (tl_loader_opts){ .batch = 4, .shuffle = true });
        EQUAL(tl_loader_start(early, 0, 0), TL_OK);
        same_batches(early, l);
        tl_loader_free(early);
        tl_loader_free(l);
        tl_dataset_free(d);
        tl_dataset_free(whole);
    }
    EQUAL(tl_live_bytes(), 0);
}

Test(append, is_all_or_nothing)
{
    static samples s;
    make_samples(&s, 2);
    tl_array good[5], bad[5];
    tl_dataset *d = growing();
    float nan = NAN;
    int32_t class = CLASSES;
    sample_of(&s, 0, good);
    EQUAL(tl_dataset_append(d, good, 5), TL_OK);
    const struct {
        int field;
        tl_array array;
        tl_status status;
    } change[] = { { 0, tl_array_of(TL_F32, TL_DIMS(0), NULL), TL_E_DTYPE },
                   { 0, tl_array_of(TL_I32, TL_SCALAR, numbers), TL_E_SHAPE },
                   { 0, tl_array_of(TL_I32, TL_DIMS(-1), numbers), TL_E_SHAPE },
                   { 0, tl_array_of(TL_I32, TL_DIMS(INT64_MAX), numbers), TL_E_SHAPE },
                   { 0, tl_array_of(TL_I32, TL_DIMS(2), NULL), TL_E_ARGUMENT },
                   { 1, tl_array_of(TL_F32, TL_DIMS(1, D + 1), numbers), TL_E_SHAPE },
                   { 2, tl_array_of(TL_I32, TL_SCALAR, NULL), TL_E_ARGUMENT },
                   { 2, tl_array_of(TL_I32, TL_SCALAR, &class), TL_E_INDEX },
                   { 3, tl_array_of(TL_F64, TL_DIMS(STEPS - 1, D), numbers), TL_E_SHAPE },
                   { 4, tl_array_of(TL_F32, TL_SCALAR, &nan), TL_E_NONFINITE } };
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        memcpy(bad, good, sizeof bad);
        bad[change[i].field] = change[i].array;
        EQUAL(tl_dataset_append(d, bad, 5), change[i].status);
        EQUAL(tl_dataset_samples(d), 1);
    }
    EQUAL(tl_dataset_append(d, good, 4), TL_E_ARGUMENT);
    EQUAL(tl_dataset_append(d, good, 6), TL_E_ARGUMENT);
    EQUAL(tl_dataset_append(d, NULL, 5), TL_E_ARGUMENT);
    EQUAL(tl_dataset_status(d), TL_OK); /* these errors do not stay */
    EQUAL(tl_dataset_append(d, good, 5), TL_OK);
    tl_loader *l = loader_of(d, (tl_loader_opts){ 0 });
    const tl_batch b = next(l);
    EQUAL(b.samples, 2);
    for (int64_t t = 0; t < b.in[0].dim[0]; t++)
        EQUAL(((int32_t *)b.in[0].data)[2 * t], ((int32_t *)b.in[0].data)[2 * t + 1]);
    tl_loader_free(l);
    tl_dataset_free(d);
    d = numbered(3, NULL);
    d->field[0].own = d->field[0].own; /* copied: it can grow */
    EQUAL(tl_dataset_append(d, &(tl_array){ .dtype = TL_I32, .data = numbers }, 1), TL_OK);
    tl_dataset_free(d);
    d = tl_dataset_new();
    tl_dataset_rows(d, ids(numbers, 3));
    EQUAL(tl_dataset_append(d, &(tl_array){ .dtype = TL_I32, .data = numbers }, 1), TL_E_ARGUMENT);
    says("the data of in[0] are the caller's");
    tl_dataset_free(d);
    EQUAL(tl_live_bytes(), 0);
}

/* ---- sources -------------------------------------------------------------------------------------------------------- */

Test(source, of_a_stream_gives_its_windows)
{
    tl_stream *s;
    tl_loader *l;
    tl_array a[2];
    tl_batch b;
    for (int32_t i = 0; i < 100; i++) numbers[i] = i;
    EQUAL(tl_stream_new(numbers, 83, 3, 4, &s), TL_OK); /* 27 steps: 6 windows of 4, one of 3 */
    tl_dataset *d = tl_dataset_of(tl_stream_source(s));
    cr_assert(tl_dataset_is_source(d));
    EQUAL(tl_dataset_samples(d), -1);
    EQUAL(tl_dataset_fields(d), -1);
    EQUAL(tl_loader_new(d, &l), TL_OK);
    EQUAL(tl_loader_batches(l), 7);
    for (int64_t skip = 0; skip < 10; skip++) {
        if (skip) EQUAL(tl_loader_start(l, 1, skip), TL_OK); /* a new loader stands at the start */
        for (int64_t w = skip; w < 7; w++) {
            b = next(l);
            EQUAL(b.samples, 3);
            EQUAL(b.n, 2);
            cr_assert_null(b.index);
            EQUAL(b.in[0].dim[0], w < 6 ? 4 : 3);
            EQUAL(value_of(&b, 1), 27 + 4 * w);
            EQUAL(((int32_t *)b.in[1].data)[1], 27 + 4 * w + 1);
        }
        EQUAL(next(l).samples, 0);
        EQUAL(next(l).samples, 0);
    }
    tl_loader_free(l);
    tl_dataset_free(d);
    tl_stream_rewind(s); /* still the caller's */
    cr_assert(tl_stream_next(s, a));
    tl_stream_free(s);
    EQUAL(tl_live_bytes(), 0);
}

static int freed;
static tl_status no_start(void *self, uint64_t epoch, int64_t skip)
{
    (void)epoch, (void)skip;
    return *(int *)self == 1 ? tl_report(TL_E_FILE, "no start") : TL_OK;
}
static tl_status odd_next(void *self, tl_batch *out)
{
    if (*(int *)self == 2) return tl_report(TL_E_FORMAT, "no batch");
    out->n = *(int *)self == 3 ? TL_MAX_FIELDS + 1 : -1;
    return TL_OK;
}
static void note_free(void *self) { freed += *(int *)self; }

Test(source, is_read_in_its_order_alone)
{
    static const tl_loader_opts bad[] = { { .batch = 2 },   { .shuffle = true },   { .drop_last = true },
                                          { .buckets = 1 }, { .sort_rows = true }, { .by = 1 } };
    int kind = 1;
    tl_loader *l;
    tl_dataset *v, *w;
    tl_batch b;
    tl_dataset *d = tl_dataset_of((tl_source){ .self = &kind, .start = no_start, .next = odd_next, .free = note_free });
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        EQUAL(tl_loader_new_opt(d, &l, &bad[i]), TL_E_ARGUMENT);
        says("made of a source");
    }
    EQUAL(tl_dataset_split(d, 0.5, &v, &w), TL_E_ARGUMENT);
    says("made of a source is read in its order");
    EQUAL(tl_dataset_slice(d, 0, 0, &v), TL_E_ARGUMENT);
    EQUAL(tl_dataset_take(d, NULL, 0, &v), TL_E_ARGUMENT);
    EQUAL(tl_dataset_append(d, NULL, 0), TL_E_ARGUMENT);
    EQUAL(tl_dataset_sample(d, 0), -1);
    EQUAL(tl_loader_new(d, &l), TL_OK);
    EQUAL(tl_loader_batches(l), -1);
    for (kind = 1; kind <= 4; kind++) {
        static const tl_status want[] = { TL_OK, TL_E_FILE, TL_E_FORMAT, TL_E_ARGUMENT, TL_E_ARGUMENT };
        tl_status status = tl_loader_start(l, 0, 0);
        if (!status) status = tl_loader_next(l, &b);
        EQUAL(status, want[kind]);
        if (kind > 1) EQUAL(b.samples + b.n, 0);
    }
    tl_loader_free(l);
    EQUAL(freed, 0);
    tl_dataset_free(d);
    EQUAL(freed, 5);
    cr_assert_null(tl_dataset_of((tl_source){ .self = &kind, .free = note_free }));
    EQUAL(freed, 10);
    EQUAL(tl_live_bytes(), 0);
}

/* Whoever reads windows of samples lets some go; a loader that was not started again must not reach for them. */
Test(loader, notices_samples_that_are_gone)
{
    tl_dataset *d = numbered(10, (int64_t[]){ 1, 1, 1, 2, 1, 1, 1, 1, 1, 1 });
    tl_loader *l = loader_of(d, (tl_loader_opts){ .batch = 4 });
    tl_batch b;
    EQUAL(next(l).samples, 4);
    tl_dataset_drop(d, 3);
    EQUAL(tl_loader_next(l, &b), TL_E_INDEX);
    says("sample 7 is no longer there");
    EQUAL(tl_loader_start(l, 0, 0), TL_OK);
    b = next(l);
    EQUAL(value_of(&b, 0), 3);
    cr_assert_arr_eq(b.in[1].data, ((int32_t[]){ 3, 5, 6, 7, 4, 0, 0, 0 }), 32);
    tl_loader_free(l);
    tl_dataset_free(d);
}

/* ---- lines of a file ------------------------------------------------------------------------------------------------ */

typedef struct line_reader {
    int64_t most; /* samples held at once */
    int samples;  /* of each line */
    int lines;
} line_reader;

/* "number<TAB>letters": a row and ids. A line without a tab is an error, an empty one is passed over. */
static tl_status read_line(void *user, tl_dataset *window, const char *line, size_t size)
{
    line_reader *r = user;
    int32_t number = atoi(line), letters[64];
    const char *tab = memchr(line, '\t', size);
    r->lines++;
    if (!size) return TL_OK;
    if (!tab) return tl_report(TL_E_FORMAT, "no tab");
    int64_t n = 0;
    for (const char *p = tab + 1; p < line + size; p++) letters[n++] = *p;
    tl_status status = TL_OK;
    for (int i = 0; !status && i < r->samples; i++, number++)
        status = tl_dataset_append(window, (tl_array[]){ tl_array_of(TL_I32, TL_SCALAR, &number), ids(letters, n) }, 2);
    if (tl_dataset_samples(window) > r->most) r->most = tl_dataset_samples(window);
    return status;
}

static tl_dataset *lines_window(void)
{
    tl_dataset *w = tl_dataset_new();
    EQUAL(tl_dataset_rows(w, ids(NULL, 0)), 0);
    EQUAL(tl_dataset_ids(w, NULL, .padding = TL_POST), 1);
    EQUAL(tl_dataset_lengths(w, 1), 2);
    return w;
}

static tl_loader *lines_loader(const char *path, line_reader *r, tl_lines_opts o)
{
    tl_dataset *w = lines_window(), *d;
    tl_loader *l;
    o.user = r;
    EQUAL(tl_dataset_lines_opt(path, w, read_line, &d, &o), TL_OK);
    tl_dataset_free(w);
    EQUAL(tl_loader_new(d, &l), TL_OK);
    tl_dataset_free(d);
    return l;
}

/* Lines 0 ... n - 1, each with n % 7 letters; every third is packed by a CR. */
static void write_lines(const char *path, int n)
{
    FILE *f = fopen(path, "wb");
    for (int i = 0; i < n; i++) fprintf(f, "%d\t%.*s%s", i, i % 7, "abcdefg", i == n - 1 ? "" : i % 3 ? "\n" : "\r\n");
    fclose(f);
}

Test(lines, come_as_batches_in_their_order)
{
    line_reader r = { .samples = 1 };
    int32_t a[256];
    enter();
    for (int n = 0; n < 70; n += 3)
        for (int64_t window = 1; window < 60; window += 11) {
            write_lines("f", n);
            r.most = 0;
            tl_loader *l = lines_loader("f", &r, (tl_lines_opts){ .batch = 4, .window = window });
            EQUAL(tl_loader_batches(l), -1);
            const int64_t got = read_epoch(l, 0, 0, a);
            for (int64_t i = 0, number = 0; i < got; i++)
                if (a[i] >= 0) EQUAL(a[i], number++);
                else EQUAL(a[i], i % 5 == 4 || i == got - 1 ? -1 : 0);
            EQUAL(got, n + (n + 3) / 4);
            EQUAL(tl_loader_batches(l), (n + 3) / 4);
            cr_assert(r.most <= (window + 3) / 4 * 4);
            EQUAL(tl_loader_start(l, 5, 1), TL_OK);
            const tl_batch b = next(l);
            for (int64_t i = 0; i < b.samples; i++) {
                EQUAL(value_of(&b, i), i + 4);
                EQUAL(((int32_t *)b.in[2].data)[i], (i + 4) % 7);
                for (int64_t t = 0; t < (i + 4) % 7; t++) EQUAL(((int32_t *)b.in[1].data)[t * b.samples + i], 'a' + t);
            }
            tl_loader_free(l);
        }
    leave();
}

Test(lines, are_shuffled_by_seed_epoch_and_window)
{
    line_reader r = { .samples = 1 };
    int32_t a[256], b[256], rest[256];
    enter();
    write_lines("f", 100);
    for (int k = 0; k < 2; k++) {
        const tl_lines_opts o = { .batch = 6, .window = 30, .shuffle = true, .seed = 2, .buckets = k };
        tl_loader *l = lines_loader("f", &r, o), *m = lines_loader("f", &r, o);
        const int64_t n = read_epoch(l, 3, 0, a);
        int seen[100] = { 0 }, moved = 0;
        for (int64_t i = 0, row = 0; i < n; i++) {
            if (a[i] < 0) continue;
            seen[a[i]]++;
            EQUAL(a[i] / 30, row / 30); /* within the window */
            moved += a[i] != row++;
        }
        for (int i = 0; i < 100; i++) EQUAL(seen[i], 1);
        cr_assert(moved > 80);
        cr_assert(a[0] != a[35] - 30 || a[1] != a[36] - 30 || a[2] != a[37] - 30, "windows have orders of their own");
        cr_assert(same_epochs(a, n, b, read_epoch(m, 3, 0, b)));
        cr_assert(!same_epochs(a, n, b, read_epoch(m, 4, 0, b)));
        for (int64_t skip = 0, at = 0; skip < 20; skip++) {
            cr_assert(same_epochs(a + at, n - at, rest, read_epoch(m, 3, skip, rest)), "after %d", (int)skip);
            EQUAL(tl_loader_batches(m), 17);
            while (at < n && a[at] >= 0) at++;
            if (at < n) at++;
        }
        tl_loader_free(l);
        tl_loader_free(m);
    }
    leave();
}

Test(lines, may_hold_no_sample_or_many)
{
    line_reader r = { .samples = 5 };
    int32_t a[64];
    enter();
    put("f",
        "\xEF\xBB\xBF"
        "0\tx\n\n\n5\ty\n\n10\tz\n",
        19);
    tl_loader *l = lines_loader("f", &r, (tl_lines_opts){ .batch = 4, .window = 4, .drop_last = true });
    EQUAL(read_epoch(l, 0, 0, a), 15);
    for (int i = 0; i < 15; i++) EQUAL(a[i], i % 5 == 4 ? -1 : i - i / 5);
    EQUAL(r.lines, 6);
    EQUAL(tl_loader_batches(l), 3);
    EQUAL(tl_loader_start(l, 1, 0), TL_OK);
    for (int i = 0, at = 0; i < 3; i++) {
        const tl_batch b = next(l);
        for (int64_t row = 0; row < b.samples; row++, at++) EQUAL(((int32_t *)b.in[1].data)[row], "xyz"[at / 5]);
        if (i != 1) continue;
        EQUAL(tl_loader_start(l, 1, 2), TL_OK); /* in the middle: nothing is left over */
        at = 8;
    }
    tl_loader_free(l);
    leave();
}

Test(lines, may_be_packed)
{
    line_reader r = { .samples = 1 };
    int32_t a[8];
    enter();
    pack("f.gz", "0\tx\n1\ty", 7, "wb");
    tl_loader *l = lines_loader("f.gz", &r, (tl_lines_opts){ 0 });
    EQUAL(read_epoch(l, 0, 0, a), 3);
    EQUAL(a[1], 1);
    tl_loader_free(l);
    leave();
}

Test(lines, that_cannot_be_read_say_where)
{
    line_reader r = { .samples = 1 };
    tl_batch b;
    enter();
    put("f", "1\tx\n2\ty\nthree\n4\tz\n", 18);
    tl_loader *l = lines_loader("f", &r, (tl_lines_opts){ .batch = 1, .window = 1 });
    EQUAL(next(l).samples, 1);
    EQUAL(next(l).samples, 1);
    EQUAL(tl_loader_next(l, &b), TL_E_FORMAT);
    cr_assert_str_eq(tl_message(), "f:3: no tab");
    EQUAL(b.samples, 0);
    EQUAL(next(l).samples, 0); /* the epoch is over */
    EQUAL(tl_loader_batches(l), -1);
    EQUAL(tl_loader_start(l, 1, 2), TL_E_FORMAT);
    EQUAL(tl_loader_start(l, 1, 1), TL_OK);
    unlink("f");
    EQUAL(tl_loader_start(l, 2, 0), TL_E_FILE);
    says("f: No such file");
    EQUAL(next(l).samples, 0);
    tl_loader_free(l);
    leave();
}

Test(lines, need_a_window_without_samples)
{
    line_reader r = { .samples = 1 };
    tl_dataset *d, *w = numbered(2, NULL), *none = lines_window();
    EQUAL(tl_dataset_lines("f", w, read_line, &d), TL_E_ARGUMENT);
    says("a dataset with fields, but without samples");
    cr_assert_null(d);
    EQUAL(tl_dataset_lines("f", NULL, read_line, &d), TL_E_ARGUMENT);
    EQUAL(tl_dataset_lines(NULL, none, read_line, &d), TL_E_ARGUMENT);
    EQUAL(tl_dataset_lines("f", none, NULL, &d), TL_E_ARGUMENT);
    EQUAL(tl_dataset_lines("f", none, read_line, &d, .window = -1), TL_E_ARGUMENT);
    EQUAL(tl_dataset_lines("f", none, read_line, &d, .batch = -1), TL_E_ARGUMENT);
    EQUAL(tl_dataset_lines("f", none, read_line, &d, .buckets = -1), TL_E_ARGUMENT);
    EQUAL(tl_dataset_lines("f", none, read_line, &d, .window = INT64_MAX, .batch = 3, .user = &r), TL_OK);
    tl_dataset_free(d);
    tl_dataset_free(w);
    tl_dataset_free(none);
    none = tl_dataset_new();
    EQUAL(tl_dataset_lines("f", none, read_line, &d), TL_E_ARGUMENT);
    tl_dataset_free(none);
    EQUAL(tl_live_bytes(), 0);
}

/* ---- memory ------------------------------------------------------------------------------------------------------- */

/* All there is, once. */
static tl_status everything(samples *s)
{
    tl_field_opts copy = { .copy = true };
    tl_dataset *d = tl_dataset_new(), *v = NULL, *w = NULL, *x = NULL, *lines = NULL;
    tl_loader *l = NULL;
    tl_batch b;
    tl_array sample[2] = { ids(numbers, 3), tl_array_of(TL_I32, TL_SCALAR, numbers + 1) };
    line_reader r = { .samples = 1 };
    tl_status status = d ? TL_OK : TL_E_MEMORY;
    if (!status) {
        tl_dataset_ragged_opt(d, ids(s->words, s->offsets[s->n]), s->offsets, s->n, &copy);
        tl_dataset_rows_opt(d, ids(s->label, s->n), &copy);
        tl_dataset_class_weights(d, 1, class_weight, CLASSES);
        for (int i = 0; !status && i < 20; i++) status = tl_dataset_append(d, sample, 2);
        if (!status) status = tl_dataset_split(d, 0.3, &v, &w);
        if (!status) status = tl_dataset_take(w, (int64_t[]){ 1, 0 }, 2, &x);
        if (!status) status = tl_loader_new(v, &l, .shuffle = true, .buckets = 1, .sort_rows = true, .batch = 3);
        if (!status) status = tl_loader_next(l, &b);
        tl_loader_free(l);
        l = NULL;
    }
    tl_dataset *window = status ? NULL : tl_dataset_new();
    if (!status) {
        tl_dataset_rows(window, ids(NULL, 0));
        tl_dataset_ragged(window, ids(NULL, 0), NULL, 0);
        status = tl_dataset_lines("f", window, read_line, &lines, .user = &r, .window = 40, .shuffle = true);
        if (!status) status = tl_loader_new(lines, &l);
        while (!status && !(status = tl_loader_next(l, &b)) && b.samples) {}
    }
    tl_loader_free(l);
    tl_dataset *all[] = { d, v, w, x, lines, window };
    for (int i = 0; i < 6; i++) tl_dataset_free(all[i]);
    return status;
}

Test(batches, survive_any_allocation_that_fails)
{
    static samples s;
    make_samples(&s, 20);
    enter();
    write_lines("f", 100);
    for (uint64_t n = 1;; n++) {
        tl_fail_allocation(n);
        const tl_status status = everything(&s);
        tl_fail_allocation(0);
        EQUAL(tl_live_bytes(), 0);
        if (!status) {
            cr_assert(n > 40, "only %d allocations", (int)n);
            break;
        }
        cr_assert(status == TL_E_MEMORY || (status == TL_E_ARGUMENT && strstr(tl_message(), "no dataset")), "%d: %s",
                  status, tl_message());
    }
    leave();
}
