/* layers/rnn.c - one step of a cell, and a cell unrolled over time. */
#include "layers/common.h"

#include <limits.h>
#include <stdio.h>

/* ---- one step --------------------------------------------------------------------------------------------------- */

static int states_of(tl_cell cell) { return cell.states > 0 ? cell.states : 1; }

static tl_tensor fail_states(tl_tensor error, tl_cell cell, tl_tensor *state)
{
    for (int k = 0; state && k < states_of(cell); k++) state[k] = error;
    return error;
}

static bool callable(tl_place at, tl_scope *s, const char *call, tl_cell cell, const tl_tensor *state)
{
    if (!cell.step) tl_error_at(at, s, TL_E_ARGUMENT, "%s: the cell has no .step", call);
    if (cell.states < 0) tl_error_at(at, s, TL_E_ARGUMENT, "%s: the cell's .states is negative", call);
    if (!state) tl_error_at(at, s, TL_E_ARGUMENT, "%s: no array of states", call);
    return cell.step && cell.states >= 0 && state && tl__well(s);
}

tl_tensor tl_call_at(tl_place at, tl_scope *s, tl_cell cell, tl_tensor x, tl_tensor *state)
{
    if (!callable(at, s, "tl_call", cell, state)) return fail_states(tl__failed(at, s), cell, state);
    const tl_place_mark m = tl_enter(at, s);
    const tl_tensor y = cell.step(s, x, state, cell.ctx);
    tl_leave(s, m);
    return tl__well(s) ? y : fail_states(tl__failed(at, s), cell, state);
}

tl_tensor(tl_call)(tl_scope *s, tl_cell cell, tl_tensor x, tl_tensor *state)
{
    return tl_call_at(TL_NOWHERE, s, cell, x, state);
}

/* Zeros [B, units] for every state. */
static void start_zero(tl_place at, tl_scope *s, tl_cell cell, tl_tensor x, int64_t units, tl_tensor *state)
{
    if (!tl__size(at, s, "tl_start", ".units", units) || !tl__operand(at, s, "tl_start", "x", x, 1)) return;
    for (int k = 0; k < states_of(cell); k++) state[k] = tl_full(s, TL_DIMS(tl_dim(x, 0), units), 0);
}

void tl_start_at(tl_place at, tl_scope *s, tl_cell cell, tl_tensor x, int64_t units, tl_tensor *state)
{
    if (!callable(at, s, "tl_start", cell, state)) {
        fail_states(tl__failed(at, s), cell, state);
        return;
    }
    const tl_place_mark m = tl_enter(at, s);
    for (int k = 0; k < states_of(cell); k++) state[k] = TL_NONE;
    if (cell.start) cell.start(s, x, units, state, cell.ctx);
    else start_zero(at, s, cell, x, units, state);
    for (int k = 0; k < states_of(cell); k++)
        if (tl_absent(state[k])) tl_error_at(at, s, TL_E_ABSENT, "tl_start: the cell's .start left state %d absent", k);
    tl_leave(s, m);
    if (!tl__well(s)) fail_states(tl__failed(at, s), cell, state);
}

void(tl_start)(tl_scope *s, tl_cell cell, tl_tensor x, int64_t units, tl_tensor *state)
{
    tl_start_at(TL_NOWHERE, s, cell, x, units, state);
}

/* ---- all steps -------------------------------------------------------------------------------------------------- */

typedef struct unrolling {
    tl_place at;
    tl_scope *s;
    tl_tensor x;
    tl_cell cell;
    const tl_rnn_opts *o;
    int n; /* states */
    int64_t T, B;
    tl_tensor *state, *first, *y;
} unrolling;

static bool accepts(const unrolling *u)
{
    const tl_tensor reset = u->o->reset;
    if (!callable(u->at, u->s, "rnn", u->cell, u->state)) return false;
    if (!tl__operand(u->at, u->s, "rnn", "x", u->x, 2)) return false;
    if (u->T < 1 || u->T > INT_MAX)
        tl_error_at(u->at, u->s, TL_E_SHAPE, "rnn: x %s has %s", tl__print_shape(u->x).s,
                    u->T < 1 ? "no time steps" : "too many time steps");
    if (u->o->units < 0) tl__size(u->at, u->s, "rnn", ".units", u->o->units);
    if (!tl_absent(reset) && tl__operand(u->at, u->s, "rnn", ".reset", reset, 2) &&
        (tl_rank(reset) != 2 || tl_dim(reset, 0) != u->T || tl_dim(reset, 1) != u->B))
        tl_error_at(u->at, u->s, TL_E_SHAPE, "rnn: .reset %s is not [T, B] of x %s", tl__print_shape(reset).s,
                    tl__print_shape(u->x).s);
    return tl__well(u->s);
}

static const char *state_name(char out[static 24], int k)
{
    snprintf(out, 24, "state%d", k);
    return out;
}

