/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"
#include "base/time.h"
#include "flow/job.h"
#include "flow/trigger.h"
#include "store/events.h"
#include "unit.h"

#define SECOND INT64_C(1000000)
#define NOON (INT64_C(1795780800) * SECOND) /* 2026-11-27T12:00:00Z */

static struct gy_store *g_store;
static struct gy_arena g_arena;

static int setup(void **state)
{
    (void)state;
    gy_arena_init(&g_arena, 64 * GY_MIB);
    gy_time_set_fake(NOON);
    const struct gy_store_options o = {.url = "sqlite://:memory:"};
    return gy_store_open(&o, &g_store, NULL) == GY_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    gy_store_free(g_store);
    gy_arena_done(&g_arena);
    gy_time_set_fake(0);
    return 0;
}

struct call {
    const char *kind, *text, *name, *actor, *reason;
    int64_t now;
    bool flag;
    struct gy_trigger *triggers;
    struct gy_job *jobs;
    struct gy_event *events;
    size_t n;
    char job[GY_UUID_TEXT];
};

static gy_status do_replace(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_triggers_replace(db, GY_STR("sepsis"), GY_STR("/p"), gy_str_c(c->text),
                               GY_STR("alice"), err);
}

static gy_status do_put(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_trigger_put(db, GY_STR("sepsis"), GY_STR("/p"), gy_str_c(c->text), GY_STR("alice"),
                          err);
}

static gy_status do_event(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_event_add(db, c->kind, GY_STR("endpoint:e"), GY_STR("gyre"), gy_str_c(c->text), err);
}

static gy_status do_due(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_triggers_due(db, c->now, &c->flag, err);
}

static gy_status do_look(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_triggers_look(db, c->now, &c->flag, err);
}

static gy_status do_list(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_trigger_list(db, GY_STR("sepsis"), &g_arena, &c->triggers, &c->n, err);
}

static gy_status do_jobs(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_job_list(db, GY_STR_NULL, gy_str_c(c->text), 0, &g_arena, &c->jobs, &c->n, err);
}

static gy_status do_events(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_event_list(db, 0, c->kind, 1000, &g_arena, &c->events, &c->n, err);
}

static gy_status do_fire(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_trigger_fire(db, GY_STR_NULL, gy_str_c(c->name), gy_str_c(c->actor),
                           gy_str_c(c->reason), c->now, c->job, err);
}

static gy_status do_enable(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_trigger_enable(db, GY_STR("sepsis"), gy_str_c(c->name), c->flag, GY_STR("alice"),
                             err);
}

static gy_status do_end(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return gy_db_exec(db, "UPDATE jobs SET state='done' WHERE id=?", GY_VALS(gy_vc(c->job)), NULL,
                      err);
}

static void replace(const char *json)
{
    struct gy_err err = GY_ERR_INIT;
    struct call c = {.text = json};
    assert_status(GY_OK, gy_store_write(g_store, do_replace, &c, &err), err);
}

static void happen(const char *kind, const char *data)
{
    struct gy_err err = GY_ERR_INIT;
    struct call c = {.kind = kind, .text = data};
    assert_status(GY_OK, gy_store_write(g_store, do_event, &c, &err), err);
}

/* A look at a time, when there is something to look at. Whether there was. */
static bool look(int64_t seconds)
{
    struct gy_err err = GY_ERR_INIT;
    struct call c = {.now = NOON + seconds * SECOND};
    assert_status(GY_OK, gy_store_read(g_store, do_due, &c, &err), err);
    bool due = c.flag;
    if (due) {
        assert_status(GY_OK, gy_store_write(g_store, do_look, &c, &err), err);
    }
    return due;
}

static size_t count_jobs(const char *state, struct gy_job *newest)
{
    struct gy_err err = GY_ERR_INIT;
    struct call c = {.text = state};
    assert_status(GY_OK, gy_store_read(g_store, do_jobs, &c, &err), err);
    if (c.n > 0 && newest) {
        *newest = c.jobs[0];
    }
    return c.n;
}

static size_t count_events(const char *kind, struct gy_event *newest)
{
    struct gy_err err = GY_ERR_INIT;
    struct call c = {.kind = kind};
    assert_status(GY_OK, gy_store_read(g_store, do_events, &c, &err), err);
    if (c.n > 0 && newest) {
        *newest = c.events[c.n - 1];
    }
    return c.n;
}

static void end_job(const struct gy_job *j)
{
    struct gy_err err = GY_ERR_INIT;
    struct call c = {0};
    (void)snprintf(c.job, sizeof c.job, "%.36s", j->id.p);
    assert_status(GY_OK, gy_store_write(g_store, do_end, &c, &err), err);
}

