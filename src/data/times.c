/* SPDX-License-Identifier: Apache-2.0 */
#include "data/times.h"

#include "base/time.h"

/* Most are written with their zone, and need no canonical text. */
bool gy_column_time(const struct gy_column *c, struct gy_str text, int64_t *ret_us,
                    enum gy_time_form *ret_form)
{
    const size_t day = 10; /* YYYY-MM-DD */
    char out[GY_VALUE_TEXT], whole[GY_VALUE_TEXT + 16];
    struct gy_str canonical;
    double number;
    *ret_form = GY_TIME_ZONED;
    if (text.n > day && gy_time_parse_iso(text, ret_us, NULL) == GY_OK) {
        return true;
    }
    if (!(c ? gy_column_canonical(c, text, out, &canonical, &number)
            : gy_value_canonical(GY_TYPE_TIME, text, out, &canonical, &number))) {
        return false;
    }
    size_t n = canonical.n;
    memcpy(whole, canonical.p, n);
    if (n == day) {
        *ret_form = GY_TIME_DAY;
        memcpy(whole + n, "T00:00:00", 9);
        n += 9;
    } else if (whole[n - 1] != 'Z') {
        *ret_form = GY_TIME_LOCAL;
    }
    if (*ret_form != GY_TIME_ZONED) {
        whole[n++] = 'Z';
    }
    return gy_time_parse_iso(gy_str_n(whole, n), ret_us, NULL) == GY_OK;
}

struct gy_str gy_time_text(int64_t us, enum gy_time_form form, char out[GY_VALUE_TEXT])
{
    char iso[32];
    struct gy_str text;
    double number;
    struct gy_str whole = gy_str_n(iso, gy_time_iso(us, iso));
    if (!gy_value_canonical(GY_TYPE_TIME, whole, out, &text, &number)) {
        return GY_STR(""); /* beyond the years that can be written */
    }
    switch (form) {
    case GY_TIME_DAY:
        return gy_str_sub(text, 0, 10);
    case GY_TIME_LOCAL:
        return gy_str_sub(text, 0, text.n - 1);
    case GY_TIME_ZONED:
        break;
    }
    return text;
}
