/* graph/tape.c - nodes, handles and the sticky error. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/tape.h"

/* ---- heads: recycled for ever, so that a stale handle can always be recognised ----------------------------------- */

static pthread_mutex_t heads_lock = PTHREAD_MUTEX_INITIALIZER;
static tl_tape *free_heads;

/* This generation marks an error handle without a tape; no tape ever has it. */
#define PLACED UINT32_MAX
#define PLACED_STALE (UINT32_MAX - 1)

static tl_tape *take_head(void)
{
    pthread_mutex_lock(&heads_lock);
    tl_tape *t = free_heads;
    if (t) free_heads = t->next_free;
    pthread_mutex_unlock(&heads_lock);
    return t ? t : calloc(1, sizeof *t);
}

static void next_generation(tl_tape *t)
{
    uint32_t g = atomic_load(&t->generation) + 1;
    if (g >= PLACED_STALE) g = 1;
    atomic_store(&t->generation, g);
}

static void begin(tl_tape *t)
{
    next_generation(t);
    t->root_visit = (tl_visit){ .kind = TL_VISIT_ROOT, .path = "" };
    t->root = (tl_scope){ t, atomic_load(&t->generation), "", &t->root_visit, NULL };
    t->place = (tl_place_mark){ &t->root, TL_NOWHERE };
    t->place_node = 0;
    t->status = TL_OK;
    t->message[0] = 0;
    t->evaluated = false;
    t->n = t->n_in = t->n_param = t->n_input = t->n_output = t->n_emit = t->n_next = t->n_state = t->n_layer =
        t->n_tap = 0;
    t->n_gradient = t->n_used = 0;
    if (t->value) memset(t->value, 0, t->cap_value * sizeof *t->value);
    if (!TL_GROW(t->node, 0, t->cap)) {
        tl_no_memory(t);
        return;
    }
    t->node[t->n++] = (tl_node){ .shape = { .dtype = t->model->dtype }, .scope = &t->root }; /* the error node */
}

tl_tape *tl_tape_new_opt(tl_model *model, const tl_tape_opts *o)
{
    tl_tape *t = model ? take_head() : NULL;
    if (!t) {
        tl_report(model ? TL_E_MEMORY : TL_E_ARGUMENT, model ? "tl_tape_new: out of memory" : "tl_tape_new: no model");
        return NULL;
    }
    t->model = model;
    t->training = o && o->training;
    t->session = o ? o->session : NULL;
    t->probe = NULL;
    begin(t);
    if (t->status) {
        tl_tape_free(t);
        tl_report(TL_E_MEMORY, "tl_tape_new: out of memory");
        return NULL;
    }
    return t;
}

static void free_staged(tl_tape *t)
{
    tl_table_clear(&t->strings);
    tl_table_clear(&t->visits);
    tl_table_clear(&t->agains);
    tl_table_clear(&t->params);
    tl_table_clear(&t->requests);
    tl_table_clear(&t->ordinals);
    tl_table_clear(&t->masks);
}

void tl_tape_reset(tl_tape *t)
{
    if (!t) return;
    free_staged(t);
    tl_arena_reset(&t->arena);
    begin(t);
}

void tl_tape_free(tl_tape *t)
{
    if (!t) return;
    next_generation(t);
    tl_table *tables[] = { &t->strings, &t->visits, &t->agains, &t->params, &t->requests, &t->ordinals, &t->masks };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) tl_table_free(tables[i]);
    tl_arena_free(&t->arena);
    TL_RELEASE(t->node, t->cap);
    TL_RELEASE(t->in, t->cap_in);
    TL_RELEASE(t->value, t->cap_value);
    TL_RELEASE(t->param, t->cap_param);
    TL_RELEASE(t->input, t->cap_input);
    TL_RELEASE(t->input_id, t->cap_input_id);
    TL_RELEASE(t->input_name, t->cap_input_name);
    TL_RELEASE(t->output, t->cap_output);
    TL_RELEASE(t->emit, t->cap_emit);
    TL_RELEASE(t->next, t->cap_next);
    TL_RELEASE(t->state, t->cap_state);
    TL_RELEASE(t->layer, t->cap_layer);
    TL_RELEASE(t->tap, t->cap_tap);
    TL_RELEASE(t->gradient, t->cap_gradient);
    TL_RELEASE(t->used, t->cap_used);
    pthread_mutex_lock(&heads_lock);
    t->next_free = free_heads;
    free_heads = t;
    pthread_mutex_unlock(&heads_lock);
}

