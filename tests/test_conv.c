/* tests/test_conv.c - windows, convolution, pooling and einsum against their definitions, written here as loops, and PyTorch. */
#include "layers/layers.h"
#include "support.h"

static tl_model *model;
static tl_tape *tape;
static tl_scope *root;

static void setup(void)
{
    model = tl_model_new(.dtype = TL_F64, .seed = 3);
    tape = tl_tape_new(model);
    root = tl_root(tape);
}

static void teardown(void)
{
    tl_tape_free(tape);
    tl_model_free(model);
    cr_assert(tl_live_bytes() == 0);
}

TestSuite(conv, .init = setup, .fini = teardown);
TestSuite(pool, .init = setup, .fini = teardown);
TestSuite(einsum, .init = setup, .fini = teardown);

enum { MOST = 4096 };

/* sin(a i + b) under a shape; v keeps the numbers. */
static tl_tensor wave(double v[MOST], double a, double b, int rank, const int64_t *dim)
{
    int64_t n = 1;
    for (int i = 0; i < rank; i++) n *= dim[i];
    for (int64_t i = 0; i < n; i++) v[i] = sin(a * (double)i + b);
    return tl_const(root, rank, dim, v);
}

static void values_are(int line, tl_tensor y, const double *want, int rank, const int64_t *dim)
{
    cr_assert(!tl_failed(tape), "line %d: %s", line, tl_tape_message(tape));
    cr_assert(tl_rank(y) == rank, "line %d: rank %d", line, tl_rank(y));
    for (int i = 0; i < rank; i++)
        cr_assert(tl_dim(y, i) == dim[i], "line %d: dimension %d is %d", line, i, (int)tl_dim(y, i));
    double *v = values_of(y);
    for (int64_t i = 0; i < tl_size(y); i++)
        cr_assert(fabs(v[i] - want[i]) <= 1e-9 * fabs(want[i]) + 1e-13 || (isnan(v[i]) && isnan(want[i])) ||
                      v[i] == want[i],
                  "line %d, element %d: %.15g, not %.15g", line, (int)i, v[i], want[i]);
    free(v);
}
#define ARE(y, want, ...) values_are(__LINE__, (y), (want), TL_DIMS(__VA_ARGS__))
#define LIST(...) ((double[]){ __VA_ARGS__ })
#define ROW(...) tl_const(root, TL_DIMS(COUNT(LIST(__VA_ARGS__))), LIST(__VA_ARGS__))

static tl_tensor gradient(tl_tensor y, tl_tensor x)
{
    tl_tensor g;
    tl_grad(y, &x, 1, &g);
    return g;
}

static void refused(int line, tl_tensor y, tl_status status, const char *words)
{
    cr_assert(tl_tape_status(tape) == status, "line %d: %s (%s)", line, tl_status_name(tl_tape_status(tape)),
              tl_message());
    cr_assert(strstr(tl_message(), words) && NAMES_LINE(tl_message(), line), "line %d: \"%s\"", line, tl_message());
    cr_assert(!tl_absent(y));
    tl_tape_reset(tape);
    root = tl_root(tape);
}
#define REFUSED(y, status, words) refused(__LINE__, (y), TL_E_##status, (words))

#define CUBE(a, b, c) tl_full(root, TL_DIMS(a, b, c), 1)

/* ---- windows and convolution -------------------------------------------------------------------------------------- */

Test(conv, windows_are_pieces_of_an_axis)
{
    const tl_tensor x = tl_reshape(ROW(1, 2, 3, 4, 5, 6), TL_DIMS(3, 2));
    ARE(tl_windows(x, 0, 2), LIST(1, 2, 3, 4, 3, 4, 5, 6), 2, 2, 2);
    ARE(tl_windows(x, -1, 1), LIST(1, 2, 3, 4, 5, 6), 3, 2, 1);
    ARE(tl_windows(x, 0, 2, .stride = 2, .begin = 1), LIST(0, 0, 1, 2, 3, 4, 5, 6), 2, 2, 2);
    ARE(tl_windows(ROW(1, 2, 3, 4), 0, 2, .dilation = 2, .end = 1, .fill = -7), LIST(1, 3, 2, 4, 3, -7), 3, 2);
    ARE(tl_windows(ROW(1, 2, 3, 4), 0, 2, .stride = 3), LIST(1, 2), 1, 2);
    ARE(tl_windows(ROW(1), 0, 1, .begin = 2, .end = 1), LIST(0, 0, 1, 0), 4, 1);
    ARE(gradient(tl_windows(x, 0, 2), x), LIST(1, 1, 2, 2, 1, 1), 3, 2);
    ARE(tl_windows(tl_reshape(tl_slice(ROW(1), 0, 0, 0), TL_DIMS(3, 0)), 0, 2), LIST(0), 2, 2, 0);
}

