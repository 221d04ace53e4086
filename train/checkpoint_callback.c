/* train/checkpoint_callback.c - a callback that saves the run, the names of its files, and how a run goes on from one. */
#include "train/checkpoint.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "train/record.h"

enum { PATH = 1024, FORMAT = 24 };

/* A path as it is made. */
typedef struct path_text {
    char text[PATH];
    size_t n;
} path_text;

typedef struct saver {
    const char *path;
    tl_checkpoint_opts o;
    tl_better mode;
    double best; /* if `started` */
    bool started;
    int64_t since;        /* batches since the last file */
    int64_t epoch, batch; /* of the event that was decided last; batch -1: an epoch's end */
    bool due;             /* is it one to save at? */
    path_text next;       /* under this name */
    path_text *file;      /* the last .keep + 1, the newest last; NULL: they are not counted */
    int n;
} saver;

/* ---- names of files ----------------------------------------------------------------------------------------- */

static bool add(path_text *p, const char *text, size_t n)
{
    if (n >= PATH - p->n) return false;
    memcpy(p->text + p->n, text, n);
    p->n += n;
    p->text[p->n] = 0;
    return true;
}

/* What names are filled in from: without a run all numbers are 0. */
typedef struct numbers {
    const tl_fit_state *state;
    int64_t epoch, batch; /* from 1 */
} numbers;

/* The number that a name stands for; whole: of an epoch or a batch. */
static tl_status look_up(const numbers *from, const char *name, double *value, bool *whole)
{
    const tl_fit_state *state = from->state;
    *whole = !strcmp(name, "epoch") || !strcmp(name, "batch");
    *value = !*whole ? 0 : (double)(*name == 'e' ? from->epoch : from->batch);
    if (*whole || !state) return TL_OK;
    for (int k = 0; k < state->n_logs; k++)
        if (!strcmp(state->logs[k].name, name)) return *value = state->logs[k].value, TL_OK;
    char words[256];
    tl_log_words(state->logs, state->n_logs, words, sizeof words);
    return tl_report(TL_E_NAME, "there is no '%s' for the name of the file; there are%s", name, words);
}

/* Is it [0][width][.digits][defg]? *type is the letter, or 0. */
static bool is_format(const char *s, char *type)
{
    s += strspn(s, "0") > 1 ? 0 : strspn(s, "0");
    for (int k = 0; k < 2 && isdigit((unsigned char)*s); k++) s++;
    if (*s == '.' && isdigit((unsigned char)s[1])) {
        s++;
        for (int k = 0; k < 2 && isdigit((unsigned char)*s); k++) s++;
    }
    *type = *s && strchr("defg", *s) ? *s++ : 0;
    return !*s;
}

static tl_status add_number(path_text *p, const char *field, const char *format, double value, bool whole)
{
    char form[FORMAT + 8], text[400], type;
    if (!is_format(format, &type) || (type == 'd' && (!whole || strchr(format, '.'))))
        return tl_report(TL_E_ARGUMENT, "the name of the file has a format {%s} that makes no sense", field);
    const int bare = (int)strlen(format) - (type != 0);
    if (whole && (type == 'd' || !type)) {
        snprintf(form, sizeof form, "%%%.*slld", bare, format);
        snprintf(text, sizeof text, form, (long long)value);
    } else if (!*format) {
        tl_exact_number(text, sizeof text, value);
    } else {
        snprintf(form, sizeof form, "%%%.*s%c", bare, format, type ? type : 'g');
        snprintf(text, sizeof text, form, value);
    }
    return add(p, text, strlen(text)) ? TL_OK : tl_report(TL_E_ARGUMENT, "the name of the file is too long");
}

/* {name} or {name:format}, which begins behind the brace; its length into *n. */
static tl_status add_field(path_text *p, const char *s, const numbers *from, size_t *n)
{
    char field[96];
    *n = strcspn(s, "}");
    if (!s[*n] || !*n || *n >= sizeof field)
        return tl_report(TL_E_ARGUMENT,
                         "the name of the file has a brace without a partner, or a name that is too long");
    memcpy(field, s, *n);
    field[*n] = 0;
    char name[96];
    const size_t length = strcspn(field, ":");
    memcpy(name, field, length);
    name[length] = 0;
    const char *format = field[length] ? field + length + 1 : "";
    double value;
    bool whole;
    const tl_status status = look_up(from, name, &value, &whole);
    if (status) return status;
    if (strlen(format) >= FORMAT) format = "?";
    return add_number(p, field, format, value, whole);
}

