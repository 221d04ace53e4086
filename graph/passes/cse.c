/* graph/passes/cse.c - common subexpressions are computed once, and what nobody asks for not at all.
 *
 * Legal because a node's value is a function of its operation, attributes and operands: leaves say in their attributes what
 * they are (a parameter's or input's number, a state's, a constant's numbers), random numbers carry their key. Exempt are
 * taps, which are calls, and a user's opaque operations, of which nothing is assumed. Merging happens at compile
 * time, when no handle is asked for its gradient any more. */
#include "graph/passes/passes.h"

static void mark(const tl_tape *t, bool *live)
{
    for (uint32_t i = 0; i < t->n_output; i++) live[t->output[i].id] = true;
    for (uint32_t i = 0; i < t->n_next; i++) live[t->next[i].id] = true;
    for (uint32_t i = 0; i < t->n_gradient; i++) live[t->gradient[i].id] = true;
    for (uint32_t i = 0; i < t->n_tap; i++) live[t->tap[i]] = true;
    for (uint32_t i = t->n - 1; i; i--)
        for (uint32_t k = 0; live[i] && k < t->node[i].n_in; k++) live[tl_node_in(t, &t->node[i], k)] = true;
    live[0] = false;
}

static bool cse(tl_rewrite *w)
{
    const uint32_t n = w->from->n;
    bool *live = tl_resize(NULL, 0, n);
    if (!live) return false;
    for (uint32_t i = 0; i < n; i++) live[i] = false;
    mark(w->from, live);
    bool well = true;
    for (uint32_t i = 1; i < n && well; i++)
        if (live[i]) well = (w->map[i] = tl_rewrite_node(w, i)) != 0;
    tl_resize(live, n, 0);
    return well;
}

const tl_pass tl_pass_cse = { "cse", cse };
