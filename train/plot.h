/* train/plot.h - what the files of plots share. Private to train/. */
#ifndef TL_TRAIN_PLOT_H
#define TL_TRAIN_PLOT_H

#include "train/train.h"

enum { PLOT_TICKS = 16, PLOT_LABEL = 24 };

/* An axis: what it reaches from and to, and where numbers stand along it. */
typedef struct plot_axis {
    double low, high;
    bool log;
    int ticks;
    double tick[PLOT_TICKS]; /* as positions, 0 at low and 1 at high */
    char label[PLOT_TICKS][PLOT_LABEL];
} plot_axis;

/* Both axes of a plot, with about so many ticks each. */
void plot_axes(const tl_plot *p, plot_axis *x, plot_axis *y, int x_ticks, int y_ticks);

/* Where point i of a series lies, 0 to 1 along each axis; false where there is a gap. */
bool plot_point(const tl_series *s, int64_t i, const plot_axis *x, const plot_axis *y, double *u, double *v);

tl_status plot_check(const tl_plot *plots, int n);

/* The next character of *s, which goes on behind it, as UTF-8 that any reader takes; returns how many bytes, 0 at the end. */
int plot_character(const char **s, char out[5]);
int plot_length(const char *s); /* in characters; 0 for NULL */

/* As snprintf, but with a decimal point in every locale. */
void plot_format(char *out, size_t size, const char *format, ...) TL_PRINTF(3, 4);

/* A text that grows. Once memory is short, nothing is added any more. */
typedef struct plot_text {
    tl_bytes bytes;
    bool failed;
} plot_text;

void plot_add(plot_text *t, const char *format, ...) TL_PRINTF(2, 3);

/* Colour and dashes of series k: for SVG, and of gnuplot's. */
typedef struct plot_style {
    const char *colour, *dashes, *dash_type;
} plot_style;
plot_style plot_style_of(int k);

/* plot_png.c */
tl_status plot_png(const tl_plot *plots, int n, const char *path);

#endif
