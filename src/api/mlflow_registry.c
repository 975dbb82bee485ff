/* SPDX-License-Identifier: Apache-2.0 */
/* MLflow: registered models, their versions and aliases. */
#include <stdio.h>

#include "api/body.h"
#include "api/prover.h"
#include "api/mlflow_wire.h"
#include "store/actor.h"
#include "track/history.h"

/* ---- answers ---- */

/* Without aliases in searches, as MLflow has it. */
static gy_status write_version(struct gy_db *db, struct gy_mf_call *c,
                               const struct gy_model_version *v, bool aliases, struct gy_err *err)
{
    struct gy_jw *w = &c->w;
    struct gy_tag *tags = NULL;
    size_t n_tags = 0;
    GY_TRY(gy_version_tags(db, v, c->arena, &tags, &n_tags, err));
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", v->name);
    gy_jw_key(w, "version");
    gy_jw_strf(w, "%lld", (long long)v->version);
    gy_jw_kv_i64(w, "creation_timestamp", v->created_us / 1000);
    gy_jw_kv_i64(w, "last_updated_timestamp", v->updated_us / 1000);
    if (gy_actor_named(v->actor)) {
        gy_mf_kv(w, "user_id", v->actor);
    }
    gy_jw_kv_str(w, "current_stage", v->stage);
    gy_mf_kv(w, "description", v->description);
    gy_jw_kv_str(w, "source", v->source);
    gy_jw_kv_str(w, "run_id", v->run_id.p ? v->run_id : GY_STR(""));
    gy_jw_kv_strc(w, "status", "READY");
    gy_jw_kv_str(w, "run_link", v->run_link.p ? v->run_link : GY_STR(""));
    gy_mf_tags_out(w, "tags", tags, n_tags);
    if (aliases && v->n_aliases > 0) {
        gy_jw_key(w, "aliases");
        gy_jw_arr(w);
        for (size_t i = 0; i < v->n_aliases; i++) {
            gy_jw_str(w, v->aliases[i]);
        }
        gy_jw_arr_end(w);
    }
    gy_jw_obj_end(w);
    return GY_OK;
}

static gy_status write_model(struct gy_db *db, struct gy_mf_call *c,
                             const struct gy_registered_model *m, struct gy_err *err)
{
    struct gy_jw *w = &c->w;
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", m->name);
    gy_jw_kv_i64(w, "creation_timestamp", m->created_us / 1000);
    gy_jw_kv_i64(w, "last_updated_timestamp", m->updated_us / 1000);
    gy_mf_kv(w, "description", m->description);
    if (m->n_latest > 0) {
        gy_jw_key(w, "latest_versions");
        gy_jw_arr(w);
        for (size_t i = 0; i < m->n_latest; i++) {
            GY_TRY(write_version(db, c, &m->latest[i], false, err));
        }
        gy_jw_arr_end(w);
    }
    gy_mf_tags_out(w, "tags", m->tags, m->n_tags);
    if (m->n_aliases > 0) {
        gy_jw_key(w, "aliases");
        gy_jw_arr(w);
        for (size_t i = 0; i < m->n_aliases; i++) {
            gy_jw_obj(w);
            gy_jw_kv_str(w, "alias", m->aliases[i].alias);
            gy_jw_key(w, "version");
            gy_jw_strf(w, "%lld", (long long)m->aliases[i].version);
            gy_jw_obj_end(w);
        }
        gy_jw_arr_end(w);
    }
    gy_jw_obj_end(w);
    return GY_OK;
}

