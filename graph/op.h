/* graph/op.h - what an operation is: the one thing that graph/ knows of ops/, and what a user writes to add an op.
 *
 * An operation is a `struct tl_op`: its shape rule, a kernel per element type, the rule for its gradient (written with
 * operations, so gradients of gradients work), its class, and the cases it is tested with. It is used by pointer
 * through tl_apply(); nothing is registered. A user's op has all that a built-in one has, and tl_check_op() runs the
 * library's own suite on it.
 *
 * The engine looks at an op's class and role only, never at its name.
 */
#ifndef TL_OP_H
#define TL_OP_H

#include "../graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the engine may assume about an operation.
 *   ELEMENTWISE  y[i] = f(a[i], b[i], ...), operands broadcast as in NumPy; the kernel may write over an operand.
 *   ROWWISE      acts on each row of the last axis (and on each alone)
 *   MATMUL       a (batched) matrix product, an FMA chain over the inner dimension
 *   REDUCE       a sum over axes in the library's fixed order
 *   VIEW         the same numbers in the same order under another shape, or a part of them that lies together
 *   MOVE         numbers in another order or place (permute, concat, pad): copies, never computes
 *   GATHER       picks or adds rows by index
 *   RANDOM       depends on the run number (and its own key) alone
 *   LEAF         has no operands: parameter, input, constant
 *   OPAQUE       anything else: nothing is assumed but that it may be called whenever its operands are there */
typedef enum tl_op_class {
    TL_OPAQUE,
    TL_ELEMENTWISE,
    TL_ROWWISE,
    TL_MATMUL,
    TL_REDUCE,
    TL_VIEW,
    TL_MOVE,
    TL_GATHER,
    TL_RANDOM,
    TL_LEAF
} tl_op_class;

/* The part an operation plays where the engine must build or recognise one. Each role but NONE has one op. */
typedef enum tl_op_role {
    TL_ROLE_NONE,
    TL_ROLE_ADD,   /* a + b */
    TL_ROLE_MUL,   /* a b */
    TL_ROLE_DIV,   /* a / b */
    TL_ROLE_NEG,   /* -a */
    TL_ROLE_FILL,  /* every element the same: attribute {double value} */
    TL_ROLE_WHERE, /* c ? a : b */
    TL_ROLE_KEEP,  /* c ? a : 0 */
    TL_ROLE_DROP,  /* c ? 0 : a */
    TL_ROLE_BROADCAST,
    TL_ROLE_RESHAPE,
    TL_ROLE_SLICE,
    TL_ROLE_CONCAT,
    TL_ROLE_TRANSPOSE,
    TL_ROLE_PRODUCT,     /* (C0 +) op(a) op(b) */
    TL_ROLE_PACK,        /* a matrix laid out for products; made by the compiler alone */
    TL_ROLE_ACTIVE,      /* which rows of a mask are not 0; made by the compiler alone */
    TL_ROLE_SUM,         /* (C0 +) sum over axes; also what undoes broadcasting */
    TL_ROLE_SCATTER_ADD, /* (C0 +) rows added by index */
    TL_ROLE_GATHER,
    TL_ROLE_ONE_HOT,
    TL_ROLE_STOP,  /* y = x, without gradient */
    TL_ROLE_COPY,  /* y = x */
    TL_ROLE_INPUT, /* leaves and endpoints that graph/ itself makes: */
    TL_ROLE_PARAM,
    TL_ROLE_CONST,
    TL_ROLE_STATE, /* the value carried from the run before (0 where there is none) */
    TL_ROLE_FRESH, /* 1 for each row whose state is new or was reset, else 0 */
    TL_ROLE_TAP,
    TL_ROLE_COUNT
} tl_op_role;

struct tl_op;

/* ---- shape rule --------------------------------------------------------------------------------------------- */

/* What a shape rule is given, and fills: out (the dtype starts as the first operand's, or the tape's if there is
 * none). */
typedef struct tl_shape_rule {
    const struct tl_op *op;
    const tl_shape *in;
    int n_in;
    const void *attr;
    tl_dtype dtype; /* the tape's */
    tl_shape out;
    tl_status status; /* why it was refused, and the sentence: filled by tl_refuse() */
    char reason[160];
} tl_shape_rule;

/* Says why operands are refused, in words that follow "matmul [2,3] x [4,5]: ". Returns false, for `return`. */
TL_API bool tl_refuse(tl_shape_rule *r, tl_status status, const char *format, ...) TL_PRINTF(3, 4);

/* NumPy's broadcasting of all operands into r->out. The rule of elementwise operations. */
TL_API bool tl_shape_broadcast(tl_shape_rule *r);
/* The shape and dtype of the first operand. */
TL_API bool tl_shape_same(tl_shape_rule *r);

/* ---- kernel ------------------------------------------------------------------------------------------------- */

