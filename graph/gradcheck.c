/* graph/gradcheck.c - is the recorded gradient the function's own? Compared with differences, in f64, on a copy.
 *
 * Every parameter, every float input if asked for, and every use of a parameter in a time step (through a zero that is
 * added to it there) is a *variable*. Along random directions v (or one element at a time) the derivative of the loss
 * by a fourth-order difference is held against <gradient, v>.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/tape.h"

typedef struct tl_variable {
    const char *path;
    int64_t step; /* -1: the parameter or input as a whole */
    int64_t size;
    double *x; /* its numbers, where a run reads them */
    double *gradient;
    double scale; /* of the parameter's values: what a small step is */
    tl_tensor handle;
    int param; /* its number in the model; -1: it has memory of its own */
} tl_variable;

typedef struct tl_checker {
    tl_probe probe; /* first: the tape calls back through it */
    const tl_gradcheck_opts *o;
    tl_gradcheck_result *result;
    tl_model *model;
    tl_tape *tape;
    tl_session *session;
    tl_plan *value_plan, *gradient_plan;
    tl_array *input; /* as fed: the caller's, converted, then the zeros of each step */
    uint32_t n_input, cap_input;
    tl_variable *variable;
    uint32_t n_variable, cap_variable;
    tl_arena memory;
    tl_random random;
    double *direction;
    int64_t cap_direction;
    bool worst_failed;
} tl_checker;

static tl_status no_memory(void) { return tl_report(TL_E_MEMORY, "tl_gradcheck: out of memory"); }

/* ---- inputs and variables ------------------------------------------------------------------------------------- */

static tl_variable *add_variable(tl_checker *c, tl_variable v)
{
    if (!TL_GROW(c->variable, c->n_variable, c->cap_variable)) return NULL;
    c->variable[c->n_variable] = v;
    return &c->variable[c->n_variable++];
}

static bool add_input(tl_checker *c, const tl_array *a)
{
    if (!TL_GROW(c->input, c->n_input, c->cap_input)) return false;
    c->input[c->n_input++] = *a;
    return true;
}

/* A float array in f64; ids stay as they are. */
static bool convert(tl_checker *c, tl_array *a)
{
    if (a->rank < 0 || a->dtype == TL_I32) return true;
    int64_t n = 1;
    for (int i = 0; i < a->rank; i++) n *= a->dim[i];
    double *x = tl_arena_alloc(&c->memory, (size_t)n * sizeof *x + 1);
    for (int64_t i = 0; x && a->data && i < n; i++) x[i] = tl_read(a->data, a->dtype, i);
    a->data = x;
    a->dtype = TL_F64;
    return x != NULL;
}

static double rms(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
    return n ? sqrt(sum / (double)n) : 0;
}

static int64_t step_of(const tl_visit *v)
{
    for (; v; v = v->parent)
        if (v->kind == TL_VISIT_STEP) return v->index;
    return -1;
}

static tl_tensor both(tl_op_role role, tl_tensor a, tl_tensor b)
{
    return tl_apply(tl_op_of_role(role), (tl_tensor[]){ a, b }, 2, NULL);
}

/* A parameter used in a step becomes parameter + zero; the zero's gradient is that step's own contribution. */
static tl_tensor use_in_step(tl_probe *probe, tl_scope *s, tl_tensor param, const char *path)
{
    tl_checker *c = (tl_checker *)probe;
    const int64_t step = step_of(s->visit);
    if (step < 0) return param;
    const tl_shape shape = tl_shape_of(param);
    const int64_t n = tl_shape_size(&shape);
    tl_array zero = { .dtype = TL_F64, .rank = shape.rank };
    memcpy(zero.dim, shape.dim, sizeof zero.dim);
    zero.data = tl_arena_alloc(&c->memory, (size_t)n * sizeof(double) + 1);
    if (!zero.data || !add_input(c, &zero)) return tl_no_memory(s->tape);
    c->tape->probe = NULL;
    const tl_tensor delta = tl_input(&c->tape->root, "delta", zero);
    const tl_variable v = {
        .path = path, .step = step, .size = n, .x = zero.data, .scale = 1, .handle = delta, .param = -1
    };
    if (!add_variable(c, v)) return tl_no_memory(s->tape);
    c->tape->probe = probe;
    return both(TL_ROLE_ADD, param, delta);
}

static bool add_parameters(tl_checker *c)
{
    const tl_tape *t = c->tape;
    for (uint32_t i = 0; i < t->n_param; i++) {
        const tl_tape_param *p = &t->param[i];
        const tl_variable v = { .path = p->path,
                                .step = -1,
                                .size = tl_shape_size(&p->shape),
                                .handle = tl_handle(c->tape, p->id),
                                .param = (int)i };
        if (!p->frozen && !add_variable(c, v)) return false;
    }
    return true;
}

