/* layers/layers.h - what networks are made of: initial values, cells, unrolling over time, dense, embedding, dropout,
 * losses. All of it is written with the public calls of graph/graph.h and ops/ops.h; nothing here is known to the
 * engine.
 *
 *     initial values                      tl_zeros ... tl_identity
 *     layers of a step or a sequence      tl_embedding, tl_dense, tl_dropout, tl_gate
 *     cells                               tl_cell, tl_call, tl_start; simple_rnn, lstm, gru, mgu, janet, ugrnn, indrnn,
 *                                         rhn, mi_rnn, jordan, esn
 *     unrolling over time                 tl_rnn; tl_simple_rnn, tl_lstm, tl_gru
 *     cells around cells                  residual, zoneout, dropout, learned_start, stack
 *     layers over sequences               tl_bidirectional, tl_time_distributed
 *     attention                           tl_attention, tl_multi_head_attention; memories, tl_attend, tl_attention_cell
 *     convolution                         tl_convolution1d, tl_convolution2d
 *     normalisation                       tl_batch_norm, tl_layer_normalization
 *     losses, penalties                   tl_cross_entropy, tl_mse ..., tl_ctc_loss; tl_l1, tl_l2, tl_penalty
 *
 * How to write cells and run them: docs/cells.md.
 *
 * A layer is a function of a scope and tensors. Its parameters are made on first use and named by path:
 *
 *     tl_tensor x = tl_embedding(s, ids, .vocab = 96, .units = 64);              embedding/W
 *     tl_tensor h = tl_lstm(s, x, .units = 256, .return_sequences = true);       lstm/i/W, lstm/i/U, lstm/i/b, ...
 *     tl_tensor z = tl_dense(s, h, .units = 96);                                 dense/W, dense/b
 *
 * Padding: recurrent layers, attention and losses never look at what a mask leaves out, not even at a NaN. Others compute
 * on it and hand the mask on: a NaN in the padding of tl_dense's x reaches the gradient of its W.
 *
 * A second layer of the same name in one scope is an error (TL_E_NAME): give it a .name, or use tl_again() or
 * tl_step() where sharing is meant.
 *
 * Sequences are time-major: [T, B, features]; ids are i32 [T, B]. Letters: T time steps, B batch rows, D features, H
 * units, V vocabulary; x input, h state, c inner state, y output; W input weights [D, H], U recurrent weights [H, H],
 * b bias [H].
 *
 * Options: zero means the default; TL_ZERO says the number zero where zero is not the default. An option that makes no
 * sense (a negative size, a rate that is not a number) is TL_E_ARGUMENT naming it. Errors of operands are those of
 * ops/ops.h; TL_E_ABSENT where an operand that is needed is TL_NONE. On an error the result, and every tensor written
 * through a pointer, is an error handle. The functions ending in _opt are for C++ and for options that are made at run
 * time; their structs begin with their own size.
 */
#ifndef TL_LAYERS_H
#define TL_LAYERS_H

#include "../graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A function of one tensor: tl_relu, tl_tanh, tl_softmax, or your own. */
typedef tl_tensor (*tl_activation)(tl_tensor x);

/* ---- initial values ----------------------------------------------------------------------------------------- */

/* Recipes for tl_param()'s .init and for the options below. Fans are Keras': of a matrix [in, out] rows and columns;
 * of a vector its size, twice; of a higher rank the last two dimensions, each times the product of the others. */

TL_API tl_init tl_zeros(void);
TL_API tl_init tl_ones(void);
TL_API tl_init tl_constant(double value);
TL_API tl_init tl_uniform(double lo, double hi);      /* lo <= w < hi */
TL_API tl_init tl_normal(double mean, double stddev); /* a negative deviation is TL_E_NONFINITE, as below */

TL_API tl_init tl_truncated_normal(double mean, double stddev); /* drawn again where beyond two deviations */
/* These numbers, row by row: as many as the parameter has, alive until tl_compile(). NULL is as NaNs. */
TL_API tl_init tl_values(const double *values);

/* Of mean 0 and variance scale / n, where n is the fan that is named; the truncated normal is widened so that its
 * variance is this too, as in Keras. A negative scale is TL_E_NONFINITE when the tape is compiled. */
typedef enum tl_fan { TL_FAN_IN, TL_FAN_OUT, TL_FAN_AVERAGE } tl_fan;
typedef enum tl_distribution { TL_TRUNCATED_NORMAL, TL_UNTRUNCATED_NORMAL, TL_UNIFORM } tl_distribution;
TL_API tl_init tl_variance_scaling(double scale, tl_fan fan, tl_distribution distribution);

TL_API tl_init tl_glorot_uniform(void); /* scale 1, average: in +-sqrt(6 / (in + out)). Glorot & Bengio 2010 */
TL_API tl_init tl_glorot_normal(void);  /* truncated */
TL_API tl_init tl_he_uniform(void);     /* scale 2, in: in +-sqrt(6 / in), for relu. He et al. 2015 */
TL_API tl_init tl_he_normal(void);
TL_API tl_init tl_lecun_uniform(void); /* scale 1, in: in +-sqrt(3 / in), for selu. LeCun et al. 1998 */
TL_API tl_init tl_lecun_normal(void);

/* gain Q, Q a random matrix (uniform over all of them) with orthonormal rows where it is wide, columns where it is
 * tall, both where it is square. The last dimension counts the columns, the others together the rows; a vector is one
 * row. Saxe et al. 2014. */
TL_API tl_init tl_orthogonal(double gain);

/* gain on the diagonal of the last two dimensions, zeros elsewhere (a vector or scalar: gain at its first element). */
TL_API tl_init tl_identity(double gain);

/* ---- layers of a step or of a whole sequence ---------------------------------------------------------------- */

/* Rows of a table W [vocab, units] by id: i32 [any...] -> [any..., units]. An id outside 0..vocab-1 is TL_E_INDEX at
 * run time. .vocab and .units are required. Ready-made rows: .init = tl_values(matrix). */
typedef struct tl_embedding_opts {
    size_t size;
    int64_t vocab;              /* number of ids, required */
    int64_t units;              /* size of a row, required */
    const char *name;           /* default "embedding" */
    tl_init init;               /* default: uniform in [-0.05, 0.05), as in Keras */
    int64_t padding_id;         /* this id's row starts as zeros and gets no gradient here (PyTorch's padding_idx);
                                   default: none; TL_ZERO: id 0 */
    bool mask_zero;             /* ids [T, B]: the result carries them as its mask, id 0 being padding (Keras) */
    bool frozen;                /* W is made frozen */
    const int32_t *frozen_rows; /* ids of rows that get no gradient here: n_frozen_rows of them */
    int64_t n_frozen_rows;
    tl_tensor *table; /* receives W, for use elsewhere: tl_dense(s, h, .tied = W), another tl_gather(W, ids) */
} tl_embedding_opts;
TL_API tl_tensor tl_embedding_opt(tl_place at, tl_scope *s, tl_tensor ids, const tl_embedding_opts *o);

/* y = activation(x W + b) over the last axis, for any rank: [any..., D] -> [any..., units]. .units is required. Hands
 * on the mask that x carries. */
typedef struct tl_dense_opts {
    size_t size;
    int64_t units;            /* required (but with .tied) */
    const char *name;         /* default "dense" */
    bool no_bias;             /* there is no b */
    tl_activation activation; /* default: none */
    tl_init kernel_init;      /* of W [D, units]; default tl_glorot_uniform() */
    tl_init bias_init;        /* of b [units]; default zeros */
    tl_tensor tied;           /* [units, D], used as W transposed: there is no W. Press & Wolf 2017 */
} tl_dense_opts;
TL_API tl_tensor tl_dense_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_dense_opts *o);

/* While training (tl_training(s)): y = x m / (1 - rate), every element of m being 1 with probability 1 - rate, else 0;
 * each call and each run draws its own m. Otherwise y is x itself. Hands on the mask that x carries. Srivastava et al.
 * 2014, with inverted scaling. */
typedef struct tl_dropout_opts {
    size_t size;
    double rate;      /* 0 <= rate < 1; default 0: y is x */
    const char *name; /* a scope for the mask's random numbers; default: s itself */
    unsigned shared;  /* bit k set: one mask for all of axis k; 1 of [T, B, D]: the same at every time step */
} tl_dropout_opts;
TL_API tl_tensor tl_dropout_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_dropout_opts *o);

