/* graph/rows.c - the gradient of a table of which a run gathers rows: only the rows that were used are cleared, added
 * to and told to optimizers, so that a step costs what the batch has, not what the vocabulary has. */
#include <string.h>

#include "graph/tape.h"
#include "ops/kernels/kernels.h"

static tl_used_rows *find(const tl_session *s, int param)
{
    for (uint32_t i = 0; i < s->n_used; i++)
        if (s->used[i].param == param) return &s->used[i];
    return NULL;
}

/* Of the bits of n rows. */
static size_t seen_bytes(int64_t n) { return (size_t)(n + 63) / 64 * sizeof(uint64_t); }

static bool grow_rows(tl_used_rows *u, const tl_plan_table *t)
{
    if (u->rows < t->rows) {
        uint64_t *seen = tl_resize(u->seen, seen_bytes(u->rows), seen_bytes(t->rows));
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
        tl_resize(s->used[i].seen, seen_bytes(s->used[i].rows), 0);
    }
    TL_RELEASE(s->used, s->cap_used);
}

/* Zeros where the run before has written. */
static void clear(tl_used_rows *u, char *out, size_t row_bytes)
{
    enum { AHEAD = 8 };
    if (!u->clean) {
        memset(out, 0, (size_t)u->rows * row_bytes);
        memset(u->seen, 0, seen_bytes(u->rows));
    }
    for (int64_t i = 0; u->clean && i < u->n; i++) {
        if (i + AHEAD < u->n) tl_prefetch(out + (size_t)u->row[i + AHEAD] * row_bytes, row_bytes);
        memset(out + (size_t)u->row[i] * row_bytes, 0, row_bytes);
        u->seen[u->row[i] / 64] = 0;
    }
    u->n = 0;
    u->clean = true;
}

/* Every row is written: another plan finds none cleared. */
static void forget(tl_used_rows *u)
{
    memset(u->seen, 0, seen_bytes(u->rows));
    u->n = 0;
    u->clean = false;
}

/* The list, from the bits: ascending, so that whoever goes through the rows goes through memory one way. */
static void list(tl_used_rows *u)
{
    for (int64_t k = 0; k < (u->rows + 63) / 64; k++)
        for (uint64_t left = u->seen[k]; left; left &= left - 1)
            u->row[u->n++] = (int32_t)(k * 64 + __builtin_ctzll(left));
}

tl_status tl_rows_kernel(const tl_run_args *r)
{
    const tl_plan_table *t = r->attr;
    tl_used_rows *u = find(r->context, t->param);
    const int32_t *id = r->in[0];
    size_t row_bytes = tl_dtype_size(r->out_desc->dtype);
    for (int a = 1; a < r->out_desc->rank; a++) row_bytes *= (size_t)r->out_desc->dim[a];
    if (!t->all) clear(u, r->out, row_bytes);
    else forget(u);
    bool fit = true;
    for (int64_t i = 0; i < t->ids; i++) fit &= id[i] >= 0 && id[i] < t->rows;
    u->known = fit;
    if (!fit) return TL_OK; /* which the addition that follows reports, and adds nothing */
    for (int64_t i = 0; i < t->ids; i++) u->seen[id[i] / 64] |= (uint64_t)1 << id[i] % 64;
    list(u);
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
