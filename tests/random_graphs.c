/* tests/random_graphs.c - networks of random cells give the same bits whatever passes are on, and every plan is proven.
 *
 *     random_graphs [COUNT [SEED]]        COUNT networks (default 500) from number SEED (default 1) on
 *
 * Of each eighth one, numbers agree but for rounding where passes may round in another way (f64, not in exact mode).
 *
 * Each is compiled without passes, and with all, one alone, all but one, or some, by its number. A network that fails is
 * made smaller before it is reported. */
#include <signal.h>
#include <unistd.h>

#include "tests/random_cells.h"

static uint64_t now; /* the network at work */

static void crashed(int sig)
{
    char text[128];
    const int n = snprintf(text, sizeof text, "\nsignal %d: build/tests/random_graphs 1 %llu\n", sig,
                           (unsigned long long)now);
    if (write(2, text, (size_t)n) < 0) _exit(3);
    _exit(2);
}

/* Which passes are on for network `seed`, be they on tapes or on plans. */
static const char *passes_of(uint64_t seed)
{
    static char words[256];
    int n = 0, end;
    while (tl_pass_at(n)) n++;
    const int k = (int)(seed % (uint64_t)(3 * n + 2));
    if (k >= 3 * n) return "";
    if (k < 2 * n) {
        snprintf(words, sizeof words, k % 2 ? "-%s" : "-all,+%s", tl_pass_at(k / 2)->name);
        return words;
    }
    end = snprintf(words, sizeof words, "-all");
    for (int i = 0; i < n; i++)
        if (tl_mix(seed, (uint64_t)i) >> 40 & 1)
            end += snprintf(words + end, sizeof words - (size_t)end, ",+%s", tl_pass_at(i)->name);
    return words;
}

/* Does the network of the present choices hold? */
static bool holds(uint64_t seed, char *why, int *before, int *after)
{
    const specimen q = { "network", record_network, seed, seed % 4 == 3 ? TL_F64 : TL_F32 };
    const bool exact = seed % 8 != 3;
    tl_set_exact(exact);
    outcome a = outcome_of(&q, "-all", TL_FAULT_NONE);
    choices.replayed = true; /* the same once more */
    outcome b = outcome_of(&q, passes_of(seed), TL_FAULT_NONE);
    const bool same = compare(&a, &b, exact, why);
    *before += a.instructions;
    *after += b.instructions;
    free_outcome(&a);
    free_outcome(&b);
    return same;
}

/* Tries smaller numbers, and fewer, as long as it fails. */
static void shrink(uint64_t seed, char *why)
{
    int ignored = 0;
    char last[600];
    for (bool smaller = true; smaller;) {
        smaller = false;
        for (int k = 0; k < choices.n; k++)
            for (int to = 0; to < choices.list[k]; to = to * 2 + 1) {
                const int was = choices.list[k];
                choices.list[k] = to;
                if (holds(seed, last, &ignored, &ignored)) {
                    choices.list[k] = was;
                    continue;
                }
                memcpy(why, last, sizeof last);
                smaller = true;
                break;
            }
        while (choices.n && !choices.list[choices.n - 1]) choices.n--;
    }
}

static int report(uint64_t seed, char *why)
{
    printf("network %llu, TL_PASSES=%s: %s\n", (unsigned long long)seed, passes_of(seed), why);
    shrink(seed, why);
    printf("made smaller: %s\n  choices", why);
    for (int k = 0; k < choices.n; k++) printf(" %d", choices.list[k]);
    printf("\nagain: build/tests/random_graphs 1 %llu\n", (unsigned long long)seed);
    return 1;
}

int main(int argc, char **argv)
{
    const uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 500;
    const uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    int before = 0, after = 0;
    setenv("TL_CHECK", "1", 1);
    for (int k = 0; k < 4; k++) signal((int[]){ SIGSEGV, SIGBUS, SIGFPE, SIGABRT }[k], crashed);
    for (uint64_t k = 0; k < count; k++) {
        char why[600];
        now = first + k;
        choices.replayed = false;
        choices.state = now * 0x9E3779B97F4A7C15u + 1;
        choices.n = 0;
        if (!holds(now, why, &before, &after)) return report(now, why);
        if ((k + 1) % 1000 == 0) printf("%llu networks\n", (unsigned long long)(k + 1)), fflush(stdout);
    }
    printf("%llu networks: the same bits; %d instructions of %d\n", (unsigned long long)count, after, before);
    return 0;
}