/* y = x W + h U + b, the sum that every gate of a recurrent cell starts with: [B, D], [B, H] -> [B, units], with
 * parameters name/W [D, units], name/U [H, units], name/b [units]; name NULL: W, U, b of s itself. Either of x and h
 * may be absent (TL_NONE), and then its matrix does not exist. Higher ranks [any..., D], [any..., H] act on the last
 * axis. The sum is one chain in this order: b, then x W, then h U. */
typedef struct tl_gate_opts {
    size_t size;
    int64_t units;          /* default: h's last dimension */
    double bias;            /* b starts as this constant (default 0) */
    bool no_bias;           /* there is no b */
    bool recurrent_bias;    /* a second bias name/br [units], as in PyTorch and Keras' GRU; b + br come first */
    int gates;              /* default 1; n: one of n gates whose matrices stand side by side in one, as in Keras:
                                  Glorot counts the columns of all, and all U together are orthogonal, sum U U^T = I */
    tl_init kernel_init;    /* of W; default tl_glorot_uniform() */
    tl_init recurrent_init; /* of U; default tl_orthogonal(1) */
    tl_init bias_init;      /* of b (in place of .bias) and br; default zeros */
    bool frozen;            /* the parameters are made frozen (tl_param) */
} tl_gate_opts;
TL_API tl_tensor tl_gate_opt(tl_place at, tl_scope *s, const char *name, tl_tensor x, tl_tensor h,
                             const tl_gate_opts *o);

/* ---- cells -------------------------------------------------------------------------------------------------- */

/* A recurrent cell by value: the math of one step.
 *
 *     static tl_tensor mgu_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
 *     {
 *         tl_tensor f = tl_sigmoid(tl_gate(s, "f", x, *h, .bias = 1));
 *         tl_tensor c = tl_tanh(tl_gate(s, "c", x, tl_mul(f, *h)));
 *         return *h = tl_lerp(*h, c, f);
 *     }
 *     static const tl_cell mgu = { .step = mgu_step };
 *
 * step gets one step's input and the states, replaces the states and returns the output; axis 0 of each is the batch
 * row, the rest is the cell's own affair. ctx must live as long as the tape: tl_scope_copy() makes it so. A cell
 * around a cell:
 *
 *     static tl_tensor residual_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *inner)
 *     {
 *         return tl_add(x, tl_call(s, *(const tl_cell *)inner, x, state));
 *     }
 *     tl_cell outer = { residual_step, inner.states, NULL, tl_scope_copy(s, &inner, sizeof inner) };
 *
 * where a start that calls tl_start() for the inner cell takes NULL's place if the inner cell has its own. */
typedef struct tl_cell {
    tl_tensor (*step)(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx);
    int states; /* how many; 0 means 1 */
    /* Records the initial states, and so gives their shapes and values and whether they are learned: s is the layer's
     * scope, x the first step's input. NULL: zeros [B, units]. */
    void (*start)(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx);
    const void *ctx; /* handed to both */
} tl_cell;

/* One step of a cell in scope s: state[0 .. states-1] are replaced, the output is returned. Nothing is run once the
 * tape has failed: then output and states are error handles (so a ctx that could not be copied is never looked at). */
TL_PLACED(tl_tensor, tl_call, tl_scope *s, tl_cell cell, tl_tensor x, tl_tensor *state);
#define tl_call(...) tl_call_at(TL_HERE, __VA_ARGS__)

/* Writes the initial states of a cell whose first input is x [B, ...]: what cell.start records, or zeros [B, units]. */
TL_API void tl_start_at(tl_place at, tl_scope *s, tl_cell cell, tl_tensor x, int64_t units, tl_tensor *state);
TL_API void tl_start(tl_scope *s, tl_cell cell, tl_tensor x, int64_t units, tl_tensor *state);
#define tl_start(...) tl_start_at(TL_HERE, __VA_ARGS__)

/* Elman 1990:  h' = tanh(x W + h U + b).  Parameters W, U, b (and br). One state. */
typedef struct tl_simple_rnn_cell_opts {
    size_t size;
    tl_activation activation; /* default tl_tanh */
    bool no_bias;
    bool recurrent_bias; /* see tl_gate_opts */
    tl_init kernel_init, recurrent_init, bias_init;
} tl_simple_rnn_cell_opts;
TL_API tl_cell tl_simple_rnn_cell_opt(tl_place at, tl_scope *s, const tl_simple_rnn_cell_opts *o);

/* Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000, as in Keras:
 *     i = σ(x Wi + h Ui + bi)      f = σ(x Wf + h Uf + bf)      g = tanh(x Wc + h Uc + bc)      o = σ(x Wo + h Uo + bo)
 *     c' = f c + i g               h' = o tanh(c')
 * Gates "i", "f", "c", "o" (.gates = 4); states h, c; the output is h'. What may be changed, in any combination:
 *   .peephole    Gers et al. 2002: the gates see the cell, one weight a unit ("i/p", "f/p", "o/p" [units]):
 *                i = σ(... + pi c)      f = σ(... + pf c)      o = σ(... + po c')
 *   .coupled     Greff et al. 2015 (CIFG): i = 1 - f, and there is no gate "i" (.gates = 3)
 *   .projection  Sak et al. 2014 (PyTorch: proj_size): h' = (o tanh(c')) V, V "proj/W" [units, projection]; the state h
 *                and the output are [B, projection], c stays [B, units]
 *   .layer_norm  Ba et al. 2016: each gate's sum is gx N(x W) + gh N(h U) + b, where N brings the products of all
 *                gates, side by side as one row, to mean 0 and variance 1 (its gains a gate's "gx" and "gh" [units],
 *                ones at first; its shifts b and, with .recurrent_bias, br); h' = o tanh(gain N(c') + shift)
 *                ("norm/g", "norm/b"). A row of exact zeros (an input of zeros; with zero biases then h and c too) lies
 *                where N has the slope 1 / sqrt(epsilon), and gradients grow by that at each step: they explode. Embed,
 *                one-hot or shift such inputs, or take a larger .epsilon */
typedef struct tl_lstm_cell_opts {
    size_t size;
    tl_activation activation;           /* default tl_tanh */
    tl_activation recurrent_activation; /* σ; default tl_sigmoid */
    double bias_forget;                 /* bf starts as this (default 1, Jozefowicz 2015); TL_ZERO: as the others */
    bool no_bias;
    bool recurrent_bias; /* see tl_gate_opts */
    tl_init kernel_init, recurrent_init, bias_init;
    bool peephole, coupled, layer_norm;
    int64_t projection;    /* columns of h; default: as many as c's, and no V (V is drawn by .kernel_init) */
    tl_init peephole_init; /* of p; default zeros */
    double epsilon;        /* of .layer_norm (default 1e-5): N(a) = (a - mean) / sqrt(variance + epsilon) */
} tl_lstm_cell_opts;
TL_API tl_cell tl_lstm_cell_opt(tl_place at, tl_scope *s, const tl_lstm_cell_opts *o);

/* Cho et al. 2014, reset after the product as in Keras, cuDNN and PyTorch (where 1 - z is called z in the paper):
 *     z = σ(x Wz + h Uz + bz + brz)      r = σ(x Wr + h Ur + br + brr)
 *     g = tanh(x Wh + bh + r (h Uh + brh))          .reset_before:  g = tanh(x Wh + (r h) Uh + bh), and there are no br
 *     h' = z h + (1 - z) g
 * Gates "z", "r", "h" (.gates = 3); one state. */
typedef struct tl_gru_cell_opts {
    size_t size;
    tl_activation activation;           /* default tl_tanh */
    tl_activation recurrent_activation; /* σ; default tl_sigmoid */
    bool reset_before;                  /* Keras: reset_after=False; ONNX: linear_before_reset=0 */
    bool no_bias;
    tl_init kernel_init, recurrent_init, bias_init;
} tl_gru_cell_opts;
TL_API tl_cell tl_gru_cell_opt(tl_place at, tl_scope *s, const tl_gru_cell_opts *o);

/* The minimal gated unit, Zhou et al. 2016:
 *     f = σ(x Wf + h Uf + bf)      c = tanh(x Wc + (f h) Uc + bc)      h' = (1 - f) h + f c
 * Gates "f" (bias starts at 1), "c"; one state. */
TL_API tl_cell tl_mgu_cell(void);

