/* SPDX-License-Identifier: Apache-2.0 */
/* The search grammar: what it takes, what it refuses and with which words, and the tree it makes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/mem.h"
#include "track/search.h"

#define KIB ((size_t)1024)

static gy_status parse(enum gy_search_kind kind, const char *text, struct gy_arena *a,
                       struct gy_search *ret, struct gy_err *err)
{
    gy_arena_init(a, 4096 * KIB);
    return gy_search_parse(kind, gy_str_c(text), a, ret, err);
}

struct good {
    enum gy_search_kind kind;
    const char *text;
    enum gy_search_entity entity;
    const char *key;
    enum gy_search_op op;
    const char *value; /* text */
    double number;
};

static const struct good good[] = {
    {GY_SEARCH_RUNS, "metric.acc >= 0.94", GY_SEARCH_METRIC, "acc", GY_SEARCH_GE, NULL, 0.94},
    {GY_SEARCH_RUNS, "metric.acc>=100", GY_SEARCH_METRIC, "acc", GY_SEARCH_GE, NULL, 100},
    {GY_SEARCH_RUNS, "metrics.acc < -1", GY_SEARCH_METRIC, "acc", GY_SEARCH_LT, NULL, -1},
    {GY_SEARCH_RUNS, "metrics.loss <= 1e-3", GY_SEARCH_METRIC, "loss", GY_SEARCH_LE, NULL, 1e-3},
    {GY_SEARCH_RUNS, "metrics.\"accuracy.2.0\" > 5", GY_SEARCH_METRIC, "accuracy.2.0", GY_SEARCH_GT,
     NULL, 5},
    {GY_SEARCH_RUNS, "metrics.`spacey name` != 5", GY_SEARCH_METRIC, "spacey name", GY_SEARCH_NE,
     NULL, 5},
    {GY_SEARCH_RUNS, "params.\"p.a.r.a.m\" = \"m.a.s.t.e.r\"", GY_SEARCH_PARAM, "p.a.r.a.m",
     GY_SEARCH_EQ, "m.a.s.t.e.r", 0},
    {GY_SEARCH_RUNS, "params.a.b.c = 'x'", GY_SEARCH_PARAM, "a.b.c", GY_SEARCH_EQ, "x", 0},
    {GY_SEARCH_RUNS, "parameter.m != \"a.b\"", GY_SEARCH_PARAM, "m", GY_SEARCH_NE, "a.b", 0},
    {GY_SEARCH_RUNS, "`parameter`.m = 'x'", GY_SEARCH_PARAM, "m", GY_SEARCH_EQ, "x", 0},
    {GY_SEARCH_RUNS, "params.m = \"it's\"", GY_SEARCH_PARAM, "m", GY_SEARCH_EQ, "it's", 0},
    {GY_SEARCH_RUNS, "params.m = 'say \"hi\"'", GY_SEARCH_PARAM, "m", GY_SEARCH_EQ, "say \"hi\"",
     0},
    {GY_SEARCH_RUNS, "params.m LIKE 'x%'", GY_SEARCH_PARAM, "m", GY_SEARCH_LIKE, "x%", 0},
    {GY_SEARCH_RUNS, "tags.m ilike 'X_'", GY_SEARCH_TAG, "m", GY_SEARCH_ILIKE, "X_", 0},
    {GY_SEARCH_RUNS, "tag.version=\"v 1\"", GY_SEARCH_TAG, "version", GY_SEARCH_EQ, "v 1", 0},
    {GY_SEARCH_RUNS, "tags.`mlflow.source.name` IS NOT NULL", GY_SEARCH_TAG, "mlflow.source.name",
     GY_SEARCH_NOT_NULL, NULL, 0},
    {GY_SEARCH_RUNS, "params.x is null", GY_SEARCH_PARAM, "x", GY_SEARCH_IS_NULL, NULL, 0},
    {GY_SEARCH_RUNS, "status = 'RUNNING'", GY_SEARCH_ATTRIBUTE, "status", GY_SEARCH_EQ, "RUNNING",
     0},
    {GY_SEARCH_RUNS, "attr.start_time > 1664067852747", GY_SEARCH_ATTRIBUTE, "start_time",
     GY_SEARCH_GT, NULL, 1664067852747.0},
    {GY_SEARCH_RUNS, "Created <= 12", GY_SEARCH_ATTRIBUTE, "Created", GY_SEARCH_LE, NULL, 12},
    {GY_SEARCH_RUNS, "attributes.`Run Name` = 'x'", GY_SEARCH_ATTRIBUTE, "Run Name", GY_SEARCH_EQ,
     "x", 0},
    {GY_SEARCH_RUNS, "run.artifact_uri LIKE '%/0/%'", GY_SEARCH_ATTRIBUTE, "artifact_uri",
     GY_SEARCH_LIKE, "%/0/%", 0},
    {GY_SEARCH_RUNS, "params.x = 'a''b'", GY_SEARCH_PARAM, "x", GY_SEARCH_EQ, "a''b", 0},
    {GY_SEARCH_RUNS, "params.x = 'a\\'b'", GY_SEARCH_PARAM, "x", GY_SEARCH_EQ, "a\\'b", 0},
    {GY_SEARCH_RUNS, "params.x = 'a\\'", GY_SEARCH_PARAM, "x", GY_SEARCH_EQ, "a\\", 0},
    {GY_SEARCH_RUNS, "dataset.name = 'iris'", GY_SEARCH_DATASET, "name", GY_SEARCH_EQ, "iris", 0},
    {GY_SEARCH_RUNS, "datasets.context LIKE 'tr%'", GY_SEARCH_DATASET, "context", GY_SEARCH_LIKE,
     "tr%", 0},
    {GY_SEARCH_RUNS, "params.\xc3\xbc = '\xe2\x82\xac'", GY_SEARCH_PARAM, "\xc3\xbc", GY_SEARCH_EQ,
     "\xe2\x82\xac", 0},
    {GY_SEARCH_EXPERIMENTS, "name ILIKE 'a%'", GY_SEARCH_ATTRIBUTE, "name", GY_SEARCH_ILIKE, "a%",
     0},
    {GY_SEARCH_EXPERIMENTS, "attribute.creation_time >= 5", GY_SEARCH_ATTRIBUTE, "creation_time",
     GY_SEARCH_GE, NULL, 5},
    {GY_SEARCH_EXPERIMENTS, "tags.k IS NULL", GY_SEARCH_TAG, "k", GY_SEARCH_IS_NULL, NULL, 0},
    {GY_SEARCH_MODELS, "name LIKE 'sep%'", GY_SEARCH_ATTRIBUTE, "name", GY_SEARCH_LIKE, "sep%", 0},
    {GY_SEARCH_MODELS, "tags.`a b` != 'c'", GY_SEARCH_TAG, "a b", GY_SEARCH_NE, "c", 0},
    {GY_SEARCH_VERSIONS, "version_number > 3", GY_SEARCH_ATTRIBUTE, "version_number", GY_SEARCH_GT,
     NULL, 3},
    {GY_SEARCH_VERSIONS, "source_path = 'models:/m'", GY_SEARCH_ATTRIBUTE, "source_path",
     GY_SEARCH_EQ, "models:/m", 0},
    {GY_SEARCH_LOGGED_MODELS, "metrics.f1 > .5", GY_SEARCH_METRIC, "f1", GY_SEARCH_GT, NULL, .5},
    {GY_SEARCH_LOGGED_MODELS, "name = 'm'", GY_SEARCH_ATTRIBUTE, "name", GY_SEARCH_EQ, "m", 0},
    {GY_SEARCH_LOGGED_MODELS, "creation_timestamp_ms > 9", GY_SEARCH_ATTRIBUTE,
     "creation_timestamp_ms", GY_SEARCH_GT, NULL, 9},
};

