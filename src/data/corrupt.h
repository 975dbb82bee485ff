/* SPDX-License-Identifier: Apache-2.0 */
/* gy_corruptor: the sink of made data. Writes records to a file and puts bad ones between them,
 * each made from the good record before it, at places and in kinds that follow from the seed alone;
 * and the ledger of them. Private to synth.c and corrupt.c. Not thread safe; one owner. */
#ifndef GY_DATA_CORRUPT_H
#define GY_DATA_CORRUPT_H

#include "data/synth.h"

struct gy_corruptor;

struct gy_corruptor_options {
    const char *out, *ledger;
    const struct gy_schema *schema;
    struct gy_str header; /* the header line, without its end */
    char delimiter;
    int64_t rows, bad;
    int64_t fresh_id; /* the first of `bad` ids that no record has */
    uint64_t seed;
};
/* schema must outlive it. Fails: SCHEMA (a header field unknown), INVALID, IO, NOMEM. */
GY_CHECKED gy_status gy_corruptor_new(const struct gy_corruptor_options *o,
                                      struct gy_corruptor **ret, struct gy_err *err);
void gy_corruptor_free(struct gy_corruptor *c);
GY_DEFINE_AUTO(struct gy_corruptor *, gy_corruptor_free);
/* Write a record; when it is good, also the bad ones whose turn has come. */
GY_CHECKED gy_status gy_corruptor_add(struct gy_corruptor *c, struct gy_str line, bool good,
                                      struct gy_err *err);
/* Put both files in place. */
GY_CHECKED gy_status gy_corruptor_commit(struct gy_corruptor *c, struct gy_synth_result *ret,
                                         struct gy_err *err);

#endif