/* JANET, van der Westhuizen & Lasenby 2018, an LSTM with its forget gate alone:
 *     f = σ(x Wf + h Uf + bf)      c = tanh(x Wc + h Uc + bc)      h' = f h + (1 - f) c
 * (the paper's cell state and output are the same number). Gates "f", "c" (.gates = 2); one state. */
typedef struct tl_janet_cell_opts {
    size_t size;
    tl_activation activation; /* default tl_tanh */
    double bias_forget;       /* bf starts as this (default 1); TL_ZERO: as the other */
    bool no_bias;
    tl_init kernel_init, recurrent_init, bias_init;
} tl_janet_cell_opts;
TL_API tl_cell tl_janet_cell_opt(tl_place at, tl_scope *s, const tl_janet_cell_opts *o);

/* UGRNN, Collins et al. 2017, one update gate:
 *     z = σ(x Wz + h Uz + bz)      c = tanh(x Wc + h Uc + bc)      h' = z h + (1 - z) c
 * Gates "z", "c" (.gates = 2); one state. */
typedef struct tl_ugrnn_cell_opts {
    size_t size;
    tl_activation activation; /* default tl_tanh */
    double bias_update;       /* bz starts as this (default 1: the state is kept); TL_ZERO: as the other */
    bool no_bias;
    tl_init kernel_init, recurrent_init, bias_init;
} tl_ugrnn_cell_opts;
TL_API tl_cell tl_ugrnn_cell_opt(tl_place at, tl_scope *s, const tl_ugrnn_cell_opts *o);

/* IndRNN, Li et al. 2018, every unit sees only itself:  h' = relu(x W + u h + b).  Parameters W, u [units], b; one
 * state. */
typedef struct tl_indrnn_cell_opts {
    size_t size;
    tl_activation activation; /* default tl_relu */
    bool no_bias;
    tl_init kernel_init;
    tl_init recurrent_init; /* of u; default uniform in [0, 1) */
    tl_init bias_init;
} tl_indrnn_cell_opts;
TL_API tl_cell tl_indrnn_cell_opt(tl_place at, tl_scope *s, const tl_indrnn_cell_opts *o);

/* Recurrent highway network, Zilly et al. 2017, with coupled gates: .depth highway layers within one step,
 *     c = tanh(x Wc + h Uc + bc)      t = σ(x Wt + h Ut + bt)      h <- t c + (1 - t) h
 * of which only the first sees x. Layer l has the gates "l/c" and "l/t" (.gates = 2), l from 0: "0/c/W", "1/t/U", ...;
 * one state. */
typedef struct tl_rhn_cell_opts {
    size_t size;
    tl_activation activation; /* default tl_tanh */
    int depth;                /* default 1 */
    double bias_transform;    /* bt starts as this (default -2: the state is kept); TL_ZERO: as the other */
    bool no_bias;
    tl_init kernel_init, recurrent_init, bias_init;
} tl_rhn_cell_opts;
TL_API tl_cell tl_rhn_cell_opt(tl_place at, tl_scope *s, const tl_rhn_cell_opts *o);

/* Multiplicative integration, Wu et al. 2016:  h' = tanh(alpha (x W)(h U) + beta_x (x W) + beta_h (h U) + b), element
 * by element.  Parameters W, U, alpha, beta_x, beta_h, b, all but the matrices [units]. One state. */
typedef struct tl_mi_rnn_cell_opts {
    size_t size;
    tl_activation activation; /* default tl_tanh */
    bool no_bias;
    tl_init kernel_init, recurrent_init, bias_init;
    tl_init alpha_init; /* default ones */
    tl_init beta_init;  /* of beta_x and beta_h; default 0.5 */
} tl_mi_rnn_cell_opts;
TL_API tl_cell tl_mi_rnn_cell_opt(tl_place at, tl_scope *s, const tl_mi_rnn_cell_opts *o);

/* Jordan 1986, the output is what comes back:  h = tanh(x Wh + y Uh + bh)      y' = tanh(h Wy + by)
 * Parameters h/W [D, hidden], h/U [units, hidden], h/b; y/W [hidden, units], y/b. One state, y; units are those of
 * y. */
typedef struct tl_jordan_cell_opts {
    size_t size;
    int64_t hidden;                  /* size of h; default: as y's */
    tl_activation activation;        /* of h; default tl_tanh */
    tl_activation output_activation; /* of y; default tl_tanh */
    bool no_bias;
    tl_init kernel_init, recurrent_init, bias_init;
} tl_jordan_cell_opts;
TL_API tl_cell tl_jordan_cell_opt(tl_place at, tl_scope *s, const tl_jordan_cell_opts *o);

/* Leaky echo state network, Jaeger et al. 2007:  h' = (1 - a) h + a tanh(x W + h U + b).  Parameters W, U, b, made
 * frozen: a reservoir that is not trained, only what reads it is. One state. */
typedef struct tl_esn_cell_opts {
    size_t size;
    tl_activation activation; /* default tl_tanh */
    double leak;              /* a, above 0 and at most 1 (the default) */
    double spectral_radius;   /* r: U is a random orthogonal matrix times r; all its eigenvalues are of size r (0.9) */
    bool trainable;           /* the parameters are not frozen */
    bool no_bias;
    tl_init kernel_init;    /* of W; default uniform in [-1, 1) */
    tl_init recurrent_init; /* of U, in place of .spectral_radius */
    tl_init bias_init;
} tl_esn_cell_opts;
TL_API tl_cell tl_esn_cell_opt(tl_place at, tl_scope *s, const tl_esn_cell_opts *o);

/* ---- unrolling over time ------------------------------------------------------------------------------------ */

/* Runs a cell over x [T, B, D] (or any [T, B, ...] that the cell takes): exactly the loop
 *
 *     tl_scope *r = tl_in(s, "rnn");
 *     tl_start(r, cell, tl_at(x, 0), units, state);
 *     for (int64_t t = 0; t < T; t++) y = tl_call(tl_step(r, t), cell, tl_at(x, t), state);
 *
 * and returns the last y [B, ...], or all of them [T, B, ...]. TL_E_SHAPE if x has no time steps or less than two
 * axes.
 *
 * Padding. With .mask [T, B] (0 = padding), .lengths i32 [B] (row b counts for its first lengths[b] steps; 0 to T, else
 * TL_E_INDEX at run time) or a mask that x carries (tl_masked), a padded step of a row leaves all its states as they
 * are and repeats the row's previous output (zeros before the first), as in Keras on TensorFlow; with .zero_output it
 * puts out zeros, as PyTorch's packed sequences do. The last output is then that of each row's last real step (with
 * .zero_output, zeros where the last step is padding, as in Keras). The numbers in the padding are never looked at: not
 * even a NaN there reaches a result or a gradient, and appending padding changes no bit. What a step emits is zero in
 * the rows that are padding (tl_step_mask). Rows need not be sorted. All outputs together carry the mask on to the next
 * layer. Under a mask states keep their shape, and outputs are [B, ...] (TL_E_SHAPE). */
typedef struct tl_rnn_opts {
    size_t size;
    int64_t units;         /* of the zero states of a cell without .start (default: as the first given .initial) */
    const char *name;      /* default "rnn" */
    bool return_sequences; /* all outputs, in the order they are made */
    bool go_backwards;     /* from t = T-1 down to 0; step t keeps its number, outputs come as they are made. With
                                  lengths, from each row's own last step, steps numbered as they are made */
    bool keep_order;       /* with .go_backwards: outputs in the input's order */
    bool zero_output;      /* outputs of padded steps are 0; Keras' zero_output_for_mask */
    int64_t
        truncate; /* k: truncated BPTT, no gradient flows through the states back from the step made as number n k (from 0) */
    bool stateful;            /* states go on from run to run (tl_state "state0", "state1", ... of the layer's scope),
                                  without gradient; .initial or start gives those of new and reset rows */
    const tl_tensor *initial; /* initial states, one for each of the cell's; TL_NONE among them: the cell's own */
    tl_tensor *final;         /* receives the states after the last step, one for each of the cell's */
    tl_tensor *each;          /* receives every step's output, ordered as all are: tl_dim(x, 0) of them */
    tl_tensor reset;          /* [T, B], any dtype: where not zero, the row starts afresh before step t */
    tl_tensor mask;           /* [T, B], any dtype: 0 where a step is padding */
    tl_tensor lengths;        /* i32 [B]: how many steps of each row are real */
} tl_rnn_opts;
TL_API tl_tensor tl_rnn_opt(tl_place at, tl_scope *s, tl_tensor x, tl_cell cell, const tl_rnn_opts *o);

