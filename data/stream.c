/* data/stream.c - contiguous batches: a long row of ids as B streams, window by window, time-major. */
#include "data/internal.h"

struct tl_stream {
    const int32_t *ids;
    int64_t batch, window, steps; /* rows, steps of a window, steps of a row in an epoch */
    int64_t at;                   /* next step */
    bool over;                    /* as a source: until the next epoch */
    int32_t *inputs, *targets;    /* [window, batch] */
};

tl_status tl_stream_new(const int32_t *ids, int64_t n, int64_t batch, int64_t window, tl_stream **out)
{
    *out = NULL;
    if (!ids || batch < 1 || window < 1)
        return tl_report(TL_E_ARGUMENT, "tl_stream_new: ids are needed, and a batch and a window of at least 1");
    if (n - 1 < batch)
        return tl_report(TL_E_ARGUMENT, "tl_stream_new: %lld ids are too few for a batch of %lld (one more is needed)",
                         (long long)n, (long long)batch);
    const int64_t steps = (n - 1) / batch;
    if (window > steps) window = steps;
    const size_t bytes = (size_t)(window * batch) * sizeof *ids; /* at most that of ids */
    tl_stream *s = tl_resize(NULL, 0, sizeof *s);
    if (s) {
        *s = (tl_stream){ ids, batch, window, steps, 0, false, tl_resize(NULL, 0, bytes), tl_resize(NULL, 0, bytes) };
        if (s->inputs && s->targets) return *out = s, TL_OK;
        tl_stream_free(s);
    }
    return tl_report(TL_E_MEMORY, "tl_stream_new: out of memory");
}

void tl_stream_free(tl_stream *s)
{
    if (!s) return;
    const size_t bytes = (size_t)(s->window * s->batch) * sizeof *s->ids;
    tl_resize(s->inputs, bytes, 0);
    tl_resize(s->targets, bytes, 0);
    tl_resize(s, sizeof *s, 0);
}

int64_t tl_stream_steps(const tl_stream *s) { return s ? s->steps : 0; }

int64_t tl_stream_windows(const tl_stream *s) { return s ? (s->steps + s->window - 1) / s->window : 0; }

void tl_stream_rewind(tl_stream *s)
{
    if (s) s->at = 0;
}

bool tl_stream_next(tl_stream *s, tl_array out[2])
{
    if (!s) return false;
    if (s->at == s->steps) {
        s->at = 0;
        return false;
    }
    const int64_t left = s->steps - s->at, T = left < s->window ? left : s->window;
    for (int64_t b = 0; b < s->batch; b++) {
        const int32_t *row = s->ids + b * s->steps + s->at;
        for (int64_t t = 0; t < T; t++) {
            s->inputs[t * s->batch + b] = row[t];
            s->targets[t * s->batch + b] = row[t + 1];
        }
    }
    out[0] = (tl_array){ .dtype = TL_I32, .rank = 2, .dim = { T, s->batch }, .data = s->inputs };
    out[1] = (tl_array){ .dtype = TL_I32, .rank = 2, .dim = { T, s->batch }, .data = s->targets };
    s->at += T;
    return true;
}

/* ---- as a source -------------------------------------------------------------------------------------------- */

static tl_status start(void *self, uint64_t epoch, int64_t skip)
{
    (void)epoch;
    tl_stream *s = self;
    if (skip < 0 || __builtin_mul_overflow(skip, s->window, &s->at) || s->at > s->steps) s->at = s->steps;
    s->over = false;
    return TL_OK;
}

static tl_status next(void *self, tl_batch *out)
{
    tl_stream *s = self;
    if (s->over || !tl_stream_next(s, out->in)) return s->over = true, TL_OK;
    out->n = 2;
    out->samples = s->batch;
    return TL_OK;
}

static int64_t batches(void *self) { return tl_stream_windows(self); }

tl_source tl_stream_source(tl_stream *s)
{
    if (!s) return (tl_source){ 0 }; /* which no dataset is made of */
    return (tl_source){ .self = s, .start = start, .next = next, .batches = batches };
}
