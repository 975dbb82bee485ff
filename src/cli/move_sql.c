/* SPDX-License-Identifier: Apache-2.0 */
/* MLflow's databases (cli/move.h): SQLite and PostgreSQL, of any generation of its schema: what
 * tables and columns there are is asked, and a query is made of those. The names of tables and
 * columns are ours or were read from the catalogue and compared with ours: none comes from outside.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/move.h"
#include "store/sql.h"

enum { MAX_COLUMNS = 32, MAX_SQL = 2048 };

struct sql {
    const struct gy_sql_driver *driver;
    void *conn;
    const char *artifacts_root;
    struct gy_move_report *report;
    struct gy_map columns; /* "table.column" of all tables; "table." for the table */
    struct gy_str after;   /* the last id of the page before */
    char after_id[300];
    char base[GY_MAX_PATH]; /* where relative places begin */
};

/* ---- queries ---- */

struct query { /* one that is under way */
    struct sql *s;
    void *st;
};

static void finish(struct query *q)
{
    if (q->st) {
        q->s->driver->ops->finalize(q->st);
        q->st = NULL;
    }
}
GY_DEFINE_AUTO_DONE(struct query, finish);

static gy_status start(struct sql *s, const char *text, const struct gy_val *vals, size_t n,
                       struct query *ret, struct gy_err *err)
{
    const struct gy_sql_ops *ops = s->driver->ops;
    *ret = (struct query){.s = s};
    GY_TRY(ops->prepare(s->conn, text, &ret->st, err));
    return ops->bind(ret->st, vals, n, true, err);
}

static gy_status step(struct query *q, bool *ret_row, struct gy_err *err)
{
    return q->s->driver->ops->step(q->st, ret_row, err);
}

static int64_t number(struct query *q, int column)
{
    struct gy_val v = {.kind = GY_VAL_NULL};
    q->s->driver->ops->column(q->st, column, GY_VAL_INT, &v);
    return v.kind == GY_VAL_NULL ? 0 : v.i;
}

/* NULL stands for NaN where a metric may be NULL. */
static double real(struct query *q, int column)
{
    struct gy_val v = {.kind = GY_VAL_NULL};
    q->s->driver->ops->column(q->st, column, GY_VAL_REAL, &v);
    return v.kind == GY_VAL_NULL ? (double)NAN : v.f;
}

static struct gy_str view(struct query *q, int column)
{
    struct gy_val v = {.kind = GY_VAL_NULL};
    q->s->driver->ops->column(q->st, column, GY_VAL_TEXT, &v);
    return v.kind == GY_VAL_NULL ? GY_STR_NULL : v.s;
}

static gy_status text(struct query *q, int column, struct gy_arena *a, struct gy_str *ret,
                      struct gy_err *err)
{
    struct gy_str s = view(q, column);
    *ret = s.p ? gy_arena_str(a, s) : GY_STR_NULL;
    return !s.p || ret->p ? GY_OK : gy_track_nomem(err);
}

static bool has(const struct sql *s, const char *table, const char *column)
{
    char name[200];
    (void)snprintf(name, sizeof name, "%s.%s", table, column);
    return gy_map_has(&s->columns, gy_str_c(name));
}

/* "SELECT c1, c2, ..": a column that this generation has not is NULL. Quoted: "key" and "user" are
 * words of SQL. */
static gy_status select_of(const struct sql *s, const char *table, const char *const *columns,
                           const char *rest, char out[MAX_SQL], struct gy_err *err)
{
    size_t at = 0;
    for (size_t i = 0; columns[i] && at < MAX_SQL; i++) {
        bool there = has(s, table, columns[i]);
        at += (size_t)snprintf(out + at, MAX_SQL - at, there ? "%s\"%s\"" : "%sNULL",
                               i ? ", " : "SELECT ", columns[i]);
    }
    if (at < MAX_SQL) {
        at += (size_t)snprintf(out + at, MAX_SQL - at, " FROM %s %s", table, rest);
    }
    return at < MAX_SQL ? GY_OK : gy_err_set(err, GY_E_TOOBIG, "a query is too long");
}

/* ---- keys and values ---- */

