/* data/npy.c - one array in NumPy's format, versions 1.0 to 3.0: a header that is a Python dictionary, then numbers. */
#include "data/npy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Types that are read, by the letter and size in their name. */
static const struct kind {
    const char *name;
    tl_dtype dtype;
    bool same; /* as they are in memory, if little-endian */
} kinds[] = {
    { "f4", TL_F32, true },  { "f8", TL_F64, true },  { "i4", TL_I32, true },  { "f2", TL_F32, false },
    { "b1", TL_I32, false }, { "i1", TL_I32, false }, { "u1", TL_I32, false }, { "i2", TL_I32, false },
    { "u2", TL_I32, false }, { "u4", TL_I32, false }, { "i8", TL_I32, false }, { "u8", TL_I32, false },
};

/* The header while it is read. */
typedef struct header {
    const char *path, *start, *at, *end;
    const struct kind *kind;
    bool big_endian, fortran;
    tl_shape shape;
    tl_status status;
} header;

/* ---- the header --------------------------------------------------------------------------------------------- */

static bool bad(header *h, const char *what)
{
    if (!h->status)
        h->status = tl_report(TL_E_FORMAT, "%s: byte %lld: %s", h->path, (long long)(h->at - h->start), what);
    return false;
}

static void skip_blanks(header *h)
{
    while (h->at < h->end && (*h->at == ' ' || *h->at == '\n' || *h->at == '\t')) h->at++;
}

static bool next(header *h, char c)
{
    skip_blanks(h);
    if (h->at == h->end || *h->at != c) return false;
    h->at++;
    return true;
}

static bool expect(header *h, char c)
{
    char what[20];
    snprintf(what, sizeof what, "'%c' is missing", c);
    return next(h, c) || bad(h, what);
}

/* A short string without escapes. */
static bool string(header *h, char out[static 32])
{
    const char quote = next(h, '\'') ? '\'' : next(h, '"') ? '"' : 0;
    if (!quote) return bad(h, "a string is missing");
    for (int n = 0; n < 31 && h->at < h->end; n++) {
        out[n] = *h->at++;
        if (out[n] == quote) return out[n] = 0, true;
        if (out[n] == '\\') break;
    }
    return bad(h, "a string without end, or one that means nothing here");
}

static bool read_type(header *h)
{
    char text[32];
    if (next(h, '[') || next(h, '(')) return bad(h, "records are not read");
    if (!string(h, text)) return false;
    h->big_endian = *text == '>';
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && *text && strchr("<>|=", *text); i++)
        if (!strcmp(text + 1, kinds[i].name)) h->kind = &kinds[i];
    if (h->kind) return true;
    for (char *p = text; *p; p++)
        if (*p < ' ' || *p > '~') *p = '?';
    char what[80];
    snprintf(what, sizeof what, "type %s is not read", text);
    return bad(h, what);
}

static bool read_order(header *h)
{
    skip_blanks(h);
    for (int truth = 0; truth < 2; truth++) {
        const char *word = truth ? "True" : "False";
        const size_t n = strlen(word);
        if ((size_t)(h->end - h->at) < n || memcmp(h->at, word, n)) continue;
        h->at += n;
        h->fortran = truth;
        return true;
    }
    return bad(h, "True or False is missing");
}

static bool read_size(header *h, int64_t *out)
{
    const char *first = h->at;
    for (*out = 0; h->at < h->end && *h->at >= '0' && *h->at <= '9'; h->at++)
        if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, *h->at - '0', out))
            return bad(h, "a dimension that is too large");
    if (h->at == first) return bad(h, "a dimension is missing");
    if (h->at < h->end && *h->at == 'L') h->at++; /* Python 2's long */
    return true;
}

static bool read_shape(header *h)
{
    if (!expect(h, '(')) return false;
    while (!next(h, ')')) {
        if (h->shape.rank == TL_MAX_RANK) return bad(h, "more dimensions than TL_MAX_RANK");
        if (!read_size(h, &h->shape.dim[h->shape.rank++])) return false;
        if (!next(h, ',')) return h->shape.rank > 1 ? expect(h, ')') : bad(h, "',' is missing");
        skip_blanks(h);
    }
    return true;
}

