/* SPDX-License-Identifier: Apache-2.0 */
/* gy_ingest: a CSV file becomes OUT/data.csv, canonical (schema order, RFC 4180, LF, the value
 * texts of schema.h, missing = empty), and its refused records become dead letters. The same
 * records give the same bytes, whatever the input's column order, delimiter, line ends and number
 * spelling; the dataset version is the digest of those bytes. Conservation, asserted on every run
 * (a violation is CORRUPT, and data.csv is not replaced): accepted + dead == read, and header +
 * records + blank lines == the bytes of the file. data.csv is replaced atomically and last: a
 * failed run leaves the old one. Dead letters are made durable before; a second run of the same
 * file therefore gives the same data.csv and appends its dead letters again. Constant memory
 * (csv.record_max and buffers) besides the values of unique columns. Not thread safe; runs on the
 * caller's thread. */
#ifndef GY_DATA_INGEST_H
#define GY_DATA_INGEST_H

#include "base/hash.h"
#include "data/deadletter.h"

struct gy_ingest_options {
    const char *path;    /* of the file */
    const char *file;    /* the name that dead letters give; NULL: path */
    const char *out_dir; /* made when absent */
    const char *dlq;     /* path of the log of dead letters */
    const struct gy_schema *schema;
    struct gy_str environment;      /* "SERVING"; absent: all columns are wanted */
    char delimiter;                 /* 0: sniffed */
    int64_t max_dead;               /* more dead records fail the run; -1: any number */
    double max_dead_share;          /* the same as a share of what was read, 0..1; negative: any */
    size_t record_max, chunk_bytes; /* 0: the defaults of records.h */
    void (*progress)(void *ctx, int64_t bytes_done); /* may be NULL; a call for some 256 KiB */
    void *progress_ctx;
};

struct gy_ingest_result {
    int64_t read, accepted, dead; /* records */
    int64_t codes[GY_DEAD_N];     /* dead records that have this code */
    int64_t source_bytes, header_bytes, record_bytes, blank_bytes;
    int64_t size_bytes; /* of data.csv */
    double seconds;
    char delimiter;
    char path[GY_MAX_PATH]; /* OUT/data.csv */
    char sha256[GY_SHA256_HEX], md5[GY_MD5_HEX];
    char source_sha256[GY_SHA256_HEX];
};

/* Fails: NOTFOUND, DENIED, IO, NOSPACE; PARSE (no header line, or a broken one); SCHEMA (columns,
 * as gy_checker_new; or more dead records than allowed: then the counts in ret are right, the
 * letters are written and data.csv is not replaced); CORRUPT (conservation violated); NOMEM,
 * TOOBIG. */
GY_CHECKED gy_status gy_ingest(const struct gy_ingest_options *o, struct gy_ingest_result *ret,
                               struct gy_err *err);
/* "12" or "2.5%" into the two options above. Fails: INVALID. */
GY_CHECKED gy_status gy_ingest_parse_max_dead(struct gy_str text, struct gy_ingest_options *o,
                                              struct gy_err *err);

#endif
