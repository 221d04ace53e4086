/* examples/gallery/gallery.h - what the programs of the gallery share. Each is one architecture on one tiny task: its
 * gradients are checked against differences, it is trained, and it must have learned. */
#ifndef GALLERY_H
#define GALLERY_H

#include "tapeloop.h"

#define GALLERY_INPUTS 8
#define GALLERY_TASKS 4

typedef struct gallery {
    const char *title;
    tl_model_fn model; /* from a batch to its loss; an output called "accuracy" (a scalar) is shown if there is one */
    const char *show;  /* so is an output of this name */
    void *user;        /* handed to the model */
    void (*fill)(const tl_array *in, tl_random *random); /* writes a fresh batch into in[0], in[1], ... */
    tl_array in[GALLERY_INPUTS]; /* shapes of the inputs, f32 or i32: tl_array_of(TL_F32, TL_DIMS(T, B, D), NULL) */
    int steps;                   /* of training */
    double factor;               /* the loss on held-out batches must fall to at most this share of what it was */
    tl_optimizer_desc optimizer; /* default: tl_adam(.lr = 0.01) */
    tl_gradcheck_opts check;     /* its options; of order 1 with every time step, then of order 2 */
    bool first_order;            /* where the gradient has no derivative worth checking */
    /* What the program shows beyond that, after training: prints it, and returns whether it is so. */
    bool (*prove)(tl_model *model, const tl_array *in, tl_random *random);
} gallery;

/* What every main() starts with. The command line may hold what all examples take: see args_read() in ../args.h. */
void gallery_read(int argc, char **argv);

/* The rest of main(): exit status 0 if the gradients agree with differences and the loss has fallen. */
int gallery_run(const gallery *g);

/* The same for n <= GALLERY_TASKS tasks on one model, each with a trainer of its own, a step of each in turn. .steps
 * are those of the first. */
int gallery_run_tasks(const gallery *tasks, int n);

/* A whole number in 0..n-1. */
int gallery_pick(tl_random *random, int n);

/* Mean of [the largest logit is at the id]: [..., V], i32 [...] -> a scalar, for tl_output(s, "accuracy", ...). */
tl_tensor gallery_accuracy(tl_tensor logits, tl_tensor ids);

#endif
