/* graph/dump.c - a tape and a plan to look at: as text, a line for each operation, and as a Graphviz graph. */
#include <stdio.h>
#include <string.h>

#include "graph/look.h"

enum { LABEL = 512 };

/* ---- words that text and graph share ---------------------------------------------------------------------------- */

static void type_words(char out[static 96], const tl_shape *s)
{
    const int n = snprintf(out, 96, "%s ", tl_dtype_name(s->dtype));
    tl_shape_print(out + n, 96 - (size_t)n, s);
}

/* What a leaf is called: its path; NULL for all other nodes. */
static const char *leaf_name(const tl_tape *t, const tl_node *node)
{
    const tl_index_attr *a = node->attr;
    switch (node->op->role) {
    case TL_ROLE_INPUT: return t->input_name[a->index];
    case TL_ROLE_PARAM: return t->param[a->index].path;
    case TL_ROLE_STATE:
    case TL_ROLE_FRESH: return t->state[a->index].name;
    case TL_ROLE_TAP: return ((const tl_tap_attr *)node->attr)->path;
    default: return NULL;
    }
}

/* The attributes that the engine knows, by role: " axis 0 from 2 to 3". */
static void attribute_words(char out[static 128], const tl_node *node)
{
    const void *a = node->attr;
    *out = 0;
    if (node->op->role == TL_ROLE_FILL) {
        snprintf(out, 128, " %g", ((const tl_fill_attr *)a)->value);
    } else if (node->op->role == TL_ROLE_SLICE) {
        const tl_slice_attr *s = a;
        snprintf(out, 128, " axis %lld from %lld to %lld", (long long)s->axis, (long long)s->begin, (long long)s->end);
    } else if (node->op->role == TL_ROLE_CONCAT) {
        snprintf(out, 128, " axis %lld", (long long)((const tl_concat_attr *)a)->axis);
    } else if (node->op->role == TL_ROLE_TRANSPOSE) {
        int at = snprintf(out, 128, " axes");
        for (int i = 0; i < node->shape.rank; i++)
            at += snprintf(out + at, 128 - (size_t)at, " %lld", (long long)((const tl_permute_attr *)a)->order[i]);
    } else if (node->op->role == TL_ROLE_PRODUCT) {
        const tl_product_attr *p = a;
        snprintf(out, 128, "%s%s%s", p->ta ? " ta" : "", p->tb ? " tb" : "", p->packed ? " packed" : "");
    } else if (node->op->role == TL_ROLE_SUM) {
        const tl_sum_attr *s = a;
        snprintf(out, 128, " axes %lld to %lld", (long long)s->axis_begin, (long long)s->axis_end);
    }
}

/* ---- the tape as text --------------------------------------------------------------------------------------- */

static void node_line(tl_text *out, const tl_tape *t, uint32_t i)
{
    const tl_node *node = &t->node[i];
    char type[96], attribute[128], where[LABEL];
    type_words(type, &node->shape);
    attribute_words(attribute, node);
    tl_place_print(where, sizeof where, node->at, node->caller, node->scope->path, node->scope->visit);
    tl_text_add(out, "%%%u = %s%s", i, node->op->name, attribute);
    const char *name = leaf_name(t, node);
    if (name) tl_text_add(out, " \"%s\"", name);
    for (uint32_t k = 0; k < node->n_in; k++) {
        const uint32_t id = tl_node_in(t, node, k);
        if (id) tl_text_add(out, " %%%u", id);
        else tl_text_add(out, " none");
    }
    tl_text_add(out, " : %s", type);
    if (node->differentiates) tl_text_add(out, " (gradient of %%%u)", node->differentiates);
    tl_text_add(out, "  %s\n", where);
}

static void mark_lines(tl_text *out, const char *what, const tl_tape_mark *mark, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        char where[LABEL];
        tl_place_print(where, sizeof where, mark[i].at, TL_NOWHERE, NULL, mark[i].visit);
        tl_text_add(out, "%s \"%s\" = %%%u  %s\n", what, mark[i].name, mark[i].id, where);
    }
}

