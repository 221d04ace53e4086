/* tests/test_data.c - text, vocabularies, contiguous batches, safetensors. */
#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "data_support.h"

/* ---- text --------------------------------------------------------------------------------------------------- */

static void text_is(const char *contents, size_t size, const char *want, size_t want_size)
{
    tl_bytes b;
    put("text", contents, size);
    EQUAL(tl_text_read("text", &b), TL_OK);
    EQUAL(b.size, want_size);
    cr_assert(!memcmp(b.data, want, want_size + 1), "ended by 0 as well");
    tl_bytes_free(&b);
}
#define TEXT_IS(contents, want) text_is(contents, sizeof(contents) - 1, want, sizeof(want) - 1)

Test(text, loses_byte_order_mark_and_carriage_returns)
{
    enter();
    TEXT_IS("\xEF\xBB\xBF"
            "one\r\ntwo\r\n",
            "one\ntwo\n");
    TEXT_IS("a\rb\r", "a\rb\r");
    TEXT_IS("a\r\r\nb", "a\r\nb");
    TEXT_IS("\xEF\xBB", "\xEF\xBB");
    TEXT_IS("nul\0here\xFF\r\n", "nul\0here\xFF\n");
    leave();
}

Test(text, of_any_length_comes_whole)
{
    enter();
    for (size_t n = 1; n < 300000; n = 3 * n + 1) {
        char *big = malloc(n);
        for (size_t i = 0; i < n; i++) big[i] = (char)('a' + i % 26);
        put("big", big, n);
        tl_bytes b;
        EQUAL(tl_text_read("big", &b), TL_OK);
        cr_assert(b.size == n && !memcmp(b.data, big, n));
        tl_bytes_free(&b);
        free(big);
    }
    leave();
}

Test(text, that_is_not_there_says_so)
{
    tl_bytes b;
    enter();
    EQUAL(tl_text_read("no/such", &b), TL_E_FILE);
    says("no/such: No such file or directory");
    EQUAL(tl_text_read(".", &b), TL_E_FILE);
    says("Is a directory");
    put("empty", "", 0);
    EQUAL(tl_text_read("empty", &b), TL_E_FORMAT);
    says("empty: there is no text in it");
    put("mark", "\xEF\xBB\xBF", 3);
    EQUAL(tl_text_read("mark", &b), TL_E_FORMAT);
    EQUAL(tl_text_read(NULL, &b), TL_E_ARGUMENT);
    leave();
}

/* ---- vocabulary --------------------------------------------------------------------------------------------- */

Test(vocabulary, numbers_code_points_in_ascending_order)
{
    const char *text = "ba\xC3\xA9"
                       "a\xE2\x82\xAC\xF0\x9F\x98\x80\n";
    tl_vocab *v;
    int32_t ids[32];
    int64_t n;
    EQUAL(tl_vocab_new(text, strlen(text), &v), TL_OK);
    EQUAL(tl_vocab_size(v), 6);
    cr_assert(!tl_vocab_is_bytes(v));
    EQUAL(tl_vocab_encode(v, text, strlen(text), -1, ids, &n), TL_OK);
    EQUAL(n, 7);
    const int32_t want[] = { 2, 1, 3, 1, 4, 5, 0 };
    char back[64] = "", symbol[5];
    for (int i = 0; i < n; i++) {
        EQUAL(ids[i], want[i]);
        EQUAL(tl_vocab_symbol(v, ids[i], symbol), strlen(symbol));
        strcat(back, symbol);
    }
    cr_assert_str_eq(back, text);
    EQUAL(tl_vocab_symbol(v, 6, symbol), 0);
    EQUAL(tl_vocab_symbol(v, -1, symbol), 0);
    tl_vocab_free(v);
    EQUAL(tl_live_bytes(), 0);
}

