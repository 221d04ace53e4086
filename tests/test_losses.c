/* tests/test_losses.c - losses against their formulas, PyTorch and Keras. */
#include "fixtures.h"
#include "layers_support.h"

/* ---- losses ----------------------------------------------------------------------------------------------------- */

static tl_tensor cross_entropy_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)s, (void)user;
    return tl_cross_entropy(in[0], in[1]);
}

static tl_tensor mse_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)s, (void)user;
    return tl_mse(in[0], in[1]);
}

Test(losses, cross_entropy_is_the_mean_of_minus_ln_p)
{
    tl_model *model = tl_model_new(.dtype = TL_F64);
    const int32_t ids[] = { 3, 0, 1, 2, 2, 3 };
    const tl_array in[] = { F64(4, 3, 2, 4), ids_of(TL_DIMS(3, 2), ids) };
    const double *z = in[0].data;
    double expected = 0;
    for (int i = 0; i < 6; i++) {
        double sum = 0;
        for (int j = 0; j < 4; j++) sum += exp(z[i * 4 + j]);
        expected += log(sum) - z[i * 4 + ids[i]];
    }
    expected /= 6;
    const result r = must_run(model, cross_entropy_fn, in, 2, NULL, 0);
    cr_assert(r.shape.rank == 0);
    close_to(r.y, &expected, 1, 1e-14, 0, "loss");                      /* rounding of a dozen operations */
    memcpy(in[0].data, (double[]){ 1e4, 0, 0, 0 }, 4 * sizeof(double)); /* the first position costs 10,000 */
    const result big = must_run(model, cross_entropy_fn, in, 2, NULL, 0);
    cr_assert(isfinite(big.y[0]) && big.y[0] > 1e4 / 6);
    tl_model_free(model);
}

Test(losses, mse_is_the_mean_of_squares)
{
    tl_model *model = tl_model_new(.dtype = TL_F64);
    const tl_array in[] = { F64(4, 3, 2), F64(5, 3, 2) };
    double expected = 0;
    for (int i = 0; i < 6; i++) expected += pow(((double *)in[0].data)[i] - ((double *)in[1].data)[i], 2) / 6;
    close_to(must_run(model, mse_fn, in, 2, NULL, 0).y, &expected, 1, 1e-14, 0, "loss");
    tl_model_free(model);
}

Test(losses, an_absent_target_gives_an_absent_loss)
{
    recording r = start_recording(false);
    cr_assert(tl_absent(tl_cross_entropy(r.x, TL_NONE)) && tl_absent(tl_mse(r.x, TL_NONE)));
    cr_assert(!tl_failed(r.tape));
    end_recording(r);
}

Test(losses, refuse_what_does_not_fit)
{
    FAILS(TL_E_SHAPE, "y [3,2,4] and target [3,2]", tl_mse(r.x, tl_full(r.s, TL_DIMS(3, 2), 0)));
    FAILS(TL_E_SHAPE, "mse: y [3,2,4] and target [3,2,1]", tl_mse(r.x, tl_full(r.s, TL_DIMS(3, 2, 1), 0)));
    FAILS(TL_E_SHAPE, "cross_entropy: ids [3,2] do not name one class for each of logits [2,4]",
          tl_cross_entropy(tl_at(r.x, 0), r.ids));
    FAILS(TL_E_DTYPE, "cross_entropy: ids [3,2], which are not i32,",
          tl_cross_entropy(r.x, tl_full(r.s, TL_DIMS(3, 2), 0)));
    FAILS(TL_E_ABSENT, "", tl_dense(r.s, r.x, .units = tl_rank(tl_mse(TL_NONE, r.x)) + 1));
    FAILS(TL_E_ABSENT, "", tl_add(r.x, tl_cross_entropy(TL_NONE, TL_NONE)));
    FAILS(TL_E_ABSENT, "all operands were absent", tl_mse(tl_relu(TL_NONE), r.x));
}

/* ---- values of PyTorch and Keras, which the conformance runner has not got --------------------------------------- */

static tl_tensor fixture_fn(tl_scope *s, const tl_tensor *in, void *user)
{
    const tl_tensor loss = user ? tl_cross_entropy(in[0], in[1]) : tl_mse(in[0], in[1]);
    tl_tensor g;
    tl_grad(loss, in, 1, &g);
    tl_output(s, "gradient", g);
    return loss;
}

static tl_array array_of(const fx_tensor *t)
{
    tl_array a = array_over((void *)(uintptr_t)t->f, TL_F64, t->ndim, t->dim);
    if (!t->isint) return a;
    a.dtype = TL_I32;
    int32_t *ids = a.data = malloc((size_t)t->count * sizeof *ids);
    for (int64_t k = 0; k < t->count; k++) ids[k] = (int32_t)t->i[k];
    return a;
}

static void same(tl_session *session, const char *output, const fx_case *c, const char *role, const char *name)
{
    const fx_tensor *t = fx_get(c, role, name);
    tl_array a;
    cr_assert(t && !tl_get(session, output, &a), "%s: %s", c->name, tl_message());
    close_to(a.data, t->f, t->count, 1e-9, 1e-12, c->name);
}

Test(losses, are_those_of_pytorch_and_keras)
{
    static const struct {
        const char *suite, *name, *y, *target;
    } cases[] = { { "torch_open", "loss_ce_mean", "logits", "target" },
                  { "torch_open", "edge_ce_big", "logits", "target" },
                  { "torch_open", "loss_mse_mean", "y", "target" },
                  { "keras_oracle_open", "sparse_ce_logits_sum_over_batch_size", "y_pred", "y_true" },
                  { "keras_oracle_open", "mse_sum_over_batch_size", "y_pred", "y_true" } };
    for (int k = 0; k < COUNT(cases); k++) {
        fx_suite *suite = suite_of(cases[k].suite);
        const fx_case *c = NULL;
        for (size_t i = 0; i < suite->n; i++)
            if (!strcmp(suite->cases[i].name, cases[k].name)) c = &suite->cases[i];
        cr_assert(c, "%s", cases[k].name);
        const tl_array in[] = { array_of(fx_get(c, "in", cases[k].y)), array_of(fx_get(c, "in", cases[k].target)) };
        tl_model *model = tl_model_new(.dtype = TL_F64);
        const running r = start_running(model, fixture_fn, in, 2, in[1].dtype == TL_I32 ? suite : NULL, 0);
        cr_assert(r.plan && !tl_run(r.session, r.plan, in, 2), "%s: %s", c->name, tl_message());
        same(r.session, "y", c, "loss", "loss");
        same(r.session, "gradient", c, "gin", cases[k].y);
        end_running(r);
        tl_model_free(model);
    }
}
