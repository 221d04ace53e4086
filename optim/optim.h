/* optim/optim.h - optimizers, learning rates and gradient clipping: loops over the model's flat arrays.
 *
 * tl_sgd(), tl_adam() ... are descriptions by value. A trainer takes one (.optimizer = tl_adam(.lr = 3e-4)) and makes the
 * object with the moments itself; without a trainer, tl_optimizer_new() makes it. Below, g is the gradient, w the
 * parameter, t the number of the update, from 1. Formulas and defaults are those of Keras 3; .style = TL_TORCH takes
 * those of PyTorch. docs/optimizers.md has both side by side.
 */
#ifndef TL_OPTIM_H
#define TL_OPTIM_H

#include "../graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whose conventions: the place of epsilon, weight decay (Keras: w -= lr weight_decay w ahead of the update; PyTorch:
 * g += weight_decay w), what accumulators start from, the defaults, and how a global norm is clipped. */
typedef enum tl_style { TL_KERAS, TL_TORCH } tl_style;

/* ---- learning rates: functions of the number of updates made so far, k = 0, 1, 2 ... ------------------------------
 *
 * A schedule is a description by value: .schedule = tl_cosine_decay(.steps = 10000, .warmup = 500) in an optimizer's
 * description is evaluated before every update (Keras'). For a rate by the epoch (PyTorch's):
 * tl_optimizer_set_lr(optimizer, tl_schedule_at(schedule, epoch)) after each. Zero is an option's default, TL_ZERO the
 * number zero. All take .lr, the rate that they start from (in an optimizer's description the default is its .lr), and
 * .warmup = n: the first n updates go in a straight line from .warmup_from (0) to where the schedule starts, which
 * follows them, counting from its own 0. */

enum { TL_SCHEDULE_POINTS = 16 };

typedef enum tl_schedule_kind {
    TL_NO_SCHEDULE,
    TL_EXPONENTIAL,
    TL_INVERSE_TIME,
    TL_POLYNOMIAL,
    TL_MULTI_STEP,
    TL_PIECEWISE,
    TL_COSINE,
    TL_COSINE_RESTARTS,
    TL_ONE_CYCLE,
    TL_TRIANGULAR,
    TL_FUNCTION
} tl_schedule_kind;

typedef struct tl_schedule {
    size_t size;
    tl_schedule_kind kind;
    double lr;
    double factor;
    double end;
    double power;
    double growth;
    double rise;
    double start_divisor;
    double end_divisor;
    double warmup_from;
    int64_t steps;
    int64_t warmup;
    int64_t at[TL_SCHEDULE_POINTS]; /* ascending, up to the first 0 */
    double values[TL_SCHEDULE_POINTS + 1];
    bool staircase;
    bool cycle;
    bool linear;
    double (*fn)(int64_t k, void *ctx);
    void *ctx;
} tl_schedule;

#ifndef __cplusplus
#define TL_SCHEDULE_(k, ...) ((tl_schedule){ .size = sizeof(tl_schedule), .kind = (k), __VA_ARGS__ })

/* lr factor^(k / steps); .staircase: k / steps rounded down. Options .steps (1), .factor (0.1), .staircase. */
#define tl_exponential_decay(...) TL_SCHEDULE_(TL_EXPONENTIAL, __VA_ARGS__)

/* The same as stairs: times .factor (0.1) after every .steps. */
#define tl_step_decay(...) TL_SCHEDULE_(TL_EXPONENTIAL, .staircase = true, __VA_ARGS__)

/* lr / (1 + factor k / steps); .staircase as above. Options .steps (1), .factor (1). */
#define tl_inverse_time_decay(...) TL_SCHEDULE_(TL_INVERSE_TIME, __VA_ARGS__)

/* end + (lr - end) (1 - k / steps)^power, and end from .steps on. Options .steps (must be given), .end (0), .power (1);
 * .cycle: .steps is doubled, trebled ... whenever it is reached, so the rate jumps up again. */
#define tl_polynomial_decay(...) TL_SCHEDULE_(TL_POLYNOMIAL, __VA_ARGS__)

/* From .lr to .end (0) in a straight line of .steps (must be given), up or down. */
#define tl_linear_decay(...) TL_SCHEDULE_(TL_POLYNOMIAL, __VA_ARGS__)

