/* tests/same_bits.h - what a recording computes, as bytes: recorded, compiled under TL_PASSES, run twice, and everything that
 * can be read put one behind the other. Two of these are compared with memcmp. */
#ifndef TESTS_SAME_BITS_H
#define TESTS_SAME_BITS_H

#include "tests/support.h"

#include "graph/passes/passes.h"

/* Records graph number `seed`: inputs (with their numbers), outputs, a loss, states. */
typedef void recording(tl_scope *s, uint64_t seed);

typedef struct specimen {
    const char *name;
    recording *record;
    uint64_t seed;
    tl_dtype dtype;     /* default f32 */
    const char *passes; /* TL_PASSES; NULL: all */
} specimen;

typedef struct outcome {
    unsigned char *v;
    size_t n, cap;
    struct part {
        char name[48];
        size_t end;
        tl_dtype dtype;
    } * part; /* what v is made of */
    int parts, cap_parts, instructions;
    char error[600]; /* why it could not be compiled or run */
} outcome;

/* ---- numbers that live as long as a specimen is run -------------------------------------------------------------- */

SOME struct {
    char *p[64];
    int n;
} held;

SOME void *hold(size_t bytes)
{
    cr_assert(held.n < COUNT(held.p));
    return held.p[held.n++] = calloc(1, bytes + 8);
}
SOME void let_go(void)
{
    while (held.n) free(held.p[--held.n]);
}

/* A random number in [-1, 1); now and then one of those that rewritings are wrong about: 0, -0, 1, or a denormal one. */
SOME double any_number(uint64_t *seed, tl_dtype dtype)
{
    const double v = noise(seed), special[] = { 0, -0.0, 1, dtype == TL_F64 ? -3e-310 : 3e-40 };
    const int k = (int)(fabs(noise(seed)) * 40);
    return k < COUNT(special) ? special[k] : v;
}

/* An input of such numbers; of ids below `ids`, if that is not 0. */
SOME tl_tensor random_input(tl_scope *s, const char *name, int ids, uint64_t seed, int rank, const int64_t *dim)
{
    const tl_dtype dtype = ids ? TL_I32 : tl_tape_model(tl_scope_tape(s))->dtype;
    tl_array a = array_over(NULL, dtype, rank, dim);
    a.data = hold(bytes_in(&a));
    for (int64_t i = 0; i < elements(&a); i++)
        tl_write(a.data, dtype, i, ids ? floor((noise(&seed) + 1) / 2 * ids) : any_number(&seed, dtype));
    return tl_input(s, name, a);
}

/* ---- running ------------------------------------------------------------------------------------------------------ */

SOME void add_part(outcome *o, const char *name, tl_dtype dtype, const void *p, size_t n)
{
    if (o->n + n > o->cap) o->v = realloc(o->v, o->cap = 2 * (o->n + n));
    if (n) memcpy(o->v + o->n, p, n);
    o->n += n;
    if (o->parts == o->cap_parts)
        o->part = realloc(o->part, (size_t)(o->cap_parts = 2 * o->cap_parts + 8) * sizeof *o->part);
    snprintf(o->part[o->parts].name, sizeof o->part->name, "%s", name);
    o->part[o->parts].dtype = dtype;
    o->part[o->parts++].end = o->n;
}

/* Count calls of operations of which nothing is known; calls of taps, and their order. */
SOME int64_t seen_calls, tap_calls;

/* Parameters that are not their initial values: biases count, too. */
SOME void stir(tl_model *m)
{
    char *v = tl_model_values(m);
    for (int i = 0; i < tl_model_count(m); i++) {
        const tl_param_info *p = tl_model_param(m, i);
        uint64_t seed = tl_hash(11, p->name, strlen(p->name));
        for (int64_t k = p->offset; k < p->offset + p->size; k++)
            tl_write(v, m->dtype, k, tl_read(v, m->dtype, k) + 0.2 * noise(&seed));
    }
    tl_model_touch(m);
}

/* How many numbers of a table's gradient are not zero, though no optimizer is told of their rows. */
SOME int64_t outside_of_used_rows(const tl_session *s, int param)
{
    const tl_param_info *p = tl_model_param(s->model, param);
    int64_t n = 0, wrong = 0;
    const int64_t rows = p->shape.dim[0], width = rows ? p->size / rows : 0;
    const int32_t *row = tl_session_rows(s, param, &n);
    for (int64_t r = 0; row && r < rows; r++) {
        bool told = false;
        for (int64_t k = 0; k < n; k++) told |= row[k] == r;
        for (int64_t e = 0; !told && e < width; e++)
            wrong += tl_read(s->gradients, s->model->dtype, p->offset + r * width + e) != 0;
    }
    return wrong;
}

