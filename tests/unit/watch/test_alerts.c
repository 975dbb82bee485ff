/* SPDX-License-Identifier: Apache-2.0 */
/* What is watched, and the alerts: one at a time for each subject, told once. */
#include <math.h>

#include "store/events.h"
#include "unit.h"
#include "watch/alerts.h"
#include "watch/config.h"

static struct gy_store *g_store;
static struct gy_arena g_arena;

static int setup(void **state)
{
    (void)state;
    gy_arena_init(&g_arena, 64 * GY_MIB);
    const struct gy_store_options o = {.url = "sqlite://:memory:"};
    return gy_store_open(&o, &g_store, NULL) == GY_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    gy_store_free(g_store);
    gy_arena_done(&g_arena);
    return 0;
}

/* ---- settings ---- */

static gy_status settings(const char *json, struct gy_watch_settings *ret, struct gy_err *err)
{
    yyjson_doc *doc = NULL;
    assert_int_equal(gy_json_parse(gy_str_c(json), &doc, NULL), GY_OK);
    gy_status st = gy_watch_settings_read(yyjson_doc_get_root(doc), &g_arena, ret, err);
    if (st == GY_OK && ret->drift.n_features) {
        assert_str(ret->drift.features[0].name, "Temp"); /* a view: before the document goes */
    }
    gy_json_free(doc);
    return st;
}

static void test_settings(void **state)
{
    (void)state;
    struct gy_watch_settings s;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, settings("{}", &s, &err), err);
    assert_int_equal(s.window_rows, 1000);
    assert_true(s.drift.share == 0.5 && isnan(s.recall_min) && !s.retrain);
    assert_status(GY_OK, gy_watch_settings_read(NULL, &g_arena, &s, &err), err);
    assert_int_equal(s.reference, GY_WATCH_TRAINING);
    assert_status(
        GY_OK,
        settings("{\"reference\":\"first_window\",\"window\":{\"rows\":250},\"drift\":{"
                 "\"share\":0.25,\"features\":{\"Temp\":{\"test\":\"ks\",\"threshold\":"
                 "0.01}}},\"on_drift\":\"retrain\",\"recall_min\":0.75,\"labels_min\":0.2,"
                 "\"review_max\":50,\"lag_max_seconds\":5}",
                 &s, &err),
        err);
    assert_int_equal(s.reference, GY_WATCH_FIRST_WINDOW);
    assert_int_equal(s.window_rows, 250);
    assert_true(s.drift.share == 0.25 && s.recall_min == 0.75 && s.retrain);
    assert_int_equal(s.drift.n_features, 1);
    assert_true(s.drift.features[0].threshold == 0.01);
    assert_int_equal(s.review_max, 50);
}

static void test_settings_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
    } bad[] = {
        {"[]", "watch must be a map"},
        {"{\"windw\":{}}", "watch: there is no 'windw'"},
        {"{\"window\":{\"row\":1}}", "watch.window: there is no 'row'"},
        {"{\"window\":{\"rows\":1}}", "watch.window.rows must be a whole number from 10"},
        {"{\"window\":{\"rows\":1.5}}", "watch.window.rows must be a whole number"},
        {"{\"drift\":{\"share\":0}}", "watch: drift: 'share'"},
        {"{\"drift\":{\"features\":[]}}", "watch: drift: "},
        {"{\"drift\":{\"features\":{\"Temp\":{\"tst\":\"ks\"}}}}", "watch: drift: "},
        {"{\"drift\":{\"features\":{\"Temp\":{\"test\":\"nope\"}}}}", "watch: no drift test"},
        {"{\"on_drift\":\"panic\"}", "watch.on_drift must be alert or retrain"},
        {"{\"recall_min\":\"high\"}", "watch.recall_min must be a number from 0 to 1"},
        {"{\"reference\":7}", "watch.reference must be training or first_window"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_watch_settings s;
        struct gy_err err = GY_ERR_INIT;
        assert_status(GY_E_INVALID, settings(bad[i].json, &s, &err), err);
        if (strncmp(err.msg, bad[i].says, strlen(bad[i].says)) != 0) {
            fail_msg("%s: %s", bad[i].json, err.msg);
        }
    }
}

/* ---- configs ---- */

struct job {
    struct gy_watch_config config, *configs;
    struct gy_alert alert, *alerts;
    struct gy_event *events;
    size_t n;
    int64_t id;
    bool raised, all;
    struct gy_str subject, keep, endpoint, actor, reason;
};

static gy_status do_put(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job *j = ctx;
    return gy_watch_config_put(db, &j->config, err);
}

static gy_status do_configs(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job *j = ctx;
    GY_TRY(gy_watch_config_list(db, &g_arena, &j->configs, &j->n, err));
    return gy_watch_config_get(db, GY_STR("sepsis"), &g_arena, &j->config, err);
}

static void test_configs(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    struct job j = {.config = {.project = GY_STR("sepsis"),
                               .folder = GY_STR("/home/a/sepsis"),
                               .endpoints = GY_STR("[\"sepsis\",\"old\"]"),
                               .sections = GY_STR("{\"watch\":{\"window\":{\"rows\":100}}}"),
                               .actor = GY_STR("alice")}};
    assert_status(GY_E_NOTFOUND, gy_store_read(g_store, do_configs, &j, &err), err);
    assert_status(GY_OK, gy_store_write(g_store, do_put, &j, &err), err);
    j.config.sections = GY_STR("{\"watch\":{\"window\":{\"rows\":200}},\"triggers\":{}}");
    j.config.actor = GY_STR("bob");
    assert_status(GY_OK, gy_store_write(g_store, do_put, &j, &err), err);
    j.config.sections = GY_STR("{\"watch\":{\"windows\":1}}");
    assert_status(GY_E_INVALID, gy_store_write(g_store, do_put, &j, &err), err);
    j.config = (struct gy_watch_config){0};
    assert_status(GY_OK, gy_store_read(g_store, do_configs, &j, &err), err);
    assert_int_equal(j.n, 1);
    assert_str(j.config.actor, "bob");
    assert_str(j.config.sections, "{\"watch\":{\"window\":{\"rows\":200}},\"triggers\":{}}");
    assert_true(gy_watch_config_has(&j.config, GY_STR("old")));
    assert_false(gy_watch_config_has(&j.config, GY_STR("ol")));
}