/* Times .factor (0.1) at each of .at = { 30, 60 }: from k = 30 on. At most TL_SCHEDULE_POINTS. */
#define tl_multi_step_decay(...) TL_SCHEDULE_(TL_MULTI_STEP, __VA_ARGS__)

/* .values = { 0.1, 0.05, 0.01 } between the points .at = { 30, 60 }: values[0] for k <= 30 (Keras' convention), values[1]
 * for k <= 60, then values[2]. .lr is not used. */
#define tl_piecewise_constant(...) TL_SCHEDULE_(TL_PIECEWISE, __VA_ARGS__)

/* end + (lr - end) (1 + cos(pi k / steps)) / 2, and end from .steps on; .cycle: the wave goes on, up and down (PyTorch's
 * CosineAnnealingLR). Options .steps (must be given), .end (0). Loshchilov & Hutter 2017. */
#define tl_cosine_decay(...) TL_SCHEDULE_(TL_COSINE, __VA_ARGS__)

/* The same over .steps, then again from the top, each time .growth (2) times as long and the top .factor (1) times as
 * high. PyTorch's T_mult is 1 by default. */
#define tl_cosine_restarts(...) TL_SCHEDULE_(TL_COSINE_RESTARTS, __VA_ARGS__)

/* Up from lr / start_divisor to lr in the first part .rise of .steps, then down to that start / end_divisor, by cosines
 * (.linear: straight lines), and there it stays. Options .rise (0.3), .start_divisor (25), .end_divisor (1e4), .steps
 * (must be given). Smith & Topin 2018, as PyTorch has it. */
#define tl_one_cycle(...) TL_SCHEDULE_(TL_ONE_CYCLE, __VA_ARGS__)

/* From .lr to .end in .steps, back in as many, and so on. Smith 2017. */
#define tl_triangular(...) TL_SCHEDULE_(TL_TRIANGULAR, __VA_ARGS__)

/* The user's own: .fn(k, .ctx). The learning rate that it gives is checked before each update. */
#define tl_schedule_function(...) TL_SCHEDULE_(TL_FUNCTION, __VA_ARGS__)
#endif

/* The learning rate for the update after k of them. NaN if the description makes no sense, k is negative or the result
 * is not a finite number of at least 0: tl_message() says why. */
TL_API double tl_schedule_at(tl_schedule schedule, int64_t k);

/* A learning rate that is lowered when a measure no longer gets better: what a callback decides after each epoch.
 *
 * TL_KERAS: better is below best - min_delta; lowered after .patience epochs in a row that are not. TL_TORCH: below
 * best (1 - min_delta); lowered after one more than .patience. lr becomes max(lr factor, min_lr); then .cooldown epochs
 * are not counted. */
typedef struct tl_plateau {
    size_t size; /* 0 is taken for sizeof(tl_plateau) */
    tl_style style;
    double factor;    /* below 1; default 0.1 */
    double min_delta; /* default 1e-4 */
    double min_lr;    /* default 0 */
    int64_t patience; /* default 10; TL_ZERO: 0 */
    int64_t cooldown; /* default 0 */
    bool highest;     /* the larger the better: accuracy, not loss */
    bool absolute;    /* min_delta in TL_TORCH's style: its threshold_mode = "abs" */
} tl_plateau;

/* What it remembers: all zero at the start. To be saved and loaded as it is. */
typedef struct tl_plateau_state {
    double best;
    int64_t waited, cooling;
    bool started;
} tl_plateau_state;

/* The learning rate to go on with, now that an epoch at `lr` has brought this measure. NaN, and no change, if an option
 * makes no sense (tl_message() says which). */
TL_API double tl_plateau_next(const tl_plateau *plateau, tl_plateau_state *state, double measure, double lr);

/* ---- optimizers --------------------------------------------------------------------------------------------- */

typedef enum tl_rule {
    TL_SGD = 1,
    TL_RMSPROP,
    TL_ADAM,
    TL_ADAMW,
    TL_NADAM,
    TL_RADAM,
    TL_ADAMAX,
    TL_ADAGRAD,
    TL_ADADELTA,
    TL_LION,
    TL_FTRL,
    TL_ASGD,
    TL_RPROP
} tl_rule;

