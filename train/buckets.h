/* train/buckets.h - ragged batches brought to a length that many of them share. Private to train/. */
#ifndef TL_BUCKETS_H
#define TL_BUCKETS_H

#include "graph/graph.h"

/* Memory that is kept from step to step and grows when it has to. */
typedef struct tl_room {
    char *data;
    size_t bytes;
} tl_room;

/* in[lengths] tells which steps of the n inputs are real: i32 lengths [B], or a mask [T, B]. Changes all inputs
 * [T, B, ...] (axis 1 counts samples) to those of a T which is a bucket's: shorter ones are the same memory, longer ones
 * are copied into room, with more padding behind. TL_E_INPUT if in[lengths] is neither. */
tl_status tl_bucket_inputs(tl_array *in, int n, int lengths, tl_room *room);

/* The least size of a bucket that holds n steps: a multiple of 4 up to 32, of 8 up to 64, of 16 up to 128, and so on. */
int64_t tl_bucket(int64_t n);

#endif
