/* data/npz_write.c - writing npz: each array stored or deflated, then the directory. */
#include "data/gzip.h"
#include "data/npy.h"

#include <string.h>

typedef struct writer {
    const char *path;
    tl_replacement file;
    tl_bytes directory;
    uint64_t at; /* bytes written */
    bool deflate;
} writer;

static tl_status no_memory(const writer *w) { return tl_report(TL_E_MEMORY, "%s: out of memory", w->path); }

static bool add(tl_bytes *b, uint64_t value, int bytes)
{
    char text[8];
    for (int i = 0; i < bytes; i++) text[i] = (char)(value >> 8 * i & 255);
    return tl_bytes_add(b, text, (size_t)bytes);
}

/* What the local header and the directory both say of an entry. */
typedef struct entry {
    const char *name;
    uint32_t sum;
    uint64_t packed, size;
} entry;

static bool add_common(tl_bytes *b, const writer *w, const entry *e)
{
    enum {
        VERSION = 20,
        UTF8 = 1 << 11,
        DEFLATED = 8,
        DATE = 1 << 5 | 1
    }; /* 1 January 1980: bits depend on nothing else */
    return add(b, VERSION, 2) && add(b, UTF8, 2) && add(b, w->deflate ? DEFLATED : 0, 2) && add(b, 0, 2) &&
           add(b, DATE, 2) && add(b, e->sum, 4) && add(b, e->packed, 4) && add(b, e->size, 4) &&
           add(b, strlen(e->name) + 4, 2) && add(b, 0, 2);
}

static bool add_name(tl_bytes *b, const entry *e)
{
    return tl_bytes_add(b, e->name, strlen(e->name)) && tl_bytes_add(b, ".npy", 4);
}

static bool add_local(tl_bytes *b, const writer *w, const entry *e)
{
    return tl_bytes_add(b, "PK\3\4", 4) && add_common(b, w, e) && add_name(b, e);
}

static bool add_directory(writer *w, const entry *e)
{
    static const char nothing[10]; /* no comment, no attributes */
    tl_bytes *b = &w->directory;
    return tl_bytes_add(b, "PK\1\2", 4) && add(b, 20, 2) && add_common(b, w, e) &&
           tl_bytes_add(b, nothing, sizeof nothing) && add(b, w->at, 4) && add_name(b, e);
}

static tl_status put(writer *w, const void *data, size_t size)
{
    w->at += size;
    return tl_replace_write(&w->file, data, size);
}

/* ---- deflated ----------------------------------------------------------------------------------------------- */

static bool deflate_part(z_stream *s, const void *data, size_t size, int flush, tl_bytes *out)
{
    int result = Z_OK;
    s->next_in = (Bytef *)(uintptr_t)data;
    s->avail_in = (uInt)size;
    do {
        if (!tl_bytes_reserve(out, 1 << 16)) return false;
        s->next_out = (Bytef *)out->data + out->size;
        s->avail_out = 1 << 16;
        result = deflate(s, flush);
        out->size += (1 << 16) - s->avail_out;
    } while (!s->avail_out);
    return result != Z_STREAM_ERROR;
}

static tl_status pack(const writer *w, const tl_bytes *header, const tl_array *a, tl_bytes *out)
{
    z_stream s;
    if (!tl_deflate_begin(&s, TL_WRAP_NONE)) return no_memory(w);
    const bool good = deflate_part(&s, header->data, header->size, Z_NO_FLUSH, out) &&
                      deflate_part(&s, a->data, (size_t)tl_array_bytes(a), Z_FINISH, out);
    deflateEnd(&s);
    return good ? TL_OK : no_memory(w);
}

/* ---- an entry ----------------------------------------------------------------------------------------------- */

static const uint64_t most = 0xFFFFFFFE; /* beyond it, zip64 */

/* The local header and all that follows it; `header` is the array's. */
static tl_status put_entry(writer *w, const tl_named_array *a, const tl_bytes *header, tl_bytes *packed)
{
    const size_t bytes = (size_t)tl_array_bytes(&a->array);
    entry e = { .name = a->name, .size = header->size + bytes, .packed = header->size + bytes };
    tl_bytes local = { 0 };
    const bool large = e.size > most || w->at > most - e.size; /* deflated data may be larger, but hardly */
    tl_status status = w->deflate && !large ? pack(w, header, &a->array, packed) : TL_OK;
    if (status) return status;
    if (w->deflate) e.packed = packed->size;
    if (large || e.packed > most || w->at > most - e.packed)
        return tl_report(TL_E_ARGUMENT, "%s: '%s' makes it larger than 4 GB, which needs zip64", w->path, a->name);
    e.sum = (uint32_t)crc32(0, (const Bytef *)header->data, (uInt)header->size);
    if (bytes) e.sum = (uint32_t)crc32(e.sum, a->array.data, (uInt)bytes);
    if (!add_directory(w, &e) || !add_local(&local, w, &e)) status = no_memory(w);
    if (!status) status = put(w, local.data, local.size);
    tl_bytes_free(&local);
    if (!status && w->deflate) return put(w, packed->data, packed->size);
    if (!status) status = put(w, header->data, header->size);
    return status ? status : put(w, a->array.data, bytes);
}

static tl_status write_entry(writer *w, const tl_named_array *a)
{
    tl_bytes header = { 0 }, packed = { 0 };
    const tl_status status = tl_npy_header(&header, &a->array) ? put_entry(w, a, &header, &packed) : no_memory(w);
    tl_bytes_free(&header);
    tl_bytes_free(&packed);
    return status;
}

static tl_status finish(writer *w, int n)
{
    const uint64_t start = w->at, size = w->directory.size;
    tl_bytes *b = &w->directory;
    if (start > most || size > most)
        return tl_report(TL_E_ARGUMENT, "%s: larger than 4 GB, which needs zip64", w->path);
    if (!tl_bytes_add(b, "PK\5\6", 4) || !add(b, 0, 4) || !add(b, (uint64_t)n, 2) || !add(b, (uint64_t)n, 2) ||
        !add(b, size, 4) || !add(b, start, 4) || !add(b, 0, 2))
        return no_memory(w);
    const tl_status status = put(w, b->data, b->size);
    return status ? status : tl_replace_commit(&w->file);
}

tl_status tl_npz_write(const char *path, const tl_named_array *arrays, int n, bool deflate)
{
    writer w = { .path = path, .deflate = deflate };
    if (!path || n < 0 || (n && !arrays)) return tl_report(TL_E_ARGUMENT, "tl_npz_write: a path and arrays are needed");
    if (n >= 0xFFFF) return tl_report(TL_E_ARGUMENT, "%s: %d arrays need zip64", path, n);
    for (int i = 0; i < n; i++)
        if (arrays[i].name && strlen(arrays[i].name) > 0xF000)
            return tl_report(TL_E_NAME, "%s: the name '%.60s...' is too long", path, arrays[i].name);
    tl_status status = tl_named_arrays_check(path, arrays, n);
    if (!status) status = tl_replace_begin(&w.file, path);
    if (status) return status;
    for (int i = 0; i < n && !status; i++) status = write_entry(&w, &arrays[i]);
    if (!status) status = finish(&w, n);
    if (status) tl_replace_cancel(&w.file);
    tl_bytes_free(&w.directory);
    return status;
}
