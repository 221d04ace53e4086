/* tests/test_errors.c - every status provoked on purpose, and what its message says. */
#include "support.h"

#include "layers/layers.h"

static tl_model *model;
static tl_tape *tape;
static tl_scope *root;
static tl_session *session;
static tl_tape *other; /* of some tests */
static int line;       /* where the message must say the error is */
#define LINE (line = __LINE__),

static float zeros[64];
static int logged;

static void count_log(void *data, tl_status status, const char *message)
{
    (void)data, (void)status, (void)message;
    logged++;
}

static void begin(void)
{
    model = tl_model_new();
    session = tl_session_new(model);
    tape = tl_tape_new(model);
    root = tl_root(tape);
}

static void end(void)
{
    tl_tape_free(tape);
    tl_tape_free(other);
    other = NULL;
    tl_session_free(session);
    tl_model_free(model);
    cr_assert(tl_live_bytes() == 0, "%zu bytes are still live", tl_live_bytes());
}

static tl_tensor matrix(int64_t rows, int64_t columns) { return tl_input(root, "x", FLOATS(zeros, rows, columns)); }
static tl_tensor ids(void) { return tl_input(root, "ids", (tl_array){ .dtype = TL_I32, .rank = 1, .dim = { 2 } }); }
static tl_tensor weight(tl_scope *s, const char *name) { return tl_param(s, name, TL_DIMS(2, 3)); }

/* ---- on the tape: each function makes one error, at LINE ------------------------------------------------------------- */

static void inner_dimensions(void)
{
    const tl_tensor x = matrix(2, 4), W = tl_param(root, "W", TL_DIMS(5, 6));
    for (int t = 0; t < 5; t++) {
        tl_scope *s = tl_in(tl_step(tl_in(root, "encoder"), t), "mgu");
        const tl_place_mark m = tl_enter(TL_HERE, s);
        tl_tanh(x);
        if (t == 3) LINE tl_matmul(x, W);
        tl_leave(s, m);
    }
}

static void steps_of_steps(void)
{
    tl_scope *s = tl_in(tl_step(tl_step(tl_in(root, "tree"), 4), 1), "node");
    LINE tl_param(s, "", TL_DIMS(2));
}

static void inside_a_layer(void) { LINE tl_dense(tl_in(root, "head"), matrix(2, 4), .units = -3); }

static tl_tensor broken_step(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)s, (void)ctx;
    static int step;
    if (step++ == 2) LINE tl_add(x, matrix(2, 5));
    return *h = tl_tanh(*h);
}

static void inside_a_cell(void)
{
    const tl_tensor x = tl_input(root, "x", FLOATS(zeros, 4, 2, 3));
    const tl_cell cell = { .step = broken_step };
    tl_rnn(root, x, cell, .units = 3, .name = "mine");
}

/* The library's own line and the user's. */
static void through_the_library(void)
{
    const tl_tensor x = matrix(2, 4);
    weight(tl_in(root, "dense"), "W");
    tl_tape_reset(tape);
    root = tl_root(tape);
    set_param(model, "dense/W", FLOATS(zeros, 5, 6));
    (void)x;
    LINE tl_dense(root, matrix(2, 4), .units = 6);
}

static void broadcast(void) { LINE tl_add(matrix(2, 3), tl_input(root, "y", FLOATS(zeros, 4))); }
static void i32_where_real(void) { LINE tl_mul(ids(), tl_input(root, "y", FLOATS(zeros, 2))); }
static void absent_operand(void) { LINE tl_add(matrix(2, 3), TL_NONE); }

static int first_line; /* a second line that the message must name */
#define FIRST (first_line = __LINE__),

static void all_absent(void)
{
    tl_tensor y;
    FIRST y = tl_add(TL_NONE, TL_NONE);
    cr_assert(!tl_absent(y) && !tl_failed(tape));
    y = tl_tanh(tl_sigmoid(y));
    LINE tl_mul(matrix(2, 3), y);
}

static void all_absent_output(void)
{
    tl_tensor y;
    FIRST y = tl_neg(TL_NONE);
    LINE tl_output(root, "y", y);
}

static void absent_gradient(void)
{
    tl_tensor g;
    FIRST tl_grad(TL_NONE, &(tl_tensor){ 0 }, 1, &g);
    LINE tl_add(matrix(2, 3), g);
}

static void stale_after_reset(void)
{
    const tl_tensor x = matrix(2, 3);
    tl_tape_reset(tape);
    LINE tl_add(matrix(2, 3), x);
}

static void stale_after_free(void)
{
    other = tl_tape_new(model);
    const tl_tensor x = tl_full(tl_root(other), TL_DIMS(2, 3), 1);
    tl_tape_free(other);
    other = NULL;
    LINE tl_add(x, matrix(2, 3));
}

static void all_stale(void)
{
    tl_tensor x = matrix(2, 3);
    tl_tape_reset(tape);
    FIRST x = tl_tanh(tl_add(x, x));
    LINE tl_output(root, "y", x);
}

static void another_tape(void)
{
    other = tl_tape_new(model);
    const tl_tensor x = tl_full(tl_root(other), TL_DIMS(2, 3), 1);
    LINE tl_sub(matrix(2, 3), x);
}

static void tap_of_another_tape(void)
{
    other = tl_tape_new(model);
    const tl_tensor x = tl_full(tl_root(other), TL_DIMS(2, 3), 1);
    LINE tl_tap(root, x, (tl_tap_fn)abort, NULL);
}

static void tap_of_nothing(void)
{
    tl_tensor x;
    FIRST x = tl_neg(TL_NONE);
    LINE tl_tap(root, x, (tl_tap_fn)abort, NULL);
}

static void tap_without_function(void) { LINE tl_tap(root, matrix(2, 3), NULL, NULL); }

static void parameter_twice(void)
{
    tl_scope *s = tl_in(root, "enc");
    FIRST tl_param(s, "W", TL_DIMS(2, 3));
    LINE tl_param(s, "W", TL_DIMS(2, 3));
}