Test(conv, tl_zero_is_the_number_zero_in_every_option)
{
    const tl_tensor x = ROW(1, 2, 3), cube = tl_reshape(x, TL_DIMS(3, 1, 1));
    ARE(tl_windows(x, 0, 2, .begin = 1, .end = TL_ZERO, .fill = TL_ZERO), LIST(0, 1, 1, 2, 2, 3), 3, 2);
    ARE(tl_conv1d(cube, CUBE(2, 1, 1), TL_NONE, .begin = TL_ZERO, .end = 1, .fill = TL_ZERO), LIST(3, 5, 3), 3, 1, 1);
    ARE(tl_max_pool1d(cube, 2, .begin = TL_ZERO, .stride = 1), LIST(2, 3), 2, 1, 1);
    ARE(tl_average_pool2d(tl_reshape(x, TL_DIMS(1, 1, 3, 1)), 1, 3, .begin = { TL_ZERO, 1 },
                          .end = { TL_ZERO, TL_ZERO }),
        LIST(1.5), 1, 1, 1, 1);
    REFUSED(tl_windows(tl_full(root, TL_DIMS(3), 1), 0, 2, .stride = TL_ZERO), ARGUMENT, "stride of 0 ");
    REFUSED(tl_windows(tl_full(root, TL_DIMS(3), 1), 0, 2, .dilation = TL_ZERO), ARGUMENT, "dilation of 0 ");
}

typedef struct setting {
    int64_t T, B, C, K, O, stride, dilation, begin, end;
} setting;

static const setting settings[] = { { 5, 2, 2, 3, 2, 1, 1, 0, 0 }, { 5, 2, 2, 3, 2, 2, 1, 2, 1 },
                                    { 5, 2, 2, 3, 2, 1, 2, 4, 0 }, { 7, 1, 3, 2, 4, 3, 3, 1, 5 },
                                    { 4, 3, 1, 1, 5, 1, 1, 0, 0 }, { 3, 2, 2, 3, 1, 1, 1, 0, 0 },
                                    { 9, 2, 1, 4, 1, 4, 2, 3, 0 }, { 2, 2, 2, 3, 2, 5, 1, 9, 9 } };

Test(conv, conv1d_is_a_sum_over_a_window)
{
    static double x[MOST], w[MOST], b[MOST], y[MOST];
    for (int i = 0; i < COUNT(settings); i++) {
        const setting q = settings[i];
        const tl_tensor X = wave(x, 0.7, 0.3, TL_DIMS(q.T, q.B, q.C)), W = wave(w, 1.1, 0.2, TL_DIMS(q.K, q.C, q.O)),
                        bias = wave(b, 2, 1, TL_DIMS(q.O));
        const int64_t n = (q.T + q.begin + q.end - q.dilation * (q.K - 1) - 1) / q.stride + 1;
        double *to = y;
        for (int64_t t = 0; t < n; t++)
            for (int64_t r = 0; r < q.B; r++)
                for (int64_t o = 0; o < q.O; o++, to++) {
                    *to = b[o];
                    for (int64_t k = 0; k < q.K; k++)
                        for (int64_t c = 0; c < q.C; c++) {
                            const int64_t p = t * q.stride + k * q.dilation - q.begin;
                            if (p >= 0 && p < q.T) *to += w[(k * q.C + c) * q.O + o] * x[(p * q.B + r) * q.C + c];
                        }
                }
        ARE(tl_conv1d(X, W, bias, .stride = q.stride, .dilation = q.dilation, .begin = q.begin, .end = q.end), y, n,
            q.B, q.O);
    }
}

/* torch.nn.functional.conv1d on the same numbers, padded with 2 and 1, stride 2; the loss's cotangent is sin(i / 2 + 1). */
Test(conv, conv1d_is_pytorch_s)
{
    static double v[MOST];
    const tl_tensor x = wave(v, 0.7, 0.3, TL_DIMS(5, 2, 2)), w = wave(v, 1.1, 0.2, TL_DIMS(3, 2, 2));
    const tl_tensor y = tl_conv1d(x, w, ROW(0.5, -0.25), .stride = 2, .begin = 2, .end = 1);
    const tl_tensor loss = tl_sum(tl_mul(y, wave(v, 0.5, 1, TL_DIMS(3, 2, 2))), TL_ALL);
    ARE(y,
        LIST(-0.202160308123317, -0.656222922052089, 0.247284896293822, -1.04766394957188, 0.324312136695476,
             -0.74283926793141, 1.06982312637531, -0.667635599205079, -0.020407686689583, -0.418356984641953,
             0.767350289789502, -0.844138860346537),
        3, 2, 2);
    ARE(gradient(loss, x),
        LIST(-0.586682923694422, -0.86815179794124, -1.09160968493664, -1.21619173478869, 0.0529415696326369,
             -0.280682588067987, 1.29033953436678, -1.35044146453582, -0.5929155360641, -0.446070599426961,
             0.450902422295687, 0.734165787887946, 1.34140528190975, -1.17861068638932, 0.159189199472299,
             0.076829321381863, 0.0458221295886574, 1.12467793747343, -0.249617482414692, 0.216971013193163),
        5, 2, 2);
    ARE(gradient(loss, w),
        LIST(-0.587896351517323, -0.626314771259549, -0.967630431783626, -0.962433771234353, 0.284582234394712,
             0.338762614985301, 0.832586325982162, 0.849733967562832, 1.20200681325707, 0.876199053143391,
             0.720937908296588, 0.604766102155297),
        3, 2, 2);
}

