/* examples/gallery/clockwork.c - the clockwork RNN, Koutnik, Greff, Gomez & Schmidhuber 2014.
 *
 * The state is cut into modules of periods 1, 2, 4, ...; at step t only the modules whose period divides t are
 * computed, the others keep what they have. A module hears itself and the slower ones:
 *     h_i' = tanh(x W_i + [h_i, h_i+1, ...] U_i + b_i)    where t mod 2^i = 0,    h_i' = h_i    elsewhere
 *
 * The task: which of four symbols came first, after steps of noise? Only the slow modules remember. */
#include "gallery.h"

enum { MODULES = 4, UNITS = 8, T = 16, B = 32, SYMBOLS = 4 };

static tl_tensor clockwork_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)ctx;
    const int64_t t = tl_step_number(s);
    tl_tensor old[MODULES];
    for (int i = 0; i < MODULES; i++) old[i] = h[i];
    for (int i = 0; i < MODULES; i++) {
        const char *const name[] = { "module0", "module1", "module2", "module3" };
        if (t % (1 << i)) continue;
        h[i] = tl_tanh(tl_gate(s, name[i], x, tl_concat(MODULES - i, old + i, -1), .units = UNITS));
    }
    return tl_concat(MODULES, h, -1);
}
static const tl_cell clockwork = { .step = clockwork_step, .states = MODULES };

static tl_tensor model(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor h = tl_rnn(s, tl_one_hot(in[0], SYMBOLS), clockwork, .units = UNITS, .name = "clockwork");
    tl_tensor logits = tl_dense(s, h, .units = SYMBOLS);
    tl_output(s, "accuracy", gallery_accuracy(logits, in[1]));
    return tl_cross_entropy(logits, in[1]);
}

static void fill(const tl_array *in, tl_random *random)
{
    int32_t *x = in[0].data, *first = in[1].data;
    for (int i = 0; i < T * B; i++) x[i] = gallery_pick(random, SYMBOLS);
    for (int b = 0; b < B; b++) first[b] = x[b];
}

int main(int argc, char **argv)
{
    gallery_read(argc, argv);
    return gallery_run(&(gallery){
        .title = "clockwork RNN: remember the first of 16 symbols",
        .model = model,
        .fill = fill,
        .in = { tl_array_of(TL_I32, TL_DIMS(T, B), NULL), tl_array_of(TL_I32, TL_DIMS(B), NULL) },
        .steps = 300,
        .factor = 0.1,
    });
}
