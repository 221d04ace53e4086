/* tests/test_series.c - scalers, windows over time series. */
#include <math.h>

#include "data_support.h"

#define MATRIX(rows, columns, ...) tl_array_of(TL_F64, TL_DIMS(rows, columns), (double[]){ __VA_ARGS__ })
#define NEAR(got, want)                                                                                                \
    cr_assert(fabs((got) - (want)) < 1e-12, "%s is %.17g, not %.17g", #got, (double)(got), (double)(want))

/* ---- scalers ---------------------------------------------------------------------------------------------------- */

/* Columns: 1 2 3 4 | alike | with NaN 10 20 30 | nothing but NaN; the last row is not for training. */
static double values[] = { 1, 0.1, 10, NAN, 2, 0.1, NAN, NAN, 3, 0.1, 20, NAN, 4, 0.1, 30, NAN, 100, 7, -50, 5 };
static tl_array matrix(void) { return tl_array_of(TL_F64, TL_DIMS(5, 4), values); }

Test(scaler, standardises_by_the_rows_it_is_given)
{
    tl_scaler s;
    tl_array x = matrix();
    EQUAL(tl_scaler_fit(&s, &x, 0, 4), TL_OK);
    EQUAL(s.n, 4);
    NEAR(s.offset[0], 2.5);
    NEAR(s.scale[0], sqrt(1.25)); /* (1.5^2 + 0.5^2 + 0.5^2 + 1.5^2) / 4 */
    cr_assert(s.offset[1] == 0.1 && s.scale[1] == 1);
    NEAR(s.offset[2], 20);
    NEAR(s.scale[2], sqrt(200.0 / 3));
    cr_assert(s.offset[3] == 0 && s.scale[3] == 1);
    EQUAL(tl_scaler_apply(&s, &x, 0), TL_OK);
    NEAR(values[0], -1.5 / sqrt(1.25));
    NEAR(values[1], 0);
    NEAR(values[16], 97.5 / sqrt(1.25));
    NEAR(values[17], 6.9);
    cr_assert(isnan(values[3]) && values[19] == 5);
    EQUAL(tl_scaler_invert(&s, &x, 0), TL_OK);
    NEAR(values[16], 100);
    NEAR(values[18], -50);
    tl_scaler_free(&s);
    EQUAL(tl_scaler_fit(&s, &x, 1, 4), TL_OK);
    cr_assert(s.offset[1] == 0.1 &&
              s.scale[1] == 1); /* exactly, though 0.1 + 0.1 + 0.1 is not 0.3: rounding is no spread */
    tl_scaler_free(&s);
    cr_assert(!s.n && !s.scale);
    tl_scaler_free(NULL);
    EQUAL(tl_live_bytes(), 0);
}

Test(scaler, brings_to_an_interval)
{
    tl_scaler s;
    tl_array x = matrix();
    EQUAL(tl_scaler_fit(&s, &x, 0, 4, .kind = TL_MINMAX, .low = -1), TL_OK);
    EQUAL(tl_scaler_apply(&s, &x, 0), TL_OK);
    NEAR(values[0], -1);
    NEAR(values[4], -1 / 3.0);
    NEAR(values[12], 1);
    NEAR(values[2], -1);
    NEAR(values[10], 0);
    NEAR(values[16], 65);
    NEAR(values[1], -1); /* all alike: the lower end */
    tl_scaler_free(&s);
    EQUAL(tl_scaler_fit(&s, &x, 0, 5, .kind = TL_MINMAX), TL_OK);
    EQUAL(tl_scaler_apply(&s, &x, 0), TL_OK);
    NEAR(values[0], 0);
    NEAR(values[16], 1);
    tl_scaler_free(&s);
    EQUAL(tl_scaler_fit(&s, &x, 0, 5, .kind = TL_MINMAX, .low = -2, .high = TL_ZERO), TL_OK);
    EQUAL(tl_scaler_apply(&s, &x, 0), TL_OK);
    NEAR(values[0], -2);
    NEAR(values[16], 0);
    tl_scaler_free(&s);
}

Test(scaler, serves_some_of_its_columns_and_either_type)
{
    tl_scaler s;
    tl_array x = MATRIX(2, 3, 0, 10, 100, 2, 30, 300);
    float some[] = { -1, 1, 0 };
    tl_array y = tl_array_of(TL_F32, TL_DIMS(3, 1, 1), some);
    EQUAL(tl_scaler_fit(&s, &x, 0, 2), TL_OK);
    EQUAL(tl_scaler_invert(&s, &y, 2), TL_OK);
    cr_assert(some[0] == 100 && some[1] == 300 && some[2] == 200);
    EQUAL(tl_scaler_apply(&s, &y, 2), TL_OK);
    cr_assert(some[0] == -1 && some[1] == 1 && some[2] == 0);
    EQUAL(tl_scaler_apply(&s, &y, 3), TL_E_SHAPE);
    says("tl_scaler_apply: columns 3 to 4 of a scaler of 3");
    EQUAL(tl_scaler_apply(&s, &y, -1), TL_E_SHAPE);
    EQUAL(tl_scaler_invert(&s, &x, 1), TL_E_SHAPE);
    EQUAL(tl_scaler_apply(&s, &(tl_array){ .dtype = TL_I32, .rank = 1, .dim = { 1 }, .data = some }, 0), TL_E_DTYPE);
    tl_scaler_free(&s);
}

Test(scaler, refuses_what_makes_no_sense)
{
    tl_scaler s;
    tl_array x = MATRIX(2, 2, 1, 2, INFINITY, 4);
    EQUAL(tl_scaler_fit(&s, &x, 0, 2), TL_E_NONFINITE);
    says("tl_scaler_fit: row 1 of column 0 is infinite");
    cr_assert(!s.scale);
    EQUAL(tl_scaler_fit(&s, &x, 0, 3), TL_E_INDEX);
    EQUAL(tl_scaler_fit(&s, &x, -1, 1), TL_E_INDEX);
    EQUAL(tl_scaler_fit(&s, &x, 2, 1), TL_E_INDEX);
    EQUAL(tl_scaler_fit(&s, &x, 0, 1, .kind = 7), TL_E_ARGUMENT);
    EQUAL(tl_scaler_fit(&s, &x, 0, 1, .kind = TL_MINMAX, .low = 1), TL_E_ARGUMENT);
    EQUAL(tl_scaler_fit(&s, &x, 0, 1, .kind = TL_MINMAX, .low = NAN), TL_E_ARGUMENT);
    EQUAL(tl_scaler_fit(&s, NULL, 0, 1), TL_E_DTYPE);
    tl_array flat = tl_array_of(TL_F64, TL_DIMS(1), values);
    EQUAL(tl_scaler_fit(&s, &flat, 0, 1), TL_E_SHAPE);
    EQUAL(tl_live_bytes(), 0);
}

Test(scaler, comes_back_from_its_file)
{
    enter();
    tl_scaler s, r;
    tl_array x = matrix();
    EQUAL(tl_scaler_fit(&s, &x, 0, 5), TL_OK);
    EQUAL(tl_scaler_save(&s, "f"), TL_OK);
    EQUAL(tl_scaler_load("f", &r), TL_OK);
    EQUAL(r.n, 4);
    cr_assert(!memcmp(s.offset, r.offset, 32) && !memcmp(s.scale, r.scale, 32));
    tl_scaler_free(&r);
    s.scale[2] = 0;
    EQUAL(tl_scaler_save(&s, "f"), TL_OK);
    EQUAL(tl_scaler_load("f", &r), TL_E_FORMAT);
    says("f: offset and scale of column 2 make no sense");
    cr_assert(!r.scale);
    const tl_named_array bad = { "offset", tl_array_of(TL_F64, TL_DIMS(4), s.offset) };
    EQUAL(tl_safetensors_write("f", &bad, 1, NULL, 0), TL_OK);
    EQUAL(tl_scaler_load("f", &r), TL_E_FORMAT);
    EQUAL(tl_scaler_load("none", &r), TL_E_FILE);
    tl_scaler_free(&s);
    leave();
}

/* ---- windows ---------------------------------------------------------------------------------------------------- */

/* Row r of a series of two columns: r, 100 + r. */
static tl_array two_columns(int rows, tl_dtype dtype)
{
    static double wide[200];
    static float narrow[200];
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < 2; k++) narrow[2 * r + k] = (float)(wide[2 * r + k] = 100 * k + r);
    return dtype == TL_F64 ? tl_array_of(TL_F64, TL_DIMS(rows, 2), wide)
                           : tl_array_of(TL_F32, TL_DIMS(rows, 2), narrow);
}