tl_model *tl_tape_model(const tl_tape *t) { return t->model; }
int tl_tape_nodes(const tl_tape *t) { return (int)t->n - 1; }
bool tl_failed(const tl_tape *t) { return !t || t->status != TL_OK; }
const char *tl_tape_message(const tl_tape *t) { return t ? t->message : "there is no tape"; }
bool tl_tape_evaluated(const tl_tape *t) { return t->evaluated; }

tl_status tl_tape_status(const tl_tape *t)
{
    if (!t) return tl_report(TL_E_ARGUMENT, "there is no tape");
    return t->status ? tl_report_text(t->status, t->message) : TL_OK;
}

/* ---- handles ------------------------------------------------------------------------------------------------ */

tl_tensor tl_handle(tl_tape *t, uint32_t id) { return (tl_tensor){ t, id, atomic_load(&t->generation) }; }

tl_tensor tl_error_handle(tl_tape *t) { return tl_handle(t, 0); }

/* Before any tape is known, an error handle carries the place in the space of tape and id. */
tl_tensor tl_placed_error(tl_place at)
{
    return (tl_tensor){ (tl_tape *)(uintptr_t)(at.file ? at.file : "?"), (uint32_t)at.line, PLACED };
}

static bool placed(tl_tensor t) { return t.tape && t.generation >= PLACED_STALE; }

tl_tensor tl_without_tape(tl_place at, const tl_tensor *in, int n)
{
    tl_tensor y = tl_placed_error(at);
    for (int k = 0; k < n; k++) {
        if (placed(in[k])) return in[k];
        if (in[k].tape) y.generation = PLACED_STALE;
    }
    return y;
}

bool tl_absent(tl_tensor t) { return !t.tape; }

bool tl_is(tl_tensor a, tl_tensor b) { return a.tape == b.tape && a.id == b.id && a.generation == b.generation; }

static bool live(tl_tensor t) { return t.tape && !placed(t) && atomic_load(&t.tape->generation) == t.generation; }

const tl_node *tl_node_of(tl_tensor t) { return live(t) && t.id && t.id < t.tape->n ? &t.tape->node[t.id] : NULL; }

static const tl_shape *shape_of(tl_tensor t)
{
    static const tl_shape scalar = { .dtype = TL_F32 };
    const tl_node *n = tl_node_of(t);
    return n ? &n->shape : &scalar;
}

int tl_rank(tl_tensor t) { return shape_of(t)->rank; }
int64_t tl_size(tl_tensor t) { return tl_shape_size(shape_of(t)); }
tl_shape tl_shape_of(tl_tensor t) { return *shape_of(t); }
tl_dtype tl_dtype_of(tl_tensor t) { return shape_of(t)->dtype; }

int64_t tl_dim(tl_tensor t, int axis)
{
    const tl_shape *s = shape_of(t);
    if (axis < 0) axis += s->rank;
    return axis >= 0 && axis < s->rank ? s->dim[axis] : 1;
}

tl_tape *tl_tape_of(const tl_tensor *t, int n)
{
    for (int i = 0; i < n; i++)
        if (live(t[i])) return t[i].tape;
    return NULL;
}

/* ---- errors ------------------------------------------------------------------------------------------------- */

/* "../layers/dense.c" as the build system names files: without the way out of the build directory. */
const char *tl_base_name(const char *file)
{
    while (file && !strncmp(file, "../", 3)) file += 3;
    return file ? file : "?";
}

tl_place tl_user_place(const tl_tape *t, tl_place at)
{
    return at.line > 0 || !t->place.caller.line ? at : t->place.caller;
}

static int print_steps(char *out, size_t n, const tl_visit *v)
{
    if (!v) return 0;
    const int at = print_steps(out, n, v->parent);
    if (v->kind != TL_VISIT_STEP) return at;
    return at + snprintf(out + at, (size_t)at < n ? n - (size_t)at : 0, "%s%lld", at ? "/" : "", (long long)v->index);
}

