/* examples/gallery/hessian_vector.c - Hessian-vector products through time (Pearlmutter 1994), without the Hessian:
 *     H v = d(g . v) / dw,   g = dL/dw        two calls of tl_grad(), the second one on the results of the first
 * Power iteration, v <- H v / |H v|, finds the largest eigenvalue of H: the sharpness of the minimum that training has
 * reached. v is a state (tl_state), so each run of the plan is one iteration. At the end H v is v times the eigenvalue. */
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

static tl_tensor power_iteration(tl_scope *s, const tl_tensor *in, void *user)
{
    tl_tensor w[PARAMS], loss = network(s, in, user);
    const int n = tl_params(s, NULL, w, PARAMS);
    tl_tensor g = gradient(loss, w, n);

    tl_tensor v = tl_state(s, "v", tl_random_normal(s, TL_DIMS(tl_size(g))));
    v = tl_div(v, tl_norm(v, TL_ALL));
    tl_tensor Hv = gradient(tl_dot(g, v), w, n);
    tl_next(s, "v", Hv);

    tl_tensor eigenvalue = tl_dot(v, Hv);
    tl_output(s, "eigenvalue", eigenvalue);
    tl_output(s, "residual", tl_norm(tl_sub(Hv, tl_mul(eigenvalue, v)), TL_ALL));
    return TL_NONE;
}

static bool sharpness(tl_model *model, const tl_array *in, tl_random *random)
{
    (void)random;
    tl_trainer *t = tl_trainer_new(model, power_iteration);
    tl_session *session = tl_trainer_session(t, TL_PREDICT);
    for (int i = 0; i < ITERATIONS && !tl_predict_step(t, in, 2); i++) continue;
    const double eigenvalue = tl_get_scalar(session, "eigenvalue"), residual = tl_get_scalar(session, "residual");
    printf("largest eigenvalue of the Hessian %.4f: |H v - eigenvalue v| is %.1e\n", eigenvalue, residual);
    tl_trainer_free(t);
    return residual < 1e-3 * eigenvalue; /* not if any is NaN */
}

static void fill(const tl_array *in, tl_random *random)
{
    float *x = in[0].data, *y = in[1].data;
    for (int i = 0; i < T * B; i++) x[i] = (float)(2 * tl_random_next(random) - 1);
    for (int i = 0; i < T * B; i++) y[i] = i < B ? 0 : x[i] * x[i - B];
}

int main(int argc, char **argv)
{
    gallery_read(argc, argv);
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
