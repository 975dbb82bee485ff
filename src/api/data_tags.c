/* SPDX-License-Identifier: Apache-2.0 */
/* Routes of what is said of datasets, what they come from and lead to, and their end.
 *   PATCH  /datasets/{name} {"description"}
 *   GET    /datasets/{name}/tags                  -> {"tags":[{tag,version,actor,time}],"changes"}
 *   PUT    /datasets/{name}/tags/{tag} {"version": 3 | "v1.0" | "latest", "force", "reason"}
 *   DELETE /datasets/{name}/tags/{tag}
 *   GET    /datasets/{name}/versions/{version}/lineage  -> {"upstream":[edges],"downstream":[..],
 *                                                     "used_by":[nodes]}
 *   DELETE /datasets/{name}/versions/{version} ?plan=true&force=true
 *   POST   /datasets/{name}/versions/{version}/restore */
#include <stdio.h>

#include "api/data_internal.h"
#include "store/lineage.h"

#define MAX_CHANGES 1000 /* of tags, in one answer */
#define MAX_EDGES 1000   /* of lineage, each way */
#define VERSION GY_DATASETS_PATH "/{name}/versions/{version}"

/* ---- descriptions and tags ---- */

struct describe_call {
    struct gy_str name, description, actor;
};

static gy_status describe_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct describe_call *c = ctx;
    return gy_dataset_describe(db, c->name, c->description, c->actor, err);
}

static gy_status patch_dataset(void *ctx, struct gy_request *req, struct gy_reply *reply,
                               struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct describe_call call = {.name = gy_req_param(req, "name"), .actor = req->actor};
    GY_TRY(gy_dataset_check_name(call.name, err));
    GY_TRY(gy_api_object(req, GY_DATASET_MAX_TEXT * 8, &doc, err));
    GY_TRY(gy_api_text(yyjson_doc_get_root(doc), "description", GY_DATASET_MAX_TEXT,
                       &call.description, err));
    GY_TRY(gy_store_write(app->store, describe_closure, &call, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 8 * GY_DATASET_MAX_TEXT);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", call.name);
    gy_jw_kv_str(&w, "description", call.description);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

struct tags_call {
    struct gy_str name;
    struct gy_arena *arena;
    struct gy_dataset_tag *tags;
    struct gy_dataset_tag_change *changes;
    size_t n_tags, n_changes;
};

static gy_status tags_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct tags_call *c = ctx;
    struct gy_dataset_version *versions = NULL;
    size_t n = 0;
    GY_TRY(gy_dataset_tags(db, c->name, c->arena, &c->tags, &c->n_tags, err));
    GY_TRY(gy_dataset_tag_changes(db, c->name, MAX_CHANGES, c->arena, &c->changes, &c->n_changes,
                                  err));
    if (c->n_tags > 0 || c->n_changes > 0) {
        return GY_OK;
    }
    GY_TRY(gy_dataset_list(db, c->name, false, c->arena, &versions, &n, err));
    return n > 0 ? GY_OK
                 : gy_err_set(err, GY_E_NOTFOUND, "no dataset '%" GY_STR_F "'", GY_STR_A(c->name));
}

static void write_change(struct gy_jw *w, const struct gy_dataset_tag_change *c)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "tag", c->tag);
    gy_jw_key(w, "from");
    c->from_version ? gy_jw_i64(w, c->from_version) : gy_jw_null(w);
    gy_jw_key(w, "to");
    c->to_version ? gy_jw_i64(w, c->to_version) : gy_jw_null(w);
    gy_jw_kv_str(w, "reason", c->reason);
    gy_jw_kv_str(w, "actor", c->actor);
    gy_api_kv_time(w, "time", c->time_us);
    gy_jw_obj_end(w);
}

