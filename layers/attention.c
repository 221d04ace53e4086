/* layers/attention.c - softmax(score(query, keys)) values, for whole sequences, for steps of a decoder, and in heads.
 *
 * Inside, a batch row's keys lie together: queries [B, T, D], keys [B, S, E], values [B, S, V], weights [B, T, S];
 * heads are one more axis after B. Masks are added to the scores: 0 where a key counts, -inf where not; and what they
 * leave out is made zero first, since a weight of 0 times a NaN would still be one. */
#include "layers/common.h"

#include <math.h>
#include <string.h>

/* What tl_attention() and tl_multi_head_attention() have in common; tl_memory points at it, in the tape's arena. */
typedef struct attention {
    const char *call, *name; /* what the user called; the layer's scope */
    tl_score score;
    int64_t heads;                         /* 0: no such axis and no projections of values and result */
    int64_t units, key_units, value_units; /* of the result (of additive scores' projections); of each head */
    bool no_bias, learned_scale, no_scale;
    double dropout;
    tl_init kernel_init;
} attention;

/* All that a call asks for. */
typedef struct request {
    attention layer;
    tl_tensor key, key_mask, key_lengths;
    tl_attend_opts ask;
} request;

/* ---- scores: q [.., T, E], k [.., S, E], what the masks add -> [.., T, S] ---------------------------------------- */

typedef tl_tensor (*score_fn)(tl_scope *s, tl_tensor q, tl_tensor k, tl_tensor bias, const attention *o);

static tl_tensor learned_scale(tl_scope *s, tl_tensor x, const attention *o)
{
    return o->learned_scale ? tl_mul(x, tl_param(s, "scale", TL_SCALAR, .init = tl_ones())) : x;
}

static tl_tensor score_dot(tl_scope *s, tl_tensor q, tl_tensor k, tl_tensor bias, const attention *o)
{
    return tl_gemm(bias, learned_scale(s, q, o), k, false, true);
}

static tl_tensor score_scaled_dot(tl_scope *s, tl_tensor q, tl_tensor k, tl_tensor bias, const attention *o)
{
    return score_dot(s, tl_scale(q, 1 / sqrt((double)tl_dim(k, -1))), k, bias, o);
}

/* [.., T, S, E] */
static tl_tensor sums(tl_tensor q, tl_tensor k) { return tl_add(tl_expand_dims(q, -2), tl_expand_dims(k, -3)); }

static tl_tensor masked(tl_tensor scores, tl_tensor bias) { return tl_absent(bias) ? scores : tl_add(scores, bias); }

static tl_tensor score_additive(tl_scope *s, tl_tensor q, tl_tensor k, tl_tensor bias, const attention *o)
{
    const tl_tensor v = tl_param(s, "v", TL_DIMS(tl_dim(k, -1)),
                                 .init = tl__init_or(o->kernel_init, tl_glorot_uniform()));
    return masked(tl_matmul(tl_tanh(sums(q, k)), v), bias);
}

static tl_tensor score_tanh(tl_scope *s, tl_tensor q, tl_tensor k, tl_tensor bias, const attention *o)
{
    const tl_tensor y = tl_tanh(sums(q, k));
    if (o->no_scale) return masked(tl_sum(y, TL_AXES(-1)), bias);
    const tl_init init = tl__init_or(o->kernel_init, tl_glorot_uniform());
    return masked(tl_matmul(y, tl_param(s, "scale", TL_DIMS(tl_dim(k, -1)), .init = init)), bias);
}

static tl_tensor score_concat(tl_scope *s, tl_tensor q, tl_tensor k, tl_tensor bias, const attention *o)
{
    const tl_tensor y = tl_sum(tl_tanh(learned_scale(s, sums(q, k), o)), TL_AXES(-1));
    return masked(tl_mul(y, tl_param(s, "v", TL_SCALAR, .init = tl_ones())), bias);
}

static const struct {
    score_fn of;
    bool learned_scale, no_scale, units; /* the options that it has */
} scores[] = {
    [TL_SCORE_DOT] = { score_dot, .learned_scale = true },
    [TL_SCORE_SCALED_DOT] = { score_scaled_dot, .learned_scale = true },
    [TL_SCORE_GENERAL] = { score_dot, .learned_scale = true },
    [TL_SCORE_ADDITIVE] = { score_additive, .units = true },
    [TL_SCORE_TANH] = { score_tanh, .no_scale = true },
    [TL_SCORE_CONCAT] = { score_concat, .learned_scale = true },
};
enum { SCORES = sizeof scores / sizeof *scores };

