/* examples/gallery/neural_turing.c - the neural Turing machine, Graves, Wayne & Danihelka 2014: a network with a memory
 * M [N, W] that it reads and writes at places it chooses by content and by moving. Each of its two heads makes, of the
 * controller's h, a key k, strength b, gate g, shift s and sharpness c >= 1, and moves its weights w over the places:
 *     v_i = softmax_i(b cos(k, M_i))    v = g v + (1 - g) w    v_i = s_-1 v_i+1 + s_0 v_i + s_1 v_i-1    w_i' ~ v_i^c
 *     writing: M_i' = M_i (1 - w_i e) + w_i a        reading: r = sum w_i M_i        h = tanh([x, r] V + v)
 * The task: copy a sequence of bits after its end. */
#include "gallery.h"

enum { LENGTH = 4, T = 2 * LENGTH + 1, B = 8, BITS = 4, UNITS = 32, N = 8, W = 6 };
enum { MEMORY, READ, READ_AT, WRITE_AT, STATES };

static tl_tensor head(tl_scope *s, tl_tensor h, tl_tensor M, tl_tensor w)
{
    tl_tensor k = tl_dense(s, h, .units = W, .name = "key", .activation = tl_tanh);
    tl_tensor b = tl_dense(s, h, .units = 1, .name = "strength", .activation = tl_softplus);
    tl_tensor g = tl_dense(s, h, .units = 1, .name = "gate", .activation = tl_sigmoid);
    tl_tensor shift = tl_dense(s, h, .units = 3, .name = "shift", .activation = tl_softmax);
    tl_tensor c = tl_add_scalar(tl_dense(s, h, .units = 1, .name = "sharpness", .activation = tl_softplus), 1);
    tl_tensor norms = tl_mul(tl_norm(M, TL_AXES(-1)), tl_norm_keep(k, TL_AXES(-1)));
    tl_tensor cosine = tl_div(tl_dot(M, tl_expand_dims(k, 1)), tl_add_scalar(norms, 1e-6));
    tl_tensor v = tl_lerp(w, tl_softmax(tl_mul(b, cosine)), g);
    tl_tensor rolled[] = { tl_roll(v, -1, -1), v, tl_roll(v, 1, -1) };
    tl_tensor moved = tl_dot(tl_stack(3, rolled, -1), tl_expand_dims(shift, 1)), sharp = tl_pow(moved, c);
    return tl_div(sharp, tl_sum_keep(sharp, TL_AXES(-1)));
}

static tl_tensor turing_step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    (void)ctx;
    tl_tensor seen = tl_concat(2, (tl_tensor[]){ x, state[READ] }, -1);
    tl_tensor h = tl_dense(s, seen, .units = UNITS, .name = "controller", .activation = tl_tanh);
    tl_tensor w = state[WRITE_AT] = head(tl_in(s, "write"), h, state[MEMORY], state[WRITE_AT]);
    tl_tensor e = tl_dense(s, h, .units = W, .name = "erase", .activation = tl_sigmoid);
    tl_tensor a = tl_dense(s, h, .units = W, .name = "add", .activation = tl_tanh);
    tl_tensor kept = tl_sub(state[MEMORY], tl_mul(state[MEMORY], tl_outer(w, e)));
    tl_tensor M = state[MEMORY] = tl_add(kept, tl_outer(w, a));
    w = state[READ_AT] = head(tl_in(s, "read"), h, M, state[READ_AT]);
    state[READ] = tl_dot(tl_transpose(M), tl_expand_dims(w, 1));
    return tl_concat(2, (tl_tensor[]){ h, state[READ] }, -1);
}

/* A learned memory, nothing read, and both heads at place 0. */
static void turing_start(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx)
{
    (void)units, (void)ctx;
    tl_tensor M = tl_param(s, "memory", TL_DIMS(N, W), .init = tl_normal(0, 0.3));
    state[MEMORY] = tl_broadcast_to(M, TL_DIMS(tl_dim(x, 0), N, W));
    state[READ] = tl_full(s, TL_DIMS(tl_dim(x, 0), W), 0);
    state[READ_AT] = state[WRITE_AT] = tl_pad(tl_full(s, TL_DIMS(tl_dim(x, 0), 1), 1), 1, 0, N - 1);
}
static const tl_cell turing_machine = { .step = turing_step, .start = turing_start, .states = STATES };

/* in: bits and the mark of their end [T, B, BITS + 1]; the bits to be written after it [LENGTH, B, BITS] */
static tl_tensor model(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor y = tl_rnn(s, in[0], turing_machine, .return_sequences = true, .name = "turing");
    tl_tensor z = tl_dense(s, tl_slice(y, 0, LENGTH + 1, TL_END), .units = BITS);
    tl_output(s, "accuracy", tl_mean(tl_equal(tl_greater(z, tl_full_like(z, 0)), in[1]), TL_ALL));
    return tl_mean(tl_sub(tl_softplus(z), tl_mul(z, in[1])), TL_ALL);
}

static void fill(const tl_array *in, tl_random *random)
{
    float *x = in[0].data, *y = in[1].data;
    for (int t = 0; t <= LENGTH; t++)
        for (int b = 0; b < B; b++, x += BITS + 1) {
            x[BITS] = t == LENGTH;
            for (int k = 0; k < BITS && t < LENGTH; k++) *y++ = x[k] = (float)gallery_pick(random, 2);
        }
}

int main(int argc, char **argv)
{
    gallery_read(argc, argv);
    return gallery_run(&(gallery){
        .title = "neural Turing machine: copy 4 vectors of 4 bits",
        .model = model,
        .fill = fill,
        .in = { tl_array_of(TL_F32, TL_DIMS(T, B, BITS + 1), NULL),
                tl_array_of(TL_F32, TL_DIMS(LENGTH, B, BITS), NULL) },
        .steps = 1500,
        .factor = 0.1,
        .check = { .directions = 1 },
    });
}
