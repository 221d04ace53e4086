/* ops/lengths.c - what sequences [T, B, ...] of different lengths need.
 *     reverse_sequence: y[t, b] = x[length_b - 1 - t, b] for t < length_b, else x[t, b];  dx = g reversed likewise
 *     length_mask: y[t, b] = t < length_b */
#include "ops/define.h"

typedef struct length_attr {
    int64_t T;
} length_attr;

#ifdef TL_REAL

#include "ops/kernels/ids.h"

KERNEL(reverse_sequence)
{
    const int64_t T = r->out_desc->dim[0], B = r->out_desc->dim[1], n = tl_span(r->out_desc, 2, r->out_desc->rank);
    const int32_t *length = r->in[1];
    const bits *x = r->in[0];
    bits *y = r->out;
    const tl_status bad = check_lengths(r, length, B, T);
    for (int64_t t = 0; n && !bad && t < T; t++)
        for (int64_t b = 0; b < B; b++, y += n)
            memcpy(y, x + ((t < length[b] ? length[b] - 1 - t : t) * B + b) * n, (size_t)n * sizeof *y);
    return bad;
}

KERNEL(length_mask)
{
    const int64_t T = r->out_desc->dim[0], B = r->out_desc->dim[1];
    const int32_t *length = r->in[0];
    real *y = r->out;
    const tl_status bad = check_lengths(r, length, B, T);
    for (int64_t t = 0; !bad && t < T; t++)
        for (int64_t b = 0; b < B; b++) *y++ = t < length[b];
    return bad;
}

#else

static bool reverse_shape(tl_shape_rule *r)
{
    const tl_shape *x = &r->in[0], *length = &r->in[1];
    r->out = *x;
    if (!tl_needs_ids(r, 1)) return false;
    return (x->rank >= 2 && length->rank == 1 && length->dim[0] == x->dim[1]) ||
           tl_refuse(r, TL_E_SHAPE, "there is not one length for each row of axis 1");
}

static bool mask_shape(tl_shape_rule *r)
{
    const int64_t T = ((const length_attr *)r->attr)->T;
    if (!tl_needs_ids(r, 0)) return false;
    if (r->in->rank != 1) return tl_refuse(r, TL_E_SHAPE, "lengths have one axis");
    if (T < 0) return tl_refuse(r, TL_E_ARGUMENT, "a negative number of steps");
    r->out = (tl_shape){ r->dtype, 2, { T, r->in->dim[0] } };
    return true;
}

static tl_tensor reverse_vjp(const tl_vjp *v, int i) { return i ? TL_NONE : tl_reverse_sequence(v->g, v->in[1]); }

TL_OP(reverse_sequence, .min_in = 2, .max_in = 2, .cls = TL_MOVE, .takes_i32 = true, .shape = reverse_shape,
      .vjp = reverse_vjp,
      TL_CASES({ 2, { TL_CASE_SHAPE(4, 3), TL_CASE_IDS(3) }, .ids = 5 },
               { 2, { TL_CASE_SHAPE(5, 2, 3), TL_CASE_IDS(2) }, .ids = 6 },
               { 2, { TL_CASE_SHAPE(0, 2, 3), TL_CASE_IDS(2) }, .ids = 1 },
               { 2, { TL_CASE_SHAPE(2, 0), TL_CASE_IDS(0) }, .ids = 1 },
               { 2, { TL_CASE_IDS(4, 2), TL_CASE_IDS(2) }, .ids = 5 },
               { 2, { TL_CASE_SHAPE(4, 3), TL_CASE_IDS(4) }, .ids = 4, .rejects = true },
               { 2, { TL_CASE_SHAPE(4), TL_CASE_IDS(4) }, .ids = 4, .rejects = true },
               { 2, { TL_CASE_SHAPE(4, 3), TL_CASE_SHAPE(3) }, .rejects = true }));

#define STEPS(n)                                                                                                       \
    .attr = &(const length_attr) { n }
TL_OP(length_mask, .min_in = 1, .max_in = 1, .takes_i32 = true, .attr_size = sizeof(length_attr), .shape = mask_shape,
      .no_gradient = true,
      TL_CASES({ 1, { TL_CASE_IDS(3) }, STEPS(4), .ids = 5 }, { 1, { TL_CASE_IDS(0) }, STEPS(4), .ids = 1 },
               { 1, { TL_CASE_IDS(3) }, STEPS(0), .ids = 1 },
               { 1, { TL_CASE_IDS(3) }, STEPS(-1), .ids = 1, .rejects = true },
               { 1, { TL_CASE_IDS(3, 1) }, STEPS(4), .ids = 1, .rejects = true },
               { 1, { TL_CASE_SHAPE(3) }, STEPS(4), .rejects = true }));

tl_tensor tl_reverse_sequence_at(tl_place at, tl_tensor x, tl_tensor lengths)
{
    return tl_apply_at(at, &tl_op_reverse_sequence, (tl_tensor[]){ x, lengths }, 2, NULL);
}
tl_tensor tl_length_mask_at(tl_place at, tl_tensor lengths, int64_t T)
{
    return tl_apply_at(at, &tl_op_length_mask, &lengths, 1, &(length_attr){ T });
}
tl_tensor(tl_reverse_sequence)(tl_tensor x, tl_tensor lengths)
{
    return tl_reverse_sequence_at(TL_NOWHERE, x, lengths);
}
tl_tensor(tl_length_mask)(tl_tensor lengths, int64_t T) { return tl_length_mask_at(TL_NOWHERE, lengths, T); }

#endif