static bool add_float_inputs(tl_checker *c, const tl_tensor *in, int n)
{
    for (int i = 0, k = 0; c->o->inputs && i < n; i++) {
        if (tl_absent(in[i])) continue;
        const tl_array *a = &c->input[k++];
        if (a->dtype == TL_I32) continue;
        tl_variable v = { .path = c->tape->input_name[k - 1],
                          .step = -1,
                          .size = tl_size(in[i]),
                          .x = a->data,
                          .handle = in[i],
                          .param = -1 };
        if (!add_variable(c, v)) return false;
    }
    return true;
}

/* ---- recording ------------------------------------------------------------------------------------------------ */

/* For second order: a random projection of the first gradient takes the place of the loss. */
static tl_tensor project_gradient(tl_checker *c, tl_tensor loss)
{
    const tl_tape *t = c->tape;
    tl_tensor sum = TL_NONE;
    for (uint32_t i = 0; i < t->n_param; i++) {
        if (t->param[i].frozen) continue;
        tl_tensor g;
        const tl_tensor p = tl_handle(c->tape, t->param[i].id);
        tl_grad(loss, &p, 1, &g);
        double *u = tl_arena_alloc(&c->memory, (size_t)tl_size(g) * sizeof *u + 1);
        if (!u) return tl_no_memory(c->tape);
        for (int64_t k = 0; k < tl_size(g); k++) u[k] = tl_random_next_normal(&c->random);
        const tl_shape shape = tl_shape_of(g);
        const tl_tensor w = tl_const(&c->tape->root, shape.rank, shape.dim, u);
        const tl_tensor dot = tl_summed(both(TL_ROLE_MUL, w, g));
        sum = tl_absent(sum) ? dot : both(TL_ROLE_ADD, sum, dot);
    }
    return tl_absent(sum) ? loss : sum;
}

static tl_status record_gradients(tl_checker *c, tl_tensor loss)
{
    tl_tensor *wrt = tl_arena_alloc(&c->memory, 2 * (c->n_variable + 1) * sizeof *wrt), *g = wrt + c->n_variable;
    if (!wrt) return no_memory();
    for (uint32_t i = 0; i < c->n_variable; i++) wrt[i] = c->variable[i].handle;
    tl_grad(loss, wrt, (int)c->n_variable, g);
    for (uint32_t i = 0; i < c->n_variable; i++) {
        char name[32];
        snprintf(name, sizeof name, "gradient %u", i);
        tl_output(&c->tape->root, name, g[i]);
    }
    c->gradient_plan = tl_compile(c->tape);
    return c->gradient_plan ? TL_OK : tl_tape_status(c->tape);
}

static tl_status record(tl_checker *c, tl_model_fn fn, const tl_array *inputs, int n, void *user, bool second)
{
    tl_scope *root = tl_root(c->tape);
    tl_tensor *in = tl_arena_alloc(&c->memory,
                                   ((size_t)n + TL_SPARE_INPUTS) * sizeof *in); /* those not given: absent */
    if (!in) return no_memory();
    for (int i = 0; i < n; i++) {
        tl_array a = inputs[i];
        in[i] = TL_NONE;
        if (a.rank < 0) continue;
        if (!convert(c, &a) || !add_input(c, &a)) return no_memory();
        char name[32];
        snprintf(name, sizeof name, "input %d", i);
        in[i] = tl_input(root, name, a);
    }
    c->tape->probe = c->o->no_steps || second ? NULL : &c->probe; /* the second order would cost steps times steps */
    tl_tensor loss = tl_total_loss(root, fn(root, in, user));
    c->tape->probe = NULL;
    if (tl_absent(loss) && !c->tape->status)
        return tl_report(TL_E_ARGUMENT, "tl_gradcheck: the model function returned no loss (are the targets absent?)");
    if (second) loss = project_gradient(c, loss);
    tl_output(root, "tl_gradcheck loss", loss);
    if (!c->tape->status && (!add_parameters(c) || !add_float_inputs(c, in, n))) return no_memory();
    if (c->tape->status) return tl_tape_status(c->tape);
    c->value_plan = tl_compile(c->tape);
    if (!c->value_plan) return tl_tape_status(c->tape);
    return record_gradients(c, loss);
}

/* ---- running -------------------------------------------------------------------------------------------------- */

