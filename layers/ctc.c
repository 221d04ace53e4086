/* layers/ctc.c - connectionist temporal classification: the forward recursion over the labels with blanks between.
 *
 * A path is blank, label, blank, ..., label, blank: S = 2 L + 1 places, of which an alignment visits one at each step;
 * from one step to the next it stays, goes on by one place, or by two where that leaves out a blank between different
 * labels.
 *     alpha_t[s] = log p_t(path[s]) + ln(e^alpha[s] + e^alpha[s-1] + (may skip to s) e^alpha[s-2]),  alpha = alpha_{t-1}
 * Everything is [S, B], so the shifted alphas are views. */
#include "layers/common.h"

#include <math.h>

typedef struct alignment {
    tl_scope *s;
    tl_tensor log_probs, targets, steps, labels; /* steps, labels: both lengths, i32 [B] */
    int64_t T, B, V, L, S;
} alignment;

/* ---- operands --------------------------------------------------------------------------------------------------- */

static void fail_shape(tl_place at, const alignment *a, const char *what, tl_tensor x, const char *wanted)
{
    tl_error_at(at, a->s, TL_E_SHAPE, "ctc_loss: %s %s is not %s of log_probs %s", what, tl__print_shape(x).s, wanted,
                tl__print_shape(a->log_probs).s);
}

/* Lengths that are absent are the whole axis. */
static tl_tensor lengths(tl_place at, const alignment *a, const char *what, tl_tensor given, int64_t all)
{
    if (tl_absent(given)) return tl_cast(tl_full(a->s, TL_DIMS(a->B), (double)all), TL_I32);
    if (tl__operand(at, a->s, "ctc_loss", what, given, 1) && (tl_rank(given) != 1 || tl_dim(given, 0) != a->B))
        fail_shape(at, a, what, given, "[B]");
    return given;
}

static bool accepts(tl_place at, const alignment *a, const tl_ctc_opts *o)
{
    if (!tl__operand(at, a->s, "ctc_loss", "log_probs", a->log_probs, 3)) return false;
    if (!tl__operand(at, a->s, "ctc_loss", "targets", a->targets, 2)) return false;
    if (tl_rank(a->log_probs) != 3)
        tl_error_at(at, a->s, TL_E_SHAPE, "ctc_loss: log_probs %s is not [T, B, V]", tl__print_shape(a->log_probs).s);
    if (tl_rank(a->targets) != 2 || tl_dim(a->targets, 0) != a->B) fail_shape(at, a, "targets", a->targets, "[B, L]");
    if (o->blank < 0 || o->blank >= a->V)
        tl_error_at(at, a->s, TL_E_ARGUMENT, "ctc_loss: .blank = %lld is not one of %lld symbols", (long long)o->blank,
                    (long long)a->V);
    if ((unsigned)o->reduction > TL_REDUCE_NONE)
        tl_error_at(at, a->s, TL_E_ARGUMENT, "ctc_loss: .reduction = %d is none of tl_reduction", (int)o->reduction);
    return tl__well(a->s);
}

/* ---- the paths -------------------------------------------------------------------------------------------------- */

/* even[0], odd[0], even[1], ..., odd[L-1], even[L] along axis 0. */
static tl_tensor interleave(tl_tensor even, tl_tensor odd)
{
    const int64_t L = tl_dim(odd, 0);
    const tl_tensor pairs = tl_stack(2, (tl_tensor[]){ tl_slice(even, 0, 0, L), odd }, 1);
    const tl_tensor front = tl_reshape(pairs, TL_DIMS(2 * L, tl_dim(odd, 1)));
    return tl_concat(2, (tl_tensor[]){ front, tl_slice(even, 0, L, TL_END) }, 0);
}

/* The symbols of the paths, i32 [S, B]. What pads targets need not be a symbol. */
static tl_tensor path_of(const alignment *a, int64_t blank)
{
    const tl_tensor blanks = tl_cast(tl_full(a->s, TL_DIMS(a->L + 1, a->B), (double)blank), TL_I32);
    const tl_tensor used = tl_length_mask(a->labels, a->L);
    return interleave(blanks, tl_where(used, tl_transpose(a->targets), tl_slice(blanks, 0, 0, a->L)));
}

/* 1 where a path may be entered from two places before [S, B]: blanks are all alike, so never there. */
static tl_tensor may_skip(const alignment *a, tl_tensor path)
{
    const int64_t k = a->S < 2 ? a->S : 2;
    const tl_tensor differs = tl_not_equal(tl_slice(path, 0, k, TL_END), tl_slice(path, 0, 0, a->S - k));
    return tl_concat(2, (tl_tensor[]){ tl_full(a->s, TL_DIMS(k, a->B), 0), differs }, 0);
}

