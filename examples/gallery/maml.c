/* examples/gallery/maml.c - MAML, Finn, Abbeel & Levine 2017: learn the weights from which a few steps of gradient
 * descent on a new task lead furthest.
 *     inner loop, for each task:   w' = w - alpha dL(w; examples) / dw, INNER times
 *     outer loop, over tasks:      minimise the mean of L(w'; other examples) with respect to w, through the inner loop
 * The inner step is tl_grad(); the network at w' is the same network in a tl_overlay().
 *
 * A task is an unknown filter, y_t = a x_t + b x_{t-1} with a and b in [-1, 1). Without the inner steps nothing can be
 * known of a and b, and the best loss is the variance of y, 2/9 (a little less, as the first x has none before it). */
#include <string.h>

#include "gallery.h"

enum { TASKS = 4, T = 12, B = 4, INNER = 2, PARAMS = 8 };

static tl_tensor loss_of(tl_scope *s, tl_tensor x, tl_tensor y)
{
    tl_tensor h = tl_simple_rnn(s, x, .units = 12, .return_sequences = true);
    return tl_mse(tl_dense(s, h, .units = 1), y);
}

/* in: x and y to learn each task from, then x and y to be judged on: all [TASKS, T, B, 1] */
static tl_tensor maml(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const double alpha = 0.1;
    tl_scope *net = tl_in(s, "net");
    tl_tensor w[PARAMS], adapted[PARAMS], grad[PARAMS], before[TASKS], loss[TASKS];
    for (int k = 0; k < TASKS; k++) {
        tl_scope *task = tl_again(net);
        for (int step = 0; step < INNER; step++) {
            tl_tensor inner = loss_of(task, tl_at(in[0], k), tl_at(in[1], k));
            const int n = tl_params(net, NULL, w, PARAMS);
            if (step == 0) before[k] = inner, memcpy(adapted, w, sizeof w);
            tl_grad(inner, adapted, n, grad);
            for (int i = 0; i < n; i++) adapted[i] = tl_sub(adapted[i], tl_scale(grad[i], alpha));
            task = tl_overlay(net, n, w, adapted);
        }
        loss[k] = loss_of(task, tl_at(in[2], k), tl_at(in[3], k));
    }
    tl_output(s, "unadapted", tl_mean(tl_stack(TASKS, before, 0), TL_ALL));
    return tl_mean(tl_stack(TASKS, loss, 0), TL_ALL);
}

static void fill(const tl_array *in, tl_random *random)
{
    for (int k = 0; k < TASKS; k++) {
        const double a = 2 * tl_random_next(random) - 1, b = 2 * tl_random_next(random) - 1;
        for (int set = 0; set < 4; set += 2) {
            float *x = (float *)in[set].data + k * T * B, *y = (float *)in[set + 1].data + k * T * B;
            for (int i = 0; i < T * B; i++) {
                x[i] = (float)(2 * tl_random_next(random) - 1);
                y[i] = (float)(a * x[i] + (i < B ? 0 : b * x[i - B]));
            }
        }
    }
}

int main(int argc, char **argv)
{
    gallery_read(argc, argv);
    const tl_array sequences = tl_array_of(TL_F32, TL_DIMS(TASKS, T, B, 1), NULL);
    return gallery_run(&(gallery){
        .title = "MAML: a recurrent network learns to learn a filter in two steps of gradient descent",
        .model = maml,
        .show = "unadapted",
        .fill = fill,
        .in = { sequences, sequences, sequences, sequences },
        .steps = 600,
        .factor = 0.1,
    });
}
