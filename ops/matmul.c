/* ops/matmul.c - y = C0 + op(a) op(b), [..., m, k] x [..., k, n] -> [..., m, n]; op transposes the last two axes if the
 * attribute says so. C0 may be absent (zero); batch axes and C0 broadcast. A packed b is the panels that op pack makes.
 *
 *     dop(a) = g op(b)^T,  dop(b) = op(a)^T g,  dC0 = g, summed over what was broadcast */
#include "ops/define.h"
#include "ops/kernels/blocks.h"
#include "ops/kernels/kernels.h"
#ifdef TL_REAL

#include "ops/kernels/batch.h"

KERNEL(matmul)
{
    batch_product s;
    batch_begin(&s, r);
    if (!s.one.m || !s.one.n) return TL_OK;
    for (; s.left > 0; batch_next(&s)) batch_run(&s);
    return TL_OK;
}

#else

/* Rows and columns of op(x). */
static int64_t rows_of(const tl_shape *x, bool t) { return x->dim[x->rank - (t ? 1 : 2)]; }
static int64_t columns_of(const tl_shape *x, bool t) { return x->dim[x->rank - (t ? 2 : 1)]; }

static bool batch_shape(tl_shape_rule *r, const tl_shape *a, const tl_shape *b)
{
    r->out.rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 0; i < r->out.rank - 2; i++) {
        const int p = i - (r->out.rank - a->rank), q = i - (r->out.rank - b->rank);
        const int64_t da = p < 0 ? 1 : a->dim[p], db = q < 0 ? 1 : b->dim[q];
        if (da != db && da != 1 && db != 1)
            return tl_refuse(r, TL_E_SHAPE, "batch dimensions %lld and %lld do not broadcast", (long long)da,
                             (long long)db);
        r->out.dim[i] = da == 1 ? db : da;
    }
    return true;
}

/* Does C0 broadcast to the result? */
static bool start_shape(tl_shape_rule *r, const tl_shape *c)
{
    const int extra = r->out.rank - c->rank;
    bool fits = extra >= 0;
    for (int i = 0; fits && i < c->rank; i++) fits = c->dim[i] == 1 || c->dim[i] == r->out.dim[i + extra];
    return fits || tl_refuse(r, TL_E_SHAPE, "the product does not have the shape of what it is added to");
}

/* Panels that op pack makes of a matrix with n columns. */
static bool packed_shape(tl_shape_rule *r, int64_t n)
{
    const tl_shape *a = &r->in[0], *b = &r->in[1];
    const int64_t width = tl_panel_width(b->dtype);
    if (n < 0 || a->rank != 2 || b->rank != 3 || b->dim[2] != width || b->dim[0] != (n + width - 1) / width)
        return tl_refuse(r, TL_E_SHAPE, "these are not the panels of a matrix with %lld columns", (long long)n);
    r->out.rank = 2;
    r->out.dim[1] = n;
    return true;
}

static bool matmul_shape(tl_shape_rule *r)
{
    const tl_product_attr *p = r->attr;
    const tl_shape *a = &r->in[0], *b = &r->in[1];
    if (r->n_in < 2 || a->rank < 2 || b->rank < 2) return tl_refuse(r, TL_E_SHAPE, "a product needs matrices");
    if (columns_of(a, p->ta) != rows_of(b, p->tb))
        return tl_refuse(r, TL_E_SHAPE, "inner dimensions %lld and %lld differ", (long long)columns_of(a, p->ta),
                         (long long)rows_of(b, p->tb));
    if (p->packed ? !packed_shape(r, p->packed) : !batch_shape(r, a, b)) return false;
    if (!p->packed) r->out.dim[r->out.rank - 1] = columns_of(b, p->tb);
    r->out.dim[r->out.rank - 2] = rows_of(a, p->ta);
    return r->n_in < 3 || start_shape(r, &r->in[2]);
}

static size_t matmul_work(const tl_desc *out, const tl_desc *in, int n_in, const void *attr)
{
    const bool t = ((const tl_product_attr *)attr)->ta;
    const int last = in->rank - 1;
    const int64_t bytes = in->stride[last - 1] * (in->dtype == TL_F64 ? 8 : 4);
    const bool copies = (t && n_in > 3) || tl_product_copies(in->dim[last], out->dim[out->rank - 1], t, bytes);
    return tl_product_work(in->dim[last - t], copies);
}

static tl_tensor gemm(tl_tensor a, tl_tensor b, bool ta, bool tb) { return tl_gemm(TL_NONE, a, b, ta, tb); }

