/* ops/broadcast.c - broadcast_to: y = x under the larger shape, by NumPy's rule;  dx = g, summed back */
#include "ops/define.h"
#ifdef TL_REAL

KERNEL(broadcast_to)
{
    const int64_t n = tl_row_length(r), s = tl_row_step(r, 0);
    for (tl_rows w = tl_rows_begin(r); w.left > 0; tl_rows_next(&w, r)) {
        const bits *x = (const bits *)r->in[0] + w.offset[0];
        bits *y = (bits *)r->out + w.out;
        if (s == 1) memcpy(y, x, (size_t)n * sizeof *y);
        else
            for (int64_t i = 0; i < n; i++) y[i] = x[i * s];
    }
    return TL_OK;
}

#else

static bool broadcast_shape(tl_shape_rule *r)
{
    const tl_reshape_attr *a = r->attr;
    const tl_shape *x = r->in;
    if (a->rank < 0 || a->rank > TL_MAX_RANK) return tl_refuse(r, TL_E_ARGUMENT, "rank %d", (int)a->rank);
    const int extra = (int)a->rank - x->rank;
    if (extra < 0) return tl_refuse(r, TL_E_SHAPE, "rank %d is larger than rank %d", x->rank, (int)a->rank);
    r->out.rank = (int)a->rank;
    for (int i = 0; i < r->out.rank; i++) {
        const int64_t d = i < extra ? 1 : x->dim[i - extra];
        if (a->dim[i] < 0 || (d != 1 && d != a->dim[i]))
            return tl_refuse(r, TL_E_SHAPE, "dimension %lld does not broadcast to %lld", (long long)d,
                             (long long)a->dim[i]);
        r->out.dim[i] = a->dim[i];
    }
    return true;
}

static tl_tensor broadcast_vjp(const tl_vjp *v, int i) { return tl_unbroadcast(v->g, v->in[i]); }

#define SHAPE(...)                                                                                                     \
    .attr = &(const tl_reshape_attr)                                                                                   \
    {                                                                                                                  \
        (int)(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int)), { __VA_ARGS__ }                                           \
    }
TL_OP(broadcast_to, .min_in = 1, .max_in = 1, .cls = TL_ELEMENTWISE, .role = TL_ROLE_BROADCAST, .takes_i32 = true,
      .attr_size = sizeof(tl_reshape_attr), .shape = broadcast_shape, .vjp = broadcast_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(3) }, SHAPE(2, 3) }, { 1, { TL_CASE_SHAPE(2, 1, 4) }, SHAPE(2, 3, 4) },
               { 1, { TL_CASE_SHAPE(2, 1) }, SHAPE(5, 2, 3) }, { 1, { TL_CASE_SCALAR }, SHAPE(2, 2) },
               { 1, { TL_CASE_SHAPE(1, 3) }, SHAPE(0, 3) }, { 1, { TL_CASE_SHAPE(0, 1) }, SHAPE(0, 3) },
               { 1, { TL_CASE_IDS(2, 1) }, SHAPE(2, 3), .ids = 9 },
               { 1, { TL_CASE_SHAPE(2) }, SHAPE(3), .rejects = true },
               { 1, { TL_CASE_SHAPE(2, 3) }, SHAPE(3), .rejects = true }));

tl_tensor tl_broadcast_to_at(tl_place at, tl_tensor x, int rank, const int64_t *dim)
{
    tl_reshape_attr a = { .rank = rank };
    for (int i = 0; i < rank && i < TL_MAX_RANK; i++) a.dim[i] = dim[i];
    return tl_apply_at(at, &tl_op_broadcast_to, &x, 1, &a);
}
tl_tensor(tl_broadcast_to)(tl_tensor x, int rank, const int64_t *dim)
{
    return tl_broadcast_to_at(TL_NOWHERE, x, rank, dim);
}

/* Axes that g has in front are summed away; axes where `like` has 1 are summed to 1. A sum, if any, is the newest
 * node. */
tl_tensor tl_unbroadcast(tl_tensor g, tl_tensor like)
{
    const tl_shape want = tl_shape_of(like);
    const int extra = tl_rank(g) - want.rank;
    int axes[TL_MAX_RANK], n = 0;
    for (int i = 0; i < want.rank; i++)
        if (want.dim[i] == 1 && tl_dim(g, extra + i) != 1) axes[n++] = extra + i;
    if (n) g = tl_sum_keep(g, n, axes);
    for (int i = 0; i < extra; i++) axes[i] = i;
    return extra > 0 ? tl_sum(g, extra, axes) : g;
}

#endif
