/* SPDX-License-Identifier: Apache-2.0 */
/* Artifacts, registered models, aliases under a gate, and Gyre's own routes onto them. */
#include "base/hash.h"
#include "mlflow_harness.h"
#include "store/lineage.h"
#include "store/verdicts.h"
#include "track/registry.h"

#define A "/api/2.0/mlflow-artifacts/artifacts"
#define G "/api/gyre/v1"

static void upload(struct harness *h, const char *path, const char *bytes)
{
    char url[512];
    snprintf(url, sizeof url, A "/%s", path);
    int status = ask_as(h, "application/octet-stream", "PUT", url, gy_str_c(bytes));
    if (status != 200) {
        fail_msg("PUT %s: %d %s", path, status, h->last.body.p);
    }
}

/* ---- artifacts ---- */

static void test_artifacts(void **state)
{
    struct harness *h = *state;
    upload(h, "0/r/artifacts/a.txt", "alpha");
    upload(h, "0/r/artifacts/dir/b.json", "{}");
    upload(h, "0/r/artifacts/dir/deep/er/c", "");
    upload(h, "0/r/artifacts/dir.txt", "x");
    upload(h, "0/r/artifacts/sp%20ace%20%C3%A4.txt", "y");
    assert_int_equal(ask(h, "GET", A "/0/r/artifacts/a.txt", NULL), 200);
    expect_body(h, "alpha");
    assert_int_equal(ask(h, "GET", A "/0/r/artifacts/dir/deep/er/c", NULL), 200);
    expect_body(h, "");
    assert_int_equal(ask(h, "GET", A "/0/r/artifacts/sp%20ace%20%C3%A4.txt", NULL), 200);
    expect_body(h, "y");
    want(h, "GET", A "?path=0/r/artifacts", NULL, 200,
         "{\"files\":[{\"path\":\"a.txt\",\"is_dir\":false,\"file_size\":5},{\"path\":\"dir\",\"is_"
         "dir\":true},"
         "{\"path\":\"dir.txt\",\"is_dir\":false,\"file_size\":1},{\"path\":\"sp ace "
         "\xc3\xa4.txt\",\"is_dir\":false,\"file_size\":1}]}");
    want(h, "GET", A "?path=0/r/artifacts/dir", NULL, 200,
         "{\"files\":[{\"path\":\"b.json\",\"is_dir\":false,\"file_size\":2},{\"path\":\"deep\","
         "\"is_dir\":true}]}");
    want(h, "GET", A "?path=0/r/artifacts/a.txt", NULL, 200, "{}");
    want(h, "GET", A "?path=none", NULL, 200, "{}");
    refuse(h, "GET", A "/0/r/artifacts/none", NULL, 404, "RESOURCE_DOES_NOT_EXIST",
           "No such artifact: '0/r/artifacts/none'");
    /* A file is no folder, a folder no file. */
    int status = ask_as(h, NULL, "PUT", A "/0/r/artifacts/a.txt/x", GY_STR("z"));
    assert_int_equal(status, 400);
    assert_int_equal(ask_as(h, NULL, "PUT", A "/0/r/artifacts/dir", GY_STR("z")), 400);
    upload(h, "0/r/artifacts/a.txt", "beta");
    assert_int_equal(ask(h, "GET", A "/0/r/artifacts/a.txt", NULL), 200);
    expect_body(h, "beta");
    want(h, "DELETE", A "/0/r/artifacts/dir", NULL, 200, "{}");
    want(h, "DELETE", A "/0/r/artifacts/dir", NULL, 200, "{}");
    want(h, "GET", A "?path=0/r/artifacts/dir", NULL, 200, "{}");
    assert_int_equal(ask(h, "GET", A "/0/r/artifacts/dir.txt", NULL), 200);
    refuse(h, "POST", "/api/2.0/mlflow-artifacts/mpu/create/x", "{}", 501, "NOT_IMPLEMENTED",
           "Multipart upload is not supported for the current artifact repository");
}

static void test_paths_that_lead_elsewhere(void **state)
{
    struct harness *h = *state;
    static const char *const paths[] = {
        "a/../b",    "..",     "a/%2e%2e/b", "a/%252e%252e/b",  "%2Fetc/passwd", "a%5Cb",
        "a%5C..%5C", "C:%2Fx", "a%23b",      "file:%2F%2F%2Fx", "a%00b",         "%25252e%25252e",
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char url[256];
        snprintf(url, sizeof url, A "/%s", paths[i]);
        int status = ask_as(h, NULL, "PUT", url, GY_STR("x"));
        if (status != 400) {
            fail_msg("PUT %s: %d", paths[i], status);
        }
        status = ask(h, "GET", url, NULL);
        if (status != 400) {
            fail_msg("GET %s: %d", paths[i], status);
        }
    }
    refuse(h, "GET", A "?path=../x", NULL, 400, "INVALID_PARAMETER_VALUE", "Invalid path");
    want(h, "GET", A, NULL, 200, "{}");
}

