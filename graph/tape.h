/* graph/tape.h - the engine's own data. Private to graph/.
 *
 * Rooms: memory.c (allocator, arena), table.c (hash table, interned strings), status.c, model.c (parameters), tape.c
 * (nodes, handles, errors), scope.c (scopes, visits, parameters' identity), layer.c (a tape's layers), leaf.c (leaves, outputs, states), grad.c
 * (adjoints), execute.c (one node's kernel call; tl_eval), keep.c (values that depend on parameters alone), place.c, plan.c,
 * fuse.c, assign.c (a plan), session.c (runs), trace.c, dump.c, note.c and explain.c (what the compiler did).
 */
#ifndef TL_TAPE_H
#define TL_TAPE_H

#include <stdarg.h>
#include <stdatomic.h>

#include "graph/graph.h"
#include "graph/legal.h"
#include "graph/op.h"
#include "ops/kernels/kernels.h"

/* ---- memory.c ----------------------------------------------------------------------------------------------- */

/* Bump allocation in blocks; everything is freed at once. */
typedef struct tl_arena {
    struct tl_block *blocks; /* the newest first */
    struct tl_block *spare;  /* from before the last reset, the oldest first */
} tl_arena;

void *tl_arena_alloc(tl_arena *a, size_t n); /* zeroed, aligned to 64; NULL if memory is short */
void tl_arena_reset(tl_arena *a);            /* keeps the memory for what comes next */
void tl_arena_free(tl_arena *a);

/* Makes room for one more element in a growing array; false if memory is short. */
bool tl_grow(void **p, uint32_t n, uint32_t *cap, size_t element);
#define TL_GROW(p, n, cap) tl_grow((void **)&(p), (n), &(cap), sizeof *(p))
#define TL_RELEASE(p, cap) ((p) = tl_resize((p), (size_t)(cap) * sizeof *(p), 0), (cap) = 0)

char *tl_text_alloc(size_t n); /* to be freed with tl_free() */

/* A growing text. */
typedef struct tl_text {
    char *s;
    size_t n, cap;
    bool failed;
} tl_text;
void tl_text_add(tl_text *t, const char *format, ...) TL_PRINTF(2, 3);
char *tl_text_take(tl_text *t); /* for tl_free(); NULL if memory was short */

/* ---- table.c ------------------------------------------------------------------------------------------------ */

uint64_t tl_hash(uint64_t h, const void *p, size_t n);
uint64_t tl_mix(uint64_t a, uint64_t b);

/* Open addressing, two words of key to one of value. */
typedef struct tl_table {
    struct tl_slot {
        uint64_t a, b, value;
        bool used;
    } * slot;
    uint32_t n, cap;
} tl_table;

uint64_t *tl_table_find(const tl_table *t, uint64_t a, uint64_t b); /* NULL if absent */
uint64_t *tl_table_put(tl_table *t, uint64_t a, uint64_t b,
                       uint64_t value); /* finds or inserts; NULL: memory is short */
void tl_table_clear(tl_table *t);
void tl_table_free(tl_table *t);

/* ---- status.c ----------------------------------------------------------------------------------------------- */

tl_status tl_report_text(tl_status status, const char *sentence);

/* ---- keep.c ------------------------------------------------------------------------------------------------- */

typedef struct tl_kept tl_kept;    /* a value that depends on parameters and constants alone */
enum { TL_KEEP_BYTES = 16 << 20 }; /* larger ones are computed in each run */

void tl_kept_release(tl_plan *p);          /* p needs its kept values no more */
void tl_kept_sweep(tl_model *m);           /* frees those that no plan needs */
void tl_kept_free(tl_model *m);            /* all; those that a plan still needs when that plan is freed */
tl_status tl_kept_check(const tl_plan *p); /* could the values that p needs be computed at the last update? */

/* ---- model.c ------------------------------------------------------------------------------------------------ */

/* A named value that survives runs; lives in every session, or (in_model) in the model. */
typedef struct tl_state_info {
    char *name;
    bool in_model;
    uint64_t hash;
} tl_state_info;

/* Where a state's numbers are. fresh[row] is 1 for each row that has no value. */
typedef struct tl_state_value {
    tl_shape shape;
    void *data;
    size_t bytes;
    float *fresh; /* as numbers, so that they can be copied out; rows of axis 0, 1 for a scalar */
    int64_t rows;
    bool set; /* has it ever had a value? */
} tl_state_value;

