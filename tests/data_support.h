/* tests/data_support.h - what the suites of data/ need: messages, and files in a directory of the test's own. */
#ifndef TESTS_DATA_SUPPORT_H
#define TESTS_DATA_SUPPORT_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "data/internal.h"

#define SOME __attribute__((unused)) static

#define EQUAL(got, want)                                                                                               \
    do {                                                                                                               \
        const long long got_ = (got), want_ = (want);                                                                  \
        cr_assert(got_ == want_, "%s is %lld, not %lld (%s)", #got, got_, want_, tl_message());                        \
    } while (0)

/* The message must contain the words. */
SOME void says(const char *words)
{
    cr_assert(strstr(tl_message(), words), "'%s' does not say '%s'", tl_message(), words);
}

/* A directory of this test's own; in memory where there is such, for a disk takes its time over thousands of small files. */
SOME char dir[64];

SOME void enter(void)
{
    snprintf(dir, sizeof dir, "%s/test_data.XXXXXX", access("/dev/shm", W_OK | X_OK) ? "/tmp" : "/dev/shm");
    cr_assert(mkdtemp(dir));
    cr_assert(!chdir(dir));
}

SOME void leave(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    (void)!chdir("/");
    (void)!system(command);
    EQUAL(tl_live_bytes(), 0);
}

SOME void put(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite(data, 1, size, f) == size && !fclose(f));
}

/* A gzip file; mode "ab" adds a member. */
SOME void pack(const char *path, const void *data, size_t size, const char *mode)
{
    gzFile f = gzopen(path, mode);
    cr_assert(f && (size_t)gzfwrite(data, 1, size, f) == size && gzclose(f) == Z_OK);
}

/* A file of the real data beside the source tree; where they are absent, NULL and a word about it. */
SOME const char *shared_data(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/../shared/data/%s", TL_SOURCE, name);
    if (!access(path, R_OK)) return path;
    printf("# skipped: there is no ../shared/data/%s\n", name);
    return NULL;
}

SOME int files_here(void)
{
    DIR *d = opendir(".");
    int n = -2; /* . and .. */
    cr_assert(d);
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

#endif