enum { TL_PARAM_GROUPS = 8 };

/* What is different for the parameters whose path matches a shell pattern (fnmatch: "*" matches "/" too). */
typedef struct tl_param_group {
    const char *pattern; /* copied by tl_optimizer_new() */
    double lr_factor;    /* times the learning rate; default 1 */
    double weight_decay; /* in place of the optimizer's, which is the default; TL_ZERO: none */
    bool frozen;         /* no update, no part in norms, as with tl_model_freeze() (which saves the gradient too) */
} tl_param_group;

/* Which rule, and its numbers. Zero means the rule's default, TL_ZERO the number zero. */
typedef struct tl_optimizer_desc {
    size_t size;
    tl_rule rule;
    tl_style style;
    double lr;             /* learning rate */
    double momentum;       /* in [0, 1) */
    double dampening;      /* in [0, 1] */
    double rho;            /* in [0, 1) */
    double beta1;          /* in [0, 1) */
    double beta2;          /* in [0, 1) */
    double epsilon;        /* at least 0, as are all that follow */
    double start;          /* accumulators start from it */
    double lr_decay;       /* the rate of update t is lr / (1 + (t - 1) lr_decay) */
    double momentum_decay; /* Nadam's */
    double power;          /* Ftrl's five: minus Keras' learning_rate_power */
    double l1;             /* l1_regularization_strength */
    double l2;             /* l2_regularization_strength */
    double shrinkage;      /* l2_shrinkage_regularization_strength */
    double beta;
    double lambda; /* ASGD's three */
    double alpha;
    double t0;
    double shrink; /* Rprop's four: step sizes are multiplied by it where the gradient turns */
    double grow;   /* and by it where it does not */
    double step_min;
    double step_max;
    bool nesterov; /* needs momentum */
    bool centered;
    bool amsgrad; /* Reddi, Kale & Kumar 2018: the largest v so far takes v's place */

    /* Any rule takes these. */
    double weight_decay; /* default 0, but for AdamW (Keras 0.004, PyTorch 0.01) */
    bool maximize;       /* the loss: every gradient is negated */
    bool lazy; /* of tables, update the rows that the run has used, and no others: the moments of an embedding's unused
                        rows wait, unlike with the plain rule (TensorFlow's LazyAdam), and so does their weight decay */
    tl_schedule schedule; /* of the learning rate, by the number of updates; .lr is where it starts */
    tl_param_group
        groups[TL_PARAM_GROUPS]; /* up to the first without a pattern; a parameter is in the first that fits */

    /* Clipping, of the gradients as they are before weight decay, in this order; 0: not done. */
    double clip_value; /* every element into [-clip_value, clip_value] */
    double clip_each;  /* Keras' clipnorm: every parameter's gradient g becomes g min(1, clip_each / norm) */
    double clip_norm;  /* of all together: see tl_clip_norm(). INFINITY: it is only measured (tl_optimizer_norm) */

    int64_t accumulate;  /* one update from the gradients of so many runs, of their mean; default 1 */
    bool accumulate_sum; /* of their sum */

    /* Averages of the parameters, kept beside them: see tl_optimizer_swap_averages(). */
    double ema;            /* a = ema a + (1 - ema) w after each update; a starts as w after the first. In [0, 1) */
    int64_t ema_overwrite; /* w = a after every so many updates (Keras' ema_overwrite_frequency); 0: never */
    int64_t swa_every; /* a = the plain mean of w after updates swa_start, + swa_every, + 2 swa_every ...: stochastic */
    int64_t swa_start; /* weight averaging, Izmailov et al. 2018; default: swa_every */
} tl_optimizer_desc;

#ifndef __cplusplus
#define TL_OPTIMIZER_(r, ...) ((tl_optimizer_desc){ .size = sizeof(tl_optimizer_desc), .rule = (r), __VA_ARGS__ })

/* Options .lr (0.01), .momentum (0), .nesterov. Sutskever et al. 2013.
 *     m = momentum m - lr g;  w += m          with .nesterov:  w += momentum m - lr g
 * TL_TORCH (.lr 0.001), which differs as the learning rate changes; .dampening (0), which the first update is free of:
 *     m = momentum m + (1 - dampening) g;  w -= lr m          with .nesterov:  w -= lr (g + momentum m) */