static gy_status pairs(struct sql *s, const char *table, const char *query,
                       const struct gy_val *vals, size_t n_vals, struct gy_arena *a,
                       struct gy_tag **ret, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO_DONE(finish) struct query q = {NULL, NULL};
    void *items = NULL;
    size_t n = 0, cap = 0;
    *ret = NULL;
    *ret_n = 0;
    if (!has(s, table, "")) {
        return GY_OK;
    }
    GY_TRY(start(s, query, vals, n_vals, &q, err));
    for (;;) {
        bool row = false;
        GY_TRY(step(&q, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_tag), err));
        struct gy_tag *t = &((struct gy_tag *)items)[n++];
        GY_TRY(text(&q, 0, a, &t->key, err));
        GY_TRY(text(&q, 1, a, &t->value, err));
        t->value = t->value.p ? t->value : GY_STR("");
        if (!gy_str_is_utf8(t->key) || !gy_str_is_utf8(t->value)) {
            gy_move_reject(s->report, table, "a key or value is no UTF-8");
            n--;
        }
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}

/* ---- experiments ---- */

static bool is_deleted(struct query *q, int column)
{
    return gy_str_eqc(view(q, column), "deleted");
}

static gy_status sql_experiments(void *self, struct gy_arena *a, struct gy_experiment **ret,
                                 size_t *ret_n, struct gy_err *err)
{
    struct sql *s = self;
    static const char *const columns[] = {
        "experiment_id",    "name", "artifact_location", "lifecycle_stage", "creation_time",
        "last_update_time", NULL};
    char query[MAX_SQL];
    GY_AUTO_DONE(finish) struct query q = {NULL, NULL};
    void *items = NULL;
    size_t n = 0, cap = 0;
    GY_TRY(select_of(s, "experiments", columns,
                     has(s, "experiments", "workspace")
                         ? "WHERE workspace = 'default' ORDER BY experiment_id"
                         : "ORDER BY experiment_id",
                     query, err));
    GY_TRY(start(s, query, NULL, 0, &q, err));
    for (;;) {
        bool row = false;
        GY_TRY(step(&q, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_experiment), err));
        struct gy_experiment *e = &((struct gy_experiment *)items)[n++];
        *e = (struct gy_experiment){.id = number(&q, 0),
                                    .deleted = is_deleted(&q, 3),
                                    .created_us = gy_move_us(number(&q, 4)),
                                    .updated_us = gy_move_us(number(&q, 5))};
        GY_TRY(text(&q, 1, a, &e->name, err));
        GY_TRY(text(&q, 2, a, &e->artifact_location, err));
    }
    *ret = items;
    *ret_n = n;
    for (size_t i = 0; i < n; i++) {
        GY_TRY(
            pairs(s, "experiment_tags",
                  "SELECT \"key\", value FROM experiment_tags WHERE experiment_id = ? ORDER BY 1",
                  GY_VALS(gy_vi((*ret)[i].id)), a, &(*ret)[i].tags, &(*ret)[i].n_tags, err));
    }
    return GY_OK;
}

/* ---- runs ---- */

static gy_status read_run(struct sql *s, struct query *q, struct gy_arena *a, struct gy_run *r,
                          bool *ret_ok, struct gy_err *err)
{
    char where[320];
    *r = (struct gy_run){.start_ms = number(q, 4),
                         .end_ms = number(q, 5),
                         .deleted = is_deleted(q, 6),
                         .experiment_id = number(q, 8)};
    GY_TRY(text(q, 0, a, &r->id, err));
    GY_TRY(text(q, 1, a, &r->name, err));
    GY_TRY(text(q, 2, a, &r->user_id, err));
    GY_TRY(text(q, 3, a, &r->status, err));
    GY_TRY(text(q, 7, a, &r->artifact_uri, err));
    r->artifact_uri = r->artifact_uri.p ? r->artifact_uri : GY_STR("");
    r->status = r->status.n ? r->status : GY_STR("RUNNING");
    *ret_ok = gy_track_check_run_id(r->id, NULL) == GY_OK;
    if (!*ret_ok) {
        (void)snprintf(where, sizeof where, "runs %" GY_STR_F, GY_STR_A(gy_str_sub(r->id, 0, 256)));
        gy_move_reject(s->report, where, "its id is none that a run can have");
    }
    return GY_OK;
}

