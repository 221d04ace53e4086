/* ops/windows.h - sliding windows over one or two axes: what convolution and pooling share. Private to ops/. */
#ifndef TL_OPS_WINDOWS_H
#define TL_OPS_WINDOWS_H

#include "ops/define.h"

/* A call's windows: over axis first (and the next, n = 2), of so many elements, lying so. */
typedef struct tl_grid {
    int n, first;
    int64_t size[2];
    tl_window_opts along[2];
    bool count_padding;
} tl_grid;

/* The caller's options, which may be NULL or of an older, shorter struct. False if .size is not set. */
bool tl_grid_1d(tl_grid *g, int64_t size, const tl_window_opts *given);
bool tl_grid_2d(tl_grid *g, int64_t height, int64_t width, const tl_window2d_opts *given);

/* The error of options without .size. */
tl_tensor tl_without_size(tl_place at, tl_tensor x);

/* x's windows along `axis`, whose elements become axis `to` of the result. */
tl_tensor tl_windows_to(tl_place at, tl_tensor x, int axis, int64_t to, int64_t size, const tl_window_opts *o);

/* x [..., C] -> [..., K, C]: windows along the grid's axes, K elements in each, row by row. */
tl_tensor tl_patches(tl_place at, tl_tensor x, const tl_grid *g);

#endif