Test(vocabulary, of_text_that_is_not_utf8_has_bytes)
{
    const char text[] = "a\xFF\0z\xC3";
    tl_vocab *v;
    int32_t ids[8];
    int64_t n;
    EQUAL(tl_vocab_new(text, sizeof text - 1, &v), TL_OK);
    cr_assert(tl_vocab_is_bytes(v));
    EQUAL(tl_vocab_size(v), 5);
    EQUAL(tl_vocab_encode(v, text, sizeof text - 1, -1, ids, &n), TL_OK);
    EQUAL(n, 5);
    EQUAL(ids[1], 4);
    char symbol[5];
    EQUAL(tl_vocab_symbol(v, 4, symbol), 1);
    EQUAL((unsigned char)symbol[0], 0xFF);
    tl_vocab_free(v);
}

Test(vocabulary, tells_of_symbols_that_it_lacks)
{
    tl_vocab *v;
    int32_t ids[8];
    int64_t n;
    EQUAL(tl_vocab_new("abc", 3, &v), TL_OK);
    EQUAL(tl_vocab_encode(v, "abxc", 4, -1, ids, &n), TL_E_INDEX);
    says("'x' (U+78), met at byte 2");
    EQUAL(tl_vocab_encode(v, "ab\xC3\xA9", 4, -1, ids, &n), TL_E_INDEX);
    says("U+E9");
    EQUAL(tl_vocab_encode(v, "ab\xFF", 3, -1, ids, &n), TL_E_INDEX);
    says("0xff at 2 is not UTF-8");
    EQUAL(tl_vocab_encode(v, "a\xFFxc", 4, 1, ids, &n), TL_OK);
    EQUAL(n, 4);
    EQUAL(ids[1], 1);
    EQUAL(ids[2], 1);
    tl_vocab_free(v);
    EQUAL(tl_vocab_new("", 0, &v), TL_E_ARGUMENT);
}

Test(vocabulary, comes_back_from_its_line)
{
    static const char *const texts[] = { "hello, world\n", "\xC3\xA9t\xC3\xA9", "\xFE\xFF" };
    for (int i = 0; i < 3; i++) {
        tl_vocab *v, *w;
        tl_bytes line;
        EQUAL(tl_vocab_new(texts[i], strlen(texts[i]), &v), TL_OK);
        EQUAL(tl_vocab_print(v, &line), TL_OK);
        EQUAL(tl_vocab_parse(line.data, &w), TL_OK);
        EQUAL(tl_vocab_size(w), tl_vocab_size(v));
        EQUAL(tl_vocab_is_bytes(w), tl_vocab_is_bytes(v));
        for (int k = 0; k < tl_vocab_size(v); k++) {
            char a[5], b[5];
            tl_vocab_symbol(v, k, a);
            tl_vocab_symbol(w, k, b);
            cr_assert_str_eq(a, b);
        }
        tl_vocab_free(v);
        tl_vocab_free(w);
        tl_bytes_free(&line);
    }
    EQUAL(tl_live_bytes(), 0);
}

Test(vocabulary, refuses_lines_that_are_none)
{
    static const char *const lines[] = {
        "",           "utf-8",      "utf8 1 2",      "utf-8 1 1", "utf-8 2 1",
        "utf-8 1  2", "utf-8 1 2 ", "utf-8 1114112", "bytes 256", "utf-8 99999999999999999999",
        "bytes -1",   "bytes 1x"
    };
    tl_vocab *v;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        cr_assert(tl_vocab_parse(lines[i], &v) == TL_E_FORMAT && !v, "'%s'", lines[i]);
    }
    EQUAL(tl_vocab_parse(NULL, &v), TL_E_FORMAT);
    EQUAL(tl_live_bytes(), 0);
}

