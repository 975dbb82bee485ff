/* SPDX-License-Identifier: Apache-2.0 */
#include "track/registry.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/time.h"
#include "store/actor.h"
#include "store/events.h"
#include "store/lineage.h"
#include "store/scope.h"
#include "store/verdicts.h"
#include "track/artifacts.h"
#include "track/models.h"

/* ---- reading a version ---- */

/* The aliases of a version, also as a JSON list. */
static gy_status read_aliases(struct gy_db *db, struct gy_model_version *v, struct gy_arena *a,
                              struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT alias FROM model_aliases WHERE model = ? AND version = ? ORDER BY "
                       "alias",
                       GY_VALS(gy_vi(v->model), gy_vi(v->version)), &st, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_arr(&w);
    void *items = NULL;
    size_t cap = 0;
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, v->n_aliases, &cap, sizeof(struct gy_str), err));
        struct gy_str *alias = &((struct gy_str *)items)[v->n_aliases++];
        *alias = gy_col_dup(st, 0, a);
        gy_jw_str(&w, *alias);
    }
    gy_jw_arr_end(&w);
    v->aliases = items;
    GY_TRY(gy_buf_check(&json, "the aliases of a version", err));
    v->aliases_json = gy_arena_str(a, gy_buf_str(&json));
    return v->aliases_json.p ? GY_OK : gy_track_nomem(err);
}

gy_status gy_version_read_row(struct gy_db *db, struct gy_stmt *st, struct gy_arena *a,
                              struct gy_model_version *ret, struct gy_err *err)
{
    *ret = (struct gy_model_version){
        .name = gy_col_dup(st, 0, a),
        .version = gy_col_i64(st, 1),
        .source = gy_col_dup(st, 2, a),
        .run_id = gy_col_dup(st, 3, a),
        .actor = gy_col_dup(st, 4, a),
        .description = gy_col_dup(st, 5, a),
        .digest = gy_col_dup(st, 6, a),
        .servable = gy_col_dup(st, 7, a),
        .servable_reason = gy_col_dup(st, 8, a),
        .created_us = gy_col_i64(st, 9),
        .id = gy_col_i64(st, 10),
        .model = gy_col_i64(st, 11),
        .updated_us = gy_col_i64(st, 12),
        .storage_location = gy_col_dup(st, 13, a),
        .run_link = gy_col_dup(st, 14, a),
        .logged_model_id = gy_col_dup(st, 15, a),
        .stage = gy_col_dup(st, 16, a),
    };
    if (ret->run_id.n == 0) {
        ret->run_id = GY_STR_NULL;
    }
    if (!ret->name.p || !ret->storage_location.p || !ret->stage.p) {
        return gy_track_nomem(err);
    }
    return read_aliases(db, ret, a, err);
}

/* ---- references ---- */

static gy_status newest_version(struct gy_db *db, struct gy_str name, struct gy_arena *a,
                                struct gy_model_version *ret, struct gy_err *err)
{
    int64_t model = 0, version = 0;
    bool found = false;
    GY_TRY(gy_model_find(db, name, &model, err));
    GY_TRY(gy_db_get_i64(db,
                         "SELECT version FROM model_versions WHERE model = ? AND deleted = 0 ORDER "
                         "BY version DESC LIMIT 1",
                         GY_VALS(gy_vi(model)), &found, &version, err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND, "model '%" GY_STR_F "' has no version",
                          GY_STR_A(gy_str_sub(name, 0, 200)));
    }
    return gy_version_get(db, name, version, a, ret, err);
}

/* At the last '@', as MLflow does: the name of a model may hold some. */
static bool cut_alias(struct gy_str s, struct gy_str *name, struct gy_str *alias)
{
    for (size_t i = s.n; i > 0; i--) {
        if (s.p[i - 1] == '@') {
            *alias = gy_str_sub(s, i, SIZE_MAX);
            *name = gy_str_sub(s, 0, i - 1);
            return true;
        }
    }
    return false;
}

