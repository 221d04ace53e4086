/* graph/census.c - how much work a plan is: calls of kernels, floating-point operations, bytes, memory alive at once. */
#include <string.h>

#include "graph/look.h"

/* ---- the calls of a run ------------------------------------------------------------------------------------------------ */

bool tl_next_call(const tl_plan *p, tl_kernel_call *c)
{
    const uint32_t k = !c->in ? 0 : c->next ? c->instr : c->instr + 1;
    if (k >= p->n_instr) return false;
    const tl_instr *in = &p->instr[k];
    const tl_member *m = in->fused ? &in->fused->member[c->next] : NULL;
    const uint32_t next = m && c->next + 1 < in->fused->n_members ? c->next + 1 : 0;
    *c = (tl_kernel_call){ .in = in, .member = m, .instr = k, .next = next, .op = in->op, .attr = in->attr };
    c->n_in = m ? m->n_in : in->n_in;
    c->place = &p->place[m ? m->place : in->place];
    if (m) c->op = m->op, c->attr = m->attr;
    return true;
}

tl_kernel_call tl_calls_of(const tl_plan *p, uint32_t k)
{
    return k ? (tl_kernel_call){ .in = &p->instr[k - 1], .instr = k - 1 } : (tl_kernel_call){ 0 };
}

/* The axis of a member's arrays along which they are cut into tiles. */
static int tiled_axis(const tl_kernel_call *c)
{
    if (c->op->cls == TL_ELEMENTWISE) return 0;
    const tl_sum_attr *a = c->attr;
    if (c->op->role == TL_ROLE_SUM) return (int)(c->member->adds ? a->axis_end : a->axis_begin) - 1;
    return c->member->desc[0]->rank - 2;
}

tl_ref tl_call_operand(const tl_kernel_call *c, uint32_t k, tl_desc *d)
{
    const tl_ref none = { TL_BASE_NONE, 0 };
    const tl_fused *f = c->in->fused;
    if (!f) {
        *d = c->in->desc[k];
        return c->in->ref[k];
    }
    *d = c->member->desc[0][k];
    if (d->dtype && !(c->member->adds && k != 1)) d->dim[tiled_axis(c)] = d->dim[tiled_axis(c)] / f->tile * f->rows;
    return d->dtype && c->member->at[k] < f->n_memory ? c->in->ref[1 + c->member->at[k]] : none;
}

static double product_flops(const struct tl_op *op, const void *attr, int64_t size, int rank, const int64_t *dim)
{
    if (op->role != TL_ROLE_PRODUCT || rank < 2) return 0;
    return 2.0 * (double)size * (double)dim[rank - (((const tl_product_attr *)attr)->ta ? 2 : 1)];
}

double tl_call_flops(const tl_kernel_call *c)
{
    if (c->n_in < 2 || c->op->role != TL_ROLE_PRODUCT) return 0;
    return product_flops(c->op, c->attr, tl_desc_size(c->in->desc), c->in->desc[1].rank, c->in->desc[1].dim);
}

/* Numbers that lie along an axis of stride 0 are one number. */
static int64_t desc_bytes(const tl_desc *d)
{
    if (!d->dtype) return 0;
    int64_t n = (int64_t)tl_dtype_size(d->dtype);
    for (int a = 0; a < d->rank; a++)
        if (d->stride[a] || !d->dim[a]) n *= d->dim[a];
    return n;
}

/* Has this operand been counted, by this call or one before it? */
static bool counted(const tl_kernel_call *c, uint32_t k)
{
    if (!c->member) return false;
    for (uint32_t j = 0; j < k; j++)
        if (c->member->at[j] == c->member->at[k]) return true;
    return c->in->fused->use[c->member->at[k]].first != (uint32_t)(c->member - c->in->fused->member);
}

int64_t tl_call_bytes(const tl_kernel_call *c)
{
    int64_t sum = 0, most = INT64_MAX;
    tl_desc d;
    if (c->op->cls == TL_GATHER && c->n_in) most = desc_bytes(&c->in->desc[c->op->role == TL_ROLE_SCATTER_ADD ? 1 : 0]);
    for (uint32_t k = 0; k <= c->n_in; k++) {
        if (tl_call_operand(c, k, &d).base == TL_BASE_NONE || counted(c, k)) continue;
        sum += desc_bytes(&d) < most ? desc_bytes(&d) : most;
    }
    return sum;
}

