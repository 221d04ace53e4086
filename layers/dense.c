/* layers/dense.c - y = activation(x W + b), and rows of a table by id. */
#include "layers/common.h"

static tl_tensor dense(tl_place at, tl_scope *s, tl_tensor x, const tl_dense_opts *o)
{
    if (!tl__size(at, s, "dense", ".units", o->units) || !tl__operand(at, s, "dense", "x", x, 1))
        return tl__failed(at, s);
    const tl_tensor W = tl_param(s, "W", TL_DIMS(tl_dim(x, -1), o->units),
                                 .init = tl__init_or(o->kernel_init, tl_glorot_uniform()));
    tl_tensor b = TL_NONE;
    if (!o->no_bias) b = tl_param(s, "b", TL_DIMS(o->units), .init = o->bias_init);
    const tl_tensor y = tl__unrows(tl_gemm(b, tl__rows(x), W, false, false), x);
    return tl__hand_on(o->activation ? o->activation(y) : y, x);
}

tl_tensor tl_dense_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_dense_opts *given)
{
    tl_dense_opts o;
    const tl_place_mark m = tl_enter(at, s);
    tl_tensor y;
    if (!tl__options(at, s, "dense", &o, sizeof o, given)) y = tl__failed(at, s);
    else y = dense(at, tl__inside(at, s, o.name ? o.name : "dense"), x, &o);
    tl_leave(s, m);
    return y;
}

static tl_tensor embedding(tl_place at, tl_scope *s, tl_tensor ids, const tl_embedding_opts *o)
{
    if (!tl__size(at, s, "embedding", ".vocab", o->vocab) || !tl__size(at, s, "embedding", ".units", o->units) ||
        !tl__operand(at, s, "embedding", "ids", ids, 0))
        return tl__failed(at, s);
    const tl_init init = tl__init_or(o->init, tl_uniform(-0.05, 0.05));
    const tl_tensor W = tl_param(s, "W", TL_DIMS(o->vocab, o->units), .init = init);
    return tl_gather(W, ids);
}

tl_tensor tl_embedding_opt(tl_place at, tl_scope *s, tl_tensor ids, const tl_embedding_opts *given)
{
    tl_embedding_opts o;
    const tl_place_mark m = tl_enter(at, s);
    tl_tensor y;
    if (!tl__options(at, s, "embedding", &o, sizeof o, given)) y = tl__failed(at, s);
    else y = embedding(at, tl__inside(at, s, o.name ? o.name : "embedding"), ids, &o);
    tl_leave(s, m);
    return y;
}
