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
