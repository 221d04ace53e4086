/* tests/conformance_json.h - reference values in one file of JSON, as those of Keras' text utilities are.
 *
 * The file is an object. Each of its members that has a row below is a case, or a list of cases; the rest is notes, and what
 * several cases share. */
#ifndef TESTS_CONFORMANCE_JSON_H
#define TESTS_CONFORMANCE_JSON_H

#include <jansson.h>

#include "conformance.h"

typedef struct json_row {
    const char *member;                                                /* a shell pattern */
    void (*check)(const json_t *file, const json_t *item, verdict *v); /* NULL: optional, and not here */
} json_row;

extern const json_row summary_rows[], text_rows[]; /* each ended by a row of zeros */

/* What is wrong with a case; the first of it stays. */
void refuse(verdict *v, const char *format, ...) TL_PRINTF(2, 3);

/* Does every number of the array stand in its place in the nested lists, and is there none more? |got - expected| <= 1e-12 +
 * rtol |expected|. */
void compare_array(verdict *v, const char *what, const tl_array *got, const json_t *expected, double rtol);

#endif
