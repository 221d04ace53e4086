/* ops/step.c - slice_step: y_k = x_begin + k step along an axis,  dx = spread_step(g)
 *              spread_step: y_begin + k step = x_k, 0 elsewhere,  dx = slice_step(g)
 *              flip: a slice with step -1 */
#include "ops/define.h"

typedef struct step_attr {
    int64_t axis, begin, step, size; /* of the result along the axis */
} step_attr;

#ifdef TL_REAL

KERNEL(slice_step)
{
    const step_attr *a = r->attr;
    const int64_t outer = tl_span(r->in_desc, 0, a->axis), n = r->in_desc->dim[a->axis];
    const int64_t inner = tl_span(r->in_desc, a->axis + 1, r->in_desc->rank);
    const bits *x = r->in[0];
    bits *y = r->out;
    for (int64_t o = 0; inner && o < outer; o++, x += n * inner)
        for (int64_t k = 0; k < a->size; k++, y += inner)
            memcpy(y, x + (a->begin + k * a->step) * inner, (size_t)inner * sizeof *y);
    return TL_OK;
}

KERNEL(spread_step)
{
    const step_attr *a = r->attr;
    const int64_t outer = tl_span(r->in_desc, 0, a->axis), n = r->in_desc->dim[a->axis];
    const int64_t inner = tl_span(r->in_desc, a->axis + 1, r->in_desc->rank);
    const bits *x = r->in[0];
    bits *y = r->out;
    memset(y, 0, (size_t)(outer * a->size * inner) * sizeof *y);
    for (int64_t o = 0; inner && o < outer; o++, y += a->size * inner)
        for (int64_t k = 0; k < n; k++, x += inner)
            memcpy(y + (a->begin + k * a->step) * inner, x, (size_t)inner * sizeof *y);
    return TL_OK;
}

#else

/* begin, begin + step ... must all be elements of the longer of the two sides. */
static bool steps_fit(tl_shape_rule *r, bool spread)
{
    const step_attr *a = r->attr;
    if (!tl_axis_fits(r, a->axis)) return false;
    if (!a->step) return tl_refuse(r, TL_E_ARGUMENT, "a step of 0");
    if (a->size < 0) return tl_refuse(r, TL_E_ARGUMENT, "a negative number of elements");
    const int64_t n = spread ? r->in->dim[a->axis] : a->size, size = spread ? a->size : r->in->dim[a->axis];
    int64_t last = 0;
    r->out = r->in[0];
    r->out.dim[a->axis] = a->size;
    if (!n) return true;
    const bool fits = !__builtin_mul_overflow(n - 1, a->step, &last) && !__builtin_add_overflow(last, a->begin, &last);
    return (fits && a->begin >= 0 && a->begin < size && last >= 0 && last < size) ||
           tl_refuse(r, TL_E_SHAPE, "%lld elements from %lld in steps of %lld are not all in axis %d, which has %lld",
                     (long long)n, (long long)a->begin, (long long)a->step, (int)a->axis, (long long)size);
}

static bool slice_step_shape(tl_shape_rule *r) { return steps_fit(r, false); }
static bool spread_step_shape(tl_shape_rule *r) { return steps_fit(r, true); }

static tl_tensor slice_step_vjp(const tl_vjp *v, int i);
static tl_tensor spread_step_vjp(const tl_vjp *v, int i);

#define STEP(...)                                                                                                      \
    .attr = &(const step_attr) { __VA_ARGS__ }
TL_OP(slice_step, .min_in = 1, .max_in = 1, .cls = TL_MOVE, .takes_i32 = true, .attr_size = sizeof(step_attr),
      .shape = slice_step_shape, .vjp = slice_step_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(5) }, STEP(0, 4, -2, 3) }, { 1, { TL_CASE_SHAPE(2, 7, 3) }, STEP(1, 1, 3, 2) },
               { 1, { TL_CASE_SHAPE(2, 3) }, STEP(1, 2, -1, 3) }, { 1, { TL_CASE_SHAPE(2, 3) }, STEP(0, 0, 1, 0) },
               { 1, { TL_CASE_SHAPE(0, 3) }, STEP(0, -1, -1, 0) },
               { 1, { TL_CASE_IDS(4) }, STEP(0, 3, -2, 2), .ids = 9 },
               { 1, { TL_CASE_SHAPE(5) }, STEP(0, 0, 2, 4), .rejects = true },
               { 1, { TL_CASE_SHAPE(5) }, STEP(0, 0, 0, 1), .rejects = true },
               { 1, { TL_CASE_SHAPE(5) }, STEP(0, 1, -1, 3), .rejects = true },
               { 1, { TL_CASE_SHAPE(5) }, STEP(1, 0, 1, 1), .rejects = true }));
TL_OP(spread_step, .min_in = 1, .max_in = 1, .cls = TL_MOVE, .takes_i32 = true, .attr_size = sizeof(step_attr),
      .shape = spread_step_shape, .vjp = spread_step_vjp,
      TL_CASES({ 1, { TL_CASE_SHAPE(3) }, STEP(0, 4, -2, 5) }, { 1, { TL_CASE_SHAPE(2, 2, 3) }, STEP(1, 1, 3, 7) },
               { 1, { TL_CASE_SHAPE(2, 0) }, STEP(1, 0, 1, 3) },
               { 1, { TL_CASE_SHAPE(3) }, STEP(0, 0, 2, 4), .rejects = true },
               { 1, { TL_CASE_SHAPE(3) }, STEP(0, 0, 2, -1), .rejects = true }));

static tl_tensor slice_step_vjp(const tl_vjp *v, int i)
{
    const step_attr *a = v->attr;
    return tl_apply(&tl_op_spread_step, &v->g, 1,
                    &(step_attr){ a->axis, a->begin, a->step, tl_dim(v->in[i], (int)a->axis) });
}

static tl_tensor spread_step_vjp(const tl_vjp *v, int i)
{
    const step_attr *a = v->attr;
    return tl_apply(&tl_op_slice_step, &v->g, 1,
                    &(step_attr){ a->axis, a->begin, a->step, tl_dim(v->in[i], (int)a->axis) });
}

tl_tensor tl_slice_step_at(tl_place at, tl_tensor x, int axis, int64_t begin, int64_t end, int64_t step)
{
    const int64_t n = tl_dim(x, axis), first = begin < 0 ? begin + n : begin;
    const int64_t last = end == TL_END ? (step < 0 ? -1 : n) : end < 0 ? end + n : end;
    int64_t way;
    if (__builtin_sub_overflow(last, first, &way)) way = 0;
    const int64_t size = step > 0 && way > 0 ? (way - 1) / step + 1 : step < 0 && way < 0 ? (way + 1) / step + 1 : 0;
    return tl_apply_at(at, &tl_op_slice_step, &x, 1, &(step_attr){ tl_axis(axis, tl_rank(x)), first, step, size });
}
TL_AXIS_REFUSAL(flip);
tl_tensor tl_flip_at(tl_place at, tl_tensor x, int axis)
{
    if (tl_lacks_axis(x, axis)) return tl_apply_at(at, &refusal_flip, &x, 1, TL_AXIS(axis, x));
    return tl_slice_step_at(at, x, axis, -1, TL_END, -1);
}
tl_tensor(tl_slice_step)(tl_tensor x, int axis, int64_t begin, int64_t end, int64_t step)
{
    return tl_slice_step_at(TL_NOWHERE, x, axis, begin, end, step);
}
tl_tensor(tl_flip)(tl_tensor x, int axis) { return tl_flip_at(TL_NOWHERE, x, axis); }

#endif
