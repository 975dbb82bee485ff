/* SPDX-License-Identifier: Apache-2.0 */
/* MLflow's wire, as its clients know it: experiments, runs, logging, search. */
#include "mlflow_harness.h"

#include <math.h>

/* ---- experiments ---- */

static void test_server(void **state)
{
    struct harness *h = *state;
    assert_int_equal(ask_as(h, NULL, "GET", "/health", GY_STR_NULL), 200);
    expect_body(h, "OK");
    assert_int_equal(ask_as(h, NULL, "GET", "/version", GY_STR_NULL), 200);
    assert_true(h->last.body.p[0] == '3' && h->last.body.p[1] == '.');
    want(h, "GET", "/api/3.0/mlflow/server-info", NULL, 200,
         "{\"store_type\":\"SqlStore\",\"workspaces_enabled\":true}");
    assert_int_equal(ask(h, "POST", "/api/3.0/mlflow/traces", "{}"), 404);
}

static void test_experiments(void **state)
{
    struct harness *h = *state;
    want(h, "GET", M "/experiments/get?experiment_id=0", NULL, 200, NULL);
    assert_string_equal(text_at(h, "/experiment/name"), "Default");
    assert_string_equal(text_at(h, "/experiment/artifact_location"), "mlflow-artifacts:/0");
    assert_string_equal(text_at(h, "/experiment/lifecycle_stage"), "active");
    assert_null(at(h, "/experiment/tags"));
    assert_true(yyjson_is_int(at(h, "/experiment/creation_time")));
    want(h, "POST", M "/experiments/create",
         "{\"name\":\"a\",\"tags\":[{\"key\":\"k\",\"value\":\"v\"}]}", 200,
         "{\"experiment_id\":\"1\"}");
    want(h, "POST", "/ajax-api/2.0/mlflow/experiments/create",
         "{\"name\":\"b\",\"artifactLocation\":\"s3://bucket/x?y=1\"}", 200,
         "{\"experiment_id\":\"2\"}");
    want(h, "POST", M "/runs/create", "{\"experiment_id\":\"2\"}", 200, NULL);
    assert_non_null(strstr(text_at(h, "/run/info/artifact_uri"), "/artifacts?y=1"));
    refuse(h, "POST", M "/experiments/create", "{\"name\":\"a\"}", 400, "RESOURCE_ALREADY_EXISTS",
           "Experiment(name=a) already exists");
    want(h, "GET", "/api/3.0/mlflow/experiments/get-by-name?experiment_name=a", NULL, 200, NULL);
    assert_string_equal(text_at(h, "/experiment/tags/0/value"), "v");
    refuse(h, "GET", M "/experiments/get-by-name?experiment_name=no", NULL, 404,
           "RESOURCE_DOES_NOT_EXIST", "Could not find experiment with name 'no'");
    refuse(h, "GET", M "/experiments/get?experiment_id=9", NULL, 404, "RESOURCE_DOES_NOT_EXIST",
           "No Experiment with id=9 exists");
    refuse(h, "GET", M "/experiments/get?experiment_id=x", NULL, 400, "INVALID_PARAMETER_VALUE",
           "Invalid experiment ID 'x'. Experiment ID must be a valid integer.");
    want(h, "POST", M "/experiments/update", "{\"experiment_id\":\"1\",\"new_name\":\"c\"}", 200,
         "{}");
    refuse(h, "POST", M "/experiments/update", "{\"experiment_id\":\"1\",\"new_name\":\"b\"}", 400,
           "RESOURCE_ALREADY_EXISTS", "already exists");
    want(h, "POST", M "/experiments/set-experiment-tag",
         "{\"experiment_id\":\"1\",\"key\":\"t\",\"value\":\"\"}", 200, "{}");
    want(h, "POST", M "/experiments/delete-experiment-tag",
         "{\"experiment_id\":\"1\",\"key\":\"t\"}", 200, "{}");
    refuse(h, "POST", M "/experiments/delete-experiment-tag",
           "{\"experiment_id\":\"1\",\"key\":\"t\"}", 404, "RESOURCE_DOES_NOT_EXIST",
           "No tag with name: t in experiment with id 1");
}

