/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/facts.h"

#include "base/limits.h"
#include "base/mem.h"
#include "data/erased.h"
#include "flow/facts_internal.h"
#include "store/scope.h"
#include "track/artifacts.h"

const char *const gy_facts_sections[] = {"model",   "usecase",   "code",    "data",
                                         "columns", "features",  "learner", "params",
                                         "metrics", "signature", "files",   NULL};

void gy_facts_done(struct gy_facts *f)
{
    gy_json_free(f->doc);
    gy_buf_done(&f->text);
    *f = (struct gy_facts){.doc = NULL};
}

static void found_done(struct gy_found *f)
{
    gy_json_free(f->model);
    gy_json_free(f->metrics);
    gy_json_free(f->card);
    gy_json_free(f->profile);
    gy_yaml_free(f->mlmodel);
    gy_arena_done(&f->arena);
}
GY_DEFINE_AUTO_DONE(struct gy_found, found_done);

struct gy_str gy_found_tag(const struct gy_found *f, const char *key)
{
    for (size_t i = 0; f->has_run && i < f->run.n_tags; i++) {
        if (gy_str_eqc(f->run.tags[i].key, key)) {
            return f->run.tags[i].value;
        }
    }
    return GY_STR_NULL;
}

/* ---- rows ---- */

/* A status that says "there is none" is an answer here. */
static gy_status optional(gy_status status, const struct gy_err *why, bool *ret_found,
                          struct gy_err *err)
{
    *ret_found = status == GY_OK;
    return status == GY_OK || status == GY_E_NOTFOUND ? GY_OK
                                                      : gy_err_set(err, status, "%s", why->msg);
}

/* A bare id is a run's where there is such a run: model names rarely look like one. */
static gy_status find_subject(struct gy_db *db, struct gy_found *f, struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    bool named = gy_str_starts(f->ref, GY_STR("run:"));
    struct gy_str id = named ? gy_str_sub(f->ref, 4, SIZE_MAX) : f->ref;
    bool likely = named || (id.n == 32 && gy_str_find(id, '/') == SIZE_MAX);
    if (likely) {
        GY_TRY(
            optional(gy_run_get(db, id, true, &f->arena, &f->run, &why), &why, &f->has_run, err));
    }
    if (named && !f->has_run) {
        return gy_err_set(err, GY_E_NOTFOUND, "%s", why.msg);
    }
    if (f->has_run) {
        return GY_OK;
    }
    f->is_version = true;
    GY_TRY(gy_registry_resolve(db, f->ref, &f->arena, &f->version, err));
    if (f->version.run_id.n > 0) { /* of another server, or gone */
        GY_TRY(optional(gy_run_get(db, f->version.run_id, true, &f->arena, &f->run, &why), &why,
                        &f->has_run, err));
    }
    return GY_OK;
}

/* A run's package is where gyre train and MLflow 2 put it. */
static gy_status find_files(struct gy_db *db, struct gy_found *f, struct gy_err *err)
{
    if (f->is_version) {
        return gy_registry_files(db, &f->version, &f->arena, &f->files, &f->n_files, err);
    }
    struct gy_str root = gy_artifact_path_of_uri(f->run.artifact_uri, &f->arena);
    if (!root.p || root.n == 0) {
        return GY_OK;
    }
    struct gy_str dir = gy_artifact_join(root, GY_STR("model"), &f->arena);
    return dir.p ? gy_artifact_tree(db, dir, GY_TRACK_MAX_PACKAGE_FILES, &f->arena, &f->files,
                                    &f->n_files, err)
                 : gy_track_nomem(err);
}

/* Datasets, gates and approvals belong to the default workspace. Equal bytes, or a tag that names
 * some, must not tell of them elsewhere. */
static bool is_default(const struct gy_db *db)
{
    return gy_str_eqc(gy_db_workspace(db), GY_WORKSPACE_DEFAULT);
}

static gy_status find_judgement(struct gy_db *db, struct gy_found *f, struct gy_err *err)
{
    if (!f->is_version) {
        return GY_OK;
    }
    struct gy_str digest = is_default(db) ? f->version.digest : GY_STR_NULL;
    const char *node = gy_arena_printf(&f->arena, "model:%" GY_STR_F "/%lld",
                                       GY_STR_A(f->version.name), (long long)f->version.version);
    if (!node) {
        return gy_track_nomem(err);
    }
    if (digest.n > 0) {
        GY_TRY(
            gy_verdict_list(db, digest, GY_STR_NULL, &f->arena, &f->verdicts, &f->n_verdicts, err));
        GY_TRY(gy_approval_list(db, &f->arena, &f->approvals, &f->n_approvals, err));
    }
    GY_TRY(gy_erased_under(db, gy_str_c(node), &f->arena, &f->erased, err));
    GY_TRY(gy_lineage_nearest(db, gy_str_c(node), true, GY_FACTS_MAX_EDGES, &f->arena, &f->edges,
                              &f->n_edges, err));
    GY_TRY(gy_model_history(db, f->version.name, GY_STR_NULL, GY_FACTS_MAX_HISTORY, &f->arena,
                            &f->history, &f->n_history, err));
    return gy_usecase_of_model(db, f->version.name, &f->arena, &f->has_usecase, &f->usecase, err);
}

