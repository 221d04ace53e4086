/* train/history_plot.c - a history as a picture: a panel a metric, with its curve of validation. */
#include <string.h>

#include "train/train.h"

static const char val[] = "val_";
enum { VAL = sizeof val - 1 };

static bool is_log(const char *name, const char *log)
{
    return !strcmp(strncmp(name, val, VAL) ? name : name + VAL, log);
}

/* All panels with what they point to, one piece of memory each. */
typedef struct panels {
    tl_plot *plot; /* n of them, with room for a panel a name */
    tl_series *series;
    double *epoch; /* as people count, from 1 */
    int n, room;
    int64_t rows;
} panels;

static void free_panels(panels *p)
{
    tl_resize(p->plot, (size_t)p->room * sizeof *p->plot, 0);
    tl_resize(p->series, 2 * (size_t)p->room * sizeof *p->series, 0);
    tl_resize(p->epoch, (size_t)p->rows * sizeof *p->epoch, 0);
}

/* The panel of a name: its curve and that with val_ in front. One that has a panel already is left out. */
static void add_panel(panels *p, const tl_history *h, const char *name)
{
    const char *log = strncmp(name, val, VAL) ? name : name + VAL;
    const double *curve[] = { tl_history_values(h, log), NULL };
    char full[sizeof(((tl_named_number *)0)->name) + VAL];
    snprintf(full, sizeof full, "%s%s", val, log);
    curve[1] = tl_history_values(h, full);
    if (log != name && curve[0]) return;
    tl_series *series = p->series + 2 * p->n;
    int n = 0;
    for (int k = 0; k < 2; k++)
        if (curve[k]) series[n++] = (tl_series){ k ? "validation" : "training", p->epoch, curve[k], p->rows };
    if (n == 1 && curve[0]) series->name = NULL; /* one curve is explained by the title */
    p->plot[p->n++] = (tl_plot){ .title = log, .x_label = "epoch", .series = series, .n_series = n };
}

/* The loss comes first, the learning rate last. */
static tl_status make_panels(panels *p, const tl_history *h, const char *who)
{
    *p = (panels){ .room = tl_history_names(h), .rows = tl_history_epochs(h) };
    if (!p->room || !p->rows) {
        *p = (panels){ 0 };
        return tl_report(TL_E_ARGUMENT, "%s: a history with at least one epoch is needed", who);
    }
    p->plot = tl_resize(NULL, 0, (size_t)p->room * sizeof *p->plot);
    p->series = tl_resize(NULL, 0, 2 * (size_t)p->room * sizeof *p->series);
    p->epoch = tl_resize(NULL, 0, (size_t)p->rows * sizeof *p->epoch);
    if (!p->plot || !p->series || !p->epoch) return tl_report(TL_E_MEMORY, "%s: out of memory", who);
    for (int64_t i = 0; i < p->rows; i++) p->epoch[i] = (double)tl_history_epoch(h, i) + 1;
    for (int turn = 0; turn < 3; turn++)
        for (int k = 0; k < p->room; k++) {
            const char *name = tl_history_name(h, k);
            if (turn == (is_log(name, "loss") ? 0 : is_log(name, "learning_rate") ? 2 : 1)) add_panel(p, h, name);
        }
    return TL_OK;
}

tl_status tl_history_plot(const tl_history *h, const char *path)
{
    panels p;
    tl_status status = make_panels(&p, h, "tl_history_plot");
    if (!status) status = tl_plot_write(p.plot, p.n, path);
    free_panels(&p);
    return status;
}

tl_status tl_history_print_plot(const tl_history *h, FILE *out)
{
    panels p;
    tl_status status = make_panels(&p, h, "tl_history_print_plot");
    if (!status) status = tl_plot_print(p.plot, p.n, out, .height = 8);
    free_panels(&p);
    return status;
}
