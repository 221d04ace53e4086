/* graph/check_kernel.c - the op suite: what a kernel promises, tried outside any plan with guards around its result. */
#include <string.h>

#include "graph/check.h"

enum { GUARD = 64 }; /* bytes before and after a result, which no kernel may touch */

/* The kernel of a rig's result, to be called outside any plan, with room for two results. */
typedef struct tl_call {
    const tl_rig *rig;
    tl_run_args args;
    tl_desc desc[TRIAL_IN + 1];
    const void *in[TRIAL_IN];
    tl_failure failure;
    size_t bytes, work, size; /* of the result, of work, of the block */
    char *block, *out[2];
} tl_call;

static void reset_operands(tl_call *k)
{
    for (int i = 0; i < k->args.n_in; i++) k->in[i] = k->rig->data[tl_trial_first(k->rig->trial, i)];
}

static bool begin_call(tl_call *k, const tl_rig *r)
{
    const tl_node *node = tl_node_of(r->y);
    const int n = r->trial->c->n_in;
    *k = (tl_call){ .rig = r, .bytes = (size_t)tl_shape_size(&node->shape) * tl_dtype_size(node->shape.dtype) };
    tl_describe(r->tape, node, NULL, k->desc);
    if (node->op->work) k->work = node->op->work(k->desc, k->desc + 1, n, node->attr);
    const size_t one = (k->bytes + 2 * GUARD + 63) & ~(size_t)63;
    k->size = 64 + 2 * one + k->work;
    k->block = tl_resize(NULL, 0, k->size);
    if (!k->block) return false;
    char *start = (char *)(((uintptr_t)k->block + 63) & ~(uintptr_t)63);
    k->out[0] = start + GUARD;
    k->out[1] = start + one + GUARD;
    k->args = (tl_run_args){ .in = k->in,
                             .n_in = n,
                             .out_desc = k->desc,
                             .in_desc = k->desc + 1,
                             .attr = node->attr,
                             .work = k->work ? start + 2 * one : NULL,
                             .seed = r->model->seed,
                             .failure = &k->failure };
    reset_operands(k);
    return true;
}

/* Runs the kernel into out[i]; what it is not given a value for is all `fill`. over >= 0: in place of that operand. */
static bool run_call(tl_check *c, tl_call *k, int i, int fill, int over)
{
    const tl_rig *r = k->rig;
    unsigned char *out = (unsigned char *)k->out[i];
    memset(out - GUARD, fill, k->bytes + 2 * GUARD);
    if (k->work) memset(k->args.work, fill, k->work);
    if (over >= 0) memcpy(out, k->in[over], k->bytes);
    const void *old = over >= 0 ? k->in[over] : NULL;
    for (int j = 0; old && j < k->args.n_in; j++)
        if (k->in[j] == old) k->in[j] = out;
    k->args.out = out;
    const tl_status status = tl_kernel_for(c->op, tl_dtype_of(r->y))(&k->args);
    reset_operands(k);
    bool inside = true;
    for (size_t j = 0; j < GUARD; j++) inside &= out[k->bytes + j] == fill && *(out - 1 - j) == fill;
    return tl_verdict(c, !status, "the %s kernel fails: %s", tl_dtype_name(r->dtype), k->failure.reason) &&
           tl_verdict(c, inside, "the %s kernel writes outside its result", tl_dtype_name(r->dtype));
}

static tl_dtype dtype_of(const tl_rig *r, int k) { return r->trial->shape[k].dtype == TL_I32 ? TL_I32 : r->dtype; }

/* Are the operands still what the trial says? (All of its numbers are exact in both types.) */
static bool untouched(const tl_rig *r)
{
    bool same = true;
    for (int k = 0; k < r->trial->c->n_in; k++)
        for (int64_t i = 0; i < tl_trial_size(r->trial, k); i++)
            same &= tl_read(r->data[k], dtype_of(r, k), i) == r->trial->value[k][i];
    return same;
}

/* The plan lets an elementwise result take over the memory of any operand of its size. */
static bool may_take_over(const tl_rig *r, int k)
{
    const tl_shape y = tl_shape_of(r->y);
    const tl_trial *t = r->trial;
    if (t->op->cls != TL_ELEMENTWISE || !t->value[k] || tl_trial_size(t, k) != tl_shape_size(&y)) return false;
    return tl_dtype_size(dtype_of(r, k)) == tl_dtype_size(y.dtype);
}

static bool kernel_is_good(tl_check *c, const tl_rig *r)
{
    tl_call k;
    const char *type = tl_dtype_name(r->dtype);
    if (!tl_verdict(c, begin_call(&k, r), "out of memory")) return false;
    bool good = run_call(c, &k, 0, 0xA5, -1) && run_call(c, &k, 1, 0x5A, -1);
    good = good && tl_verdict(c, !memcmp(k.out[0], k.out[1], k.bytes),
                              "the %s kernel does not write every element from its operands alone: it depends on "
                              "what was there before, or on itself",
                              type);
    good = good && tl_verdict(c, untouched(r), "the %s kernel writes to an operand", type);
    for (int i = 0; good && i < r->trial->c->n_in; i++)
        if (may_take_over(r, i))
            good = run_call(c, &k, 1, 0x5A, i) &&
                   tl_verdict(c, !memcmp(k.out[0], k.out[1], k.bytes),
                              "the %s kernel gives another result in place of operand %d", type, i);
    tl_resize(k.block, k.size, 0);
    return good;
}

/* Before anything else: a kernel that writes elsewhere would spoil what the rest of the suite stands on. */
bool tl_check_kernel(tl_check *c, tl_dtype dtype)
{
    tl_rig r;
    const tl_status status = tl_rig_record(&r, &c->trial, dtype, 0);
    const bool good = tl_verdict(c, !status, "cannot be recorded: %s", tl_message()) && kernel_is_good(c, &r);
    tl_rig_close(&r);
    return good;
}
