/* data/gzip.h - zlib with the library's allocator. Private to data/. */
#ifndef TL_DATA_GZIP_H
#define TL_DATA_GZIP_H

#include <zlib.h>

#include "data/internal.h"

/* What the stream is wrapped in (zlib's windowBits). */
enum { TL_WRAP_GZIP = 15 + 16, TL_WRAP_NONE = -15 };

/* False if memory is short. To be ended with inflateEnd() and deflateEnd(). */
bool tl_inflate_begin(z_stream *z, int window);
bool tl_deflate_begin(z_stream *z, int window);

#endif
