/* examples/gallery/ragged_gru.c - two bidirectional GRU layers (Schuster & Paliwal 1997; Cho et al. 2014) over rows of
 * different lengths, which arrive at run time: one recording serves all batches.
 *
 * The task: tag every symbol with the sum, modulo their number, of its two neighbours; beyond an end of the row is 0.
 * So each tag needs both directions, and the last one needs to know where the row ends.
 *
 * What stands in the padding is rubbish here, and must not matter: two copies of the network are trained on the same
 * rows, one with more padding than the other, and in the end all their parameters are the same bits. */
#include <stdlib.h>
#include <string.h>

#include "gallery.h"

enum { T = 9, B = 8, SYMBOLS = 4, MORE = 6 };

/* in: symbols [T, B], lengths [B], tags [T, B] */
static tl_tensor tagger(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor h = tl_masked(tl_embedding(s, in[0], .vocab = SYMBOLS, .units = 8), in[1]);
    h = tl_bidirectional(s, h, tl_gru_cell(s), .units = 12, .name = "lower", .return_sequences = true);
    h = tl_bidirectional(s, h, tl_gru_cell(s), .units = 12, .name = "upper", .return_sequences = true);
    return tl_cross_entropy(tl_dense(s, h, .units = SYMBOLS), in[2]);
}

static void fill(const tl_array *in, tl_random *random)
{
    int32_t *x = in[0].data, *length = in[1].data, *tag = in[2].data;
    for (int b = 0; b < B; b++) length[b] = 1 + gallery_pick(random, T);
    for (int i = 0; i < T * B; i++) x[i] = gallery_pick(random, SYMBOLS);
    for (int i = 0; i < T * B; i++) {
        const int t = i / B, end = length[i % B];
        const int before = t > 0 && t < end ? x[i - B] : 0, after = t + 1 < end ? x[i + B] : 0;
        tag[i] = (before + after) % SYMBOLS;
    }
}

/* rubbish [T + MORE, B], its first T steps as in `a` */
static tl_array longer(tl_array a, int32_t *rubbish)
{
    for (int i = 0; i < (T + MORE) * B; i++) rubbish[i] = i % SYMBOLS;
    memcpy(rubbish, a.data, T * B * sizeof *rubbish);
    return tl_array_of(TL_I32, TL_DIMS(T + MORE, B), rubbish);
}

static bool padding_changes_nothing(tl_model *model, const tl_array *in, tl_random *random)
{
    static int32_t x[(T + MORE) * B], tags[(T + MORE) * B];
    tl_model *copy = tl_model_copy(model, 0);
    tl_trainer *tight = tl_trainer_new(model, tagger), *wide = tl_trainer_new(copy, tagger);
    bool same = true;
    for (int step = 0; step < 20 && same; step++) {
        double a, b;
        fill(in, random);
        const tl_array padded[3] = { longer(in[0], x), in[1], longer(in[2], tags) };
        same = !tl_train_step(tight, in, 3, &a) && !tl_train_step(wide, padded, 3, &b) && a == b;
    }
    same = same && !memcmp(tl_model_values(model), tl_model_values(copy), (size_t)tl_model_size(model) * sizeof(float));
    printf("%d and %d steps of padding: the same bits: %s\n", T, T + MORE, same ? "yes" : "NO");
    tl_trainer_free(tight);
    tl_trainer_free(wide);
    tl_model_free(copy);
    return same;
}

int main(int argc, char **argv)
{
    gallery_read(argc, argv);
    return gallery_run(&(gallery){
        .title = "two bidirectional GRU layers on ragged rows: sums of neighbours",
        .model = tagger,
        .fill = fill,
        .in = { tl_array_of(TL_I32, TL_DIMS(T, B), NULL), tl_array_of(TL_I32, TL_DIMS(B), NULL),
                tl_array_of(TL_I32, TL_DIMS(T, B), NULL) },
        .steps = 600,
        .factor = 0.1,
        .prove = padding_changes_nothing,
    });
}
