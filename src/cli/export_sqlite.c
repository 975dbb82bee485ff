/* SPDX-License-Identifier: Apache-2.0 */
/* An export as MLflow's database (cli/export_job.h): its schema as its own migrations leave it
 * (mlflow_schema.sql), filled in one transaction. */
#include <math.h>

#include "base/embed.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/export_job.h"
#include "store/sql.h"

extern const struct gy_embedded gy_mlflow_schema[];

enum statement {
    EXPERIMENT,
    EXPERIMENT_TAG,
    RUN,
    PARAM,
    TAG,
    METRIC,
    LATEST,
    DATASET,
    INPUT,
    INPUT_TAG,
    LOGGED,
    LOGGED_PARAM,
    LOGGED_TAG,
    LOGGED_METRIC,
    MODEL,
    MODEL_TAG,
    VERSION,
    VERSION_TAG,
    ALIAS,
    N_STATEMENTS
};
static const char *const g_sql[N_STATEMENTS] = {
    [EXPERIMENT] = ("INSERT INTO experiments (experiment_id, name, artifact_location, "
                    "lifecycle_stage, creation_time, last_update_time) VALUES (?, ?, ?, ?, ?, ?)"),
    [EXPERIMENT_TAG] =
        ("INSERT INTO experiment_tags (\"key\", value, experiment_id) VALUES (?, ?, ?)"),
    [RUN] =
        ("INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, "
         "user_id, status, start_time, end_time, source_version, lifecycle_stage, artifact_uri, "
         "experiment_id) VALUES (?, ?, 'UNKNOWN', '', '', ?, ?, ?, ?, '', ?, ?, ?)"),
    [PARAM] = ("INSERT INTO params (\"key\", value, run_uuid) VALUES (?, ?, ?)"),
    [TAG] = ("INSERT INTO tags (\"key\", value, run_uuid) VALUES (?, ?, ?)"),
    [METRIC] =
        ("INSERT INTO metrics (\"key\", value, timestamp, run_uuid, step, is_nan) VALUES (?, "
         "?, ?, ?, ?, ?)"),
    [LATEST] = ("INSERT INTO latest_metrics (\"key\", value, timestamp, step, is_nan, run_uuid) "
                "VALUES (?, ?, ?, ?, ?, ?)"),
    [DATASET] = ("INSERT INTO datasets (dataset_uuid, experiment_id, name, digest, "
                 "dataset_source_type, dataset_source, dataset_schema, dataset_profile) VALUES (?, "
                 "?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"),
    [INPUT] = ("INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, "
               "destination_id, step) VALUES (?, ?, ?, ?, ?, ?)"),
    [INPUT_TAG] = ("INSERT INTO input_tags (name, value, input_uuid) VALUES (?, ?, ?)"),
    [LOGGED] = ("INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, "
                "creation_timestamp_ms, last_updated_timestamp_ms, status, lifecycle_stage, "
                "model_type, source_run_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
    [LOGGED_PARAM] = ("INSERT INTO logged_model_params (param_key, param_value, model_id, "
                      "experiment_id) VALUES (?, ?, ?, ?)"),
    [LOGGED_TAG] = ("INSERT INTO logged_model_tags (tag_key, tag_value, model_id, experiment_id) "
                    "VALUES (?, ?, ?, ?)"),
    [LOGGED_METRIC] =
        ("INSERT INTO logged_model_metrics (model_id, metric_name, "
         "metric_timestamp_ms, metric_step, metric_value, experiment_id, run_id, "
         "dataset_uuid, dataset_name, dataset_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, "
         "?, ?) ON CONFLICT DO NOTHING"),
    [MODEL] =
        ("INSERT INTO registered_models (name, creation_time, last_updated_time, description) "
         "VALUES (?, ?, ?, ?)"),
    [MODEL_TAG] = ("INSERT INTO registered_model_tags (\"key\", value, name) VALUES (?, ?, ?)"),
    [VERSION] = ("INSERT INTO model_versions (name, version, creation_time, last_updated_time, "
                 "description, user_id, current_stage, source, run_id, status, run_link, "
                 "storage_location) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'READY', ?, ?)"),
    [VERSION_TAG] =
        ("INSERT INTO model_version_tags (\"key\", value, name, version) VALUES (?, ?, ?, ?)"),
    [ALIAS] = ("INSERT INTO registered_model_aliases (alias, version, name) VALUES (?, ?, ?)"),
};

struct writer {
    const struct gy_sql_ops *ops;
    void *conn;
    void *statements[N_STATEMENTS];
    struct gy_move_report *report;
    char dir[GY_MAX_PATH], root[GY_MAX_PATH];
    struct gy_buf uri, run_id, key; /* of the key whose points come */
    struct gy_metric latest;        /* its greatest point; of none when key is empty */
    bool any;
};

static gy_status insert(struct writer *w, enum statement which, const struct gy_val *vals, size_t n,
                        struct gy_err *err)
{
    bool row = false;
    if (!w->statements[which]) {
        GY_TRY(w->ops->prepare(w->conn, g_sql[which], &w->statements[which], err));
    }
    gy_status status = w->ops->bind(w->statements[which], vals, n, false, err);
    if (status == GY_OK) {
        status = w->ops->step(w->statements[which], &row, err);
    }
    w->ops->reset(w->statements[which]);
    return status;
}

static struct gy_val stage(bool deleted)
{
    return gy_vc(deleted ? "deleted" : "active");
}

static struct gy_val optional(int64_t v)
{
    return v ? gy_vi(v) : gy_vnull();
}

static struct gy_val or_empty(struct gy_str s)
{
    return gy_vs(s.p ? s : GY_STR(""));
}

static gy_status tags(struct writer *w, enum statement which, const struct gy_tag *list, size_t n,
                      const struct gy_val *owner, size_t n_owner, struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct gy_val vals[4] = {gy_vs(list[i].key), or_empty(list[i].value)};
        for (size_t k = 0; k < n_owner; k++) {
            vals[2 + k] = owner[k];
        }
        GY_TRY(insert(w, which, vals, 2 + n_owner, err));
    }
    return GY_OK;
}

