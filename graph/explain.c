/* graph/explain.c - what the compiler did, in plain words: the passes' notes, added up, and a census of the plan. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/look.h"

enum { PLACES = 6, LINE = 512 }; /* lines of source that are named for one sentence */

/* ---- words ------------------------------------------------------------------------------------------------------------- */

const char *tl_amount(char out[static 32], double x, const char *unit)
{
    static const char *const prefix[] = { "", "k", "M", "G", "T" };
    int k = 0;
    for (; k < 4 && x >= 999.5; k++) x /= 1000;
    snprintf(out, 32, "%.*f %s%s", !k || x >= 99.95 ? 0 : x >= 9.995 ? 1 : 2, x, prefix[k], unit);
    return out;
}

/* The sentence with its numbers; a word that follows a 1 loses the s of its plural. */
static void sentence(tl_text *out, const char *text, const int64_t *number)
{
    for (const char *s = text; *s;) {
        if (*s != '#') {
            const size_t n = strcspn(s, "#");
            tl_text_add(out, "%.*s", (int)n, s);
            s += n;
            continue;
        }
        tl_text_add(out, "%lld", (long long)*number);
        const size_t word = *++s == ' ' ? 1 + strspn(s + 1, "abcdefghijklmnopqrstuvwxyz") : 0;
        if (*number++ == 1 && word > 1 && s[word - 1] == 's') {
            tl_text_add(out, "%.*s", (int)word - 1, s);
            s += word;
        }
    }
}

/* "lstm/W (gradient), cell.c:12 in lstm" */
static void place_words(tl_text *out, const tl_note *n)
{
    char where[LINE];
    if (n->subject) tl_text_add(out, "%s%s, ", n->subject, n->gradient ? " (gradient)" : "");
    tl_place_print(where, sizeof where, n->at, n->caller, n->path, NULL);
    tl_text_add(out, "%s%s", where, n->gradient && !n->subject ? " (gradient)" : "");
}

/* ---- notes: those of one sentence together --------------------------------------------------------------------------- */

static bool same_sentence(const tl_note *a, const tl_note *b)
{
    return a->left == b->left && !strcmp(a->pass, b->pass) && !strcmp(a->text, b->text);
}

/* The largest number first; otherwise in order. */
static int by_number(const void *a, const void *b)
{
    const tl_note *p = *(const tl_note *const *)a, *q = *(const tl_note *const *)b;
    if (p->number[0] != q->number[0]) return p->number[0] < q->number[0] ? 1 : -1;
    return p < q ? -1 : p > q;
}

static void places(tl_text *out, const tl_note **note, uint32_t n)
{
    const uint32_t named = n > PLACES + 1 ? PLACES : n;
    int64_t rest = 0;
    qsort(note, n, sizeof *note, by_number);
    for (uint32_t i = 0; i < named; i++) {
        tl_text_add(out, "%16lld  ", (long long)note[i]->number[0]);
        place_words(out, note[i]);
        tl_text_add(out, "\n");
    }
    for (uint32_t i = named; i < n; i++) rest += note[i]->number[0];
    if (named < n) tl_text_add(out, "%16lld  at %u others\n", (long long)rest, n - named);
}

/* One sentence with the sum of its numbers, and where it was said. some: room for all notes. */
static void tell(tl_text *out, const tl_plan *p, uint32_t first, const tl_note **some)
{
    int64_t sum[TL_NOTE_NUMBERS] = { 0 };
    uint32_t n = 0;
    for (uint32_t i = first; i < p->n_note; i++) {
        if (!same_sentence(&p->note[first], &p->note[i])) continue;
        for (int k = 0; k < TL_NOTE_NUMBERS; k++) sum[k] += p->note[i].number[k];
        if (p->note[i].path) some[n++] = &p->note[i];
    }
    tl_text_add(out, "  %-9s ", p->note[first].pass);
    sentence(out, p->note[first].text, sum);
    if (n == 1) {
        tl_text_add(out, ": ");
        place_words(out, some[0]);
    }
    tl_text_add(out, "\n");
    if (n > 1) places(out, some, n);
}

static void tell_all(tl_text *out, const tl_plan *p, bool left, const tl_note **some)
{
    bool any = false;
    for (uint32_t i = 0; i < p->n_note; i++) {
        uint32_t k = 0;
        while (!same_sentence(&p->note[k], &p->note[i])) k++;
        if (k < i || p->note[i].left != left) continue;
        if (!any) tl_text_add(out, left ? "left as it was:\n" : "done:\n");
        any = true;
        tell(out, p, i, some);
    }
}

