/* tests/conformance_e2e.c - whole trainings in PyTorch's way, a step at a time. */
#include "conformance_cells.h"

enum { MOST_INPUTS = 4, MOST_STEPS = 1000, MOST_DEPTH = 8 };

/* What is trained: the model function, its options read from the case, and its inputs, which are step k's part of the case's. */
typedef struct task {
    replay *r;
    tl_loss loss;
    tl_tensor (*fn)(const struct task *, tl_scope *s, const tl_tensor *in);
    const char *name[MOST_INPUTS]; /* of the case's inputs; sequences [B, T, ...] become [T, B, ...] */
    int64_t chunk;                 /* of .stream: steps in one; in[1] are the ids that follow those of in[0] */
} task;

/* ---- models -------------------------------------------------------------------------------------------------------- */

static tl_tensor fully_connected(const task *a, tl_scope *s, tl_tensor x)
{
    return tl_dense(s, x, .units = dim_of(a->r, "par", "fc_w", 0), .name = "fc");
}

/* By the gates that lie in one matrix. */
static const vendor_cell *cell_of(const replay *r, const char *ih, const char *hh)
{
    const int64_t gates = dim_of(r, "par", ih, 0) / dim_of(r, "par", hh, 1);
    return gates == 4 ? &torch_lstm : gates == 3 ? &torch_gru : &torch_tanh;
}

/* Parameters and options of layer l; a pair of layers, if it goes both ways. */
static tl_tensor recurrent(const task *a, tl_scope *s, int l, tl_tensor x, tl_tensor lengths, bool sequences)
{
    replay here = *a->r; /* options of cells live on this tape */
    here.s = s;
    const char *hh = text(&here, "weight_hh_l%d", l);
    const vendor_cell *cell = cell_of(&here, text(&here, "weight_ih_l%d", l), hh);
    const int64_t units = dim_of(&here, "par", hh, 1);
    if (has(&here, "par", text(&here, "%s_reverse", hh)))
        return tl_bidirectional(s, x, cell->make(&here), .units = units, .name = text(&here, "l%d", l),
                                .return_sequences = sequences, .lengths = lengths);
    return tl_rnn(s, x, cell->make(&here), .units = units, .name = text(&here, "l%d", l), .return_sequences = sequences,
                  .lengths = lengths, .stateful = a->chunk > 0);
}

static int layers_of(const replay *r)
{
    int n = 0;
    char name[32];
    do snprintf(name, sizeof name, "weight_ih_l%d", n++);
    while (has(r, "par", name) && n < MOST_DEPTH);
    return n - 1;
}

/* Ids or vectors, through all layers; a loss of the last step's result, or of all steps'. in: x, targets, lengths. */
static tl_tensor network(const task *a, tl_scope *s, const tl_tensor *in)
{
    const int layers = layers_of(a->r);
    const int64_t padding = fx_int(a->r->c, "padding_idx", -1);
    tl_tensor x = in[0];
    if (has(a->r, "par", "emb"))
        x = tl_embedding(s, x, .vocab = dim_of(a->r, "par", "emb", 0), .units = dim_of(a->r, "par", "emb", 1),
                         .name = "emb",
                         .padding_id = padding < 0 ? 0
                                       : padding   ? padding
                                                   : TL_ZERO);
    for (int l = 0; l < layers; l++) x = recurrent(a, s, l, x, in[2], a->chunk || l + 1 < layers);
    const tl_tensor y = fully_connected(a, s, x);
    const bool ids = tl_dtype_of(in[1]) == TL_I32;
    const tl_tensor target = ids ? in[1] : tl_reshape(in[1], tl_rank(y), tl_shape_of(y).dim);
    return tl_loss_opt(TL_HERE, a->loss, (tl_tensor[]){ y, target }, &(tl_loss_opts){ .size = sizeof(tl_loss_opts) });
}

