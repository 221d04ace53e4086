/* tests/test_npy.c - NumPy's files, both ways, with NumPy itself where it is installed. */
#include <errno.h>
#include <math.h>

#include "data_support.h"

static float some_f32[] = { 1, -2.5f, 3e-40f, INFINITY, 0.1f, 7 };
static double some_f64[] = { 0.1, -1e300, 5e-324, 3, 4, 5 };
static int32_t some_i32[] = { INT32_MIN, -1, 0, 1, 2, INT32_MAX };

static bool same(const tl_array *a, const tl_array *b)
{
    return a->dtype == b->dtype && a->rank == b->rank && !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) &&
           (!tl_array_bytes(a) || !memcmp(a->data, b->data, (size_t)tl_array_bytes(a)));
}

static const tl_named_array all[] = {
    { "weights", { .dtype = TL_F32, .rank = 2, .dim = { 2, 3 }, .data = some_f32 } },
    { "exact", { .dtype = TL_F64, .rank = 3, .dim = { 1, 3, 2 }, .data = some_f64 } },
    { "ids", { .dtype = TL_I32, .rank = 1, .dim = { 6 }, .data = some_i32 } },
    { "scalar", { .dtype = TL_F64, .rank = 0, .data = some_f64 } },
    { "none", { .dtype = TL_F32, .rank = 2, .dim = { 0, 4 } } },
    { "a/b \xC3\xA9", { .dtype = TL_I32, .rank = 6, .dim = { 1, 2, 1, 3, 1, 1 }, .data = some_i32 } },
};
enum { ALL = sizeof all / sizeof *all };

/* ---- both ways -------------------------------------------------------------------------------------------------- */

Test(npy, comes_back_as_it_was)
{
    enter();
    for (int i = 0; i < ALL; i++) {
        tl_array a;
        tl_bytes b;
        EQUAL(tl_npy_write("f", &all[i].array), TL_OK);
        EQUAL(tl_npy_read("f", &a), TL_OK);
        cr_assert(same(&a, &all[i].array), "%s", all[i].name);
        tl_array_free(&a);
        EQUAL(tl_file_read("f", &b), TL_OK);
        EQUAL((int64_t)b.size % 64, tl_array_bytes(&all[i].array) % 64); /* the numbers are aligned */
        pack("f.gz", b.data, b.size, "wb");
        tl_bytes_free(&b);
        EQUAL(tl_npy_read("f.gz", &a), TL_OK);
        cr_assert(same(&a, &all[i].array));
        tl_array_free(&a);
    }
    EQUAL(tl_npy_write("f", &(tl_array){ 0 }), TL_E_ARGUMENT);
    EQUAL(tl_npy_write(NULL, &all[0].array), TL_E_ARGUMENT);
    EQUAL(tl_npy_write("no/f", &all[0].array), TL_E_FILE);
    tl_array a;
    EQUAL(tl_npy_read("none", &a), TL_E_FILE);
    cr_assert(!a.data);
    leave();
}

Test(npz, comes_back_as_it_was)
{
    enter();
    for (int deflate = 0; deflate < 2; deflate++)
        for (int count = 0; count <= ALL; count += ALL) {
            tl_npz *f;
            int n;
            EQUAL(tl_npz_write("f", all, count, deflate), TL_OK);
            EQUAL(tl_npz_read("f", &f), TL_OK);
            const tl_named_array *got = tl_npz_arrays(f, &n);
            EQUAL(n, count);
            for (int i = 0; i < n; i++) {
                cr_assert_str_eq(got[i].name, all[i].name);
                cr_assert(same(&got[i].array, &all[i].array), "%s", all[i].name);
                cr_assert(tl_npz_array(f, all[i].name) == &got[i].array);
            }
            cr_assert(!tl_npz_array(f, "scala"));
            tl_npz_free(f);
        }
    tl_npz_free(NULL);
    char *zeros = calloc(1, 8000000);
    const tl_named_array large = { "z", { .dtype = TL_F64, .rank = 1, .dim = { 1000000 }, .data = zeros } };
    tl_npz *f;
    EQUAL(tl_npz_write("f", &large, 1, true), TL_OK);
    tl_bytes b;
    EQUAL(tl_file_read("f", &b), TL_OK);
    cr_assert(b.size < 10000);
    tl_bytes_free(&b);
    EQUAL(tl_npz_read("f", &f), TL_OK);
    cr_assert(same(tl_npz_array(f, "z"), &large.array));
    tl_npz_free(f);
    free(zeros);
    leave();
}

