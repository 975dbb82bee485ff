/* SPDX-License-Identifier: Apache-2.0 */
/* The way to models that are not asked on a loop: every caller gets the answers to its own rows,
 * whoever else's rows went along; bounds, deadlines, settings. */
#include "unit.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/time.h"
#include "package.h"
#include "serve/lane.h"

static char root[] = "/tmp/gyre-lane-XXXXXX";
static struct gy_predictor *g_model; /* HR + Resp + Temp */

static int setup(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH];
    char digest[GY_SHA256_HEX];
    if (!mkdtemp(root)) {
        return -1;
    }
    package_make(root, "sum", MODEL_SUM, dir, digest);
    return gy_predictor_load(dir, &g_model, NULL) == GY_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    gy_predictor_free(g_model);
    return gy_dir_remove(root, NULL) == GY_OK ? 0 : -1;
}

static struct gy_lane *lane(const struct gy_lane_options *o)
{
    struct gy_lane *l = NULL;
    assert_int_equal(gy_lane_new(g_model, o, &l, NULL), GY_OK);
    return l;
}

/* ---- batching: many callers, rows that nobody else has ---- */

enum { THREADS = 16, ROUNDS = 300, MOST = 9 };

struct caller {
    struct gy_lane *lane;
    int number;
    _Atomic int *wrong;
};

static void *call(void *arg)
{
    const struct caller *c = arg;
    double cells[MOST * 3], out[MOST];
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = 1 + (size_t)(round * 7 + c->number) % MOST;
        for (size_t i = 0; i < n; i++) {
            cells[i * 3] = c->number * 1e6;
            cells[i * 3 + 1] = round * 10;
            cells[i * 3 + 2] = (double)i;
            out[i] = NAN;
        }
        gy_status status = gy_lane_run(c->lane, cells, n, out, 0, NULL);
        for (size_t i = 0; i < n; i++) {
            double want = c->number * 1e6 + round * 10 + (double)i;
            atomic_fetch_add(c->wrong, status != GY_OK || out[i] != want);
        }
    }
    return NULL;
}

static void hammer(const struct gy_lane_options *o, struct gy_lane_stats *ret)
{
    struct gy_lane *l = lane(o);
    pthread_t threads[THREADS];
    struct caller callers[THREADS];
    _Atomic int wrong = 0;
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){l, i + 1, &wrong};
        assert_int_equal(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    gy_lane_get_stats(l, ret);
    gy_lane_free(l);
    assert_int_equal(wrong, 0);
    assert_int_equal(ret->inside, 0);
    assert_int_equal(ret->running, 0);
    assert_int_equal(ret->refused + ret->timed_out, 0);
}

static void everybody_gets_the_answers_to_its_own_rows(void **state)
{
    (void)state;
    struct gy_lane_stats s;
    uint64_t rows = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int k = 1; k <= THREADS; k++) {
            rows += 1 + (uint64_t)(round * 7 + k) % MOST;
        }
    }
    hammer(&(struct gy_lane_options){.max_concurrent = 2, .max_rows = 64, .max_delay_us = 300}, &s);
    assert_int_equal(s.rows, rows);
    assert_true(s.joined > 0 && s.calls < THREADS * ROUNDS);
    /* batches that are mostly too small for what comes: requests of more rows go alone */
    hammer(&(struct gy_lane_options){.max_concurrent = 1, .max_rows = 8, .max_delay_us = 100}, &s);
    assert_int_equal(s.rows, rows);
    /* no delay: what gathers while a call is under way */
    hammer(&(struct gy_lane_options){.max_concurrent = 1, .max_rows = 1024}, &s);
    assert_int_equal(s.rows, rows);
    /* no batching */
    hammer(&(struct gy_lane_options){.max_concurrent = 3}, &s);
    assert_int_equal(s.calls, THREADS * ROUNDS);
    assert_int_equal(s.joined, 0);
}

static void a_lone_request_waits_no_longer_than_the_delay(void **state)
{
    (void)state;
    struct gy_lane *l = lane(&(struct gy_lane_options){.max_rows = 100, .max_delay_us = 20000});
    double cells[3] = {1, 2, 3}, out;
    int64_t start = gy_mono_ns();
    assert_int_equal(gy_lane_run(l, cells, 1, &out, 0, NULL), GY_OK);
    int64_t took = gy_mono_ns() - start;
    assert_true(out == 6);
    assert_true(took >= 20000000);
    gy_lane_free(l);
}

/* One whose deadline is shorter than the delay leaves; who joined it is answered. */
static void who_leaves_takes_nobody_along(void **state)
{
    (void)state;
    struct gy_lane *l = lane(&(struct gy_lane_options){.max_rows = 100, .max_delay_us = 300000});
    double cells[3] = {1, 2, 3}, out = NAN;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_lane_run(l, cells, 1, &out, gy_mono_ns() + 5000000, &err), GY_E_TIMEOUT);
    assert_non_null(strstr(err.msg, "the deadline of the request passed"));
    assert_true(isnan(out));
    struct gy_lane_stats s;
    gy_lane_get_stats(l, &s);
    assert_int_equal(s.timed_out, 1);
    assert_int_equal(s.inside, 0);
    assert_int_equal(gy_lane_run(l, cells, 1, &out, 0, NULL), GY_OK);
    assert_true(out == 6);
    gy_lane_free(l);
}

struct late {
    struct gy_lane *lane;
    int64_t deadline_ns;
    gy_status status;
    double out;
};

