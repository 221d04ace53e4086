/* graph/trial.h - a case of the op suite brought to run: its numbers, and tapes and plans made of it. Private to
 * graph/. */
#ifndef TL_TRIAL_H
#define TL_TRIAL_H

#include "graph/tape.h"

/* The vectors of a trial: operands; w, which weighs the result; u[k], which weighs the gradient of operand k. */
enum { TRIAL_IN = TL_CASE_INPUTS, TRIAL_W = TRIAL_IN, TRIAL_U, TRIAL_VECTORS = TRIAL_U + TRIAL_IN };

typedef struct tl_trial {
    const struct tl_op *op;
    const tl_case *c;
    unsigned alias;     /* operands whose bits are set are one tensor */
    tl_shape result[2]; /* the result's, in a model of f32 and of f64 */
    tl_shape shape[TRIAL_VECTORS];
    double *value[TRIAL_VECTORS]; /* all of them f32 numbers, so that both types see the same; NULL: not there */
} tl_trial;

/* Records the case to learn its shapes, in `dtype` and then in the other type, and makes room for its numbers. Failed
 * or not, the trial is to be ended. */
tl_status tl_trial_begin(tl_trial *t, const struct tl_op *op, const tl_case *c, unsigned alias, tl_dtype dtype);
void tl_trial_end(tl_trial *t);
void tl_trial_draw(tl_trial *t, uint64_t seed);
int64_t tl_trial_size(const tl_trial *t, int vector); /* elements; 0 if it is not there */
bool tl_trial_real(const tl_trial *t, int k);         /* is operand k real and the first of its aliases? */
static inline int tl_trial_first(const tl_trial *t, int k) { return t->alias >> k & 1 ? __builtin_ctz(t->alias) : k; }

/* The trial in a model of some type, recorded, planned and run.
 * Level 0: out[0] is the result y. Level 1: out[k] is the gradient of <w, y> by operand k. Level 2: out[k] is the
 * gradient of the sum over j of <u[j], the level 1 gradient j>, by operand k and (k = TRIAL_W) by w. */
typedef struct tl_rig {
    const tl_trial *trial;
    tl_dtype dtype;
    int level;
    tl_model *model;
    tl_tape *tape;
    tl_plan *plan;
    tl_session *session;
    tl_tensor leaf[TRIAL_VECTORS], y, out[TRIAL_IN + 1]; /* TL_NONE where there is none */
    void *data[TRIAL_VECTORS];                           /* what is fed */
    tl_array fed[TRIAL_VECTORS];
    int n_fed;
} tl_rig;

/* Records and feeds; compiles and runs once as well. Failed or not, the rig is to be closed. */
tl_status tl_rig_record(tl_rig *r, const tl_trial *t, tl_dtype dtype, int level);
tl_status tl_rig_open(tl_rig *r, const tl_trial *t, tl_dtype dtype, int level);
void tl_rig_close(tl_rig *r);
void tl_rig_feed(tl_rig *r); /* takes the trial's numbers */
tl_status tl_rig_run(tl_rig *r);
tl_status tl_rig_get(const tl_rig *r, int k, tl_array *out);

#endif