static gy_status read_inputs(struct sql *s, struct gy_arena *a, struct gy_run *r,
                             struct gy_err *err)
{
    GY_AUTO_DONE(finish) struct query q = {NULL, NULL};
    void *items = NULL;
    size_t cap = 0;
    if (!has(s, "inputs", "") || !has(s, "datasets", "")) {
        return GY_OK;
    }
    GY_TRY(start(s,
                 "SELECT d.name, d.digest, d.dataset_source_type, d.dataset_source, "
                 "d.dataset_schema, d.dataset_profile, i.input_uuid FROM inputs i JOIN datasets d "
                 "ON d.dataset_uuid = i.source_id WHERE i.source_type = 'DATASET' AND "
                 "i.destination_type = 'RUN' AND i.destination_id = ? ORDER BY d.name, d.digest",
                 GY_VALS(gy_vs(r->id)), &q, err));
    for (;;) {
        bool row = false;
        GY_TRY(step(&q, &row, err));
        if (!row) {
            return GY_OK;
        }
        GY_TRY(gy_track_grow(a, &items, r->n_inputs, &cap, sizeof *r->inputs, err));
        r->inputs = items;
        struct gy_run_dataset *d = &r->inputs[r->n_inputs++];
        struct gy_str input;
        *d = (struct gy_run_dataset){.n_tags = 0};
        GY_TRY(text(&q, 0, a, &d->name, err));
        GY_TRY(text(&q, 1, a, &d->digest, err));
        GY_TRY(text(&q, 2, a, &d->source_type, err));
        GY_TRY(text(&q, 3, a, &d->source, err));
        GY_TRY(text(&q, 4, a, &d->schema, err));
        GY_TRY(text(&q, 5, a, &d->profile, err));
        GY_TRY(text(&q, 6, a, &input, err));
        GY_TRY(pairs(s, "input_tags",
                     "SELECT name, value FROM input_tags WHERE input_uuid = ? ORDER BY 1",
                     GY_VALS(gy_vs(input)), a, &d->tags, &d->n_tags, err));
    }
}

static gy_status read_models(struct sql *s, bool outputs, struct gy_arena *a, struct gy_run *r,
                             struct gy_err *err)
{
    GY_AUTO_DONE(finish) struct query q = {NULL, NULL};
    void *items = NULL;
    size_t n = 0, cap = 0;
    const char *query =
        outputs ? "SELECT destination_id, step FROM inputs WHERE source_type = 'RUN_OUTPUT' AND "
                  "source_id = ? AND destination_type = 'MODEL_OUTPUT' ORDER BY destination_id"
                : "SELECT destination_id, step FROM inputs WHERE source_type = 'RUN_INPUT' AND "
                  "source_id = ? AND destination_type = 'MODEL_INPUT' ORDER BY destination_id";
    GY_TRY(start(s, query, GY_VALS(gy_vs(r->id)), &q, err));
    for (;;) {
        bool row = false;
        GY_TRY(step(&q, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_run_model), err));
        struct gy_run_model *m = &((struct gy_run_model *)items)[n++];
        m->step = number(&q, 1);
        GY_TRY(text(&q, 0, a, &m->model_id, err));
    }
    *(outputs ? &r->model_outputs : &r->model_inputs) = items;
    *(outputs ? &r->n_model_outputs : &r->n_model_inputs) = n;
    return GY_OK;
}

static gy_status read_run_data(struct sql *s, struct gy_arena *a, struct gy_run *r,
                               struct gy_err *err)
{
    const struct gy_val id = gy_vs(r->id);
    GY_TRY(pairs(s, "params", "SELECT \"key\", value FROM params WHERE run_uuid = ? ORDER BY 1",
                 &id, 1, a, &r->params, &r->n_params, err));
    GY_TRY(pairs(s, "tags", "SELECT \"key\", value FROM tags WHERE run_uuid = ? ORDER BY 1", &id, 1,
                 a, &r->tags, &r->n_tags, err));
    for (size_t i = 0; i < r->n_tags && r->name.n == 0; i++) {
        if (gy_str_eqc(r->tags[i].key, "mlflow.runName")) {
            r->name = r->tags[i].value;
        }
    }
    GY_TRY(read_inputs(s, a, r, err));
    if (!has(s, "inputs", "step")) { /* before logged models */
        return GY_OK;
    }
    GY_TRY(read_models(s, false, a, r, err));
    return read_models(s, true, a, r, err);
}

static void keep_after(struct sql *s, struct gy_str id)
{
    (void)snprintf(s->after_id, sizeof s->after_id, "%" GY_STR_F, GY_STR_A(id));
    s->after = gy_str_c(s->after_id);
}

static gy_status count_traces(struct sql *s, int64_t experiment, struct gy_err *err)
{
    GY_AUTO_DONE(finish) struct query q = {NULL, NULL};
    bool row = false;
    if (!has(s, "trace_info", "")) {
        return GY_OK;
    }
    GY_TRY(start(s, "SELECT COUNT(*) FROM trace_info WHERE experiment_id = ?",
                 GY_VALS(gy_vi(experiment)), &q, err));
    GY_TRY(step(&q, &row, err));
    s->report->not_taken += row ? number(&q, 0) : 0;
    return GY_OK;
}