static void *call_late(void *arg)
{
    struct late *c = arg;
    double cells[3] = {1, 2, 3};
    c->status = gy_lane_run(c->lane, cells, 1, &c->out, c->deadline_ns, NULL);
    return NULL;
}

/* A batch that is due when the time of one of it has passed: its rows are not asked for, even where
 * it could not leave by itself. */
static void rows_that_nobody_waits_for_are_not_asked(void **state)
{
    (void)state;
    const struct gy_lane_options o = {.max_rows = 100, .max_delay_us = 150000};
    struct gy_lane *l = lane(&o);
    struct gy_lane_stats s;
    struct late calls[2] = {{.lane = l, .deadline_ns = 0, .out = NAN}, {.lane = l, .out = NAN}};
    pthread_t threads[2];
    assert_int_equal(pthread_create(&threads[0], NULL, call_late, &calls[0]), 0);
    do { /* it may have its answer before we look again */
        gy_lane_get_stats(l, &s);
    } while (s.inside < 1 && s.calls < 1);
    calls[1].deadline_ns = gy_mono_ns() + 1;
    assert_int_equal(pthread_create(&threads[1], NULL, call_late, &calls[1]), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    gy_lane_get_stats(l, &s);
    assert_int_equal(calls[0].status, GY_OK);
    assert_true(calls[0].out == 6);
    assert_int_equal(calls[1].status, GY_E_TIMEOUT);
    assert_true(isnan(calls[1].out));
    assert_int_equal(s.rows, 1);
    assert_int_equal(s.timed_out, 1);
    gy_lane_free(l);
}

static void *call_once(void *arg)
{
    struct gy_lane *l = arg;
    double cells[3] = {1, 2, 3}, out = 0;
    return gy_lane_run(l, cells, 1, &out, 0, NULL) == GY_OK && out == 6 ? NULL : arg;
}

static void too_many_are_refused(void **state)
{
    (void)state;
    const struct gy_lane_options o = {
        .max_concurrent = 1, .max_waiting = 1, .max_rows = 100, .max_delay_us = 200000};
    struct gy_lane *l = lane(&o);
    struct gy_lane_stats s;
    struct gy_err err = GY_ERR_INIT;
    pthread_t threads[2];
    double cells[3] = {1, 2, 3}, out;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_once, l), 0);
    }
    do {
        gy_lane_get_stats(l, &s);
    } while (s.inside < 2);
    assert_int_equal(gy_lane_run(l, cells, 1, &out, 0, &err), GY_E_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "2 requests wait"));
    for (int i = 0; i < 2; i++) {
        void *wrong = l;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    gy_lane_free(l);
}

static gy_status read_settings(const char *runtime, const char *batching,
                               struct gy_lane_options *ret, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *a = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *b = NULL;
    assert_int_equal(gy_json_parse(gy_str_c(runtime), &a, NULL), GY_OK);
    assert_int_equal(gy_json_parse(gy_str_c(batching), &b, NULL), GY_OK);
    return gy_lane_read(yyjson_doc_get_root(a), yyjson_doc_get_root(b), ret, err);
}

static void settings_are_checked(void **state)
{
    (void)state;
    struct gy_lane_options o;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(read_settings("{\"timeout_ms\":250,\"max_concurrent\":3,\"max_waiting\":4}",
                                   "{\"max_rows\":32,\"max_delay_us\":100}", &o, &err),
                     GY_OK);
    assert_int_equal(o.timeout_ms, 250);
    assert_int_equal(o.max_concurrent, 3);
    assert_int_equal(o.max_waiting, 4);
    assert_int_equal(o.max_rows, 32);
    assert_int_equal(o.max_delay_us, 100);
    static const char *const bad[][3] = {
        {"{\"timeout_ms\":0}", "{}", "timeout_ms"},
        {"{\"timeout_ms\":\"2s\"}", "{}", "timeout_ms"},
        {"{\"max_concurrent\":65}", "{}", "max_concurrent"},
        {"{\"workers\":1}", "{}", "'runtime' has no setting 'workers'"},
        {"{}", "{\"max_rows\":1}", "max_rows"},
        {"{}", "{\"max_delay_us\":-1}", "max_delay_us"},
        {"{}", "{\"rows\":1}", "'batching' has no setting 'rows'"},
        {"{}", "[]", "'batching' must be a mapping"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(read_settings(bad[i][0], bad[i][1], &o, &err), GY_E_INVALID);
        assert_non_null(strstr(err.msg, bad[i][2]));
    }
}

/* Microseconds are not worth waiting for: the setting is taken, and no lane made. */
static void a_fast_model_is_not_batched(void **state)
{
    (void)state;
    struct gy_endpoint *e =
        endpoint_make(root, "fast", 1, MODEL_SUM, "{\"batching\":{\"max_rows\":32}}");
    assert_true(e->model->row_ns < GY_LANE_PAYS_NS);
    assert_null(e->lane);
    assert_false(e->waits);
    gy_endpoint_unref(e);
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(
        endpoint_try(root, "wrong", 1, MODEL_SUM, "{\"batching\":{\"max_rows\":0}}", &e, &err),
        GY_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_gets_the_answers_to_its_own_rows),
        cmocka_unit_test(a_lone_request_waits_no_longer_than_the_delay),
        cmocka_unit_test(who_leaves_takes_nobody_along),
        cmocka_unit_test(rows_that_nobody_waits_for_are_not_asked),
        cmocka_unit_test(too_many_are_refused),
        cmocka_unit_test(settings_are_checked),
        cmocka_unit_test(a_fast_model_is_not_batched),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