/* tl_rnn over the cells above with their default options; the default names are "simple_rnn", "lstm" and "gru". For a
 * cell's own options write tl_rnn(s, x, tl_lstm_cell(s, .no_bias = true), .units = 256, .name = "lstm"). */
TL_API tl_tensor tl_simple_rnn_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_rnn_opts *o);
TL_API tl_tensor tl_lstm_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_rnn_opts *o);
TL_API tl_tensor tl_gru_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_rnn_opts *o);

/* ---- cells around cells ------------------------------------------------------------------------------------- */

/* Each of these is a cell again, so they nest in any order, and none knows what it is around. They add nothing to the
 * paths of the inner cell's parameters, and copy what they are given. Where the inner cell puts out one of its states
 * (as most do), what happens to the state happens to the output. */

/* y = x + cell(x): the output must be as wide as the input (TL_E_SHAPE). He et al. 2016. */
TL_API tl_cell tl_residual_cell(tl_scope *s, tl_cell cell);

/* Zoneout, Krueger et al. 2017: while training, each number of a state keeps its old value with probability rate (fresh
 * each step); otherwise the state is rate old + (1 - rate) new. */
typedef struct tl_zoneout_cell_opts {
    size_t size;
    double rate;         /* 0 <= rate < 1, of all states */
    const double *rates; /* one for each of the cell's states, in place of .rate: the paper's LSTM has h .05, c .5 */
} tl_zoneout_cell_opts;
TL_API tl_cell tl_zoneout_cell_opt(tl_place at, tl_scope *s, tl_cell cell, const tl_zoneout_cell_opts *o);

/* Dropout (see tl_dropout) around a cell: of its input, of its output, and of state 0 (an LSTM's h; its c is left
 * alone) as the cell sees it. Masks are fresh at each step, or with .variational the same at all steps of a sequence
 * (Gal & Ghahramani 2016; Keras' dropout and recurrent_dropout, but for its masks of each gate's own). */
typedef struct tl_dropout_cell_opts {
    size_t size;
    double input, output, state; /* rates, 0 <= rate < 1 */
    bool variational;
} tl_dropout_cell_opts;
TL_API tl_cell tl_dropout_cell_opt(tl_place at, tl_scope *s, tl_cell cell, const tl_dropout_cell_opts *o);

/* Learned initial states: parameters "initial0", "initial1", ... [1, ...] of the layer's scope, one for each state and
 * zero at first, are added to every row of the states that the cell starts from. */
TL_API tl_cell tl_learned_start_cell(tl_scope *s, tl_cell cell);

/* n cells, the first at the bottom; each one's output is the next one's input. Parameters of cell i are under "i/"; the
 * states are those of cell 0, then of cell 1, and so on; the output is the last cell's. The same numbers as n calls of
 * tl_rnn with .return_sequences, step by step instead of layer by layer (Keras' StackedRNNCells). */
typedef struct tl_stack_cell_opts {
    size_t size;
    const int64_t *units; /* one for each cell; default: the layer's, for all */
} tl_stack_cell_opts;
TL_API tl_cell tl_stack_cell_opt(tl_place at, tl_scope *s, int n, const tl_cell *cells, const tl_stack_cell_opts *o);

/* ---- layers over sequences ---------------------------------------------------------------------------------- */

typedef enum tl_merge {
    TL_MERGE_CONCAT = 1, /* along the last axis */
    TL_MERGE_SUM,
    TL_MERGE_AVERAGE,
    TL_MERGE_MULTIPLY,
    TL_MERGE_NONE /* the result is the forward output; both are in .outputs */
} tl_merge;

/* A cell forwards and a cell backwards over x [T, B, ...], their outputs put together: [T, B, ...] in the order of x
 * with .return_sequences, else [B, ...] of each direction's last step (for the backward one that is x's first).
 * Schuster & Paliwal 1997. Padding as in tl_rnn; with .return_sequences both directions put out zeros there, as in
 * Keras and PyTorch. Parameters are under forward/ and backward/. */
typedef struct tl_bidirectional_opts {
    size_t size;
    int64_t units;
    const char *name; /* default "bidirectional" */
    tl_merge merge;   /* default TL_MERGE_CONCAT */
    bool return_sequences;
    bool zero_output, stateful; /* this and the rest as in tl_rnn, for both directions */
    int64_t truncate;
    const tl_cell
        *backward; /* another cell for the way back, with as many states; default: the same, with its own parameters */
    const tl_tensor *initial; /* the forward cell's states, then the backward cell's */
    tl_tensor *final;         /* likewise */
    tl_tensor *outputs;       /* receives both outputs before they are merged: forward, backward */
    tl_tensor reset, mask, lengths;
} tl_bidirectional_opts;
TL_API tl_tensor tl_bidirectional_opt(tl_place at, tl_scope *s, tl_tensor x, tl_cell cell,
                                      const tl_bidirectional_opts *o);

/* The same layer at every step of x [T, ...]: layer(s, x_t, ctx) -> y_t, stacked to [T, ...]. Hands on the mask that x
 * carries. (tl_dense and most others act on any rank, and need this not.) */
typedef tl_tensor (*tl_layer_fn)(tl_scope *s, tl_tensor x, const void *ctx);
typedef struct tl_time_distributed_opts {
    size_t size;
    const char *name; /* default "time_distributed" */
} tl_time_distributed_opts;
TL_API tl_tensor tl_time_distributed_opt(tl_place at, tl_scope *s, tl_tensor x, tl_layer_fn layer, const void *ctx,
                                         const tl_time_distributed_opts *o);

/* ---- attention ---------------------------------------------------------------------------------------------- */

/* Queries look values up by their keys: each result is sum_s w_s value_s, w = softmax over s of score(query, key_s).
 * Queries are [T, B, D] (result [T, B, V]), or one, [B, D] (result [B, V]): a decoder's step; values are [S, B, V],
 * keys [S, B, E]. A query for which every key is masked gets zeros. The result carries the mask of the queries. What is
 * masked is never looked at: not even a NaN in a masked key or value reaches a result or a gradient, nor one in a masked
 * query, unless .weights are asked for, which have rows for masked queries too, as in Keras. How well
 * query q fits key k: */
typedef enum tl_score {
    TL_SCORE_DOT,        /* q k; D = E. Luong et al. 2015; Keras' Attention */
    TL_SCORE_SCALED_DOT, /* q k / sqrt(E). Vaswani et al. 2017 */
    TL_SCORE_GENERAL,    /* q W k, W [D, E] is query/W. Luong et al. 2015 */
    TL_SCORE_ADDITIVE,   /* v tanh(q Wq + k Wk + b): query/W, key/W, key/b, v. Bahdanau et al. 2015 */
    TL_SCORE_TANH,       /* a tanh(q + k), a [E] is scale: the same without projections, Keras' AdditiveAttention */
    TL_SCORE_CONCAT      /* v sum tanh(a (q + k)), v and a numbers: Keras' Attention(score_mode="concat") */
} tl_score;

typedef struct tl_attention_opts {
    size_t size;
    tl_score score;        /* default TL_SCORE_DOT */
    tl_tensor key;         /* [S, B, E]; default: value */
    int64_t units;         /* additive: of the projections; default E */
    tl_tensor key_mask;    /* [S, B], any dtype: keys to leave out are 0; default: the mask that value carries */
    tl_tensor key_lengths; /* i32 [B], in its place: the first so many keys of a row count */
    tl_tensor query_mask;  /* [T, B] (or [B]): where 0, the result is 0; default: the mask that query carries */
    bool causal;           /* query t sees keys 0..t only */
    bool learned_scale;    /* dot, scaled dot, general: the score is multiplied by a number, scale, which starts as 1;
                              concat: there is a */
    bool no_scale;         /* tanh: there is no scale, the score is the sum */
    bool no_bias;          /* additive: there is no key/b */
    double dropout;        /* of the weights while training (they are not made to sum to 1 again), as in Keras */
    tl_tensor *weights;    /* receives w: [T, B, S] (or [B, S]), before dropout */
    const char *name;      /* default "attention" */
    tl_init kernel_init;   /* of W, v and tanh's scale; default tl_glorot_uniform() */
} tl_attention_opts;
TL_API tl_tensor tl_attention_opt(tl_place at, tl_scope *s, tl_tensor query, tl_tensor value,
                                  const tl_attention_opts *o);

