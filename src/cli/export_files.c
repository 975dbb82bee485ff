/* SPDX-License-Identifier: Apache-2.0 */
/* An export as MLflow's file store (cli/export_job.h; what is where: move_files.c). It is read by
 * every MLflow that knows files, but keeps less than a database: a key can not be the beginning of
 * another one's path ("a" and "a/b"). */
#include <errno.h>
#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/export_job.h"

struct writer {
    struct gy_move_report *report;
    char dir[GY_MAX_PATH], root[GY_MAX_PATH];
    char experiment[GY_MAX_PATH]; /* the folder of the one at hand */
    int64_t experiment_id;
    struct gy_map trashed; /* ids of deleted experiments */
    struct gy_buf uri, text;
    FILE *points; /* of the key whose points come */
    struct gy_buf open_key;
};

static gy_status join(char out[GY_MAX_PATH], const char *dir, const char *name, struct gy_err *err)
{
    return gy_path_join(out, GY_MAX_PATH, dir, name, err);
}

/* Whoever writes to the store chooses names of models and ids in links: one that is no single name
 * of a folder ("..", "a/b") would lead out of the export. false: it is rejected. */
static bool is_folder(struct writer *w, const char *what, struct gy_str name)
{
    char where[300];
    if (gy_path_check_relative(name, NULL) == GY_OK && gy_str_find(name, '/') == SIZE_MAX) {
        return true;
    }
    (void)snprintf(where, sizeof where, "%s '%" GY_STR_F "'", what,
                   GY_STR_A(gy_str_sub(name, 0, 200)));
    gy_move_reject(w->report, where, "its name can not be that of a folder");
    return false;
}

/* Metadata of a folder that counts only when it is whole: written plainly. */
static gy_status write_file(const char *path, struct gy_str bytes, struct gy_err *err)
{
    FILE *f = fopen(path, "wbe");
    if (!f) {
        return gy_err_sys(err, errno, "'%s'", path);
    }
    bool ok = fwrite(bytes.p, 1, bytes.n, f) == bytes.n;
    ok = fclose(f) == 0 && ok;
    return ok ? GY_OK : gy_err_sys(err, errno, "'%s'", path);
}

/* ---- meta.yaml: texts as JSON writes them, which YAML reads whatever they look like ---- */

static void start_meta(struct writer *w)
{
    gy_buf_reset(&w->text);
}

static void put_text(struct writer *w, const char *key, struct gy_str value)
{
    struct gy_jw j;
    gy_buf_addf(&w->text, "%s: ", key);
    if (value.p) {
        gy_jw_init(&j, &w->text);
        gy_jw_str(&j, value);
    } else {
        gy_buf_addc(&w->text, "null");
    }
    gy_buf_add_char(&w->text, '\n');
}

static void put_number(struct writer *w, const char *key, int64_t value)
{
    gy_buf_addf(&w->text, "%s: %lld\n", key, (long long)value);
}

static void put_optional(struct writer *w, const char *key, int64_t value)
{
    if (value) {
        put_number(w, key, value);
    } else {
        gy_buf_addf(&w->text, "%s: null\n", key);
    }
}

static void put_id(struct writer *w, int64_t experiment)
{
    gy_buf_addf(&w->text, "experiment_id: \"%lld\"\n", (long long)experiment);
}

static gy_status put_place(struct writer *w, const char *key, struct gy_str uri, struct gy_err *err)
{
    if (!uri.p) {
        put_text(w, key, uri);
        return GY_OK;
    }
    GY_TRY(gy_export_uri(uri, w->root, &w->uri, err));
    put_text(w, key, gy_buf_str(&w->uri));
    return GY_OK;
}

static gy_status write_meta(struct writer *w, const char *dir, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_buf_check(&w->text, "meta.yaml", err));
    GY_TRY(gy_dir_make(dir, err));
    GY_TRY(join(path, dir, "meta.yaml", err));
    return write_file(path, gy_buf_str(&w->text), err);
}

/* ---- keys and values ---- */

