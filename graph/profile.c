/* graph/profile.c - where the time of runs goes: each instruction timed by itself, added up by what and where it is. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "graph/look.h"

typedef struct timed_plan {
    tl_plan *plan;
    double *seconds; /* of each instruction, over all runs */
    uint64_t runs;
} timed_plan;

typedef struct tl_profiled {
    timed_plan *plan;
    uint32_t n, cap;
} tl_profiled;

/* ---- taking times --------------------------------------------------------------------------------------------------- */

tl_status tl_session_profile(tl_session *s, bool on)
{
    if (!s) return tl_report(TL_E_ARGUMENT, "tl_session_profile: no session");
    if (on == !!s->profile) return TL_OK;
    tl_profile_free(s);
    if (!on) return TL_OK;
    s->profile = tl_resize(NULL, 0, sizeof *s->profile);
    if (!s->profile) return tl_report(TL_E_MEMORY, "tl_session_profile: out of memory");
    *s->profile = (tl_profiled){ 0 };
    return TL_OK;
}

void tl_profile_free(tl_session *s)
{
    tl_profiled *f = s->profile;
    if (!f) return;
    for (uint32_t i = 0; i < f->n; i++) {
        timed_plan *t = &f->plan[i];
        tl_resize(t->seconds, (t->plan->n_instr + 1) * sizeof *t->seconds, 0);
        tl_plan_free(t->plan);
    }
    TL_RELEASE(f->plan, f->cap);
    s->profile = tl_resize(f, sizeof *f, 0);
}

static timed_plan *find(const tl_profiled *f, const tl_plan *p)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (f->plan[i].plan == p) return &f->plan[i];
    return NULL;
}

bool tl_profile_room(tl_session *s, const tl_plan *p)
{
    tl_profiled *f = s->profile;
    if (!f || !p->n_instr || find(f, p)) return true;
    const size_t bytes = (p->n_instr + 1) * sizeof(double);
    double *seconds = TL_GROW(f->plan, f->n, f->cap) ? tl_resize(NULL, 0, bytes) : NULL;
    if (!seconds) return false;
    memset(seconds, 0, bytes);
    tl_plan *plan = (tl_plan *)(uintptr_t)p;
    atomic_fetch_add(&plan->users, 1);
    f->plan[f->n++] = (timed_plan){ .plan = plan, .seconds = seconds };
    return true;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

tl_status tl_profile_run(tl_session *s, const tl_plan *p, tl_execute *execute)
{
    timed_plan *t = find(s->profile, p);
    double before = now();
    for (uint32_t k = 0; k < p->n_instr; k++) {
        const tl_status status = execute(s, p, k, k + 1);
        if (status) return status;
        const double after = now();
        t->seconds[k] += after - before;
        before = after;
    }
    if (t) t->runs++;
    return TL_OK;
}

/* ---- the table -------------------------------------------------------------------------------------------------------- */

typedef struct row {     /* instructions of one operation, shape, line and scope */
    const tl_plan *plan; /* the first of them */
    uint32_t instr;
    uint64_t calls; /* in all runs, as is all below */
    double seconds, flops, bytes;
} row;

typedef struct table {
    row *row;
    uint32_t n, cap;
    tl_table known;
    double seconds;
    uint64_t runs;
} table;

static bool add_instr(table *t, const timed_plan *p, uint32_t k)
{
    uint64_t *slot = tl_table_put(&t->known, tl_instr_key(p->plan, k), 0, 0);
    if (!slot || !TL_GROW(t->row, t->n, t->cap)) return false;
    if (!*slot) {
        t->row[t->n++] = (row){ .plan = p->plan, .instr = k };
        *slot = t->n;
    }
    row *r = &t->row[*slot - 1];
    r->calls += p->runs;
    r->seconds += p->seconds[k];
    for (tl_kernel_call c = tl_calls_of(p->plan, k); tl_next_call(p->plan, &c) && c.instr == k;) {
        r->flops += tl_call_flops(&c) * (double)p->runs;
        r->bytes += (double)tl_call_bytes(&c) * (double)p->runs;
    }
    t->seconds += p->seconds[k];
    return true;
}

static bool add_plan(table *t, const timed_plan *p)
{
    for (uint32_t k = 0; k < p->plan->n_instr; k++)
        if (!add_instr(t, p, k)) return false;
    t->runs += p->runs;
    return true;
}

static int slowest_first(const void *a, const void *b)
{
    const row *p = a, *q = b;
    if (p->seconds != q->seconds) return p->seconds < q->seconds ? 1 : -1;
    return p->instr < q->instr ? -1 : p->instr > q->instr;
}

static void row_text(tl_text *out, const row *r, const table *t)
{
    char where[512];
    const tl_plan_place *at = &r->plan->place[r->plan->instr[r->instr].place];
    const double runs = (double)t->runs, work = r->flops > 0 ? r->flops : r->bytes;
    tl_place_print(where, sizeof where, at->at, at->caller, at->path, NULL);
    tl_text_add(out, "%8.1f %10.4f %6.1f %10.2f %8.1f %-8s", (double)r->calls / runs, r->seconds / runs * 1e3,
                t->seconds > 0 ? r->seconds / t->seconds * 100 : 0, r->seconds / (double)r->calls * 1e6,
                r->seconds > 0 ? work / r->seconds * 1e-9 : 0, r->flops > 0 ? "GFLOP/s" : "GB/s");
    tl_instr_text(out, r->plan, r->instr);
    tl_text_add(out, "  %s%s\n", where, at->gradient ? " (gradient)" : "");
}

char *tl_profile(const tl_session *s)
{
    tl_text out = { 0 };
    table t = { 0 };
    double flops = 0;
    for (uint32_t i = 0; s && s->profile && i < s->profile->n; i++)
        if (s->profile->plan[i].runs) out.failed |= !add_plan(&t, &s->profile->plan[i]);
    if (!t.n && !out.failed)
        return tl_report(TL_E_ARGUMENT, "tl_profile: nothing was timed (tl_session_profile)"), NULL;
    if (t.n) qsort(t.row, t.n, sizeof *t.row, slowest_first);
    for (uint32_t i = 0; i < t.n; i++) flops += t.row[i].flops;
    tl_text_add(&out, "%llu runs, %.4f ms a run in instructions, %.1f GFLOP/s over all of it\n",
                (unsigned long long)t.runs, t.seconds / (double)t.runs * 1e3,
                t.seconds > 0 ? flops / t.seconds * 1e-9 : 0);
    tl_text_add(&out, "%8s %10s %6s %10s %8s\n", "calls", "ms", "%", "us each", "speed");
    for (uint32_t i = 0; i < t.n; i++) row_text(&out, &t.row[i], &t);
    tl_table_free(&t.known);
    TL_RELEASE(t.row, t.cap);
    return tl_text_take(&out);
}
