/* graph/model.c - the model: named parameters in one flat array, and the values that outlive runs. */
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/tape.h"

/* ---- element types and shapes ------------------------------------------------------------------------------- */

size_t tl_dtype_size(tl_dtype dtype) { return dtype == TL_F64 ? 8 : 4; }

const char *tl_dtype_name(tl_dtype dtype)
{
    static const char *const name[] = { "none", "f32", "f64", "i32" };
    return (unsigned)dtype <= TL_I32 ? name[dtype] : "unknown";
}

double tl_read(const void *data, tl_dtype dtype, int64_t i)
{
    if (dtype == TL_F64) return ((const double *)data)[i];
    return dtype == TL_F32 ? (double)((const float *)data)[i] : (double)((const int32_t *)data)[i];
}

void tl_write(void *data, tl_dtype dtype, int64_t i, double v)
{
    if (dtype == TL_F64) ((double *)data)[i] = v;
    else if (dtype == TL_F32) ((float *)data)[i] = (float)v;
    else ((int32_t *)data)[i] = (int32_t)v;
}

bool tl_shape_valid(int rank, const int64_t *dim)
{
    if (rank < 0 || rank > TL_MAX_RANK || (rank && !dim)) return false;
    int64_t n = 8;
    for (int a = 0; a < rank; a++)
        if (dim[a] < 0 || __builtin_mul_overflow(n, dim[a] ? dim[a] : 1, &n) || n > PTRDIFF_MAX / 2) return false;
    return true;
}

tl_array tl_array_of(tl_dtype dtype, int rank, const int64_t *dim, void *data)
{
    tl_array a = { .dtype = dtype, .rank = rank, .data = data };
    if (rank > 0 && rank <= TL_MAX_RANK && dim) memcpy(a.dim, dim, (size_t)rank * sizeof *dim);
    return a;
}

int64_t tl_shape_size(const tl_shape *s)
{
    int64_t n = 1;
    for (int a = 0; a < s->rank; a++) n *= s->dim[a];
    return n;
}

bool tl_shape_equal(const tl_shape *a, const tl_shape *b)
{
    return a->rank == b->rank && a->dtype == b->dtype && !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]);
}

int tl_shape_print(char *out, size_t n, const tl_shape *s)
{
    int at = snprintf(out, n, "[");
    for (int a = 0; a < s->rank; a++)
        at += snprintf(out + at, (size_t)at < n ? n - (size_t)at : 0, "%s%lld", a ? "," : "", (long long)s->dim[a]);
    return at + snprintf(out + at, (size_t)at < n ? n - (size_t)at : 0, "]");
}

/* ---- random numbers for initial values ------------------------------------------------------------------------ */

double tl_random_next(tl_random *r)
{
    const uint32_t counter[4] = { (uint32_t)r->counter, (uint32_t)(r->counter >> 32), 0, 0 };
    const uint32_t key[2] = { (uint32_t)r->key, (uint32_t)(r->key >> 32) };
    uint32_t w[4];
    tl_philox(counter, key, w);
    r->counter++;
    return (double)(((uint64_t)w[0] << 21) ^ (w[1] >> 11)) * 0x1p-53;
}

/* Box and Muller 1958. */
double tl_random_next_normal(tl_random *r)
{
    if (r->has_spare) {
        r->has_spare = false;
        return r->spare;
    }
    const double radius = sqrt(-2 * log(1 - tl_random_next(r))), angle = 2 * M_PI * tl_random_next(r);
    r->spare = radius * sin(angle);
    r->has_spare = true;
    return radius * cos(angle);
}

bool tl_init_fill(const tl_model *m, const char *name, const tl_shape *shape, const tl_init *init, void *out,
                  double *scratch)
{
    const int64_t n = tl_shape_size(shape);
    tl_random random = { .key = tl_hash(m->seed, name, strlen(name)) };
    memset(scratch, 0, (size_t)n * sizeof *scratch);
    if (init->fill) init->fill(init, shape, scratch, &random);
    bool finite = true;
    for (int64_t i = 0; i < n; i++) {
        tl_write(out, m->dtype, i, scratch[i]);
        finite &= isfinite(tl_read(out, m->dtype, i)) != 0;
    }
    return finite;
}

/* ---- parameters --------------------------------------------------------------------------------------------- */

