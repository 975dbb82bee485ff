/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/alerts.h"

#include <stdio.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/time.h"
#include "store/actor.h"
#include "store/events.h"

#define MAX_REASON ((size_t)4096)

static struct gy_val text_or(struct gy_str s, const char *standard)
{
    return s.p ? gy_vs(s) : gy_vc(standard);
}

static gy_status tell(struct gy_db *db, const char *event, int64_t id, const struct gy_alert *a,
                      struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "alert", id);
    gy_jw_kv_str(&w, "kind", a->kind);
    gy_jw_kv_str(&w, "endpoint", a->endpoint);
    gy_jw_kv_str(&w, "subject", a->subject);
    gy_jw_kv_str(&w, "text", a->text);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&out, "an alert", err));
    char subject[64];
    (void)snprintf(subject, sizeof subject, "alert:%lld", (long long)id);
    return gy_event_add(db, event, gy_str_c(subject), a->actor, gy_buf_str(&out), err);
}

gy_status gy_alert_raise(struct gy_db *db, const struct gy_alert *a, bool *ret_raised,
                         struct gy_err *err)
{
    int64_t changed = 0;
    int64_t now = gy_now_us();
    struct gy_val data = text_or(a->data, "{}");
    GY_TRY(gy_db_exec(db,
                      "UPDATE alerts SET text=?, data=?, updated_us=? WHERE kind=? AND endpoint=? "
                      "AND subject=? AND state='firing'",
                      GY_VALS(gy_vs(a->text), data, gy_vi(now), gy_vs(a->kind),
                              text_or(a->endpoint, ""), text_or(a->subject, "")),
                      &changed, err));
    if (ret_raised) {
        *ret_raised = changed == 0;
    }
    if (changed) {
        return GY_OK;
    }
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO alerts (kind, endpoint, subject, state, text, data, actor, "
                      "created_us, updated_us) VALUES (?,?,?,'firing',?,?,?,?,?)",
                      GY_VALS(gy_vs(a->kind), text_or(a->endpoint, ""), text_or(a->subject, ""),
                              gy_vs(a->text), data, gy_vs(a->actor), gy_vi(now), gy_vi(now)),
                      NULL, err));
    return tell(db, "alert.raised", gy_db_last_id(db), a, err);
}

#define COLUMNS                                                                              \
    "SELECT id, kind, endpoint, subject, state, text, data, actor, created_us, updated_us, " \
    "cleared_us, acknowledged_us, cleared_by, acknowledged_by, acknowledge_reason FROM alerts "

static gy_status read_alert(struct gy_stmt *st, struct gy_arena *a, struct gy_alert *ret,
                            struct gy_err *err)
{
    struct gy_alert r = {.id = gy_col_i64(st, 0),
                         .created_us = gy_col_i64(st, 8),
                         .updated_us = gy_col_i64(st, 9),
                         .cleared_us = gy_col_i64(st, 10),
                         .acknowledged_us = gy_col_i64(st, 11)};
    struct gy_str *const texts[] = {&r.kind,
                                    &r.endpoint,
                                    &r.subject,
                                    &r.state,
                                    &r.text,
                                    &r.data,
                                    &r.actor,
                                    NULL,
                                    NULL,
                                    NULL,
                                    NULL,
                                    &r.cleared_by,
                                    &r.acknowledged_by,
                                    &r.acknowledge_reason};
    for (int i = 0; i < 14; i++) {
        if (texts[i]) {
            GY_TRY(gy_col_copy(st, i + 1, a, texts[i], err));
        }
    }
    *ret = r;
    return GY_OK;
}

static gy_status read_all(struct gy_stmt *st, size_t max, struct gy_arena *a, struct gy_alert **ret,
                          size_t *ret_n, struct gy_err *err)
{
    struct gy_alert *all = gy_arena_calloc(a, max, sizeof *all);
    if (!all) {
        return gy_err_set(err, GY_E_NOMEM, "reading alerts");
    }
    size_t n = 0;
    for (; n < max; n++) {
        bool row;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(read_alert(st, a, &all[n], err));
    }
    *ret = all;
    *ret_n = n;
    return GY_OK;
}