bool tl_next_run(tl_run_of_bytes *r, tl_ref ref, const tl_desc *d)
{
    if (!r->begun) {
        if (!d->dtype || !tl_desc_size(d)) return false;
        r->begun = true;
        r->together = 1;
        r->outer = d->rank;
        while (r->outer && (d->stride[r->outer - 1] == r->together || d->dim[r->outer - 1] == 1))
            r->together *= d->dim[--r->outer];
    } else {
        int a = r->outer - 1;
        for (; a >= 0 && (!d->stride[a] || ++r->at[a] == d->dim[a]); a--) r->at[a] = 0;
        if (a < 0) return false;
    }
    const int64_t size = (int64_t)tl_dtype_size(d->dtype);
    r->begin = ref.offset;
    for (int k = 0; k < r->outer; k++) r->begin += r->at[k] * d->stride[k] * size;
    r->end = r->begin + r->together * size;
    return true;
}

uint64_t tl_call_key(const tl_kernel_call *c)
{
    tl_desc d;
    uint64_t h = tl_mix((uint64_t)(uintptr_t)c->op, (uint64_t)(uintptr_t)c->place->at.file);
    h = tl_mix(h, tl_mix((uint64_t)(unsigned)c->place->at.line, (uint64_t)(unsigned)c->place->caller.line));
    h = tl_hash(h, c->place->path, strlen(c->place->path));
    for (uint32_t k = 0; k <= c->n_in; k++) {
        tl_call_operand(c, k, &d);
        const int64_t size = tl_desc_size(&d); /* how axes were merged says nothing of an elementwise operation */
        h = c->op->cls == TL_ELEMENTWISE ? tl_mix(h, (uint64_t)size) : tl_hash(h, d.dim, sizeof d.dim);
    }
    return tl_mix(h, tl_call_transposes(c, 0) + 2u * tl_call_transposes(c, 1) + 4u * c->place->gradient);
}

uint64_t tl_instr_key(const tl_plan *p, uint32_t k)
{
    uint64_t h = 0;
    for (tl_kernel_call c = tl_calls_of(p, k); tl_next_call(p, &c) && c.instr == k;) h = tl_mix(h, tl_call_key(&c));
    return h;
}

bool tl_call_transposes(const tl_kernel_call *c, int operand)
{
    const tl_product_attr *a = c->attr;
    return c->op->role == TL_ROLE_PRODUCT && (operand ? a->tb : a->ta);
}

bool tl_call_is_copy(const tl_kernel_call *c)
{
    return c->op->role == TL_ROLE_COPY || c->op->cls == TL_MOVE ||
           (c->op->cls == TL_VIEW && c->op->role != TL_ROLE_TAP);
}

double tl_plan_flops(const tl_plan *p)
{
    double sum = 0;
    for (tl_kernel_call c = { 0 }; tl_next_call(p, &c);) sum += tl_call_flops(&c);
    return sum;
}

double tl_plan_flops_written(const tl_plan *p) { return p->written.flops; }

/* ---- the tape as it was written ---------------------------------------------------------------------------------------- */

bool tl_count_written(const tl_tape *t, tl_plan *p)
{
    bool *live = tl_resize(NULL, 0, t->n);
    if (!live) return false;
    memset(live, 0, t->n);
    tl_mark_live(t, live);
    for (uint32_t i = 1; i < t->n; i++) {
        const tl_node *n = &t->node[i];
        int64_t offset;
        if (!live[i] || n->op->cls == TL_LEAF || n->op->role == TL_ROLE_FILL) continue;
        if (n->op->role != TL_ROLE_TAP && tl_is_view(t, n, &offset)) continue;
        p->written.operations++;
        if (n->op->role != TL_ROLE_PRODUCT) continue;
        const tl_shape *a = &t->node[tl_node_in(t, n, 0)].shape;
        p->written.products++;
        p->written.flops += product_flops(n->op, n->attr, tl_shape_size(&n->shape), a->rank, a->dim);
    }
    tl_resize(live, t->n, 0);
    return true;
}