#define DRIFT                                                                                   \
    "[{\"name\":\"drift\",\"on\":\"drift.detected\",\"run\":[\"retrain\"],\"cooldown\":\"1h\"," \
    "\"endpoint\":\"e\",\"canary\":\"10%\"}]"
#define POPULATION "{\"endpoint\":\"e\",\"cause\":\"population\",\"features\":[\"HR\",\"Temp\"]}"

static void test_an_event_starts_one_job(void **state)
{
    (void)state;
    struct gy_job j = {0};
    struct gy_event e = {0};
    happen("drift.detected", POPULATION); /* older than the trigger */
    gy_time_set_fake(NOON + SECOND);
    replace(DRIFT);
    (void)look(1);
    assert_int_equal(count_jobs(NULL, NULL), 0);
    happen("drift.detected", POPULATION);
    happen("dataset.added", "{}"); /* nobody waits for it */
    assert_true(look(2));
    assert_int_equal(count_jobs("queued", &j), 1);
    assert_str(j.name, "[drift] at 2026-11-27T12:00:02Z");
    assert_str(j.project, "sepsis");
    assert_str(j.folder, "/p");
    assert_str(j.reason, "drift.detected of HR, Temp");
    assert_true(j.event_seq > 0);
    assert_false(look(3)); /* the cursor has moved with the job */
    assert_int_equal(count_events("trigger.fired", &e), 1);
    assert_non_null(strstr(e.data.p, "[\"HR\",\"Temp\"]"));
    happen("drift.detected", "{\"endpoint\":\"other\",\"cause\":\"population\"}");
    (void)look(4);
    assert_int_equal(count_events("trigger.", NULL), 1);
}

static void test_cooldown_and_open_job_are_told(void **state)
{
    (void)state;
    struct gy_job j = {0};
    struct gy_event e = {0};
    replace(DRIFT);
    happen("drift.detected", POPULATION);
    happen("drift.detected", POPULATION);
    assert_true(look(1));
    assert_int_equal(count_jobs(NULL, &j), 1);
    assert_int_equal(count_events("trigger.refused", &e), 1);
    assert_non_null(strstr(e.data.p, "cools down until 2026-11-27T13:00:01Z"));
    happen("drift.detected", POPULATION);
    assert_true(look(3601)); /* cooled down, but the job is still open */
    assert_int_equal(count_events("trigger.refused", &e), 2);
    assert_non_null(strstr(e.data.p, "a job of it is not over yet"));
    end_job(&j);
    happen("drift.detected", POPULATION);
    assert_true(look(3602));
    assert_int_equal(count_jobs("open", NULL), 1);
    assert_int_equal(count_jobs(NULL, NULL), 2);
}

static void test_what_retraining_does_not_cure(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{\"cause\":\"sensor\",\"features\":[\"Temp\"],\"reason\":\"all by +1\"}",
         "a sensor seems to be off: retraining would teach the model its error (Temp): all by +1"},
        {"{\"cause\":\"unknown\"}", "what the drift comes from is not known"},
        {"{}", "what the drift comes from is not known"},
        {"{\"cause\":\"population\",\"may_retrain\":false,\"retrain_reason\":\"no labels\"}",
         "the population changed, but there is not enough to learn from yet: no labels"},
    };
    struct gy_job j = {0};
    replace(DRIFT);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        happen("drift.detected", rows[i][0]);
        gy_time_set_fake(NOON + (int64_t)i * SECOND);
        assert_true(look((int64_t)i));
        assert_int_equal(count_jobs("refused", &j), i + 1);
        assert_str(j.error, rows[i][1]);
        assert_int_equal(count_events("trigger.refused", NULL), i + 1);
    }
    happen("drift.detected", POPULATION); /* none of these was a firing: nothing cools down */
    assert_true(look(10));
    assert_int_equal(count_jobs("queued", NULL), 1);
}

static void test_verdicts_are_counted(void **state)
{
    (void)state;
    struct gy_job j = {0};
    struct gy_err err = GY_ERR_INIT;
    struct call c = {0};
    replace("[{\"name\":\"r\",\"on\":{\"reviews\":10},\"run\":[\"x\"],\"cooldown\":\"60s\"}]");
    happen("review.verdict", "{\"endpoint\":\"e\",\"count\":9}");
    assert_true(look(1));
    assert_int_equal(count_jobs(NULL, NULL), 0);
    happen("review.verdict", "{\"endpoint\":\"e\"}"); /* one */
    assert_true(look(2));
    assert_int_equal(count_jobs(NULL, &j), 1);
    assert_str(j.reason, "10 reviewed records");
    end_job(&j);
    happen("review.verdict", "{\"count\":25}");
    assert_true(look(3));
    assert_int_equal(count_events("trigger.deferred", NULL), 1);
    assert_false(look(4)); /* put off, and quiet about it */
    assert_int_equal(count_jobs(NULL, NULL), 1);
    assert_true(look(63)); /* not lost */
    assert_int_equal(count_jobs(NULL, NULL), 2);
    assert_status(GY_OK, gy_store_read(g_store, do_list, &c, &err), err);
    assert_int_equal(c.triggers[0].pending, 0);
    assert_false(c.triggers[0].deferred);
}

