/* ops/einsum.c - sums of products in Einstein's notation, made of permute, reshape, sum, mul and one product for each
 * pair. */
#include <ctype.h>
#include <stdarg.h>

#include "ops/define.h"

enum { LETTERS = 2 * TL_MAX_RANK + 1 }; /* room for those of two tensors */

/* A tensor and the letters of its axes. */
typedef struct term {
    tl_tensor x;
    char letter[LETTERS];
} term;

typedef struct fault {
    int64_t status;
    char reason[152];
} fault;

typedef struct einsum {
    tl_place at;
    const char *next; /* what has not been read of the equation */
    char output[LETTERS];
    int64_t size[128]; /* of a letter's axis; -1: not seen yet */
    int count[128];    /* in how many axes a letter is */
    fault fault;
} einsum;

static bool einsum_refused(tl_shape_rule *r)
{
    const fault *f = r->attr;
    return tl_refuse(r, (tl_status)f->status, "%s", f->reason);
}
TL_REFUSAL(einsum, fault, einsum_refused);

TL_PRINTF(3, 4) static bool wrong(einsum *e, tl_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(e->fault.reason, sizeof e->fault.reason, format, list);
    va_end(list);
    e->fault.status = status;
    return false;
}

/* ---- reading the equation ------------------------------------------------------------------------------------ */

/* The letters up to a comma, an arrow or the end. */
static bool read_letters(einsum *e, char letter[LETTERS])
{
    int n = 0;
    for (; *e->next && *e->next != ',' && strncmp(e->next, "->", 2) != 0; e->next++) {
        if (*e->next == ' ') continue;
        if ((unsigned char)*e->next > 127 || !isalpha((unsigned char)*e->next))
            return wrong(e, TL_E_ARGUMENT, "\"%.40s\" does not begin with a letter", e->next);
        if (n == TL_MAX_RANK) return wrong(e, TL_E_ARGUMENT, "more than %d letters in a row", TL_MAX_RANK);
        letter[n++] = *e->next;
    }
    letter[n] = 0;
    return true;
}

static bool read_operand(einsum *e, int k, term *t)
{
    if (!read_letters(e, t->letter)) return false;
    const int n = (int)strlen(t->letter);
    if (n != tl_rank(t->x)) return wrong(e, TL_E_SHAPE, "operand %d has %d axes, and %d letters", k, tl_rank(t->x), n);
    for (int a = 0; a < n; a++) {
        int64_t *size = &e->size[(int)t->letter[a]], d = tl_dim(t->x, a);
        if (*size >= 0 && *size != d)
            return wrong(e, TL_E_SHAPE, "%c is %lld, and %lld in operand %d", t->letter[a], (long long)*size,
                         (long long)d, k);
        *size = d;
        e->count[(int)t->letter[a]]++;
    }
    return true;
}

static bool read_output(einsum *e)
{
    int n = 0;
    if (!*e->next) { /* the letters that come once */
        for (int c = 'A'; c <= 'z'; c++) {
            if (e->count[c] != 1) continue;
            if (n == TL_MAX_RANK) return wrong(e, TL_E_SHAPE, "the result would have more than %d axes", TL_MAX_RANK);
            e->output[n++] = (char)c;
        }
        return true;
    }
    e->next += 2;
    if (!read_letters(e, e->output)) return false;
    if (*e->next) return wrong(e, TL_E_ARGUMENT, "\"%.40s\" after the output", e->next);
    for (const char *c = e->output; *c; c++) {
        if (e->size[(int)*c] < 0) return wrong(e, TL_E_ARGUMENT, "no operand has the output's %c", *c);
        if (strchr(c + 1, *c)) return wrong(e, TL_E_ARGUMENT, "the output has %c twice", *c);
    }
    return true;
}

/* Checks all of it, so that nothing is recorded of an equation that is wrong. */
static bool read_equation(einsum *e, const char *equation, int n, const tl_tensor *x)
{
    if (!equation) return wrong(e, TL_E_ARGUMENT, "there is no equation (NULL)");
    e->next = equation;
    for (int k = 0; k < n; k++) {
        term t = { .x = x[k] };
        if (!read_operand(e, k, &t)) return false;
        const bool more = *e->next == ',', last = k + 1 == n;
        if (more == last) return wrong(e, TL_E_ARGUMENT, "\"%.60s\" is not for %d operands", equation, n);
        e->next += more;
    }
    return read_output(e);
}

/* ---- the work ------------------------------------------------------------------------------------------------- */

static int64_t size_of(const einsum *e, const char *letter)
{
    int64_t n = 1;
    for (; *letter; letter++) n *= e->size[(int)*letter];
    return n;
}

static tl_tensor shaped(const einsum *e, tl_tensor x, const char *letter)
{
    int64_t dim[LETTERS];
    for (int a = 0; letter[a]; a++) dim[a] = e->size[(int)letter[a]];
    return tl_reshape_at(e->at, x, (int)strlen(letter), dim);
}

/* With its axes in the order of these letters, which are its own. */
static tl_tensor ordered(const einsum *e, const term *t, const char *letter)
{
    int order[LETTERS];
    if (!strcmp(t->letter, letter)) return t->x;
    for (int a = 0; letter[a]; a++) order[a] = (int)(strchr(t->letter, letter[a]) - t->letter);
    return tl_permute_at(e->at, t->x, order);
}

static void append(char *letter, char c)
{
    const size_t n = strlen(letter);
    letter[n] = c;
    letter[n + 1] = 0;
}

