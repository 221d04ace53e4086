/* train/callback_sample.c - text that the model writes after an epoch. */
#include "train/fit.h"

#include <string.h>

typedef struct sample {
    tl_text_sample_opts o;
    const tl_vocab *vocab;
    int32_t *prompt;
    int64_t n, room;
} sample;

static void print(const tl_vocab *vocab, const int32_t *ids, int64_t n, FILE *out)
{
    char symbol[5];
    for (int64_t i = 0; i < n; i++) {
        const int length = tl_vocab_symbol(vocab, ids[i], symbol);
        fwrite(symbol, 1, (size_t)length, out);
    }
}

static tl_status sample_epoch_end(tl_fit_state *s, void *ctx)
{
    const sample *a = ctx;
    FILE *out = a->o.out ? a->o.out : s->out;
    tl_sequences found;
    if (!out || (s->epoch + 1) % a->o.every) return TL_OK;
    const tl_status status = tl_sample_opt(s->model, a->o.step ? a->o.step : s->fn, NULL, 0,
                                           a->o.step || a->o.user ? a->o.user : s->user, &found,
                                           &(tl_decode_opts){ .max_length = a->o.length,
                                                              .prompt = a->prompt,
                                                              .n_prompt = a->n,
                                                              .temperature = a->o.temperature,
                                                              .top_k = a->o.top_k,
                                                              .seed = a->o.seed + (uint64_t)s->epoch,
                                                              .size = sizeof(tl_decode_opts) });
    if (status) return status;
    print(a->vocab, a->prompt, a->n, out);
    print(a->vocab, found.sequence->ids, found.sequence->n, out);
    fputc('\n', out);
    fflush(out);
    tl_sequences_free(&found);
    return TL_OK;
}

static void sample_free(void *ctx)
{
    sample *a = ctx;
    tl_resize(a->prompt, (size_t)a->room * sizeof *a->prompt, 0);
    tl_resize(a, sizeof *a, 0);
}

/* The prompt's ids: one symbol at least. */
static tl_status encode(sample *a)
{
    const char *text = a->o.prompt ? a->o.prompt : "";
    a->room = (int64_t)strlen(text) + 1;
    a->prompt = tl_resize(NULL, 0, (size_t)a->room * sizeof *a->prompt);
    if (!a->prompt) return tl_report(TL_E_MEMORY, "out of memory for a prompt");
    a->prompt[0] = 0;
    a->n = 1;
    return *text ? tl_vocab_encode(a->vocab, text, strlen(text), -1, a->prompt, &a->n) : TL_OK;
}

tl_callback tl_text_sample_opt(const tl_vocab *vocab, const tl_text_sample_opts *o)
{
    const tl_text_sample_opts none = { .size = sizeof none };
    sample made = { .o = o ? *o : none, .vocab = vocab };
    tl_callback c = { .name = "text_sample", .status = TL_E_ARGUMENT };
    if (!made.o.length) made.o.length = 200;
    if (!made.o.every) made.o.every = 1;
    if (!vocab || made.o.length < 1 || made.o.every < 1) {
        tl_report(TL_E_ARGUMENT, "text_sample: a vocabulary is needed, and .length and .every of at least 1");
        return c;
    }
    if (!tl_callback_new(&c, "text_sample", sizeof made, &made)) return c;
    c.epoch_end = sample_epoch_end;
    c.free = sample_free;
    c.status = encode(c.ctx);
    return c;
}
