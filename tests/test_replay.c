/* tests/test_replay.c - plans and sessions: the same bits as node by node, in little memory, without malloc, in any thread, and
 * with every allocation failing in turn. */
#include "support.h"
#include "valgrind.h"

#include "graph/memory_plan.h"

#include <pthread.h>
#if defined __SSE2__
#include <xmmintrin.h>
#endif

/* ---- a heap that counts ------------------------------------------------------------------------------------- */

#if defined __has_feature
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined __GLIBC__ && !defined __SANITIZE_ADDRESS__ && !defined SANITIZED
#define COUNTS_HEAP 1
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);
void __libc_free(void *p);

static _Atomic bool counting;
static _Atomic long heap_calls;

static void count_call(void)
{
    if (counting) heap_calls++;
}

void *malloc(size_t n) { return count_call(), __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return count_call(), __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return count_call(), __libc_realloc(p, n); }
void *memalign(size_t alignment, size_t n);
void *memalign(size_t alignment, size_t n) { return count_call(), __libc_memalign(alignment, n); }
void *aligned_alloc(size_t alignment, size_t n) { return count_call(), __libc_memalign(alignment, n); }
int posix_memalign(void **p, size_t alignment, size_t n)
{
    count_call();
    *p = __libc_memalign(alignment, n);
    return *p ? 0 : 12;
}
void free(void *p)
{
    count_call();
    __libc_free(p);
}
#endif

static tl_model *model;
static tl_tape *tape;
static tl_scope *root;

static void begin_with(tl_dtype dtype)
{
    model = tl_model_new(.dtype = dtype, .seed = 1);
    tape = tl_tape_new(model);
    root = tl_root(tape);
}

static void begin(void) { begin_with(TL_F64); }

static void again(void)
{
    tl_tape_free(tape);
    tape = tl_tape_new(model);
    root = tl_root(tape);
}

static void end(void)
{
    tl_tape_free(tape);
    tl_model_free(model);
    cr_assert(tl_live_bytes() == 0, "%zu bytes are still live", tl_live_bytes());
}

static tl_plan *compile(void)
{
    tl_plan *plan = tl_compile(tape);
    cr_assert(plan, "%s", tl_message());
    return plan;
}

static void run(tl_session *s, const tl_plan *plan, const tl_array *in, int n)
{
    cr_assert_eq(tl_run(s, plan, in, n), TL_OK, "%s", tl_message());
}

static const double *read_output(const tl_session *s, const char *name)
{
    tl_array a;
    cr_assert_eq(tl_get(s, name, &a), TL_OK, "%s", tl_message());
    return a.data;
}

/* ---- the same bits as node by node -------------------------------------------------------------------------------- */

static tl_tensor record_graph(random_graph *g, const tl_array in[GRAPH_INPUTS], uint64_t seed)
{
    static const char *const names[GRAPH_INPUTS] = { "x", "y", "z" };
    tl_tensor x[GRAPH_INPUTS];
    for (int i = 0; i < GRAPH_INPUTS; i++) x[i] = tl_input(root, names[i], in[i]);
    return record_random(g, root, x, seed);
}

static void same_as(const char *what, uint64_t seed, const void *data, tl_dtype dtype, const double *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const double got = tl_read(data, dtype, i);
        cr_assert(!memcmp(&got, &want[i], sizeof got), "graph %d: %s[%d] is %.17g, node by node %.17g", (int)seed, what,
                  (int)i, got, want[i]);
    }
}

/* Marks a few nodes of random graph `seed` and some gradients, and compares a plan's results with tl_eval's. */
static void check_graph(tl_dtype dtype, uint64_t seed)
{
    enum { MARKS = 6 };
    begin_with(dtype);
    double storage[GRAPH_INPUTS][8];
    tl_array in[GRAPH_INPUTS];
    fill_inputs(in, storage, dtype, seed);
    random_graph g;
    const tl_tensor loss = record_graph(&g, in, seed);
    tl_tensor mark[MARKS] = { draw_node(&g), draw_node(&g), g.node[g.n - 1] };
    tl_grad(loss, (tl_tensor[]){ g.node[0], draw_node(&g), draw_node(&g) }, 3, mark + 3);
    tl_backward(loss);
    cr_assert(!tl_failed(tape), "graph %d: %s", (int)seed, tl_tape_message(tape));

    double *want[MARKS], *gradient[GRAPH_PARAMS] = { NULL };
    int64_t offset[GRAPH_PARAMS];
    for (int i = 0; i < MARKS; i++) {
        tl_output(root, (char[]){ (char)('a' + i), 0 }, mark[i]);
        want[i] = values_of(mark[i]);
    }
    const uint32_t n = tape->n_gradient;
    for (uint32_t i = 0; i < n; i++) gradient[i] = values_of(tl_handle(tape, tape->gradient[i].id));
    tl_plan *plan = compile();
    for (uint32_t i = 0; i < n; i++)
        offset[i] = tl_model_param(model, tape->param[tape->gradient[i].param].index)->offset;
    again();
    tl_session *s = tl_session_new(model);
    for (int r = 0; r < 2; r++) {
        if (r) memset(s->arena, 0xFF, s->arena_bytes); /* NaNs: nothing may be read that this run has not written */
        run(s, plan, in, GRAPH_INPUTS);
        for (int i = 0; i < MARKS; i++) {
            tl_array a;
            cr_assert_eq(tl_get(s, (char[]){ (char)('a' + i), 0 }, &a), TL_OK);
            same_as((char[]){ (char)('a' + i), 0 }, seed, a.data, dtype, want[i], elements(&a));
        }
        const char *flat = tl_session_gradients(s, NULL, NULL);
        for (uint32_t i = 0; i < n; i++) {
            static const int64_t size[] = { 12, 6, 1 };
            const int k = offset[i] == 0 ? 0 : offset[i] == 12 ? 1 : 2;
            same_as("gradient", seed, flat + (size_t)offset[i] * tl_dtype_size(dtype), dtype, gradient[i], size[k]);
        }
    }
    for (int i = 0; i < MARKS; i++) free(want[i]);
    for (uint32_t i = 0; i < n; i++) free(gradient[i]);
    tl_plan_free(plan);
    tl_session_free(s);
    end();
}

