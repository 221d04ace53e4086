/* layers/lstm.c - c' = f c + i g,  h' = o tanh(c'),  four gates from x and h; with peepholes, a coupled input gate, a
 * projected output, normalised sums, or any of these together. */
#include "layers/common.h"

enum { I, F, C, O, GATES };
static const char *const gate_name[GATES] = { "i", "f", "c", "o" };

/* One step on its way. */
typedef struct stepping {
    tl_scope *s;
    tl_tensor x, h;
    int64_t units; /* of c: h is narrower where it is projected */
    const tl_lstm_cell_opts *o;
    tl_tensor x_part[GATES], h_part[GATES]; /* .layer_norm: x W and h U, normalised over all gates */
} stepping;

static tl_tensor own_param(tl_scope *s, const char *gate, const char *name, int64_t units, tl_init init)
{
    const tl_place_mark m = tl_enter(TL_HERE, s);
    const tl_tensor p = tl_param(tl__inside(TL_HERE, s, gate), name, TL_DIMS(units), .init = init);
    tl_leave(s, m);
    return p;
}

/* ---- normalised sums -------------------------------------------------------------------------------------------- */

/* The products of all gates stand side by side and are normalised as one row. */
static void normalise(int n, tl_tensor *part, double epsilon)
{
    const tl_tensor all = tl_layer_norm(tl_concat(n, part, -1), TL_NONE, TL_NONE, epsilon);
    tl_split(all, n, -1, part);
}

static void normalise_all(stepping *q)
{
    const tl_lstm_cell_opts *o = q->o;
    const int first = o->coupled ? F : I, n = GATES - first;
    for (int k = first; k < GATES; k++) {
        q->x_part[k] = tl_gate(q->s, gate_name[k], q->x, TL_NONE, .units = q->units, .gates = n, .no_bias = true,
                               .kernel_init = o->kernel_init);
        q->h_part[k] = tl_gate(q->s, gate_name[k], TL_NONE, q->h, .units = q->units, .gates = n, .no_bias = true,
                               .recurrent_init = o->recurrent_init);
    }
    const double epsilon = tl_number(o->epsilon, 1e-5);
    normalise(n, q->x_part + first, epsilon);
    normalise(n, q->h_part + first, epsilon);
}

/* b + br + gx N(x W) + gh N(h U) */
static tl_tensor normalised_sum(const stepping *q, int k, double bias)
{
    const tl_lstm_cell_opts *o = q->o;
    const char *name = gate_name[k];
    const tl_tensor gx = own_param(q->s, name, "gx", q->units, tl_ones());
    const tl_tensor gh = own_param(q->s, name, "gh", q->units, tl_ones());
    tl_tensor z = TL_NONE;
    if (!o->no_bias) z = own_param(q->s, name, "b", q->units, bias == 0 ? o->bias_init : tl_constant(bias));
    if (o->recurrent_bias) {
        const tl_tensor br = own_param(q->s, name, "br", q->units, tl__init_unless(bias, o->bias_init));
        z = tl_absent(z) ? br : tl_add(z, br);
    }
    z = tl_absent(z) ? tl_mul(gx, q->x_part[k]) : tl_fma(gx, q->x_part[k], z);
    return tl_fma(gh, q->h_part[k], z);
}

static tl_tensor normalised_cell(const stepping *q, tl_tensor c)
{
    const tl_tensor gain = own_param(q->s, "norm", "g", q->units, tl_ones());
    const tl_tensor shift = own_param(q->s, "norm", "b", q->units, tl_zeros());
    return tl_layer_norm(c, gain, shift, tl_number(q->o->epsilon, 1e-5));
}

/* ---- one step --------------------------------------------------------------------------------------------------- */

/* bias: where b starts; 0: as .bias_init says */
static tl_tensor sum(const stepping *q, int k, double bias)
{
    const tl_lstm_cell_opts *o = q->o;
    if (o->layer_norm) return normalised_sum(q, k, bias);
    return tl_gate(q->s, gate_name[k], q->x, q->h, .units = q->units, .gates = o->coupled ? 3 : 4,
                   .recurrent_bias = o->recurrent_bias, TL__GATE(o, bias));
}