static void layer_twice(void)
{
    const tl_tensor x = matrix(2, 3);
    FIRST tl_dense(root, x, .units = 4);
    LINE tl_dense(root, x, .units = 4);
}

static void layer_in_a_plain_loop(void)
{
    for (int t = 0; t < 3; t++) LINE tl_dense(root, matrix(2, 3), .units = 4);
    first_line = line;
}

static void in_steps_and_outside(void)
{
    tl_scope *s = tl_in(root, "cell");
    FIRST tl_param(tl_step(s, 0), "W", TL_DIMS(2, 3));
    tl_param(tl_step(s, 1), "W", TL_DIMS(2, 3));
    LINE tl_param(s, "W", TL_DIMS(2, 3));
}

static void outside_and_in_steps(void)
{
    tl_scope *s = tl_in(root, "cell");
    FIRST tl_param(tl_in(s, "gate"), "W", TL_DIMS(2, 3));
    LINE tl_param(tl_in(tl_step(s, 0), "gate"), "W", TL_DIMS(2, 3));
}

static void model_has_another_shape(void)
{
    set_param(model, "enc/W", FLOATS(zeros, 3, 2));
    LINE tl_param(tl_in(root, "enc"), "W", TL_DIMS(2, 3));
}

static void visits_disagree(void)
{
    tl_param(tl_step(root, 0), "W", TL_DIMS(2, 3));
    LINE tl_param(tl_step(root, 1), "W", TL_DIMS(2, 4));
}

static void first_nan(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    (void)self, (void)shape, (void)random;
    out[0] = NAN;
}

static void initial_nan(void)
{
    tl_param(root, "V", TL_DIMS(4));
    LINE tl_param(tl_in(root, "enc"), "W", TL_DIMS(2, 3), .init = { .fill = first_nan });
    tl_param(root, "U", TL_DIMS(4));
    cr_assert(!tl_failed(tape) && !tl_compile(tape));
}

static void initial_nan_at_eval(void)
{
    tl_tensor W;
    LINE W = tl_param(tl_in(root, "enc"), "W", TL_DIMS(2, 3), .init = { .fill = first_nan });
    cr_assert(isnan(tl_eval(tl_sum(W, TL_ALL))));
}

static void bad_parameter(void) { LINE tl_param(root, "W", 2, ((int64_t[]){ 2, -1 })); }
static void name_empty(void) { LINE tl_in(root, ""); }
static void name_missing(void) { LINE tl_in(root, NULL); }
static void name_with_slash(void) { LINE tl_param(root, "a/b", TL_DIMS(2)); }

static void name_too_long(void)
{
    char name[200];
    memset(name, 'n', sizeof name);
    name[199] = 0;
    LINE tl_in(root, name);
}

static void path_too_long(void)
{
    tl_scope *s = root;
    char name[101];
    memset(name, 'n', sizeof name);
    name[100] = 0;
    for (int i = 0; i < 9; i++) LINE s = tl_in(s, name);
}

static void negative_step(void) { LINE tl_step(tl_in(root, "x"), -1); }

static void output_twice(void)
{
    const tl_tensor x = matrix(2, 3);
    FIRST tl_output(root, "y", x);
    LINE tl_output(root, "y", x);
}

static void output_in_steps(void)
{
    const tl_tensor x = matrix(2, 3);
    for (int t = 0; t < 2; t++) LINE tl_output(tl_step(root, t), "y", x);
}

static void output_without_name(void) { LINE tl_output(root, "", matrix(2, 3)); }

static void emitted_twice(void)
{
    const tl_tensor x = matrix(2, 3);
    tl_scope *s = tl_step(tl_in(root, "dec"), 2);
    tl_emit(s, "y", x);
    LINE tl_emit(s, "y", x);
}

static void collect_nothing(void)
{
    tl_emit(tl_step(tl_in(root, "enc"), 0), "y", matrix(2, 3));
    LINE tl_collect(tl_in(root, "dec"), "y");
}

static void collect_of_another_step(void)
{
    tl_scope *s = tl_in(root, "dec");
    tl_emit(tl_step(s, 0), "y", matrix(2, 3));
    LINE tl_collect(tl_step(s, 1), "y");
}

static void collect_shapes(void)
{
    tl_scope *s = tl_in(root, "dec");
    tl_emit(tl_step(s, 0), "y", matrix(2, 3));
    tl_emit(tl_step(s, 1), "y", matrix(2, 4));
    LINE tl_collect(s, "y");
}

static void collect_rank(void)
{
    tl_emit(tl_step(root, 0), "y", tl_full(root, TL_DIMS(1, 1, 1, 1, 1, 1), 0));
    LINE tl_collect(root, "y");
}

static void state_twice(void)
{
    const tl_tensor x = matrix(2, 3);
    FIRST tl_state(tl_in(root, "rnn"), "h", x);
    LINE tl_state(tl_in(root, "rnn"), "h", x);
}

static void next_without_state(void)
{
    tl_state(tl_in(root, "rnn"), "h", matrix(2, 3));
    LINE tl_next(tl_in(root, "rnn"), "c", matrix(2, 3));
}

static void next_twice(void)
{
    const tl_tensor h = tl_state(root, "h", matrix(2, 3));
    tl_next(root, "h", h);
    LINE tl_next(root, "h", h);
}

static void next_of_another_shape(void)
{
    tl_state(root, "h", matrix(2, 3));
    LINE tl_next(root, "h", matrix(3, 2));
}

static tl_status no_kernel(const tl_run_args *r) { return tl_kernel_fail(r, TL_E_ARGUMENT, "never"); }
static const struct tl_op round_op = { .size = sizeof(struct tl_op),
                                       .name = "myround",
                                       .min_in = 1,
                                       .max_in = 1,
                                       .shape = tl_shape_same,
                                       .f32 = no_kernel,
                                       .f64 = no_kernel };
