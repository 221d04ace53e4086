/* ops/reshape.c - y = the numbers of x, in order, under another shape;  dx = g under x's shape */
#include "ops/define.h"
#ifdef TL_REAL

KERNEL(reshape)
{
    memcpy(r->out, r->in[0], (size_t)tl_elements(r->out_desc) * sizeof(bits));
    return TL_OK;
}

#else

static bool reshape_shape(tl_shape_rule *r)
{
    const tl_reshape_attr *a = r->attr;
    if (a->rank < 0 || a->rank > TL_MAX_RANK) return tl_refuse(r, TL_E_ARGUMENT, "rank %d", (int)a->rank);
    r->out.rank = (int)a->rank;
    char want[128] = "";
    int at = 0;
    for (int i = 0; i < r->out.rank; i++) {
        r->out.dim[i] = a->dim[i];
        at += snprintf(want + at, sizeof want - (size_t)at, i ? ",%lld" : "%lld", (long long)a->dim[i]);
    }
    bool fits = true, empty = false;
    int64_t left = tl_shape_size(r->in);
    for (int i = 0; fits && i < r->out.rank; i++) {
        fits = a->dim[i] >= 0;
        empty |= !a->dim[i];
        if (!a->dim[i]) continue;
        fits &= left % a->dim[i] == 0;
        left /= a->dim[i];
    }
    if (!fits || left != (empty ? 0 : 1))
        return tl_refuse(r, TL_E_SHAPE, "%lld numbers do not fill [%s]", (long long)tl_shape_size(r->in), want);
    return true;
}

static tl_tensor reshape_vjp(const tl_vjp *v, int i)
{
    const tl_shape s = tl_shape_of(v->in[i]);
    return tl_reshape(v->g, s.rank, s.dim);
}

#define SHAPE(...)                                                                                                     \
    .attr = &(const tl_reshape_attr)                                                                                   \
    {                                                                                                                  \
        (int)(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int)), { __VA_ARGS__ }                                           \
    }
TL_OP(reshape, .min_in = 1, .max_in = 1, .cls = TL_VIEW, .role = TL_ROLE_RESHAPE, .takes_i32 = true,
      .attr_size = sizeof(tl_reshape_attr), .shape = reshape_shape, .vjp = reshape_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(2, 3, 4) }, SHAPE(6, 4) }, { 1, { TL_CASE_SHAPE(6) }, SHAPE(1, 2, 3, 1) },
               { 1, { TL_CASE_SHAPE(1, 1) }, .attr = &(const tl_reshape_attr){ 0 } },
               { 1, { TL_CASE_SCALAR }, SHAPE(1) }, { 1, { TL_CASE_SHAPE(0, 3) }, SHAPE(7, 0) },
               { 1, { TL_CASE_IDS(4) }, SHAPE(2, 2), .ids = 9 },
               { 1, { TL_CASE_SHAPE(2, 3) }, SHAPE(7), .rejects = true },
               { 1, { TL_CASE_SHAPE(2, 3) }, SHAPE(-2, -3), .rejects = true }));

/* The one dimension that is -1 is worked out; what does not fit is left for the shape rule to refuse. */
tl_tensor tl_reshape_at(tl_place at, tl_tensor x, int rank, const int64_t *dim)
{
    tl_reshape_attr a = { .rank = rank };
    int64_t known = 1;
    int open = -1;
    for (int i = 0; i < rank && i < TL_MAX_RANK; i++) {
        a.dim[i] = dim[i];
        if (dim[i] == -1 && open < 0) open = i;
        else if (__builtin_mul_overflow(known, dim[i], &known)) known = 0;
    }
    if (open >= 0 && known > 0) a.dim[open] = tl_size(x) % known ? -1 : tl_size(x) / known;
    return tl_apply_at(at, &tl_op_reshape, &x, 1, &a);
}
tl_tensor(tl_reshape)(tl_tensor x, int rank, const int64_t *dim) { return tl_reshape_at(TL_NOWHERE, x, rank, dim); }

#endif
