/* train/train.h - running a model function on batches: trainer, decoding, progress line, metrics, pictures, summary,
 * saving and loading.
 *
 *     tl_model *model = tl_model_new(.seed = 1);
 *     tl_trainer *trainer = tl_trainer_new(model, next_char, .optimizer = tl_adam(.lr = 1e-3), .clip_norm = 1);
 *     tl_array batch[2];
 *     double loss;
 *     while (tl_stream_next(stream, batch))
 *         if (tl_train_step(trainer, batch, 2, &loss)) return fail(tl_message());
 *
 * This is the only room that prints, and it prints only to a FILE that it is given.
 */
#ifndef TL_TRAIN_H
#define TL_TRAIN_H

#include <stdio.h>

#include "../data/data.h"
#include "../graph/graph.h"
#include "../optim/optim.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- trainer ------------------------------------------------------------------------------------------------ */

/* Records a model function once for each kind of step and each set of input shapes, and replays the plans. The model
 * function may depend on nothing but the shapes and types of its inputs, its `user` pointer (what that points to must
 * not change), tl_training(), the set of frozen parameters, and the trainer's key: lengths, masks and scheduled numbers
 * are inputs. To prove it, the trainer records again before replays 1, 2, 4, 8, ... of a plan, and compares: another
 * recording is TL_E_REPLAY, naming the line, and that step is not run. A function that calls tl_eval() is recorded for
 * every step.
 *
 * Training, testing and predicting have a session each: their states (of stateful layers) and run numbers are apart.
 * The loss may have any shape: what is minimised is its sum. A parameter that it does not reach stays as it is.
 * The output "loss" is the trainer's own: the model function gives its outputs other names (TL_E_NAME).
 * After the second step with given shapes nothing is allocated. One thread at a time.
 *
 * Batches of other shapes are other plans, unless .lengths says that in[.lengths] holds the lengths of the rows (i32 [B])
 * or a mask ([T, B], 0 = padding). Then all inputs [T, B, ...] (axis 1 counts samples, as is the default of tl_array) are
 * brought to a T that many batches share, by dropping steps that are real in no row or by more padding behind: the next
 * multiple of 4 up to 32, of 8 up to 64, of 16 up to 128 ... of the longest row, at most a quarter more from 16 on. The
 * model function must hand that input on (tl_masked, or the layers' options); then losses and gradients have the same bits
 * in exact mode. What it marks along the steps has that T; tl_predict_step() leaves T as it is. */
typedef struct tl_trainer tl_trainer;

typedef struct tl_trainer_opts {
    size_t size;
    void *user;                  /* handed to the model function */
    tl_optimizer_desc optimizer; /* default: tl_adam() */
    double clip_value;           /* above 0: the optimizer's .clip_value, for short */
    double clip_norm;            /* above 0: the optimizer's .clip_norm, likewise */
    uint64_t key;                /* of whatever else the model function depends on: see tl_trainer_set_key */
    int plans;                   /* kept at once, the least recently used being dropped; default 64 */
    FILE *explain; /* what the compiler made of each plan is written there (tl_explain); default: nowhere */
    int lengths;   /* in[this] tells which steps are real: buckets, see above. TL_ZERO: in[0]; default: none */
} tl_trainer_opts;

/* NULL on failure (tl_message() says why). Free with tl_trainer_free(), before the model. */
TL_API tl_trainer *tl_trainer_new_opt(tl_model *model, tl_model_fn fn, const tl_trainer_opts *o);
#ifndef __cplusplus
#define tl_trainer_new(...) TL_TRAINER_NEW_(__VA_ARGS__, .size = sizeof(tl_trainer_opts))
#define TL_TRAINER_NEW_(model, fn, ...) tl_trainer_new_opt((model), (fn), &(tl_trainer_opts){ __VA_ARGS__ })
#endif
TL_API void tl_trainer_free(tl_trainer *trainer); /* NULL is harmless */

/* One step on n inputs, in the order of the model function's `in`. *loss (may be NULL): the loss before the update.
 *
 * tl_train_step: forward, backward, clipping, update. tl_test_step: forward with training off; nothing is updated.
 * tl_predict_step: likewise, and the loss may be absent: give TL_ABSENT_ARRAY for the targets, and read what the model
 * function marked: tl_get(tl_trainer_session(trainer, TL_PREDICT), "logits", &array).
 *
 * Errors: those of recording and of tl_run(); TL_E_REPLAY (above); TL_E_ABSENT if the model function returned no loss;
 * TL_E_NONFINITE if the loss or the norm of the gradients is not finite: then it is as if the step had not been made, neither
 * parameters nor states have changed; the sentence names the line, scope and step of the first operation that is to blame
 * (tl_find_nonfinite). */
TL_API tl_status tl_train_step(tl_trainer *trainer, const tl_array *inputs, int n, double *loss);
TL_API tl_status tl_test_step(tl_trainer *trainer, const tl_array *inputs, int n, double *loss);
TL_API tl_status tl_predict_step(tl_trainer *trainer, const tl_array *inputs, int n);

typedef enum tl_mode { TL_TRAIN = 1, TL_TEST, TL_PREDICT } tl_mode;

/* The trainer's own objects, valid as long as it is. */
TL_API tl_session *tl_trainer_session(tl_trainer *trainer, tl_mode mode); /* NULL for no mode, or no trainer */
TL_API tl_optimizer *tl_trainer_optimizer(tl_trainer *trainer);

/* The inputs of the last step as the model function saw them: with .lengths, in their bucket's T. They describe the memory
 * that the step was given, or the trainer's own, which the next step overwrites. NULL before the first step. */
TL_API const tl_array *tl_trainer_inputs(const tl_trainer *trainer, int *n);

TL_API void tl_trainer_reset_states(tl_trainer *trainer);          /* of all three sessions, to their initial values */
TL_API double tl_trainer_norm(const tl_trainer *trainer);          /* of all gradients together, before clip_norm */
TL_API int tl_trainer_plans(const tl_trainer *trainer);            /* how many are kept at present */
TL_API void tl_trainer_set_key(tl_trainer *trainer, uint64_t key); /* plans of other keys are kept, but not used */

/* ---- history ------------------------------------------------------------------------------------------------ */

/* A table of numbers by name and epoch: what tl_fit() tells of a run. Names are sorted; a number that an epoch does not
 * have (no validation in it) is NaN. */
typedef struct tl_history tl_history;

/* A number by name: "loss", "accuracy", "val_loss", "learning_rate". */
typedef struct tl_named_number {
    char name[48];
    double value;
} tl_named_number;

TL_API tl_history *tl_history_new(void);          /* an empty one; NULL if memory is short */
TL_API void tl_history_free(tl_history *history); /* NULL is harmless */

TL_API int64_t tl_history_epochs(const tl_history *history);             /* how many rows */
TL_API int64_t tl_history_epoch(const tl_history *history, int64_t row); /* the epoch's number; -1 if there is none */
TL_API int tl_history_names(const tl_history *history);
TL_API const char *tl_history_name(const tl_history *history, int k); /* NULL outside 0 ... names - 1 */
TL_API double tl_history_value(const tl_history *history, const char *name, int64_t row); /* NaN if there is none */
/* One column, a number for each row; NULL if there is none of that name. Valid until a row is added. */
TL_API const double *tl_history_values(const tl_history *history, const char *name);

