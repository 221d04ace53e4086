/* ops/kernels/ids.h - ids and lengths are checked before anything is written. */
#ifndef TL_IDS_H
#define TL_IDS_H

static inline tl_status check_ids(const tl_run_args *r, const int32_t *id, int64_t n, int64_t limit)
{
    for (int64_t i = 0; i < n; i++)
        if (id[i] < 0 || id[i] >= limit)
            return tl_kernel_fail(r, TL_E_INDEX, "id %ld at position %lld is outside 0..%lld", (long)id[i],
                                  (long long)i, (long long)limit - 1);
    return TL_OK;
}

/* Lengths are 0..limit. */
static inline tl_status check_lengths(const tl_run_args *r, const int32_t *length, int64_t n, int64_t limit)
{
    for (int64_t i = 0; i < n; i++)
        if (length[i] < 0 || length[i] > limit)
            return tl_kernel_fail(r, TL_E_INDEX, "length %ld at position %lld is outside 0..%lld", (long)length[i],
                                  (long long)i, (long long)limit);
    return TL_OK;
}

#endif