static tl_status loss_now(tl_checker *c, double *loss)
{
    tl_model_touch(c->model); /* a parameter may have been moved, or put back */
    const tl_status status = tl_run(c->session, c->value_plan, c->input, (int)c->n_input);
    tl_array a;
    *loss = NAN;
    if (status || tl_get(c->session, "tl_gradcheck loss", &a)) return status;
    int64_t n = 1;
    for (int i = 0; i < a.rank; i++) n *= a.dim[i];
    *loss = 0;
    for (int64_t i = 0; i < n; i++) *loss += tl_read(a.data, a.dtype, i);
    return TL_OK;
}

static tl_status read_gradients(tl_checker *c)
{
    const tl_status status = tl_run(c->session, c->gradient_plan, c->input, (int)c->n_input);
    if (status) return status;
    int64_t largest = 1;
    for (uint32_t i = 0; i < c->n_variable; i++) {
        tl_variable *v = &c->variable[i];
        char name[32];
        tl_array a;
        snprintf(name, sizeof name, "gradient %u", i);
        if (tl_get(c->session, name, &a)) return TL_E_OUTPUT;
        v->gradient = tl_arena_alloc(&c->memory, (size_t)v->size * sizeof(double) + 1);
        if (!v->gradient) return no_memory();
        memcpy(v->gradient, a.data, (size_t)v->size * sizeof(double));
        if (v->param >= 0) v->x = (double *)c->model->values + c->model->param[c->tape->param[v->param].index].offset;
        if (v->step < 0) v->scale = fmax(rms(v->x, v->size), 1e-2);
        if (v->size > largest) largest = v->size;
    }
    c->direction = tl_arena_alloc(&c->memory, 2 * (size_t)largest * sizeof(double));
    return c->direction ? TL_OK : no_memory();
}

/* The loss with variable v moved h along the direction; v is put back to the bit. */
static tl_status loss_at(tl_checker *c, const tl_variable *v, double h, double *loss)
{
    double *saved = c->direction + v->size;
    memcpy(saved, v->x, (size_t)v->size * sizeof(double));
    for (int64_t i = 0; i < v->size; i++) v->x[i] += h * c->direction[i];
    const tl_status status = loss_now(c, loss);
    memcpy(v->x, saved, (size_t)v->size * sizeof(double));
    return status;
}

/* ---- comparing ------------------------------------------------------------------------------------------------ */

typedef struct tl_difference {
    double numeric;     /* fourth order, both sides */
    double left, right; /* second order, one side each */
    double noise;       /* what rounding of the loss alone can do to them */
} tl_difference;

static tl_status difference(tl_checker *c, const tl_variable *v, double h, double centre, tl_difference *d)
{
    double f[5] = { [2] = centre }, largest = fabs(centre);
    for (int k = -2; k <= 2; k++) {
        const tl_status status = k ? loss_at(c, v, k * h, &f[k + 2]) : TL_OK;
        if (status) return status;
        largest = fmax(largest, fabs(f[k + 2]));
    }
    d->numeric = (8 * (f[3] - f[1]) - (f[4] - f[0])) / (12 * h);
    d->right = (-3 * f[2] + 4 * f[3] - f[4]) / (2 * h);
    d->left = (3 * f[2] - 4 * f[1] + f[0]) / (2 * h);
    d->noise = 64 * DBL_EPSILON * fmax(largest, 1e-3) / h;
    return TL_OK;
}

typedef enum tl_verdict { TL_AGREES, TL_KINK, TL_DIFFERS } tl_verdict;

/* Agreement at the first step size, or at a smaller one if a kink lies near; a kink that stays at every size lies at
 * the very point, and there the gradient must be one of those between its sides. At a jump the differences grow as the
 * step shrinks: there is no gradient to hold anything against, which counts as a kink. */
static tl_status judge(tl_checker *c, const tl_variable *v, double centre, double analytic, double size,
                       tl_verdict *verdict, tl_difference *shown)
{
    const double rtol = tl_number(c->o->rtol, 1e-6), atol = tl_number(c->o->atol, 1e-9);
    double h = tl_number(c->o->step, 1e-4) * v->scale, before = 0;
    bool kinked = true, jumps = true;
    *verdict = TL_DIFFERS;
    for (int attempt = 0; attempt < 4; attempt++, h /= 16) {
        tl_difference d;
        const tl_status status = difference(c, v, h, centre, &d);
        if (status) return status;
        const double s = fmax(size, fmax(fabs(d.numeric), fabs(analytic)));
        const double slack = 1e-3 * s + 16 * d.noise + atol;
        if (attempt) jumps &= fabs(d.numeric) > 8 * before;
        if (!kinked && !jumps) return TL_OK;                                         /* smooth, and yet it differs */
        const bool agrees = fabs(d.numeric - analytic) <= atol + rtol * s + d.noise; /* false for NaN */
        if (!attempt || agrees) *shown = d;
        if (kinked && agrees) *verdict = TL_AGREES;
        if (*verdict == TL_AGREES) return TL_OK;
        kinked &= fabs(d.left - d.right) > slack;
        before = fabs(d.numeric);
        const bool between = analytic >= fmin(d.left, d.right) - slack && analytic <= fmax(d.left, d.right) + slack;
        if (attempt == 3 && (jumps || (kinked && between))) *verdict = TL_KINK;
    }
    return TL_OK;
}

