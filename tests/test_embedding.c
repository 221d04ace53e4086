/* tests/test_embedding.c - rows of a table by id: which learn, which are padding, where the table is used again. */
#include "layers/layers.h"
#include "layers_support.h"

enum { V = 7, D = 3, T = 3, B = 2, N = T * B };
static const int32_t some_ids[N] = { 4, 0, 2, 6, 0, 4 };

typedef struct setup {
    tl_model *model;
    tl_tape *tape;
    tl_scope *s;
    tl_tensor ids, W;
} setup;

/* A model whose table holds 1, 2, 3, ..., and a tape. */
static setup start(void)
{
    setup t = { .model = tl_model_new(.dtype = TL_F64) };
    double rows[V * D];
    for (int i = 0; i < V * D; i++) rows[i] = i + 1;
    cr_assert(set_param(t.model, "embedding/W", DOUBLES(rows, V, D)) == TL_OK);
    t.tape = tl_tape_new(t.model);
    t.s = tl_root(t.tape);
    t.ids = tl_ids_const(t.s, TL_DIMS(T, B), some_ids);
    return t;
}

static void end(setup t)
{
    tl_tape_free(t.tape);
    tl_model_free(t.model);
}

/* The gradient of sum(y g), g = 1, 2, 3, ..., with respect to the table, after checking that y is the rows by id. */
static double *gradient(setup *t, tl_tensor y)
{
    double g[N * D];
    for (int i = 0; i < N * D; i++) g[i] = i + 1;
    const double *v = values_of(y);
    for (int i = 0; i < N * D; i++)
        cr_assert(v[i] == some_ids[i / D] * D + i % D + 1, "element %d is %g: rows are looked up as they are", i, v[i]);
    const tl_tensor loss = tl_sum(tl_mul(y, tl_const(t->s, TL_DIMS(T, B, D), g)), TL_ALL);
    tl_tensor d;
    tl_grad(loss, &t->W, 1, &d);
    cr_assert(!tl_failed(t->tape), "%s", tl_tape_message(t->tape));
    return values_of(d);
}

/* Row r of the gradient: the sum of the g of its ids, or zeros. */
static void row_is(const double *grad, int r, bool learns)
{
    for (int j = 0; j < D; j++) {
        double want = 0;
        for (int i = 0; i < N && learns; i++) want += some_ids[i] == r ? i * D + j + 1 : 0;
        cr_assert(grad[r * D + j] == want, "row %d, %d: %g, not %g", r, j, grad[r * D + j], want);
    }
}

Test(embedding, the_padding_row_gets_no_gradient)
{
    const int64_t option[] = { 0, TL_ZERO, 4, 5, V - 1 }, row[] = { -1, 0, 4, 5, V - 1 };
    for (int k = 0; k < COUNT(option); k++) {
        setup t = start();
        const tl_tensor y = tl_embedding(t.s, t.ids, .vocab = V, .units = D, .padding_id = option[k], .table = &t.W);
        const double *grad = gradient(&t, y);
        for (int r = 0; r < V; r++) row_is(grad, r, r != row[k]);
        end(t);
    }
}

Test(embedding, frozen_rows_get_no_gradient)
{
    setup t = start();
    const int32_t frozen[] = { 2, 4, 4 };
    const tl_tensor y = tl_embedding(t.s, t.ids, .vocab = V, .units = D, .frozen_rows = frozen, .n_frozen_rows = 3,
                                     .padding_id = 6, .table = &t.W);
    const double *grad = gradient(&t, y);
    for (int r = 0; r < V; r++) row_is(grad, r, r != 2 && r != 4 && r != 6);
    end(t);
}

static double *initial(tl_init init, int64_t padding)
{
    tl_model *model = tl_model_new(.dtype = TL_F64, .seed = 5);
    tl_tape *tape = tl_tape_new(model);
    tl_scope *s = tl_root(tape);
    tl_embedding(s, tl_ids_const(s, TL_DIMS(T, B), some_ids), .vocab = V, .units = D, .init = init,
                 .padding_id = padding);
    tl_plan_free(tl_compile(tape));
    double *v = malloc(V * D * sizeof *v);
    tl_array a = DOUBLES(v, V, D);
    cr_assert(tl_model_get(model, "embedding/W", &a) == TL_OK, "%s", tl_message());
    tl_tape_free(tape);
    tl_model_free(model);
    return v;
}

Test(embedding, the_padding_row_starts_as_zeros_and_leaves_the_others_as_they_are)
{
    const double *plain = initial((tl_init){ 0 }, 0), *padded = initial((tl_init){ 0 }, 2);
    for (int i = 0; i < V * D; i++) {
        cr_assert(padded[i] == (i / D == 2 ? 0 : plain[i]), "%d: %g", i, padded[i]);
        cr_assert(plain[i] != 0 && fabs(plain[i]) <= 0.05);
    }
}