char *tl_tape_text(const tl_tape *t)
{
    tl_text out = { 0 };
    tl_text_add(&out, "tape of %u operations, %u parameters, %s\n", t->n ? t->n - 1 : 0, t->n_param,
                tl_dtype_name(t->model->dtype));
    for (uint32_t i = 1; i < t->n; i++) node_line(&out, t, i);
    mark_lines(&out, "output", t->output, t->n_output);
    mark_lines(&out, "emit", t->emit, t->n_emit);
    mark_lines(&out, "next", t->next, t->n_next);
    for (uint32_t i = 0; i < t->n_gradient; i++)
        tl_text_add(&out, "gradient \"%s\" = %%%u\n", t->param[t->gradient[i].param].path, t->gradient[i].id);
    if (t->status) tl_text_add(&out, "error: %s\n", t->message);
    return tl_text_take(&out);
}

/* ---- the tape as a Graphviz graph: clusters within clusters, for scopes and for their visits --------------------- */

typedef struct tl_cluster {
    char label[LABEL];
    bool visit;
    uint32_t first_child, last_child, next_sibling, first_node; /* 0: none; clusters count from 1, 0 is the graph */
} tl_cluster;

typedef struct tl_drawing {
    const tl_tape *tape;
    tl_text out;
    tl_cluster *cluster;
    uint32_t n, cap;
    uint32_t *next_node; /* node -> the next of its cluster */
    tl_table known;      /* (parent, label) -> cluster */
    bool failed;
} tl_drawing;

/* Control characters would be legal there but make no label. */
void tl_dot_escape(char *out, size_t size, const char *s, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n && k + 3 < size; i++) {
        if (s[i] == '"' || s[i] == '\\') out[k++] = '\\';
        out[k++] = (unsigned char)s[i] < ' ' ? '?' : s[i];
    }
    out[k] = 0;
}

static uint32_t child(tl_drawing *d, uint32_t parent, const char *label, bool visit)
{
    uint64_t *slot = tl_table_put(&d->known, parent, tl_hash(visit, label, strlen(label)), 0);
    if (slot && *slot) return (uint32_t)*slot;
    if (!slot || !TL_GROW(d->cluster, d->n, d->cap)) return d->failed = true, 0;
    tl_cluster *c = &d->cluster[d->n];
    *c = (tl_cluster){ .visit = visit };
    memcpy(c->label, label, strlen(label) + 1);
    tl_cluster *p = &d->cluster[parent];
    if (p->first_child) d->cluster[p->last_child].next_sibling = d->n;
    else p->first_child = d->n;
    p->last_child = d->n;
    *slot = d->n;
    return d->n++;
}

/* The visits at exactly this path, from the outermost in. */
static uint32_t visits_at(tl_drawing *d, uint32_t at, const tl_visit *v, const char *path, size_t n)
{
    if (!v || v->kind == TL_VISIT_ROOT) return at;
    at = visits_at(d, at, v->parent, path, n);
    if (strlen(v->path) != n || memcmp(v->path, path, n)) return at;
    char label[64];
    snprintf(label, sizeof label, "%s %lld", v->kind == TL_VISIT_STEP ? "step" : "again", (long long)v->index);
    return d->failed ? 0 : child(d, at, label, true);
}

/* "encoder/mgu" visited at step 3 of encoder: encoder, step 3, mgu. */
static uint32_t cluster_of(tl_drawing *d, const tl_scope *s)
{
    uint32_t at = visits_at(d, 0, s->visit, "", 0);
    for (const char *p = s->path; *p && !d->failed;) {
        const size_t n = strcspn(p, "/");
        char label[LABEL];
        tl_dot_escape(label, sizeof label, p, n);
        at = child(d, at, label, false);
        p += n;
        if (!d->failed) at = visits_at(d, at, s->visit, s->path, (size_t)(p - s->path));
        p += *p == '/';
    }
    return at;
}

/* Parameters and inputs stand out, what a gradient rule has recorded too; an output has a double border. */
static const char *node_style(const tl_tape *t, const tl_node *node, uint32_t i)
{
    for (uint32_t k = 0; k < t->n_output; k++)
        if (t->output[k].id == i) return node->differentiates ? "fillcolor=mistyrose, peripheries=2" : "peripheries=2";
    if (node->op->role == TL_ROLE_PARAM) return "shape=box3d, fillcolor=lightblue";
    if (node->op->cls == TL_LEAF) return "fillcolor=lightgrey";
    return node->differentiates ? "fillcolor=mistyrose, style=\"filled,dashed\"" : "fillcolor=white";
}

