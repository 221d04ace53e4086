/* ops/permute.c - y's axis i is x's axis order[i];  dx = g with the axes put back */
#include "ops/define.h"
#ifdef TL_REAL

/* y [n, m] from x with the given strides, in blocks that keep both sides' cache lines in use */
static void move_plane(bits *y, const bits *x, int64_t n, int64_t m, int64_t sn, int64_t sm)
{
    enum { BLOCK = 16 };
    if (sm == 1) {
        for (int64_t i = 0; i < n; i++) memcpy(y + i * m, x + i * sn, (size_t)m * sizeof *y);
        return;
    }
    for (int64_t i = 0; i < n; i += BLOCK)
        for (int64_t j = 0; j < m; j += BLOCK)
            for (int64_t p = i; p < n && p < i + BLOCK; p++)
                for (int64_t q = j; q < m && q < j + BLOCK; q++) y[p * m + q] = x[p * sn + q * sm];
}

KERNEL(permute)
{
    const tl_permute_attr *a = r->attr;
    const tl_desc *d = r->out_desc;
    int64_t stride[TL_MAX_RANK] = { 0 }, of_x[TL_MAX_RANK], size = 1, index[TL_MAX_RANK] = { 0 };
    for (int i = d->rank - 1; i >= 0; i--) of_x[i] = size, size *= r->in_desc->dim[i];
    for (int i = 0; i < d->rank; i++) stride[i] = of_x[a->order[i]];
    const int outer = d->rank > 2 ? d->rank - 2 : 0;
    const int64_t n = d->rank > 1 ? d->dim[outer] : 1, m = d->rank ? d->dim[d->rank - 1] : 1;
    const int64_t sn = d->rank > 1 ? stride[outer] : 0, sm = d->rank ? stride[d->rank - 1] : 1;
    const bits *x = r->in[0];
    bits *y = r->out;
    for (int64_t left = tl_span(d, 0, outer); left > 0 && size; left--, y += n * m) {
        move_plane(y, x, n, m, sn, sm);
        for (int i = outer - 1; i >= 0; i--) {
            x += stride[i];
            if (++index[i] < d->dim[i]) break;
            x -= stride[i] * d->dim[i];
            index[i] = 0;
        }
    }
    return TL_OK;
}

#else

static bool permute_shape(tl_shape_rule *r)
{
    const tl_permute_attr *a = r->attr;
    r->out = r->in[0];
    unsigned seen = 0;
    for (int i = 0; i < r->out.rank; i++) {
        if (a->order[i] < 0 || a->order[i] >= r->out.rank || seen >> a->order[i] & 1)
            return tl_refuse(r, TL_E_ARGUMENT, "axis %lld is not in rank %d, or is named twice", (long long)a->order[i],
                             r->out.rank);
        seen |= 1u << a->order[i];
        r->out.dim[i] = r->in->dim[a->order[i]];
    }
    return true;
}

static tl_tensor permute_vjp(const tl_vjp *v, int i)
{
    const tl_permute_attr *a = v->attr;
    int back[TL_MAX_RANK] = { 0 };
    for (int k = 0; k < tl_rank(v->in[i]); k++) back[a->order[k]] = k;
    return tl_permute(v->g, back);
}

#define ORDER(...)                                                                                                     \
    .attr = &(const tl_permute_attr)                                                                                   \
    {                                                                                                                  \
        {                                                                                                              \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
TL_OP(permute, .min_in = 1, .max_in = 1, .cls = TL_MOVE, .role = TL_ROLE_TRANSPOSE, .takes_i32 = true,
      .attr_size = sizeof(tl_permute_attr), .shape = permute_shape, .vjp = permute_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(2, 3) }, ORDER(1, 0) }, { 1, { TL_CASE_SHAPE(2, 3, 4) }, ORDER(2, 0, 1) },
               { 1, { TL_CASE_SHAPE(2, 3, 4) }, ORDER(1, 0, 2) },
               { 1, { TL_CASE_SHAPE(2, 3, 4, 5) }, ORDER(3, 1, 0, 2) },
               { 1, { TL_CASE_SHAPE(19, 35) }, ORDER(1, 0), .no_second = true }, { 1, { TL_CASE_SHAPE(3) }, ORDER(0) },
               { 1, { TL_CASE_SCALAR }, ORDER(0) }, { 1, { TL_CASE_SHAPE(0, 3) }, ORDER(1, 0) },
               { 1, { TL_CASE_IDS(2, 3) }, ORDER(1, 0), .ids = 9 },
               { 1, { TL_CASE_SHAPE(2, 3) }, ORDER(0, 0), .rejects = true },
               { 1, { TL_CASE_SHAPE(2, 3) }, ORDER(0, 2), .rejects = true }));

tl_tensor tl_permute_at(tl_place at, tl_tensor x, const int *order)
{
    tl_permute_attr a = { { 0 } };
    for (int i = 0; i < tl_rank(x); i++) a.order[i] = tl_axis(order[i], tl_rank(x));
    return tl_apply_at(at, &tl_op_permute, &x, 1, &a);
}
tl_tensor(tl_permute)(tl_tensor x, const int *order) { return tl_permute_at(TL_NOWHERE, x, order); }

static bool transpose_refused(tl_shape_rule *r) { return tl_refuse(r, TL_E_SHAPE, "needs at least two axes"); }
TL_REFUSAL(transpose, tl_permute_attr, transpose_refused);

tl_tensor tl_transpose_at(tl_place at, tl_tensor x)
{
    const int rank = tl_rank(x);
    tl_permute_attr a = { { 0 } };
    for (int i = 0; i < rank; i++) a.order[i] = i < rank - 2 ? i : 2 * rank - 3 - i;
    return tl_apply_at(at, rank < 2 ? &refusal_transpose : &tl_op_permute, &x, 1, &a);
}
tl_tensor(tl_transpose)(tl_tensor x) { return tl_transpose_at(TL_NOWHERE, x); }

#endif
