/* SPDX-License-Identifier: Apache-2.0 */
/* What was found, as the document of facts.h. */
#include <math.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/time.h"
#include "flow/facts_internal.h"

static void kv_time(struct gy_jw *w, const char *key, int64_t time_us)
{
    char text[32];
    (void)gy_time_iso(time_us, text);
    gy_jw_kv_strc(w, key, text);
}

static void kv_known(struct gy_jw *w, const char *key, struct gy_str v)
{
    if (v.n > 0) {
        gy_jw_kv_str(w, key, v);
    }
}

static void copy_keys(struct gy_jw *w, yyjson_val *object, const char *const *keys)
{
    for (size_t i = 0; keys[i]; i++) {
        yyjson_val *v = gy_json_get(object, keys[i]);
        if (v) {
            gy_jw_key(w, keys[i]);
            gy_jw_val(w, v);
        }
    }
}

/* ---- sections ---- */

static void write_model(struct gy_jw *w, const struct gy_found *f)
{
    gy_jw_key(w, "model");
    gy_jw_obj(w);
    if (f->is_version) {
        const struct gy_model_version *v = &f->version;
        kv_known(w, "digest", v->digest);
        kv_known(w, "servable", v->servable);
        kv_known(w, "servable_reason", v->servable_reason);
        kv_known(w, "stage", v->stage);
        kv_known(w, "description", v->description);
        kv_known(w, "registered_by", v->actor);
    }
    if (f->has_run) {
        kv_known(w, "run_name", f->run.name);
        kv_known(w, "run_status", f->run.status);
    }
    gy_jw_obj_end(w);
}

static void write_usecase(struct gy_jw *w, const struct gy_found *f)
{
    gy_jw_key(w, "usecase");
    gy_jw_obj(w);
    if (f->has_usecase) {
        gy_jw_kv_str(w, "name", f->usecase.name);
        gy_jw_kv_str(w, "state", f->usecase.state);
        gy_jw_kv_i64(w, "number", f->usecase.number);
    }
    gy_jw_obj_end(w);
}

static void write_code(struct gy_jw *w, const struct gy_found *f)
{
    struct gy_str revision = gy_found_tag(f, "gyre.code_revision");
    gy_jw_key(w, "code");
    gy_jw_obj(w);
    kv_known(w, "revision", revision.n ? revision : gy_found_tag(f, "mlflow.source.git.commit"));
    kv_known(w, "patch_sha256", gy_found_tag(f, "gyre.code_patch_sha256"));
    kv_known(w, "source", gy_found_tag(f, "mlflow.source.name"));
    kv_known(w, "user", f->has_run ? f->run.user_id : GY_STR_NULL);
    gy_jw_obj_end(w);
}

static void write_data(struct gy_jw *w, const struct gy_found *f)
{
    yyjson_val *data = gy_json_get(yyjson_doc_get_root(f->model), "data");
    struct gy_str sha256 = gy_found_tag(f, "gyre.data_sha256");
    sha256 = sha256.n ? sha256 : gy_json_str(data, "sha256");
    gy_jw_key(w, "data");
    gy_jw_obj(w);
    if (f->has_dataset) {
        gy_jw_key(w, "dataset");
        gy_jw_strf(w, "%" GY_STR_F "@%lld", GY_STR_A(f->dataset.name),
                   (long long)f->dataset.version);
        gy_jw_kv_i64(w, "rows", f->dataset.rows);
        gy_jw_kv_i64(w, "dead", f->dataset.dead);
        kv_known(w, "source", f->dataset.source);
    } else {
        kv_known(w, "dataset", gy_found_tag(f, "gyre.dataset"));
    }
    kv_known(w, "sha256", sha256);
    kv_known(w, "trained on erased subjects", f->erased);
    if (data) {
        gy_jw_kv_i64(w, "rows_trained_on", gy_json_i64(data, "train", 0));
        gy_jw_kv_i64(w, "rows_held_out", gy_json_i64(data, "held_out", 0));
    }
    for (size_t i = 0; f->has_run && i < f->run.n_inputs; i++) {
        const struct gy_run_dataset *d = &f->run.inputs[i];
        const char *context = "input";
        for (size_t k = 0; k < d->n_tags; k++) {
            if (gy_str_eqc(d->tags[k].key, "mlflow.data.context") && d->tags[k].value.p) {
                context = d->tags[k].value.p;
            }
        }
        GY_AUTO_DONE(gy_buf_done) struct gy_buf key;
        gy_buf_init(&key, GY_MAX_PATH);
        gy_buf_addf(&key, "%s %" GY_STR_F, context, GY_STR_A(d->name));
        gy_jw_keys(w, gy_buf_str(&key));
        gy_jw_str(w, d->digest);
    }
    gy_jw_obj_end(w);
}