static void draw_node(tl_drawing *d, uint32_t i, int depth)
{
    const tl_tape *t = d->tape;
    const tl_node *node = &t->node[i];
    char type[96], attribute[128], where[LABEL], tip[LABEL], op[96], name[LABEL] = "";
    type_words(type, &node->shape);
    attribute_words(attribute, node);
    tl_place_print(where, sizeof where, node->at, node->caller, node->scope->path, node->scope->visit);
    tl_dot_escape(tip, sizeof tip, where, strlen(where));
    tl_dot_escape(op, sizeof op, node->op->name, strlen(node->op->name));
    const char *leaf = leaf_name(t, node);
    if (leaf) tl_dot_escape(name, sizeof name, leaf, strlen(leaf));
    tl_text_add(&d->out, "%*sn%u [label=\"%s%s%s%s\\n%s\", tooltip=\"%s\", %s];\n", 2 * depth, "", i, op, attribute,
                *name ? "\\n" : "", name, type, tip, node_style(t, node, i));
}

static void draw_cluster(tl_drawing *d, uint32_t at, int depth)
{
    for (uint32_t i = d->cluster[at].first_node; i; i = d->next_node[i]) draw_node(d, i, depth);
    for (uint32_t c = d->cluster[at].first_child; c; c = d->cluster[c].next_sibling) {
        tl_text_add(&d->out, "%*ssubgraph cluster_%u {\n%*slabel=\"%s\"; style=\"%s\";\n", 2 * depth, "", c,
                    2 * depth + 2, "", d->cluster[c].label, d->cluster[c].visit ? "dashed" : "rounded");
        draw_cluster(d, c, depth + 1);
        tl_text_add(&d->out, "%*s}\n", 2 * depth, "");
    }
}

static void draw_edges(tl_drawing *d)
{
    const tl_tape *t = d->tape;
    for (uint32_t i = 1; i < t->n; i++)
        for (uint32_t k = 0; k < t->node[i].n_in; k++)
            if (tl_node_in(t, &t->node[i], k))
                tl_text_add(&d->out, "  n%u -> n%u;\n", tl_node_in(t, &t->node[i], k), i);
    for (uint32_t i = 0; i < t->n_next; i++)
        tl_text_add(&d->out, "  n%u -> n%u [style=dotted, constraint=false, label=\"next run\"];\n", t->next[i].id,
                    t->state[t->next[i].state].carried);
}

char *tl_tape_dot(const tl_tape *t)
{
    tl_drawing d = { .tape = t, .n = 1 };
    const size_t bytes = (t->n + 1) * sizeof *d.next_node;
    d.next_node = tl_resize(NULL, 0, bytes);
    d.failed = !d.next_node || !TL_GROW(d.cluster, 0, d.cap);
    if (!d.failed) d.cluster[0] = (tl_cluster){ .label = "" };
    for (uint32_t i = 1; i < t->n && !d.failed; i++) d.next_node[i] = cluster_of(&d, t->node[i].scope);
    for (uint32_t i = t->n; i-- > 1 && !d.failed;) { /* backwards, so that lists come out in order */
        const uint32_t c = d.next_node[i];
        d.next_node[i] = d.cluster[c].first_node;
        d.cluster[c].first_node = i;
    }
    tl_text_add(&d.out, "digraph tape {\n  node [shape=box, style=filled, fontname=\"monospace\"];\n");
    if (!d.failed) draw_cluster(&d, 0, 1);
    if (!d.failed) draw_edges(&d);
    tl_text_add(&d.out, "}\n");
    d.out.failed |= d.failed;
    tl_table_free(&d.known);
    TL_RELEASE(d.cluster, d.cap);
    tl_resize(d.next_node, bytes, 0);
    return tl_text_take(&d.out);
}

/* ---- the plan as text --------------------------------------------------------------------------------------- */

const tl_param_info *tl_param_at(const tl_plan *p, tl_ref ref)
{
    const int64_t at = ref.offset / (int64_t)tl_dtype_size(p->model->dtype);
    if (ref.base != TL_BASE_VALUES && ref.base != TL_BASE_GRADIENTS) return NULL;
    for (uint32_t i = 0; i < p->model->n_param; i++) {
        const tl_param_info *q = &p->model->param[i];
        if (q->size && at >= q->offset && at < q->offset + q->size) return q;
    }
    return NULL;
}

