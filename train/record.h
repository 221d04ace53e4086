/* train/record.h - a model function, recorded to be looked at or to have its parameters made. Private to train/. */
#ifndef TL_TRAIN_RECORD_H
#define TL_TRAIN_RECORD_H

#include "graph/graph.h"

/* Records fn on inputs that have `more` rows more than those given (whose data are then not looked at). *tape is to be freed
 * in any case. */
tl_status tl_record_function(tl_model *model, tl_model_fn fn, void *user, const tl_array *inputs, int n, int more,
                             bool training, tl_tape **tape);

#endif
