/* layers/embedding.c - rows of a table by id. */
#include "layers/common.h"

/* An initialiser whose row `row` is zero instead. */
typedef struct zero_row {
    tl_init rest;
    int64_t row;
} zero_row;

static void fill_but_one_row(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    const zero_row *z = self->data;
    z->rest.fill(&z->rest, shape, out, random);
    for (int64_t i = 0; i < shape->dim[1]; i++) out[z->row * shape->dim[1] + i] = 0;
}

static tl_init with_zero_row(tl_scope *s, tl_init init, int64_t row)
{
    const zero_row z = { init, row };
    const void *data = tl_scope_copy(s, &z, sizeof z); /* lives longer than the parameter is in the making */
    return data ? (tl_init){ .fill = fill_but_one_row, .data = data } : init;
}

static bool is_row(tl_place at, tl_scope *s, const char *option, int64_t id, int64_t vocab)
{
    if (id >= 0 && id < vocab) return true;
    tl_error_at(at, s, TL_E_ARGUMENT, "embedding: %s names row %lld of %lld", option, (long long)id, (long long)vocab);
    return false;
}

/* [vocab], 1 for each row that does not learn. */
static tl_tensor fixed_rows(tl_place at, tl_scope *s, int64_t padding, const tl_embedding_opts *o)
{
    double *fixed = tl_scope_copy(s, NULL, (size_t)o->vocab * sizeof *fixed);
    if (!fixed) return tl__failed(at, s);
    if (o->n_frozen_rows < 0 || (o->n_frozen_rows && !o->frozen_rows))
        return tl_error_at(at, s, TL_E_ARGUMENT, "embedding: .n_frozen_rows = %lld without .frozen_rows",
                           (long long)o->n_frozen_rows);
    for (int64_t i = 0; i < o->n_frozen_rows; i++) {
        if (!is_row(at, s, ".frozen_rows", o->frozen_rows[i], o->vocab)) return tl__failed(at, s);
        fixed[o->frozen_rows[i]] = 1;
    }
    if (padding >= 0) fixed[padding] = 1;
    return tl_const(s, TL_DIMS(o->vocab), fixed);
}

/* What stops the gradient of a row is put behind the look-up: it costs as much as there are ids, not as the table. */
static tl_tensor embedding(tl_place at, tl_scope *s, tl_tensor ids, const tl_embedding_opts *o)
{
    const int64_t padding = tl_whole(o->padding_id, -1);
    if (!tl__size(at, s, "embedding", ".vocab", o->vocab) || !tl__size(at, s, "embedding", ".units", o->units) ||
        !tl__operand(at, s, "embedding", "ids", ids, 0) ||
        (o->padding_id && !is_row(at, s, ".padding_id", padding, o->vocab)))
        return tl__failed(at, s);
    if (o->mask_zero && tl_rank(ids) != 2) /* ids [B] would be taken for lengths */
        return tl_error_at(at, s, TL_E_SHAPE, "embedding: .mask_zero needs ids [T, B], not %s", tl__print_shape(ids).s);
    tl_init init = tl__init_or(o->init, tl_uniform(-0.05, 0.05));
    if (padding >= 0) init = with_zero_row(s, init, padding);
    const tl_tensor W = tl_param(s, "W", TL_DIMS(o->vocab, o->units), .init = init, .frozen = o->frozen);
    tl_tensor y = tl_gather(W, ids);
    if (padding >= 0 || o->n_frozen_rows || o->frozen_rows)
        y = tl__where_rows(tl_gather(fixed_rows(at, s, padding, o), ids), tl_stop_gradient(y), y);
    if (o->table) *o->table = W;
    return o->mask_zero ? tl_masked(y, ids) : y;
}

tl_tensor tl_embedding_opt(tl_place at, tl_scope *s, tl_tensor ids, const tl_embedding_opts *given)
{
    tl_embedding_opts o;
    const tl_place_mark m = tl_enter(at, s);
    tl_tensor y;
    const bool taken = tl__options(at, s, "embedding", &o, sizeof o, given);
    o.n_frozen_rows = tl_whole(o.n_frozen_rows, 0);
    if (!taken) y = tl__failed(at, s);
    else {
        tl_scope *inner = tl__inside(at, s, o.name ? o.name : "embedding");
        y = tl_scope_layer(inner, "Embedding", embedding(at, inner, ids, &o));
    }
    if (!tl__well(s)) y = tl__failed(at, s);
    if (o.table && !tl__well(s)) *o.table = y;
    tl_leave(s, m);
    return y;
}
