/* data/internal.h - what the files of this room share. Private to data/. */
#ifndef TL_DATA_INTERNAL_H
#define TL_DATA_INTERNAL_H

#include "data/data.h"

/* ---- file.c ------------------------------------------------------------------------------------------------- */

/* Makes room for `more` bytes and the closing 0; false if memory is short. */
bool tl_bytes_reserve(tl_bytes *b, size_t more);
bool tl_bytes_add(tl_bytes *b, const void *data, size_t size);
bool tl_bytes_print(tl_bytes *b, const char *format, ...) TL_PRINTF(2, 3);

/* A file on its way to be replaced: begin, write any number of times, then commit; after a failure of either of these,
 * cancel (harmless at any time after begin). What tl_file_write (data.h) promises holds. */
typedef struct tl_replacement {
    char *target, *temporary; /* paths; no temporary: written in place */
    int file, lock, directory;
} tl_replacement;

tl_status tl_replace_begin(tl_replacement *r, const char *path);
tl_status tl_replace_write(tl_replacement *r, const void *data, size_t size);
tl_status tl_replace_commit(tl_replacement *r);
void tl_replace_cancel(tl_replacement *r);

/* For tests: called before each of these operations, with the file's path; what it returns, if positive, is the errno
 * with which the operation fails without being tried; negative: a write takes only half. It may as well end the process. */
typedef enum tl_file_op {
    TL_FILE_OPEN,
    TL_FILE_MODE,
    TL_FILE_WRITE,
    TL_FILE_SYNC,
    TL_FILE_CLOSE,
    TL_FILE_RENAME
} tl_file_op;
extern int (*tl_file_hook)(tl_file_op op, const char *path);

/* ---- reader.c ----------------------------------------------------------------------------------------------- */

/* A file that is read from its beginning to its end, unpacked if it starts as gzip data does. What was read and not yet
 * used is at ... end - 1, which is never empty but at the end of the file; whoever has used it all asks for more. */
typedef struct tl_reader {
    char *path;
    const char *at, *end;
    struct tl_reader_state *state;
} tl_reader;

tl_status tl_reader_open(tl_reader *r, const char *path); /* after a failure there is nothing to close */
void tl_reader_skip_mark(tl_reader *r);                   /* a byte order mark, at once after opening */
tl_status tl_reader_more(tl_reader *r);
void tl_reader_close(tl_reader *r);

tl_status tl_reader_all(const char *path, tl_bytes *out); /* the whole file */

/* ---- sequences.c -------------------------------------------------------------------------------------------- */

/* A new array, its numbers not set, to be freed with tl_array_free(). TL_E_SHAPE where a dimension is negative or the
 * rank or the size is too large. `who` is the function that says so. */
tl_status tl_array_new(const char *who, tl_dtype dtype, int rank, const int64_t *dim, tl_array *out);

/* Makes room for `more` elements of `size` bytes behind the first n of *p; false if memory is short. */
bool tl_make_room(void *p, int64_t *room, int64_t n, int64_t more, size_t size);

size_t tl_element_size(tl_dtype dtype);
int64_t tl_step_size(const tl_array *a); /* elements of one step of a sequence [steps, ...], or of one row */
/* Element i of the data, whatever its type. What is set fits it. */
static inline double tl_element(const void *data, tl_dtype dtype, int64_t i)
{
    return dtype == TL_F64   ? ((const double *)data)[i]
           : dtype == TL_F32 ? (double)((const float *)data)[i]
                             : ((const int32_t *)data)[i];
}

static inline void tl_set_element(void *data, tl_dtype dtype, int64_t i, double v)
{
    if (dtype == TL_F64) ((double *)data)[i] = v;
    else if (dtype == TL_F32) ((float *)data)[i] = (float)v;
    else ((int32_t *)data)[i] = (int32_t)v;
}
double tl_array_at(const tl_array *a, int64_t i);
void tl_array_put(tl_array *a, int64_t i, double value);

/* An empty sequence behind the others; one id at the end of the last; and the last taken away. */
bool tl_ragged_open(tl_ragged *r);
bool tl_ragged_push(tl_ragged *r, int32_t id);
void tl_ragged_drop(tl_ragged *r);

/* ---- texts.c ------------------------------------------------------------------------------------------------ */

/* Strings are added and then, all being there, found: false if memory is short. Adding to one that is not finished only. */
bool tl_texts_add(tl_texts *t, const char *s, size_t n);
bool tl_texts_finish(tl_texts *t);

/* ---- words.c ------------------------------------------------------------------------------------------------ */

