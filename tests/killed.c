/* tests/killed.c - killed [COUNT [SEED]]: a program that trains and saves itself at every batch is killed COUNT times (50 by
 * default) and started again: by SIGKILL at random times, by SIGKILL at random operations on files, and each time also by an
 * operation that fails. Whatever happens its file is a whole one; and each time it comes to its end, all that it leaves has
 * the bytes of what a run leaves that nothing happened to.
 *
 * killed --train DIRECTORY OPERATION ERROR: that program. Its OPERATIONth operation on a file fails with ERROR; SIGKILL
 * ends it there. It exits with 0, or 3 when a file could not be written. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "data/internal.h"
#include "tapeloop.h"

static int die(const char *what)
{
    fprintf(stderr, "killed: %s: %s\n", what, tl_message()[0] ? tl_message() : strerror(errno));
    exit(1);
}

/* ---- the program that trains -------------------------------------------------------------------------------------- */

enum { N = 40, T = 4, V = 6, SAMPLES_IN_BATCH = 8, EPOCHS = 4, COULD_NOT_WRITE = 3, KILL = 1000 };
enum { OPERATIONS = 1500 }; /* on files, in about a third of a run */

static tl_tensor network(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor x = tl_embedding(s, in[0], .vocab = V, .units = 4);
    x = tl_lstm(s, tl_dropout(s, x, .rate = 0.3), .units = 6);
    const tl_tensor z = tl_dense(s, tl_batch_norm(s, x), .units = V);
    tl_output(s, "logits", z);
    return tl_cross_entropy(z, in[1]);
}

static int operations, operation_to_fail, error_of_it;

static int fail(tl_file_op op, const char *path)
{
    (void)op, (void)path;
    if (++operations != operation_to_fail) return 0;
    if (error_of_it == KILL) raise(SIGKILL);
    return error_of_it;
}

static tl_dataset *samples(void)
{
    static int32_t x[N * T], y[N];
    for (int i = 0; i < N * T; i++) x[i] = (i * i * 7 + i / 5) % V;
    for (int i = 0; i < N; i++) y[i] = (x[i * T] * x[i * T + 1] + 1) % V;
    tl_dataset *data = tl_dataset_new();
    tl_dataset_sequences(data, tl_array_of(TL_I32, TL_DIMS(N, T), x));
    tl_dataset_rows(data, tl_array_of(TL_I32, TL_DIMS(N), y));
    return data;
}

static const char *const results[] = { "run", "model", "history.csv" };
enum { RESULTS = sizeof results / sizeof *results };

static int train(const char *directory)
{
    if (chdir(directory)) die(directory);
    tl_history *history = NULL;
    tl_model *model = tl_model_new(.seed = 5);
    tl_dataset *data = samples();
    tl_callback callbacks[] = {
        tl_early_stopping(.monitor = "loss", .patience = 3, .restore_best = true),
        tl_reduce_lr(.monitor = "val_loss", .plateau = { .patience = 1, .factor = 0.7 }),
        tl_checkpoint("run", .every_batches = 1), tl_checkpoint("run"), /* the end of an epoch is a place of its own */
    };
    tl_status status = tl_fit(model, network, data, .optimizer = tl_adam(.lr = 0.03, .ema = 0.9, .accumulate = 2),
                              .epochs = EPOCHS, .batch = SAMPLES_IN_BATCH, .clip_norm = 1, .validation_split = 0.15,
                              .history = &history, .metrics = (tl_metric_desc[]){ tl_accuracy() }, .n_metrics = 1,
                              .callbacks = callbacks, .n_callbacks = sizeof callbacks / sizeof *callbacks,
                              .resume = "run");
    if (!status) status = tl_model_save(model, "model");
    if (!status) status = tl_history_write_csv(history, "history.csv");
    if (status && status != TL_E_FILE) die("--train");
    tl_dataset_free(data);
    tl_history_free(history);
    tl_model_free(model);
    return status ? COULD_NOT_WRITE : 0;
}

/* ---- the one that kills ------------------------------------------------------------------------------------------- */