/* A name for what MLflow gives a random one: the same for the same thing. */
static gy_status uuid_of(const char *what, struct gy_str a, struct gy_str b, struct gy_str c,
                         char out[GY_MD5_HEX], struct gy_err *err)
{
    GY_AUTO(gy_hash_free) struct gy_hash *h = NULL;
    GY_TRY(gy_hash_new(GY_HASH_MD5, &h, err));
    const struct gy_str parts[] = {gy_str_c(what), a, b, c};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        gy_hash_add(h, parts[i]);
        gy_hash_add(h, gy_str_n("\0", 1));
    }
    gy_hash_hex(h, out);
    return GY_OK;
}

/* ---- opening ---- */

static void writer_free(void *self)
{
    struct writer *w = self;
    for (size_t i = 0; w->conn && i < N_STATEMENTS; i++) {
        if (w->statements[i]) {
            w->ops->finalize(w->statements[i]);
        }
    }
    if (w->conn) {
        w->ops->rollback(w->conn);
        w->ops->close(w->conn);
    }
    gy_buf_done(&w->uri);
    gy_buf_done(&w->run_id);
    gy_buf_done(&w->key);
    gy_free(w);
}

static gy_status writer_open(const char *dir, const char *root, struct gy_move_report *report,
                             void **ret_self, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct writer *w = gy_calloc(1, sizeof *w);
    if (!w) {
        return gy_track_nomem(err);
    }
    gy_buf_init(&w->uri, 64 * GY_KIB);
    gy_buf_init(&w->run_id, GY_KIB);
    gy_buf_init(&w->key, 64 * GY_KIB);
    w->ops = gy_sql_sqlite.ops;
    w->report = report;
    (void)snprintf(w->dir, sizeof w->dir, "%s", dir);
    (void)snprintf(w->root, sizeof w->root, "%s", root);
    gy_status status = gy_path_join(path, sizeof path, dir, "mlflow.db", err);
    struct gy_sql_config c = {.location = gy_str_c(path), .busy_timeout_ms = 1000};
    if (status == GY_OK) {
        status = w->ops->open(gy_sql_sqlite.self, &c, &w->conn, err);
    }
    if (status == GY_OK) { /* a failure throws the folder away: nothing needs to be undone */
        status = w->ops->exec(w->conn,
                              "PRAGMA journal_mode=DELETE; PRAGMA journal_mode=OFF; "
                              "PRAGMA synchronous=OFF; PRAGMA "
                              "foreign_keys=OFF; PRAGMA cache_size=-200000",
                              err);
    }
    if (status == GY_OK) {
        status = w->ops->exec(w->conn, gy_mlflow_schema[0].bytes, err);
    }
    if (status == GY_OK) {
        status = w->ops->begin(w->conn, true, err);
    }
    if (status != GY_OK) {
        writer_free(w);
        return status;
    }
    *ret_self = w;
    return GY_OK;
}