struct tl_model {
    tl_dtype dtype;
    uint64_t seed;
    tl_param_info *param;
    uint32_t n_param, cap_param;
    char *values; /* flat, 64-byte aligned inside `block` */
    void *block;
    int64_t size, cap;           /* elements */
    uint64_t frozen_version;     /* counts changes of what is frozen */
    tl_state_info *state;        /* registry; slots have the same number in every session */
    tl_state_value *state_value; /* of those that live in the model */
    uint32_t n_state, cap_state, cap_state_value;
    tl_kept **kept; /* values computed from parameters; each after those that it is computed from */
    uint32_t n_kept, cap_kept, n_kept_failed;
    void *kept_work;
    size_t kept_work_bytes;
};

size_t tl_dtype_size(tl_dtype dtype);
const char *tl_dtype_name(tl_dtype dtype);
double tl_read(const void *data, tl_dtype dtype, int64_t i);
void tl_write(void *data, tl_dtype dtype, int64_t i, double v);
bool tl_shape_valid(int rank, const int64_t *dim); /* rank in range, sizes >= 0, product and bytes fit */
bool tl_shape_equal(const tl_shape *a, const tl_shape *b);
static inline size_t tl_bytes_of(const tl_shape *s) { return (size_t)tl_shape_size(s) * tl_dtype_size(s->dtype); }
int tl_shape_print(char *out, size_t n, const tl_shape *s);                  /* "[32,64]" */
tl_status tl_model_reserve(tl_model *m, uint32_t n_param, int64_t elements); /* so that adding cannot fail */
void tl_model_truncate(tl_model *m, uint32_t n_param, int64_t size);         /* takes back what was just added */
int tl_model_add(tl_model *m, const char *name, const tl_shape *shape, bool frozen); /* its number; -1: memory */
/* Writes a parameter's initial values; false if one of them is not finite. scratch: room for as many doubles. */
bool tl_init_fill(const tl_model *m, const char *name, const tl_shape *shape, const tl_init *init, void *out,
                  double *scratch);
int tl_model_state_slot(tl_model *m, const char *name, bool in_model);              /* found or made; -1: memory */
tl_status tl_state_set(tl_state_value *v, const tl_shape *shape, const void *data); /* allocates if the shape is new */
void tl_state_free(tl_state_value *v);

/* ---- tape --------------------------------------------------------------------------------------------------- */

typedef struct tl_visit {
    const struct tl_visit *parent;
    enum { TL_VISIT_ROOT, TL_VISIT_STEP, TL_VISIT_AGAIN } kind;
    const char *path; /* whose visit */
    int64_t index;
    uint64_t hash;  /* of the whole chain: key of random numbers */
    uint64_t steps; /* of the paths that step in it: what a parameter's path belongs to */
} tl_visit;

typedef struct tl_overlay_map {
    const struct tl_overlay_map *outer;
    int n;
    const char **path;
    tl_tensor *tensor;
} tl_overlay_map;

struct tl_scope {
    tl_tape *tape;
    uint32_t generation;
    const char *path; /* interned */
    const tl_visit *visit;
    const tl_overlay_map *overlay;
    bool steady; /* random numbers leave the innermost step's index out */
};

typedef struct tl_node {
    const struct tl_op *op;
    void *attr;
    size_t attr_size;
    uint32_t first_in, n_in; /* operands: tape->in[first_in ...], node ids, 0 = absent */
    tl_shape shape;
    tl_place at, caller;     /* the op's line; the user's line, if that is another */
    const tl_scope *scope;   /* where it was recorded */
    uint32_t differentiates; /* the node (of the recorded tape) whose gradient rule recorded this; 0: none */
} tl_node;

typedef struct tl_tape_param {
    const char *path;
    uint32_t id;
    tl_shape shape;
    tl_init init;
    bool frozen;
    int index;      /* in the model; -1: staged */
    tl_place first; /* where it was first asked for */
    uint64_t steps;
    const char *step_path;
    void *value; /* of a staged one, once tl_eval has looked */
} tl_tape_param;

typedef struct tl_tape_mark { /* an output, an emission, a state to be set */
    const char *name;         /* full path */
    const tl_visit *visit;
    uint32_t id, state;
    tl_place at;
} tl_tape_mark;

typedef struct tl_tape_state {
    const char *name;
    bool in_model;
    tl_shape shape;
    uint32_t carried, fresh;
    tl_place at;
} tl_tape_state;

