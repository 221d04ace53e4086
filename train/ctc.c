/* train/ctc.c - the best path of CTC. */
#include "train/train.h"

static int32_t likeliest(const tl_array *a, int64_t at, int64_t V)
{
    int64_t best = 0;
    for (int64_t v = 1; v < V; v++)
        if (a->dtype == TL_F64 ? ((const double *)a->data)[at + v] > ((const double *)a->data)[at + best]
                               : ((const float *)a->data)[at + v] > ((const float *)a->data)[at + best])
            best = v;
    return (int32_t)best;
}

tl_status tl_ctc_greedy(const tl_array *a, const int32_t *lengths, int32_t blank, int32_t *ids, int32_t *counts)
{
    if (!a || !a->data || !ids || !counts || a->rank != 3 || a->dtype == TL_I32 || a->dim[2] < 1)
        return tl_report(TL_E_ARGUMENT,
                         "tl_ctc_greedy: floats [T, B, V] and places for ids and their counts are needed");
    const int64_t T = a->dim[0], B = a->dim[1], V = a->dim[2];
    for (int64_t b = 0; lengths && b < B; b++)
        if (lengths[b] < 0 || lengths[b] > T)
            return tl_report(TL_E_INDEX, "tl_ctc_greedy: length %d of row %lld is not one of 0..%lld", lengths[b],
                             (long long)b, (long long)T);
    for (int64_t b = 0; b < B; b++) {
        int32_t before = blank;
        counts[b] = 0;
        for (int64_t t = 0; t < (lengths ? lengths[b] : T); t++) {
            const int32_t id = likeliest(a, (t * B + b) * V, V);
            if (id != blank && id != before) ids[b * T + counts[b]++] = id;
            before = id;
        }
    }
    return TL_OK;
}
