/* ops/random.c - uniform: in [0, 1), multiples of 2^-24;   normal: mean 0, variance 1 (Box-Muller);   bernoulli: 1 with
 * probability p, else 0.
 *
 * Element [i, ..., j] is word j mod 4 of the Philox block with counter {j / 4, row (64 bits), low half of run},
 * where row is a hash of the leading indices; the key mixes the op's own key, the model's seed and the high half of
 * run. So an element depends on its own indices alone, not on T, B or the type. args->first_row is added to the
 * batch index. */
#include "ops/define.h"

#include "ops/kernels/philox.h"

typedef struct random_attr {
    uint64_t key;
    double p;
    int64_t rank, dim[TL_MAX_RANK];
} random_attr;

#ifdef TL_REAL

#include "ops/kernels/random.h"

typedef real number_of(const uint32_t *w, int j, double p);

static inline __attribute__((always_inline)) tl_status generate(const tl_run_args *r, number_of *number)
{
    const random_attr *a = r->attr;
    const tl_desc *d = r->out_desc;
    const int64_t n = d->rank ? d->dim[d->rank - 1] : 1, rows = d->rank ? tl_span(d, 0, d->rank - 1) : 1;
    const uint64_t key = mix(mix(a->key, r->seed), r->run >> 32);
    const double p = a->p;
    real *y = r->out;
    for (int64_t row = 0; row < rows; row++, y += n) {
        const uint64_t h = row_hash(d, row, r->first_row);
        for (int64_t j = 0; j < n; j += 4 * PHILOX_BLOCKS) {
            uint32_t w[4 * PHILOX_BLOCKS];
            tl_philox_blocks((uint32_t[]){ (uint32_t)(j / 4), (uint32_t)h, (uint32_t)(h >> 32), (uint32_t)r->run },
                             (uint32_t[]){ (uint32_t)key, (uint32_t)(key >> 32) }, w);
            const int here = n - j < 4 * PHILOX_BLOCKS ? (int)(n - j) : 4 * PHILOX_BLOCKS;
            for (int k = 0; k < here; k++) y[j + k] = number(w, k, p);
        }
    }
    return TL_OK;
}

KERNEL(random_uniform) { return generate(r, uniform_of); }
KERNEL(random_normal) { return generate(r, normal_of); }
KERNEL(random_bernoulli) { return generate(r, bernoulli_of); }

#else

void tl_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    tl_philox_block(counter, key, out);
}

static bool random_shape(tl_shape_rule *r)
{
    const random_attr *a = r->attr;
    if (a->rank < 0 || a->rank > TL_MAX_RANK) return tl_refuse(r, TL_E_ARGUMENT, "rank %d", (int)a->rank);
    if (!(a->p >= 0 && a->p <= 1)) return tl_refuse(r, TL_E_ARGUMENT, "%g is no probability", a->p);
    r->out.rank = (int)a->rank;
    for (int i = 0; i < r->out.rank; i++) {
        if (a->dim[i] < 0) return tl_refuse(r, TL_E_ARGUMENT, "dimension %lld", (long long)a->dim[i]);
        r->out.dim[i] = a->dim[i];
    }
    return true;
}

#define RANDOM(...)                                                                                                    \
    {                                                                                                                  \
        0, .attr = &(const random_attr) { 7, __VA_ARGS__ }
#define RANDOM_OP(op)                                                                                                  \
    TL_OP(op, .cls = TL_RANDOM, .attr_size = sizeof(random_attr), .shape = random_shape, .no_gradient = true,         \
          TL_CASES(RANDOM(0.5, 2, { 3, 5 })                                                                            \
    }                                                                                                                  \
    , RANDOM(0.5, 0, { 0 })                                                                                            \
    }                                                                                                                  \
    , RANDOM(0.25, 3, { 2, 3, 4 })                                                                                     \
    }                                                                                                                  \
    , RANDOM(0, 1, { 6 })                                                                                              \
    }                                                                                                                  \
    , RANDOM(1, 2, { 0, 6 })                                                                                           \
    }                                                                                                                  \
    , RANDOM(2, 1, { 6 }), .rejects = true                                                                             \
    }                                                                                                                  \
    , RANDOM(0, 1, { -1 }), .rejects = true                                                                            \
    }))
RANDOM_OP(random_uniform);
RANDOM_OP(random_normal);
RANDOM_OP(random_bernoulli);

static tl_tensor record(tl_place at, tl_scope *s, const struct tl_op *op, int rank, const int64_t *dim, double p)
{
    random_attr a = { .p = p, .rank = rank };
    for (int i = 0; i < rank && i < TL_MAX_RANK; i++) a.dim[i] = dim[i];
    a.key = tl_random_key(s);
    return tl_apply_leaf_at(at, s, op, &a);
}

tl_tensor tl_random_uniform_at(tl_place at, tl_scope *s, int rank, const int64_t *dim)
{
    return record(at, s, &tl_op_random_uniform, rank, dim, 0);
}
tl_tensor tl_random_normal_at(tl_place at, tl_scope *s, int rank, const int64_t *dim)
{
    return record(at, s, &tl_op_random_normal, rank, dim, 0);
}
tl_tensor tl_random_bernoulli_at(tl_place at, tl_scope *s, int rank, const int64_t *dim, double p)
{
    return record(at, s, &tl_op_random_bernoulli, rank, dim, p);
}
tl_tensor(tl_random_uniform)(tl_scope *s, int rank, const int64_t *dim)
{
    return tl_random_uniform_at(TL_NOWHERE, s, rank, dim);
}
tl_tensor(tl_random_normal)(tl_scope *s, int rank, const int64_t *dim)
{
    return tl_random_normal_at(TL_NOWHERE, s, rank, dim);
}
tl_tensor(tl_random_bernoulli)(tl_scope *s, int rank, const int64_t *dim, double p)
{
    return tl_random_bernoulli_at(TL_NOWHERE, s, rank, dim, p);
}

#endif