Test(utf8, is_strict)
{
    static const char *const good[] = { "a",
                                        "\x7F",
                                        "\xC2\x80",
                                        "\xDF\xBF",
                                        "\xE0\xA0\x80",
                                        "\xED\x9F\xBF",
                                        "\xEE\x80\x80",
                                        "\xF0\x90\x80\x80",
                                        "\xF4\x8F\xBF\xBF" };
    static const char *const bad[] = { "\x80",
                                       "\xC0\x80",
                                       "\xC1\xBF",
                                       "\xC3",
                                       "\xC3\x28",
                                       "\xE0\x9F\xBF",
                                       "\xED\xA0\x80",
                                       "\xF0\x8F\xBF\xBF",
                                       "\xF4\x90\x80\x80",
                                       "\xF5\x80\x80\x80",
                                       "\xE2\x82",
                                       "\xFF" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint32_t code;
        char back[5];
        EQUAL(tl_utf8_decode(good[i], strlen(good[i]), &code), strlen(good[i]));
        EQUAL(tl_utf8_encode(code, back), strlen(good[i]));
        cr_assert_str_eq(back, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) cr_assert(!tl_utf8_valid(bad[i], strlen(bad[i])), "%zu", i);
}

/* ---- contiguous batches ------------------------------------------------------------------------------------- */

Test(stream, rows_go_on_where_they_ended_and_targets_follow)
{
    int32_t ids[24];
    for (int i = 0; i < 24; i++) ids[i] = i;
    tl_stream *s;
    tl_array a[2];
    EQUAL(tl_stream_new(ids, 24, 3, 3, &s), TL_OK); /* 23 steps: 3 rows of 7, windows of 3, 3, 1 */
    EQUAL(tl_stream_steps(s), 7);
    EQUAL(tl_stream_windows(s), 3);
    for (int epoch = 0; epoch < 2; epoch++) {
        int64_t at = 0;
        for (int w = 0; w < 3; w++) {
            cr_assert(tl_stream_next(s, a));
            EQUAL(a[0].rank, 2);
            EQUAL(a[0].dtype, TL_I32);
            EQUAL(a[0].dim[0], w < 2 ? 3 : 1);
            EQUAL(a[1].dim[0], a[0].dim[0]);
            EQUAL(a[0].dim[1], 3);
            for (int64_t t = 0; t < a[0].dim[0]; t++)
                for (int b = 0; b < 3; b++) {
                    EQUAL(((int32_t *)a[0].data)[t * 3 + b], 7 * b + at + t);
                    EQUAL(((int32_t *)a[1].data)[t * 3 + b], 7 * b + at + t + 1);
                }
            at += a[0].dim[0];
        }
        cr_assert(!tl_stream_next(s, a));
    }
    cr_assert(tl_stream_next(s, a));
    tl_stream_rewind(s);
    cr_assert(tl_stream_next(s, a));
    EQUAL(*(int32_t *)a[0].data, 0);
    tl_stream_free(s);
    EQUAL(tl_live_bytes(), 0);
}

Test(stream, of_one_row_covers_every_step)
{
    const int32_t ids[] = { 5, 6, 7 };
    tl_stream *s;
    tl_array a[2];
    EQUAL(tl_stream_new(ids, 3, 1, 100, &s), TL_OK); /* a text shorter than a window gives a smaller one */
    EQUAL(tl_stream_windows(s), 1);
    cr_assert(tl_stream_next(s, a));
    EQUAL(a[0].dim[0], 2);
    EQUAL(((int32_t *)a[1].data)[1], 7);
    tl_stream_free(s);
}

Test(stream, says_when_there_is_too_little)
{
    const int32_t ids[] = { 5, 6, 7 };
    tl_stream *s;
    EQUAL(tl_stream_new(ids, 3, 3, 8, &s), TL_E_ARGUMENT);
    says("3 ids are too few for a batch of 3");
    EQUAL(tl_stream_new(ids, 3, 0, 8, &s), TL_E_ARGUMENT);
    EQUAL(tl_stream_new(ids, 3, 1, 0, &s), TL_E_ARGUMENT);
    EQUAL(tl_stream_new(NULL, 0, 1, 1, &s), TL_E_ARGUMENT);
    EQUAL(tl_live_bytes(), 0);
}

/* ---- safetensors: writing and reading ------------------------------------------------------------------------ */

static const float some_f32[6] = { 1, -2, 3.5f, -0.0f, 1e-40f, 6 };
static const double some_f64[2] = { 1.0 / 3, -1e300 };
static const int32_t some_i32[3] = { 1, INT32_MIN, INT32_MAX };

static tl_named_array named(const char *name, tl_dtype dtype, const void *data, int rank, int64_t a, int64_t b)
{
    return (tl_named_array){ name, { .dtype = dtype, .rank = rank, .dim = { a, b }, .data = (void *)(uintptr_t)data } };
}

static void same(const tl_safetensors *f, const tl_named_array *want)
{
    const tl_array *a = tl_safetensors_array(f, want->name);
    cr_assert(a, "%s is there", want->name);
    EQUAL(a->dtype, want->array.dtype);
    EQUAL(a->rank, want->array.rank);
    size_t n = a->dtype == TL_F64 ? 8 : 4;
    for (int k = 0; k < a->rank; k++) {
        EQUAL(a->dim[k], want->array.dim[k]);
        n *= (size_t)a->dim[k];
    }
    cr_assert((uintptr_t)a->data % 8 == 0);
    cr_assert(!n || !memcmp(a->data, want->array.data, n));
}

Test(safetensors, come_back_as_they_were)
{
    enter();
    const tl_named_array e[] = {
        named("encoder/f/W", TL_F32, some_f32, 2, 2, 3), named("scalar", TL_F64, some_f64, 0, 0, 0),
        named("ids", TL_I32, some_i32, 1, 3, 0),         named("\xC3\xA9 \"quoted\\\"\n", TL_F64, some_f64, 1, 2, 0),
        named("nothing", TL_F32, NULL, 2, 0, 5),
    };
    const tl_named_text t[] = { { "note", "tab\t, \"quote\", \x01, \xE2\x82\xAC" }, { "empty", "" } };
    tl_safetensors *f;
    int n;
    EQUAL(tl_safetensors_write("f", e, 5, t, 2), TL_OK);
    EQUAL(tl_safetensors_read("f", &f), TL_OK);
    tl_safetensors_arrays(f, &n);
    EQUAL(n, 5);
    for (int i = 0; i < 5; i++) same(f, &e[i]);
    tl_safetensors_texts(f, &n);
    EQUAL(n, 2);
    for (int i = 0; i < 2; i++) cr_assert_str_eq(tl_safetensors_text(f, t[i].key), t[i].text);
    cr_assert(!tl_safetensors_text(f, "none") && !tl_safetensors_array(f, "none"));
    tl_safetensors_free(f);

    tl_bytes b; /* all data is aligned in the file too */
    EQUAL(tl_file_read("f", &b), TL_OK);
    uint64_t length;
    memcpy(&length, b.data, 8);
    EQUAL(length % 8, 0);
    tl_bytes_free(&b);
    EQUAL(tl_safetensors_write("f", NULL, 0, NULL, 0), TL_OK);
    EQUAL(tl_safetensors_read("f", &f), TL_OK);
    tl_safetensors_free(f);
    leave();
}

Test(safetensors, of_what_cannot_be_written_are_refused)
{
    enter();
    const tl_named_array twice[] = { named("a", TL_F32, some_f32, 0, 0, 0), named("a", TL_F32, some_f32, 0, 0, 0) };
    const tl_named_array bad[] = {
        named("", TL_F32, some_f32, 0, 0, 0),
        named(NULL, TL_F32, some_f32, 0, 0, 0),
        named("__metadata__", TL_F32, some_f32, 0, 0, 0),
        named("\xFF", TL_F32, some_f32, 0, 0, 0),
        named("x", 0, some_f32, 0, 0, 0),
        named("x", TL_F32, NULL, 1, 2, 0),
        named("x", TL_F32, some_f32, 1, -1, 0),
        named("x", TL_F32, some_f32, 9, 1, 1),
        named("x", TL_F32, some_f32, 2, INT64_MAX, 2),
    };
    EQUAL(tl_safetensors_write("f", twice, 2, NULL, 0), TL_E_NAME);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        EQUAL(tl_safetensors_write("f", &bad[i], 1, NULL, 0), i < 4 ? TL_E_NAME : TL_E_ARGUMENT);
    const tl_named_text texts[] = { { "k", "v" }, { "k", "w" }, { "k", "\xC3" }, { "", "" } };
    EQUAL(tl_safetensors_write("f", NULL, 0, texts, 2), TL_E_NAME);
    EQUAL(tl_safetensors_write("f", NULL, 0, texts + 2, 1), TL_E_ARGUMENT);
    EQUAL(tl_safetensors_write("f", NULL, 0, texts + 3, 1), TL_E_NAME);
    EQUAL(tl_safetensors_write(NULL, NULL, 0, NULL, 0), TL_E_ARGUMENT);
    cr_assert(access("f", F_OK), "nothing was written");
    leave();
}

static void old_file_is_there(void)
{
    tl_safetensors *f;
    EQUAL(tl_safetensors_read("f", &f), TL_OK);
    EQUAL(*(const int32_t *)tl_safetensors_array(f, "old")->data, 1);
    tl_safetensors_free(f);
}

Test(safetensors, that_cannot_be_written_leave_the_old_file)
{
    enter();
    const tl_named_array old = named("old", TL_I32, some_i32, 1, 3, 0);
    float *big = calloc(1 << 20, sizeof *big);
    const tl_named_array new = named("new", TL_F32, big, 1, 1 << 20, 0);
    EQUAL(tl_safetensors_write("f", &old, 1, NULL, 0), TL_OK);
    EQUAL(tl_safetensors_write("no/such/f", &new, 1, NULL, 0), TL_E_FILE);
    says("No such file or directory");
    EQUAL(tl_safetensors_write("/dev/full", &new, 1, NULL, 0), TL_E_FILE);
    says("/dev/full: write: No space left on device");
    EQUAL(tl_safetensors_write(".", &new, 1, NULL, 0), TL_E_FILE);
    EQUAL(tl_safetensors_write("f/g", &new, 1, NULL, 0), TL_E_FILE);
    says("Not a directory");

    signal(SIGXFSZ, SIG_IGN); /* as a disk that is full in the middle of it */
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 1 << 16, RLIM_INFINITY });
    EQUAL(tl_safetensors_write("f", &new, 1, NULL, 0), TL_E_FILE);
    says("File too large");
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
    old_file_is_there();
    EQUAL(files_here(), 1);

    for (uint64_t n = 1;; n++) { /* and whichever allocation fails */
        tl_fail_allocation(n);
        const tl_status status = tl_safetensors_write("f", &new, 1, NULL, 0);
        tl_fail_allocation(0);
        if (!status) break;
        EQUAL(status, TL_E_MEMORY);
        old_file_is_there();
        EQUAL(files_here(), 1);
    }
    EQUAL(files_here(), 1);
    free(big);
    leave();
}

