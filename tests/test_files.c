/* tests/test_files.c - files that are written: whole and durable whatever fails. */
#include "data_support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- faults ---------------------------------------------------------------------------------------------------- */

enum { KILL = 100000 }; /* in the place of an error */

/* Operation number `at` from now fails, or all from it on; the hook counts them. */
static struct {
    int at, error, count, seen[8];
    bool from_then_on;
    tl_file_op last;
} fault;

static int fail(tl_file_op op, const char *path)
{
    cr_assert(path && *path);
    fault.count++;
    fault.seen[op]++;
    const bool now = fault.from_then_on ? fault.count >= fault.at : fault.count == fault.at;
    if (!now) return 0;
    fault.last = op;
    if (fault.error == KILL) raise(SIGKILL);
    return fault.error;
}

static void plan(int at, int error, bool from_then_on)
{
    memset(&fault, 0, sizeof fault);
    fault.at = at;
    fault.error = error;
    fault.from_then_on = from_then_on;
    tl_file_hook = fail;
}

static void holds(const char *path, const char *want)
{
    tl_bytes b;
    EQUAL(tl_file_read(path, &b), TL_OK);
    cr_assert(b.size == strlen(want) && !memcmp(b.data, want, b.size), "%s holds '%s', not '%s'", path, b.data, want);
    tl_bytes_free(&b);
}

static int open_files(void)
{
    int n = 0;
    for (int file = 0; file < 256; file++) n += fcntl(file, F_GETFD) >= 0;
    return n;
}

/* Every operation on the file system fails in turn: once, or it and all that follow. */
Test(write, whatever_fails_leaves_the_old_file_or_the_new)
{
    static const char *const name[] = { "open", "chmod", "write", "fsync", "close", "rename" };
    enter();
    const int opened = open_files();
    for (int sticky = 0; sticky < 2; sticky++)
        for (int exists = 0; exists < 2; exists++) {
            int n = 1, renamed = 0;
            for (;; n++) {
                unlink("f");
                if (exists) put("f", "old", 3);
                plan(n, EIO, sticky);
                const tl_status status = tl_file_write("f", "something new", 13);
                tl_file_hook = NULL;
                EQUAL(open_files(), opened);
                EQUAL(tl_live_bytes(), 0);
                if (!status) break;
                EQUAL(status, TL_E_FILE);
                says("Input/output error");
                cr_assert(strstr(tl_message(), name[fault.last]) || sticky, "%s for %s", tl_message(),
                          name[fault.last]);
                if (strstr(tl_message(), "the new file is there")) {
                    renamed++;
                    holds("f", "something new");
                } else if (exists) holds("f", "old");
                EQUAL(files_here(), exists || renamed);
            }
            holds("f", "something new");
            EQUAL(renamed, 1); /* only the directory's fsync comes after it */
            EQUAL(n, exists ? 9 : 8);
            static const int want[] = { 2, 1, 1, 2, 1, 1 };
            for (int op = 0; op < 6; op++) EQUAL(fault.seen[op], op == TL_FILE_MODE && !exists ? 0 : want[op]);
        }
    leave();
}

Test(write, goes_on_where_the_system_takes_only_a_part)
{
    enter();
    char text[1001] = "";
    for (int i = 0; i < 1000; i++) text[i] = (char)('a' + i % 26);
    plan(1, -1, true);
    EQUAL(tl_file_write("f", text, 1000), TL_OK);
    tl_file_hook = NULL;
    cr_assert(fault.seen[TL_FILE_WRITE] > 5);
    holds("f", text);
    leave();
}

/* Killed before each operation: old or new, and what is left behind is used again. */
Test(write, a_killed_process_leaves_a_whole_file)
{
    enter();
    int n = 1, left = 0;
    for (bool ended = false; !ended; n++) {
        put("f", "old", 3);
        const pid_t child = fork();
        if (!child) {
            plan(n, KILL, false);
            _exit(tl_file_write("f", "something new", 13) ? 1 : 0);
        }
        int status;
        cr_assert_eq(waitpid(child, &status, 0), child);
        ended = WIFEXITED(status);
        cr_assert(!ended || !WEXITSTATUS(status));
        cr_assert(files_here() <= 2);
        left += files_here() == 2;
        tl_bytes b;
        EQUAL(tl_file_read("f", &b), TL_OK);
        cr_assert(!strcmp(b.data, "old") || (!strcmp(b.data, "something new") && n >= 8), "%s", b.data);
        tl_bytes_free(&b);
    }
    EQUAL(n - 1, 9);
    cr_assert(left >= 4);
    EQUAL(files_here(), 1);
    leave();
}

