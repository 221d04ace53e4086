/* graph/leaf.c - what the tape begins and ends with: inputs, constants, outputs, emissions, taps and states. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/tape.h"

/* ---- the engine's own operations: leaves are placed by the plan and never run ------------------------------------ */

static tl_tensor tap_vjp(const tl_vjp *v, int i)
{
    (void)i;
    return v->g;
}

const struct tl_op tl_op_input = { .size = sizeof(struct tl_op),
                                   .name = "input",
                                   .cls = TL_LEAF,
                                   .role = TL_ROLE_INPUT,
                                   .attr_size = sizeof(tl_index_attr) };
const struct tl_op tl_op_param = { .size = sizeof(struct tl_op),
                                   .name = "param",
                                   .cls = TL_LEAF,
                                   .role = TL_ROLE_PARAM,
                                   .attr_size = sizeof(tl_index_attr) };
const struct tl_op tl_op_const = {
    .size = sizeof(struct tl_op), .name = "const", .cls = TL_LEAF, .role = TL_ROLE_CONST
};
const struct tl_op tl_op_state = { .size = sizeof(struct tl_op),
                                   .name = "state",
                                   .cls = TL_LEAF,
                                   .role = TL_ROLE_STATE,
                                   .attr_size = sizeof(tl_index_attr) };
const struct tl_op tl_op_fresh = { .size = sizeof(struct tl_op),
                                   .name = "fresh",
                                   .cls = TL_LEAF,
                                   .role = TL_ROLE_FRESH,
                                   .attr_size = sizeof(tl_index_attr) };
const struct tl_op tl_op_tap = { .size = sizeof(struct tl_op),
                                 .name = "tap",
                                 .cls = TL_VIEW,
                                 .role = TL_ROLE_TAP,
                                 .min_in = 1,
                                 .max_in = 1,
                                 .shape = tl_shape_same,
                                 .vjp = tap_vjp,
                                 .takes_i32 = true,
                                 .attr_size = sizeof(tl_tap_attr),
                                 .attr_plain = sizeof(uint64_t) };

static tl_shape shape_from(tl_dtype dtype, int rank, const int64_t *dim)
{
    tl_shape s = { .dtype = dtype, .rank = rank };
    if (rank) memcpy(s.dim, dim, (size_t)rank * sizeof *dim);
    return s;
}

/* A leaf in scope s, of a valid shape. */
static tl_tensor leaf(tl_place at, tl_scope *s, const struct tl_op *op, const void *attr, size_t size,
                      const tl_shape *shape)
{
    const tl_place_mark mark = tl_enter(at, s);
    const tl_tensor y = tl_handle(s->tape, tl_record(s->tape, at, s, op, NULL, 0, attr, size, shape));
    tl_leave(s, mark);
    return y;
}

static bool dims_fit(tl_place at, tl_scope *s, const char *what, int rank, const int64_t *dim)
{
    if (tl_shape_valid(rank, dim)) return true;
    tl_error_at(at, s, TL_E_ARGUMENT, "%s: the rank must be 0 to %d and no dimension negative or too large", what,
                TL_MAX_RANK);
    return false;
}

/* ---- inputs and constants ---------------------------------------------------------------------------------------- */

tl_tensor tl_input_at(tl_place at, tl_scope *s, const char *name, tl_array value)
{
    if (!tl_alive(s)) return tl_scope_error(at, s);
    tl_tape *t = s->tape;
    if (!dims_fit(at, s, "tl_input", value.rank, value.dim)) return tl_error_handle(t);
    if (value.dtype < TL_F32 || value.dtype > TL_I32)
        return tl_error_at(at, s, TL_E_ARGUMENT, "tl_input: .dtype must be TL_F32, TL_F64 or TL_I32");
    if (value.dtype != TL_I32 && value.dtype != t->model->dtype)
        return tl_error_at(at, s, TL_E_DTYPE, "tl_input: the input is %s, the model computes in %s",
                           tl_dtype_name(value.dtype), tl_dtype_name(t->model->dtype));
    const char *path = tl_join_path(t, s->path, name && *name ? name : "input");
    if (!path) return tl_error_handle(t);
    if (!TL_GROW(t->input, t->n_input, t->cap_input) || !TL_GROW(t->input_id, t->n_input, t->cap_input_id) ||
        !TL_GROW(t->input_name, t->n_input, t->cap_input_name))
        return tl_no_memory(t);
    const tl_shape shape = shape_from(value.dtype, value.rank, value.dim);
    const tl_index_attr attr = { t->n_input, tl_hash(0, path, strlen(path)) };
    const tl_tensor y = leaf(at, s, &tl_op_input, &attr, sizeof attr, &shape);
    if (!y.id) return y;
    t->input[t->n_input] = value;
    t->input_id[t->n_input] = y.id;
    t->input_name[t->n_input++] = path;
    return y;
}

