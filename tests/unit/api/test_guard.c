/* SPDX-License-Identifier: Apache-2.0 */
/* The guard of rollouts on an open app: real revisions, predictions through the request path,
 * labels in the join, and what it then does to the endpoint. */
#include "mlflow_harness.h"

#include <math.h>
#include <time.h>

#include "base/id.h"
#include "base/time.h"
#include "serve/infer.h"
#include "store/events.h"
#include "unit.h"
#include "watch/bandit.h"
#include "watch/guard.h"

#define E "/api/gyre/v1/endpoints/sepsis"
#define COLUMN(name) "{\"name\":\"" name "\",\"type\":\"float\"}"
#define STEP "{\"impute\":\"constant\",\"fill\":0}"
/* p = sigmoid(HR / 10 - 9); with a weight beyond 1e308 some rows have no finite number */
#define MODEL(hr, intercept)                                                                 \
    "{\"format\":\"gyre.model/1\",\"task\":\"binary\",\"target\":\"y\",\"inputs\":[" COLUMN( \
        "HR") "],\"features\":[" STEP "],\"learner\":{\"name\":\"logistic\",\"params\":{},"  \
              "\"values\":[" hr "," intercept "]},\"classes\":[\"0\",\"1\"],\"threshold\":0.5}"
#define SUM(hr)                                                                                  \
    "{\"format\":\"gyre.model/1\",\"task\":\"regression\",\"target\":\"y\",\"inputs\":[" COLUMN( \
        "HR") "],\"features\":[" STEP "],\"learner\":{\"name\":\"linear\",\"params\":{},"        \
              "\"values\":[" hr ",0]}}"

struct stage {
    struct gy_shapes *shapes;
    struct gy_join *join;
    struct gy_guard *guard;
    char cache[GY_MAX_PATH];
    uint32_t n; /* labels given */
};

static void add_version(struct harness *h, const char *model)
{
    char id[40], path[256], body[1024];
    want(h, "POST", M "/runs/create", "{\"experiment_id\":\"0\"}", 200, NULL);
    (void)snprintf(id, sizeof id, "%s", text_at(h, "/run/info/run_id"));
    const char *const files[][2] = {{"MLmodel", "flavors:\n  gyre:\n    data: model.json\n"
                                                "model_uuid: 0123456789abcdef0123456789abcdef\n"},
                                    {"model.json", model}};
    for (int i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path,
                       "/api/2.0/mlflow-artifacts/artifacts/0/%s/artifacts/model/%s", id,
                       files[i][0]);
        assert_int_equal(ask_as(h, "application/octet-stream", "PUT", path, gy_str_c(files[i][1])),
                         200);
    }
    (void)ask(h, "POST", M "/registered-models/create", "{\"name\":\"sepsis\"}");
    (void)snprintf(body, sizeof body,
                   "{\"name\":\"sepsis\",\"source\":\"mlflow-artifacts:/0/%s/artifacts/model\","
                   "\"run_id\":\"%s\"}",
                   id, id);
    want(h, "POST", M "/model-versions/create", body, 200, NULL);
    (void)snprintf(path, sizeof path, "/api/gyre/v1/models/sepsis/versions/%s/proof",
                   text_at(h, "/model_version/version"));
    want(h, "POST", path, "{\"servable\":true,\"reason\":\"by hand\"}", 200, NULL);
}

/* Version 1 is served, version 2 its canary with half of the traffic, under that rollout. */
static void start(struct harness *h, struct stage *s, const char *one, const char *two,
                  const char *rollout)
{
    char body[1024];
    struct gy_err err = GY_ERR_INIT;
    memset(s, 0, sizeof *s);
    const struct gy_app_serve_options o = {.n_loops = 1, .log_sync_ms = 50};
    add_version(h, one);
    add_version(h, two);
    assert_status(GY_OK, gy_app_serve_open(h->app, &o, &err), err);
    want(h, "POST", E "/deploy", "{\"model\":\"models:/sepsis/1\"}", 201, NULL);
    assert_status(GY_OK, gy_home_path(&h->app->home, "cache/models", s->cache, &err), err);
    assert_status(GY_OK, gy_shapes_new(h->app->store, &s->shapes, &err), err);
    assert_status(GY_OK, gy_join_new(s->shapes, 0, &s->join, &err), err);
    const struct gy_deployer d = {h->app->store, h->app->objects, s->cache, h->app->serving};
    assert_status(GY_OK, gy_guard_new(&d, s->join, &s->guard, &err), err);
    (void)snprintf(body, sizeof body, "{\"model\":\"models:/sepsis/2\",\"canary\":0.5%s%s%s}",
                   rollout ? ",\"project\":{\"rollout\":" : "", rollout ? rollout : "",
                   rollout ? "}" : "");
    want(h, "POST", E "/deploy", body, 201, NULL);
    assert_status(GY_OK, gy_guard_tick(s->guard, &err), err);
}