static double at(const tl_array *a, int64_t i)
{
    return a->dtype == TL_F64 ? ((double *)a->data)[i] : ((float *)a->data)[i];
}

/* Every number of every window, for all small sizes: written down from the definition. */
Test(windows, hold_the_rows_that_they_should)
{
    int checked = 0;
    for (int rows = 0; rows <= 7; rows++)
        for (int T = 1; T <= 3; T++)
            for (int h = 0; h <= 2; h++)
                for (int P = 1; P <= 2; P++)
                    for (int stride = 1; stride <= 3; stride++) {
                        const tl_dtype dtype = checked++ % 2 ? TL_F32 : TL_F64;
                        tl_array x = two_columns(rows, dtype), in, out;
                        EQUAL(tl_series_windows(&x, &in, &out, .steps = T, .horizon = h ? h : TL_ZERO, .predict = P,
                                                .stride = stride, .target = 1),
                              TL_OK);
                        int n = 0;
                        for (int first = 0; first + T - 1 + h + P - 1 < rows; first += stride, n++) {
                            cr_assert(n < in.dim[0]);
                            for (int t = 0; t < T; t++)
                                for (int k = 0; k < 2; k++) EQUAL(at(&in, (n * T + t) * 2 + k), 100 * k + first + t);
                            for (int p = 0; p < P; p++) EQUAL(at(&out, n * P + p), 100 + first + T - 1 + h + p);
                        }
                        EQUAL(in.dim[0], n);
                        EQUAL(in.rank, 3);
                        EQUAL(in.dim[1], T);
                        EQUAL(in.dim[2], 2);
                        EQUAL(in.dtype, dtype);
                        EQUAL(out.dim[0], n);
                        EQUAL(out.rank, P > 1 ? 3 : 2);
                        EQUAL(out.dim[1], P > 1 ? P : 1);
                        tl_array_free(&in);
                        tl_array_free(&out);
                    }
    EQUAL(tl_live_bytes(), 0);
}

