/* graph/scope.c - scopes, their visits, and what makes two parameters the same: their path. */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "graph/tape.h"

bool tl_alive(const tl_scope *s)
{
    return s && s->tape && atomic_load(&s->tape->generation) == s->generation && !s->tape->status;
}

tl_tensor tl_scope_error(tl_place at, const tl_scope *s)
{
    if (!s || !s->tape) return tl_placed_error(at);
    const tl_tensor t = { s->tape, 0, s->generation };
    return tl_tape_of(&t, 1) ? t : tl_without_tape(at, &t, 1);
}

tl_scope *tl_root(tl_tape *t) { return t ? &t->root : NULL; }

tl_tape *tl_scope_tape(const tl_scope *s) { return s ? s->tape : NULL; }
const char *tl_scope_path(const tl_scope *s) { return s ? s->path : ""; }
bool tl_training(const tl_scope *s) { return s && s->tape->training; }

tl_place_mark tl_enter(tl_place at, tl_scope *s)
{
    if (!tl_alive(s)) return (tl_place_mark){ NULL, at };
    tl_tape *t = s->tape;
    const tl_place_mark mark = t->place;
    t->place.scope = s;
    if (at.line > 0) t->place.caller = at;
    return mark;
}

void tl_leave(tl_scope *s, tl_place_mark mark)
{
    if (s && mark.scope) s->tape->place = mark;
}

/* What follows without a scope of its own is recorded in s, from now on. */
static tl_scope *move_to(tl_place at, tl_scope *s)
{
    s->tape->place.scope = s;
    if (at.line > 0) s->tape->place.caller = at;
    return s;
}

void *tl_scope_copy(tl_scope *s, const void *p, size_t n)
{
    if (!tl_alive(s)) return NULL;
    void *q = tl_arena_alloc(&s->tape->arena, n ? n : 1);
    if (!q) tl_no_memory(s->tape);
    else if (n && p) memcpy(q, p, n);
    return q;
}

const char *tl_intern(tl_tape *t, const char *s)
{
    const size_t n = strlen(s);
    for (uint64_t salt = 0;; salt++) { /* another salt for another string of the same hash */
        uint64_t *slot = tl_table_put(&t->strings, tl_hash(salt, s, n), salt, 0);
        if (slot && !*slot) {
            char *copy = tl_arena_alloc(&t->arena, n + 1);
            if (copy) *slot = (uint64_t)(uintptr_t)memcpy(copy, s, n + 1);
        }
        if (!slot || !*slot) {
            tl_no_memory(t);
            return NULL;
        }
        if (!strcmp((const char *)(uintptr_t)*slot, s)) return (const char *)(uintptr_t)*slot;
    }
}

const char *tl_join_path(tl_tape *t, const char *path, const char *name)
{
    char text[512];
    const int n = snprintf(text, sizeof text, "%s%s%s", path, *path ? "/" : "", name);
    if (n >= (int)sizeof text) {
        tl_tape_fail(t, TL_NOWHERE, TL_E_ARGUMENT, "the path %.40s.../%.40s is too long", path, name);
        return NULL;
    }
    return tl_intern(t, text);
}

static bool name_fits(tl_place at, tl_scope *s, const char *name)
{
    if (name && *name && !strchr(name, '/') && strlen(name) < 128) return true;
    tl_tape_fail(s->tape, at, TL_E_ARGUMENT, "a name must be 1 to 127 characters without '/', not \"%.40s\"",
                 name ? name : "NULL");
    return false;
}

static tl_scope *new_scope(tl_scope *s, const char *path, const tl_visit *visit, const tl_overlay_map *overlay)
{
    tl_scope *c = path && visit ? tl_arena_alloc(&s->tape->arena, sizeof *c) : NULL;
    if (!c) {
        tl_no_memory(s->tape);
        return s;
    }
    *c = (tl_scope){ s->tape, s->generation, path, visit, overlay, s->steady && visit == s->visit };
    return c;
}

tl_scope *tl_in_at(tl_place at, tl_scope *s, const char *name)
{
    if (!tl_alive(s)) return s;
    move_to(at, s);
    if (!name_fits(at, s, name)) return s;
    return move_to(at, new_scope(s, tl_join_path(s->tape, s->path, name), s->visit, s->overlay));
}

static const tl_visit *new_visit(tl_scope *s, int kind, int64_t index)
{
    tl_visit *v = tl_arena_alloc(&s->tape->arena, sizeof *v);
    if (!v) return NULL;
    const int64_t key[2] = { kind, index };
    *v = (tl_visit){ .parent = s->visit, .kind = kind, .path = s->path, .index = index };
    v->hash = tl_hash(tl_hash(s->visit->hash, s->path, strlen(s->path)), key, sizeof key);
    v->steps = kind == TL_VISIT_STEP ? tl_hash(s->visit->steps, s->path, strlen(s->path)) : s->visit->steps;
    return v;
}