static void test_the_clock(void **state)
{
    (void)state;
    struct gy_job j = {0};
    replace("[{\"name\":\"n\",\"on\":{\"every\":\"1d\"},\"run\":[\"x\"]}]");
    assert_false(look(86399));
    assert_true(look(86400));
    assert_int_equal(count_jobs(NULL, &j), 1);
    assert_true(look(2 * 86400)); /* due again, but the first one is not over */
    (void)look(2 * 86400 + 1);
    assert_int_equal(count_events("trigger.deferred", NULL), 1);
    end_job(&j);
    assert_true(look(2 * 86400 + 2));
    assert_int_equal(count_jobs(NULL, NULL), 2);
}

static void test_a_person_fires(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    struct gy_job j = {0};
    replace(DRIFT);
    struct call c = {.name = "drift", .actor = "anonymous", .reason = "x", .now = NOON};
    assert_int_equal(gy_store_write(g_store, do_fire, &c, &err), GY_E_UNAUTHENTICATED);
    c.actor = "ann";
    c.reason = "  ";
    assert_int_equal(gy_store_write(g_store, do_fire, &c, &err), GY_E_INVALID);
    c.reason = "new sensors";
    assert_status(GY_OK, gy_store_write(g_store, do_fire, &c, &err), err);
    assert_int_equal(gy_store_write(g_store, do_fire, &c, &err), GY_E_CONFLICT);
    assert_int_equal(count_jobs("queued", &j), 1);
    assert_str(j.actor, "ann");
    assert_str(j.reason, "new sensors");
    end_job(&j);
    assert_status(GY_OK, gy_store_write(g_store, do_fire, &c, &err), err); /* no cooldown for her */
    c.name = "nope";
    assert_int_equal(gy_store_write(g_store, do_fire, &c, &err), GY_E_NOTFOUND);
}

static void test_a_disabled_one_does_not_fire(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    replace(DRIFT);
    struct call c = {.name = "drift", .flag = false};
    assert_status(GY_OK, gy_store_write(g_store, do_enable, &c, &err), err);
    happen("drift.detected", POPULATION);
    assert_false(look(1));
    assert_int_equal(count_jobs(NULL, NULL), 0);
}

/* What happened while it was disabled, or while it waited for something else, stays past. */
static void test_an_old_event_does_not_fire_a_trigger_that_is_enabled_again(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    replace(DRIFT);
    struct call c = {.name = "drift", .flag = false};
    assert_status(GY_OK, gy_store_write(g_store, do_enable, &c, &err), err);
    happen("drift.detected", POPULATION);
    gy_time_set_fake(NOON + 10 * SECOND);
    c.flag = true;
    assert_status(GY_OK, gy_store_write(g_store, do_enable, &c, &err), err);
    (void)look(11);
    assert_int_equal(count_jobs(NULL, NULL), 0);
    happen("alert.raised", "{\"endpoint\":\"e\"}");
    gy_time_set_fake(NOON + 20 * SECOND);
    replace("[{\"name\":\"drift\",\"on\":\"alert.raised\",\"run\":[\"y\"]}]");
    (void)look(21);
    assert_int_equal(count_jobs(NULL, NULL), 0);
    happen("alert.raised", "{\"endpoint\":\"e\"}");
    gy_time_set_fake(NOON + 30 * SECOND);
    replace("[{\"name\":\"drift\",\"on\":\"alert.raised\",\"run\":[\"y\"]}]"); /* as it was */
    assert_true(look(31));
    assert_int_equal(count_jobs("queued", NULL), 1);
}