static bool read_header(header *h)
{
    static const struct {
        const char *name;
        bool (*read)(header *h);
    } keys[] = { { "descr", read_type }, { "fortran_order", read_order }, { "shape", read_shape } };
    unsigned seen = 0;
    if (!expect(h, '{')) return false;
    while (!next(h, '}')) {
        char name[32];
        int k = 0;
        if (!string(h, name) || !expect(h, ':')) return false;
        while (k < 3 && strcmp(name, keys[k].name)) k++;
        if (k == 3 || (seen & 1u << k)) return bad(h, "a key that is unknown or comes twice");
        seen |= 1u << k;
        if (!keys[k].read(h)) return false;
        if (!next(h, ',') && (h->at == h->end || !strchr(" \n\t}", *h->at))) return bad(h, "',' is missing");
    }
    if (seen != 7) return bad(h, "descr, fortran_order or shape is missing");
    skip_blanks(h);
    return h->at == h->end || bad(h, "something follows the dictionary");
}

/* ---- the numbers -------------------------------------------------------------------------------------------- */

static float half(uint64_t bits)
{
    const int exponent = (int)(bits >> 10 & 31), fraction = (int)(bits & 1023);
    const float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                       : exponent     ? ldexpf((float)(1024 + fraction), exponent - 25)
                                      : ldexpf((float)fraction, -24);
    return bits >> 15 ? -size : size;
}

static uint64_t load(const header *h, const char *p, int size)
{
    uint64_t bits = 0;
    for (int i = 0; i < size; i++) bits |= (uint64_t)(unsigned char)p[h->big_endian ? size - 1 - i : i] << 8 * i;
    return bits;
}

/* Element i of the array becomes that at p in the file. */
static bool convert(header *h, const char *p, tl_array *a, int64_t i)
{
    const char letter = h->kind->name[0];
    const int size = h->kind->name[1] - '0';
    const uint64_t bits = load(h, p, size);
    const uint32_t low = (uint32_t)bits;
    const int unused = 64 - 8 * size;
    const int64_t whole = letter == 'i' ? (int64_t)(bits << unused) >> unused : (int64_t)bits;
    if (a->dtype == TL_F64) memcpy((double *)a->data + i, &bits, 8);
    else if (letter == 'f' && size == 4) memcpy((float *)a->data + i, &low, 4);
    else if (letter == 'f') ((float *)a->data)[i] = half(bits);
    else if (letter == 'b') ((int32_t *)a->data)[i] = !!bits;
    else if (whole == (int32_t)whole && (whole >= 0 || letter == 'i')) ((int32_t *)a->data)[i] = (int32_t)whole;
    else {
        h->at = p;
        return bad(h, "an integer that does not fit 32 bits");
    }
    return true;
}

/* Elements in C order, wherever they lie. */
static bool take(header *h, tl_array *a)
{
    const int64_t size = h->kind->name[1] - '0', n = tl_shape_size(&h->shape);
    int64_t step[TL_MAX_RANK], index[TL_MAX_RANK] = { 0 }, stride = size;
    const char *p = h->at;
    for (int k = 0; k < a->rank; k++) {
        const int axis = h->fortran ? k : a->rank - 1 - k; /* that which is dense comes first */
        step[axis] = stride;
        stride *= a->dim[axis];
    }
    for (int64_t i = 0; i < n; i++) {
        if (!convert(h, p, a, i)) return false;
        for (int axis = a->rank - 1; axis >= 0; axis--) {
            p += step[axis];
            if (++index[axis] < a->dim[axis]) break;
            p -= step[axis] * a->dim[axis];
            index[axis] = 0;
        }
    }
    return true;
}

