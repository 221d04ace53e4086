/* graph/fuse.c - runs of elementwise and row-wise instructions work tile by tile: some rows through all of them, then the
 * next rows. What is made and used within a run never leaves the cache, and has no place in the arena.
 *
 * Members of a run stand one after the other, and row i of what each makes depends on row i of its operands alone, or on
 * operands that all rows share. Any tiling by rows then computes the same numbers with the same kernels: the same bits.
 * An instruction joins if its rows are as many, and if whatever it reads of what the run writes (or writes where the
 * run reads) is of the same row; all else ends the run. A sum over rows is a member that adds each tile's rows to what the
 * tiles before have made; as rows are added one after the other in any case, the sum is the same, and is ready after the run. */
#include <string.h>

#include "graph/build.h"
#include "graph/passes/passes.h"

enum { MAX_MEMBERS = 96, MAX_STREAMS = 192, MAX_OPERANDS = 4, ABSENT = UINT16_MAX };

int64_t tl_tile_bytes = 40 << 10; /* most of it should stay in the L1 cache */

/* One array of a run. */
typedef struct stream {
    tl_ref ref;
    uint32_t root;
    int64_t step;         /* bytes from row to row; 0: all rows share it */
    int64_t extent;       /* bytes of a row, from its first to its last */
    int64_t span;         /* bytes of all rows */
    uint32_t first, last; /* member that uses it */
    bool written, inside; /* inside: lives in tiles only */
    uint16_t at;          /* its number in the instruction */
    const tl_desc *desc;
} stream;

typedef struct run {
    tl_build *b;
    uint32_t begin, n; /* drafts */
    int64_t rows;
    stream s[MAX_STREAMS];
    uint32_t n_streams;
    uint16_t at[MAX_MEMBERS][MAX_OPERANDS + 1];
} run;

/* ---- rows of an instruction ------------------------------------------------------------------------------------------ */

bool tl_adds_rows(const tl_tape *t, const tl_node *n)
{
    const tl_sum_attr *a = n->attr;
    return n->op->role == TL_ROLE_SUM && !a->axis_begin && a->axis_end < t->node[tl_node_in(t, n, 0)].shape.rank;
}

bool tl_by_rows(const tl_tape *t, const tl_node *n)
{
    if (!TL_LEGAL(FUSE_USERS, n->op->id) || n->op->work) return false;
    if (n->n_in > MAX_OPERANDS || n->shape.dtype == TL_I32) return false;
    if (n->op->cls == TL_ELEMENTWISE) return n->shape.rank > 0;
    if (n->op->cls == TL_ROWWISE) return n->shape.rank > 0 && n->n_in == 1; /* another might be one row for all */
    if (n->op->role != TL_ROLE_SUM || (n->n_in > 1 && tl_node_in(t, n, 1))) return false;
    const tl_sum_attr *a = n->attr;
    return a->axis_begin && a->axis_end == t->node[tl_node_in(t, n, 0)].shape.rank;
}

static bool fusable(const tl_build *b, const tl_draft *d)
{
    const tl_node *n = &b->tape->node[d->node];
    if (d->in.op == tl_op_of_role(TL_ROLE_COPY)) return n->shape.rank > 0 && n->shape.dtype != TL_I32;
    return d->in.op == n->op && (tl_by_rows(b->tape, n) || tl_adds_rows(b->tape, n));
}

static bool adds(const tl_build *b, const tl_draft *d) /* and does not only copy the sum */
{
    return d->in.op->role == TL_ROLE_SUM && tl_adds_rows(b->tape, &b->tape->node[d->node]);
}

/* Axes of a node's value (of its operand, where it sums) that count rows. */
static int row_axes(const tl_build *b, const tl_draft *d)
{
    const tl_node *n = &b->tape->node[d->node];
    const tl_sum_attr *a = n->attr;
    if (d->in.op->role != TL_ROLE_SUM) return n->shape.rank - 1;
    return (int)(adds(b, d) ? a->axis_end : a->axis_begin);
}