static tl_tensor wrong_shape(const tl_vjp *v, int i) { return (void)i, tl_sum(v->g, TL_ALL); }
static tl_tensor far_away(const tl_vjp *v, int i) { return (void)i, tl_add(v->g, matrix(7, 7)); }
static tl_tensor stranger(const tl_vjp *v, int i)
{
    (void)v, (void)i;
    other = tl_tape_new(model);
    return tl_full(tl_root(other), TL_DIMS(2, 3), 1);
}

static void differentiate(tl_vjp_fn rule)
{
    static struct tl_op op;
    op = round_op;
    op.vjp = rule;
    const tl_tensor x = matrix(2, 3);
    tl_scope *s = tl_step(tl_in(root, "enc"), 1);
    const tl_place_mark m = tl_enter(TL_HERE, s);
    tl_tensor y, g;
    LINE y = tl_apply(&op, &x, 1, NULL);
    tl_leave(s, m);
    tl_grad(tl_tanh(y), &x, 1, &g);
}

static void no_vjp(void) { differentiate(NULL); }
static void vjp_of_wrong_shape(void) { differentiate(wrong_shape); }
static void vjp_that_fails(void) { differentiate(far_away); }
static void vjp_of_another_tape(void) { differentiate(stranger); }

static void gradient_of_ids(void)
{
    const tl_tensor x = matrix(2, 3);
    tl_tensor g;
    LINE tl_grad(tl_argmax(x, 0), &x, 1, &g);
}

static void gradient_with_respect_to_ids(void)
{
    tl_tensor g;
    const tl_tensor i = ids();
    LINE tl_grad(tl_sum(tl_gather(matrix(4, 3), i), TL_ALL), &i, 1, &g);
}

static void backward_twice(void)
{
    const tl_tensor loss = tl_sum(weight(root, "W"), TL_ALL);
    tl_backward(loss);
    LINE tl_backward(loss);
}

static void overlay_of_no_parameter(void)
{
    const tl_tensor W = weight(root, "W"), y = tl_neg(W);
    LINE tl_overlay(root, 1, &y, &W);
}

static void overlay_of_another_shape(void)
{
    const tl_tensor W = weight(tl_in(root, "enc"), "W"), y = tl_transpose(W);
    LINE tl_overlay(root, 1, &W, &y);
}

static void overlay_of_nothing(void) { LINE tl_overlay(root, 2, NULL, NULL); }
static void overlay_negative(void) { LINE tl_overlay(root, -1, (tl_tensor[]){ TL_NONE }, (tl_tensor[]){ TL_NONE }); }
static void overlay_absent(void) { LINE tl_overlay(root, 1, (tl_tensor[]){ TL_NONE }, (tl_tensor[]){ TL_NONE }); }

static void overlay_asked_with_another_shape(void)
{
    const tl_tensor W = weight(root, "W"), y = tl_neg(W);
    tl_scope *o = tl_overlay(root, 1, &W, &y);
    LINE tl_param(o, "W", TL_DIMS(3, 2));
}

static void input_of_another_type(void) { LINE tl_input(root, "x", DOUBLES(NULL, 2)); }
static void input_without_type(void) { LINE tl_input(root, "x", (tl_array){ .rank = 1, .dim = { 2 } }); }
static void input_of_rank_7(void) { LINE tl_input(root, "x", (tl_array){ .dtype = TL_F32, .rank = 7 }); }
static void input_too_large(void) { LINE tl_input(root, "x", FLOATS(NULL, 1 << 30, 1 << 30, 1 << 30)); }
static void constant_without_values(void) { LINE tl_const(root, TL_DIMS(2), NULL); }
static void full_of_negative_size(void) { LINE tl_full(root, TL_DIMS(-2), 0); }
static void result_too_large(void)
{
    const tl_tensor x = tl_full(root, TL_DIMS(1 << 30, 1), 0), y = tl_full(root, TL_DIMS(1, 1 << 30, 1), 0);
    LINE tl_add(tl_reshape(x, TL_DIMS(1 << 30, 1, 1)), tl_add(y, tl_full(root, TL_DIMS(1, 1, 1 << 30), 0)));
}
static void eval_of_many(void) { LINE tl_eval(matrix(2, 3)); }
static void eval_without_numbers(void) { LINE tl_eval(tl_sum(tl_tanh(tl_input(root, "x", FLOATS(NULL, 2))), TL_ALL)); }

static void eval_id_out_of_range(void)
{
    const tl_tensor at = tl_ids_const(root, TL_DIMS(2), ((int32_t[]){ 1, 4 }));
    tl_tensor y;
    LINE y = tl_gather(matrix(4, 3), at);
    tl_eval_values(y, (double[6]){ 0 });
}

/* Where it was recorded counts, not where the last scope was opened. */
static void eval_in_a_layer(void)
{
    const tl_tensor at = tl_ids_const(root, TL_DIMS(1), ((int32_t[]){ 9 }));
    tl_tensor y;
    LINE y = tl_embedding(tl_step(tl_in(root, "deep"), 2), at, .vocab = 4, .units = 2);
    tl_in(root, "elsewhere");
    tl_eval_values(y, (double[2]){ 0 });
}