/* Adds a row, or replaces the one of that epoch and drops those after it: epochs ascend. All or nothing. */
TL_API tl_status tl_history_add(tl_history *history, int64_t epoch, const tl_named_number *logs, int n);

/* The table, for people; and as csv: "epoch" (from 0), then the names, "NA" where there is none. TL_E_FILE. */
TL_API void tl_history_print(const tl_history *history, FILE *out);
TL_API tl_status tl_history_write_csv(const tl_history *history, const char *path);

/* The curves over the epochs: a panel a name, the loss first and the learning rate last, with that of val_ in the same
 * panel. As a picture by its ending (.svg, or .png where gnuplot is: tl_plot_write()), and as text (tl_plot_print()).
 * TL_E_ARGUMENT also for a history without an epoch or of more than 64 panels. */
TL_API tl_status tl_history_plot(const tl_history *history, const char *path);
TL_API tl_status tl_history_print_plot(const tl_history *history, FILE *out);

/* ---- what is kept for a resume ------------------------------------------------------------------------------ */

/* Named numbers, arrays and texts on their way to a checkpoint or back. Whoever has something to keep names it once, in
 * one function that serves both ways: saving, the values are copied into the store; loading, they are set from it.
 *
 *     static tl_status keep(tl_store *store, void *ctx)
 *     {
 *         struct early *e = ctx;
 *         tl_store_number(store, "best", &e->best);
 *         tl_store_whole(store, "wait", &e->wait);
 *         return tl_store_status(store);
 *     }
 *
 * The first error is kept, and every call after it does nothing. What is loaded but not there is TL_E_NAME, of another
 * kind or shape TL_E_FORMAT; then nothing of it was set. */
typedef struct tl_store tl_store;

TL_API tl_store *tl_store_new(void);        /* an empty one, for saving; NULL if memory is short */
TL_API void tl_store_free(tl_store *store); /* NULL is harmless */
TL_API bool tl_store_loading(const tl_store *store);
TL_API tl_status tl_store_status(const tl_store *store);
/* Records an error of the caller's own (the first wins), with the sentence that tl_report() was given. Returns it. */
TL_API tl_status tl_store_fail(tl_store *store, tl_status status);

TL_API tl_status tl_store_number(tl_store *store, const char *name, double *x); /* exact, NaN and infinities too */
TL_API tl_status tl_store_whole(tl_store *store, const char *name, int64_t *n); /* exact up to 64 bits */
TL_API tl_status tl_store_flag(tl_store *store, const char *name, bool *yes);
/* n numbers: saving, they are copied; loading, there must be as many. */
TL_API tl_status tl_store_numbers(tl_store *store, const char *name, double *x, int64_t n);
/* An array of any shape and type. Loading, *a describes the store's own memory, valid as long as the store is. */
TL_API tl_status tl_store_array(tl_store *store, const char *name, tl_array *a);
/* Likewise a text; NULL is saved as none, and comes back as NULL. */
TL_API tl_status tl_store_text(tl_store *store, const char *name, const char **text);
/* All parameters and states of a model, by path; loading, *model NULL becomes a new one of the type that was saved
 * (the caller frees it), and a model that is there is written to. Saving NULL saves that there is none. */
TL_API tl_status tl_store_model(tl_store *store, const char *name, tl_model **model);

/* All names from here to the matching leave get `name/` in front: stores of several owners are one. */
TL_API void tl_store_enter(tl_store *store, const char *name);
TL_API void tl_store_leave(tl_store *store);

/* For who writes the file: what a store holds, under the names with all that is in front of them; and a store to load
 * from such arrays and texts, which are copied. NULL if memory is short. */
TL_API const tl_named_array *tl_store_arrays(const tl_store *store, int *n);
TL_API const tl_named_text *tl_store_texts(const tl_store *store, int *n);
TL_API tl_store *tl_store_load(const tl_named_array *arrays, int n, const tl_named_text *texts, int n_texts);

/* ---- callbacks ---------------------------------------------------------------------------------------------- */

/* Where a tl_fit() is. Callbacks read it; what they may write is said. Epochs and batches count from 0. */
typedef struct tl_fit_state {
    size_t size;
    tl_trainer *trainer; /* with the optimizer (learning rate), and the sessions of training and of validation */
    tl_model *model;
    tl_model_fn fn; /* the model function, and its `user` */
    void *user;
    int64_t epoch, epochs;  /* the present one, and where to end: .epochs. Who resumes sets epoch in train_begin */
    int64_t batch, batches; /* batch_end: the one just made. Otherwise: made so far in this epoch (who resumes in the
                               midst of an epoch sets it in train_begin). batches: in an epoch; -1 if not known */
    int64_t samples;        /* of this epoch so far */
    bool validation;        /* is there data for it? */
    uint64_t seed;          /* of the order of samples, which depends on it and the epoch alone */
    bool stop;              /* may be set: the run ends in order, as if it were over, but see tl_callback */
    tl_status status;       /* train_end: TL_OK, or why the run fails. batch_end: TL_OK, or TL_E_NONFINITE */
    const tl_named_number
        *logs;  /* batch_end: means of the epoch so far; epoch_end: the epoch's, with val_ after validation */
    int n_logs; /* sorted by name */
    tl_history *history;
    struct tl_callback *callbacks;
    int n_callbacks;
    FILE *out; /* where the run prints, NULL: nowhere */
    int verbose;
    struct tl_fit_inner *inner; /* the library's own */
} tl_fit_state;

/* One of the logs; NaN if there is none of that name. tl_fit_set_log: adds or changes one, from epoch_end, for the
 * callbacks that follow and for the history (Keras' callbacks add "learning_rate" so). */
TL_API double tl_fit_log(const tl_fit_state *state, const char *name);
TL_API tl_status tl_fit_set_log(tl_fit_state *state, const char *name, double value);

/* Saves or loads where a run is: epoch, batch, sums and metrics of the present epoch, history, and what the callbacks
 * keep, each under its name and number. Saved in epoch_end, it is the beginning of the next epoch; in batch_end, the
 * next batch. Parameters, optimizer and sessions are not in it: they are the trainer's. Loading (train_begin of a callback
 * that is .last) lets the run go on from there; TL_E_FORMAT if metrics or callbacks are others than were saved. */
TL_API tl_status tl_fit_keep(tl_fit_state *state, tl_store *store);

/* Functions that tl_fit() calls, in the order of the callbacks; any may be NULL. A user's own is a literal:
 *     (tl_callback){ .name = "sample", .ctx = &net, .epoch_end = show_sample }
 *
 * train_begin comes before the first epoch, and train_end after the last, after a failure too (then state->status says
 * which). A function that returns another status than TL_OK ends the run, which fails with that status and with a
 * sentence that names the callback. `state->stop` ends it well: set in epoch_begin, before that epoch; in batch_end,
 * after that batch: the epoch stays unfinished, with no validation, no epoch_end and no line in the history; in
 * epoch_end, after that epoch.
 *
 * batch_end is also called for a batch whose loss is not finite, with state->status TL_E_NONFINITE and the logs as they
 * are before it: who sets `stop` then lets the run end well (tl_nan_stop); otherwise it fails.
 *
 * keep saves and loads what the callback has learned so far, called after train_begin. tl_fit() takes its callbacks over:
 * it calls free on each of them in the end, whatever happens. */
