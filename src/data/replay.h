/* SPDX-License-Identifier: Apache-2.0 */
/* gy_replay: dead letters get another chance. What a table holds (data.csv of an ingest) is read
 * through a checker of the schema, which need not be the one that refused the letters; then each
 * letter is checked, and those that are good now follow as rows. So values of unique columns that
 * are in already refuse a letter, and the new table is canonical, as an ingest would have made it.
 * Letters of several files and formats may come in any order. The new table is a file that nobody
 * sees until gy_replay_commit. Memory: as an ingest's. Not thread safe; one owner.
 * Lifecycle: gy_replay_open -> gy_replay_letter* -> gy_replay_end -> gy_replay_commit ->
 * gy_replay_free. */
#ifndef GY_DATA_REPLAY_H
#define GY_DATA_REPLAY_H

#include "base/hash.h"
#include "data/check.h"
#include "data/letter.h"

struct gy_replay;

struct gy_replay_options {
    const struct gy_schema *schema; /* outlives the replay */
    struct gy_str environment;
    const char *base; /* path of the table */
    const char *out;  /* path of the new table; may be the same */
    struct gy_str
        header;  /* of CSV letters that have none; absent: that of their file, if it is there */
    bool images; /* files of image columns are looked for, beside the letter's file */
};

struct gy_replay_result {
    int64_t base_rows, accepted, refused;
    int64_t size_bytes; /* of the new table */
    char base_sha256[GY_SHA256_HEX], sha256[GY_SHA256_HEX], md5[GY_MD5_HEX];
};

/* Reads the table. Fails: as files do; SCHEMA (a row of the table does not fit the schema: nothing
 * may be lost by a replay); PARSE, NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_replay_open(const struct gy_replay_options *o, struct gy_replay **ret,
                                    struct gy_err *err);
void gy_replay_free(struct gy_replay *r); /* what was not committed is as if it had not been */
GY_DEFINE_AUTO(struct gy_replay *, gy_replay_free);
/* *ret_reasons: why it stays dead, without codes when it was accepted; a view until the next call.
 * Fails only as memory and files do, never because of the letter. */
GY_CHECKED gy_status gy_replay_letter(struct gy_replay *r, const struct gy_letter *l,
                                      const struct gy_reasons **ret_reasons, struct gy_err *err);
/* All letters were seen: the digests of what gy_replay_commit will put in place. */
GY_CHECKED gy_status gy_replay_end(struct gy_replay *r, struct gy_replay_result *ret,
                                   struct gy_err *err);
/* Put it in place, durably and atomically. */
GY_CHECKED gy_status gy_replay_commit(struct gy_replay *r, struct gy_err *err);

#endif
