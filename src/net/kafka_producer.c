/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/mem.h"
#include "base/time.h"
#include "net/kafka_internal.h"

struct gy_kafka_producer {
    const struct gy_rd *rd;
    struct rd_client *client;
    int64_t undelivered;
    int first_failure;
};

/* Called from within poll and flush. */
static void on_delivered(struct rd_client *client, const struct rd_message *m, void *opaque)
{
    struct gy_kafka_producer *p = opaque;
    (void)client;
    if (m->err) {
        p->first_failure = p->undelivered ? p->first_failure : m->err;
        p->undelivered++;
    }
}

static gy_status open_client(struct gy_kafka_producer *p, const struct gy_kafka_options *o,
                             struct gy_err *err)
{
    char bytes[24];
    /* A batch is flushed as a whole, so there is nothing to wait for. */
    const struct gy_kafka_setting own[] = {{"enable.idempotence", "true"},
                                           {"linger.ms", "0.5"},
                                           {"message.max.bytes", bytes},
                                           {NULL, NULL}};
    struct rd_conf *conf = NULL;
    (void)snprintf(bytes, sizeof bytes, "%d", GY_KAFKA_MESSAGE_BYTES);
    GY_TRY(gy_rd_open(&p->rd, err));
    GY_TRY(gy_kafka_conf(p->rd, o, own, &conf, err));
    p->rd->conf_set_opaque(conf, p);
    p->rd->conf_set_dr_msg_cb(conf, on_delivered);
    return gy_kafka_client(p->rd, RD_PRODUCER, conf, &p->client, err);
}

gy_status gy_kafka_producer_open(const struct gy_kafka_options *o, struct gy_kafka_producer **ret,
                                 struct gy_err *err)
{
    struct gy_kafka_producer *p = gy_calloc(1, sizeof *p);
    if (!p) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a producer");
    }
    gy_status status = open_client(p, o, err);
    if (status != GY_OK) {
        gy_kafka_producer_free(p);
        return status;
    }
    *ret = p;
    return GY_OK;
}

void gy_kafka_producer_free(struct gy_kafka_producer *p)
{
    if (p && p->client) {
        p->rd->destroy(p->client);
    }
    gy_free(p);
}

static gy_status make_headers(const struct gy_rd *rd, const struct gy_kafka_header *headers,
                              size_t n, struct rd_headers **ret, struct gy_err *err)
{
    *ret = rd->headers_new(n + 1);
    for (size_t i = 0; *ret && i < n; i++) {
        if (rd->header_add(*ret, headers[i].name, -1, headers[i].value.p,
                           (ptrdiff_t)headers[i].value.n) != 0) {
            rd->headers_destroy(*ret);
            *ret = NULL;
        }
    }
    return *ret ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory for headers");
}

gy_status gy_kafka_put(struct gy_kafka_producer *p, const char *topic, struct gy_str key,
                       struct gy_str value, const struct gy_kafka_header *headers, size_t n_headers,
                       struct gy_err *err)
{
    struct rd_headers *list = NULL;
    GY_TRY(make_headers(p->rd, headers, n_headers, &list, err));
    for (;;) {
        int code = p->rd->producev(p->client, RD_ARG_TOPIC, topic, RD_ARG_FLAGS, RD_FLAG_COPY,
                                   RD_ARG_KEY, key.p, key.n, RD_ARG_VALUE, value.p, value.n,
                                   RD_ARG_HEADERS, list, RD_ARG_END);
        if (code == 0) {
            return GY_OK; /* the headers are its own now */
        }
        if (code != RD_QUEUE_FULL) {
            p->rd->headers_destroy(list);
            return gy_kafka_failed(p->rd, code, topic, err);
        }
        (void)p->rd->poll(p->client, 100); /* the number of events does not matter */
    }
}

gy_status gy_kafka_flush(struct gy_kafka_producer *p, int timeout_ms, struct gy_err *err)
{
    int code = p->rd->flush(p->client, timeout_ms);
    if (p->undelivered) {
        int64_t n = p->undelivered;
        int why = p->first_failure;
        p->undelivered = 0;
        (void)gy_kafka_failed(p->rd, why, "writing", err);
        return gy_err_wrap(err, "%lld messages were not delivered", (long long)n);
    }
    return code ? gy_kafka_failed(p->rd, code, "waiting for the brokers", err) : GY_OK;
}