typedef struct tl_callback {
    const char *name; /* in messages and checkpoints; static */
    void *ctx;
    tl_status (*train_begin)(tl_fit_state *state, void *ctx);
    tl_status (*epoch_begin)(tl_fit_state *state, void *ctx);
    tl_status (*batch_end)(tl_fit_state *state, void *ctx);
    tl_status (*epoch_end)(tl_fit_state *state, void *ctx);
    tl_status (*train_end)(tl_fit_state *state, void *ctx);
    tl_status (*keep)(tl_store *store, void *ctx);
    void (*free)(void *ctx);
    bool last;        /* called after all that are not, and after the history has its line: who saves sees all done, who
                         resumes comes after all have begun */
    tl_status status; /* of making it: tl_fit() fails with it before anything else */
} tl_callback;

/* For callbacks that no tl_fit() was given. */
TL_API void tl_callback_free(tl_callback *callback);

/* ---- fit, evaluate, predict --------------------------------------------------------------------------------- */

typedef struct tl_fit_opts {
    size_t size;
    /* as in tl_trainer_opts; or a trainer made beforehand, which then brings all of these: a further tl_fit() on it goes
     * on with its moments and learning rate */
    void *user;
    tl_optimizer_desc optimizer;
    double clip_value, clip_norm;
    int lengths;
    FILE *explain;
    tl_trainer *trainer;

    int64_t epochs;        /* the number of the epoch to stop before (default 1; TL_ZERO: none is run) ... */
    int64_t initial_epoch; /* ... and of the first one, from 0 */
    int64_t batch;         /* samples in one (default 32; the last of an epoch may have fewer) */
    bool drop_last;        /* no short last batch */
    bool no_shuffle;  /* samples in their order; default: a new order each epoch, from .seed and its number (data that
                              comes as a stream stays as it comes) */
    int64_t buckets;  /* rows of like length come together, as in tl_loader_opts, and ... */
    int by;           /* ... the ragged field whose lengths count for that */
    bool keep_states; /* states of stateful layers go on from epoch to epoch (Keras); default: initial ones */
    uint64_t seed;    /* of the orders; default: the model's */

    double validation_split;      /* in (0, 1): of n samples the last n - floor(n (1 - this)) are not trained on */
    const tl_dataset *validation; /* or other data. Their loss and metrics get names with val_ in front */
    int64_t validation_every;     /* in epochs (default 1) */

    const struct tl_metric_desc *metrics;
    int n_metrics;
    tl_callback *callbacks; /* taken over, see tl_callback */
    int n_callbacks;
    tl_history *
        *history; /* where the run is told epoch by epoch, there after a failure too; *history NULL: a new one is
                             made, otherwise rows are added. Free with tl_history_free() */
    FILE *out;    /* where progress is printed; default nowhere */
    const char
        *resume; /* a checkpoint to go on from, if that file is there, with the bits of a run that was never stopped;
                           the call is otherwise the one that was interrupted. Default: none */
    int verbose; /* 1 (default): a line that moves, on a terminal; 2: a line an epoch; TL_ZERO: nothing */
} tl_fit_opts;

/* Trains a model function on a dataset as Keras' fit() does: .epochs times over all batches, each a step of a trainer
 * (tl_train_step); after each epoch, with validation data, a pass over these in test mode (dropout off, nothing learned).
 * The model function returns the mean loss over the batch, penalties included. An epoch's "loss" is the mean of the batch
 * losses weighted by the batches' samples, each measured before its update; metrics are streamed over the epoch
 * likewise. Weights, lengths and masks are fields of the dataset, and so inputs of the model function: in validation too.
 * Keras' class weights are for training alone: .weights = tl_training(s) ? in[3] : TL_NONE.
 *
 *     tl_history *history = NULL;
 *     if (tl_fit(model, next_char, data, .optimizer = tl_adam(.lr = 1e-3), .epochs = 20, .validation_split = 0.2,
 *                .metrics = (tl_metric_desc[]){ tl_accuracy() }, .n_metrics = 1, .history = &history, .out = stdout,
 *                .callbacks = (tl_callback[]){ tl_early_stopping(.patience = 3) }, .n_callbacks = 1))
 *         return fail(tl_message());
 *
 * Errors, after which the model is as the last good step left it and *history has all epochs that were finished: those of
 * loader, step (TL_E_NONFINITE: a loss that is not finite) and metrics, whose sentence then names epoch and batch, and
 * those of callbacks. All sentences begin with the line of this call. */
TL_API tl_status tl_fit_opt(tl_place at, tl_model *model, tl_model_fn fn, tl_dataset *data, const tl_fit_opts *o);

typedef struct tl_evaluate_opts {
    size_t size;
    void *user;
    int lengths;         /* as in tl_trainer_opts */
    tl_trainer *trainer; /* one made beforehand, whose plans serve again; then .user and .lengths are its */
    int64_t batch;       /* samples in one (default 32) */
    const struct tl_metric_desc *metrics;
    int n_metrics;
    int batch_axis; /* tl_predict: which axis of the output counts samples. Default: 1 from rank 3 on ([T, B, ...]), else
                       0 ([B], [B, C]); TL_ZERO: 0 */
    FILE *out;      /* where progress is printed; default nowhere */
    int verbose;    /* as in tl_fit_opts */
} tl_evaluate_opts;

/* The loss in test mode, weighted as in tl_fit, into results[0], and the metrics, in their order, into results[1 ...]. */
TL_API tl_status tl_evaluate_opt(tl_place at, tl_model *model, tl_model_fn fn, tl_dataset *data, double *results,
                                 const tl_evaluate_opts *o);

/* What the model function marked as `output` for every sample, in the order of the dataset, in one array, sample first
 * like a dataset's fields: outputs [B, ...] of batches become [N, ...], and time-major ones [T, B, ...] become [N, T, ...].
 * Where T differs from batch to batch, it is the longest, and shorter ones are followed by zeros. Targets may be fields that
 * are absent (TL_ABSENT_ARRAY). *out is to be freed with tl_array_free(); its data is NULL after a failure.
 * TL_E_SHAPE: an output whose batch axis does not have the batch's samples. */
TL_API tl_status tl_predict_opt(tl_place at, tl_model *model, tl_model_fn fn, tl_dataset *data, const char *output,
                                tl_array *out, const tl_evaluate_opts *o);

