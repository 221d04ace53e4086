/* train/store.c - named numbers, arrays and texts on their way to a checkpoint or back. */
#include "train/train.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 8, PREFIX = 400 };

struct tl_store {
    bool loading;
    tl_status status;
    tl_named_array *arrays;
    tl_named_text *texts;
    int n_arrays, n_texts, room_arrays, room_texts;
    char prefix[PREFIX];
    size_t ends[DEPTH]; /* of the prefix before each name that was entered */
    int depth;
};

/* ---- making and freeing ------------------------------------------------------------------------------------- */

static size_t bytes_of(const tl_array *a)
{
    size_t n = a->dtype == TL_F64 ? 8 : 4;
    for (int k = 0; k < a->rank; k++) n *= (size_t)a->dim[k];
    return n;
}

static void free_string(const char *s)
{
    if (s) tl_resize((char *)(uintptr_t)s, strlen(s) + 1, 0);
}

tl_store *tl_store_new(void)
{
    tl_store *s = tl_resize(NULL, 0, sizeof *s);
    if (s) *s = (tl_store){ 0 };
    else tl_report(TL_E_MEMORY, "out of memory for what is to be saved");
    return s;
}

void tl_store_free(tl_store *s)
{
    if (!s) return;
    for (int i = 0; i < s->n_arrays; i++) {
        free_string(s->arrays[i].name);
        tl_resize(s->arrays[i].array.data, bytes_of(&s->arrays[i].array), 0);
    }
    for (int i = 0; i < s->n_texts; i++) {
        free_string(s->texts[i].key);
        free_string(s->texts[i].text);
    }
    tl_resize(s->arrays, (size_t)s->room_arrays * sizeof *s->arrays, 0);
    tl_resize(s->texts, (size_t)s->room_texts * sizeof *s->texts, 0);
    tl_resize(s, sizeof *s, 0);
}

bool tl_store_loading(const tl_store *s) { return s->loading; }

tl_status tl_store_status(const tl_store *s) { return s->status; }

tl_status tl_store_fail(tl_store *s, tl_status status)
{
    if (!s->status) s->status = status;
    return s->status;
}

static tl_status no_memory(tl_store *s, const char *name)
{
    return tl_store_fail(s, tl_report(TL_E_MEMORY, "out of memory to keep %s%s", s->prefix, name));
}

const tl_named_array *tl_store_arrays(const tl_store *s, int *n)
{
    *n = s->n_arrays;
    return s->arrays;
}

const tl_named_text *tl_store_texts(const tl_store *s, int *n)
{
    *n = s->n_texts;
    return s->texts;
}

/* ---- names -------------------------------------------------------------------------------------------------- */

void tl_store_enter(tl_store *s, const char *name)
{
    const size_t end = strlen(s->prefix);
    if (s->depth == DEPTH || end + strlen(name) + 2 > PREFIX) {
        tl_store_fail(s, tl_report(TL_E_NAME, "%s%s: names are nested too deeply to be saved", s->prefix, name));
        return;
    }
    s->ends[s->depth++] = end;
    stpcpy(stpcpy(s->prefix + end, name), "/");
}

void tl_store_leave(tl_store *s)
{
    if (s->depth) s->prefix[s->ends[--s->depth]] = 0;
}

/* A copy of both texts, one behind the other; NULL if memory is short. */
static char *joined(const char *a, const char *b)
{
    char *text = tl_resize(NULL, 0, strlen(a) + strlen(b) + 1);
    if (text) stpcpy(stpcpy(text, a), b);
    return text;
}

static bool is_named(const tl_store *s, const char *full, const char *name)
{
    const size_t n = strlen(s->prefix);
    return !strncmp(full, s->prefix, n) && !strcmp(full + n, name);
}

static const tl_array *find_array(tl_store *s, const char *name)
{
    for (int i = 0; i < s->n_arrays; i++)
        if (is_named(s, s->arrays[i].name, name)) return &s->arrays[i].array;
    tl_store_fail(s, tl_report(TL_E_NAME, "nothing called %s%s was saved", s->prefix, name));
    return NULL;
}

static const char *find_text(tl_store *s, const char *name)
{
    for (int i = 0; i < s->n_texts; i++)
        if (is_named(s, s->texts[i].key, name)) return s->texts[i].text;
    return NULL;
}

/* ---- adding ------------------------------------------------------------------------------------------------- */

/* Room for one more item of the given size in a list (its address is `list`); false if memory is short. */
static bool grow(void *list, int n, int *room, size_t size)
{
    void *items;
    const int more = *room ? 2 * *room : 16;
    if (n < *room) return true;
    memcpy(&items, list, sizeof items);
    items = tl_resize(items, (size_t)*room * size, (size_t)more * size);
    if (!items) return false;
    memcpy(list, &items, sizeof items);
    *room = more;
    return true;
}

static tl_status add_array(tl_store *s, const char *name, tl_array a)
{
    const size_t bytes = bytes_of(&a);
    const void *from = a.data;
    if (!grow(&s->arrays, s->n_arrays, &s->room_arrays, sizeof *s->arrays)) return no_memory(s, name);
    char *full = joined(s->prefix, name);
    a.data = bytes ? tl_resize(NULL, 0, bytes) : NULL;
    if (!full || (bytes && !a.data)) {
        free_string(full);
        tl_resize(a.data, bytes, 0);
        return no_memory(s, name);
    }
    if (bytes) memcpy(a.data, from, bytes);
    s->arrays[s->n_arrays++] = (tl_named_array){ full, a };
    return TL_OK;
}

