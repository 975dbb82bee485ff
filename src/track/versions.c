/* SPDX-License-Identifier: Apache-2.0 */
/* Versions of registered models (track/models.h). */
#include <stdio.h>

#include "base/limits.h"
#include "base/time.h"
#include "net/call.h"
#include "store/events.h"
#include "store/lineage.h"
#include "store/scope.h"
#include "track/artifacts.h"
#include "track/history.h"
#include "track/logged_models.h"
#include "track/models.h"
#include "track/page.h"
#include "track/runs.h"

#define FROM " FROM model_versions v JOIN registered_models m ON m.id = v.model "

static const char *const g_stages[] = {"None", "Staging", "Production", "Archived"};

gy_status gy_model_parse_version(struct gy_str s, int64_t *ret, struct gy_err *err)
{
    if (gy_parse_i64(s, INT64_MIN, INT64_MAX, ret, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_INVALID,
                          "Parameter 'version' must be an integer, got '%" GY_STR_F "'.",
                          GY_STR_A(gy_str_sub(s, 0, 100)));
    }
    return GY_OK;
}

gy_status gy_model_parse_stage(struct gy_str s, struct gy_str *ret, struct gy_err *err)
{
    for (size_t i = 0; i < sizeof g_stages / sizeof g_stages[0]; i++) {
        if (gy_str_ieq(s, gy_str_c(g_stages[i]))) {
            *ret = gy_str_c(g_stages[i]);
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_INVALID,
                      "Invalid Model Version stage: %" GY_STR_F
                      ". Value must be one of None, Staging, Production, Archived.",
                      GY_STR_A(gy_str_sub(s, 0, 100)));
}

/* ---- where a version's files are ---- */

static gy_status bad_source(struct gy_str source, const char *why, struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID, "Invalid model version source: '%" GY_STR_F "'. %s",
                      GY_STR_A(gy_str_sub(source, 0, 150)), why);
}

/* No way upwards and no NUL, however often it was %-encoded. */
static gy_status check_remote(struct gy_str source, struct gy_arena *a, struct gy_err *err)
{
    struct gy_str s = source;
    for (int i = 0; i < 16; i++) {
        struct gy_str rest = s, piece;
        bool bad = gy_str_find(s, '\0') != SIZE_MAX;
        while (!bad && gy_str_next(&rest, '/', &piece)) {
            bad = gy_str_eqc(piece, "..");
        }
        struct gy_str next = gy_url_decode(a, s, false);
        if (!next.p) {
            return gy_track_nomem(err);
        }
        bool same = gy_str_eq(next, s);
        if (bad || (i == 15 && !same)) {
            return bad_source(source,
                              "If supplying a source as an http, https, local file path, ftp, "
                              "objectstore, or mlflow-artifacts uri, an absolute path must be "
                              "provided without relative path references present. Please provide "
                              "an absolute path.",
                              err);
        }
        if (same) {
            break;
        }
        s = next;
    }
    return GY_OK;
}

/* A local path may be named only when it lies inside the artifacts of the run or logged model. */
static gy_status check_local(struct gy_str source, struct gy_str allowed, bool by_model,
                             struct gy_err *err)
{
    struct gy_str path = source, root = allowed;
    if (gy_str_starts(path, GY_STR("file:"))) {
        path = gy_str_sub(path, 5, SIZE_MAX);
    }
    if (gy_str_starts(root, GY_STR("file:"))) {
        root = gy_str_sub(root, 5, SIZE_MAX);
    }
    while (gy_str_starts(path, GY_STR("//"))) {
        path = gy_str_sub(path, 1, SIZE_MAX);
    }
    while (gy_str_starts(root, GY_STR("//"))) {
        root = gy_str_sub(root, 1, SIZE_MAX);
    }
    bool inside = root.n > 0 && root.p[0] == '/' && gy_str_starts(path, root) &&
                  (path.n == root.n || path.p[root.n] == '/');
    struct gy_str rest = path, piece;
    while (inside && gy_str_next(&rest, '/', &piece)) {
        inside = !gy_str_eqc(piece, "..");
    }
    if (!inside) {
        return bad_source(source,
                          by_model ? "To use a local path as a model version source, the model_id "
                                     "request parameter has to be specified and the local path has "
                                     "to be contained within the artifact directory of the logged "
                                     "model specified by the model_id."
                                   : "To use a local path as a model version source, the run_id "
                                     "request parameter has to be specified and the local path has "
                                     "to be contained within the artifact directory of the run "
                                     "specified by the run_id.",
                          err);
    }
    return GY_OK;
}

