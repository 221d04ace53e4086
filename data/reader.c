/* data/r.c - a file from its beginning to its end, in pieces, unpacked if it is gzip data. */
#include "data/gzip.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PACKED = 1 << 16, PLAIN = 1 << 18 };

/* Beyond UNSEEN bytes, gzip data may expand RATIO times. Text does 3 to 10 times; what is made to fill a memory does 1000. */
enum { RATIO = 200 };
static const int64_t unseen = 1 << 26;

struct tl_reader_state {
    int file;
    bool zip, between, ended; /* gzip data? at the end of a member of it? nothing more in the file? */
    int64_t in, out;          /* bytes read, bytes unpacked */
    z_stream z;
    unsigned char packed[PACKED];
    char plain[PLAIN];
};

/* Reads until the buffer is full or the file ends. */
static tl_status fill(tl_reader *r, void *buffer, size_t size, size_t *got)
{
    *got = 0;
    while (*got < size && !r->state->ended) {
        const ssize_t n = read(r->state->file, (char *)buffer + *got, size - *got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return tl_report(TL_E_FILE, "%s: %s", r->path, strerror(errno));
        if (!n) r->state->ended = true;
        *got += (size_t)n;
    }
    r->state->in += (int64_t)*got;
    return TL_OK;
}

static tl_status more_packed(tl_reader *r)
{
    struct tl_reader_state *s = r->state;
    size_t got;
    const tl_status status = fill(r, s->packed, sizeof s->packed, &got);
    s->z.next_in = s->packed;
    s->z.avail_in = (uInt)got;
    return status;
}

static tl_status bad(const tl_reader *r, const char *what)
{
    const struct tl_reader_state *s = r->state;
    return tl_report(TL_E_FORMAT, "%s: byte %lld of the gzip data: %s", r->path, (long long)(s->in - s->z.avail_in),
                     what);
}

/* A gzip file is one or more members, one after the other; zeros at the end are padding. */
static tl_status next_member(tl_reader *r)
{
    struct tl_reader_state *s = r->state;
    while (s->z.avail_in && !*s->z.next_in) s->z.avail_in--, s->z.next_in++;
    if (!s->z.avail_in) return TL_OK;
    if (*s->z.next_in != 0x1F) return bad(r, "something else follows it");
    s->between = false;
    return inflateReset(&s->z) == Z_OK ? TL_OK : bad(r, "cannot be read");
}

static tl_status inflate_some(tl_reader *r)
{
    struct tl_reader_state *s = r->state;
    if (s->between) return next_member(r);
    switch (inflate(&s->z, Z_NO_FLUSH)) {
    case Z_STREAM_END: s->between = true; return TL_OK;
    case Z_OK:
    case Z_BUF_ERROR: return TL_OK; /* more input is needed, or more room */
    case Z_MEM_ERROR: return tl_report(TL_E_MEMORY, "%s: out of memory", r->path);
    default: return bad(r, s->z.msg ? s->z.msg : "cannot be read");
    }
}

static tl_status unpack(tl_reader *r, size_t *got)
{
    struct tl_reader_state *s = r->state;
    s->z.next_out = (Bytef *)s->plain;
    s->z.avail_out = sizeof s->plain;
    tl_status status = TL_OK;
    while (!status && s->z.avail_out) {
        if (!s->z.avail_in && !s->ended) status = more_packed(r);
        if (!status && !s->z.avail_in && s->ended) {
            if (s->between) break;
            /* What zlib still holds may come without r. */
            const uInt before = s->z.avail_out;
            status = inflate_some(r);
            if (!status && !s->between && s->z.avail_out == before)
                status = bad(r, "it ends here, but is not complete");
        } else if (!status) status = inflate_some(r);
    }
    *got = sizeof s->plain - s->z.avail_out;
    s->out += (int64_t)*got;
    if (!status && s->out > unseen && s->out / RATIO > s->in)
        return tl_report(TL_E_FORMAT, "%s: expands to more than %d times its size; if that is meant, unpack it first",
                         r->path, RATIO);
    return status;
}

tl_status tl_reader_more(tl_reader *r)
{
    struct tl_reader_state *s = r->state;
    size_t got = 0;
    const tl_status status = s->zip ? unpack(r, &got) : fill(r, s->plain, sizeof s->plain, &got);
    r->at = s->plain;
    r->end = s->plain + (status ? 0 : got);
    return status;
}

/* The first bytes say what it is. */
static tl_status begin(tl_reader *r)
{
    struct tl_reader_state *s = r->state;
    s->file = open(r->path, O_RDONLY | O_CLOEXEC);
    if (s->file < 0) return tl_report(TL_E_FILE, "%s: %s", r->path, strerror(errno));
    const tl_status status = more_packed(r);
    if (status) return status;
    if (s->z.avail_in >= 2 && s->packed[0] == 0x1F && s->packed[1] == 0x8B) {
        const uInt got = s->z.avail_in;
        s->zip = tl_inflate_begin(&s->z, TL_WRAP_GZIP);
        if (!s->zip) return tl_report(TL_E_MEMORY, "%s: out of memory", r->path);
        s->z.next_in = s->packed;
        s->z.avail_in = got;
        return tl_reader_more(r);
    }
    r->at = (const char *)s->packed;
    r->end = r->at + s->z.avail_in;
    return TL_OK;
}

tl_status tl_reader_open(tl_reader *r, const char *path)
{
    *r = (tl_reader){ .state = tl_resize(NULL, 0, sizeof *r->state) };
    const size_t size = strlen(path) + 1;
    r->path = tl_resize(NULL, 0, size);
    if (!r->state || !r->path) {
        tl_resize(r->state, sizeof *r->state, 0);
        tl_resize(r->path, size, 0);
        *r = (tl_reader){ 0 };
        return tl_report(TL_E_MEMORY, "%s: out of memory", path);
    }
    memcpy(r->path, path, size);
    r->state->file = -1;
    r->state->zip = r->state->between = r->state->ended = false;
    r->state->in = r->state->out = 0;
    const tl_status status = begin(r);
    if (status) tl_reader_close(r);
    return status;
}

void tl_reader_skip_mark(tl_reader *r)
{
    if (r->end - r->at >= 3 && !memcmp(r->at, "\xEF\xBB\xBF", 3)) r->at += 3;
}

void tl_reader_close(tl_reader *r)
{
    struct tl_reader_state *s = r->state;
    if (!s) return;
    if (s->zip) inflateEnd(&s->z);
    if (s->file >= 0) close(s->file);
    tl_resize(s, sizeof *s, 0);
    tl_resize(r->path, strlen(r->path) + 1, 0);
    *r = (tl_reader){ 0 };
}

tl_status tl_reader_all(const char *path, tl_bytes *out)
{
    tl_reader r;
    *out = (tl_bytes){ 0 };
    tl_status status = tl_reader_open(&r, path);
    if (status) return status;
    struct stat info; /* of a plain file, which needs no more room than this */
    const bool known = !r.state->zip && !fstat(r.state->file, &info) && info.st_size > 0;
    if (!tl_bytes_reserve(out, known ? (size_t)info.st_size : 0))
        status = tl_report(TL_E_MEMORY, "%s: out of memory", path);
    while (!status && r.at < r.end) {
        if (!tl_bytes_add(out, r.at, (size_t)(r.end - r.at)))
            status = tl_report(TL_E_MEMORY, "%s: out of memory", path);
        if (!status) status = tl_reader_more(&r);
    }
    tl_reader_close(&r);
    if (status) tl_bytes_free(out);
    return status;
}
