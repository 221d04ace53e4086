/* ops/table.c - the built-in operations from ops.def, and the choice of their kernels. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "graph/op.h"
#include "ops/kernels/kernels.h"

#define OP(name, file) extern const struct tl_op tl_op_##name;
#include "ops/ops.def"
#undef OP

static const struct tl_op *const table[] = {
#define OP(name, file) &tl_op_##name,
#include "ops/ops.def"
#undef OP
};
enum { N_OPS = sizeof table / sizeof *table };

int tl_op_count(void) { return N_OPS; }

const struct tl_op *tl_op_at(int i) { return i >= 0 && i < N_OPS ? table[i] : NULL; }

/* ---- instruction sets --------------------------------------------------------------------------------------- */

enum { BASE, V3, V4, N_ISA };
static const char *const isa_name[N_ISA] = { "base", "v3", "v4" };

#if TL_HAVE_X86_KERNELS
#define OP(name, file)                                                                                                 \
    tl_status tl_k_##name##_v3_f32(const tl_run_args *r);                                                              \
    tl_status tl_k_##name##_v3_f64(const tl_run_args *r);                                                              \
    tl_status tl_k_##name##_v4_f32(const tl_run_args *r);                                                              \
    tl_status tl_k_##name##_v4_f64(const tl_run_args *r);
#include "ops/ops.def"
#undef OP

static const tl_kernel wide[N_OPS][2][2] = {
#define OP(name, file)                                                                                                 \
    { { tl_k_##name##_v3_f32, tl_k_##name##_v3_f64 }, { tl_k_##name##_v4_f32, tl_k_##name##_v4_f64 } },
#include "ops/ops.def"
#undef OP
};

static int machine_isa(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi") ||
        !__builtin_cpu_supports("bmi2"))
        return BASE;
    const bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    return v4 ? V4 : V3;
}

static tl_kernel wide_kernel(int op, int isa, bool f64) { return wide[op][isa - V3][f64]; }
#else
static int machine_isa(void) { return BASE; }
static tl_kernel wide_kernel(int op, int isa, bool f64) { return (void)op, (void)isa, (void)f64, (tl_kernel)NULL; }
#endif

static int isa = BASE;
static const struct tl_op *of_role[TL_ROLE_COUNT];

static void choose(void)
{
    const char *wanted = getenv("TL_ISA");
    isa = machine_isa();
    for (int i = 0; wanted && i < isa; i++)
        if (!strcmp(wanted, isa_name[i])) isa = i;
    for (int i = 0; i < N_OPS; i++)
        if (table[i]->role != TL_ROLE_NONE) of_role[table[i]->role] = table[i];
}

static void choose_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose);
}

int tl_isa(void)
{
    choose_once();
    return isa;
}

const char *tl_isa_name(void) { return isa_name[tl_isa()]; }

int64_t tl_panel_width(tl_dtype dtype)
{
    static const int64_t bytes[N_ISA] = { 32, 64, 128 }; /* two vectors */
    return bytes[tl_isa()] / (dtype == TL_F64 ? 8 : 4);
}

tl_kernel tl_kernel_for(const struct tl_op *op, tl_dtype dtype)
{
    choose_once();
    if (op->id && isa != BASE) return wide_kernel(op->id - 1, isa, dtype == TL_F64);
    return dtype == TL_F64 ? op->f64 : op->f32;
}

const struct tl_op *tl_op_of_role(tl_op_role role)
{
    choose_once();
    return (unsigned)role < TL_ROLE_COUNT ? of_role[role] : NULL;
}
