/* layers/loss.c - what all losses have in common: operands, options, padding, weights and what becomes of the losses
 * of a batch. The formulas: loss_formulas.c. */
#include "layers/loss.h"

#include <float.h>
#include <math.h>

typedef struct run {
    tl_place at;
    tl_scope *s;
    const tl__loss_row *row;
    tl__loss l;
    int n;           /* operands */
    bool rows;       /* positions are rows of y, else its elements */
    tl_tensor valid; /* 1 or 0 for leading axes; absent: all is valid */
} run;

/* ---- operands --------------------------------------------------------------------------------------------------- */

static bool refuse(const run *r, tl_status status, const char *what, tl_tensor x, const char *why)
{
    tl_error_at(r->at, r->s, status, "%s: %s %s %s %s %s", r->row->name, what, tl__print_shape(x).s, why,
                r->row->operand[0], tl__print_shape(r->l.x[0]).s);
    return false;
}

/* Are x's axes the leading ones of y, all but the last `less`? */
static bool leads(tl_tensor x, tl_tensor y, int less)
{
    bool same = tl_rank(x) + less == tl_rank(y);
    for (int i = 0; same && i < tl_rank(x); i++) same = tl_dim(x, i) == tl_dim(y, i);
    return same;
}

/* Can x be broadcast to the leading `axes` of y? */
static bool broadcasts(tl_tensor x, tl_tensor y, int axes)
{
    bool fits = tl_rank(x) <= axes;
    for (int i = 1; fits && i <= tl_rank(x); i++) fits = tl_dim(x, -i) == 1 || tl_dim(x, -i) == tl_dim(y, axes - i);
    return fits;
}

static bool ids_fit(const run *r, tl_tensor ids)
{
    const tl_tensor y = r->l.x[0];
    const bool whole = tl_dtype_of(ids) == TL_I32;
    if (whole && leads(ids, y, 1)) return true;
    tl_error_at(r->at, r->s, whole ? TL_E_SHAPE : TL_E_DTYPE, "%s: ids %s%s do not name one class for each of %s %s",
                r->row->name, tl__print_shape(ids).s, whole ? "" : ", which are not i32,", r->row->operand[0],
                tl__print_shape(y).s);
    return false;
}

static bool fits(const run *r, int k)
{
    const tl_tensor y = r->l.x[0], x = r->l.x[k];
    if (r->row->classes && (tl_dtype_of(x) == TL_I32 || tl_rank(x) + 1 == tl_rank(y))) return ids_fit(r, x);
    if (r->row->signs && k == r->row->target)
        return leads(x, y, 1) || refuse(r, TL_E_SHAPE, r->row->operand[k], x, "has not one number for each row of");
    if (tl__same_shape(x, y)) return true;
    tl_error_at(r->at, r->s, TL_E_SHAPE, "%s: %s %s and %s %s differ", r->row->name, r->row->operand[0],
                tl__print_shape(y).s, r->row->operand[k], tl__print_shape(x).s);
    return false;
}

/* An error handle's own error comes first. */
static bool sound(const run *r, int k)
{
    const tl_tensor x = r->l.x[k];
    if (!tl__operand(r->at, r->s, r->row->name, r->row->operand[k], x, k == 0 && r->row->form == TL__OF_ROWS))
        return false;
    const tl_tensor zero = tl_rank(x) ? x : tl_full(r->s, TL_SCALAR, 0);
    if (!tl_rank(x)) tl_where_at(r->at, x, zero, zero);
    return tl__well(r->s);
}

static bool operands_fit(const run *r)
{
    for (int k = 0; k < r->n; k++)
        if (!sound(r, k)) return false;
    for (int k = 1; k < r->n; k++)
        if (!fits(r, k)) return false;
    return true;
}

/* ---- options ---------------------------------------------------------------------------------------------------- */

/* Is every option that is set one of this loss? */
static bool takes_all(const run *r)
{
    const tl_loss_opts *o = &r->l.o;
    const struct {
        const char *name;
        unsigned bit;
        bool given;
    } options[] = {
        { ".probabilities", TL__PROBABILITIES, o->probabilities },
        { ".label_smoothing", TL__SMOOTHING, o->label_smoothing != 0 },
        { ".class_weights", TL__CLASSES, !tl_absent(o->class_weights) },
        { ".ignore", TL__CLASSES, o->ignore != 0 },
        { ".pos_weight", TL__POS_WEIGHT, !tl_absent(o->pos_weight) },
        { ".delta", TL__DELTA, o->delta != 0 },
        { ".beta", TL__BETA, o->beta != 0 },
        { ".margin", TL__MARGIN, o->margin != 0 },
        { ".epsilon", TL__EPSILON, o->epsilon != 0 },
        { ".log_input", TL__LOG_INPUT, o->log_input },
        { ".log_target", TL__LOG_TARGET, o->log_target },
        { ".full", TL__FULL, o->full },
    };
    for (size_t k = 0; k < sizeof options / sizeof *options; k++)
        if (options[k].given && !(r->row->options & options[k].bit))
            tl_error_at(r->at, r->s, TL_E_ARGUMENT, "%s: %s is no option of this loss", r->row->name, options[k].name);
    return tl__well(r->s);
}