/* ---- layouts ----------------------------------------------------------------------------------------------------- */

/* [T, B, D] -> [B, T, D], or [B, heads, T, D / heads]. One step lies that way already. */
static tl_tensor by_row(tl_tensor x, int64_t heads)
{
    const int64_t T = tl_dim(x, 0), B = tl_dim(x, 1), D = tl_dim(x, 2);
    if (heads && T == 1) return tl_reshape(x, TL_DIMS(B, heads, T, D / heads));
    if (heads) return tl_permute(tl_reshape(x, TL_DIMS(T, B, heads, D / heads)), (int[]){ 1, 2, 0, 3 });
    return T == 1 ? tl_reshape(x, TL_DIMS(B, T, D)) : tl_permute(x, (int[]){ 1, 0, 2 });
}

/* [B, T, D] -> [T, B, D];  [B, heads, T, D] -> [T, B, heads, D] */
static tl_tensor by_time(tl_tensor x)
{
    const int64_t B = tl_dim(x, 0), T = tl_dim(x, -2), D = tl_dim(x, -1);
    if (tl_rank(x) == 3) return T == 1 ? tl_reshape(x, TL_DIMS(T, B, D)) : tl_permute(x, (int[]){ 1, 0, 2 });
    if (T == 1) return tl_reshape(x, TL_DIMS(T, B, tl_dim(x, 1), D));
    return tl_permute(x, (int[]){ 2, 0, 1, 3 });
}

/* x without its first axis if it stands for a single query. */
static tl_tensor of_query(tl_tensor x, bool single) { return single ? tl_squeeze(x, 0) : x; }

/* ---- masks ------------------------------------------------------------------------------------------------------- */

/* 0 where mask is not zero, else -inf */
static tl_tensor bias_of(tl_scope *s, tl_tensor mask)
{
    return tl_where(mask, tl_full(s, TL_SCALAR, 0), tl_full(s, TL_SCALAR, -INFINITY));
}

static bool has_dims(tl_tensor x, int64_t first, int64_t second)
{
    return tl_rank(x) == 2 && tl_dim(x, 0) == first && tl_dim(x, 1) == second;
}

/* The mask [S, B] of the keys; absent: all count. */
static tl_tensor key_mask(tl_place at, tl_scope *s, tl_tensor value, const request *r)
{
    const attention *o = &r->layer;
    const int64_t S = tl_dim(value, 0), B = tl_dim(value, 1);
    tl_tensor mask = r->key_mask;
    if (!tl_absent(mask) && !tl_absent(r->key_lengths))
        return tl_error_at(at, s, TL_E_ARGUMENT, "%s: .key_mask and .key_lengths are both given", o->call);
    if (!tl_absent(r->key_lengths)) mask = tl_length_mask_at(at, r->key_lengths, S);
    else if (tl_absent(mask)) mask = tl__mask_of(value);
    if (tl_absent(mask)) return TL_NONE;
    if (!tl__operand(at, s, o->call, "the mask of keys", mask, 1)) return tl__failed(at, s);
    if (!has_dims(mask, S, B))
        return tl_error_at(at, s, TL_E_SHAPE, "%s: the mask of keys %s is not [S, B] of value %s", o->call,
                           tl__print_shape(mask).s, tl__print_shape(value).s);
    return mask;
}

/* What it adds to the scores: [B, 1, S], with heads [B, 1, 1, S]. */
static tl_tensor key_bias(tl_scope *s, tl_tensor mask, const attention *o)
{
    if (tl_absent(mask)) return mask;
    const int64_t S = tl_dim(mask, 0), B = tl_dim(mask, 1);
    const tl_tensor bias = bias_of(s, tl_transpose(mask));
    return o->heads ? tl_reshape(bias, TL_DIMS(B, 1, 1, S)) : tl_reshape(bias, TL_DIMS(B, 1, S));
}

