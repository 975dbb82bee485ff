/* SPDX-License-Identifier: Apache-2.0 */
/* Topics as sources and as destinations of a stream. */
#include <stdio.h>

#include "base/mem.h"
#include "flow/stream_internal.h"

#define FLUSH_MS 1000           /* then the source is asked for its sake */
#define MAX_DEAD (900 * GY_KIB) /* of a dead letter that brokers do not take whole */

bool gy_stream_kafka_url(const char *text, struct gy_str *ret_brokers, struct gy_str *ret_topic)
{
    struct gy_str rest = gy_str_c(text);
    if (!gy_str_starts(rest, GY_STR("kafka://"))) {
        return false;
    }
    rest = gy_str_sub(rest, 8, rest.n);
    return gy_str_cut(rest, '/', ret_brokers, ret_topic) && ret_brokers->n > 0 &&
           ret_topic->n > 0 && gy_str_find(*ret_topic, '/') == SIZE_MAX;
}

static struct gy_kafka_options options_of(const struct gy_stream_options *o, const char *brokers)
{
    return (struct gy_kafka_options){
        .brokers = brokers, .settings = o->settings, .n_settings = o->n_settings};
}

/* ---- the source ---- */

struct kafka_source {
    struct stream_source base;
    struct gy_kafka_consumer *consumer;
    struct gy_kafka_message *messages; /* of the batch at hand */
    size_t n;
    char *brokers, *topic, *group;
};

static void let_go(struct kafka_source *k)
{
    while (k->n > 0) {
        gy_kafka_message_done(&k->messages[--k->n]);
    }
}

static gy_status kafka_take(struct stream_source *s, int wait_ms, size_t max,
                            struct stream_batch *b, bool *ret_end, struct gy_err *err)
{
    struct kafka_source *k = (struct kafka_source *)(void *)s;
    let_go(k);
    *ret_end = false;
    GY_TRY(
        gy_kafka_take(k->consumer, wait_ms, max, GY_STREAM_BATCH_BYTES, k->messages, &k->n, err));
    for (size_t i = 0; i < k->n; i++) {
        const struct gy_kafka_message *from = &k->messages[i];
        struct stream_message *m = gy_stream_add(b);
        const char *id = gy_arena_printf(&b->arena, "%s/%d/%lld", from->topic.p, from->partition,
                                         (long long)from->offset);
        if (!id) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for messages");
        }
        m->id = gy_str_c(id);
        m->key = from->key;
        m->value = from->value;
        m->fault = from->value.p ? NULL : "the message has no value";
    }
    return GY_OK;
}

static gy_status kafka_done(struct stream_source *s, const struct stream_batch *b, bool *ret_kept,
                            struct gy_err *err)
{
    struct kafka_source *k = (struct kafka_source *)(void *)s;
    (void)b;
    gy_status status = gy_kafka_commit(k->consumer, k->messages, k->n, ret_kept, err);
    if (status == GY_OK) { /* else it is committed again */
        let_go(k);
    }
    return status;
}

static gy_status kafka_stay(struct stream_source *s, int wait_ms, struct gy_err *err)
{
    struct kafka_source *k = (struct kafka_source *)(void *)s;
    return gy_kafka_stay(k->consumer, wait_ms, err);
}

static void kafka_count(struct stream_source *s, struct gy_stream_counts *c)
{
    struct kafka_source *k = (struct kafka_source *)(void *)s;
    c->lag = gy_kafka_lag(k->consumer);
    c->partitions = gy_kafka_partitions(k->consumer);
    c->rebalances = (uint64_t)gy_kafka_rebalances(k->consumer);
}

static void kafka_source_free(struct stream_source *s)
{
    struct kafka_source *k = (struct kafka_source *)(void *)s;
    if (k->messages) {
        let_go(k);
    }
    gy_kafka_consumer_free(k->consumer);
    gy_free(k->messages);
    gy_free(k->brokers);
    gy_free(k->topic);
    gy_free(k->group);
    gy_free(k);
}

static const struct stream_source_ops kafka_source_ops = {kafka_take, kafka_done, kafka_stay,
                                                          kafka_count, kafka_source_free};

