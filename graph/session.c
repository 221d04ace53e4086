/* graph/session.c - running a plan on numbers, and the states that live from run to run. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/denormals.h"
#include "graph/tape.h"

/* ---- making and freeing ----------------------------------------------------------------------------------------- */

tl_session *tl_session_new(tl_model *model)
{
    tl_session *s = model ? tl_resize(NULL, 0, sizeof *s) : NULL;
    if (!s) {
        tl_report(model ? TL_E_MEMORY : TL_E_ARGUMENT,
                  model ? "tl_session_new: out of memory" : "tl_session_new: no model");
        return NULL;
    }
    *s = (tl_session){ .model = model };
    return s;
}

void tl_session_free(tl_session *s)
{
    if (!s) return;
    for (uint32_t i = 0; i < s->n_state; i++) tl_state_free(&s->state[i]);
    s->state = tl_resize(s->state, s->n_state * sizeof *s->state, 0);
    if (s->arena_block) tl_resize(s->arena_block, s->arena_bytes + 64, 0);
    if (s->gradients_block) tl_resize(s->gradients_block, (size_t)s->gradients_size * 8 + 64, 0);
    tl_rows_free(s);
    tl_profile_free(s);
    TL_RELEASE(s->pointers, s->cap_pointers);
    TL_RELEASE(s->base, s->cap_base);
    tl_plan_free(s->plan);
    tl_resize(s, sizeof *s, 0);
}

static char *aligned(void *p) { return (char *)(((uintptr_t)p + 63) & ~(uintptr_t)63); }

static bool grow_to(void **p, uint32_t need, uint32_t *cap, size_t element)
{
    while (*cap < need)
        if (!tl_grow(p, *cap, cap, element)) return false;
    return true;
}

/* Room for a plan: nothing is allocated when the plan, or a larger one, has run before. */
static bool make_room(tl_session *s, const tl_plan *p)
{
    if (!s->arena_block || p->arena_bytes > s->arena_bytes) {
        void *block = tl_resize(NULL, 0, p->arena_bytes + 64);
        if (!block) return false;
        if (s->arena_block) tl_resize(s->arena_block, s->arena_bytes + 64, 0);
        s->arena_block = block;
        s->arena_bytes = p->arena_bytes;
        s->arena = aligned(block);
    }
    const int64_t size = s->model->size;
    if (p->n_range && (!s->gradients_block || size > s->gradients_size)) {
        void *block = tl_resize(NULL, 0, (size_t)size * 8 + 64);
        if (!block) return false;
        memset(block, 0, (size_t)size * 8 + 64);
        if (s->gradients_block) tl_resize(s->gradients_block, (size_t)s->gradients_size * 8 + 64, 0);
        s->gradients_block = block;
        s->gradients_size = size;
        s->gradients = aligned(block);
        tl_rows_forget(s);
    }
    if (!tl_rows_room(s, p) || !tl_profile_room(s, p)) return false;
    if (s->n_state < s->model->n_state) {
        const uint32_t n = s->model->n_state;
        tl_state_value *v = tl_resize(s->state, s->n_state * sizeof *v, n * sizeof *v);
        if (!v) return false;
        memset(v + s->n_state, 0, (n - s->n_state) * sizeof *v);
        s->state = v;
        s->n_state = n;
    }
    return grow_to((void **)&s->pointers, p->max_in + 1, &s->cap_pointers, sizeof *s->pointers) &&
           grow_to((void **)&s->base, TL_BASE_INPUTS + p->n_input, &s->cap_base, sizeof *s->base);
}

tl_state_value *tl_session_slot(tl_session *s, int slot, bool in_model)
{
    if (in_model) return slot < (int)s->model->n_state ? &s->model->state_value[slot] : NULL;
    return slot < (int)s->n_state ? &s->state[slot] : NULL;
}

/* ---- a run ------------------------------------------------------------------------------------------------------ */

static void shape_words(char out[static 128], tl_dtype dtype, int rank, const int64_t *dim)
{
    tl_shape s = { .dtype = dtype, .rank = rank < 0 ? 0 : rank > TL_MAX_RANK ? TL_MAX_RANK : rank };
    memcpy(s.dim, dim, sizeof s.dim);
    const int n = snprintf(out, 128, "%s ", tl_dtype_name(dtype));
    tl_shape_print(out + n, 128 - (size_t)n, &s);
}

