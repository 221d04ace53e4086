/* tests/fuzz/fuzz_safetensors.c - any bytes as a safetensors file: no crash, no leak, and what is accepted makes sense
 * and survives being written and read again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void demand(int truth, const char *what)
{
    if (truth) return;
    fprintf(stderr, "%s (%s)\n", what, tl_message());
    abort();
}

static size_t array_bytes(const tl_array *a)
{
    size_t n = a->dtype == TL_F64 ? 8 : 4;
    for (int k = 0; k < a->rank; k++) n *= (size_t)a->dim[k];
    return n;
}

/* Every byte of every array is read, so that a sanitizer sees one that is not there. */
static void compare(const tl_named_array *a, const tl_array *b)
{
    demand(b != NULL, "an array is missing");
    demand(a->array.dtype == b->dtype && array_bytes(&a->array) == array_bytes(b), "an array has changed");
    demand(!array_bytes(b) || !memcmp(a->array.data, b->data, array_bytes(b)), "an array's values have changed");
}

static void again(const tl_safetensors *f)
{
    char path[64];
    tl_safetensors *g;
    int n, n_texts;
    const tl_named_array *e = tl_safetensors_arrays(f, &n);
    const tl_named_text *t = tl_safetensors_texts(f, &n_texts);
    snprintf(path, sizeof path, "/tmp/fuzz_safetensors.%ld", (long)getpid());
    const tl_status status = tl_safetensors_write(path, e, n, t, n_texts);
    if (status == TL_E_NAME) return; /* an empty name can be read but not written */
    demand(!status, "what was read cannot be written");
    demand(!tl_safetensors_read(path, &g), "what was written cannot be read");
    for (int i = 0; i < n; i++) compare(&e[i], tl_safetensors_array(g, e[i].name));
    for (int i = 0; i < n_texts; i++) {
        const char *text = tl_safetensors_text(g, t[i].key);
        demand(text && !strcmp(text, t[i].text), "a text has changed");
    }
    tl_safetensors_free(g);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    tl_safetensors *f;
    static unsigned runs;
    const tl_status status = tl_safetensors_parse("input", bytes, size, &f);
    demand(status == TL_OK || status == TL_E_FORMAT, "an unexpected status");
    if (!status && runs++ % 16 == 0) again(f); /* disks are slow */
    if (!status) tl_safetensors_free(f);
    demand(tl_live_bytes() == 0, "memory was kept");
    return 0;
}
