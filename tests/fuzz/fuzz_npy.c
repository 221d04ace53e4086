/* tests/fuzz/fuzz_npy.c - any bytes as an npy or npz file: no crash, no leak, and what is accepted survives being
 * written and read again. */
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

static const char *path(void)
{
    static char text[64];
    if (!*text)
        snprintf(text, sizeof text, "%s/fuzz_npy.%ld", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm", (long)getpid());
    return text;
}

/* Every byte is read, so that a sanitizer sees one that is not there. */
static void compare(const tl_array *a, const tl_array *b)
{
    size_t n = a->dtype == TL_F64 ? 8 : 4;
    demand(b && a->dtype == b->dtype && a->rank == b->rank, "an array has changed");
    for (int k = 0; k < a->rank; k++) {
        demand(a->dim[k] == b->dim[k], "a shape has changed");
        n *= (size_t)a->dim[k];
    }
    demand(!n || !memcmp(a->data, b->data, n), "values have changed");
}

static void one(const uint8_t *bytes, size_t size, int write)
{
    tl_array a, b;
    const tl_status status = tl_npy_parse("input", bytes, size, &a);
    demand(status == TL_OK || status == TL_E_FORMAT, "an unexpected status");
    if (status) return;
    if (write) {
        demand(!tl_npy_write(path(), &a) && !tl_npy_read(path(), &b), "what was read cannot be written and read");
        compare(&a, &b);
        tl_array_free(&b);
    }
    tl_array_free(&a);
}

static void many(const uint8_t *bytes, size_t size, int write)
{
    tl_npz *f, *g;
    int n;
    const tl_status status = tl_npz_parse("input", bytes, size, &f);
    demand(status == TL_OK || status == TL_E_FORMAT, "an unexpected status");
    if (status) return;
    const tl_named_array *a = tl_npz_arrays(f, &n);
    /* An empty name can be read but not written. */
    if (write && !tl_npz_write(path(), a, n, size % 2)) {
        demand(!tl_npz_read(path(), &g), "what was written cannot be read");
        for (int i = 0; i < n; i++) compare(&a[i].array, tl_npz_array(g, a[i].name));
        tl_npz_free(g);
    }
    tl_npz_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static unsigned runs;
    const int write = runs++ % 8 == 0; /* disks are slow */
    one(bytes, size, write);
    many(bytes, size, write);
    demand(tl_live_bytes() == 0, "memory was kept");
    return 0;
}
