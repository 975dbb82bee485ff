/* SPDX-License-Identifier: Apache-2.0 */
/* gy_schema: what the columns of a table are (schema.yaml, design section 4). Read from YAML or
 * from the JSON that gy_schema_json writes (which is YAML too); keys that are not known are refused
 * by name with the nearest known one. Immutable after loading: any number of threads may read it.
 *
 *   columns:
 *     - {name: HR, type: int, unit: bpm, min: 20, max: 300, required: true, role: feature}
 *     - {name: isSepsis, type: int, values: [0, 1], required: true, role: label, not_in: [SERVING]}
 *   missing: ["", "NaN"]        # optional: texts that mean "no value" (the empty one always does);
 *                               # this is the default
 *
 * What a whole table is held against (data/validate.h) besides each record. Columns:
 *   min_fraction: 0.95      share of rows that have a value; required: true is 1, for each record
 *   min_count: 100          rows that have a value
 *   distinct: {min: 2, max: 50}               different values
 *   min_domain_mass: 0.99   share of values that are among `values`. Below 1 a record with another
 *                           value is good, and the table is judged; 1 (the start): it is dead
 *   list: ";"               a field holds several values, put apart so; each one is checked
 *   value_count: {min: 1, max: 3}             values of one field, where it has any
 *   categorical: true       of int: the numbers are names, not amounts
 *   zone: Europe/Berlin     of time: of those that say none (base/zone.h). "none": they stay as
 * they are, local. Without it they are refused; a date alone needs none in: [TRAINING]          the
 * environments that have the column; not_in: those that may lack it lifecycle: production   beta,
 * production; planned, alpha, debug, deprecated: may be absent skew, drift: {infinity_norm: 0.01,
 * jensen_shannon_divergence: 0.1, normalized_abs_difference: 0.1}            what is too far: see
 * data/compare.h severity: {ENUM_TYPE_UNEXPECTED_STRING_VALUES: WARNING}  ERROR, WARNING, IGNORE
 * and beside `columns`:
 *   environments: [TRAINING, SERVING]    the ones there are; others are refused then
 *   rows: {min: 1000, max: 100000, drift: {min_fraction: 0.5, max_fraction: 2}}
 *   severity: {SCHEMA_NEW_COLUMN: WARNING}
 *
 * Types and their canonical text (what gyre data ingest writes):
 *   int     decimal int64; "007" -> "7", "5.0" -> "5" (other tools write ints with gaps so)
 *   float   finite decimal; the shortest text that reads back as the same double, integral values
 *           without ".0": "39.30" -> "39.3", "5.0" -> "5"
 *   bool    true/false in any case, or 1/0 -> "true" or "false"
 *   time    YYYY-MM-DD, or that with "T" or a blank, hh:mm:ss, up to 6 decimals, and a zone (its
 *           own, else the column's): dates stay as they are, times become UTC
 *           "2011-01-01T05:00:00Z"; with zone: none local times stay as they are ("T" put in)
 *   string  any UTF-8, as it is
 *   image   a file's path relative to the folder of the data file, as it is; the file must be
 *           there, be a whole PNG or JPEG, and have the size that width and height (pixels) and
 *           channels (1 grey, 2 grey and alpha, 3 colours, 4 with alpha) ask for, where given
 * Blanks around a value count only for string. min and max are inclusive, for int and float. */
#ifndef GY_DATA_SCHEMA_H
#define GY_DATA_SCHEMA_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/zone.h"
#include "data/anomaly.h"

#define GY_SCHEMA_MAX_VALUES 10000 /* values of one column */
#define GY_SCHEMA_MAX_MISSING 32
#define GY_SCHEMA_MAX_SIDE 65535 /* of an image, in pixels */
#define GY_SCHEMA_MAX_ENVIRONMENTS 16

enum gy_type {
    GY_TYPE_INT,
    GY_TYPE_FLOAT,
    GY_TYPE_STRING,
    GY_TYPE_BOOL,
    GY_TYPE_TIME,
    GY_TYPE_IMAGE
};

enum gy_role {
    GY_ROLE_FEATURE,
    GY_ROLE_LABEL,
    GY_ROLE_ID,
    GY_ROLE_SUBJECT,
    GY_ROLE_PROTECTED,
    GY_ROLE_EVENT_TIME,
    GY_ROLE_AVAILABLE_AT,
    GY_ROLE_WEIGHT
};

enum gy_lifecycle {
    GY_LIFECYCLE_PRODUCTION,
    GY_LIFECYCLE_BETA,
    GY_LIFECYCLE_PLANNED, /* this one and those below: may be absent */
    GY_LIFECYCLE_ALPHA,
    GY_LIFECYCLE_DEBUG,
    GY_LIFECYCLE_DEPRECATED
};

/* What is too far between two tables; NaN: not asked. */
struct gy_comparator {
    double infinity_norm, jensen_shannon, normalized_abs_difference;
};

struct gy_severity_of {
    enum gy_anomaly_kind kind;
    enum gy_severity severity;
};

/* Strings live in the schema's arena and end in NUL. */
struct gy_column {
    struct gy_str name;
    enum gy_type type;
    enum gy_role role;
    struct gy_str unit; /* may be absent */
    bool required;      /* a missing value is a fault */
    bool unique;        /* no value twice among the accepted records */
    bool has_min, has_max;
    double min, max;
    int width, height, channels; /* of images, as they are wanted; 0: any */
    struct gy_str *values;       /* the allowed ones, as canonical text; n_values 0: any */
    size_t n_values;
    struct gy_str *not_in; /* environments where the column may be absent */
    size_t n_not_in;
    struct gy_str *in; /* environments that have it; n_in 0: all */
    size_t n_in;
    bool categorical;
    double min_fraction, min_domain_mass;
    int64_t min_count;
    int64_t min_distinct, max_distinct; /* max -1: any */
    struct gy_str list;                 /* the separator; absent: a field is one value */
    int64_t min_values, max_values;     /* of a list; max -1: any */
    enum gy_lifecycle lifecycle;
    struct gy_str zone;    /* absent: times must say theirs; "none": they stay as they are */
    struct gy_zone *clock; /* of zone, owned by the schema; NULL without one and with "none" */
    struct gy_comparator skew, drift;
    const struct gy_severity_of *severities;
    size_t n_severities;
};