static tl_status check_inputs(const tl_plan *p, const tl_array *in, int n)
{
    if (n != (int)p->n_input || (n && !in))
        return tl_report(TL_E_INPUT, "tl_run: the plan takes %u inputs, not %d", p->n_input, n);
    for (int i = 0; i < n; i++) {
        const tl_array *want = &p->input[i];
        bool same = in[i].dtype == want->dtype && in[i].rank == want->rank;
        int64_t size = 1;
        for (int a = 0; same && a < want->rank; a++) {
            same = in[i].dim[a] == want->dim[a];
            size *= want->dim[a];
        }
        if (same && (in[i].data || !size)) continue;
        if (same) return tl_report(TL_E_INPUT, "tl_run: input %s has no numbers: its .data is NULL", p->input_name[i]);
        char has[128], wanted[128];
        shape_words(has, in[i].dtype, in[i].rank, in[i].dim);
        shape_words(wanted, want->dtype, want->rank, want->dim);
        return tl_report(TL_E_INPUT, "tl_run: input %s is %s, but the plan was recorded for %s", p->input_name[i], has,
                         wanted);
    }
    return TL_OK;
}

static tl_status check_states(tl_session *s, const tl_plan *p)
{
    for (uint32_t i = 0; i < p->n_state; i++) {
        const tl_state_value *v = tl_session_slot(s, p->state[i].slot, p->state[i].in_model);
        if (!v || !v->set || tl_shape_equal(&v->shape, &p->state[i].shape)) continue;
        char has[128], want[128];
        tl_shape_print(has, sizeof has, &v->shape);
        tl_shape_print(want, sizeof want, &p->state[i].shape);
        return tl_report(TL_E_STATE,
                         "state %s is %s, but the plan carries %s: tl_session_reset() before the batch size "
                         "changes, or use another session",
                         p->state[i].name, has, want);
    }
    return TL_OK;
}

/* States that the plan sets get their memory before the run, so that a run cannot fail half-way. */
static tl_status prepare_states(tl_session *s, const tl_plan *p)
{
    for (uint32_t i = 0; i < p->n_next; i++) {
        tl_state_value *v = tl_session_slot(s, p->next[i].slot, p->next[i].in_model);
        if (v->data && tl_shape_equal(&v->shape, &p->next[i].shape)) continue;
        if (tl_state_set(v, &p->next[i].shape, NULL)) return TL_E_MEMORY;
    }
    return TL_OK;
}

static void bind(tl_session *s, const tl_plan *p, const tl_array *in)
{
    s->base[TL_BASE_ARENA] = s->arena;
    s->base[TL_BASE_VALUES] = s->model->values;
    s->base[TL_BASE_GRADIENTS] = s->gradients;
    s->base[TL_BASE_CONSTS] = p->consts;
    s->base[TL_BASE_KEPT] = (char *)s->model;
    for (uint32_t i = 0; i < p->n_input; i++) s->base[TL_BASE_INPUTS + i] = in[i].data;
}

/* What is read before it is written shows. */
static void poison(tl_session *s)
{
    const uint32_t f32 = 0x7FA00000;
    const uint64_t f64 = 0x7FF4000000000000;
    const bool wide = s->model->dtype == TL_F64;
    const size_t size = wide ? sizeof f64 : sizeof f32;
    for (size_t i = 0; i + size <= s->arena_bytes; i += size)
        memcpy(s->arena + i, wide ? (const void *)&f64 : (const void *)&f32, size);
}

static tl_status report_failure(const tl_plan *p, const tl_instr *in, tl_status status, const tl_failure *f)
{
    const tl_plan_place *at = &p->place[in->place];
    char where[512];
    tl_place_print(where, sizeof where, at->at, at->caller, at->path, at->visit);
    return tl_report(status, "%s: %s: %s", where, in->op->name, f->reason[0] ? f->reason : tl_status_string(status));
}