static gy_status open_source(struct kafka_source *k, const struct gy_stream_options *o,
                             struct gy_str brokers, struct gy_str topic, struct gy_err *err)
{
    char group[256];
    int n = snprintf(group, sizeof group, "gyre-%s", o->endpoint);
    k->messages = gy_calloc(GY_STREAM_BATCH, sizeof *k->messages);
    k->brokers = gy_strndup(brokers.p, brokers.n);
    k->topic = gy_strndup(topic.p, topic.n);
    k->group = gy_strdup(o->group ? o->group : group);
    if (!k->messages || !k->brokers || !k->topic || !k->group || n < 0) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a source");
    }
    struct gy_kafka_options options = options_of(o, k->brokers);
    options.topic = k->topic;
    options.group = k->group;
    return gy_kafka_consumer_open(&options, &k->consumer, err);
}

gy_status gy_stream_from_kafka(const struct gy_stream_options *o, struct gy_str brokers,
                               struct gy_str topic, struct stream_source **ret, struct gy_err *err)
{
    struct kafka_source *k = gy_calloc(1, sizeof *k);
    if (!k) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a source");
    }
    k->base.ops = &kafka_source_ops;
    gy_status status = open_source(k, o, brokers, topic, err);
    if (status != GY_OK) {
        kafka_source_free(&k->base);
        return status;
    }
    *ret = &k->base;
    return GY_OK;
}

/* ---- the destination ---- */

struct kafka_sink {
    struct stream_sink base;
    struct gy_kafka_producer *producer;
    const char *endpoint;
    char *brokers, *topic;
};

static gy_status put_dead(struct kafka_sink *k, const struct stream_out *o, struct gy_err *err)
{
    struct gy_kafka_header headers[6] = {{"gyre-source", o->message->id},
                                         {"gyre-endpoint", gy_str_c(k->endpoint)},
                                         {"gyre-error-code", o->code},
                                         {"gyre-error", o->reason}};
    gy_status status =
        gy_kafka_put(k->producer, k->topic, o->message->key, o->value, headers, 4, err);
    if (status != GY_E_TOOBIG) {
        return status;
    }
    char size[24];
    int n = snprintf(size, sizeof size, "%zu", o->value.n);
    headers[4] = (struct gy_kafka_header){"gyre-cut-from-bytes", gy_str_n(size, (size_t)n)};
    return gy_kafka_put(k->producer, k->topic, gy_str_sub(o->message->key, 0, GY_KIB),
                        gy_str_sub(o->value, 0, MAX_DEAD), headers, 5, err);
}

static gy_status kafka_put(struct stream_sink *s, const struct stream_out *o, struct gy_err *err)
{
    struct kafka_sink *k = (struct kafka_sink *)(void *)s;
    if (o->kind == STREAM_DEAD) {
        return put_dead(k, o, err);
    }
    const struct gy_kafka_header headers[] = {
        {"gyre-source", o->message->id},          {"gyre-endpoint", gy_str_c(k->endpoint)},
        {"gyre-prediction-id", o->prediction_id}, {"gyre-revision", o->revision},
        {"gyre-model-version", o->model_version}, {"content-type", GY_STR("application/json")}};
    return gy_kafka_put(k->producer, k->topic, o->message->key, o->value, headers,
                        sizeof headers / sizeof headers[0], err);
}

static gy_status kafka_flush(struct stream_sink *s, struct gy_err *err)
{
    struct kafka_sink *k = (struct kafka_sink *)(void *)s;
    return gy_kafka_flush(k->producer, FLUSH_MS, err);
}

static void kafka_sink_free(struct stream_sink *s)
{
    struct kafka_sink *k = (struct kafka_sink *)(void *)s;
    gy_kafka_producer_free(k->producer);
    gy_free(k->brokers);
    gy_free(k->topic);
    gy_free(k);
}

static const struct stream_sink_ops kafka_sink_ops = {NULL, kafka_put, kafka_flush,
                                                      kafka_sink_free};

gy_status gy_stream_to_kafka(const struct gy_stream_options *o, struct gy_str brokers,
                             struct gy_str topic, struct stream_sink **ret, struct gy_err *err)
{
    struct kafka_sink *k = gy_calloc(1, sizeof *k);
    if (!k) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a destination");
    }
    k->base.ops = &kafka_sink_ops;
    k->endpoint = o->endpoint;
    k->brokers = gy_strndup(brokers.p, brokers.n);
    k->topic = gy_strndup(topic.p, topic.n);
    gy_status status = GY_E_NOMEM;
    if (k->brokers && k->topic) {
        struct gy_kafka_options options = options_of(o, k->brokers);
        status = gy_kafka_producer_open(&options, &k->producer, err);
    } else {
        status = gy_err_set(err, GY_E_NOMEM, "out of memory for a destination");
    }
    if (status != GY_OK) {
        kafka_sink_free(&k->base);
        return status;
    }
    *ret = &k->base;
    return GY_OK;
}
