/* SPDX-License-Identifier: Apache-2.0 */
/* Model packages made by hand, and a scratch folder to put them in. */
#ifndef GY_TEST_SERVE_PACKAGE_H
#define GY_TEST_SERVE_PACKAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "serve/endpoint.h"

#define FEATURE "{\"impute\":\"constant\",\"fill\":0}"
#define INPUTS                                                                                 \
    "\"inputs\":[{\"name\":\"HR\",\"type\":\"int\",\"min\":60,\"max\":250,\"required\":true}," \
    "{\"name\":\"Resp\",\"type\":\"int\",\"min\":12,\"max\":35},"                              \
    "{\"name\":\"Temp\",\"type\":\"float\",\"min\":35,\"max\":42.3}],"                         \
    "\"features\":[" FEATURE "," FEATURE "," FEATURE "]"
#define HEAD(task) \
    "{\"format\":\"gyre.model/1\",\"task\":\"" task "\",\"target\":\"isSepsis\"," INPUTS
/* p = sigmoid((HR - 90) / 10) */
#define BINARY(intercept)                                                              \
    HEAD("binary")                                                                     \
    ",\"learner\":{\"name\":\"logistic\",\"params\":{},\"values\":[0.1,0,0," intercept \
    "]},\"classes\":[\"0\",\"1\"],\"threshold\":0.5}"
#define MODEL_HR BINARY("-9")
#define MODEL_NEVER BINARY("-1000")
#define MODEL_ALWAYS BINARY("1000")
#define MODEL_SUM \
    HEAD("regression") ",\"learner\":{\"name\":\"linear\",\"params\":{},\"values\":[1,1,1,0]}}"
#define MODEL_NAMES                                                           \
    HEAD("multiclass")                                                        \
    ",\"learner\":{\"name\":\"majority\",\"params\":{},\"values\":[0.25,0.5," \
    "0.25]},\"classes\":[\"low\",\"m\\\"id\",\"high\"]}"

/* A package of that model.json in root/name; its digest. */
static void GY_UNUSED package_make(const char *root, const char *name, const char *model,
                                   char dir[GY_MAX_PATH], char digest[GY_SHA256_HEX])
{
    char path[GY_MAX_PATH];
    assert_int_equal(gy_path_join(dir, GY_MAX_PATH, root, name, NULL), GY_OK);
    assert_int_equal(gy_dir_make(dir, NULL), GY_OK);
    assert_int_equal(gy_path_join(path, sizeof path, dir, "model.json", NULL), GY_OK);
    assert_int_equal(gy_file_write(path, gy_str_c(model), 0644, NULL), GY_OK);
    assert_int_equal(gy_package_digest(dir, digest, NULL), GY_OK);
}

static gy_status GY_UNUSED endpoint_try(const char *root, const char *name, uint32_t revision,
                                        const char *model, const char *config,
                                        struct gy_endpoint **ret, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    char digest[GY_SHA256_HEX];
    char folder[64];
    char version[16];
    (void)snprintf(folder, sizeof folder, "%s-%u", name, revision);
    (void)snprintf(version, sizeof version, "%u", revision);
    package_make(root, folder, model, dir, digest);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    assert_int_equal(gy_json_parse(gy_str_c(config), &doc, NULL), GY_OK);
    const struct gy_endpoint_spec spec = {.name = gy_str_c(name),
                                          .model_name = GY_STR("m"),
                                          .version = gy_str_c(version),
                                          .digest = gy_str_c(digest),
                                          .revision = revision,
                                          .package_dir = dir,
                                          .config = yyjson_doc_get_root(doc)};
    return gy_endpoint_build(&spec, ret, err);
}

GY_UNUSED static struct gy_endpoint *endpoint_make(const char *root, const char *name,
                                                   uint32_t revision, const char *model,
                                                   const char *config)
{
    struct gy_endpoint *e = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (endpoint_try(root, name, revision, model, config, &e, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    return e;
}

#endif
