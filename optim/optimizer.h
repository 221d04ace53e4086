/* optim/optimizer.h - what the files of an optimizer share. Private to optim/. */
#ifndef TL_OPTIMIZER_H
#define TL_OPTIMIZER_H

#include "optim/loops.h"

static inline size_t tl_element_of(const tl_model *model)
{
    return tl_model_dtype(model) == TL_F64 ? sizeof(double) : sizeof(float);
}

/* ---- rules: rules.c ----------------------------------------------------------------------------------------- */

/* An array that a rule keeps for every parameter: a place of its own among a, b, c of its loop. */
typedef struct tl_rule_slot {
    const char *name;                            /* NULL: nothing there */
    bool (*kept)(const tl_optimizer_desc *d);    /* NULL: always */
    double (*start)(const tl_optimizer_desc *d); /* its initial value; NULL: 0 */
} tl_rule_slot;

typedef struct tl_rule_row {
    const char *name;
    const struct setting *settings; /* the options that it has, and their defaults */
    tl_rule_slot slot[TL_RULE_SLOTS];
    tl_loop loop;   /* its first variant */
    bool decoupled; /* weight decay, in PyTorch's style too */
    void (*numbers)(const tl_optimizer_desc *d, double t, double product,
                    tl_numbers *n);                           /* what is not common to all */
    double (*momentum)(const tl_optimizer_desc *d, double t); /* of update t, where the product of all is needed */
} tl_rule_row;

const tl_rule_row *tl_rule_of(const tl_optimizer_desc *d); /* of a description that is resolved */
tl_status tl_optimizer_resolve(tl_optimizer_desc *d);      /* puts the defaults into its zeros, and checks the rest */
int tl_rule_variant(const tl_optimizer_desc *d);           /* the loop is so many behind the rule's first */

/* Numbers of update t at learning rate lr. */
tl_numbers tl_rule_numbers(const tl_optimizer_desc *d, double t, double product, double lr, double weight_decay);

/* ---- schedule.c --------------------------------------------------------------------------------------------- */

tl_status tl_schedule_resolve(tl_schedule *s, double lr); /* lr: where it starts, if it does not say */
double tl_schedule_value(const tl_schedule *resolved, int64_t k);

/* ---- gradients of several runs: sums.c ---------------------------------------------------------------------- */

/* Which parameters the runs have reached, and which rows of those that are tables; the sums are a slot. */
typedef struct tl_summed {
    int64_t at, rows; /* its part of mark[] and used[]; rows: those of it that were used, once they are listed */
    bool reached, whole;
} tl_summed;

typedef struct tl_sums {
    const tl_model *model;
    void *block;
    size_t bytes;
    tl_summed *param;
    tl_range *range;
    int32_t *used;
    unsigned char *mark; /* of every row of every parameter */
    int params, ranges;
} tl_sums;

tl_status tl_sums_grow(tl_sums *s); /* for the parameters that have joined the model */
void tl_sums_free(tl_sums *s);
void tl_sums_add(tl_sums *s, tl_gradients run, void *sum, double factor);
void tl_sums_find(tl_sums *s, const void *sum); /* marks what is not zero, after resuming */
void tl_sums_list(tl_sums *s);                  /* makes ranges and rows of the marks */
void tl_sums_clear(tl_sums *s, void *sum);
const int32_t *tl_sums_rows(const tl_sums *s, int param, int64_t *n);

/* ---- the object: optimizer.c -------------------------------------------------------------------------------- */

enum { TL_AVERAGE_SLOT = TL_RULE_SLOTS, TL_SUM_SLOT, TL_SLOTS };

struct tl_optimizer {
    tl_model *model;
    tl_optimizer_desc desc;
    char *patterns; /* the groups' */
    size_t pattern_bytes;
    void *block; /* the slots' memory */
    size_t bytes;
    char *slot[TL_SLOTS]; /* at the model's offsets, in lines of the cache as the gradients are; NULL: not kept */
    int64_t size;         /* elements of each */
    unsigned char *group; /* of every parameter */
    int params;
    tl_sums sums;
    bool resumed; /* the sums come from elsewhere: what they have reached is to be found out */
    uint64_t steps, accumulated;
    double product, norm;
};

bool tl_optimizer_keeps(const tl_optimizer *o, int slot); /* is there such an array? */
tl_status tl_optimizer_grow(tl_optimizer *o);

#endif