tl_model *tl_model_new_opt(const tl_model_opts *o)
{
    const tl_dtype dtype = o && o->dtype ? o->dtype : TL_F32;
    if (dtype != TL_F32 && dtype != TL_F64) {
        tl_report(TL_E_ARGUMENT, "tl_model_new: .dtype must be TL_F32 or TL_F64");
        return NULL;
    }
    tl_blas_init();
    tl_model *m = tl_resize(NULL, 0, sizeof *m);
    if (!m) {
        tl_report(TL_E_MEMORY, "tl_model_new: out of memory");
        return NULL;
    }
    *m = (tl_model){ .dtype = dtype, .seed = o ? o->seed : 0 };
    return m;
}

static void free_name(const char *name) { tl_resize((void *)(uintptr_t)name, strlen(name) + 1, 0); }

static char *copy_name(const char *name)
{
    char *s = tl_resize(NULL, 0, strlen(name) + 1);
    return s ? strcpy(s, name) : NULL;
}

static size_t flat_bytes(const tl_model *m, int64_t elements)
{
    return (size_t)elements * tl_dtype_size(m->dtype) + 64;
}

void tl_model_free(tl_model *m)
{
    if (!m) return;
    for (uint32_t i = 0; i < m->n_param; i++) free_name(m->param[i].name);
    for (uint32_t i = 0; i < m->n_state; i++) free_name(m->state[i].name);
    for (uint32_t i = 0; i < m->n_state; i++) tl_state_free(&m->state_value[i]);
    tl_kept_free(m);
    TL_RELEASE(m->param, m->cap_param);
    TL_RELEASE(m->state, m->cap_state);
    TL_RELEASE(m->state_value, m->cap_state_value);
    if (m->block) tl_resize(m->block, flat_bytes(m, m->cap), 0);
    tl_resize(m, sizeof *m, 0);
}

tl_dtype tl_model_dtype(const tl_model *m) { return m->dtype; }
uint64_t tl_model_seed(const tl_model *m) { return m->seed; }
int tl_model_count(const tl_model *m) { return (int)m->n_param; }
int64_t tl_model_size(const tl_model *m) { return m->size; }
void *tl_model_values(tl_model *m) { return m->values; }

const tl_param_info *tl_model_param(const tl_model *m, int i)
{
    return i >= 0 && i < (int)m->n_param ? &m->param[i] : NULL;
}

/* Linear: done when a parameter is first met on a tape, never in a run. */
int tl_model_find(const tl_model *m, const char *name)
{
    for (uint32_t i = 0; i < m->n_param; i++)
        if (!strcmp(m->param[i].name, name)) return (int)i;
    return -1;
}

