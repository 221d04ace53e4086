/* tests/fixture_reader.h - reference values: a folder with an index, cases.tsv, of the numbers in fixtures.safetensors.
 *
 * cases.tsv, fields separated by tabs; # begins a comment:
 *     case    NAME OP TIER                            TIER: core or optional
 *     attr    KEY VALUE
 *     tensor  ROLE NAME f8|i8 NDIM d0,d1,... OFFSET COUNT     little-endian at that byte of fixtures.safetensors; "-": scalar
 *     end
 * Roles: in (inputs), par (parameters), cot (cotangents: the loss is the sum over outputs of sum(out cot)), out, loss, gin and
 * gpar (gradients of inputs and parameters), traj (one entry a step or epoch), exp (other expected values). */
#ifndef TESTS_FIXTURE_READER_H
#define TESTS_FIXTURE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FX_MAX_RANK = 6 };

typedef struct fx_tensor {
    const char *role, *name;
    bool isint;
    int ndim;
    int64_t dim[FX_MAX_RANK], count;
    const double *f;  /* the numbers, or NULL */
    const int64_t *i; /* where they are whole */
} fx_tensor;

typedef struct fx_attr_t {
    const char *key, *val;
} fx_attr_t;

typedef struct fx_case {
    const char *name, *op;
    bool core;
    fx_attr_t *attrs;
    fx_tensor *t;
    size_t nattr, nt;
} fx_case;

typedef struct fx_suite {
    fx_case *cases;
    size_t n;
    char *index, *blob;
} fx_suite;

/* Reads a folder. NULL if it is not there or not right: `why` then says which file and line, and what of it. */
fx_suite *fx_open(const char *dir, char why[static 512]);
void fx_close(fx_suite *suite);

const fx_tensor *fx_get(const fx_case *c, const char *role, const char *name); /* NULL if there is none */
const char *fx_attr(const fx_case *c, const char *key);                        /* likewise */
double fx_num(const fx_case *c, const char *key, double otherwise);
int64_t fx_int(const fx_case *c, const char *key, int64_t otherwise); /* within those of 32 bits */
bool fx_is(const fx_case *c, const char *key, const char *value);     /* has the attribute this value? */

/* Where the suite of that name should be: in $TL_FIXTURES, or in ../shared/fixtures of the source tree. */
void fx_path(char path[static 900], const char *name);

#endif