static void test_replacing_keeps_what_stays(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    struct call c = {.text = "{\"name\":\"hand\",\"on\":{\"reviews\":3},\"run\":[\"x\"]}"};
    replace(DRIFT);
    happen("drift.detected", POPULATION);
    assert_true(look(1));
    assert_status(GY_OK, gy_store_write(g_store, do_put, &c, &err), err);
    replace("[{\"name\":\"drift\",\"on\":\"alert.raised\",\"run\":[\"y\"]},"
            "{\"name\":\"new\",\"on\":{\"every\":\"1.5h\"},\"run\":[\"x\"]}]");
    assert_status(GY_OK, gy_store_read(g_store, do_list, &c, &err), err);
    assert_int_equal(c.n, 3);
    assert_str(c.triggers[0].name, "drift");
    assert_int_equal(c.triggers[0].fired_us, NOON + SECOND); /* its history is its own */
    assert_str(c.triggers[0].spec.event, "alert.raised");
    assert_str(c.triggers[1].name, "hand");
    assert_false(c.triggers[1].from_file);
    assert_int_equal(c.triggers[2].spec.every_us, 5400 * SECOND);
    replace("null");
    assert_status(GY_OK, gy_store_read(g_store, do_list, &c, &err), err);
    assert_int_equal(c.n, 1);
    c.text = "[{\"name\":\"a\",\"on\":\"drift.detected\",\"run\":[\"x\"]},{\"name\":\"b\"}]";
    assert_int_equal(gy_store_write(g_store, do_replace, &c, &err), GY_E_INVALID);
    assert_status(GY_OK, gy_store_read(g_store, do_list, &c, &err), err);
    assert_int_equal(c.n, 1); /* nothing by halves */
}

static void test_a_full_project_can_still_change_a_trigger(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    for (int i = 0; i <= GY_TRIGGER_MAX; i++) {
        char text[128];
        (void)snprintf(text, sizeof text,
                       "{\"name\":\"t%d\",\"on\":\"alert.raised\",\"run\":[\"x\"]}", i);
        struct call c = {.text = text};
        gy_status wanted = i < GY_TRIGGER_MAX ? GY_OK : GY_E_TOOBIG;
        assert_status(wanted, gy_store_write(g_store, do_put, &c, &err), err);
    }
    struct call c = {.text = "{\"name\":\"t7\",\"on\":{\"reviews\":3},\"run\":[\"x\"]}"};
    assert_status(GY_OK, gy_store_write(g_store, do_put, &c, &err), err);
}

static void test_durations(void **state)
{
    (void)state;
    static const char *const bad[] = {"",   "s",     "1",     "1w", "-1h",
                                      "0s", "nan h", "1e30d", "h1", "400d"};
    struct gy_err err = GY_ERR_INIT;
    int64_t us = 0;
    assert_status(GY_OK, gy_trigger_duration(GY_STR(" 1.5h "), &us, &err), err);
    assert_int_equal(us, 5400 * SECOND);
    assert_status(GY_OK, gy_trigger_duration(GY_STR("0.25s"), &us, &err), err);
    assert_int_equal(us, SECOND / 4);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(gy_trigger_duration(gy_str_c(bad[i]), &us, &err), GY_E_INVALID);
    }
}

/* "every 86400s" is nothing that a person reads. */
static void test_durations_are_told_in_the_largest_unit(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = {{86400 * SECOND, "1d"},      {5400 * SECOND, "90m"},
                {36 * 3600 * SECOND, "36h"}, {61 * SECOND, "61s"},
                {SECOND / 4 * 43, "10.75s"}, {366 * 86400 * SECOND, "366d"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        struct gy_jw w;
        char wanted[64];
        const struct gy_trigger_spec s = {
            .name = GY_STR("x"), .on = GY_ON_EVERY, .every_us = rows[i].us};
        gy_buf_init(&out, GY_KIB);
        gy_jw_init(&w, &out);
        gy_trigger_write(&w, &s);
        (void)snprintf(wanted, sizeof wanted, "{\"every\":\"%s\"}", rows[i].text);
        assert_non_null(strstr(out.p, wanted));
    }
}

static gy_status parse_all(void *ctx, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_trigger_spec s;
    gy_arena_init(&a, GY_MIB);
    GY_TRY(gy_json_parse(gy_str_c(ctx), &doc, err));
    return gy_trigger_parse(yyjson_arr_get_first(yyjson_doc_get_root(doc)), &a, &s, err);
}

static void test_torture(void **state)
{
    (void)state;
    torture(parse_all, (void *)(uintptr_t)DRIFT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_event_starts_one_job, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cooldown_and_open_job_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_retraining_does_not_cure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_verdicts_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_clock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_person_fires, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_disabled_one_does_not_fire, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_an_old_event_does_not_fire_a_trigger_that_is_enabled_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replacing_keeps_what_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_project_can_still_change_a_trigger, setup,
                                        teardown),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_durations_are_told_in_the_largest_unit),
        cmocka_unit_test(test_torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
