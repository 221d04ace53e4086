/* train/save.c - a model's parameters to and from safetensors files. */
#include "train/train.h"

#include <string.h>

static const char format_key[] = "tapeloop_format";
static const char format[] = "1";

/* ---- saving ------------------------------------------------------------------------------------------------- */

static void describe(tl_model *model, const tl_param_info *p, tl_named_array *out)
{
    const size_t element = tl_model_dtype(model) == TL_F64 ? 8 : 4;
    *out = (tl_named_array){ p->name, { .dtype = p->shape.dtype, .rank = p->shape.rank,
                                        .data = (char *)tl_model_values(model) + (size_t)p->offset * element } };
    memcpy(out->array.dim, p->shape.dim, sizeof out->array.dim);
}

tl_status tl_model_save_opt(const tl_model *model, const char *path, const tl_model_save_opts *o)
{
    if (!model || !path) return tl_report(TL_E_ARGUMENT, "tl_model_save: a model and a path are needed");
    const int n = tl_model_count(model), n_texts = (o ? o->n_texts : 0) + 1;
    tl_named_array *arrays = tl_resize(NULL, 0, (size_t)(n + 1) * sizeof *arrays);
    tl_named_text *texts = tl_resize(NULL, 0, (size_t)n_texts * sizeof *texts);
    tl_status status = arrays && texts ? TL_OK : tl_report(TL_E_MEMORY, "tl_model_save: out of memory");
    if (!status) {
        tl_model *source = (tl_model *)(uintptr_t)model;   /* only read */
        for (int i = 0; i < n; i++) describe(source, tl_model_param(model, i), &arrays[i]);
        texts[0] = (tl_named_text){ format_key, format };
        if (n_texts > 1) memcpy(texts + 1, o->texts, (size_t)(n_texts - 1) * sizeof *texts);
        status = tl_safetensors_write(path, arrays, n, texts, n_texts);
    }
    tl_resize(arrays, (size_t)(n + 1) * sizeof *arrays, 0);
    tl_resize(texts, (size_t)n_texts * sizeof *texts, 0);
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
        if (!e[i].name[0]) return tl_report(TL_E_FORMAT, "an array without a name");
        if (e[i].array.dtype == TL_I32) return tl_report(TL_E_DTYPE, "%s holds integers; parameters do not", e[i].name);
        const int k = tl_model_find(model, e[i].name);
        if (k >= 0 && !same_shape(&tl_model_param(model, k)->shape, &e[i].array))
            return tl_report(TL_E_SHAPE, "parameter %s has another shape in the file", e[i].name);
    }
    const tl_param_info *p;
    for (int i = 0; (p = tl_model_param(model, i)); i++)
        if (!tl_safetensors_array(file, p->name)) return tl_report(TL_E_NAME, "the file has no parameter %s", p->name);
    return TL_OK;
}

tl_status tl_model_take(tl_model *model, const tl_safetensors *file)
{
    if (!model || !file) return tl_report(TL_E_ARGUMENT, "tl_model_take: a model and a file are needed");
    tl_status status = check(model, file);
    int n;
    const tl_named_array *e = tl_safetensors_arrays(file, &n);
    for (int i = 0; !status && i < n; i++) status = tl_model_set(model, e[i].name, &e[i].array);
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