static gy_status answer_model(struct gy_db *db, struct gy_mf_call *c, struct gy_str name,
                              struct gy_err *err)
{
    struct gy_registered_model m;
    GY_TRY(gy_model_get(db, name, c->arena, &m, err));
    gy_jw_obj(&c->w);
    gy_jw_key(&c->w, "registered_model");
    GY_TRY(write_model(db, c, &m, err));
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

static gy_status answer_version(struct gy_db *db, struct gy_mf_call *c,
                                const struct gy_model_version *v, struct gy_err *err)
{
    gy_jw_obj(&c->w);
    gy_jw_key(&c->w, "model_version");
    GY_TRY(write_version(db, c, v, true, err));
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

/* ---- why ---- */

/* A client gives a reason in a header, or where it has none to give, in a tag of the version
 * (version 0: there is none to look at). */
static gy_status why_of(struct gy_db *db, struct gy_mf_call *c, struct gy_str name, int64_t version,
                        struct gy_model_why *ret, struct gy_err *err)
{
    *ret = (struct gy_model_why){.actor = c->req->actor};
    GY_TRY(gy_api_reason(c->req, &ret->reason, err));
    return ret->reason.n > 0 || version == 0
               ? GY_OK
               : gy_version_take_reason(db, name, version, c->arena, &ret->reason, err);
}

/* ---- parameters ---- */

struct subject { /* of one request; each uses what it needs */
    struct gy_str name, new_name, description, key, value, alias, stage;
    int64_t version;
    bool archive;
    struct gy_tag *tags;
    size_t n_tags;
    struct gy_str *stages;
    size_t n_stages;
    struct gy_version_new made;
};

static gy_status parse_name(struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in = gy_arena_calloc(c->arena, 1, sizeof *x);
    return x ? GY_MF_STR(c, "name", GY_MF_REQUIRED, &x->name) : gy_track_nomem(err);
}

static gy_status parse_described(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_name(c, err));
    return GY_MF_STR(c, "description", GY_MF_OPTIONAL, &((struct subject *)c->in)->description);
}

static gy_status parse_create(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_described(c, err));
    struct subject *x = c->in;
    return gy_mf_tags(c, c->args, "tags", GY_TRACK_MAX_BATCH, &x->tags, &x->n_tags, err);
}

static gy_status parse_rename(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_name(c, err));
    return GY_MF_STR(c, "new_name", GY_MF_REQUIRED, &((struct subject *)c->in)->new_name);
}

static gy_status parse_tag(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_name(c, err));
    struct subject *x = c->in;
    GY_TRY(GY_MF_STR(c, "key", GY_MF_REQUIRED, &x->key));
    return GY_MF_STR(c, "value", GY_MF_OPTIONAL, &x->value);
}

/* Version numbers travel as text; a number is taken, too. */
static gy_status parse_number(struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    struct gy_str text;
    if (yyjson_is_int(gy_mf_get(c->args, "version"))) {
        return gy_mf_i64(c->args, NULL, "version", GY_MF_REQUIRED, 0, &x->version, err);
    }
    GY_TRY(GY_MF_STR(c, "version", GY_MF_REQUIRED, &text));
    return gy_model_parse_version(text, &x->version, err);
}

static gy_status parse_version(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_name(c, err));
    return parse_number(c, err);
}

static gy_status parse_version_described(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_version(c, err));
    return GY_MF_STR(c, "description", GY_MF_OPTIONAL, &((struct subject *)c->in)->description);
}

static gy_status parse_version_tag(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_tag(c, err));
    return parse_number(c, err);
}

static gy_status parse_stage(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_version(c, err));
    struct subject *x = c->in;
    GY_TRY(GY_MF_STR(c, "stage", GY_MF_REQUIRED, &x->stage));
    GY_TRY(gy_mf_bool(c->args, "archive_existing_versions", false, &x->archive, err));
    return gy_model_parse_stage(x->stage, &x->stage, err);
}

static gy_status parse_latest(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_name(c, err));
    struct subject *x = c->in;
    GY_TRY(gy_mf_strs(c, "stages", 16, &x->stages, &x->n_stages, err));
    for (size_t i = 0; i < x->n_stages; i++) {
        GY_TRY(gy_model_parse_stage(x->stages[i], &x->stages[i], err));
    }
    return GY_OK;
}

static gy_status parse_alias(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_name(c, err));
    return GY_MF_STR(c, "alias", GY_MF_REQUIRED, &((struct subject *)c->in)->alias);
}

static gy_status parse_set_alias(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_alias(c, err));
    return parse_number(c, err);
}