static void test_one_clause(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const struct good *g = &good[i];
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        struct gy_search s;
        struct gy_err err = GY_ERR_INIT;
        if (parse(g->kind, g->text, &a, &s, &err) != GY_OK) {
            fail_msg("%s: %s", g->text, err.msg);
        }
        assert_int_equal(s.n, 1);
        const struct gy_search_clause *c = &s.clauses[0];
        if (c->entity != g->entity || c->op != g->op || !gy_str_eqc(c->key, g->key)) {
            fail_msg("%s: parsed as entity %d op %d key %.*s", g->text, c->entity, c->op,
                     (int)c->key.n, c->key.p);
        }
        if (g->value ? !gy_str_eqc(c->text, g->value) : c->number != g->number) {
            fail_msg("%s: value %.*s %g", g->text, (int)c->text.n, c->text.p, c->number);
        }
    }
}

struct bad {
    enum gy_search_kind kind;
    const char *text;
    const char *says; /* part of the message */
};

static const struct bad bad[] = {
    {GY_SEARCH_RUNS, "metric.acc >= 100 OR params.x = 'y'", "Invalid clause(s) in filter string"},
    {GY_SEARCH_RUNS, "not params.x = 'y'", "Invalid clause(s) in filter string"},
    {GY_SEARCH_RUNS, "(params.x = 'y')", "Invalid clause(s) in filter string"},
    {GY_SEARCH_RUNS, "foo", "Invalid clause(s) in filter string"},
    {GY_SEARCH_RUNS, "params.x = 'y',", "Invalid clause(s) in filter string"},
    {GY_SEARCH_RUNS, "params.x LIKE", "Invalid clause(s) in filter string"},
    {GY_SEARCH_RUNS, "params.x = 'open", "Invalid clause(s) in filter string"},
    {GY_SEARCH_RUNS, "params.`open = 'x'", "Invalid clause(s) in filter string"},
    {GY_SEARCH_RUNS, "params.x =", "Invalid clause(s) in filter string"},
    {GY_SEARCH_RUNS, "'x' = params.y", "Expected 'Identifier' found"},
    {GY_SEARCH_RUNS, "5 > metrics.y", "Expected 'Identifier' found"},
    {GY_SEARCH_RUNS, "params.x = 'y'; params.z = 'y'",
     "Search filter contained multiple expression"},
    {GY_SEARCH_RUNS, "m.acc >= 1", "Invalid entity type 'm'"},
    {GY_SEARCH_RUNS, "acc >= 1", "Invalid attribute key 'acc'"},
    {GY_SEARCH_RUNS, "attribute.experiment_id = '1'", "Invalid attribute key 'experiment_id'"},
    {GY_SEARCH_RUNS, "lifecycle_stage = 'active'", "Invalid attribute key 'lifecycle_stage'"},
    {GY_SEARCH_RUNS, "dataset.schema = 'x'", "Invalid dataset key 'schema'"},
    {GY_SEARCH_RUNS, "metric.acc = 'x'", "Expected numeric value type for metric"},
    {GY_SEARCH_RUNS, "metric.acc = abc", "Expected numeric value type for metric"},
    {GY_SEARCH_RUNS, "start_time = 'x'", "Expected numeric value type for numeric attribute"},
    {GY_SEARCH_RUNS, "params.x = 5", "Expected a quoted string value for"},
    {GY_SEARCH_RUNS, "tags.x = -5", "Expected a quoted string value for tag"},
    {GY_SEARCH_RUNS, "status = 5", "Expected a quoted string value for"},
    {GY_SEARCH_RUNS, "params.x = y", "Parameter value is either not quoted or unidentified"},
    {GY_SEARCH_RUNS, "params.x = `y`", "Parameter value is either not quoted or unidentified"},
    {GY_SEARCH_RUNS, "metric.acc == 5", "Invalid comparator '=='"},
    {GY_SEARCH_RUNS, "metric.acc <> 5", "Invalid comparator '<>'"},
    {GY_SEARCH_RUNS, "metric.acc LIKE 5", "Invalid comparator 'LIKE'"},
    {GY_SEARCH_RUNS, "params.x > 'y'", "Invalid comparator '>'"},
    {GY_SEARCH_RUNS, "tags.x IN ('a')", "Invalid comparator 'IN'"},
    {GY_SEARCH_RUNS, "status < 'a'", "Invalid comparator '<'"},
    {GY_SEARCH_RUNS, "status IN ('a')", "Only ['run_id'] attributes support"},
    {GY_SEARCH_RUNS, "run_id IN ()", "expected a non-empty list of string values, but got empty"},
    {GY_SEARCH_RUNS, "run_id IN (1)", "but got different type in list"},
    {GY_SEARCH_RUNS, "run_id IN ('a' 'b')", "ill-formed list"},
    {GY_SEARCH_RUNS, "run_id IN ('a'", "ill-formed list"},
    {GY_SEARCH_RUNS, "run_id IN 'a'", "Invalid clause(s) in filter string"},
    {GY_SEARCH_RUNS, "metrics.x IS NULL", "IS NULL / IS NOT NULL is only supported for tags and"},
    {GY_SEARCH_RUNS, "status IS NOT NULL", "IS NULL / IS NOT NULL is only supported for tags and"},
    {GY_SEARCH_EXPERIMENTS, "metrics.x = 1", "Invalid entity type 'metrics'"},
    {GY_SEARCH_EXPERIMENTS, "artifact_location = 'x'", "Invalid attribute key"},
    {GY_SEARCH_EXPERIMENTS, "name < 'x'", "Invalid comparator '<'"},
    {GY_SEARCH_EXPERIMENTS, "name IN ('x')", "Only ['experiment_id'] attributes support"},
    {GY_SEARCH_EXPERIMENTS, "experiment_id LIKE '1%'",
     "Invalid comparator for experiment_id: LIKE"},
    {GY_SEARCH_EXPERIMENTS, "experiment_id = 'x'", "Invalid experiment ID 'x'"},
    {GY_SEARCH_EXPERIMENTS, "experiment_id IN ('1', 'x')", "Invalid experiment ID 'x'"},
    {GY_SEARCH_EXPERIMENTS, "experiment_id = 1", "Expected a quoted string value"},
    {GY_SEARCH_EXPERIMENTS, "creation_time > 1.5",
     "Invalid value for numeric attribute 'creation_time': '1.5'"},
    {GY_SEARCH_MODELS, "description = 'x'", "Invalid attribute key 'description'"},
    {GY_SEARCH_MODELS, "tags.x IS NULL", "only supported for"},
    {GY_SEARCH_VERSIONS, "version_number = 'x'", "Expected numeric value type"},
    {GY_SEARCH_LOGGED_MODELS, "metric.x = 1", "Invalid entity type 'metric'"},
    {GY_SEARCH_LOGGED_MODELS, "attr.name = 'x'", "Invalid entity type 'attr'"},
    {GY_SEARCH_RUNS, "params.x = '\xff'", "not UTF-8"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        struct gy_search s;
        struct gy_err err = GY_ERR_INIT;
        gy_status status = parse(bad[i].kind, bad[i].text, &a, &s, &err);
        if (status != GY_E_INVALID || !strstr(err.msg, bad[i].says)) {
            fail_msg("%s: status %d, \"%s\", expected \"%s\"", bad[i].text, (int)status, err.msg,
                     bad[i].says);
        }
    }
}