/* Encoder, and a decoder that looks at it in every step. in: source, target. */
static tl_tensor translator(const task *a, tl_scope *s, const tl_tensor *in)
{
    replay here = *a->r;
    here.s = s;
    const int64_t H = dim_of(a->r, "par", "Wq", 0), V = dim_of(a->r, "par", "emb", 0),
                  E = dim_of(a->r, "par", "emb", 1);
    const tl_tensor emb = tl_param(tl_in(s, "emb"), "W", TL_DIMS(V, E)), Wq = tl_param(s, "Wq", TL_DIMS(H, H));
    const tl_tensor Wk = tl_param(s, "Wk", TL_DIMS(H, H)), v = tl_param(s, "v", TL_DIMS(H));
    tl_tensor h, loss = TL_NONE;
    const tl_tensor memory = tl_rnn(s, tl_gather(emb, in[0]), torch_gru.make(&here), .units = H, .name = "enc",
                                    .return_sequences = true, .final = &h);
    const tl_tensor keys = tl_matmul(memory, Wk);
    const int64_t L = tl_dim(in[1], 0) - 1;
    const tl_cell cell = torch_gru.make(&here);
    for (int64_t t = 0; t < L; t++) {
        tl_scope *step = tl_step(tl_in(s, "dec"), t);
        const tl_tensor scores = tl_sum(tl_mul(tl_tanh(tl_add(keys, tl_matmul(h, Wq))), v), TL_AXES(-1));
        const tl_tensor p = tl_transpose(tl_softmax(tl_transpose(scores)));
        const tl_tensor context = tl_sum(tl_mul(memory, tl_expand_dims(p, 2)), TL_AXES(0));
        tl_call(step, cell, tl_concat(2, (tl_tensor[]){ tl_gather(emb, tl_at(in[1], t)), context }, -1), &h);
        const tl_tensor z = fully_connected(a, tl_step(tl_in(s, "out"), t),
                                            tl_concat(2, (tl_tensor[]){ h, context }, -1));
        const tl_tensor more = tl_scale(tl_cross_entropy(z, tl_at(in[1], t + 1)), 1 / (double)L);
        loss = tl_absent(loss) ? more : tl_add(loss, more);
    }
    return loss;
}

static tl_tensor model(tl_scope *s, const tl_tensor *in, void *user)
{
    const task *a = user;
    return a->fn(a, s, in);
}

/* ---- parameters ---------------------------------------------------------------------------------------------------- */

static const vendor encoder_layout = {
    "enc_weight_ih%s", "enc_weight_hh%s", "enc_bias_ih%s", "enc_bias_hh%s", NULL, 0, true
};
static const vendor decoder_layout = {
    "dec_weight_ih%s", "dec_weight_hh%s", "dec_bias_ih%s", "dec_bias_hh%s", NULL, 0, true
};

static void set_params(replay *r)
{
    static const char *const plain[] = { "Wq", "Wk", "v" };
    const char *fc = has(r, "par", "Wq") ? "out/fc" : "fc";
    param(r, "emb/W", "emb", (part){ 0 });
    param(r, text(r, "%s/W", fc), "fc_w", (part){ .transposed = true });
    param(r, text(r, "%s/b", fc), "fc_b", (part){ 0 });
    for (int k = 0; k < COUNT(plain); k++) param(r, plain[k], plain[k], (part){ 0 });
    for (int l = 0; l < layers_of(r); l++) {
        const vendor_cell *cell = cell_of(r, text(r, "weight_ih_l%d", l), text(r, "weight_hh_l%d", l));
        const bool both = has(r, "par", text(r, "weight_hh_l%d_reverse", l));
        cell_params(r, cell, text(r, both ? "l%d/forward/" : "l%d/", l), text(r, "_l%d", l));
        if (both) cell_params(r, cell, text(r, "l%d/backward/", l), text(r, "_l%d_reverse", l));
    }
    vendor_cell encoder = torch_gru, decoder = torch_gru;
    encoder.layout = &encoder_layout;
    decoder.layout = &decoder_layout;
    if (has(r, "par", "Wq")) cell_params(r, &encoder, "enc/", "_l0");
    if (has(r, "par", "Wq")) cell_params(r, &decoder, "dec/", "");
}

/* "RMSprop lr 1e-2 alpha .9 eps 1e-7" */
static tl_optimizer_desc optimizer_of(replay *r)
{
    static const struct {
        const char *name;
        tl_rule rule;
    } rules[] = { { "SGD", TL_SGD },       { "RMSprop", TL_RMSPROP }, { "AdamW", TL_ADAMW },
                  { "Adamax", TL_ADAMAX }, { "Adam", TL_ADAM },       { "Adagrad", TL_ADAGRAD },
                  { "NAdam", TL_NADAM },   { "RAdam", TL_RADAM },     { "Adadelta", TL_ADADELTA } };
    tl_optimizer_desc o = { .size = sizeof o, .style = TL_TORCH };
    const struct {
        const char *name;
        double *to;
    } options[] = { { " lr ", &o.lr },
                    { " eps ", &o.epsilon },
                    { " momentum ", &o.momentum },
                    { " alpha ", &o.rho },
                    { " wd ", &o.weight_decay },
                    { " beta1 ", &o.beta1 },
                    { " beta2 ", &o.beta2 },
                    { " weight_decay ", &o.weight_decay } };
    const char *words = fx_attr(r->c, "optimizer");
    for (int k = 0; words && k < COUNT(rules) && !o.rule; k++)
        if (!strncmp(words, rules[k].name, strlen(rules[k].name))) o.rule = rules[k].rule;
    if (!o.rule) fail(r, "optimizer \"%s\" is not known here", words ? words : "");
    for (int k = 0; words && k < COUNT(options); k++) {
        const char *p = strstr(words, options[k].name);
        if (p) *options[k].to = atof(p + strlen(options[k].name));
    }
    return o;
}

