/* examples/gallery/norm_lstm.c - an LSTM with peepholes (Gers, Schraudolph & Schmidhuber 2002), layer normalisation
 * (Ba, Kiros & Hinton 2016) and zoneout (Krueger et al. 2017), two of them in a stack, the upper one residual (He et
 * al. 2016).
 *     i = sigmoid(gi N(x Wi) + ui N(h Ui) + bi + pi c)    f, and o from c', likewise; g = tanh(...) without a peephole
 *     c' = f c + i g        h' = o tanh(gain N(c') + shift)        N(a) = (a - mean) / sqrt(variance + epsilon)
 *     while training, each number of h' is that of h again with probability 0.05, each of c' with 0.2; else their means
 * Each of these is an option, or a cell around a cell.
 *
 * The task of Gers et al.: a spike, a second spike some steps later, and at once the answer: how many? Peepholes let
 * the gates see the cell count. (Spikes are one-hot: inputs of exact zeros would sit, with h = 0, where N is steepest,
 * 1 / sqrt(epsilon), and again at each step.) */
#include "gallery.h"

enum { T = 12, B = 16, UNITS = 8 };

/* in: 1 where a spike is [T, B], at the second spike the time between the two / T, elsewhere 0 [T, B, 1] */
static tl_tensor delay(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    static const double rates[] = { 0.05, 0.2 };
    tl_cell lstm = tl_lstm_cell(s, .peephole = true, .layer_norm = true);
    tl_cell zoned = tl_zoneout_cell(s, lstm, .rates = rates);
    tl_cell layers[2] = { zoned, tl_residual_cell(s, zoned) };
    tl_tensor h = tl_rnn(s, tl_one_hot(in[0], 2), tl_stack_cell(s, 2, layers), .units = UNITS,
                         .return_sequences = true);
    return tl_mse(tl_dense(s, h, .units = 1), in[1]);
}

static void fill(const tl_array *in, tl_random *random)
{
    int32_t *spike = in[0].data;
    float *answer = in[1].data;
    for (int i = 0; i < T * B; i++) spike[i] = 0, answer[i] = 0;
    for (int b = 0; b < B; b++) {
        const int one = gallery_pick(random, T - 1), two = one + 1 + gallery_pick(random, T - 1 - one);
        spike[one * B + b] = spike[two * B + b] = 1;
        answer[two * B + b] = (float)(two - one) / T;
    }
}

int main(int argc, char **argv)
{
    gallery_read(argc, argv);
    return gallery_run(&(gallery){
        .title = "LSTM with peepholes, layer normalisation and zoneout: the time between two spikes",
        .model = delay,
        .fill = fill,
        .in = { tl_array_of(TL_I32, TL_DIMS(T, B), NULL), tl_array_of(TL_F32, TL_DIMS(T, B, 1), NULL) },
        .steps = 500,
        .factor = 0.1,
        .check = { .training = true, .directions = 1 },
    });
}