static void exactly(void) { tl_set_exact(true); }

Test(plans, give_the_bits_of_eval_in_f64, .init = exactly)
{
    for (uint64_t seed = 0; seed < 200; seed++) check_graph(TL_F64, seed);
}

Test(plans, give_the_bits_of_eval_in_f32, .init = exactly)
{
    for (uint64_t seed = 200; seed < 400; seed++) check_graph(TL_F32, seed);
}

/* What the tests above would see if memory were given back too early: they can fail. */
Test(plans, a_planted_fault_is_seen, .init = exactly)
{
    int wrong = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        begin();
        double storage[GRAPH_INPUTS][8];
        tl_array in[GRAPH_INPUTS], a;
        fill_inputs(in, storage, TL_F64, seed);
        random_graph g;
        record_graph(&g, in, seed);
        const tl_tensor y = g.node[g.n - 1];
        double *want = values_of(y);
        tl_output(root, "y", y);
        setenv("TL_CHECK", "0", 1); /* the proof would see it first */
        tl_planted_fault = TL_WITHOUT_ALIVE_USES;
        tl_plan *plan = compile();
        tl_planted_fault = TL_FAULT_NONE;
        tl_session *s = tl_session_new(model);
        run(s, plan, in, GRAPH_INPUTS);
        tl_get(s, "y", &a);
        wrong += memcmp(a.data, want, bytes_in(&a)) != 0;
        free(want);
        tl_plan_free(plan), tl_session_free(s);
        end();
    }
    cr_assert_gt(wrong, 3);
}

/* ---- memory ------------------------------------------------------------------------------------------------- */

Test(memory, of_a_long_chain_is_reused)
{
    enum { N = 1000, BYTES = N * 8 };
    begin();
    tl_tensor x = tl_input(root, "x", DOUBLES(NULL, N)), y = x;
    for (int i = 0; i < 500; i++) y = i % 2 ? tl_tanh(y) : tl_mul(y, x);
    tl_output(root, "y", y);
    tl_plan *plan = compile();
    cr_assert(tl_plan_arena_bytes(plan) <= BYTES + 64, "%zu bytes: elementwise results take over what dies",
              tl_plan_arena_bytes(plan));
    tl_plan_free(plan);
    again();
    y = tl_input(root, "x", DOUBLES(NULL, 10, 100));
    for (int i = 0; i < 500; i++) y = tl_transpose(y); /* cannot be in place: two blocks */
    tl_output(root, "y", y);
    plan = compile();
    cr_assert(tl_plan_arena_bytes(plan) <= 2 * (BYTES + 64), "%zu bytes", tl_plan_arena_bytes(plan));
    tl_plan_free(plan);
    end();
}

/* What is read later must not be overwritten in place, however it is read: through a view, as both operands, broadcast. */
Test(memory, in_place_only_where_nothing_is_lost)
{
    begin();
    double v[4] = { 1, 2, 3, 4 };
    const tl_array in = DOUBLES(v, 2, 2);
    const tl_tensor x = tl_scale(tl_input(root, "x", in), 1), y = tl_tanh(x);
    tl_output(root, "a", tl_add(y, tl_transpose(y)));
    const tl_tensor z = tl_exp(x), row = tl_at(z, 0);
    tl_output(root, "b", tl_mul(z, row)); /* a view of what it could write over */
    const tl_tensor u = tl_sigmoid(x);
    tl_output(root, "c", tl_mul(tl_neg(u), u));
    const tl_tensor one = tl_sum_keep(x, TL_AXES(1)); /* [2,1], broadcast: smaller than the result */
    tl_output(root, "d", tl_mul(one, x));
    tl_output(root, "f", tl_slice(tl_scale(x, 5), 1, 1, 2)); /* not one piece: no view */
    const tl_tensor t = tl_tanh(tl_scale(x, 3)), flat = tl_reshape(t, TL_DIMS(4));
    tl_output(root, "e", tl_add(tl_square(flat), tl_reshape(t, TL_DIMS(1, 4))));
    tl_session *s = run_once(tape, &in, 1);
    tape = NULL;
    for (int i = 0; i < 4; i++) {
        const double e = exp(v[i % 2]),
                     got[] = { read_output(s, "a")[i], read_output(s, "b")[i], read_output(s, "c")[i],
                               read_output(s, "d")[i], read_output(s, "e")[i] };
        const double sigmoid = 1 / (1 + exp(-v[i])), t3 = tanh(3 * v[i]);
        const double want[] = { tanh(v[i]) + tanh(v[i % 2 * 2 + i / 2]), exp(v[i]) * e, -sigmoid * sigmoid,
                                (i < 2 ? 3 : 7) * v[i], t3 * t3 + t3 };
        for (int k = 0; k < 5; k++)
            cr_assert(fabs(got[k] - want[k]) < 1e-13, "%c[%d] is %g, not %g", 'a' + k, i, got[k], want[k]);
    }
    cr_assert(read_output(s, "f")[0] == 10 && read_output(s, "f")[1] == 20);
    tl_session_free(s);
    end();
}

