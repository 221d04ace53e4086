/* train/record.c - a model function, recorded to be looked at or to have its parameters made. */
#include "train/record.h"

#include <stdio.h>
#include <string.h>

static tl_array widened(tl_array a, int more)
{
    const int axis = a.batch_axis ? (int)tl_whole(a.batch_axis, 0) : a.rank > 1;
    if (more) a.data = NULL; /* there are none for so many rows */
    if (more && axis < a.rank) a.dim[axis] += more;
    return a;
}

tl_status tl_record_function(tl_model *model, tl_model_fn fn, void *user, const tl_array *inputs, int n, int more,
                             bool training, tl_tape **out)
{
    tl_tape *tape = *out = tl_tape_new(model, .training = training);
    if (!tape) return TL_E_MEMORY;
    const size_t bytes = (size_t)(n + TL_SPARE_INPUTS) * sizeof(tl_tensor);
    tl_tensor *in = tl_resize(NULL, 0, bytes);
    if (!in) return tl_report(TL_E_MEMORY, "out of memory for %d inputs", n);
    memset(in, 0, bytes);
    for (int i = 0; i < n; i++) {
        char name[24];
        snprintf(name, sizeof name, "in[%d]", i);
        if (inputs[i].rank >= 0) in[i] = tl_input(tl_root(tape), name, widened(inputs[i], more));
    }
    tl_total_loss(tl_root(tape), fn(tl_root(tape), in, user));
    tl_resize(in, bytes, 0);
    return tl_failed(tape) ? tl_tape_status(tape) : TL_OK;
}
