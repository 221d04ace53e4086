/* tests/test_attention.c - attention against PyTorch and Keras, its masks, memories of decoders, the cell around a cell. */
#include "fixtures.h"
#include "layers/layers.h"
#include "support.h"

/* ---- reference values ------------------------------------------------------------------------------------------- */

#ifdef HAVE_FIXTURES

/* A parameter of a fixture, or one of `parts` equal parts of its rows, and where the library keeps it. */
typedef struct mapped {
    const char *theirs, *ours;
    int part, parts;
    bool transposed;
} mapped;

#define ALL 0, 1, false
#define IN_PROJ(part) (part), 3, true
static const mapped parameters[] = {
    { "Wq", "attention/query/W", ALL },
    { "Wk", "attention/key/W", ALL },
    { "b", "attention/key/b", ALL },
    { "v", "attention/v", ALL },
    { "Wa", "attention/query/W", ALL },
    { "Wc", "combine/W", ALL },
    { "scale", "attention/scale", ALL },
    { "concat_score_weight", "attention/v", ALL },
    { "in_proj_weight", "multi_head_attention/query/W", IN_PROJ(0) },
    { "in_proj_weight", "multi_head_attention/key/W", IN_PROJ(1) },
    { "in_proj_weight", "multi_head_attention/value/W", IN_PROJ(2) },
    { "in_proj_bias", "multi_head_attention/query/b", 0, 3, false },
    { "in_proj_bias", "multi_head_attention/key/b", 1, 3, false },
    { "in_proj_bias", "multi_head_attention/value/b", 2, 3, false },
    { "out_proj_weight", "multi_head_attention/output/W", 0, 1, true },
    { "out_proj_bias", "multi_head_attention/output/b", ALL },
    { "query.kernel", "multi_head_attention/query/W", ALL },
    { "query.bias", "multi_head_attention/query/b", ALL },
    { "key.kernel", "multi_head_attention/key/W", ALL },
    { "key.bias", "multi_head_attention/key/b", ALL },
    { "value.kernel", "multi_head_attention/value/W", ALL },
    { "value.bias", "multi_head_attention/value/b", ALL },
    { "attention_output.kernel", "multi_head_attention/output/W", ALL },
    { "attention_output.bias", "multi_head_attention/output/b", ALL },
};

/* Element i of our parameter, [rows, cols], in theirs. */
static int64_t their_index(const mapped *m, const fx_tensor *t, int64_t cols, int64_t i)
{
    const int64_t first = t->count / m->parts * m->part, width = t->count / t->dim[0];
    return first + (m->transposed ? i % cols * width + i / cols : i);
}

/* Gives the parameter that has been recorded its value; its shape is the tape's business. */
static void take_values(tl_model *model, const fx_case *c)
{
    for (int k = 0; k < COUNT(parameters); k++) {
        const mapped *m = &parameters[k];
        const fx_tensor *t = fx_get(c, "par", m->theirs);
        const int index = t ? tl_model_find(model, m->ours) : -1;
        if (index < 0) continue;
        const tl_param_info *p = tl_model_param(model, index);
        cr_assert(p->size == t->count / m->parts, "%s: %s has %d elements", c->name, m->ours, (int)p->size);
        for (int64_t i = 0; i < p->size; i++)
            ((double *)tl_model_values(model))[p->offset + i] = t->f[their_index(m, t, p->shape.dim[1], i)];
    }
    tl_model_touch(model);
}

static void near(const fx_case *c, const char *what, int64_t i, double have, double want)
{
    cr_expect(fabs(have - want) <= 1e-9 * fabs(want) + 1e-12, "%s: %s[%d] is %.12g, not %.12g", c->name, what, (int)i,
              have, want);
}

/* What leaves of a case the run must have left in the session: an output. */
static void same_output(const fx_case *c, tl_session *s, const char *role, const char *name)
{
    char key[64];
    tl_array y;
    const fx_tensor *want = fx_get(c, role, name);
    snprintf(key, sizeof key, "%s.%s", role, name);
    cr_assert(tl_get(s, key, &y) == TL_OK && elements(&y) == want->count, "%s: %s: %s", c->name, key, tl_message());
    for (int64_t i = 0; i < want->count; i++) near(c, key, i, ((double *)y.data)[i], want->f[i]);
}

