/* SPDX-License-Identifier: Apache-2.0 */
/* Single pieces of MLflow's file store (cli/move.h). */
#include <math.h>

#include "base/yaml.h"
#include "cli/move.h"

/* ---- metric lines ---- */

gy_status gy_move_number(struct gy_str s, double *ret, struct gy_err *err)
{
    struct gy_str bare = s;
    bool minus = bare.n > 0 && bare.p[0] == '-';
    if (bare.n > 0 && (bare.p[0] == '-' || bare.p[0] == '+')) {
        bare = gy_str_sub(bare, 1, SIZE_MAX);
    }
    if (gy_str_ieq(bare, GY_STR("nan"))) {
        *ret = NAN;
        return GY_OK;
    }
    if (gy_str_ieq(bare, GY_STR("inf")) || gy_str_ieq(bare, GY_STR("infinity"))) {
        *ret = minus ? -INFINITY : INFINITY;
        return GY_OK;
    }
    if ((bare.n > 0 && bare.p[0] == '-') || gy_parse_f64(bare, ret, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is no number",
                          GY_STR_A(gy_str_sub(s, 0, 60)));
    }
    *ret = minus ? -*ret : *ret;
    return GY_OK;
}

static gy_status whole(struct gy_str s, const char *what, int64_t *ret, struct gy_err *err)
{
    if (gy_parse_i64(s, INT64_MIN, INT64_MAX, ret, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_INVALID, "the %s '%" GY_STR_F "' is no whole number", what,
                          GY_STR_A(gy_str_sub(s, 0, 60)));
    }
    return GY_OK;
}

gy_status gy_move_metric_line(struct gy_str line, bool of_model, struct gy_metric *ret,
                              struct gy_err *err)
{
    enum { FIELDS = 4 };
    struct gy_str field[FIELDS], rest = gy_str_trim(line), piece;
    size_t n = 0, fixed = of_model ? 4 : 3; /* what follows is a dataset: name and digest */
    *ret = (struct gy_metric){.step = 0};
    while (n < fixed && rest.p && gy_str_next(&rest, ' ', &piece)) {
        field[n++] = piece;
    }
    if (n < 2 || (of_model && n < fixed)) {
        return gy_err_set(err, GY_E_INVALID, "%zu fields, not '%s'", n,
                          of_model ? "timestamp value step run [dataset digest]"
                                   : "timestamp value [step [dataset digest]]");
    }
    GY_TRY(whole(field[0], "timestamp", &ret->ts_ms, err));
    GY_TRY(gy_move_number(field[1], &ret->value, err));
    if (n > 2) {
        GY_TRY(whole(field[2], "step", &ret->step, err));
    }
    if (of_model) {
        ret->run_id = field[3];
    }
    if (rest.p) { /* the name may have blanks, the digest has none */
        size_t cut = SIZE_MAX;
        for (size_t i = 0; i < rest.n; i++) {
            cut = rest.p[i] == ' ' ? i : cut;
        }
        if (cut == SIZE_MAX || cut == 0 || cut + 1 == rest.n) {
            return gy_err_set(err, GY_E_INVALID, "a dataset's name without its digest");
        }
        ret->dataset_name = gy_str_sub(rest, 0, cut);
        ret->dataset_digest = gy_str_sub(rest, cut + 1, SIZE_MAX);
    }
    return GY_OK;
}

/* ---- meta.yaml ---- */

static const struct gy_yaml_node *member(const struct gy_yaml *y, const char *key)
{
    const struct gy_yaml_node *n = gy_yaml_get(gy_yaml_root(y), key);
    return n && n->kind != GY_YAML_NULL && n->kind != GY_YAML_SEQ && n->kind != GY_YAML_MAP ? n
                                                                                            : NULL;
}

/* A copy, or the absent string. */
static gy_status text(const struct gy_yaml *y, const char *key, struct gy_arena *a,
                      struct gy_str *ret, struct gy_err *err)
{
    const struct gy_yaml_node *n = member(y, key);
    *ret = n ? gy_arena_str(a, n->text) : GY_STR_NULL;
    return !n || ret->p ? GY_OK : gy_track_nomem(err);
}