/* A source that the server itself keeps must lie in what the request names: else a version would be
 * a way into the artifacts of others. */
static gy_status check_kept(struct gy_str source, struct gy_str allowed, bool by_model,
                            struct gy_err *err)
{
    while (allowed.n > 0 && allowed.p[allowed.n - 1] == '/') {
        allowed.n--;
    }
    bool inside = allowed.n > 0 && gy_str_starts(source, allowed) &&
                  (source.n == allowed.n || source.p[allowed.n] == '/');
    return inside ? GY_OK
                  : bad_source(source,
                               by_model ? "The model_id request parameter must identify the "
                                          "resource that contains the source."
                                        : "The run_id request parameter must identify the resource "
                                          "that contains the source.",
                               err);
}

struct place { /* what a source leads to */
    struct gy_str location, run_id, logged_model_id;
};

/* "models:/m-..." or "models:/name/3" or "models:/name@alias": the location of that. */
static gy_status follow_models_uri(struct gy_db *db, struct gy_str ref, struct gy_arena *a,
                                   struct place *p, struct gy_err *err)
{
    struct gy_str rest = gy_str_sub(ref, sizeof "models:/" - 1, SIZE_MAX);
    if (gy_str_find(rest, '/') == SIZE_MAX && gy_str_find(rest, '@') == SIZE_MAX &&
        gy_str_starts(rest, GY_STR("m-"))) {
        struct gy_logged_model m;
        gy_status status = gy_logged_model_get(db, rest, false, a, &m, NULL);
        if (status == GY_E_NOTFOUND) {
            return check_kept(ref, GY_STR_NULL, true, err);
        }
        if (status != GY_OK) {
            return gy_err_set(err, status, "the logged model can not be read");
        }
        p->location = m.artifact_uri;
        p->logged_model_id = rest;
        if (p->run_id.n == 0 && m.source_run_id.n > 0) {
            p->run_id = m.source_run_id;
        }
        return GY_OK;
    }
    struct gy_model_version v;
    GY_TRY(gy_registry_resolve(db, ref, a, &v, err));
    p->location = v.storage_location;
    if (p->run_id.n == 0) {
        p->run_id = v.run_id;
    }
    if (p->logged_model_id.n == 0) {
        p->logged_model_id = v.logged_model_id;
    }
    return GY_OK;
}

/* The text of a prompt is in its tags; its source is a placeholder that leads nowhere. */
static bool is_prompt(const struct gy_version_new *in)
{
    bool yes = false;
    for (size_t i = 0; i < in->n_tags; i++) {
        if (gy_str_eqc(in->tags[i].key, "mlflow.prompt.is_prompt")) {
            yes = gy_str_ieq(in->tags[i].value, GY_STR("true"));
        }
    }
    return yes;
}

static gy_status check_placeholder(struct gy_str source, struct gy_err *err)
{
    if (gy_str_find(source, ':') != SIZE_MAX || gy_str_find(source, '/') != SIZE_MAX) {
        return gy_err_set(err, GY_E_INVALID,
                          "Invalid prompt source: '%" GY_STR_F
                          "'. Prompt sources must use an MLflow placeholder.",
                          GY_STR_A(gy_str_sub(source, 0, 200)));
    }
    return GY_OK;
}

/* Whose artifacts a source names when the request does not say: the id is a part of the path. */
static void guess_owner(struct gy_str source, struct gy_version_new *in)
{
    struct gy_str rest = source, piece;
    while (gy_str_next(&rest, '/', &piece)) {
        bool model = gy_str_starts(piece, GY_STR("m-"));
        struct gy_str hex = model ? gy_str_sub(piece, 2, SIZE_MAX) : piece;
        bool is_id = hex.n == 32;
        for (size_t i = 0; is_id && i < hex.n; i++) {
            is_id = (hex.p[i] >= '0' && hex.p[i] <= '9') || (hex.p[i] >= 'a' && hex.p[i] <= 'f');
        }
        if (is_id) {
            *(model ? &in->logged_model_id : &in->run_id) = piece;
            return;
        }
    }
}

