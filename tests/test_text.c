/* tests/test_text.c - words, the tokenizer and its file, padding, classes, windows, reviews.
 *
 * Expected values are worked out by hand, or are Keras' (tests/conformance_text.c has more of those). */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/internal.h"

#define COUNT(a) ((int64_t)(sizeof(a) / sizeof *(a)))
#define EQUAL(got, want)                                                                                               \
    do {                                                                                                               \
        const long long got_ = (got), want_ = (want);                                                                  \
        cr_assert(got_ == want_, "%s is %lld, not %lld (%s)", #got, got_, want_, tl_message());                        \
    } while (0)
#define TEXTS(...) ((const char *[]){ __VA_ARGS__ }), COUNT(((const char *[]){ __VA_ARGS__ }))

/* The message must contain the words. */
static void says(const char *words)
{
    cr_assert(strstr(tl_message(), words), "'%s' does not say '%s'", tl_message(), words);
}

static void no_leaks(void) { EQUAL(tl_live_bytes(), 0); }

/* The sequences as "1 2|3||4". */
static void ragged_is(const tl_ragged *r, const char *want)
{
    char text[1000] = "", *to = text;
    for (int64_t i = 0; i < r->n; i++)
        for (int64_t k = r->offset[i] - 1; k < r->offset[i + 1]; k++)
            if (k < r->offset[i]) to += sprintf(to, "%s", i ? "|" : "");
            else to += sprintf(to, "%s%d", k > r->offset[i] ? " " : "", r->ids[k]);
    cr_assert_str_eq(text, want);
}

static void texts_are(const tl_texts *t, const char *want)
{
    char text[2000] = "", *to = text;
    for (int64_t i = 0; i < t->n; i++) to += sprintf(to, "%s%s", i ? "|" : "", t->text[i]);
    cr_assert_str_eq(text, want);
}

/* The shape as "2 3", and all numbers. */
static void array_is(const tl_array *a, tl_dtype dtype, const char *shape, const char *want)
{
    char dims[100] = "", text[4000] = "", *to = dims;
    int64_t n = 1;
    EQUAL(a->dtype, dtype);
    for (int k = 0; k < a->rank; k++) {
        to += sprintf(to, "%s%lld", k ? " " : "", (long long)a->dim[k]);
        n *= a->dim[k];
    }
    to = text;
    for (int64_t i = 0; i < n; i++) to += sprintf(to, "%s%.6g", i ? " " : "", tl_array_at(a, i));
    cr_assert_str_eq(dims, shape);
    cr_assert_str_eq(text, want);
}

/* ---- words ------------------------------------------------------------------------------------------------------ */

#define WORDS_ARE(text, want, ...)                                                                                     \
    do {                                                                                                               \
        tl_texts words_;                                                                                               \
        EQUAL(tl_text_to_word_sequence((text), &words_, __VA_ARGS__), TL_OK);                                          \
        texts_are(&words_, (want));                                                                                    \
        tl_texts_free(&words_);                                                                                        \
    } while (0)

Test(words, stand_between_what_splits, .fini = no_leaks)
{
    tl_texts words;
    EQUAL(tl_text_to_word_sequence("It's a dog-eared\tbook, isn't it?\n", &words), TL_OK);
    texts_are(&words, "it's|a|dog|eared|book|isn't|it");
    tl_texts_free(&words);
    WORDS_ARE("", "", .split = " ");
    WORDS_ARE("It's A", "It's|A", .keep_case = true);
    WORDS_ARE("a b,c", "a b|c", .split = ",", .filters = "");
    WORDS_ARE("a--b-c---d", "a|b-c|-d", .split = "--", .filters = "");
    /* What stands for a filtered character may split together with what is beside it. */
    WORDS_ARE("a!b", "ab", .split = "aa", .filters = "!");
    WORDS_ARE("a\xE2\x80\x94"
              "b\xC2\xABz",
              "a|b|z", .filters = "\xE2\x80\x94\xC2\xAB");
    WORDS_ARE("\xC2\xA0"
              "a\xC2\xA0",
              "\xC2\xA0"
              "a\xC2\xA0",
              .split = " "); /* no space of this kind splits */
    WORDS_ARE("a B!", "a| |b|!", .char_level = true);
}

/* Unicode's SpecialCasing and Final_Sigma, as Python has them. */
Test(words, are_in_the_lower_case_of_all_scripts, .fini = no_leaks)
{
    static const char *const cases[][2] = {
        { "\xC3\x89T\xC3\x89", "\xC3\xA9t\xC3\xA9" },
        { "\xCE\x9F\xCE\x94\xCE\x9F\xCE\xA3", "\xCE\xBF\xCE\xB4\xCE\xBF\xCF\x82" }, /* a sigma at the end */
        { "\xCE\xA3", "\xCF\x83" },                                                 /* alone */
        { "\xCE\x91\xCE\xA3.\xCE\x92", "\xCE\xB1\xCF\x83.\xCE\xB2" },               /* a letter behind the stop */
        { "\xCE\x91\xCE\xA3. \xCE\x92", "\xCE\xB1\xCF\x82. \xCE\xB2" },             /* a space behind it */
        { "\xCE\x91'\xCC\x81\xCE\xA3", "\xCE\xB1'\xCC\x81\xCF\x82" },               /* marks before it */
        { "1\xCE\xA3", "1\xCF\x83" },
        { "\xCE\x91\xFF\xCE\xA3", "\xCE\xB1\xEF\xBF\xBD\xCF\x83" }, /* no letter next to it */
        { "\xCE\x91\xCE\xA3\xFF", "\xCE\xB1\xCF\x82\xEF\xBF\xBD" },
        { "\xE2\x93\x90\xCE\xA3", "\xE2\x93\x90\xCF\x82" }, /* a circled letter is one */
        { "\xC4\xB0", "i\xCC\x87" },
        { "\xC8\xBA", "\xE2\xB1\xA5" }, /* longer than it was */
        { "\xE2\x84\xAA", "k" },        /* kelvin */
        { "\xF0\x90\x90\x80", "\xF0\x90\x90\xA8" },
        { "\xE1\xBA\x9E\xC3\x9F", "\xC3\x9F\xC3\x9F" },
    };
    for (int i = 0; i < COUNT(cases); i++) WORDS_ARE(cases[i][0], cases[i][1], .split = "|", .filters = "");
    WORDS_ARE("\xE2\x84\xAA\xC4\xB0x", "\xCC\x87x", .filters = "ki"); /* filtered is what it is in lower case */
    WORDS_ARE("K\xE2\x84\xAA", "K\xE2\x84\xAA", .filters = "k", .keep_case = true);
}

Test(words, of_bytes_that_are_no_utf8_have_replacement_characters, .fini = no_leaks)
{
    WORDS_ARE("caf\xE9 \xC3", "caf\xEF\xBF\xBD|\xEF\xBF\xBD", .split = " ");
    WORDS_ARE("a\xED\xA0\x80z", "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz", .split = " "); /* half a surrogate pair */
    WORDS_ARE("\xFF\xFE", "\xEF\xBF\xBD|\xEF\xBF\xBD", .char_level = true);
    WORDS_ARE("a\xFFz", "a|z", .filters = "\xEF\xBF\xBD");
}

/* Three bytes for one, or as many as what splits has. */
Test(words, may_be_longer_than_they_were, .fini = no_leaks)
{
    enum { N = 100000 };
    char *text = malloc(N + 1);
    tl_texts words;
    text[N] = 0;
    memset(text, 0xFF, N);
    EQUAL(tl_text_to_word_sequence(text, &words), TL_OK);
    EQUAL(strlen(words.text[0]), 3 * N);
    tl_texts_free(&words);
    memset(text, '!', N - 1);
    EQUAL(tl_text_to_word_sequence(text, &words, .split = "here it splits"), TL_OK);
    EQUAL(words.n, 1);
    EQUAL((unsigned char)words.text[0][0], 0xEF);
    tl_texts_free(&words);
    free(text);
}

/* ---- tokenizer -------------------------------------------------------------------------------------------------- */

static const char *const questions[] = { "What is your name?", "How are you?", "What is your profession?",
                                         "Where do you live?", "What is your favorite color?" };

/* Notebook 3. */
Test(tokenizer, numbers_words_by_count_and_then_as_they_came, .fini = no_leaks)
{
    static const char *const order[] = { "what",       "is",    "your", "you",  "name",     "how",  "are",
                                         "profession", "where", "do",   "live", "favorite", "color" };
    tl_tokenizer *t;
    tl_ragged s;
    int64_t n;
    EQUAL(tl_tokenizer_new(&t), TL_OK);
    EQUAL(tl_tokenizer_fit(t, questions, COUNT(questions)), TL_OK);
    EQUAL(tl_tokenizer_size(t), COUNT(order));
    EQUAL(tl_tokenizer_texts(t), 5);
    for (int32_t i = 0; i < COUNT(order); i++) {
        EQUAL(tl_tokenizer_id(t, order[i]), i + 1);
        cr_assert_str_eq(tl_tokenizer_word(t, i + 1), order[i]);
    }
    const tl_word *w = tl_tokenizer_words(t, &n);
    EQUAL(n, 13);
    cr_assert_str_eq(w[3].text, "name");
    cr_assert_str_eq(w[6].text, "you");
    EQUAL(w[6].count, 2);
    EQUAL(w[6].texts, 2);
    EQUAL(w[6].id, 4);
    EQUAL(tl_tokenizer_id(t, "What"), 0);
    cr_assert_null(tl_tokenizer_word(t, 0));
    cr_assert_null(tl_tokenizer_word(t, 14));
    cr_assert_null(tl_tokenizer_word(t, -1));
    EQUAL(tl_texts_to_sequences(t, questions, COUNT(questions), &s), TL_OK);
    ragged_is(&s, "1 2 3 5|6 7 4|1 2 3 8|9 10 4 11|1 2 3 12 13");
    tl_ragged_free(&s);
    tl_tokenizer_free(t);
}

Test(tokenizer, counts_on_when_it_is_fitted_again, .fini = no_leaks)
{
    tl_tokenizer *t;
    int64_t n;
    EQUAL(tl_tokenizer_new(&t), TL_OK);
    EQUAL(tl_tokenizer_fit(t, TEXTS("a a b", "b")), TL_OK);
    EQUAL(tl_tokenizer_id(t, "a"), 1); /* as often as b, and earlier */
    EQUAL(tl_tokenizer_fit(t, TEXTS("c b", "", "c c")), TL_OK);
    EQUAL(tl_tokenizer_id(t, "b"), 1);
    EQUAL(tl_tokenizer_id(t, "c"), 2);
    EQUAL(tl_tokenizer_id(t, "a"), 3);
    EQUAL(tl_tokenizer_texts(t), 5);
    const tl_word *w = tl_tokenizer_words(t, &n);
    EQUAL(n, 3);
    EQUAL(w[0].texts, 1);
    EQUAL(w[1].texts, 3);
    EQUAL(w[2].count, 3);
    EQUAL(tl_tokenizer_fit(t, NULL, 0), TL_OK);
    EQUAL(tl_tokenizer_id(t, "c"), 2);
    tl_tokenizer_free(t);
}

static void goes(const tl_tokenizer_opts *o, const char *fit, const char *text, const char *ids, const char *back)
{
    tl_tokenizer *t;
    tl_ragged s;
    tl_texts words;
    EQUAL(tl_tokenizer_new_opt(&t, o), TL_OK);
    EQUAL(tl_tokenizer_fit(t, &fit, 1), TL_OK);
    EQUAL(tl_texts_to_sequences(t, &text, 1, &s), TL_OK);
    ragged_is(&s, ids);
    EQUAL(tl_sequences_to_texts(t, &s, &words), TL_OK);
    texts_are(&words, back);
    tl_texts_free(&words);
    tl_ragged_free(&s);
    tl_tokenizer_free(t);
}
#define GOES(fit, text, ids, back, ...) goes(&(tl_tokenizer_opts){ __VA_ARGS__ }, fit, text, ids, back)

Test(tokenizer, leaves_out_or_marks_what_is_not_among_its_words, .fini = no_leaks)
{
    GOES("a a a b b c", "a x c b", "1 3 2", "a c b", .size = 0);
    GOES("a a a b b c", "a x c b", "1 2", "a b", .num_words = 3); /* ids below 3 */
    GOES("a a a b b c", "a x c b", "2 1 4 3", "a ? c b", .oov_token = "?");
    GOES("a a a b b c", "a x c b", "2 1 1 1", "a ? ? ?", .oov_token = "?", .num_words = 3);
    GOES("abacAb", "aB d", "2 3 1 1", "a b ? ?", .oov_token = "?", .char_level = true);
    GOES("a b", "a b", "", "", .num_words = 1);
}

/* A dictionary of Python's, in which the last of two equal words counts. */
Test(tokenizer, gives_an_oov_token_that_is_met_the_id_of_that_word, .fini = no_leaks)
{
    tl_tokenizer *t;
    tl_texts words;
    tl_ragged s = { 0 };
    EQUAL(tl_tokenizer_new(&t, .oov_token = "b"), TL_OK);
    EQUAL(tl_tokenizer_id(t, "b"), 1);
    EQUAL(tl_tokenizer_size(t), 1);
    EQUAL(tl_tokenizer_fit(t, TEXTS("a a b")), TL_OK);
    EQUAL(tl_tokenizer_id(t, "a"), 2);
    EQUAL(tl_tokenizer_id(t, "b"), 3);
    EQUAL(tl_tokenizer_size(t), 2);
    cr_assert_null(tl_tokenizer_word(t, 1));
    EQUAL(tl_ragged_add(&s, (int32_t[]){ 1, 2, 3, 99, -1, 0 }, 6), TL_OK);
    EQUAL(tl_ragged_add(&s, NULL, 0), TL_OK);
    EQUAL(tl_sequences_to_texts(t, &s, &words), TL_OK);
    texts_are(&words, "b a b b b b|");
    tl_texts_free(&words);
    tl_ragged_free(&s);
    tl_tokenizer_free(t);
}

Test(tokenizer, refuses_options_and_texts_that_make_no_sense, .fini = no_leaks)
{
    tl_tokenizer *t;
    tl_ragged s;
    EQUAL(tl_tokenizer_new(&t, .num_words = -1), TL_E_ARGUMENT);
    EQUAL(tl_tokenizer_new(&t, .split = ""), TL_E_ARGUMENT);
    says(".split is empty");
    EQUAL(tl_tokenizer_new(&t, .filters = "\xFF"), TL_E_ARGUMENT);
    EQUAL(tl_tokenizer_new(&t, .oov_token = "\xC3"), TL_E_ARGUMENT);
    cr_assert_null(t);
    EQUAL(tl_tokenizer_new(&t), TL_OK);
    EQUAL(tl_tokenizer_fit(t, TEXTS("a", NULL)), TL_E_ARGUMENT);
    says("text 1 is NULL");
    EQUAL(tl_tokenizer_fit(t, NULL, 1), TL_E_ARGUMENT);
    EQUAL(tl_tokenizer_texts(t), 0);
    EQUAL(tl_texts_to_sequences(t, TEXTS("a", "b"), &s), TL_OK);
    ragged_is(&s, "|");
    tl_ragged_free(&s);
    tl_tokenizer_free(t);
    tl_tokenizer_free(NULL);
}

/* More words than the table begins with, of lengths beyond a block. */
Test(tokenizer, finds_every_word_of_many, .fini = no_leaks)
{
    enum { MANY = 20000, LONG = 100000 };
    tl_tokenizer *t;
    char *text = malloc(MANY * 8 + LONG + 8), *to = text, word[16];
    for (int i = 0; i < MANY; i++) to += sprintf(to, "w%d ", i);
    memset(to, 'x', LONG);
    to[LONG] = 0;
    EQUAL(tl_tokenizer_new(&t), TL_OK);
    EQUAL(tl_tokenizer_fit(t, TEXTS(text, text)), TL_OK);
    EQUAL(tl_tokenizer_size(t), MANY + 1);
    for (int i = 0; i < MANY; i++) {
        sprintf(word, "w%d", i);
        EQUAL(tl_tokenizer_id(t, word), i + 1);
    }
    EQUAL(tl_tokenizer_id(t, to), MANY + 1);
    tl_tokenizer_free(t);
    free(text);
}

/* The first 51 and the first 188 of these letters have the same hash: so is a word told from one that it begins. */
Test(tokenizer, tells_words_of_one_hash_apart, .fini = no_leaks)
{
    char word[2][189] = { { 0 } };
    uint32_t state = 15193;
    for (int i = 0; i < 188; i++) {
        state = state * 1664525u + 1013904223u;
        word[0][i] = word[1][i] = (char)('a' + (state >> 24) % 26);
    }
    word[0][51] = 0;
    for (int longer = 0; longer < 2; longer++) { /* comes first */
        tl_tokenizer *t;
        EQUAL(tl_tokenizer_new(&t), TL_OK);
        EQUAL(tl_tokenizer_fit(t, TEXTS(word[longer], word[!longer])), TL_OK);
        EQUAL(tl_tokenizer_size(t), 2);
        EQUAL(tl_tokenizer_id(t, word[longer]), 1);
        EQUAL(tl_tokenizer_id(t, word[!longer]), 2);
        tl_tokenizer_free(t);
    }
}

Test(matrix, says_which_words_a_text_has, .fini = no_leaks)
{
    /* a: 4 times in 2 texts, b: 2 in 2, c: 1 in 1; of 3 texts. */
    const char *const fit[] = { "a a a b", "b a c", "" };
    const double idf[] = { 0, log(1 + 3.0 / 3), log(1 + 3.0 / 3), log(1 + 3.0 / 2) };
    const double expected[4][4] = {
        { 0, 1, 0, 1 },
        { 0, 2, 0, 1 },
        { 0, 2.0 / 3, 0, 1.0 / 3 },
        { 0, (1 + log(2)) * idf[1], 0, idf[3] },
    };
    tl_tokenizer *t;
    tl_array x;
    EQUAL(tl_tokenizer_new(&t), TL_OK);
    EQUAL(tl_tokenizer_fit(t, fit, 3), TL_OK);
    for (int mode = TL_MATRIX_BINARY; mode <= TL_MATRIX_TFIDF; mode++)
        for (tl_dtype dtype = TL_F32; dtype <= TL_F64; dtype++) {
            EQUAL(tl_texts_to_matrix(t, TEXTS("", "A, a c z"), (tl_matrix_mode)mode, dtype, &x), TL_OK);
            EQUAL(x.dim[0] * 10 + x.dim[1], 24);
            for (int i = 0; i < 8; i++) {
                const double want = i < 4 ? 0 : expected[mode][i - 4];
                cr_assert_float_eq(tl_array_at(&x, i), dtype == TL_F32 ? (double)(float)want : want, 1e-15);
            }
            tl_array_free(&x);
        }
    tl_tokenizer_free(t);
}

Test(matrix, has_num_words_columns_and_counts_ids_beyond_in_the_length, .fini = no_leaks)
{
    tl_tokenizer *t;
    tl_array x;
    tl_ragged s = { 0 };
    EQUAL(tl_ragged_add(&s, (int32_t[]){ 1, 0, 3, 1 }, 4), TL_OK);
    EQUAL(tl_tokenizer_new(&t, .num_words = 3), TL_OK);
    EQUAL(tl_sequences_to_matrix(t, &s, TL_MATRIX_TFIDF, TL_F64, &x), TL_E_ARGUMENT);
    EQUAL(tl_sequences_to_matrix(t, &s, TL_MATRIX_FREQ, TL_F64, &x), TL_OK);
    array_is(&x, TL_F64, "1 3", "0.25 0.5 0");
    tl_array_free(&x);
    EQUAL(tl_sequences_to_matrix(t, &s, TL_MATRIX_FREQ, TL_I32, &x), TL_E_DTYPE);
    EQUAL(tl_sequences_to_matrix(t, &s, (tl_matrix_mode)4, TL_F64, &x), TL_E_ARGUMENT);
    s.ids[2] = -3;
    EQUAL(tl_sequences_to_matrix(t, &s, TL_MATRIX_COUNT, TL_F64, &x), TL_E_INDEX);
    says("sequence 0 has the id -3");
    tl_tokenizer_free(t);
    EQUAL(tl_tokenizer_new(&t), TL_OK);
    EQUAL(tl_sequences_to_matrix(t, &s, TL_MATRIX_COUNT, TL_F64, &x), TL_E_ARGUMENT);
    says("fit the tokenizer first");
    tl_tokenizer_free(t);
    EQUAL(tl_tokenizer_new(&t, .num_words = INT64_MAX / 2), TL_OK);
    EQUAL(tl_sequences_to_matrix(t, &s, TL_MATRIX_COUNT, TL_F64, &x), TL_E_SHAPE);
    tl_tokenizer_free(t);
    tl_ragged_free(&s);
}

/* ---- the tokenizer's file --------------------------------------------------------------------------------------- */

/* What Keras prints of Tokenizer(num_words=3, oov_token="?") after "B a", "b". */
#define DICTIONARIES(counts, docs, index)                                                                              \
    "\"word_counts\": \"" counts "\", \"word_docs\": \"" docs "\", \"index_docs\": \"{\\\"2\\\": 2, \\\"3\\\": 1}\", " \
    "\"index_word\": \"{\\\"1\\\": \\\"?\\\", \\\"2\\\": \\\"b\\\", \\\"3\\\": \\\"a\\\"}\", "                         \
    "\"word_index\": \"" index "\""
#define TOKENIZER(options, dictionaries) "{\"class_name\": \"Tokenizer\", \"config\": {" options ", " dictionaries "}}"
#define OPTIONS(texts)                                                                                                 \
    "\"num_words\": 3, \"filters\": \".\\u000a\", \"lower\": true, \"split\": \" \", \"char_level\": false, "          \
    "\"oov_token\": \"?\", \"document_count\": " texts
#define COUNTS "{\\\"b\\\": 2, \\\"a\\\": 1}"
#define INDEX "{\\\"?\\\": 1, \\\"b\\\": 2, \\\"a\\\": 3}"
static const char keras[] = TOKENIZER(OPTIONS("2"), DICTIONARIES(COUNTS, COUNTS, INDEX));

static tl_status parse(const char *json, tl_tokenizer **out)
{
    return tl_tokenizer_parse("t.json", json, strlen(json), out);
}

static void printed_is(const tl_tokenizer *t, const char *want)
{
    tl_bytes b;
    EQUAL(tl_tokenizer_print(t, &b), TL_OK);
    cr_assert_str_eq(b.data, want);
    tl_bytes_free(&b);
}

Test(tokenizer_file, is_the_one_of_keras, .fini = no_leaks)
{
    tl_tokenizer *t;
    EQUAL(tl_tokenizer_new(&t, .num_words = 3, .oov_token = "?", .filters = ".\n"), TL_OK);
    EQUAL(tl_tokenizer_fit(t, TEXTS("B a", "b.")), TL_OK);
    printed_is(t, keras);
    tl_tokenizer_free(t);
    EQUAL(parse(keras, &t), TL_OK);
    printed_is(t, keras);
    tl_tokenizer_free(t);
}

Test(tokenizer_file, keeps_all_words_and_can_be_counted_on, .fini = no_leaks)
{
    static const char path[] = "/tmp/test_text.json";
    static const char *const first[] = { "B a \"q\\\"", "b \xC3\xA9 \x01\x7F", "\xFF" }, *const then[] = { "a a new",
                                                                                                           "a" };
    static const tl_tokenizer_opts options[] = {
        { .oov_token = "?" },
        { .char_level = true, .keep_case = true },
        { .filters = "", .split = "\xC3\xA9\"", .num_words = 2 },
        { .oov_token = "a" },
    };
    for (int i = 0; i < COUNT(options); i++) {
        tl_tokenizer *t, *u;
        tl_bytes b;
        EQUAL(tl_tokenizer_new_opt(&t, &options[i]), TL_OK);
        for (int fitted = 0; fitted < 2; fitted++) {
            EQUAL(tl_tokenizer_save(t, path), TL_OK);
            EQUAL(tl_tokenizer_load(path, &u), TL_OK);
            EQUAL(tl_tokenizer_fit(t, first, COUNT(first)), TL_OK);
            EQUAL(tl_tokenizer_fit(u, first, COUNT(first)), TL_OK);
            EQUAL(tl_tokenizer_fit(t, then, COUNT(then)), TL_OK);
            EQUAL(tl_tokenizer_fit(u, then, COUNT(then)), TL_OK);
            EQUAL(tl_tokenizer_print(t, &b), TL_OK);
            printed_is(u, b.data);
            tl_bytes_free(&b);
            tl_tokenizer_free(u);
        }
        tl_tokenizer_free(t);
    }
    unlink(path);
}

static const struct {
    const char *json, *words;
} hostile[] = {
    { "", "'{' expected" },
    { "[]", "'{' expected" },
    { "{}", "a string expected" },
    { "{\"class_name\": \"Tokenizer\"}", "\"config\" is missing" },
    { "{\"class_name\": \"Vectorizer\"}", "not a Tokenizer" },
    { "{\"other\": 1}", "\"class_name\" or one \"config\" expected" },
    { TOKENIZER("\"num_words\": 3", "\"filters\": \"\""), "a member of config is missing" },
    { TOKENIZER("\"num_words\": 3", "\"num_words\": 3"), "a member that was there before" },
    { TOKENIZER("\"words\": 3", "\"a\": 1"), "a member that no tokenizer has" },
    { TOKENIZER("\"num_words\": -3", "\"a\": 1"), "a whole number" },
    { TOKENIZER("\"num_words\": true", "\"a\": 1"), "a whole number" },
    { TOKENIZER("\"lower\": null", "\"a\": 1"), "true or false expected" },
    { TOKENIZER("\"filters\": null", "\"a\": 1"), "a string expected" },
    { TOKENIZER(OPTIONS("2"), DICTIONARIES("", COUNTS, INDEX)), "at byte 0 of word_counts" },
    { TOKENIZER(OPTIONS("2"), DICTIONARIES("{\\\"b\\\": 2", COUNTS, INDEX)), "'}' or ',' expected" },
    { TOKENIZER(OPTIONS("2"), DICTIONARIES("{\\\"b\\\": 0}", COUNTS, INDEX)), "a count that cannot be" },
    { TOKENIZER(OPTIONS("2"), DICTIONARIES("{\\\"b\\\": 9007199254740993}", COUNTS, INDEX)), "a count that cannot" },
    { TOKENIZER(OPTIONS("2"), DICTIONARIES("{\\\"b\\\": 2, \\\"b\\\": 2}", COUNTS, INDEX)), "there before" },
    { TOKENIZER(OPTIONS("2"), DICTIONARIES(COUNTS, "{\\\"b\\\": 2}", INDEX)), "words are missing" },
    { TOKENIZER(OPTIONS("2"), DICTIONARIES(COUNTS, "{\\\"b\\\": 2, \\\"c\\\": 1}", INDEX)), "word_counts lacks" },
    { TOKENIZER(OPTIONS("2"), DICTIONARIES(COUNTS, "{\\\"b\\\": 1, \\\"b\\\": 1}", INDEX)), "there before" },
    { TOKENIZER(OPTIONS("2"), DICTIONARIES(COUNTS, "{\\\"b\\\": 3, \\\"a\\\": 1}", INDEX)), "a number of texts" },
    { TOKENIZER(OPTIONS("1"), DICTIONARIES(COUNTS, COUNTS, INDEX)), "a number of texts" },
    { TOKENIZER(OPTIONS("9007199254740993"), DICTIONARIES(COUNTS, COUNTS, INDEX)), "document_count is too large" },
    { TOKENIZER(OPTIONS("2"), DICTIONARIES(COUNTS, COUNTS, "{\\\"?\\\": 1}")), "words are missing" },
    { TOKENIZER(OPTIONS("2"), DICTIONARIES(COUNTS, COUNTS, "{\\\"b\\\": 3, \\\"a\\\": 2}")), "an id that is not" },
    { TOKENIZER(OPTIONS("2"), DICTIONARIES(COUNTS, COUNTS, "{\\\"<PAD>\\\": 0}")), "an id that is not" },
    { TOKENIZER(OPTIONS("2"), DICTIONARIES(COUNTS, COUNTS, INDEX " x")), "nothing expected after the end" },
    { "{\"class_name\": \"Tokenizer\", \"config\": {\"split\": \"\", \"num_words\": null, \"filters\": \"\", \"lower\": "
      "true, \"char_level\": false, \"oov_token\": null, \"document_count\": 0, " DICTIONARIES("{}", "{}", "{}") "}}",
      ".split is empty" },
};

Test(tokenizer_file, that_is_hostile_is_refused_with_a_reason, .fini = no_leaks)
{
    tl_tokenizer *t;
    for (int i = 0; i < COUNT(hostile); i++) {
        const tl_status status = parse(hostile[i].json, &t);
        cr_assert(status == TL_E_FORMAT && !t, "%s", hostile[i].json);
        cr_assert(strstr(tl_message(), "t.json: "), "%s", tl_message());
        cr_assert(strstr(tl_message(), hostile[i].words), "'%s' does not say '%s'", tl_message(), hostile[i].words);
    }
    for (size_t n = 0; n < sizeof keras - 1; n++) {
        char *cut = malloc(n + 1); /* of just that size, for sanitizers */
        memcpy(cut, keras, n);
        EQUAL(tl_tokenizer_parse("cut", cut, n, &t), TL_E_FORMAT);
        free(cut);
    }
    EQUAL(tl_tokenizer_load("/no/such", &t), TL_E_FILE);
}

/* ---- sequences -------------------------------------------------------------------------------------------------- */

static tl_ragged some_sequences(void)
{
    static const int32_t ids[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
    tl_ragged r = { 0 };
    EQUAL(tl_ragged_add(&r, ids, 1), TL_OK);
    EQUAL(tl_ragged_add(&r, ids + 1, 0), TL_OK);
    EQUAL(tl_ragged_add(&r, ids + 1, 4), TL_OK);
    EQUAL(tl_ragged_add(&r, ids + 5, 2), TL_OK);
    return r;
}

Test(ragged, sequences_lie_one_after_the_other, .fini = no_leaks)
{
    tl_ragged r = some_sequences();
    ragged_is(&r, "1||2 3 4 5|6 7");
    EQUAL(tl_ragged_add(&r, NULL, 1), TL_E_ARGUMENT);
    EQUAL(tl_ragged_add(&r, r.ids, -1), TL_E_ARGUMENT);
    for (int i = 0; i < 1000; i++) EQUAL(tl_ragged_add(&r, (int32_t[]){ i, i }, 2), TL_OK);
    EQUAL(r.n, 1004);
    EQUAL(r.offset[1004], 2007);
    EQUAL(r.ids[2006], 999);
    tl_ragged_free(&r);
    EQUAL(r.n, 0);
    tl_ragged_free(&r);
    tl_ragged_free(NULL);
}

#define PADS(dtype, shape, want, ...)                                                                                  \
    do {                                                                                                               \
        tl_array x_;                                                                                                   \
        EQUAL(tl_pad_sequences(&r, &x_, __VA_ARGS__), TL_OK);                                                          \
        array_is(&x_, dtype, shape, want);                                                                             \
        tl_array_free(&x_);                                                                                            \
    } while (0)

Test(padding, adds_and_drops_at_either_end, .fini = no_leaks)
{
    tl_ragged r = some_sequences(), none = { 0 };
    tl_array x;
    EQUAL(tl_pad_sequences(&r, &x), TL_OK);
    array_is(&x, TL_I32, "4 4", "0 0 0 1 0 0 0 0 2 3 4 5 0 0 6 7");
    tl_array_free(&x);
    PADS(TL_I32, "4 3", "0 0 1 0 0 0 3 4 5 0 6 7", .maxlen = 3);
    PADS(TL_I32, "4 3", "0 0 1 0 0 0 2 3 4 0 6 7", .maxlen = 3, .truncating = TL_POST);
    PADS(TL_I32, "4 3", "1 0 0 0 0 0 3 4 5 6 7 0", .maxlen = 3, .padding = TL_POST);
    PADS(TL_I32, "4 5", "1 -2 -2 -2 -2 -2 -2 -2 -2 -2 2 3 4 5 -2 6 7 -2 -2 -2", .maxlen = 5, .padding = TL_POST,
         .value = -2.75);
    PADS(TL_F32, "4 2", "0.5 1 0.5 0.5 4 5 6 7", .maxlen = 2, .value = 0.5, .dtype = TL_F32);
    PADS(TL_F64, "4 1", "1 0.1 5 7", .maxlen = 1, .value = 0.1, .dtype = TL_F64);
    EQUAL(tl_pad_sequences(&none, &x, .maxlen = 3), TL_OK);
    array_is(&x, TL_I32, "0 3", "");
    tl_array_free(&x);
    EQUAL(tl_pad_sequences(&r, &x, .maxlen = -1), TL_E_ARGUMENT);
    EQUAL(tl_pad_sequences(&r, &x, .padding = (tl_side)2), TL_E_ARGUMENT);
    EQUAL(tl_pad_sequences(&r, &x, .maxlen = INT64_MAX / 2), TL_E_SHAPE);
    EQUAL(tl_pad_sequences(&r, &x, .dtype = (tl_dtype)9), TL_E_DTYPE);
    EQUAL(tl_pad_sequences(&r, &x, .value = 2147483648.0), TL_E_ARGUMENT);
    EQUAL(tl_pad_sequences(&r, &x, .value = NAN), TL_E_ARGUMENT);
    EQUAL(tl_pad_sequences(&r, &x, .value = NAN, .dtype = TL_F32), TL_OK);
    tl_array_free(&x);
    tl_ragged_free(&r);
}

Test(padding, of_vectors_adds_whole_steps, .fini = no_leaks)
{
    float a[] = { 1, 2 }, b[] = { 3, 4, 5, 6, 7.5f, 8 };
    const tl_array each[] = { tl_array_of(TL_F32, TL_DIMS(0), NULL), tl_array_of(TL_F32, TL_DIMS(1, 2), a),
                              tl_array_of(TL_F32, TL_DIMS(3, 2), b), tl_array_of(TL_F32, TL_DIMS(2, 3), b) };
    tl_array x;
    EQUAL(tl_pad_arrays(each, 3, &x, .maxlen = 2, .value = 9), TL_OK);
    array_is(&x, TL_F32, "3 2 2", "9 9 9 9 9 9 1 2 5 6 7.5 8");
    tl_array_free(&x);
    EQUAL(tl_pad_arrays(each + 1, 2, &x, .padding = TL_POST, .dtype = TL_I32), TL_OK);
    array_is(&x, TL_I32, "2 3 2", "1 2 0 0 0 0 3 4 5 6 7 8");
    tl_array_free(&x);
    EQUAL(tl_pad_arrays(each, 4, &x), TL_E_SHAPE);
    says("sequence 3");
    b[2] = 3e9f;
    EQUAL(tl_pad_arrays(each + 2, 1, &x, .dtype = TL_I32), TL_E_ARGUMENT);
    const tl_array scalar = tl_array_of(TL_F32, TL_SCALAR, a),
                   large = tl_array_of(TL_F32, TL_DIMS(1, 1, 1, 1, 1, 1), a);
    EQUAL(tl_pad_arrays(&scalar, 1, &x), TL_E_SHAPE);
    EQUAL(tl_pad_arrays(&large, 1, &x), TL_E_SHAPE);
    EQUAL(tl_pad_arrays(NULL, 1, &x), TL_E_ARGUMENT);
}

Test(classes, become_vectors, .fini = no_leaks)
{
    int32_t id[] = { 0, 2, 1, 0 };
    double real[] = { 1, 0.5 };
    tl_array x, y = tl_array_of(TL_I32, TL_DIMS(4), id);
    EQUAL(tl_to_categorical(&y, &x), TL_OK);
    array_is(&x, TL_F32, "4 3", "1 0 0 0 0 1 0 1 0 1 0 0");
    tl_array_free(&x);
    y = tl_array_of(TL_I32, TL_DIMS(2, 2), id);
    EQUAL(tl_to_categorical(&y, &x, .num_classes = 4, .dtype = TL_F64), TL_OK);
    array_is(&x, TL_F64, "2 2 4", "1 0 0 0 0 0 1 0 0 1 0 0 1 0 0 0");
    tl_array_free(&x);
    y = tl_array_of(TL_I32, TL_DIMS(2, 1), id);
    EQUAL(tl_to_categorical(&y, &x), TL_OK);
    array_is(&x, TL_F32, "2 3", "1 0 0 0 0 1");
    tl_array_free(&x);
    y = tl_array_of(TL_I32, TL_DIMS(1), id + 1);
    EQUAL(tl_to_categorical(&y, &x, .dtype = TL_I32), TL_OK);
    array_is(&x, TL_I32, "1 3", "0 0 1");
    tl_array_free(&x);
    y = tl_array_of(TL_I32, TL_SCALAR, id + 2);
    EQUAL(tl_to_categorical(&y, &x), TL_OK);
    array_is(&x, TL_F32, "2", "0 1");
    tl_array_free(&x);
    y = tl_array_of(TL_F64, TL_DIMS(1), real);
    EQUAL(tl_to_categorical(&y, &x), TL_OK);
    array_is(&x, TL_F32, "1 2", "0 1");
    tl_array_free(&x);
    y = tl_array_of(TL_F64, TL_DIMS(2), real);
    EQUAL(tl_to_categorical(&y, &x), TL_E_INDEX);
    says("element 1 is 0.5");
    y = tl_array_of(TL_I32, TL_DIMS(4), id);
    EQUAL(tl_to_categorical(&y, &x, .num_classes = 2), TL_E_INDEX);
    EQUAL(tl_to_categorical(&y, &x, .num_classes = -1), TL_E_ARGUMENT);
    id[3] = -1;
    EQUAL(tl_to_categorical(&y, &x), TL_E_INDEX);
    id[3] = 0;
    y = tl_array_of(TL_I32, TL_DIMS(1, 1, 1, 2, 1, 2), id);
    EQUAL(tl_to_categorical(&y, &x), TL_E_SHAPE);
}

/* Notebook 5's "The sky was falling", as far as it is printed there. */
Test(windows, slide_over_a_text, .fini = no_leaks)
{
    const char *text = "The sky was falling";
    int32_t id[19];
    tl_array out[2], series = tl_array_of(TL_I32, TL_DIMS(19), id);
    for (int i = 0; i < 19; i++) id[i] = text[i];
    EQUAL(tl_sliding_windows(&series, 10, out), TL_OK);
    EQUAL(out[0].dim[0], 9);
    EQUAL(out[0].dim[1], 10);
    EQUAL(out[1].rank, 1);
    for (int i = 0; i < 9; i++) {
        for (int k = 0; k < 10; k++) EQUAL(tl_array_at(&out[0], 10 * i + k), text[i + k]);
        EQUAL(tl_array_at(&out[1], i), text[i + 10]);
    }
    tl_array_free(&out[0]);
    tl_array_free(&out[1]);
}

Test(windows, have_a_stride_a_rate_and_targets_of_their_own, .fini = no_leaks)
{
    double x[] = { 0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5 };
    int32_t y[] = { 10, 11, 12, 13, 14, 15 };
    const tl_array series = tl_array_of(TL_F64, TL_DIMS(6, 2), x), targets = tl_array_of(TL_I32, TL_DIMS(6), y);
    tl_array out[2];
    EQUAL(tl_sliding_windows(&series, 3, out, .stride = 2), TL_OK);
    array_is(&out[0], TL_F64, "2 3 2", "0 0.5 1 1.5 2 2.5 2 2.5 3 3.5 4 4.5");
    array_is(&out[1], TL_F64, "2 2", "3 3.5 5 5.5");
    tl_array_free(&out[0]);
    tl_array_free(&out[1]);
    EQUAL(tl_sliding_windows(&series, 4, out, .sampling_rate = 2, .targets = &targets), TL_OK);
    array_is(&out[0], TL_F64, "2 2 2", "0 0.5 2 2.5 1 1.5 3 3.5");
    array_is(&out[1], TL_I32, "2", "14 15");
    tl_array_free(&out[0]);
    tl_array_free(&out[1]);
    EQUAL(tl_sliding_windows(&series, 6, out), TL_E_SHAPE);
    says("6 steps are too few");
    EQUAL(tl_sliding_windows(&series, INT64_MAX, out), TL_E_SHAPE);
    EQUAL(tl_sliding_windows(&series, 0, out), TL_E_ARGUMENT);
    EQUAL(tl_sliding_windows(&series, 2, out, .stride = -1), TL_E_ARGUMENT);
    EQUAL(tl_sliding_windows(&series, 2, out, .stride = INT64_MAX), TL_OK);
    EQUAL(out[0].dim[0], 1);
    tl_array_free(&out[0]);
    tl_array_free(&out[1]);
    const tl_array few = tl_array_of(TL_I32, TL_DIMS(5), y);
    EQUAL(tl_sliding_windows(&series, 2, out, .targets = &few), TL_E_SHAPE);
}

/* ---- texts of files --------------------------------------------------------------------------------------------- */

static tl_bytes bytes_of(const char *s, size_t n)
{
    tl_bytes b = { 0 };
    cr_assert(tl_bytes_add(&b, s, n));
    return b;
}
#define BYTES(s) bytes_of(s, sizeof(s) - 1)

Test(lines, are_what_stands_between_line_ends, .fini = no_leaks)
{
    tl_texts t;
    tl_bytes b = BYTES("one\n\n two \nthree");
    EQUAL(tl_text_lines("f", &b, &t), TL_OK);
    cr_assert(!b.data && !b.size);
    texts_are(&t, "one|| two |three");
    tl_texts_free(&t);
    b = BYTES("one\n");
    EQUAL(tl_text_lines("f", &b, &t), TL_OK);
    texts_are(&t, "one");
    tl_texts_free(&t);
    EQUAL(tl_text_lines("f", &b, &t), TL_OK); /* no bytes, no lines */
    EQUAL(t.n, 0);
    b = BYTES("one\nt\0wo\n");
    EQUAL(tl_text_lines("f", &b, &t), TL_E_FORMAT);
    says("f:2: a zero byte");
}

Test(lines, with_labels_have_them_as_numbers, .fini = no_leaks)
{
    static const char *const bad[] = { "x\ttext", "\ttext", "1 text", "1", "-\ttext", "99999999999\ttext", "0\ta\n\n" };
    tl_labelled l;
    tl_bytes b = BYTES("1\tone\ttwo\n-20\t\n0\tzero");
    EQUAL(tl_labelled_parse("f", &b, &l), TL_OK);
    texts_are(&l.texts, "one\ttwo||zero");
    EQUAL(l.label[0], 1);
    EQUAL(l.label[1], -20);
    EQUAL(l.label[2], 0);
    tl_labelled_free(&l);
    for (int i = 0; i < COUNT(bad); i++) {
        b = bytes_of(bad[i], strlen(bad[i]));
        EQUAL(tl_labelled_parse("f", &b, &l), TL_E_FORMAT);
        says(i == COUNT(bad) - 1 ? "f:2: a whole number and a tab" : "f:1: a whole number and a tab");
    }
    EQUAL(tl_labelled_parse("f", &b, &l), TL_OK);
    EQUAL(l.texts.n, 0);
    tl_labelled_free(&l);
}

static void cleans(const char *text, const char *want)
{
    tl_bytes b;
    EQUAL(tl_text_clean(text, strlen(text), &b), TL_OK);
    EQUAL(b.size, strlen(want));
    cr_assert_str_eq(b.data, want);
    tl_bytes_free(&b);
}

/* Stripped first: a space beside what is dropped stays. */
Test(cleaning, makes_one_row_of_plain_characters, .fini = no_leaks)
{
    cleans("", "");
    cleans("\n \t\r\n", "");
    cleans("  The CAT \r\n\n\v sat\n", "the cat sat");
    cleans("\xC3\x89t\xC3\xA9\nZ[@", "t z[@");
    cleans("a\n\xC3\xA9\nb", "a b");
    cleans("a\n \xC3\xA9 c\nb", "a  c b");
    cleans("a\n  x  y", "a x  y");
}

/* Words by frequency: a 3, b 2, c 1. */
Test(reviews, are_numbered_as_keras_does_it, .fini = no_leaks)
{
    tl_tokenizer *t;
    tl_ragged s;
    const char *const texts[] = { "a b c z", "", "A!" };
    for (int oov = 0; oov < 2; oov++) {
        EQUAL(tl_tokenizer_new(&t, .oov_token = oov ? "?" : NULL, .num_words = oov ? 2 : 0), TL_OK);
        EQUAL(tl_tokenizer_fit(t, TEXTS("a a b", "a b c")), TL_OK);
        EQUAL(tl_imdb_sequences(t, texts, 3, NULL, &s), TL_OK);
        ragged_is(&s, "1 4 5 6 2|1|1 4");
        tl_ragged_free(&s);
        EQUAL(tl_imdb_sequences(t, texts, 3, NULL, &s, .num_words = 6, .skip_top = 5), TL_OK);
        ragged_is(&s, "2 2 5 2 2|2|2 2"); /* the start is skipped as well */
        tl_ragged_free(&s);
        EQUAL(tl_imdb_sequences(t, texts, 3, NULL, &s, .start_char = -1, .oov_char = -1, .index_from = TL_ZERO), TL_OK);
        ragged_is(&s, "1 2 3||1");
        tl_ragged_free(&s);
        EQUAL(tl_imdb_sequences(t, texts, 3, NULL, &s, .start_char = 7, .oov_char = TL_ZERO, .index_from = 10), TL_OK);
        ragged_is(&s, "7 11 12 13 0|7|7 11");
        tl_ragged_free(&s);
        tl_tokenizer_free(t);
    }
}

Test(reviews, that_are_too_long_go_with_their_labels, .fini = no_leaks)
{
    tl_tokenizer *t;
    tl_ragged s;
    int32_t label[] = { 10, 20, 30, 40 };
    EQUAL(tl_tokenizer_new(&t), TL_OK);
    EQUAL(tl_tokenizer_fit(t, TEXTS("a b")), TL_OK);
    /* Three words and the start are 4; it is not shorter where words are left out after that. */
    EQUAL(tl_imdb_sequences(t, TEXTS("a b z", "a", "z z z z", "b b"), label, &s, .maxlen = 4, .oov_char = -1), TL_OK);
    ragged_is(&s, "1 4|1 5 5");
    EQUAL(label[0], 20);
    EQUAL(label[1], 40);
    tl_ragged_free(&s);
    EQUAL(tl_imdb_sequences(t, TEXTS("a"), NULL, &s, .num_words = -1), TL_E_ARGUMENT);
    EQUAL(tl_imdb_sequences(t, TEXTS("a"), NULL, &s, .index_from = INT64_MAX), TL_E_ARGUMENT);
    EQUAL(tl_imdb_sequences(t, TEXTS(NULL), NULL, &s), TL_E_ARGUMENT);
    tl_tokenizer_free(t);
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

/* Everything of this room that allocates, in one row; what was made is freed. */
static tl_status all(void)
{
    tl_tokenizer *t = NULL, *u = NULL;
    tl_ragged s = { 0 }, r = { 0 };
    tl_texts back = { 0 }, words = { 0 };
    tl_array a[6] = { 0 };
    tl_bytes printed = { 0 }, clean = { 0 }, lines = { 0 };
    tl_labelled l = { 0 };
    tl_status status = tl_bytes_add(&lines, "1\ta b\n0\tc", 9) ? TL_OK : TL_E_MEMORY;
    if (!status) status = tl_labelled_parse("f", &lines, &l);
    if (!status) status = tl_tokenizer_new(&t, .oov_token = "?");
    if (!status) status = tl_tokenizer_fit(t, l.texts.text, l.texts.n);
    if (!status) status = tl_tokenizer_fit(t, questions, COUNT(questions));
    if (!status) status = tl_texts_to_sequences(t, questions, COUNT(questions), &s);
    if (!status) status = tl_sequences_to_texts(t, &s, &back);
    if (!status) status = tl_texts_to_matrix(t, questions, 2, TL_MATRIX_TFIDF, TL_F32, &a[0]);
    if (!status) status = tl_tokenizer_print(t, &printed);
    if (!status) status = tl_tokenizer_parse("t", printed.data, printed.size, &u);
    if (!status) status = tl_pad_sequences(&s, &a[1]);
    if (!status) status = tl_pad_arrays(&a[1], 1, &a[2]);
    if (!status) status = tl_to_categorical(&a[1], &a[3]);
    if (!status) status = tl_sliding_windows(&a[1], 2, a + 4);
    if (!status) status = tl_imdb_sequences(t, questions, COUNT(questions), NULL, &r);
    if (!status) status = tl_text_to_word_sequence("a b", &words);
    if (!status) status = tl_text_clean("A\nb", 3, &clean);
    for (int i = 0; i < COUNT(a); i++) tl_array_free(&a[i]);
    tl_tokenizer_free(t);
    tl_tokenizer_free(u);
    tl_ragged_free(&s);
    tl_ragged_free(&r);
    tl_texts_free(&back);
    tl_texts_free(&words);
    tl_bytes_free(&printed);
    tl_bytes_free(&clean);
    tl_bytes_free(&lines);
    tl_labelled_free(&l);
    return status;
}

Test(text, survives_any_allocation_that_fails)
{
    uint64_t n = 0;
    tl_status status;
    do {
        tl_fail_allocation(++n);
        status = all();
        tl_fail_allocation(0);
        cr_assert(!status || status == TL_E_MEMORY, "allocation %llu: %s", (unsigned long long)n, tl_message());
        EQUAL(tl_live_bytes(), 0);
    } while (status);
    cr_assert_gt(n, 60);
}
