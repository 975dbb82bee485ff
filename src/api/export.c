/* SPDX-License-Identifier: Apache-2.0 */
/* Routes for moving whole stores out (gyre export): the lines of track/transfer.h, deleted things
 * included, in the order in which import wants them.
 *   GET /export/experiments                        every experiment of the workspace
 *   GET /export/runs?experiment=&after=            runs by id, MAX_PAGE at a time, without points
 *   GET /export/points?run=                        all points of a run, key by key
 *   GET /export/logged?experiment=&after=          logged models by id, MAX_PAGE at a time
 *   GET /export/registry                           models, versions, aliases
 * An answer is streamed line by line, in constant memory. */
#include <math.h>

#include "api/app.h"
#include "base/limits.h"
#include "store/scope.h"
#include "track/transfer.h"

#define BASE "/api/gyre/v1"
#define FLUSH_BYTES (64 * GY_KIB)

enum { MAX_PAGE = 500 };

struct stream {
    struct gy_reply *reply;
    struct gy_buf out;
    struct gy_jw w;
    struct gy_arena arena; /* of one line */
    struct gy_str after, run;
    int64_t experiment;
};

static gy_status flush(struct stream *s, struct gy_err *err)
{
    GY_TRY(gy_buf_check(&s->out, "a line", err));
    if (s->out.n > 0) {
        GY_TRY(gy_reply_write(s->reply, gy_buf_str(&s->out), err));
        gy_buf_reset(&s->out);
    }
    return GY_OK;
}

/* A line was written: end it, and make room for the next. */
static gy_status end_line(struct stream *s, struct gy_err *err)
{
    gy_buf_add_char(&s->out, '\n');
    gy_jw_init(&s->w, &s->out);
    gy_arena_reset(&s->arena);
    return s->out.n >= FLUSH_BYTES ? flush(s, err) : GY_OK;
}

static gy_status send(struct gy_app *app, struct gy_reply *reply, struct stream *s, gy_db_fn fn,
                      struct gy_err *err)
{
    const struct gy_header type = {GY_STR("Content-Type"), GY_STR("application/x-ndjson")};
    s->reply = reply;
    gy_buf_init(&s->out, GY_MAX_REPLY);
    gy_arena_init(&s->arena, GY_MAX_REQUEST_ARENA);
    gy_jw_init(&s->w, &s->out);
    gy_status status = gy_reply_begin(reply, 200, &type, 1, -1, err);
    if (status == GY_OK) {
        status = gy_store_read(app->store, fn, s, err);
    }
    if (status == GY_OK) {
        status = flush(s, err);
    }
    gy_arena_done(&s->arena);
    gy_buf_done(&s->out);
    return status == GY_OK ? gy_reply_end(reply, err) : status;
}

/* The i-th of the ids that `sql` lists, a page of them in the arena of the request. */
struct ids {
    struct gy_str *items;
    size_t n, cap;
};

static gy_status list_ids(struct gy_db *db, const char *sql, const struct gy_val *vals,
                          size_t n_vals, struct gy_arena *a, struct ids *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, sql, vals, n_vals, &st, err));
    for (;;) {
        bool row = false;
        void *items = ret->items;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        GY_TRY(gy_track_grow(a, &items, ret->n, &ret->cap, sizeof *ret->items, err));
        ret->items = items;
        GY_TRY(gy_col_copy(st, 0, a, &ret->items[ret->n++], err));
    }
}

static gy_status need_number(struct gy_request *req, const char *key, int64_t *ret,
                             struct gy_err *err)
{
    gy_status status = gy_parse_i64(gy_req_query(req, key), 0, INT64_MAX, ret, err);
    return status == GY_OK ? GY_OK : gy_err_wrap(err, "'%s'", key);
}

/* ---- experiments ---- */

static gy_status write_experiments(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct stream *s = ctx;
    struct ids ids = {NULL, 0, 0};
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    GY_TRY(list_ids(db, "SELECT id FROM experiments WHERE workspace_id = ? ORDER BY id",
                    GY_VALS(gy_vs(gy_db_workspace(db))), &a, &ids, err));
    for (size_t i = 0; i < ids.n; i++) {
        struct gy_experiment e;
        int64_t id = 0;
        GY_TRY(gy_parse_i64(ids.items[i], INT64_MIN, INT64_MAX, &id, err));
        GY_TRY(gy_experiment_get(db, id, &s->arena, &e, err));
        gy_transfer_write_experiment(&s->w, &e);
        GY_TRY(end_line(s, err));
    }
    return GY_OK;
}