static int same_gradients(const fx_case *c, tl_model *model, tl_session *s)
{
    int n = 0;
    const double *g = tl_session_gradients(s, NULL, NULL);
    for (int k = 0; k < COUNT(parameters); k++) {
        const mapped *m = &parameters[k];
        const fx_tensor *t = fx_get(c, "gpar", m->theirs);
        const int index = t ? tl_model_find(model, m->ours) : -1;
        if (index < 0) continue;
        const tl_param_info *p = tl_model_param(model, index);
        for (int64_t i = 0; i < p->size; i++)
            near(c, m->ours, i, g[p->offset + i], t->f[their_index(m, t, p->shape.dim[1], i)]);
        n++;
    }
    return n;
}

enum { OPERANDS = 3 };
static const char *const operands[OPERANDS] = { "q", "v", "k" };

/* A case on a tape: operands in time, as the library has them, and masks. */
typedef struct replay {
    const fx_case *c;
    tl_scope *s;
    tl_tensor leaf[OPERANDS], in[OPERANDS], key_mask, query_mask;
} replay;

static tl_tensor in_time(tl_tensor x) { return tl_absent(x) ? x : tl_permute(x, (int[]){ 1, 0, 2 }); }

/* A mask [B, S] of integers, in time; where: the number that stands for a key in use */
static tl_tensor mask_of(tl_scope *s, const fx_tensor *t, int64_t use)
{
    double v[64];
    if (!t) return TL_NONE;
    for (int64_t i = 0; i < t->count; i++) v[i] = t->i[i] == use;
    return tl_transpose(tl_const(s, t->ndim, t->dim, v));
}

static replay replay_of(const fx_case *c, tl_scope *s)
{
    replay r = { .c = c, .s = s };
    for (int k = 0; k < OPERANDS; k++) {
        const fx_tensor *t = fx_get(c, "in", operands[k]);
        if (t) r.leaf[k] = tl_const(s, t->ndim, t->dim, t->f);
        r.in[k] = in_time(r.leaf[k]);
    }
    r.key_mask = mask_of(s, fx_get(c, "in", "key_mask"), 1);
    if (tl_absent(r.key_mask)) r.key_mask = mask_of(s, fx_get(c, "in", "v_mask"), 1);
    if (tl_absent(r.key_mask)) r.key_mask = mask_of(s, fx_get(c, "in", "key_padding_mask"), 0); /* 1: ignore */
    r.query_mask = mask_of(s, fx_get(c, "in", "q_mask"), 1);
    return r;
}

static bool on(const fx_case *c, const char *key)
{
    const char *v = fx_attr(c, key);
    return v && (!strcmp(v, "True") || !strcmp(v, "true") || !strcmp(v, "1"));
}

static bool says(const fx_case *c, const char *key, const char *value)
{
    return fx_attr(c, key) && strstr(fx_attr(c, key), value);
}

static tl_tensor one_head(const replay *r, tl_tensor *weights)
{
    const fx_case *c = r->c;
    const bool keras = !strncmp(c->op, "keras", 5);
    tl_attention_opts o = {
        .size = sizeof o, .key = r->in[2], .key_mask = r->key_mask, .causal = on(c, "causal"), .weights = weights
    };
    if (!o.causal) o.query_mask = r->query_mask; /* the fixture with both has results where the query is masked */
    if (!strcmp(c->op, "keras_additive_attention")) o.score = TL_SCORE_TANH;
    if (!strcmp(c->op, "luong_attention")) o.score = TL_SCORE_GENERAL;
    if (!strcmp(c->op, "attention") && says(c, "scale", "sqrt")) o.score = TL_SCORE_SCALED_DOT;
    if (says(c, "score_mode", "concat")) o.score = TL_SCORE_CONCAT;
    if (!strcmp(c->op, "additive_attention")) o.score = TL_SCORE_ADDITIVE, o.units = 4;
    o.no_scale = o.score == TL_SCORE_TANH && !fx_get(c, "par", "scale");
    o.learned_scale = keras && o.score != TL_SCORE_TANH && fx_get(c, "par", "scale");
    const bool values = !tl_absent(r->in[1]);
    if (!values) o.key = TL_NONE;
    const tl_tensor y = tl_attention_opt(TL_HERE, r->s, r->in[0], values ? r->in[1] : r->in[2], &o);
    if (strcmp(c->op, "luong_attention")) return y;
    return tl_dense(r->s, tl_concat(2, (tl_tensor[]){ y, r->in[0] }, -1), .name = "combine", .units = 6,
                    .no_bias = true, .activation = tl_tanh);
}