/* How an operand lies in memory; strides are in elements, 0 along an axis that is broadcast.
 * Elementwise kernels get all operands in out's rank, with axes merged where that changes nothing (a run over arrays
 * without broadcasting has rank 1); dimensions are out's. All other kernels get dense row-major operands, but for
 * products of matrices: there rows of an operand and of the result may be further apart than they are long. */
typedef struct tl_desc {
    tl_dtype dtype;
    int rank;
    int64_t dim[TL_MAX_RANK];
    int64_t stride[TL_MAX_RANK];
} tl_desc;

/* Number of elements. */
static inline int64_t tl_desc_size(const tl_desc *d)
{
    int64_t n = 1;
    for (int a = 0; a < d->rank; a++) n *= d->dim[a];
    return n;
}

typedef struct tl_failure tl_failure;

/* One call of a kernel. It reads in[k], writes every element of out (out overlaps no operand, but for elementwise ops
 * it may be one, and for products C0), and touches nothing else. work: op->work() bytes, aligned to 64, undefined at the start. */
typedef struct tl_run_args {
    void *out;
    const void *const *in;
    int n_in;
    const tl_desc *out_desc;
    const tl_desc *in_desc;
    const void *attr;
    void *work;
    uint64_t seed, run; /* of the model, of this run */
    int64_t first_row;  /* added to the batch index by random operations */
    void *context;      /* the engine's */
    tl_failure *failure;
} tl_run_args;

/* TL_OK, or what tl_kernel_fail() returned. */
typedef tl_status (*tl_kernel)(const tl_run_args *r);

/* Reports bad numbers met at run time (an id out of range), before anything is written; the engine adds op, scope, step
 * and line. Returns status, for `return`. */
TL_API tl_status tl_kernel_fail(const tl_run_args *r, tl_status status, const char *format, ...) TL_PRINTF(3, 4);

/* Philox4x32-10 (Salmon et al., SC'11): four 32-bit numbers from a 128-bit counter and a 64-bit key. */
TL_API void tl_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* ---- gradient ----------------------------------------------------------------------------------------------- */

/* What a vjp rule is given: y = op(in...), g = d loss / d y, all as tensors on the tape. */
typedef struct tl_vjp {
    tl_tensor y, g;
    const tl_tensor *in;
    int n_in;
    const void *attr;
} tl_vjp;

/* Records d loss / d in[i], of in[i]'s shape, and returns it (TL_NONE: it is zero). Asked only for the operands that
 * are needed. If the rule ends in an op of role PRODUCT, SUM or SCATTER_ADD, the engine lets it start from the sum of
 * the contributions so far. */
typedef tl_tensor (*tl_vjp_fn)(const tl_vjp *v, int i);

/* ---- cases -------------------------------------------------------------------------------------------------- */

#define TL_CASE_INPUTS 4

/* One case of the op suite: operands' shapes, and from where their values are drawn. dtype 0 means the suite's own (f64
 * and f32 in turn). Float values are uniform in [lo, hi) (both zero: [-2, 2), kept away from 0 by 0.1); i32 values
 * are in 0..ids-1. */
typedef struct tl_case {
    int n_in;
    tl_shape in[TL_CASE_INPUTS];
    const void *attr;
    double lo, hi;
    int32_t ids;
    bool rejects;   /* the shape rule must refuse this */
    bool no_second; /* the second derivative is not checked here */
    int absent;     /* bit k set: operand k is TL_NONE */
} tl_case;

/* Shapes for cases: TL_CASE_SHAPE(2, 3); a scalar is TL_CASE_SCALAR; ids are TL_CASE_IDS(4). */
#define TL_CASE_SHAPE(...)                                                                                             \
    {                                                                                                                  \
        .rank = (int)(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int)), .dim = { __VA_ARGS__ }                            \
    }
#define TL_CASE_SCALAR                                                                                                 \
    {                                                                                                                  \
        .rank = 0                                                                                                      \
    }
#define TL_CASE_IDS(...)                                                                                               \
    {                                                                                                                  \
        .dtype = TL_I32, .rank = (int)(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int)), .dim = { __VA_ARGS__ }           \
    }

/* ---- the operation ------------------------------------------------------------------------------------------ */

struct tl_op {
    size_t size; /* sizeof(struct tl_op) */
    const char *name;
    int min_in, max_in; /* operands; max_in -1: any number. Operands may be TL_NONE where optional */
    int optional;       /* bit k set: operand k may be absent */
    tl_op_class cls;
    tl_op_role role;   /* TL_ROLE_NONE in a user's op */
    size_t attr_size;  /* attributes are copied bytewise and compared bytewise: no padding */
    size_t attr_plain; /* leading bytes of attr that hold no pointers; 0: all of it */
    bool (*shape)(tl_shape_rule *r);
    tl_kernel f32, f64; /* by the dtype of out (i32 uses f32: only ops that merely move numbers) */
    tl_vjp_fn vjp;      /* NULL: differentiating it is an error */
    bool no_gradient;   /* declared to have none: its gradient is zero (rounding, comparisons) */
    bool takes_i32;     /* float operands may also be i32 (ops that merely move numbers) */
    size_t (*work)(const tl_desc *out, const tl_desc *in, int n_in, const void *attr); /* bytes; NULL: none */
    const tl_case *cases;
    int n_cases;
    double f32_rtol; /* of f32 against f64 in the suite; 0: 1e-5 */
    int id;          /* built-in ops: number in ops.def + 1; a user's op: 0 */
    int zeroes;      /* bit k set: y is 0 wherever operand k is, if the other operands are finite */
};

