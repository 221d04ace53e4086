/* tests/layers_support.h - what suites of layers share: running a model function, and recording one that must fail. */
#ifndef TESTS_LAYERS_SUPPORT_H
#define TESTS_LAYERS_SUPPORT_H

#include "layers/layers.h"
#include "support.h"

/* ---- running a model function ----------------------------------------------------------------------------------- */

SOME tl_array floats(tl_dtype dtype, int rank, const int64_t *dim, uint64_t seed)
{
    tl_array a = { .dtype = dtype, .rank = rank };
    int64_t n = 1;
    for (int k = 0; k < rank; k++) n *= a.dim[k] = dim[k];
    a.data = malloc((size_t)(n ? n : 1) * sizeof(double));
    for (int64_t i = 0; i < n; i++) {
        if (dtype == TL_F64) ((double *)a.data)[i] = noise(&seed);
        else ((float *)a.data)[i] = (float)noise(&seed);
    }
    return a;
}
#define F32(seed, ...) floats(TL_F32, TL_DIMS(__VA_ARGS__), seed)
#define F64(seed, ...) floats(TL_F64, TL_DIMS(__VA_ARGS__), seed)

SOME tl_array ids_of(int rank, const int64_t *dim, const int32_t *ids)
{
    tl_array a = { .dtype = TL_I32, .rank = rank };
    size_t n = 1;
    for (int k = 0; k < rank; k++) n *= (size_t)(a.dim[k] = dim[k]);
    a.data = memcpy(malloc(n * sizeof *ids), ids, n * sizeof *ids);
    return a;
}

/* What a model function computed: its result, and the gradients of all parameters if asked for. */
typedef struct result {
    tl_status status;
    char message[1024];
    tl_shape shape;
    double *y;
    int64_t n;
    double *grad;
    int64_t n_grad;
} result;

enum { TRAINING = 1, GRADIENTS = 2 };

SOME double *as_doubles(const void *data, tl_dtype dtype, int64_t n)
{
    double *v = malloc((size_t)(n ? n : 1) * sizeof *v);
    for (int64_t i = 0; i < n; i++)
        v[i] = dtype == TL_F64 ? ((const double *)data)[i] : (double)((const float *)data)[i];
    return v;
}

typedef struct running {
    tl_model *model;
    tl_plan *plan;
    tl_session *session;
    tl_status status; /* of the recording */
} running;

SOME running start_running(tl_model *model, tl_model_fn fn, const tl_array *in, int n, void *user, int flags)
{
    running r = { .model = model };
    tl_tensor handle[8];
    tl_tape *tape = tl_tape_new(model, .training = flags & TRAINING);
    for (int i = 0; i < n; i++) handle[i] = tl_input(tl_root(tape), "in", in[i]);
    const tl_tensor y = fn(tl_root(tape), handle, user);
    tl_output(tl_root(tape), "y", y);
    if (flags & GRADIENTS) tl_backward(y);
    r.plan = tl_compile(tape);
    r.session = r.plan ? tl_session_new(model) : NULL;
    r.status = tl_tape_status(tape);
    tl_tape_free(tape);
    return r;
}

SOME void end_running(running r)
{
    tl_session_free(r.session);
    tl_plan_free(r.plan);
}

SOME void read_result(result *r, tl_session *session, tl_model *model, int flags)
{
    tl_array y;
    if ((r->status = tl_get(session, "y", &y))) return;
    r->shape = (tl_shape){ .dtype = y.dtype, .rank = y.rank };
    memcpy(r->shape.dim, y.dim, sizeof y.dim);
    r->n = tl_shape_size(&r->shape);
    r->y = as_doubles(y.data, y.dtype, r->n);
    if (!(flags & GRADIENTS)) return;
    r->n_grad = tl_model_size(model);
    r->grad = as_doubles(tl_session_gradients(session, NULL, NULL), tl_model_dtype(model), r->n_grad);
}

SOME result run(tl_model *model, tl_model_fn fn, const tl_array *in, int n, void *user, int flags)
{
    result r = { 0 };
    const running p = start_running(model, fn, in, n, user, flags);
    r.status = p.plan ? tl_run(p.session, p.plan, in, n) : p.status;
    if (!r.status) read_result(&r, p.session, model, flags);
    if (r.status) snprintf(r.message, sizeof r.message, "%s", tl_message());
    end_running(p);
    return r;
}

SOME result must_run(tl_model *model, tl_model_fn fn, const tl_array *in, int n, void *user, int flags)
{
    const result r = run(model, fn, in, n, user, flags);
    cr_assert(r.status == TL_OK, "%s: %s", tl_status_name(r.status), r.message);
    return r;
}

