/* graph/passes/cse.c - common subexpressions are computed once, and what nobody asks for not at all.
 *
 * Legal because a node's value is a function of its operation, attributes and operands: leaves say in their attributes what
 * they are (a parameter's or input's number, a state's, a constant's numbers), random numbers carry their key. Exempt are
 * taps, which are calls, and a user's opaque operations, of which nothing is assumed. Merging happens at compile
 * time, when no handle is asked for its gradient any more. */
#include "graph/passes/passes.h"

static bool cse(tl_rewrite *w)
{
    for (uint32_t i = 1; i < w->from->n; i++) {
        const uint32_t before = w->to->n;
        const tl_node *node = &w->from->node[i];
        if (w->live[i] && !(w->map[i] = tl_rewrite_node(w, i))) return false;
        if (!w->live[i] && node->n_in) tl_rewrite_note(w, node, "# operations that nothing asks for left out", 1);
        if (w->live[i] && node->n_in && w->to->n == before) tl_rewrite_note(w, node, "# operations computed before", 1);
    }
    return true;
}

const tl_pass tl_pass_cse = { "cse", cse };
