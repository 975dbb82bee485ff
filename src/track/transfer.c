/* SPDX-License-Identifier: Apache-2.0 */
#include "track/transfer.h"

#include <math.h>

/* ---- writing ---- */

static void kv(struct gy_jw *w, const char *key, struct gy_str value)
{
    if (value.p) { /* absent and empty are two things: an absent one is not written */
        gy_jw_kv_str(w, key, value);
    }
}

static void write_tags(struct gy_jw *w, const char *key, const struct gy_tag *tags, size_t n)
{
    gy_jw_key(w, key);
    gy_jw_obj(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_keys(w, tags[i].key);
        gy_jw_str(w, tags[i].value.p ? tags[i].value : GY_STR(""));
    }
    gy_jw_obj_end(w);
}

static void start(struct gy_jw *w, const char *kind)
{
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "kind", kind);
}

void gy_transfer_write_experiment(struct gy_jw *w, const struct gy_experiment *e)
{
    start(w, "experiment");
    gy_jw_kv_i64(w, "id", e->id);
    gy_jw_kv_str(w, "name", e->name);
    kv(w, "artifact_location", e->artifact_location);
    gy_jw_kv_bool(w, "deleted", e->deleted);
    gy_jw_kv_i64(w, "created_us", e->created_us);
    gy_jw_kv_i64(w, "updated_us", e->updated_us);
    write_tags(w, "tags", e->tags, e->n_tags);
    gy_jw_obj_end(w);
}

