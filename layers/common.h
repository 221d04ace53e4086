/* layers/common.h - what layers share. Private to layers/; made of public calls. */
#ifndef TL_LAYERS_COMMON_H
#define TL_LAYERS_COMMON_H

#include "layers/layers.h"
#include "ops/ops.h"

/* The error handle of a call that has already failed. */
tl_tensor tl__failed(tl_place at, tl_scope *s);

/* The scope `name` inside s, where the operations that follow are recorded. */
tl_scope *tl__inside(tl_place at, tl_scope *s, const char *name);

/* Has everything on this scope's tape gone well so far? */
bool tl__well(const tl_scope *s);

/* The caller's options in a struct of today's size n: what his (perhaps older, shorter) struct lacks is zero. False
 * after recording the error of a struct without .size; NULL means all defaults. */
bool tl__options(tl_place at, tl_scope *s, const char *call, void *to, size_t n, const void *from);

/* Checks; each is false after recording an error that begins with the call and names the option or operand. */
bool tl__size(tl_place at, tl_scope *s, const char *call, const char *option, int64_t v); /* 1 and up */
bool tl__finite(tl_place at, tl_scope *s, const char *call, const char *option, double v);
bool tl__at_least_0(tl_place at, tl_scope *s, const char *call, const char *option, double v); /* and finite */
bool tl__rate(tl_place at, tl_scope *s, const char *call, const char *option, double v); /* 0 and up, less than 1 */
bool tl__operand(tl_place at, tl_scope *s, const char *call, const char *what, tl_tensor x, int min_rank);

static inline tl_init tl__init_or(tl_init given, tl_init otherwise) { return given.fill ? given : otherwise; }

/* What a cell's options o hand on to each of its gates; bias: where the gate's b starts, 0: as .bias_init says. */
static inline tl_init tl__init_unless(double bias, tl_init given) { return bias == 0 ? given : (tl_init){ 0 }; }
#define TL__GATE(o, b)                                                                                                 \
    .no_bias = (o)->no_bias, .bias = (b), .kernel_init = (o)->kernel_init, .recurrent_init = (o)->recurrent_init,      \
    .bias_init = tl__init_unless(b, (o)->bias_init)

/* The recipe for one of n matrices that count as one, side by side (see tl_gate_opts). */
tl_init tl__side_by_side(tl_init init, int n);

/* a where m is not zero, else b; m [rows...] lacks the last axes of a. */
tl_tensor tl__where_rows(tl_tensor m, tl_tensor a, tl_tensor b);

bool tl__same_shape(tl_tensor a, tl_tensor b);

/* y, carrying the mask that x carries. */
tl_tensor tl__hand_on(tl_tensor y, tl_tensor x);

/* [T, B] of the mask that x [T, B, ...] carries, 1 or 0; TL_NONE if it carries none. */
tl_tensor tl__mask_of(tl_tensor x);

/* [any..., D] -> [rows, D], and back under the leading axes of `like`. Products are taken of two-dimensional tensors,
 * so the gradient of their weights is one product over all rows as well. */
tl_tensor tl__rows(tl_tensor x);
tl_tensor tl__unrows(tl_tensor y, tl_tensor like);

/* Was it made, on a tape that has not been reset since? (Its options lie there.) False after recording an error. */
bool tl__memory_lives(tl_place at, tl_scope *s, const char *call, tl_memory memory);

/* The name of the layer that made it, under which those who attend have their parameters. */
const char *tl__memory_name(tl_memory memory);

/* "[32,64]" */
typedef struct tl__shape_text {
    char s[TL_MAX_RANK * 21 + 3];
} tl__shape_text;
tl__shape_text tl__print_shape(tl_tensor x);

#endif
