/* train/fit.h - what tl_fit, tl_evaluate and tl_predict are made of. Private to train/. */
#ifndef TL_FIT_H
#define TL_FIT_H

#include "train/train.h"

/* A pass over data: the sums of its loss and of its metrics so far. */
typedef struct tl_pass {
    tl_metric **metric;
    int n;
    tl_named_number *results; /* n + 1, sorted by name: as tl_pass_results() has left them */
    double loss_sum;          /* batch losses times their samples */
    int64_t samples;
} tl_pass;

tl_status tl_pass_init(tl_pass *p, const tl_metric_desc *metrics, int n); /* to be freed after a failure too */
void tl_pass_free(tl_pass *p);
void tl_pass_reset(tl_pass *p);

/* Adds the trainer's last step of that mode. */
tl_status tl_pass_add(tl_pass *p, tl_trainer *trainer, tl_mode mode, int64_t samples, double loss);

double tl_pass_loss(const tl_pass *p);                /* the mean so far */
void tl_pass_results(tl_pass *p, const char *prefix); /* fills p->results; `prefix` comes before the names */
/* Shows them on a line, if it is time to. */
void tl_pass_show(tl_pass *p, tl_progress *line, int64_t done);

tl_status tl_pass_keep(tl_pass *p, tl_store *store);

/* A whole pass in test mode, from initial states on. *batch: the one that is under way, for messages. line may be NULL. */
tl_status tl_pass_run(tl_pass *p, tl_trainer *trainer, tl_loader *loader, tl_progress *line, int64_t *batch);

/* " - accuracy: 0.3333 - loss: 2.0617" */
void tl_log_words(const tl_named_number *logs, int n, char *text, size_t size);

/* "prog.c:12: ": the caller's line, without folders. */
void tl_line_words(tl_place at, char *text, size_t size);

/* The fewest digits that are read back as the same number; "nan", "inf". */
void tl_exact_number(char *text, size_t size, double x);

/* A run's metric of that name; NULL if there is none. */
const tl_metric *tl_fit_metric(const tl_fit_state *state, const char *name);

/* Sets a callback to one with a copy of `size` bytes at ctx as its own; NULL, and its status says so, if memory is short. */
void *tl_callback_new(tl_callback *c, const char *name, size_t size, const void *ctx);

/* What callbacks that watch a number need: TL_AUTO becomes what the name means; the number, if it is there; is a value the
 * better one, by more than min_delta? */
tl_status tl_monitor_mode(const tl_fit_state *state, const char *name, tl_better *mode);
tl_status tl_monitor_look(const tl_fit_state *state, const char *name, double *value, bool *there);
bool tl_monitor_better(tl_better mode, double min_delta, double value, double than);

tl_status tl_history_keep(tl_history *history, tl_store *store);

/* What a trainer was made with. */
tl_model_fn tl_trainer_function(const tl_trainer *trainer, tl_model **model, void **user);

/* The trainer that was given, if it is one of this model and function, or a new one, which is then *own, too. */
tl_status tl_trainer_for(tl_model *model, tl_model_fn fn, tl_trainer *given, const tl_trainer_opts *o, tl_trainer **out,
                         tl_trainer **own);

#endif
