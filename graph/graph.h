/* graph/graph.h - the engine: tape, scopes, parameters, gradients, plans, sessions.
 *
 * A *tape* records tensor operations as they are called. Recording computes nothing: it checks shapes and remembers.
 * tl_grad() appends the operations that compute gradients to the same tape. tl_compile() turns the tape into an
 * immutable *plan*, and a *session* runs plans on numbers. A *model* owns the parameters, which are named by their
 * path.
 *
 * Handles (tl_tensor) are small values: copy them, nest calls, drop them. Nothing is freed per tensor.
 *
 * Errors are sticky on the tape: the first one wins, every later call on that tape does nothing and returns an error
 * handle, so code checks once, where it reads a result (tl_failed, or the status of tl_compile, tl_run, tl_train_step).
 * Every function that returns a tl_status leaves a sentence for it in tl_message() (one per thread).
 *
 * A tape and a session are each used by one thread at a time. Any number of sessions, in any threads, may run one model
 * while nobody updates it or records new parameters. A model outlives its tapes, plans, sessions and optimizers.
 *
 * Most calls are macros that add the caller's file and line; each shares its name with a real function, so that
 * `tl_tanh` alone can be passed as a pointer. Options follow the positional arguments as designated initialisers, and
 * zero always means the default: tl_dense(s, x, .units = 10). A compound literal among the arguments of a macro goes
 * into parentheses, as C demands: tl_rnn(s, x, ((tl_cell){ .step = f, .states = 2 }), .units = 8).
 */
#ifndef TL_GRAPH_H
#define TL_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined __GNUC__
#define TL_API __attribute__((visibility("default")))
#define TL_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define TL_API
#define TL_PRINTF(f, a)
#endif

