/* tests/conformance_replay.c - one case in one element type: record, run, compare. */
#include "conformance.h"

#include <stdarg.h>

enum { MOST = 96 };

typedef struct named {
    const char *name; /* NULL: a cotangent */
    tl_tensor x;
} named;

/* Our parameter `path` and where it lies in the vendor's. */
typedef struct mapping {
    const char *path;
    const fx_tensor *par, *gpar; /* gpar may be NULL */
    part p;
    int64_t count, inner, rows, cols; /* of ours; of the part in one piece; of the part before it is transposed */
} mapping;

typedef struct run {
    tl_dtype dtype;
    tolerance tolerance;
    verdict verdict;
    char worst[400]; /* the number that is furthest off */
    tl_model *model;
    tl_session *session;
    named in[MOST], out[MOST];
    tl_array fed[MOST];
    mapping map[MOST];
    int n_in, n_out, n_map;
    tl_tensor loss;
    double sum;    /* of the losses of all passes */
    double steep;  /* the largest number of all expected gradients, at least 1 */
    double **grad; /* of each tensor of the case that is gin or gpar: the gradient of all passes */
    bool *seen;    /* of each tensor: has it been compared? */
    void **held;
    size_t n_held;
} run;

static void *hold(run *u, size_t size)
{
    void **more = realloc(u->held, (u->n_held + 1) * sizeof *more), *p = calloc(1, size ? size : 1);
    if (!more || !p) abort();
    u->held = more;
    return u->held[u->n_held++] = p;
}

/* ---- what record functions call ----------------------------------------------------------------------------------- */

void fail(replay *r, const char *format, ...)
{
    char *why = r->run->verdict.why, *end = why + strlen(why);
    const size_t room = sizeof r->run->verdict.why - (size_t)(end - why);
    const int n = snprintf(end, room, "\n    %s: ", r->run->dtype == TL_F64 ? "f64" : "f32");
    va_list args;
    va_start(args, format);
    if ((size_t)n < room) vsnprintf(end + n, room - (size_t)n, format, args);
    va_end(args);
}

const char *text(replay *r, const char *format, ...)
{
    char *s = hold(r->run, 200);
    va_list args;
    va_start(args, format);
    vsnprintf(s, 200, format, args);
    va_end(args);
    return s;
}

bool has(const replay *r, const char *role, const char *name) { return fx_get(r->c, role, name); }

const char *name_of(const replay *r, const char *role, int k)
{
    for (size_t i = 0; i < r->c->nt; i++)
        if (!strcmp(r->c->t[i].role, role) && !k--) return r->c->t[i].name;
    return "";
}

int64_t dim_of(const replay *r, const char *role, const char *name, int axis)
{
    const fx_tensor *t = fx_get(r->c, role, name);
    if (t && axis < 0) axis += t->ndim;
    return t && axis >= 0 && axis < t->ndim ? t->dim[axis] : 1;
}

static double number_of(const fx_tensor *t, int64_t i) { return t->isint ? (double)t->i[i] : t->f[i]; }

static double number_in(const void *data, tl_dtype dtype, int64_t i)
{
    return dtype == TL_F64   ? ((const double *)data)[i]
           : dtype == TL_F32 ? ((const float *)data)[i]
                             : ((const int32_t *)data)[i];
}

static void set_number(void *data, tl_dtype dtype, int64_t i, double v)
{
    if (dtype == TL_F64) ((double *)data)[i] = v;
    else if (dtype == TL_F32) ((float *)data)[i] = (float)v;
    else ((int32_t *)data)[i] = (int32_t)v;
}

static tl_array array_of(replay *r, const fx_tensor *t)
{
    const tl_dtype dtype = t->isint ? TL_I32 : r->run->dtype;
    const tl_array a = tl_array_of(dtype, t->ndim, t->dim, hold(r->run, (size_t)t->count * sizeof(double)));
    for (int64_t i = 0; i < t->count; i++) {
        if (t->isint && (t->i[i] < INT32_MIN || t->i[i] > INT32_MAX)) fail(r, "%s.%s: no i32", t->role, t->name);
        else set_number(a.data, dtype, i, number_of(t, i));
    }
    return a;
}

