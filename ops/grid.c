/* ops/grid.c - windows over one or two axes with their options, as convolution and pooling ask for them. */
#include "ops/windows.h"

static bool options(void *to, size_t n, const void *from)
{
    size_t size = n;
    memset(to, 0, n);
    if (from) memcpy(&size, from, sizeof size);
    if (from && size >= sizeof size) memcpy(to, from, size < n ? size : n);
    return size >= sizeof size;
}

/* The default of these is 0, so TL_ZERO says the same. */
static void read_zeros(tl_window_opts *o)
{
    o->begin = tl_whole(o->begin, 0);
    o->end = tl_whole(o->end, 0);
    o->fill = tl_number(o->fill, 0);
}

bool tl_grid_1d(tl_grid *g, int64_t size, const tl_window_opts *given)
{
    *g = (tl_grid){ .n = 1, .first = 0, .size = { size } };
    const bool good = options(&g->along[0], sizeof g->along[0], given);
    read_zeros(&g->along[0]);
    g->count_padding = g->along[0].count_padding;
    return good;
}

bool tl_grid_2d(tl_grid *g, int64_t height, int64_t width, const tl_window2d_opts *given)
{
    tl_window2d_opts o;
    const bool good = options(&o, sizeof o, given);
    *g = (tl_grid){ .n = 2, .first = 1, .size = { height, width }, .count_padding = o.count_padding };
    for (int k = 0; k < 2; k++) {
        g->along[k] = (tl_window_opts){
            .stride = o.stride[k], .dilation = o.dilation[k], .begin = o.begin[k], .end = o.end[k], .same = o.same
        };
        read_zeros(&g->along[k]);
    }
    return good;
}

static bool without_size(tl_shape_rule *r) { return tl_refuse(r, TL_E_ARGUMENT, "the options' .size is not set"); }
TL_REFUSAL(windows, tl_concat_attr, without_size);

tl_tensor tl_without_size(tl_place at, tl_tensor x)
{
    return tl_apply_at(at, &refusal_windows, &x, 1, &(tl_concat_attr){ 0 });
}

tl_tensor tl_patches(tl_place at, tl_tensor x, const tl_grid *g)
{
    const int channels = tl_rank(x) - 1;
    for (int k = g->n - 1; k >= 0; k--) x = tl_windows_to(at, x, g->first + k, channels, g->size[k], &g->along[k]);
    tl_shape s = tl_shape_of(x);
    if (g->n == 1 || s.rank < 2) return x;  /* or it has failed */
    s.dim[channels] *= s.dim[channels + 1]; /* the axes of the windows' elements, and the channels after them */
    s.dim[channels + 1] = s.dim[channels + 2];
    return tl_reshape_at(at, x, s.rank - 1, s.dim);
}