#define tl_sgd(...) TL_OPTIMIZER_(TL_SGD, __VA_ARGS__)

/* Options .lr (0.001), .rho (0.9), .epsilon (1e-7), .momentum (0), .centered. Tieleman & Hinton 2012; Graves 2013.
 *     v = rho v + (1 - rho) g g;  d = lr g / sqrt(v + epsilon);  w -= d
 *     with .momentum:  m = momentum m + d;  w -= m
 *     with .centered:  a = rho a + (1 - rho) g;  v - a a in place of v below the root
 * TL_TORCH (.lr 0.01, .rho 0.99, .epsilon 1e-8):  d = g / (sqrt(v) + epsilon);  w -= lr d, or lr m */
#define tl_rmsprop(...) TL_OPTIMIZER_(TL_RMSPROP, __VA_ARGS__)

/* Options .lr (0.001), .beta1 (0.9), .beta2 (0.999), .epsilon (1e-7), .amsgrad. Kingma & Ba 2015, section 2's last form.
 *     m += (1 - beta1) (g - m);  v += (1 - beta2) (g g - v);
 *     a = lr sqrt(1 - beta2^t) / (1 - beta1^t);  w -= a m / (sqrt(v) + epsilon)
 * TL_TORCH (.epsilon 1e-8):  w -= a m / (sqrt(v) + epsilon sqrt(1 - beta2^t)), the paper's algorithm 1 */
#define tl_adam(...) TL_OPTIMIZER_(TL_ADAM, __VA_ARGS__)

/* Adam with .weight_decay (0.004; TL_TORCH 0.01) that is decoupled in both styles. Loshchilov & Hutter 2019. */
#define tl_adamw(...) TL_OPTIMIZER_(TL_ADAMW, __VA_ARGS__)

/* Adam with Nesterov's momentum: options .lr (0.001; TL_TORCH 0.002), .beta1, .beta2, .epsilon as Adam's. Dozat 2016.
 *     u(t) = beta1 (1 - 0.96^t / 2), in TL_TORCH's style 0.96^(t momentum_decay), .momentum_decay (0.004);
 *     P = u(1) u(2) ... u(t);  d = u(t+1) m / (1 - P u(t+1)) + (1 - u(t)) g / (1 - P);
 *     w -= lr d / (sqrt(v / (1 - beta2^t)) + epsilon) */
#define tl_nadam(...) TL_OPTIMIZER_(TL_NADAM, __VA_ARGS__)

/* Rectified Adam: options as Adam's; PyTorch's formula in both styles. Liu et al. 2020.
 *     R = 2 / (1 - beta2) - 1;  r = R - 2 t beta2^t / (1 - beta2^t);  while r <= 5:  w -= lr m / (1 - beta1^t), then
 *     w -= a m sqrt((r - 4) (r - 2) R / ((R - 4) (R - 2) r)) / (sqrt(v) + epsilon), a as Adam's */
#define tl_radam(...) TL_OPTIMIZER_(TL_RADAM, __VA_ARGS__)

/* Adam with the largest gradient: options as Adam's (TL_TORCH .lr 0.002). Kingma & Ba 2015, section 7.1.
 *     v = max(beta2 v, |g|);  w -= lr / (1 - beta1^t) m / (v + epsilon)
 * TL_TORCH:  v = max(beta2 v, |g| + epsilon);  w -= lr / (1 - beta1^t) m / v */
#define tl_adamax(...) TL_OPTIMIZER_(TL_ADAMAX, __VA_ARGS__)

/* Options .lr (0.001), .start (0.1), .epsilon (1e-7). Duchi, Hazan & Singer 2011.
 *     v += g g;  w -= lr g / sqrt(v + epsilon)
 * TL_TORCH (.lr 0.01, .start 0, .epsilon 1e-10, .lr_decay 0):  w -= lr g / (sqrt(v) + epsilon) */
#define tl_adagrad(...) TL_OPTIMIZER_(TL_ADAGRAD, __VA_ARGS__)

/* Options .lr (0.001; TL_TORCH 1), .rho (0.95; 0.9), .epsilon (1e-7; 1e-6). Zeiler 2012.
 *     v = rho v + (1 - rho) g g;  d = sqrt(u + epsilon) / sqrt(v + epsilon) g;  u = rho u + (1 - rho) d d;  w -= lr d */
