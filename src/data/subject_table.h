/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of one person in tables and logs of dead letters: counted, told as JSON, or left out
 * while every other byte is copied as it stands. Not thread safe; one owner. */
#ifndef GY_DATA_SUBJECT_TABLE_H
#define GY_DATA_SUBJECT_TABLE_H

#include "data/subject.h"

#define GY_SUBJECT_MAX_LINE (64 * GY_MIB) /* of JSON lines */
#define GY_SUBJECT_MAX_FIELDS 100000      /* columns of a table */

struct gy_subject_scan {
    const struct gy_subject *subject;
    const struct gy_str *columns; /* names of columns that identify a person */
    size_t n_columns;
    bool mentions;  /* rows of others that name the subject go, too */
    char delimiter; /* of CSV; 0: sniffed */
    /* The bytes that stay, in order. MAY be NULL. */
    gy_status (*keep)(void *ctx, struct gy_str bytes, struct gy_err *err);
    /* A row that goes, as a JSON object. MAY be NULL. */
    gy_status (*row)(void *ctx, struct gy_str json, struct gy_err *err);
    void *ctx;
    /* What was found. */
    bool has_column; /* CSV: one of the columns is in the header; else always */
    int64_t rows;    /* all of them */
    int64_t hits;    /* by a column */
    int64_t named;   /* by another place (gy_subject_named), whether they go or not */
};
/* A file with a header line (records.h), read by fd from its start; size_bytes of it. Fails: IO,
 * NOMEM, TOOBIG, as keep and row do. */
GY_CHECKED gy_status gy_subject_scan_csv(struct gy_subject_scan *s, int fd, int64_t size_bytes,
                                         struct gy_err *err);
/* One JSON value a line; what is no object is only searched as text. */
GY_CHECKED gy_status gy_subject_scan_lines(struct gy_subject_scan *s, int fd, int64_t size_bytes,
                                           struct gy_err *err);

/* Does a file of any kind name the subject somewhere (gy_subject_named)? From its start; in
 * constant memory. text_only: files that have a NUL in their first bytes are not looked at. */
GY_CHECKED gy_status gy_subject_search(const struct gy_subject *s, int fd, int64_t size_bytes,
                                       bool text_only, bool *ret_found, struct gy_err *err);

/* Single dead letters, as lines of JSON. */
struct gy_subject_letter_reader;
GY_CHECKED gy_status gy_subject_letter_reader_new(const struct gy_subject *subject,
                                                  const struct gy_str *columns, size_t n_columns,
                                                  struct gy_subject_letter_reader **ret,
                                                  struct gy_err *err);
void gy_subject_letter_reader_free(struct gy_subject_letter_reader *r);
GY_DEFINE_AUTO(struct gy_subject_letter_reader *, gy_subject_letter_reader_free);
bool gy_subject_letter_is(struct gy_subject_letter_reader *r, struct gy_str line);

/* A log of dead letters. possible: letters that cannot be told apart, since they say no header and
 * hold the id as a whole field: they stay. */
struct gy_subject_letters {
    int64_t letters, hits, possible;
};
typedef gy_status (*gy_subject_letter_fn)(void *ctx, struct gy_str line, struct gy_err *err);
/* fn (MAY be NULL) gets each letter of the subject. Fails: NOTFOUND, IO. */
GY_CHECKED gy_status gy_subject_letters_find(const char *path, const struct gy_subject *subject,
                                             const struct gy_str *columns, size_t n_columns,
                                             gy_subject_letter_fn fn, void *ctx,
                                             struct gy_subject_letters *ret, struct gy_err *err);
/* Leave them out: the log is replaced as a whole, other lines stay byte for byte, and a last line
 * says how many were erased: {"time","erased":n,"erasure":id}. Appending processes wait. A log
 * without such letters is not touched. */
GY_CHECKED gy_status gy_subject_letters_erase(const char *path, const struct gy_subject *subject,
                                              const struct gy_str *columns, size_t n_columns,
                                              struct gy_str erasure, struct gy_subject_letters *ret,
                                              struct gy_err *err);

#endif
