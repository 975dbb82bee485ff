/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/problem.h"

#include "base/time.h"
#include "store/events.h"

static gy_status check(const struct gy_problem *p, struct gy_err *err)
{
    if (gy_str_trim(p->reason).n == 0 || p->reason.n > GY_PROBLEM_MAX_REASON) {
        return gy_err_set(err, GY_E_INVALID, "'reason' must have 1 to %d bytes",
                          GY_PROBLEM_MAX_REASON);
    }
    if (p->text.n > GY_PROBLEM_MAX_TEXT) {
        return gy_err_set(err, GY_E_INVALID, "'text' may have %zu bytes", GY_PROBLEM_MAX_TEXT);
    }
    return GY_OK;
}

/* The data and the node of its event; erased: without what was said. */
static gy_status make_event(const struct gy_problem *p, bool erased, struct gy_buf *data,
                            struct gy_buf *node, struct gy_err *err)
{
    struct gy_jw w;
    gy_buf_init(data, 64 * GY_KIB);
    gy_buf_init(node, GY_KIB);
    gy_jw_init(&w, data);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "endpoint", p->endpoint);
    gy_jw_kv_str(&w, "prediction_id", p->prediction_id);
    gy_jw_kv_i64(&w, "row", p->row);
    gy_jw_kv_str(&w, "problem", p->id);
    if (erased) {
        gy_jw_kv_bool(&w, "erased", true);
    } else {
        gy_jw_kv_str(&w, "reason", p->reason);
    }
    gy_jw_obj_end(&w);
    gy_buf_addf(node, "prediction:%" GY_STR_F, GY_STR_A(p->prediction_id));
    GY_TRY(gy_buf_check(data, "an event", err));
    return gy_buf_check(node, "an event", err);
}

static gy_status tell(struct gy_db *db, const struct gy_problem *p, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf data = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf node = {0};
    GY_TRY(make_event(p, false, &data, &node, err));
    return gy_event_add(db, GY_PROBLEM_EVENT, gy_buf_str(&node), p->actor, gy_buf_str(&data), err);
}

gy_status gy_problem_add(struct gy_db *db, const struct gy_problem *p, struct gy_err *err)
{
    bool found = false;
    int64_t n = 0;
    GY_TRY(check(p, err));
    GY_TRY(gy_db_get_i64(db, "SELECT COUNT(*) FROM problems WHERE prediction_id = ?",
                         GY_VALS(gy_vs(p->prediction_id)), &found, &n, err));
    if (n >= GY_PROBLEM_MAX_OF_PREDICTION) {
        return gy_err_set(err, GY_E_TOOBIG, "the prediction has %d problems already",
                          GY_PROBLEM_MAX_OF_PREDICTION);
    }
    GY_TRY(
        gy_db_exec(db,
                   "INSERT INTO problems (id, prediction_id, row, endpoint, reason, text, "
                   "actor, created_us) VALUES (?,?,?,?,?,?,?,?)",
                   GY_VALS(gy_vs(p->id), gy_vs(p->prediction_id), gy_vi(p->row), gy_vs(p->endpoint),
                           gy_vs(p->reason), p->text.n ? gy_vs(p->text) : gy_vnull(),
                           gy_vs(p->actor), gy_vi(p->created_us)),
                   NULL, err));
    return tell(db, p, err);
}

#define COLUMNS \
    "SELECT id, prediction_id, endpoint, reason, text, actor, row, created_us FROM problems "

static gy_status read_rows(struct gy_stmt *st, size_t max, struct gy_arena *a,
                           struct gy_problem **ret, size_t *ret_n, struct gy_err *err)
{
    struct gy_problem *list = gy_arena_calloc(a, max, sizeof *list);
    size_t n = 0;
    if (!list) {
        return gy_err_set(err, GY_E_NOMEM, "reading problems");
    }
    for (bool row = true; n < max;) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        struct gy_problem *p = &list[n++];
        struct gy_str *texts[] = {&p->id,     &p->prediction_id, &p->endpoint,
                                  &p->reason, &p->text,          &p->actor};
        for (int i = 0; i < 6; i++) {
            GY_TRY(gy_col_copy(st, i, a, texts[i], err));
        }
        p->row = gy_col_i64(st, 6);
        p->created_us = gy_col_i64(st, 7);
    }
    *ret = list;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_problem_list(struct gy_db *db, struct gy_str prediction_id, struct gy_arena *a,
                          struct gy_problem **ret, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, COLUMNS "WHERE prediction_id = ? ORDER BY row, id LIMIT ?",
                       GY_VALS(gy_vs(prediction_id), gy_vi(GY_PROBLEM_MAX_OF_PREDICTION)), &st,
                       err));
    return read_rows(st, GY_PROBLEM_MAX_OF_PREDICTION, a, ret, ret_n, err);
}

gy_status gy_problem_page(struct gy_db *db, struct gy_str after, size_t limit, struct gy_arena *a,
                          struct gy_problem **ret, size_t *ret_n, struct gy_err *err)
{
    GY_REQUIRE(limit > 0 && limit <= GY_PROBLEM_MAX_PAGE);
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, COLUMNS "WHERE id > ? ORDER BY id LIMIT ?",
                       GY_VALS(gy_vs(after.p ? after : GY_STR("")), gy_vi((int64_t)limit)), &st,
                       err));
    return read_rows(st, limit, a, ret, ret_n, err);
}

/* Messages to webhooks that have not arrived: they say all that the event said. */
static gy_status drop_messages(struct gy_db *db, const struct gy_problem *p, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf like;
    gy_buf_init(&like, GY_KIB);
    gy_buf_addf(&like, "%%%" GY_STR_F "%%", GY_STR_A(p->id));
    GY_TRY(gy_buf_check(&like, "a search", err));
    return gy_db_exec(db, "DELETE FROM webhook_outbox WHERE body LIKE ?",
                      GY_VALS(gy_vs(gy_buf_str(&like))), NULL, err);
}

gy_status gy_problem_remove(struct gy_db *db, const struct gy_problem *p, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf data = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf node = {0};
    GY_TRY(make_event(p, true, &data, &node, err));
    GY_TRY(
        gy_event_replace(db, GY_PROBLEM_EVENT, gy_buf_str(&node), p->id, gy_buf_str(&data), err));
    GY_TRY(drop_messages(db, p, err));
    return gy_db_exec(db, "DELETE FROM problems WHERE id = ?", GY_VALS(gy_vs(p->id)), NULL, err);
}

void gy_problem_write(struct gy_jw *w, const struct gy_problem *p)
{
    char time[32];
    gy_jw_obj(w);
    gy_jw_kv_str(w, "id", p->id);
    gy_jw_kv_str(w, "prediction_id", p->prediction_id);
    gy_jw_kv_i64(w, "row", p->row);
    gy_jw_kv_str(w, "endpoint", p->endpoint);
    gy_jw_kv_str(w, "reason", p->reason);
    gy_jw_kv_str(w, "text", p->text);
    gy_jw_kv_str(w, "actor", p->actor);
    gy_jw_kv_str(w, "time", gy_str_n(time, gy_time_iso(p->created_us, time)));
    gy_jw_obj_end(w);
}