tl_array numbers(replay *r, const char *role, const char *name)
{
    const fx_tensor *t = fx_get(r->c, role, name);
    if (!t) return TL_ABSENT_ARRAY;
    r->run->seen[t - r->c->t] = true;
    return array_of(r, t);
}

int rank_of(const replay *r, const char *role, const char *name)
{
    const fx_tensor *t = fx_get(r->c, role, name);
    return t ? t->ndim : -1;
}

static tl_tensor feed(replay *r, const char *role, const char *name)
{
    run *u = r->run;
    const fx_tensor *t = fx_get(r->c, role, name);
    if (!t) return TL_NONE;
    if (u->n_in == MOST) return tl_error(r->s, TL_E_ARGUMENT, "more than %d inputs", MOST);
    u->seen[t - r->c->t] = true;
    u->fed[u->n_in] = array_of(r, t);
    const tl_tensor x = tl_input(tl_in(r->s, role), name, u->fed[u->n_in]);
    u->in[u->n_in++] = (named){ role[0] == 'i' ? name : NULL, x };
    return x;
}

tl_tensor input(replay *r, const char *name)
{
    for (int k = 0; k < r->run->n_in; k++)
        if (r->run->in[k].name && !strcmp(r->run->in[k].name, name)) return r->run->in[k].x;
    return feed(r, "in", name);
}

void add_loss(replay *r, tl_tensor loss) { r->run->loss = tl_absent(r->run->loss) ? loss : tl_add(r->run->loss, loss); }

void output(replay *r, const char *name, tl_tensor y)
{
    run *u = r->run;
    if (u->n_out == MOST) tl_error(r->s, TL_E_ARGUMENT, "more than %d results", MOST);
    else u->out[u->n_out++] = (named){ name, y };
    tl_output(tl_in(r->s, "out"), name, y);
    const tl_tensor cot = feed(r, "cot", name);
    if (!tl_absent(cot)) add_loss(r, tl_sum(tl_mul(y, cot), TL_ALL));
}

/* Element i of our parameter is this one of the vendor's. */
static int64_t source(const mapping *m, int64_t i)
{
    if (m->p.transposed) i = i % m->rows * m->cols + i / m->rows;
    return m->p.n ? (i / m->inner * m->p.n + m->p.k) * m->inner + i % m->inner : i;
}

/* Where the part lies; false if there is none. */
static bool locate(mapping *m, int64_t *dim, int *rank)
{
    const part *p = &m->p;
    const int n = *rank = p->axis == FLAT ? 1 : m->par->ndim, axis = p->axis == LAST && n ? n - 1
                                                                     : p->axis > 0        ? p->axis
                                                                                          : 0;
    if (p->axis == FLAT) dim[0] = m->par->count;
    else memcpy(dim, m->par->dim, sizeof m->par->dim);
    if ((p->n && (axis >= n || dim[axis] % p->n)) || (p->transposed && n != 2)) return false;
    if (p->n) dim[axis] /= p->n;
    m->count = m->inner = 1, m->rows = dim[0], m->cols = dim[1];
    for (int a = 0; a < n; a++) m->count *= dim[a];
    for (int a = axis; a < n; a++) m->inner *= dim[a];
    if (p->transposed) dim[0] = m->cols, dim[1] = m->rows;
    int64_t said = m->count;
    for (int a = 0; a < p->rank; a++) said = p->dim[a] && said % p->dim[a] == 0 ? said / p->dim[a] : 0;
    return !p->rank || said == 1;
}

void param(replay *r, const char *path, const char *name, part p)
{
    run *u = r->run;
    mapping m = { text(r, "%s", path), fx_get(r->c, "par", name), fx_get(r->c, "gpar", name), .p = p };
    int64_t dim[TL_MAX_RANK] = { 0 };
    int rank;
    if (!m.par) return;
    u->seen[m.par - r->c->t] = true;
    if (!locate(&m, dim, &rank) || u->n_map == MOST) {
        fail(r, "parameter %s has no part %d of %d for %s, or there are too many", name, p.k, p.n, path);
        return;
    }
    double *values = hold(u, (size_t)m.count * sizeof *values);
    for (int64_t i = 0; i < m.count; i++) values[i] = number_of(m.par, source(&m, i));
    const tl_array a = tl_array_of(TL_F64, p.rank ? p.rank : rank, p.rank ? p.dim : dim, values);
    if (tl_model_set(u->model, path, &a)) fail(r, "%s = %s: %s", path, name, tl_message());
    else u->map[u->n_map++] = m;
}

