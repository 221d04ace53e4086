/* data/tokenizer_matrix.c - a row for each text, a column for each id: which words it has, how many, how often. */
#include "data/internal.h"

#include <math.h>
#include <string.h>

/* What stands in the place of a count c of an id in a text of n ids. */
static double weight_of(const tl_tokenizer *t, tl_matrix_mode mode, int32_t id, double c, int64_t n)
{
    const tl_word *word = tl_tokenizer_entry(t, id);
    switch (mode) {
    case TL_MATRIX_BINARY: return 1;
    case TL_MATRIX_COUNT: return c;
    case TL_MATRIX_FREQ: return c / (double)n;
    default: break;
    }
    /* Term frequency 1 + log c times inverse document frequency log(1 + documents / (1 + those with the word)). */
    return (1 + log(c)) * log(1 + (double)t->texts / (1 + (word ? (double)word->texts : 0)));
}

/* Counts the row's ids below `columns`; returns the first negative one, otherwise 0. */
static int32_t count_row(const int32_t *ids, int64_t n, double *row, int64_t columns)
{
    for (int64_t k = 0; k < n; k++) {
        if (ids[k] < 0) return ids[k];
        if (ids[k] < columns) row[ids[k]]++;
    }
    return 0;
}

static tl_status fill(const tl_tokenizer *t, const tl_ragged *s, tl_matrix_mode mode, double *row, tl_array *out)
{
    const int64_t columns = out->dim[1];
    for (int64_t i = 0; i < s->n; i++) {
        const int64_t n = s->offset[i + 1] - s->offset[i];
        memset(row, 0, (size_t)columns * sizeof *row);
        const int32_t wrong = count_row(s->ids + s->offset[i], n, row, columns);
        if (wrong)
            return tl_report(TL_E_INDEX, "tl_sequences_to_matrix: sequence %lld has the id %d", (long long)i, wrong);
        for (int64_t id = 0; id < columns; id++)
            tl_array_put(out, i * columns + id, row[id] ? weight_of(t, mode, (int32_t)id, row[id], n) : 0);
    }
    return TL_OK;
}

tl_status tl_sequences_to_matrix(const tl_tokenizer *t, const tl_ragged *sequences, tl_matrix_mode mode, tl_dtype dtype,
                                 tl_array *out)
{
    static const char who[] = "tl_sequences_to_matrix";
    if (!t || !sequences || !out || mode < TL_MATRIX_BINARY || mode > TL_MATRIX_TFIDF)
        return tl_report(TL_E_ARGUMENT, "%s: a tokenizer, sequences, a mode and a place for the array are needed", who);
    *out = (tl_array){ 0 };
    const int64_t columns = t->num_words ? t->num_words : tl_tokenizer_size(t) + 1;
    if (columns == 1 && !t->num_words)
        return tl_report(TL_E_ARGUMENT, "%s: give .num_words, or fit the tokenizer first", who);
    if (mode == TL_MATRIX_TFIDF && !t->texts)
        return tl_report(TL_E_ARGUMENT, "%s: TL_MATRIX_TFIDF needs a tokenizer that has been fitted", who);
    if (dtype == TL_I32) return tl_report(TL_E_DTYPE, "%s: the matrix is of floats", who);
    tl_array row;
    tl_status status = tl_array_new(who, TL_F64, TL_DIMS(columns), &row);
    if (!status) status = tl_array_new(who, dtype, TL_DIMS(sequences->n, columns), out);
    if (!status) status = fill(t, sequences, mode, row.data, out);
    tl_array_free(&row);
    if (status) tl_array_free(out);
    return status;
}

tl_status tl_texts_to_matrix(const tl_tokenizer *t, const char *const *texts, int64_t n, tl_matrix_mode mode,
                             tl_dtype dtype, tl_array *out)
{
    tl_ragged s;
    tl_status status = tl_texts_to_sequences(t, texts, n, &s);
    if (status) return status;
    status = tl_sequences_to_matrix(t, &s, mode, dtype, out);
    tl_ragged_free(&s);
    return status;
}