#define tl_adadelta(...) TL_OPTIMIZER_(TL_ADADELTA, __VA_ARGS__)

/* Options .lr (0.001), .beta1 (0.9), .beta2 (0.99); weight decay is decoupled in both styles. Chen et al. 2023.
 *     w -= lr sign(beta1 m + (1 - beta1) g);  m = beta2 m + (1 - beta2) g */
#define tl_lion(...) TL_OPTIMIZER_(TL_LION, __VA_ARGS__)

/* Options .lr (0.001), .power (0.5), .start (0.1), .l1 (0), .l2 (0), .shrinkage (0), .beta (0). McMahan et al. 2013.
 *     V = v + g g;  z += g + 2 shrinkage w - (V^power - v^power) / lr w;  v = V;
 *     w = (min(max(z, -l1), l1) - z) / (v^power / lr + 2 l2 + beta / lr) */
#define tl_ftrl(...) TL_OPTIMIZER_(TL_FTRL, __VA_ARGS__)

/* SGD that keeps the mean of w, "average" among its slots: .lr (0.01), .lambda (1e-4), .alpha (0.75), .t0 (1e6), as
 * PyTorch has it. Polyak & Juditsky 1992.
 *     e = lr / (1 + lambda lr (t - 1))^alpha;  w = (1 - lambda e) w - e g;
 *     average += (w - average) / max(1, t - 1 - t0) */
#define tl_asgd(...) TL_OPTIMIZER_(TL_ASGD, __VA_ARGS__)

/* By the gradient's sign alone, for full batches: .lr (0.01), the first step size, .shrink (0.5), .grow (1.2), .step_min
 * (1e-6), .step_max (50). Riedmiller & Braun 1993, as PyTorch has it: where the gradient turns, it counts as 0.
 *     w -= sign(g) step,  step = step grow where g has the sign of the last one, step shrink where it has the other */
#define tl_rprop(...) TL_OPTIMIZER_(TL_RPROP, __VA_ARGS__)
#endif

/* The description of a rule with every default filled in: a start for C++, and for printing. All zero for no rule. */
TL_API tl_optimizer_desc tl_optimizer_defaults(tl_rule rule, tl_style style);

/* The moments, at the model's offsets, and the number of updates made. It grows with the model. */
typedef struct tl_optimizer tl_optimizer;

/* NULL on failure (tl_message() says why): an option out of its range, or one that the rule does not have. Free with
 * tl_optimizer_free(), before the model. */
TL_API tl_optimizer *tl_optimizer_new(tl_model *model, tl_optimizer_desc desc);
TL_API void tl_optimizer_free(tl_optimizer *optimizer); /* NULL is harmless */

/* One update of the parameters from the gradients of the session's last run; with .accumulate = n only every nth call
 * makes one, the others keep the gradients. Parameters that are frozen, or that the loss of that run does not reach, stay
 * untouched, and so do their moments. .clip_value and .clip_each change the session's gradients (unless they are
 * accumulated). Allocates only when the model has grown. TL_E_ARGUMENT if the session is of another model or a schedule
 * gives no number, TL_E_OUTPUT if its last run had no gradients (no tl_backward), TL_E_NAME if a group's pattern fits no
 * parameter, TL_E_NONFINITE if a norm that is clipped or measured is not finite: no parameter and no moment has changed
 * then, and nothing was accumulated. */
TL_API tl_status tl_optimizer_step(tl_optimizer *optimizer, tl_session *session);

/* The same with every gradient multiplied by `scale` first; the gradients themselves stay as they are. With max / norm
 * it has the bits of tl_clip_global_norm() and tl_optimizer_step(), and goes over them once less. TL_E_ARGUMENT if scale
 * is not finite. */
TL_API tl_status tl_optimizer_step_scaled(tl_optimizer *optimizer, tl_session *session, double scale);

TL_API double tl_optimizer_lr(const tl_optimizer *optimizer); /* of the next update */
/* TL_E_ARGUMENT: negative, not finite, or the learning rate follows a schedule. */
TL_API tl_status tl_optimizer_set_lr(tl_optimizer *optimizer, double lr);
TL_API uint64_t tl_optimizer_steps(const tl_optimizer *optimizer); /* updates made so far */
TL_API double tl_optimizer_norm(const tl_optimizer *optimizer);    /* that .clip_norm found last; NaN: none */
TL_API tl_optimizer_desc tl_optimizer_options(const tl_optimizer *optimizer); /* those in effect */

