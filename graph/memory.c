/* graph/memory.c - the one allocator hook, which counts, and the arenas built on it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/tape.h"

static void *system_resize(void *data, void *old, size_t old_size, size_t new_size)
{
    (void)data, (void)old_size;
    if (new_size) return realloc(old, new_size);
    free(old);
    return NULL;
}

static tl_allocator allocator = { .resize = system_resize };
static _Atomic size_t live;
static _Atomic uint64_t made, fail_at;

tl_status tl_set_allocator(const tl_allocator *a)
{
    if (atomic_load(&live)) return tl_report(TL_E_ARGUMENT, "tl_set_allocator: memory is live; set it first");
    allocator = a ? *a : (tl_allocator){ .resize = system_resize };
    return TL_OK;
}

size_t tl_live_bytes(void) { return atomic_load(&live); }

uint64_t tl_allocations(void) { return atomic_load(&made); }

void tl_fail_allocation(uint64_t n) { atomic_store(&fail_at, n); }

/* Counts down to the allocation that is to fail. */
static bool told_to_fail(void)
{
    uint64_t n = atomic_load(&fail_at);
    while (n && !atomic_compare_exchange_weak(&fail_at, &n, n - 1)) {}
    return n == 1;
}

void *tl_resize(void *p, size_t old_size, size_t new_size)
{
    if (!new_size) {
        if (p) allocator.resize(allocator.data, p, old_size, 0);
        if (p) atomic_fetch_sub(&live, old_size);
        return NULL;
    }
    if (new_size > PTRDIFF_MAX || told_to_fail()) return NULL;
    void *q = allocator.resize(allocator.data, p, old_size, new_size);
    if (!q) return NULL;
    atomic_fetch_add(&made, 1);
    atomic_fetch_add(&live, new_size);
    if (p) atomic_fetch_sub(&live, old_size);
    return q;
}

/* ---- arena -------------------------------------------------------------------------------------------------- */

enum { BLOCK = 1 << 16, ALIGN = 64 };

struct tl_block {
    struct tl_block *next;
    size_t size, used; /* of data, which starts at the next multiple of ALIGN */
    void *base;
};

static char *block_data(struct tl_block *b)
{
    return (char *)(((uintptr_t)(b + 1) + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1));
}

static size_t block_bytes(size_t size) { return sizeof(struct tl_block) + ALIGN + size; }

/* Makes the newest block one with room for n: a spare one from before the last reset, or a new one. */
static bool next_block(tl_arena *a, size_t n)
{
    struct tl_block **spare = &a->spare;
    while (*spare && (*spare)->size < n) spare = &(*spare)->next;
    struct tl_block *b = *spare;
    if (b) {
        *spare = b->next;
    } else {
        size_t size = a->blocks ? 2 * a->blocks->size : BLOCK;
        if (size > (size_t)64 << 20) size = (size_t)64 << 20;
        if (size < n) size = n;
        if (!(b = tl_resize(NULL, 0, block_bytes(size)))) return false;
        b->size = size;
    }
    b->used = 0;
    b->next = a->blocks;
    a->blocks = b;
    return true;
}

void *tl_arena_alloc(tl_arena *a, size_t n)
{
    if (n > PTRDIFF_MAX / 2) return NULL;
    n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if ((!a->blocks || a->blocks->size - a->blocks->used < n) && !next_block(a, n)) return NULL;
    void *p = block_data(a->blocks) + a->blocks->used;
    a->blocks->used += n;
    return memset(p, 0, n);
}

/* Blocks become spare, in the order in which they were taken, so that the same recording finds them again. */
void tl_arena_reset(tl_arena *a)
{
    while (a->blocks) {
        struct tl_block *b = a->blocks;
        a->blocks = b->next;
        b->next = a->spare;
        a->spare = b;
    }
}

static void free_blocks(struct tl_block *b)
{
    while (b) {
        struct tl_block *next = b->next;
        tl_resize(b, block_bytes(b->size), 0);
        b = next;
    }
}

void tl_arena_free(tl_arena *a)
{
    free_blocks(a->blocks);
    free_blocks(a->spare);
    *a = (tl_arena){ 0 };
}

bool tl_grow(void **p, uint32_t n, uint32_t *cap, size_t element)
{
    if (n < *cap) return true;
    if (*cap > UINT32_MAX / 4) return false;
    const uint32_t more = *cap ? 2 * *cap : 16;
    void *q = tl_resize(*p, *cap * element, more * element);
    if (!q) return false;
    *p = q;
    *cap = more;
    return true;
}

/* ---- texts: their size lies before them, so that tl_free() knows it ---------------------------------------------- */

enum { HEAD = 16 };

char *tl_text_alloc(size_t n)
{
    char *p = tl_resize(NULL, 0, n + HEAD);
    if (!p) return NULL;
    memcpy(p, &n, sizeof n);
    return p + HEAD;
}

void tl_free(void *p)
{
    if (!p) return;
    size_t n;
    memcpy(&n, (char *)p - HEAD, sizeof n);
    tl_resize((char *)p - HEAD, n + HEAD, 0);
}

void tl_text_add(tl_text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (t->failed || need < 0) return;
    if (t->n + (size_t)need + 1 > t->cap) {
        const size_t cap = 2 * t->cap + (size_t)need + 256;
        char *s = tl_text_alloc(cap);
        if (!s) {
            t->failed = true;
            return;
        }
        if (t->n) memcpy(s, t->s, t->n);
        tl_free(t->s);
        t->s = s;
        t->cap = cap;
    }
    va_start(args, format);
    vsnprintf(t->s + t->n, t->cap - t->n, format, args);
    va_end(args);
    t->n += (size_t)need;
}

char *tl_text_take(tl_text *t)
{
    if (t->failed) tl_free(t->s);
    if (t->failed) tl_report(TL_E_MEMORY, "out of memory for a text");
    char *s = t->failed ? NULL : t->s;
    *t = (tl_text){ 0 };
    return s;
}
