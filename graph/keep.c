/* graph/keep.c - what depends on parameters and constants alone is computed once per update and lives with the
 * model.
 *
 * A kept value is one operation on parameters, constants and other kept values. Any number of plans share it: it is
 * found by its content (operation, attributes, operands, shapes). It is computed when the first plan is compiled
 * that needs it, and again by tl_model_touch(), which whatever changes parameters calls; a run only reads it.
 *
 * Legal because the result is a function of operation, attributes and operands, of which none can change between two
 * updates: the same calls of the same kernels as in the run, so the same bits. Not kept are random numbers, taps, a
 * user's opaque operations, attributes with pointers (what they point to may change), results that are larger than
 * TL_KEEP_BYTES, and what the tape is asked for itself.
 *
 * Threads: runs of any sessions may go on while plans are compiled that add nothing, and plans may be freed at any
 * time; adding and updating have the model for themselves (contract 6). */
#include <string.h>

#include "graph/build.h"
#include "graph/denormals.h"
#include "graph/passes/passes.h"

/* ---- computing -------------------------------------------------------------------------------------------------- */

static char *aligned(void *p) { return (char *)(((uintptr_t)p + 63) & ~(uintptr_t)63); }

static void compute(tl_model *m, tl_kept *k)
{
    tl_run_args r = { .out = k->data,
                      .in = k->pointer,
                      .n_in = (int)k->n_in,
                      .out_desc = k->desc,
                      .in_desc = k->desc + 1,
                      .attr = k->attr,
                      .work = m->kept_work ? aligned(m->kept_work) : NULL,
                      .seed = m->seed,
                      .failure = &k->failure };
    for (uint32_t i = 0; i < k->n_in; i++) { /* parameters move when the model grows */
        const char *base = k->ref[i].base == TL_BASE_VALUES ? m->values : (const char *)m;
        k->pointer[i] = k->ref[i].base == TL_BASE_NONE ? NULL : base + k->ref[i].offset;
    }
    m->n_kept_failed -= k->status != TL_OK;
    k->failure.reason[0] = 0;
    k->status = k->kernel(&r);
    m->n_kept_failed += k->status != TL_OK;
}

void tl_model_touch(tl_model *m)
{
    tl_kept_sweep(m);
    const tl_float_mode mode = tl_flush_denormals(); /* as in a run */
    for (uint32_t i = 0; i < m->n_kept; i++)
        if (m->kept[i]->varies) compute(m, m->kept[i]);
    tl_restore_mode(mode);
}

tl_status tl_kept_check(const tl_plan *p)
{
    for (uint32_t i = 0; p->model->n_kept_failed && i < p->n_kept; i++) {
        const tl_kept *k = p->kept[i];
        if (k->status)
            return tl_report(k->status, "%s: %s", k->op->name,
                             k->failure.reason[0] ? k->failure.reason : tl_status_string(k->status));
    }
    return TL_OK;
}

/* ---- who needs it ----------------------------------------------------------------------------------------------- */

static void release(tl_kept *k)
{
    if (atomic_fetch_sub(&k->users, 1) == 1) tl_resize(k, k->bytes, 0);
}

/* Users before what they use: whoever sees a value without users sees none of its users with any. */
void tl_kept_release(tl_plan *p)
{
    while (p->n_kept) release(p->kept[--p->n_kept]);
    TL_RELEASE(p->kept, p->cap_kept);
}

void tl_kept_sweep(tl_model *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->n_kept; i++) {
        tl_kept *k = m->kept[i];
        const bool needed = atomic_load(&k->users) > 1;
        if (needed) m->kept[n++] = k;
        else m->n_kept_failed -= k->status != TL_OK, release(k);
    }
    m->n_kept = n;
}

void tl_kept_free(tl_model *m)
{
    while (m->n_kept) release(m->kept[--m->n_kept]);
    TL_RELEASE(m->kept, m->cap_kept);
    tl_resize(m->kept_work, m->kept_work_bytes, 0);
}

static int64_t address_of(const tl_model *m, const tl_kept *k) { return k->data - (const char *)m; }

uint32_t tl_kept_at(const tl_plan *p, tl_ref ref)
{
    for (uint32_t i = 0; i < p->n_kept; i++) {
        const int64_t at = ref.offset - address_of(p->model, p->kept[i]);
        if (at >= 0 && at < (int64_t)p->kept[i]->size) return i;
    }
    return p->n_kept;
}

/* ---- finding and making ----------------------------------------------------------------------------------------- */

static bool same_operands(const tl_kept *a, const tl_kept *b)
{
    for (uint32_t i = 0; i < a->n_in; i++)
        if (a->ref[i].base != b->ref[i].base || a->ref[i].offset != b->ref[i].offset) return false;
    return true;
}

