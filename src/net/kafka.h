/* SPDX-License-Identifier: Apache-2.0 */
/* gy_kafka: reading and writing topics of Kafka, by librdkafka, which is opened on first use. What
 * is here is the little that at-least-once needs: messages are taken in the order of their
 * partitions, nothing is committed but what the caller says, and writing knows when all brokers
 * have what was written.
 * Each object has one owner and is used by one thread. */
#ifndef GY_NET_KAFKA_H
#define GY_NET_KAFKA_H

#include "base/str.h"

#define GY_KAFKA_MAX_SETTINGS 100
#define GY_KAFKA_QUEUE_KIB 16384        /* what is fetched ahead, of all partitions */
#define GY_KAFKA_MESSAGE_BYTES 10000000 /* a message that is written */

/* A setting of librdkafka ("security.protocol", "SASL_SSL"). Texts live as long as the call. */
struct gy_kafka_setting {
    const char *name, *value;
};
struct gy_kafka_options {
    const char *brokers;       /* "host:9092,host:9092" */
    const char *group, *topic; /* of a consumer */
    /* Over our own, but for those that at-least-once rests on: these are INVALID, with the reason.
     */
    const struct gy_kafka_setting *settings;
    size_t n_settings;
};

/* ---- reading ---- */

struct gy_kafka_message {
    struct gy_str topic;
    struct gy_str key, value; /* absent: there is none */
    int64_t offset;
    void *held; /* until gy_kafka_message_done */
    int32_t partition;
};

struct gy_kafka_consumer;
/* Joins the group; partitions come while it is polled, and begin at the group's offset, else at the
 * topic's start. Fails: MISSINGDEP, INVALID (a setting), NETWORK. */
GY_CHECKED gy_status gy_kafka_consumer_open(const struct gy_kafka_options *o,
                                            struct gy_kafka_consumer **ret, struct gy_err *err);
/* Leaves the group. What was not committed will be read again. */
void gy_kafka_consumer_free(struct gy_kafka_consumer *c);
GY_DEFINE_AUTO(struct gy_kafka_consumer *, gy_kafka_consumer_free);
/* The next messages, at most max: waits up to wait_ms for the first one and takes those that are
 * there already, until they are max_bytes together. When the group is rebalanced meanwhile, what
 * was taken is let go: whoever has the partitions now reads it again. Fails: NETWORK (a failure
 * that librdkafka calls fatal), DENIED (logins, access lists). What passes by itself is logged. */
GY_CHECKED gy_status gy_kafka_take(struct gy_kafka_consumer *c, int wait_ms, size_t max,
                                   size_t max_bytes, struct gy_kafka_message *out, size_t *ret_n,
                                   struct gy_err *err);
void gy_kafka_message_done(struct gy_kafka_message *m);
/* Stay a member of the group for wait_ms without taking messages: while what was taken can not be
 * dealt with. Fails as gy_kafka_take. */
GY_CHECKED gy_status gy_kafka_stay(struct gy_kafka_consumer *c, int wait_ms, struct gy_err *err);
/* What comes after these messages is where the group goes on; returns when the broker has it.
 * *ret_kept false: the group was rebalanced and does not let this member commit; whoever has the
 * partitions reads the messages again. Fails: NETWORK. */
GY_CHECKED gy_status gy_kafka_commit(struct gy_kafka_consumer *c,
                                     const struct gy_kafka_message *messages, size_t n,
                                     bool *ret_kept, struct gy_err *err);
/* How many messages of this member's partitions are not taken yet, as far as is known. */
int64_t gy_kafka_lag(struct gy_kafka_consumer *c);
int gy_kafka_partitions(struct gy_kafka_consumer *c);     /* that it has now */
int64_t gy_kafka_rebalances(struct gy_kafka_consumer *c); /* partitions given or taken away */

/* ---- writing ---- */

struct gy_kafka_header {
    const char *name;
    struct gy_str value;
};
struct gy_kafka_producer;
/* Idempotent: of what librdkafka itself tries again nothing is there twice, and the order stays.
 * Fails as gy_kafka_consumer_open. */
GY_CHECKED gy_status gy_kafka_producer_open(const struct gy_kafka_options *o,
                                            struct gy_kafka_producer **ret, struct gy_err *err);
void gy_kafka_producer_free(struct gy_kafka_producer *p); /* what was not flushed may be lost */
GY_DEFINE_AUTO(struct gy_kafka_producer *, gy_kafka_producer_free);
/* Queue a message (everything is copied); waits while the queue is full. Fails: TOOBIG, NETWORK,
 * NOMEM. */
GY_CHECKED gy_status gy_kafka_put(struct gy_kafka_producer *p, const char *topic, struct gy_str key,
                                  struct gy_str value, const struct gy_kafka_header *headers,
                                  size_t n_headers, struct gy_err *err);
/* Wait until all brokers that must have everything that was put. Fails: NETWORK (with what became
 * of the first message that was not delivered), TIMEOUT. */
GY_CHECKED gy_status gy_kafka_flush(struct gy_kafka_producer *p, int timeout_ms,
                                    struct gy_err *err);

#endif
