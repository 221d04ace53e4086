/* examples/gallery/gradient_penalty.c - a penalty on how gradients fade through time, Pascanu, Mikolov & Bengio 2013.
 *     Omega = mean over t of (|dL/dh_t| / |dL/dh_{t+1}| - 1)^2,     minimised: L + strength Omega
 * where dL/dh_t = dL/dh_{t+1} dh_{t+1}/dh_t, since only the last step enters L. The states are handles (.each), the
 * gradients are tape (tl_grad), so Omega is one more term of the loss. (The paper holds dL/dh_{t+1} fixed when it
 * differentiates Omega; here nothing is left out.)
 *
 * The task: which of four symbols came first, thirty steps ago? An Elman network that starts with small recurrent
 * weights cannot learn it: the gradient is gone before it is there. With the penalty it does. */
#include "gallery.h"

enum { T = 30, B = 16, SYMBOLS = 4, STEPS = 600 };

/* in: symbols [T, B], the first of each row [B]. user: strength */
static tl_tensor classifier(tl_scope *s, const tl_tensor *in, void *user)
{
    const double strength = *(const double *)user;
    tl_tensor h[T], g[T];
    tl_tensor last = tl_rnn(s, tl_one_hot(in[0], SYMBOLS), tl_simple_rnn_cell(s, .recurrent_init = tl_normal(0, 0.1)),
                            .units = 16, .each = h);
    tl_tensor logits = tl_dense(s, last, .units = SYMBOLS), loss = tl_cross_entropy(logits, in[1]);
    tl_output(s, "accuracy", gallery_accuracy(logits, in[1]));
    if (strength == 0) return loss;

    tl_grad(loss, h, T, g);
    tl_tensor size = tl_norm(tl_stack(T, g, 0), TL_AXES(-1));
    tl_tensor ratio = tl_div(tl_slice(size, 0, 0, -1), tl_slice(size, 0, 1, TL_END));
    tl_tensor omega = tl_mean(tl_square(tl_add_scalar(ratio, -1)), TL_ALL);
    return tl_add(loss, tl_scale(omega, strength));
}

static void fill(const tl_array *in, tl_random *random)
{
    int32_t *x = in[0].data, *first = in[1].data;
    for (int i = 0; i < T * B; i++) x[i] = gallery_pick(random, SYMBOLS);
    for (int b = 0; b < B; b++) first[b] = x[b];
}

/* The same network without the penalty is left where it began, at chance: ln 4 = 1.39. */
static bool helps(tl_model *model, const tl_array *in, tl_random *random)
{
    static double none = 0;
    tl_model *fresh = tl_model_new(.seed = tl_model_seed(model));
    tl_trainer *t = tl_trainer_new(fresh, classifier, .user = &none, .optimizer = tl_adam(.lr = 0.01), .clip_norm = 1);
    double loss, mean = 0;
    for (int i = 0; i < STEPS; i++) {
        fill(in, random);
        if (tl_train_step(t, in, 2, &loss)) return false;
        if (i >= STEPS / 2) mean += loss / (STEPS - STEPS / 2);
    }
    printf("without the penalty: loss %.4f\n", mean);
    tl_trainer_free(t);
    tl_model_free(fresh);
    return mean > 1.3;
}

int main(int argc, char **argv)
{
    gallery_read(argc, argv);
    static double strength = 0.1;
    return gallery_run(&(gallery){
        .title = "gradient penalty: remember the first of 30 symbols",
        .model = classifier,
        .user = &strength,
        .fill = fill,
        .in = { tl_array_of(TL_I32, TL_DIMS(T, B), NULL), tl_array_of(TL_I32, TL_DIMS(B), NULL) },
        .steps = STEPS,
        .factor = 0.1,
        .prove = helps,
    });
}
