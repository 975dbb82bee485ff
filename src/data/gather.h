/* SPDX-License-Identifier: Apache-2.0 */
/* gy_gather: statistics.h in the making: takes records, can be merged with what was gathered of
 * other records, and is turned into a gy_statistics at the end. Moments are those of blocks of
 * GY_GATHER_BLOCK rows, each computed in two passes around its own mean and added up as Chan, Golub
 * and LeVeque (1983) have it, so that neither large offsets nor many rows cost digits. The same
 * records in the same order, cut into the same gathers, give the same bits. Not thread safe; one
 * owner, but see gy_gather_merge_part. */
#ifndef GY_DATA_GATHER_H
#define GY_DATA_GATHER_H

#include "data/check.h"
#include "data/statistics.h"

#define GY_GATHER_BLOCK 256

struct gy_gather;

struct gy_gather_column {
    struct gy_str name;
    enum gy_type type;
    enum gy_role role;
    const struct gy_column *column; /* MAY be NULL; knows the zone of times and the separator of
                                       lists; outlives the gather */
};
struct gy_gather_options {
    const struct gy_gather_column *columns; /* copied; the names too */
    size_t n_columns;
    const struct gy_str *missing; /* markers, kept as they are; the empty text always is one */
    size_t n_missing;
};

/* Fails: NOMEM. */
GY_CHECKED gy_status gy_gather_new(const struct gy_gather_options *o, struct gy_gather **ret,
                                   struct gy_err *err);
void gy_gather_free(struct gy_gather *g);
GY_DEFINE_AUTO(struct gy_gather *, gy_gather_free);
void gy_gather_reset(struct gy_gather *g); /* as new; memory is kept */

/* One record, with one field or value a column; raw: the record as it stands in the file, to tell
 * rows apart. Fail: NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_gather_fields(struct gy_gather *g, const struct gy_csv_field *fields,
                                      struct gy_str raw, struct gy_err *err);
GY_CHECKED gy_status gy_gather_values(struct gy_gather *g, const struct gy_value *values,
                                      struct gy_str raw, struct gy_err *err);
void gy_gather_broken(struct gy_gather *g); /* a record that no value can be told of */

/* Add what `from` has gathered of further records. Both have the same columns. Fails: NOMEM,
 * TOOBIG; into is spoilt then. */
GY_CHECKED gy_status gy_gather_merge(struct gy_gather *into, struct gy_gather *from,
                                     struct gy_err *err);
/* The same in parts that touch different memory, so that threads can share the work: all of [0,
 * gy_gather_n_parts), each once, after gy_gather_flush of both and gy_gather_agree (of each `from`
 * that is merged in these parts, in their order). */
GY_CHECKED gy_status gy_gather_flush(struct gy_gather *g, struct gy_err *err);
void gy_gather_agree(struct gy_gather *into, const struct gy_gather *from);
size_t gy_gather_n_parts(const struct gy_gather *g);
GY_CHECKED gy_status gy_gather_merge_part(struct gy_gather *into, const struct gy_gather *from,
                                          size_t part, struct gy_err *err);

/* Fails: NOMEM. */
GY_CHECKED gy_status gy_gather_finish(struct gy_gather *g, struct gy_statistics **ret,
                                      struct gy_err *err);

#endif