/* The values lie in the attribute, so they take part in the proof of re-recording. */
static tl_tensor constant(tl_place at, tl_scope *s, tl_dtype dtype, int rank, const int64_t *dim, const double *v,
                          const int32_t *ids)
{
    if (!tl_alive(s)) return tl_scope_error(at, s);
    if (!dims_fit(at, s, "tl_const", rank, dim)) return tl_error_handle(s->tape);
    const tl_shape shape = shape_from(dtype, rank, dim);
    const int64_t n = tl_shape_size(&shape);
    if (n && !v && !ids) return tl_error_at(at, s, TL_E_ARGUMENT, "tl_const: no values");
    const size_t bytes = (size_t)n * tl_dtype_size(dtype);
    void *data = tl_arena_alloc(&s->tape->arena, bytes ? bytes : 1);
    if (!data) return tl_no_memory(s->tape);
    for (int64_t i = 0; i < n; i++) tl_write(data, dtype, i, ids ? ids[i] : v[i]);
    return leaf(at, s, &tl_op_const, data, bytes, &shape);
}

tl_tensor tl_const_at(tl_place at, tl_scope *s, int rank, const int64_t *dim, const double *values)
{
    return constant(at, s, tl_alive(s) ? s->tape->model->dtype : TL_F32, rank, dim, values, NULL);
}

tl_tensor tl_ids_const_at(tl_place at, tl_scope *s, int rank, const int64_t *dim, const int32_t *values)
{
    return constant(at, s, TL_I32, rank, dim, NULL, values);
}

tl_tensor tl_full_at(tl_place at, tl_scope *s, int rank, const int64_t *dim, double value)
{
    if (!tl_alive(s)) return tl_scope_error(at, s);
    if (!dims_fit(at, s, "tl_full", rank, dim)) return tl_error_handle(s->tape);
    tl_fill_attr attr = { .value = value, .rank = rank };
    if (rank) memcpy(attr.dim, dim, (size_t)rank * sizeof *dim);
    const tl_shape shape = shape_from(s->tape->model->dtype, rank, dim);
    return leaf(at, s, tl_op_of_role(TL_ROLE_FILL), &attr, sizeof attr, &shape);
}

/* At the present place of t's tape, as ops without a scope are. */
tl_tensor tl_full_like_at(tl_place at, tl_tensor x, double value)
{
    tl_tape *t = tl_tape_of(&x, 1);
    if (!t) return tl_without_tape(at, &x, 1);
    const uint32_t id = tl_operand(t, at, x, "tl_full_like");
    if (!id) return tl_error_handle(t);
    tl_shape shape = t->node[id].shape;
    if (shape.dtype == TL_I32) shape.dtype = t->model->dtype;
    tl_fill_attr attr = { .value = value, .rank = shape.rank };
    memcpy(attr.dim, shape.dim, sizeof attr.dim);
    return tl_handle(
        t, tl_record(t, at, t->place.scope, tl_op_of_role(TL_ROLE_FILL), NULL, 0, &attr, sizeof attr, &shape));
}

/* ---- outputs, emissions, taps ------------------------------------------------------------------------------------ */

/* Checks what is to be marked as name in s; its node, 0 on failure. */
static uint32_t marked(tl_place at, tl_scope *s, const char *name, tl_tensor x, const char *what, const char **path)
{
    tl_tape *t = s->tape;
    const tl_place_mark mark = tl_enter(at, s);
    uint32_t id = 0;
    if (!name || !*name || strlen(name) > 127) tl_tape_fail(t, at, TL_E_ARGUMENT, "%s: a name is needed", what);
    else id = tl_operand(t, at, x, what);
    *path = id ? tl_join_path(t, s->path, name) : NULL;
    tl_leave(s, mark);
    return *path ? id : 0;
}

