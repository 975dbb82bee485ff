/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"
#include "flow/job.h"
#include "flow/records.h"
#include "store/events.h"
#include "store/verdicts.h"
#include "unit.h"

#define NOON INT64_C(1795780800000000)

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

enum act { ADD, GET, CLAIM, PROCESS, RENEW, TELL, LOST, CANCEL, DECIDED, LOOK, REQUEST, DECIDE };

struct call {
    enum act act;
    struct gy_job in, job;
    struct gy_str id;
    int64_t attempt;
    struct gy_job_news news;
    const char *actor, *reason;
    bool flag;
    char text[GY_UUID_TEXT];
};

static gy_status act(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    const struct gy_approval a = {
        .model_digest = GY_STR("d"), .gate = GY_STR("sepsis"), .requested_by = GY_STR("gyre")};
    switch (c->act) {
    case ADD:
        return gy_job_add(db, &c->in, NOON, &c->flag, c->text, err);
    case GET:
        return gy_job_get(db, c->id, &g_arena, &c->job, err);
    case CLAIM:
        return gy_job_claim(db, c->id, NOON, &c->attempt, err);
    case PROCESS:
        return gy_job_set_process(db, c->id, c->attempt, 42, 4711, err);
    case RENEW:
        return gy_job_renew(db, c->id, c->attempt, NOON + 5, err);
    case TELL:
        return gy_job_tell(db, c->id, c->attempt, &c->news, NOON, err);
    case LOST:
        return gy_job_lost(db, c->id, c->attempt, GY_STR("gone"), NOON, &c->flag, err);
    case CANCEL:
        return gy_job_cancel(db, c->id, gy_str_c(c->actor), gy_str_c(c->reason), NOON, err);
    case DECIDED:
        return gy_job_is_decided(db, &c->job, &c->flag, err);
    case LOOK:
        return gy_job_look_at_approval(db, c->id, NOON, &c->flag, err);
    case REQUEST:
        return gy_approval_request(db, &a, c->text, err);
    case DECIDE:
        return gy_approval_decide(db, c->id, c->flag, GY_STR("ann"), GY_STR("looked at it"), err);
    }
    return GY_OK;
}

static gy_status run(struct call *c, enum act what, struct gy_err *err)
{
    c->act = what;
    return gy_store_write(g_store, act, c, err);
}

static void must(struct call *c, enum act what)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, run(c, what, &err), err);
}

static struct call add(const char *trigger, const char *key)
{
    struct call c = {.in = {.trigger_id = gy_str_c(trigger),
                            .trigger = GY_STR("drift"),
                            .project = GY_STR("sepsis"),
                            .folder = GY_STR("/p"),
                            .spec = GY_STR("{}"),
                            .dedupe_key = gy_str_c(key),
                            .state = GY_STR("queued"),
                            .event_seq = 7,
                            .actor = GY_STR("gyre")}};
    must(&c, ADD);
    c.id = gy_arena_str(&g_arena, gy_str_c(c.text));
    return c;
}

static struct gy_str state_of(struct call *c)
{
    must(c, GET);
    return c->job.state;
}

static void test_an_event_makes_one_row(void **state)
{
    (void)state;
    struct call first = add("t", "t/7");
    assert_true(first.flag);
    struct call again = add("t", "t/7");
    assert_false(again.flag);
    assert_true(gy_str_eq(first.id, again.id));
    struct call other = add("t", "t/8"); /* one open job a trigger */
    assert_false(other.flag);
    struct call third = add("u", "u/8");
    assert_true(third.flag);
    first.actor = "ann";
    must(&first, CANCEL);
    assert_str(state_of(&first), "cancelled");
    struct call now = add("t", "t/9");
    assert_true(now.flag);
    assert_false(add("t", "t/7").flag); /* never again for that event */
}

static void test_only_the_newest_attempt_is_heard(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    struct call c = add("t", "k");
    must(&c, CLAIM);
    assert_int_equal(c.attempt, 1);
    assert_int_equal(run(&c, CLAIM, &err), GY_E_CONFLICT);
    must(&c, PROCESS);
    must(&c, RENEW);
    must(&c, GET);
    assert_int_equal(c.job.pid, 42);
    assert_int_equal(c.job.pid_start, 4711);
    assert_int_equal(c.job.lease_until_us, NOON + 5 + GY_JOB_LEASE_S * INT64_C(1000000));
    c.news = (struct gy_job_news){.state = GY_STR("running"),
                                  .step = GY_STR("gate"),
                                  .model = GY_STR("sepsis"),
                                  .version = 3};
    must(&c, TELL);
    must(&c, LOST);
    assert_true(c.flag);
    must(&c, GET);
    assert_str(c.job.state, "queued");
    assert_str(c.job.step, "gate"); /* there it goes on */
    assert_int_equal(c.job.version, 3);
    assert_int_equal(c.job.pid, 0);
    must(&c, CLAIM);
    assert_int_equal(c.attempt, 2);
    c.attempt = 1; /* the first one wakes up */
    c.news = (struct gy_job_news){.state = GY_STR("failed"), .step = GY_STR("gate")};
    assert_int_equal(run(&c, TELL, &err), GY_E_CONFLICT);
    assert_int_equal(run(&c, RENEW, &err), GY_E_CONFLICT);
    must(&c, LOST); /* and nothing is lost with it */
    assert_false(c.flag);
    assert_str(state_of(&c), "running");
    c.attempt = 2;
    c.news = (struct gy_job_news){
        .state = GY_STR("done"), .step = GY_STR("end"), .run_id = GY_STR("r1"), .revision = 4};
    must(&c, TELL);
    must(&c, TELL); /* told twice is told once */
    must(&c, GET);
    assert_str(c.job.state, "done");
    assert_str(c.job.model, "sepsis"); /* what was told before stays */
    assert_int_equal(c.job.revision, 4);
    assert_true(c.job.ended_us > 0 && !gy_job_is_open(&c.job));
    c.news.state = GY_STR("failed");
    assert_int_equal(run(&c, TELL, &err), GY_E_CONFLICT);
    c.news.state = GY_STR("dancing");
    assert_int_equal(run(&c, TELL, &err), GY_E_INVALID);
    c.id = GY_STR("nope");
    assert_int_equal(run(&c, GET, &err), GY_E_NOTFOUND);
}

