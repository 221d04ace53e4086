/* data/data.h - files: text, words, vocabularies, sequences, contiguous batches of text, samples and their batches,
 * csv, scaling and windows, and arrays in safetensors, npy and npz files.
 *
 * Knows arrays (tl_array) and nothing of the tape. Every function that returns a tl_status leaves a sentence in
 * tl_message() that names the file and, where it helps, the position. Files are hostile until shown otherwise: bad
 * contents are TL_E_FORMAT, never undefined behaviour. Of an object that is not there (NULL, because making it failed),
 * functions with a status say TL_E_ARGUMENT, the others 0, NULL, NaN or "".
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

/* Frees the numbers of an array that a function of this room has made (a "new" one; its shape is as it was then), and sets
 * it to nothing. */
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

/* ---- batches ------------------------------------------------------------------------------------------------ */

/* What one step gets: inputs in the order of the dataset's fields, sequences time-major. The memory is the loader's and
 * valid until its next call. */
enum { TL_MAX_FIELDS = 16 };
typedef struct tl_batch {
    tl_array in[TL_MAX_FIELDS];
    int n;                /* how many inputs */
    int64_t samples;      /* how many rows; 0: the epoch is over */
    const int64_t *index; /* row b is sample index[b] of the loader's dataset; NULL where a source does not tell */
} tl_batch;

/* Batches from elsewhere, in an order of their own: a file larger than memory, a stream. Each function returns a status
 * with its sentence (tl_report); `next` sets samples = 0 at the end. An epoch that starts after `skip` batches goes on as
 * the whole one does. */
typedef struct tl_source {
    void *self;
    tl_status (*start)(void *self, uint64_t epoch, int64_t skip);
    tl_status (*next)(void *self, tl_batch *out);
    int64_t (*batches)(void *self); /* in an epoch; -1 if that is not known. NULL: it is not */
    void (*free)(void *self);       /* called with the dataset's end; NULL: self is the caller's to free */
} tl_source;

/* A stream as a source: in[0] inputs, in[1] targets, one row a stream. The stream outlives it. */
TL_API tl_source tl_stream_source(tl_stream *stream);

/* ---- datasets ----------------------------------------------------------------------------------------------- */

/* N samples with one or more fields, each of which becomes one input of a batch, in the order in which they are added:
 *
 *     tl_dataset *data = tl_dataset_new();
 *     const int words = tl_dataset_ids(data, &sequences, .padding = TL_POST);      in[0]: i32 [T, B]
 *     tl_dataset_lengths(data, words);                                             in[1]: i32 [B]
 *     tl_dataset_rows(data, tl_array_of(TL_F32, TL_DIMS(N, 1), labels));           in[2]: f32 [B, 1]
 *
 * Functions that add a field return its number k, that of in[k]; -1 after an error, which stays with the dataset (the
 * first one wins): tl_dataset_status(), and all that is made of the dataset, return it. So the code above needs no check
 * before tl_loader_new() or tl_fit(). Data are not copied unless .copy says so: they outlive the dataset and all that is
 * made of it, and their sizes and offsets do not change.
 *
 * A dataset is kept alive by its views and loaders: each is freed by whoever made it, in any order. */
typedef struct tl_dataset tl_dataset;

/* One without fields; NULL if memory is short, which all functions here take for a dataset with an error. */
TL_API tl_dataset *tl_dataset_new(void);
TL_API void tl_dataset_free(tl_dataset *data); /* NULL is harmless */

/* dtype: floats never become ids. Padding and cutting are as tl_pad_sequences() has them, but to the longest row of each
 * batch; tl_dataset_lengths() needs .padding = TL_POST. */
typedef struct tl_field_opts {
    size_t size;
    tl_dtype dtype;              /* of the batches. Default: that of the data; TL_F32 for masks and class weights */
    bool copy;                   /* the data are copied here and now */
    int64_t maxlen;              /* ragged: longer rows are cut to so many steps. Default: none is */
    tl_side padding, truncating; /* ragged: at which end steps are added and dropped; default TL_PRE, as Keras' */
    double value;                /* ragged: of what is added */
    bool full; /* ragged: every batch has .maxlen steps; without it, those of the longest row of all */
} tl_field_opts;

