/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_cond.h"

/* ---- ranges ---- */

/* Digits only; a number past INT64_MAX is that. False: none, or something else among them. */
static bool number(struct gy_str s, int64_t *ret)
{
    int64_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        int digit = s.p[i] - '0';
        n = n > (INT64_MAX - digit) / 10 ? INT64_MAX : n * 10 + digit;
    }
    *ret = n;
    return s.n > 0;
}

enum gy_range gy_range_parse(struct gy_str value, int64_t size_bytes, int64_t *ret_first,
                             int64_t *ret_n)
{
    struct gy_str unit, set, from, to;
    int64_t first = 0, last = 0;
    if (!gy_str_cut(value, '=', &unit, &set) || !gy_str_ieq(gy_str_trim(unit), GY_STR("bytes"))) {
        return GY_RANGE_WHOLE;
    }
    if (gy_str_find(set, ',') != SIZE_MAX || !gy_str_cut(gy_str_trim(set), '-', &from, &to)) {
        return GY_RANGE_WHOLE; /* several: whoever asks for them must be ready for the whole */
    }
    from = gy_str_trim(from);
    to = gy_str_trim(to);
    bool good = true;
    if (from.n == 0) { /* the last so many */
        good = number(to, &last);
        first = last < size_bytes ? size_bytes - last : 0;
        last = last == 0 ? -1 : size_bytes - 1;
    } else {
        good = number(from, &first) && (to.n == 0 || (number(to, &last) && last >= first));
        last = to.n == 0 ? size_bytes - 1 : last;
    }
    if (!good) {
        return GY_RANGE_WHOLE;
    }
    last = last < size_bytes ? last : size_bytes - 1;
    if (last < first) {
        return GY_RANGE_BEYOND;
    }
    *ret_first = first;
    *ret_n = last - first + 1;
    return GY_RANGE_PART;
}

/* ---- entity tags ---- */

bool gy_etag_in(struct gy_str list, struct gy_str etag, bool weak)
{
    if (gy_str_eqc(gy_str_trim(list), "*")) {
        return true;
    }
    for (size_t i = 0; i < list.n; i++) {
        if (list.p[i] == ' ' || list.p[i] == '\t' || list.p[i] == ',') {
            continue;
        }
        bool is_weak = list.n - i > 2 && list.p[i] == 'W' && list.p[i + 1] == '/';
        i += is_weak ? 2 : 0;
        if (i >= list.n || list.p[i] != '"') {
            return false; /* no entity tag */
        }
        struct gy_str rest = gy_str_sub(list, i + 1, SIZE_MAX);
        size_t end = gy_str_find(rest, '"');
        if (end == SIZE_MAX) {
            return false;
        }
        if ((weak || !is_weak) && gy_str_eq(gy_str_sub(rest, 0, end), etag)) {
            return true;
        }
        i += end + 1;
    }
    return false;
}

/* ---- packing ---- */

/* Is the weight among the parameters zero? "q=0", "q=0.000". */
static bool is_refused(struct gy_str params)
{
    struct gy_str param;
    while (gy_str_next(&params, ';', &param)) {
        param = gy_str_trim(param);
        if (param.n < 3 || (param.p[0] != 'q' && param.p[0] != 'Q') || param.p[1] != '=') {
            continue;
        }
        for (size_t i = 2; i < param.n; i++) {
            if (param.p[i] != '0' && param.p[i] != '.') {
                return false;
            }
        }
        return true;
    }
    return false;
}

static bool accepts(struct gy_str accept_encoding, struct gy_str coding, struct gy_str also)
{
    struct gy_str rest = accept_encoding, item, name, params;
    bool any = false;
    while (gy_str_next(&rest, ',', &item)) {
        if (!gy_str_cut(item, ';', &name, &params)) {
            params = GY_STR_NULL;
            name = item;
        }
        name = gy_str_trim(name);
        if (gy_str_ieq(name, coding) || gy_str_ieq(name, also)) {
            return !is_refused(params);
        }
        any = any || (gy_str_eqc(name, "*") && !is_refused(params));
    }
    return any;
}

bool gy_accepts_gzip(struct gy_str accept_encoding)
{
    return accepts(accept_encoding, GY_STR("gzip"), GY_STR("x-gzip"));
}

bool gy_accepts_deflate(struct gy_str accept_encoding)
{
    return accepts(accept_encoding, GY_STR("deflate"), GY_STR("deflate"));
}