tl_scope *tl_step_at(tl_place at, tl_scope *s, int64_t i)
{
    if (!tl_alive(s)) return s;
    move_to(at, s);
    if (i < 0) {
        tl_tape_fail(s->tape, at, TL_E_ARGUMENT, "tl_step: step %lld is negative", (long long)i);
        return s;
    }
    const uint64_t key = tl_mix((uint64_t)(uintptr_t)s->visit, (uint64_t)(uintptr_t)s->path);
    uint64_t *slot = tl_table_put(&s->tape->visits, key, (uint64_t)i, 0);
    if (slot && !*slot) *slot = (uint64_t)(uintptr_t)new_visit(s, TL_VISIT_STEP, i);
    return move_to(at, new_scope(s, s->path, slot ? (const tl_visit *)(uintptr_t)*slot : NULL, s->overlay));
}

int64_t tl_step_number(const tl_scope *s)
{
    const tl_visit *v = tl_alive(s) ? s->visit : NULL;
    while (v && v->kind != TL_VISIT_STEP) v = v->parent;
    return v ? v->index : -1;
}

/* A fresh visit, numbered within its parent's, so that random numbers know it apart. */
static const tl_visit *fresh_visit(tl_scope *s)
{
    uint64_t *count = tl_table_put(&s->tape->agains, (uint64_t)(uintptr_t)s->visit, (uint64_t)(uintptr_t)s->path, 0);
    return count ? new_visit(s, TL_VISIT_AGAIN, (int64_t)(*count)++) : NULL;
}

tl_scope *tl_again_at(tl_place at, tl_scope *s)
{
    if (!tl_alive(s)) return s;
    move_to(at, s);
    return move_to(at, new_scope(s, s->path, fresh_visit(s), s->overlay));
}

tl_scope *tl_steady_at(tl_place at, tl_scope *s)
{
    if (!tl_alive(s)) return s;
    move_to(at, s);
    tl_scope *c = new_scope(s, s->path, s->visit, s->overlay);
    if (c != s) c->steady = true; /* it is s only where memory was short */
    return move_to(at, c);
}

/* Key in tape->params of what the gradient check has put in a parameter's place: its node, and this. */
enum { PROBED = 1 };

/* The path of the one parameter that tl_param() returns this node for in s or around it: of the parameter itself, or of
 * that which it stands for in an overlay. */
static const char *path_of_node(const tl_scope *s, uint32_t id)
{
    const tl_tape *t = s->tape;
    const tl_node *node = &t->node[id];
    const uint64_t *slot = tl_table_find(&t->params, id, PROBED);
    const char *path = NULL;
    if (node->op->role == TL_ROLE_PARAM) return t->param[((const tl_index_attr *)node->attr)->index].path;
    if (slot) return t->param[*slot].path;
    for (const tl_overlay_map *o = s->overlay; o; o = o->outer)
        for (int i = 0; i < o->n; i++) {
            if (o->tensor[i].id != id) continue;
            if (path && path != o->path[i]) return NULL; /* it stands for several */
            path = o->path[i];
        }
    return path;
}

tl_scope *tl_overlay_at(tl_place at, tl_scope *s, int n, const tl_tensor *params, const tl_tensor *tensors)
{
    if (!tl_alive(s)) return s;
    move_to(at, s);
    tl_tape *t = s->tape;
    tl_overlay_map *o = tl_arena_alloc(&t->arena, sizeof *o);
    if (n < 0 || (n && (!params || !tensors))) {
        tl_tape_fail(t, at, TL_E_ARGUMENT, "tl_overlay: %d parameters and their tensors are needed", n);
        return s;
    }
    if (o) *o = (tl_overlay_map){ s->overlay, n, NULL, NULL };
    if (o) o->path = tl_arena_alloc(&t->arena, ((size_t)n + 1) * sizeof *o->path);
    if (o) o->tensor = tl_arena_alloc(&t->arena, ((size_t)n + 1) * sizeof *o->tensor);
    if (!o || !o->path || !o->tensor) {
        tl_no_memory(t);
        return s;
    }
    for (int i = 0; i < n; i++) {
        const uint32_t p = tl_operand(t, at, params[i], "tl_overlay"), x = tl_operand(t, at, tensors[i], "tl_overlay");
        if (!p || !x) return s;
        o->path[i] = path_of_node(s, p);
        o->tensor[i] = tensors[i];
        if (!o->path[i]) {
            tl_tape_fail(t, at, TL_E_ARGUMENT, "tl_overlay: tensor %d is no parameter (what tl_param returned)", i);
            return s;
        }
        if (!tl_shape_equal(&t->node[p].shape, &t->node[x].shape)) {
            tl_tape_fail(t, at, TL_E_SHAPE, "tl_overlay: what stands for %s has another shape", o->path[i]);
            return s;
        }
    }
    return move_to(at, new_scope(s, s->path, fresh_visit(s), o));
}