SOME void same_bits(result a, result b)
{
    cr_assert(a.n == b.n && a.n_grad == b.n_grad, "%lld and %lld results, %lld and %lld gradients", (long long)a.n,
              (long long)b.n, (long long)a.n_grad, (long long)b.n_grad);
    for (int64_t i = 0; i < a.n; i++)
        cr_assert(!memcmp(&a.y[i], &b.y[i], sizeof *a.y), "y[%lld]: %.17g and %.17g", (long long)i, a.y[i], b.y[i]);
    for (int64_t i = 0; i < a.n_grad; i++)
        cr_assert(!memcmp(&a.grad[i], &b.grad[i], sizeof *a.y), "grad[%lld]: %.17g and %.17g", (long long)i, a.grad[i],
                  b.grad[i]);
}

SOME void close_to(const double *a, const double *b, int64_t n, double rtol, double atol, const char *what)
{
    for (int64_t i = 0; i < n; i++)
        cr_assert(fabs(a[i] - b[i]) <= atol + rtol * fabs(b[i]), "%s[%lld]: %.17g, expected %.17g", what, (long long)i,
                  a[i], b[i]);
}

/* Every parameter away from its initial value, so that a bias in the wrong place shows. */
SOME void stir(tl_model *model, uint64_t seed)
{
    void *values = tl_model_values(model);
    for (int64_t i = 0; i < tl_model_size(model); i++) {
        const double v = 0.8 * noise(&seed);
        if (tl_model_dtype(model) == TL_F64) ((double *)values)[i] = v;
        else ((float *)values)[i] = (float)v;
    }
    tl_model_touch(model);
}

SOME double *param(tl_model *model, const char *name)
{
    tl_array a = { .dtype = TL_F64 };
    cr_assert(tl_model_get(model, name, &a) == TL_OK, "%s: %s", name, tl_message());
    tl_shape shape = { .rank = a.rank };
    memcpy(shape.dim, a.dim, sizeof a.dim);
    a.data = malloc((size_t)tl_shape_size(&shape) * sizeof(double));
    cr_assert(tl_model_get(model, name, &a) == TL_OK);
    return a.data;
}

SOME double *paramf(tl_model *model, const char *scope, const char *gate, const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s%s%s/%s", scope, *gate ? "/" : "", gate, name);
    return param(model, path);
}

/* ---- recording only: errors ------------------------------------------------------------------------------------- */

typedef struct recording {
    tl_model *model;
    tl_tape *tape;
    tl_scope *s;
    tl_tensor x, ids; /* f32 [3, 2, 4], i32 [3, 2] */
} recording;

SOME recording start_recording(bool training)
{
    recording r = { .model = tl_model_new(.seed = 7) };
    r.tape = tl_tape_new(r.model, .training = training);
    r.s = tl_root(r.tape);
    r.x = tl_input(r.s, "x", (tl_array){ .dtype = TL_F32, .rank = 3, .dim = { 3, 2, 4 } });
    r.ids = tl_input(r.s, "ids", (tl_array){ .dtype = TL_I32, .rank = 2, .dim = { 3, 2 } });
    return r;
}

SOME void end_recording(recording r)
{
    tl_tape_free(r.tape);
    tl_model_free(r.model);
}

/* The tape must have failed with this status, with all the given words in its sentence. */
SOME void fails(recording r, tl_status status, const char *word, const char *word2)
{
    cr_assert(tl_tape_status(r.tape) == status, "status %s, expected %s: %s", tl_status_name(tl_tape_status(r.tape)),
              tl_status_name(status), tl_tape_message(r.tape));
    cr_assert(strstr(tl_tape_message(r.tape), word), "no \"%s\" in: %s", word, tl_tape_message(r.tape));
    cr_assert(strstr(tl_tape_message(r.tape), word2), "no \"%s\" in: %s", word2, tl_tape_message(r.tape));
    cr_assert(!tl_compile(r.tape));
    cr_assert(tl_model_count(r.model) == 0);
    end_recording(r);
    cr_assert(tl_live_bytes() == 0, "%zu bytes leak", tl_live_bytes());
}

#define FAILS(status, word, ...)                                                                                       \
    do {                                                                                                               \
        recording r = start_recording(true);                                                                           \
        __VA_ARGS__;                                                                                                   \
        fails(r, status, word, tl_base_name(__FILE__));                                                                \
    } while (0)

SOME bool is_error(tl_tensor t) { return !tl_absent(t) && tl_rank(t) == 0 && tl_dim(t, 0) == 1; }

/* ---- gradients against differences (tl_gradcheck's own tolerances) ---------------------------------------------- */

/* Frees the model. */
SOME void checked(tl_model *model, tl_model_fn fn, const tl_array *in, int n, void *user, bool training)
{
    const tl_gradcheck_result g = tl_gradcheck(model, fn, in, n, user, .inputs = true, .training = training);
    cr_assert(g.passed, "%s: %s (%.17g, differences %.17g)", tl_message(), g.where, g.analytic, g.numeric);
    cr_assert(g.probes > 0 && g.kinks == 0);
    tl_model_free(model);
}

#endif