/* ---- steps --------------------------------------------------------------------------------------------------------- */

/* [B, T, ...] from one step to another -> [to - from, B, ...]; a copy, to be freed. */
static tl_array time_major(const tl_array *x, int64_t from, int64_t to)
{
    const size_t element = x->dtype == TL_F64 ? 8 : 4;
    size_t inner = element;
    for (int k = 2; k < x->rank; k++) inner *= (size_t)x->dim[k];
    const int64_t B = x->dim[0], T = x->dim[1];
    tl_array y = *x;
    y.dim[0] = to - from;
    y.dim[1] = B;
    y.data = malloc((size_t)(B * (to - from)) * inner + 1);
    for (int64_t t = from; t < to; t++)
        for (int64_t b = 0; b < B; b++)
            memcpy((char *)y.data + (size_t)((t - from) * B + b) * inner, (char *)x->data + (size_t)(b * T + t) * inner,
                   inner);
    return y;
}

/* The inputs of step k, as arrays; returns how many. */
static int inputs_of(const task *a, int64_t k, tl_array in[MOST_INPUTS])
{
    int n = 0;
    for (; n < MOST_INPUTS && a->name[n]; n++) {
        const tl_array x = numbers(a->r, "in", a->name[n]);
        const int64_t from = a->chunk * k + (a->chunk ? n : 0);
        in[n] = x;
        if (x.rank > 1) in[n] = time_major(&x, from, a->chunk ? from + a->chunk : x.dim[1]);
    }
    return n;
}

/* The same for step 0 as tensors of the case's tape, whose gradients are compared. */
static void tensors_of(const task *a, tl_tensor in[MOST_INPUTS])
{
    for (int n = 0; n < MOST_INPUTS; n++) {
        in[n] = a->name[n] ? input(a->r, a->name[n]) : TL_NONE;
        if (a->chunk && a->name[n]) in[n] = tl_slice(in[n], 1, n, n + a->chunk);
        if (tl_rank(in[n]) > 1) in[n] = swapped(in[n]);
    }
}

static void train(task *a)
{
    replay *r = a->r;
    const int64_t steps = fx_int(r->c, "steps", 1) < MOST_STEPS ? fx_int(r->c, "steps", 1) : MOST_STEPS;
    double loss[MOST_STEPS], norm[MOST_STEPS];
    tl_tensor first[MOST_INPUTS + TL_SPARE_INPUTS] = { 0 };
    set_params(r);
    tensors_of(a, first);
    add_loss(r, a->fn(a, r->s, first));
    const double clip = fx_num(r->c, "clip_norm", 0);
    tl_model *trained = start_model(r);
    tl_trainer *t = tl_trainer_new(trained, model, .user = a, .optimizer = optimizer_of(r), .clip_norm = clip);
    tl_status status = !t;
    for (int64_t k = 0; !status && k < steps; k++) {
        tl_array in[MOST_INPUTS];
        const int n = inputs_of(a, k, in);
        status = tl_train_step(t, in, n, &loss[k]);
        norm[k] = status ? NAN : tl_trainer_norm(t);
        for (int i = 0; i < n; i++)
            if (in[i].rank > 1) free(in[i].data);
    }
    if (status) fail(r, "%s", tl_message());
    else expect(r, "traj", "loss", loss, steps);
    if (has(r, "traj", "grad_norm")) expect(r, "traj", "grad_norm", norm, steps);
    if (!status) expect_params(r, trained);
    tl_trainer_free(t);
    tl_model_free(trained);
}

static void classify(replay *r)
{
    train(&(task){ .r = r, .fn = network, .loss = TL_LOSS_CROSS_ENTROPY, .name = { "x", "y" } });
}

static void add(replay *r) { train(&(task){ .r = r, .fn = network, .loss = TL_LOSS_MSE, .name = { "x", "y" } }); }

static void packed(replay *r)
{
    train(&(task){ .r = r, .fn = network, .loss = TL_LOSS_BINARY_CROSS_ENTROPY, .name = { "ids", "y", "lengths" } });
}

static void language(replay *r)
{
    train(&(task){ .r = r,
                   .fn = network,
                   .loss = TL_LOSS_CROSS_ENTROPY,
                   .name = { "stream", "stream" },
                   .chunk = fx_int(r->c, "chunk", 1) });
}

static void translate(replay *r) { train(&(task){ .r = r, .fn = translator, .name = { "src", "tgt" } }); }

const op_row e2e_rows[] = {
    { "e2e_charrnn", classify },
    { "e2e_seed003", classify },
    { "e2e_adding", add },
    { "e2e_bilstm", packed },
    { "e2e_lm_tbptt", language },
    { "e2e_seq2seq", translate },
    { 0 },
};
