/* tests/test_lines.c - files that are read: line by line, and packed with gzip. */
#include <sys/stat.h>

#include "data_support.h"

/* ---- lines ------------------------------------------------------------------------------------------------------ */

/* All lines of a file, each in brackets. */
static char *lines_of(const char *path)
{
    static char text[4096];
    size_t n = 0, size;
    tl_lines *l;
    const char *line;
    *text = 0;
    EQUAL(tl_lines_open(path, &l), TL_OK);
    EQUAL(tl_lines_number(l), 0);
    for (int64_t number = 1;; number++) {
        EQUAL(tl_lines_next(l, &line, &size), TL_OK);
        if (!line) break;
        EQUAL(tl_lines_number(l), number);
        cr_assert(!line[size]);
        for (size_t i = 0; i < size; i++) cr_assert(line[i] != '\n' && line[i] != '\r');
        text[n++] = '[';
        for (size_t i = 0; i < size; i++) text[n++] = line[i] ? line[i] : '0';
        text[n++] = ']';
        text[n] = 0;
    }
    EQUAL(tl_lines_next(l, &line, NULL), TL_OK);
    cr_assert(!line);
    tl_lines_free(l);
    return text;
}

static void lines_are(const char *contents, size_t size, const char *want)
{
    put("f", contents, size);
    cr_assert_str_eq(lines_of("f"), want);
    pack("f.gz", contents, size, "wb");
    cr_assert_str_eq(lines_of("f.gz"), want);
}
#define LINES_ARE(contents, want) lines_are(contents, sizeof(contents) - 1, want)

Test(lines, end_in_any_way)
{
    enter();
    LINES_ARE("", "");
    LINES_ARE("one", "[one]");
    LINES_ARE("one\ntwo\n", "[one][two]");
    LINES_ARE("one\r\ntwo\r\n", "[one][two]");
    LINES_ARE("one\rtwo\r", "[one][two]");
    LINES_ARE("\n\r\n\r\r\n", "[][][][]");
    LINES_ARE("a\n\nb\r\r\nc\n\r", "[a][][b][][c][]");
    LINES_ARE("\xEF\xBB\xBF", "");
    LINES_ARE("\xEF\xBB\xBF\n", "[]");
    LINES_ARE("\xEF\xBB\xBFone\r\n\xEF\xBB\xBFtwo", "[one][\xEF\xBB\xBFtwo]");
    LINES_ARE("\xEF\xBB", "[\xEF\xBB]");
    LINES_ARE("a\0b\n\0\n", "[a0b][0]");
    leave();
}

/* Lines whose ends fall on every place around the pieces in which a file is read. */
Test(lines, are_the_same_wherever_the_pieces_of_the_file_end)
{
    enter();
    for (int piece = 16; piece <= 18; piece += 2)
        for (int shift = -3; shift <= 3; shift++) {
            const size_t n = (size_t)(1 << piece) + (size_t)shift, total = n + 600000;
            char *text = malloc(total);
            memset(text, 'x', total);
            memcpy(text + n, "\r\n", 2);
            memcpy(text + total - 2, "\r\n", 2);
            put("f", text, total);
            pack("f.gz", text, total, "wb");
            for (int zip = 0; zip < 2; zip++) {
                tl_lines *l;
                const char *line;
                size_t size;
                EQUAL(tl_lines_open(zip ? "f.gz" : "f", &l), TL_OK);
                EQUAL(tl_lines_next(l, &line, &size), TL_OK);
                EQUAL(size, n);
                EQUAL(tl_lines_next(l, &line, &size), TL_OK);
                EQUAL(size, total - n - 4);
                EQUAL(tl_lines_next(l, &line, &size), TL_OK);
                cr_assert(!line);
                tl_lines_free(l);
            }
            free(text);
        }
    leave();
}

Test(lines, of_what_cannot_be_read_say_so)
{
    tl_lines *l;
    const char *line;
    enter();
    EQUAL(tl_lines_open("none", &l), TL_E_FILE);
    says("none: No such file or directory");
    cr_assert(!l);
    EQUAL(tl_lines_open(".", &l), TL_E_FILE);
    says("Is a directory");
    EQUAL(tl_lines_open(NULL, &l), TL_E_ARGUMENT);
    tl_lines_free(NULL);
    pack("f", "some text\nmore", 14, "wb");
    for (uint64_t n = 1;; n++) {
        tl_fail_allocation(n);
        tl_status status = tl_lines_open("f", &l);
        while (!status && !(status = tl_lines_next(l, &line, NULL)) && line) continue;
        tl_fail_allocation(0);
        tl_lines_free(l);
        EQUAL(tl_live_bytes(), 0);
        if (!status) break;
        EQUAL(status, TL_E_MEMORY);
        cr_assert(n < 50);
    }
    leave();
}

/* ---- gzip ------------------------------------------------------------------------------------------------------- */

static unsigned char *slurp(const char *path, size_t *size)
{
    tl_bytes b;
    EQUAL(tl_file_read(path, &b), TL_OK);
    unsigned char *copy = malloc(b.size + 1);
    memcpy(copy, b.data, b.size + 1);
    *size = b.size;
    tl_bytes_free(&b);
    return copy;
}