void model_state(replay *r, const char *path, const char *role, const char *name)
{
    const fx_tensor *t = fx_get(r->c, role, name);
    if (!t) return;
    r->run->seen[t - r->c->t] = true;
    const tl_array a = array_of(r, t);
    if (tl_model_set_state(r->run->model, path, &a)) fail(r, "%s = %s: %s", path, name, tl_message());
}

tl_tensor weight(replay *r, const char *name)
{
    const fx_tensor *t = fx_get(r->c, "par", name);
    param(r, name, name, (part){ 0 });
    return t ? tl_param(r->s, name, t->ndim, t->dim) : TL_NONE;
}

tl_tensor swapped(tl_tensor x)
{
    static const int order[TL_MAX_RANK] = { 1, 0, 2, 3, 4, 5 };
    return tl_absent(x) ? x : tl_permute(x, order);
}

tl_activation activation_of(replay *r, const char *key)
{
    const char *name = fx_attr(r->c, key);
    if (!name) return NULL;
    if (!strcmp(name, "none")) name = "linear";
    for (const op_row *row = function_rows; row->op; row++)
        if (!strncmp(row->op, "keras_act_", 10) && !strcmp(row->op + 10, name)) return row->f1;
    fail(r, "%s \"%s\" is not known here", key, name);
    return NULL;
}

/* ---- comparing ------------------------------------------------------------------------------------------------------ */

/* The largest of its finite numbers, at least `floor`. */
static double largest_of(const fx_tensor *t, double floor)
{
    for (int64_t i = 0; i < t->count; i++)
        if (isfinite(number_of(t, i))) floor = fmax(floor, fabs(number_of(t, i)));
    return floor;
}

/* Only the same is near to what is not finite: NaN to NaN, and what f32 has as infinity to infinity. */
static void compare(replay *r, const fx_tensor *t, const void *got, tl_dtype dtype)
{
    run *u = r->run;
    const tolerance *near = &u->tolerance;
    const bool of_largest = near->of_largest && t->role[0] == 'g';
    const double base = of_largest ? near->atol * u->steep + near->rtol * largest_of(t, 0) : near->atol;
    double worst = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < t->count; i++) {
        const double g = number_in(got, dtype, i), exact = number_of(t, i);
        const double e = u->dtype == TL_F32 && isinf((float)exact) ? (float)exact : exact;
        const bool same = g == e || (isnan(g) && isnan(e)), finite = isfinite(g) && isfinite(e);
        const double error = same     ? 0
                             : finite ? fabs(g - e) / (of_largest ? base : base + near->rtol * fabs(e))
                                      : INFINITY;
        if (error > worst) worst = error, at = i;
    }
    u->seen[t - r->c->t] = true;
    if (worst <= u->verdict.worst) return;
    const double g = number_in(got, dtype, at), e = number_of(t, at);
    u->verdict.worst = worst;
    snprintf(u->worst, sizeof u->worst, "%s.%s, number %lld of %lld: got %.17g, expected %.17g, relative error %.2g",
             t->role, t->name, (long long)at, (long long)t->count, g, e, fabs(g - e) / fabs(e));
}

void expect(replay *r, const char *role, const char *name, const double *got, int64_t n)
{
    const fx_tensor *t = fx_get(r->c, role, name);
    if (t && t->count == n) compare(r, t, got, TL_F64);
    else fail(r, "%s.%s: %lld numbers, but %lld are expected", role, name, (long long)n, t ? (long long)t->count : 0LL);
}

tl_dtype replay_type(const replay *r) { return r->run->dtype; }

tl_model *start_model(replay *r) { return tl_model_copy(r->run->model, 0); }