/* ---- parameters --------------------------------------------------------------------------------------------- */

static const char *line_text(char out[static 300], tl_place p)
{
    tl_place_print(out, 300, p, TL_NOWHERE, NULL, NULL);
    return out;
}

static bool overlaid(const tl_scope *s, const char *path, tl_tensor *out)
{
    for (const tl_overlay_map *o = s->overlay; o; o = o->outer)
        for (int i = 0; i < o->n; i++)
            if (o->path[i] == path) { /* interned */
                *out = o->tensor[i];
                return true;
            }
    return false;
}

/* Within one visit a path is asked for once. */
static bool asked_once(tl_place at, tl_scope *s, const char *path)
{
    tl_tape *t = s->tape;
    const tl_place here = tl_user_place(t, at);
    uint64_t *slot = tl_table_put(&t->requests, (uint64_t)(uintptr_t)path, (uint64_t)(uintptr_t)s->visit, 0);
    if (!slot) return tl_no_memory(t), false;
    if (*slot) {
        char first[300];
        tl_tape_fail(
            t, at, TL_E_NAME,
            "parameter %s is asked for a second time (first at %s). Two layers of one kind need names of their own "
            "(.name = \"...\" or tl_in); a loop over time needs tl_step(s, t); where sharing is meant, tl_again(s)",
            path, line_text(first, *(const tl_place *)(uintptr_t)*slot));
        return false;
    }
    *slot = (uint64_t)(uintptr_t)tl_scope_copy(s, &here, sizeof here);
    return !t->status;
}

static bool shapes_agree(tl_place at, tl_tape *t, const char *path, const tl_shape *has, const tl_shape *want,
                         const char *whose)
{
    if (tl_shape_equal(has, want)) return true;
    char a[128], b[128];
    tl_shape_print(a, sizeof a, has);
    tl_shape_print(b, sizeof b, want);
    tl_tape_fail(t, at, TL_E_SHAPE, "parameter %s is asked for as %s, but %s it is %s", path, b, whose, a);
    return false;
}

static tl_tape_param *new_param(tl_place at, tl_scope *s, const char *path, const tl_shape *shape,
                                const tl_param_opts *o)
{
    tl_tape *t = s->tape;
    const int index = tl_model_find(t->model, path);
    if (index >= 0 && !shapes_agree(at, t, path, &t->model->param[index].shape, shape, "in the model")) return NULL;
    uint64_t *slot = tl_table_put(&t->params, (uint64_t)(uintptr_t)path, 0, 0);
    if (!slot || !TL_GROW(t->param, t->n_param, t->cap_param)) return tl_no_memory(t), NULL;
    const tl_index_attr attr = { t->n_param, tl_hash(0, path, strlen(path)) };
    const uint32_t id = tl_record(t, at, s, &tl_op_param, NULL, 0, &attr, sizeof attr, shape);
    if (!id) return NULL;
    const bool frozen = index >= 0 ? t->model->param[index].frozen : o->frozen;
    t->param[t->n_param] = (tl_tape_param){ .path = path,
                                            .id = id,
                                            .shape = *shape,
                                            .init = o->init,
                                            .frozen = frozen,
                                            .index = index,
                                            .first = tl_user_place(t, at),
                                            .steps = s->visit->steps };
    *slot = ++t->n_param;
    return &t->param[t->n_param - 1];
}

/* The path's parameter on this tape, made if this is its first visit. */
static tl_tape_param *find_param(tl_place at, tl_scope *s, const char *path, const tl_shape *shape,
                                 const tl_param_opts *o)
{
    tl_tape *t = s->tape;
    const uint64_t *slot = tl_table_find(&t->params, (uint64_t)(uintptr_t)path, 0);
    if (!slot) return new_param(at, s, path, shape, o);
    tl_tape_param *p = &t->param[*slot - 1];
    if (p->steps != s->visit->steps) {
        char first[300];
        tl_tape_fail(
            t, at, TL_E_NAME,
            "parameter %s is asked for both in steps of a scope and outside them (first at %s): it belongs to the "
            "one or the other. Give one of them another name",
            path, line_text(first, p->first));
        return NULL;
    }
    return shapes_agree(at, t, path, &p->shape, shape, "at an earlier visit") ? p : NULL;
}