static int line_of(tl_place p) { return p.line < 0 ? -p.line : p.line; }

/* "model.c:41 in encoder/mgu at step 3", with the library's own line in brackets if the op is recorded there. */
void tl_place_print(char *out, size_t n, tl_place at, tl_place caller, const char *path, const tl_visit *visit)
{
    const bool inside = at.line <= 0 && caller.line > 0;
    const tl_place user = inside ? caller : at;
    int k = user.file ? snprintf(out, n, "%s:%d", tl_base_name(user.file), line_of(user))
                      : snprintf(out, n, "somewhere");
    if (inside && at.file && (size_t)k < n)
        k += snprintf(out + k, n - (size_t)k, " (through %s:%d)", tl_base_name(at.file), line_of(at));
    if (path && *path && (size_t)k < n) k += snprintf(out + k, n - (size_t)k, " in %s", path);
    char steps[64];
    if (print_steps(steps, sizeof steps, visit) && (size_t)k < n)
        snprintf(out + k, n - (size_t)k, " at step %s", steps);
}

tl_tensor tl_tape_fail(tl_tape *t, tl_place at, tl_status status, const char *format, ...)
{
    if (t->status) return tl_error_handle(t);
    t->status = status;
    const tl_node *n = t->place_node ? &t->node[t->place_node] : NULL;
    const tl_scope *s = n ? n->scope : t->place.scope;
    tl_place_print(t->message, sizeof t->message, n ? n->at : at, n ? n->caller : t->place.caller, s->path, s->visit);
    size_t k = strlen(t->message);
    if (k + 3 < sizeof t->message) k += (size_t)snprintf(t->message + k, sizeof t->message - k, ": ");
    va_list args;
    va_start(args, format);
    vsnprintf(t->message + k, sizeof t->message - k, format, args);
    va_end(args);
    tl_report(status, "%s", t->message);
    return tl_error_handle(t);
}

tl_tensor tl_no_memory(tl_tape *t) { return tl_tape_fail(t, TL_NOWHERE, TL_E_MEMORY, "out of memory while recording"); }

tl_status tl_why_dead(char out[static 512], tl_tensor t)
{
    if (!t.tape) {
        snprintf(out, 512, "is absent (TL_NONE)");
        return TL_E_ABSENT;
    }
    if (!placed(t)) {
        snprintf(out, 512, "is stale: its tape was reset or freed. Keep handles within one recording");
        return TL_E_STALE;
    }
    const tl_place p = { (const char *)t.tape, (int)t.id };
    const bool stale = t.generation == PLACED_STALE;
    snprintf(out, 512, "comes from %s:%d, where %s", tl_base_name(p.file), line_of(p),
             stale ? "operands were stale: their tape was reset or freed" : "all operands were absent (TL_NONE)");
    return stale ? TL_E_STALE : TL_E_ABSENT;
}

/* The error of an operand that cannot be used; 0 always. */
static uint32_t bad_operand(tl_tape *tape, tl_place at, tl_tensor t, const char *what)
{
    char why[512];
    if (!live(t)) {
        const tl_status status = tl_why_dead(why, t);
        tl_tape_fail(tape, at, status, "%s: an operand %s", what, why);
    } else if (t.tape != tape) {
        tl_tape_fail(tape, at, TL_E_TAPE,
                     "%s: an operand belongs to another tape. Bring its numbers over with tl_input or tl_const", what);
    } else {
        tl_tape_fail(tape, at, TL_E_ARGUMENT, "%s: an operand is the result of a call that failed", what);
    }
    return 0;
}

uint32_t tl_operand(tl_tape *tape, tl_place at, tl_tensor t, const char *what)
{
    if (tape->status) return 0;
    return live(t) && t.tape == tape && t.id && t.id < tape->n ? t.id : bad_operand(tape, at, t, what);
}

/* ---- recording ---------------------------------------------------------------------------------------------- */

