/* train/buckets.c - ragged batches share plans: T becomes a bucket's size. That changes nothing, for steps after a row's
 * last real one do not count (graph.h, "masks"). */
#include "train/buckets.h"

#include <string.h>

int64_t tl_bucket(int64_t n)
{
    int64_t step = 4;
    while (8 * step < n) step *= 2;
    return n > step ? (n + step - 1) / step * step : step;
}

static size_t element(const tl_array *a) { return a->dtype == TL_F64 ? sizeof(double) : sizeof(float); }

/* Bytes of one step. */
static size_t step_bytes(const tl_array *a)
{
    size_t bytes = element(a);
    for (int k = 1; k < a->rank; k++) bytes *= (size_t)a->dim[k];
    return bytes;
}

static bool is_sequence(const tl_array *a) { return a->rank >= 2 && (a->batch_axis == 0 || a->batch_axis == 1); }

static bool is_zero(const tl_array *a, int64_t i)
{
    if (a->dtype == TL_F64) return ((const double *)a->data)[i] == 0;
    if (a->dtype == TL_F32) return ((const float *)a->data)[i] == 0;
    return ((const int32_t *)a->data)[i] == 0;
}

/* Steps up to the last one that is real in some row; -1 where the numbers make no sense, which the run will report. */
static int64_t real_steps(const tl_array *a, int64_t T)
{
    const int32_t *length = a->data;
    int64_t n = 0;
    if (a->rank == 1) {
        for (int64_t b = 0; b < a->dim[0]; b++) {
            if (length[b] < 0 || length[b] > T) return -1;
            if (length[b] > n) n = length[b];
        }
        return n;
    }
    for (int64_t i = a->dim[0] * a->dim[1]; i && !n; i--)
        if (!is_zero(a, i - 1)) n = (i - 1) / a->dim[1] + 1;
    return n;
}

/* T of the first sequence of B rows; -1: there is none. */
static int64_t find_steps(const tl_array *in, int n, int64_t B)
{
    for (int i = 0; i < n; i++)
        if (is_sequence(&in[i]) && in[i].dim[1] == B) return in[i].dim[0];
    return -1;
}

static bool is_one_of(const tl_array *a, int64_t T, int64_t B)
{
    return is_sequence(a) && a->dim[0] == T && a->dim[1] == B;
}

/* Copies, one after the other in room, with the last step again and again: its ids are in use already. Steps of a mask
 * (lengths: its number) are zeros. */
static tl_status lengthen(tl_array *in, int n, int lengths, int64_t T, int64_t B, int64_t to, tl_room *room)
{
    size_t need = 0, at = 0;
    for (int i = 0; i < n; i++)
        if (is_one_of(&in[i], T, B)) need += ((size_t)to * step_bytes(&in[i]) + 63) / 64 * 64;
    if (need > room->bytes) {
        char *data = tl_resize(room->data, room->bytes, need);
        if (!data) return tl_report(TL_E_MEMORY, "out of memory for inputs of %lld steps", (long long)to);
        *room = (tl_room){ data, need };
    }
    for (int i = 0; i < n; i++) {
        if (!is_one_of(&in[i], T, B)) continue;
        const size_t step = step_bytes(&in[i]);
        char *copy = room->data + at;
        memcpy(copy, in[i].data, (size_t)T * step);
        for (int64_t t = T; t < to; t++)
            if (i == lengths) memset(copy + (size_t)t * step, 0, step);
            else memcpy(copy + (size_t)t * step, copy + (size_t)(T - 1) * step, step);
        in[i].data = copy;
        at += ((size_t)to * step + 63) / 64 * 64;
    }
    return TL_OK;
}

tl_status tl_bucket_inputs(tl_array *in, int n, int lengths, tl_room *room)
{
    const tl_array *a = &in[lengths];
    const bool mask = a->rank == 2 && is_sequence(a);
    if (!mask && !(a->rank == 1 && a->dtype == TL_I32))
        return tl_report(TL_E_INPUT, "in[%d] should tell which steps are real: i32 lengths [B], or a mask [T, B]",
                         lengths);
    const int64_t B = a->dim[mask], T = mask ? a->dim[0] : find_steps(in, n, B);
    for (int i = 0; i < n; i++) /* which the run will report */
        if (!in[i].data && (i == lengths || is_one_of(&in[i], T, B))) return TL_OK;
    const int64_t steps = T > 0 && B > 0 ? real_steps(a, T) : -1, to = tl_bucket(steps);
    if (steps < 0) return TL_OK;
    const tl_status status = to > T ? lengthen(in, n, lengths, T, B, to, room) : TL_OK;
    for (int i = 0; !status && i < n; i++)
        if (is_one_of(&in[i], T, B)) in[i].dim[0] = to;
    return status;
}