/* The artifacts of the run or logged model that the request names; absent when it is unknown. Of a
 * run that another server knows the id is kept as it is: trackers and registries may live apart. */
static gy_status named_artifacts(struct gy_db *db, const struct gy_version_new *in,
                                 struct gy_arena *a, struct place *p, struct gy_str *ret,
                                 struct gy_err *err)
{
    struct gy_err missing = GY_ERR_INIT;
    gy_status status = GY_OK;
    *ret = GY_STR_NULL;
    if (in->logged_model_id.n > 0) {
        struct gy_logged_model m;
        GY_TRY(gy_logged_model_get(db, in->logged_model_id, false, a, &m, err));
        *ret = m.artifact_uri;
        if (p->run_id.n == 0 && m.source_run_id.n > 0) {
            p->run_id = m.source_run_id;
        }
    } else if (in->run_id.n > 0) {
        struct gy_run r;
        status = gy_run_get(db, in->run_id, false, a, &r, &missing);
        *ret = status == GY_OK ? r.artifact_uri : GY_STR_NULL;
    }
    return status == GY_OK || status == GY_E_NOTFOUND ? GY_OK
                                                      : gy_err_set(err, status, "%s", missing.msg);
}

static gy_status find_place(struct gy_db *db, const struct gy_version_new *in, struct gy_arena *a,
                            struct place *p, struct gy_err *err)
{
    struct gy_str source = in->source, allowed;
    struct gy_version_new named = *in;
    bool kept = gy_str_starts(source, GY_STR("mlflow-artifacts:"));
    if (kept && in->run_id.n == 0 && in->logged_model_id.n == 0) {
        guess_owner(source, &named);
    }
    *p = (struct place){source, named.run_id, named.logged_model_id};
    if (is_prompt(in)) {
        return check_placeholder(source, err);
    }
    bool by_model = named.logged_model_id.n > 0;
    GY_TRY(named_artifacts(db, &named, a, p, &allowed, err));
    if (gy_str_starts(source, GY_STR("models:/"))) {
        return follow_models_uri(db, source, a, p, err);
    }
    GY_TRY(check_remote(source, a, err));
    if (kept) {
        return check_kept(source, allowed, by_model, err);
    }
    size_t colon = gy_str_find(source, ':');
    bool local = colon == SIZE_MAX || gy_str_find(source, '/') < colon ||
                 gy_str_starts(source, GY_STR("file:"));
    return local ? check_local(source, allowed, by_model, err) : GY_OK;
}

/* ---- making ---- */

/* mlflow.modelVersions of the logged model lists where it was registered. */
static gy_status note_on_logged_model(struct gy_db *db, struct gy_str model_id, struct gy_str name,
                                      int64_t version, struct gy_arena *a, struct gy_err *err)
{
    bool found = false;
    struct gy_str old = GY_STR_NULL;
    GY_TRY(gy_db_get_str(db,
                         "SELECT value FROM logged_model_tags WHERE model_id = ? AND key = "
                         "'mlflow.modelVersions'",
                         GY_VALS(gy_vs(model_id)), a, &found, &old, err));
    size_t keep = found && old.n > 2 && old.p[old.n - 1] == ']' ? old.n - 1 : 0;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MIB);
    gy_buf_addc(&text, keep ? "" : "[");
    gy_buf_add(&text, gy_str_sub(old, 0, keep));
    gy_buf_addc(&text, keep ? ", " : "");
    gy_buf_addc(&text, "{\"name\": \"");
    for (size_t i = 0; i < name.n; i++) { /* model names may hold quotes */
        if (name.p[i] == '"' || name.p[i] == '\\') {
            gy_buf_add_char(&text, '\\');
        }
        gy_buf_add_char(&text, name.p[i]);
    }
    gy_buf_addf(&text, "\", \"version\": %lld}]", (long long)version);
    GY_TRY(gy_buf_check(&text, "the tag mlflow.modelVersions", err));
    struct gy_tag t = {GY_STR("mlflow.modelVersions"), gy_buf_str(&text)};
    return gy_logged_model_set_tags(db, model_id, &t, 1, err);
}