Test(conv, conv2d_is_a_sum_over_a_window)
{
    static double x[MOST], w[MOST], y[MOST];
    const int64_t B = 2, H = 5, W = 6, C = 2, KH = 2, KW = 3, O = 3, sh = 2, sw = 1, dh = 1, dw = 2, bh = 1, bw = 0,
                  eh = 0, ew = 3;
    const int64_t h = (H + bh + eh - dh * (KH - 1) - 1) / sh + 1, l = (W + bw + ew - dw * (KW - 1) - 1) / sw + 1;
    const tl_tensor X = wave(x, 0.7, 0.3, TL_DIMS(B, H, W, C)), V = wave(w, 1.1, 0.2, TL_DIMS(KH, KW, C, O));
    for (int64_t i = 0; i < B * h * l * O; i++) {
        const int64_t o = i % O, q = i / O % l, p = i / O / l % h, r = i / O / l / h;
        y[i] = 0;
        for (int64_t j = 0; j < KH * KW * C; j++) {
            const int64_t c = j % C, kw = j / C % KW, kh = j / C / KW;
            const int64_t at = p * sh + kh * dh - bh, along = q * sw + kw * dw - bw;
            if (at < 0 || at >= H || along < 0 || along >= W) continue;
            y[i] += w[j * O + o] * x[((r * H + at) * W + along) * C + c];
        }
    }
    ARE(tl_conv2d(X, V, TL_NONE, .stride = { sh, sw }, .dilation = { dh, dw }, .begin = { bh, bw }, .end = { eh, ew }),
        y, B, h, l, O);
}

/* n / stride windows, rounded up; the odd element of padding comes last. */
Test(conv, same_padding_is_keras)
{
    const tl_tensor w = tl_const(root, TL_DIMS(3, 1, 1), LIST(1, 10, 100));
    const tl_tensor x = tl_reshape(ROW(1, 2, 3, 4, 5), TL_DIMS(5, 1, 1)), x4 = tl_slice(x, 0, 0, 4);
    ARE(tl_conv1d(x, w, TL_NONE, .same = true), LIST(210, 321, 432, 543, 54), 5, 1, 1);
    ARE(tl_conv1d(x, w, TL_NONE, .same = true, .stride = 2), LIST(210, 432, 54), 3, 1, 1);
    ARE(tl_conv1d(x4, w, TL_NONE, .same = true, .stride = 2), LIST(321, 43), 2, 1, 1);
    ARE(tl_conv1d(x4, w, TL_NONE, .same = true, .stride = 4), LIST(321), 1, 1, 1);
    ARE(tl_conv1d(x, w, TL_NONE, .same = true, .dilation = 2), LIST(310, 420, 531, 42, 53), 5, 1, 1);
    const tl_tensor even = tl_slice(w, 0, 0, 2);
    ARE(tl_conv1d(x, even, TL_NONE, .same = true), LIST(21, 32, 43, 54, 5), 5, 1, 1);
    ARE(tl_conv1d(x, even, TL_NONE, .begin = 1), LIST(10, 21, 32, 43, 54), 5, 1, 1); /* causal */
    ARE(tl_conv2d(tl_reshape(x4, TL_DIMS(1, 2, 2, 1)), tl_reshape(w, TL_DIMS(3, 1, 1, 1)), TL_NONE, .same = true),
        LIST(310, 420, 31, 42), 1, 2, 2, 1);
}

/* ---- layers ------------------------------------------------------------------------------------------------------- */

TestSuite(layers, .init = setup, .fini = teardown);

Test(layers, are_the_ops_with_parameters)
{
    static double v[MOST];
    const tl_tensor x = wave(v, 0.7, 0.3, TL_DIMS(5, 2, 3)), image = wave(v, 0.4, 0.1, TL_DIMS(2, 4, 5, 3));
    const tl_tensor y = tl_convolution1d(root, x, .units = 4, .kernel = 3, .dilation = 2, .causal = true,
                                         .activation = tl_tanh, .bias_init = normal);
    const tl_tensor z = tl_convolution2d(root, image, .units = 4, .kernel = { 2, 3 }, .stride = { 1, 2 }, .same = true,
                                         .no_bias = true, .name = "eye");
    cr_assert(!tl_failed(tape), "%s", tl_tape_message(tape));
    tl_scope *again = tl_again(tl_in(root, "conv1d")), *eye = tl_again(tl_in(root, "eye"));
    const tl_tensor W = tl_param(again, "W", TL_DIMS(3, 3, 4)), b = tl_param(again, "b", TL_DIMS(4));
    const tl_tensor V = tl_param(eye, "W", TL_DIMS(2, 3, 3, 4));
    double *want[] = { values_of(tl_tanh(tl_conv1d(x, W, b, .dilation = 2, .begin = 4))),
                       values_of(tl_conv2d(image, V, TL_NONE, .stride = { 1, 2 }, .same = true)) };
    ARE(y, want[0], 5, 2, 4);
    ARE(z, want[1], 2, 4, 3, 4);
    double *w = values_of(V), most = sqrt(6. / (2 * 3 * 3 + 2 * 3 * 4)), largest = 0;
    for (int i = 0; i < 72; i++) largest = fmax(largest, fabs(w[i]));
    cr_assert(largest <= most && largest > 0.9 * most, "Glorot's bounds: %g of %g", largest, most);
    free(want[0]), free(want[1]), free(w);
}