static gy_status get_experiments(void *ctx, struct gy_request *req, struct gy_reply *reply,
                                 struct gy_err *err)
{
    struct stream s = {.experiment = 0};
    (void)req;
    return send(ctx, reply, &s, write_experiments, err);
}

/* ---- runs ---- */

static gy_status write_runs(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct stream *s = ctx;
    struct ids ids = {NULL, 0, 0};
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    GY_TRY(list_ids(
        db,
        "SELECT id FROM runs WHERE workspace_id = ? AND experiment_id = ? AND id > ? "
        "ORDER BY id LIMIT ?",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vi(s->experiment), gy_vs(s->after), gy_vi(MAX_PAGE)),
        &a, &ids, err));
    for (size_t i = 0; i < ids.n; i++) {
        struct gy_run r;
        GY_TRY(gy_run_get(db, ids.items[i], true, &s->arena, &r, err));
        gy_transfer_write_run(&s->w, &r);
        GY_TRY(end_line(s, err));
    }
    return GY_OK;
}

static gy_status get_runs(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    struct stream s = {.after = gy_req_query(req, "after")};
    s.after = s.after.p ? s.after : GY_STR("");
    GY_TRY(need_number(req, "experiment", &s.experiment, err));
    return send(ctx, reply, &s, write_runs, err);
}

/* ---- points ---- */

static gy_status write_points(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct stream *s = ctx;
    int64_t seq = 0;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct gy_metric *points = gy_arena_calloc(&a, GY_TRANSFER_MAX_POINTS, sizeof *points);
    struct gy_transfer_points p = {s->run, points, 0};
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    if (!points) {
        return gy_track_nomem(err);
    }
    GY_TRY(gy_run_find(db, s->run, false, &seq, err));
    GY_TRY(gy_db_query(db,
                       "SELECT k.name, m.value, m.is_nan, m.ts_ms, m.step FROM metrics m JOIN "
                       "metric_keys k ON k.id = m.key WHERE m.run = ? ORDER BY m.key, m.ts_ms, "
                       "m.step, m.value, m.is_nan",
                       GY_VALS(gy_vi(seq)), &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        struct gy_str key = row ? gy_col_str(st, 0) : GY_STR_NULL;
        bool same = row && p.n > 0 && gy_str_eq(key, points[0].key);
        if (p.n > 0 && (!same || p.n == GY_TRANSFER_MAX_POINTS)) {
            gy_transfer_write_points(&s->w, &p);
            GY_TRY(end_line(s, err));
            p.n = 0;
        }
        if (!row) {
            return GY_OK;
        }
        if (p.n == 0 && !same) {
            points[0].key = gy_arena_str(&a, key);
            if (!points[0].key.p) {
                return gy_track_nomem(err);
            }
        }
        points[p.n++] = (struct gy_metric){
            .key = points[0].key,
            .value = gy_col_i64(st, 2) ? (double)NAN : gy_col_f64(st, 1),
            .ts_ms = gy_col_i64(st, 3),
            .step = gy_col_i64(st, 4),
        };
    }
}

static gy_status need_run(struct gy_db *db, void *ctx, struct gy_err *err)
{
    int64_t seq;
    return gy_run_find(db, ((struct stream *)ctx)->run, false, &seq, err);
}

static gy_status get_points(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct stream s = {.run = gy_req_query(req, "run")};
    GY_TRY(gy_track_check_run_id(s.run, err));
    /* Before the answer has begun: later it could only break off. */
    GY_TRY(gy_store_read(app->store, need_run, &s, err));
    return send(ctx, reply, &s, write_points, err);
}

/* ---- logged models ---- */

static gy_status write_logged(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct stream *s = ctx;
    struct ids ids = {NULL, 0, 0};
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    GY_TRY(list_ids(
        db,
        "SELECT id FROM logged_models WHERE workspace_id = ? AND experiment_id = ? AND "
        "id > ? ORDER BY id LIMIT ?",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vi(s->experiment), gy_vs(s->after), gy_vi(MAX_PAGE)),
        &a, &ids, err));
    for (size_t i = 0; i < ids.n; i++) {
        struct gy_logged_model m;
        GY_TRY(gy_logged_model_get(db, ids.items[i], true, &s->arena, &m, err));
        gy_transfer_write_logged(&s->w, &m);
        GY_TRY(end_line(s, err));
    }
    return GY_OK;
}