/* The file of a key below dir; false (and rejected): it can not be one. */
static bool key_path(struct writer *w, const char *dir, struct gy_str key, char out[GY_MAX_PATH])
{
    const char *why = NULL;
    if (gy_path_check_relative(key, NULL) != GY_OK) {
        why = "the key can not be a path";
    } else if (snprintf(out, GY_MAX_PATH, "%s/%.*s", dir, (int)key.n, key.p) >= GY_MAX_PATH) {
        why = "the key is too long for a path";
    } else if (gy_dir_make_for(out, NULL) != GY_OK || gy_path_is_dir(out)) {
        why = "another key is the beginning of its path: --format sqlite keeps both";
    }
    if (why) {
        char where[GY_MAX_PATH];
        (void)snprintf(where, sizeof where, "%.*s/%" GY_STR_F, GY_MAX_PATH - 600, dir,
                       GY_STR_A(gy_str_sub(key, 0, 500)));
        gy_move_reject(w->report, where, why);
    }
    return !why;
}

static gy_status put_pairs(struct writer *w, const char *dir, const char *sub,
                           const struct gy_tag *tags, size_t n, struct gy_err *err)
{
    char folder[GY_MAX_PATH], path[GY_MAX_PATH];
    GY_TRY(join(folder, dir, sub, err));
    GY_TRY(gy_dir_make(folder, err));
    for (size_t i = 0; i < n; i++) {
        if (key_path(w, folder, tags[i].key, path)) {
            GY_TRY(write_file(path, tags[i].value.p ? tags[i].value : GY_STR(""), err));
        }
    }
    return GY_OK;
}

/* ---- experiments ---- */

static gy_status experiment_dir(const struct writer *w, int64_t id, char out[GY_MAX_PATH],
                                struct gy_err *err)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%lld", (long long)id);
    bool trashed = gy_map_has(&w->trashed, gy_str_c(name));
    return snprintf(out, GY_MAX_PATH, "%s/%s%s", w->dir, trashed ? ".trash/" : "", name) <
                   GY_MAX_PATH
               ? GY_OK
               : gy_err_set(err, GY_E_TOOBIG, "the folder's name is too long");
}

static gy_status writer_experiment(void *self, const struct gy_experiment *e, struct gy_err *err)
{
    struct writer *w = self;
    char dir[GY_MAX_PATH], name[32];
    (void)snprintf(name, sizeof name, "%lld", (long long)e->id);
    if (e->deleted) {
        GY_TRY(gy_map_put(&w->trashed, gy_str_c(name), w, err));
    }
    GY_TRY(experiment_dir(w, e->id, dir, err));
    start_meta(w);
    GY_TRY(put_place(w, "artifact_location", e->artifact_location, err));
    put_number(w, "creation_time", e->created_us / 1000);
    put_id(w, e->id);
    put_number(w, "last_update_time", e->updated_us / 1000);
    put_text(w, "lifecycle_stage", e->deleted ? GY_STR("deleted") : GY_STR("active"));
    put_text(w, "name", e->name);
    GY_TRY(write_meta(w, dir, err));
    return put_pairs(w, dir, "tags", e->tags, e->n_tags, err);
}

/* ---- runs ---- */

/* The names that MLflow's file store gives: MD5 of two texts one after the other. */
static gy_status id_of(struct gy_str a, struct gy_str b, char out[GY_MD5_HEX], struct gy_err *err)
{
    GY_AUTO(gy_hash_free) struct gy_hash *h = NULL;
    GY_TRY(gy_hash_new(GY_HASH_MD5, &h, err));
    gy_hash_add(h, a);
    gy_hash_add(h, b);
    gy_hash_hex(h, out);
    return GY_OK;
}