tl_status tl_model_reserve(tl_model *m, uint32_t n_param, int64_t elements)
{
    while (m->cap_param < n_param)
        if (!tl_grow((void **)&m->param, m->cap_param, &m->cap_param, sizeof *m->param)) return TL_E_MEMORY;
    if (elements <= m->cap) return TL_OK;
    const int64_t cap = elements + (m->cap ? elements / 2 : 0);
    void *block = tl_resize(NULL, 0, flat_bytes(m, cap));
    if (!block) return TL_E_MEMORY;
    char *values = (char *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
    if (m->size) memcpy(values, m->values, (size_t)m->size * tl_dtype_size(m->dtype));
    if (m->block) tl_resize(m->block, flat_bytes(m, m->cap), 0);
    m->block = block;
    m->values = values;
    m->cap = cap;
    return TL_OK;
}

int tl_model_add(tl_model *m, const char *name, const tl_shape *shape, bool frozen)
{
    const int64_t n = tl_shape_size(shape);
    char *copy = copy_name(name);
    if (!copy || tl_model_reserve(m, m->n_param + 1, m->size + n)) {
        if (copy) free_name(copy);
        return -1;
    }
    m->param[m->n_param] = (tl_param_info){ copy, *shape, m->size, n, frozen };
    m->param[m->n_param].shape.dtype = m->dtype;
    m->size += n;
    return (int)m->n_param++;
}

void tl_model_truncate(tl_model *m, uint32_t n_param, int64_t size)
{
    while (m->n_param > n_param) free_name(m->param[--m->n_param].name);
    m->size = size;
}

tl_status tl_model_set(tl_model *m, const char *name, const tl_array *value)
{
    if (!name || !*name || !value || !value->data || !tl_shape_valid(value->rank, value->dim))
        return tl_report(TL_E_ARGUMENT, "tl_model_set: a name and an array with data are needed");
    if (value->dtype != TL_F32 && value->dtype != TL_F64)
        return tl_report(TL_E_DTYPE, "tl_model_set: %s must be given as f32 or f64", name);
    tl_shape shape = { .dtype = m->dtype, .rank = value->rank };
    if (value->rank) memcpy(shape.dim, value->dim, (size_t)value->rank * sizeof shape.dim[0]);
    int i = tl_model_find(m, name);
    if (i >= 0 && !tl_shape_equal(&m->param[i].shape, &shape)) {
        char has[128], given[128];
        tl_shape_print(has, sizeof has, &m->param[i].shape);
        tl_shape_print(given, sizeof given, &shape);
        return tl_report(TL_E_SHAPE, "parameter %s is %s, not %s", name, has, given);
    }
    if (i < 0) i = tl_model_add(m, name, &shape, false);
    if (i < 0) return tl_report(TL_E_MEMORY, "tl_model_set: out of memory");
    for (int64_t k = 0; k < m->param[i].size; k++)
        tl_write(m->values, m->dtype, m->param[i].offset + k, tl_read(value->data, value->dtype, k));
    tl_model_touch(m);
    return TL_OK;
}

tl_status tl_model_get(const tl_model *m, const char *name, tl_array *value)
{
    const int i = tl_model_find(m, name);
    if (i < 0) return tl_report(TL_E_NAME, "the model has no parameter called %s", name);
    const tl_param_info *p = &m->param[i];
    value->rank = p->shape.rank;
    memcpy(value->dim, p->shape.dim, sizeof value->dim);
    if (!value->dtype) value->dtype = m->dtype;
    for (int64_t k = 0; value->data && k < p->size; k++)
        tl_write(value->data, value->dtype, k, tl_read(m->values, m->dtype, p->offset + k));
    return TL_OK;
}

int tl_model_freeze(tl_model *m, const char *pattern, bool frozen)
{
    int n = 0;
    for (uint32_t i = 0; i < m->n_param; i++) {
        if (fnmatch(pattern, m->param[i].name, 0)) continue;
        m->param[i].frozen = frozen;
        n++;
    }
    if (n) m->frozen_version++;
    return n;
}

/* ---- values that survive runs ----------------------------------------------------------------------------------- */

int tl_model_state_slot(tl_model *m, const char *name, bool in_model)
{
    for (uint32_t i = 0; i < m->n_state; i++)
        if (m->state[i].in_model == in_model && !strcmp(m->state[i].name, name)) return (int)i;
    if (!TL_GROW(m->state, m->n_state, m->cap_state)) return -1;
    if (!TL_GROW(m->state_value, m->n_state, m->cap_state_value)) return -1;
    char *copy = copy_name(name);
    if (!copy) return -1;
    m->state[m->n_state] = (tl_state_info){ copy, in_model, tl_hash(0, name, strlen(name)) };
    m->state_value[m->n_state] = (tl_state_value){ 0 };
    return (int)m->n_state++;
}

void tl_state_free(tl_state_value *v)
{
    if (v->data) tl_resize(v->data, v->bytes, 0);
    if (v->fresh) tl_resize(v->fresh, (size_t)v->rows * sizeof *v->fresh, 0);
    *v = (tl_state_value){ 0 };
}

/* Sets all rows; data NULL leaves the numbers unset (all rows fresh). */
tl_status tl_state_set(tl_state_value *v, const tl_shape *shape, const void *data)
{
    const size_t bytes = (size_t)tl_shape_size(shape) * tl_dtype_size(shape->dtype);
    const int64_t rows = shape->rank ? shape->dim[0] : 1;
    if (!v->data || !tl_shape_equal(&v->shape, shape)) {
        tl_state_value w = { .shape = *shape, .bytes = bytes + 1, .rows = rows + 1 };
        w.data = tl_resize(NULL, 0, w.bytes);
        w.fresh = tl_resize(NULL, 0, (size_t)w.rows * sizeof *w.fresh);
        if (!w.data || !w.fresh) {
            tl_state_free(&w);
            return tl_report(TL_E_MEMORY, "out of memory for a state");
        }
        memset(w.data, 0, w.bytes);
        tl_state_free(v);
        *v = w;
    }
    if (data) memmove(v->data, data, bytes);
    for (int64_t r = 0; r < v->rows; r++) v->fresh[r] = !data;
    v->set = data != NULL;
    return TL_OK;
}

int tl_model_states(const tl_model *m)
{
    int n = 0;
    for (uint32_t i = 0; i < m->n_state; i++) n += m->state[i].in_model && m->state_value[i].set;
    return n;
}

tl_status tl_model_state_value(const tl_model *m, int i, const char **name, tl_array *value)
{
    for (uint32_t k = 0; k < m->n_state; k++) {
        const tl_state_value *v = &m->state_value[k];
        if (!m->state[k].in_model || !v->set || i--) continue;
        *name = m->state[k].name;
        *value = (tl_array){ .dtype = v->shape.dtype, .rank = v->shape.rank, .batch_axis = TL_ZERO, .data = v->data };
        memcpy(value->dim, v->shape.dim, sizeof value->dim);
        return TL_OK;
    }
    return tl_report(TL_E_ARGUMENT, "tl_model_state_value: there is no state of that number");
}

tl_status tl_model_set_state(tl_model *m, const char *name, const tl_array *value)
{
    if (!m || !name || !*name || !value || !value->data || !tl_shape_valid(value->rank, value->dim) ||
        value->dtype < TL_F32 || value->dtype > TL_I32)
        return tl_report(TL_E_ARGUMENT, "tl_model_set_state: a name and an array with data are needed");
    const int slot = tl_model_state_slot(m, name, true);
    if (slot < 0) return tl_report(TL_E_MEMORY, "tl_model_set_state: out of memory");
    tl_shape shape = { .dtype = value->dtype == TL_I32 ? TL_I32 : m->dtype, .rank = value->rank };
    if (value->rank) memcpy(shape.dim, value->dim, (size_t)value->rank * sizeof shape.dim[0]);
    tl_state_value *v = &m->state_value[slot];
    const tl_status status = tl_state_set(v, &shape, NULL);
    if (status) return status;
    for (int64_t k = 0; k < tl_shape_size(&shape); k++)
        tl_write(v->data, shape.dtype, k, tl_read(value->data, value->dtype, k));
    for (int64_t r = 0; r < v->rows; r++) v->fresh[r] = 0;
    v->set = true;
    return TL_OK;
}

/* ---- copy --------------------------------------------------------------------------------------------------- */

static tl_status copy_states(tl_model *c, const tl_model *m)
{
    for (uint32_t i = 0; i < m->n_state; i++) {
        const tl_state_value *v = &m->state_value[i];
        const int slot = tl_model_state_slot(c, m->state[i].name, m->state[i].in_model);
        if (slot < 0) return TL_E_MEMORY;
        if (!v->set) continue;
        tl_state_value *w = &c->state_value[slot];
        tl_shape shape = v->shape;
        if (shape.dtype != TL_I32) shape.dtype = c->dtype;
        if (tl_state_set(w, &shape, NULL)) return TL_E_MEMORY;
        for (int64_t k = 0; k < tl_shape_size(&shape); k++)
            tl_write(w->data, shape.dtype, k, tl_read(v->data, v->shape.dtype, k));
        memcpy(w->fresh, v->fresh, (size_t)v->rows * sizeof *v->fresh);
        w->set = true;
    }
    return TL_OK;
}

tl_model *tl_model_copy(const tl_model *m, tl_dtype dtype)
{
    tl_model *c = tl_model_new_opt(
        &(tl_model_opts){ .size = sizeof(tl_model_opts), .dtype = dtype ? dtype : m->dtype, .seed = m->seed });
    if (!c) return NULL;
    tl_status status = tl_model_reserve(c, m->n_param, m->size);
    for (uint32_t i = 0; !status && i < m->n_param; i++)
        if (tl_model_add(c, m->param[i].name, &m->param[i].shape, m->param[i].frozen) < 0) status = TL_E_MEMORY;
    if (!status) status = copy_states(c, m);
    if (status) {
        tl_model_free(c);
        tl_report(TL_E_MEMORY, "tl_model_copy: out of memory");
        return NULL;
    }
    for (int64_t k = 0; k < m->size; k++) tl_write(c->values, c->dtype, k, tl_read(m->values, m->dtype, k));
    return c;
}

/* What is kept for plans stays where the plans are. */
tl_status tl_model_swap(tl_model *a, tl_model *b)
{
    if (!a || !b || a->dtype != b->dtype) return tl_report(TL_E_DTYPE, "tl_model_swap: models of one dtype are needed");
    const tl_model x = *a, y = *b;
    *a = y, *b = x;
    tl_model *const model[] = { a, b };
    const tl_model *const was[] = { &x, &y };
    for (int i = 0; i < 2; i++) {
        tl_model *m = model[i];
        m->seed = was[i]->seed;
        m->kept = was[i]->kept, m->n_kept = was[i]->n_kept, m->cap_kept = was[i]->cap_kept;
        m->n_kept_failed = was[i]->n_kept_failed;
        m->kept_work = was[i]->kept_work, m->kept_work_bytes = was[i]->kept_work_bytes;
        m->frozen_version = x.frozen_version + y.frozen_version + 1;
        tl_model_touch(m);
    }
    return TL_OK;
}