Test(safetensors, keep_links_and_permissions)
{
    enter();
    const tl_named_array e = named("old", TL_I32, some_i32, 1, 3, 0);
    struct stat info;
    put("real", "", 0);
    cr_assert(!chmod("real", 0640) && !symlink("real", "f") && !symlink("nowhere", "dangling"));
    EQUAL(tl_safetensors_write("f", &e, 1, NULL, 0), TL_OK);
    cr_assert(!lstat("f", &info) && S_ISLNK(info.st_mode));
    cr_assert(!stat("real", &info));
    EQUAL(info.st_mode & 0777, 0640);
    old_file_is_there();
    EQUAL(tl_safetensors_write("dangling", &e, 1, NULL, 0), TL_E_FILE);
    leave();
}

/* ---- safetensors: hostile input ------------------------------------------------------------------------------ */

/* A file of the given header and `data` zero bytes. */
static tl_status parse(const char *header, size_t data, tl_safetensors **f)
{
    const uint64_t length = strlen(header);
    char *bytes = calloc(1, 8 + length + data); /* exactly as long, so that a sanitizer sees a read beyond it */
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    const tl_status status = tl_safetensors_parse("f", bytes, 8 + length + data, f);
    free(bytes);
    return status;
}

Test(safetensors, of_other_writers_are_read)
{
    static const char *const good[] = {
        "{}",
        "{ }  ",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        " {\"__metadata__\": {} ,\n\t\"a\" : { \"shape\" : [ 1 , 2 ] , \"data_offsets\" : [ 0 , 8 ] , \"dtype\" : \"F32\" } } ",
        "{\"\\u0061\\ud83d\\ude00\\/\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}",
        /* not aligned, and not in order */
        "{\"b\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[4,12]},\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}",
    };
    static const size_t data[] = { 0, 0, 8, 8, 8, 12 };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        tl_safetensors *f;
        EQUAL(parse(good[i], data[i], &f), TL_OK);
        int n;
        const tl_named_array *e = tl_safetensors_arrays(f, &n);
        if (i == 4) cr_assert_str_eq(e[0].name, "a\xF0\x9F\x98\x80/");
        if (i == 4) EQUAL(e[0].array.dtype, TL_I32);
        if (i == 5) EQUAL((uintptr_t)tl_safetensors_array(f, "b")->data % 8, 0);
        tl_safetensors_free(f);
    }
    EQUAL(tl_live_bytes(), 0);
}

