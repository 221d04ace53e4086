/* train/save.c - a model's parameters to and from safetensors files. */
#include "train/checkpoint.h"

#include <string.h>

#include "train/digest.h"

static const char format_key[] = "tapeloop_format";
static const char format[] = "1";

/* Parameters are stored under their path. States of the model have a slash before theirs, as no parameter's path
 * has; what else a checkpoint holds has two. */
enum { STATE_MARK = '/' };

bool tl_names_state(const char *name) { return name[0] == STATE_MARK && name[1] != STATE_MARK; }
bool tl_names_param(const char *name) { return name[0] != STATE_MARK; }

/* ---- saving ------------------------------------------------------------------------------------------------- */

/* What is to be written. */
typedef struct contents {
    tl_named_array *arrays;
    tl_named_text *texts;
    char *names; /* of states */
    size_t names_size;
    int n, n_params, n_texts;
} contents;

static void describe_params(tl_model *model, contents *c)
{
    const size_t element = tl_model_dtype(model) == TL_F64 ? 8 : 4;
    const tl_param_info *p;
    for (int i = 0; (p = tl_model_param(model, i)); i++) {
        tl_array *a = &c->arrays[i].array;
        c->arrays[i].name = p->name;
        *a = (tl_array){ .dtype = p->shape.dtype, .rank = p->shape.rank };
        memcpy(a->dim, p->shape.dim, sizeof a->dim);
        a->data = (char *)tl_model_values(model) + (size_t)p->offset * element;
    }
}

static size_t names_size(const tl_model *model)
{
    const char *name;
    tl_array value;
    size_t size = 1;
    for (int i = 0; i < tl_model_states(model); i++)
        if (!tl_model_state_value(model, i, &name, &value)) size += strlen(name) + 2;
    return size;
}

static tl_status describe_states(const tl_model *model, contents *c)
{
    char *to = c->names;
    tl_status status = TL_OK;
    for (int i = c->n_params; !status && i < c->n; i++) {
        const char *name = "";
        status = tl_model_state_value(model, i - c->n_params, &name, &c->arrays[i].array);
        c->arrays[i].name = to;
        *to++ = STATE_MARK;
        to = stpcpy(to, name) + 1;
    }
    return status;
}

static tl_status write_model(const tl_model *model, const char *path, const tl_model_save_opts *o, contents *c)
{
    if (!c->arrays || !c->texts || !c->names) return tl_report(TL_E_MEMORY, "tl_model_save: out of memory");
    char digest[TL_DIGEST_SIZE];
    c->texts[0] = (tl_named_text){ format_key, format };
    c->texts[1] = (tl_named_text){ tl_digest_key, "" };
    if (c->n_texts > 2) memcpy(c->texts + 2, o->texts, (size_t)(c->n_texts - 2) * sizeof *c->texts);
    describe_params((tl_model *)(uintptr_t)model, c); /* only read */
    const tl_status status = describe_states(model, c);
    if (status) return status;
    tl_digest(digest, c->arrays, c->n, c->texts, c->n_texts);
    c->texts[1].text = digest;
    return tl_safetensors_write(path, c->arrays, c->n, c->texts, c->n_texts);
}

tl_status tl_model_save_opt(const tl_model *model, const char *path, const tl_model_save_opts *o)
{
    if (!model || !path || (o && (o->n_texts < 0 || (o->n_texts && !o->texts))))
        return tl_report(TL_E_ARGUMENT, "tl_model_save: a model, a path and as many texts as told are needed");
    contents c = { .n_params = tl_model_count(model), .n_texts = (o ? o->n_texts : 0) + 2 };
    c.n = c.n_params + tl_model_states(model);
    c.names_size = names_size(model);
    c.arrays = tl_resize(NULL, 0, (size_t)(c.n + 1) * sizeof *c.arrays);
    c.texts = tl_resize(NULL, 0, (size_t)c.n_texts * sizeof *c.texts);
    c.names = tl_resize(NULL, 0, c.names_size);
    const tl_status status = write_model(model, path, o, &c);
    tl_resize(c.arrays, (size_t)(c.n + 1) * sizeof *c.arrays, 0);
    tl_resize(c.texts, (size_t)c.n_texts * sizeof *c.texts, 0);
    tl_resize(c.names, c.names_size, 0);
    return status;
}

/* ---- loading ------------------------------------------------------------------------------------------------ */

static bool same_shape(const tl_shape *s, const tl_array *a)
{
    return s->rank == a->rank && !memcmp(s->dim, a->dim, (size_t)s->rank * sizeof s->dim[0]);
}

/* Everything that could refuse a file, before anything is changed. */
static tl_status check(const tl_model *model, const tl_safetensors *file)
{
    const char *version = tl_safetensors_text(file, format_key);
    if (version && strcmp(version, format))
        return tl_report(TL_E_FORMAT, "a file of format %s; this version reads format %s", version, format);
    int n;
    const tl_named_array *e = tl_safetensors_arrays(file, &n);
    for (int i = 0; i < n; i++) {
        if (!strcmp(e[i].name, "/")) return tl_report(TL_E_FORMAT, "an array without a name");
        if (!tl_names_param(e[i].name)) continue;
        if (e[i].array.dtype == TL_I32) return tl_report(TL_E_DTYPE, "%s holds integers; parameters do not", e[i].name);
        const int k = tl_model_find(model, e[i].name);
        if (k >= 0 && !same_shape(&tl_model_param(model, k)->shape, &e[i].array))
            return tl_report(TL_E_SHAPE, "parameter %s has another shape in the file", e[i].name);
    }
    const tl_param_info *p;
    for (int i = 0; (p = tl_model_param(model, i)); i++)
        if (!tl_safetensors_array(file, p->name)) return tl_report(TL_E_NAME, "the file has no parameter %s", p->name);
    return tl_digest_check(file);
}

tl_status tl_fill_model(tl_model *model, const tl_named_array *e, int n)
{
    tl_status status = TL_OK;
    for (int i = 0; !status && i < n; i++) {
        if (tl_names_param(e[i].name)) status = tl_model_set(model, e[i].name, &e[i].array);
        if (tl_names_state(e[i].name)) status = tl_model_set_state(model, e[i].name + 1, &e[i].array);
    }
    return status;
}

/* What is read into a copy first needs no way back. */
tl_status tl_model_take(tl_model *model, const tl_safetensors *file)
{
    if (!model || !file) return tl_report(TL_E_ARGUMENT, "tl_model_take: a model and a file are needed");
    tl_status status = check(model, file);
    if (status) return status;
    int n;
    const tl_named_array *e = tl_safetensors_arrays(file, &n);
    tl_model *copy = tl_model_copy(model, 0);
    if (!copy) return TL_E_MEMORY;
    status = tl_fill_model(copy, e, n);
    if (!status) status = tl_model_swap(model, copy);
    tl_model_free(copy);
    return status;
}

tl_status tl_model_load(tl_model *model, const char *path)
{
    tl_safetensors *file;
    tl_status status = tl_safetensors_read(path, &file);
    if (!status) status = tl_model_take(model, file);
    tl_safetensors_free(file);
    return status;
}