static gy_status put_link(struct writer *w, const char *run_dir, const char *folder,
                          const char *name, const char *source_type, struct gy_str source,
                          const char *destination_type, const struct gy_tag *tags, size_t n_tags,
                          int64_t step, struct gy_err *err)
{
    char dir[GY_MAX_PATH], one[GY_MAX_PATH];
    struct gy_jw j;
    GY_TRY(join(dir, run_dir, folder, err));
    GY_TRY(join(one, dir, name, err));
    start_meta(w);
    put_text(w, "destination_id", source); /* as MLflow writes it */
    put_text(w, "destination_type", gy_str_c(destination_type));
    put_text(w, "source_id", source);
    put_text(w, "source_type", gy_str_c(source_type));
    put_number(w, "step", step);
    gy_buf_addc(&w->text, "tags: ");
    gy_jw_init(&j, &w->text);
    gy_jw_obj(&j);
    for (size_t i = 0; i < n_tags; i++) {
        gy_jw_keys(&j, tags[i].key);
        gy_jw_str(&j, tags[i].value.p ? tags[i].value : GY_STR(""));
    }
    gy_jw_obj_end(&j);
    gy_buf_add_char(&w->text, '\n');
    return write_meta(w, one, err);
}

static gy_status put_dataset(struct writer *w, const char *run_dir, const struct gy_run *r,
                             const struct gy_run_dataset *d, struct gy_err *err)
{
    char datasets[GY_MAX_PATH], dir[GY_MAX_PATH], dataset[GY_MD5_HEX], input[GY_MD5_HEX];
    GY_TRY(id_of(d->name, d->digest, dataset, err));
    GY_TRY(id_of(gy_str_c(dataset), r->id, input, err));
    GY_TRY(join(datasets, w->experiment, "datasets", err));
    GY_TRY(join(dir, datasets, dataset, err));
    start_meta(w);
    put_text(w, "digest", d->digest);
    put_text(w, "name", d->name);
    put_text(w, "profile", d->profile);
    put_text(w, "schema", d->schema);
    put_text(w, "source", d->source.p ? d->source : GY_STR(""));
    put_text(w, "source_type", d->source_type.p ? d->source_type : GY_STR(""));
    GY_TRY(write_meta(w, dir, err));
    return put_link(w, run_dir, "inputs", input, "DATASET", gy_str_c(dataset), "RUN", d->tags,
                    d->n_tags, 0, err);
}

static int64_t status_number(struct gy_str status)
{
    static const char *const words[] = {"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (gy_str_eqc(status, words[i])) {
            return (int64_t)i + 1;
        }
    }
    return 1;
}

static gy_status put_links(struct writer *w, const char *dir, const struct gy_run *r,
                           struct gy_err *err)
{
    char id[GY_MD5_HEX];
    for (size_t i = 0; i < r->n_inputs; i++) {
        GY_TRY(put_dataset(w, dir, r, &r->inputs[i], err));
    }
    for (size_t i = 0; i < r->n_model_inputs; i++) {
        GY_TRY(id_of(r->model_inputs[i].model_id, r->id, id, err));
        GY_TRY(put_link(w, dir, "inputs", id, "MODEL", r->model_inputs[i].model_id, "RUN", NULL, 0,
                        r->model_inputs[i].step, err));
    }
    for (size_t i = 0; i < r->n_model_outputs; i++) {
        char name[128];
        if (!is_folder(w, "an output model", r->model_outputs[i].model_id)) {
            continue;
        }
        (void)snprintf(name, sizeof name, "%" GY_STR_F,
                       GY_STR_A(gy_str_sub(r->model_outputs[i].model_id, 0, 100)));
        GY_TRY(put_link(w, dir, "outputs", name, "RUN_OUTPUT", r->model_outputs[i].model_id,
                        "MODEL_OUTPUT", NULL, 0, r->model_outputs[i].step, err));
    }
    return GY_OK;
}

static gy_status run_dir(const struct writer *w, struct gy_str id, char out[GY_MAX_PATH],
                         struct gy_err *err)
{
    char name[300];
    (void)snprintf(name, sizeof name, "%" GY_STR_F, GY_STR_A(id));
    return join(out, w->experiment, name, err);
}

