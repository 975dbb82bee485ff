/* SPDX-License-Identifier: Apache-2.0 */
#include "data/anomaly.h"

static const char *const NAMES[] = {
#define X(kind, text) #kind,
    GY_ANOMALIES(X)
#undef X
};

static const char *const TEXTS[] = {
#define X(kind, text) text,
    GY_ANOMALIES(X)
#undef X
};

const char *gy_anomaly_name(enum gy_anomaly_kind k)
{
    return NAMES[k];
}

const char *gy_anomaly_text(enum gy_anomaly_kind k)
{
    return TEXTS[k];
}

bool gy_anomaly_parse(struct gy_str name, enum gy_anomaly_kind *ret)
{
    for (int k = 0; k < GY_ANOMALY_N; k++) {
        if (gy_str_eqc(name, NAMES[k])) {
            *ret = (enum gy_anomaly_kind)k;
            return true;
        }
    }
    return false;
}

const char *gy_severity_name(enum gy_severity s)
{
    static const char *const names[] = {"ERROR", "WARNING", "IGNORE"};
    return names[s];
}
