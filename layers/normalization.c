/* layers/normalization.c - batch and layer normalisation: y = gain (x - mean) / sqrt(variance + epsilon) + shift. */
#include "layers/common.h"

/* The learned scale and offset, absent where they are switched off. */
static void affine(tl_scope *s, int rank, const int64_t *dim, bool no_gain, bool no_shift, tl_tensor *gain,
                   tl_tensor *shift)
{
    *gain = *shift = TL_NONE;
    if (!no_gain) *gain = tl_param(s, "gain", rank, dim, .init = tl_ones());
    if (!no_shift) *shift = tl_param(s, "shift", rank, dim);
}

/* ---- over the batch ------------------------------------------------------------------------------------------- */

static bool batch_accepts(tl_place at, tl_scope *s, tl_tensor x, const tl_batch_norm_opts *o)
{
    if (!tl__operand(at, s, "batch_norm", "x", x, 2) || !tl__at_least_0(at, s, "batch_norm", ".epsilon", o->epsilon))
        return false;
    const int64_t rows = tl_dim(x, -1) ? tl_size(x) / tl_dim(x, -1) : 2, least = o->unbiased ? 2 : 1;
    if (!(o->momentum >= 0 && o->momentum <= 1))
        tl_error_at(at, s, TL_E_ARGUMENT, "batch_norm: .momentum = %g is not in 0..1", o->momentum);
    else if (tl_training(s) && rows < least)
        tl_error_at(at, s, TL_E_SHAPE, "batch_norm: x %s has %lld rows, and training needs %lld", tl__print_shape(x).s,
                    (long long)rows, (long long)least);
    return tl__well(s);
}

/* momentum old + (1 - momentum) now */
static void update(tl_scope *s, const char *name, tl_tensor old, tl_tensor now, double momentum)
{
    tl_next(s, name, tl_add(tl_scale(old, momentum), tl_scale(tl_stop_gradient(now), 1 - momentum)));
}

static tl_tensor batch_norm(tl_place at, tl_scope *s, tl_tensor x, const tl_batch_norm_opts *o)
{
    int rows[TL_MAX_RANK], n = tl_rank(x) - 1;
    tl_tensor gain, shift;
    if (!batch_accepts(at, s, x, o)) return tl__failed(at, s);
    for (int a = 0; a < n; a++) rows[a] = a;
    const int64_t C = tl_dim(x, -1);
    affine(s, TL_DIMS(C), o->no_gain, o->no_shift, &gain, &shift);
    tl_tensor mean = tl_model_state(s, "mean", tl_full(s, TL_DIMS(C), 0));
    tl_tensor variance = tl_model_state(s, "variance", tl_full(s, TL_DIMS(C), 1));
    if (tl_training(s)) {
        const tl_tensor m = tl_mean(x, n, rows), v = tl_var(x, n, rows, 0);
        const double count = C ? (double)tl_size(x) / (double)C : 2;
        update(s, "mean", mean, m, o->momentum);
        update(s, "variance", variance, o->unbiased ? tl_scale(v, count / (count - 1)) : v, o->momentum);
        mean = m, variance = v;
    }
    tl_tensor scale = tl_rsqrt(tl_add_scalar(variance, o->epsilon));
    if (!tl_absent(gain)) scale = tl_mul(scale, gain);
    const tl_tensor y = tl_mul(tl_sub(x, mean), scale);
    return tl_absent(shift) ? y : tl_add(y, shift);
}

tl_tensor tl_batch_norm_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_batch_norm_opts *given)
{
    tl_batch_norm_opts o;
    const tl_place_mark m = tl_enter(at, s);
    tl_tensor y;
    if (!tl__options(at, s, "batch_norm", &o, sizeof o, given)) y = tl__failed(at, s);
    else {
        o.momentum = tl_number(o.momentum, 0.99);
        o.epsilon = tl_number(o.epsilon, 1e-3);
        tl_scope *inner = tl__inside(at, s, o.name ? o.name : "batch_norm");
        y = tl_scope_layer(inner, "BatchNormalization", tl__hand_on(batch_norm(at, inner, x, &o), x));
    }
    tl_leave(s, m);
    return y;
}

/* ---- over the last axes --------------------------------------------------------------------------------------- */

/* Several axes are taken as one. */
static tl_tensor layer_norm(tl_place at, tl_scope *s, tl_tensor x, const tl_layer_normalization_opts *o)
{
    static const char call[] = "layer_normalization";
    const int axes = o->axes ? o->axes : 1;
    tl_tensor gain, shift;
    if (axes < 1 || axes > TL_MAX_RANK)
        return tl_error_at(at, s, TL_E_ARGUMENT, "%s: .axes = %d should be 1 or more", call, o->axes);
    if (!tl__operand(at, s, call, "x", x, axes) || !tl__at_least_0(at, s, call, ".epsilon", o->epsilon))
        return tl__failed(at, s);
    const tl_shape shape = tl_shape_of(x);
    const int first = shape.rank - axes;
    affine(s, axes, shape.dim + first, o->no_gain, o->no_shift, &gain, &shift);
    if (axes == 1) return tl_layer_norm(x, gain, shift, o->epsilon);
    tl_shape flat = shape;
    flat.rank = first + 1;
    for (int a = first + 1; a < shape.rank; a++) flat.dim[first] *= shape.dim[a];
    const int64_t *one = flat.dim + first;
    if (!tl_absent(gain)) gain = tl_reshape(gain, 1, one);
    if (!tl_absent(shift)) shift = tl_reshape(shift, 1, one);
    x = tl_layer_norm(tl_reshape(x, flat.rank, flat.dim), gain, shift, o->epsilon);
    return tl_reshape(x, shape.rank, shape.dim);
}

tl_tensor tl_layer_normalization_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_layer_normalization_opts *given)
{
    tl_layer_normalization_opts o;
    const tl_place_mark m = tl_enter(at, s);
    tl_tensor y;
    if (!tl__options(at, s, "layer_normalization", &o, sizeof o, given)) y = tl__failed(at, s);
    else {
        o.epsilon = tl_number(o.epsilon, 1e-3);
        tl_scope *inner = tl__inside(at, s, o.name ? o.name : "layer_normalization");
        y = tl_scope_layer(inner, "LayerNormalization", tl__hand_on(layer_norm(at, inner, x, &o), x));
    }
    tl_leave(s, m);
    return y;
}
