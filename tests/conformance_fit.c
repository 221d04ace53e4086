/* tests/conformance_fit.c - whole runs of Keras' fit: history, trained weights, predictions; and callbacks' decisions. */
#include "conformance_cells.h"

enum { MOST_LAYERS = 8, MOST_METRICS = 4 };

/* ---- a sequential model, from the words that describe it ----------------------------------------------------------- */

/* "Embedding(mask_zero)-Bi(LSTM,seq)-TimeDistributed(Dense(3,softmax))": its layers, one word each. */
typedef struct sequential {
    replay *r;
    char *layer[MOST_LAYERS];
    int n;
    bool masked;        /* the mask reaches the loss */
    int weights;        /* index of the weights among the inputs; 0: none */
    bool training_only; /* those of classes count in training alone */
    tl_loss loss;
} sequential;

/* Cuts at '-' outside of parentheses. */
static void parse(sequential *m, replay *r)
{
    char *p = (char *)(uintptr_t)text(r, "%s", fx_attr(r->c, "model"));
    int depth = 0;
    m->layer[m->n++] = p;
    for (; *p; p++) {
        depth += (*p == '(') - (*p == ')');
        if (*p != '-' || depth) continue;
        *p = 0;
        if (m->n < MOST_LAYERS) m->layer[m->n++] = p + 1;
    }
}

static const vendor_cell *cell_of(const char *word)
{
    return strstr(word, "LSTM")        ? &keras_lstm
           : strstr(word, "GRU")       ? &keras_gru
           : strstr(word, "SimpleRNN") ? &keras_simple_rnn
                                       : NULL;
}

/* Our parameters of every layer start as the case's. */
static void set_params(replay *r, const sequential *m)
{
    for (int k = 0; k < m->n; k++) {
        const char *word = m->layer[k];
        const vendor_cell *cell = cell_of(word);
        if (!strncmp(word, "Embedding", 9)) param(r, text(r, "l%d/W", k), text(r, "L%d.embeddings", k), (part){ 0 });
        else if (cell && !strncmp(word, "Bi(", 3)) {
            cell_params(r, cell, text(r, "l%d/forward/", k), text(r, "L%d.forward.", k));
            cell_params(r, cell, text(r, "l%d/backward/", k), text(r, "L%d.backward.", k));
        } else if (cell) {
            cell_params(r, cell, text(r, "l%d/", k), text(r, "L%d.", k));
        } else {
            const char *inner = strstr(word, "TimeDistributed") ? "dense." : "";
            param(r, text(r, "l%d/W", k), text(r, "L%d.%skernel", k, inner), (part){ 0 });
            param(r, text(r, "l%d/b", k), text(r, "L%d.%sbias", k, inner), (part){ 0 });
        }
    }
}

/* "l2 .01 kernel, l1 .005 recurrent, l1l2 .002/.003 bias" of layer k, as penalties. */
static tl_tensor penalties(tl_scope *s, const sequential *m, int k)
{
    static const struct {
        const char *what, *path;
        bool gru;
    } places[] = { { "kernel", "*W" }, { "recurrent", "*U" }, { "bias", "*b" }, { "bias", "*br", true } };
    tl_tensor sum = TL_NONE;
    const char *p = strchr(m->layer[k], '(');
    for (p = p && strstr(p, " ") ? p + 1 : NULL; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        char kind[8], what[16];
        double a = 0, b = 0;
        if (sscanf(p, " %7s %lf/%lf %15[a-z]", kind, &a, &b, what) != 4 &&
            sscanf(p, " %7s %lf %15[a-z]", kind, &a, what) != 3)
            continue;
        const bool both = !strcmp(kind, "l1l2"), l2 = !strcmp(kind, "l2");
        for (int i = 0; i < COUNT(places); i++) {
            if (strcmp(what, places[i].what) || (places[i].gru && cell_of(m->layer[k]) != &keras_gru)) continue;
            const char *path = text(m->r, "l%d/%s", k, places[i].path);
            const tl_tensor y = tl_penalty(s, path, .l1 = l2 ? 0 : a, .l2 = both ? b : l2 ? a : 0);
            sum = tl_absent(sum) ? y : tl_add(sum, y);
        }
    }
    return sum;
}

