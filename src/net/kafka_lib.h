/* SPDX-License-Identifier: Apache-2.0 */
/* What kafka.c needs of librdkafka 1.6 or later (rdkafka.h), which is not needed to build Gyre.
 * tests/unit/net/test_kafka.c holds these declarations against the header where it is installed. */
#ifndef GY_NET_KAFKA_LIB_H
#define GY_NET_KAFKA_LIB_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct rd_client;
struct rd_conf;
struct rd_topic;
struct rd_headers;

struct rd_message {
    int err;
    struct rd_topic *topic;
    int32_t partition;
    void *payload;
    size_t len;
    void *key;
    size_t key_len;
    int64_t offset;
    void *private_;
};
struct rd_partition {
    char *topic;
    int32_t partition;
    int64_t offset;
    void *metadata;
    size_t metadata_size;
    void *opaque;
    int err;
    void *private_;
};
struct rd_partitions {
    int n, size;
    struct rd_partition *items;
};

enum rd_kind { RD_PRODUCER, RD_CONSUMER };
enum rd_argument {
    RD_ARG_END = 0,
    RD_ARG_TOPIC = 1,
    RD_ARG_VALUE = 4,
    RD_ARG_KEY = 5,
    RD_ARG_FLAGS = 7,
    RD_ARG_HEADERS = 10
};
#define RD_FLAG_COPY 2
#define RD_OFFSET_INVALID (-1001)
/* rd_kafka_resp_err_t */
enum rd_error {
    RD_QUEUE_FULL = -184,
    RD_TIMED_OUT = -185,
    RD_ASSIGN = -175,
    RD_REVOKE = -174,
    RD_AUTHENTICATION = -169,
    RD_NO_OFFSET = -168,
    RD_FATAL = -150,
    RD_NONE = 0,
    RD_MESSAGE_TOO_LARGE = 10,
    RD_ILLEGAL_GENERATION = 22,
    RD_UNKNOWN_MEMBER = 25,
    RD_REBALANCING = 27,
    RD_TOPIC_DENIED = 29,
    RD_GROUP_DENIED = 30
};

typedef void (*rd_rebalance_fn)(struct rd_client *, int err, struct rd_partitions *, void *opaque);
typedef void (*rd_delivered_fn)(struct rd_client *, const struct rd_message *, void *opaque);
typedef void (*rd_error_fn)(struct rd_client *, int err, const char *reason, void *opaque);
typedef void (*rd_log_fn)(const struct rd_client *, int level, const char *facility,
                          const char *text);

struct gy_rd {
    int (*version)(void);
    struct rd_conf *(*conf_new)(void);
    void (*conf_destroy)(struct rd_conf *);
    int (*conf_set)(struct rd_conf *, const char *, const char *, char *, size_t);
    void (*conf_set_opaque)(struct rd_conf *, void *);
    void (*conf_set_rebalance_cb)(struct rd_conf *, rd_rebalance_fn);
    void (*conf_set_dr_msg_cb)(struct rd_conf *, rd_delivered_fn);
    void (*conf_set_error_cb)(struct rd_conf *, rd_error_fn);
    void (*conf_set_log_cb)(struct rd_conf *, rd_log_fn);
    struct rd_client *(*client_new)(int, struct rd_conf *, char *, size_t);
    void (*destroy)(struct rd_client *);
    const char *(*err2str)(int);
    int (*fatal_error)(struct rd_client *, char *, size_t);
    int (*poll_set_consumer)(struct rd_client *);
    struct rd_partitions *(*list_new)(int);
    struct rd_partition *(*list_add)(struct rd_partitions *, const char *, int32_t);
    void (*list_destroy)(struct rd_partitions *);
    int (*subscribe)(struct rd_client *, const struct rd_partitions *);
    int (*assign)(struct rd_client *, const struct rd_partitions *);
    int (*assignment)(struct rd_client *, struct rd_partitions **);
    struct rd_message *(*consumer_poll)(struct rd_client *, int);
    void (*message_destroy)(struct rd_message *);
    const char *(*topic_name)(const struct rd_topic *);
    int (*commit)(struct rd_client *, const struct rd_partitions *, int);
    int (*position)(struct rd_client *, struct rd_partitions *);
    int (*watermarks)(struct rd_client *, const char *, int32_t, int64_t *, int64_t *);
    int (*pause)(struct rd_client *, struct rd_partitions *);
    int (*resume)(struct rd_client *, struct rd_partitions *);
    int (*consumer_close)(struct rd_client *);
    struct rd_headers *(*headers_new)(size_t);
    int (*header_add)(struct rd_headers *, const char *, ptrdiff_t, const void *, ptrdiff_t);
    void (*headers_destroy)(struct rd_headers *);
    int (*producev)(struct rd_client *, ...);
    int (*poll)(struct rd_client *, int);
    int (*flush)(struct rd_client *, int);
    int (*outq_len)(struct rd_client *);
};
/* Fails: MISSINGDEP, VERSION. */
GY_CHECKED gy_status gy_rd_open(const struct gy_rd **ret, struct gy_err *err);

#endif
