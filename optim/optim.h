/* optim/optim.h - optimizers and gradient clipping: loops over the model's flat arrays.
 *
 * tl_sgd(), tl_rmsprop() and tl_adam() are descriptions by value, with the formulas and defaults of Keras 3. A trainer
 * takes one (.optimizer = tl_adam(.lr = 3e-4)) and makes the object with the moments itself; without a trainer,
 * tl_optimizer_new() makes it. Below, g is the gradient, w the parameter, t the number of the step, from 1.
 */
#ifndef TL_OPTIM_H
#define TL_OPTIM_H

#include "../graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tl_rule { TL_SGD = 1, TL_RMSPROP, TL_ADAM } tl_rule;

/* Which rule, and its numbers. Zero means the rule's default, TL_ZERO the number zero. */
typedef struct tl_optimizer_desc {
    size_t size;
    tl_rule rule;
    double lr;       /* learning rate */
    double momentum; /* in [0, 1) */
    double rho;      /* in [0, 1) */
    double beta1;    /* in [0, 1) */
    double beta2;    /* in [0, 1) */
    double epsilon;  /* at least 0 */
    bool nesterov;   /* needs momentum */
    bool lazy; /* of tables, update the rows that the run has used, and no others: the moments of an embedding's unused
                        rows wait, unlike with the plain rule (TensorFlow's LazyAdam). Any rule takes it */
} tl_optimizer_desc;

#ifndef __cplusplus
#define TL_OPTIMIZER_(r, ...) ((tl_optimizer_desc){ .size = sizeof(tl_optimizer_desc), .rule = (r), __VA_ARGS__ })

/* Options .lr (0.01), .momentum (0), .nesterov. Sutskever et al. 2013.
 *     m = momentum m - lr g;  w += m          with .nesterov:  w += momentum m - lr g */
#define tl_sgd(...) TL_OPTIMIZER_(TL_SGD, __VA_ARGS__)

/* Options .lr (0.001), .rho (0.9), .epsilon (1e-7), .momentum (0). Tieleman & Hinton 2012.
 *     v = rho v + (1 - rho) g g;  d = lr g / sqrt(v + epsilon);  w -= d
 *     with .momentum:  m = momentum m + d;  w -= m */
#define tl_rmsprop(...) TL_OPTIMIZER_(TL_RMSPROP, __VA_ARGS__)

/* Options .lr (0.001), .beta1 (0.9), .beta2 (0.999), .epsilon (1e-7). Kingma & Ba 2015, section 2's last form.
 *     m += (1 - beta1) (g - m);  v += (1 - beta2) (g g - v);
 *     a = lr sqrt(1 - beta2^t) / (1 - beta1^t);  w -= a m / (sqrt(v) + epsilon) */
#define tl_adam(...) TL_OPTIMIZER_(TL_ADAM, __VA_ARGS__)
#endif

/* The description of a rule with every default filled in: a start for C++, and for printing. All zero for no rule. */
TL_API tl_optimizer_desc tl_optimizer_defaults(tl_rule rule);

/* The moments, at the model's offsets, and the number of steps made. It grows with the model. */
typedef struct tl_optimizer tl_optimizer;

/* NULL on failure (tl_message() says why): an option out of its range, or one that the rule does not have. Free with
 * tl_optimizer_free(), before the model. */
TL_API tl_optimizer *tl_optimizer_new(tl_model *model, tl_optimizer_desc desc);
TL_API void tl_optimizer_free(tl_optimizer *optimizer); /* NULL is harmless */

/* One update of the parameters from the gradients of the session's last run. Parameters that are frozen, or that the
 * loss of that run does not reach, stay untouched, and so do their moments. Allocates only when the model has grown.
 * TL_E_ARGUMENT if the session is of another model, TL_E_OUTPUT if its last run had no gradients (no tl_backward). */
TL_API tl_status tl_optimizer_step(tl_optimizer *optimizer, tl_session *session);

