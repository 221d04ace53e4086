/* data/data.h - files: text, vocabularies, contiguous batches of text, and named arrays in safetensors files.
 *
 * Knows arrays (tl_array) and nothing of the tape. Every function that returns a tl_status leaves a sentence in
 * tl_message() that names the file and, where it helps, the position. Files are hostile until shown otherwise: bad
 * contents are TL_E_FORMAT, never undefined behaviour.
 */
#ifndef TL_DATA_H
#define TL_DATA_H

#include "../graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- text --------------------------------------------------------------------------------------------------- */

/* Some bytes and their number; data[size] is a 0 that is not counted. To be freed with tl_bytes_free(). */
typedef struct tl_bytes {
    char *data;
    size_t size;
    size_t room; /* allocated; the library's own */
} tl_bytes;

TL_API void tl_bytes_free(tl_bytes *bytes); /* and sets it to nothing; NULL is harmless */

/* A whole file, as it is. Anything that can be read to its end will do, pipes too. TL_E_FILE, TL_E_MEMORY. */
TL_API tl_status tl_file_read(const char *path, tl_bytes *out);

/* A whole text file: a UTF-8 byte order mark is dropped and CR LF becomes LF; all other bytes are kept, whatever they
 * are. TL_E_FILE; TL_E_FORMAT if no text is left. */
TL_API tl_status tl_text_read(const char *path, tl_bytes *out);

/* ---- vocabulary --------------------------------------------------------------------------------------------- */

/* The distinct symbols of a text in ascending order, numbered from 0: code points if the text is valid UTF-8, otherwise
 * single bytes. Immutable, so any number of threads may use it. */
typedef struct tl_vocab tl_vocab;

/* TL_E_ARGUMENT if the text is empty. */
TL_API tl_status tl_vocab_new(const char *text, size_t size, tl_vocab **out);
TL_API void tl_vocab_free(tl_vocab *vocab);           /* NULL is harmless */
TL_API int tl_vocab_size(const tl_vocab *vocab);      /* number of symbols */
TL_API bool tl_vocab_is_bytes(const tl_vocab *vocab); /* bytes rather than code points? */

/* Ids of a text's symbols into ids, which has room for `size` of them, and their number into *n. A symbol that the
 * vocabulary lacks becomes `unknown`; with unknown negative it is TL_E_INDEX, naming the symbol and its position. */
TL_API tl_status tl_vocab_encode(const tl_vocab *vocab, const char *text, size_t size, int32_t unknown, int32_t *ids,
                                 int64_t *n);

/* The bytes of one symbol, ended by a 0. Returns how many; 0 (and "") for an id out of range. */
TL_API int tl_vocab_symbol(const tl_vocab *vocab, int32_t id, char out[5]);

/* A vocabulary as a line of ASCII ("utf-8 10 32 97 ..."), to be saved with a model, and back. Parse: TL_E_FORMAT. */
TL_API tl_status tl_vocab_print(const tl_vocab *vocab, tl_bytes *out);
TL_API tl_status tl_vocab_parse(const char *line, tl_vocab **out);

/* ---- sequences ---------------------------------------------------------------------------------------------- */

/* Sequences of ids, of any lengths: n of them, one after the other; sequence i is ids[offset[i]] ... ids[offset[i + 1] - 1].
 * All zero is none. Whoever is handed one owns it: tl_ragged_free(). */
typedef struct tl_ragged {
    int32_t *ids;                 /* offset[n] of them */
    int64_t *offset;              /* n + 1 of them, ascending from 0; NULL only while n is 0 */
    int64_t n;                    /* sequences */
    int64_t id_room, offset_room; /* allocated; the library's own */
} tl_ragged;

TL_API void tl_ragged_free(tl_ragged *sequences); /* and sets it to none; NULL is harmless */

/* Appends one sequence, which may be empty. TL_E_MEMORY leaves what there was. */
TL_API tl_status tl_ragged_add(tl_ragged *sequences, const int32_t *ids, int64_t n);

/* Frees the numbers of an array that a function of this room has made ("new"), and sets it to nothing. */
TL_API void tl_array_free(tl_array *array); /* NULL is harmless */

/* ---- contiguous batches ------------------------------------------------------------------------------------- */

/* Ids cut into `batch` streams of equal length that are read side by side, window after window: row b of a window goes
 * on where row b of the window before it ended, so that states can be carried over (truncated BPTT). Each window is
 * time-major: inputs [T, B] and, as targets, the ids that follow them. The last window of an epoch may be shorter. */
typedef struct tl_stream tl_stream;

/* ids are not copied: they outlive the stream. Up to batch - 1 ids at the end are left out. TL_E_ARGUMENT if batch or
 * window is below 1, or n is too small for one step (n - 1 < batch). */
TL_API tl_status tl_stream_new(const int32_t *ids, int64_t n, int64_t batch, int64_t window, tl_stream **out);
TL_API void tl_stream_free(tl_stream *stream);             /* NULL is harmless */
TL_API int64_t tl_stream_steps(const tl_stream *stream);   /* of each row in an epoch */
TL_API int64_t tl_stream_windows(const tl_stream *stream); /* in an epoch */

/* The next window: out[0] inputs, out[1] targets, i32 [T, B], in the stream's own memory, valid until the next call.
 * False at the end of the epoch; the call after that starts again. */
TL_API bool tl_stream_next(tl_stream *stream, tl_array out[2]);
TL_API void tl_stream_rewind(tl_stream *stream);

/* ---- safetensors -------------------------------------------------------------------------------------------- */

/* An array with a name, and a string with a key (UTF-8, ended by 0). */
typedef struct tl_named_array {
    const char *name;
    tl_array array;
} tl_named_array;

typedef struct tl_named_text {
    const char *key, *text;
} tl_named_text;

/* The contents of a safetensors file. Types F32, F64 and I32; I64 is read as i32 where all its values fit. */
typedef struct tl_safetensors tl_safetensors;

/* TL_E_FILE; TL_E_FORMAT names what is wrong and where: a length beyond the file (or a header above 100 MB), text that
 * is not strict JSON, a type not listed above, more than TL_MAX_RANK dimensions, offsets that overlap, leave holes or
 * do not fit the shape, a name twice. */
TL_API tl_status tl_safetensors_read(const char *path, tl_safetensors **out);
/* The same from memory, which is not kept; `name` stands for the path in messages. */
TL_API tl_status tl_safetensors_parse(const char *name, const void *bytes, size_t size, tl_safetensors **out);
TL_API void tl_safetensors_free(tl_safetensors *file); /* and all that was read from it; NULL is harmless */

/* All arrays, in the order of the file's data, and all strings of its __metadata__, by key; *n is their number. */
TL_API const tl_named_array *tl_safetensors_arrays(const tl_safetensors *file, int *n);
TL_API const tl_named_text *tl_safetensors_texts(const tl_safetensors *file, int *n);
/* One of them; NULL if there is none of that name. */
TL_API const tl_array *tl_safetensors_array(const tl_safetensors *file, const char *name);
TL_API const char *tl_safetensors_text(const tl_safetensors *file, const char *key);

/* Writes arrays and strings. The file appears at once and whole: it is written under another name beside `path`, put to
 * disk, and renamed, so after any failure (TL_E_FILE, with the system's words) what was there is still there. Names
 * that are empty, not UTF-8 or given twice are TL_E_NAME, arrays that make no sense TL_E_ARGUMENT. */
TL_API tl_status tl_safetensors_write(const char *path, const tl_named_array *arrays, int n, const tl_named_text *texts,
                                      int n_texts);

#ifdef __cplusplus
}
#endif
#endif