#define ARRAY(dtype, shape, offsets) "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static const struct {
    const char *header;
    size_t data;
    const char *words;
} hostile[] = {
    { "", 0, "'{' expected" },
    { "[]", 0, "'{' expected" },
    { "{", 0, "a string expected" },
    { "{}x", 0, "nothing expected after the end" },
    { "{\"a\"}", 0, "':' expected" },
    { "{\"a\":1}", 0, "'{' expected" },
    { "{\"a\":{}}", 0, "a string expected" },
    { "{\"a", 0, "a string without an end" },
    { "{\"a\\", 0, "a string without an end" },
    { "{\"a\\q\":1}", 0, "an unknown escape" },
    { "{\"a\\u12\":1}", 0, "four hexadecimal digits" },
    { "{\"a\\u12", 0, "four hexadecimal digits" },
    { "{\"\\ud83d\":1}", 0, "half of a surrogate pair" },
    { "{\"\\ude00\":1}", 0, "half of a surrogate pair" },
    { "{\"\\ud83d\\ud83d\":1}", 0, "half of a surrogate pair" },
    { "{\"\\u0000\":1}", 0, "a zero character" },
    { "{\"\x01\":1}", 0, "a control character" },
    { "{\"\xFF\":1}", 0, "not UTF-8" },
    { "{\"__metadata__\":{\"a\":1}}", 0, "a string expected" },
    { "{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "the key a twice" },
    { "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ twice" },
    { ARRAY("\"F16\"", "[1]", "[0,2]"), 2, "a dtype other than" },
    { ARRAY("\"F32\"", "[1,1,1,1,1,1,1]", "[0,4]"), 4, "more dimensions" },
    { ARRAY("\"F32\"", "[-1]", "[0,4]"), 4, "a whole number" },
    { ARRAY("\"F32\"", "[01]", "[0,4]"), 4, "a leading zero" },
    { ARRAY("\"F32\"", "[1.0]", "[0,4]"), 4, "a whole number" },
    { ARRAY("\"F32\"", "[1e3]", "[0,4]"), 4, "a whole number" },
    { ARRAY("\"F32\"", "[1,]", "[0,4]"), 4, "a whole number" },
    { ARRAY("\"F32\"", "[99999999999999999999]", "[0,4]"), 4, "too large" },
    { ARRAY("\"F32\"", "[4611686018427387904,4]", "[0,0]"), 0, "too many elements" },
    { ARRAY("\"F32\"", "[3037000500,3037000500]", "[0,4]"), 4, "too many elements" },
    { ARRAY("\"F32\"", "[2]", "[0,4]"), 4, "do not fit the shape" },
    { ARRAY("\"F32\"", "[1]", "[4,0]"), 4, "do not fit the shape" },
    { ARRAY("\"F32\"", "[1]", "[0,4,8]"), 4, "']' or ',' expected" },
    { ARRAY("\"F32\"", "[2]", "[0,8]"), 4, "ends at byte 8 of 4" },
    { ARRAY("\"F32\"", "[1]", "[0,4]"), 8, "4 bytes at the end belong to no array" },
    { ARRAY("\"F32\"", "[1]", "[4,8]"), 8, "leaves a hole" },
    { ARRAY("\"F32\",\"dtype\":\"F32\"", "[1]", "[0,4]"), 4, "a key twice" },
    { ARRAY("\"F32\",\"more\":1", "[1]", "[0,4]"), 4, "a key other than" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 0, "is missing" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
      "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
      8, "the name a twice" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
      "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
      12, "overlaps" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},}", 4, "a string expected" },
};