static bool push_mark(tl_tape *t, tl_tape_mark **list, uint32_t *n, uint32_t *cap, tl_tape_mark mark)
{
    if (!tl_grow((void **)list, *n, cap, sizeof **list)) return tl_no_memory(t), false;
    (*list)[(*n)++] = mark;
    return true;
}

void tl_output_at(tl_place at, tl_scope *s, const char *name, tl_tensor x)
{
    if (!tl_alive(s)) return;
    tl_tape *t = s->tape;
    const char *path;
    const uint32_t id = marked(at, s, name, x, "tl_output", &path);
    if (!id) return;
    for (uint32_t i = 0; i < t->n_output; i++) {
        if (t->output[i].name != path) continue;
        char first[300];
        tl_place_print(first, sizeof first, t->output[i].at, TL_NOWHERE, NULL, NULL);
        tl_error_at(at, s, TL_E_NAME,
                    "output %s is marked a second time (first at %s). Inside a step use tl_emit, and "
                    "tl_collect after the loop",
                    path, first);
        return;
    }
    push_mark(t, &t->output, &t->n_output, &t->cap_output,
              (tl_tape_mark){ path, s->visit, id, 0, tl_user_place(t, at) });
}

void tl_emit_at(tl_place at, tl_scope *s, const char *name, tl_tensor x)
{
    if (!tl_alive(s)) return;
    tl_tape *t = s->tape;
    const char *path;
    if (!marked(at, s, name, x, "tl_emit", &path)) return;
    const tl_place_mark m = tl_enter(at, s);
    x = tl_unpadded(at, s, path, x);
    tl_leave(s, m);
    if (t->status) return;
    for (uint32_t i = 0; i < t->n_emit; i++)
        if (t->emit[i].name == path && t->emit[i].visit == s->visit) {
            tl_error_at(at, s, TL_E_NAME, "%s is emitted twice in one step", path);
            return;
        }
    push_mark(t, &t->emit, &t->n_emit, &t->cap_emit, (tl_tape_mark){ path, s->visit, x.id, 0, tl_user_place(t, at) });
}

/* Is `inner` a step of the visit `outer`, or of a step of it? */
static bool within(const tl_visit *inner, const tl_visit *outer)
{
    for (; inner; inner = inner->parent)
        if (inner == outer) return true;
    return false;
}

/* Steps of one visit by their number; steps of different ones as those stand to each other. */
static int by_visit(const tl_visit *a, const tl_visit *b)
{
    if (a == b || !a || !b) return !b - !a;
    const int outer = by_visit(a->parent, b->parent);
    return outer ? outer : (a->index > b->index) - (a->index < b->index);
}

tl_tensor tl_collect_at(tl_place at, tl_scope *s, const char *name)
{
    if (!tl_alive(s)) return tl_scope_error(at, s);
    tl_tape *t = s->tape;
    const char *path = tl_join_path(t, s->path, name ? name : "");
    tl_tape_mark *found = tl_arena_alloc(&t->arena, (t->n_emit + 1) * sizeof *found);
    tl_tensor *row = tl_arena_alloc(&t->arena, (t->n_emit + 1) * sizeof *row);
    if (!path || !found || !row) return tl_no_memory(t);
    int n = 0;
    for (uint32_t i = 0; i < t->n_emit; i++) {
        if (t->emit[i].name != path || !within(t->emit[i].visit, s->visit)) continue;
        int k = n++;
        for (; k && by_visit(t->emit[i].visit, found[k - 1].visit) < 0; k--) found[k] = found[k - 1];
        found[k] = t->emit[i];
    }
    if (!n) return tl_error_at(at, s, TL_E_NAME, "tl_collect: no step of this scope has emitted %s (tl_emit)", path);
    for (int k = 0; k < n; k++)
        if (t->node[found[k].id].shape.rank == TL_MAX_RANK)
            return tl_error_at(at, s, TL_E_SHAPE, "tl_collect: %s has %d axes already, and no room for one of steps",
                               path, TL_MAX_RANK);
    const tl_place_mark mark = tl_enter(at, s);
    const struct tl_op *reshape = tl_op_of_role(TL_ROLE_RESHAPE), *concat = tl_op_of_role(TL_ROLE_CONCAT);
    for (int k = 0; k < n; k++) { /* [...] -> [1, ...] */
        tl_reshape_attr attr = { .rank = t->node[found[k].id].shape.rank + 1, .dim = { 1 } };
        memcpy(attr.dim + 1, t->node[found[k].id].shape.dim, (size_t)(attr.rank - 1) * sizeof attr.dim[0]);
        row[k] = tl_handle(t, found[k].id);
        row[k] = tl_apply_at(at, reshape, &row[k], 1, &attr);
    }
    const tl_tensor y = tl_apply_at(at, concat, row, n, &(tl_concat_attr){ 0 });
    tl_leave(s, mark);
    return y;
}

