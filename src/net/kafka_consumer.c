/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/kafka_internal.h"

#define QUIET_NS 10000000000 /* the same trouble is logged this seldom */

struct gy_kafka_consumer {
    const struct gy_rd *rd;
    struct rd_client *client;
    struct rd_message *kept; /* came while nobody took messages; the next one */
    int64_t rebalances;
    int64_t revoked; /* how often partitions were taken away */
    int64_t taken;   /* revoked, when messages were last taken */
    int64_t said_ns;
    int partitions;
    int said;
};

/* ---- the group ---- */

/* Called from within consumer_poll and consumer_close. */
static void on_rebalance(struct rd_client *client, int code, struct rd_partitions *partitions,
                         void *opaque)
{
    struct gy_kafka_consumer *c = opaque;
    bool given = code == RD_ASSIGN;
    c->rebalances++;
    c->revoked += given ? 0 : 1;
    c->partitions = given ? partitions->n : 0;
    if (!given && c->kept) {
        c->rd->message_destroy(c->kept);
        c->kept = NULL;
    }
    int failed = c->rd->assign(client, given ? partitions : NULL);
    gy_log(failed ? GY_LOG_WARN : GY_LOG_INFO, "kafka",
           given ? "partitions assigned" : "partitions revoked",
           GY_KV_I("partitions", partitions->n), GY_KV_I("error", failed));
}

static gy_status subscribe(struct gy_kafka_consumer *c, const char *topic, struct gy_err *err)
{
    struct rd_partitions *topics = c->rd->list_new(1);
    if (!topics) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for librdkafka");
    }
    (void)c->rd->list_add(topics, topic, -1); /* -1: any partition */
    int code = c->rd->subscribe(c->client, topics);
    c->rd->list_destroy(topics);
    return code ? gy_kafka_failed(c->rd, code, topic, err) : GY_OK;
}

static gy_status open_client(struct gy_kafka_consumer *c, const struct gy_kafka_options *o,
                             struct gy_err *err)
{
    char kib[24];
    const struct gy_kafka_setting own[] = {{"group.id", o->group},
                                           {"enable.auto.commit", "false"},
                                           {"enable.auto.offset.store", "false"},
                                           {"auto.offset.reset", "earliest"},
                                           {"queued.max.messages.kbytes", kib},
                                           {NULL, NULL}};
    struct rd_conf *conf = NULL;
    (void)snprintf(kib, sizeof kib, "%d", GY_KAFKA_QUEUE_KIB);
    GY_TRY(gy_rd_open(&c->rd, err));
    GY_TRY(gy_kafka_conf(c->rd, o, own, &conf, err));
    c->rd->conf_set_opaque(conf, c);
    c->rd->conf_set_rebalance_cb(conf, on_rebalance);
    GY_TRY(gy_kafka_client(c->rd, RD_CONSUMER, conf, &c->client, err));
    int code = c->rd->poll_set_consumer(c->client);
    return code ? gy_kafka_failed(c->rd, code, "reading", err) : subscribe(c, o->topic, err);
}

gy_status gy_kafka_consumer_open(const struct gy_kafka_options *o, struct gy_kafka_consumer **ret,
                                 struct gy_err *err)
{
    struct gy_kafka_consumer *c = gy_calloc(1, sizeof *c);
    if (!c) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a consumer");
    }
    gy_status status = open_client(c, o, err);
    if (status != GY_OK) {
        gy_kafka_consumer_free(c);
        return status;
    }
    *ret = c;
    return GY_OK;
}

void gy_kafka_consumer_free(struct gy_kafka_consumer *c)
{
    if (!c) {
        return;
    }
    if (c->kept) {
        c->rd->message_destroy(c->kept);
        c->kept = NULL;
    }
    if (c->client) {
        (void)c->rd->consumer_close(c->client); /* a group that can not be left will notice */
        c->rd->destroy(c->client);
    }
    gy_free(c);
}

/* ---- taking ---- */

void gy_kafka_message_done(struct gy_kafka_message *m)
{
    const struct gy_rd *rd;
    if (m->held && gy_rd_open(&rd, NULL) == GY_OK) { /* it is open */
        rd->message_destroy(m->held);
    }
    m->held = NULL;
}

/* What came instead of a message. Most of it passes by itself. */
static gy_status trouble(struct gy_kafka_consumer *c, const struct rd_message *m,
                         struct gy_err *err)
{
    char why[256] = "";
    int fatal = m->err == RD_FATAL ? c->rd->fatal_error(c->client, why, sizeof why) : 0;
    if (fatal) {
        return gy_err_set(err, GY_E_NETWORK, "Kafka: reading: %s", why);
    }
    if (m->err == RD_AUTHENTICATION || m->err == RD_TOPIC_DENIED || m->err == RD_GROUP_DENIED) {
        return gy_kafka_failed(c->rd, m->err, "reading", err);
    }
    int64_t now = gy_mono_ns();
    if (m->err != c->said || now - c->said_ns > QUIET_NS) {
        gy_log(GY_LOG_WARN, "kafka", "trouble with reading", GY_KV_I("code", m->err),
               GY_KV_C("reason", c->rd->err2str(m->err)));
        c->said = m->err;
        c->said_ns = now;
    }
    return GY_OK;
}

