/* data/safetensors.c - reading safetensors: u64 length of the header, the header (JSON), the arrays' bytes.
 *
 *     {"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
 *
 * Offsets count from the header's end; together the arrays cover all bytes behind it, each byte once. */
#include "data/internal.h"

#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors files are little-endian, and this code copies them as they are"
#endif

enum { MAX_HEADER = 100 << 20 };

typedef enum kind { KIND_NONE, F32, F64, I32, I64 } kind;

static const struct {
    const char *name;
    size_t size;
    tl_dtype dtype;
} kinds[] = { [F32] = { "F32", 4, TL_F32 },
              [F64] = { "F64", 8, TL_F64 },
              [I32] = { "I32", 4, TL_I32 },
              [I64] = { "I64", 8, TL_I32 } };

/* What the header says of one array. */
typedef struct entry {
    const char *name;
    kind kind;
    tl_shape shape;
    int64_t begin, end;
} entry;

struct tl_safetensors {
    char *header; /* names, keys and texts point into it */
    size_t header_room;
    tl_named_array *arrays;
    tl_named_text *texts;
    char *data; /* all arrays, each aligned to ALIGN */
    size_t data_room;
    int n, room, n_texts, texts_room;
};

enum { ALIGN = 16 };

/* What is known while a file is read. */
typedef struct reader {
    const char *path;
    tl_safetensors *file;
    tl_json json;
    entry *entries;
    int n, room;
    bool no_memory;
} reader;

/* ---- the header's grammar ----------------------------------------------------------------------------------- */

/* Room for one more element in an array of `size` bytes each. */
static bool grow(reader *r, void *array, int n, int *room, size_t size)
{
    void *old, *new;
    if (n < *room) return true;
    const int more = *room ? 2 * *room : 16;
    memcpy(&old, array, sizeof old);
    new = more > *room ? tl_resize(old, (size_t)*room * size, (size_t)more * size) : NULL;
    if (!new) {
        r->no_memory = true;
        return tl_json_fail(&r->json, "out of memory");
    }
    memcpy(array, &new, sizeof new);
    *room = more;
    return true;
}

static bool read_texts(reader *r)
{
    tl_safetensors *f = r->file;
    tl_json *j = &r->json;
    if (!tl_json_expect(j, '{')) return false;
    if (tl_json_next(j, '}')) return true;
    do {
        char *key, *text;
        if (!tl_json_string(j, &key) || !tl_json_expect(j, ':') || !tl_json_string(j, &text)) return false;
        if (!grow(r, &f->texts, f->n_texts, &f->texts_room, sizeof *f->texts)) return false;
        f->texts[f->n_texts++] = (tl_named_text){ key, text };
    } while (tl_json_next(j, ','));
    return tl_json_expect(j, '}');
}

static bool read_kind(tl_json *j, kind *out)
{
    char *name;
    if (!tl_json_string(j, &name)) return false;
    for (int k = F32; k <= I64; k++)
        if (!strcmp(name, kinds[k].name)) *out = (kind)k;
    return *out || tl_json_fail(j, "a dtype other than F32, F64, I32 and I64");
}

static bool read_shape(tl_json *j, tl_shape *s)
{
    if (!tl_json_expect(j, '[')) return false;
    if (tl_json_next(j, ']')) return true;
    do {
        if (s->rank == TL_MAX_RANK) return tl_json_fail(j, "more dimensions than TL_MAX_RANK");
        if (!tl_json_integer(j, &s->dim[s->rank++])) return false;
    } while (tl_json_next(j, ','));
    return tl_json_expect(j, ']');
}

static bool read_offsets(tl_json *j, entry *e)
{
    return tl_json_expect(j, '[') && tl_json_integer(j, &e->begin) && tl_json_expect(j, ',') &&
           tl_json_integer(j, &e->end) && tl_json_expect(j, ']');
}

/* Bytes of an array; false if that overflows. */
static bool entry_bytes(const entry *e, int64_t *bytes)
{
    *bytes = (int64_t)kinds[e->kind].size;
    for (int a = 0; a < e->shape.rank; a++)
        if (__builtin_mul_overflow(*bytes, e->shape.dim[a], bytes)) return false;
    return true;
}

static bool read_entry(tl_json *j, entry *e)
{
    bool kind_seen = false, shape_seen = false, offsets_seen = false;
    if (!tl_json_expect(j, '{')) return false;
    do {
        char *key;
        bool *seen, good;
        if (!tl_json_string(j, &key) || !tl_json_expect(j, ':')) return false;
        if (!strcmp(key, "dtype")) seen = &kind_seen, good = read_kind(j, &e->kind);
        else if (!strcmp(key, "shape")) seen = &shape_seen, good = read_shape(j, &e->shape);
        else if (!strcmp(key, "data_offsets")) seen = &offsets_seen, good = read_offsets(j, e);
        else return tl_json_fail(j, "a key other than dtype, shape and data_offsets");
        if (!good) return false;
        if (*seen) return tl_json_fail(j, "a key twice");
        *seen = true;
    } while (tl_json_next(j, ','));
    if (!tl_json_expect(j, '}')) return false;
    if (!kind_seen || !shape_seen || !offsets_seen) return tl_json_fail(j, "dtype, shape or data_offsets is missing");
    int64_t bytes;
    if (!entry_bytes(e, &bytes)) return tl_json_fail(j, "a shape with too many elements");
    return (e->begin <= e->end && e->end - e->begin == bytes) ||
           tl_json_fail(j, "data_offsets that do not fit the shape");
}

