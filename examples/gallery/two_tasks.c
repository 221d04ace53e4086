/* examples/gallery/two_tasks.c - two tasks share an embedding (Caruana 1997; Collobert & Weston 2008): two model
 * functions on one model, each with a trainer and an optimizer of its own. What they share is what they ask for under
 * one path.
 *
 * Every symbol is secretly of class 0 or 1. One task says for each symbol whether its class is that of the one before,
 * the other which class is the more frequent one in the row. Both need the classes, which only the embedding holds. */
#include <string.h>

#include "gallery.h"

enum { T = 11, B = 16, SYMBOLS = 12, CLASSES = 2 };

static tl_tensor symbols(tl_scope *s, tl_tensor ids)
{
    return tl_embedding(s, ids, .vocab = SYMBOLS, .units = 6, .init = tl_normal(0, 1), .name = "symbols");
}

/* in: symbols [T, B], is each of the class of the one before it [T, B] */
static tl_tensor changes(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor x = symbols(s, in[0]);
    tl_scope *own = tl_in(s, "changes");
    tl_tensor logits = tl_dense(own, tl_gru(own, x, .units = 12, .return_sequences = true), .units = CLASSES);
    tl_output(s, "accuracy", gallery_accuracy(logits, in[1]));
    return tl_cross_entropy(logits, in[1]);
}

/* in: symbols [T, B], the class of most of them [B] */
static tl_tensor majority(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor x = symbols(s, in[0]);
    tl_scope *own = tl_in(s, "majority");
    tl_tensor logits = tl_dense(own, tl_lstm(own, x, .units = 12), .units = CLASSES);
    tl_output(s, "accuracy", gallery_accuracy(logits, in[1]));
    return tl_cross_entropy(logits, in[1]);
}

static int class_of(int symbol) { return 0x5A3 >> symbol & 1; }

static void fill_symbols(const tl_array *in, tl_random *random)
{
    for (int i = 0; i < T * B; i++) ((int32_t *)in[0].data)[i] = gallery_pick(random, SYMBOLS);
}

static void fill_changes(const tl_array *in, tl_random *random)
{
    const int32_t *x = in[0].data;
    fill_symbols(in, random);
    for (int i = 0; i < T * B; i++) ((int32_t *)in[1].data)[i] = i >= B && class_of(x[i]) == class_of(x[i - B]);
}

static void fill_majority(const tl_array *in, tl_random *random)
{
    const int32_t *x = in[0].data;
    int ones[B] = { 0 };
    fill_symbols(in, random);
    for (int i = 0; i < T * B; i++) ones[i % B] += class_of(x[i]);
    for (int b = 0; b < B; b++) ((int32_t *)in[1].data)[b] = 2 * ones[b] > T;
}

/* A step of one task changes the embedding and what is its own; of the other it leaves every bit alone. */
static bool keeps_to_itself(tl_model *model, const tl_array *in, tl_random *random)
{
    tl_model *before = tl_model_copy(model, 0);
    tl_trainer *t = tl_trainer_new(model, changes);
    fill_changes(in, random);
    bool well = !tl_train_step(t, in, 2, NULL);
    const float *was = tl_model_values(before), *is = tl_model_values(model);
    for (int i = 0; i < tl_model_count(model); i++) {
        const tl_param_info *p = tl_model_param(model, i);
        const bool changed = memcmp(was + p->offset, is + p->offset, (size_t)p->size * sizeof *is);
        well = well && changed == (strncmp(p->name, "majority/", 9) != 0);
    }
    printf("a step of one task leaves the other's parameters alone: %s\n", well ? "yes" : "NO");
    tl_trainer_free(t);
    tl_model_free(before);
    return well;
}

int main(int argc, char **argv)
{
    gallery_read(argc, argv);
    const tl_array rows = tl_array_of(TL_I32, TL_DIMS(T, B), NULL), one = tl_array_of(TL_I32, TL_DIMS(B), NULL);
    const gallery tasks[] = {
        { .title = "two tasks, one embedding: has the class changed?",
          .model = changes,
          .fill = fill_changes,
          .in = { rows, rows },
          .steps = 400,
          .factor = 0.1,
          .prove = keeps_to_itself },
        { .title = "two tasks, one embedding: which class is in the majority?",
          .model = majority,
          .fill = fill_majority,
          .in = { rows, one },
          .factor = 0.2 },
    };
    return gallery_run_tasks(tasks, 2);
}