static bool same(const tl_kept *a, const tl_kept *b)
{
    return a->key == b->key && TL_LEGAL(KEPT_OP, a->op == b->op) && a->n_in == b->n_in &&
           a->attr_size == b->attr_size &&
           TL_LEGAL(KEPT_ATTRIBUTES, !a->attr_size || !memcmp(a->attr, b->attr, a->attr_size)) &&
           TL_LEGAL(KEPT_SHAPES, !a->op || !memcmp(a->desc, b->desc, (a->n_in + 1) * sizeof *a->desc)) &&
           TL_LEGAL(KEPT_OPERANDS, same_operands(a, b));
}

static uint64_t key_of(const tl_kept *k)
{
    if (tl_planted_fault >= TL_FAULT_SAME_KEYS) return 0; /* what same() does not look at must show */
    uint64_t h = tl_hash((uint64_t)(uintptr_t)k->op, k->attr, k->attr_size);
    if (k->op) h = tl_hash(h, k->desc, (k->n_in + 1) * sizeof *k->desc);
    for (uint32_t i = 0; i < k->n_in; i++) h = tl_mix(tl_mix(h, k->ref[i].base), (uint64_t)k->ref[i].offset);
    return h;
}

static bool know(tl_build *b, tl_kept *k)
{
    for (uint64_t salt = 0;; salt++) {
        uint64_t *slot = tl_table_put(&b->kept, k->key, salt, 0);
        if (!slot) return b->failed = true, false;
        if (*slot) continue;
        *slot = (uint64_t)(uintptr_t)k;
        return true;
    }
}

static bool know_all(tl_build *b)
{
    tl_table_clear(&b->kept);
    for (uint32_t i = 0; i < b->plan->model->n_kept; i++)
        if (!know(b, b->plan->model->kept[i])) return false;
    return true;
}

static tl_kept *find(const tl_build *b, const tl_kept *like)
{
    uint64_t *slot;
    for (uint64_t salt = 0; (slot = tl_table_find(&b->kept, like->key, salt)); salt++) {
        tl_kept *k = (tl_kept *)(uintptr_t)*slot;
        if (same(k, like)) return k;
    }
    return NULL;
}

static char *take(char **at, size_t n)
{
    char *p = *at;
    *at += (n + 63) & ~(size_t)63;
    return p;
}

/* A block for a value like this one, with all that it needs. */
static tl_kept *copy(const tl_kept *like)
{
    const size_t descs = like->op ? (like->n_in + 1) * sizeof *like->desc : 0, refs = like->n_in * sizeof *like->ref;
    const size_t pointers = like->n_in * sizeof *like->pointer, attr = like->op ? like->attr_size : 0;
    const size_t bytes = sizeof *like + descs + refs + pointers + attr + like->size + (size_t)7 * 64;
    tl_kept *k = tl_resize(NULL, 0, bytes);
    if (!k) return NULL;
    memset(k, 0, bytes);
    *k = *like;
    k->bytes = bytes;
    char *at = aligned(k + 1);
    k->data = take(&at, like->size);
    k->desc = (tl_desc *)take(&at, descs);
    k->ref = (tl_ref *)take(&at, refs);
    k->pointer = (const void **)take(&at, pointers);
    if (descs) memcpy(k->desc, like->desc, descs);
    if (refs) memcpy(k->ref, like->ref, refs);
    k->attr = like->op ? take(&at, attr) : k->data;
    if (like->attr_size) memcpy((void *)(uintptr_t)k->attr, like->attr, like->attr_size);
    return k;
}

/* Room for what all computations use in turn. */
static bool reserve_work(tl_model *m, const tl_kept *like)
{
    const tl_desc *d = like->desc;
    const size_t need = like->op->work ? like->op->work(d, d + 1, (int)like->n_in, like->attr) : 0;
    if (!need || need + 64 <= m->kept_work_bytes) return true;
    void *p = tl_resize(NULL, 0, need + 64);
    if (!p) return false;
    tl_resize(m->kept_work, m->kept_work_bytes, 0);
    m->kept_work = p;
    m->kept_work_bytes = need + 64;
    return true;
}

/* Computes it at once. NULL: memory is short, or (b->failed is not set) it cannot be computed. */
static tl_kept *make(tl_build *b, const tl_kept *like)
{
    tl_model *m = b->plan->model;
    if (!b->adds) { /* this compile changes the model: what nobody needs any more goes first */
        b->adds = true;
        tl_kept_sweep(m);
        if (!know_all(b)) return NULL;
    }
    tl_kept *k = TL_GROW(m->kept, m->n_kept, m->cap_kept) && (!like->op || reserve_work(m, like)) ? copy(like) : NULL;
    if (!k || !know(b, k)) {
        b->failed = true;
        if (k) tl_resize(k, k->bytes, 0);
        return NULL;
    }
    atomic_store(&k->users, 1);
    m->kept[m->n_kept++] = k;
    if (k->op) {
        const tl_float_mode mode = tl_flush_denormals();
        compute(m, k);
        tl_restore_mode(mode);
    }
    return k;
}

/* The kept value like this one, found or made, which from now on the plan uses; NULL as above. */
static tl_kept *obtain(tl_build *b, tl_kept *like)
{
    tl_plan *p = b->plan;
    like->key = key_of(like);
    if ((!b->kept.n && !know_all(b)) || !TL_GROW(p->kept, p->n_kept, p->cap_kept)) return b->failed = true, NULL;
    tl_kept *k = find(b, like);
    if (!k) k = make(b, like);
    if (!k || k->status) return NULL;
    atomic_fetch_add(&k->users, 1);
    return p->kept[p->n_kept++] = k;
}