static tl_status read_numbers(header *h, const char *end, tl_array *out)
{
    const int64_t size = h->kind->name[1] - '0', there = end - h->at;
    int64_t n = 1, most;
    for (int k = 0; k < h->shape.rank; k++)
        if (__builtin_mul_overflow(n, h->shape.dim[k], &n) || __builtin_mul_overflow(n, 8, &most))
            return bad(h, "a shape with too many elements"), h->status;
    if (n > there / size || n * size != there)
        return tl_report(TL_E_FORMAT, "%s: %lld bytes for %lld elements of %lld bytes", h->path, (long long)there,
                         (long long)n, (long long)size);
    const tl_status status = tl_array_new(h->path, h->kind->dtype, h->shape.rank, h->shape.dim, out);
    if (status) return status;
    if (h->kind->same && !h->big_endian && !h->fortran) {
        if (there) memcpy(out->data, h->at, (size_t)there);
    } else if (!take(h, out)) tl_array_free(out);
    return h->status;
}

tl_status tl_npy_parse(const char *name, const void *bytes, size_t size, tl_array *out)
{
    const unsigned char *b = bytes;
    if (!name || !out || (!bytes && size))
        return tl_report(TL_E_ARGUMENT, "tl_npy_parse: bytes and a place are needed");
    *out = (tl_array){ 0 };
    if (size < 12 || memcmp(b, "\x93NUMPY", 6)) return tl_report(TL_E_FORMAT, "%s: this is no npy file", name);
    if (b[6] < 1 || b[6] > 3) return tl_report(TL_E_FORMAT, "%s: version %d.%d is not known", name, b[6], b[7]);
    const size_t front = b[6] == 1 ? 10 : 12;
    size_t length = (size_t)b[8] | (size_t)b[9] << 8;
    if (front == 12) length |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
    if (length > size - front)
        return tl_report(TL_E_FORMAT, "%s: a header of %zu bytes in a file of %zu", name, length, size);
    header h = { .path = name, .start = bytes, .at = (const char *)bytes + front };
    h.end = h.at + length;
    return read_header(&h) ? read_numbers(&h, (const char *)bytes + size, out) : h.status;
}

tl_status tl_npy_read(const char *path, tl_array *out)
{
    tl_bytes b;
    if (!path || !out) return tl_report(TL_E_ARGUMENT, "tl_npy_read: a path and a place for the array are needed");
    *out = (tl_array){ 0 };
    tl_status status = tl_reader_all(path, &b);
    if (status) return status;
    status = tl_npy_parse(path, b.data, b.size, out);
    tl_bytes_free(&b);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

bool tl_npy_header(tl_bytes *b, const tl_array *a)
{
    static const char *const type[] = { [TL_F32] = "<f4", [TL_F64] = "<f8", [TL_I32] = "<i4" };
    static const char blanks[65] = "                                                                ";
    const size_t start = b->size;
    bool good = tl_bytes_add(b, "\x93NUMPY\1\0\0\0", 10) &&
                tl_bytes_print(b, "{'descr': '%s', 'fortran_order': False, 'shape': (", type[a->dtype]);
    for (int k = 0; k < a->rank && good; k++) good = tl_bytes_print(b, k ? ", %lld" : "%lld", (long long)a->dim[k]);
    good = good && tl_bytes_print(b, a->rank == 1 ? ",), }" : "), }");
    /* The numbers start at a multiple of 64. */
    good = good && tl_bytes_add(b, blanks, 63 - (b->size - start) % 64) && tl_bytes_add(b, "\n", 1);
    if (!good) return false;
    const size_t length = b->size - start - 10;
    b->data[start + 8] = (char)(length & 255);
    b->data[start + 9] = (char)(length >> 8);
    return true;
}

tl_status tl_npy_write(const char *path, const tl_array *a)
{
    tl_replacement r;
    tl_bytes b = { 0 };
    if (!path || !a) return tl_report(TL_E_ARGUMENT, "tl_npy_write: a path and an array are needed");
    tl_status status = tl_named_arrays_check(path, &(tl_named_array){ "array", *a }, 1);
    if (status) return status;
    if (!tl_npy_header(&b, a)) status = tl_report(TL_E_MEMORY, "%s: out of memory", path);
    if (!status) status = tl_replace_begin(&r, path);
    if (!status) {
        status = tl_replace_write(&r, b.data, b.size);
        if (!status) status = tl_replace_write(&r, a->data, (size_t)tl_array_bytes(a));
        if (!status) status = tl_replace_commit(&r);
        if (status) tl_replace_cancel(&r);
    }
    tl_bytes_free(&b);
    return status;
}