/* Pieces that come and go: none overlaps another, all are aligned, and what is given back can be taken again whole. */
Test(memory, is_planned_without_overlap_or_loss)
{
    enum { PIECES = 40 };
    tl_memory_plan m = { 0 };
    uint64_t state = 3;
    struct {
        uint32_t piece;
        int64_t begin, end;
    } p[PIECES] = { { 0, 0, 0 } };
    int64_t most = 0, live = 0;
    for (int step = 0; step < 5000; step++) {
        const int i = (int)((noise(&state) + 1) * PIECES / 2);
        if (p[i].end) {
            tl_memory_give(&m, p[i].piece);
            live -= p[i].end - p[i].begin;
            p[i].end = 0;
            continue;
        }
        const int64_t bytes = 1 + (int64_t)((noise(&state) + 1) * 500);
        p[i].piece = tl_memory_take(&m, (size_t)bytes);
        p[i].begin = tl_memory_offset(&m, p[i].piece);
        p[i].end = p[i].begin + (bytes + 63) / 64 * 64;
        live += p[i].end - p[i].begin;
        if (live > most) most = live;
        cr_assert(p[i].begin >= 0 && p[i].begin % 64 == 0 && p[i].begin + bytes <= (int64_t)m.size);
        for (int k = 0; k < PIECES; k++)
            cr_assert(k == i || !p[k].end || p[k].end <= p[i].begin || p[k].begin >= p[i].begin + bytes,
                      "pieces overlap");
    }
    const size_t size = m.size;
    cr_assert((int64_t)size < 2 * most, "%zu bytes for at most %lld", size, (long long)most);
    for (int i = 0; i < PIECES; i++)
        if (p[i].end) tl_memory_give(&m, p[i].piece);
    tl_memory_take(&m, size);
    cr_assert_eq(m.size, size, "all of it again in one piece");
    tl_memory_plan_free(&m);
    cr_assert_eq(tl_live_bytes(), 0);
}

/* ---- plans and sessions ------------------------------------------------------------------------------------- */

Test(plans, need_no_tape)
{
    begin();
    double v[4] = { 1, 2, 3, 4 };
    const tl_array in = DOUBLES(v, 4);
    tl_scope *s = tl_step(tl_step(tl_in(root, "enc"), 2), 5);
    const tl_place_mark m = tl_enter(TL_HERE, s);
    int32_t ids[] = { 0, 9 };
    const tl_tensor x = tl_input(root, "x", in), i = tl_input(root, "i", IDS(NULL, 2));
    const tl_tensor y = tl_gather(tl_mul(x, tl_const(root, TL_DIMS(4), v)), i);
    tl_leave(s, m);
    tl_output(root, "y", y);
    tl_plan *plan = compile();
    again(); /* the same head and its arena, for something else */
    for (int k = 0; k < 1000; k++) tl_tanh(tl_param(tl_step(tl_in(root, "junk"), k), "p", TL_DIMS(100)));
    tl_tape_free(tape);
    tape = NULL;
    tl_session *session = tl_session_new(model);
    cr_assert_eq(tl_run(session, plan, (tl_array[]){ in, IDS(ids, 2) }, 2), TL_E_INDEX);
    cr_has(tl_message(), "in enc at step 2/5: gather");
    ids[0] = 3, ids[1] = 1;
    run(session, plan, (tl_array[]){ in, IDS(ids, 2) }, 2);
    cr_assert(read_output(session, "y")[0] == 16 && read_output(session, "y")[1] == 4);
    tl_plan_free(plan);
    cr_assert(read_output(session, "y")[0] == 16, "the session keeps what it has run");
    tl_session_free(session);
    end();
}

static tl_plan *sized(int64_t n, const char *name)
{
    again();
    const tl_tensor x = tl_input(root, "x", DOUBLES(NULL, n)), w = tl_param(root, name, TL_DIMS(n), .init = normal);
    const tl_tensor y = tl_mul(tl_tanh(x), w);
    tl_output(root, "y", y);
    tl_backward(tl_sum(y, TL_ALL));
    return compile();
}

Test(plans, of_many_sizes_run_in_one_session)
{
    begin();
    static const int64_t size[] = { 3, 200, 7, 50, 1000 };
    static const char *const name[] = { "a", "b", "c", "d", "e" };
    static double x[1000];
    uint64_t state = 2;
    for (int i = 0; i < 1000; i++) x[i] = noise(&state);
    tl_session *s = tl_session_new(model);
    tl_plan *plan[5] = { NULL };
    for (int n = 0; n < 5; n++) { /* the model grows between runs */
        plan[n] = sized(size[n], name[n]);
        for (int k = n; k >= 0; k--) {
            const tl_array in = DOUBLES(x, size[k]);
            run(s, plan[k], &in, 1);
            const tl_range *r;
            int ranges;
            const double *g = tl_session_gradients(s, &r, &ranges), *y = read_output(s, "y");
            const tl_param_info *p = tl_model_param(model, k);
            const double *w = (const double *)tl_model_values(model) + p->offset;
            cr_assert(ranges == 1 && r->begin == p->offset && r->end == p->offset + p->size);
            for (int i = 0; i < size[k]; i++)
                cr_assert(fabs(y[i] - tanh(x[i]) * w[i]) < 1e-14 && fabs(g[p->offset + i] - tanh(x[i])) < 1e-14);
        }
    }
    const uint64_t allocations = tl_allocations();
    for (int k = 0; k < 5; k++) {
        const tl_array in = DOUBLES(x, size[k]);
        run(s, plan[k], &in, 1);
    }
    cr_assert_eq(tl_allocations(), allocations);
    for (int k = 0; k < 5; k++) tl_plan_free(plan[k]);
    tl_session_free(s);
    end();
}

