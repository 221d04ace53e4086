/* examples/gallery/hyper_lstm.c - the hypernetwork LSTM, Ha, Dai & Le 2017: a small LSTM sets, at every step, how
 * strongly each unit's weights in the large one count.
 *
 *     h^, c^ = LSTM([x, h], h^, c^)        the small one
 *     each of i, f, g, o = d_h (h U) + d_x (x W) + d_b, where d_h = (h^ V + v) Z, d_x likewise, d_b = h^ V Z + b
 *     c' = sigmoid(f) c + sigmoid(i) tanh(g)        h' = sigmoid(o) tanh(c')
 *
 * The task: adding (Hochreiter & Schmidhuber 1997): the sum of the two marked numbers of a sequence. */
#include "gallery.h"

enum { T = 8, B = 8, UNITS = 16, SMALL = 8, EMBEDDING = 4 };

/* d = 1 to begin with, whatever the small LSTM says: V starts small, v Z = 1. */
static tl_tensor scaling(tl_scope *s, const char *name, tl_tensor small)
{
    tl_tensor z = tl_dense(tl_in(s, name), small, .units = EMBEDDING, .name = "embed",
                           .kernel_init = tl_normal(0, 0.01), .bias_init = tl_ones());
    return tl_dense(tl_in(s, name), z, .units = UNITS, .name = "scale", .no_bias = true,
                    .kernel_init = tl_constant(1.0 / EMBEDDING));
}

static tl_tensor hyper_gate(tl_scope *s, const char *name, tl_tensor x, tl_tensor h, tl_tensor small)
{
    s = tl_in(s, name);
    tl_tensor xW = tl_dense(s, x, .units = UNITS, .name = "x", .no_bias = true);
    tl_tensor hU = tl_dense(s, h, .units = UNITS, .name = "h", .no_bias = true, .kernel_init = tl_orthogonal(1));
    tl_tensor z = tl_dense(s, small, .units = EMBEDDING, .name = "z", .no_bias = true,
                           .kernel_init = tl_normal(0, 0.01));
    tl_tensor d_b = tl_dense(s, z, .units = UNITS, .name = "d_b");
    return tl_fma(scaling(s, "d_h", small), hU, tl_fma(scaling(s, "d_x", small), xW, d_b));
}

/* state: h, c, and the small cell's h, c */
static tl_tensor hyper_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    (void)ctx;
    tl_tensor h = state[0], c = state[1];
    tl_tensor seen = tl_concat(2, (tl_tensor[]){ x, h }, -1);
    tl_tensor small = tl_call(tl_in(s, "small"), tl_lstm_cell(s), seen, state + 2);
    tl_tensor i = tl_sigmoid(hyper_gate(s, "i", x, h, small));
    tl_tensor g = tl_tanh(hyper_gate(s, "g", x, h, small));
    tl_tensor f = tl_sigmoid(hyper_gate(s, "f", x, h, small));
    tl_tensor o = tl_sigmoid(hyper_gate(s, "o", x, h, small));
    state[1] = tl_fma(f, c, tl_mul(i, g));
    return state[0] = tl_mul(o, tl_tanh(state[1]));
}

static void hyper_start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx)
{
    (void)ctx;
    for (int k = 0; k < 4; k++) state[k] = tl_full(s, TL_DIMS(tl_dim(x, 0), k < 2 ? units : SMALL), 0);
}
static const tl_cell hyper_lstm = { .step = hyper_step, .states = 4, .start = hyper_start };

static tl_tensor model(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor h = tl_rnn(s, in[0], hyper_lstm, .units = UNITS, .name = "hyper_lstm");
    return tl_mse(tl_dense(s, h, .units = 1), in[1]);
}

/* One mark in each half. in: numbers and marks [T, B, 2]; their sums [B, 1] */
static void fill(const tl_array *in, tl_random *random)
{
    float *x = in[0].data, *sum = in[1].data;
    for (int b = 0; b < B; b++) {
        const int one = gallery_pick(random, T / 2), two = T / 2 + gallery_pick(random, T / 2);
        sum[b] = 0;
        for (int t = 0; t < T; t++) {
            float *at = x + 2 * (t * B + b);
            at[0] = (float)tl_random_next(random);
            at[1] = t == one || t == two;
            sum[b] += at[0] * at[1];
        }
    }
}

int main(int argc, char **argv)
{
    gallery_read(argc, argv);
    return gallery_run(&(gallery){
        .title = "hypernetwork LSTM: the adding problem over 8 steps",
        .model = model,
        .fill = fill,
        .in = { tl_array_of(TL_F32, TL_DIMS(T, B, 2), NULL), tl_array_of(TL_F32, TL_DIMS(B, 1), NULL) },
        .steps = 400,
        .check = { .directions = 1 },
        .factor = 0.1,
    });
}