static int64_t rows_of(const tl_build *b, const tl_draft *d)
{
    const tl_node *n = &b->tape->node[d->node];
    const tl_shape *s = d->in.op->role == TL_ROLE_SUM ? &b->tape->node[tl_node_in(b->tape, n, 0)].shape : &n->shape;
    int64_t rows = 1;
    for (int a = 0; a < row_axes(b, d); a++) rows *= s->dim[a];
    return rows;
}

static int64_t size_from(const tl_desc *d, int axis)
{
    int64_t n = 1;
    for (int a = axis; a < d->rank; a++) n *= d->dim[a];
    return n;
}

/* Elements of operand k (0: out) from one of `rows` rows to the next; -1: they do not lie evenly. */
static int64_t step_of(const tl_build *b, const tl_draft *d, uint32_t k, int64_t rows)
{
    const tl_desc *e = &d->in.desc[k], *out = &d->in.desc[0];
    if (d->in.op->cls == TL_ELEMENTWISE)
        return out->rank && TL_LEGAL(FUSE_EVEN, out->dim[0] % rows == 0) ? e->stride[0] * (out->dim[0] / rows) : -1;
    const int axes = row_axes(b, d);
    if (adds(b, d) && k != 1) return 0; /* the sum and what it starts from */
    return axes ? size_from(e, axes) : -1;
}

/* The same for a tile of so many rows. */
static void shrink(const tl_build *b, const tl_draft *d, int64_t rows, int64_t tile, tl_desc *out)
{
    const bool merged = d->in.op->cls == TL_ELEMENTWISE;
    const int axes = merged ? 1 : row_axes(b, d);
    for (uint32_t k = 0; k <= d->in.n_in; k++) {
        out[k] = d->in.desc[k];
        if (!out[k].dtype || (adds(b, d) && k != 1)) continue;
        const int64_t per_row = merged ? out[k].dim[0] / rows : 1;
        for (int a = 0; a < axes - 1; a++) out[k].dim[a] = 1;
        out[k].dim[axes - 1] = tile * per_row;
    }
}

static int64_t extent_of(const tl_desc *e, int64_t rows, int64_t step)
{
    int64_t last = 0;
    for (int a = 0; a < e->rank; a++) last += (e->dim[a] - 1) * e->stride[a];
    return (last - (rows - 1) * step + 1) * (int64_t)tl_dtype_size(e->dtype);
}

/* ---- runs -------------------------------------------------------------------------------------------------------------- */

/* Are rows of one stream disjoint from all rows but the same of the other? */
static bool in_step(const stream *p, const stream *q)
{
    if (p->ref.base != q->ref.base || p->root != q->root) return true;
    const stream *low = p->ref.offset < q->ref.offset ? p : q, *high = low == p ? q : p;
    const int64_t apart = high->ref.offset - low->ref.offset;
    if (apart >= low->span) return true; /* nothing in common */
    return TL_LEGAL(STEP_LENGTH, p->step == q->step) &&
           TL_LEGAL(STEP_EXTENT, apart + high->extent <= p->step && low->extent <= p->step);
}

static bool describe(const run *r, const tl_draft *d, uint32_t k, stream *out)
{
    const int64_t step = step_of(r->b, d, k, r->rows), element = (int64_t)tl_dtype_size(d->in.desc[k].dtype);
    if (step < 0 || (!k && !step && !adds(r->b, d)) || !tl_desc_size(&d->in.desc[k])) return false;
    *out = (stream){ .ref = d->in.ref[k],
                     .root = d->root[k],
                     .step = step * element,
                     .extent = extent_of(&d->in.desc[k], r->rows, step),
                     .desc = &d->in.desc[k] };
    out->span = (r->rows - 1) * out->step + out->extent;
    return true;
}

static bool same_stream(const stream *p, const stream *q)
{
    return p->ref.base == q->ref.base && p->ref.offset == q->ref.offset && p->root == q->root && p->step == q->step;
}

