/* data/file.c - reading whole files, and replacing files so that either the old or the new contents are there. */
#include "data/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- bytes -------------------------------------------------------------------------------------------------- */

void tl_bytes_free(tl_bytes *b)
{
    if (!b) return;
    tl_resize(b->data, b->room, 0);
    *b = (tl_bytes){ 0 };
}

bool tl_bytes_reserve(tl_bytes *b, size_t more)
{
    if (more >= SIZE_MAX / 4 - b->size) return false;
    const size_t need = b->size + more + 1;
    if (need <= b->room) return true;
    size_t room = b->room ? b->room : 256;
    while (room < need) room *= 2;
    char *data = tl_resize(b->data, b->room, room);
    if (!data) return false;
    b->data = data;
    b->room = room;
    b->data[b->size] = 0;
    return true;
}

bool tl_bytes_add(tl_bytes *b, const void *data, size_t size)
{
    if (!tl_bytes_reserve(b, size)) return false;
    if (size) memcpy(b->data + b->size, data, size);
    b->size += size;
    b->data[b->size] = 0;
    return true;
}

bool tl_bytes_print(tl_bytes *b, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return n >= 0 && (size_t)n < sizeof text && tl_bytes_add(b, text, (size_t)n);
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

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

/* ---- replacing ---------------------------------------------------------------------------------------------- */

static tl_status refuse(const char *path, int error) { return tl_report(TL_E_FILE, "%s: %s", path, strerror(error)); }

static void release(char **s)
{
    if (*s) tl_resize(*s, strlen(*s) + 1, 0);
    *s = NULL;
}

static char *copy(const char *s, size_t n, const char *tail)
{
    char *c = tl_resize(NULL, 0, n + strlen(tail) + 1);
    if (!c) return NULL;
    memcpy(c, s, n);
    strcpy(c + n, tail);
    return c;
}

/* The file itself where path is a link to it, so that the link stays a link. */
static tl_status find_target(tl_replacement *r, const char *path)
{
    char real[PATH_MAX];
    struct stat info;
    if (!realpath(path, real)) {
        if (errno != ENOENT) return refuse(path, errno);
        if (!lstat(path, &info)) return tl_report(TL_E_FILE, "%s: a link that leads nowhere", path);
    } else {
        if (stat(real, &info)) return refuse(path, errno);
        /* A rename would replace the device itself. */
        if (!S_ISREG(info.st_mode)) return tl_report(TL_E_FILE, "%s: not a regular file", path);
        path = real;
    }
    r->target = copy(path, strlen(path), "");
    return r->target ? TL_OK : tl_report(TL_E_MEMORY, "%s: out of memory", path);
}

static tl_status open_directory(tl_replacement *r)
{
    const char *slash = strrchr(r->target, '/');
    const size_t n = slash == r->target ? 1 : slash ? (size_t)(slash - r->target) : 0;
    char *name = copy(n ? r->target : ".", n ? n : 1, "");
    if (!name) return tl_report(TL_E_MEMORY, "%s: out of memory", r->target);
    r->directory = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const tl_status status = r->directory < 0 ? refuse(name, errno) : TL_OK;
    release(&name);
    return status;
}

/* A name that no other process or thread uses; the permissions are those of any new file, or the old file's. */
static tl_status open_temporary(tl_replacement *r)
{
    static _Atomic unsigned counter;
    char tail[64];
    struct stat old;
    const bool exists = !stat(r->target, &old);
    for (int tries = 0; tries < 100; tries++) {
        snprintf(tail, sizeof tail, ".%ld-%u.tmp", (long)getpid(), atomic_fetch_add(&counter, 1));
        release(&r->temporary);
        r->temporary = copy(r->target, strlen(r->target), tail);
        if (!r->temporary) return tl_report(TL_E_MEMORY, "%s: out of memory", r->target);
        r->file = open(r->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (r->file >= 0 || errno != EEXIST) break;
    }
    if (r->file < 0) {
        const int error = errno;
        release(&r->temporary);
        return refuse(r->target, error);
    }
    if (exists && fchmod(r->file, old.st_mode & 07777)) return refuse(r->target, errno);
    return TL_OK;
}

tl_status tl_replace_begin(tl_replacement *r, const char *path)
{
    *r = (tl_replacement){ .file = -1, .directory = -1 };
    tl_status status = find_target(r, path);
    if (!status) status = open_directory(r);
    if (!status) status = open_temporary(r);
    if (status) tl_replace_cancel(r);
    return status;
}

tl_status tl_replace_write(tl_replacement *r, const void *data, size_t size)
{
    for (const char *p = data; size;) {
        const ssize_t done = write(r->file, p, size);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return refuse(r->target, errno);
        p += done;
        size -= (size_t)done;
    }
    return TL_OK;
}

tl_status tl_replace_commit(tl_replacement *r)
{
    if (fsync(r->file)) return refuse(r->target, errno);
    const int closed = close(r->file);
    r->file = -1;
    if (closed || rename(r->temporary, r->target)) return refuse(r->target, errno);
    release(&r->temporary);
    /* The new name is on disk once the directory is; file systems that cannot say so are taken at their word. */
    if (fsync(r->directory) && errno != EINVAL && errno != ENOTSUP) return refuse(r->target, errno);
    tl_replace_cancel(r);
    return TL_OK;
}

void tl_replace_cancel(tl_replacement *r)
{
    if (r->file >= 0) close(r->file);
    if (r->directory >= 0) close(r->directory);
    if (r->temporary) unlink(r->temporary);
    release(&r->temporary);
    release(&r->target);
    r->file = r->directory = -1;
}
