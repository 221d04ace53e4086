/* data/npz.c - several arrays in one zip file, as NumPy packs them; the central directory counts. */
#include "data/gzip.h"
#include "data/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { END = 22, ENTRY = 46, LOCAL = 30 }; /* sizes of zip's records without what follows them */
static const uint32_t zip64 = 0xFFFFFFFF;  /* stands for: look elsewhere */

struct tl_npz {
    tl_named_array *arrays;
    int64_t n, room;
    tl_bytes names;
};

typedef struct archive {
    const char *path;
    const unsigned char *bytes;
    size_t size, directory; /* where the central directory starts */
    uint64_t packed;        /* bytes that all entries so far have claimed */
} archive;

/* One line of the central directory. */
typedef struct entry {
    const char *name;
    size_t name_size, packed, size, local;
    unsigned flags, method;
    uint32_t sum;
} entry;

static uint32_t u16(const unsigned char *p) { return (uint32_t)(p[0] | p[1] << 8); }
static uint32_t u32(const unsigned char *p) { return u16(p) | u16(p + 2) << 16; }

static tl_status bad(const archive *z, const entry *e, const char *what)
{
    if (!e) return tl_report(TL_E_FORMAT, "%s: %s", z->path, what);
    return tl_report(TL_E_FORMAT, "%s: %.*s: %s", z->path, (int)(e->name_size < 80 ? e->name_size : 80), e->name, what);
}

static tl_status no_memory(const char *path) { return tl_report(TL_E_MEMORY, "%s: out of memory", path); }

/* ---- the directory ------------------------------------------------------------------------------------------ */

/* The record at the end of the file, which only a comment may follow. */
static const unsigned char *find_end(const archive *z)
{
    for (size_t comment = 0; comment <= 0xFFFF && comment + END <= z->size; comment++) {
        const unsigned char *p = z->bytes + z->size - END - comment;
        if (!memcmp(p, "PK\5\6", 4) && u16(p + 20) == comment) return p;
    }
    return NULL;
}

static tl_status read_entry(const archive *z, const unsigned char **at, const unsigned char *end, entry *e)
{
    const unsigned char *p = *at;
    if (end - p < ENTRY || memcmp(p, "PK\1\2", 4)) return bad(z, NULL, "the directory is damaged");
    *e = (entry){ .name = (const char *)p + ENTRY,
                  .flags = u16(p + 8),
                  .method = u16(p + 10),
                  .sum = u32(p + 16),
                  .packed = u32(p + 20),
                  .size = u32(p + 24),
                  .name_size = u16(p + 28),
                  .local = u32(p + 42) };
    const size_t size = ENTRY + e->name_size + u16(p + 30) + u16(p + 32);
    if ((size_t)(end - p) < size) return bad(z, NULL, "the directory is damaged");
    if (e->packed == zip64 || e->size == zip64 || e->local == zip64)
        return bad(z, e, "zip64 (entries of 4 GB or more) is not read");
    if (e->flags & 1) return bad(z, e, "it is encrypted");
    if (memchr(e->name, 0, e->name_size)) return bad(z, NULL, "a name with a NUL byte");
    *at = p + size;
    return TL_OK;
}

/* ---- entries ------------------------------------------------------------------------------------------------ */

static tl_status unpack(const archive *z, const entry *e, const unsigned char *data, tl_bytes *out)
{
    z_stream s;
    if (e->size / 1032 > e->packed) return bad(z, e, "it claims to expand more than deflated data can");
    if (!tl_bytes_reserve(out, e->size) || !tl_inflate_begin(&s, TL_WRAP_NONE)) return no_memory(z->path);
    s.next_in = (Bytef *)(uintptr_t)data;
    s.avail_in = (uInt)e->packed;
    s.next_out = (Bytef *)out->data;
    s.avail_out = (uInt)e->size;
    const int result = inflate(&s, Z_FINISH);
    const bool whole = result == Z_STREAM_END && !s.avail_in && !s.avail_out;
    inflateEnd(&s);
    if (result == Z_MEM_ERROR) return no_memory(z->path);
    if (!whole) return bad(z, e, "its deflated data are damaged");
    out->size = e->size;
    return TL_OK;
}

/* Where the bytes of an entry lie. */
static tl_status find_data(archive *z, const entry *e, const unsigned char **data)
{
    const unsigned char *p = z->bytes + e->local;
    if (e->local > z->directory || z->directory - e->local < LOCAL || memcmp(p, "PK\3\4", 4))
        return bad(z, e, "it is not where the directory says");
    const size_t front = LOCAL + u16(p + 26) + u16(p + 28), left = z->directory - e->local;
    if (front > left || e->packed > left - front) return bad(z, e, "it reaches beyond the end");
    if (u16(p + 26) != e->name_size || memcmp(p + LOCAL, e->name, e->name_size))
        return bad(z, e, "it has another name where it lies");
    z->packed += e->packed;
    if (z->packed > z->size) return bad(z, e, "it overlaps others");
    *data = p + front;
    return TL_OK;
}

