/* data/lines.c - a text file line by line. */
#include "data/internal.h"

#include <string.h>

struct tl_lines {
    tl_reader in;
    tl_bytes line;
    int64_t number;
    bool after_return; /* the line before ended in CR; a LF that follows belongs to it */
};

tl_status tl_lines_open(const char *path, tl_lines **out)
{
    if (!path || !out) return tl_report(TL_E_ARGUMENT, "tl_lines_open: a path and a place for the lines are needed");
    *out = NULL;
    tl_lines *l = tl_resize(NULL, 0, sizeof *l);
    if (!l) return tl_report(TL_E_MEMORY, "%s: out of memory", path);
    *l = (tl_lines){ 0 };
    const tl_status status = tl_reader_open(&l->in, path);
    if (status) return tl_resize(l, sizeof *l, 0), status;
    tl_reader_skip_mark(&l->in);
    *out = l;
    return TL_OK;
}

void tl_lines_free(tl_lines *l)
{
    if (!l) return;
    tl_reader_close(&l->in);
    tl_bytes_free(&l->line);
    tl_resize(l, sizeof *l, 0);
}

int64_t tl_lines_number(const tl_lines *l) { return l ? l->number : 0; }

/* Takes what belongs to the line; has it ended? */
static tl_status take(tl_lines *l, bool *ended)
{
    tl_reader *in = &l->in;
    if (l->after_return && *in->at == '\n') in->at++;
    l->after_return = false;
    const char *p = in->at;
    while (p < in->end && *p != '\n' && *p != '\r') p++;
    if (!tl_bytes_add(&l->line, in->at, (size_t)(p - in->at)))
        return tl_report(TL_E_MEMORY, "%s: out of memory", in->path);
    *ended = p < in->end;
    l->after_return = *ended && *p == '\r';
    in->at = *ended ? p + 1 : p;
    return TL_OK;
}

tl_status tl_lines_next(tl_lines *l, const char **line, size_t *size)
{
    if (!l || !line) return tl_report(TL_E_ARGUMENT, "tl_lines_next: lines and a place for the next are needed");
    bool ended = false;
    tl_status status = TL_OK;
    *line = NULL;
    if (size) *size = 0;
    l->line.size = 0;
    while (!ended) {
        if (l->in.at == l->in.end && (status = tl_reader_more(&l->in))) return status;
        if (l->in.at == l->in.end) break;
        if ((status = take(l, &ended))) return status;
    }
    if (!ended && !l->line.size) return TL_OK; /* the end of the file ends no line */
    l->number++;
    *line = l->line.data;
    if (size) *size = l->line.size;
    return TL_OK;
}