/* ---- where it goes --------------------------------------------------------------------------------------------- */

Test(write, what_another_is_writing_is_left_alone)
{
    enter();
    put("f.0.tapeloop", "another's", 9);
    const int file = open("f.0.tapeloop", O_RDWR);
    cr_assert(!flock(file, LOCK_EX));
    tl_replacement r;
    EQUAL(tl_replace_begin(&r, "f"), TL_OK);
    EQUAL(tl_file_write("f", "mine", 4), TL_OK); /* two at once in one process */
    EQUAL(tl_replace_write(&r, "later", 5), TL_OK);
    holds("f", "mine");
    EQUAL(tl_replace_commit(&r), TL_OK);
    holds("f", "later");
    holds("f.0.tapeloop", "another's");
    EQUAL(files_here(), 2);
    close(file);
    EQUAL(tl_file_write("f", "last", 4), TL_OK);
    EQUAL(files_here(), 1);
    put("g", "precious", 8);
    cr_assert(!symlink("g", "f.0.tapeloop")); /* nobody's way to another file */
    EQUAL(tl_file_write("f", "safe", 4), TL_OK);
    holds("g", "precious");
    leave();
}

/* Between the closing of one writer's file and its rename another one writes the same file. */
static int write_before_rename(tl_file_op op, const char *path)
{
    if (op != TL_FILE_RENAME) return 0;
    tl_file_hook = NULL;
    EQUAL(tl_file_write(path, "another's", 9), TL_OK);
    holds(path, "another's");
    return 0;
}

Test(write, is_no_leftover_while_it_is_renamed)
{
    enter();
    tl_file_hook = write_before_rename;
    EQUAL(tl_file_write("f", "mine", 4), TL_OK);
    holds("f", "mine");
    EQUAL(files_here(), 1);
    leave();
}

/* Four processes write the same file again and again, each its letter; whoever reads it meanwhile finds the work of one.
 * The first one is killed at it in the end. */
Test(write, by_several_processes_at_once_is_always_whole)
{
    enum { WRITERS = 4, TIMES = 25, SIZE = 5000 };
    enter();
    pid_t child[WRITERS];
    put("f", "a", 1);
    for (int i = 0; i < WRITERS; i++) {
        child[i] = fork();
        if (child[i]) continue;
        static char text[SIZE];
        memset(text, 'b' + i, SIZE);
        for (int n = 0; n < TIMES; n++)
            if (tl_file_write("f", text, (size_t)(SIZE - 1000 * i))) _exit(1);
        if (i == 0) plan(5, KILL, false);
        _exit(tl_file_write("f", text, SIZE) ? 1 : 0);
    }
    for (int done = 0, status; done < WRITERS;) {
        tl_bytes b;
        EQUAL(tl_file_read("f", &b), TL_OK);
        const int who = b.data[0] - 'b';
        cr_assert(who == -1 || (who >= 0 && who < WRITERS && (b.size == (size_t)(SIZE - 1000 * who) || b.size == SIZE)),
                  "%zu of %c", b.size, b.data[0]);
        for (size_t i = 0; i < b.size; i++) cr_assert(b.data[i] == b.data[0]);
        tl_bytes_free(&b);
        const pid_t ended = waitpid(-1, &status, WNOHANG);
        if (ended <= 0) continue;
        done++;
        if (ended == child[0]) cr_assert(WIFSIGNALED(status));
        else cr_assert(WIFEXITED(status) && !WEXITSTATUS(status));
    }
    EQUAL(tl_file_write("f", "last", 4), TL_OK);
    holds("f", "last");
    cr_assert(files_here() <= 2); /* what was killed may have had the second name */
    leave();
}