/* A plan's memory goes when the last holder goes, not before and not later. */
Test(plans, are_freed_with_their_last_holder)
{
    begin();
    tl_plan *first = sized(10, "a"), *second = sized(10, "b");
    double x[10] = { 1 };
    const tl_array in = DOUBLES(x, 10);
    tl_session *s = tl_session_new(model);
    run(s, second, &in, 1);
    run(s, first, &in, 1);
    const size_t live = tl_live_bytes();
    tl_plan_free(first);
    cr_assert_eq(tl_live_bytes(), live);
    cr_assert(read_output(s, "y")[0] != 0);
    run(s, second, &in, 1);
    cr_assert_lt(tl_live_bytes(), live);
    tl_plan_free(second);
    tl_session_free(s);
    end();
}

/* Inputs, parameters, constants, views of them, one node under two names, a gradient: all can be read, and what was read
 * is the run's, whatever happens to the caller's memory and the model afterwards. */
Test(outputs, of_every_kind_are_those_of_the_run)
{
    begin();
    double x[4] = { 1, 2, 3, 4 }, w[2] = { 5, 6 };
    int32_t ids[2] = { 8, 9 };
    set_param(model, "w", DOUBLES(w, 2));
    tl_array in[2] = { DOUBLES(x, 2, 2), IDS(ids, 2) };
    const tl_tensor X = tl_input(root, "x", in[0]), I = tl_input(root, "i", in[1]), W = tl_param(root, "w", TL_DIMS(2));
    const tl_tensor y = tl_scale(tl_mul(X, W), 1);
    tl_tensor g;
    tl_grad(tl_sum(y, TL_ALL), &W, 1, &g);
    tl_output(root, "x", X);
    tl_output(root, "x1", tl_at(X, 1));
    tl_output(root, "i", I);
    tl_output(root, "w", W);
    tl_output(root, "w0", tl_slice(W, 0, 0, 1));
    tl_output(root, "c", tl_const(root, TL_DIMS(2), w));
    tl_output(root, "zero", tl_full(root, TL_DIMS(3), 0));
    tl_output(root, "large", tl_full(root, TL_DIMS(100, 100), 2));
    tl_output(root, "y", y);
    tl_output(root, "also y", y);
    tl_output(root, "y1", tl_at(y, 1));
    tl_output(root, "empty", tl_slice(y, 0, 1, 1));
    tl_output(root, "g", g);
    tl_backward(tl_sum(y, TL_ALL));
    tl_session *s = run_once(tape, in, 2);
    tape = NULL;
    memset(x, 0, sizeof x), memset(ids, 0, sizeof ids);
    double *values = tl_model_values(model), *gradients = tl_session_gradients(s, NULL, NULL);
    values[0] = values[1] = gradients[0] = gradients[1] = -1;
    tl_model_touch(model);
    static double big[10000];
    set_param(model, "another", DOUBLES(big, 100, 100)); /* the values move */

    static const struct {
        const char *name;
        int n;
        double want[4];
    } outputs[] = {
        { "x", 4, { 1, 2, 3, 4 } },
        { "x1", 2, { 3, 4 } },
        { "w", 2, { 5, 6 } },
        { "w0", 1, { 5 } },
        { "c", 2, { 5, 6 } },
        { "zero", 3, { 0 } },
        { "large", 10000, { 2, 2, 2, 2 } },
        { "y", 4, { 5, 12, 15, 24 } },
        { "also y", 4, { 5, 12, 15, 24 } },
        { "y1", 2, { 15, 24 } },
        { "empty", 0, { 0 } },
        { "g", 2, { 4, 6 } },
        { "i", 2, { 8, 9 } },
    };
    for (int k = 0; k < COUNT(outputs); k++) {
        tl_array a;
        cr_assert_eq(tl_get(s, outputs[k].name, &a), TL_OK);
        cr_assert_eq(elements(&a), outputs[k].n);
        for (int i = 0; i < outputs[k].n && i < 4; i++)
            cr_assert(tl_read(a.data, a.dtype, i) == outputs[k].want[i], "%s[%d] is %g", outputs[k].name, i,
                      tl_read(a.data, a.dtype, i));
    }
    cr_assert_eq(tl_get_scalar(s, "w0"), 5);
    tl_session_free(s);
    end();
}

Test(plans, of_nothing_and_of_empty_tensors)
{
    begin();
    tl_plan *plan = compile();
    cr_assert_eq(tl_plan_instructions(plan), 0);
    tl_session *s = tl_session_new(model);
    run(s, plan, NULL, 0);
    tl_plan_free(plan);
    const tl_tensor x = tl_input(root, "x", DOUBLES(NULL, 0, 3)),
                    W = tl_param(root, "W", TL_DIMS(3, 2), .init = normal);
    const tl_tensor none = tl_param(root, "none", TL_DIMS(0, 2)), y = tl_tanh(tl_add(tl_matmul(x, W), none));
    tl_output(root, "y", y);
    tl_output(root, "sum", tl_sum(y, TL_AXES(0)));
    tl_next(root, "h", tl_state(root, "h", y));
    tl_backward(tl_sum(y, TL_ALL));
    plan = compile();
    run(s, plan, (tl_array[]){ DOUBLES(NULL, 0, 3) }, 1);
    run(s, plan, (tl_array[]){ DOUBLES(NULL, 0, 3) }, 1);
    cr_assert(read_output(s, "sum")[0] == 0 && read_output(s, "sum")[1] == 0);
    const double *g = tl_session_gradients(s, NULL, NULL);
    for (int i = 0; i < 6; i++) cr_assert(g[i] == 0, "a gradient over no rows is zero");
    tl_plan_free(plan);
    tl_session_free(s);
    end();
}

