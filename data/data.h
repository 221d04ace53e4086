/* data/data.h - files: text, words, vocabularies, sequences, contiguous batches of text, and named arrays in safetensors
 * files.
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

/* Makes these bytes the contents of a file. The file appears at once and whole: they are written to another file beside
 * it (path.0.tapeloop; one that a killed process has left is used again), put to disk, and renamed, so whatever happens,
 * a loss of power too, the file is the old one or the new one. After TL_E_FILE, which says what failed in the system's
 * words, it is the old one and nothing else is left; only if the directory alone could not be put to disk it is the new
 * one, and the message says so. TL_E_MEMORY likewise. Permissions stay; a link stays, and what it leads to is replaced.
 * What is no regular file (a terminal, a pipe), and what standard output or error go to, is written in place.
 * Everything that the library saves goes this way. */
TL_API tl_status tl_file_write(const char *path, const void *data, size_t size);

/* Text, csv and npy files may be packed with gzip: what starts as gzip data does is unpacked as it is read, one member
 * after the other, whatever the file is called. TL_E_FORMAT tells what is damaged or incomplete, and of data that expand
 * to more than 64 MB and 200 times their size, as no text does. */

/* A whole text file: a UTF-8 byte order mark is dropped and CR LF becomes LF; all other bytes are kept, whatever they
 * are. TL_E_FILE, TL_E_MEMORY; TL_E_FORMAT if no text is left. */
TL_API tl_status tl_text_read(const char *path, tl_bytes *out);

/* A text file line by line, of which only one line is held:
 *
 *     while (!(status = tl_lines_next(lines, &line, &size)) && line) ...
 *
 * A line ends with LF, CR LF or CR, the last one also with the file. A byte order mark is dropped. All other bytes are
 * kept, NUL too, so `size` counts; the line is ended by a 0 that it does not count. */
typedef struct tl_lines tl_lines;

TL_API tl_status tl_lines_open(const char *path,
                               tl_lines **out); /* TL_E_FILE, TL_E_FORMAT, TL_E_MEMORY: *out is NULL */
TL_API void tl_lines_free(tl_lines *lines);     /* NULL is harmless */

/* The next line, without what ends it, valid until the next call; NULL at the end. size may be NULL. After a failure
 * (as above) the line is NULL, too, and nothing can be read any more. */
TL_API tl_status tl_lines_next(tl_lines *lines, const char **line, size_t *size);
TL_API int64_t tl_lines_number(const tl_lines *lines); /* of the line that was read last, from 1; 0 before */

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

/* Frees the numbers of an array that a function of this room has made (a "new" one), and sets it to nothing. */
TL_API void tl_array_free(tl_array *array); /* NULL is harmless */

/* ---- words -------------------------------------------------------------------------------------------------- */

/* Several strings, each ended by a 0: lines, words, texts. Their owner frees them with tl_texts_free(). */
typedef struct tl_texts {
    const char **text; /* n of them */
    int64_t n;
    tl_bytes bytes; /* where they lie; the library's own */
} tl_texts;

TL_API void tl_texts_free(tl_texts *texts); /* and sets it to none; NULL is harmless */

/* The lines of a text without their ends. Takes the bytes over: they are nothing afterwards, whatever the outcome. `name`
 * (of the file) begins messages. TL_E_FORMAT where a line holds a zero byte. */
TL_API tl_status tl_text_lines(const char *name, tl_bytes *bytes, tl_texts *out);

/* The same where each line is label<TAB>text: the labels, whole numbers of 32 bits, and the texts. TL_E_FORMAT names the
 * line where it is not so. */
typedef struct tl_labelled {
    tl_texts texts;
    int32_t *label; /* texts.n of them */
} tl_labelled;

TL_API tl_status tl_labelled_parse(const char *name, tl_bytes *bytes, tl_labelled *out);
TL_API void tl_labelled_free(tl_labelled *labelled); /* NULL is harmless */

/* A text as a row of plain characters: of each line white space at both ends is dropped, A-Z become a-z, all that is not
 * ASCII is dropped; lines that are empty then are left out, and the others joined by one space. TL_E_MEMORY. */
TL_API tl_status tl_text_clean(const char *text, size_t size, tl_bytes *out);