/* The states that rows start from: those given, and the cell's own for those that are not. */
static void first_states(unrolling *u, tl_tensor x)
{
    int given = 0;
    int64_t units = u->o->units;
    for (int k = 0; u->o->initial && k < u->n; k++) {
        u->first[k] = u->o->initial[k];
        if (tl_absent(u->first[k])) continue;
        if (!units) units = tl_dim(u->first[k], -1);
        given++;
    }
    if (given == u->n) return;
    tl_start_at(u->at, u->s, u->cell, x, units, u->state);
    for (int k = 0; k < u->n; k++)
        if (tl_absent(u->first[k])) u->first[k] = u->state[k];
}

/* The states before the first step: carried over from the last run where they are. */
static void begin(unrolling *u, tl_tensor x)
{
    char name[24];
    first_states(u, x);
    for (int k = 0; k < u->n; k++) {
        const tl_tensor first = u->first[k];
        if (tl__operand(u->at, u->s, "rnn", "an initial state", first, 1) && tl_dim(first, 0) != u->B)
            tl_error_at(u->at, u->s, TL_E_SHAPE, "rnn: initial state %d is %s, but x %s has %lld rows", k,
                        tl__print_shape(first).s, tl__print_shape(u->x).s, (long long)u->B);
        u->state[k] = u->o->stateful ? tl_state(u->s, state_name(name, k), first) : first;
    }
}

/* Rows whose reset [B] is not zero start afresh. */
static void restart(unrolling *u, tl_tensor reset)
{
    for (int k = 0; k < u->n; k++) {
        int64_t dim[TL_MAX_RANK] = { u->B, 1, 1, 1, 1, 1 };
        const int rank = tl_rank(u->state[k]);
        u->state[k] = tl_where(tl_reshape(reset, rank > 0 ? rank : 1, dim), u->first[k], u->state[k]);
    }
}

static void steps(unrolling *u)
{
    for (int64_t i = 0; i < u->T && tl__well(u->s); i++) {
        const int64_t t = u->o->go_backwards ? u->T - 1 - i : i;
        const tl_place_mark m = tl_enter(u->at, u->s);
        tl_scope *step = tl_step(u->s, t);
        const tl_tensor x = tl_at(u->x, t);
        if (!i) begin(u, x);
        if (!tl_absent(u->o->reset)) restart(u, tl_at(u->o->reset, t));
        u->y[i] = tl_call(step, u->cell, x, u->state);
        tl_leave(u->s, m);
    }
}

static tl_tensor unroll(unrolling *u)
{
    char name[24];
    u->state = tl_scope_copy(u->s, NULL, (size_t)u->n * sizeof *u->state);
    u->first = tl_scope_copy(u->s, NULL, (size_t)u->n * sizeof *u->first);
    if (u->state && u->first && accepts(u)) u->y = tl_scope_copy(u->s, NULL, (size_t)u->T * sizeof *u->y);
    if (!u->y) return tl__failed(u->at, u->s);
    steps(u);
    for (int k = 0; k < u->n && u->o->stateful; k++) tl_next(u->s, state_name(name, k), u->state[k]);
    const tl_tensor y = u->o->return_sequences ? tl_stack((int)u->T, u->y, 0) : u->y[u->T - 1];
    return tl__well(u->s) ? y : tl__failed(u->at, u->s);
}

static tl_tensor rnn(tl_place at, tl_scope *s, tl_tensor x, tl_cell cell, const tl_rnn_opts *o)
{
    unrolling u = {
        .at = at, .s = s, .x = x, .cell = cell, .o = o, .n = states_of(cell), .T = tl_dim(x, 0), .B = tl_dim(x, 1)
    };
    const tl_tensor y = unroll(&u);
    const bool well = u.y && tl__well(s);
    for (int k = 0; o->final && k < u.n; k++) o->final[k] = well ? u.state[k] : y;
    for (int64_t i = 0; o->each && i < u.T; i++) o->each[i] = well ? u.y[i] : y;
    return y;
}

static tl_tensor named(tl_place at, tl_scope *s, tl_tensor x, tl_cell cell, const tl_rnn_opts *given, const char *name)
{
    tl_rnn_opts o;
    const tl_place_mark m = tl_enter(at, s);
    const bool taken = tl__options(at, s, "rnn", &o, sizeof o, given); /* if not, error handles are still written */
    const tl_tensor y = rnn(at, taken ? tl__inside(at, s, o.name ? o.name : name) : s, x, cell, &o);
    tl_leave(s, m);
    return y;
}

tl_tensor tl_rnn_opt(tl_place at, tl_scope *s, tl_tensor x, tl_cell cell, const tl_rnn_opts *o)
{
    return named(at, s, x, cell, o, "rnn");
}

tl_tensor tl_simple_rnn_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_rnn_opts *o)
{
    return named(at, s, x, tl_simple_rnn_cell_opt(at, s, NULL), o, "simple_rnn");
}

tl_tensor tl_lstm_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_rnn_opts *o)
{
    return named(at, s, x, tl_lstm_cell_opt(at, s, NULL), o, "lstm");
}

tl_tensor tl_gru_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_rnn_opts *o)
{
    return named(at, s, x, tl_gru_cell_opt(at, s, NULL), o, "gru");
}
