/* ops/cumprod.c - cumprod: y_k = x_0 ... x_k along an axis (reverse: x_k ... x_n-1)
 *     linear_scan: y_k = b_k + a_k y_k-1 along an axis, y_0 = b_0 (reverse: y_k+1, from the end)
 * A product is differentiated without dividing, so zeros are no exception:
 *     dx_i = sum_k>=i g_k prod_j<=k, j!=i x_j = (x_0 ... x_i-1) q_i,  q_i = g_i + x_i+1 q_i+1
 * and a scan by a scan the other way round:  db_k = q_k = g_k + a_k+1 q_k+1,  da_k = q_k y_k-1. */
#include "ops/define.h"

typedef struct scan_attr {
    int64_t axis, reverse;
} scan_attr;

#ifdef TL_REAL

/* y_0 = b_0, y_k = a_k y_k-1 (+ b_k if `add`) */
static tl_status scan(const tl_run_args *r, const real *a, const real *b, bool add)
{
    const scan_attr *s = r->attr;
    const int64_t outer = tl_span(r->in_desc, 0, s->axis), n = r->in_desc->dim[s->axis];
    const int64_t inner = tl_span(r->in_desc, s->axis + 1, r->in_desc->rank), step = s->reverse ? -inner : inner;
    for (int64_t o = 0; n && o < outer; o++) {
        int64_t at = (o * n + (s->reverse ? n - 1 : 0)) * inner;
        real *y = r->out;
        memcpy(y + at, b + at, (size_t)inner * sizeof *y);
        for (int64_t k = 1; k < n; k++) {
            const real *before = y + at;
            at += step;
            TL_SIMD
            for (int64_t i = 0; i < inner; i++) {
                const real p = a[at + i] * before[i];
                y[at + i] = add ? p + b[at + i] : p;
            }
        }
    }
    return TL_OK;
}

KERNEL(cumprod) { return scan(r, r->in[0], r->in[0], false); }
KERNEL(linear_scan) { return scan(r, r->in[0], r->in[1], true); }

#else

static bool scan_shape(tl_shape_rule *r)
{
    if (!tl_needs_float(r, 0) || !tl_axis_fits(r, ((const scan_attr *)r->attr)->axis)) return false;
    r->out = r->in[0];
    return r->n_in < 2 || tl_same_dims(&r->in[0], &r->in[1]) ||
           tl_refuse(r, TL_E_SHAPE, "factors and terms are not of one shape");
}

static tl_tensor scan_vjp(const tl_vjp *v, int i);
static tl_tensor cumprod_vjp(const tl_vjp *v, int i);

#define ALONG(...)                                                                                                     \
    .attr = &(const scan_attr) { __VA_ARGS__ }
TL_OP(cumprod, .min_in = 1, .max_in = 1, .attr_size = sizeof(scan_attr), .shape = scan_shape, .vjp = cumprod_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(5) }, ALONG(0, 0) }, { 1, { TL_CASE_SHAPE(2, 3, 4) }, ALONG(1, 0) },
               { 1, { TL_CASE_SHAPE(2, 3, 4) }, ALONG(2, 1) }, { 1, { TL_CASE_SHAPE(3, 1) }, ALONG(1, 0) },
               { 1, { TL_CASE_SHAPE(2, 0) }, ALONG(1, 0) }, { 1, { TL_CASE_SHAPE(0, 2) }, ALONG(1, 0) },
               { 1, { TL_CASE_SCALAR }, ALONG(0, 0), .rejects = true },
               { 1, { TL_CASE_IDS(3) }, ALONG(0, 0), .ids = 3, .rejects = true }));
TL_OP(linear_scan, .min_in = 2, .max_in = 2, .attr_size = sizeof(scan_attr), .shape = scan_shape, .vjp = scan_vjp,
      TL_CASES({ 2, { TL_CASE_SHAPE(5), TL_CASE_SHAPE(5) }, ALONG(0, 0) },
               { 2, { TL_CASE_SHAPE(2, 3, 2), TL_CASE_SHAPE(2, 3, 2) }, ALONG(1, 1) },
               { 2, { TL_CASE_SHAPE(0), TL_CASE_SHAPE(0) }, ALONG(0, 0) },
               { 2, { TL_CASE_SHAPE(3), TL_CASE_SHAPE(4) }, ALONG(0, 0), .rejects = true },
               { 2, { TL_CASE_SHAPE(3), TL_CASE_SHAPE(3) }, ALONG(1, 0), .rejects = true }));

/* z_k+1 (or z_k-1) in place of z_k, 0 where there is none */
static tl_tensor neighbour(tl_tensor z, const scan_attr *a, bool next)
{
    const int axis = (int)a->axis;
    const int64_t n = tl_dim(z, axis);
    return tl_pad(tl_slice(z, axis, next, n - !next), axis, !next, next);
}

/* q_k = g_k + a_k+1 q_k+1 where y ran forward */
static tl_tensor scan_back(const tl_vjp *v)
{
    const scan_attr *a = v->attr;
    return tl_apply(&tl_op_linear_scan, (tl_tensor[]){ neighbour(v->in[0], a, !a->reverse), v->g }, 2,
                    &(scan_attr){ a->axis, !a->reverse });
}

static tl_tensor scan_vjp(const tl_vjp *v, int i)
{
    const scan_attr *a = v->attr;
    if (!tl_size(v->y)) return v->g;
    return i ? scan_back(v) : tl_mul(scan_back(v), neighbour(v->y, a, a->reverse));
}

static tl_tensor cumprod_vjp(const tl_vjp *v, int i)
{
    const scan_attr *a = v->attr;
    const int axis = (int)a->axis;
    const int64_t n = tl_dim(v->y, axis);
    if (!tl_size(v->y)) return v->g;
    const tl_tensor q = scan_back(v), edge = tl_slice(q, axis, a->reverse ? n - 1 : 0, a->reverse ? n : 1);
    const tl_tensor most = tl_mul(q, neighbour(v->y, a, a->reverse)); /* right but at the edge, which has no factors */
    const tl_tensor rest = tl_slice(most, axis, !a->reverse, n - a->reverse);
    (void)i;
    return tl_concat(2, (tl_tensor[]){ a->reverse ? rest : edge, a->reverse ? edge : rest }, axis);
}

tl_tensor tl_cumprod_at(tl_place at, tl_tensor x, int axis)
{
    return tl_apply_at(at, &tl_op_cumprod, &x, 1, &(scan_attr){ tl_axis(axis, tl_rank(x)), 0 });
}
tl_tensor(tl_cumprod)(tl_tensor x, int axis) { return tl_cumprod_at(TL_NOWHERE, x, axis); }

#endif
