/* train/digest.c - a number that changes with any byte of what a file holds: each change of one array or text changes it for
 * sure, others with all but certainty. It guards against accidents, not against forgery. */
#include "train/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char tl_digest_key[] = "tapeloop_digest";

/* For each word a one-to-one function of h. */
static uint64_t mix(uint64_t h, const void *data, size_t n)
{
    const char *p = data;
    h = (h ^ n) * 0x9E3779B97F4A7C15u;
    while (n) {
        const size_t k = n < 8 ? n : 8;
        uint64_t word = 0;
        memcpy(&word, p, k);
        h = (h ^ word) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
        p += k;
        n -= k;
    }
    return h;
}

static uint64_t of_array(const tl_named_array *e)
{
    const tl_array *a = &e->array;
    size_t bytes = a->dtype == TL_F64 ? 8 : 4;
    for (int k = 0; k < a->rank; k++) bytes *= (size_t)a->dim[k];
    uint64_t h = mix(a->dtype, e->name, strlen(e->name));
    h = mix(h, a->dim, (size_t)a->rank * sizeof a->dim[0]);
    return mix(h, a->data, bytes);
}

void tl_digest(char out[static TL_DIGEST_SIZE], const tl_named_array *arrays, int n, const tl_named_text *texts,
               int n_texts)
{
    uint64_t sum = (uint64_t)n;
    for (int i = 0; i < n; i++) sum += of_array(&arrays[i]);
    for (int i = 0; i < n_texts; i++)
        if (strcmp(texts[i].key, tl_digest_key))
            sum += mix(mix(0, texts[i].key, strlen(texts[i].key)), texts[i].text, strlen(texts[i].text));
    snprintf(out, TL_DIGEST_SIZE, "%016" PRIx64, sum);
}

tl_status tl_digest_check(const tl_safetensors *file)
{
    const char *saved = tl_safetensors_text(file, tl_digest_key);
    char digest[TL_DIGEST_SIZE];
    int n, n_texts;
    const tl_named_array *arrays = tl_safetensors_arrays(file, &n);
    const tl_named_text *texts = tl_safetensors_texts(file, &n_texts);
    if (!saved) return TL_OK;
    tl_digest(digest, arrays, n, texts, n_texts);
    if (!strcmp(saved, digest)) return TL_OK;
    return tl_report(TL_E_FORMAT, "the contents were changed since they were written");
}