#ifdef __cplusplus
#include <initializer_list>
extern "C" {
#endif

/* ---- status ------------------------------------------------------------------------------------------------- */

#define TL_STATUS_MAP(X)                                                                                               \
    X(OK, "no error")                                                                                                  \
    X(E_MEMORY, "out of memory")                                                                                       \
    X(E_ARGUMENT, "an argument or option that makes no sense")                                                         \
    X(E_SHAPE, "shapes that do not fit")                                                                               \
    X(E_DTYPE, "element types that do not fit")                                                                        \
    X(E_ABSENT, "an operand that is absent")                                                                           \
    X(E_STALE, "a handle whose tape was reset or freed")                                                               \
    X(E_TAPE, "a handle of another tape")                                                                              \
    X(E_NAME, "a name asked for twice, or that does not exist")                                                        \
    X(E_NOGRAD, "an operation that cannot be differentiated")                                                          \
    X(E_INDEX, "an index out of range")                                                                                \
    X(E_REPLAY, "a model function that does not record the same thing twice")                                          \
    X(E_STATE, "a state that does not fit")                                                                            \
    X(E_OUTPUT, "a value that was not marked for reading")                                                             \
    X(E_INPUT, "input that does not fit the plan")                                                                     \
    X(E_FILE, "a file that cannot be read or written")                                                                 \
    X(E_FORMAT, "a file with bad contents")                                                                            \
    X(E_CHECK, "a gradient that does not agree with differences")                                                      \
    X(E_NONFINITE, "a value that is not finite")

typedef enum tl_status {
#define TL_STATUS_ENUM(name, text) TL_##name,
    TL_STATUS_MAP(TL_STATUS_ENUM)
#undef TL_STATUS_ENUM
        TL_STATUS_COUNT
} tl_status;

/* The meaning of a status in a few words; "unknown status" for anything else. Static storage. */
TL_API const char *tl_status_string(tl_status status);

/* The status's own name, "TL_E_SHAPE". Static storage. */
TL_API const char *tl_status_name(tl_status status);

/* The sentence that belongs to the last status other than TL_OK that this thread was given; "" if there was none.
 * Valid until the next failure in this thread. */
TL_API const char *tl_message(void);
TL_API tl_status tl_message_status(void); /* that status: for functions that return NULL */

/* ---- library-wide ------------------------------------------------------------------------------------------- */

#define TL_VERSION "0.1.0"

/* Version of the library that is linked, in the form of TL_VERSION. */
TL_API const char *tl_version(void);

/* One line: version, compiler, instruction set in use, BLAS and the kernels it has chosen. Static storage. */
TL_API const char *tl_build_info(void);

/* Is exact mode on (environment TL_EXACT=1, or tl_set_exact)? Then every matrix product uses the library's own kernels
 * (one chain of fused multiply-adds per element) and results are the same bits on any machine and thread count. */
TL_API bool tl_exact(void);
TL_API void tl_set_exact(bool on);

/* Where all memory comes from. resize(data, old, old_size, new_size) behaves as realloc; new_size 0 frees and returns
 * NULL. Set it before anything else is made; NULL restores malloc. Returns TL_E_ARGUMENT while memory is live. */
typedef struct tl_allocator {
    void *(*resize)(void *data, void *old, size_t old_size, size_t new_size);
    void *data;
} tl_allocator;
TL_API tl_status tl_set_allocator(const tl_allocator *allocator);

/* Bytes the library holds now (tape heads, which are recycled for ever, left out). */
TL_API size_t tl_live_bytes(void);

/* Number of allocations made so far; and: let allocation number n from now (1 = the next one) fail, once. 0 cancels. */
TL_API uint64_t tl_allocations(void);
TL_API void tl_fail_allocation(uint64_t n);

/* Free memory that the library handed out (texts of dumps and the like). NULL is harmless. */
TL_API void tl_free(void *p);

/* Sets this thread's tl_message() and returns status: how every room reports an error. */
TL_API tl_status tl_report(tl_status status, const char *format, ...) TL_PRINTF(2, 3);

/* The library's allocator: as realloc, with the old size told; new_size 0 frees and returns NULL; new bytes are not
 * set. NULL if memory is short (then p is as it was). */
TL_API void *tl_resize(void *p, size_t old_size, size_t new_size);

/* Called with each error sentence as it is made. NULL switches it off, as at the start. */
TL_API void tl_set_log(void (*log)(void *data, tl_status status, const char *message), void *data);

/* ---- places and options ------------------------------------------------------------------------------------- */

/* A line of source: the caller's. Lines inside the library are negative. */
typedef struct tl_place {
    const char *file;
    int line;
} tl_place;

#ifdef __cplusplus
#define TL_HERE (tl_place{ __FILE__, __LINE__ })
#elif defined TL_BUILD
#define TL_HERE ((tl_place){ __FILE__, -__LINE__ })
#else
#define TL_HERE ((tl_place){ __FILE__, __LINE__ })
#endif
#define TL_NOWHERE ((tl_place){ 0, 0 })

/* In any option that takes a number (but seeds and keys): the number zero, said aloud, where a plain 0 means the default.
 * Fits int, int64_t, double. The functions read it: the default for 0, 0 for TL_ZERO, else what is given. */
#define TL_ZERO (-2147483647)
static inline double tl_number(double given, double otherwise)
{
    return given == 0 ? otherwise : given == TL_ZERO ? 0 : given;
}
static inline int64_t tl_whole(int64_t given, int64_t otherwise)
{
    return given == 0 ? otherwise : given == TL_ZERO ? 0 : given;
}

/* Declares fn(...) and the twin that is told its caller's place, which the macro of the same name calls. */
#define TL_PLACED(type, fn, ...)                                                                                       \
    TL_API type fn(__VA_ARGS__);                                                                                       \
    TL_API type fn##_at(tl_place at, __VA_ARGS__)

/* ---- tensors ------------------------------------------------------------------------------------------------ */

#define TL_MAX_RANK 6

/* Element types. i32 is for ids and indices only: arithmetic is done in the model's type. */
typedef enum tl_dtype { TL_F32 = 1, TL_F64, TL_I32 } tl_dtype;

typedef struct tl_tape tl_tape;
typedef struct tl_model tl_model;
typedef struct tl_scope tl_scope;
typedef struct tl_plan tl_plan;
typedef struct tl_session tl_session;

/* A tensor on a tape, by value. All zero (TL_NONE) is the absent tensor of options. Functions that fail return an error
 * handle: not absent, its dimensions read as 1 and its values as NaN. */
typedef struct tl_tensor {
    tl_tape *tape;
    uint32_t id, generation;
} tl_tensor;

#ifdef __cplusplus
#define TL_NONE (tl_tensor())
#else
#define TL_NONE ((tl_tensor){ 0 })
#endif

/* A shape given as two arguments, rank and dimensions: tl_reshape(x, TL_DIMS(2, 3)). A scalar is TL_SCALAR. */
#ifdef __cplusplus
#define TL_DIMS(...)                                                                                                   \
    static_cast<int>(std::initializer_list<int64_t>{ __VA_ARGS__ }.size()),                                            \
        std::initializer_list<int64_t>{ __VA_ARGS__ }.begin()
#else
#define TL_DIMS(...) ((int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t))), ((int64_t[]){ __VA_ARGS__ })
#endif
#define TL_SCALAR 0, NULL

typedef struct tl_shape {
    tl_dtype dtype;
    int rank;
    int64_t dim[TL_MAX_RANK];
} tl_shape;

/* Numbers in the caller's memory, row-major without gaps: what is fed to a run and what is read after it.
 * batch_axis: the axis that counts samples; 0 = the default (axis 1 from rank 2 on, since sequences are [T, B, ...];
 * axis 0 for rank 1), TL_ZERO = axis 0. data may be NULL where only the shape matters. */
typedef struct tl_array {
    tl_dtype dtype;
    int rank;
    int64_t dim[TL_MAX_RANK];
    int batch_axis;
    void *data;
} tl_array;

/* An array over the caller's memory: tl_array_of(TL_F32, TL_DIMS(T, B, D), x), and TL_I32 for ids. */
TL_API tl_array tl_array_of(tl_dtype dtype, int rank, const int64_t *dim, void *data);

/* An input that is not there: the model function gets TL_NONE in its place. */
#ifdef __cplusplus
static inline tl_array tl_absent_array(void)
{
    tl_array a = tl_array();
    a.rank = -1;
    return a;
}
#define TL_ABSENT_ARRAY (tl_absent_array())
#else
#define TL_ABSENT_ARRAY ((tl_array){ .rank = -1 })
#endif

TL_API bool tl_absent(tl_tensor t);           /* is this TL_NONE? */
TL_API bool tl_is(tl_tensor a, tl_tensor b);  /* the same tensor of the same tape? */
TL_API int tl_rank(tl_tensor t);              /* 0 for a scalar, an absent or an error handle */
TL_API int64_t tl_dim(tl_tensor t, int axis); /* negative axes count from the end; 1 where there is no such axis */
TL_API int64_t tl_size(tl_tensor t);          /* number of elements */
TL_API tl_shape tl_shape_of(tl_tensor t);
TL_API tl_dtype tl_dtype_of(tl_tensor t);
TL_API int64_t tl_shape_size(const tl_shape *s); /* number of elements */

/* ---- model -------------------------------------------------------------------------------------------------- */

typedef struct tl_model_opts {
    size_t size;
    tl_dtype dtype; /* of parameters and arithmetic: TL_F32 (default) or TL_F64 */
    uint64_t seed;  /* of initial values and of random operations */
} tl_model_opts;

/* An empty model; parameters join it when a tape that asks for them is compiled. NULL on failure (tl_message() says
 * why). The first model made repairs OpenBLAS's choice of kernels where that is wrong (see docs/architecture.md);
 * environment TL_BLAS_KEEP=1 forbids it. Free with tl_model_free(), after all its tapes, plans and sessions. */
TL_API tl_model *tl_model_new_opt(const tl_model_opts *o);
#ifndef __cplusplus
#define tl_model_new(...) tl_model_new_opt(&(tl_model_opts){ .size = sizeof(tl_model_opts), __VA_ARGS__ })
#endif
TL_API void tl_model_free(tl_model *model); /* NULL is harmless */
TL_API tl_dtype tl_model_dtype(const tl_model *model);
TL_API uint64_t tl_model_seed(const tl_model *model);

/* One parameter. name is its path, "encoder/f/W"; values start at element `offset` of tl_model_values(). */
typedef struct tl_param_info {
    const char *name;
    tl_shape shape;
    int64_t offset, size;
    bool frozen; /* never given a gradient, never updated */
} tl_param_info;

TL_API int tl_model_count(const tl_model *model);                         /* number of parameters */
TL_API const tl_param_info *tl_model_param(const tl_model *model, int i); /* NULL outside 0..count-1 */
TL_API int tl_model_find(const tl_model *model, const char *name);        /* -1 if there is none of that name */
TL_API int64_t tl_model_size(const tl_model *model);                      /* elements in the flat array */

/* All parameters in one flat array of the model's dtype. The pointer is valid until a parameter is added. Whoever
 * writes through it calls tl_model_touch() afterwards (all functions of the library that change parameters do): what plans
 * need that depends on parameters alone, packed weights for example, lives with the model and is computed anew there,
 * once, not in each run. No run may be going on then. */
TL_API void *tl_model_values(tl_model *model);
TL_API void tl_model_touch(tl_model *model);

/* Write a parameter (any float dtype is converted), making it if the model has none of that name; its shape is checked
 * by the first recording that asks for it. TL_E_SHAPE if it exists with another shape. */
TL_API tl_status tl_model_set(tl_model *model, const char *name, const tl_array *value);

/* Read a parameter into value->data, converted to value->dtype; value's rank and dims are filled in. With data NULL
 * only the shape is told. TL_E_NAME if there is none of that name. */
TL_API tl_status tl_model_get(const tl_model *model, const char *name, tl_array *value);

/* Freeze (or thaw) every parameter whose name matches a shell pattern ("encoder/?*"). Returns how many matched. Plans
 * compiled before keep their gradients; trainers notice the change. */
TL_API int tl_model_freeze(tl_model *model, const char *pattern, bool frozen);

/* States of the model itself (tl_model_state), by their path, for saving, loading and looking. Counts only those that
 * have a value. Setting converts floats to the model's dtype, and makes the state if there is none of that name. */
TL_API int tl_model_states(const tl_model *model);
TL_API tl_status tl_model_state_value(const tl_model *model, int i, const char **name, tl_array *value);
TL_API tl_status tl_model_set_state(tl_model *model, const char *name, const tl_array *value);

/* A copy of parameters, state and seed in the given dtype (0: the same). NULL on failure. */
TL_API tl_model *tl_model_copy(const tl_model *model, tl_dtype dtype);

/* Exchanges the parameters and states of two models. It allocates nothing: who loads changes a copy, which may fail, and
 * exchanges at the end. No run may be going on. Plans, sessions and optimizers of a model serve on as long as it keeps the
 * parameters and states that it had, in their order, as a copy that was only added to does. TL_E_DTYPE if the models have
 * different ones. */
TL_API tl_status tl_model_swap(tl_model *a, tl_model *b);

/* ---- tape and scopes ---------------------------------------------------------------------------------------- */

typedef struct tl_tape_opts {
    size_t size;
    bool training;       /* what tl_training(s) answers: dropout and the like are on */
    tl_session *session; /* whose states tl_eval() sees; NULL: initial ones */
} tl_tape_opts;

/* A tape that records for a model. NULL on failure. */
TL_API tl_tape *tl_tape_new_opt(tl_model *model, const tl_tape_opts *o);
#ifndef __cplusplus
#define tl_tape_new(...) TL_TAPE_NEW_(__VA_ARGS__, .size = sizeof(tl_tape_opts))
#define TL_TAPE_NEW_(model, ...) tl_tape_new_opt((model), &(tl_tape_opts){ __VA_ARGS__ })
#endif
TL_API void tl_tape_free(tl_tape *tape);  /* makes all its handles stale; NULL is harmless */
TL_API void tl_tape_reset(tl_tape *tape); /* forgets everything recorded, keeps the memory; handles become stale */
TL_API tl_model *tl_tape_model(const tl_tape *tape);
TL_API int tl_tape_nodes(const tl_tape *tape); /* operations recorded so far */

TL_API bool tl_failed(const tl_tape *tape);              /* has an error occurred? (or is there no tape?) */
TL_API tl_status tl_tape_status(const tl_tape *tape);    /* the first one, TL_OK if none; sets tl_message() */
TL_API const char *tl_tape_message(const tl_tape *tape); /* its sentence, "" if none; valid until reset */

/* The scope with the empty path. Scopes live in the tape's memory: none is used after the tape's reset or end. */
TL_API tl_scope *tl_root(tl_tape *tape);

/* The scope `name` inside s; parameters asked for there are called s/name/... Names are not empty and hold no '/'. Like
 * tl_step and tl_again, it also says where the operations that follow are: error messages name that place. */
TL_PLACED(tl_scope *, tl_in, tl_scope *s, const char *name);
#define tl_in(...) tl_in_at(TL_HERE, __VA_ARGS__)

/* Visit t (time step, tree node) of s, t >= 0: the same visit however often it is called. The steps of a scope share
 * their parameters, which is what makes a network recurrent. */
TL_PLACED(tl_scope *, tl_step, tl_scope *s, int64_t t);
#define tl_step(...) tl_step_at(TL_HERE, __VA_ARGS__)

/* The t of the innermost tl_step() that s is in; -1 outside of steps, and once the tape has failed. For cells that keep
 * time: a step may record other operations than its neighbours. */
TL_API int64_t tl_step_number(const tl_scope *s);

/* A fresh visit of s: the same parameters once more, where sharing is meant. */
TL_PLACED(tl_scope *, tl_again, tl_scope *s);
#define tl_again(...) tl_again_at(TL_HERE, __VA_ARGS__)

/* s itself, but random numbers drawn there (and in scopes inside it) are the same at every step of the innermost scope
 * that steps: one dropout mask for a whole sequence (Gal & Ghahramani 2016). Outside of steps, one more stream. */
TL_PLACED(tl_scope *, tl_steady, tl_scope *s);
#define tl_steady(...) tl_steady_at(TL_HERE, __VA_ARGS__)

/* A fresh visit of s in which the n given parameters are the given tensors of the same shape: inner-loop updates, weight
 * normalisation, tied and generated weights. Parameters are handles that tl_param returned, within an overlay also
 * those of what stands for one parameter there, so overlays nest; else TL_E_ARGUMENT. Those of a layer that is ready
 * made come from tl_params() once it has been called; what that first call computed, and nothing uses, is not run.
 * Weight normalisation (Salimans & Kingma 2016) of an LSTM's four recurrent matrices:
 *
 *     tl_tensor U[4], V[4];
 *     tl_lstm(s, x, .units = H);
 *     const int n = tl_params(s, "lstm/?/U", U, 4);
 *     for (int i = 0; i < n; i++) V[i] = tl_l2_normalize(U[i], TL_AXES(0), 1e-12);    times a gain, where one is wanted
 *     tl_tensor h = tl_lstm(tl_overlay(s, n, U, V), x, .units = H); */
TL_PLACED(tl_scope *, tl_overlay, tl_scope *s, int n, const tl_tensor *params, const tl_tensor *tensors);
#define tl_overlay(...) tl_overlay_at(TL_HERE, __VA_ARGS__)

TL_API tl_tape *tl_scope_tape(const tl_scope *s);
TL_API const char *tl_scope_path(const tl_scope *s); /* "" for the root */
TL_API bool tl_training(const tl_scope *s);

/* Says that scope s is a layer of this kind ("LSTM") whose output is y, for tl_tape_layers() and summaries, and returns y.
 * The library's layers do so; your own may. The text is not copied and lives as long as the tape. What was said first of a
 * path stands. */
TL_API tl_tensor tl_scope_layer(tl_scope *s, const char *kind, tl_tensor y);

/* The place of what is recorded: between tl_enter and tl_leave, operations without a scope of their own are recorded in
 * scope s, and whatever the library records there is blamed on `at`, the line that called it (lines outside the library
 * are named as they are). Every function that takes a scope does this, and so puts its caller's place back. */
typedef struct tl_place_mark {
    tl_scope *scope;
    tl_place caller;
} tl_place_mark;
TL_API tl_place_mark tl_enter(tl_place at, tl_scope *s);
TL_API void tl_leave(tl_scope *s, tl_place_mark mark);

/* A copy of n bytes (p NULL: zeros) in the tape's arena, alive until the tape is reset: for the options of a cell. NULL
 * if the tape has failed or memory is short (which is then the tape's error). */
TL_API void *tl_scope_copy(tl_scope *s, const void *p, size_t n);

/* Records an error of the caller's own at this place (first error wins) and returns an error handle. */
TL_API tl_tensor tl_error_at(tl_place at, tl_scope *s, tl_status status, const char *format, ...) TL_PRINTF(4, 5);
#define tl_error(...) tl_error_at(TL_HERE, __VA_ARGS__)

/* ---- leaves ------------------------------------------------------------------------------------------------- */

/* The next input of the model function, of the given shape; floats must be of the model's dtype (TL_E_DTYPE). With
 * value.data set, the numbers are bound already, and tl_eval() can see them. Inputs are fed to tl_run() in the order of
 * these calls (so put each into a statement of its own: C does not say in which order arguments are evaluated). */
TL_PLACED(tl_tensor, tl_input, tl_scope *s, const char *name, tl_array value);
#define tl_input(...) tl_input_at(TL_HERE, __VA_ARGS__)

/* A stream of random numbers for initial values: it depends on the model's seed and the parameter's path alone. */
typedef struct tl_random {
    uint64_t key, counter;
    double spare; /* the second number of the last Box-Muller pair */
    bool has_spare;
} tl_random;
TL_API double tl_random_next(tl_random *r);        /* uniform in [0, 1), 53 bits */
TL_API double tl_random_next_normal(tl_random *r); /* standard normal */

/* How a parameter gets its initial values: fill writes the tl_shape_size(shape) values. By value; a, b and data are the
 * parameters of the recipe, e.g. the bounds of a uniform. fill NULL means zeros. Values that are not finite are
 * TL_E_NONFINITE when the tape is compiled. */
typedef struct tl_init tl_init;
struct tl_init {
    void (*fill)(const tl_init *self, const tl_shape *shape, double *out, tl_random *random);
    double a, b;
    const void *data;
};

typedef struct tl_param_opts {
    size_t size;
    int rank;
    const int64_t *dim;
    tl_init init; /* default: zeros */
    bool frozen;  /* made frozen, if made here */
} tl_param_opts;

/* The parameter `name` of scope s, of the model's dtype; made at first use. Within one visit a path may be asked for
 * once: a second request is TL_E_NAME, naming both lines, for two layers never share weights in silence. A path belongs
 * to the steps of a scope or to the scope itself, not to both. TL_E_SHAPE if the model has it in another shape.
 *     tl_tensor W = tl_param(s, "W", TL_DIMS(in, out), .init = tl_glorot_uniform()); */
TL_API tl_tensor tl_param_opt(tl_place at, tl_scope *s, const char *name, const tl_param_opts *o);
#ifndef __cplusplus
#define tl_param(s, name, ...) TL_PARAM_(s, name, __VA_ARGS__, .size = sizeof(tl_param_opts))
#define TL_PARAM_(s, name, r, d, ...)                                                                                  \
    tl_param_opt(TL_HERE, (s), (name), &(tl_param_opts){ .rank = (r), .dim = (d), __VA_ARGS__ })
#endif

/* The parameters asked for so far whose path below s matches a shell pattern ("*" matches '/' too; NULL: all), in the
 * order of their first requests: writes the first `max` handles to out (may be NULL) and returns how many there are.
 * With tl_overlay and tl_grad: a step of an inner loop over a network that was written without a thought of it. */
TL_API int tl_params(tl_scope *s, const char *pattern, tl_tensor *out, int max);

/* A constant of the tape's dtype with the given values (copied); tl_ids_const: of i32. */
TL_PLACED(tl_tensor, tl_const, tl_scope *s, int rank, const int64_t *dim, const double *values);
#define tl_const(...) tl_const_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_ids_const, tl_scope *s, int rank, const int64_t *dim, const int32_t *values);
#define tl_ids_const(...) tl_ids_const_at(TL_HERE, __VA_ARGS__)

/* A tensor of the tape's dtype with every element `value`. */
TL_PLACED(tl_tensor, tl_full, tl_scope *s, int rank, const int64_t *dim, double value);
#define tl_full(...) tl_full_at(TL_HERE, __VA_ARGS__)

/* The same, with shape, dtype and tape taken from t (of the tape's dtype if t is i32). */
TL_PLACED(tl_tensor, tl_full_like, tl_tensor t, double value);
#define tl_full_like(...) tl_full_like_at(TL_HERE, __VA_ARGS__)

/* ---- masks --------------------------------------------------------------------------------------------------- */

/* x [T, B, ...] that carries word of which steps are real: mask is [T, B] of any dtype, 0 where a step is padding, or the
 * i32 lengths [B] of its rows. y holds the numbers of x. Layers over sequences look at what their input carries and hand
 * it on to their result (layers/layers.h says which do). So do operations of which each result depends on one step and
 * row alone: elementwise ones, those over the last axis (softmax), a concatenation along later axes; where operands along
 * the steps carry different masks, the result carries none, and so it is with all other operations. mask TL_NONE: y
 * carries nothing. TL_E_SHAPE if they do not fit. tl_mask_of: what x carries, as it was given; TL_NONE if nothing. */
TL_PLACED(tl_tensor, tl_masked, tl_tensor x, tl_tensor mask);
#define tl_masked(...) tl_masked_at(TL_HERE, __VA_ARGS__)
TL_API tl_tensor tl_mask_of(tl_tensor x);

/* ---- gradients ---------------------------------------------------------------------------------------------- */

/* out[i] = d sum(y) / d wrt[i], for any real tensors of y's tape (inputs, parameters, interior values), as new tensors
 * on the same tape; zeros where y does not depend on wrt[i]. May be called while recording, repeatedly, on its own
 * results. Errors: TL_E_NOGRAD names an operation on the way that has no derivative; TL_E_DTYPE: ids have none. */
TL_API void tl_grad_at(tl_place at, tl_tensor y, const tl_tensor *wrt, int n, tl_tensor *out);
TL_API void tl_grad(tl_tensor y, const tl_tensor *wrt, int n, tl_tensor *out);
#define tl_grad(...) tl_grad_at(TL_HERE, __VA_ARGS__)

/* Differentiates sum(loss) with respect to every parameter on the tape that is not frozen and marks the gradients: a
 * session that runs the plan leaves them in tl_session_gradients(). Parameters that loss does not reach get none. */
TL_API void tl_backward_at(tl_place at, tl_tensor loss);
TL_API void tl_backward(tl_tensor loss);
#define tl_backward(...) tl_backward_at(TL_HERE, __VA_ARGS__)

/* ---- results and state -------------------------------------------------------------------------------------- */

/* Marks t for reading after a run, as `name` under s's path: tl_get(session, "decoder/logits", ...). Any shape and
 * dtype. TL_E_NAME if that is marked already; in steps use tl_emit and tl_collect. */
TL_API void tl_output_at(tl_place at, tl_scope *s, const char *name, tl_tensor t);
TL_API void tl_output(tl_scope *s, const char *name, tl_tensor t);
#define tl_output(...) tl_output_at(TL_HERE, __VA_ARGS__)

/* Inside a step: one value a step, to be stacked by tl_collect() over the steps of that scope. Emissions called "loss"
 * are summed into the loss of a trainer. */
TL_API void tl_emit_at(tl_place at, tl_scope *s, const char *name, tl_tensor t);
TL_API void tl_emit(tl_scope *s, const char *name, tl_tensor t);
#define tl_emit(...) tl_emit_at(TL_HERE, __VA_ARGS__)

/* Says which rows of the batch are real in step s: rows [B], 0 for padding. What is emitted in that step from then on is
 * zero in the others (a "loss" of padding counts nothing), and must be [B, ...] (TL_E_SHAPE). tl_rnn does this. */
TL_API void tl_step_mask_at(tl_place at, tl_scope *s, tl_tensor rows);
TL_API void tl_step_mask(tl_scope *s, tl_tensor rows);
#define tl_step_mask(...) tl_step_mask_at(TL_HERE, __VA_ARGS__)

/* [steps, ...]: what the steps of scope s have emitted as `name`, in order of their visits. TL_E_NAME if nothing. */
TL_PLACED(tl_tensor, tl_collect, tl_scope *s, const char *name);
#define tl_collect(...) tl_collect_at(TL_HERE, __VA_ARGS__)

/* Calls see(data, path, t's value) at every run, and changes no bit. Returns t. The value is valid during the call.
 * TL_E_ARGUMENT without a function. */
typedef void (*tl_tap_fn)(void *data, const char *path, const tl_array *value);
TL_PLACED(tl_tensor, tl_tap, tl_scope *s, tl_tensor t, tl_tap_fn see, void *data);
#define tl_tap(...) tl_tap_at(TL_HERE, __VA_ARGS__)

/* A value that lives in the session from run to run (axis 0 is the batch row): its present value, or `initial` where it
 * is new or was reset. tl_next sets it after the run. Gradients reach `initial` only. tl_model_state: it lives in the
 * model instead and is saved with it (running averages); a run that sets it counts as an update of the model.
 * Errors: TL_E_NAME for tl_next without the state, and for a state asked for twice. */
TL_PLACED(tl_tensor, tl_state, tl_scope *s, const char *name, tl_tensor initial);
#define tl_state(...) tl_state_at(TL_HERE, __VA_ARGS__)
TL_PLACED(tl_tensor, tl_model_state, tl_scope *s, const char *name, tl_tensor initial);
#define tl_model_state(...) tl_model_state_at(TL_HERE, __VA_ARGS__)
TL_API void tl_next_at(tl_place at, tl_scope *s, const char *name, tl_tensor value);
TL_API void tl_next(tl_scope *s, const char *name, tl_tensor value);
#define tl_next(...) tl_next_at(TL_HERE, __VA_ARGS__)

/* The value of a scalar, now, computed from the inputs bound so far: to print, or to steer C control flow. Such a
 * recording is not reused for other inputs. NaN on error; TL_E_SHAPE for more than one number. */
TL_API double tl_eval_at(tl_place at, tl_tensor t);
TL_API double tl_eval(tl_tensor t);
#define tl_eval(...) tl_eval_at(TL_HERE, __VA_ARGS__)

/* The same for any shape: all values, converted to double, into out[tl_size(t)]; NaNs on error. */
TL_API void tl_eval_values_at(tl_place at, tl_tensor t, double *out);
TL_API void tl_eval_values(tl_tensor t, double *out);
#define tl_eval_values(...) tl_eval_values_at(TL_HERE, __VA_ARGS__)

/* Where it comes from that x, or with TL_NONE the gradients of tl_backward(), are not finite: runs the recording as tl_eval() does,
 * with its session's states and run number, and writes into out (`size` bytes) the first operation that has a NaN or an
 * infinity from none of its operands, "first NaN in log at model.c:41 in encoder at step 17", or the input, parameter or
 * state that has one: "there is NaN in input in[0]". False: nothing was found, or memory is short. Costs the memory of all
 * values that are needed, until the tape is reset. */
TL_API bool tl_find_nonfinite(tl_tape *tape, tl_tensor x, char *out, size_t size);

/* ---- plan and session --------------------------------------------------------------------------------------- */

/* An immutable plan of what the tape's outputs, gradients, taps and states need. New parameters join the
 * model here, and values that depend on parameters alone, unless another plan has brought the same ones: then no run may
 * be going on. NULL if the tape has failed or memory is short; then the model is as it was. The plan does not need the
 * tape any more. */
TL_API tl_plan *tl_compile(tl_tape *tape);
TL_API void tl_plan_free(tl_plan *plan);                /* NULL is harmless */
TL_API size_t tl_plan_arena_bytes(const tl_plan *plan); /* what a session needs to run it */
TL_API int tl_plan_instructions(const tl_plan *plan);

/* Floating-point operations of the matrix products of a run, 2 m n k each: those that it does, and those of the tape as
 * it was written, before products were merged, left out or looked up. */
TL_API double tl_plan_flops(const tl_plan *plan);
TL_API double tl_plan_flops_written(const tl_plan *plan);

/* A session: memory to run plans of one model in, the gradients, the states and the number of the run. NULL on
 * failure. */
TL_API tl_session *tl_session_new(tl_model *model);
TL_API void tl_session_free(tl_session *session); /* NULL is harmless */
TL_API tl_model *tl_session_model(const tl_session *session);
TL_API const tl_plan *
tl_session_plan(const tl_session *session); /* the last that ran, valid until the next run; or NULL */

/* Runs a plan on n inputs, in the order of tl_input(). Shapes and dtypes must be the recorded ones (TL_E_INPUT).
 * Allocates nothing after the first run of the largest plan. On failure states keep their old values. */
TL_API tl_status tl_run(tl_session *session, const tl_plan *plan, const tl_array *inputs, int n);

/* A run in two steps, for who wants to see its results before: states and the run's number stay as they are until
 * tl_session_advance() sets them, which does nothing a second time. Without it, it is as if there had been no run. */
TL_API tl_status tl_run_ahead(tl_session *session, const tl_plan *plan, const tl_array *inputs, int n);
TL_API void tl_session_advance(tl_session *session);

/* What the last run left under an output's name: out describes the session's own memory, valid until the next run.
 * TL_E_OUTPUT if nothing of that name was marked. */
TL_API tl_status tl_get(const tl_session *session, const char *name, tl_array *out);
TL_API double tl_get_scalar(const tl_session *session, const char *name); /* NaN if there is none */

/* Gradients of the last run, flat, at the model's offsets. `ranges` (may be NULL) receives *n pairs {begin, end} of
 * elements that the plan's loss reaches; the others hold nothing of meaning. */
typedef struct tl_range {
    int64_t begin, end;
} tl_range;
TL_API void *tl_session_gradients(tl_session *session, const tl_range **ranges, int *n);

/* The same to be read only, or to be changed without making a zero anything else: what is known of tables' rows stays
 * known. */
TL_API const void *tl_session_read_gradients(const tl_session *session, const tl_range **ranges, int *n);

/* Where the loss uses a parameter [V, ...] only by gathering rows of it once (an embedding), its gradient is zero but
 * for the rows that were used, and a run touches no others: their numbers, ascending, *n of them; valid until the next
 * run. NULL if any row may have a gradient, as after tl_session_gradients(). */
TL_API const int32_t *tl_session_rows(const tl_session *session, int param, int64_t *n);

TL_API uint64_t tl_session_runs(const tl_session *session);          /* number of the next run */
TL_API void tl_session_set_runs(tl_session *session, uint64_t runs); /* random operations depend on it */
TL_API void tl_session_hold(tl_session *session, bool hold);         /* runs change neither number nor states */

TL_API void tl_session_reset(tl_session *session);                                    /* all states to initial */
TL_API tl_status tl_session_reset_rows(tl_session *session, const bool *rows, int n); /* those rows of every state */
TL_API tl_status tl_session_gather_rows(tl_session *session, const int32_t *from, int n); /* row i := old row from[i] */
TL_API tl_session *tl_session_clone(const tl_session *session);                           /* states and run number */

/* States by their path, for saving, loading and looking. Counts only states that have a value. */
TL_API int tl_session_states(const tl_session *session);
TL_API tl_status tl_session_state(const tl_session *session, int i, const char **name, tl_array *value);
TL_API tl_status tl_session_set_state(tl_session *session, const char *name, const tl_array *value);

/* Rows of state i that were reset: row r of it begins with its initial value in the next run if fresh[r] is 1, not 0. *rows
 * is a view of f32 [rows], or [1] for a scalar, to be read or written; setting the state makes all of them 0. */
TL_API tl_status tl_session_state_fresh(const tl_session *session, int i, tl_array *fresh);

/* Exchanges states and run numbers of two sessions, which cannot fail; those of models that are about to be exchanged, too
 * (tl_model_swap). */
TL_API void tl_session_swap(tl_session *a, tl_session *b);

/* ---- looking ------------------------------------------------------------------------------------------------ */

/* The tape as text (a line for each operation) or as a Graphviz DOT graph (scopes as clusters, steps visible).
 * NULL on failure; free with tl_free(). */
TL_API char *tl_tape_text(const tl_tape *tape);
TL_API char *tl_tape_dot(const tl_tape *tape);
TL_API char *tl_plan_text(const tl_plan *plan);

/* A layer of a tape: the outermost scope on a path that tl_scope_layer() was told of; or else, where there are parameters
 * outside of such scopes, the first part of their path. */
typedef struct tl_layer_info {
    const char *path;                  /* "encoder/lstm"; "" where parameters are in no scope */
    const char *kind;                  /* "LSTM"; "" if nobody said */
    tl_shape output;                   /* dtype 0 if nobody said */
    int64_t trainable, frozen, states; /* elements of its parameters, and of states of the model (tl_model_state) */
} tl_layer_info;

/* The layers of a tape in the order in which they were made, *n of them. Texts live as long as the list, kinds as long as
 * the tape. NULL if memory is short; free with tl_free(). */
TL_API tl_layer_info *tl_tape_layers(const tl_tape *tape, int *n);

/* The plan as a DOT graph: instructions, and edges from who writes a value to who reads it; calls that were fused into one
 * are a cluster. In a plan of more than 120 instructions, those of one operation, shape, line and scope (the steps of a
 * sequence) are drawn as one. */
TL_API char *tl_plan_dot(const tl_plan *plan);

/* What the compiler made of the tape, in plain words (docs/compiler.md): sizes, what each pass did at which line of the model
 * and what it left as it was and why, and how many instructions of each kind there are. NULL if memory is short; free
 * with tl_free(). */
TL_API char *tl_explain(const tl_plan *plan);

/* Takes the time of each instruction in all runs of a session from now on; off (as at the start) gives up what was taken. A run
 * without it reads no clock. TL_E_MEMORY.
 * tl_profile: the times so far as a table, instructions of one operation, shape, line and scope together, the slowest first:
 * calls and milliseconds of a run (its mean), their share, GFLOP/s of products and GB/s of all others. NULL if nothing was
 * timed (TL_E_ARGUMENT), or memory is short; free with tl_free(). */
TL_API tl_status tl_session_profile(tl_session *session, bool on);
TL_API char *tl_profile(const tl_session *session);

/* ---- a model function, recorded once and replayed ----------------------------------------------------------- */

/* A model function: records the model on inputs in[0..n-1] and returns its loss (absent when the targets are). It may
 * be called again at any replay, so side effects of its own must not matter. */
typedef tl_tensor (*tl_model_fn)(tl_scope *s, const tl_tensor *in, void *user);

/* Beyond the inputs that are given, `in` holds so many absent ones: a function that is given too few sees TL_NONE. */
#define TL_SPARE_INPUTS 16

/* A sum of all emissions called "loss" and the given loss; what trainers and the gradient check take as the loss. */
TL_API tl_tensor tl_total_loss(tl_scope *s, tl_tensor loss);

/* A recording in the form of hashes, to prove that a model function records the same thing again. */
typedef struct tl_trace tl_trace;
TL_API tl_trace *tl_trace_new(const tl_tape *tape); /* NULL on failure */
TL_API void tl_trace_free(tl_trace *trace);
/* TL_E_REPLAY, naming the first line that differs, if this tape does not hold the same operations. */
TL_API tl_status tl_trace_compare(const tl_trace *trace, const tl_tape *tape);
TL_API bool tl_tape_evaluated(const tl_tape *tape); /* did tl_eval() look at it? */

/* ---- gradient check ----------------------------------------------------------------------------------------- */

typedef struct tl_gradcheck_opts {
    size_t size;
    bool full;         /* every element by itself instead of random projections */
    bool second_order; /* the gradient of a random projection of the gradient too (not each step for itself) */
    bool inputs;       /* check the gradients of float inputs too */
    bool no_steps;     /* do not check each time step's own contribution */
    int directions;    /* random directions for each parameter (default 3); each is taken with both signs */
    double step;       /* of differences, relative to the values' size (default 1e-4; a fourth-order formula) */
    double rtol, atol; /* |difference - gradient| <= atol + rtol * size (defaults 1e-6, 1e-9), and rounding's share */
    uint64_t seed;     /* of the directions */
    bool training;     /* record with training on (random numbers are held) */
} tl_gradcheck_opts;

typedef struct tl_gradcheck_result {
    bool passed;
    int probes;               /* differences taken and compared */
    int kinks;                /* left out because the function has a kink there (counted, never passed) */
    double worst;             /* worst relative error seen; below a size of atol / rtol, relative to that */
    char where[256];          /* its parameter or input, element (-1: a projection) and time step, in words */
    char parameter[192];      /* path of the worst */
    int64_t element, step;    /* -1: none in particular */
    double numeric, analytic; /* the two values there */
    tl_status status;         /* TL_OK, TL_E_CHECK, or why the check could not be made; tl_message() has the sentence */
} tl_gradcheck_result;

/* Checks the gradients of a model function on an f64 copy of the model's present values, at the given inputs (as for
 * tl_run; targets may be absent: data NULL and rank -1). The function is the one that trains in f32. Reports the worst
 * parameter, element and time step. NaN fails. The model is not changed (parameters that it lacks are made in the
 * copy). The time is that of some runs for each parameter and direction and, but for .no_steps, for each time step of
 * it; .full takes some for each element, and .second_order differentiates the gradient: keep sequences short (a fault
 * of a cell shows in five steps). */
TL_API tl_gradcheck_result tl_gradcheck_opt(const tl_model *model, tl_model_fn fn, const tl_array *inputs, int n,
                                            void *user, const tl_gradcheck_opts *o);
#ifndef __cplusplus
#define tl_gradcheck(model, fn, inputs, n, ...)                                                                        \
    TL_GRADCHECK_(model, fn, inputs, n, __VA_ARGS__, .size = sizeof(tl_gradcheck_opts))
#define TL_GRADCHECK_(model, fn, inputs, n, user, ...)                                                                 \
    tl_gradcheck_opt((model), (fn), (inputs), (n), (user), &(tl_gradcheck_opts){ __VA_ARGS__ })
#endif

#ifdef __cplusplus
}
#endif
#endif