static void finish(struct harness *h, struct stage *s)
{
    gy_guard_free(s->guard);
    gy_join_free(s->join);
    gy_shapes_free(s->shapes);
    gy_app_serve_close(h->app);
}

static void predict(struct harness *h, const char *version, int n, double hr)
{
    char path[64], body[128];
    (void)snprintf(path, sizeof path, "/v2/models/sepsis/versions/%s/infer", version);
    (void)snprintf(body, sizeof body,
                   "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,1],\"datatype\":\"FP64\",\"data\":"
                   "[%g]}]}",
                   hr);
    const struct gy_request req = {
        .method = GY_STR("POST"), .path = gy_str_c(path), .request_id = GY_STR("r")};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    for (int i = 0; i < n; i++) {
        struct gy_fast_reply reply = {.body = &out};
        gy_buf_reset(&out);
        assert_int_equal(gy_serving_fast.run(h->app->serving, 0, &req, gy_str_c(body), &reply),
                         GY_FAST_DONE);
    }
}

/* n labelled positives that the version found (or not), now. */
static void label(struct stage *s, const char *version, uint32_t revision, int n, bool found)
{
    struct gy_err err = GY_ERR_INIT;
    for (int i = 0; i < n; i++) {
        const double outputs[] = {found, found ? 0.9 : 0.1};
        struct gy_record r = {.time_us = gy_now_us(),
                              .revision = revision,
                              .n_rows = 1,
                              .total_rows = 1,
                              .status = 200,
                              .n_outputs = 2,
                              .endpoint = GY_STR("sepsis"),
                              .model_version = gy_str_c(version),
                              .request_id = GY_STR(""),
                              .outputs = outputs};
        s->n++;
        memcpy(r.id, &s->n, sizeof s->n);
        struct gy_feedback f = {.label = GY_STR("1"), .reward = NAN, .given_us = gy_now_us()};
        memcpy(f.id, r.id, sizeof f.id);
        assert_status(GY_OK, gy_join_prediction(s->join, &r, &err), err);
        assert_status(GY_OK, gy_join_feedback(s->join, &f, NULL, &err), err);
    }
}

static void tick(struct stage *s)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_guard_tick(s->guard, &err), err);
}

