/* graph/table.c - hashing and the hash table that everything named is found by. */
#include <string.h>

#include "graph/tape.h"

/* Finalizer of splitmix64 (Steele, Lea, Flood 2014) over both words. */
uint64_t tl_mix(uint64_t a, uint64_t b)
{
    uint64_t z = a ^ (b + 0x9E3779B97F4A7C15u + (a << 6) + (a >> 2));
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint64_t tl_hash(uint64_t h, const void *p, size_t n)
{
    const unsigned char *c = p;
    uint64_t w;
    for (; n >= 8; c += 8, n -= 8) {
        memcpy(&w, c, 8);
        h = tl_mix(h, w);
    }
    w = 0;
    if (n) memcpy(&w, c, n);
    return tl_mix(h, w ^ ((uint64_t)n << 56));
}

static struct tl_slot *seek(const tl_table *t, uint64_t a, uint64_t b)
{
    uint32_t i = (uint32_t)tl_mix(a, b) & (t->cap - 1);
    while (t->slot[i].used && (t->slot[i].a != a || t->slot[i].b != b)) i = (i + 1) & (t->cap - 1);
    return &t->slot[i];
}

uint64_t *tl_table_find(const tl_table *t, uint64_t a, uint64_t b)
{
    if (!t->cap) return NULL;
    struct tl_slot *s = seek(t, a, b);
    return s->used ? &s->value : NULL;
}

static bool rehash(tl_table *t)
{
    tl_table bigger = { .n = t->n, .cap = t->cap ? 2 * t->cap : 32 };
    bigger.slot = tl_resize(NULL, 0, bigger.cap * sizeof *bigger.slot);
    if (!bigger.slot) return false;
    memset(bigger.slot, 0, bigger.cap * sizeof *bigger.slot);
    for (uint32_t i = 0; i < t->cap; i++)
        if (t->slot[i].used) *seek(&bigger, t->slot[i].a, t->slot[i].b) = t->slot[i];
    TL_RELEASE(t->slot, t->cap);
    *t = bigger;
    return true;
}

uint64_t *tl_table_put(tl_table *t, uint64_t a, uint64_t b, uint64_t value)
{
    if (2 * (t->n + 1) > t->cap && !rehash(t)) return NULL;
    struct tl_slot *s = seek(t, a, b);
    if (!s->used) {
        *s = (struct tl_slot){ a, b, value, true };
        t->n++;
    }
    return &s->value;
}

void tl_table_clear(tl_table *t)
{
    if (t->cap) memset(t->slot, 0, t->cap * sizeof *t->slot);
    t->n = 0;
}

void tl_table_free(tl_table *t)
{
    TL_RELEASE(t->slot, t->cap);
    t->n = 0;
}
