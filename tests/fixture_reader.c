/* tests/fixture_reader.c - folders of reference values; nothing in the files is trusted. */
#include "fixture_reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "fixtures are little-endian"
#endif

enum { FIELDS = 8 };

typedef struct reading {
    fx_suite *suite;
    const char *path;
    int line;
    size_t blob_size;
    bool open; /* within case ... end */
    char *field[FIELDS];
    int fields;
    char *why;
} reading;

#define BAD(r, ...) (snprintf((r)->why, 300, __VA_ARGS__), false)

/* The whole file, and a 0 after it. */
static char *slurp(const char *path, size_t *size, char *why)
{
    errno = 0;
    FILE *f = fopen(path, "rb");
    struct stat st;
    char *text = NULL;
    if (!f || fstat(fileno(f), &st) || !S_ISREG(st.st_mode))
        snprintf(why, 512, "%s: %s", path, errno ? strerror(errno) : "not a file");
    else if (!(text = malloc((size_t)st.st_size + 1)) || fread(text, 1, (size_t)st.st_size, f) != (size_t)st.st_size) {
        snprintf(why, 512, "%s: cannot be read", path);
        free(text);
        text = NULL;
    } else text[ *size = (size_t)st.st_size] = 0;
    if (f) fclose(f);
    return text;
}

/* Room for one more of n elements; grows at powers of two. */
static void *grown(void *p, size_t n, size_t size) { return n & (n - 1) ? p : realloc(p, (n ? 2 * n : 1) * size); }

/* A whole number 0 .. 2^40 that ends at `stop`. */
static bool whole(const char *s, char stop, int64_t *v, const char **rest)
{
    char *end;
    errno = 0;
    *v = strtoll(s, &end, 10);
    *rest = *end == stop && stop ? end + 1 : end;
    return *s >= '0' && *s <= '9' && !errno && *end == stop && *v <= (int64_t)1 << 40;
}

static bool take_dims(reading *r, fx_tensor *t)
{
    const char *s = r->field[5];
    int64_t count = 1;
    if (!t->ndim && strcmp(s, "-")) return BAD(r, "a scalar's dimensions are \"-\", not \"%.40s\"", s);
    for (int a = 0; a < t->ndim; a++) {
        if (!whole(s, a + 1 < t->ndim ? ',' : 0, &t->dim[a], &s))
            return BAD(r, "bad dimensions \"%.40s\"", r->field[5]);
        if (__builtin_mul_overflow(count, t->dim[a], &count)) return BAD(r, "too large a tensor");
    }
    return count == t->count ||
           BAD(r, "dimensions of %lld numbers, but %lld are said", (long long)count, (long long)t->count);
}

static bool take_tensor(reading *r)
{
    const char *rest;
    int64_t ndim, offset;
    char **field = r->field;
    if (!r->open || r->fields != 8) return BAD(r, r->open ? "a tensor has 8 fields" : "a tensor outside a case");
    fx_tensor t = { .role = field[1], .name = field[2], .isint = field[3][0] == 'i' };
    if (strcmp(field[3], "f8") && strcmp(field[3], "i8")) return BAD(r, "\"%.20s\" is not f8 or i8", field[3]);
    if (!whole(field[4], 0, &ndim, &rest) || ndim > FX_MAX_RANK) return BAD(r, "bad number of dimensions");
    t.ndim = (int)ndim;
    if (!whole(field[6], 0, &offset, &rest) || !whole(field[7], 0, &t.count, &rest))
        return BAD(r, "bad offset or count");
    if (!take_dims(r, &t)) return false;
    if (offset % 8 || (uint64_t)offset > r->blob_size || (uint64_t)t.count > (r->blob_size - (uint64_t)offset) / 8)
        return BAD(r, "%s.%s lies outside fixtures.safetensors, or not at a multiple of 8", t.role, t.name);
    const void *numbers = r->suite->blob + offset;
    if (t.isint) t.i = numbers;
    else t.f = numbers;
    fx_case *c = &r->suite->cases[r->suite->n - 1];
    if (fx_get(c, t.role, t.name)) return BAD(r, "a second tensor %s.%s", t.role, t.name);
    fx_tensor *all = grown(c->t, c->nt, sizeof t);
    if (!all) return BAD(r, "out of memory");
    c->t = all;
    c->t[c->nt++] = t;
    return true;
}

static bool take_attr(reading *r)
{
    if (!r->open || r->fields > 3 || r->fields < 2) return BAD(r, "an attribute is a key and a value, within a case");
    fx_case *c = &r->suite->cases[r->suite->n - 1];
    fx_attr_t *all = grown(c->attrs, c->nattr, sizeof *all);
    if (!all) return BAD(r, "out of memory");
    c->attrs = all;
    c->attrs[c->nattr++] = (fx_attr_t){ r->field[1], r->fields > 2 ? r->field[2] : "" };
    return true;
}

