/* examples/gallery/hessian_vector.c - Hessian-vector products through time (Pearlmutter 1994), without the Hessian:
 *     H v = d(g . v) / dw,   g = dL/dw        two calls of tl_grad(), the second one on the results of the first
 * Power iteration, v <- H v / |H v|, finds the largest eigenvalue of H: the sharpness of the minimum that training has
 * reached. v is a state (tl_state), so each run of the plan is one iteration. Beside it stands the difference
 *     H v ~ (g(w + e v) - g(w - e v)) / 2e
 * of gradients of the same network with its weights moved (tl_overlay). */
#include <math.h>

#include "gallery.h"

enum { T = 16, B = 8, PARAMS = 8, ITERATIONS = 100 };

/* in: x and y [T, B, 1] */
static tl_tensor network(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor h = tl_simple_rnn(s, in[0], .units = 8, .return_sequences = true);
    return tl_mse(tl_dense(s, h, .units = 1), in[1]);
}

/* dy/dw as one vector */
static tl_tensor gradient(tl_tensor y, const tl_tensor *w, int n)
{
    tl_tensor g[PARAMS];
    tl_grad(y, w, n, g);
    for (int i = 0; i < n; i++) g[i] = tl_reshape(g[i], TL_DIMS(-1));
    return tl_concat(n, g, 0);
}

/* The gradient at w + d, d a vector of all. */
static tl_tensor gradient_at(tl_scope *s, const tl_tensor *in, const tl_tensor *w, int n, tl_tensor d)
{
    tl_tensor moved[PARAMS];
    int64_t from = 0;
    for (int i = 0; i < n; from += tl_size(w[i++])) {
        const tl_shape shape = tl_shape_of(w[i]);
        tl_tensor part = tl_slice(d, 0, from, from + tl_size(w[i]));
        moved[i] = tl_add(w[i], tl_reshape(part, shape.rank, shape.dim));
    }
    return gradient(network(tl_overlay(s, n, w, moved), in, NULL), moved, n);
}

static tl_tensor power_iteration(tl_scope *s, const tl_tensor *in, void *user)
{
    const double e = 1e-4;
    tl_tensor w[PARAMS], loss = network(s, in, user);
    const int n = tl_params(s, NULL, w, PARAMS);
    tl_tensor g = gradient(loss, w, n);

    tl_tensor v = tl_state(s, "v", tl_random_normal(s, TL_DIMS(tl_size(g))));
    v = tl_div(v, tl_norm(v, TL_ALL));
    tl_tensor Hv = gradient(tl_dot(g, v), w, n);
    tl_next(s, "v", Hv);

    tl_tensor ahead = gradient_at(s, in, w, n, tl_scale(v, e)), behind = gradient_at(s, in, w, n, tl_scale(v, -e));
    tl_tensor difference = tl_scale(tl_sub(ahead, behind), 0.5 / e), eigenvalue = tl_dot(v, Hv);
    tl_output(s, "eigenvalue", eigenvalue);
    tl_output(s, "residual", tl_norm(tl_sub(Hv, tl_mul(eigenvalue, v)), TL_ALL));
    tl_output(s, "error", tl_norm(tl_sub(Hv, difference), TL_ALL));
    return TL_NONE;
}

/* On a copy in f64, for the difference to mean something. */
static bool sharpness(tl_model *trained, const tl_array *in, tl_random *random)
{
    static double x[2][T * B];
    const tl_array wide[2] = { tl_array_of(TL_F64, TL_DIMS(T, B, 1), x[0]),
                               tl_array_of(TL_F64, TL_DIMS(T, B, 1), x[1]) };
    (void)random;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < T * B; i++) x[k][i] = ((const float *)in[k].data)[i];
    tl_model *model = tl_model_copy(trained, TL_F64);
    tl_trainer *t = tl_trainer_new(model, power_iteration);
    tl_session *session = tl_trainer_session(t, TL_PREDICT);
    for (int i = 0; i < ITERATIONS && !tl_predict_step(t, wide, 2); i++) continue;
    const double eigenvalue = tl_get_scalar(session, "eigenvalue"), residual = tl_get_scalar(session, "residual"),
                 error = tl_get_scalar(session, "error");
    printf(
        "largest eigenvalue of the Hessian %.6f: |H v - eigenvalue v| is %.1e, difference of gradients off by %.1e\n",
        eigenvalue, residual, error);
    tl_trainer_free(t);
    tl_model_free(model);
    return residual < 1e-4 * eigenvalue && error < 1e-6 * eigenvalue; /* not if any is NaN */
}

static void fill(const tl_array *in, tl_random *random)
{
    float *x = in[0].data, *y = in[1].data;
    for (int i = 0; i < T * B; i++) x[i] = (float)(2 * tl_random_next(random) - 1);
    for (int i = 0; i < T * B; i++) y[i] = i < B ? 0 : x[i] * x[i - B];
}

int main(void)
{
    const tl_array sequences = tl_array_of(TL_F32, TL_DIMS(T, B, 1), NULL);
    return gallery_run(&(gallery){
        .title = "Hessian-vector products through time: how sharp is the minimum?",
        .model = network,
        .fill = fill,
        .in = { sequences, sequences },
        .steps = 800,
        .factor = 0.1,
        .prove = sharpness,
    });
}
