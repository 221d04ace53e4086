/* tests/conformance.c - replays folders of reference values: conformance [-v] [-k PATTERN] [FOLDER|FILE.json...]
 *
 * Every case is replayed in f64 and in f32: results, loss and all gradients are compared. What fails is printed, then what was
 * skipped, then "N passed, N failed, N skipped"; a case counts once. -v prints every case with its worst error (1 = what is
 * allowed), -k restricts to cases whose name or op matches a shell pattern. In a file, the op is the name of a member. Exit status: 0 nothing failed, 1 something did, 2 a
 * folder cannot be read or there is no such case, 77 no folder was given and the usual ones are not there. */
#include "conformance.h"
#include "conformance_json.h"

#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

static const op_row *const families[] = { function_rows,  tensor_rows, torch_rows, keras_rows, custom_rows, layer_rows,
                                          attention_rows, metric_rows, loss_rows,  optim_rows, fit_rows,    e2e_rows };

/* |got - expected| <= atol + rtol |expected|. In f32, |expected| of a gradient is the largest of its tensor, and atol is of the
 * case's largest: a gradient is a sum over steps and rows whose terms cancel, and its error is relative to the terms. They may
 * cancel altogether, as those of the bias of attention's keys do. */
static const tolerance strict[] = { [TL_F64] = { 1e-9, 1e-12, false }, [TL_F32] = { 2e-4, 1e-5, true } };

/* Classes of cases whose reference is itself less exact. */
static const struct {
    const char *op, *attr, *value;
    double rtol;
} lenient[] = {
    /* PyTorch 1.13's derivative of hard_sigmoid is the float 1/6, which is off by 3e-8 of it; once a step in a recurrence. */
    { "*hardsigmoid_torch", NULL, NULL, 4e-8 },
    { "*hard_sigmoid", NULL, NULL, 4e-8 },
    { "keras_*", "activation", "hard_sigmoid", 4e-7 },
    { "keras_*", "recurrent_activation", "hard_sigmoid", 4e-7 },
    /* Trajectories: what a step rounds off goes on through all that follow. */
    { "*optim_*", NULL, NULL, 1e-7 },
    /* PyTorch's softplus is x above 20: without e^-20 = 2.1e-9. */
    { "*softplus", NULL, NULL, 3e-9 },
    { "*mish", NULL, NULL, 3e-9 },
    /* Errors grow from step to step. */
    { "keras_fit_*", NULL, NULL, 1e-7 },
    { "e2e_*", NULL, NULL, 1e-7 },
};

static tolerance tolerance_of(const fx_case *c, tl_dtype dtype)
{
    tolerance t = strict[dtype];
    for (int k = 0; k < COUNT(lenient); k++)
        if (lenient[k].rtol > t.rtol && !fnmatch(lenient[k].op, c->op, 0) &&
            (!lenient[k].attr || fx_is(c, lenient[k].attr, lenient[k].value)))
            t.rtol = lenient[k].rtol, t.of_largest = true;
    return t;
}

static const op_row *row_of(const fx_case *c)
{
    for (int k = 0; k < COUNT(families); k++)
        for (const op_row *row = families[k]; row->op; row++)
            if (!fnmatch(row->op, c->op, 0)) return row;
    return NULL;
}

typedef struct tally {
    int passed, failed, skipped;
    bool verbose;
    const char *pattern;
} tally;

static void skip(tally *n, const char *name, const char *op, bool core)
{
    printf("%s %s (%s): no such op here\n", core ? "FAIL" : "skip", name, op);
    if (core) n->failed++;
    else n->skipped++;
}

static void count(tally *n, const char *name, const char *op, const verdict *f64, const verdict *f32)
{
    const bool passed = !*f64->why && !*f32->why;
    if (passed) n->passed++;
    else n->failed++;
    if (!passed) printf("FAIL %s (%s)%s%s\n", name, op, f64->why, f32->why);
    else if (n->verbose) printf("pass %s (%s): f64 %.2g, f32 %.2g\n", name, op, f64->worst, f32->worst);
}