/* Exchanges the parameters and their averages (.ema or .swa_every): once to test or to save with the averages, once more
 * to go on. Frozen parameters stay. TL_E_ARGUMENT if no averages are kept; TL_E_MEMORY. */
TL_API tl_status tl_optimizer_swap_averages(tl_optimizer *optimizer);

/* ---- what an optimizer remembers, for saving and for resuming ------------------------------------------------------
 *
 * Arrays as many as tl_optimizer_slots() for every parameter, and a few scalars. They are all there is: an optimizer of
 * the same description, on a model with the same parameters, given both, goes on with the same bits. (Between the runs
 * of one accumulated update, a row or parameter whose gradients so far are all zero counts as not reached.) */

/* How many arrays of its own shape each parameter has, and their names ("m", "v", "average", "sum" ...; NULL for no such
 * k), from 0. */
TL_API int tl_optimizer_slots(const tl_optimizer *optimizer);
TL_API const char *tl_optimizer_slot_name(const tl_optimizer *optimizer, int k);

/* Array k of the parameter at `path`: *out is a view of the optimizer's memory in the parameter's shape and dtype, to be
 * read or written, valid until the model grows or the optimizer is freed. It is there from the start, with its initial
 * value. TL_E_NAME: no such parameter; TL_E_ARGUMENT: no such k; TL_E_MEMORY. */
TL_API tl_status tl_optimizer_slot(tl_optimizer *optimizer, int k, const char *path, tl_array *out);

typedef struct tl_optimizer_scalars {
    uint64_t steps;       /* updates made */
    uint64_t accumulated; /* runs whose gradients wait for the next update; below .accumulate */
    double lr;            /* learning rate, where no schedule gives it */
    double product;       /* of the momenta so far (Nadam), in [0, 1]; 1 for every other rule */
} tl_optimizer_scalars;

TL_API tl_optimizer_scalars tl_optimizer_get_scalars(const tl_optimizer *optimizer);
/* TL_E_ARGUMENT, and nothing is changed: a number out of its range. */
TL_API tl_status tl_optimizer_set_scalars(tl_optimizer *optimizer, tl_optimizer_scalars scalars);

/* ---- clipping: acts on the gradients of the session's last run, between tl_run() and tl_optimizer_step() --------
 *
 * The same as the optimizer's own .clip_value, .clip_each and .clip_norm, for loops that want it apart. */

/* Every element into [-limit, limit]; NaN stays NaN. TL_E_ARGUMENT unless limit > 0. */
TL_API tl_status tl_clip_value(tl_session *session, double limit);

/* The norm of all gradients together, into *norm (NULL: not wanted), and if it is above max, all scaled by max / norm;
 * INFINITY as max scales nothing. The sum is taken in double, in a fixed order. A norm that is not finite is
 * TL_E_NONFINITE, and then nothing is scaled. TL_E_ARGUMENT unless max > 0. Pascanu, Mikolov & Bengio 2013. */
TL_API tl_status tl_clip_global_norm(tl_session *session, double max, double *norm);

/* The same in other forms. */
typedef struct tl_clip_opts {
    size_t size;
    double order;   /* of the norm: 2 (default), 1 or INFINITY */
    bool each;      /* every parameter by its own norm (Keras' clipnorm); order 2 only */
    tl_style style; /* TL_TORCH (clip_grad_norm_): scaled by min(1, max / (norm + 1e-6)) */
    double *norm;   /* of all together, before; not with .each */
} tl_clip_opts;

/* TL_E_ARGUMENT: max is not above 0, or another order. */
TL_API tl_status tl_clip_norm_opt(tl_session *session, double max, const tl_clip_opts *o);
#ifndef __cplusplus
#define tl_clip_norm(...) TL_CLIP_NORM_(__VA_ARGS__, .size = sizeof(tl_clip_opts))
#define TL_CLIP_NORM_(session, max, ...) tl_clip_norm_opt((session), (max), &(tl_clip_opts){ __VA_ARGS__ })
#endif

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