static char folder[64], reference[80], victim[80];
static uint64_t state;

static uint64_t draw(uint64_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
}

static void tidy(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    (void)!system(command);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static pid_t start(char *directory, int operation, int error)
{
    char at[16], with[16];
    snprintf(at, sizeof at, "%d", operation);
    snprintf(with, sizeof with, "%d", error);
    const pid_t child = fork();
    if (child < 0) die("fork");
    if (child) return child;
    execv("/proc/self/exe", (char *[]){ "killed", "--train", directory, at, with, NULL });
    _exit(127);
}

/* How the child ended: its exit status, or -1 for a kill. */
static int outcome_of(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) die("waitpid");
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return -1;
    if (!WIFEXITED(status) || (WEXITSTATUS(status) && WEXITSTATUS(status) != COULD_NOT_WRITE)) {
        fprintf(stderr, "killed: the program ended with %x\n", status);
        exit(1);
    }
    return WEXITSTATUS(status);
}

static const char *in(const char *directory, const char *name)
{
    static char path[2][128];
    static int k;
    snprintf(path[k ^= 1], sizeof *path, "%s/%s", directory, name);
    return path[k];
}

/* The file, if there is one, can be read to the last bit. */
static void check_whole(void)
{
    if (access(in(victim, "run"), F_OK)) return;
    tl_model *model = tl_model_new();
    if (tl_model_load(model, in(victim, "run"))) die("a damaged file");
    tl_model_free(model);
}

static void check_results(void)
{
    for (int k = 0; k < RESULTS; k++) {
        tl_bytes a, b;
        if (tl_file_read(in(reference, results[k]), &a) || tl_file_read(in(victim, results[k]), &b)) die("results");
        if (a.size != b.size || memcmp(a.data, b.data, a.size)) {
            fprintf(stderr, "killed: %s differs from that of a run that nothing happened to\n", results[k]);
            exit(1);
        }
        tl_bytes_free(&a);
        tl_bytes_free(&b);
    }
    for (int k = 0; k < RESULTS; k++) unlink(in(victim, results[k]));
}

/* All it writes in a run of its own: how long that takes, and how many operations it is. */
static double reference_run(void)
{
    const double begin = now();
    if (outcome_of(start(reference, 0, 0))) die("the program failed by itself");
    return now() - begin;
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "--train")) {
        operation_to_fail = atoi(argv[3]);
        error_of_it = atoi(argv[4]);
        tl_file_hook = fail;
        return train(argv[2]);
    }
    const int count = argc > 1 ? atoi(argv[1]) : 50;
    state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    /* In memory where there is such: whoever is killed there leaves what he would leave on a disk, but does not wait for one. */
    snprintf(folder, sizeof folder, "%s/killed.XXXXXX", access("/dev/shm", W_OK | X_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(folder)) die(folder);
    atexit(tidy);
    snprintf(reference, sizeof reference, "%s/reference", folder);
    snprintf(victim, sizeof victim, "%s/victim", folder);
    char command[200];
    snprintf(command, sizeof command, "mkdir %s %s", reference, victim);
    if (system(command)) die(command);
    const double seconds = reference_run();
    int kills = 0, failures = 0, ends = 0;
    for (int i = 0; kills < count || !ends; i++) {
        const int kind = i % 3; /* a time, an operation, an error */
        static const int errors[] = { EIO, ENOSPC, EDQUOT };
        const int operation = kind ? 1 + (int)draw(OPERATIONS) : 0;
        const pid_t child = start(victim, operation, kind == 1 ? KILL : errors[i / 3 % 3]);
        if (!kind) {
            usleep((useconds_t)(seconds * 1e6 * (double)draw(1000) / 1000));
            kill(child, SIGKILL);
        }
        const int how = outcome_of(child);
        kills += how < 0;
        failures += how > 0;
        check_whole();
        if (how) continue;
        ends++;
        check_results();
    }
    printf("killed %d times, %d failures to write, %d runs to their end, all with the same bytes\n", kills, failures,
           ends);
    return 0;
}