SOME void read_all(outcome *o, tl_session *s)
{
    tl_array a;
    const char *name;
    for (uint32_t k = 0; k < s->plan->n_output; k++) {
        cr_assert(tl_get(s, s->plan->output[k].name, &a) == TL_OK);
        add_part(o, s->plan->output[k].name, a.dtype, a.data, bytes_in(&a));
    }
    for (int k = 0; k < tl_session_states(s); k++)
        if (!tl_session_state(s, k, &name, &a)) add_part(o, name, a.dtype, a.data, bytes_in(&a));
    const size_t size = tl_dtype_size(s->model->dtype);
    for (uint32_t k = 0; k < s->plan->n_range; k++) {
        const tl_range r = s->plan->range[k];
        add_part(o, "gradients", s->model->dtype, s->gradients + (size_t)r.begin * size,
                 (size_t)(r.end - r.begin) * size);
    }
    for (uint32_t k = 0; k < s->plan->n_table; k++) {
        const int64_t others = outside_of_used_rows(s, s->plan->table[k].param);
        if (others) add_part(o, "rows that optimizers are not told of", TL_I32, &others, sizeof others);
    }
    add_part(o, "calls", TL_I32, &seen_calls, sizeof seen_calls);
    add_part(o, "calls of taps", TL_I32, &tap_calls, sizeof tap_calls);
}

/* Two runs, the second one with other parameters; what was read must not change with the parameters or the inputs. */
SOME void run_twice(outcome *o, tl_session *s, const tl_plan *plan, const tl_array *in, int n)
{
    tl_model *m = s->model;
    const size_t bytes = (size_t)m->size * tl_dtype_size(m->dtype);
    void *values = malloc(bytes + 1);
    for (int run = 0; run < 2 && !*o->error; run++) {
        if (bytes) memcpy(values, m->values, bytes);
        if (tl_run(s, plan, in, n)) snprintf(o->error, sizeof o->error, "%s", tl_message());
        if (*o->error) break;
        if (bytes) memset(m->values, 0x3f, bytes); /* and nobody is told: kept values stay */
        for (int k = 0; k < n; k++)
            for (size_t i = 0; i < bytes_in(&in[k]); i++) ((unsigned char *)in[k].data)[i] ^= 1;
        read_all(o, s);
        if (bytes) memcpy(m->values, values, bytes);
        stir(m);
        for (int k = 0; k < n; k++)
            for (size_t i = 0; i < bytes_in(&in[k]); i++) ((unsigned char *)in[k].data)[i] ^= 1;
    }
    free(values);
}

/* What a specimen computes with TL_PASSES=words, while a fault is planted. */
SOME outcome outcome_of(const specimen *q, const char *words, tl_fault fault)
{
    outcome o = { 0 };
    setenv("TL_PASSES", words, 1);
    tl_active_work = 0;
    tl_tile_bytes = (int64_t[]){ 1 << 20, 400, 4000, 1 }[q->seed % 4];
    seen_calls = tap_calls = 0;
    tl_model *model = tl_model_new(.dtype = q->dtype ? q->dtype : TL_F32, .seed = q->seed);
    tl_tape *t = tl_tape_new(model, .training = true);
    q->record(tl_root(t), q->seed);
    tl_planted_fault = fault;
    tl_plan *plan = tl_compile(t);
    if (plan) {
        tl_array in[16];
        const int n = (int)t->n_input;
        cr_assert(n <= COUNT(in));
        if (n) memcpy(in, t->input, (size_t)n * sizeof *in);
        stir(model);
        tl_session *s = tl_session_new(model);
        o.instructions = tl_plan_instructions(plan);
        run_twice(&o, s, plan, in, n);
        tl_session_free(s);
    } else {
        snprintf(o.error, sizeof o.error, "%s", tl_message());
    }
    tl_planted_fault = TL_FAULT_NONE;
    tl_plan_free(plan);
    tl_tape_free(t);
    tl_model_free(model);
    let_go();
    return o;
}

SOME void free_outcome(outcome *o)
{
    free(o->v);
    free(o->part);
}

/* Do f64 numbers agree but for rounding, and others in every bit? */
SOME bool agree(const unsigned char *a, const unsigned char *b, size_t bytes, tl_dtype dtype, bool exact)
{
    if (exact || dtype != TL_F64) return !memcmp(a, b, bytes);
    bool good = true;
    for (int64_t i = 0; i < (int64_t)(bytes / sizeof(double)); i++) {
        const double x = tl_read(a, TL_F64, i), y = tl_read(b, TL_F64, i);
        good &= fabs(x - y) <= 1e-8 * (1 + fabs(x)) || (!isfinite(x) && !isfinite(y));
    }
    return good;
}

/* Do they agree? If not, says in 600 characters what differs first. */
SOME bool compare(const outcome *a, const outcome *b, bool exact, char *why)
{
    if (*a->error || *b->error) return snprintf(why, 600, "%s", *a->error ? a->error : b->error), false;
    if (a->parts != b->parts) return snprintf(why, 600, "%d parts and %d", a->parts, b->parts), false;
    size_t begin = 0;
    for (int k = 0; k < a->parts; begin = a->part[k++].end) {
        if (a->part[k].end == b->part[k].end &&
            agree(a->v + begin, b->v + begin, a->part[k].end - begin, a->part[k].dtype, exact))
            continue;
        return snprintf(why, 600, "%s differs (part %d)", a->part[k].name, k), false;
    }
    return true;
}

SOME bool same_bits(const outcome *a, const outcome *b, char *why) { return compare(a, b, true, why); }
SOME bool nearly_same(const outcome *a, const outcome *b, char *why) { return compare(a, b, false, why); }

#endif
