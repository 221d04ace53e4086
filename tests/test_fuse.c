/* tests/test_fuse.c - where values lie, and what runs tile by tile: censuses of small graphs, whose bits are those of the
 * plan without. */
#include "tests/support.h"

#include "layers/layers.h"

enum { R = 6, C = 8, OUTPUTS = 3 };

typedef void graph(tl_scope *s, tl_tensor x);

typedef struct census_of_plan {
    int instructions, fused, copies, members, tiles;
    size_t arena;
} census_of_plan;

static census_of_plan look_at(const tl_plan *p)
{
    census_of_plan c = { .instructions = (int)p->n_instr, .arena = p->arena_bytes };
    for (uint32_t k = 0; k < p->n_instr; k++) {
        const tl_fused *f = p->instr[k].fused;
        c.copies += !strcmp(p->instr[k].op->name, "copy") || !strcmp(p->instr[k].op->name, "concat") ||
                    !strcmp(p->instr[k].op->name, "slice");
        if (!f) continue;
        c.fused++;
        c.members += (int)f->n_members;
        c.tiles = (int)((f->rows + f->tile - 1) / f->tile);
        for (uint32_t m = 0; m < f->n_members; m++) c.copies += !strcmp(f->member[m].op->name, "copy");
    }
    return c;
}

static tl_session *run_with(graph *f, const char *words, int64_t tile, census_of_plan *census)
{
    static float x[R * C];
    for (int i = 0; i < R * C; i++) x[i] = (float)sin(i + 1);
    setenv("TL_PASSES", words, 1);
    tl_tile_bytes = tile;
    tl_set_exact(true);
    tl_model *m = tl_model_new(.seed = 4);
    tl_tape *t = tl_tape_new(m);
    const tl_array in = FLOATS(x, R, C);
    f(tl_root(t), tl_input(tl_root(t), "x", in));
    tl_plan *plan = tl_compile(t);
    cr_assert(plan, "%s", tl_message());
    *census = look_at(plan);
    tl_tape_free(t);
    tl_session *s = tl_session_new(m);
    cr_assert(tl_run(s, plan, &in, 1) == TL_OK, "%s", tl_message());
    tl_plan_free(plan);
    return s;
}

/* What is marked "a", "b", "c" must have the same bits with all passes, whatever the tiles, as with none. */
static census_of_plan check(graph *f)
{
    census_of_plan none, c;
    tl_session *s = run_with(f, "-all", 40 << 10, &none);
    for (int64_t tile = 1; tile <= 40 << 10; tile *= 6) {
        tl_session *q = run_with(f, "", tile, &c);
        for (int k = 0; k < OUTPUTS; k++) {
            tl_array y, z;
            const char *name = (const char *[]){ "a", "b", "c" }[k];
            if (tl_get(s, name, &y)) continue;
            cr_assert(tl_get(q, name, &z) == TL_OK && !memcmp(y.data, z.data, bytes_in(&y)), "%s, tiles of %d bytes",
                      name, (int)tile);
        }
        tl_model *m = tl_session_model(q);
        tl_session_free(q);
        tl_model_free(m);
    }
    tl_model *m = tl_session_model(s);
    tl_session_free(s);
    tl_model_free(m);
    return c;
}

/* ---- runs ----------------------------------------------------------------------------------------------------------- */

static void plain(tl_scope *s, tl_tensor x) { tl_output(s, "a", tl_mul(tl_tanh(x), tl_sigmoid(tl_neg(x)))); }

Test(fuse, elementwise_operations_are_one_instruction_and_keep_nothing)
{
    const census_of_plan c = check(plain);
    cr_assert(c.instructions == 1 && c.fused == 1 && c.members == 4, "%d, %d", c.instructions, c.members);
    census_of_plan alone;
    tl_session *s = run_with(plain, "-fuse", 40 << 10, &alone);
    tl_model *m = tl_session_model(s);
    tl_session_free(s);
    tl_model_free(m);
    cr_assert(alone.instructions == 4);
}

/* y + (its own rows, one further up): rows of the sum need other rows of y. */
static void shifted(tl_scope *s, tl_tensor x)
{
    const tl_tensor y = tl_tanh(x);
    tl_output(s, "a", tl_mul(tl_slice(y, 0, 1, R), tl_slice(y, 0, 0, R - 1)));
}
/* The mean row is needed by every row. */
static void centred(tl_scope *s, tl_tensor x)
{
    const tl_tensor y = tl_square(x), v = tl_tanh(tl_slice(y, 0, R - 1, R));
    tl_output(s, "a", tl_sub(tl_exp(tl_neg(y)), tl_scale(v, 2)));
}
/* A vector of R elements has R rows, but as an operand it is a row. */
static void turned(tl_scope *s, tl_tensor x)
{
    const tl_tensor square = tl_slice(x, 1, 0, R), y = tl_exp(square), v = tl_sum(y, TL_AXES(1));
    tl_output(s, "a", tl_add(tl_tanh(y), tl_neg(v)));
}

/* Both halves of a stack are made and used in one run, but a row of the stack is no row of the run. */
static void halves(tl_scope *s, tl_tensor x)
{
    const tl_tensor y = tl_concat(2, (tl_tensor[]){ tl_tanh(x), tl_exp(x) }, 0);
    tl_tensor z[8], sum = tl_neg(x);
    for (int k = 0; k < 8; k++) z[k] = tl_scale(x, k);
    sum = tl_mul(tl_slice(y, 0, 0, R), tl_add(sum, tl_slice(y, 0, R, 2 * R)));
    for (int k = 0; k < 8; k++) sum = tl_add(sum, z[k]); /* other values in tiles meanwhile */
    tl_output(s, "a", sum);
}