Test(safetensors, that_are_hostile_are_refused_with_a_reason)
{
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        tl_safetensors *f;
        const tl_status status = parse(hostile[i].header, hostile[i].data, &f);
        cr_assert(status == TL_E_FORMAT && !f, "%s", hostile[i].header);
        cr_assert(strstr(tl_message(), hostile[i].words), "'%s' does not say '%s'", tl_message(), hostile[i].words);
    }
    EQUAL(tl_live_bytes(), 0);
}

Test(safetensors, that_are_cut_short_anywhere_are_refused)
{
    const tl_named_array e = named("a", TL_F32, some_f32, 2, 2, 3);
    const tl_named_text t = { "k", "v" };
    tl_bytes b;
    tl_safetensors *f;
    enter();
    EQUAL(tl_safetensors_write("f", &e, 1, &t, 1), TL_OK);
    EQUAL(tl_file_read("f", &b), TL_OK);
    for (size_t n = 0; n < b.size; n++) {
        char *cut = malloc(n ? n : 1);
        memcpy(cut, b.data, n);
        EQUAL(tl_safetensors_parse("cut", cut, n, &f), TL_E_FORMAT);
        free(cut);
    }
    for (size_t n = 0; n < 8; n++) { /* lengths far beyond the file */
        char *copy = malloc(b.size);
        memcpy(copy, b.data, b.size);
        copy[n] = (char)0xFF;
        EQUAL(tl_safetensors_parse("long", copy, b.size, &f), TL_E_FORMAT);
        free(copy);
    }
    tl_bytes_free(&b);
    leave();
}

