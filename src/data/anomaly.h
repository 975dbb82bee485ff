/* SPDX-License-Identifier: Apache-2.0 */
/* The names of what can be wrong with a table, those of TensorFlow Data Validation
 * (anomalies.proto) with their meaning there, and ours at the end. How severe each is can be said
 * in a schema. */
#ifndef GY_DATA_ANOMALY_H
#define GY_DATA_ANOMALY_H

#include "base/str.h"

/* X(kind, text): text is for people, without the column's name. */
#define GY_ANOMALIES(X)                                                                      \
    X(SCHEMA_MISSING_COLUMN, "the column is not there")                                      \
    X(SCHEMA_NEW_COLUMN, "the schema does not know the column")                              \
    X(FEATURE_TYPE_NOT_PRESENT, "no row has a value")                                        \
    X(FEATURE_TYPE_LOW_FRACTION_PRESENT, "too few rows have a value")                        \
    X(FEATURE_TYPE_LOW_NUMBER_PRESENT, "too few values")                                     \
    X(FEATURE_TYPE_LOW_NUMBER_VALUES, "rows have too few values in their list")              \
    X(FEATURE_TYPE_HIGH_NUMBER_VALUES, "rows have too many values in their list")            \
    X(UNEXPECTED_DATA_TYPE, "values are not of the type")                                    \
    X(INT_TYPE_NOT_INT_STRING, "values are no whole numbers")                                \
    X(FLOAT_TYPE_STRING_NOT_FLOAT, "values are no numbers")                                  \
    X(ENUM_TYPE_INVALID_UTF8, "values are not UTF-8")                                        \
    X(INT_TYPE_SMALL_INT, "values are below the minimum")                                    \
    X(INT_TYPE_BIG_INT, "values are above the maximum")                                      \
    X(FLOAT_TYPE_SMALL_FLOAT, "values are below the minimum")                                \
    X(FLOAT_TYPE_BIG_FLOAT, "values are above the maximum")                                  \
    X(FLOAT_TYPE_HAS_NAN, "values are NaN")                                                  \
    X(FLOAT_TYPE_HAS_INF, "values are infinite")                                             \
    X(BOOL_TYPE_UNEXPECTED_STRING, "values are neither true nor false")                      \
    X(ENUM_TYPE_UNEXPECTED_STRING_VALUES, "values are none of the allowed ones")             \
    X(FEATURE_TYPE_LOW_UNIQUE, "too few different values")                                   \
    X(FEATURE_TYPE_HIGH_UNIQUE, "too many different values")                                 \
    X(COMPARATOR_L_INFTY_HIGH, "the shares of the values have moved")                        \
    X(COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH, "the distribution has moved")               \
    X(COMPARATOR_NORMALIZED_ABSOLUTE_DIFFERENCE_HIGH, "the counts of the values have moved") \
    X(COMPARATOR_CONTROL_DATA_MISSING, "the data compared with has no values")               \
    X(DATASET_LOW_NUM_EXAMPLES, "too few rows")                                              \
    X(DATASET_HIGH_NUM_EXAMPLES, "too many rows")                                            \
    X(COMPARATOR_LOW_NUM_EXAMPLES, "too few rows beside the data compared with")             \
    X(COMPARATOR_HIGH_NUM_EXAMPLES, "too many rows beside the data compared with")           \
    /* Ours: what TFDV has no name for. */                                                   \
    X(RECORD_BROKEN, "records can not be read")                                              \
    X(VALUE_NOT_UNIQUE, "values come more than once")                                        \
    X(TIME_WITHOUT_ZONE, "times say no zone, and the schema names none")                     \
    X(LEAKAGE_AVAILABLE_LATER, "values became available after the decision")

enum gy_anomaly_kind {
#define X(kind, text) GY_ANOMALY_##kind,
    GY_ANOMALIES(X)
#undef X
        GY_ANOMALY_N
};

enum gy_severity { GY_SEVERITY_ERROR, GY_SEVERITY_WARNING, GY_SEVERITY_IGNORE };

const char *gy_anomaly_name(enum gy_anomaly_kind k); /* "SCHEMA_NEW_COLUMN" */
const char *gy_anomaly_text(enum gy_anomaly_kind k);
bool gy_anomaly_parse(struct gy_str name, enum gy_anomaly_kind *ret);
const char *gy_severity_name(enum gy_severity s); /* "ERROR" */

#endif