/* The sum with what the gate sees of the cell state. */
static tl_tensor peep(const stepping *q, int k, tl_tensor z, tl_tensor c)
{
    if (!q->o->peephole) return z;
    return tl_fma(own_param(q->s, gate_name[k], "p", q->units, q->o->peephole_init), c, z);
}

static bool accepts(tl_scope *s, tl_tensor h, tl_tensor c, const tl_lstm_cell_opts *o)
{
    const int64_t width = o->projection ? o->projection : tl_dim(c, -1);
    if (!tl__operand(TL_HERE, s, "lstm_cell", "h", h, 1) || !tl__operand(TL_HERE, s, "lstm_cell", "c", c, 1))
        return false;
    if (tl_dim(h, -1) == width) return true;
    tl_error(s, TL_E_SHAPE, "lstm_cell: h %s must have %lld columns, as %s", tl__print_shape(h).s, (long long)width,
             o->projection ? ".projection says" : "c has");
    return false;
}

static tl_tensor step(tl_scope *s, tl_tensor x, tl_tensor *state, const void *ctx)
{
    static const tl_lstm_cell_opts defaults;
    const tl_lstm_cell_opts *q = ctx ? ctx : &defaults;
    const tl_activation act = q->activation ? q->activation : tl_tanh;
    const tl_activation sigma = q->recurrent_activation ? q->recurrent_activation : tl_sigmoid;
    const tl_tensor c = state[1];
    stepping now = { .s = s, .x = x, .h = state[0], .units = tl_dim(c, -1), .o = q };
    tl_tensor i = TL_NONE;
    if (!accepts(s, now.h, c, q)) return tl__failed(TL_HERE, s);
    if (q->layer_norm) normalise_all(&now);
    if (!q->coupled) i = sigma(peep(&now, I, sum(&now, I, 0), c));
    const tl_tensor f = sigma(peep(&now, F, sum(&now, F, tl_number(q->bias_forget, 1)), c));
    const tl_tensor g = act(sum(&now, C, 0));
    const tl_tensor z = sum(&now, O, 0);
    state[1] = q->coupled ? tl_lerp(g, c, f) : tl_add(tl_mul(f, c), tl_mul(i, g));
    const tl_tensor o = sigma(peep(&now, O, z, state[1]));
    const tl_tensor y = tl_mul(o, act(q->layer_norm ? normalised_cell(&now, state[1]) : state[1]));
    if (!q->projection) return state[0] = y;
    return state[0] = tl_gate(s, "proj", y, TL_NONE, .units = q->projection, .no_bias = true,
                              .kernel_init = q->kernel_init);
}

/* ---- the cell --------------------------------------------------------------------------------------------------- */

/* h [B, projection], c [B, units]: zeros */
static void start_projected(tl_scope *s, tl_tensor x, int64_t units, tl_tensor *state, const void *ctx)
{
    const tl_lstm_cell_opts *o = ctx;
    if (!o || !tl__size(TL_HERE, s, "lstm_cell", ".units", units)) return;
    if (!tl__operand(TL_HERE, s, "lstm_cell", "x", x, 1)) return;
    state[0] = tl_full(s, TL_DIMS(tl_dim(x, 0), o->projection), 0);
    state[1] = tl_full(s, TL_DIMS(tl_dim(x, 0), units), 0);
}

tl_cell tl_lstm_cell_opt(tl_place at, tl_scope *s, const tl_lstm_cell_opts *given)
{
    tl_cell lstm = { .step = step, .states = 2 };
    tl_lstm_cell_opts o;
    if (!tl__options(at, s, "lstm_cell", &o, sizeof o, given)) return lstm;
    if (!tl__finite(at, s, "lstm_cell", ".bias_forget", o.bias_forget)) return lstm;
    o.projection = tl_whole(o.projection, 0);
    if (o.projection && !tl__size(at, s, "lstm_cell", ".projection", o.projection)) return lstm;
    if (!tl__at_least_0(at, s, "lstm_cell", ".epsilon", o.epsilon)) return lstm;
    if (o.projection) lstm.start = start_projected;
    lstm.ctx = tl_scope_copy(s, &o, sizeof o);
    return lstm;
}