static void no_operation(void) { LINE tl_apply(&(const struct tl_op){ 0 }, (tl_tensor[]){ matrix(2, 3) }, 1, NULL); }
static void too_few_operands(void)
{
    LINE tl_apply(tl_op_of_role(TL_ROLE_ADD), (tl_tensor[]){ matrix(2, 3) }, 1, NULL);
}
static void too_many_operands(void)
{
    const tl_tensor x = matrix(2, 3);
    LINE tl_apply(tl_op_of_role(TL_ROLE_ADD), (tl_tensor[]){ x, x, x }, 3, NULL);
}
static void error_of_the_user(void)
{
    LINE tl_error(tl_step(tl_in(root, "mine"), 6), TL_E_STATE, "%d is %s", 5, "odd");
}
static void no_probability(void) { LINE tl_random_bernoulli(root, TL_DIMS(2), 1.5); }
static void slice_outside(void) { LINE tl_slice(matrix(2, 3), 1, 1, 5); }
static void reshape_of_another_size(void) { LINE tl_reshape(matrix(2, 3), TL_DIMS(4)); }
static void no_such_axis(void) { LINE tl_sum(matrix(2, 3), TL_AXES(2)); }
static void concat_of_shapes(void) { LINE tl_concat(2, (tl_tensor[]){ matrix(2, 3), matrix(2, 4) }, 0); }
static void no_such_step(void) { LINE tl_at(matrix(2, 3), 2); }
static void uneven_split(void)
{
    tl_tensor part[2];
    LINE tl_split(matrix(2, 3), 2, 1, part);
    cr_assert(!tl_absent(part[0]) && !tl_absent(part[1]) && tl_dim(part[1], 0) == 1);
}

/* says: what the message must contain besides the line. "first" stands for the first line. */
static const struct {
    void (*provoke)(void);
    tl_status status;
    const char *says[4];
} provocations[] = {
    { inner_dimensions,
      TL_E_SHAPE,
      { "in encoder/mgu at step 3: matmul [2,4] x [5,6]: inner dimensions 4 and 5 differ" } },
    { steps_of_steps, TL_E_ARGUMENT, { "in tree/node at step 4/1: ", "name" } },
    { inside_a_layer, TL_E_ARGUMENT, { ".units = -3" } },
    { inside_a_cell, TL_E_SHAPE, { "in mine at step 2: add [2,3] x [2,5]: dimensions 3 and 5 do not broadcast" } },
    { through_the_library,
      TL_E_SHAPE,
      { "(through ", "layers/dense.c:", "in dense", "[4,6], but in the model it is [5,6]" } },
    { broadcast, TL_E_SHAPE, { "add [2,3] x [4]: dimensions 3 and 4 do not broadcast" } },
    { i32_where_real, TL_E_DTYPE, { "mul", "i32", "tl_cast" } },
    { absent_operand, TL_E_ABSENT, { "add", "absent", "TL_NONE" } },
    { all_absent, TL_E_ABSENT, { "mul", "first", "absent" } },
    { all_absent_output, TL_E_ABSENT, { "tl_output", "first", "absent" } },
    { absent_gradient, TL_E_ABSENT, { "add", "first", "absent" } },
    { stale_after_reset, TL_E_STALE, { "add", "reset or freed" } },
    { stale_after_free, TL_E_STALE, { "add", "reset or freed" } },
    { all_stale, TL_E_STALE, { "tl_output", "first", "reset or freed" } },
    { another_tape, TL_E_TAPE, { "sub", "another tape", "tl_input" } },
    { tap_of_another_tape, TL_E_TAPE, { "tl_tap", "another tape" } },
    { tap_of_nothing, TL_E_ABSENT, { "tl_tap", "first" } },
    { tap_without_function, TL_E_ARGUMENT, { "tl_tap" } },
    { parameter_twice, TL_E_NAME, { "enc/W", "first", "tl_again", "tl_step" } },
    { layer_twice, TL_E_NAME, { "dense/W", "first", ".name", "tl_again" } },
    { layer_in_a_plain_loop, TL_E_NAME, { "dense/W", "first", "tl_step" } },
    { in_steps_and_outside, TL_E_NAME, { "cell/W", "first", "steps", "another name" } },
    { outside_and_in_steps, TL_E_NAME, { "cell/gate/W", "first", "at step 0", "another name" } },
    { model_has_another_shape, TL_E_SHAPE, { "enc/W", "asked for as [2,3]", "in the model it is [3,2]" } },
    { visits_disagree, TL_E_SHAPE, { "at step 1", "asked for as [2,4]", "it is [2,3]" } },
    { initial_nan, TL_E_NONFINITE, { "enc/W", "finite" } },
    { initial_nan_at_eval, TL_E_NONFINITE, { "enc/W", "finite" } },
    { bad_parameter, TL_E_ARGUMENT, { "W" } },
    { name_empty, TL_E_ARGUMENT, { "name" } },
    { name_missing, TL_E_ARGUMENT, { "name", "NULL" } },
    { name_with_slash, TL_E_ARGUMENT, { "name", "a/b" } },
    { name_too_long, TL_E_ARGUMENT, { "name", "nnnn" } },
    { path_too_long, TL_E_ARGUMENT, { "path", "too long" } },
    { negative_step, TL_E_ARGUMENT, { "tl_step", "-1", "in x" } },
    { output_twice, TL_E_NAME, { "output y", "first" } },
    { output_in_steps, TL_E_NAME, { "output y", "tl_emit", "tl_collect" } },
    { output_without_name, TL_E_ARGUMENT, { "tl_output", "name" } },
    { emitted_twice, TL_E_NAME, { "dec/y", "at step 2" } },
    { collect_nothing, TL_E_NAME, { "dec/y", "tl_emit" } },
    { collect_of_another_step, TL_E_NAME, { "dec/y", "tl_emit" } },
    { collect_shapes, TL_E_SHAPE, { "concat", "[1,2,3]", "[1,2,4]" } },
    { collect_rank, TL_E_SHAPE, { "tl_collect", "y", "axes" } },
    { state_twice, TL_E_NAME, { "state rnn/h", "first" } },
    { next_without_state, TL_E_NAME, { "rnn/c", "tl_state" } },
    { next_twice, TL_E_NAME, { "state h" } },
    { next_of_another_shape, TL_E_SHAPE, { "state h", "[2,3]", "[3,2]" } },
    { no_vjp, TL_E_NOGRAD, { "in enc at step 1", "myround", "vjp" } },
    { vjp_of_wrong_shape, TL_E_SHAPE, { "in enc at step 1", "myround", "gives []", "[2,3]" } },
    { vjp_that_fails, TL_E_SHAPE, { "in enc at step 1", "add [2,3] x [7,7]" } },
    { vjp_of_another_tape, TL_E_TAPE, { "in enc at step 1", "myround" } },
    { gradient_of_ids, TL_E_DTYPE, { "tl_grad", "i32" } },
    { gradient_with_respect_to_ids, TL_E_DTYPE, { "tl_grad", "i32" } },
    { backward_twice, TL_E_ARGUMENT, { "tl_backward", "once" } },
    { overlay_of_no_parameter, TL_E_ARGUMENT, { "tl_overlay", "no parameter" } },
    { overlay_of_another_shape, TL_E_SHAPE, { "tl_overlay", "enc/W" } },
    { overlay_of_nothing, TL_E_ARGUMENT, { "tl_overlay" } },
    { overlay_negative, TL_E_ARGUMENT, { "tl_overlay" } },
    { overlay_absent, TL_E_ABSENT, { "tl_overlay" } },
    { overlay_asked_with_another_shape, TL_E_SHAPE, { "W", "[3,2]", "[2,3]", "overlay" } },
    { input_of_another_type, TL_E_DTYPE, { "f64", "f32" } },
    { input_without_type, TL_E_ARGUMENT, { ".dtype" } },
    { input_of_rank_7, TL_E_ARGUMENT, { "rank" } },
    { input_too_large, TL_E_ARGUMENT, { "too large" } },
    { constant_without_values, TL_E_ARGUMENT, { "tl_const" } },
    { full_of_negative_size, TL_E_ARGUMENT, { "tl_full", "negative" } },
    { result_too_large, TL_E_SHAPE, { "add", "too large" } },
    { eval_of_many, TL_E_SHAPE, { "tl_eval", "tl_eval_values" } },
    { eval_without_numbers, TL_E_INPUT, { "input x", ".data" } },
    { eval_id_out_of_range, TL_E_INDEX, { "gather", "id 4", "position 1", "0..3" } },
    { eval_in_a_layer, TL_E_INDEX, { "deep/embedding at step 2", "through layers/embedding.c", "id 9" } },
    { no_operation, TL_E_ARGUMENT, { "tl_apply", ".size" } },
    { too_few_operands, TL_E_ARGUMENT, { "add", "1 operands", "few" } },
    { too_many_operands, TL_E_ARGUMENT, { "add", "3 operands", "many" } },
    { error_of_the_user, TL_E_STATE, { "in mine at step 6: 5 is odd" } },
    { no_probability, TL_E_ARGUMENT, { "random_bernoulli", "1.5" } },
    { slice_outside, TL_E_SHAPE, { "slice [2,3]", "axis 1" } },
    { reshape_of_another_size, TL_E_SHAPE, { "reshape [2,3]", "[4]" } },
    { no_such_axis, TL_E_ARGUMENT, { "sum [2,3]", "axis 2" } },
    { concat_of_shapes, TL_E_SHAPE, { "concat [2,3] x [2,4]" } },
    { no_such_step, TL_E_SHAPE, { "at [2,3]", "element 2" } },
    { uneven_split, TL_E_SHAPE, { "split [2,3]", "3 elements" } },
};