static gy_status sql_runs(void *self, const struct gy_experiment *e, size_t page,
                          struct gy_arena *a, struct gy_run **ret, size_t *ret_n, bool *ret_end,
                          struct gy_err *err)
{
    struct sql *s = self;
    static const char *const columns[] = {
        "run_uuid",        "name",         "user_id",       "status", "start_time", "end_time",
        "lifecycle_stage", "artifact_uri", "experiment_id", NULL};
    char query[MAX_SQL];
    size_t rows = 0;
    GY_AUTO_DONE(finish) struct query q = {NULL, NULL};
    if (page == 0) {
        s->after = GY_STR("");
        GY_TRY(count_traces(s, e->id, err));
    }
    *ret = gy_arena_calloc(a, GY_MOVE_PAGE, sizeof **ret);
    *ret_n = 0;
    if (!*ret) {
        return gy_track_nomem(err);
    }
    GY_TRY(select_of(s, "runs", columns,
                     "WHERE experiment_id = ? AND run_uuid > ? ORDER BY run_uuid LIMIT ?", query,
                     err));
    GY_TRY(start(s, query, GY_VALS(gy_vi(e->id), gy_vs(s->after), gy_vi(GY_MOVE_PAGE)), &q, err));
    for (;; rows++) {
        bool row = false, ok = false;
        GY_TRY(step(&q, &row, err));
        if (!row) {
            break;
        }
        keep_after(s, view(&q, 0));
        GY_TRY(read_run(s, &q, a, &(*ret)[*ret_n], &ok, err));
        *ret_n += ok;
    }
    finish(&q);
    for (size_t i = 0; i < *ret_n; i++) {
        GY_TRY(read_run_data(s, a, &(*ret)[i], err));
    }
    *ret_end = rows < GY_MOVE_PAGE;
    return GY_OK;
}

/* ---- metrics ---- */

/* Points are only ever added: their number tells of a change. */
static gy_status sql_mark(void *self, const struct gy_run *r, struct gy_hash *h, struct gy_err *err)
{
    GY_AUTO_DONE(finish) struct query q = {NULL, NULL};
    bool row = false;
    char count[64];
    GY_TRY(start(self, "SELECT COUNT(*) FROM metrics WHERE run_uuid = ?", GY_VALS(gy_vs(r->id)), &q,
                 err));
    GY_TRY(step(&q, &row, err));
    (void)snprintf(count, sizeof count, "points %lld", (long long)(row ? number(&q, 0) : 0));
    gy_hash_add(h, gy_str_c(count));
    return GY_OK;
}

static gy_status sql_points(void *self, const struct gy_run *r, gy_move_point_fn fn, void *ctx,
                            struct gy_err *err)
{
    static const char *const columns[] = {"key", "value", "timestamp", "step", "is_nan", NULL};
    struct sql *s = self;
    char query[MAX_SQL];
    GY_AUTO_DONE(finish) struct query q = {NULL, NULL};
    GY_TRY(
        select_of(s, "metrics", columns, "WHERE run_uuid = ? ORDER BY 1, 3, 4, 2, 5", query, err));
    GY_TRY(start(s, query, GY_VALS(gy_vs(r->id)), &q, err));
    for (;;) {
        bool row = false;
        GY_TRY(step(&q, &row, err));
        if (!row) {
            return GY_OK;
        }
        struct gy_metric m = {.key = view(&q, 0),
                              .value = number(&q, 4) ? (double)NAN : real(&q, 1),
                              .ts_ms = number(&q, 2),
                              .step = number(&q, 3)};
        GY_TRY(fn(ctx, &m, err));
    }
}

/* ---- logged models ---- */

static gy_status read_logged_data(struct sql *s, struct gy_arena *a, struct gy_logged_model *m,
                                  struct gy_err *err)
{
    const struct gy_val id = gy_vs(m->id);
    GY_AUTO_DONE(finish) struct query q = {NULL, NULL};
    void *items = NULL;
    size_t cap = 0;
    GY_TRY(pairs(s, "logged_model_params",
                 "SELECT param_key, param_value FROM logged_model_params WHERE model_id = ? ORDER "
                 "BY 1",
                 &id, 1, a, &m->params, &m->n_params, err));
    GY_TRY(pairs(s, "logged_model_tags",
                 "SELECT tag_key, tag_value FROM logged_model_tags WHERE model_id = ? ORDER BY 1",
                 &id, 1, a, &m->tags, &m->n_tags, err));
    GY_TRY(start(s,
                 "SELECT metric_name, metric_value, metric_timestamp_ms, metric_step, run_id, "
                 "dataset_name, dataset_digest FROM logged_model_metrics WHERE model_id = ? ORDER "
                 "BY 1, 3, 4, 5",
                 &id, 1, &q, err));
    for (;;) {
        bool row = false;
        GY_TRY(step(&q, &row, err));
        if (!row) {
            return GY_OK;
        }
        GY_TRY(gy_track_grow(a, &items, m->n_metrics, &cap, sizeof *m->metrics, err));
        m->metrics = items;
        struct gy_metric *p = &m->metrics[m->n_metrics++];
        *p =
            (struct gy_metric){.value = real(&q, 1), .ts_ms = number(&q, 2), .step = number(&q, 3)};
        GY_TRY(text(&q, 0, a, &p->key, err));
        GY_TRY(text(&q, 4, a, &p->run_id, err));
        GY_TRY(text(&q, 5, a, &p->dataset_name, err));
        GY_TRY(text(&q, 6, a, &p->dataset_digest, err));
    }
}

