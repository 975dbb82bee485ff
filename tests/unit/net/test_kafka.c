/* SPDX-License-Identifier: Apache-2.0 */
/* What kafka_lib.h says of librdkafka is what its header says, and what is refused before a broker
 * is asked. What topics do is tested from outside (tests/http/test_stream.py). */
#include "../unit.h"

#include "net/kafka.h"
#include "net/kafka_lib.h"

#if __has_include(<librdkafka/rdkafka.h>)
#include <librdkafka/rdkafka.h>

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#define UNDER_TSAN __has_feature(thread_sanitizer)
#else
#define UNDER_TSAN 0
#endif

#define SAME(ours, our, theirs, their)                                                   \
    do {                                                                                 \
        assert_int_equal(offsetof(struct ours, our), offsetof(theirs, their));           \
        assert_int_equal(sizeof(((struct ours *)0)->our), sizeof(((theirs *)0)->their)); \
    } while (0)

static void test_layouts(void **state)
{
    (void)state;
    SAME(rd_message, err, rd_kafka_message_t, err);
    SAME(rd_message, topic, rd_kafka_message_t, rkt);
    SAME(rd_message, partition, rd_kafka_message_t, partition);
    SAME(rd_message, payload, rd_kafka_message_t, payload);
    SAME(rd_message, len, rd_kafka_message_t, len);
    SAME(rd_message, key, rd_kafka_message_t, key);
    SAME(rd_message, key_len, rd_kafka_message_t, key_len);
    SAME(rd_message, offset, rd_kafka_message_t, offset);
    SAME(rd_partition, topic, rd_kafka_topic_partition_t, topic);
    SAME(rd_partition, partition, rd_kafka_topic_partition_t, partition);
    SAME(rd_partition, offset, rd_kafka_topic_partition_t, offset);
    SAME(rd_partition, err, rd_kafka_topic_partition_t, err);
    SAME(rd_partitions, n, rd_kafka_topic_partition_list_t, cnt);
    SAME(rd_partitions, items, rd_kafka_topic_partition_list_t, elems);
    assert_int_equal(sizeof(struct rd_message), sizeof(rd_kafka_message_t));
    assert_int_equal(sizeof(struct rd_partition), sizeof(rd_kafka_topic_partition_t));
    assert_int_equal(sizeof(struct rd_partitions), sizeof(rd_kafka_topic_partition_list_t));
}