static void test_many_clauses(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_search s;
    assert_int_equal(parse(GY_SEARCH_RUNS,
                           "metrics.m > 1 and params.p='x' AND\ttags.t is null\nAnD run_id NOT IN "
                           "('a', \"b\",'c')",
                           &a, &s, NULL),
                     GY_OK);
    assert_int_equal(s.n, 4);
    assert_int_equal(s.clauses[3].op, GY_SEARCH_NOT_IN);
    assert_int_equal(s.clauses[3].n_list, 3);
    assert_true(gy_str_eqc(s.clauses[3].list[1], "b"));
    /* MLflow's parser takes an AND for a blank. */
    static const char *const two[] = {"params.x = 'y' params.z = 'y'", "AND params.x = 'y' AND and "
                                                                       "params.z = 'y' AND"};
    for (int i = 0; i < 2; i++) {
        gy_arena_done(&a);
        assert_int_equal(parse(GY_SEARCH_RUNS, two[i], &a, &s, NULL), GY_OK);
        assert_int_equal(s.n, 2);
    }
}

static void test_nothing_is_all(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_search s;
    assert_int_equal(parse(GY_SEARCH_RUNS, "", &a, &s, NULL), GY_OK);
    assert_int_equal(s.n, 0);
    assert_int_equal(parse(GY_SEARCH_RUNS, "  \n ", &a, &s, NULL), GY_OK);
    assert_int_equal(s.n, 0);
}