gy_status gy_registry_resolve(struct gy_db *db, struct gy_str ref, struct gy_arena *a,
                              struct gy_model_version *ret, struct gy_err *err)
{
    struct gy_str name = ref, tail;
    if (gy_str_starts(name, GY_STR("models:/"))) {
        name = gy_str_sub(name, sizeof "models:/" - 1, SIZE_MAX);
    }
    bool numbered = gy_str_cut(name, '/', &name, &tail);
    if (!numbered && cut_alias(name, &name, &tail)) {
        gy_status status = gy_model_by_alias(db, name, tail, a, ret, err);
        /* To a client of MLflow's this is a bad value, to us something that is not there. */
        if (status == GY_E_INVALID && err) {
            err->code = GY_E_NOTFOUND;
        }
        return status == GY_E_INVALID ? GY_E_NOTFOUND : status;
    }
    if (!numbered) {
        return newest_version(db, name, a, ret, err);
    }
    int64_t version = 0;
    if (gy_parse_i64(tail, 1, INT64_MAX, &version, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_INVALID,
                          "'%" GY_STR_F "' is no model reference: want name/3, name@alias or name",
                          GY_STR_A(gy_str_sub(ref, 0, 200)));
    }
    return gy_version_get(db, name, version, a, ret, err);
}

/* ---- the package of a version ---- */

/* The digest of a list of files: as gy_package_digest of a folder with them. */
static gy_status digest_of(const struct gy_artifact *files, size_t n, char ret[GY_SHA256_HEX],
                           struct gy_err *err)
{
    GY_AUTO(gy_hash_free) struct gy_hash *h = NULL;
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &h, err));
    for (size_t i = 0; i < n; i++) {
        gy_hash_add(h, files[i].sha256);
        gy_hash_add(h, GY_STR("  "));
        gy_hash_add(h, files[i].path);
        gy_hash_add(h, GY_STR("\n"));
    }
    gy_hash_hex(h, ret);
    return GY_OK;
}

/* What lies at the source now; none when the place is not ours. */
static gy_status current_files(struct gy_db *db, const struct gy_model_version *v,
                               struct gy_arena *a, struct gy_artifact **ret, size_t *ret_n,
                               struct gy_str *ret_root, struct gy_err *err)
{
    *ret = NULL;
    *ret_n = 0;
    *ret_root = gy_artifact_path_of_uri(v->storage_location, a);
    if (!ret_root->p || ret_root->n == 0) {
        return GY_OK;
    }
    return gy_artifact_tree(db, *ret_root, GY_TRACK_MAX_PACKAGE_FILES, a, ret, ret_n, err);
}

gy_status gy_registry_files(struct gy_db *db, const struct gy_model_version *v, struct gy_arena *a,
                            struct gy_artifact **ret, size_t *ret_n, struct gy_err *err)
{
    if (v->digest.n == 0) {
        struct gy_str root;
        return current_files(db, v, a, ret, ret_n, &root, err);
    }
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT path, sha256, size_bytes FROM model_version_files WHERE version_id "
                       "= ? ORDER BY path",
                       GY_VALS(gy_vi(v->id)), &st, err));
    void *items = NULL;
    size_t n = 0, cap = 0;
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_artifact), err));
        struct gy_artifact *f = &((struct gy_artifact *)items)[n++];
        *f = (struct gy_artifact){gy_col_dup(st, 0, a), gy_col_dup(st, 1, a), gy_col_i64(st, 2)};
        if (!f->path.p || !f->sha256.p) {
            return gy_track_nomem(err);
        }
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_version_take_digest(struct gy_db *db, struct gy_model_version *v, struct gy_str actor,
                                 struct gy_arena *a, struct gy_err *err)
{
    struct gy_artifact *files = NULL;
    struct gy_str root;
    size_t n = 0;
    char digest[GY_SHA256_HEX];
    if (v->digest.n > 0) {
        return GY_OK;
    }
    gy_status status = current_files(db, v, a, &files, &n, &root, err);
    if (status == GY_E_TOOBIG || (status == GY_OK && n == 0)) {
        return GY_OK; /* anything may be registered; what has no digest passes no gate */
    }
    GY_TRY(status);
    GY_TRY(digest_of(files, n, digest, err));
    for (size_t i = 0; i < n; i++) {
        struct gy_str full = gy_artifact_join(root, files[i].path, a);
        if (!full.p) {
            return gy_track_nomem(err);
        }
        GY_TRY(gy_db_exec(db,
                          "INSERT INTO model_version_files (version_id, path, artifact_path, "
                          "sha256, size_bytes) VALUES (?, ?, ?, ?, ?)",
                          GY_VALS(gy_vi(v->id), gy_vs(files[i].path), gy_vs(full),
                                  gy_vs(files[i].sha256), gy_vi(files[i].size_bytes)),
                          NULL, err));
    }
    GY_TRY(gy_db_exec(db, "UPDATE model_versions SET digest = ? WHERE id = ?",
                      GY_VALS(gy_vc(digest), gy_vi(v->id)), NULL, err));
    v->digest = gy_arena_str(a, gy_str_c(digest));
    const char *from =
        gy_arena_printf(a, "model:%" GY_STR_F "/%lld", GY_STR_A(v->name), (long long)v->version);
    const char *to = gy_arena_printf(a, "modeldigest:%s", digest);
    if (!v->digest.p || !from || !to) {
        return gy_track_nomem(err);
    }
    return gy_lineage_add(db, gy_str_c(from), "output", gy_str_c(to), actor, err);
}

