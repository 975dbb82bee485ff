/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/rollout.h"

#include <math.h>

#include "track/models.h"

#define MAX_COUNT 1000000000

static gy_status wrong(const char *key, const char *must, struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID, "rollout: '%s' must be %s", key, must);
}

gy_status gy_rollout_share(yyjson_val *v, const char *key, double *ret, struct gy_err *err)
{
    double share = yyjson_is_num(v) ? yyjson_get_num(v) : -1;
    if (!(share >= 0 && share <= 1)) {
        return gy_err_set(err, GY_E_INVALID, "'%s' must be a share from 0 to 1", key);
    }
    *ret = share;
    return GY_OK;
}

static gy_status read_count(yyjson_val *v, const char *key, int64_t min, int64_t *ret,
                            struct gy_err *err)
{
    int64_t n = yyjson_is_int(v) ? yyjson_get_sint(v) : -1;
    if (n < min || n > MAX_COUNT) {
        return wrong(key, min ? "a whole number over 0" : "a whole number, 0 or more", err);
    }
    *ret = n;
    return GY_OK;
}

static gy_status read_number(yyjson_val *v, const char *key, double min, double max,
                             const char *must, double *ret, struct gy_err *err)
{
    double n = yyjson_is_num(v) ? yyjson_get_num(v) : NAN;
    if (!(n >= min && n <= max)) {
        return wrong(key, must, err);
    }
    *ret = n;
    return GY_OK;
}

static gy_status read_promote(yyjson_val *v, bool *ret, struct gy_err *err)
{
    struct gy_str s = gy_json_val_str(v);
    if (!gy_str_eqc(s, "auto") && !gy_str_eqc(s, "manual")) {
        return wrong("promote", "auto or manual", err);
    }
    *ret = gy_str_eqc(s, "auto");
    return GY_OK;
}

static gy_status read_alias(yyjson_val *v, char ret[GY_MAX_NAME + 1], struct gy_err *err)
{
    struct gy_str s = gy_json_val_str(v);
    if (s.n == 0 || s.n > GY_MAX_NAME) {
        return wrong("promote_alias", "the name of an alias", err);
    }
    GY_TRY(gy_model_check_alias(s, err));
    memcpy(ret, s.p, s.n);
    ret[s.n] = '\0';
    return GY_OK;
}

static gy_status read_key(struct gy_str key, yyjson_val *v, struct gy_rollout *r,
                          struct gy_err *err)
{
    if (gy_str_eqc(key, "canary")) {
        return gy_rollout_share(v, "canary", &r->canary, err);
    }
    if (gy_str_eqc(key, "min_requests")) {
        return read_count(v, "min_requests", 1, &r->min_requests, err);
    }
    if (gy_str_eqc(key, "min_labels")) {
        return read_count(v, "min_labels", 1, &r->min_labels, err);
    }
    if (gy_str_eqc(key, "max_error_rate")) {
        return gy_rollout_share(v, "max_error_rate", &r->max_error_rate, err);
    }
    if (gy_str_eqc(key, "max_p99_ms")) {
        return read_number(v, "max_p99_ms", 1e-3, 1e6, "a number of milliseconds", &r->max_p99_ms,
                           err);
    }
    if (gy_str_eqc(key, "recall_change_min")) {
        return read_number(v, "recall_change_min", -1, 1, "a number from -1 to 1",
                           &r->recall_change_min, err);
    }
    if (gy_str_eqc(key, "promote")) {
        return read_promote(v, &r->promote, err);
    }
    if (gy_str_eqc(key, "promote_alias")) {
        return read_alias(v, r->promote_alias, err);
    }
    if (gy_str_eqc(key, "after_s")) {
        return read_count(v, "after_s", 0, &r->after_s, err);
    }
    return gy_err_set(err, GY_E_INVALID, "rollout: unknown key '%" GY_STR_F "'", GY_STR_A(key));
}

gy_status gy_rollout_read(yyjson_val *object, struct gy_rollout *ret, struct gy_err *err)
{
    struct gy_rollout r = {.canary = 0.1,
                           .min_requests = 200,
                           .min_labels = 50,
                           .max_error_rate = 0.02,
                           .max_p99_ms = NAN,
                           .recall_change_min = NAN};
    if (object && !yyjson_is_null(object) && !yyjson_is_obj(object)) {
        return gy_err_set(err, GY_E_INVALID, "'rollout' must be an object");
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(object); /* of no object: ends at once */
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        GY_TRY(read_key(gy_json_val_str(key), yyjson_obj_iter_get_val(key), &r, err));
    }
    *ret = r;
    return GY_OK;
}
