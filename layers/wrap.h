/* layers/wrap.h - what cells around a cell share. Private to layers/. */
#ifndef TL_LAYERS_WRAP_H
#define TL_LAYERS_WRAP_H

#include "layers/common.h"

/* The ctx of every such cell begins with the cell inside, whose parameters keep their paths. */
typedef struct tl__wrapped {
    tl_cell inner;
} tl__wrapped;

/* .start of a cell around a cell: as the inner one does. */
void tl__start_inner(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx);

/* The cell around ctx->inner with the same states; ctx (of n bytes, a tl__wrapped first) is copied. */
tl_cell tl__wrap(tl_scope *s, tl_tensor (*step)(tl_scope *, tl_tensor, tl_tensor *, const void *), const void *ctx,
                 size_t n);

static inline int tl__states(tl_cell cell) { return cell.states > 0 ? cell.states : 1; }

/* Puts z in the place of state[k], and in the place of y if the cell put that state out. */
static inline tl_tensor tl__replace_state(tl_tensor y, tl_tensor *state, int k, tl_tensor z)
{
    const bool out = tl_is(y, state[k]);
    state[k] = z;
    return out ? z : y;
}

#endif