uint32_t tl_record(tl_tape *t, tl_place at, const tl_scope *scope, const struct tl_op *op, const uint32_t *in,
                   uint32_t n, const void *attr, size_t attr_size, const tl_shape *shape)
{
    if (t->status) return 0;
    if (!tl_shape_valid(shape->rank, shape->dim)) {
        tl_tape_fail(t, at, TL_E_SHAPE, "%s: the result is too large", op->name);
        return 0;
    }
    void *copy = attr_size ? tl_arena_alloc(&t->arena, attr_size) : NULL;
    while (t->n_in + n > t->cap_in)
        if (!tl_grow((void **)&t->in, t->cap_in, &t->cap_in, sizeof *t->in)) break;
    if ((attr_size && !copy) || t->n_in + n > t->cap_in || !TL_GROW(t->node, t->n, t->cap)) {
        tl_no_memory(t);
        return 0;
    }
    if (attr_size) memcpy(copy, attr, attr_size);
    if (n) memcpy(t->in + t->n_in, in, n * sizeof *in);
    t->node[t->n] = (tl_node){ op, copy, attr_size, t->n_in, n, *shape, at, t->place.caller, scope };
    if (t->place_node) {
        const tl_node *p = &t->node[t->place_node];
        t->node[t->n].at = p->at;
        t->node[t->n].caller = p->caller;
        t->node[t->n].scope = p->scope;
        t->node[t->n].differentiates = t->place_node;
    }
    for (int a = shape->rank; a < TL_MAX_RANK; a++) t->node[t->n].shape.dim[a] = 0;
    t->n_in += n;
    return t->n++;
}

bool tl_refuse(tl_shape_rule *r, tl_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->reason, sizeof r->reason, format, args);
    va_end(args);
    r->status = status;
    return false;
}

bool tl_shape_same(tl_shape_rule *r)
{
    const tl_dtype dtype = r->out.dtype;
    r->out = r->in[0];
    r->out.dtype = dtype;
    return true;
}

bool tl_shape_broadcast(tl_shape_rule *r)
{
    tl_shape *y = &r->out;
    y->rank = 0;
    for (int k = 0; k < r->n_in; k++)
        if (r->in[k].rank > y->rank) y->rank = r->in[k].rank;
    for (int a = 0; a < y->rank; a++) {
        y->dim[a] = 1;
        for (int k = 0; k < r->n_in; k++) {
            const int b = a - (y->rank - r->in[k].rank);
            const int64_t d = b < 0 ? 1 : r->in[k].dim[b];
            if (d == 1) continue;
            if (y->dim[a] != 1 && y->dim[a] != d)
                return tl_refuse(r, TL_E_SHAPE, "dimensions %lld and %lld do not broadcast", (long long)y->dim[a],
                                 (long long)d);
            y->dim[a] = d;
        }
    }
    return true;
}

/* "matmul [32,64] x [65,256]" */
static void print_call(char *out, size_t n, const struct tl_op *op, const tl_shape *in, const uint32_t *id, int n_in)
{
    size_t at = (size_t)snprintf(out, n, "%s", op->name);
    for (int k = 0; k < n_in && k < 6 && at + 40 < n; k++) {
        if (!id[k]) continue;
        at += (size_t)snprintf(out + at, n - at, k ? " x " : " ");
        at += (size_t)tl_shape_print(out + at, n - at, &in[k]);
    }
}

/* Float operands are of one type (kernels are chosen by the result's); i32 only where an op says so or takes it as an
 * index (its rule then checks). */
static bool dtypes_fit(tl_tape *t, tl_place at, const struct tl_op *op, const tl_shape *in, const uint32_t *id, int n)
{
    bool has_i32 = false, has_f32 = false, has_f64 = false;
    for (int k = 0; k < n; k++) {
        has_i32 |= id[k] && in[k].dtype == TL_I32;
        has_f32 |= id[k] && in[k].dtype == TL_F32;
        has_f64 |= id[k] && in[k].dtype == TL_F64;
    }
    const bool plain = op->cls == TL_ELEMENTWISE || op->cls == TL_ROWWISE || op->cls == TL_MATMUL ||
                       op->cls == TL_REDUCE;
    if (op->takes_i32) return true;
    if (has_i32 && plain) {
        tl_tape_fail(t, at, TL_E_DTYPE,
                     "%s: an operand is i32, but this computes with %s. Use tl_cast, tl_gather or "
                     "tl_embedding",
                     op->name, tl_dtype_name(t->model->dtype));
        return false;
    }
    if (has_f32 && has_f64) {
        tl_tape_fail(t, at, TL_E_DTYPE, "%s: operands of f32 and of f64. Use tl_cast", op->name);
        return false;
    }
    return true;
}