/* x with zeros where the mask of its rows, which may be absent, is 0. */
static tl_tensor real_rows(tl_scope *s, tl_tensor mask, tl_tensor x)
{
    return tl_absent(mask) ? x : tl__where_rows(mask, x, tl_full(s, TL_SCALAR, 0));
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static bool options_fit(tl_place at, tl_scope *s, const attention *o)
{
    if ((int)o->score < 0 || (int)o->score >= SCORES)
        tl_error_at(at, s, TL_E_ARGUMENT, "%s: .score = %d is none", o->call, (int)o->score);
    else if ((o->learned_scale && !scores[o->score].learned_scale) || (o->no_scale && !scores[o->score].no_scale) ||
             (o->units && !o->heads && !scores[o->score].units))
        tl_error_at(at, s, TL_E_ARGUMENT, "%s: this score has no option %s", o->call,
                    o->learned_scale ? ".learned_scale"
                    : o->no_scale    ? ".no_scale"
                                     : ".units");
    tl__rate(at, s, o->call, ".dropout", o->dropout);
    if (o->units < 0) tl__size(at, s, o->call, ".units", o->units);
    return tl__well(s);
}

static bool sequence(tl_place at, tl_scope *s, const char *call, const char *what, tl_tensor x)
{
    if (!tl__operand(at, s, call, what, x, 3)) return false;
    if (tl_rank(x) == 3) return true;
    tl_error_at(at, s, TL_E_SHAPE, "%s: %s %s is not [steps, B, units]", call, what, tl__print_shape(x).s);
    return false;
}

/* Sizes that are not given, and whether those that are make sense. E: the keys' last dimension, D: the result's */
static bool sizes_fit(tl_place at, tl_scope *s, attention *o, int64_t E, int64_t D)
{
    if (!o->heads) {
        if (!o->units) o->units = E;
        return true;
    }
    if (!o->units) o->units = D;
    if (!o->key_units && o->heads > 0) {
        if (D % o->heads)
            tl_error_at(at, s, TL_E_ARGUMENT, "%s: .heads = %lld does not divide %lld: say .key_units", o->call,
                        (long long)o->heads, (long long)D);
        o->key_units = D / o->heads;
    }
    if (!o->value_units) o->value_units = o->key_units;
    return tl__size(at, s, o->call, ".heads", o->heads) && tl__size(at, s, o->call, ".key_units", o->key_units) &&
           tl__size(at, s, o->call, ".value_units", o->value_units) && tl__well(s);
}

static tl_tensor project(tl_scope *s, const char *name, tl_tensor x, int64_t units, bool bias, const attention *o)
{
    return tl_dense(s, x, .name = name, .units = units, .no_bias = !bias || o->no_bias, .kernel_init = o->kernel_init);
}

static tl_memory no_memory(tl_place at, tl_scope *s)
{
    const tl_tensor error = tl__failed(at, s);
    return (tl_memory){ .keys = error, .values = error, .bias = error };
}

/* In scope s, which is the layer's own. D: the units of the result with heads, where they are not given */
static tl_memory remember(tl_place at, tl_scope *s, tl_tensor value, const request *r, int64_t D)
{
    attention o = r->layer;
    if (!options_fit(at, s, &o) || !sequence(at, s, o.call, "value", value)) return no_memory(at, s);
    const bool apart = !tl_absent(r->key);
    tl_tensor key = apart ? r->key : value;
    if (apart && sequence(at, s, o.call, ".key", key) &&
        (tl_dim(key, 0) != tl_dim(value, 0) || tl_dim(key, 1) != tl_dim(value, 1)))
        tl_error_at(at, s, TL_E_SHAPE, "%s: .key %s and value %s differ before their last axis", o.call,
                    tl__print_shape(key).s, tl__print_shape(value).s);
    if (!tl__well(s) || !sizes_fit(at, s, &o, tl_dim(key, -1), D)) return no_memory(at, s);
    const char *path = tl_scope_path(s), *slash = strrchr(path, '/');
    o.name = slash ? slash + 1 : path; /* which lives as long as the tape */
    tl_memory m = { .units = o.heads ? o.units : tl_dim(value, -1), .options = tl_scope_copy(s, &o, sizeof o) };
    const tl_tensor mask = key_mask(at, s, value, r);
    if (!tl__well(s)) return no_memory(at, s);
    m.bias = key_bias(s, mask, &o);
    value = real_rows(s, mask, value);
    key = apart ? real_rows(s, mask, key) : value;
    if (o.heads) {
        m.keys = by_row(project(s, "key", key, o.heads * o.key_units, true, &o), o.heads);
        m.values = by_row(project(s, "value", value, o.heads * o.value_units, true, &o), o.heads);
    } else {
        m.keys = m.values = by_row(value, 0);
        if (o.score == TL_SCORE_ADDITIVE) m.keys = by_row(project(s, "key", key, o.units, true, &o), 0);
        else if (apart) m.keys = by_row(key, 0);
    }
    return tl__well(s) ? m : no_memory(at, s);
}

/* ---- attending --------------------------------------------------------------------------------------------------- */

static bool query_fits(tl_place at, tl_scope *s, const tl_memory *m, tl_tensor query, const tl_attend_opts *o)
{
    const char *call = ((const attention *)m->options)->call;
    const int64_t B = tl_dim(m->keys, 0);
    if (!tl__operand(at, s, call, "query", query, 2)) return false;
    const int rank = tl_rank(query);
    if (rank > 3 || tl_dim(query, rank - 2) != B)
        tl_error_at(at, s, TL_E_SHAPE, "%s: query %s is neither [T, B, D] nor [B, D] with the %lld rows of the value",
                    call, tl__print_shape(query).s, (long long)B);
    if (o->causal && rank == 2) tl_error_at(at, s, TL_E_ARGUMENT, "%s: .causal needs queries in time, [T, B, D]", call);
    if (tl_absent(o->query_mask) || !tl__operand(at, s, call, ".query_mask", o->query_mask, 1)) return tl__well(s);
    const bool fits = rank == 3 ? has_dims(o->query_mask, tl_dim(query, 0), B)
                                : tl_rank(o->query_mask) == 1 && tl_dim(o->query_mask, 0) == B;
    if (!fits)
        tl_error_at(at, s, TL_E_SHAPE, "%s: .query_mask %s is not that of query %s", call,
                    tl__print_shape(o->query_mask).s, tl__print_shape(query).s);
    return tl__well(s);
}

/* Query t sees keys 0..t. */
static tl_tensor causal_bias(tl_scope *s, tl_tensor bias, int64_t T, int64_t S)
{
    const tl_tensor b = bias_of(s, tl_tril(tl_full(s, TL_DIMS(T, S), 1), 0));
    return tl_absent(bias) ? b : tl_add(bias, b);
}

/* How many units the query is projected to; 0: it is not. */
static int64_t query_units(const tl_memory *m, const attention *o)
{
    if (o->heads) return o->heads * o->key_units;
    return o->score == TL_SCORE_GENERAL || o->score == TL_SCORE_ADDITIVE ? tl_dim(m->keys, -1) : 0;
}

static tl_tensor attend(tl_place at, tl_scope *s, const tl_memory *m, tl_tensor query, const tl_attend_opts *given)
{
    const attention *o = m->options;
    const bool single = tl_rank(query) == 2;
    if (!query_fits(at, s, m, query, given)) return tl__failed(at, s);
    const tl_tensor mask = single || !tl_absent(given->query_mask) ? given->query_mask : tl__mask_of(query);
    tl_tensor q = given->weights ? query : real_rows(s, mask, query); /* Keras' weights are those of masked ones too */
    if (single) q = tl_expand_dims(q, 0);
    if (query_units(m, o)) q = project(s, "query", q, query_units(m, o), o->heads, o);
    tl_tensor bias = m->bias;
    if (given->causal) bias = causal_bias(s, bias, tl_dim(q, 0), tl_dim(m->keys, -2));
    const tl_tensor w = tl_softmax(scores[o->score].of(s, by_row(q, o->heads), m->keys, bias, o));
    if (given->weights) *given->weights = of_query(by_time(w), single);
    const tl_tensor c = by_time(tl_matmul(tl_dropout(s, w, .rate = o->dropout), m->values));
    tl_tensor y = c;
    if (o->heads) {
        const int64_t T = tl_dim(c, 0), B = tl_dim(c, 1);
        y = project(s, "output", tl_reshape(c, TL_DIMS(T, B, o->heads * o->value_units)), o->units, true, o);
    }
    y = real_rows(s, mask, of_query(y, single));
    return single ? y : tl__hand_on(y, query);
}

bool tl__memory_lives(tl_place at, tl_scope *s, const char *call, tl_memory m)
{
    if (!m.options) tl_error_at(at, s, TL_E_ARGUMENT, "%s: the memory was not made by tl_attention_memory()", call);
    return tl__well(s) && tl__operand(at, s, call, "the memory", m.keys, 3);
}

/* In scope s, which is the layer's own. */
static tl_tensor attend_well(tl_place at, tl_scope *s, const tl_memory *m, tl_tensor query, const tl_attend_opts *o)
{
    const tl_tensor y = tl__memory_lives(at, s, "attend", *m) ? attend(at, s, m, query, o) : TL_NONE;
    const tl_tensor result = tl__well(s) ? y : tl__failed(at, s);
    if (o->weights && !tl__well(s)) *o->weights = result;
    return result;
}

/* ---- one function for each way of calling it --------------------------------------------------------------------- */

static request of_attention(const tl_attention_opts *o)
{
    return (request){ .layer = { .call = "attention",
                                 .name = o->name ? o->name : "attention",
                                 .score = o->score,
                                 .units = o->units,
                                 .no_bias = o->no_bias,
                                 .learned_scale = o->learned_scale,
                                 .no_scale = o->no_scale,
                                 .dropout = o->dropout,
                                 .kernel_init = o->kernel_init },
                      .key = o->key,
                      .key_mask = o->key_mask,
                      .key_lengths = o->key_lengths,
                      .ask = { .query_mask = o->query_mask, .causal = o->causal, .weights = o->weights } };
}

static request of_heads(const tl_multi_head_opts *o)
{
    return (request){ .layer = { .call = "multi_head_attention",
                                 .name = o->name ? o->name : "multi_head_attention",
                                 .score = TL_SCORE_SCALED_DOT,
                                 .heads = o->heads ? o->heads : 1,
                                 .units = o->units,
                                 .key_units = o->key_units,
                                 .value_units = o->value_units,
                                 .no_bias = o->no_bias,
                                 .dropout = o->dropout,
                                 .kernel_init = o->kernel_init },
                      .key = o->key,
                      .key_mask = o->key_mask,
                      .key_lengths = o->key_lengths,
                      .ask = { .query_mask = o->query_mask, .causal = o->causal, .weights = o->weights } };
}

static const char *kind(const request *r) { return r->layer.heads ? "MultiHeadAttention" : "Attention"; }

static tl_memory memory(tl_place at, tl_scope *s, tl_tensor value, const request *r)
{
    const tl_place_mark mark = tl_enter(at, s);
    if (r->ask.causal || r->ask.weights || !tl_absent(r->ask.query_mask))
        tl_error_at(at, s, TL_E_ARGUMENT, "%s: .causal, .query_mask and .weights are options of tl_attend()",
                    r->layer.call);
    tl_scope *inner = tl__inside(at, s, r->layer.name);
    const tl_memory m = remember(at, inner, value, r, tl_dim(value, -1));
    tl_scope_layer(inner, kind(r), m.keys);
    tl_leave(s, mark);
    return m;
}

/* A memory for this call alone. */
static tl_tensor attend_once(tl_place at, tl_scope *s, tl_tensor query, tl_tensor value, const request *r)
{
    const tl_place_mark mark = tl_enter(at, s);
    tl_scope *inner = tl__inside(at, s, r->layer.name);
    const tl_memory m = remember(at, inner, value, r, tl_dim(query, -1));
    const tl_tensor y = attend_well(at, inner, &m, query, &r->ask);
    tl_leave(s, mark);
    return tl_scope_layer(inner, kind(r), y);
}

tl_memory tl_attention_memory_opt(tl_place at, tl_scope *s, tl_tensor value, const tl_attention_opts *given)
{
    tl_attention_opts o;
    if (!tl__options(at, s, "attention_memory", &o, sizeof o, given)) return no_memory(at, s);
    const request r = of_attention(&o);
    return memory(at, s, value, &r);
}

tl_memory tl_multi_head_memory_opt(tl_place at, tl_scope *s, tl_tensor value, const tl_multi_head_opts *given)
{
    tl_multi_head_opts o;
    if (!tl__options(at, s, "multi_head_memory", &o, sizeof o, given)) return no_memory(at, s);
    const request r = of_heads(&o);
    return memory(at, s, value, &r);
}

tl_tensor tl_attention_opt(tl_place at, tl_scope *s, tl_tensor query, tl_tensor value, const tl_attention_opts *given)
{
    tl_attention_opts o;
    tl__options(at, s, "attention", &o, sizeof o, given); /* if not, error handles are still written */
    const request r = of_attention(&o);
    return attend_once(at, s, query, value, &r);
}

tl_tensor tl_multi_head_attention_opt(tl_place at, tl_scope *s, tl_tensor query, tl_tensor value,
                                      const tl_multi_head_opts *given)
{
    tl_multi_head_opts o;
    tl__options(at, s, "multi_head_attention", &o, sizeof o, given);
    const request r = of_heads(&o);
    return attend_once(at, s, query, tl_absent(value) ? query : value, &r);
}

const char *tl__memory_name(tl_memory m) { return ((const attention *)m.options)->name; }

tl_tensor tl_attend_opt(tl_place at, tl_scope *s, tl_memory m, tl_tensor query, const tl_attend_opts *given)
{
    tl_attend_opts o;
    const tl_place_mark mark = tl_enter(at, s);
    tl__options(at, s, "attend", &o, sizeof o, given);
    tl_scope *inner = tl__memory_lives(at, s, "attend", m) ? tl__inside(at, s, tl__memory_name(m)) : s;
    const tl_tensor y = attend_well(at, inner, &m, query, &o);
    tl_leave(s, mark);
    return y;
}
