/* tests/support.h - what several suites of the engine need: numbers, texts, censuses, random graphs. */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <criterion/criterion.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/tape.h"
#include "ops/ops.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))
#define SOME __attribute__((unused)) static

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

/* In [-1, 1), the same in every run of a suite. */
SOME double noise(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-52 - 1;
}

SOME int64_t elements(const tl_array *a)
{
    int64_t n = 1;
    for (int i = 0; i < a->rank; i++) n *= a->dim[i];
    return n;
}

SOME size_t bytes_in(const tl_array *a) { return (size_t)elements(a) * tl_dtype_size(a->dtype); }

/* An array over memory of the caller's. */
SOME tl_array array_over(void *data, tl_dtype dtype, int rank, const int64_t *dim)
{
    tl_array a = { .dtype = dtype, .rank = rank, .data = data };
    for (int i = 0; i < rank; i++) a.dim[i] = dim[i];
    return a;
}
#define FLOATS(data, ...) array_over((data), TL_F32, TL_DIMS(__VA_ARGS__))
#define DOUBLES(data, ...) array_over((data), TL_F64, TL_DIMS(__VA_ARGS__))
#define IDS(data, ...) array_over((data), TL_I32, TL_DIMS(__VA_ARGS__))

SOME tl_status set_param(tl_model *m, const char *name, tl_array a) { return tl_model_set(m, name, &a); }

/* Initial values that say how they were drawn. */
SOME void fill_normal(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    (void)self;
    for (int64_t i = 0; i < tl_shape_size(shape); i++) out[i] = tl_random_next_normal(random);
}
SOME const tl_init normal = { .fill = fill_normal };

/* ---- texts ------------------------------------------------------------------------------------------------------ */

#define cr_has(text, part) cr_assert(strstr((text), (part)), "\"%s\" says nothing of \"%s\"", (text), (part))
#define cr_lacks(text, part) cr_assert(!strstr((text), (part)), "\"%s\" says \"%s\"", (text), (part))

/* "test_x.c:12": how a message names a line of this file. */
#define AT_LINE(n) line_name(__FILE__, (n))
SOME const char *line_name(const char *file, int line)
{
    static char text[8][64];
    static int next;
    const char *slash = strrchr(file, '/');
    char *s = text[next++ % 8];
    snprintf(s, sizeof text[0], "%.48s:%d", slash ? slash + 1 : file, line);
    return s;
}

/* Does a message name the line of a call that is an argument of the macro on this line? gcc says that it is where the macro
 * ends, clang that it is where the call ends, which may be one before. */
#define NAMES_LINE(text, n) (strstr((text), AT_LINE(n)) || strstr((text), AT_LINE((n)-1)))