static gy_status sql_logged(void *self, const struct gy_experiment *e, size_t page,
                            struct gy_arena *a, struct gy_logged_model **ret, size_t *ret_n,
                            bool *ret_end, struct gy_err *err)
{
    struct sql *s = self;
    GY_AUTO_DONE(finish) struct query q = {NULL, NULL};
    *ret_n = 0;
    *ret_end = true;
    if (!has(s, "logged_models", "")) {
        return GY_OK;
    }
    s->after = page == 0 ? GY_STR("") : s->after;
    *ret = gy_arena_calloc(a, GY_MOVE_PAGE, sizeof **ret);
    if (!*ret) {
        return gy_track_nomem(err);
    }
    GY_TRY(start(s,
                 "SELECT model_id, name, artifact_location, creation_timestamp_ms, "
                 "last_updated_timestamp_ms, status, lifecycle_stage, model_type, source_run_id "
                 "FROM logged_models WHERE experiment_id = ? AND model_id > ? ORDER BY model_id "
                 "LIMIT ?",
                 GY_VALS(gy_vi(e->id), gy_vs(s->after), gy_vi(GY_MOVE_PAGE)), &q, err));
    for (;;) {
        bool row = false;
        GY_TRY(step(&q, &row, err));
        if (!row) {
            break;
        }
        struct gy_logged_model *m = &(*ret)[(*ret_n)++];
        int64_t status = number(&q, 5);
        *m = (struct gy_logged_model){
            .experiment_id = e->id,
            .created_us = gy_move_us(number(&q, 3)),
            .updated_us = gy_move_us(number(&q, 4)),
            .status = status >= 1 && status <= 3 ? (enum gy_logged_status)status : GY_LOGGED_READY,
            .deleted = is_deleted(&q, 6),
        };
        GY_TRY(text(&q, 0, a, &m->id, err));
        GY_TRY(text(&q, 1, a, &m->name, err));
        GY_TRY(text(&q, 2, a, &m->artifact_uri, err));
        GY_TRY(text(&q, 7, a, &m->model_type, err));
        GY_TRY(text(&q, 8, a, &m->source_run_id, err));
    }
    finish(&q);
    for (size_t i = 0; i < *ret_n; i++) {
        GY_TRY(read_logged_data(s, a, &(*ret)[i], err));
    }
    if (*ret_n > 0) {
        keep_after(s, (*ret)[*ret_n - 1].id);
    }
    *ret_end = *ret_n < GY_MOVE_PAGE;
    return GY_OK;
}

/* ---- the registry ---- */

static const char *of_workspace(const struct sql *s, const char *table)
{
    return has(s, table, "workspace") ? " AND workspace = 'default'" : "";
}

static gy_status read_aliases(struct sql *s, struct gy_arena *a, struct gy_registered_model *m,
                              struct gy_err *err)
{
    GY_AUTO_DONE(finish) struct query q = {NULL, NULL};
    char query[MAX_SQL];
    void *items = NULL;
    size_t cap = 0;
    if (!has(s, "registered_model_aliases", "")) {
        return GY_OK;
    }
    (void)snprintf(
        query, sizeof query,
        "SELECT alias, version FROM registered_model_aliases WHERE name = ?%s ORDER BY 1",
        of_workspace(s, "registered_model_aliases"));
    GY_TRY(start(s, query, GY_VALS(gy_vs(m->name)), &q, err));
    for (;;) {
        bool row = false;
        GY_TRY(step(&q, &row, err));
        if (!row) {
            return GY_OK;
        }
        GY_TRY(gy_track_grow(a, &items, m->n_aliases, &cap, sizeof *m->aliases, err));
        m->aliases = items;
        struct gy_model_alias *x = &m->aliases[m->n_aliases++];
        x->version = number(&q, 1);
        GY_TRY(text(&q, 0, a, &x->alias, err));
    }
}

