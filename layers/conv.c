/* layers/conv.c - tl_conv1d and tl_conv2d with parameters. */
#include "layers/common.h"

/* What is asked of both: the kernel's sizes, then those of the parameters. */
typedef struct kernel {
    const char *call;
    int axes;
    int64_t size[2], units;
    bool no_bias;
    tl_init kernel_init, bias_init;
} kernel;

static bool parameters(tl_place at, tl_scope *s, tl_tensor x, const kernel *k, tl_tensor *W, tl_tensor *b)
{
    int64_t dim[4];
    if (!tl__size(at, s, k->call, ".units", k->units)) return false;
    for (int a = 0; a < k->axes; a++)
        if (!tl__size(at, s, k->call, ".kernel", dim[a] = k->size[a])) return false;
    if (!tl__operand(at, s, k->call, "x", x, k->axes + 2)) return false;
    dim[k->axes] = tl_dim(x, -1);
    dim[k->axes + 1] = k->units;
    *W = tl_param(s, "W", k->axes + 2, dim, .init = tl__init_or(k->kernel_init, tl_glorot_uniform()));
    *b = TL_NONE;
    if (!k->no_bias) *b = tl_param(s, "b", TL_DIMS(k->units), .init = k->bias_init);
    return true;
}

static tl_tensor conv1d(tl_place at, tl_scope *s, tl_tensor x, const tl_convolution1d_opts *o)
{
    const kernel k = { "convolution1d", 1, { o->kernel }, o->units, o->no_bias, o->kernel_init, o->bias_init };
    tl_tensor W, b;
    if (o->causal && (tl_whole(o->begin, 0) || tl_whole(o->end, 0) || o->same))
        return tl_error_at(at, s, TL_E_ARGUMENT, "%s: both .causal and other padding", k.call);
    if (!parameters(at, s, x, &k, &W, &b)) return tl__failed(at, s);
    int64_t past;
    if (__builtin_mul_overflow(o->kernel - 1, tl_whole(o->dilation, 1), &past)) past = -1; /* is refused */
    const tl_tensor y = tl_conv1d(x, W, b, .stride = o->stride, .dilation = o->dilation,
                                  .begin = o->causal ? past : o->begin, .end = o->end, .same = o->same);
    return o->activation ? o->activation(y) : y;
}

static tl_tensor conv2d(tl_place at, tl_scope *s, tl_tensor x, const tl_convolution2d_opts *o)
{
    const kernel k = { "convolution2d", 2,           { o->kernel[0], o->kernel[1] }, o->units, o->no_bias,
                       o->kernel_init,  o->bias_init };
    tl_tensor W, b;
    if (!parameters(at, s, x, &k, &W, &b)) return tl__failed(at, s);
    const tl_tensor y = tl_conv2d(x, W, b, .stride = { o->stride[0], o->stride[1] },
                                  .dilation = { o->dilation[0], o->dilation[1] }, .begin = { o->begin[0], o->begin[1] },
                                  .end = { o->end[0], o->end[1] }, .same = o->same);
    return o->activation ? o->activation(y) : y;
}

#define LAYER(layer, default_name, kind)                                                                               \
    tl_tensor tl_convolution##layer##_opt(tl_place at, tl_scope *s, tl_tensor x,                                       \
                                          const tl_convolution##layer##_opts *given)                                   \
    {                                                                                                                  \
        tl_convolution##layer##_opts o;                                                                                \
        const tl_place_mark m = tl_enter(at, s);                                                                       \
        tl_tensor y;                                                                                                   \
        if (!tl__options(at, s, "convolution" #layer, &o, sizeof o, given)) y = tl__failed(at, s);                     \
        else {                                                                                                         \
            tl_scope *inner = tl__inside(at, s, o.name ? o.name : default_name);                                       \
            y = tl_scope_layer(inner, kind, conv##layer(at, inner, x, &o));                                            \
        }                                                                                                              \
        tl_leave(s, m);                                                                                                \
        return y;                                                                                                      \
    }
LAYER(1d, "conv1d", "Conv1D")
LAYER(2d, "conv2d", "Conv2D")
