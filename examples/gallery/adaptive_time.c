/* examples/gallery/adaptive_time.c - adaptive computation time, Graves 2016: a cell that thinks as long as it needs.
 *
 * Within a step the inner cell runs up to N times, the first with a flag beside its input:
 *     y_n, s_n = cell([x, n = 1], s_n-1)      h_n = sigmoid(s_n w + b)
 *     p_n = h_n while h_1 + ... + h_n < 1 - epsilon, then R = 1 - (h_1 + ... + h_n-1) once, then 0
 *     y = sum p_n y_n,   s = sum p_n s_n,     and the loss gains cost (number of runs + R)
 * Each row halts by itself: what is left of its 1 becomes 0, and later runs count nothing.
 *
 * The task: at each step, is the number of ones seen so far odd? A vector holds 0 to 4 of them. */
#include "gallery.h"

enum { T = 2, B = 32, BITS = 4, UNITS = 8, MOST = 6 };

typedef struct pondering {
    tl_cell cell; /* of one state */
    int most;     /* N */
    double cost;
} pondering;

static tl_tensor ponder_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    const pondering *c = ctx;
    tl_tensor rest = tl_full(s, TL_DIMS(tl_dim(x, 0), 1), 1), epsilon = tl_scale(rest, 0.01), zero = tl_scale(rest, 0);
    tl_tensor ponder = zero, y = zero, mean = zero;
    for (int n = 0; n < c->most; n++) {
        tl_scope *run = tl_step(s, n);
        tl_tensor flagged = tl_concat(2, (tl_tensor[]){ x, tl_full_like(rest, n == 0) }, -1);
        tl_tensor y_n = tl_call(run, c->cell, flagged, state);
        tl_tensor h = tl_dense(run, *state, .units = 1, .name = "halt", .activation = tl_sigmoid);
        tl_tensor goes_on = n + 1 < c->most ? tl_greater(tl_sub(rest, h), epsilon) : zero;
        tl_tensor p = tl_where(goes_on, h, rest);
        ponder = tl_add(ponder, tl_add(tl_greater(rest, zero), tl_where(goes_on, zero, rest)));
        y = tl_fma(p, y_n, y);
        mean = tl_fma(p, *state, mean);
        rest = tl_sub(rest, p);
    }
    tl_emit(s, "ponder", tl_mean(ponder, TL_ALL));
    tl_emit(s, "loss", tl_scale(tl_mean(ponder, TL_ALL), c->cost));
    *state = mean;
    return y;
}

static tl_tensor model(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const pondering c = { tl_gru_cell(s), MOST, 0.004 };
    const tl_cell cell = { .step = ponder_step, .ctx = tl_scope_copy(s, &c, sizeof c) };
    tl_tensor h = tl_rnn(s, in[0], cell, .units = UNITS, .return_sequences = true, .name = "act");
    tl_tensor logits = tl_dense(s, h, .units = 2);
    tl_output(s, "ponder", tl_mean(tl_collect(tl_in(s, "act"), "ponder"), TL_ALL));
    tl_output(s, "accuracy", gallery_accuracy(logits, in[1]));
    return tl_cross_entropy(logits, in[1]);
}

static void fill(const tl_array *in, tl_random *random)
{
    float *x = in[0].data;
    int32_t *odd = in[1].data;
    for (int i = 0; i < T * B; i++) {
        odd[i] = i < B ? 0 : odd[i - B];
        for (int k = 0; k < BITS; k++) {
            x[i * BITS + k] = (float)gallery_pick(random, 2);
            odd[i] ^= x[i * BITS + k] > 0;
        }
    }
}

int main(int argc, char **argv)
{
    gallery_read(argc, argv);
    return gallery_run(&(gallery){
        .title = "adaptive computation time: the parity of all bits so far",
        .model = model,
        .show = "ponder",
        .fill = fill,
        .in = { tl_array_of(TL_F32, TL_DIMS(T, B, BITS), NULL), tl_array_of(TL_I32, TL_DIMS(T, B), NULL) },
        .steps = 4000,
        .factor = 0.3,
    });
}
