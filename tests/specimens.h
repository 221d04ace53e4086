/* tests/specimens.h - graphs, each with what some conditions of graph/legal.h are about. */
#ifndef TESTS_SPECIMENS_H
#define TESTS_SPECIMENS_H

#include "tests/random_cells.h"

enum { W = 16 };
static tl_tensor square(tl_scope *s, const char *name) { return tl_param(s, name, TL_DIMS(W, W), .init = normal); }

static tl_tensor input(tl_scope *s, const char *name, uint64_t seed, int rank, const int64_t *dim)
{
    return random_input(s, name, 0, seed, rank, dim);
}

/* An output under a name of its own. */
static void give(tl_scope *s, tl_tensor y)
{
    char name[16];
    snprintf(name, sizeof name, "y%d", (int)tl_scope_tape(s)->n_output);
    tl_output(s, name, y);
}

/* Which taps were called, in which order. */
static void seen(void *data, const char *path, const tl_array *value)
{
    (void)data, (void)path;
    tap_calls = (tap_calls * 31 + (int64_t)(tl_hash(1, value->data, bytes_in(value)) % 1009)) % 1000003;
}
static tl_status opaque_kernel(const tl_run_args *r)
{
    for (int64_t i = 0; i < tl_desc_size(r->out_desc); i++) ((float *)r->out)[i] = (float)(seen_calls % 7);
    seen_calls++;
    return TL_OK;
}
static const struct tl_op opaque = {
    .size = sizeof opaque, .name = "opaque", .min_in = 1, .max_in = 1, .shape = tl_shape_same, .f32 = opaque_kernel
};
/* A user's: other numbers in each run. */
static tl_status drawn_kernel(const tl_run_args *r)
{
    for (int64_t i = 0; i < tl_desc_size(r->out_desc); i++) ((float *)r->out)[i] = (float)(r->run + 1 + (uint64_t)i);
    return TL_OK;
}
static const struct tl_op drawn = { .size = sizeof drawn,
                                    .name = "drawn",
                                    .min_in = 1,
                                    .max_in = 1,
                                    .cls = TL_RANDOM,
                                    .shape = tl_shape_same,
                                    .f32 = drawn_kernel };

/* A user's that takes one shape only: it looks for its second operand where it finds the first, and counts its calls. */
static tl_status alike_kernel(const tl_run_args *r)
{
    const tl_desc *d = r->in_desc;
    const float *a = r->in[0], *b = r->in[1];
    float *y = r->out;
    seen_calls++;
    int64_t at[TL_MAX_RANK] = { 0 }, offset = 0;
    for (int64_t i = 0; i < tl_desc_size(r->out_desc); i++) {
        y[i] = a[offset] - 2 * b[offset];
        for (int k = d->rank; k--;) {
            offset += d->stride[k];
            if (++at[k] < d->dim[k]) break;
            offset -= at[k] * d->stride[k];
            at[k] = 0;
        }
    }
    return TL_OK;
}
static const struct tl_op alike = { .size = sizeof alike,
                                    .name = "alike",
                                    .min_in = 2,
                                    .max_in = 2,
                                    .cls = TL_ELEMENTWISE,
                                    .shape = tl_shape_same,
                                    .f32 = alike_kernel };

static void calls(tl_scope *s, uint64_t seed)
{
    const tl_tensor x = input(s, "x", seed, TL_DIMS(3));
    tl_output(s, "taps", tl_add(tl_tap(s, x, seen, NULL), tl_tap(s, x, seen, NULL)));
    tl_output(s, "opaque", tl_sub(tl_apply(&opaque, &x, 1, NULL), tl_apply(&opaque, &x, 1, NULL)));
    const tl_tensor late = tl_tap(s, tl_tanh(tl_exp(x)), seen, NULL), early = tl_tap(s, tl_matmul(x, x), seen, NULL);
    give(s, tl_add(tl_sin(late), tl_sum(early, TL_ALL)));
    const tl_tensor still[] = { tl_const(s, TL_DIMS(3), (double[]){ 1, 2, 3 }), tl_param(s, "b", TL_DIMS(3)) };
    for (int k = 0; k < 2; k++) {
        give(s, tl_exp(tl_apply(&opaque, &still[k], 1, NULL)));
        give(s, tl_exp(tl_apply(&drawn, &still[k], 1, NULL)));
        give(s, tl_exp(tl_tap(s, still[k], seen, NULL)));
    }
}

/* Constants of equal bytes: 1 as an id is 1.4e-45 as a float, of which the whole part is 0. */
static void lookalikes(tl_scope *s, uint64_t seed)
{
    const double v[4] = { 1, 2, 3, seed % 2 ? 4 : 5 }, tiny[2] = { 1.401298464324817e-45, 0 };
    const tl_tensor ids = tl_ids_const(s, TL_DIMS(2), (int32_t[]){ 1, 0 });
    tl_output(s, "square", tl_sum(tl_const(s, TL_DIMS(2, 2), v), TL_AXES(0)));
    tl_output(s, "line", tl_sum(tl_const(s, TL_DIMS(4), v), TL_AXES(0)));
    tl_output(s, "picked", tl_gather(tl_const(s, TL_DIMS(2, 2), v), ids));
    tl_output(s, "cast", tl_cast(ids, TL_F32));
    tl_output(s, "tiny", tl_cast(tl_const(s, TL_DIMS(2), tiny), TL_I32));
}