/* Several attentions side by side, Vaswani et al. 2017: query, key and value are projected (query/W, query/b, key/W,
 * ...) to heads times key_units (values: value_units) units, each head attends with scaled dot products for itself, and
 * the results, joined, are projected once more (output/W, output/b). value may be absent: the query attends to itself.
 * Where all keys are masked, the heads find zeros and the result is output/b. */
typedef struct tl_multi_head_opts {
    size_t size;
    int64_t heads;         /* default 1 */
    int64_t key_units;     /* of each head; default: units of the query / heads */
    int64_t value_units;   /* of each head; default key_units */
    int64_t units;         /* of the result; default: those of the query */
    tl_tensor key;         /* [S, B, E]; default: value */
    tl_tensor key_mask;    /* these as in tl_attention_opts: */
    tl_tensor key_lengths; /* */
    tl_tensor query_mask;  /* */
    bool causal;           /* */
    bool no_bias;          /* there are no biases */
    double dropout;        /* */
    tl_tensor *weights;    /* receives [T, B, heads, S] (or [B, heads, S]) */
    const char *name;      /* default "multi_head_attention" */
    tl_init kernel_init;   /* of the four W; default tl_glorot_uniform() */
} tl_multi_head_opts;
TL_API tl_tensor tl_multi_head_attention_opt(tl_place at, tl_scope *s, tl_tensor query, tl_tensor value,
                                             const tl_multi_head_opts *o);

/* For decoders, whose queries come one by one: what is to be attended to, its projections and masks computed once.
 *
 *     tl_memory memory = tl_attention_memory(s, encoded, .score = TL_SCORE_ADDITIVE, .units = 64);
 *     for (int64_t t = 0; t < T; t++) context = tl_attend(tl_step(decoder, t), memory, h);
 *
 * is, with the decoder's parameters under its own path, what tl_attention() computes. The query's parameters belong to
 * the scope that attends, those of the memory to the scope that makes it; both under .name. In place of the query's
 * units, those of value are the defaults of tl_multi_head_memory(). By value; alive until the tape is reset. */
typedef struct tl_memory {
    tl_tensor keys, values; /* projected; [B, S, E], [B, S, V], with heads [B, heads, S, ...] */
    tl_tensor bias;         /* added to the scores: 0, and -inf for keys left out; absent: all count */
    int64_t units;          /* of what is found */
    const void *options;
} tl_memory;
TL_API tl_memory tl_attention_memory_opt(tl_place at, tl_scope *s, tl_tensor value, const tl_attention_opts *o);
TL_API tl_memory tl_multi_head_memory_opt(tl_place at, tl_scope *s, tl_tensor value, const tl_multi_head_opts *o);

typedef struct tl_attend_opts {
    size_t size;
    tl_tensor query_mask; /* as in tl_attention_opts */
    bool causal;
    tl_tensor *weights;
} tl_attend_opts;
TL_API tl_tensor tl_attend_opt(tl_place at, tl_scope *s, tl_memory memory, tl_tensor query, const tl_attend_opts *o);

/* A cell around any cell, Luong et al. 2015 with input feeding (section 3.3): the inner cell's input is x joined with
 * the previous attentional vector a; its output h is the query, c the context found;
 *     a = tanh([c, h] W)        which is the output, and fed back.  W [V + H, units] is combine/W,
 *     under the memory's name
 * One more state, a (zeros at first), after the inner cell's. */
typedef struct tl_attention_cell_opts {
    size_t size;
    int64_t units;            /* of a; default: the layer's units */
    bool concat;              /* there is no a: the output is [h, c], and c is fed back */
    bool emit_weights;        /* each step emits its weights [B, S]: tl_collect(tl_in(s, "rnn"), "weights") */
    tl_activation activation; /* default tl_tanh */
    tl_init kernel_init;      /* of W; default tl_glorot_uniform() */
} tl_attention_cell_opts;
TL_API tl_cell tl_attention_cell_opt(tl_place at, tl_scope *s, tl_cell cell, tl_memory memory,
                                     const tl_attention_cell_opts *o);

/* ---- convolution --------------------------------------------------------------------------------------------- */

/* y = activation(tl_conv1d(x, W, b)) over time, [T, B, C] -> [T', B, units], with parameters W [kernel, C, units] and b
 * [units]: Keras' Conv1D. .units and .kernel are required; stride, dilation and padding are tl_window_opts'
 * (ops/ops.h). A mask that x carries is neither read nor handed on: y's steps are not x's. */
typedef struct tl_convolution1d_opts {
    size_t size;
    int64_t units;  /* channels of y, required */
    int64_t kernel; /* time steps of a window, required */
    int64_t stride, dilation, begin, end;
    bool same;   /* Keras: padding="same" */
    bool causal; /* Keras: padding="causal": before the first step only, and as much as keeps y's length (stride 1) */
    bool no_bias;
    tl_activation activation; /* default: none */
    tl_init kernel_init;      /* default tl_glorot_uniform() */
    tl_init bias_init;        /* default zeros */
    const char *name;         /* default "conv1d" */
} tl_convolution1d_opts;
TL_API tl_tensor tl_convolution1d_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_convolution1d_opts *o);

/* The same over images, [B, H, W, C] -> [B, H', W', units], with W [height, width, C, units]: Keras' Conv2D. */
typedef struct tl_convolution2d_opts {
    size_t size;
    int64_t units;     /* required */
    int64_t kernel[2]; /* height and width, required: .kernel = { 3, 3 } */
    int64_t stride[2], dilation[2], begin[2], end[2];
    bool same;
    bool no_bias;
    tl_activation activation;
    tl_init kernel_init, bias_init;
    const char *name; /* default "conv2d" */
} tl_convolution2d_opts;
TL_API tl_tensor tl_convolution2d_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_convolution2d_opts *o);

/* ---- normalisation ------------------------------------------------------------------------------------------- */

/* y = gain (x - mean) / sqrt(variance + epsilon) + shift, for each channel of the last axis: [any..., C], rank at least
 * 2, with parameters gain and shift [C]. While training (tl_training(s)), mean and biased variance are those of x over
 * all other axes, and running averages of them, average = momentum average + (1 - momentum) now, are kept with the
 * model (tl_model_state "mean", which starts at 0, and "variance", at 1); otherwise the running averages are used.
 * Keras' defaults; PyTorch's BatchNorm is .momentum = 0.9 (1 - 0.1), .epsilon = 1e-5, .unbiased = true. Training on no
 * rows (less than two if .unbiased) is TL_E_SHAPE. One layer of a name a recording: steps of a sequence are normalised
 * together, as [T, B, C]. A mask that x carries is handed on, but padding counts like the rest. Ioffe & Szegedy
 * 2015. */
typedef struct tl_batch_norm_opts {
    size_t size;
    double momentum;        /* 0 to 1; default 0.99 */
    double epsilon;         /* default 1e-3 */
    bool unbiased;          /* the running variance is of sum (x - mean)^2 / (count - 1); what x is divided by is not */
    bool no_gain, no_shift; /* Keras: scale=False, center=False; PyTorch: affine=False is both */
    const char *name;       /* default "batch_norm" */
} tl_batch_norm_opts;
TL_API tl_tensor tl_batch_norm_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_batch_norm_opts *o);

/* tl_layer_norm over the last axes with parameters gain and shift of those axes' shape. Hands on the mask that x
 * carries. Ba et al. 2016. */
typedef struct tl_layer_normalization_opts {
    size_t size;
    double epsilon;         /* default 1e-3, as in Keras; PyTorch's is 1e-5 */
    int axes;               /* how many of the last axes are normalised together; default 1 */
    bool no_gain, no_shift; /* Keras: scale=False, center=False; PyTorch: elementwise_affine=False is both */
    const char *name;       /* default "layer_normalization" */
} tl_layer_normalization_opts;
TL_API tl_tensor tl_layer_normalization_opt(tl_place at, tl_scope *s, tl_tensor x,
                                            const tl_layer_normalization_opts *o);

/* ---- losses ------------------------------------------------------------------------------------------------- */

