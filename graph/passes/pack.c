/* graph/passes/pack.c - a matrix that lasts from run to run is laid out once as the panels that products read, and
 * products with few rows read it there: recurrent weights, and all weights of a step of inference.
 *
 * A product C0 + op(a) op(b) of two matrices becomes one with pack(op(b)): each number of its result is the same
 * chain of fused multiply-adds, whose factors are read from elsewhere (graph/op.h, ops/pack.c): the same bits. b
 * depends on parameters and constants alone, so that the panels live with the model (graph/keep.c). They cost as
 * much as one row of the product, and are made once per update: with gradients, which are there for an update, they
 * are made for several products only. */
#include "graph/passes/passes.h"

#include <string.h>

/* Products with more rows pack for themselves, in passing; tiny ones are one tile, narrow ones leave most of a panel
 * empty. */
enum { MAX_ROWS = 256, MIN_COLUMNS = 16, MIN_NUMBERS = 1 << 10 };

typedef struct packing {
    tl_rewrite *w;
    bool *lasting;
    tl_table uses, packed; /* of (b, tb): how many products; the panels */
} packing;

static bool shape_of_panels(const tl_shape *b, bool t, tl_shape *panels)
{
    const int64_t n = b->dim[!t], width = tl_panel_width(b->dtype);
    *panels = (tl_shape){ .dtype = b->dtype, .rank = 3, .dim = { (n + width - 1) / width, b->dim[t], width } };
    return n >= MIN_COLUMNS && tl_shape_size(b) >= MIN_NUMBERS && tl_bytes_of(panels) <= TL_KEEP_BYTES;
}

/* Can this product read panels? One that lasts itself is computed once, as they are. */
static bool packable(const packing *p, uint32_t i)
{
    const tl_tape *t = p->w->from;
    const tl_node *n = &t->node[i];
    if (n->op->role != TL_ROLE_PRODUCT || p->lasting[i]) return false;
    const tl_product_attr *a = n->attr;
    const uint32_t b = tl_node_in(t, n, 1);
    const tl_shape *x = &t->node[tl_node_in(t, n, 0)].shape, *y = &t->node[b].shape;
    tl_shape panels;
    return p->lasting[b] && !a->packed && TL_LEGAL(PACK_RANK, x->rank == 2 && y->rank == 2) &&
           n->shape.dim[0] <= MAX_ROWS && shape_of_panels(y, a->tb, &panels);
}

static bool count_uses(packing *p)
{
    const tl_tape *t = p->w->from;
    for (uint32_t i = 1; i < t->n; i++) {
        const tl_node *n = &t->node[i];
        if (!p->w->live[i] || !packable(p, i)) continue;
        uint64_t *uses = tl_table_put(&p->uses, tl_node_in(t, n, 1), (uint64_t)((const tl_product_attr *)n->attr)->tb,
                                      0);
        if (!uses) return false;
        ++*uses;
    }
    return true;
}

static bool pays(const packing *p, uint32_t b, bool tb)
{
    return !p->w->from->n_gradient || *tl_table_find(&p->uses, b, tb) > 1;
}

/* The panels of op(b), made where they are first needed; 0: memory is short */
static uint32_t panels_of(packing *p, uint32_t b, bool tb, const tl_node *like)
{
    uint64_t *slot = tl_table_put(&p->packed, b, tb, 0);
    if (!slot || *slot) return slot ? (uint32_t)*slot : 0;
    const tl_pack_attr attr = { tb };
    tl_node pack = *like;
    pack.op = tl_op_of_role(TL_ROLE_PACK);
    pack.attr = (void *)(uintptr_t)&attr;
    pack.attr_size = sizeof attr;
    pack.n_in = 1;
    shape_of_panels(&p->w->from->node[b].shape, tb, &pack.shape);
    return (uint32_t)(*slot = tl_rewrite_emit(p->w, &pack, &p->w->map[b]));
}

static uint32_t emit(packing *p, uint32_t i)
{
    const tl_tape *t = p->w->from;
    tl_node product = t->node[i];
    if (!packable(p, i)) return tl_rewrite_node(p->w, i);
    tl_product_attr attr = *(const tl_product_attr *)product.attr;
    const uint32_t b = tl_node_in(t, &product, 1);
    if (!pays(p, b, attr.tb)) {
        tl_rewrite_left_of(p->w, &product, tl_param_path(t, b), "# products: packing weights does not pay for one", 1);
        return tl_rewrite_node(p->w, i);
    }
    tl_rewrite_note_of(p->w, &product, tl_param_path(t, b), "# products read weights that are packed once per update",
                       1);
    uint32_t in[4] = { 0 };
    for (uint32_t k = 0; k < product.n_in; k++) in[k] = p->w->map[tl_node_in(t, &product, k)];
    if (!(in[1] = panels_of(p, b, attr.tb, &product))) return 0;
    attr.tb = 0;
    attr.packed = product.shape.dim[1];
    product.attr = &attr;
    return tl_rewrite_emit(p->w, &product, in);
}

static bool pack(tl_rewrite *w)
{
    const uint32_t n = w->from->n;
    packing p = { .w = w, .lasting = tl_resize(NULL, 0, n * sizeof *p.lasting) };
    bool well = p.lasting;
    if (well) tl_mark_lasting(w->from, p.lasting);
    well = well && count_uses(&p);
    for (uint32_t i = 1; i < n && well; i++)
        if (w->live[i]) well = (w->map[i] = emit(&p, i)) != 0;
    tl_table_free(&p.uses);
    tl_table_free(&p.packed);
    tl_resize(p.lasting, n * sizeof *p.lasting, 0);
    return well;
}

const tl_pass tl_pass_pack = { "pack", pack };
