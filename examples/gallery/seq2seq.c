/* examples/gallery/seq2seq.c - sequence to sequence with attention (Bahdanau et al. 2015; Luong et al. 2015) and beam
 * search (Sutskever et al. 2014).
 *     encoder:   e_i, a bidirectional GRU over the source; its last states are where the decoder starts
 *     decoder:   a GRU that is told the last symbol and what it attended to: s_t = GRU([y_t-1, a_t-1], s_t-1),
 *                c_t = sum_i softmax_i(v tanh(s_t Wq + e_i Wk)) e_i, a_t = tanh([c_t, s_t] W), p(y_t) = softmax(a_t V)
 *
 * The task: write a word backwards. The same model function learns, whole targets at a time, and is the step function
 * of the search, one symbol at a time. (Which encodes anew for each symbol. To do that once, give the search the
 * encoder's results as inputs.) */
#include <math.h>

#include "gallery.h"

enum { END, START, LETTERS, VOCAB = LETTERS + 6, LONGEST = 6, B = 16, UNITS = 10 };

/* in: symbols before the targets [T, B], source words [LONGEST, B], their lengths [B], targets [T, B] or none */
static tl_tensor backwards(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_scope *encoder = tl_in(s, "encoder"), *decoder = tl_in(s, "decoder");
    tl_tensor x = tl_masked(tl_embedding(encoder, in[1], .vocab = VOCAB, .units = 8), in[2]), last[2];
    tl_tensor encoded = tl_bidirectional(encoder, x, tl_gru_cell(s), .units = UNITS, .return_sequences = true,
                                         .final = last);

    tl_memory memory = tl_attention_memory(decoder, encoded, .score = TL_SCORE_ADDITIVE, .units = UNITS);
    tl_cell cell = tl_attention_cell(decoder, tl_gru_cell(s), memory);
    tl_tensor initial[2] = { tl_concat(2, last, -1) };
    tl_tensor y = tl_embedding(decoder, in[0], .vocab = VOCAB, .units = 8);
    tl_tensor a = tl_rnn(decoder, y, cell, .units = 2 * UNITS, .initial = initial, .return_sequences = true,
                         .stateful = tl_absent(in[3]));
    tl_tensor logits = tl_dense(decoder, a, .units = VOCAB);
    tl_output(s, "logits", logits);
    return tl_cross_entropy(logits, in[3]);
}

/* Behind a target's end are more ends; in the padding of a source is rubbish. */
static void fill(const tl_array *in, tl_random *random)
{
    int32_t *previous = in[0].data, *source = in[1].data, *length = in[2].data, *target = in[3].data;
    for (int i = 0; i < LONGEST * B; i++) source[i] = LETTERS + gallery_pick(random, VOCAB - LETTERS);
    for (int b = 0; b < B; b++) {
        length[b] = 1 + gallery_pick(random, LONGEST);
        for (int t = 0; t <= LONGEST; t++) {
            target[t * B + b] = t < length[b] ? source[(length[b] - 1 - t) * B + b] : END;
            previous[t * B + b] = t ? target[(t - 1) * B + b] : START;
        }
    }
}

/* Words that it has never seen, decoded. Prints some; nearly all must be right. */
static bool decodes(tl_model *model, const tl_array *in, tl_random *random)
{
    const int32_t *source = in[1].data, *length = in[2].data, *target = in[3].data;
    tl_sequences found;
    int right = 0;
    fill(in, random);
    if (tl_beam_search(model, backwards, in + 1, 2, NULL, &found, .beam = 4, .start = START, .end = TL_ZERO,
                       .max_length = LONGEST + 1))
        return false;
    for (int b = 0; b < B; b++) {
        const tl_sequence best = found.sequence[b * found.beam];
        bool same = best.n == length[b] + 1;
        for (int t = 0; t < length[b]; t++) same = same && best.ids[t] == target[t * B + b];
        right += same;
        if (b >= 4) continue;
        for (int t = 0; t < length[b]; t++) putchar('a' + source[t * B + b] - LETTERS);
        printf(" -> ");
        for (int t = 0; t < best.n && best.ids[t] != END; t++) putchar('a' + best.ids[t] - LETTERS);
        printf("   (probability %.3f)\n", exp(best.log_prob));
    }
    printf("%d of %d words backwards by beam search\n", right, B);
    tl_sequences_free(&found);
    return right >= B - 2;
}

int main(int argc, char **argv)
{
    gallery_read(argc, argv);
    const tl_array targets = tl_array_of(TL_I32, TL_DIMS(LONGEST + 1, B), NULL);
    return gallery_run(&(gallery){
        .title = "sequence to sequence with attention: words backwards",
        .model = backwards,
        .fill = fill,
        .in = { targets, tl_array_of(TL_I32, TL_DIMS(LONGEST, B), NULL), tl_array_of(TL_I32, TL_DIMS(B), NULL),
                targets },
        .steps = 1000,
        .factor = 0.1,
        .check = { .directions = 1 },
        .prove = decodes,
    });
}
