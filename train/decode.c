/* train/decode.c - sequences from a step function: beam search and sampling.
 *
 * Both run one plan on sources x width rows: source b's hypotheses are rows b * width on, the live ones first. A step
 * feeds each row its last symbol, lets `choose` name the successors, and gathers the states of the rows that those come
 * from. */
#include "train/train.h"

#include <math.h>
#include <string.h>

#include "ops/ops.h"

/* A symbol chosen, and the one before it (-1: none). */
typedef struct node {
    int64_t before;
    int32_t id;
} node;

/* A hypothesis: what it is worth and its last symbol; or a successor of one, which row `from` holds. */
typedef struct hypothesis {
    double log_prob;
    int64_t last;
    int32_t id, from;
} hypothesis;

typedef struct result {
    double log_prob, score;
    int64_t last, n;
    bool ended;
} result;

typedef struct decoder decoder;
struct decoder {
    const char *call;
    /* The successors of a source's live rows into `next`; *n of them, at most `width`. */
    tl_status (*choose)(decoder *d, const tl_array *logits, int64_t source, int64_t step, int64_t *n);
    tl_model *model;
    tl_decode_opts o;
    int64_t sources, width, rows, V;
    int32_t end; /* -1: none */
    tl_plan *plan;
    tl_session *session;
    int n; /* inputs given, absent ones left out; input[0] is the ids */
    tl_array *input;
    tl_tensor *handle;
    int room; /* of the two above */
    int32_t *id, *from;
    hypothesis *row, *next; /* [rows]; [width + V]: the successors chosen, and room to choose */
    int64_t *live, *found;  /* [sources] */
    result *result;         /* [rows], each source's best first */
    node *node;
    int64_t n_node, cap_node;
    double *log_prob; /* [V], of the row that is looked at */
};

/* ---- memory ------------------------------------------------------------------------------------------------- */

static void *take(int64_t n, size_t size)
{
    return (uint64_t)n > SIZE_MAX / size ? NULL : tl_resize(NULL, 0, (size_t)n * size);
}
static void give(void *p, int64_t n, size_t size) { tl_resize(p, p ? (size_t)n * size : 0, 0); }

static tl_status no_memory(const decoder *d) { return tl_report(TL_E_MEMORY, "%s: out of memory", d->call); }

static size_t size_of(tl_dtype dtype) { return dtype == TL_F64 ? sizeof(double) : sizeof(float); }

/* Elements before axis `from` and from it up to `to`. */
static int64_t span(const tl_array *a, int from, int to)
{
    int64_t n = 1;
    for (int k = from; k < to; k++) n *= a->dim[k];
    return n;
}

static void release(decoder *d)
{
    for (int i = 1; d->input && d->width > 1 && i < d->n; i++)
        give(d->input[i].data, span(&d->input[i], 0, d->input[i].rank), size_of(d->input[i].dtype));
    give(d->input, d->room, sizeof *d->input);
    give(d->handle, d->room, sizeof *d->handle);
    give(d->id, d->rows, sizeof *d->id);
    give(d->from, d->rows, sizeof *d->from);
    give(d->row, d->rows, sizeof *d->row);
    give(d->next, d->width + d->V, sizeof *d->next);
    give(d->live, d->sources, sizeof *d->live);
    give(d->found, d->sources, sizeof *d->found);
    give(d->result, d->rows, sizeof *d->result);
    give(d->node, d->cap_node, sizeof *d->node);
    give(d->log_prob, d->V, sizeof *d->log_prob);
    tl_plan_free(d->plan);
    tl_session_free(d->session);
}

/* ---- what is asked for -------------------------------------------------------------------------------------- */

