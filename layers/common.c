/* layers/common.c - options, checks and shapes that layers share. */
#include "layers/common.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

tl_tensor tl__failed(tl_place at, tl_scope *s)
{
    return tl_error_at(at, s, TL_E_ARGUMENT, "this layer cannot be made"); /* never the first error */
}

tl_scope *tl__inside(tl_place at, tl_scope *s, const char *name)
{
    tl_scope *inner = tl_in(s, name);
    tl_enter(at, inner); /* the layer that calls puts its caller's place back */
    return inner;
}

bool tl__well(const tl_scope *s) { return s && !tl_failed(tl_scope_tape(s)); }

bool tl__options(tl_place at, tl_scope *s, const char *call, void *to, size_t n, const void *from)
{
    size_t size = n;
    memset(to, 0, n);
    if (from) memcpy(&size, from, sizeof size);
    if (size < sizeof size) {
        tl_error_at(at, s, TL_E_ARGUMENT, "%s: the options' .size is not set", call);
        return false;
    }
    if (from) memcpy(to, from, size < n ? size : n);
    return tl__well(s);
}

bool tl__size(tl_place at, tl_scope *s, const char *call, const char *option, int64_t v)
{
    if (v > 0) return true;
    if (v == 0) tl_error_at(at, s, TL_E_ARGUMENT, "%s: %s is missing", call, option);
    else tl_error_at(at, s, TL_E_ARGUMENT, "%s: %s = %lld must be at least 1", call, option, (long long)tl_whole(v, 0));
    return false;
}

bool tl__finite(tl_place at, tl_scope *s, const char *call, const char *option, double v)
{
    if (isfinite(v)) return true;
    tl_error_at(at, s, TL_E_ARGUMENT, "%s: %s = %g is no finite number", call, option, v);
    return false;
}

bool tl__at_least_0(tl_place at, tl_scope *s, const char *call, const char *option, double v)
{
    v = tl_number(v, 0);
    if (v >= 0 && v < INFINITY) return true;
    tl_error_at(at, s, TL_E_ARGUMENT, "%s: %s = %g must be at least 0 and finite", call, option, v);
    return false;
}

bool tl__rate(tl_place at, tl_scope *s, const char *call, const char *option, double v)
{
    v = tl_number(v, 0);
    if (v >= 0 && v < 1) return true;
    tl_error_at(at, s, TL_E_ARGUMENT, "%s: %s = %g must be at least 0 and less than 1", call, option, v);
    return false;
}

bool tl__operand(tl_place at, tl_scope *s, const char *call, const char *what, tl_tensor x, int min_rank)
{
    if (tl_absent(x)) {
        tl_error_at(at, s, TL_E_ABSENT, "%s: %s is absent (TL_NONE)", call, what);
        return false;
    }
    if (tl_rank(x) < min_rank) {
        const tl_tensor zero = tl_full(s, TL_SCALAR, 0);
        tl_where_at(at, x, zero, zero); /* of an error handle this says where it comes from, and is the first error */
        tl_error_at(at, s, TL_E_SHAPE, "%s: %s has rank %d, and needs at least %d", call, what, tl_rank(x), min_rank);
    }
    return tl__well(s);
}

tl_tensor tl__where_rows(tl_tensor m, tl_tensor a, tl_tensor b)
{
    int64_t dim[TL_MAX_RANK] = { 1, 1, 1, 1, 1, 1 };
    const int rank = tl_rank(a);
    for (int k = 0; k < tl_rank(m); k++) dim[k] = tl_dim(m, k);
    if (rank > tl_rank(m)) m = tl_reshape(m, rank, dim);
    return tl_where(m, a, b);
}

bool tl__same_shape(tl_tensor a, tl_tensor b)
{
    bool same = tl_rank(a) == tl_rank(b);
    for (int i = 0; i < tl_rank(a); i++) same &= tl_dim(a, i) == tl_dim(b, i);
    return same;
}

tl_tensor tl__hand_on(tl_tensor y, tl_tensor x)
{
    const tl_tensor mask = tl_mask_of(x);
    return tl_absent(mask) ? y : tl_masked(y, mask);
}

tl_tensor tl__mask_of(tl_tensor x)
{
    const tl_tensor m = tl_mask_of(x);
    if (tl_absent(m)) return m;
    if (tl_rank(m) == 1) return tl_length_mask(m, tl_dim(x, 0));
    return tl_where(m, tl_full_like(m, 1), tl_full_like(m, 0));
}

static int64_t leading(tl_tensor x)
{
    int64_t n = 1;
    for (int a = 0; a < tl_rank(x) - 1; a++) n *= tl_dim(x, a);
    return n;
}

tl_tensor tl__rows(tl_tensor x) { return tl_rank(x) == 2 ? x : tl_reshape(x, TL_DIMS(leading(x), tl_dim(x, -1))); }

tl_tensor tl__unrows(tl_tensor y, tl_tensor like)
{
    tl_shape shape = tl_shape_of(like);
    if (shape.rank == 2 || shape.rank < 1) return y;
    shape.dim[shape.rank - 1] = tl_dim(y, -1);
    return tl_reshape(y, shape.rank, shape.dim);
}

tl__shape_text tl__print_shape(tl_tensor x)
{
    tl__shape_text t = { "[" };
    size_t n = 1;
    for (int a = 0; a < tl_rank(x); a++)
        n += (size_t)snprintf(t.s + n, sizeof t.s - n, "%s%lld", a ? "," : "", (long long)tl_dim(x, a));
    snprintf(t.s + n, sizeof t.s - n, "]");
    return t;
}
