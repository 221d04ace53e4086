/* data/categories.c - texts of a column as ids. */
#include "data/internal.h"

#include <stdlib.h>
#include <string.h>

struct tl_categories {
    tl_bytes pool;
    const char **text; /* ascending; into the pool */
    int64_t n, room;
};

static int by_bytes(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static tl_status no_memory(void) { return tl_report(TL_E_MEMORY, "categories: out of memory"); }

/* The distinct ones of n texts (without NULLs), sorted, and a copy of each. */
static tl_status fill(tl_categories *c, const char *const *texts, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (!texts[i]) continue;
        if (!tl_make_room(&c->text, &c->room, c->n, 1, sizeof *c->text)) return no_memory();
        c->text[c->n++] = texts[i];
    }
    const int64_t all = c->n;
    if (all) qsort(c->text, (size_t)all, sizeof *c->text, by_bytes);
    c->n = 0;
    for (int64_t i = 0; i < all; i++)
        if (!c->n || strcmp(c->text[c->n - 1], c->text[i])) c->text[c->n++] = c->text[i];
    if (c->n > INT32_MAX) return tl_report(TL_E_ARGUMENT, "tl_categories_new: too many for ids");
    for (int64_t i = 0; i < c->n; i++)
        if (!tl_bytes_add(&c->pool, c->text[i], strlen(c->text[i]) + 1)) return no_memory();
    size_t at = 0;
    for (int64_t i = 0; i < c->n; i++) {
        c->text[i] = c->pool.data + at;
        at += strlen(c->text[i]) + 1;
    }
    return TL_OK;
}

tl_status tl_categories_new(const char *const *texts, int64_t n, tl_categories **out)
{
    if (!out || n < 0 || (n && !texts)) return tl_report(TL_E_ARGUMENT, "tl_categories_new: n texts are needed");
    *out = NULL;
    tl_categories *c = tl_resize(NULL, 0, sizeof *c);
    if (!c) return no_memory();
    *c = (tl_categories){ 0 };
    const tl_status status = fill(c, texts, n);
    if (status) tl_categories_free(c);
    else *out = c;
    return status;
}

void tl_categories_free(tl_categories *c)
{
    if (!c) return;
    tl_bytes_free(&c->pool);
    tl_resize(c->text, (size_t)c->room * sizeof *c->text, 0);
    tl_resize(c, sizeof *c, 0);
}

int tl_categories_size(const tl_categories *c) { return c ? (int)c->n : 0; }

const char *tl_categories_text(const tl_categories *c, int id)
{
    return c && id >= 0 && id < c->n ? c->text[id] : NULL;
}

tl_status tl_categories_ids(const tl_categories *c, const char *const *texts, int64_t n, int32_t unknown, int32_t *ids)
{
    if (!c || n < 0 || (n && (!texts || !ids)))
        return tl_report(TL_E_ARGUMENT, "tl_categories_ids: categories, n texts and room for as many ids are needed");
    for (int64_t i = 0; i < n; i++) {
        const char **found = texts[i] && c->n ? bsearch(&texts[i], c->text, (size_t)c->n, sizeof *c->text, by_bytes)
                                              : NULL;
        if (!found && unknown < 0)
            return tl_report(TL_E_INDEX, "text %lld, %s%.60s, is none of the categories", (long long)i,
                             texts[i] ? "" : "which is missing", texts[i] ? texts[i] : "");
        ids[i] = found ? (int32_t)(found - c->text) : unknown;
    }
    return TL_OK;
}

tl_status tl_categories_print(const tl_categories *c, tl_bytes *out)
{
    if (!c || !out) return tl_report(TL_E_ARGUMENT, "tl_categories_print: categories and a place are needed");
    *out = (tl_bytes){ 0 };
    bool good = tl_bytes_add(out, "[", 1), valid = true;
    for (int64_t i = 0; i < c->n && good && valid; i++) {
        valid = tl_utf8_valid(c->text[i], strlen(c->text[i]));
        good = (!i || tl_bytes_add(out, ",", 1)) && tl_json_quote(out, c->text[i]);
    }
    if (good && valid && tl_bytes_add(out, "]", 1)) return TL_OK;
    tl_bytes_free(out);
    return valid ? no_memory() : tl_report(TL_E_ARGUMENT, "tl_categories_print: a text that is not UTF-8");
}

static tl_status parse(tl_json *j, tl_categories *c)
{
    if (tl_json_expect(j, '[') && !tl_json_next(j, ']')) {
        do {
            char *text;
            if (!tl_json_string(j, &text)) break;
            if (!tl_make_room(&c->text, &c->room, c->n, 1, sizeof *c->text)) return no_memory();
            if (c->n && strcmp(c->text[c->n - 1], text) >= 0) tl_json_fail(j, "texts that do not ascend");
            c->text[c->n++] = text;
        } while (!j->error && tl_json_next(j, ','));
        if (!j->error) tl_json_expect(j, ']');
    }
    if (!j->error) tl_json_end(j);
    return j->error ? tl_report(TL_E_FORMAT, "categories, byte %zu: %s", j->where, j->error) : TL_OK;
}

tl_status tl_categories_parse(const char *json, tl_categories **out)
{
    if (!json || !out) return tl_report(TL_E_ARGUMENT, "tl_categories_parse: a text is needed");
    *out = NULL;
    tl_categories *c = tl_resize(NULL, 0, sizeof *c);
    if (!c) return no_memory();
    *c = (tl_categories){ 0 };
    tl_status status = tl_bytes_add(&c->pool, json, strlen(json)) ? TL_OK : no_memory();
    tl_json j = { .text = c->pool.data, .size = c->pool.size };
    if (!status) status = parse(&j, c);
    if (status) tl_categories_free(c);
    else *out = c;
    return status;
}