/* A weight in each way in which it may be used step by step, and what comes of its gradient. */
static void chains(tl_scope *s, uint64_t seed)
{
    enum { T = 3, B = 2 };
    const tl_tensor x = input(s, "x", seed, TL_DIMS(T, B, 1, 3)), V = tl_param(s, "V", TL_DIMS(3, 5), .init = normal);
    const tl_tensor M = tl_param(s, "M", TL_DIMS(B, 3, 2), .init = normal), b = tl_param(s, "b", TL_DIMS(3));
    const tl_tensor c = tl_param(s, "c", TL_SCALAR), table = tl_param(s, "E", TL_DIMS(4, 3), .init = normal);
    const tl_tensor column = tl_param(s, "column", TL_DIMS(B, 1));
    const tl_tensor wide = tl_param(s, "wide", TL_DIMS(3, 40), .init = normal);
    tl_tensor loss = tl_sum(tl_tanh(tl_add(tl_reshape(x, TL_DIMS(T, B, 3)), b)), TL_ALL), grown = TL_NONE;
    for (int t = 0; t < T; t++) {
        const tl_tensor xt = tl_at(x, T - 1 - t), flat = tl_reshape(xt, TL_DIMS(B, 3)); /* time runs backwards */
        tl_tensor y = tl_tanh(tl_add(tl_matmul(flat, V), column));
        y = tl_add(y, tl_sum_keep(tl_tanh(tl_matmul(xt, M)), TL_ALL));
        y = tl_mul(y, tl_tanh(tl_add(tl_sum_keep(tl_add(flat, b), TL_AXES(1)), c)));
        y = tl_add(y, tl_sum_keep(tl_gather(table, tl_ids_const(s, TL_SCALAR, (int32_t[]){ t + 1 })), TL_ALL));
        y = tl_add(y, tl_sum_keep(tl_tanh(tl_add(tl_matmul(flat, wide), c)), TL_AXES(1)));
        loss = tl_add(loss, tl_sum(tl_square(y), TL_ALL));
        grown = tl_gemm(grown, flat, tl_tanh(flat), true, false);
        if (t == 0) loss = tl_add(loss, tl_sum(tl_sin(grown), TL_ALL)); /* someone reads a link */
        if (t == 1) tl_output(s, "grown", grown);                       /* and the next is asked for */
    }
    tl_output(s, "whole", grown);
    tl_output(s, "loss", loss);
    tl_backward(loss);
}

/* Products that add up, untransposed: h' = h V + x U, layers of the same weights. */
static void products(tl_scope *s, uint64_t seed)
{
    const tl_tensor V = square(s, "V"), U = square(s, "U"), a = tl_param(s, "a", TL_DIMS(W));
    const tl_tensor b = tl_param(s, "b", TL_DIMS(W)), column = tl_param(s, "column", TL_DIMS(2, 1));
    const tl_tensor c = tl_param(s, "c", TL_DIMS(W));
    const tl_tensor all = input(s, "x", seed, TL_DIMS(16, W)), deep = input(s, "deep", seed + 1, TL_DIMS(2, W, W));
    const tl_tensor VV = tl_param(s, "VV", TL_DIMS(2, W, W), .init = normal);
    tl_tensor r[8], y[32], h = tl_tanh(tl_slice(all, 0, 5, 7));
    int n = 0;
    for (int k = 0; k < 8; k++) r[k] = tl_slice(all, 0, 2 * k, 2 * k + 2);
    for (int k = 0; k < 4; k++) h = tl_gemm(tl_gemm(TL_NONE, r[k], U, false, false), h, V, false, false);
    y[n++] = h;
    for (int k = 0; k < 8; k += 2) { /* siblings of which some differ in one thing */
        y[n++] = tl_gemm(a, r[k], V, false, k == 6);
        y[n++] = tl_gemm(k == 4 ? b : a, r[k + 1], V, false, false);
        y[n++] = tl_gemm(k == 2 ? r[0] : TL_NONE, tl_tanh(r[k]), U, false, false);
        y[n++] = tl_gemm(column, r[7 - k], U, false, false);
        y[n++] = tl_gemm(TL_NONE, r[k], r[(k + 3) % 8], true, false);
    }
    const tl_tensor other = tl_exp(all);
    y[n++] = tl_gemm(c, r[0], U, false, true); /* as if it went on where the other ends */
    y[n++] = tl_gemm(c, tl_slice(other, 0, 2, 4), U, false, true);
    y[n++] = tl_gemm(c, r[1], V, false, false);
    y[n++] = tl_gemm(c, r[2], U, false, false);
    y[n++] = tl_gemm(TL_NONE, tl_slice(all, 0, 0, W), V, true, false);
    y[n++] = tl_gemm(TL_NONE, tl_tanh(tl_slice(all, 0, 0, W)), V, true, false);
    y[n++] = tl_matmul(deep, VV);
    y[n++] = tl_matmul(tl_tanh(deep), VV);
    y[n++] = tl_matmul(tl_tanh(tl_matmul(tl_sin(r[0]), V)), U); /* each pair could be one product, but not both */
    y[n++] = tl_matmul(tl_tanh(tl_matmul(tl_sin(r[1]), U)), V);
    tl_tensor loss = tl_sum(tl_tanh(y[0]), TL_ALL);
    char name[16];
    for (int k = 0; k < n; k++) {
        snprintf(name, sizeof name, "y%d", k);
        tl_output(s, name, y[k]);
        loss = tl_add(loss, tl_sum(tl_sin(y[k]), TL_ALL));
    }
    tl_backward(loss);
}