typedef struct tl_tape_layer { /* what tl_scope_layer() was told */
    const char *path, *kind;
    uint32_t output; /* node */
} tl_tape_layer;

typedef struct tl_tape_gradient {
    uint32_t param, id;
} tl_tape_gradient;

/* Faults that tests plant to see whether the gradient check and the suites catch them (DESIGN 4). Never set
 * otherwise. */
typedef enum tl_fault {
    TL_FAULT_NONE,
    TL_FAULT_NO_ACCUMULATION, /* a second contribution to an adjoint takes the place of the first */
    TL_FAULT_STALE_RUN,       /* the executor leaves the last instruction out from the second run on */
    TL_FAULT_SAME_KEYS,       /* all nodes have the same key: no harm, but slow */
#define TL_WITHOUT(name, words) TL_WITHOUT_##name,
    TL_CONDITIONS(TL_WITHOUT) /* as if that condition always held (graph/legal.h) */
#undef TL_WITHOUT
    TL_FAULTS
} tl_fault;
extern tl_fault tl_planted_fault;
#define TL_LEGAL(name, condition) (tl_planted_fault == TL_WITHOUT_##name || (condition))

/* How the gradient check sees each use of a parameter in a step. */
typedef struct tl_probe {
    tl_tensor (*use)(struct tl_probe *p, tl_scope *s, tl_tensor param, const char *path);
} tl_probe;

struct tl_tape {
    _Atomic uint32_t generation;
    tl_tape *next_free;
    tl_model *model;
    tl_session *session;
    bool training, evaluated;
    tl_probe *probe;

    tl_status status;
    char message[1024];

    tl_arena arena;
    tl_node *node;
    uint32_t n, cap;
    uint32_t *in;
    uint32_t n_in, cap_in;
    void **value; /* of nodes that tl_eval has computed */
    uint32_t cap_value;

    tl_place_mark place;
    uint32_t place_node; /* while adjoints are recorded: the node they differentiate; else 0 */

    tl_scope root;
    tl_visit root_visit;
    tl_table strings, visits, agains, params, requests, ordinals, masks;

    tl_tape_param *param;
    uint32_t n_param, cap_param;
    tl_array *input;
    uint32_t *input_id;
    const char **input_name;
    uint32_t n_input, cap_input, cap_input_id, cap_input_name;
    tl_tape_mark *output, *emit, *next;
    uint32_t n_output, cap_output, n_emit, cap_emit, n_next, cap_next;
    tl_tape_state *state;
    uint32_t n_state, cap_state;
    tl_tape_layer *layer;
    uint32_t n_layer, cap_layer;
    uint32_t *tap;
    uint32_t n_tap, cap_tap;
    tl_tape_gradient *gradient;
    uint32_t n_gradient, cap_gradient;
    tl_tape_gradient *used; /* ids of all rows in which a gradient can be other than 0, where a pass knows them */
    uint32_t n_used, cap_used;
};

/* tape.c */
tl_tensor tl_handle(tl_tape *tape, uint32_t id);
tl_tensor tl_error_handle(tl_tape *tape);
tl_tensor tl_placed_error(tl_place at); /* no tape is known: carries the place */
tl_tensor tl_without_tape(tl_place at, const tl_tensor *in,
                          int n);                         /* no operand is live: the same, or the first of that kind */
tl_status tl_why_dead(char out[static 512], tl_tensor t); /* why a handle is not live: "is absent (TL_NONE)" */
const tl_node *tl_node_of(tl_tensor t);                   /* NULL for anything that is no live node */
uint32_t tl_operand(tl_tape *tape, tl_place at, tl_tensor t,
                    const char *what);          /* node id; 0 after recording the error */
tl_tape *tl_tape_of(const tl_tensor *t, int n); /* of the first handle that has a live one */
tl_tensor tl_tape_fail(tl_tape *tape, tl_place at, tl_status status, const char *format, ...) TL_PRINTF(4, 5);
tl_tensor tl_no_memory(tl_tape *tape);
const char *tl_intern(tl_tape *tape, const char *s); /* NULL if memory is short (the tape's error) */
uint32_t tl_record(tl_tape *tape, tl_place at, const tl_scope *scope, const struct tl_op *op, const uint32_t *in,
                   uint32_t n, const void *attr, size_t attr_size, const tl_shape *shape); /* 0: failed */
