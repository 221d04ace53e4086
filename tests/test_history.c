/* tests/test_history.c - the history of a run: as a table, and as pictures. */
#include <unistd.h>

#include "support.h"
#include "tapeloop.h"

#define GOOD(call)                                                                                                     \
    do {                                                                                                               \
        const tl_status status_ = (call);                                                                              \
        cr_assert(!status_, "%s: %s", #call, tl_message());                                                            \
    } while (0)

#define BAD(code, words, call)                                                                                         \
    do {                                                                                                               \
        const tl_status status_ = (call);                                                                              \
        cr_assert_eq(status_, code, "%s: %s, %s", #call, tl_status_name(status_), status_ ? tl_message() : "");        \
        cr_has(tl_message(), words);                                                                                   \
    } while (0)

/* ---- the table ------------------------------------------------------------------------------------------------------- */

Test(history, is_a_table_by_name_and_epoch)
{
    tl_history *h = tl_history_new();
    cr_assert_eq(tl_history_epochs(h), 0);
    GOOD(tl_history_add(h, 3, (tl_named_number[]){ { "loss", 1 } }, 1));
    GOOD(tl_history_add(h, 5, (tl_named_number[]){ { "loss", 2 }, { "accuracy", 0.5 } }, 2));
    for (int i = 6; i < 200; i++) {
        tl_named_number log = { .value = i };
        snprintf(log.name, sizeof log.name, i < 40 ? "x%02d" : "loss", i);
        GOOD(tl_history_add(h, i, &log, 1));
    }
    cr_assert_eq(tl_history_epochs(h), 196);
    cr_assert_eq(tl_history_names(h), 36);
    cr_assert_str_eq(tl_history_name(h, 0), "accuracy");
    cr_assert_str_eq(tl_history_name(h, 1), "loss");
    cr_assert_null(tl_history_name(h, 36));
    cr_assert(isnan(tl_history_value(h, "accuracy", 0)) && tl_history_value(h, "accuracy", 1) == 0.5);
    cr_assert(tl_history_value(h, "x20", 16) == 20 && isnan(tl_history_value(h, "x20", 17)));
    cr_assert_eq(tl_history_value(h, "loss", 195), 199);
    cr_assert(isnan(tl_history_value(h, "loss", 196)) && isnan(tl_history_value(h, "y", 0)));
    cr_assert_eq(tl_history_epoch(h, 1), 5);
    cr_assert_eq(tl_history_epoch(h, 196), -1);
    GOOD(
        tl_history_add(h, 5, (tl_named_number[]){ { "loss", 9 } }, 1)); /* that epoch once more: what came after goes */
    cr_assert_eq(tl_history_epochs(h), 2);
    cr_assert(tl_history_values(h, "loss")[1] == 9 && isnan(tl_history_value(h, "accuracy", 1)));
    BAD(TL_E_ARGUMENT, "tl_history_add", tl_history_add(h, -1, NULL, 0));
    tl_history_free(h);
    cr_assert_eq(tl_live_bytes(), 0);
}

Test(history, prints_a_table)
{
    char *said = NULL;
    size_t size;
    FILE *out = open_memstream(&said, &size);
    tl_history *h = tl_history_new();
    GOOD(tl_history_add(h, 0, (tl_named_number[]){ { "loss", 1.5 } }, 1));
    GOOD(tl_history_add(h, 1, (tl_named_number[]){ { "loss", 1.25e-5 }, { "val_accuracy", 0.5 } }, 2));
    tl_history_print(h, out);
    fclose(out);
    cr_assert_str_eq(said, "epoch        loss  val_accuracy\n"
                           "    1      1.5000             -\n"
                           "    2   1.250e-05        0.5000\n");
    free(said);
    tl_history_free(h);
}

/* ---- pictures -------------------------------------------------------------------------------------------------------- */

/* Two epochs, numbered 3 and 4; "f1" is measured in validation alone. */
static tl_history *small_history(void)
{
    tl_history *h = tl_history_new();
    for (int i = 0; h && i < 2; i++) {
        const tl_named_number logs[] = { { "accuracy", 0.5 + 0.25 * i }, { "val_f1", 0.125 },
                                         { "val_loss", 4 - i },          { "learning_rate", 0.01 },
                                         { "loss", 3 - i / 2.0 },        { "val_accuracy", 0.25 } };
        if (tl_history_add(h, 3 + i, logs, COUNT(logs))) return tl_history_free(h), NULL;
    }
    return h;
}

/* The text of a picture printed to a file, to be freed. */
static char *printed(const tl_history *h)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    GOOD(tl_history_print_plot(h, out));
    fclose(out);
    return text;
}

static int count(const char *text, const char *word)
{
    int n = 0;
    for (; (text = strstr(text, word)); text += strlen(word)) n++;
    return n;
}

Test(plot, has_a_panel_for_each_metric_with_its_validation_in_it)
{
    setenv("LC_ALL", "C", 1);
    tl_history *h = small_history();
    char *text = printed(h), *at = text;
    static const char *const title[] = { " loss\n", " accuracy\n", " f1\n", " learning_rate\n" };
    for (int k = 0; k < COUNT(title); k++) { /* in this order, each once */
        cr_assert_eq(count(text, title[k]), 1, "%s in\n%s", title[k], text);
        cr_assert_not_null(strstr(at, title[k]), "%s comes later in\n%s", title[k], text);
        at = strstr(at, title[k]);
    }
    cr_assert_eq(count(text, "* training"), 2, "%s", text); /* loss and accuracy: two curves each */
    cr_assert_eq(count(text, "o validation"), 2);
    cr_assert_eq(count(text, "validation"), 3, "f1 is of validation alone, and says so\n%s", text);
    free(text);
    tl_history_free(h);
    cr_assert_eq(tl_live_bytes(), 0);
}

Test(plot, shows_the_numbers_over_epochs_from_1)
{
    setenv("LC_ALL", "C", 1);
    tl_history *h = tl_history_new();
    for (int i = 0; i < 3; i++) {
        const tl_named_number log = { "loss", 2 - i };
        GOOD(tl_history_add(h, 10 + i, &log, 1));
    }
    char *text = printed(h), *first = strstr(text, "2.0+"), *axis = strstr(text, "+-+");
    cr_assert(first && first[5] == '*', "the first epoch's loss is the highest\n%s", text);
    cr_assert(axis && strstr(axis, " 11 ") && strstr(axis, " 13"), "%s", text);
    cr_assert_eq(count(text, "training"), 0, "one curve needs no legend");
    free(text);
    tl_history_free(h);
}

Test(plot, is_an_svg_file)
{
    char path[] = "/tmp/test_historyXXXXXX.svg";
    static char svg[1 << 16];
    close(mkstemps(path, 4));
    tl_history *h = small_history();
    GOOD(tl_history_plot(h, path));
    FILE *f = fopen(path, "r");
    svg[fread(svg, 1, sizeof svg - 1, f)] = 0;
    fclose(f);
    cr_assert_eq(count(svg, "stroke-linecap"), 6, "six curves");
    cr_assert(count(svg, ">training<") == 2 && count(svg, ">validation<") == 3 && count(svg, ">epoch<") == 4);
    BAD(TL_E_ARGUMENT, ".svg or .png", tl_history_plot(h, "a.pdf"));
    BAD(TL_E_ARGUMENT, "NULL", tl_history_plot(h, NULL));
    BAD(TL_E_ARGUMENT, "file", tl_history_print_plot(h, NULL));
    unlink(path);
    tl_history_free(h);
    h = tl_history_new();
    BAD(TL_E_ARGUMENT, "at least one epoch", tl_history_plot(h, path));
    BAD(TL_E_ARGUMENT, "at least one epoch", tl_history_print_plot(NULL, stdout));
    GOOD(tl_history_add(h, 0, NULL, 0));
    BAD(TL_E_ARGUMENT, "at least one epoch", tl_history_plot(h, path));
    for (int k = 0; k < 65; k++) {
        tl_named_number log = { .value = k };
        snprintf(log.name, sizeof log.name, "x%02d", k);
        GOOD(tl_history_add(h, k, &log, 1));
    }
    BAD(TL_E_ARGUMENT, "64", tl_history_plot(h, path));
    tl_history_free(h);
    cr_assert_eq(tl_live_bytes(), 0);
}

Test(plot, survives_any_allocation_that_fails)
{
    uint64_t n = 1;
    for (bool done = false; !done; n++) {
        FILE *null = fopen("/dev/null", "w");
        tl_history *h = small_history();
        tl_fail_allocation(n);
        tl_status status = tl_history_print_plot(h, null);
        if (!status) status = tl_history_plot(h, "/tmp/test_history.svg");
        tl_fail_allocation(0);
        done = !status;
        cr_assert(!status || status == TL_E_MEMORY, "allocation %d: %s", (int)n, tl_message());
        tl_history_free(h);
        fclose(null);
        cr_assert(tl_live_bytes() == 0, "allocation %d", (int)n);
    }
    cr_assert(n > 8);
    unlink("/tmp/test_history.svg");
}
