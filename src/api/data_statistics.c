/* SPDX-License-Identifier: Apache-2.0 */
/* GET /datasets/{name}/versions/{version}/statistics: gyre.statistics/1 of the version's bytes,
 * gathered when it is asked for first, then kept as an object. */
#include <unistd.h>

#include "api/data_internal.h"
#include "api/data_work.h"
#include "data/statistics.h"
#include "net/file_answer.h"

struct statistics_call {
    struct gy_app *app;
    const struct gy_dataset_version *v;
    char sha256[GY_SHA256_HEX];
    int64_t size;
};

static gy_status gather(struct statistics_call *c, struct gy_buf *out, struct gy_err *err)
{
    GY_AUTO_DONE(gy_work_end) struct gy_work work = {.counted = false};
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    GY_AUTO(gy_statistics_free) struct gy_statistics *found = NULL;
    char path[64];
    int fd = -1;
    if (c->v->schema_json.p) {
        GY_TRY(gy_schema_parse(c->v->schema_json, "the version's schema", &schema, err));
    }
    GY_TRY(gy_work_turn(&work, err));
    GY_TRY(gy_work_object(c->app, c->v->sha256, path, &fd, err));
    const struct gy_statistics_options o = {.schema = schema, .delimiter = ','};
    GY_AUTO(gy_source_free) struct gy_source *source = NULL;
    gy_status status = gy_source_file(path, "data.csv", &source, err);
    if (status == GY_OK) {
        status = gy_statistics_source(source, &o, &found, err);
    }
    (void)close(fd); /* it was only read */
    GY_TRY(status);
    gy_statistics_json(found, out);
    return gy_buf_check(out, "the statistics", err);
}

static gy_status keep_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct statistics_call *c = ctx;
    return gy_dataset_set_statistics(db, c->v->name, c->v->version, gy_str_c(c->sha256), err);
}

static gy_status make(struct statistics_call *c, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_STATISTICS_MAX_BYTES);
    GY_TRY(gather(c, &out, err));
    GY_TRY(gy_objects_put(c->app->objects, gy_buf_str(&out), c->sha256, err));
    return gy_store_write(c->app->store, keep_closure, c, err);
}

static gy_status open_statistics(void *ctx, int *ret_fd, int64_t *ret_size, struct gy_err *err)
{
    struct statistics_call *c = ctx;
    return gy_objects_open_fd(c->app->objects, c->sha256, ret_fd, ret_size, err);
}

/* Whatever the table is called, this is the name of its file. */
static gy_status send(struct statistics_call *c, struct gy_request *req, struct gy_reply *reply,
                      struct gy_err *err)
{
    int fd = -1;
    GY_TRY(open_statistics(c, &fd, &c->size, err));
    (void)close(fd); /* only its size was asked for */
    struct gy_file_answer answer = {.open = open_statistics,
                                    .ctx = c,
                                    .size_bytes = c->size,
                                    .etag = gy_str_c(c->sha256),
                                    .content_type = GY_STR("application/json"),
                                    .name = GY_STR("statistics.json")};
    return gy_file_answer(req, reply, &answer, err);
}

static gy_status get_statistics(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                struct gy_err *err)
{
    struct gy_dataset_version v;
    struct statistics_call call = {.app = ctx, .v = &v};
    GY_TRY(gy_api_dataset_of(ctx, req, &v, err));
    if (v.gone_us) {
        return gy_err_set(err, GY_E_NOTFOUND, "the bytes of %" GY_STR_F "@%lld were given up",
                          GY_STR_A(v.name), (long long)v.version);
    }
    if (v.statistics_sha256.n == sizeof call.sha256 - 1) {
        memcpy(call.sha256, v.statistics_sha256.p, v.statistics_sha256.n);
    } else {
        GY_TRY(make(&call, err));
    }
    return send(&call, req, reply, err);
}

static const struct gy_route routes[] = {
    {"GET", GY_DATASETS_PATH "/{name}/versions/{version}/statistics", get_statistics, NULL, 0,
     "The statistics of a dataset version (gyre.statistics/1)", GY_ACCESS_DEFAULT,
     GY_ROUTE_SCOPED | GY_ROUTE_BULK},
};

gy_status gy_api_data_statistics_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
