/* SPDX-License-Identifier: Apache-2.0 */
/* How far the sources of a dataset were read (data/taken.h).
 *   GET /datasets/{name}/taken?source=S
 *       -> {"name","newest","continues","sources":[...],"version","watermark"}
 *   GET /datasets/{name}/taken/objects?source=S&after=&limit=
 *       -> {"objects":[[object, mark],...],"more"}, in bytewise order
 * What is taken is told beside the version that holds it, in POST /datasets:
 *   "taken": {"source","newest","restart","from":{"version","watermark"},"watermark",
 *             "objects":[[object, mark],...]} */
#include "api/data_taken.h"

#include "api/data_internal.h"

#define BASE GY_DATASETS_PATH

struct taken_call {
    struct gy_str name, source, after;
    int64_t limit;
    struct gy_arena *arena;
    struct gy_taken taken;
    struct gy_taken_object *objects;
    size_t n_objects;
};

static gy_status look_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct taken_call *c = ctx;
    return gy_taken_look(db, c->name, c->source, c->arena, &c->taken, err);
}

static gy_status objects_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct taken_call *c = ctx;
    /* One more tells whether there is more. */
    return gy_taken_objects(db, c->name, c->source, c->after, (size_t)c->limit + 1, c->arena,
                            &c->objects, &c->n_objects, err);
}

static gy_status read_call(struct gy_request *req, struct taken_call *c, struct gy_err *err)
{
    *c = (struct taken_call){.name = gy_req_param(req, "name"),
                             .source = gy_req_query(req, "source"),
                             .after = gy_req_query(req, "after"),
                             .arena = req->arena};
    c->after = c->after.p ? c->after : GY_STR("");
    GY_TRY(gy_dataset_check_name(c->name, err));
    return c->source.n > 0 && c->source.n <= GY_TAKEN_MAX_SOURCE
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "'source' is wanted, of 1 to %d bytes",
                            GY_TAKEN_MAX_SOURCE);
}

static gy_status get_taken(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct taken_call c;
    GY_TRY(read_call(req, &c, err));
    GY_TRY(gy_store_read(app->store, look_closure, &c, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", c.name);
    gy_jw_kv_i64(&w, "newest", c.taken.newest);
    gy_jw_kv_bool(&w, "continues", c.taken.continues);
    gy_jw_key(&w, "sources");
    gy_jw_arr(&w);
    for (size_t i = 0; i < c.taken.n_sources; i++) {
        gy_jw_str(&w, c.taken.sources[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_kv_i64(&w, "version", c.taken.version);
    gy_jw_kv_str(&w, "watermark", c.taken.watermark);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static void write_object(struct gy_jw *w, const struct gy_taken_object *o)
{
    gy_jw_arr(w);
    gy_jw_str(w, o->object);
    gy_jw_str(w, o->mark);
    gy_jw_arr_end(w);
}

static gy_status get_objects(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct taken_call c;
    GY_TRY(read_call(req, &c, err));
    GY_TRY(gy_api_query_number(req, "limit", 1000, 1, 10000, &c.limit, err));
    GY_TRY(gy_store_read(app->store, objects_closure, &c, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "objects");
    gy_jw_arr(&w);
    const bool more = c.n_objects > (size_t)c.limit;
    for (size_t i = 0; i < c.n_objects - more; i++) {
        write_object(&w, &c.objects[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_kv_bool(&w, "more", more);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- a step ---- */

static gy_status wrong(struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID,
                      "'taken' wants source, newest, from and objects [[object, mark], ...]");
}

static gy_status read_objects(yyjson_val *list, struct gy_arena *a, struct gy_taken_step *s,
                              struct gy_err *err)
{
    yyjson_val *pair;
    yyjson_arr_iter it;
    if (!list || yyjson_is_null(list)) {
        return GY_OK;
    }
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > GY_TAKEN_MAX_OBJECTS) {
        return wrong(err);
    }
    struct gy_taken_object *objects =
        gy_arena_calloc(a, yyjson_arr_size(list) + 1, sizeof *objects);
    if (!objects) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for what was taken");
    }
    s->objects = objects;
    it = yyjson_arr_iter_with(list);
    while ((pair = yyjson_arr_iter_next(&it))) {
        yyjson_val *object = yyjson_arr_get_first(pair), *mark = yyjson_arr_get(pair, 1);
        if (!yyjson_is_str(object) || !yyjson_is_str(mark)) {
            return wrong(err);
        }
        objects[s->n_objects++] =
            (struct gy_taken_object){gy_str_n(yyjson_get_str(object), yyjson_get_len(object)),
                                     gy_str_n(yyjson_get_str(mark), yyjson_get_len(mark))};
    }
    return GY_OK;
}

gy_status gy_api_taken_read(yyjson_val *body, struct gy_arena *a, struct gy_taken_step *ret,
                            bool *ret_there, struct gy_err *err)
{
    yyjson_val *taken = gy_json_get(body, "taken");
    *ret = (struct gy_taken_step){.newest = 0};
    *ret_there = taken && !yyjson_is_null(taken);
    if (!*ret_there) {
        return GY_OK;
    }
    yyjson_val *from = gy_json_get(taken, "from");
    if (!yyjson_is_obj(taken) || !yyjson_is_obj(from)) {
        return wrong(err);
    }
    GY_TRY(gy_json_need_str(taken, "source", &ret->source, err));
    GY_TRY(gy_json_need_i64(taken, "newest", &ret->newest, err));
    GY_TRY(gy_json_need_i64(from, "version", &ret->from_version, err));
    GY_TRY(gy_api_text(from, "watermark", GY_TAKEN_MAX_WATERMARK, &ret->from_watermark, err));
    GY_TRY(gy_api_text(taken, "watermark", GY_TAKEN_MAX_WATERMARK, &ret->watermark, err));
    ret->restart = gy_json_bool(taken, "restart", false);
    return read_objects(gy_json_get(taken, "objects"), a, ret, err);
}

static const struct gy_route routes[] = {
    {"GET", BASE "/{name}/taken", get_taken, NULL, 0,
     "How far a source of a dataset was read, and from which version on it goes on",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", BASE "/{name}/taken/objects", get_objects, NULL, 0,
     "The files and objects of a source that were taken, page by page", GY_ACCESS_DEFAULT,
     GY_ROUTE_SCOPED},
};

gy_status gy_api_data_taken_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