static gy_status firing(struct gy_db *db, const char *kind, struct gy_str endpoint,
                        struct gy_arena *a, struct gy_alert **ret, size_t *ret_n,
                        struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    int64_t n = 0;
    bool found;
    GY_TRY(gy_db_get_i64(
        db, "SELECT COUNT(*) FROM alerts WHERE kind=? AND endpoint=? AND state='firing'",
        GY_VALS(gy_vc(kind), text_or(endpoint, "")), &found, &n, err));
    *ret_n = 0;
    if (n == 0) {
        return GY_OK;
    }
    GY_TRY(gy_db_query(db, COLUMNS "WHERE kind=? AND endpoint=? AND state='firing' ORDER BY id",
                       GY_VALS(gy_vc(kind), text_or(endpoint, "")), &st, err));
    return read_all(st, (size_t)n, a, ret, ret_n, err);
}

gy_status gy_alert_clear(struct gy_db *db, const char *kind, struct gy_str endpoint,
                         struct gy_str subject, struct gy_str keep, struct gy_str actor,
                         struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 16 * GY_MIB);
    struct gy_alert *all;
    size_t n;
    GY_TRY(firing(db, kind, endpoint, &a, &all, &n, err));
    for (size_t i = 0; i < n; i++) {
        if ((subject.p && !gy_str_eq(all[i].subject, subject)) ||
            (keep.p && gy_str_eq(all[i].subject, keep))) {
            continue;
        }
        int64_t now = gy_now_us();
        GY_TRY(gy_db_exec(db,
                          "UPDATE alerts SET state='cleared', cleared_us=?, cleared_by=?, "
                          "updated_us=? WHERE id=?",
                          GY_VALS(gy_vi(now), gy_vs(actor), gy_vi(now), gy_vi(all[i].id)), NULL,
                          err));
        all[i].actor = actor;
        GY_TRY(tell(db, "alert.cleared", all[i].id, &all[i], err));
    }
    return GY_OK;
}

gy_status gy_alert_acknowledge(struct gy_db *db, int64_t id, struct gy_str actor,
                               struct gy_str reason, struct gy_err *err)
{
    GY_TRY(gy_actor_need(actor, "acknowledging an alert", err));
    if (reason.n == 0 || reason.n > MAX_REASON) {
        return gy_err_set(err, GY_E_INVALID, "the reason: 1 to %zu bytes are wanted", MAX_REASON);
    }
    bool found;
    int64_t is_firing = 0;
    GY_TRY(gy_db_get_i64(db, "SELECT state='firing' FROM alerts WHERE id=?", GY_VALS(gy_vi(id)),
                         &found, &is_firing, err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND, "there is no alert %lld", (long long)id);
    }
    if (!is_firing) {
        return gy_err_set(err, GY_E_CONFLICT, "the alert %lld is cleared already", (long long)id);
    }
    int64_t now = gy_now_us();
    GY_TRY(gy_db_exec(db,
                      "UPDATE alerts SET acknowledged_us=?, acknowledged_by=?, "
                      "acknowledge_reason=?, updated_us=? WHERE id=?",
                      GY_VALS(gy_vi(now), gy_vs(actor), gy_vs(reason), gy_vi(now), gy_vi(id)), NULL,
                      err));
    char subject[64];
    (void)snprintf(subject, sizeof subject, "alert:%lld", (long long)id);
    return gy_event_add(db, "alert.acknowledged", gy_str_c(subject), actor, GY_STR_NULL, err);
}

gy_status gy_alert_list(struct gy_db *db, struct gy_str endpoint, bool all, size_t max,
                        struct gy_arena *a, struct gy_alert **ret, size_t *ret_n,
                        struct gy_err *err)
{
    if (max == 0 || max > GY_ALERTS_LIST_MAX) {
        return gy_err_set(err, GY_E_INVALID, "alerts come 1 to %d at a time", GY_ALERTS_LIST_MAX);
    }
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       COLUMNS "WHERE (? IS NULL OR endpoint=?) AND (?=1 OR state='firing') "
                               "ORDER BY state DESC, id DESC LIMIT ?",
                       GY_VALS(gy_vs(endpoint), gy_vs(endpoint), gy_vi(all), gy_vi((int64_t)max)),
                       &st, err));
    return read_all(st, max, a, ret, ret_n, err);
}
