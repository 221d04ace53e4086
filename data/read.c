/* data/read.c - reading whole files. */
#include "data/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static tl_status read_all(int file, const char *path, tl_bytes *b)
{
    struct stat info;
    size_t chunk = 1 << 16; /* grows, for files that do not know their size */
    if (!fstat(file, &info) && S_ISREG(info.st_mode) && info.st_size > 0) chunk = (size_t)info.st_size + 1;
    for (;;) {
        if (!tl_bytes_reserve(b, chunk)) return tl_report(TL_E_MEMORY, "%s: out of memory", path);
        const ssize_t got = read(file, b->data + b->size, b->room - b->size - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return tl_report(TL_E_FILE, "%s: %s", path, strerror(errno));
        if (!got) return TL_OK;
        b->size += (size_t)got;
        b->data[b->size] = 0;
        chunk = 1 << 16;
    }
}

tl_status tl_file_read(const char *path, tl_bytes *out)
{
    if (!path || !out) return tl_report(TL_E_ARGUMENT, "tl_file_read: a path and a place for the bytes are needed");
    *out = (tl_bytes){ 0 };
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return tl_report(TL_E_FILE, "%s: %s", path, strerror(errno));
    const tl_status status = read_all(file, path, out);
    close(file);
    if (status) tl_bytes_free(out);
    return status;
}
