/* tests/conformance_tensors.c - products, joining and splitting, indexing, and formulas that use a tensor several times. */
#include "conformance.h"

static int axis_of(const replay *r) { return (int)fx_int(r->c, "axis", 0); }

static void matmul_transposed(replay *r)
{
    const tl_tensor a = input(r, "a"), b = input(r, "b"), c = input(r, "c"), d = input(r, "d");
    output(r, "nt", tl_gemm(TL_NONE, a, b, false, true));
    output(r, "tn", tl_gemm(TL_NONE, a, c, true, false));
    output(r, "tt", tl_gemm(TL_NONE, a, d, true, true));
}

/* All inputs of the case in their order, and again from the first until the result is full. */
static void concat(replay *r)
{
    tl_tensor x[16];
    const bool stack = !strcmp(r->c->op, "stack");
    const int axis = axis_of(r);
    int64_t room = dim_of(r, "out", "y", axis);
    int n = 0;
    while (room > 0 && n < COUNT(x)) {
        const int before = n;
        for (size_t k = 0; k < r->c->nt && room > 0 && n < COUNT(x); k++) {
            if (strcmp(r->c->t[k].role, "in")) continue;
            x[n] = input(r, r->c->t[k].name);
            room -= stack ? 1 : tl_dim(x[n], axis);
            n++;
        }
        if (n == before) break;
    }
    output(r, "y", stack ? tl_stack(n, x, axis) : tl_concat(n, x, axis));
}

/* The results, in their order, are equal parts of the axis; unbind drops it. */
static void split(replay *r)
{
    tl_tensor y[32];
    const char *name[32];
    const int axis = axis_of(r);
    int n = 0;
    for (size_t k = 0; k < r->c->nt && n < COUNT(y); k++)
        if (!strcmp(r->c->t[k].role, "out")) name[n++] = r->c->t[k].name;
    tl_split(input(r, "x"), n, axis, y);
    for (int k = 0; k < n; k++) output(r, name[k], strcmp(r->c->op, "unbind") ? y[k] : tl_squeeze(y[k], axis));
}

/* x [B, T, D] at lengths[b] - 1: the first step of the reversed rows */
static void gather_last(replay *r)
{
    output(r, "y", tl_at(tl_reverse_sequence(swapped(input(r, "x")), input(r, "lengths")), 0));
}

static void gather(replay *r) { output(r, "y", tl_take_along(input(r, "x"), input(r, "idx"), axis_of(r))); }

/* tl_gather takes from axis 0. */
static void index_select(replay *r)
{
    int order[TL_MAX_RANK], back[TL_MAX_RANK];
    const tl_tensor x = input(r, "x");
    const int axis = axis_of(r) < 0 ? axis_of(r) + tl_rank(x) : axis_of(r);
    for (int a = 0; a < TL_MAX_RANK; a++) order[a] = a == 0 ? axis : a <= axis ? a - 1 : a;
    for (int a = 0; a < TL_MAX_RANK; a++) back[a] = a == axis ? 0 : a < axis ? a + 1 : a;
    output(r, "y", tl_permute(tl_gather(tl_permute(x, order), input(r, "idx")), back));
}

static void where(replay *r) { output(r, "y", tl_where(input(r, "m"), input(r, "a"), input(r, "b"))); }

static void masked_fill(replay *r)
{
    const tl_tensor x = input(r, "x");
    output(r, "y", tl_where(input(r, "m"), tl_full_like(x, fx_num(r->c, "value", 0)), x));
}

/* x x + tanh(x) w + (x w) sum(x) */
static void fan_out(replay *r)
{
    const tl_tensor x = input(r, "x"), w = weight(r, "w");
    const tl_tensor y = tl_add(tl_square(x), tl_matmul(tl_tanh(x), w));
    output(r, "y", tl_add(y, tl_mul(tl_matmul(x, w), tl_sum(x, TL_ALL))));
}

/* h = x; four times h = tanh(h w + x) */
static void diamond(replay *r)
{
    const tl_tensor x = input(r, "x"), w = weight(r, "w");
    tl_tensor h = x;
    for (int k = 0; k < 4; k++) h = tl_tanh(tl_add(tl_matmul(h, w), x));
    output(r, "y", h);
}

/* x stop_gradient(x) + x */
static void detach(replay *r)
{
    const tl_tensor x = input(r, "x");
    output(r, "y", tl_add(tl_mul(x, tl_stop_gradient(x)), x));
}

/* l1 sum|w| + l2 sum w^2 */
static void regularizer(replay *r)
{
    const tl_tensor w = input(r, "w");
    add_loss(r, tl_l1(w, fx_num(r->c, "l1", 0)));
    add_loss(r, tl_l2(w, fx_num(r->c, "l2", 0)));
}

const op_row tensor_rows[] = {
    { "matmul_t", matmul_transposed },
    { "concat", concat },
    { "stack", concat },
    { "split", split },
    { "unbind", split },
    { "gather_last", gather_last },
    { "gather", gather },
    { "index_select", index_select },
    { "where", where },
    { "masked_fill", masked_fill },
    { "fan_out", fan_out },
    { "diamond", diamond },
    { "detach", detach },
    { "keras_regularizer", regularizer },
    { 0 },
};