/* Words step by step, whose table is also the output's weight; another table that is only looked up. */
static void words(tl_scope *s, uint64_t seed)
{
    enum { T = 4, B = 3, D = 17, V = 9 };
    const tl_tensor ids = random_input(s, "ids", V, seed, TL_DIMS(T, B));
    const tl_tensor E = tl_param(s, "E", TL_DIMS(V, D), .init = normal), F = tl_param(s, "F", TL_DIMS(V, D));
    const tl_tensor H = tl_param(s, "H", TL_DIMS(D, D), .init = normal);
    tl_tensor h = tl_state(s, "h", tl_full(s, TL_DIMS(B, D), 0)), loss = TL_NONE;
    for (int t = 0; t < T; t++) {
        h = tl_tanh(tl_add(tl_matmul(h, H), tl_add(tl_gather(E, tl_at(ids, t)), tl_gather(F, tl_at(ids, t)))));
        const tl_tensor y = tl_gemm(TL_NONE, h, E, false, true), l = tl_sum(tl_log_softmax(y), TL_ALL);
        loss = t ? tl_add(loss, l) : l;
    }
    tl_next(s, "h", h);
    tl_output(s, "loss", tl_tanh(loss));
    tl_output(s, "table", F);
    tl_output(s, "ids", ids);
    tl_backward(loss);
}

/* Results of another element size than their operands; operands that are parts of what dies. */
static void places(tl_scope *s, uint64_t seed)
{
    const tl_tensor x = input(s, "x", seed, TL_DIMS(4, 6));
    const tl_tensor a = tl_argmax(x, 0), b = tl_argmax(tl_tanh(x), 0);
    tl_output(s, "equal", tl_equal(a, b));
    const tl_tensor y = tl_exp(x);
    tl_output(s, "halves", tl_sub(tl_slice(y, 0, 2, 4), tl_slice(y, 0, 0, 2)));
    const tl_tensor row = tl_exp(tl_sum(x, TL_AXES(0)));
    tl_output(s, "spread", tl_mul(x, row));
    const tl_tensor V = tl_param(s, "V", TL_DIMS(6, 5), .init = normal), z = tl_matmul(x, V),
                    u = tl_matmul(x, tl_neg(V));
    tl_output(s, "first", tl_add(z, tl_slice(z, 0, 0, 1))); /* row 0 is read at every row */
    const tl_tensor part[2] = { tl_sum_keep(x, TL_AXES(0)), tl_tanh(tl_sigmoid(tl_slice(u, 0, 0, 3))) };
    tl_output(s, "shifted", tl_concat(2, (tl_tensor[]){ tl_slice(part[0], 1, 0, 5), part[1] }, 0));
    const tl_tensor p = tl_param(s, "p", TL_DIMS(6), .init = normal), q = tl_param(s, "q", TL_DIMS(6));
    tl_backward(tl_sum(tl_tanh(tl_add(p, q)), TL_ALL)); /* one gradient for both */
}

/* Operands that die, of which the result needs one number again and again: in an instruction of its own, and in a run, whose
 * first member reads the first row once more for each tile. */
static void again_and_again(tl_scope *s, uint64_t seed)
{
    const tl_tensor line = tl_exp(input(s, "line", seed, TL_DIMS(6))), x = input(s, "x", seed, TL_DIMS(9, 5));
    tl_output(s, "line", tl_add(line, tl_slice(line, 0, 0, 1)));
    const tl_tensor z = tl_matmul(x, tl_param(s, "V", TL_DIMS(5, 5), .init = normal));
    tl_output(s, "rows", tl_tanh(tl_add(x, tl_slice(z, 0, 0, 1))));
}