Test(npz, of_what_cannot_be_written_is_refused)
{
    enter();
    const tl_named_array twice[] = { all[0], all[0] };
    EQUAL(tl_npz_write("f", twice, 2, false), TL_E_NAME);
    EQUAL(tl_npz_write("f", &(tl_named_array){ "", all[0].array }, 1, false), TL_E_NAME);
    EQUAL(tl_npz_write("f", &(tl_named_array){ "\xFF", all[0].array }, 1, false), TL_E_NAME);
    EQUAL(tl_npz_write("f", &(tl_named_array){ "x", { 0 } }, 1, false), TL_E_ARGUMENT);
    EQUAL(tl_npz_write("f", NULL, 1, false), TL_E_ARGUMENT);
    char *name = calloc(1, 70000);
    memset(name, 'n', 69999);
    EQUAL(tl_npz_write("f", &(tl_named_array){ name, all[0].array }, 1, false), TL_E_NAME);
    free(name);
    EQUAL(files_here(), 0);
    leave();
}

/* ---- other writers ---------------------------------------------------------------------------------------------- */

/* A file of version `version` with this dictionary and these bytes, exactly as long, so that a sanitizer sees all. */
static tl_status parse(int version, const char *header, const void *data, size_t size, tl_array *a)
{
    const size_t n = strlen(header), front = version == 1 ? 10 : 12;
    unsigned char *bytes = malloc(front + n + size);
    memcpy(bytes, "\x93NUMPY", 6);
    bytes[6] = (unsigned char)version;
    bytes[7] = 0;
    for (size_t i = 8; i < front; i++) bytes[i] = (unsigned char)(n >> 8 * (i - 8));
    memcpy(bytes + front, header, n);
    memcpy(bytes + front + n, data, size);
    const tl_status status = tl_npy_parse("f", bytes, front + n + size, a);
    free(bytes);
    return status;
}

#define TYPE(type) "{'descr': '" type "', 'fortran_order': False, 'shape': (2,), }\n"

static void integers_are(const char *header, const char *data, size_t size, int32_t first, int32_t second)
{
    tl_array a;
    EQUAL(parse(1, header, data, size, &a), TL_OK);
    EQUAL(a.dtype, TL_I32);
    EQUAL(((int32_t *)a.data)[0], first);
    EQUAL(((int32_t *)a.data)[1], second);
    tl_array_free(&a);
}
#define INTEGERS(type, data, first, second) integers_are(TYPE(type), data, sizeof(data) - 1, first, second)