#ifndef __cplusplus
#define tl_fit(model, fn, ...) TL_FIT_(model, fn, __VA_ARGS__, .size = sizeof(tl_fit_opts))
#define TL_FIT_(model, fn, data, ...) tl_fit_opt(TL_HERE, (model), (fn), (data), &(tl_fit_opts){ __VA_ARGS__ })
#define tl_evaluate(model, fn, data, ...) TL_EVALUATE_(model, fn, data, __VA_ARGS__, .size = sizeof(tl_evaluate_opts))
#define TL_EVALUATE_(model, fn, data, results, ...)                                                                    \
    tl_evaluate_opt(TL_HERE, (model), (fn), (data), (results), &(tl_evaluate_opts){ __VA_ARGS__ })
#define tl_predict(model, fn, data, output, ...)                                                                       \
    TL_PREDICT_(model, fn, data, output, __VA_ARGS__, .size = sizeof(tl_evaluate_opts))
#define TL_PREDICT_(model, fn, data, output, to, ...)                                                                  \
    tl_predict_opt(TL_HERE, (model), (fn), (data), (output), (to), &(tl_evaluate_opts){ __VA_ARGS__ })
#endif

/* ---- ready-made callbacks ----------------------------------------------------------------------------------- */

/* Each is a function that returns a tl_callback for one tl_fit(), with options as elsewhere. Texts that they are given are
 * not copied. What cannot be made carries its status, with which tl_fit() then fails.
 *
 * A `monitor` is one of the logs, by name. Missing logs are TL_E_NAME, but for those of validation in an epoch without
 * one, which then does not count. */

/* Is the smaller or the larger number the better? Auto: of losses, errors and perplexities the smaller, of the other metrics
 * the larger; TL_E_ARGUMENT for a log that is neither. */
typedef enum tl_better { TL_AUTO, TL_SMALLER, TL_LARGER } tl_better;

/* What an early stopping has seen: for the caller who wants to know. */
typedef struct tl_early_stopping_result {
    double best;
    int64_t best_epoch;    /* from 0 */
    int64_t stopped_epoch; /* the last one that was run; 0: it did not stop */
} tl_early_stopping_result;

typedef struct tl_early_stopping_opts {
    size_t size;
    const char *monitor; /* default "val_loss" */
    tl_better mode;
    double min_delta;  /* better means: by more than this (default 0) */
    int64_t patience;  /* epochs in a row that may fail to be better (default 0) */
    double baseline;   /* above 0: as long as the best is not better than this, patience runs out all the same */
    bool restore_best; /* in the end the model gets the parameters and states of its best epoch, after a failure too */
    int64_t start_from_epoch;         /* those before do not count */
    tl_early_stopping_result *result; /* filled in in the end; NULL: not wanted */
} tl_early_stopping_opts;

/* Stops when the monitor has not become better for .patience epochs (never after the first epoch), as Keras'
 * EarlyStopping decides. */
TL_API tl_callback tl_early_stopping_opt(const tl_early_stopping_opts *o);

typedef struct tl_reduce_lr_opts {
    size_t size;
    const char *monitor; /* default "val_loss" */
    tl_better mode;
    tl_plateau plateau; /* .patience, .factor, .min_delta, .cooldown, .min_lr, .style; .highest is told by mode */
    FILE *out;          /* where it says so; default nowhere */
} tl_reduce_lr_opts;

/* Lowers the learning rate when the monitor no longer gets better: Keras' ReduceLROnPlateau, or PyTorch's
 * (tl_plateau). The log "learning_rate" is the rate of the epoch. */
TL_API tl_callback tl_reduce_lr_opt(const tl_reduce_lr_opts *o);

typedef struct tl_learning_rate_opts {
    size_t size;
    double (*fn)(int64_t epoch, double lr, void *user); /* the rate for an epoch, from 0, and the rate before; or ... */
    void *user;
    tl_schedule
        schedule; /* ... a schedule, by the number of the epoch; its .lr is by default the optimizer's at first */
} tl_learning_rate_opts;

/* Sets the learning rate at the beginning of each epoch (Keras' LearningRateScheduler); log "learning_rate". */
TL_API tl_callback tl_learning_rate_opt(const tl_learning_rate_opts *o);

/* Lets a run end well where a loss is not finite, in place of failing (Keras' TerminateOnNaN). */
TL_API tl_callback tl_nan_stop(void);

typedef struct tl_csv_log_opts {
    size_t size;
    char separator; /* default ',' */
    bool append;    /* rows of earlier epochs stay, those of this and later ones go; default: a new file */
} tl_csv_log_opts;

/* Writes the logs of each epoch as a row of a file: "epoch" (from 0), then the names, sorted; "NA" where one is missing.
 * What the first epoch has (and val_ of it, with validation) are the columns. Each row is in the file at once. */
TL_API tl_callback tl_csv_log_opt(const char *path, const tl_csv_log_opts *o);

typedef struct tl_checkpoint_opts {
    size_t size;
    int64_t every;         /* epochs (default 1) ... */
    int64_t every_batches; /* ... or batches, counted on from epoch to epoch */
    bool best_only;        /* only when the monitor is better than ever before ... */
    const char *monitor;   /* (default "val_loss") */
    tl_better mode;
    double threshold;  /* ... and than this (default: none; TL_ZERO: zero) */
    bool weights_only; /* a model's file (tl_model_save), with which no run can go on */
    int keep; /* the last so many files stay, those before are removed (default: all). For paths with names in braces */
} tl_checkpoint_opts;

/* Saves the run (tl_checkpoint_save; Keras' ModelCheckpoint): .resume goes on from that file. In `path` numbers in braces are
 * filled in, as Python formats them: epoch and batch (from 1) and all logs: "run-{epoch:02d}-{val_loss:.2f}.safetensors". A
 * format has, in this order and each optional, 0, a width, a point with digits, and one of d e f g; {{ and }} are braces.
 * Where a file cannot be written the run fails (TL_E_FILE) with its model as it is, and the old file is there. */
TL_API tl_callback tl_checkpoint_opt(const char *path, const tl_checkpoint_opts *o);

typedef struct tl_text_sample_opts {
    size_t size;
    const char *prompt; /* default: the vocabulary's first symbol */
    int64_t length;     /* symbols to be drawn (default 200) */
    int64_t every;      /* epochs (default 1) */
    double temperature; /* as in tl_decode_opts, likewise the next two; the seed is another each epoch */
    int top_k;
    uint64_t seed;
    tl_model_fn step; /* the step function (default: the model function itself), and its `user` (default: the run's) */
    void *user;
    FILE *out; /* default: where the run prints */
} tl_text_sample_opts;

/* After an epoch, writes text drawn from the model with tl_sample(): the prompt, then what follows. The network is one
 * over ids [T, B] with states (.stateful) and marks "logits". */
TL_API tl_callback tl_text_sample_opt(const tl_vocab *vocab, const tl_text_sample_opts *o);

#ifndef __cplusplus
/* A callback of the user's own functions: tl_lambda(.epoch_end = show, .ctx = &net). */
#define tl_lambda(...) ((tl_callback){ __VA_ARGS__ })
#define tl_early_stopping(...)                                                                                         \
    tl_early_stopping_opt(&(tl_early_stopping_opts){ .size = sizeof(tl_early_stopping_opts), __VA_ARGS__ })
