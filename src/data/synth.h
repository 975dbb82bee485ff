/* SPDX-License-Identifier: Apache-2.0 */
/* Made data. gy_synth_patients writes patients' vitals as reference system 000 has them, with
 * labels that follow its rule exactly: marker     low             normal        high
 *   Temp       35.0..35.9      36.0..38.3    38.4..42.3   C
 *   HR                         60..90        91..250      beats a minute
 *   Resp                       12..20        21..35       breaths a minute
 *   WBC        2.9..3.9        4.0..12.0     12.1..30.0   thousand per mm3
 * septic if and only if two or more markers are not normal. Of the 36 combinations 29 are septic
 * and 7 are not; how often each comes is counted from the real file (WBC, which that file lacks, by
 * assumption: it decides alone for 16 % of the septic). The other columns have the real file's
 * means, spreads and gaps. Same options, same bytes, on every machine.
 * There is a second population, `elderly`. It is made up: no file of real patients is behind its
 * numbers. It is what a model meets that was trained on adults and is then asked about a geriatric
 * ward: fever is blunted (Temp seldom high, sometimes low, low within the normal band), beta
 * blockers keep most hearts at 42 to 60 beats (a low HR is no marker), and healthy ones seldom show
 * a marker while WBC decides together with a single vital sign for 65 % of the septic, so that one
 * vital sign that is not normal means sepsis more often than not. The rule of the labels is the
 * same. A model of the three vital signs that learnt from adults misses those.
 * gy_synth_corrupt copies a CSV file and puts bad records between its records. Both tell in a
 * ledger what they injected, so that a test can compare dead letters byte by byte. */
#ifndef GY_DATA_SYNTH_H
#define GY_DATA_SYNTH_H

#include "data/schema.h"

#define GY_SYNTH_MAX_ROWS INT64_C(1000000000)
#define GY_SYNTH_MAX_FIRST_ID INT64_C(1000000000000000)
#define GY_SYNTH_MAX_BAD INT64_C(10000000)
#define GY_SYNTH_MAX_DRIFTS 16

/* Added to (or multiplied with) every value of a column after the label is settled. */
struct gy_synth_drift {
    struct gy_str column;
    bool multiply;
    double amount;
};
/* "Temp=+1.0", "HR=-5", "HR=*1.1". Fails: INVALID. */
GY_CHECKED gy_status gy_synth_parse_drift(struct gy_str text, struct gy_synth_drift *ret,
                                          struct gy_err *err);

/* The kinds of bad record, and the code that its dead letter has. X(name, code) */
#define GY_BAD_KINDS(X)         \
    X(number_of_fields, FIELDS) \
    X(open_quote, QUOTE)        \
    X(invalid_utf8, UTF8)       \
    X(wrong_type, TYPE)         \
    X(out_of_range, RANGE)      \
    X(missing_required, REQUIRED) X(outside_domain, VALUES) X(duplicate_id, UNIQUE)

enum gy_population { GY_ADULTS, GY_ELDERLY };
/* "adults", "elderly". Fails: INVALID. */
GY_CHECKED gy_status gy_synth_parse_population(struct gy_str text, enum gy_population *ret,
                                               struct gy_err *err);

struct gy_synth_options {
    enum gy_population population; /* of patients */
    int64_t rows;                  /* good ones; bad ones come on top */
    uint64_t seed;
    double positive; /* share of septic patients: exactly round(rows * positive) */
    double mislabel; /* share of them whose label says 0: what a broken or hostile source of labels
                        does */
    int64_t first_id;
    bool labelled; /* with the column isSepsis */
    bool wbc;      /* with the column WBC */
    const struct gy_synth_drift *drifts;
    size_t n_drifts;
    int64_t bad;        /* bad records to inject, the kinds in turn */
    const char *out;    /* path of the CSV file, replaced atomically */
    const char *ledger; /* path; NULL: none. A line each: {"kind","code","row","offset","bytes"}
                         * with the record's bytes in base64 and its row as dead letters count */
};
struct gy_synth_result {
    int64_t rows, positives, bad, bytes;
};
/* Fails: INVALID (options, an unknown drift column), IO, NOSPACE, DENIED, NOMEM. */
GY_CHECKED gy_status gy_synth_patients(const struct gy_synth_options *o,
                                       struct gy_synth_result *ret, struct gy_err *err);
/* The schema of what gy_synth_patients writes (WBC included), as YAML. */
extern const char GY_SYNTH_PATIENTS_SCHEMA[];

struct gy_corrupt_options {
    const char *in, *out, *ledger; /* ledger MAY be NULL */
    const struct gy_schema *schema;
    struct gy_str environment; /* as gy_ingest; absent: all columns */
    int64_t bad;
    uint64_t seed;
};
/* Kinds that the schema gives no hold for (no unique column, no column with values ...) are left
 * out of the turn. The records of the copy end in LF. Each bad record is made from a record of the
 * file that the schema accepts. Fails: as gy_ingest does for a bad header, and INVALID when no
 * record is good. */
GY_CHECKED gy_status gy_synth_corrupt(const struct gy_corrupt_options *o,
                                      struct gy_synth_result *ret, struct gy_err *err);

#endif
