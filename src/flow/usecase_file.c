/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/usecase_file.h"

#include <math.h>

#include "base/limits.h"
#include "base/yaml.h"

static const char *const g_keys[] = {"name",       "owner",    "purpose",   "success_metric",
                                     "risk_class", "contacts", "four_eyes", "description",
                                     "links",      NULL};

static gy_status wrong(const char *key, const char *must, struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID, "use case: '%s' must be %s", key, must);
}

static gy_status check_keys(yyjson_val *object, struct gy_err *err)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        struct gy_str name = gy_json_val_str(key);
        bool known = false;
        for (size_t i = 0; g_keys[i]; i++) {
            known |= gy_str_eqc(name, g_keys[i]);
        }
        if (!known) {
            (void)gy_err_set(err, GY_E_INVALID, "use case: unknown key '%" GY_STR_F "'",
                             GY_STR_A(gy_str_sub(name, 0, 100)));
            const char *near = gy_yaml_nearest(name, g_keys);
            return near ? gy_err_hint(err, "did you mean '%s'?", near) : GY_E_INVALID;
        }
    }
    return GY_OK;
}

static gy_status put_text(struct gy_jw *w, yyjson_val *object, const char *key, size_t max,
                          bool must, struct gy_err *err)
{
    yyjson_val *v = gy_json_get(object, key);
    struct gy_str s = gy_json_val_str(v);
    if (!v || yyjson_is_null(v)) {
        return must ? gy_err_set(err, GY_E_INVALID, "use case: missing '%s'", key) : GY_OK;
    }
    if (!s.p || gy_str_trim(s).n == 0 || s.n > max) {
        return gy_err_set(err, GY_E_INVALID, "use case: '%s' must be a text of 1 to %zu bytes", key,
                          max);
    }
    gy_jw_kv_str(w, key, s);
    return GY_OK;
}

static gy_status put_list(struct gy_jw *w, yyjson_val *object, const char *key, struct gy_err *err)
{
    yyjson_val *list = gy_json_get(object, key), *one;
    size_t i, n;
    if (!list || yyjson_is_null(list)) {
        return GY_OK;
    }
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > GY_USECASE_MAX_ITEMS) {
        return wrong(key, "a list of at most 100 texts", err);
    }
    gy_jw_key(w, key);
    gy_jw_arr(w);
    yyjson_arr_foreach(list, i, n, one)
    {
        struct gy_str s = gy_json_val_str(one);
        if (s.n == 0 || s.n > GY_MAX_NAME) {
            return wrong(key, "a list of at most 100 texts", err);
        }
        gy_jw_str(w, s);
    }
    gy_jw_arr_end(w);
    return GY_OK;
}

static gy_status put_metric(struct gy_jw *w, yyjson_val *object, struct gy_err *err)
{
    static const char must[] = "{name: .., min: ..} or {name: .., max: ..}";
    static const char *const bounds[] = {"min", "max"};
    yyjson_val *m = gy_json_get(object, "success_metric");
    if (!m || yyjson_is_null(m)) {
        return gy_err_set(err, GY_E_INVALID, "use case: missing 'success_metric'");
    }
    struct gy_str name = gy_json_str(m, "name");
    size_t known = 1;
    if (name.n == 0 || name.n > GY_MAX_NAME) {
        return wrong("success_metric", must, err);
    }
    gy_jw_key(w, "success_metric");
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", name);
    for (size_t i = 0; i < 2; i++) {
        yyjson_val *v = gy_json_get(m, bounds[i]);
        if (v && !yyjson_is_num(v)) {
            return wrong("success_metric", must, err);
        }
        if (v) {
            gy_jw_kv_f64(w, bounds[i], yyjson_get_num(v));
            known++;
        }
    }
    gy_jw_obj_end(w);
    return known > 1 && known == yyjson_obj_size(m) ? GY_OK : wrong("success_metric", must, err);
}

gy_status gy_usecase_read(yyjson_val *object, struct gy_buf *ret_spec, struct gy_str *ret_name,
                          bool *ret_four_eyes, struct gy_err *err)
{
    struct gy_jw w;
    yyjson_val *four_eyes = gy_json_get(object, "four_eyes");
    if (!yyjson_is_obj(object)) {
        return gy_err_set(err, GY_E_INVALID, "a use case is a map: name, owner, purpose, ...");
    }
    GY_TRY(check_keys(object, err));
    GY_TRY(gy_json_need_str(object, "name", ret_name, err));
    if (four_eyes && !yyjson_is_bool(four_eyes)) {
        return wrong("four_eyes", "true or false", err);
    }
    *ret_four_eyes = yyjson_is_true(four_eyes);
    gy_jw_init(&w, ret_spec);
    gy_jw_obj(&w);
    GY_TRY(put_text(&w, object, "owner", GY_MAX_NAME, true, err));
    GY_TRY(put_text(&w, object, "purpose", GY_USECASE_MAX_TEXT, true, err));
    GY_TRY(put_metric(&w, object, err));
    GY_TRY(put_text(&w, object, "risk_class", GY_MAX_NAME, true, err));
    GY_TRY(put_list(&w, object, "contacts", err));
    GY_TRY(put_text(&w, object, "description", GY_USECASE_MAX_TEXT, false, err));
    GY_TRY(put_list(&w, object, "links", err));
    gy_jw_obj_end(&w);
    return gy_buf_check(ret_spec, "the use case", err);
}

bool gy_usecase_metric_of(yyjson_val *spec, struct gy_usecase_metric *ret)
{
    yyjson_val *m = gy_json_get(spec, "success_metric");
    *ret = (struct gy_usecase_metric){gy_json_str(m, "name"), gy_json_f64(m, "min", NAN),
                                      gy_json_f64(m, "max", NAN)};
    return ret->name.n > 0;
}