Test(errors, on_the_tape)
{
    for (int i = 0; i < COUNT(provocations); i++) {
        begin();
        tl_set_log(count_log, NULL);
        line = first_line = logged = 0;
        provocations[i].provoke();
        const int params = tl_model_count(model);
        cr_assert(tl_failed(tape), "provocation %d is not noticed", i);
        const char *message = tl_tape_message(tape);
        cr_assert_eq(tl_tape_status(tape), provocations[i].status, "%s: %s", tl_status_name(tl_tape_status(tape)),
                     message);
        cr_has(message, AT_LINE(line));
        for (int k = 0; k < 4 && provocations[i].says[k]; k++) {
            const char *part = provocations[i].says[k];
            cr_has(message, strcmp(part, "first") ? part : AT_LINE(first_line));
        }
        cr_assert_str_eq(tl_message(), message);
        cr_assert_eq(logged, 1, "\"%s\" was logged %d times", message, logged);
        cr_assert(!tl_compile(tape));
        cr_assert_eq(tl_model_count(model), params);
        cr_assert_str_eq(tl_message(), message, "the sentence of a failed compilation is the tape's");
        tl_set_log(NULL, NULL);
        end();
    }
}

/* ---- sticky ------------------------------------------------------------------------------------------------- */

static tl_tensor never(tl_scope *s, tl_tensor x, tl_tensor *h, const void *ctx)
{
    (void)s, (void)x, (void)h, (void)ctx;
    cr_assert_fail("a step is recorded on a failed tape");
    return x;
}

#define IS_ERROR(t)                                                                                                    \
    do {                                                                                                               \
        const tl_tensor error_ = (t);                                                                                  \
        cr_assert(!tl_absent(error_));                                                                                 \
        cr_assert(tl_rank(error_) == 0 && tl_dim(error_, 0) == 1 && tl_dim(error_, -1) == 1 && tl_size(error_) == 1);  \
        cr_assert(isnan(tl_eval(error_)));                                                                             \
    } while (0)