static tl_status check_options(decoder *d, const tl_decode_opts *o)
{
    if (o) memcpy(&d->o, o, o->size < sizeof *o ? o->size : sizeof *o);
    o = &d->o;
    d->width = o->beam ? o->beam : 1;
    d->end = (int32_t)tl_whole(o->end, -1);
    d->o.start = (int32_t)tl_whole(o->start, 0);
    d->o.top_k = (int)tl_whole(o->top_k, 0);
    d->o.length_penalty = tl_number(o->length_penalty, 0);
    d->o.temperature = tl_number(o->temperature, 1);
    const char *bad = o->size < sizeof o->size                                 ? "the options' .size is not set"
                      : o->max_length < 1                                      ? ".max_length must be at least 1"
                      : o->beam < 0                                            ? ".beam is negative"
                      : o->sources < 0                                         ? ".sources is negative"
                      : o->end < 0 && d->end                                   ? ".end is negative"
                      : !isfinite(o->length_penalty)                           ? ".length_penalty is not finite"
                      : !(o->temperature >= 0)                                 ? ".temperature is negative or NaN"
                      : o->top_k < 0                                           ? ".top_k is negative"
                      : o->prompt && o->n_prompt < 1                           ? ".prompt holds no symbol"
                      : o->session && tl_session_model(o->session) != d->model ? ".session is another model's"
                                                                               : NULL;
    return bad ? tl_report(TL_E_ARGUMENT, "%s: %s", d->call, bad) : TL_OK;
}

static bool absent(const tl_array *a) { return a->rank < 0; }

/* The axis that counts samples, as tl_array has it; -1 if there is none. */
static int batch_axis(const tl_array *a)
{
    const int axis = (int)tl_whole(a->batch_axis, a->rank > 1);
    return axis >= 0 && axis < a->rank ? axis : -1;
}

/* Can the sizes of an input be multiplied? */
static bool sensible(const tl_array *a)
{
    int64_t n = 1;
    for (int k = 0; k < a->rank; k++)
        if (a->dim[k] < 0 || __builtin_mul_overflow(n, a->dim[k], &n)) return false;
    return true;
}

/* All that has rows has as many; the first to be asked says how many. */
static tl_status agree(decoder *d, int64_t rows, const char *what, int i)
{
    if (!d->sources) d->sources = rows;
    if (rows == d->sources && rows > 0) return TL_OK;
    return tl_report(TL_E_SHAPE,
                     "%s: %s %d has %lld rows, not %lld (an input's .batch_axis says which axis counts them)", d->call,
                     what, i, (long long)rows, (long long)d->sources);
}

static tl_status count_rows(decoder *d, const tl_array *inputs, int n)
{
    d->sources = d->o.sources;
    tl_status status = TL_OK;
    for (int i = 0; !status && i < n; i++) {
        if (inputs[i].rank > TL_MAX_RANK || (inputs[i].rank > 0 && batch_axis(&inputs[i]) < 0))
            return tl_report(TL_E_INPUT, "%s: input %d has rank %d and .batch_axis %d", d->call, i, inputs[i].rank,
                             inputs[i].batch_axis);
        if (!sensible(&inputs[i])) return tl_report(TL_E_INPUT, "%s: input %d's sizes make no sense", d->call, i);
        if (inputs[i].rank > 0) status = agree(d, inputs[i].dim[batch_axis(&inputs[i])], "input", i);
    }
    for (int i = 0; !status && d->o.session && i < tl_session_states(d->o.session); i++) {
        const char *name;
        tl_array state;
        status = tl_session_state(d->o.session, i, &name, &state);
        if (!status) status = agree(d, state.rank ? state.dim[0] : 0, "state", i);
    }
    if (!d->sources) d->sources = 1;
    if (!status && d->sources > INT32_MAX / d->width)
        status = tl_report(TL_E_ARGUMENT, "%s: %lld sources with a beam of %lld are too many rows", d->call,
                           (long long)d->sources, (long long)d->width);
    if (!status) d->rows = d->sources * d->width;
    return status;
}

/* ---- the plan and its inputs -------------------------------------------------------------------------------- */

/* *a with each sample `width` times, side by side, in memory of its own. */
static tl_status repeat(const decoder *d, const tl_array *a, tl_array *out)
{
    *out = *a;
    if (d->width == 1) return TL_OK;
    const int axis = batch_axis(a);
    int64_t n;
    if (__builtin_mul_overflow(span(a, 0, a->rank), axis < 0 ? 1 : d->width, &n)) return no_memory(d);
    if (axis >= 0) out->dim[axis] = d->rows;
    char *to = out->data = take(n, size_of(a->dtype));
    if (!to && n) return no_memory(d);
    const size_t piece = (size_t)span(a, axis + 1, a->rank) * size_of(a->dtype);
    const int64_t pieces = axis < 0 ? 1 : span(a, 0, axis + 1), times = axis < 0 ? 1 : d->width;
    for (int64_t i = 0; i < pieces; i++)
        for (int64_t k = 0; piece && k < times; k++, to += piece)
            memcpy(to, (const char *)a->data + (size_t)i * piece, piece);
    return TL_OK;
}

