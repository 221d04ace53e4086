/* tests/test_legal.c - each condition on which the compiler rests (graph/legal.h) is needed, and its absence is noticed: by bits
 * that differ from those of the tape without passes, by the proof of the plan, or by an error. */
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/specimens.h"

/* ---- the property ------------------------------------------------------------------------------------------------- */

/* Does all hold while this fault is planted: the same bits in exact mode, else numbers of 8 digits? If not, says where. */
static bool holds(tl_fault fault, bool exact, char *why)
{
    bool same = true;
    tl_set_exact(exact);
    for (int k = 0; same && k < SPECIMENS; k++) {
        const specimen q = specimen_at(k);
        if (!exact && (q.dtype != TL_F64 || k >= COUNT(fixed))) continue;
        setenv("TL_CHECK", "0", 1);
        outcome a = outcome_of(&q, "-all", TL_FAULT_NONE);
        setenv("TL_CHECK", "1", 1);
        outcome b = outcome_of(&q, q.passes ? q.passes : "", fault);
        cr_assert(!*a.error, "%s: %s", q.name, a.error);
        char what[600];
        same = exact ? same_bits(&a, &b, what) : nearly_same(&a, &b, what);
        if (!same) snprintf(why, 700, "%s%s %d: %s", exact ? "" : "roughly, ", q.name, (int)q.seed, what);
        free_outcome(&a);
        free_outcome(&b);
    }
    return same;
}

/* What sanitizers find in a process that is meant to go wrong is nobody's business. */
void __sanitizer_set_report_fd(void *fd) __attribute__((weak));

/* The same in a process of its own: a fault may write anywhere. */
static bool survives(tl_fault fault, char *why)
{
    int ends[2];
    cr_assert(pipe(ends) == 0);
    const pid_t child = fork();
    cr_assert(child >= 0);
    if (!child) {
        alarm(10); /* it might go round in circles */
        if (__sanitizer_set_report_fd) __sanitizer_set_report_fd((void *)(intptr_t)open("/dev/null", O_WRONLY));
        const bool good = holds(fault, false, why) && holds(fault, true, why);
        if (!good && write(ends[1], why, strlen(why) + 1) < 0) _exit(2);
        _exit(good ? 0 : 1);
    }
    close(ends[1]);
    int status;
    if (read(ends[0], why, 700) <= 0) snprintf(why, 700, "it crashes");
    close(ends[0]);
    cr_assert(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && !WEXITSTATUS(status);
}

static void exactly(void) { tl_set_exact(true); }
TestSuite(legal, .init = exactly, .timeout = 600);

#define CONDITION(name, words) { TL_WITHOUT_##name, #name, words },
static const struct {
    tl_fault fault;
    const char *name, *words;
} conditions[] = { TL_CONDITIONS(CONDITION) };

Test(legal, all_holds_with_all_conditions)
{
    char why[700] = "";
    cr_assert(holds(TL_FAULT_NONE, true, why) && holds(TL_FAULT_NONE, false, why), "%s", why);
}

/* What nodes compute is compared in full: keys only find candidates. */
Test(legal, equal_keys_do_no_harm)
{
    char why[700] = "";
    cr_assert(holds(TL_FAULT_SAME_KEYS, true, why) && holds(TL_FAULT_SAME_KEYS, false, why), "%s", why);
}

/* Without running anything: the numbers might happen to be right. */
Test(legal, the_proof_of_a_plan_sees_wrong_memory)
{
    static const tl_fault faults[] = { TL_WITHOUT_GRADIENT_THERE, TL_WITHOUT_ALIVE_USES, TL_WITHOUT_ALIVE_OUTPUT,
                                       TL_WITHOUT_ALIVE_STATE,    TL_WITHOUT_OVER_CLASS, TL_WITHOUT_OVER_SAME,
                                       TL_WITHOUT_OVER_DIES,      TL_WITHOUT_OVER_SIZE };
    setenv("TL_CHECK", "1", 1);
    for (int f = 0; f < COUNT(faults); f++) {
        bool seen_wrong = false;
        for (int k = 0; !seen_wrong && k < SPECIMENS; k++) {
            const specimen q = specimen_at(k);
            outcome o = outcome_of(&q, q.passes ? q.passes : "", faults[f]);
            seen_wrong = strstr(o.error, "the plan is wrong") != NULL;
            cr_assert(seen_wrong || !*o.error, "%s", o.error);
            free_outcome(&o);
        }
        cr_assert(seen_wrong, "fault %d", f);
    }
}

Test(legal, each_condition_is_needed)
{
    for (int k = 0; k < COUNT(conditions); k++) {
        char why[700] = "";
        const bool unseen = survives(conditions[k].fault, why);
        if (getenv("TL_VERBOSE")) fprintf(stderr, "# %s: %s\n", conditions[k].name, unseen ? "UNSEEN" : why);
        cr_expect(!unseen, "without %s nothing is seen when %s", conditions[k].name, conditions[k].words);
    }
}
