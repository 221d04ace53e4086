/* tests/conformance_json.c - what cases in JSON are compared with. */
#include "conformance_json.h"

#include <stdarg.h>

void refuse(verdict *v, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!*v->why) snprintf(v->why, sizeof v->why, "\n    %s", text);
}

static double value_at(const tl_array *a, int64_t i)
{
    if (a->dtype == TL_F64) return ((const double *)a->data)[i];
    return a->dtype == TL_F32 ? (double)((const float *)a->data)[i] : ((const int32_t *)a->data)[i];
}

/* The part of the array from element `at` on whose shape is that of its axes from `axis` on. */
static void compare_part(verdict *v, const char *what, const tl_array *got, int axis, int64_t at,
                         const json_t *expected, double rtol)
{
    if (axis == got->rank) {
        const double is = value_at(got, at), should = json_number_value(expected);
        const double error = fabs(is - should), allowed = 1e-12 + rtol * fabs(should);
        if (!json_is_number(expected)) refuse(v, "%s: its rank is not %d", what, got->rank);
        else if (!(error <= allowed)) refuse(v, "%s[%lld] is %.9g, expected %.9g", what, (long long)at, is, should);
        else if (error / allowed > v->worst) v->worst = error / allowed;
        return;
    }
    if (!json_is_array(expected) || (int64_t)json_array_size(expected) != got->dim[axis]) {
        refuse(v, "%s: axis %d has %lld elements, expected %zu", what, axis, (long long)got->dim[axis],
               json_array_size(expected));
        return;
    }
    int64_t step = 1;
    for (int k = axis + 1; k < got->rank; k++) step *= got->dim[k];
    for (int64_t i = 0; i < got->dim[axis]; i++)
        compare_part(v, what, got, axis + 1, at + i * step, json_array_get(expected, (size_t)i), rtol);
}

void compare_array(verdict *v, const char *what, const tl_array *got, const json_t *expected, double rtol)
{
    compare_part(v, what, got, 0, 0, expected, rtol);
}