tl_tensor tl_summed(tl_tensor x)
{
    const int64_t rank = tl_rank(x);
    return rank ? tl_apply_at(TL_NOWHERE, tl_op_of_role(TL_ROLE_SUM), &x, 1, &(tl_sum_attr){ 0, rank, 0 }) : x;
}

tl_tensor tl_total_loss(tl_scope *s, tl_tensor loss)
{
    if (!tl_alive(s)) return loss;
    tl_tape *t = s->tape;
    if (!tl_absent(loss)) loss = tl_summed(loss);
    for (uint32_t i = 0; i < t->n_emit; i++) {
        const char *slash = strrchr(t->emit[i].name, '/');
        if (strcmp(slash ? slash + 1 : t->emit[i].name, "loss")) continue;
        const tl_tensor e = tl_summed(tl_handle(t, t->emit[i].id));
        loss = tl_absent(loss) ? e
                               : tl_apply_at(TL_NOWHERE, tl_op_of_role(TL_ROLE_ADD), (tl_tensor[]){ loss, e }, 2, NULL);
    }
    return loss;
}

tl_tensor tl_tap_at(tl_place at, tl_scope *s, tl_tensor x, tl_tap_fn see, void *data)
{
    if (!tl_alive(s)) return tl_scope_error(at, s);
    tl_tape *t = s->tape;
    if (!see) return tl_error_at(at, s, TL_E_ARGUMENT, "tl_tap: no function to call");
    if (!TL_GROW(t->tap, t->n_tap, t->cap_tap)) return tl_no_memory(t);
    const tl_tap_attr attr = { tl_hash(0, s->path, strlen(s->path)), s->path, see, data };
    const tl_place_mark mark = tl_enter(at, s);
    const tl_tensor y = tl_operand(t, at, x, "tl_tap") ? tl_apply_at(at, &tl_op_tap, &x, 1, &attr) : tl_error_handle(t);
    tl_leave(s, mark);
    if (y.id) t->tap[t->n_tap++] = y.id;
    return y;
}

/* ---- states ----------------------------------------------------------------------------------------------------- */

static tl_tape_state *find_state(tl_tape *t, const char *path)
{
    for (uint32_t i = 0; i < t->n_state; i++)
        if (t->state[i].name == path) return &t->state[i];
    return NULL;
}

/* where(fresh, initial, carried): so gradients reach `initial` where it counts, by the ordinary rule of where. */
static tl_tensor state(tl_place at, tl_scope *s, const char *name, tl_tensor initial, bool in_model)
{
    if (!tl_alive(s)) return tl_scope_error(at, s);
    tl_tape *t = s->tape;
    const char *path;
    const uint32_t id = marked(at, s, name, initial, "tl_state", &path);
    if (!id) return tl_error_handle(t);
    const tl_tape_state *other = find_state(t, path);
    if (other) {
        char first[300];
        tl_place_print(first, sizeof first, other->at, TL_NOWHERE, NULL, NULL);
        return tl_error_at(at, s, TL_E_NAME, "state %s is asked for a second time (first at %s)", path, first);
    }
    if (!TL_GROW(t->state, t->n_state, t->cap_state)) return tl_no_memory(t);
    const tl_shape shape = t->node[id].shape;
    tl_shape rows = { .dtype = t->model->dtype, .rank = shape.rank };
    for (int a = 0; a < rows.rank; a++) rows.dim[a] = a ? 1 : shape.dim[0];
    const tl_index_attr attr = { t->n_state, tl_hash(in_model, path, strlen(path)) };
    const tl_tensor carried = leaf(at, s, &tl_op_state, &attr, sizeof attr, &shape);
    const tl_tensor fresh = leaf(at, s, &tl_op_fresh, &attr, sizeof attr, &rows);
    if (!fresh.id) return fresh;
    t->state[t->n_state++] = (tl_tape_state){ path, in_model, shape, carried.id, fresh.id, tl_user_place(t, at) };
    const tl_place_mark mark = tl_enter(at, s);
    const tl_tensor y = tl_apply_at(at, tl_op_of_role(TL_ROLE_WHERE), (tl_tensor[]){ fresh, initial, carried }, 3,
                                    NULL);
    tl_leave(s, mark);
    return y;
}