static void test_run_artifacts(void **state)
{
    struct harness *h = *state;
    char id[40], text[4096], path[256];
    want(h, "POST", M "/runs/create", "{\"experiment_id\":\"0\"}", 200, NULL);
    snprintf(id, sizeof id, "%s", text_at(h, "/run/info/run_id"));
    snprintf(path, sizeof path, "0/%s/artifacts/model/MLmodel", id);
    upload(h, path, "flavors: {}");
    snprintf(path, sizeof path, "0/%s/artifacts/empty", id);
    upload(h, path, "");
    char expected[1024];
    snprintf(expected, sizeof expected,
             "{\"root_uri\":\"mlflow-artifacts:/0/%s/artifacts\",\"files\":[{\"path\":\"empty\","
             "\"is_dir\":false},{\"path\":\"model\",\"is_dir\":true}]}",
             id);
    want(h, "GET", fmt(text, M "/artifacts/list?run_id=@@", id), NULL, 200, expected);
    want(h, "GET", fmt(text, M "/artifacts/list?run_id=@@&path=model", id), NULL, 200, NULL);
    assert_string_equal(text_at(h, "/files/0/path"), "model/MLmodel");
    snprintf(expected, sizeof expected, "{\"root_uri\":\"mlflow-artifacts:/0/%s/artifacts\"}", id);
    want(h, "GET", fmt(text, M "/artifacts/list?run_uuid=@@&path=empty", id), NULL, 200, expected);
    refuse(h, "GET", fmt(text, M "/artifacts/list?run_id=@@&path=../x", id), NULL, 400,
           "INVALID_PARAMETER_VALUE", "Invalid path");
    assert_int_equal(
        ask(h, "GET", fmt(text, "/get-artifact?run_uuid=@@&path=model/MLmodel", id), NULL), 200);
    expect_body(h, "flavors: {}");
    bool nosniff = false, attachment = false, plain = false;
    for (size_t i = 0; i < h->last.n_headers; i++) {
        struct gy_str name = h->last.headers[i].name, value = h->last.headers[i].value;
        nosniff |= gy_str_ieq(name, GY_STR("X-Content-Type-Options"));
        attachment |= gy_str_ieq(name, GY_STR("Content-Disposition")) &&
                      gy_str_starts(value, GY_STR("attachment;"));
        plain |= gy_str_eqc(value, "text/plain");
    }
    assert_true(nosniff && attachment && plain);
    refuse(h, "GET", fmt(text, "/get-artifact?run_id=@@&path=no", id), NULL, 404,
           "RESOURCE_DOES_NOT_EXIST", "No such artifact");
}

/* ---- registry ---- */

/* Run with a model of one file below it, registered as name. Leaves run's id in id. */
static void register_version(struct harness *h, const char *name, const char *content, char id[40])
{
    char body[1024], path[256];
    want(h, "POST", M "/runs/create", "{\"experiment_id\":\"0\"}", 200, NULL);
    snprintf(id, 40, "%s", text_at(h, "/run/info/run_id"));
    snprintf(path, sizeof path, "0/%s/artifacts/model/MLmodel", id);
    upload(h, path, content);
    snprintf(body, sizeof body, "{\"name\":\"%s\"}", name);
    int status = ask(h, "POST", M "/registered-models/create", body);
    assert_true(status == 200 || status == 400);
    snprintf(body, sizeof body,
             "{\"name\":\"%s\",\"source\":\"mlflow-artifacts:/0/%s/artifacts/model\",\"run_id\":"
             "\"%s\"}",
             name, id, id);
    want(h, "POST", M "/model-versions/create", body, 200, NULL);
}

static void digest_of_one(const char *content, char out[GY_SHA256_HEX])
{
    char sha256[GY_SHA256_HEX], line[128];
    assert_int_equal(gy_sha256_hex(gy_str_c(content), sha256, NULL), GY_OK);
    snprintf(line, sizeof line, "%s  MLmodel\n", sha256);
    assert_int_equal(gy_sha256_hex(gy_str_c(line), out, NULL), GY_OK);
}

