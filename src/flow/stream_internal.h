/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of gy_stream: sources (stream_kafka.c, stream_text.c, stream_dir.c, stream_http.c),
 * asking (stream_ask.c), destinations (stream_kafka.c, stream_out.c) and the loop (stream.c). All
 * of it on one thread. */
#ifndef GY_FLOW_STREAM_INTERNAL_H
#define GY_FLOW_STREAM_INTERNAL_H

#include "base/arena.h"
#include "base/expr.h"
#include "base/json.h"
#include "flow/stream.h"

struct stream_message {
    struct gy_str id, key, value; /* views that the source keeps until done */
    const char *fault;            /* it can not be asked: why; NULL: it can */
    /* the answer: 0: none yet */
    int status;
    struct gy_str json; /* in the batch's arena */
};

struct stream_batch {
    struct stream_message *items; /* GY_STREAM_BATCH of them */
    size_t n;
    struct gy_arena arena; /* reset when the batch is done */
};
/* The next place; fault and answer are empty. */
struct stream_message *gy_stream_add(struct stream_batch *b);

/* ---- sources ---- */

struct stream_source;
struct stream_source_ops {
    /* Wait up to wait_ms for the first message, and take at most max, those that are there. None is
     * fine. *ret_end: there will be no more. */
    gy_status (*take)(struct stream_source *s, int wait_ms, size_t max, struct stream_batch *b,
                      bool *ret_end, struct gy_err *err);
    /* Everything of the batch is decided, and on its way for good. */
    gy_status (*done)(struct stream_source *s, const struct stream_batch *b, bool *ret_kept,
                      struct gy_err *err);
    /* MAY be NULL: sleep. Nothing can be taken for wait_ms. */
    gy_status (*stay)(struct stream_source *s, int wait_ms, struct gy_err *err);
    /* MAY be NULL. */
    void (*count)(struct stream_source *s, struct gy_stream_counts *c);
    void (*free)(struct stream_source *s);
};
struct stream_source {
    const struct stream_source_ops *ops;
};
GY_CHECKED gy_status gy_stream_from_kafka(const struct gy_stream_options *o, struct gy_str brokers,
                                          struct gy_str topic, struct stream_source **ret,
                                          struct gy_err *err);
GY_CHECKED gy_status gy_stream_from_stdin(struct stream_source **ret, struct gy_err *err);
GY_CHECKED gy_status gy_stream_from_dir(const struct gy_stream_options *o, const char *path,
                                        struct stream_source **ret, struct gy_err *err);
GY_CHECKED gy_status gy_stream_from_http(struct gy_str address, struct stream_source **ret,
                                         struct gy_err *err);

/* ---- destinations ---- */

enum stream_kind { STREAM_DECISION, STREAM_NOTICE, STREAM_DEAD };

/* One thing to write. Views. */
struct stream_out {
    enum stream_kind kind;
    const struct stream_message *message;
    struct gy_str value; /* the answer's JSON; of a dead letter the message as it came */
    /* of an answer: texts for headers; of a dead letter code and reason */
    struct gy_str prediction_id, model_version, revision, code, reason;
};

struct stream_sink;
struct stream_sink_ops {
    /* The batch is written anew: forget what was put and not flushed. MAY be NULL. */
    void (*begin)(struct stream_sink *s);
    gy_status (*put)(struct stream_sink *s, const struct stream_out *out, struct gy_err *err);
    /* Everything that was put has arrived. TIMEOUT: not yet, flush again. Other failures that may
     * pass: put all again. */
    gy_status (*flush)(struct stream_sink *s, struct gy_err *err);
    void (*free)(struct stream_sink *s);
};
struct stream_sink {
    const struct stream_sink_ops *ops;
};
GY_CHECKED gy_status gy_stream_to_kafka(const struct gy_stream_options *o, struct gy_str brokers,
                                        struct gy_str topic, struct stream_sink **ret,
                                        struct gy_err *err);
/* path NULL: standard output. */
GY_CHECKED gy_status gy_stream_to_file(const char *path, struct stream_sink **ret,
                                       struct gy_err *err);
GY_CHECKED gy_status gy_stream_to_url(const char *url, struct stream_sink **ret,
                                      struct gy_err *err);
/* A line of JSON, as all destinations but topics write it. */
void gy_stream_line(struct gy_buf *out, const struct stream_out *o);

/* "kafka://BROKERS/TOPIC" apart; false: it is none. */
bool gy_stream_kafka_url(const char *text, struct gy_str *ret_brokers, struct gy_str *ret_topic);

/* ---- asking ---- */

struct stream_asker;
GY_CHECKED gy_status gy_stream_asker_new(const struct gy_stream_options *o,
                                         struct stream_asker **ret, struct gy_err *err);
void gy_stream_asker_free(struct stream_asker *a);
/* Is the endpoint there? Fails: NOTFOUND, as the transport does. */
GY_CHECKED gy_status gy_stream_ask_nothing(struct stream_asker *a, struct gy_err *err);
/* Ask those that have no final answer yet. *ret_open: how many still have none. Fails as the
 * transport does. */
GY_CHECKED gy_status gy_stream_ask(struct stream_asker *a, struct stream_batch *b, size_t *ret_open,
                                   struct gy_err *err);
/* What stands in an answer, and whether --when hits. */
GY_CHECKED gy_status gy_stream_understand(struct stream_asker *a, const struct stream_message *m,
                                          struct stream_out *out, bool *ret_notify,
                                          struct gy_err *err);

#endif
