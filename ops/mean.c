/* ops/mean.c - y = sum of x over axes / count, made of sum and scale. */
#include "ops/define.h"

/* 1 / count, which is infinite for nothing: 0 times that is NaN. */
static double share(tl_tensor x, tl_tensor sum)
{
    const tl_shape all = tl_shape_of(x), left = tl_shape_of(sum);
    double count = 1;
    for (int a = 0; a < all.rank; a++) count *= (double)all.dim[a];
    for (int a = 0; a < left.rank; a++) count /= left.dim[a] ? (double)left.dim[a] : 1;
    return 1 / count;
}

tl_tensor tl_mean_at(tl_place at, tl_tensor x, int n, const int *axes)
{
    const tl_tensor sum = tl_sum_at(at, x, n, axes);
    return tl_scale_at(at, sum, share(x, sum));
}

tl_tensor tl_mean_keep_at(tl_place at, tl_tensor x, int n, const int *axes)
{
    const tl_tensor sum = tl_sum_keep_at(at, x, n, axes);
    return tl_scale_at(at, sum, share(x, sum));
}

tl_tensor(tl_mean)(tl_tensor x, int n, const int *axes) { return tl_mean_at(TL_NOWHERE, x, n, axes); }
tl_tensor(tl_mean_keep)(tl_tensor x, int n, const int *axes) { return tl_mean_keep_at(TL_NOWHERE, x, n, axes); }
