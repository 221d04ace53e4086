/* graph/join.c - parameters that a tape has asked for join the model: all of them or none. */
#include "graph/tape.h"

/* Room for everything, so that adding cannot fail half-way; *largest: elements of the largest new one, -1: none is
 * new. */
static bool make_room(tl_tape *t, int64_t *largest)
{
    tl_model *m = t->model;
    int64_t elements = m->size;
    *largest = -1;
    for (uint32_t i = 0; i < t->n_param; i++) {
        tl_tape_param *p = &t->param[i];
        if (p->index < 0) p->index = tl_model_find(m, p->path); /* another tape may have brought it in meanwhile */
        if (p->index >= 0 && !tl_shape_equal(&m->param[p->index].shape, &p->shape)) {
            tl_tape_fail(t, p->first, TL_E_SHAPE, "parameter %s has another shape in the model by now", p->path);
            return false;
        }
        if (p->index >= 0) continue;
        const int64_t n = tl_shape_size(&p->shape);
        elements += n;
        if (n > *largest) *largest = n;
    }
    if (*largest < 0 || !tl_model_reserve(m, m->n_param + t->n_param, elements)) return true;
    tl_no_memory(t);
    return false;
}

static bool join(tl_tape *t, tl_tape_param *p, double *scratch)
{
    tl_model *m = t->model;
    p->index = tl_model_add(m, p->path, &p->shape, p->frozen);
    if (p->index < 0) return tl_no_memory(t), false;
    void *values = m->values + (size_t)m->param[p->index].offset * tl_dtype_size(m->dtype);
    if (tl_init_fill(m, p->path, &p->shape, &p->init, values, scratch)) return true;
    tl_tape_fail(t, p->first, TL_E_NONFINITE, "initial values of parameter %s are not finite", p->path);
    return false;
}

void tl_unjoin(tl_tape *t, tl_joined before)
{
    tl_model_truncate(t->model, before.n_param, before.size);
    for (uint32_t i = 0; i < t->n_param; i++)
        if (t->param[i].index >= (int)before.n_param) t->param[i].index = -1;
}

bool tl_join(tl_tape *t, tl_joined *before)
{
    int64_t largest;
    *before = (tl_joined){ t->model->n_param, t->model->size };
    if (!make_room(t, &largest)) return false;
    if (largest < 0) return true;
    const size_t bytes = ((size_t)largest + 1) * sizeof(double);
    double *scratch = tl_resize(NULL, 0, bytes);
    bool ok = scratch != NULL;
    if (!ok) tl_no_memory(t);
    for (uint32_t i = 0; ok && i < t->n_param; i++)
        if (t->param[i].index < 0) ok = join(t, &t->param[i], scratch);
    tl_resize(scratch, bytes, 0);
    if (!ok) tl_unjoin(t, *before);
    return ok;
}