static gy_status note_lineage(struct gy_db *db, const struct gy_model_version *v,
                              struct gy_str actor, struct gy_arena *a, struct gy_err *err)
{
    const char *node =
        gy_arena_printf(a, "model:%" GY_STR_F "/%lld", GY_STR_A(v->name), (long long)v->version);
    const char *run = gy_arena_printf(a, "run:%" GY_STR_F, GY_STR_A(v->run_id));
    if (!node || !run) {
        return gy_track_nomem(err);
    }
    if (v->run_id.n > 0) {
        GY_TRY(gy_lineage_add(db, gy_str_c(run), "registered", gy_str_c(node), actor, err));
    }
    return gy_event_add(db, "model.registered", gy_str_c(node), actor, GY_STR("{}"), err);
}

static gy_status put_tag(struct gy_db *db, int64_t id, struct gy_str key, struct gy_str value,
                         struct gy_err *err)
{
    GY_TRY(gy_model_check_tag(key, value, err));
    return gy_db_exec(db,
                      "INSERT INTO model_version_tags (version_id, key, value) VALUES (?, ?, ?) ON "
                      "CONFLICT (version_id, key) DO UPDATE SET value = excluded.value",
                      GY_VALS(gy_vi(id), gy_vs(key), gy_vs(value.p ? value : GY_STR(""))), NULL,
                      err);
}

static gy_status insert_version(struct gy_db *db, const struct gy_version_new *in, int64_t model,
                                const struct place *p, struct gy_str actor, int64_t *ret_version,
                                struct gy_err *err)
{
    bool found = false;
    int64_t now = gy_now_us();
    /* Kept as "", so that "run_id != 'x'" finds versions of no run, as in MLflow. */
    struct gy_str run_id = p->run_id.n > 0 ? p->run_id : GY_STR("");
    struct gy_str model_id = p->logged_model_id.n > 0 ? p->logged_model_id : GY_STR_NULL;
    GY_TRY(gy_db_get_i64(db,
                         "SELECT COALESCE(MAX(version), 0) + 1 FROM model_versions WHERE model = ?",
                         GY_VALS(gy_vi(model)), &found, ret_version, err));
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO model_versions (model, version, description, source, "
                      "storage_location, run_id, run_link, logged_model_id, actor, created_us, "
                      "updated_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                      GY_VALS(gy_vi(model), gy_vi(*ret_version),
                              gy_vs(in->description.p ? in->description : GY_STR("")),
                              gy_vs(in->source), gy_vs(p->location), gy_vs(run_id),
                              gy_vs(in->run_link), gy_vs(model_id), gy_vs(actor), gy_vi(now),
                              gy_vi(now)),
                      NULL, err));
    int64_t id = gy_db_last_id(db);
    for (size_t i = 0; i < in->n_tags; i++) {
        GY_TRY(put_tag(db, id, in->tags[i].key, in->tags[i].value, err));
    }
    return GY_OK;
}

/* The version that was made under the same idempotency key; 0: none. Looked for in the transaction
 * that makes one, so that a request which was sent twice makes one version, whatever came between.
 */
static gy_status version_of_key(struct gy_db *db, const struct gy_version_new *in, int64_t model,
                                int64_t *ret, struct gy_err *err)
{
    *ret = 0;
    for (size_t i = 0; i < in->n_tags; i++) {
        bool found = false;
        if (!gy_str_eqc(in->tags[i].key, "gyre.idempotency_key") || in->tags[i].value.n == 0) {
            continue;
        }
        return gy_db_get_i64(
            db,
            "SELECT v.version FROM model_versions v JOIN model_version_tags t ON "
            "t.version_id = v.id WHERE v.model = ? AND v.deleted = 0 AND t.key = "
            "? AND t.value = ? ORDER BY v.version LIMIT 1",
            GY_VALS(gy_vi(model), gy_vs(in->tags[i].key), gy_vs(in->tags[i].value)), &found, ret,
            err);
    }
    return GY_OK;
}