void expect_params(replay *r, const tl_model *model)
{
    run *u = r->run;
    if (tl_model_count(model) != u->n_map)
        fail(r, "%d parameters, but the case has %d", tl_model_count(model), u->n_map);
    for (size_t k = 0; k < r->c->nt; k++) {
        const fx_tensor *t = &r->c->t[k];
        double *all = NULL;
        int64_t found = 0;
        for (int i = 0; i < u->n_map && !strcmp(t->role, "exp"); i++) {
            const mapping *m = &u->map[i];
            if (strcmp(m->par->name, t->name) || m->par->count != t->count) continue;
            if (!all) all = hold(u, (size_t)t->count * sizeof *all);
            tl_array a = { .dtype = TL_F64, .data = hold(u, (size_t)m->count * sizeof *all) };
            if (tl_model_get(model, m->path, &a)) fail(r, "%s: %s", m->path, tl_message());
            for (int64_t e = 0; e < m->count; e++) all[source(m, e)] = ((double *)a.data)[e];
            found += m->count;
        }
        if (all && found == t->count) compare(r, t, all, TL_F64);
    }
}

static bool goes_in(const fx_tensor *t)
{
    return !strcmp(t->role, "in") || !strcmp(t->role, "par") || !strcmp(t->role, "cot");
}

static bool same_shape(const fx_tensor *a, const fx_tensor *b)
{
    bool same = a->ndim == b->ndim;
    for (int k = 0; k < a->ndim && same; k++) same = a->dim[k] == b->dim[k];
    return same;
}

/* Gradients and cotangents have the shape of their tensors, and are of floats; a loss is one number; something is expected. */
static bool sound(replay *r)
{
    static const char *const pairs[][2] = { { "gin", "in" }, { "gpar", "par" }, { "cot", "out" } };
    bool expects = false;
    for (size_t k = 0; k < r->c->nt; k++) {
        const fx_tensor *t = &r->c->t[k];
        const char *role = NULL;
        for (int p = 0; p < COUNT(pairs); p++)
            if (!strcmp(t->role, pairs[p][0])) role = pairs[p][1];
        const fx_tensor *of = role ? fx_get(r->c, role, t->name) : NULL;
        if ((role && (!of || of->isint || t->isint || !same_shape(t, of))) ||
            (!strcmp(t->role, "loss") && t->count != 1))
            fail(r, "%s.%s does not have the shape of what it belongs to", t->role, t->name);
        expects |= !goes_in(t);
    }
    if (!expects) fail(r, "nothing is expected");
    return !*r->run->verdict.why;
}

/* What the run left against what the case expects, its shape first. */
static void compare_output(replay *r, const char *name)
{
    const fx_tensor *out = fx_get(r->c, "out", name), *t = out ? out : fx_get(r->c, "exp", name);
    tl_array a;
    if (!t || tl_get(r->run->session, text(r, "out/%s", name), &a)) {
        fail(r, "%s: %s", name, t ? tl_message() : "the case has no such result");
        return;
    }
    bool same = a.rank == t->ndim;
    for (int k = 0; k < t->ndim && same; k++) same = a.dim[k] == t->dim[k];
    if (same) compare(r, t, a.data, a.dtype);
    else
        fail(r, "%s.%s has another shape: rank %d [%lld, %lld, ...]", t->role, t->name, a.rank, (long long)a.dim[0],
             (long long)a.dim[1]);
}

/* Adds the run's gradients of inputs and parameters to those of the passes before. */
static void gather_gradients(replay *r)
{
    run *u = r->run;
    const tl_range *range;
    int ranges = 0;
    tl_array a;
    const void *g = tl_session_gradients(u->session, &range, &ranges);
    for (int k = 0; k < u->n_map; k++) {
        const mapping *m = &u->map[k];
        const tl_param_info *p = tl_model_param(u->model, tl_model_find(u->model, m->path));
        bool reached = false;
        for (int i = 0; p && i < ranges; i++) reached |= range[i].begin <= p->offset && p->offset < range[i].end;
        for (int64_t i = 0; m->gpar && reached && i < m->count; i++)
            u->grad[m->gpar - r->c->t][source(m, i)] += number_in(g, u->dtype, p->offset + i);
    }
    for (int k = 0; k < u->n_in; k++) {
        const fx_tensor *t = u->in[k].name ? fx_get(r->c, "gin", u->in[k].name) : NULL;
        if (!t) continue;
        const bool there = !tl_get(u->session, text(r, "gin/%s", t->name), &a);
        if (!there) fail(r, "gin.%s: %s", t->name, tl_message());
        for (int64_t i = 0; there && i < t->count; i++) u->grad[t - r->c->t][i] += number_in(a.data, u->dtype, i);
    }
}

