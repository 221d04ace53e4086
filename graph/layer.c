/* graph/layer.c - the layers of a tape: the scopes that make up a summary, what they give and what they learn. */
#include <string.h>

#include "graph/tape.h"

tl_tensor tl_scope_layer(tl_scope *s, const char *kind, tl_tensor y)
{
    const tl_node *node = tl_node_of(y);
    if (!tl_alive(s) || !kind || !node || y.tape != s->tape) return y;
    tl_tape *t = s->tape;
    for (uint32_t i = 0; i < t->n_layer; i++)
        if (t->layer[i].path == s->path) return y; /* interned */
    if (!TL_GROW(t->layer, t->n_layer, t->cap_layer)) return tl_no_memory(t);
    t->layer[t->n_layer++] = (tl_tape_layer){ s->path, kind, y.id };
    return y;
}

/* ---- which layer a path belongs to -------------------------------------------------------------------------------- */

/* A layer on its way: its path is part of another, and where it begins decides its place in the list. */
typedef struct row {
    tl_layer_info info;
    size_t length;
    uint32_t begin;
} row;

typedef struct rows {
    row *row; /* room for one of each layer, parameter and state of the tape */
    int n;
} rows;

static bool inside(const char *path, const char *scope)
{
    const size_t n = strlen(scope);
    return !strncmp(path, scope, n) && (!n || !path[n] || path[n] == '/');
}

/* The outermost scope around path that is known as a layer; NULL: none is. */
static const tl_tape_layer *layer_around(const tl_tape *t, const char *path)
{
    const tl_tape_layer *best = NULL;
    for (uint32_t i = 0; i < t->n_layer; i++) {
        const tl_tape_layer *l = &t->layer[i];
        if (inside(path, l->path) && (!best || strlen(l->path) < strlen(best->path))) best = l;
    }
    return best;
}

/* The layer of what is made in scope `path` by this node. */
static tl_layer_info *enter(rows *r, const tl_tape *t, const char *path, uint32_t node)
{
    const tl_tape_layer *l = layer_around(t, path);
    row w = { { .path = path, .kind = "" }, strcspn(path, "/"), node };
    if (l) w = (row){ { l->path, l->kind, .output = t->node[l->output].shape }, strlen(l->path), l->output };
    int i = 0;
    while (i < r->n && (r->row[i].length != w.length || strncmp(r->row[i].info.path, w.info.path, w.length))) i++;
    if (i < r->n) return &r->row[i].info;
    for (i = r->n++; i && r->row[i - 1].begin > w.begin; i--) r->row[i] = r->row[i - 1];
    r->row[i] = w;
    return &r->row[i].info;
}

/* ---- the list ----------------------------------------------------------------------------------------------------- */

static void collect(rows *r, const tl_tape *t)
{
    for (uint32_t i = 0; i < t->n_layer; i++) enter(r, t, t->layer[i].path, t->layer[i].output);
    for (uint32_t i = 0; i < t->n_param; i++) {
        const tl_tape_param *p = &t->param[i];
        tl_layer_info *info = enter(r, t, t->node[p->id].scope->path, p->id);
        *(p->frozen ? &info->frozen : &info->trainable) += tl_shape_size(&p->shape);
    }
    for (uint32_t i = 0; i < t->n_state; i++) {
        const uint32_t id = t->state[i].carried;
        if (t->state[i].in_model) enter(r, t, t->node[id].scope->path, id)->states += tl_shape_size(&t->state[i].shape);
    }
}

/* The rows and their paths, in one block. */
static tl_layer_info *packed(const rows *r)
{
    size_t bytes = (size_t)r->n * sizeof(tl_layer_info) + 1;
    for (int i = 0; i < r->n; i++) bytes += r->row[i].length + 1;
    tl_layer_info *out = (void *)tl_text_alloc(bytes);
    if (!out) return NULL;
    char *text = (char *)(out + r->n);
    for (int i = 0; i < r->n; i++) {
        out[i] = r->row[i].info;
        out[i].path = memcpy(text, out[i].path, r->row[i].length);
        text[r->row[i].length] = 0;
        text += r->row[i].length + 1;
    }
    return out;
}

tl_layer_info *tl_tape_layers(const tl_tape *t, int *n)
{
    if (n) *n = 0;
    if (!t || !n) return tl_report(TL_E_ARGUMENT, "tl_tape_layers: a tape and a place for the number are needed"), NULL;
    const size_t bytes = ((size_t)t->n_layer + t->n_param + t->n_state + 1) * sizeof(row);
    rows r = { .row = tl_resize(NULL, 0, bytes) };
    if (r.row) collect(&r, t);
    tl_layer_info *out = r.row ? packed(&r) : NULL;
    if (out) *n = r.n;
    else tl_report(TL_E_MEMORY, "tl_tape_layers: out of memory");
    tl_resize(r.row, bytes, 0);
    return out;
}