static void without(char *letter, int a) { memmove(letter + a, letter + a + 1, strlen(letter + a)); }

/* Letters that come twice take the diagonal: of the two axes as one, each (n + 1)-th element. */
static void take_diagonals(const einsum *e, term *t)
{
    for (int a = 0; t->letter[a]; a++) {
        const char c = t->letter[a], *second = strchr(t->letter + a + 1, c);
        if (!second) continue;
        const int b = (int)(second - t->letter), rank = (int)strlen(t->letter);
        int order[LETTERS], n = 0;
        for (int i = 0; i < rank; i++)
            if (i != a && i != b) order[n++] = i;
        order[n] = a, order[n + 1] = b;
        const int64_t d = e->size[(int)c];
        tl_shape s = tl_shape_of(t->x = tl_permute_at(e->at, t->x, order));
        s.dim[n] = d * d;
        without(t->letter, b);
        without(t->letter, a);
        append(t->letter, c);
        t->x = tl_slice_step_at(e->at, tl_reshape_at(e->at, t->x, n + 1, s.dim), n, 0, TL_END, d + 1);
        a--;
    }
}

/* Sums over the letters that are in neither list. */
static void sum_others(const einsum *e, term *t, const char *kept, const char *also)
{
    int axes[LETTERS], n = 0;
    char left[LETTERS] = "";
    for (int a = 0; t->letter[a]; a++) {
        if (strchr(kept, t->letter[a]) || strchr(also, t->letter[a])) append(left, t->letter[a]);
        else axes[n++] = a;
    }
    if (n) t->x = tl_sum_at(e->at, t->x, n, axes);
    memcpy(t->letter, left, sizeof left);
}

static void joined(char out[3 * LETTERS], const char *a, const char *b, const char *c)
{
    snprintf(out, 3 * (size_t)LETTERS, "%s%s%s", a, b, c);
}

/* As [first, second, third]; or as [first, third, second] if it lies so already. */
static tl_tensor matrices(const einsum *e, const term *t, const char *first, const char *second, const char *third,
                          bool *turned)
{
    char order[3 * LETTERS], other[3 * LETTERS];
    joined(order, first, second, third);
    joined(other, first, third, second);
    *turned = strcmp(t->letter, order) != 0 && !strcmp(t->letter, other);
    const int64_t rows = size_of(e, *turned ? third : second), columns = size_of(e, *turned ? second : third);
    const tl_tensor x = *turned ? t->x : ordered(e, t, order);
    if (!*first) return tl_reshape_at(e->at, x, TL_DIMS(rows, columns));
    return tl_reshape_at(e->at, x, TL_DIMS(size_of(e, first), rows, columns));
}

/* a becomes the product of a and b, with the letters that are kept. */
static bool multiply(einsum *e, term *a, term *b, const char *kept)
{
    char batch[LETTERS] = "", inner[LETTERS] = "", rows[LETTERS] = "", columns[LETTERS] = "", all[3 * LETTERS];
    sum_others(e, a, kept, b->letter);
    sum_others(e, b, kept, a->letter);
    for (const char *c = a->letter; *c; c++)
        append(!strchr(b->letter, *c) ? rows : strchr(kept, *c) ? batch : inner, *c);
    for (const char *c = b->letter; *c; c++)
        if (!strchr(a->letter, *c)) append(columns, *c);
    joined(all, batch, rows, columns);
    if (strlen(all) > TL_MAX_RANK)
        return wrong(e, TL_E_SHAPE, "a product would have more than %d axes (%s)", TL_MAX_RANK, all);
    bool ta, tb;
    const tl_tensor left = matrices(e, a, batch, rows, inner, &ta);
    const tl_tensor right = matrices(e, b, batch, inner, columns, &tb);
    if (*inner) a->x = tl_gemm_at(e->at, TL_NONE, left, right, ta, tb);
    else a->x = tl_mul_at(e->at, left, right);
    a->x = shaped(e, a->x, all);
    memcpy(a->letter, all, LETTERS);
    return true;
}

static bool evaluate(einsum *e, const char *equation, int n, const tl_tensor *x, term *y)
{
    e->next = equation;
    for (int k = 0; k < n; k++, e->next++) {
        term t = { .x = x[k] };
        char kept[160] = "";
        if (!read_letters(e, t.letter)) return false;
        take_diagonals(e, &t);
        for (const char *c = e->next; *c && strncmp(c, "->", 2) != 0; c++) /* what later operands need */
            if (isalpha((unsigned char)*c) && !strchr(kept, *c)) append(kept, *c);
        strcat(kept, e->output);
        if (!k) *y = t;
        else if (!multiply(e, y, &t, kept)) return false;
        if (n == 1) sum_others(e, y, kept, "");
    }
    y->x = ordered(e, y, e->output);
    return true;
}

tl_tensor tl_einsum_at(tl_place at, const char *equation, int n, const tl_tensor *x)
{
    einsum e = { .at = at };
    term y = { .x = TL_NONE };
    bool whole = x != NULL && n > 0;
    for (int c = 0; c < 128; c++) e.size[c] = -1;
    for (int k = 0; k < n && whole; k++) whole = !tl_absent(x[k]);
    if (whole && read_equation(&e, equation, n, x) && evaluate(&e, equation, n, x, &y)) return y.x;
    return tl_apply_at(at, &refusal_einsum, x, n > 0 ? n : 0, &e.fault);
}
tl_tensor(tl_einsum)(const char *equation, int n, const tl_tensor *x)
{
    return tl_einsum_at(TL_NOWHERE, equation, n, x);
}