/* Since the digest was taken, nothing else may have been put where clients load the version from.
 */
static gy_status check_unchanged(struct gy_db *db, const struct gy_model_version *v,
                                 struct gy_arena *a, struct gy_err *err)
{
    struct gy_artifact *files = NULL;
    struct gy_str root;
    size_t n = 0;
    char digest[GY_SHA256_HEX];
    if (v->digest.n == 0) {
        return GY_OK;
    }
    GY_TRY(current_files(db, v, a, &files, &n, &root, err));
    GY_TRY(digest_of(files, n, digest, err));
    if (!gy_str_eqc(v->digest, digest)) {
        return gy_err_set(err, GY_E_NOTBLESSED,
                          "the files of version %lld of model '%" GY_STR_F
                          "' were changed after it was registered: register a new version",
                          (long long)v->version, GY_STR_A(gy_str_sub(v->name, 0, 200)));
    }
    return GY_OK;
}

gy_status gy_registry_set_proof(struct gy_db *db, struct gy_str name, int64_t version,
                                bool servable, struct gy_str reason, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct gy_model_version v;
    GY_TRY(gy_version_get(db, name, version, &a, &v, err));
    GY_TRY(gy_version_take_digest(db, &v, v.actor, &a, err));
    return gy_db_exec(
        db, "UPDATE model_versions SET servable = ?, servable_reason = ? WHERE id = ?",
        GY_VALS(gy_vc(servable ? "yes" : "no"), gy_vs(reason), gy_vi(v.id)), NULL, err);
}

/* ---- aliases ---- */

/* Whoever moves or takes away a protected alias must answer for it. */
static gy_status need_name_for(struct gy_db *db, struct gy_str name, struct gy_str alias,
                               struct gy_str actor, struct gy_err *err)
{
    bool is_protected = false;
    int64_t one = 0;
    if (gy_actor_named(actor)) {
        return GY_OK;
    }
    GY_TRY(gy_db_get_i64(
        db, "SELECT 1 FROM protected_aliases WHERE workspace_id = ? AND model = ? AND alias = ?",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vs(alias)), &is_protected, &one, err));
    return is_protected ? gy_actor_need(actor, "moving a protected alias", err) : GY_OK;
}

gy_status gy_model_note_alias(struct gy_db *db, struct gy_str name, struct gy_str alias,
                              int64_t from, int64_t to, const struct gy_model_why *why,
                              struct gy_err *err)
{
    const char *action = !to ? "removed" : why->action ? why->action : "moved";
    GY_TRY(need_name_for(db, name, alias, why->actor, err));
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO model_alias_history (workspace_id, model_name, alias, "
                      "from_version, to_version, actor, action, reason, created_us) VALUES (?, ?, "
                      "?, ?, ?, ?, ?, ?, ?)",
                      GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vs(alias),
                              from ? gy_vi(from) : gy_vnull(), to ? gy_vi(to) : gy_vnull(),
                              gy_vs(why->actor), gy_vc(action),
                              gy_vs(why->reason.n ? why->reason : GY_STR_NULL), gy_vi(gy_now_us())),
                      NULL, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf subject;
    gy_buf_init(&json, 64 * GY_KIB);
    gy_buf_init(&subject, 64 * GY_KIB);
    gy_buf_addf(&subject, "model:");
    gy_buf_add(&subject, name);
    gy_buf_addf(&subject, "/%lld", (long long)(to ? to : from));
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "model", name);
    gy_jw_kv_str(&w, "alias", alias);
    gy_jw_key(&w, "from");
    from ? gy_jw_i64(&w, from) : gy_jw_null(&w);
    gy_jw_key(&w, "to");
    to ? gy_jw_i64(&w, to) : gy_jw_null(&w);
    gy_jw_kv_strc(&w, "action", action);
    if (why->reason.n > 0) {
        gy_jw_kv_str(&w, "reason", why->reason);
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&json, "an event", err));
    GY_TRY(gy_buf_check(&subject, "an event", err));
    return gy_event_add(db, "alias.moved", gy_buf_str(&subject), why->actor, gy_buf_str(&json),
                        err);
}