static void test_numbers(void **state)
{
    (void)state;
    assert_int_equal((int)RD_PRODUCER, (int)RD_KAFKA_PRODUCER);
    assert_int_equal((int)RD_CONSUMER, (int)RD_KAFKA_CONSUMER);
    assert_int_equal((int)RD_ARG_END, (int)RD_KAFKA_VTYPE_END);
    assert_int_equal((int)RD_ARG_TOPIC, (int)RD_KAFKA_VTYPE_TOPIC);
    assert_int_equal((int)RD_ARG_VALUE, (int)RD_KAFKA_VTYPE_VALUE);
    assert_int_equal((int)RD_ARG_KEY, (int)RD_KAFKA_VTYPE_KEY);
    assert_int_equal((int)RD_ARG_FLAGS, (int)RD_KAFKA_VTYPE_MSGFLAGS);
    assert_int_equal((int)RD_ARG_HEADERS, (int)RD_KAFKA_VTYPE_HEADERS);
    assert_int_equal(RD_FLAG_COPY, RD_KAFKA_MSG_F_COPY);
    assert_int_equal((int)RD_QUEUE_FULL, (int)RD_KAFKA_RESP_ERR__QUEUE_FULL);
    assert_int_equal((int)RD_TIMED_OUT, (int)RD_KAFKA_RESP_ERR__TIMED_OUT);
    assert_int_equal((int)RD_ASSIGN, (int)RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS);
    assert_int_equal((int)RD_REVOKE, (int)RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS);
    assert_int_equal((int)RD_AUTHENTICATION, (int)RD_KAFKA_RESP_ERR__AUTHENTICATION);
    assert_int_equal((int)RD_NO_OFFSET, (int)RD_KAFKA_RESP_ERR__NO_OFFSET);
    assert_int_equal((int)RD_FATAL, (int)RD_KAFKA_RESP_ERR__FATAL);
    assert_int_equal((int)RD_MESSAGE_TOO_LARGE, (int)RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    assert_int_equal((int)RD_ILLEGAL_GENERATION, (int)RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION);
    assert_int_equal((int)RD_UNKNOWN_MEMBER, (int)RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID);
    assert_int_equal((int)RD_REBALANCING, (int)RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS);
    assert_int_equal((int)RD_TOPIC_DENIED, (int)RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    assert_int_equal((int)RD_GROUP_DENIED, (int)RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
}
#else
static void test_layouts(void **state)
{
    (void)state;
    skip(); /* librdkafka-dev is not installed */
}
static void test_numbers(void **state)
{
    (void)state;
    skip();
}
#endif

static void test_a_setting_that_is_none(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    const struct gy_kafka_setting bad = {"no.such.setting", "secret"};
    const struct gy_kafka_options o = {
        .brokers = "127.0.0.1:1", .group = "g", .topic = "t", .settings = &bad, .n_settings = 1};
    struct gy_kafka_consumer *c = NULL;
    struct gy_kafka_producer *p = NULL;
    gy_status status = gy_kafka_consumer_open(&o, &c, &err);
    if (status == GY_E_MISSINGDEP) {
        skip();
    }
    assert_int_equal(status, GY_E_INVALID);
    assert_non_null(strstr(err.msg, "no.such.setting"));
    assert_null(strstr(err.msg, "secret")); /* it may be a password */
    assert_int_equal(gy_kafka_producer_open(&o, &p, &err), GY_E_INVALID);
    assert_null(c);
    assert_null(p);
}

/* What at-least-once rests on is not changed by a setting; spelling it out is allowed. */
static void test_settings_that_lose_messages(void **state)
{
    (void)state;
    static const struct {
        struct gy_kafka_setting setting;
        const char *why; /* NULL: taken */
    } cases[] = {
        {{"enable.auto.commit", "true"}, "offsets are committed"},
        {{"auto.commit.enable", "1"}, "offsets are committed"},
        {{"enable.auto.offset.store", "true"}, "offsets are committed"},
        {{"offset.store.method", "file"}, "offsets are committed"},
        {{"auto.offset.reset", "latest"}, "pass over"},
        {{"auto.offset.reset", ""}, "pass over"},
        {{"partition.assignment.strategy", "cooperative-sticky"}, "given back"},
        {{"group.protocol", "consumer"}, "given back"},
        {{"acks", "0"}, "all brokers"},
        {{"acks", "1"}, "all brokers"},
        {{"request.required.acks", "1"}, "all brokers"},
        {{"enable.idempotence", "false"}, "order"},
        {{"transactional.id", "x"}, "transactions"},
        {{"enabled_events", "255"}, "told to nobody"},
        {{"test.mock.num.brokers", "1"}, "not there"},
        {{"bootstrap.servers", "127.0.0.1:2"}, "names its brokers"},
        {{"metadata.broker.list", "127.0.0.1:2"}, "names its brokers"},
        {{"group.id", "h"}, "--group"},
        {{"enable.auto.commit", "false"}, NULL},
        {{"auto.offset.reset", "earliest"}, NULL},
        {{"partition.assignment.strategy", "range,roundrobin"}, NULL},
        {{"acks", "all"}, NULL},
        {{"acks", "-1"}, NULL},
        {{"enable.idempotence", "true"}, NULL},
    };
#if UNDER_TSAN
    skip(); /* threads of a library that was not built with it end in its own memory */
#endif
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        const struct gy_kafka_options o = {.brokers = "127.0.0.1:1",
                                           .group = "g",
                                           .topic = "t",
                                           .settings = &cases[i].setting,
                                           .n_settings = 1};
        struct gy_kafka_consumer *c = NULL;
        struct gy_kafka_producer *p = NULL;
        gy_status reading = gy_kafka_consumer_open(&o, &c, &err);
        if (reading == GY_E_MISSINGDEP) {
            skip();
        }
        gy_status writing = gy_kafka_producer_open(&o, &p, &err);
        gy_kafka_consumer_free(c);
        gy_kafka_producer_free(p);
        assert_int_equal(reading, cases[i].why ? GY_E_INVALID : GY_OK);
        assert_int_equal(writing, reading);
        if (cases[i].why) {
            assert_non_null(strstr(err.msg, cases[i].setting.name));
            assert_non_null(strstr(err.msg, cases[i].why));
            assert_non_null(strstr(err.hint, "leave it out"));
        }
    }
}

/* Nobody is there: taking gives nothing, staying waits, writing times out. */
static void test_nobody_there(void **state)
{
#if UNDER_TSAN
    skip(); /* threads of a library that was not built with it end in its own memory */
#endif
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    const struct gy_kafka_options o = {.brokers = "127.0.0.1:1", .group = "g", .topic = "t"};
    struct gy_kafka_consumer *c = NULL;
    struct gy_kafka_producer *p = NULL;
    struct gy_kafka_message m[2];
    size_t n = 7;
    bool kept = false;
    gy_status status = gy_kafka_consumer_open(&o, &c, &err);
    if (status == GY_E_MISSINGDEP) {
        skip();
    }
    assert_int_equal(status, GY_OK);
    assert_int_equal(gy_kafka_take(c, 100, 2, 1000, m, &n, &err), GY_OK);
    assert_int_equal(n, 0);
    assert_int_equal(gy_kafka_stay(c, 50, &err), GY_OK);
    assert_int_equal(gy_kafka_commit(c, m, 0, &kept, &err), GY_OK);
    assert_int_equal(gy_kafka_lag(c), 0);
    assert_int_equal(gy_kafka_partitions(c), 0);
    gy_kafka_consumer_free(c);
    assert_int_equal(gy_kafka_producer_open(&o, &p, &err), GY_OK);
    assert_int_equal(gy_kafka_put(p, "t", GY_STR("k"), GY_STR("v"), NULL, 0, &err), GY_OK);
    assert_int_equal(gy_kafka_flush(p, 50, &err), GY_E_TIMEOUT);
    gy_kafka_producer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_a_setting_that_is_none),
        cmocka_unit_test(test_settings_that_lose_messages),
        cmocka_unit_test(test_nobody_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