Test(embedding, takes_ready_made_rows)
{
    double rows[V * D];
    for (int i = 0; i < V * D; i++) rows[i] = 100 - i;
    const double *w = initial(tl_values(rows), V - 1);
    for (int i = 0; i < V * D; i++) cr_assert(w[i] == (i / D == V - 1 ? 0 : 100 - i));
}

Test(embedding, a_frozen_table_gets_no_gradient)
{
    tl_model *model = tl_model_new();
    tl_tape *tape = tl_tape_new(model);
    tl_scope *s = tl_root(tape);
    const tl_tensor ids = tl_ids_const(s, TL_DIMS(T, B), some_ids);
    const tl_tensor x = tl_embedding(s, ids, .vocab = V, .units = D, .frozen = true);
    tl_backward(tl_sum(tl_dense(s, x, .units = 2), TL_ALL));
    tl_session *session = run_once(tape, NULL, 0);
    const tl_range *range;
    int n;
    tl_session_gradients(session, &range, &n);
    const tl_param_info *p = tl_model_param(model, tl_model_find(model, "embedding/W"));
    cr_assert(p && p->frozen && n == 1);
    cr_assert(range->begin >= p->offset + p->size || range->end <= p->offset);
    tl_session_free(session);
    tl_model_free(model);
}

Test(embedding, mask_zero_hands_on_where_ids_are_zero)
{
    setup t = start();
    const tl_tensor y = tl_embedding(t.s, t.ids, .vocab = V, .units = D, .mask_zero = true);
    const tl_tensor h = tl_gru(t.s, y, .units = 2, .return_sequences = true, .name = "masked");
    cr_assert(tl_is(tl_mask_of(y), t.ids));
    const double *v = values_of(h);
    for (int i = 0; i < N; i++) /* a padded step repeats the output before it, zeros at the start */
        for (int j = 0; j < 2 && some_ids[i] == 0; j++)
            cr_assert(v[i * 2 + j] == (i < B ? 0 : v[(i - B) * 2 + j]), "step %d", i);
    cr_assert(tl_absent(tl_mask_of(tl_embedding(t.s, t.ids, .vocab = V, .units = D, .name = "plain"))));
    end(t);
}

/* ---- tied -------------------------------------------------------------------------------------------------------- */

static tl_tensor tied_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor table;
    const tl_tensor x = tl_embedding(s, in[0], .vocab = V, .units = D, .init = tl_normal(0, 1), .table = &table);
    const tl_tensor h = tl_simple_rnn(s, x, .units = D, .return_sequences = true);
    return tl_cross_entropy(tl_dense(s, h, .tied = table, .bias_init = tl_normal(0, 1)), in[0]);
}

static tl_array ids_array(void)
{
    static int32_t ids[N];
    memcpy(ids, some_ids, sizeof ids);
    return IDS(ids, T, B);
}

Test(embedding, a_tied_table_is_one_parameter_with_one_gradient)
{
    tl_model *model = tl_model_new(.dtype = TL_F64, .seed = 2);
    const tl_array ids = ids_array();
    tl_tape *tape = tl_tape_new(model);
    tl_scope *s = tl_root(tape);
    const tl_tensor in = tl_input(s, "ids", ids);
    tl_backward(tied_fn(s, &in, NULL));
    tl_session_free(run_once(tape, &ids, 1));
    cr_assert(tl_model_find(model, "dense/W") < 0 && tl_model_find(model, "dense/b") >= 0);
    tl_model_free(model);
}

Test(embedding, gradients_of_a_tied_table)
{
    tl_model *model = tl_model_new(.seed = 2);
    const tl_array ids = ids_array();
    const tl_gradcheck_result g = tl_gradcheck(model, tied_fn, &ids, 1, NULL, .second_order = true);
    cr_assert(g.passed && g.probes > 0, "%s %s", tl_message(), g.where);
    tl_model_free(model);
}

/* ---- what makes no sense ----------------------------------------------------------------------------------------- */

#define REFUSED(status, word, ...)                                                                                     \
    do {                                                                                                               \
        setup t = start();                                                                                             \
        __VA_ARGS__;                                                                                                   \
        cr_assert(tl_tape_status(t.tape) == (status), "%s", tl_tape_message(t.tape));                                  \
        cr_has(tl_tape_message(t.tape), (word));                                                                       \
        cr_has(tl_tape_message(t.tape), "test_embedding.c:");                                                          \
        end(t);                                                                                                        \
    } while (0)