/* Is this an operation, with the attributes it needs? */
static bool op_fits(tl_tape *t, tl_place at, const struct tl_op *op, const void *attr)
{
    if (!op || op->size < offsetof(struct tl_op, id) || !op->name || !op->shape)
        tl_tape_fail(t, at, TL_E_ARGUMENT, "tl_apply: this is no struct tl_op (.size, .name, .shape are needed)");
    else if (op->attr_size && !attr) tl_tape_fail(t, at, TL_E_ARGUMENT, "%s: its attributes are missing", op->name);
    else if (attr && !op->attr_size)
        tl_tape_fail(t, at, TL_E_ARGUMENT, "%s: attributes are given, but its .attr_size is 0", op->name);
    return !t->status;
}

tl_tensor tl_apply_at(tl_place at, const struct tl_op *op, const tl_tensor *in, int n, const void *attr)
{
    tl_tape *t = in ? tl_tape_of(in, n) : NULL;
    if (!t) return tl_without_tape(at, in, in ? n : 0);
    if (t->status) return tl_error_handle(t);
    if (!op_fits(t, at, op, attr)) return tl_error_handle(t);
    if (n < op->min_in || (op->max_in >= 0 && n > op->max_in))
        return tl_tape_fail(t, at, TL_E_ARGUMENT, "%s: %d operands are too %s", op->name, n,
                            n < op->min_in ? "few" : "many");
    uint32_t few_id[8], *id = n <= 8 ? few_id : tl_arena_alloc(&t->arena, (size_t)n * sizeof *id);
    tl_shape few[8], *shape = n <= 8 ? few : tl_arena_alloc(&t->arena, (size_t)n * sizeof *shape);
    if (!id || !shape) return tl_no_memory(t);
    for (int k = 0; k < n; k++) {
        const bool may_lack = k < 31 && op->optional >> k & 1;
        id[k] = may_lack && !in[k].tape ? 0 : tl_operand(t, at, in[k], op->name);
        if (t->status) return tl_error_handle(t);
        shape[k] = t->node[id[k]].shape;
    }
    if (!dtypes_fit(t, at, op, shape, id, n)) return tl_error_handle(t);
    tl_shape_rule r = {
        .op = op, .in = shape, .n_in = n, .attr = attr, .dtype = t->model->dtype, .status = TL_E_SHAPE
    };
    while (r.n_in && !id[r.n_in - 1])
        r.n_in--; /* a rule need not know of optional operands at the end that are absent */
    r.out.dtype = n ? shape[0].dtype : r.dtype;
    if (!op->shape(&r)) {
        char call[256];
        print_call(call, sizeof call, op, shape, id, n);
        return tl_tape_fail(t, at, r.status, "%s: %s", call, r.reason[0] ? r.reason : "shapes do not fit");
    }
    return tl_handle(t, tl_record(t, at, t->place.scope, op, id, (uint32_t)n, attr, op->attr_size, &r.out));
}

tl_tensor(tl_apply)(const struct tl_op *op, const tl_tensor *in, int n, const void *attr)
{
    return tl_apply_at(TL_NOWHERE, op, in, n, attr);
}

tl_tensor tl_apply_leaf_at(tl_place at, tl_scope *s, const struct tl_op *op, const void *attr)
{
    if (!tl_alive(s)) return tl_scope_error(at, s);
    tl_tape *t = s->tape;
    tl_shape_rule r = {
        .op = op, .attr = attr, .dtype = t->model->dtype, .out.dtype = t->model->dtype, .status = TL_E_SHAPE
    };
    const tl_place_mark m = tl_enter(at, s);
    tl_tensor y = tl_error_handle(t);
    const bool fits = op_fits(t, at, op, attr);
    if (fits && op->min_in > 0) tl_tape_fail(t, at, TL_E_ARGUMENT, "%s: it needs operands", op->name);
    else if (fits && !op->shape(&r)) tl_tape_fail(t, at, r.status, "%s: %s", op->name, r.reason);
    else if (fits) y = tl_handle(t, tl_record(t, at, s, op, NULL, 0, attr, op->attr_size, &r.out));
    tl_leave(s, m);
    return y;
}
