/* data/pad.c - sequences of any lengths as one array, classes as vectors. */
#include "data/internal.h"

#include <limits.h>
#include <math.h>
#include <string.h>

/* ---- single numbers ----------------------------------------------------------------------------------------- */

double tl_array_at(const tl_array *a, int64_t i) { return tl_element(a->data, a->dtype, i); }

void tl_array_put(tl_array *a, int64_t i, double value) { tl_set_element(a->data, a->dtype, i, value); }

static bool same_steps(const tl_array *a, const tl_array *b)
{
    return a->rank == b->rank && !memcmp(a->dim + 1, b->dim + 1, (size_t)(a->rank - 1) * sizeof *a->dim);
}

/* ---- padding ------------------------------------------------------------------------------------------------ */

/* As C converts, which is as NumPy does, but what does not fit 32 bits is refused. */
static bool put_checked(tl_array *a, int64_t i, double value)
{
    if (a->dtype == TL_I32 && !(value > INT32_MIN - 1.0 && value < INT32_MAX + 1.0)) return false;
    tl_array_put(a, i, value);
    return true;
}

/* Row i of the result: `value`, and of the sequence its first or last steps, before or behind it. */
static bool pad_row(const tl_array *s, const tl_pad_opts *o, int64_t i, int64_t width, tl_array *out)
{
    const int64_t most = out->dim[1], have = s->dim[0], n = have < most ? have : most;
    const int64_t from = o->truncating == TL_POST ? 0 : have - n, to = o->padding == TL_POST ? 0 : most - n;
    const int64_t row = i * most;
    bool good = true;
    for (int64_t k = 0; k < most * width; k++) {
        const bool inside = k >= to * width && k < (to + n) * width;
        const double value = inside ? tl_array_at(s, k + (from - to) * width) : o->value;
        good &= put_checked(out, row * width + k, value);
    }
    return good;
}

static tl_status check_sides(const char *who, const tl_pad_opts *o)
{
    if (o->maxlen < 0) return tl_report(TL_E_ARGUMENT, "%s: .maxlen is negative", who);
    if (o->padding < TL_PRE || o->padding > TL_POST || o->truncating < TL_PRE || o->truncating > TL_POST)
        return tl_report(TL_E_ARGUMENT, "%s: .padding and .truncating are TL_PRE or TL_POST", who);
    return TL_OK;
}

static tl_status pad(const char *who, const tl_array *s, int64_t n, const tl_pad_opts *o, tl_dtype dtype, tl_array *out)
{
    static const tl_pad_opts usual = { .size = sizeof usual };
    if (!o) o = &usual;
    const tl_array *first = NULL; /* that says the shape of a step */
    int64_t longest = 0;
    tl_status status = check_sides(who, o);
    for (int64_t i = 0; !status && i < n; i++) {
        if (!tl_array_valid(&s[i]))
            return tl_report(TL_E_ARGUMENT, "%s: sequence %lld has no valid type, shape or data", who, (long long)i);
        if (s[i].rank < 1 || s[i].rank >= TL_MAX_RANK)
            return tl_report(TL_E_SHAPE, "%s: sequence %lld has rank %d", who, (long long)i, s[i].rank);
        if (!s[i].dim[0]) continue;
        if (!first) first = &s[i];
        if (!same_steps(first, &s[i]))
            return tl_report(TL_E_SHAPE, "%s: the steps of sequence %lld have another shape than those before it", who,
                             (long long)i);
        if (s[i].dim[0] > longest) longest = s[i].dim[0];
    }
    if (status) return status;
    int64_t dim[TL_MAX_RANK] = { n, o->maxlen ? o->maxlen : longest };
    const int rank = first ? first->rank : 1;
    for (int k = 1; k < rank; k++) dim[k + 1] = first->dim[k];
    status = tl_array_new(who, o->dtype ? o->dtype : first ? dtype ? dtype : first->dtype : TL_I32, rank + 1, dim, out);
    const int64_t width = first ? tl_step_size(first) : 1;
    for (int64_t i = 0; !status && i < n; i++)
        if (!pad_row(&s[i], o, i, width, out))
            status = tl_report(TL_E_ARGUMENT, "%s: sequence %lld or .value has a number that does not fit i32", who,
                               (long long)i);
    if (status) tl_array_free(out);
    return status;
}

tl_status tl_pad_arrays_opt(const tl_array *sequences, int64_t n, tl_array *out, const tl_pad_opts *o)
{
    static const char who[] = "tl_pad_arrays";
    if (!out || n < 0 || (n && !sequences))
        return tl_report(TL_E_ARGUMENT, "%s: n arrays and a place for the result are needed", who);
    *out = (tl_array){ 0 };
    return pad(who, sequences, n, o, 0, out);
}

tl_status tl_pad_sequences_opt(const tl_ragged *sequences, tl_array *out, const tl_pad_opts *o)
{
    static const char who[] = "tl_pad_sequences";
    if (!out || !sequences) return tl_report(TL_E_ARGUMENT, "%s: sequences and a place for the result are needed", who);
    *out = (tl_array){ 0 };
    const int64_t n = sequences->n;
    const size_t bytes = (size_t)n * sizeof(tl_array);
    tl_array *each = n ? tl_resize(NULL, 0, bytes) : NULL;
    if (n && !each) return tl_report(TL_E_MEMORY, "%s: out of memory", who);
    for (int64_t i = 0; i < n; i++) {
        const int64_t from = sequences->offset[i];
        each[i] = tl_array_of(TL_I32, TL_DIMS(sequences->offset[i + 1] - from), NULL);
        if (each[i].dim[0]) each[i].data = sequences->ids + from;
    }
    const tl_status status = pad(who, each, n, o, TL_I32, out);
    if (each) tl_resize(each, bytes, 0);
    return status;
}

/* ---- classes as vectors ------------------------------------------------------------------------------------- */

tl_status tl_to_categorical_opt(const tl_array *classes, tl_array *out, const tl_categorical_opts *o)
{
    static const char who[] = "tl_to_categorical";
    static const tl_categorical_opts usual = { .size = sizeof usual };
    if (!o) o = &usual;
    if (!classes || !tl_array_valid(classes) || !out || o->num_classes < 0)
        return tl_report(TL_E_ARGUMENT, "%s: classes with data, a place for the result and no negative .num_classes",
                         who);
    *out = (tl_array){ 0 };
    int64_t n = 1, dim[TL_MAX_RANK + 1], most = -1;
    int rank = classes->rank;
    for (int k = 0; k < rank; k++) n *= dim[k] = classes->dim[k];
    if (rank > 1 && dim[rank - 1] == 1) rank--;
    for (int64_t i = 0; i < n; i++) {
        const double c = tl_array_at(classes, i);
        if (!(c >= 0 && c < (double)(o->num_classes ? o->num_classes : INT32_MAX)) || c != floor(c))
            return tl_report(TL_E_INDEX, "%s: element %lld is %g, which is no class from 0 to .num_classes - 1", who,
                             (long long)i, c);
        if ((int64_t)c > most) most = (int64_t)c;
    }
    const int64_t columns = dim[rank] = o->num_classes ? o->num_classes : most + 1;
    const tl_status status = tl_array_new(who, o->dtype ? o->dtype : TL_F32, rank + 1, dim, out);
    for (int64_t i = 0; !status && i < n * columns; i++) tl_array_put(out, i, 0);
    for (int64_t i = 0; !status && i < n; i++) tl_array_put(out, i * columns + (int64_t)tl_array_at(classes, i), 1);
    return status;
}