tl_tensor tl_state_at(tl_place at, tl_scope *s, const char *name, tl_tensor initial)
{
    return state(at, s, name, initial, false);
}

tl_tensor tl_model_state_at(tl_place at, tl_scope *s, const char *name, tl_tensor initial)
{
    return state(at, s, name, initial, true);
}

void tl_next_at(tl_place at, tl_scope *s, const char *name, tl_tensor value)
{
    if (!tl_alive(s)) return;
    tl_tape *t = s->tape;
    const char *path;
    const uint32_t id = marked(at, s, name, value, "tl_next", &path);
    if (!id) return;
    const tl_tape_state *st = find_state(t, path);
    if (!st) {
        tl_error_at(at, s, TL_E_NAME, "tl_next: there is no state %s (tl_state makes it)", path);
        return;
    }
    if (!tl_shape_equal(&st->shape, &t->node[id].shape)) {
        char has[128], given[128];
        tl_shape_print(has, sizeof has, &st->shape);
        tl_shape_print(given, sizeof given, &t->node[id].shape);
        tl_error_at(at, s, TL_E_SHAPE, "tl_next: state %s is %s, the value %s", path, has, given);
        return;
    }
    for (uint32_t i = 0; i < t->n_next; i++)
        if (t->next[i].name == path) {
            tl_error_at(at, s, TL_E_NAME, "tl_next: state %s is set twice in one run", path);
            return;
        }
    push_mark(t, &t->next, &t->n_next, &t->cap_next,
              (tl_tape_mark){ path, s->visit, id, (uint32_t)(st - t->state), tl_user_place(t, at) });
}

/* ---- the functions behind the macros -------------------------------------------------------------------------- */

tl_tensor(tl_input)(tl_scope *s, const char *name, tl_array value) { return tl_input_at(TL_NOWHERE, s, name, value); }
tl_tensor(tl_const)(tl_scope *s, int rank, const int64_t *dim, const double *values)
{
    return tl_const_at(TL_NOWHERE, s, rank, dim, values);
}
tl_tensor(tl_ids_const)(tl_scope *s, int rank, const int64_t *dim, const int32_t *values)
{
    return tl_ids_const_at(TL_NOWHERE, s, rank, dim, values);
}
tl_tensor(tl_full)(tl_scope *s, int rank, const int64_t *dim, double value)
{
    return tl_full_at(TL_NOWHERE, s, rank, dim, value);
}
tl_tensor(tl_full_like)(tl_tensor t, double value) { return tl_full_like_at(TL_NOWHERE, t, value); }
void(tl_output)(tl_scope *s, const char *name, tl_tensor t) { tl_output_at(TL_NOWHERE, s, name, t); }
void(tl_emit)(tl_scope *s, const char *name, tl_tensor t) { tl_emit_at(TL_NOWHERE, s, name, t); }
tl_tensor(tl_collect)(tl_scope *s, const char *name) { return tl_collect_at(TL_NOWHERE, s, name); }
tl_tensor(tl_tap)(tl_scope *s, tl_tensor t, tl_tap_fn see, void *data)
{
    return tl_tap_at(TL_NOWHERE, s, t, see, data);
}
tl_tensor(tl_state)(tl_scope *s, const char *name, tl_tensor initial)
{
    return tl_state_at(TL_NOWHERE, s, name, initial);
}
tl_tensor(tl_model_state)(tl_scope *s, const char *name, tl_tensor initial)
{
    return tl_model_state_at(TL_NOWHERE, s, name, initial);
}
void(tl_next)(tl_scope *s, const char *name, tl_tensor value) { tl_next_at(TL_NOWHERE, s, name, value); }