static bool take_case(reading *r)
{
    if (r->open) return BAD(r, "a case within a case: \"end\" is missing");
    if (r->fields != 4) return BAD(r, "a case has a name, an op and a tier");
    if (strcmp(r->field[3], "core") && strcmp(r->field[3], "optional")) return BAD(r, "tier \"%.20s\"", r->field[3]);
    fx_case *all = grown(r->suite->cases, r->suite->n, sizeof *all);
    if (!all) return BAD(r, "out of memory");
    r->suite->cases = all;
    all[r->suite->n++] = (fx_case){ .name = r->field[1], .op = r->field[2], .core = r->field[3][0] == 'c' };
    return r->open = true;
}

static bool take_end(reading *r)
{
    if (!r->open) return BAD(r, "an \"end\" without a case");
    r->open = false;
    return true;
}

static bool take_line(reading *r, char *line)
{
    static const struct {
        const char *word;
        bool (*take)(reading *r);
    } words[] = { { "case", take_case }, { "attr", take_attr }, { "tensor", take_tensor }, { "end", take_end } };
    if (!*line || *line == '#') return true;
    r->fields = 0;
    for (char *s = line; s; r->fields++) {
        if (r->fields == FIELDS) return BAD(r, "too many fields");
        r->field[r->fields] = s;
        if ((s = strchr(s, '\t'))) *s++ = 0;
    }
    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (!strcmp(line, words[k].word)) return words[k].take(r);
    return BAD(r, "\"%.20s\" is not case, attr, tensor or end", line);
}

static bool take_index(reading *r, size_t size)
{
    if (strlen(r->suite->index) != size) return BAD(r, "a zero byte");
    for (char *line = r->suite->index, *next; line; line = next) {
        if ((next = strchr(line, '\n'))) *next++ = 0;
        line[strcspn(line, "\r")] = 0;
        r->line++;
        if (!take_line(r, line)) return false;
    }
    if (r->open) return BAD(r, "the last case has no \"end\"");
    return r->suite->n || BAD(r, "there are no cases");
}

fx_suite *fx_open(const char *dir, char why[static 512])
{
    char path[1024], what[300] = "out of memory";
    size_t size = 0;
    reading r = { .suite = calloc(1, sizeof *r.suite), .path = path, .why = what };
    snprintf(path, sizeof path, "%s/fixtures.safetensors", dir);
    if (r.suite && (r.suite->blob = slurp(path, &r.blob_size, why))) {
        snprintf(path, sizeof path, "%s/cases.tsv", dir);
        if ((r.suite->index = slurp(path, &size, why))) {
            if (take_index(&r, size)) return r.suite;
            snprintf(why, 512, "%.180s, line %d: %s", path, r.line, what);
        }
    }
    fx_close(r.suite);
    return NULL;
}

void fx_close(fx_suite *suite)
{
    if (!suite) return;
    for (size_t i = 0; i < suite->n; i++) {
        free(suite->cases[i].attrs);
        free(suite->cases[i].t);
    }
    free(suite->cases);
    free(suite->index);
    free(suite->blob);
    free(suite);
}

const fx_tensor *fx_get(const fx_case *c, const char *role, const char *name)
{
    for (size_t k = 0; k < c->nt; k++)
        if (!strcmp(c->t[k].role, role) && !strcmp(c->t[k].name, name)) return &c->t[k];
    return NULL;
}

const char *fx_attr(const fx_case *c, const char *key)
{
    for (size_t k = 0; k < c->nattr; k++)
        if (!strcmp(c->attrs[k].key, key)) return c->attrs[k].val;
    return NULL;
}

double fx_num(const fx_case *c, const char *key, double otherwise)
{
    const char *value = fx_attr(c, key);
    return value ? strtod(value, NULL) : otherwise;
}

int64_t fx_int(const fx_case *c, const char *key, int64_t otherwise)
{
    const char *value = fx_attr(c, key);
    const long long v = value ? strtoll(value, NULL, 10) : otherwise;
    return v < INT32_MIN ? INT32_MIN : v > INT32_MAX ? INT32_MAX : v;
}

bool fx_is(const fx_case *c, const char *key, const char *value)
{
    const char *has = fx_attr(c, key);
    return has && !strcmp(has, value);
}

void fx_path(char path[static 900], const char *name)
{
    const char *dir = getenv("TL_FIXTURES");
    snprintf(path, 900, "%s/%s", dir ? dir : TL_SOURCE "/../shared/fixtures", name);
}