#define TL_USUAL_FILTERS "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n"

/* How a text is cut into words. The strings are the caller's. */
typedef struct tl_word_rules {
    const char *filters, *split;
    size_t split_size;
    bool characters, lower;
    char ascii[128]; /* what becomes of each such character; 0: it is filtered */
} tl_word_rules;

tl_status tl_word_rules_set(tl_word_rules *r, const char *who, const tl_tokenizer_opts *o);

/* The text in lower case with filters in force, as valid UTF-8; false if memory is short. */
bool tl_word_rules_apply(const tl_word_rules *r, const char *text, size_t n, tl_bytes *out);

typedef struct tl_token {
    const char *text;
    size_t size;
} tl_token;

/* The next word of such a text from byte *at on, which is moved behind it; false at the end. */
bool tl_word_next(const tl_word_rules *r, const tl_bytes *text, size_t *at, tl_token *out);

/* ---- word_table.c ------------------------------------------------------------------------------------------- */

typedef struct tl_word_table {
    tl_word *word; /* in the order in which they came */
    int64_t n, room;
    struct tl_word_slot *slot;
    size_t slots; /* a power of 2 */
    struct tl_word_block *block;
} tl_word_table;

int64_t tl_word_find(const tl_word_table *t, const char *s, size_t n); /* its number; -1 if there is none */
int64_t tl_word_add(tl_word_table *t, const char *s, size_t n);        /* likewise; -1 if memory is short */
void tl_word_table_free(tl_word_table *t);

/* ---- tokenizer.c -------------------------------------------------------------------------------------------- */

struct tl_tokenizer {
    char *filters, *split, *oov; /* oov: NULL if there is none */
    int64_t num_words, texts;    /* texts: counted so far */
    tl_word_rules rules;
    tl_word_table table;
    int64_t *last, last_room; /* the text in which a word was met last */
    int32_t *by_count;        /* words, most frequent first */
    int64_t ranks;
};

bool tl_tokenizer_number(tl_tokenizer *t); /* gives ids by counts; false if memory is short */
const tl_word *tl_tokenizer_entry(const tl_tokenizer *t, int32_t id); /* NULL if no word of the texts has this id */

/* TL_E_ARGUMENT where there is no tokenizer or a text is missing. */
tl_status tl_texts_given(const char *who, const tl_tokenizer *t, const char *const *texts, int64_t n);

/* ---- safetensors_write.c ------------------------------------------------------------------------------------ */

int64_t tl_array_bytes(const tl_array *a); /* -1 for a shape that makes no sense */
bool tl_array_valid(const tl_array *a);    /* has it a type, a shape, and data where it is not empty? */

/* TL_E_NAME, TL_E_ARGUMENT: names or arrays that cannot be written. */
tl_status tl_named_arrays_check(const char *path, const tl_named_array *arrays, int n);

/* ---- utf8.c ------------------------------------------------------------------------------------------------- */

/* Bytes of the code point at s, and its value; 0 where s (of n bytes) does not start with valid UTF-8. */
int tl_utf8_decode(const char *s, size_t n, uint32_t *code);
int tl_utf8_encode(uint32_t code, char out[5]); /* returns the number of bytes; ends them with a 0 */
bool tl_utf8_valid(const char *s, size_t n);

/* The code point at byte `at` of a text in lower case, as Python's str.lower() has it: one or two code points. */
int tl_utf8_lower(const char *text, size_t n, size_t at, uint32_t code, uint32_t out[2]);

/* ---- json.c ------------------------------------------------------------------------------------------------- */

/* A strict reader of JSON by the caller's grammar: strings are decoded where they lie, numbers are integers of at least
 * 0. The first failure stays, with its position. */
typedef struct tl_json {
    char *text;
    size_t size, at;
    const char *error; /* NULL: none so far */
    size_t where;
} tl_json;

bool tl_json_fail(tl_json *j, const char *error); /* returns false */
bool tl_json_next(tl_json *j, char c);            /* is c next, after white space? Then it is passed */
bool tl_json_expect(tl_json *j, char c);
bool tl_json_word(tl_json *j, const char *word); /* is null, true or false next? Then it is passed */
bool tl_json_string(tl_json *j, char **out);     /* UTF-8, ended by 0, in j->text */
bool tl_json_integer(tl_json *j, int64_t *out);
bool tl_json_end(tl_json *j);                   /* nothing but white space is left */
bool tl_json_quote(tl_bytes *b, const char *s); /* adds s as a JSON string; false if memory is short */

#endif