static gy_status get_tags(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct tags_call call = {.name = gy_req_param(req, "name"), .arena = req->arena};
    GY_TRY(gy_dataset_check_name(call.name, err));
    GY_TRY(gy_store_read(app->store, tags_closure, &call, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", call.name);
    gy_jw_key(&w, "tags");
    gy_jw_arr(&w);
    for (size_t i = 0; i < call.n_tags; i++) {
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "tag", call.tags[i].tag);
        gy_jw_kv_i64(&w, "version", call.tags[i].version);
        gy_jw_kv_str(&w, "actor", call.tags[i].actor);
        gy_api_kv_time(&w, "time", call.tags[i].time_us);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "changes");
    gy_jw_arr(&w);
    for (size_t i = 0; i < call.n_changes; i++) {
        write_change(&w, &call.changes[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

struct tag_call {
    struct gy_dataset_tagging t;
    const char *ref; /* NULL: take off */
    struct gy_arena *arena;
    int64_t from;
};

static gy_status tag_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct tag_call *c = ctx;
    struct gy_dataset_version v;
    if (c->ref) {
        GY_TRY(gy_dataset_resolve(db, gy_str_c(c->ref), c->arena, &v, err));
        c->t.version = v.version;
    }
    return gy_dataset_tag(db, &c->t, &c->from, err);
}

static gy_status answer_tag(struct gy_reply *reply, const struct tag_call *c, int status,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", c->t.name);
    gy_jw_kv_str(&w, "tag", c->t.tag);
    gy_jw_key(&w, "version");
    c->t.version ? gy_jw_i64(&w, c->t.version) : gy_jw_null(&w);
    gy_jw_key(&w, "from");
    c->from ? gy_jw_i64(&w, c->from) : gy_jw_null(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, status, &out, err);
}

/* "version" of the body: a number, or what can stand behind NAME@. */
static gy_status read_ref(struct gy_request *req, yyjson_val *body, struct gy_str name,
                          const char **ret, struct gy_err *err)
{
    yyjson_val *v = gy_json_get(body, "version");
    struct gy_str text = GY_STR("latest");
    int64_t number = 0;
    if (v && yyjson_is_str(v)) {
        text = gy_str_sub(gy_json_val_str(v), 0, GY_DATASET_MAX_TAG + 1);
    } else if (v) {
        GY_TRY(gy_json_need_i64(body, "version", &number, err));
    }
    *ret = number ? gy_arena_printf(req->arena, "%" GY_STR_F "@%lld", GY_STR_A(name),
                                    (long long)number)
                  : gy_arena_printf(req->arena, "%" GY_STR_F "@%" GY_STR_F, GY_STR_A(name),
                                    GY_STR_A(text));
    return *ret ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

static gy_status put_tag(void *ctx, struct gy_request *req, struct gy_reply *reply,
                         struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct tag_call call = {.t = {.name = gy_req_param(req, "name"),
                                  .tag = gy_req_param(req, "tag"),
                                  .actor = req->actor},
                            .arena = req->arena};
    GY_TRY(gy_dataset_check_name(call.t.name, err));
    GY_TRY(gy_api_object(req, GY_DATASET_MAX_TEXT * 8, &doc, err));
    yyjson_val *body = yyjson_doc_get_root(doc);
    GY_TRY(read_ref(req, body, call.t.name, &call.ref, err));
    GY_TRY(gy_api_text(body, "reason", GY_DATASET_MAX_TEXT, &call.t.reason, err));
    call.t.force = gy_json_bool(body, "force", false);
    GY_TRY(gy_store_write(app->store, tag_closure, &call, err));
    return answer_tag(reply, &call, call.from ? 200 : 201, err);
}

static gy_status delete_tag(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct tag_call call = {.t = {.name = gy_req_param(req, "name"),
                                  .tag = gy_req_param(req, "tag"),
                                  .actor = req->actor},
                            .arena = req->arena};
    GY_TRY(gy_dataset_check_name(call.t.name, err));
    GY_TRY(gy_api_reason(req, &call.t.reason, err));
    GY_TRY(gy_store_write(app->store, tag_closure, &call, err));
    return answer_tag(reply, &call, 200, err);
}

/* ---- lineage ---- */

struct lineage_call {
    const struct gy_dataset_version *v;
    struct gy_arena *arena;
    struct gy_lineage_edge *up, *down;
    size_t n_up, n_down;
    struct gy_dataset_uses uses;
};

/* Both nodes of a version have edges: its bytes ("data:") and its name ("dataset:"). Upstream of
 * the name are the bytes; downstream of the bytes is the name. */
static gy_status lineage_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct lineage_call *c = ctx;
    const struct gy_dataset_version *v = c->v;
    char *data = gy_arena_printf(c->arena, "data:%" GY_STR_F, GY_STR_A(v->sha256));
    char *dataset = gy_arena_printf(c->arena, "dataset:%" GY_STR_F "/%lld", GY_STR_A(v->name),
                                    (long long)v->version);
    if (!data || !dataset) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(gy_lineage_nearest(db, gy_str_c(dataset), true, MAX_EDGES, c->arena, &c->up, &c->n_up,
                              err));
    GY_TRY(gy_lineage_nearest(db, gy_str_c(data), false, MAX_EDGES, c->arena, &c->down, &c->n_down,
                              err));
    return gy_dataset_used_by(db, v, c->arena, &c->uses, err);
}

static void write_uses(struct gy_jw *w, const struct gy_dataset_uses *u)
{
    gy_jw_key(w, "used_by");
    gy_jw_arr(w);
    for (size_t i = 0; i < u->n; i++) {
        gy_jw_str(w, u->nodes[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_kv_bool(w, "used_by_more", u->more);
}

static gy_status get_lineage(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct gy_dataset_version v;
    GY_TRY(gy_api_dataset_of(app, req, &v, err));
    struct lineage_call call = {.v = &v, .arena = req->arena};
    GY_TRY(gy_store_read(app->store, lineage_closure, &call, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", v.name);
    gy_jw_kv_i64(&w, "version", v.version);
    gy_jw_kv_str(&w, "sha256", v.sha256);
    gy_api_kv_edges(&w, "upstream", call.up, call.n_up);
    gy_api_kv_edges(&w, "downstream", call.down, call.n_down);
    gy_jw_kv_bool(&w, "more", call.n_up == MAX_EDGES || call.n_down == MAX_EDGES);
    write_uses(&w, &call.uses);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- the end ---- */

struct end_call {
    struct gy_str name, reason, actor;
    int64_t version;
    bool force, plan;
    struct gy_arena *arena;
    struct gy_dataset_version v;
    struct gy_dataset_uses uses;
};

static gy_status plan_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct end_call *c = ctx;
    GY_TRY(gy_dataset_get(db, c->name, c->version, c->arena, &c->v, err));
    if (c->v.deleted_us) {
        return gy_err_set(err, GY_E_NOTFOUND, "%" GY_STR_F "@%lld was deleted already",
                          GY_STR_A(c->name), (long long)c->version);
    }
    return gy_dataset_used_by(db, &c->v, c->arena, &c->uses, err);
}

static gy_status delete_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct end_call *c = ctx;
    GY_TRY(plan_closure(db, ctx, err));
    return gy_dataset_delete(db, c->name, c->version, c->force, c->reason, c->actor, err);
}

static gy_status answer_end(struct gy_reply *reply, const struct end_call *c, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", c->name);
    gy_jw_kv_i64(&w, "version", c->version);
    gy_jw_kv_bool(&w, "deleted", !c->plan);
    gy_jw_kv_str(&w, "sha256", c->v.sha256);
    gy_jw_kv_i64(&w, "size", c->v.size_bytes);
    gy_jw_kv_i64(&w, "rows", c->v.rows);
    write_uses(&w, &c->uses);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status delete_version(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct end_call call = {.actor = req->actor, .arena = req->arena};
    GY_TRY(gy_api_dataset_number(req, &call.name, &call.version, err));
    GY_TRY(gy_api_query_flag(req, "force", &call.force, err));
    GY_TRY(gy_api_query_flag(req, "plan", &call.plan, err));
    GY_TRY(gy_api_reason(req, &call.reason, err));
    GY_TRY(call.plan ? gy_store_read(app->store, plan_closure, &call, err)
                     : gy_store_write(app->store, delete_closure, &call, err));
    return answer_end(reply, &call, err);
}

static gy_status restore_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct end_call *c = ctx;
    return gy_dataset_restore(db, c->name, c->version, c->actor, err);
}

static gy_status post_restore(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct end_call call = {.actor = req->actor, .arena = req->arena};
    GY_TRY(gy_api_dataset_number(req, &call.name, &call.version, err));
    GY_TRY(gy_store_write(app->store, restore_closure, &call, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 16 * GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", call.name);
    gy_jw_kv_i64(&w, "version", call.version);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"PATCH", GY_DATASETS_PATH "/{name}", patch_dataset, NULL, 8 * GY_DATASET_MAX_TEXT,
     "Say what a dataset is", GY_ACCESS_OPERATOR, GY_ROUTE_SCOPED},
    {"GET", GY_DATASETS_PATH "/{name}/tags", get_tags, NULL, 0,
     "The tags of a dataset and how they moved", GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"PUT", GY_DATASETS_PATH "/{name}/tags/{tag}", put_tag, NULL, 8 * GY_DATASET_MAX_TEXT,
     "Let a tag name a version; one that names another moves only with force", GY_ACCESS_OPERATOR,
     GY_ROUTE_SCOPED},
    {"DELETE", GY_DATASETS_PATH "/{name}/tags/{tag}", delete_tag, NULL, 0, "Take a tag off",
     GY_ACCESS_OPERATOR, GY_ROUTE_SCOPED},
    {"GET", VERSION "/lineage", get_lineage, NULL, 0,
     "What a dataset version comes from, what it led to, and what stands on it", GY_ACCESS_DEFAULT,
     GY_ROUTE_SCOPED},
    {"DELETE", VERSION, delete_version, NULL, 0,
     "Mark a dataset version as deleted; one that is used only with force; plan: only tell",
     GY_ACCESS_OPERATOR, GY_ROUTE_SCOPED},
    {"POST", VERSION "/restore", post_restore, NULL, GY_KIB,
     "Take the deletion of a dataset version back", GY_ACCESS_OPERATOR, GY_ROUTE_SCOPED},
};

gy_status gy_api_data_tags_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
