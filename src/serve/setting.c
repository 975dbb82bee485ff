/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/setting.h"

#include "serve/alias.h"
#include "serve/logging.h"
#include "serve/lane.h"
#include "serve/limits.h"
#include "serve/rollout.h"

static gy_status check_rollout(yyjson_val *value, struct gy_err *err)
{
    struct gy_rollout rollout;
    return gy_rollout_read(value, &rollout, err);
}

static gy_status check_limits(yyjson_val *value, struct gy_err *err)
{
    struct gy_limits limits;
    return gy_limits_read(value, &limits, err);
}

static gy_status check_default(yyjson_val *value, struct gy_err *err)
{
    return yyjson_is_bool(value) ? GY_OK
                                 : gy_err_set(err, GY_E_INVALID, "'default' must be true or false");
}

static gy_status check_runtime(yyjson_val *value, struct gy_err *err)
{
    struct gy_lane_options o;
    return gy_lane_read(value, NULL, &o, err);
}

static gy_status check_batching(yyjson_val *value, struct gy_err *err)
{
    struct gy_lane_options o;
    return gy_lane_read(NULL, value, &o, err);
}

static gy_status check_follow(yyjson_val *value, struct gy_err *err)
{
    return yyjson_is_bool(value) ? GY_OK
                                 : gy_err_set(err, GY_E_INVALID, "'follow' must be true or false");
}

static const struct gy_setting_info infos[GY_N_SETTINGS] = {
    [GY_SET_ALIASES] = {"aliases", false, false, gy_aliases_check},
    [GY_SET_RULES] = {"rules", false, false, NULL},
    [GY_SET_THRESHOLD] = {"threshold", false, true, NULL},
    [GY_SET_RULE_SHADOW] = {"rule_shadow", false, true, NULL},
    [GY_SET_REVIEW] = {"review", true, false, NULL},
    [GY_SET_ROLLOUT] = {"rollout", true, false, check_rollout},
    [GY_SET_FOLLOW] = {"follow", true, false, check_follow},
    [GY_SET_DEFAULT] = {"default", false, false, check_default},
    [GY_SET_LOG] = {"log", true, false, gy_logging_check},
    [GY_SET_RUNTIME] = {"runtime", true, false, check_runtime},
    [GY_SET_BATCHING] = {"batching", true, false, check_batching},
    [GY_SET_LIMITS] = {"limits", true, false, check_limits},
};

const struct gy_setting_info *gy_setting_info(enum gy_setting s)
{
    return &infos[s];
}

void gy_setting_read_all(yyjson_val *object, struct gy_settings *ret)
{
    for (int i = 0; i < GY_N_SETTINGS; i++) {
        yyjson_val *v = gy_json_get(object, infos[i].name);
        ret->value[i] = v && !yyjson_is_null(v) ? v : NULL;
    }
}

gy_status gy_setting_check_all(const struct gy_settings *s, struct gy_err *err)
{
    for (int i = 0; i < GY_N_SETTINGS; i++) {
        if (s->value[i] && infos[i].check) {
            GY_TRY(infos[i].check(s->value[i], err));
        }
    }
    return GY_OK;
}

bool gy_setting_known(struct gy_str name)
{
    for (int i = 0; i < GY_N_SETTINGS; i++) {
        if (gy_str_eqc(name, infos[i].name)) {
            return true;
        }
    }
    return false;
}

bool gy_setting_same(yyjson_val *a, yyjson_val *b)
{
    if (!a || !b) {
        return a == b;
    }
    return yyjson_is_num(a) && yyjson_is_num(b) ? yyjson_get_num(a) == yyjson_get_num(b)
                                                : yyjson_equals(a, b);
}