static gy_status writer_run(void *self, const struct gy_run *r, struct gy_err *err)
{
    struct writer *w = self;
    char dir[GY_MAX_PATH], metrics[GY_MAX_PATH], artifacts[GY_MAX_PATH];
    GY_TRY(experiment_dir(w, r->experiment_id, w->experiment, err));
    GY_TRY(run_dir(w, r->id, dir, err));
    start_meta(w);
    GY_TRY(put_place(w, "artifact_uri", r->artifact_uri, err));
    put_optional(w, "end_time", r->end_ms);
    gy_buf_addc(&w->text, "entry_point_name: ''\n");
    put_id(w, r->experiment_id);
    put_text(w, "lifecycle_stage", r->deleted ? GY_STR("deleted") : GY_STR("active"));
    put_text(w, "run_id", r->id);
    put_text(w, "run_name", r->name);
    put_text(w, "run_uuid", r->id);
    gy_buf_addc(&w->text, "source_name: ''\nsource_type: 4\nsource_version: ''\n");
    put_optional(w, "start_time", r->start_ms);
    put_number(w, "status", status_number(r->status));
    gy_buf_addc(&w->text, "tags: []\n");
    put_text(w, "user_id", r->user_id);
    GY_TRY(write_meta(w, dir, err));
    GY_TRY(join(metrics, dir, "metrics", err));
    GY_TRY(join(artifacts, dir, "artifacts", err));
    GY_TRY(gy_dir_make(metrics, err));
    GY_TRY(gy_dir_make(artifacts, err));
    GY_TRY(put_pairs(w, dir, "params", r->params, r->n_params, err));
    GY_TRY(put_pairs(w, dir, "tags", r->tags, r->n_tags, err));
    return put_links(w, dir, r, err);
}

/* ---- points ---- */

static gy_status close_points(struct writer *w, struct gy_err *err)
{
    FILE *f = w->points;
    w->points = NULL;
    gy_buf_reset(&w->open_key);
    return !f || fclose(f) == 0 ? GY_OK : gy_err_sys(err, errno, "writing a metric");
}

static gy_status writer_points(void *self, const struct gy_transfer_points *p, struct gy_err *err)
{
    struct writer *w = self;
    char dir[GY_MAX_PATH], metrics[GY_MAX_PATH], path[GY_MAX_PATH], number[32];
    if (p->n == 0) {
        return GY_OK;
    }
    if (!gy_str_eq(gy_buf_str(&w->open_key), p->points[0].key)) {
        GY_TRY(close_points(w, err));
        GY_TRY(run_dir(w, p->run_id, dir, err));
        GY_TRY(join(metrics, dir, "metrics", err));
        gy_buf_add(&w->open_key, p->points[0].key);
        GY_TRY(gy_buf_check(&w->open_key, "a key", err));
        if (key_path(w, metrics, p->points[0].key, path)) {
            w->points = fopen(path, "wbe");
            if (!w->points) {
                return gy_err_sys(err, errno, "'%s'", path);
            }
        }
    }
    for (size_t i = 0; w->points && i < p->n; i++) {
        (void)gy_fmt_f64(p->points[i].value, number);
        if (fprintf(w->points, "%lld %s %lld\n", (long long)p->points[i].ts_ms, number,
                    (long long)p->points[i].step) < 0) {
            return gy_err_sys(err, errno, "writing a metric");
        }
    }
    return GY_OK;
}

static gy_status writer_end_run(void *self, struct gy_err *err)
{
    return close_points(self, err);
}

/* ---- logged models ---- */

static gy_status put_logged_points(struct writer *w, const char *dir,
                                   const struct gy_logged_model *m, struct gy_err *err)
{
    char metrics[GY_MAX_PATH], path[GY_MAX_PATH], number[32];
    GY_TRY(join(metrics, dir, "metrics", err));
    GY_TRY(gy_dir_make(metrics, err));
    for (size_t i = 0; i < m->n_metrics; i++) {
        const struct gy_metric *p = &m->metrics[i];
        if (!key_path(w, metrics, p->key, path)) {
            continue;
        }
        FILE *f = fopen(path, "abe");
        if (!f) {
            return gy_err_sys(err, errno, "'%s'", path);
        }
        (void)gy_fmt_f64(p->value, number);
        bool of_data = p->dataset_name.n > 0;
        int n = fprintf(f, "%lld %s %lld %.*s%s%.*s%s%.*s\n", (long long)p->ts_ms, number,
                        (long long)p->step, (int)p->run_id.n, p->run_id.p ? p->run_id.p : "",
                        of_data ? " " : "", (int)p->dataset_name.n,
                        of_data ? p->dataset_name.p : "", of_data ? " " : "",
                        (int)p->dataset_digest.n, of_data ? p->dataset_digest.p : "");
        if (fclose(f) != 0 || n < 0) {
            return gy_err_sys(err, errno, "'%s'", path);
        }
    }
    return GY_OK;
}