static gy_status start_run(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    const struct gy_flow_run_record r = {
        .project = GY_STR("sepsis"), .job = c->id, .actor = GY_STR("gyre")};
    return gy_flow_record_start(db, &r, c->text, err);
}

static gy_status run_status(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    struct gy_flow_run_record r;
    GY_TRY(gy_flow_record_get(db, gy_str_c(c->text), &g_arena, &c->flag, &r, err));
    c->job.state = r.status;
    return GY_OK;
}

static void test_three_processes_may_die(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    struct call c = add("t", "k");
    for (int i = 1; i <= GY_JOB_MAX_ATTEMPTS; i++) {
        must(&c, CLAIM);
        assert_int_equal(c.attempt, i);
        assert_status(GY_OK, gy_store_write(g_store, start_run, &c, &err), err);
        must(&c, LOST);
        assert_int_equal(c.flag, i < GY_JOB_MAX_ATTEMPTS);
        assert_status(GY_OK, gy_store_read(g_store, run_status, &c, &err), err);
        assert_str(c.job.state, "cancelled"); /* no pipeline run counts as running */
    }
    must(&c, GET);
    assert_str(c.job.state, "failed");
    assert_str(c.job.error, "gone");
}

static void test_cancelling(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    struct call c = add("t", "k");
    must(&c, CLAIM);
    c.actor = "anonymous";
    assert_int_equal(run(&c, CANCEL, &err), GY_E_UNAUTHENTICATED);
    c.actor = "ann";
    c.reason = "not today";
    must(&c, CANCEL);
    must(&c, GET);
    assert_str(c.job.state, "running"); /* until its process has ended */
    assert_true(c.job.cancel_asked);
    must(&c, LOST);
    assert_false(c.flag); /* not again */
    must(&c, GET);
    assert_str(c.job.state, "cancelled");
    assert_str(c.job.error, "cancelled by ann: not today");
    assert_int_equal(run(&c, CANCEL, &err), GY_E_CONFLICT);
}

/* Asked to end, it was just about to wait for a person. */
static void test_a_cancelled_job_does_not_wait_for_an_approval(void **state)
{
    (void)state;
    struct call c = add("t", "k");
    must(&c, CLAIM);
    c.actor = "ann";
    c.reason = "not today";
    must(&c, CANCEL);
    c.news = (struct gy_job_news){.state = GY_STR("waiting_approval"), .step = GY_STR("approval")};
    must(&c, TELL);
    must(&c, GET);
    assert_str(c.job.state, "cancelled");
    assert_str(c.job.error, "cancelled by ann: not today");
}

static void wait_for_approval(struct call *c)
{
    struct call asked = {0};
    must(&asked, REQUEST);
    must(c, CLAIM);
    c->news = (struct gy_job_news){.state = GY_STR("waiting_approval"),
                                   .step = GY_STR("approval"),
                                   .approval = gy_arena_str(&g_arena, gy_str_c(asked.text))};
    must(c, TELL);
    must(c, GET);
    must(c, DECIDED);
    assert_false(c->flag);
    must(c, LOOK);
    assert_false(c->flag);
}

static void decide(struct call *c, bool approve)
{
    struct call d = {.id = c->job.approval, .flag = approve};
    must(&d, DECIDE);
    must(c, DECIDED);
    assert_true(c->flag);
    must(c, LOOK);
    assert_true(c->flag);
    must(c, GET);
}

static void test_an_approval_lets_it_go_on(void **state)
{
    (void)state;
    struct call c = add("t", "k");
    wait_for_approval(&c);
    decide(&c, true);
    assert_str(c.job.state, "queued");
    assert_str(c.job.step, "deploy");
    must(&c, CLAIM);
    assert_int_equal(c.attempt, 2);
    struct call no = add("u", "l");
    wait_for_approval(&no);
    decide(&no, false);
    assert_str(no.job.state, "refused");
    assert_str(no.job.error, "rejected by ann: looked at it");
}

static void test_news_from_outside(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"state\":1}", "{\"error\":[]}", "{\"model\":{}}"};
    struct gy_err err = GY_ERR_INIT;
    struct gy_job_news n;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    assert_status(
        GY_OK,
        gy_json_parse(GY_STR("{\"state\":\"done\",\"step\":null,\"version\":3}"), &doc, &err), err);
    assert_status(GY_OK, gy_job_news_read(yyjson_doc_get_root(doc), &n, &err), err);
    assert_str(n.state, "done");
    assert_int_equal(n.step.n, 0);
    assert_int_equal(n.version, 3);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        gy_json_free(doc);
        doc = NULL;
        assert_status(GY_OK, gy_json_parse(gy_str_c(bad[i]), &doc, &err), err);
        assert_int_equal(gy_job_news_read(yyjson_doc_get_root(doc), &n, &err), GY_E_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_event_makes_one_row, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_the_newest_attempt_is_heard, setup, teardown),
        cmocka_unit_test_setup_teardown(test_three_processes_may_die, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelling, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_cancelled_job_does_not_wait_for_an_approval, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_an_approval_lets_it_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_news_from_outside, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