Test(layers, refuse_what_makes_no_sense)
{
    REFUSED(tl_convolution1d(root, CUBE(5, 2, 3), .kernel = 2), ARGUMENT, "convolution1d: .units is missing");
    REFUSED(tl_convolution1d(root, CUBE(5, 2, 3), .units = 2), ARGUMENT, "convolution1d: .kernel is missing");
    REFUSED(tl_convolution2d(root, CUBE(5, 2, 3), .units = 2, .kernel = { 1 }), ARGUMENT, ".kernel is missing");
    REFUSED(tl_convolution2d(root, CUBE(5, 2, 3), .units = 2, .kernel = { 1, 1 }), SHAPE, "x has rank 3");
    REFUSED(tl_convolution1d(root, TL_NONE, .units = 2, .kernel = 1), ABSENT, "x is absent");
    REFUSED(tl_convolution1d(root, CUBE(5, 2, 3), .units = 2, .kernel = 2, .causal = true, .end = 1), ARGUMENT,
            "both .causal and other padding");
    REFUSED(tl_convolution1d(root, CUBE(5, 2, 3), .units = 2, .kernel = 6), SHAPE, "a window of 6 does not fit");
    REFUSED(tl_convolution1d(root, CUBE(5, 2, 3), .units = 2, .kernel = 3, .dilation = INT64_MAX, .causal = true),
            ARGUMENT, "padding of -1");
}

/* ---- pooling ------------------------------------------------------------------------------------------------------ */

Test(pool, windows_give_their_largest_and_their_average)
{
    const tl_tensor x = tl_const(root, TL_DIMS(5, 1, 2), LIST(1, -1, 5, -2, 2, -9, 2, -3, 0, -4));
    ARE(tl_max_pool1d(x, 2), LIST(5, -1, 2, -3), 2, 1, 2);
    ARE(tl_max_pool1d(x, 3, .stride = 1), LIST(5, -1, 5, -2, 2, -3), 3, 1, 2);
    ARE(tl_max_pool1d(x, 2, .begin = 1), LIST(1, -1, 5, -2, 2, -3), 3, 1, 2);
    ARE(tl_max_pool1d(x, 2, .same = true), LIST(5, -1, 2, -3, 0, -4), 3, 1, 2);
    ARE(tl_average_pool1d(x, 2), LIST(3, -1.5, 2, -6), 2, 1, 2);
    ARE(tl_average_pool1d(x, 2, .begin = 1), LIST(1, -1, 3.5, -5.5, 1, -3.5), 3, 1, 2);
    ARE(tl_average_pool1d(x, 2, .begin = 1, .count_padding = true), LIST(0.5, -0.5, 3.5, -5.5, 1, -3.5), 3, 1, 2);
    ARE(tl_average_pool1d(x, 2, .same = true), LIST(3, -1.5, 2, -6, 0, -4), 3, 1, 2);
    const tl_tensor image = tl_const(root, TL_DIMS(1, 3, 3, 1), LIST(1, 2, 3, 4, 9, 6, 7, 8, 5));
    ARE(tl_max_pool2d(image, 2, 2, .stride = { 1, 1 }), LIST(9, 9, 9, 9), 1, 2, 2, 1);
    ARE(tl_max_pool2d(image, 1, 3), LIST(3, 9, 8), 1, 3, 1, 1);
    ARE(tl_average_pool2d(image, 2, 2, .stride = { 1, 1 }), LIST(4, 5, 7, 7), 1, 2, 2, 1);
    ARE(tl_average_pool2d(image, 2, 2, .same = true), LIST(4, 4.5, 7.5, 5), 1, 2, 2, 1);
    ARE(tl_average_pool2d(image, 2, 2, .begin = { 1, 1 }, .count_padding = true), LIST(0.25, 1.25, 2.75, 7), 1, 2, 2,
        1);
}

Test(pool, gradients_go_to_the_first_of_equals)
{
    const tl_tensor x = tl_const(root, TL_DIMS(6, 1, 1), LIST(2, 2, -INFINITY, -INFINITY, NAN, 1));
    const tl_tensor y = tl_max_pool1d(x, 2);
    ARE(y, LIST(2, -INFINITY, NAN), 3, 1, 1);
    ARE(gradient(y, x), LIST(1, 0, 1, 0, 1, 0), 6, 1, 1);
    ARE(gradient(tl_max_pool1d(x, 3, .stride = 1), x), LIST(1, 1, 0, 0, 2, 0), 6, 1, 1);
    const tl_tensor image = tl_const(root, TL_DIMS(1, 2, 3, 1), LIST(1, 3, 3, 3, 0, 3)); /* row by row */
    ARE(gradient(tl_max_pool2d(image, 2, 2, .stride = { 1, 1 }), image), LIST(0, 2, 0, 0, 0, 0), 1, 2, 3, 1);
    ARE(gradient(tl_average_pool1d(tl_reshape(image, TL_DIMS(6, 1, 1)), 4, .stride = 2, .begin = 1), image),
        LIST(1 / 3., 1 / 3. + 0.25, 1 / 3. + 0.25, 0.25, 0.25, 0), 1, 2, 3, 1);
}

/* ---- gradients of first and second order -------------------------------------------------------------------------- */