static void note_worst(tl_checker *c, const tl_variable *v, int64_t element, const tl_difference *d, double analytic,
                       double size, bool failed)
{
    tl_gradcheck_result *r = c->result;
    const double rtol = tl_number(c->o->rtol, 1e-6), floor = rtol > 0 ? tl_number(c->o->atol, 1e-9) / rtol : 0;
    const double s = fmax(fmax(size, floor), fmax(fabs(d->numeric), fabs(analytic)));
    double error = fabs(d->numeric - analytic) / (s > 0 ? s : 1);
    if (isnan(error)) error = INFINITY;
    const bool more_exact = failed && c->worst_failed && v->step >= 0 && r->step < 0;
    if (failed < c->worst_failed || (failed == c->worst_failed && !more_exact && error <= r->worst)) return;
    if (failed && c->worst_failed && v->step < 0 && r->step >= 0) return;
    c->worst_failed |= failed;
    r->worst = error;
    r->element = element;
    r->step = v->step;
    r->numeric = d->numeric;
    r->analytic = analytic;
    snprintf(r->parameter, sizeof r->parameter, "%s", v->path);
}

/* One comparison along c->direction. element -1: a projection. */
static tl_status probe_once(tl_checker *c, const tl_variable *v, double centre, int64_t element, bool *failed)
{
    double analytic = 0, square = 0;
    for (int64_t i = 0; i < v->size; i++) {
        const double p = v->gradient[i] * c->direction[i];
        analytic += p;
        square += p * p;
    }
    tl_verdict verdict;
    tl_difference d = { 0, 0, 0, 0 };
    const tl_status status = judge(c, v, centre, analytic, sqrt(square), &verdict, &d);
    if (status) return status;
    c->result->probes++;
    c->result->kinks += verdict == TL_KINK;
    if (verdict != TL_KINK) note_worst(c, v, element, &d, analytic, sqrt(square), verdict == TL_DIFFERS);
    *failed = verdict == TL_DIFFERS;
    return TL_OK;
}

static tl_status check_elements(tl_checker *c, const tl_variable *v, double centre, bool *failed)
{
    for (int64_t i = 0; i < v->size; i++) {
        bool bad;
        memset(c->direction, 0, (size_t)v->size * sizeof(double));
        c->direction[i] = 1;
        const tl_status status = probe_once(c, v, centre, i, &bad);
        if (status) return status;
        *failed |= bad;
    }
    return TL_OK;
}

enum { SEARCH = 2048 }; /* a failing variable of up to so many elements is searched for the worst one */

static tl_status check_variable(tl_checker *c, const tl_variable *v, double centre, bool *failed)
{
    if (c->o->full) return check_elements(c, v, centre, failed);
    const int n = c->o->directions > 0 ? c->o->directions : 3;
    bool mine = false;
    for (int k = 0; k < n && !mine; k++) {
        for (int64_t i = 0; i < v->size; i++) c->direction[i] = tl_random_next_normal(&c->random);
        const tl_status status = probe_once(c, v, centre, -1, &mine);
        if (status) return status;
    }
    *failed |= mine;
    if (!mine || v->size > SEARCH) return TL_OK;
    const tl_gradcheck_result projection = *c->result;
    bool found = false;
    if (!(v->step < 0 && c->result->step >= 0)) c->result->worst = 0; /* an element tells more than a projection */
    const tl_status status = check_elements(c, v, centre, &found);
    if (!found) {
        const int probes = c->result->probes;
        *c->result = projection; /* too little in each of them, enough in all */
        c->result->probes = probes;
    }
    return status;
}

static tl_status check_all(tl_checker *c, bool *failed)
{
    tl_status status = read_gradients(c);
    double centre = NAN;
    if (!status) status = loss_now(c, &centre);
    if (!status && !isfinite(centre)) return tl_report(TL_E_NONFINITE, "tl_gradcheck: the loss itself is %g", centre);
    for (uint32_t i = 0; !status && i < c->n_variable; i++)
        if (c->variable[i].size) status = check_variable(c, &c->variable[i], centre, failed);
    return status;
}