/* ---- the most bytes alive at once: backwards over the calls, a bit for each four bytes of the arena --------------------- */

enum { UNIT = 4 };

typedef struct live_set {
    uint64_t *bit;
    int64_t n; /* bits that are set */
} live_set;

static void set_range(live_set *s, int64_t begin, int64_t end, bool on)
{
    for (int64_t w = begin / 64; w * 64 < end; w++) {
        const int64_t low = begin > w * 64 ? begin - w * 64 : 0, high = end - w * 64 < 64 ? end - w * 64 : 64;
        const uint64_t mask = (high < 64 ? ((uint64_t)1 << high) - 1 : UINT64_MAX) & (UINT64_MAX << low);
        const uint64_t old = s->bit[w];
        s->bit[w] = on ? old | mask : old & ~mask;
        s->n += __builtin_popcountll(s->bit[w]) - __builtin_popcountll(old);
    }
}

static void set_operand(live_set *s, tl_ref ref, const tl_desc *d, bool on)
{
    if (ref.base != TL_BASE_ARENA) return;
    for (tl_run_of_bytes r = { 0 }; tl_next_run(&r, ref, d);) set_range(s, r.begin / UNIT, r.end / UNIT, on);
}

static void set_values(live_set *s, const tl_plan_value *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (v[i].ref.base == TL_BASE_ARENA)
            set_range(s, v[i].ref.offset / UNIT,
                      (v[i].ref.offset + tl_shape_size(&v[i].shape) * (int64_t)tl_dtype_size(v[i].shape.dtype)) / UNIT,
                      true);
}

/* Room that a call needs beside its operands. */
static int64_t work_bytes(const tl_kernel_call *c)
{
    const tl_instr *in = c->in;
    int64_t most = 0;
    if (in->work < 0) return 0;
    if (!c->member) return (int64_t)in->op->work(in->desc, in->desc + 1, (int)in->n_in, in->attr);
    for (const tl_member *m = in->fused->member; m < in->fused->member + in->fused->n_members; m++)
        for (uint32_t k = 0; k <= m->n_in; k++) {
            if (m->at[k] < in->fused->n_memory || !m->desc[0][k].dtype) continue;
            int64_t end = in->fused->offset[m->at[k]];
            for (tl_run_of_bytes r = { 0 };
                 tl_next_run(&r, (tl_ref){ 0, in->fused->offset[m->at[k]] }, &m->desc[0][k]);)
                end = r.end;
            if (end > most) most = end;
        }
    return most;
}

static void set_call(live_set *s, const tl_kernel_call *c, uint32_t first, uint32_t last, bool on)
{
    tl_desc d;
    for (uint32_t k = first; k <= last; k++) {
        const tl_ref ref = tl_call_operand(c, k, &d);
        set_operand(s, ref, &d, on);
    }
}

static int64_t walk_back(const tl_plan *p, const tl_kernel_call *call, uint32_t n, live_set *s)
{
    int64_t most = 0;
    set_values(s, p->output, p->n_output);
    set_values(s, p->next, p->n_next);
    for (uint32_t i = n; i--;) {
        const tl_kernel_call *c = &call[i];
        set_call(s, c, 0, c->n_in, true);
        const int64_t now = s->n * UNIT + work_bytes(c);
        if (now > most) most = now;
        set_call(s, c, 0, 0, false);
        set_call(s, c, 1, c->n_in, true);
    }
    return most;
}

size_t tl_live_peak(const tl_plan *p)
{
    const size_t bytes = (p->arena_bytes / UNIT / 64 + 1) * sizeof(uint64_t);
    uint32_t n = 0, cap = 0;
    tl_kernel_call *call = NULL;
    live_set s = { .bit = tl_resize(NULL, 0, bytes) };
    bool well = s.bit;
    for (tl_kernel_call c = { 0 }; well && tl_next_call(p, &c);)
        if ((well = TL_GROW(call, n, cap))) call[n++] = c;
    int64_t most = 0;
    if (well) {
        memset(s.bit, 0, bytes);
        most = walk_back(p, call, n, &s);
    }
    if (s.bit) tl_resize(s.bit, bytes, 0);
    TL_RELEASE(call, cap);
    return well ? (size_t)most : SIZE_MAX;
}