static tl_tensor all_of_them(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor x = in[0], image = tl_reshape(x, TL_DIMS(2, 3, 4, 2)); /* x [8, 3, 2] */
    const tl_tensor w = tl_param(s, "w", TL_DIMS(3, 2, 2), .init = normal);
    const tl_tensor v = tl_param(s, "v", TL_DIMS(2, 2, 2, 3), .init = normal);
    const tl_tensor b = tl_param(s, "b", TL_DIMS(3), .init = normal);
    const tl_tensor y[] = { tl_conv1d(x, w, tl_slice(b, 0, 0, 2), .stride = 2, .dilation = 2, .begin = 3, .end = 1),
                            tl_conv2d(image, v, b, .stride = { 1, 2 }, .same = true),
                            tl_max_pool1d(tl_square(x), 3, .stride = 2, .begin = 1),
                            tl_average_pool1d(tl_square(x), 3, .stride = 2, .begin = 1),
                            tl_max_pool2d(tl_square(image), 2, 2, .same = true),
                            tl_average_pool2d(tl_square(image), 2, 2, .same = true) };
    tl_tensor loss = tl_full(s, TL_SCALAR, 0);
    for (int i = 0; i < COUNT(y); i++) loss = tl_add(loss, tl_sum(tl_mul(tl_tanh(y[i]), y[i]), TL_ALL));
    return loss;
}

static tl_tensor products(tl_scope *s, const tl_tensor *in, void *user)
{
    (void)user;
    const tl_tensor x = tl_reshape(in[0], TL_DIMS(2, 2, 3, 4)), y = tl_slice(x, 3, 0, 3);
    const tl_tensor W = tl_param(s, "W", TL_DIMS(2, 4, 3), .init = normal);
    const tl_tensor r[] = { tl_einsum("abci,dij,abcj->adb", 3, ((tl_tensor[]){ x, W, y })),
                            tl_einsum("abcc->ba", 1, &y), tl_einsum("aijk,ailk->jal", 2, ((tl_tensor[]){ x, x })),
                            tl_bilinear(x, W, y) };
    tl_tensor loss = tl_full(s, TL_SCALAR, 0);
    for (int i = 0; i < COUNT(r); i++) loss = tl_add(loss, tl_sum(tl_mul(tl_tanh(r[i]), r[i]), TL_ALL));
    return loss;
}

static void checked(tl_model_fn fn)
{
    double x[48];
    uint64_t state = 7;
    for (int i = 0; i < 48; i++) x[i] = noise(&state);
    const tl_array in = DOUBLES(x, 8, 3, 2);
    const tl_gradcheck_result g = tl_gradcheck(model, fn, &in, 1, NULL, .inputs = true, .second_order = true);
    cr_assert(g.passed && g.probes > 0 && !g.kinks, "%s: %g at %s; %d kinks", tl_message(), g.worst, g.where, g.kinks);
}

Test(conv, gradients_agree_with_differences) { checked(all_of_them); }
Test(einsum, gradients_agree_with_differences) { checked(products); }

/* ---- einsum ------------------------------------------------------------------------------------------------------- */

/* The sum over all letters' values, one after the other. */
static void by_definition(const char *equation, int n, double *const x[3], const char *const letters[3],
                          const char *output, const int64_t size[128], double *y)
{
    char all[64] = "";
    int64_t out = 1, terms = 1;
    for (int k = 0; k < n; k++)
        for (const char *c = letters[k]; *c; c++)
            if (!strchr(all, *c)) strncat(all, c, 1), terms *= size[(int)*c];
    for (const char *c = output; *c; c++) out *= size[(int)*c];
    cr_assert(out <= MOST, "%s", equation);
    for (int64_t i = 0; i < out; i++) y[i] = 0;
    for (int64_t i = 0; i < terms; i++) {
        int64_t value[128] = { 0 }, rest = i, at = 0;
        double product = 1;
        for (const char *c = all; *c; c++) value[(int)*c] = rest % size[(int)*c], rest /= size[(int)*c];
        for (int k = 0; k < n; k++) {
            int64_t from = 0;
            for (const char *c = letters[k]; *c; c++) from = from * size[(int)*c] + value[(int)*c];
            product *= x[k][from];
        }
        for (const char *c = output; *c; c++) at = at * size[(int)*c] + value[(int)*c];
        y[at] += product;
    }
}

Test(einsum, is_its_definition)
{
    static const struct {
        const char *equation, *letters[3], *output;
    } cases[] = {
        { "bij,bjk->bik", { "bij", "bjk" }, "bik" },
        { "bij , bkj -> bik", { "bij", "bkj" }, "bik" },
        { "bji,bjk->kib", { "bji", "bjk" }, "kib" },
        { "ij,jk", { "ij", "jk" }, "ik" },
        { "kj,ik", { "kj", "ik" }, "ij" }, /* alphabetical */
        { "ij,ij->", { "ij", "ij" }, "" },
        { "ij,ij->ji", { "ij", "ij" }, "ji" },
        { "bi,bi->b", { "bi", "bi" }, "b" },
        { "i,j->ij", { "i", "j" }, "ij" },
        { "i,j->ji", { "i", "j" }, "ji" },
        { ",ij->ij", { "", "ij" }, "ij" },
        { "ij->ji", { "ij" }, "ji" },
        { "ijk->j", { "ijk" }, "j" },
        { "ba", { "ba" }, "ab" },
        { "ii->i", { "ii" }, "i" },
        { "ii", { "ii" }, "" },
        { "jij->ij", { "jij" }, "ij" },
        { "iji,kk->jk", { "iji", "kk" }, "jk" },
        { "iii->i", { "iii" }, "i" },
        { "abc,cd->abd", { "abc", "cd" }, "abd" },
        { "tbi,ti->b", { "tbi", "ti" }, "b" },
        { "ijk,l->k", { "ijk", "l" }, "k" },
        { "abij,abjk->abik", { "abij", "abjk" }, "abik" },
        { "aibj,bkaj->ikab", { "aibj", "bkaj" }, "ikab" },
        { "bi,oij,bj->bo", { "bi", "oij", "bj" }, "bo" },
        { "i,j,k->kji", { "i", "j", "k" }, "kji" },
        { "ij,jk,kl->il", { "ij", "jk", "kl" }, "il" },
        { "Bq,Bk,Bk->B", { "Bq", "Bk", "Bk" }, "B" },
    };
    static double v[3][MOST], y[MOST];
    int64_t size[128];
    for (int c = 0; c < 128; c++) size[c] = 2 + c % 4;
    for (int i = 0; i < COUNT(cases); i++) {
        tl_tensor x[3];
        int n = 0;
        int64_t dim[TL_MAX_RANK];
        for (; n < 3 && cases[i].letters[n]; n++) {
            const char *l = cases[i].letters[n];
            for (int a = 0; l[a]; a++) dim[a] = size[(int)l[a]];
            x[n] = wave(v[n], 0.9, n, (int)strlen(l), dim);
        }
        by_definition(cases[i].equation, n, (double *[]){ v[0], v[1], v[2] }, cases[i].letters, cases[i].output, size,
                      y);
        for (int a = 0; cases[i].output[a]; a++) dim[a] = size[(int)cases[i].output[a]];
        const tl_tensor r = tl_einsum(cases[i].equation, n, x);
        cr_assert(!tl_failed(tape), "%s: %s", cases[i].equation, tl_tape_message(tape));
        values_are(1000 + i, r, y, (int)strlen(cases[i].output), dim);
    }
}

