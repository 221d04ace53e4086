/* examples/topologies.c - what a recurrent network can be between: one or many things that go in, one or many that come out.
 *
 *     one-to-one    a vector, a class                noisy segments of a display -> the digit     (no recurrence at all)
 *     one-to-many   a thing, a sequence              a digit -> its name, letter by letter        (captions of pictures)
 *     many-to-one   a sequence, a class              words -> is it praise?                       (sentiment)
 *     many-to-many  a sequence, then another         a Roman number -> the same in digits         (translation)
 *     synced        a sequence, another beside it    the bits of two numbers -> those of the sum  (labels of frames)
 *
 * Five networks, each of which learns its task in a second or so; --task runs one alone. The samples are made in
 * topology_tasks.c. */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "tapeloop.h"
#include "topology_tasks.h"

enum { UNITS = 32, MOST_STEPS = 2000 };

/* ---- the networks: inputs -> logits ----------------------------------------------------------------------------- */

/* in: segments [B, 7] */
static tl_tensor one_to_one(tl_scope *s, const tl_tensor *in)
{
    tl_tensor h = tl_dense(s, in[0], .units = UNITS, .activation = tl_tanh);
    return tl_dense(s, h, .units = DIGITS, .name = "logits");
}

/* A sequence that begins with a state. At each step the network sees the symbol before: the right one while it learns;
 * when it is asked, what it has said itself, symbol by symbol in a run each, so that its state must go on between runs. */
static tl_tensor speak(tl_scope *s, tl_tensor before, tl_tensor state, int64_t vocab, bool asked)
{
    tl_tensor y = tl_embedding(s, before, .vocab = vocab, .units = 8, .name = "before");
    tl_tensor h = tl_gru(s, y, .initial = &state, .return_sequences = true, .stateful = asked);
    return tl_dense(s, h, .units = vocab, .name = "logits");
}

/* in: letters before [T, B], digits [B], letters [T, B] or none */
static tl_tensor one_to_many(tl_scope *s, const tl_tensor *in)
{
    tl_tensor idea = tl_embedding(s, in[1], .vocab = DIGITS, .units = UNITS);
    return speak(s, in[0], idea, LETTERS, tl_absent(in[2]));
}

/* in: words [T, B] */
static tl_tensor many_to_one(tl_scope *s, const tl_tensor *in)
{
    tl_tensor x = tl_embedding(s, in[0], .vocab = WORDS, .units = 8);
    return tl_dense(s, tl_gru(s, x, .units = UNITS), .units = 2, .name = "logits");
}

/* in: numerals before [T, B], Roman letters [T', B] with 0 as padding, numerals [T, B] or none */
static tl_tensor many_to_many(tl_scope *s, const tl_tensor *in)
{
    tl_scope *encoder = tl_in(s, "encoder"), *decoder = tl_in(s, "decoder");
    tl_tensor x = tl_embedding(encoder, in[1], .vocab = ROMANS, .units = 8, .mask_zero = true);
    return speak(decoder, in[0], tl_gru(encoder, x, .units = UNITS), NUMERALS, tl_absent(in[2]));
}

/* in: a bit of each of two numbers [T, B, 2], the lowest first */
static tl_tensor synced(tl_scope *s, const tl_tensor *in)
{
    tl_tensor h = tl_simple_rnn(s, in[0], .units = UNITS, .return_sequences = true);
    return tl_dense(s, h, .units = 2, .name = "logits");
}

static struct topology {
    const char *name;
    tl_tensor (*network)(tl_scope *s, const tl_tensor *in);
    task *task;
    int steps; /* of training */
} topologies[] = {
    { "one-to-one", one_to_one, &display, 300 },  { "one-to-many", one_to_many, &name_of_digit, 300 },
    { "many-to-one", many_to_one, &review, 600 }, { "many-to-many", many_to_many, &roman, MOST_STEPS },
    { "synced", synced, &binary_sum, 500 },
};
enum { TOPOLOGIES = sizeof topologies / sizeof *topologies };

/* ---- learning and asking ---------------------------------------------------------------------------------------- */

/* The loss of any of them; the targets are the last input, absent when the network is asked. */
static tl_tensor loss_of(tl_scope *s, const tl_tensor *in, void *user)
{
    const struct topology *t = user;
    tl_tensor logits = t->network(tl_in(s, t->name), in);
    tl_output(s, "logits", logits);
    tl_output(s, "answer", tl_argmax(logits, -1));
    return tl_cross_entropy(logits, in[t->task->n - 1]);
}