Test(windows, may_leave_out_what_is_missing)
{
    tl_array x = two_columns(10, TL_F64), in, out;
    ((double *)x.data)[2 * 4 + 1] = NAN; /* row 4, column 1 */
    EQUAL(tl_series_windows(&x, &in, &out, .steps = 2, .skip_missing = true), TL_OK);
    EQUAL(in.dim[0], 6); /* of 8, but for those that begin at 3 and 4; as a target, column 0 is there */
    const double want[] = { 2, 3, 4, 7, 8, 9 };
    cr_assert_arr_eq(out.data, want, sizeof want);
    tl_array_free(&in);
    tl_array_free(&out);
    EQUAL(tl_series_windows(&x, NULL, &out, .steps = 2, .n_targets = 2, .skip_missing = true), TL_OK);
    EQUAL(out.dim[0], 5); /* nor that which predicts row 4 */
    EQUAL(out.dim[1], 2);
    const double both[] = { 2, 102, 3, 103, 7, 107, 8, 108, 9, 109 };
    cr_assert_arr_eq(out.data, both, sizeof both);
    tl_array_free(&out);
    EQUAL(tl_series_windows(&x, &in, NULL, .steps = 2), TL_OK);
    EQUAL(in.dim[0], 8);
    tl_array_free(&in);
}