/* ---- the call ------------------------------------------------------------------------------------------------- */

static void dismantle(tl_checker *c)
{
    tl_plan_free(c->value_plan);
    tl_plan_free(c->gradient_plan);
    tl_session_free(c->session);
    tl_tape_free(c->tape);
    tl_model_free(c->model);
    TL_RELEASE(c->input, c->cap_input);
    TL_RELEASE(c->variable, c->cap_variable);
    tl_arena_free(&c->memory);
}

static tl_status check(const tl_model *model, tl_model_fn fn, const tl_array *inputs, int n, void *user,
                       const tl_gradcheck_opts *o, bool second, tl_gradcheck_result *r, bool *failed)
{
    tl_checker c = { .probe = { use_in_step }, .o = o, .result = r, .random = { .key = tl_mix(o->seed, 0x67726164) } };
    c.worst_failed = *failed;
    c.model = tl_model_copy(model, TL_F64);
    c.session = c.model ? tl_session_new(c.model) : NULL;
    c.tape = c.session ? tl_tape_new_opt(c.model, &(tl_tape_opts){ sizeof(tl_tape_opts), o->training, c.session })
                       : NULL;
    tl_status status = c.tape ? TL_OK : TL_E_MEMORY;
    if (!status) {
        tl_session_hold(c.session, true);
        status = record(&c, fn, inputs, n, user, second);
    }
    if (!status) status = check_all(&c, failed);
    dismantle(&c);
    return status;
}

static void describe(tl_gradcheck_result *r)
{
    int n = snprintf(r->where, sizeof r->where, "%s", r->parameter);
    const size_t room = sizeof r->where;
    if (r->element >= 0 && (size_t)n < room)
        n += snprintf(r->where + n, room - (size_t)n, ", element %lld", (long long)r->element);
    if (r->step >= 0 && (size_t)n < room)
        snprintf(r->where + n, room - (size_t)n, ", at step %lld", (long long)r->step);
}

static tl_status check_options(const tl_gradcheck_opts *o, const tl_array *inputs, int n)
{
    const double positive[] = { o->rtol, o->atol, o->step };
    static const char *const name[] = { "rtol", "atol", "step" };
    for (int i = 0; i < 3; i++)
        if (!(tl_number(positive[i], 0) >= 0))
            return tl_report(TL_E_ARGUMENT, "tl_gradcheck: .%s may not be %g", name[i], positive[i]);
    if (o->step == TL_ZERO || o->directions < 0)
        return tl_report(TL_E_ARGUMENT, "tl_gradcheck: .step and .directions must be above zero");
    for (int i = 0; i < n; i++) {
        if (inputs[i].rank < 0) continue;
        if (!tl_shape_valid(inputs[i].rank, inputs[i].dim))
            return tl_report(TL_E_INPUT, "tl_gradcheck: input %d: the rank or a dimension makes no sense", i);
        int64_t size = 1;
        for (int a = 0; a < inputs[i].rank; a++) size *= inputs[i].dim[a];
        if (!inputs[i].data && size)
            return tl_report(TL_E_INPUT, "tl_gradcheck: input %d has no numbers: its .data is NULL", i);
    }
    return TL_OK;
}

tl_gradcheck_result tl_gradcheck_opt(const tl_model *model, tl_model_fn fn, const tl_array *inputs, int n, void *user,
                                     const tl_gradcheck_opts *o)
{
    static const tl_gradcheck_opts defaults = { .size = sizeof defaults };
    tl_gradcheck_result r = { .element = -1, .step = -1 };
    bool failed = false;
    if (!o) o = &defaults;
    if (!model || !fn || n < 0 || (n && !inputs))
        r.status = tl_report(TL_E_ARGUMENT, "tl_gradcheck: a model, a function and its inputs are needed");
    if (!r.status) r.status = check_options(o, inputs, n);
    if (!r.status) r.status = check(model, fn, inputs, n, user, o, false, &r, &failed);
    if (!r.status && o->second_order) r.status = check(model, fn, inputs, n, user, o, true, &r, &failed);
    describe(&r);
    if (!r.status && failed)
        r.status = tl_report(TL_E_CHECK,
                             "the gradient of %s is wrong: by differences %.10g, recorded %.10g (relative error %.2g)",
                             r.where, r.numeric, r.analytic, r.worst);
    if (!r.status && !r.probes)
        r.status = tl_report(TL_E_CHECK, "tl_gradcheck: there is nothing to check (no parameters)");
    r.passed = !r.status;
    return r;
}