gy_status gy_registry_set_alias(struct gy_db *db, struct gy_str name, struct gy_str alias,
                                int64_t version, struct gy_str actor, struct gy_err *err)
{
    const struct gy_model_why why = {.actor = actor};
    return gy_registry_move_alias(db, name, alias, version, &why, err);
}

gy_status gy_registry_move_alias(struct gy_db *db, struct gy_str name, struct gy_str alias,
                                 int64_t version, const struct gy_model_why *why,
                                 struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct gy_model_version v;
    GY_TRY(gy_model_check_alias(alias, err));
    GY_TRY(gy_version_get(db, name, version, &a, &v, err));
    GY_TRY(gy_version_take_digest(db, &v, why->actor, &a, err));
    struct gy_str digest = v.digest.p ? v.digest : GY_STR("");
    GY_TRY(why->back ? gy_gate_allows_return(db, name, alias, digest, err)
                     : gy_gate_allows_alias(db, name, alias, digest, err));
    bool found = false, is_protected = false;
    int64_t from = 0, one = 0;
    GY_TRY(gy_db_get_i64(
        db, "SELECT 1 FROM protected_aliases WHERE workspace_id = ? AND model = ? AND alias = ?",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vs(alias)), &is_protected, &one, err));
    if (is_protected) {
        GY_TRY(check_unchanged(db, &v, &a, err));
    }
    GY_TRY(gy_db_get_i64(db, "SELECT version FROM model_aliases WHERE model = ? AND alias = ?",
                         GY_VALS(gy_vi(v.model), gy_vs(alias)), &found, &from, err));
    if (found && from == version) {
        return GY_OK;
    }
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO model_aliases (model, alias, version) VALUES (?, ?, ?) ON "
                      "CONFLICT (model, alias) DO UPDATE SET version = excluded.version",
                      GY_VALS(gy_vi(v.model), gy_vs(alias), gy_vi(version)), NULL, err));
    return gy_model_note_alias(db, name, alias, found ? from : 0, version, why, err);
}

/* ---- checkout ---- */

struct checkout {
    const struct gy_model_version *v;
    struct gy_arena arena;
    struct gy_artifact *files;
    size_t n;
};

static gy_status find_files(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct checkout *x = ctx;
    return gy_registry_files(db, x->v, &x->arena, &x->files, &x->n, err);
}

static gy_status write_files(struct gy_objects *o, const struct checkout *x, const char *dir,
                             struct gy_err *err)
{
    GY_TRY(gy_dir_make(dir, err));
    for (size_t i = 0; i < x->n; i++) {
        char path[GY_MAX_PATH], name[GY_ARTIFACT_MAX_PATH + 1], sha256[GY_SHA256_HEX];
        snprintf(name, sizeof name, "%.*s", (int)x->files[i].path.n, x->files[i].path.p);
        snprintf(sha256, sizeof sha256, "%.*s", (int)x->files[i].sha256.n, x->files[i].sha256.p);
        GY_TRY(gy_path_check_relative(x->files[i].path, err));
        GY_TRY(gy_path_join(path, sizeof path, dir, name, err));
        for (char *slash = strchr(path + strlen(dir) + 1, '/'); slash;
             slash = strchr(slash + 1, '/')) {
            *slash = '\0';
            GY_TRY(gy_dir_make(path, err));
            *slash = '/';
        }
        GY_TRY(gy_objects_checkout(o, sha256, path, err));
    }
    return gy_dir_sync(dir, err);
}

static gy_status same_digest(struct gy_str want, const char *dir, bool *ret, struct gy_err *err);

