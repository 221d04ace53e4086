/* train/checkpoint.c - a training run as one file, and back: parameters, states, optimizer, sessions, and what the caller
 * keeps. */
#include "train/checkpoint.h"

#include <string.h>

#include "train/digest.h"

static const char version_key[] = "tapeloop_checkpoint";
static const char version[] = "1";

/* Parameters and the model's states have the names that they have in a model's file (save.c), and so a checkpoint can be read
 * as one. What else there is has names that begin with two slashes. */
static const char callers[] = "//run";

/* ---- the file ----------------------------------------------------------------------------------------------- */

tl_status tl_store_write(const tl_store *store, const char *path)
{
    enum { OWN = 3 };
    int n, n_texts;
    const tl_named_array *arrays = tl_store_arrays(store, &n);
    const tl_named_text *texts = tl_store_texts(store, &n_texts);
    const size_t bytes = (size_t)(n_texts + OWN) * sizeof *texts;
    tl_named_text *all = tl_resize(NULL, 0, bytes);
    if (!all) return tl_report(TL_E_MEMORY, "%s: out of memory", path);
    char digest[TL_DIGEST_SIZE];
    if (n_texts) memcpy(all, texts, (size_t)n_texts * sizeof *texts);
    all[n_texts++] = (tl_named_text){ version_key, version };
    tl_digest(digest, arrays, n, all, n_texts);
    all[n_texts++] = (tl_named_text){ tl_digest_key, digest };
    const tl_status status = tl_safetensors_write(path, arrays, n, all, n_texts);
    tl_resize(all, bytes, 0);
    return status;
}

/* The header is padded with blanks, and nothing else that means as much. */
static bool well_padded(const tl_bytes *b)
{
    uint64_t end;
    memcpy(&end, b->data, sizeof end); /* the header was read: it is there */
    end += sizeof end;
    while (b->data[end - 1] == ' ') end--;
    return b->data[end - 1] == '}';
}

static tl_status check_file(const tl_bytes *bytes, const tl_safetensors *file)
{
    const char *found = tl_safetensors_text(file, version_key);
    if (!found) return tl_report(TL_E_FORMAT, "not a checkpoint");
    if (strcmp(found, version))
        return tl_report(TL_E_FORMAT, "a checkpoint of format %.20s; this version reads format %s", found, version);
    if (!tl_safetensors_text(file, tl_digest_key) || !well_padded(bytes))
        return tl_report(TL_E_FORMAT, "the contents were changed since they were written");
    return tl_digest_check(file);
}

/* Puts the path in front of the last message. */
static tl_status of_file(const char *path, tl_status status)
{
    char what[1024];
    strncpy(what, tl_message(), sizeof what - 1)[sizeof what - 1] = 0;
    return tl_report(status, "%s: %s", path, what);
}

static tl_status parse(const char *path, const tl_bytes *bytes, tl_store **out)
{
    int n, n_texts;
    tl_safetensors *file;
    tl_status status = tl_safetensors_parse(path, bytes->data, bytes->size, &file);
    if (status) return status;
    status = check_file(bytes, file);
    if (status) of_file(path, status);
    const tl_named_array *arrays = tl_safetensors_arrays(file, &n);
    const tl_named_text *texts = tl_safetensors_texts(file, &n_texts);
    if (!status && !(*out = tl_store_load(arrays, n, texts, n_texts))) status = TL_E_MEMORY;
    tl_safetensors_free(file);
    return status;
}

tl_status tl_store_read(const char *path, tl_store **out)
{
    *out = NULL;
    tl_bytes bytes;
    tl_status status = tl_file_read(path, &bytes);
    if (!status) status = parse(path, &bytes, out);
    tl_bytes_free(&bytes);
    return status;
}

/* ---- the calls ---------------------------------------------------------------------------------------------- */

static tl_status keep_more(tl_store *store, tl_keep_fn keep, void *ctx)
{
    if (!keep) return TL_OK;
    tl_store_enter(store, callers);
    const tl_status status = keep(store, ctx);
    tl_store_leave(store);
    return status ? status : tl_store_status(store);
}

tl_status tl_checkpoint_save(const char *path, tl_trainer *trainer, tl_keep_fn keep, void *ctx)
{
    if (!path || !trainer) return tl_report(TL_E_ARGUMENT, "tl_checkpoint_save: a path and a trainer are needed");
    tl_store *store = tl_store_new();
    if (!store) return TL_E_MEMORY;
    tl_status status = tl_trainer_save(trainer, store);
    if (!status) status = keep_more(store, keep, ctx);
    if (!status) status = tl_store_write(store, path);
    tl_store_free(store);
    return status;
}

tl_status tl_checkpoint_load(const char *path, tl_trainer *trainer, tl_keep_fn keep, void *ctx)
{
    if (!path || !trainer) return tl_report(TL_E_ARGUMENT, "tl_checkpoint_load: a path and a trainer are needed");
    tl_store *store;
    tl_status status = tl_store_read(path, &store);
    if (status) return status;
    tl_restored r;
    status = tl_restore_begin(&r, trainer, store);
    if (!status) status = keep_more(store, keep, ctx);
    if (!status) status = tl_restore_commit(&r, store);
    tl_restore_end(&r);
    tl_store_free(store);
    return status ? of_file(path, status) : TL_OK;
}
