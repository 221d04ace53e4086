/* graph/plan_dot.c - a plan as a Graphviz graph: who writes what who reads. */
#include <stdio.h>
#include <string.h>

#include "graph/look.h"

/* A plan of more instructions is drawn with those alike (operation, shapes, line, scope) as one. */
enum { ONE_BY_ONE = 120, LABEL = 512 };

typedef enum node_kind { CALL, PARAM, INPUT, GRADIENT, OUTPUT, NEXT } node_kind;

typedef struct picture_node {
    node_kind kind;
    tl_kernel_call call; /* of a CALL */
    const char *name;    /* of all others */
} picture_node;

typedef struct unit { /* an instruction, or many alike; a fused one has several calls */
    uint32_t first, calls, times;
} unit;

typedef struct edge {
    uint32_t from, to, times;
} edge;

typedef struct span { /* who wrote these bytes last */
    int64_t begin, end;
    uint32_t writer;
} span;

typedef struct span_map { /* ascending, without overlaps */
    span *span;
    uint32_t n, cap;
} span_map;

typedef struct picture {
    const tl_plan *plan;
    tl_text out;
    picture_node *node;
    unit *unit;
    edge *edge;
    uint32_t n_node, cap_node, n_unit, cap_unit, n_edge, cap_edge;
    span_map written[3]; /* of the arena, of the gradients, of the tiles of a fused instruction */
    tl_table units, leaves, edges;
    bool failed;
} picture;

/* ---- spans ------------------------------------------------------------------------------------------------------------ */

/* The first span that ends behind `at`. */
static uint32_t seek(const span_map *m, int64_t at)
{
    uint32_t low = 0, high = m->n;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (m->span[middle].end > at) high = middle;
        else low = middle + 1;
    }
    return low;
}

/* new spans in the place of `old` ones at k; false: memory */
static bool replace(span_map *m, uint32_t k, uint32_t old, const span *with, uint32_t n)
{
    for (uint32_t more = n > old ? n - old : 0; more; more--)
        if (!TL_GROW(m->span, m->n + more - 1, m->cap)) return false;
    if (m->n > k + old) memmove(m->span + k + n, m->span + k + old, (m->n - k - old) * sizeof *m->span);
    memcpy(m->span + k, with, n * sizeof *with);
    m->n = m->n + n - old;
    return true;
}

/* What lies there is the writer's from now on; of those that were there before, the rest on either side remains. */
static bool overwrite(span_map *m, int64_t begin, int64_t end, uint32_t writer)
{
    span with[3];
    uint32_t n = 0, k = seek(m, begin), last = k;
    while (last < m->n && m->span[last].begin < end) last++;
    if (last > k && m->span[k].begin < begin) with[n++] = (span){ m->span[k].begin, begin, m->span[k].writer };
    with[n++] = (span){ begin, end, writer };
    if (last > k && m->span[last - 1].end > end)
        with[n++] = (span){ end, m->span[last - 1].end, m->span[last - 1].writer };
    return replace(m, k, last - k, with, n);
}

/* ---- nodes and edges ------------------------------------------------------------------------------------------------- */

static uint32_t add_node(picture *d, picture_node node)
{
    if (!TL_GROW(d->node, d->n_node, d->cap_node)) return d->failed = true, 0;
    d->node[d->n_node] = node;
    return d->n_node++;
}

/* The node of a parameter, input, output ... by its name, which is one and the same address. */
static uint32_t leaf(picture *d, node_kind kind, const char *name)
{
    uint64_t *slot = tl_table_put(&d->leaves, kind, (uint64_t)(uintptr_t)name, 0);
    if (!slot) return d->failed = true, 0;
    if (!*slot) *slot = 1 + (uint64_t)add_node(d, (picture_node){ .kind = kind, .name = name });
    return (uint32_t)(*slot - 1);
}

static void connect(picture *d, uint32_t from, uint32_t to)
{
    uint64_t *slot = d->failed ? NULL : tl_table_put(&d->edges, from, to, 0);
    if (!slot || !TL_GROW(d->edge, d->n_edge, d->cap_edge)) {
        d->failed = true;
        return;
    }
    if (!*slot) {
        d->edge[d->n_edge++] = (edge){ .from = from, .to = to };
        *slot = d->n_edge;
    }
    d->edge[*slot - 1].times++;
}

static span_map *map_of(picture *d, tl_ref ref)
{
    return ref.base == TL_BASE_ARENA ? &d->written[0] : ref.base == TL_BASE_GRADIENTS ? &d->written[1] : NULL;
}

