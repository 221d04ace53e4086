/* tests/fixtures.h - reference values of PyTorch and Keras, where a checkout has them beside it (HAVE_FIXTURES). */
#ifndef TESTS_FIXTURES_H
#define TESTS_FIXTURES_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#if __has_include("fixture.h")
#define HAVE_FIXTURES 1
#include "fixture.h"
#elif __has_include("../../shared/fixtures/fixture.h")
#define HAVE_FIXTURES 1
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmisleading-indentation"
#pragma GCC diagnostic ignored "-Wunused-function"
#include "../../shared/fixtures/fixture.h"
#pragma GCC diagnostic pop
#endif

#ifdef HAVE_FIXTURES

/* The suite of that name (TL_FIXTURES says where, else ../shared/fixtures); skips the test if there is none. */
__attribute__((unused)) static fx_suite *suite_of(const char *name)
{
    char path[900]; /* fx_open has room for 1,024 */
    const char *dir = getenv("TL_FIXTURES");
    snprintf(path, sizeof path, "%s%s/%s", dir ? dir : TL_SOURCE, dir ? "" : "/../shared/fixtures", name);
    fx_suite *suite = fx_open(path);
    if (!suite) {
        printf("# skipped: no fixtures at %s (set TL_FIXTURES)\n", path);
        cr_skip_test("no fixtures");
    }
    return suite;
}

#endif
#endif