static tl_status take_inputs(decoder *d, const tl_array *inputs, int n)
{
    d->room = n + 1 + TL_SPARE_INPUTS;
    d->input = take(d->room, sizeof *d->input);
    d->handle = take(d->room, sizeof *d->handle);
    d->id = take(d->rows, sizeof *d->id);
    if (!d->input || !d->handle || !d->id) return no_memory(d);
    memset(d->id, 0, (size_t)d->rows * sizeof *d->id);
    d->input[d->n++] = (tl_array){ .dtype = TL_I32, .rank = 2, .dim = { 1, d->rows }, .data = d->id };
    for (int i = 0; i < n; i++) {
        if (absent(&inputs[i])) continue;
        if (!inputs[i].data && span(&inputs[i], 0, inputs[i].rank))
            return tl_report(TL_E_INPUT, "%s: input %d has no numbers: its .data is NULL", d->call, i);
        const tl_status status = repeat(d, &inputs[i], &d->input[d->n]);
        if (status) return status;
        d->n++;
    }
    return TL_OK;
}

/* The step function on a tape; absent inputs are absent handles. */
static tl_status record(decoder *d, tl_tape *tape, tl_model_fn fn, const tl_array *inputs, int n, void *user)
{
    tl_scope *root = tl_root(tape);
    for (int i = 0; i < d->room; i++) d->handle[i] = TL_NONE;
    for (int i = 0, k = 0; i <= n; i++) {
        char name[24];
        snprintf(name, sizeof name, "in[%d]", i);
        if (!i || !absent(&inputs[i - 1])) d->handle[i] = tl_input(root, name, d->input[k++]);
    }
    fn(root, d->handle, user);
    if (tl_failed(tape)) return tl_tape_status(tape);
    if (tl_tape_evaluated(tape))
        return tl_report(TL_E_REPLAY, "%s: a step function that calls tl_eval() cannot be replayed", d->call);
    d->plan = tl_compile(tape);
    return d->plan ? TL_OK : tl_failed(tape) ? tl_tape_status(tape) : no_memory(d);
}

static tl_status make_plan(decoder *d, tl_model_fn fn, const tl_array *inputs, int n, void *user)
{
    tl_tape *tape = tl_tape_new(d->model);
    if (!tape) return no_memory(d);
    const tl_status status = record(d, tape, fn, inputs, n, user);
    tl_tape_free(tape);
    return status;
}

/* A session of our own, with the states of the given one for every hypothesis. */
static tl_status make_session(decoder *d)
{
    d->session = d->o.session ? tl_session_clone(d->o.session) : tl_session_new(d->model);
    if (!d->session) return no_memory(d);
    tl_session_hold(d->session, false);
    for (int64_t r = 0; r < d->rows; r++) d->from[r] = (int32_t)(r / d->width);
    return d->width > 1 ? tl_session_gather_rows(d->session, d->from, (int)d->rows) : TL_OK;
}

/* ---- one run ------------------------------------------------------------------------------------------------ */

static tl_status find_logits(decoder *d, tl_array *z)
{
    if (tl_get(d->session, "logits", z))
        return tl_report(TL_E_OUTPUT, "%s: the step function marks no tl_output(s, \"logits\", ...)", d->call);
    const bool fits = z->dtype != TL_I32 && ((z->rank == 2 && z->dim[0] == d->rows) ||
                                             (z->rank == 3 && z->dim[0] == 1 && z->dim[1] == d->rows));
    if (!fits || z->dim[z->rank - 1] < 1)
        return tl_report(TL_E_SHAPE, "%s: \"logits\" are not [%lld, V] or [1, %lld, V] floats: their rank is %d",
                         d->call, (long long)d->rows, (long long)d->rows, z->rank);
    if (d->V) return TL_OK;
    d->V = z->dim[z->rank - 1];
    if (d->end >= d->V)
        return tl_report(TL_E_ARGUMENT, "%s: .end = %d is not one of %lld symbols", d->call, d->end, (long long)d->V);
    d->next = take(d->width + d->V, sizeof *d->next);
    d->log_prob = take(d->V, sizeof *d->log_prob);
    return d->next && d->log_prob ? TL_OK : no_memory(d);
}