Test(einsum, agrees_with_bilinear)
{
    static double v[MOST];
    const tl_tensor x[] = { wave(v, 0.7, 0.3, TL_DIMS(2, 3, 4)), wave(v, 1.3, 0.2, TL_DIMS(5, 4, 2)),
                            wave(v, 0.9, 1, TL_DIMS(2, 3, 2)) };
    double *want = values_of(tl_einsum("abi,oij,abj->abo", 3, x));
    ARE(tl_bilinear(x[0], x[1], x[2]), want, 2, 3, 5);
    free(want);
    static const double zeros[30];
    ARE(tl_bilinear(tl_slice(x[0], 2, 0, 0), tl_slice(x[1], 1, 0, 0), x[2]), zeros, 2, 3, 5);
}

/* Each allocation fails in turn: an error, and nothing is lost. */
Test(conv, survives_lack_of_memory)
{
    double x[48] = { 0 };
    const tl_array in = DOUBLES(x, 8, 3, 2);
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        tl_tape *t = NULL;
        tl_fail_allocation(n);
        tl_model *m = tl_model_new(.dtype = TL_F64);
        if (m) t = tl_tape_new(m);
        if (t) {
            const tl_tensor handle = tl_input(tl_root(t), "x", in);
            tl_backward(
                tl_add(all_of_them(tl_root(t), &handle, NULL), products(tl_in(tl_root(t), "p"), &handle, NULL)));
        }
        const bool failed = tl_failed(t);
        tl_fail_allocation(0);
        cr_assert(!t || !failed || tl_tape_status(t) == TL_E_MEMORY, "%s", tl_message());
        tl_tape_free(t);
        tl_model_free(m);
        failures += failed;
        if (!failed) break;
    }
    cr_assert(failures > 3, "%d", failures);
}

Test(einsum, of_a_batch_is_one_product)
{
    static double v[MOST];
    const tl_tensor x = wave(v, 1, 0, TL_DIMS(2, 3, 4)), y = wave(v, 2, 0, TL_DIMS(2, 5, 4));
    const uint32_t from = tape->n;
    tl_einsum("bij,bkj->bik", 2, ((tl_tensor[]){ x, y }));
    cr_expect_eq(census(tape, from, "matmul"), 1);
    cr_expect_eq(census(tape, from, NULL), 1 + census(tape, from, "reshape"), "only a product and views");
    const uint32_t then = tape->n;
    tl_einsum("abi,ik->abk", 2, ((tl_tensor[]){ x, tl_reshape(y, TL_DIMS(4, 10)) }));
    cr_expect_eq(census(tape, then, "matmul"), 1);
    cr_expect_eq(census(tape, then, "permute"), 0);
}

Test(einsum, sums_nothing_to_zero)
{
    const tl_tensor x = tl_const(root, TL_DIMS(2, 0), NULL), y = tl_const(root, TL_DIMS(0, 3), NULL);
    ARE(tl_einsum("ij,jk->ik", 2, ((tl_tensor[]){ x, y })), LIST(0, 0, 0, 0, 0, 0), 2, 3);
    ARE(tl_einsum("ij->i", 1, &x), LIST(0, 0), 2);
    ARE(tl_einsum("ij,ij->ij", 2, ((tl_tensor[]){ x, x })), LIST(0), 2, 0);
    const tl_tensor none = tl_reshape(x, TL_DIMS(0, 0));
    ARE(tl_einsum("ii->i", 1, &none), LIST(0), 0);
}

/* ---- what is refused ----------------------------------------------------------------------------------------------- */