/* loss(y, target, options): a prediction and a target, in a few cases three tensors, of one shape (nothing is
 * broadcast) -> a scalar. An absent target gives an absent loss, so one model function trains and predicts. All is
 * written with operations: there are gradients by every operand, of every order.
 *
 * The last axis has the features or classes of a position, the axes before it are the positions: [T, B, D], [B, D]. A
 * loss of elements is averaged over the features of a position, then over all positions, as in Keras. Where y is of
 * rank 1, or a mask or weights have y's own rank, its elements are the positions; otherwise give a y [T, B] of one
 * number each an axis more (tl_expand_dims).
 *
 * Padding changes nothing, whatever is there, a NaN or an id of no class: it is what the mask that y carries, .mask or
 * .ignore leave out. The mean is sum(l m) / sum(m), and 0 if there is nothing.
 *
 *     tl_mse(y, t)                   d^2, where d = y - t
 *     tl_mae(y, t)                   |d| (PyTorch's l1)
 *     tl_mape(y, t)                  100 |d| / max(|t|, epsilon)
 *     tl_msle(y, t)                  (ln(1 + max(y, epsilon)) - ln(1 + max(t, epsilon)))^2
 *     tl_huber(y, t, .delta)         d^2 / 2 up to |d| = delta (default 1), beyond it delta (|d| - delta / 2)
 *     tl_smooth_l1(y, t, .beta)      the same with beta for delta, divided by it (default 1; TL_ZERO: |d|)
 *     tl_log_cosh(y, t)              ln cosh d, of large d too
 *     tl_cross_entropy(z, t)         -ln softmax(z)[t] of ids t, i32 [...]; -sum_c t_c ln softmax(z)_c of distributions
 *     tl_nll(l, t)                   the same of log-probabilities l (tl_log_softmax)
 *     tl_binary_cross_entropy(z, t)  -t ln p - (1 - t) ln(1 - p), where p = sigmoid(z)
 *     tl_kl_divergence(p, t)         sum over the last axis of t ln(t / p), both clipped to epsilon ... 1 (Keras);
 *                                    with .log_input nothing is clipped (PyTorch, whose "batchmean" is the mean here)
 *     tl_poisson(y, t)               y - t ln(y + epsilon); .log_input: e^y - t y. PyTorch's epsilon is 1e-8
 *     tl_gaussian_nll(y, t, v)       (ln v + d^2 / v) / 2 with variances v of at least epsilon (1e-6)
 *     tl_hinge(y, t)                 max(margin - t y, 0) of t = -1 or 1 (where all of t is 0 or 1: 0 is -1, as in
 *                                    Keras). margin: 1, but in margin_ranking and cosine_embedding 0
 *     tl_squared_hinge(y, t)         its square
 *     tl_categorical_hinge(y, t)     max(max_c (1 - t_c) y_c - sum_c t_c y_c + margin, 0)
 *     tl_hinge_embedding(y, t)       y where t = 1, max(margin - y, 0) where t = -1
 *     tl_margin_ranking(a, b, t)     max(t (b - a) + margin, 0): a is to be the larger where t = 1, b where t = -1
 *     tl_triplet(a, p, n)            max(|a - p| - |a - n| + margin, 0) of rows, epsilon (1e-6) added to differences
 *     tl_cosine_loss(y, t)           minus the cosine of rows, whose lengths count as at least epsilon (1e-12)
 *     tl_cosine_embedding(a, b, t)   1 - cos where t [...] = 1, max(cos - margin, 0) where t = -1, for each row;
 *                                    epsilon (1e-12) is added to squares of lengths
 *
 * z are logits: nothing overflows, and nothing need be clipped. .probabilities takes softmax's or sigmoid's results
 * instead, as Keras does: p / sum p (softmax's alone), clipped to epsilon ... 1 - epsilon (1e-7, as epsilon is
 * elsewhere), beyond which there is no gradient. .epsilon = TL_ZERO: not clipped, but no logarithm is below -100
 * (PyTorch's BCELoss; here the gradient at p = 0 and 1 is 0). Perplexity is tl_exp(tl_cross_entropy(z, ids)).
 *
 * Errors: TL_E_SHAPE and TL_E_DTYPE for operands and options that do not fit; TL_E_ARGUMENT for a number that makes no
 * sense and for an option that a loss has not got; TL_E_INDEX at run time for an id outside 0..V-1. */
typedef enum tl_loss {
    TL_LOSS_MSE = 1,
    TL_LOSS_MAE,
    TL_LOSS_MAPE,
    TL_LOSS_MSLE,
    TL_LOSS_HUBER,
    TL_LOSS_SMOOTH_L1,
    TL_LOSS_LOG_COSH,
    TL_LOSS_CROSS_ENTROPY,
    TL_LOSS_NLL,
    TL_LOSS_BINARY_CROSS_ENTROPY,
    TL_LOSS_KL_DIVERGENCE,
    TL_LOSS_POISSON,
    TL_LOSS_GAUSSIAN_NLL,
    TL_LOSS_HINGE,
    TL_LOSS_SQUARED_HINGE,
    TL_LOSS_CATEGORICAL_HINGE,
    TL_LOSS_HINGE_EMBEDDING,
    TL_LOSS_MARGIN_RANKING,
    TL_LOSS_TRIPLET,
    TL_LOSS_COSINE,
    TL_LOSS_COSINE_EMBEDDING
} tl_loss;

/* What becomes of the losses of a batch. The mean with weights w is sum(w l) / n: weights are no part of the divisor,
 * as in Keras' sum_over_batch_size. The weighted mean is sum(w l) / sum(w), and 0 if that is 0, as in Keras'
 * mean_with_sample_weight and PyTorch's CrossEntropyLoss with weights of classes. */
typedef enum tl_reduction {
    TL_REDUCE_MEAN = 1, /* the default */
    TL_REDUCE_SUM,
    TL_REDUCE_NONE, /* the losses of all positions, weighted, 0 in the padding */
    TL_REDUCE_WEIGHTED_MEAN
} tl_reduction;

typedef struct tl_loss_opts {
    size_t size;
    /* of all losses */
    tl_tensor weights;      /* broadcast to the positions by NumPy's rules: [B] of samples, [T, B] of steps; of y's own
                               rank: of elements. Default: 1 */
    tl_tensor mask;         /* 0 where a position is padding, besides what y carries: leading axes of y, any dtype */
    tl_reduction reduction; /* default: mean. None gives the losses of positions, 0 in the padding */
    bool per_element;       /* each element is a position: nothing is averaged (KL: summed) over the last axis before,
                               as in PyTorch. To the mean it makes no difference (KL's is then that of elements) */
    /* of cross-entropies */
    bool probabilities;      /* y are probabilities */
    double label_smoothing;  /* 0 ... 1: this share of the target goes to all classes evenly (of two, in binary ones) */
    tl_tensor class_weights; /* [V], of cross_entropy and nll: each class's term counts so much; the weighted mean
                                divides by the sum of the targets' weights */
    tl_tensor pos_weight;    /* binary: the term of t counts so much; broadcast to y */
    int64_t ignore;          /* positions with this id are padding (ignore_index, ignore_class). TL_ZERO: id 0 */
    /* of those that name them above */
    double delta, beta, margin, epsilon;
    bool log_input, log_target; /* of KL and Poisson: y, target are logarithms */
    bool full;                  /* Poisson, Gaussian: with what does not depend on y (Stirling's terms; ln(2 pi) / 2) */
} tl_loss_opts;

/* x: the operands, in their order. */
TL_API tl_tensor tl_loss_opt(tl_place at, tl_loss loss, const tl_tensor *x, const tl_loss_opts *o);

/* Connectionist temporal classification, Graves et al. 2006: -ln of the probability that log_probs [T, B, V] (of
 * tl_log_softmax) spell targets i32 [B, L], summed over all ways to spread the labels over the steps, with blanks
 * between, equal neighbours needing one. input_lengths and target_lengths are i32 [B]; absent: all of T and of L. What
 * lies behind them changes nothing, whatever its numbers; being inputs, they may differ from run to run of one plan. A
 * target may be empty, and holds no blank (which is not checked: such a loss means nothing). TL_E_INDEX at run time for a length outside 0..T or 0..L and for a label
 * outside 0..V-1.
 * As in PyTorch a target that does not fit into its steps has the loss inf, or 0 with .zero_infinity; unlike there its
 * gradient is 0 in both cases, never NaN. Absent targets give an absent loss. */