/* Fixed rows: [N, ...] of f32, f64 or i32 -> [B, ...], batch_axis TL_ZERO (axis 0). Sequences of equal length:
 * [N, T, ...] -> [T, B, ...], batch_axis 1. Ragged sequences, row i being steps offsets[i] ... offsets[i + 1] - 1 of
 * values [steps, ...], for ids (no further axis) as for vectors -> [T, B, ...], batch_axis 1, with T the longest row of
 * the batch (at least 1) and padding. offsets has N + 1 numbers that do not descend, the first at least 0.
 *
 * In place of an array, TL_ABSENT_ARRAY gives a field that is absent in every batch: targets that are not known when
 * predicting, so that all else keeps its number (ragged: offsets and N are not looked at).
 *
 * TL_E_SHAPE: another N than that of the fields before, a rank too small or too large, descending offsets or such beyond
 * the values; TL_E_DTYPE; TL_E_ARGUMENT: more than TL_MAX_FIELDS fields, no data, a view, a dataset made of a source. */
TL_API int tl_dataset_rows_opt(tl_dataset *data, tl_array rows, const tl_field_opts *o);
TL_API int tl_dataset_sequences_opt(tl_dataset *data, tl_array sequences, const tl_field_opts *o);
TL_API int tl_dataset_ragged_opt(tl_dataset *data, tl_array values, const int64_t *offsets, int64_t N,
                                 const tl_field_opts *o);

/* Ragged sequences of ids as the tokenizer gives them; NULL: none as yet (tl_dataset_append). */
TL_API int tl_dataset_ids_opt(tl_dataset *data, const tl_ragged *ids, const tl_field_opts *o);

/* What follows from a ragged field k. Lengths: the steps of each row after cutting, i32 [B]; may be 0. TL_E_ARGUMENT for
 * a field that is padded in front, where a layer would misread them: give it the mask. Mask: [T, B], 1 for steps of the
 * row and 0 for padding. */
TL_API int tl_dataset_lengths_opt(tl_dataset *data, int k, const tl_field_opts *o);
TL_API int tl_dataset_mask_opt(tl_dataset *data, int k, const tl_field_opts *o);

/* Weights, to be handed to a loss (its .weights = in[k]): of samples [N] -> [B], of steps [N, T] -> [T, B]; each finite
 * and not negative (TL_E_NONFINITE, TL_E_ARGUMENT). Steps of ragged rows: a ragged field, padded with zeros, will do. */
TL_API int tl_dataset_weights_opt(tl_dataset *data, tl_array weights, const tl_field_opts *o);

/* Class weights: each label of field k is looked up in `weight`, which has one for each of n classes. Labels are ids [N]
 * or [N, 1] (whole floats will do) or one-hot rows [N, n], whose largest counts: -> [B]; labels of steps (sequences or
 * ragged; ids or one-hot) -> [T, B], 0 for padding. TL_E_INDEX: a label outside 0 ... n - 1; TL_E_NONFINITE. */
TL_API int tl_dataset_class_weights_opt(tl_dataset *data, int k, const double *weight, int n, const tl_field_opts *o);

#ifndef __cplusplus
#define tl_dataset_ids(...) TL_FIELD_(tl_dataset_ids_opt, __VA_ARGS__, .size = sizeof(tl_field_opts))
#define tl_dataset_rows(...) TL_FIELD_(tl_dataset_rows_opt, __VA_ARGS__, .size = sizeof(tl_field_opts))
#define tl_dataset_sequences(...) TL_FIELD_(tl_dataset_sequences_opt, __VA_ARGS__, .size = sizeof(tl_field_opts))
#define tl_dataset_weights(...) TL_FIELD_(tl_dataset_weights_opt, __VA_ARGS__, .size = sizeof(tl_field_opts))
#define tl_dataset_lengths(...) TL_FIELD_(tl_dataset_lengths_opt, __VA_ARGS__, .size = sizeof(tl_field_opts))
#define tl_dataset_mask(...) TL_FIELD_(tl_dataset_mask_opt, __VA_ARGS__, .size = sizeof(tl_field_opts))
#define tl_dataset_ragged(...) TL_RAGGED_(__VA_ARGS__, .size = sizeof(tl_field_opts))
#define tl_dataset_class_weights(...) TL_CLASSES_(__VA_ARGS__, .size = sizeof(tl_field_opts))
#define TL_FIELD_(fn, data, field, ...) fn((data), (field), &(tl_field_opts){ __VA_ARGS__ })
#define TL_RAGGED_(data, values, offsets, N, ...)                                                                      \
    tl_dataset_ragged_opt((data), (values), (offsets), (N), &(tl_field_opts){ __VA_ARGS__ })
