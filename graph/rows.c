/* graph/rows.c - the gradient of a table of which a run gathers rows: only the rows that were used are cleared, added
 * to and told to optimizers, so that a step costs what the batch has, not what the vocabulary has. */
#include <string.h>

#include "graph/tape.h"

static tl_used_rows *find(const tl_session *s, int param)
{
    for (uint32_t i = 0; i < s->n_used; i++)
        if (s->used[i].param == param) return &s->used[i];
    return NULL;
}

static bool grow_rows(tl_used_rows *u, const tl_plan_table *t)
{
    if (u->rows < t->rows) {
        unsigned char *seen = tl_resize(u->seen, (size_t)u->rows, (size_t)t->rows);
        if (!seen) return false;
        u->seen = seen;
        u->rows = t->rows;
        u->clean = u->known = false;
    }
    if (u->cap >= t->ids) return true;
    int32_t *row = tl_resize(u->row, (size_t)u->cap * sizeof *row, (size_t)t->ids * sizeof *row);
    if (!row) return false;
    u->row = row;
    u->cap = t->ids;
    return true;
}

bool tl_rows_room(tl_session *s, const tl_plan *p)
{
    for (uint32_t k = 0; k < p->n_table; k++) {
        tl_used_rows *u = find(s, p->table[k].param);
        if (!u) {
            if (!TL_GROW(s->used, s->n_used, s->cap_used)) return false;
            u = &s->used[s->n_used++];
            *u = (tl_used_rows){ .param = p->table[k].param };
        }
        if (!grow_rows(u, &p->table[k])) return false;
    }
    return true;
}

/* What another plan adds up in some other way is not clean afterwards. */
void tl_rows_begin(tl_session *s, const tl_plan *p)
{
    for (uint32_t i = 0; i < s->n_used; i++) {
        bool listed = !p->n_range;
        for (uint32_t k = 0; k < p->n_table; k++) listed |= p->table[k].param == s->used[i].param;
        s->used[i].clean &= listed;
        s->used[i].known = s->used[i].known && s->used[i].clean;
    }
}

void tl_rows_forget(tl_session *s)
{
    for (uint32_t i = 0; i < s->n_used; i++) s->used[i].clean = s->used[i].known = false;
}

void tl_rows_free(tl_session *s)
{
    for (uint32_t i = 0; i < s->n_used; i++) {
        tl_resize(s->used[i].row, (size_t)s->used[i].cap * sizeof *s->used[i].row, 0);
        tl_resize(s->used[i].seen, (size_t)s->used[i].rows, 0);
    }
    TL_RELEASE(s->used, s->cap_used);
}

/* Zeros where the run before has written. */
static void clear(tl_used_rows *u, char *out, size_t row_bytes)
{
    if (!u->clean) {
        memset(out, 0, (size_t)u->rows * row_bytes);
        memset(u->seen, 0, (size_t)u->rows);
    }
    for (int64_t i = 0; u->clean && i < u->n; i++) {
        memset(out + (size_t)u->row[i] * row_bytes, 0, row_bytes);
        u->seen[u->row[i]] = 0;
    }
    u->n = 0;
    u->clean = true;
}

tl_status tl_rows_kernel(const tl_run_args *r)
{
    const tl_plan_table *t = r->attr;
    tl_used_rows *u = find(r->context, t->param);
    const int32_t *id = r->in[0];
    size_t row_bytes = tl_dtype_size(r->out_desc->dtype);
    for (int a = 1; a < r->out_desc->rank; a++) row_bytes *= (size_t)r->out_desc->dim[a];
    clear(u, r->out, row_bytes);
    u->known = false;
    for (int64_t i = 0; i < t->ids; i++) {
        if (id[i] < 0 || id[i] >= t->rows) return TL_OK; /* which the addition that follows reports, and adds nothing */
        if (!u->seen[id[i]]) u->row[u->n++] = id[i];
        u->seen[id[i]] = 1;
    }
    u->known = true;
    return TL_OK;
}

const int32_t *tl_session_rows(const tl_session *s, int param, int64_t *n)
{
    const tl_used_rows *u = s && s->ran ? find(s, param) : NULL;
    bool listed = false;
    for (uint32_t k = 0; u && k < s->plan->n_table; k++) listed |= s->plan->table[k].param == param;
    if (!listed || !u->known) return NULL;
    if (n) *n = u->n;
    return u->row;
}
