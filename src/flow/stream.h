/* SPDX-License-Identifier: Apache-2.0 */
/* gy_stream: messages in, decisions out. What comes from a topic, standard input, a folder or HTTP
 * is asked of an endpoint (rules, model, variants, log: serve/message.h), batch by batch, through
 * the seam, and the answers go to a topic, standard output, a file or a URL.
 *
 * At least once. A batch is: taken; answered, which means that it is in the prediction log, on the
 * disk; written, which means that brokers, disk or receiver have it; and only then committed at its
 * source. Whoever is killed in between begins again at the last commit: no message is left without
 * a decision, and a decision that comes twice has the same source id ("topic/partition/offset").
 * While the endpoint, the server or the brokers are away, the batch at hand waits and nothing more
 * is taken. A message that can not be answered (no JSON, an input of another type) goes to the dead
 * letters with the reason, and the stream goes on.
 *
 * One batch at a time, so the order of a partition stays, and what is in memory is one batch and
 * what librdkafka fetches ahead (net/kafka.h). */
#ifndef GY_FLOW_STREAM_H
#define GY_FLOW_STREAM_H

#include <stdatomic.h>

#include "base/limits.h"
#include "net/call.h"
#include "net/kafka.h"

#define GY_STREAM_BATCH 1000 /* messages of a batch, as a rule and at most */
#define GY_STREAM_BATCH_BYTES (4 * GY_MIB)
#define GY_STREAM_MAX_MESSAGE (8 * GY_MIB) /* a longer one is a dead letter */
#define GY_STREAM_MAX_WAITING 10000        /* messages that HTTP clients wait for */

/* What another thread may read while it runs. */
struct gy_stream_counts {
    _Atomic uint64_t read, decided, dead, notified;
    _Atomic uint64_t batches, retries; /* times that a batch had to wait */
    _Atomic uint64_t unkept;           /* batches whose commit a rebalance overtook */
    _Atomic uint64_t rebalances;
    _Atomic int64_t lag; /* messages that are there and not taken, as far as is known */
    _Atomic int64_t partitions;
    _Atomic int64_t http_port; /* of a source http:, once it listens */
    _Atomic uint64_t busy_ns;  /* from taking a batch to its commit, of all batches together */
};

struct gy_stream_options {
    const char *endpoint;
    const char *from; /* kafka://BROKERS/TOPIC, stdin, dir:PATH, http:PORT (of loopback) */
    const char *to;   /* kafka://BROKERS/TOPIC, stdout, file:PATH, http(s)://... */
    /* Where dead letters and notices go, as `to`; a bare name is a topic of the brokers of `to`,
     * else of `from`, else a file. NULL: dead letters of a topic go to "TOPIC.dead" beside it,
     * others to ./stream-dead.jsonl; nobody is notified. */
    const char *dead_letter, *notify;
    const char *when;  /* NULL: "prediction == 1" */
    const char *group; /* NULL: "gyre-ENDPOINT" */
    const struct gy_kafka_setting *settings;
    size_t n_settings;
    bool with_input;      /* what was asked goes out beside the answer */
    int64_t max_messages; /* end after so many; 0: never */
    int64_t idle_ms;      /* end when nothing came for so long; 0: never */
    struct gy_caller *server;
    const volatile int *stop; /* not 0: finish the batch at hand, commit, end */
    /* Now and then, and at the end of each batch; MAY be NULL. */
    void (*progress)(void *ctx, const struct gy_stream_counts *counts);
    void *progress_ctx;
};

/* Runs until the source ends, or until it is told to stop. counts (zeroed by the caller) are filled
 * while it runs. Fails: USAGE (an address, the expression), NOTFOUND (the endpoint, a folder),
 * MISSINGDEP, DENIED, NETWORK and what source and destination fail with for good. What was not
 * committed is read again by the next run. */
GY_CHECKED gy_status gy_stream_run(const struct gy_stream_options *o,
                                   struct gy_stream_counts *counts, struct gy_err *err);

#endif