#define TL_CLASSES_(data, k, weight, n, ...)                                                                           \
    tl_dataset_class_weights_opt((data), (k), (weight), (n), &(tl_field_opts){ __VA_ARGS__ })
#endif

/* Adds one sample: an array for each field that was added with data (copied or with N = 0: the dataset must own them),
 * in their order, without the axis that counts samples: rows [...], sequences [T, ...], ragged [t, ...] with any t. All
 * or nothing. Loaders see it from their next epoch on, views never. */
TL_API tl_status tl_dataset_append(tl_dataset *data, const tl_array *sample, int n);

TL_API tl_status tl_dataset_status(const tl_dataset *data);
TL_API int64_t tl_dataset_samples(const tl_dataset *data); /* N; -1 if that is not known (a source) */
TL_API int tl_dataset_fields(const tl_dataset *data);      /* inputs of a batch; -1 if that is not known (a source) */

/* Is it made of a source? Then its batches come as they come: no shuffling, no views, no batch size. */
TL_API bool tl_dataset_is_source(const tl_dataset *data);

/* A dataset whose batches come from a source, which is freed with it (if source.free is set; after a failure too). NULL
 * on failure. */
TL_API tl_dataset *tl_dataset_of(tl_source source);

/* Views: they share the data, and are datasets as any other. Samples from ... to - 1; those with the given numbers, in
 * that order (which are copied; a number may come twice); Keras' validation split: `share` of the samples, the last ones,
 * are for validation, the first floor(N (1 - share)) for training, both at least one (TL_E_ARGUMENT). Views of views are
 * views. *out is NULL after a failure: TL_E_INDEX, TL_E_ARGUMENT (a dataset made of a source), TL_E_MEMORY. */
TL_API tl_status tl_dataset_slice(tl_dataset *data, int64_t from, int64_t to, tl_dataset **out);
TL_API tl_status tl_dataset_take(tl_dataset *data, const int64_t *samples, int64_t n, tl_dataset **out);
TL_API tl_status tl_dataset_split(tl_dataset *data, double share, tl_dataset **training, tl_dataset **validation);

/* The number that sample i of a view has in the data; -1 outside 0 ... N - 1. */
TL_API int64_t tl_dataset_sample(const tl_dataset *data, int64_t i);

/* ---- loaders ------------------------------------------------------------------------------------------------ */

/* Epochs of batches of a dataset. The order is a pure function of .seed and the number of the epoch, so an interrupted
 * run goes on with two numbers: the epoch, and how many batches of it were used.
 *
 *     tl_loader *loader;
 *     if (tl_loader_new(data, &loader, .batch = 32, .shuffle = true, .seed = 1)) return fail(tl_message());
 *     for (uint64_t epoch = 0; epoch < 5; epoch++) {
 *         tl_loader_start(loader, epoch, 0);
 *         while (!(status = tl_loader_next(loader, &batch)) && batch.samples) ... batch.in, batch.n ...
 *     }
 *
 * Any number of loaders may read one dataset, in any threads, while nobody changes it. A loader is used by one thread. */
typedef struct tl_loader tl_loader;

/* buckets: within each window of so many batches samples are sorted by length before they are cut into batches, so that
 * rows of like length meet; with .shuffle, the full batches are shuffled then. */
typedef struct tl_loader_opts {
    size_t size;
    int64_t batch;  /* rows (default 32); the last batch of an epoch may have fewer */
    bool drop_last; /* unless this leaves it out */
    bool shuffle;   /* Fisher-Yates, from seed and epoch */
    uint64_t seed;
    int64_t buckets; /* see above; default: none */
    bool sort_rows;  /* the longest row of a batch first, equal ones in their order */
    int by;          /* the ragged field whose lengths count (default: the first; TL_ZERO: field 0) */
} tl_loader_opts;

/* TL_E_ARGUMENT: options that make no sense, or that a dataset made of a source cannot have (all of them); else the
 * dataset's own error. *out is NULL then. An empty dataset has epochs without batches. */