Test(errors, the_first_one_stays)
{
    begin();
    tl_scope *s = tl_in(root, "enc");
    const tl_tensor x = matrix(2, 3), W = weight(s, "W");
    tl_output(s, "x", x);
    tl_tensor bad = tl_matmul(x, W);
    char first[1024];
    strcpy(first, tl_tape_message(tape));
    const int nodes = tl_tape_nodes(tape);
    const uint64_t allocations = tl_allocations();
    tl_tensor out[4] = { x, x, x, x };

    IS_ERROR(bad);
    IS_ERROR(tl_add(bad, x));
    IS_ERROR(tl_add(x, x));
    IS_ERROR(tl_matmul(x, TL_NONE));
    IS_ERROR(tl_param(s, "W", TL_DIMS(9)));
    IS_ERROR(tl_input(s, "", (tl_array){ 0 }));
    IS_ERROR(tl_const(s, TL_DIMS(2), NULL));
    IS_ERROR(tl_full(s, TL_DIMS(-1), 0));
    IS_ERROR(tl_full_like(x, 0));
    IS_ERROR(tl_state(s, "h", x));
    IS_ERROR(tl_collect(s, "none"));
    IS_ERROR(tl_tap(s, x, NULL, NULL));
    IS_ERROR(tl_error(s, TL_E_NAME, "second"));
    IS_ERROR(tl_random_normal(s, TL_DIMS(-4)));
    IS_ERROR(tl_reshape(x, TL_DIMS(9)));
    IS_ERROR(tl_sum(x, TL_AXES(7)));
    IS_ERROR(tl_concat(2, (tl_tensor[]){ x, TL_NONE }, 9));
    IS_ERROR(tl_stack(2, (tl_tensor[]){ x, TL_NONE }, 9));
    IS_ERROR(tl_at(x, 99));
    IS_ERROR(tl_total_loss(s, bad));
    IS_ERROR(tl_dense(s, x, .units = 3));
    const tl_cell one_state = { .step = never }, two_states = { .step = never, .states = 2 };
    IS_ERROR(tl_rnn(s, x, one_state, .units = 3));
    tl_split(x, 3, 1, out);
    for (int i = 0; i < 3; i++) IS_ERROR(out[i]);
    out[0] = out[1] = x;
    tl_grad(x, (tl_tensor[]){ x, W }, 2, out);
    IS_ERROR(out[0]);
    IS_ERROR(out[1]);
    out[0] = out[1] = x;
    IS_ERROR(tl_call(s, two_states, x, out));
    IS_ERROR(out[0]);
    IS_ERROR(out[1]);
    out[0] = x;
    tl_start(s, one_state, x, 3, out);
    IS_ERROR(out[0]);
    tl_backward(x);
    tl_output(s, "x", x);
    tl_emit(s, "x", x);
    tl_next(s, "nothing", x);
    cr_assert(tl_in(s, "a/b") && tl_step(s, -1) && tl_again(s) && tl_overlay(s, -1, NULL, NULL),
              "scopes are never NULL");
    cr_assert(!tl_scope_copy(s, NULL, 8));
    double v[6] = { 0 };
    tl_eval_values(x, v); /* a handle from before the error keeps its shape, and has no values */
    for (int i = 0; i < 6; i++) cr_assert(isnan(v[i]));
    cr_assert_eq(tl_dim(x, 1), 3);

    cr_assert_eq(tl_tape_nodes(tape), nodes);
    cr_assert_eq(tl_allocations(), allocations, "a failed tape allocates nothing");
    cr_assert_str_eq(tl_tape_message(tape), first);
    cr_assert_eq(tl_tape_status(tape), TL_E_SHAPE);

    tl_tape_reset(tape);
    cr_assert(!tl_failed(tape) && tl_tape_status(tape) == TL_OK && !*tl_tape_message(tape));
    root = tl_root(tape);
    tl_tanh(matrix(2, 3));
    cr_assert(!tl_failed(tape));
    end();
}

Test(errors, absent_is_not_an_error_handle)
{
    begin();
    cr_assert(tl_absent(TL_NONE) && tl_rank(TL_NONE) == 0 && tl_dim(TL_NONE, 0) == 1 && tl_size(TL_NONE) == 1);
    cr_assert(isnan(tl_eval(TL_NONE)));
    cr_has(tl_message(), "absent");
    int here;
    const tl_tensor y = (here = __LINE__, tl_add(TL_NONE, TL_NONE));
    IS_ERROR(y);
    cr_has(tl_message(), AT_LINE(here));
    cr_assert(tl_is(TL_NONE, TL_NONE) && !tl_is(y, TL_NONE));
    const tl_tensor x = matrix(2, 3);
    tl_tape_reset(tape);
    IS_ERROR(x); /* stale */
    end();
}

/* Contract 1: also when another tape has the head by now. */
Test(errors, a_stale_handle_never_becomes_another_tensor)
{
    begin();
    const tl_tensor x = matrix(2, 3);
    for (int i = 0; i < 50; i++) {
        tl_tape_free(tape);
        tape = tl_tape_new(model);
        root = tl_root(tape);
        matrix(4, 4);
        cr_assert(tl_rank(x) == 0 && !tl_node_of(x));
    }
    end();
}

/* ---- calls that return a status -------------------------------------------------------------------------------- */