bool tl_alive(const tl_scope *s);                         /* a scope of a tape that has not failed */
tl_tensor tl_scope_error(tl_place at, const tl_scope *s); /* what a call on a dead scope returns */
void tl_place_print(char *out, size_t n, tl_place at, tl_place caller, const char *path, const tl_visit *visit);
tl_place tl_user_place(const tl_tape *tape, tl_place at); /* the user's line for a call made at `at` */
const char *tl_base_name(const char *file);
static inline uint32_t tl_node_in(const tl_tape *t, const tl_node *n, uint32_t k) { return t->in[n->first_in + k]; }

/* scope.c */
const char *tl_join_path(tl_tape *tape, const char *path, const char *name);

/* leaf.c: the operations that the engine itself makes */
tl_tensor tl_summed(tl_tensor x); /* a loss that is no scalar counts as its sum */
extern const struct tl_op tl_op_input, tl_op_param, tl_op_const, tl_op_state, tl_op_fresh, tl_op_tap;
typedef struct tl_index_attr {
    int64_t index; /* in the tape's list */
    uint64_t name; /* hash of its path */
} tl_index_attr;
typedef struct tl_tap_attr {
    uint64_t name;
    const char *path;
    tl_tap_fn see;
    void *data;
} tl_tap_attr;

/* ---- join.c ------------------------------------------------------------------------------------------------- */

/* The model as it was before a tape's new parameters joined it. */
typedef struct tl_joined {
    uint32_t n_param;
    int64_t size;
} tl_joined;

bool tl_join(tl_tape *t, tl_joined *before); /* all or none; false: the tape has failed */
void tl_unjoin(tl_tape *t, tl_joined before);

/* ---- execute.c ---------------------------------------------------------------------------------------------- */

/* Computes node id and whatever it needs, as tl_eval; NULL on failure. */
const void *tl_node_value(tl_tape *t, uint32_t id);

/* How a value lies in memory: rows of `cols` elements each, `stride` elements apart; cols 0: dense. */
typedef struct tl_layout {
    int64_t cols, stride;
} tl_layout;

/* A part of dense elements: `rows` of them, each `width` wide, the first at `begin`, one every `pitch`. */
typedef struct tl_part {
    int64_t begin, rows, width, pitch;
} tl_part;

/* fuse.c: bytes of a tile of all arrays of a fused instruction together. Tests make it small. */
extern int64_t tl_tile_bytes;
/* Multiply-adds from which a product is worth a look at the mask of its rows (passes/active.c); tests look at all. */
extern int64_t tl_active_work;
/* fuse.c: does row i of what this node makes depend on row i of its operands alone? */
bool tl_by_rows(const tl_tape *tape, const tl_node *node);
/* fuse.c: does this node add up rows, one after the other? Then it can do so with some rows at a time. */
bool tl_adds_rows(const tl_tape *tape, const tl_node *node);

/* Can an array of this shape lie so? Some axis must begin where rows do. */
bool tl_layout_fits(const tl_shape *shape, tl_layout layout);

/* An array of this shape that lies so. */
void tl_lay(tl_desc *desc, const tl_shape *shape, tl_layout layout);

/* How node's kernel sees its operands: desc[0] is out, desc[1..] the operands. desc has room for n_in + 1. layout (NULL:
 * all dense) has n_in + 1 entries too; only operations that say so (plan building knows) may get others than dense. */
void tl_describe(const tl_tape *tape, const tl_node *node, const tl_layout *layout, tl_desc *desc);
/* The descriptions of an elementwise operation: joins what is one run in all of the n arrays. */
void tl_merge_axes(tl_desc *desc, int n);
/* Is this node some elements of its first operand, in the same order? Then which. */
bool tl_part_of(const tl_tape *tape, const tl_node *node, tl_part *part);
/* Does this node's result lie inside its first operand's, `offset` elements from its start? */
bool tl_is_view(const tl_tape *tape, const tl_node *node, int64_t *offset);

struct tl_failure {
    char reason[256];
};

/* ---- note.c ------------------------------------------------------------------------------------------------- */

enum { TL_NOTE_NUMBERS = 3 };

/* What a pass did at one line of the model, or left as it was, and why: tl_explain() shows it. */
typedef struct tl_note {
    const char *pass,
        *text;           /* literals; each # of the text stands for the next number, the word after it is a plural */
    const char *subject; /* what it was done to, the path of a parameter; NULL: no such */
    const char *path;    /* of the scope; NULL: of the whole tape */
    tl_place at, caller;
    bool left;     /* it was not done */
    bool gradient; /* at an operation that a gradient rule recorded */
    int64_t number[TL_NOTE_NUMBERS];
} tl_note;