TL_API tl_status tl_loader_new_opt(tl_dataset *data, tl_loader **out, const tl_loader_opts *o);
#ifndef __cplusplus
#define tl_loader_new(...) TL_LOADER_NEW_(__VA_ARGS__, .size = sizeof(tl_loader_opts))
#define TL_LOADER_NEW_(data, out, ...) tl_loader_new_opt((data), (out), &(tl_loader_opts){ __VA_ARGS__ })
#endif
TL_API void tl_loader_free(tl_loader *loader); /* NULL is harmless */

/* Begins an epoch after `skip` batches (more than there are: at its end). All memory is made here, and none from the
 * second epoch on (unless samples were appended). A new loader stands at the start of epoch 0. TL_E_MEMORY. */
TL_API tl_status tl_loader_start(tl_loader *loader, uint64_t epoch, int64_t skip);

/* The next batch; samples = 0 at the end of the epoch, and until the next start. After an error *out is empty, too. */
TL_API tl_status tl_loader_next(tl_loader *loader, tl_batch *out);

TL_API int64_t tl_loader_batches(const tl_loader *loader); /* in an epoch; -1 if not known */

/* ---- lines of a file ---------------------------------------------------------------------------------------- */

/* A source that reads a text file line by line, for files larger than memory: of all samples only a window is held, which
 * is shuffled (if asked for), cut into batches and replaced by what follows in the file.
 *
 * `window` is a dataset of the caller's making that says which fields there are: each added with N = 0 (an array
 * [0, ...]; for ragged ones offsets are NULL), derived ones as always. `read` is called with each line (without its end;
 * a byte order mark is dropped) and appends to it what samples the line holds, none or more, with tl_dataset_append();
 * what else it returns than TL_OK ends the epoch, and the message gets the file and line in front.
 *
 *     static tl_status read(void *user, tl_dataset *window, const char *line, size_t size);
 *
 * The file is read once an epoch, plain or packed with gzip. Rows are numbered (tl_batch.index) as they come in the file.
 * How many batches there are is known when one epoch was read to its end. */
typedef struct tl_lines_opts {
    size_t size;
    void *user;     /* handed to read */
    int64_t window; /* samples held (default 8192), as a multiple of the batch; a line that holds many may exceed it */
    int64_t batch;  /* these seven as in tl_loader_opts */
    bool drop_last, shuffle;
    uint64_t seed;
    int64_t buckets;
    bool sort_rows;
    int by;
} tl_lines_opts;
typedef tl_status (*tl_line_fn)(void *user, tl_dataset *window, const char *line, size_t size);

/* A dataset of such a source, which keeps `window` alive. *out is NULL after a failure. */
TL_API tl_status tl_dataset_lines_opt(const char *path, tl_dataset *window, tl_line_fn read, tl_dataset **out,
                                      const tl_lines_opts *o);
#ifndef __cplusplus
#define tl_dataset_lines(...) TL_LINES_(__VA_ARGS__, .size = sizeof(tl_lines_opts))
#define TL_LINES_(path, window, read, out, ...)                                                                        \
    tl_dataset_lines_opt((path), (window), (read), (out), &(tl_lines_opts){ __VA_ARGS__ })
#endif

/* ---- csv ---------------------------------------------------------------------------------------------------- */

/* Text of rows and columns, as RFC 4180 has it: fields in quotes may hold separators, line ends and doubled quotes; a
 * quote within a field that does not start with one is a character. Lines end in any way, empty ones are skipped, a byte
 * order mark is dropped, gzip data are unpacked. TL_E_FORMAT names file:line:column (in bytes, from 1) of a number that
 * is none, of a quote that is never closed, of text after a closing one, of NUL bytes; and file:line of a row that has
 * more or fewer fields than there are. */
typedef struct tl_csv_opts {
    size_t size;
    char separator;             /* default: a tab if the path ends in .tsv or .tsv.gz, else a comma. ' ': blanks and
                                   tabs, any number of them, and none at the ends of a line */
    bool no_header;             /* the first row holds data; columns are then called "0", "1" ... */
    bool no_quotes;             /* quotes are characters like any other */
    const char *const *missing; /* n_missing texts that stand for what is not known (default: empty, NA, NaN, nan),
                                   blanks around them left out; in quotes only where a number is expected. None: */
    int n_missing;              /* TL_ZERO */
    const char *const *columns; /* read only these, in this order: names, or (where no column has that name) numbers */
    int n_columns;              /* from 0. Default: all. Where a name comes twice, the first column has it */
    const char *const *text;    /* tl_frame_read: the columns that hold text; all others hold numbers */
    int n_text;
} tl_csv_opts;

