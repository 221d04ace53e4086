/* optim/sums.c - gradients of several runs added up: which parameters the runs have reached, and which of their rows. */
#include "optim/optimizer.h"

#include <string.h>

/* One for what has no rows, or no elements. */
static int64_t rows_of(const tl_param_info *p) { return p->size && p->shape.rank ? p->shape.dim[0] : 1; }

/* All arrays lie in one block, in the order of their alignment. */
tl_status tl_sums_grow(tl_sums *s)
{
    const int params = tl_model_count(s->model);
    if (params <= s->params) return TL_OK;
    int64_t rows = 0;
    for (int i = 0; i < params; i++) rows += rows_of(tl_model_param(s->model, i));
    const size_t n = (size_t)params;
    const size_t bytes = n * (sizeof *s->param + sizeof *s->range) + (size_t)rows * (sizeof *s->used + sizeof *s->mark);
    char *block = tl_resize(NULL, 0, bytes);
    if (!block) return tl_report(TL_E_MEMORY, "tl_optimizer_step: out of memory for the sums of gradients");
    memset(block, 0, bytes);
    tl_sums grown = { .model = s->model, .block = block, .bytes = bytes, .params = params };
    grown.param = (tl_summed *)(void *)block;
    grown.range = (tl_range *)(void *)(grown.param + n);
    grown.used = (int32_t *)(void *)(grown.range + n);
    grown.mark = (unsigned char *)(grown.used + rows);
    rows = 0;
    for (int i = 0; i < params; i++) {
        const int64_t count = rows_of(tl_model_param(s->model, i));
        if (i < s->params) {
            grown.param[i] = s->param[i];
            memcpy(grown.mark + rows, s->mark + s->param[i].at, (size_t)count);
        }
        grown.param[i].at = rows;
        rows += count;
    }
    tl_sums_free(s);
    *s = grown;
    return TL_OK;
}

void tl_sums_free(tl_sums *s) { tl_resize(s->block, s->bytes, 0); }

void tl_sums_add(tl_sums *s, tl_gradients run, void *sum, double factor)
{
    run.spans.each = run.spans.used_rows = true;
    for (tl_span span; tl_next_span(&run.spans, &span);) {
        tl_summed *p = &s->param[span.param];
        run.loops->add(sum, run.g, &span, factor);
        p->reached = true;
        p->whole |= !span.row;
        for (int64_t k = 0; span.row && k < span.rows; k++) s->mark[p->at + span.row[k]] = 1;
    }
}

void tl_sums_find(tl_sums *s, const void *sum)
{
    const size_t element = tl_element_of(s->model);
    for (int i = 0; i < s->params; i++) {
        const tl_param_info *p = tl_model_param(s->model, i);
        const int64_t size = p->size / rows_of(p);
        for (int64_t k = 0; k < rows_of(p); k++) {
            const char *row = (const char *)sum + (size_t)(p->offset + k * size) * element;
            size_t b = 0;
            while (b < (size_t)size * element && !row[b]) b++;
            if (b == (size_t)size * element) continue;
            s->param[i].reached = true;
            s->mark[s->param[i].at + k] = 1;
        }
    }
}

void tl_sums_list(tl_sums *s)
{
    s->ranges = 0;
    for (int i = 0; i < s->params; i++) {
        tl_summed *p = &s->param[i];
        const tl_param_info *info = tl_model_param(s->model, i);
        p->rows = 0;
        if (!p->reached) continue;
        s->range[s->ranges++] = (tl_range){ info->offset, info->offset + info->size };
        for (int64_t k = 0; k < rows_of(info); k++)
            if (s->mark[p->at + k]) s->used[p->at + p->rows++] = (int32_t)k;
    }
}

/* NULL if any row may have been used. */
const int32_t *tl_sums_rows(const tl_sums *s, int param, int64_t *n)
{
    const tl_summed *p = &s->param[param];
    *n = p->rows;
    return p->whole ? NULL : s->used + p->at;
}

/* Rows that were not used hold zeros already. */
void tl_sums_clear(tl_sums *s, void *sum)
{
    const size_t element = tl_element_of(s->model);
    for (int i = 0; i < s->params; i++) {
        const tl_param_info *p = tl_model_param(s->model, i);
        tl_summed *mine = &s->param[i];
        if (!mine->reached) continue;
        const size_t row = (size_t)(p->size / rows_of(p)) * element;
        char *at = (char *)sum + (size_t)p->offset * element;
        if (mine->whole) memset(at, 0, (size_t)p->size * element);
        for (int64_t k = 0; !mine->whole && k < mine->rows; k++)
            memset(at + (size_t)s->used[mine->at + k] * row, 0, row);
        memset(s->mark + mine->at, 0, (size_t)rows_of(p));
        mine->reached = mine->whole = false;
    }
}