#define tl_reduce_lr(...) tl_reduce_lr_opt(&(tl_reduce_lr_opts){ .size = sizeof(tl_reduce_lr_opts), __VA_ARGS__ })
#define tl_learning_rate(...)                                                                                          \
    tl_learning_rate_opt(&(tl_learning_rate_opts){ .size = sizeof(tl_learning_rate_opts), __VA_ARGS__ })
#define tl_csv_log(...) TL_CSV_LOG_(__VA_ARGS__, .size = sizeof(tl_csv_log_opts))
#define TL_CSV_LOG_(path, ...) tl_csv_log_opt((path), &(tl_csv_log_opts){ __VA_ARGS__ })
#define tl_checkpoint(...) TL_CHECKPOINT_(__VA_ARGS__, .size = sizeof(tl_checkpoint_opts))
#define TL_CHECKPOINT_(path, ...) tl_checkpoint_opt((path), &(tl_checkpoint_opts){ __VA_ARGS__ })
#define tl_text_sample(...) TL_TEXT_SAMPLE_(__VA_ARGS__, .size = sizeof(tl_text_sample_opts))
#define TL_TEXT_SAMPLE_(vocab, ...) tl_text_sample_opt((vocab), &(tl_text_sample_opts){ __VA_ARGS__ })
#endif

/* ---- decoding ----------------------------------------------------------------------------------------------- */

/* One sequence that was found: its symbols, .end included. Where fewer were found than asked for: n = 0 and ids
 * NULL. */
typedef struct tl_sequence {
    const int32_t *ids;
    int64_t n;
    double log_prob; /* ln of its probability: the sum of ln softmax(logits)[id] over its symbols */
    double score;    /* what sequences are ranked by: log_prob over the length penalty */
    bool ended;      /* by .end; otherwise it was cut off at .max_length */
} tl_sequence;

/* sequence[b * beam + k] is source b's k-th best. Free with tl_sequences_free(). */
typedef struct tl_sequences {
    tl_sequence *sequence;
    int64_t sources, beam;
    int32_t *ids; /* of all sequences */
    int64_t n_ids;
} tl_sequences;
TL_API void tl_sequences_free(tl_sequences *s); /* NULL, and all zero, are harmless */

typedef struct tl_decode_opts {
    size_t size;
    int64_t max_length;    /* symbols a sequence may have, required */
    int beam;              /* hypotheses kept for each source (default 1: greedy); sequences drawn, in tl_sample */
    int32_t start;         /* the symbol before the first (default 0) */
    const int32_t *prompt; /* n_prompt symbols that are fed in place of .start, the same for every source */
    int64_t n_prompt;
    int32_t end;           /* the symbol that ends a sequence; TL_ZERO: id 0; default: none, all get .max_length */
    double length_penalty; /* alpha: score = log_prob / ((5 + n) / 6)^alpha for n symbols (default 0) */
    int64_t sources;       /* default: the rows of the inputs and of .session's states; 1 if there are neither */
    const tl_session
        *session;       /* the states to start from, one row a source; it is not changed. Default: initial ones */
    double temperature; /* tl_sample: logits are divided by this (default 1); TL_ZERO: the likeliest */
    int top_k;          /* tl_sample: draws only among this many of the likeliest (default: all) */
    uint64_t seed;      /* tl_sample: of the numbers drawn, which depend on it, row and step alone */
} tl_decode_opts;

/* The likeliest sequences of a step function, by beam search (Sutskever et al. 2014; length penalty of Wu et al. 2016):
 * of all hypotheses' successors the .beam best go on; those that end here leave the beam and are kept, so the greedy
 * search is .beam = 1. It stops when no hypothesis can outdo the results any more, or at .max_length, where what has
 * not ended counts as it is. Equal scores: the earlier hypothesis first, then the lower id.
 *
 * The step function is a model function that makes one step: in[0] holds the last symbols, i32 [1, R], R = sources x
 * beam; it marks tl_output(s, "logits", [R, V] or [1, R, V]), and what it carries from step to step are its session's
 * states: tl_rnn(.stateful = true), or tl_state and tl_next. A network over sequences [T, B] with stateful layers is a
 * step function as it is. A returned loss is not looked at.
 *
 * The n inputs are in[1], in[2] ... (TL_ABSENT_ARRAY: TL_NONE): what stays the same during the search, such as encoded
 * sources, lengths or the states that tl_state(s, "h", in[1]) starts from. Each but scalars has one row a source along
 * its batch axis (mind the default of tl_array: a [B, H] needs .batch_axis = TL_ZERO), and comes to the function with
 * every row repeated .beam times. Sources do not see each other: each gets what it gets alone.
 *
 * Errors: those of recording and of tl_run(); TL_E_OUTPUT and TL_E_SHAPE for missing logits or such of another shape;
 * TL_E_NONFINITE for logits that are NaN, inf or all -inf (some -inf are symbols that cannot come); TL_E_SHAPE if
 * inputs, states and .sources differ in rows; TL_E_REPLAY if the function calls tl_eval(). *out is then empty.
 *     tl_sequences found;
 *     tl_beam_search(model, decoder, &memory, 1, &net, &found, .beam = 5, .end = 2, .max_length = 50); */
TL_API tl_status tl_beam_search_opt(tl_model *model, tl_model_fn step, const tl_array *inputs, int n, void *user,
                                    tl_sequences *out, const tl_decode_opts *o);

/* Sequences drawn symbol by symbol from softmax(logits / temperature); otherwise as tl_beam_search. */
TL_API tl_status tl_sample_opt(tl_model *model, tl_model_fn step, const tl_array *inputs, int n, void *user,
                               tl_sequences *out, const tl_decode_opts *o);
#ifndef __cplusplus
#define tl_beam_search(model, step, inputs, n, user, ...)                                                              \
    TL_DECODE_(tl_beam_search_opt, model, step, inputs, n, user, __VA_ARGS__, .size = sizeof(tl_decode_opts))
#define tl_sample(model, step, inputs, n, user, ...)                                                                   \
    TL_DECODE_(tl_sample_opt, model, step, inputs, n, user, __VA_ARGS__, .size = sizeof(tl_decode_opts))
#define TL_DECODE_(fn, model, step, inputs, n, user, out, ...)                                                         \
    fn((model), (step), (inputs), (n), (user), (out), &(tl_decode_opts){ __VA_ARGS__ })
#endif

/* CTC's best path: of each row of log_probs [T, B, V] (logits will do) the likeliest symbol of each step, the lower id
 * of equals, repeats merged and then blanks dropped. lengths [B] (NULL: all of T); row b's counts[b] symbols start at
 * ids[b * T]. */
TL_API tl_status tl_ctc_greedy(const tl_array *log_probs, const int32_t *lengths, int32_t blank, int32_t *ids,
                               int32_t *counts);

/* ---- progress ----------------------------------------------------------------------------------------------- */

/* A line that shows how far an epoch has come. On a terminal: a bar, the rate and the remaining time, redrawn in place.
 * In a file or pipe: plain lines, one at the end and one for each tenth that takes longer than ten seconds. By value,
 * nothing to free; out NULL prints nothing. */