/* Row by row, for files larger than memory; columns are the selected ones:
 *
 *     while (!(status = tl_csv_next(csv, &n)) && n) ... tl_csv_number(csv, 0, &x) ...
 */
typedef struct tl_csv tl_csv;

/* *out is NULL after TL_E_FILE, TL_E_FORMAT, TL_E_NAME (no such column), TL_E_ARGUMENT, TL_E_MEMORY. */
TL_API tl_status tl_csv_open_opt(const char *path, tl_csv **out, const tl_csv_opts *o);
TL_API void tl_csv_free(tl_csv *csv); /* NULL is harmless */

TL_API int tl_csv_columns(const tl_csv *csv);
TL_API const char *tl_csv_name(const tl_csv *csv, int k); /* of column k; "" out of range */

/* The next row; *n is the number of columns, 0 at the end and after a failure. */
TL_API tl_status tl_csv_next(tl_csv *csv, int *n);

/* Column k of the row, valid until the next one; "" if there is none. */
TL_API const char *tl_csv_text(const tl_csv *csv, int k);
TL_API bool tl_csv_missing(const tl_csv *csv, int k);
/* As a number; NaN if it is missing. TL_E_FORMAT, after which reading may go on. */
TL_API tl_status tl_csv_number(const tl_csv *csv, int k, double *out);
TL_API int64_t tl_csv_line(const tl_csv *csv); /* of the row's beginning, from 1; 0 before the first row */

/* One column: numbers (NaN: missing) or texts (NULL: missing); the other one is NULL. */
typedef struct tl_column {
    const char *name;
    double *numbers;
    const char **texts;
} tl_column;

/* Writes columns of equal length, in the way of tl_file_write; quotes where they are needed. Of the options, .separator,
 * .no_header and .no_quotes count. What is missing is written as NA; numbers have the digits that give them back. What is
 * written is read as it was; texts that would need quotes are TL_E_ARGUMENT with .no_quotes. TL_E_FILE, TL_E_MEMORY. */
TL_API tl_status tl_csv_write_opt(const char *path, const tl_column *columns, int n, int64_t rows,
                                  const tl_csv_opts *o);

/* A whole file, as columns. */
typedef struct tl_frame tl_frame;

/* .text says which columns hold text; anything but a number elsewhere is TL_E_FORMAT, as above. */
TL_API tl_status tl_frame_read_opt(const char *path, tl_frame **out, const tl_csv_opts *o);
TL_API void tl_frame_free(tl_frame *frame); /* and all columns; NULL is harmless */

#ifndef __cplusplus
#define tl_csv_open(...) TL_CSV_(tl_csv_open_opt, __VA_ARGS__, .size = sizeof(tl_csv_opts))
#define tl_frame_read(...) TL_CSV_(tl_frame_read_opt, __VA_ARGS__, .size = sizeof(tl_csv_opts))
#define TL_CSV_(fn, path, out, ...) fn((path), (out), &(tl_csv_opts){ __VA_ARGS__ })
#define tl_csv_write(...) TL_CSV_WRITE_(__VA_ARGS__, .size = sizeof(tl_csv_opts))
#define TL_CSV_WRITE_(path, columns, n, rows, ...)                                                                     \
    tl_csv_write_opt((path), (columns), (n), (rows), &(tl_csv_opts){ __VA_ARGS__ })
#endif

TL_API int64_t tl_frame_rows(const tl_frame *frame);
TL_API const tl_column *tl_frame_columns(const tl_frame *frame, int *n);          /* all; their values may be changed */
TL_API const tl_column *tl_frame_column(const tl_frame *frame, const char *name); /* name or number; NULL if none */

/* What is missing, in one column or (NULL) in all: how much it is, a number in its place (in columns of numbers;
 * TL_E_DTYPE for one of text), the value before it (what is missing in the first rows stays so). TL_E_NAME, or -1, where
 * there is no such column. */