static gy_status sql_models(void *self, struct gy_arena *a, struct gy_registered_model **ret,
                            size_t *ret_n, struct gy_err *err)
{
    static const char *const columns[] = {"name", "creation_time", "last_updated_time",
                                          "description", NULL};
    struct sql *s = self;
    char query[MAX_SQL], rest[128];
    GY_AUTO_DONE(finish) struct query q = {NULL, NULL};
    void *items = NULL;
    size_t n = 0, cap = 0;
    *ret_n = 0;
    if (!has(s, "registered_models", "")) {
        return GY_OK;
    }
    (void)snprintf(rest, sizeof rest, "WHERE 1 = 1%s ORDER BY name",
                   of_workspace(s, "registered_models"));
    GY_TRY(select_of(s, "registered_models", columns, rest, query, err));
    GY_TRY(start(s, query, NULL, 0, &q, err));
    for (;;) {
        bool row = false;
        GY_TRY(step(&q, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof **ret, err));
        struct gy_registered_model *m = &((struct gy_registered_model *)items)[n++];
        *m = (struct gy_registered_model){.created_us = gy_move_us(number(&q, 1)),
                                          .updated_us = gy_move_us(number(&q, 2))};
        GY_TRY(text(&q, 0, a, &m->name, err));
        GY_TRY(text(&q, 3, a, &m->description, err));
    }
    finish(&q);
    *ret = items;
    *ret_n = n;
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(
            query, sizeof query,
            "SELECT \"key\", value FROM registered_model_tags WHERE name = ?%s ORDER BY 1",
            of_workspace(s, "registered_model_tags"));
        GY_TRY(pairs(s, "registered_model_tags", query, GY_VALS(gy_vs((*ret)[i].name)), a,
                     &(*ret)[i].tags, &(*ret)[i].n_tags, err));
        GY_TRY(read_aliases(s, a, &(*ret)[i], err));
    }
    return GY_OK;
}

static gy_status read_version(struct query *q, struct gy_str name, struct gy_arena *a,
                              struct gy_transfer_version *x, struct gy_err *err)
{
    struct gy_model_version *v = &x->v;
    *x = (struct gy_transfer_version){.v = {.name = name,
                                            .version = number(q, 0),
                                            .created_us = gy_move_us(number(q, 1)),
                                            .updated_us = gy_move_us(number(q, 2))}};
    GY_TRY(text(q, 3, a, &v->description, err));
    GY_TRY(text(q, 4, a, &v->actor, err));
    GY_TRY(text(q, 5, a, &v->stage, err));
    GY_TRY(text(q, 6, a, &v->source, err));
    GY_TRY(text(q, 7, a, &v->run_id, err));
    GY_TRY(text(q, 8, a, &v->run_link, err));
    GY_TRY(text(q, 9, a, &v->storage_location, err));
    if (gy_str_eqc(v->stage, "Deleted_Internal")) {
        x->deleted = true;
        v->stage = GY_STR("None");
    }
    if (v->updated_us == 0) {
        v->updated_us = v->created_us;
    }
    return GY_OK;
}

/* Where the version came from, as MLflow keeps it: "models:/m-..." in its source, or a tag. */
static void logged_model_of(struct gy_transfer_version *x)
{
    static const char prefix[] = "models:/m-";
    if (gy_str_starts(x->v.source, gy_str_n(prefix, sizeof prefix - 1)) &&
        gy_str_find(gy_str_sub(x->v.source, sizeof "models:/" - 1, SIZE_MAX), '/') == SIZE_MAX) {
        x->v.logged_model_id = gy_str_sub(x->v.source, sizeof "models:/" - 1, SIZE_MAX);
    }
    for (size_t i = 0; i < x->n_tags; i++) {
        if (gy_str_eqc(x->tags[i].key, "mlflow.model_id") ||
            gy_str_eqc(x->tags[i].key, "mlflow.modelId")) {
            x->v.logged_model_id = x->tags[i].value;
        }
    }
}