/* The columns of the registered dataset by its schema. */
static gy_status write_columns(struct gy_jw *w, const struct gy_found *f, struct gy_err *err)
{
    static const char *const keys[] = {"type",   "unit",     "role",   "min", "max",
                                       "values", "required", "unique", NULL};
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_jw_key(w, "columns");
    gy_jw_obj(w);
    if (f->has_dataset && f->dataset.schema_json.n > 0) {
        GY_TRY(gy_json_parse(f->dataset.schema_json, &doc, err));
    }
    size_t i, n;
    yyjson_val *c;
    yyjson_arr_foreach(gy_json_get(yyjson_doc_get_root(doc), "columns"), i, n, c)
    {
        gy_jw_keys(w, gy_json_str(c, "name"));
        gy_jw_obj(w);
        copy_keys(w, c, keys);
        gy_jw_obj_end(w);
    }
    gy_jw_obj_end(w);
    return GY_OK;
}

/* Each input of the model with its feature step. */
static void write_features(struct gy_jw *w, const struct gy_found *f)
{
    static const char *const of_input[] = {"type", "required", "min", "max", NULL};
    static const char *const of_step[] = {"impute", "fill", "scale", "mean", "sd", NULL};
    yyjson_val *root = yyjson_doc_get_root(f->model);
    yyjson_val *inputs = gy_json_get(root, "inputs"), *steps = gy_json_get(root, "features");
    gy_jw_key(w, "features");
    gy_jw_obj(w);
    size_t i, n;
    yyjson_val *in;
    yyjson_arr_foreach(inputs, i, n, in)
    {
        gy_jw_keys(w, gy_json_str(in, "name"));
        gy_jw_obj(w);
        copy_keys(w, in, of_input);
        copy_keys(w, yyjson_arr_get(steps, i), of_step);
        gy_jw_obj_end(w);
    }
    gy_jw_obj_end(w);
}

static void write_learner(struct gy_jw *w, const struct gy_found *f)
{
    static const char *const keys[] = {"task", "target", "threshold", "classes", NULL};
    yyjson_val *root = yyjson_doc_get_root(f->model), *learner = gy_json_get(root, "learner");
    yyjson_val *split = gy_json_get(root, "split");
    gy_jw_key(w, "learner");
    gy_jw_obj(w);
    kv_known(w, "learner", gy_json_str(learner, "name"));
    copy_keys(w, root, keys);
    yyjson_obj_iter it = yyjson_obj_iter_with(gy_json_get(learner, "params"));
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf name;
        gy_buf_init(&name, GY_MAX_PATH);
        gy_buf_addf(&name, "params.%s", yyjson_get_str(key));
        gy_jw_keys(w, gy_buf_str(&name));
        gy_jw_val(w, yyjson_obj_iter_get_val(key));
    }
    it = yyjson_obj_iter_with(split);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf name;
        gy_buf_init(&name, GY_MAX_PATH);
        gy_buf_addf(&name, "split.%s", yyjson_get_str(key));
        gy_jw_keys(w, gy_buf_str(&name));
        gy_jw_val(w, yyjson_obj_iter_get_val(key));
    }
    const struct gy_yaml_node *flavors =
        f->mlmodel ? gy_yaml_get(gy_yaml_root(f->mlmodel), "flavors") : NULL;
    for (size_t i = 0; flavors && i < flavors->n_items && flavors->keys; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf name;
        gy_buf_init(&name, GY_MAX_PATH);
        gy_buf_addf(&name, "flavor.%" GY_STR_F, GY_STR_A(flavors->keys[i]));
        gy_jw_keys(w, gy_buf_str(&name));
        gy_jw_bool(w, true);
    }
    gy_jw_obj_end(w);
}

static void write_params(struct gy_jw *w, const struct gy_found *f)
{
    gy_jw_key(w, "params");
    gy_jw_obj(w);
    for (size_t i = 0; f->has_run && i < f->run.n_params; i++) {
        gy_jw_keys(w, f->run.params[i].key);
        gy_jw_str(w, f->run.params[i].value);
    }
    gy_jw_obj_end(w);
}

/* ---- metrics ---- */