/* Notes while a plan is made. What is said again of the same line adds its numbers to what was said before, so that 64
 * time steps are one note. */
typedef struct tl_notes {
    tl_note *note;
    uint32_t n, cap;
    tl_table known;
    bool failed; /* memory was short */
} tl_notes;

void tl_note_add(tl_notes *notes, const tl_note *what);
/* The same of a node (NULL: of the whole tape), whose line and scope it takes. */
void tl_note_node(tl_notes *notes, const char *pass, const tl_node *n, bool left, const char *subject, const char *text,
                  const int64_t number[TL_NOTE_NUMBERS]);
bool tl_notes_keep(const tl_notes *notes, tl_plan *p); /* copies them into the plan; false: memory */
void tl_notes_free(tl_notes *notes);

/* ---- plan --------------------------------------------------------------------------------------------------- */

typedef enum tl_base {
    TL_BASE_ARENA,
    TL_BASE_VALUES,
    TL_BASE_GRADIENTS,
    TL_BASE_CONSTS, /* relative to the plan itself */
    TL_BASE_KEPT,   /* relative to the model itself */
    TL_BASE_INPUTS
} tl_base;

#define TL_BASE_NONE UINT32_MAX

typedef struct tl_ref { /* where an operand lies: an address relative to a base that only a run knows */
    uint32_t base;      /* TL_BASE_INPUTS + k: input k; TL_BASE_NONE: it is absent */
    int64_t offset;     /* bytes; of constants and kept values also negative */
} tl_ref;

/* One kernel of a fused instruction, which works on a tile of rows at a time. */
typedef struct tl_member {
    tl_kernel kernel;
    const struct tl_op *op;
    const void *attr;
    const tl_desc *desc[2]; /* out and operands: of a whole tile, of the last */
    const uint16_t
        *at; /* their numbers in the instruction: 0 .. n_memory - 1 are its operands, others live in its work */
    uint32_t n_in, place;
    bool
        adds; /* its result has no rows: all of them are added to it, and from the second tile on it starts from itself */
} tl_member;

/* How the members use an operand of the instruction. */
typedef struct tl_use {
    uint32_t first, last; /* member */
    int64_t step;         /* bytes from row to row; 0: all rows share it */
    bool written;
} tl_use;

/* An instruction made of several (fuse.c): all its operands are in ref[1 ...], also those that it writes; ref[0] is none. */
typedef struct tl_fused {
    int64_t rows, tile; /* tile: rows at a time */
    uint32_t n_members, n_memory, n_streams;
    const tl_member *member;
    const int64_t *step;   /* bytes from tile to tile */
    const int64_t *offset; /* in the work space */
    const tl_use *use;
} tl_fused;

typedef struct tl_instr {
    tl_kernel kernel;
    const struct tl_op *op;
    const void *attr;
    const tl_desc *desc;   /* out, operands */
    const tl_ref *ref;     /* out, operands */
    const tl_fused *fused; /* NULL: one kernel */
    int64_t work;          /* offset in the arena; -1: none */
    uint32_t n_in;
    uint32_t place; /* in plan->place */
} tl_instr;

typedef struct tl_plan_place {
    tl_place at, caller;
    const char *path;
    const tl_visit *visit; /* copied into the plan */
    bool gradient;         /* recorded by a gradient rule */
} tl_plan_place;

typedef struct tl_plan_value { /* an output, or a state to be set */
    const char *name;
    tl_shape shape;
    tl_ref ref;
    int slot;
    bool in_model;
} tl_plan_value;

typedef struct tl_plan_table { /* a parameter whose gradient is 0 but for the rows that ids name */
    int param;
    int64_t rows, ids; /* its rows; how many ids there are */
    bool all;          /* is every row written? */
} tl_plan_table;