static void attempt(tally *n, const fx_case *c)
{
    const op_row *row = row_of(c);
    if (!row) {
        skip(n, c->name, c->op, c->core);
        return;
    }
    const verdict d = replay_case(c, row, TL_F64, tolerance_of(c, TL_F64));
    const verdict f = replay_case(c, row, TL_F32, tolerance_of(c, TL_F32));
    count(n, c->name, c->op, &d, &f);
}

static bool try_folder(tally *n, const char *dir)
{
    char why[512];
    fx_suite *suite = fx_open(dir, why);
    if (!suite) fprintf(stderr, "conformance: %s\n", why);
    for (size_t i = 0; suite && i < suite->n; i++) {
        const fx_case *c = &suite->cases[i];
        if (!n->pattern || !fnmatch(n->pattern, c->name, 0) || !fnmatch(n->pattern, c->op, 0)) attempt(n, c);
    }
    fx_close(suite);
    return suite;
}

/* ---- a file of JSON --------------------------------------------------------------------------------------------- */

static const json_row *const json_families[] = { summary_rows, text_rows };

static void attempt_member(tally *n, const json_t *file, const char *member, const char *name, const json_t *item)
{
    if (n->pattern && fnmatch(n->pattern, name, 0) && fnmatch(n->pattern, member, 0)) return;
    for (int k = 0; k < COUNT(json_families); k++)
        for (const json_row *row = json_families[k]; row->member; row++) {
            verdict v = { 0 };
            if (fnmatch(row->member, member, 0)) continue;
            if (row->check) row->check(file, item, &v);
            else skip(n, name, member, false);
            if (row->check) count(n, name, member, &v, &v);
            return;
        }
    /* Plain strings and numbers are notes. */
    if (json_is_object(item)) skip(n, name, member, true);
}

static bool try_file(tally *n, const char *path)
{
    const char *member;
    char name[200];
    json_error_t error;
    json_t *value, *file = json_load_file(path, 0, &error);
    if (!json_is_object(file)) {
        fprintf(stderr, "conformance: %s:%d: %s\n", path, file ? 1 : error.line, file ? "no object" : error.text);
        json_decref(file);
        return false;
    }
    json_object_foreach(file, member, value)
    {
        const bool list = json_is_object(json_array_get(value, 0));
        for (size_t i = 0; i < (list ? json_array_size(value) : 1); i++) {
            snprintf(name, sizeof name, list ? "%s[%zu]" : "%s", member, i);
            attempt_member(n, file, member, name, list ? json_array_get(value, i) : value);
        }
    }
    json_decref(file);
    return true;
}

static bool try_path(tally *n, const char *path)
{
    struct stat info;
    return !stat(path, &info) && S_ISREG(info.st_mode) ? try_file(n, path) : try_folder(n, path);
}

static int usage(void)
{
    fprintf(stderr, "usage: conformance [-v] [-k PATTERN] [FOLDER|FILE.json...]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const char *const usual[] = { "torch_open", "keras_oracle_open", "keras_text_open.json" };
    tally n = { 0 };
    char path[900];
    bool read = true;
    for (int opt; (opt = getopt(argc, argv, "vk:")) != -1;) {
        if (opt == 'v') n.verbose = true;
        else if (opt == 'k') n.pattern = optarg;
        else return usage();
    }
    for (int k = optind; k < argc; k++) read &= try_path(&n, argv[k]);
    for (int k = 0; optind == argc && k < COUNT(usual); k++) {
        fx_path(path, usual[k]);
        if (access(path, F_OK)) {
            printf("skipped: there are no fixtures at %s (TL_FIXTURES says where)\n", path);
            return 77;
        }
        read &= try_path(&n, path);
    }
    printf("%d passed, %d failed, %d skipped\n", n.passed, n.failed, n.skipped);
    if (read && !(n.passed + n.failed + n.skipped)) {
        fprintf(stderr, "conformance: there is no such case\n");
        return 2;
    }
    return !read ? 2 : n.failed > 0;
}
