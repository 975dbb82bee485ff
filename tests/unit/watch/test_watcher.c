/* SPDX-License-Identifier: Apache-2.0 */
/* The watcher: each row in one window, once, whatever ends the server; what windows say becomes
 * events and alerts; consumers may be full, slow or broken. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/id.h"
#include "base/time.h"
#include "store/events.h"
#include "support_join.h"
#include "watch/alerts.h"
#include "watch/watcher.h"

/* ---- a way to judge that remembers its rows ---- */

struct listed {
    double values[1000];
    size_t n;
};

struct judge {
    int fail_in; /* > 0: the how-manieth judging fails */
    int open;    /* windows that are open */
};

static gy_status list_open(void *self, const struct gy_window_scope *scope, void **ret,
                           struct gy_err *err)
{
    struct judge *j = self;
    *ret = gy_calloc(1, sizeof(struct listed));
    assert_true(scope->settings->window_rows <= 1000);
    assert_int_equal(scope->shape->n_inputs, 1);
    j->open++;
    return *ret ? GY_OK : gy_err_set(err, GY_E_NOMEM, "a list");
}

static gy_status list_rows(void *self, void *window, const struct gy_shape *shape,
                           const struct gy_record *r, uint32_t from, uint32_t n, struct gy_err *err)
{
    (void)self;
    (void)err;
    struct listed *l = window;
    assert_int_equal(shape->n_inputs, r->n_inputs);
    for (uint32_t i = from; i < from + n; i++) {
        assert_true(l->n < 1000);
        l->values[l->n++] = r->inputs[i];
    }
    return GY_OK;
}