Test(windows, refuse_what_makes_no_sense)
{
    tl_array x = two_columns(10, TL_F64), in, out, flat = tl_array_of(TL_F64, TL_DIMS(20), x.data);
    EQUAL(tl_series_windows(&x, &in, &out), TL_E_ARGUMENT);
    says(".steps");
    EQUAL(tl_series_windows(&x, &in, &out, .steps = 2, .stride = -1), TL_E_ARGUMENT);
    EQUAL(tl_series_windows(&x, &in, &out, .steps = 2, .predict = TL_ZERO), TL_E_ARGUMENT);
    EQUAL(tl_series_windows(&x, &in, &out, .steps = 2, .horizon = -1), TL_E_ARGUMENT);
    EQUAL(tl_series_windows(&x, &in, &out, .steps = 2, .target = 2), TL_E_ARGUMENT);
    EQUAL(tl_series_windows(&x, &in, &out, .steps = 2, .target = 1, .n_targets = 2), TL_E_ARGUMENT);
    EQUAL(tl_series_windows(&x, &in, &out, .steps = 2, .n_targets = INT64_MAX), TL_E_ARGUMENT);
    EQUAL(tl_series_windows(&flat, &in, &out, .steps = 2), TL_E_SHAPE);
    flat.dtype = TL_I32;
    EQUAL(tl_series_windows(&flat, &in, &out, .steps = 2), TL_E_DTYPE);
    cr_assert(!in.data && !out.data);
    EQUAL(tl_series_windows(&x, &in, &out, .steps = INT64_MAX, .horizon = INT64_MAX, .predict = INT64_MAX), TL_OK);
    EQUAL(in.dim[0], 0);
    tl_array_free(&in);
    tl_array_free(&out);
}

/* ---- whatever fails --------------------------------------------------------------------------------------------- */

static tl_status everything(void)
{
    tl_scaler s, r = { 0 };
    tl_array x = two_columns(10, TL_F32), in = { 0 }, out = { 0 };
    tl_status status = tl_scaler_fit(&s, &x, 0, 10);
    if (!status) status = tl_scaler_save(&s, "f");
    if (!status) status = tl_scaler_load("f", &r);
    if (!status) status = tl_series_windows(&x, &in, &out, .steps = 2);
    cr_assert(!status || (!in.data && !out.data)); /* both or none */
    tl_scaler_free(&s);
    tl_scaler_free(&r);
    tl_array_free(&in);
    tl_array_free(&out);
    return status;
}

Test(windows, survive_any_allocation_that_fails)
{
    enter();
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

/* Of the last third of each series: how far a month is from the one before it, or from the same month of the year before,
 * as data/README.md there tells, with two digits. Scaled and given back on the way. */
Test(windows, of_real_series_have_the_error_of_persistence)
{
    static const struct {
        const char *path, *column;
        int horizon, from; /* the first row that is predicted */
        double rmse;
    } want[] = {
        { "timeseries/monthly-sunspots.csv", "Sunspots", 1, 1889, 18.40 },
        { "timeseries/daily-min-temperatures.csv", "Temp", 1, 2433, 2.62 },
        { "timeseries/airline-passengers.csv", "Passengers", 12, 96, 41.85 },
    };
    for (int i = 0; i < 3; i++) {
        const char *path = shared_data(want[i].path);
        if (!path) continue;
        tl_frame *t;
        tl_array x, in, out;
        tl_scaler s;
        EQUAL(tl_frame_read(path, &t, .text = (const char *[]){ "0" }, .n_text = 1), TL_OK);
        EQUAL(tl_frame_array(t, &want[i].column, 1, TL_F64, &x), TL_OK);
        EQUAL(tl_scaler_fit(&s, &x, 0, want[i].from), TL_OK);
        EQUAL(tl_scaler_apply(&s, &x, 0), TL_OK);
        EQUAL(tl_series_windows(&x, &in, &out, .steps = 1, .horizon = want[i].horizon), TL_OK);
        EQUAL(tl_scaler_invert(&s, &in, 0), TL_OK);
        EQUAL(tl_scaler_invert(&s, &out, 0), TL_OK);
        const int64_t n = in.dim[0], last = x.dim[0] - want[i].from;
        double sum = 0;
        for (int64_t r = n - last; r < n; r++) sum += pow(at(&in, r) - at(&out, r), 2);
        const double rmse = sqrt(sum / (double)last);
        cr_assert(fabs(rmse - want[i].rmse) < 0.006, "%s: %.4f", path, rmse);
        tl_array_free(&x);
        tl_array_free(&in);
        tl_array_free(&out);
        tl_scaler_free(&s);
        tl_frame_free(t);
    }
}