/* The newest revision of the endpoint, and how many events of the guard there are. */
static void expect(struct harness *h, const char *kind, int64_t revision, const char *says,
                   size_t events)
{
    want(h, "GET", E, NULL, 200, NULL);
    assert_int_equal(gy_json_i64(yyjson_doc_get_root(h->doc), "revision", -1), revision);
    assert_string_equal(text_at(h, "/revisions/0/kind"), kind);
    if (events) {
        assert_string_equal(text_at(h, "/revisions/0/actor"), "gyre");
        assert_non_null(strstr(text_at(h, "/revisions/0/reason"), says));
    }
    want(h, "GET", "/api/gyre/v1/events?kind=rollout", NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/events")), events);
    if (events) {
        assert_non_null(strstr(text_at(h, "/events/0/data/reason"), says));
        assert_string_equal(text_at(h, "/events/0/data/canary"), "2");
    }
}

#define GOOD MODEL("0.1", "-9")
#define OTHER MODEL("0.1", "-9.1")

static void test_a_bad_canary_rolls_itself_back(void **state)
{
    struct harness *h = *state;
    struct stage s;
    start(h, &s, GOOD, OTHER, "{\"min_labels\":50,\"recall_change_min\":-0.05}");
    label(&s, "1", 2, 86, true);
    label(&s, "1", 2, 14, false);
    label(&s, "2", 2, 30, false);
    tick(&s);
    expect(h, "canary", 2, "", 0); /* 30 labels are none yet */
    label(&s, "2", 2, 20, true);
    tick(&s);
    expect(h, "rollback", 3, "recall 0.40", 1);
    assert_string_equal(text_at(h, "/events/0/kind"), "rollout.rolled_back");
    assert_string_equal(text_at(h, "/events/0/subject"), "revision:sepsis/3");
    tick(&s); /* there is no canary any more */
    expect(h, "rollback", 3, "recall 0.40", 1);
    finish(h, &s);
}

static void test_a_good_canary_is_promoted(void **state)
{
    struct harness *h = *state;
    struct stage s;
    start(h, &s, GOOD, OTHER,
          "{\"min_labels\":50,\"recall_change_min\":-0.05,\"min_requests\":30,\"promote\":"
          "\"auto\"}");
    label(&s, "1", 2, 80, true);
    label(&s, "1", 2, 20, false);
    label(&s, "2", 2, 98, true);
    label(&s, "2", 2, 2, false);
    predict(h, "2", 29, 100);
    tick(&s);
    expect(h, "canary", 2, "", 0);
    /* its weight may change meanwhile: it is the same canary */
    want(h, "POST", E "/traffic", "{\"canary\":0.6}", 201, NULL);
    predict(h, "2", 1, 100);
    tick(&s);
    expect(h, "promote", 4, "recall 0.98", 1);
    want(h, "GET", "/v2/models/sepsis", NULL, 200, NULL);
    assert_string_equal(text_at(h, "/versions/0"), "2");
    finish(h, &s);
}

static void test_undecided_is_told_once(void **state)
{
    struct harness *h = *state;
    struct stage s;
    start(
        h, &s, GOOD, OTHER,
        "{\"min_labels\":50,\"recall_change_min\":-0.05,\"min_requests\":1,\"promote\":\"auto\"}");
    predict(h, "2", 10, 100);
    label(&s, "1", 2, 40, true);
    label(&s, "1", 2, 10, false);
    label(&s, "2", 2, 39, true);
    label(&s, "2", 2, 11, false);
    for (int i = 0; i < 3; i++) {
        tick(&s);
    }
    want(h, "GET", "/api/gyre/v1/events?kind=rollout", NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/events")), 1);
    assert_string_equal(text_at(h, "/events/0/kind"), "rollout.inconclusive");
    assert_non_null(strstr(text_at(h, "/events/0/data/reason"), "does not tell"));
    /* looking goes on, and every label counts */
    label(&s, "2", 2, 5, false);
    tick(&s);
    want(h, "GET", E, NULL, 200, NULL);
    assert_string_equal(text_at(h, "/revisions/0/kind"), "canary");
    label(&s, "1", 2, 50, true);
    label(&s, "2", 2, 45, false);
    tick(&s);
    want(h, "GET", E, NULL, 200, NULL);
    assert_string_equal(text_at(h, "/revisions/0/kind"), "rollback");
    finish(h, &s);
}

/* Of two canaries the bad one leaves, the good one is promoted. */
static void test_two_canaries(void **state)
{
    struct harness *h = *state;
    struct stage s;
    start(h, &s, GOOD, OTHER,
          "{\"min_labels\":50,\"recall_change_min\":-0.05,\"min_requests\":5,\"promote\":"
          "\"auto\"}");
    add_version(h, MODEL("0.1", "-9.2"));
    want(h, "POST", E "/traffic", "{\"shares\":{\"2\":0.3,\"3\":0.4}}", 201, NULL);
    assert_string_equal(text_at(h, "/config/weights/2/role"), "canary");
    want(h, "POST", E "/traffic", "{\"canary\":0.3}", 409, NULL);
    want(h, "POST", E "/promote", "{}", 409, NULL);
    want(h, "POST", E "/deploy", "{\"model\":\"models:/sepsis/3\",\"canary\":0.1}", 409, NULL);
    want(h, "POST", E "/traffic", "{\"shares\":{\"2\":0.7,\"3\":0.4}}", 400, NULL);
    want(h, "POST", E "/traffic", "{\"shares\":{\"1\":0.5}}", 400, NULL);
    label(&s, "1", 3, 80, true);
    label(&s, "1", 3, 20, false);
    label(&s, "2", 3, 60, false);
    predict(h, "2", 20, 100);
    tick(&s);
    expect(h, "traffic", 4, "recall 0.00", 1);
    assert_string_equal(text_at(h, "/events/0/kind"), "rollout.rolled_back");
    want(h, "GET", E, NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/revisions/0/config/weights")), 2);
    label(&s, "3", 4, 120, true);
    predict(h, "3", 20, 100);
    tick(&s);
    want(h, "GET", E, NULL, 200, NULL);
    assert_string_equal(text_at(h, "/revisions/0/kind"), "promote");
    assert_int_equal(yyjson_get_int(at(h, "/revisions/0/version")), 3);
    finish(h, &s);
}

/* Feedback moves shares, in new revisions that say why, and not more often than every_s; the rows
 * of a version count for it whatever its share is now. */
static void test_a_bandit(void **state)
{
    struct harness *h = *state;
    struct stage s;
    struct gy_err err = GY_ERR_INIT;
    start(h, &s, GOOD, OTHER,
          "{\"strategy\":\"bandit\",\"metric\":\"accuracy\",\"min_labels\":50,\"every_s\":1,"
          "\"min_share\":0.1,\"seed\":3,\"max_error_rate\":1}");
    add_version(h, MODEL("0.1", "-9.2"));
    want(h, "POST", E "/traffic", "{\"shares\":{\"2\":0.3,\"3\":0.3}}", 201, NULL);
    const struct gy_deployer d = {h->app->store, h->app->objects, s.cache, h->app->serving};
    GY_AUTO(gy_bandit_free) struct gy_bandit *b = NULL;
    assert_status(GY_OK, gy_bandit_new(&d, s.join, &b, &err), err);
    label(&s, "1", 3, 20, false);
    label(&s, "2", 3, 20, true);
    label(&s, "3", 3, 9, false);
    (void)usleep(1100000); /* every_s */
    assert_status(GY_OK, gy_bandit_tick(b, &err), err);
    expect(h, "traffic", 3, "", 0); /* 49 rows are none yet */
    label(&s, "3", 3, 11, false);
    assert_status(GY_OK, gy_bandit_tick(b, &err), err);
    expect(h, "traffic", 3, "", 0); /* not so soon again */
    (void)usleep(1100000);
    assert_status(GY_OK, gy_bandit_tick(b, &err), err);
    want(h, "GET", E, NULL, 200, NULL);
    assert_int_equal(gy_json_i64(yyjson_doc_get_root(h->doc), "revision", -1), 4);
    assert_string_equal(text_at(h, "/revisions/0/actor"), "gyre");
    assert_non_null(strstr(text_at(h, "/revisions/0/reason"),
                           "version 2 1.000 of 20 rows: 80%; version 3 0.000 of 20 rows: 10%"));
    assert_true(yyjson_get_num(at(h, "/revisions/0/config/weights/1/weight")) == 0.8);
    /* the same feedback moves nothing more */
    (void)usleep(1100000);
    assert_status(GY_OK, gy_bandit_tick(b, &err), err);
    want(h, "GET", E, NULL, 200, NULL);
    assert_int_equal(gy_json_i64(yyjson_doc_get_root(h->doc), "revision", -1), 4);
    /* what the guard does not like is not kept by the bandit */
    want(h, "POST", E "/traffic", "{\"shares\":{\"2\":null}}", 201, NULL);
    assert_status(GY_OK, gy_bandit_tick(b, &err), err);
    finish(h, &s);
}

static void test_failures_need_no_labels(void **state)
{
    struct harness *h = *state;
    struct stage s;
    start(h, &s, SUM("1"), SUM("1e308"), "{}");
    predict(h, "1", 50, 100);
    predict(h, "2", 9, 100); /* no finite number */
    tick(&s);
    expect(h, "canary", 2, "", 0);
    predict(h, "2", 1, 100);
    tick(&s);
    expect(h, "rollback", 3, "error rate 1.000", 1);
    finish(h, &s);
}

/* What was counted before the canary began is not the canary's. */
static void test_counters_begin_with_the_canary(void **state)
{
    struct harness *h = *state;
    struct stage s;
    start(h, &s, SUM("1"), SUM("1e308"), "{\"min_requests\":20,\"promote\":\"auto\"}");
    predict(h, "2", 10, 100);
    tick(&s);
    expect(h, "rollback", 3, "error rate", 1);
    want(
        h, "POST", E "/deploy",
        "{\"model\":\"models:/sepsis/2\",\"canary\":0.5,\"project\":{\"rollout\":{\"min_requests\":"
        "20,\"promote\":\"auto\"}}}",
        201, NULL);
    predict(h, "2", 19, 0.5); /* 5e307 */
    tick(&s);
    want(h, "GET", E, NULL, 200, NULL);
    assert_string_equal(text_at(h, "/revisions/0/kind"), "canary");
    predict(h, "2", 1, 0.5);
    tick(&s);
    want(h, "GET", E, NULL, 200, NULL);
    assert_string_equal(text_at(h, "/revisions/0/kind"), "promote");
    finish(h, &s);
}

static void test_without_a_rollout_section_nothing_happens(void **state)
{
    struct harness *h = *state;
    struct stage s;
    start(h, &s, SUM("1"), SUM("1e308"), NULL);
    predict(h, "2", 50, 100);
    tick(&s);
    expect(h, "canary", 2, "", 0);
    /* ... but a signal is heard */
    assert_true(gy_rollout_signal(h->app->serving, GY_STR("sepsis"), GY_STR("9"),
                                  GY_SIGNAL_ROLL_BACK, 1, GY_STR("another")));
    tick(&s);
    expect(h, "canary", 2, "", 0);
    assert_true(gy_rollout_signal(h->app->serving, GY_STR("sepsis"), GY_STR("2"),
                                  GY_SIGNAL_ROLL_BACK, 1, GY_STR("a reviewer's alarm")));
    tick(&s);
    expect(h, "rollback", 3, "a reviewer's alarm", 1);
    finish(h, &s);
}

static void test_a_held_canary_is_not_promoted(void **state)
{
    struct harness *h = *state;
    struct stage s;
    start(h, &s, GOOD, OTHER, "{\"min_requests\":5,\"promote\":\"auto\"}");
    assert_true(gy_rollout_signal(h->app->serving, GY_STR("sepsis"), GY_STR("2"), GY_SIGNAL_HOLD, 1,
                                  GY_STR("drift")));
    predict(h, "2", 5, 100);
    tick(&s);
    tick(&s);
    want(h, "GET", "/api/gyre/v1/events?kind=rollout", NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/events")), 1);
    assert_non_null(strstr(text_at(h, "/events/0/data/reason"), "held"));
    want(h, "GET", E, NULL, 200, NULL);
    assert_string_equal(text_at(h, "/revisions/0/kind"), "canary");
    finish(h, &s);
}

/* A person who was faster is not overruled. */
static void test_a_change_in_between(void **state)
{
    struct harness *h = *state;
    struct stage s;
    start(h, &s, GOOD, OTHER, NULL);
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    const struct gy_deployer d = {h->app->store, h->app->objects, s.cache, h->app->serving};
    const struct gy_deploy_by by = {.actor = GY_STR("gyre"), .expect = 1};
    struct gy_revision r;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_E_CONFLICT, gy_deploy_promote(&d, GY_STR("sepsis"), 0, &by, &a, &r, &err),
                  err);
    assert_status(GY_E_CONFLICT, gy_deploy_rollback(&d, GY_STR("sepsis"), 0, &by, &a, &r, &err),
                  err);
    assert_non_null(strstr(err.msg, "revision 2 is served"));
    want(h, "POST", E "/undeploy", "{}", 200, NULL);
    tick(&s);
    finish(h, &s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_bad_canary_rolls_itself_back),
        TEST(test_a_good_canary_is_promoted),
        TEST(test_undecided_is_told_once),
        TEST(test_failures_need_no_labels),
        TEST(test_counters_begin_with_the_canary),
        TEST(test_two_canaries),
        TEST(test_a_bandit),
        TEST(test_without_a_rollout_section_nothing_happens),
        TEST(test_a_held_canary_is_not_promoted),
        TEST(test_a_change_in_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