/* Where a kept value finds operand id: a constant becomes one of its own. */
static tl_ref operand(tl_build *b, uint32_t id)
{
    const tl_home *h = &b->home[id];
    if (!id) return (tl_ref){ TL_BASE_NONE, 0 };
    if (h->ref.base != TL_BASE_CONSTS) return h->ref;
    const size_t size = tl_bytes_of(&b->tape->node[id].shape);
    tl_kept like = { .attr = b->plan->consts + h->ref.offset, .attr_size = size, .size = size };
    const tl_kept *k = obtain(b, &like);
    return (tl_ref){ TL_BASE_KEPT, k ? address_of(b->plan->model, k) : 0 };
}

/* ---- what is kept ----------------------------------------------------------------------------------------------- */

/* lasting[] is known of all nodes before i. */
static bool lasts(const tl_tape *t, uint32_t i, const bool *lasting, bool asked)
{
    const tl_node *n = &t->node[i];
    int64_t offset;
    if (n->op->role == TL_ROLE_PARAM || n->op->role == TL_ROLE_CONST) return true;
    if (!n->n_in) return tl_is_small_fill(n);
    if (!TL_LEGAL(KEEP_PURE, tl_is_pure(n))) return false;
    for (uint32_t k = 0; k < n->n_in; k++)
        if (tl_node_in(t, n, k) && !TL_LEGAL(KEEP_OPERANDS, lasting[tl_node_in(t, n, k)])) return false;
    if (tl_is_view(t, n, &offset)) return true;
    return !asked && TL_LEGAL(KEEP_RANDOM, n->op->cls != TL_RANDOM) && tl_bytes_of(&n->shape) <= TL_KEEP_BYTES &&
           (!n->op->attr_plain || n->op->attr_plain == n->attr_size) && tl_kernel_for(n->op, n->shape.dtype);
}

void tl_mark_lasting(const tl_tape *t, bool *lasting)
{
    memset(lasting, 0, t->n * sizeof *lasting);
    for (uint32_t k = 0, id; (id = tl_asked_for(t, k)); k++) lasting[id] = true; /* for now: it is asked for */
    for (uint32_t i = 0; i < t->n; i++) lasting[i] = i && lasts(t, i, lasting, lasting[i]);
}

/* A lasting operand lies in the arena if a kernel has refused to compute it: then the run says so, with its place. */
static bool has_lasting_operands(const tl_build *b, const tl_node *n)
{
    for (uint32_t k = 0; k < n->n_in; k++) {
        const uint32_t id = tl_node_in(b->tape, n, k);
        if (id && b->home[id].ref.base == TL_BASE_ARENA) return false;
    }
    return true;
}

/* The value of node i, an operation on what lasts; NULL: memory, or it cannot be computed. */
static const tl_kept *value_of(tl_build *b, uint32_t i)
{
    const tl_tape *t = b->tape;
    const tl_node *n = &t->node[i];
    tl_kept like = { .op = n->op,
                     .kernel = tl_kernel_for(n->op, n->shape.dtype),
                     .attr = n->attr,
                     .attr_size = n->attr_size,
                     .n_in = n->n_in,
                     .ref = tl_build_scratch(b, n->n_in * sizeof *like.ref),
                     .desc = tl_build_scratch(b, (n->n_in + 1) * sizeof *like.desc),
                     .size = tl_bytes_of(&n->shape) };
    for (uint32_t k = 0; k < n->n_in && !b->failed; k++) {
        const uint32_t id = tl_node_in(t, n, k);
        const tl_home *h = &b->home[id];
        like.ref[k] = operand(b, id);
        like.varies |= like.ref[k].base == TL_BASE_VALUES || (h->kept && h->kept->varies);
    }
    if (b->failed) return NULL;
    tl_describe(t, n, NULL, like.desc);
    return obtain(b, &like);
}

void tl_find_lasting(tl_build *b)
{
    if (tl_pass_on("keep")) b->lasting = tl_build_scratch(b, b->n * sizeof *b->lasting);
    if (b->lasting) tl_mark_lasting(b->tape, b->lasting);
}

bool tl_place_kept(tl_build *b, uint32_t i)
{
    const tl_node *n = &b->tape->node[i];
    int64_t offset;
    if (!b->lasting || !b->lasting[i] || !n->n_in || !(has_lasting_operands(b, n))) return false;
    if (tl_is_view(b->tape, n, &offset)) return tl_place_part(b, i, &b->home[i]);
    const tl_kept *k = value_of(b, i);
    if (!k) return false;
    b->home[i] = (tl_home){ .ref = { TL_BASE_KEPT, address_of(b->plan->model, k) }, .kept = k };
    tl_build_note(b, "keep", i, false, "# values depend on parameters alone: computed once per update", 1);
    return true;
}