/* Where an operand lies. Constants lie in the plan itself, so their address says nothing; their first value does. */
static void address(tl_text *out, const tl_plan *p, tl_ref ref, tl_dtype dtype, bool empty)
{
    if (ref.base == TL_BASE_NONE) {
        tl_text_add(out, "none");
    } else if (ref.base == TL_BASE_ARENA) {
        tl_text_add(out, "arena+%lld", (long long)ref.offset);
    } else if (ref.base == TL_BASE_CONSTS) {
        if (empty) tl_text_add(out, "consts");
        else tl_text_add(out, "consts(%g...)", tl_read(p->consts + ref.offset, dtype, 0));
    } else if (ref.base == TL_BASE_KEPT) {
        const uint32_t k = tl_kept_at(p, ref);
        if (k < p->n_kept) tl_text_add(out, "kept %u", k);
        else tl_text_add(out, "kept");
    } else if (ref.base >= TL_BASE_INPUTS) {
        tl_text_add(out, "input %u+%lld", ref.base - TL_BASE_INPUTS, (long long)ref.offset);
    } else {
        const tl_param_info *q = tl_param_at(p, ref);
        tl_text_add(out, "%s+%lld(%s)", ref.base == TL_BASE_VALUES ? "values" : "gradients", (long long)ref.offset,
                    q ? q->name : "");
    }
}

void tl_dims_text(tl_text *out, const tl_desc *d)
{
    tl_text_add(out, "[");
    for (int a = 0; a < d->rank; a++) tl_text_add(out, "%s%lld", a ? "," : "", (long long)d->dim[a]);
    tl_text_add(out, "]");
}

static void call_text(tl_text *out, const tl_kernel_call *c)
{
    tl_desc d;
    tl_text_add(out, "%s ", c->op->name);
    for (uint32_t k = 0; k <= c->n_in && k < 4; k++) {
        if (k) tl_text_add(out, k == 1 ? " <- " : " ");
        tl_call_operand(c, k, &d);
        if (d.dtype) tl_dims_text(out, &d);
        else tl_text_add(out, "none");
        if (k && k < 3 && tl_call_transposes(c, (int)k - 1)) tl_text_add(out, "T");
    }
    if (c->n_in > 3) tl_text_add(out, " ...");
}

void tl_instr_text(tl_text *out, const tl_plan *p, uint32_t k)
{
    enum { NAMES = 6 };
    const tl_fused *f = p->instr[k].fused;
    tl_kernel_call c = tl_calls_of(p, k);
    if (!f) {
        if (tl_next_call(p, &c)) call_text(out, &c);
        return;
    }
    tl_text_add(out, "%u fused, %lld rows:", f->n_members, (long long)f->rows);
    for (uint32_t i = 0; i < f->n_members && i < NAMES; i++) tl_text_add(out, " %s", f->member[i].op->name);
    if (f->n_members > NAMES) tl_text_add(out, " ...");
}

static bool is_empty(const tl_desc *d)
{
    for (int a = 0; a < d->rank; a++)
        if (!d->dim[a]) return true;
    return false;
}

/* " [32,64]", with the strides where they are not those of a dense array. */
static void layout(tl_text *out, const tl_desc *d)
{
    bool dense = true;
    int64_t stride = 1;
    for (int a = d->rank - 1; a >= 0; stride *= d->dim[a--]) dense &= d->stride[a] == stride;
    tl_text_add(out, " ");
    tl_dims_text(out, d);
    for (int a = 0; a < d->rank && !dense; a++)
        tl_text_add(out, "%s%lld", a ? "," : " strides ", (long long)d->stride[a]);
}

static void place_words(char out[static LABEL], const tl_plan *p, uint32_t place)
{
    const tl_plan_place *at = &p->place[place];
    tl_place_print(out, LABEL, at->at, at->caller, at->path, at->visit);
}