/* x as one matrix: all axes but the last count rows. */
static tl_tensor flat(tl_tensor x)
{
    const tl_shape s = tl_shape_of(x);
    int64_t rows = 1;
    for (int i = 0; i + 1 < s.rank; i++) rows *= s.dim[i];
    return tl_reshape(x, TL_DIMS(rows, s.dim[s.rank - 1]));
}

static tl_tensor matmul_vjp(const tl_vjp *v, int i)
{
    const tl_product_attr *p = v->attr;
    tl_tensor a = v->in[0], b = v->in[1], g = v->g;
    if (i == 2) return tl_unbroadcast(g, v->in[2]);
    if (i == 0) return tl_unbroadcast(p->ta ? gemm(b, g, p->tb, true) : gemm(g, b, false, !p->tb), a);
    if (tl_rank(b) == 2 && tl_rank(a) > 2 && !p->ta) a = flat(a), g = flat(g); /* one product over all rows */
    return tl_unbroadcast(p->tb ? gemm(g, a, true, p->ta) : gemm(a, g, !p->ta, false), b);
}

#define PRODUCT(...)                                                                                                   \
    .attr = &(const tl_product_attr) { __VA_ARGS__ }
TL_OP(matmul, .min_in = 2, .max_in = 3, .optional = 4, .cls = TL_MATMUL, .role = TL_ROLE_PRODUCT, .shape = matmul_shape,
      .attr_size = sizeof(tl_product_attr), .work = matmul_work, .vjp = matmul_vjp, .f32_rtol = 1e-4,
      TL_CASES({ 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(3, 4) }, PRODUCT(0, 0) },
               { 2, { TL_CASE_SHAPE(3, 2), TL_CASE_SHAPE(3, 4) }, PRODUCT(1, 0) },
               { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(4, 3) }, PRODUCT(0, 1) },
               { 2, { TL_CASE_SHAPE(3, 2), TL_CASE_SHAPE(4, 3) }, PRODUCT(1, 1) },
               { 3, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(3, 4), TL_CASE_SHAPE(2, 4) }, PRODUCT(0, 0) },
               { 3, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(3, 4), TL_CASE_SHAPE(4) }, PRODUCT(0, 0) },
               { 3, { TL_CASE_SHAPE(5, 2, 3), TL_CASE_SHAPE(3, 4), TL_CASE_SHAPE(2, 1) }, PRODUCT(0, 0) },
               { 2, { TL_CASE_SHAPE(5, 2, 3), TL_CASE_SHAPE(3, 4) }, PRODUCT(0, 0) },
               { 2, { TL_CASE_SHAPE(5, 3, 2), TL_CASE_SHAPE(4, 3) }, PRODUCT(1, 1) },
               { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(5, 3, 4) }, PRODUCT(0, 0) },
               { 2, { TL_CASE_SHAPE(2, 1, 2, 3), TL_CASE_SHAPE(5, 3, 4) }, PRODUCT(0, 0) },
               { 2, { TL_CASE_SHAPE(17, 19), TL_CASE_SHAPE(19, 35) }, PRODUCT(0, 0), .no_second = true },
               { 2, { TL_CASE_SHAPE(2, 0), TL_CASE_SHAPE(0, 4) }, PRODUCT(0, 0) },
               { 2, { TL_CASE_SHAPE(0, 3), TL_CASE_SHAPE(3, 4) }, PRODUCT(0, 0) },
               { 2, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(4, 5) }, PRODUCT(0, 0), .rejects = true },
               { 2, { TL_CASE_SHAPE(3), TL_CASE_SHAPE(3, 4) }, PRODUCT(0, 0), .rejects = true },
               { 2, { TL_CASE_SHAPE(2, 2, 3), TL_CASE_SHAPE(3, 3, 4) }, PRODUCT(0, 0), .rejects = true },
               { 3, { TL_CASE_SHAPE(2, 3), TL_CASE_SHAPE(3, 4), TL_CASE_SHAPE(3) }, PRODUCT(0, 0), .rejects = true }));

tl_tensor tl_gemm_at(tl_place at, tl_tensor c, tl_tensor a, tl_tensor b, bool transpose_a, bool transpose_b)
{
    return tl_apply_at(at, &tl_op_matmul, (tl_tensor[]){ a, b, c }, tl_absent(c) ? 2 : 3,
                       &(tl_product_attr){ transpose_a, transpose_b, 0 });
}
tl_tensor(tl_gemm)(tl_tensor c, tl_tensor a, tl_tensor b, bool ta, bool tb)
{
    return tl_gemm_at(TL_NOWHERE, c, a, b, ta, tb);
}

#endif