/* Instructions first .. last - 1. */
static tl_status execute(tl_session *s, const tl_plan *p, uint32_t first, uint32_t last)
{
    tl_failure failure = { "" };
    tl_run_args r = { .in = s->pointers, .seed = s->model->seed, .run = s->runs, .context = s, .failure = &failure };
    const tl_instr *end = p->instr + last;
    if (tl_planted_fault == TL_FAULT_STALE_RUN && s->ran_once && last == p->n_instr) end--;
    for (const tl_instr *in = p->instr + first; in < end; in++) {
        r.out = s->base[in->ref[0].base] + in->ref[0].offset;
        r.n_in = (int)in->n_in;
        for (uint32_t k = 0; k < in->n_in; k++)
            s->pointers[k] = in->ref[1 + k].base == TL_BASE_NONE ? NULL
                                                                 : s->base[in->ref[1 + k].base] + in->ref[1 + k].offset;
        r.out_desc = in->desc;
        r.in_desc = in->desc + 1;
        r.attr = in->attr;
        r.work = in->work < 0 ? NULL : s->arena + in->work;
        const tl_status status = in->kernel(&r);
        if (status) return report_failure(p, in, status, &failure);
    }
    return TL_OK;
}

static const void *address(const tl_session *s, tl_ref ref) { return s->base[ref.base] + ref.offset; }

static void set_states(tl_session *s, const tl_plan *p)
{
    for (uint32_t i = 0; i < p->n_next; i++) {
        tl_state_value *v = tl_session_slot(s, p->next[i].slot, p->next[i].in_model);
        memcpy(v->data, address(s, p->next[i].ref), v->bytes - 1);
        memset(v->fresh, 0, (size_t)v->rows * sizeof *v->fresh);
        v->set = true;
    }
}

static void remember(tl_session *s, const tl_plan *p)
{
    tl_plan *plan = (tl_plan *)(uintptr_t)p;
    if (s->plan == plan) return;
    atomic_fetch_add(&plan->users, 1);
    tl_plan_free(s->plan);
    s->plan = plan;
}

tl_status tl_run_ahead(tl_session *s, const tl_plan *p, const tl_array *inputs, int n)
{
    if (!s || !p) return tl_report(TL_E_ARGUMENT, "tl_run: a session and a plan are needed");
    if (p->model != s->model) return tl_report(TL_E_ARGUMENT, "tl_run: the plan belongs to another model");
    s->ran = s->ahead = false;
    tl_status status = check_inputs(p, inputs, n);
    if (!status && !make_room(s, p)) status = tl_report(TL_E_MEMORY, "tl_run: out of memory");
    if (!status) status = check_states(s, p);
    if (!status) status = tl_kept_check(p);
    if (!status && !s->hold) status = prepare_states(s, p);
    if (status) return status;
    remember(s, p);
    tl_rows_begin(s, p);
    bind(s, p, inputs);
    if (p->checked) poison(s);
    const tl_float_mode mode = tl_flush_denormals();
    status = s->profile ? tl_profile_run(s, p, execute) : execute(s, p, 0, p->n_instr);
    tl_restore_mode(mode);
    if (status) return status;
    s->ran = s->ran_once = true;
    s->ahead = !s->hold;
    return TL_OK;
}

void tl_session_advance(tl_session *s)
{
    if (!s->ahead) return;
    s->ahead = false;
    set_states(s, s->plan);
    s->runs++;
}

tl_status tl_run(tl_session *s, const tl_plan *p, const tl_array *inputs, int n)
{
    const tl_status status = tl_run_ahead(s, p, inputs, n);
    if (!status) tl_session_advance(s);
    return status;
}

/* ---- results ---------------------------------------------------------------------------------------------------- */

static const tl_plan_value *find_output(const tl_session *s, const char *name)
{
    for (uint32_t i = 0; s->ran && i < s->plan->n_output; i++)
        if (!strcmp(s->plan->output[i].name, name)) return &s->plan->output[i];
    return NULL;
}

tl_status tl_get(const tl_session *s, const char *name, tl_array *out)
{
    if (!s || !name || !out) return tl_report(TL_E_ARGUMENT, "tl_get: a session, a name and an array are needed");
    const tl_plan_value *v = find_output(s, name);
    if (!v && !s->ran)
        return tl_report(TL_E_OUTPUT, "tl_get(\"%s\"): nothing has run in this session, or the last run failed", name);
    if (!v)
        return tl_report(TL_E_OUTPUT,
                         "tl_get(\"%s\"): not marked for reading; add tl_output(s, \"%s\", t) to the model function",
                         name, strrchr(name, '/') ? strrchr(name, '/') + 1 : name);
    *out = (tl_array){ .dtype = v->shape.dtype, .rank = v->shape.rank, .data = (void *)(uintptr_t)address(s, v->ref) };
    memcpy(out->dim, v->shape.dim, sizeof out->dim);
    return TL_OK;
}

