/* tests/test_penalty.c - what is added to a loss, and what is enforced after an update. */
#include "layers/layers.h"
#include "optim/optim.h"
#include "support.h"

/* ---- penalties --------------------------------------------------------------------------------------------------- */

static tl_tensor two_layers(tl_scope *s, const tl_tensor *in)
{
    const tl_tensor h = tl_dense(s, in[0], .units = 4, .name = "first", .bias_init = tl_constant(0.5));
    return tl_dense(s, h, .units = 2, .name = "second", .bias_init = tl_constant(-2));
}

/* l1 sum |w| + l2 sum w^2 over the parameters of the model that end in `end` */
static double expected(tl_model *model, const char *end, double l1, double l2)
{
    double sum = 0;
    const double *w = tl_model_values(model);
    for (int i = 0; i < tl_model_count(model); i++) {
        const tl_param_info *p = tl_model_param(model, i);
        if (strcmp(p->name + strlen(p->name) - strlen(end), end)) continue;
        for (int64_t k = p->offset; k < p->offset + p->size; k++) sum += l1 * fabs(w[k]) + l2 * w[k] * w[k];
    }
    return sum;
}

Test(penalty, sums_over_the_parameters_that_match)
{
    tl_model *model = tl_model_new(.dtype = TL_F64, .seed = 3);
    tl_tape *tape = tl_tape_new(model);
    tl_scope *s = tl_root(tape);
    const tl_tensor x = tl_full(s, TL_DIMS(2, 3), 1);
    two_layers(tl_in(s, "net"), &x);
    tl_output(s, "W", tl_penalty(s, "*/W", .l1 = 0.25, .l2 = 0.5));
    tl_output(s, "all", tl_penalty(tl_in(s, "net"), NULL, .l2 = 2));
    tl_output(s, "first", tl_penalty(tl_in(s, "net"), "first/b", .l1 = 3));
    tl_output(s, "none", tl_penalty(s, "*"));
    tl_session *session = run_once(tape, NULL, 0);
    const struct {
        const char *name;
        double want;
    } sums[] = { { "W", expected(model, "W", 0.25, 0.5) },
                 { "all", expected(model, "", 0, 2) },
                 { "first", 3 * 4 * 0.5 },
                 { "none", 0 } };
    for (int k = 0; k < COUNT(sums); k++) {
        const double have = tl_get_scalar(session, sums[k].name);
        cr_assert(fabs(have - sums[k].want) <= 1e-12 * sums[k].want, "%s: %.17g, not %.17g", sums[k].name, have,
                  sums[k].want);
    }
    tl_session_free(session);
    tl_model_free(model);
}

static tl_tensor penalised(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor y = two_layers(s, in);
    const tl_tensor activity = tl_add(tl_l1(y, 0.1 / 2), tl_l2(y, 0.2 / 2));
    return tl_add(tl_add(tl_sum(tl_square(y), TL_ALL), activity), tl_penalty(s, "*/?", .l1 = 0.3, .l2 = 0.7));
}

Test(penalty, gradients)
{
    tl_model *model = tl_model_new(.seed = 3);
    float x[6] = { 1, -2, 0.5f, 0.25f, 3, -1 };
    const tl_array in = FLOATS(x, 2, 3);
    const tl_gradcheck_result g = tl_gradcheck(model, penalised, &in, 1, NULL, .inputs = true, .second_order = true);
    cr_assert(g.passed && g.probes > 0, "%s %s", tl_message(), g.where);
    tl_model_free(model);
}

Test(penalty, refuses_what_makes_no_sense)
{
    static const char *const word[] = { "matches \"*/U\"", ".l1 = nan", ".l2 = inf", ".size" };
    static const tl_status status[] = { TL_E_NAME, TL_E_ARGUMENT, TL_E_ARGUMENT, TL_E_ARGUMENT };
    for (int k = 0; k < COUNT(word); k++) {
        tl_model *model = tl_model_new();
        tl_tape *tape = tl_tape_new(model);
        tl_scope *s = tl_root(tape);
        const tl_tensor x = tl_full(s, TL_DIMS(2, 3), 1);
        two_layers(s, &x);
        if (k == 0) tl_penalty(s, "*/U", .l1 = 1);
        if (k == 1) tl_penalty(s, "*", .l1 = NAN);
        if (k == 2) tl_penalty(s, "*", .l2 = INFINITY);
        if (k == 3) tl_penalty_opt(TL_HERE, s, "*", &(tl_penalty_opts){ .l1 = 1 });
        cr_assert(tl_tape_status(tape) == status[k], "%s", tl_tape_message(tape));
        cr_has(tl_tape_message(tape), word[k]);
        cr_has(tl_tape_message(tape), "test_penalty.c:");
        tl_tape_free(tape);
        tl_model_free(model);
    }
}

