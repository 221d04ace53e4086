/* tests/test_csv.c - csv: its grammar, tables, missing values, writing, categories. */
#include <locale.h>
#include <math.h>

#include "data_support.h"

/* ---- grammar ---------------------------------------------------------------------------------------------------- */

/* All rows of a file, each field in brackets, rows ended by a semicolon; or the failure. */
static const char *rows_of(const char *path, const tl_csv_opts *o)
{
    static char text[8192];
    tl_csv *c;
    int n;
    if (tl_csv_open_opt(path, &c, o)) return tl_message();
    char *p = text;
    *text = 0;
    for (;;) {
        if (tl_csv_next(c, &n)) {
            strcpy(text, tl_message());
            break;
        }
        if (!n) break;
        EQUAL(n, tl_csv_columns(c));
        for (int k = 0; k < n; k++) p += sprintf(p, tl_csv_missing(c, k) ? "<%s>" : "[%s]", tl_csv_text(c, k));
        p += sprintf(p, ";");
    }
    tl_csv_free(c);
    EQUAL(tl_live_bytes(), 0);
    return text;
}

static void rows_are(const char *contents, size_t size, const char *want, tl_csv_opts o)
{
    put("f", contents, size);
    cr_assert_str_eq(rows_of("f", &o), want);
    pack("f", contents, size, "wb");
    cr_assert_str_eq(rows_of("f", &o), want);
}
#define ROWS(contents, ...) ROWS_(contents, __VA_ARGS__, .size = sizeof(tl_csv_opts))
#define ROWS_(contents, want, ...)                                                                                     \
    rows_are(contents, sizeof(contents) - 1, want, (tl_csv_opts){ .no_header = true, __VA_ARGS__ })

Test(csv, rows_and_fields)
{
    enter();
    ROWS("", "");
    ROWS("\n\n\r\n", "");
    ROWS("a", "[a];");
    ROWS("a,b\nc,d", "[a][b];[c][d];");
    ROWS("a,b\r\nc,d\r\n", "[a][b];[c][d];");
    ROWS("a,b\rc,d\r", "[a][b];[c][d];");
    ROWS("a\n\n\nb\n\n", "[a];[b];");
    ROWS("\xEF\xBB\xBF\"a\",b\n", "[a][b];");
    ROWS("\xEF\xBB\xBF", "");
    ROWS(",\n,", "<><>;<><>;");
    ROWS(" a , b\n", "[ a ][ b];");
    ROWS("a;b,c\n", "[a][b,c];", .separator = ';');
    ROWS("a\tb c\n", "[a][b c];", .separator = '\t');
    ROWS("1 2  3\n\n  4\t 5 6  \n 7 8 9", "[1][2][3];[4][5][6];[7][8][9];", .separator = ' ');
    ROWS(" \n \n", "", .separator = ' ');
    leave();
}

Test(csv, quotes)
{
    enter();
    ROWS("\"a,b\",\"c\nd\",\"e\r\nf\"\n", "[a,b][c\nd][e\r\nf];");
    ROWS("\"he said \"\"no\"\"\",\"\"\"\"\n\"\",x", "[he said \"no\"][\"];[][x];");
    ROWS("a\"b\"c,\"d\"", "[a\"b\"c][d];");
    ROWS("\"a\"\n\"b\"\r\n\"c\"", "[a];[b];[c];");
    ROWS("\"\"\n", "[];");
    ROWS("\"a\",b\n\"c,d\n", "[\"a\"][b];[\"c][d];", .no_quotes = true);
    ROWS("\"a b\" \"c\"  d \n", "[a b][c][d];", .separator = ' ');
    leave();
}

