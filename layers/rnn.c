/* layers/rnn.c - one step of a cell, and a cell unrolled over time. */
#include "layers/wrap.h"

#include <limits.h>
#include <stdio.h>

/* ---- one step --------------------------------------------------------------------------------------------------- */

static tl_tensor fail_states(tl_tensor error, tl_cell cell, tl_tensor *state)
{
    for (int k = 0; state && k < tl__states(cell); k++) state[k] = error;
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
    if (tl_absent(y)) tl_error_at(at, s, TL_E_ABSENT, "tl_call: the cell's .step returned no output (TL_NONE)");
    for (int k = 0; k < tl__states(cell); k++)
        if (tl_absent(state[k])) tl_error_at(at, s, TL_E_ABSENT, "tl_call: the cell's .step left state %d absent", k);
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
    for (int k = 0; k < tl__states(cell); k++) state[k] = tl_full(s, TL_DIMS(tl_dim(x, 0), units), 0);
}

void tl_start_at(tl_place at, tl_scope *s, tl_cell cell, tl_tensor x, int64_t units, tl_tensor *state)
{
    if (!callable(at, s, "tl_start", cell, state)) {
        fail_states(tl__failed(at, s), cell, state);
        return;
    }
    const tl_place_mark m = tl_enter(at, s);
    for (int k = 0; k < tl__states(cell); k++) state[k] = TL_NONE;
    if (cell.start) cell.start(s, x, units, state, cell.ctx);
    else start_zero(at, s, cell, x, units, state);
    for (int k = 0; k < tl__states(cell); k++)
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
    tl_tensor mask, lengths, reset; /* [T, B], i32 [B], [T, B]; TL_NONE: all steps count, no row starts afresh */
    tl_tensor zero;                 /* a scalar, if there is a mask */
    tl_tensor *state, *first, *old, *y;
} unrolling;

/* Is a [T, B] of x? */
static bool by_steps(const unrolling *u, const char *what, tl_tensor a)
{
    if (tl_absent(a) || !tl__operand(u->at, u->s, "rnn", what, a, 2)) return tl__well(u->s);
    if (tl_rank(a) == 2 && tl_dim(a, 0) == u->T && tl_dim(a, 1) == u->B) return true;
    tl_error_at(u->at, u->s, TL_E_SHAPE, "rnn: %s %s is not [T, B] of x %s", what, tl__print_shape(a).s,
                tl__print_shape(u->x).s);
    return false;
}

static bool by_rows(const unrolling *u, tl_tensor lengths)
{
    if (tl_absent(lengths) || !tl__operand(u->at, u->s, "rnn", ".lengths", lengths, 1)) return tl__well(u->s);
    if (tl_rank(lengths) == 1 && tl_dim(lengths, 0) == u->B && tl_dtype_of(lengths) == TL_I32) return true;
    tl_error_at(u->at, u->s, TL_E_SHAPE, "rnn: .lengths %s is not i32 [B] of x %s", tl__print_shape(lengths).s,
                tl__print_shape(u->x).s);
    return false;
}

static bool accepts(const unrolling *u)
{
    const tl_rnn_opts *o = u->o;
    if (!callable(u->at, u->s, "rnn", u->cell, u->state)) return false;
    if (!tl__operand(u->at, u->s, "rnn", "x", u->x, 2)) return false;
    if (u->T < 1 || u->T > INT_MAX)
        tl_error_at(u->at, u->s, TL_E_SHAPE, "rnn: x %s has %s", tl__print_shape(u->x).s,
                    u->T < 1 ? "no time steps" : "too many time steps");
    if (o->units < 0) tl__size(u->at, u->s, "rnn", ".units", o->units);
    if (o->truncate < 0) tl__size(u->at, u->s, "rnn", ".truncate", o->truncate);
    if (!tl_absent(o->mask) && !tl_absent(o->lengths))
        tl_error_at(u->at, u->s, TL_E_ARGUMENT, "rnn: .mask and .lengths are both given");
    return by_steps(u, ".reset", o->reset) && by_steps(u, ".mask", o->mask) && by_rows(u, o->lengths) && tl__well(u->s);
}

/* Which steps are padding: what the options say, else what x carries. Lengths that run backwards do so within each
 * row. */