/* Columns, or rows, of which a recurrence goes through some; what else may be made of them, and of their weights. */
static void side_by_side(tl_scope *s, uint64_t seed)
{
    enum { T = 3, B = 2, D = 5 };
    const tl_tensor x = input(s, "x", seed, TL_DIMS(T, B, D)), V = tl_param(s, "V", TL_DIMS(D + W, W), .init = normal);
    const tl_tensor U = tl_param(s, "U", TL_DIMS(D + W, W), .init = normal), S = square(s, "S");
    const tl_tensor deep = input(s, "deep", seed + 1, TL_DIMS(2, D + W, W));
    const tl_tensor rows = input(s, "rows", seed + 2, TL_DIMS(B, W)), turned = tl_matmul(deep, tl_transpose(V));
    tl_tensor h = tl_full(s, TL_DIMS(B, W), 0.5), g = h, r = h;
    tl_tensor loss = tl_sum(tl_sin(tl_slice(turned, 1, D, D + W)), TL_ALL);
    for (int t = 0; t < T; t++) {
        const tl_tensor xt = tl_at(x, t), xh = tl_concat(2, (tl_tensor[]){ xt, h }, 1);
        const tl_tensor gx = tl_concat(2, (tl_tensor[]){ g, xt }, 1);
        loss = tl_add(loss, tl_sum(tl_tanh(tl_matmul(xh, tl_sin(U))), TL_ALL)); /* leads nowhere */
        loss = tl_add(loss, tl_sum(tl_tanh(tl_gemm(TL_NONE, xh, tl_sin(xh), false, true)), TL_ALL));
        loss = tl_add(loss, tl_sum(tl_tanh(tl_gemm(TL_NONE, tl_sin(xh), xh, false, true)), TL_ALL));
        h = tl_tanh(tl_matmul(xh, V));
        g = tl_tanh(tl_matmul(gx, U));
        r = tl_slice(tl_tanh(tl_matmul(tl_concat(2, (tl_tensor[]){ rows, r }, 0), S)), 0, 1, 1 + B);
    }
    loss = tl_add(loss, tl_sum(tl_add(tl_add(h, g), r), TL_ALL));
    tl_output(s, "h", h);
    tl_output(s, "g", g);
    tl_output(s, "r", r);
    tl_output(s, "loss", loss);
    tl_backward(loss);
}

#define CONCAT(axis, ...) tl_concat(COUNT(((tl_tensor[]){ __VA_ARGS__ })), ((tl_tensor[]){ __VA_ARGS__ }), axis)

/* What is there already, and what only looks like it. */
static void moves(tl_scope *s, uint64_t seed)
{
    const tl_tensor many = input(s, "many", seed, TL_DIMS(200)), x = input(s, "x", seed + 1, TL_DIMS(2, 6));
    const tl_tensor y = input(s, "y", seed + 2, TL_DIMS(2, 6)), deep = input(s, "deep", seed + 3, TL_DIMS(3, 2, 4));
    const tl_tensor row = input(s, "row", seed + 4, TL_DIMS(1, 6)), three = input(s, "three", seed + 5, TL_DIMS(3));
    const tl_tensor V = tl_param(s, "V", TL_DIMS(3, 4, 5), .init = normal), W2 = square(s, "W");
    give(s, tl_gemm(tl_full(s, TL_DIMS(2, W), -0.0), tl_slice(x, 1, 0, 0), tl_slice(W2, 0, 0, 0), false, false));
    give(s, tl_add(many, tl_full(s, TL_DIMS(200), 0)));
    give(s, tl_mul(many, tl_full(s, TL_DIMS(200), 1)));
    give(s, tl_sum(tl_reshape(many, TL_DIMS(200, 1)), TL_AXES(1)));
    const tl_tensor rows = CONCAT(0, tl_exp(x), tl_exp(y));
    give(s, tl_slice(tl_reshape(rows, TL_DIMS(2, 2, 6)), 1, 0, 1));
    give(s, tl_slice(tl_reshape(rows, TL_DIMS(8, 3)), 0, 1, 3));
    give(s, tl_slice(tl_slice(rows, 1, 2, 5), 0, 2, 4));
    give(s, tl_slice(rows, 1, 0, 2));
    give(s, tl_slice(rows, 0, 1, 3));
    give(s, CONCAT(0, tl_slice(x, 1, 0, 1), tl_slice(x, 1, 1, 2)));
    give(s, CONCAT(1, tl_slice(x, 1, 0, 1), tl_slice(y, 1, 1, 2)));
    give(s, CONCAT(1, tl_slice(x, 1, 1, 2), tl_slice(x, 1, 0, 1)));
    give(s, CONCAT(0, tl_full(s, TL_DIMS(2, 3), 4), tl_reshape(tl_exp(three), TL_DIMS(1, 3))));
    give(s, CONCAT(0, tl_reshape(tl_exp(x), TL_DIMS(1, 3, 4)),
                   tl_reshape(tl_transpose(tl_reshape(y, TL_DIMS(4, 3))), TL_DIMS(1, 3, 4))));
    give(s, CONCAT(0, tl_reshape(tl_sin(tl_reshape(x, TL_DIMS(4, 3))), TL_DIMS(1, 3, 4)),
                   tl_reshape(tl_sin(tl_reshape(y, TL_DIMS(4, 3))), TL_DIMS(1, 3, 4))));
    give(s, tl_transpose(x));
    const tl_tensor VV = tl_param(s, "VV", TL_DIMS(3, 40, 40), .init = normal);
    give(s, tl_matmul(tl_exp(input(s, "batch", seed, TL_DIMS(3, 2, 40))), VV));
    give(s, tl_matmul(tl_permute(tl_reshape(deep, TL_DIMS(2, 3, 4)), (int[]){ 1, 0, 2 }), V));
    if (tl_tape_model(tl_scope_tape(s))->dtype == TL_F64) return;
    const tl_tensor wide = tl_broadcast_to(row, TL_DIMS(2, 6));
    give(s, tl_apply(&alike, (tl_tensor[]){ tl_exp(x), wide }, 2, NULL));
    give(s, CONCAT(1, tl_apply(&alike, (tl_tensor[]){ x, y }, 2, NULL), tl_exp(x)));
    give(s, tl_tanh(tl_apply(&alike, (tl_tensor[]){ tl_sin(x), y }, 2, NULL)));
}