/* Operations of more operands than any small array holds. */
Test(plans, of_many_operands)
{
    enum { N = 100 };
    begin();
    double x[N];
    tl_tensor part[N], W = tl_param(root, "W", TL_DIMS(1), .init = normal);
    for (int i = 0; i < N; i++) x[i] = i + 1;
    const tl_array in = DOUBLES(x, N);
    const tl_tensor X = tl_input(root, "x", in);
    for (int i = 0; i < N; i++) part[i] = tl_mul(tl_slice(X, 0, i, i + 1), W);
    const tl_tensor y = tl_concat(N, part, 0);
    tl_output(root, "y", y);
    tl_backward(tl_sum(y, TL_ALL));
    tl_session *s = run_once(tape, &in, 1);
    tape = NULL;
    const double w = *(double *)tl_model_values(model);
    for (int i = 0; i < N; i++) cr_assert(read_output(s, "y")[i] == w * (i + 1));
    cr_assert_eq(*(double *)tl_session_gradients(s, NULL, NULL), N * (N + 1) / 2);
    tl_session_free(s);
    end();
}

/* ---- a small recurrent network, with everything a recording can hold -------------------------------------------------- */

enum { T = 3, B = 2, D = 4, H = 8 }; /* a product of 2 x 8 x 8 */

static tl_tensor lstm_gate(tl_scope *s, const char *name, tl_tensor x, tl_tensor h)
{
    tl_scope *g = tl_in(s, name);
    const tl_tensor W = tl_param(g, "W", TL_DIMS(D, H), .init = normal),
                    U = tl_param(g, "U", TL_DIMS(H, H), .init = normal);
    const tl_tensor b = tl_param(g, "b", TL_DIMS(H), .init = normal);
    return tl_gemm(tl_gemm(b, x, W, false, false), tl_scale(h, 0.5), U, false, false);
}

static void lstm_step(tl_scope *s, tl_tensor x, tl_tensor *h, tl_tensor *c)
{
    const tl_place_mark m = tl_enter(TL_HERE, s);
    const tl_tensor i = tl_sigmoid(lstm_gate(s, "i", x, *h)), f = tl_sigmoid(lstm_gate(s, "f", x, *h));
    const tl_tensor g = tl_tanh(lstm_gate(s, "g", x, *h)), o = tl_sigmoid(lstm_gate(s, "o", x, *h));
    const tl_tensor keep = tl_random_bernoulli(s, TL_DIMS(B, H), 0.8);
    *c = tl_add(tl_mul(f, *c), tl_mul(tl_mul(i, g), keep));
    *h = tl_mul(o, tl_tanh(*c));
    tl_leave(s, m);
}

static void ignore(void *data, const char *path, const tl_array *value) { (void)data, (void)path, (void)value; }

/* ids [T,B] and targets [T,B,H] -> mean squared error, with states carried, an emission a step and an overlay. */
static tl_tensor record_network(tl_scope *s)
{
    const tl_dtype dtype = tl_model_dtype(model);
    const tl_tensor ids = tl_input(s, "ids", IDS(NULL, T, B));
    const tl_tensor target = tl_input(s, "target", (tl_array){ .dtype = dtype, .rank = 3, .dim = { T, B, H } });
    const tl_tensor E = tl_param(s, "E", TL_DIMS(5, D), .init = normal), x = tl_gather(E, ids);
    tl_scope *cell = tl_in(s, "cell");
    tl_tensor h = tl_state(cell, "h", tl_full(s, TL_DIMS(B, H), 0)),
              c = tl_state(cell, "c", tl_full(s, TL_DIMS(B, H), 0));
    for (int t = 0; t < T; t++) {
        lstm_step(tl_step(cell, t), tl_at(x, t), &h, &c);
        tl_emit(tl_step(cell, t), "y", tl_tap(cell, h, ignore, NULL));
    }
    tl_next(cell, "h", h);
    tl_next(cell, "c", c);
    const tl_tensor y = tl_collect(cell, "y"), S = tl_param(s, "S", TL_DIMS(H), .init = normal), S2 = tl_tanh(S);
    const tl_tensor scale = tl_param(tl_overlay(s, 1, &S, &S2), "S", TL_DIMS(H));
    const tl_tensor loss = tl_mean(tl_square(tl_sub(tl_mul(y, scale), target)), TL_ALL);
    tl_output(s, "y", y);
    tl_output(s, "loss", loss);
    return loss;
}

typedef struct network_input {
    int32_t ids[T * B];
    double target[T * B * H];
    tl_array in[2];
} network_input;

static const tl_array *network_numbers(network_input *n, uint64_t seed)
{
    for (int i = 0; i < T * B; i++) n->ids[i] = (int32_t)((noise(&seed) + 1) * 2.5);
    n->in[0] = IDS(n->ids, T, B);
    n->in[1] = (tl_array){ .dtype = tl_model_dtype(model), .rank = 3, .dim = { T, B, H }, .data = n->target };
    for (int i = 0; i < T * B * H; i++) tl_write(n->target, n->in[1].dtype, i, noise(&seed));
    return n->in;
}

static tl_plan *network_plan(void)
{
    tl_backward(record_network(root));
    return compile();
}

/* ---- no malloc ---------------------------------------------------------------------------------------------- */