/* Answers to the batch, in the targets' shape: read off at once, or spoken symbol by symbol until END. */
static void ask(struct topology *t, tl_model *model, tl_trainer *trainer, int32_t *answer)
{
    const int steps = task_steps(t->task);
    if (t->task->speaks) {
        tl_sequences said;
        must(tl_beam_search(model, loss_of, t->task->in + 1, 1, t, &said, .start = START, .end = TL_ZERO,
                            .max_length = steps));
        for (int b = 0; b < BATCH; b++)
            for (int i = 0; i < steps; i++)
                answer[i * BATCH + b] = i < said.sequence[b].n ? said.sequence[b].ids[i] : END;
        tl_sequences_free(&said);
    } else {
        tl_array a;
        must(tl_predict_step(trainer, (tl_array[]){ t->task->in[0], TL_ABSENT_ARRAY }, 2));
        must(tl_get(tl_trainer_session(trainer, TL_PREDICT), "answer", &a));
        memcpy(answer, a.data, (size_t)(steps * BATCH) * sizeof *answer);
    }
}

/* Learns, is asked, and shows some answers. losses: one for each step; returns how many. */
static int64_t run(struct topology *t, tl_model *model, int64_t most, double *losses)
{
    int32_t answer[LONGEST * BATCH];
    int right = 0;
    tl_random learned = { .key = args_seed() }, asked = { .key = ~args_seed() };
    const int64_t steps = t->steps < most ? t->steps : most;
    tl_trainer *trainer = tl_trainer_new(model, loss_of, .user = t, .optimizer = tl_adam(.lr = 0.01), .clip_norm = 1,
                                         .explain = args_explain());
    if (!trainer) args_fail(1, "%s", tl_message());
    printf("%s: %s\n", t->name, t->task->title);
    for (int64_t i = 0; i < steps; i++) {
        task_fill(t->task, &learned, false);
        must(tl_train_step(trainer, t->task->in, t->task->n, &losses[i]));
    }
    task_fill(t->task, &asked, true);
    ask(t, model, trainer, answer);
    for (int b = 0; b < BATCH; b++) right += task_right(t->task, answer, b);
    for (int b = 0; b < 4; b++) task_show(t->task, answer, b);
    printf("%s: %d of %d right\n\n", t->name, right, BATCH);
    figure(t->name, (double)right / BATCH);
    args_plan(trainer);
    tl_trainer_free(trainer);
    task_free(t->task);
    return steps;
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

static const char *only = "all";
static int64_t most = MOST_STEPS;
static const arg options[] = {
    { "task", ARG_TEXT, &only, "which", 0, 0, "all|one-to-one|one-to-many|many-to-one|many-to-many|synced" },
    { "steps", ARG_INT, &most, "at most so many steps of training for each", 0, MOST_STEPS, NULL },
    { ARGS_PLOT },
    { ARGS_SAVE("write all networks to this file") },
    { ARGS_LOAD("go on with the networks in this file; --steps 0 only asks them") },
};

/* Of a loaded file: is there anything for this one in it? */
static void check_loaded(const tl_model *model, const char *name)
{
    for (int i = 0; i < tl_model_count(model); i++)
        if (!strncmp(tl_model_param(model, i)->name, name, strlen(name))) return;
    args_fail(2, "%s: no network for %s in it", args_load, name);
}

int main(int argc, char **argv)
{
    static double losses[TOPOLOGIES][MOST_STEPS];
    tl_series series[TOPOLOGIES];
    int n = 0;
    args_read(argc, argv, "five shapes of networks, each on a task of its own", options,
              sizeof options / sizeof *options);
    tl_model *model = tl_model_new(.seed = args_seed());
    if (!model) args_fail(1, "%s", tl_message());
    if (args_load) must(tl_model_load(model, args_load));
    for (int k = 0; k < TOPOLOGIES; k++) {
        if (strcmp(only, "all") && strcmp(only, topologies[k].name)) continue;
        if (args_load) check_loaded(model, topologies[k].name);
        const int64_t steps = run(&topologies[k], model, most, losses[k]);
        series[n++] = (tl_series){ topologies[k].name, NULL, losses[k], steps };
    }
    const tl_plot plot = { "five topologies", "step", "loss", .log_y = true, .series = series, .n_series = n };
    if (args_plot) must(tl_plot_write(&plot, 1, args_plot));
    if (args_save) must(tl_model_save(model, args_save));
    figures_write();
    tl_model_free(model);
    return 0;
}
