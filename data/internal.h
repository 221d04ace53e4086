/* data/internal.h - what the files of this room share. Private to data/. */
#ifndef TL_DATA_INTERNAL_H
#define TL_DATA_INTERNAL_H

#include "data/data.h"

/* ---- file.c ------------------------------------------------------------------------------------------------- */

/* Makes room for `more` bytes and the closing 0; false if memory is short. */
bool tl_bytes_reserve(tl_bytes *b, size_t more);
bool tl_bytes_add(tl_bytes *b, const void *data, size_t size);
bool tl_bytes_print(tl_bytes *b, const char *format, ...) TL_PRINTF(2, 3);

/* A file on its way to be replaced. */
typedef struct tl_replacement {
    char *target, *temporary; /* paths */
    int file, directory;
} tl_replacement;

tl_status tl_replace_begin(tl_replacement *r, const char *path);
tl_status tl_replace_write(tl_replacement *r, const void *data, size_t size);
tl_status tl_replace_commit(tl_replacement *r); /* or, on failure, tl_replace_cancel */
void tl_replace_cancel(tl_replacement *r);

/* ---- sequences.c -------------------------------------------------------------------------------------------- */

/* A new array, its numbers not set, to be freed with tl_array_free(). TL_E_SHAPE where a dimension is negative or the
 * rank or the size is too large. `who` is the function that says so. */
tl_status tl_array_new(const char *who, tl_dtype dtype, int rank, const int64_t *dim, tl_array *out);

/* Makes room for `more` elements of `size` bytes behind the first n of *p; false if memory is short. */
bool tl_grow(void *p, int64_t *room, int64_t n, int64_t more, size_t size);

/* ---- utf8.c ------------------------------------------------------------------------------------------------- */

/* Bytes of the code point at s, and its value; 0 where s (of n bytes) does not start with valid UTF-8. */
int tl_utf8_decode(const char *s, size_t n, uint32_t *code);
int tl_utf8_encode(uint32_t code, char out[5]); /* returns the number of bytes; ends them with a 0 */
bool tl_utf8_valid(const char *s, size_t n);

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
bool tl_json_string(tl_json *j, char **out); /* UTF-8, ended by 0, in j->text */
bool tl_json_integer(tl_json *j, int64_t *out);
bool tl_json_end(tl_json *j);                   /* nothing but white space is left */
bool tl_json_quote(tl_bytes *b, const char *s); /* adds s as a JSON string; false if memory is short */

#endif