static void write_group(struct gy_jw *w, struct gy_str slice, yyjson_val *group,
                        struct gy_map *told)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(gy_json_get(group, "metrics"));
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        yyjson_val *m = yyjson_obj_iter_get_val(key);
        GY_AUTO_DONE(gy_buf_done) struct gy_buf name;
        gy_buf_init(&name, GY_MAX_PATH);
        gy_buf_add(&name, gy_json_val_str(key));
        if (slice.p) {
            gy_buf_addf(&name, " [%" GY_STR_F "]", GY_STR_A(slice));
        } else {
            GY_IGNORE(gy_map_put(told, gy_json_val_str(key), told, NULL)); /* then twice told */
        }
        gy_jw_keys(w, gy_buf_str(&name));
        gy_jw_obj(w);
        copy_keys(w, m, (const char *const[]){"value", "low", "high", NULL});
        gy_jw_kv_i64(w, "rows", gy_json_i64(group, "rows", 0));
        gy_jw_obj_end(w);
    }
}

/* "recall_low" beside a recall that has its interval already. */
static bool is_told(const struct gy_map *told, struct gy_str key)
{
    static const struct gy_str ends[] = {{"", 0}, {"_low", 4}, {"_high", 5}};
    for (size_t i = 0; i < 3; i++) {
        if (gy_str_ends(key, ends[i]) && gy_map_has(told, gy_str_sub(key, 0, key.n - ends[i].n))) {
            return true;
        }
    }
    return false;
}

static void write_metrics(struct gy_jw *w, const struct gy_found *f)
{
    GY_AUTO_DONE(gy_map_done) struct gy_map told;
    yyjson_val *root = yyjson_doc_get_root(f->metrics), *slice;
    size_t i, n;
    gy_map_init(&told, 100000);
    gy_jw_key(w, "metrics");
    gy_jw_obj(w);
    write_group(w, GY_STR_NULL, root, &told);
    yyjson_arr_foreach(gy_json_get(root, "slices"), i, n, slice)
    {
        write_group(w, gy_json_str(slice, "slice"), slice, &told);
    }
    for (i = 0; f->has_run && i < f->run.n_metrics; i++) {
        const struct gy_metric *m = &f->run.metrics[i];
        if (!is_told(&told, m->key)) {
            gy_jw_keys(w, m->key);
            gy_jw_obj(w);
            gy_jw_kv_f64(w, "value", m->value);
            gy_jw_obj_end(w);
        }
    }
    gy_jw_obj_end(w);
}

/* ---- signature, files ---- */

/* MLmodel keeps each side as a JSON text. */
static void write_side(struct gy_jw *w, const struct gy_found *f, const char *path,
                       const char *word)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    const struct gy_yaml_node *n = gy_yaml_path(gy_yaml_root(f->mlmodel), gy_str_c(path));
    if (!n || n->kind != GY_YAML_STR || gy_json_parse(n->text, &doc, NULL) != GY_OK) {
        return;
    }
    size_t i, max;
    yyjson_val *c;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), i, max, c)
    {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf key;
        struct gy_str name = gy_json_str(c, "name");
        gy_buf_init(&key, GY_MAX_PATH);
        if (name.n > 0) {
            gy_buf_addf(&key, "%s %" GY_STR_F, word, GY_STR_A(name));
        } else {
            gy_buf_addf(&key, "%s %zu", word, i);
        }
        gy_jw_keys(w, gy_buf_str(&key));
        gy_jw_val(w, c);
    }
}

static void write_signature(struct gy_jw *w, const struct gy_found *f)
{
    gy_jw_key(w, "signature");
    gy_jw_obj(w);
    if (f->mlmodel) {
        write_side(w, f, "signature.inputs", "input");
        write_side(w, f, "signature.outputs", "output");
        write_side(w, f, "signature.params", "param");
    }
    gy_jw_obj_end(w);
}

static void write_files(struct gy_jw *w, const struct gy_found *f)
{
    gy_jw_key(w, "files");
    gy_jw_obj(w);
    for (size_t i = 0; i < f->n_files; i++) {
        gy_jw_keys(w, f->files[i].path);
        gy_jw_obj(w);
        gy_jw_kv_str(w, "sha256", f->files[i].sha256);
        gy_jw_kv_i64(w, "size", f->files[i].size_bytes);
        gy_jw_obj_end(w);
    }
    gy_jw_obj_end(w);
}

/* ---- what cards tell besides ---- */

