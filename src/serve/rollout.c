/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/rollout.h"

#include <math.h>
#include <stdio.h>

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

const char *gy_metric_name(enum gy_metric m)
{
    static const char *const names[GY_N_METRICS] = {"recall", "accuracy", "reward"};
    return names[m];
}

static gy_status read_metric(yyjson_val *v, enum gy_metric *ret, struct gy_err *err)
{
    struct gy_str s = gy_json_val_str(v);
    for (int i = 0; i < GY_N_METRICS; i++) {
        if (gy_str_eqc(s, gy_metric_name((enum gy_metric)i))) {
            *ret = (enum gy_metric)i;
            return GY_OK;
        }
    }
    return wrong("metric", "recall, accuracy or reward", err);
}

static gy_status read_strategy(yyjson_val *v, enum gy_strategy *ret, struct gy_err *err)
{
    struct gy_str s = gy_json_val_str(v);
    if (!gy_str_eqc(s, "fixed") && !gy_str_eqc(s, "bandit")) {
        return wrong("strategy", "fixed or bandit", err);
    }
    *ret = gy_str_eqc(s, "bandit") ? GY_STRATEGY_BANDIT : GY_STRATEGY_FIXED;
    return GY_OK;
}

/* "recall_change_min": the metric stands in the key. */
static gy_status read_change(struct gy_str key, yyjson_val *v, struct gy_rollout *r, bool *ret_is,
                             struct gy_err *err)
{
    for (int i = 0; i < GY_N_METRICS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%s_change_min", gy_metric_name((enum gy_metric)i));
        if (!gy_str_eqc(key, name)) {
            continue;
        }
        *ret_is = true;
        if (!isnan(r->change_min)) {
            return gy_err_set(err, GY_E_INVALID, "rollout: one ..._change_min decides, not two");
        }
        r->metric = (enum gy_metric)i;
        return read_number(v, name, -1, 1, "a number from -1 to 1", &r->change_min, err);
    }
    return GY_OK;
}

static gy_status read_bandit(struct gy_str key, yyjson_val *v, struct gy_rollout *r, bool *ret_is,
                             struct gy_err *err)
{
    *ret_is = true;
    if (gy_str_eqc(key, "strategy")) {
        return read_strategy(v, &r->strategy, err);
    }
    if (gy_str_eqc(key, "min_share")) {
        return read_number(v, "min_share", 0, 0.5, "a share from 0 to 0.5", &r->min_share, err);
    }
    if (gy_str_eqc(key, "seed")) {
        return read_count(v, "seed", 0, &r->seed, err);
    }
    if (gy_str_eqc(key, "every_s")) {
        return read_count(v, "every_s", 1, &r->every_s, err);
    }
    *ret_is = false;
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
    if (gy_str_eqc(key, "alpha")) {
        return read_number(v, "alpha", 1e-6, 0.5, "a probability from 0.000001 to 0.5", &r->alpha,
                           err);
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
    bool is = false;
    GY_TRY(read_change(key, v, r, &is, err));
    if (!is) {
        GY_TRY(read_bandit(key, v, r, &is, err));
    }
    return is ? GY_OK
              : gy_err_set(err, GY_E_INVALID, "rollout: unknown key '%" GY_STR_F "'",
                           GY_STR_A(key));
}

/* The metric by its own key: read last, so that the order of keys says nothing. */
static gy_status read_metric_key(yyjson_val *object, struct gy_rollout *r, struct gy_err *err)
{
    yyjson_val *v = gy_json_get(object, "metric");
    enum gy_metric metric = r->metric;
    if (!v) {
        return GY_OK;
    }
    GY_TRY(read_metric(v, &metric, err));
    if (!isnan(r->change_min) && metric != r->metric) {
        return gy_err_set(err, GY_E_INVALID, "rollout: 'metric' is %s, and %s_change_min is given",
                          gy_metric_name(metric), gy_metric_name(r->metric));
    }
    r->metric = metric;
    return GY_OK;
}

gy_status gy_rollout_read(yyjson_val *object, struct gy_rollout *ret, struct gy_err *err)
{
    struct gy_rollout r = {.canary = 0.1,
                           .min_requests = 200,
                           .min_labels = 50,
                           .max_error_rate = 0.02,
                           .max_p99_ms = NAN,
                           .change_min = NAN,
                           .alpha = 0.05,
                           .min_share = 0.05,
                           .every_s = 60};
    if (object && !yyjson_is_null(object) && !yyjson_is_obj(object)) {
        return gy_err_set(err, GY_E_INVALID, "'rollout' must be an object");
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(object); /* of no object: ends at once */
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        if (!gy_str_eqc(gy_json_val_str(key), "metric")) {
            GY_TRY(read_key(gy_json_val_str(key), yyjson_obj_iter_get_val(key), &r, err));
        }
    }
    GY_TRY(read_metric_key(object, &r, err));
    *ret = r;
    return GY_OK;
}