/* Is v within lo and hi? A NaN is not. */
static void within(const run *r, const char *option, double v, double lo, double hi)
{
    if (!(v >= lo && v <= hi))
        tl_error_at(r->at, r->s, TL_E_ARGUMENT, "%s: %s = %g is not within %g and %g", r->row->name, option, v, lo, hi);
}

/* The numbers that are meant in place of those that are given. */
static bool numbers(run *r)
{
    tl_loss_opts *o = &r->l.o;
    const bool of_probabilities = r->row->options & (TL__PROBABILITIES | TL__LOG_TARGET);
    o->label_smoothing = tl_number(o->label_smoothing, 0);
    o->delta = tl_number(o->delta, 1);
    o->beta = tl_number(o->beta, 1);
    o->margin = tl_number(o->margin, r->row->margin);
    o->epsilon = tl_number(o->epsilon, r->row->epsilon);
    o->ignore = tl_whole(o->ignore, INT64_MAX);
    within(r, ".reduction", o->reduction, 0, TL_REDUCE_WEIGHTED_MEAN);
    within(r, ".label_smoothing", o->label_smoothing, 0, 1);
    within(r, ".delta", o->delta, DBL_MIN, INFINITY);
    within(r, ".beta", o->beta, 0, DBL_MAX);
    within(r, ".margin", o->margin, -DBL_MAX, DBL_MAX);
    within(r, ".epsilon", o->epsilon, 0, of_probabilities ? 0.5 : DBL_MAX);
    if (o->ignore != INT64_MAX) within(r, ".ignore", (double)o->ignore, INT32_MIN, INT32_MAX);
    return tl__well(r->s);
}

/* What the positions are, and whether mask and weights fit them. */
static bool positions(run *r)
{
    const tl_tensor y = r->l.x[0], w = r->l.o.weights, mask = r->l.o.mask, carried = tl_mask_of(y);
    const int rank = tl_rank(y), most = rank - (r->row->form == TL__OF_ROWS);
    const int carries = tl_absent(carried) ? 0 : 2, masked = tl_rank(mask) > carries ? tl_rank(mask) : carries;
    if (masked > most || (!tl_absent(mask) && !leads(mask, y, rank - tl_rank(mask))))
        return refuse(r, TL_E_SHAPE, ".mask", tl_absent(mask) ? carried : mask, "does not have the leading axes of");
    r->rows = r->row->form == TL__OF_ROWS || (!r->l.o.per_element && rank > 1 && masked < rank && tl_rank(w) < rank);
    if (!broadcasts(w, y, rank - r->rows))
        return refuse(r, TL_E_SHAPE, ".weights", w, "cannot be broadcast to the positions of");
    if (!broadcasts(r->l.o.pos_weight, y, rank))
        return refuse(r, TL_E_SHAPE, ".pos_weight", r->l.o.pos_weight, "cannot be broadcast to");
    const tl_tensor classes = r->l.o.class_weights;
    if (!tl_absent(classes) && (tl_rank(classes) != 1 || tl_dim(classes, 0) != tl_dim(y, -1)))
        return refuse(r, TL_E_SHAPE, ".class_weights", classes, "has not one number for each class of");
    return true;
}

/* ---- padding ---------------------------------------------------------------------------------------------------- */

/* a where the position is valid, else v, a whole number */
static tl_tensor where_valid(const run *r, tl_tensor a, int v)
{
    if (tl_absent(r->valid)) return a;
    const tl_tensor otherwise = tl_full_like(a, v);
    return tl__where_rows(r->valid, a, tl_dtype_of(a) == TL_I32 ? tl_cast(otherwise, TL_I32) : otherwise);
}

static tl_tensor both(tl_tensor a, tl_tensor b)
{
    if (tl_absent(a) || tl_absent(b)) return tl_absent(a) ? b : a;
    return tl_rank(a) < tl_rank(b) ? both(b, a) : tl__where_rows(b, a, tl_full_like(a, 0));
}