/* Records op on n operands; attr points to op->attr_size bytes (NULL where that is 0). Checks dtypes and shapes. All
 * operands absent: returns an error handle that carries this place. */
TL_API tl_tensor tl_apply_at(tl_place at, const struct tl_op *op, const tl_tensor *in, int n, const void *attr);
TL_API tl_tensor tl_apply(const struct tl_op *op, const tl_tensor *in, int n, const void *attr);
#define tl_apply(...) tl_apply_at(TL_HERE, __VA_ARGS__)

/* The same for an op without operands, recorded in scope s. */
TL_API tl_tensor tl_apply_leaf_at(tl_place at, tl_scope *s, const struct tl_op *op, const void *attr);

/* A key for a random operation in scope s: from path, ordinal in the visit and visit indices; the seed comes at run
 * time. */
TL_API uint64_t tl_random_key(tl_scope *s);

/* Sums g back to the shape of `like`, undoing NumPy's broadcasting: the one place where that is done. */
TL_API tl_tensor tl_unbroadcast(tl_tensor g, tl_tensor like);

/* ---- attributes that the engine looks at, by role ------------------------------------------------------------ */

/* FILL. Unused dimensions are 0 here and below. */
typedef struct tl_fill_attr {
    double value;
    int64_t rank, dim[TL_MAX_RANK];
} tl_fill_attr;

/* RESHAPE, BROADCAST: the shape of the result. */
typedef struct tl_reshape_attr {
    int64_t rank, dim[TL_MAX_RANK];
} tl_reshape_attr;

/* SLICE: elements begin..end-1 of an axis, 0 <= begin <= end <= its size. */
typedef struct tl_slice_attr {
    int64_t axis, begin, end;
} tl_slice_attr;

/* CONCAT */
typedef struct tl_concat_attr {
    int64_t axis;
} tl_concat_attr;

/* TRANSPOSE: y's axis i is x's axis order[i]; unused entries are 0. */
typedef struct tl_permute_attr {
    int64_t order[TL_MAX_RANK];
} tl_permute_attr;

/* PRODUCT: is a (b) transposed in its last two axes? Operands a, b, C0 (may be absent). packed n > 0: b is the panels of
 * a matrix with n columns, made by PACK; then a has two axes, and tb is 0. A fourth operand, of two matrices, made by ACTIVE:
 * rows of a that it does not name are not read. They count as zeros, at least those before the first and behind the last that it names; of ta, as do b's.
 * ACTIVE, of a mask of n elements, each for a row: i32 [n + 2], see ops/active.c. */
typedef struct tl_product_attr {
    int64_t ta, tb, packed;
} tl_product_attr;

/* PACK: [k, n] (transposed: [n, k]) becomes panels [ceil(n / width), k, width], the last one filled up with zeros; the
 * width suits the kernels in use. */
typedef struct tl_pack_attr {
    int64_t transposed;
} tl_pack_attr;

/* SUM over axes axis_begin..axis_end-1, which stay with size 1 if keepdims. Operands x, C0 (may be absent). */
typedef struct tl_sum_attr {
    int64_t axis_begin, axis_end, keepdims;
} tl_sum_attr;

/* SCATTER_ADD into `rows` rows. Operands g, ids, C0 (may be absent). */
typedef struct tl_scatter_attr {
    int64_t rows;
} tl_scatter_attr;

/* ONE_HOT */
typedef struct tl_depth_attr {
    int64_t depth;
} tl_depth_attr;

/* The built-in op of a role; NULL where there is none. */
TL_API const struct tl_op *tl_op_of_role(tl_op_role role);

/* ---- the op suite ------------------------------------------------------------------------------------------- */

typedef struct tl_check_op_result {
    bool passed;
    int checks; /* made in all */
    int failed;
    char first[512]; /* the first failure, in words */
} tl_check_op_result;

/* Runs every case of an op: shape rule, f64 gradient against differences (random projections, and with the same tensor
 * as several operands), second order, f32 against f64, in-place safety (elementwise), every allocation made to fail in
 * turn. An op without cases fails. */
TL_API tl_check_op_result tl_check_op(const struct tl_op *op);

/* The built-in ops, for suites and tools: NULL outside 0..tl_op_count()-1. */
TL_API int tl_op_count(void);
TL_API const struct tl_op *tl_op_at(int i);

#ifdef __cplusplus
}
#endif
#endif