static bool read_header(reader *r)
{
    tl_json *j = &r->json;
    bool texts_seen = false;
    if (!tl_json_expect(j, '{')) return false;
    if (tl_json_next(j, '}')) return tl_json_end(j);
    do {
        char *name;
        if (!tl_json_string(j, &name) || !tl_json_expect(j, ':')) return false;
        if (!strcmp(name, "__metadata__")) {
            if (texts_seen) return tl_json_fail(j, "__metadata__ twice");
            texts_seen = true;
            if (!read_texts(r)) return false;
        } else {
            entry e = { .name = name };
            if (!read_entry(j, &e) || !grow(r, &r->entries, r->n, &r->room, sizeof *r->entries)) return false;
            r->entries[r->n++] = e;
        }
    } while (tl_json_next(j, ','));
    return tl_json_expect(j, '}') && tl_json_end(j);
}

/* ---- the texts ---------------------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    return strcmp(((const tl_named_text *)a)->key, ((const tl_named_text *)b)->key);
}

static tl_status check_texts(const reader *r)
{
    const tl_safetensors *f = r->file;
    if (f->n_texts) qsort(f->texts, (size_t)f->n_texts, sizeof *f->texts, by_key);
    for (int i = 1; i < f->n_texts; i++)
        if (!strcmp(f->texts[i].key, f->texts[i - 1].key))
            return tl_report(TL_E_FORMAT, "%s: the key %s twice in __metadata__", r->path, f->texts[i].key);
    return TL_OK;
}

/* ---- the arrays --------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) { return strcmp(((const entry *)a)->name, ((const entry *)b)->name); }

static int by_offset(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end != y->end ? (x->end < y->end ? -1 : 1) : strcmp(x->name, y->name);
}

/* No name twice; every byte belongs to one array. Leaves the entries in the order of their bytes. */
static tl_status check_entries(reader *r, int64_t size)
{
    if (r->n) qsort(r->entries, (size_t)r->n, sizeof *r->entries, by_name);
    for (int i = 1; i < r->n; i++)
        if (!strcmp(r->entries[i].name, r->entries[i - 1].name))
            return tl_report(TL_E_FORMAT, "%s: the name %s twice", r->path, r->entries[i].name);
    if (r->n) qsort(r->entries, (size_t)r->n, sizeof *r->entries, by_offset);
    int64_t end = 0;
    for (int i = 0; i < r->n; i++) {
        const entry *e = &r->entries[i];
        if (e->end > size)
            return tl_report(TL_E_FORMAT, "%s: %s ends at byte %lld of %lld", r->path, e->name, (long long)e->end,
                             (long long)size);
        if (e->begin != end)
            return tl_report(TL_E_FORMAT, "%s: %s starts at byte %lld, which %s", r->path, e->name, (long long)e->begin,
                             e->begin < end ? "overlaps the array before it" : "leaves a hole before it");
        end = e->end;
    }
    if (end != size)
        return tl_report(TL_E_FORMAT, "%s: %lld bytes at the end belong to no array", r->path, (long long)(size - end));
    return TL_OK;
}

/* Copies an array's bytes to where they are aligned; narrows I64. */
static tl_status copy_array(const reader *r, const entry *e, const char *bytes, char *to)
{
    const size_t n = (size_t)(e->end - e->begin);
    if (e->kind != I64) {
        if (n) memcpy(to, bytes + e->begin, n);
        return TL_OK;
    }
    for (size_t i = 0; i < n / 8; i++) {
        int64_t wide;
        memcpy(&wide, bytes + e->begin + 8 * i, 8);
        const int32_t narrow = (int32_t)wide;
        if (narrow != wide)
            return tl_report(TL_E_FORMAT, "%s: %s holds %lld, which does not fit 32 bits", r->path, e->name,
                             (long long)wide);
        memcpy(to + 4 * i, &narrow, 4);
    }
    return TL_OK;
}

static size_t aligned(int64_t bytes) { return ((size_t)bytes + ALIGN - 1) / ALIGN * ALIGN; }

