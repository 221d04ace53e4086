/* layers/penalty.c - what is added to a loss to keep parameters or activations small. */
#include "layers/common.h"

#include <math.h>

/* factor times the sum of `sizes`, which were made of x */
static tl_tensor scaled_sum(tl_place at, const char *call, tl_tensor x, tl_tensor sizes, double factor)
{
    const tl_tensor sum = tl_sum_at(at, sizes, TL_ALL);
    if (!tl_absent(x) && !tl__at_least_0(at, tl_root(x.tape), call, "factor", factor))
        return tl__failed(at, tl_root(x.tape));
    return tl_scale_at(at, sum, factor);
}

tl_tensor tl_l1_at(tl_place at, tl_tensor x, double factor)
{
    return scaled_sum(at, "l1", x, tl_abs_at(at, x), factor);
}

tl_tensor tl_l2_at(tl_place at, tl_tensor x, double factor)
{
    return scaled_sum(at, "l2", x, tl_square_at(at, x), factor);
}

tl_tensor(tl_l1)(tl_tensor x, double factor) { return tl_l1_at(TL_NOWHERE, x, factor); }
tl_tensor(tl_l2)(tl_tensor x, double factor) { return tl_l2_at(TL_NOWHERE, x, factor); }

static tl_tensor plus(tl_tensor sum, tl_tensor x) { return tl_absent(sum) ? x : tl_add(sum, x); }

static tl_tensor penalty(tl_place at, tl_scope *s, const char *pattern, const tl_penalty_opts *o)
{
    if (!tl__at_least_0(at, s, "penalty", ".l1", o->l1) || !tl__at_least_0(at, s, "penalty", ".l2", o->l2))
        return tl__failed(at, s);
    const int n = tl_params(s, pattern, NULL, 0);
    if (!n)
        return tl_error_at(at, s, TL_E_NAME, "penalty: no parameter asked for so far matches \"%s\"",
                           pattern ? pattern : "*");
    tl_tensor *param = tl_scope_copy(s, NULL, (size_t)n * sizeof *param), sum = TL_NONE;
    if (!param) return tl__failed(at, s);
    tl_params(s, pattern, param, n);
    const double l1 = tl_number(o->l1, 0), l2 = tl_number(o->l2, 0);
    for (int i = 0; i < n; i++) {
        if (l1 != 0) sum = plus(sum, tl_l1(param[i], l1));
        if (l2 != 0) sum = plus(sum, tl_l2(param[i], l2));
    }
    return tl_absent(sum) ? tl_full(s, TL_SCALAR, 0) : sum;
}

tl_tensor tl_penalty_opt(tl_place at, tl_scope *s, const char *pattern, const tl_penalty_opts *given)
{
    tl_penalty_opts o;
    const tl_place_mark m = tl_enter(at, s);
    const tl_tensor y = tl__options(at, s, "penalty", &o, sizeof o, given) ? penalty(at, s, pattern, &o) : TL_NONE;
    tl_leave(s, m);
    return tl__well(s) ? y : tl__failed(at, s);
}
