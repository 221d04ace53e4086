/* tests/fixtures.h - reference values of PyTorch and Keras in a Criterion suite, where a checkout has them. */
#ifndef TESTS_FIXTURES_H
#define TESTS_FIXTURES_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "fixture_reader.h"

/* The suite of that name, for the rest of the process; skips the test if its folder is not there. */
__attribute__((unused)) static fx_suite *suite_of(const char *name)
{
    char path[900], why[512];
    fx_path(path, name);
    if (access(path, F_OK)) {
        printf("# skipped: no fixtures at %s (set TL_FIXTURES)\n", path);
        cr_skip_test("no fixtures");
    }
    fx_suite *suite = fx_open(path, why);
    cr_assert(suite, "%s", why);
    return suite;
}

#endif