/* d->log_prob = ln softmax of a row's logits. */
static tl_status normalise(decoder *d, const tl_array *z, int64_t row)
{
    double *y = d->log_prob, most = -INFINITY, sum = 0;
    for (int64_t v = 0; v < d->V; v++) {
        y[v] = z->dtype == TL_F64 ? ((const double *)z->data)[row * d->V + v]
                                  : ((const float *)z->data)[row * d->V + v];
        if (!(y[v] <= most)) most = y[v]; /* a NaN stays */
        if (isnan(most)) break;
    }
    if (!isfinite(most))
        return tl_report(TL_E_NONFINITE, "%s: the largest logit of source %lld is %g", d->call,
                         (long long)(row / d->width), most);
    for (int64_t v = 0; v < d->V; v++) sum += exp(y[v] - most);
    sum = log(sum);
    for (int64_t v = 0; v < d->V; v++) y[v] = y[v] - most - sum;
    return TL_OK;
}

/* ---- choosing successors ------------------------------------------------------------------------------------ */

/* Puts c among the best `most` of `list`, which holds n; of equals the earlier stays first. Returns n. most 0: any
 * number, in no order. */
static int64_t offer(hypothesis *list, int64_t n, int64_t most, hypothesis c)
{
    if (!most) list[n] = c;
    if (!most) return n + 1;
    if (n == most && !(c.log_prob > list[n - 1].log_prob)) return n;
    int64_t at = n < most ? n++ : n - 1;
    for (; at && c.log_prob > list[at - 1].log_prob; at--) list[at] = list[at - 1];
    list[at] = c;
    return n;
}

/* Offers each symbol after a row to `list`; those of probability 0 are none. */
static int64_t offer_row(const decoder *d, hypothesis *list, int64_t n, int64_t most, int64_t row)
{
    for (int64_t v = 0; v < d->V; v++) {
        if (d->log_prob[v] == -INFINITY) continue;
        const hypothesis c = { d->row[row].log_prob + d->log_prob[v], d->row[row].last, (int32_t)v, (int32_t)row };
        n = offer(list, n, most, c);
    }
    return n;
}

/* The best of all. */
static tl_status choose_best(decoder *d, const tl_array *z, int64_t source, int64_t step, int64_t *n)
{
    tl_status status = TL_OK;
    const int64_t first = source * d->width;
    (void)step;
    for (int64_t r = first; !status && r < first + d->live[source]; r++) {
        status = normalise(d, z, r);
        if (!status) *n = offer_row(d, d->next, *n, d->width, r);
    }
    return status;
}

/* One of the n in `list`, with probability proportional to e^(log_prob / temperature). */
static hypothesis draw(const hypothesis *list, int64_t n, double temperature, double uniform)
{
    const hypothesis *best = list;
    double sum = 0;
    for (int64_t i = 1; i < n; i++)
        if (list[i].log_prob > best->log_prob) best = &list[i];
    for (int64_t i = 0; i < n; i++) sum += exp((list[i].log_prob - best->log_prob) / temperature);
    uniform *= sum;
    for (int64_t i = 0; i < n; i++)
        if ((uniform -= exp((list[i].log_prob - best->log_prob) / temperature)) < 0) return list[i];
    return *best;
}

/* For each row one, by chance. */
static tl_status choose_drawn(decoder *d, const tl_array *z, int64_t source, int64_t step, int64_t *n)
{
    const double temperature = d->o.temperature;
    const int64_t first = source * d->width, most = d->o.top_k < d->V ? d->o.top_k : 0;
    hypothesis *list = d->next + d->width;
    for (int64_t r = first; r < first + d->live[source]; r++) {
        const tl_status status = normalise(d, z, r);
        if (status) return status;
        tl_random random = { .key = d->o.seed * 0x9E3779B97F4A7C15u + (uint64_t)r, .counter = (uint64_t)step };
        const int64_t m = offer_row(d, list, 0, temperature > 0 ? most : 1, r);
        d->next[(*n)++] = temperature > 0 ? draw(list, m, temperature, tl_random_next(&random)) : list[0];
    }
    return TL_OK;
}