tl_tensor tl_param_opt(tl_place at, tl_scope *s, const char *name, const tl_param_opts *o)
{
    if (!tl_alive(s)) return tl_scope_error(at, s);
    tl_tape *t = s->tape;
    const tl_place_mark mark = tl_enter(at, s);
    tl_tensor y = tl_error_handle(t);
    tl_shape shape = { .dtype = t->model->dtype, .rank = o->rank };
    if (!name_fits(at, s, name)) goto done;
    if (!tl_shape_valid(o->rank, o->dim)) {
        tl_tape_fail(t, at, TL_E_ARGUMENT, "parameter %s: rank %d or a dimension makes no sense", name, o->rank);
        goto done;
    }
    if (o->rank) memcpy(shape.dim, o->dim, (size_t)o->rank * sizeof shape.dim[0]);
    const char *path = tl_join_path(t, s->path, name);
    if (!path || !asked_once(at, s, path)) goto done;
    if (overlaid(s, path, &y)) {
        const tl_node *n = tl_node_of(y);
        if (n && !shapes_agree(at, t, path, &n->shape, &shape, "in an overlay")) y = tl_error_handle(t);
        goto done;
    }
    const tl_tape_param *p = find_param(at, s, path, &shape, o);
    if (p) y = tl_handle(t, p->id);
    if (p && t->probe) {
        y = t->probe->use(t->probe, s, y, path);
        if (!tl_table_put(&t->params, y.id, PROBED, (uint64_t)(p - t->param))) y = tl_no_memory(t);
    }
done:
    tl_leave(s, mark);
    return y;
}

int tl_params(tl_scope *s, const char *pattern, tl_tensor *out, int max)
{
    if (!tl_alive(s)) return 0;
    const tl_tape *t = s->tape;
    const size_t prefix = strlen(s->path);
    int n = 0;
    for (uint32_t i = 0; i < t->n_param; i++) {
        const char *path = t->param[i].path;
        if (prefix && (strncmp(path, s->path, prefix) || path[prefix] != '/')) continue;
        if (pattern && fnmatch(pattern, path + prefix + (prefix > 0), 0)) continue;
        if (n < max && out) out[n] = tl_handle(s->tape, t->param[i].id);
        n++;
    }
    return n;
}

/* The hash of a visit as it would be if its innermost step had no index. */
static uint64_t steady_hash(const tl_visit *v)
{
    if (v->kind == TL_VISIT_ROOT) return v->hash;
    const bool step = v->kind == TL_VISIT_STEP;
    const int64_t key[2] = { v->kind, step ? -1 : v->index };
    return tl_hash(tl_hash(step ? v->parent->hash : steady_hash(v->parent), v->path, strlen(v->path)), key, sizeof key);
}

uint64_t tl_random_key(tl_scope *s)
{
    if (!tl_alive(s)) return 0;
    const uint64_t path = (uint64_t)(uintptr_t)s->path + s->steady; /* paths are aligned: a key of its own */
    uint64_t *n = tl_table_put(&s->tape->ordinals, path, (uint64_t)(uintptr_t)s->visit, 0);
    if (!n) return tl_no_memory(s->tape), 0;
    const uint64_t ordinal = (*n)++;
    return tl_mix(tl_hash(s->steady ? steady_hash(s->visit) : s->visit->hash, s->path, strlen(s->path)), ordinal);
}

tl_tensor tl_error_at(tl_place at, tl_scope *s, tl_status status, const char *format, ...)
{
    if (!tl_alive(s)) return tl_scope_error(at, s);
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const tl_place_mark mark = tl_enter(at, s);
    const tl_tensor y = tl_tape_fail(s->tape, at, status, "%s", text);
    tl_leave(s, mark);
    return y;
}

/* ---- the functions behind the macros -------------------------------------------------------------------------- */

tl_scope *(tl_in)(tl_scope *s, const char *name) { return tl_in_at(TL_NOWHERE, s, name); }
tl_scope *(tl_step)(tl_scope *s, int64_t t) { return tl_step_at(TL_NOWHERE, s, t); }
tl_scope *(tl_again)(tl_scope *s) { return tl_again_at(TL_NOWHERE, s); }
tl_scope *(tl_steady)(tl_scope *s) { return tl_steady_at(TL_NOWHERE, s); }
tl_scope *(tl_overlay)(tl_scope *s, int n, const tl_tensor *params, const tl_tensor *tensors)
{
    return tl_overlay_at(TL_NOWHERE, s, n, params, tensors);
}
