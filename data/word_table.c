/* data/word_table.c - distinct words, numbered from 0 in the order in which they come. */
#include "data/internal.h"

#include <string.h>

/* Open addressing with linear probing, at most half full; a slot holds a word's number + 1 and its hash. */
typedef struct tl_word_slot {
    uint32_t hash, word;
} tl_word_slot;

/* Words lie in blocks, which stay where they are. */
typedef struct tl_word_block {
    struct tl_word_block *next;
    size_t used, room;
    char text[];
} tl_word_block;

static uint32_t hash_of(const char *s, size_t n)
{
    uint32_t h = 2166136261u; /* FNV-1a (Fowler, Noll, Vo) */
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h ^ h >> 15;
}

/* The slot where the word is, or where it would go. */
static tl_word_slot *slot_of(const tl_word_table *t, const char *s, size_t n, uint32_t hash)
{
    for (size_t k = hash;; k++) {
        tl_word_slot *slot = &t->slot[k & (t->slots - 1)];
        if (!slot->word) return slot;
        const char *word = slot->hash == hash ? t->word[slot->word - 1].text : NULL;
        if (word && !strncmp(word, s, n) && !word[n]) return slot;
    }
}

static bool rehash(tl_word_table *t)
{
    const size_t slots = t->slots ? 2 * t->slots : 64;
    tl_word_slot *slot = slots < SIZE_MAX / 2 / sizeof *slot ? tl_resize(NULL, 0, slots * sizeof *slot) : NULL;
    if (!slot) return false;
    memset(slot, 0, slots * sizeof *slot);
    for (size_t k = 0; k < t->slots; k++) {
        const tl_word_slot old = t->slot[k];
        size_t to = old.hash & (slots - 1);
        while (old.word && slot[to].word) to = (to + 1) & (slots - 1);
        if (old.word) slot[to] = old;
    }
    tl_resize(t->slot, t->slots * sizeof *slot, 0);
    t->slot = slot;
    t->slots = slots;
    return true;
}

/* A copy, ended by a 0; NULL if memory is short. */
static const char *keep(tl_word_table *t, const char *s, size_t n)
{
    tl_word_block *b = t->block;
    if (!b || b->room - b->used <= n) {
        const size_t room = n < 4096 ? 1 << 16 : n + 1;
        b = n < SIZE_MAX / 2 ? tl_resize(NULL, 0, sizeof *b + room) : NULL;
        if (!b) return NULL;
        *b = (tl_word_block){ .next = t->block, .room = room };
        t->block = b;
    }
    char *to = b->text + b->used;
    memcpy(to, s, n);
    to[n] = 0;
    b->used += n + 1;
    return to;
}

int64_t tl_word_find(const tl_word_table *t, const char *s, size_t n)
{
    return t->slots ? (int64_t)slot_of(t, s, n, hash_of(s, n))->word - 1 : -1;
}

int64_t tl_word_add(tl_word_table *t, const char *s, size_t n)
{
    if ((size_t)t->n >= t->slots / 2 && !rehash(t)) return -1;
    const uint32_t hash = hash_of(s, n);
    tl_word_slot *slot = slot_of(t, s, n, hash);
    if (slot->word) return slot->word - 1;
    /* Ids are of 32 bits, and one is the unknown word's. */
    if (t->n >= INT32_MAX - 2 || !tl_make_room(&t->word, &t->room, t->n, 1, sizeof *t->word)) return -1;
    const char *word = keep(t, s, n);
    if (!word) return -1;
    t->word[t->n] = (tl_word){ .text = word };
    *slot = (tl_word_slot){ hash, (uint32_t)++t->n };
    return t->n - 1;
}

void tl_word_table_free(tl_word_table *t)
{
    for (tl_word_block *b = t->block, *next; b; b = next) {
        next = b->next;
        tl_resize(b, sizeof *b + b->room, 0);
    }
    tl_resize(t->word, (size_t)t->room * sizeof *t->word, 0);
    tl_resize(t->slot, t->slots * sizeof *t->slot, 0);
    *t = (tl_word_table){ 0 };
}