typedef struct tl_progress {
    FILE *out;
    char label[48];
    char unit[16];
    int64_t total, done;
    double start, shown; /* seconds of a monotonic clock */
    int tenths, width;   /* shown so far; of the last line on a terminal */
    bool terminal, steps;
    double first; /* when the first step was done */
} tl_progress;

/* `total` units are to be done; `unit` names them in the rate: (stdout, "epoch 1/20", 22451, "chars"). */
TL_API tl_progress tl_progress_begin(FILE *out, const char *label, int64_t total, const char *unit);
/* The line that Keras shows for an epoch of `total` steps (-1: not known): "12/782 ━━━━ 3s 50ms/step" and then the text;
 * the time is what is left, in the end what has passed. In a file or pipe, and with `brief` anywhere: "782/782 - 38s -
 * 50ms/step" and the text, `brief` only in the end. */
TL_API tl_progress tl_progress_steps(FILE *out, int64_t total, bool brief);
/* Will tl_progress_show() show anything at `done`? So that text is made only where it is seen. */
TL_API bool tl_progress_due(tl_progress *p, int64_t done);
/* `done` units in all are done; `text` (NULL: none) is shown at the end of the line: "loss 1.234". */
TL_API void tl_progress_show(tl_progress *p, int64_t done, const char *text);
/* The final line. Returns the seconds since tl_progress_begin(). */
TL_API double tl_progress_end(tl_progress *p, const char *text);

/* ---- metrics ------------------------------------------------------------------------------------------------ */

/* What is measured over batches, as Keras' streaming metrics: sums go on from update to update, the result is of all
 * together. A description by value, made by the macros below (tl_accuracy(.target = 2)); tl_metric_new() makes the object
 * with the sums, and tl_fit() does so itself.
 *
 * Shapes, R being any axes ([B], or [T, B] of a sequence): predictions [R..., C] of f32 or f64; targets [R..., C] of any
 * type, or one a row, [R...] or [R..., 1], which then are class ids (where C is 1: the numbers themselves). Predictions of
 * rank 1 are [B, 1]; a sequence of single numbers is [T, B, 1], since the last axis counts columns. Weights broadcast to
 * the rows [R...] ([B] to [T, B], a scalar to all) and may have a last axis of 1; weights of the predictions' own shape
 * weigh each element (kinds that go by elements only). i32 [B] with rows [T, B] are lengths: steps from there on do
 * not count, and then T may differ between targets and predictions. A mask is weights of 0 and 1.
 *
 * Rows of weight 0 are not looked at, whatever they hold. Elsewhere a NaN, in predictions, targets or weights, makes the
 * result NaN until the next tl_metric_reset(): it is never taken for a right or a wrong answer. Every row weighs the same,
 * whatever batch it is in; Keras takes the mean over steps first, which is the same where all batches have one T. Sums are
 * in double. */
typedef enum tl_metric_kind {
    TL_METRIC_ACCURACY = 1,
    TL_METRIC_BINARY_ACCURACY,
    TL_METRIC_CATEGORICAL_ACCURACY,
    TL_METRIC_SPARSE_CATEGORICAL_ACCURACY,
    TL_METRIC_TOP_K_ACCURACY,
    TL_METRIC_PRECISION,
    TL_METRIC_RECALL,
    TL_METRIC_F1,
    TL_METRIC_AUC,
    TL_METRIC_CONFUSION,
    TL_METRIC_MEAN,
    TL_METRIC_MSE,
    TL_METRIC_RMSE,
    TL_METRIC_MAE,
    TL_METRIC_R2,
    TL_METRIC_COSINE,
    TL_METRIC_CROSS_ENTROPY,
    TL_METRIC_BINARY_CROSS_ENTROPY,
    TL_METRIC_PERPLEXITY,
    TL_METRIC_BITS_PER_CHARACTER,
    TL_METRIC_KL,
    TL_METRIC_POISSON,
    TL_METRIC_KINDS
} tl_metric_kind;

/* How the columns (classes) of a prediction become one number: all their elements counted together; the mean of each
 * column's result; that mean weighted by how often the class is in the targets (R2: by the variance). */
typedef enum tl_average { TL_MICRO = 1, TL_MACRO, TL_WEIGHTED } tl_average;

typedef enum tl_curve { TL_ROC = 1, TL_PR } tl_curve;

/* The height of a curve between two thresholds: in between (of TL_PR: Davis & Goadrich 2006), the lower, the upper. */
typedef enum tl_summation { TL_INTERPOLATION = 1, TL_MINORING, TL_MAJORING } tl_summation;

typedef struct tl_metric_desc {
    size_t size;
    tl_metric_kind kind;
    const char *name;         /* in histories (default: the kind's, "accuracy"); not copied */
    const char *output;       /* the marked output that is the prediction (default "logits"); not copied */
    int target;               /* index of the targets among the inputs (default 1; TL_ZERO: in[0]) */
    int weights;              /* of the weights, a mask or lengths (default: none; TL_ZERO: in[0]) */
    bool from_logits;         /* predictions are logits: see the kinds. Nothing else says so, not the output's name */
    double threshold;         /* a prediction above it is positive (default 0.5) */
    const double *thresholds; /* several, ascending, copied: precision, recall, F1 (a result each), AUC */
    int n_thresholds;         /* AUC without .thresholds: so many, evenly spread (default 200, at least 2) */
    int k;        /* the k largest of a row (accuracy: default 5; precision, recall, F1: positive are these) */
    int class_id; /* only this column (default: all; TL_ZERO: column 0) */
    int ignore;   /* rows whose class id this is do not count (default: none; TL_ZERO: id 0) */
    tl_average average;
    double beta;      /* F1: recall weighs beta times as much as precision (default 1) */
    double smoothing; /* label smoothing of cross-entropies, in [0, 1) (default 0) */
    int regressors;   /* R2: how many numbers the predictions are made of; above 0 the result is adjusted for them,
                         1 - (1 - R2) (n - 1) / (n - regressors - 1) for n elements, if that many are enough */
    tl_curve curve;   /* AUC (default TL_ROC) */
    tl_summation summation; /* AUC (default TL_INTERPOLATION) */
} tl_metric_desc;

#ifndef __cplusplus
#define TL_METRIC_(k, ...) ((tl_metric_desc){ .size = sizeof(tl_metric_desc), .kind = TL_METRIC_##k, __VA_ARGS__ })

/* The part of answers that are right. accuracy chooses by shapes, as Keras: one column, binary; one target a row,
 * sparse; else categorical. Binary: target == (prediction > threshold), the mean over columns; with .from_logits the
 * sigmoid is compared. Categorical, sparse: the largest column (the first of equals) is that of the target. top_k: fewer
 * than k columns are larger than the target's, for targets of either form. */
#define tl_accuracy(...) TL_METRIC_(ACCURACY, __VA_ARGS__)
#define tl_binary_accuracy(...) TL_METRIC_(BINARY_ACCURACY, __VA_ARGS__)
#define tl_categorical_accuracy(...) TL_METRIC_(CATEGORICAL_ACCURACY, __VA_ARGS__)
#define tl_sparse_categorical_accuracy(...) TL_METRIC_(SPARSE_CATEGORICAL_ACCURACY, __VA_ARGS__)
#define tl_top_k_accuracy(...) TL_METRIC_(TOP_K_ACCURACY, __VA_ARGS__)