/* 1 at the two places where an alignment may end [S, B]: the last label and the blank after it. */
static tl_tensor ends(const alignment *a)
{
    const tl_tensor last = tl_transpose(tl_one_hot(a->labels, a->L + 1));
    return interleave(last, tl_slice(last, 0, 1, TL_END));
}

/* Before the first step all is at place 0: then step 0 leads to places 0 and 1 by the recursion itself. */
static tl_tensor start(const alignment *a)
{
    return tl_concat(
        2, (tl_tensor[]){ tl_full(a->s, TL_DIMS(1, a->B), 0), tl_full(a->s, TL_DIMS(a->S - 1, a->B), -INFINITY) }, 0);
}

/* -ln of the probability of all alignments [B]. */
static tl_tensor negative_log(const alignment *a, int64_t blank)
{
    const tl_tensor path = path_of(a, blank), skip = may_skip(a, path), live = tl_length_mask(a->steps, a->T);
    const tl_tensor never = tl_full(a->s, TL_SCALAR, -INFINITY), before = tl_full(a->s, TL_DIMS(2, a->B), -INFINITY);
    const tl_tensor ids = tl_broadcast_to(tl_transpose(path), TL_DIMS(a->T, a->B, a->S));
    const tl_tensor emission = tl_transpose(tl_take_along(a->log_probs, ids, 2));
    tl_tensor alpha = start(a);
    for (int64_t t = 0; t < a->T && tl__well(a->s); t++) {
        const tl_tensor wide = tl_concat(2, (tl_tensor[]){ before, alpha }, 0);
        const tl_tensor one = tl_slice(wide, 0, 1, a->S + 1), two = tl_where(skip, tl_slice(wide, 0, 0, a->S), never);
        const tl_tensor next = tl_add(tl_at(emission, t), tl_logaddexp(tl_logaddexp(alpha, one), two));
        alpha = tl_where(tl_at(live, t), next, alpha);
    }
    return tl_neg(tl_logsumexp(tl_where(ends(a), alpha, never), TL_AXES(0)));
}

static tl_tensor reduce(tl_tensor loss, tl_tensor labels, tl_reduction how)
{
    if (how == TL_REDUCE_NONE) return loss;
    if (how == TL_REDUCE_SUM) return tl_sum(loss, TL_ALL);
    const tl_tensor count = tl_cast(labels, tl_dtype_of(loss));
    return tl_mean(tl_div(loss, tl_maximum(count, tl_full_like(count, 1))), TL_ALL);
}

static tl_tensor ctc(tl_place at, alignment *a, tl_tensor steps, tl_tensor labels, const tl_ctc_opts *o)
{
    if (!accepts(at, a, o)) return tl__failed(at, a->s);
    a->steps = lengths(at, a, "input_lengths", steps, a->T);
    a->labels = lengths(at, a, "target_lengths", labels, a->L);
    if (!tl__well(a->s)) return tl__failed(at, a->s);
    const tl_tensor loss = negative_log(a, o->blank), worst = tl_full(a->s, TL_SCALAR, INFINITY);
    /* Where nothing aligns, the loss is a constant: no gradient comes from it. */
    const tl_tensor instead = o->zero_infinity ? tl_full(a->s, TL_SCALAR, 0) : worst;
    return reduce(tl_where(tl_equal(loss, worst), instead, loss), a->labels, o->reduction);
}

tl_tensor tl_ctc_loss_opt(tl_place at, tl_scope *s, tl_tensor log_probs, tl_tensor targets, tl_tensor input_lengths,
                          tl_tensor target_lengths, const tl_ctc_opts *given)
{
    tl_ctc_opts o;
    if (tl_absent(targets)) return TL_NONE;
    if (!tl__options(at, s, "ctc_loss", &o, sizeof o, given)) return tl__failed(at, s);
    o.blank = tl_whole(o.blank, 0);
    alignment a = { .s = s,
                    .log_probs = log_probs,
                    .targets = targets,
                    .T = tl_dim(log_probs, 0),
                    .B = tl_dim(log_probs, 1),
                    .V = tl_dim(log_probs, 2),
                    .L = tl_dim(targets, 1) };
    a.S = 2 * a.L + 1;
    const tl_place_mark m = tl_enter(at, s);
    const tl_tensor loss = ctc(at, &a, input_lengths, target_lengths, &o);
    tl_leave(s, m);
    return tl__well(s) ? loss : tl__failed(at, s);
}