/* ---- census ----------------------------------------------------------------------------------------------------------- */

typedef struct kind { /* calls of one operation */
    const struct tl_op *op;
    uint32_t calls, fused;
    int64_t bytes;
    double flops;
    bool copies;
} kind;

typedef struct census {
    kind *kind;
    uint32_t n, cap;
    tl_table known;
    kind all, copied;
    uint32_t products;
} census;

static bool count(census *c, const tl_plan *p)
{
    for (tl_kernel_call call = { 0 }; tl_next_call(p, &call);) {
        uint64_t *slot = tl_table_put(&c->known, (uint64_t)(uintptr_t)call.op, 0, 0);
        if (!slot || !TL_GROW(c->kind, c->n, c->cap)) return false;
        if (!*slot) {
            c->kind[c->n++] = (kind){ .op = call.op, .copies = tl_call_is_copy(&call) };
            *slot = c->n;
        }
        kind *const rows[] = { &c->kind[*slot - 1], &c->all, tl_call_is_copy(&call) ? &c->copied : NULL };
        for (int i = 0; i < 3 && rows[i]; i++) {
            rows[i]->calls++;
            rows[i]->fused += call.member != NULL;
            rows[i]->bytes += tl_call_bytes(&call);
            rows[i]->flops += tl_call_flops(&call);
        }
        c->products += call.op->role == TL_ROLE_PRODUCT;
    }
    return true;
}

/* Products first, then by bytes. */
static int by_work(const void *a, const void *b)
{
    const kind *p = a, *q = b;
    if (p->flops != q->flops) return p->flops < q->flops ? 1 : -1;
    if (p->bytes != q->bytes) return p->bytes < q->bytes ? 1 : -1;
    return strcmp(p->op->name, q->op->name);
}

static void kinds(tl_text *out, census *c)
{
    char bytes[32], flops[32];
    if (c->n) qsort(c->kind, c->n, sizeof *c->kind, by_work);
    tl_text_add(out, "kernels:\n");
    for (uint32_t i = 0; i < c->n; i++) {
        const kind *k = &c->kind[i];
        tl_text_add(out, "  %6u  %-20s %10s", k->calls, k->op->name, tl_amount(bytes, (double)k->bytes, "B"));
        if (k->flops > 0) tl_text_add(out, "  %s", tl_amount(flops, k->flops, "FLOP"));
        if (k->fused) tl_text_add(out, "  (%u fused)", k->fused);
        tl_text_add(out, "%s\n", k->copies ? "  (copies)" : "");
    }
}

static int64_t parameters(const tl_plan *p)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < p->n_param && i < p->model->n_param; i++) n += p->model->param[i].size;
    return n;
}

static void heading(tl_text *out, const tl_plan *p, const census *c, size_t peak)
{
    char a[32], b[32];
    tl_text_add(out, "plan: %u instructions (%u kernels) for %u operations as written, %u matrix products for %u\n",
                p->n_instr, c->all.calls, p->written.operations, c->products, p->written.products);
    tl_text_add(out, "work: %s in products, %s as written; ", tl_amount(a, c->all.flops, "FLOP"),
                tl_amount(b, p->written.flops, "FLOP"));
    tl_text_add(out, "%s read and written, of them %s by %u copies\n", tl_amount(a, (double)c->all.bytes, "B"),
                tl_amount(b, (double)c->copied.bytes, "B"), c->copied.calls);
    tl_text_add(out, "memory: arena %s, of which %s are alive at once; ", tl_amount(a, (double)p->arena_bytes, "B"),
                tl_amount(b, (double)peak, "B"));
    tl_text_add(out, "parameters %s (%lld numbers)\n",
                tl_amount(a, (double)parameters(p) * (double)tl_dtype_size(p->model->dtype), "B"),
                (long long)parameters(p));
}

char *tl_explain(const tl_plan *p)
{
    tl_text out = { 0 };
    census c = { 0 };
    const size_t peak = tl_live_peak(p), bytes = (p->n_note + 1) * sizeof(tl_note *);
    const tl_note **some = tl_resize(NULL, 0, bytes);
    if (some && peak != SIZE_MAX && count(&c, p)) {
        heading(&out, p, &c, peak);
        tell_all(&out, p, false, some);
        tell_all(&out, p, true, some);
        kinds(&out, &c);
    } else {
        out.failed = true;
    }
    if (some) tl_resize(some, bytes, 0);
    tl_table_free(&c.known);
    TL_RELEASE(c.kind, c.cap);
    return tl_text_take(&out);
}