/* Adds draft d to the run; false: it cannot be a member. */
static bool join(run *r, const tl_draft *d)
{
    const uint32_t member = r->n, streams = r->n_streams;
    if (member == MAX_MEMBERS || streams + MAX_OPERANDS + 1 > MAX_STREAMS || !fusable(r->b, d)) return false;
    if (d->in.op->cls != TL_ELEMENTWISE && !TL_LEGAL(FUSE_ROWS, rows_of(r->b, d) == r->rows)) return false;
    for (uint32_t k = 0; k <= d->in.n_in; k++) {
        stream s;
        uint32_t i = 0;
        r->at[member][k] = ABSENT;
        if (d->in.ref[k].base == TL_BASE_NONE) continue;
        bool well = describe(r, d, k, &s);
        s.written = !k;
        for (uint32_t j = 0; well && j < streams; j++) well = !(s.written || r->s[j].written) || in_step(&s, &r->s[j]);
        if (!well) {
            r->n_streams = streams;
            return false;
        }
        while (i < r->n_streams && !same_stream(&r->s[i], &s)) i++;
        if (i == r->n_streams) s.first = member, r->s[r->n_streams++] = s;
        r->at[member][k] = (uint16_t)i;
    }
    for (uint32_t k = 0; k <= d->in.n_in; k++) { /* only now: a refused member leaves no trace */
        if (r->at[member][k] == ABSENT) continue;
        stream *s = &r->s[r->at[member][k]];
        s->last = member;
        s->written |= !k;
        if (s->extent < extent_of(&d->in.desc[k], r->rows, s->step / (int64_t)tl_dtype_size(d->in.desc[k].dtype)))
            s->extent = extent_of(&d->in.desc[k], r->rows, s->step / (int64_t)tl_dtype_size(d->in.desc[k].dtype));
    }
    r->n++;
    return true;
}

/* ---- one instruction of a run ------------------------------------------------------------------------------------------ */

/* uses[root]: in how many operands of other drafts it occurs; readers outside of kernels count, too. */
static bool lives_in_tiles(const run *r, const uint32_t *uses, uint32_t root)
{
    const int64_t bytes = (int64_t)tl_bytes_of(&r->b->tape->node[root].shape), pitch = bytes / r->rows;
    if (!TL_LEGAL(TILE_USES, !uses[root]) || pitch * r->rows != bytes) return false;
    for (uint32_t j = 0; j < r->n_streams; j++) {
        const stream *s = &r->s[j];
        if (s->root != root || s->ref.base != TL_BASE_ARENA) continue;
        if (!TL_LEGAL(TILE_PITCH, s->step == pitch && s->ref.offset + s->extent <= pitch)) return false;
    }
    return true;
}

static void count_own(const run *r, uint32_t *uses, uint32_t by)
{
    for (uint32_t i = 0; i < r->n; i++) {
        const tl_draft *d = &r->b->draft[r->begin + i];
        for (uint32_t k = 0; k <= d->in.n_in; k++)
            if (d->in.ref[k].base == TL_BASE_ARENA) uses[d->root[k]] += by;
    }
}

/* Numbers streams: first those in memory, then those in tiles. Bytes of a row of all of them: *per_row. */
static uint32_t number_streams(run *r, uint32_t *uses, int64_t *per_row)
{
    uint32_t n = 0;
    *per_row = 0;
    count_own(r, uses, UINT32_MAX); /* takes one away */
    for (uint32_t j = 0; j < r->n_streams; j++) {
        stream *s = &r->s[j];
        s->inside = s->ref.base == TL_BASE_ARENA && s->root && lives_in_tiles(r, uses, s->root);
        *per_row += s->step ? s->extent : 0;
        if (!s->inside) s->at = (uint16_t)n++;
    }
    count_own(r, uses, 1);
    return n;
}

typedef struct slots { /* room for values in tiles, each given back after its last member */
    int64_t offset[MAX_STREAMS], size[MAX_STREAMS];
    uint32_t last[MAX_STREAMS], root[MAX_STREAMS], n;
    int64_t bytes;
} slots;

