/* SPDX-License-Identifier: Apache-2.0 */
/* Two workspaces in one store: the same names in both, and nothing of the one is found in the
 * other, by no id and no name. */
#include "mlflow_harness.h"

#include "store/scope.h"
#include "store/verdicts.h"

static struct gy_scope g_other = {.workspace = {"icu", 3}, .actor = {"tester", 6}};

static gy_status add_workspace(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    return gy_db_exec(db,
                      "INSERT INTO workspaces (id, name, actor, created_us) VALUES ('icu', 'icu', "
                      "'tester', 1)",
                      GY_NO_VALS, NULL, err);
}

/* Every test begins inside the other workspace. */
static int setup(void **state)
{
    struct gy_err err = GY_ERR_INIT;
    if (harness_setup(state) != 0) {
        return -1;
    }
    struct harness *h = *state;
    if (gy_store_write(h->app->store, add_workspace, NULL, &err) != GY_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return -1;
    }
    gy_scope_enter(&g_other);
    return 0;
}

static int teardown(void **state)
{
    while (gy_scope_current()) { /* a failed test may have left at any depth */
        gy_scope_leave(gy_scope_current());
    }
    return harness_teardown(state);
}

static void test_default_of_each(void **state)
{
    struct harness *h = *state;
    char body[4096];
    want(h, "POST", M "/experiments/search", "{\"max_results\":10}", 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/experiments")), 1);
    assert_string_equal(text_at(h, "/experiments/0/name"), "Default");
    assert_string_equal(text_at(h, "/experiments/0/experiment_id"), "1");
    want(h, "GET", M "/experiments/get-by-name?experiment_name=Default", NULL, 200, NULL);
    assert_string_equal(text_at(h, "/experiment/experiment_id"), "1");
    /* 0 is what a client says that chose no experiment. */
    want(h, "GET", M "/experiments/get?experiment_id=0", NULL, 200, NULL);
    assert_string_equal(text_at(h, "/experiment/experiment_id"), "1");
    want(h, "POST", M "/runs/create", "{\"experiment_id\":\"0\"}", 200, NULL);
    assert_string_equal(text_at(h, "/run/info/experiment_id"), "1");
    want(h, "POST", M "/runs/search", "{\"experiment_ids\":[\"0\"]}", 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/runs")), 1);
    want(h, "POST", M "/logged-models", "{\"experiment_id\":\"0\"}", 200, NULL);
    assert_string_equal(text_at(h, "/model/info/experiment_id"), "1");
    gy_scope_leave(&g_other);
    want(h, "GET", M "/experiments/get?experiment_id=0", NULL, 200, NULL);
    assert_string_equal(text_at(h, "/experiment/experiment_id"), "0");
    refuse(h, "GET", M "/experiments/get?experiment_id=1", NULL, 404, "RESOURCE_DOES_NOT_EXIST",
           "No Experiment with id=1 exists");
    want(h, "POST", M "/runs/search", "{\"experiment_ids\":[\"0\",\"1\"]}", 200, "{}");
    want(h, "POST", M "/logged-models/search", "{\"experiment_ids\":[\"0\",\"1\"]}", 200, "{}");
    want(h, "POST", M "/experiments/create", fmt(body, "{\"name\":\"@@\"}", "a"), 200,
         "{\"experiment_id\":\"2\"}");
}

static void test_experiments_and_runs(void **state)
{
    static const char *const on_experiment[][2] = {
        {"/experiments/delete", "{\"experiment_id\":\"2\"}"},
        {"/experiments/restore", "{\"experiment_id\":\"2\"}"},
        {"/experiments/update", "{\"experiment_id\":\"2\",\"new_name\":\"z\"}"},
        {"/experiments/set-experiment-tag", "{\"experiment_id\":\"2\",\"key\":\"k\"}"},
        {"/experiments/delete-experiment-tag", "{\"experiment_id\":\"2\",\"key\":\"k\"}"},
        {"/runs/create", "{\"experiment_id\":\"2\"}"},
        {"/logged-models", "{\"experiment_id\":\"2\"}"},
    };
    static const char *const on_run[][2] = {
        {"/runs/update", "{\"run_id\":\"@@\",\"status\":\"FINISHED\"}"},
        {"/runs/delete", "{\"run_id\":\"@@\"}"},
        {"/runs/restore", "{\"run_id\":\"@@\"}"},
        {"/runs/log-metric", "{\"run_id\":\"@@\",\"key\":\"k\",\"value\":1,\"timestamp\":1}"},
        {"/runs/log-parameter", "{\"run_id\":\"@@\",\"key\":\"k\",\"value\":\"v\"}"},
        {"/runs/log-batch", "{\"run_id\":\"@@\"}"},
        {"/runs/set-tag", "{\"run_id\":\"@@\",\"key\":\"k\",\"value\":\"v\"}"},
        {"/runs/delete-tag", "{\"run_id\":\"@@\",\"key\":\"k\"}"},
        {"/runs/log-inputs", "{\"run_id\":\"@@\"}"},
        {"/runs/outputs", "{\"run_id\":\"@@\"}"},
        {"/runs/log-model",
         "{\"run_id\":\"@@\",\"model_json\":\"{\\\"artifact_path\\\":\\\"m\\\",\\\"flavors\\\":{}"
         ",\\\"utc_time_created\\\":\\\"x\\\",\\\"run_id\\\":\\\"r\\\"}\"}"},
    };
    struct harness *h = *state;
    char run[64], text[4096];
    want(h, "POST", M "/experiments/search", "{\"max_results\":10}", 200, NULL);
    want(h, "POST", M "/experiments/create", "{\"name\":\"shared\"}", 200,
         "{\"experiment_id\":\"2\"}");
    want(h, "POST", M "/runs/create", "{\"experiment_id\":\"2\"}", 200, NULL);
    snprintf(run, sizeof run, "%s", text_at(h, "/run/info/run_id"));
    want(h, "POST", M "/runs/log-metric", fmt(text, on_run[3][1], run), 200, "{}");
    gy_scope_leave(&g_other);
    for (size_t i = 0; i < sizeof on_experiment / sizeof on_experiment[0]; i++) {
        snprintf(text, sizeof text, M "%s", on_experiment[i][0]);
        refuse(h, "POST", text, on_experiment[i][1], 404, "RESOURCE_DOES_NOT_EXIST",
               "No Experiment with id=2 exists");
    }
    for (size_t i = 0; i < sizeof on_run / sizeof on_run[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, M "%s", on_run[i][0]);
        refuse(h, "POST", path, fmt(text, on_run[i][1], run), 404, "RESOURCE_DOES_NOT_EXIST",
               "not found");
    }
    refuse(h, "GET", fmt(text, M "/runs/get?run_id=@@", run), NULL, 404, "RESOURCE_DOES_NOT_EXIST",
           "not found");
    refuse(h, "GET", fmt(text, M "/artifacts/list?run_id=@@", run), NULL, 404,
           "RESOURCE_DOES_NOT_EXIST", "not found");
    want(h, "GET", fmt(text, M "/metrics/get-history?metric_key=k&run_id=@@", run), NULL, 200,
         "{}");
    /* The name is free here, and taken there. */
    want(h, "POST", M "/experiments/create", "{\"name\":\"shared\"}", 200,
         "{\"experiment_id\":\"3\"}");
    want(h, "POST", M "/experiments/search", "{\"max_results\":10}", 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/experiments")), 2);
    gy_scope_enter(&g_other);
    refuse(h, "POST", M "/experiments/create", "{\"name\":\"shared\"}", 400,
           "RESOURCE_ALREADY_EXISTS", "Experiment(name=shared) already exists");
    want(h, "POST", M "/experiments/search", "{\"max_results\":10}", 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/experiments")), 2);
    want(h, "GET", fmt(text, M "/runs/get?run_id=@@", run), NULL, 200, NULL);
}

static void test_logged_models(void **state)
{
    struct harness *h = *state;
    char id[64], text[4096];
    want(h, "POST", M "/experiments/search", "{\"max_results\":10}", 200, NULL);
    want(h, "POST", M "/logged-models", "{\"experiment_id\":\"1\",\"name\":\"m\"}", 200, NULL);
    snprintf(id, sizeof id, "%s", text_at(h, "/model/info/model_id"));
    gy_scope_leave(&g_other);
    static const char *const asks[][3] = {
        {"GET", M "/logged-models/@@", NULL},
        {"GET", M "/logged-models/@@?allow_deleted=true", NULL},
        {"PATCH", M "/logged-models/@@", "{\"status\":2}"},
        {"PATCH", M "/logged-models/@@/tags", "{\"tags\":[]}"},
        {"DELETE", M "/logged-models/@@/tags/k", "{}"},
        {"POST", M "/logged-models/@@/params", "{\"params\":[]}"},
        {"GET", M "/logged-models/@@/artifacts/directories", NULL},
        {"DELETE", M "/logged-models/@@", "{}"},
    };
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        refuse(h, asks[i][0], fmt(text, asks[i][1], id), asks[i][2], 404, "RESOURCE_DOES_NOT_EXIST",
               "Logged model with ID");
    }
    /* A metric can not be put on it from another workspace's run. */
    want(h, "POST", M "/runs/create", "{}", 200, NULL);
    char run[64], body[4096];
    snprintf(run, sizeof run, "%s", text_at(h, "/run/info/run_id"));
    snprintf(body, sizeof body,
             "{\"run_id\":\"%s\",\"key\":\"k\",\"value\":1,\"timestamp\":1,\"model_id\":\"%s\"}",
             run, id);
    refuse(h, "POST", M "/runs/log-metric", body, 404, "RESOURCE_DOES_NOT_EXIST", "Logged model");
    gy_scope_enter(&g_other);
    want(h, "GET", fmt(text, M "/logged-models/@@", id), NULL, 200, NULL);
}

static gy_status protect(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    return gy_protect_alias(db, GY_STR("m"), GY_STR("champion"), GY_STR("gate"), false,
                            GY_STR("tester"), err);
}

static void test_registry(void **state)
{
    static const char *const asks[][3] = {
        {"GET", M "/registered-models/get?name=m", NULL},
        {"POST", M "/registered-models/rename", "{\"name\":\"m\",\"new_name\":\"n\"}"},
        {"PATCH", M "/registered-models/update", "{\"name\":\"m\",\"description\":\"d\"}"},
        {"DELETE", M "/registered-models/delete", "{\"name\":\"m\"}"},
        {"POST", M "/registered-models/get-latest-versions", "{\"name\":\"m\"}"},
        {"POST", M "/registered-models/set-tag", "{\"name\":\"m\",\"key\":\"k\",\"value\":\"v\"}"},
        {"DELETE", M "/registered-models/delete-tag", "{\"name\":\"m\",\"key\":\"k\"}"},
        {"POST", M "/registered-models/alias",
         "{\"name\":\"m\",\"alias\":\"a\",\"version\":\"1\"}"},
        {"DELETE", M "/registered-models/alias", "{\"name\":\"m\",\"alias\":\"a\"}"},
        {"GET", M "/registered-models/alias?name=m&alias=a", NULL},
        {"POST", M "/model-versions/create", "{\"name\":\"m\",\"source\":\"s3://b/x\"}"},
        {"GET", M "/model-versions/get?name=m&version=1", NULL},
        {"GET", M "/model-versions/get-download-uri?name=m&version=1", NULL},
        {"PATCH", M "/model-versions/update", "{\"name\":\"m\",\"version\":\"1\"}"},
        {"DELETE", M "/model-versions/delete", "{\"name\":\"m\",\"version\":\"1\"}"},
        {"POST", M "/model-versions/transition-stage",
         "{\"name\":\"m\",\"version\":\"1\",\"stage\":\"Staging\"}"},
        {"POST", M "/model-versions/set-tag",
         "{\"name\":\"m\",\"version\":\"1\",\"key\":\"k\",\"value\":\"v\"}"},
        {"DELETE", M "/model-versions/delete-tag",
         "{\"name\":\"m\",\"version\":\"1\",\"key\":\"k\"}"},
    };
    struct harness *h = *state;
    struct gy_err err = GY_ERR_INIT;
    want(h, "POST", M "/registered-models/create", "{\"name\":\"m\"}", 200, NULL);
    want(h, "POST", M "/model-versions/create", "{\"name\":\"m\",\"source\":\"s3://b/x\"}", 200,
         NULL);
    want(h, "POST", M "/registered-models/alias",
         "{\"name\":\"m\",\"alias\":\"a\",\"version\":\"1\"}", 200, "{}");
    gy_scope_leave(&g_other);
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        refuse(h, asks[i][0], asks[i][1], asks[i][2], 404, "RESOURCE_DOES_NOT_EXIST", "not found");
    }
    want(h, "GET", M "/registered-models/search?max_results=10", NULL, 200, "{}");
    want(h, "GET", M "/model-versions/search", NULL, 200, "{}");
    want(h, "GET", "/api/gyre/v1/models/m/versions/1", NULL, 404, NULL);
    want(h, "GET", "/api/gyre/v1/models/resolve?ref=m@a", NULL, 404, NULL);
    want(h, "GET", "/api/gyre/v1/models/m/aliases", NULL, 200, "{\"moves\":[]}");
    want(h, "POST", "/api/gyre/v1/models/m/versions/1/proof", "{\"servable\":true,\"reason\":\"\"}",
         404, NULL);
    /* The same name here is another model: its own numbers, its own protected aliases. */
    want(h, "POST", M "/registered-models/create", "{\"name\":\"m\"}", 200, NULL);
    want(h, "POST", M "/model-versions/create", "{\"name\":\"m\",\"source\":\"s3://b/y\"}", 200,
         NULL);
    assert_string_equal(text_at(h, "/model_version/version"), "1");
    assert_int_equal(gy_store_write(h->app->store, protect, NULL, &err), GY_OK);
    refuse(h, "POST", M "/registered-models/alias",
           "{\"name\":\"m\",\"alias\":\"champion\",\"version\":\"1\"}", 403, "PERMISSION_DENIED",
           "protected");
    gy_scope_enter(&g_other);
    want(h, "POST", M "/registered-models/alias",
         "{\"name\":\"m\",\"alias\":\"champion\",\"version\":\"1\"}", 200, "{}");
    want(h, "GET", M "/model-versions/get?name=m&version=1", NULL, 200, NULL);
    assert_string_equal(text_at(h, "/model_version/source"), "s3://b/x");
    want(h, "GET", "/api/gyre/v1/models/m/aliases", NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/moves")), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_default_of_each, setup, teardown),
        cmocka_unit_test_setup_teardown(test_experiments_and_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_logged_models, setup, teardown),
        cmocka_unit_test_setup_teardown(test_registry, setup, teardown),
    };
    return cmocka_run_group_tests_name("api/mlflow_workspaces", tests, NULL, NULL);
}