Test(replay, allocates_nothing)
{
    begin();
    tl_plan *plan = network_plan(), *small = sized(3, "w");
    network_input n;
    const tl_array *in = network_numbers(&n, 4);
    double three[3] = { 1, 2, 3 };
    const tl_array few = DOUBLES(three, 3);
    tl_session *s = tl_session_new(model);
    run(s, plan, in, 2);
    const uint64_t allocations = tl_allocations();
#ifdef COUNTS_HEAP
    counting = true;
    void *volatile p = malloc(1);
    free(p);
    counting = false;
    cr_assert(heap_calls == 2 || on_valgrind(), "the heap is not counted");
    heap_calls = 0;
    counting = true;
#endif
    tl_status status = TL_OK;
    for (int k = 0; k < 100 && !status; k++) {
        tl_array a;
        status = tl_run(s, k % 3 ? plan : small, k % 3 ? in : &few, k % 3 ? 2 : 1);
        if (!status) status = tl_get(s, k % 3 ? "loss" : "y", &a);
        if (k == 50) tl_session_reset(s);
        if (k == 60) status = tl_session_reset_rows(s, (const bool[]){ true, false }, B);
    }
#ifdef COUNTS_HEAP
    counting = false;
    cr_assert_eq(heap_calls, 0, "%ld calls of malloc and free", (long)heap_calls);
#endif
    cr_assert_eq(status, TL_OK, "%s", tl_message());
    cr_assert_eq(tl_allocations(), allocations);
    tl_plan_free(plan), tl_plan_free(small), tl_session_free(s);
    end();
}

/* So are proofs of re-recording: a kept tape needs its memory once. */
Test(replay, recording_again_allocates_nothing)
{
    begin();
    tl_plan *plan = network_plan();
    tl_trace *trace = tl_trace_new(tape);
    uint64_t allocations = 0;
    for (int k = 0; k < 20; k++) {
        tl_tape_reset(tape);
        root = tl_root(tape);
        tl_backward(record_network(root));
        cr_assert_eq(tl_trace_compare(trace, tape), TL_OK, "%s", tl_message());
        if (k == 1) allocations = tl_allocations();
    }
    cr_assert_eq(tl_allocations(), allocations);
    tl_plan_free(plan), tl_trace_free(trace);
    end();
}

/* ---- every allocation fails in turn ------------------------------------------------------------------------------- */

/* From model to result; TL_OK, or why not. Nothing is left behind. */
static tl_status everything(void)
{
    tl_status status = TL_E_MEMORY;
    tl_plan *plan = NULL;
    tl_session *s = NULL, *clone = NULL;
    tl_trace *trace = NULL;
    tl_model *copy = NULL;
    tape = NULL;
    model = tl_model_new(.seed = 3);
    if (!model) return tl_message()[0] ? TL_E_MEMORY : TL_OK;
    tape = tl_tape_new(model);
    if (!tape) goto done;
    root = tl_root(tape);
    tl_backward(record_network(root));
    trace = tl_failed(tape) ? NULL : tl_trace_new(tape);
    plan = tl_compile(tape);
    if (!plan)
        cr_assert_eq(tl_model_count(model), 0, "a failed compilation leaves %d parameters", tl_model_count(model));
    if (!plan || !trace) goto done;
    if (!(s = tl_session_new(model))) goto done;
    network_input n;
    const tl_array *in = network_numbers(&n, 4);
    tl_array a;
    if (tl_run(s, plan, in, 2) || tl_run(s, plan, in, 2) || tl_get(s, "loss", &a)) goto done;
    if (!(clone = tl_session_clone(s)) || tl_run(clone, plan, in, 2)) goto done;
    if (tl_session_gather_rows(s, (int32_t[]){ 1, 1 }, B) || tl_run(s, plan, in, 2)) goto done;
    const char *name;
    if (tl_session_state(s, 0, &name, &a) || tl_session_set_state(clone, "new", &a)) goto done;
    if (!(copy = tl_model_copy(model, TL_F64)) || tl_model_set(copy, "new", &a)) goto done;
    status = TL_OK;
done:
    if (status) cr_has(tl_message(), "out of memory");
    tl_model_free(copy);
    tl_trace_free(trace);
    tl_session_free(clone);
    tl_session_free(s);
    tl_plan_free(plan);
    tl_tape_free(tape);
    tl_model_free(model);
    tape = NULL;
    return status;
}

Test(memory, may_be_short_anywhere)
{
    cr_assert_eq(everything(), TL_OK, "%s", tl_message());
    cr_assert_eq(tl_live_bytes(), 0);
    const uint64_t before = tl_allocations();
    cr_assert_eq(everything(), TL_OK);
    const uint64_t n = tl_allocations() - before;
    cr_assert_gt(n, 50);
    for (uint64_t k = 1; k <= n; k++) {
        tl_fail_allocation(k);
        const tl_status status = everything();
        tl_fail_allocation(0);
        cr_assert_eq(status, TL_E_MEMORY, "allocation %d of %d failed and nothing was said", (int)k, (int)n);
        cr_assert_eq(tl_live_bytes(), 0, "allocation %d of %d failed and left %zu bytes", (int)k, (int)n,
                     tl_live_bytes());
    }
    tl_fail_allocation(n + 1);
    cr_assert_eq(everything(), TL_OK);
    tl_fail_allocation(0);
}

/* A tape that ran out of memory works again after a reset, a session after the next run. */
Test(memory, short_once_is_no_harm)
{
    begin();
    network_input n;
    const tl_array *in = network_numbers(&n, 4);
    tl_plan *plan = NULL;
    for (uint64_t k = 1; !plan; k++) {
        tl_fail_allocation(k);
        tl_backward(record_network(root));
        plan = tl_compile(tape);
        tl_fail_allocation(0);
        if (plan) break;
        cr_assert_eq(tl_tape_status(tape), TL_E_MEMORY);
        cr_assert_eq(tl_model_count(model), 0);
        tl_tape_reset(tape);
        root = tl_root(tape);
    }
    tl_session *s = tl_session_new(model), *untroubled = tl_session_new(model);
    tl_status status = TL_E_MEMORY;
    for (uint64_t k = 1; status; k++) {
        tl_fail_allocation(k);
        status = tl_run(s, plan, in, 2);
        tl_fail_allocation(0);
        if (status) cr_assert(status == TL_E_MEMORY && tl_session_runs(s) == 0);
    }
    run(untroubled, plan, in, 2);
    cr_assert_eq(tl_get_scalar(s, "loss"), tl_get_scalar(untroubled, "loss"));
    tl_session_free(s), tl_session_free(untroubled), tl_plan_free(plan);
    end();
}