/* ---- results ------------------------------------------------------------------------------------------------ */

/* Wu et al. 2016. */
static double penalty(const decoder *d, int64_t n) { return pow((5 + (double)n) / 6, d->o.length_penalty); }

/* Puts a hypothesis of n symbols among its source's results, if it is one of the `width` best. */
static void keep(decoder *d, int64_t source, const hypothesis *h, int64_t n, bool ended)
{
    result *list = d->result + source * d->width;
    const result c = { h->log_prob, h->log_prob / penalty(d, n), h->last, n, ended };
    if (d->found[source] == d->width && !(c.score > list[d->width - 1].score)) return;
    int64_t at = d->found[source] < d->width ? d->found[source]++ : d->width - 1;
    for (; at && c.score > list[at - 1].score; at--) list[at] = list[at - 1];
    list[at] = c;
}

/* Can no hypothesis of n symbols come before the results any more? Its log_prob can only fall, and the divisor is
 * largest (or smallest) at one of the ends. */
static bool settled(const decoder *d, int64_t source, int64_t n)
{
    double best = -INFINITY;
    if (d->found[source] < d->width) return false;
    for (int64_t k = 0; k < d->live[source]; k++) best = fmax(best, d->row[source * d->width + k].log_prob);
    const double score = fmax(best / penalty(d, n + 1), best / penalty(d, d->o.max_length));
    return score <= d->result[(source + 1) * d->width - 1].score;
}

static tl_status append(decoder *d, hypothesis *h)
{
    if (d->n_node == d->cap_node) {
        const int64_t cap = 2 * d->cap_node + 64;
        node *p = tl_resize(d->node, (size_t)d->cap_node * sizeof *p, (size_t)cap * sizeof *p);
        if (!p) return no_memory(d);
        d->node = p;
        d->cap_node = cap;
    }
    d->node[d->n_node] = (node){ h->last, h->id };
    h->last = d->n_node++;
    return TL_OK;
}

/* ---- the search --------------------------------------------------------------------------------------------- */

static tl_status make_room(decoder *d)
{
    d->from = take(d->rows, sizeof *d->from);
    d->row = take(d->rows, sizeof *d->row);
    d->live = take(d->sources, sizeof *d->live);
    d->found = take(d->sources, sizeof *d->found);
    d->result = take(d->rows, sizeof *d->result);
    if (!d->from || !d->row || !d->live || !d->found || !d->result) return no_memory(d);
    for (int64_t r = 0; r < d->rows; r++) d->row[r] = (hypothesis){ .last = -1 };
    for (int64_t b = 0; b < d->sources; b++) {
        d->live[b] = d->choose == choose_best ? 1 : d->width; /* the same row twice would be chosen from twice */
        d->found[b] = 0;
    }
    return TL_OK;
}

/* One more symbol for a source's hypotheses. */
static tl_status advance(decoder *d, const tl_array *z, int64_t source, int64_t step)
{
    const int64_t first = source * d->width;
    int64_t n = 0, live = 0;
    tl_status status = d->choose(d, z, source, step, &n);
    for (int64_t i = 0; !status && i < n; i++) {
        hypothesis *h = &d->next[i];
        const bool ended = h->id == d->end;
        status = append(d, h);
        if (ended || step + 1 == d->o.max_length) {
            keep(d, source, h, step + 1, ended);
        } else {
            d->row[first + live] = *h;
            d->id[first + live] = h->id;
            d->from[first + live++] = h->from;
        }
    }
    d->live[source] = live;
    if (settled(d, source, step + 1)) d->live[source] = 0;
    return status;
}

/* The states of the rows that the hypotheses come from. */
static tl_status follow(decoder *d)
{
    bool moved = false;
    for (int64_t r = 0; r < d->rows; r++) moved |= d->from[r] != r;
    return moved ? tl_session_gather_rows(d->session, d->from, (int)d->rows) : TL_OK;
}

