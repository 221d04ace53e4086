/* data/sequences.c - ids of any lengths, and arrays that this room makes. */
#include "data/internal.h"

#include <string.h>

/* ---- arrays ------------------------------------------------------------------------------------------------- */

size_t tl_element_size(tl_dtype dtype) { return dtype == TL_F64 ? sizeof(double) : 4; }

int64_t tl_step_size(const tl_array *a)
{
    int64_t n = 1;
    for (int k = 1; k < a->rank; k++) n *= a->dim[k];
    return n;
}

tl_status tl_array_new(const char *who, tl_dtype dtype, int rank, const int64_t *dim, tl_array *out)
{
    *out = (tl_array){ 0 };
    int64_t bytes = (int64_t)tl_element_size(dtype);
    if (dtype < TL_F32 || dtype > TL_I32) return tl_report(TL_E_DTYPE, "%s: there is no element type %d", who, dtype);
    if (rank < 0 || rank > TL_MAX_RANK)
        return tl_report(TL_E_SHAPE, "%s: rank %d; arrays have at most %d", who, rank, TL_MAX_RANK);
    for (int i = 0; i < rank; i++)
        if (dim[i] < 0 || __builtin_mul_overflow(bytes, dim[i], &bytes))
            return tl_report(TL_E_SHAPE, "%s: the result would be too large", who);
    tl_array a = tl_array_of(dtype, rank, dim, NULL);
    /* One byte where there are no elements, so that data is not NULL. */
    a.data = tl_resize(NULL, 0, bytes ? (size_t)bytes : 1);
    if (!a.data) return tl_report(TL_E_MEMORY, "%s: out of memory", who);
    *out = a;
    return TL_OK;
}

void tl_array_free(tl_array *a)
{
    if (!a) return;
    size_t bytes = tl_element_size(a->dtype);
    for (int i = 0; i < a->rank; i++) bytes *= (size_t)a->dim[i];
    if (a->data) tl_resize(a->data, bytes ? bytes : 1, 0);
    *a = (tl_array){ 0 };
}

bool tl_make_room(void *p, int64_t *room, int64_t n, int64_t more, size_t size)
{
    int64_t need, wanted = *room ? *room : 16;
    if (__builtin_add_overflow(n, more, &need) || need > INT64_MAX / 4 / (int64_t)size) return false;
    if (need <= *room) return true;
    while (wanted < need) wanted *= 2;
    void *old;
    memcpy(&old, p, sizeof old);
    void *data = tl_resize(old, (size_t)*room * size, (size_t)wanted * size);
    if (!data) return false;
    memcpy(p, &data, sizeof data);
    *room = wanted;
    return true;
}

/* ---- ragged sequences --------------------------------------------------------------------------------------- */

void tl_ragged_free(tl_ragged *r)
{
    if (!r) return;
    tl_resize(r->ids, (size_t)r->id_room * sizeof *r->ids, 0);
    tl_resize(r->offset, (size_t)r->offset_room * sizeof *r->offset, 0);
    *r = (tl_ragged){ 0 };
}

bool tl_ragged_open(tl_ragged *r)
{
    if (!tl_make_room(&r->offset, &r->offset_room, r->n + 1, 1, sizeof *r->offset)) return false;
    const int64_t end = r->n ? r->offset[r->n] : 0;
    r->offset[r->n] = end;
    r->offset[++r->n] = end;
    return true;
}

bool tl_ragged_push(tl_ragged *r, int32_t id)
{
    int64_t *end = &r->offset[r->n];
    if (*end == r->id_room && !tl_make_room(&r->ids, &r->id_room, *end, 1, sizeof *r->ids)) return false;
    r->ids[(*end)++] = id;
    return true;
}

void tl_ragged_drop(tl_ragged *r) { r->n--; }

tl_status tl_ragged_add(tl_ragged *r, const int32_t *ids, int64_t n)
{
    if (!r || n < 0 || (n && !ids)) return tl_report(TL_E_ARGUMENT, "tl_ragged_add: n ids are needed");
    const int64_t end = r->n ? r->offset[r->n] : 0;
    if (!tl_make_room(&r->ids, &r->id_room, end, n, sizeof *r->ids) || !tl_ragged_open(r))
        return tl_report(TL_E_MEMORY, "tl_ragged_add: out of memory");
    if (n) memcpy(r->ids + end, ids, (size_t)n * sizeof *ids);
    r->offset[r->n] = end + n;
    return TL_OK;
}