/* Above a million: a sensor gone wrong; above 100,000 another population. */
static gy_status list_judge(void *self, void *window, const struct gy_window_scope *scope,
                            struct gy_arena *a, struct gy_window_verdict *ret, struct gy_err *err)
{
    struct judge *j = self;
    struct listed *l = window;
    if (j->fail_in > 0 && --j->fail_in == 0) {
        return gy_err_set(err, GY_E_NOMEM, "no memory to judge");
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &b);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "rule_rows", (int64_t)scope->rule_rows);
    gy_jw_kv_i64(&w, "rule_hits", (int64_t)scope->rule_hits);
    gy_jw_kv_i64(&w, "window_rule_rows", (int64_t)scope->window_rule_rows);
    gy_jw_kv_i64(&w, "window_rule_hits", (int64_t)scope->window_rule_hits);
    gy_jw_kv_str(&w, "held_against", scope->reference);
    gy_jw_kv_i64(&w, "drift_since_us", scope->drift_since_us);
    gy_jw_key(&w, "values");
    gy_jw_arr(&w);
    for (size_t i = 0; i < l->n; i++) {
        gy_jw_f64(&w, l->values[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    ret->result = gy_arena_str(a, gy_buf_str(&b));
    ret->drift = l->values[0] > 1e5;
    ret->sensor = l->values[0] > 1e6;
    ret->told = ret->drift;
    ret->share = ret->drift ? 1 : 0;
    if (ret->drift) {
        ret->cause = ret->sensor ? GY_STR("sensor") : GY_STR("population");
        ret->reason = GY_STR("it moved");
        ret->features = GY_STR("[\"HR\"]");
    }
    if (ret->sensor) {
        ret->feature = GY_STR("HR");
        ret->offset = 12.5;
    }
    if (!scope->reference.p) {
        ret->reference = GY_STR("{\"mean\":7}");
    }
    return GY_OK;
}

static void list_close(void *self, void *window)
{
    ((struct judge *)self)->open--;
    gy_free(window);
}

static const struct gy_window_ops list_ops = {1,         "list",     list_open,
                                              list_rows, list_judge, list_close};

/* ---- a server around it ---- */

struct fixture {
    struct scratch *scratch;
    struct gy_shapes *shapes;
    struct gy_predlog *log;
    struct gy_watcher *watcher;
    struct judge judge;
    struct gy_uuid_gen gen;
    char dir[96], rings[96];
    struct gy_watcher_options o;
    double next; /* value of the next row: each has its own */
};

static struct gy_err err;

static gy_status put_config(struct gy_db *db, void *ctx, struct gy_err *e)
{
    char sections[128];
    (void)snprintf(sections, sizeof sections, "{\"watch\":{\"window\":{\"rows\":%d}}}",
                   *(int *)ctx);
    const struct gy_watch_config c = {.project = GY_STR("sepsis"),
                                      .endpoints = GY_STR("[\"sepsis\"]"),
                                      .sections = gy_str_c(sections),
                                      .actor = GY_STR("alice")};
    return gy_watch_config_put(db, &c, e);
}

static void open_log(struct fixture *f)
{
    const struct gy_predlog_options o = {.dir = f->dir,
                                         .ring_dir = f->rings,
                                         .n_loops = 2,
                                         .ring_bytes = 64 * GY_KIB,
                                         .segment_bytes = 16 * GY_KIB,
                                         .sync_ms = 50};
    assert_status(GY_OK, gy_predlog_open(&o, &f->log, &err), err);
}

static void open_watcher(struct fixture *f)
{
    f->o.store = f->scratch->store;
    f->o.shapes = f->shapes;
    f->o.log_dir = f->dir;
    f->o.live = f->log;
    f->o.ops = &list_ops;
    f->o.ops_self = &f->judge;
    assert_status(GY_OK, gy_watcher_new(&f->o, &f->watcher, &err), err);
}

static void make_fixture(struct fixture *f, int rows)
{
    f->scratch = scratch_new();
    scratch_open(f->scratch);
    scratch_write(f->scratch, add_endpoints, NULL);
    scratch_write(f->scratch, put_config, &rows);
    (void)snprintf(f->dir, sizeof f->dir, "%s/log", f->scratch->dir);
    (void)snprintf(f->rings, sizeof f->rings, "%s/shm", f->scratch->dir);
    assert_int_equal(gy_dir_make(f->rings, NULL), GY_OK);
    assert_int_equal(gy_uuid_gen_init(&f->gen, NULL), GY_OK);
    assert_status(GY_OK, gy_shapes_new(f->scratch->store, &f->shapes, &err), err);
}

static int setup(void **state)
{
    static struct fixture one;
    struct fixture *f = &one;
    *f = (struct fixture){0};
    make_fixture(f, 50);
    open_log(f);
    open_watcher(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gy_watcher_stop(f->watcher);
    assert_int_equal(f->judge.open, 0);
    gy_predlog_close(f->log);
    gy_shapes_free(f->shapes);
    scratch_free(f->scratch);
    return 0;
}

/* A record of n rows, whose values go up by one a row. */
static void append(struct fixture *f, int loop, const char *version, uint32_t n, bool hit)
{
    static double inputs[2000];
    static double outputs[4000];
    static struct gy_rule_outcome rules[2000];
    assert_true(n <= 2000);
    for (uint32_t i = 0; i < n; i++) {
        inputs[i] = f->next++;
        outputs[2 * i] = 1;
        outputs[2 * i + 1] = 0.5;
        rules[i] = hit ? rule_hit : no_rule;
    }
    struct gy_record r = {.time_us = gy_now_us(),
                          .revision = 1,
                          .n_rows = n,
                          .total_rows = n,
                          .status = 200,
                          .n_inputs = 1,
                          .n_outputs = 2,
                          .endpoint = GY_STR("sepsis"),
                          .model_version = gy_str_c(version),
                          .request_id = GY_STR(""),
                          .inputs = inputs,
                          .outputs = outputs,
                          .rules = rules};
    gy_uuid7(&f->gen, r.id);
    while (!gy_predlog_append(f->log, loop, &r)) {
        assert_int_equal(gy_predlog_flush(f->log, false, NULL), GY_OK);
    }
}

static void look(struct fixture *f)
{
    assert_int_equal(gy_predlog_flush(f->log, false, NULL), GY_OK);
    assert_status(GY_OK, gy_watcher_tick(f->watcher, &err), err);
}

static void restart(struct fixture *f)
{
    gy_watcher_stop(f->watcher);
    f->watcher = NULL;
    open_watcher(f);
}

struct windows {
    struct gy_arena a;
    struct gy_window_row *rows;
    size_t n;
};

static gy_status list_windows(struct gy_db *db, void *ctx, struct gy_err *e)
{
    struct windows *w = ctx;
    return gy_window_list(db, GY_STR("sepsis"), GY_STR_NULL, 10000, &w->a, &w->rows, &w->n, e);
}

/* All windows; each value below `values` is in exactly one of them, but `waiting` of them. */
static void must_hold(struct fixture *f, struct windows *w, size_t rows, size_t values,
                      size_t waiting)
{
    GY_AUTO(gy_free) char *seen = gy_calloc(values + 1, 1);
    gy_arena_init(&w->a, 256 * GY_MIB);
    scratch_read(f->scratch, list_windows, w);
    size_t sum = 0;
    for (size_t i = 0; i < w->n; i++) {
        yyjson_doc *doc = NULL;
        assert_int_equal(w->rows[i].number, (int64_t)(w->n - i)); /* newest first, none missing */
        assert_status(GY_OK, gy_json_parse(w->rows[i].result, &doc, &err), err);
        yyjson_val *list = gy_json_get(yyjson_doc_get_root(doc), "values");
        assert_int_equal(yyjson_arr_size(list), w->rows[i].rows);
        assert_int_equal(w->rows[i].rows, rows);
        yyjson_arr_iter it = yyjson_arr_iter_with(list);
        for (yyjson_val *v; (v = yyjson_arr_iter_next(&it)); sum++) {
            size_t at = (size_t)yyjson_get_num(v);
            if (at >= values || seen[at]++) {
                fail_msg("row %zu is in two windows", at);
            }
        }
        gy_json_free(doc);
    }
    assert_int_equal(sum + waiting, values);
}

/* ---- windows ---- */

static void test_each_row_once(void **state)
{
    struct fixture *f = *state;
    struct windows w = {0};
    for (int i = 0; i < 60; i++) {
        append(f, i % 2, "1", 1 + (uint32_t)(i * 7) % 13, false);
        if (i % 11 == 0) {
            look(f);
        }
        if (i % 23 == 0) {
            restart(f);
        }
    }
    append(f, 0, "1", 730, false); /* more than a dozen windows in one record */
    look(f);
    size_t n = (size_t)f->next;
    must_hold(f, &w, 50, n, n % 50);
    gy_arena_done(&w.a);
    for (int i = 0; i < 3; i++) {
        restart(f);
        look(f);
    }
    append(f, 1, "1", 50 - (uint32_t)(n % 50), false);
    look(f);
    must_hold(f, &w, 50, n + 50 - n % 50, 0);
    gy_arena_done(&w.a);
}

static void test_versions_have_their_own(void **state)
{
    struct fixture *f = *state;
    struct windows w = {0};
    for (int i = 0; i < 100; i++) {
        append(f, 0, "1", 1, false);
        append(f, 1, i % 2 ? "2" : "1", 1, false);
        if (i == 77) {
            look(f); /* the window of version 2 is half full */
            restart(f);
        }
    }
    look(f);
    must_hold(f, &w, 50, 200, 0); /* 150 of version 1, 50 of version 2 */
    size_t of_two = 0;
    for (size_t i = 0; i < w.n; i++) {
        of_two += gy_str_eqc(w.rows[i].version, "2");
    }
    assert_int_equal(w.n, 4);
    assert_int_equal(of_two, 1);
    gy_arena_done(&w.a);
}

static void test_a_failure_counts_no_row_twice(void **state)
{
    struct fixture *f = *state;
    struct windows w = {0};
    f->judge.fail_in = 2;
    append(f, 0, "1", 30, false);
    append(f, 0, "1", 150, false);
    assert_int_equal(gy_predlog_flush(f->log, false, NULL), GY_OK);
    assert_int_equal(gy_watcher_tick(f->watcher, NULL), GY_E_NOMEM);
    struct gy_watcher_stats stats;
    gy_watcher_get_stats(f->watcher, &stats);
    assert_int_equal(stats.failures, 1);
    assert_string_equal(stats.failure, "no memory to judge");
    look(f);
    gy_watcher_get_stats(f->watcher, &stats);
    assert_string_equal(stats.failure, "");
    must_hold(f, &w, 50, 180, 30);
    gy_arena_done(&w.a);
}

static void test_what_is_not_to_be_counted(void **state)
{
    struct fixture *f = *state;
    struct windows w = {0};
    double value = 1;
    struct gy_record r = {.revision = 99, /* there is no such revision */
                          .n_rows = 1,
                          .status = 200,
                          .n_inputs = 1,
                          .n_outputs = 1,
                          .endpoint = GY_STR("sepsis"),
                          .model_version = GY_STR("1"),
                          .request_id = GY_STR(""),
                          .inputs = &value,
                          .outputs = &value};
    for (int i = 0; i < 60; i++) {
        gy_uuid7(&f->gen, r.id);
        assert_true(gy_predlog_append(f->log, 0, &r));
    }
    r.revision = 1;
    r.status = 400; /* refused */
    for (int i = 0; i < 60; i++) {
        gy_uuid7(&f->gen, r.id);
        assert_true(gy_predlog_append(f->log, 0, &r));
    }
    look(f);
    must_hold(f, &w, 50, 0, 0);
    gy_arena_done(&w.a);
    struct gy_watcher_stats stats;
    gy_watcher_get_stats(f->watcher, &stats);
    assert_int_equal(stats.records, 120);
    assert_int_equal(stats.unreadable, 60);
}

/* ---- kill -9 ---- */

static void child(struct fixture *f, atomic_uint *rows, uint32_t until)
{
    struct fixture mine = *f;
    scratch_open(mine.scratch);
    if (gy_uuid_gen_init(&mine.gen, NULL) != GY_OK ||
        gy_shapes_new(mine.scratch->store, &mine.shapes, &err) != GY_OK) {
        _exit(1);
    }
    mine.next = atomic_load(rows);
    open_log(&mine);
    open_watcher(&mine);
    struct gy_watcher *ticking = mine.watcher;
    while (mine.next < until) {
        append(&mine, (int)mine.next % 2, "1", 1, false);
        atomic_store(rows, (unsigned)mine.next);
        if ((unsigned)mine.next % 13 == 0 && gy_watcher_tick(ticking, &err) != GY_OK) {
            _exit(2);
        }
    }
    for (;;) {
        if (gy_watcher_tick(ticking, &err) != GY_OK) {
            _exit(2);
        }
    }
}

static void test_kill_9(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct windows w = {0};
    make_fixture(&f, 50);
    gy_shapes_free(f.shapes);
    scratch_close(f.scratch);
    atomic_uint *rows =
        mmap(NULL, sizeof *rows, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(rows != MAP_FAILED);
    for (uint32_t round = 1; round <= 12; round++) {
        uint32_t end = atomic_load(rows) + 200 + round * 31;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            child(&f, rows, end + 1000);
        }
        while (atomic_load(rows) < end) {
            int status;
            assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        /* The row being appended when it was killed may be in without having been counted: the next
         * one would have its number. */
        atomic_fetch_add(rows, 1);
    }
    scratch_open(f.scratch);
    assert_status(GY_OK, gy_shapes_new(f.scratch->store, &f.shapes, &err), err);
    open_log(&f);
    open_watcher(&f);
    look(&f);
    gy_arena_init(&w.a, 256 * GY_MIB);
    scratch_read(f.scratch, list_windows, &w);
    size_t n = w.n;
    gy_arena_done(&w.a);
    struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_window_state *open;
    size_t n_open;
    assert_status(GY_OK, gy_watcher_windows(f.watcher, &a, &open, &n_open, &err), err);
    assert_int_equal(n_open, 1);
    /* At most one number a round was never given. */
    size_t numbers = atomic_load(rows);
    size_t there = n * 50 + (size_t)open[0].rows;
    assert_true(there <= numbers && there + 12 >= numbers);
    must_hold(&f, &w, 50, numbers, numbers - n * 50);
    gy_arena_done(&w.a);
    gy_arena_done(&a);
    gy_watcher_stop(f.watcher);
    gy_predlog_close(f.log);
    gy_shapes_free(f.shapes);
    scratch_free(f.scratch);
    assert_int_equal(munmap(rows, sizeof *rows), 0);
}

/* ---- what windows say ---- */

struct told {
    struct gy_arena a;
    struct gy_event *events;
    struct gy_alert *alerts;
    size_t n, n_alerts;
    const char *prefix;
};

static gy_status read_told(struct gy_db *db, void *ctx, struct gy_err *e)
{
    struct told *t = ctx;
    GY_TRY(gy_event_list(db, 0, t->prefix, 1000, &t->a, &t->events, &t->n, e));
    return gy_alert_list(db, GY_STR("sepsis"), false, 100, &t->a, &t->alerts, &t->n_alerts, e);
}

static struct told told(struct fixture *f, const char *prefix)
{
    struct told t = {.prefix = prefix};
    gy_arena_init(&t.a, 16 * GY_MIB);
    scratch_read(f->scratch, read_told, &t);
    return t;
}

static void test_events_and_alerts(void **state)
{
    struct fixture *f = *state;
    append(f, 0, "1", 100, false);
    look(f);
    struct told t = told(f, "drift.");
    assert_int_equal(t.n, 0);
    assert_int_equal(t.n_alerts, 0);
    gy_arena_done(&t.a);
    f->next = 200000;
    append(f, 0, "1", 100, false); /* two windows of another population: one alert */
    look(f);
    t = told(f, "drift.");
    assert_int_equal(t.n, 2);
    assert_int_equal(t.n_alerts, 1);
    assert_str(t.alerts[0].kind, "drift");
    assert_str(t.alerts[0].subject, "1");
    yyjson_doc *doc = NULL;
    assert_status(GY_OK, gy_json_parse(t.events[0].data, &doc, &err), err);
    yyjson_val *e = yyjson_doc_get_root(doc);
    assert_str(t.events[0].kind, "drift.detected");
    assert_str(t.events[0].subject, "revision:sepsis/1");
    assert_str(gy_json_str(e, "endpoint"), "sepsis");
    assert_str(gy_json_str(e, "cause"), "population");
    assert_str(gy_json_str(e, "on_drift"), "alert");
    assert_int_equal(gy_json_i64(e, "window", 0), 3);
    assert_true(gy_json_bool(e, "dataset_drift", false));
    assert_int_equal(yyjson_arr_size(gy_json_get(e, "features")), 1);
    gy_json_free(doc);
    gy_arena_done(&t.a);
    f->next = 2000000;
    append(f, 0, "1", 50, false); /* a sensor */
    look(f);
    t = told(f, "drift.refused");
    assert_int_equal(t.n, 1);
    assert_int_equal(t.n_alerts, 1); /* in place of the other */
    assert_str(t.alerts[0].kind, "sensor");
    assert_str(t.alerts[0].subject, "HR");
    assert_true(gy_str_find_str(t.alerts[0].text, GY_STR("+12.5")) != SIZE_MAX);
    gy_arena_done(&t.a);
    f->next = 500;
    append(f, 0, "1", 50, false);
    look(f);
    t = told(f, "alert.");
    assert_int_equal(t.n_alerts, 0);
    assert_int_equal(t.n, 4); /* two raised, two cleared */
    gy_arena_done(&t.a);
}

static void test_rule_hits_are_learnt_where_nothing_drifts(void **state)
{
    struct fixture *f = *state;
    f->next = 200000;
    append(f, 0, "1", 50, true); /* drifted: not learnt from */
    f->next = 0;
    append(f, 0, "1", 25, true);
    append(f, 0, "1", 25, false);
    append(f, 0, "1", 50, false);
    look(f);
    restart(f);
    f->next = 300000;
    append(f, 0, "1", 10, true);
    append(f, 0, "1", 40, false);
    look(f);
    struct told t = told(f, "drift.detected");
    assert_int_equal(t.n, 2);
    yyjson_doc *doc = NULL;
    assert_status(GY_OK, gy_json_parse(t.events[0].data, &doc, &err), err);
    yyjson_val *rates = gy_json_get(yyjson_doc_get_root(doc), "rule_hit_rate");
    assert_true(yyjson_is_null(gy_json_get(rates, "reference")));
    assert_true(gy_json_f64(rates, "current", 0) == 1);
    gy_json_free(doc);
    assert_status(GY_OK, gy_json_parse(t.events[1].data, &doc, &err), err);
    rates = gy_json_get(yyjson_doc_get_root(doc), "rule_hit_rate");
    assert_true(gy_json_f64(rates, "reference", 0) == 0.25);
    assert_true(gy_json_f64(rates, "current", 0) == 0.2);
    gy_json_free(doc);
    gy_arena_done(&t.a);
    struct windows w = {0};
    gy_arena_init(&w.a, 16 * GY_MIB);
    scratch_read(f->scratch, list_windows, &w);
    assert_int_equal(w.n, 4);
    assert_true(gy_str_find_str(w.rows[3].result, GY_STR("\"held_against\":null")) != SIZE_MAX);
    assert_true(gy_str_find_str(w.rows[2].result, GY_STR("mean")) != SIZE_MAX);
    assert_true(gy_str_find_str(w.rows[0].result, GY_STR("mean")) != SIZE_MAX);
    gy_arena_done(&w.a);
}

/* Labels of a new population are counted from when it came, by a server that was started since,
 * too. */
static void test_a_run_of_drift_goes_on_after_a_restart(void **state)
{
    struct fixture *f = *state;
    append(f, 0, "1", 50, false);
    f->next = 200000;
    append(f, 0, "1", 50, false);
    append(f, 0, "1", 50, false);
    append(f, 0, "1", 20, false); /* of an open window */
    look(f);
    restart(f);
    f->next = 300000;
    append(f, 0, "1", 30, false);
    f->next = 0;
    append(f, 0, "1", 100, false);
    look(f);
    struct windows w = {0};
    gy_arena_init(&w.a, 16 * GY_MIB);
    scratch_read(f->scratch, list_windows, &w);
    assert_int_equal(w.n, 6);
    int64_t since[6];
    for (size_t i = 0; i < 6; i++) {
        yyjson_doc *doc = NULL;
        assert_status(GY_OK, gy_json_parse(w.rows[i].result, &doc, &err), err);
        since[i] = gy_json_i64(yyjson_doc_get_root(doc), "drift_since_us", -1);
        gy_json_free(doc);
    }
    int64_t began = w.rows[4].from_us; /* newest first: the second one */
    assert_true(since[5] == 0 && since[4] == 0 && since[3] == began);
    assert_int_equal(since[2], began); /* after the restart */
    assert_int_equal(since[1], began);
    assert_int_equal(since[0], 0); /* it was over */
    gy_arena_done(&w.a);
}

/* ---- consumers and hooks ---- */

struct eater {
    size_t gathered, stored, most, times, begun;
    int fail_in;
    unsigned char ids[500][16];
    size_t n_ids;
};

static gy_status eat_begin(void *self, struct gy_err *e)
{
    (void)e;
    ((struct eater *)self)->begun++;
    return GY_OK;
}

static gy_status eat(void *self, const struct gy_record *r, struct gy_err *e)
{
    struct eater *x = self;
    if (x->gathered == 10) {
        return gy_err_set(e, GY_E_BUSY, "full");
    }
    if (x->fail_in > 0 && --x->fail_in == 0) {
        return gy_err_set(e, GY_E_IO, "broken");
    }
    assert_true(x->n_ids < 500);
    memcpy(x->ids[x->n_ids++], r->id, 16);
    x->gathered++;
    x->most = x->gathered > x->most ? x->gathered : x->most;
    return GY_OK;
}

static gy_status eat_store(void *self, struct gy_db *db, struct gy_err *e)
{
    struct eater *x = self;
    x->times++;
    return gy_db_exec(db, "UPDATE alerts SET text='' WHERE id=-1", GY_NO_VALS, NULL, e);
}

static void eat_stored(void *self)
{
    struct eater *x = self;
    x->stored += x->gathered;
    x->gathered = 0;
}

static gy_status bad_hook(void *self, struct gy_watcher *w, bool fresh, struct gy_err *e)
{
    (void)w;
    (void)fresh;
    ++*(int *)self;
    return gy_err_set(e, GY_E_FAILED, "a hook that fails");
}

static void test_consumers(void **state)
{
    struct fixture *f = *state;
    struct eater x = {.fail_in = 25};
    int hooked = 0;
    f->o.consumers[0] =
        (struct gy_watch_consumer){"eater", &x, eat_begin, eat, eat_store, eat_stored};
    f->o.n_consumers = 1;
    f->o.hooks[0] = (struct gy_watch_hook){"bad", &hooked, 0, bad_hook};
    f->o.n_hooks = 1;
    restart(f);
    for (int i = 0; i < 120; i++) {
        append(f, i % 2, "1", 1, false);
    }
    assert_int_equal(gy_predlog_flush(f->log, false, NULL), GY_OK);
    assert_int_equal(gy_watcher_tick(f->watcher, NULL), GY_E_IO);
    look(f);
    assert_int_equal(x.begun, 1);
    assert_int_equal(x.stored, 120);
    assert_int_equal(x.gathered, 0);
    assert_int_equal(x.most, 10);
    assert_true(x.times >= 12);
    assert_int_equal(x.n_ids, 120);
    for (size_t i = 0; i < 120; i++) {
        for (size_t k = 0; k < i; k++) {
            assert_memory_not_equal(x.ids[i], x.ids[k], 16);
        }
    }
    assert_int_equal(hooked, 2);
    struct windows w = {0};
    must_hold(f, &w, 50, 120, 20);
    gy_arena_done(&w.a);
    f->o.n_consumers = f->o.n_hooks = 0;
}

/* ---- the thread ---- */

static void test_thread(void **state)
{
    struct fixture *f = *state;
    struct windows w = {0};
    gy_watcher_stop(f->watcher);
    f->o.tick_ms = 5;
    assert_status(GY_OK, gy_watcher_start(&f->o, &f->watcher, &err), err);
    for (int i = 0; i < 40; i++) {
        append(f, i % 2, "1", 20, false);
        if (i % 8 == 0) {
            gy_watcher_wake(f->watcher);
        }
        if (i % 10 == 9) {
            assert_status(GY_OK, gy_watcher_catch_up(f->watcher, &err), err);
            must_hold(f, &w, 50, (size_t)f->next, (size_t)f->next % 50);
            gy_arena_done(&w.a);
        }
    }
    int rows = 100; /* a change counts from the next window on */
    scratch_write(f->scratch, put_config, &rows);
    gy_watcher_reload(f->watcher);
    append(f, 0, "1", 199, false);
    assert_status(GY_OK, gy_watcher_catch_up(f->watcher, &err), err);
    assert_int_equal(scratch_int(f->scratch, "SELECT COUNT(*) FROM drift_windows"), 17);
    assert_int_equal(scratch_int(f->scratch, "SELECT MAX(n_rows) FROM drift_windows"), 100);
    struct gy_watcher_stats stats;
    gy_watcher_get_stats(f->watcher, &stats);
    assert_true(stats.begun && stats.last_success_us > 0 && stats.failures == 0);
    assert_int_equal(stats.windows, 17);
    assert_int_equal(stats.records, 41);
    assert_int_equal(gy_watcher_catch_up(NULL, NULL), GY_E_UNAVAILABLE);
}

static gy_status undeploy(struct gy_db *db, void *ctx, struct gy_err *e)
{
    (void)ctx;
    return gy_revision_undeploy(db, GY_STR("sepsis"), GY_STR("alice"), e);
}

static void test_retired_versions_are_given_up(void **state)
{
    struct fixture *f = *state;
    struct windows w = {0};
    append(f, 0, "1", 20, false);
    look(f);
    struct gy_windows *windows = gy_watcher_open_windows(f->watcher);
    assert_status(GY_OK, gy_windows_retire(windows, &err), err);
    assert_int_equal(gy_windows_count(windows), 1); /* served, and rows came just now */
    scratch_write(f->scratch, undeploy, NULL);
    assert_status(GY_OK, gy_windows_retire(windows, &err), err);
    assert_int_equal(gy_windows_count(windows), 1);
    assert_int_equal(
        scratch_int(f->scratch, "SELECT COUNT(*) FROM watch_cursors WHERE name <> 'log'"), 1);
    must_hold(f, &w, 50, 20, 20);
    gy_arena_done(&w.a);
}

/* ---- what is kept ---- */

static gy_status latest_windows(struct gy_db *db, void *ctx, struct gy_err *e)
{
    struct windows *w = ctx;
    return gy_window_latest(db, GY_STR_NULL, &w->a, &w->rows, &w->n, e);
}

/* Of an endpoint that has been watched for long, beside another. */
static gy_status many_windows(struct gy_db *db, void *ctx, struct gy_err *e)
{
    (void)ctx;
    return gy_db_exec(
        db,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO "
        "drift_windows (endpoint, number, revision, version, n_rows, from_us, to_us, "
        "dataset_drift, result, actor, created_us) SELECT CASE WHEN i <= 5 THEN 'other' ELSE "
        "'sepsis' END, CASE WHEN i <= 5 THEN i ELSE i - 5 END, 1, 'v' || (i / 100), 50, 1, 2, 0, "
        "'{}', 'gyre', 3 FROM n",
        GY_VALS(gy_vi(GY_WINDOWS_KEPT + 9)), NULL, e);
}

static void test_old_windows_leave(void **state)
{
    struct fixture *f = *state;
    struct windows w = {0};
    scratch_write(f->scratch, many_windows, NULL);
    append(f, 0, "1", 50, false);
    look(f);
    assert_int_equal(
        scratch_int(f->scratch, "SELECT COUNT(*) FROM drift_windows WHERE endpoint='sepsis'"),
        GY_WINDOWS_KEPT);
    assert_int_equal(
        scratch_int(f->scratch, "SELECT MAX(number) FROM drift_windows WHERE endpoint='sepsis'"),
        GY_WINDOWS_KEPT + 5);
    assert_int_equal(
        scratch_int(f->scratch, "SELECT COUNT(*) FROM drift_windows WHERE endpoint='other'"), 5);
    gy_arena_init(&w.a, 64 * GY_MIB);
    scratch_read(f->scratch, latest_windows, &w);
    assert_int_equal(w.n, 1 + GY_WINDOWS_VERSIONS); /* of more than a hundred versions */
    assert_str(w.rows[0].endpoint, "other");
    assert_int_equal(w.rows[0].number, 5);
    assert_str(w.rows[1].version, "1");
    assert_int_equal(w.rows[1].number, GY_WINDOWS_KEPT + 5);
    assert_str(w.rows[2].version, "v100");
    gy_arena_done(&w.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_row_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_versions_have_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_failure_counts_no_row_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_to_be_counted, setup, teardown),
        cmocka_unit_test(test_kill_9),
        cmocka_unit_test_setup_teardown(test_events_and_alerts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rule_hits_are_learnt_where_nothing_drifts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_run_of_drift_goes_on_after_a_restart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_consumers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retired_versions_are_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_windows_leave, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
