/* graph/trace.c - a recording as one hash a node: the proof that a model function records the same thing again. */
#include <stdio.h>
#include <string.h>

#include "graph/tape.h"

typedef struct tl_trace_node {
    uint64_t hash;
    const struct tl_op *op;
    const char *file;
    int line;
} tl_trace_node;

struct tl_trace {
    uint32_t n;
    tl_trace_node node[];
};

/* Operation, shape, operands and attributes, without pointers. */
static uint64_t node_hash(const tl_tape *t, const tl_node *node)
{
    const int64_t head[] = { node->shape.dtype, node->shape.rank, node->n_in, (int64_t)node->attr_size };
    uint64_t h = tl_hash((uint64_t)(uintptr_t)node->op, head, sizeof head);
    h = tl_hash(h, node->shape.dim, sizeof node->shape.dim);
    h = tl_hash(h, t->in + node->first_in, node->n_in * sizeof *t->in);
    const size_t plain = node->op->attr_plain ? node->op->attr_plain : node->attr_size;
    return tl_hash(h, node->attr, plain);
}

static uint64_t marks_hash(uint64_t h, const tl_tape_mark *mark, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) h = tl_mix(tl_hash(h, mark[i].name, strlen(mark[i].name)), mark[i].id);
    return tl_mix(h, n);
}

/* What is marked for reading or to be carried belongs to the recording too; it stands in node 0's place. */
static uint64_t tape_hash(const tl_tape *t)
{
    return marks_hash(marks_hash(marks_hash(0, t->output, t->n_output), t->emit, t->n_emit), t->next, t->n_next);
}

static tl_place place_of(const tl_node *node)
{
    return node->at.line <= 0 && node->caller.line > 0 ? node->caller : node->at;
}

tl_trace *tl_trace_new(const tl_tape *t)
{
    tl_trace *trace = tl_resize(NULL, 0, sizeof *trace + t->n * sizeof trace->node[0]);
    if (!trace) return tl_report(TL_E_MEMORY, "tl_trace_new: out of memory"), NULL;
    trace->n = t->n;
    trace->node[0] = (tl_trace_node){ .hash = tape_hash(t) };
    for (uint32_t i = 1; i < t->n; i++) {
        const tl_place p = place_of(&t->node[i]);
        trace->node[i] = (tl_trace_node){ node_hash(t, &t->node[i]), t->node[i].op, p.file, p.line };
    }
    return trace;
}

void tl_trace_free(tl_trace *trace)
{
    if (trace) tl_resize(trace, sizeof *trace + trace->n * sizeof trace->node[0], 0);
}

static const char advice[] =
    "A recording must depend on its inputs' shapes, the training flag and .key alone: make what "
    "varies an input of the model function, or put it into .key. Chance is tl_random_bernoulli() "
    "and tl_where()";

static tl_status differs(const tl_trace *trace, const tl_tape *t, uint32_t i)
{
    char now[512], line[320], then[400] = "nothing";
    const tl_node *node = &t->node[i];
    const tl_trace_node *old = i < trace->n ? &trace->node[i] : NULL;
    const bool same_op = old && old->op == node->op;
    if (old) tl_place_print(line, sizeof line, (tl_place){ old->file, old->line }, TL_NOWHERE, NULL, NULL);
    if (old)
        snprintf(then, sizeof then, "%s (%s)",
                 same_op ? "it on other operands, or with another number or shape" : old->op->name, line);
    tl_place_print(now, sizeof now, node->at, node->caller, node->scope->path, node->scope->visit);
    return tl_report(TL_E_REPLAY, "%s: the model function records %s here, but at its first recording %s. %s", now,
                     node->op->name, then, advice);
}

tl_status tl_trace_compare(const tl_trace *trace, const tl_tape *t)
{
    if (t->status) return tl_tape_status(t);
    for (uint32_t i = 1; i < t->n; i++)
        if (i >= trace->n || node_hash(t, &t->node[i]) != trace->node[i].hash) return differs(trace, t, i);
    if (t->n < trace->n) {
        char where[320];
        tl_place_print(where, sizeof where, (tl_place){ trace->node[t->n].file, trace->node[t->n].line }, TL_NOWHERE,
                       NULL, NULL);
        return tl_report(TL_E_REPLAY, "%s: recorded at first, but not when the model function was called again. %s",
                         where, advice);
    }
    if (tape_hash(t) == trace->node[0].hash) return TL_OK;
    return tl_report(TL_E_REPLAY,
                     "the model function marks other outputs, emissions or states than at its first recording. %s",
                     advice);
}