/* ---- alerts ---- */

static gy_status do_raise(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job *j = ctx;
    return gy_alert_raise(db, &j->alert, &j->raised, err);
}

static gy_status do_clear(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job *j = ctx;
    return gy_alert_clear(db, "sensor", GY_STR("sepsis"), j->subject, j->keep, GY_STR("gyre"), err);
}

static gy_status do_ack(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job *j = ctx;
    return gy_alert_acknowledge(db, j->id, j->actor, j->reason, err);
}

static gy_status do_list(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job *j = ctx;
    return gy_alert_list(db, j->endpoint, j->all, 100, &g_arena, &j->alerts, &j->n, err);
}

static gy_status do_events(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job *j = ctx;
    return gy_event_list(db, 0, "alert.", 100, &g_arena, &j->events, &j->n, err);
}

static bool raise_one(const char *feature, const char *text)
{
    struct gy_err err = GY_ERR_INIT;
    struct job j = {.alert = {.kind = GY_STR("sensor"),
                              .endpoint = GY_STR("sepsis"),
                              .subject = gy_str_c(feature),
                              .text = gy_str_c(text),
                              .data = GY_STR("{\"offset\":1.0}"),
                              .actor = GY_STR("gyre")}};
    assert_status(GY_OK, gy_store_write(g_store, do_raise, &j, &err), err);
    return j.raised;
}

static void clear(struct gy_str subject, struct gy_str keep)
{
    struct gy_err err = GY_ERR_INIT;
    struct job j = {.subject = subject, .keep = keep};
    assert_status(GY_OK, gy_store_write(g_store, do_clear, &j, &err), err);
}

static size_t listed(bool all, struct gy_alert **ret)
{
    struct gy_err err = GY_ERR_INIT;
    struct job j = {.all = all};
    assert_status(GY_OK, gy_store_read(g_store, do_list, &j, &err), err);
    *ret = j.alerts;
    return j.n;
}

static void test_alerts_once(void **state)
{
    (void)state;
    struct gy_alert *a;
    struct gy_err err = GY_ERR_INIT;
    assert_true(raise_one("Temp", "Temp reads 1.0 more"));
    assert_false(raise_one("Temp", "Temp reads 1.1 more"));
    assert_true(raise_one("HR", "HR reads 9 less"));
    assert_int_equal(listed(false, &a), 2);
    assert_str(a[0].subject, "HR");
    assert_str(a[1].text, "Temp reads 1.1 more");
    assert_str(a[1].data, "{\"offset\":1.0}");
    clear(GY_STR_NULL, GY_STR("HR"));
    assert_int_equal(listed(false, &a), 1);
    assert_str(a[0].subject, "HR");
    assert_int_equal(listed(true, &a), 2);
    assert_str(a[1].state, "cleared");
    assert_str(a[1].cleared_by, "gyre");
    assert_true(raise_one("Temp", "again")); /* a new one */
    clear(GY_STR("Temp"), GY_STR_NULL);
    clear(GY_STR("Temp"), GY_STR_NULL); /* not twice */
    assert_int_equal(listed(true, &a), 3);
    struct job j = {0};
    assert_status(GY_OK, gy_store_read(g_store, do_events, &j, &err), err);
    static const char *const kinds[] = {"alert.raised", "alert.raised", "alert.cleared",
                                        "alert.raised", "alert.cleared"};
    assert_int_equal(j.n, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_str(j.events[i].kind, kinds[i]);
    }
}

static void test_acknowledge(void **state)
{
    (void)state;
    struct gy_alert *a;
    struct gy_err err = GY_ERR_INIT;
    assert_true(raise_one("Temp", "Temp reads 1.0 more"));
    assert_int_equal(listed(false, &a), 1);
    struct job j = {.id = a[0].id, .actor = GY_STR("anonymous"), .reason = GY_STR("seen")};
    assert_status(GY_E_UNAUTHENTICATED, gy_store_write(g_store, do_ack, &j, &err), err);
    j.actor = GY_STR("alice");
    j.reason = GY_STR_NULL;
    assert_status(GY_E_INVALID, gy_store_write(g_store, do_ack, &j, &err), err);
    j.reason = GY_STR("the ward has new thermometers");
    assert_status(GY_OK, gy_store_write(g_store, do_ack, &j, &err), err);
    assert_int_equal(listed(false, &a), 1); /* it goes on firing */
    assert_str(a[0].acknowledged_by, "alice");
    assert_str(a[0].acknowledge_reason, "the ward has new thermometers");
    clear(GY_STR_NULL, GY_STR_NULL);
    assert_status(GY_E_CONFLICT, gy_store_write(g_store, do_ack, &j, &err), err);
    j.id = 4711;
    assert_status(GY_E_NOTFOUND, gy_store_write(g_store, do_ack, &j, &err), err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_settings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_settings_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_configs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alerts_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_acknowledge, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