static tl_tensor layer(tl_scope *s, const sequential *m, int k, tl_tensor x)
{
    replay *r = m->r;
    const char *word = m->layer[k], *name = text(r, "l%d", k), *L = text(r, "L%d.", k);
    const vendor_cell *cell = cell_of(word);
    const bool sequences = strstr(word, "seq");
    if (!strncmp(word, "Embedding", 9))
        return tl_embedding(s, x, .vocab = dim_of(r, "par", text(r, "%sembeddings", L), 0), .name = name,
                            .units = dim_of(r, "par", text(r, "%sembeddings", L), 1),
                            .mask_zero = strstr(word, "mask_zero"));
    if (cell && !strncmp(word, "Bi(", 3))
        return tl_bidirectional(s, x, cell->make(r), .name = name, .return_sequences = sequences,
                                .units = dim_of(r, "par", text(r, "%sforward.recurrent_kernel", L), 0));
    if (cell)
        return tl_rnn(s, x, cell->make(r), .name = name, .return_sequences = sequences,
                      .units = dim_of(r, "par", text(r, "%srecurrent_kernel", L), 0));
    const bool each = strstr(word, "TimeDistributed"), dense = strstr(word, "Dense");
    if (dense)
        x = tl_dense(s, x, .units = dim_of(r, "par", text(r, "%s%skernel", L, each ? "dense." : ""), -1), .name = name);
    return strstr(word, "softmax") ? tl_softmax(x) : strstr(word, "sigmoid") ? tl_sigmoid(x) : x;
}

static tl_tensor model(tl_scope *s, const tl_tensor *in, void *user)
{
    const sequential *m = user;
    replay cells = *m->r; /* options of cells live on this tape */
    sequential here = *m;
    tl_tensor y = in[0], penalty = TL_NONE;
    cells.s = s;
    here.r = &cells;
    for (int k = 0; k < m->n; k++) {
        y = layer(s, &here, k, y);
        const tl_tensor more = penalties(s, &here, k);
        penalty = tl_absent(penalty) ? more : tl_absent(more) ? penalty : tl_add(penalty, more);
    }
    tl_output(s, "y", y);
    if (tl_absent(in[1])) return TL_NONE;
    if (!m->masked) y = tl_masked(y, TL_NONE);
    const bool same = tl_size(in[1]) == tl_size(y) && tl_dtype_of(in[1]) != TL_I32;
    const tl_tensor target = same ? tl_reshape(in[1], tl_rank(y), tl_shape_of(y).dim) : in[1];
    const bool weighted = m->weights && (tl_training(s) || !m->training_only);
    const tl_loss_opts o = { .size = sizeof o,
                             .probabilities = m->loss != TL_LOSS_MSE,
                             .weights = weighted ? in[m->weights] : TL_NONE };
    const tl_tensor loss = tl_loss_opt(TL_HERE, m->loss, (tl_tensor[]){ y, target }, &o);
    return tl_absent(penalty) ? loss : tl_add(loss, penalty);
}

/* ---- its run ------------------------------------------------------------------------------------------------------- */

