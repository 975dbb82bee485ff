/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

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

/* A setting that is as it is here, because at-least-once rests on it. */
struct fixed {
    const char *name;
    const char *may; /* the values that change nothing; NULL: none */
    const char *why;
};

#define YES "true t 1"
#define NO "false f 0"
#define COMMITTED "offsets are committed when the decisions have arrived, and by nothing else"
#define DELIVERED "a decision has arrived when all brokers that must have it have it"
#define TAKEN_AWAY "what was taken is let go when all partitions are given back"

static const struct fixed fixed_settings[] = {
    {"enable.auto.commit", NO, COMMITTED},
    {"auto.commit.enable", NO, COMMITTED},
    {"enable.auto.offset.store", NO, COMMITTED},
    {"offset.store.method", "broker", COMMITTED},
    {"auto.offset.reset", "earliest smallest beginning error",
     "a group without offsets would pass over what came before it could commit"},
    {"partition.assignment.strategy", "range roundrobin range,roundrobin roundrobin,range",
     TAKEN_AWAY},
    {"group.protocol", "classic", TAKEN_AWAY},
    {"acks", "all -1", DELIVERED},
    {"request.required.acks", "all -1", DELIVERED},
    {"enable.idempotence", YES, "without it what is sent again changes the order"},
    {"transactional.id", NULL, "decisions are not written in transactions"},
    {"enabled_events", "0", "what was delivered would be told to nobody"},
    {"test.mock.num.brokers", "0", "decisions would go to brokers that are not there"},
    {"bootstrap.servers", NULL, "the address of a topic names its brokers"},
    {"metadata.broker.list", NULL, "the address of a topic names its brokers"},
    {"group.id", NULL, "--group names the group"},
};

static bool is_among(const char *may, const char *value)
{
    struct gy_str rest = gy_str_c(may);
    struct gy_str word;
    while (gy_str_next(&rest, ' ', &word)) {
        if (gy_str_eqc(word, value)) {
            return true;
        }
    }
    return false;
}

static gy_status allow(const struct gy_kafka_setting *s, struct gy_err *err)
{
    for (size_t i = 0; i < sizeof fixed_settings / sizeof fixed_settings[0]; i++) {
        const struct fixed *f = &fixed_settings[i];
        if (strcmp(f->name, s->name) != 0 || (f->may && is_among(f->may, s->value))) {
            continue;
        }
        gy_err_set(err, GY_E_INVALID, "Kafka setting '%s' can not be %s: %s", f->name,
                   f->may ? "changed" : "given", f->why);
        return gy_err_hint(err, "leave it out%s%s", f->may ? ", or give one of: " : "",
                           f->may ? f->may : "");
    }
    return GY_OK;
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
        GY_TRY(allow(&o->settings[i], err));
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