static gy_status writer_logged(void *self, const struct gy_logged_model *m, struct gy_err *err)
{
    struct writer *w = self;
    char models[GY_MAX_PATH], dir[GY_MAX_PATH], artifacts[GY_MAX_PATH], name[300];
    (void)snprintf(name, sizeof name, "%" GY_STR_F, GY_STR_A(m->id));
    GY_TRY(experiment_dir(w, m->experiment_id, w->experiment, err));
    GY_TRY(join(models, w->experiment, "models", err));
    GY_TRY(join(dir, models, name, err));
    start_meta(w);
    GY_TRY(put_place(w, "artifact_location", m->artifact_uri, err));
    put_number(w, "creation_timestamp", m->created_us / 1000);
    put_id(w, m->experiment_id);
    put_number(w, "last_updated_timestamp", m->updated_us / 1000);
    put_text(w, "lifecycle_stage", m->deleted ? GY_STR("deleted") : GY_STR("active"));
    put_text(w, "model_id", m->id);
    put_text(w, "model_type", m->model_type);
    put_text(w, "name", m->name);
    put_text(w, "source_run_id", m->source_run_id);
    put_number(w, "status", m->status);
    put_text(w, "status_message", GY_STR_NULL);
    GY_TRY(write_meta(w, dir, err));
    GY_TRY(join(artifacts, dir, "artifacts", err));
    GY_TRY(gy_dir_make(artifacts, err));
    GY_TRY(put_pairs(w, dir, "params", m->params, m->n_params, err));
    GY_TRY(put_pairs(w, dir, "tags", m->tags, m->n_tags, err));
    return put_logged_points(w, dir, m, err);
}

/* ---- the registry ---- */

static gy_status model_dir(const struct writer *w, struct gy_str model, char out[GY_MAX_PATH],
                           struct gy_err *err)
{
    char models[GY_MAX_PATH], name[1200];
    (void)snprintf(name, sizeof name, "%" GY_STR_F, GY_STR_A(model));
    GY_TRY(join(models, w->dir, "models", err));
    return join(out, models, name, err);
}

static gy_status writer_model(void *self, const struct gy_registered_model *m, struct gy_err *err)
{
    struct writer *w = self;
    char dir[GY_MAX_PATH];
    if (!is_folder(w, "model", m->name)) {
        return GY_OK;
    }
    GY_TRY(model_dir(w, m->name, dir, err));
    start_meta(w);
    put_number(w, "creation_timestamp", m->created_us / 1000);
    put_text(w, "description", m->description);
    put_number(w, "last_updated_timestamp", m->updated_us / 1000);
    put_text(w, "name", m->name);
    GY_TRY(write_meta(w, dir, err));
    return put_pairs(w, dir, "tags", m->tags, m->n_tags, err);
}