/* Weights of all heads in batch order, or their mean where the fixture has that. */
static tl_tensor several_heads(const replay *r, tl_tensor *weights)
{
    const fx_case *c = r->c;
    const bool keras = !strncmp(c->op, "keras", 5);
    tl_tensor w;
    const tl_tensor y = tl_multi_head_attention(
        r->s, r->in[0], r->in[1], .heads = (int64_t)fx_num(c, "num_heads", 0),
        .key_units = (int64_t)fx_num(c, "key_dim", 0), .value_units = (int64_t)fx_num(c, "value_dim", 0),
        .key = r->in[2], .key_mask = r->key_mask, .causal = on(c, "causal") || says(c, "variant", "causal"),
        .weights = &w);
    *weights = keras ? tl_permute(w, (int[]){ 1, 2, 0, 3 }) : in_time(tl_mean(w, TL_AXES(2)));
    return y;
}

static const char *name_in(const fx_case *c, const char *a, const char *b) { return fx_get(c, "out", a) ? a : b; }

static tl_tensor weighted(tl_scope *s, const fx_case *c, const char *name, tl_tensor y)
{
    const fx_tensor *t = fx_get(c, "cot", name);
    return tl_sum(tl_mul(y, tl_const(s, t->ndim, t->dim, t->f)), TL_ALL);
}

/* Records a case with the gradients of its operands and, if there are any, parameters. */
static tl_plan *record_case(tl_model *model, const fx_case *c, bool backward)
{
    tl_tape *tape = tl_tape_new(model);
    tl_scope *s = tl_root(tape);
    const replay r = replay_of(c, s);
    const bool heads = strstr(c->op, "multihead") || strstr(c->op, "mha");
    const char *y_name = name_in(c, "y", "ctx"), *w_name = name_in(c, "weights", "scores");
    tl_tensor w, d;
    const tl_tensor y = in_time(heads ? several_heads(&r, &w) : one_head(&r, &w));
    if (!heads) w = in_time(w);
    const tl_tensor loss = tl_add(weighted(s, c, y_name, y), weighted(s, c, w_name, w));
    char key[64];
    snprintf(key, sizeof key, "out.%s", y_name);
    tl_output(s, key, y);
    snprintf(key, sizeof key, "out.%s", w_name);
    tl_output(s, key, w);
    for (int k = 0; k < OPERANDS; k++) {
        if (tl_absent(r.leaf[k]) || !fx_get(c, "gin", operands[k])) continue;
        tl_grad(loss, &r.leaf[k], 1, &d);
        snprintf(key, sizeof key, "gin.%s", operands[k]);
        tl_output(s, key, d);
    }
    if (backward) tl_backward(loss);
    tl_plan *plan = tl_compile(tape);
    cr_assert(plan, "%s: %s", c->name, tl_message());
    tl_tape_free(tape);
    return plan;
}

static int replay_case(const fx_case *c)
{
    tl_model *model = tl_model_new(.dtype = TL_F64);
    tl_plan_free(record_case(model, c, false)); /* makes the parameters */
    const int params = tl_model_count(model);
    take_values(model, c);
    tl_plan *plan = record_case(model, c, params > 0);
    tl_session *session = tl_session_new(model);
    cr_assert(tl_run(session, plan, NULL, 0) == TL_OK, "%s: %s", c->name, tl_message());
    same_output(c, session, "out", name_in(c, "y", "ctx"));
    same_output(c, session, "out", name_in(c, "weights", "scores"));
    for (int k = 0; k < OPERANDS; k++)
        if (fx_get(c, "gin", operands[k])) same_output(c, session, "gin", operands[k]);
    cr_expect(!params || same_gradients(c, model, session) == params, "%s: %d parameters", c->name, params);
    tl_session_free(session);
    tl_plan_free(plan);
    tl_model_free(model);
    return 1;
}

static void replay_suite(const char *name, const char *const *ops, int n_ops, int expected)
{
    const fx_suite *suite = suite_of(name);
    int found = 0;
    for (size_t i = 0; i < suite->n; i++)
        for (int k = 0; k < n_ops; k++)
            if (!strcmp(suite->cases[i].op, ops[k])) found += replay_case(&suite->cases[i]);
    cr_expect(found >= expected, "%d cases", found);
}

Test(attention, values_and_gradients_of_pytorch)
{
    static const char *const ops[] = { "attention", "additive_attention", "luong_attention", "multihead_attention" };
    replay_suite("torch_open", ops, COUNT(ops), 10);
}

Test(attention, values_and_gradients_of_keras)
{
    static const char *const ops[] = { "keras_attention", "keras_additive_attention", "keras_mha" };
    replay_suite("keras_oracle_open", ops, COUNT(ops), 10);
}

#else
Test(attention, values_and_gradients_of_pytorch) { cr_skip_test("no fixture.h"); }
#endif