struct tl_plan {
    _Atomic uint32_t users;
    tl_model *model;
    tl_arena memory; /* everything below lives here */
    tl_instr *instr;
    uint32_t n_instr, max_in;
    tl_plan_place *place;
    char *consts;
    size_t arena_bytes;
    tl_array *input;
    const char **input_name;
    uint32_t n_input;
    tl_plan_value *output, *next, *state;
    uint32_t n_output, n_next, n_state;
    tl_range *range; /* of gradients */
    uint32_t n_range;
    tl_plan_table *table;
    uint32_t n_table;
    uint32_t n_param; /* of the model when this was compiled */
    const tl_note *note;
    uint32_t n_note;
    struct {
        uint32_t operations, products;
        double flops; /* of the products */
    } written;        /* what the tape was asked for, before any pass */
    tl_kept **kept;   /* each after those that it is computed from */
    uint32_t n_kept, cap_kept;
    bool checked; /* was it proven? Then each run starts from an arena of signalling NaNs, too */
};

/* One operation on parameters, constants and other kept values; lives with the model, shared by plans. */
struct tl_kept {
    _Atomic uint32_t users; /* plans, and the model itself */
    uint64_t key;
    size_t bytes;           /* of all this, which is one block */
    const struct tl_op *op; /* NULL: a constant, whose numbers are its attribute */
    tl_kernel kernel;
    const void *attr;
    size_t attr_size;
    uint32_t n_in;
    tl_ref *ref;          /* of the operands */
    tl_desc *desc;        /* out, operands */
    const void **pointer; /* to the operands, when it is computed */
    char *data;
    size_t size;
    bool varies; /* with parameters */
    tl_status status;
    struct tl_failure failure; /* of the last computation */
};

/* keep.c: in which of p's kept values an operand lies; p->n_kept: in none */
uint32_t tl_kept_at(const tl_plan *p, tl_ref ref);

/* Which rows of a table's gradient the last run has written. */
typedef struct tl_used_rows {
    int param;
    bool known;     /* is `row` true of the last run? */
    bool clean;     /* and are all other rows zero? */
    int32_t *row;   /* each once, ascending */
    uint64_t *seen; /* a bit for each row: is it in the list? */
    int64_t n, cap, rows;
} tl_used_rows;

struct tl_session {
    tl_model *model;
    char *arena;
    void *arena_block;
    size_t arena_bytes;
    char *gradients;
    void *gradients_block;
    int64_t gradients_size; /* elements */
    tl_used_rows *used;
    uint32_t n_used, cap_used;
    const void **pointers; /* operands of one instruction */
    char **base;
    uint32_t cap_pointers, cap_base;
    tl_state_value *state;
    uint32_t n_state;
    uint64_t runs;
    bool hold;
    bool ahead;    /* states and number are those before the last run */
    tl_plan *plan; /* the last that was run: its outputs can be read */
    bool ran, ran_once;
    struct tl_profiled *profile; /* NULL: off */
};

/* mask.c: x, emitted in s as `name`, with zeros in the rows that are padding there */
tl_tensor tl_unpadded(tl_place at, tl_scope *s, const char *name, tl_tensor x);

/* plan.c: the k-th node that is asked for as an output, state, gradient or tap; 0 after the last */
uint32_t tl_asked_for(const tl_tape *t, uint32_t k);

/* place.c: is it made once, at compile time, and lies with the constants? */
bool tl_is_small_fill(const tl_node *node);

/* keep.c: lasting[i] becomes true for each node that depends on parameters and constants alone and can live with the
 * model (or lies in what does), else false */
void tl_mark_lasting(const tl_tape *t, bool *lasting);

/* plan.c: live[i] becomes true for each node that an output, state, gradient or tap needs */
void tl_mark_live(const tl_tape *t, bool *live);

/* rows.c: gradients of tables, of which a run touches only the rows that it used */
bool tl_rows_room(tl_session *s, const tl_plan *p);  /* allocates what p needs; false: memory */
void tl_rows_begin(tl_session *s, const tl_plan *p); /* p is about to run */
tl_status tl_rows_kernel(const tl_run_args *r);      /* zeros for ids (in[0]) in the table's gradient (out) */
void tl_rows_forget(tl_session *s);                  /* the gradients are no more what a run left */
void tl_rows_free(tl_session *s);

/* profile.c: runs whose instructions are timed one by one; execute runs the instructions first .. last - 1 */
typedef tl_status tl_execute(tl_session *s, const tl_plan *p, uint32_t first, uint32_t last);
tl_status tl_profile_run(tl_session *s, const tl_plan *p, tl_execute *execute);
bool tl_profile_room(tl_session *s,
                     const tl_plan *p); /* allocates what a run of p needs, if profiling is on; false: memory */
void tl_profile_free(tl_session *s);

tl_state_value *tl_session_slot(tl_session *s, int slot, bool in_model); /* NULL: no such slot yet */

#endif