double tl_get_scalar(const tl_session *s, const char *name)
{
    tl_array a;
    return tl_get(s, name, &a) ? NAN : tl_read(a.data, a.dtype, 0);
}

const void *tl_session_read_gradients(const tl_session *s, const tl_range **ranges, int *n)
{
    if (ranges) *ranges = s->ran ? s->plan->range : NULL;
    if (n) *n = s->ran ? (int)s->plan->n_range : 0;
    return s->gradients;
}

void *tl_session_gradients(tl_session *s, const tl_range **ranges, int *n)
{
    tl_rows_forget(s); /* whatever is written there, the next run starts from zero */
    return (void *)(uintptr_t)tl_session_read_gradients(s, ranges, n);
}

/* ---- states ----------------------------------------------------------------------------------------------------- */

tl_model *tl_session_model(const tl_session *s) { return s->model; }
const tl_plan *tl_session_plan(const tl_session *s) { return s->plan; }
uint64_t tl_session_runs(const tl_session *s) { return s->runs; }
void tl_session_set_runs(tl_session *s, uint64_t runs) { s->runs = runs; }
void tl_session_hold(tl_session *s, bool hold) { s->hold = hold; }

void tl_session_reset(tl_session *s)
{
    for (uint32_t i = 0; i < s->n_state; i++) s->state[i].set = false;
}

tl_status tl_session_reset_rows(tl_session *s, const bool *rows, int n)
{
    for (uint32_t i = 0; i < s->n_state; i++)
        if (s->state[i].set && s->state[i].rows - 1 != n)
            return tl_report(TL_E_STATE, "tl_session_reset_rows: state %s has %lld rows, not %d",
                             s->model->state[i].name, (long long)s->state[i].rows - 1, n);
    for (uint32_t i = 0; i < s->n_state; i++)
        for (int r = 0; s->state[i].set && r < n; r++)
            if (rows[r]) s->state[i].fresh[r] = 1;
    return TL_OK;
}

static void gather(tl_state_value *to, const tl_state_value *v, const int32_t *from, int n)
{
    const size_t row = v->rows > 1 ? (v->bytes - 1) / (size_t)(v->rows - 1) : 0;
    for (int r = 0; r < n; r++) {
        memcpy((char *)to->data + (size_t)r * row, (char *)v->data + (size_t)from[r] * row, row);
        to->fresh[r] = v->fresh[from[r]];
    }
    to->set = true;
}

/* All states or none: the new ones are made before an old one is given up. */
tl_status tl_session_gather_rows(tl_session *s, const int32_t *from, int n)
{
    if (n < 0 || (n && !from)) return tl_report(TL_E_ARGUMENT, "tl_session_gather_rows: %d rows", n);
    for (uint32_t i = 0; i < s->n_state; i++)
        for (int r = 0; s->state[i].set && r < n; r++)
            if (from[r] < 0 || from[r] >= s->state[i].rows - 1 || !s->state[i].shape.rank)
                return tl_report(TL_E_INDEX, "tl_session_gather_rows: state %s has no row %d", s->model->state[i].name,
                                 from[r]);
    tl_state_value *w = tl_resize(NULL, 0, s->n_state * sizeof *w);
    tl_status status = w || !s->n_state ? TL_OK : tl_report(TL_E_MEMORY, "tl_session_gather_rows: out of memory");
    if (w) memset(w, 0, s->n_state * sizeof *w);
    for (uint32_t i = 0; !status && i < s->n_state; i++) {
        tl_shape shape = s->state[i].shape;
        shape.dim[0] = n;
        if (s->state[i].set) status = tl_state_set(&w[i], &shape, NULL);
        if (s->state[i].set && !status) gather(&w[i], &s->state[i], from, n);
    }
    for (uint32_t i = 0; w && i < s->n_state; i++) {
        const tl_state_value old = s->state[i];
        if (!status && old.set) s->state[i] = w[i], w[i] = old;
        tl_state_free(&w[i]);
    }
    tl_resize(w, s->n_state * sizeof *w, 0);
    return status;
}