static gy_status parse_create_version(struct gy_mf_call *c, struct gy_err *err)
{
    GY_TRY(parse_name(c, err));
    struct subject *x = c->in;
    struct gy_version_new *v = &x->made;
    v->name = x->name;
    GY_TRY(GY_MF_STR(c, "source", GY_MF_REQUIRED, &v->source));
    GY_TRY(GY_MF_STR(c, "run_id", GY_MF_OPTIONAL, &v->run_id));
    GY_TRY(GY_MF_STR(c, "run_link", GY_MF_OPTIONAL, &v->run_link));
    GY_TRY(GY_MF_STR(c, "description", GY_MF_OPTIONAL, &v->description));
    GY_TRY(GY_MF_STR(c, "model_id", GY_MF_OPTIONAL, &v->logged_model_id));
    GY_TRY(gy_mf_tags(c, c->args, "tags", GY_TRACK_MAX_BATCH, &x->tags, &v->n_tags, err));
    v->tags = x->tags;
    return GY_OK;
}

static gy_status parse_query(struct gy_mf_call *c, int64_t absent, int64_t max, struct gy_err *err)
{
    struct gy_registry_query *q = c->in = gy_arena_calloc(c->arena, 1, sizeof *q);
    struct gy_str *order = NULL;
    if (!q) {
        return gy_track_nomem(err);
    }
    GY_TRY(gy_mf_max_results(c, absent, max, &q->max_results, err));
    GY_TRY(GY_MF_STR(c, "filter", GY_MF_OPTIONAL, &q->filter));
    GY_TRY(GY_MF_STR(c, "page_token", GY_MF_OPTIONAL, &q->page_token));
    GY_TRY(gy_mf_strs(c, "order_by", 100, &order, &q->n_order_by, err));
    q->order_by = order;
    return GY_OK;
}

static gy_status parse_search_models(struct gy_mf_call *c, struct gy_err *err)
{
    return parse_query(c, 100, 1000, err);
}

static gy_status parse_search_versions(struct gy_mf_call *c, struct gy_err *err)
{
    return parse_query(c, 200000, 200000, err);
}

/* ---- models ---- */

static gy_status run_create(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    GY_TRY(gy_model_create(db, x->name, x->description, x->tags, x->n_tags, c->req->actor, err));
    return answer_model(db, c, x->name, err);
}

static gy_status run_get(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    return answer_model(db, c, ((struct subject *)c->in)->name, err);
}

static gy_status run_rename(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    GY_TRY(gy_model_rename(db, x->name, x->new_name, c->req->actor, err));
    return answer_model(db, c, x->new_name, err);
}

static gy_status run_describe(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    GY_TRY(gy_model_describe(db, x->name, x->description, err));
    return answer_model(db, c, x->name, err);
}

static gy_status run_delete(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    return gy_model_delete(db, ((struct subject *)c->in)->name, c->req->actor, err);
}

static gy_status run_set_tag(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    return gy_model_set_tag(db, x->name, x->key, x->value, err);
}

static gy_status run_delete_tag(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    return gy_model_delete_tag(db, x->name, x->key, err);
}