Test(embedding, refuses_what_makes_no_sense)
{
    REFUSED(TL_E_ARGUMENT, ".padding_id names row 7 of 7",
            tl_embedding(t.s, t.ids, .vocab = V, .units = D, .padding_id = V));
    REFUSED(TL_E_ARGUMENT, ".padding_id names row -2",
            tl_embedding(t.s, t.ids, .vocab = V, .units = D, .padding_id = -2));
    REFUSED(TL_E_ARGUMENT, ".frozen_rows names row 9",
            tl_embedding(t.s, t.ids, .vocab = V, .units = D, .frozen_rows = (int32_t[]){ 9 }, .n_frozen_rows = 1));
    REFUSED(TL_E_ARGUMENT, ".n_frozen_rows = 2 without",
            tl_embedding(t.s, t.ids, .vocab = V, .units = D, .n_frozen_rows = 2));
    REFUSED(TL_E_SHAPE, "", tl_embedding(t.s, tl_at(tl_at(t.ids, 0), 0), .vocab = V, .units = D, .mask_zero = true));
    REFUSED(TL_E_SHAPE, ".mask_zero needs ids [T, B], not [2]", /* not the lengths of two rows */
            tl_embedding(t.s, tl_ids_const(t.s, TL_DIMS(2), (int32_t[]){ 1, 0 }), .vocab = V, .units = 2,
                         .mask_zero = true));
    REFUSED(TL_E_SHAPE, "dense: .tied has rank 1",
            tl_dense(t.s, tl_full(t.s, TL_DIMS(2, 3), 1), .tied = tl_full(t.s, TL_DIMS(3), 1)));
    REFUSED(TL_E_SHAPE, "dense", tl_dense(t.s, tl_full(t.s, TL_DIMS(2, 3), 1), .tied = tl_full(t.s, TL_DIMS(3, 4), 1)));
    REFUSED(TL_E_SHAPE, "",
            tl_dense(t.s, tl_full(t.s, TL_DIMS(2, 3), 1), .units = 2, .tied = tl_full(t.s, TL_DIMS(4, 3), 1)));
    setup t = start();
    tl_tensor W = TL_NONE;
    tl_embedding(t.s, t.ids, .vocab = V, .units = D, .padding_id = V, .table = &W);
    cr_assert(!tl_absent(W), "what is written through a pointer is an error handle");
    end(t);
}

/* ---- embedding -------------------------------------------------------------------------------------------------- */

static tl_tensor embedding_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    return tl_embedding(s, in[0], .vocab = 5, .units = 3);
}

Test(embedding, picks_rows)
{
    const int32_t ids[] = { 4, 0, 2, 2, 1, 4 };
    tl_model *model = tl_model_new();
    const tl_array in = ids_of(TL_DIMS(3, 2), ids);
    const result r = must_run(model, embedding_fn, &in, 1, NULL, 0);
    cr_assert(r.shape.rank == 3 && r.shape.dim[0] == 3 && r.shape.dim[1] == 2 && r.shape.dim[2] == 3);
    const double *W = param(model, "embedding/W");
    for (int i = 0; i < 18; i++) cr_assert(r.y[i] == W[ids[i / 3] * 3 + i % 3]);
    tl_model_free(model);
}

static tl_tensor embedding_sum(tl_scope *s, const tl_tensor *in, void *user)
{
    return tl_sum(embedding_fn(s, in, user), TL_ALL);
}

Test(embedding, gradients_of_an_id_that_repeats_add_up)
{
    tl_model *model = tl_model_new();
    const tl_array in = ids_of(TL_DIMS(3, 2), (int32_t[]){ 4, 0, 2, 2, 2, 4 });
    must_run(model, embedding_sum, &in, 1, NULL, 0);
    const result r = must_run(model, embedding_sum, &in, 1, NULL, GRADIENTS);
    const double times[] = { 1, 0, 3, 0, 2 };
    for (int i = 0; i < 15; i++) cr_assert(r.grad[i] == times[i / 3], "row %d: %g", i / 3, r.grad[i]);
    tl_model_free(model);
}

Test(embedding, an_id_out_of_range_is_a_status)
{
    tl_model *model = tl_model_new();
    const tl_array in = ids_of(TL_DIMS(2), (int32_t[]){ 4, 5 });
    const result r = run(model, embedding_fn, &in, 1, NULL, 0);
    cr_assert(r.status == TL_E_INDEX, "%s", tl_status_name(r.status));
    cr_assert(strstr(r.message, "test_embedding.c:") && strstr(r.message, "embedding"), "%s", r.message);
    tl_model_free(model);
}

Test(embedding, refuses_sizes_and_ids_that_make_no_sense)
{
    FAILS(TL_E_ARGUMENT, ".vocab is missing", tl_embedding(r.s, r.ids, .units = 3));
    FAILS(TL_E_ARGUMENT, ".units is missing", tl_embedding(r.s, r.ids, .vocab = 3));
    FAILS(TL_E_ARGUMENT, ".vocab = -1", tl_embedding(r.s, r.ids, .units = 3, .vocab = -1));
    FAILS(TL_E_ABSENT, "ids is absent", tl_embedding(r.s, TL_NONE, .units = 3, .vocab = 2));
    FAILS(TL_E_DTYPE, "", tl_embedding(r.s, r.x, .units = 3, .vocab = 2));
}
