/* ops/reductions.c - over any axes, made of other operations:
 *     min = -max(-x);  prod: the last of running products;
 *     var = sum (x - mean x)^2 / (count - correction), in two passes;
 *     std = sqrt(var), norm = sqrt(sum x^2), both with gradient 0 at 0;
 *     logsumexp = m + ln sum e^(x - m), m = max x. */
#include <math.h>

#include "ops/define.h"

/* y, whose reduced axes are of size 1, without them. */
static tl_tensor dropped(tl_place at, tl_tensor y, int n, const int *axes)
{
    tl_shape s = tl_shape_of(y);
    unsigned set = n ? 0 : ~0u;
    int kept = 0;
    for (int i = 0; i < n; i++) {
        const int64_t a = tl_axis(axes[i], s.rank);
        if (a >= 0 && a < s.rank) set |= 1u << a;
    }
    for (int a = 0; a < s.rank; a++)
        if (!(set >> a & 1)) s.dim[kept++] = s.dim[a];
    return tl_reshape_at(at, y, kept, s.dim);
}

static tl_tensor prod(tl_place at, tl_tensor x, int n, const int *axes)
{
    const int rank = tl_rank(x);
    unsigned set = n ? 0 : (1u << rank) - 1;
    for (int i = 0; i < n; i++) set |= 1u << tl_axis(axes[i], rank);
    if (!set) return tl_apply_at(at, tl_op_of_role(TL_ROLE_COPY), &x, 1, NULL);
    for (int a = 0; a < rank; a++) {
        if (!(set >> a & 1)) continue;
        const int64_t d = tl_dim(x, a);
        x = d ? tl_slice_at(at, tl_cumprod_at(at, x, a), a, d - 1, d)
              : tl_add_scalar_at(at, tl_sum_keep_at(at, x, 1, &a), 1); /* the product of nothing is 1 */
    }
    return x;
}

/* x less its first element, which changes no variance, but makes that of equal numbers exactly 0, however the mean
 * rounds. */
static tl_tensor from_first(tl_place at, tl_tensor x, int n, const int *axes)
{
    tl_tensor first = x;
    if (!tl_size(x)) return x;
    for (int i = 0; i < (n ? n : tl_rank(x)); i++) {
        const int64_t a = n ? tl_axis(axes[i], tl_rank(x)) : i;
        if (a >= 0 && a < tl_rank(x)) first = tl_slice_at(at, first, (int)a, 0, 1);
    }
    return tl_sub_at(at, x, tl_stop_gradient_at(at, first));
}

static tl_tensor var(tl_place at, tl_tensor x, int n, const int *axes, double correction)
{
    x = from_first(at, x, n, axes);
    const tl_tensor mean = tl_mean_keep_at(at, x, n, axes);
    const tl_shape s = tl_shape_of(x), left = tl_shape_of(mean);
    double count = 1;
    for (int a = 0; a < s.rank; a++)
        if (left.dim[a] == 1) count *= (double)s.dim[a];
    const tl_tensor sum = tl_sum_keep_at(at, tl_square_at(at, tl_sub_at(at, x, mean)), n, axes);
    return tl_scale_at(at, sum, 1 / fmax(count - correction, 0));
}

/* sqrt(v) for v >= 0, but its derivative at 0 is 0. */
static tl_tensor root(tl_place at, tl_tensor v)
{
    const tl_tensor safe = tl_where_at(at, v, v, tl_add_scalar_at(at, v, 1));
    return tl_where_at(at, v, tl_sqrt_at(at, safe), tl_stop_gradient_at(at, v));
}

static tl_tensor std(tl_place at, tl_tensor x, int n, const int *axes, double correction)
{
    return root(at, var(at, x, n, axes, correction));
}

static tl_tensor norm(tl_place at, tl_tensor x, int n, const int *axes)
{
    return root(at, tl_sum_keep_at(at, tl_square_at(at, x), n, axes));
}

