/* SPDX-License-Identifier: Apache-2.0 */
/* gy_ingest: sources of records (CSV, JSON, JSONL) become OUT/data.csv, canonical (schema order,
 * RFC 4180, LF, the value texts of schema.h, missing = empty), and its refused records become dead
 * letters. The same records give the same bytes, whatever the input's format, column order,
 * delimiter, line ends and number spelling; the dataset version is the digest of those bytes.
 * Conservation, asserted on every run (a violation is CORRUPT, and data.csv is not replaced):
 * accepted + dead + replaced == read (replaced is 0 unless on_duplicate says otherwise), and header
 * + records + blank lines == the bytes of the files. data.csv is replaced atomically and last: a
 * failed run leaves the old one. The dead letters of a run are appended before that, all together
 * or none; a second run of the same file gives the same data.csv and appends its letters again.
 * A replay that works on the folder (it holds a lock on it) is waited for.
 * Constant memory (csv.record_max and buffers, some MiB a thread) besides the values of unique
 * columns. Records are checked on several threads; what comes out does not depend on how many. */
#ifndef GY_DATA_INGEST_H
#define GY_DATA_INGEST_H

#include "base/hash.h"
#include "data/deadletter.h"
#include "data/source.h"

/* What becomes of records that repeat the value of the schema's one unique column: all but the
 * first are dead; or the last one is kept, or the first, and the others are counted as replaced. */
enum gy_on_duplicate { GY_DUPLICATE_DEAD, GY_DUPLICATE_LAST, GY_DUPLICATE_FIRST };

struct gy_ingest_options {
    struct gy_source *const *sources; /* read one after the other; closed at the end */
    size_t n_sources;                 /* at least 1 */
    enum gy_on_duplicate on_duplicate;
    const char *out_dir; /* made when absent */
    const char *dlq;     /* path of the log of dead letters */
    const struct gy_schema *schema;
    struct gy_str environment; /* "SERVING"; absent: all columns are wanted */
    char delimiter;            /* 0: sniffed */
    int64_t max_dead;          /* more dead records fail the run; -1: any number */
    double max_dead_share;     /* the same as a share of what was read, 0..1; negative: any */
    int64_t accepted_before;   /* records read again that were accepted before: not of that share */
    size_t record_max, chunk_bytes; /* 0: the defaults of records.h, and batches of 512 KiB */
    int threads;                    /* 0: one a processor; the result is the same */
    /* May be NULL; a call for some 256 KiB. bytes_done is of the sources as they lie there. */
    void (*progress)(void *ctx, int64_t bytes_done);
    void *progress_ctx;
};

struct gy_ingest_result {
    int64_t read, accepted, dead; /* records */
    int64_t replaced;             /* left out for another one with the same key */
    int64_t unknown_keys;         /* JSON: values whose key the schema does not know, left out */
    char unknown[512];            /* their names and counts, "a (3), b (1)", cut */
    int64_t unclosed;             /* JSON: arrays without an end; what was there was read */
    int64_t codes[GY_DEAD_N];     /* dead records that have this code */
    int64_t source_bytes, header_bytes, record_bytes, blank_bytes;
    int64_t size_bytes; /* of data.csv */
    double seconds;
    char delimiter;
    char path[GY_MAX_PATH]; /* OUT/data.csv */
    char sha256[GY_SHA256_HEX], md5[GY_MD5_HEX];
    char source_sha256[GY_SHA256_HEX]; /* of all files, unpacked, one after the other */
};

/* Fails: NOTFOUND, DENIED, IO, NOSPACE, CONFLICT (a file changed while it was read) and whatever
 * else a source fails with; PARSE (no header line, or a broken one; no JSON; packed data damaged);
 * INVALID (on_duplicate without one unique column); SCHEMA (columns, as gy_checker_new, or not
 * those of the file before; or more dead records than allowed: then the counts in ret are right,
 * the letters are written and data.csv is not replaced); CORRUPT (conservation violated); NOMEM,
 * TOOBIG. */
GY_CHECKED gy_status gy_ingest(const struct gy_ingest_options *o, struct gy_ingest_result *ret,
                               struct gy_err *err);
/* The members of a report, in an open object: counts, digests, seconds and codes. */
struct gy_jw;
void gy_ingest_report(struct gy_jw *w, const struct gy_ingest_result *r);

/* "12" or "2.5%" into the two options above. Fails: INVALID. */
GY_CHECKED gy_status gy_ingest_parse_max_dead(struct gy_str text, struct gy_ingest_options *o,
                                              struct gy_err *err);

/* "dead", "last", "first". Fails: INVALID. */
GY_CHECKED gy_status gy_ingest_parse_on_duplicate(struct gy_str text, enum gy_on_duplicate *ret,
                                                  struct gy_err *err);
#endif