/* ---- experiments and runs ---- */

static gy_status writer_experiment(void *self, const struct gy_experiment *e, struct gy_err *err)
{
    struct writer *w = self;
    GY_TRY(gy_export_uri(e->artifact_location, w->root, &w->uri, err));
    GY_TRY(
        insert(w, EXPERIMENT,
               GY_VALS(gy_vi(e->id), gy_vs(e->name), gy_vs(gy_buf_str(&w->uri)), stage(e->deleted),
                       gy_vi(e->created_us / 1000), gy_vi(e->updated_us / 1000)),
               err));
    return tags(w, EXPERIMENT_TAG, e->tags, e->n_tags, GY_VALS(gy_vi(e->id)), err);
}

static gy_status put_input(struct writer *w, const struct gy_run *r, const struct gy_run_dataset *d,
                           struct gy_err *err)
{
    char experiment[32], dataset[GY_MD5_HEX], input[GY_MD5_HEX];
    (void)snprintf(experiment, sizeof experiment, "%lld", (long long)r->experiment_id);
    GY_TRY(uuid_of("dataset", gy_str_c(experiment), d->name, d->digest, dataset, err));
    GY_TRY(uuid_of("input", gy_str_c(dataset), r->id, GY_STR(""), input, err));
    GY_TRY(insert(w, DATASET,
                  GY_VALS(gy_vc(dataset), gy_vi(r->experiment_id), gy_vs(d->name), gy_vs(d->digest),
                          or_empty(d->source_type), or_empty(d->source), gy_vs(d->schema),
                          gy_vs(d->profile)),
                  err));
    GY_TRY(insert(w, INPUT,
                  GY_VALS(gy_vc(input), gy_vc("DATASET"), gy_vc(dataset), gy_vc("RUN"),
                          gy_vs(r->id), gy_vi(0)),
                  err));
    return tags(w, INPUT_TAG, d->tags, d->n_tags, GY_VALS(gy_vc(input)), err);
}

static gy_status put_models(struct writer *w, const struct gy_run *r, bool outputs,
                            struct gy_err *err)
{
    const struct gy_run_model *m = outputs ? r->model_outputs : r->model_inputs;
    size_t n = outputs ? r->n_model_outputs : r->n_model_inputs;
    for (size_t i = 0; i < n; i++) {
        char uuid[GY_MD5_HEX];
        GY_TRY(uuid_of(outputs ? "made" : "read", r->id, m[i].model_id, GY_STR(""), uuid, err));
        GY_TRY(insert(w, INPUT,
                      GY_VALS(gy_vc(uuid), gy_vc(outputs ? "RUN_OUTPUT" : "RUN_INPUT"),
                              gy_vs(r->id), gy_vc(outputs ? "MODEL_OUTPUT" : "MODEL_INPUT"),
                              gy_vs(m[i].model_id), gy_vi(m[i].step)),
                      err));
    }
    return GY_OK;
}

