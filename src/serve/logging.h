/* SPDX-License-Identifier: Apache-2.0 */
/* gy_logging: what of an endpoint's predictions goes to the log, by its setting `log`:
 *   {sample: 0.1, hash: [patient], leave_out: [name], body: true}
 * A sample is drawn by the prediction's id, so anybody who has the id can tell whether it was
 * drawn; the record says at which rate, so that counts can be re-weighted. A hashed column is
 * logged as a keyed hash of its value (equal values stay equal), a column that is left out as
 * missing; the model and the rules see both as they came. Immutable once read. */
#ifndef GY_SERVE_LOGGING_H
#define GY_SERVE_LOGGING_H

#include "base/arena.h"
#include "base/json.h"
#include "serve/parse.h"
#include "store/erasure_key.h"

#define GY_LOGGING_KEY 16

enum gy_log_column { GY_LOG_AS_IS, GY_LOG_HASHED, GY_LOG_LEFT_OUT };

struct gy_logging {
    double sample;    /* 1: everything */
    uint64_t cut;     /* gy_share_cut of it */
    uint8_t *columns; /* enum gy_log_column of each field; NULL: all as they are */
    bool hashes, body;
};

/* Of the setting; whether its columns are the endpoint's is known when that is built. Fails:
 * INVALID. */
GY_CHECKED gy_status gy_logging_check(yyjson_val *setting, struct gy_err *err);
/* setting MAY be NULL: everything is logged. What is kept lives in the arena. Fails: INVALID
 * (unknown column ...), NOMEM. */
GY_CHECKED gy_status gy_logging_read(yyjson_val *setting, const struct gy_infer_shape *shape,
                                     struct gy_arena *a, struct gy_logging *ret,
                                     struct gy_err *err);
/* Is the prediction with this id drawn? */
bool gy_logging_draws(const struct gy_logging *l, const unsigned char id[16]);

/* The key of hashed columns, made of the home's. */
void gy_logging_key(const struct gy_erasure_key *home, unsigned char ret[GY_LOGGING_KEY]);
/* A whole number below 2^52; a missing value stays missing. Known at a glance: it is not reversible
 * without the key. */
double gy_logging_hash(const unsigned char key[GY_LOGGING_KEY], double value);
/* n_rows x n_fields values as they are logged. */
void gy_logging_columns(const struct gy_logging *l, const unsigned char key[GY_LOGGING_KEY],
                        const double *values, size_t n_rows, size_t n_fields, double *out);

/* What the setting in a frozen configuration does with the column of that name. */
enum gy_log_column gy_logging_column_of(yyjson_val *config, struct gy_str name);
/* "hashed", "left out"; NULL: it is as it is. */
const char *gy_logging_column_name(enum gy_log_column how);
/* The share of predictions that it logs. */
double gy_logging_sample_of(yyjson_val *config);

#endif