static tl_status expand(path_text *p, const char *pattern, const numbers *from)
{
    *p = (path_text){ .n = 0 };
    tl_status status = TL_OK;
    for (const char *s = pattern; !status && *s;) {
        size_t n = strcspn(s, "{}");
        if (n) status = add(p, s, n) ? TL_OK : tl_report(TL_E_ARGUMENT, "the name of the file is too long");
        else if (s[0] == s[1]) n = 2, status = add(p, s, 1) ? TL_OK : TL_E_ARGUMENT;
        else if (*s == '}') status = tl_report(TL_E_ARGUMENT, "the name of the file has a } without its {");
        else status = add_field(p, s + 1, from, &n), n += 2;
        s += n;
    }
    return status;
}

/* ---- when, and as what -------------------------------------------------------------------------------------- */

/* Is it the best so far? */
static tl_status is_best(saver *c, const tl_fit_state *state, bool *yes)
{
    double value;
    bool there;
    const tl_status status = tl_monitor_look(state, c->o.monitor, &value, &there);
    *yes = !status && there && (c->started ? tl_monitor_better(c->mode, 0, value, c->best) : !isnan(value));
    if (*yes) {
        c->best = value;
        c->started = true;
    }
    return status;
}

static void remove_oldest(saver *c)
{
    unlink(c->file[0].text);
    memmove(c->file, c->file + 1, (size_t)--c->n * sizeof *c->file);
}

/* The newest is last; a name that is used again moves there. One more than wanted stays until that one is written, and if the
 * run is killed before it can go, until now. */
static void count_file(saver *c)
{
    if (!c->file) return;
    while (c->n > c->o.keep) remove_oldest(c);
    int k = 0;
    while (k < c->n && strcmp(c->file[k].text, c->next.text)) k++;
    if (k < c->n) memmove(c->file + k, c->file + k + 1, (size_t)(--c->n - k) * sizeof *c->file);
    c->file[c->n++] = c->next;
}

/* What is to be done at this event; batch -1: the epoch's end. */
static tl_status decide(saver *c, const tl_fit_state *state, int64_t batch)
{
    if (c->epoch == state->epoch && c->batch == batch) return TL_OK;
    c->epoch = state->epoch;
    c->batch = batch;
    const int64_t every = c->o.every ? c->o.every : 1;
    if (batch >= 0) c->since++;
    if (c->o.every_batches) c->due = batch >= 0 && c->since >= c->o.every_batches;
    else c->due = batch < 0 && (state->epoch + 1) % every == 0;
    if (!c->due) return TL_OK;
    c->since = 0;
    tl_status status = c->o.best_only ? is_best(c, state, &c->due) : TL_OK;
    const numbers from = { state, state->epoch + 1, batch >= 0 ? batch + 1 : state->batch };
    if (!status && c->due) status = expand(&c->next, c->path, &from);
    if (!status && c->due) count_file(c);
    return status;
}

static tl_status keep_run(tl_store *store, void *state) { return tl_fit_keep(state, store); }

static tl_status save(saver *c, tl_fit_state *state)
{
    const tl_status status = c->o.weights_only ? tl_model_save(state->model, c->next.text)
                                               : tl_checkpoint_save(c->next.text, state->trainer, keep_run, state);
    if (status) return status;
    while (c->n > c->o.keep) remove_oldest(c);
    return TL_OK;
}

static tl_status saver_batch_end(tl_fit_state *state, void *ctx);

/* All savers decide before one of them saves: each file has what all of them know. */
static tl_status at_event(saver *c, tl_fit_state *state, int64_t batch)
{
    tl_status status = TL_OK;
    for (int i = 0; !status && i < state->n_callbacks; i++)
        if (state->callbacks[i].batch_end == saver_batch_end) status = decide(state->callbacks[i].ctx, state, batch);
    return status || !c->due ? status : save(c, state);
}

/* ---- the callback ------------------------------------------------------------------------------------------- */

static tl_status saver_begin(tl_fit_state *state, void *ctx)
{
    saver *c = ctx;
    c->n = 0;
    c->since = 0;
    c->epoch = c->batch = -1;
    c->started = c->o.threshold != 0;
    c->best = tl_number(c->o.threshold, 0);
    c->mode = c->o.mode;
    return c->o.best_only ? tl_monitor_mode(state, c->o.monitor, &c->mode) : TL_OK;
}