/* After the last pass: loss and gradients; then nothing of the case may be left, nor may a parameter of the model. */
static void compare_sums(replay *r)
{
    run *u = r->run;
    for (size_t k = 0; k < r->c->nt; k++) {
        const fx_tensor *t = &r->c->t[k];
        if (u->grad[k]) compare(r, t, u->grad[k], TL_F64);
        if (!strcmp(t->role, "loss")) compare(r, t, &u->sum, TL_F64);
        if (!u->seen[k]) fail(r, "%s.%s is %s nothing", t->role, t->name, goes_in(t) ? "used by" : "compared with");
    }
    for (int i = 0; i < tl_model_count(u->model); i++) {
        const char *path = tl_model_param(u->model, i)->name;
        bool known = false;
        for (int k = 0; k < u->n_map; k++) known |= !strcmp(u->map[k].path, path);
        if (!known) fail(r, "parameter %s is none of the case's", path);
    }
}

/* ---- one case ------------------------------------------------------------------------------------------------------- */

/* Gradients of the loss by the inputs that have an expected one, and by all parameters. */
static void differentiate(replay *r)
{
    run *u = r->run;
    tl_tensor wrt[MOST], g[MOST];
    const char *name[MOST];
    int n = 0;
    if (tl_absent(u->loss)) return;
    tl_output(r->s, "loss", u->loss);
    for (int k = 0; k < u->n_in; k++)
        if (u->in[k].name && has(r, "gin", u->in[k].name)) wrt[n] = u->in[k].x, name[n++] = u->in[k].name;
    tl_grad(u->loss, wrt, n, g);
    for (int k = 0; k < n; k++) tl_output(tl_in(r->s, "gin"), name[k], g[k]);
    tl_backward(u->loss);
}

static void one_pass(replay *r)
{
    run *u = r->run;
    u->n_in = u->n_out = u->n_map = 0;
    u->loss = TL_NONE;
    tl_tape *tape = tl_tape_new(u->model, .training = fx_num(r->c, "training", 0) != 0);
    r->s = tl_root(tape);
    r->row->record(r);
    differentiate(r);
    tl_plan *plan = tl_compile(tape);
    const bool lossy = !tl_absent(u->loss);
    tl_tape_free(tape);
    if (!plan || tl_run(u->session, plan, u->fed, u->n_in)) fail(r, "%s", tl_message());
    else {
        for (int k = 0; k < u->n_out; k++) compare_output(r, u->out[k].name);
        if (lossy) u->sum += tl_get_scalar(u->session, "loss");
        if (lossy) gather_gradients(r);
    }
    tl_plan_free(plan);
}

verdict replay_case(const fx_case *c, const op_row *row, tl_dtype dtype, tolerance allowed)
{
    run u = { .dtype = dtype, .tolerance = allowed };
    replay r = { .c = c, .row = row, .passes = 1, .run = &u };
    u.model = tl_model_new(.dtype = dtype);
    u.session = tl_session_new(u.model);
    u.seen = hold(&u, c->nt * sizeof *u.seen);
    u.grad = hold(&u, c->nt * sizeof *u.grad);
    u.steep = 1;
    for (size_t k = 0; k < c->nt; k++)
        if (c->t[k].role[0] == 'g') {
            u.grad[k] = hold(&u, (size_t)c->t[k].count * sizeof **u.grad);
            u.steep = largest_of(&c->t[k], u.steep);
        }
    for (; sound(&r) && r.pass < r.passes; r.pass++) one_pass(&r);
    if (!*u.verdict.why) compare_sums(&r);
    if (u.verdict.worst > 1) fail(&r, "%s, %.2g times what is allowed", u.worst, u.verdict.worst);
    tl_session_free(u.session);
    tl_model_free(u.model);
    for (size_t k = 0; k < u.n_held; k++) free(u.held[k]);
    free(u.held);
    return u.verdict;
}