/* The room of a root that lives in tiles, from member `now` on. */
static int64_t room_for(slots *w, const run *r, uint32_t root, uint32_t now, int64_t bytes)
{
    uint32_t last = 0, best = MAX_STREAMS;
    for (uint32_t i = 0; i < w->n; i++)
        if (w->root[i] == root) return w->offset[i];
    for (uint32_t j = 0; j < r->n_streams; j++)
        if (r->s[j].inside && r->s[j].root == root && r->s[j].last > last) last = r->s[j].last;
    bytes = (bytes + 63) & ~(int64_t)63;
    for (uint32_t i = 0; i < w->n && best == MAX_STREAMS; i++)
        if (TL_LEGAL(TILE_LAST, w->last[i] < now) && TL_LEGAL(TILE_SIZE, w->size[i] >= bytes)) best = i;
    if (best == MAX_STREAMS) {
        best = w->n++;
        w->offset[best] = w->bytes;
        w->size[best] = bytes;
        w->bytes += bytes;
    }
    w->root[best] = root;
    w->last[best] = last;
    return w->offset[best];
}

static const struct tl_op fused_op = { .size = sizeof fused_op, .name = "fused" };

static tl_status fused_kernel(const tl_run_args *r)
{
    const tl_fused *f = r->attr;
    char *at[MAX_STREAMS];
    const void *in[MAX_OPERANDS];
    tl_run_args a = *r;
    a.in = in;
    for (uint32_t k = 0; k < f->n_memory; k++) at[k] = (char *)(uintptr_t)r->in[k];
    for (uint32_t k = f->n_memory; k < f->n_streams; k++) at[k] = (char *)r->work + f->offset[k];
    for (int64_t row = 0; row < f->rows; row += f->tile) {
        const int part = row + f->tile > f->rows;
        for (const tl_member *m = f->member; m < f->member + f->n_members; m++) {
            for (uint32_t k = 0; k < m->n_in; k++) in[k] = m->at[k + 1] == ABSENT ? NULL : at[m->at[k + 1]];
            if (m->adds && row) in[1] = at[m->at[0]];
            a.out = at[m->at[0]];
            a.n_in = (int)m->n_in;
            a.out_desc = m->desc[part];
            a.in_desc = m->desc[part] + 1;
            a.attr = m->attr;
            const tl_status status = m->kernel(&a);
            if (status) return status;
        }
        for (uint32_t k = 0; k < f->n_memory; k++) at[k] += f->step[k];
    }
    return TL_OK;
}

static bool fill_members(const run *r, tl_fused *f, slots *w)
{
    tl_build *b = r->b;
    tl_member *m = tl_build_keep(b, r->n * sizeof *m);
    int64_t *offset = tl_build_keep(b, r->n_streams * sizeof *offset);
    uint16_t at[MAX_STREAMS];
    uint32_t tiles = f->n_memory;
    if (b->failed) return false;
    for (uint32_t j = 0; j < r->n_streams; j++) at[j] = r->s[j].inside ? (uint16_t)tiles++ : r->s[j].at;
    f->member = m;
    f->offset = offset;
    f->n_members = r->n;
    f->n_streams = tiles;
    for (uint32_t i = 0; i < r->n; i++) {
        const tl_draft *d = &b->draft[r->begin + i];
        tl_desc desc[2][MAX_OPERANDS + 1];
        const bool sum = adds(b, d);
        const uint32_t n_in = sum ? 2 : d->in.n_in; /* a sum that starts from nothing starts from itself later */
        uint16_t *own = tl_build_keep(b, (n_in + 1) * sizeof *own);
        if (!own) return false;
        const int64_t left = f->rows % f->tile;
        shrink(b, d, f->rows, f->tile, desc[0]);
        shrink(b, d, f->rows, left ? left : f->tile, desc[1]);
        if (sum && d->in.n_in < 2) desc[0][2] = desc[1][2] = (tl_desc){ 0 };
        if (sum) own[2] = ABSENT;
        m[i] = (tl_member){
            .kernel = d->in.kernel, .op = d->in.op, .attr = d->in.attr, .n_in = n_in, .at = own, .adds = sum
        };
        for (int k = 0; k < 2; k++) m[i].desc[k] = tl_build_descs(b, desc[k], n_in + 1);
        for (uint32_t k = 0; k <= d->in.n_in; k++) {
            const uint16_t j = r->at[i][k];
            own[k] = j == ABSENT ? ABSENT : at[j];
            if (j == ABSENT || !r->s[j].inside) continue;
            offset[at[j]] = room_for(w, r, r->s[j].root, i, f->tile * r->s[j].step) + r->s[j].ref.offset;
        }
        m[i].place = d->in.place;
    }
    return !b->failed;
}