static tl_status saver_batch_end(tl_fit_state *state, void *ctx)
{
    return state->status ? TL_OK : at_event(ctx, state, state->batch); /* no batch that failed */
}

static tl_status saver_epoch_end(tl_fit_state *state, void *ctx) { return at_event(ctx, state, -1); }

static tl_status keep_files(saver *c, tl_store *store)
{
    int64_t n = c->n;
    tl_store_whole(store, "files", &n);
    if (tl_store_loading(store)) c->n = (int)(n < 0 || !c->file ? 0 : n > c->o.keep ? c->o.keep + 1 : n);
    for (int k = 0; k < c->n; k++) {
        char name[24];
        const char *text = c->file[k].text;
        snprintf(name, sizeof name, "file%d", k);
        tl_store_text(store, name, &text);
        if (!tl_store_loading(store)) continue;
        c->file[k].n = 0;
        if (!text || !add(&c->file[k], text, strlen(text)))
            return tl_store_fail(store, tl_report(TL_E_FORMAT, "the names of the files were not saved"));
    }
    return tl_store_status(store);
}

static tl_status saver_keep(tl_store *store, void *ctx)
{
    saver *c = ctx;
    tl_store_number(store, "best", &c->best);
    tl_store_flag(store, "started", &c->started);
    tl_store_whole(store, "since", &c->since);
    return keep_files(c, store);
}

static void saver_free(void *ctx)
{
    saver *c = ctx;
    if (!c) return;
    if (c->file) tl_resize(c->file, ((size_t)c->o.keep + 1) * sizeof *c->file, 0);
    tl_resize(c, sizeof *c, 0);
}

static tl_status check(const char *path, const tl_checkpoint_opts *o)
{
    path_text p;
    if (!path || !*path) return tl_report(TL_E_ARGUMENT, "checkpoint: no path");
    if (o->every < 0 || o->every_batches < 0 || o->keep < 0 || o->keep > 10000 || isnan(o->threshold))
        return tl_report(TL_E_ARGUMENT, "checkpoint: .every, .every_batches, .keep or .threshold makes no sense");
    if (o->every && o->every_batches)
        return tl_report(TL_E_ARGUMENT, "checkpoint: either .every epochs or .every_batches");
    if (o->best_only && o->every_batches && !strncmp(o->monitor ? o->monitor : "val_", "val_", 4))
        return tl_report(TL_E_ARGUMENT, "checkpoint: no batch has a val_loss: .monitor something else");
    const tl_status status = expand(&p, path, &(numbers){ NULL, 0, 0 });
    return status ? tl_report(status, "checkpoint: %s", tl_message()) : TL_OK;
}

tl_callback tl_checkpoint_opt(const char *path, const tl_checkpoint_opts *o)
{
    const tl_checkpoint_opts none = { .size = sizeof none };
    tl_callback c = { .name = "checkpoint" };
    if (!o) o = &none;
    if ((c.status = check(path, o))) return c;
    saver s = { .path = path, .o = *o, .mode = o->mode };
    if (!o->monitor) s.o.monitor = "val_loss";
    if (o->keep && !(s.file = tl_resize(NULL, 0, ((size_t)o->keep + 1) * sizeof *s.file))) {
        c.status = tl_report(TL_E_MEMORY, "out of memory for the callback checkpoint");
        return c;
    }
    if (!tl_callback_new(&c, "checkpoint", sizeof s, &s)) {
        if (s.file) tl_resize(s.file, ((size_t)o->keep + 1) * sizeof *s.file, 0);
        return c;
    }
    c.train_begin = saver_begin;
    c.batch_end = saver_batch_end;
    c.epoch_end = saver_epoch_end;
    c.keep = saver_keep;
    c.free = saver_free;
    c.last = true;
    return c;
}

/* ---- going on ----------------------------------------------------------------------------------------------- */

/* The model gets its parameters first, so that those of the checkpoint can be compared with them. */
tl_status tl_fit_resume(tl_fit_state *state, const char *path, const tl_batch *first)
{
    tl_tape *tape;
    tl_status status = tl_record_function(state->model, state->fn, state->user, first->in, first->n, 0, true, &tape);
    tl_plan *plan = status ? NULL : tl_compile(tape);
    if (!status && !plan) status = tl_tape_status(tape);
    tl_plan_free(plan);
    tl_tape_free(tape);
    return status ? status : tl_checkpoint_load(path, state->trainer, keep_run, state);
}