static void write_judgement(struct gy_jw *w, const struct gy_found *f)
{
    gy_jw_key(w, "verdicts");
    gy_jw_arr(w);
    for (size_t i = 0; i < f->n_verdicts; i++) {
        const struct gy_verdict *v = &f->verdicts[i];
        gy_jw_obj(w);
        kv_time(w, "time", v->time_us);
        gy_jw_kv_strc(w, "verdict", v->blessed ? "BLESSED" : "NOT_BLESSED");
        gy_jw_kv_str(w, "gate", v->gate);
        gy_jw_kv_str(w, "actor", v->actor);
        gy_jw_key(w, "checks");
        gy_jw_raw(w, v->checks);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "approvals");
    gy_jw_arr(w);
    for (size_t i = 0; i < f->n_approvals; i++) {
        const struct gy_approval *a = &f->approvals[i];
        if (!gy_str_eq(a->model_digest, f->version.digest)) {
            continue;
        }
        gy_jw_obj(w);
        kv_time(w, "requested", a->requested_us);
        gy_jw_kv_str(w, "state", a->state);
        gy_jw_kv_str(w, "gate", a->gate);
        gy_jw_kv_str(w, "requested_by", a->requested_by);
        gy_jw_kv_str(w, "decided_by", a->decided_by);
        gy_jw_kv_str(w, "reason", a->reason);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static void write_past(struct gy_jw *w, const struct gy_found *f)
{
    gy_jw_key(w, "lineage");
    gy_jw_arr(w);
    for (size_t i = 0; i < f->n_edges; i++) {
        gy_jw_obj(w);
        gy_jw_kv_str(w, "from", f->edges[i].from);
        gy_jw_kv_str(w, "rel", f->edges[i].rel);
        gy_jw_kv_str(w, "to", f->edges[i].to);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "history");
    gy_jw_arr(w);
    for (size_t i = 0; i < f->n_history; i++) {
        const struct gy_history_entry *e = &f->history[i];
        gy_jw_obj(w);
        kv_time(w, "time", e->time_us);
        gy_jw_kv_str(w, "kind", e->kind);
        gy_jw_kv_str(w, "what", e->what);
        gy_jw_kv_str(w, "action", e->action);
        gy_jw_kv_str(w, "from", e->from);
        gy_jw_kv_str(w, "to", e->to);
        gy_jw_kv_str(w, "actor", e->actor);
        gy_jw_kv_str(w, "reason", e->reason);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

/* The distributions stay in the package: a card tells what they come to. */
static void write_profile(struct gy_jw *w, const struct gy_found *f)
{
    static const char *const keys[] = {"name", "mean",    "sd",       "min", "max",
                                       "n",    "missing", "distinct", NULL};
    yyjson_val *root = yyjson_doc_get_root(f->profile), *c;
    size_t i, n;
    gy_jw_key(w, "profile");
    if (!root) {
        gy_jw_null(w);
        return;
    }
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "rows", gy_json_i64(root, "rows", 0));
    gy_jw_key(w, "columns");
    gy_jw_arr(w);
    yyjson_arr_foreach(gy_json_get(root, "columns"), i, n, c)
    {
        gy_jw_obj(w);
        copy_keys(w, c, keys);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

static void write_rest(struct gy_jw *w, const struct gy_found *f)
{
    gy_jw_key(w, "aliases");
    gy_jw_raw(w, f->is_version ? f->version.aliases_json : GY_STR("[]"));
    gy_jw_key(w, "usecase");
    if (f->has_usecase) {
        gy_jw_obj(w);
        gy_jw_kv_str(w, "name", f->usecase.name);
        gy_jw_kv_str(w, "state", f->usecase.state);
        gy_jw_kv_str(w, "decided_by", f->usecase.decided_by);
        gy_jw_key(w, "spec");
        gy_jw_raw(w, f->usecase.spec);
        gy_jw_obj_end(w);
    } else {
        gy_jw_null(w);
    }
    write_profile(w, f);
    gy_jw_key(w, "package_card");
    if (f->card) {
        gy_jw_val(w, yyjson_doc_get_root(f->card));
    } else {
        gy_jw_null(w);
    }
    gy_jw_kv_strc(w, "metrics_on", f->metrics ? "held_out" : "run");
    write_judgement(w, f);
    write_past(w, f);
}

gy_status gy_found_write(const struct gy_found *f, struct gy_jw *w, struct gy_err *err)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "ref", f->ref);
    gy_jw_kv_strc(w, "kind", f->is_version ? "version" : "run");
    gy_jw_kv_str(w, "name", f->is_version ? f->version.name : GY_STR_NULL);
    if (f->is_version) {
        gy_jw_kv_i64(w, "version", f->version.version);
        kv_time(w, "created", f->version.created_us);
    }
    gy_jw_kv_str(w, "run_id", f->is_version ? f->version.run_id : f->run.id);
    gy_jw_key(w, "sections");
    gy_jw_obj(w);
    write_model(w, f);
    write_usecase(w, f);
    write_code(w, f);
    write_data(w, f);
    GY_TRY(write_columns(w, f, err));
    write_features(w, f);
    write_learner(w, f);
    write_params(w, f);
    write_metrics(w, f);
    write_signature(w, f);
    write_files(w, f);
    gy_jw_obj_end(w);
    write_rest(w, f);
    gy_jw_obj_end(w);
    return GY_OK;
}
