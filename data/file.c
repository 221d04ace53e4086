/* data/file.c - bytes, and replacing files so that either the old or the new contents are there. All that the library
 * saves goes this way. */
#include "data/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
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

/* ---- replacing ---------------------------------------------------------------------------------------------- */

int (*tl_file_hook)(tl_file_op op, const char *path);

static const char *const op_name[] = {
    [TL_FILE_OPEN] = "open",  [TL_FILE_MODE] = "chmod",  [TL_FILE_WRITE] = "write",
    [TL_FILE_SYNC] = "fsync", [TL_FILE_CLOSE] = "close", [TL_FILE_RENAME] = "rename"
};

/* Asks the tests whether this operation shall fail: false, with errno, if so. */
static bool may(tl_file_op op, const char *path)
{
    const int error = tl_file_hook ? tl_file_hook(op, path) : 0;
    if (error > 0) errno = error;
    return error <= 0;
}

static tl_status refuse(const char *path, tl_file_op op)
{
    return tl_report(TL_E_FILE, "%s: %s: %s", path, op_name[op], strerror(errno));
}

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

static tl_status no_memory(const char *path) { return tl_report(TL_E_MEMORY, "%s: out of memory", path); }

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Standard output or error, if they go to this file; else -1. */
static int standard_output(const struct stat *info)
{
    struct stat out;
    for (int file = 1; file <= 2; file++)
        if (!fstat(file, &out) && same_file(&out, info)) return file;
    return -1;
}

static tl_status open_in_place(tl_replacement *r, const char *path, const struct stat *info)
{
    r->target = copy(path, strlen(path), "");
    if (!r->target) return no_memory(path);
    const int standard = standard_output(info);
    if (may(TL_FILE_OPEN, path))
        r->file = standard < 0 ? open(path, O_WRONLY | O_CLOEXEC) : fcntl(standard, F_DUPFD_CLOEXEC, 3);
    return r->file < 0 ? refuse(path, TL_FILE_OPEN) : TL_OK;
}

/* The directory of the target, as an open file (it is put to disk after the rename), and its length in the path. */
static tl_status open_directory(tl_replacement *r, size_t *length)
{
    const char *slash = strrchr(r->target, '/');
    *length = slash ? (size_t)(slash - r->target) + 1 : 0;
    char *name = copy(*length ? r->target : ".", *length ? *length : 1, "");
    if (!name) return no_memory(r->target);
    if (may(TL_FILE_OPEN, name)) r->directory = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const tl_status status = r->directory < 0 ? refuse(name, TL_FILE_OPEN) : TL_OK;
    release(&name);
    return status;
}

/* Does the name still stand for this open file, and does nobody else hold its lock? A file system without locks leaves that
 * open. */
static bool lock_file(int file, const char *name, bool lenient)
{
    struct stat here, named;
    if (flock(file, LOCK_EX | LOCK_NB) && (!lenient || errno == EWOULDBLOCK)) return false;
    return !fstat(file, &here) && !lstat(name, &named) && same_file(&here, &named);
}