/* The line of a text that holds all the parts. */
SOME const char *line_with(const char *text, int n, const char *const *part, char *line, size_t size)
{
    for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        snprintf(line, size, "%.*s", (int)strcspn(p, "\n"), p);
        int k = 0;
        while (k < n && strstr(line, part[k])) k++;
        if (k == n) return line;
    }
    return NULL;
}
#define HAS_LINE(text, ...)                                                                                            \
    cr_assert(line_with((text), COUNT(((const char *[]){ __VA_ARGS__ })), (const char *[]){ __VA_ARGS__ },             \
                        (char[1024]){ 0 }, 1024),                                                                      \
              "no line with all of %s in\n%s", #__VA_ARGS__, (text))

/* Braces and quotes balance; outside of quotes there is only what the language allows. Where `node` is defined, the labels
 * of the clusters around it are written to path, joined by '>'. */
SOME void parse_dot(const char *dot, const char *node, char path[static 1024])
{
    char label[32][512] = { "" }, text[512] = "";
    int depth = 0;
    *path = 0;
    for (const char *p = dot; *p; p++) {
        if (*p == '"') {
            size_t n = 0;
            for (p++; *p && *p != '"'; p++) {
                if (*p == '\\') cr_assert(strchr("\"\\n", p[1]), "escape \\%c", p[1]);
                if (*p == '\\') text[n++] = *p++;
                cr_assert((unsigned char)*p >= ' ' && n + 3 < sizeof text);
                text[n++] = *p;
            }
            text[n] = 0;
            cr_assert(*p, "a quote is open");
            if (depth > 1 && !strncmp(p - n - 7, "label=\"", 7) && p[1] == ';')
                snprintf(label[depth], sizeof label[0], "%s", text);
        } else if (*p == '{') {
            cr_assert(++depth < 32);
            label[depth][0] = 0;
        } else if (*p == '}') {
            cr_assert(--depth >= 0);
        } else {
            cr_assert(isalnum((unsigned char)*p) || strchr(" \n_=;,[]->", *p), "character %c", *p);
            const size_t n = strlen(node);
            if (!strncmp(p, node, n) && p[n] == ' ' && p[n + 1] == '[' && p[-1] == ' ')
                for (int k = 2; k <= depth; k++) snprintf(path + strlen(path), 1024 - strlen(path), "%s>", label[k]);
        }
    }
    cr_assert_eq(depth, 0);
}

/* Graphviz itself, where it is installed. */
SOME void graphviz_reads(const char *dot)
{
    if (system("command -v dot >/dev/null")) return;
    FILE *p = popen("dot -Tcanon -o /dev/null", "w");
    fputs(dot, p);
    cr_assert_eq(pclose(p), 0);
}

/* ---- looking at a tape ------------------------------------------------------------------------------------------ */

/* How many of the tape's operations from number `from` on have this name (NULL: any). */
SOME int census(const tl_tape *t, uint32_t from, const char *name)
{
    int n = 0;
    for (uint32_t i = from ? from : 1; i < t->n; i++) n += !name || !strcmp(t->node[i].op->name, name);
    return n;
}

/* All values of a tensor, computed node by node. */
SOME double *values_of(tl_tensor x)
{
    double *v = malloc(((size_t)tl_size(x) + 1) * sizeof *v);
    tl_eval_values(x, v);
    return v;
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

/* Compiles, frees the tape and runs once in a new session, which then owns the plan alone. */
SOME tl_session *run_once(tl_tape *t, const tl_array *in, int n)
{
    tl_model *m = tl_tape_model(t);
    tl_plan *plan = tl_compile(t);
    cr_assert(plan, "%s", tl_message());
    tl_tape_free(t);
    tl_session *s = tl_session_new(m);
    cr_assert(tl_run(s, plan, in, n) == TL_OK, "%s", tl_message());
    tl_plan_free(plan);
    return s;
}

/* ---- random graphs ---------------------------------------------------------------------------------------------- */

/* Tensors of all shapes with sizes 1 to 4, made by every kind of operation: elementwise with and without broadcasting, views,
 * views of views, moves, products, reductions, rows by index. Values stay of moderate size. */
enum { GRAPH_INPUTS = 3, GRAPH_PARAMS = 3, GRAPH_OPS = 30 };

typedef struct random_graph {
    uint64_t state;
    tl_tensor node[GRAPH_INPUTS + GRAPH_PARAMS + 1 + GRAPH_OPS];
    int n;
} random_graph;

SOME int draw(random_graph *g, int n)
{
    g->state = g->state * 6364136223846793005u + 1442695040888963407u;
    return (int)((g->state >> 33) % (uint64_t)n);
}

SOME tl_tensor draw_node(random_graph *g) { return g->node[draw(g, g->n)]; }

/* Another node that broadcasts with x; x itself if there is none. */
SOME tl_tensor draw_partner(random_graph *g, tl_tensor x)
{
    for (int attempt = 0; attempt < 20; attempt++) {
        const tl_tensor y = draw_node(g);
        const int ranks = tl_rank(x) > tl_rank(y) ? tl_rank(x) : tl_rank(y);
        bool fits = ranks <= 4;
        int64_t size = 1;
        for (int a = 1; a <= ranks; a++) {
            const int64_t p = tl_dim(x, -a), q = tl_dim(y, -a);
            fits &= p == q || p == 1 || q == 1;
            size *= p > q ? p : q;
        }
        if (fits && size <= 512) return y;
    }
    return x;
}

SOME tl_tensor draw_view(random_graph *g, tl_tensor x)
{
    if (!tl_rank(x) || draw(g, 3) == 0) return tl_reshape(x, TL_DIMS(tl_size(x)));
    const int axis = draw(g, tl_rank(x));
    const int64_t d = tl_dim(x, axis), begin = draw(g, (int)d), end = begin + 1 + draw(g, (int)(d - begin));
    return tl_slice(x, axis, begin, end);
}

SOME tl_tensor draw_product(random_graph *g, tl_tensor x)
{
    for (int attempt = 0; attempt < 20; attempt++) {
        const tl_tensor y = draw_node(g);
        if (tl_rank(x) == 2 && tl_rank(y) == 2 && tl_dim(x, 1) == tl_dim(y, 0)) return tl_matmul(x, y);
        if (tl_rank(x) == 2 && tl_rank(y) == 2 && tl_dim(x, 1) == tl_dim(y, 1))
            return tl_gemm(TL_NONE, x, y, false, true);
    }
    return tl_rank(x) == 2 ? tl_gemm(TL_NONE, x, x, true, false) : tl_square(x);
}

SOME tl_tensor draw_op(random_graph *g)
{
    const tl_tensor x = draw_node(g);
    switch (draw(g, 16)) {
    case 0: return tl_add(x, draw_partner(g, x));
    case 1: return tl_mul(tl_tanh(x), draw_partner(g, x));
    case 2: return tl_sub(draw_partner(g, x), x);
    case 3: return tl_tanh(x);
    case 4: return tl_sigmoid(tl_scale(x, 0.7));
    case 5: return tl_lerp(x, tl_tanh(x), tl_sigmoid(x));
    case 6: return tl_where(tl_less(x, draw_partner(g, x)), x, tl_neg(x));
    case 7: return tl_rank(x) ? tl_sum(x, TL_AXES(draw(g, tl_rank(x)))) : tl_neg(x);
    case 8: return tl_rank(x) ? tl_mean_keep(x, TL_AXES(draw(g, tl_rank(x)))) : tl_tanh(x);
    case 9:
        return tl_rank(x) && tl_rank(x) < 4 ? tl_concat(2, (tl_tensor[]){ x, tl_tanh(x) }, draw(g, tl_rank(x)))
                                            : tl_neg(x);
    case 10: return tl_rank(x) >= 2 ? tl_transpose(x) : tl_add(x, x);
    case 11: return tl_tanh(draw_product(g, x));
    case 12: return draw_view(g, draw_view(g, x));
    case 13: return tl_rank(x) ? tl_softmax(x) : tl_exp(tl_tanh(x));
    case 14: {
        const int64_t rows = tl_dim(x, 0);
        const int32_t ids[3] = { draw(g, (int)rows), draw(g, (int)rows), draw(g, (int)rows) };
        return tl_rank(x) && tl_rank(x) < 4 ? tl_gather(x, tl_ids_const(tl_root(x.tape), TL_DIMS(3), ids)) : tl_neg(x);
    }
    default: return draw_view(g, x);
    }
}

/* The inputs of random graphs, [2,3], [3] and [4,1], in storage of the caller's. */
SOME void fill_inputs(tl_array in[GRAPH_INPUTS], double storage[GRAPH_INPUTS][8], tl_dtype dtype, uint64_t seed)
{
    static const tl_shape shape[GRAPH_INPUTS] = { { .rank = 2, .dim = { 2, 3 } },
                                                  { .rank = 1, .dim = { 3 } },
                                                  { .rank = 2, .dim = { 4, 1 } } };
    for (int i = 0; i < GRAPH_INPUTS; i++) {
        in[i] = array_over(storage[i], dtype, shape[i].rank, shape[i].dim);
        for (int64_t k = 0; k < elements(&in[i]); k++) tl_write(storage[i], dtype, k, noise(&seed));
    }
}

/* Records graph number `seed` on its inputs and returns a loss that most of its nodes have a part in. */
SOME tl_tensor record_random(random_graph *g, tl_scope *s, const tl_tensor in[GRAPH_INPUTS], uint64_t seed)
{
    *g = (random_graph){ .state = seed * 0x9E3779B97F4A7C15u + 1 };
    for (int i = 0; i < GRAPH_INPUTS; i++) g->node[g->n++] = in[i];
    g->node[g->n++] = tl_param(s, "A", TL_DIMS(3, 4), .init = normal);
    g->node[g->n++] = tl_param(s, "b", TL_DIMS(2, 1, 3), .init = normal);
    g->node[g->n++] = tl_param(s, "c", TL_SCALAR, .init = normal);
    g->node[g->n++] = tl_const(s, TL_DIMS(2, 2), (double[]){ 0.5, -1, 0.25, 2 });
    while (g->n < COUNT(g->node)) {
        const tl_tensor y = draw_op(g);
        g->node[g->n++] = tl_size(y) <= 512 && tl_rank(y) <= 4 ? y : tl_sum(y, TL_ALL);
    }
    tl_tensor loss = tl_sum(tl_square(g->node[g->n - 1]), TL_ALL);
    for (int i = 2; i <= 10; i++) loss = tl_add(loss, tl_sum(tl_tanh(g->node[g->n - i]), TL_ALL));
    return loss;
}

#endif
