/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of gy_ingest: a reader makes batches of records (ingest_read.c, in order), workers
 * check them (ingest_check.c, any number at once), and what they found is taken in order
 * (ingest.c). What is in a batch depends on the input and the options alone, never on how many
 * threads there are. */
#ifndef GY_DATA_INGEST_INTERNAL_H
#define GY_DATA_INGEST_INTERNAL_H

#include "data/ingest.h"
#include "data/jsonfields.h"
#include "data/unique.h"

struct gy_csv;
struct gy_jsonrec;

/* A source whose records are under way. Made by the reader; freed when its last batch was taken,
 * but for the first one, by whose header the workers start. */
struct ingest_file {
    size_t index; /* of source */
    const struct gy_source *source;
    enum gy_ingest_format format;
    char delimiter;
    char *line; /* of the header: CSV with a header line, else NULL */
    size_t line_bytes;
    struct gy_csv_field *fields; /* views into line; of JSON: the reader's */
    size_t n_fields;
    char sha256[GY_SHA256_HEX]; /* known to the batch that is the last one */
};

/* What stands in a batch: a record, or a run of lines (GY_CSV_LINES). */
struct ingest_piece {
    struct gy_csv_item item; /* its raw is set by the checking */
    size_t at;               /* of raw in bytes */
};

struct ingest_dead {
    struct gy_csv_item item; /* row: within the batch */
    unsigned codes;
    const struct gy_column *column;
    size_t text, text_bytes; /* in texts */
};

/* A record of a batch whose values must not repeat, or replace one another. */
struct ingest_keyed {
    struct gy_csv_item item; /* row: within the batch */
    size_t line, line_bytes; /* in out; 0 bytes: dead */
    size_t dead;             /* its index, when it is */
    size_t keys;             /* in the batch's keys: n_unique times a size_t, then the texts */
};

struct ingest_batch {
    struct ingest_file *file;
    bool last;   /* of its file */
    bool headed; /* the reader knew a header when it was filled */
    struct gy_buf bytes;
    struct ingest_piece *pieces;
    size_t n_pieces, cap_pieces;
    int spill;  /* the bytes of the one record whose raw is absent; -1: none */
    bool leads; /* the header line of data.csv comes before its lines */
    /* filled by the checking */
    struct gy_buf out; /* canonical lines */
    int64_t records, accepted, record_bytes, blank_bytes;
    struct ingest_dead *dead;
    size_t n_dead, cap_dead;
    struct gy_buf texts;
    struct ingest_keyed *keyed;
    size_t n_keyed, cap_keyed;
    struct gy_buf keys;
    struct gy_unknown unknown;
};
void gy_ingest_batch_init(struct ingest_batch *b);
void gy_ingest_batch_done(struct ingest_batch *b);
/* One more element of an array that grows; NULL: out of memory. */
void *gy_ingest_more(void *items, size_t n, size_t *cap, size_t size);

/* ---- the reader: one at a time ---- */

/* The bytes of a record that is too long to be kept, in a file without a name. */
struct ingest_spill {
    struct gy_spill to;
    const char *dir;
    int fd;
    int64_t bytes;
};

struct ingest_read {
    struct gy_reader *reader; /* of the source at hand, counted and digested; in ingest_read.c */
    const struct gy_ingest_options *o;
    size_t source; /* index of the one at hand */
    struct gy_hash *sha256, *one;
    struct gy_csv *csv;
    struct gy_jsonrec *json;
    struct gy_jsonfields *fields; /* the header of JSON; made for the first such source */
    struct gy_checker *checker;   /* for headers alone */
    struct ingest_file **files;   /* by source; NULL: not begun, or done with */
    struct ingest_file *at;
    bool header_seen; /* in the source at hand */
    struct ingest_spill spill;
    struct gy_buf canonical; /* the header line of data.csv, once a header was read */
    int64_t bytes, header_bytes, unclosed, done_before;
    char delimiter;
};
GY_CHECKED gy_status gy_ingest_read_init(struct ingest_read *r, const struct gy_ingest_options *o,
                                         struct gy_err *err);
void gy_ingest_read_done(struct ingest_read *r);
void gy_ingest_file_free(struct ingest_file *f);
/* Fill a batch (gy_pipeline's make). Fails: as gy_ingest. */
GY_CHECKED gy_status gy_ingest_read(struct ingest_read *r, struct ingest_batch *b, bool *ret_more,
                                    struct gy_err *err);

/* ---- a worker: one a thread ---- */

struct ingest_worker {
    const struct gy_ingest_options *o;
    const struct ingest_file *first;
    const struct ingest_file *file; /* of the batch at hand */
    size_t mapped; /* 1 + index of the file whose header the checker has; 0: none */
    struct gy_checker *checker;
    struct gy_jsonfields *fields;
    struct gy_reasons reasons;
};
void gy_ingest_worker_init(struct ingest_worker *w, const struct gy_ingest_options *o);
void gy_ingest_worker_done(struct ingest_worker *w);
/* Check a batch. first: the first file of all. */
GY_CHECKED gy_status gy_ingest_check(struct ingest_worker *w, const struct ingest_file *first,
                                     struct ingest_batch *b, struct gy_err *err);

#endif