static gy_status do_checkout(struct gy_store *s, struct gy_objects *o, struct checkout *x,
                             const char *dir, struct gy_err *err)
{
    char digest[GY_SHA256_HEX], part[GY_MAX_PATH], id[GY_UUID_TEXT];
    bool same = false;
    GY_TRY(gy_store_read(s, find_files, x, err));
    if (x->n == 0) {
        return gy_err_set(err, GY_E_NOTFOUND,
                          "version %lld of model '%" GY_STR_F "' has no files here",
                          (long long)x->v->version, GY_STR_A(gy_str_sub(x->v->name, 0, 200)));
    }
    GY_TRY(digest_of(x->files, x->n, digest, err));
    if (gy_path_is_dir(dir)) {
        GY_TRY(same_digest(gy_str_c(digest), dir, &same, err));
        if (same) {
            return GY_OK;
        }
        return gy_err_set(err, GY_E_EXISTS, "'%s' holds something else", dir);
    }
    GY_TRY(gy_new_id(id, err));
    if (snprintf(part, sizeof part, "%s.part-%s", dir, id) >= (int)sizeof part) {
        return gy_err_set(err, GY_E_TOOBIG, "the path '%.100s...' is too long", dir);
    }
    gy_status status = write_files(o, x, part, err);
    if (status == GY_OK && rename(part, dir) != 0 && !gy_path_is_dir(dir)) {
        status = gy_err_set(err, GY_E_IO, "'%s' can not be renamed to '%s'", part, dir);
    }
    if (status != GY_OK || gy_path_exists(part)) {
        gy_status removed = gy_dir_remove(part, NULL);
        (void)removed; /* what is left of it is only in the way */
    }
    return status;
}

gy_status gy_registry_checkout(struct gy_store *s, struct gy_objects *o,
                               const struct gy_model_version *v, const char *dir,
                               struct gy_err *err)
{
    struct checkout x = {.v = v};
    gy_arena_init(&x.arena, GY_MAX_REQUEST_ARENA);
    gy_status status = do_checkout(s, o, &x, dir, err);
    gy_arena_done(&x.arena);
    return status;
}

/* ---- the digest of a folder ---- */

struct walk {
    struct gy_arena *arena;
    struct gy_str prefix;
    char dir[GY_MAX_PATH];
    void *files;
    size_t n, cap;
};

static gy_status walk_entry(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct walk *x = ctx;
    char path[GY_MAX_PATH], sha256[GY_SHA256_HEX];
    GY_TRY(gy_path_join(path, sizeof path, x->dir, name, err));
    struct gy_str rel = gy_artifact_join(x->prefix, gy_str_c(name), x->arena);
    if (!rel.p) {
        return gy_track_nomem(err);
    }
    if (is_dir) {
        struct walk sub = {
            .arena = x->arena, .prefix = rel, .files = x->files, .n = x->n, .cap = x->cap};
        snprintf(sub.dir, sizeof sub.dir, "%s", path);
        GY_TRY(gy_dir_each(path, walk_entry, &sub, err));
        x->files = sub.files;
        x->n = sub.n;
        x->cap = sub.cap;
        return GY_OK;
    }
    GY_TRY(gy_file_digest(path, sha256, NULL, NULL, err));
    GY_TRY(gy_track_grow(x->arena, &x->files, x->n, &x->cap, sizeof(struct gy_artifact), err));
    struct gy_artifact *f = &((struct gy_artifact *)x->files)[x->n++];
    f->path = rel;
    f->sha256 = gy_arena_str(x->arena, gy_str_c(sha256));
    return f->sha256.p ? GY_OK : gy_track_nomem(err);
}

static int by_path(const void *a, const void *b)
{
    return gy_str_cmp(((const struct gy_artifact *)a)->path, ((const struct gy_artifact *)b)->path);
}

static gy_status same_digest(struct gy_str want, const char *dir, bool *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct walk x = {.arena = &a, .prefix = GY_STR("")};
    char digest[GY_SHA256_HEX];
    snprintf(x.dir, sizeof x.dir, "%s", dir);
    GY_TRY(gy_dir_each(dir, walk_entry, &x, err));
    if (x.n > 0) {
        qsort(x.files, x.n, sizeof(struct gy_artifact), by_path);
    }
    GY_TRY(digest_of(x.files, x.n, digest, err));
    *ret = gy_str_eqc(want, digest);
    return GY_OK;
}