/* A writer holds its temporary file's lock; one that is not locked was left by a killed process. */
static void remove_leftover(const char *name)
{
    const int file = open(name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return;
    if (lock_file(file, name, false)) unlink(name);
    close(file);
}

/* Makes the file beside the target, under the first name that no other writer has. */
static tl_status make_temporary(tl_replacement *r, size_t directory, mode_t mode)
{
    enum { NAMES = 100, LONGEST = 200 }; /* a name may have 255 bytes */
    char tail[32];
    const char *name = r->target + directory;
    for (int i = 0; i < NAMES && r->file < 0; i++) {
        snprintf(tail, sizeof tail, ".%d.tapeloop", i);
        char *path = copy(r->target, directory + strnlen(name, LONGEST), tail);
        if (!path) return no_memory(r->target);
        remove_leftover(path);
        r->file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        const int error = errno;
        if (r->file >= 0 && lock_file(r->file, path, true)) {
            r->temporary = path;
            /* The file is closed before it is renamed, the lock after it. */
            r->lock = fcntl(r->file, F_DUPFD_CLOEXEC, 3);
            return r->lock < 0 ? refuse(r->target, TL_FILE_OPEN) : TL_OK;
        }
        if (r->file >= 0) close(r->file), r->file = -1; /* taken for a leftover between the two lines above */
        else if (error != EEXIST) i = NAMES;
        release(&path);
        errno = error;
    }
    return refuse(r->target, TL_FILE_OPEN);
}

/* Owner and permissions are those of any new file, or the old file's as far as that is allowed. */
static tl_status open_temporary(tl_replacement *r, size_t directory)
{
    struct stat old;
    const bool exists = !stat(r->target, &old);
    if (!may(TL_FILE_OPEN, r->target)) return refuse(r->target, TL_FILE_OPEN);
    const tl_status status = make_temporary(r, directory, exists ? 0600 : 0666);
    if (status || !exists) return status;
    if (old.st_uid != geteuid() || old.st_gid != getegid()) (void)!fchown(r->file, old.st_uid, old.st_gid);
    if (may(TL_FILE_MODE, r->target) && !fchmod(r->file, old.st_mode & 0777)) return TL_OK;
    return refuse(r->target, TL_FILE_MODE);
}

static tl_status open_beside(tl_replacement *r, const char *path, bool exists)
{
    char real[PATH_MAX]; /* the file itself where path is a link to it, so that the link stays a link */
    size_t directory;
    if (exists && (!realpath(path, real) || access(real, W_OK))) return refuse(path, TL_FILE_OPEN);
    if (exists) path = real;
    r->target = copy(path, strlen(path), "");
    if (!r->target) return no_memory(path);
    const tl_status status = open_directory(r, &directory);
    return status ? status : open_temporary(r, directory);
}

tl_status tl_replace_begin(tl_replacement *r, const char *path)
{
    struct stat info;
    *r = (tl_replacement){ .file = -1, .lock = -1, .directory = -1 };
    const bool exists = !stat(path, &info);
    tl_status status = TL_OK;
    if (!exists && errno != ENOENT) status = refuse(path, TL_FILE_OPEN);
    else if (!exists && !lstat(path, &info)) status = tl_report(TL_E_FILE, "%s: a link that leads nowhere", path);
    else if (exists && (!S_ISREG(info.st_mode) || standard_output(&info) >= 0)) status = open_in_place(r, path, &info);
    else status = open_beside(r, path, exists);
    if (status) tl_replace_cancel(r);
    return status;
}

tl_status tl_replace_write(tl_replacement *r, const void *data, size_t size)
{
    for (const char *p = data; size;) {
        const int error = tl_file_hook ? tl_file_hook(TL_FILE_WRITE, r->target) : 0;
        if (error > 0) return errno = error, refuse(r->target, TL_FILE_WRITE);
        const ssize_t done = write(r->file, p, error < 0 ? (size + 1) / 2 : size);
        if (done < 0 && errno == EINTR) continue;
        if (!done) errno = ENOSPC;
        if (done <= 0) return refuse(r->target, TL_FILE_WRITE);
        p += done;
        size -= (size_t)done;
    }
    return TL_OK;
}

/* What has no disk behind it, and file systems that cannot tell, are taken at their word. */
static bool sync_file(const char *path, int file, bool lenient)
{
    return may(TL_FILE_SYNC, path) && (!fsync(file) || (lenient && (errno == EINVAL || errno == ENOTSUP)));
}

/* Closes r->file even where it fails. */
static bool close_file(tl_replacement *r)
{
    const bool allowed = may(TL_FILE_CLOSE, r->target);
    const int error = errno, file = r->file;
    r->file = -1;
    const bool closed = !close(file);
    if (!allowed) errno = error;
    return allowed && closed;
}

tl_status tl_replace_commit(tl_replacement *r)
{
    if (!sync_file(r->target, r->file, !r->temporary)) return refuse(r->target, TL_FILE_SYNC);
    if (!close_file(r)) return refuse(r->target, TL_FILE_CLOSE);
    if (r->temporary) {
        if (!may(TL_FILE_RENAME, r->target) || rename(r->temporary, r->target))
            return refuse(r->target, TL_FILE_RENAME);
        release(&r->temporary);
        if (!sync_file(r->target, r->directory, true)) /* the new name is on disk once the directory is */
            return tl_report(TL_E_FILE, "%s: the new file is there, but fsync of its directory: %s", r->target,
                             strerror(errno));
    }
    tl_replace_cancel(r);
    return TL_OK;
}

void tl_replace_cancel(tl_replacement *r)
{
    if (r->temporary) unlink(r->temporary); /* while it is locked */
    if (r->file >= 0) close(r->file);
    if (r->lock >= 0) close(r->lock);
    if (r->directory >= 0) close(r->directory);
    release(&r->temporary);
    release(&r->target);
    r->file = r->lock = r->directory = -1;
}

tl_status tl_file_write(const char *path, const void *data, size_t size)
{
    tl_replacement r;
    if (!path || (!data && size)) return tl_report(TL_E_ARGUMENT, "tl_file_write: a path and bytes are needed");
    tl_status status = tl_replace_begin(&r, path);
    if (!status) status = tl_replace_write(&r, data, size);
    if (!status) status = tl_replace_commit(&r);
    if (status) tl_replace_cancel(&r);
    return status;
}
