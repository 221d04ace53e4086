/* tests/conformance_cells.h - the cells of PyTorch and Keras: which of ours they are, and where their parameters lie. */
#ifndef TESTS_CONFORMANCE_CELLS_H
#define TESTS_CONFORMANCE_CELLS_H

#include "conformance.h"

/* How a vendor keeps the parameters W, U, b, br of all gates of a layer: in one tensor each, whose name a layer's prefix or
 * suffix completes, the gates side by side along an axis. */
typedef struct vendor {
    const char *W, *U, *b, *br, *projection; /* br NULL: the second row of b, if that has two */
    int axis;
    bool transposed; /* [units, inputs] */
} vendor;

/* A parameter that is named by itself: part k of n of the columns of `theirs`. */
typedef struct pair {
    const char *theirs, *ours;
    int k, n;
} pair;

/* A vendor's cell: which of ours it is, with the options of the case, and where its parameters lie: by layout and gates (our names
 * in the vendor's order; "" for a cell without), or by pairs that a row of zeros ends. */
typedef struct vendor_cell {
    tl_cell (*make)(replay *r);
    int states;
    const vendor *layout;
    const char *gates[5];
    const pair *pairs;
} vendor_cell;

extern const vendor_cell torch_tanh, torch_relu, torch_lstm, torch_gru, keras_simple_rnn, keras_lstm, keras_gru;

/* Sets the parameters of the cell in our scope `path` ("" or ending in '/') from those that `affix` names; returns how many
 * units it has (0 if that is for the initial states to say). */
int64_t cell_params(replay *r, const vendor_cell *cell, const char *path, const char *affix);

/* PyTorch's recurrent modules, and what has the same inputs and results (conformance_torch.c). */
void recurrent_module(replay *r);

#endif
