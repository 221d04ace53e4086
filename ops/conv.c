/* ops/conv.c - convolutions: windows of x as rows, times the kernel as a matrix. Their derivatives follow. */
#include "ops/windows.h"

typedef struct rank_attr {
    int64_t rank; /* that x and w should have */
} rank_attr;

static bool conv_refused(tl_shape_rule *r)
{
    const int rank = (int)((const rank_attr *)r->attr)->rank;
    const tl_shape *x = &r->in[0], *w = &r->in[1];
    if (r->n_in < 2 || x->rank != rank || w->rank != rank)
        return tl_refuse(r, TL_E_SHAPE, "they should be %s",
                         rank == 3 ? "[T,B,C] and [K,C,O]" : "[B,H,W,C] and [KH,KW,C,O]");
    return tl_refuse(r, TL_E_SHAPE, "%lld channels, and a kernel for %lld", (long long)x->dim[rank - 1],
                     (long long)w->dim[rank - 2]);
}
TL_REFUSAL(conv1d, rank_attr, conv_refused);
TL_REFUSAL(conv2d, rank_attr, conv_refused);

static bool fits(tl_tensor x, tl_tensor w, int rank)
{
    return tl_rank(x) == rank && tl_rank(w) == rank && tl_dim(x, -1) == tl_dim(w, -2);
}

static tl_tensor conv(tl_place at, tl_tensor x, tl_tensor w, tl_tensor b, const tl_grid *g)
{
    const tl_tensor p = tl_patches(at, x, g);
    tl_shape s = tl_shape_of(p);
    if (s.rank < 2) return p; /* it has failed */
    const int64_t k = s.dim[s.rank - 2] * s.dim[s.rank - 1];
    int64_t rows = 1;
    for (int i = 0; i < s.rank - 2; i++) rows *= s.dim[i];
    w = tl_reshape_at(at, w, TL_DIMS(k, tl_dim(w, -1)));
    const tl_tensor y = tl_gemm_at(at, b, tl_reshape_at(at, p, TL_DIMS(rows, k)), w, false, false);
    s.dim[s.rank - 2] = tl_dim(w, -1);
    return tl_reshape_at(at, y, s.rank - 1, s.dim);
}

tl_tensor tl_conv1d_opt(tl_place at, tl_tensor x, tl_tensor w, tl_tensor b, const tl_window_opts *o)
{
    tl_grid g;
    if (!fits(x, w, 3)) return tl_apply_at(at, &refusal_conv1d, (tl_tensor[]){ x, w }, 2, &(rank_attr){ 3 });
    if (!tl_grid_1d(&g, tl_dim(w, 0), o)) return tl_without_size(at, x);
    return conv(at, x, w, b, &g);
}

tl_tensor tl_conv2d_opt(tl_place at, tl_tensor x, tl_tensor w, tl_tensor b, const tl_window2d_opts *o)
{
    tl_grid g;
    if (!fits(x, w, 4)) return tl_apply_at(at, &refusal_conv2d, (tl_tensor[]){ x, w }, 2, &(rank_attr){ 4 });
    if (!tl_grid_2d(&g, tl_dim(w, 0), tl_dim(w, 1), o)) return tl_without_size(at, x);
    return conv(at, x, w, b, &g);
}
