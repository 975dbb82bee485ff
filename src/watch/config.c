/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/config.h"

#include <math.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/time.h"
#include "watch/webhook.h"

void gy_watch_settings_init(struct gy_watch_settings *s)
{
    *s = (struct gy_watch_settings){.reference = GY_WATCH_TRAINING,
                                    .window_rows = 1000,
                                    .performance_rows = 1000,
                                    .recall_min = NAN,
                                    .rule_precision_min = NAN,
                                    .labels_min = NAN,
                                    .lag_max_seconds = 30};
    gy_drift_options_init(&s->drift);
}

/* ---- reading the section ---- */

static gy_status refuse_key(const char *where, struct gy_str key, const char *const *known,
                            struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_INVALID, "%s: there is no '%" GY_STR_F "'", where, GY_STR_A(key));
    char hint[200] = "known here: ";
    for (size_t i = 0; known[i]; i++) {
        size_t n = strlen(hint);
        (void)snprintf(hint + n, sizeof hint - n, "%s%s", i ? ", " : "", known[i]);
    }
    return gy_err_hint(err, "%s", hint);
}

/* Every key of the object is one of the known ones. */
static gy_status only(yyjson_val *object, const char *where, const char *const *known,
                      struct gy_err *err)
{
    if (!yyjson_is_obj(object)) {
        return gy_err_set(err, GY_E_INVALID, "%s must be a map", where);
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        struct gy_str name = gy_json_val_str(key);
        size_t i = 0;
        while (known[i] && !gy_str_eqc(name, known[i])) {
            i++;
        }
        if (!known[i]) {
            return refuse_key(where, name, known, err);
        }
    }
    return GY_OK;
}

static gy_status read_number(yyjson_val *object, const char *where, const char *key, double min,
                             double max, double *ret, struct gy_err *err)
{
    yyjson_val *v = gy_json_get(object, key);
    if (!v || yyjson_is_null(v)) {
        return GY_OK;
    }
    double f = yyjson_is_num(v) ? yyjson_get_num(v) : NAN;
    if (!(f >= min && f <= max)) {
        return gy_err_set(err, GY_E_INVALID, "%s.%s must be a number from %g to %g", where, key,
                          min, max);
    }
    *ret = f;
    return GY_OK;
}

static gy_status read_count(yyjson_val *object, const char *where, const char *key, int64_t min,
                            int64_t max, int64_t *ret, struct gy_err *err)
{
    yyjson_val *v = gy_json_get(object, key);
    if (!v || yyjson_is_null(v)) {
        return GY_OK;
    }
    int64_t i = yyjson_is_int(v) ? gy_json_i64(object, key, -1) : -1;
    if (i < min || i > max) {
        return gy_err_set(err, GY_E_INVALID, "%s.%s must be a whole number from %lld to %lld",
                          where, key, (long long)min, (long long)max);
    }
    *ret = i;
    return GY_OK;
}

/* One of two words. */
static gy_status read_choice(yyjson_val *object, const char *key, const char *first,
                             const char *second, bool *ret_second, struct gy_err *err)
{
    yyjson_val *v = gy_json_get(object, key);
    if (!v || yyjson_is_null(v)) {
        return GY_OK;
    }
    struct gy_str word = gy_json_val_str(v);
    *ret_second = gy_str_eqc(word, second);
    return *ret_second || gy_str_eqc(word, first)
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "watch.%s must be %s or %s", key, first, second);
}

static gy_status read_rows(yyjson_val *section, const char *key, int64_t *ret, struct gy_err *err)
{
    static const char *const known[] = {"rows", NULL};
    yyjson_val *v = gy_json_get(section, key);
    char where[64];
    if (!v) {
        return GY_OK;
    }
    (void)snprintf(where, sizeof where, "watch.%s", key);
    GY_TRY(only(v, where, known, err));
    return read_count(v, where, "rows", GY_WATCH_MIN_ROWS, GY_WATCH_MAX_ROWS, ret, err);
}

gy_status gy_watch_settings_read(yyjson_val *section, struct gy_arena *a,
                                 struct gy_watch_settings *ret, struct gy_err *err)
{
    static const char *const known[] = {"reference",       "window",      "drift",
                                        "on_drift",        "performance", "recall_min",
                                        "labels_min",      "review_max",  "rule_precision_min",
                                        "lag_max_seconds", NULL};
    struct gy_watch_settings s;
    gy_watch_settings_init(&s);
    if (section && !yyjson_is_null(section)) {
        bool first_window = false;
        GY_TRY(only(section, "watch", known, err));
        GY_TRY(read_choice(section, "reference", "training", "first_window", &first_window, err));
        s.reference = first_window ? GY_WATCH_FIRST_WINDOW : GY_WATCH_TRAINING;
        GY_TRY(read_choice(section, "on_drift", "alert", "retrain", &s.retrain, err));
        GY_TRY(read_rows(section, "window", &s.window_rows, err));
        GY_TRY(read_rows(section, "performance", &s.performance_rows, err));
        gy_status st = gy_drift_options_read(gy_json_get(section, "drift"), a, &s.drift, err);
        if (st != GY_OK) {
            return gy_err_wrap(err, "watch");
        }
        GY_TRY(read_number(section, "watch", "recall_min", 0, 1, &s.recall_min, err));
        GY_TRY(
            read_number(section, "watch", "rule_precision_min", 0, 1, &s.rule_precision_min, err));
        GY_TRY(read_number(section, "watch", "labels_min", 0, 1, &s.labels_min, err));
        GY_TRY(read_count(section, "watch", "review_max", 1, INT64_C(1) << 40, &s.review_max, err));
        GY_TRY(read_number(section, "watch", "lag_max_seconds", 1, 1e9, &s.lag_max_seconds, err));
    }
    *ret = s;
    return GY_OK;
}