/* ---- tokenizer ---------------------------------------------------------------------------------------------- */

/* Keras' Tokenizer: words (or characters) get ids by how often they are met, the most frequent first and equals in the order
 * in which they came, from 1 on: 0 is never given, so that it can stand for padding.
 *
 * A text is put into lower case as Python's str.lower() does (all of Unicode), each character of .filters is replaced by
 * .split, and the words are what stands between one .split and the next, empty ones left out. Texts are UTF-8; a byte that is
 * not counts as U+FFFD. With .char_level each character of the text in lower case is a word, and nothing is filtered. */
typedef struct tl_tokenizer tl_tokenizer;

typedef struct tl_tokenizer_opts {
    size_t size;
    int64_t num_words;     /* ids from this on are not used (all words are counted); 0: all are */
    const char *filters;   /* characters; NULL: !"#$%&()*+,-./:;<=>?@[\]^_`{|}~, tab and newline (not the apostrophe) */
    const char *split;     /* NULL: one space */
    const char *oov_token; /* a word for all words out of vocabulary, with id 1; NULL: they are left out */
    bool keep_case, char_level;
} tl_tokenizer_opts;

/* The strings are copied. TL_E_ARGUMENT if num_words is negative, .split empty, or a string not UTF-8. */
TL_API tl_status tl_tokenizer_new_opt(tl_tokenizer **out, const tl_tokenizer_opts *o);
#ifndef __cplusplus
#define tl_tokenizer_new(...) TL_TOKENIZER_NEW_(__VA_ARGS__, .size = sizeof(tl_tokenizer_opts))
#define TL_TOKENIZER_NEW_(out, ...) tl_tokenizer_new_opt((out), &(tl_tokenizer_opts){ __VA_ARGS__ })
#endif
TL_API void tl_tokenizer_free(tl_tokenizer *tokenizer); /* NULL is harmless */

/* Counts the words of n texts and gives ids anew by all counts so far: may be called several times. After TL_E_MEMORY the
 * tokenizer is good for nothing but to be freed. All functions below leave it as it is, so any number of threads may use it. */
TL_API tl_status tl_tokenizer_fit(tl_tokenizer *tokenizer, const char *const *texts, int64_t n);

/* What is known of a word: Keras' word_index, word_counts and word_docs. */
typedef struct tl_word {
    const char *text;
    int64_t count, texts; /* how often it was met, and in how many texts */
    int32_t id;
} tl_word;

/* All words that were met, in the order in which they came; *n is their number. They are the tokenizer's, until it is fitted
 * again. */
TL_API const tl_word *tl_tokenizer_words(const tl_tokenizer *tokenizer, int64_t *n);

TL_API int64_t tl_tokenizer_texts(const tl_tokenizer *tokenizer); /* Keras' document_count */

/* Words with an id, oov_token included: the length of Keras' word_index. An embedding needs one row more, for id 0. (If the
 * oov_token is also met as a word it has the id of that word, as in Keras; then 1 is nobody's, and ids go one further.) */
TL_API int64_t tl_tokenizer_size(const tl_tokenizer *tokenizer);

TL_API int32_t tl_tokenizer_id(const tl_tokenizer *tokenizer, const char *word); /* as it was counted; 0: it has none */
TL_API const char *tl_tokenizer_word(const tl_tokenizer *tokenizer, int32_t id); /* NULL if no word has it */

/* Ids of each text's words, a sequence for each text. */
TL_API tl_status tl_texts_to_sequences(const tl_tokenizer *tokenizer, const char *const *texts, int64_t n,
                                       tl_ragged *out);

/* The words of each sequence, joined by a space. Ids that no word has (or not below num_words) are oov_token, or left out. */
TL_API tl_status tl_sequences_to_texts(const tl_tokenizer *tokenizer, const tl_ragged *sequences, tl_texts *out);

/* What a matrix of words says of an id that comes c times in a text of n ids: 1; c; c / n; or
 * (1 + log c) log(1 + D / (1 + d)), where d of D texts fitted had the word. Otherwise 0. */