static void pad(unrolling *u)
{
    u->mask = u->o->mask;
    u->lengths = u->o->lengths;
    u->reset = u->o->reset;
    if (tl_absent(u->mask) && tl_absent(u->lengths)) {
        const tl_tensor carried = tl_mask_of(u->x);
        *(tl_rank(carried) == 1 ? &u->lengths : &u->mask) = carried;
    }
    if (!tl_absent(u->lengths)) {
        u->mask = tl_length_mask(u->lengths, u->T);
        if (u->o->go_backwards) u->x = tl_reverse_sequence(u->x, u->lengths);
        if (u->o->go_backwards && !tl_absent(u->reset)) u->reset = tl_reverse_sequence(u->reset, u->lengths);
    }
    if (tl_absent(u->mask)) return;
    u->zero = tl_full(u->s, TL_SCALAR, 0);
    /* Not even a NaN in the padding finds its way into a gradient. */
    if (tl_dtype_of(u->x) != TL_I32) u->x = tl__where_rows(u->mask, u->x, u->zero);
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

/* The number of the step that is made as the i-th. */
static int64_t step_number(const unrolling *u, int64_t i)
{
    const bool descends = u->o->go_backwards && tl_absent(u->lengths);
    return descends ? u->T - 1 - i : i;
}

/* What is held must be rows of the batch, and of one shape. */
static bool can_hold(const unrolling *u, tl_tensor y)
{
    for (int k = 0; k < u->n && tl__well(u->s); k++)
        if (!tl__same_shape(u->state[k], u->old[k]))
            tl_error_at(u->at, u->s, TL_E_SHAPE,
                        "rnn: under a mask a state keeps its shape, but the cell made state %d %s of %s", k,
                        tl__print_shape(u->state[k]).s, tl__print_shape(u->old[k]).s);
    if (tl__well(u->s) && (tl_rank(y) < 1 || tl_dim(y, 0) != u->B))
        tl_error_at(u->at, u->s, TL_E_SHAPE,
                    "rnn: under a mask a cell's output has a row for each of the batch's %lld, not %s", (long long)u->B,
                    tl__print_shape(y).s);
    return tl__well(u->s);
}

/* At a padded step (where m [B] is 0) states keep their values. */
static tl_tensor hold(const unrolling *u, tl_tensor m, tl_tensor y)
{
    if (!can_hold(u, y)) return y;
    for (int k = 0; k < u->n; k++) y = tl__replace_state(y, u->state, k, tl__where_rows(m, u->state[k], u->old[k]));
    return y;
}

/* At a padded step the output is the previous one, or zero. This comes after all steps, so that the gradients of a row
 * are added up in the same order as if it had no padding. */
static void hold_outputs(const unrolling *u)
{
    for (int64_t i = 0; i < u->T; i++) {
        const tl_tensor m = tl_at(u->mask, step_number(u, i));
        u->y[i] = tl__where_rows(m, u->y[i], i && !u->o->zero_output ? u->y[i - 1] : u->zero);
    }
}

static void steps(unrolling *u)
{
    for (int64_t i = 0; i < u->T && tl__well(u->s); i++) {
        const int64_t t = step_number(u, i);
        const tl_place_mark m = tl_enter(u->at, u->s);
        tl_scope *step = tl_step(u->s, t);
        const tl_tensor x = tl_at(u->x, t);
        if (!i) begin(u, x);
        for (int k = 0; k < u->n; k++) {
            if (i && u->o->truncate && i % u->o->truncate == 0) u->state[k] = tl_stop_gradient(u->state[k]);
            if (!tl_absent(u->reset)) u->state[k] = tl__where_rows(tl_at(u->reset, t), u->first[k], u->state[k]);
            u->old[k] = u->state[k];
        }
        if (!tl_absent(u->mask)) tl_step_mask(step, tl_at(u->mask, t));
        u->y[i] = tl_call(step, u->cell, x, u->state);
        if (!tl_absent(u->mask)) u->y[i] = hold(u, tl_at(u->mask, t), u->y[i]);
        tl_leave(u->s, m);
    }
    if (!tl_absent(u->mask) && tl__well(u->s)) hold_outputs(u);
}

/* Puts outputs that were made from the last step to the first into the input's order. */
static void reorder(unrolling *u)
{
    if (!u->o->go_backwards || !u->o->keep_order) return;
    if (!tl_absent(u->lengths)) {
        const tl_tensor y = tl_reverse_sequence(tl_stack((int)u->T, u->y, 0), u->lengths);
        for (int64_t t = 0; t < u->T; t++) u->y[t] = tl_at(y, t);
        return;
    }
    for (int64_t i = 0, j = u->T - 1; i < j; i++, j--) {
        const tl_tensor y = u->y[i];
        u->y[i] = u->y[j];
        u->y[j] = y;
    }
}

/* All outputs [T, B, ...], which carry on the mask: in their own order. */
static tl_tensor sequence(const unrolling *u)
{
    const tl_tensor y = tl_stack((int)u->T, u->y, 0);
    if (tl_absent(u->mask)) return y;
    if (!tl_absent(u->lengths)) return tl_masked(y, u->lengths);
    return tl_masked(y, u->o->go_backwards && !u->o->keep_order ? tl_flip(u->mask, 0) : u->mask);
}

static tl_tensor unroll(unrolling *u)
{
    char name[24];
    const size_t n = (size_t)u->n;
    u->state = tl_scope_copy(u->s, NULL, n * sizeof *u->state);
    u->first = tl_scope_copy(u->s, NULL, n * sizeof *u->first);
    u->old = tl_scope_copy(u->s, NULL, n * sizeof *u->old);
    if (u->state && u->first && u->old && accepts(u)) u->y = tl_scope_copy(u->s, NULL, (size_t)u->T * sizeof *u->y);
    if (!u->y) return tl__failed(u->at, u->s);
    pad(u);
    steps(u);
    for (int k = 0; k < u->n && u->o->stateful; k++) tl_next(u->s, state_name(name, k), u->state[k]);
    const tl_tensor last = u->y[u->T - 1];
    reorder(u);
    const tl_tensor y = u->o->return_sequences ? sequence(u) : last;
    return tl__well(u->s) ? y : tl__failed(u->at, u->s);
}

static tl_tensor rnn(tl_place at, tl_scope *s, tl_tensor x, tl_cell cell, const tl_rnn_opts *o)
{
    unrolling u = {
        .at = at, .s = s, .x = x, .cell = cell, .o = o, .n = tl__states(cell), .T = tl_dim(x, 0), .B = tl_dim(x, 1)
    };
    const tl_tensor y = unroll(&u);
    const bool well = u.y && tl__well(s);
    for (int k = 0; o->final && k < u.n; k++) o->final[k] = well ? u.state[k] : y;
    for (int64_t i = 0; o->each && i < u.T; i++) o->each[i] = well ? u.y[i] : y;
    return y;
}

static tl_tensor named(tl_place at, tl_scope *s, tl_tensor x, tl_cell cell, const tl_rnn_opts *given, const char *name,
                       const char *kind)
{
    tl_rnn_opts o;
    const tl_place_mark m = tl_enter(at, s);
    const bool taken = tl__options(at, s, "rnn", &o, sizeof o, given); /* if not, error handles are still written */
    o.truncate = tl_whole(o.truncate, 0);
    tl_scope *inner = taken ? tl__inside(at, s, o.name ? o.name : name) : s;
    const tl_tensor y = tl_scope_layer(inner, kind, rnn(at, inner, x, cell, &o));
    tl_leave(s, m);
    return y;
}

tl_tensor tl_rnn_opt(tl_place at, tl_scope *s, tl_tensor x, tl_cell cell, const tl_rnn_opts *o)
{
    return named(at, s, x, cell, o, "rnn", "RNN");
}

tl_tensor tl_simple_rnn_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_rnn_opts *o)
{
    return named(at, s, x, tl_simple_rnn_cell_opt(at, s, NULL), o, "simple_rnn", "SimpleRNN");
}

tl_tensor tl_lstm_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_rnn_opts *o)
{
    return named(at, s, x, tl_lstm_cell_opt(at, s, NULL), o, "lstm", "LSTM");
}

tl_tensor tl_gru_opt(tl_place at, tl_scope *s, tl_tensor x, const tl_rnn_opts *o)
{
    return named(at, s, x, tl_gru_cell_opt(at, s, NULL), o, "gru", "GRU");
}