static void test_limits(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, 16 * KIB * KIB);
    for (int i = 0; i <= GY_SEARCH_MAX_CLAUSES; i++) {
        gy_buf_addf(&text, "%sparams.p%d = 'x'", i ? " AND " : "", i);
    }
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_search s;
    assert_int_equal(parse(GY_SEARCH_RUNS, text.p, &a, &s, NULL), GY_E_INVALID);
    gy_buf_reset(&text);
    gy_buf_addc(&text, "run_id IN (");
    for (int i = 0; i <= GY_SEARCH_MAX_LIST; i++) {
        gy_buf_addf(&text, "%s'%d'", i ? "," : "", i);
    }
    gy_buf_addc(&text, ")");
    gy_arena_done(&a);
    assert_int_equal(parse(GY_SEARCH_RUNS, text.p, &a, &s, NULL), GY_E_INVALID);
    gy_buf_reset(&text);
    gy_buf_addc(&text, "params.p LIKE '");
    for (int i = 0; i <= GY_SEARCH_MAX_PATTERN; i++) {
        gy_buf_add_char(&text, '%');
    }
    gy_buf_add_char(&text, '\'');
    gy_arena_done(&a);
    assert_int_equal(parse(GY_SEARCH_RUNS, text.p, &a, &s, NULL), GY_E_INVALID);
    gy_buf_reset(&text);
    while (text.n <= GY_SEARCH_MAX_TEXT) {
        gy_buf_addc(&text, "                                                                ");
    }
    gy_arena_done(&a);
    assert_int_equal(parse(GY_SEARCH_RUNS, text.p, &a, &s, NULL), GY_E_INVALID);
}

