/* layers/loss.c - what is minimised. An absent target gives an absent loss. */
#include "layers/common.h"

tl_tensor tl_cross_entropy_at(tl_place at, tl_tensor logits, tl_tensor ids)
{
    if (tl_absent(ids)) return TL_NONE;
    return tl_neg_at(at, tl_mean_at(at, tl_pick_at(at, tl_log_softmax_at(at, logits), ids), TL_ALL));
}

tl_tensor(tl_cross_entropy)(tl_tensor logits, tl_tensor ids) { return tl_cross_entropy_at(TL_NOWHERE, logits, ids); }

static bool same_shape(tl_tensor a, tl_tensor b)
{
    bool same = tl_rank(a) == tl_rank(b);
    for (int i = 0; i < tl_rank(a); i++) same &= tl_dim(a, i) == tl_dim(b, i);
    return same;
}

tl_tensor tl_mse_at(tl_place at, tl_tensor y, tl_tensor target)
{
    if (tl_absent(target)) return TL_NONE;
    if (!same_shape(y, target)) { /* then one of them has a rank, so it is a real tensor, and its tape can be asked */
        if (!tl_rank(y) || !tl_rank(target)) tl_sub_at(at, y, target); /* an error handle's own error comes first */
        return tl_error_at(at, tl_root(tl_rank(y) ? y.tape : target.tape), TL_E_SHAPE, "mse: y %s and target %s differ",
                           tl__print_shape(y).s, tl__print_shape(target).s);
    }
    return tl_mean_at(at, tl_square_at(at, tl_sub_at(at, y, target)), TL_ALL);
}

tl_tensor(tl_mse)(tl_tensor y, tl_tensor target) { return tl_mse_at(TL_NOWHERE, y, target); }