gy_status gy_version_create(struct gy_db *db, const struct gy_version_new *in, struct gy_str actor,
                            struct gy_arena *a, struct gy_model_version *ret, struct gy_err *err)
{
    struct place p;
    int64_t model = 0, version = 0;
    GY_TRY(gy_track_check_length(in->source, GY_TRACK_MAX_URI, "source", err));
    GY_TRY(gy_track_check_length(in->description, GY_TRACK_MAX_DESCRIPTION, "description", err));
    GY_TRY(gy_model_find(db, in->name, &model, err));
    GY_TRY(version_of_key(db, in, model, &version, err));
    if (version > 0) {
        return gy_version_get(db, in->name, version, a, ret, err);
    }
    GY_TRY(find_place(db, in, a, &p, err));
    GY_TRY(insert_version(db, in, model, &p, actor, &version, err));
    GY_TRY(gy_model_touch(db, model, err));
    GY_TRY(gy_version_get(db, in->name, version, a, ret, err));
    GY_TRY(gy_version_take_digest(db, ret, actor, a, err));
    if (p.logged_model_id.n > 0) {
        GY_TRY(note_on_logged_model(db, p.logged_model_id, in->name, version, a, err));
    }
    return note_lineage(db, ret, actor, a, err);
}

/* ---- reading ---- */

gy_status gy_version_get(struct gy_db *db, struct gy_str name, int64_t version, struct gy_arena *a,
                         struct gy_model_version *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(
        gy_db_query(db,
                    "SELECT " GY_VERSION_COLUMNS FROM
                    "WHERE m.workspace_id = ? AND m.name = ? AND v.version = ? AND v.deleted = 0",
                    GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vi(version)), &st, err));
    bool found = false;
    GY_TRY(gy_stmt_step(st, &found, err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND,
                          "Model Version (name=%" GY_STR_F ", version=%lld) not found",
                          GY_STR_A(gy_str_sub(name, 0, 300)), (long long)version);
    }
    return gy_version_read_row(db, st, a, ret, err);
}

gy_status gy_registry_unproven(struct gy_db *db, int64_t after, struct gy_arena *a, bool *ret_found,
                               struct gy_unproven *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT v.id, m.workspace_id, m.name, v.version FROM model_versions v JOIN "
                       "registered_models m ON m.id = v.model WHERE v.servable = 'unknown' AND "
                       "v.digest IS NOT NULL AND v.deleted = 0 AND v.id > ? ORDER BY v.id LIMIT 1",
                       GY_VALS(gy_vi(after)), &st, err));
    GY_TRY(gy_stmt_step(st, ret_found, err));
    if (!*ret_found) {
        return GY_OK;
    }
    *ret = (struct gy_unproven){.id = gy_col_i64(st, 0), .version = gy_col_i64(st, 3)};
    GY_TRY(gy_col_copy(st, 1, a, &ret->workspace, err));
    return gy_col_copy(st, 2, a, &ret->name, err);
}

gy_status gy_registry_by_digest(struct gy_db *db, struct gy_str name, int64_t version,
                                struct gy_str digest, bool with_deleted, struct gy_arena *a,
                                struct gy_model_version *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT " GY_VERSION_COLUMNS FROM
                       "WHERE m.workspace_id = ? AND v.digest = ? AND v.deleted <= ? ORDER BY "
                       "v.deleted, CASE WHEN "
                       "m.name = ? AND v.version = ? THEN 0 ELSE 1 END, v.id LIMIT 1",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(digest), gy_vi(with_deleted),
                               gy_vs(name), gy_vi(version)),
                       &st, err));
    bool found = false;
    GY_TRY(gy_stmt_step(st, &found, err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND,
                          "the package %.12s that was version %lld of model '%" GY_STR_F
                          "' is not registered any more",
                          digest.p, (long long)version, GY_STR_A(gy_str_sub(name, 0, 200)));
    }
    return gy_version_read_row(db, st, a, ret, err);
}