Test(gzip, of_any_size_is_unpacked)
{
    enter();
    for (size_t n = 1; n < 3000000; n = 3 * n + 1) {
        char *text = malloc(n);
        uint64_t state = n;
        for (size_t i = 0; i < n; i++) text[i] = (char)('a' + ((state = state * 6364136223846793005u + 1) >> 60));
        pack("f", text, n, "wb");
        tl_bytes b;
        EQUAL(tl_text_read("f", &b), TL_OK);
        cr_assert(b.size == n && !memcmp(b.data, text, n));
        tl_bytes_free(&b);
        EQUAL(tl_file_read("f", &b), TL_OK); /* as it is */
        cr_assert(b.data[0] == 0x1F);
        tl_bytes_free(&b);
        free(text);
    }
    leave();
}

Test(gzip, may_have_members_and_padding)
{
    enter();
    pack("f", "one\n", 4, "wb");
    pack("f", "", 0, "ab");
    pack("f", "two\nthr", 7, "ab");
    pack("f", "ee", 2, "ab");
    cr_assert_str_eq(lines_of("f"), "[one][two][three]");
    size_t size;
    unsigned char *data = slurp("f", &size);
    unsigned char *longer = calloc(1, size + 512);
    memcpy(longer, data, size);
    put("padded", longer, size + 512);
    cr_assert_str_eq(lines_of("padded"), "[one][two][three]");
    tl_bytes b;
    longer[size + 100] = 'x';
    put("more", longer, size + 512);
    EQUAL(tl_text_read("more", &b), TL_E_FORMAT);
    char want[80];
    snprintf(want, sizeof want, "more: byte %zu of the gzip data: something else follows it", size + 100);
    says(want);
    free(data);
    free(longer);
    leave();
}

Test(gzip, that_is_cut_short_or_damaged_anywhere_is_refused)
{
    enter();
    const char *text = "It was the best of times, it was the worst of times, it was the age of wisdom";
    pack("whole", text, strlen(text), "wb");
    size_t size;
    unsigned char *data = slurp("whole", &size);
    tl_bytes b;
    for (size_t n = 2; n < size; n++) {
        put("f", data, n);
        EQUAL(tl_text_read("f", &b), TL_E_FORMAT);
        cr_assert(!b.data);
        says(n > 10 ? "it ends here, but is not complete" : "f: byte");
    }
    int noticed = 0;
    for (size_t n = 10; n < size; n++)
        for (int bit = 0; bit < 8; bit++) {
            data[n] ^= (unsigned char)(1 << bit);
            put("f", data, size);
            const tl_status status = tl_text_read("f", &b);
            noticed += status == TL_E_FORMAT;
            if (!status) cr_assert(b.size == strlen(text) && !memcmp(b.data, text, b.size));
            tl_bytes_free(&b);
            data[n] ^= (unsigned char)(1 << bit);
        }
    cr_assert(noticed > (int)(size - 10) * 8 - 8, "%d of %zu bits", noticed, (size - 10) * 8);
    free(data);
    leave();
}

Test(gzip, that_expands_absurdly_is_refused)
{
    enter();
    const size_t n = (size_t)100 << 20;
    char *zeros = calloc(1, n);
    pack("bomb", zeros, n, "wb");
    pack("large", zeros, (size_t)60 << 20, "wb"); /* not absurd yet */
    free(zeros);
    tl_bytes b;
    tl_lines *l;
    const char *line;
    EQUAL(tl_text_read("bomb", &b), TL_E_FORMAT);
    says("bomb: expands to more than 200 times its size; if that is meant, unpack it first");
    EQUAL(tl_lines_open("bomb", &l), TL_OK);
    EQUAL(tl_lines_next(l, &line, NULL), TL_E_FORMAT);
    tl_lines_free(l);
    EQUAL(tl_text_read("large", &b), TL_OK);
    EQUAL(b.size, 60 << 20);
    tl_bytes_free(&b);
    leave();
}

/* ---- what is there ---------------------------------------------------------------------------------------------- */

/* And the number of their lines that data/README.md there tells; 0: it tells none. */
static const struct {
    const char *path;
    int64_t lines;
} real[] = {
    { "imdb/imdb_small_train.tsv.gz", 2084 },
    { "imdb/imdb_small_test.tsv.gz", 2084 },
    { "imdb/imdb_train.tsv.gz", 25000 },
    { "music/jsb_chorales.roll.txt.gz", 0 },
    { "music/nottingham.roll.txt.gz", 0 },
    { "seq/names.tsv", 20050 },
    { "seq/multi30k.train.tok.lc.de", 29000 },
    { "timeseries/beijing_pm25.csv", 43825 },
    { "alice/wonderland.txt", 0 },
};

/* As many lines as /bin/sh counts. */
Test(lines, of_real_files_are_as_many_as_others_count)
{
    for (int i = 0; i < (int)(sizeof real / sizeof *real); i++) {
        const char *path = shared_data(real[i].path);
        if (!path) continue;
        char command[600];
        snprintf(command, sizeof command, "gzip -cdf '%s' | awk 'END { print NR }'", path);
        FILE *p = popen(command, "r");
        long long want = -1, got = 0;
        cr_assert(p && fscanf(p, "%lld", &want) == 1);
        pclose(p);
        tl_lines *l;
        const char *line;
        EQUAL(tl_lines_open(path, &l), TL_OK);
        for (; !tl_lines_next(l, &line, NULL) && line; got++) continue;
        tl_lines_free(l);
        cr_assert(got == want, "%s: %lld lines, not %lld", path, got, want);
        cr_assert(!real[i].lines || real[i].lines == got, "%s: %lld lines", path, got);
    }
}