static void test_experiment_lifecycle(void **state)
{
    struct harness *h = *state;
    want(h, "POST", M "/experiments/create", "{\"name\":\"x\"}", 200, NULL);
    want(h, "POST", M "/runs/create", "{\"experiment_id\":\"1\",\"start_time\":5}", 200, NULL);
    want(h, "POST", M "/experiments/delete", "{\"experiment_id\":\"1\"}", 200, "{}");
    refuse(h, "POST", M "/experiments/delete", "{\"experiment_id\":\"1\"}", 404,
           "RESOURCE_DOES_NOT_EXIST", "");
    want(h, "GET", M "/experiments/get?experiment_id=1", NULL, 200, NULL);
    assert_string_equal(text_at(h, "/experiment/lifecycle_stage"), "deleted");
    want(h, "POST", M "/runs/search", "{\"experiment_ids\":[\"1\"]}", 200, "{}");
    refuse(h, "POST", M "/experiments/create", "{\"name\":\"x\"}", 400, "RESOURCE_ALREADY_EXISTS",
           "Experiment(name=x) already exists");
    refuse(h, "POST", M "/experiments/update", "{\"experiment_id\":\"1\",\"new_name\":\"y\"}", 500,
           "INVALID_STATE", "Cannot rename a non-active experiment.");
    refuse(h, "POST", M "/experiments/set-experiment-tag",
           "{\"experiment_id\":\"1\",\"key\":\"k\",\"value\":\"v\"}", 400,
           "INVALID_PARAMETER_VALUE", "The experiment 1 must be in the 'active' state");
    refuse(h, "POST", M "/runs/create", "{\"experiment_id\":\"1\"}", 400, "INVALID_PARAMETER_VALUE",
           "must be in the 'active' state");
    want(h, "POST", M "/experiments/search", "{\"view_type\":\"DELETED_ONLY\",\"max_results\":5}",
         200, NULL);
    assert_string_equal(text_at(h, "/experiments/0/name"), "x");
    want(h, "POST", M "/experiments/restore", "{\"experiment_id\":\"1\"}", 200, "{}");
    want(h, "POST", M "/runs/search", "{\"experiment_ids\":[\"1\"]}", 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/runs")), 1);
}

static void test_search_experiments(void **state)
{
    struct harness *h = *state;
    for (int i = 0; i < 5; i++) {
        char body[128];
        snprintf(body, sizeof body,
                 "{\"name\":\"%s%d\",\"tags\":[{\"key\":\"n\",\"value\":\"%d\"}]}",
                 i % 2 ? "Exp" : "exp", i, i);
        want(h, "POST", M "/experiments/create", body, 200, NULL);
    }
    want(h, "GET",
         M "/experiments/search?max_results=1000&filter=name%20LIKE%20%27exp%25%27"
           "&order_by=name%20DESC",
         NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/experiments")), 3);
    assert_string_equal(text_at(h, "/experiments/0/name"), "exp4");
    assert_null(at(h, "/next_page_token"));
    want(h, "POST", M "/experiments/search",
         "{\"max_results\":2,\"filter\":\"name ILIKE 'EXP%'\",\"order_by\":[\"name ASC\"]}", 200,
         NULL);
    assert_string_equal(text_at(h, "/experiments/0/name"), "Exp1");
    char body[4096];
    fmt(body,
        "{\"max_results\":2,\"filter\":\"name ILIKE 'EXP%'\",\"order_by\":[\"name ASC\"],"
        "\"page_token\":\"@@\"}",
        text_at(h, "/next_page_token"));
    want(h, "POST", M "/experiments/search", body, 200, NULL);
    assert_string_equal(text_at(h, "/experiments/0/name"), "exp0");
    want(h, "POST", M "/experiments/search",
         "{\"max_results\":9,\"filter\":\"tags.n != '3' AND tags.n IS NOT NULL\"}", 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/experiments")), 4);
    want(h, "POST", M "/experiments/search", "{\"max_results\":9,\"filter\":\"tags.n IS NULL\"}",
         200, NULL);
    assert_string_equal(text_at(h, "/experiments/0/name"), "Default");
    want(h, "POST", M "/experiments/search",
         "{\"max_results\":9,\"order_by\":[\"experiment_id DESC\"]}", 200, NULL);
    assert_string_equal(text_at(h, "/experiments/0/name"), "exp4");
    refuse(h, "POST", M "/experiments/search", "{\"max_results\":0}", 400,
           "INVALID_PARAMETER_VALUE", "Invalid value 0 for parameter 'max_results' supplied");
    refuse(h, "POST", M "/experiments/search", "{\"max_results\":50001}", 400,
           "INVALID_PARAMETER_VALUE", "Invalid value 50001 for parameter 'max_results' supplied");
    refuse(h, "POST", M "/experiments/search", "{\"page_token\":\"zzz\"}", 400,
           "INVALID_PARAMETER_VALUE", "Invalid page token");
}

/* ---- wire rules ---- */

static void test_content_type(void **state)
{
    struct harness *h = *state;
    struct gy_str body = GY_STR("{\"name\":\"n\"}");
    assert_int_equal(ask_as(h, NULL, "POST", M "/experiments/create", body), 400);
    assert_string_equal(text_at(h, "/message"), "Bad Request. Content-Type header is missing.");
    assert_int_equal(ask_as(h, "application/xml", "POST", M "/experiments/create", body), 400);
    assert_string_equal(text_at(h, "/message"),
                        "Bad Request. Content-Type must be one of ['application/json'].");
    assert_int_equal(
        ask_as(h, "application/json; charset=utf-8", "POST", M "/experiments/create", body), 200);
    /* Encoded twice, as old clients do. */
    want(h, "POST", M "/experiments/create", "\"{\\\"name\\\":\\\"twice\\\"}\"", 200, NULL);
    /* A GET without a query takes its body. */
    want(h, "GET", M "/experiments/get", "{\"experiment_id\":\"0\"}", 200, NULL);
}

static void test_bad_values(void **state)
{
    struct harness *h = *state;
    refuse(h, "POST", M "/experiments/create", "{}", 400, "INVALID_PARAMETER_VALUE",
           "Missing value for required parameter 'name'.");
    refuse(h, "POST", M "/experiments/create", "{\"name\":\"\"}", 400, "INVALID_PARAMETER_VALUE",
           "Missing value for required parameter 'name'.");
    refuse(h, "POST", M "/experiments/create", "{\"name\":null}", 400, "INVALID_PARAMETER_VALUE",
           "Missing value for required parameter 'name'.");
    refuse(h, "POST", M "/experiments/create", "{\"name\":12}", 400, "INVALID_PARAMETER_VALUE",
           "Invalid value 12 for parameter 'name' supplied");
    refuse(h, "POST", M "/experiments/create", "not json", 400, "INVALID_PARAMETER_VALUE",
           "Missing value for required parameter 'name'.");
    refuse(h, "POST", M "/experiments/create", "[1,2]", 400, "INVALID_PARAMETER_VALUE",
           "Missing value for required parameter 'name'.");
    refuse(h, "POST", M "/runs/log-metric", "{\"run_id\":31}", 400, "INVALID_PARAMETER_VALUE",
           "Invalid value 31 for parameter 'run_id' supplied. Hint: Value was of type 'int'. See "
           "the API docs for more information about request parameters.");
    refuse(h, "POST", M "/runs/log-batch", "{\"run_id\":\"r\",\"metrics\":\"foo\"}", 400,
           "INVALID_PARAMETER_VALUE", "Invalid value \"foo\" for parameter 'metrics' supplied");
    assert_non_null(strstr(h->last.body.p, "Invalid value \\\"foo\\\" for parameter"));
    refuse(h, "POST", M "/runs/log-batch",
           "{\"run_id\":\"r\",\"metrics\":[{\"key\":\"k\",\"value\":1}]}", 400,
           "INVALID_PARAMETER_VALUE",
           "Missing value for required parameter 'metrics[0].timestamp'");
    refuse(h, "POST", M "/runs/log-batch", "{\"run_id\":\"r\",\"params\":[{\"value\":\"x\"}]}", 400,
           "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'params[0].key'");
    refuse(h, "POST", M "/runs/log-batch", "{\"run_id\":\"../x\"}", 400, "INVALID_PARAMETER_VALUE",
           "Invalid value \"../x\" for parameter 'run_id' supplied");
    refuse(h, "GET", M "/runs/get?run_id=../x", NULL, 404, "RESOURCE_DOES_NOT_EXIST",
           "Run with id=../x not found");
    /* What a client falls back on: no such route is not the same as no such thing. */
    refuse(h, "GET", M "/runs/nope", NULL, 404, "ENDPOINT_NOT_FOUND", "there is no");
    refuse(h, "POST", "/api/3.0/mlflow/traces", "{}", 404, "ENDPOINT_NOT_FOUND", "there is no");
    GY_AUTO_DONE(gy_buf_done) struct gy_buf deep;
    gy_buf_init(&deep, 8 << 20);
    for (int i = 0; i < 1000000; i++) {
        gy_buf_add_char(&deep, '[');
    }
    int status = ask_as(h, "application/json", "POST", M "/experiments/create", gy_buf_str(&deep));
    assert_true(status == 400 || status == 413);
    struct gy_str bytes = GY_STR("{\"name\":\"\xff\xfe\"}");
    assert_int_equal(ask_as(h, "application/json", "POST", M "/experiments/create", bytes), 400);
}

/* ---- runs ---- */

static void make_run(struct harness *h, char id[40])
{
    want(h, "POST", M "/runs/create", "{\"experiment_id\":\"0\",\"start_time\":1000}", 200, NULL);
    snprintf(id, 40, "%s", text_at(h, "/run/info/run_id"));
}

static void test_run(void **state)
{
    struct harness *h = *state;
    want(h, "POST", M "/runs/create",
         "{\"experiment_id\":\"0\",\"user_id\":\"u\",\"run_name\":\"n\",\"start_time\":\"1234\","
         "\"tags\":[{\"key\":\"t\",\"value\":\"v\"}]}",
         200, NULL);
    char id[40], text[4096], expected[4096];
    snprintf(id, sizeof id, "%s", text_at(h, "/run/info/run_id"));
    assert_int_equal(strlen(id), 32);
    snprintf(expected, sizeof expected,
             "{\"run\":{\"info\":{\"run_id\":\"%s\",\"run_uuid\":\"%s\",\"run_name\":\"n\","
             "\"experiment_id\":\"0\",\"user_id\":\"u\",\"status\":\"RUNNING\",\"start_time\":1234,"
             "\"artifact_uri\":\"mlflow-artifacts:/0/%s/artifacts\",\"lifecycle_stage\":\"active\"}"
             ",\"data\":{\"tags\":[{\"key\":\"mlflow.runName\",\"value\":\"n\"},{\"key\":\"t\","
             "\"value\":\"v\"}]},\"inputs\":{}}}",
             id, id, id);
    expect_body(h, expected);
    snprintf(expected + strlen(expected) - 2, 32, ",\"outputs\":{}}}"); /* there once it is read */
    want(h, "GET", fmt(text, M "/runs/get?run_uuid=@@", id), NULL, 200, expected);
    want(h, "POST", M "/runs/update",
         fmt(text,
             "{\"run_id\":\"@@\",\"status\":\"FINISHED\",\"end_time\":2000,\"run_name\":\"m\"}",
             id),
         200, NULL);
    assert_string_equal(text_at(h, "/run_info/status"), "FINISHED");
    assert_string_equal(text_at(h, "/run_info/run_name"), "m");
    assert_int_equal(yyjson_get_int(at(h, "/run_info/end_time")), 2000);
    want(h, "POST", M "/runs/set-tag",
         fmt(text, "{\"run_id\":\"@@\",\"key\":\"mlflow.runName\",\"value\":\"o\"}", id), 200,
         "{}");
    want(h, "GET", fmt(text, M "/runs/get?run_id=@@", id), NULL, 200, NULL);
    assert_string_equal(text_at(h, "/run/info/run_name"), "o");
    assert_string_equal(text_at(h, "/run/info/status"), "FINISHED");
    refuse(h, "GET", M "/runs/get?run_id=nope", NULL, 404, "RESOURCE_DOES_NOT_EXIST",
           "Run with id=nope not found");
    refuse(h, "POST", M "/runs/create",
           "{\"run_name\":\"a\",\"tags\":[{\"key\":\"mlflow.runName\",\"value\":\"b\"}]}", 400,
           "INVALID_PARAMETER_VALUE", "Both 'run_name' argument and 'mlflow.runName' tag");
    refuse(h, "POST", M "/runs/create", "{\"experiment_id\":\"77\"}", 404,
           "RESOURCE_DOES_NOT_EXIST", "No Experiment with id=77 exists");
    refuse(h, "POST", M "/runs/update", fmt(text, "{\"run_id\":\"@@\",\"status\":\"DONE\"}", id),
           400, "INVALID_PARAMETER_VALUE", "Invalid value \"DONE\" for parameter 'status'");
    want(h, "POST", M "/runs/delete", fmt(text, "{\"run_id\":\"@@\"}", id), 200, "{}");
    want(h, "POST", M "/runs/delete", fmt(text, "{\"run_id\":\"@@\"}", id), 200, "{}");
    refuse(h, "POST", M "/runs/set-tag",
           fmt(text, "{\"run_id\":\"@@\",\"key\":\"k\",\"value\":\"v\"}", id), 400,
           "INVALID_PARAMETER_VALUE", "must be in the 'active' state. Current state is deleted.");
    want(h, "POST", M "/runs/restore", fmt(text, "{\"run_id\":\"@@\"}", id), 200, "{}");
}

static void test_params_and_tags(void **state)
{
    struct harness *h = *state;
    char id[40], text[4096];
    make_run(h, id);
    const char *param = "{\"run_id\":\"@@\",\"key\":\"k\",\"value\":\"old\"}";
    want(h, "POST", M "/runs/log-parameter", fmt(text, param, id), 200, "{}");
    want(h, "POST", M "/runs/log-parameter", fmt(text, param, id), 200, "{}");
    char expected[512];
    snprintf(expected, sizeof expected,
             "Changing param values is not allowed. Param with key='k' was already logged with "
             "value='old' for run ID='%s'. Attempted logging new value 'new'.",
             id);
    refuse(h, "POST", M "/runs/log-parameter",
           fmt(text, "{\"run_id\":\"@@\",\"key\":\"k\",\"value\":\"new\"}", id), 400,
           "INVALID_PARAMETER_VALUE", expected);
    /* A refused batch leaves nothing. */
    refuse(h, "POST", M "/runs/log-batch",
           fmt(text,
               "{\"run_id\":\"@@\",\"params\":[{\"key\":\"k2\",\"value\":\"1\"},{\"key\":\"k\","
               "\"value\":\"new\"}],\"tags\":[{\"key\":\"x\",\"value\":\"y\"}],\"metrics\":[{"
               "\"key\":\"m\",\"value\":1,\"timestamp\":1}]}",
               id),
           400, "INVALID_PARAMETER_VALUE",
           "Params were already logged='[{'key': 'k', 'old_value': 'old', 'new_value': 'new'}]'");
    want(h, "GET", fmt(text, M "/runs/get?run_id=@@", id), NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/run/data/params")), 1);
    assert_int_equal(yyjson_arr_size(at(h, "/run/data/tags")), 1);
    assert_null(at(h, "/run/data/metrics"));
    refuse(h, "POST", M "/runs/log-batch",
           fmt(text,
               "{\"run_id\":\"@@\",\"params\":[{\"key\":\"z\",\"value\":\"1\"},{\"key\":\"z\","
               "\"value\":\"1\"}]}",
               id),
           400, "INVALID_PARAMETER_VALUE", "Duplicate parameter keys have been submitted: ['z']");
    want(h, "POST", M "/runs/log-batch",
         fmt(text,
             "{\"run_id\":\"@@\",\"tags\":[{\"key\":\"a\",\"value\":\"1\"},{\"key\":\"a\","
             "\"value\":\"2\"}],\"params\":[{\"key\":\"empty\"}]}",
             id),
         200, "{}");
    want(h, "GET", fmt(text, M "/runs/get?run_id=@@", id), NULL, 200, NULL);
    assert_string_equal(text_at(h, "/run/data/tags/0/value"), "2");
    assert_string_equal(text_at(h, "/run/data/params/0/value"), "");
    want(h, "POST", M "/runs/delete-tag", fmt(text, "{\"run_id\":\"@@\",\"key\":\"a\"}", id), 200,
         "{}");
    refuse(h, "POST", M "/runs/delete-tag", fmt(text, "{\"run_id\":\"@@\",\"key\":\"a\"}", id), 404,
           "RESOURCE_DOES_NOT_EXIST", "No tag with name: a in run with id");
    static const char *const names[] = {"a//b", "./x", "..", "../x", "/a", "a/../b", "a/", "."};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"run_id\":\"%s\",\"key\":\"%s\",\"value\":\"v\"}", id,
                 names[i]);
        refuse(h, "POST", M "/runs/set-tag", body, 400, "INVALID_PARAMETER_VALUE",
               "Names may be treated as files");
    }
    refuse(h, "POST", M "/runs/log-parameter",
           fmt(text, "{\"run_id\":\"@@\",\"key\":\"a,b\",\"value\":\"v\"}", id), 400,
           "INVALID_PARAMETER_VALUE", "Names may only contain alphanumerics");
    want(h, "POST", M "/runs/set-tag",
         fmt(text, "{\"run_id\":\"@@\",\"key\":\"a/b.c-d e:f_\xc3\xa4\",\"value\":\"v\"}", id), 200,
         "{}");
}

static void test_long_values_are_cut(void **state)
{
    struct harness *h = *state;
    char id[40];
    make_run(h, id);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    gy_buf_init(&body, 1 << 20);
    gy_buf_addf(&body, "{\"run_id\":\"%s\",\"key\":\"k\",\"value\":\"", id);
    for (int i = 0; i < 6001; i++) {
        gy_buf_addc(&body, "\xc3\xa4");
    }
    gy_buf_addc(&body, "\"}");
    want(h, "POST", M "/runs/log-parameter", body.p, 200, "{}");
    want(h, "POST", M "/runs/log-parameter", body.p, 200, "{}"); /* the same again is the same */
    char text[4096];
    want(h, "GET", fmt(text, M "/runs/get?run_id=@@", id), NULL, 200, NULL);
    assert_int_equal(yyjson_get_len(at(h, "/run/data/params/0/value")), 12000);
}

static void test_metrics(void **state)
{
    struct harness *h = *state;
    char id[40], text[4096];
    make_run(h, id);
    const char *batch = "{\"run_id\":\"@@\",\"metrics\":["
                        "{\"key\":\"m\",\"value\":2.5,\"timestamp\":10,\"step\":2},"
                        "{\"key\":\"m\",\"value\":1,\"timestamp\":20,\"step\":1},"
                        "{\"key\":\"m\",\"value\":\"0.5\",\"timestamp\":\"5\",\"step\":\"-3\"},"
                        "{\"key\":\"m\",\"value\":2.5,\"timestamp\":10,\"step\":2},"
                        "{\"key\":\"nan\",\"value\":\"NaN\",\"timestamp\":1},"
                        "{\"key\":\"inf\",\"value\":\"Infinity\",\"timestamp\":1},"
                        "{\"key\":\"inf\",\"value\":\"-Infinity\",\"timestamp\":0}]}";
    want(h, "POST", M "/runs/log-batch", fmt(text, batch, id), 200, "{}");
    want(h, "POST", M "/runs/log-batch", fmt(text, batch, id), 200, "{}"); /* a retry */
    want(h, "GET", fmt(text, M "/metrics/get-history?run_id=@@&metric_key=m", id), NULL, 200,
         "{\"metrics\":[{\"key\":\"m\",\"value\":0.5,\"timestamp\":5,\"step\":-3},{\"key\":\"m\","
         "\"value\":2.5,\"timestamp\":10,\"step\":2},{\"key\":\"m\",\"value\":1.0,\"timestamp\":20,"
         "\"step\":1}]}");
    want(h, "GET", fmt(text, M "/metrics/get-history?run_id=@@&metric_key=no", id), NULL, 200,
         "{}");
    want(h, "GET", fmt(text, M "/runs/get?run_id=@@", id), NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/run/data/metrics")), 3);
    assert_true(yyjson_get_num(at(h, "/run/data/metrics/0/value")) >= 1.7976931348623157e308);
    assert_true(yyjson_get_num(at(h, "/run/data/metrics/1/value")) == 2.5);
    assert_string_equal(text_at(h, "/run/data/metrics/2/value"), "NaN");
    /* An older step does not become the latest, a later one does; single and batch agree. */
    want(h, "POST", M "/runs/log-metric",
         fmt(text, "{\"run_id\":\"@@\",\"key\":\"m\",\"value\":9,\"timestamp\":99,\"step\":1}", id),
         200, "{}");
    want(h, "POST", M "/runs/log-metric",
         fmt(text, "{\"run_id\":\"@@\",\"key\":\"m\",\"value\":7,\"timestamp\":1,\"step\":3}", id),
         200, "{}");
    want(h, "GET", fmt(text, M "/runs/get?run_id=@@", id), NULL, 200, NULL);
    assert_true(yyjson_get_num(at(h, "/run/data/metrics/1/value")) == 7);
    refuse(h, "POST", M "/runs/log-metric",
           fmt(text, "{\"run_id\":\"@@\",\"key\":\"m\",\"value\":9,\"timestamp\":-1}", id), 400,
           "INVALID_PARAMETER_VALUE", "Timestamp must be a nonnegative long");
    refuse(h, "POST", M "/runs/log-metric",
           fmt(text, "{\"run_id\":\"@@\",\"key\":\"m\",\"value\":\"x\",\"timestamp\":1}", id), 400,
           "INVALID_PARAMETER_VALUE", "Invalid value \"x\" for parameter 'value' supplied");
    refuse(h, "POST", M "/runs/log-metric",
           fmt(text, "{\"run_id\":\"@@\",\"key\":\"m\",\"timestamp\":1}", id), 400,
           "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'value'");
    want(h, "POST", M "/runs/log-batch", fmt(text, "{\"run_id\":\"@@\"}", id), 200, "{}");
}

static void test_history_pages(void **state)
{
    struct harness *h = *state;
    char id[40], text[4096];
    make_run(h, id);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    gy_buf_init(&body, 1 << 20);
    gy_buf_addf(&body, "{\"run_id\":\"%s\",\"metrics\":[", id);
    for (int i = 0; i < 1000; i++) {
        gy_buf_addf(&body, "%s{\"key\":\"m\",\"value\":%d,\"timestamp\":%d,\"step\":%d}",
                    i ? "," : "", i, i, i);
    }
    gy_buf_addc(&body, "]}");
    want(h, "POST", M "/runs/log-batch", body.p, 200, "{}");
    want(h, "GET", fmt(text, M "/metrics/get-history?run_id=@@&metric_key=m&max_results=600", id),
         NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/metrics")), 600);
    char path[8192];
    snprintf(path, sizeof path,
             M "/metrics/get-history?run_id=%s&metric_key=m&max_results=600&page_token=%s", id,
             text_at(h, "/next_page_token"));
    want(h, "GET", path, NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/metrics")), 400);
    assert_int_equal(yyjson_get_int(at(h, "/metrics/0/step")), 600);
    assert_null(at(h, "/next_page_token"));
    want(h, "GET", fmt(text, M "/metrics/get-history?run_id=@@&metric_key=m", id), NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/metrics")), 1000);
    /* One more than a batch may have. */
    gy_buf_reset(&body);
    gy_buf_addf(&body, "{\"run_id\":\"%s\",\"metrics\":[", id);
    for (int i = 0; i < 1001; i++) {
        gy_buf_addf(&body, "%s{\"key\":\"m\",\"value\":%d,\"timestamp\":%d}", i ? "," : "", i, i);
    }
    gy_buf_addc(&body, "]}");
    refuse(h, "POST", M "/runs/log-batch", body.p, 400, "INVALID_PARAMETER_VALUE",
           "A batch logging request can contain at most 1000 metrics. Got 1001 metrics.");
}

/* ---- search over runs ---- */

/* Run i of 5: metric m = i (run 3: NaN, run 4: none), param p = "v<i>", tag even on even ones. */
static void make_runs(struct harness *h, char ids[5][40])
{
    for (int i = 0; i < 5; i++) {
        char body[512];
        snprintf(body, sizeof body,
                 "{\"experiment_id\":\"0\",\"start_time\":%d,\"run_name\":\"Run%d\"}", 100 + i, i);
        want(h, "POST", M "/runs/create", body, 200, NULL);
        snprintf(ids[i], 40, "%s", text_at(h, "/run/info/run_id"));
        char metric[128] = "";
        if (i < 4) {
            snprintf(metric, sizeof metric, "{\"key\":\"m\",\"value\":%s,\"timestamp\":1}",
                     i == 3   ? "\"NaN\""
                     : i == 2 ? "2"
                     : i == 1 ? "1"
                              : "0");
        }
        snprintf(body, sizeof body,
                 "{\"run_id\":\"%s\",\"metrics\":[%s],\"params\":[{\"key\":\"p\",\"value\":\"v%d\"}"
                 "],\"tags\":[%s]}",
                 ids[i], metric, i, i % 2 ? "" : "{\"key\":\"even\",\"value\":\"Yes\"}");
        want(h, "POST", M "/runs/log-batch", body, 200, "{}");
    }
}

/* The names of the runs found, as "4 2 0", newest first unless ordered. */
static void found(struct harness *h, const char *filter, const char *order, const char *expected)
{
    char body[2048], got[64] = "";
    snprintf(body, sizeof body, "{\"experiment_ids\":[\"0\"],\"filter\":\"%s\",\"order_by\":[%s]}",
             filter, order);
    want(h, "POST", M "/runs/search", body, 200, NULL);
    size_t i, n;
    yyjson_val *run;
    yyjson_arr_foreach(at(h, "/runs"), i, n, run)
    {
        const char *name = yyjson_get_str(yyjson_ptr_get(run, "/info/run_name"));
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? " " : "", name + 3);
    }
    if (strcmp(got, expected) != 0) {
        fail_msg("%s order %s: found \"%s\", expected \"%s\"", filter, order, got, expected);
    }
}

static void test_search_runs(void **state)
{
    struct harness *h = *state;
    char ids[5][40], text[4096];
    make_runs(h, ids);
    found(h, "", "", "4 3 2 1 0");
    found(h, "metrics.m >= 1", "", "2 1");
    found(h, "metrics.m != 1", "", "3 2 0");
    found(h, "metrics.m < 2 AND metric.m > -1", "", "1 0");
    found(h, "metrics.none > 0", "", "");
    found(h, "params.p = 'v3'", "", "3");
    found(h, "params.p != 'v3'", "", "4 2 1 0");
    found(h, "params.none != 'x'", "", "");
    found(h, "params.p LIKE 'V%'", "", "");
    found(h, "params.p ILIKE 'V%'", "", "4 3 2 1 0");
    found(h, "params.p LIKE '_1'", "", "1");
    found(h, "tags.even = 'Yes'", "", "4 2 0");
    found(h, "tags.even = 'yes'", "", "");
    found(h, "tags.even IS NULL", "", "3 1");
    found(h, "tags.even IS NOT NULL AND metrics.m >= 0", "", "2 0");
    found(h, "run_name = 'Run2'", "", "2");
    found(h, "tags.`mlflow.runName` LIKE 'Run%'", "", "4 3 2 1 0");
    found(h, "start_time > 101 AND status = 'RUNNING'", "", "4 3 2");
    found(h, "Created <= 100", "", "0");
    found(h, "end_time > 0", "", "");
    found(h, fmt(text, "run_id IN ('@@', 'other')", ids[3]), "", "3");
    found(h, fmt(text, "run_id NOT IN ('@@', 'other')", ids[3]), "", "4 2 1 0");
    found(h, "user_id = ''", "", "4 3 2 1 0");
    found(h, "artifact_uri LIKE 'mlflow-artifacts:/0/%'", "", "4 3 2 1 0");
    /* Values, then NaN, then missing, in both directions. */
    found(h, "", "\"metrics.m ASC\"", "0 1 2 3 4");
    found(h, "", "\"metrics.m DESC\"", "2 1 0 3 4");
    found(h, "", "\"params.p DESC\"", "4 3 2 1 0");
    found(h, "", "\"tags.even\", \"start_time\"", "0 2 4 1 3");
    found(h, "", "\"tags.even DESC\"", "4 2 0 3 1");
    found(h, "", "\"end_time DESC\", \"attributes.start_time ASC\"", "0 1 2 3 4");
    found(h, "", "\"Created\"", "0 1 2 3 4");
    found(h, "metrics.m >= 0", "\"metrics.m\", \"params.p\"", "0 1 2");
    refuse(h, "POST", M "/runs/search", "{\"experiment_ids\":[\"0\"],\"filter\":\"x.y = 'z'\"}",
           400, "INVALID_PARAMETER_VALUE", "Invalid entity type 'x'");
    refuse(h, "POST", M "/runs/search", "{\"experiment_ids\":[\"0\"],\"max_results\":50001}", 400,
           "INVALID_PARAMETER_VALUE", "Invalid value 50001 for parameter 'max_results' supplied");
    want(h, "POST", M "/runs/search", "{\"experiment_ids\":[]}", 200, "{}");
    want(h, "POST", M "/runs/search", "{\"experiment_ids\":[\"9\"]}", 200, "{}");
}

static void test_search_pages(void **state)
{
    struct harness *h = *state;
    char ids[5][40], body[4096], token[128] = "";
    make_runs(h, ids);
    want(h, "POST", M "/runs/delete", fmt(body, "{\"run_id\":\"@@\"}", ids[1]), 200, "{}");
    size_t seen = 0, pages = 0;
    do {
        snprintf(body, sizeof body,
                 "{\"experiment_ids\":[\"0\"],\"run_view_type\":\"ALL\",\"max_results\":2,"
                 "\"page_token\":\"%s\"}",
                 token);
        want(h, "POST", M "/runs/search", body, 200, NULL);
        seen += yyjson_arr_size(at(h, "/runs"));
        pages++;
        yyjson_val *next = at(h, "/next_page_token");
        snprintf(token, sizeof token, "%s", next ? yyjson_get_str(next) : "");
    } while (token[0] && pages < 10);
    assert_int_equal(seen, 5);
    assert_int_equal(pages, 3);
    found(h, "", "", "4 3 2 0");
    want(h, "POST", M "/runs/search",
         "{\"experiment_ids\":[\"0\"],\"run_view_type\":\"DELETED_ONLY\"}", 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/runs")), 1);
}

/* A page that would be too large is cut; the token leads to the rest. */
static void test_large_pages_are_cut(void **state)
{
    struct harness *h = *state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    gy_buf_init(&body, 4 << 20);
    for (int run = 0; run < 44; run++) {
        char id[40];
        make_run(h, id);
        gy_buf_reset(&body);
        gy_buf_addf(&body, "{\"run_id\":\"%s\",\"tags\":[", id);
        for (int i = 0; i < 100; i++) {
            gy_buf_addf(&body, "%s{\"key\":\"t%d\",\"value\":\"%08000d\"}", i ? "," : "", i, i);
        }
        gy_buf_addc(&body, "]}");
        want(h, "POST", M "/runs/log-batch", body.p, 200, "{}");
    }
    char text[4096], token[256] = "";
    size_t seen = 0, pages = 0;
    do {
        snprintf(text, sizeof text,
                 "{\"experiment_ids\":[\"0\"],\"max_results\":1000,\"page_token\":\"%s\"}", token);
        want(h, "POST", M "/runs/search", text, 200, NULL);
        assert_true(h->last.body.n < 34 << 20);
        seen += yyjson_arr_size(at(h, "/runs"));
        pages++;
        yyjson_val *next = at(h, "/next_page_token");
        snprintf(token, sizeof token, "%s", next ? yyjson_get_str(next) : "");
    } while (token[0] && pages < 10);
    assert_int_equal(seen, 44);
    assert_int_equal(pages, 2);
}

static void test_inputs(void **state)
{
    struct harness *h = *state;
    char id[40], text[4096];
    make_run(h, id);
    const char *inputs =
        "{\"run_id\":\"@@\",\"datasets\":[{\"tags\":[{\"key\":\"mlflow.data.context\",\"value\":"
        "\"train\"}],\"dataset\":{\"name\":\"iris\",\"digest\":\"d1\",\"source_type\":\"local\","
        "\"source\":\"{}\"}}],\"models\":[{\"model_id\":\"m-1\"}]}";
    want(h, "POST", M "/runs/log-inputs", fmt(text, inputs, id), 200, "{}");
    want(h, "POST", M "/runs/log-inputs", fmt(text, inputs, id), 200, "{}");
    want(h, "POST", M "/runs/outputs",
         fmt(text, "{\"run_id\":\"@@\",\"models\":[{\"model_id\":\"m-2\",\"step\":3}]}", id), 200,
         "{}");
    want(h, "GET", fmt(text, M "/runs/get?run_id=@@", id), NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/run/inputs/dataset_inputs")), 1);
    assert_string_equal(text_at(h, "/run/inputs/dataset_inputs/0/tags/0/value"), "train");
    assert_string_equal(text_at(h, "/run/inputs/dataset_inputs/0/dataset/name"), "iris");
    assert_string_equal(text_at(h, "/run/inputs/model_inputs/0/model_id"), "m-1");
    assert_int_equal(yyjson_get_int(at(h, "/run/outputs/model_outputs/0/step")), 3);
    const char *filters[] = {"dataset.name = 'iris'", "dataset.digest LIKE 'd%'",
                             "datasets.context = 'train'", "dataset.name IN ('x','iris')"};
    for (size_t i = 0; i < 4; i++) {
        char body[512];
        snprintf(body, sizeof body, "{\"experiment_ids\":[\"0\"],\"filter\":\"%s\"}", filters[i]);
        want(h, "POST", M "/runs/search", body, 200, NULL);
        assert_int_equal(yyjson_arr_size(at(h, "/runs")), 1);
    }
    want(h, "POST", M "/runs/search",
         "{\"experiment_ids\":[\"0\"],\"filter\":\"dataset.context = 'eval'\"}", 200, "{}");
}

/* ---- memory ---- */

/* Any one allocation may fail, here or on the writer's thread: an error at worst, nothing half
 * written, and everything works again afterwards. */
static void test_memory_failures(void **state)
{
    struct harness *h = *state;
    char id[40], body[4096];
    make_run(h, id);
    for (uint64_t nth = 1; nth <= 120; nth++) {
        struct gy_collect answer;
        struct gy_mem_reader reader;
        struct gy_header header = {GY_STR("Content-Type"), GY_STR("application/json")};
        snprintf(body, sizeof body,
                 "{\"run_id\":\"%s\",\"metrics\":[{\"key\":\"a%d\",\"value\":1,\"timestamp\":1},{"
                 "\"key\":\"b%d\",\"value\":1,\"timestamp\":1}],\"params\":[{\"key\":\"p%d\","
                 "\"value\":\"v\"}]}",
                 id, (int)nth, (int)nth, (int)nth);
        struct gy_request log = {
            .method = GY_STR("POST"),
            .path = GY_STR(M "/runs/log-batch"),
            .headers = &header,
            .n_headers = 1,
            .body = gy_mem_reader_init(&reader, gy_str_c(body)),
        };
        gy_collect_init(&answer, 1 << 20);
        gy_mem_fail_at(nth, 1);
        gy_status status = gy_call(h->caller, &log, &answer.reply, NULL);
        gy_mem_fail_at(0, 0);
        bool done = status == GY_OK && answer.status == 200;
        gy_collect_done(&answer);
        char path[256];
        snprintf(path, sizeof path, M "/metrics/get-history?run_id=%s&metric_key=a%d", id,
                 (int)nth);
        want(h, "GET", path, NULL, 200, NULL);
        size_t first = yyjson_arr_size(at(h, "/metrics"));
        snprintf(path, sizeof path, M "/metrics/get-history?run_id=%s&metric_key=b%d", id,
                 (int)nth);
        want(h, "GET", path, NULL, 200, NULL);
        assert_int_equal(yyjson_arr_size(at(h, "/metrics")), first);
        assert_true(!done || first == 1);
    }
    for (uint64_t nth = 1; nth <= 120; nth++) {
        struct gy_collect answer;
        struct gy_request get = {
            .method = GY_STR("GET"),
            .path = GY_STR(M "/experiments/search"),
            .query = GY_STR("max_results=5&filter=name%20LIKE%20'D%25'&order_by=name"),
        };
        gy_collect_init(&answer, 1 << 20);
        gy_mem_fail_at(nth, 1);
        gy_status status = gy_call(h->caller, &get, &answer.reply, NULL);
        gy_mem_fail_at(0, 0);
        (void)status; /* whether it could be told depends on which one failed */
        gy_collect_done(&answer);
    }
    want(h, "POST", M "/runs/search", "{\"experiment_ids\":[\"0\"]}", 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/runs")), 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)
    const struct CMUnitTest tests[] = {
        T(test_server),
        T(test_experiments),
        T(test_experiment_lifecycle),
        T(test_content_type),
        T(test_search_experiments),
        T(test_bad_values),
        T(test_run),
        T(test_params_and_tags),
        T(test_long_values_are_cut),
        T(test_metrics),
        T(test_history_pages),
        T(test_search_runs),
        T(test_search_pages),
        T(test_inputs),
        T(test_large_pages_are_cut),
        T(test_memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
