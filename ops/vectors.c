/* ops/vectors.c - matmul: gemm, but a vector counts as a row on the left and as a column on the right. */
#include "ops/define.h"

/* Without axis `axis` (0..rank-1), which is of size 1. */
static tl_tensor drop_axis(tl_place at, tl_tensor x, int axis)
{
    tl_shape s = tl_shape_of(x);
    for (int i = axis; i + 1 < s.rank; i++) s.dim[i] = s.dim[i + 1];
    return tl_reshape_at(at, x, s.rank - 1, s.dim);
}

tl_tensor tl_matmul_at(tl_place at, tl_tensor a, tl_tensor b)
{
    const bool row = tl_rank(a) == 1, column = tl_rank(b) == 1;
    if (row) a = tl_reshape_at(at, a, TL_DIMS(1, tl_size(a)));
    if (column) b = tl_reshape_at(at, b, TL_DIMS(tl_size(b), 1));
    tl_tensor y = tl_gemm_at(at, TL_NONE, a, b, false, false);
    if (column && tl_rank(y) >= 2) y = drop_axis(at, y, tl_rank(y) - 1);
    if (row && tl_rank(y) >= 1) y = drop_axis(at, y, tl_rank(y) - (column ? 1 : 2));
    return y;
}
tl_tensor(tl_matmul)(tl_tensor a, tl_tensor b) { return tl_matmul_at(TL_NOWHERE, a, b); }