Test(write, keeps_permissions_and_links)
{
    struct stat info;
    enter();
    const mode_t mask = umask(027);
    EQUAL(tl_file_write("new", "", 0), TL_OK);
    cr_assert(!stat("new", &info));
    EQUAL(info.st_mode & 07777, 0640);
    umask(mask);
    cr_assert(!chmod("new", 0604) && !mkdir("d", 0755) && !symlink("../new", "d/link") && !symlink("gone", "dangling"));
    EQUAL(tl_file_write("d/link", "contents", 8), TL_OK);
    cr_assert(!lstat("d/link", &info) && S_ISLNK(info.st_mode));
    cr_assert(!stat("new", &info));
    EQUAL(info.st_mode & 07777, 0604);
    holds("new", "contents");
    EQUAL(tl_file_write("dangling", "x", 1), TL_E_FILE);
    says("dangling: a link that leads nowhere");
    EQUAL(tl_file_write("d", "x", 1), TL_E_FILE);
    says("d: open: Is a directory");
    EQUAL(tl_file_write("none/f", "x", 1), TL_E_FILE);
    says("none/: open: No such file or directory");
    EQUAL(tl_file_write("new/f", "x", 1), TL_E_FILE);
    says("new/f: open: Not a directory");
    EQUAL(tl_file_write("", "x", 1), TL_E_FILE);
    EQUAL(tl_file_write(NULL, "x", 1), TL_E_ARGUMENT);
    char longest[256] = "";
    memset(longest, 'n', 255); /* no room for a longer name beside it */
    EQUAL(tl_file_write(longest, "x", 1), TL_OK);
    leave();
}

Test(write, respects_a_file_that_may_not_be_written)
{
    enter();
    put("f", "old", 3);
    cr_assert(!chmod("f", 0444));
    cr_assert(!chmod(".", 0777));
    const pid_t child = fork();
    if (!child) {
        if (!getuid() && setuid(65534)) _exit(2);
        _exit(tl_file_write("f", "new", 3) == TL_E_FILE && strstr(tl_message(), "f: open: Permission denied") ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert(WIFEXITED(status) && !WEXITSTATUS(status));
    holds("f", "old");
    EQUAL(files_here(), 1);
    leave();
}

Test(write, what_is_no_regular_file_is_written_in_place)
{
    enter();
    EQUAL(tl_file_write("/dev/null", "x", 1), TL_OK);
    EQUAL(tl_file_write("/dev/full", "x", 1), TL_E_FILE);
    says("/dev/full: write: No space left on device");
    int ends[2];
    char path[32], text[8] = "";
    cr_assert(!pipe(ends));
    snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    EQUAL(tl_file_write(path, "through", 7), TL_OK);
    EQUAL(read(ends[0], text, 7), 7);
    cr_assert(!strcmp(text, "through"));
    leave();
}

/* As in: program --json /dev/stdout >all */
Test(write, to_where_standard_output_goes_joins_what_is_there)
{
    enter();
    const pid_t child = fork();
    if (!child) {
        const int file = open("all", O_RDWR | O_CREAT, 0666);
        if (dup2(file, 1) != 1 || write(1, "before ", 7) != 7) _exit(2);
        if (tl_file_write("/dev/stdout", "between ", 8) || tl_file_write("all", "too ", 4)) _exit(1);
        _exit(write(1, "after", 5) == 5 ? 0 : 3);
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert(WIFEXITED(status));
    EQUAL(WEXITSTATUS(status), 0);
    holds("all", "before between too after");
    leave();
}

Test(write, survives_any_allocation_that_fails)
{
    enter();
    put("f", "old", 3);
    for (uint64_t n = 1;; n++) {
        tl_fail_allocation(n);
        const tl_status status = tl_file_write("f", "new", 3);
        tl_fail_allocation(0);
        EQUAL(tl_live_bytes(), 0);
        EQUAL(files_here(), 1);
        if (!status) break;
        EQUAL(status, TL_E_MEMORY);
        holds("f", "old");
    }
    holds("f", "new");
    leave();
}