static void write_inputs(struct gy_jw *w, const struct gy_run *r)
{
    gy_jw_key(w, "inputs");
    gy_jw_arr(w);
    for (size_t i = 0; i < r->n_inputs; i++) {
        const struct gy_run_dataset *d = &r->inputs[i];
        gy_jw_obj(w);
        gy_jw_kv_str(w, "name", d->name);
        gy_jw_kv_str(w, "digest", d->digest);
        kv(w, "source_type", d->source_type);
        kv(w, "source", d->source);
        kv(w, "schema", d->schema);
        kv(w, "profile", d->profile);
        write_tags(w, "tags", d->tags, d->n_tags);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static void write_models(struct gy_jw *w, const char *key, const struct gy_run_model *m, size_t n)
{
    gy_jw_key(w, key);
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_obj(w);
        gy_jw_kv_str(w, "id", m[i].model_id);
        gy_jw_kv_i64(w, "step", m[i].step);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

void gy_transfer_write_run(struct gy_jw *w, const struct gy_run *r)
{
    start(w, "run");
    gy_jw_kv_str(w, "id", r->id);
    gy_jw_kv_i64(w, "experiment_id", r->experiment_id);
    gy_jw_kv_str(w, "name", r->name);
    gy_jw_kv_str(w, "user_id", r->user_id);
    gy_jw_kv_str(w, "status", r->status);
    gy_jw_kv_i64(w, "start_ms", r->start_ms);
    gy_jw_kv_i64(w, "end_ms", r->end_ms);
    gy_jw_kv_str(w, "artifact_uri", r->artifact_uri);
    gy_jw_kv_bool(w, "deleted", r->deleted);
    write_tags(w, "params", r->params, r->n_params);
    write_tags(w, "tags", r->tags, r->n_tags);
    write_inputs(w, r);
    write_models(w, "model_inputs", r->model_inputs, r->n_model_inputs);
    write_models(w, "model_outputs", r->model_outputs, r->n_model_outputs);
    gy_jw_obj_end(w);
}

void gy_transfer_write_points(struct gy_jw *w, const struct gy_transfer_points *p)
{
    start(w, "points");
    gy_jw_kv_str(w, "run", p->run_id);
    gy_jw_kv_str(w, "key", p->n ? p->points[0].key : GY_STR(""));
    gy_jw_key(w, "points");
    gy_jw_arr(w);
    for (size_t i = 0; i < p->n; i++) { /* flat: timestamp, step, value, timestamp, ... */
        gy_jw_i64(w, p->points[i].ts_ms);
        gy_jw_i64(w, p->points[i].step);
        gy_jw_f64(w, p->points[i].value);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

void gy_transfer_write_logged(struct gy_jw *w, const struct gy_logged_model *m)
{
    start(w, "logged_model");
    gy_jw_kv_str(w, "id", m->id);
    gy_jw_kv_i64(w, "experiment_id", m->experiment_id);
    gy_jw_kv_str(w, "name", m->name);
    gy_jw_kv_str(w, "artifact_uri", m->artifact_uri);
    kv(w, "model_type", m->model_type);
    kv(w, "source_run_id", m->source_run_id);
    gy_jw_kv_i64(w, "status", m->status);
    gy_jw_kv_bool(w, "deleted", m->deleted);
    gy_jw_kv_i64(w, "created_us", m->created_us);
    gy_jw_kv_i64(w, "updated_us", m->updated_us);
    write_tags(w, "params", m->params, m->n_params);
    write_tags(w, "tags", m->tags, m->n_tags);
    gy_jw_key(w, "metrics");
    gy_jw_arr(w);
    for (size_t i = 0; i < m->n_metrics; i++) {
        const struct gy_metric *x = &m->metrics[i];
        gy_jw_obj(w);
        gy_jw_kv_str(w, "key", x->key);
        gy_jw_kv_f64(w, "value", x->value);
        gy_jw_kv_i64(w, "ts_ms", x->ts_ms);
        gy_jw_kv_i64(w, "step", x->step);
        kv(w, "run_id", x->run_id);
        kv(w, "dataset_name", x->dataset_name);
        kv(w, "dataset_digest", x->dataset_digest);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

void gy_transfer_write_model(struct gy_jw *w, const struct gy_registered_model *m)
{
    start(w, "model");
    gy_jw_kv_str(w, "name", m->name);
    kv(w, "description", m->description);
    gy_jw_kv_i64(w, "created_us", m->created_us);
    gy_jw_kv_i64(w, "updated_us", m->updated_us);
    write_tags(w, "tags", m->tags, m->n_tags);
    gy_jw_obj_end(w);
}

void gy_transfer_write_version(struct gy_jw *w, const struct gy_transfer_version *x)
{
    const struct gy_model_version *v = &x->v;
    start(w, "version");
    gy_jw_kv_str(w, "name", v->name);
    gy_jw_kv_i64(w, "version", v->version);
    kv(w, "source", v->source);
    kv(w, "storage_location", v->storage_location);
    kv(w, "run_id", v->run_id);
    kv(w, "run_link", v->run_link);
    kv(w, "logged_model_id", v->logged_model_id);
    kv(w, "description", v->description);
    kv(w, "stage", v->stage);
    kv(w, "user", v->actor);
    gy_jw_kv_bool(w, "deleted", x->deleted);
    gy_jw_kv_i64(w, "created_us", v->created_us);
    gy_jw_kv_i64(w, "updated_us", v->updated_us);
    write_tags(w, "tags", x->tags, x->n_tags);
    gy_jw_obj_end(w);
}

void gy_transfer_write_alias(struct gy_jw *w, struct gy_str model, struct gy_str alias,
                             int64_t version)
{
    start(w, "alias");
    gy_jw_kv_str(w, "model", model);
    gy_jw_kv_str(w, "alias", alias);
    gy_jw_kv_i64(w, "version", version);
    gy_jw_obj_end(w);
}

void gy_transfer_write_artifact(struct gy_jw *w, const struct gy_artifact *f)
{
    start(w, "artifact");
    gy_jw_kv_str(w, "path", f->path);
    gy_jw_kv_str(w, "sha256", f->sha256);
    gy_jw_kv_i64(w, "size", f->size_bytes);
    gy_jw_obj_end(w);
}

/* ---- reading ---- */

static gy_status read_tags(yyjson_val *o, const char *key, struct gy_arena *a, struct gy_tag **ret,
                           size_t *ret_n, struct gy_err *err)
{
    yyjson_val *map = gy_json_get(o, key), *k;
    size_t n = 0;
    *ret = NULL;
    *ret_n = 0;
    if (!map || yyjson_is_null(map)) {
        return GY_OK;
    }
    if (!yyjson_is_obj(map)) {
        return gy_err_set(err, GY_E_INVALID, "'%s' must be an object of texts", key);
    }
    struct gy_tag *tags = gy_arena_calloc(a, yyjson_obj_size(map) + 1, sizeof *tags);
    if (!tags) {
        return gy_track_nomem(err);
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(map);
    while ((k = yyjson_obj_iter_next(&it))) {
        yyjson_val *v = yyjson_obj_iter_get_val(k);
        if (!yyjson_is_str(v)) {
            return gy_err_set(err, GY_E_INVALID, "'%s' must be an object of texts", key);
        }
        tags[n++] = (struct gy_tag){gy_json_val_str(k), gy_json_val_str(v)};
    }
    *ret = tags;
    *ret_n = n;
    return GY_OK;
}

/* A number, or one of the words that gy_jw_f64 writes. */
static gy_status read_number(yyjson_val *v, double *ret, struct gy_err *err)
{
    if (yyjson_is_num(v)) {
        *ret = yyjson_get_num(v);
        return GY_OK;
    }
    struct gy_str s = gy_json_val_str(v);
    if (gy_str_eqc(s, "NaN")) {
        *ret = NAN;
    } else if (gy_str_eqc(s, "Infinity")) {
        *ret = INFINITY;
    } else if (gy_str_eqc(s, "-Infinity")) {
        *ret = -INFINITY;
    } else {
        return gy_err_set(err, GY_E_INVALID, "a metric's value is no number");
    }
    return GY_OK;
}

gy_status gy_transfer_read_experiment(yyjson_val *o, struct gy_arena *a, struct gy_experiment *ret,
                                      struct gy_err *err)
{
    *ret = (struct gy_experiment){
        .artifact_location = gy_json_str(o, "artifact_location"),
        .deleted = gy_json_bool(o, "deleted", false),
        .created_us = gy_json_i64(o, "created_us", 0),
        .updated_us = gy_json_i64(o, "updated_us", 0),
    };
    GY_TRY(gy_json_need_i64(o, "id", &ret->id, err));
    GY_TRY(gy_json_need_str(o, "name", &ret->name, err));
    if (ret->id < 0 || ret->name.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "an experiment needs an id >= 0 and a name");
    }
    return read_tags(o, "tags", a, &ret->tags, &ret->n_tags, err);
}

static gy_status read_inputs(yyjson_val *o, struct gy_arena *a, struct gy_run *r,
                             struct gy_err *err)
{
    yyjson_val *list = gy_json_get(o, "inputs"), *x;
    size_t i, n;
    r->inputs = gy_arena_calloc(a, yyjson_arr_size(list) + 1, sizeof *r->inputs);
    if (!r->inputs) {
        return gy_track_nomem(err);
    }
    yyjson_arr_foreach(list, i, n, x)
    {
        struct gy_run_dataset *d = &r->inputs[r->n_inputs++];
        GY_TRY(gy_json_need_str(x, "name", &d->name, err));
        GY_TRY(gy_json_need_str(x, "digest", &d->digest, err));
        d->source_type = gy_json_str(x, "source_type");
        d->source = gy_json_str(x, "source");
        d->schema = gy_json_str(x, "schema");
        d->profile = gy_json_str(x, "profile");
        GY_TRY(read_tags(x, "tags", a, &d->tags, &d->n_tags, err));
    }
    return GY_OK;
}

static gy_status read_models(yyjson_val *o, const char *key, struct gy_arena *a,
                             struct gy_run_model **ret, size_t *ret_n, struct gy_err *err)
{
    yyjson_val *list = gy_json_get(o, key), *x;
    size_t i, n;
    *ret = gy_arena_calloc(a, yyjson_arr_size(list) + 1, sizeof **ret);
    if (!*ret) {
        return gy_track_nomem(err);
    }
    yyjson_arr_foreach(list, i, n, x)
    {
        struct gy_run_model *m = &(*ret)[(*ret_n)++];
        GY_TRY(gy_json_need_str(x, "id", &m->model_id, err));
        m->step = gy_json_i64(x, "step", 0);
    }
    return GY_OK;
}

gy_status gy_transfer_read_run(yyjson_val *o, struct gy_arena *a, struct gy_run *ret,
                               struct gy_err *err)
{
    static const char *const states[] = {"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"};
    *ret = (struct gy_run){
        .name = gy_json_str(o, "name"),
        .user_id = gy_json_str(o, "user_id"),
        .status = gy_json_str(o, "status"),
        .start_ms = gy_json_i64(o, "start_ms", 0),
        .end_ms = gy_json_i64(o, "end_ms", 0),
        .deleted = gy_json_bool(o, "deleted", false),
    };
    bool known = false;
    GY_TRY(gy_json_need_str(o, "id", &ret->id, err));
    GY_TRY(gy_track_check_run_id(ret->id, err));
    GY_TRY(gy_json_need_i64(o, "experiment_id", &ret->experiment_id, err));
    GY_TRY(gy_json_need_str(o, "artifact_uri", &ret->artifact_uri, err));
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        known = known || gy_str_eqc(ret->status, states[i]);
    }
    if (!known) {
        return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is no status of a run",
                          GY_STR_A(gy_str_sub(ret->status, 0, 100)));
    }
    GY_TRY(read_tags(o, "params", a, &ret->params, &ret->n_params, err));
    GY_TRY(read_tags(o, "tags", a, &ret->tags, &ret->n_tags, err));
    GY_TRY(read_inputs(o, a, ret, err));
    GY_TRY(read_models(o, "model_inputs", a, &ret->model_inputs, &ret->n_model_inputs, err));
    return read_models(o, "model_outputs", a, &ret->model_outputs, &ret->n_model_outputs, err);
}

gy_status gy_transfer_read_points(yyjson_val *o, struct gy_arena *a, struct gy_transfer_points *ret,
                                  struct gy_err *err)
{
    struct gy_str key;
    yyjson_val *list = NULL, *x;
    size_t i, n;
    *ret = (struct gy_transfer_points){.n = 0};
    GY_TRY(gy_json_need_str(o, "run", &ret->run_id, err));
    GY_TRY(gy_track_check_run_id(ret->run_id, err));
    GY_TRY(gy_json_need_str(o, "key", &key, err));
    GY_TRY(gy_json_need_arr(o, "points", &list, err));
    if (yyjson_arr_size(list) % 3 != 0 || yyjson_arr_size(list) / 3 > GY_TRANSFER_MAX_POINTS ||
        key.n == 0) {
        return gy_err_set(err, GY_E_INVALID,
                          "'points' holds timestamp, step, value, ..., at most %d times",
                          GY_TRANSFER_MAX_POINTS);
    }
    ret->points = gy_arena_calloc(a, yyjson_arr_size(list) / 3 + 1, sizeof *ret->points);
    if (!ret->points) {
        return gy_track_nomem(err);
    }
    yyjson_arr_foreach(list, i, n, x)
    {
        struct gy_metric *m = &ret->points[i / 3];
        m->key = key;
        if (i % 3 == 2) {
            GY_TRY(read_number(x, &m->value, err));
        } else if (!yyjson_is_int(x) || (yyjson_is_uint(x) && yyjson_get_uint(x) > INT64_MAX)) {
            return gy_err_set(err, GY_E_INVALID, "a point's timestamp or step is no integer");
        } else if (i % 3 == 0) {
            m->ts_ms = yyjson_get_sint(x);
        } else {
            m->step = yyjson_get_sint(x);
        }
    }
    ret->n = yyjson_arr_size(list) / 3;
    return GY_OK;
}

static gy_status read_logged_metrics(yyjson_val *o, struct gy_arena *a, struct gy_logged_model *m,
                                     struct gy_err *err)
{
    yyjson_val *list = gy_json_get(o, "metrics"), *x;
    size_t i, n;
    m->metrics = gy_arena_calloc(a, yyjson_arr_size(list) + 1, sizeof *m->metrics);
    if (!m->metrics) {
        return gy_track_nomem(err);
    }
    yyjson_arr_foreach(list, i, n, x)
    {
        struct gy_metric *p = &m->metrics[m->n_metrics++];
        GY_TRY(gy_json_need_str(x, "key", &p->key, err));
        GY_TRY(read_number(gy_json_get(x, "value"), &p->value, err));
        GY_TRY(gy_json_need_i64(x, "ts_ms", &p->ts_ms, err));
        p->step = gy_json_i64(x, "step", 0);
        p->run_id = gy_json_str(x, "run_id");
        p->dataset_name = gy_json_str(x, "dataset_name");
        p->dataset_digest = gy_json_str(x, "dataset_digest");
    }
    return GY_OK;
}

gy_status gy_transfer_read_logged(yyjson_val *o, struct gy_arena *a, struct gy_logged_model *ret,
                                  struct gy_err *err)
{
    int64_t status = 0;
    *ret = (struct gy_logged_model){
        .name = gy_json_str(o, "name"),
        .model_type = gy_json_str(o, "model_type"),
        .source_run_id = gy_json_str(o, "source_run_id"),
        .deleted = gy_json_bool(o, "deleted", false),
        .created_us = gy_json_i64(o, "created_us", 0),
        .updated_us = gy_json_i64(o, "updated_us", 0),
    };
    GY_TRY(gy_json_need_str(o, "id", &ret->id, err));
    GY_TRY(gy_track_check_run_id(ret->id, err));
    GY_TRY(gy_json_need_str(o, "artifact_uri", &ret->artifact_uri, err));
    GY_TRY(gy_json_need_i64(o, "experiment_id", &ret->experiment_id, err));
    GY_TRY(gy_json_need_i64(o, "status", &status, err));
    if (status < GY_LOGGED_PENDING || status > GY_LOGGED_FAILED) {
        return gy_err_set(err, GY_E_INVALID, "%lld is no status of a logged model",
                          (long long)status);
    }
    ret->status = (enum gy_logged_status)status;
    GY_TRY(read_tags(o, "params", a, &ret->params, &ret->n_params, err));
    GY_TRY(read_tags(o, "tags", a, &ret->tags, &ret->n_tags, err));
    return read_logged_metrics(o, a, ret, err);
}

gy_status gy_transfer_read_model(yyjson_val *o, struct gy_arena *a, struct gy_registered_model *ret,
                                 struct gy_err *err)
{
    *ret = (struct gy_registered_model){
        .description = gy_json_str(o, "description"),
        .created_us = gy_json_i64(o, "created_us", 0),
        .updated_us = gy_json_i64(o, "updated_us", 0),
    };
    GY_TRY(gy_json_need_str(o, "name", &ret->name, err));
    return read_tags(o, "tags", a, &ret->tags, &ret->n_tags, err);
}

gy_status gy_transfer_read_version(yyjson_val *o, struct gy_arena *a,
                                   struct gy_transfer_version *ret, struct gy_err *err)
{
    *ret = (struct gy_transfer_version){
        .deleted = gy_json_bool(o, "deleted", false),
        .v.source = gy_json_str(o, "source"),
        .v.storage_location = gy_json_str(o, "storage_location"),
        .v.run_id = gy_json_str(o, "run_id"),
        .v.run_link = gy_json_str(o, "run_link"),
        .v.logged_model_id = gy_json_str(o, "logged_model_id"),
        .v.description = gy_json_str(o, "description"),
        .v.actor = gy_json_str(o, "user"),
        .v.stage = GY_STR("None"),
        .v.created_us = gy_json_i64(o, "created_us", 0),
        .v.updated_us = gy_json_i64(o, "updated_us", 0),
    };
    struct gy_str stage = gy_json_str(o, "stage");
    GY_TRY(gy_json_need_str(o, "name", &ret->v.name, err));
    GY_TRY(gy_json_need_i64(o, "version", &ret->v.version, err));
    if (ret->v.version < 1 || ret->v.name.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "a version needs a number >= 1 and a model");
    }
    if (stage.n > 0) {
        GY_TRY(gy_model_parse_stage(stage, &ret->v.stage, err));
    }
    return read_tags(o, "tags", a, &ret->tags, &ret->n_tags, err);
}

gy_status gy_transfer_read_alias(yyjson_val *o, struct gy_str *ret_model, struct gy_str *ret_alias,
                                 int64_t *ret_version, struct gy_err *err)
{
    GY_TRY(gy_json_need_str(o, "model", ret_model, err));
    GY_TRY(gy_json_need_str(o, "alias", ret_alias, err));
    return gy_json_need_i64(o, "version", ret_version, err);
}

gy_status gy_transfer_read_artifact(yyjson_val *o, struct gy_artifact *ret, struct gy_err *err)
{
    GY_TRY(gy_json_need_str(o, "path", &ret->path, err));
    GY_TRY(gy_json_need_str(o, "sha256", &ret->sha256, err));
    return gy_json_need_i64(o, "size", &ret->size_bytes, err);
}