/* tp / (tp + fp), tp / (tp + fn) and their mean (1 + beta^2) P R / (beta^2 P + R), counted over elements that are positive
 * if above the threshold or, with .k and several columns, among the k largest of their row (with .k and .threshold: both);
 * 0 / 0 is 0; targets are positive if not 0. With .from_logits the sigmoid is compared. Default averages: micro; of F1:
 * macro, and .k = 1 (F1 has Keras' 1e-7 added to its divisors). tl_metric_results(): of each threshold, the first of which
 * is the result, and with macro or weighted averages of each class in it. */
#define tl_precision(...) TL_METRIC_(PRECISION, __VA_ARGS__)
#define tl_recall(...) TL_METRIC_(RECALL, __VA_ARGS__)
#define tl_f1(...) TL_METRIC_(F1, __VA_ARGS__)

/* The area under the curve of true against false positives (ROC), or of precision against recall (PR), from the counts
 * at thresholds spread over [0, 1], as Keras. Predictions outside [0, 1] are TL_E_ARGUMENT: say .from_logits, for the
 * sigmoid. Micro (default) or macro average. */
#define tl_auc(...) TL_METRIC_(AUC, __VA_ARGS__)

/* How often class i (row) was taken for class j (column); of one column: classes 0 and 1, by the threshold. The result is
 * the accuracy; tl_metric_results() gives the C * C counts by rows, tl_confusion_print() a table. */
#define tl_confusion(...) TL_METRIC_(CONFUSION, __VA_ARGS__)

/* The mean of the prediction itself: no target is needed. A scalar loss with the batch's size as its weight: Keras' loss
 * of an epoch. */
#define tl_mean_metric(...) TL_METRIC_(MEAN, __VA_ARGS__)

/* Means of (y - p)^2, its root, |y - p|; 1 - sum (y - p)^2 / sum (y - mean y)^2, a column's or their mean (.average =
 * TL_WEIGHTED: weighted by the columns' variances); the cosine of the angle between rows. */
#define tl_mse_metric(...) TL_METRIC_(MSE, __VA_ARGS__)
#define tl_rmse_metric(...) TL_METRIC_(RMSE, __VA_ARGS__)
#define tl_mae_metric(...) TL_METRIC_(MAE, __VA_ARGS__)
#define tl_r2_metric(...) TL_METRIC_(R2, __VA_ARGS__)
#define tl_cosine_metric(...) TL_METRIC_(COSINE, __VA_ARGS__)

/* -sum t ln p, of the row's probabilities (divided by their sum, clipped into [1e-7, 1 - 1e-7]) or of logits; targets
 * are ids or distributions. Binary: the mean over columns of -t ln p - (1 - t) ln(1 - p). Perplexity is exp of the mean
 * cross-entropy, bits per character that mean / ln 2. KL: sum t ln(t / p), both clipped into [1e-7, 1] (logits:
 * softmax first). Poisson: the mean over columns of p - t ln(p + 1e-7) (logits: p = exp). A negative probability is
 * TL_E_ARGUMENT: logits that were not said to be. */
#define tl_cross_entropy_metric(...) TL_METRIC_(CROSS_ENTROPY, __VA_ARGS__)
#define tl_binary_cross_entropy_metric(...) TL_METRIC_(BINARY_CROSS_ENTROPY, __VA_ARGS__)
#define tl_perplexity(...) TL_METRIC_(PERPLEXITY, __VA_ARGS__)
#define tl_bits_per_character(...) TL_METRIC_(BITS_PER_CHARACTER, __VA_ARGS__)
#define tl_kl_metric(...) TL_METRIC_(KL, __VA_ARGS__)
#define tl_poisson_metric(...) TL_METRIC_(POISSON, __VA_ARGS__)
#endif

typedef struct tl_metric tl_metric;

/* NULL on failure (tl_message() says why): no such kind, an option out of its range or one that the kind does not have.
 * Free with tl_metric_free(). */
TL_API tl_metric *tl_metric_new(tl_metric_desc desc);
TL_API void tl_metric_free(tl_metric *metric); /* NULL is harmless */

/* Adds a batch. weights may be NULL, and target where none is needed. Nothing has changed after an error: TL_E_ABSENT,
 * TL_E_DTYPE; TL_E_SHAPE, also if the number of columns differs from that of the updates before where that matters;
 * TL_E_INDEX for a class id that is no whole number in [0, C); TL_E_ARGUMENT for predictions that are no probabilities
 * (above); TL_E_MEMORY. Allocates in the first update and where C grows. */
TL_API tl_status tl_metric_update(tl_metric *metric, const tl_array *target, const tl_array *prediction,
                                  const tl_array *weights);

/* The result of all updates since the last reset; 0 / 0 is 0, as in Keras (perplexity then 1). NaN for NULL. */
TL_API double tl_metric_result(const tl_metric *metric);

/* All single results that the kind has (above; otherwise the result alone) into out, at most `room` of them. Returns how
 * many there are; 0 before the first update where that number depends on the columns. */
TL_API int64_t tl_metric_results(const tl_metric *metric, double *out, int64_t room);

TL_API void tl_metric_reset(tl_metric *metric); /* as before the first update, but for the memory */

/* The description with every default filled in: its .name, .output, .target and .weights (-1: none) are what to update
 * from. */
TL_API tl_metric_desc tl_metric_options(const tl_metric *metric);

/* The sums, for saving and resuming in the middle of an epoch: f64 [n], in the metric's own memory, valid until the next
 * update; and back, into a metric of the same description. TL_E_SHAPE, TL_E_DTYPE. */
TL_API tl_array tl_metric_sums(const tl_metric *metric);
TL_API tl_status tl_metric_set_sums(tl_metric *metric, const tl_array *sums);

/* The table of a confusion matrix: a row a class with its counts and recall, and precision below. names (NULL: numbers)
 * has one text for each class. TL_E_ARGUMENT if the metric is another kind, or has seen nothing. */
TL_API tl_status tl_confusion_print(const tl_metric *metric, const char *const *names, FILE *out);

/* ---- pictures ----------------------------------------------------------------------------------------------- */

/* Numbers to be drawn as a line. */
typedef struct tl_series {
    const char *name;    /* in the legend, UTF-8; NULL: it is not listed there */
    const double *x, *y; /* n of each; x NULL: 1, 2, ... n */
    int64_t n;
} tl_series;

/* A panel: series over common axes. NaN and infinity make a gap in the line, and so do numbers beyond 1e300, and numbers
 * that are not above 0 along a logarithmic axis; a point between two gaps is a dot. */
typedef struct tl_plot {
    const char *title, *x_label, *y_label; /* UTF-8; NULL: none. What is no character becomes U+FFFD */
    bool log_x, log_y;
    const tl_series *series;
    int n_series;
} tl_plot;