/* Node `to` reads this: an edge from each who has written a part of it, one only from the same. */
static void read_spans(picture *d, const span_map *m, tl_ref ref, const tl_desc *desc, uint32_t to)
{
    uint32_t before = UINT32_MAX;
    for (tl_run_of_bytes r = { 0 }; m && tl_next_run(&r, ref, desc);)
        for (uint32_t k = seek(m, r.begin); k < m->n && m->span[k].begin < r.end; k++) {
            if (m->span[k].writer != before) connect(d, m->span[k].writer, to);
            before = m->span[k].writer;
        }
}

/* Where an operand of a call lies: in memory, or in a tile, of which there is one at a time. */
static span_map *find_operand(picture *d, const tl_kernel_call *c, uint32_t k, tl_ref *ref, tl_desc *desc)
{
    *ref = tl_call_operand(c, k, desc);
    if (ref->base != TL_BASE_NONE || !c->member || !desc->dtype) return map_of(d, *ref);
    *desc = c->member->desc[0][k];
    *ref = (tl_ref){ TL_BASE_NONE, c->in->fused->offset[c->member->at[k]] };
    return &d->written[2];
}

static void reads(picture *d, const tl_kernel_call *c, uint32_t k, uint32_t to)
{
    tl_ref ref;
    tl_desc desc;
    const span_map *m = find_operand(d, c, k, &ref, &desc);
    const tl_param_info *param = ref.base == TL_BASE_VALUES ? tl_param_at(d->plan, ref) : NULL;
    if (param) connect(d, leaf(d, PARAM, param->name), to);
    if (ref.base >= TL_BASE_INPUTS && ref.base != TL_BASE_NONE)
        connect(d, leaf(d, INPUT, d->plan->input_name[ref.base - TL_BASE_INPUTS]), to);
    read_spans(d, m, ref, &desc, to);
}

static void writes(picture *d, const tl_kernel_call *c, uint32_t from)
{
    tl_ref ref;
    tl_desc desc;
    span_map *m = find_operand(d, c, 0, &ref, &desc);
    for (tl_run_of_bytes r = { 0 }; m && tl_next_run(&r, ref, &desc);) d->failed |= !overwrite(m, r.begin, r.end, from);
}

/* An instruction's unit, its calls being call[0 .. n-1]: one that is alike, or a new one. */
static const unit *unit_of(picture *d, const tl_kernel_call *call, uint32_t n)
{
    const uint64_t key = d->plan->n_instr > ONE_BY_ONE ? tl_instr_key(d->plan, call->instr) : call->instr;
    uint64_t *slot = tl_table_put(&d->units, key, 0, 0);
    if (!slot || !TL_GROW(d->unit, d->n_unit, d->cap_unit)) return d->failed = true, NULL;
    if (!*slot) {
        d->unit[d->n_unit++] = (unit){ .first = d->n_node, .calls = n };
        for (uint32_t i = 0; i < n; i++) add_node(d, (picture_node){ .kind = CALL, .call = call[i] });
        *slot = d->n_unit;
    }
    d->unit[*slot - 1].times++;
    return &d->unit[*slot - 1];
}

static void add_instruction(picture *d, const tl_kernel_call *call, uint32_t n)
{
    const unit *u = unit_of(d, call, n);
    const uint32_t first = u ? u->first : 0;
    for (uint32_t i = 0; i < n && !d->failed; i++) {
        for (uint32_t k = 1; k <= call[i].n_in; k++) reads(d, &call[i], k, first + i);
        writes(d, &call[i], first + i);
    }
}

static void collect(picture *d)
{
    tl_kernel_call *call = NULL;
    uint32_t n = 0, cap = 0;
    for (tl_kernel_call c = { 0 }; !d->failed && tl_next_call(d->plan, &c);) {
        if (n && call[0].instr != c.instr) add_instruction(d, call, n), n = 0;
        if (!TL_GROW(call, n, cap)) d->failed = true;
        else call[n++] = c;
    }
    if (n && !d->failed) add_instruction(d, call, n);
    TL_RELEASE(call, cap);
}

static void collect_values(picture *d, node_kind kind, const tl_plan_value *v, uint32_t n)
{
    for (uint32_t i = 0; i < n && !d->failed; i++) {
        const tl_desc line = {
            .dtype = v[i].shape.dtype, .rank = 1, .dim = { tl_shape_size(&v[i].shape) }, .stride = { 1 }
        };
        read_spans(d, map_of(d, v[i].ref), v[i].ref, &line, leaf(d, kind, v[i].name));
    }
}