Test(csv, faults_have_a_place)
{
    enter();
    ROWS("a,b\nc,\"d\ne\n\nf", "f:2:3: this quote is never closed");
    ROWS("a,b\r\n\"c\"d,e\n", "f:2:4: more text after a closing quote");
    ROWS("\"a\nb\r\nc\rd\"e", "f:4:3: more text after a closing quote");
    ROWS("\"\ra\nb\"c", "f:3:3: more text after a closing quote");
    ROWS("a,b\n\nc\n", "f:3: the number of fields is 1, not 2");
    ROWS("a,b\nc,d,e\n", "f:2: the number of fields is 3, not 2");
    ROWS("a,b\nc\0,d\n", "f:2:2: a NUL byte");
    ROWS("a,b\n\"c\0\",d\n", "f:2:3: a NUL byte");
    ROWS("a", "tl_csv_open: .separator is no separator", .separator = '"');
    ROWS("a", "f: there is no column 1", .columns = (const char *[]){ "1" }, .n_columns = 1);
    ROWS("a", "tl_csv_open: a path is needed, and as many .columns as .n_columns says", .n_columns = 1);
    put("f", "\n", 1);
    cr_assert_str_eq(rows_of("f", NULL), "f: there is no header");
    cr_assert_str_eq(rows_of("none", NULL), "none: No such file or directory");
    tl_csv *c;
    EQUAL(tl_csv_open(NULL, &c), TL_E_ARGUMENT);
    leave();
}

/* Fields across every place at which the file is cut into pieces. */
Test(csv, is_the_same_wherever_the_pieces_of_the_file_end)
{
    enter();
    const size_t n = (1 << 18) + 40, row = 15;
    char *text = malloc(n);
    for (size_t shift = 0; shift < row; shift++) {
        memset(text, '\n', n);
        size_t rows = 0;
        for (size_t at = shift; at + row <= n; at += row, rows++) memcpy(text + at, "\"a\"\"\r\n,\",bc,d\r\n", row);
        put("f", text, n);
        tl_csv *c;
        int fields;
        size_t seen = 0;
        EQUAL(tl_csv_open("f", &c, .no_header = true), TL_OK);
        for (; !tl_csv_next(c, &fields) && fields; seen++) {
            EQUAL(fields, 3);
            cr_assert_str_eq(tl_csv_text(c, 0), "a\"\r\n,");
            cr_assert_str_eq(tl_csv_text(c, 1), "bc");
            cr_assert_str_eq(tl_csv_text(c, 2), "d");
            EQUAL(tl_csv_line(c), (int64_t)(shift + 1 + 2 * seen));
        }
        EQUAL(seen, rows);
        tl_csv_free(c);
    }
    free(text);
    leave();
}

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

static tl_status number(const char *text, double *x)
{
    char line[128];
    tl_csv *c;
    int n;
    snprintf(line, sizeof line, "x,y\nz,%s\n", text);
    put("f", line, strlen(line));
    EQUAL(tl_csv_open("f", &c), TL_OK);
    EQUAL(tl_csv_next(c, &n), TL_OK);
    const tl_status status = tl_csv_number(c, 1, x);
    EQUAL(tl_csv_number(c, 2, x + 1), TL_E_INDEX);
    tl_csv_free(c);
    return status;
}

Test(csv, numbers_are_decimal)
{
    static const struct {
        const char *text;
        double want;
    } good[] = { { "1", 1 },        { "-2.5", -2.5 },      { "+3e-2", 0.03 },     { ".5", 0.5 },       { " 7 ", 7 },
                 { "\"8\"", 8 },    { "1e400", INFINITY }, { "-inf", -INFINITY }, { "NA", NAN },       { "", NAN },
                 { "\"NA\"", NAN }, { " nan ", NAN },      { "0.1", 0.1 },        { "5e-324", 5e-324 } };
    static const char *const bad[] = { "x",     "1x", "1 2", "0x10", "nan(7)", "--1",
                                       "1.2.3", "e5", "1;5", "NULL", "N",      "NAN" };
    double x[2];
    enter();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < (int)(sizeof good / sizeof *good); i++) {
            EQUAL(number(good[i].text, x), TL_OK);
            cr_assert(*x == good[i].want || (isnan(*x) && isnan(good[i].want)), "%s is %g", good[i].text, *x);
        }
        for (int i = 0; i < (int)(sizeof bad / sizeof *bad); i++) {
            char want[80];
            EQUAL(number(bad[i], x), TL_E_FORMAT);
            cr_assert(isnan(*x));
            snprintf(want, sizeof want, "f:2:3: '%s' in column y is no number", bad[i]);
            EQUAL(number(bad[i], x), TL_E_FORMAT);
        }
        if (!setlocale(LC_ALL, "de_DE.UTF-8")) break; /* where it is installed: a comma for a point */
    }
    leave();
}

