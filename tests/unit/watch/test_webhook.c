/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures and configuration. Delivery to a receiver: tests/http/test_webhook.py. */
#include "../unit.h"

#include "store/events.h"
#include "watch/config.h"
#include "watch/webhook.h"

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define BODY "{\"test\": 2432232314}"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define TIME_S 1614265330
#define TIME "1614265330"

/* The example that the libraries of Standard Webhooks are tested with. */
static void test_a_known_signature(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    char signature[GY_WEBHOOK_SIGNATURE];
    assert_status(
        GY_OK, gy_webhook_sign(GY_STR(SECRET), GY_STR(ID), TIME_S, GY_STR(BODY), signature, &err),
        err);
    assert_string_equal(signature, SIGNATURE);
}

static gy_status verify(const char *secret, const char *id, const char *time,
                        const char *signatures, const char *body, int64_t now_s)
{
    return gy_webhook_verify(gy_str_c(secret), gy_str_c(id), gy_str_c(time), gy_str_c(signatures),
                             gy_str_c(body), now_s, NULL);
}

static void test_what_is_signed_can_not_be_changed(void **state)
{
    (void)state;
    static const struct {
        const char *secret, *id, *time, *signatures, *body;
        int64_t now_s;
        gy_status status;
    } cases[] = {
        {SECRET, ID, TIME, SIGNATURE, BODY, TIME_S, GY_OK},
        {SECRET, ID, TIME, SIGNATURE, BODY, TIME_S + 300, GY_OK},
        {SECRET, ID, TIME, SIGNATURE, BODY, TIME_S - 300, GY_OK},
        {SECRET, ID, TIME, "v1,AAAA v2,xyz " SIGNATURE, BODY, TIME_S, GY_OK},
        {SECRET, ID, TIME, SIGNATURE, BODY, TIME_S + 301, GY_E_UNAUTHENTICATED},
        {SECRET, ID, TIME, SIGNATURE, BODY, TIME_S - 301, GY_E_UNAUTHENTICATED},
        {SECRET, ID, TIME, SIGNATURE, BODY " ", TIME_S, GY_E_UNAUTHENTICATED},
        {SECRET, "msg_x", TIME, SIGNATURE, BODY, TIME_S, GY_E_UNAUTHENTICATED},
        {SECRET, ID, "1614265331", SIGNATURE, BODY, TIME_S, GY_E_UNAUTHENTICATED},
        {SECRET, ID, "x", SIGNATURE, BODY, TIME_S, GY_E_UNAUTHENTICATED},
        {SECRET, ID, TIME, "", BODY, TIME_S, GY_E_UNAUTHENTICATED},
        {SECRET, ID, TIME, "v1,", BODY, TIME_S, GY_E_UNAUTHENTICATED},
        {SECRET, ID, TIME, SIGNATURE "=", BODY, TIME_S, GY_E_UNAUTHENTICATED},
        {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", ID, TIME, SIGNATURE, BODY, TIME_S,
         GY_E_UNAUTHENTICATED},
        {"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", ID, TIME, SIGNATURE, BODY, TIME_S, GY_E_INVALID},
        {"whsec_", ID, TIME, SIGNATURE, BODY, TIME_S, GY_E_INVALID},
        {"whsec_c2hvcnQ=", ID, TIME, SIGNATURE, BODY, TIME_S, GY_E_INVALID},
        {"whsec_not base64 at all!", ID, TIME, SIGNATURE, BODY, TIME_S, GY_E_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gy_status got = verify(cases[i].secret, cases[i].id, cases[i].time, cases[i].signatures,
                               cases[i].body, cases[i].now_s);
        if (got != cases[i].status) {
            fail_msg("case %zu: %s", i, gy_status_name(got));
        }
    }
}

static void test_a_bad_secret_is_not_told(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    char signature[GY_WEBHOOK_SIGNATURE];
    assert_int_equal(
        gy_webhook_sign(GY_STR("whsec_hunter2"), GY_STR(ID), TIME_S, GY_STR(BODY), signature, &err),
        GY_E_INVALID);
    assert_null(strstr(err.msg, "hunter2"));
    assert_null(strstr(err.hint, "hunter2"));
}

static void test_kinds_match_by_name_or_beginning(void **state)
{
    (void)state;
    GY_AUTO(gy_json_free) yyjson_doc *some = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *all = NULL;
    assert_int_equal(gy_json_parse(GY_STR("[\"drift.detected\",\"alert.*\"]"), &some, NULL), GY_OK);
    assert_int_equal(gy_json_parse(GY_STR("[\"*\"]"), &all, NULL), GY_OK);
    yyjson_val *events = yyjson_doc_get_root(some);
    assert_true(gy_webhook_matches(events, GY_STR("drift.detected")));
    assert_true(gy_webhook_matches(events, GY_STR("alert.raised")));
    assert_false(gy_webhook_matches(events, GY_STR("drift.detected.x")));
    assert_false(gy_webhook_matches(events, GY_STR("drift.refused")));
    assert_false(gy_webhook_matches(events, GY_STR("alert")));
    assert_true(gy_webhook_matches(yyjson_doc_get_root(all), GY_STR("anything")));
}

#define EVENTS "\"events\":[\"a.b\"]"
#define URL "\"url\":\"http://127.0.0.1:1/x\""
#define SECRET_ENV "\"secret_env\":\"S\""

static void test_the_section_is_checked(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        gy_status status;
    } cases[] = {
        {"[]", GY_OK},
        {"null", GY_OK},
        {"[{" URL "," SECRET_ENV "," EVENTS "}]", GY_OK},
        {"[{\"url\":\"https://example.org\",\"secret_file\":\"s\",\"events\":[\"*\"]}]", GY_OK},
        {"{}", GY_E_INVALID},
        {"[1]", GY_E_INVALID},
        {"[{" URL "," EVENTS "}]", GY_E_INVALID},
        {"[{" URL "," SECRET_ENV ",\"secret_file\":\"s\"," EVENTS "}]", GY_E_INVALID},
        {"[{" URL "," SECRET_ENV "}]", GY_E_INVALID},
        {"[{" URL "," SECRET_ENV ",\"events\":[]}]", GY_E_INVALID},
        {"[{" URL "," SECRET_ENV ",\"events\":[\"a.*.b\"]}]", GY_E_INVALID},
        {"[{" URL "," SECRET_ENV ",\"secret\":\"whsec_x\"," EVENTS "}]", GY_E_INVALID},
        {"[{" SECRET_ENV "," EVENTS "}]", GY_E_INVALID},
        {"[{\"url\":\"ftp://x\"," SECRET_ENV "," EVENTS "}]", GY_E_INVALID},
        {"[{\"url\":\"http://\"," SECRET_ENV "," EVENTS "}]", GY_E_INVALID},
        {"[{\"url\":\"http://u:p@x/\"," SECRET_ENV "," EVENTS "}]", GY_E_INVALID},
        {"[{\"url\":\"http://x/ y\"," SECRET_ENV "," EVENTS "}]", GY_E_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        assert_status(GY_OK, gy_json_parse(gy_str_c(cases[i].json), &doc, &err), err);
        gy_status got = gy_webhook_check(yyjson_doc_get_root(doc), &err);
        if (got != cases[i].status) {
            fail_msg("%s: %s", cases[i].json, gy_status_name(got));
        }
    }
}

/* ---- rounds, without anybody who listens ---- */

static gy_status configure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct gy_watch_config c = {.project = GY_STR("p"),
                                      .folder = GY_STR("/nowhere"),
                                      .endpoints = GY_STR("[]"),
                                      .sections = gy_str_c(ctx),
                                      .actor = GY_STR("ann")};
    return gy_watch_config_put(db, &c, err);
}