gy_status gy_version_tags(struct gy_db *db, const struct gy_model_version *v, struct gy_arena *a,
                          struct gy_tag **ret, size_t *ret_n, struct gy_err *err)
{
    return gy_track_tags(
        db, "SELECT key, value FROM model_version_tags WHERE version_id = ? ORDER BY key",
        gy_vi(v->id), a, ret, ret_n, err);
}

static gy_status search_statement(struct gy_sql_builder *b, struct gy_db *db,
                                  const struct gy_registry_query *q, struct gy_sort *sort,
                                  struct gy_arena *a, struct gy_page *ret_page, struct gy_err *err)
{
    struct gy_search filter;
    struct gy_search_order *order = NULL;
    GY_TRY(gy_search_parse(GY_SEARCH_VERSIONS, q->filter, a, &filter, err));
    GY_TRY(gy_search_parse_order(GY_SEARCH_VERSIONS, q->order_by, q->n_order_by, a, &order, err));
    GY_TRY(gy_sort_add_order(sort, order, q->n_order_by, a, err));
    if (q->n_order_by == 0) {
        gy_sort_add(sort, "(v.updated_us / 1000)", GY_VAL_INT, true);
    }
    gy_sort_add(sort, "m.name", GY_VAL_TEXT, false);
    gy_sort_add(sort, "v.version", GY_VAL_INT, true);
    GY_TRY(gy_page_open_search(db, sort, "model-versions", q->filter, NULL, 0, q->order_by,
                               q->n_order_by, q->page_token, a, ret_page, err));
    gy_sql_add(b, "SELECT " GY_VERSION_COLUMNS);
    gy_sort_columns(b, sort);
    gy_sql_add(b, FROM "WHERE v.deleted = 0 AND m.workspace_id = ");
    gy_sql_bind(b, gy_vs(gy_db_workspace(db)));
    gy_search_where(b, GY_SEARCH_VERSIONS, &filter, NULL, 0);
    gy_sort_after(b, sort, ret_page->after);
    gy_sort_order(b, sort);
    gy_sql_add(b, " LIMIT ");
    gy_sql_bind(b, gy_vi(q->max_results + 1));
    return GY_OK;
}

gy_status gy_version_search(struct gy_db *db, const struct gy_registry_query *q, struct gy_arena *a,
                            struct gy_model_version **ret, size_t *ret_n, struct gy_str *ret_token,
                            struct gy_err *err)
{
    struct gy_sort sort = {.n = 0};
    struct gy_page page;
    *ret_token = GY_STR_NULL;
    GY_AUTO_DONE(gy_sql_done) struct gy_sql_builder b;
    gy_sql_init(&b, a);
    GY_TRY(search_statement(&b, db, q, &sort, a, &page, err));
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_sql_query(&b, db, &st, err));
    void *items = NULL;
    struct gy_val *last = NULL;
    size_t n = 0, cap = 0;
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        if ((int64_t)n == q->max_results) {
            GY_TRY(gy_page_token(&page, &sort, last, a, ret_token, err));
            break;
        }
        if ((int64_t)n + 1 == q->max_results) {
            GY_TRY(gy_sort_read(st, GY_VERSION_N_COLUMNS, &sort, a, &last, err));
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_model_version), err));
        GY_TRY(gy_version_read_row(db, st, a, &((struct gy_model_version *)items)[n++], err));
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}

/* ---- changing ---- */

static gy_status need_version(struct gy_db *db, struct gy_str name, int64_t version,
                              int64_t *ret_id, int64_t *ret_model, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(
        gy_db_query(db,
                    "SELECT v.id, v.model" FROM
                    "WHERE m.workspace_id = ? AND m.name = ? AND v.version = ? AND v.deleted = 0",
                    GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vi(version)), &st, err));
    bool found = false;
    GY_TRY(gy_stmt_step(st, &found, err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND,
                          "Model Version (name=%" GY_STR_F ", version=%lld) not found",
                          GY_STR_A(gy_str_sub(name, 0, 300)), (long long)version);
    }
    *ret_id = gy_col_i64(st, 0);
    *ret_model = gy_col_i64(st, 1);
    return GY_OK;
}