Test(csv, reports_where_a_number_is_none)
{
    enter();
    const char *text = "id,name,size\n1,\"a\nb\",3\n2,c,big\n";
    put("f", text, strlen(text));
    tl_frame *t;
    EQUAL(tl_frame_read("f", &t, .text = (const char *[]){ "name" }, .n_text = 1), TL_E_FORMAT);
    says("f:4:5: 'big' in column size is no number");
    cr_assert(!t);
    EQUAL(tl_frame_read("f", &t), TL_E_FORMAT);
    says("f:2:3: 'a\nb' in column name is no number");
    EQUAL(tl_frame_read("f", &t, .text = (const char *[]){ "nam" }, .n_text = 1), TL_E_NAME);
    says("f: there is no column nam");
    EQUAL(tl_frame_read("f", &t, .n_text = 1), TL_E_ARGUMENT);
    leave();
}

/* ---- tables ----------------------------------------------------------------------------------------------------- */

static const char weather[] = "\xEF\xBB\xBF"
                              "day,temp,wind,2\r\n1,20.5,NW,7\r\n2,NA,,8\r\n3,,SE,9\r\n4,18,NW,nan";

static tl_frame *weather_table(void)
{
    tl_frame *t;
    put("f", weather, sizeof weather - 1);
    EQUAL(tl_frame_read("f", &t, .text = (const char *[]){ "wind" }, .n_text = 1), TL_OK);
    return t;
}

/* A column as text: numbers and texts in brackets, "." for what is missing. */
static const char *column(const tl_frame *t, const char *name)
{
    static char text[512];
    const tl_column *c = tl_frame_column(t, name);
    char *p = text;
    if (!c) return NULL;
    *text = 0;
    for (int64_t r = 0; r < tl_frame_rows(t); r++)
        if (c->texts) p += c->texts[r] ? sprintf(p, "[%s]", c->texts[r]) : sprintf(p, ".");
        else p += isnan(c->numbers[r]) ? sprintf(p, ".") : sprintf(p, "[%g]", c->numbers[r]);
    return text;
}

Test(frame, has_columns_by_name_and_number)
{
    enter();
    tl_frame *t = weather_table();
    int n;
    const tl_column *all = tl_frame_columns(t, &n);
    EQUAL(n, 4);
    EQUAL(tl_frame_rows(t), 4);
    cr_assert_str_eq(all[0].name, "day");
    cr_assert_str_eq(column(t, "day"), "[1][2][3][4]");
    cr_assert_str_eq(column(t, "temp"), "[20.5]..[18]");
    cr_assert_str_eq(column(t, "wind"), "[NW].[SE][NW]");
    cr_assert_str_eq(column(t, "1"), "[20.5]..[18]");
    cr_assert_str_eq(column(t, "2"), "[7][8][9]."); /* a name comes before a number */
    cr_assert(!column(t, "4") && !column(t, "Day") && !column(t, "") && !column(t, "1x"));
    tl_frame_free(t);
    EQUAL(tl_frame_read("f", &t, .columns = (const char *[]){ "2", "1" }, .n_columns = 2), TL_OK);
    tl_frame_columns(t, &n);
    EQUAL(n, 2);
    cr_assert_str_eq(column(t, "2"), "[7][8][9].");
    cr_assert_str_eq(column(t, "temp"), "[20.5]..[18]");
    tl_frame_free(t);
    tl_frame_free(NULL);
    leave();
}

