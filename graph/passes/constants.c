/* graph/passes/constants.c - what is made of constants alone is computed once, at compile time.
 *
 * Legal because a node's value is a function of its operation, attributes and operands, and it is computed here by the very
 * kernel, under the very rounding, that a run would use. Random numbers depend on the run, taps are calls, and nothing is
 * assumed of a user's opaque operations: they stay. So does what would be large, and what fails: a run reports it. */
#include "graph/denormals.h"
#include "graph/passes/passes.h"

#include <string.h>

enum { MAX_BYTES = 1 << 20 };

static size_t bytes_of(const tl_node *n) { return (size_t)tl_shape_size(&n->shape) * tl_dtype_size(n->shape.dtype); }

/* Is n, which has no operands, the same in every run? */
static bool is_fixed(const tl_node *n)
{
    return n->op->role == TL_ROLE_CONST || TL_LEGAL(CONST_LEAF, n->op->id && n->op->cls == TL_LEAF);
}

static bool computable(const tl_tape *t, const tl_node *n, const uint32_t *in)
{
    bool fixed = n->n_in > 0 && TL_LEGAL(CONST_RANDOM, n->op->cls != TL_RANDOM) && n->op->role != TL_ROLE_TAP &&
                 TL_LEGAL(CONST_OPAQUE, n->op->id || n->op->cls != TL_OPAQUE) && bytes_of(n) <= MAX_BYTES;
    for (uint32_t k = 0; fixed && k < n->n_in; k++)
        fixed = !in[k] || (is_fixed(&t->node[in[k]]) && bytes_of(&t->node[in[k]]) <= MAX_BYTES);
    return fixed;
}

/* The numbers of n, from those of its operands; NULL: it fails, or memory is short (the tape's error). */
static void *numbers(tl_tape *t, const tl_node *n, const void *const *in, const tl_desc *d)
{
    tl_failure failure = { "" };
    void *out = tl_arena_alloc(&t->arena, bytes_of(n) + 1);
    tl_run_args r = { .out = out,
                      .in = in,
                      .n_in = (int)n->n_in,
                      .out_desc = d,
                      .in_desc = d + 1,
                      .attr = n->attr,
                      .seed = t->model->seed,
                      .failure = &failure };
    const size_t work = n->op->work ? n->op->work(d, d + 1, (int)n->n_in, n->attr) : 0;
    const tl_kernel kernel = tl_kernel_for(n->op, n->shape.dtype);
    if (work) r.work = tl_arena_alloc(&t->arena, work);
    if (!out || (work && !r.work)) tl_no_memory(t);
    return !t->status && kernel && !kernel(&r) ? out : NULL;
}

static void *leaf(tl_tape *t, uint32_t id)
{
    const tl_node n = t->node[id];
    static char nothing;
    tl_desc d;
    if (n.op->role == TL_ROLE_CONST) return n.attr_size ? n.attr : &nothing;
    tl_describe(t, &n, NULL, &d);
    return numbers(t, &n, NULL, &d);
}

/* A constant in the place of n on the operands in; 0: it cannot be. */
static uint32_t computed(tl_rewrite *w, const tl_node *n, const uint32_t *in)
{
    tl_tape *t = w->to;
    const void **data = tl_arena_alloc(&t->arena, n->n_in * sizeof *data);
    tl_desc *d = tl_arena_alloc(&t->arena, (n->n_in + 1) * sizeof *d);
    if (!data || !d) return tl_no_memory(t), 0;
    for (uint32_t k = 0; k < n->n_in; k++)
        if (in[k] && !(data[k] = leaf(t, in[k]))) return 0;
    tl_describe(w->from, n, NULL, d); /* shapes are the same in both */
    tl_node constant = *n;
    constant.attr = numbers(t, n, data, d);
    if (!constant.attr) return 0;
    constant.op = &tl_op_const;
    constant.attr_size = bytes_of(n);
    constant.n_in = 0;
    tl_rewrite_note(w, n, "# values computed at compile time", 1);
    return tl_rewrite_emit(w, &constant, NULL);
}

static bool constants(tl_rewrite *w)
{
    const tl_float_mode mode = tl_flush_denormals(); /* as in a run */
    bool well = true;
    for (uint32_t i = 1; i < w->from->n && well; i++) {
        const tl_node *n = &w->from->node[i];
        uint32_t few[8], *in = n->n_in <= 8 ? few : tl_arena_alloc(&w->to->arena, n->n_in * sizeof *in);
        if (!w->live[i]) continue;
        if (!in) well = false;
        for (uint32_t k = 0; well && k < n->n_in; k++) in[k] = w->map[tl_node_in(w->from, n, k)];
        if (well && computable(w->to, n, in)) w->map[i] = computed(w, n, in);
        well = well && !w->to->status && (w->map[i] || (w->map[i] = tl_rewrite_node(w, i)));
    }
    tl_restore_mode(mode);
    return well;
}

const tl_pass tl_pass_constants = { "constants", constants };
