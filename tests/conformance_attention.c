/* tests/conformance_attention.c - attention of PyTorch and Keras, with one head or several. */
#include "conformance.h"

/* Dot products; scale is 1 or "1/sqrt(E)". */
static void torch_attention(replay *r)
{
    tl_tensor w;
    const tl_tensor y = tl_attention(
        r->s, swapped(input(r, "q")), swapped(input(r, "v")), .key = swapped(input(r, "k")),
        .score = fx_num(r->c, "scale", 0) == 1 && !fx_is(r->c, "scale", "1/sqrt(E)") ? TL_SCORE_DOT
                                                                                     : TL_SCORE_SCALED_DOT,
        .key_mask = swapped(input(r, "key_mask")), .causal = fx_num(r->c, "causal", 0) != 0, .weights = &w);
    output(r, "y", swapped(y));
    output(r, "weights", swapped(w));
}

/* score = v tanh(q Wq + k Wk + b); the keys are the values */
static void bahdanau(replay *r)
{
    tl_tensor w;
    param(r, "attention/query/W", "Wq", (part){ 0 });
    param(r, "attention/key/W", "Wk", (part){ 0 });
    param(r, "attention/key/b", "b", (part){ 0 });
    param(r, "attention/v", "v", (part){ 0 });
    const tl_tensor y = tl_attention(r->s, swapped(input(r, "q")), swapped(input(r, "k")), .score = TL_SCORE_ADDITIVE,
                                     .units = dim_of(r, "par", "Wq", 1), .no_bias = !has(r, "par", "b"),
                                     .key_mask = swapped(input(r, "key_mask")), .weights = &w);
    output(r, "ctx", swapped(y));
    output(r, "weights", swapped(w));
}

/* score = q Wa k; y = tanh([context, q] Wc) */
static void luong(replay *r)
{
    tl_tensor w;
    param(r, "attention/query/W", "Wa", (part){ 0 });
    param(r, "dense/W", "Wc", (part){ 0 });
    const tl_tensor q = swapped(input(r, "q"));
    const tl_tensor context = tl_attention(r->s, q, swapped(input(r, "k")), .score = TL_SCORE_GENERAL,
                                           .key_mask = swapped(input(r, "key_mask")), .weights = &w);
    output(r, "y",
           swapped(tl_dense(r->s, tl_concat(2, (tl_tensor[]){ context, q }, -1), .units = dim_of(r, "par", "Wc", 1),
                            .no_bias = true, .activation = tl_tanh)));
    output(r, "weights", swapped(w));
}

/* in_proj has query, key and value one below the other, [3 E, E]; a padding mask is 1 where a key is left out. */
static void torch_multi_head(replay *r)
{
    static const char *const paths[] = { "query", "key", "value" };
    tl_tensor ignored = swapped(input(r, "key_padding_mask")), w;
    for (int k = 0; k < COUNT(paths); k++) {
        param(r, text(r, "multi_head_attention/%s/W", paths[k]), "in_proj_weight",
              (part){ k, 3, 0, .transposed = true });
        param(r, text(r, "multi_head_attention/%s/b", paths[k]), "in_proj_bias", (part){ k, 3, 0 });
    }
    param(r, "multi_head_attention/output/W", "out_proj_weight", (part){ .transposed = true });
    param(r, "multi_head_attention/output/b", "out_proj_bias", (part){ 0 });
    if (!tl_absent(ignored)) ignored = tl_equal(ignored, tl_ids_const(r->s, TL_SCALAR, (int32_t[]){ 0 }));
    const tl_tensor y = tl_multi_head_attention(r->s, swapped(input(r, "q")), swapped(input(r, "v")),
                                                .heads = fx_int(r->c, "num_heads", 1), .key = swapped(input(r, "k")),
                                                .key_mask = ignored, .causal = fx_is(r->c, "variant", "causal"),
                                                .no_bias = !has(r, "par", "in_proj_bias"), .weights = &w);
    output(r, "y", swapped(y));
    output(r, "weights", swapped(tl_mean(w, TL_AXES(2))));
}