Test(npy, of_other_types_are_converted)
{
    tl_array a;
    INTEGERS("<i4", "\1\0\0\0\xFF\xFF\xFF\xFF", 1, -1);
    INTEGERS(">i4", "\0\0\1\2\x80\0\0\0", 258, INT32_MIN);
    INTEGERS("<i8", "\1\0\0\0\0\0\0\0\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 1, -2);
    INTEGERS(">i8", "\0\0\0\0\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x80\0\0\0", INT32_MAX, INT32_MIN);
    INTEGERS("<u4", "\1\0\0\0\xFF\xFF\xFF\x7F", 1, INT32_MAX);
    INTEGERS("<u8", "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", 1, 2);
    INTEGERS("|u1", "\x80\xFF", 128, 255);
    INTEGERS("|i1", "\x80\xFF", -128, -1);
    INTEGERS("<u2", "\1\x80\xFF\xFF", 32769, 65535);
    INTEGERS(">i2", "\x80\1\xFF\xFF", -32767, -1);
    INTEGERS("|b1", "\0\1", 0, 1);
    EQUAL(parse(1, TYPE("<u4"), "\0\0\0\0\0\0\0\x80", 8, &a), TL_E_FORMAT);
    says("an integer that does not fit 32 bits");
    cr_assert(!a.data);
    EQUAL(parse(1, TYPE("<i8"), "\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0", 16, &a), TL_E_FORMAT);
    EQUAL(parse(1, TYPE("<u8"), "\0\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 16, &a), TL_E_FORMAT);
    EQUAL(parse(1, TYPE(">f4"), "\x3F\xC0\0\0\xC0\x20\0\0", 8, &a), TL_OK);
    cr_assert(((float *)a.data)[0] == 1.5f && ((float *)a.data)[1] == -2.5f);
    tl_array_free(&a);
    EQUAL(parse(2, TYPE(">f8"), "\x3F\xF8\0\0\0\0\0\0\xFF\xF0\0\0\0\0\0\0", 16, &a), TL_OK);
    cr_assert(((double *)a.data)[0] == 1.5 && ((double *)a.data)[1] == -INFINITY);
    tl_array_free(&a);
}

/* 1, -2, the smallest and the largest numbers, infinities, NaN: IEEE 754 binary16. */
Test(npy, of_half_precision_are_converted)
{
    static const struct {
        unsigned bits;
        float want;
    } half[] = { { 0x3C00, 1 },         { 0xC000, -2 },         { 0x0001, 0x1p-24f }, { 0x03FF, 1023 * 0x1p-24f },
                 { 0x0400, 0x1p-14f },  { 0x7BFF, 65504 },      { 0xFBFF, -65504 },   { 0x7C00, INFINITY },
                 { 0xFC00, -INFINITY }, { 0x3555, 0x1.554p-2f } };
    tl_array a;
    for (int i = 0; i < 10; i++) {
        const unsigned char data[4] = { (unsigned char)half[i].bits, (unsigned char)(half[i].bits >> 8), 1, 0x7E };
        EQUAL(parse(3, TYPE("<f2"), data, 4, &a), TL_OK);
        EQUAL(a.dtype, TL_F32);
        cr_assert(((float *)a.data)[0] == half[i].want && isnan(((float *)a.data)[1]), "%x", half[i].bits);
        tl_array_free(&a);
    }
}

Test(npy, in_fortran_order_are_turned)
{
    tl_array a;
    const int32_t data[24] = { 0, 12, 4, 16, 8, 20, 1, 13, 5, 17, 9, 21, 2, 14, 6, 18, 10, 22, 3, 15, 7, 19, 11, 23 };
    EQUAL(parse(1, "{'shape':(2,3,4),\"descr\":'<i4','fortran_order':True}", data, sizeof data, &a), TL_OK);
    for (int i = 0; i < 24; i++) EQUAL(((int32_t *)a.data)[i], i);
    EQUAL(a.dim[2], 4);
    tl_array_free(&a);
}

Test(npy, headers_are_read_as_python_writes_them)
{
    tl_array a;
    static const char *const good[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }                  \n",
        "{'shape': (2L,), 'fortran_order': False, 'descr': '<f4'}",
        "{ \"descr\" : \"=f4\" ,\n 'fortran_order' : True , 'shape' : ( 2 , ) }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, )}",
    };
    for (int i = 0; i < (int)(sizeof good / sizeof *good); i++) {
        EQUAL(parse(1 + i % 3, good[i], some_f32, 8, &a), TL_OK);
        cr_assert(((float *)a.data)[0] == 1 && ((float *)a.data)[1] == -2.5f);
        tl_array_free(&a);
    }
}

/* ---- hostile input ---------------------------------------------------------------------------------------------- */

Test(npy, that_are_hostile_are_refused_with_a_reason)
{
#define WITH(shape) "{'descr': '<f4', 'fortran_order': False, 'shape': " shape "}"
    static const struct {
        const char *header, *why;
    } bad[] = {
        { "", "'{' is missing" },
        { "{}", "descr, fortran_order or shape is missing" },
        { "{'descr': '<f4', 'shape': (2,)}", "descr, fortran_order or shape is missing" },
        { "{'descr': '<f4', 'descr': '<f4'}", "a key that is unknown or comes twice" },
        { "{'color': '<f4'}", "a key that is unknown or comes twice" },
        { "{'descr': '<c8'}", "byte 25: type <c8 is not read" },
        { "{'descr': '|O'}", "type |O is not read" },
        { "{'descr': 'f4'}", "type f4 is not read" },
        { "{'descr': ''}", "type  is not read" },
        { "{'descr': [('a', '<f4')]}", "records are not read" },
        { "{'descr': '<f4}", "a string without end" },
        { "{'descr': 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}", "a string without end" },
        { "{'descr' '<f4'}", "':' is missing" },
        { "{'descr': '<f4' 'shape': (2,)}", "',' is missing" },
        { "{'fortran_order': 0}", "True or False is missing" },
        { "{'fortran_order': Fals", "True or False is missing" },
        { WITH("2"), "'(' is missing" },
        { WITH("(2)"), "',' is missing" },
        { WITH("(-2,)"), "a dimension is missing" },
        { WITH("(2,,)"), "a dimension is missing" },
        { WITH("(2,"), "a dimension is missing" },
        { WITH("(99999999999999999999,)"), "a dimension that is too large" },
        { WITH("(4294967296, 4294967296)"), "a shape with too many elements" },
        { WITH("(4611686018427387904, 0)"), "a shape with too many elements" },
        { WITH("(1, 1, 1, 1, 1, 1, 2)"), "more dimensions than TL_MAX_RANK" },
        { WITH("(3,)"), "8 bytes for 3 elements of 4 bytes" },
        { WITH("(1,)"), "8 bytes for 1 elements of 4 bytes" },
        { WITH("(1000000000000,)"), "8 bytes for 1000000000000 elements" },
        { WITH("(2,)") "x", "something follows the dictionary" },
        { WITH("(2,)") "\n\n x", "something follows the dictionary" },
    };
    tl_array a;
    for (int i = 0; i < (int)(sizeof bad / sizeof *bad); i++) {
        const tl_status status = parse(1, bad[i].header, some_f32, 8, &a);
        cr_assert(status == TL_E_FORMAT, "%s: %s", bad[i].header, tl_message());
        says(bad[i].why);
        cr_assert(!a.data);
    }
    EQUAL(tl_npy_parse("f", "\x93NUMPX\1\0\0\0{}", 12, &a), TL_E_FORMAT);
    says("f: this is no npy file");
    EQUAL(tl_npy_parse("f", "\x93NUMPY\4\0\0\0{}", 12, &a), TL_E_FORMAT);
    says("f: version 4.0 is not known");
    EQUAL(tl_npy_parse("f", "\x93NUMPY\1\0\3\0{}", 12, &a), TL_E_FORMAT);
    says("f: a header of 3 bytes in a file of 12");
    EQUAL(tl_npy_parse("f", "\x93NUMPY\2\0\xFF\xFF\xFF\xFF", 12, &a), TL_E_FORMAT);
    EQUAL(tl_npy_parse("f", NULL, 0, &a), TL_E_FORMAT);
}

static unsigned char *slurp(const char *path, size_t *size)
{
    tl_bytes b;
    EQUAL(tl_file_read(path, &b), TL_OK);
    unsigned char *copy = malloc(b.size ? b.size : 1);
    memcpy(copy, b.data, b.size);
    *size = b.size;
    tl_bytes_free(&b);
    return copy;
}

/* Cut short anywhere, a zip file has lost its end. With a bit turned, it is refused, or it holds the same numbers (dates
 * and the like mean nothing here), or fewer names. */
Test(npz, that_are_damaged_are_refused)
{
    enter();
    for (int deflate = 0; deflate < 2; deflate++) {
        size_t size;
        tl_npz *f;
        int refused = 0;
        EQUAL(tl_npz_write("f", all, 2, deflate), TL_OK);
        unsigned char *data = slurp("f", &size);
        for (size_t n = 0; n < size; n++) {
            unsigned char *part = malloc(n ? n : 1);
            memcpy(part, data, n);
            EQUAL(tl_npz_parse("f", part, n, &f), TL_E_FORMAT);
            free(part);
        }
        for (size_t i = 0; i < size * 8; i++) {
            data[i / 8] ^= (unsigned char)(1 << i % 8);
            const tl_status status = tl_npz_parse("f", data, size, &f);
            cr_assert(status == TL_OK || status == TL_E_FORMAT, "bit %zu: %s", i, tl_message());
            refused += !!status;
            for (int k = 0; k < 2 && !status; k++) {
                const tl_array *a = tl_npz_array(f, all[k].name);
                cr_assert(!a || same(a, &all[k].array), "bit %zu", i);
            }
            tl_npz_free(f);
            data[i / 8] ^= (unsigned char)(1 << i % 8);
        }
        cr_assert(refused > (int)size * 5, "%d of %zu", refused, size * 8);
        free(data);
    }
    leave();
}

/* An archive of one stored entry f.npy, in which the test changes something. */
static unsigned char *archive(size_t *size, size_t *directory)
{
    const tl_named_array one = { "f", { .dtype = TL_F32, .rank = 1, .dim = { 2 }, .data = some_f32 } };
    EQUAL(tl_npz_write("one", &one, 1, false), TL_OK);
    unsigned char *data = slurp("one", size);
    *directory = *size - 22 - 46 - 5;
    cr_assert(!memcmp(data + *directory, "PK\1\2", 4));
    return data;
}

Test(npz, that_are_hostile_are_refused_with_a_reason)
{
    static const struct {
        int end, at, bytes; /* in the record at the end, or in the directory's entry */
        uint32_t value;
        const char *why;
    } bad[] = {
        { 1, 0, 4, 0, "this is no zip file, or its end is missing" },
        { 1, 10, 2, 0xFFFF, "zip64" },
        { 1, 16, 4, 0xFFFFFFFF, "zip64" },
        { 1, 4, 2, 1, "a part of several files" },
        { 1, 8, 2, 2, "a part of several files" },
        { 1, 16, 4, 100000, "the directory is damaged" },
        { 1, 12, 4, 10, "the directory is damaged" },
        { 1, 12, 4, 0x7FFFFFFF, "the directory is damaged" },
        { 0, 0, 4, 0, "the directory is damaged" },
        { 0, 28, 2, 6, "the directory is damaged" },
        { 0, 8, 2, 1, "it is encrypted" },
        { 0, 10, 2, 12, "it is neither stored nor deflated" },
        { 0, 10, 2, 8, "its deflated data are damaged" },
        { 0, 16, 4, 0, "its checksum is wrong" },
        { 0, 20, 4, 0xFFFFFFFF, "f.npy: zip64" },
        { 0, 24, 4, 0xFFFFFFFF, "f.npy: zip64" },
        { 0, 20, 4, 5, "it is neither stored nor deflated" },
        { 0, 20, 4, 100000, "it reaches beyond the end" },
        { 0, 42, 4, 1, "it is not where the directory says" },
        { 0, 42, 4, 100000, "it is not where the directory says" },
        { 0, 46, 1, 'g', "it has another name where it lies" },
        { 0, 46, 1, 0, "a name with a NUL byte" },
    };
    enter();
    for (int i = 0; i < (int)(sizeof bad / sizeof *bad); i++) {
        size_t size, directory;
        tl_npz *f;
        unsigned char *data = archive(&size, &directory), *p = data + (bad[i].end ? size - 22 : directory) + bad[i].at;
        for (int k = 0; k < bad[i].bytes; k++) p[k] = (unsigned char)(bad[i].value >> 8 * k);
        const tl_status status = tl_npz_parse("z", data, size, &f);
        cr_assert(status == TL_E_FORMAT && !f, "%d: %s", i, tl_message());
        cr_assert(strstr(tl_message(), bad[i].why), "%d: '%s' does not say '%s'", i, tl_message(), bad[i].why);
        free(data);
    }
    /* Deflated data cannot be 1000 times as large, and one entry's bytes are not another's as well. */
    size_t size, directory;
    tl_npz *f;
    unsigned char *data = archive(&size, &directory);
    data[directory + 10] = 8;
    memcpy(data + directory + 24, "\xFF\xFF\xFF\x7F", 4);
    EQUAL(tl_npz_parse("z", data, size, &f), TL_E_FORMAT);
    says("z: f.npy: it claims to expand more than deflated data can");
    free(data);
    data = archive(&size, &directory);
    enum { ENTRY = 46 + 5, TIMES = 40 };
    unsigned char *many = malloc(size + TIMES * ENTRY);
    memcpy(many, data, directory);
    for (int i = 0; i < TIMES; i++) memcpy(many + directory + i * ENTRY, data + directory, ENTRY);
    unsigned char *end = many + directory + TIMES * ENTRY;
    memcpy(end, data + size - 22, 22);
    end[8] = end[10] = TIMES;
    end[12] = TIMES * ENTRY & 255;
    end[13] = TIMES * ENTRY >> 8;
    EQUAL(tl_npz_parse("z", many, (size_t)(end - many) + 22, &f), TL_E_FORMAT);
    says("z: f.npy: it overlaps others");
    free(data);
    free(many);
    leave();
}

Test(npz, with_a_name_twice_are_refused)
{
    enter();
    const tl_named_array two[] = { { "one", all[0].array }, { "two", all[1].array } };
    EQUAL(tl_npz_write("f", two, 2, false), TL_OK);
    size_t size;
    tl_npz *f;
    unsigned char *data = slurp("f", &size);
    for (size_t i = 0; i + 7 < size; i++)
        if (!memcmp(data + i, "two.npy", 7)) memcpy(data + i, "one", 3);
    EQUAL(tl_npz_parse("f", data, size, &f), TL_E_FORMAT);
    says("f: the name one twice");
    for (size_t i = 0; i + 7 < size; i++)
        if (!memcmp(data + i, "one.npy", 7)) memcpy(data + i, "one.txt", 7);
    EQUAL(tl_npz_parse("f", data, size, &f), TL_OK); /* no arrays at all */
    int n;
    tl_npz_arrays(f, &n);
    EQUAL(n, 0);
    tl_npz_free(f);
    free(data);
    leave();
}

/* ---- whatever fails --------------------------------------------------------------------------------------------- */

static tl_status everything(void)
{
    tl_npz *f = NULL;
    tl_array a = { 0 };
    tl_status status = tl_npy_write("a", &all[0].array);
    if (!status) status = tl_npy_read("a", &a);
    for (int deflate = 0; deflate < 2 && !status; deflate++) {
        status = tl_npz_write("z", all, ALL, deflate);
        if (!status) status = tl_npz_read("z", &f);
        tl_npz_free(f);
        f = NULL;
    }
    tl_array_free(&a);
    return status;
}

static uint64_t fail_at, seen;
static int fail(tl_file_op op, const char *path) { return (void)op, (void)path, ++seen == fail_at ? ENOSPC : 0; }

Test(npz, survives_whatever_fails)
{
    enter();
    for (uint64_t n = 1;; n++) {
        tl_fail_allocation(n);
        const tl_status status = everything();
        tl_fail_allocation(0);
        EQUAL(tl_live_bytes(), 0);
        if (!status) break;
        EQUAL(status, TL_E_MEMORY);
        cr_assert(n < 1000);
    }
    tl_file_hook = fail;
    for (fail_at = 1;; fail_at++) {
        seen = 0;
        const tl_status status = everything();
        EQUAL(tl_live_bytes(), 0);
        cr_assert(files_here() == 2);
        if (!status) break;
        EQUAL(status, TL_E_FILE);
        says("No space left on device");
    }
    tl_file_hook = NULL;
    leave();
}

/* ---- NumPy ------------------------------------------------------------------------------------------------------ */

/* NumPy writes files of all kinds, we read them and write them again, NumPy compares. */
static const char writes[] =
    "import numpy as np, io\n"
    "r = np.random.RandomState(1)\n"
    "d = {}\n"
    "for t in 'f2 f4 f8 >f4 >f8 >f2 i4 >i4 i8 u1 i1 u2 >i2 u4 b1'.split():\n"
    "    for s in [(), (3,), (2, 3), (4, 1, 5), (0, 2), (2, 3, 1, 2)]:\n"
    "        x = (r.randn(*s) * 100) if 'f' in t else r.randint(0, 100, s)\n"
    "        for order in 'CF':\n"
    "            d['%s%s%d' % (t.replace('>', 'b'), order, len(d))] = np.asarray(x).astype(t).copy(order=order)\n"
    "np.savez('stored.npz', **d)\n"
    "np.savez_compressed('deflated.npz', **d)\n"
    "for v in (1, 2, 3):\n"
    "    np.lib.format.write_array(open('v%d.npy' % v, 'wb'), np.asfortranarray(r.randn(3, 4)), (v, 0))\n"
    "np.save('object.npy', np.array([{}]))\n"
    "np.save('complex.npy', np.array([1j]))\n";
static const char compares[] =
    "import numpy as np\n"
    "for n in ('stored', 'deflated'):\n"
    "    a, b, c = np.load(n + '.npz'), np.load(n + '_out.npz'), np.load(n + '_packed.npz')\n"
    "    assert list(a.keys()) == list(b.keys()) == list(c.keys()) and len(a) == 180\n"
    "    for k in a.keys():\n"
    "        w = a[k].dtype\n"
    "        w = '<f8' if w.kind == 'f' and w.itemsize == 8 else '<f4' if w.kind == 'f' else '<i4'\n"
    "        for o in (b[k], c[k]):\n"
    "            assert o.dtype == np.dtype(w) and o.shape == a[k].shape, (k, o.dtype, o.shape)\n"
    "            assert np.array_equal(a[k].astype(w), o), k\n"
    "for v in (1, 2, 3):\n"
    "    assert np.array_equal(np.load('v%d.npy' % v), np.load('v%d_out.npy' % v))\n";

static int python(const char *program)
{
    put("p.py", program, strlen(program));
    return system("/usr/bin/python3 -W ignore p.py");
}

Test(npy, agrees_with_numpy)
{
    if (system("/usr/bin/python3 -c 'import numpy' 2>/dev/null")) {
        printf("# skipped: /usr/bin/python3 has no numpy\n");
        return;
    }
    enter();
    cr_assert(!python(writes));
    for (int i = 0; i < 2; i++) {
        char path[32];
        tl_npz *f;
        int n;
        const char *name = i ? "deflated" : "stored";
        snprintf(path, sizeof path, "%s.npz", name);
        EQUAL(tl_npz_read(path, &f), TL_OK);
        const tl_named_array *a = tl_npz_arrays(f, &n);
        snprintf(path, sizeof path, "%s_out.npz", name);
        EQUAL(tl_npz_write(path, a, n, false), TL_OK);
        snprintf(path, sizeof path, "%s_packed.npz", name);
        EQUAL(tl_npz_write(path, a, n, true), TL_OK);
        tl_npz_free(f);
    }
    for (int v = 1; v <= 3; v++) {
        char path[16];
        tl_array a;
        snprintf(path, sizeof path, "v%d.npy", v);
        EQUAL(tl_npy_read(path, &a), TL_OK);
        snprintf(path, sizeof path, "v%d_out.npy", v);
        EQUAL(tl_npy_write(path, &a), TL_OK);
        tl_array_free(&a);
    }
    tl_array a;
    EQUAL(tl_npy_read("object.npy", &a), TL_E_FORMAT);
    says("type |O is not read");
    EQUAL(tl_npy_read("complex.npy", &a), TL_E_FORMAT);
    says("type <c16 is not read");
    cr_assert(!python(compares));
    leave();
}