typedef struct tl_ctc_opts {
    size_t size;
    int64_t blank;          /* the id of the blank (default 0) */
    tl_reduction reduction; /* mean (default): of each loss divided by its target's length (at least 1) -> a scalar;
                               sum -> a scalar; none -> [B] */
    bool zero_infinity;     /* see above */
} tl_ctc_opts;
TL_API tl_tensor tl_ctc_loss_opt(tl_place at, tl_scope *s, tl_tensor log_probs, tl_tensor targets,
                                 tl_tensor input_lengths, tl_tensor target_lengths, const tl_ctc_opts *o);

/* ---- penalties ---------------------------------------------------------------------------------------------- */

/* factor sum |x| and factor sum x^2 (no half), as Keras' L1 and L2: scalars to be added to the loss; a negative factor is
 * TL_E_ARGUMENT. Of parameters,
 * or of activations: Keras divides those by the batch size, which is a number here: tl_l2(y, 0.01 / tl_dim(y, 1)). */
TL_PLACED(tl_tensor, tl_l1, tl_tensor x, double factor);
#define tl_l1(...) tl_l1_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_l2, tl_tensor x, double factor);
#define tl_l2(...) tl_l2_at(TL_HERE, __VA_ARGS__)

/* The sum of l1 sum |w| + l2 sum w^2 over the parameters asked for so far whose path below s matches a shell pattern
 * (see tl_params; NULL: all), frozen ones too: tl_add(loss, tl_penalty(s, "*W", .l2 = 1e-4)). TL_E_NAME if none
 * does. */
typedef struct tl_penalty_opts {
    size_t size;
    double l1, l2; /* default 0 */
} tl_penalty_opts;
TL_API tl_tensor tl_penalty_opt(tl_place at, tl_scope *s, const char *pattern, const tl_penalty_opts *o);

/* ---- calls with options in place ---------------------------------------------------------------------------- */

#ifndef __cplusplus
#define tl_embedding(s, ...) TL_EMBEDDING_(s, __VA_ARGS__, .size = sizeof(tl_embedding_opts))
#define TL_EMBEDDING_(s, ids, ...) tl_embedding_opt(TL_HERE, (s), (ids), &(tl_embedding_opts){ __VA_ARGS__ })

#define tl_dense(s, ...) TL_DENSE_(s, __VA_ARGS__, .size = sizeof(tl_dense_opts))
#define TL_DENSE_(s, x, ...) tl_dense_opt(TL_HERE, (s), (x), &(tl_dense_opts){ __VA_ARGS__ })

#define tl_dropout(s, ...) TL_DROPOUT_(s, __VA_ARGS__, .size = sizeof(tl_dropout_opts))
#define TL_DROPOUT_(s, x, ...) tl_dropout_opt(TL_HERE, (s), (x), &(tl_dropout_opts){ __VA_ARGS__ })