static void test_versions(void **state)
{
    struct harness *h = *state;
    char id[40], digest[GY_SHA256_HEX], body[4096];
    register_version(h, "m", "one", id);
    assert_string_equal(text_at(h, "/model_version/version"), "1");
    assert_string_equal(text_at(h, "/model_version/status"), "READY");
    assert_string_equal(text_at(h, "/model_version/current_stage"), "None");
    assert_string_equal(text_at(h, "/model_version/run_id"), id);
    register_version(h, "m", "two", id);
    assert_string_equal(text_at(h, "/model_version/version"), "2");
    want(h, "DELETE", M "/model-versions/delete", "{\"name\":\"m\",\"version\":\"2\"}", 200, "{}");
    register_version(h, "m", "three", id);
    assert_string_equal(text_at(h, "/model_version/version"), "3");
    refuse(h, "GET", M "/model-versions/get?name=m&version=2", NULL, 404, "RESOURCE_DOES_NOT_EXIST",
           "Model Version (name=m, version=2) not found");
    refuse(h, "GET", M "/model-versions/get?name=m&version=x", NULL, 400, "INVALID_PARAMETER_VALUE",
           "Parameter 'version' must be an integer, got 'x'.");
    want(h, "GET", G "/models/m/versions/3", NULL, 200, NULL);
    digest_of_one("three", digest);
    assert_string_equal(text_at(h, "/digest"), digest);
    assert_string_equal(text_at(h, "/servable"), "unknown");
    assert_string_equal(text_at(h, "/files/0/path"), "MLmodel");
    /* What is uploaded to the same place later does not change the version. */
    char path[256];
    snprintf(path, sizeof path, "0/%s/artifacts/model/MLmodel", id);
    upload(h, path, "four");
    want(h, "GET", G "/models/m/versions/3", NULL, 200, NULL);
    assert_string_equal(text_at(h, "/digest"), digest);
    want(h, "POST", G "/models/m/versions/3/proof", "{\"servable\":false,\"reason\":\"pickle\"}",
         200, NULL);
    assert_string_equal(text_at(h, "/servable"), "no");
    assert_string_equal(text_at(h, "/servable_reason"), "pickle");
    assert_int_equal(ask(h, "POST", G "/models/m/versions/3/proof", "{\"servable\":1}"), 400);
    assert_int_equal(ask(h, "POST", G "/models/m/versions/9/proof", "{\"servable\":true}"), 404);
    want(h, "GET", G "/models/resolve?ref=models:/m", NULL, 200, NULL);
    assert_int_equal(yyjson_get_int(at(h, "/version")), 3);
    want(h, "GET", G "/models/resolve?ref=models:/m/1", NULL, 200, NULL);
    assert_int_equal(yyjson_get_int(at(h, "/version")), 1);
    assert_int_equal(ask(h, "GET", G "/models/resolve?ref=models:/m@none", NULL), 404);
    assert_int_equal(ask(h, "GET", G "/models/resolve?ref=m/x", NULL), 400);
    /* Lineage: run -> version -> digest. */
    want(h, "GET", fmt(body, G "/lineage?node=modeldigest:@@&direction=up", digest), NULL, 200,
         NULL);
    assert_string_equal(text_at(h, "/edges/0/from"), "model:m/3");
    assert_string_equal(text_at(h, "/edges/1/rel"), "registered");
    assert_int_equal(yyjson_arr_size(at(h, "/edges")), 2);
    /* A version from a version. */
    want(h, "POST", M "/registered-models/create", "{\"name\":\"copy\"}", 200, NULL);
    want(h, "POST", M "/model-versions/create", "{\"name\":\"copy\",\"source\":\"models:/m/3\"}",
         200, NULL);
    assert_string_equal(text_at(h, "/model_version/source"), "models:/m/3");
    want(h, "GET", M "/model-versions/get-download-uri?name=copy&version=1", NULL, 200, NULL);
    assert_non_null(strstr(text_at(h, "/artifact_uri"), "/artifacts/model"));
}

static void test_sources(void **state)
{
    struct harness *h = *state;
    want(h, "POST", M "/registered-models/create", "{\"name\":\"m\"}", 200, NULL);
    static const char *const bad[] = {
        "mlflow-artifacts:/0/../x", "s3://bucket/%2e%2e/x", "http://h/%252e%252e/x",
        "mlflow-artifacts:/a/..",   "https://h/x%00y",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"name\":\"m\",\"source\":\"%s\"}", bad[i]);
        refuse(h, "POST", M "/model-versions/create", body, 400, "INVALID_PARAMETER_VALUE",
               "If supplying a source as an http, https,");
    }
    static const char *const local[] = {"/etc", "file:///etc", "./x", "x/y"};
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"name\":\"m\",\"source\":\"%s\"}", local[i]);
        refuse(h, "POST", M "/model-versions/create", body, 400, "INVALID_PARAMETER_VALUE",
               "To use a local path as a model version source");
    }
    want(h, "POST", M "/model-versions/create",
         "{\"name\":\"m\",\"source\":\"s3://bucket/a....b//c\"}", 200, NULL);
    want(h, "GET", G "/models/m/versions/1", NULL, 200, NULL);
    assert_true(yyjson_is_null(at(h, "/digest")));
    refuse(h, "POST", M "/model-versions/create", "{\"name\":\"no\",\"source\":\"s3://b\"}", 404,
           "RESOURCE_DOES_NOT_EXIST", "Registered Model with name=no not found");
    /* A run of another tracking server is taken by its id, but opens nothing that is kept here. */
    want(h, "POST", M "/model-versions/create",
         "{\"name\":\"m\",\"source\":\"s3://b\",\"run_id\":\"nope\"}", 200, NULL);
    assert_string_equal(text_at(h, "/model_version/run_id"), "nope");
    refuse(h, "POST", M "/model-versions/create",
           "{\"name\":\"m\",\"source\":\"mlflow-artifacts:/0/x\",\"run_id\":\"nope\"}", 400,
           "INVALID_PARAMETER_VALUE", "The run_id request parameter must identify");
    refuse(h, "POST", M "/model-versions/create",
           "{\"name\":\"m\",\"source\":\"mlflow-artifacts:/0\"}", 400, "INVALID_PARAMETER_VALUE",
           "The run_id request parameter must identify");
    refuse(h, "POST", M "/model-versions/create",
           "{\"name\":\"m\",\"source\":\"mlflow-artifacts:/0\",\"tags\":[{\"key\":"
           "\"mlflow.prompt.is_prompt\",\"value\":\"true\"}]}",
           400, "INVALID_PARAMETER_VALUE", "Invalid prompt source");
}