static void let_go(struct gy_kafka_message *messages, size_t *n)
{
    while (*n > 0) {
        gy_kafka_message_done(&messages[--*n]);
    }
}

static struct gy_kafka_message message_of(const struct gy_rd *rd, struct rd_message *m)
{
    return (struct gy_kafka_message){
        .topic = gy_str_c(rd->topic_name(m->topic)),
        .partition = m->partition,
        .offset = m->offset,
        .key = m->key ? gy_str_n(m->key, m->key_len) : GY_STR_NULL,
        .value = m->payload ? gy_str_n(m->payload, m->len) : GY_STR_NULL,
        .held = m,
    };
}

gy_status gy_kafka_take(struct gy_kafka_consumer *c, int wait_ms, size_t max, size_t max_bytes,
                        struct gy_kafka_message *out, size_t *ret_n, struct gy_err *err)
{
    size_t n = 0;
    size_t bytes = 0;
    *ret_n = 0;
    while (n < max && bytes < max_bytes) {
        int64_t revoked = c->revoked;
        struct rd_message *m =
            c->kept ? GY_TAKE(c->kept) : c->rd->consumer_poll(c->client, n ? 0 : wait_ms);
        if (c->revoked != revoked) {
            let_go(out, &n);
            bytes = 0;
        }
        if (!m) {
            break;
        }
        if (m->err) {
            gy_status status = trouble(c, m, err);
            c->rd->message_destroy(m);
            if (status != GY_OK) {
                let_go(out, &n);
                return status;
            }
            break; /* back to the caller, who may want to end */
        }
        bytes += m->len + m->key_len;
        out[n++] = message_of(c->rd, m);
    }
    c->taken = c->revoked;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_kafka_stay(struct gy_kafka_consumer *c, int wait_ms, struct gy_err *err)
{
    struct rd_partitions *mine = NULL;
    if (c->kept) {
        (void)usleep((useconds_t)wait_ms * 1000);
        return GY_OK;
    }
    int code = c->rd->assignment(c->client, &mine);
    if (code) {
        return gy_kafka_failed(c->rd, code, "partitions", err);
    }
    gy_status status = GY_OK;
    (void)c->rd->pause(c->client, mine);
    struct rd_message *m = c->rd->consumer_poll(c->client, wait_ms);
    if (m && m->err) {
        status = trouble(c, m, err);
        c->rd->message_destroy(m);
    } else {
        c->kept = m; /* of a partition that was just assigned */
    }
    /* Behind the last message that was taken; also of partitions that were taken away meanwhile:
     * librdkafka would give them back as paused as they were, and nothing would come of them. */
    (void)c->rd->resume(c->client, mine);
    c->rd->list_destroy(mine);
    return status;
}

/* ---- committing ---- */

/* The list has, of each partition, the place behind the last of the messages. */
static struct rd_partitions *places(struct gy_kafka_consumer *c,
                                    const struct gy_kafka_message *messages, size_t n)
{
    struct rd_partitions *list = c->rd->list_new(16);
    for (size_t i = 0; list && i < n; i++) {
        struct rd_partition *p = NULL;
        for (int k = 0; k < list->n && !p; k++) {
            p = list->items[k].partition == messages[i].partition ? &list->items[k] : NULL;
        }
        p = p ? p : c->rd->list_add(list, messages[i].topic.p, messages[i].partition);
        p->offset = messages[i].offset + 1;
    }
    return list;
}

gy_status gy_kafka_commit(struct gy_kafka_consumer *c, const struct gy_kafka_message *messages,
                          size_t n, bool *ret_kept, struct gy_err *err)
{
    *ret_kept = false;
    if (c->taken != c->revoked) {
        return GY_OK; /* whoever has the partitions now may be further on */
    }
    struct rd_partitions *list = places(c, messages, n);
    if (!list) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for offsets");
    }
    int code = n ? c->rd->commit(c->client, list, 0) : 0;
    c->rd->list_destroy(list);
    *ret_kept = code == 0 || code == RD_NO_OFFSET;
    bool moved =
        code == RD_ILLEGAL_GENERATION || code == RD_UNKNOWN_MEMBER || code == RD_REBALANCING;
    return *ret_kept || moved ? GY_OK : gy_kafka_failed(c->rd, code, "committing offsets", err);
}

int64_t gy_kafka_lag(struct gy_kafka_consumer *c)
{
    struct rd_partitions *mine = NULL;
    int64_t lag = 0;
    if (c->rd->assignment(c->client, &mine) != 0) {
        return 0;
    }
    if (c->rd->position(c->client, mine) == 0) {
        for (int i = 0; i < mine->n; i++) {
            const struct rd_partition *p = &mine->items[i];
            int64_t low = 0;
            int64_t high = 0;
            if (c->rd->watermarks(c->client, p->topic, p->partition, &low, &high) == 0 &&
                high > 0) {
                int64_t at = p->offset < 0 ? low : p->offset;
                lag += high > at ? high - at : 0;
            }
        }
    }
    c->rd->list_destroy(mine);
    return lag;
}

int gy_kafka_partitions(struct gy_kafka_consumer *c)
{
    return c->partitions;
}

int64_t gy_kafka_rebalances(struct gy_kafka_consumer *c)
{
    return c->rebalances;
}