#define M(a, b) tl_full(root, TL_DIMS(a, b), 1)
#define PAIR(a, b) 2, ((tl_tensor[]){ a, b })
#define ONE(a) 1, ((tl_tensor[]){ a })
Test(einsum, refuses_bad_equations)
{
    REFUSED(tl_einsum(NULL, ONE(M(2, 3))), ARGUMENT, "einsum [2,3]: there is no equation");
    REFUSED(tl_einsum("i1", ONE(M(2, 3))), ARGUMENT, "\"1\" does not begin with a letter");
    REFUSED(tl_einsum("...i", ONE(M(2, 3))), ARGUMENT, "does not begin with a letter");
    REFUSED(tl_einsum("ijklmno", ONE(M(2, 3))), ARGUMENT, "more than 6 letters");
    REFUSED(tl_einsum("ij,jk->ik", ONE(M(2, 3))), ARGUMENT, "\"ij,jk->ik\" is not for 1 operands");
    REFUSED(tl_einsum("ij->ik", PAIR(M(2, 3), M(3, 4))), ARGUMENT, "is not for 2 operands");
    REFUSED(tl_einsum("", PAIR(M(2, 3), M(3, 4))), SHAPE, "operand 0 has 2 axes, and 0 letters");
    REFUSED(tl_einsum("ijk->i", ONE(M(2, 3))), SHAPE, "operand 0 has 2 axes, and 3 letters");
    REFUSED(tl_einsum("ij,jk->ik", PAIR(M(2, 3), M(4, 5))), SHAPE, "einsum [2,3] x [4,5]: j is 3, and 4 in operand 1");
    REFUSED(tl_einsum("ii->i", ONE(M(2, 3))), SHAPE, "i is 2, and 3 in operand 0");
    REFUSED(tl_einsum("ij->ik", ONE(M(2, 3))), ARGUMENT, "no operand has the output's k");
    REFUSED(tl_einsum("ij->ii", ONE(M(2, 3))), ARGUMENT, "the output has i twice");
    REFUSED(tl_einsum("ij->i->j", ONE(M(2, 3))), ARGUMENT, "\"->j\" after the output");
    REFUSED(tl_einsum("ij->i,j", ONE(M(2, 3))), ARGUMENT, "\",j\" after the output");
    REFUSED(tl_einsum("ij-i", ONE(M(2, 3))), ARGUMENT, "\"-i\" does not begin");
    REFUSED(tl_einsum("ij,jk", PAIR(M(2, 3), TL_NONE)), ABSENT, "absent");
    REFUSED(tl_einsum("abcd,efgh", PAIR(tl_full(root, TL_DIMS(1, 1, 1, 1), 1), tl_full(root, TL_DIMS(1, 1, 1, 1), 1))),
            SHAPE, "more than 6 axes");
    cr_assert(!tl_absent(tl_einsum("ij", 0, NULL)) && !tl_failed(tape));
    REFUSED(tl_bilinear(M(2, 3), M(3, 4), M(2, 4)), SHAPE, "bilinear [2,3] x [3,4] x [2,4]");
    REFUSED(tl_bilinear(M(2, 3), tl_full(root, TL_DIMS(5, 3, 4), 1), M(3, 4)), SHAPE, "[O,I,J]");
}

Test(pool, refuses_windows_of_padding_alone)
{
    REFUSED(tl_average_pool1d(CUBE(3, 1, 1), 2, .begin = 2), ARGUMENT,
            "average_pool1d [3,1,1]: padding must be smaller");
    REFUSED(tl_max_pool1d(CUBE(3, 1, 1), 2, .end = 2), ARGUMENT, "max_pool1d [3,1,1]: padding must be smaller");
    REFUSED(tl_max_pool2d(tl_full(root, TL_DIMS(1, 3, 3, 1), 1), 1, 2, .begin = { 1, 1 }), ARGUMENT,
            "max_pool2d [1,3,3,1]: padding");
    ARE(tl_average_pool1d(CUBE(3, 1, 1), 2, .begin = 1, .end = 1), LIST(1, 1), 2, 1, 1);
}

/* A call that is made of others speaks of itself. */
Test(conv, composed_calls_are_named)
{
    const int32_t id[3] = { 0, 1, 2 };
#define X tl_full(root, TL_DIMS(2, 3), 1)
    REFUSED(tl_flip(X, 2), ARGUMENT, "flip [2,3]: there is no axis 2");
    REFUSED(tl_roll(X, 1, -3), ARGUMENT, "roll [2,3]: there is no axis -3");
    REFUSED(tl_softmax_axis(X, 2), ARGUMENT, "softmax_axis [2,3]: there is no axis 2");
    REFUSED(tl_log_softmax_axis(X, 2), ARGUMENT, "log_softmax_axis [2,3]: there is no axis 2");
    REFUSED(tl_sort(X, 2), ARGUMENT, "sort [2,3]: there is no axis 2");
    REFUSED(tl_sort(tl_ids_const(root, TL_DIMS(3), id), 0), DTYPE, " sort [3]: ");
    REFUSED(tl_topk(X, 4, 1, NULL), SHAPE, "topk [2,3]: there are not 4 of 3");
    REFUSED(tl_topk(X, 1, -3, NULL), ARGUMENT, "topk [2,3]: there is no axis -3");
    REFUSED(tl_min(X, TL_AXES(2)), ARGUMENT, "min [2,3]: there is no axis 2");
    REFUSED(tl_logsumexp(X, TL_AXES(1, -1)), ARGUMENT, "logsumexp [2,3]: axis 1 is named twice");
    REFUSED(tl_rms_norm(tl_full(root, TL_SCALAR, 1), TL_NONE, 0), ARGUMENT, "rms_norm []: there is no axis -1");
}