TL_API int64_t tl_frame_missing(const tl_frame *frame, const char *column);
TL_API tl_status tl_frame_fill(tl_frame *frame, const char *column, double value);
TL_API tl_status tl_frame_fill_forward(tl_frame *frame, const char *column);
/* Drops rows in which that column, or (NULL) any, is missing, and returns how many; -1 as above. */
TL_API int64_t tl_frame_drop_missing(tl_frame *frame, const char *column);

/* A new array [rows, n] of these columns of numbers (NULL: of all that hold numbers), f32 or f64, to be freed with
 * tl_array_free(). TL_E_NAME, TL_E_DTYPE (a column of text), TL_E_MEMORY. */
TL_API tl_status tl_frame_array(const tl_frame *frame, const char *const *columns, int n, tl_dtype dtype,
                                tl_array *out);

/* ---- categories --------------------------------------------------------------------------------------------- */

/* The distinct texts of a column, in the order of their bytes, numbered from 0. Immutable. */
typedef struct tl_categories tl_categories;

/* Of n texts; NULLs count for nothing. TL_E_MEMORY. */
TL_API tl_status tl_categories_new(const char *const *texts, int64_t n, tl_categories **out);
TL_API void tl_categories_free(tl_categories *categories); /* NULL is harmless */
TL_API int tl_categories_size(const tl_categories *categories);
TL_API const char *tl_categories_text(const tl_categories *categories, int id); /* NULL out of range */

/* The ids of n texts. NULL, and what is no category, becomes `unknown`; with unknown negative that is TL_E_INDEX. */
TL_API tl_status tl_categories_ids(const tl_categories *categories, const char *const *texts, int64_t n,
                                   int32_t unknown, int32_t *ids);

/* As a list in JSON, to be saved with a model, and back. Texts that are not UTF-8: TL_E_ARGUMENT. Parse: TL_E_FORMAT. */
TL_API tl_status tl_categories_print(const tl_categories *categories, tl_bytes *out);
TL_API tl_status tl_categories_parse(const char *json, tl_categories **out);

/* ---- scaling and windows ------------------------------------------------------------------------------------ */

/* Of n columns: y = (x - offset) / scale. */
typedef struct tl_scaler {
    int64_t n;
    double *offset, *scale;
} tl_scaler;

typedef enum tl_scaling {
    TL_STANDARD = 1, /* to mean 0 and standard deviation 1 (of the population: divided by the number of values) */
    TL_MINMAX        /* to the interval from .low to .high */
} tl_scaling;

typedef struct tl_scaler_opts {
    size_t size;
    tl_scaling kind; /* default TL_STANDARD */
    double low;      /* TL_MINMAX: default 0 */
    double high;     /* TL_MINMAX: default 1, TL_ZERO: 0; above .low */
} tl_scaler_opts;

/* Learns from rows from ... to - 1 of x [rows, n] (those for training), f32 or f64. NaN counts for nothing; a column
 * without any number, or with one value alone, is only shifted (scale 1). TL_E_SHAPE, TL_E_DTYPE, TL_E_INDEX (no such
 * rows), TL_E_NONFINITE (an infinity), TL_E_ARGUMENT, TL_E_MEMORY. */
TL_API tl_status tl_scaler_fit_opt(tl_scaler *out, const tl_array *x, int64_t from, int64_t to,
                                   const tl_scaler_opts *o);
#ifndef __cplusplus
#define tl_scaler_fit(...) TL_SCALER_FIT_(__VA_ARGS__, .size = sizeof(tl_scaler_opts))
#define TL_SCALER_FIT_(out, x, from, to, ...)                                                                          \
    tl_scaler_fit_opt((out), (x), (from), (to), &(tl_scaler_opts){ __VA_ARGS__ })
#endif
TL_API void tl_scaler_free(tl_scaler *scaler); /* and sets it to nothing; NULL is harmless */

/* Scales x [..., m] in place, or gives back what it was; its columns are columns first ... first + m - 1 of the scaler
 * (so predictions [N, 1] of column 3 are given back with first = 3). TL_E_SHAPE, TL_E_DTYPE. */
TL_API tl_status tl_scaler_apply(const tl_scaler *scaler, tl_array *x, int64_t first);
TL_API tl_status tl_scaler_invert(const tl_scaler *scaler, tl_array *x, int64_t first);