/* Its operands are numbered, and so are values that live in tiles only. */
static void fused_lines(tl_text *out, const tl_plan *p, uint32_t k)
{
    const tl_instr *in = &p->instr[k];
    const tl_fused *f = in->fused;
    tl_text_add(out, "%u: fused, %u operations on %lld rows, %lld at a time; work arena+%lld\n", k, f->n_members,
                (long long)f->rows, (long long)f->tile, (long long)in->work);
    for (uint32_t i = 0; i < f->n_memory; i++) {
        tl_text_add(out, "    %%%u = ", i);
        address(out, p, in->ref[1 + i], in->desc[1 + i].dtype, is_empty(&in->desc[1 + i]));
        layout(out, &in->desc[1 + i]);
        tl_text_add(out, "%s\n", f->use[i].written ? ", written" : "");
    }
    for (const tl_member *m = f->member; m < f->member + f->n_members; m++) {
        char where[LABEL];
        place_words(where, p, m->place);
        tl_text_add(out, "    %%%u = %s %s", m->at[0], m->op->name, tl_dtype_name(m->desc[0]->dtype));
        for (uint32_t i = 1; i <= m->n_in; i++)
            if (m->at[i] != UINT16_MAX) tl_text_add(out, " %%%u", m->at[i]);
        tl_text_add(out, "  %s\n", where);
    }
}

static void instruction_line(tl_text *out, const tl_plan *p, uint32_t k)
{
    const tl_instr *in = &p->instr[k];
    char where[LABEL];
    if (in->fused) {
        fused_lines(out, p, k);
        return;
    }
    place_words(where, p, in->place);
    tl_text_add(out, "%u: %s %s ", k, in->op->name, tl_dtype_name(in->desc->dtype));
    for (uint32_t i = 0; i <= in->n_in; i++) {
        if (i) tl_text_add(out, i == 1 ? " <- " : ", ");
        address(out, p, in->ref[i], in->desc[i].dtype, is_empty(&in->desc[i]));
        if (in->desc[i].dtype) layout(out, &in->desc[i]);
    }
    if (in->work >= 0) tl_text_add(out, "; work arena+%lld", (long long)in->work);
    tl_text_add(out, "  %s\n", where);
}

/* What is no part of a run. */
static void kept_line(tl_text *out, const tl_plan *p, uint32_t k)
{
    const tl_kept *v = p->kept[k];
    tl_text_add(out, "kept %u: %s, %zu bytes", k, v->op ? v->op->name : "constant", v->size);
    for (uint32_t i = 0; i < v->n_in; i++) {
        tl_text_add(out, i ? ", " : " <- ");
        address(out, p, v->ref[i], v->desc[1 + i].dtype, is_empty(&v->desc[1 + i]));
        if (v->desc[1 + i].dtype) layout(out, &v->desc[1 + i]);
    }
    tl_text_add(out, "\n");
}

static void value_lines(tl_text *out, const tl_plan *p, const char *what, const tl_plan_value *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        char type[96];
        type_words(type, &v[i].shape);
        tl_text_add(out, "%s \"%s\" : %s  ", what, v[i].name, type);
        address(out, p, v[i].ref, v[i].shape.dtype, !tl_shape_size(&v[i].shape));
        tl_text_add(out, "\n");
    }
}

char *tl_plan_text(const tl_plan *p)
{
    tl_text out = { 0 };
    int64_t gradients = 0;
    for (uint32_t i = 0; i < p->n_range; i++) gradients += p->range[i].end - p->range[i].begin;
    tl_text_add(&out, "plan of %u instructions, %zu bytes of arena, %u inputs, %u outputs, %lld gradients\n",
                p->n_instr, p->arena_bytes, p->n_input, p->n_output, (long long)gradients);
    for (uint32_t i = 0; i < p->n_input; i++) {
        char type[96];
        tl_shape s = { .dtype = p->input[i].dtype, .rank = p->input[i].rank };
        memcpy(s.dim, p->input[i].dim, sizeof s.dim);
        type_words(type, &s);
        tl_text_add(&out, "input %u \"%s\" : %s\n", i, p->input_name[i], type);
    }
    for (uint32_t k = 0; k < p->n_kept; k++) kept_line(&out, p, k);
    for (uint32_t k = 0; k < p->n_instr; k++) instruction_line(&out, p, k);
    value_lines(&out, p, "output", p->output, p->n_output);
    value_lines(&out, p, "next", p->next, p->n_next);
    return tl_text_take(&out);
}