/* Rows that are looked up, and what only looks like them. */
static void lookups(tl_scope *s, uint64_t seed)
{
    enum { V = 3, D = 4, N = 6 };
    const tl_tensor E = tl_param(s, "E", TL_DIMS(V, D), .init = normal), F = tl_param(s, "F", TL_DIMS(V, D));
    const tl_tensor A = tl_param(s, "A", TL_DIMS(2, 3), .init = normal), B = tl_param(s, "B", TL_DIMS(D, 3));
    const tl_tensor C = tl_param(s, "C", TL_DIMS(N, 3), .init = normal), start = input(s, "start", seed, TL_DIMS(N, 3));
    const tl_tensor row = tl_param(s, "row", TL_DIMS(3), .init = normal),
                    wide = input(s, "U", seed + 1, TL_DIMS(V, 90));
    const tl_tensor ids = random_input(s, "ids", V - 1, seed, TL_DIMS(N)), hot = tl_one_hot(ids, V);
    const tl_tensor more = random_input(s, "more", V - 1, seed + 2, TL_DIMS(N)), x = tl_gather(E, ids),
                    z = tl_gather(F, more);
    const tl_tensor g = tl_tanh(tl_matmul(start, tl_param(s, "G", TL_DIMS(3, D), .init = normal))); /* [N, D] */
    give(s, tl_matmul(tl_reshape(x, TL_DIMS(2 * N, D / 2)), A));
    give(s, tl_matmul(tl_reshape(tl_slice(tl_reshape(x, TL_DIMS(N * D)), 0, 2, 22), TL_DIMS(N - 1, D)), B));
    give(s, tl_gemm(TL_NONE, x, C, true, false));
    give(s, tl_gemm(start, x, B, false, false));
    give(s, tl_gemm(row, x, B, false, false));
    give(s, tl_matmul(hot, wide));
    give(s, tl_gemm(TL_NONE, hot, tl_reshape(wide, TL_DIMS(90, V)), false, true));
    tl_tensor loss = TL_NONE, chain = TL_NONE;
    for (int k = 0; k < 4; k++) { /* someone reads a link */
        chain = tl_gemm(chain, tl_gather(E, k % 2 ? more : ids), tl_sin(k % 2 ? start : C), true, false);
        if (k == 1) loss = tl_sum(tl_sin(chain), TL_ALL);
    }
    give(s, chain);
    give(s, tl_gemm(tl_gemm(TL_NONE, x, tl_cos(g), true, false), z, tl_sin(g), true, false)); /* of two tables */
    give(s, tl_gemm(tl_gemm(TL_NONE, x, g, true, false), tl_sin(g), tl_gather(E, more), true, false)); /* transposed */
    give(s,
         tl_gemm(tl_gemm(TL_NONE, x, tl_slice(start, 1, 0, 1), true, false), tl_gather(E, more), start, true, false));
    give(s, tl_gemm(row, hot, tl_sin(start), true, false));
    give(s, tl_gemm(tl_gemm(row, x, B, false, false), tl_gather(E, more), B, false, false));
    const tl_tensor square_of = tl_param(s, "S", TL_DIMS(D, D), .init = normal),
                    other = tl_param(s, "O", TL_DIMS(N, D));
    const tl_tensor r4 = tl_matmul(tl_slice(start, 0, 0, 1), tl_param(s, "R", TL_DIMS(3, D))),
                    both = CONCAT(0, ids, more, ids);
    give(s,
         tl_scatter_add(TL_NONE,
                        CONCAT(0, tl_gemm(r4, g, square_of, false, false), tl_gemm(TL_NONE, g, square_of, false, true),
                               tl_gemm(TL_NONE, tl_sin(g), square_of, false, false)),
                        both, V));
    const tl_tensor tall = input(s, "tall", seed + 7, TL_DIMS(N, N));
    give(s, tl_scatter_add(TL_NONE,
                           CONCAT(0, tl_gemm(TL_NONE, tall, other, true, false),
                                  tl_gemm(TL_NONE, tl_sin(tall), other, true, false),
                                  tl_gemm(TL_NONE, tl_exp(tall), other, true, false)),
                           both, V));
    loss = tl_add(loss,
                  tl_sum(tl_sin(tl_gemm(TL_NONE, g, E, false, true)), TL_ALL)); /* E is the output's weight, too */
    tl_backward(tl_add(loss, tl_sum(tl_square(tl_matmul(x, B)), TL_ALL)));
}