/* "SGD(.1, momentum .9)", "Adam(.01)", "Adam default" */
static tl_optimizer_desc optimizer_of(replay *r)
{
    static const struct {
        const char *name;
        tl_rule rule;
    } rules[] = { { "SGD", TL_SGD },         { "RMSprop", TL_RMSPROP },   { "AdamW", TL_ADAMW },
                  { "Adamax", TL_ADAMAX },   { "Adam", TL_ADAM },         { "Nadam", TL_NADAM },
                  { "Adagrad", TL_ADAGRAD }, { "Adadelta", TL_ADADELTA }, { "Lion", TL_LION },
                  { "Ftrl", TL_FTRL } };
    tl_optimizer_desc o = { .size = sizeof o };
    const struct {
        const char *name;
        double *to;
    } options[] = { { "momentum ", &o.momentum },
                    { "clipnorm ", &o.clip_each },
                    { "global_clipnorm ", &o.clip_norm },
                    { "clipvalue ", &o.clip_value },
                    { "rho ", &o.rho },
                    { "beta_1 ", &o.beta1 },
                    { "beta_2 ", &o.beta2 },
                    { "epsilon ", &o.epsilon },
                    { "weight_decay ", &o.weight_decay } };
    const char *words = fx_attr(r->c, "optimizer"), *p;
    if (!words) words = strstr(r->c->op, "onehot") ? "RMSprop" : "Adam";
    for (int k = 0; k < COUNT(rules) && !o.rule; k++)
        if (!strncmp(words, rules[k].name, strlen(rules[k].name))) o.rule = rules[k].rule;
    if (!o.rule) fail(r, "optimizer \"%s\" is not known here", words);
    if ((p = strchr(words, '('))) o.lr = atof(p + 1);
    for (; p; p = strchr(p + 1, ','))
        for (int k = 0; k < COUNT(options); k++)
            if (!strncmp(p + 1 + strspn(p + 1, " "), options[k].name, strlen(options[k].name)))
                *options[k].to = atof(strchr(p + 1 + strspn(p + 1, " "), ' '));
    return o;
}

/* The dataset's fields: X, Y, and with `weighted` the weights of samples or classes. *mask: the input that has the mask of steps,
 * 0 if none has. */
