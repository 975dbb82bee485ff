/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/retention_opts.h"

#include "base/str.h"
#include "base/time.h"

#define MAX_KEEP_S ((int64_t)1000 * 365 * 86400)

gy_status gy_cli_keep(const char *option, const char *text, int64_t *ret_s, struct gy_err *err)
{
    *ret_s = 0;
    if (!text) {
        return GY_OK;
    }
    if (gy_time_parse_span(gy_str_c(text), MAX_KEEP_S, ret_s, NULL) == GY_OK && *ret_s > 0) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_USAGE, "%s '%s' is no span of time", option, text);
    return gy_err_hint(err, "a number and its unit: 90d, 12h, 45s");
}

gy_status gy_cli_size(const char *option, const char *text, int64_t *ret_bytes, struct gy_err *err)
{
    *ret_bytes = 0;
    if (!text || (gy_parse_bytes(gy_str_c(text), ret_bytes, NULL) == GY_OK && *ret_bytes > 0)) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_USAGE, "%s '%s' is no size", option, text);
    return gy_err_hint(err, "a whole number, and K, M, G or T behind it: 50G");
}
