/* layers/dense.c - y = activation(x W + b) */
#include "layers/common.h"

static tl_tensor dense(tl_place at, tl_scope *s, tl_tensor x, const tl_dense_opts *o)
{
    const bool tied = !tl_absent(o->tied);
    if (tied && !tl__operand(at, s, "dense", ".tied", o->tied, 2)) return tl__failed(at, s);
    const int64_t units = o->units || !tied ? o->units : tl_dim(o->tied, 0);
    if (!tl__size(at, s, "dense", ".units", units) || !tl__operand(at, s, "dense", "x", x, 1)) return tl__failed(at, s);
    tl_tensor W = o->tied, b = TL_NONE;
    if (!tied)
        W = tl_param(s, "W", TL_DIMS(tl_dim(x, -1), units), .init = tl__init_or(o->kernel_init, tl_glorot_uniform()));
    if (!o->no_bias) b = tl_param(s, "b", TL_DIMS(units), .init = o->bias_init);
    const tl_tensor y = tl__unrows(tl_gemm(b, tl__rows(x), W, false, tied), x);
    return tl__hand_on(o->activation ? o->activation(y) : y, x);
}

tl_tensor tl_dense_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_dense_opts *given)
{
    tl_dense_opts o;
    const tl_place_mark m = tl_enter(at, s);
    tl_tensor y;
    if (!tl__options(at, s, "dense", &o, sizeof o, given)) y = tl__failed(at, s);
    else {
        tl_scope *inner = tl__inside(at, s, o.name ? o.name : "dense");
        y = tl_scope_layer(inner, "Dense", dense(at, inner, x, &o));
    }
    tl_leave(s, m);
    return y;
}
