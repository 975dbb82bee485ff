/* SPDX-License-Identifier: Apache-2.0 */
/* Dead letters: refused records, one JSON line each, appended to a log (design section 5):
 * {"time","file","row","offset","length","codes":[...],"column","error","trace":null,"data"}
 * where "data" is the record as it stood in the file (without its line end), or "data_b64" its
 * bytes in base64 when they are not UTF-8 or longer than csv.record_max. (offset, length) is the
 * same place in the file. "row" is the 0-based index of the record among the records of the file.
 * "column" is the first one at fault, null when the record as a whole is. Records of CSV files also
 * have "header" and "delimiter" (unless the header line is longer than GY_DLQ_MAX_HEADER): what
 * gyre dlq replay reads them by.
 * Appending is durable (fsync) and never rewrites: a second ingest of the same file appends the
 * same letters again with a later time. A torn last line (crash, full disk) is closed first, so
 * that it spoils no later one. Not thread safe; one owner; several processes may append whole
 * lines. */
#ifndef GY_DATA_DEADLETTER_H
#define GY_DATA_DEADLETTER_H

#include "base/json.h"
#include "data/check.h"

#define GY_DLQ_FLUSH_BYTES (256 * GY_KIB) /* what is kept before it is written */
#define GY_DLQ_MAX_LINE (16 * GY_MIB)     /* a letter that is read back */

struct gy_dlq {
    const char *path;
    struct gy_buf pending;
    int64_t letters;
    struct gy_buf header; /* of the file at hand; empty: none, or too long */
    char delimiter;
};

#define GY_DLQ_MAX_HEADER (8 * GY_KIB) /* a longer header line is left out of letters */

/* path is kept, not copied; nothing is opened or made before the first letter. */
void gy_dlq_init(struct gy_dlq *d, const char *path);
void gy_dlq_done(struct gy_dlq *d); /* drops what was not flushed */
GY_DEFINE_AUTO_DONE(struct gy_dlq, gy_dlq_done);

/* The letters from here on are records of a CSV file with this header line (copied), so that they
 * can be read without the file; absent: of a file without one (JSON). */
void gy_dlq_header(struct gy_dlq *d, struct gy_str header, char delimiter);

/* Add one letter. file is the name it is known by; long_fd holds the bytes of a record whose raw is
 * absent, from its start (pread). Fails: NOMEM, IO, NOSPACE, DENIED. */
GY_CHECKED gy_status gy_dlq_add(struct gy_dlq *d, struct gy_str file,
                                const struct gy_csv_item *item, const struct gy_reasons *reasons,
                                int long_fd, struct gy_err *err);
/* Make all letters durable. */
GY_CHECKED gy_status gy_dlq_flush(struct gy_dlq *d, struct gy_err *err);

/* Read a log back, line by line: fn gets the line's 0-based number, its text and its JSON (NULL
 * when the line is no letter); it ends the walk by returning false. Fails: NOTFOUND, IO, TOOBIG,
 * NOMEM. */

typedef bool (*gy_dlq_fn)(void *ctx, int64_t number, struct gy_str line, yyjson_val *letter);
GY_CHECKED gy_status gy_dlq_each(const char *path, gy_dlq_fn fn, void *ctx, struct gy_err *err);

#endif
