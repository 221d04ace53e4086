/* train/checkpoint.h - files that hold a store. Private to train/. */
#ifndef TL_TRAIN_CHECKPOINT_H
#define TL_TRAIN_CHECKPOINT_H

#include "train/fit.h"

/* Lets a run go on from a checkpoint, if there is one. `first` is any batch of it. */
tl_status tl_fit_resume(tl_fit_state *state, const char *path, const tl_batch *first);

/* A store and its digest as a file, and back, for loading. */
tl_status tl_store_write(const tl_store *store, const char *path);
tl_status tl_store_read(const char *path, tl_store **out);

/* What an array of a model's file or a checkpoint is, by its name (save.c); and all of those in a model. */
bool tl_names_param(const char *name);
bool tl_names_state(const char *name);
tl_status tl_fill_model(tl_model *model, const tl_named_array *arrays, int n);

/* Saves an optimizer's description, all but its learning rate; loading, TL_E_ARGUMENT names what is another here. */
tl_status tl_optimizer_options_keep(tl_store *store, const tl_optimizer_desc *desc);

/* Adds to a store all that a trainer is: model, optimizer, sessions. */
tl_status tl_trainer_save(tl_trainer *trainer, tl_store *store);

/* Makes a trainer what was saved, in two steps: all that can fail, which changes nothing; then what cannot. In between
 * there may be more that can fail. */
typedef struct tl_restored {
    tl_trainer *trainer;
    tl_model *model; /* with what was saved, to be exchanged */
    tl_session *session[TL_PREDICT + 1];
} tl_restored;
tl_status tl_restore_begin(tl_restored *r, tl_trainer *trainer, tl_store *store);
tl_status tl_restore_commit(tl_restored *r, tl_store *store);
void tl_restore_end(tl_restored *r); /* in any case */

#endif