static gy_status writer_version(void *self, const struct gy_transfer_version *x, struct gy_err *err)
{
    struct writer *w = self;
    const struct gy_model_version *v = &x->v;
    char model[GY_MAX_PATH], dir[GY_MAX_PATH], name[40];
    if (!is_folder(w, "a version of model", v->name)) {
        return GY_OK;
    }
    GY_TRY(model_dir(w, v->name, model, err));
    (void)snprintf(name, sizeof name, "version-%lld", (long long)v->version);
    GY_TRY(join(dir, model, name, err));
    start_meta(w);
    put_number(w, "creation_timestamp", v->created_us / 1000);
    put_text(w, "current_stage", x->deleted ? GY_STR("Deleted_Internal") : v->stage);
    put_text(w, "description", v->description);
    put_number(w, "last_updated_timestamp", v->updated_us / 1000);
    put_text(w, "model_id", v->logged_model_id);
    put_text(w, "name", v->name);
    put_text(w, "run_id", v->run_id);
    put_text(w, "run_link", v->run_link);
    GY_TRY(put_place(w, "source", v->source, err));
    put_text(w, "status", GY_STR("READY"));
    put_text(w, "status_message", GY_STR_NULL);
    GY_TRY(put_place(w, "storage_location", v->storage_location, err));
    put_text(w, "user_id", v->actor);
    put_number(w, "version", v->version);
    GY_TRY(write_meta(w, dir, err));
    return put_pairs(w, dir, "tags", x->tags, x->n_tags, err);
}

static gy_status writer_alias(void *self, struct gy_str model, struct gy_str alias, int64_t version,
                              struct gy_err *err)
{
    struct writer *w = self;
    char dir[GY_MAX_PATH], aliases[GY_MAX_PATH], path[GY_MAX_PATH], number[32];
    if (!is_folder(w, "an alias of model", model)) {
        return GY_OK;
    }
    GY_TRY(model_dir(w, model, dir, err));
    GY_TRY(join(aliases, dir, "aliases", err));
    (void)snprintf(number, sizeof number, "%lld", (long long)version);
    return key_path(w, aliases, alias, path) ? write_file(path, gy_str_c(number), err) : GY_OK;
}

/* ---- the folder ---- */

/* "5/<run>/artifacts/..": where the experiment is, be that the trash. */
static gy_status writer_place(void *self, struct gy_str path, char out[GY_MAX_PATH],
                              struct gy_err *err)
{
    const struct writer *w = self;
    struct gy_str first, rest;
    int64_t id = 0;
    char dir[GY_MAX_PATH];
    (void)gy_str_cut(path, '/', &first, &rest);
    (void)snprintf(dir, sizeof dir, "%.*s/%.*s", GY_MAX_PATH - 1200, w->dir, (int)first.n, first.p);
    if (gy_parse_i64(first, 0, INT64_MAX, &id, NULL) == GY_OK) {
        GY_TRY(experiment_dir(w, id, dir, err));
    }
    return snprintf(out, GY_MAX_PATH, "%s%s%.*s", dir, rest.n ? "/" : "", (int)rest.n,
                    rest.p ? rest.p : "") < GY_MAX_PATH
               ? GY_OK
               : gy_err_set(err, GY_E_TOOBIG, "the path of an artifact is too long");
}

static gy_status writer_open(const char *dir, const char *root, struct gy_move_report *report,
                             void **ret_self, struct gy_err *err)
{
    struct writer *w = gy_calloc(1, sizeof *w);
    char path[GY_MAX_PATH];
    if (!w) {
        return gy_track_nomem(err);
    }
    w->report = report;
    (void)snprintf(w->dir, sizeof w->dir, "%s", dir);
    (void)snprintf(w->root, sizeof w->root, "%s", root);
    gy_map_init(&w->trashed, 1000000);
    gy_buf_init(&w->uri, 64 * GY_KIB);
    gy_buf_init(&w->text, 32 * GY_MIB);
    gy_buf_init(&w->open_key, 64 * GY_KIB);
    *ret_self = w;
    GY_TRY(join(path, dir, ".trash", err));
    return gy_dir_make(path, err);
}

static gy_status writer_finish(void *self, struct gy_err *err)
{
    return close_points(self, err);
}

static void writer_free(void *self)
{
    struct writer *w = self;
    GY_IGNORE(close_points(w, NULL)); /* open only after a failure */
    gy_map_done(&w->trashed);
    gy_buf_done(&w->uri);
    gy_buf_done(&w->text);
    gy_buf_done(&w->open_key);
    gy_free(w);
}

const struct gy_export_ops gy_export_files = {
    1,
    "files",
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
