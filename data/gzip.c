/* data/gzip.c - zlib with the library's allocator. */
#include "data/gzip.h"

#include <string.h>

/* zlib does not tell a size when it frees: it stands in front. */
enum { FRONT = 16 };

static voidpf take(voidpf self, uInt n, uInt size)
{
    (void)self;
    const size_t bytes = FRONT + (size_t)n * size;
    char *p = tl_resize(NULL, 0, bytes);
    if (!p) return Z_NULL;
    memcpy(p, &bytes, sizeof bytes);
    return p + FRONT;
}

static void give(voidpf self, voidpf data)
{
    (void)self;
    char *p = (char *)data - FRONT;
    size_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    tl_resize(p, bytes, 0);
}

bool tl_inflate_begin(z_stream *z, int window)
{
    *z = (z_stream){ .zalloc = take, .zfree = give };
    return inflateInit2(z, window) == Z_OK;
}

bool tl_deflate_begin(z_stream *z, int window)
{
    *z = (z_stream){ .zalloc = take, .zfree = give };
    return deflateInit2(z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK;
}
