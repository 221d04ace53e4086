/* graph/note.c - what the compiler tells about its work, counted by sentence and line of source. */
#include <string.h>

#include "graph/tape.h"

static uint64_t word(const void *p) { return (uint64_t)(uintptr_t)p; }

void tl_note_add(tl_notes *notes, const tl_note *what)
{
    const uint64_t said = tl_mix(tl_mix(word(what->pass), word(what->text)), word(what->subject) << 1 | what->left);
    const uint64_t at = tl_mix(word(what->at.file), (uint64_t)(unsigned)what->at.line << 1 | what->gradient);
    const uint64_t caller = tl_mix(word(what->caller.file), (uint64_t)(unsigned)what->caller.line);
    uint64_t *slot = tl_table_put(&notes->known, tl_mix(said, word(what->path)), tl_mix(at, caller), 0);
    if (!slot || (!*slot && !TL_GROW(notes->note, notes->n, notes->cap))) {
        notes->failed = true;
        return;
    }
    if (!*slot) {
        notes->note[notes->n++] = *what;
        *slot = notes->n;
        return;
    }
    tl_note *note = &notes->note[*slot - 1];
    for (int i = 0; i < TL_NOTE_NUMBERS; i++) note->number[i] += what->number[i];
}

void tl_note_node(tl_notes *notes, const char *pass, const tl_node *n, bool left, const char *subject, const char *text,
                  const int64_t number[TL_NOTE_NUMBERS])
{
    tl_note note = { .pass = pass, .text = text, .subject = subject, .left = left };
    memcpy(note.number, number, sizeof note.number);
    if (n) {
        note.at = n->at;
        note.caller = n->caller;
        note.path = n->scope->path;
        note.gradient = n->differentiates;
    }
    tl_note_add(notes, &note);
}

static const char *keep_text(tl_arena *a, const char *s)
{
    char *p = s ? tl_arena_alloc(a, strlen(s) + 1) : NULL;
    return p ? strcpy(p, s) : NULL;
}

bool tl_notes_keep(const tl_notes *notes, tl_plan *p)
{
    tl_note *note = tl_arena_alloc(&p->memory, (notes->n + 1) * sizeof *note);
    bool well = note && !notes->failed;
    for (uint32_t i = 0; i < notes->n && well; i++) {
        note[i] = notes->note[i];
        note[i].path = keep_text(&p->memory, notes->note[i].path);
        note[i].subject = keep_text(&p->memory, notes->note[i].subject);
        well = (note[i].path || !notes->note[i].path) && (note[i].subject || !notes->note[i].subject);
    }
    p->note = note;
    p->n_note = well ? notes->n : 0;
    return well;
}

void tl_notes_free(tl_notes *notes)
{
    tl_table_free(&notes->known);
    TL_RELEASE(notes->note, notes->cap);
    *notes = (tl_notes){ 0 };
}