static gy_status run_search_models(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct gy_registered_model *found = NULL;
    size_t n = 0;
    struct gy_str token = GY_STR_NULL;
    GY_TRY(gy_model_search(db, c->in, c->arena, &found, &n, &token, err));
    gy_jw_obj(&c->w);
    if (n > 0) {
        gy_jw_key(&c->w, "registered_models");
        gy_jw_arr(&c->w);
        for (size_t i = 0; i < n; i++) {
            GY_TRY(write_model(db, c, &found[i], err));
        }
        gy_jw_arr_end(&c->w);
    }
    gy_mf_kv(&c->w, "next_page_token", token);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

static gy_status run_latest(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    struct gy_registered_model m;
    bool any = false;
    GY_TRY(gy_model_get(db, x->name, c->arena, &m, err));
    gy_jw_obj(&c->w);
    for (size_t i = 0; i < m.n_latest; i++) {
        bool wanted = x->n_stages == 0;
        for (size_t j = 0; j < x->n_stages; j++) {
            wanted |= gy_str_eq(m.latest[i].stage, x->stages[j]);
        }
        if (!wanted) {
            continue;
        }
        if (!any) {
            gy_jw_key(&c->w, "model_versions");
            gy_jw_arr(&c->w);
        }
        any = true;
        GY_TRY(write_version(db, c, &m.latest[i], true, err));
    }
    if (any) {
        gy_jw_arr_end(&c->w);
    }
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

/* ---- versions ---- */

static gy_status run_create_version(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct gy_model_version v;
    GY_TRY(
        gy_version_create(db, &((struct subject *)c->in)->made, c->req->actor, c->arena, &v, err));
    return answer_version(db, c, &v, err);
}

static gy_status run_get_version(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    struct gy_model_version v;
    GY_TRY(gy_version_get(db, x->name, x->version, c->arena, &v, err));
    return answer_version(db, c, &v, err);
}

static gy_status run_download_uri(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    struct gy_model_version v;
    GY_TRY(gy_version_get(db, x->name, x->version, c->arena, &v, err));
    gy_jw_obj(&c->w);
    gy_jw_kv_str(&c->w, "artifact_uri", v.storage_location);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

static gy_status run_describe_version(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    GY_TRY(gy_version_describe(db, x->name, x->version, x->description, err));
    return run_get_version(db, c, err);
}

static gy_status run_delete_version(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    return gy_version_delete(db, x->name, x->version, c->req->actor, err);
}

static gy_status run_stage(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    struct gy_model_why why;
    GY_TRY(why_of(db, c, x->name, x->version, &why, err));
    GY_TRY(gy_version_set_stage(db, x->name, x->version, x->stage, x->archive, &why, err));
    return run_get_version(db, c, err);
}

static gy_status run_set_version_tag(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    return gy_version_set_tag(db, x->name, x->version, x->key, x->value, err);
}

static gy_status run_delete_version_tag(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    return gy_version_delete_tag(db, x->name, x->version, x->key, err);
}

static gy_status run_search_versions(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct gy_model_version *found = NULL;
    size_t n = 0;
    struct gy_str token = GY_STR_NULL;
    GY_TRY(gy_version_search(db, c->in, c->arena, &found, &n, &token, err));
    gy_jw_obj(&c->w);
    if (n > 0) {
        gy_jw_key(&c->w, "model_versions");
        gy_jw_arr(&c->w);
        for (size_t i = 0; i < n; i++) {
            GY_TRY(write_version(db, c, &found[i], false, err));
        }
        gy_jw_arr_end(&c->w);
    }
    gy_mf_kv(&c->w, "next_page_token", token);
    gy_jw_obj_end(&c->w);
    return GY_OK;
}

/* ---- aliases ---- */

static gy_status run_set_alias(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    struct gy_model_why why;
    GY_TRY(why_of(db, c, x->name, x->version, &why, err));
    return gy_registry_move_alias(db, x->name, x->alias, x->version, &why, err);
}

static gy_status run_delete_alias(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    struct gy_model_why why;
    GY_TRY(why_of(db, c, x->name, 0, &why, err));
    return gy_model_delete_alias(db, x->name, x->alias, &why, err);
}

static gy_status run_get_alias(struct gy_db *db, struct gy_mf_call *c, struct gy_err *err)
{
    struct subject *x = c->in;
    struct gy_model_version v;
    GY_TRY(gy_model_by_alias(db, x->name, x->alias, c->arena, &v, err));
    return answer_version(db, c, &v, err);
}

GY_MF_OP(create, parse_create, run_create, true);
GY_MF_OP(get, parse_name, run_get, false);
GY_MF_OP(rename, parse_rename, run_rename, true);
GY_MF_OP(describe, parse_described, run_describe, true);
GY_MF_OP(delete, parse_name, run_delete, true);
GY_MF_OP(set_tag, parse_tag, run_set_tag, true);
GY_MF_OP(delete_tag, parse_tag, run_delete_tag, true);
GY_MF_OP(search_models, parse_search_models, run_search_models, false);
GY_MF_OP(latest, parse_latest, run_latest, false);
static const struct gy_mf_op op_create_version = {parse_create_version, run_create_version, true,
                                                  false};
GY_MF_OP(get_version, parse_version, run_get_version, false);
GY_MF_OP(download_uri, parse_version, run_download_uri, false);
GY_MF_OP(describe_version, parse_version_described, run_describe_version, true);
GY_MF_OP(delete_version, parse_version, run_delete_version, true);
GY_MF_OP(stage, parse_stage, run_stage, true);
GY_MF_OP(set_version_tag, parse_version_tag, run_set_version_tag, true);
GY_MF_OP(delete_version_tag, parse_version_tag, run_delete_version_tag, true);
GY_MF_OP(search_versions, parse_search_versions, run_search_versions, false);
GY_MF_OP(set_alias, parse_set_alias, run_set_alias, true);
GY_MF_OP(delete_alias, parse_alias, run_delete_alias, true);
GY_MF_OP(get_alias, parse_alias, run_get_alias, false);

/* The proof runs after, in a child of the server. */
static gy_status h_create_version(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                  struct gy_err *err)
{
    struct gy_app *app = ctx;
    gy_status status = gy_mf_handle(ctx, req, reply, &op_create_version, err);
    if (status == GY_OK) {
        gy_prover_wake(app->prover);
    }
    return status;
}

static const struct gy_route g_routes[] = {
    GY_MF_ROUTE("POST", "/registered-models/create", h_create, "Register a model"),
    GY_MF_ROUTE("GET", "/registered-models/get", h_get, "Get a registered model"),
    GY_MF_ROUTE("POST", "/registered-models/rename", h_rename, "Rename a model"),
    GY_MF_ROUTE("PATCH", "/registered-models/update", h_describe, "Describe a model"),
    GY_MF_ROUTE("DELETE", "/registered-models/delete", h_delete, "Delete a model"),
    GY_MF_ROUTE("GET", "/registered-models/search", h_search_models, "Search models"),
    GY_MF_SEARCH("POST", "/registered-models/search", h_search_models, "Search models"),
    GY_MF_SEARCH("POST", "/registered-models/get-latest-versions", h_latest, "Latest versions"),
    GY_MF_ROUTE("GET", "/registered-models/get-latest-versions", h_latest, "Latest versions"),
    GY_MF_ROUTE("POST", "/registered-models/set-tag", h_set_tag, "Tag a model"),
    GY_MF_ROUTE("DELETE", "/registered-models/delete-tag", h_delete_tag, "Remove a tag"),
    GY_MF_ROUTE("POST", "/registered-models/alias", h_set_alias, "Set an alias"),
    GY_MF_ROUTE("DELETE", "/registered-models/alias", h_delete_alias, "Delete an alias"),
    GY_MF_ROUTE("GET", "/registered-models/alias", h_get_alias, "The version of an alias"),
    GY_MF_ROUTE("POST", "/model-versions/create", h_create_version, "Register a version"),
    GY_MF_ROUTE("GET", "/model-versions/get", h_get_version, "Get a version"),
    GY_MF_ROUTE("GET", "/model-versions/get-download-uri", h_download_uri, "Where its files are"),
    GY_MF_ROUTE("PATCH", "/model-versions/update", h_describe_version, "Describe a version"),
    GY_MF_ROUTE("DELETE", "/model-versions/delete", h_delete_version, "Delete a version"),
    GY_MF_ROUTE("POST", "/model-versions/transition-stage", h_stage, "Move to a stage"),
    GY_MF_ROUTE("GET", "/model-versions/search", h_search_versions, "Search versions"),
    GY_MF_SEARCH("POST", "/model-versions/search", h_search_versions, "Search versions"),
    GY_MF_ROUTE("POST", "/model-versions/set-tag", h_set_version_tag, "Tag a version"),
    GY_MF_ROUTE("DELETE", "/model-versions/delete-tag", h_delete_version_tag, "Remove a tag"),
};

gy_status gy_mf_add_registry(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, g_routes, sizeof g_routes / sizeof g_routes[0], app, err);
}