static size_t hooked_bytes;
static int hooked_calls;

static void *hooked(void *data, void *old, size_t old_size, size_t new_size)
{
    cr_assert_eq(data, &hooked_calls);
    hooked_calls++;
    hooked_bytes += new_size - old_size;
    if (new_size) return realloc(old, new_size);
    free(old);
    return NULL;
}

Test(memory, comes_through_the_hook)
{
    cr_assert_eq(tl_set_allocator(&(tl_allocator){ hooked, &hooked_calls }), TL_OK);
    cr_assert_eq(everything(), TL_OK);
    cr_assert_gt(hooked_calls, 50);
    cr_assert_eq(hooked_bytes, 0, "the sizes told when memory was freed are wrong by %zd", (ssize_t)hooked_bytes);
    begin();
    tl_plan *plan = network_plan();
    cr_assert_eq(tl_live_bytes(), hooked_bytes);
    tl_plan_free(plan);
    end();
    cr_assert_eq(hooked_bytes, 0);
}

/* ---- threads ------------------------------------------------------------------------------------------------ */

enum { RUNS = 200 };

typedef struct worker {
    const tl_plan *plan;
    uint64_t seed, bits[RUNS];
    tl_status status;
} worker;

static void *work(void *p)
{
    worker *w = p;
    tl_session *s = tl_session_new(model);
    network_input n;
    w->status = TL_OK;
    for (int r = 0; r < RUNS && !w->status; r++) {
        tl_array a;
        w->status = tl_run(s, w->plan, network_numbers(&n, w->seed + (uint64_t)r), 2);
        if (!w->status) w->status = tl_get(s, "y", &a);
        if (w->status) break;
        w->bits[r] = tl_hash(tl_hash(0, a.data, bytes_in(&a)), tl_session_gradients(s, NULL, NULL),
                             (size_t)tl_model_size(model) * tl_dtype_size(tl_model_dtype(model)));
    }
    tl_session_free(s);
    return NULL;
}

Test(threads, sessions_of_one_model_do_not_disturb_each_other)
{
    begin_with(TL_F32);
    tl_plan *plan = network_plan();
    static worker alone[2], together[2];
    pthread_t thread[2];
    for (int k = 0; k < 2; k++) {
        alone[k] = together[k] = (worker){ .plan = plan, .seed = 1000 * (uint64_t)k };
        work(&alone[k]);
        cr_assert_eq(alone[k].status, TL_OK);
    }
    for (int k = 0; k < 2; k++) cr_assert_eq(pthread_create(&thread[k], NULL, work, &together[k]), 0);
    for (int k = 0; k < 2; k++) pthread_join(thread[k], NULL);
    for (int k = 0; k < 2; k++) {
        cr_assert_eq(together[k].status, TL_OK);
        for (int r = 0; r < RUNS; r++) cr_assert(alone[k].bits[r] == together[k].bits[r], "thread %d, run %d", k, r);
    }
    cr_assert(alone[0].bits[0] != alone[1].bits[0] && alone[0].bits[0] != alone[0].bits[1]);
    tl_plan_free(plan);
    end();
}

static void *fail_alone(void *p)
{
    tl_report(TL_E_FILE, "of the thread");
    *(bool *)p = !strcmp(tl_message(), "of the thread");
    return NULL;
}

Test(threads, each_has_its_message)
{
    pthread_t thread;
    bool ok = false;
    tl_report(TL_E_NAME, "of the main program");
    pthread_create(&thread, NULL, fail_alone, &ok);
    pthread_join(thread, NULL);
    cr_assert(ok);
    cr_assert_str_eq(tl_message(), "of the main program");
}

/* ---- denormals ---------------------------------------------------------------------------------------------- */

#if defined __SSE2__
enum { CONTROL = 0xFFC0 }; /* all of MXCSR but the flags that operations raise */