/* ---- max norm ---------------------------------------------------------------------------------------------------- */

/* w [outer, n, stride] before and after: every vector along the middle axis. */
static void constrained(const double *before, const double *after, int outer, int n, int stride, double limit,
                        double rtol)
{
    int scaled = 0, kept = 0;
    for (int o = 0; o < outer; o++)
        for (int j = 0; j < stride; j++) {
            double square = 0;
            for (int i = 0; i < n; i++) square += pow(before[(o * n + i) * stride + j], 2);
            const double factor = sqrt(square) > limit ? limit / sqrt(square) : 1;
            for (int i = 0; i < n; i++) {
                const int at = (o * n + i) * stride + j;
                cr_assert(fabs(after[at] - factor * before[at]) <= rtol * fabs(before[at]), "%d: %g, not %g", at,
                          after[at], factor * before[at]);
                cr_assert(factor < 1 || after[at] == before[at]);
            }
            *(factor < 1 ? &scaled : &kept) += 1;
        }
    cr_assert(scaled && kept, "%d scaled, %d kept", scaled, kept);
}

static void max_norm_of(tl_dtype dtype, int rank, const int64_t *dim, int axis, double limit)
{
    tl_model *model = tl_model_new(.dtype = dtype);
    double before[2000], after[2000];
    uint64_t seed = 4;
    int part[3] = { 1, 1, 1 };
    for (int a = 0; a < rank; a++) part[a < axis ? 0 : a == axis ? 1 : 2] *= (int)dim[a];
    const int stride = part[2], n = part[0] * part[1] * part[2];
    for (int i = 0; i < n; i++)
        before[i] = (float)((i / stride / part[1] + i % stride) % 3 * 0.5 * noise(&seed)); /* a third of them zeros */
    tl_array w = array_over(before, TL_F64, rank, dim), got = array_over(after, TL_F64, rank, dim);
    cr_assert(!tl_model_set(model, "a/W", &w) && !tl_model_set(model, "b/W", &w) && !tl_model_set(model, "c/W", &w));
    tl_model_freeze(model, "c/W", true);
    cr_assert(tl_model_max_norm(model, "[ac]/*", limit, axis) == TL_OK, "%s", tl_message());
    cr_assert(tl_model_get(model, "a/W", &got) == TL_OK);
    constrained(before, after, part[0], part[1], stride, limit, dtype == TL_F64 ? 1e-15 : 2e-7);
    cr_assert(!tl_model_get(model, "b/W", &got) && !memcmp(before, after, (size_t)n * sizeof *before), "another path");
    cr_assert(!tl_model_get(model, "c/W", &got) && !memcmp(before, after, (size_t)n * sizeof *before), "frozen");
    tl_model_free(model);
}

Test(max_norm, scales_the_vectors_that_are_too_long)
{
    for (int k = 0; k < 2; k++) {
        const tl_dtype dtype = k ? TL_F64 : TL_F32;
        max_norm_of(dtype, TL_DIMS(5, 39), 0, 0.5);
        max_norm_of(dtype, TL_DIMS(40, 7), 0, 2);
        max_norm_of(dtype, TL_DIMS(40, 7), 1, 0.6);
        max_norm_of(dtype, TL_DIMS(3, 8, 5), 1, 0.8);
    }
}

Test(max_norm, refuses_what_makes_no_sense)
{
    tl_model *model = tl_model_new();
    double v = 7;
    cr_assert(set_param(model, "v", DOUBLES(&v, 1)) == TL_OK);
    cr_assert(tl_model_max_norm(NULL, "*", 1, 0) == TL_E_ARGUMENT);
    cr_assert(tl_model_max_norm(model, "*", 0, 0) == TL_E_ARGUMENT);
    cr_assert(tl_model_max_norm(model, "*", NAN, 0) == TL_E_ARGUMENT);
    cr_assert(tl_model_max_norm(model, "*", 1, -1) == TL_E_ARGUMENT);
    cr_assert(tl_model_max_norm(model, "w", 1, 0) == TL_E_NAME);
    cr_assert(tl_model_max_norm(model, NULL, 1, 1) == TL_OK && ((float *)tl_model_values(model))[0] == 7);
    cr_assert(tl_model_max_norm(model, NULL, 2, 0) == TL_OK && ((float *)tl_model_values(model))[0] == 2);
    tl_model_free(model);
}