static gy_status writer_run(void *self, const struct gy_run *r, struct gy_err *err)
{
    struct writer *w = self;
    const struct gy_val id = gy_vs(r->id);
    GY_TRY(gy_export_uri(r->artifact_uri, w->root, &w->uri, err));
    GY_TRY(insert(w, RUN,
                  GY_VALS(id, gy_vs(r->name), gy_vs(r->user_id), gy_vs(r->status),
                          optional(r->start_ms), optional(r->end_ms), stage(r->deleted),
                          gy_vs(gy_buf_str(&w->uri)), gy_vi(r->experiment_id)),
                  err));
    GY_TRY(tags(w, PARAM, r->params, r->n_params, &id, 1, err));
    GY_TRY(tags(w, TAG, r->tags, r->n_tags, &id, 1, err));
    for (size_t i = 0; i < r->n_inputs; i++) {
        GY_TRY(put_input(w, r, &r->inputs[i], err));
    }
    GY_TRY(put_models(w, r, false, err));
    return put_models(w, r, true, err);
}

/* ---- points ---- */

static double number(double v)
{
    return isnan(v) ? 0.0 : v;
}

static gy_status end_key(struct writer *w, struct gy_err *err)
{
    const struct gy_metric *m = &w->latest;
    if (!w->any) {
        return GY_OK;
    }
    w->any = false;
    return insert(w, LATEST,
                  GY_VALS(gy_vs(gy_buf_str(&w->key)), gy_vf(number(m->value)), gy_vi(m->ts_ms),
                          gy_vi(m->step), gy_vi(isnan(m->value) != 0),
                          gy_vs(gy_buf_str(&w->run_id))),
                  err);
}

static bool is_later(const struct gy_metric *m, const struct gy_metric *than)
{
    if (m->step != than->step) {
        return m->step > than->step;
    }
    return m->ts_ms != than->ts_ms ? m->ts_ms > than->ts_ms
                                   : number(m->value) >= number(than->value);
}

static gy_status writer_points(void *self, const struct gy_transfer_points *p, struct gy_err *err)
{
    struct writer *w = self;
    for (size_t i = 0; i < p->n; i++) {
        const struct gy_metric *m = &p->points[i];
        if (!w->any || !gy_str_eq(gy_buf_str(&w->key), m->key) ||
            !gy_str_eq(gy_buf_str(&w->run_id), p->run_id)) {
            GY_TRY(end_key(w, err));
            gy_buf_reset(&w->key);
            gy_buf_add(&w->key, m->key);
            gy_buf_reset(&w->run_id);
            gy_buf_add(&w->run_id, p->run_id);
            GY_TRY(gy_buf_check(&w->key, "a key", err));
            w->latest = *m;
            w->any = true;
        }
        if (is_later(m, &w->latest)) {
            w->latest = *m;
        }
        GY_TRY(insert(w, METRIC,
                      GY_VALS(gy_vs(m->key), gy_vf(number(m->value)), gy_vi(m->ts_ms),
                              gy_vs(p->run_id), gy_vi(m->step), gy_vi(isnan(m->value) != 0)),
                      err));
    }
    return GY_OK;
}

static gy_status writer_end_run(void *self, struct gy_err *err)
{
    return end_key(self, err);
}

/* ---- logged models ---- */

