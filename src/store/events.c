/* SPDX-License-Identifier: Apache-2.0 */
#include "store/events.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/scope.h"

gy_status gy_event_add(struct gy_db *db, const char *kind, struct gy_str subject,
                       struct gy_str actor, struct gy_str data_json, struct gy_err *err)
{
    if (!kind || !kind[0] || actor.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "an event needs a kind and an actor");
    }
    return gy_db_exec(
        db,
        "INSERT INTO events (workspace_id, kind, subject, actor, data, created_us) VALUES "
        "(?,?,?,?,?,?)",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vc(kind), gy_vs(subject.p ? subject : GY_STR("")),
                gy_vs(actor), gy_vs(data_json.n ? data_json : GY_STR("{}")), gy_vi(gy_now_us())),
        NULL, err);
}

gy_status gy_event_replace(struct gy_db *db, const char *kind, struct gy_str subject,
                           struct gy_str part, struct gy_str data_json, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf pattern;
    gy_buf_init(&pattern, GY_KIB);
    gy_buf_addf(&pattern, "%%%" GY_STR_F "%%", GY_STR_A(part));
    GY_TRY(gy_buf_check(&pattern, "an event", err));
    return gy_db_exec(
        db, "UPDATE events SET data = ? WHERE kind = ? AND subject = ? AND data LIKE ?",
        GY_VALS(gy_vs(data_json), gy_vc(kind), gy_vs(subject), gy_vs(gy_buf_str(&pattern))), NULL,
        err);
}

static gy_status read_event(struct gy_stmt *st, struct gy_arena *a, struct gy_event *e,
                            struct gy_err *err)
{
    e->seq = gy_col_i64(st, 0);
    e->time_us = gy_col_i64(st, 1);
    GY_TRY(gy_col_copy(st, 2, a, &e->kind, err));
    GY_TRY(gy_col_copy(st, 3, a, &e->subject, err));
    GY_TRY(gy_col_copy(st, 4, a, &e->actor, err));
    return gy_col_copy(st, 5, a, &e->data, err);
}

gy_status gy_event_list(struct gy_db *db, int64_t after, const char *prefix, size_t max,
                        struct gy_arena *a, struct gy_event **ret, size_t *ret_n,
                        struct gy_err *err)
{
    if (max == 0 || max > GY_EVENT_LIST_MAX) {
        return gy_err_set(err, GY_E_INVALID, "events come 1 to %d at a time", GY_EVENT_LIST_MAX);
    }
    struct gy_str p = gy_str_c(prefix ? prefix : "");
    struct gy_event *events = gy_arena_calloc(a, max, sizeof *events);
    if (!events) {
        return gy_err_set(err, GY_E_NOMEM, "reading events");
    }
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT seq, created_us, kind, subject, actor, data FROM events "
                       "WHERE seq > ? AND workspace_id = ? AND SUBSTR(kind, 1, ?) = ? ORDER BY seq "
                       "LIMIT ?",
                       GY_VALS(gy_vi(after), gy_vs(gy_db_workspace(db)), gy_vi((int64_t)p.n),
                               gy_vs(p), gy_vi((int64_t)max)),
                       &st, err));
    size_t n = 0;
    for (;; n++) {
        bool row;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(read_event(st, a, &events[n], err));
    }
    *ret = events;
    *ret_n = n;
    return GY_OK;
}