typedef enum tl_matrix_mode { TL_MATRIX_BINARY, TL_MATRIX_COUNT, TL_MATRIX_FREQ, TL_MATRIX_TFIDF } tl_matrix_mode;

/* A new array [texts, columns] of floats; columns are num_words, or tl_tokenizer_size() + 1; ids beyond are left out (they
 * count in n). TL_E_ARGUMENT if nothing has been fitted; TL_E_INDEX for a negative id. */
TL_API tl_status tl_sequences_to_matrix(const tl_tokenizer *tokenizer, const tl_ragged *sequences, tl_matrix_mode mode,
                                        tl_dtype dtype, tl_array *out);
TL_API tl_status tl_texts_to_matrix(const tl_tokenizer *tokenizer, const char *const *texts, int64_t n,
                                    tl_matrix_mode mode, tl_dtype dtype, tl_array *out);

/* The file that Keras' tokenizer.to_json() gives and tokenizer_from_json() reads: either reads the other's. TL_E_FILE;
 * TL_E_FORMAT says what is wrong and where, also where word_index is not what the counts make it. Saving replaces a file as
 * tl_safetensors_write() does. */
TL_API tl_status tl_tokenizer_save(const tl_tokenizer *tokenizer, const char *path);
TL_API tl_status tl_tokenizer_load(const char *path, tl_tokenizer **out);
/* The same in memory, to be kept with a model, and back; `name` stands for the path in messages. */
TL_API tl_status tl_tokenizer_print(const tl_tokenizer *tokenizer, tl_bytes *out);
TL_API tl_status tl_tokenizer_parse(const char *name, const char *json, size_t size, tl_tokenizer **out);

/* The words of one text as the tokenizer cuts it; its options but num_words and oov_token count. */
TL_API tl_status tl_text_to_word_sequence_opt(const char *text, tl_texts *out, const tl_tokenizer_opts *o);
#ifndef __cplusplus
#define tl_text_to_word_sequence(...) TL_TEXT_TO_WORD_SEQUENCE_(__VA_ARGS__, .size = sizeof(tl_tokenizer_opts))
#define TL_TEXT_TO_WORD_SEQUENCE_(text, out, ...)                                                                      \
    tl_text_to_word_sequence_opt((text), (out), &(tl_tokenizer_opts){ __VA_ARGS__ })
#endif

/* ---- reviews ------------------------------------------------------------------------------------------------ */

/* Texts numbered as Keras' imdb.load_data() gives them: start_char, then for each word its rank by frequency (from 1: the
 * tokenizer's id without an oov_token) plus index_from; oov_char stands for words that the tokenizer does not know and for ids
 * below skip_top or not below num_words. Texts of maxlen or more ids, the start included, are left out.
 * (Unlike Keras' own, num_words 0 means all words; there it means all but the rarest.) */
typedef struct tl_imdb_opts {
    size_t size;
    int64_t num_words, skip_top, maxlen;      /* 0: all words, none skipped, texts of any length */
    int64_t start_char, oov_char, index_from; /* default 1, 2, 3; below 0: no start, words left out (as Keras' None) */
} tl_imdb_opts;

/* labels (n of them, or NULL) are moved up where texts are left out; out->n is how many there are then. The tokenizer's
 * num_words and oov_token do not count here. */
TL_API tl_status tl_imdb_sequences_opt(const tl_tokenizer *words, const char *const *texts, int64_t n, int32_t *labels,
                                       tl_ragged *out, const tl_imdb_opts *o);
#ifndef __cplusplus
#define tl_imdb_sequences(...) TL_IMDB_SEQUENCES_(__VA_ARGS__, .size = sizeof(tl_imdb_opts))
#define TL_IMDB_SEQUENCES_(words, texts, n, labels, out, ...)                                                          \
    tl_imdb_sequences_opt((words), (texts), (n), (labels), (out), &(tl_imdb_opts){ __VA_ARGS__ })
#endif

/* ---- padding, classes, windows ------------------------------------------------------------------------------ */

typedef enum tl_side { TL_PRE, TL_POST } tl_side;

typedef struct tl_pad_opts {
    size_t size;
    int64_t maxlen;              /* steps of the result; 0: those of the longest sequence */
    tl_side padding, truncating; /* at which end steps are added and dropped; default TL_PRE, as Keras' */
    double value;                /* of what is added */
    tl_dtype dtype;              /* of the result; default: i32 for ids, otherwise that of the sequences */
} tl_pad_opts;

