/* examples/torch_loop.c - the loop that PyTorch leaves to its user, and a model as Keras has it.
 *
 * The first network is nn.RNN and nn.Linear, which learn 32 random sequences by heart: forward from an h0 of zeros, loss,
 * backward, update, twenty times. The second is SimpleRNN and Dense with a softmax, compiled with categorical cross-entropy,
 * on random sequences of its own. What differs between the two libraries stands in the options: PyTorch's recurrent layer
 * has a second bias that adds to the first (3,355 parameters; Keras would have 3,305), draws all its numbers from
 * +-1 / sqrt(units), and its loss takes logits and class ids; Keras' takes probabilities and one-hot rows. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "args.h"
#include "tapeloop.h"

enum { BATCH = 32, HIDDEN = 50, CLASSES = 5, TORCH_STEPS = 15, TORCH_INPUTS = 10, KERAS_STEPS = 10, KERAS_INPUTS = 20 };

/* in[0]: sequences [T, B, D]; in[1]: class ids [B] -> the mean loss */
static tl_tensor torch_model(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_scope *net = tl_in(s, "torch");
    const tl_init uniform = tl_uniform(-1 / sqrt(HIDDEN), 1 / sqrt(HIDDEN));
    tl_cell cell = tl_simple_rnn_cell(net, .recurrent_bias = true, .kernel_init = uniform, .recurrent_init = uniform,
                                      .bias_init = uniform);
    tl_tensor h0 = tl_full(net, TL_DIMS(tl_dim(in[0], 1), HIDDEN), 0);
    tl_tensor last = tl_rnn(net, in[0], cell, .initial = &h0); /* out[:, -1, :] */
    tl_tensor logits = tl_dense(net, last, .units = CLASSES, .name = "fc", .kernel_init = uniform,
                                .bias_init = uniform);
    tl_output(s, "accuracy", tl_mean(tl_equal(tl_argmax(logits, -1), in[1]), TL_ALL));
    return tl_cross_entropy(logits, in[1]);
}

/* in[0]: sequences [T, B, D]; in[1]: one-hot rows [B, classes] -> the mean loss */
static tl_tensor keras_model(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_scope *net = tl_in(s, "keras");
    tl_tensor h = tl_simple_rnn(net, in[0], .units = HIDDEN);
    tl_tensor p = tl_dense(net, h, .units = CLASSES, .activation = tl_softmax);
    tl_output(s, "accuracy", tl_mean(tl_equal(tl_argmax(p, -1), tl_argmax(in[1], -1)), TL_ALL));
    return tl_cross_entropy(p, in[1], .probabilities = true);
}

/* ---- random data ------------------------------------------------------------------------------------------------ */

typedef struct data {
    float x[TORCH_STEPS * BATCH * TORCH_INPUTS], X[KERAS_STEPS * BATCH * KERAS_INPUTS], Y[BATCH * CLASSES];
    int32_t y[BATCH];
} data;

static void fill(data *d)
{
    tl_random random = { .key = args_seed() };
    for (size_t i = 0; i < sizeof d->x / sizeof *d->x; i++) d->x[i] = (float)tl_random_next_normal(&random);
    for (size_t i = 0; i < sizeof d->X / sizeof *d->X; i++) d->X[i] = (float)tl_random_next_normal(&random);
    for (int b = 0; b < BATCH; b++) {
        d->y[b] = (int32_t)(tl_random_next(&random) * CLASSES);
        d->Y[b * CLASSES + (int)(tl_random_next(&random) * CLASSES)] = 1;
    }
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

static int64_t epochs = 20;
static double rate = 0.001;
static const arg options[] = {
    { "epochs", ARG_INT, &epochs, "of training; the whole data are one batch", 1, 1e6, NULL },
    { "lr", ARG_NUMBER, &rate, "learning rate of Adam", 1e-9, 100, NULL },
    { ARGS_PLOT },
    { ARGS_SAVE("write both networks to this file") },
    { ARGS_LOAD("go on with the networks in this file") },
};

/* The loop. losses: room for one an epoch, each as it is before the update. Returns the last. */
static double train(tl_model *model, tl_model_fn fn, tl_optimizer_desc optimizer, const tl_array *in, double *losses)
{
    tl_trainer *trainer = tl_trainer_new(model, fn, .optimizer = optimizer, .explain = args_explain());
    if (!trainer) args_fail(1, "%s", tl_message());
    for (int64_t epoch = 1; epoch <= epochs; epoch++) {
        double *loss = &losses[epoch - 1];
        must(tl_train_step(trainer, in, 2, loss)); /* forward, backward, update */
        if (epoch % 5) continue;
        printf("Epoch [%lld/%lld], Loss: %.4f, accuracy: %.4f\n", (long long)epoch, (long long)epochs, *loss,
               tl_get_scalar(tl_trainer_session(trainer, TL_TRAIN), "accuracy"));
    }
    args_plan(trainer);
    tl_trainer_free(trainer);
    return losses[epochs - 1];
}

static void plot(const double *torch, const double *keras)
{
    const tl_series series[] = { { "PyTorch's loop", NULL, torch, epochs }, { "Keras' model", NULL, keras, epochs } };
    const tl_plot loss = { "random sequences, learned by heart", "epoch", "loss", .series = series, .n_series = 2 };
    if (args_plot) must(tl_plot_write(&loss, 1, args_plot));
}

int main(int argc, char **argv)
{
    static data d;
    args_read(argc, argv, "PyTorch's training loop and Keras' model on random sequences", options,
              sizeof options / sizeof *options);
    fill(&d);
    const tl_array torch_in[] = { tl_array_of(TL_F32, TL_DIMS(TORCH_STEPS, BATCH, TORCH_INPUTS), d.x),
                                  tl_array_of(TL_I32, TL_DIMS(BATCH), d.y) };
    tl_array keras_in[] = { tl_array_of(TL_F32, TL_DIMS(KERAS_STEPS, BATCH, KERAS_INPUTS), d.X),
                            tl_array_of(TL_F32, TL_DIMS(BATCH, CLASSES), d.Y) };
    keras_in[1].batch_axis = TL_ZERO; /* [B, classes] */
    tl_model *model = tl_model_new(.seed = args_seed());
    double *losses = calloc((size_t)epochs * 2, sizeof *losses);
    if (!model || !losses) args_fail(1, "out of memory");
    if (args_load) must(tl_model_load(model, args_load));
    if (args_load && tl_model_find(model, "torch/rnn/W") < 0)
        args_fail(2, "%s: not the networks of this program", args_load);

    must(tl_summary(model, stdout, .fn = torch_model, .inputs = torch_in, .n = 2, .title = "RNNModel"));
    figure("torch_loss", train(model, torch_model, tl_adam(.lr = rate, .style = TL_TORCH), torch_in, losses));
    must(tl_summary(model, stdout, .fn = keras_model, .inputs = keras_in, .n = 2, .title = "sequential"));
    figure("keras_loss", train(model, keras_model, tl_adam(.lr = rate), keras_in, losses + epochs));
    plot(losses, losses + epochs);
    if (args_save) must(tl_model_save(model, args_save));
    figures_write();
    free(losses);
    tl_model_free(model);
    return 0;
}