static void test_models(void **state)
{
    struct harness *h = *state;
    char id[40];
    want(h, "POST", M "/registered-models/create",
         "{\"name\":\"a\",\"description\":\"d\",\"tags\":[{\"key\":\"k\",\"value\":\"v\"}]}", 200,
         NULL);
    refuse(h, "POST", M "/registered-models/create", "{\"name\":\"a\"}", 400,
           "RESOURCE_ALREADY_EXISTS", "Registered Model (name=a) already exists.");
    refuse(h, "POST", M "/registered-models/create", "{\"name\":\"a/b\"}", 400,
           "INVALID_PARAMETER_VALUE", "Names cannot contain '/' or ':'");
    refuse(h, "POST", M "/registered-models/create", "{\"name\":\" \"}", 400,
           "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'name'");
    refuse(h, "GET", M "/registered-models/get?name=zz", NULL, 404, "RESOURCE_DOES_NOT_EXIST",
           "Registered Model with name=zz not found");
    want(h, "PATCH", M "/registered-models/update", "{\"name\":\"a\",\"description\":\"e\"}", 200,
         NULL);
    assert_string_equal(text_at(h, "/registered_model/description"), "e");
    register_version(h, "b", "x", id);
    register_version(h, "b", "y", id);
    want(h, "POST", M "/model-versions/transition-stage",
         "{\"name\":\"b\",\"version\":\"1\",\"stage\":\"production\"}", 200, NULL);
    want(h, "POST", M "/model-versions/transition-stage",
         "{\"name\":\"b\",\"version\":\"2\",\"stage\":\"Production\",\"archive_existing_versions\":"
         "true}",
         200, NULL);
    want(h, "GET", M "/model-versions/get?name=b&version=1", NULL, 200, NULL);
    assert_string_equal(text_at(h, "/model_version/current_stage"), "Archived");
    refuse(h, "POST", M "/model-versions/transition-stage",
           "{\"name\":\"b\",\"version\":\"1\",\"stage\":\"Best\"}", 400, "INVALID_PARAMETER_VALUE",
           "Invalid Model Version stage: Best");
    want(h, "GET", M "/registered-models/get-latest-versions?name=b&stages=Production", NULL, 200,
         NULL);
    assert_string_equal(text_at(h, "/model_versions/0/version"), "2");
    want(h, "POST", M "/registered-models/get-latest-versions",
         "{\"name\":\"b\",\"stages\":[\"Staging\"]}", 200, "{}");
    want(h, "GET", M "/registered-models/search?filter=name%20ILIKE%20'A%25'", NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/registered_models")), 1);
    want(h, "GET", M "/registered-models/search?order_by=name%20DESC&max_results=1", NULL, 200,
         NULL);
    assert_string_equal(text_at(h, "/registered_models/0/name"), "b");
    assert_non_null(at(h, "/next_page_token"));
    want(h, "GET", M "/model-versions/search?filter=name%3D'b'", NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/model_versions")), 2);
    want(h, "GET",
         M "/model-versions/search?filter=version_number%3E1%20and%20name%3D'b'"
           "&order_by=version_number%20ASC",
         NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/model_versions")), 1);
    /* Prompts are hidden unless asked for. */
    want(h, "POST", M "/registered-models/create",
         "{\"name\":\"p\",\"tags\":[{\"key\":\"mlflow.prompt.is_prompt\",\"value\":\"true\"}]}",
         200, NULL);
    want(h, "GET", M "/registered-models/search", NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/registered_models")), 2);
    want(h, "POST", M "/registered-models/search",
         "{\"filter\":\"tags.`mlflow.prompt.is_prompt` = 'true'\"}", 200, NULL);
    assert_string_equal(text_at(h, "/registered_models/0/name"), "p");
    want(h, "POST", M "/registered-models/rename", "{\"name\":\"b\",\"new_name\":\"c\"}", 200,
         NULL);
    want(h, "GET", M "/model-versions/get?name=c&version=2", NULL, 200, NULL);
    want(h, "DELETE", M "/registered-models/delete", "{\"name\":\"c\"}", 200, "{}");
    assert_int_equal(ask(h, "GET", M "/model-versions/get?name=c&version=2", NULL), 404);
}

static void test_aliases(void **state)
{
    struct harness *h = *state;
    char id[40];
    register_version(h, "m", "x", id);
    register_version(h, "m", "y", id);
    const char *set = "{\"name\":\"m\",\"alias\":\"champion\",\"version\":\"1\"}";
    want(h, "POST", M "/registered-models/alias", set, 200, "{}");
    want(h, "POST", M "/registered-models/alias", set, 200, "{}");
    want(h, "POST", M "/registered-models/alias",
         "{\"name\":\"m\",\"alias\":\"champion\",\"version\":\"2\"}", 200, "{}");
    want(h, "GET", M "/registered-models/alias?name=m&alias=champion", NULL, 200, NULL);
    assert_string_equal(text_at(h, "/model_version/aliases/0"), "champion");
    want(h, "GET", M "/registered-models/alias?name=m&alias=Latest", NULL, 200, NULL);
    want(h, "GET", M "/registered-models/get?name=m", NULL, 200, NULL);
    assert_string_equal(text_at(h, "/registered_model/aliases/0/version"), "2");
    static const char *const reserved[] = {"latest", "LATEST", "v1", "V22"};
    for (size_t i = 0; i < 4; i++) {
        char body[128];
        snprintf(body, sizeof body, "{\"name\":\"m\",\"alias\":\"%s\",\"version\":\"1\"}",
                 reserved[i]);
        refuse(h, "POST", M "/registered-models/alias", body, 400, "INVALID_PARAMETER_VALUE",
               "reserved");
    }
    refuse(h, "POST", M "/registered-models/alias",
           "{\"name\":\"m\",\"alias\":\"a b\",\"version\":\"1\"}", 400, "INVALID_PARAMETER_VALUE",
           "Invalid alias name: 'a b'");
    refuse(h, "GET", M "/registered-models/alias?name=m&alias=no", NULL, 400,
           "INVALID_PARAMETER_VALUE", "Registered model alias no not found.");
    want(h, "DELETE", M "/registered-models/alias", "{\"name\":\"m\",\"alias\":\"champion\"}", 200,
         "{}");
    want(h, "DELETE", M "/registered-models/alias", "{\"name\":\"m\",\"alias\":\"champion\"}", 200,
         "{}");
    /* Every move is kept, the repeated one is none. */
    want(h, "GET", G "/models/m/aliases?alias=champion", NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/moves")), 3);
    assert_true(yyjson_is_null(at(h, "/moves/0/to")));
    assert_int_equal(yyjson_get_int(at(h, "/moves/1/from")), 1);
    assert_true(yyjson_is_null(at(h, "/moves/2/from")));
    want(h, "GET", G "/models/m/aliases", NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/moves")), 3);
    want(h, "GET", G "/events?kind=alias", NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/events")), 3);
    assert_string_equal(text_at(h, "/events/0/data/alias"), "champion");
    /* Deleting the version takes its aliases along. */
    want(h, "POST", M "/registered-models/alias", set, 200, "{}");
    want(h, "DELETE", M "/model-versions/delete", "{\"name\":\"m\",\"version\":\"1\"}", 200, "{}");
    refuse(h, "GET", M "/registered-models/alias?name=m&alias=champion", NULL, 400,
           "INVALID_PARAMETER_VALUE", "not found");
}

/* ---- the gate ---- */

struct judge {
    const char *digest;
    bool blessed;
};

static gy_status protect(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    return gy_protect_alias(db, GY_STR("m"), GY_STR("champion"), GY_STR("g"), false, GY_STR("test"),
                            err);
}

static gy_status judge(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct judge *j = ctx;
    char id[40];
    struct gy_verdict v = {
        .model_digest = gy_str_c(j->digest),
        .model_name = GY_STR("m"),
        .model_version = GY_STR("1"),
        .gate = GY_STR("g"),
        .blessed = j->blessed,
        .checks = GY_STR("[]"),
        .actor = GY_STR("test"),
    };
    return gy_verdict_add(db, &v, id, err);
}

static void test_gate(void **state)
{
    struct harness *h = *state;
    char id[40], digest[GY_SHA256_HEX], path[256];
    register_version(h, "m", "x", id);
    digest_of_one("x", digest);
    assert_int_equal(gy_store_write(h->app->store, protect, NULL, NULL), GY_OK);
    const char *set = "{\"name\":\"m\",\"alias\":\"champion\",\"version\":\"1\"}";
    refuse(h, "POST", M "/registered-models/alias", set, 403, "PERMISSION_DENIED", "");
    want(h, "POST", M "/registered-models/alias",
         "{\"name\":\"m\",\"alias\":\"other\",\"version\":\"1\"}", 200, "{}");
    struct judge no = {digest, false}, yes = {digest, true};
    assert_int_equal(gy_store_write(h->app->store, judge, &no, NULL), GY_OK);
    refuse(h, "POST", M "/registered-models/alias", set, 403, "PERMISSION_DENIED", "");
    assert_int_equal(gy_store_write(h->app->store, judge, &yes, NULL), GY_OK);
    want(h, "POST", M "/registered-models/alias", set, 200, "{}");
    /* Neither new bytes below a judged version ... */
    snprintf(path, sizeof path, A "/0/%s/artifacts/model/MLmodel", id);
    assert_int_equal(ask_as(h, NULL, "PUT", path, GY_STR("evil")), 409);
    assert_string_equal(text_at(h, "/error_code"), "RESOURCE_CONFLICT");
    assert_int_equal(ask_as(h, NULL, "PUT", path, GY_STR("x")), 200); /* a retry */
    assert_int_equal(ask(h, "DELETE", path, NULL), 409);
    snprintf(path, sizeof path, A "/0/%s", id);
    assert_int_equal(ask(h, "DELETE", path, NULL), 409);
    /* ... nor a file beside them ... */
    snprintf(path, sizeof path, A "/0/%s/artifacts/model/code/more.py", id);
    assert_int_equal(ask_as(h, NULL, "PUT", path, GY_STR("evil")), 409);
    register_version(h, "m", "y", id); /* before anybody has judged it, one may */
    snprintf(path, sizeof path, "0/%s/artifacts/model/more.py", id);
    upload(h, path, "evil");
    digest_of_one("y", digest);
    assert_int_equal(gy_store_write(h->app->store, judge, &yes, NULL), GY_OK);
    refuse(h, "POST", M "/registered-models/alias",
           "{\"name\":\"m\",\"alias\":\"champion\",\"version\":\"2\"}", 403, "PERMISSION_DENIED",
           "were changed after it was registered");
    /* ... nor renaming another model gets round the gate. */
    register_version(h, "shadow", "evil", id);
    want(h, "POST", M "/registered-models/alias",
         "{\"name\":\"shadow\",\"alias\":\"champion\",\"version\":\"1\"}", 200, "{}");
    want(h, "DELETE", M "/registered-models/delete", "{\"name\":\"m\"}", 200, "{}");
    refuse(h, "POST", M "/registered-models/rename", "{\"name\":\"shadow\",\"new_name\":\"m\"}",
           403, "PERMISSION_DENIED", "");
}

/* A model takes its protections along when it is renamed; the free name keeps them, too. */
static void test_renamed_model_stays_protected(void **state)
{
    struct harness *h = *state;
    char id[40];
    register_version(h, "m", "x", id);
    assert_int_equal(gy_store_write(h->app->store, protect, NULL, NULL), GY_OK);
    want(h, "POST", M "/registered-models/rename", "{\"name\":\"m\",\"new_name\":\"free\"}", 200,
         NULL);
    refuse(h, "POST", M "/registered-models/alias",
           "{\"name\":\"free\",\"alias\":\"champion\",\"version\":\"1\"}", 403, "PERMISSION_DENIED",
           "");
    register_version(h, "m", "y", id);
    refuse(h, "POST", M "/registered-models/alias",
           "{\"name\":\"m\",\"alias\":\"champion\",\"version\":\"1\"}", 403, "PERMISSION_DENIED",
           "");
}

/* MLflow splits at '/' before '@'. */
static void test_name_with_an_at(void **state)
{
    struct harness *h = *state;
    char id[40];
    register_version(h, "a@b", "x", id);
    want(h, "POST", M "/registered-models/alias",
         "{\"name\":\"a@b\",\"alias\":\"c\",\"version\":\"1\"}", 200, "{}");
    want(h, "GET", "/api/gyre/v1/models/resolve?ref=models:/a@b/1", NULL, 200, NULL);
    want(h, "GET", "/api/gyre/v1/models/resolve?ref=models:/a@b@c", NULL, 200, NULL);
    assert_int_equal(ask(h, "GET", "/api/gyre/v1/models/resolve?ref=models:/a@b", NULL), 404);
}

/* ---- checkout ---- */

static gy_status resolve_m(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct {
        struct gy_arena a;
        struct gy_model_version v;
    } *x = ctx;
    return gy_registry_resolve(db, GY_STR("models:/m/1"), &x->a, &x->v, err);
}

static void test_checkout(void **state)
{
    struct harness *h = *state;
    char id[40], body[1024], path[256], dir[256];
    want(h, "POST", M "/runs/create", "{\"experiment_id\":\"0\"}", 200, NULL);
    snprintf(id, sizeof id, "%s", text_at(h, "/run/info/run_id"));
    snprintf(path, sizeof path, "0/%s/artifacts/model/MLmodel", id);
    upload(h, path, "top");
    snprintf(path, sizeof path, "0/%s/artifacts/model/data/x/y.bin", id);
    upload(h, path, "deep");
    want(h, "POST", M "/registered-models/create", "{\"name\":\"m\"}", 200, NULL);
    snprintf(body, sizeof body,
             "{\"name\":\"m\",\"source\":\"mlflow-artifacts:/0/%s/artifacts/model\"}", id);
    want(h, "POST", M "/model-versions/create", body, 200, NULL);
    struct {
        struct gy_arena a;
        struct gy_model_version v;
    } x;
    gy_arena_init(&x.a, 1 << 20);
    assert_int_equal(gy_store_read(h->app->store, resolve_m, &x, NULL), GY_OK);
    snprintf(dir, sizeof dir, "%s/out", h->dir);
    struct gy_err err = GY_ERR_INIT;
    if (gy_registry_checkout(h->app->store, h->app->objects, &x.v, dir, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, 100);
    snprintf(path, sizeof path, "%s/data/x/y.bin", dir);
    assert_int_equal(gy_file_read(path, &bytes, NULL), GY_OK);
    assert_string_equal(bytes.p, "deep");
    /* Again: reused. Changed: refused. */
    assert_int_equal(gy_registry_checkout(h->app->store, h->app->objects, &x.v, dir, NULL), GY_OK);
    snprintf(path, sizeof path, "%s/extra", dir);
    assert_int_equal(gy_file_write(path, GY_STR("x"), 0644, NULL), GY_OK);
    assert_int_equal(gy_registry_checkout(h->app->store, h->app->objects, &x.v, dir, NULL),
                     GY_E_EXISTS);
    gy_arena_done(&x.a);
}

/* ---- logged models ---- */

static void test_logged_models(void **state)
{
    struct harness *h = *state;
    char text[4096], id[40], run[40];
    want(h, "POST", M "/runs/create", "{\"experiment_id\":\"0\"}", 200, NULL);
    snprintf(run, sizeof run, "%s", text_at(h, "/run/info/run_id"));
    want(h, "POST", M "/logged-models",
         fmt(text,
             "{\"experiment_id\":\"0\",\"name\":\"lm\",\"source_run_id\":\"@@\",\"params\":[{"
             "\"key\":\"p\",\"value\":\"1\"}],\"tags\":[{\"key\":\"t\",\"value\":\"2\"}]}",
             run),
         200, NULL);
    snprintf(id, sizeof id, "%s", text_at(h, "/model/info/model_id"));
    assert_int_equal(strlen(id), 34);
    assert_string_equal(text_at(h, "/model/info/status"), "LOGGED_MODEL_PENDING");
    assert_string_equal(text_at(h, "/model/data/params/0/value"), "1");
    char expected[256];
    snprintf(expected, sizeof expected, "mlflow-artifacts:/0/models/%s/artifacts", id);
    assert_string_equal(text_at(h, "/model/info/artifact_uri"), expected);
    snprintf(expected, sizeof expected, "0/models/%s/artifacts/MLmodel", id);
    upload(h, expected, "flavors");
    want(h, "GET", fmt(text, M "/logged-models/@@/artifacts/directories", id), NULL, 200, NULL);
    assert_string_equal(text_at(h, "/files/0/path"), "MLmodel");
    want(h, "PATCH", fmt(text, M "/logged-models/@@", id), "{\"status\":2}", 200, NULL);
    assert_string_equal(text_at(h, "/model/info/status"), "LOGGED_MODEL_READY");
    want(h, "PATCH", fmt(text, M "/logged-models/@@/tags", id),
         "{\"tags\":[{\"key\":\"u\",\"value\":\"3\"}]}", 200, NULL);
    want(h, "DELETE", fmt(text, M "/logged-models/@@/tags/u", id), NULL, 200, "{}");
    refuse(h, "DELETE", fmt(text, M "/logged-models/@@/tags/u", id), NULL, 404,
           "RESOURCE_DOES_NOT_EXIST", "No tag with key 'u' found");
    want(h, "POST", fmt(text, M "/logged-models/@@/params", id),
         "{\"params\":[{\"key\":\"p\",\"value\":\"1\"}]}", 200, "{}");
    assert_int_equal(ask(h, "POST", fmt(text, M "/logged-models/@@/params", id),
                         "{\"params\":[{\"key\":\"p\",\"value\":\"9\"}]}"),
                     400);
    char body[4096];
    snprintf(body, sizeof body,
             "{\"run_id\":\"%s\",\"metrics\":[{\"key\":\"f1\",\"value\":0.5,\"timestamp\":1,"
             "\"model_id\":\"%s\",\"dataset_name\":\"d\",\"dataset_digest\":\"x\"}]}",
             run, id);
    want(h, "POST", M "/runs/log-batch", body, 200, "{}");
    want(h, "POST", M "/runs/log-batch", body, 200, "{}");
    want(h, "GET", fmt(text, M "/logged-models/@@", id), NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/model/data/metrics")), 1);
    assert_string_equal(text_at(h, "/model/data/metrics/0/dataset_name"), "d");
    static const struct {
        const char *more;
        size_t n;
    } searches[] = {
        {"", 1},
        {",\"filter\":\"name = 'lm' AND metrics.f1 > 0.4 AND params.p = '1'\"", 1},
        {",\"filter\":\"metrics.f1 > 0.6\"", 0},
        {",\"filter\":\"metrics.f1 > 0.4\",\"datasets\":[{\"dataset_name\":\"d\"}]", 1},
        {",\"filter\":\"metrics.f1 > 0.4\",\"datasets\":[{\"dataset_name\":\"e\"}]", 0},
        {",\"datasets\":[{\"dataset_name\":\"d\",\"dataset_digest\":\"x\"}]", 1},
        {",\"filter\":\"status = 'READY'\"", 1},
        {",\"order_by\":[{\"field_name\":\"metrics.f1\",\"ascending\":false,\"dataset_name\":\"d\"}"
         "]",
         1},
    };
    for (size_t i = 0; i < sizeof searches / sizeof searches[0]; i++) {
        snprintf(body, sizeof body, "{\"experiment_ids\":[\"0\"]%s}", searches[i].more);
        want(h, "POST", M "/logged-models/search", body, 200, NULL);
        assert_int_equal(yyjson_arr_size(at(h, "/models")), searches[i].n);
    }
    want(h, "POST", M "/logged-models", "{\"experiment_id\":\"0\"}", 200, NULL);
    want(h, "POST", M "/logged-models/search", "{\"experiment_ids\":[\"0\"],\"max_results\":1}",
         200, NULL);
    char token[512];
    snprintf(token, sizeof token, "%s", text_at(h, "/next_page_token"));
    snprintf(body, sizeof body,
             "{\"experiment_ids\":[\"0\"],\"max_results\":1,\"page_token\":\"%s\"}", token);
    want(h, "POST", M "/logged-models/search", body, 200, NULL);
    assert_string_equal(text_at(h, "/models/0/info/model_id"), id);
    assert_null(at(h, "/next_page_token"));
    snprintf(body, sizeof body,
             "{\"experiment_ids\":[\"0\"],\"filter\":\"name = 'x'\",\"page_token\":\"%s\"}", token);
    assert_int_equal(ask(h, "POST", M "/logged-models/search", body), 400);
    refuse(h, "POST", M "/logged-models", "{\"experiment_id\":\"0\",\"name\":\"a/b\"}", 400,
           "INVALID_PARAMETER_VALUE", "Invalid model name");
    want(h, "POST", M "/registered-models/create", "{\"name\":\"reg\"}", 200, NULL);
    want(h, "POST", M "/model-versions/create",
         fmt(text, "{\"name\":\"reg\",\"source\":\"models:/@@\"}", id), 200, NULL);
    assert_string_equal(text_at(h, "/model_version/run_id"), run);
    want(h, "GET", fmt(text, M "/logged-models/@@", id), NULL, 200, NULL);
    assert_non_null(strstr(h->last.body.p, "[{\\\"name\\\": \\\"reg\\\", \\\"version\\\": 1}]"));
    want(h, "DELETE", fmt(text, M "/logged-models/@@", id), NULL, 200, "{}");
    refuse(h, "GET", fmt(text, M "/logged-models/@@", id), NULL, 404, "RESOURCE_DOES_NOT_EXIST",
           "not found.");
    want(h, "GET", fmt(text, M "/logged-models/@@?allow_deleted=True", id), NULL, 200, NULL);
}

/* ---- where a run came from ---- */

static void test_origin_tags(void **state)
{
    struct harness *h = *state;
    char id[40], text[4096];
    want(h, "POST", M "/runs/create",
         "{\"experiment_id\":\"0\",\"tags\":[{\"key\":\"gyre.data_sha256\",\"value\":\"abc\"},{"
         "\"key\":\"gyre.dataset\",\"value\":\"sepsis@3\"}]}",
         200, NULL);
    snprintf(id, sizeof id, "%s", text_at(h, "/run/info/run_id"));
    want(h, "POST", M "/runs/set-tag",
         fmt(text, "{\"run_id\":\"@@\",\"key\":\"gyre.code_revision\",\"value\":\"c0de+dirty\"}",
             id),
         200, "{}");
    want(h, "GET", fmt(text, G "/lineage?node=run:@@&direction=up", id), NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/edges")), 3);
    assert_non_null(strstr(h->last.body.p, "\"from\":\"data:abc\",\"rel\":\"input\""));
    assert_non_null(strstr(h->last.body.p, "\"from\":\"dataset:sepsis/3\",\"rel\":\"input\""));
    assert_non_null(strstr(h->last.body.p, "\"from\":\"code:c0de+dirty\",\"rel\":\"code\""));
    want(h, "GET", G "/lineage?node=data:abc&direction=down", NULL, 200, NULL);
    assert_int_equal(yyjson_arr_size(at(h, "/edges")), 1);
    assert_int_equal(ask(h, "GET", G "/lineage", NULL), 400);
    assert_int_equal(ask(h, "GET", G "/lineage?node=x&direction=sideways", NULL), 400);
    assert_int_equal(ask(h, "GET", G "/events?after=-1", NULL), 400);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)
    const struct CMUnitTest tests[] = {
        T(test_artifacts),       T(test_paths_that_lead_elsewhere),
        T(test_run_artifacts),   T(test_versions),
        T(test_sources),         T(test_models),
        T(test_aliases),         T(test_gate),
        T(test_name_with_an_at), T(test_renamed_model_stays_protected),
        T(test_checkout),        T(test_logged_models),
        T(test_origin_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