/* Columns beside columns, made in their places; and what reads or writes them in other ways. */
static void columns(tl_scope *s, uint64_t seed)
{
    const tl_tensor x = input(s, "x", seed, TL_DIMS(4, 6)), q = input(s, "q", seed + 1, TL_DIMS(4, 4));
    const tl_tensor line = input(s, "line", seed + 2, TL_DIMS(24)), deep = input(s, "deep", seed + 3, TL_DIMS(2, 4, 6));
    const tl_tensor V = tl_param(s, "V", TL_DIMS(2, 6, 6), .init = normal),
                    ids = random_input(s, "ids", 4, seed, TL_DIMS(4));
    tl_tensor p[12];
    for (int k = 0; k < COUNT(p); k++) {
        p[k] = tl_exp(tl_scale(x, k + 1));
        give(s, tl_sin(CONCAT(1, p[k], tl_exp(q))));
    }
    const tl_tensor flat = tl_reshape(p[0], TL_DIMS(24));
    give(s, tl_sin(tl_reshape(tl_slice(flat, 0, 3, 15), TL_DIMS(2, 6))));
    give(s, tl_sin(tl_slice(p[1], 0, 1, 3)));
    give(s, tl_sin(tl_slice(tl_reshape(p[2], TL_DIMS(8, 3)), 1, 0, 2)));
    give(s, tl_sin(tl_slice(tl_reshape(p[3], TL_DIMS(2, 12)), 1, 4, 10)));
    give(s, tl_sin(tl_reshape(p[4], TL_DIMS(24))));
    give(s, tl_softmax(p[5]));
    give(s, p[6]);
    give(s, tl_tap(s, p[7], seen, NULL));
    give(s, tl_tap(s, tl_slice(p[8], 0, 1, 3), seen, NULL));
    give(s, tl_sin(CONCAT(1, tl_reshape(tl_exp(line), TL_DIMS(4, 6)), q)));
    give(s, tl_sin(CONCAT(1, tl_softmax(x), q)));
    give(s, tl_sin(CONCAT(1, tl_gather(x, ids), q)));
    give(s, tl_sin(CONCAT(1, tl_sum(tl_reshape(deep, TL_DIMS(2, 4, 6)), TL_AXES(0)), q)));
    const tl_tensor there = tl_exp(deep), batch = tl_matmul(deep, V);
    give(s, tl_sin(CONCAT(2, batch, tl_sin(deep), there)));
    give(s, tl_matmul(there, V));
    const tl_tensor wide = tl_exp(tl_sin(deep)), q2 = tl_slice(q, 0, 0, 2);
    give(s, tl_sin(CONCAT(1, tl_reshape(wide, TL_DIMS(2, 24)), q2)));
    give(s, tl_matmul(wide, V));
    give(s, tl_sin(CONCAT(1, tl_reshape(tl_matmul(tl_cos(deep), V), TL_DIMS(2, 24)), q2)));
    const tl_tensor parts = CONCAT(2, tl_sin(tl_reshape(tl_slice(line, 0, 0, 8), TL_DIMS(2, 2, 2))),
                                   tl_sin(tl_reshape(tl_slice(line, 0, 8, 24), TL_DIMS(2, 2, 4))));
    give(s, tl_sin(CONCAT(1, tl_reshape(parts, TL_DIMS(2, 12)), tl_exp(tl_slice(q, 0, 0, 2)))));
    const tl_tensor b = tl_param(s, "b", TL_DIMS(6), .init = normal);
    tl_backward(
        tl_sum(tl_mul(tl_reshape(b, TL_DIMS(2, 3)), tl_exp(tl_slice(tl_reshape(x, TL_DIMS(8, 3)), 0, 0, 2))), TL_ALL));
}