#define RETURNS(want, call, ...)                                                                                       \
    do {                                                                                                               \
        const tl_status got_ = (call);                                                                                 \
        cr_assert_eq(got_, (want), "%s: %s: %s", #call, tl_status_name(got_), tl_message());                           \
        const char *const part_[] = { __VA_ARGS__ };                                                                   \
        for (int i_ = 0; i_ < COUNT(part_); i_++) cr_has(tl_message(), part_[i_]);                                     \
    } while (0)

#define SUCCEEDS(call) RETURNS(TL_OK, call, "")

/* y = W[ids] + x, recorded at step 1 of "emb"; h is a state. */
static tl_plan *plan_of(int64_t rows, int *gather_line)
{
    tl_tape_reset(tape);
    root = tl_root(tape);
    const tl_tensor i = tl_input(root, "ids", IDS(NULL, rows)),
                    x = tl_input(tl_in(root, "in"), "x", FLOATS(NULL, rows, 3));
    const tl_tensor W = tl_param(root, "W", TL_DIMS(5, 3));
    tl_scope *s = tl_step(tl_in(root, "emb"), 1);
    const tl_place_mark m = tl_enter(TL_HERE, s);
    tl_tensor y;
    *gather_line = __LINE__, y = tl_gather(W, i);
    tl_leave(s, m);
    const tl_tensor h = tl_state(root, "h", tl_full_like(x, 1));
    tl_next(root, "h", tl_add(h, x));
    tl_output(tl_in(root, "emb"), "y", tl_add(tl_add(y, x), h));
    return tl_compile(tape);
}

Test(errors, of_a_run)
{
    begin();
    int at;
    tl_plan *plan = plan_of(2, &at), *wider = plan_of(3, &at);
    cr_assert(plan && wider, "%s", tl_message());
    int32_t i[3] = { 0, 4, 1 };
    float x[9] = { 1, 2, 3, 4, 5, 6 };
    tl_array in[3] = { IDS(i, 2), FLOATS(x, 2, 3), { 0 } }, out;
    RETURNS(TL_E_OUTPUT, tl_get(session, "emb/y", &out), "emb/y", "nothing has run");
    cr_assert(isnan(tl_get_scalar(session, "emb/y")));
    SUCCEEDS(tl_run(session, plan, in, 2));
    SUCCEEDS(tl_get(session, "emb/y", &out));
    RETURNS(TL_E_OUTPUT, tl_get(session, "emb/z", &out), "emb/z", "tl_output(s, \"z\"");
    RETURNS(TL_E_INPUT, tl_run(session, plan, in, 1), "2 inputs, not 1");
    RETURNS(TL_E_OUTPUT, tl_get(session, "emb/y", &out), "failed"); /* the last run failed */
    RETURNS(TL_E_INPUT, tl_run(session, plan, in, 3), "2 inputs, not 3");
    RETURNS(TL_E_INPUT, tl_run(session, plan, NULL, 2), "2 inputs");
    const tl_array good = in[1];
    in[1].dim[0] = 3;
    RETURNS(TL_E_INPUT, tl_run(session, plan, in, 2), "in/x", "f32 [3,3]", "f32 [2,3]");
    in[1] = good, in[1].rank = 1;
    RETURNS(TL_E_INPUT, tl_run(session, plan, in, 2), "in/x", "f32 [2]", "f32 [2,3]");
    in[1] = good, in[1].rank = -1000;
    RETURNS(TL_E_INPUT, tl_run(session, plan, in, 2), "in/x");
    in[1] = good, in[1].rank = 1000;
    RETURNS(TL_E_INPUT, tl_run(session, plan, in, 2), "in/x");
    in[1] = good, in[1].dtype = TL_F64;
    RETURNS(TL_E_INPUT, tl_run(session, plan, in, 2), "in/x", "f64 [2,3]", "f32 [2,3]");
    in[1] = good, in[1].dtype = 77;
    RETURNS(TL_E_INPUT, tl_run(session, plan, in, 2), "in/x");
    in[1] = good, in[1].data = NULL;
    RETURNS(TL_E_INPUT, tl_run(session, plan, in, 2), "in/x", "data is NULL");
    in[1] = good;

    RETURNS(TL_E_STATE, tl_run(session, wider, (tl_array[]){ IDS(i, 3), FLOATS(x, 3, 3) }, 2), "state h", "[2,3]",
            "[3,3]", "tl_session_reset");
    tl_session_reset(session);
    SUCCEEDS(tl_run(session, wider, (tl_array[]){ IDS(i, 3), FLOATS(x, 3, 3) }, 2));
    RETURNS(TL_E_STATE, tl_run(session, plan, in, 2), "state h");
    tl_session_reset(session);
    SUCCEEDS(tl_run(session, plan, in, 2));

    /* an id out of range: op, scope, step, position, line; states and the run number stay as they were */
    const char *name;
    tl_array h;
    float before[6];
    cr_assert_eq(tl_session_state(session, 0, &name, &h), TL_OK);
    memcpy(before, h.data, sizeof before);
    const uint64_t runs = tl_session_runs(session);
    for (int k = 0; k < 2; k++) {
        i[1] = k ? -1 : 5;
        RETURNS(TL_E_INDEX, tl_run(session, plan, in, 2), AT_LINE(at), "in emb at step 1", "gather", "position 1",
                "0..4", k ? "id -1" : "id 5");
        RETURNS(TL_E_OUTPUT, tl_get(session, "emb/y", &out), "failed");
        cr_assert_eq(tl_session_runs(session), runs);
        cr_assert_eq(tl_session_state(session, 0, &name, &h), TL_OK);
        cr_assert(!memcmp(before, h.data, sizeof before));
    }
    i[1] = 4;
    SUCCEEDS(tl_run(session, plan, in, 2));

    tl_model *second = tl_model_new();
    tl_session *of_second = tl_session_new(second);
    RETURNS(TL_E_ARGUMENT, tl_run(of_second, plan, in, 2), "another model");
    RETURNS(TL_E_ARGUMENT, tl_run(session, NULL, in, 2), "plan");
    RETURNS(TL_E_ARGUMENT, tl_run(NULL, plan, in, 2), "session");
    tl_session_free(of_second);
    tl_model_free(second);
    tl_plan_free(plan), tl_plan_free(wider);
    end();
}

static tl_status fail_late(const tl_run_args *r) { return tl_kernel_fail(r, TL_E_NONFINITE, "row %d is bad", 7); }

Test(errors, of_a_kernel_of_the_users)
{
    begin();
    struct tl_op op = round_op;
    op.f32 = fail_late;
    const tl_tensor x = tl_input(root, "x", FLOATS(zeros, 2));
    tl_output(root, "y", (line = __LINE__, tl_apply(&op, &x, 1, NULL)));
    tl_plan *plan = tl_compile(tape);
    RETURNS(TL_E_NONFINITE, tl_run(session, plan, (tl_array[]){ FLOATS(zeros, 2) }, 1), AT_LINE(line),
            "myround: row 7 is bad");
    tl_plan_free(plan);
    tl_tape_reset(tape);
    op.f32 = NULL;
    const tl_tensor y = tl_input(tl_root(tape), "x", FLOATS(zeros, 2));
    tl_output(tl_root(tape), "y", (line = __LINE__, tl_apply(&op, &y, 1, NULL)));
    cr_assert(!tl_compile(tape), "there is no kernel for f32");
    RETURNS(TL_E_DTYPE, tl_tape_status(tape), "myround", "f32", AT_LINE(line));
    end();
}

static void one(const tl_init *self, const tl_shape *shape, double *out, tl_random *random)
{
    (void)self, (void)shape, (void)random;
    out[0] = 1;
}

static tl_tensor no_loss(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)in, (void)user;
    return tl_log(tl_neg(tl_param(s, "w", TL_SCALAR, .init = { .fill = one })));
}