/* The same with every gradient multiplied by `scale` first; the gradients themselves stay as they are. With max / norm
 * it has the bits of tl_clip_global_norm() and tl_optimizer_step(), and goes over them once less. TL_E_ARGUMENT if scale
 * is not finite. */
TL_API tl_status tl_optimizer_step_scaled(tl_optimizer *optimizer, tl_session *session, double scale);

TL_API double tl_optimizer_lr(const tl_optimizer *optimizer);
TL_API tl_status tl_optimizer_set_lr(tl_optimizer *optimizer, double lr);     /* TL_E_ARGUMENT: negative, not finite */
TL_API uint64_t tl_optimizer_steps(const tl_optimizer *optimizer);            /* updates made so far */
TL_API tl_optimizer_desc tl_optimizer_options(const tl_optimizer *optimizer); /* those in effect */

/* ---- what an optimizer remembers, for saving and for resuming ------------------------------------------------------
 *
 * Arrays as many as tl_optimizer_slots() for every parameter, and a few scalars. They are all there is: an optimizer of
 * the same description, on a model with the same parameters, given both, goes on with the same bits. */

/* How many arrays of its own shape each parameter has, and their names ("m", "v"; NULL for no such k), from 0. */
TL_API int tl_optimizer_slots(const tl_optimizer *optimizer);
TL_API const char *tl_optimizer_slot_name(const tl_optimizer *optimizer, int k);

/* Array k of the parameter at `path`: *out is a view of the optimizer's memory in the parameter's shape and dtype, to be
 * read or written, valid until the model grows or the optimizer is freed. It is there from the start, with its initial
 * value. TL_E_NAME: no such parameter; TL_E_ARGUMENT: no such k; TL_E_MEMORY. */
TL_API tl_status tl_optimizer_slot(tl_optimizer *optimizer, int k, const char *path, tl_array *out);

typedef struct tl_optimizer_scalars {
    uint64_t steps;       /* updates made */
    uint64_t accumulated; /* batches whose gradients wait for the next update */
    double lr;            /* learning rate, where no schedule gives it */
    double product;       /* of the momenta so far (Nadam); 1 for every other rule */
} tl_optimizer_scalars;

TL_API tl_optimizer_scalars tl_optimizer_get_scalars(const tl_optimizer *optimizer);
/* TL_E_ARGUMENT, and nothing is changed: a number out of its range. */
TL_API tl_status tl_optimizer_set_scalars(tl_optimizer *optimizer, tl_optimizer_scalars scalars);

/* ---- clipping: acts on the gradients of the session's last run, between tl_run() and tl_optimizer_step() -------- */

/* Every element into [-limit, limit]; NaN stays NaN. TL_E_ARGUMENT unless limit > 0. */
TL_API tl_status tl_clip_value(tl_session *session, double limit);

/* The norm of all gradients together, into *norm (NULL: not wanted), and if it is above max, all scaled by max / norm;
 * INFINITY as max scales nothing. The sum is taken in double, in a fixed order. A norm that is not finite is
 * TL_E_NONFINITE, and then nothing is scaled. TL_E_ARGUMENT unless max > 0. Pascanu, Mikolov & Bengio 2013. */
TL_API tl_status tl_clip_global_norm(tl_session *session, double max, double *norm);

/* ---- constraints: act on the parameters, after tl_optimizer_step() or tl_train_step() --------------------------- */

/* In every parameter whose path matches a shell pattern (NULL: all), scales each vector along an axis whose norm is
 * above limit down to it: axis 0 of W [in, out] means each unit's incoming weights (Keras' MaxNorm; Srivastava et al.
 * 2014), axis 1 of an embedding's W each row. Frozen parameters, and those that have no such axis, stay. TL_E_ARGUMENT
 * unless limit > 0 and axis >= 0; TL_E_NAME if no path matches. */
TL_API tl_status tl_model_max_norm(tl_model *model, const char *pattern, double limit, int axis);

#ifdef __cplusplus
}
#endif
#endif
