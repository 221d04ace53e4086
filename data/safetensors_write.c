/* data/safetensors_write.c - writing safetensors. Arrays of 8-byte elements come first, and the header is padded, so
 * that all data is aligned in the file. */
#include "data/internal.h"

#include <string.h>

static size_t element(tl_dtype dtype) { return dtype == TL_F64 ? 8 : 4; }

int64_t tl_array_bytes(const tl_array *a)
{
    int64_t n = (int64_t)element(a->dtype);
    for (int k = 0; k < a->rank; k++)
        if (a->dim[k] < 0 || __builtin_mul_overflow(n, a->dim[k], &n)) return -1;
    return n;
}

bool tl_array_valid(const tl_array *a)
{
    if (a->dtype < TL_F32 || a->dtype > TL_I32 || a->rank < 0 || a->rank > TL_MAX_RANK) return false;
    const int64_t bytes = tl_array_bytes(a);
    return bytes == 0 || (bytes > 0 && a->data);
}

static tl_status check_name(const char *path, const char *name)
{
    if (!name || !*name || !tl_utf8_valid(name, strlen(name)) || !strcmp(name, "__metadata__"))
        return tl_report(TL_E_NAME, "%s: the name '%s' cannot be written", path, name ? name : "NULL");
    return TL_OK;
}

tl_status tl_named_arrays_check(const char *path, const tl_named_array *e, int n)
{
    for (int i = 0; i < n; i++) {
        const tl_array *a = &e[i].array;
        const tl_status status = check_name(path, e[i].name);
        if (status) return status;
        if (!tl_array_valid(a))
            return tl_report(TL_E_ARGUMENT, "%s: the array '%s' has no valid type, shape or data", path, e[i].name);
        for (int k = 0; k < i; k++)
            if (!strcmp(e[k].name, e[i].name)) return tl_report(TL_E_NAME, "%s: the name '%s' twice", path, e[i].name);
    }
    return TL_OK;
}

static tl_status check_texts(const char *path, const tl_named_text *e, int n)
{
    for (int i = 0; i < n; i++) {
        const tl_status status = check_name(path, e[i].key);
        if (status) return status;
        if (!e[i].text || !tl_utf8_valid(e[i].text, strlen(e[i].text)))
            return tl_report(TL_E_ARGUMENT, "%s: the text of '%s' is not UTF-8", path, e[i].key);
        for (int k = 0; k < i; k++)
            if (!strcmp(e[k].key, e[i].key)) return tl_report(TL_E_NAME, "%s: the key '%s' twice", path, e[i].key);
    }
    return TL_OK;
}

/* ---- the header --------------------------------------------------------------------------------------------- */

static bool add_texts(tl_bytes *h, const tl_named_text *texts, int n)
{
    bool good = tl_bytes_print(h, "\"__metadata__\":{");
    for (int i = 0; good && i < n; i++)
        good = (!i || tl_bytes_add(h, ",", 1)) && tl_json_quote(h, texts[i].key) && tl_bytes_add(h, ":", 1) &&
               tl_json_quote(h, texts[i].text);
    return good && tl_bytes_add(h, "}", 1);
}

static bool add_array(tl_bytes *h, const tl_named_array *e, int64_t begin)
{
    static const char *const type[] = { [TL_F32] = "F32", [TL_F64] = "F64", [TL_I32] = "I32" };
    const tl_array *a = &e->array;
    bool good = tl_json_quote(h, e->name) && tl_bytes_print(h, ":{\"dtype\":\"%s\",\"shape\":[", type[a->dtype]);
    for (int k = 0; good && k < a->rank; k++) good = tl_bytes_print(h, k ? ",%lld" : "%lld", (long long)a->dim[k]);
    return good && tl_bytes_print(h, "],\"data_offsets\":[%lld,%lld]}", (long long)begin,
                                  (long long)(begin + tl_array_bytes(a)));
}

/* The header, its length in front; passes over the arrays twice, for the larger elements go first. */
static bool add_header(tl_bytes *h, const tl_named_array *arrays, int n, const tl_named_text *texts, int n_texts)
{
    static const char blank[8] = "        ";
    uint64_t length = 0;
    int64_t at = 0;
    bool first = !n_texts;
    bool good = tl_bytes_add(h, &length, sizeof length) && tl_bytes_add(h, "{", 1);
    if (good && n_texts) good = add_texts(h, texts, n_texts);
    for (size_t size = 8; good && size >= 4; size -= 4)
        for (int i = 0; good && i < n; i++) {
            if (element(arrays[i].array.dtype) != size) continue;
            good = (first || tl_bytes_add(h, ",", 1)) && add_array(h, &arrays[i], at);
            at += tl_array_bytes(&arrays[i].array);
            first = false;
        }
    good = good && tl_bytes_add(h, "}", 1) && tl_bytes_add(h, blank, -h->size % 8);
    if (good) {
        length = h->size - 8;
        memcpy(h->data, &length, sizeof length);
    }
    return good;
}

/* ---- the file ----------------------------------------------------------------------------------------------- */

static tl_status write_file(const char *path, const tl_bytes *header, const tl_named_array *arrays, int n)
{
    tl_replacement r;
    tl_status status = tl_replace_begin(&r, path);
    if (status) return status;
    status = tl_replace_write(&r, header->data, header->size);
    for (size_t size = 8; !status && size >= 4; size -= 4)
        for (int i = 0; !status && i < n; i++)
            if (element(arrays[i].array.dtype) == size)
                status = tl_replace_write(&r, arrays[i].array.data, (size_t)tl_array_bytes(&arrays[i].array));
    if (!status) status = tl_replace_commit(&r);
    if (status) tl_replace_cancel(&r);
    return status;
}

tl_status tl_safetensors_write(const char *path, const tl_named_array *arrays, int n, const tl_named_text *texts,
                               int n_texts)
{
    if (!path || n < 0 || n_texts < 0 || (n && !arrays) || (n_texts && !texts))
        return tl_report(TL_E_ARGUMENT, "tl_safetensors_write: a path, arrays and texts are needed");
    tl_status status = tl_named_arrays_check(path, arrays, n);
    if (!status) status = check_texts(path, texts, n_texts);
    if (status) return status;
    tl_bytes header = { 0 };
    if (add_header(&header, arrays, n, texts, n_texts)) status = write_file(path, &header, arrays, n);
    else status = tl_report(TL_E_MEMORY, "%s: out of memory", path);
    tl_bytes_free(&header);
    return status;
}