static tl_tensor validity(const run *r)
{
    const tl_loss_opts *o = &r->l.o;
    tl_tensor valid = tl__mask_of(r->l.x[0]), ids = r->l.x[1];
    if (!tl_absent(o->mask)) valid = both(tl_where(o->mask, tl_full_like(o->mask, 1), tl_full_like(o->mask, 0)), valid);
    if (o->ignore == INT64_MAX || tl_dtype_of(ids) != TL_I32) return valid;
    return both(tl_not_equal(ids, tl_ids_const(r->s, TL_SCALAR, (int32_t[]){ (int32_t)o->ignore })), valid);
}

/* ---- from the losses of positions to the result ----------------------------------------------------------------- */

/* The losses of positions of what the formula gave. The mean over all elements needs none in between. */
static tl_tensor by_position(run *r, tl_tensor l)
{
    const tl_loss_opts *o = &r->l.o;
    const bool mean = o->reduction != TL_REDUCE_SUM && o->reduction != TL_REDUCE_NONE;
    if (r->row->form == TL__OF_ROWS || !r->rows) return l;
    if (r->row->form == TL__SUM_OF_ELEMENTS) return tl_sum(l, TL_AXES(-1));
    return mean && tl_absent(o->weights) ? l : tl_mean(l, TL_AXES(-1));
}

/* The options' weights in the shape of the losses l; absent if there are none. */
static tl_tensor weights_of(const run *r, tl_tensor l)
{
    const tl_shape shape = tl_shape_of(l);
    const tl_tensor w = r->l.o.weights;
    return tl_absent(w) ? w : tl_broadcast_to(w, shape.rank, shape.dim);
}

static tl_tensor reduced(const run *r, tl_tensor l)
{
    const tl_reduction how = r->l.o.reduction;
    tl_tensor w = weights_of(r, l);
    if (!tl_absent(w)) l = tl_mul(l, w);
    l = where_valid(r, l, 0);
    if (how == TL_REDUCE_NONE) return l;
    if (how == TL_REDUCE_SUM) return tl_sum(l, TL_ALL);
    if (!tl_absent(r->l.class_weights)) w = tl_absent(w) ? r->l.class_weights : tl_mul(w, r->l.class_weights);
    const bool weighted = how == TL_REDUCE_WEIGHTED_MEAN && !tl_absent(w);
    if (!weighted && tl_absent(r->valid)) return tl_mean(l, TL_ALL);
    const tl_tensor n = tl_sum(where_valid(r, weighted ? w : tl_full_like(l, 1), 0), TL_ALL);
    return tl_div(tl_sum(l, TL_ALL), tl_where(n, n, tl_full_like(n, 1)));
}

static tl_tensor loss(run *r)
{
    if (!operands_fit(r) || !takes_all(r) || !numbers(r) || !positions(r)) return tl__failed(r->at, r->s);
    r->valid = validity(r);
    for (int k = 0; k < r->n; k++) r->l.x[k] = where_valid(r, r->l.x[k], tl_dtype_of(r->l.x[k]) != TL_I32);
    const tl_tensor y = reduced(r, by_position(r, r->row->formula(&r->l)));
    return r->row->maximised ? tl_neg(y) : y;
}

/* The tape of the operands, of those that have one and a shape first. */
static tl_tape *tape_of(const tl_tensor *x, int n)
{
    tl_tape *tape = NULL;
    for (int k = n - 1; k >= 0; k--)
        if (!tape || tl_rank(x[k])) tape = x[k].tape ? x[k].tape : tape;
    return tape;
}

tl_tensor tl_loss_opt(tl_place at, tl_loss kind, const tl_tensor *x, const tl_loss_opts *given)
{
    run r = { .at = at, .row = tl__loss_of(kind) };
    if (!r.row) return tl_error_at(at, tl_root(x[0].tape), TL_E_ARGUMENT, "loss: %d is none of tl_loss", (int)kind);
    if (tl_absent(x[r.row->target ? r.row->target : 1])) return TL_NONE;
    for (; r.n < TL__MOST_OPERANDS && r.row->operand[r.n]; r.n++) r.l.x[r.n] = x[r.n];
    r.s = tl_root(tape_of(x, r.n));
    if (!tl__options(at, r.s, r.row->name, &r.l.o, sizeof r.l.o, given)) return tl__failed(at, r.s);
    const tl_place_mark m = tl_enter(at, r.s);
    tl_enter(at, m.scope); /* a loss is recorded in the scope of what comes before it */
    const tl_tensor y = loss(&r);
    tl_leave(r.s, m);
    return tl__well(r.s) ? y : tl__failed(at, r.s);
}