static gy_status get_logged(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct stream s = {.after = gy_req_query(req, "after")};
    s.after = s.after.p ? s.after : GY_STR("");
    GY_TRY(need_number(req, "experiment", &s.experiment, err));
    return send(ctx, reply, &s, write_logged, err);
}

/* ---- the registry ---- */

/* Deleted versions too: their numbers stay taken. */
static gy_status write_versions(struct gy_db *db, struct stream *s, int64_t model,
                                struct gy_str name, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT id, version, description, source, storage_location, run_id, "
                       "run_link, logged_model_id, stage, deleted, actor, created_us, updated_us "
                       "FROM model_versions WHERE model = ? ORDER BY version",
                       GY_VALS(gy_vi(model)), &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        struct gy_transfer_version v = {
            .v = {.name = name,
                  .version = gy_col_i64(st, 1),
                  .description = gy_col_str(st, 2),
                  .source = gy_col_str(st, 3),
                  .storage_location = gy_col_str(st, 4),
                  .run_id = gy_col_str(st, 5),
                  .run_link = gy_col_str(st, 6),
                  .logged_model_id = gy_col_str(st, 7),
                  .stage = gy_col_str(st, 8),
                  .actor = gy_col_str(st, 10),
                  .created_us = gy_col_i64(st, 11),
                  .updated_us = gy_col_i64(st, 12)},
            .deleted = gy_col_i64(st, 9) != 0,
        };
        GY_TRY(gy_track_tags(
            db, "SELECT key, value FROM model_version_tags WHERE version_id = ? ORDER BY key",
            gy_vi(gy_col_i64(st, 0)), &s->arena, &v.tags, &v.n_tags, err));
        gy_transfer_write_version(&s->w, &v);
        GY_TRY(end_line(s, err));
    }
}

static gy_status write_aliases(struct gy_db *db, struct stream *s, int64_t model,
                               struct gy_str name, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT alias, version FROM model_aliases WHERE model = ? ORDER BY alias",
                       GY_VALS(gy_vi(model)), &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        gy_transfer_write_alias(&s->w, name, gy_col_str(st, 0), gy_col_i64(st, 1));
        GY_TRY(end_line(s, err));
    }
}

static gy_status write_registry(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct stream *s = ctx;
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT id, name, description, created_us, updated_us FROM "
                       "registered_models WHERE workspace_id = ? ORDER BY name",
                       GY_VALS(gy_vs(gy_db_workspace(db))), &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        struct gy_registered_model m = {.id = gy_col_i64(st, 0),
                                        .name = gy_col_str(st, 1),
                                        .description = gy_col_str(st, 2),
                                        .created_us = gy_col_i64(st, 3),
                                        .updated_us = gy_col_i64(st, 4)};
        GY_TRY(gy_track_tags(
            db, "SELECT key, value FROM registered_model_tags WHERE model = ? ORDER BY key",
            gy_vi(m.id), &s->arena, &m.tags, &m.n_tags, err));
        gy_transfer_write_model(&s->w, &m);
        GY_TRY(end_line(s, err));
        GY_TRY(write_versions(db, s, m.id, m.name, err));
        GY_TRY(write_aliases(db, s, m.id, m.name, err));
    }
}

static gy_status get_registry(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct stream s = {.experiment = 0};
    (void)req;
    return send(ctx, reply, &s, write_registry, err);
}

static const struct gy_route routes[] = {
    {"GET", BASE "/export/experiments", get_experiments, NULL, 0, "All experiments, as lines",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", BASE "/export/runs", get_runs, NULL, 0, "Runs of an experiment, as lines",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", BASE "/export/points", get_points, NULL, 0, "All metric points of a run, as lines",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", BASE "/export/logged", get_logged, NULL, 0, "Logged models, as lines",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", BASE "/export/registry", get_registry, NULL, 0,
     "Registered models, versions and aliases, as lines", GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
};

gy_status gy_api_export_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}