Test(errors, of_sessions_models_and_the_rest)
{
    begin();
    const bool rows[3] = { true };
    tl_array a;
    const char *name;
    RETURNS(TL_E_ARGUMENT, tl_session_state(session, 0, &name, &a), "state");
    RETURNS(TL_E_ARGUMENT, tl_session_set_state(session, "", &a), "name");
    a = FLOATS(NULL, 2, 3);
    RETURNS(TL_E_ARGUMENT, tl_session_set_state(session, "h", &a), "data");
    a = FLOATS(zeros, 2, 3);
    SUCCEEDS(tl_session_set_state(session, "h", &a));
    RETURNS(TL_E_STATE, tl_session_reset_rows(session, rows, 3), "state h", "2 rows, not 3");
    RETURNS(TL_E_INDEX, tl_session_gather_rows(session, (int32_t[]){ 0, 2 }, 2), "state h", "row 2");
    RETURNS(TL_E_INDEX, tl_session_gather_rows(session, (int32_t[]){ -1 }, 1), "state h", "row -1");
    RETURNS(TL_E_ARGUMENT, tl_session_gather_rows(session, (int32_t[]){ 0 }, -1), "-1");
    RETURNS(TL_E_ARGUMENT, tl_model_set(model, "", &a), "name");
    RETURNS(TL_E_ARGUMENT, tl_model_set(model, NULL, &a), "name");
    RETURNS(TL_E_NAME, tl_model_get(model, "nobody", &a), "nobody");
    RETURNS(TL_E_ARGUMENT, tl_model_set_state(model, "", &a), "name");
    RETURNS(TL_E_ARGUMENT, tl_model_set_state(model, "h", NULL), "data");
    RETURNS(TL_E_ARGUMENT, tl_model_state_value(model, 0, &name, &a), "state");
    RETURNS(TL_E_ARGUMENT, tl_set_allocator(NULL), "live");
    cr_assert(!tl_model_new(.dtype = TL_I32));
    cr_has(tl_message(), ".dtype");
    cr_assert(!tl_model_copy(model, TL_I32));
    cr_assert(!tl_tape_new(NULL));
    cr_has(tl_message(), "model");
    cr_assert(!tl_session_new(NULL));
    cr_has(tl_message(), "model");
    cr_assert(!tl_compile(NULL));
    cr_has(tl_message(), "tape");
    cr_assert(tl_failed(NULL));
    RETURNS(TL_E_ARGUMENT, tl_tape_status(NULL), "tape");
    tl_tape_free(NULL), tl_tape_reset(NULL), tl_plan_free(NULL), tl_session_free(NULL), tl_model_free(NULL),
        tl_free(NULL), tl_trace_free(NULL);

    tl_gradcheck_result r = tl_gradcheck(model, no_loss, NULL, 0, NULL);
    cr_assert(!r.passed);
    RETURNS(TL_E_NONFINITE, r.status, "nan");
    end();
}

Test(errors, of_a_parameter_that_changed_before_compiling)
{
    begin();
    tl_tensor W;
    W = (line = __LINE__, tl_param(root, "W", TL_DIMS(2, 3)));
    tl_output(root, "y", W);
    set_param(model, "W", FLOATS(zeros, 3, 2)); /* loaded after it was asked for */
    cr_assert(!tl_compile(tape));
    RETURNS(TL_E_SHAPE, tl_tape_status(tape), "W", AT_LINE(line));
    cr_assert_eq(tl_model_count(model), 1);
    end();
}

Test(errors, statuses_have_names_and_meanings)
{
    for (int s = 0; s < TL_STATUS_COUNT; s++) {
        cr_assert(!strncmp(tl_status_name(s), s ? "TL_E_" : "TL_OK", s ? 5 : 6));
        cr_assert(strlen(tl_status_string(s)) > 5);
        for (int k = 0; k < s; k++) cr_assert(strcmp(tl_status_name(s), tl_status_name(k)));
    }
    cr_assert_str_eq(tl_status_name(TL_E_SHAPE), "TL_E_SHAPE");
    cr_assert_str_eq(tl_status_string(99), "unknown status");
    cr_assert_str_eq(tl_status_string(-1), "unknown status");
    cr_assert_str_eq(tl_message(), "");
    cr_assert_str_eq(tl_version(), TL_VERSION);
    cr_has(tl_build_info(), TL_VERSION);
    cr_assert_eq(tl_report(TL_E_FILE, "%s: %d", "x", 3), TL_E_FILE);
    cr_assert_str_eq(tl_message(), "x: 3");
}

/* Longer than any buffer: cut off, never written past. */
Test(errors, long_texts_are_cut)
{
    begin();
    char *text = malloc(5001);
    memset(text, 'x', 5000);
    text[5000] = 0;
    tl_error(tl_in(root, "enc"), TL_E_STATE, "%s", text);
    cr_assert(strlen(tl_tape_message(tape)) > 300 && strlen(tl_tape_message(tape)) < 1024);
    tl_report(TL_E_STATE, "%s", text);
    cr_assert_eq(strlen(tl_message()), 1023);
    tl_array a;
    cr_assert_eq(tl_get(session, text, &a), TL_E_OUTPUT);
    cr_assert_eq(tl_model_get(model, text, &a), TL_E_NAME);
    free(text);
    end();
}