static tl_score score_of(const replay *r)
{
    return !strcmp(r->c->op, "keras_additive_attention") ? TL_SCORE_TANH
           : fx_is(r->c, "score_mode", "concat")         ? TL_SCORE_CONCAT
                                                         : TL_SCORE_DOT;
}

/* Attention and AdditiveAttention: query, value and key (default: value) with masks of queries and values. Keras zeroes the results
 * of masked queries, but those of the causal fixtures are not: there the query mask was not in use. */
static void keras_attention(replay *r)
{
    tl_tensor w;
    const tl_score score = score_of(r);
    const bool scaled = has(r, "par", "scale"), tanh = score == TL_SCORE_TANH, causal = fx_num(r->c, "causal", 0) != 0;
    const tl_tensor mask = swapped(input(r, "q_mask")), query_mask = causal ? TL_NONE : mask;
    param(r, "attention/scale", "scale", (part){ 0 });
    param(r, "attention/v", "concat_score_weight", (part){ 0 });
    const tl_tensor y = tl_attention(r->s, swapped(input(r, "q")), swapped(input(r, "v")),
                                     .key = swapped(input(r, "k")), .score = score, .learned_scale = scaled && !tanh,
                                     .no_scale = !scaled && tanh, .query_mask = query_mask,
                                     .key_mask = swapped(input(r, "v_mask")), .causal = causal, .weights = &w);
    output(r, "y", swapped(y));
    output(r, "scores", swapped(w));
}

/* Kernels [dim, heads, units] and biases [heads, units] are ours under another shape. */
static void keras_multi_head(replay *r)
{
    static const char *const theirs[] = { "query", "key", "value" };
    const int64_t heads = dim_of(r, "par", "query.kernel", 1), dim = dim_of(r, "par", "attention_output.kernel", 2);
    for (int k = 0; k < COUNT(theirs); k++) {
        const char *kernel = text(r, "%s.kernel", theirs[k]);
        const int64_t in = dim_of(r, "par", kernel, 0), out = heads * dim_of(r, "par", kernel, 2);
        param(r, text(r, "multi_head_attention/%s/W", theirs[k]), kernel, (part){ .rank = 2, .dim = { in, out } });
        param(r, text(r, "multi_head_attention/%s/b", theirs[k]), text(r, "%s.bias", theirs[k]),
              (part){ .axis = FLAT });
    }
    const int64_t values = heads * dim_of(r, "par", "value.kernel", 2);
    param(r, "multi_head_attention/output/W", "attention_output.kernel", (part){ .rank = 2, .dim = { values, dim } });
    param(r, "multi_head_attention/output/b", "attention_output.bias", (part){ 0 });
    tl_tensor w;
    const tl_tensor y = tl_multi_head_attention(
        r->s, swapped(input(r, "q")), swapped(input(r, "v")), .heads = heads,
        .key_units = dim_of(r, "par", "key.kernel", 2), .value_units = dim_of(r, "par", "value.kernel", 2),
        .units = dim, .key = swapped(input(r, "k")), .query_mask = swapped(input(r, "q_mask")),
        .key_mask = swapped(input(r, "v_mask")), .causal = fx_num(r->c, "causal", 0) != 0,
        .no_bias = !has(r, "par", "query.bias"), .weights = &w);
    output(r, "y", swapped(y));
    output(r, "scores", tl_permute(w, (int[]){ 1, 2, 0, 3 })); /* [B, heads, T, S] */
}

const op_row attention_rows[] = {
    { "attention", torch_attention },       { "additive_attention", bahdanau },
    { "luong_attention", luong },           { "multihead_attention", torch_multi_head },
    { "keras_attention", keras_attention }, { "keras_additive_attention", keras_attention },
    { "keras_mha", keras_multi_head },      { 0 },
};