static tl_status take_arrays(reader *r, const char *bytes)
{
    tl_safetensors *f = r->file;
    f->data_room = ALIGN;
    for (int i = 0; i < r->n; i++) f->data_room += aligned(r->entries[i].end - r->entries[i].begin);
    f->data = tl_resize(NULL, 0, f->data_room);
    f->arrays = tl_resize(NULL, 0, (size_t)(r->n + 1) * sizeof *f->arrays);
    f->room = r->n + 1;
    if (!f->data || !f->arrays) return tl_report(TL_E_MEMORY, "%s: out of memory", r->path);
    char *to = f->data;
    for (int i = 0; i < r->n; i++) {
        const entry *e = &r->entries[i];
        const tl_status status = copy_array(r, e, bytes, to);
        if (status) return status;
        tl_array *a = &f->arrays[f->n].array;
        *a = (tl_array){ .dtype = kinds[e->kind].dtype, .rank = e->shape.rank, .data = to };
        memcpy(a->dim, e->shape.dim, sizeof a->dim);
        f->arrays[f->n++].name = e->name;
        to += aligned(e->end - e->begin);
    }
    return TL_OK;
}

/* ---- the whole ---------------------------------------------------------------------------------------------- */

static tl_status read_into(reader *r, const char *bytes, size_t size)
{
    uint64_t length = 0;
    if (size < 8) return tl_report(TL_E_FORMAT, "%s: shorter than the 8 bytes that every file has", r->path);
    memcpy(&length, bytes, 8);
    if (length > MAX_HEADER || length > size - 8)
        return tl_report(TL_E_FORMAT, "%s: a header of %llu bytes in a file of %zu", r->path,
                         (unsigned long long)length, size);
    tl_safetensors *f = r->file;
    f->header_room = (size_t)length + 1;
    f->header = tl_resize(NULL, 0, f->header_room);
    if (!f->header) return tl_report(TL_E_MEMORY, "%s: out of memory", r->path);
    if (length) memcpy(f->header, bytes + 8, (size_t)length);
    r->json = (tl_json){ .text = f->header, .size = (size_t)length };
    if (!read_header(r))
        return tl_report(r->no_memory ? TL_E_MEMORY : TL_E_FORMAT, "%s: header, byte %zu: %s", r->path, r->json.where,
                         r->json.error);
    tl_status status = check_texts(r);
    if (!status) status = check_entries(r, (int64_t)(size - 8 - (size_t)length));
    return status ? status : take_arrays(r, bytes + 8 + length);
}

tl_status tl_safetensors_parse(const char *name, const void *bytes, size_t size, tl_safetensors **out)
{
    if (out) *out = NULL;
    if (!name || !out || (!bytes && size))
        return tl_report(TL_E_ARGUMENT, "tl_safetensors_parse: bytes and a place are needed");
    reader r = { .path = name, .file = tl_resize(NULL, 0, sizeof(tl_safetensors)) };
    if (!r.file) return tl_report(TL_E_MEMORY, "%s: out of memory", name);
    *r.file = (tl_safetensors){ 0 };
    const tl_status status = read_into(&r, bytes, size);
    tl_resize(r.entries, (size_t)r.room * sizeof *r.entries, 0);
    if (status) tl_safetensors_free(r.file);
    else *out = r.file;
    return status;
}

tl_status tl_safetensors_read(const char *path, tl_safetensors **out)
{
    if (out) *out = NULL;
    if (!path || !out) return tl_report(TL_E_ARGUMENT, "tl_safetensors_read: a path and a place are needed");
    tl_bytes bytes;
    const tl_status status = tl_file_read(path, &bytes);
    if (status) return status;
    const tl_status parsed = tl_safetensors_parse(path, bytes.data, bytes.size, out);
    tl_bytes_free(&bytes);
    return parsed;
}

void tl_safetensors_free(tl_safetensors *f)
{
    if (!f) return;
    tl_resize(f->header, f->header_room, 0);
    tl_resize(f->arrays, (size_t)f->room * sizeof *f->arrays, 0);
    tl_resize(f->texts, (size_t)f->texts_room * sizeof *f->texts, 0);
    tl_resize(f->data, f->data_room, 0);
    tl_resize(f, sizeof *f, 0);
}

const tl_named_array *tl_safetensors_arrays(const tl_safetensors *f, int *n)
{
    if (n) *n = f ? f->n : 0;
    return f ? f->arrays : NULL;
}

const tl_named_text *tl_safetensors_texts(const tl_safetensors *f, int *n)
{
    if (n) *n = f ? f->n_texts : 0;
    return f ? f->texts : NULL;
}

const tl_array *tl_safetensors_array(const tl_safetensors *f, const char *name)
{
    for (int i = 0; f && name && i < f->n; i++)
        if (!strcmp(f->arrays[i].name, name)) return &f->arrays[i].array;
    return NULL;
}

const char *tl_safetensors_text(const tl_safetensors *f, const char *key)
{
    for (int i = 0; f && key && i < f->n_texts; i++)
        if (!strcmp(f->texts[i].key, key)) return f->texts[i].text;
    return NULL;
}
