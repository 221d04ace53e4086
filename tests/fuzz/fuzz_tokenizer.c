/* tests/fuzz/fuzz_tokenizer.c - any bytes as a tokenizer's file: no crash, no leak, and what is accepted prints as something that
 * reads as the same, numbers texts and can be fitted on. Where they are no file they are texts. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void demand(int truth, const char *what)
{
    if (truth) return;
    fprintf(stderr, "%s (%s)\n", what, tl_message());
    abort();
}

/* What is printed is read and printed again: the same. */
static void again(const tl_tokenizer *t)
{
    tl_tokenizer *u;
    tl_bytes a, b;
    demand(!tl_tokenizer_print(t, &a), "a tokenizer that does not print");
    demand(!tl_tokenizer_parse("printed", a.data, a.size, &u), "what was printed cannot be read");
    demand(!tl_tokenizer_print(u, &b), "a tokenizer that does not print");
    demand(a.size == b.size && !memcmp(a.data, b.data, a.size), "a tokenizer has changed");
    tl_tokenizer_free(u);
    tl_bytes_free(&a);
    tl_bytes_free(&b);
}

/* Every word comes back from its id, and ids lie where they must. */
static void use(const tl_tokenizer *t, const char *text)
{
    tl_ragged s;
    tl_texts back;
    int64_t n;
    const tl_word *w = tl_tokenizer_words(t, &n);
    for (int64_t k = 0; k < n; k++) {
        demand(tl_tokenizer_id(t, w[k].text) == w[k].id && w[k].id > 0 && w[k].id <= n + 1, "a word without its id");
        demand(!strcmp(tl_tokenizer_word(t, w[k].id), w[k].text), "an id without its word");
    }
    demand(!tl_texts_to_sequences(t, &text, 1, &s), "a text that cannot be numbered");
    for (int64_t k = 0; k < s.offset[1]; k++) demand(s.ids[k] > 0 && s.ids[k] <= n + 1, "an id that cannot be");
    demand(!tl_sequences_to_texts(t, &s, &back), "ids that have no words");
    tl_texts_free(&back);
    tl_ragged_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1);
    memcpy(text, bytes, size);
    text[size] = 0;
    tl_tokenizer *t;
    const tl_status status = tl_tokenizer_parse("input", text, size, &t);
    demand(status == TL_OK || status == TL_E_FORMAT, "an unexpected status");
    if (status) /* the first bytes choose options */
        demand(!tl_tokenizer_new(&t, .char_level = size && *text & 1, .keep_case = size && *text & 2,
                                 .oov_token = size && *text & 4 ? "a" : NULL, .split = size && *text & 8 ? "ab" : NULL,
                                 .num_words = size && *text & 16 ? 3 : 0),
               "options that are refused");
    else again(t);
    const char *const texts[] = { text, "a b a" };
    demand(!tl_tokenizer_fit(t, texts, 2), "texts that cannot be counted");
    again(t);
    use(t, text);
    tl_tokenizer_free(t);
    free(text);
    demand(tl_live_bytes() == 0, "memory was kept");
    return 0;
}
