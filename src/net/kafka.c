/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/log.h"
#include "net/kafka_internal.h"

/* What matters of it comes through on_error, too. Its levels are those of syslog. */
static void on_log(const struct rd_client *client, int level, const char *facility,
                   const char *text)
{
    (void)client;
    gy_log(GY_LOG_DEBUG, "kafka", "librdkafka says", GY_KV_I("level", level),
           GY_KV_C("facility", facility), GY_KV_C("text", text));
}

static void on_error(struct rd_client *client, int code, const char *reason, void *opaque)
{
    (void)client;
    (void)opaque;
    gy_log(GY_LOG_WARN, "kafka", "trouble with the brokers", GY_KV_I("code", code),
           GY_KV_C("reason", reason));
}

static gy_status set(const struct gy_rd *rd, struct rd_conf *conf, const struct gy_kafka_setting *s,
                     struct gy_err *err)
{
    char why[256] = "";
    if (rd->conf_set(conf, s->name, s->value, why, sizeof why) != 0) {
        /* Its message may quote the value, which may be a password. */
        gy_err_set(err, GY_E_INVALID, "Kafka setting '%.100s': librdkafka does not take it",
                   s->name);
        return gy_err_hint(err,
                           "librdkafka's CONFIGURATION.md lists the settings and their values");
    }
    return GY_OK;
}

static gy_status set_all(const struct gy_rd *rd, const struct gy_kafka_options *o,
                         const struct gy_kafka_setting *own, struct rd_conf *conf,
                         struct gy_err *err)
{
    const struct gy_kafka_setting brokers = {"bootstrap.servers", o->brokers};
    GY_TRY(set(rd, conf, &(struct gy_kafka_setting){"client.id", "gyre"}, err));
    GY_TRY(set(rd, conf, &brokers, err));
    for (; own->name; own++) {
        GY_TRY(set(rd, conf, own, err));
    }
    for (size_t i = 0; i < o->n_settings; i++) {
        GY_TRY(set(rd, conf, &o->settings[i], err));
    }
    return GY_OK;
}

gy_status gy_kafka_conf(const struct gy_rd *rd, const struct gy_kafka_options *o,
                        const struct gy_kafka_setting *own, struct rd_conf **ret,
                        struct gy_err *err)
{
    struct rd_conf *conf = rd->conf_new();
    if (!conf) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for librdkafka");
    }
    gy_status status = set_all(rd, o, own, conf, err);
    if (status != GY_OK) {
        rd->conf_destroy(conf);
        return status;
    }
    rd->conf_set_log_cb(conf, on_log);
    rd->conf_set_error_cb(conf, on_error);
    *ret = conf;
    return GY_OK;
}

gy_status gy_kafka_client(const struct gy_rd *rd, enum rd_kind kind, struct rd_conf *conf,
                          struct rd_client **ret, struct gy_err *err)
{
    char why[256] = "";
    *ret = rd->client_new((int)kind, conf, why, sizeof why);
    if (!*ret) {
        rd->conf_destroy(conf);
        return gy_err_set(err, GY_E_INVALID, "librdkafka: %s", why);
    }
    return GY_OK;
}

gy_status gy_kafka_failed(const struct gy_rd *rd, int code, const char *what, struct gy_err *err)
{
    bool denied = code == RD_AUTHENTICATION || code == RD_TOPIC_DENIED || code == RD_GROUP_DENIED;
    gy_status status = denied                         ? GY_E_DENIED
                       : code == RD_TIMED_OUT         ? GY_E_TIMEOUT
                       : code == RD_MESSAGE_TOO_LARGE ? GY_E_TOOBIG
                                                      : GY_E_NETWORK;
    return gy_err_set(err, status, "Kafka: %s: %s", what, rd->err2str(code));
}
