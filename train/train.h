/* train/train.h - running a model function on batches: trainer, decoding, progress line, summary, saving and loading.
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
    double clip_value;           /* above 0: gradients are clipped into [-clip_value, clip_value], first */
    double clip_norm; /* above 0: then scaled, within the update, so that their global norm is at most this */
    uint64_t key;     /* of whatever else the model function depends on: see tl_trainer_set_key */
    int plans;        /* kept at once, the least recently used being dropped; default 64 */
    FILE *explain;    /* what the compiler made of each plan is written there (tl_explain); default: nowhere */
    int lengths;      /* in[this] tells which steps are real: buckets, see above. TL_ZERO: in[0]; default: none */
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
 * TL_E_NONFINITE if the loss or the norm of the gradients is not finite: then no parameter has changed (but states of
 * stateful layers have, and may hold NaNs: tl_trainer_reset_states). */
TL_API tl_status tl_train_step(tl_trainer *trainer, const tl_array *inputs, int n, double *loss);
TL_API tl_status tl_test_step(tl_trainer *trainer, const tl_array *inputs, int n, double *loss);
TL_API tl_status tl_predict_step(tl_trainer *trainer, const tl_array *inputs, int n);

typedef enum tl_mode { TL_TRAIN = 1, TL_TEST, TL_PREDICT } tl_mode;

/* The trainer's own objects, valid as long as it is. */
TL_API tl_session *tl_trainer_session(tl_trainer *trainer, tl_mode mode); /* NULL for no mode, or no trainer */
TL_API tl_optimizer *tl_trainer_optimizer(tl_trainer *trainer);

TL_API void tl_trainer_reset_states(tl_trainer *trainer);          /* of all three sessions, to their initial values */
TL_API double tl_trainer_norm(const tl_trainer *trainer);          /* of all gradients together, before clip_norm */
TL_API int tl_trainer_plans(const tl_trainer *trainer);            /* how many are kept at present */
TL_API void tl_trainer_set_key(tl_trainer *trainer, uint64_t key); /* plans of other keys are kept, but not used */

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
    bool terminal;
} tl_progress;

/* `total` units are to be done; `unit` names them in the rate: (stdout, "epoch 1/20", 22451, "chars"). */
TL_API tl_progress tl_progress_begin(FILE *out, const char *label, int64_t total, const char *unit);
/* `done` units in all are done; `text` (NULL: none) is shown at the end of the line: "loss 1.234". */
TL_API void tl_progress_show(tl_progress *p, int64_t done, const char *text);
/* The final line. Returns the seconds since tl_progress_begin(). */
TL_API double tl_progress_end(tl_progress *p, const char *text);

/* ---- summary, saving, loading ------------------------------------------------------------------------------- */

/* A table of the model's parameters, with shape, number of elements and bytes, and the totals. */
TL_API void tl_summary(const tl_model *model, FILE *out);

/* Writes all parameters, by path, the model's own states (tl_model_state), and the given strings (what the program
 * needs to build the same network again) to a safetensors file, atomically. Key "tapeloop_format" is the library's own.
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

#ifdef __cplusplus
}
#endif
#endif
