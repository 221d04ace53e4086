/* examples/gallery/tree_lstm.c - the child-sum tree-LSTM, Tai, Socher & Manning 2015, over batches of different trees.
 *
 * For node j with children C(j), input x_j and z_j = sum over k in C(j) of h_k:
 *     i, o = sigmoid(x_j W + z_j U + b)      u = tanh(x_j W + z_j U + b)
 *     f_jk = sigmoid(x_j W + h_k U + b)      for each child k
 *     c_j = i u + sum over k of f_jk c_k     h_j = o tanh(c_j)
 *
 * All trees of a batch are one list of nodes; the links are data, so one plan serves them all. Nodes are computed level
 * by level, from the leaves up, and each adds its share to the sums of its parent. Rows of the list: the nodes; a place
 * above each root, which receives what the root sends up; PAD, where padding reads zeros; LOST, where it writes.
 *
 * The task: what is the value of a random tree of and, or, xor over true and false? */
#include "gallery.h"

enum { B = 16, UNITS = 12, DEPTH = 4, MAX_CHILDREN = 3, NODES = B * (1 + 3 + 9 + 27), WIDTH = B * 27 };
enum { PAD = NODES + B, LOST, ROWS };
enum { FALSE, TRUE, AND, OR, XOR, WORDS }; /* what stands at a node */

/* in: word [ROWS], parent [ROWS], level [DEPTH, WIDTH]: the nodes of each height; value [B]. All i32. */
static tl_tensor model(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    tl_tensor parent = in[1], level = in[2], x = tl_embedding(s, in[0], .vocab = WORDS, .units = UNITS);
    tl_tensor sum_h = tl_full(s, TL_DIMS(ROWS, UNITS), 0), sum_fc = sum_h;
    for (int64_t l = 0; l < tl_dim(level, 0); l++) {
        tl_scope *r = tl_step(tl_in(s, "tree"), l);
        tl_tensor j = tl_at(level, l), above = tl_gather(parent, j);
        tl_tensor x_j = tl_gather(x, j), z = tl_gather(sum_h, j);
        tl_tensor i = tl_sigmoid(tl_gate(r, "i", x_j, z)), o = tl_sigmoid(tl_gate(r, "o", x_j, z));
        tl_tensor u = tl_tanh(tl_gate(r, "u", x_j, z));
        tl_tensor c = tl_fma(i, u, tl_gather(sum_fc, j)), h = tl_mul(o, tl_tanh(c));
        tl_tensor f = tl_sigmoid(tl_gate(r, "f", tl_gather(x, above), h, .bias = 1));
        sum_h = tl_scatter_add(sum_h, h, above, ROWS);
        sum_fc = tl_scatter_add(sum_fc, tl_mul(f, c), above, ROWS);
    }
    tl_tensor logits = tl_dense(s, tl_slice(sum_h, 0, NODES, NODES + B), .units = 2);
    tl_output(s, "accuracy", gallery_accuracy(logits, in[3]));
    return tl_cross_entropy(logits, in[3]);
}

typedef struct forest {
    int32_t *word, *parent, *level, *value, used[DEPTH]; /* used: nodes so far at a height */
    int nodes;
    tl_random *random;
} forest;

/* A tree of at most that height under node `parent`. Returns its value, and its height in *height. */
static int grow(forest *f, int parent, int most, int *height)
{
    const bool leaf = !most || (parent < NODES && !gallery_pick(f->random, 4));
    const int node = f->nodes++, word = leaf ? gallery_pick(f->random, AND) : AND + gallery_pick(f->random, 3);
    const int children = leaf ? 0 : 1 + gallery_pick(f->random, MAX_CHILDREN);
    int ones = 0;
    *height = 0;
    for (int k = 0, h; k < children; k++) {
        ones += grow(f, node, most - 1, &h);
        if (*height <= h) *height = h + 1;
    }
    f->word[node] = word;
    f->parent[node] = parent;
    f->level[*height * WIDTH + f->used[*height]++] = node;
    return word == AND ? ones == children : word == OR ? ones > 0 : word == XOR ? ones % 2 : word;
}

static void fill(const tl_array *in, tl_random *random)
{
    forest f = { in[0].data, in[1].data, in[2].data, in[3].data, .random = random };
    for (int j = 0; j < ROWS; j++) f.word[j] = 0, f.parent[j] = LOST;
    for (int j = 0; j < DEPTH * WIDTH; j++) f.level[j] = PAD;
    for (int b = 0, height; b < B; b++) f.value[b] = grow(&f, NODES + b, DEPTH - 1, &height);
}

int main(int argc, char **argv)
{
    gallery_read(argc, argv);
    return gallery_run(&(gallery){
        .title = "child-sum tree-LSTM: the value of a tree of and, or, xor",
        .model = model,
        .fill = fill,
        .in = { tl_array_of(TL_I32, TL_DIMS(ROWS), NULL), tl_array_of(TL_I32, TL_DIMS(ROWS), NULL),
                tl_array_of(TL_I32, TL_DIMS(DEPTH, WIDTH), NULL), tl_array_of(TL_I32, TL_DIMS(B), NULL) },
        .steps = 2000,
        .factor = 0.3,
    });
}