#define tl_mse(y, ...) TL_LOSS_(MSE, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_mae(y, ...) TL_LOSS_(MAE, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_mape(y, ...) TL_LOSS_(MAPE, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_msle(y, ...) TL_LOSS_(MSLE, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_huber(y, ...) TL_LOSS_(HUBER, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_smooth_l1(y, ...) TL_LOSS_(SMOOTH_L1, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_log_cosh(y, ...) TL_LOSS_(LOG_COSH, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_cross_entropy(y, ...) TL_LOSS_(CROSS_ENTROPY, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_nll(y, ...) TL_LOSS_(NLL, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_binary_cross_entropy(y, ...) TL_LOSS_(BINARY_CROSS_ENTROPY, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_kl_divergence(y, ...) TL_LOSS_(KL_DIVERGENCE, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_poisson(y, ...) TL_LOSS_(POISSON, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_hinge(y, ...) TL_LOSS_(HINGE, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_squared_hinge(y, ...) TL_LOSS_(SQUARED_HINGE, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_categorical_hinge(y, ...) TL_LOSS_(CATEGORICAL_HINGE, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_hinge_embedding(y, ...) TL_LOSS_(HINGE_EMBEDDING, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_cosine_loss(y, ...) TL_LOSS_(COSINE, y, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define TL_LOSS_(kind, y, t, ...)                                                                                      \
    tl_loss_opt(TL_HERE, TL_LOSS_##kind, (tl_tensor[]){ (y), (t) }, &(tl_loss_opts){ __VA_ARGS__ })

#define tl_gaussian_nll(y, t, ...) TL_LOSS3_(GAUSSIAN_NLL, y, t, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_margin_ranking(a, b, ...) TL_LOSS3_(MARGIN_RANKING, a, b, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_triplet(a, p, ...) TL_LOSS3_(TRIPLET, a, p, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define tl_cosine_embedding(a, b, ...) TL_LOSS3_(COSINE_EMBEDDING, a, b, __VA_ARGS__, .size = sizeof(tl_loss_opts))
#define TL_LOSS3_(kind, a, b, c, ...)                                                                                  \
    tl_loss_opt(TL_HERE, TL_LOSS_##kind, (tl_tensor[]){ (a), (b), (c) }, &(tl_loss_opts){ __VA_ARGS__ })

#define tl_ctc_loss(s, log_probs, targets, input_lengths, ...)                                                         \
    TL_CTC_LOSS_(s, log_probs, targets, input_lengths, __VA_ARGS__, .size = sizeof(tl_ctc_opts))
#define TL_CTC_LOSS_(s, log_probs, targets, input_lengths, target_lengths, ...)                                        \
    tl_ctc_loss_opt(TL_HERE, (s), (log_probs), (targets), (input_lengths), (target_lengths),                           \
                    &(tl_ctc_opts){ __VA_ARGS__ })

#define tl_gate(s, name, x, ...) TL_GATE_(s, name, x, __VA_ARGS__, .size = sizeof(tl_gate_opts))
#define TL_GATE_(s, name, x, h, ...) tl_gate_opt(TL_HERE, (s), (name), (x), (h), &(tl_gate_opts){ __VA_ARGS__ })

#define tl_simple_rnn_cell(...) TL_SIMPLE_RNN_CELL_(__VA_ARGS__, .size = sizeof(tl_simple_rnn_cell_opts))
#define TL_SIMPLE_RNN_CELL_(s, ...) tl_simple_rnn_cell_opt(TL_HERE, (s), &(tl_simple_rnn_cell_opts){ __VA_ARGS__ })

#define tl_lstm_cell(...) TL_LSTM_CELL_(__VA_ARGS__, .size = sizeof(tl_lstm_cell_opts))
#define TL_LSTM_CELL_(s, ...) tl_lstm_cell_opt(TL_HERE, (s), &(tl_lstm_cell_opts){ __VA_ARGS__ })

#define tl_gru_cell(...) TL_GRU_CELL_(__VA_ARGS__, .size = sizeof(tl_gru_cell_opts))
#define TL_GRU_CELL_(s, ...) tl_gru_cell_opt(TL_HERE, (s), &(tl_gru_cell_opts){ __VA_ARGS__ })

#define tl_janet_cell(...) TL_JANET_CELL_(__VA_ARGS__, .size = sizeof(tl_janet_cell_opts))
#define TL_JANET_CELL_(s, ...) tl_janet_cell_opt(TL_HERE, (s), &(tl_janet_cell_opts){ __VA_ARGS__ })

#define tl_ugrnn_cell(...) TL_UGRNN_CELL_(__VA_ARGS__, .size = sizeof(tl_ugrnn_cell_opts))
#define TL_UGRNN_CELL_(s, ...) tl_ugrnn_cell_opt(TL_HERE, (s), &(tl_ugrnn_cell_opts){ __VA_ARGS__ })

#define tl_indrnn_cell(...) TL_INDRNN_CELL_(__VA_ARGS__, .size = sizeof(tl_indrnn_cell_opts))
#define TL_INDRNN_CELL_(s, ...) tl_indrnn_cell_opt(TL_HERE, (s), &(tl_indrnn_cell_opts){ __VA_ARGS__ })

#define tl_rhn_cell(...) TL_RHN_CELL_(__VA_ARGS__, .size = sizeof(tl_rhn_cell_opts))
#define TL_RHN_CELL_(s, ...) tl_rhn_cell_opt(TL_HERE, (s), &(tl_rhn_cell_opts){ __VA_ARGS__ })

#define tl_mi_rnn_cell(...) TL_MI_RNN_CELL_(__VA_ARGS__, .size = sizeof(tl_mi_rnn_cell_opts))
#define TL_MI_RNN_CELL_(s, ...) tl_mi_rnn_cell_opt(TL_HERE, (s), &(tl_mi_rnn_cell_opts){ __VA_ARGS__ })

#define tl_jordan_cell(...) TL_JORDAN_CELL_(__VA_ARGS__, .size = sizeof(tl_jordan_cell_opts))
#define TL_JORDAN_CELL_(s, ...) tl_jordan_cell_opt(TL_HERE, (s), &(tl_jordan_cell_opts){ __VA_ARGS__ })

#define tl_esn_cell(...) TL_ESN_CELL_(__VA_ARGS__, .size = sizeof(tl_esn_cell_opts))
#define TL_ESN_CELL_(s, ...) tl_esn_cell_opt(TL_HERE, (s), &(tl_esn_cell_opts){ __VA_ARGS__ })

#define tl_rnn(s, x, ...) TL_RNN_(s, x, __VA_ARGS__, .size = sizeof(tl_rnn_opts))
#define TL_RNN_(s, x, cell, ...) tl_rnn_opt(TL_HERE, (s), (x), (cell), &(tl_rnn_opts){ __VA_ARGS__ })

#define tl_zoneout_cell(s, ...) TL_ZONEOUT_CELL_(s, __VA_ARGS__, .size = sizeof(tl_zoneout_cell_opts))
#define TL_ZONEOUT_CELL_(s, cell, ...) tl_zoneout_cell_opt(TL_HERE, (s), (cell), &(tl_zoneout_cell_opts){ __VA_ARGS__ })

#define tl_dropout_cell(s, ...) TL_DROPOUT_CELL_(s, __VA_ARGS__, .size = sizeof(tl_dropout_cell_opts))
#define TL_DROPOUT_CELL_(s, cell, ...) tl_dropout_cell_opt(TL_HERE, (s), (cell), &(tl_dropout_cell_opts){ __VA_ARGS__ })

#define tl_stack_cell(s, n, ...) TL_STACK_CELL_(s, n, __VA_ARGS__, .size = sizeof(tl_stack_cell_opts))
#define TL_STACK_CELL_(s, n, cells, ...)                                                                               \
    tl_stack_cell_opt(TL_HERE, (s), (n), (cells), &(tl_stack_cell_opts){ __VA_ARGS__ })

#define tl_bidirectional(s, x, ...) TL_BIDIRECTIONAL_(s, x, __VA_ARGS__, .size = sizeof(tl_bidirectional_opts))
#define TL_BIDIRECTIONAL_(s, x, cell, ...)                                                                             \
    tl_bidirectional_opt(TL_HERE, (s), (x), (cell), &(tl_bidirectional_opts){ __VA_ARGS__ })

#define tl_time_distributed(s, x, layer, ...)                                                                          \
    TL_TIME_DISTRIBUTED_(s, x, layer, __VA_ARGS__, .size = sizeof(tl_time_distributed_opts))
#define TL_TIME_DISTRIBUTED_(s, x, layer, ctx, ...)                                                                    \
    tl_time_distributed_opt(TL_HERE, (s), (x), (layer), (ctx), &(tl_time_distributed_opts){ __VA_ARGS__ })

#define tl_simple_rnn(s, ...) TL_SIMPLE_RNN_(s, __VA_ARGS__, .size = sizeof(tl_rnn_opts))
#define TL_SIMPLE_RNN_(s, x, ...) tl_simple_rnn_opt(TL_HERE, (s), (x), &(tl_rnn_opts){ __VA_ARGS__ })

#define tl_lstm(s, ...) TL_LSTM_(s, __VA_ARGS__, .size = sizeof(tl_rnn_opts))
#define TL_LSTM_(s, x, ...) tl_lstm_opt(TL_HERE, (s), (x), &(tl_rnn_opts){ __VA_ARGS__ })

#define tl_gru(s, ...) TL_GRU_(s, __VA_ARGS__, .size = sizeof(tl_rnn_opts))
#define TL_GRU_(s, x, ...) tl_gru_opt(TL_HERE, (s), (x), &(tl_rnn_opts){ __VA_ARGS__ })

#define tl_attention(s, query, ...) TL_ATTENTION_(s, query, __VA_ARGS__, .size = sizeof(tl_attention_opts))
#define TL_ATTENTION_(s, query, value, ...)                                                                            \
    tl_attention_opt(TL_HERE, (s), (query), (value), &(tl_attention_opts){ __VA_ARGS__ })

#define tl_multi_head_attention(s, query, ...)                                                                         \
    TL_MULTI_HEAD_ATTENTION_(s, query, __VA_ARGS__, .size = sizeof(tl_multi_head_opts))
#define TL_MULTI_HEAD_ATTENTION_(s, query, value, ...)                                                                 \
    tl_multi_head_attention_opt(TL_HERE, (s), (query), (value), &(tl_multi_head_opts){ __VA_ARGS__ })

#define tl_attention_memory(s, ...) TL_ATTENTION_MEMORY_(s, __VA_ARGS__, .size = sizeof(tl_attention_opts))
#define TL_ATTENTION_MEMORY_(s, value, ...)                                                                            \
    tl_attention_memory_opt(TL_HERE, (s), (value), &(tl_attention_opts){ __VA_ARGS__ })

#define tl_multi_head_memory(s, ...) TL_MULTI_HEAD_MEMORY_(s, __VA_ARGS__, .size = sizeof(tl_multi_head_opts))
#define TL_MULTI_HEAD_MEMORY_(s, value, ...)                                                                           \
    tl_multi_head_memory_opt(TL_HERE, (s), (value), &(tl_multi_head_opts){ __VA_ARGS__ })

#define tl_attend(s, memory, ...) TL_ATTEND_(s, memory, __VA_ARGS__, .size = sizeof(tl_attend_opts))
#define TL_ATTEND_(s, memory, query, ...)                                                                              \
    tl_attend_opt(TL_HERE, (s), (memory), (query), &(tl_attend_opts){ __VA_ARGS__ })

#define tl_attention_cell(s, cell, ...) TL_ATTENTION_CELL_(s, cell, __VA_ARGS__, .size = sizeof(tl_attention_cell_opts))
#define TL_ATTENTION_CELL_(s, cell, memory, ...)                                                                       \
    tl_attention_cell_opt(TL_HERE, (s), (cell), (memory), &(tl_attention_cell_opts){ __VA_ARGS__ })

#define tl_penalty(s, ...) TL_PENALTY_(s, __VA_ARGS__, .size = sizeof(tl_penalty_opts))
#define TL_PENALTY_(s, pattern, ...) tl_penalty_opt(TL_HERE, (s), (pattern), &(tl_penalty_opts){ __VA_ARGS__ })

#define tl_convolution1d(s, ...) TL_CONVOLUTION1D_(s, __VA_ARGS__, .size = sizeof(tl_convolution1d_opts))
#define TL_CONVOLUTION1D_(s, x, ...) tl_convolution1d_opt(TL_HERE, (s), (x), &(tl_convolution1d_opts){ __VA_ARGS__ })

#define tl_convolution2d(s, ...) TL_CONVOLUTION2D_(s, __VA_ARGS__, .size = sizeof(tl_convolution2d_opts))
#define TL_CONVOLUTION2D_(s, x, ...) tl_convolution2d_opt(TL_HERE, (s), (x), &(tl_convolution2d_opts){ __VA_ARGS__ })

#define tl_batch_norm(s, ...) TL_BATCH_NORM_(s, __VA_ARGS__, .size = sizeof(tl_batch_norm_opts))
#define TL_BATCH_NORM_(s, x, ...) tl_batch_norm_opt(TL_HERE, (s), (x), &(tl_batch_norm_opts){ __VA_ARGS__ })

#define tl_layer_normalization(s, ...)                                                                                 \
    TL_LAYER_NORMALIZATION_(s, __VA_ARGS__, .size = sizeof(tl_layer_normalization_opts))
#define TL_LAYER_NORMALIZATION_(s, x, ...)                                                                             \
    tl_layer_normalization_opt(TL_HERE, (s), (x), &(tl_layer_normalization_opts){ __VA_ARGS__ })
#endif

#ifdef __cplusplus
}
#endif
#endif