/* ---- the table ---- */

static gy_status check(const struct gy_watch_config *c, struct gy_err *err)
{
    if (c->project.n == 0 || c->project.n > GY_MAX_NAME) {
        return gy_err_set(err, GY_E_INVALID, "the project's name: 1 to %d bytes are wanted",
                          GY_MAX_NAME);
    }
    if (c->sections.n > GY_WATCH_MAX_SECTIONS) {
        return gy_err_set(err, GY_E_TOOBIG, "the sections of gyre.yaml are longer than %zu bytes",
                          GY_WATCH_MAX_SECTIONS);
    }
    GY_AUTO(gy_json_free) yyjson_doc *sections = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *endpoints = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_watch_settings s;
    GY_TRY(gy_json_parse(c->sections, &sections, err));
    GY_TRY(gy_json_parse(c->endpoints, &endpoints, err));
    if (yyjson_arr_size(yyjson_doc_get_root(endpoints)) > GY_WATCH_MAX_ENDPOINTS) {
        return gy_err_set(err, GY_E_TOOBIG, "a project has at most %d endpoints",
                          GY_WATCH_MAX_ENDPOINTS);
    }
    GY_TRY(gy_webhook_check(gy_json_get(yyjson_doc_get_root(sections), "notify"), err));
    return gy_watch_settings_read(gy_json_get(yyjson_doc_get_root(sections), "watch"), &a, &s, err);
}

gy_status gy_watch_config_put(struct gy_db *db, const struct gy_watch_config *c, struct gy_err *err)
{
    GY_TRY(check(c, err));
    int64_t now = gy_now_us();
    return gy_db_exec(
        db,
        "INSERT INTO watch_configs (project, folder, endpoints, sections, actor, created_us, "
        "updated_us) VALUES (?,?,?,?,?,?,?) ON CONFLICT (workspace_id, project) DO UPDATE SET "
        "folder=excluded.folder, endpoints=excluded.endpoints, sections=excluded.sections, "
        "actor=excluded.actor, updated_us=excluded.updated_us",
        GY_VALS(gy_vs(c->project), gy_vs(c->folder.p ? c->folder : GY_STR("")), gy_vs(c->endpoints),
                gy_vs(c->sections), gy_vs(c->actor), gy_vi(now), gy_vi(now)),
        NULL, err);
}

#define COLUMNS "SELECT project, folder, endpoints, sections, actor, created_us, updated_us "

static gy_status read_config(struct gy_stmt *st, struct gy_arena *a, struct gy_watch_config *c,
                             struct gy_err *err)
{
    struct gy_str *const texts[] = {&c->project, &c->folder, &c->endpoints, &c->sections,
                                    &c->actor};
    for (int i = 0; i < 5; i++) {
        GY_TRY(gy_col_copy(st, i, a, texts[i], err));
    }
    c->created_us = gy_col_i64(st, 5);
    c->updated_us = gy_col_i64(st, 6);
    return GY_OK;
}

gy_status gy_watch_config_list(struct gy_db *db, struct gy_arena *a, struct gy_watch_config **ret,
                               size_t *ret_n, struct gy_err *err)
{
    struct gy_watch_config *all = gy_arena_calloc(a, GY_WATCH_MAX_PROJECTS, sizeof *all);
    if (!all) {
        return gy_err_set(err, GY_E_NOMEM, "what is watched");
    }
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, COLUMNS "FROM watch_configs ORDER BY updated_us DESC, project LIMIT ?",
                       GY_VALS(gy_vi(GY_WATCH_MAX_PROJECTS)), &st, err));
    size_t n = 0;
    for (;; n++) {
        bool row;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(read_config(st, a, &all[n], err));
    }
    *ret = all;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_watch_config_get(struct gy_db *db, struct gy_str project, struct gy_arena *a,
                              struct gy_watch_config *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool row;
    GY_TRY(gy_db_query(db, COLUMNS "FROM watch_configs WHERE project=?", GY_VALS(gy_vs(project)),
                       &st, err));
    GY_TRY(gy_stmt_step(st, &row, err));
    if (!row) {
        (void)gy_err_set(err, GY_E_NOTFOUND, "the project '%" GY_STR_F "' is not watched",
                         GY_STR_A(project));
        return gy_err_hint(err, "gyre watch apply, in its folder");
    }
    return read_config(st, a, ret, err);
}

bool gy_watch_config_has(const struct gy_watch_config *c, struct gy_str endpoint)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (gy_json_parse(c->endpoints, &doc, NULL) != GY_OK) {
        return false; /* it was checked when it was stored */
    }
    yyjson_val *v;
    yyjson_arr_iter it = yyjson_arr_iter_with(yyjson_doc_get_root(doc));
    while ((v = yyjson_arr_iter_next(&it))) {
        if (gy_str_eq(gy_json_val_str(v), endpoint)) {
            return true;
        }
    }
    return false;
}