/* Keras' pad_sequences: a new array [n, maxlen] of sequences of ids, or [n, maxlen, ...] of n arrays [steps, ...], steps being
 * any number. A number that becomes i32 loses its fraction. TL_E_SHAPE where steps have different shapes; TL_E_ARGUMENT
 * where a number does not fit i32. */
TL_API tl_status tl_pad_sequences_opt(const tl_ragged *sequences, tl_array *out, const tl_pad_opts *o);
TL_API tl_status tl_pad_arrays_opt(const tl_array *sequences, int64_t n, tl_array *out, const tl_pad_opts *o);
#ifndef __cplusplus
#define tl_pad_sequences(...) TL_PAD_SEQUENCES_(__VA_ARGS__, .size = sizeof(tl_pad_opts))
#define TL_PAD_SEQUENCES_(sequences, out, ...) tl_pad_sequences_opt((sequences), (out), &(tl_pad_opts){ __VA_ARGS__ })
#define tl_pad_arrays(...) TL_PAD_ARRAYS_(__VA_ARGS__, .size = sizeof(tl_pad_opts))
#define TL_PAD_ARRAYS_(sequences, n, out, ...) tl_pad_arrays_opt((sequences), (n), (out), &(tl_pad_opts){ __VA_ARGS__ })
#endif

typedef struct tl_categorical_opts {
    size_t size;
    int64_t num_classes; /* 0: one more than the largest class */
    tl_dtype dtype;      /* default f32 */
} tl_categorical_opts;

/* Keras' to_categorical: a new array [..., num_classes] of ones and zeros from classes [...] of any shape (a last dimension of
 * 1 is dropped first, unless it is the only one). TL_E_INDEX where one is no whole number from 0 to num_classes - 1. */
TL_API tl_status tl_to_categorical_opt(const tl_array *classes, tl_array *out, const tl_categorical_opts *o);
#ifndef __cplusplus
#define tl_to_categorical(...) TL_TO_CATEGORICAL_(__VA_ARGS__, .size = sizeof(tl_categorical_opts))
#define TL_TO_CATEGORICAL_(classes, out, ...)                                                                          \
    tl_to_categorical_opt((classes), (out), &(tl_categorical_opts){ __VA_ARGS__ })
#endif

typedef struct tl_sliding_opts {
    size_t size;
    int64_t stride;          /* from the beginning of one window to that of the next; default 1 */
    int64_t sampling_rate;   /* of a window only every so many steps are taken; default 1 */
    const tl_array *targets; /* [steps, ...]; default: the series itself */
} tl_sliding_opts;

/* All windows of so many steps of a series [steps, ...] (ids, or vectors) that something follows, and what follows each: two
 * new arrays of n = (steps - window - 1) / stride + 1 rows, out[0] [n, window, ...] and out[1] [n, ...], of which the first of
 * row i is step i stride and the second step i stride + window of the targets. With a sampling_rate r a row has
 * (window - 1) / r + 1 steps. TL_E_SHAPE if there are not more steps than a window has. */
TL_API tl_status tl_sliding_windows_opt(const tl_array *series, int64_t window, tl_array out[2],
                                        const tl_sliding_opts *o);
#ifndef __cplusplus
#define tl_sliding_windows(...) TL_SLIDING_WINDOWS_(__VA_ARGS__, .size = sizeof(tl_sliding_opts))
#define TL_SLIDING_WINDOWS_(series, window, out, ...)                                                                  \
    tl_sliding_windows_opt((series), (window), (out), &(tl_sliding_opts){ __VA_ARGS__ })
#endif

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

/* Writes arrays and strings, in the way of tl_file_write: after a failure what was there is still there. Names that are empty, not UTF-8 or given twice are TL_E_NAME, arrays that make no sense TL_E_ARGUMENT. */
TL_API tl_status tl_safetensors_write(const char *path, const tl_named_array *arrays, int n, const tl_named_text *texts,
                                      int n_texts);

#ifdef __cplusplus
}
#endif
#endif
