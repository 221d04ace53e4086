/* graph/passes/schedule.c - an order in which elementwise and row-wise operations stand together, so that they can run tile
 * by tile (fuse.c): first all products and the like that are ready, then all of those that are ready then, and so on.
 *
 * Any order in which operands come before what uses them computes the same bits. Taps are calls and keep their order.
 * Nothing is moved up from farther than WINDOW operations ahead: what a tape does one after the other would otherwise
 * all lie in memory at once. */
#include "graph/passes/passes.h"

enum { WINDOW = 96 };

typedef enum kind { OTHER, BY_ROWS, KINDS } kind;

static bool ready(const tl_rewrite *w, uint32_t i)
{
    const tl_node *n = &w->from->node[i];
    for (uint32_t k = 0; k < n->n_in; k++) {
        const uint32_t id = tl_node_in(w->from, n, k);
        if (id && !TL_LEGAL(SCHEDULE_READY, w->map[id])) return false;
    }
    return true;
}

static bool is_free(const tl_tape *t, uint32_t i)
{
    tl_part part;
    return t->node[i].op->role != TL_ROLE_TAP && tl_part_of(t, &t->node[i], &part);
}

static kind kind_of(const tl_tape *t, uint32_t i)
{
    return tl_by_rows(t, &t->node[i]) || tl_adds_rows(t, &t->node[i]) ? BY_ROWS : OTHER;
}

/* Emits what is ready among nodes begin..end-1 and of this kind, in order, and views with it. */
static bool sweep(tl_rewrite *w, uint32_t begin, uint32_t end, kind k)
{
    const tl_tape *t = w->from;
    bool tap_waits = false;
    for (uint32_t i = begin; i < end; i++) {
        const bool tap = t->node[i].op->role == TL_ROLE_TAP;
        if (!w->live[i] || w->map[i]) continue;
        const bool now = (is_free(t, i) || kind_of(t, i) == k) && ready(w, i) &&
                         TL_LEGAL(SCHEDULE_CALLS, !(tap && tap_waits));
        tap_waits |= tap && !now;
        if (now && !(w->map[i] = tl_rewrite_node(w, i))) return false;
    }
    return true;
}

/* The first that is left is always ready, so each sweep of its kind gets on. */
static bool order(tl_rewrite *w)
{
    const uint32_t n = w->from->n;
    kind k = OTHER;
    for (uint32_t begin = 1; begin < n;) {
        if (!w->live[begin] || w->map[begin]) {
            begin++;
            continue;
        }
        if (!sweep(w, begin, begin + WINDOW < n ? begin + WINDOW : n, k)) return false;
        k = (k + 1) % KINDS;
    }
    return true;
}

const tl_pass tl_pass_schedule = { "schedule", order };