static gy_status writer_logged(void *self, const struct gy_logged_model *m, struct gy_err *err)
{
    struct writer *w = self;
    const struct gy_val owner[] = {gy_vs(m->id), gy_vi(m->experiment_id)};
    char experiment[32];
    (void)snprintf(experiment, sizeof experiment, "%lld", (long long)m->experiment_id);
    GY_TRY(gy_export_uri(m->artifact_uri, w->root, &w->uri, err));
    GY_TRY(insert(w, LOGGED,
                  GY_VALS(gy_vs(m->id), gy_vi(m->experiment_id), or_empty(m->name),
                          gy_vs(gy_buf_str(&w->uri)), gy_vi(m->created_us / 1000),
                          gy_vi(m->updated_us / 1000), gy_vi(m->status), stage(m->deleted),
                          gy_vs(m->model_type), gy_vs(m->source_run_id)),
                  err));
    GY_TRY(tags(w, LOGGED_PARAM, m->params, m->n_params, owner, 2, err));
    GY_TRY(tags(w, LOGGED_TAG, m->tags, m->n_tags, owner, 2, err));
    for (size_t i = 0; i < m->n_metrics; i++) {
        const struct gy_metric *p = &m->metrics[i];
        char dataset[GY_MD5_HEX];
        GY_TRY(uuid_of("dataset", gy_str_c(experiment), p->dataset_name, p->dataset_digest, dataset,
                       err));
        bool of_data = p->dataset_name.n > 0;
        GY_TRY(insert(w, LOGGED_METRIC,
                      GY_VALS(gy_vs(m->id), gy_vs(p->key), gy_vi(p->ts_ms), gy_vi(p->step),
                              gy_vf(p->value), gy_vi(m->experiment_id), or_empty(p->run_id),
                              of_data ? gy_vc(dataset) : gy_vnull(),
                              of_data ? gy_vs(p->dataset_name) : gy_vnull(),
                              of_data ? gy_vs(p->dataset_digest) : gy_vnull()),
                      err));
    }
    return GY_OK;
}

/* ---- the registry ---- */

static gy_status writer_model(void *self, const struct gy_registered_model *m, struct gy_err *err)
{
    GY_TRY(insert(self, MODEL,
                  GY_VALS(gy_vs(m->name), gy_vi(m->created_us / 1000), gy_vi(m->updated_us / 1000),
                          gy_vs(m->description)),
                  err));
    return tags(self, MODEL_TAG, m->tags, m->n_tags, GY_VALS(gy_vs(m->name)), err);
}

static gy_status writer_version(void *self, const struct gy_transfer_version *x, struct gy_err *err)
{
    struct writer *w = self;
    const struct gy_model_version *v = &x->v;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf source;
    gy_buf_init(&source, 64 * GY_KIB);
    GY_TRY(gy_export_uri(v->source.p ? v->source : GY_STR(""), w->root, &source, err));
    GY_TRY(gy_export_uri(v->storage_location.p ? v->storage_location : GY_STR(""), w->root, &w->uri,
                         err));
    GY_TRY(insert(w, VERSION,
                  GY_VALS(gy_vs(v->name), gy_vi(v->version), gy_vi(v->created_us / 1000),
                          gy_vi(v->updated_us / 1000), gy_vs(v->description), gy_vs(v->actor),
                          x->deleted ? gy_vc("Deleted_Internal") : gy_vs(v->stage),
                          gy_vs(gy_buf_str(&source)), gy_vs(v->run_id), gy_vs(v->run_link),
                          gy_vs(gy_buf_str(&w->uri))),
                  err));
    return tags(w, VERSION_TAG, x->tags, x->n_tags, GY_VALS(gy_vs(v->name), gy_vi(v->version)),
                err);
}

static gy_status writer_alias(void *self, struct gy_str model, struct gy_str alias, int64_t version,
                              struct gy_err *err)
{
    return insert(self, ALIAS, GY_VALS(gy_vs(alias), gy_vi(version), gy_vs(model)), err);
}

/* ---- the end ---- */

static gy_status writer_place(void *self, struct gy_str path, char out[GY_MAX_PATH],
                              struct gy_err *err)
{
    const struct writer *w = self;
    return snprintf(out, GY_MAX_PATH, "%s/artifacts/%.*s", w->dir, (int)path.n, path.p) <
                   GY_MAX_PATH
               ? GY_OK
               : gy_err_set(err, GY_E_TOOBIG, "the path of an artifact is too long");
}

static gy_status writer_finish(void *self, struct gy_err *err)
{
    struct writer *w = self;
    GY_TRY(end_key(w, err));
    return w->ops->commit(w->conn, err);
}

const struct gy_export_ops gy_export_sqlite = {
    1,
    "sqlite",
    writer_open,
    writer_experiment,
    writer_run,
    writer_points,
    writer_end_run,
    writer_logged,
    writer_model,
    writer_version,
    writer_alias,
    writer_place,
    writer_finish,
    writer_free,
};
