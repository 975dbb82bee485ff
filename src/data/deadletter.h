/* SPDX-License-Identifier: Apache-2.0 */
/* Dead letters: refused records, one JSON line each, appended to a log (design section 5):
 * {"source","time","file","row","offset","length","codes":[...],"column","error","trace":null,
 *  "data"}
 * where "data" is the record as it stood in the file (without its line end), or "data_b64" its
 * bytes in base64 when they are not UTF-8 or longer than csv.record_max. (offset, length) is the
 * same place in the file. "row" is the 0-based index of the record among the records of the file.
 * "source" is the SHA-256 of the file's (unpacked) bytes: (source, row) is the same for the same
 * record in every run, and for no other one. Letters of older programs have no "source".
 * "column" is the first one at fault, null when the record as a whole is. Records of CSV files also
 * have "header" and "delimiter" (unless the header line is longer than GY_DLQ_MAX_HEADER): what
 * gyre dlq replay reads them by.
 * The letters of a run are put aside until all sources are read, then appended together, durably
 * (fsync), or not at all: what a run that was killed or failed has met is not in the log. Nothing
 * is rewritten: a second ingest of the same file appends the same letters again with a later time.
 * A torn last line is closed first, so that it spoils no later one. Not thread safe; one owner;
 * several processes may append (base/file.h locks). */
#ifndef GY_DATA_DEADLETTER_H
#define GY_DATA_DEADLETTER_H

#include "base/json.h"
#include "data/check.h"

#define GY_DLQ_FLUSH_BYTES (256 * GY_KIB) /* what is kept before it is put aside */
#define GY_DLQ_MAX_LINE (16 * GY_MIB)     /* a letter that is read back whole */

struct gy_dlq {
    const char *path;
    struct gy_buf pending; /* not put aside yet */
    int aside;             /* -1: nothing is */
    int64_t letters, bytes;
    struct gy_dlq_part *parts; /* one a source with letters, in order */
    size_t n_parts, cap_parts;
    struct gy_buf header; /* of the file at hand; empty: none, or too long */
    char delimiter;
};

#define GY_DLQ_MAX_HEADER (8 * GY_KIB) /* a longer header line is left out of letters */

/* path is kept, not copied; nothing is opened or made before there are letters. */
void gy_dlq_init(struct gy_dlq *d, const char *path);
void gy_dlq_done(struct gy_dlq *d); /* drops what was not committed */
GY_DEFINE_AUTO_DONE(struct gy_dlq, gy_dlq_done);

/* The letters from here on are records of a CSV file with this header line (copied), so that they
 * can be read without the file; absent: of a file without one (JSON). */
void gy_dlq_header(struct gy_dlq *d, struct gy_str header, char delimiter);

/* Add one letter. file is the name it is known by; long_fd holds the bytes of a record whose raw is
 * absent, from its start (pread). Fails: NOMEM, IO, NOSPACE, DENIED. */
GY_CHECKED gy_status gy_dlq_add(struct gy_dlq *d, struct gy_str file,
                                const struct gy_csv_item *item, const struct gy_reasons *reasons,
                                int long_fd, struct gy_err *err);
/* The letters since the last call are of a source with this SHA-256 (hex). Fails: NOMEM. */
GY_CHECKED gy_status gy_dlq_end_source(struct gy_dlq *d, const char *sha256, struct gy_err *err);
/* Append all letters, all of whose sources have ended. Fails: IO, NOSPACE, DENIED; the log is as it
 * was then. */
GY_CHECKED gy_status gy_dlq_commit(struct gy_dlq *d, struct gy_err *err);

/* Is this line no letter but a note of what was erased (data/subject_table.h)? */
bool gy_dlq_is_note(yyjson_val *letter);

/* Read a log back, line by line: fn gets the line's 0-based number, its text and its JSON (NULL
 * when the line is no letter); it ends the walk by returning false. Of a line that is longer than
 * GY_DLQ_MAX_LINE the text is only its beginning (still longer than that), and the JSON lacks the
 * record and what stands behind it. Fails: NOTFOUND, IO, NOMEM. */
typedef bool (*gy_dlq_fn)(void *ctx, int64_t number, struct gy_str line, yyjson_val *letter);
GY_CHECKED gy_status gy_dlq_each(const char *path, gy_dlq_fn fn, void *ctx, struct gy_err *err);

#endif