static gy_status add_events(struct gy_db *db, void *ctx, struct gy_err *err)
{
    for (int i = 0; i < *(int *)ctx; i++) {
        GY_TRY(gy_event_add(db, "a.b", GY_STR("s"), GY_STR("ann"), GY_STR("{\"k\":1}"), err));
        GY_TRY(gy_event_add(db, "other", GY_STR("s"), GY_STR("ann"), GY_STR_NULL, err));
    }
    return GY_OK;
}

struct listing {
    struct gy_arena *a;
    struct gy_webhook *list;
    size_t n;
};

static gy_status read_list(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct listing *l = ctx;
    return gy_webhook_list(db, l->a, &l->list, &l->n, err);
}

static void test_what_nobody_takes_waits_and_is_given_up_at_last(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    const struct gy_store_options o = {.url = "sqlite://:memory:"};
    GY_AUTO(gy_store_free) struct gy_store *store = NULL;
    GY_AUTO(gy_webhooks_free) struct gy_webhooks *w = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    char one[] =
        "{\"notify\":[{\"url\":\"http://127.0.0.1:1/x\",\"secret_env\":\"GYRE_TEST_UNSET\","
        "\"events\":[\"a.*\"]}]}";
    char none[] = "{\"notify\":[]}";
    int before = 3, after = 2, many = 1500;
    size_t tried = 0;
    int64_t now_us = 1000000;
    gy_arena_init(&a, 64 * GY_MIB);
    struct listing l = {.a = &a};
    assert_status(GY_OK, gy_store_open(&o, &store, &err), err);
    assert_status(GY_OK, gy_webhooks_new(store, &w, &err), err);
    assert_status(GY_OK, gy_store_write(store, add_events, &before, &err), err);
    assert_status(GY_OK, gy_store_write(store, configure, one, &err), err);
    assert_status(GY_OK, gy_webhook_tick(w, now_us, &tried, &err), err);
    assert_int_equal(tried, 0); /* what happened before is not told */
    assert_status(GY_OK, gy_store_write(store, add_events, &after, &err), err);
    assert_status(GY_OK, gy_webhook_tick(w, now_us, &tried, &err), err);
    assert_int_equal(tried, 1); /* the address is down: once a round */
    assert_status(GY_OK, gy_store_read(store, read_list, &l, &err), err);
    assert_int_equal(l.n, 1);
    assert_int_equal(l.list[0].pending, 2);
    assert_int_equal(l.list[0].seen, 10);
    assert_str(l.list[0].last_error, "the variable GYRE_TEST_UNSET is not set");
    /* Not again before its time. */
    assert_status(GY_OK, gy_webhook_tick(w, now_us + 499999, &tried, &err), err);
    assert_int_equal(tried, 0);
    /* Both are given up after their tries, an hour apart at most. */
    for (int i = 0; i < 2 * GY_WEBHOOK_MAX_TRIES; i++) {
        now_us += (int64_t)3600 * 1000000;
        assert_status(GY_OK, gy_webhook_tick(w, now_us, &tried, &err), err);
    }
    assert_status(GY_OK, gy_store_read(store, read_list, &l, &err), err);
    assert_int_equal(l.list[0].pending, 0);
    assert_int_equal(l.list[0].failed, 2);
    /* Messages on their way are bounded; the events themselves wait. */
    assert_status(GY_OK, gy_store_write(store, add_events, &many, &err), err);
    for (int i = 0; i < 10; i++) {
        assert_status(GY_OK, gy_webhook_tick(w, now_us, &tried, &err), err);
    }
    assert_status(GY_OK, gy_store_read(store, read_list, &l, &err), err);
    assert_int_equal(l.list[0].pending, GY_WEBHOOK_MAX_PENDING);
    assert_true(l.list[0].seen < 10 + 2 * many);
    /* Nobody is to be told any more. */
    assert_status(GY_OK, gy_store_write(store, configure, none, &err), err);
    assert_status(GY_OK, gy_webhook_tick(w, now_us, &tried, &err), err);
    assert_status(GY_OK, gy_store_read(store, read_list, &l, &err), err);
    assert_int_equal(l.n, 0);
}

