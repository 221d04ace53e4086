/* layers/loss.c - what is minimised. An absent target gives an absent loss. */
#include "layers/common.h"

/* l [T, B, ...] with zeros where m says that it is padding (m TL_NONE: nothing is). */
static tl_tensor real_part(tl_tensor m, tl_tensor l)
{
    return tl_absent(m) ? l : tl__where_rows(m, l, tl_full_like(l, 0));
}

/* The mean of such an l over what is no padding. */
static tl_tensor mean(tl_place at, tl_tensor m, tl_tensor l)
{
    if (tl_absent(m)) return tl_mean_at(at, l, TL_ALL);
    const tl_tensor count = tl_sum(real_part(m, tl_full_like(l, 1)), TL_ALL);
    return tl_div_at(at, tl_sum_at(at, l, TL_ALL), tl_maximum(count, tl_full_like(count, 1)));
}

/* Is there one id for each row of the logits? */
static bool ids_fit(tl_tensor logits, tl_tensor ids)
{
    bool fit = tl_dtype_of(ids) == TL_I32 && tl_rank(ids) + 1 == tl_rank(logits);
    for (int i = 0; fit && i < tl_rank(ids); i++) fit = tl_dim(ids, i) == tl_dim(logits, i);
    return fit;
}

tl_tensor tl_cross_entropy_at(tl_place at, tl_tensor logits, tl_tensor ids)
{
    if (tl_absent(ids)) return TL_NONE;
    if (tl_rank(logits) && !ids_fit(logits, ids)) {
        if (!tl_rank(ids)) tl_where_at(at, ids, ids, ids); /* an error handle's own error comes first */
        return tl_error_at(at, tl_root(logits.tape), tl_dtype_of(ids) == TL_I32 ? TL_E_SHAPE : TL_E_DTYPE,
                           "cross_entropy: ids %s%s do not name one class for each of logits %s",
                           tl__print_shape(ids).s, tl_dtype_of(ids) == TL_I32 ? "" : ", which are not i32,",
                           tl__print_shape(logits).s);
    }
    const tl_tensor m = tl__mask_of(logits);
    if (!tl_absent(m)) {
        logits = real_part(m, logits);
        ids = tl__where_rows(m, ids, tl_cast(tl_full_like(ids, 0), TL_I32));
    }
    return tl_neg_at(at, mean(at, m, real_part(m, tl_pick_at(at, tl_log_softmax_at(at, logits), ids))));
}

tl_tensor(tl_cross_entropy)(tl_tensor logits, tl_tensor ids) { return tl_cross_entropy_at(TL_NOWHERE, logits, ids); }

tl_tensor tl_mse_at(tl_place at, tl_tensor y, tl_tensor target)
{
    if (tl_absent(target)) return TL_NONE;
    if (!tl__same_shape(y,
                        target)) { /* then one of them has a rank, so it is a real tensor, and its tape can be asked */
        if (!tl_rank(y) || !tl_rank(target)) tl_sub_at(at, y, target); /* an error handle's own error comes first */
        return tl_error_at(at, tl_root(tl_rank(y) ? y.tape : target.tape), TL_E_SHAPE, "mse: y %s and target %s differ",
                           tl__print_shape(y).s, tl__print_shape(target).s);
    }
    const tl_tensor m = tl__mask_of(y);
    return mean(at, m, tl_square_at(at, real_part(m, tl_sub_at(at, y, target))));
}

tl_tensor(tl_mse)(tl_tensor y, tl_tensor target) { return tl_mse_at(TL_NOWHERE, y, target); }