Test(fuse, rows_of_others_end_a_run)
{
    cr_assert(check(halves).instructions == 1);
    cr_assert(check(shifted).instructions == 2);
    cr_assert(check(centred).instructions >= 2);
    cr_assert(check(turned).instructions >= 2);
}

/* Layer normalisation written out: sums over rows and what is spread over them again. */
static void normed(tl_scope *s, tl_tensor x)
{
    const tl_tensor y = tl_sub(x, tl_mean_keep(x, TL_AXES(-1)));
    const tl_tensor v = tl_mean_keep(tl_square(y), TL_AXES(-1));
    tl_output(s, "a", tl_div(y, tl_sqrt(tl_add_scalar(v, 1e-5))));
}

Test(fuse, sums_over_rows_belong_to_the_run)
{
    const census_of_plan c = check(normed);
    cr_assert(c.instructions == 1 && c.fused == 1, "%d", c.instructions);
}

/* ---- places --------------------------------------------------------------------------------------------------------- */

static void gates(tl_scope *s, tl_tensor x)
{
    tl_tensor z[4];
    tl_split(tl_matmul(x, tl_param(s, "W", TL_DIMS(C, 4 * C), .init = normal)), 4, -1, z);
    for (int k = 0; k < 4; k++) z[k] = tl_tanh(z[k]);
    tl_output(s, "a", tl_mul(z[0], z[2]));
    tl_output(s, "b", tl_matmul(tl_concat(4, z, -1), tl_param(s, "U", TL_DIMS(4 * C, 3), .init = normal)));
}

Test(place, columns_are_read_and_made_where_they_are)
{
    const census_of_plan c = check(gates);
    cr_assert(c.copies == 0 && c.instructions == 3, "%d copies, %d", c.copies, c.instructions);
}

/* Products write their columns side by side, too; stacks of stacks are one block. */
static void nested(tl_scope *s, tl_tensor x)
{
    tl_tensor side[3];
    for (int k = 0; k < 3; k++)
        side[k] = tl_matmul(
            x, tl_param(tl_in(s, (const char *[]){ "p", "q", "r" }[k]), "W", TL_DIMS(C, 5), .init = normal));
    const tl_tensor row = tl_concat(3, side, 1), both = tl_concat(2, (tl_tensor[]){ row, tl_neg(row) }, 0);
    tl_output(s, "a", tl_matmul(both, tl_param(s, "U", TL_DIMS(15, 2), .init = normal)));
}

Test(place, stacks_in_stacks)
{
    const census_of_plan c = check(nested);
    cr_assert(c.copies == 0 && c.instructions == 5, "%d copies, %d", c.copies, c.instructions);
}

/* One value in two places: one of them is a copy. Twice in one: likewise. An input is always copied. */
static void wanted_twice(tl_scope *s, tl_tensor x)
{
    const tl_tensor y = tl_tanh(x), z = tl_exp(y);
    tl_output(s, "a", tl_sum(tl_concat(2, (tl_tensor[]){ y, z }, 0), TL_AXES(0)));
    tl_output(s, "b", tl_sum(tl_concat(3, (tl_tensor[]){ z, y, z }, 0), TL_AXES(0)));
    tl_output(s, "c", tl_sum(tl_concat(2, (tl_tensor[]){ tl_sigmoid(y), x }, 0), TL_AXES(0)));
}

Test(place, what_has_a_place_is_copied_to_another)
{
    const census_of_plan c = check(wanted_twice);
    cr_assert(c.copies == 1 + 1 + 1, "%d", c.copies); /* z again; the smaller stack; x */
}

/* Parts of what is made in a larger stack, in the same order, are there already. */
static void pieces(tl_scope *s, tl_tensor x)
{
    tl_tensor y[6];
    for (int k = 0; k < 6; k++) y[k] = tl_tanh(tl_slice(x, 0, k, k + 1));
    tl_output(s, "a", tl_matmul(tl_concat(3, y + 3, 0), tl_param(s, "U", TL_DIMS(C, 2), .init = normal)));
    tl_output(s, "b", tl_matmul(tl_concat(6, y, 0), tl_param(s, "V", TL_DIMS(C, 2), .init = normal)));
    tl_output(s, "c",
              tl_matmul(tl_concat(2, (tl_tensor[]){ y[1], y[0] }, 0), tl_param(s, "W", TL_DIMS(C, 2), .init = normal)));
}

Test(place, a_stack_within_a_stack_of_the_same_order_is_a_view)
{
    cr_assert(check(pieces).copies == 1); /* but not the other way round */
}

/* What is read after the run lies together. */
static void columns_out(tl_scope *s, tl_tensor x)
{
    tl_output(s, "a", tl_slice(tl_tanh(x), 1, 2, 5));
    tl_output(s, "b", tl_cumsum(tl_slice(tl_exp(x), 1, 1, 4), 0)); /* a kernel that wants rows together */
}

Test(place, columns_are_copied_for_those_who_cannot_read_them) { cr_assert(check(columns_out).copies == 2); }