static void collect_gradients(picture *d)
{
    const span_map *m = &d->written[1];
    for (uint32_t k = 0; k < m->n && !d->failed; k++) {
        const tl_param_info *p = tl_param_at(d->plan, (tl_ref){ TL_BASE_GRADIENTS, m->span[k].begin });
        if (p) connect(d, m->span[k].writer, leaf(d, GRADIENT, p->name));
    }
}

/* ---- drawing ---------------------------------------------------------------------------------------------------------- */

static void draw_call(picture *d, uint32_t i, uint32_t times)
{
    const tl_kernel_call *c = &d->node[i].call;
    char where[LABEL], tip[LABEL], op[96], path[LABEL];
    tl_desc out;
    tl_call_operand(c, 0, &out);
    tl_place_print(where, sizeof where, c->place->at, c->place->caller, c->place->path, NULL);
    tl_dot_escape(tip, sizeof tip, where, strlen(where));
    tl_dot_escape(op, sizeof op, c->op->name, strlen(c->op->name));
    tl_dot_escape(path, sizeof path, c->place->path, strlen(c->place->path));
    tl_text_add(&d->out, "  n%u [label=\"%s ", i, op);
    tl_dims_text(&d->out, &out);
    if (*path) tl_text_add(&d->out, "\\n%s", path);
    if (times > 1) tl_text_add(&d->out, "\\n%u times", times);
    tl_text_add(&d->out, "\", tooltip=\"%s\", fillcolor=%s%s];\n", tip,
                c->op->role == TL_ROLE_PRODUCT ? "lightyellow"
                : tl_call_is_copy(c)           ? "orange"
                : c->place->gradient           ? "mistyrose"
                                               : "white",
                c->place->gradient ? ", style=\"filled,dashed\"" : "");
}

static void draw_leaf(picture *d, uint32_t i)
{
    static const char *const style[] = { [PARAM] = "shape=box3d, fillcolor=lightblue",
                                         [INPUT] = "fillcolor=lightgrey",
                                         [GRADIENT] = "shape=box3d, fillcolor=mistyrose",
                                         [OUTPUT] = "peripheries=2, fillcolor=white",
                                         [NEXT] = "peripheries=2, fillcolor=lightgrey" };
    static const char *const prefix[] = {
        [PARAM] = "", [INPUT] = "", [GRADIENT] = "gradient of ", [OUTPUT] = "", [NEXT] = "next "
    };
    char name[LABEL];
    const picture_node *n = &d->node[i];
    tl_dot_escape(name, sizeof name, n->name, strlen(n->name));
    tl_text_add(&d->out, "  n%u [label=\"%s%s\", %s];\n", i, prefix[n->kind], name, style[n->kind]);
}

static void draw(picture *d)
{
    for (uint32_t u = 0; u < d->n_unit; u++) {
        const unit *one = &d->unit[u];
        const bool fused = one->calls > 1;
        if (fused) tl_text_add(&d->out, "  subgraph cluster_%u {\n  label=\"fused\"; style=\"rounded\";\n", u);
        for (uint32_t i = 0; i < one->calls; i++) draw_call(d, one->first + i, one->times);
        if (fused) tl_text_add(&d->out, "  }\n");
    }
    for (uint32_t i = 0; i < d->n_node; i++)
        if (d->node[i].kind != CALL) draw_leaf(d, i);
    for (uint32_t i = 0; i < d->n_edge; i++) {
        const edge *e = &d->edge[i];
        tl_text_add(&d->out, "  n%u -> n%u", e->from, e->to);
        if (e->times > 1) tl_text_add(&d->out, " [label=\"%u\"]", e->times);
        tl_text_add(&d->out, ";\n");
    }
}

char *tl_plan_dot(const tl_plan *p)
{
    picture d = { .plan = p };
    collect(&d);
    collect_values(&d, OUTPUT, p->output, p->n_output);
    collect_values(&d, NEXT, p->next, p->n_next);
    collect_gradients(&d);
    tl_text_add(&d.out, "digraph plan {\n  node [shape=box, style=filled, fontname=\"monospace\"];\n");
    if (!d.failed) draw(&d);
    tl_text_add(&d.out, "}\n");
    d.out.failed |= d.failed;
    tl_table *tables[] = { &d.units, &d.leaves, &d.edges };
    for (int i = 0; i < 3; i++) tl_table_free(tables[i]);
    for (int i = 0; i < 3; i++) TL_RELEASE(d.written[i].span, d.written[i].cap);
    TL_RELEASE(d.node, d.cap_node);
    TL_RELEASE(d.unit, d.cap_unit);
    TL_RELEASE(d.edge, d.cap_edge);
    return tl_text_take(&d.out);
}
