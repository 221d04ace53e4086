/* layers/dropout.c - y = x m / (1 - rate) while training. */
#include "layers/common.h"

static bool accepts(tl_place at, tl_scope *s, tl_tensor x, double rate, unsigned shared)
{
    if (!tl__rate(at, s, "dropout", ".rate", rate)) return false;
    if (!tl__operand(at, s, "dropout", "x", x, 0)) return false;
    if (shared >> tl_rank(x) == 0) return true;
    tl_error_at(at, s, TL_E_ARGUMENT, "dropout: .shared = 0x%x names an axis that x %s lacks", shared,
                tl__print_shape(x).s);
    return false;
}

static tl_tensor dropout(tl_place at, tl_scope *s, tl_tensor x, const tl_dropout_opts *o)
{
    const double rate = tl_number(o->rate, 0);
    if (!accepts(at, s, x, rate, o->shared)) return tl__failed(at, s);
    if (!tl_training(s) || rate == 0) return x;
    tl_shape shape = tl_shape_of(x);
    for (int a = 0; a < shape.rank; a++)
        if (o->shared >> a & 1) shape.dim[a] = 1;
    const tl_tensor keep = tl_random_bernoulli(s, shape.rank, shape.dim, 1 - rate);
    return tl__hand_on(tl_mul(x, tl_scale(keep, 1 / (1 - rate))), x);
}

tl_tensor tl_dropout_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_dropout_opts *given)
{
    tl_dropout_opts o;
    const tl_place_mark m = tl_enter(at, s);
    tl_tensor y;
    if (!tl__options(at, s, "dropout", &o, sizeof o, given)) y = tl__failed(at, s);
    else if (!o.name) y = dropout(at, s, x, &o);
    else {
        tl_scope *inner = tl__inside(at, s, o.name);
        y = tl_scope_layer(inner, "Dropout", dropout(at, inner, x, &o));
    }
    tl_leave(s, m);
    return y;
}
