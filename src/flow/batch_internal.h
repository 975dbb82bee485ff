/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of gy_batch: a reader makes blocks of records (batch_read.c, in order), workers answer
 * them (batch_local.c, batch_served.c, any number at once), and what they wrote is put into files
 * in order (batch.c, batch_files.c). */
#ifndef GY_FLOW_BATCH_INTERNAL_H
#define GY_FLOW_BATCH_INTERNAL_H

#include "base/json.h"
#include "data/jsonrec.h"
#include "data/records.h"
#include "flow/batch.h"
#include "flow/record_json.h"

/* What the columns are; known before the first record is answered. */
struct batch_head {
    struct gy_str line; /* of CSV; else empty */
    struct gy_str *names;
    size_t n;
    char delimiter;
    bool json;
    size_t *columns; /* of each input of the package; SIZE_MAX: it has none */
};

struct batch_piece {
    struct gy_csv_item item; /* raw is set by the worker */
    size_t at;
};
struct batch_block {
    struct gy_buf bytes;
    struct batch_piece *pieces;
    size_t n, cap;
    /* filled by the worker */
    struct gy_buf out, dead;
    int64_t predicted, n_dead, positive, unseen, first_dead, first_unseen;
    char why[300], unseen_what[200];
};

struct batch_read {
    const struct gy_batch_options *o;
    struct gy_spill spill;
    struct gy_buf spilled; /* the bytes of a record that is too long */
    struct gy_csv *csv;
    struct gy_jsonrec *json;
    struct batch_head head;
    struct gy_arena arena;         /* of head */
    struct gy_record_kinds *kinds; /* of an endpoint */
    int64_t rows;
    int64_t skip; /* blocks that an earlier run has answered */
    bool ended;
};
GY_CHECKED gy_status gy_batch_read_open(struct batch_read *r, const struct gy_batch_options *o,
                                        struct gy_err *err);
void gy_batch_read_done(struct batch_read *r);
/* gy_pipeline's make. */
GY_CHECKED gy_status gy_batch_read(struct batch_read *r, struct batch_block *b, bool *ret_more,
                                   struct gy_err *err);

/* What one thread answers with. */
struct batch_worker {
    const struct gy_batch_options *o;
    const struct batch_read *read;
    const char *run_time; /* in dead letters */
    struct gy_csv_field *fields;
    struct gy_buf scratch, prefix, question;
    struct gy_collect answer;
    double *cells, *outputs;
    char *memory; /* of the predictor */
    size_t prefix_at[64];
    const struct gy_csv_item *rows[64];
    size_t n; /* rows that wait for the predictor */
};
GY_CHECKED gy_status gy_batch_worker_open(struct batch_worker *w, const struct gy_batch_options *o,
                                          const struct batch_read *read, const char *run_time,
                                          struct gy_err *err);
void gy_batch_worker_done(struct batch_worker *w);
/* Answer all records of a block. */
GY_CHECKED gy_status gy_batch_local(struct batch_worker *w, struct batch_block *b,
                                    struct gy_err *err);
GY_CHECKED gy_status gy_batch_served(struct batch_worker *w, struct batch_block *b,
                                     struct gy_err *err);
/* The header line of CSV. */
void gy_batch_head(const struct gy_batch_options *o, const struct batch_head *h,
                   struct gy_buf *out);
/* The record is dead: its letter, and the counts. */
GY_CHECKED gy_status gy_batch_bury(struct batch_worker *w, struct batch_block *b,
                                   const struct gy_csv_item *item, const char *code,
                                   const char *why, struct gy_err *err);
/* The columns of a record as they begin a row of the output: "a,b," or {"row":1,"id":"x". doc of
 * JSON. */
void gy_batch_prefix(struct batch_worker *w, const struct gy_csv_item *item, yyjson_val *doc,
                     struct gy_buf *out);
/* The text of a value of JSON that was read with gy_json_parse_texts; absent: missing or nested. */
struct gy_str gy_batch_json_text(yyjson_val *v);

/* ---- files ---- */

struct batch_files {
    const struct gy_batch_options *o;
    char part[GY_MAX_PATH], dead_part[GY_MAX_PATH], state[GY_MAX_PATH];
    int out, dead; /* -1: not open */
    int64_t out_bytes, dead_bytes, blocks;
    int64_t saved_ns;
    char run_time[32];
    char who[200]; /* input and model, as text: what a resumed run must have, too */
};
GY_CHECKED gy_status gy_batch_files_open(struct batch_files *f, const struct gy_batch_options *o,
                                         struct gy_batch_result *result, struct gy_err *err);
GY_CHECKED gy_status gy_batch_files_add(struct batch_files *f, const struct batch_block *b,
                                        const struct gy_batch_result *result, struct gy_err *err);
GY_CHECKED gy_status gy_batch_files_head(struct batch_files *f, struct gy_str line,
                                         struct gy_err *err);
/* Everything is there: make it durable, give it its name. */
GY_CHECKED gy_status gy_batch_files_end(struct batch_files *f, const struct gy_batch_result *result,
                                        struct gy_err *err);
void gy_batch_files_close(struct batch_files *f);

#endif