/* Rows below rows, wanted in other ways as well; and runs in which rows are not in step. */
static void rows_below(tl_scope *s, uint64_t seed)
{
    const tl_tensor x = input(s, "x", seed, TL_DIMS(4, 6)), w = input(s, "w", seed + 1, TL_DIMS(1, 6));
    const tl_tensor V = tl_param(s, "V", TL_DIMS(6, 6), .init = normal),
                    deep = input(s, "deep", seed + 2, TL_DIMS(4, 3, 5));
    tl_tensor r[6];
    for (int k = 0; k < 6; k++) r[k] = tl_tanh(tl_scale(x, k + 1));
    give(s, tl_sin(CONCAT(0, r[0], r[1], r[2])));
    give(s, tl_sin(CONCAT(0, r[3], r[4], r[5])));
    give(s, tl_cos(CONCAT(1, r[0], r[1])));
    give(s, tl_cos(CONCAT(0, r[0], r[4])));
    give(s, tl_cos(CONCAT(0, r[1], r[0])));
    give(s, tl_cos(CONCAT(0, r[1], r[2])));
    const tl_tensor last = tl_matmul(w, V), whole = CONCAT(0, tl_tanh(tl_matmul(x, V)), last);
    give(s, tl_sin(tl_reshape(tl_slice(tl_reshape(whole, TL_DIMS(30)), 0, 3, 27), TL_DIMS(4, 6))));
    const tl_tensor t = tl_tanh(tl_sin(deep));
    give(s, tl_exp(tl_sum(t, TL_AXES(1))));
    give(s, tl_exp(tl_sum(t, TL_AXES(1, 2))));
    give(s, tl_softmax(tl_exp(tl_reshape(x, TL_DIMS(8, 3)))));
    give(s, tl_matmul(tl_sin(input(s, "batch", seed + 3, TL_DIMS(3, 4, 40))), tl_param(s, "VV", TL_DIMS(3, 40, 40))));
    give(s, tl_tanh(tl_param(s, "b", TL_DIMS(7), .init = normal)));
    const tl_tensor c = tl_param(s, "c", TL_DIMS(4, 1), .init = normal),
                    U = tl_param(s, "U", TL_DIMS(4, 4), .init = normal);
    give(s, tl_mul(tl_sum(U, TL_AXES(0)), tl_slice(tl_sum(tl_reshape(U, TL_DIMS(2, 8)), TL_AXES(0)), 0, 0, 4)));
    tl_tensor loss = TL_NONE;
    for (int k = 0; k < 3; k++) {
        const tl_tensor l = tl_sum(tl_tanh(tl_mul(tl_add(r[k], c), r[k + 1])), TL_ALL);
        loss = k ? tl_add(loss, l) : l;
    }
    tl_backward(loss);
}

/* A value of which a run makes and reads both halves, each of as many rows as the run has. */
static void halves(tl_scope *s, uint64_t seed)
{
    const tl_tensor x = input(s, "x", seed, TL_DIMS(4, 60)), y = CONCAT(0, tl_tanh(tl_exp(x)), tl_cos(tl_exp(x)));
    give(s, tl_sin(tl_add(tl_slice(y, 0, 0, 4), tl_slice(y, 0, 4, 8))));
}

static void graph(tl_scope *s, uint64_t seed)
{
    tl_tensor x[GRAPH_INPUTS], d[GRAPH_INPUTS];
    random_graph g, h;
    x[0] = input(s, "in", seed, TL_DIMS(2, 3));
    x[1] = input(s, "in", seed, TL_DIMS(3));
    x[2] = input(s, "in", seed, TL_DIMS(4, 1));
    tl_tensor loss = record_random(&g, s, x, seed);
    loss = tl_add(loss, record_random(&h, tl_again(s), x, seed)); /* all of it once more */
    tl_grad(loss, x, GRAPH_INPUTS, d);
    tl_output(s, "loss", loss);
    tl_output(s, "inner", g.node[g.n / 2]);
    tl_output(s, "twin", h.node[h.n / 2]);
    for (int i = 0; i < GRAPH_INPUTS; i++) tl_output(s, (const char *[]){ "d0", "d1", "d2" }[i], d[i]);
    tl_backward(loss);
}

/* Sums of products: read within, and of fewer numbers than what they are added to. */
static void sums(tl_scope *s, uint64_t seed)
{
    enum { B = 3 };
    tl_tensor x[3];
    for (int k = 0; k < 3; k++)
        x[k] = input(s, (const char *[]){ "x0", "x1", "x2" }[k], seed + (uint64_t)k, TL_DIMS(B, W));
    const tl_tensor S = square(s, "S"), p = tl_matmul(x[0], S), all = tl_matmul(x[2], S), row = tl_slice(x[2], 0, 0, 1);
    const tl_tensor few = tl_add(row, tl_matmul(row, S)), read = tl_add(p, x[1]);
    tl_output(s, "read", tl_abs(read));
    tl_output(s, "sum", tl_add(tl_add(x[2], tl_matmul(x[1], square(s, "V"))), read));
    tl_output(s, "few", tl_add(all, few));
}