/* Messages of several targets take turns: each address that is down is tried once a round, not once
 * for every message between two others. */
static void test_two_addresses_that_are_down(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    const struct gy_store_options o = {.url = "sqlite://:memory:"};
    GY_AUTO(gy_store_free) struct gy_store *store = NULL;
    GY_AUTO(gy_webhooks_free) struct gy_webhooks *w = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    char two[] = "{\"notify\":["
                 "{\"url\":\"http://127.0.0.1:1/x\",\"secret_env\":\"GYRE_TEST_UNSET\","
                 "\"events\":[\"a.*\"]},"
                 "{\"url\":\"http://127.0.0.1:2/y\",\"secret_env\":\"GYRE_TEST_UNSET\","
                 "\"events\":[\"a.*\"]}]}";
    int events = 5;
    size_t tried = 0;
    gy_arena_init(&a, 64 * GY_MIB);
    struct listing l = {.a = &a};
    assert_status(GY_OK, gy_store_open(&o, &store, &err), err);
    assert_status(GY_OK, gy_webhooks_new(store, &w, &err), err);
    assert_status(GY_OK, gy_store_write(store, configure, two, &err), err);
    assert_status(GY_OK, gy_webhook_tick(w, 1000000, &tried, &err), err);
    for (int i = 0; i < events; i++) {
        int one = 1;
        assert_status(GY_OK, gy_store_write(store, add_events, &one, &err), err);
    }
    assert_status(GY_OK, gy_webhook_tick(w, 1000000, &tried, &err), err);
    assert_int_equal(tried, 2);
    assert_status(GY_OK, gy_store_read(store, read_list, &l, &err), err);
    assert_int_equal(l.n, 2);
    assert_int_equal(l.list[0].pending, events);
    assert_int_equal(l.list[1].pending, events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_known_signature),
        cmocka_unit_test(test_what_is_signed_can_not_be_changed),
        cmocka_unit_test(test_a_bad_secret_is_not_told),
        cmocka_unit_test(test_kinds_match_by_name_or_beginning),
        cmocka_unit_test(test_the_section_is_checked),
        cmocka_unit_test(test_what_nobody_takes_waits_and_is_given_up_at_last),
        cmocka_unit_test(test_two_addresses_that_are_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