/* The run as one draft. */
static bool fuse(run *r, uint32_t *uses, tl_draft *out)
{
    tl_build *b = r->b;
    int64_t per_row;
    const uint32_t n = number_streams(r, uses, &per_row);
    tl_fused *f = tl_build_keep(b, sizeof *f);
    int64_t *step = tl_build_keep(b, n * sizeof *step);
    tl_use *use = tl_build_keep(b, n * sizeof *use);
    tl_ref *ref = tl_build_keep(b, (n + 1) * sizeof *ref);
    tl_desc *desc = tl_build_keep(b, (n + 1) * sizeof *desc);
    uint32_t *root = tl_build_scratch(b, (n + 1) * sizeof *root);
    slots w = { .n = 0 };
    if (b->failed) return false;
    const int64_t tile = per_row ? tl_tile_bytes / per_row : r->rows;
    *f = (tl_fused){ .rows = r->rows, .tile = tile < 1 ? 1 : tile > r->rows ? r->rows : tile, .n_memory = n };
    if (!fill_members(r, f, &w)) return false;
    for (uint32_t j = 0; j < r->n_streams; j++) {
        const stream *s = &r->s[j];
        if (s->inside) continue;
        step[s->at] = s->step * f->tile;
        use[s->at] = (tl_use){ s->first, s->last, s->step, s->written };
        ref[1 + s->at] = s->ref;
        root[1 + s->at] = s->root;
        desc[1 + s->at] = *s->desc;
    }
    f->step = step;
    f->use = use;
    if (n > b->plan->max_in) b->plan->max_in = n;
    const tl_instr in = { .op = &fused_op,
                          .kernel = fused_kernel,
                          .attr = f,
                          .fused = f,
                          .n_in = n,
                          .work = -1,
                          .ref = ref,
                          .desc = desc,
                          .place = b->draft[r->begin].in.place };
    *out = (tl_draft){ in, b->draft[r->begin].node, root, (size_t)w.bytes };
    tl_build_note(b, "fuse", out->node, false, "# operations go tile by tile, in # runs", r->n, 1);
    return true;
}

static void count_uses(const tl_build *b, uint32_t *uses)
{
    const tl_tape *t = b->tape;
    for (uint32_t i = 0; i < b->n_draft; i++)
        for (uint32_t k = 0; k <= b->draft[i].in.n_in; k++)
            if (b->draft[i].in.ref[k].base == TL_BASE_ARENA) uses[b->draft[i].root[k]]++;
    for (uint32_t i = 0; i < t->n_output; i++) uses[b->home[t->output[i].id].root]++;
    for (uint32_t i = 0; i < t->n_next; i++) uses[b->home[t->next[i].id].root]++;
}

void tl_fuse(tl_build *b)
{
    uint32_t *uses = tl_build_scratch(b, b->n * sizeof *uses), n = 0;
    run *r = tl_build_scratch(b, sizeof *r);
    if (b->failed || !tl_pass_on("fuse")) return;
    count_uses(b, uses);
    for (uint32_t i = 0; i < b->n_draft && !b->failed; i += r->n ? r->n : 1) {
        r->b = b;
        r->begin = i;
        r->n = r->n_streams = 0;
        if (fusable(b, &b->draft[i])) {
            r->rows = rows_of(b, &b->draft[i]);
            while (r->rows > 1 && i + r->n < b->n_draft && join(r, &b->draft[i + r->n])) continue;
        }
        tl_draft fused;
        if (r->n > 1 && fuse(r, uses, &fused)) b->draft[n++] = fused;
        else
            for (uint32_t k = 0; k < (r->n ? r->n : 1); k++) b->draft[n++] = b->draft[i + k];
    }
    b->n_draft = n;
}
