/* ops/pool.c - the largest and the average of windows: max pooling takes along each window what argmax points at, so
 * the gradient goes to the first of equals, as in PyTorch. */
#include "ops/windows.h"

static const int elements[] = { -2 };

/* Padding is -inf: never chosen. */
static tl_tensor largest(tl_place at, tl_tensor x, tl_grid *g)
{
    for (int k = 0; k < g->n; k++) g->along[k].fill = -INFINITY;
    const tl_tensor p = tl_patches(at, x, g), ids = tl_expand_dims_at(at, tl_argmax_at(at, p, -2), -2);
    return tl_squeeze_at(at, tl_take_along_at(at, p, ids, -2), -2);
}

/* Ones of x's shape, but of size 1 where every element has the same windows. */
static tl_tensor ones(tl_place at, tl_tensor x, const tl_grid *g)
{
    for (int a = 0; a < tl_rank(x); a++)
        if (a < g->first || a >= g->first + g->n) x = tl_slice_at(at, x, a, 0, tl_dim(x, a) ? 1 : 0);
    return tl_full_like_at(at, x, 1);
}

static tl_tensor average(tl_place at, tl_tensor x, tl_grid *g)
{
    bool padded = false;
    for (int k = 0; k < g->n; k++) {
        g->along[k].fill = 0;
        padded |= g->along[k].begin || g->along[k].end || g->along[k].same;
    }
    const tl_tensor p = tl_patches(at, x, g), sum = tl_sum_at(at, p, 1, elements);
    if (!padded || g->count_padding) return tl_scale_at(at, sum, 1 / (double)tl_dim(p, -2));
    return tl_div_at(at, sum, tl_sum_at(at, tl_patches(at, ones(at, x, g), g), 1, elements));
}

/* Is padding as large as a window, so that one might have nothing else? */
static bool padded_too_much(const tl_grid *g)
{
    for (int k = 0; k < g->n; k++) {
        const tl_window_opts *o = &g->along[k];
        const double span = ((double)g->size[k] - 1) * (double)tl_whole(o->dilation, 1);
        if (span >= 0 && ((double)o->begin > span || (double)o->end > span)) return true;
    }
    return false;
}

static tl_tensor pool(tl_place at, tl_tensor x, tl_grid *g, const struct tl_op *refusal,
                      tl_tensor (*of)(tl_place at, tl_tensor x, tl_grid *g))
{
    for (int k = 0; k < g->n; k++)
        if (!g->along[k].stride) g->along[k].stride = g->size[k];
    if (padded_too_much(g)) return tl_apply_at(at, refusal, &x, 1, &(tl_concat_attr){ 1 });
    return of(at, x, g);
}

/* axis: 1 if it is the padding that is refused */
static bool refused(tl_shape_rule *r, const char *shape)
{
    if (((const tl_concat_attr *)r->attr)->axis)
        return tl_refuse(r, TL_E_ARGUMENT, "padding must be smaller than the window");
    return tl_refuse(r, TL_E_SHAPE, "it should be %s", shape);
}
static bool refused_1d(tl_shape_rule *r) { return refused(r, "[T,B,C]"); }
static bool refused_2d(tl_shape_rule *r) { return refused(r, "[B,H,W,C]"); }

#define POOL(name, of)                                                                                                 \
    TL_REFUSAL(name##_pool1d, tl_concat_attr, refused_1d);                                                             \
    TL_REFUSAL(name##_pool2d, tl_concat_attr, refused_2d);                                                             \
    tl_tensor tl_##name##_pool1d_opt(tl_place at, tl_tensor x, int64_t size, const tl_window_opts *o)                  \
    {                                                                                                                  \
        tl_grid g;                                                                                                     \
        if (tl_rank(x) != 3) return tl_apply_at(at, &refusal_##name##_pool1d, &x, 1, &(tl_concat_attr){ 0 });          \
        if (!tl_grid_1d(&g, size, o)) return tl_without_size(at, x);                                                   \
        return pool(at, x, &g, &refusal_##name##_pool1d, of);                                                          \
    }                                                                                                                  \
    tl_tensor tl_##name##_pool2d_opt(tl_place at, tl_tensor x, int64_t height, int64_t width,                          \
                                     const tl_window2d_opts *o)                                                        \
    {                                                                                                                  \
        tl_grid g;                                                                                                     \
        if (tl_rank(x) != 4) return tl_apply_at(at, &refusal_##name##_pool2d, &x, 1, &(tl_concat_attr){ 0 });          \
        if (!tl_grid_2d(&g, height, width, o)) return tl_without_size(at, x);                                          \
        return pool(at, x, &g, &refusal_##name##_pool2d, of);                                                          \
    }
POOL(max, largest)
POOL(average, average)
