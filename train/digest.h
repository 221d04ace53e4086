/* train/digest.h - a number that changes with any byte of what a file holds. Private to train/. */
#ifndef TL_TRAIN_DIGEST_H
#define TL_TRAIN_DIGEST_H

#include "data/data.h"

enum { TL_DIGEST_SIZE = 17 };
extern const char tl_digest_key[]; /* of the text that holds it; it is left out itself */

/* Of arrays and texts in any order, as 16 hexadecimal digits. */
void tl_digest(char out[static TL_DIGEST_SIZE], const tl_named_array *arrays, int n, const tl_named_text *texts,
               int n_texts);

/* TL_E_FORMAT if the file has a digest, and it is another than that of what it holds. */
tl_status tl_digest_check(const tl_safetensors *file);

#endif