Test(denormals, are_flushed_inside_and_the_caller_keeps_his_mode)
{
    if (on_valgrind()) return;
    begin_with(TL_F32);
    float v[2] = { 1e-30f, 1 };
    int32_t id = 0;
    const tl_tensor x = tl_input(root, "x", FLOATS(v, 2));
    const tl_tensor y = tl_mul(x, tl_scale(x, 1e-12)); /* 1e-72 and 1e-12; the second factor itself is 1e-42 */
    const tl_tensor z = tl_mul(tl_scale(x, 1e-12), tl_full_like(x, 1e30));
    tl_output(root, "z", z);
    tl_output(root, "y", y);
    tl_output(root, "g", tl_gather(x, tl_input(root, "id", IDS(&id, 1))));
    double *node_by_node = values_of(z);
    tl_plan *plan = compile();
    tl_session *s = tl_session_new(model);
    const unsigned start = _mm_getcsr(), modes[] = { start, start | 0x6000, start | 0x8040, start & ~0x0080u };
    volatile float tiny = v[0];
    for (int k = 0; k < 3; k++) { /* as the caller has it: as usual, rounding towards zero, flushing himself */
        _mm_setcsr(modes[k]);
        const tl_status ran = tl_run(s, plan, (tl_array[]){ FLOATS(v, 2), IDS(&id, 1) }, 2);
        const unsigned after = _mm_getcsr();
        int32_t bad = 7;
        const tl_status failed = tl_run(s, plan, (tl_array[]){ FLOATS(v, 2), IDS(&bad, 1) }, 2);
        const unsigned after_failure = _mm_getcsr();
        _mm_setcsr(start);
        cr_assert(ran == TL_OK && failed == TL_E_INDEX);
        cr_assert_eq(after & CONTROL, modes[k] & CONTROL);
        cr_assert_eq(after_failure & CONTROL, modes[k] & CONTROL);
    }
    run(s, plan, (tl_array[]){ FLOATS(v, 2), IDS(&id, 1) }, 2);
    tl_array a;
    tl_get(s, "z", &a);
    cr_assert(tiny * 1e-12f > 0, "outside of runs there are denormals");
    cr_assert_eq(((float *)a.data)[0], 0);
    cr_assert_eq(node_by_node[0], 0, "tl_eval gives the bits of a run");
    cr_assert_eq(_mm_getcsr() & CONTROL, start & CONTROL);
    free(node_by_node);
    tl_plan_free(plan), tl_session_free(s);
    end();
}
#endif

/* ---- the proof of re-recording ------------------------------------------------------------------------------------ */

static int changed_line;
#define CHANGED changed_line = __LINE__,

enum {
    SAME,
    OPERANDS,
    CONSTANT,
    ATTRIBUTE,
    OPERATION,
    SHAPE,
    SIZE,
    INITIAL,
    PATH,
    FILL,
    LONGER,
    SHORTER,
    OUTPUT_NAME,
    OUTPUT,
    EMISSION,
    NEXT,
    RANDOM,
    DATA,
    VARIATIONS
};

/* A little of everything, with one thing changed. */
static void record_variation(int v)
{
    root = tl_root(tape);
    const tl_tensor x = tl_input(root, "x", DOUBLES(NULL, 4));
    tl_tensor p, y, c;
    p = (CHANGED tl_param(tl_in(root, v == PATH ? "other" : "net"), "p", TL_DIMS(4)));
    const tl_tensor w = v == SIZE ? (CHANGED tl_param(root, "w", TL_DIMS(5))) : tl_param(root, "w", TL_DIMS(4));
    if (v == RANDOM) tl_random_key(tl_step(root, 3));
    y = v == OPERANDS ? (CHANGED tl_sub(p, x)) : tl_sub(x, p);
    y = v == OPERATION ? (CHANGED tl_tanh(y)) : tl_sigmoid(y);
    c = v == CONSTANT ? (CHANGED tl_const(root, TL_DIMS(2), ((double[]){ 1, 3 })))
                      : tl_const(root, TL_DIMS(2), ((double[]){ 1, 2 }));
    y = v == ATTRIBUTE ? (CHANGED tl_slice(y, 0, 1, 3)) : tl_slice(y, 0, 2, 4);
    y = v == SHAPE ? (CHANGED tl_reshape(y, TL_DIMS(1, 2))) : tl_reshape(y, TL_DIMS(2, 1));
    y = v == FILL ? (CHANGED tl_full_like(y, 0.5)) : tl_full_like(y, 0.25);
    const tl_tensor r = v == RANDOM ? (CHANGED tl_random_normal(tl_step(root, 3), TL_DIMS(2)))
                                    : tl_random_normal(tl_step(root, 3), TL_DIMS(2));
    y = tl_mul(y, tl_mul(c, r));
    static int datum[2];
    y = tl_tap(root, y, ignore, &datum[v == DATA]); /* pointers may differ */
    const tl_tensor h = tl_state(root, "h", tl_full_like(y, v == INITIAL ? (CHANGED 1) : 0));
    tl_next(root, "h", v == NEXT ? tl_handle(tape, h.id) : y);
    tl_output(root, v == OUTPUT_NAME ? "b" : "a", v == OUTPUT ? h : y);
    tl_emit(tl_step(root, 0), "e", v == EMISSION ? h : y);
    if (v == SHORTER) return;
    tl_grad(tl_sum(y, TL_ALL), &w, 1, &p);
    if (v == LONGER) CHANGED tl_neg(h);
}

Test(trace, equals_the_same_recording_alone)
{
    begin();
    record_variation(SAME);
    tl_trace *trace = tl_trace_new(tape);
    for (int v = SAME; v < VARIATIONS; v++) {
        if (v % 2) again();
        else tl_tape_reset(tape);
        changed_line = 0;
        record_variation(v);
        cr_assert(!tl_failed(tape), "%s", tl_tape_message(tape));
        const tl_status status = tl_trace_compare(trace, tape);
        if (v == SAME || v == DATA) {
            cr_assert_eq(status, TL_OK, "%s", tl_message());
            continue;
        }
        cr_assert_eq(status, TL_E_REPLAY, "variation %d is not seen", v);
        cr_has(tl_message(), "must depend on");
        const bool marks = v == OUTPUT_NAME || v == OUTPUT || v == EMISSION || v == NEXT;
        if (!marks && v != SHORTER) cr_has(tl_message(), AT_LINE(changed_line));
        if (v == SHORTER) cr_has(tl_message(), "test_replay.c:");
    }
    tl_tape_reset(tape);
    tl_matmul(tl_param(tl_root(tape), "A", TL_DIMS(2, 3)), tl_param(tl_root(tape), "B", TL_DIMS(2, 3)));
    cr_assert_eq(tl_trace_compare(trace, tape), TL_E_SHAPE, "a failed recording says why it failed");
    tl_trace_free(trace);
    end();
}