static gy_status sql_versions(void *self, const struct gy_registered_model *m, struct gy_arena *a,
                              struct gy_transfer_version **ret, size_t *ret_n, struct gy_err *err)
{
    static const char *const columns[] = {"version",
                                          "creation_time",
                                          "last_updated_time",
                                          "description",
                                          "user_id",
                                          "current_stage",
                                          "source",
                                          "run_id",
                                          "run_link",
                                          "storage_location",
                                          NULL};
    struct sql *s = self;
    char query[MAX_SQL], rest[128];
    GY_AUTO_DONE(finish) struct query q = {NULL, NULL};
    void *items = NULL;
    size_t n = 0, cap = 0;
    (void)snprintf(rest, sizeof rest, "WHERE name = ?%s ORDER BY version",
                   of_workspace(s, "model_versions"));
    GY_TRY(select_of(s, "model_versions", columns, rest, query, err));
    GY_TRY(start(s, query, GY_VALS(gy_vs(m->name)), &q, err));
    for (;;) {
        bool row = false;
        GY_TRY(step(&q, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof **ret, err));
        GY_TRY(read_version(&q, m->name, a, &((struct gy_transfer_version *)items)[n++], err));
    }
    finish(&q);
    *ret = items;
    *ret_n = n;
    for (size_t i = 0; i < n; i++) {
        struct gy_transfer_version *x = &(*ret)[i];
        (void)snprintf(query, sizeof query,
                       "SELECT \"key\", value FROM model_version_tags WHERE name = ? AND version = "
                       "?%s ORDER BY 1",
                       of_workspace(s, "model_version_tags"));
        GY_TRY(pairs(s, "model_version_tags", query, GY_VALS(gy_vs(m->name), gy_vi(x->v.version)),
                     a, &x->tags, &x->n_tags, err));
        logged_model_of(x);
    }
    return GY_OK;
}

/* ---- artifacts ---- */

static bool place_dir(const struct sql *s, const struct gy_move_place *p, char out[GY_MAX_PATH])
{
    return gy_move_local(p->uri, s->base, s->artifacts_root, out);
}

static bool sql_has_files(void *self, const struct gy_move_place *p)
{
    char dir[GY_MAX_PATH];
    return place_dir(self, p, dir);
}

static gy_status sql_files(void *self, const struct gy_move_place *p, gy_move_file_fn fn, void *ctx,
                           struct gy_err *err)
{
    struct sql *s = self;
    char dir[GY_MAX_PATH];
    return place_dir(s, p, dir) ? gy_move_walk(dir, s->report, fn, ctx, err) : GY_OK;
}

static gy_status sql_fetch(void *self, const struct gy_move_place *p, struct gy_str path,
                           char out[GY_MAX_PATH], bool *ret_temporary, struct gy_err *err)
{
    char dir[GY_MAX_PATH], name[GY_MAX_PATH];
    *ret_temporary = false;
    if (!place_dir(self, p, dir) || path.n >= sizeof name) {
        return gy_err_set(err, GY_E_NOTFOUND, "no such artifact");
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)path.n, path.p);
    return gy_path_join(out, GY_MAX_PATH, dir, name, err);
}

static void sql_free(void *self)
{
    struct sql *s = self;
    if (s->conn) {
        s->driver->ops->rollback(s->conn);
        s->driver->ops->close(s->conn);
    }
    gy_map_done(&s->columns);
    gy_free(s);
}

static const struct gy_move_source_ops sql_ops = {
    1,          "sql",        sql_experiments, sql_runs,  sql_mark,  sql_points, sql_logged,
    sql_models, sql_versions, sql_has_files,   sql_files, sql_fetch, sql_free,
};

/* ---- opening ---- */

/* Which tables and columns this generation has. */
static gy_status read_catalogue(struct sql *s, struct gy_err *err)
{
    GY_AUTO_DONE(finish) struct query q = {NULL, NULL};
    bool sqlite = s->driver->ops->dialect == GY_SQL_SQLITE;
    GY_TRY(start(s,
                 sqlite ? "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c "
                          "WHERE m.type = 'table'"
                        : "SELECT table_name, column_name FROM information_schema.columns WHERE "
                          "table_schema = current_schema()",
                 NULL, 0, &q, err));
    for (;;) {
        bool row = false;
        char name[200];
        GY_TRY(step(&q, &row, err));
        if (!row) {
            return GY_OK;
        }
        struct gy_str table = gy_str_sub(view(&q, 0), 0, 90);
        int n = snprintf(name, sizeof name, "%" GY_STR_F ".", GY_STR_A(table));
        GY_TRY(gy_map_put(&s->columns, gy_str_c(name), s, err));
        (void)snprintf(name + n, sizeof name - (size_t)n, "%" GY_STR_F,
                       GY_STR_A(gy_str_sub(view(&q, 1), 0, 90)));
        GY_TRY(gy_map_put(&s->columns, gy_str_c(name), s, err));
    }
}