static gy_status need_text(const struct gy_yaml *y, const char *key, struct gy_arena *a,
                           struct gy_str *ret, struct gy_err *err)
{
    GY_TRY(text(y, key, a, ret, err));
    return ret->n > 0 ? GY_OK
                      : gy_yaml_err(y, gy_yaml_root(y), err,
                                    "'%s' is missing: the file is cut off "
                                    "or is no meta.yaml of MLflow",
                                    key);
}

static gy_status number(const struct gy_yaml *y, const char *key, int64_t *ret, struct gy_err *err)
{
    const struct gy_yaml_node *n = member(y, key);
    *ret = 0;
    if (!n || gy_parse_i64(n->text, INT64_MIN, INT64_MAX, ret, NULL) == GY_OK) {
        return GY_OK;
    }
    return gy_yaml_err(y, n, err, "'%s' is no whole number: '%" GY_STR_F "'", key,
                       GY_STR_A(gy_str_sub(n->text, 0, 60)));
}

static gy_status times(const struct gy_yaml *y, const char *created, const char *updated,
                       int64_t *ret_created_us, int64_t *ret_updated_us, struct gy_err *err)
{
    GY_TRY(number(y, created, ret_created_us, err));
    GY_TRY(number(y, updated, ret_updated_us, err));
    *ret_created_us = gy_move_us(*ret_created_us);
    *ret_updated_us = *ret_updated_us ? gy_move_us(*ret_updated_us) : *ret_created_us;
    return GY_OK;
}

static bool is_deleted(const struct gy_yaml *y)
{
    const struct gy_yaml_node *n = member(y, "lifecycle_stage");
    return n && gy_str_eqc(n->text, "deleted");
}

static gy_status experiment_id(const struct gy_yaml *y, int64_t *ret, struct gy_err *err)
{
    const struct gy_yaml_node *n = member(y, "experiment_id");
    if (n && gy_parse_i64(n->text, 0, INT64_MAX, ret, NULL) == GY_OK) {
        return GY_OK;
    }
    return gy_yaml_err(y, n ? n : gy_yaml_root(y), err,
                       "'experiment_id' is missing or no whole number");
}

gy_status gy_move_meta_experiment(const struct gy_yaml *y, struct gy_arena *a,
                                  struct gy_experiment *ret, struct gy_err *err)
{
    *ret = (struct gy_experiment){.deleted = is_deleted(y)};
    GY_TRY(experiment_id(y, &ret->id, err));
    GY_TRY(need_text(y, "name", a, &ret->name, err));
    GY_TRY(text(y, "artifact_location", a, &ret->artifact_location, err));
    return times(y, "creation_time", "last_update_time", &ret->created_us, &ret->updated_us, err);
}

/* MLflow writes the number of its enumeration; old versions the word. */
static gy_status run_status(const struct gy_yaml *y, struct gy_str *ret, struct gy_err *err)
{
    static const char *const words[] = {"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"};
    const struct gy_yaml_node *n = member(y, "status");
    *ret = GY_STR("RUNNING");
    if (!n) {
        return GY_OK;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (gy_str_eqc(n->text, words[i]) || (n->kind == GY_YAML_INT && n->i == (int64_t)i + 1)) {
            *ret = gy_str_c(words[i]);
            return GY_OK;
        }
    }
    return gy_yaml_err(y, n, err, "'%" GY_STR_F "' is no status of a run",
                       GY_STR_A(gy_str_sub(n->text, 0, 60)));
}

gy_status gy_move_meta_run(const struct gy_yaml *y, struct gy_arena *a, struct gy_run *ret,
                           struct gy_err *err)
{
    *ret = (struct gy_run){.deleted = is_deleted(y)};
    GY_TRY(text(y, "run_id", a, &ret->id, err));
    if (ret->id.n == 0) {
        GY_TRY(need_text(y, "run_uuid", a, &ret->id, err));
    }
    GY_TRY(experiment_id(y, &ret->experiment_id, err));
    GY_TRY(text(y, "run_name", a, &ret->name, err));
    if (ret->name.n == 0) {
        GY_TRY(text(y, "name", a, &ret->name, err));
    }
    GY_TRY(text(y, "user_id", a, &ret->user_id, err));
    GY_TRY(text(y, "artifact_uri", a, &ret->artifact_uri, err));
    GY_TRY(run_status(y, &ret->status, err));
    GY_TRY(number(y, "start_time", &ret->start_ms, err));
    GY_TRY(number(y, "end_time", &ret->end_ms, err));
    ret->artifact_uri = ret->artifact_uri.p ? ret->artifact_uri : GY_STR("");
    if (gy_track_check_run_id(ret->id, NULL) != GY_OK) {
        return gy_yaml_err(y, gy_yaml_root(y), err, "'%" GY_STR_F "' is no id of a run",
                           GY_STR_A(gy_str_sub(ret->id, 0, 100)));
    }
    return GY_OK;
}

