/* graph/memory_plan.c - best fit with coalescing, over the order of instructions instead of time. */
#include "graph/memory_plan.h"

static uint32_t new_piece(tl_memory_plan *m, tl_piece p)
{
    uint32_t i = m->spare ? m->spare - 1 : m->n;
    if (m->spare) {
        m->spare = m->piece[i].next;
    } else {
        if (!TL_GROW(m->piece, m->n, m->cap)) return m->failed = true, 0;
        m->n++;
    }
    m->piece[i] = p;
    if (p.prev != TL_NO_PIECE) m->piece[p.prev].next = i;
    if (p.next != TL_NO_PIECE) m->piece[p.next].prev = i;
    else m->last = i + 1;
    return i;
}

static void list_free(tl_memory_plan *m, uint32_t i)
{
    if (!TL_GROW(m->free, m->n_free, m->cap_free)) {
        m->failed = true;
        return;
    }
    m->piece[i].at = m->n_free;
    m->free[m->n_free++] = i;
}

static void unlist(tl_memory_plan *m, uint32_t i)
{
    const uint32_t at = m->piece[i].at, moved = m->free[--m->n_free];
    m->free[at] = moved;
    m->piece[moved].at = at;
    m->piece[i].at = TL_NO_PIECE;
}

/* Joins piece i with the free piece after it, whose number becomes spare. */
static void absorb_next(tl_memory_plan *m, uint32_t i)
{
    const uint32_t j = m->piece[i].next;
    unlist(m, j);
    m->piece[i].size += m->piece[j].size;
    m->piece[i].next = m->piece[j].next;
    if (m->piece[i].next != TL_NO_PIECE) m->piece[m->piece[i].next].prev = i;
    else m->last = i + 1;
    m->piece[j].next = m->spare;
    m->spare = j + 1;
}

static uint32_t best_fit(const tl_memory_plan *m, int64_t size)
{
    uint32_t best = TL_NO_PIECE;
    for (uint32_t k = 0; k < m->n_free; k++) {
        const uint32_t i = m->free[k];
        if (m->piece[i].size < size) continue;
        if (best == TL_NO_PIECE || m->piece[i].size < m->piece[best].size ||
            (m->piece[i].size == m->piece[best].size && m->piece[i].offset < m->piece[best].offset))
            best = i;
    }
    return best;
}

/* No free piece is large enough: the arena grows at its end. */
static uint32_t extend(tl_memory_plan *m, int64_t size)
{
    const uint32_t end = m->last ? m->last - 1 : TL_NO_PIECE;
    if (end != TL_NO_PIECE && m->piece[end].at != TL_NO_PIECE) {
        m->size += (size_t)(size - m->piece[end].size);
        m->piece[end].size = size;
        unlist(m, end);
        return end;
    }
    const uint32_t i = new_piece(m, (tl_piece){ (int64_t)m->size, size, TL_NO_PIECE, end, TL_NO_PIECE });
    if (!m->failed) m->size += (size_t)size;
    return i;
}

uint32_t tl_memory_take(tl_memory_plan *m, size_t bytes)
{
    if (m->failed) return 0;
    const int64_t size = (int64_t)((bytes ? bytes : 1) + 63) & ~(int64_t)63;
    const uint32_t i = best_fit(m, size);
    if (i == TL_NO_PIECE) return extend(m, size);
    unlist(m, i);
    const int64_t rest = m->piece[i].size - size;
    if (rest) {
        m->piece[i].size = size;
        const tl_piece p = { m->piece[i].offset + size, rest, m->piece[i].next, i, TL_NO_PIECE };
        const uint32_t r = new_piece(m, p);
        if (!m->failed) list_free(m, r);
    }
    return i;
}

void tl_memory_give(tl_memory_plan *m, uint32_t i)
{
    if (m->failed) return;
    list_free(m, i);
    if (m->failed) return;
    const uint32_t next = m->piece[i].next, prev = m->piece[i].prev;
    if (next != TL_NO_PIECE && m->piece[next].at != TL_NO_PIECE) absorb_next(m, i);
    if (prev != TL_NO_PIECE && m->piece[prev].at != TL_NO_PIECE) absorb_next(m, prev);
}

int64_t tl_memory_offset(const tl_memory_plan *m, uint32_t i) { return m->failed ? 0 : m->piece[i].offset; }

void tl_memory_plan_free(tl_memory_plan *m)
{
    TL_RELEASE(m->piece, m->cap);
    TL_RELEASE(m->free, m->cap_free);
}
