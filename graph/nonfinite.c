/* graph/nonfinite.c - where a NaN or an infinity comes from: the recorded operations, one by one, and back from the result. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/tape.h"

/* What a value holds, the worst of it. */
typedef enum trouble { NOT_LOOKED, FINITE, INFINITE, NOT_A_NUMBER } trouble;

typedef struct search {
    tl_tape *t;
    uint8_t *found; /* of each node, as far as looked at */
    bool *on_a_way; /* from here the trouble came to the result */
    uint32_t n;
} search;

static trouble look(search *s, uint32_t id)
{
    if (s->found[id]) return s->found[id];
    const tl_shape *shape = &s->t->node[id].shape;
    const int64_t n = shape->dtype == TL_I32 ? 0 : tl_shape_size(shape);
    trouble worst = FINITE;
    for (int64_t i = 0; i < n && worst < NOT_A_NUMBER; i++) {
        const double x = tl_read(s->t->value[id], shape->dtype, i);
        if (!isfinite(x)) worst = isnan(x) ? NOT_A_NUMBER : INFINITE;
    }
    return s->found[id] = (uint8_t)worst;
}

/* Made of nothing that could be to blame: written down. */
static bool is_constant(const tl_node *node)
{
    const int role = node->op->role;
    return !node->n_in && role != TL_ROLE_PARAM && role != TL_ROLE_INPUT && role != TL_ROLE_STATE &&
           role != TL_ROLE_FRESH;
}

/* Goes back from what is marked: of an operation's operands those with the worst trouble are to blame (constants apart: an
 * infinity is written down on purpose). Returns the first operation that has it of none; 0: there is no trouble. */
static uint32_t origin(search *s)
{
    uint32_t first = 0;
    for (uint32_t i = s->n - 1; i; i--) {
        if (!s->on_a_way[i]) continue;
        const tl_node *node = &s->t->node[i];
        trouble worst = FINITE;
        for (int pass = 0; pass < 2; pass++)
            for (uint32_t k = 0; k < node->n_in; k++) {
                const uint32_t in = tl_node_in(s->t, node, k);
                if (!in || is_constant(&s->t->node[in])) continue;
                const trouble has = look(s, in);
                if (pass) s->on_a_way[in] |= has == worst && worst > FINITE;
                else if (has > worst) worst = has;
            }
        if (worst == FINITE) first = i;
    }
    return first;
}

static void print_origin(const search *s, uint32_t id, char *out, size_t size)
{
    const tl_tape *t = s->t;
    const tl_node *node = &t->node[id];
    const char *what = s->found[id] == NOT_A_NUMBER ? "NaN" : "infinity";
    const int64_t index = node->op->role == TL_ROLE_PARAM || node->op->role == TL_ROLE_INPUT ||
                                  node->op->role == TL_ROLE_STATE
                              ? ((const tl_index_attr *)node->attr)->index
                              : 0;
    char where[512];
    tl_place_print(where, sizeof where, node->at, node->caller, node->scope->path, node->scope->visit);
    switch (node->op->role) {
    case TL_ROLE_PARAM: snprintf(out, size, "there is %s in parameter %s", what, t->param[index].path); break;
    case TL_ROLE_INPUT: snprintf(out, size, "there is %s in input %s", what, t->input_name[index]); break;
    case TL_ROLE_STATE: snprintf(out, size, "there is %s in state %s", what, t->state[index].name); break;
    default:
        if (node->differentiates)
            snprintf(out, size, "first %s in %s, of the gradient of %s at %s", what, node->op->name,
                     t->node[node->differentiates].op->name, where);
        else snprintf(out, size, "first %s in %s at %s", what, node->op->name, where);
    }
}

bool tl_find_nonfinite(tl_tape *t, tl_tensor x, char *out, size_t size)
{
    const uint32_t root = tl_absent(x) ? 0 : tl_node_of(x) ? x.id : 0;
    search s = { .t = t, .n = t ? t->n : 0 };
    if (!t || t->status) return false;
    s.found = tl_resize(NULL, 0, s.n);
    s.on_a_way = tl_resize(NULL, 0, s.n * sizeof *s.on_a_way);
    if (s.found && s.on_a_way) {
        memset(s.found, NOT_LOOKED, s.n);
        memset(s.on_a_way, 0, s.n * sizeof *s.on_a_way);
        for (uint32_t i = 0; i < (root ? 1 : t->n_gradient) && !t->status; i++) {
            const uint32_t id = root ? root : t->gradient[i].id;
            if (tl_node_value(t, id)) s.on_a_way[id] = look(&s, id) > FINITE;
        }
    }
    const uint32_t first = s.found && s.on_a_way && !t->status ? origin(&s) : 0;
    if (first) print_origin(&s, first, out, size);
    tl_resize(s.found, s.n, 0);
    tl_resize(s.on_a_way, s.n * sizeof *s.on_a_way, 0);
    return first;
}
