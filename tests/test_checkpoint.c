/* tests/test_checkpoint.c - a run that was stopped and resumed ends with the bits of one that never was; files are whole or
 * refused; what fails changes nothing. */
#include "data_support.h"

#include <errno.h>
#include <math.h>

#include "tapeloop.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))
#define GOOD(call)                                                                                                     \
    do {                                                                                                               \
        const tl_status status_ = (call);                                                                              \
        cr_assert(!status_, "%s: %s", #call, tl_message());                                                            \
    } while (0)

/* ---- a network with everything that a checkpoint must hold ------------------------------------------------------ */

enum { T = 3, B = 4, V = 7 };

/* States of sessions (carried), of the model (running means), random numbers, a frozen table, rows that start afresh. */
static tl_tensor network(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor x = tl_embedding(s, in[0], .vocab = V, .units = 5, .frozen = true);
    x = tl_batch_norm(s, tl_dense(s, x, .units = 6, .name = "wide[0]*"));
    x = tl_lstm(s, tl_dropout(s, x, .rate = 0.3), .units = 5, .return_sequences = true, .stateful = true);
    const tl_tensor z = tl_dense(s, x, .units = V);
    return tl_cross_entropy(z, in[1]);
}

static tl_tensor smaller(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    return tl_cross_entropy(tl_dense(s, tl_embedding(s, in[0], .vocab = V, .units = 4), .units = V), in[1]);
}

typedef struct run {
    tl_model *model;
    tl_trainer *trainer;
    int64_t step;
    double loss;
} run;

static const tl_optimizer_desc *optimizer;
static tl_model_fn function = network;

static run begin_with(tl_dtype dtype, uint64_t seed)
{
    run r = { .model = tl_model_new(.dtype = dtype, .seed = seed) };
    r.trainer = tl_trainer_new(r.model, function, .optimizer = *optimizer, .clip_norm = 1);
    cr_assert(r.trainer, "%s", tl_message());
    return r;
}

static run begin(void) { return begin_with(TL_F32, 9); }

static void end(run *r)
{
    tl_trainer_free(r->trainer);
    tl_model_free(r->model);
}

static tl_status keep(tl_store *store, void *ctx)
{
    run *r = ctx;
    tl_store_whole(store, "step", &r->step);
    return tl_store_number(store, "loss", &r->loss);
}

static void batch_of(int64_t step, int32_t x[T * B], int32_t y[T * B])
{
    for (int i = 0; i < T * B; i++) {
        x[i] = (int32_t)((step * 5 + i * i) % V);
        y[i] = (int32_t)((step * 3 + i * 2 + 1) % V);
    }
}

/* One training step, and now and then a test or two rows that begin anew. */
static void step(run *r)
{
    int32_t x[T * B], y[T * B];
    batch_of(r->step, x, y);
    const tl_array in[2] = { tl_array_of(TL_I32, TL_DIMS(T, B), x), tl_array_of(TL_I32, TL_DIMS(T, B), y) };
    GOOD(tl_train_step(r->trainer, in, 2, &r->loss));
    if (r->step % 3 == 1) GOOD(tl_test_step(r->trainer, in, 2, NULL));
    if (r->step % 4 == 2 && function == network)
        GOOD(tl_session_reset_rows(tl_trainer_session(r->trainer, TL_TRAIN), (bool[]){ false, true, true, false }, B));
    r->step++;
}

/* The same in every bit that matters, including how the next steps will go. */
static void same_run(run *a, run *b, const char *when)
{
    const size_t bytes = (size_t)tl_model_size(a->model) * (tl_model_dtype(a->model) == TL_F64 ? 8 : 4);
    cr_assert(a->step == b->step, "%s", when);
    cr_assert(!memcmp(&a->loss, &b->loss, sizeof a->loss), "%s: loss %.17g, %.17g", when, a->loss, b->loss);
    EQUAL(tl_model_size(a->model), tl_model_size(b->model));
    cr_assert(!bytes || !memcmp(tl_model_values(a->model), tl_model_values(b->model), bytes), "%s: parameters", when);
    for (int i = 0; i < tl_model_count(a->model); i++)
        EQUAL(tl_model_param(a->model, i)->frozen, tl_model_param(b->model, i)->frozen);
}

static void step_on(run *a, run *b, int64_t until)
{
    while (a->step < until) {
        step(a);
        step(b);
        same_run(a, b, "going on");
    }
}

static const tl_optimizer_desc adam = { .size = sizeof adam, .rule = TL_ADAM, .lr = 0.03 };

/* ---- resuming --------------------------------------------------------------------------------------------------- */

/* Stopped after any step, into an empty model and into one that has run already. */
Test(checkpoint, a_resumed_run_has_the_bits_of_one_never_stopped)
{
    const tl_optimizer_desc rules[] = { adam,
                                        tl_sgd(.lr = 0.1, .momentum = 0.9, .nesterov = true),
                                        tl_rmsprop(.lr = 0.01, .momentum = 0.5),
                                        tl_sgd(.lr = 0.2),
                                        tl_nadam(.accumulate = 3, .ema = 0.9),
                                        tl_adagrad(.swa_every = 2),
                                        tl_adamw(.lazy = true, .schedule = tl_cosine_decay(.steps = 8, .warmup = 3)),
                                        tl_adam(.amsgrad = true, .groups = { { "dense/*", .lr_factor = 2 } }) };
    enter();
    for (int k = 0; k < 2 * COUNT(rules); k++)
        for (int stop = 0; stop < 7; stop++) {
            optimizer = &rules[k / 2];
            run a = begin_with(k % 2 ? TL_F64 : TL_F32, 9);
            while (a.step < stop) step(&a);
            GOOD(tl_checkpoint_save("f", a.trainer, keep, &a));
            for (int used = 0; used < 3; used += 2) {
                run b = begin_with(k % 2 ? TL_F64 : TL_F32, 9);
                for (int i = 0; i < used; i++) step(&b);
                if (stop || !used) {
                    GOOD(tl_checkpoint_load("f", b.trainer, keep, &b));
                    same_run(&a, &b, "loaded");
                }
                end(&b);
            }
            run b = begin_with(k % 2 ? TL_F64 : TL_F32, 9);
            GOOD(tl_checkpoint_load("f", b.trainer, keep, &b));
            step_on(&a, &b, stop + 6);
            end(&a);
            end(&b);
        }
    EQUAL(files_here(), 1);
    leave();
}

/* What was compiled before the load serves on, and sees the new numbers. */
Test(checkpoint, plans_made_before_the_load_serve_on)
{
    optimizer = &adam;
    enter();
    run a = begin(), b = begin();
    for (int i = 0; i < 5; i++) step(&a);
    GOOD(tl_checkpoint_save("f", a.trainer, keep, &a));
    for (int i = 0; i < 3; i++) step(&b);
    const int plans = tl_trainer_plans(b.trainer);
    GOOD(tl_checkpoint_load("f", b.trainer, keep, &b));
    step_on(&a, &b, 12);
    EQUAL(tl_trainer_plans(b.trainer), plans);
    GOOD(tl_checkpoint_load("f", b.trainer, keep, &b)); /* and back */
    end(&a);
    a = begin();
    for (int i = 0; i < 5; i++) step(&a);
    step_on(&a, &b, 9);
    end(&a);
    end(&b);
    leave();
}

/* The learning rate is part of the state, and so is that of the optimizer's last step. */
Test(checkpoint, holds_what_was_set_along_the_way)
{
    optimizer = &adam;
    enter();
    run a = begin(), b = begin();
    for (int i = 0; i < 3; i++) step(&a);
    GOOD(tl_optimizer_set_lr(tl_trainer_optimizer(a.trainer), 0.0007));
    EQUAL(tl_model_freeze(a.model, "dense/*", true), 2);
    EQUAL(tl_model_freeze(a.model, "wide*", true), 2);
    EQUAL(tl_model_freeze(a.model, "embedding/W", false), 1);
    GOOD(tl_checkpoint_save("f", a.trainer, keep, &a));
    GOOD(tl_checkpoint_load("f", b.trainer, keep, &b));
    cr_assert(tl_optimizer_lr(tl_trainer_optimizer(b.trainer)) == 0.0007);
    same_run(&a, &b, "loaded");
    step_on(&a, &b, 8);
    tl_model *m = tl_model_new(); /* it is a model's file, too */
    GOOD(tl_model_load(m, "f"));
    EQUAL(tl_model_count(m), tl_model_count(a.model));
    EQUAL(tl_model_states(m), 2);
    tl_model_free(m);
    end(&a);
    end(&b);
    leave();
}

/* ---- what is refused -------------------------------------------------------------------------------------------- */

/* All that a run is, as bytes: the file that it would save. */
static tl_bytes image(run *r)
{
    tl_bytes b;
    GOOD(tl_checkpoint_save("image", r->trainer, keep, r));
    GOOD(tl_file_read("image", &b));
    cr_assert(!unlink("image"));
    return b;
}

static void is_still(run *r, const tl_bytes *before, const char *when)
{
    tl_bytes after = image(r);
    cr_assert(after.size == before->size && !memcmp(after.data, before->data, after.size), "%s", when);
    tl_bytes_free(&after);
}

static void refused(run *r, const char *path, tl_status status, const char *words)
{
    tl_bytes before = image(r);
    const tl_status got = tl_checkpoint_load(path, r->trainer, keep, r);
    cr_assert(got == status, "%s: %s, not %s (%s)", path, tl_status_name(got), tl_status_name(status), tl_message());
    says(words);
    says(path);
    is_still(r, &before, words);
    tl_bytes_free(&before);
}

Test(checkpoint, of_another_model_or_optimizer_is_refused_with_the_difference)
{
    optimizer = &adam;
    enter();
    run a = begin(), b = begin();
    for (int i = 0; i < 3; i++) step(&a);
    GOOD(tl_checkpoint_save("f", a.trainer, keep, &a));
    step(&b);
    refused(&b, "none", TL_E_FILE, "No such file");
    end(&b);

    b = begin_with(TL_F64, 9);
    refused(&b, "f", TL_E_DTYPE, "computes in f32");
    end(&b);
    b = begin_with(TL_F32, 10);
    refused(&b, "f", TL_E_ARGUMENT, "seed 9, not 10");
    end(&b);
    const tl_optimizer_desc other[] = { tl_sgd(.momentum = 0.9), tl_adam(.beta2 = 0.99), tl_adam(.lazy = true) };
    static const char *const why[] = { "another .rule: 3, not 1", "another .beta2: 0.999, not 0.99",
                                       "another .lazy: 0, not 1" };
    for (int i = 0; i < COUNT(other); i++) {
        optimizer = &other[i];
        b = begin();
        refused(&b, "f", TL_E_ARGUMENT, why[i]);
        end(&b);
    }
    optimizer = &adam;

    int32_t x[T * B], y[T * B];
    batch_of(0, x, y);
    const tl_array in[2] = { tl_array_of(TL_I32, TL_DIMS(T, B), x), tl_array_of(TL_I32, TL_DIMS(T, B), y) };
    b = (run){ .model = tl_model_new(.seed = 9) };
    b.trainer = tl_trainer_new(b.model, smaller, .optimizer = adam);
    GOOD(tl_train_step(b.trainer, in, 2, NULL));
    refused(&b, "f", TL_E_SHAPE, "parameter embedding/W is [7,5] in the checkpoint, but [7,4] here");
    end(&b);

    const float w[35] = { 0 };
    tl_array more = tl_array_of(TL_F32, TL_DIMS(7, 5), (void *)(uintptr_t)w);
    b = begin();
    GOOD(tl_model_set(b.model, "extra", &more));
    refused(&b, "f", TL_E_NAME, "no parameter extra");
    end(&b);
    b = begin();
    more = tl_array_of(TL_F32, TL_DIMS(7), (void *)(uintptr_t)w);
    GOOD(tl_model_set(b.model, "dense/b", &more)); /* it is there, but not at first */
    refused(&b, "f", TL_E_NAME, "another order");
    end(&b);
    b = begin();
    GOOD(tl_model_set_state(b.model, "own", &more));
    refused(&b, "f", TL_E_NAME, "no state own");
    end(&b);

    b = begin();
    GOOD(tl_model_save(a.model, "model"));
    refused(&b, "model", TL_E_FORMAT, "not a checkpoint");
    EQUAL(tl_checkpoint_load(NULL, b.trainer, NULL, NULL), TL_E_ARGUMENT);
    EQUAL(tl_checkpoint_save("f", NULL, NULL, NULL), TL_E_ARGUMENT);
    end(&a);
    end(&b);
    leave();
}

/* A caller's keep that fails, or asks for what was not saved, leaves the trainer alone. */
static tl_status greedy(tl_store *store, void *ctx)
{
    (void)ctx;
    int64_t n;
    return tl_store_whole(store, "more", &n);
}

Test(checkpoint, is_loaded_with_what_the_caller_keeps_or_not_at_all)
{
    optimizer = &adam;
    enter();
    run a = begin(), b = begin();
    step(&a);
    step(&b);
    step(&b);
    GOOD(tl_checkpoint_save("f", a.trainer, keep, &a));
    tl_bytes before = image(&b);
    EQUAL(tl_checkpoint_load("f", b.trainer, greedy, NULL), TL_E_NAME);
    says("f: ");
    says("more");
    is_still(&b, &before, "greedy");
    tl_bytes_free(&before);
    end(&a);
    end(&b);
    leave();
}

/* ---- damaged files ---------------------------------------------------------------------------------------------- */

Test(checkpoint, a_file_cut_at_any_byte_is_refused)
{
    optimizer = &adam;
    function = smaller;
    enter();
    run a = begin(), b = begin();
    step(&a);
    tl_bytes file = image(&a);
    step(&b);
    tl_bytes before = image(&b);
    for (size_t n = 0; n < file.size; n++) {
        put("f", file.data, n);
        const tl_status status = tl_checkpoint_load("f", b.trainer, keep, &b);
        cr_assert(status == TL_E_FORMAT, "cut to %zu of %zu: %s", n, file.size, tl_status_name(status));
        says("f: ");
    }
    put("f", file.data, file.size);
    put("g", file.data, file.size);
    FILE *longer = fopen("g", "ab");
    cr_assert(longer && fputc(0, longer) == 0 && !fclose(longer));
    EQUAL(tl_checkpoint_load("g", b.trainer, keep, &b), TL_E_FORMAT);
    is_still(&b, &before, "cut");
    GOOD(tl_checkpoint_load("f", b.trainer, keep, &b));
    is_still(&b, &file, "whole");
    tl_bytes_free(&file);
    tl_bytes_free(&before);
    end(&a);
    end(&b);
    leave();
}

/* Every byte of the header and some of the data: one of its bits, all of them, or made a blank of some kind; some bytes, all of
 * these ways. */
Test(checkpoint, a_file_with_any_changed_byte_is_refused)
{
    optimizer = &adam;
    function = smaller;
    enter();
    run a = begin(), b = begin();
    step(&a);
    tl_bytes file = image(&a);
    step(&b);
    tl_bytes before = image(&b);
    uint64_t header;
    memcpy(&header, file.data, sizeof header);
    header += 8;
    for (size_t at = 0; at < file.size; at += at < header ? 1 : 61)
        for (int k = 0; k < 5; k++) {
            const char old = file.data[at];
            const char changed[] = { (char)(old ^ (1 << at % 8)), (char)~old, ' ', '\t', '\n' };
            file.data[at] = changed[k];
            if (file.data[at] == old || (at % 16 && (at + (size_t)k) % 5)) {
                file.data[at] = old;
                continue;
            }
            put("f", file.data, file.size);
            const tl_status status = tl_checkpoint_load("f", b.trainer, keep, &b);
            cr_assert(status == TL_E_FORMAT || status == TL_E_MEMORY, "byte %zu, %02x to %02x: %s (%s)", at,
                      (unsigned char)old, (unsigned char)file.data[at], tl_status_name(status), tl_message());
            file.data[at] = old;
        }
    is_still(&b, &before, "changed");
    tl_bytes_free(&file);
    tl_bytes_free(&before);
    end(&a);
    end(&b);
    leave();
}

/* A model's file tells as much, where the change leaves something that could be read. */
Test(checkpoint, a_model_file_that_was_changed_is_refused)
{
    tl_bytes file;
    enter();
    float w[4] = { 1, 2, 3, 4 };
    tl_array a = tl_array_of(TL_F32, TL_DIMS(4), w);
    tl_model *m = tl_model_new();
    GOOD(tl_model_set(m, "w", &a));
    GOOD(tl_model_save(m, "f"));
    GOOD(tl_file_read("f", &file));
    file.data[file.size - 1] ^= 1;
    put("f", file.data, file.size);
    w[0] = 5;
    GOOD(tl_model_set(m, "w", &a));
    EQUAL(tl_model_load(m, "f"), TL_E_FORMAT);
    says("changed since");
    cr_assert(*(float *)tl_model_values(m) == 5);
    tl_bytes_free(&file);
    tl_model_free(m);
    leave();
}

/* ---- versions --------------------------------------------------------------------------------------------------- */

Test(checkpoint, of_a_later_version_is_refused)
{
    optimizer = &adam;
    enter();
    run a = begin();
    step(&a);
    tl_bytes file = image(&a);
    char *at = strstr(file.data + 8, "\"tapeloop_checkpoint\":\"1\"");
    cr_assert(at);
    at[23] = '2';
    put("f", file.data, file.size);
    refused(&a, "f", TL_E_FORMAT, "a checkpoint of format 2; this version reads format 1");
    tl_bytes_free(&file);
    end(&a);
    leave();
}

/* ---- failures --------------------------------------------------------------------------------------------------- */

static struct {
    int at, count, error;
} fault;

static int fail(tl_file_op op, const char *path)
{
    (void)op, (void)path;
    return ++fault.count == fault.at ? fault.error : 0;
}

/* Whatever operation on the file fails: an error, a whole file, and a run that goes on as if nothing had been. */
Test(checkpoint, a_save_that_fails_costs_nothing)
{
    static const int errors[] = { EIO, ENOSPC, EDQUOT };
    optimizer = &adam;
    enter();
    for (int e = 0; e < COUNT(errors); e++) {
        run a = begin(), b = begin();
        step(&a);
        step(&b);
        GOOD(tl_checkpoint_save("f", a.trainer, keep, &a));
        tl_bytes old = image(&a);
        int failures = 0;
        for (int n = 1;; n++, failures++) {
            step(&a);
            step(&b);
            tl_bytes new = image(&a);
            fault.at = n, fault.count = 0, fault.error = errors[e];
            tl_file_hook = fail;
            const tl_status status = tl_checkpoint_save("f", a.trainer, keep, &a);
            tl_file_hook = NULL;
            tl_bytes there;
            GOOD(tl_file_read("f", &there));
            const bool is_new = there.size == new.size && !memcmp(there.data, new.data, new.size);
            const bool is_old = there.size == old.size && !memcmp(there.data, old.data, old.size);
            cr_assert(is_new || is_old, "operation %d", n);
            EQUAL(files_here(), 1);
            is_still(&a, &new, "after a failure");
            same_run(&a, &b, "after a failure");
            tl_bytes_free(&there);
            tl_bytes_free(&old);
            old = new;
            if (!status) break;
            EQUAL(status, TL_E_FILE);
            says(strerror(errors[e]));
            if (is_old) {
                run c = begin(); /* the old one can be resumed */
                GOOD(tl_checkpoint_load("f", c.trainer, keep, &c));
                step(&c);
                same_run(&c, &b, "resumed from the old file");
                end(&c);
            }
            GOOD(tl_checkpoint_save("f", a.trainer, keep, &a)); /* and tried again */
        }
        cr_assert(failures > 7, "%d", failures);
        tl_bytes_free(&old);
        end(&a);
        end(&b);
    }
    leave();
}

Test(checkpoint, survives_any_allocation_that_fails)
{
    optimizer = &adam;
    enter();
    run a = begin();
    for (int i = 0; i < 3; i++) step(&a);
    tl_bytes saved = image(&a);
    put("f", saved.data, saved.size);
    for (uint64_t n = 1;; n++) {
        const size_t live = tl_live_bytes();
        tl_fail_allocation(n);
        const tl_status status = tl_checkpoint_save("g", a.trainer, keep, &a);
        tl_fail_allocation(0);
        cr_assert(tl_live_bytes() == live);
        cr_assert(!status || (status == TL_E_MEMORY && files_here() == 1), "%s", tl_message());
        if (!status) break;
    }
    tl_bytes again;
    GOOD(tl_file_read("g", &again));
    cr_assert(again.size == saved.size && !memcmp(again.data, saved.data, saved.size));
    tl_bytes_free(&again);
    for (int used = 0; used < 2; used++) {
        int failures = 0;
        run b = begin();
        if (used) step(&b);
        tl_bytes before = image(&b);
        for (uint64_t n = 1;; n++, failures++) {
            tl_fail_allocation(n);
            const tl_status status = tl_checkpoint_load("f", b.trainer, keep, &b);
            tl_fail_allocation(0);
            if (!status) break;
            cr_assert(status == TL_E_MEMORY, "%s", tl_message());
            is_still(&b, &before, "short of memory");
            if (n % 8 == 1) { /* and it goes on as it would have */
                run c = begin();
                if (used) step(&c);
                same_run(&b, &c, "short of memory");
                end(&c);
            }
        }
        cr_assert(failures > 100, "%d", failures);
        is_still(&b, &saved, "loaded");
        tl_bytes_free(&before);
        end(&b);
    }
    tl_bytes_free(&saved);
    end(&a);
    leave();
}