static tl_dataset *dataset_of(replay *r, sequential *m, bool weighted, int *mask)
{
    tl_dataset *d = tl_dataset_new();
    const tl_array x = numbers(r, "in", "X"), y = numbers(r, "in", "Y"), w = numbers(r, "in", "sample_weight");
    const char *classes = fx_attr(r->c, "class_weight");
    const bool tags = y.rank == 2 && y.dtype == TL_I32;
    tl_dataset_sequences(d, x);
    if (tags) tl_dataset_sequences(d, y);
    else tl_dataset_rows(d, y);
    if (w.rank >= 0 && weighted) m->weights = tl_dataset_weights(d, w);
    if (classes && weighted) {
        double weight[64];
        int n = 0;
        for (const char *p = classes; p && n < 64; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
            weight[n++] = atof(strchr(p, ':') + 1);
        m->weights = tl_dataset_class_weights(d, 1, weight, n, .dtype = replay_type(r));
        m->training_only = true;
    }
    *mask = 0;
    if (m->masked && tags && strstr(m->layer[0], "mask_zero")) {
        float *real = calloc((size_t)(x.dim[0] * x.dim[1]), sizeof *real);
        for (int64_t i = 0; i < x.dim[0] * x.dim[1]; i++) real[i] = ((int32_t *)x.data)[i] != 0;
        *mask = tl_dataset_weights(d, tl_array_of(TL_F32, 2, x.dim, real), .copy = true, .dtype = replay_type(r));
        free(real);
    }
    return d;
}

/* What the history has to have, as metrics. */
static int metrics_of(replay *r, tl_metric_desc *metric, int mask)
{
    int n = 0;
    for (size_t k = 0; k < r->c->nt && n < MOST_METRICS; k++) {
        const fx_tensor *t = &r->c->t[k];
        if (strcmp(t->role, "traj") || !strcmp(t->name, "loss") || !strncmp(t->name, "val_", 4)) continue;
        metric[n] = !strcmp(t->name, "mae") ? tl_mae_metric() : tl_accuracy();
        metric[n].name = t->name;
        metric[n].output = "y";
        metric[n++].weights = mask;
    }
    return n;
}

static void compare_history(replay *r, const tl_history *h)
{
    for (int k = 0; k < tl_history_names(h); k++)
        expect(r, "traj", tl_history_name(h, k), tl_history_values(h, tl_history_name(h, k)), tl_history_epochs(h));
}

static void expect_array(replay *r, const char *name, const tl_array *a)
{
    int64_t n = 1;
    for (int k = 0; k < a->rank; k++) n *= a->dim[k];
    double *x = calloc((size_t)n + 1, sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = a->dtype == TL_F64 ? ((double *)a->data)[i] : (double)((float *)a->data)[i];
    expect(r, "exp", name, x, n);
    free(x);
}

static void fit(replay *r)
{
    sequential m = { .r = r, .masked = fx_num(r->c, "mask_propagates", 1) != 0 };
    tl_metric_desc metric[MOST_METRICS];
    tl_history *history = NULL;
    double results[MOST_METRICS + 1];
    tl_array y = { 0 };
    int mask;
    parse(&m, r);
    set_params(r, &m);
    const char *last = m.layer[m.n - 1];
    m.loss = strstr(last, "softmax")   ? TL_LOSS_CROSS_ENTROPY
             : strstr(last, "sigmoid") ? TL_LOSS_BINARY_CROSS_ENTROPY
                                       : TL_LOSS_MSE;
    tl_model *trained = start_model(r);
    tl_dataset *data = dataset_of(r, &m, true, &mask), *plain = dataset_of(r, &m, false, &mask);
    const int n = metrics_of(r, metric, mask);
    const int64_t batch = fx_int(r->c, "batch_size", 32);
    tl_trainer *trainer = tl_trainer_new(trained, model, .user = &m, .optimizer = optimizer_of(r));
    tl_status status = !trainer;
    if (!status)
        status = tl_fit(trained, model, data, .trainer = trainer, .epochs = fx_int(r->c, "epochs", 1), .batch = batch,
                        .validation_split = fx_num(r->c, "validation_split", 0), .no_shuffle = true, .metrics = metric,
                        .n_metrics = n, .history = &history);
    if (!status) compare_history(r, history);
    if (!status) expect_params(r, trained);
    if (!status) status = tl_predict(trained, model, data, "y", &y, .trainer = trainer, .batch = batch);
    if (!status) expect_array(r, "predict", &y);
    if (!status)
        status = tl_evaluate(trained, model, plain, results, .trainer = trainer, .batch = batch, .metrics = metric,
                             .n_metrics = n);
    if (!status) expect(r, "exp", "evaluate", results, n + 1);
    if (status) fail(r, "%s", tl_message());
    tl_array_free(&y);
    tl_history_free(history);
    tl_trainer_free(trainer);
    tl_dataset_free(data);
    tl_dataset_free(plain);
    tl_model_free(trained);
}

/* ---- callbacks' decisions ------------------------------------------------------------------------------------------ */

/* A run of one batch an epoch, whose loss is the next of the case's numbers; its only parameter falls by the learning rate. */
typedef struct script {
    const tl_array *losses;
    uint64_t epoch;
    bool given;
} script;

static tl_status script_start(void *self, uint64_t epoch, int64_t skip)
{
    *(script *)self = (script){ ((script *)self)->losses, epoch, skip > 0 };
    return TL_OK;
}

static tl_status script_next(void *self, tl_batch *b)
{
    script *f = self;
    *b = (tl_batch){ .n = 1, .samples = !f->given };
    b->in[0] = tl_array_of(TL_F64, TL_DIMS(1), (double *)f->losses->data + f->epoch);
    f->given = true;
    return TL_OK;
}

static tl_tensor scripted(tl_scope *s, const tl_tensor *in, void *user)
{
    const tl_tensor w = tl_param(s, "w", TL_SCALAR);
    (void)user;
    return tl_add(tl_mean(in[0], TL_ALL), tl_sub(w, tl_stop_gradient(w)));
}

/* Whatever the monitor is called. */
typedef struct reading {
    const char *name;
    const double *value;
} reading;

static tl_status read_out(tl_fit_state *s, void *ctx)
{
    const reading *a = ctx;
    return tl_fit_set_log(s, a->name, a->value[s->epoch]);
}

/* Runs it with n callbacks, the first of which is made here; returns the parameter, and the history in *history. */
static double run_script(replay *r, double lr, tl_callback *callbacks, int n, tl_history **history)
{
    const fx_tensor *t = fx_get(r->c, "in", "metric");
    tl_array losses = numbers(r, "in", "metric");
    double *exact = calloc((size_t)t->count + 1, sizeof *exact), w = NAN;
    for (int64_t i = 0; i < t->count; i++) exact[i] = t->f[i]; /* in both types: ties decide */
    losses.data = exact;
    script f = { .losses = &losses };
    reading log = { fx_attr(r->c, "monitor"), exact };
    callbacks[0] = tl_lambda(.name = "reading", .ctx = &log, .epoch_end = read_out);
    tl_dataset *data = tl_dataset_of((tl_source){ &f, script_start, script_next, NULL, NULL });
    tl_model *m = tl_model_new(.dtype = TL_F64);
    if (tl_fit(m, scripted, data, .optimizer = tl_sgd(.lr = lr), .epochs = t->count, .callbacks = callbacks,
               .n_callbacks = n, .history = history))
        fail(r, "%s", tl_message());
    tl_array a = { .dtype = TL_F64, .data = &w };
    tl_model_get(m, "w", &a);
    tl_dataset_free(data);
    tl_model_free(m);
    free(exact);
    return w;
}

/* "auto" is left to the library where it can know: a loss. */
static tl_better mode_of(const replay *r)
{
    const char *name = fx_attr(r->c, "monitor");
    if (fx_is(r->c, "mode", "max")) return TL_LARGER;
    if (fx_is(r->c, "mode", "min")) return TL_SMALLER;
    return strstr(name, "loss") ? TL_AUTO : strstr(name, "acc") || strstr(name, "auc") ? TL_LARGER : TL_SMALLER;
}

/* An option that is 0 where the case says so. */
static double option(const replay *r, const char *key)
{
    const double x = fx_num(r->c, key, NAN);
    return isnan(x) ? 0 : x == 0 ? TL_ZERO : x;
}

static void early_stopping(replay *r)
{
    tl_early_stopping_result result = { 0 };
    tl_history *history = NULL;
    tl_callback callback[] = {
        { 0 },
        tl_early_stopping(.monitor = fx_attr(r->c, "monitor"), .mode = mode_of(r),
                          .min_delta = fx_num(r->c, "min_delta", 0), .patience = fx_int(r->c, "patience", 0),
                          .baseline = option(r, "baseline"),
                          .restore_best = fx_num(r->c, "restore_best_weights", 0) != 0,
                          .start_from_epoch = fx_int(r->c, "start_from_epoch", 0), .result = &result)
    };
    const double w = run_script(r, 1, callback, 2, &history);
    expect(r, "exp", "epochs_run", &(double){ (double)tl_history_epochs(history) }, 1);
    expect(r, "exp", "stopped_epoch", &(double){ (double)result.stopped_epoch }, 1);
    expect(r, "exp", "best_epoch", &(double){ (double)result.best_epoch }, 1);
    expect(r, "exp", "weights_of_epoch", &(double){ -w - 1 }, 1);
    tl_history_free(history);
}

typedef struct rates {
    double lr[256];
    int n;
} rates;

static tl_status note_rate(tl_fit_state *s, void *ctx)
{
    rates *seen = ctx;
    if (seen->n < COUNT(seen->lr)) seen->lr[seen->n++] = tl_optimizer_lr(tl_trainer_optimizer(s->trainer));
    return TL_OK;
}

static void plateau(replay *r)
{
    rates seen = { .n = 0 };
    tl_history *history = NULL;
    const tl_plateau rule = { .factor = fx_num(r->c, "factor", 0),
                              .min_delta = option(r, "min_delta"),
                              .min_lr = fx_num(r->c, "min_lr", 0),
                              .patience = (int64_t)option(r, "patience"),
                              .cooldown = fx_int(r->c, "cooldown", 0),
                              .size = sizeof rule };
    tl_callback callback[] = { { 0 },
                               tl_reduce_lr(.monitor = fx_attr(r->c, "monitor"), .mode = mode_of(r), .plateau = rule),
                               tl_lambda(.name = "rates", .ctx = &seen, .epoch_end = note_rate) };
    run_script(r, fx_num(r->c, "lr", 0), callback, 3, &history);
    expect(r, "traj", "lr_after_epoch", seen.lr, seen.n);
    tl_history_free(history);
}

const op_row fit_rows[] = {
    { "keras_fit_*", fit },
    { "keras_callback_earlystopping", early_stopping },
    { "keras_callback_reducelronplateau", plateau },
    { 0 },
};