struct gy_schema {
    struct gy_column *columns;
    size_t n_columns;
    const struct gy_str *missing;
    size_t n_missing;
    const struct gy_str *environments; /* n 0: any */
    size_t n_environments;
    int64_t min_rows, max_rows;            /* max -1: any */
    double min_rows_drift, max_rows_drift; /* shares of the rows before; NaN: not asked */
    const struct gy_severity_of *severities;
    size_t n_severities;
    struct gy_map by_name; /* to struct gy_column */
    struct gy_arena arena;
};

/* name is for messages ("schema.yaml"). Fails: PARSE, INVALID with name:line, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_schema_parse(struct gy_str text, const char *name, struct gy_schema **ret,
                                     struct gy_err *err);
GY_CHECKED gy_status gy_schema_read(const char *path, struct gy_schema **ret, struct gy_err *err);
/* The nearest schema.yaml: in dir, else in the folders above it up to the one that holds gyre.yaml,
 * dvc.yaml or .git. Fails: NOTFOUND. */
GY_CHECKED gy_status gy_schema_find(const char *dir, char ret_path[GY_MAX_PATH],
                                    struct gy_err *err);
void gy_schema_free(struct gy_schema *s);
GY_DEFINE_AUTO(struct gy_schema *, gy_schema_free);

/* NULL when there is none of this name / with this role (the first one). */
const struct gy_column *gy_schema_column(const struct gy_schema *s, struct gy_str name);
const struct gy_column *gy_schema_role(const struct gy_schema *s, enum gy_role role);
static inline size_t gy_schema_index(const struct gy_schema *s, const struct gy_column *c)
{
    return (size_t)(c - s->columns);
}
/* Is the column expected in this environment ("SERVING"; absent: all columns are)? */
bool gy_column_in(const struct gy_column *c, struct gy_str environment);
/* Is the column one that may never be there (lifecycle)? */
static inline bool gy_column_optional(const struct gy_column *c)
{
    return c->lifecycle >= GY_LIFECYCLE_PLANNED;
}
/* Fails with INVALID when the schema lists its environments and this is none of them. */
GY_CHECKED gy_status gy_schema_check_environment(const struct gy_schema *s,
                                                 struct gy_str environment, struct gy_err *err);
/* How severe a finding is: what the column says (NULL: none), else the schema, else ERROR. */
enum gy_severity gy_schema_severity(const struct gy_schema *s, const struct gy_column *c,
                                    enum gy_anomaly_kind kind);
bool gy_schema_is_missing(const struct gy_schema *s, struct gy_str text);

struct gy_statistics; /* data/statistics.h */
/* What a table shows, as TFDV infers it: a column without gaps is required, others have a value at
 * least once; ids that never come twice are unique; texts of few (max_domain) values that come
 * again are a domain; with ranges, numbers keep to what was seen. Before s is shared. Fails:
 * INVALID (max_domain), NOMEM. */
GY_CHECKED gy_status gy_schema_tighten(struct gy_schema *s, const struct gy_statistics *statistics,
                                       int64_t max_domain, bool ranges, struct gy_err *err);

/* Append as one line of JSON / as a schema.yaml. Failures stick to out. */
void gy_schema_json(const struct gy_schema *s, struct gy_buf *out);
void gy_schema_yaml(const struct gy_schema *s, struct gy_buf *out);
const char *gy_type_name(enum gy_type t);
const char *gy_role_name(enum gy_role r);
const char *gy_lifecycle_name(enum gy_lifecycle l);

/* Make the canonical text of a value of this type (see above) from text, which is no missing
 * marker. The result is a view into text, into out (at least GY_VALUE_TEXT bytes) or static.
 * *ret_num: the number of an int, float or bool (0 or 1), else NaN. False: not of this type. */
#define GY_VALUE_TEXT 64
/* The same for one value of a column: knows the zone of its times. */
bool gy_column_canonical(const struct gy_column *c, struct gy_str text, char out[GY_VALUE_TEXT],
                         struct gy_str *ret, double *ret_num);
/* Is it a time that fails for want of a zone alone? */
bool gy_time_lacks_zone(struct gy_str text);
/* Without a column: local times stay as they are. */
bool gy_value_canonical(enum gy_type type, struct gy_str text, char out[GY_VALUE_TEXT],
                        struct gy_str *ret, double *ret_num);

/* Guess a schema from the first lines of a CSV file (a view of at least the header and some
 * records; a cut last record is ignored unless whole is set). Types only: nothing is required but
 * by the name "id" or "*_id" with distinct values, which gets role id. Fails: PARSE (no header),
 * NOMEM. */
GY_CHECKED gy_status gy_schema_infer(struct gy_str csv, bool whole, struct gy_schema **ret,
                                     struct gy_err *err);
/* The same for files with some damage: a column has a type when at most `tolerance` (0 to 1) of its
 * values are not of it. What is not will be a dead letter, so whoever asks for this must say so. */
GY_CHECKED gy_status gy_schema_infer_most(struct gy_str csv, bool whole, double tolerance,
                                          struct gy_schema **ret, struct gy_err *err);

#endif