/* As a safetensors file of two arrays f64 [n], "offset" and "scale". TL_E_FILE, TL_E_FORMAT, TL_E_MEMORY. */
TL_API tl_status tl_scaler_save(const tl_scaler *scaler, const char *path);
TL_API tl_status tl_scaler_load(const char *path, tl_scaler *out);

typedef struct tl_series_opts {
    size_t size;
    int64_t steps;     /* T: rows of a window; needed */
    int64_t horizon;   /* the first row to be predicted lies this far behind the window's last (default 1, TL_ZERO: that
                          row itself) */
    int64_t predict;   /* P: rows to be predicted (default 1) */
    int64_t stride;    /* rows from one window to the next (default 1) */
    int64_t target;    /* columns target ... target + n_targets - 1 are predicted (default 0) */
    int64_t n_targets; /* default 1 */
    bool skip_missing; /* leave out windows that hold a NaN, in their inputs or targets */
} tl_series_opts;

/* Windows over a time series [rows, D], f32 or f64: inputs [N, T, D] and targets [N, n_targets], or [N, P, n_targets]
 * with P > 1: new arrays of the same dtype, to be freed with tl_array_free(). Window i begins at row i stride; N counts
 * the windows whose targets lie in the series, 0 if it is too short. inputs or targets may be NULL. TL_E_SHAPE,
 * TL_E_DTYPE, TL_E_ARGUMENT, TL_E_MEMORY. */
TL_API tl_status tl_series_windows_opt(const tl_array *series, tl_array *inputs, tl_array *targets,
                                       const tl_series_opts *o);
#ifndef __cplusplus
#define tl_series_windows(...) TL_SERIES_(__VA_ARGS__, .size = sizeof(tl_series_opts))
#define TL_SERIES_(series, inputs, targets, ...)                                                                       \
    tl_series_windows_opt((series), (inputs), (targets), &(tl_series_opts){ __VA_ARGS__ })
#endif

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

/* Writes arrays and strings, in the way of tl_file_write: after a failure what was there is still there. Names that are
 * empty, not UTF-8 or given twice are TL_E_NAME, arrays that make no sense TL_E_ARGUMENT. */
TL_API tl_status tl_safetensors_write(const char *path, const tl_named_array *arrays, int n, const tl_named_text *texts,
                                      int n_texts);

/* ---- npy and npz -------------------------------------------------------------------------------------------- */

/* NumPy's own files: one array, and several with names in a zip file. Read are versions 1.0 to 3.0, C and Fortran order,
 * either byte order: f4 and f2 (half) as f32, f8 as f64, i4 and all other integers and bool as i32 where the values fit;
 * arrays may be stored or deflated. Written are f32, f64 and i32, version 1.0, C order. TL_E_FILE; TL_E_FORMAT names what
 * is wrong and where: sizes that do not fit, other types, more than TL_MAX_RANK dimensions, wrong checksums, zip64. */

/* A new array, to be freed with tl_array_free(). The file may be packed with gzip. */
TL_API tl_status tl_npy_read(const char *path, tl_array *out);
/* The same from memory, which is not kept; `name` stands for the path in messages. */
TL_API tl_status tl_npy_parse(const char *name, const void *bytes, size_t size, tl_array *out);
TL_API tl_status tl_npy_write(const char *path, const tl_array *array); /* in the way of tl_file_write */

typedef struct tl_npz tl_npz;

/* What is no array (its name does not end in .npy) is left out. */
TL_API tl_status tl_npz_read(const char *path, tl_npz **out);
TL_API tl_status tl_npz_parse(const char *name, const void *bytes, size_t size, tl_npz **out);
TL_API void tl_npz_free(tl_npz *file); /* and all that was read from it; NULL is harmless */

/* All arrays, in the order of the directory, *n of them; or the one of that name, NULL if there is none. */
TL_API const tl_named_array *tl_npz_arrays(const tl_npz *file, int *n);
TL_API const tl_array *tl_npz_array(const tl_npz *file, const char *name);

/* In the way of tl_file_write. TL_E_NAME and TL_E_ARGUMENT as tl_safetensors_write, and for 4 GB or more. */
TL_API tl_status tl_npz_write(const char *path, const tl_named_array *arrays, int n, bool deflate);

#ifdef __cplusplus
}
#endif
#endif
