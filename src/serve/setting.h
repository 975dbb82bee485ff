/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of an endpoint: the keys of its section in gyre.yaml beside `model`, which a deploy
 * request sends and a revision freezes as they stand. A new setting is a name here, a line in
 * setting.c, and whoever reads it (endpoint.c from the frozen configuration). */
#ifndef GY_SERVE_SETTING_H
#define GY_SERVE_SETTING_H

#include "base/json.h"

enum gy_setting {
    GY_SET_ALIASES,
    GY_SET_RULES,
    GY_SET_THRESHOLD,
    GY_SET_RULE_SHADOW,
    GY_SET_REVIEW,
    GY_SET_ROLLOUT,
    GY_SET_DEFAULT,
    GY_SET_FOLLOW,
    GY_SET_LOG,
    GY_SET_RUNTIME,
    GY_SET_BATCHING,
    GY_SET_LIMITS,
    GY_N_SETTINGS
};

struct gy_setting_info {
    const char *name;
    bool free;   /* a canary may come with another value: it changes no answer */
    bool loaded; /* frozen as the loaded endpoint resolved it, not as it was sent */
    /* MAY be NULL: checked when the endpoint is built. Fails: INVALID. */
    gy_status (*check)(yyjson_val *value, struct gy_err *err);
};
const struct gy_setting_info *gy_setting_info(enum gy_setting s);

/* Views into the document they were read from; NULL: not given (or null). */
struct gy_settings {
    yyjson_val *value[GY_N_SETTINGS];
};
/* From the section of gyre.yaml or a frozen configuration; what is no setting is left alone. */
void gy_setting_read_all(yyjson_val *object, struct gy_settings *ret);
GY_CHECKED gy_status gy_setting_check_all(const struct gy_settings *s, struct gy_err *err);
/* Is it the name of one? */
bool gy_setting_known(struct gy_str name);
/* Numbers are compared as numbers; NULL equals NULL alone. */
bool gy_setting_same(yyjson_val *a, yyjson_val *b);

#endif