Test(safetensors, with_wide_integers_are_narrowed_only_where_they_fit)
{
    const char *header = ARRAY("\"I64\"", "[2]", "[0,16]");
    const uint64_t length = strlen(header);
    int64_t value[2] = { -5, INT32_MAX };
    char bytes[256];
    tl_safetensors *f;
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    memcpy(bytes + 8 + length, value, 16);
    EQUAL(tl_safetensors_parse("f", bytes, 24 + length, &f), TL_OK);
    EQUAL(((int32_t *)tl_safetensors_array(f, "a")->data)[0], -5);
    tl_safetensors_free(f);
    value[1]++;
    memcpy(bytes + 8 + length, value, 16);
    EQUAL(tl_safetensors_parse("f", bytes, 24 + length, &f), TL_E_FORMAT);
    says("2147483648, which does not fit 32 bits");
    EQUAL(tl_live_bytes(), 0);
}

Test(safetensors, survive_any_allocation_that_fails)
{
    enter();
    const tl_named_array e = named("a", TL_F32, some_f32, 2, 2, 3);
    const tl_named_text t = { "k", "v" };
    tl_safetensors *f;
    EQUAL(tl_safetensors_write("f", &e, 1, &t, 1), TL_OK);
    for (uint64_t n = 1;; n++) {
        tl_fail_allocation(n);
        const tl_status status = tl_safetensors_read("f", &f);
        tl_fail_allocation(0);
        if (!status) break;
        EQUAL(status, TL_E_MEMORY);
        EQUAL(tl_live_bytes(), 0);
    }
    same(f, &e);
    tl_safetensors_free(f);
    leave();
}

Test(vocabulary_and_stream, survive_any_allocation_that_fails)
{
    const int32_t ids[] = { 1, 2, 3, 4 };
    for (uint64_t n = 1; n < 20; n++) {
        tl_vocab *v = NULL;
        tl_stream *s = NULL;
        tl_bytes line = { 0 };
        tl_fail_allocation(n);
        tl_status status = tl_vocab_new("some text", 9, &v);
        if (!status) status = tl_vocab_print(v, &line);
        if (!status) status = tl_stream_new(ids, 4, 1, 2, &s);
        tl_fail_allocation(0);
        cr_assert(!status || status == TL_E_MEMORY);
        tl_vocab_free(v);
        tl_stream_free(s);
        tl_bytes_free(&line);
        EQUAL(tl_live_bytes(), 0);
    }
}