static tl_status run(decoder *d) { return tl_run(d->session, d->plan, d->input, d->n); }

/* All that comes before the first choice but the last symbol, which the search itself feeds. */
static tl_status feed_prompt(decoder *d)
{
    const int32_t *prompt = d->o.prompt ? d->o.prompt : &d->o.start;
    const int64_t n = d->o.prompt ? d->o.n_prompt : 1;
    tl_status status = TL_OK;
    for (int64_t i = 0; !status && i < n; i++) {
        for (int64_t r = 0; r < d->rows; r++) d->id[r] = prompt[i];
        if (i + 1 < n) status = run(d);
    }
    return status;
}

static tl_status search(decoder *d)
{
    tl_status status = feed_prompt(d);
    tl_array z;
    bool live = true;
    for (int64_t step = 0; !status && live; step++) {
        status = run(d);
        if (!status) status = find_logits(d, &z);
        for (int64_t r = 0; r < d->rows; r++) d->from[r] = (int32_t)r;
        live = false;
        for (int64_t b = 0; !status && b < d->sources; b++) {
            if (d->live[b]) status = advance(d, &z, b, step);
            live |= d->live[b] > 0;
        }
        if (!status && live) status = follow(d);
    }
    return status;
}

static tl_status hand_over(const decoder *d, tl_sequences *out)
{
    int64_t n = 0;
    for (int64_t b = 0; b < d->sources; b++)
        for (int64_t k = 0; k < d->found[b]; k++) n += d->result[b * d->width + k].n;
    *out = (tl_sequences){ .sources = d->sources, .beam = d->width, .n_ids = n };
    out->sequence = take(d->rows, sizeof *out->sequence);
    out->ids = take(n, sizeof *out->ids);
    if (!out->sequence || (n && !out->ids)) {
        tl_sequences_free(out);
        return no_memory(d);
    }
    int32_t *ids = out->ids;
    for (int64_t r = 0; r < d->rows; r++) {
        const result *c = &d->result[r];
        out->sequence[r] = (tl_sequence){ .log_prob = -INFINITY, .score = -INFINITY };
        if (r % d->width >= d->found[r / d->width]) continue;
        out->sequence[r] = (tl_sequence){ ids, c->n, c->log_prob, c->score, c->ended };
        int64_t at = c->last;
        for (int64_t i = c->n; i--; at = d->node[at].before) ids[i] = d->node[at].id;
        ids += c->n;
    }
    return TL_OK;
}

static tl_status decode(decoder *d, tl_model_fn fn, const tl_array *inputs, int n, void *user, const tl_decode_opts *o,
                        tl_sequences *out)
{
    if (out) *out = (tl_sequences){ 0 };
    if (!d->model || !fn || n < 0 || (n && !inputs) || !out)
        return tl_report(TL_E_ARGUMENT,
                         "%s: a model, a step function, its inputs and a place for the result are needed", d->call);
    tl_status status = check_options(d, o);
    if (!status) status = count_rows(d, inputs, n);
    if (!status) status = take_inputs(d, inputs, n);
    if (!status) status = make_room(d);
    if (!status) status = make_session(d);
    if (!status) status = make_plan(d, fn, inputs, n, user);
    if (!status) status = search(d);
    if (!status) status = hand_over(d, out);
    release(d);
    return status;
}

tl_status tl_beam_search_opt(tl_model *model, tl_model_fn fn, const tl_array *inputs, int n, void *user,
                             tl_sequences *out, const tl_decode_opts *o)
{
    decoder d = { .call = "tl_beam_search", .choose = choose_best, .model = model };
    return decode(&d, fn, inputs, n, user, o, out);
}

tl_status tl_sample_opt(tl_model *model, tl_model_fn fn, const tl_array *inputs, int n, void *user, tl_sequences *out,
                        const tl_decode_opts *o)
{
    decoder d = { .call = "tl_sample", .choose = choose_drawn, .model = model };
    return decode(&d, fn, inputs, n, user, o, out);
}

void tl_sequences_free(tl_sequences *s)
{
    if (!s) return;
    give(s->sequence, s->sources * s->beam, sizeof *s->sequence);
    give(s->ids, s->n_ids, sizeof *s->ids);
    *s = (tl_sequences){ 0 };
}