/* Rows that a mask leaves out, and what only looks like them. Each product has a weight of its own, lest they are batched. */
static void padding(tl_scope *s, uint64_t seed)
{
    enum { R = 4 };
    const tl_tensor x = input(s, "x", seed, TL_DIMS(R, W)), zero = tl_full(s, TL_SCALAR, 0);
    const tl_tensor A = tl_param(s, "A", TL_DIMS(R, R), .init = normal);
    const tl_tensor ids = tl_ids_const(s, TL_DIMS(R, 1), (int32_t[]){ 0, 1, 0, 1 });
    const tl_tensor c = tl_const(s, TL_DIMS(R, 1), (double[]){ 0, 1, 1, 0 });
    const tl_tensor d = tl_const(s, TL_DIMS(R, 1), (double[]){ 1, 0, 0, 0 }), one = tl_exp(tl_slice(c, 0, 1, 2));
    tl_tensor S[24], p[10];
    for (int k = 0; k < COUNT(S); k++) S[k] = square(s, (char[]){ 'S', (char)('a' + k), 0 });
    for (int k = 0; k < COUNT(p); k++) p[k] = tl_matmul(tl_sin(x), S[k]);
    give(s, tl_where(c, tl_tanh(p[0]), x));
    give(s, tl_where(tl_greater(x, zero), p[1], x)); /* single numbers */
    give(s, tl_where(c, x, p[2]));
    give(s, tl_add(tl_where(c, p[3], zero), tl_where(d, p[3], zero)));
    const tl_tensor q = tl_matmul(x, tl_slice(S[10], 1, 0, R)), r = tl_matmul(tl_cos(x), tl_slice(S[11], 1, 0, R));
    give(s, tl_where(c, tl_gemm(TL_NONE, q, A, true, false), A));
    give(s, tl_where(c, tl_gemm(TL_NONE, A, r, false, false), A));
    give(s, tl_where(c, tl_sum(tl_reshape(p[4], TL_DIMS(R, R, W / R)), TL_AXES(0)), A));
    const tl_tensor some = tl_where(c, x, zero), first = tl_where(one, tl_slice(x, 0, 0, 1), zero);
    give(s, tl_mul(some, tl_matmul(tl_scale(tl_exp(x), 1e30), tl_scale(S[12], 1e30)))); /* 0 times infinity */
    give(s, tl_matmul(some, S[13]));
    give(s, tl_matmul(tl_exp(some), S[14]));
    give(s, tl_matmul(tl_add(some, tl_where(d, x, zero)), S[15]));
    give(s, tl_matmul(tl_mul(first, x), S[16]));
    give(s, tl_gemm(tl_full(s, TL_DIMS(R, W), -0.0), some, S[17], false, false));
    const tl_tensor g = CONCAT(0, tl_where(ids, p[5], zero), tl_where(c, p[6], zero)), h = CONCAT(0, p[7], p[8]);
    give(s, tl_gemm(TL_NONE, h, g, true, false));
    give(s, tl_gemm(TL_NONE, tl_where(c, tl_sin(x), zero), tl_cos(x), true, false));
    tl_backward(tl_sum(tl_sin(tl_where(c, tl_tanh(tl_matmul(tl_tanh(p[9]), S[18])), x)), TL_ALL));
}

/* A network of random cells (random_cells.h). */
static void network(tl_scope *s, uint64_t seed)
{
    choices.replayed = false;
    choices.state = seed * 0x9E3779B97F4A7C15u + 1;
    choices.n = 0;
    record_network(s, seed);
}

enum { RANDOM = 60, NETWORKS = 100 };
static const specimen fixed[] = {
    { "calls", calls, 1, TL_F32 },
    { "lookalikes", lookalikes, 1, TL_F32 },
    { "chains", chains, 1, TL_F32 },
    { "products", products, 1, TL_F32 },
    { "words", words, 1, TL_F32 },
    { "places", places, 1, TL_F32 },
    { "chains", chains, 2, TL_F64 },
    { "products", products, 2, TL_F64 },
    { "places", places, 2, TL_F64 },
    { "again and again", again_and_again, 3, TL_F32 },
    { "side by side", side_by_side, 1, TL_F32 },
    { "side by side", side_by_side, 2, TL_F64 },
    { "moves", moves, 1, TL_F32 },
    { "moves", moves, 2, TL_F64 },
    { "lookups", lookups, 1, TL_F32 },
    { "lookups", lookups, 2, TL_F64 },
    { "words", words, 2, TL_F64 },
    { "columns", columns, 1, TL_F32 },
    { "columns", columns, 3, TL_F64 },
    { "halves", halves, 3, TL_F32, "-simplify" },
    { "rows", rows_below, 3, TL_F32 },
    { "rows", rows_below, 1, TL_F64 },
    { "rows", rows_below, 3, TL_F32, "-simplify" },
    { "rows", rows_below, 3, TL_F32, "-schedule" },
    { "columns", columns, 1, TL_F32, "-simplify,-schedule" },
    { "sums", sums, 1, TL_F32 },
    { "sums", sums, 2, TL_F64 },
    { "padding", padding, 1, TL_F32 },
    { "padding", padding, 2, TL_F64 },
};

enum { SPECIMENS = COUNT(fixed) + RANDOM + NETWORKS };
static specimen specimen_at(int k)
{
    if (k < COUNT(fixed)) return fixed[k];
    const uint64_t seed = (uint64_t)(k - COUNT(fixed));
    const tl_dtype dtype = seed % 2 ? TL_F64 : TL_F32;
    return seed < RANDOM ? (specimen){ "random graph", graph, seed, dtype }
                         : (specimen){ "network", network, seed, dtype };
}

#endif
