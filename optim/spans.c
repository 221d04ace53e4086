/* optim/spans.c - what an update goes over, and the loops of each instruction set. */
#include "optim/loops.h"

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

/* The next parameter with a gradient. Offsets ascend, for the model grows only at its end; so do ranges. */
static const tl_param_info *next_param(tl_spans *w)
{
    const tl_param_info *p;
    for (; w->range < w->end && (p = tl_model_param(w->model, w->param)); w->param++) {
        while (w->range < w->end && w->range->end <= p->offset) w->range++;
        if (w->range < w->end && p->offset >= w->range->begin && !(w->no_frozen && p->frozen)) return p;
    }
    return NULL;
}

bool tl_next_span(tl_spans *w, tl_span *out)
{
    const tl_param_info *p = next_param(w);
    if (!p) return false;
    *out = (tl_span){ .at = p->offset, .rows = 1 };
    do { /* parameters side by side are one row */
        int64_t n = 0;
        const int32_t *row = w->used_rows ? tl_session_rows(w->session, w->param, &n) : NULL;
        if (row && out->size) return true;
        w->param++;
        if (row) {
            *out = (tl_span){ p->offset, n ? p->size / p->shape.dim[0] : 0, n, row };
            return true;
        }
        out->size += p->size;
    } while ((p = next_param(w)) && p->offset == out->at + out->size);
    return true;
}