/* m is 0 where the largest is infinite. A sum of 0 (all -inf, or nothing) has the logarithm -inf and no gradient. */
static tl_tensor logsumexp(tl_place at, tl_tensor x, int n, const int *axes)
{
    tl_tensor m = TL_NONE;
    if (tl_size(x)) {
        m = tl_stop_gradient_at(at, tl_max_keep_at(at, x, n, axes));
        const tl_tensor none = tl_sub_at(at, m, m); /* 0, or NaN where m is not finite */
        const tl_tensor finite = tl_equal_at(at, none, none);
        m = tl_where_at(at, finite, m, tl_sub_at(at, finite, finite));
    }
    const tl_tensor e = tl_exp_at(at, tl_absent(m) ? x : tl_sub_at(at, x, m)), sum = tl_sum_keep_at(at, e, n, axes);
    const tl_tensor safe = tl_where_at(at, sum, sum, tl_add_scalar_at(at, sum, 1));
    const tl_tensor nothing = tl_log_at(at, tl_stop_gradient_at(at, sum));
    const tl_tensor log = tl_where_at(at, sum, tl_log_at(at, safe), nothing);
    return tl_absent(m) ? log : tl_add_at(at, log, m);
}

static tl_tensor min(tl_place at, tl_tensor x, int n, const int *axes)
{
    return tl_neg_at(at, tl_max_keep_at(at, tl_neg_at(at, x), n, axes));
}

/* What is wrong with a call, if anything: an axis that is not there or is named twice, a correction that is negative. */
typedef struct reduction_attr {
    int64_t axis, twice;
    double correction;
} reduction_attr;

static bool reduction_refused(tl_shape_rule *r)
{
    const reduction_attr *a = r->attr;
    if (!(a->correction >= 0)) return tl_refuse(r, TL_E_ARGUMENT, "correction = %g should be 0 or more", a->correction);
    if (a->twice) return tl_refuse(r, TL_E_ARGUMENT, "axis %lld is named twice", (long long)a->axis);
    return tl_axis_fits(r, a->axis);
}

static bool fits(tl_tensor x, int n, const int *axes, double correction, reduction_attr *a)
{
    unsigned seen = 0;
    *a = (reduction_attr){ .correction = correction };
    for (int i = 0; i < n; i++) {
        a->axis = tl_axis(axes[i], tl_rank(x));
        if (tl_lacks_axis(x, axes[i])) return false;
        if ((a->twice = seen >> a->axis & 1)) return false;
        seen |= 1u << a->axis;
    }
    return correction >= 0;
}

#define PLAIN(...) (tl_place at, tl_tensor x, int n, const int *axes __VA_ARGS__)
#define CALLED(...) (tl_tensor x, int n, const int *axes __VA_ARGS__)
#define REDUCTION(name, parameter, argument)                                                                           \
    TL_REFUSAL(name, reduction_attr, reduction_refused);                                                               \
    tl_tensor tl_##name##_keep_at PLAIN(parameter)                                                                     \
    {                                                                                                                  \
        const double number[] = { 0 argument };                                                                        \
        reduction_attr a;                                                                                              \
        if (!fits(x, n, axes, number[sizeof number / sizeof *number - 1], &a))                                         \
            return tl_apply_at(at, &refusal_##name, &x, 1, &a);                                                        \
        return name(at, x, n, axes argument);                                                                          \
    }                                                                                                                  \
    tl_tensor tl_##name##_at PLAIN(parameter)                                                                          \
    {                                                                                                                  \
        return dropped(at, tl_##name##_keep_at(at, x, n, axes argument), n, axes);                                     \
    }                                                                                                                  \
    tl_tensor(tl_##name##_keep) CALLED(parameter) { return tl_##name##_keep_at(TL_NOWHERE, x, n, axes argument); }     \
    tl_tensor(tl_##name) CALLED(parameter) { return tl_##name##_at(TL_NOWHERE, x, n, axes argument); }
#define COMMA ,
REDUCTION(min, , )
REDUCTION(prod, , )
REDUCTION(norm, , )
REDUCTION(logsumexp, , )
REDUCTION(var, COMMA double correction, COMMA correction)
REDUCTION(std, COMMA double correction, COMMA correction)