Test(frame, knows_what_is_missing)
{
    enter();
    tl_frame *t = weather_table();
    EQUAL(tl_frame_missing(t, NULL), 4);
    EQUAL(tl_frame_missing(t, "temp"), 2);
    EQUAL(tl_frame_missing(t, "wind"), 1);
    EQUAL(tl_frame_missing(t, "none"), -1);
    EQUAL(tl_frame_fill_forward(t, "temp"), TL_OK);
    cr_assert_str_eq(column(t, "temp"), "[20.5][20.5][20.5][18]");
    EQUAL(tl_frame_missing(t, NULL), 2);
    EQUAL(tl_frame_fill(t, NULL, -1), TL_OK);
    cr_assert_str_eq(column(t, "2"), "[7][8][9][-1]");
    cr_assert_str_eq(column(t, "wind"), "[NW].[SE][NW]");
    EQUAL(tl_frame_fill(t, "wind", 1), TL_E_DTYPE);
    EQUAL(tl_frame_fill(t, "none", 1), TL_E_NAME);
    EQUAL(tl_frame_fill_forward(t, "none"), TL_E_NAME);
    EQUAL(tl_frame_drop_missing(t, "none"), -1);
    EQUAL(tl_frame_drop_missing(t, "day"), 0);
    EQUAL(tl_frame_drop_missing(t, NULL), 1);
    cr_assert_str_eq(column(t, "day"), "[1][3][4]");
    cr_assert_str_eq(column(t, "wind"), "[NW][SE][NW]");
    tl_frame_free(t);

    t = weather_table();
    EQUAL(tl_frame_fill_forward(t, NULL), TL_OK);
    cr_assert_str_eq(column(t, "wind"), "[NW][NW][SE][NW]");
    tl_frame_free(t);
    put("f", "a,b\n?,1\n-,\nNA,2\n", 16);
    const char *marks[] = { "?", "-", "NA" };
    EQUAL(tl_frame_read("f", &t, .missing = marks, .n_missing = 3), TL_E_FORMAT); /* the empty one is none of them */
    says("f:3:3: '' in column b is no number");
    EQUAL(tl_frame_read("f", &t, .columns = (const char *[]){ "a" }, .n_columns = 1, .missing = marks, .n_missing = 3),
          TL_OK);
    cr_assert_str_eq(column(t, "a"), "...");
    EQUAL(tl_frame_fill_forward(t, "a"), TL_OK); /* there is nothing before */
    EQUAL(tl_frame_missing(t, "a"), 3);
    tl_frame_free(t);
    EQUAL(tl_frame_read("f", &t, .text = (const char *[]){ "a", "b" }, .n_text = 2, .n_missing = TL_ZERO), TL_OK);
    cr_assert_str_eq(column(t, "a"), "[?][-][NA]");
    cr_assert_str_eq(column(t, "b"), "[1][][2]");
    tl_frame_free(t);
    leave();
}