/* Is this MLflow's, and of a generation that we can read? */
static gy_status check_schema(struct sql *s, const char *label, struct gy_err *err)
{
    static const char *const needed[][2] = {
        {"experiments", "experiment_id"}, {"experiments", "name"}, {"runs", "run_uuid"},
        {"runs", "experiment_id"},        {"metrics", "key"},      {"metrics", "run_uuid"},
        {"metrics", "timestamp"},         {"params", "run_uuid"},  {"tags", "run_uuid"},
    };
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (!has(s, needed[i][0], needed[i][1])) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "%s is no database of MLflow: it has no column %s.%s", label,
                             needed[i][0], needed[i][1]);
            return gy_err_hint(err, "mlflow server --backend-store-uri names the right one");
        }
    }
    if (has(s, "experiments", "workspace")) {
        GY_AUTO_DONE(finish) struct query q = {NULL, NULL};
        bool row = false;
        GY_TRY(start(s, "SELECT COUNT(*) FROM experiments WHERE workspace <> 'default'", NULL, 0,
                     &q, err));
        GY_TRY(step(&q, &row, err));
        if (row && number(&q, 0) > 0) {
            gy_move_note(s->report,
                         "%lld experiments of other workspaces than 'default' stay there",
                         (long long)number(&q, 0));
        }
    }
    return GY_OK;
}

/* The URL without its password names the source. */
static void label_of(const char *url, char out[GY_MAX_PATH])
{
    const char *at = strrchr(url, '@'), *scheme = strstr(url, "://");
    const char *colon = scheme ? strchr(scheme + 3, ':') : NULL;
    if (at && colon && colon < at) {
        (void)snprintf(out, GY_MAX_PATH, "%.*s%s", (int)(colon - url), url, at);
    } else {
        (void)snprintf(out, GY_MAX_PATH, "%s", url);
    }
}

static gy_status open_sqlite(struct sql *s, const char *path, char label[GY_MAX_PATH],
                             struct gy_err *err)
{
    char real[PATH_MAX];
    if (!realpath(path, real)) {
        return gy_err_sys(err, errno, "'%s'", path);
    }
    struct gy_sql_config c = {
        .location = gy_str_c(real), .busy_timeout_ms = 30000, .read_only = true};
    s->driver = &gy_sql_sqlite;
    (void)snprintf(label, GY_MAX_PATH, "sqlite:///%s", real);
    (void)snprintf(s->base, sizeof s->base, "%s", real);
    char *slash = strrchr(s->base, '/');
    *(slash == s->base ? slash + 1 : slash) = '\0';
    return s->driver->ops->open(s->driver->self, &c, &s->conn, err);
}

/* "postgresql+psycopg2://.." names the driver of the one who wrote it. */
static gy_status open_postgres(struct sql *s, const char *url, char label[GY_MAX_PATH],
                               struct gy_err *err)
{
    char plain[GY_MAX_PATH];
    const char *rest = strstr(url, "://");
    int n = snprintf(plain, sizeof plain, "postgresql%s", rest ? rest : "");
    if (!rest || n < 0 || (size_t)n >= sizeof plain) {
        return gy_err_set(err, GY_E_INVALID, "no URL of a PostgreSQL database");
    }
    struct gy_sql_config c = {
        .location = gy_str_c(plain), .busy_timeout_ms = 30000, .read_only = true};
    label_of(plain, label);
    s->driver = &gy_sql_postgres;
    return s->driver->ops->open(s->driver->self, &c, &s->conn, err);
}

static gy_status open_database(struct sql *s, const char *url, char label[GY_MAX_PATH],
                               struct gy_err *err)
{
    const char *path = url + sizeof "sqlite://" - 1;
    if (strncmp(url, "sqlite://", sizeof "sqlite://" - 1) != 0) {
        GY_TRY(open_postgres(s, url, label, err));
    } else { /* sqlite:///relative, sqlite:////absolute */
        GY_TRY(open_sqlite(s, path[0] == '/' ? path + 1 : path, label, err));
    }
    return s->driver->ops->begin(s->conn, false, err); /* one state for all of it */
}

gy_status gy_move_open_sql(const char *url, const char *artifacts_root,
                           struct gy_move_report *report, struct gy_move_source *ret,
                           struct gy_err *err)
{
    struct sql *s = gy_calloc(1, sizeof *s);
    if (!s) {
        return gy_track_nomem(err);
    }
    s->artifacts_root = artifacts_root;
    s->report = report;
    gy_map_init(&s->columns, 100000);
    gy_status status = open_database(s, url, ret->label, err);
    if (status == GY_OK) {
        status = read_catalogue(s, err);
    }
    if (status == GY_OK) {
        status = check_schema(s, ret->label, err);
    }
    if (status != GY_OK) {
        sql_free(s);
        return status;
    }
    ret->ops = &sql_ops;
    ret->self = s;
    return GY_OK;
}
