/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/model_diff.h"

#include <math.h>

#include "base/limits.h"

/* Numbers are equal when they are equal, however they are written. */
static bool equal(yyjson_val *a, yyjson_val *b)
{
    if (yyjson_is_num(a) && yyjson_is_num(b)) {
        return yyjson_get_num(a) == yyjson_get_num(b);
    }
    if (yyjson_is_obj(a) && yyjson_is_obj(b)) {
        yyjson_obj_iter it = yyjson_obj_iter_with(a);
        bool same = yyjson_obj_size(a) == yyjson_obj_size(b);
        for (yyjson_val *key; same && (key = yyjson_obj_iter_next(&it));) {
            same = equal(yyjson_obj_iter_get_val(key),
                         yyjson_obj_getn(b, yyjson_get_str(key), yyjson_get_len(key)));
        }
        return same;
    }
    if (yyjson_is_arr(a) && yyjson_is_arr(b)) {
        bool same = yyjson_arr_size(a) == yyjson_arr_size(b);
        for (size_t i = 0; same && i < yyjson_arr_size(a); i++) {
            same = equal(yyjson_arr_get(a, i), yyjson_arr_get(b, i));
        }
        return same;
    }
    return a && b ? yyjson_equals(a, b) : a == b;
}

static void kv_val(struct gy_jw *w, const char *key, yyjson_val *v)
{
    gy_jw_key(w, key);
    if (v) {
        gy_jw_val(w, v);
    } else {
        gy_jw_null(w);
    }
}

static void write_difference(struct gy_jw *w, yyjson_val *a, yyjson_val *b)
{
    double x = gy_json_f64(a, "value", NAN), y = gy_json_f64(b, "value", NAN);
    double al = gy_json_f64(a, "low", NAN), ah = gy_json_f64(a, "high", NAN);
    double bl = gy_json_f64(b, "low", NAN), bh = gy_json_f64(b, "high", NAN);
    gy_jw_key(w, "difference");
    isnan(x) || isnan(y) ? gy_jw_null(w) : gy_jw_f64(w, y - x);
    gy_jw_key(w, "overlap");
    isnan(al) || isnan(ah) || isnan(bl) || isnan(bh) ? gy_jw_null(w)
                                                     : gy_jw_bool(w, al <= bh && bl <= ah);
}

static bool write_row(struct gy_jw *w, yyjson_val *key, yyjson_val *a, yyjson_val *b, bool metrics)
{
    bool same = a && b && equal(a, b);
    if (same && !metrics) {
        return false;
    }
    gy_jw_obj(w);
    gy_jw_kv_str(w, "key", gy_json_val_str(key));
    gy_jw_kv_strc(w, "change", same ? "same" : !a ? "added" : !b ? "removed" : "changed");
    kv_val(w, "a", a);
    kv_val(w, "b", b);
    if (metrics) {
        write_difference(w, a, b);
    }
    gy_jw_obj_end(w);
    return !same;
}

size_t gy_diff_rows(yyjson_val *a, yyjson_val *b, bool metrics, struct gy_jw *w)
{
    size_t n = 0;
    gy_jw_arr(w);
    yyjson_obj_iter it = yyjson_obj_iter_with(a);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        n += write_row(w, key, yyjson_obj_iter_get_val(key),
                       yyjson_obj_getn(b, yyjson_get_str(key), yyjson_get_len(key)), metrics);
    }
    it = yyjson_obj_iter_with(b);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        if (!yyjson_obj_getn(a, yyjson_get_str(key), yyjson_get_len(key))) {
            n += write_row(w, key, NULL, yyjson_obj_iter_get_val(key), metrics);
        }
    }
    gy_jw_arr_end(w);
    return n;
}

/* "sepsis/3", or "run:ID": by number, whatever alias was asked for. */
static void kv_name(struct gy_jw *w, const char *key, yyjson_val *side)
{
    gy_jw_key(w, key);
    if (gy_str_eqc(gy_json_str(side, "kind"), "run")) {
        gy_jw_strf(w, "run:%" GY_STR_F, GY_STR_A(gy_json_str(side, "run_id")));
    } else {
        gy_jw_strf(w, "%" GY_STR_F "/%lld", GY_STR_A(gy_json_str(side, "name")),
                   (long long)gy_json_i64(side, "version", 0));
    }
}

void gy_model_diff(yyjson_val *a, yyjson_val *b, struct gy_jw *w)
{
    yyjson_val *sa = gy_json_get(a, "sections"), *sb = gy_json_get(b, "sections");
    size_t total = 0;
    gy_jw_obj(w);
    kv_name(w, "a", a);
    kv_name(w, "b", b);
    gy_jw_key(w, "sections");
    gy_jw_arr(w);
    for (size_t i = 0; gy_facts_sections[i]; i++) {
        const char *name = gy_facts_sections[i];
        bool metrics = strcmp(name, "metrics") == 0;
        gy_jw_obj(w);
        gy_jw_kv_strc(w, "section", name);
        gy_jw_key(w, "rows");
        size_t n = gy_diff_rows(gy_json_get(sa, name), gy_json_get(sb, name), metrics, w);
        gy_jw_kv_i64(w, "changed", (int64_t)n);
        gy_jw_obj_end(w);
        total += n;
    }
    gy_jw_arr_end(w);
    gy_jw_kv_bool(w, "same", total == 0);
    gy_jw_obj_end(w);
}
