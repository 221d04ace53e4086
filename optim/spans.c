/* optim/spans.c - what an update goes over, and the loops of each instruction set. */
#include "optim/optimizer.h"

#define BOTH(isa)                                                                                                      \
    {                                                                                                                  \
        &tl_loops_##isa##_f32, &tl_loops_##isa##_f64                                                                   \
    }
extern const tl_loops tl_loops_base_f32, tl_loops_base_f64;
#if TL_HAVE_X86_KERNELS
extern const tl_loops tl_loops_v3_f32, tl_loops_v3_f64, tl_loops_v4_f32, tl_loops_v4_f64;
static const tl_loops *const loops[][2] = { BOTH(base), BOTH(v3), BOTH(v4) };
#else
static const tl_loops *const loops[][2] = { BOTH(base) };
#endif

const tl_loops *tl_loops_for(int isa, tl_dtype dtype) { return loops[isa][dtype == TL_F64]; }

static int group_of(const tl_spans *w) { return w->group ? w->group[w->param] : 0; }

/* The next parameter with a gradient. Offsets ascend, for the model grows only at its end; so do ranges. */
static const tl_param_info *next_param(tl_spans *w)
{
    const tl_param_info *p;
    for (; w->range < w->end && (p = tl_model_param(w->model, w->param)); w->param++) {
        while (w->range < w->end && w->range->end <= p->offset) w->range++;
        if (w->range < w->end && p->offset >= w->range->begin && !(w->no_frozen && p->frozen) &&
            group_of(w) != TL_FROZEN_GROUP)
            return p;
    }
    return NULL;
}

static const int32_t *used_rows(const tl_spans *w, int64_t *n)
{
    if (!w->used_rows) return NULL;
    return w->sums ? tl_sums_rows(w->sums, w->param, n) : tl_session_rows(w->session, w->param, n);
}

bool tl_next_span(tl_spans *w, tl_span *out)
{
    const tl_param_info *p = next_param(w);
    if (!p) return false;
    *out = (tl_span){ .at = p->offset, .rows = 1, .param = w->param, .group = group_of(w) };
    do { /* parameters side by side are one row */
        int64_t n = 0;
        const int32_t *row = used_rows(w, &n);
        if (row && out->size) return true;
        w->param++;
        if (row) {
            out->size = n ? p->size / p->shape.dim[0] : 0;
            out->rows = n;
            out->row = row;
            return true;
        }
        out->size += p->size;
    } while (!w->each && (p = next_param(w)) && p->offset == out->at + out->size && group_of(w) == out->group);
    return true;
}
