/* SPDX-License-Identifier: Apache-2.0 */
/* gy_batch: every record of a source is answered, or becomes a dead letter with its bytes and the
 * reason: predicted + dead == rows, always. Answered by a package (learn/predictor.h) or by a
 * served endpoint (rules, model, variants).
 *
 * Blocks of records go round between threads (base/pipeline.h) and are put together in the order of
 * the source, so what is written does not depend on how many threads there are, and memory is the
 * blocks', whatever the source.
 *
 * A file is written beside its place (OUT.part) and gets its name when it is whole. Now and then
 * what is there is made durable, and OUT.part.state says how far that is: a run that was killed
 * goes on there, and the file has the same bytes in the end. */
#ifndef GY_FLOW_BATCH_H
#define GY_FLOW_BATCH_H

#include "base/limits.h"
#include "data/source.h"
#include "learn/predictor.h"
#include "net/call.h"

#define GY_BATCH_MAX_LONG                                                  \
    (64 * GY_MIB) /* of the bytes of a too long record that its letter has \
                   */

enum gy_batch_format { GY_BATCH_CSV, GY_BATCH_JSONL, GY_BATCH_PARQUET };
/* By the name's ending (.jsonl, .ndjson, .parquet, .pq; else CSV). */
enum gy_batch_format gy_batch_format_of(const char *name);

struct gy_batch_options {
    struct gy_source *source; /* closed at the end */
    enum gy_batch_format format;
    const char *out; /* NULL: standard output */
    const char
        *dead_letter; /* NULL: OUT.dead.jsonl, else ./predict.dead.jsonl; replaced as out is */
    struct gy_str id_column; /* of JSON lines, beside the row's number; absent: none */
    /* Who answers: a package ... */
    const struct gy_predictor *predictor;
    /* ... or an endpoint */
    struct gy_caller *server;
    const char *endpoint;
    bool logged; /* its answers are in the prediction log, as any others */
    bool resume; /* go on where a killed run was; without one begin anew */
    int threads; /* 0: one a processor */
    void (*progress)(void *ctx, int64_t bytes_done); /* of the source; MAY be NULL */
    void *progress_ctx;
};

struct gy_batch_result {
    int64_t rows, predicted, dead;
    int64_t positive;   /* BINARY, class 1 */
    int64_t unseen;     /* rows with a text that training has not seen */
    int64_t resumed;    /* of rows: those of the run that was killed */
    int64_t first_dead; /* row; -1: none */
    int64_t first_unseen;
    char why[300];         /* of first_dead */
    char unseen_what[200]; /* of first_unseen: "colour is 'blue'" */
    char dead_path[GY_MAX_PATH];
    double seconds;
};

/* Fails: NOTFOUND (a column that the model needs; the endpoint), CONFLICT (to resume: another
 * input, model or format), as the source, the disk and the server do, NOMEM. What was written
 * durably is kept for --resume then. */
GY_CHECKED gy_status gy_batch_run(const struct gy_batch_options *o, struct gy_batch_result *ret,
                                  struct gy_err *err);

#endif