struct order_case {
    enum gy_search_kind kind;
    const char *text;
    const char *key; /* NULL: refused */
    bool descending;
    const char *says;
};

static const struct order_case orders[] = {
    {GY_SEARCH_RUNS, "metrics.`a b` DESC", "a b", true, NULL},
    {GY_SEARCH_RUNS, "metrics.a", "a", false, NULL},
    {GY_SEARCH_RUNS, "params.\"x.y\" asc", "x.y", false, NULL},
    {GY_SEARCH_RUNS, "start_time dEsC", "start_time", true, NULL},
    {GY_SEARCH_RUNS, "attributes.run_name", "run_name", false, NULL},
    {GY_SEARCH_RUNS, "attributes.`Run Name`", NULL, false, "Invalid attribute key 'Run Name'"},
    {GY_SEARCH_MODELS, "attribute.name", NULL, false, "Invalid order by key 'attribute.name'"},
    {GY_SEARCH_RUNS, "metrics.a b c", NULL, false, "Invalid ordering key in order_by clause"},
    {GY_SEARCH_RUNS, "metrics.a ASC DESC", NULL, false, "Could not be parsed"},
    {GY_SEARCH_RUNS, "metrics.a upward", NULL, false, "Invalid ordering key in order_by clause"},
    {GY_SEARCH_RUNS, "", NULL, false, "Could not be parsed"},
    {GY_SEARCH_RUNS, "metrics.a; params.b", NULL, false, "Could not be parsed"},
    {GY_SEARCH_RUNS, "acc", NULL, false, "Invalid attribute key 'acc'"},
    {GY_SEARCH_RUNS, "m.acc", NULL, false, "Invalid entity type 'm'"},
    {GY_SEARCH_RUNS, "dataset.name", NULL, false, "Invalid order_by entity"},
    {GY_SEARCH_EXPERIMENTS, "experiment_id DESC", "experiment_id", true, NULL},
    {GY_SEARCH_EXPERIMENTS, "tags.x", NULL, false, "Invalid order_by entity"},
    {GY_SEARCH_MODELS, "timestamp DESC", "timestamp", true, NULL},
    {GY_SEARCH_MODELS, "creation_timestamp", NULL, false, "Invalid order by key"},
    {GY_SEARCH_VERSIONS, "version_number", "version_number", false, NULL},
    {GY_SEARCH_LOGGED_MODELS, "metrics.f1", "f1", false, NULL},
};