gy_status gy_version_describe(struct gy_db *db, struct gy_str name, int64_t version,
                              struct gy_str description, struct gy_err *err)
{
    int64_t id = 0, model = 0;
    GY_TRY(gy_track_check_length(description, GY_TRACK_MAX_DESCRIPTION, "description", err));
    GY_TRY(need_version(db, name, version, &id, &model, err));
    return gy_db_exec(
        db, "UPDATE model_versions SET description = ?, updated_us = ? WHERE id = ?",
        GY_VALS(description.n > 0 ? gy_vs(description) : gy_vnull(), gy_vi(gy_now_us()), gy_vi(id)),
        NULL, err);
}

static gy_status drop_aliases(struct gy_db *db, struct gy_str name, int64_t model, int64_t version,
                              struct gy_str actor, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, "SELECT alias FROM model_aliases WHERE model = ? AND version = ?",
                       GY_VALS(gy_vi(model), gy_vi(version)), &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        const struct gy_model_why why = {.actor = actor};
        GY_TRY(gy_model_note_alias(db, name, gy_col_str(st, 0), version, 0, &why, err));
    }
    return gy_db_exec(db, "DELETE FROM model_aliases WHERE model = ? AND version = ?",
                      GY_VALS(gy_vi(model), gy_vi(version)), NULL, err);
}

gy_status gy_version_delete(struct gy_db *db, struct gy_str name, int64_t version,
                            struct gy_str actor, struct gy_err *err)
{
    int64_t id = 0, model = 0;
    GY_TRY(need_version(db, name, version, &id, &model, err));
    GY_TRY(gy_model_refuse_served(db, model, id, err));
    GY_TRY(drop_aliases(db, name, model, version, actor, err));
    GY_TRY(gy_model_records_deleted(db, name, version, actor, err));
    GY_TRY(gy_db_exec(db, "UPDATE model_versions SET deleted = 1, updated_us = ? WHERE id = ?",
                      GY_VALS(gy_vi(gy_now_us()), gy_vi(id)), NULL, err));
    return gy_model_touch(db, model, err);
}

gy_status gy_version_set_stage(struct gy_db *db, struct gy_str name, int64_t version,
                               struct gy_str stage, bool archive_others,
                               const struct gy_model_why *why, struct gy_err *err)
{
    int64_t id = 0, model = 0, now = gy_now_us();
    GY_TRY(need_version(db, name, version, &id, &model, err));
    bool active = gy_str_eqc(stage, "Staging") || gy_str_eqc(stage, "Production");
    if (archive_others && !active) {
        return gy_err_set(err, GY_E_FAILED,
                          "Model version transition cannot archive existing model versions because "
                          "'%" GY_STR_F "' is not an Active stage. Valid stages are Staging, "
                          "Production",
                          GY_STR_A(stage));
    }
    GY_TRY(gy_model_note_stage(db, name, id, stage, archive_others, why, err));
    if (archive_others) {
        GY_TRY(
            gy_db_exec(db,
                       "UPDATE model_versions SET stage = 'Archived', updated_us = ? WHERE model "
                       "= ? AND stage = ? AND id <> ? AND deleted = 0",
                       GY_VALS(gy_vi(now), gy_vi(model), gy_vs(stage), gy_vi(id)), NULL, err));
    }
    GY_TRY(gy_db_exec(db, "UPDATE model_versions SET stage = ?, updated_us = ? WHERE id = ?",
                      GY_VALS(gy_vs(stage), gy_vi(now), gy_vi(id)), NULL, err));
    return gy_model_touch(db, model, err);
}

gy_status gy_version_set_tag(struct gy_db *db, struct gy_str name, int64_t version,
                             struct gy_str key, struct gy_str value, struct gy_err *err)
{
    int64_t id = 0, model = 0;
    GY_TRY(need_version(db, name, version, &id, &model, err));
    return put_tag(db, id, key, value, err);
}

gy_status gy_version_delete_tag(struct gy_db *db, struct gy_str name, int64_t version,
                                struct gy_str key, struct gy_err *err)
{
    int64_t id = 0, model = 0;
    GY_TRY(need_version(db, name, version, &id, &model, err));
    return gy_db_exec(db, "DELETE FROM model_version_tags WHERE version_id = ? AND key = ?",
                      GY_VALS(gy_vi(id), gy_vs(key)), NULL, err);
}
