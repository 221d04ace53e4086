/* ops/slice.c - slice: y = elements begin..end-1 of an axis,  dx = g padded with zeros
 *               pad: y = x with zeros before and after along an axis,  dx = a slice of g */
#include "ops/define.h"

typedef struct pad_attr {
    int64_t axis, begin, end;
} pad_attr;

#ifdef TL_REAL

KERNEL(slice)
{
    const tl_slice_attr *a = r->attr;
    const int64_t outer = tl_span(r->in_desc, 0, a->axis), inner = tl_span(r->in_desc, a->axis + 1, r->in_desc->rank);
    const int64_t n = (a->end - a->begin) * inner, step = r->in_desc->dim[a->axis] * inner;
    const bits *x = (const bits *)r->in[0] + a->begin * inner;
    bits *y = r->out;
    for (int64_t o = 0; n && o < outer; o++, x += step, y += n) memcpy(y, x, (size_t)n * sizeof *y);
    return TL_OK;
}

KERNEL(pad)
{
    const pad_attr *a = r->attr;
    const int64_t outer = tl_span(r->in_desc, 0, a->axis), inner = tl_span(r->in_desc, a->axis + 1, r->in_desc->rank);
    const int64_t n = r->in_desc->dim[a->axis] * inner, begin = a->begin * inner, end = a->end * inner;
    const bits *x = r->in[0];
    bits *y = r->out;
    for (int64_t o = 0; o < outer; o++, x += n, y += begin + n + end) {
        memset(y, 0, (size_t)begin * sizeof *y);
        memcpy(y + begin, x, (size_t)n * sizeof *y);
        memset(y + begin + n, 0, (size_t)end * sizeof *y);
    }
    return TL_OK;
}

#else

static bool slice_shape(tl_shape_rule *r)
{
    const tl_slice_attr *a = r->attr;
    if (!tl_axis_fits(r, a->axis)) return false;
    if (a->begin < 0 || a->begin > a->end || a->end > r->in->dim[a->axis])
        return tl_refuse(r, TL_E_SHAPE, "elements %lld to %lld are not all in axis %lld, which has %lld",
                         (long long)a->begin, (long long)a->end, (long long)a->axis, (long long)r->in->dim[a->axis]);
    r->out = r->in[0];
    r->out.dim[a->axis] = a->end - a->begin;
    return true;
}

static bool pad_shape(tl_shape_rule *r)
{
    const pad_attr *a = r->attr;
    if (!tl_axis_fits(r, a->axis)) return false;
    if (a->begin < 0 || a->end < 0) return tl_refuse(r, TL_E_ARGUMENT, "negative padding");
    r->out = r->in[0];
    int64_t *d = &r->out.dim[a->axis];
    return !(__builtin_add_overflow(*d, a->begin, d) || __builtin_add_overflow(*d, a->end, d)) ||
           tl_refuse(r, TL_E_SHAPE, "too large");
}

static tl_tensor slice_vjp(const tl_vjp *v, int i)
{
    const tl_slice_attr *a = v->attr;
    const int axis = (int)a->axis;
    return tl_pad(v->g, axis, a->begin, tl_dim(v->in[i], axis) - a->end);
}

static tl_tensor pad_vjp(const tl_vjp *v, int i)
{
    const pad_attr *a = v->attr;
    return tl_slice(v->g, (int)a->axis, a->begin, a->begin + tl_dim(v->in[i], (int)a->axis));
}

#define PART(...)                                                                                                      \
    .attr = &(const tl_slice_attr) { __VA_ARGS__ }
TL_OP(slice, .min_in = 1, .max_in = 1, .cls = TL_VIEW, .role = TL_ROLE_SLICE, .takes_i32 = true,
      .attr_size = sizeof(tl_slice_attr), .shape = slice_shape, .vjp = slice_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(5) }, PART(0, 1, 3) }, { 1, { TL_CASE_SHAPE(2, 3, 4) }, PART(1, 2, 3) },
               { 1, { TL_CASE_SHAPE(2, 3) }, PART(1, 0, 3) }, { 1, { TL_CASE_SHAPE(2, 3) }, PART(0, 1, 1) },
               { 1, { TL_CASE_IDS(2, 3) }, PART(1, 1, 3), .ids = 9 }, { 1, { TL_CASE_SHAPE(0, 3) }, PART(1, 1, 2) },
               { 1, { TL_CASE_SHAPE(2, 3) }, PART(1, 1, 4), .rejects = true },
               { 1, { TL_CASE_SHAPE(2, 3) }, PART(2, 0, 1), .rejects = true },
               { 1, { TL_CASE_SHAPE(2, 3) }, PART(1, 2, 1), .rejects = true }));

#define PAD(...)                                                                                                       \
    .attr = &(const pad_attr) { __VA_ARGS__ }
TL_OP(pad, .min_in = 1, .max_in = 1, .cls = TL_MOVE, .takes_i32 = true, .attr_size = sizeof(pad_attr),
      .shape = pad_shape, .vjp = pad_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(3) }, PAD(0, 1, 2) }, { 1, { TL_CASE_SHAPE(2, 3, 4) }, PAD(1, 0, 2) },
               { 1, { TL_CASE_SHAPE(2, 3) }, PAD(1, 0, 0) }, { 1, { TL_CASE_SHAPE(0, 3) }, PAD(0, 2, 1) },
               { 1, { TL_CASE_IDS(2, 3) }, PAD(0, 1, 1), .ids = 9 },
               { 1, { TL_CASE_SHAPE(2, 3) }, PAD(1, -1, 0), .rejects = true },
               { 1, { TL_CASE_SCALAR }, PAD(0, 1, 0), .rejects = true }));

tl_tensor tl_pad_at(tl_place at, tl_tensor x, int axis, int64_t begin, int64_t end)
{
    return tl_apply_at(at, &tl_op_pad, &x, 1, &(pad_attr){ tl_axis(axis, tl_rank(x)), begin, end });
}
tl_tensor(tl_pad)(tl_tensor x, int axis, int64_t begin, int64_t end)
{
    return tl_pad_at(TL_NOWHERE, x, axis, begin, end);
}

tl_tensor tl_slice_at(tl_place at, tl_tensor x, int axis, int64_t begin, int64_t end)
{
    const int64_t n = tl_dim(x, axis);
    return tl_apply_at(at, &tl_op_slice, &x, 1,
                       &(tl_slice_attr){ tl_axis(axis, tl_rank(x)), begin < 0 ? begin + n : begin,
                                         end == TL_END ? n
                                         : end < 0     ? end + n
                                                       : end });
}
tl_tensor(tl_slice)(tl_tensor x, int axis, int64_t begin, int64_t end)
{
    return tl_slice_at(TL_NOWHERE, x, axis, begin, end);
}

#endif