static gy_status find_rows(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct gy_found *f = ctx;
    GY_TRY(find_subject(db, f, err));
    GY_TRY(find_files(db, f, err));
    return find_judgement(db, f, err);
}

/* The registered dataset of the bytes: the one that the run names, else any of these bytes. */
static gy_status find_dataset(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct gy_found *f = ctx;
    struct gy_err why = GY_ERR_INIT;
    struct gy_str sha256 = gy_found_tag(f, "gyre.data_sha256");
    struct gy_str name = gy_found_tag(f, "gyre.dataset");
    if (sha256.n == 0) {
        sha256 = gy_json_str(gy_json_get(yyjson_doc_get_root(f->model), "data"), "sha256");
    }
    if (name.n > 0) {
        GY_TRY(optional(gy_dataset_resolve(db, name, &f->arena, &f->dataset, &why), &why,
                        &f->has_dataset, err));
        f->has_dataset &= sha256.n == 0 || gy_str_eq(f->dataset.sha256, sha256);
    }
    if (f->has_dataset || sha256.n == 0) {
        return GY_OK;
    }
    const char *ref = gy_arena_printf(&f->arena, "sha256:%" GY_STR_F, GY_STR_A(sha256));
    return ref ? optional(gy_dataset_resolve(db, gy_str_c(ref), &f->arena, &f->dataset, &why), &why,
                          &f->has_dataset, err)
               : gy_track_nomem(err);
}

/* ---- objects ---- */

static gy_status read_object(struct gy_objects *o, const struct gy_found *f, const char *path,
                             struct gy_buf *out, struct gy_err *err)
{
    gy_buf_init(out, GY_FACTS_MAX_FILE + 64 * GY_KIB);
    for (size_t i = 0; i < f->n_files; i++) {
        const struct gy_artifact *a = &f->files[i];
        if (gy_str_eqc(a->path, path) && a->size_bytes <= (int64_t)GY_FACTS_MAX_FILE) {
            gy_status status = gy_objects_get(o, a->sha256.p, out, err);
            return status == GY_OK ? GY_OK : gy_err_wrap(err, "%s", path);
        }
    }
    return GY_OK;
}

/* Anything may be registered: what is no JSON tells nothing, and breaks nothing. */
static gy_status read_json(struct gy_objects *o, const struct gy_found *f, const char *path,
                           yyjson_doc **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    struct gy_err why = GY_ERR_INIT;
    GY_TRY(read_object(o, f, path, &bytes, err));
    if (bytes.n == 0) {
        return GY_OK;
    }
    gy_status status = gy_json_parse(gy_buf_str(&bytes), ret, &why);
    if (status == GY_E_NOMEM) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    if (status != GY_OK || !yyjson_is_obj(yyjson_doc_get_root(*ret))) {
        gy_json_free(*ret);
        *ret = NULL;
    }
    return GY_OK;
}

static gy_status read_mlmodel(struct gy_objects *o, struct gy_found *f, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    struct gy_err why = GY_ERR_INIT;
    GY_TRY(read_object(o, f, "MLmodel", &bytes, err));
    gy_status status = bytes.n && bytes.n <= GY_MAX_YAML
                           ? gy_yaml_parse(gy_buf_str(&bytes), "MLmodel", &f->mlmodel, &why)
                           : GY_OK;
    return status == GY_E_NOMEM ? gy_err_set(err, status, "%s", why.msg) : GY_OK;
}

static gy_status read_package(struct gy_objects *o, struct gy_found *f, struct gy_err *err)
{
    GY_TRY(read_json(o, f, "model.json", &f->model, err));
    GY_TRY(read_json(o, f, "metrics.json", &f->metrics, err));
    GY_TRY(read_json(o, f, "card.json", &f->card, err));
    GY_TRY(read_json(o, f, "profile.json", &f->profile, err));
    if (f->model &&
        !gy_str_eqc(gy_json_str(yyjson_doc_get_root(f->model), "format"), "gyre.model/1")) {
        gy_json_free(f->model); /* XGBoost's own, for one */
        f->model = NULL;
    }
    return read_mlmodel(o, f, err);
}

gy_status gy_facts_gather(struct gy_store *s, struct gy_objects *o, struct gy_str ref,
                          struct gy_facts *ret, struct gy_err *err)
{
    GY_AUTO_DONE(found_done) struct gy_found f = {.ref = ref};
    GY_AUTO_DONE(gy_facts_done) struct gy_facts facts = {.doc = NULL};
    struct gy_jw w;
    gy_arena_init(&f.arena, GY_MAX_REQUEST_ARENA);
    gy_buf_init(&facts.text, GY_FACTS_MAX_BYTES);
    GY_TRY(gy_store_read(s, find_rows, &f, err));
    GY_TRY(read_package(o, &f, err));
    GY_TRY(gy_store_read(s, find_dataset, &f, err));
    gy_jw_init(&w, &facts.text);
    GY_TRY(gy_found_write(&f, &w, err));
    GY_TRY(gy_buf_check(&facts.text, "what is known about a model", err));
    GY_TRY(gy_json_parse(gy_buf_str(&facts.text), &facts.doc, err));
    facts.root = yyjson_doc_get_root(facts.doc);
    *ret = facts;
    memset(&facts, 0, sizeof facts); /* handed over */
    return GY_OK;
}