static tl_status parse_entry(archive *z, const entry *e, tl_array *out)
{
    const unsigned char *data = NULL;
    tl_bytes b = { 0 };
    char name[96];
    tl_status status = find_data(z, e, &data);
    if (status) return status;
    if (e->method == 8) status = unpack(z, e, data, &b);
    else if (e->method || e->packed != e->size) status = bad(z, e, "it is neither stored nor deflated");
    if (!status) {
        const unsigned char *plain = e->method ? (const unsigned char *)b.data : data;
        snprintf(name, sizeof name, "%.*s", (int)(e->name_size < 80 ? e->name_size : 80), e->name);
        if (crc32(0, plain, (uInt)e->size) != e->sum) status = bad(z, e, "its checksum is wrong");
        else status = tl_npy_parse(name, plain, e->size, out);
    }
    tl_bytes_free(&b);
    return status;
}

static tl_status take_entry(tl_npz *f, archive *z, const entry *e)
{
    if (e->name_size < 4 || memcmp(e->name + e->name_size - 4, ".npy", 4)) return TL_OK; /* no array */
    if (!tl_make_room(&f->arrays, &f->room, f->n, 1, sizeof *f->arrays) ||
        !tl_bytes_add(&f->names, e->name, e->name_size - 4) || !tl_bytes_add(&f->names, "", 1))
        return no_memory(z->path);
    const tl_status status = parse_entry(z, e, &f->arrays[f->n].array);
    if (!status) f->n++;
    return status;
}

/* ---- the whole ---------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Names have their places now; none may come twice. */
static tl_status set_names(tl_npz *f, const char *path)
{
    const char *name = f->names.data, **sorted = tl_resize(NULL, 0, (size_t)(f->n + 1) * sizeof *sorted);
    if (!sorted) return no_memory(path);
    for (int64_t i = 0; i < f->n; i++, name += strlen(name) + 1) sorted[i] = f->arrays[i].name = name;
    if (f->n) qsort(sorted, (size_t)f->n, sizeof *sorted, by_name);
    tl_status status = TL_OK;
    for (int64_t i = 1; i < f->n && !status; i++)
        if (!strcmp(sorted[i - 1], sorted[i]))
            status = tl_report(TL_E_FORMAT, "%s: the name %.80s twice", path, sorted[i]);
    tl_resize(sorted, (size_t)(f->n + 1) * sizeof *sorted, 0);
    return status;
}

static tl_status read_all(tl_npz *f, archive *z)
{
    const unsigned char *end = find_end(z);
    if (!end) return bad(z, NULL, "this is no zip file, or its end is missing");
    const uint32_t n = u16(end + 10), size = u32(end + 12), start = u32(end + 16);
    if (n == 0xFFFF || size == zip64 || start == zip64) return bad(z, NULL, "zip64 (4 GB or more) is not read");
    if (u16(end + 4) || u16(end + 6) || u16(end + 8) != n) return bad(z, NULL, "a part of several files");
    const size_t room = (size_t)(end - z->bytes);
    if (start > room || size > room - start) return bad(z, NULL, "the directory is damaged");
    z->directory = start;
    const unsigned char *at = z->bytes + start, *stop = at + size;
    for (uint32_t i = 0; i < n; i++) {
        entry e = { 0 };
        tl_status status = read_entry(z, &at, stop, &e);
        if (!status) status = take_entry(f, z, &e);
        if (status) return status;
    }
    return set_names(f, z->path);
}

tl_status tl_npz_parse(const char *name, const void *bytes, size_t size, tl_npz **out)
{
    if (!name || !out || (!bytes && size))
        return tl_report(TL_E_ARGUMENT, "tl_npz_parse: bytes and a place are needed");
    *out = NULL;
    archive z = { .path = name, .bytes = bytes, .size = size };
    tl_npz *f = tl_resize(NULL, 0, sizeof *f);
    if (!f) return no_memory(name);
    *f = (tl_npz){ 0 };
    const tl_status status = read_all(f, &z);
    if (status) tl_npz_free(f);
    else *out = f;
    return status;
}

tl_status tl_npz_read(const char *path, tl_npz **out)
{
    tl_bytes b;
    if (!path || !out) return tl_report(TL_E_ARGUMENT, "tl_npz_read: a path and a place are needed");
    *out = NULL;
    tl_status status = tl_file_read(path, &b);
    if (status) return status;
    status = tl_npz_parse(path, b.data, b.size, out);
    tl_bytes_free(&b);
    return status;
}

void tl_npz_free(tl_npz *f)
{
    if (!f) return;
    for (int64_t i = 0; i < f->n; i++) tl_array_free(&f->arrays[i].array);
    tl_resize(f->arrays, (size_t)f->room * sizeof *f->arrays, 0);
    tl_bytes_free(&f->names);
    tl_resize(f, sizeof *f, 0);
}

const tl_named_array *tl_npz_arrays(const tl_npz *f, int *n)
{
    if (n) *n = f ? (int)f->n : 0;
    return f ? f->arrays : NULL;
}

const tl_array *tl_npz_array(const tl_npz *f, const char *name)
{
    for (int64_t i = 0; f && name && i < f->n; i++)
        if (!strcmp(f->arrays[i].name, name)) return &f->arrays[i].array;
    return NULL;
}