/* n panels, two side by side, as an SVG picture, to be freed with tl_bytes_free(). Series differ in colour and, for print
 * in black and white, in their dashes. A line has so many points at most as can be seen, so a long series is no large
 * file. TL_E_ARGUMENT, TL_E_MEMORY. */
TL_API tl_status tl_plot_svg(const tl_plot *plots, int n, tl_bytes *out);

/* The same as a file, in the way of tl_file_write(): by its ending .svg, or .png, which the program gnuplot draws. TL_E_FILE
 * also if gnuplot is not installed, or draws nothing; TL_E_ARGUMENT for other endings.
 *     tl_plot_write(&(tl_plot){ .title = "loss", .series = &loss, .n_series = 1 }, 1, "loss.svg"); */
TL_API tl_status tl_plot_write(const tl_plot *plots, int n, const char *path);

typedef struct tl_plot_print_opts {
    size_t size;
    int width;  /* of a line, in characters, at least 30 (default: the terminal's; 80 where there is none) */
    int height; /* rows of the axis of a panel, at least 3 (default 12) */
    bool ascii; /* ASCII alone (default: where LC_ALL, LC_CTYPE or LANG say nothing of UTF-8) */
} tl_plot_print_opts;

/* The same as text, panel below panel: one series as a line of Braille dots, several as * o + x ... of their own.
 * TL_E_ARGUMENT, TL_E_MEMORY; TL_E_FILE if out cannot be written. */
TL_API tl_status tl_plot_print_opt(const tl_plot *plots, int n, FILE *out, const tl_plot_print_opts *o);
#ifndef __cplusplus
#define tl_plot_print(plots, n, ...) TL_PLOT_PRINT_(plots, n, __VA_ARGS__, .size = sizeof(tl_plot_print_opts))
#define TL_PLOT_PRINT_(plots, n, out, ...) tl_plot_print_opt((plots), (n), (out), &(tl_plot_print_opts){ __VA_ARGS__ })
#endif

/* ---- summary, saving, loading ------------------------------------------------------------------------------- */

/* The layers of a model function, as Keras prints them: name and type, shape of the output, number of parameters, and the
 * totals with their bytes. Nothing is computed, and the model is as it was: this may come before training.
 *
 *     tl_summary(model, stdout, .fn = next_char, .inputs = batch, .n = 2);
 *
 * Layers are those of tl_tape_layers(): the library's and those of yours that say so (tl_scope_layer), and whatever else has
 * parameters, its output being unknown (?). Of the inputs only type, shape and batch axis (see tl_array) are looked at, but where the function calls
 * tl_eval(). A dropout is a layer if it has a .name. As Keras writes them, shapes begin with None for the
 * batch, although here sequences are [T, B, ...]: an LSTM's [4, 32, 16] is printed (None, 4, 16). States of the model (running
 * means and variances) count as parameters that cannot be trained, like frozen ones. Without .fn: a table of the model's
 * parameters, with shape, number of elements and bytes, and the totals. out NULL prints nothing.
 * Errors are those of recording; then nothing is printed. */
typedef struct tl_summary_opts {
    size_t size;
    tl_model_fn fn;
    void *user;             /* handed to fn */
    const tl_array *inputs; /* n of them, those that fn is called with */
    int n;
    const char *title; /* default "model" */
} tl_summary_opts;
TL_API tl_status tl_summary_opt(tl_model *model, FILE *out, const tl_summary_opts *o);
#ifndef __cplusplus
#define tl_summary(...) TL_SUMMARY_(__VA_ARGS__, .size = sizeof(tl_summary_opts))
#define TL_SUMMARY_(model, out, ...) tl_summary_opt((model), (out), &(tl_summary_opts){ __VA_ARGS__ })
#endif

/* Writes all parameters, by path, the model's own states (tl_model_state), and the given strings (what the program
 * needs to build the same network again) to a safetensors file, atomically. Keys that begin with "tapeloop_" are the library's own.
 * Errors as tl_safetensors_write(). */
typedef struct tl_model_save_opts {
    size_t size;
    const tl_named_text *texts;
    int n_texts;
} tl_model_save_opts;
TL_API tl_status tl_model_save_opt(const tl_model *model, const char *path, const tl_model_save_opts *o);
#ifndef __cplusplus
#define tl_model_save(...) TL_MODEL_SAVE_(__VA_ARGS__, .size = sizeof(tl_model_save_opts))
#define TL_MODEL_SAVE_(model, path, ...) tl_model_save_opt((model), (path), &(tl_model_save_opts){ __VA_ARGS__ })
#endif

/* Reads parameters and states into a model, making those it lacks: an empty model becomes the saved one. Values are
 * converted to the model's dtype. Nothing is changed unless everything fits: TL_E_SHAPE, TL_E_DTYPE (an array of
 * integers), TL_E_NAME (the model has a parameter that the file lacks), TL_E_FORMAT (made by a later version).
 * tl_model_take: from a file that was read already, to look at its strings first. */
TL_API tl_status tl_model_load(tl_model *model, const char *path);
TL_API tl_status tl_model_take(tl_model *model, const tl_safetensors *file);

/* ---- checkpoints -------------------------------------------------------------------------------------------- */

/* All that a trainer is, as one file: parameters (and which are frozen), the model's states, the optimizer's moments and
 * counters, the states and run numbers of its three sessions; and what `keep` (NULL: nothing) adds for the caller: epoch,
 * batch, best loss. A run that loads it goes on with the bits of one that was never interrupted. The same `keep` serves both
 * ways (see tl_store):
 *
 *     static tl_status keep(tl_store *store, void *ctx)
 *     {
 *         struct position *at = ctx;
 *         tl_store_whole(store, "epoch", &at->epoch);
 *         return tl_store_whole(store, "batch", &at->batch);
 *     }
 *     ...
 *     if (exists) status = tl_checkpoint_load("run.safetensors", trainer, keep, &at);
 *     tl_loader_start(loader, at.epoch, at.batch);
 *     ...
 *     status = tl_checkpoint_save("run.safetensors", trainer, keep, &at);
 *
 * Saved in the way of tl_file_write(): whatever happens, the file is a whole one, the old or the new, and the run can go on.
 * tl_model_load() reads a checkpoint as a model. tl_fit() saves by tl_checkpoint() and loads by .resume.
 *
 * Loading: the trainer's model is empty, or has the checkpoint's parameters, made in the same order; it has the same seed and
 * type, and the optimizer the same description (its learning rate comes from the file). Whatever is wrong, nothing is changed:
 * TL_E_FILE; TL_E_FORMAT: the file was cut, changed in any byte, made by a later version, or is no checkpoint; TL_E_NAME,
 * TL_E_SHAPE, TL_E_DTYPE, TL_E_ARGUMENT name the difference between the checkpoint and the model or optimizer; those of
 * `keep`; TL_E_MEMORY. */
typedef tl_status (*tl_keep_fn)(tl_store *store, void *ctx);
TL_API tl_status tl_checkpoint_save(const char *path, tl_trainer *trainer, tl_keep_fn keep, void *ctx);
TL_API tl_status tl_checkpoint_load(const char *path, tl_trainer *trainer, tl_keep_fn keep, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