Test(conv, numbers_that_make_no_sense_are_refused)
{
    REFUSED(tl_var(X, TL_ALL, -1), ARGUMENT, "var [2,3]: correction = -1");
    REFUSED(tl_std_keep(X, TL_AXES(0), NAN), ARGUMENT, "std [2,3]: correction = nan");
    REFUSED(tl_layer_norm(X, TL_NONE, TL_NONE, -1e-3), ARGUMENT, "layer_norm [2,3]: epsilon = -0.001");
    REFUSED(tl_rms_norm(X, TL_NONE, NAN), ARGUMENT, "rms_norm [2,3]: epsilon = nan");
    REFUSED(tl_l2_normalize(X, TL_ALL, -1), ARGUMENT, "l2_normalize [2,3]: epsilon = -1");
    REFUSED(tl_celu(X, INFINITY), ARGUMENT, "celu [2,3]: alpha = inf");
    REFUSED(tl_random_normal(root, TL_DIMS(-1)), ARGUMENT, "dimension -1");
    REFUSED(tl_l1(X, -1), ARGUMENT, "l1: factor = -1");
    REFUSED(tl_l2(X, NAN), ARGUMENT, "l2: factor = nan");
    tl_param(root, "w", TL_DIMS(2), .init = tl_normal(0, 1));
    REFUSED(tl_penalty(root, NULL, .l2 = -1), ARGUMENT, "penalty: .l2 = -1");
}

Test(conv, refuses_what_does_not_fit)
{
    REFUSED(tl_conv1d(CUBE(5, 2, 3), CUBE(2, 4, 1), TL_NONE), SHAPE,
            "conv1d [5,2,3] x [2,4,1]: 3 channels, and a kernel for 4");
    REFUSED(tl_conv1d(M(5, 2), CUBE(2, 4, 1), TL_NONE), SHAPE, "conv1d [5,2] x [2,4,1]: they should be [T,B,C]");
    REFUSED(tl_conv1d(TL_NONE, CUBE(2, 4, 1), TL_NONE), ABSENT, "absent");
    REFUSED(tl_conv1d(CUBE(5, 2, 3), TL_NONE, TL_NONE), ABSENT, "absent");
    REFUSED(tl_conv1d(CUBE(5, 2, 3), CUBE(2, 3, 4), tl_full(root, TL_DIMS(3), 1)), SHAPE, "added to");
    REFUSED(tl_conv1d(CUBE(2, 1, 1), CUBE(3, 1, 1), TL_NONE), SHAPE,
            "a window of 3 does not fit into axis 0, which has 2 with its padding");
    REFUSED(tl_conv1d(CUBE(2, 1, 1), CUBE(2, 1, 1), TL_NONE, .dilation = 2), SHAPE, "a window of 3 does not fit");
    REFUSED(tl_conv1d(CUBE(2, 1, 1), CUBE(1, 1, 1), TL_NONE, .stride = -1), ARGUMENT, "stride of -1");
    REFUSED(tl_conv1d(CUBE(2, 1, 1), CUBE(1, 1, 1), TL_NONE, .begin = -1), ARGUMENT, "padding that is negative");
    REFUSED(tl_conv1d(CUBE(2, 1, 1), CUBE(1, 1, 1), TL_NONE, .end = -1), ARGUMENT, "padding that is negative");
    REFUSED(tl_conv1d(CUBE(2, 1, 1), CUBE(1, 1, 1), TL_NONE, .end = 1, .same = true), ARGUMENT, "both .same and");
    REFUSED(tl_conv1d(CUBE(2, 1, 1), CUBE(0, 1, 1), TL_NONE), ARGUMENT, "elements of 0");
    REFUSED(tl_conv1d(CUBE(2, 1, 1), CUBE(1, 1, 1), TL_NONE, .end = INT64_MAX), ARGUMENT, "too large");
    REFUSED(tl_windows(tl_full(root, TL_DIMS(0, 2), 1), 0, 1, .begin = INT64_MAX), ARGUMENT, "too large");
    REFUSED(tl_windows(M(2, 1), INT32_MAX, 1), ARGUMENT, "there is no axis 2147483647");
    REFUSED(tl_conv2d(CUBE(2, 1, 1), CUBE(1, 1, 1), TL_NONE), SHAPE,
            "conv2d [2,1,1] x [1,1,1]: they should be [B,H,W,C]");
    REFUSED(tl_max_pool1d(M(2, 1), 2), SHAPE, "max_pool1d [2,1]: it should be [T,B,C]");
    REFUSED(tl_average_pool2d(M(2, 1), 2, 2), SHAPE, "average_pool2d [2,1]: it should be [B,H,W,C]");
    REFUSED(tl_max_pool1d(CUBE(2, 1, 1), 0), ARGUMENT, "elements of 0");
    REFUSED(tl_windows(M(2, 1), 2, 1), ARGUMENT, "there is no axis 2");
    REFUSED(tl_windows(tl_full(root, TL_DIMS(1, 1, 1, 1, 1, 1), 1), 0, 1), SHAPE, "no room for another axis");
    REFUSED(tl_windows_opt(TL_HERE, M(2, 1), 0, 1, &(tl_window_opts){ .stride = 1 }), ARGUMENT, ".size is not set");
    cr_assert_eq(tl_dim(tl_windows_opt(TL_HERE, M(3, 1), 0, 2, NULL), 0), 2);
}