Test(frame, becomes_an_array)
{
    enter();
    tl_frame *t = weather_table();
    tl_array a;
    EQUAL(tl_frame_array(t, NULL, 0, TL_F64, &a), TL_OK);
    EQUAL(a.rank, 2);
    EQUAL(a.dim[0], 4);
    EQUAL(a.dim[1], 3);
    const double *x = a.data;
    cr_assert(x[0] == 1 && x[1] == 20.5 && x[2] == 7 && x[3] == 2 && isnan(x[4]) && x[5] == 8 && isnan(x[11]));
    tl_array_free(&a);
    EQUAL(tl_frame_array(t, (const char *[]){ "2", "day" }, 2, TL_F32, &a), TL_OK);
    const float *y = a.data;
    cr_assert(y[0] == 7 && y[1] == 1 && y[4] == 9 && y[5] == 3);
    tl_array_free(&a);
    EQUAL(tl_frame_array(t, (const char *[]){ "day", "wind" }, 2, TL_F32, &a), TL_E_DTYPE);
    EQUAL(tl_frame_array(t, (const char *[]){ "day", "none" }, 2, TL_F32, &a), TL_E_NAME);
    EQUAL(tl_frame_array(t, NULL, 0, TL_I32, &a), TL_E_ARGUMENT);
    tl_frame_free(t);
    leave();
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static void is_written(const char *want, const tl_column *c, int n, int64_t rows, tl_csv_opts o)
{
    tl_bytes b;
    EQUAL(tl_csv_write_opt("out.csv", c, n, rows, &o), TL_OK);
    EQUAL(tl_file_read("out.csv", &b), TL_OK);
    cr_assert_str_eq(b.data, want);
    tl_bytes_free(&b);
}

Test(csv, is_written_with_quotes_where_they_are_needed)
{
    enter();
    double x[] = { 0.1, NAN, 1e300, -INFINITY };
    const char *s[] = { "plain", "a,\"b\"", NULL, "NA" };
    const tl_column c[] = { { "x", x, NULL }, { "a b", NULL, s } };
    is_written("x,a b\n0.1,plain\nNA,\"a,\"\"b\"\"\"\n1e+300,NA\n-inf,\"NA\"\n", c, 2, 4, (tl_csv_opts){ 0 });
    is_written("0.1;plain\nNA;\"a,\"\"b\"\"\"\n", c, 2, 2, (tl_csv_opts){ .separator = ';', .no_header = true });
    is_written("x;a b\nNA;a,\"b\"\n", (tl_column[]){ { "x", x + 1, NULL }, { "a b", NULL, s + 1 } }, 2, 1,
               (tl_csv_opts){ .separator = ';', .no_quotes = true });
    is_written("x,a b\n", c, 2, 0, (tl_csv_opts){ 0 });
    is_written("\"\xEF\xBB\xBF\"\n", (tl_column[]){ { "\xEF\xBB\xBF", x, NULL } }, 1, 0, (tl_csv_opts){ 0 });
    EQUAL(tl_csv_write("out.tsv", c, 2, 1), TL_OK);
    tl_bytes b;
    EQUAL(tl_file_read("out.tsv", &b), TL_OK);
    cr_assert_str_eq(b.data, "x\ta b\n0.1\tplain\n");
    tl_bytes_free(&b);
    EQUAL(tl_csv_write("out.csv", c, 2, 4, .no_quotes = true), TL_E_ARGUMENT);
    says("out.csv: the text 'a,\"b\"' cannot be written without quotes");
    EQUAL(tl_csv_write("out.csv", c, 0, 4), TL_E_ARGUMENT);
    EQUAL(tl_csv_write("out.csv", c, 2, 4, .separator = '\n'), TL_E_ARGUMENT);
    EQUAL(tl_csv_write("no/out.csv", c, 2, 4), TL_E_FILE);
    EQUAL(tl_csv_write("out.csv", ((tl_column[]){ { NULL, x, NULL } }), 1, 4), TL_E_NAME);
    EQUAL(tl_csv_write("out.csv", ((tl_column[]){ { "x", x, s } }), 1, 4), TL_E_ARGUMENT);
    EQUAL(files_here(), 2);
    leave();
}

/* Any texts and numbers come back as they were. */
Test(csv, comes_back_as_it_was_written)
{
    enter();
    static const char alphabet[] = "ab ,;\t\"\r\n\xEF\xBB\xBF"
                                   "N A0";
    enum { ROWS = 400 };
    static const char separators[] = ",;\t |";
    static char text[ROWS][8];
    const char *s[ROWS];
    double x[ROWS];
    uint64_t state = 1;
    for (int round = 0; round < 5; round++) {
        for (int r = 0; r < ROWS; r++) {
            for (int i = 0; i < 7; i++) {
                state = state * 6364136223846793005u + 1442695040888963407u;
                text[r][i] = alphabet[(state >> 33) % (sizeof alphabet)]; /* with its 0 */
            }
            s[r] = state >> 60 ? text[r] : NULL;
            memcpy(&x[r], &state, sizeof *x);
            if (isnan(x[r])) x[r] = r;
        }
        tl_frame *t;
        /* Each column alone comes first in its row, where a mark would be dropped, and alone in it. */
        for (int way = 0; way < 3; way++) {
            const tl_column c[] = { { "s", NULL, s }, { "x", x, NULL }, { "t", NULL, s } };
            EQUAL(tl_csv_write("f", c + (way == 2), way == 0 ? 1 : way + 1 - (way == 2), ROWS,
                               .separator = separators[round], .no_header = way == 1),
                  TL_OK);
            const char *const texts[] = { way == 1 ? "0" : way == 2 ? "t" : "s" };
            EQUAL(tl_frame_read("f", &t, .separator = separators[round], .no_header = way == 1, .text = texts,
                                .n_text = 1),
                  TL_OK);
            EQUAL(tl_frame_rows(t), ROWS);
            const tl_column *got = tl_frame_column(t, texts[0]), *y = tl_frame_column(t, way == 1 ? "1" : "x");
            for (int r = 0; r < ROWS; r++) {
                cr_assert(!s[r] == !got->texts[r] && (!s[r] || !strcmp(s[r], got->texts[r])), "'%s' is '%s'", s[r],
                          got->texts[r]);
                if (way) cr_assert(x[r] == y->numbers[r], "%.17g is %.17g", x[r], y->numbers[r]);
            }
            tl_frame_free(t);
        }
    }
    leave();
}

/* ---- categories ------------------------------------------------------------------------------------------------- */

Test(categories, are_numbered_in_the_order_of_their_bytes)
{
    enter();
    const char *s[] = { "NW", "SE", NULL, "cv", "NE", "SE", "NW", "" };
    tl_categories *c, *d;
    int32_t ids[8];
    EQUAL(tl_categories_new(s, 8, &c), TL_OK);
    EQUAL(tl_categories_size(c), 5);
    cr_assert_str_eq(tl_categories_text(c, 0), "");
    cr_assert_str_eq(tl_categories_text(c, 4), "cv");
    cr_assert(!tl_categories_text(c, 5) && !tl_categories_text(c, -1));
    EQUAL(tl_categories_ids(c, s, 8, 9, ids), TL_OK);
    const int32_t want[] = { 2, 3, 9, 4, 1, 3, 2, 0 };
    cr_assert_arr_eq(ids, want, sizeof want);
    EQUAL(tl_categories_ids(c, s, 8, -1, ids), TL_E_INDEX);
    says("text 2, which is missing, is none of the categories");
    EQUAL(tl_categories_ids(c, (const char *[]){ "NW", "ne" }, 2, -1, ids), TL_E_INDEX);
    says("text 1, ne, is none of the categories");

    tl_bytes b;
    EQUAL(tl_categories_print(c, &b), TL_OK);
    cr_assert_str_eq(b.data, "[\"\",\"NE\",\"NW\",\"SE\",\"cv\"]");
    EQUAL(tl_categories_parse(b.data, &d), TL_OK);
    EQUAL(tl_categories_size(d), 5);
    for (int i = 0; i < 5; i++) cr_assert_str_eq(tl_categories_text(d, i), tl_categories_text(c, i));
    EQUAL(tl_categories_ids(d, s, 8, 9, ids), TL_OK);
    cr_assert_arr_eq(ids, want, sizeof want);
    tl_bytes_free(&b);
    tl_categories_free(c);
    tl_categories_free(d);
    static const char *const bad[] = { "", "[", "[\"b\",\"a\"]", "[\"a\",\"a\"]", "[1]", "[\"a\"]x", "{}", "[\"a\",]" };
    for (int i = 0; i < (int)(sizeof bad / sizeof *bad); i++) {
        EQUAL(tl_categories_parse(bad[i], &d), TL_E_FORMAT);
        cr_assert(!d);
    }
    EQUAL(tl_categories_parse(" [ ] ", &d), TL_OK);
    EQUAL(tl_categories_size(d), 0);
    EQUAL(tl_categories_ids(d, s, 1, 3, ids), TL_OK);
    EQUAL(ids[0], 3);
    tl_categories_free(d);
    EQUAL(tl_categories_new((const char *[]){ "\xFF" }, 1, &c), TL_OK);
    EQUAL(tl_categories_print(c, &b), TL_E_ARGUMENT);
    tl_categories_free(c);
    leave();
}

/* ---- whatever fails --------------------------------------------------------------------------------------------- */

static tl_status everything(void)
{
    tl_frame *t;
    tl_array a = { 0 };
    tl_categories *c = NULL, *d = NULL;
    tl_bytes b = { 0 };
    int n;
    tl_status status = tl_frame_read("f", &t, .text = (const char *[]){ "wind" }, .n_text = 1);
    if (status) return status;
    status = tl_frame_array(t, NULL, 0, TL_F32, &a);
    const tl_column *all = tl_frame_columns(t, &n);
    if (!status) status = tl_csv_write("g", all, n, tl_frame_rows(t));
    if (!status) status = tl_categories_new(tl_frame_column(t, "wind")->texts, 4, &c);
    if (!status) status = tl_categories_print(c, &b);
    if (!status) status = tl_categories_parse(b.data, &d);
    tl_categories_free(c);
    tl_categories_free(d);
    tl_bytes_free(&b);
    tl_array_free(&a);
    tl_frame_free(t);
    return status;
}

Test(frame, survives_any_allocation_that_fails)
{
    enter();
    tl_frame_free(weather_table());
    for (uint64_t n = 1;; n++) {
        tl_fail_allocation(n);
        const tl_status status = everything();
        tl_fail_allocation(0);
        EQUAL(tl_live_bytes(), 0);
        if (!status) break;
        EQUAL(status, TL_E_MEMORY);
        cr_assert(n < 100);
    }
    leave();
}

/* ---- what is there ---------------------------------------------------------------------------------------------- */

/* Rows and means as awk has them. */
Test(frame, of_real_series)
{
    static const struct {
        const char *path, *column;
        int64_t rows, missing;
        double sum;
    } want[] = {
        { "timeseries/airline-passengers.csv", "Passengers", 144, 0, 40363 },
        { "timeseries/daily-min-temperatures.csv", "Temp", 3650, 0, 40798.8 },
        { "timeseries/monthly-sunspots.csv", "Sunspots", 2820, 0, 144570.0 },
        { "timeseries/beijing_pm25.csv", "pm2.5", 43824, 2067, 4117792 },
    };
    for (int i = 0; i < 4; i++) {
        const char *path = shared_data(want[i].path);
        if (!path) continue;
        tl_frame *t;
        EQUAL(tl_frame_read(path, &t, .columns = &want[i].column, .n_columns = 1), TL_OK);
        EQUAL(tl_frame_rows(t), want[i].rows);
        EQUAL(tl_frame_missing(t, NULL), want[i].missing);
        tl_frame_drop_missing(t, NULL);
        double sum = 0;
        for (int64_t r = 0; r < tl_frame_rows(t); r++) sum += tl_frame_column(t, want[i].column)->numbers[r];
        cr_assert(fabs(sum - want[i].sum) < 0.05, "%s: %.3f", path, sum); /* one decimal at most */
        tl_frame_free(t);
    }
}

Test(frame, of_real_texts)
{
    tl_frame *t;
    const char *path = shared_data("timeseries/beijing_pm25.csv");
    if (path) {
        EQUAL(tl_frame_read(path, &t, .text = (const char *[]){ "cbwd" }, .n_text = 1), TL_OK);
        tl_categories *c;
        EQUAL(tl_categories_new(tl_frame_column(t, "cbwd")->texts, tl_frame_rows(t), &c), TL_OK);
        EQUAL(tl_categories_size(c), 4);
        cr_assert_str_eq(tl_categories_text(c, 3), "cv");
        tl_categories_free(c);
        tl_frame_free(t);
    }
    path = shared_data("seq/names.tsv");
    if (path) {
        EQUAL(tl_frame_read(path, &t, .no_header = true, .no_quotes = true, .n_missing = TL_ZERO,
                            .text = (const char *[]){ "0", "1" }, .n_text = 2),
              TL_OK);
        EQUAL(tl_frame_rows(t), 20050);
        tl_categories *c;
        EQUAL(tl_categories_new(tl_frame_column(t, "0")->texts, tl_frame_rows(t), &c), TL_OK);
        EQUAL(tl_categories_size(c), 18);
        tl_categories_free(c);
        tl_frame_free(t);
    }
    path = shared_data("imdb/imdb_small_train.tsv.gz");
    if (path) {
        tl_csv *c;
        int n;
        int64_t rows = 0;
        double x, positive = 0;
        EQUAL(tl_csv_open(path, &c, .no_header = true, .no_quotes = true), TL_OK);
        for (; !tl_csv_next(c, &n) && n; rows++) {
            EQUAL(n, 2);
            EQUAL(tl_csv_number(c, 0, &x), TL_OK);
            positive += x;
        }
        EQUAL(rows, 2084);
        EQUAL((int64_t)positive, 1042);
        tl_csv_free(c);
    }
    path = shared_data("speech/fsdd_mfcc13.tsv.gz");
    if (path) {
        EQUAL(tl_frame_read(path, &t, .no_header = true, .text = (const char *[]){ "1", "4" }, .n_text = 2), TL_OK);
        cr_assert(tl_frame_rows(t) > 1000 && !tl_frame_missing(t, NULL));
        tl_frame_free(t);
    }
}
