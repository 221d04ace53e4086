/* data/npy.h - one array in NumPy's format. Private to data/. */
#ifndef TL_DATA_NPY_H
#define TL_DATA_NPY_H

#include "data/internal.h"

/* Adds the header of an array in C order. False if memory is short. */
bool tl_npy_header(tl_bytes *b, const tl_array *a);

#endif