tl_session *tl_session_clone(const tl_session *s)
{
    tl_session *c = tl_session_new(s->model);
    if (!c) return NULL;
    c->runs = s->runs;
    c->hold = s->hold;
    if (s->n_state && !(c->state = tl_resize(NULL, 0, s->n_state * sizeof *c->state))) goto fail;
    c->n_state = s->n_state;
    if (s->n_state) memset(c->state, 0, s->n_state * sizeof *c->state);
    for (uint32_t i = 0; i < s->n_state; i++) {
        const tl_state_value *v = &s->state[i];
        if (!v->set) continue;
        if (tl_state_set(&c->state[i], &v->shape, v->data)) goto fail;
        memcpy(c->state[i].fresh, v->fresh, (size_t)v->rows * sizeof *v->fresh);
    }
    return c;
fail:
    tl_session_free(c);
    tl_report(TL_E_MEMORY, "tl_session_clone: out of memory");
    return NULL;
}

int tl_session_states(const tl_session *s)
{
    int n = 0;
    for (uint32_t i = 0; i < s->n_state; i++) n += s->state[i].set;
    return n;
}

tl_status tl_session_state(const tl_session *s, int i, const char **name, tl_array *value)
{
    for (uint32_t k = 0; k < s->n_state; k++) {
        const tl_state_value *v = &s->state[k];
        if (!v->set || i--) continue;
        *name = s->model->state[k].name;
        *value = (tl_array){ .dtype = v->shape.dtype, .rank = v->shape.rank, .batch_axis = TL_ZERO, .data = v->data };
        memcpy(value->dim, v->shape.dim, sizeof value->dim);
        return TL_OK;
    }
    return tl_report(TL_E_ARGUMENT, "tl_session_state: there is no state of that number");
}

tl_status tl_session_state_fresh(const tl_session *s, int i, tl_array *fresh)
{
    for (uint32_t k = 0; k < s->n_state; k++) {
        const tl_state_value *v = &s->state[k];
        if (!v->set || i--) continue;
        *fresh = tl_array_of(TL_F32, TL_DIMS(v->shape.rank ? v->shape.dim[0] : 1), v->fresh);
        return TL_OK;
    }
    return tl_report(TL_E_ARGUMENT, "tl_session_state_fresh: there is no state of that number");
}

void tl_session_swap(tl_session *a, tl_session *b)
{
    const tl_session old = *a;
    a->state = b->state, a->n_state = b->n_state, a->runs = b->runs;
    b->state = old.state, b->n_state = old.n_state, b->runs = old.runs;
}

tl_status tl_session_set_state(tl_session *s, const char *name, const tl_array *value)
{
    if (!name || !*name || !value || !value->data || !tl_shape_valid(value->rank, value->dim) ||
        value->dtype < TL_F32 || value->dtype > TL_I32)
        return tl_report(TL_E_ARGUMENT, "tl_session_set_state: a name and an array with data are needed");
    const int slot = tl_model_state_slot(s->model, name, false);
    if (slot < 0) return tl_report(TL_E_MEMORY, "tl_session_set_state: out of memory");
    tl_plan none = { .model = s->model };
    if (!make_room(s, &none)) return tl_report(TL_E_MEMORY, "tl_session_set_state: out of memory");
    tl_shape shape = { .dtype = value->dtype == TL_I32 ? TL_I32 : s->model->dtype, .rank = value->rank };
    if (value->rank) memcpy(shape.dim, value->dim, (size_t)value->rank * sizeof shape.dim[0]);
    tl_state_value *v = &s->state[slot];
    if (value->dtype == shape.dtype) return tl_state_set(v, &shape, value->data);
    if (tl_state_set(v, &shape, NULL)) return TL_E_MEMORY;
    for (int64_t i = 0; i < tl_shape_size(&shape); i++)
        tl_write(v->data, shape.dtype, i, tl_read(value->data, value->dtype, i));
    memset(v->fresh, 0, (size_t)v->rows * sizeof *v->fresh);
    v->set = true;
    return TL_OK;
}