static gy_status logged_status(const struct gy_yaml *y, enum gy_logged_status *ret,
                               struct gy_err *err)
{
    static const char *const words[] = {"PENDING", "READY", "FAILED"};
    const struct gy_yaml_node *n = member(y, "status");
    *ret = GY_LOGGED_READY;
    if (!n) {
        return GY_OK;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct gy_str word = gy_str_c(words[i]);
        if (gy_str_ends(n->text, word) || (n->kind == GY_YAML_INT && n->i == (int64_t)i + 1)) {
            *ret = (enum gy_logged_status)(i + 1);
            return GY_OK;
        }
    }
    return gy_yaml_err(y, n, err, "'%" GY_STR_F "' is no status of a logged model",
                       GY_STR_A(gy_str_sub(n->text, 0, 60)));
}

gy_status gy_move_meta_logged(const struct gy_yaml *y, struct gy_arena *a,
                              struct gy_logged_model *ret, struct gy_err *err)
{
    *ret = (struct gy_logged_model){.deleted = is_deleted(y)};
    GY_TRY(need_text(y, "model_id", a, &ret->id, err));
    GY_TRY(experiment_id(y, &ret->experiment_id, err));
    GY_TRY(text(y, "name", a, &ret->name, err));
    GY_TRY(text(y, "artifact_location", a, &ret->artifact_uri, err));
    GY_TRY(text(y, "model_type", a, &ret->model_type, err));
    GY_TRY(text(y, "source_run_id", a, &ret->source_run_id, err));
    GY_TRY(logged_status(y, &ret->status, err));
    ret->artifact_uri = ret->artifact_uri.p ? ret->artifact_uri : GY_STR("");
    return times(y, "creation_timestamp", "last_updated_timestamp", &ret->created_us,
                 &ret->updated_us, err);
}

gy_status gy_move_meta_model(const struct gy_yaml *y, struct gy_arena *a,
                             struct gy_registered_model *ret, struct gy_err *err)
{
    *ret = (struct gy_registered_model){.id = 0};
    GY_TRY(need_text(y, "name", a, &ret->name, err));
    GY_TRY(text(y, "description", a, &ret->description, err));
    return times(y, "creation_timestamp", "last_updated_timestamp", &ret->created_us,
                 &ret->updated_us, err);
}

gy_status gy_move_meta_version(const struct gy_yaml *y, struct gy_arena *a,
                               struct gy_transfer_version *ret, struct gy_err *err)
{
    struct gy_model_version *v = &ret->v;
    *ret = (struct gy_transfer_version){.deleted = false};
    GY_TRY(need_text(y, "name", a, &v->name, err));
    GY_TRY(number(y, "version", &v->version, err));
    GY_TRY(text(y, "source", a, &v->source, err));
    GY_TRY(text(y, "storage_location", a, &v->storage_location, err));
    GY_TRY(text(y, "run_id", a, &v->run_id, err));
    GY_TRY(text(y, "run_link", a, &v->run_link, err));
    GY_TRY(text(y, "model_id", a, &v->logged_model_id, err));
    GY_TRY(text(y, "description", a, &v->description, err));
    GY_TRY(text(y, "user_id", a, &v->actor, err));
    GY_TRY(text(y, "current_stage", a, &v->stage, err));
    if (v->version < 1) {
        return gy_yaml_err(y, gy_yaml_root(y), err, "'version' is missing or no number from 1");
    }
    if (gy_str_eqc(v->stage, "Deleted_Internal")) {
        ret->deleted = true;
        v->stage = GY_STR("None");
    }
    return times(y, "creation_timestamp", "last_updated_timestamp", &v->created_us, &v->updated_us,
                 err);
}