static tl_status add_text(tl_store *s, const char *name, const char *text)
{
    if (!grow(&s->texts, s->n_texts, &s->room_texts, sizeof *s->texts)) return no_memory(s, name);
    char *key = joined(s->prefix, name), *copy = joined(text, "");
    if (!key || !copy) {
        free_string(key);
        free_string(copy);
        return no_memory(s, name);
    }
    s->texts[s->n_texts++] = (tl_named_text){ key, copy };
    return TL_OK;
}

tl_store *tl_store_load(const tl_named_array *arrays, int n, const tl_named_text *texts, int n_texts)
{
    tl_store *s = tl_store_new();
    for (int i = 0; s && !s->status && i < n; i++) add_array(s, arrays[i].name, arrays[i].array);
    for (int i = 0; s && !s->status && i < n_texts; i++) add_text(s, texts[i].key, texts[i].text);
    if (s && s->status) {
        tl_store_free(s);
        return NULL;
    }
    if (s) s->loading = true;
    return s;
}

/* ---- what there is to keep ---------------------------------------------------------------------------------- */

tl_status tl_store_numbers(tl_store *s, const char *name, double *x, int64_t n)
{
    if (s->status) return s->status;
    if (!s->loading) return add_array(s, name, tl_array_of(TL_F64, TL_DIMS(n), x));
    const tl_array *a = find_array(s, name);
    if (!a) return s->status;
    if (a->dtype != TL_F64 || a->rank != 1 || a->dim[0] != n)
        return tl_store_fail(s, tl_report(TL_E_FORMAT, "%s%s is not %lld numbers", s->prefix, name, (long long)n));
    if (n) memcpy(x, a->data, (size_t)n * sizeof *x);
    return TL_OK;
}

tl_status tl_store_number(tl_store *s, const char *name, double *x) { return tl_store_numbers(s, name, x, 1); }

tl_status tl_store_whole(tl_store *s, const char *name, int64_t *n)
{
    char text[32], *end;
    if (s->status) return s->status;
    if (!s->loading) {
        snprintf(text, sizeof text, "%" PRId64, *n);
        return add_text(s, name, text);
    }
    const char *saved = find_text(s, name);
    const int64_t value = saved ? strtoll(saved, &end, 10) : 0;
    if (!saved) return tl_store_fail(s, tl_report(TL_E_NAME, "nothing called %s%s was saved", s->prefix, name));
    if (end == saved || *end)
        return tl_store_fail(s, tl_report(TL_E_FORMAT, "%s%s: '%s' is no whole number", s->prefix, name, saved));
    *n = value;
    return TL_OK;
}

tl_status tl_store_flag(tl_store *s, const char *name, bool *yes)
{
    int64_t n = *yes;
    tl_store_whole(s, name, &n);
    if (!s->status) *yes = n != 0;
    return s->status;
}

tl_status tl_store_array(tl_store *s, const char *name, tl_array *a)
{
    if (s->status) return s->status;
    if (!s->loading) return add_array(s, name, *a);
    const tl_array *saved = find_array(s, name);
    if (saved) *a = *saved;
    return s->status;
}

tl_status tl_store_text(tl_store *s, const char *name, const char **text)
{
    if (s->status) return s->status;
    if (s->loading) *text = find_text(s, name);
    else if (*text) add_text(s, name, *text);
    return s->status;
}

/* ---- a model ------------------------------------------------------------------------------------------------ */

static tl_status save_model(tl_store *s, tl_model *model)
{
    const size_t element = tl_model_dtype(model) == TL_F64 ? 8 : 4;
    const tl_param_info *p;
    tl_store_enter(s, "p");
    for (int i = 0; !s->status && (p = tl_model_param(model, i)); i++)
        add_array(s, p->name,
                  tl_array_of(p->shape.dtype, p->shape.rank, p->shape.dim,
                              (char *)tl_model_values(model) + (size_t)p->offset * element));
    tl_store_leave(s);
    tl_store_enter(s, "s");
    for (int i = 0; !s->status && i < tl_model_states(model); i++) {
        const char *name;
        tl_array value;
        if (tl_store_fail(s, tl_model_state_value(model, i, &name, &value))) break;
        add_array(s, name, value);
    }
    tl_store_leave(s);
    return s->status;
}

static tl_status load_model(tl_store *s, tl_model *model)
{
    const size_t n = strlen(s->prefix);
    for (int i = 0; !s->status && i < s->n_arrays; i++) {
        const tl_named_array *e = &s->arrays[i];
        if (strncmp(e->name, s->prefix, n)) continue;
        const char *kind = e->name + n;
        if (!strncmp(kind, "p/", 2)) tl_store_fail(s, tl_model_set(model, kind + 2, &e->array));
        else if (!strncmp(kind, "s/", 2)) tl_store_fail(s, tl_model_set_state(model, kind + 2, &e->array));
    }
    return s->status;
}

tl_status tl_store_model(tl_store *s, const char *name, tl_model **model)
{
    int64_t dtype = !s->loading && *model ? (int64_t)tl_model_dtype(*model) : 0;
    tl_store_enter(s, name);
    tl_store_whole(s, "type", &dtype);
    if (!s->status && !s->loading && *model) save_model(s, *model);
    if (!s->status && s->loading && dtype) {
        tl_model *to = *model ? *model : tl_model_new(.dtype = dtype == TL_F64 ? TL_F64 : TL_F32);
        if (!to) tl_store_fail(s, TL_E_MEMORY);
        else load_model(s, to);
        if (s->status && to != *model) tl_model_free(to);
        else *model = to;
    }
    tl_store_leave(s);
    return s->status;
}