static void test_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        const struct order_case *o = &orders[i];
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        gy_arena_init(&a, 64 * KIB);
        struct gy_search_order *parsed = NULL;
        struct gy_err err = GY_ERR_INIT;
        struct gy_str text = gy_str_c(o->text);
        gy_status status = gy_search_parse_order(o->kind, &text, 1, &a, &parsed, &err);
        if (!o->key) {
            if (status != GY_E_INVALID || !strstr(err.msg, o->says)) {
                fail_msg("%s: status %d, \"%s\"", o->text, (int)status, err.msg);
            }
            continue;
        }
        if (status != GY_OK) {
            fail_msg("%s: %s", o->text, err.msg);
        }
        assert_true(gy_str_eqc(parsed->key, o->key));
        assert_int_equal(parsed->descending, o->descending);
    }
}

static void test_order_twice(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 64 * KIB);
    struct gy_search_order *parsed = NULL;
    struct gy_err err = GY_ERR_INIT;
    struct gy_str texts[] = {GY_STR("metrics.a"), GY_STR("params.a"), GY_STR("metric.a DESC")};
    assert_int_equal(gy_search_parse_order(GY_SEARCH_RUNS, texts, 3, &a, &parsed, &err),
                     GY_E_INVALID);
    assert_non_null(strstr(err.msg, "`order_by` contains duplicate fields"));
    assert_int_equal(gy_search_parse_order(GY_SEARCH_RUNS, texts, 2, &a, &parsed, &err), GY_OK);
}

/* Data never becomes SQL text. */
static void test_sql_is_bound(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_search s;
    assert_int_equal(
        parse(GY_SEARCH_RUNS,
              "params.`evil\"key` = \"'; DROP TABLE runs; --\" AND metrics.evilmetric > "
              "77 AND run_id IN ('evilid')",
              &a, &s, NULL),
        GY_OK);
    GY_AUTO_DONE(gy_sql_done) struct gy_sql_builder b;
    gy_sql_init(&b, &a);
    gy_search_where(&b, GY_SEARCH_RUNS, &s, NULL, 0);
    assert_null(strstr(b.text.p, "evil"));
    assert_null(strstr(b.text.p, "DROP"));
    assert_null(strstr(b.text.p, "77"));
    assert_int_equal(b.n_vals, 5);
    size_t marks = 0;
    for (size_t i = 0; i < b.text.n; i++) {
        marks += b.text.p[i] == '?';
    }
    assert_int_equal(marks, 5);
}

/* Every allocation may fail: an answer of NOMEM, and nothing leaks. */
static void test_memory_failures(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 20; nth++) {
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        struct gy_search s;
        gy_mem_fail_at(nth, 0);
        gy_status status =
            parse(GY_SEARCH_RUNS, "params.x = 'y' AND run_id IN ('a','b')", &a, &s, NULL);
        gy_mem_fail_at(0, 0);
        assert_true(status == GY_OK || status == GY_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_clause),      cmocka_unit_test(test_refused),
        cmocka_unit_test(test_many_clauses),    cmocka_unit_test(test_nothing_is_all),
        cmocka_unit_test(test_limits),          cmocka_unit_test(test_order),
        cmocka_unit_test(test_order_twice),     cmocka_unit_test(test_sql_is_bound),
        cmocka_unit_test(test_memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
